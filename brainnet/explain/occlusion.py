"""Occlusion: what an estimator says when part of a subject looks like everybody.

It needs predictions only, so it explains any estimator that takes
:class:`~brainnet.cohort.subjects.Subjects`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from brainnet.cohort.subjects import Subjects, as_subjects
from brainnet.explain.targets import Target
from brainnet.models.edges import column_medians
from brainnet.models.measures import with_measures

__all__ = ["Typical", "occlude_measures", "occlude_modalities", "occlude_regions",
           "permute_measures"]  # fmt: skip

Floats = NDArray[np.float64]

_BYTES = 2**27  # of changed copies of subjects that are predicted at once


@dataclass(frozen=True, eq=False)
class Typical:
    """The median training subject: what an occluded part is replaced by.

    Attributes
    ----------
    edges, values, measures, graph_measures : arrays
        As those of :class:`~brainnet.cohort.subjects.Subjects` without the subjects; NaN where no
        training subject was measured.
    """

    edges: Floats
    values: Floats
    measures: Floats
    graph_measures: Floats

    @classmethod
    def of(cls, training: Any) -> "Typical":
        """Return the medians of training subjects.

        Examples
        --------
        >>> networks = np.array([1.0, 2.0, 6.0])[:, None, None, None] * (1 - np.eye(2))
        >>> Typical.of(networks).edges[0, 0]
        array([0., 2.])
        """
        subjects = as_subjects(training)
        arrays = [getattr(subjects, name) for name in cls.__dataclass_fields__]
        flat = [column_medians(each.reshape(len(each), -1)) for each in arrays]
        return cls(*(m.reshape(each.shape[1:]) for m, each in zip(flat, arrays, strict=True)))


Change = Callable[[Subjects, Typical], Subjects]


def occlude_regions(
    estimator: Any,
    networks: Any,
    training: Any,
    *,
    target: str = "extremes",
    stages: ArrayLike | None = None,
) -> Floats:
    """Return how much of the target each region of each modality accounts for.

    Its edges, value and network measures are replaced by the training medians, together. Measures
    of other regions and of the whole network stay as they are: what the region does to them is not
    taken from it.

    Parameters
    ----------
    estimator : classifier
        Fitted, with ``predict_proba`` and ``classes_``.
    networks : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array
        Whom to explain.
    training : Subjects or array
        Whom the estimator was fitted on.
    target : str
        As :meth:`~brainnet.explain.targets.Target.of`.
    stages : (n_subjects,) array, optional
        For target ``own``.

    Returns
    -------
    (n_subjects, n_modalities, n_regions) array
        Target minus target of the occluded subject, in units of the target; NaN where the region
        was not measured.

    Raises
    ------
    ValueError
        Subjects and training subjects differ in modalities or regions; the target is not one.
    NotFittedError
        The estimator was not fitted.

    References
    ----------
    Zeiler and Fergus (2014), Visualizing and understanding convolutional networks, ECCV.
    """
    subjects, typical = _checked(networks, training)
    n_modalities, n_regions = subjects.shape[1:3]
    places = [(m, r) for m in range(n_modalities) for r in range(n_regions)]
    changes = (_typical_region(*place) for place in places)
    drops = _drops(estimator, subjects, typical, changes, (target, stages))
    found = drops.reshape(n_modalities, n_regions, -1).transpose(2, 0, 1)
    off_diagonal = ~np.eye(n_regions, dtype=bool)
    seen = (np.isfinite(subjects.edges) & off_diagonal).any(axis=3) | np.isfinite(subjects.values)
    return np.where(seen, found, np.nan)


def occlude_modalities(
    estimator: Any,
    networks: Any,
    training: Any,
    *,
    target: str = "extremes",
    stages: ArrayLike | None = None,
    fill: str = "typical",
) -> Floats:
    """Return how much of the target each modality accounts for: leave one modality out.

    Parameters
    ----------
    estimator, networks, training, target, stages
        As :func:`occlude_regions`.
    fill : {"typical", "missing"}
        What stands in for the modality: the training medians, or nothing (NaN, as if it had not
        been scanned), which the estimator has to be able to take.

    Returns
    -------
    (n_subjects, n_modalities) array
        In units of the target; NaN where the subject does not have the modality.

    Raises
    ------
    ValueError, NotFittedError
        As :func:`occlude_regions`; ``fill`` is not known.
    """
    if fill not in ("typical", "missing"):
        raise ValueError(f"fill must be 'typical' or 'missing'; got {fill!r}.")
    subjects, typical = _checked(networks, training)
    make = _typical_modality if fill == "typical" else _missing_modality
    changes = (make(modality) for modality in range(subjects.shape[1]))
    drops = _drops(estimator, subjects, typical, changes, (target, stages))
    return np.where(subjects.present, drops.T, np.nan)


def occlude_measures(
    estimator: Any,
    networks: Any,
    training: Any,
    *,
    target: str = "extremes",
    stages: ArrayLike | None = None,
) -> Floats:
    """Return how much of the target each network measure of each modality accounts for.

    A measure is replaced by its training medians in all regions (or in the whole network, for one
    of networks); edges stay.

    Parameters
    ----------
    estimator, networks, training, target, stages
        As :func:`occlude_regions`. Measures are added where they are not there
        (:func:`~brainnet.models.measures.with_measures`).

    Returns
    -------
    (n_subjects, n_modalities, n_measures) array
        Measures of regions first, then those of networks, in the order of their names; 0 for what
        the estimator does not look at. NaN where the subject does not have the modality.

    Raises
    ------
    ValueError, NotFittedError
        As :func:`occlude_regions`.
    """
    subjects, typical = _checked(with_measures(as_subjects(networks)), _measured(training))
    places = _measure_places(subjects)
    changes = (_typical_measure(*place) for place in places)
    drops = _drops(estimator, subjects, typical, changes, (target, stages))
    found = drops.reshape(subjects.shape[1], -1, len(subjects)).transpose(2, 0, 1)
    return np.where(subjects.present[..., None], found, np.nan)


def permute_measures(
    estimator: Any,
    networks: Any,
    stages: ArrayLike,
    *,
    n_repeats: int = 5,
    seed: int = 0,
) -> Floats:
    """Return how much worse the estimator does when a measure is dealt anew among subjects.

    Unlike :func:`occlude_measures` it asks about the score, not about one subject's answer, and it
    needs no training subjects.

    Parameters
    ----------
    estimator, networks
        As :func:`occlude_regions`. Measures are added where they are not there.
    stages : (n_subjects,) array
    n_repeats : int
        Permutations to average over; the same for all measures.
    seed : int

    Returns
    -------
    (n_modalities, n_measures) array
        Fall of the mean probability of the own stage, in -1..1, in the order of
        :func:`occlude_measures`.

    Raises
    ------
    ValueError, NotFittedError
        As :func:`occlude_regions`; a stage that the estimator does not know.

    References
    ----------
    Breiman (2001), Random forests, Machine Learning 45:5.
    """
    subjects = with_measures(as_subjects(networks))
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(subjects)) for _ in range(n_repeats)]
    changes = (
        _permuted_measure(*place, order) for place in _measure_places(subjects) for order in orders
    )
    drops = _drops(estimator, subjects, Typical.of(subjects), changes, ("own", stages))
    found: Floats = drops.reshape(subjects.shape[1], -1, n_repeats, len(subjects)).mean(axis=(2, 3))
    return found


def measure_names(subjects: Subjects) -> tuple[str, ...]:
    """Return the names of the columns of :func:`occlude_measures`."""
    return (*subjects.measure_names, *subjects.graph_measure_names)


def _measure_places(subjects: Subjects) -> list[tuple[int, str, int]]:
    n_measures, n_graph = subjects.measures.shape[3], subjects.graph_measures.shape[2]
    columns = [("measures", k) for k in range(n_measures)]
    columns += [("graph_measures", k) for k in range(n_graph)]
    return [(modality, *column) for modality in range(subjects.shape[1]) for column in columns]


def _checked(networks: Any, training: Any) -> tuple[Subjects, Typical]:
    """Return subjects and medians of the same layout, or say how they differ."""
    subjects, others = as_subjects(networks), as_subjects(training)
    named = isinstance(networks, Subjects) and isinstance(training, Subjects)
    for name in ("modalities", "regions", "measure_names", "graph_measure_names"):
        here, there = getattr(subjects, name), getattr(others, name)
        if len(here) != len(there) or (named and here != there):
            raise ValueError(
                f"{name} must be the same, in the same order, of subjects and training subjects; "
                f"got {_some(here)} and {_some(there)}. Gather both with the same atlas."
            )
    return subjects, Typical.of(others)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{len(names)} ({shown}{', ...' if len(names) > 3 else ''})" if names else "none"


def _measured(training: Any) -> Subjects:
    return with_measures(as_subjects(training))


def _drops(
    estimator: Any,
    subjects: Subjects,
    typical: Typical,
    changes: Iterable[Change],
    asked: tuple[str, ArrayLike | None],
) -> Floats:
    """Return ``(n_changes, n_subjects)``: target minus target after each change, many at once."""
    if not hasattr(estimator, "predict_proba"):
        raise ValueError(
            "estimator must have predict_proba to be explained; "
            f"got {type(estimator).__name__}. Wrap it in CalibratedClassifierCV."
        )
    check_is_fitted(estimator)
    target = Target.of(asked[0], estimator.classes_)
    own = target.columns(asked[1], len(subjects))

    def score(some: Subjects, n_copies: int) -> Floats:
        chances = torch.from_numpy(np.asarray(estimator.predict_proba(some), dtype=np.float64))
        return np.asarray(target(chances, own.repeat(n_copies)).numpy()).reshape(n_copies, -1)

    before = score(subjects, 1)
    per_batch = max(1, _BYTES // max(1, subjects.edges.nbytes))
    waiting, drops = iter(changes), [np.empty((0, len(subjects)))]
    while batch := list(islice(waiting, per_batch)):
        together = _joined([change(subjects, typical) for change in batch])
        drops.append(before - score(together, len(batch)))
    return np.concatenate(drops)


def _joined(copies: Sequence[Subjects]) -> Subjects:
    """Return several subjects as one, one after the other."""
    arrays = {
        name: np.concatenate([getattr(each, name) for each in copies])
        for name in Typical.__dataclass_fields__
    }
    rows = np.tile(np.arange(len(copies[0])), len(copies))
    return replace(
        copies[0],
        **arrays,
        covariates=copies[0].covariates.iloc[rows].reset_index(drop=True),
        participants=copies[0].participants[rows],
    )


def _typical_region(modality: int, region: int) -> Change:
    def change(subjects: Subjects, typical: Typical) -> Subjects:
        edges, values = subjects.edges.copy(), subjects.values.copy()
        measures = subjects.measures.copy()
        edges[:, modality, region, :] = typical.edges[modality, region]
        edges[:, modality, :, region] = typical.edges[modality, region]
        values[:, modality, region] = typical.values[modality, region]
        measures[:, modality, region] = typical.measures[modality, region]
        return replace(subjects, edges=edges, values=values, measures=measures)

    return change


def _typical_modality(modality: int) -> Change:
    def change(subjects: Subjects, typical: Typical) -> Subjects:
        return _with_modality(subjects, modality, typical)

    return change


def _missing_modality(modality: int) -> Change:
    def change(subjects: Subjects, typical: Typical) -> Subjects:
        nothing = Typical(*(np.full_like(each, np.nan) for each in vars(typical).values()))
        return _with_modality(subjects, modality, nothing)

    return change


def _with_modality(subjects: Subjects, modality: int, source: Typical) -> Subjects:
    arrays = {}
    for name, instead in vars(source).items():
        arrays[name] = getattr(subjects, name).copy()
        arrays[name][:, modality] = instead[modality]
    return replace(subjects, **arrays)


def _typical_measure(modality: int, name: str, column: int) -> Change:
    def change(subjects: Subjects, typical: Typical) -> Subjects:
        values = getattr(subjects, name).copy()
        values[:, modality, ..., column] = getattr(typical, name)[modality, ..., column]
        return _replaced(subjects, name, values)

    return change


def _permuted_measure(modality: int, name: str, column: int, order: NDArray[np.intp]) -> Change:
    def change(subjects: Subjects, typical: Typical) -> Subjects:
        values = getattr(subjects, name).copy()
        values[:, modality, ..., column] = values[order, modality, ..., column]
        return _replaced(subjects, name, values)

    return change


def _replaced(subjects: Subjects, name: str, values: Floats) -> Subjects:
    if name == "measures":
        return replace(subjects, measures=values)
    return replace(subjects, graph_measures=values)
