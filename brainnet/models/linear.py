"""The baselines that a graph network has to beat first: the majority stage, and logistic edges."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted, validate_data

from brainnet.models.edges import EdgeTable
from brainnet.models.rotation import rotate
from brainnet.models.stages import (
    Splits,
    StageClassifier,
    StagePipeline,
    check_stages,
    held_out_loss,
    inner_splits,
)
from brainnet.models.tables import MedianFill, Standardise

__all__ = ["StageLogistic", "edge_logistic", "majority"]

Floats = NDArray[np.float64]


def majority(*, seed: int = 0) -> DummyClassifier:
    """Return the classifier that always says the training subjects' commonest stage.

    Its probabilities are the stages' shares among the training subjects, whatever the networks.

    Parameters
    ----------
    seed : int
        As all others have one; nothing is drawn.

    Examples
    --------
    >>> majority().fit([[0], [0], [0]], ["CN", "CN", "AD"]).predict([[0]])
    array(['CN'], dtype='<U2')
    """
    return DummyClassifier(strategy="prior")


def edge_logistic(*, seed: int = 0) -> StagePipeline:
    """Return the linear baseline: every edge of every modality into one logistic regression.

    Upper triangles, unmeasured edges filled by the training medians, each edge scaled to mean 0
    and variance 1 over the training subjects, then :class:`StageLogistic`.

    Parameters
    ----------
    seed : int
        Seed of the inner folds.

    Returns
    -------
    StagePipeline
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
    return StagePipeline(
        [
            ("edges", EdgeTable()),
            ("fill", MedianFill()),
            ("scale", Standardise()),
            ("classify", StageLogistic(seed=seed)),
        ]
    )


class StageLogistic(StageClassifier):
    r"""L2 logistic regression whose penalty is chosen by log-loss on inner folds.

    Stages count equally, in the fit and in the choice, whatever their number of subjects. A table
    that is wider than long is fitted on its rows' principal axes, all of them
    (:func:`~brainnet.models.rotation.rotate`): the same fit, a hundred times cheaper.

    Parameters
    ----------
    strengths : sequence of float
        Inverse penalties (scikit-learn's ``C``) to choose from, for rows of root mean square
        length 1: so one list serves three covariates and 60,000 edges.
    n_splits : int
        Inner stratified folds; lowered to the number of participants of the smallest class. Where
        that is 1 there is nothing to choose on, and the middle of ``strengths`` is taken.
    seed : int
        Seed of the inner folds.

    Attributes
    ----------
    strength_ : float
        The chosen one.
    coef_ : (n_stages or 1, n_columns) array
        Of the columns as they were given; one row where there are two stages.
    intercept_ : (n_stages or 1,) array
    classes_ : (n_stages,) array

    Examples
    --------
    >>> rows = np.array([[0.0], [0.2], [0.1], [0.9], [1.0], [0.8]])
    >>> model = StageLogistic().fit(rows, ["CN"] * 3 + ["AD"] * 3)
    >>> model.predict([[0.05], [0.95]]), model.coef_.shape
    (array(['CN', 'AD'], dtype='<U2'), (1, 1))
    """

    def __init__(
        self,
        *,
        strengths: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0, 1000.0),
        n_splits: int = 3,
        seed: int = 0,
    ) -> None:
        self.strengths = strengths
        self.n_splits = n_splits
        self.seed = seed

    def fit(
        self, table: ArrayLike, stages: ArrayLike, groups: ArrayLike | None = None
    ) -> "StageLogistic":
        """Choose the strength on inner folds, then fit on all rows.

        Parameters
        ----------
        table : (n_subjects, n_columns) array
        stages : (n_subjects,) array
        groups : (n_subjects,) array, optional
            Participant of each row: those of one stay on one side of an inner split.
        """
        checked: Floats = validate_data(self, table, dtype=np.float64)
        labels = check_stages(stages, len(checked))
        self.classes_ = np.unique(labels)
        turned = rotate(checked)
        splits = inner_splits(labels, groups, n_splits=self.n_splits, seed=self.seed)
        self.strength_ = self._choose(turned.rows, labels, splits)
        model = _logistic(self.strength_).fit(turned.rows, labels)
        self.coef_: Floats = np.ascontiguousarray(turned.to_columns(checked, model.coef_.T).T)
        self.intercept_: Floats = model.intercept_
        return self

    def scores(self, table: ArrayLike) -> Floats:
        """Return ``(n_subjects, n_stages)`` logits; one column for two stages."""
        check_is_fitted(self)
        checked = validate_data(self, table, dtype=np.float64, reset=False)
        return np.asarray(checked @ self.coef_.T + self.intercept_)

    def _choose(self, rows: Floats, labels: NDArray, splits: Splits) -> float:
        """Return the strength of the least inner log-loss; the stronger penalty wins a tie."""
        strengths = sorted(self.strengths)
        if not splits:
            return strengths[len(strengths) // 2]
        loss = np.zeros(len(strengths))
        for train, held_out in splits:
            model = _logistic(strengths[0]).set_params(warm_start=True)
            for place, strength in enumerate(strengths):
                model.set_params(C=strength).fit(rows[train], labels[train])
                scores = rows[held_out] @ model.coef_.T + model.intercept_
                loss[place] += held_out_loss(scores, labels[held_out], self.classes_)
        return strengths[int(loss.argmin())]


def _logistic(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, class_weight="balanced", max_iter=5000, tol=1e-8)
