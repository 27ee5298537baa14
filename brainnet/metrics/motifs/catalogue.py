"""The classes of connected subgraphs of three and four nodes, in the order of the BCT."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency

NOT_CONNECTED = 255
"""What ``Catalogue.classes`` holds for a code whose nodes are not all connected."""


class Catalogue(NamedTuple):
    """All directed graphs of a few nodes, by code: bit 2p is i to j, bit 2p + 1 is j to i.

    Pair p runs over (0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3). ``matrices`` has one
    adjacency a code; ``classes`` the class of each code; ``representatives`` the lowest code of
    each class; ``embedded[a, b]`` counts in how many ways a graph of class a, by leaving out
    edges, becomes one of class b.
    """

    matrices: NDArray[np.bool_]
    classes: NDArray[np.uint8]
    representatives: NDArray[np.int64]
    embedded: NDArray[np.float64]


def motif_matrices(n_nodes: int, *, directed: bool = True) -> NDArray[np.bool_]:
    """Return one adjacency of each class of connected graphs, in the order of the counts.

    Parameters
    ----------
    n_nodes : 3 or 4
        Nodes of a motif.
    directed : bool, optional
        The 13 or 199 directed classes, numbered as by the Brain Connectivity Toolbox (its motif
        ids less 1; of three nodes, the numbers of Sporns and Kötter 2004), or the 2 or 6
        undirected ones (path, triangle; star, path, triangle with a tail, ring, ring with one
        diagonal, complete).

    Returns
    -------
    (n_classes, n_nodes, n_nodes) boolean array
        Entry (i, j) is the edge from i to j. Of the matrices of a class, the one with the lowest
        code (see ``all_motif_matrices``).

    Raises
    ------
    ValueError
        If ``n_nodes`` is not 3 or 4.

    References
    ----------
    Sporns and Kötter (2004), PLoS Biol 2:e369.
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> motif_matrices(3).shape, motif_matrices(4).shape, motif_matrices(4, directed=False).shape
    ((13, 3, 3), (199, 4, 4), (6, 4, 4))
    >>> motif_matrices(3)[6].astype(int)  # motif 7: the ring
    array([[0, 1, 0],
           [0, 0, 1],
           [1, 0, 0]])
    """
    table = catalogue(_check_n_nodes(n_nodes))
    chosen = table.representatives if directed else table.representatives[undirected(n_nodes)]
    return table.matrices[chosen]


def all_motif_matrices(motif: int, n_nodes: int) -> NDArray[np.bool_]:
    """Return every adjacency of one class: all ways to number its nodes.

    Parameters
    ----------
    motif : int
        From 0 to 12 (three nodes) or 198 (four): the place in the counts, and the motif id of
        the Brain Connectivity Toolbox less 1.
    n_nodes : 3 or 4
        Nodes of a motif.

    Returns
    -------
    (n_matrices, n_nodes, n_nodes) boolean array
        Entry (i, j) is the edge from i to j.

    Raises
    ------
    ValueError
        If ``n_nodes`` is not 3 or 4, or there is no such class.

    References
    ----------
    Sporns and Kötter (2004), PLoS Biol 2:e369.

    Examples
    --------
    >>> all_motif_matrices(6, 3).astype(int).tolist()
    [[[0, 1, 0], [0, 0, 1], [1, 0, 0]], [[0, 0, 1], [1, 0, 0], [0, 1, 0]]]
    """
    table = catalogue(_check_n_nodes(n_nodes))
    n_classes = len(table.representatives)
    if motif not in range(n_classes):
        raise ValueError(
            f"motif must be a whole number from 0 to {n_classes - 1}; got {motif!r}. "
            "Subtract 1 from a motif id of the Brain Connectivity Toolbox."
        )
    return np.asarray(table.matrices[table.classes == motif])


def find_motif(adjacency: ArrayLike) -> NDArray[np.int64]:
    """Return the class of each graph of three or four nodes.

    Parameters
    ----------
    adjacency : (..., n_nodes, n_nodes) array
        Boolean or 0 and 1, zero diagonal, of 3 or 4 nodes. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (...) integer array
        The place in the counts: the motif id of the Brain Connectivity Toolbox less 1. -1 where
        the nodes are not all connected.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, holds NaN, or has another number of nodes.

    References
    ----------
    Sporns and Kötter (2004), PLoS Biol 2:e369.

    Examples
    --------
    >>> int(find_motif([[0, 1, 0], [0, 0, 1], [1, 0, 0]]))
    6
    """
    checked = check_adjacency(adjacency, directed=True)
    n_nodes = _check_n_nodes(checked.shape[-1])
    first, second = _pairs(n_nodes)
    bits = 2 * np.arange(len(first))
    codes = (checked[..., first, second] << bits) + (checked[..., second, first] << (bits + 1))
    found = catalogue(n_nodes).classes[codes.sum(axis=-1)].astype(np.int64)
    return np.where(found == NOT_CONNECTED, -1, found)


@lru_cache(maxsize=2)
def catalogue(n_nodes: int) -> Catalogue:
    """Return the catalogue of 3 or 4 nodes, worked out once a process in some milliseconds."""
    matrices = _matrices(n_nodes)
    connected = _connected(matrices)
    _, numbers = np.unique(_labels(matrices[connected]), axis=0, return_inverse=True)
    numbers = numbers.ravel()
    if n_nodes == 3:
        numbers = _SPORNS[numbers]
    classes = np.full(len(matrices), NOT_CONNECTED, dtype=np.uint8)
    classes[connected] = numbers
    _, representatives = np.unique(classes[connected], return_index=True)
    representatives = np.flatnonzero(connected)[representatives]
    embedded = np.zeros((len(representatives),) * 2)
    for i, code in enumerate(representatives):
        inside = classes[parts_of(int(code))]
        inside = inside[inside != NOT_CONNECTED]
        embedded[i] = np.bincount(inside, minlength=len(representatives))
    return Catalogue(matrices, classes, representatives, embedded)


@lru_cache(maxsize=2)
def undirected(n_nodes: int) -> NDArray[np.int64]:
    """Return the directed classes whose every edge runs both ways, in the undirected order."""
    table = catalogue(n_nodes)
    members = table.matrices[table.representatives]
    symmetric = np.flatnonzero((members == members.swapaxes(1, 2)).all(axis=(1, 2)))
    degrees = members[symmetric].sum(axis=2)
    return np.asarray(symmetric[np.lexsort((-degrees.max(axis=1), degrees.sum(axis=1)))])


def parts_of(code: int) -> NDArray[np.int64]:
    """Return the codes of a graph and of all that is left of it by leaving out edges."""
    parts = np.zeros(1, dtype=np.int64)
    for bit in range(code.bit_length()):
        if code >> bit & 1:
            parts = np.concatenate((parts, parts | 1 << bit))
    return parts


_SPORNS = np.array([3, 2, 6, 1, 5, 11, 4, 7, 9, 10, 8, 12, 13]) - 1
"""The number that Sporns and Kötter gave each class of three nodes, in the order of its label."""


def _matrices(n_nodes: int) -> NDArray[np.bool_]:
    """Return the adjacency of each code."""
    first, second = _pairs(n_nodes)
    codes = np.arange(4 ** len(first))[:, None]
    bits = 2 * np.arange(len(first))
    matrices = np.zeros((len(codes), n_nodes, n_nodes), dtype=bool)
    matrices[:, first, second] = codes >> bits & 1
    matrices[:, second, first] = codes >> (bits + 1) & 1
    return matrices


def _connected(matrices: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which graphs hold together when the direction of edges is ignored."""
    n_nodes = matrices.shape[-1]
    near = (matrices | matrices.swapaxes(1, 2) | np.eye(n_nodes, dtype=bool)).astype(np.int64)
    return np.asarray((np.linalg.matrix_power(near, n_nodes - 1) > 0).all(axis=(1, 2)))


def _labels(matrices: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return what the BCT sorts graphs by: the degrees of their nodes, the nodes in order.

    A node of three counts for its edges out and in; of four, for those in and out and for the
    nodes from which it is, and which from it are, two steps away (itself included).
    """
    two_steps = matrices.astype(np.int64) @ matrices > 0
    into, out = matrices.sum(axis=1), matrices.sum(axis=2)
    digits = (out, into) if matrices.shape[-1] == 3 else (into, out, *_sums(two_steps))
    label = np.zeros(into.shape, dtype=np.int64)
    for digit in digits:
        label = 8 * label + digit
    return np.sort(label, axis=1)


def _sums(matrices: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sums of columns and of rows."""
    return matrices.sum(axis=1), matrices.sum(axis=2)


def _pairs(n_nodes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of nodes in the order of the code: by the higher node, then the lower."""
    second, first = np.tril_indices(n_nodes, -1)
    return first, second


def _check_n_nodes(n_nodes: int) -> int:
    """Return the number of nodes, if motifs of that size are known."""
    if n_nodes not in (3, 4):
        raise ValueError(
            f"n_nodes must be 3 or 4; got {n_nodes!r}. Pass one small graph, or the size of one."
        )
    return int(n_nodes)
