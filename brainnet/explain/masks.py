"""GNNExplainer over dense graphs: the fewest edges and features that keep a model's answer.

PyG's ``Explainer`` puts its edge mask into the messages of ``MessagePassing`` layers. Dense layers
(``DenseGCNConv``, attention as one einsum) are none, and it refuses them for want of a gradient at
the edges. The optimisation itself is short; here it works on the dense tensors that every network
of this package takes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from brainnet.explain.scores import Opened, opened
from brainnet.explain.targets import Target
from brainnet.models.graph.brains import Brains
from brainnet.models.graph.inputs import NODE_FEATURES

__all__ = ["MaskSettings", "Masks", "gnn_explainer"]

Floats = NDArray[np.float64]

_SCATTER = 0.1  # standard deviation of the masks' logits at the start


@dataclass(frozen=True)
class MaskSettings:
    """How masks are learned.

    Attributes
    ----------
    size : float
        Price of a modality's mean mask, 0 or more, beside the squared error of the target: a high
        one leaves few edges.
    entropy : float
        Price of the mean entropy (nats) of a modality's mask, 0 or more: pushes it to 0 or 1.
    instead : {"typical", "nothing"}
        What a masked edge turns into in the graph: that of the mean training network, or 0, as in
        the paper. In nodes and edges, which are scaled, both are 0.
    n_epochs : int
        Steps of Adam, at a learning rate of 0.05.
    """

    size: float = 0.2
    entropy: float = 0.02
    instead: str = "typical"
    n_epochs: int = 150

    def __post_init__(self) -> None:
        for name in ("size", "entropy"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or more; got {getattr(self, name)}. Try 0.2.")
        if self.instead not in ("typical", "nothing"):
            raise ValueError(f"instead must be 'typical' or 'nothing'; got {self.instead!r}.")
        if self.n_epochs < 1:
            raise ValueError(f"n_epochs must be at least 1; got {self.n_epochs}. Try 150.")


@dataclass(frozen=True, eq=False)
class Masks:
    """What a model's answers can be kept with, from 0 (dispensable) to 1 (kept).

    Attributes
    ----------
    edges : (n_masks, n_modalities, n_regions, n_regions) array
        Symmetric, zero diagonal. ``n_masks`` is 1 for a mask that all subjects share. NaN where
        not measured (of anybody, where shared).
    features : (n_masks, n_modalities, n_regions) array
        Of each region's node features other than its edges; NaN where the model has none.
    error : float
        Root mean square, over subjects, of what the masked answer misses.
    """

    edges: Floats
    features: Floats
    error: float

    @property
    def regions(self) -> Floats:
        """``(n_masks, n_modalities, n_regions)``: mean mask of a region's edges, plus features'."""
        known = ~np.isnan(self.edges)
        diagonal = np.arange(known.shape[-1])
        known[..., diagonal, diagonal] = False
        count = known.sum(axis=3)
        total = np.where(known, self.edges, 0.0).sum(axis=3)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        both = np.stack([mean, self.features])
        return np.asarray(np.where(np.isnan(both).all(axis=0), np.nan, np.nansum(both, axis=0)))


def gnn_explainer(
    estimator: Any,
    networks: Any,
    *,
    target: str = "extremes",
    stages: ArrayLike | None = None,
    share: str = "cohort",
    settings: MaskSettings | None = None,
    seed: int = 0,
) -> Masks:
    r"""Learn which edges and node features a graph classifier's answers can be kept with.

    With masks :math:`m = \sigma(\theta)` in 0..1 the inputs become :math:`b + m (x - b)`, :math:`b`
    the mean training subject, and

    .. math:: (f(b + m (x - b)) - f(x))^2 + \lambda\,\bar m + \mu\,\overline{H(m)}

    is minimised by Adam. An edge has one mask for all places where the network sees it.

    Parameters
    ----------
    estimator : GraphClassifier
        Fitted; or a pipeline that ends in one.
    networks : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array
    target : str
        As :meth:`~brainnet.explain.targets.Target.of`.
    stages : (n_subjects,) array, optional
        For target ``own``.
    share : {"cohort", "subject"}
        One mask for all subjects, or one each. That of one subject has thousands of numbers to
        keep a single one, so most of it is left to the start; the shared one has to serve
        everybody.
    settings : MaskSettings, optional
    seed : int
        Of the masks at the start. Same seed, same masks on one thread.

    Returns
    -------
    Masks

    Raises
    ------
    ValueError
        The estimator has no gradients; the subjects are not such as it was fitted on; an option
        is not known.
    NotFittedError
        It was not fitted.

    References
    ----------
    Ying, Bourgeois, You, Zitnik and Leskovec (2019), GNNExplainer, NeurIPS. Cui, Dai, Zhu, Li, He
    and Yang (2022), Interpretable graph neural networks for connectome-based brain disorder
    analysis, MICCAI (one mask for a cohort).
    """
    if share not in ("cohort", "subject"):
        raise ValueError(f"share must be 'cohort' or 'subject'; got {share!r}.")
    how = settings or MaskSettings()
    subject = opened(estimator, networks, graph="mean")
    if how.instead == "nothing":
        nothing = torch.zeros_like(subject.brains.adjacency)
        subject = subject._replace(baseline=subject.baseline._replace(adjacency=nothing))
    chosen = Target.of(target, subject.classifier.classes_)
    own = chosen.columns(stages, len(subject.subjects))
    with torch.no_grad():
        wanted = subject.score(subject.brains, chosen, own)
    parameters = _start(subject, 1 if share == "cohort" else len(wanted), seed)
    optimiser = torch.optim.Adam(parameters, lr=0.05)
    for _ in range(how.n_epochs):
        edges, features = _masks(parameters)
        missed = subject.score(_masked(subject, edges, features), chosen, own) - wanted
        loss = missed.square().mean() + _cost(edges, features, how).mean()
        for each, gradient in zip(
            parameters, torch.autograd.grad(loss * len(edges), parameters), strict=True
        ):
            each.grad = gradient
        optimiser.step()
    with torch.no_grad():
        edges, features = _masks(parameters)
        missed = subject.score(_masked(subject, edges, features), chosen, own) - wanted
    return Masks(*_named(subject, edges, features), float(missed.square().mean().sqrt()))


def _start(subject: Opened, n_masks: int, seed: int) -> list[Tensor]:
    """Return logits of the masks near 0 (half kept), from a generator of their own."""
    generator = torch.Generator().manual_seed(seed)
    n_modalities, n_regions = subject.brains.edges.shape[1:3]
    shape = (n_masks, n_modalities, n_regions)
    return [
        (_SCATTER * torch.randn(size, generator=generator)).requires_grad_()
        for size in ((*shape, n_regions), shape)
    ]


def _masks(parameters: list[Tensor]) -> tuple[Tensor, Tensor]:
    edges, features = parameters
    return torch.sigmoid((edges + edges.mT) / 2**0.5), torch.sigmoid(features)


def _masked(subject: Opened, edges: Tensor, features: Tensor) -> Brains:
    """Move what is masked towards the baseline."""
    brains, baseline = subject.brains, subject.baseline
    widths = subject.widths
    n_others = sum(width for name, width in widths.items() if name != "profile")
    mask = [edges] if "profile" in widths else []
    mask.append(features[..., None].expand(*features.shape, n_others))
    return Brains(
        nodes=brains.nodes * torch.cat(mask, dim=-1),
        edges=brains.edges * edges,
        adjacency=baseline.adjacency + edges * (brains.adjacency - baseline.adjacency),
        context=brains.context,
        present=brains.present,
    )


def _cost(edges: Tensor, features: Tensor, how: MaskSettings) -> Tensor:
    """Size and entropy of the masks, ``(n_masks,)``: of each modality's mean, added up."""
    n_regions = edges.shape[-1]
    rows, columns = torch.triu_indices(n_regions, n_regions, 1)
    total = torch.zeros(len(edges))
    for mask in (edges[..., rows, columns], features):
        entropy = torch.special.entr(mask) + torch.special.entr(1 - mask)
        mean = how.size * mask.mean(dim=2) + how.entropy * entropy.mean(dim=2)
        total = total + mean.sum(dim=1)
    return total


def _named(subject: Opened, edges: Tensor, features: Tensor) -> tuple[Floats, Floats]:
    """Return the masks as arrays, NaN where nothing was measured."""
    known = np.isfinite(subject.subjects.edges)
    others = [name for name in subject.widths if name != "profile"]
    seen = np.zeros(known.shape[:3], dtype=bool)
    for name in others:
        seen |= np.isfinite(NODE_FEATURES[name](subject.subjects)).any(axis=-1)
    if len(edges) == 1:
        known = np.asarray(known.any(axis=0, keepdims=True))
        seen = np.asarray(seen.any(axis=0, keepdims=True))
    both_ways = edges.detach().double().numpy()
    both_ways = (both_ways + both_ways.swapaxes(2, 3)) / 2  # sigmoids differ by the last bit
    found = np.where(known, both_ways, np.nan)
    diagonal = np.arange(found.shape[-1])
    found[..., diagonal, diagonal] = 0.0
    return found, np.where(seen, features.detach().double().numpy(), np.nan)
