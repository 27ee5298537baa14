"""In which order the regions of a network are removed: by centrality, or at random."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_weights
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics._random import Rng, draw_seeds
from brainnet.metrics.betweenness import betweenness_binary, betweenness_weighted

EQUAL_DECIMALS = 10
"""Shares of shortest paths that agree to as many decimals are equal."""


def attack_order(scores: ArrayLike) -> NDArray[np.int64]:
    """Return the regions from the highest to the lowest score, as computed once.

    Parameters
    ----------
    scores : (..., n_regions) array
        Any centrality, for example ``degree`` or ``betweenness_binary``.

    Returns
    -------
    (..., n_regions) integer array
        Of equal regions, the first comes first; those whose score is NaN come last.

    Raises
    ------
    ValueError
        If ``scores`` has no regions.

    References
    ----------
    Albert et al. (2000), Nature 406:378-382.

    Examples
    --------
    >>> attack_order([0.1, 0.7, 0.7, 0.2])
    array([1, 2, 3, 0])
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim == 0 or values.size == 0:
        raise ValueError(
            f"scores must be of shape (..., n_regions); got {values.shape}. "
            "Pass a centrality, for example metrics.degree.degree(adjacency)."
        )
    return np.argsort(-values, axis=-1, kind="stable").astype(np.int64)


def attack_order_random(
    networks: ArrayLike, *, n_orders: int = 100, rng: Rng = 0
) -> NDArray[np.int64]:
    """Return the regions of each network in random orders.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. Only the number of regions counts.
    n_orders : int, optional
        Orders per network.
    rng : int or Generator, optional
        What they are drawn with.

    Returns
    -------
    (..., n_orders, n_regions) integer array

    Raises
    ------
    ValueError
        If ``networks`` is not square or symmetric, or holds NaN, or ``n_orders`` is below 1.

    References
    ----------
    Albert et al. (2000), Nature 406:378-382.

    Examples
    --------
    >>> attack_order_random(np.zeros((4, 4)), n_orders=2).shape
    (2, 4)
    """
    checked = check_weights(networks, name="networks", signed=True)
    if n_orders < 1:
        raise ValueError(f"n_orders must be at least 1; got {n_orders}. The default is 100.")
    leading, n = checked.shape[:-2], checked.shape[-1]
    regions = np.broadcast_to(np.arange(n), (n_orders, n))
    seeds = draw_seeds(rng, leading).reshape(-1)
    orders = [np.random.default_rng(seed).permuted(regions, axis=-1) for seed in seeds]
    return np.array(orders, dtype=np.int64).reshape(*leading, n_orders, n)


def attack_order_degree_recomputed(adjacency: ArrayLike) -> NDArray[np.int64]:
    """Return the regions in the order in which each has the highest degree of those left.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions) integer array
        Of equal regions, the first comes first.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Holme et al. (2002), Phys Rev E 65:056109.

    Examples
    --------
    >>> path = [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    >>> attack_order_degree_recomputed(path)
    array([1, 2, 0, 3])
    """
    edges = check_adjacency(adjacency).astype(np.float64)
    return over_networks(_remove_strongest, edges, shape=edges.shape[-1:], dtype=np.int64)


def attack_order_strength_recomputed(weights: ArrayLike) -> NDArray[np.int64]:
    """Return the regions in the order in which each has the highest strength of those left.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.

    Returns
    -------
    (..., n_regions) integer array
        Of equal regions, the first comes first; strengths are summed anew at each step.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Holme et al. (2002), Phys Rev E 65:056109.

    Examples
    --------
    >>> attack_order_strength_recomputed([[0, 1, 0], [1, 0, 2], [0, 2, 0]])
    array([1, 0, 2])
    """
    checked = check_weights(weights)
    return over_networks(_remove_strongest, checked, shape=checked.shape[-1:], dtype=np.int64)


def attack_order_betweenness_recomputed_binary(adjacency: ArrayLike) -> NDArray[np.int64]:
    """Return the regions in the order in which each has the highest betweenness of those left.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions) integer array
        Of equal regions, the first comes first.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Holme et al. (2002), Phys Rev E 65:056109.

    Examples
    --------
    >>> path = np.diag(np.ones(4), 1) + np.diag(np.ones(4), -1)
    >>> attack_order_betweenness_recomputed_binary(path)
    array([2, 0, 1, 3, 4])
    """
    return _remove_most_between(check_adjacency(adjacency), betweenness_binary)


def attack_order_betweenness_recomputed_weighted(weights: ArrayLike) -> NDArray[np.int64]:
    """Return the regions in the order in which each has the highest weighted betweenness.

    As ``attack_order_betweenness_recomputed_binary``; the length of an edge is 1/weight.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.

    Returns
    -------
    (..., n_regions) integer array
        Of equal regions, the first comes first.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Holme et al. (2002), Phys Rev E 65:056109.

    Examples
    --------
    >>> attack_order_betweenness_recomputed_weighted([[0, 1, 0], [1, 0, 2], [0, 2, 0]])
    array([1, 0, 2])
    """
    return _remove_most_between(check_weights(weights), betweenness_weighted)


def _remove_most_between(
    networks: NDArray[Any], betweenness: Callable[[NDArray[Any]], NDArray[np.float64]]
) -> NDArray[np.int64]:
    """Return the order in which each region has the highest betweenness of those left.

    Regions removed stay as isolated ones, which are between no others.
    """
    left = networks.copy()
    order = np.empty(networks.shape[:-1], dtype=np.int64)
    gone = np.zeros(networks.shape[:-1], dtype=bool)
    for step in range(networks.shape[-1]):
        scores = np.nan_to_num(betweenness(left)).round(EQUAL_DECIMALS)
        removed = np.where(gone, -1.0, scores).argmax(axis=-1)[..., None]
        order[..., step] = removed[..., 0]
        np.put_along_axis(gone, removed, True, axis=-1)
        left[gone] = 0
        np.swapaxes(left, -1, -2)[gone] = 0
    return order


@kernel
def _remove_strongest(weights, out):  # type: ignore[no-untyped-def]
    """Write the regions in the order in which each is the strongest of those left."""
    left = weights.copy()
    gone = np.zeros(len(weights), dtype=np.bool_)
    for step in range(len(weights)):
        strongest, most = -1, -1.0
        for i in range(len(weights)):
            if not gone[i]:
                strength = left[i].sum()
                if strength > most:
                    strongest, most = i, strength
        out[step] = strongest
        gone[strongest] = True
        left[:, strongest] = 0.0
