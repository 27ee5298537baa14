"""Scores of probabilistic stage predictions, for many weightings of the subjects at once.

A bootstrap resample is a vector of counts, so 1000 of them are one matrix and a score is a few
matrix products: no loop, and the same code gives the estimate (all weights 1) and its interval.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CONTRASTS", "LOWER_IS_BETTER", "METRICS", "N_BINS", "ORDERED", "bin_of",
    "contrast_metrics", "weighted_contrasts", "weighted_scores",
]  # fmt: skip

Floats = NDArray[np.float64]

METRICS = (
    "balanced_accuracy",
    "accuracy",
    "auc",
    "pairwise_auc",
    "kappa",
    "mean_absolute_error",
    "f1",
    "log_loss",
    "brier",
    "ece",
)
"""Scores that any stages have."""

LOWER_IS_BETTER = frozenset({"mean_absolute_error", "log_loss", "brier", "ece"})

ORDERED = frozenset({"kappa", "mean_absolute_error"})
"""Scores that mean something only where the stages have an order."""

CONTRASTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = MappingProxyType(
    {
        "CN/AD": (frozenset({"CN"}), frozenset({"AD"})),
        "CN/MCI": (frozenset({"CN"}), frozenset({"EMCI", "LMCI", "MCI"})),
        "sMCI/pMCI": (frozenset({"sMCI"}), frozenset({"pMCI"})),
    }
)
"""Pairs of groups that the clinic asks about: the healthier, and the iller, which is detected."""

N_BINS = 10
"""Of the calibration error, equally wide in the probability."""

_OF_CONTRAST = ("sensitivity", "specificity", "auc")
_FLOOR = float(np.finfo(np.float64).eps)


def weighted_scores(
    probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike
) -> dict[str, Floats]:
    r"""Return every score of :data:`METRICS` under every weighting of the subjects.

    ``balanced_accuracy`` is the mean recall of the stages, ``f1`` the mean of their F1. ``auc``
    is the mean area under the curve of each stage against the rest, ``pairwise_auc`` the mean
    over the pairs of stages, each told apart by the one's and by the other's probability (Hand
    and Till's M), which does not hang on how common the stages are. ``kappa`` is Cohen's with
    quadratic weights, :math:`1 - \sum (i-j)^2 O_{ij} / \sum (i-j)^2 E_{ij}`, and
    ``mean_absolute_error`` the mean of :math:`|i - j|`, for stages in order: CN taken for AD
    costs more than CN taken for SMC. ``log_loss`` is the mean of :math:`-\ln p` of the true stage
    (nats; ``p`` at least 2.2e-16), ``brier`` the mean of :math:`\sum_k (p_k - y_k)^2` over all
    stages (0 to 2), and ``ece`` the expected calibration error of the predicted stage,
    :math:`\sum_b |\sum_{i \in b} (y_i - p_i)| / n` over :data:`N_BINS` equal bins of its
    probability, closed above. ``ece`` is above 0 by chance alone, the more the fewer subjects.

    Parameters
    ----------
    probabilities : (n_subjects, n_stages) array
        In 0 to 1. The predicted stage is the most probable, the first of equals.
    truth : (n_subjects,) array of int
        Index of the true stage.
    weights : (n_draws, n_subjects) array
        Non-negative, for example how often each subject was drawn.

    Returns
    -------
    dict of str to (n_draws,) array
        A stage, or pair, of total weight 0 is left out of the means; NaN where a score is not
        defined (kappa of one stage only). Lower is better for :data:`LOWER_IS_BETTER`.

    Raises
    ------
    ValueError
        If the shapes do not fit, or ``truth`` is not an index of a stage.

    References
    ----------
    Hand and Till (2001), Machine Learning 45:171. Cohen (1968), Psychol Bull 70:213. Brier
    (1950), Mon Weather Rev 78:1. Naeini, Cooper and Hauskrecht (2015), AAAI 29:2901.

    Examples
    --------
    >>> scores = weighted_scores([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0, 1, 1], np.ones((1, 3)))
    >>> {name: round(float(value[0]), 3) for name, value in scores.items()}  # doctest: +ELLIPSIS
    {'balanced_accuracy': 0.75, 'accuracy': 0.667, 'auc': 1.0, 'pairwise_auc': 1.0, ...}
    """
    chances, true, draws = _checked(probabilities, truth, weights)
    rows = np.arange(true.size)
    total = draws.sum(axis=1)
    said = chances.argmax(axis=1)
    confusion = _confusion(said, true, draws, chances.shape[1])  # (n_draws, true, predicted)
    with np.errstate(invalid="ignore", divide="ignore"):
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        of_truth, of_predicted = confusion.sum(axis=2), confusion.sum(axis=1)
        f1 = np.where(of_truth > 0, 2 * hits / (of_truth + of_predicted), np.nan)
        loss = -np.log(np.clip(chances[rows, true], _FLOOR, 1.0))
        misfit = ((chances - np.eye(chances.shape[1])[true]) ** 2).sum(axis=1)
        return {
            "balanced_accuracy": _mean_of_defined(hits / of_truth),
            "accuracy": hits.sum(axis=1) / total,
            "auc": _mean_of_defined(_against_rest(chances, true, draws)),
            "pairwise_auc": _mean_of_defined(_against_each(chances, true, draws)),
            "kappa": _quadratic_kappa(confusion),
            "mean_absolute_error": draws @ np.abs(said - true) / total,
            "f1": _mean_of_defined(f1),
            "log_loss": draws @ loss / total,
            "brier": draws @ misfit / total,
            "ece": _calibration_error(chances[rows, said], said == true, draws),
        }


def contrast_metrics(stages: Sequence[str]) -> tuple[str, ...]:
    """Return the scores of the contrasts that some stages allow.

    Examples
    --------
    >>> contrast_metrics(["sMCI", "pMCI"])
    ('sensitivity sMCI/pMCI', 'specificity sMCI/pMCI', 'auc sMCI/pMCI')
    >>> contrast_metrics(["CN", "SMC"])
    ()
    """
    there = [
        name for name, groups in CONTRASTS.items() if all(set(stages) & each for each in groups)
    ]
    return tuple(f"{score} {name}" for name in there for score in _OF_CONTRAST)


def weighted_contrasts(
    probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike, stages: Sequence[str]
) -> dict[str, Floats]:
    """Return sensitivity, specificity and area of each contrast under every weighting.

    Subjects of other stages are left out, and the probabilities of the two groups (each the sum
    of its stages') are scaled to sum to 1. The iller group is said above 1/2: a model that must
    tell more stages is asked about two. What is said of a subject with no probability for
    either group is the healthier one.

    Parameters
    ----------
    probabilities, truth, weights
        As of :func:`weighted_scores`.
    stages : sequence of str
        Names of the columns of ``probabilities``.

    Returns
    -------
    dict of str to (n_draws,) array
        In the order of :func:`contrast_metrics`, from 0 to 1; no contrast that the stages do not
        allow, and NaN where no subject of a group has weight.

    Raises
    ------
    ValueError
        As :func:`weighted_scores`, or if the names are not as many as the columns.

    Examples
    --------
    >>> chances = [[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.1, 0.6, 0.3], [0.3, 0.6, 0.1]]
    >>> found = weighted_contrasts(chances, [0, 1, 2, 2], np.ones((1, 4)), ["CN", "MCI", "AD"])
    >>> {name: float(value[0]) for name, value in found.items() if "CN/AD" in name}
    {'sensitivity CN/AD': 0.5, 'specificity CN/AD': 1.0, 'auc CN/AD': 1.0}
    """
    chances, true, draws = _checked(probabilities, truth, weights)
    if len(stages) != chances.shape[1]:
        raise ValueError(
            f"stages must name the {chances.shape[1]} columns of probabilities; got {len(stages)}."
        )
    found: dict[str, Floats] = {}
    for name, (healthier, iller) in CONTRASTS.items():
        low, high = (np.array([each in group for each in stages]) for group in (healthier, iller))
        if not (low.any() and high.any()):
            continue
        ill, chosen = high[true], (low | high)[true]
        either = chances[:, low | high].sum(axis=1)
        chance = chances[:, high].sum(axis=1) / np.where(either > 0, either, 1.0)
        chance = chance.round(12)  # what is equal but for rounding is a tie
        said, w = chance > 0.5, draws * chosen
        with np.errstate(invalid="ignore", divide="ignore"):
            of_ill, of_well = w @ ill, w @ ~ill
            found[f"sensitivity {name}"] = w @ (ill & said) / of_ill
            found[f"specificity {name}"] = w @ (~ill & ~said) / of_well
            found[f"auc {name}"] = _area(chance, chosen & ill, chosen & ~ill, draws)
    return found


def _checked(
    probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike
) -> tuple[Floats, NDArray[np.intp], Floats]:
    chances = np.asarray(probabilities, dtype=np.float64)
    true, draws = np.asarray(truth, dtype=np.intp), np.asarray(weights, dtype=np.float64)
    if chances.ndim != 2 or true.shape != chances.shape[:1] or draws.shape[1:] != true.shape:
        raise ValueError(
            "probabilities must be (n_subjects, n_stages), truth (n_subjects,) and weights "
            f"(n_draws, n_subjects); got {chances.shape}, {true.shape} and {draws.shape}."
        )
    if true.size and not 0 <= true.min() <= true.max() < chances.shape[1]:
        raise ValueError(
            f"truth must be indices of {chances.shape[1]} stages; got {true.min()} to {true.max()}."
        )
    return chances, true, draws


def _confusion(
    said: NDArray[np.intp], true: NDArray[np.intp], draws: Floats, n_stages: int
) -> Floats:
    cell = np.eye(n_stages**2)[true * n_stages + said]  # (n_subjects, cells)
    confusion: Floats = (draws @ cell).reshape(-1, n_stages, n_stages)
    return confusion


def _area(chance: Floats, own: NDArray[np.bool_], rest: NDArray[np.bool_], draws: Floats) -> Floats:
    """Area under the curve: share of pairs of own and rest in the right order, ties half.

    Along the ordered chances, each value counts the weight of the rest below it and half of the
    rest at it.
    """
    chosen = np.flatnonzero(own | rest)
    if not (own.any() and rest.any()):
        return np.full(len(draws), np.nan)
    values, level = np.unique(chance[chosen], return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.searchsorted(level[order], np.arange(values.size))
    of_own, of_rest = (
        np.add.reduceat(draws[:, chosen[order]] * who[chosen[order]], starts, axis=1)
        for who in (own, rest)
    )
    below = np.cumsum(of_rest, axis=1) - of_rest / 2
    right = np.einsum("dv,dv->d", of_own, below)
    area: Floats = right / (of_own.sum(axis=1) * of_rest.sum(axis=1))
    return area


def _against_rest(chances: Floats, true: NDArray[np.intp], draws: Floats) -> Floats:
    """Return ``(n_draws, n_stages)``: the area of each stage against the rest."""
    areas = [
        _area(chances[:, stage], true == stage, true != stage, draws)
        for stage in range(chances.shape[1])
    ]
    return np.stack(areas, axis=1)


def _against_each(chances: Floats, true: NDArray[np.intp], draws: Floats) -> Floats:
    """Return ``(n_draws, n_pairs)``: the mean of both areas of each pair of stages."""
    areas = [
        (
            _area(chances[:, one], true == one, true == other, draws)
            + _area(chances[:, other], true == other, true == one, draws)
        )
        / 2
        for one, other in combinations(range(chances.shape[1]), 2)
    ]
    return np.stack(areas, axis=1) if areas else np.full((len(draws), 1), np.nan)


def _quadratic_kappa(confusion: Floats) -> Floats:
    steps = np.arange(confusion.shape[1])
    cost = (steps[:, None] - steps) ** 2.0
    observed = np.einsum("dij,ij->d", confusion, cost)
    expected = np.einsum("di,dj,ij->d", confusion.sum(axis=2), confusion.sum(axis=1), cost)
    kappa: Floats = 1 - observed * confusion.sum(axis=(1, 2)) / expected
    return kappa


def bin_of(chance: Floats, n_bins: int = N_BINS) -> NDArray[np.intp]:
    """Return the bin of each probability: equal widths, closed above, 0 in the first.

    Examples
    --------
    >>> bin_of(np.array([0.0, 0.1, 0.11, 1.0])).tolist()
    [0, 0, 1, 9]
    """
    edges = np.linspace(0, 1, n_bins + 1)[1:-1]
    return np.searchsorted(edges, chance, side="left")


def _calibration_error(chance: Floats, right: NDArray[np.bool_], draws: Floats) -> Floats:
    gap = np.eye(N_BINS)[bin_of(chance)] * (right - chance)[:, np.newaxis]
    error: Floats = np.abs(draws @ gap).sum(axis=1) / draws.sum(axis=1)
    return error


def _mean_of_defined(values: Floats) -> Floats:
    """Mean over the last axis without its NaN."""
    defined = ~np.isnan(values)
    mean: Floats = np.where(defined, values, 0.0).sum(axis=-1) / defined.sum(axis=-1)
    return mean
