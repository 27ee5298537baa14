"""How loops over arrays are compiled, and how many threads they may use."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def kernel(function: Kernel) -> Kernel:
    """Compile a function of arrays: once, kept on disk, without the interpreter's lock.

    Where nothing can be written, it is compiled anew in each process.
    """
    return _compiled(function, fastmath=False)


def fast_kernel(function: Kernel) -> Kernel:
    """Compile as ``kernel`` does, for arithmetic whose order may change and without inf or NaN."""
    return _compiled(function, fastmath=True)


def n_threads() -> int:
    """Return the threads that a computation may use: ``OMP_NUM_THREADS``, or all processors."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _compiled(function: Kernel, *, fastmath: bool) -> Kernel:
    """Return the compiled function, cached on disk if there is a place for it."""
    options = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    try:
        compiled: Kernel = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache: numba refuses to cache, not to compile
        compiled = numba.njit(**options)(function)
    return compiled
