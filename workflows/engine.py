"""Across participants: each in a worker process of its own, so that none can stop the others.

Dask distributed runs the workers. A participant's steps hold the interpreter for many seconds
at a time, so workers are never declared dead for silence (``worker-ttl`` off), one thread runs
in each, and a worker that is killed fails its own participant only.
"""

import logging
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from brainnet import io
from brainnet.bids import Scan

#: environment of every worker: one thread each, which also makes results reproducible
WORKER_ENVIRONMENT = {
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_DASK = {
    "distributed.scheduler.worker-ttl": None,
    "distributed.scheduler.allowed-failures": 0,
    "distributed.worker.daemon": False,
    "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
    "distributed.logging": {"distributed": "critical"},
}
#: what a participant may need, bytes
MEMORY = 4_000_000_000
_TOPIC = "brainnet"
_LOST = "the worker process ended ({}): killed or out of memory. Run again with fewer --nprocs."
Notify = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What became of one participant.

    Attributes
    ----------
    label : str
        The participant's label.
    failures : list of str
        One line a pipeline that failed: what, file, rule, remedy. Empty if all went well.
    pages : list of pathlib.Path
        Reports that were written.
    """

    label: str
    failures: list[str] = field(default_factory=list)
    pages: list[Path] = field(default_factory=list)


def run_all(
    function: Callable[..., Outcome],
    jobs: Mapping[str, tuple[Any, ...]],
    log_dir: Path,
    *,
    n_procs: int = 0,
) -> list[Outcome]:
    """Run ``function(label, *job, notify)`` for every participant; return every outcome.

    Parameters
    ----------
    function : callable
        Importable by name; returns an `Outcome`. What it raises becomes a failure.
    jobs : mapping
        Participant label to further arguments.
    log_dir : pathlib.Path
        Where the traceback of a failure is written, one file a participant.
    n_procs : int
        Worker processes; 0 runs in this process, one participant after another.

    Returns
    -------
    list of Outcome
        In the order of ``jobs``.
    """
    if n_procs < 0:
        raise ValueError(f"n_procs (--nprocs) must be 0 or more; got {n_procs}.")
    runner = _serial if n_procs == 0 else _distributed
    outcomes = {}
    with tqdm(total=len(jobs), unit="participant", dynamic_ncols=True) as bar:
        bar.set_description("participants")
        for outcome in runner(function, jobs, log_dir, n_procs, bar):
            outcomes[outcome.label] = outcome
            _mark(outcome, log_dir)
            bar.update()
    return [outcomes[label] for label in jobs]


def _mark(outcome: Outcome, log_dir: Path) -> None:
    """Keep ``logs/sub-X.failed`` while the last run failed; the group level reads it."""
    path = log_dir / f"sub-{outcome.label}.failed"
    with suppress(OSError):
        if outcome.failures:
            io.save_text("\n".join(outcome.failures) + "\n", path)
        else:
            path.unlink(missing_ok=True)


class Attempts:
    """Calls that may fail without stopping the rest of a participant.

    Attributes
    ----------
    label : str
        The participant's label.
    failures : list of str
        One line a failed call; its traceback stands in the participant's log.

    Parameters
    ----------
    label : str
        The participant's label.
    log_dir : pathlib.Path
        Where the log is written.
    hide : sequence of pathlib.Path
        Folders whose files are named from there on: where a dataset lies is nobody's business.
    """

    def __init__(self, label: str, log_dir: Path, *, hide: Sequence[Path] = ()) -> None:
        self.label = label
        self.failures: list[str] = []
        self._log_dir = log_dir
        self._hide = [f"{form}/" for folder in hide for form in (folder.absolute(), folder)]

    def __call__(self, function: Callable[..., T], *args: object) -> T | None:
        """Return what ``function`` returns, or None and note why it failed."""
        try:
            return function(*args)
        except Exception as error:
            self._log(error)
            self.failures.append(self._describe(error, args))
            return None

    def _describe(self, error: Exception, args: Sequence[object]) -> str:
        """Return one line with the file's name and without where the datasets lie."""
        text = str(error)
        if not isinstance(error, io.DataError):
            scans = [arg.path.name for arg in args if isinstance(arg, Scan)]
            kind = f"{type(error).__name__}: {text} (traceback in logs/sub-{self.label}.log)"
            text = ": ".join([*scans, kind])
        for folder in self._hide:
            text = text.replace(folder, "")
        return text

    def _log(self, error: Exception) -> None:
        """Append the traceback to the participant's log, if the disk still takes it."""
        with suppress(OSError):
            self._log_dir.mkdir(parents=True, exist_ok=True)
            with (self._log_dir / f"sub-{self.label}.log").open("a", encoding="utf-8") as log:
                log.write("".join(traceback.format_exception(error)) + "\n")


def _attempt(
    function: Callable[..., Outcome],
    label: str,
    job: tuple[Any, ...],
    log_dir: Path,
    notify: Notify,
) -> Outcome:
    """Run one participant; an exception becomes a failure with its traceback in the log."""
    attempt = Attempts(label, log_dir)
    return attempt(function, label, *job, notify) or Outcome(label, attempt.failures)


def _serial(
    function: Callable[..., Outcome],
    jobs: Mapping[str, tuple[Any, ...]],
    log_dir: Path,
    n_procs: int,
    bar: Any,
) -> Iterator[Outcome]:
    for label, job in jobs.items():

        def notify(step: str, label: str = label) -> None:
            bar.set_postfix_str(f"sub-{label} {step}")

        yield _attempt(function, label, job, log_dir, notify)


def _distributed(
    function: Callable[..., Outcome],
    jobs: Mapping[str, tuple[Any, ...]],
    log_dir: Path,
    n_procs: int,
    bar: Any,
) -> Iterator[Outcome]:
    from distributed import as_completed

    with _client(min(n_procs, len(jobs))) as client:
        client.subscribe_topic(_TOPIC, lambda event: bar.set_postfix_str(event[1]))
        futures = {
            client.submit(
                _remote, function, label, job, log_dir, key=f"sub-{label}", pure=False
            ): label
            for label, job in jobs.items()
        }
        for future in as_completed(futures):
            error = future.exception()
            if error is None:
                yield future.result()
            else:
                label = futures[future]
                yield Outcome(label, [_LOST.format(type(error).__name__)])


def _remote(
    function: Callable[..., Outcome], label: str, job: tuple[Any, ...], log_dir: Path
) -> Outcome:
    """Run one participant in a worker and report its steps to the terminal."""
    from distributed import get_worker

    worker = get_worker()
    return _attempt(
        function, label, job, log_dir, lambda step: worker.log_event(_TOPIC, f"sub-{label} {step}")
    )


@contextmanager
def _client(n_workers: int) -> Iterator[Any]:
    """Start a local cluster with the settings above, and take it down again."""
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with (
        dask.config.set(_DASK),
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def default_procs() -> int:
    """Return how many workers fit: one a processor this process may use, 4 GB of memory each."""
    import psutil

    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(processors, int(psutil.virtual_memory().available // MEMORY)))
