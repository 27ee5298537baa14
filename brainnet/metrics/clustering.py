"""How densely the neighbours of each region are connected with one another."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet._network import check_adjacency, check_weights


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
    checked = check_adjacency(adjacency)
    return _divide(_triangles(checked), _neighbour_pairs(checked))


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
    return _divide(_triangles(_cube_roots(checked)), _neighbour_pairs(checked))


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
    checked = check_adjacency(adjacency)
    return _divide(_triangles(checked).sum(axis=-1), _neighbour_pairs(checked).sum(axis=-1))


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
    triangles = _triangles(_cube_roots(checked)).sum(axis=-1)
    return _divide(triangles, _neighbour_pairs(checked).sum(axis=-1))


def _cube_roots(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cube roots of weights over the largest weight of each network."""
    largest = weights.max(axis=(-2, -1), keepdims=True)
    return np.asarray(np.cbrt(weights / np.where(largest > 0, largest, 1.0)))


def _triangles(network: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the diagonal of the third power: closed walks of three steps."""
    return np.asarray(((network @ network) * network).sum(axis=-1))


def _neighbour_pairs(network: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the number of ordered pairs of neighbours of each region."""
    n_neighbours = (network > 0).sum(axis=-1)
    return np.asarray(n_neighbours * (n_neighbours - 1), dtype=np.float64)


def _divide(amount: NDArray[np.float64], pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return amount / pairs, 0 where there are no pairs."""
    return np.asarray(np.where(pairs > 0, amount, 0.0) / np.where(pairs > 0, pairs, 1.0))
