"""Graph isomorphism networks: sums over neighbours, and a small network at every region."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from brainnet.models.graph.modalities import SideBySide

__all__ = ["GIN", "GINConvolution", "GINEncoder"]


class GINConvolution(nn.Module):
    r"""Add each region's neighbours to it, weighted by their edges, and transform the sum.

    .. math:: x'_i = \mathrm{MLP}\left( (1 + \varepsilon) x_i + \sum_j w_{ij} x_j \right)

    with two linear maps, batch norm and ReLU between. The first map is linear and comes before
    the sum: the same result, at a quarter of the work where a region is described by its profile.

    Parameters
    ----------
    n_features, n_hidden : int
        Channels in and out.
    """

    def __init__(self, n_features: int, n_hidden: int) -> None:
        super().__init__()
        self.epsilon = nn.Parameter(torch.zeros(()))
        self.first = nn.Linear(n_features, n_hidden)
        self.norm = nn.BatchNorm1d(n_hidden)
        self.second = nn.Linear(n_hidden, n_hidden)

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Return ``(n_subjects, n_regions, n_hidden)``."""
        mapped = nodes @ self.first.weight.T
        summed = torch.baddbmm((1 + self.epsilon) * mapped + self.first.bias, adjacency, mapped)
        normed = self.norm(summed.flatten(0, 1)).view_as(summed)
        convolved: Tensor = self.second(torch.relu(normed))
        return convolved


class GINEncoder(nn.Module):
    """Convolve the nodes of one graph a subject and take the means before and after every layer.

    The paper's readout is the sum; all graphs have the same regions here, so a mean says the same.

    Parameters
    ----------
    n_features, n_hidden : int
    n_layers : int
    dropout : float
        Share of channels zeroed in training, between convolutions.
    """

    def __init__(self, n_features: int, n_hidden: int, *, n_layers: int, dropout: float) -> None:
        super().__init__()
        sizes = [n_features] + [n_hidden] * n_layers
        self.layers = nn.ModuleList(GINConvolution(*each) for each in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm1d(n_hidden) for _ in range(n_layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, nodes: Tensor, edges: Tensor, adjacency: Tensor) -> Tensor:
        """Return ``(n_subjects, n_features + n_layers * n_hidden)``."""
        means = [nodes.mean(dim=1)]
        for number, (convolve, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            nodes = convolve(self.dropout(nodes) if number else nodes, adjacency)
            nodes = torch.relu(norm(nodes.flatten(0, 1)).view_as(nodes))
            means.append(nodes.mean(dim=1))
        return torch.cat(means, dim=1)


class GIN(SideBySide):
    """A graph isomorphism network a modality, joined in one head.

    In training, batch norm looks at all regions of all subjects of a batch; afterwards every
    subject is judged alone.

    Parameters
    ----------
    n_features, n_modalities, n_regions, n_context, n_outputs : int
        What comes in and out (:class:`~brainnet.models.graph.brains.Brains`).
    n_hidden : int
        Channels of every convolution and of the head.
    n_layers : int
    dropout : float

    References
    ----------
    Xu, Hu, Leskovec and Jegelka (2019), How powerful are graph neural networks?, ICLR.
    """

    def __init__(
        self,
        n_features: int,
        *,
        n_modalities: int,
        n_regions: int,
        n_context: int,
        n_outputs: int,
        n_hidden: int = 32,
        n_layers: int = 2,
        dropout: float = 0.3,
    ) -> None:
        encoders = (
            GINEncoder(n_features, n_hidden, n_layers=n_layers, dropout=dropout)
            for _ in range(n_modalities)
        )
        super().__init__(
            encoders,
            n_encoded=n_features + n_layers * n_hidden,
            n_context=n_context,
            n_outputs=n_outputs,
            n_hidden=n_hidden,
            dropout=dropout,
        )
