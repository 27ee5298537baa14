"""Graph convolutions (Kipf and Welling), multiplied out as dense matrices."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch_geometric.nn import DenseGCNConv

from brainnet.models.graph.modalities import SideBySide

__all__ = ["GCN", "GCNEncoder"]


class GCNEncoder(nn.Module):
    r"""Convolve the nodes of one graph a subject, then take their mean and maximum.

    The convolution is :math:`D^{-1/2} (A + I) D^{-1/2} X W`, as ``GCNConv`` has it.

    Parameters
    ----------
    n_features, n_hidden : int
    n_layers : int
        Convolutions in a row; each reaches one hop further.
    dropout : float
        Share of channels zeroed in training, between convolutions.
    """

    def __init__(self, n_features: int, n_hidden: int, *, n_layers: int, dropout: float) -> None:
        super().__init__()
        sizes = [n_features] + [n_hidden] * n_layers
        self.layers = nn.ModuleList(
            DenseGCNConv(before, after) for before, after in pairwise(sizes)
        )
        self.dropout = nn.Dropout(dropout)

    def embed(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Return the embeddings ``(n_subjects, n_regions, n_hidden)``."""
        scale = (1 + adjacency.sum(dim=-1, keepdim=True)).rsqrt()  # of the nodes: 6 times as few
        for number, layer in enumerate(self.layers):
            nodes = self.dropout(nodes) if number else nodes
            sent = layer.lin(nodes) * scale  # type: ignore[operator]
            heard = torch.baddbmm(sent, adjacency, sent)
            nodes = torch.relu(torch.addcmul(layer.bias, heard, scale))  # type: ignore[arg-type]
        return nodes

    def forward(self, nodes: Tensor, edges: Tensor, adjacency: Tensor) -> Tensor:
        """Return ``(n_subjects, 2 * n_hidden)``."""
        nodes = self.embed(nodes, adjacency)
        return torch.cat([nodes.mean(dim=1), nodes.max(dim=1).values], dim=1)


class GCN(SideBySide):
    """A graph convolutional network a modality, joined in one head.

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
    Kipf and Welling (2017), Semi-supervised classification with graph convolutional networks,
    ICLR. Cui et al. (2022), BrainGB, IEEE TMI 42:493 (connection profiles as node features).
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
            GCNEncoder(n_features, n_hidden, n_layers=n_layers, dropout=dropout)
            for _ in range(n_modalities)
        )
        super().__init__(
            encoders,
            n_encoded=2 * n_hidden,
            n_context=n_context,
            n_outputs=n_outputs,
            n_hidden=n_hidden,
            dropout=dropout,
        )
