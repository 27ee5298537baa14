"""A ridge regression on each kind of measurement of each modality, joined where they are there."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from brainnet.cohort.subjects import Subjects
from brainnet.models.edges import SubjectsTransformer
from brainnet.models.fusion import Reading, fuse, ridge_reading, stage_targets
from brainnet.models.measures import with_measures
from brainnet.models.stages import StageClassifier, balanced_weights, check_stages, inner_splits
from brainnet.models.tables import MedianFill, Standardise

__all__ = ["RidgeStack", "ridge_stack"]

Floats = NDArray[np.float64]


def ridge_stack(*, seed: int = 0) -> "RidgeStack":
    """Return a :class:`RidgeStack`, for the catalogue.

    Examples
    --------
    >>> ridge_stack(seed=1)
    RidgeStack(seed=1)
    """
    return RidgeStack(seed=seed)


class RidgeStack(StageClassifier, SubjectsTransformer):
    """Read the stage off each kind of measurement of each modality, and join the readings.

    Edges, regional values, measures of regions and measures of whole networks of each modality
    give a reading each, by ridge regression of the stage's rank
    (:func:`~brainnet.models.fusion.ridge_reading`). The held-out readings of the training
    subjects say what each stage's readings are like together
    (:func:`~brainnet.models.fusion.fuse`): a subject is staged from those that it has, and what
    it lacks is integrated out. The linear yardstick for cohorts in which modalities are missing.

    Parameters
    ----------
    n_splits : int
        Parts that are held out in turn, stratified by stage, the rows of a participant in one;
        lowered to the number of participants of the smallest stage. Where that is 1, to that of
        the smallest stage of several; who is alone in a stage is read without it.
    seed : int
        Of the parts.

    Attributes
    ----------
    classes_ : (n_stages,) array
    fusion_ : Fusion
    strengths_ : dict of (str, str) to float
        Of each reading, by modality and kind.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.normal(size=(24, 2, 5, 5))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> networks[12:, :, :2, :2] += 6
    >>> networks[::3, 0] = np.nan
    >>> model = RidgeStack().fit(networks[2:-2], ["CN"] * 10 + ["AD"] * 10)
    >>> model.predict(networks[[0, -1]])
    array(['CN', 'AD'], dtype='<U2')
    """

    def __init__(self, *, n_splits: int = 10, seed: int = 0) -> None:
        self.n_splits = n_splits
        self.seed = seed

    def fit(
        self, networks: ArrayLike, stages: ArrayLike, groups: ArrayLike | None = None
    ) -> "RidgeStack":
        """Fit the readings, and what joins them.

        Parameters
        ----------
        networks : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array
        stages : (n_subjects,) array
        groups : (n_subjects,) array, optional
            Participant of each row; those of the subjects by default.
        """
        subjects = with_measures(self.learn_layout(networks))
        labels = check_stages(stages, len(subjects))
        self.classes_ = np.unique(labels)
        places = np.searchsorted(self.classes_, labels)
        targets, weights = stage_targets(self.classes_)[places], balanced_weights(labels)
        people = subjects.participants if groups is None else np.asarray(groups)
        parts = _parts(labels, people, self.n_splits, self.seed)
        held_out, self.readers_, self.strengths_ = [], {}, {}
        for name, table in _tables(subjects).items():
            there = np.isfinite(table).any(axis=1)
            read = np.full_like(targets, np.nan)
            if np.unique(parts[there]).size > 1:
                reader, found = _Reader.fit(
                    table[there], targets[there], weights[there], parts[there]
                )
                read[there] = found.held_out
                self.readers_[name], self.strengths_[name] = reader, found.strength
            held_out.append(read)
        self.fusion_ = fuse(np.concatenate(held_out, axis=1), places, parts)
        return self

    def scores(self, networks: ArrayLike) -> Floats:
        """Return ``(n_subjects, n_stages)`` logarithms of chances, up to a constant."""
        check_is_fitted(self, "fusion_")
        subjects = with_measures(self.check_layout(networks))
        n_targets = stage_targets(self.classes_).shape[1]
        found = []
        for name, table in _tables(subjects).items():
            there = np.isfinite(table).any(axis=1)
            read = np.full((len(subjects), n_targets), np.nan)
            if name in self.readers_ and there.any():
                read[there] = self.readers_[name].read(table[there])
            found.append(read)
        return self.fusion_.log_chances(np.concatenate(found, axis=1))


class _Reader(NamedTuple):
    """One fitted reading: what scales a table, and the weights of its columns."""

    fill: MedianFill
    scale: Standardise
    weights: Floats
    intercept: Floats

    @classmethod
    def fit(
        cls, table: Floats, targets: Floats, weights: Floats, parts: NDArray
    ) -> tuple["_Reader", Reading]:
        fill, scale = MedianFill(), Standardise()
        scaled = scale.fit_transform(fill.fit_transform(table))
        found = ridge_reading(scaled @ scaled.T, targets, weights, parts)
        return cls(fill, scale, scaled.T @ found.coefficients, found.intercept), found

    def read(self, table: Floats) -> Floats:
        scaled = self.scale.transform(self.fill.transform(table))
        return np.asarray(scaled @ self.weights + self.intercept)


def _parts(labels: NDArray, people: NDArray, n_splits: int, seed: int) -> NDArray[np.intp]:
    """Return the part of each row, the rows of a participant in one, of all stages if it can be."""
    dealt = inner_splits(labels, people, n_splits=n_splits, seed=seed)
    parts = np.full(len(labels), -1)
    for number, (_, rows) in enumerate(dealt):
        parts[rows] = number
    left = parts < 0
    if not left.any():
        return parts
    # stages of one participant: the others are dealt stage by stage, and it to one of the parts
    _, first, person = np.unique(people[left], return_index=True, return_inverse=True)
    stage = labels[left][first]
    sizes = np.unique(stage, return_counts=True)[1]
    several = sizes[sizes > 1]
    n_parts = max(2, min(n_splits, int(several.min()) if several.size else first.size))
    order = np.random.default_rng(seed).permutation(first.size)
    order = order[np.argsort(stage[order], kind="stable")]
    turn = np.empty(first.size, dtype=np.intp)
    turn[order] = np.arange(first.size) % n_parts
    parts[left] = len(dealt) + turn[person]
    return parts


def _tables(subjects: Subjects) -> dict[tuple[str, str], Floats]:
    """Return a table for each modality and kind of measurement, a row a subject."""
    n_subjects, _, n_regions, _ = subjects.shape
    rows, columns = np.triu_indices(n_regions, k=1)
    kinds = {
        "edges": subjects.edges[:, :, rows, columns],
        "values": subjects.values,
        "measures": subjects.measures,
        "graph_measures": subjects.graph_measures,
    }
    return {
        (modality, kind): each[:, place].reshape(n_subjects, -1)
        for place, modality in enumerate(subjects.modalities)
        for kind, each in kinds.items()
    }
