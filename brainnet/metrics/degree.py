"""How much each region is connected."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet._network import check_adjacency, check_weights


def degree(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the number of regions that each region is connected to.

    .. math:: k_i = \sum_j a_{ij}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions) array
        Whole numbers from 0 (isolated) to ``n_regions - 1``.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> degree([[0, 1, 1], [1, 0, 0], [1, 0, 0]])
    array([2., 1., 1.])
    """
    return np.asarray(check_adjacency(adjacency).sum(axis=-1))


def strength(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the sum of the weights of each region's edges.

    .. math:: s_i = \sum_j w_{ij}

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, zero diagonal. Negative weights count as such: pass
        ``connectome.threshold.positive(weights)`` for the positive strength.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``; 0 for an isolated region.

    Raises
    ------
    ValueError
        If ``weights`` is not square and symmetric with a zero diagonal, or holds NaN.

    References
    ----------
    Barrat et al. (2004), PNAS 101:3747-3752.

    Examples
    --------
    >>> strength([[0, 0.5, -0.2], [0.5, 0, 0], [-0.2, 0, 0]])
    array([ 0.3,  0.5, -0.2])
    """
    return np.asarray(check_weights(weights, signed=True).sum(axis=-1))


def density(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of pairs of regions that are connected.

    .. math:: D = \frac{1}{n(n-1)} \sum_{i \ne j} a_{ij}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (...) array
        From 0 (no edge) to 1 (complete); a single region gives NaN.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> float(density([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    1.0
    """
    checked = check_adjacency(adjacency)
    n_regions = checked.shape[-1]
    pairs = n_regions * (n_regions - 1) or np.nan
    return np.asarray(checked.sum(axis=(-2, -1)) / pairs)
