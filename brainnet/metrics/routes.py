"""On which route each region is reached."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_weights
from brainnet.metrics._compile import kernel, over_networks


def breadth_first(
    adjacency: ArrayLike, *, source: int, directed: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distance of each region from a source, and the region that comes before it.

    Regions are explored in the order in which they are found, neighbours in ascending order.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal. Entry (i, j) is the edge
        from i to j.
    source : int
        The region at which the search starts.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    distances : (..., n_regions) array
        Edges from the source; 0 for itself, infinity where no path leads.
    branch : (..., n_regions) integer array
        The region before each one on a shortest path from the source; -1 for the source itself
        and for regions that cannot be reached (0 for these in the Brain Connectivity Toolbox).

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric (unless ``directed``), or holds NaN;
        if ``source`` is not a region.

    References
    ----------
    Cormen et al. (2009), Introduction to Algorithms, MIT Press, 594-602.

    Examples
    --------
    >>> distances, branch = breadth_first([[0, 1, 0], [1, 0, 1], [0, 1, 0]], source=0)
    >>> distances, branch
    (array([0., 1., 2.]), array([-1,  0,  1]))
    """
    checked = check_adjacency(adjacency, directed=directed)
    start = check_region(source, checked.shape[-1], "source")
    found = over_networks(_explore, checked, shape=(2, checked.shape[-1]), constants=(start,))
    return found[..., 0, :], found[..., 1, :].astype(np.int64)


def shortest_path_binary(
    adjacency: ArrayLike, *, source: int, target: int, directed: bool = False
) -> NDArray[np.int64]:
    """Return the regions on a path with fewest edges from one region to another.

    Parameters
    ----------
    adjacency : (n_regions, n_regions) array
        One network. Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal. Entry
        (i, j) is the edge from i to j.
    source, target : int
        The regions at which the path starts and ends.
    directed : bool, optional
        Accept a network that is not symmetric.

    Returns
    -------
    (n_on_path,) integer array
        From source to target; empty if no path leads there, one region if they are the same
        (empty in the Brain Connectivity Toolbox). Of several such paths, the first in
        lexicographic order.

    Raises
    ------
    ValueError
        If ``adjacency`` is not one boolean, square and symmetric (unless ``directed``) network,
        or holds NaN; if ``source`` or ``target`` is not a region.

    References
    ----------
    Dijkstra (1959), Numer Math 1:269-271.

    Examples
    --------
    >>> shortest_path_binary([[0, 1, 0], [1, 0, 1], [0, 1, 0]], source=0, target=2)
    array([0, 1, 2])
    """
    checked = check_adjacency(adjacency, directed=directed)
    return _route(checked.astype(np.float64), source, target, "adjacency")


def shortest_path_weighted(
    weights: ArrayLike, *, source: int, target: int, directed: bool = False
) -> NDArray[np.int64]:
    """Return the regions on a shortest path from one region to another.

    Parameters
    ----------
    weights : (n_regions, n_regions) array
        One network. Symmetric unless ``directed``, non-negative, zero diagonal. Entry (i, j) is
        the edge from i to j, whose length is 1/weight.
    source, target : int
        The regions at which the path starts and ends.
    directed : bool, optional
        Accept a network that is not symmetric.

    Returns
    -------
    (n_on_path,) integer array
        From source to target; empty if no path leads there, one region if they are the same
        (empty in the Brain Connectivity Toolbox). Of several such paths, those with fewest edges;
        of these, the first in lexicographic order. Lengths count as equal if they are the same
        number, summed from the target on.

    Raises
    ------
    ValueError
        If ``weights`` is not one square and symmetric (unless ``directed``) network, has a
        negative entry or holds NaN; if ``source`` or ``target`` is not a region.

    References
    ----------
    Dijkstra (1959), Numer Math 1:269-271.

    Examples
    --------
    >>> weights = [[0, 0.5, 0.1], [0.5, 0, 0.5], [0.1, 0.5, 0]]
    >>> shortest_path_weighted(weights, source=0, target=2)
    array([0, 1, 2])
    """
    checked = check_weights(weights, directed=directed)
    return _route(checked, source, target, "weights")


def check_region(region: int, n_regions: int, name: str) -> int:
    """Return the place of a region, or say what is wrong with it."""
    if not isinstance(region, int | np.integer) or not 0 <= region < n_regions:
        raise ValueError(
            f"{name} must be a region from 0 to {n_regions - 1}; got {region!r}. "
            "Pass its place in the atlas, counted from 0."
        )
    return int(region)


def _route(weights: NDArray[np.float64], source: int, target: int, name: str) -> NDArray[np.int64]:
    """Return the regions on a shortest path in one checked network."""
    if weights.ndim > 2:
        raise ValueError(
            f"{name} must be one network, since paths differ in length; got shape "
            f"{weights.shape}. Call it for each network."
        )
    start = check_region(source, len(weights), "source")
    end = check_region(target, len(weights), "target")
    onward = np.empty(len(weights), dtype=np.int64)
    _towards(weights, end, onward)
    if start != end and onward[start] < 0:
        return np.empty(0, dtype=np.int64)
    route = [start]
    while route[-1] != end:
        route.append(int(onward[route[-1]]))
    return np.array(route, dtype=np.int64)


@kernel
def _towards(weights, target, onward):  # type: ignore[no-untyped-def]
    """Write the region that follows each one on the way to the target, -1 if there is none.

    Dijkstra's search from the target backwards. Of equal lengths, the one with fewest edges, then
    the one whose next region is first.
    """
    n = len(weights)
    distance = np.full(n, np.inf)
    n_edges = np.zeros(n, dtype=np.int64)
    open_ = np.ones(n, dtype=np.bool_)
    onward[:] = -1
    distance[target] = 0
    for _ in range(n):
        v = -1
        for u in range(n):
            if open_[u] and distance[u] < np.inf:
                nearer = v < 0 or distance[u] < distance[v]
                if nearer or (distance[u] == distance[v] and n_edges[u] < n_edges[v]):
                    v = u
        if v < 0:
            return
        open_[v] = False
        for u in range(n):
            if open_[u] and weights[u, v] > 0:
                length = distance[v] + 1.0 / weights[u, v]
                same = length == distance[u]
                fewer = n_edges[v] + 1 < n_edges[u]
                first = n_edges[v] + 1 == n_edges[u] and v < onward[u]
                if length < distance[u] or (same and (fewer or first)):
                    distance[u] = length
                    n_edges[u] = n_edges[v] + 1
                    onward[u] = v


@kernel
def _explore(adjacency, source, out):  # type: ignore[no-untyped-def]
    """Write the distance from the source and the region before each, breadth first."""
    n = len(adjacency)
    out[0, :] = np.inf
    out[1, :] = -1
    out[0, source] = 0
    queue = np.empty(n, dtype=np.int64)
    queue[0] = source
    n_found = 1
    rest = np.empty(n, dtype=np.int64)  # regions not found yet, ascending
    n_rest = 0
    for i in range(n):
        if i != source:
            rest[n_rest] = i
            n_rest += 1
    done = 0
    while done < n_found and n_rest > 0:
        u = queue[done]
        done += 1
        n_kept = 0
        for k in range(n_rest):
            v = rest[k]
            if adjacency[u, v]:
                out[0, v] = out[0, u] + 1
                out[1, v] = u
                queue[n_found] = v
                n_found += 1
            else:
                rest[n_kept] = v
                n_kept += 1
        n_rest = n_kept
