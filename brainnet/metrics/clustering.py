"""How densely the neighbours of each region are connected with one another.

Networks of one kind of edge; the file ``clustering_signed`` is for positive and negative weights.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._bits import count_ones, lowest_one
from brainnet.metrics._checks import check_adjacency, check_bits, check_weights
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics._triangles import (
    closed_triples,
    cube_roots,
    cube_roots_directed,
    divide,
    neighbour_pairs,
)


def clustering_binary(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of pairs of each region's neighbours that are connected.

    .. math:: C_i = \frac{1}{k_i(k_i-1)} \sum_{jh} a_{ij} a_{jh} a_{hi}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1; a region with fewer than two neighbours is 0.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Watts and Strogatz (1998), Nature 393:440-442.

    Examples
    --------
    >>> clustering_binary([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    array([1., 1., 1.])
    """
    closed, pairs = _counts(adjacency)
    return divide(closed, pairs)


def clustering_binary_directed(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of possible directed triangles around each region that exist.

    .. math:: C_i = \frac{\sum_{jh} (a_{ij}+a_{ji})(a_{jh}+a_{hj})(a_{hi}+a_{ih})}
              {2\,[k_i(k_i-1) - 2 \sum_j a_{ij} a_{ji}]}

    with :math:`k_i` the edges of either direction at i.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1; 0 where there is no pair of neighbours. Of a symmetric network it equals
        ``clustering_binary``.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Fagiolo (2007), Phys Rev E 76:026107.

    Examples
    --------
    >>> clustering_binary_directed([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    array([0.5, 0.5, 0.5])
    """
    checked = check_adjacency(adjacency, directed=True)
    return divide(closed_triples(_both_ways(checked)) / 2, _pairs_directed(checked))


def clustering_weighted(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the mean intensity of the triangles around each region.

    .. math:: C_i = \frac{1}{k_i(k_i-1)}
              \sum_{jh} (\hat w_{ij} \hat w_{jh} \hat w_{hi})^{1/3},
              \quad \hat w_{ij} = w_{ij} / \max_{kl} w_{kl}

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter: each network is
        divided by its largest weight, which the Brain Connectivity Toolbox leaves to the caller.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1; a region with fewer than two neighbours is 0.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Onnela, Saramäki, Kertész and Kaski (2005), Phys Rev E 71:065103.

    Examples
    --------
    >>> clustering_weighted([[0, 0.8, 0.8], [0.8, 0, 0.1], [0.8, 0.1, 0]]).round(4)
    array([0.5, 0.5, 0.5])
    """
    checked = check_weights(weights)
    return divide(closed_triples(cube_roots(checked)), neighbour_pairs(checked))


def clustering_weighted_directed(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the mean intensity of the directed triangles around each region.

    The numerator of ``clustering_binary_directed`` with
    :math:`(w_{ij} / \max_{kl} w_{kl})^{1/3}` in place of :math:`a_{ij}`; the same denominator.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal. Entry (i, j) is the edge from i to j. The scale does not
        matter: each network is divided by its largest weight.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1; 0 where there is no pair of neighbours. Of a symmetric network it equals
        ``clustering_weighted``.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN.

    References
    ----------
    Fagiolo (2007), Phys Rev E 76:026107.

    Examples
    --------
    >>> clustering_weighted_directed([[0, 0.8, 0], [0, 0, 0.8], [0.1, 0, 0]]).round(4)
    array([0.25, 0.25, 0.25])
    """
    checked = check_weights(weights, directed=True)
    triples = closed_triples(_both_ways(cube_roots_directed(checked)))
    return divide(triples / 2, _pairs_directed(checked > 0))


def transitivity_binary(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of connected triples of each network that close to a triangle.

    .. math:: T = \frac{\sum_{ijh} a_{ij} a_{jh} a_{hi}}{\sum_i k_i(k_i-1)}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (...) array
        From 0 to 1; 0 for a network without connected triples.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Newman (2003), SIAM Rev 45:167-256.

    Examples
    --------
    >>> float(transitivity_binary([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    1.0
    """
    closed, pairs = _counts(adjacency)
    return divide(closed.sum(axis=-1), pairs.sum(axis=-1))


def transitivity_binary_directed(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of possible directed triangles of each network that exist.

    The sum over the regions of the numerator of ``clustering_binary_directed`` over that of its
    denominator.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (...) array
        From 0 to 1; 0 for a network without connected triples.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> float(transitivity_binary_directed([[0, 1, 0], [0, 0, 1], [1, 0, 0]]))
    0.5
    """
    checked = check_adjacency(adjacency, directed=True)
    triples = closed_triples(_both_ways(checked)).sum(axis=-1)
    return divide(triples / 2, _pairs_directed(checked).sum(axis=-1))


def transitivity_weighted(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the intensity of the triangles of each network over its connected triples.

    .. math:: T = \frac{\sum_{ijh} (\hat w_{ij} \hat w_{jh} \hat w_{hi})^{1/3}}
              {\sum_i k_i(k_i-1)}, \quad \hat w_{ij} = w_{ij} / \max_{kl} w_{kl}

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.

    Returns
    -------
    (...) array
        From 0 to 1; 0 for a network without connected triples.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> float(transitivity_weighted([[0, 0.8, 0.8], [0.8, 0, 0.1], [0.8, 0.1, 0]]).round(4))
    0.5
    """
    checked = check_weights(weights)
    triples = closed_triples(cube_roots(checked)).sum(axis=-1)
    return divide(triples, neighbour_pairs(checked).sum(axis=-1))


def transitivity_weighted_directed(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the intensity of the directed triangles of each network over its possible ones.

    The sum over the regions of the numerator of ``clustering_weighted_directed`` over that of
    its denominator. bctpy leaves regions without triangles out of the denominator and returns 0
    as soon as there is one; the paper does not.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal. Entry (i, j) is the edge from i to j. The scale does not
        matter.

    Returns
    -------
    (...) array
        From 0 to 1; 0 for a network without connected triples.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> float(transitivity_weighted_directed([[0, 0.8, 0], [0, 0, 0.8], [0.1, 0, 0]]).round(4))
    0.25
    """
    checked = check_weights(weights, directed=True)
    triples = closed_triples(_both_ways(cube_roots_directed(checked))).sum(axis=-1)
    return divide(triples / 2, _pairs_directed(checked > 0).sum(axis=-1))


def _both_ways(networks: NDArray[np.float64] | NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the sum with the transpose."""
    return np.add(networks, np.swapaxes(networks, -1, -2), dtype=np.float64)


def _pairs_directed(adjacency: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the number of ordered pairs of edges at each region that lead to two neighbours."""
    edges = _both_ways(adjacency)
    n_edges, n_reciprocal = edges.sum(axis=-1), (edges == 2).sum(axis=-1)
    return np.asarray(n_edges * (n_edges - 1) - 2 * n_reciprocal)


def _counts(adjacency: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the number of ordered pairs of neighbours of each region: connected ones, all."""
    bits = check_bits(adjacency)
    counts = over_networks(_neighbours_connected, bits, shape=(2, bits.shape[-2]))
    return counts[..., 0, :], counts[..., 1, :]


@kernel
def _neighbours_connected(bits, out):  # type: ignore[no-untyped-def]
    """Write the ordered pairs of neighbours of each region: those connected, and all."""
    n, n_words = bits.shape
    shared = np.zeros(n, dtype=np.int64)
    for i in range(n):
        row = bits[i]
        degree = np.int64(0)
        for w in range(n_words):
            degree += np.int64(count_ones(row[w]))
            left = row[w]
            while left != 0:
                j = 64 * w + np.int64(lowest_one(left))
                left &= left - np.uint64(1)
                if j > i:
                    both = np.int64(0)
                    other = bits[j]
                    for v in range(n_words):
                        both += np.int64(count_ones(row[v] & other[v]))
                    shared[i] += both
                    shared[j] += both
        out[1, i] = degree * (degree - 1)
    for i in range(n):
        out[0, i] = shared[i]
