"""Communities that overlap: a region may be part of several, or of none."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._bits import count_ones, pack
from brainnet.metrics._checks import check_adjacency, check_count, check_weights
from brainnet.metrics._compile import kernel, over_networks

SAME_SIMILARITY = 1e-12
"""Similarities that differ by less are one: they differ by rounding."""


def link_communities(weights: ArrayLike) -> NDArray[np.int64]:
    r"""Return the community of each edge; a region is part of those of all its edges.

    Edges i–k and j–k that meet in region k are as similar as the surroundings of i and j,

    .. math:: S_{ij} = \frac{a_i \cdot a_j}{|a_i|^2 + |a_j|^2 - a_i \cdot a_j}, \quad
              a_{ij} = w_{ij} + \frac{\delta_{ij}}{k_i} \sum_h w_{ih}

    where :math:`k_i` is the degree. Edges are joined from the most similar on (single linkage,
    equal similarities at once) up to where the density of the communities is highest,

    .. math:: D = \frac{2}{M} \sum_c m_c \frac{m_c - (n_c - 1)}{(n_c - 2)(n_c - 1)}

    for :math:`m_c` of all M edges and :math:`n_c` regions in community c; a single edge adds 0.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter. With weights of 0 and
        1, S is the share of common neighbours of i and j among all of theirs, each counted as
        its own neighbour.

    Returns
    -------
    (..., n_regions, n_regions) integer array
        Symmetric; communities from 0, numbered by their first edge in reading order, and -1 where
        there is no edge. Of several levels of the same density, the one with the most
        communities: in a tree, where it is always 0, each edge is one.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Ahn et al. (2010), Nature 466:761-764.

    Examples
    --------
    >>> two_triangles = np.zeros((5, 5), dtype=int)
    >>> two_triangles[np.ix_([0, 1, 2], [0, 1, 2])] = 1
    >>> two_triangles[np.ix_([2, 3, 4], [2, 3, 4])] = 1
    >>> link_communities(two_triangles - np.eye(5, dtype=int))
    array([[-1,  0,  0, -1, -1],
           [ 0, -1,  0, -1, -1],
           [ 0,  0, -1,  1,  1],
           [-1, -1,  1, -1,  1],
           [-1, -1,  1,  1, -1]])
    """
    checked = check_weights(weights)
    similarity = _similarity(checked)
    shape = checked.shape[-2:]
    return over_networks(_link_communities, checked, similarity, shape=shape, dtype=np.int64)


def clique_communities(adjacency: ArrayLike, *, size: int) -> NDArray[np.bool_]:
    """Return which regions are in which community of overlapping cliques.

    A community is all that can be reached from one clique of ``size`` regions by way of such
    cliques that have all but one region in common.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    size : int
        Regions in a clique, at least 2; with 2, communities are the components.

    Returns
    -------
    (..., n_regions, n_communities) boolean array
        Communities in order of their first region, then of their second and so on. In a batch,
        networks with fewer communities than others end in columns that are all False. The time
        grows with the number of maximal cliques, which in dense networks of hundreds of regions
        is beyond reach.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN, or ``size`` is not at
        least 2.

    References
    ----------
    Palla et al. (2005), Nature 435:814-818.

    Examples
    --------
    >>> two_triangles = np.zeros((5, 5), dtype=int)
    >>> two_triangles[np.ix_([0, 1, 2], [0, 1, 2])] = 1
    >>> two_triangles[np.ix_([2, 3, 4], [2, 3, 4])] = 1
    >>> clique_communities(two_triangles - np.eye(5, dtype=int), size=3).astype(int).T
    array([[1, 1, 1, 0, 0],
           [0, 0, 1, 1, 1]])
    """
    checked = check_adjacency(adjacency)
    size = check_count(size, "size", least=2)
    flat = checked.reshape(-1, *checked.shape[-2:])
    found = [_percolate(each, size) for each in flat]
    most = max(each.shape[1] for each in found)
    padded = [np.pad(each, ((0, 0), (0, most - each.shape[1]))) for each in found]
    return np.array(padded).reshape(*checked.shape[:-1], most)


def _similarity(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Tanimoto similarity of the surroundings of each pair of regions."""
    scale = weights.max(axis=(-2, -1), keepdims=True)
    weights = weights / np.where(scale > 0, scale, 1.0)
    degree = (weights > 0).sum(axis=-1)
    own = weights.sum(axis=-1) / np.maximum(degree, 1)
    around = weights + own[..., None] * np.eye(weights.shape[-1])
    product = around @ np.swapaxes(around, -1, -2)
    square = np.diagonal(product, axis1=-2, axis2=-1)
    either = square[..., :, None] + square[..., None, :] - product
    return np.asarray(product / np.where(either > 0, either, 1.0))


@kernel
def _find(parent, i):  # type: ignore[no-untyped-def]
    """Return the representative of a set, and shorten the way to it."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def _density_term(n_edges, n_nodes):  # type: ignore[no-untyped-def]
    """Return what one community adds to the density, but for the factor 2 / M."""
    if n_nodes == 2:
        return 0.0
    return n_edges * (n_edges - (n_nodes - 1.0)) / ((n_nodes - 2.0) * (n_nodes - 1.0))


@kernel
def _link_communities(weights, similarity, out):  # type: ignore[no-untyped-def]
    """Write the communities of the edges at the level of highest density."""
    n = len(weights)
    edge = np.full((n, n), -1)
    first, second = np.nonzero(np.triu(weights))
    for e in range(len(first)):
        edge[first[e], second[e]] = e
        edge[second[e], first[e]] = e
    rows, columns = np.nonzero(np.triu(np.ones((n, n)), 1))
    values = np.empty(len(rows))
    for p in range(len(rows)):
        values[p] = -similarity[rows[p], columns[p]]
    order = np.argsort(values, kind="mergesort")
    parent = np.arange(len(first))
    n_steps = _join_edges(edge, first, second, rows[order], columns[order], values[order], parent)
    parent = np.arange(len(first))
    for p in range(n_steps):
        i, j = rows[order[p]], columns[order[p]]
        for k in range(n):
            if edge[i, k] >= 0 and edge[j, k] >= 0:
                parent[_find(parent, edge[i, k])] = _find(parent, edge[j, k])
    label = np.full(len(first), -1)
    n_labels = 0
    out[:] = -1
    for e in range(len(first)):
        root = _find(parent, e)
        if label[root] < 0:
            label[root] = n_labels
            n_labels += 1
        out[first[e], second[e]] = label[root]
        out[second[e], first[e]] = label[root]


@kernel
def _join_edges(edge, first, second, rows, columns, values, parent):  # type: ignore[no-untyped-def]
    """Join all edges, pair of regions by pair, and return after how many pairs D was highest."""
    n, n_edges = len(edge), len(first)
    inside = np.zeros((n_edges, (n + 63) // 64), dtype=np.uint64)  # regions of each community
    for e in range(n_edges):
        for i in (first[e], second[e]):
            inside[e, i // 64] |= np.uint64(1) << np.uint64(i % 64)
    n_joined = np.ones(n_edges)
    n_nodes = np.full(n_edges, 2.0)
    density, best, n_best = 0.0, 0.0, 0
    for p in range(len(rows)):
        i, j = rows[p], columns[p]
        for k in range(n):
            if edge[i, k] < 0 or edge[j, k] < 0:
                continue
            a, b = _find(parent, edge[i, k]), _find(parent, edge[j, k])
            if a == b:
                continue
            density -= _density_term(n_joined[a], n_nodes[a])
            density -= _density_term(n_joined[b], n_nodes[b])
            parent[b] = a
            n_joined[a] += n_joined[b]
            count = np.uint64(0)
            for w in range(inside.shape[1]):
                inside[a, w] |= inside[b, w]
                count += count_ones(inside[a, w])
            n_nodes[a] = np.float64(count)
            density += _density_term(n_joined[a], n_nodes[a])
        level_ends = p + 1 == len(rows) or values[p + 1] - values[p] > SAME_SIMILARITY
        if level_ends and density > best + 1e-9 * n_edges:
            best, n_best = density, p + 1
    return n_best


def _percolate(adjacency: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Return the communities of one network as columns."""
    import networkx

    n_regions = len(adjacency)
    graph = networkx.from_numpy_array(adjacency)
    cliques = [clique for clique in networkx.find_cliques(graph) if len(clique) >= size]
    members = np.zeros((len(cliques), n_regions), dtype=bool)
    for row, clique in zip(members, cliques, strict=True):
        row[clique] = True
    group = np.arange(len(cliques))
    bits = np.zeros((len(cliques), (n_regions + 63) // 64), dtype=np.uint64)
    pack(members, bits)
    _join_cliques(bits, size - 1, group)
    roots: Sequence[int] = np.unique(group).tolist()
    columns = [members[group == root].any(axis=0) for root in roots]
    columns.sort(key=lambda column: np.flatnonzero(column).tolist())
    return np.array(columns, dtype=bool).reshape(len(columns), n_regions).T


@kernel
def _join_cliques(bits, least, group):  # type: ignore[no-untyped-def]
    """Give cliques that have at least ``least`` regions in common the same group."""
    for a in range(len(bits)):
        for b in range(a):
            common = np.uint64(0)
            for w in range(bits.shape[1]):
                common += count_ones(bits[a, w] & bits[b, w])
            if np.int64(common) >= least:
                group[_find(group, b)] = _find(group, a)
    for a in range(len(bits)):
        group[a] = _find(group, a)
