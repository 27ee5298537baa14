"""Whether the regions with many edges are joined with one another."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_weights
from brainnet.metrics._compile import kernel, over_networks


def rich_club_binary(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the density of the edges among the regions of more than each degree.

    .. math:: \phi(k) = \frac{2 E_{>k}}{N_{>k} (N_{>k} - 1)}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions) array
        Entry k is of the regions of degree above k, for k from 0 to ``n_regions - 1``: from 0 to
        1, NaN where there are fewer than two such regions. It grows with k in random networks
        too: see ``rich_club_normalized``.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Colizza, Flammini, Serrano and Vespignani (2006), Nat Phys 2:110-115.

    Examples
    --------
    >>> rich_club_binary([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]).round(4)
    array([0.6667, 1.    ,    nan,    nan])
    """
    checked = check_adjacency(adjacency)
    return _density(checked.astype(np.float64), _degrees(checked), checked.shape[-1])


def rich_club_binary_directed(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the density of the directed edges among the regions of more than each degree.

    .. math:: \phi(k) = \frac{E_{>k}}{N_{>k} (N_{>k} - 1)}

    where the degree of a region counts its incoming and its outgoing edges.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., 2 * n_regions - 1) array
        Entry k is of the regions of degree above k, for k from 0 to ``2 * n_regions - 2``: from
        0 to 1, NaN where there are fewer than two such regions.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Colizza, Flammini, Serrano and Vespignani (2006), Nat Phys 2:110-115.
    van den Heuvel and Sporns (2011), J Neurosci 31:15775-15786.

    Examples
    --------
    >>> rich_club_binary_directed([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    array([0.5, 0.5, nan, nan, nan])
    """
    checked = check_adjacency(adjacency, directed=True)
    degrees = _degrees(checked) + _degrees(np.swapaxes(checked, -1, -2))
    return _density(checked.astype(np.float64), degrees, 2 * checked.shape[-1] - 1)


def rich_club_weighted(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the weight among the regions of more than each degree over the most it could be.

    .. math:: \phi^w(k) = \frac{W_{>k}}{\sum_{l=1}^{E_{>k}} w_l^{ranked}}

    where :math:`W_{>k}` and :math:`E_{>k}` are the weight and number of the edges among them, and
    :math:`w_1^{ranked}, w_2^{ranked}, \ldots` are the weights of the whole network from the
    largest down.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.

    Returns
    -------
    (..., n_regions) array
        Entry k is of the regions of degree above k, for k from 0 to ``n_regions - 1``: from 0 to
        1, NaN where no edge joins such regions. Entry k of the Brain Connectivity Toolbox, counted
        from 1, is entry k - 1 here: it takes degrees of at least k; and NaN where all regions
        belong, which is 1 here.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Opsahl, Colizza, Panzarasa and Ramasco (2008), Phys Rev Lett 101:168702.

    Examples
    --------
    >>> rich_club_weighted([[0, 1, 1, 3], [1, 0, 2, 0], [1, 2, 0, 0], [3, 0, 0, 0]]).round(4)
    array([1.    , 0.6667,    nan,    nan])
    """
    checked = check_weights(weights)
    return _weight_share(checked, _degrees(checked > 0), checked.shape[-1])


def rich_club_weighted_directed(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return ``rich_club_weighted`` of directed networks.

    The degree of a region counts its incoming and its outgoing edges.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., 2 * n_regions - 1) array
        Entry k is of the regions of degree above k, for k from 0 to ``2 * n_regions - 2``: from
        0 to 1, NaN where no edge joins such regions.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN.

    References
    ----------
    Opsahl, Colizza, Panzarasa and Ramasco (2008), Phys Rev Lett 101:168702.

    Examples
    --------
    >>> rich_club_weighted_directed([[0, 1, 2], [0, 0, 1], [0, 0, 0]])
    array([ 1.,  1., nan, nan, nan])
    """
    checked = check_weights(weights, directed=True)
    adjacency = checked > 0
    degrees = _degrees(adjacency) + _degrees(np.swapaxes(adjacency, -1, -2))
    return _weight_share(checked, degrees, 2 * checked.shape[-1] - 1)


def rich_club_normalized(observed: ArrayLike, nulls: ArrayLike) -> NDArray[np.float64]:
    r"""Return rich-club coefficients over the mean of those of null networks.

    .. math:: \rho(k) = \phi(k) / \langle \phi_{null}(k) \rangle

    Parameters
    ----------
    observed : (..., n_levels) array
        As one of the functions above returns them.
    nulls : (n_nulls, ..., n_levels) array
        As the same function returns them of null networks: for the binary ones, networks with the
        same degrees; for the weighted ones, with the same edges and shuffled weights, or also
        rewired.

    Returns
    -------
    (..., n_levels) array
        Above 1 where there is a rich club. NaN where the coefficient is NaN for the network or
        all nulls, or the mean over the nulls is 0. Nulls of NaN are left out of the mean.

    Raises
    ------
    ValueError
        If the shapes do not fit, or there is no null network.

    References
    ----------
    Colizza, Flammini, Serrano and Vespignani (2006), Nat Phys 2:110-115.
    van den Heuvel and Sporns (2011), J Neurosci 31:15775-15786.

    Examples
    --------
    >>> rich_club_normalized([0.5, 0.8, np.nan], [[0.5, 0.4, np.nan], [0.5, 0.6, np.nan]])
    array([1. , 1.6, nan])
    """
    phi = np.asarray(observed, dtype=np.float64)
    null = np.asarray(nulls, dtype=np.float64)
    if null.ndim < 2 or null.shape[1:] != phi.shape or len(null) == 0:
        raise ValueError(
            f"nulls must be of shape (n_nulls, *observed.shape) = (n_nulls, {phi.shape}); got "
            f"{null.shape}. Measure the null networks stacked along a new first axis."
        )
    defined = ~np.isnan(null)
    total = np.where(defined, null, 0.0).sum(axis=0)
    mean = total / np.where(defined.any(axis=0), defined.sum(axis=0), np.nan)
    return np.asarray(phi / np.where(mean > 0, mean, np.nan))


def _degrees(adjacency: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the row sums."""
    return np.asarray(adjacency.sum(axis=-1))


def _density(
    adjacency: NDArray[np.float64], degrees: NDArray[np.int64], n_levels: int
) -> NDArray[np.float64]:
    """Return the density of edges among regions of degree above each level."""
    totals = over_networks(_totals, adjacency, degrees, shape=(3, n_levels))
    pairs = totals[..., 0, :] * (totals[..., 0, :] - 1)
    return np.asarray(totals[..., 1, :] / np.where(pairs > 0, pairs, np.nan))


def _weight_share(
    weights: NDArray[np.float64], degrees: NDArray[np.int64], n_levels: int
) -> NDArray[np.float64]:
    """Return the weight among regions of degree above each level over that of the largest edges."""
    totals = over_networks(_totals, weights, degrees, shape=(3, n_levels))
    ranked = np.sort(weights.reshape(*weights.shape[:-2], -1), axis=-1)[..., ::-1]
    largest = np.cumsum(ranked, axis=-1)
    last = totals[..., 1, :].astype(np.int64) - 1
    most = np.take_along_axis(largest, np.maximum(last, 0), axis=-1)
    share = totals[..., 2, :] / np.where(last >= 0, most, np.nan)
    return np.asarray(np.minimum(share, 1.0))  # above it by rounding only


@kernel
def _totals(network, degrees, out):  # type: ignore[no-untyped-def]
    """Write the number of regions of degree above each level, of edges among them, their weight."""
    n = len(network)
    for i in range(n):
        if degrees[i] > 0:
            out[0, degrees[i] - 1] += 1
        for j in range(n):
            if network[i, j] != 0:
                level = min(degrees[i], degrees[j]) - 1
                out[1, level] += 1
                out[2, level] += network[i, j]
    for level in range(out.shape[1] - 2, -1, -1):
        for row in range(3):
            out[row, level] += out[row, level + 1]
