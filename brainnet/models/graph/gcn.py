"""A graph convolutional network over the multiplex network of one brain."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch
from torch_geometric.nn import DenseGCNConv
from torch_geometric.utils import to_dense_adj

__all__ = ["MultiplexGCN"]


class MultiplexGCN(nn.Module):
    """Encode each modality's graph by graph convolutions, pool, join, and classify.

    Every subject is one PyG graph whose nodes are the regions. Modality ``m`` has its own node
    features ``x[:, m]`` and its own edges ``edge_index_m`` with weights ``edge_weight_m``
    (:func:`brainnet.models.graph.estimator.multiplex_graph`).

    The convolution is :math:`D^{-1/2} (A + I) D^{-1/2} X W`. Brain graphs are small and dense
    (84 regions, a fifth of all edges), so it is multiplied out as dense matrices: the same
    numbers as ``GCNConv`` on the list of edges, some nine times faster on a CPU.

    Parameters
    ----------
    n_features : int
        Features of a node in one modality.
    n_modalities, n_stages : int
    n_hidden : int
        Channels of every graph convolution and of the head.
    n_layers : int
        Graph convolutions in a row; each reaches one hop further.
    dropout : float
        Share of channels zeroed in training, between convolutions and in the head.

    References
    ----------
    Kipf and Welling (2017), Semi-supervised classification with graph convolutional networks,
    ICLR. Cui et al. (2022), BrainGB, IEEE TMI 42:493 (connection profiles as node features).
    """

    def __init__(
        self,
        n_features: int,
        *,
        n_modalities: int,
        n_stages: int,
        n_hidden: int = 32,
        n_layers: int = 2,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        sizes = [n_features] + [n_hidden] * n_layers
        self.encoders = nn.ModuleList(
            nn.ModuleList(DenseGCNConv(size_in, size_out) for size_in, size_out in pairwise(sizes))
            for _ in range(n_modalities)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Sequential(
            nn.Linear(2 * n_hidden * n_modalities, n_hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(n_hidden, n_stages),
        )

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits ``(n_subjects, n_stages)`` of a batch of subjects."""
        pooled = [self.encode(batch, modality) for modality in range(len(self.encoders))]
        joined = torch.cat(pooled, dim=1)  # (n_subjects, n_modalities * 2 * n_hidden)
        logits: Tensor = self.head(self.dropout(joined))
        return logits

    def encode(self, batch: Batch, modality: int) -> Tensor:
        """Return the mean and maximum over regions of one modality's node embeddings."""
        adjacency = to_dense_adj(
            batch[f"edge_index_{modality}"],  # (2, n_edges)
            batch.batch,
            batch[f"edge_weight_{modality}"],  # (n_edges,)
            batch_size=batch.num_graphs,
        )  # (n_subjects, n_regions, n_regions)
        nodes = batch.x[:, modality].unflatten(0, (batch.num_graphs, -1))
        nodes = self.embed(nodes, adjacency, modality)
        return torch.cat(
            [nodes.mean(dim=1), nodes.amax(dim=1)], dim=1
        )  # (n_subjects, 2 * n_hidden)

    def embed(self, nodes: Tensor, adjacency: Tensor, modality: int) -> Tensor:
        """Return the embeddings ``(n_subjects, n_regions, n_hidden)`` of one modality's nodes.

        Parameters
        ----------
        nodes : (n_subjects, n_regions, n_features) tensor
        adjacency : (n_subjects, n_regions, n_regions) tensor
            Edge weights, 0 or more.
        modality : int
        """
        encoder: nn.ModuleList = self.encoders[modality]  # type: ignore[assignment]
        for layer, convolve in enumerate(encoder):
            nodes = torch.relu(convolve(self.dropout(nodes) if layer else nodes, adjacency))
        return nodes
