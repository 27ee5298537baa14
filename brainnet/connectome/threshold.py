"""Leave only some edges of a network: the positive, the strong, a given share."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet._network import check_weights, strongest_edges


def positive(weights: ArrayLike) -> NDArray[np.float64]:
    """Return each network with its negative edges removed.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. Unmeasured regions are NaN.

    Returns
    -------
    (..., n_regions, n_regions) array
        ``max(weights, 0)``; unmeasured regions stay NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not square and symmetric with a zero diagonal.

    Examples
    --------
    >>> positive([[0, -0.3], [-0.3, 0]])
    array([[0., 0.],
           [0., 0.]])
    """
    checked = check_weights(weights, signed=True, nan_regions=True)
    return np.where(checked < 0, 0.0, checked)


def absolute(weights: ArrayLike, threshold: float) -> NDArray[np.float64]:
    """Return each network with only the edges at or above one absolute weight.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. Unmeasured regions are NaN.
    threshold : float
        In units of ``weights``, at least 0, so that negative edges never stay.

    Returns
    -------
    (..., n_regions, n_regions) array
        ``weights`` where ``weights >= threshold``, else 0; unmeasured regions stay NaN.
        How many edges stay differs between networks: compare with ``proportional``.

    Raises
    ------
    ValueError
        If ``threshold`` is negative or not finite, or ``weights`` is not square and symmetric
        with a zero diagonal.

    Examples
    --------
    >>> absolute([[0, 0.3], [0.3, 0]], 0.3)
    array([[0. , 0.3],
           [0.3, 0. ]])
    """
    if not (np.isfinite(threshold) and threshold >= 0):
        raise ValueError(
            f"threshold must be finite and at least 0; got {threshold}. "
            "Pass numpy.abs(weights) to threshold by magnitude."
        )
    checked = check_weights(weights, signed=True, nan_regions=True)
    return np.where(checked < threshold, 0.0, checked)


def proportional(weights: ArrayLike, density: float) -> NDArray[np.float64]:
    """Return each network with a given share of its strongest positive edges.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. Unmeasured regions are NaN.
    density : float
        Share of pairs that stay connected, above 0 and at most 1.

    Returns
    -------
    (..., n_regions, n_regions) array
        Of the ``n`` measured regions, the ``round(density * n * (n - 1) / 2)`` strongest edges
        (half to even) with their weights, 0 elsewhere; unmeasured regions stay NaN.

        *Ties*: among equal weights, the edge earlier in row-major order of the upper triangle
        stays, so the result is deterministic, and depends on the order of regions only if the
        weight at the cut is tied. *Negative and zero edges* never stay: with too few positive
        ones all of these stay, the network is sparser than asked, and a warning says so.

    Raises
    ------
    ValueError
        If ``density`` is not in (0, 1], or ``weights`` is not square and symmetric with a zero
        diagonal.

    References
    ----------
    van den Heuvel et al. (2017), NeuroImage 152:437-449, on what a fixed density does to group
    comparisons.

    Examples
    --------
    >>> proportional([[0, 0.5, -0.8], [0.5, 0, 0.9], [-0.8, 0.9, 0]], density=1 / 3)
    array([[0. , 0. , 0. ],
           [0. , 0. , 0.9],
           [0. , 0.9, 0. ]])
    """
    return strongest_edges(check_weights(weights, signed=True, nan_regions=True), density)


def binarize(weights: ArrayLike) -> NDArray[np.bool_]:
    """Return which pairs of regions are connected.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, zero diagonal, without NaN.

    Returns
    -------
    (..., n_regions, n_regions) boolean array
        True where the weight is not 0, whatever its sign.

    Raises
    ------
    ValueError
        If ``weights`` holds NaN (an unmeasured edge is neither present nor absent), or is not
        square and symmetric with a zero diagonal.

    Examples
    --------
    >>> binarize([[0, 0.3], [0.3, 0]])
    array([[False,  True],
           [ True, False]])
    """
    return np.asarray(check_weights(weights, signed=True) != 0)
