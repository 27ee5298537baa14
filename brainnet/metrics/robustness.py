"""What the loss of a region costs, how regions are ranked, and how easily they synchronise."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

from brainnet.metrics._checks import check_adjacency, check_weights
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics.clustering import clustering_binary, clustering_weighted
from brainnet.metrics.efficiency import mean_inverse
from brainnet.metrics.paths import edge_lengths, floyd_warshall


def vulnerability_binary(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of its global efficiency that a network loses without each region.

    .. math:: V_i = \frac{E - E_i}{E}

    where E is the global efficiency of the network, and :math:`E_i` that of the network of the
    other regions.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions) array
        At most 1; negative where the others are better joined on average, as without an isolated
        region. Fewer than three regions or no edge give NaN.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Latora and Marchiori (2005), Phys Rev E 71:015103.

    Examples
    --------
    >>> vulnerability_binary([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(4)
    array([-0.2,  1. , -0.2])
    """
    return _vulnerability(edge_lengths(check_adjacency(adjacency).astype(np.float64)))


def vulnerability_weighted(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of its weighted global efficiency that a network loses without each region.

    As ``vulnerability_binary``; the length of an edge is 1/weight.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.

    Returns
    -------
    (..., n_regions) array
        At most 1; negative where the others are better joined on average. Fewer than three
        regions or no edge give NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Latora and Marchiori (2005), Phys Rev E 71:015103.

    Examples
    --------
    >>> vulnerability_weighted([[0, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0]]).round(4)
    array([-0.2,  1. , -0.2])
    """
    return _vulnerability(edge_lengths(check_weights(weights)))


def hierarchy_binary(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return how steeply the clustering of regions falls with their degree.

    .. math:: C_i \sim k_i^{-\beta}

    by least squares of log C on log k, over regions with at least two neighbours and a triangle.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (...) array
        :math:`\beta`: about 1 in deterministic hierarchical networks, 0 in random ones, negative
        if hubs are the most clustered. NaN if fewer than two different degrees are left.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Ravasz and Barabási (2003), Phys Rev E 67:026112.

    Examples
    --------
    >>> bow_tie = [[0, 1, 1, 1, 1], [1, 0, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 1],
    ...            [1, 0, 0, 1, 0]]
    >>> float(hierarchy_binary(bow_tie).round(4))
    1.585
    """
    checked = check_adjacency(adjacency)
    return _falling_slope(checked.sum(axis=-1, dtype=np.float64), clustering_binary(checked))


def hierarchy_weighted(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return how steeply the weighted clustering of regions falls with their strength.

    As ``hierarchy_binary``, of ``clustering_weighted`` and strength.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.

    Returns
    -------
    (...) array
        :math:`\beta`, negative if hubs are the most clustered. NaN if fewer than two different
        strengths are left.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Ravasz and Barabási (2003), Phys Rev E 67:026112.

    Examples
    --------
    >>> bow_tie = np.zeros((5, 5))
    >>> bow_tie[0, 1:] = bow_tie[1:, 0] = 0.5
    >>> bow_tie[[1, 2, 3, 4], [2, 1, 4, 3]] = 0.5
    >>> float(hierarchy_weighted(bow_tie).round(4))
    1.585
    """
    checked = check_weights(weights)
    return _falling_slope(checked.sum(axis=-1), clustering_weighted(checked))


def synchronizability(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the ratio of the smallest to the largest rate at which regions come into step.

    .. math:: S = \frac{\lambda_2}{\lambda_n}, \quad
              \operatorname{diag}\Bigl(\sum_j w_{ij}\Bigr) - W \text{ having the eigenvalues }
              0 = \lambda_1 \le \lambda_2 \le \dots \le \lambda_n

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal; zeros and ones for the binary measure. The scale
        does not matter.

    Returns
    -------
    (...) array
        From 0 (disconnected) to 1 (complete, all weights equal): the higher, the more easily the
        network synchronises. A single region gives NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Barahona and Pecora (2002), Phys Rev Lett 89:054101.

    Examples
    --------
    >>> float(synchronizability([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(4))
    0.3333
    """
    checked = check_weights(weights)
    if checked.shape[-1] == 1:
        return np.full(checked.shape[:-2], np.nan)
    flat = checked.reshape(-1, *checked.shape[-2:])
    joined = np.array([connected_components(each)[0] == 1 for each in flat])
    result = np.zeros(len(flat))
    for i in np.flatnonzero(joined):
        values = np.linalg.eigvalsh(np.diag(flat[i].sum(axis=-1)) - flat[i])
        result[i] = np.clip(values[1] / values[-1], 0.0, 1.0)
    return result.reshape(checked.shape[:-2])


def _vulnerability(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of efficiency lost without each region, given the lengths of edges."""
    n = lengths.shape[-1]
    if n < 3:
        return np.full(lengths.shape[:-1], np.nan)
    whole = mean_inverse(floyd_warshall(lengths))[..., None]
    without = over_networks(_efficiency_without_each, lengths, shape=lengths.shape[-1:])
    return np.asarray((whole - without) / np.where(whole > 0, whole, np.nan))


def _falling_slope(amount: NDArray[Any], value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return minus the slope of log value on log amount, over regions where value is not 0."""
    used = value > 0
    n_used = np.maximum(used.sum(axis=-1, keepdims=True), 1)
    x = np.log(np.where(used, amount, 1.0))
    y = np.log(np.where(used, value, 1.0))
    x = np.where(used, x - x.sum(axis=-1, keepdims=True) / n_used, 0.0)
    spread = (x**2).sum(axis=-1)
    enough = spread > 1e-20 * n_used[..., 0]
    return np.asarray(-(x * y).sum(axis=-1) / np.where(enough, spread, np.nan))


@kernel
def _efficiency_without_each(lengths, out):  # type: ignore[no-untyped-def]
    """Write the global efficiency of the other regions for each region that is left out.

    Paths are allowed by way of one half of the regions, then, in a copy, by way of half of the
    other half, and so on until all but one are allowed: n**3 log(n) steps and not n**4.
    """
    n = len(lengths)
    n_levels = 2
    while 1 << (n_levels - 2) < n:
        n_levels += 1
    distances = np.empty((n_levels, n, n))
    distances[0] = lengths
    waiting = [(1, 0, n, n, n)]  # level; regions still left out; regions to allow
    while len(waiting) > 0:
        level, first, last, allow, end = waiting.pop()
        distances[level] = distances[level - 1]
        allow_ways(distances[level], allow, end)
        if last - first == 1:
            out[first] = _mean_inverse_without(distances[level], first)
            continue
        middle = (first + last) // 2
        waiting.append((level + 1, first, middle, middle, last))
        waiting.append((level + 1, middle, last, first, middle))


@kernel
def allow_ways(distances, first, last):  # type: ignore[no-untyped-def]
    """Shorten distances in place by paths by way of a range of regions."""
    n = len(distances)
    for pivot in range(first, last):
        by = distances[pivot].copy()
        for i in range(n):
            row = distances[i]
            to_pivot = row[pivot]
            if to_pivot < np.inf:
                for j in range(n):
                    row[j] = min(row[j], to_pivot + by[j])


@kernel
def _mean_inverse_without(distances, left_out):  # type: ignore[no-untyped-def]
    """Return the mean inverse distance between the regions other than one."""
    n = len(distances)
    total = 0.0
    for i in range(n):
        if i != left_out:
            row = distances[i]
            row[i] = row[left_out] = np.inf
            for j in range(n):
                total += 1.0 / row[j]
    return total / ((n - 1) * (n - 2))
