"""How far regions are from one another along the network.

``distances_binary`` and ``distances_weighted`` give the lengths of the shortest paths; the
measures of lengths take these, so that one search serves several measures.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_bits, check_weights
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics._shortest import (
    add_hops,
    fill_hops,
    fill_lengths,
    lower_directed,
    lower_symmetric,
)


def distances_binary(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    """Return the number of edges on the shortest path between each pair of regions.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j, and row i
        of the result holds the paths from i.

    Returns
    -------
    (..., n_regions, n_regions) array
        Whole numbers; 0 on the diagonal, infinity where no path leads.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> distances_binary([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    array([[0., 1., 2.],
           [1., 0., 1.],
           [2., 1., 0.]])
    """
    bits = check_bits(adjacency, directed=directed)
    return over_networks(fill_hops, bits, shape=(bits.shape[-2],) * 2)


def distances_weighted(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    """Return the length of the shortest path between each pair of regions.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The length of an edge is 1/weight.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j, and row i
        of the result holds the paths from i.

    Returns
    -------
    (..., n_regions, n_regions) array
        In units of 1/``weights``; 0 on the diagonal, infinity where no path leads.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Floyd (1962), Commun ACM 5:345; Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> distances_weighted([[0, 0.5, 0.1], [0.5, 0, 0.5], [0.1, 0.5, 0]])
    array([[0., 2., 4.],
           [2., 0., 2.],
           [4., 2., 0.]])
    """
    checked = check_weights(weights, directed=directed)
    return over_networks(
        _distances_weighted, checked, shape=checked.shape[-2:], constants=(not directed,)
    )


def edge_lengths(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    """Return 1/weight, infinity where there is no edge, 0 on the diagonal.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions, n_regions) array
        In units of 1/``weights``.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    Examples
    --------
    >>> edge_lengths(np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]]))
    array([[ 0.,  2., inf],
           [ 2.,  0., inf],
           [inf, inf,  0.]])
    """
    checked = check_weights(weights, directed=directed)
    lengths = np.full(checked.shape, np.inf)
    np.divide(1.0, checked, out=lengths, where=checked > 0)
    diagonal = np.arange(checked.shape[-1])
    lengths[..., diagonal, diagonal] = 0.0
    return lengths


def floyd_warshall(lengths: ArrayLike) -> NDArray[np.float64]:
    """Return the lengths of shortest paths given those of edges, for all networks at once.

    Parameters
    ----------
    lengths : (..., n_regions, n_regions) array
        Non-negative, 0 on the diagonal, infinity for no edge. May be asymmetric: entry (i, j) is
        the edge from i to j.

    Returns
    -------
    (..., n_regions, n_regions) array
        In the unit of ``lengths``.

    Raises
    ------
    ValueError
        If ``lengths`` is not square, negative, not 0 on the diagonal, or holds NaN.

    Examples
    --------
    >>> floyd_warshall(np.array([[0, 1, 9], [1, 0, 1], [9, 1, 0.0]]))
    array([[0., 1., 2.],
           [1., 0., 1.],
           [2., 1., 0.]])
    """
    flat = _check_distances(lengths).copy(order="C")
    for each in flat.reshape(-1, *flat.shape[-2:]):
        lower_directed(each)
    return flat


def characteristic_path_length(distances: ArrayLike) -> NDArray[np.float64]:
    r"""Return the mean length of the shortest paths between connected pairs of regions.

    .. math:: L = \operatorname{mean}_{i \ne j,\, d_{ij} < \infty} d_{ij}

    Parameters
    ----------
    distances : (..., n_regions, n_regions) array
        From ``distances_binary`` or ``distances_weighted``.

    Returns
    -------
    (...) array
        In units of ``distances``. Unreachable pairs are left out, so a network in pieces looks
        shorter than it is: look at ``n_components`` too, or use the efficiency. NaN if no pair
        is connected.

    Raises
    ------
    ValueError
        If ``distances`` is not square, negative, not 0 on the diagonal, or holds NaN.

    References
    ----------
    Watts and Strogatz (1998), Nature 393:440-442.

    Examples
    --------
    >>> float(characteristic_path_length([[0, 1, 2], [1, 0, 1], [2, 1, 0]]).round(4))
    1.3333
    """
    checked = _check_distances(distances)
    reached = np.isfinite(checked)
    n_pairs = reached.sum(axis=(-2, -1)) - checked.shape[-1]
    total = np.where(reached, checked, 0.0).sum(axis=(-2, -1))
    return np.asarray(total / np.where(n_pairs > 0, n_pairs, np.nan))


def characteristic_path_length_binary(
    adjacency: ArrayLike, *, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the mean number of edges on shortest paths between connected pairs of regions.

    The value of ``characteristic_path_length(distances_binary(adjacency))``, without the distances
    being kept: the way to take many random networks.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j.

    Returns
    -------
    (...) array
        From 1. Unreachable pairs are left out; NaN if no pair is connected.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Watts and Strogatz (1998), Nature 393:440-442.

    Examples
    --------
    >>> float(characteristic_path_length_binary([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(4))
    1.3333
    """
    counts = hop_counts(check_bits(adjacency, directed=directed))
    n_pairs = counts.sum(axis=-1)
    total = counts @ np.arange(counts.shape[-1], dtype=np.float64)
    return np.asarray(total / np.where(n_pairs > 0, n_pairs, np.nan))


def characteristic_path_length_weighted(
    weights: ArrayLike, *, directed: bool = False
) -> NDArray[np.float64]:
    """Return the ``characteristic_path_length`` of ``distances_weighted``.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The length of an edge is 1/weight.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j.

    Returns
    -------
    (...) array
        In units of 1/``weights``. Unreachable pairs are left out; NaN if no pair is connected.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Watts and Strogatz (1998), Nature 393:440-442.

    Examples
    --------
    >>> float(characteristic_path_length_weighted([[0, 0.5, 0.1], [0.5, 0, 0], [0.1, 0, 0]]))
    8.0
    """
    return characteristic_path_length(distances_weighted(weights, directed=directed))


def eccentricity(distances: ArrayLike) -> NDArray[np.float64]:
    r"""Return the distance of each region to the farthest region it is connected with.

    .. math:: e_i = \max_{j \ne i,\, d_{ij} < \infty} d_{ij}

    Parameters
    ----------
    distances : (..., n_regions, n_regions) array
        From ``distances_binary`` or ``distances_weighted``.

    Returns
    -------
    (..., n_regions) array
        In units of ``distances``. Unreachable regions are left out; an isolated one is NaN.

    Raises
    ------
    ValueError
        If ``distances`` is not square, negative, not 0 on the diagonal, or holds NaN.

    References
    ----------
    Harary (1969), Graph Theory, Addison-Wesley.

    Examples
    --------
    >>> eccentricity([[0, 1, 2], [1, 0, 1], [2, 1, 0]])
    array([2., 1., 2.])
    """
    checked = _check_distances(distances)
    farthest = np.where(np.isfinite(checked), checked, 0.0).max(axis=-1)
    return np.where(farthest > 0, farthest, np.nan)


def radius(distances: ArrayLike) -> NDArray[np.float64]:
    """Return the smallest eccentricity of each network.

    Parameters
    ----------
    distances : (..., n_regions, n_regions) array
        From ``distances_binary`` or ``distances_weighted``.

    Returns
    -------
    (...) array
        In units of ``distances``. Isolated regions are left out, and of several components the
        one with the smallest counts; NaN if no pair is connected.

    Raises
    ------
    ValueError
        If ``distances`` is not square, negative, not 0 on the diagonal, or holds NaN.

    References
    ----------
    Harary (1969), Graph Theory, Addison-Wesley.

    Examples
    --------
    >>> float(radius([[0, 1, 2], [1, 0, 1], [2, 1, 0]]))
    1.0
    """
    each = eccentricity(distances)
    smallest = np.where(np.isnan(each), np.inf, each).min(axis=-1)
    return np.where(np.isfinite(smallest), smallest, np.nan)


def diameter(distances: ArrayLike) -> NDArray[np.float64]:
    """Return the longest of the shortest paths of each network.

    Parameters
    ----------
    distances : (..., n_regions, n_regions) array
        From ``distances_binary`` or ``distances_weighted``.

    Returns
    -------
    (...) array
        In units of ``distances``. Unreachable pairs are left out; NaN if no pair is connected.

    Raises
    ------
    ValueError
        If ``distances`` is not square, negative, not 0 on the diagonal, or holds NaN.

    References
    ----------
    Harary (1969), Graph Theory, Addison-Wesley.

    Examples
    --------
    >>> float(diameter([[0, 1, 2], [1, 0, 1], [2, 1, 0]]))
    2.0
    """
    each = eccentricity(distances)
    largest = np.where(np.isnan(each), 0.0, each).max(axis=-1)
    return np.where(largest > 0, largest, np.nan)


def n_components(distances: ArrayLike) -> NDArray[np.float64]:
    """Return the number of pieces that each network falls into.

    Parameters
    ----------
    distances : (..., n_regions, n_regions) array
        From ``distances_binary`` or ``distances_weighted``.

    Returns
    -------
    (...) array
        Whole numbers from 1 (connected) to ``n_regions``; an isolated region is a piece.

    Raises
    ------
    ValueError
        If ``distances`` is not square, negative, not 0 on the diagonal, or holds NaN.

    References
    ----------
    Harary (1969), Graph Theory, Addison-Wesley.

    Examples
    --------
    >>> float(n_components([[0, 1, np.inf], [1, 0, np.inf], [np.inf, np.inf, 0]]))
    2.0
    """
    size = np.isfinite(_check_distances(distances)).sum(axis=-1)
    return np.asarray(np.round((1.0 / size).sum(axis=-1)))


def hop_counts(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return how many ordered pairs of regions are 0, 1, 2... edges apart.

    Parameters
    ----------
    bits : (..., n_regions, n_words) array
        As ``check_bits`` returns it: row i holds the edges from i.

    Returns
    -------
    (..., n_regions) array
        Entry h counts the pairs that are h edges apart; that of 0 is 0, and pairs without a path
        are in none.

    Examples
    --------
    >>> hop_counts(check_bits([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    array([0., 4., 2.])
    """
    return over_networks(_hop_counts, bits, shape=bits.shape[-2:-1])


def _check_distances(distances: ArrayLike) -> NDArray[np.float64]:
    """Return distances as float64, or say what is wrong with them."""
    array = np.asarray(distances, dtype=np.float64)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or array.size == 0:
        raise ValueError(
            f"distances must be square over its last two axes; got shape {array.shape}. "
            "Use metrics.paths.distances_weighted(weights) first."
        )
    if np.isnan(array).any() or array.min() < 0:
        raise ValueError(
            f"distances must be non-negative without NaN; got {int((array < 0).sum())} negative "
            f"and {int(np.isnan(array).sum())} NaN entries. "
            "Use metrics.paths.distances_weighted(weights) first."
        )
    if np.diagonal(array, axis1=-2, axis2=-1).any():
        raise ValueError(
            "distances must be 0 on the diagonal; got a non-zero entry. "
            "Use metrics.paths.distances_weighted(weights) first, not the weights themselves."
        )
    return array


@kernel
def _distances_weighted(weights, symmetric, out):  # type: ignore[no-untyped-def]
    """Write the lengths of the shortest paths of one weighted network."""
    fill_lengths(weights, out)
    if symmetric:
        lower_symmetric(out)
    else:
        lower_directed(out)


@kernel
def _hop_counts(bits, out):  # type: ignore[no-untyped-def]
    """Write how many ordered pairs of one network are each number of edges apart."""
    add_hops(bits, len(bits), out)
