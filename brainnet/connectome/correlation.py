"""Edges from regional time series: Pearson correlation."""

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONSTANT_TOLERANCE = 1e-12
"""A series whose root-mean-square deviation is a smaller share of its level is constant."""


def pearson(timeseries: ArrayLike) -> NDArray[np.float64]:
    r"""Return the Pearson correlation between the time series of each pair of regions.

    .. math:: r_{ij} = \frac{\sum_t (x_{ti} - \bar x_i)(x_{tj} - \bar x_j)}
              {\sqrt{\sum_t (x_{ti} - \bar x_i)^2 \sum_t (x_{tj} - \bar x_j)^2}}

    Parameters
    ----------
    timeseries : (..., n_timepoints, n_regions) array
        Any unit; at least 3 time points. NaN marks what was not measured.

    Returns
    -------
    (..., n_regions, n_regions) array
        In [-1, 1], exactly symmetric, zero diagonal. A region that holds a NaN or is constant
        (to rounding) is NaN in its whole row and column, the diagonal included.

    Raises
    ------
    ValueError
        If ``timeseries`` has fewer than two axes or three time points, or holds infinities.

    References
    ----------
    Pearson (1895), Proc R Soc Lond 58:240-242.

    Examples
    --------
    >>> pearson([[1.0, 2.0, 5.0], [2.0, 4.0, 5.0], [3.0, 6.0, 5.0]])
    array([[ 0.,  1., nan],
           [ 1.,  0., nan],
           [nan, nan, nan]])
    """
    series = np.asarray(timeseries, dtype=np.float64)
    if series.ndim < 2 or series.shape[-2] < 3 or series.shape[-1] == 0:
        raise ValueError(
            "timeseries must be (..., n_timepoints, n_regions) with at least 3 time points and "
            f"one region; got shape {series.shape}. Correlation of fewer points says nothing."
        )
    if np.isinf(series).any():
        raise ValueError(
            f"timeseries must not be infinite; got {int(np.isinf(series).sum())} infinite values. "
            "Set unmeasured regions to NaN."
        )
    return correlate_columns(series)


def correlate_columns(
    columns: NDArray[np.float64], level: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the correlation of columns, NaN for those that hold NaN or do not vary.

    Parameters
    ----------
    columns : (..., n_samples, n_columns) array
        NaN marks a column that was not measured.
    level : (..., n_columns) array, optional
        What counts as the size of a column when judging whether it varies; by default its
        largest absolute value.

    Returns
    -------
    (..., n_columns, n_columns) array
        In [-1, 1], exactly symmetric, zero diagonal, NaN rows and columns.

    Examples
    --------
    >>> correlate_columns(np.array([[0.0, 3.0], [1.0, 2.0], [2.0, 1.0]])).round(6)
    array([[ 0., -1.],
           [-1.,  0.]])
    """
    level = np.abs(columns).max(axis=-2) if level is None else level
    unit = np.where(level > 0, level, 1.0)[..., None, :]
    scaled = columns / unit  # squares neither overflow nor vanish
    centred = scaled - scaled.mean(axis=-2, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=-2))
    varies = norm > CONSTANT_TOLERANCE * np.sqrt(columns.shape[-2])  # False for NaN
    norm = np.where(varies, norm, 1.0)
    normed = np.where(varies[..., None, :], centred / norm[..., None, :], 0.0)
    product = np.swapaxes(normed, -1, -2) @ normed
    correlation = np.clip((product + np.swapaxes(product, -1, -2)) / 2, -1.0, 1.0)
    diagonal = np.arange(columns.shape[-1])
    correlation[..., diagonal, diagonal] = 0.0
    return np.where(varies[..., :, None] & varies[..., None, :], correlation, np.nan)


def fisher_z(correlation: ArrayLike) -> NDArray[np.float64]:
    r"""Return Fisher's variance-stabilising transform of correlations.

    .. math:: z = \operatorname{artanh}(r)

    Parameters
    ----------
    correlation : (...) array
        In [-1, 1]. NaN marks what was not measured.

    Returns
    -------
    (...) array
        NaN stays NaN. A correlation of exactly 1 or -1 (two identical regions) would be
        infinite: it becomes artanh of the nearest number inside, ±18.7, with a warning.

    Raises
    ------
    ValueError
        If a correlation lies outside [-1, 1].

    References
    ----------
    Fisher (1915), Biometrika 10:507-521.

    Examples
    --------
    >>> fisher_z([0.0, 0.5]).round(4)
    array([0.    , 0.5493])
    """
    values = np.asarray(correlation, dtype=np.float64)
    size = np.abs(values)
    if (size > 1).any():
        raise ValueError(
            f"correlation must lie in [-1, 1]; got {values[size > 1][0]:.6g}. "
            "Pass correlations, not covariances or z values."
        )
    if (size == 1).any():
        warnings.warn(
            f"{int((size == 1).sum())} correlations are exactly 1 or -1: their z is capped at "
            "18.7. Two regions have the same signal; check that they do not share voxels.",
            UserWarning,
            stacklevel=2,
        )
    limit = np.nextafter(1.0, 0.0)
    return np.arctanh(np.clip(values, -limit, limit))
