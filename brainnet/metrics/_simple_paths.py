"""The search for all paths that visit no region twice, depth first."""

import numpy as np

from brainnet.metrics._compile import kernel


@kernel
def search(adjacency, sources, out):  # type: ignore[no-untyped-def]
    """Count the paths of 1 to ``len(out[0])`` edges from the sources, cycles on the diagonal.

    ``out`` is (1 or 2, length, n, n): paths by length and ends; if there is a second part, how
    many of them run along each edge. The last edge of the longest paths is not searched for: from
    the paths that are one edge shorter, each of its end's edges goes on, except those that return
    to a region in between.
    """
    n = len(adjacency)
    length = min(out.shape[1], n)  # no path nor cycle is longer
    neighbours, degree = _list_neighbours(adjacency)
    ends = np.zeros(n)  # of one edge less than the longest: how many end where, from any source
    for source in sources:
        if out.shape[0] > 1:
            _search_along(adjacency, neighbours, degree, source, length, out)
        else:
            _search_from(adjacency, neighbours, degree, source, length, out[0])
        _extend(neighbours, degree, source, length, out[0], ends)
    if out.shape[0] > 1:
        for u in range(n):
            for k in range(degree[u]):
                out[1, length - 1, u, neighbours[u, k]] += ends[u]


@kernel
def _search_from(adjacency, neighbours, degree, source, length, counts):  # type: ignore[no-untyped-def]
    """Count the paths from one source; of the longest, those to be subtracted."""
    route = np.empty(length + 1, dtype=np.int64)
    place = np.zeros(length + 1, dtype=np.int64)  # of the neighbour to go to next
    visited = np.zeros(len(adjacency), dtype=np.bool_)
    route[0] = source
    visited[source] = True
    depth = 0 if length > 1 else -1
    while depth >= 0:
        u = route[depth]
        if place[depth] == degree[u]:
            visited[u] = False
            depth -= 1
            continue
        v = neighbours[u, place[depth]]
        place[depth] += 1
        if v == source:
            counts[depth, source, source] += 1
        elif not visited[v]:
            counts[depth, source, v] += 1
            if depth + 2 < length:
                depth += 1
                route[depth] = v
                place[depth] = 0
                visited[v] = True
            else:
                for k in range(1, depth + 1):
                    back = route[k]
                    counts[length - 1, source, back] -= np.float64(adjacency[v, back])


@kernel
def _search_along(adjacency, neighbours, degree, source, length, out):  # type: ignore[no-untyped-def]
    """Count as ``_search_from``, and along which edges the paths run."""
    counts, along = out[0], out[1]
    route = np.empty(length + 1, dtype=np.int64)
    place = np.zeros(length + 1, dtype=np.int64)
    visited = np.zeros(len(adjacency), dtype=np.bool_)
    beyond = np.zeros((length + 1, length))  # by depth: paths that go on from there, by length
    route[0] = source
    visited[source] = True
    depth = 0 if length > 1 else -1
    while depth >= 0:
        u = route[depth]
        if place[depth] == degree[u]:
            if depth > 0:
                for q in range(depth, length):
                    along[q, route[depth - 1], u] += beyond[depth, q]
                    beyond[depth - 1, q] += beyond[depth, q]
            beyond[depth] = 0
            visited[u] = False
            depth -= 1
            continue
        v = neighbours[u, place[depth]]
        place[depth] += 1
        if v != source and visited[v]:
            continue
        counts[depth, source, v] += 1
        along[depth, u, v] += 1
        beyond[depth, depth] += 1
        if v == source:
            continue
        if depth + 2 < length:
            depth += 1
            route[depth] = v
            place[depth] = 0
            visited[v] = True
            continue
        onward = degree[v]
        for k in range(1, depth + 1):
            back = route[k]
            if adjacency[v, back]:
                counts[length - 1, source, back] -= 1
                along[length - 1, v, back] -= 1
                onward -= 1
        along[length - 1, u, v] += onward
        beyond[depth, length - 1] += onward


@kernel
def _extend(neighbours, degree, source, length, counts, ends):  # type: ignore[no-untyped-def]
    """Add all extensions of the paths from one source that are one edge short of the longest."""
    for u in range(len(degree)):
        n_paths = np.float64(u == source)
        if length > 1:
            n_paths = counts[length - 2, source, u] if u != source else 0.0
        ends[u] += n_paths
        if n_paths > 0:
            for k in range(degree[u]):
                counts[length - 1, source, neighbours[u, k]] += n_paths


@kernel
def _list_neighbours(adjacency):  # type: ignore[no-untyped-def]
    """Return the neighbours of each region, ascending, from the left of its row; their number."""
    n = len(adjacency)
    neighbours = np.zeros((n, n), dtype=np.int32)
    degree = np.zeros(n, dtype=np.int64)
    for i in range(n):
        for j in range(n):
            if adjacency[i, j]:
                neighbours[i, degree[i]] = j
                degree[i] += 1
    return neighbours, degree
