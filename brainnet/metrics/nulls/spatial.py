"""Random networks in which every region keeps its degree and edges keep their lengths, nearly."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_count
from brainnet.metrics._compile import kernel
from brainnet.metrics._random import Rng, random_below
from brainnet.metrics.nulls._edges import (
    MOST_ATTEMPTS,
    PILOT_LEAST,
    PILOT_SHARE,
    list_edges,
    write_edges,
)
from brainnet.metrics.nulls._run import (
    check_distances,
    check_edges,
    check_swaps,
    over_nulls,
)


def rewire_spatial(
    networks: ArrayLike,
    distances: ArrayLike,
    *,
    n_bins: int = 10,
    n_nulls: int = 1,
    swaps_per_edge: float = 10,
    rng: Rng = 0,
) -> NDArray[Any]:
    r"""Return random networks with all degrees and the number of edges of each length.

    The range from the shortest to the longest distance between regions is cut into equal bins. A
    swap of ``rewire`` is legal only if the two new edges fall into the bins of the two old ones;
    each carries along the weight of the old edge from its bin, so that weights keep their
    lengths, too. Attempts are counted as in ``rewire``: all networks within reach of such swaps
    become equally likely, which for many bins may be few.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) array
        Boolean adjacency, or weights of any sign, which the edges carry along; symmetric, zero
        diagonal.
    distances : (n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal: between centroids (of coordinates, by
        ``scipy.spatial.distance.cdist(coordinates, coordinates)``) or along fibres.
    n_bins : int, optional
        More bins keep lengths better and leave less to chance; 1 is ``rewire``. At most 255.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Successful swaps over edges, to within chance; up to 1000 attempts are made per swap.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        Boolean for booleans, float64 for weights. How far the lengths differ within bins tells
        ``length_difference``. A network without a legal swap is returned.

    Raises
    ------
    ValueError
        If an array is not square and symmetric with a zero diagonal, or holds NaN; if
        ``distances`` is negative or does not fit; if a number is out of range.

    References
    ----------
    Betzel and Bassett (2018), PNAS 115:E4880-E4889.

    Examples
    --------
    >>> place = np.random.default_rng(0).random(40)
    >>> distances = np.abs(place[:, None] - place)
    >>> near = distances < 0.2
    >>> np.fill_diagonal(near, False)
    >>> nulls = rewire_spatial(near, distances, n_bins=20)
    >>> bool(length_difference(near, nulls, distances)[0] < 0.1)
    True
    """
    checked = check_edges(networks)
    n_regions = checked.shape[-1]
    apart = check_distances(distances, n_regions)
    if not 1 <= check_count(n_bins, "n_bins") <= 255:
        raise ValueError(f"n_bins must be from 1 to 255; got {n_bins}. Pass, say, 10.")
    between = apart[np.triu_indices(n_regions, 1)]
    least, most = (between.min(), between.max()) if n_regions > 1 else (0.0, 0.0)
    bins = np.digitize(apart, np.linspace(least, most, n_bins + 1)[1:-1]).astype(np.uint8)
    constants = (bins, check_swaps(swaps_per_edge))
    return over_nulls(_rewire_spatial, checked, n_nulls=n_nulls, rng=rng, constants=constants)


def length_difference(
    networks: ArrayLike, nulls: ArrayLike, distances: ArrayLike
) -> NDArray[np.float64]:
    r"""Return how far the lengths of the edges of nulls are from those of their networks.

    The Kolmogorov-Smirnov statistic, the largest difference between the two cumulative
    distributions of edge lengths.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) array
        Boolean adjacency or weights; symmetric, zero diagonal.
    nulls : (..., n_nulls, n_regions, n_regions) array
        As ``rewire_spatial`` or any other function of this package returns them.
    distances : (n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.

    Returns
    -------
    (..., n_nulls) array
        From 0 (same lengths) to 1; NaN for a network without edges.

    Raises
    ------
    ValueError
        If an array is not square and symmetric with a zero diagonal, holds NaN, or the shapes do
        not fit.

    Examples
    --------
    >>> path = np.eye(3, k=1) + np.eye(3, k=-1)
    >>> distances = np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]])
    >>> length_difference(path, [np.eye(3)[[1, 0, 2]] - np.diag([0, 0, 1])], distances)
    array([0.])
    """
    one, many = check_edges(networks), check_edges(nulls)
    if many.ndim != one.ndim + 1 or many.shape[:-3] + many.shape[-2:] != one.shape:
        raise ValueError(
            f"nulls must have one axis more than networks, the third from the end; got "
            f"{many.shape} for {one.shape}. Pass the array that a function of nulls returned."
        )
    upper = np.triu_indices(one.shape[-1], 1)
    lengths = check_distances(distances, one.shape[-1])[upper]
    result = np.full(many.shape[:-2], np.nan)
    for place in np.ndindex(result.shape):
        before = lengths[one[place[:-1]][upper] != 0]
        after = lengths[many[place][upper] != 0]
        if len(before) and len(after):
            result[place] = _largest_difference(np.sort(before), np.sort(after))
    return result


def _largest_difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the largest difference between the distributions of two sorted samples."""
    both = np.concatenate([first, second])
    shares = [np.searchsorted(each, both, side="right") / len(each) for each in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


@kernel
def _rewire_spatial(network, bins, swaps_per_edge, state, out):  # type: ignore[no-untyped-def]
    """Write a rewired network: first until a tenth of the swaps is made, then by attempts."""
    n = len(network)
    ends, values = list_edges(network, np.zeros((0, 0), dtype=np.bool_), False)
    n_edges = len(values)
    n_wanted = np.int64(np.ceil(swaps_per_edge * n_edges))
    if n_edges > 1 and n_wanted > 0 and n_edges < n * (n - 1) // 2:
        occupied = network != 0
        for i in range(n):
            occupied[i, i] = True
        n_pilot = min(max(np.int64(PILOT_SHARE * n_wanted), PILOT_LEAST), n_wanted)
        n_made, n_attempts = 0, 0
        while n_made < n_pilot and n_attempts < MOST_ATTEMPTS * n_pilot:
            n_made += _attempt_spatial(ends, occupied, bins, n_pilot, state)
            n_attempts += n_pilot
        n_left = MOST_ATTEMPTS * n_wanted - n_attempts
        if n_made > 0:
            n_left = min(n_left, (n_wanted - n_made) * n_attempts // n_made)
        _attempt_spatial(ends, occupied, bins, n_left, state)
    write_edges(ends, values, False, out)


@kernel
def _attempt_spatial(ends, occupied, bins, n_attempts, state):  # type: ignore[no-untyped-def]
    """Attempt swaps that keep the bins of lengths; return how many succeeded."""
    n_made = 0
    for _ in range(n_attempts):
        x, y = random_below(state, len(ends)), random_below(state, len(ends))
        a, b, c, d = ends[x], ends[x ^ 1], ends[y], ends[y ^ 1]
        if occupied[a, d] | occupied[c, b]:
            continue
        ab, cd, ad, cb = bins[a, b], bins[c, d], bins[a, d], bins[c, b]
        if ad == ab and cb == cd:  # edge x becomes a-d, y becomes c-b
            ends[x ^ 1], ends[y ^ 1] = d, b
        elif ad == cd and cb == ab:  # edge x becomes c-b, y becomes a-d
            ends[x], ends[y] = c, a
        else:
            continue
        _join(occupied, a, b, False)
        _join(occupied, c, d, False)
        _join(occupied, a, d, True)
        _join(occupied, c, b, True)
        n_made += 1
    return n_made


@kernel
def _join(occupied, i, j, there):  # type: ignore[no-untyped-def]
    """Write whether a pair is occupied."""
    occupied[i, j] = there
    occupied[j, i] = there
