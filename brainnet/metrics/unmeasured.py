"""What to do about regions that a scan did not measure, which are NaN in their row and column.

Every measure refuses them, since leaving a region out changes the network of the others. These
are the two ways to go on, by the caller's choice; the third is to impute the region beforehand.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet._network import check_weights, measured_regions

NOT_OF_REGIONS = ("rich_club", "k_core_sizes", "joint_degree", "attack_order")
"""Beginnings of the names of measures whose results cannot be put back in place."""


def measure_rest(
    measure: Callable[[NDArray[np.float64]], ArrayLike], weights: ArrayLike
) -> NDArray[np.float64]:
    """Return a measure of each network's measured regions, NaN for the others.

    Parameters
    ----------
    measure : callable
        From ``(..., n_regions, n_regions)`` to ``(...)``, ``(..., n_regions)`` or
        ``(..., n_regions, n_regions)``, whose axes are regions and whose values do not number
        them: not rich clubs, core sizes, joint degrees or orders of attack.
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. Unmeasured regions are NaN in their row and column.

    Returns
    -------
    (...), (..., n_regions) or (..., n_regions, n_regions) array
        What ``measure`` gives of the measured regions alone. Networks of which different regions
        were measured differ in size: compare them with care, or use ``drop_everywhere``. A
        network without measured regions is NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not such an array, or the result has axes that are not regions.

    Examples
    --------
    >>> from brainnet.metrics.degree import strength
    >>> nan = np.nan
    >>> measure_rest(strength, [[0, 0.5, nan], [0.5, 0, nan], [nan, nan, nan]])
    array([0.5, 0.5, nan])
    """
    if getattr(measure, "__name__", "").startswith(NOT_OF_REGIONS):
        raise ValueError(
            f"measure must have one value per region or pair; those of {measure.__name__} are of "
            "levels, or number the regions. Leave the unmeasured regions out of every network "
            "first: unmeasured.drop_everywhere(weights)."
        )
    checked = check_weights(weights, signed=True, nan_regions=True)
    n_regions = checked.shape[-1]
    flat = checked.reshape(-1, n_regions, n_regions)
    patterns, which = np.unique(measured_regions(flat), axis=0, return_inverse=True)
    which = which.reshape(-1)
    result: NDArray[np.float64] | None = None
    for number, pattern in enumerate(patterns):
        places = np.flatnonzero(pattern)
        if len(places) == 0:
            continue
        chosen = which == number
        values = np.asarray(measure(flat[chosen][:, places[:, None], places]), dtype=np.float64)
        rank = values.ndim - 1
        if values.shape[1:] != (len(places),) * rank:
            raise ValueError(
                "measure must return one number, one per region or one per pair of regions; got "
                f"shape {values.shape} from {len(places)} measured regions. Leave the unmeasured "
                "regions out of every network first: unmeasured.drop_everywhere(weights)."
            )
        if result is None:
            result = np.full((len(flat),) + (n_regions,) * rank, np.nan)
        result[np.ix_(np.flatnonzero(chosen), *[places] * rank)] = values
    if result is None:
        raise ValueError(
            "weights must hold a measured region in at least one network; got only NaN. "
            "Check the coverage of the regions before measuring networks."
        )
    return result.reshape(checked.shape[:-2] + result.shape[1:])


def drop_everywhere(weights: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the networks of the regions that were measured in all of them.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. Unmeasured regions are NaN in their row and column.

    Returns
    -------
    weights : (..., n_kept, n_kept) array
        Without NaN.
    kept : (n_regions,) boolean array
        Which regions stayed.

    Raises
    ------
    ValueError
        If ``weights`` is not such an array, or no region was measured in every network.

    Examples
    --------
    >>> nan = np.nan
    >>> drop_everywhere([[0, 0.5, nan], [0.5, 0, nan], [nan, nan, nan]])
    (array([[0. , 0.5],
           [0.5, 0. ]]), array([ True,  True, False]))
    """
    checked = check_weights(weights, signed=True, nan_regions=True)
    measured = measured_regions(checked)
    kept = np.asarray(measured.reshape(-1, measured.shape[-1]).all(axis=0))
    if not kept.any():
        raise ValueError(
            "weights must hold a region that was measured in every network; every region is "
            "missing in one. Leave out the networks with the most unmeasured regions first."
        )
    places = np.flatnonzero(kept)
    return np.ascontiguousarray(checked[..., places[:, None], places]), kept
