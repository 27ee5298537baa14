"""Triangles whose edges lie in two or three layers of a multiplex network."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics.multiplex._layers import check_layers, divide


def triangles_two_layers(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the intensity of triangles whose edges at a region share a layer, the third not.

    .. math:: t_i = \frac{1}{2} \sum_\alpha \sum_{\beta \ne \alpha} \sum_{jh} \bigl(
              w_{ij}^{[\alpha]} w_{jh}^{[\beta]} w_{hi}^{[\alpha]}\bigr)^{1/3}

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. Layers of 0 and 1 give the number of triangles.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``. BRAPH 2 counts each triangle twice, once in each direction.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric, has a negative entry or
        holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> star, edge = [[0, 1, 1], [1, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    >>> triangles_two_layers([star, edge])
    array([1., 0., 0.])
    """
    return _two_layers(np.cbrt(check_layers(weights)))


def triangles_three_layers(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the intensity of triangles around each region whose edges lie in three layers.

    .. math:: t_i = \frac{1}{2} \sum_{\alpha \ne \beta \ne \gamma \ne \alpha} \sum_{jh} \bigl(
              w_{ij}^{[\alpha]} w_{jh}^{[\beta]} w_{hi}^{[\gamma]}\bigr)^{1/3}

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. Layers of 0 and 1 give the number of triangles.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``; 0 where there are fewer than three layers.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric, has a negative entry or
        holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> one, two, three = np.zeros((3, 3, 3))
    >>> one[0, 1] = one[1, 0] = two[0, 2] = two[2, 0] = three[1, 2] = three[2, 1] = 1
    >>> triangles_three_layers([one, two, three])
    array([1., 1., 1.])
    """
    return _three_layers(np.cbrt(check_layers(weights)))


def clustering_two_layers(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of each region's pairs of edges in a layer that another layer closes.

    .. math:: C_{i,1} = \frac{2 t_i}{(M - 1) \sum_\alpha k_i^{[\alpha]} (k_i^{[\alpha]} - 1)}

    with the triangles :math:`t_i` of ``triangles_two_layers``.

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. Layers of 0 and 1 give the binary coefficient;
        else divide by the largest weight for values from 0 to 1.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``, up to the largest; 0 for a region without two edges in a layer.
        NaN where there is one layer only.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric, has a negative entry or
        holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> star, edge = [[0, 1, 1], [1, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    >>> clustering_two_layers([star, edge])
    array([1., 0., 0.])
    """
    checked = check_layers(weights)
    return divide(2 * _two_layers(np.cbrt(checked)), _pairs_in_a_layer(checked))


def clustering_three_layers(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of each region's pairs of edges in two layers that a third layer closes.

    .. math:: C_{i,2} = \frac{2 t_i}{(M - 2) \sum_{\alpha \ne \beta} \sum_{j \ne h}
              a_{ij}^{[\alpha]} a_{ih}^{[\beta]}}

    with the triangles :math:`t_i` of ``triangles_three_layers``.

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. Layers of 0 and 1 give the binary coefficient;
        else divide by the largest weight for values from 0 to 1.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``, up to the largest; 0 for a region without such a pair. Two edges
        to the same region make no pair. NaN where there are fewer than three layers.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric, has a negative entry or
        holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> one, two, three = np.zeros((3, 3, 3))
    >>> one[0, 1] = one[1, 0] = two[0, 2] = two[2, 0] = three[1, 2] = three[2, 1] = 1
    >>> clustering_three_layers([one, two, three])
    array([1., 1., 1.])
    """
    checked = check_layers(weights)
    return divide(2 * _three_layers(np.cbrt(checked)), _pairs_in_two_layers(checked))


def transitivity_two_layers(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of pairs of joined edges in a layer that another layer closes.

    .. math:: T_1 = \frac{\sum_i 2 t_i}
              {(M - 1) \sum_i \sum_\alpha k_i^{[\alpha]} (k_i^{[\alpha]} - 1)}

    with the triangles :math:`t_i` of ``triangles_two_layers``.

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. Layers of 0 and 1 give the binary coefficient.

    Returns
    -------
    (...) array
        In units of ``weights``, up to the largest; 0 without such a pair. NaN where there is one
        layer only.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric, has a negative entry or
        holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> star, edge = [[0, 1, 1], [1, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    >>> float(transitivity_two_layers([star, edge]))
    1.0
    """
    checked = check_layers(weights)
    triangles = 2 * _two_layers(np.cbrt(checked)).sum(axis=-1)
    return divide(triangles, _pairs_in_a_layer(checked).sum(axis=-1))


def transitivity_three_layers(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of pairs of joined edges in two layers that a third layer closes.

    .. math:: T_2 = \frac{\sum_i 2 t_i}{(M - 2) \sum_i \sum_{\alpha \ne \beta} \sum_{j \ne h}
              a_{ij}^{[\alpha]} a_{ih}^{[\beta]}}

    with the triangles :math:`t_i` of ``triangles_three_layers``.

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. Layers of 0 and 1 give the binary coefficient.

    Returns
    -------
    (...) array
        In units of ``weights``, up to the largest; 0 without such a pair. NaN where there are
        fewer than three layers.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric, has a negative entry or
        holds NaN.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> one, two, three = np.zeros((3, 3, 3))
    >>> one[0, 1] = one[1, 0] = two[0, 2] = two[2, 0] = three[1, 2] = three[2, 1] = 1
    >>> float(transitivity_three_layers([one, two, three]))
    1.0
    """
    checked = check_layers(weights)
    triangles = 2 * _three_layers(np.cbrt(checked)).sum(axis=-1)
    return divide(triangles, _pairs_in_two_layers(checked).sum(axis=-1))


def _two_layers(roots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the triangles with one layer at the region and another opposite."""
    total = roots.sum(axis=-3)
    result = np.zeros(total.shape[:-1])
    for k in range(roots.shape[-3]):
        layer = roots[..., k, :, :]
        others = np.delete(roots, k, axis=-3).sum(axis=-3)
        result += _closed(layer, others, layer)
    return result / 2


def _three_layers(roots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the triangles with two layers at the region and a third one opposite."""
    n_layers = roots.shape[-3]
    result = np.zeros(roots.shape[:-3] + roots.shape[-1:])
    for i in range(n_layers):
        for j in range(n_layers):
            if i != j:
                others = np.delete(roots, [i, j], axis=-3).sum(axis=-3)
                result += _closed(roots[..., i, :, :], roots[..., j, :, :], others)
    return result / 2


def _closed(
    first: NDArray[np.float64], second: NDArray[np.float64], third: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sum over j and h of first(i, j) second(j, h) third(h, i)."""
    return np.asarray(((first @ second) * third.swapaxes(-1, -2)).sum(axis=-1))


def _pairs_in_a_layer(checked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return M - 1 times the ordered pairs of each region's edges in the same layer."""
    n_layers = checked.shape[-3]
    degree = (checked > 0).sum(axis=-1)
    pairs = (degree * (degree - 1)).sum(axis=-2)
    return np.asarray(pairs * (n_layers - 1.0 if n_layers > 1 else np.nan))


def _pairs_in_two_layers(checked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return M - 2 times the ordered pairs of edges to two regions in two layers."""
    n_layers = checked.shape[-3]
    present = checked > 0
    degree, overlap = present.sum(axis=-1), present.sum(axis=-3)
    pairs = degree.sum(axis=-2) ** 2 - (degree**2).sum(axis=-2)
    pairs -= (overlap * (overlap - 1)).sum(axis=-1)
    return np.asarray(pairs * (n_layers - 2.0 if n_layers > 2 else np.nan))
