"""BrainNetCNN: filters in the shape of a cross over the matrix of all edges."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from brainnet.models.graph.modalities import SideBySide

__all__ = ["BrainNetCNN", "BrainNetCNNEncoder", "EdgeToEdge"]

_SLOPE = 0.33  # of the leaky ReLU, as in the paper
_TOGETHER = 2  # subjects: their filtered edges stay in the processor's cache, twice as fast


class EdgeToEdge(nn.Module):
    r"""Give each edge the weighted sum of all edges of its two regions, in several filters.

    .. math::

        y^f_{ij} = b^f + \sum_c \sum_k r^{fc}_k x^c_{ik} + \sum_c \sum_k q^{fc}_k x^c_{kj}

    A row and a column cross in every edge, but a row's sum is the same for all edges in it: two
    matrix products, and one sum over all pairs.

    Parameters
    ----------
    n_filters_in, n_filters : int
    n_regions : int
    """

    def __init__(self, n_filters_in: int, n_filters: int, n_regions: int) -> None:
        super().__init__()
        self.rows = nn.Linear(n_filters_in * n_regions, n_filters)
        self.columns = nn.Linear(n_regions * n_filters_in, n_filters, bias=False)

    def forward(self, edges: Tensor) -> Tensor:
        """Return filtered edges.

        Parameters
        ----------
        edges : (n_subjects, n_regions, n_filters_in, n_regions) tensor
            Filters stand between rows and columns, so that either product takes them as they lie.

        Returns
        -------
        (n_subjects, n_regions, n_filters, n_regions) tensor
        """
        rows = self.rows(edges.flatten(start_dim=2))  # (n_subjects, n_regions, n_filters)
        columns = self.columns.weight @ edges.flatten(1, 2)  # (n_subjects, n_filters, n_regions)
        crossed: Tensor = rows.unsqueeze(-1) + columns.unsqueeze(1)
        return crossed


class BrainNetCNNEncoder(nn.Module):
    """Filter the edges of one network a subject: edges to edges, to regions, to the whole graph.

    Parameters
    ----------
    n_regions : int
    n_filters : sequence of int
        Of each edge-to-edge layer.
    n_node_filters, n_hidden : int
        Of the edge-to-node and the node-to-graph layer.
    """

    def __init__(
        self, n_regions: int, n_filters: tuple[int, ...], *, n_node_filters: int, n_hidden: int
    ) -> None:
        super().__init__()
        self.edge_to_edge = nn.ModuleList(
            EdgeToEdge(*each, n_regions) for each in pairwise((1, *n_filters))
        )
        self.edge_to_node = nn.Linear(n_filters[-1] * n_regions, n_node_filters)
        self.node_to_graph = nn.Linear(n_regions * n_node_filters, n_hidden)

    def regions(self, edges: Tensor) -> Tensor:
        """Return ``(n_subjects, n_regions, n_node_filters)``."""
        filtered = edges.unsqueeze(2)
        for layer in self.edge_to_edge:
            filtered = functional.leaky_relu(layer(filtered), _SLOPE, inplace=True)
        return functional.leaky_relu(self.edge_to_node(filtered.flatten(start_dim=2)), _SLOPE)

    def forward(self, nodes: Tensor, edges: Tensor, adjacency: Tensor) -> Tensor:
        """Return ``(n_subjects, n_hidden)``; of the three only ``edges`` are looked at."""
        regions = torch.cat([self.regions(some) for some in torch.split(edges, _TOGETHER)])
        return functional.leaky_relu(self.node_to_graph(regions.flatten(start_dim=1)), _SLOPE)


class BrainNetCNN(SideBySide):
    """A BrainNetCNN a modality, joined in one head.

    It sees all scaled edges, strong and weak, positive and negative, and neither node features
    nor graph. A filter has a weight for every region: the order of the regions matters.

    Parameters
    ----------
    n_features, n_modalities, n_regions, n_context, n_outputs : int
        What comes in and out (:class:`~brainnet.models.graph.brains.Brains`); ``n_features`` has
        no use here.
    n_hidden : int
        Filters from regions to the whole graph, and channels of the head.
    n_filters : sequence of int
        Filters of the edge-to-edge layers, one number a layer. The paper's network has
        ``(32, 32)`` here and 64 ``n_node_filters``, and takes 16 times as long to train.
    n_node_filters : int
        Filters from edges to regions.
    dropout : float

    References
    ----------
    Kawahara et al. (2017), BrainNetCNN: convolutional neural networks for brain networks,
    NeuroImage 146:1038.
    """

    def __init__(  # noqa: PLR0913  (the options of one network)
        self,
        n_features: int,
        *,
        n_modalities: int,
        n_regions: int,
        n_context: int,
        n_outputs: int,
        n_hidden: int = 32,
        n_filters: tuple[int, ...] = (8,),
        n_node_filters: int = 16,
        dropout: float = 0.3,
    ) -> None:
        if not n_filters:
            raise ValueError("n_filters must be one or more numbers; got none. Try (8,).")
        encoders = (
            BrainNetCNNEncoder(
                n_regions, tuple(n_filters), n_node_filters=n_node_filters, n_hidden=n_hidden
            )
            for _ in range(n_modalities)
        )
        super().__init__(
            encoders,
            n_encoded=n_hidden,
            n_context=n_context,
            n_outputs=n_outputs,
            n_hidden=n_hidden,
            dropout=dropout,
        )
