"""Models of expansion and outcome from a scan's features; none is shipped, for want of data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from brainnet.cohort.subjects import Subjects
from brainnet.io import DataError, load_json, save_json
from brainnet.models.linear import StageLogistic
from brainnet.models.stages import StagePipeline, check_stages
from brainnet.models.tables import MedianFill, SeenColumns, Standardise

__all__ = ["OutcomeClassifier", "Strongest", "as_cohort", "load_outcome", "save_outcome"]

Floats = NDArray[np.float64]

CARD = "card.json"
TASK = "haemorrhage outcome"
_LIMITS = (
    "Not a medical device and no prognosis: it must not decide anything about a person.",
    "It knows the patients, scanners, treatment and time to scan that it was trained on; elsewhere "
    "its probabilities may be wrong without saying so.",
)
_SIMULATED = "It was trained on simulated patients and knows nothing of real ones."
#: What whoever saves a model must say of it.
_NEEDED: Mapping[str, type] = {"outcome": str, "data": str, "simulated": bool, "evaluation": dict}
_KINDS = ("logistic", "boosting")
_LEAST = 5  # patients of the rarer outcome


class Strongest(TransformerMixin, BaseEstimator):
    """Keep the columns whose means differ most between two classes, in training.

    Parameters
    ----------
    n_columns : int
        All where there are fewer.

    Attributes
    ----------
    kept_ : (n_kept,) array
        Their places, in order.

    Examples
    --------
    >>> table = [[0.0, 1.0], [0.1, -1.0], [1.0, 1.0], [0.9, -1.0]]
    >>> Strongest(n_columns=1).fit(table, [0, 0, 1, 1]).kept_.tolist()
    [0]
    """

    def __init__(self, *, n_columns: int = 12) -> None:
        self.n_columns = n_columns

    def fit(self, table: ArrayLike, y: ArrayLike) -> Strongest:
        """Learn which."""
        checked: Floats = validate_data(
            self, table, dtype=np.float64, ensure_all_finite="allow-nan"
        )
        second = np.asarray(y) == np.unique(np.asarray(y))[-1]
        strength = np.array([_apart(column, second) for column in checked.T])
        order = np.argsort(-strength, kind="stable")[: self.n_columns]
        self.kept_ = np.sort(order)
        return self

    def transform(self, table: ArrayLike) -> Floats:
        """Return these columns."""
        check_is_fitted(self)
        checked: Floats = validate_data(
            self, table, dtype=np.float64, ensure_all_finite="allow-nan", reset=False
        )
        return checked[:, self.kept_]


def _apart(column: Floats, second: NDArray[np.bool_]) -> float:
    """Return how far two means lie apart in standard errors (Welch); 0 where nothing varies."""
    there = np.isfinite(column)
    a, b = column[there & second], column[there & ~second]
    if min(a.size, b.size) < 2:
        return 0.0
    error = float(np.sqrt(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size))
    apart = float(abs(a.mean() - b.mean()))
    return apart / error if error > 1e-12 * max(1.0, apart) else 0.0


class OutcomeClassifier(ClassifierMixin, BaseEstimator):
    """The chance of one of two outcomes (expansion or none) from a scan's features.

    Missing numbers are filled by the training medians, columns scaled, the strongest kept, and a
    logistic regression fitted whose penalty inner folds choose, both outcomes weighing the same;
    or trees are boosted, which need no filling. All of it is learned in ``fit``, so a
    cross-validation of it leaks nothing.

    Parameters
    ----------
    kind : {"logistic", "boosting"}
    n_columns : int
        Columns that are kept; one for every ten patients of the rarer outcome is a good rule.
    seed : int
        Of inner folds and trees.

    Attributes
    ----------
    classes_ : (2,) array
        Sorted; the second is the one whose chance is told.
    columns_ : tuple of str
        Of the training table.
    medians_, coef_ : (n_columns,) arrays
        Logistic only: what missing numbers are taken for, and the log odds for each unit of each
        column; 0 for those that were not kept.
    intercept_ : float

    Notes
    -----
    Because both outcomes weigh the same in training, chances are not frequencies where one is
    rarer: calibrate them on other patients (:mod:`brainnet.evaluate.calibration`).

    Examples
    --------
    >>> volumes = np.linspace(1, 40, 40)
    >>> table = pd.DataFrame({"volume_ml": volumes, "mean_hu": 60 + np.sin(9 * volumes)})
    >>> model = OutcomeClassifier(n_columns=1).fit(table, volumes > 20)
    >>> model.predict(table.iloc[[0, -1]]).tolist()
    [False, True]
    """

    def __init__(self, *, kind: str = "logistic", n_columns: int = 12, seed: int = 0) -> None:
        self.kind = kind
        self.n_columns = n_columns
        self.seed = seed

    def fit(self, table: Any, y: ArrayLike, groups: ArrayLike | None = None) -> OutcomeClassifier:
        """Learn from patients.

        Parameters
        ----------
        table : DataFrame, (n_scans, n_columns) array or Subjects
            Of numbers, NaN where missing; of subjects (:func:`as_cohort`) their values.
        y : (n_scans,) array
            Two classes.
        groups : (n_scans,) array, optional
            Patient of each scan, to keep those of one together in inner folds.

        Raises
        ------
        ValueError
            An unknown kind; a column that is not of numbers; other than two outcomes, or fewer
            than five patients with one of them.
        """
        if self.kind not in _KINDS:
            raise ValueError(f"kind must be one of {', '.join(_KINDS)}; got {self.kind!r}.")
        frame = _frame(table)
        labels = check_stages(y, len(frame))
        self.classes_, counts = np.unique(labels, return_counts=True)
        if len(counts) != 2 or counts.min() < _LEAST:
            raise ValueError(
                f"y must hold two outcomes of {_LEAST} scans or more each; got "
                f"{dict(zip(self.classes_.tolist(), counts.tolist(), strict=True))}. Add patients."
            )
        if groups is None and isinstance(table, Subjects):
            groups = table.participants
        self.columns_ = tuple(map(str, frame.columns))
        self.n_features_in_ = len(self.columns_)
        self.n_, self.n_second_ = len(labels), int(counts[1])
        pipeline = self._pipeline().fit(frame.to_numpy(), labels, groups=groups)
        if self.kind == "logistic":
            self._unfold(pipeline)
        else:
            self.pipeline_ = pipeline
        return self

    def predict_proba(self, table: Any) -> Floats:
        """Return ``(n_scans, 2)`` chances in the order of ``classes_``.

        Raises
        ------
        ValueError
            A column of the training table is not there.
        """
        check_is_fitted(self, "classes_")
        numbers = self._columns_of(table)
        if self.kind == "boosting":
            return np.asarray(self.pipeline_.predict_proba(numbers))
        filled = np.where(np.isnan(numbers), self.medians_, numbers)
        second = expit(filled @ self.coef_ + self.intercept_)
        return np.stack([1 - second, second], axis=1)

    def predict(self, table: Any) -> NDArray:
        """Return the likelier outcome of each scan."""
        chosen: NDArray = self.classes_[self.predict_proba(table).argmax(axis=1)]
        return chosen

    def contributions(self, table: Any) -> pd.DataFrame:
        """Return what each column adds to the log odds of each scan, against a median scan.

        Raises
        ------
        ValueError
            The model is not logistic.
        """
        check_is_fitted(self, "classes_")
        if self.kind != "logistic":
            raise ValueError(f"kind must be 'logistic' for this; got {self.kind!r}. Fit one.")
        numbers = self._columns_of(table)
        filled = np.where(np.isnan(numbers), self.medians_, numbers)
        kept = np.flatnonzero(self.coef_)
        added = (filled - self.medians_) * self.coef_
        return pd.DataFrame(added[:, kept], columns=[self.columns_[each] for each in kept])

    def _pipeline(self) -> StagePipeline:
        if self.kind == "boosting":
            from sklearn.ensemble import HistGradientBoostingClassifier

            trees = HistGradientBoostingClassifier(
                learning_rate=0.1, max_iter=60, max_leaf_nodes=4, min_samples_leaf=8,
                early_stopping=False, class_weight="balanced", random_state=self.seed,
            )  # fmt: skip
            return StagePipeline(
                [("seen", SeenColumns()), ("strongest", Strongest(n_columns=self.n_columns)),
                 ("classify", trees)]
            )  # fmt: skip
        return StagePipeline(
            [("fill", MedianFill()), ("strongest", Strongest(n_columns=self.n_columns)),
             ("scale", Standardise()), ("classify", StageLogistic(seed=self.seed))]
        )  # fmt: skip

    def _unfold(self, pipeline: StagePipeline) -> None:
        """Write the steps as one line of weights, in the units of the columns."""
        scale, kept = pipeline["scale"], pipeline["strongest"].kept_
        weights = pipeline["classify"].coef_[0] / scale.spread_
        self.medians_: Floats = pipeline["fill"].medians_
        self.coef_: Floats = np.zeros(len(self.columns_))
        self.coef_[kept] = weights
        self.intercept_ = float(pipeline["classify"].intercept_[0] - weights @ scale.centre_)

    def _columns_of(self, table: Any) -> Floats:
        """Return the columns of the training table, in its order."""
        frame = _frame(table)
        if not isinstance(table, (pd.DataFrame, Subjects)) and frame.shape[1] == len(self.columns_):
            return frame.to_numpy()
        missing = [name for name in self.columns_ if name not in frame]
        if missing:
            raise ValueError(
                f"table must have the columns of the training table; {len(missing)} are missing, "
                f"such as {', '.join(missing[:3])}. Take the same features."
            )
        return frame[list(self.columns_)].to_numpy()


def _frame(table: Any) -> pd.DataFrame:
    """Return a table of numbers with names, or say which column has none."""
    if isinstance(table, Subjects):
        return pd.DataFrame(table.values[:, 0], columns=list(table.regions))
    if not isinstance(table, pd.DataFrame):
        numbers = np.asarray(table, dtype=np.float64)
        if numbers.ndim != 2:
            raise ValueError(f"table must have two dimensions; got {numbers.ndim}.")
        names = [f"column {each}" for each in range(numbers.shape[1])]
        return _finite(pd.DataFrame(numbers, columns=names))
    text = [str(name) for name, kind in table.dtypes.items() if kind.kind not in "fiub"]
    if text:
        raise ValueError(
            f"table must hold numbers; {', '.join(text[:3])} does not. Drop it, or code it as 0 "
            "and 1."
        )
    return _finite(table.astype(np.float64))


def _finite(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which nothing is infinite."""
    infinite = np.isinf(frame.to_numpy()).any(axis=0)
    if infinite.any():
        names = ", ".join(map(str, frame.columns[infinite][:3]))
        raise ValueError(f"table must be finite or NaN; {names} is infinite. Set NaN there.")
    return frame


def as_cohort(table: pd.DataFrame, patients: ArrayLike) -> Subjects:
    """Return features as :mod:`brainnet.evaluate` takes them: its nested, leak-free evaluation.

    Parameters
    ----------
    table : DataFrame
        A row a scan, of numbers.
    patients : (n_scans,) array
        Who each scan is of: scans of one never stand on both sides of a split.

    Returns
    -------
    Subjects
        Without networks: what is asked of edges is NaN. It takes 8 bytes for each scan and pair
        of columns, so leave out what is not needed.

    Examples
    --------
    >>> table = pd.DataFrame({"volume_ml": [3.0, 8.0]})
    >>> as_cohort(table, ["a", "b"]).values[:, 0, 0].tolist()
    [3.0, 8.0]
    """
    frame = _frame(table)
    who = np.asarray(patients).astype(str)
    if who.shape != (len(frame),):
        raise ValueError(
            f"patients must be one a scan, ({len(frame)},); got shape {who.shape}. Give them in "
            "the order of the rows."
        )
    n_scans, n_columns = frame.shape
    return Subjects(
        edges=np.full((n_scans, 1, n_columns, n_columns), np.nan),
        values=frame.to_numpy()[:, np.newaxis],
        covariates=pd.DataFrame(index=range(n_scans)),
        participants=who,
        modalities=("ct",),
        regions=tuple(map(str, frame.columns)),
        coordinates=np.full((n_columns, 3), np.nan),
    )


def save_outcome(folder: Path | str, model: OutcomeClassifier, card: Mapping[str, Any]) -> Path:
    """Write a fitted logistic model and its card; return the folder.

    Parameters
    ----------
    folder : path
        Made where it is missing.
    model : OutcomeClassifier
        Fitted; of trees nothing can be written without a pickle.
    card : mapping
        ``outcome`` (what is predicted, as it was defined), ``data`` (whom it was trained on),
        ``simulated`` (whether they are simulated), ``evaluation`` (scores on people it had not
        seen, and how they were taken), and whatever else JSON holds. Nobody's name.

    Raises
    ------
    ValueError
        The card lacks one of these; the model is not logistic.
    """
    check_is_fitted(model, "classes_")
    lacks = [key for key, kind in _NEEDED.items() if not isinstance(card.get(key), kind)]
    if lacks:
        raise ValueError(f"card must have {', '.join(lacks)}. Say it, so that others know.")
    if model.kind != "logistic":
        raise ValueError(f"model must be logistic to be written; got {model.kind!r}. Fit one.")
    numbers = {
        "classes": [str(each) for each in model.classes_],
        "columns": list(model.columns_),
        "medians": model.medians_.tolist(),
        "coef": model.coef_.tolist(),
        "intercept": model.intercept_,
        "n": model.n_,
        "n_second": model.n_second_,
    }
    limits = [*_LIMITS, *([_SIMULATED] if card["simulated"] else []), *card.get("limits", ())]
    whole = dict(card) | {"task": TASK, "limits": limits, "model": numbers}
    save_json(whole | {"sha256": _sha256(whole)}, Path(folder) / CARD)
    return Path(folder)


def load_outcome(folder: Path | str) -> tuple[OutcomeClassifier, dict[str, Any]]:
    """Return a model that `save_outcome` wrote, and its card; its classes are text.

    Raises
    ------
    DataError
        The folder holds none, or one that is damaged or was changed.
    """
    path = Path(folder) / CARD
    card = load_json(path)
    remedy = "Copy the model anew from where it came"
    if card.get("task") != TASK:
        raise DataError(path, f"the model is for {card.get('task')!r}, not for {TASK!r}", remedy)
    own = {key: each for key, each in card.items() if key != "sha256"}
    if card.get("sha256") != _sha256(own):
        raise DataError(path, "the model or its card was changed after it was written", remedy)
    numbers = card["model"]
    model = OutcomeClassifier(n_columns=int(np.count_nonzero(numbers["coef"])))
    model.classes_ = np.array(numbers["classes"])
    model.columns_ = tuple(numbers["columns"])
    model.n_features_in_ = len(model.columns_)
    model.medians_, model.coef_ = np.array(numbers["medians"]), np.array(numbers["coef"])
    model.intercept_ = float(numbers["intercept"])
    model.n_, model.n_second_ = int(numbers["n"]), int(numbers["n_second"])
    return model, card


def _sha256(card: Mapping[str, Any]) -> str:
    text = json.dumps(card, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
