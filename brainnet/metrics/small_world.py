"""How far a network is both clustered like a lattice and short like a random network."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_weights
from brainnet.metrics._random import Rng, draw_seeds
from brainnet.metrics.clustering import clustering_binary, clustering_weighted
from brainnet.metrics.normalized import (
    normalized_clustering_binary,
    normalized_clustering_weighted,
    normalized_path_length_binary,
    normalized_path_length_weighted,
)
from brainnet.metrics.nulls import latticize, rewire
from brainnet.metrics.paths import (
    characteristic_path_length_binary,
    characteristic_path_length_weighted,
)

Measure = Callable[[NDArray[Any]], NDArray[np.float64]]


def small_world_sigma_binary(
    adjacency: ArrayLike, *, n_nulls: int = 20, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[np.float64]:
    r"""Return the small-world index: normalised clustering over normalised path length.

    .. math:: \sigma = \frac{C / \langle C_\text{rand} \rangle}
                            {L / \langle L_\text{rand} \rangle}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    n_nulls : int, optional
        Random networks with the same degrees, of ``nulls.rewire``, per network.
    swaps_per_edge : float, optional
        How thoroughly these are rewired.
    rng : int or Generator, optional
        What they are drawn with.

    Returns
    -------
    (...) array
        Above 1 for a small world; it grows with the number of regions. NaN where one of the
        four is 0 or not defined.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN, or ``n_nulls`` or
        ``swaps_per_edge`` is out of range.

    References
    ----------
    Humphries and Gurney (2008), PLoS ONE 3:e2051.

    Examples
    --------
    >>> two_cliques = np.kron(np.eye(2), np.ones((6, 6)))
    >>> two_cliques[0, 11] = two_cliques[11, 0] = 1
    >>> bool(small_world_sigma_binary(two_cliques - np.eye(12)) > 1.2)
    True
    """
    checked = check_adjacency(adjacency)
    nulls = rewire(checked, n_nulls=n_nulls, swaps_per_edge=swaps_per_edge, rng=rng)
    gamma = normalized_clustering_binary(checked, nulls)
    return np.asarray(gamma / normalized_path_length_binary(checked, nulls))


def small_world_sigma_weighted(
    weights: ArrayLike, *, n_nulls: int = 20, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[np.float64]:
    r"""Return the small-world index of weighted clustering and weighted path length.

    As ``small_world_sigma_binary``; rewired edges keep their weights.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    n_nulls, swaps_per_edge, rng
        As ``small_world_sigma_binary`` takes them.

    Returns
    -------
    (...) array
        Above 1 for a small world. NaN where clustering or path length is 0 or not defined.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, or
        ``n_nulls`` or ``swaps_per_edge`` is out of range.

    References
    ----------
    Humphries and Gurney (2008), PLoS ONE 3:e2051.

    Examples
    --------
    >>> two_cliques = np.kron(np.eye(2), np.ones((6, 6)))
    >>> two_cliques[0, 11] = two_cliques[11, 0] = 0.5
    >>> bool(small_world_sigma_weighted(two_cliques - np.eye(12)) > 1.2)
    True
    """
    checked = check_weights(weights)
    nulls = rewire(checked, n_nulls=n_nulls, swaps_per_edge=swaps_per_edge, rng=rng)
    gamma = normalized_clustering_weighted(checked, nulls)
    return np.asarray(gamma / normalized_path_length_weighted(checked, nulls))


def small_world_omega_binary(
    adjacency: ArrayLike, *, n_nulls: int = 20, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[np.float64]:
    r"""Return where a network stands between a lattice and a random network.

    .. math:: \omega = \frac{\langle L_\text{rand} \rangle}{L}
                     - \frac{C}{\langle C_\text{latt} \rangle}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    n_nulls : int, optional
        Random networks (``nulls.rewire``) and lattices (``nulls.latticize``) with the same
        degrees, per network.
    swaps_per_edge : float, optional
        How thoroughly these are rewired.
    rng : int or Generator, optional
        What they are drawn with.

    Returns
    -------
    (...) array
        About 0 for a small world, towards -1 for a lattice and towards 1 for a random network.
        NaN where a path length or the lattices' clustering is 0 or not defined.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN, or ``n_nulls`` or
        ``swaps_per_edge`` is out of range.

    References
    ----------
    Telesford et al. (2011), Brain Connect 1:367-375.

    Examples
    --------
    >>> apart = abs(np.subtract.outer(np.arange(40), np.arange(40)))
    >>> ring = np.isin(apart, [1, 2, 38, 39])
    >>> bool(small_world_omega_binary(ring) < -0.3)
    True
    """
    checked = check_adjacency(adjacency)
    first, second = np.random.default_rng(rng).spawn(2)  # one network's do not depend on others
    random = rewire(checked, n_nulls=n_nulls, swaps_per_edge=swaps_per_edge, rng=first)
    lattice = latticize(checked, n_nulls=n_nulls, swaps_per_edge=swaps_per_edge, rng=second)
    shortness = 1 / normalized_path_length_binary(checked, random)
    return np.asarray(shortness - normalized_clustering_binary(checked, lattice))


def small_world_omega_weighted(
    weights: ArrayLike, *, n_nulls: int = 20, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[np.float64]:
    r"""Return where a weighted network stands between a lattice and a random network.

    As ``small_world_omega_binary``; rewired edges keep their weights.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    n_nulls, swaps_per_edge, rng
        As ``small_world_omega_binary`` takes them.

    Returns
    -------
    (...) array
        About 0 for a small world, towards -1 for a lattice and towards 1 for a random network.
        NaN where a path length or the lattices' clustering is 0 or not defined.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, or
        ``n_nulls`` or ``swaps_per_edge`` is out of range.

    References
    ----------
    Telesford et al. (2011), Brain Connect 1:367-375.

    Examples
    --------
    >>> apart = abs(np.subtract.outer(np.arange(40), np.arange(40)))
    >>> ring = 0.5 * np.isin(apart, [1, 2, 38, 39])
    >>> bool(small_world_omega_weighted(ring) < -0.3)
    True
    """
    checked = check_weights(weights)
    first, second = np.random.default_rng(rng).spawn(2)  # one network's do not depend on others
    random = rewire(checked, n_nulls=n_nulls, swaps_per_edge=swaps_per_edge, rng=first)
    lattice = latticize(checked, n_nulls=n_nulls, swaps_per_edge=swaps_per_edge, rng=second)
    shortness = 1 / normalized_path_length_weighted(checked, random)
    return np.asarray(shortness - normalized_clustering_weighted(checked, lattice))


def small_world_propensity_binary(
    adjacency: ArrayLike, *, n_nulls: int = 20, rng: Rng = 0
) -> NDArray[np.float64]:
    r"""Return how close clustering is to a lattice's and path length to a random network's.

    .. math:: \phi = 1 - \sqrt{\frac{\Delta_C^2 + \Delta_L^2}{2}}, \quad
              \Delta_C = \frac{C_\text{latt} - C}{C_\text{latt} - C_\text{rand}}, \quad
              \Delta_L = \frac{L - L_\text{rand}}{L_\text{latt} - L_\text{rand}}

    with both deviations kept within 0 and 1. The lattice has the edges between the nearest
    regions of a ring (those of the last distance drawn at random), the random network has them
    anywhere; C and L are means over ``n_nulls`` of each, where the authors' program draws one.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    n_nulls : int, optional
        Lattices and random networks per network.
    rng : int or Generator, optional
        What they are drawn with.

    Returns
    -------
    (...) array
        From 0 to 1; small worlds are above about 0.6. NaN where the lattice is not more clustered
        and longer than the random network, as in the complete and in very sparse networks. In
        path lengths, pairs of regions without a path are left out.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN, or ``n_nulls`` is
        below 1.

    References
    ----------
    Muldoon et al. (2016), Sci Rep 6:22057.

    Examples
    --------
    >>> apart = abs(np.subtract.outer(np.arange(40), np.arange(40)))
    >>> ring = np.isin(apart, [1, 2, 38, 39])
    >>> float(small_world_propensity_binary(ring).round(4))  # a lattice: clustered, but long
    0.2929
    """
    checked = check_adjacency(adjacency)
    return _propensity(checked, clustering_binary, characteristic_path_length_binary, n_nulls, rng)


def small_world_propensity_weighted(
    weights: ArrayLike, *, n_nulls: int = 20, rng: Rng = 0
) -> NDArray[np.float64]:
    r"""Return how close weighted clustering and path length are to a lattice and to chance.

    As ``small_world_propensity_binary``, where the strongest edges of the lattice join the
    nearest regions of the ring (in random order at each distance), and weights are shuffled in
    the random network.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    n_nulls, rng
        As ``small_world_propensity_binary`` takes them.

    Returns
    -------
    (...) array
        From 0 to 1; small worlds are above about 0.6. NaN where the lattice is not more clustered
        and longer than the random network.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, or
        ``n_nulls`` is below 1.

    References
    ----------
    Muldoon et al. (2016), Sci Rep 6:22057.

    Examples
    --------
    >>> apart = abs(np.subtract.outer(np.arange(40), np.arange(40)))
    >>> ring = 0.5 * np.isin(apart, [1, 2, 38, 39])
    >>> float(small_world_propensity_weighted(ring).round(4))
    0.2929
    """
    checked = check_weights(weights)
    return _propensity(
        checked, clustering_weighted, characteristic_path_length_weighted, n_nulls, rng
    )


def _propensity(
    networks: NDArray[Any], clustering: Measure, length: Measure, n_nulls: int, rng: Rng
) -> NDArray[np.float64]:
    """Return the small-world propensity by given measures of clustering and length."""
    if n_nulls < 1:
        raise ValueError(f"n_nulls must be at least 1; got {n_nulls}. The default is 20.")
    flat = networks.reshape(-1, *networks.shape[-2:])
    seeds = draw_seeds(rng, (len(flat),))
    result = np.empty(len(flat))
    for i, network in enumerate(flat):
        random, lattice = _shuffled_and_lattice(network, n_nulls, seeds[i])
        kinds = (network, random, lattice)
        c, c_random, c_lattice = (clustering(each).mean() for each in kinds)
        d, d_random, d_lattice = (length(each).mean() for each in kinds)
        by_clustering = _deviation(c_lattice - c, c_lattice - c_random, c_lattice)
        by_length = _deviation(d - d_random, d_lattice - d_random, d_lattice)
        result[i] = 1 - np.sqrt((by_clustering**2 + by_length**2) / 2)
    return result.reshape(networks.shape[:-2])


def _deviation(gap: float, span: float, scale: float) -> float:
    """Return the gap as a share of the span from 0 to 1, NaN if there is no span."""
    if not span > 1e-12 * scale:
        return np.nan
    return float(np.clip(gap / span, 0.0, 1.0))


def _shuffled_and_lattice(
    network: NDArray[Any], n_nulls: int, seed: np.uint64
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return networks of the same weights: anywhere, and the strongest nearest on a ring."""
    generator = np.random.default_rng(seed)
    n = len(network)
    rows, columns = np.triu_indices(n, 1)
    edges = np.broadcast_to(network[rows, columns], (n_nulls, len(rows)))
    around = np.minimum(columns - rows, n - columns + rows)
    nearest = np.argsort(around + generator.random(edges.shape), axis=-1)
    ordered = np.empty(edges.shape, dtype=network.dtype)
    np.put_along_axis(ordered, nearest, np.sort(edges, axis=-1)[:, ::-1], axis=-1)
    result = np.zeros((2, n_nulls, n, n), dtype=network.dtype)
    for kind, values in enumerate((generator.permuted(edges, axis=-1), ordered)):
        result[kind][:, rows, columns] = values
        result[kind][:, columns, rows] = values
    return result[0], result[1]
