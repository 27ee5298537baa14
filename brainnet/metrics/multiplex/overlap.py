"""How the edges of each region, and each edge, are spread over the layers."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics.multiplex._layers import check_binary_layers, check_layers, divide


def overlapping_degree(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the number of edges of each region in all layers together.

    .. math:: o_i = \sum_\alpha k_i^{[\alpha]}

    Parameters
    ----------
    adjacency : (..., n_layers, n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric, and count the edges that leave a region; swap the
        last two axes to count those that arrive.

    Returns
    -------
    (..., n_regions) array
        From 0 to ``n_layers * (n_regions - 1)``.

    Raises
    ------
    ValueError
        If ``adjacency`` has no axis of layers, is not boolean, square and symmetric (unless
        ``directed``), or holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> overlapping_degree([[[0, 1, 0], [1, 0, 0], [0, 0, 0]], [[0, 1, 1], [1, 0, 0], [1, 0, 0]]])
    array([3., 2., 1.])
    """
    return np.asarray(check_binary_layers(adjacency, directed=directed).sum(axis=(-3, -1)))


def overlapping_strength(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the sum of the weights of each region's edges in all layers together.

    .. math:: o_i = \sum_\alpha s_i^{[\alpha]}

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric, and add the edges that leave a region; swap the last
        two axes to add those that arrive.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric (unless ``directed``),
        has a negative entry or holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> overlapping_strength([[[0, 0.5], [0.5, 0]], [[0, 2], [2, 0]]])
    array([2.5, 2.5])
    """
    return np.asarray(check_layers(weights, directed=directed).sum(axis=(-3, -1)))


def overlapping_strength_z(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return how far the overlapping strength of each region is from the mean of all.

    .. math:: z_i = \frac{o_i - \langle o \rangle}{\sigma_o}

    With ``multiplex_participation``, it sorts regions into focused, mixed and multiplex hubs and
    others.

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. Layers of 0 and 1 give the z-score of the
        overlapping degree.
    directed : bool, optional
        Accept layers that are not symmetric, and add the edges that leave a region.

    Returns
    -------
    (..., n_regions) array
        In standard deviations over the regions (divided by ``n_regions``); 0 where all regions
        are equal.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric (unless ``directed``),
        has a negative entry or holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> overlapping_strength_z([[[0, 1, 1], [1, 0, 0], [1, 0, 0]]]).round(4)
    array([ 1.4142, -0.7071, -0.7071])
    """
    overlap = overlapping_strength(weights, directed=directed)
    above = overlap - overlap.mean(axis=-1, keepdims=True)
    above[np.abs(above) <= 1e-12 * np.abs(overlap).max(axis=-1, keepdims=True)] = 0.0  # rounding
    return divide(above, np.sqrt((above**2).mean(axis=-1, keepdims=True)))


def multiplex_participation(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return how evenly the edges of each region are spread over the layers.

    .. math:: P_i = \frac{M}{M - 1}
              \Bigl[1 - \sum_\alpha \Bigl(\frac{s_i^{[\alpha]}}{o_i}\Bigr)^2\Bigr]

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. Layers of 0 and 1 give the participation of the
        degrees, which BRAPH 2 uses for weights too. Where layers have different units, first
        bring them to one.
    directed : bool, optional
        Accept layers that are not symmetric, and use the edges that leave a region; swap the last
        two axes for those that arrive.

    Returns
    -------
    (..., n_regions) array
        From 0 (all in one layer) to 1 (the same in each); a region without edges is 0. NaN where
        there is one layer only.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric (unless ``directed``),
        has a negative entry or holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> multiplex_participation([[[0, 1, 0], [1, 0, 0], [0, 0, 0]],
    ...                          [[0, 1, 1], [1, 0, 0], [1, 0, 0]]]).round(4)
    array([0.8889, 1.    , 0.    ])
    """
    shares, any_edge = _shares(check_layers(weights, directed=directed))
    n_layers = shares.shape[-2]
    if n_layers == 1:
        return np.full(any_edge.shape, np.nan)
    spread = n_layers / (n_layers - 1) * (1 - (shares**2).sum(axis=-2))
    return np.where(any_edge, np.clip(spread, 0.0, 1.0), 0.0)


def multiplex_entropy(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the entropy of the spread of each region's edges over the layers.

    .. math:: H_i = -\sum_\alpha \frac{s_i^{[\alpha]}}{o_i} \ln \frac{s_i^{[\alpha]}}{o_i}

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. Layers of 0 and 1 give the entropy of the degrees.
    directed : bool, optional
        Accept layers that are not symmetric, and use the edges that leave a region.

    Returns
    -------
    (..., n_regions) array
        From 0 (all in one layer) to ``log(n_layers)`` (the same in each), in nats; a region
        without edges is 0.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric (unless ``directed``),
        has a negative entry or holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> multiplex_entropy([[[0, 1], [1, 0]], [[0, 1], [1, 0]]]).round(4)
    array([0.6931, 0.6931])
    """
    shares, _ = _shares(check_layers(weights, directed=directed))
    logs = np.log(shares, out=np.zeros(shares.shape), where=shares > 0)
    return np.asarray(np.abs((shares * logs).sum(axis=-2)))


def edge_overlap(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the share of layers in which each edge is present.

    .. math:: o_{ij} = \frac{1}{M} \sum_\alpha a_{ij}^{[\alpha]}

    Parameters
    ----------
    adjacency : (..., n_layers, n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric.

    Returns
    -------
    (..., n_regions, n_regions) array
        From 0 to 1.

    Raises
    ------
    ValueError
        If ``adjacency`` has no axis of layers, is not boolean, square and symmetric (unless
        ``directed``), or holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> edge_overlap([[[0, 1], [1, 0]], [[0, 0], [0, 0]]])
    array([[0. , 0.5],
           [0.5, 0. ]])
    """
    return np.asarray(check_binary_layers(adjacency, directed=directed).mean(axis=-3))


def edge_overlap_weighted(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the mean weight of each edge over the layers, 0 where it is absent.

    .. math:: o_{ij} = \frac{1}{M} \sum_\alpha w_{ij}^{[\alpha]}

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric.

    Returns
    -------
    (..., n_regions, n_regions) array
        In units of ``weights``.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric (unless ``directed``),
        has a negative entry or holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> edge_overlap_weighted([[[0, 0.5], [0.5, 0]], [[0, 1.5], [1.5, 0]]])
    array([[0., 1.],
           [1., 0.]])
    """
    return np.asarray(check_layers(weights, directed=directed).mean(axis=-3))


def mean_edge_overlap(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the mean share of layers in which an edge is present that is so in any.

    .. math:: \omega = \frac{\sum_{i \ne j} \sum_\alpha a_{ij}^{[\alpha]}}
              {M \sum_{i \ne j} \max_\alpha a_{ij}^{[\alpha]}}

    Parameters
    ----------
    adjacency : (..., n_layers, n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric.

    Returns
    -------
    (...) array
        From ``1 / n_layers`` (no edge in two layers) to 1 (all layers the same); NaN without
        edges.

    Raises
    ------
    ValueError
        If ``adjacency`` has no axis of layers, is not boolean, square and symmetric (unless
        ``directed``), or holds NaN.

    References
    ----------
    Lacasa, Nicosia and Latora (2015), Sci Rep 5:15508.

    Examples
    --------
    >>> float(mean_edge_overlap([[[0, 1], [1, 0]], [[0, 0], [0, 0]]]))
    0.5
    """
    overlap = edge_overlap(adjacency, directed=directed)
    n_present = (overlap > 0).sum(axis=(-2, -1))
    return np.asarray(overlap.sum(axis=(-2, -1)) / np.where(n_present > 0, n_present, np.nan))


def _shares(checked: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the share of each layer in the strength of each region, and who has any edge."""
    largest = checked.max(axis=(-3, -2, -1), keepdims=True, initial=0.0)[..., 0]
    strength = divide(checked.sum(axis=-1), largest)  # so that squares neither vanish nor overflow
    whole = strength.sum(axis=-2, keepdims=True)
    return divide(strength, whole), whole[..., 0, :] > 0
