"""Run a compiled kernel over many networks."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from brainnet._compile import fast_kernel, kernel, n_threads

__all__ = ["WORTH_A_THREAD", "fast_kernel", "kernel", "n_threads", "over_networks"]

WORTH_A_THREAD = 0.002
"""Seconds that the networks after the first must be expected to take for threads to pay."""


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
