"""How kernels are compiled, and how they are run over many networks."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import DTypeLike, NDArray

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

WORTH_A_THREAD = 0.002
"""Seconds that the networks after the first must be expected to take for threads to pay."""


def kernel(function: Kernel) -> Kernel:
    """Compile a function of arrays: once, kept on disk, without the interpreter's lock.

    Where nothing can be written, it is compiled anew in each process.
    """
    return _compiled(function, fastmath=False)


def fast_kernel(function: Kernel) -> Kernel:
    """Compile as ``kernel`` does, for arithmetic whose order may change and without inf or NaN."""
    return _compiled(function, fastmath=True)


def over_networks(
    function: Callable[..., None],
    networks: NDArray[Any],
    *arrays: NDArray[Any],
    shape: tuple[int, ...] = (),
    dtype: DTypeLike = np.float64,
    constants: tuple[Any, ...] = (),
) -> NDArray[Any]:
    """Return what a kernel makes of each network, in threads over the networks.

    Parameters
    ----------
    function : kernel
        Called as ``function(network, *arrays, *constants, out)`` with the arrays of one network;
        ``out`` has the given shape, or ``(1,)`` for one number, and starts at zero.
    networks : (..., n_regions, n_regions) array
        Its leading axes are those of the result.
    *arrays : (..., any) arrays
        With the same leading axes; a kernel may write into them.
    shape : tuple of int, optional
        Of the result for one network.
    dtype : dtype, optional
        Of the result.
    constants : tuple, optional
        The same for all networks.

    Returns
    -------
    (..., *shape) array
        Independent of the number of threads.
    """
    leading = networks.shape[:-2]
    n_networks = int(np.prod(leading))
    flat = [each.reshape(n_networks, *each.shape[len(leading) :]) for each in (networks, *arrays)]
    out = np.zeros((n_networks, *(shape or (1,))), dtype=dtype)

    def run(first: int, last: int) -> None:
        for i in range(first, last):
            function(*[each[i] for each in flat], *constants, out[i])

    start = time.perf_counter()
    run(0, min(1, n_networks))
    rest = (time.perf_counter() - start) * (n_networks - 1)
    n_workers = min(n_threads(), n_networks - 1)
    if n_workers < 2 or rest < WORTH_A_THREAD:
        run(1, n_networks)
    else:
        step = -(-n_networks // (4 * n_workers))
        starts = range(1, n_networks, step)
        with ThreadPoolExecutor(n_workers) as pool:
            list(pool.map(lambda i: run(i, min(i + step, n_networks)), starts))
    return out.reshape(leading + shape)


def n_threads() -> int:
    """Return the threads that measures may use: ``OMP_NUM_THREADS``, or all processors."""
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
