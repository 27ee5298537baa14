"""How much each region is connected: degree of adjacency, strength of weights."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_bits, check_weights


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
    counts = np.bitwise_count(check_bits(adjacency)).sum(axis=-1, dtype=np.uint32)
    return np.asarray(counts, dtype=np.float64)


def degree_in(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the number of edges that lead to each region.

    .. math:: k^{in}_j = \sum_i a_{ij}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) array
        Whole numbers from 0 to ``n_regions - 1``.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> degree_in([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    array([0., 1., 2.])
    """
    return _count(check_adjacency(adjacency, directed=True), axis=-2)


def degree_out(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the number of edges that leave each region.

    .. math:: k^{out}_i = \sum_j a_{ij}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) array
        Whole numbers from 0 to ``n_regions - 1``. The sum with ``degree_in`` counts the edges
        of either direction.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> degree_out([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    array([2., 1., 0.])
    """
    return _count(check_adjacency(adjacency, directed=True), axis=-1)


def joint_degree(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return how many regions have each pair of in-degree and out-degree.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions, n_regions) array
        Entry (u, v) counts the regions of in-degree u and out-degree v, both from 0 to
        ``n_regions - 1``. Regions with more outgoing than incoming edges lie above the diagonal.
        The Brain Connectivity Toolbox cuts the table at the largest degree.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> joint_degree([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    array([[0., 0., 1.],
           [0., 1., 0.],
           [1., 0., 0.]])
    """
    checked = check_adjacency(adjacency, directed=True)
    n_regions = checked.shape[-1]
    place = _count(checked, axis=-2) * n_regions + _count(checked, axis=-1)
    flat = place.astype(np.int64).reshape(-1, n_regions)
    table = np.zeros((len(flat), n_regions * n_regions))
    np.add.at(table, (np.arange(len(flat))[:, None], flat), 1.0)
    return table.reshape(checked.shape)


def strength(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the sum of the weights of each region's edges.

    .. math:: s_i = \sum_j w_{ij}

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, zero diagonal. Negative weights count as such: see ``strength_positive`` and
        ``strength_negative`` for the two apart.

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


def strength_in(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the sum of the weights of the edges that lead to each region.

    .. math:: s^{in}_j = \sum_i w_{ij}

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Zero diagonal, signed. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``; 0 for a region that no edge leads to.

    Raises
    ------
    ValueError
        If ``weights`` is not square with a zero diagonal, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> strength_in([[0, 0.5, 0.25], [0, 0, 0.5], [0, 0, 0]])
    array([0.  , 0.5 , 0.75])
    """
    return np.asarray(check_weights(weights, signed=True, directed=True).sum(axis=-2))


def strength_out(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the sum of the weights of the edges that leave each region.

    .. math:: s^{out}_i = \sum_j w_{ij}

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Zero diagonal, signed. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``; 0 for a region that no edge leaves.

    Raises
    ------
    ValueError
        If ``weights`` is not square with a zero diagonal, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> strength_out([[0, 0.5, 0.25], [0, 0, 0.5], [0, 0, 0]])
    array([0.75, 0.5 , 0.  ])
    """
    return np.asarray(check_weights(weights, signed=True, directed=True).sum(axis=-1))


def strength_positive(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the sum of the positive weights of each region's edges.

    .. math:: s^+_i = \sum_j \max(w_{ij}, 0)

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, zero diagonal, signed.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``, at least 0. Its sum over the regions counts each edge twice.

    Raises
    ------
    ValueError
        If ``weights`` is not square and symmetric with a zero diagonal, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2011), NeuroImage 56:2068-2079.

    Examples
    --------
    >>> strength_positive([[0, 0.5, -0.2], [0.5, 0, 0], [-0.2, 0, 0]])
    array([0.5, 0.5, 0. ])
    """
    return np.asarray(np.maximum(check_weights(weights, signed=True), 0.0).sum(axis=-1))


def strength_negative(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the sum of the magnitudes of the negative weights of each region's edges.

    .. math:: s^-_i = \sum_j \max(-w_{ij}, 0)

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, zero diagonal, signed.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``, at least 0, as in the paper; bctpy returns it with a minus.
        ``strength`` is ``strength_positive - strength_negative``.

    Raises
    ------
    ValueError
        If ``weights`` is not square and symmetric with a zero diagonal, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2011), NeuroImage 56:2068-2079.

    Examples
    --------
    >>> strength_negative([[0, 0.5, -0.2], [0.5, 0, 0], [-0.2, 0, 0]])
    array([0.2, 0. , 0.2])
    """
    return np.asarray(np.maximum(-check_weights(weights, signed=True), 0.0).sum(axis=-1))


def density(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the share of pairs of regions that are connected.

    .. math:: D = \frac{1}{n(n-1)} \sum_{i \ne j} a_{ij}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal.
    directed : bool, optional
        Accept networks that are not symmetric: the share of ordered pairs.

    Returns
    -------
    (...) array
        From 0 (no edge) to 1 (complete); a single region gives NaN.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or not symmetric, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> float(density([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    1.0
    """
    checked = check_adjacency(adjacency, directed=directed)
    n_regions = checked.shape[-1]
    return np.asarray(
        _count(checked, axis=-1).sum(axis=-1) / (n_regions * (n_regions - 1) or np.nan)
    )


def _count(adjacency: NDArray[np.bool_], *, axis: int) -> NDArray[np.float64]:
    """Return how many entries are True along an axis."""
    counts = adjacency.view(np.uint8).sum(axis=axis, dtype=np.uint32)
    return np.asarray(counts, dtype=np.float64)
