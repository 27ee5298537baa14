"""Across participants: each in a worker process of its own, so that none can stop the others.

Dask distributed hands participants to workers, on this machine or on a cluster. A worker only
supervises: its steps run in a child process of its own (`child`), so it always answers, and one
that falls silent has gone, with its child. Its participant is then tried once more elsewhere.
"""

import atexit
import math
import signal
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from brainnet import io
from brainnet.workflows.engine.child import Child, Limits
from brainnet.workflows.engine.logs import logged, open_log
from brainnet.workflows.engine.manifest import Manifest
from brainnet.workflows.engine.outcome import Attempts, Outcome, Running, StepReport, mark
from brainnet.workflows.engine.progress import Progress
from brainnet.workflows.engine.resources import Resources
from brainnet.workflows.engine.scratch import temporary_folder
from brainnet.workflows.engine.step import run_step
from brainnet.workflows.engine.steps import Steps

__all__ = ["Attempts", "NewSteps", "Outcome", "StepReport", "end_steps", "run_all"]

_LOST = (
    "every worker that ran it was lost: killed, or its machine or job ended. Run the same command "
    "again; what was finished is kept."
)
_NOT_SENT = "could not be sent to a worker or back: {}: {}. Do the workers run this brainnet?"
_CUT_OFF = (
    "was not finished, since the connection to the Dask scheduler was lost. Run the same command "
    "again; what was finished is kept."
)
_NOT_STARTED = "was not started, since another participant had failed (--stop-on-first-crash)."
NewSteps = Callable[[], Steps]


def run_all(
    function: Callable[..., Outcome],
    jobs: Mapping[str, tuple[Any, ...]],
    log_dir: Path,
    *,
    resources: Resources | None = None,
    asked: Mapping[str, Any] | None = None,
) -> list[Outcome]:
    """Run ``function(label, *job, new_steps)`` for every participant; return every outcome.

    Parameters
    ----------
    function : callable
        Importable by name; returns an `Outcome`. What it raises becomes a failure. Its steps go
        through the `Steps` that ``new_steps()`` gives.
    jobs : mapping
        Participant label to further arguments.
    log_dir : pathlib.Path
        Where each participant's log, marks of failure and the run's manifest are written.
    resources : Resources, optional
        Processes, limits, cluster; default all in this process, one after another.
    asked : mapping, optional
        What the run was told, for its manifest.

    Returns
    -------
    list of Outcome
        In the order of ``jobs``.
    """
    resources = resources or Resources()
    outcomes: dict[str, Outcome] = {}
    with _interruptible(), _scratch(resources) as resources, Progress(len(jobs)) as progress:
        with suppress(io.DataError):
            io.remove_leftovers(log_dir)  # of marks that a killed run was writing
        manifest = Manifest(log_dir, asked or {})
        runner = _distributed if _needs_dask(resources) else _serial
        try:
            for outcome in runner(function, jobs, log_dir, resources, progress):
                outcomes[outcome.label] = outcome
                mark(outcome, log_dir)
                manifest.add(outcome)
                progress.finish(outcome)
        except BaseException as error:
            manifest.close(stopped=type(error).__name__)
            raise
    manifest.close()
    return [outcomes[label] for label in jobs]


def _needs_dask(resources: Resources) -> bool:
    return bool(resources.n_procs or resources.scheduler or resources.cluster)


def _elsewhere(resources: Resources) -> bool:
    return bool(resources.scheduler or resources.cluster)


@contextmanager
def _scratch(resources: Resources) -> Iterator[Resources]:
    """Give the run a folder for temporary files; remove it afterwards, and those of killed runs."""
    local = _needs_dask(resources) and not _elsewhere(resources)
    if resources.work_dir is None and not local:  # nor is this machine's folder another's
        yield resources
        return
    with temporary_folder(resources.work_dir) as folder:
        yield replace(resources, work_dir=folder)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C and a request to end (SIGTERM) both end the run as KeyboardInterrupt.

    Whatever else goes wrong while the workers are taken down is not worth a word then.
    """
    seen = []

    def interrupt(number: int, _frame: object) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, interrupt) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except BaseException:
        if seen:
            raise KeyboardInterrupt from None
        raise
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _not_started(label: str) -> Outcome:
    return Outcome(label, [f"sub-{label} {_NOT_STARTED}"], started=False)


def _attempt(
    function: Callable[..., Outcome],
    label: str,
    job: tuple[Any, ...],
    log_dir: Path,
    steps_of: Callable[[], Steps],
) -> Outcome:
    """Run one participant; an exception becomes a failure with its traceback in the log."""
    attempt = Attempts(label, log_dir)
    made: list[Steps] = []

    def new_steps() -> Steps:
        made.append(steps_of())
        return made[-1]

    outcome = attempt(function, label, *job, new_steps) or Outcome(label, attempt.failures)
    return replace(outcome, steps=[report for steps in made for report in _reports(steps)])


def _reports(steps: Steps) -> Iterator[StepReport]:
    """Yield what each step took."""
    for (name, output), result in steps.results.items():
        yield StepReport(name, output, result.skipped, result.duration, result.memory)


def _serial(
    function: Callable[..., Outcome],
    jobs: Mapping[str, tuple[Any, ...]],
    log_dir: Path,
    resources: Resources,
    progress: Progress,
) -> Iterator[Outcome]:
    failed = False
    for label, job in jobs.items():
        if failed and resources.stop_on_first_crash:
            yield _not_started(label)
            continue
        with _logged(label, log_dir):
            execute = partial(run_step, running=Running(label, log_dir))
            steps_of = partial(Steps, partial(progress.step, label), execute)
            outcome = _attempt(function, label, job, log_dir, steps_of)
        failed |= bool(outcome.failures)
        yield outcome


@contextmanager
def _logged(label: str, log_dir: Path) -> Iterator[None]:
    """Write what brainnet logs to the participant's log as well, if the disk takes it."""
    try:
        stream = open_log(log_dir / f"sub-{label}.log")
    except OSError:
        yield
        return
    with stream, logged(stream):
        yield


def _distributed(
    function: Callable[..., Outcome],
    jobs: Mapping[str, tuple[Any, ...]],
    log_dir: Path,
    resources: Resources,
    progress: Progress,
) -> Iterator[Outcome]:
    from distributed import as_completed

    from brainnet.workflows.engine.cluster import connect

    limits = _limits(resources, len(jobs))
    run = uuid.uuid4().hex[:8]  # a scheduler may have other runs, of the same labels
    with connect(resources, len(jobs), log_dir) as client:
        client.subscribe_topic(f"brainnet-{run}", lambda event: progress.step(*event[1]))
        futures = {
            client.submit(
                _remote, function, label, job, log_dir.absolute(), limits, f"brainnet-{run}",
                key=f"sub-{label}-{run}", pure=False,
            ): label
            for label, job in jobs.items()
        }  # fmt: skip
        done, stopped = set(), False
        for future in as_completed(futures):
            label = futures[future]
            outcome = (
                _not_started(label) if stopped and future.cancelled() else _result(future, label)
            )
            future.release()  # else it would be computed again if its worker went later
            done.add(label)
            yield outcome
            if outcome.failures and resources.stop_on_first_crash and not stopped:
                stopped = True
                _cancel_waiting(client, futures, done)
            if done == set(jobs):
                break


def _cancel_waiting(client: Any, futures: Mapping[Any, str], done: set[str]) -> None:
    """Take back the participants that no worker has begun with."""
    busy = {key for keys in client.processing().values() for key in keys}
    left = [f for f, label in futures.items() if label not in done and f.status == "pending"]
    waiting = [future for future in left if future.key not in busy]
    if waiting:
        client.cancel(waiting)


def _limits(resources: Resources, n_participants: int) -> Limits:
    """Return what each step is held to; elsewhere the worker says how much memory there is."""
    if _elsewhere(resources):
        return Limits(math.inf, resources.step_minutes, resources.n_threads, resources.work_dir)
    memory = resources.step_memory(resources.workers(n_participants))
    return Limits(memory, resources.step_minutes, resources.n_threads, resources.work_dir)


def _result(future: Any, label: str) -> Outcome:
    """Return what a worker sent, or that it was lost."""
    from distributed import KilledWorker

    if future.cancelled():  # its error is None then, and it has no result
        return Outcome(label, [f"sub-{label} {_CUT_OFF}"], started=False)
    error = future.exception()
    if error is None:
        outcome: Outcome = future.result()
        return outcome
    if isinstance(error, KilledWorker):
        return Outcome(label, [_LOST])
    return Outcome(label, [_NOT_SENT.format(type(error).__name__, error)])


def _remote(
    function: Callable[..., Outcome],
    label: str,
    job: tuple[Any, ...],
    log_dir: Path,
    limits: Limits,
    topic: str,
) -> Outcome:
    """Run one participant in a worker and report its steps to the terminal."""
    from distributed import get_worker

    from brainnet.workflows.engine.cluster import check_wanted, worker_limits

    worker = get_worker()
    child = _child(worker_limits(worker, limits))
    log = log_dir / f"sub-{label}.log"
    key = worker.get_current_task()

    def notify(step: str) -> None:
        check_wanted(worker, key)
        worker.log_event(topic, (label, step))

    running = Running(label, log_dir)

    def new_steps() -> Steps:
        return Steps(notify, partial(child.run_step, log=log, running=running))

    return _attempt(function, label, job, log_dir, new_steps)


_children: dict[Limits, Child] = {}


def _child(limits: Limits) -> Child:
    """Return this worker's child; there is one, kept from participant to participant."""
    for other in [each for each in _children if each != limits]:
        _children.pop(other).close()
    if limits not in _children:
        _children[limits] = Child(limits)
        atexit.register(_children[limits].close)
    return _children[limits]


def end_steps() -> None:
    """End whatever step this worker runs."""
    while _children:
        _children.popitem()[1].close()
