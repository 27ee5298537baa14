"""How much of the network's traffic or influence passes through each region."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet._network import check_adjacency, check_weights
from brainnet.metrics.paths import count_hops, edge_lengths, floyd_warshall

TIE_TOLERANCE = 1e-10
"""Two path lengths that differ by a smaller share of their length are tied."""

EIGENVALUE_TOLERANCE = 1e-9
"""Eigenvalues within this share of the largest are equal to it."""


def betweenness_binary(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of shortest paths between other regions that pass through each region.

    .. math:: b_i = \frac{1}{(n-1)(n-2)}
              \sum_{h \ne j,\; h, j \ne i} \frac{\rho_{hj}(i)}{\rho_{hj}}

    where :math:`\rho_{hj}` counts the shortest paths from h to j, and :math:`\rho_{hj}(i)` those
    through i. The path with the fewest edges is the shortest; all tied paths count.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

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
    checked = check_adjacency(adjacency)
    hops = count_hops(checked)
    last = int(hops[np.isfinite(hops)].max())
    n_paths = np.broadcast_to(np.eye(checked.shape[-1]), checked.shape).copy()  # from s, to i
    for step in range(1, last + 1):
        arriving = np.where(hops == step - 1, n_paths, 0.0) @ checked
        n_paths += np.where(hops == step, arriving, 0.0)
    dependency = np.zeros(checked.shape)  # of source s on region i
    for step in range(last, 0, -1):
        share = np.zeros(checked.shape)
        np.divide(1 + dependency, n_paths, out=share, where=hops == step)
        dependency += np.where(hops == step - 1, (share @ checked) * n_paths, 0.0)
    return _share_of_pairs(dependency)


def betweenness_weighted(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of shortest weighted paths between others through each region.

    As ``betweenness_binary``, with the length of an edge 1/weight. All tied paths count; lengths
    are tied if they differ by less than ``TIE_TOLERANCE`` of themselves, so that the order of
    additions does not decide.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1. Unreachable pairs contribute 0; fewer than three regions give NaN.

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
    checked = check_weights(weights)
    flat = checked.reshape(-1, *checked.shape[-2:])
    dependency = np.array([_dependency(edge_lengths(each)) for each in flat])
    return _share_of_pairs(dependency.reshape(checked.shape))


def eigenvector_centrality(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the leading eigenvector of each network.

    .. math:: W v = \lambda_{\max} v, \quad v_i \ge 0, \quad \sum_i v_i^2 = 1

    Where several eigenvectors share the largest eigenvalue (equal pieces of a disconnected
    network), the projection of the constant vector on them: what power iteration from equal
    values tends to. The result then still follows the regions when these are reordered.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal; zeros and ones for the binary centrality.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1. Regions outside the leading piece of a disconnected network are 0; a network
        without edges gives NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Bonacich (1972), J Math Sociol 2:113-120.

    Examples
    --------
    >>> eigenvector_centrality([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(4)
    array([0.5   , 0.7071, 0.5   ])
    """
    checked = check_weights(weights)
    largest = checked.max(axis=(-2, -1), keepdims=True)
    values, vectors = np.linalg.eigh(checked / np.where(largest > 0, largest, 1.0))
    leading = values >= values[..., -1:] * (1 - EIGENVALUE_TOLERANCE)
    weight = np.where(leading, vectors.sum(axis=-2), 0.0)
    projected = np.maximum((vectors @ weight[..., None])[..., 0], 0.0)
    projected[projected < 1e-12] = 0.0
    norm = np.linalg.norm(projected, axis=-1, keepdims=True)
    return np.asarray(projected / np.where(largest[..., 0] > 0, norm, np.nan))


def _dependency(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much each source (row) depends on each region in one network, for all sources."""
    distances = floyd_warshall(lengths)
    order = np.argsort(distances, axis=-1, kind="stable")
    sources = np.arange(len(lengths))
    n_paths = np.eye(len(lengths))
    for nearer in order.T[1:]:  # one region per source, from near to far
        steps = _last_steps(distances, lengths, nearer)
        n_paths[sources, nearer] = (steps * n_paths).sum(axis=-1)
    dependency = np.zeros(lengths.shape)
    for farther in order.T[:0:-1]:
        steps = _last_steps(distances, lengths, farther)
        arriving = np.maximum(n_paths[sources, farther], 1.0)  # no path: no steps either
        share = (1 + dependency[sources, farther]) / arriving
        dependency += steps * n_paths * share[:, None]
    return dependency


def _last_steps(
    distances: NDArray[np.float64], lengths: NDArray[np.float64], targets: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Return, per source, from which regions a shortest path steps to that source's target."""
    reach = distances[np.arange(len(targets)), targets][:, None]
    shortest = distances + lengths[targets] <= reach * (1 + TIE_TOLERANCE)
    return np.asarray(shortest & (distances < reach) & np.isfinite(reach))


def _share_of_pairs(dependency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over sources other than the region itself, over the pairs of others."""
    n_regions = dependency.shape[-1]
    diagonal = np.arange(n_regions)
    dependency[..., diagonal, diagonal] = 0.0
    pairs = (n_regions - 1) * (n_regions - 2) if n_regions > 2 else np.nan
    return np.asarray(dependency.sum(axis=-2) / pairs)
