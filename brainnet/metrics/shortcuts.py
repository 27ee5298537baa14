"""Edges whose ends would be far apart without them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._bits import lowest_one, pack
from brainnet.metrics._checks import check_adjacency
from brainnet.metrics._compile import kernel, over_networks


def edge_range(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    """Return the number of edges from one end of each edge to the other without that edge.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal. Entry (i, j) is the edge
        from i to j.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions, n_regions) array
        Whole numbers from 2 (the edge closes a triangle); infinity if there is no other path; NaN
        where there is no edge (0 in the Brain Connectivity Toolbox).

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric (unless ``directed``), or holds NaN.

    References
    ----------
    Watts (1999), Small Worlds, Princeton University Press.

    Examples
    --------
    >>> edge_range([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]])[0]
    array([nan,  2.,  2., inf])
    """
    checked = check_adjacency(adjacency, directed=directed)
    return over_networks(_ranges, checked, shape=checked.shape[-2:])


def mean_edge_range(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    """Return the mean range of the edges of each network.

    Parameters
    ----------
    adjacency, directed
        As ``edge_range`` takes them.

    Returns
    -------
    (...) array
        At least 2. Edges between whose ends there is no other path are left out; NaN if no edge
        remains.

    Raises
    ------
    ValueError
        If ``adjacency`` is not as ``edge_range`` takes it.

    References
    ----------
    Watts (1999), Small Worlds, Princeton University Press.

    Examples
    --------
    >>> float(mean_edge_range([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]))
    2.0
    """
    ranges = edge_range(adjacency, directed=directed)
    finite = np.isfinite(ranges)
    n_edges = finite.sum(axis=(-2, -1))
    total = np.where(finite, ranges, 0.0).sum(axis=(-2, -1))
    return np.asarray(total / np.where(n_edges > 0, n_edges, np.nan))


def shortcuts(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.bool_]:
    """Return which edges are shortcuts: those of a range beyond 2, which close no triangle.

    Parameters
    ----------
    adjacency, directed
        As ``edge_range`` takes them.

    Returns
    -------
    (..., n_regions, n_regions) boolean array
        Edges between whose ends there is no other path are shortcuts.

    Raises
    ------
    ValueError
        If ``adjacency`` is not as ``edge_range`` takes it.

    References
    ----------
    Watts (1999), Small Worlds, Princeton University Press.

    Examples
    --------
    >>> shortcuts([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]])[0]
    array([False, False, False,  True])
    """
    return edge_range(adjacency, directed=directed) > 2


def shortcut_fraction(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    """Return the share of the edges of each network that are shortcuts.

    Parameters
    ----------
    adjacency, directed
        As ``edge_range`` takes them.

    Returns
    -------
    (...) array
        From 0 to 1; NaN for a network without edges.

    Raises
    ------
    ValueError
        If ``adjacency`` is not as ``edge_range`` takes it.

    References
    ----------
    Watts (1999), Small Worlds, Princeton University Press.

    Examples
    --------
    >>> float(shortcut_fraction([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]))
    0.25
    """
    ranges = edge_range(adjacency, directed=directed)
    n_edges = (~np.isnan(ranges)).sum(axis=(-2, -1))
    return np.asarray((ranges > 2).sum(axis=(-2, -1)) / np.where(n_edges > 0, n_edges, np.nan))


@kernel
def _ranges(adjacency, out):  # type: ignore[no-untyped-def]
    """Write the range of each edge: 2 if its ends have a region in between, else by search."""
    n = len(adjacency)
    n_words = (n + 63) // 64
    leave = np.empty((n, n_words), dtype=np.uint64)
    enter = np.empty((n, n_words), dtype=np.uint64)
    pack(adjacency, leave)
    pack(np.ascontiguousarray(adjacency.T), enter)
    out[:] = np.nan
    for i in range(n):
        for j in range(n):
            if adjacency[i, j]:
                between = np.uint64(0)
                for w in range(n_words):
                    between |= leave[i, w] & enter[j, w]
                out[i, j] = 2 if between != np.uint64(0) else _detour(leave, enter[j], i, j)


@kernel
def _detour(leave, goal, source, target):  # type: ignore[no-untyped-def]
    """Return the length of the shortest path that does not use the edge between its ends.

    ``goal`` has the regions from which an edge leads to the target.
    """
    found = leave[source].copy()
    found[source // 64] |= np.uint64(1) << np.uint64(source % 64)
    found[target // 64] &= ~(np.uint64(1) << np.uint64(target % 64))
    front = found.copy()
    front[source // 64] &= ~(np.uint64(1) << np.uint64(source % 64))
    further = np.empty_like(front)
    n_edges = 1  # from the source to the front
    growing = True
    while growing:
        further[:] = 0
        for w in range(len(front)):
            word = front[w]
            while word != np.uint64(0):
                further |= leave[64 * w + np.int64(lowest_one(word))]
                word &= word - np.uint64(1)
        n_edges += 1
        growing = False
        for w in range(len(front)):
            front[w] = further[w] & ~found[w]
            found[w] |= front[w]
            growing |= front[w] != np.uint64(0)
        for w in range(len(front)):
            if front[w] & goal[w]:
                return np.float64(n_edges + 1)
    return np.inf
