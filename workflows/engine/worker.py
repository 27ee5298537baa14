"""How a worker that is a job of a cluster ends: at once, with its step, whoever ends it.

Dask loads this module into each such worker (``--preload``). Left alone, a worker would wait for
the step that it runs, for as long as the cluster lets it.
"""

import os
import shutil
import signal
from typing import Any, NoReturn


def dask_setup(worker: Any) -> None:
    """Have the worker end where its job is ended: cancelled, preempted or out of time."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _end(worker))


def dask_teardown(worker: Any) -> None:
    """End the worker where it has no work left, or nobody who gives it any."""
    _end(worker)


def _end(worker: Any) -> NoReturn:
    """End the step and this process; nothing is sent any more, so another worker takes over."""
    from brainnet.workflows.engine import end_steps

    try:
        end_steps()
        shutil.rmtree(worker.local_directory, ignore_errors=True)
    finally:
        os._exit(0)
