"""How alike the layers of each multiplex network are."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics.multiplex._layers import check_binary_layers, check_layers, levels


def layer_overlap(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return, for each pair of layers, the share of their edges that both have.

    .. math:: J^{[\alpha\beta]} = \frac{\sum_{ij} a_{ij}^{[\alpha]} a_{ij}^{[\beta]}}
              {\sum_{ij} \max(a_{ij}^{[\alpha]}, a_{ij}^{[\beta]})}

    Parameters
    ----------
    adjacency : (..., n_layers, n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric.

    Returns
    -------
    (..., n_layers, n_layers) array
        From 0 (no common edge) to 1 (the same edges), the index of Jaccard; NaN for two layers
        without edges.

    Raises
    ------
    ValueError
        If ``adjacency`` has no axis of layers, is not boolean, square and symmetric (unless
        ``directed``), or holds NaN.

    References
    ----------
    Bródka, Chmiel, Magnani and Ragozini (2018), R Soc Open Sci 5:171747.

    Examples
    --------
    >>> layer_overlap([[[0, 1, 1], [1, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 0, 0], [0, 0, 0]]])
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    both, n_edges = _common(check_binary_layers(adjacency, directed=directed))
    either = n_edges[..., :, None] + n_edges[..., None, :] - both
    return np.asarray(both / np.where(either > 0, either, np.nan))


def edge_reinforcement(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return how probable an edge of one layer is where another layer has it.

    .. math:: P(a^{[\alpha]} \mid a^{[\beta]}) =
              \frac{\sum_{ij} a_{ij}^{[\alpha]} a_{ij}^{[\beta]}}{\sum_{ij} a_{ij}^{[\beta]}}

    Parameters
    ----------
    adjacency : (..., n_layers, n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric.

    Returns
    -------
    (..., n_layers, n_layers) array
        From 0 to 1. Entry (a, b) is the share of the edges of layer b that layer a has; NaN if
        layer b has none.

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
    >>> edge_reinforcement([[[0, 1, 1], [1, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 0, 0], [0, 0, 0]]])
    array([[1. , 1. ],
           [0.5, 1. ]])
    """
    both, n_edges = _common(check_binary_layers(adjacency, directed=directed))
    return np.asarray(both / np.where(n_edges > 0, n_edges, np.nan)[..., None, :])


def layer_correlation(
    weights: ArrayLike, *, method: str = "pearson", directed: bool = False
) -> NDArray[np.float64]:
    """Return, for each pair of layers, the correlation of the strengths of regions.

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. Layers of 0 and 1 give the correlation of degrees.
    method : {"pearson", "spearman"}, optional
        Of the strengths, or of their ranks (ties share their mean rank).
    directed : bool, optional
        Accept layers that are not symmetric, and use the edges that leave a region; swap the last
        two axes for those that arrive.

    Returns
    -------
    (..., n_layers, n_layers) array
        From -1 to 1; NaN for a layer in which all regions have the same strength.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric (unless ``directed``),
        has a negative entry or holds NaN, or ``method`` is not known.

    References
    ----------
    Nicosia and Latora (2015), Phys Rev E 92:032805.

    Examples
    --------
    >>> star, path = [[0, 1, 1], [1, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    >>> layer_correlation([star, path]).round(4)
    array([[ 1. , -0.5],
           [-0.5,  1. ]])
    """
    if method not in ("pearson", "spearman"):
        raise ValueError(
            f"method must be 'pearson' or 'spearman'; got {method!r}. Choose one of them."
        )
    strength = check_layers(weights, directed=directed).sum(axis=-1)
    level = levels(strength)
    varies = level.max(axis=-1, keepdims=True, initial=0) > 0
    values = _ranks(level) if method == "spearman" else strength
    above = values - values.mean(axis=-1, keepdims=True)
    largest = np.abs(above).max(axis=-1, keepdims=True)
    scaled = above / np.where(varies, largest, np.nan)
    unit = scaled / np.linalg.norm(scaled, axis=-1, keepdims=True)
    return np.asarray(np.clip(unit @ unit.swapaxes(-1, -2), -1.0, 1.0))


def node_activity(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    """Return in how many layers each region has an edge.

    Parameters
    ----------
    adjacency : (..., n_layers, n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric; an edge in either direction counts.

    Returns
    -------
    (..., n_regions) array
        From 0 to ``n_layers``.

    Raises
    ------
    ValueError
        If ``adjacency`` has no axis of layers, is not boolean, square and symmetric (unless
        ``directed``), or holds NaN.

    References
    ----------
    Nicosia and Latora (2015), Phys Rev E 92:032805.

    Examples
    --------
    >>> node_activity([[[0, 1, 0], [1, 0, 0], [0, 0, 0]], [[0, 1, 1], [1, 0, 0], [1, 0, 0]]])
    array([2., 2., 1.])
    """
    return np.asarray(_active(adjacency, directed).sum(axis=-2))


def layer_coactivity(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return, for each pair of layers, the share of regions that have an edge in both.

    .. math:: Q^{[\alpha\beta]} = \frac{1}{n} \sum_i b_i^{[\alpha]} b_i^{[\beta]}

    where :math:`b_i^{[\alpha]}` is 1 if region i has an edge in layer :math:`\alpha`. The source
    calls it pairwise multiplexity.

    Parameters
    ----------
    adjacency : (..., n_layers, n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric; an edge in either direction counts.

    Returns
    -------
    (..., n_layers, n_layers) array
        From 0 to 1.

    Raises
    ------
    ValueError
        If ``adjacency`` has no axis of layers, is not boolean, square and symmetric (unless
        ``directed``), or holds NaN.

    References
    ----------
    Nicosia and Latora (2015), Phys Rev E 92:032805.

    Examples
    --------
    >>> layer_coactivity([[[0, 1], [1, 0]], [[0, 0], [0, 0]]])
    array([[1., 0.],
           [0., 0.]])
    """
    active = _active(adjacency, directed)
    return np.asarray(active @ active.swapaxes(-1, -2) / active.shape[-1])


def _ranks(level: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the ranks along the last axis; equal ones share their mean rank."""
    above = (level[..., :, None] > level[..., None, :]).sum(axis=-1)
    equal = (level[..., :, None] == level[..., None, :]).sum(axis=-1)
    return np.asarray(above + (equal + 1) / 2)


def _active(adjacency: ArrayLike, directed: bool) -> NDArray[np.float64]:
    """Return 1 where a region has an edge in a layer, (..., n_layers, n_regions)."""
    checked = check_binary_layers(adjacency, directed=directed)
    return np.asarray(checked.any(axis=-1) | checked.any(axis=-2)).astype(np.float64)


def _common(checked: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many edges each pair of layers, and each layer, has."""
    flat = checked.reshape(*checked.shape[:-2], checked.shape[-1] ** 2)
    both = flat @ flat.swapaxes(-1, -2)
    return both, np.diagonal(both, axis1=-2, axis2=-1)
