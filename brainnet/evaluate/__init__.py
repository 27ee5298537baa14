"""Score staging models on subjects they never saw, with intervals, and refuse what leaks.

The estimate answers one question: how well does this way of *building* a model stage subjects
from the same source? Everything that is learned is learned again in each fold.
"""

import hashlib
import warnings
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter
from tqdm import tqdm

from brainnet.cohort import STAGES, column_name, words
from brainnet.evaluate.folds import deal, fewer_splits, possible_splits, some
from brainnet.evaluate.scores import METRICS, weighted_scores
from brainnet.io import DataError, DataWarning

__all__ = [
    "METRICS",
    "Evaluation",
    "LeakError",
    "assert_no_leak",
    "compare",
    "cross_validate_stages",
    "possible_splits",
]

N_BOOTSTRAP = 1000


class LeakError(ValueError):
    """A subject stands on both sides of a split, or twice in the cohort under two names."""


class Classifier(Protocol):
    """What an estimator must be able to do; scikit-learn's words."""

    def fit(self, networks: Any, stages: Any) -> Any:
        """Learn from training subjects."""

    def predict_proba(self, networks: Any) -> Any:
        """Return probabilities in the order of ``classes_``."""


@dataclass(frozen=True)
class Evaluation:
    """Out-of-fold scores of several estimators on the same folds.

    Attributes
    ----------
    table : DataFrame
        ``estimator``, ``metric``, ``estimate``, ``low``, ``high``: a row for each estimator and
        each of :data:`METRICS`; the interval is the 95 % bootstrap interval over subjects.
    predictions : DataFrame
        A row for each estimator, repeat and subject: ``estimator``, ``repeat``, ``fold``,
        ``participant``, ``subject``, ``truth``, ``predicted``, and ``p_<stage>`` for each stage.
    folds : DataFrame
        ``repeat``, ``fold``, ``subject``: where each subject was the one tested.
    differences : DataFrame
        As ``table``, the paired difference of each estimator minus ``baseline``; empty where
        there is nothing to compare.
    stages : tuple of str
        The classes, in order.
    """

    table: pd.DataFrame
    predictions: pd.DataFrame
    folds: pd.DataFrame
    differences: pd.DataFrame
    stages: tuple[str, ...]


def assert_no_leak(train_ids: Iterable[Hashable], test_ids: Iterable[Hashable]) -> None:
    """Raise if anybody is both trained and tested on.

    Raises
    ------
    LeakError
        Naming those who stand on both sides.

    Examples
    --------
    >>> assert_no_leak(["01", "02"], ["03"])
    >>> assert_no_leak(["01", "02"], ["02"])
    Traceback (most recent call last):
    brainnet.evaluate.LeakError: train and test must share no participant; both hold 02. ...
    """
    shared = sorted(map(str, set(train_ids) & set(test_ids)))
    if shared:
        raise LeakError(
            f"train and test must share no participant; both hold {some(shared)}. "
            "Split by participant, not by scan."
        )


def cross_validate_stages(
    dataset: xr.Dataset,
    estimators: Mapping[str, Classifier],
    *,
    target: str = "stage",
    n_splits: int = 5,
    n_repeats: int = 1,
    seed: int = 0,
) -> Evaluation:
    """Cross-validate estimators on a cohort, every subject scored by models that never saw it.

    Folds are stratified by stage and split by participant (``participant_id``; ``subject`` where
    there is none), the same for all estimators. In each fold a clone of each estimator is fitted
    on the training subjects alone. Where a stage has fewer participants than ``n_splits``, the
    number of folds is lowered to that, with a warning.

    Intervals are percentile bootstraps over participants (1000 resamples within stage, the
    fitted models held fixed): they show how much the score hangs on which subjects were tested,
    not how it would vary with other training subjects. Metrics are averaged over repeats.

    Parameters
    ----------
    dataset : xarray.Dataset
        A cohort (:func:`brainnet.cohort.gather`): ``edges`` (subject, modality, region,
        region_to) and the target as a coordinate of ``subject``.
    estimators : mapping of str to estimator
        scikit-learn classifiers on ``(n_subjects, n_modalities, n_regions, n_regions)`` arrays
        with NaN, each with its own preprocessing inside; never fitted themselves, only clones.
        With one called ``"linear"``, ``differences`` compares the others with it, else with the
        first.
    target : str
        Coordinate to predict, a column of the participants table. Its values are classes, and
        text from here on: 0 and 1 give the stages ``"0"`` and ``"1"``. Subjects without a value
        are left out, with a warning.
    n_splits, n_repeats : int
        Folds, and how often to deal them anew.
    seed : int
        Decides folds and bootstrap.

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        If the cohort has no such target.
    ValueError
        If there are fewer than two classes or a class of fewer than two participants.
    LeakError
        If a participant stands on both sides, or two participants have identical networks.

    References
    ----------
    Varoquaux (2018), NeuroImage 180:68 (what cross-validation's error bars leave out).
    """
    cohort = _labelled(dataset, target)
    labels = words(cohort[column_name(target)].values)
    stages = _order(labels)
    groups = _participants(cohort)
    n_splits = fewer_splits(labels, groups, n_splits)
    networks = np.asarray(cohort["edges"].values, dtype=np.float64)
    subjects = cohort["subject"].values.astype(str)
    _refuse_twins(networks, groups)
    jobs = [
        (name, repeat, fold, train, test)
        for repeat, fold, train, test in deal(labels, groups, n_splits, n_repeats, seed)
        for name in estimators
    ]
    parts = []
    for name, repeat, fold, train, test in tqdm(jobs, desc="cross-validation", disable=None):
        assert_no_leak(groups[train], groups[test])
        fitted = _fit(estimators[name], networks[train], labels[train], groups[train])
        where = {"estimator": name, "repeat": repeat, "fold": fold}
        who = {"participant": groups[test], "subject": subjects[test], "truth": labels[test]}
        chances = _probabilities(name, fitted, networks[test], stages)
        parts.append(pd.DataFrame(where | who | _columns(chances, stages)))
    predictions = pd.concat(parts, ignore_index=True)
    baseline = "linear" if "linear" in estimators else next(iter(estimators))
    draws = _draws(predictions, stages, seed)
    return Evaluation(
        table=_intervals(draws),
        predictions=predictions,
        folds=predictions.loc[
            predictions["estimator"] == baseline, ["repeat", "fold", "subject"]
        ].reset_index(drop=True),
        differences=_intervals(_minus(draws, baseline)),
        stages=stages,
    )


def compare(evaluation: Evaluation, *, baseline: str, seed: int = 0) -> pd.DataFrame:
    """Return the paired differences of all other estimators minus a baseline.

    Both are scored on the same resamples of the same participants, so what makes a subject hard
    for both drops out. For ``log_loss`` below 0 is better, for all others above.

    Parameters
    ----------
    evaluation : Evaluation
    baseline : str
        Name of one of its estimators.
    seed : int
        Decides the resamples.

    Returns
    -------
    DataFrame
        ``estimator``, ``metric``, ``estimate``, ``low``, ``high``, as ``evaluation.differences``.

    Raises
    ------
    ValueError
        If there is no estimator of that name.
    """
    names = evaluation.predictions["estimator"].unique().tolist()
    if baseline not in names:
        raise ValueError(f"baseline must be one of {names}; got {baseline!r}.")
    draws = _draws(evaluation.predictions, evaluation.stages, seed)
    return _intervals(_minus(draws, baseline))


def _labelled(dataset: xr.Dataset, target: str) -> xr.Dataset:
    """Return the subjects that have a value of the target."""
    source = str(dataset.attrs.get("participants", "participants.tsv"))
    target = column_name(target)
    known = [str(name) for name, each in dataset.coords.items() if each.dims == ("subject",)]
    if target not in known:
        raise DataError(
            source,
            f"has no column {target!r}; the cohort's columns are {', '.join(known)}",
            "Name one of them as the target, or add the column",
        )
    missing = words(dataset[target].values) == "n/a"
    if missing.any():
        left_out = dataset["subject"].values[missing].astype(str).tolist()
        warnings.warn(
            f"{source}: {missing.sum()} subjects have no {target} and are left out of the "
            f"evaluation: {some(left_out)}. Fill in the column to use them.",
            DataWarning,
            stacklevel=3,
        )
    return dataset.isel(subject=~missing)


def _order(labels: NDArray[np.str_]) -> tuple[str, ...]:
    """Return the classes: stages from healthy to ill, numbers by size, others by name."""
    present = set(labels.tolist())
    return tuple(sorted(present, key=STAGES.index if present <= set(STAGES) else _rank))


def _rank(label: str) -> tuple[float, str]:
    try:
        return float(label), label
    except ValueError:
        return np.inf, label


def _participants(cohort: xr.Dataset) -> NDArray[np.str_]:
    """Return who each row is: 'sub-01' and '01' are the same person."""
    column = "participant_id" if "participant_id" in cohort.coords else "subject"
    names = [str(each).removeprefix("sub-") for each in cohort[column].values]
    return np.array(names, dtype=str)


def _refuse_twins(networks: NDArray[np.float64], groups: NDArray[np.str_]) -> None:
    """Refuse one person's networks under two names: they would stand on both sides."""
    seen: dict[bytes, str] = {}
    for network, name in zip(networks, groups.tolist(), strict=True):
        if np.isnan(network).all():
            continue
        other = seen.setdefault(hashlib.sha256(network.tobytes()).digest(), name)
        if other != name:
            raise LeakError(
                f"participants {other} and {name} have identical networks, as if one person's "
                "scans stood under two names: a model could be tested on what it was trained on, "
                "and its score would mean nothing. Remove the copy from the participants table "
                "and the results, or give both rows one participant_id."
            )


def _fit(estimator: Classifier, networks: NDArray, labels: NDArray, groups: NDArray) -> Any:
    """Fit a fresh clone on training subjects, with their groups where it can use them."""
    fresh = clone(estimator)
    if has_fit_parameter(fresh, "groups"):
        return fresh.fit(networks, labels, groups=groups)
    return fresh.fit(networks, labels)


def _probabilities(
    name: str, fitted: Any, networks: NDArray, stages: tuple[str, ...]
) -> NDArray[np.float64]:
    """Return the probabilities in the order of the stages; 0 for a stage it never saw."""
    given = np.asarray(fitted.predict_proba(networks), dtype=np.float64)
    if not (np.isfinite(given).all() and np.allclose(given.sum(axis=1), 1.0, atol=1e-4)):
        raise ValueError(f"probabilities of estimator {name!r} must be finite and sum to 1.")
    chances = np.zeros((len(networks), len(stages)))
    chances[:, [stages.index(str(each)) for each in fitted.classes_]] = given
    return chances


def _columns(chances: NDArray[np.float64], stages: tuple[str, ...]) -> dict[str, NDArray]:
    predicted = np.array(stages)[chances.argmax(axis=1)]
    return {"predicted": predicted} | {
        f"p_{stage}": chances[:, each] for each, stage in enumerate(stages)
    }


def _draws(predictions: pd.DataFrame, stages: tuple[str, ...], seed: int) -> pd.DataFrame:
    """Score every estimator on all participants (row 0) and on each resample of them."""
    resamples = _resample(predictions, seed)
    truth = predictions["truth"].map(list(stages).index)
    chances = predictions[[f"p_{stage}" for stage in stages]]
    scores: dict[str, list[dict[str, NDArray]]] = {}
    for (name, _), rows in predictions.groupby(["estimator", "repeat"], sort=False):
        weights = resamples[rows["participant"]].to_numpy()
        each = weighted_scores(chances.loc[rows.index], truth.loc[rows.index], weights)
        if len(stages) > 2 and not set(stages) <= set(STAGES):
            each["kappa"] = np.full(len(weights), np.nan)  # classes without an order
        scores.setdefault(str(name), []).append(each)
    return pd.DataFrame(
        {
            (name, metric): np.mean([repeat[metric] for repeat in repeats], axis=0)
            for name, repeats in scores.items()
            for metric in METRICS
        }
    )


def _resample(predictions: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return how often each participant is drawn (columns): once, then within each stage."""
    people = predictions.groupby("participant")["truth"].first()
    counts = pd.DataFrame(1.0, index=range(N_BOOTSTRAP + 1), columns=people.index)
    rng = np.random.default_rng(seed)
    for stage in sorted(people.unique()):
        members = people.index[people == stage]
        size = len(members)
        counts.loc[1:, members] = rng.multinomial(size, np.full(size, 1 / size), N_BOOTSTRAP)
    return counts


def _intervals(draws: pd.DataFrame) -> pd.DataFrame:
    """Return estimate and 2.5 and 97.5 percentiles of each column of draws."""
    rows = [
        (*key, draws[key].iloc[0], *np.percentile(draws[key].iloc[1:], [2.5, 97.5]))
        for key in draws.columns
    ]
    return pd.DataFrame(rows, columns=["estimator", "metric", "estimate", "low", "high"])


def _minus(draws: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Return each other estimator's draws minus the baseline's on the same resamples."""
    others = [key for key in draws.columns if key[0] != baseline]
    return pd.DataFrame({key: draws[key] - draws[(baseline, key[1])] for key in others})
