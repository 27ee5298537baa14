"""How much of the traffic along shortest paths passes through each region and each edge."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._bits import lowest_one
from brainnet.metrics._checks import check_bits, check_weights
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics._shortest import all_ones, lower_directed, lower_symmetric, next_hop

TIE_TOLERANCE = 1e-10
"""Two path lengths that differ by a smaller share of their length are tied."""

ONE_STEP = 1 << 32
"""What stands for one last step of shortest paths, in a sum of these and of regions."""


def betweenness_binary(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the share of shortest paths between other regions that pass through each region.

    .. math:: b_i = \frac{1}{(n-1)(n-2)}
              \sum_{h \ne j,\; h, j \ne i} \frac{\rho_{hj}(i)}{\rho_{hj}}

    where :math:`\rho_{hj}` counts the shortest paths from h to j, and :math:`\rho_{hj}(i)` those
    through i. The path with the fewest edges is the shortest; all tied paths count.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1 (the centre of a star). Unreachable pairs contribute 0; fewer than three
        regions give NaN. Times ``(n - 1) * (n - 2)`` it is the value of the Brain Connectivity
        Toolbox.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Freeman (1977), Sociometry 40:35-41; Brandes (2001), J Math Sociol 25:163-177.

    Examples
    --------
    >>> betweenness_binary([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    array([0., 1., 0.])
    """
    return _shares(_find_traffic_binary(adjacency, directed), directed)[0]


def edge_betweenness_binary(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the share of shortest paths between regions that run along each edge.

    .. math:: b_{ij} = \frac{1}{n(n-1)} \sum_{h \ne l} \frac{\rho_{hl}(i, j)}{\rho_{hl}}

    where :math:`\rho_{hl}` counts the shortest paths from h to l, and :math:`\rho_{hl}(i, j)` those
    along the edge between i and j, in either direction; from i to j only if ``directed``. The path
    with the fewest edges is the shortest; all tied paths count.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions, n_regions) array
        From 0 to 1 (the only edge of two regions); 0 where there is no edge. A single region gives
        NaN. Times ``n * (n - 1) / 2`` it is the value of the Brain Connectivity Toolbox, which
        takes both directions apart; times ``n * (n - 1)`` if ``directed``.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Girvan and Newman (2002), PNAS 99:7821-7826; Brandes (2008), Soc Networks 30:136-145.

    Examples
    --------
    >>> edge_betweenness_binary([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(4)
    array([[0.    , 0.6667, 0.    ],
           [0.6667, 0.    , 0.6667],
           [0.    , 0.6667, 0.    ]])
    """
    return node_and_edge_betweenness_binary(adjacency, directed=directed)[1]


def node_and_edge_betweenness_binary(
    adjacency: ArrayLike, *, directed: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``betweenness_binary`` and ``edge_betweenness_binary`` from one search.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j.

    Returns
    -------
    nodes : (..., n_regions) array
        From 0 to 1; fewer than three regions give NaN.
    edges : (..., n_regions, n_regions) array
        From 0 to 1; a single region gives NaN.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Brandes (2008), Soc Networks 30:136-145.

    Examples
    --------
    >>> nodes, edges = node_and_edge_betweenness_binary([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    >>> nodes
    array([0., 1., 0.])
    """
    return _shares(_find_traffic_binary(adjacency, directed), directed)


def betweenness_weighted(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the share of shortest weighted paths between others through each region.

    As ``betweenness_binary``, with the length of an edge 1/weight. All tied paths count; lengths
    are tied if they differ by less than ``TIE_TOLERANCE`` of themselves, so that the order of
    additions does not decide.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1. Unreachable pairs contribute 0; fewer than three regions give NaN. Times
        ``(n - 1) * (n - 2)`` it is the value of the Brain Connectivity Toolbox.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Brandes (2001), J Math Sociol 25:163-177.

    Examples
    --------
    >>> betweenness_weighted([[0, 0.9, 0.1], [0.9, 0, 0.9], [0.1, 0.9, 0]])
    array([0., 1., 0.])
    """
    return node_and_edge_betweenness_weighted(weights, directed=directed)[0]


def edge_betweenness_weighted(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the share of shortest weighted paths between regions that run along each edge.

    As ``edge_betweenness_binary``, with the length of an edge 1/weight, and ties as in
    ``betweenness_weighted``.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions, n_regions) array
        From 0 to 1; 0 where there is no edge. A single region gives NaN. Times
        ``n * (n - 1) / 2`` it is the value of the Brain Connectivity Toolbox, which takes both
        directions apart; times ``n * (n - 1)`` if ``directed``.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Girvan and Newman (2002), PNAS 99:7821-7826; Brandes (2008), Soc Networks 30:136-145.

    Examples
    --------
    >>> edge_betweenness_weighted([[0, 0.9, 0.1], [0.9, 0, 0.9], [0.1, 0.9, 0]]).round(4)
    array([[0.    , 0.6667, 0.    ],
           [0.6667, 0.    , 0.6667],
           [0.    , 0.6667, 0.    ]])
    """
    return node_and_edge_betweenness_weighted(weights, directed=directed)[1]


def node_and_edge_betweenness_weighted(
    weights: ArrayLike, *, directed: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``betweenness_weighted`` and ``edge_betweenness_weighted`` from one search.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j.

    Returns
    -------
    nodes : (..., n_regions) array
        From 0 to 1; fewer than three regions give NaN.
    edges : (..., n_regions, n_regions) array
        From 0 to 1; a single region gives NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Brandes (2008), Soc Networks 30:136-145.

    Examples
    --------
    >>> nodes, edges = node_and_edge_betweenness_weighted([[0, 2, 0], [2, 0, 1], [0, 1, 0]])
    >>> nodes
    array([0., 1., 0.])
    """
    checked = check_weights(weights, directed=directed)
    n_regions = checked.shape[-1]
    traffic = over_networks(
        _traffic_weighted,
        checked,
        shape=(n_regions + 1, n_regions),
        constants=(not directed, 1 + TIE_TOLERANCE),
    )
    return _shares(traffic, directed)


def _shares(
    traffic: NDArray[np.float64], directed: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shares of pairs: of regions from the last row, of edges from the rows before."""
    n_regions = traffic.shape[-1]
    others = (n_regions - 1) * (n_regions - 2) if n_regions > 2 else np.nan
    pairs = n_regions * (n_regions - 1) if n_regions > 1 else np.nan
    edges = traffic[..., :-1, :]
    if not directed:
        edges = edges + np.swapaxes(edges, -2, -1)
    return np.asarray(traffic[..., -1, :] / others), np.asarray(edges / pairs)


def _find_traffic_binary(adjacency: ArrayLike, directed: bool) -> NDArray[np.float64]:
    """Return ``_traffic_binary`` of all networks."""
    away = check_bits(adjacency, directed=directed)
    into = away
    if directed:
        into = check_bits(np.swapaxes(np.asarray(adjacency), -1, -2), directed=True)
    n_regions = away.shape[-2]
    return over_networks(_traffic_binary, away, into, shape=(n_regions + 1, n_regions))


@kernel
def _traffic_binary(away, into, out):  # type: ignore[no-untyped-def]
    """Write the paths along each edge, and in a last row through each region, of one network."""
    n, n_words = away.shape
    levels = np.zeros((n + 1, n_words), dtype=np.uint64)  # the regions at each number of edges
    unseen = np.empty(n_words, dtype=np.uint64)
    n_paths, dependency = np.empty(n), np.empty(n)
    arriving = np.zeros((n, n))  # row: where an edge ends
    for source in range(n):
        for w in range(n_words):
            levels[0, w] = np.uint64(0)
            unseen[w] = all_ones(n - 64 * w)
        levels[0, source // 64] = np.uint64(1) << np.uint64(source % 64)
        unseen[source // 64] &= ~levels[0, source // 64]
        n_paths[source] = 1.0
        last = 0
        while next_hop(away, levels[last], unseen, levels[last + 1]) > 0:
            last += 1
            _count_paths(into, levels[last - 1], levels[last], n_paths)
        dependency[:] = 0.0
        for step in range(last, 0, -1):
            _share_back(into, levels[step - 1], levels[step], n_paths, dependency, arriving)
        for i in range(n):
            if i != source:
                out[n, i] += dependency[i]
    for i in range(n):
        for j in range(n):
            out[i, j] = arriving[j, i]


@kernel
def _count_paths(into, nearer, level, n_paths):  # type: ignore[no-untyped-def]
    """Write the number of shortest paths to each region of a level, from those to the nearer."""
    for w in range(len(level)):
        word = level[w]
        while word != 0:
            i = 64 * w + np.int64(lowest_one(word))
            word &= word - np.uint64(1)
            total = 0.0
            for v in range(len(level)):
                before = into[i, v] & nearer[v]
                while before != 0:
                    total += n_paths[64 * v + np.int64(lowest_one(before))]
                    before &= before - np.uint64(1)
            n_paths[i] = total


@kernel
def _share_back(into, nearer, level, n_paths, dependency, arriving):  # type: ignore[no-untyped-def]
    """Share what depends on each region of a level among the edges that its paths arrive by."""
    for w in range(len(level)):
        word = level[w]
        while word != 0:
            i = 64 * w + np.int64(lowest_one(word))
            word &= word - np.uint64(1)
            share = (1.0 + dependency[i]) / n_paths[i]
            row = arriving[i]
            for v in range(len(level)):
                before = into[i, v] & nearer[v]
                while before != 0:
                    j = 64 * v + np.int64(lowest_one(before))
                    before &= before - np.uint64(1)
                    amount = n_paths[j] * share
                    dependency[j] += amount
                    row[j] += amount


@kernel
def _traffic_weighted(weights, symmetric, tied, out):  # type: ignore[no-untyped-def]
    """Write the paths along each edge, and in a last row through each region, of one network."""
    n = len(weights)
    largest = weights.max()
    if largest == 0.0:
        return
    arrival = np.empty((n, n))  # row t, column s: from s to t
    for s in range(n):
        row, to = weights[s], arrival[s]
        for t in range(n):
            to[t] = largest / abs(row[t])
        to[s] = 0.0
    if not symmetric:
        arrival = arrival.T.copy()
    starts, heads, lengths = _arriving_edges(arrival)
    if symmetric:
        lower_symmetric(arrival)
    else:
        lower_directed(arrival)
    steps = np.zeros((n, n), dtype=np.int64)
    for t in range(n):
        _find_last_steps(arrival, t, starts, heads, lengths, tied, steps[t])
    by_source = steps.T.copy()
    dependency, children = np.empty(n), np.empty(n, dtype=np.int64)
    for s in range(n):
        if by_source[s].max() < 2 * ONE_STEP:
            _walk_tree(by_source[s], children, dependency, out)
        else:
            away = arrival[:, s].copy()
            _walk_ties(away, starts, heads, lengths, tied, dependency, out)
        dependency[s] = 0.0
        out[n] += dependency


@kernel
def _arriving_edges(arrival):  # type: ignore[no-untyped-def]
    """Return, for each region in turn, where its edges come from and how long they are."""
    n = len(arrival)
    starts = np.zeros(n + 1, dtype=np.int64)
    heads, lengths = np.empty(n * n, dtype=np.int64), np.empty(n * n)
    at = np.uint64(0)  # unsigned, as a negative place would be looked for from the end
    for t in range(n):
        row = arrival[t]
        for v in range(n):
            heads[at], lengths[at] = v, row[v]
            at += np.uint64((row[v] < np.inf) & (v != t))
        starts[t + 1] = np.int64(at)
    return starts, heads[:at].copy(), lengths[:at].copy()


@kernel
def _find_last_steps(arrival, t, starts, heads, lengths, tied, steps):  # type: ignore[no-untyped-def]
    """Add, per source, each region from which a shortest path steps to t, and ``ONE_STEP``.

    Only an edge that is itself a shortest path between its ends is part of any.
    """
    reach = arrival[t]
    limit = reach * tied
    for edge in range(starts[t], starts[t + 1]):
        head, length = heads[edge], lengths[edge]
        if length <= limit[head]:
            before = arrival[head]
            for s in range(len(reach)):
                is_last = (before[s] + length <= limit[s]) & (before[s] < reach[s])
                steps[s] += (head + ONE_STEP) if is_last else 0


@kernel
def _walk_tree(before, children, dependency, out):  # type: ignore[no-untyped-def]
    """Add the traffic from one source whose shortest paths form a tree, from its leaves in."""
    n = len(before)
    children[:] = 0
    dependency[:] = 0.0
    for i in range(n):
        before[i] -= ONE_STEP  # negative for the source and where no path leads
        if before[i] >= 0:
            children[before[i]] += 1
    for leaf in range(n):
        i = leaf
        while children[i] == 0 and before[i] >= 0:
            children[i] = -1
            traffic = 1.0 + dependency[i]
            nearer = before[i]
            dependency[nearer] += traffic
            out[nearer, i] += traffic
            children[nearer] -= 1
            i = nearer


@kernel
def _walk_ties(away, starts, heads, lengths, tied, dependency, out):  # type: ignore[no-untyped-def]
    """Add the traffic from one source that has tied paths, in shares of their number."""
    order = np.argsort(away)
    n_paths = np.zeros(len(away))
    n_paths[order[0]] = 1.0
    dependency[:] = 0.0
    for i in order[1:]:
        for edge in range(starts[i], starts[i + 1]):
            nearer = heads[edge]
            if away[nearer] + lengths[edge] <= away[i] * tied and away[nearer] < away[i]:
                n_paths[i] += n_paths[nearer]
    for i in order[:0:-1]:
        if n_paths[i] > 0:
            share = (1.0 + dependency[i]) / n_paths[i]
            for edge in range(starts[i], starts[i + 1]):
                nearer = heads[edge]
                if away[nearer] + lengths[edge] <= away[i] * tied and away[nearer] < away[i]:
                    traffic = n_paths[nearer] * share
                    dependency[nearer] += traffic
                    out[nearer, i] += traffic
