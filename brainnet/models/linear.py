"""The baselines that a graph network has to beat: the majority stage, and logistic edges."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from brainnet.models.edges import EdgeImputer, EdgeTable

__all__ = ["StageLogistic", "edge_logistic", "majority"]


def majority() -> DummyClassifier:
    """Return the classifier that always says the training subjects' commonest stage.

    Its probabilities are the stages' shares among the training subjects, whatever the networks.

    Examples
    --------
    >>> majority().fit([[0], [0], [0]], ["CN", "CN", "AD"]).predict([[0]])
    array(['CN'], dtype='<U2')
    """
    return DummyClassifier(strategy="prior")


def edge_logistic(*, seed: int = 0) -> Pipeline:
    """Return the linear baseline: every edge of every modality into one logistic regression.

    Upper triangles, unmeasured edges filled by the training medians, each edge scaled to mean 0
    and variance 1 over the training subjects, then :class:`StageLogistic` (L2, classes weighted
    to equal shares, strength of the penalty chosen on the training subjects alone).

    Between scaling and regression stands a rotation onto the training subjects' principal axes,
    all of them kept. An L2-penalised fit lies in the span of its training rows, so this changes
    no prediction; it makes the fit some fifty times cheaper than 10,000 columns would.

    Parameters
    ----------
    seed : int
        Seed of the inner folds.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Takes networks ``(n_subjects, n_modalities, n_regions, n_regions)`` with NaN.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.normal(size=(12, 1, 5, 5))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> networks[6:, 0, 1, 2] = networks[6:, 0, 2, 1] = 9
    >>> edge_logistic().fit(networks, ["CN"] * 6 + ["AD"] * 6).predict(networks[[0, -1]])
    array(['CN', 'AD'], dtype='<U2')
    """
    return Pipeline(
        [
            ("impute", EdgeImputer()),
            ("edges", EdgeTable()),
            ("scale", StandardScaler()),
            ("rotate", PCA(svd_solver="full")),
            ("classify", StageLogistic(seed=seed)),
        ]
    )


class StageLogistic(ClassifierMixin, BaseEstimator):
    """L2 logistic regression whose penalty is chosen by log-loss on inner folds.

    Parameters
    ----------
    strengths : sequence of float
        Inverse penalties (scikit-learn's ``C``) to choose from.
    n_splits : int
        Inner stratified folds; lowered to the size of the smallest class. Where that is 1 there
        is nothing to choose on, and the middle of ``strengths`` is taken.
    seed : int
        Seed of the inner folds.

    Attributes
    ----------
    strength_ : float
        The chosen ``C``.
    model_ : LogisticRegression
        Fitted on all training subjects with that strength.
    """

    def __init__(
        self,
        *,
        strengths: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
        n_splits: int = 3,
        seed: int = 0,
    ) -> None:
        self.strengths = strengths
        self.n_splits = n_splits
        self.seed = seed

    def fit(self, table: ArrayLike, stages: ArrayLike) -> "StageLogistic":
        """Choose the strength on inner folds, then fit on all rows."""
        rows, labels = np.asarray(table, dtype=np.float64), np.asarray(stages)
        self.classes_, counts = np.unique(labels, return_counts=True)
        self.strength_ = self._choose(rows, labels, min(self.n_splits, int(counts.min())))
        self.model_ = _logistic(self.strength_).fit(rows, labels)
        return self

    def predict_proba(self, table: ArrayLike) -> NDArray[np.float64]:
        """Return ``(n_subjects, n_stages)`` probabilities in the order of ``classes_``."""
        probabilities: NDArray[np.float64] = self.model_.predict_proba(table)
        return probabilities

    def predict(self, table: ArrayLike) -> NDArray[np.str_]:
        """Return the most probable stage of each subject."""
        chosen: NDArray[np.str_] = self.classes_[self.predict_proba(table).argmax(axis=1)]
        return chosen

    def _choose(self, rows: NDArray[np.float64], labels: NDArray, n_splits: int) -> float:
        """Return the strength of the least inner log-loss; the stronger penalty wins a tie."""
        strengths = sorted(self.strengths)
        if n_splits < 2:
            return strengths[len(strengths) // 2]
        folds = StratifiedKFold(n_splits, shuffle=True, random_state=self.seed)
        loss = np.zeros(len(strengths))
        for train, held_out in folds.split(rows, labels):
            truth = np.searchsorted(self.classes_, labels[held_out])
            for each, strength in enumerate(strengths):
                model = _logistic(strength).fit(rows[train], labels[train])
                log_likely = model.predict_log_proba(rows[held_out])
                loss[each] -= log_likely[np.arange(truth.size), truth].sum()
        return strengths[int(loss.argmin())]


def _logistic(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, class_weight="balanced", max_iter=5000)
