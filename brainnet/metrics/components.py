"""Which regions can be reached from which, and the components that they form."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._bits import pack
from brainnet.metrics._checks import check_adjacency
from brainnet.metrics._compile import kernel, over_networks


def reachability(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.bool_]:
    """Return which regions can be reached from which.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal. Entry (i, j) is the edge
        from i to j.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions, n_regions) boolean array
        Whether a path leads from row to column. A region reaches itself, as its distance from
        itself is 0; in the Brain Connectivity Toolbox, only if a cycle leads back to it.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric (unless ``directed``), or holds NaN.

    References
    ----------
    Warshall (1962), J ACM 9:11-12.

    Examples
    --------
    >>> reachability([[0, 1, 0], [0, 0, 1], [0, 0, 0]], directed=True)
    array([[ True,  True,  True],
           [False,  True,  True],
           [False, False,  True]])
    """
    checked = check_adjacency(adjacency, directed=directed)
    if not directed:
        labels = over_networks(_flood, checked, shape=checked.shape[-1:], dtype=np.int64)
        return np.asarray(labels[..., :, None] == labels[..., None, :])
    return over_networks(_closure, checked, shape=checked.shape[-2:], dtype=np.bool_)


def components(adjacency: ArrayLike) -> NDArray[np.int64]:
    """Return the connected component that each region belongs to.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions) integer array
        Components numbered from 0 in the order of their first region. An isolated region is a
        component. There are ``components(adjacency).max(axis=-1) + 1``.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Hopcroft and Tarjan (1973), Commun ACM 16:372-378.

    Examples
    --------
    >>> components([[0, 0, 1], [0, 0, 0], [1, 0, 0]])
    array([0, 1, 0])
    """
    checked = check_adjacency(adjacency)
    return over_networks(_flood, checked, shape=checked.shape[-1:], dtype=np.int64)


def components_weak(adjacency: ArrayLike) -> NDArray[np.int64]:
    """Return the component of each region that edges of either direction connect.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) integer array
        Components numbered from 0 in the order of their first region.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Hopcroft and Tarjan (1973), Commun ACM 16:372-378.

    Examples
    --------
    >>> components_weak([[0, 0, 1], [0, 0, 0], [0, 0, 0]])
    array([0, 1, 0])
    """
    checked = check_adjacency(adjacency, directed=True)
    return components(checked | np.swapaxes(checked, -2, -1))


def components_strong(adjacency: ArrayLike) -> NDArray[np.int64]:
    """Return the component of each region within which every region can be reached from every one.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) integer array
        Components numbered from 0 in the order of their first region.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Tarjan (1972), SIAM J Comput 1:146-160.

    Examples
    --------
    >>> components_strong([[0, 1, 0], [1, 0, 1], [0, 0, 0]])
    array([0, 0, 1])
    """
    reached = reachability(adjacency, directed=True)
    first = (reached & np.swapaxes(reached, -2, -1)).argmax(axis=-1)  # region of each component
    number = (first == np.arange(first.shape[-1])).cumsum(axis=-1) - 1
    return np.take_along_axis(number, first, axis=-1)


def component_sizes(adjacency: ArrayLike) -> NDArray[np.int64]:
    """Return how many regions the connected component of each region has, itself included.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions) integer array
        From 1 (isolated) to ``n_regions`` (connected network).

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Hopcroft and Tarjan (1973), Commun ACM 16:372-378.

    Examples
    --------
    >>> component_sizes([[0, 0, 1], [0, 0, 0], [1, 0, 0]])
    array([2, 1, 2])
    """
    labels = components(adjacency)
    flat = labels.reshape(-1, labels.shape[-1])
    sizes = [np.bincount(each)[each] for each in flat]
    return np.array(sizes, dtype=np.int64).reshape(labels.shape)


@kernel
def _flood(adjacency, out):  # type: ignore[no-untyped-def]
    """Write the component of each region of a symmetric network."""
    n = len(adjacency)
    rest = np.arange(n)  # regions not found yet, ascending
    n_rest = n
    queue = np.empty(n, dtype=np.int64)
    label = 0
    while n_rest > 0:
        queue[0] = rest[0]
        out[rest[0]] = label
        n_rest -= 1
        rest[:n_rest] = rest[1 : n_rest + 1].copy()
        n_found, done = 1, 0
        while done < n_found and n_rest > 0:
            row = adjacency[queue[done]]
            done += 1
            n_kept = 0
            for k in range(n_rest):
                v = rest[k]
                if row[v]:
                    out[v] = label
                    queue[n_found] = v
                    n_found += 1
                else:
                    rest[n_kept] = v
                    n_kept += 1
            n_rest = n_kept
        label += 1


@kernel
def _closure(adjacency, out):  # type: ignore[no-untyped-def]
    """Write whether a path leads from row to column, or they are the same region."""
    n = len(adjacency)
    reached = np.empty((n, (n + 63) // 64), dtype=np.uint64)
    pack(adjacency, reached)
    for k in range(n):
        through = reached[k].copy()
        word, bit = k // 64, np.uint64(k % 64)
        for i in range(n):
            if (reached[i, word] >> bit) & np.uint64(1):
                row = reached[i]
                for w in range(len(row)):
                    row[w] |= through[w]
    for i in range(n):
        for j in range(n):
            bit = (reached[i, j // 64] >> np.uint64(j % 64)) & np.uint64(1)
            out[i, j] = bit != np.uint64(0) or i == j
