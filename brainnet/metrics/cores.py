"""The densely connected core of each network: k-cores, s-cores, core and periphery."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_weights
from brainnet.metrics._compile import fast_kernel, over_networks

EQUAL = 1e-12
"""Difference, as a share of the largest strength, up to which strengths are the same."""


def coreness(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the largest k for which each region belongs to the k-core.

    The k-core is the largest part of the network whose regions have at least k neighbours within
    it.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions) array
        Whole numbers from 0 (isolated) to ``n_regions - 1`` (complete).

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Seidman (1983), Soc Networks 5:269-287.
    Hagmann et al. (2008), PLoS Biol 6:e159.

    Examples
    --------
    >>> coreness([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]])
    array([2., 2., 2., 1.])
    """
    return _peeled(check_adjacency(adjacency).astype(np.float64))


def coreness_directed(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the largest k for which each region belongs to the k-core of edges either way.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) array
        Whole numbers from 0 to ``2 * (n_regions - 1)``: a region's incoming and outgoing edges
        both count, so that of a symmetric network this is twice ``coreness``. bctpy gives 0 to
        regions of the core that no edge leads to.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Hagmann et al. (2008), PLoS Biol 6:e159.

    Examples
    --------
    >>> coreness_directed([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    array([2., 2., 2.])
    """
    return _peeled(_both_ways(check_adjacency(adjacency, directed=True)))


def s_coreness(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the largest s for which each region belongs to the s-core.

    The s-core is the largest part of the network whose regions have at least strength s within
    it.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``, to 12 digits of the largest strength; 0 for an isolated region.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Eidsaa and Almaas (2013), Phys Rev E 88:062819.

    Examples
    --------
    >>> s_coreness([[0, 2, 2, 1], [2, 0, 2, 0], [2, 2, 0, 0], [1, 0, 0, 0]])
    array([4., 4., 4., 1.])
    """
    return _peeled(check_weights(weights))


def k_core(adjacency: ArrayLike, *, k: int) -> NDArray[np.bool_]:
    r"""Return the edges of the k-core of each network.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    k : int
        Fewest neighbours within the core, at least 0.

    Returns
    -------
    (..., n_regions, n_regions) boolean array
        Regions outside of the core are isolated.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN; if k is negative.

    References
    ----------
    Seidman (1983), Soc Networks 5:269-287.

    Examples
    --------
    >>> k_core([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]], k=2).sum(axis=-1)
    array([2, 2, 2, 0])
    """
    checked = check_adjacency(adjacency)
    inside = _peeled(checked.astype(np.float64)) >= _level(k, "k")
    return np.asarray(checked & inside[..., :, None] & inside[..., None, :])


def k_core_directed(adjacency: ArrayLike, *, k: int) -> NDArray[np.bool_]:
    r"""Return the edges of the k-core of each network, incoming and outgoing edges counted.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.
    k : int
        Fewest edges of either direction within the core, at least 0.

    Returns
    -------
    (..., n_regions, n_regions) boolean array
        Regions outside of the core are isolated.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN; if k is negative.

    References
    ----------
    Hagmann et al. (2008), PLoS Biol 6:e159.

    Examples
    --------
    >>> k_core_directed([[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], k=2).sum()
    np.int64(3)
    """
    checked = check_adjacency(adjacency, directed=True)
    inside = _peeled(_both_ways(checked)) >= _level(k, "k")
    return np.asarray(checked & inside[..., :, None] & inside[..., None, :])


def s_core(weights: ArrayLike, *, s: float) -> NDArray[np.float64]:
    r"""Return the weights of the s-core of each network.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    s : float
        Least strength within the core, at least 0, in units of ``weights``. A strength that
        falls short by less than 1e-12 of the largest one is taken to reach it.

    Returns
    -------
    (..., n_regions, n_regions) array
        Regions outside of the core are isolated.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN; if s is
        negative.

    References
    ----------
    Eidsaa and Almaas (2013), Phys Rev E 88:062819.

    Examples
    --------
    >>> s_core([[0, 2, 2, 1], [2, 0, 2, 0], [2, 2, 0, 0], [1, 0, 0, 0]], s=3).sum(axis=-1)
    array([4., 4., 4., 0.])
    """
    checked = check_weights(weights)
    slack = EQUAL * checked.sum(axis=-1).max(axis=-1, keepdims=True)
    inside = _peeled(checked) >= _level(s, "s") - slack
    return np.asarray(np.where(inside[..., :, None] & inside[..., None, :], checked, 0.0))


def k_core_sizes(adjacency: ArrayLike) -> NDArray[np.int64]:
    r"""Return how many regions belong to the k-core, for each k.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions) integer array
        Entry k counts the regions of coreness at least k; entry 0 is ``n_regions``.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Hagmann et al. (2008), PLoS Biol 6:e159.

    Examples
    --------
    >>> k_core_sizes([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]])
    array([4, 4, 3, 0])
    """
    values = coreness(adjacency)
    return np.asarray((values[..., None, :] >= np.arange(values.shape[-1])[:, None]).sum(axis=-1))


def k_core_rounds(adjacency: ArrayLike, *, k: int) -> NDArray[np.int64]:
    r"""Return in which round each region is peeled away on the way to the k-core.

    In each round all regions with fewer than k neighbours left go at once.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    k : int
        Fewest neighbours within the core, at least 0.

    Returns
    -------
    (..., n_regions) integer array
        From 1; 0 for the regions of the core. An isolated region goes in round 1 (the Brain
        Connectivity Toolbox lists it nowhere).

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN; if k is negative.

    References
    ----------
    Modha and Singh (2010), PNAS 107:13485-13490.

    Examples
    --------
    >>> k_core_rounds([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]], k=2)
    array([1, 2, 2, 1])
    """
    edges = check_adjacency(adjacency).astype(np.float32)
    level = _level(k, "k")
    left = np.ones(edges.shape[:-1], dtype=bool)
    rounds = np.zeros(edges.shape[:-1], dtype=np.int64)
    for this_round in range(1, edges.shape[-1] + 1):
        n_left = (edges @ left.astype(np.float32)[..., None])[..., 0]
        going = left & (n_left < level)
        if not going.any():
            break
        rounds[going] = this_round
        left &= ~going
    return rounds


def core_periphery(
    weights: ArrayLike, *, directed: bool = False, resolution: float = 1.0
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    r"""Return the best division of each network into core and periphery, and its quality.

    .. math:: Q = \frac{1}{v} \Bigl[ \sum_{i,j \in C} (w_{ij} - \gamma \bar w)
              - \sum_{i,j \notin C} (w_{ij} - \gamma \bar w) \Bigr], \quad v = \sum_{ij} w_{ij}

    with :math:`\bar w = v / n^2`. A region adds to Q by itself, whatever the others do: Q is
    largest if the core holds the regions whose strength (the mean of in and out) is above
    :math:`\gamma` times the mean strength. That is computed, exactly; the Brain Connectivity
    Toolbox searches for it at random.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric unless ``directed``, non-negative, zero diagonal. The scale does not matter.
    directed : bool, optional
        Accept networks that are not symmetric.
    resolution : float, optional
        :math:`\gamma`, above 0: more makes the core smaller.

    Returns
    -------
    core : (..., n_regions) boolean array
        Regions on the border are of the periphery.
    quality : (...) array
        At least 0; 0 if all strengths are the same and the resolution is 1; NaN without edges.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN; if the
        resolution is not above 0.

    References
    ----------
    Borgatti and Everett (2000), Soc Networks 21:375-395.
    Rubinov, Ypma, Watson and Bullmore (2015), PNAS 112:10032-10037.

    Examples
    --------
    >>> core, quality = core_periphery([[0, 2, 1, 0], [2, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]])
    >>> core.tolist(), float(quality)
    ([True, True, False, False], 0.5)
    """
    checked = check_weights(weights, directed=directed)
    if not resolution > 0 or not np.isfinite(resolution):
        raise ValueError(
            f"resolution must be a finite number above 0; got {resolution}. 1 is the usual one."
        )
    total = checked.sum(axis=(-2, -1))[..., None]
    share = (checked.sum(axis=-1) + checked.sum(axis=-2)) / 2 / np.where(total > 0, total, np.nan)
    excess = share - resolution / checked.shape[-1]
    excess[np.abs(excess) <= EQUAL * share] = 0.0
    return excess > 0, np.asarray(np.abs(excess).sum(axis=-1))


def _level(level: float, name: str) -> float:
    """Return the level of a core, refused if it is negative or no number."""
    if not level >= 0:
        raise ValueError(f"{name} must be at least 0; got {level}. Pass the level of the core.")
    return level


def _both_ways(adjacency: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the number of edges between each two regions."""
    return np.add(adjacency, np.swapaxes(adjacency, -1, -2), dtype=np.float64)


def _peeled(networks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the level at which each region is peeled away."""
    return over_networks(_peel, networks, shape=networks.shape[-1:])


@fast_kernel
def _peel(network, out):  # type: ignore[no-untyped-def]
    """Write the level at which each region goes if the weakest one left always goes next."""
    n = len(network)
    left = np.zeros(n)
    for i in range(n):
        row = network[i]
        for j in range(n):
            left[j] += row[j]
    gone = 4.0 * left.max() + 1.0  # however much is taken from it, more than is left of others
    level = 0.0
    for _ in range(n):
        least = gone
        for j in range(n):
            least = min(least, left[j])
        weakest = 0
        while left[weakest] != least:
            weakest += 1
        level = max(level, least)
        out[weakest] = level
        row = network[weakest]
        for j in range(n):
            left[j] -= row[j]
        left[weakest] = gone
