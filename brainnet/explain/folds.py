"""Estimators fitted on part of the subjects, to be explained on the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.utils.validation import has_fit_parameter

from brainnet.cohort.subjects import Subjects, as_subjects
from brainnet.explain.scores import is_graph

__all__ = ["Fold", "check_folds", "fit_folds"]


@dataclass(frozen=True, eq=False)
class Fold:
    """A fitted estimator, the rows it was fitted on, and those it never saw.

    Attributes
    ----------
    estimator : classifier
    train, test : (n,) arrays of int
        Rows of the subjects.
    fold, seed : int
        Which fold it is, and which of several trainings on it.
    """

    estimator: Any
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    fold: int = 0
    seed: int = 0


def fit_folds(
    estimator: Any,
    networks: Any,
    stages: ArrayLike,
    *,
    n_splits: int = 5,
    n_seeds: int | None = None,
    seed: int = 0,
) -> list[Fold]:
    """Fit clones of an estimator on folds of the subjects, split by participant.

    Parameters
    ----------
    estimator : classifier
        Where it has a parameter ``seed``, each training on a fold gets another one.
    networks : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array
    stages : (n_subjects,) array
    n_splits : int
        Folds, stratified by stage.
    n_seeds : int, optional
        Trainings on each fold. One training of a graph network leaves much of its map to chance;
        the mean of three does not (in ``tests/benchmarks/explain.py``), so 3 is the default for
        those that are not committees already, and 1 for everything else.
    seed : int
        Of the folds, and the first of the trainings.

    Returns
    -------
    list of Fold
        ``n_splits * n_seeds`` of them, the seeds of a fold one after the other.

    Raises
    ------
    ValueError
        Fewer participants of a stage than folds; ``n_seeds`` above 1 for an estimator without one.

    Examples
    --------
    >>> from brainnet.models.linear import majority
    >>> folds = fit_folds(majority(), np.zeros((6, 1, 3, 3)), ["CN", "AD"] * 3, n_splits=3)
    >>> [sorted(set(each.train) & set(each.test)) for each in folds]
    [[], [], []]
    """
    subjects, labels = as_subjects(networks), np.asarray(stages)
    counts = [np.unique(subjects.participants[labels == each]).size for each in np.unique(labels)]
    if min(counts) < n_splits or n_splits < 2:
        raise ValueError(
            f"n_splits must be 2 or more and at most the participants of the smallest stage, "
            f"{min(counts)}; got {n_splits}."
        )
    if n_seeds is None:
        n_seeds = 3 if is_graph(estimator) and _alone(estimator) else 1
    if n_seeds < 1 or (n_seeds > 1 and not _seeds(estimator)):
        raise ValueError(
            f"n_seeds must be 1 or more, and 1 for an estimator without a seed; got {n_seeds}."
        )
    dealer = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    fitted = []
    for fold, (train, test) in enumerate(dealer.split(labels, labels, subjects.participants)):
        for number in range(n_seeds):
            fresh = with_seed(estimator, seed + number)
            fit_one(fresh, subjects[train], labels[train])
            fitted.append(Fold(fresh, train, test, fold, seed + number))
    return fitted


def with_seed(estimator: Any, seed: int) -> Any:
    """Return a clone with another seed, wherever in it a seed is."""
    return clone(estimator).set_params(**dict.fromkeys(_seeds(estimator), seed))


def _alone(estimator: Any) -> bool:
    """Say whether a graph classifier is one network, not a committee."""
    sizes = [value for name, value in estimator.get_params().items() if name.endswith("n_members")]
    return max(sizes, default=1) == 1


def _seeds(estimator: Any) -> list[str]:
    names = estimator.get_params()
    return [name for name in names if name == "seed" or name.endswith("__seed")]


def fit_one(fresh: Any, subjects: Subjects, labels: NDArray) -> Any:
    """Fit an estimator, with its participants where it can use them."""
    if has_fit_parameter(fresh, "groups"):
        return fresh.fit(subjects, labels, groups=subjects.participants)
    return fresh.fit(subjects, labels)


def check_folds(folds: Sequence[Fold], subjects: Subjects) -> None:
    """Raise where a participant is on both sides of a fold, or the folds differ in their stages.

    Raises
    ------
    ValueError
    """
    if not folds or not all(isinstance(each, Fold) for each in folds):
        raise ValueError(
            "fitted must be an estimator or one Fold or more; got "
            f"{[type(each).__name__ for each in folds] or 'none'}. Use fit_folds."
        )
    classes = np.asarray(folds[0].estimator.classes_).tolist()
    for each in folds:
        both = np.intersect1d(
            subjects.participants[each.train], subjects.participants[each.test]
        ).tolist()
        if both:
            raise ValueError(
                f"train and test must share no participant; in fold {each.fold} both hold "
                f"{', '.join(both[:5])}. Split by participant, not by scan."
            )
        if np.asarray(each.estimator.classes_).tolist() != classes:
            raise ValueError(
                "folds must know the same stages; got "
                f"{np.asarray(each.estimator.classes_).tolist()} and {classes}. Use fewer folds."
            )
