"""Support vector machines with honest probabilities."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.svm import SVC
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from brainnet.models.edges import EdgeTable
from brainnet.models.stages import (
    Splits,
    StageClassifier,
    StagePipeline,
    check_stages,
    held_out_loss,
    inner_splits,
)
from brainnet.models.tables import MedianFill, RegionTable, Standardise

__all__ = ["StageSVM", "edge_svm", "everything_svm"]

Floats = NDArray[np.float64]


def edge_svm(*, seed: int = 0) -> StagePipeline:
    """Return a linear support vector machine on every edge of every modality.

    Edges are filled and scaled as in :func:`~brainnet.models.linear.edge_logistic`.

    Parameters
    ----------
    seed : int
        Seed of the inner folds.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.normal(size=(12, 1, 5, 5))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> networks[6:, 0, 1, 2] = networks[6:, 0, 2, 1] = 20
    >>> edge_svm().fit(networks, ["CN"] * 6 + ["AD"] * 6).predict(networks[[0, -1]])
    array(['CN', 'AD'], dtype='<U2')
    """
    return StagePipeline(
        [
            ("edges", EdgeTable()),
            ("fill", MedianFill()),
            ("scale", Standardise()),
            ("classify", StageSVM(seed=seed)),
        ]
    )


def everything_svm(*, seed: int = 0) -> StagePipeline:
    """Return a linear support vector machine on edges, network measures and regional values.

    The linear yardstick that sees all that a graph network here can see. The three blocks have the
    same sum of squares over the training subjects, so that 60,000 edges do not drown 600 volumes.

    Parameters
    ----------
    seed : int
        Seed of the inner folds.

    Examples
    --------
    >>> [name for name, _ in everything_svm().named_steps["blocks"].transformer_list]
    ['edges', 'measures', 'values']
    """
    tables = {
        "edges": EdgeTable(),
        "measures": RegionTable(kinds=("measures", "graph_measures")),
        "values": RegionTable(kinds=("values",)),
    }
    blocks = [
        (name, Pipeline([("table", each), ("fill", MedianFill()), ("scale", Standardise())]))
        for name, each in tables.items()
    ]
    return StagePipeline([("blocks", FeatureUnion(blocks)), ("classify", StageSVM(seed=seed))])


class StageSVM(StageClassifier):
    """One support vector machine a stage against the rest, calibrated on subjects held out.

    The machines' margins on inner held-out folds are what a small logistic regression learns to
    turn into probabilities (Platt's way, for several stages at once); the penalty is the one whose
    calibrated margins have the least log-loss. The machines that are kept are fitted on all rows.
    Stages count equally throughout. Only inner products of rows are used, so a wide table costs
    little.

    Parameters
    ----------
    kernel : {"linear", "precomputed"}
        Whether :meth:`fit` gets a table, or inner products of all pairs of training subjects
        (then :meth:`predict` those of each subject with each training subject).
    strengths : sequence of float
        ``C`` to choose from, for rows of mean square length 1.
    n_splits : int
        Inner stratified folds, lowered to the number of participants of the smallest class. Where
        that is 1, the middle of ``strengths`` is taken, and the margins stand uncalibrated.
    seed : int
        Seed of the inner folds.

    Attributes
    ----------
    strength_ : float
    coef_ : (n_machines, n_columns) array
        Of the columns, or of the training subjects where the kernel is precomputed; one machine
        where there are two stages.
    intercept_ : (n_machines,) array
    calibrator_ : LogisticRegression or None
    classes_ : (n_stages,) array

    References
    ----------
    Platt (1999), Probabilistic outputs for support vector machines, in Advances in Large Margin
    Classifiers.

    Examples
    --------
    >>> rows = np.array([[0.0], [0.2], [0.1], [0.9], [1.0], [0.8]])
    >>> StageSVM().fit(rows, ["CN"] * 3 + ["AD"] * 3).predict([[0.05], [0.95]])
    array(['CN', 'AD'], dtype='<U2')
    """

    def __init__(
        self,
        *,
        kernel: str = "linear",
        strengths: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0),
        n_splits: int = 3,
        seed: int = 0,
    ) -> None:
        self.kernel = kernel
        self.strengths = strengths
        self.n_splits = n_splits
        self.seed = seed

    def fit(
        self, table: ArrayLike, stages: ArrayLike, groups: ArrayLike | None = None
    ) -> "StageSVM":
        """Choose the strength and calibrate on inner folds, then fit on all rows.

        Parameters
        ----------
        table : (n_subjects, n_columns) or (n_subjects, n_subjects) array
        stages : (n_subjects,) array
        groups : (n_subjects,) array, optional
            Participant of each row: those of one stay on one side of an inner split.
        """
        if self.kernel not in ("linear", "precomputed"):
            raise ValueError(f"kernel must be linear or precomputed; got {self.kernel!r}.")
        checked: Floats = validate_data(self, table, dtype=np.float64)
        labels = check_stages(stages, len(checked))
        self.classes_ = np.unique(labels)
        gram = checked @ checked.T if self.kernel == "linear" else checked
        if gram.shape != (len(checked), len(checked)):
            raise ValueError(f"a precomputed kernel must be square in fit; got {gram.shape}.")
        size = float(np.trace(gram)) / len(gram) or 1.0
        splits = inner_splits(labels, groups, n_splits=self.n_splits, seed=self.seed)
        self.strength_, self.calibrator_ = self._choose(gram / size, labels, splits)
        weights, self.intercept_ = _machines(gram / size, labels, self.strength_)
        weights = weights / size
        self.coef_: Floats = weights @ checked if self.kernel == "linear" else weights
        return self

    def decision_function(self, table: ArrayLike) -> Floats:
        """Return the margins ``(n_subjects, n_stages)``; ``(n_subjects,)`` for two stages."""
        margins = self._margins(table)
        return margins[:, 0] if margins.shape[1] == 1 else margins

    def scores(self, table: ArrayLike) -> Floats:
        """Return ``(n_subjects, n_stages)`` calibrated margins; one column for two stages."""
        return _calibrated(self.calibrator_, self._margins(table))

    def _margins(self, table: ArrayLike) -> Floats:
        check_is_fitted(self)
        checked = validate_data(self, table, dtype=np.float64, reset=False)
        return np.asarray(checked @ self.coef_.T + self.intercept_)

    def _choose(
        self, gram: Floats, labels: NDArray, splits: Splits
    ) -> tuple[float, LogisticRegression | None]:
        """Return the strength whose calibrated margins have the least log-loss, and the map."""
        strengths = sorted(self.strengths)
        if not splits:
            return strengths[len(strengths) // 2], None
        rows = np.concatenate([held_out for _, held_out in splits])
        found = []
        for strength in strengths:
            margins = np.concatenate(
                [_held_out_margins(gram, labels, *each, strength) for each in splits]
            )
            calibrator = LogisticRegression(class_weight="balanced", max_iter=5000)
            calibrator.fit(margins, labels[rows])
            scores = _calibrated(calibrator, margins)
            found.append((held_out_loss(scores, labels[rows], self.classes_), strength, calibrator))
        _, strength, calibrator = min(found, key=lambda each: each[:2])
        return strength, calibrator

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        return tags


def _calibrated(calibrator: LogisticRegression | None, margins: Floats) -> Floats:
    if calibrator is None:
        return margins
    return np.asarray(margins @ calibrator.coef_.T + calibrator.intercept_)


def _held_out_margins(
    gram: Floats, labels: NDArray, train: NDArray, held_out: NDArray, strength: float
) -> Floats:
    weights, intercept = _machines(gram[np.ix_(train, train)], labels[train], strength)
    return np.asarray(gram[np.ix_(held_out, train)] @ weights.T + intercept)


def _machines(gram: Floats, labels: NDArray, strength: float) -> tuple[Floats, Floats]:
    """Return weights of the training rows ``(n_machines, n_rows)``, and intercepts."""
    classes = np.unique(labels)
    targets = classes if classes.size > 2 else classes[1:]
    weights, intercepts = np.zeros((targets.size, len(gram))), np.zeros(targets.size)
    for place, each in enumerate(targets):
        # libsvm draws nothing here, but scikit-learn would take a seed from the global generator
        machine: Any = SVC(
            C=strength, kernel="precomputed", class_weight="balanced", random_state=0
        )
        machine.fit(gram, labels == each)
        weights[place, machine.support_] = machine.dual_coef_[0]
        intercepts[place] = machine.intercept_[0]
    return weights, intercepts
