"""How efficiently each network, and the neighbourhood of each region, is joined by short paths."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet._network import check_adjacency, check_weights
from brainnet.metrics.paths import count_hops, edge_lengths, floyd_warshall


def global_efficiency(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the mean inverse shortest-path length of each network.

    .. math:: E = \frac{1}{n(n-1)} \sum_{i \ne j} d_{ij}^{-1}

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The length of an edge is 1/weight.

    Returns
    -------
    (...) array
        In units of ``weights``. Unreachable pairs contribute 0; a single region gives NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Latora and Marchiori (2001), Phys Rev Lett 87:198701.

    Examples
    --------
    >>> float(global_efficiency([[0, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0]]).round(4))
    0.4167
    """
    return mean_inverse(floyd_warshall(edge_lengths(check_weights(weights))))


def global_efficiency_binary(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the mean inverse number of edges on shortest paths of each network.

    .. math:: E = \frac{1}{n(n-1)} \sum_{i \ne j} d_{ij}^{-1}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (...) array
        From 0 (no edge) to 1 (complete). Unreachable pairs contribute 0; a single region gives
        NaN.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Latora and Marchiori (2001), Phys Rev Lett 87:198701.

    Examples
    --------
    >>> float(global_efficiency_binary([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(4))
    0.8333
    """
    return mean_inverse(count_hops(check_adjacency(adjacency)))


def local_efficiency_binary(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the global efficiency of the neighbours of each region.

    .. math:: E_i = \frac{1}{k_i(k_i-1)} \sum_{j \ne h \in N_i} d_{jh}^{-1}(N_i)

    where :math:`d_{jh}(N_i)` counts the edges between j and h by way of neighbours of i only,
    i itself left out.

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
    Latora and Marchiori (2001), Phys Rev Lett 87:198701.

    Examples
    --------
    >>> local_efficiency_binary([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    array([1., 1., 1.])
    """
    checked = check_adjacency(adjacency)
    flat = checked.reshape(-1, *checked.shape[-2:])
    return np.array([_local_binary(each) for each in flat]).reshape(checked.shape[:-1])


def local_efficiency_weighted(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the weighted efficiency of the neighbours of each region.

    .. math:: E_i = \frac{1}{k_i(k_i-1)}
              \sum_{j \ne h \in N_i} \bigl(w_{ij} w_{ih} d_{jh}^{-1}(N_i)\bigr)^{1/3}

    where :math:`d_{jh}(N_i)` is the length of the shortest path from j to h by way of neighbours
    of i only, and the length of an edge is 1/weight. This is the definition of Rubinov and
    Sporns (2010), with their sum over ordered pairs; the Brain Connectivity Toolbox calls it
    ``original``. With weights of 0 and 1 only, it differs from the binary one: the cube root acts
    on paths longer than one edge.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``; a region with fewer than two neighbours is 0.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> local_efficiency_weighted([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    array([0.5, 0.5, 0.5])
    """
    checked = check_weights(weights)
    flat = checked.reshape(-1, *checked.shape[-2:])
    return np.array([_local_weighted(each) for each in flat]).reshape(checked.shape[:-1])


def mean_inverse(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of 1/distance over pairs of different regions.

    Parameters
    ----------
    distances : (..., n_regions, n_regions) array
        Zero diagonal, infinity where no path leads.

    Returns
    -------
    (...) array
        In units of 1/``distances``; a single region gives NaN.

    Examples
    --------
    >>> float(mean_inverse(np.array([[0, 2.0], [2.0, 0]])))
    0.5
    """
    n_regions = distances.shape[-1]
    return np.asarray(
        inverse(distances).sum(axis=(-2, -1)) / (n_regions * (n_regions - 1) or np.nan)
    )


def inverse(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1/distance, 0 on the diagonal and where no path leads.

    Parameters
    ----------
    distances : (..., n_regions, n_regions) array
        Zero diagonal, infinity where no path leads.

    Returns
    -------
    (..., n_regions, n_regions) array
        In units of 1/``distances``.

    Examples
    --------
    >>> inverse(np.array([[0, 2.0], [2.0, 0]]))
    array([[0. , 0.5],
           [0.5, 0. ]])
    """
    result = np.zeros(distances.shape)
    np.divide(1.0, distances, out=result, where=distances > 0)
    return result


def _local_binary(adjacency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the local efficiency of one boolean network."""
    result = np.zeros(len(adjacency))
    for i, row in enumerate(adjacency):
        near = np.flatnonzero(row)
        if len(near) > 1:
            result[i] = mean_inverse(count_hops(adjacency[np.ix_(near, near)]))
    return result


def _local_weighted(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the local efficiency of one weighted network."""
    result = np.zeros(len(weights))
    lengths = edge_lengths(weights)
    for i, row in enumerate(weights):
        near = np.flatnonzero(row)
        if len(near) > 1:
            closeness = np.cbrt(inverse(floyd_warshall(lengths[np.ix_(near, near)])))
            ties = np.cbrt(row[near])
            result[i] = ties @ closeness @ ties / (len(near) * (len(near) - 1))
    return result
