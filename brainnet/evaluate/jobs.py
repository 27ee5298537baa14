"""Fit and predict, fold by fold, in one process or several, with the same results.

A job is one estimator on one split. It runs on one thread wherever it runs, so the number of
processes changes no bit; what it warns of comes back with its result; and where it fails, the
others go on.
"""

import pickle
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import cloudpickle
import joblib
import numpy as np
from joblib.externals.loky.process_executor import BrokenProcessPool
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from tqdm import tqdm

from brainnet.cohort import words
from brainnet.cohort.subjects import Subjects, as_subjects
from brainnet.evaluate.folds import Folds, Split, Splitter, deal
from brainnet.evaluate.inputs import in_order, sites_of
from brainnet.evaluate.leaks import LeakError, assert_no_leak

__all__ = [
    "Classifier", "Done", "EvaluationError", "Job", "Store", "fit_clone", "out_of_fold",
    "probabilities_of", "run",
]  # fmt: skip

Floats = NDArray[np.float64]
Labels = NDArray[np.str_]

#: Warnings that Python does not show to users.
_FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class Classifier(Protocol):
    """What an estimator must be able to do; scikit-learn's words."""

    def fit(self, networks: Any, stages: Any) -> Any:
        """Learn from training subjects."""

    def predict_proba(self, networks: Any) -> Any:
        """Return probabilities in the order of ``classes_``."""


class EvaluationError(ValueError):
    """An estimator could not be fitted or could not predict.

    Parameters
    ----------
    estimator : str
        What it is called.
    where : str
        On which fold, such as ``in fold 0 of repeat 0``.
    cause : str
        What went wrong.
    """

    def __init__(self, estimator: str, where: str, cause: str) -> None:
        self.estimator, self.where, self.cause = estimator, where, cause
        super().__init__(f"estimator {estimator!r} failed {where}: {cause}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive the way back from a worker process."""
        return type(self), (self.estimator, self.where, self.cause)


@dataclass(frozen=True)
class Job:
    """An estimator, what it is called, and where it is fitted and tested."""

    name: str
    estimator: Classifier
    split: Split

    @property
    def where(self) -> str:
        """The fold in words."""
        return (
            f"in fold {self.split.fold} of repeat {self.split.repeat} "
            f"({len(self.split.train)} rows trained on, {len(self.split.test)} tested)"
        )


@dataclass(frozen=True)
class Done:
    """What came of a job.

    Attributes
    ----------
    chances : (n_tested, n_stages) array or None
        None where it failed.
    seconds : tuple of float
        Of fitting and of predicting.
    choices : mapping
        Parameters that a search within the training rows chose.
    warned : list of (category, text)
    error : EvaluationError or None
    details : str
        Traceback of the error.
    """

    chances: Floats | None = None
    seconds: tuple[float, float] = (np.nan, np.nan)
    choices: Mapping[str, Any] = field(default_factory=dict)
    warned: Sequence[tuple[type[Warning], str]] = ()
    error: EvaluationError | None = None
    details: str = ""


def out_of_fold(
    subjects: Subjects | ArrayLike,
    labels: ArrayLike,
    estimator: Classifier,
    folds: Splitter | Any | None = None,
    *,
    n_jobs: int = 1,
) -> Floats:
    """Return the probabilities of each subject by models that never saw it, and nothing more.

    What a permutation test repeats: no checks but that of the split, no scores, no intervals.
    Network measures are not added (:func:`brainnet.models.measures.with_measures`; do it once).

    Parameters
    ----------
    subjects : Subjects or (n_subjects, n_modalities, n_regions, n_regions) array
    labels : (n_subjects,) array
        Stages, as they are or permuted.
    estimator : classifier
        Only clones of it are fitted.
    folds : splitter, optional
        :class:`brainnet.evaluate.Folds` (five by default), ``LeaveSiteOut`` or scikit-learn's.
    n_jobs : int
        Processes; -1 for one a core.

    Returns
    -------
    (n_repeats, n_subjects, n_stages) array
        Stages in the order of :func:`brainnet.evaluate.in_order`. NaN where a repeat did not test
        a subject.

    Raises
    ------
    EvaluationError
        If the estimator fails.
    LeakError
        If a participant stands on both sides of a split.

    Examples
    --------
    >>> from brainnet.models.linear import majority
    >>> networks, stages = np.ones((8, 1, 3, 3)), ["CN", "AD"] * 4
    >>> out_of_fold(networks, stages, majority(), Folds(n_splits=2))[0, 0]
    array([0.5, 0.5])
    """
    given, classes = as_subjects(subjects), words(labels)
    splits = deal(folds or Folds(), classes, given.participants, sites_of(given))
    stages = in_order(classes)
    jobs = [Job(type(estimator).__name__, estimator, split) for split in splits]
    chances = np.full((1 + max(s.repeat for s in splits), len(given), len(stages)), np.nan)
    for split, done in zip(splits, run(jobs, given, classes, stages, n_jobs=n_jobs), strict=True):
        if done.error is not None:
            raise done.error
        chances[split.repeat, split.test] = done.chances
    return chances


class Store(Protocol):
    """Where results are kept from one run to the next: :class:`brainnet.evaluate.kept.Kept`."""

    def find(self, job: Job) -> Done | None:
        """Return what came of a job; None where that is not known."""

    def keep(self, job: Job, done: Done) -> None:
        """Keep what came of a job."""


def run(
    jobs: Sequence[Job],
    subjects: Subjects,
    labels: Labels,
    stages: tuple[str, ...],
    *,
    n_jobs: int,
    store: Store | None = None,
) -> list[Done]:
    """Do all jobs and return what came of them, in their order.

    Those that the store knows are not done again; each result goes there when it comes. Should a
    process die (out of memory), the jobs that it took with it are done again, one at a time, and
    only one that dies again has failed.

    Raises
    ------
    LeakError
        If a participant stands on both sides of a split.
    EvaluationError
        If an estimator cannot be sent to another process.
    """
    for job in jobs:
        assert_no_leak(
            subjects.participants[job.split.train], subjects.participants[job.split.test]
        )
    known = {number: store.find(job) for number, job in enumerate(jobs)} if store else {}
    found = {number: done for number, done in known.items() if done is not None}
    left = {number: job for number, job in enumerate(jobs) if number not in found}
    n_jobs = min(joblib.effective_n_jobs(n_jobs), max(1, len(left)))
    bar = tqdm(total=len(jobs), initial=len(found), desc="cross-validation", disable=None)
    with bar, warnings.catch_warnings():
        # joblib replaces a process whose memory has grown; no job is lost by it
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
        for number, done in _results(left, (subjects, labels, stages), n_jobs):
            found[number] = done
            if store is not None:
                store.keep(jobs[number], done)
            bar.update()
    results = [found[number] for number in range(len(jobs))]
    _tell(jobs, results)
    return results


def _results(
    jobs: Mapping[int, Job], shared: tuple[Subjects, Labels, tuple[str, ...]], n_jobs: int
) -> Iterator[tuple[int, Done]]:
    """Yield results as they come, by the jobs' numbers."""
    if n_jobs == 1:
        yield from ((number, _do(job, *shared)) for number, job in jobs.items())
        return
    for job in {id(job.estimator): job for job in jobs.values()}.values():
        _check_can_travel(job)
    left = dict(jobs)
    try:
        for number, done in _parallel(dict(left), shared, n_jobs):
            del left[number]
            yield number, done
    except BrokenProcessPool:
        for number, job in left.items():
            try:
                yield from _parallel({number: job}, shared, 2)
            except BrokenProcessPool:
                cause = (
                    "its process was ended from outside, most likely for want of memory. Give it "
                    "more memory or fewer processes (n_jobs=1)."
                )
                yield number, Done(error=EvaluationError(job.name, job.where, cause))


def _parallel(
    jobs: Mapping[int, Job], shared: tuple[Subjects, Labels, tuple[str, ...]], n_jobs: int
) -> Iterable[tuple[int, Done]]:
    """Yield what worker processes make of the jobs; large arrays are shared by file."""
    with joblib.parallel_config("loky", n_jobs=n_jobs, inner_max_num_threads=1):
        yield from joblib.Parallel(return_as="generator_unordered", batch_size=1)(
            joblib.delayed(_numbered)(number, job, *shared) for number, job in jobs.items()
        )


def _numbered(number: int, *what: Any) -> tuple[int, Done]:
    return number, _do(*what)


def _check_can_travel(job: Job) -> None:
    try:
        cloudpickle.dumps(job.estimator)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        cause = f"it cannot be sent to another process ({error}). Take n_jobs=1."
        raise EvaluationError(job.name, "before the first fold", cause) from error


def _do(job: Job, subjects: Subjects, labels: Labels, stages: tuple[str, ...]) -> Done:
    """Fit a fresh clone on the training rows and predict the test rows; never raise but a leak."""
    train, test = job.split.train, job.split.test
    with warnings.catch_warnings(record=True) as caught, _one_thread():
        warnings.simplefilter("always")
        try:
            start = time.perf_counter()
            fitted = fit_clone(
                job.estimator, subjects[train], labels[train], subjects.participants[train]
            )
            middle = time.perf_counter()
            chances = probabilities_of(fitted, subjects[test], stages)
            seconds = (middle - start, time.perf_counter() - middle)
            done = Done(chances, seconds, _choices(fitted))
        except LeakError:
            raise
        except Exception as error:
            told = EvaluationError(job.name, job.where, f"{type(error).__name__}: {error}")
            done = Done(error=told, details=traceback.format_exc())
    warned = [
        (each.category, str(each.message))
        for each in caught
        if not issubclass(each.category, _FOR_DEVELOPERS)
    ]
    return replace(done, warned=warned)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Give numerical libraries one thread: their sums depend on how many there are."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    with threadpool_limits(1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def fit_clone(estimator: Classifier, networks: Any, labels: Labels, groups: Labels) -> Any:
    """Fit a fresh clone, with the participants of the rows where it can use them."""
    fresh = clone(estimator)
    if has_fit_parameter(fresh, "groups"):
        return fresh.fit(networks, labels, groups=groups)
    if isinstance(fresh, Pipeline) and has_fit_parameter(fresh.steps[-1][1], "groups"):
        return fresh.fit(networks, labels, **{f"{fresh.steps[-1][0]}__groups": groups})
    return fresh.fit(networks, labels)


def probabilities_of(fitted: Any, networks: Any, stages: tuple[str, ...]) -> Floats:
    """Return the probabilities in the order of the stages; 0 for a stage it never saw."""
    given = np.asarray(fitted.predict_proba(networks), dtype=np.float64)
    classes = [str(each) for each in fitted.classes_]
    if given.shape != (len(networks), len(classes)):
        raise ValueError(
            f"probabilities must be {(len(networks), len(classes))}, a row a subject and a column "
            f"a class; got {given.shape}."
        )
    if not (np.isfinite(given).all() and np.allclose(given.sum(axis=1), 1.0, atol=1e-4)):
        raise ValueError("probabilities must be finite and sum to 1; got others.")
    chances = np.zeros((len(networks), len(stages)))
    chances[:, [stages.index(each) for each in classes]] = given
    return chances


def _choices(fitted: Any) -> dict[str, Any]:
    """Return what a search in it chose: its own, or that of what it wraps."""
    inner = (fitted, getattr(fitted, "estimator_", None), getattr(fitted, "_final_estimator", None))
    return dict(next((p for e in inner if (p := getattr(e, "best_params_", None))), {}))


def _tell(jobs: Sequence[Job], results: Sequence[Done]) -> None:
    """Warn of what the jobs warned of: each thing once an estimator, with the number of folds."""
    told: dict[tuple[str, type[Warning], str], list[str]] = {}
    n_folds: dict[str, int] = {}
    for job, done in zip(jobs, results, strict=True):
        n_folds[job.name] = n_folds.get(job.name, 0) + 1
        fold: dict[tuple[str, type[Warning], str], str] = {}
        for category, text in done.warned:
            without_numbers = "".join(each for each in text if not each.isdigit())
            fold.setdefault((job.name, category, without_numbers), text)
        for key, text in fold.items():
            told.setdefault(key, []).append(text)
    for (name, category, _), texts in told.items():
        what = f"{texts[0]} (estimator {name!r}, {len(texts)} of {n_folds[name]} folds)"
        warnings.warn(what, category, stacklevel=4)
