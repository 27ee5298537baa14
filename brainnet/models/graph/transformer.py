"""Brain Network Transformer: attention among all regions, read out by clusters of regions."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from brainnet.models.graph.modalities import SideBySide

__all__ = ["BrainNetworkTransformer", "ClusterReadout", "TransformerEncoder", "orthonormal"]


class ClusterReadout(nn.Module):
    r"""Sum regions by cluster: as many vectors a subject as there are clusters.

    Each region belongs to cluster :math:`k` by the share
    :math:`\mathrm{softmax}_k \langle z_i, e_k \rangle`. The centres :math:`e_k` are orthonormal
    and stay as they were drawn, which tells regions apart best (the paper's theorem).

    Parameters
    ----------
    n_hidden : int
    n_clusters : int
        At most ``n_hidden``.
    """

    centres: Tensor

    def __init__(self, n_hidden: int, n_clusters: int) -> None:
        super().__init__()
        if not 1 <= n_clusters <= n_hidden:
            raise ValueError(
                f"n_clusters must be from 1 to n_hidden = {n_hidden}, as their centres are "
                f"orthonormal; got {n_clusters}. Use fewer."
            )
        self.register_buffer("centres", orthonormal(n_clusters, n_hidden))

    def forward(self, nodes: Tensor) -> Tensor:
        """Return ``(n_subjects, n_clusters, n_hidden)``."""
        shares = torch.softmax(nodes @ self.centres.T, dim=-1)
        return shares.mT @ nodes


class TransformerEncoder(nn.Module):
    """Let the regions of one network a subject attend to one another, and read out clusters.

    Parameters
    ----------
    n_features, n_hidden : int
        What describes a region is mapped to ``n_hidden`` channels first.
    n_heads, n_layers, n_feedforward : int
    n_clusters, n_reduced : int
        Each cluster is reduced to ``n_reduced`` numbers.
    dropout : float
        Share of channels zeroed in training, before the first layer. The layers drop nothing: to
        draw what they would drop takes half of the time.
    """

    def __init__(
        self,
        n_features: int,
        n_hidden: int,
        *,
        n_heads: int,
        n_layers: int,
        n_clusters: int,
        n_reduced: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if n_heads < 1 or n_hidden % n_heads:
            raise ValueError(
                f"n_heads must divide n_hidden = {n_hidden}; got {n_heads}. Use n_heads=1."
            )
        self.describe = nn.Linear(n_features, n_hidden)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(n_hidden, n_heads, 2 * n_hidden, 0.0, batch_first=True)
            for _ in range(n_layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.readout = ClusterReadout(n_hidden, n_clusters)
        self.reduce = nn.Linear(n_hidden, n_reduced)

    def embed(self, nodes: Tensor) -> Tensor:
        """Return the embeddings ``(n_subjects, n_regions, n_hidden)``."""
        nodes = self.dropout(self.describe(nodes))
        for layer in self.layers:
            nodes = layer(nodes)
        return nodes

    def forward(self, nodes: Tensor, edges: Tensor, adjacency: Tensor) -> Tensor:
        """Return ``(n_subjects, n_clusters * n_reduced)``; of the three ``nodes`` are looked at."""
        clusters = self.reduce(self.readout(self.embed(nodes)))
        return functional.leaky_relu(clusters).flatten(start_dim=1)


class BrainNetworkTransformer(SideBySide):
    """A Brain Network Transformer a modality, joined in one head.

    It sees the regions as they are described, by their connection profile unless told otherwise,
    and no graph. Regions may come in any order as long as their features come along.

    Parameters
    ----------
    n_features, n_modalities, n_regions, n_context, n_outputs : int
        What comes in and out (:class:`~brainnet.models.graph.brains.Brains`).
    n_hidden : int
        Channels of every region and of the head. The paper has none of its own: its layers are as
        wide as the profile (200 to 400), with 1,024 channels in between.
    n_heads : int
        Heads of attention; they divide ``n_hidden``.
    n_layers : int
    n_clusters : int
        At most ``n_hidden``; the paper tries up to 100 in wider layers.
    n_reduced : int
        Numbers left of a cluster.
    dropout : float

    References
    ----------
    Kan et al. (2022), Brain Network Transformer, NeurIPS.
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
        n_heads: int = 4,
        n_layers: int = 2,
        n_clusters: int = 10,
        n_reduced: int = 8,
        dropout: float = 0.3,
    ) -> None:
        encoders = (
            TransformerEncoder(
                n_features, n_hidden, n_heads=n_heads, n_layers=n_layers, n_clusters=n_clusters,
                n_reduced=n_reduced, dropout=dropout,
            )
            for _ in range(n_modalities)
        )  # fmt: skip
        super().__init__(
            encoders,
            n_encoded=n_clusters * n_reduced,
            n_context=n_context,
            n_outputs=n_outputs,
            n_hidden=n_hidden,
            dropout=dropout,
        )


def orthonormal(n_rows: int, n_columns: int) -> Tensor:
    """Draw orthonormal rows from torch's generator: Xavier's, made orthogonal by Gram and Schmidt.

    Examples
    --------
    >>> rows = orthonormal(3, 8)
    >>> torch.allclose(rows @ rows.T, torch.eye(3), atol=1e-6)
    True
    """
    drawn = nn.init.xavier_uniform_(torch.empty(n_rows, n_columns))
    across, along = torch.linalg.qr(drawn.T)
    rows: Tensor = (across * along.diagonal().sign()).T
    return rows.contiguous()
