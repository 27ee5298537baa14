"""How nulls are drawn: checks that all share, and one kernel over networks and nulls in threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_count, check_weights
from brainnet.metrics._compile import n_threads
from brainnet.metrics._random import Rng, draw_seeds

WORTH_A_THREAD = 200_000
"""Fewest entries of all nulls together for which starting threads pays."""


def check_edges(networks: ArrayLike, *, directed: bool = False) -> NDArray[Any]:
    """Return booleans as adjacency, anything else as (signed) weights, checked."""
    if np.asarray(networks).dtype == bool:
        return check_adjacency(networks, directed=directed)
    return check_weights(networks, signed=True, directed=directed)


def check_distances(
    distances: ArrayLike, n_regions: int, *, directed: bool = False
) -> NDArray[np.float64]:
    """Return the distances between regions, one matrix for all networks, checked."""
    checked = check_weights(distances, name="distances", directed=directed)
    if checked.shape != (n_regions, n_regions):
        raise ValueError(
            f"distances must be of shape {(n_regions, n_regions)}; got {checked.shape}. "
            "Pass one distance per pair of regions, the same for all networks."
        )
    return checked


def check_swaps(swaps_per_edge: float) -> float:
    """Return a finite number of swaps that is not negative."""
    if not 0 <= swaps_per_edge < np.inf:
        raise ValueError(
            f"swaps_per_edge must be finite and not negative; got {swaps_per_edge}. "
            "Pass 10 to randomise completely."
        )
    return float(swaps_per_edge)


def over_nulls(
    function: Callable[..., None],
    networks: NDArray[Any],
    *arrays: NDArray[Any],
    n_nulls: int,
    rng: Rng,
    constants: tuple[Any, ...] = (),
) -> NDArray[Any]:
    """Return the nulls that a kernel draws of each network, in threads over both.

    Parameters
    ----------
    function : kernel
        Called as ``function(network, *arrays, *constants, state, out)``: ``state`` is the seed as
        a uint64 array of one number, ``out`` (n_regions, n_regions) starts at zero.
    networks : (..., n_regions, n_regions) array
        Its dtype is that of the nulls.
    *arrays : (..., any) arrays
        With the same leading axes.
    n_nulls : int
        Nulls per network.
    rng : int or Generator
        The first nulls are the same however many are drawn.
    constants : tuple, optional
        The same for all networks.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        Independent of the number of threads.
    """
    n_nulls = check_count(n_nulls, "n_nulls")
    leading, n_regions = networks.shape[:-2], networks.shape[-1]
    n_networks = int(np.prod(leading))
    flat = [each.reshape(n_networks, *each.shape[len(leading) :]) for each in (networks, *arrays)]
    seeds = draw_seeds(rng, (n_nulls, n_networks))
    out = np.zeros((n_networks * n_nulls, n_regions, n_regions), dtype=networks.dtype)

    def run(first: int, last: int) -> None:
        for i in range(first, last):
            m, k = divmod(i, n_nulls)
            function(*[each[m] for each in flat], *constants, seeds[k, m : m + 1], out[i])

    n_workers = min(n_threads(), len(out))
    if n_workers < 2 or out.size < WORTH_A_THREAD:
        run(0, len(out))
    else:
        step = -(-len(out) // (4 * n_workers))
        with ThreadPoolExecutor(n_workers) as pool:
            starts = range(0, len(out), step)
            list(pool.map(lambda i: run(i, min(i + step, len(out))), starts))
    return out.reshape(*leading, n_nulls, n_regions, n_regions)
