"""What the estimators of this room share: checked stages, inner folds, probabilities, pipelines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from brainnet.cohort.subjects import Subjects

__all__ = [
    "Splits", "StageClassifier", "StagePipeline", "as_probabilities", "balanced_weights",
    "check_stages", "held_out_loss", "inner_splits",
]  # fmt: skip

Floats = NDArray[np.float64]
#: Inner folds: rows to train on, and rows held out.
Splits = list[tuple[NDArray[np.intp], NDArray[np.intp]]]


class StagePipeline(Pipeline):
    """A scikit-learn pipeline whose classifier knows which rows belong to one participant.

    Wherever the classifier deals its training rows into inner folds (to choose a penalty, to
    calibrate, to stop), the visits of one person stay together. Who is who comes from ``groups``,
    or else from the :class:`~brainnet.cohort.subjects.Subjects` themselves, so that it holds
    inside scikit-learn's own searches too.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from brainnet.models.edges import EdgeTable
    >>> model = StagePipeline([("edges", EdgeTable()), ("classify", LogisticRegression())])
    >>> model.fit(np.zeros((2, 1, 3, 3)), ["CN", "CN"])
    Traceback (most recent call last):
    ValueError: stages must hold two or more; got CN alone. Add subjects of another stage.
    """

    def fit(
        self, networks: Any, stages: ArrayLike, groups: ArrayLike | None = None, **params: Any
    ) -> "StagePipeline":
        """Fit all steps on training subjects.

        Parameters
        ----------
        networks : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array
        stages : (n_subjects,) array
        groups : (n_subjects,) array, optional
            Participant of each row; those of the subjects where they are known.
        **params
            As scikit-learn's ``step__parameter``.

        Raises
        ------
        ValueError
            Stages of fewer than two kinds, missing, or not one a subject.
        """
        labels = check_stages(stages, len(networks))
        if groups is None and isinstance(networks, Subjects):
            groups = networks.participants
        name, classifier = self.steps[-1]
        if groups is not None and has_fit_parameter(classifier, "groups"):
            params[f"{name}__groups"] = groups
        super().fit(networks, labels, **params)
        return self


class StageClassifier(ClassifierMixin, BaseEstimator):
    """Base of classifiers that give one score a stage: the softmax of the scores is the chance.

    A subclass has ``scores(table)``: ``(n_subjects, n_stages)``, or one column for two stages,
    which then is the score of the second against the first.
    """

    classes_: NDArray

    def scores(self, table: ArrayLike) -> Floats:
        """Return the scores."""
        raise NotImplementedError

    def predict_proba(self, table: ArrayLike) -> Floats:
        """Return ``(n_subjects, n_stages)`` probabilities in the order of ``classes_``."""
        return as_probabilities(self.scores(table))

    def predict(self, table: ArrayLike) -> NDArray:
        """Return the most probable stage of each subject."""
        most_probable = self.predict_proba(table).argmax(axis=1)
        chosen: NDArray = self.classes_[most_probable]
        return chosen


def as_probabilities(scores: Floats) -> Floats:
    """Return the softmax over stages; one column is the second of two stages against the first.

    Examples
    --------
    >>> as_probabilities(np.array([[0.0], [np.log(3)]]))
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
    """
    if scores.shape[1] == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    return np.asarray(softmax(scores, axis=1))


def check_stages(stages: ArrayLike, n_subjects: int) -> NDArray:
    """Return the stages as an array, or say what is wrong with them.

    Raises
    ------
    ValueError
        If there is not one for each subject, one is missing or a fraction, or all are the same.

    Examples
    --------
    >>> check_stages(["CN", "AD"], 2)
    array(['CN', 'AD'], dtype='<U2')
    """
    labels = np.asarray(stages)
    if labels.shape != (n_subjects,):
        raise ValueError(
            f"stages must be one a subject, ({n_subjects},); got shape {labels.shape}. "
            "Give them in the order of the subjects."
        )
    missing = int(pd.isna(labels).sum())
    if missing:
        raise ValueError(
            f"stages must be known; got {missing} missing of {n_subjects}. Leave these out."
        )
    if labels.dtype.kind == "f" and (labels % 1).any():
        raise ValueError(
            f"stages must be classes; got the number {labels[labels % 1 != 0][0]:g}. "
            "Sort a score into classes first."
        )
    if np.unique(labels).size < 2:
        alone = f"{labels[0]} alone" if labels.size else "none"
        raise ValueError(
            f"stages must hold two or more; got {alone}. Add subjects of another stage."
        )
    return labels


def inner_splits(
    labels: NDArray, groups: ArrayLike | None = None, *, n_splits: int, seed: int
) -> Splits:
    """Deal training rows into inner folds, stratified, those of one participant together.

    Parameters
    ----------
    labels : (n_rows,) array
    groups : (n_rows,) array, optional
        Participant of each row; each row its own by default.
    n_splits : int
        Lowered to the number of participants of the smallest class.
    seed : int

    Returns
    -------
    list of (train, held_out) arrays of rows
        Every class is in every ``train``. Empty where no such split can be made.

    Examples
    --------
    >>> folds = inner_splits(np.array(["CN", "CN", "AD", "AD"]), n_splits=3, seed=0)
    >>> [held_out.size for _, held_out in folds]
    [2, 2]
    """
    who = np.arange(labels.size) if groups is None else np.asarray(groups)
    if who.shape != labels.shape:
        raise ValueError(
            f"groups must be one a subject, {labels.shape}; got shape {who.shape}. "
            "Give the participant of each row."
        )
    classes = np.unique(labels)
    possible = min(np.unique(who[labels == each]).size for each in classes)
    n_splits = min(n_splits, possible)
    if n_splits < 2:
        return []
    alone = np.unique(who).size == who.size
    kind = StratifiedKFold if alone else StratifiedGroupKFold
    dealer = kind(n_splits, shuffle=True, random_state=seed)
    folds = dealer.split(labels, labels, None if alone else who)
    return [
        (train, held_out)
        for train, held_out in folds
        if held_out.size and np.unique(labels[train]).size == classes.size
    ]


def balanced_weights(labels: NDArray) -> Floats:
    """Return a weight for each row, so that all classes weigh the same; their mean is 1.

    Examples
    --------
    >>> balanced_weights(np.array(["CN", "CN", "CN", "AD"])).round(2)
    array([0.67, 0.67, 0.67, 2.  ])
    """
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights: Floats = (labels.size / (counts.size * counts))[place]
    return weights


def held_out_loss(scores: Floats, labels: NDArray, classes: Sequence[Any] | NDArray) -> float:
    """Return the mean log-loss of scores, every class weighing the same.

    Examples
    --------
    >>> held_out_loss(np.zeros((3, 1)), np.array(["a", "b", "b"]), ["a", "b"]).__round__(3)
    0.693
    """
    chances = as_probabilities(scores)
    truth = np.searchsorted(classes, labels)
    each = -np.log(np.maximum(chances[np.arange(truth.size), truth], 1e-12))
    return float(np.average(each, weights=balanced_weights(labels)))
