"""Which regions stay when weakly joined ones are removed, in all layers or in each."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics.multiplex._layers import check_binary_layers, check_layers, check_vector


def multiplex_coreness(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    """Return the largest k for which each region is in the multiplex k-core.

    The multiplex k-core is the largest set of regions each of which has at least k edges, in all
    layers together, to others of the set: ``multiplex_coreness(adjacency) >= k``.

    Parameters
    ----------
    adjacency : (..., n_layers, n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric, and count the edges in both directions.

    Returns
    -------
    (..., n_regions) array
        Whole numbers; a region without edges is 0. BRAPH 2 peels by the edges of the first layer
        only, where its text, as here, says overlapping degree.

    Raises
    ------
    ValueError
        If ``adjacency`` has no axis of layers, is not boolean, square and symmetric (unless
        ``directed``), or holds NaN.

    References
    ----------
    Seidman (1983), Soc Networks 5:269-287.
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804 (overlapping degree).

    Examples
    --------
    >>> star, path = [[0, 1, 1], [1, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    >>> multiplex_coreness([star, path])
    array([2., 2., 2.])
    """
    return _peel(_overlap(check_binary_layers(adjacency, directed=directed), directed))


def multiplex_coreness_weighted(
    weights: ArrayLike, *, directed: bool = False
) -> NDArray[np.float64]:
    """Return the largest s for which each region is in the multiplex s-core.

    The multiplex s-core is the largest set of regions each of which has edges of a weight of at
    least s together, in all layers, to others of the set:
    ``multiplex_coreness_weighted(weights) >= s``.

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric, and add the edges in both directions.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``; a region without edges is 0.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric (unless ``directed``),
        has a negative entry or holds NaN.

    References
    ----------
    Eidsaa and Almaas (2013), Phys Rev E 88:062819.
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804 (overlapping strength).

    Examples
    --------
    >>> multiplex_coreness_weighted([[[0, 0.5, 0], [0.5, 0, 0.2], [0, 0.2, 0]]])
    array([0.5, 0.5, 0.2])
    """
    return _peel(_overlap(check_layers(weights, directed=directed), directed))


def multiplex_vector_core(
    weights: ArrayLike, thresholds: ArrayLike, *, directed: bool = False
) -> NDArray[np.bool_]:
    """Return which regions are in the largest set that holds together in every layer.

    It is the largest set of regions each of which has, in every layer, edges of at least that
    layer's threshold together to others of the set.

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. Layers of 0 and 1 give the k-core of the vector k
        of numbers of edges.
    thresholds : (n_layers,) array
        Finite, in units of ``weights``.
    directed : bool, optional
        Accept layers that are not symmetric, and add the edges in both directions.

    Returns
    -------
    (..., n_regions) boolean array
        All False where there is no such set.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric (unless ``directed``),
        has a negative entry or holds NaN, or ``thresholds`` do not fit.

    References
    ----------
    Azimi-Tafreshi, Gómez-Gardeñes and Dorogovtsev (2014), Phys Rev E 90:032816.

    Examples
    --------
    >>> triangle, path = [[0, 1, 1], [1, 0, 1], [1, 1, 0]], [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    >>> multiplex_vector_core([triangle, path], [2, 1])
    array([ True,  True,  True])
    >>> multiplex_vector_core([triangle, path], [1, 2])
    array([False, False, False])
    """
    checked = check_layers(weights, directed=directed)
    least = check_vector(thresholds, checked.shape[-3], "thresholds")
    both = checked + checked.swapaxes(-1, -2) if directed else checked
    inside = np.ones(both.shape[:-3] + both.shape[-1:], dtype=bool)
    while True:
        strength = (both @ inside[..., None, :, None].astype(np.float64))[..., 0]
        stays = inside & (strength >= least[:, None]).all(axis=-2)
        if (stays == inside).all():
            return stays
        inside = stays


def _overlap(checked: NDArray[np.float64], directed: bool) -> NDArray[np.float64]:
    """Return the sum of the layers; of both directions, if they differ."""
    overlap = checked.sum(axis=-3)
    return np.asarray(overlap + overlap.swapaxes(-1, -2) if directed else overlap)


def _peel(overlap: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the level at which each region falls off when the weakest are removed first."""
    coreness = np.zeros(overlap.shape[:-1])
    inside = np.ones(coreness.shape, dtype=bool)
    level = np.zeros((*coreness.shape[:-1], 1))
    while inside.any():
        strength = (overlap @ inside[..., None].astype(np.float64))[..., 0]
        weakest = np.where(inside, strength, np.inf).min(axis=-1, keepdims=True)
        level = np.maximum(level, np.where(np.isfinite(weakest), weakest, 0.0))
        falls = inside & (strength <= level * (1 + 1e-12))
        coreness = np.where(falls, level, coreness)
        inside &= ~falls
    return coreness
