"""BrainGNN: convolutions that know which region they are at, and a choice of regions."""

from itertools import pairwise
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn.inits import glorot

from brainnet.models.graph.brains import Brains
from brainnet.models.graph.modalities import SideBySide

__all__ = ["BrainGNN", "BrainGNNEncoder", "Chosen", "RegionAwareConvolution", "RegionPooling"]

_LEAST_SPREAD = 1e-6  # of scores: where all regions score the same, none stands out


class Chosen(NamedTuple):
    """The regions that a pooling layer keeps.

    Attributes
    ----------
    nodes : (n_subjects, n_kept, n_hidden) tensor
    regions : (n_subjects, n_kept) int64 tensor
        Which they are, the highest score first.
    scores : (n_subjects, n_candidates) tensor
        Of all regions that could have been kept: mean 0 and deviation 1 in each subject.
    kept : (n_subjects, n_kept) int64 tensor
        Places of the kept among the candidates.
    """

    nodes: Tensor
    regions: Tensor
    scores: Tensor
    kept: Tensor


class RegionAwareConvolution(nn.Module):
    r"""Convolve with a kernel of each region's own, mixed from the kernels of a few communities.

    .. math::

        x'_i = \mathrm{ReLU}\left(
        \frac{W_i x_i + \sum_j w_{ij} W_j x_j}{1 + \sum_j w_{ij}} \right), \quad
        W_i = B_0 + \sum_k \mathrm{ReLU}(\theta_{ki}) B_k

    Parameters
    ----------
    n_features, n_hidden : int
        Channels in and out.
    n_regions, n_communities : int

    Notes
    -----
    The paper's formula does not divide, its authors' program takes the softmax of the weights.
    Undivided, sums over 20 to 40 neighbours a layer grow until nothing is learned from them.
    """

    def __init__(
        self, n_features: int, n_hidden: int, *, n_regions: int, n_communities: int
    ) -> None:
        super().__init__()
        self.membership = nn.Parameter(torch.rand(n_communities, n_regions))
        self.kernels = nn.Parameter(torch.empty(n_communities, n_features, n_hidden))
        self.shared = nn.Parameter(torch.empty(n_features, n_hidden))
        glorot(self.kernels)
        glorot(self.shared)
        self.kernels.data /= n_communities**0.5

    def forward(self, nodes: Tensor, adjacency: Tensor, there: Tensor) -> Tensor:
        """Return ``(n_subjects, n_regions, n_hidden)``.

        Parameters
        ----------
        nodes : (n_subjects, n_regions, n_features) tensor
            0 where a region was dropped.
        adjacency : (n_subjects, n_regions, n_regions) tensor
        there : (n_subjects, n_regions, 1) tensor
            1 for the regions still there, 0 for those dropped.
        """
        mixture = torch.relu(self.membership).T @ self.kernels.flatten(start_dim=1)
        kernels = mixture.view(-1, *self.shared.shape) + self.shared
        mapped = (nodes.transpose(0, 1) @ kernels).transpose(0, 1)  # a product for each region
        total = 1 + adjacency @ there
        return torch.relu(torch.baddbmm(mapped, adjacency, mapped) / total)


class RegionPooling(nn.Module):
    r"""Keep the share of regions that lie farthest in a learned direction.

    Scores :math:`s = X w / \lVert w \rVert`, scaled to mean 0 and deviation 1 over the regions of
    each subject, choose the regions; those kept are multiplied by :math:`\mathrm{sigmoid}(s)`.
    The length of :math:`w` cancels.

    Parameters
    ----------
    n_hidden : int
    ratio : float
        Share of the regions to keep, rounded up, in (0, 1].
    """

    def __init__(self, n_hidden: int, ratio: float) -> None:
        super().__init__()
        if not 0 < ratio <= 1:
            raise ValueError(f"ratio must be in (0, 1]; got {ratio}. Try 0.5.")
        self.ratio = ratio
        self.direction = nn.Parameter(torch.randn(n_hidden))

    def forward(self, nodes: Tensor, candidates: Tensor) -> Chosen:
        """Choose among ``candidates``, ``(n_subjects, n_candidates)``, the places of regions."""
        scores = (nodes @ self.direction).gather(1, candidates)
        scores = scores - scores.mean(dim=1, keepdim=True)
        spread = scores.square().mean(dim=1, keepdim=True).clamp(min=_LEAST_SPREAD**2).sqrt()
        scores = scores / spread
        highest, kept = scores.topk(ceil(self.ratio * scores.shape[1]), dim=1)
        regions = candidates.gather(1, kept)
        there = regions.unsqueeze(-1).expand(-1, -1, nodes.shape[-1])
        return Chosen(
            nodes.gather(1, there) * torch.sigmoid(highest).unsqueeze(-1), regions, scores, kept
        )

    def penalty(self, chosen: Chosen, *, topk: float) -> Tensor:
        r"""Return the paper's unit loss and its top-k loss, weighted, as one number.

        .. math::

            (\lVert w \rVert - 1)^2 - \frac{\lambda}{N} \left( \sum_{kept} \log \sigma(s)
            + \sum_{dropped} \log (1 - \sigma(s)) \right)
        """
        dropped = torch.ones_like(chosen.scores, dtype=torch.bool).scatter(1, chosen.kept, False)
        sides = torch.where(dropped, -chosen.scores, chosen.scores)
        unit: Tensor = (self.direction.norm() - 1) ** 2
        return unit - topk * functional.logsigmoid(sides).mean()


class BrainGNNEncoder(nn.Module):
    """Convolve and pool one graph a subject, and read mean and maximum of what is kept each time.

    Parameters
    ----------
    n_features, n_hidden : int
    n_regions, n_communities : int
    n_layers : int
        Pairs of a convolution and a pooling.
    ratio : float
        Share of the regions that each pooling keeps.
    """

    def __init__(
        self,
        n_features: int,
        n_hidden: int,
        *,
        n_regions: int,
        n_communities: int,
        n_layers: int,
        ratio: float,
    ) -> None:
        super().__init__()
        sizes = [n_features] + [n_hidden] * n_layers
        self.convolutions = nn.ModuleList(
            RegionAwareConvolution(*each, n_regions=n_regions, n_communities=n_communities)
            for each in pairwise(sizes)
        )
        self.poolings = nn.ModuleList(RegionPooling(n_hidden, ratio) for _ in range(n_layers))

    def choose(self, nodes: Tensor, adjacency: Tensor) -> list[Chosen]:
        """Return the regions kept after each layer.

        Regions that were dropped stay in place as zeros: they send nothing on, and are no
        candidates any more.
        """
        n_subjects, n_regions, _ = nodes.shape
        candidates = torch.arange(n_regions, device=nodes.device).expand(n_subjects, -1)
        there = torch.ones_like(nodes[..., :1])
        layers = []
        for convolve, pool in zip(self.convolutions, self.poolings, strict=True):
            convolved = convolve(nodes, adjacency, there)
            layers.append(chosen := pool(convolved, candidates))
            candidates, places = chosen.regions, chosen.regions.unsqueeze(-1)
            there = torch.zeros_like(there).scatter(1, places, 1.0)
            places = places.expand_as(chosen.nodes)
            nodes = torch.zeros_like(convolved).scatter(1, places, chosen.nodes)
        return layers

    def penalty(self, layers: list[Chosen], *, topk: float) -> Tensor:
        """Return the penalty of what :meth:`choose` gave, summed over layers."""
        parts = []
        for pool, chosen in zip(self.poolings, layers, strict=True):
            assert isinstance(pool, RegionPooling)
            parts.append(pool.penalty(chosen, topk=topk))
        return torch.stack(parts).sum()

    @staticmethod
    def read(layers: list[Chosen]) -> Tensor:
        """Return ``(n_subjects, n_layers * 2 * n_hidden)`` of what :meth:`choose` gave."""
        parts = [(each.nodes.mean(dim=1), each.nodes.max(dim=1).values) for each in layers]
        return torch.cat([part for both in parts for part in both], dim=1)

    def forward(self, nodes: Tensor, edges: Tensor, adjacency: Tensor) -> Tensor:
        """Return ``(n_subjects, n_layers * 2 * n_hidden)``."""
        return self.read(self.choose(nodes, adjacency))


class BrainGNN(SideBySide):
    """A BrainGNN a modality, joined in one head.

    Every region has a kernel of its own, so the order of the regions matters.

    Parameters
    ----------
    n_features, n_modalities, n_regions, n_context, n_outputs : int
        What comes in and out (:class:`~brainnet.models.graph.brains.Brains`).
    n_hidden : int
        Channels of every convolution and of the head.
    n_communities : int
        Kernels that those of the regions are mixed from.
    n_layers : int
    ratio : float
        Share of the regions that each pooling keeps, in (0, 1].
    dropout : float
        Share of what is read out that is zeroed in training.

    Notes
    -----
    The paper adds losses of the pooling to that of the stages; :meth:`with_penalty` gives those
    that need no stages. Its group-level consistency loss is not here.

    References
    ----------
    Li et al. (2021), BrainGNN: interpretable brain graph neural network for fMRI analysis,
    Medical Image Analysis 74:102233.
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
        n_communities: int = 8,
        n_layers: int = 2,
        ratio: float = 0.5,
        dropout: float = 0.3,
    ) -> None:
        encoders = (
            BrainGNNEncoder(
                n_features, n_hidden, n_regions=n_regions, n_communities=n_communities,
                n_layers=n_layers, ratio=ratio,
            )
            for _ in range(n_modalities)
        )  # fmt: skip
        super().__init__(
            encoders,
            n_encoded=2 * n_layers * n_hidden,
            n_context=n_context,
            n_outputs=n_outputs,
            n_hidden=n_hidden,
            dropout=dropout,
        )

    def with_penalty(self, brains: Brains, *, topk: float = 0.1) -> tuple[Tensor, Tensor]:
        """Return the outputs, and what the paper adds to their loss: one number.

        Parameters
        ----------
        brains : Brains
        topk : float
            Weight of the loss that drives scores of kept and of dropped regions apart; the unit
            loss of the directions weighs 1. Summed over layers and modalities.
        """
        encoded, penalties = [], []
        for each, encoder in enumerate(self.encoders):
            assert isinstance(encoder, BrainGNNEncoder)
            layers = encoder.choose(brains.nodes[:, each], brains.adjacency[:, each])
            encoded.append(encoder.read(layers))
            penalties.append(encoder.penalty(layers, topk=topk))
        outputs: Tensor = self.head(self.dropout(torch.cat([*encoded, brains.context], dim=1)))
        return outputs, torch.stack(penalties).sum()
