"""Where the workers are: on this machine, at a scheduler that runs, or in jobs of a cluster."""

import importlib.util
import logging
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from brainnet.workflows.engine.child import Limits
from brainnet.workflows.engine.resources import Resources

_LOG = logging.getLogger("brainnet")
#: workers only supervise, so silence of five minutes (Dask's own limit) means that one is gone;
#: a participant whose worker is lost twice is not tried again, and none waits at a worker that
#: is busy, where that worker's end would count against it
_DASK = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.worker.daemon": False,
    "distributed.logging": {"distributed": "critical"},
}
#: jobs of a cluster end for reasons that are not the participant's: preemption, walltime
_CLUSTER = {
    "distributed.scheduler.allowed-failures": 3,
    "distributed.scheduler.unknown-task-duration": "1h",
    "distributed.deploy.lost-worker-timeout": "5s",
}
#: Dask serves pages whatever it is told: for nobody else, and at no number that others use
NO_DASHBOARD = "127.0.0.1:0"
DASHBOARD = "127.0.0.1:8787"
#: s in which a scheduler must answer
CONNECT = 15
#: GB that the worker itself takes of what it is given
_WORKER_MEMORY = 0.3


@contextmanager
def connect(
    resources: Resources, n_participants: int, log_dir: Path | None = None
) -> Iterator[Any]:
    """Give a client of Dask whose workers run participants, and take down what was started.

    Parameters
    ----------
    resources : Resources
        Which workers, and how many.
    n_participants : int
        No more workers than this are started.
    log_dir : pathlib.Path, optional
        Where jobs of a cluster leave what they print; needed there.

    Yields
    ------
    distributed.Client
        One thread a worker.

    Raises
    ------
    ValueError
        A scheduler that does not answer or does not fit, no means to submit jobs, or no means to
        serve a dashboard.
    DataError
        A configuration of the cluster that is wrong or refused.
    """
    if resources.dashboard and importlib.util.find_spec("bokeh") is None:
        raise ValueError("dashboard (--dashboard) needs bokeh, which is not installed. Use pip "
                         "install 'brainnet[dashboard]' first.")  # fmt: skip
    with _client(resources, n_participants, log_dir) as client:
        if resources.dashboard:
            print(f"dashboard: {client.dashboard_link}", file=sys.stderr)
        yield client


@contextmanager
def _client(resources: Resources, n_participants: int, log_dir: Path | None) -> Iterator[Any]:
    """Start what was asked for, or reach it."""
    import dask
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if resources.scheduler:
        with dask.config.set(_DASK), _scheduler(resources.scheduler) as client:
            yield client
    elif resources.cluster:
        from brainnet.workflows.engine.slurm import slurm

        if log_dir is None:
            raise ValueError("log_dir must be given with a cluster.")
        with (
            dask.config.set(_DASK | _CLUSTER),
            slurm(resources, n_participants, log_dir) as cluster,
            Client(cluster) as client,
        ):
            yield client
    else:
        with (
            dask.config.set(_DASK),
            _local(resources, n_participants) as cluster,
            Client(cluster) as client,
        ):
            yield client


@contextmanager
def _local(resources: Resources, n_participants: int) -> Iterator[Any]:
    """Start the workers on this machine."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=resources.workers(n_participants),
        threads_per_worker=1,
        processes=True,
        memory_limit=0,
        dashboard_address=DASHBOARD if resources.dashboard else NO_DASHBOARD,
        silence_logs=logging.CRITICAL,
        local_directory=resources.work_dir and str(resources.work_dir),
    ) as cluster:
        yield cluster


@contextmanager
def _scheduler(address: str) -> Iterator[Any]:
    """Join a scheduler that runs, after looking at it and its workers."""
    import warnings

    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    where = f"the Dask scheduler at {address} (--scheduler)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)  # refused below
            client = Client(address, timeout=CONNECT)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{where} does not answer ({_reason(error)}). Look whether it runs, and at the "
            "address: tcp://host:port."
        ) from error
    with client:
        _check_versions(client, where)
        _check_workers(client, where)
        yield client


def _reason(error: BaseException) -> str:
    """Return one short line of why."""
    first = error.__cause__ or error
    return f"{type(first).__name__}: {first}".splitlines()[0]


def _check_versions(client: Any, where: str) -> None:
    """Refuse a scheduler, or workers, that speak another version of Python or Dask."""
    versions = client.get_versions()
    ours = _relevant(versions["client"])
    others = {"the scheduler": versions["scheduler"]} | versions["workers"]
    for who, theirs in others.items():
        wrong = [
            f"{name} {there or 'absent'} there and {here} here"
            for (name, here), there in zip(ours.items(), _relevant(theirs).values(), strict=True)
            if here != there
        ]
        if wrong:
            raise ValueError(
                f"{where} does not fit: {who} has {'; '.join(wrong)}. Start it and its workers "
                "from the environment that this command runs in."
            )


def _relevant(versions: Any) -> dict[str, str]:
    """Return what must be equal: Python up to its minor version, and what carries messages."""
    packages = (versions or {}).get("packages", {})
    names = ("distributed", "cloudpickle", "msgpack")
    python = ".".join(str(packages.get("python", "")).split(".")[:2])
    return {"python": python, **{name: str(packages.get(name) or "") for name in names}}


def _check_workers(client: Any, where: str) -> None:
    """Refuse workers without this brainnet, or that would run participants side by side."""
    from brainnet import __version__

    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        _LOG.warning("%s has no workers yet; waiting for one.", where)
    for name, worker in workers.items():
        if worker["nthreads"] != 1:
            raise ValueError(
                f"{where} does not fit: worker {name} has {worker['nthreads']} threads, and a "
                "participant needs a process of its own. Start workers with --nthreads 1 "
                "--nworkers N."
            )
    try:
        found = client.run(_version)
    except Exception as error:  # whatever a worker without brainnet raises
        raise ValueError(
            f"{where} does not fit: a worker cannot import brainnet ({_reason(error)}). Start "
            "workers from the environment that this command runs in."
        ) from error
    for name, version in found.items():
        if version != __version__:
            raise ValueError(
                f"{where} does not fit: worker {name} has brainnet {version}, not {__version__}. "
                "Start workers from the environment that this command runs in."
            )


def _version() -> str:
    """Return the version of brainnet over there."""
    from brainnet import __version__

    return __version__


def worker_limits(worker: Any, limits: Limits) -> Limits:
    """Return what steps are held to on a worker: no more than the worker itself is given.

    Parameters
    ----------
    worker : distributed.Worker
        Dask gives each its share of its machine, job or container (``--memory-limit``).
    limits : Limits
        What was asked; ``math.inf`` for memory asks nothing.

    Returns
    -------
    Limits
        With a finite memory, and a folder for temporary files of the worker's own machine
        where none is given.
    """
    own = worker.memory_manager.memory_limit
    share = own / 1e9 if own else math.inf
    if not own and math.isinf(limits.memory):
        from distributed.system import MEMORY_LIMIT

        share = MEMORY_LIMIT / 1e9
    memory = min(limits.memory, max(0.5 * share, share - _WORKER_MEMORY))
    return replace(limits, memory=memory, scratch=limits.scratch or Path(worker.local_directory))


class Unwanted(BaseException):
    """Nobody waits for this participant any more: its run was stopped or killed."""


def check_wanted(worker: Any, key: str) -> None:
    """Raise `Unwanted` where nobody waits any more for what a worker computes under a key."""
    task = worker.state.tasks.get(key)
    if task is None or task.state == "cancelled":
        raise Unwanted(key)
