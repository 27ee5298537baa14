"""How clustered and how long a network is, measured by random networks."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_weights
from brainnet.metrics.clustering import clustering_binary, clustering_weighted
from brainnet.metrics.paths import (
    characteristic_path_length_binary,
    characteristic_path_length_weighted,
)


def normalized_clustering_binary(adjacency: ArrayLike, nulls: ArrayLike) -> NDArray[np.float64]:
    r"""Return the mean clustering coefficient over that of random networks.

    .. math:: \gamma = \frac{C}{\langle C_\text{rand} \rangle}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    nulls : (..., n_nulls, n_regions, n_regions) array
        Random networks of each network, for example ``nulls.rewire(adjacency, n_nulls=20)``.

    Returns
    -------
    (...) array
        Above 1 for a small world. NaN if no random network has a triangle.

    Raises
    ------
    ValueError
        If ``adjacency`` or ``nulls`` is not boolean, square and symmetric, or holds NaN, or their
        shapes do not fit.

    References
    ----------
    Watts and Strogatz (1998), Nature 393:440-442; Humphries and Gurney (2008), PLoS ONE 3:e2051.

    Examples
    --------
    >>> kite = [[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    >>> float(normalized_clustering_binary(kite, [kite]))
    1.0
    """
    checked = check_adjacency(adjacency)
    return _over_mean(_clustering_binary, checked, check_adjacency(nulls, name="nulls"))


def normalized_clustering_weighted(weights: ArrayLike, nulls: ArrayLike) -> NDArray[np.float64]:
    r"""Return the mean weighted clustering coefficient over that of random networks.

    As ``normalized_clustering_binary``, of ``clustering_weighted``.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    nulls : (..., n_nulls, n_regions, n_regions) array
        Random networks of each network, for example ``nulls.rewire(weights, n_nulls=20)``.

    Returns
    -------
    (...) array
        Above 1 for a small world. NaN if no random network has a triangle.

    Raises
    ------
    ValueError
        If ``weights`` or ``nulls`` is not square or symmetric, has a negative entry or holds NaN,
        or their shapes do not fit.

    References
    ----------
    Onnela et al. (2005), Phys Rev E 71:065103; Humphries and Gurney (2008), PLoS ONE 3:e2051.

    Examples
    --------
    >>> kite = [[0, 3, 2, 1], [3, 0, 2, 0], [2, 2, 0, 0], [1, 0, 0, 0]]
    >>> float(normalized_clustering_weighted(kite, [kite]))
    1.0
    """
    checked = check_weights(weights)
    return _over_mean(_clustering_weighted, checked, check_weights(nulls, name="nulls"))


def normalized_path_length_binary(adjacency: ArrayLike, nulls: ArrayLike) -> NDArray[np.float64]:
    r"""Return the characteristic path length over that of random networks.

    .. math:: \lambda = \frac{L}{\langle L_\text{rand} \rangle}

    Parameters
    ----------
    adjacency, nulls
        As ``normalized_clustering_binary`` takes them.

    Returns
    -------
    (...) array
        About 1 for a small world. Pairs of regions without a path are left out, as in
        ``characteristic_path_length``; NaN if there is no other.

    Raises
    ------
    ValueError
        If ``adjacency`` or ``nulls`` is not as ``normalized_clustering_binary`` takes it.

    References
    ----------
    Watts and Strogatz (1998), Nature 393:440-442; Humphries and Gurney (2008), PLoS ONE 3:e2051.

    Examples
    --------
    >>> path = [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    >>> star = [[0, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    >>> float(normalized_path_length_binary(path, [star]).round(4))
    1.1111
    """
    checked = check_adjacency(adjacency)
    return _over_mean(_length_binary, checked, check_adjacency(nulls, name="nulls"))


def normalized_path_length_weighted(weights: ArrayLike, nulls: ArrayLike) -> NDArray[np.float64]:
    r"""Return the characteristic weighted path length over that of random networks.

    As ``normalized_path_length_binary``; the length of an edge is 1/weight.

    Parameters
    ----------
    weights, nulls
        As ``normalized_clustering_weighted`` takes them.

    Returns
    -------
    (...) array
        About 1 for a small world. Pairs of regions without a path are left out; NaN if there is
        no other.

    Raises
    ------
    ValueError
        If ``weights`` or ``nulls`` is not as ``normalized_clustering_weighted`` takes it.

    References
    ----------
    Watts and Strogatz (1998), Nature 393:440-442; Humphries and Gurney (2008), PLoS ONE 3:e2051.

    Examples
    --------
    >>> pair = np.array([[0, 2.0], [2.0, 0]])
    >>> float(normalized_path_length_weighted(pair, [pair / 4]))
    0.25
    """
    checked = check_weights(weights)
    return _over_mean(
        characteristic_path_length_weighted, checked, check_weights(nulls, name="nulls")
    )


def _clustering_binary(adjacency: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean clustering coefficient of each network."""
    return np.asarray(clustering_binary(adjacency).mean(axis=-1))


def _clustering_weighted(weights: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean weighted clustering coefficient of each network."""
    return np.asarray(clustering_weighted(weights).mean(axis=-1))


def _length_binary(adjacency: NDArray[Any]) -> NDArray[np.float64]:
    """Return the characteristic path length of each network."""
    return characteristic_path_length_binary(adjacency)


def _over_mean(
    measure: Callable[[NDArray[Any]], NDArray[np.float64]],
    networks: NDArray[Any],
    nulls: NDArray[Any],
) -> NDArray[np.float64]:
    """Return the measure of each network over its mean of the network's nulls."""
    if nulls.ndim < 3 or nulls.shape[:-3] + nulls.shape[-2:] != networks.shape:
        raise ValueError(
            f"nulls must have one axis more than the networks of shape {networks.shape}, before "
            f"the regions; got shape {nulls.shape}. Use metrics.nulls.rewire(weights, n_nulls=20)."
        )
    by_chance = measure(nulls).mean(axis=-1)
    return np.asarray(measure(networks) / np.where(by_chance > 0, by_chance, np.nan))
