"""What models fitted on inner folds say of the training subjects that they did not see."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import _safe_indexing

from brainnet.cohort.subjects import Subjects
from brainnet.evaluate.jobs import fit_clone
from brainnet.models.stages import inner_splits

__all__ = ["Inner", "aligned", "inner_predictions", "participants_of", "rows_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Inner:
    """Models of inner folds and their predictions.

    Attributes
    ----------
    models : tuple
        One a fold; none where no split can be made.
    chances : (n_rows, n_stages) float64 array
        Of each row by the model that did not see it; NaN where there is none.
    fold : (n_rows,) array of int
        Which model that is; -1 for none.
    """

    models: tuple[Any, ...]
    chances: Floats
    fold: NDArray[np.intp]


def inner_predictions(
    estimator: Any,
    subjects: Any,
    labels: NDArray,
    classes: NDArray,
    *,
    groups: NDArray,
    n_splits: int,
    n_models: int | None = None,
    seed: int,
) -> Inner:
    """Fit clones of an estimator on inner folds and predict the rows held out.

    Parameters
    ----------
    estimator : classifier
    subjects : Subjects or array
    labels : (n_rows,) array
    classes : (n_stages,) array
        Columns of the probabilities.
    groups : (n_rows,) array
        Participant of each row, whose rows stay together.
    n_splits, seed
        As of :func:`brainnet.models.stages.inner_splits`.
    n_models : int, optional
        How many of the folds to fit; all by default.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> labels = np.array(["AD", "CN"] * 3)
    >>> found = inner_predictions(
    ...     DummyClassifier(), np.zeros((6, 1)), labels, np.unique(labels),
    ...     groups=np.arange(6), n_splits=3, seed=0,
    ... )
    >>> len(found.models), found.chances[0].tolist()
    (3, [0.5, 0.5])
    """
    chances = np.full((labels.size, classes.size), np.nan)
    fold = np.full(labels.size, -1)
    models: list[Any] = []
    splits = inner_splits(labels, groups, n_splits=n_splits, seed=seed)
    for train, held_out in splits[:n_models]:
        model = fit_clone(estimator, _safe_indexing(subjects, train), labels[train], groups[train])
        chances[held_out] = aligned(model, _safe_indexing(subjects, held_out), classes)
        fold[held_out] = len(models)
        models.append(model)
    return Inner(tuple(models), chances, fold)


def aligned(model: Any, subjects: Any, classes: NDArray) -> Floats:
    """Return a model's probabilities in the order of some classes; 0 for one it does not know."""
    places = [classes.tolist().index(each) for each in model.classes_.tolist()]
    chances = np.zeros((len(subjects), classes.size))
    chances[:, places] = model.predict_proba(subjects)
    return chances


def participants_of(subjects: Any, groups: ArrayLike | None) -> NDArray:
    """Return who each row is: the groups, or what the subjects know, or each row its own.

    Raises
    ------
    ValueError
        If there is not one group a row.
    """
    if groups is None:
        known = isinstance(subjects, Subjects)
        return np.asarray(subjects.participants if known else np.arange(len(subjects)))
    who = np.asarray(groups)
    if who.shape != (len(subjects),):
        raise ValueError(
            f"groups must name a participant a row, ({len(subjects)},); got shape {who.shape}."
        )
    return who


def rows_of(participants: NDArray) -> list[NDArray[np.intp]]:
    """Return the rows of each participant, participants in order of name.

    Examples
    --------
    >>> [rows.tolist() for rows in rows_of(np.array(["02", "01", "02"]))]
    [[1], [0, 2]]
    """
    _, place, counts = np.unique(participants, return_inverse=True, return_counts=True)
    return np.split(np.argsort(place, kind="stable"), np.cumsum(counts)[:-1])
