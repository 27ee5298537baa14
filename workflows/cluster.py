"""Where the workers are: on this machine, at a scheduler that runs, or in jobs of a cluster."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from brainnet.workflows.resources import Resources

#: workers only supervise, so silence of five minutes (Dask's own limit) means that one is gone;
#: a participant whose worker is lost twice is not tried again, and none waits at a worker that
#: is busy, where that worker's end would count against it
_DASK = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.worker.daemon": False,
    "distributed.logging": {"distributed": "critical"},
}


@contextmanager
def connect(resources: Resources, n_participants: int) -> Iterator[Any]:
    """Give a client of Dask whose workers run participants, and take down what was started.

    Parameters
    ----------
    resources : Resources
        Which workers, and how many.
    n_participants : int
        No more workers than this are started.

    Yields
    ------
    distributed.Client
        One thread a worker.
    """
    import dask
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with (
        dask.config.set(_DASK),
        _cluster(resources, n_participants) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def _cluster(resources: Resources, n_participants: int) -> Iterator[Any]:
    """Start the workers on this machine."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=resources.workers(n_participants),
        threads_per_worker=1,
        processes=True,
        memory_limit=0,
        dashboard_address=":8787" if resources.dashboard else None,
        silence_logs=logging.CRITICAL,
        local_directory=resources.work_dir and str(resources.work_dir),
    ) as cluster:
        yield cluster
