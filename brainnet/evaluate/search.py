"""Choose settings on inner folds of the training rows: the test rows never take part."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.model_selection import ParameterGrid, StratifiedGroupKFold
from sklearn.utils.validation import check_is_fitted

from brainnet.cohort import words
from brainnet.cohort.subjects import Subjects
from brainnet.evaluate.folds import counted
from brainnet.evaluate.inputs import in_order
from brainnet.evaluate.jobs import fit_clone, probabilities_of
from brainnet.evaluate.leaks import LeakError
from brainnet.evaluate.scores import LOWER_IS_BETTER, METRICS, weighted_scores

__all__ = ["Search"]

Grid = Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Sequence[Any]]]


class Search(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Choose an estimator's setting by inner cross-validation, then fit it on all rows given.

    Within a fold of an evaluation the rows given are its training rows, so this is nested
    cross-validation: the choice is learned like everything else. Inner folds are stratified by
    stage, and a participant's rows stay together. Unlike scikit-learn's searches it takes
    :class:`~brainnet.cohort.subjects.Subjects`, groups without being told to, and makes do with
    small stages.

    Parameters
    ----------
    estimator : classifier
    grid : mapping or sequence of mappings
        Names of its parameters to the values to try (``scale__with_mean`` for what stands inside),
        as :class:`sklearn.model_selection.ParameterGrid` takes. Among equals the first wins, so
        put the simplest first.
    n_splits : int
        Inner folds. Lowered, with a warning, to the participants of the smallest stage; where that
        is 1 nothing can be chosen on, and the first setting is taken.
    scoring : str or callable
        One of :data:`brainnet.evaluate.METRICS`, whether more of it is better or less; or
        ``scoring(probabilities, truth) -> float``, more is better: columns are the stages in
        order (:func:`brainnet.evaluate.in_order`), ``truth`` is that of the true stage. The mean
        over inner folds decides.
    seed : int
        Deals the inner folds.

    Attributes
    ----------
    best_params_ : dict
    best_score_ : float
    best_estimator_ : classifier
        Fitted on all rows.
    scores_ : DataFrame
        A row a setting: its parameters, ``score`` (mean over inner folds), ``fold_0`` and so on.
    classes_ : (n_stages,) array

    Warns
    -----
    UserWarning
        Fewer inner folds than wanted; a setting that could not be fitted (it is left out).

    References
    ----------
    Varma and Simon (2006), BMC Bioinformatics 7:91 (why the choice has to be nested).

    Examples
    --------
    >>> from brainnet.models.linear import edge_logistic
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.normal(size=(24, 1, 5, 5))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> networks[12:, 0, 1, 2] = networks[12:, 0, 2, 1] = 9
    >>> grid = {"classify__strengths": [(1e-9,), (0.1,)]}
    >>> Search(edge_logistic(), grid).fit(networks, ["CN"] * 12 + ["AD"] * 12).best_params_
    {'classify__strengths': (0.1,)}
    """

    def __init__(
        self,
        estimator: Any,
        grid: Grid,
        *,
        n_splits: int = 3,
        scoring: str | Callable[[NDArray[np.float64], NDArray[np.intp]], float] = "log_loss",
        seed: int = 0,
    ) -> None:
        self.estimator = estimator
        self.grid = grid
        self.n_splits = n_splits
        self.scoring = scoring
        self.seed = seed

    def fit(self, networks: Any, stages: ArrayLike, groups: ArrayLike | None = None) -> "Search":
        """Choose on inner folds of these rows, then fit on all of them.

        Parameters
        ----------
        networks : Subjects or array
        stages : (n_subjects,) array
        groups : (n_subjects,) array, optional
            Participant of each row; those of Subjects by default, and of an array each its own.

        Raises
        ------
        ValueError
            If ``scoring`` is not known, the grid is empty, or every setting fails.
        """
        rows = networks if isinstance(networks, Subjects) else np.asarray(networks)
        labels, people = np.asarray(stages), _people(networks, groups)
        settings, sign = list(ParameterGrid(self.grid)), self._sign
        if not settings or self.n_splits < 2:
            raise ValueError(
                "grid must hold at least one setting, and n_splits must be at least 2; got "
                f"{len(settings)} and {self.n_splits}."
            )
        folds = self._inner_folds(labels, people) if len(settings) > 1 else []
        scores = np.full((len(settings), len(folds)), np.nan)
        failed: list[Exception] = []
        for row, setting in enumerate(settings if folds else []):
            try:
                scores[row] = [self._score(setting, rows, labels, people, fold) for fold in folds]
            except LeakError:
                raise
            except Exception as error:
                failed.append(error)
                _tell(setting, error)
        if failed and len(failed) == len(settings):
            raise failed[0]
        self.scores_ = _table(settings, scores)
        mean = self.scores_["score"].to_numpy()
        best = int(np.nanargmax(sign * mean)) if np.isfinite(mean).any() else 0
        self.best_params_, self.best_score_ = settings[best], float(mean[best])
        self.best_estimator_ = fit_clone(self._with(settings[best]), rows, labels, people)
        self.classes_ = self.best_estimator_.classes_
        return self

    def predict_proba(self, networks: Any) -> NDArray[np.float64]:
        """Return ``(n_subjects, n_stages)`` probabilities in the order of ``classes_``."""
        check_is_fitted(self, "best_estimator_")
        chances: NDArray[np.float64] = self.best_estimator_.predict_proba(networks)
        return chances

    def predict(self, networks: Any) -> NDArray:
        """Return what the chosen estimator says of each subject."""
        check_is_fitted(self, "best_estimator_")
        return np.asarray(self.best_estimator_.predict(networks))

    def _with(self, setting: Mapping[str, Any]) -> Any:
        return clone(self.estimator).set_params(**setting)

    @property
    def _sign(self) -> float:
        """1 where more of the score is better, -1 where less is."""
        if isinstance(self.scoring, str) and self.scoring not in METRICS:
            raise ValueError(
                f"scoring must be one of {', '.join(METRICS)}, or callable; got {self.scoring!r}."
            )
        return -1.0 if self.scoring in LOWER_IS_BETTER else 1.0

    def _inner_folds(self, labels: NDArray, people: NDArray) -> list[Any]:
        counts = counted(labels, people)
        smallest = min(counts, key=counts.__getitem__)
        possible = min(self.n_splits, counts[smallest])
        if possible < self.n_splits:
            made = f"{possible} inner folds are made instead of {self.n_splits}"
            warnings.warn(
                f"only {counts[smallest]} participants of {smallest} are among the training "
                f"subjects: {made if possible > 1 else 'the first setting is taken untried'}. "
                "Add participants, or do without the search.",
                UserWarning,
                stacklevel=3,
            )
        if possible < 2:
            return []
        folds = StratifiedGroupKFold(possible, shuffle=True, random_state=self.seed)
        return list(folds.split(labels, labels, people))

    def _score(
        self,
        setting: Mapping[str, Any],
        rows: Any,
        labels: NDArray,
        people: NDArray,
        fold: tuple[NDArray[np.intp], NDArray[np.intp]],
    ) -> float:
        """Return the score of a setting on one inner fold."""
        train, test = fold
        fitted = fit_clone(self._with(setting), rows[train], labels[train], people[train])
        stages = in_order(labels)
        chances = probabilities_of(fitted, rows[test], stages)
        truth = np.array([stages.index(each) for each in words(labels[test])])
        if not isinstance(self.scoring, str):
            return float(self.scoring(chances, truth))
        return float(weighted_scores(chances, truth, np.ones((1, len(test))))[self.scoring][0])


def _people(networks: Any, groups: ArrayLike | None) -> NDArray:
    """Return the participant of each row."""
    if groups is not None:
        return np.asarray(groups)
    return networks.participants if isinstance(networks, Subjects) else np.arange(len(networks))


def _tell(setting: Mapping[str, Any], error: Exception) -> None:
    warnings.warn(
        f"the setting {dict(setting)} is left out of the search: {type(error).__name__}: {error}",
        UserWarning,
        stacklevel=3,
    )


def _table(settings: Sequence[Mapping[str, Any]], scores: NDArray[np.float64]) -> pd.DataFrame:
    """Return a row a setting: its parameters, mean score, and score of each fold."""
    folds = {f"fold_{number}": column for number, column in enumerate(scores.T)}
    mean = _mean_of_defined(scores)
    return pd.DataFrame(settings).assign(score=mean, **folds)


def _mean_of_defined(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    defined = np.isfinite(scores)
    total = np.where(defined, scores, 0.0).sum(axis=1)
    count = defined.sum(axis=1)
    mean: NDArray[np.float64] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean
