"""Score staging models on subjects they never saw, with intervals, and refuse what leaks.

The estimate answers one question: how well does this way of *building* a model stage subjects
from the same source? Everything that is learned is learned again in each fold.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from brainnet.cohort.subjects import Subjects
from brainnet.evaluate.alone import missingness, site_alone
from brainnet.evaluate.folds import Folds, Split, Splitter, deal, possible_splits, some
from brainnet.evaluate.inputs import Staged, in_order, same_regions, staged
from brainnet.evaluate.intervals import drawn_of, draws, intervals, minus
from brainnet.evaluate.jobs import Classifier, Done, EvaluationError, Job, out_of_fold, run
from brainnet.evaluate.kept import Kept
from brainnet.evaluate.leaks import LeakError, assert_no_leak, refuse_fitted
from brainnet.evaluate.scores import LOWER_IS_BETTER, METRICS
from brainnet.evaluate.search import Grid, Search
from brainnet.evaluate.sites import LeaveSiteOut
from brainnet.evaluate.verdict import Finding, verdict
from brainnet.models.measures import with_measures

__all__ = [
    "LOWER_IS_BETTER",
    "METRICS",
    "Classifier",
    "Evaluation",
    "EvaluationError",
    "Finding",
    "Folds",
    "LeakError",
    "LeaveSiteOut",
    "Search",
    "Split",
    "Splitter",
    "assert_no_leak",
    "compare",
    "cross_validate_stages",
    "in_order",
    "missingness",
    "out_of_fold",
    "possible_splits",
    "same_regions",
    "site_alone",
    "verdict",
]


_WHERE = ("estimator", "repeat", "fold")
_CHOICES = (*_WHERE, "parameter", "value")
_SECONDS = (*_WHERE, "fit", "predict")
_FAILURES = (*_WHERE, "error", "details")


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]] = ()) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns))


@dataclass(frozen=True)
class Evaluation:
    """Out-of-fold scores of several estimators on the same folds.

    Attributes
    ----------
    table : DataFrame
        ``estimator``, ``metric``, ``estimate``, ``low``, ``high``: a row for each estimator and
        each of :data:`METRICS`, and of the contrasts that the stages allow (``sensitivity CN/AD``
        and the like); the interval is the 95 % bootstrap interval over subjects.
    predictions : DataFrame
        A row for each estimator, repeat and subject: ``estimator``, ``repeat``, ``fold``,
        ``participant``, ``subject``, ``truth``, ``predicted``, and ``p_<stage>`` for each stage.
    folds : DataFrame
        ``repeat``, ``fold``, ``subject``, and ``site`` where it is known: where each subject was
        the one tested.
    differences : DataFrame
        As ``table``, the paired difference of each estimator minus ``baseline``; empty where
        there is nothing to compare.
    stages : tuple of str
        The classes, in order.
    choices : DataFrame
        ``estimator``, ``repeat``, ``fold``, ``parameter``, ``value``: what searches within the
        training subjects chose.
    seconds : DataFrame
        ``estimator``, ``repeat``, ``fold``, ``fit``, ``predict``: wall-clock time, on one thread.
    failures : DataFrame
        ``estimator``, ``repeat``, ``fold``, ``error``, ``details`` (the traceback): where
        estimators failed. They are in no other table.
    draws : DataFrame
        A column an estimator and metric: the score on all participants (row 0) and on each
        resample of them, the same for all estimators. ``attrs["seed"]`` decided the resamples.
    """

    table: pd.DataFrame
    predictions: pd.DataFrame
    folds: pd.DataFrame
    differences: pd.DataFrame
    stages: tuple[str, ...]
    choices: pd.DataFrame = field(default_factory=partial(_table, _CHOICES))
    seconds: pd.DataFrame = field(default_factory=partial(_table, _SECONDS))
    failures: pd.DataFrame = field(default_factory=partial(_table, _FAILURES))
    draws: pd.DataFrame = field(default_factory=pd.DataFrame)


def cross_validate_stages(  # noqa: PLR0913  (what is asked, how it is split, how it is run)
    cohort: xr.Dataset | tuple[Subjects | ArrayLike, ArrayLike],
    estimators: Mapping[str, Classifier],
    *,
    target: str = "stage",
    n_splits: int = 5,
    n_repeats: int = 1,
    folds: Splitter | Any | None = None,
    grids: Mapping[str, Grid] | None = None,
    n_jobs: int = 1,
    seed: int = 0,
    folder: Path | str | None = None,
) -> Evaluation:
    """Cross-validate estimators on a cohort, every subject scored by models that never saw it.

    Folds are stratified by stage and split by participant (``participant_id``; ``subject`` where
    there is none), the same for all estimators. In each fold a clone of each estimator is fitted
    on the training subjects alone; network measures, which look at one subject at a time, are
    taken once beforehand. Where a stage has fewer participants than ``n_splits``, the number of
    folds is lowered to that, with a warning.

    Intervals are percentile bootstraps over participants (1000 resamples within stage, the
    fitted models held fixed): they show how much the score hangs on which subjects were tested,
    not how it would vary with other training subjects. Metrics are averaged over repeats.

    An estimator that fails on a fold is left out, with a warning and in ``failures``; the others
    go on. What estimators warn of is told once each, with the number of folds.

    Parameters
    ----------
    cohort : xarray.Dataset, or (Subjects, (n_subjects,) array)
        A cohort (:func:`brainnet.cohort.gather`): ``edges`` (subject, modality, region,
        region_to) and the target as a coordinate of ``subject``. Or subjects, or an array of
        networks, and their stages. Rows of one participant are visits; a column ``session`` says
        which.
    estimators : mapping of str to estimator
        scikit-learn classifiers that take :class:`~brainnet.cohort.subjects.Subjects`
        (``numpy.asarray`` of them is the ``(n_subjects, n_modalities, n_regions, n_regions)``
        array of networks with NaN), each with its own preprocessing inside; unfitted, and never
        fitted themselves, only clones. With one called ``"linear"``, ``differences`` compares
        the others with it, else with the first.
    target : str
        Coordinate to predict, a column of the participants table. Its values are classes, and
        text from here on: 0 and 1 give the stages ``"0"`` and ``"1"``. Subjects without a value
        are left out, with a warning.
    n_splits, n_repeats : int
        Folds, and how often to deal them anew.
    folds : splitter, optional
        Instead of the two: :class:`LeaveSiteOut`, :class:`Folds`, or a splitter of scikit-learn,
        whose groups are the participants.
    grids : mapping of str to grid, optional
        Settings to choose from, by the estimator's name: it is put into :class:`Search`, which
        chooses on inner folds of the training subjects.
    n_jobs : int
        Processes, of one thread each; -1 for one a core. It changes no result.
    seed : int
        Decides folds, inner folds of ``grids``, and bootstrap.
    folder : path, optional
        Where each fold's result is kept as soon as it is there: an evaluation that was stopped
        and is started again in just the same way goes on, to the same result. What was made of
        other subjects, estimators, folds or versions is not taken
        (:class:`brainnet.evaluate.kept.Kept`).

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        If the cohort has no such target, unknown stages, a participant twice, or a modality or
        region that nobody has; or the folder cannot be written to.
    ValueError
        If there are fewer than two classes or a class of fewer than two participants, or the
        splitter cannot split.
    LeakError
        If a participant stands on both sides, two participants have identical networks, the
        target is among the covariates, or something was fitted before the split.
    EvaluationError
        If every estimator fails.

    References
    ----------
    Varoquaux (2018), NeuroImage 180:68 (what cross-validation's error bars leave out).
    """
    given = staged(cohort, target)
    models = _models(estimators, grids or {}, seed)
    splitter = Folds(n_splits, n_repeats, seed) if folds is None else folds
    splits = deal(splitter, given.labels, given.subjects.participants, given.sites)
    jobs = [Job(name, each, split) for split in splits for name, each in models.items()]
    parts = (with_measures(given.subjects), given.labels, given.stages)
    store = None if folder is None else Kept(folder, *parts)
    results = run(jobs, *parts, n_jobs=n_jobs, store=store)
    failures = _failures(jobs, results)
    kept = [
        (job, done)
        for job, done in zip(jobs, results, strict=True)
        if job.name not in set(failures["estimator"])
    ]
    predictions = pd.concat([_predicted(*each, given) for each in kept], ignore_index=True)
    names = predictions["estimator"].unique().tolist()
    baseline = "linear" if "linear" in names else names[0]
    drawn = draws(predictions, given.stages, seed)
    return Evaluation(
        table=intervals(drawn),
        predictions=predictions,
        folds=_folds(splits, given),
        differences=intervals(minus(drawn, baseline)),
        stages=given.stages,
        choices=_choices(kept),
        seconds=_seconds(kept),
        failures=failures,
        draws=drawn,
    )


def compare(evaluation: Evaluation, *, baseline: str, seed: int | None = None) -> pd.DataFrame:
    """Return the paired differences of all other estimators minus a baseline.

    Both are scored on the same resamples of the same participants, so what makes a subject hard
    for both drops out. Above 0 is better, but for :data:`LOWER_IS_BETTER`.

    Parameters
    ----------
    evaluation : Evaluation
    baseline : str
        Name of one of its estimators.
    seed : int, optional
        Decides the resamples; those of the evaluation by default.

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
    return intervals(minus(drawn_of(evaluation, seed), baseline))


def _models(
    estimators: Mapping[str, Classifier], grids: Mapping[str, Grid], seed: int
) -> dict[str, Classifier]:
    """Return the estimators, unfitted, each with its search."""
    unknown = [name for name in grids if name not in estimators]
    if unknown or not estimators:
        raise ValueError(
            f"grids must be of estimators ({some(list(estimators)) or 'none given'}), of which "
            f"there must be one or more; got {some(unknown) or 'none'}."
        )
    for name, each in estimators.items():
        refuse_fitted(name, each)
        refuse_fitted(name, grids.get(name))
    return {
        name: Search(each, grids[name], seed=seed) if name in grids else each
        for name, each in estimators.items()
    }


def _failures(jobs: Sequence[Job], results: Sequence[Done]) -> pd.DataFrame:
    """Return where estimators failed, and warn; raise where all did."""
    failed = [(job, done) for job, done in zip(jobs, results, strict=True) if done.error]
    n_folds = len({(job.split.repeat, job.split.fold) for job in jobs})
    first = {job.name: done.error for job, done in reversed(failed)}
    if len(first) == len({job.name for job in jobs}):
        raise next(done.error for _, done in failed if done.error)
    for name, error in sorted(first.items()):
        count = sum(job.name == name for job, _ in failed)
        warnings.warn(
            f"{str(error).rstrip('.')}. It failed in {count} of {n_folds} folds and is left out; "
            "the others are scored. The traceback is in Evaluation.failures.",
            UserWarning,
            stacklevel=3,
        )
    rows = [
        (job.name, job.split.repeat, job.split.fold, done.error.cause, done.details)
        for job, done in failed
        if done.error
    ]
    return _table(_FAILURES, rows)


def _predicted(job: Job, done: Done, given: Staged) -> pd.DataFrame:
    assert done.chances is not None  # it did not fail
    test = job.split.test
    where = {"estimator": job.name, "repeat": job.split.repeat, "fold": job.split.fold}
    who = {
        "participant": given.subjects.participants[test],
        "subject": given.names[test],
        "truth": given.labels[test],
    }
    return pd.DataFrame(where | who | _columns(done.chances, given.stages))


def _columns(chances: NDArray[np.float64], stages: tuple[str, ...]) -> dict[str, NDArray]:
    predicted = np.array(stages)[chances.argmax(axis=1)]
    return {"predicted": predicted} | {
        f"p_{stage}": chances[:, each] for each, stage in enumerate(stages)
    }


def _folds(splits: Sequence[Split], given: Staged) -> pd.DataFrame:
    sites = given.sites
    parts = [
        pd.DataFrame(
            {"repeat": each.repeat, "fold": each.fold, "subject": given.names[each.test]}
            | ({} if sites is None else {"site": sites[each.test]})
        )
        for each in splits
    ]
    return pd.concat(parts, ignore_index=True)


def _choices(kept: Sequence[tuple[Job, Done]]) -> pd.DataFrame:
    rows = [
        (job.name, job.split.repeat, job.split.fold, name, value)
        for job, done in kept
        for name, value in done.choices.items()
    ]
    return _table(_CHOICES, rows)


def _seconds(kept: Sequence[tuple[Job, Done]]) -> pd.DataFrame:
    rows = [(job.name, job.split.repeat, job.split.fold, *done.seconds) for job, done in kept]
    return _table(_SECONDS, rows)
