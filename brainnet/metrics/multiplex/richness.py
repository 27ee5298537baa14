"""Which regions lead to richer ones in each layer, and which are so the multiplex core."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics.multiplex._layers import (
    check_binary_layers,
    check_layers,
    check_vector,
    levels,
)


def richness(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return how many edges lead from each region to regions of higher degree, in each layer.

    .. math:: k_i^{[\alpha]+} = \sum_j a_{ij}^{[\alpha]} [k_j^{[\alpha]} > k_i^{[\alpha]}]

    Parameters
    ----------
    adjacency : (..., n_layers, n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric: an edge counts half for both of its ends, here and
        in the degree.

    Returns
    -------
    (..., n_layers, n_regions) array
        From 0 to the degree. An edge between regions of equal degree counts for neither.

    Raises
    ------
    ValueError
        If ``adjacency`` has no axis of layers, is not boolean, square and symmetric (unless
        ``directed``), or holds NaN.

    References
    ----------
    Ma and Mondragón (2015), PLoS One 10:e0119678.
    Battiston, Guillon, Chavez, Latora and De Vico Fallani (2018), J R Soc Interface 15:20180514.

    Examples
    --------
    >>> richness([[[0, 1, 1], [1, 0, 0], [1, 0, 0]]])
    array([[0., 1., 1.]])
    """
    return _richness(check_binary_layers(adjacency, directed=directed))[1]


def richness_weighted(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the weight of the edges from each region to stronger regions, in each layer.

    .. math:: s_i^{[\alpha]+} = \sum_j w_{ij}^{[\alpha]} [s_j^{[\alpha]} > s_i^{[\alpha]}]

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    directed : bool, optional
        Accept layers that are not symmetric: an edge counts half for both of its ends, here and
        in the strength.

    Returns
    -------
    (..., n_layers, n_regions) array
        In units of ``weights``, from 0 to the strength. An edge between regions of equal
        strength (to rounding) counts for neither. BRAPH 2 adds weights too, but compares
        degrees.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric (unless ``directed``),
        has a negative entry or holds NaN.

    References
    ----------
    Ma and Mondragón (2015), PLoS One 10:e0119678.
    Battiston, Guillon, Chavez, Latora and De Vico Fallani (2018), J R Soc Interface 15:20180514.

    Examples
    --------
    >>> richness_weighted([[[0, 0.5, 0], [0.5, 0, 0.2], [0, 0.2, 0]]])
    array([[0.5, 0. , 0.2]])
    """
    return _richness(check_layers(weights, directed=directed))[1]


def multirichness(
    adjacency: ArrayLike, *, coefficients: ArrayLike | None = None, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the richness of each region, averaged over the layers.

    .. math:: \mu_i^+ = \sum_\alpha c^{[\alpha]} k_i^{[\alpha]+}

    Parameters
    ----------
    adjacency : (..., n_layers, n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    coefficients : (n_layers,) array, optional
        The relevance c of each layer, non-negative; without it, 1/``n_layers`` each.
    directed : bool, optional
        As in ``richness``.

    Returns
    -------
    (..., n_regions) array
        The edges that lead to regions of higher degree in the edge's layer.

    Raises
    ------
    ValueError
        If ``adjacency`` has no axis of layers, is not boolean, square and symmetric (unless
        ``directed``), or holds NaN, or ``coefficients`` do not fit.

    References
    ----------
    Battiston, Guillon, Chavez, Latora and De Vico Fallani (2018), J R Soc Interface 15:20180514.

    Examples
    --------
    >>> star, path = [[0, 1, 1], [1, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    >>> multirichness([star, path])
    array([0.5, 0.5, 1. ])
    """
    checked = check_binary_layers(adjacency, directed=directed)
    return _over_layers(_richness(checked)[1], coefficients)


def multirichness_weighted(
    weights: ArrayLike, *, coefficients: ArrayLike | None = None, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the weighted richness of each region, averaged over the layers.

    .. math:: \mu_i^+ = \sum_\alpha c^{[\alpha]} s_i^{[\alpha]+}

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    coefficients : (n_layers,) array, optional
        The relevance c of each layer, non-negative; without it, 1/``n_layers`` each. Where layers
        have different units, bring them to one by it.
    directed : bool, optional
        As in ``richness_weighted``.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights`` times ``coefficients``.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric (unless ``directed``),
        has a negative entry or holds NaN, or ``coefficients`` do not fit.

    References
    ----------
    Battiston, Guillon, Chavez, Latora and De Vico Fallani (2018), J R Soc Interface 15:20180514.

    Examples
    --------
    >>> multirichness_weighted([[[0, 0.5, 0], [0.5, 0, 0.2], [0, 0.2, 0]]])
    array([0.5, 0. , 0.2])
    """
    checked = check_layers(weights, directed=directed)
    return _over_layers(_richness(checked)[1], coefficients)


def multiplex_core(
    weights: ArrayLike, *, coefficients: ArrayLike | None = None, directed: bool = False
) -> NDArray[np.bool_]:
    r"""Return which regions are in the core, the others being the periphery.

    With the regions in descending order of :math:`\mu_i = \sum_\alpha c^{[\alpha]}
    s_i^{[\alpha]}`, the core ends with the region of the largest multirichness
    :math:`\mu_i^+`.

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. Layers of 0 and 1 are compared by degree; one
        layer gives its core of Ma and Mondragón.
    coefficients : (n_layers,) array, optional
        The relevance c of each layer, non-negative; without it, 1/``n_layers`` each.
    directed : bool, optional
        As in ``richness_weighted``.

    Returns
    -------
    (..., n_regions) boolean array
        Of several regions with the largest multirichness, the first in that order counts;
        regions equal to it are in the core as well, so that the order of regions does not matter.
        Without edges nobody is. The mean over a sweep of densities, on a leading axis, is what
        the source calls coreness. BRAPH 2 differs for weights, see ``richness_weighted``.

    Raises
    ------
    ValueError
        If ``weights`` has no axis of layers, is not square or symmetric (unless ``directed``),
        has a negative entry or holds NaN, or ``coefficients`` do not fit.

    References
    ----------
    Battiston, Guillon, Chavez, Latora and De Vico Fallani (2018), J R Soc Interface 15:20180514.

    Examples
    --------
    >>> multiplex_core([[[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 0]],
    ...                 [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]])
    array([ True,  True,  True, False])
    """
    strength, richer = _richness(check_layers(weights, directed=directed))
    rank = levels(_over_layers(strength, coefficients))
    rich = levels(_over_layers(richer, coefficients))
    last = np.where(rich == rich.max(axis=-1, keepdims=True), rank, -1).max(axis=-1, keepdims=True)
    any_edge = strength.max(axis=(-2, -1), keepdims=True)[..., 0] > 0
    return np.asarray((rank >= last) & any_edge)


def _richness(checked: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the strength of each region in each layer, and what of it goes to stronger ones."""
    both = (checked + checked.swapaxes(-1, -2)) / 2
    strength = both.sum(axis=-1)
    level = levels(strength)
    stronger = level[..., None, :] > level[..., :, None]
    return strength, np.asarray(np.where(stronger, both, 0.0).sum(axis=-1))


def _over_layers(
    values: NDArray[np.float64], coefficients: ArrayLike | None
) -> NDArray[np.float64]:
    """Return the sum over the layers, (..., n_layers, n_regions), times their coefficients."""
    n_layers = values.shape[-2]
    if coefficients is None:
        return np.asarray(values.mean(axis=-2))
    factors = check_vector(coefficients, n_layers, "coefficients")
    if (factors < 0).any():
        raise ValueError(
            f"coefficients must be non-negative; got minimum {factors.min()}. "
            "Pass 0 for a layer that is to be left out."
        )
    return np.asarray(np.einsum("l,...ln->...n", factors, values))
