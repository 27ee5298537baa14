"""Do maps of several runs agree: over folds, over seeds, with another map; and against chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

__all__ = ["Agreement", "agreement", "icc", "rank_correlation", "stability_curve", "top_dice"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How alike the maps of several runs are.

    Attributes
    ----------
    rank_correlation : float
        Mean Spearman correlation of all pairs of runs, -1 to 1.
    icc : float
        Of one run (:func:`icc`).
    dice : float
        Mean overlap of the top regions of all pairs, 0 to 1.
    rank_correlation_chance, dice_chance : float
        95th percentile where each run's regions are permuted.
    p_value : float
        Of the rank correlation against that, one-sided.
    """

    rank_correlation: float
    icc: float
    dice: float
    rank_correlation_chance: float
    dice_chance: float
    p_value: float


def agreement(
    maps: ArrayLike, *, n_top: int = 10, n_permutations: int = 500, seed: int = 0
) -> Agreement:
    """Return how alike the maps of several runs are, beside what chance gives.

    The null permutes the regions of each run on its own. Neighbouring and homotopic regions are
    alike in any brain map, which this null does not know: it is a lower bar.

    Parameters
    ----------
    maps : (n_runs, n_regions) array
        Two runs or more. Regions that are NaN in any run are left out.
    n_top : int
        Regions that count as top.
    n_permutations : int
    seed : int

    Returns
    -------
    Agreement
        NaN throughout where fewer than three regions are in all runs.

    Raises
    ------
    ValueError
        Fewer than two runs.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=50)
    >>> found = agreement(truth + 0.2 * rng.normal(size=(4, 50)))
    >>> found.rank_correlation > 0.9 > found.rank_correlation_chance, found.p_value < 0.05
    (True, True)
    """
    values = np.asarray(maps, dtype=np.float64)
    if values.ndim != 2 or len(values) < 2:
        raise ValueError(
            f"maps must be (n_runs, n_regions) of two runs or more; got shape {values.shape}. "
            "Fit more folds or seeds."
        )
    values = values[:, ~np.isnan(values).any(axis=0)]
    if values.shape[1] < 3:
        return Agreement(*[float("nan")] * 6)
    rng = np.random.default_rng(seed)
    ranks, top = _unit_ranks(values), _top(values, n_top)
    observed, dice = float(_mean_overlap(ranks)), float(_mean_overlap(top))
    null, null_dice = (
        _mean_overlap(rng.permuted(np.broadcast_to(each, (n_permutations, *each.shape)), axis=2))
        for each in (ranks, top)
    )
    return Agreement(
        rank_correlation=observed,
        icc=icc(values),
        dice=dice,
        rank_correlation_chance=float(np.percentile(null, 95)),
        dice_chance=float(np.percentile(null_dice, 95)),
        p_value=float((1 + (null >= observed - 1e-12).sum()) / (1 + n_permutations)),
    )


def rank_correlation(maps: ArrayLike) -> float:
    """Return the mean Spearman correlation of all pairs of maps.

    Parameters
    ----------
    maps : (n_runs, n_regions) array
        Regions that are NaN in any run are left out.

    Returns
    -------
    float
        -1 to 1; a map that is the same in all regions counts 0 with any other. NaN where fewer
        than three regions are in all runs.

    Examples
    --------
    >>> round(rank_correlation([[1, 2, 3, 4], [1, 2, 4, 3]]), 3)
    0.8
    """
    values = np.asarray(maps, dtype=np.float64)
    values = values[:, ~np.isnan(values).any(axis=0)]
    if values.shape[1] < 3:
        return float("nan")
    return float(_mean_overlap(_unit_ranks(values)))


def icc(maps: ArrayLike) -> float:
    r"""Return the intraclass correlation of one run: two-way, consistency, ICC(3,1).

    .. math:: \frac{MS_R - MS_E}{MS_R + (k - 1) MS_E}

    with the mean squares of regions and of the residual, and :math:`k` runs.

    Parameters
    ----------
    maps : (n_runs, n_regions) array
        Without NaN.

    Returns
    -------
    float
        1 where all runs differ by a constant at most; NaN where nothing varies.

    References
    ----------
    Shrout and Fleiss (1979), Psychol Bull 86:420.

    Examples
    --------
    >>> ratings = [[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7]]
    >>> round(icc(ratings), 2)  # the paper's own table
    0.71
    """
    values = np.asarray(maps, dtype=np.float64)
    n_runs, n_regions = values.shape
    of_regions = values.mean(axis=0) - values.mean()
    residual = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    between = n_runs * (of_regions**2).sum() / (n_regions - 1)
    within = (residual**2).sum() / ((n_regions - 1) * (n_runs - 1))
    total = between + (n_runs - 1) * within
    return float((between - within) / total) if total > 0 else float("nan")


def top_dice(maps: ArrayLike, *, n_top: int) -> float:
    """Return the mean Dice overlap of the top regions of all pairs of maps, by absolute value.

    Examples
    --------
    >>> top_dice([[3, -2, 0, 0], [3, 0, 1, 0]], n_top=2)
    0.5
    """
    return float(_mean_overlap(_top(np.asarray(maps, dtype=np.float64), n_top)))


def stability_curve(maps: ArrayLike, *, n_splits: int = 100, seed: int = 0) -> Floats:
    """Return how well the mean of ``k`` runs agrees with the mean of ``k`` others.

    Parameters
    ----------
    maps : (n_runs, n_regions) array
        Regions that are NaN in any run are left out.
    n_splits : int
        Random disjoint pairs of groups of runs to average over.
    seed : int

    Returns
    -------
    (n_runs // 2,) array
        Spearman correlation for ``k`` = 1, 2, ...: where it still climbs, more runs would help.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> curve = stability_curve(rng.normal(size=60) + rng.normal(size=(8, 60)))
    >>> curve.shape, bool(curve[3] > curve[0])
    ((4,), True)
    """
    values = np.asarray(maps, dtype=np.float64)
    rng = np.random.default_rng(seed)
    curve = np.zeros(len(values) // 2)
    for _ in range(n_splits):
        order = rng.permutation(len(values))
        for size in range(1, len(curve) + 1):
            one = values[order[:size]].mean(axis=0)
            other = values[order[size : 2 * size]].mean(axis=0)
            curve[size - 1] += rank_correlation(np.stack([one, other]))
    return np.asarray(curve / n_splits)


def _unit_ranks(values: Floats) -> Floats:
    """Ranks of each run less their mean, of length 1; 0 where nothing varies."""
    ranks = rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(ranks, axis=1, keepdims=True)
    return np.asarray(np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0))


def _top(values: Floats, n_top: int) -> Floats:
    """Mark the largest absolute values of each run, such that the marks have length 1."""
    n_top = min(n_top, values.shape[1])
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :n_top]
    top = np.zeros(values.shape)
    np.put_along_axis(top, order, n_top**-0.5, axis=1)
    return top


def _mean_overlap(unit: Floats) -> Floats:
    """Mean inner product of all pairs of runs, ``(..., n_runs, n_regions)``."""
    n_runs = unit.shape[-2]
    alone = (unit**2).sum(axis=(-2, -1))
    together = (unit.sum(axis=-2) ** 2).sum(axis=-1)
    return np.asarray((together - alone) / (n_runs * (n_runs - 1)))
