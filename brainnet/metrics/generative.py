"""Networks grown edge by edge from distances and a rule of wiring, and how lifelike they are."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_weights
from brainnet.metrics._compile import over_networks
from brainnet.metrics._growth import RULES, grow_edges
from brainnet.metrics._random import Rng, draw_seeds
from brainnet.metrics.betweenness import betweenness_binary
from brainnet.metrics.clustering import clustering_binary


def grow(
    distances: ArrayLike,
    n_edges: int,
    *,
    eta: ArrayLike,
    gamma: ArrayLike = 1.0,
    rule: str = "matching",
    initial: ArrayLike | None = None,
    n_networks: int = 1,
    rng: Rng = 0,
) -> NDArray[np.bool_]:
    r"""Return networks grown edge by edge, near and alike regions being connected more often.

    Each new edge is drawn among the pairs that have none, with probability in proportion to

    .. math:: P_{ij} \propto d_{ij}^\eta \, (K_{ij} + \epsilon)^\gamma, \quad \epsilon = 10^{-6}

    where K, which is taken anew after every edge, is by rule

    - ``spatial``: 1;
    - ``neighbours``: the number of common neighbours;
    - ``matching``: their number over that of the neighbours of either, twice for those of both,
      i and j not counted: :math:`2 |N_i \cap N_j| / (k_i + k_j - 2 a_{ij})`;
    - ``clustering_`` or ``degree_``, with ``average``, ``minimum``, ``maximum``, ``difference``
      (absolute) or ``product``: of the clustering coefficients or degrees of i and j.

    Parameters
    ----------
    distances : (n_regions, n_regions) array
        Symmetric, zero diagonal, positive elsewhere. For a law :math:`e^{\eta d}` of distance,
        pass ``numpy.exp(distances)`` with the diagonal set to 0.
    n_edges : int
        Of the grown network, those it starts with included.
    eta : float or array
        Exponent of distance; negative makes long edges rare.
    gamma : float or array
        Exponent of likeness; of the shape of ``eta``, or one number. ``spatial`` ignores it.
    rule : str, optional
        One of ``RULES``.
    initial : (n_regions, n_regions) array, optional
        Boolean or 0 and 1, symmetric: edges to start with.
    n_networks : int, optional
        Per pair of exponents.
    rng : int or Generator, optional
        The first networks are the same however many are drawn.

    Returns
    -------
    (..., n_networks, n_regions, n_regions) boolean array
        Symmetric, zero diagonal; its first axes are those of ``eta``.

    Raises
    ------
    ValueError
        If an argument breaks a rule above, or the probabilities are too large or small for
        floating point numbers.

    References
    ----------
    Betzel et al. (2016), NeuroImage 124:1054-1064.

    Examples
    --------
    >>> place = np.arange(30.0)
    >>> distances = np.abs(place[:, None] - place)
    >>> networks = grow(distances, 60, eta=[-4.0, 0.0], rule="spatial")
    >>> networks.shape
    (2, 1, 30, 30)
    >>> lengths = (networks * distances).sum(axis=(-2, -1)) / networks.sum(axis=(-2, -1))
    >>> bool(lengths[0, 0] < 3 < lengths[1, 0])
    True
    """
    apart = check_weights(distances, name="distances")
    _check_single(apart)
    start = np.zeros(apart.shape, dtype=bool)
    if initial is not None:
        start = check_adjacency(initial, name="initial")
    _check_growth(apart, start, n_edges, rule, n_networks)
    exponents = np.broadcast_arrays(np.asarray(eta, float), np.asarray(gamma, float))
    shape = exponents[0].shape
    seeds = np.moveaxis(draw_seeds(rng, (n_networks, *shape)), 0, -1)
    both = np.stack(exponents, axis=-1)[..., None, :]
    networks = over_networks(
        grow_edges,
        np.broadcast_to(start, (*shape, n_networks, *apart.shape)),
        np.broadcast_to(both, (*shape, n_networks, 2)),
        np.ascontiguousarray(seeds)[..., None],
        shape=apart.shape,
        dtype=bool,
        constants=(apart, int(n_edges), RULES.index(rule)),
    )
    if (networks.sum(axis=(-2, -1)) != 2 * n_edges).any():
        raise ValueError(
            f"eta and gamma must give probabilities within floating point range; got {eta!r} and "
            f"{gamma!r} for distances up to {apart.max():.6g}. Pass smaller exponents, or divide "
            "the distances by their mean."
        )
    return networks


def energy(networks: ArrayLike, grown: ArrayLike, distances: ArrayLike) -> NDArray[np.float64]:
    r"""Return how unlike grown networks are to real ones: the largest of four differences.

    .. math:: E = \max(KS_k, KS_c, KS_b, KS_d)

    See ``energy_terms``.

    Parameters
    ----------
    networks, grown : (..., n_regions, n_regions) arrays
        Boolean or 0 and 1, symmetric, zero diagonal; their leading axes are broadcast.
    distances : (n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.

    Returns
    -------
    (...) array
        From 0 (alike) to 1; NaN if a network has no edge.

    Raises
    ------
    ValueError
        If an array is not square and symmetric with a zero diagonal, or the shapes do not fit.

    References
    ----------
    Betzel et al. (2016), NeuroImage 124:1054-1064.

    Examples
    --------
    >>> path = np.eye(4, k=1) + np.eye(4, k=-1)
    >>> place = np.arange(4.0)
    >>> float(energy(path, path, np.abs(place[:, None] - place)))
    0.0
    """
    return np.asarray(energy_terms(networks, grown, distances).max(axis=-1))


def energy_terms(
    networks: ArrayLike, grown: ArrayLike, distances: ArrayLike
) -> NDArray[np.float64]:
    r"""Return how grown networks differ from real ones in four distributions.

    The Kolmogorov-Smirnov statistics, the largest differences between cumulative distributions,
    of degree, clustering coefficient and betweenness over regions and of length over edges.

    Parameters
    ----------
    networks, grown : (..., n_regions, n_regions) arrays
        Boolean or 0 and 1, symmetric, zero diagonal; their leading axes are broadcast.
    distances : (n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.

    Returns
    -------
    (..., 4) array
        Of degree, clustering, betweenness, length; from 0 to 1. Length is NaN if a network has no
        edge.

    Raises
    ------
    ValueError
        If an array is not square and symmetric with a zero diagonal, or the shapes do not fit.

    References
    ----------
    Betzel et al. (2016), NeuroImage 124:1054-1064.

    Examples
    --------
    >>> path = np.eye(4, k=1) + np.eye(4, k=-1)
    >>> ring = np.roll(np.eye(4), 1, axis=0) + np.roll(np.eye(4), -1, axis=0)
    >>> place = np.arange(4.0)
    >>> energy_terms(path, ring, np.abs(place[:, None] - place))
    array([0.5 , 0.  , 0.5 , 0.25])
    """
    apart = check_weights(distances, name="distances")
    _check_single(apart)
    real, made = check_adjacency(networks, name="networks"), check_adjacency(grown, name="grown")
    if {real.shape[-1], made.shape[-1]} != {apart.shape[-1]}:
        raise ValueError(
            f"networks, grown and distances must have as many regions; got {real.shape[-1]}, "
            f"{made.shape[-1]} and {apart.shape[-1]}. Pass networks of the same atlas."
        )
    ours, theirs = _distributions(real, apart), _distributions(made, apart)
    shape = np.broadcast_shapes(real.shape[:-2], made.shape[:-2])
    first = np.broadcast_to(np.arange(len(ours)).reshape(real.shape[:-2]), shape).ravel()
    second = np.broadcast_to(np.arange(len(theirs)).reshape(made.shape[:-2]), shape).ravel()
    terms = [
        [_largest_difference(x, y) for x, y in zip(ours[i], theirs[j], strict=True)]
        for i, j in zip(first, second, strict=True)
    ]
    return np.array(terms).reshape(*shape, 4)


def _distributions(
    networks: NDArray[np.bool_], distances: NDArray[np.float64]
) -> list[tuple[NDArray[Any], ...]]:
    """Return the four sorted samples of each network."""
    flat = networks.reshape(-1, *networks.shape[-2:])
    per_region = (
        flat.sum(axis=-1),
        clustering_binary(flat).round(12),  # equal shares, whatever their rounding
        betweenness_binary(flat).round(10),
    )
    upper = np.triu_indices(networks.shape[-1], 1)
    lengths = [np.sort(distances[upper][network[upper]]) for network in flat]
    degree, clustering, betweenness = (np.sort(each, axis=-1) for each in per_region)
    return list(zip(degree, clustering, betweenness, lengths, strict=True))


def _largest_difference(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return the Kolmogorov-Smirnov statistic of two sorted samples."""
    if len(first) == 0 or len(second) == 0:
        return np.nan
    both = np.concatenate([first, second])
    below = np.searchsorted(first, both, side="right") / len(first)
    other = np.searchsorted(second, both, side="right") / len(second)
    return float(np.abs(below - other).max())


def _check_single(distances: NDArray[np.float64]) -> None:
    """Raise unless the distances are one matrix."""
    if distances.ndim != 2:
        raise ValueError(
            f"distances must be (n_regions, n_regions); got shape {distances.shape}. "
            "Pass one matrix for all networks."
        )


def _check_growth(
    distances: NDArray[np.float64],
    initial: NDArray[np.bool_],
    n_edges: int,
    rule: str,
    n_networks: int,
) -> None:
    """Raise unless a network can be grown so."""
    n_regions = len(distances)
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}; got {rule!r}.")
    if (distances + np.eye(n_regions) <= 0).any():
        raise ValueError(
            "distances must be positive between different regions; got 0. "
            "Move regions of one place apart first."
        )
    if initial.shape != distances.shape:
        raise ValueError(
            f"initial must be of shape {distances.shape}; got {initial.shape}. "
            "Pass one network to start all with."
        )
    fewest, most = int(initial.sum()) // 2, n_regions * (n_regions - 1) // 2
    if int(n_edges) != n_edges or not fewest <= n_edges <= most:
        raise ValueError(
            f"n_edges must be a whole number from {fewest} (those of initial) to {most}; got "
            f"{n_edges}. Pass the number of edges of the network to be modelled."
        )
    if int(n_networks) != n_networks or n_networks < 1:
        raise ValueError(f"n_networks must be a whole number, at least 1; got {n_networks}.")
