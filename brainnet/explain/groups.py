"""The plain difference of two groups, region by region, that an explanation is held against."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.cohort.subjects import as_subjects
from brainnet.explain.agreement import rank_correlation

__all__ = ["GroupDifference", "agreement_with_groups", "group_difference"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GroupDifference:
    """Welch's t and Cohen's d of each measure of each region.

    Attributes
    ----------
    measures : tuple of str
        ``mean_edge`` (of a region), ``values``, ``edges`` (root mean square of the
        statistic over the region's edges, 0 or more), then the network measures.
    t, d : (n_measures, n_modalities, n_regions) arrays
        Second group minus first; NaN where a group has fewer than two measured subjects.
    """

    measures: tuple[str, ...]
    t: Floats
    d: Floats


def group_difference(
    networks: Any, stages: ArrayLike, *, low: str = "CN", high: str = "AD"
) -> GroupDifference:
    r"""Compare two groups region by region.

    .. math:: t = \frac{\bar x_2 - \bar x_1}{\sqrt{s_1^2/n_1 + s_2^2/n_2}},
              \qquad d = \frac{\bar x_2 - \bar x_1}{s_\mathrm{pooled}}

    Parameters
    ----------
    networks : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array
        The subjects that the model was trained on, to compare with what it learned.
    stages : (n_subjects,) array
    low, high : str
        The two groups.

    Returns
    -------
    GroupDifference

    Raises
    ------
    ValueError
        A group has fewer than two subjects.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.normal(size=(20, 1, 5, 5))
    >>> networks = networks + networks.mT
    >>> networks[10:, :, 0, 1:] += 3
    >>> networks[10:, :, 1:, 0] += 3
    >>> found = group_difference(networks, ["CN"] * 10 + ["AD"] * 10)
    >>> int(np.abs(found.t[0, 0]).argmax())
    0
    """
    subjects = as_subjects(networks)
    labels = np.array([str(each) for each in np.asarray(stages).tolist()])
    for name in (low, high):
        if (labels == name).sum() < 2:
            raise ValueError(
                f"stages must hold two or more subjects of {low} and of {high}; got "
                f"{(labels == name).sum()} of {name}. Name two other groups."
            )
    edges = subjects.edges.copy()
    diagonal = np.arange(edges.shape[-1])
    edges[..., diagonal, diagonal] = np.nan
    features = np.concatenate(
        [_mean(edges)[..., np.newaxis], subjects.values[..., np.newaxis], subjects.measures],
        axis=-1,
    )
    of_features = np.moveaxis(_statistics(features, labels == low, labels == high), -1, 1)
    of_edges = _statistics(edges, labels == low, labels == high)
    joint = np.sqrt(_mean(of_edges**2))
    t, d = (np.concatenate([f[:2], e[np.newaxis], f[2:]]) for f, e in
            zip(of_features, joint, strict=True))  # fmt: skip
    return GroupDifference(("mean_edge", "values", "edges", *subjects.measure_names), t, d)


def agreement_with_groups(maps: ArrayLike, difference: GroupDifference) -> Floats:
    """Return how a map's sizes follow those of the group difference, region by region.

    Parameters
    ----------
    maps : (n_modalities, n_regions) array
    difference : GroupDifference

    Returns
    -------
    (n_measures, n_modalities) array
        Spearman correlation of absolute attribution and absolute ``t``, -1 to 1; NaN where the
        measure does not exist in the modality.
    """
    values = np.abs(np.asarray(maps, dtype=np.float64))
    return np.array(
        [
            [rank_correlation(np.stack([own, other])) for own, other in zip(values, t, strict=True)]
            for t in np.abs(difference.t)
        ]
    )


def _statistics(values: Floats, low: NDArray[np.bool_], high: NDArray[np.bool_]) -> Floats:
    """Return t and d along a new first axis."""
    count, mean, variance = (np.stack(pair) for pair in zip(
        _moments(values[low]), _moments(values[high]), strict=True
    ))  # fmt: skip
    enough = (count >= 2).all(axis=0)
    count = np.where(enough, count, 2.0)
    difference = mean[1] - mean[0]
    error = np.sqrt((variance / count).sum(axis=0))
    pooled = np.sqrt(((count - 1) * variance).sum(axis=0) / (count.sum(axis=0) - 2))
    found = [
        np.where(enough & (scale > 0), difference / np.where(scale > 0, scale, 1.0), np.nan)
        for scale in (error, pooled)
    ]
    return np.stack(found)


def _moments(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Count, mean and variance (n - 1) over the first axis without NaN."""
    seen = ~np.isnan(values)
    count = seen.sum(axis=0).astype(np.float64)
    mean = np.where(seen, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    away = np.where(seen, values - mean, 0.0)
    return count, mean, (away**2).sum(axis=0) / np.maximum(count - 1, 1)


def _mean(values: Floats) -> Floats:
    """Mean over the last axis without NaN; NaN where there is nothing else."""
    seen = ~np.isnan(values)
    total = np.where(seen, values, 0.0).sum(axis=-1)
    count = seen.sum(axis=-1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
