"""How alike each network is to its own square."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_weights

EQUAL = 1e-10
"""Relative difference up to which eigenvalues, or the entries of a matrix, are the same."""

ROUNDING = 1e-13
"""Share of the largest entry of a projection below which entries are rounding, not values."""

SETTLED = 100
"""After as many squarings, doubles no longer change."""


def quasi_idempotence(weights: ArrayLike, *, squarings: float = 1) -> NDArray[np.float64]:
    r"""Return the correlation of the weights with those of the network squared.

    .. math:: \iota(k) = \operatorname{corr}_{i < j}\bigl(w_{ij}, (W^{2^k})_{ij}\bigr)

    An entry of the square sums over all two-step ways between two regions the product of the
    weights.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    squarings : int or infinity, optional
        How often the network is squared. The paper's two measures are 1 (shallow) and infinity
        (deep), which is the last one that the Brain Connectivity Toolbox returns.

    Returns
    -------
    (...) array
        From -1 to 1; independent of the unit of ``weights``. NaN where the weights, or those of
        the square, are all the same to 10 digits: among others in the complete binary network,
        the empty one, and those of two regions or fewer. In deep squaring, eigenvalues that agree
        in size to 10 digits are the same.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN; if
        ``squarings`` is neither infinite nor a whole number of at least 1.

    References
    ----------
    Minati et al. (2017), Chaos 27:043115.

    Examples
    --------
    >>> weights = [[0, 3, 2, 1], [3, 0, 1, 0], [2, 1, 0, 0], [1, 0, 0, 0]]
    >>> float(quasi_idempotence(weights).round(4))
    -0.058
    """
    if not (squarings >= 1 and (squarings == np.inf or squarings % 1 == 0)):
        raise ValueError(
            f"squarings must be a whole number of at least 1, or infinity; got {squarings}. "
            "Pass 1 for the shallow or numpy.inf for the deep measure."
        )
    checked = check_weights(weights)
    largest = checked.max(axis=(-2, -1), keepdims=True)
    scaled = checked / np.where(largest > 0, largest, 1.0)
    if squarings == np.inf:
        squared = _limit(scaled)
    else:
        squared = scaled
        for _ in range(int(min(squarings, SETTLED))):
            squared = squared @ squared
            top = squared.max(axis=(-2, -1), keepdims=True)
            squared = squared / np.where(top > 0, top, 1.0)
    upper = np.triu_indices(checked.shape[-1], 1)
    return _correlation(scaled[..., *upper], squared[..., *upper])


def _limit(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what is left of networks squared for ever: a projection on their leading vectors."""
    values, vectors = np.linalg.eigh(weights)
    size = np.abs(values)
    leading = size >= (1 - EQUAL) * size.max(axis=-1, keepdims=True)
    kept = vectors * leading[..., None, :]
    limit = kept @ np.swapaxes(kept, -2, -1)
    limit[np.abs(limit) < ROUNDING * np.abs(limit).max(axis=(-2, -1), keepdims=True)] = 0.0
    return np.asarray(limit)


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation over the last axis, NaN where one of the two does not vary."""
    if first.shape[-1] == 0:
        return np.full(first.shape[:-1], np.nan)
    centred = [each - each.mean(axis=-1, keepdims=True) for each in (first, second)]
    varies = [
        np.abs(deviation).max(axis=-1) > EQUAL * np.abs(each).max(axis=-1)
        for deviation, each in zip(centred, (first, second), strict=True)
    ]
    norms = np.sqrt((centred[0] ** 2).sum(axis=-1) * (centred[1] ** 2).sum(axis=-1))
    cosine = (centred[0] * centred[1]).sum(axis=-1) / np.where(varies[0] & varies[1], norms, np.nan)
    return np.asarray(np.clip(cosine, -1.0, 1.0))
