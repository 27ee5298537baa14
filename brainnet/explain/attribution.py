"""What an explanation gives for each subject, and its summary over subjects."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.explain.targets import Target

__all__ = ["SUMMARIES", "Attribution", "summarise"]

Floats = NDArray[np.float64]

SUMMARIES = ("contrast", "mean", "magnitude")
"""How maps of subjects become one of the group (:func:`summarise`)."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much of a target each region, edge and feature of each subject accounts for.

    Attributes
    ----------
    parts : mapping of str to (n_subjects, n_modalities, n_regions) array
        ``edges`` (half of each edge at either end) and one of each node feature; NaN where the
        subject was not measured.
    edges : (n_subjects, n_modalities, n_regions, n_regions) array
        Symmetric: the whole of each undirected edge stands on both sides of the diagonal.
    context : (n_subjects, n_context) array
        Of the features of the subject as a whole.
    change : (n_subjects,) array
        Target of the subject minus target of the baseline: what all of it adds up to.
    """

    parts: Mapping[str, Floats]
    edges: Floats
    context: Floats
    change: Floats

    @property
    def regions(self) -> Floats:
        """``(n_subjects, n_modalities, n_regions)``: the sum of the parts of each region."""
        stacked = np.stack(list(self.parts.values()))
        return np.asarray(np.where(np.isnan(stacked).all(axis=0), np.nan, np.nansum(stacked, 0)))

    @property
    def gap(self) -> Floats:
        """``(n_subjects,)``: change minus the sum of all attributions; 0 but for the quadrature."""
        total = np.nansum(self.regions, axis=(1, 2)) + self.context.sum(axis=1)
        return np.asarray(self.change - total)


def summarise(
    maps: ArrayLike, kind: str, *, stages: ArrayLike | None = None, target: Target | None = None
) -> Floats:
    """Return the map of a group of subjects.

    Parameters
    ----------
    maps : (n_subjects, ...) array
        NaN where a subject was not measured.
    kind : {"contrast", "mean", "magnitude"}
        ``contrast``: mean of the subjects at one extreme minus mean of those at the other, so
        that it says where the difference between the two stages that the model sees comes from
        (the most severe and the mildest stage; the two stages of a ratio; the stage of the target
        and all others). ``mean``: signed mean. ``magnitude``: mean of absolute values, which a
        region reaches as well by noise that the model follows.
    stages : (n_subjects,) array, optional
        For a contrast.
    target : Target, optional
        For a contrast.

    Returns
    -------
    (...) array
        NaN where no subject was measured (in a contrast: none of either side).

    Raises
    ------
    ValueError
        The kind is not known; a contrast without stages, or with nobody on one side of it.

    Examples
    --------
    >>> target = Target.of("severity", ["CN", "AD"])
    >>> summarise([[1.0], [1.0], [4.0]], "contrast", stages=["CN", "CN", "AD"], target=target)
    array([3.])
    """
    values = np.asarray(maps, dtype=np.float64)
    if kind not in SUMMARIES:
        raise ValueError(f"summary must be one of {', '.join(SUMMARIES)}; got {kind!r}.")
    if kind == "mean":
        return measured_mean(values)
    if kind == "magnitude":
        return measured_mean(np.abs(values))
    if stages is None or target is None:
        raise ValueError("stages must be given for a contrast; got none. Take 'magnitude'.")
    high, low = sides(stages, target)
    return measured_mean(values[high]) - measured_mean(values[low])


def sides(stages: ArrayLike, target: Target) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return who stands at the high and who at the low extreme of a target.

    Examples
    --------
    >>> target = Target.of("severity", ["CN", "EMCI", "AD"])
    >>> [side.tolist() for side in sides(["CN", "EMCI", "AD"], target)]
    [[False, False, True], [True, False, False]]
    """
    labels = np.array([str(each) for each in np.asarray(stages).tolist()])
    order = np.argsort(target.weights, kind="stable")
    if target.name == "own":
        raise ValueError("summary 'contrast' must have a target with two ends; got 'own'. Take "
                         "'mean'.")  # fmt: skip
    top, bottom = target.classes[order[-1]], target.classes[order[0]]
    high = labels == top
    low = ~high if target.unit == "probability" else labels == bottom
    for name, side in ((top, high), (bottom, low)):
        if not side.any():
            raise ValueError(
                f"stages must hold subjects at both ends of {target.name!r}; got none of {name}. "
                "Take summary 'magnitude', or more subjects."
            )
    return high, low


def measured_mean(values: Floats) -> Floats:
    """Return the mean over the first axis without NaN; NaN where there is nothing else.

    Examples
    --------
    >>> measured_mean(np.array([[1.0, np.nan], [2.0, np.nan]]))
    array([1.5, nan])
    """
    seen = ~np.isnan(values)
    count = seen.sum(axis=0)
    total = np.where(seen, values, 0.0).sum(axis=0)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
