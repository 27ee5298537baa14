"""How densely the neighbours of each region are connected, with positive and negative weights."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_weights
from brainnet.metrics._triangles import closed_triples, divide, neighbour_pairs


def clustering_onnela_signed(
    weights: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return the mean intensity of the triangles of positive, and of negative, edges.

    ``clustering_weighted`` of the positive weights, and of the magnitudes of the negative ones,
    both over the largest magnitude of the network.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. The scale does not matter: each network is divided by
        its largest magnitude, which the Brain Connectivity Toolbox leaves to the caller.

    Returns
    -------
    positive, negative : (..., n_regions) array
        From 0 to 1; 0 for a region with fewer than two neighbours of that sign.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, or holds NaN.

    References
    ----------
    Onnela, Saramäki, Kertész and Kaski (2005), Phys Rev E 71:065103.
    Costantini and Perugini (2014), PLoS ONE 9:e88669.

    Examples
    --------
    >>> positive, negative = clustering_onnela_signed([[0, 1, 1], [1, 0, -1], [1, -1, 0]])
    >>> positive
    array([0., 0., 0.])
    """
    positive, negative = _parts(_scaled(weights))
    return (
        divide(closed_triples(np.cbrt(positive)), neighbour_pairs(positive)),
        divide(closed_triples(np.cbrt(negative)), neighbour_pairs(negative)),
    )


def clustering_zhang_horvath_signed(
    weights: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return the clustering of Zhang and Horvath of positive, and of negative, edges.

    .. math:: C_i = \frac{\sum_{jh} \hat w_{ij} \hat w_{jh} \hat w_{hi}}
              {\sum_{j \ne h} \hat w_{ij} \hat w_{ih}},
              \quad \hat w_{ij} = |w_{ij}| / \max_{kl} |w_{kl}|

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. The scale does not matter: each network is divided by
        its largest magnitude, which the Brain Connectivity Toolbox leaves to the caller.

    Returns
    -------
    positive, negative : (..., n_regions) array
        From 0 to 1; 0 for a region with fewer than two neighbours of that sign.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, or holds NaN.

    References
    ----------
    Zhang and Horvath (2005), Stat Appl Genet Mol Biol 4:17.
    Costantini and Perugini (2014), PLoS ONE 9:e88669.

    Examples
    --------
    >>> positive, _ = clustering_zhang_horvath_signed([[0, 1, 1], [1, 0, 0.5], [1, 0.5, 0]])
    >>> positive
    array([0.5, 1. , 1. ])
    """
    positive, negative = _parts(_scaled(weights))
    return (
        divide(closed_triples(positive), _pair_products(positive)),
        divide(closed_triples(negative), _pair_products(negative)),
    )


def clustering_costantini_perugini_signed(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the clustering of each region, triangles with an odd number of minuses against it.

    .. math:: C_i = \frac{\sum_{jh} \hat w_{ij} \hat w_{jh} \hat w_{hi}}
              {\sum_{j \ne h} |\hat w_{ij} \hat w_{ih}|},
              \quad \hat w_{ij} = w_{ij} / \max_{kl} |w_{kl}|

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. The scale does not matter: each network is divided by
        its largest magnitude, which the Brain Connectivity Toolbox leaves to the caller.

    Returns
    -------
    (..., n_regions) array
        From -1 to 1; 0 for a region with fewer than two neighbours.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, or holds NaN.

    References
    ----------
    Costantini and Perugini (2014), PLoS ONE 9:e88669.

    Examples
    --------
    >>> clustering_costantini_perugini_signed([[0, 1, 1], [1, 0, -1], [1, -1, 0]])
    array([-1., -1., -1.])
    """
    scaled = _scaled(weights)
    return divide(closed_triples(scaled), _pair_products(np.abs(scaled)))


def _scaled(weights: ArrayLike) -> NDArray[np.float64]:
    """Return each network over its largest magnitude."""
    checked = check_weights(weights, signed=True)
    largest = np.abs(checked).max(axis=(-2, -1), keepdims=True)
    return np.asarray(checked / np.where(largest > 0, largest, 1.0))


def _parts(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the positive weights, and the magnitudes of the negative ones."""
    return np.maximum(weights, 0.0), np.maximum(-weights, 0.0)


def _pair_products(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over j != h of w_ij w_ih, without cancellation."""
    before = np.cumsum(weights[..., :-1], axis=-1)
    return np.asarray(2.0 * (weights[..., 1:] * before).sum(axis=-1))
