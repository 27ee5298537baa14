"""How often each motif occurs around each region of a binary network."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency
from brainnet.metrics._compile import over_networks
from brainnet.metrics.motifs._count import count_fours, count_threes
from brainnet.metrics.motifs.catalogue import catalogue, undirected


def motifs3_structural(adjacency: ArrayLike) -> NDArray[np.float64]:
    """Return how many groups of three regions, with all edges among them, are of each class.

    Each connected group of a region and two others is one occurrence of the one class that its
    edges form: of its induced subgraph.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., 13, n_regions) array
        Whole numbers: the motif fingerprint of each region. The classes are those of
        ``motif_matrices(3)``, in the order of the Brain Connectivity Toolbox; ``motif_totals``
        counts each occurrence once for the network.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Milo et al. (2002), Science 298:824-827. Sporns and Kötter (2004), PLoS Biol 2:e369.

    Examples
    --------
    >>> counts = motifs3_structural([[0, 1, 0], [0, 0, 1], [1, 0, 0]])  # the ring
    >>> np.argwhere(counts).tolist(), counts[6]
    ([[6, 0], [6, 1], [6, 2]], array([1., 1., 1.]))
    """
    return _count(check_adjacency(adjacency, directed=True), 3)


def motifs4_structural(adjacency: ArrayLike) -> NDArray[np.float64]:
    """Return how many groups of four regions, with all edges among them, are of each class.

    As ``motifs3_structural``, with groups of four. The time grows with the number of connected
    groups: 12 million (200 regions, 15 % of all directed edges) take 0.03 s.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., 199, n_regions) array
        Whole numbers. The classes are those of ``motif_matrices(4)``.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Milo et al. (2002), Science 298:824-827. Sporns and Kötter (2004), PLoS Biol 2:e369.

    Examples
    --------
    >>> ring = np.roll(np.eye(4), 1, axis=1)
    >>> counts = motifs4_structural(ring)
    >>> counts.shape, np.flatnonzero(counts.any(axis=1)).tolist()
    ((199, 4), [92])
    """
    return _count(check_adjacency(adjacency, directed=True), 4)


def motifs3_functional(adjacency: ArrayLike) -> NDArray[np.float64]:
    """Return in how many ways the edges among three regions contain each class.

    A functional motif is any choice of the edges of a structural motif that still connects all
    its regions, the structural motif itself included.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., 13, n_regions) array
        Whole numbers. The classes are those of ``motif_matrices(3)``.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Sporns and Kötter (2004), PLoS Biol 2:e369.

    Examples
    --------
    >>> counts = motifs3_functional([[0, 1, 0], [0, 0, 1], [1, 0, 0]])  # a ring has three chains
    >>> counts[[1, 6]]
    array([[3., 3., 3.],
           [1., 1., 1.]])
    """
    return _embed(motifs3_structural(adjacency), 3)


def motifs4_functional(adjacency: ArrayLike) -> NDArray[np.float64]:
    """Return in how many ways the edges among four regions contain each class.

    As ``motifs3_functional``, with groups of four.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., 199, n_regions) array
        Whole numbers (exact up to 2**53). The classes are those of ``motif_matrices(4)``.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Sporns and Kötter (2004), PLoS Biol 2:e369.

    Examples
    --------
    >>> ring = np.roll(np.eye(4), 1, axis=1)  # holds itself and four chains of three edges
    >>> motif_totals(motifs4_functional(ring)).sum()
    np.float64(5.0)
    """
    return _embed(motifs4_structural(adjacency), 4)


def motifs3_undirected(adjacency: ArrayLike) -> NDArray[np.float64]:
    """Return how many groups of three regions form a path, and how many a triangle.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., 2, n_regions) array
        Whole numbers: paths of two edges that are not part of a triangle; triangles.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Milo et al. (2002), Science 298:824-827.

    Examples
    --------
    >>> motifs3_undirected([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    array([[1., 1., 1.],
           [0., 0., 0.]])
    """
    return _count(check_adjacency(adjacency), 3)[..., undirected(3), :]


def motifs4_undirected(adjacency: ArrayLike) -> NDArray[np.float64]:
    """Return how many groups of four regions are of each of the six connected classes.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., 6, n_regions) array
        Whole numbers: stars, paths, triangles with a tail, rings, rings with one diagonal,
        complete groups (the classes of ``motif_matrices(4, directed=False)``).

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Milo et al. (2002), Science 298:824-827.

    Examples
    --------
    >>> motifs4_undirected(np.ones((4, 4)) - np.eye(4))[:, 0]
    array([0., 0., 0., 0., 0., 1.])
    """
    return _count(check_adjacency(adjacency), 4)[..., undirected(4), :]


def motif_totals(regional: ArrayLike) -> NDArray[np.float64]:
    """Return the counts (or intensities) of whole networks: each occurrence once.

    Parameters
    ----------
    regional : (..., n_classes, n_regions) array
        As the other functions of this module return it, all classes of it.

    Returns
    -------
    (..., n_classes) array
        The sum over regions, divided by the 3 or 4 regions of an occurrence.

    Raises
    ------
    ValueError
        If ``regional`` does not have 13, 199, 2 or 6 classes.

    Examples
    --------
    >>> motif_totals(motifs3_undirected([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    array([1., 0.])
    """
    values = np.asarray(regional, dtype=np.float64)
    sizes = {13: 3, 2: 3, 199: 4, 6: 4}
    if values.ndim < 2 or values.shape[-2] not in sizes:
        raise ValueError(
            "regional must have 13, 199, 2 or 6 classes on its last axis but one; got shape "
            f"{values.shape}. Pass the result of a measure of this module as it is."
        )
    return np.asarray(values.sum(axis=-1) / sizes[values.shape[-2]])


def _count(checked: NDArray[np.bool_], n_nodes: int) -> NDArray[np.float64]:
    """Return the structural counts of checked networks."""
    table = catalogue(n_nodes)
    counts = over_networks(
        count_threes if n_nodes == 3 else count_fours,
        checked,
        shape=(checked.shape[-1], len(table.representatives)),
        dtype=np.int64,
        constants=(table.classes,),
    )
    return np.ascontiguousarray(counts.swapaxes(-1, -2), dtype=np.float64)


def _embed(structural: NDArray[np.float64], n_nodes: int) -> NDArray[np.float64]:
    """Return the functional counts: each structural motif counts for all that it contains."""
    return np.asarray(catalogue(n_nodes).embedded.T @ structural)
