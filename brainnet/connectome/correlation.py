"""Edges from regional time series: correlation of values (Pearson) or of ranks (Spearman)."""

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

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
    return correlate_columns(check_timeseries(timeseries))


def spearman(timeseries: ArrayLike) -> NDArray[np.float64]:
    r"""Return the Spearman correlation between the time series of each pair of regions.

    .. math:: \rho_{ij} = r(R(x_i), R(x_j))

    with r Pearson's correlation and R the rank within the series; equal values share the mean of
    their ranks. One volume with a spike counts no more than its rank.

    Parameters
    ----------
    timeseries : (..., n_timepoints, n_regions) array
        As in ``pearson``.

    Returns
    -------
    (..., n_regions, n_regions) array
        In [-1, 1], exactly symmetric, zero diagonal, NaN as in ``pearson``.

    Raises
    ------
    ValueError
        As in ``pearson``.

    References
    ----------
    Spearman (1904), Am J Psychol 15:72-101.

    Examples
    --------
    >>> spearman([[1.0, 1.0], [2.0, 8.0], [3.0, 27.0], [4.0, 64.0]])
    array([[0., 1.],
           [1., 0.]])
    """
    series = check_timeseries(timeseries)
    varies = unit_columns(series)[1]
    ranks = np.where(varies[..., None, :], stats.rankdata(series, axis=-2), np.nan)
    return correlate_columns(ranks)


def check_timeseries(timeseries: ArrayLike) -> NDArray[np.float64]:
    """Return time series as float64, or say what is wrong with them.

    Parameters
    ----------
    timeseries : (..., n_timepoints, n_regions) array
        At least 3 time points and one region; NaN, but nothing infinite.

    Returns
    -------
    (..., n_timepoints, n_regions) array
        float64.

    Raises
    ------
    ValueError
        If a rule above does not hold.

    Examples
    --------
    >>> check_timeseries([[1], [2], [4]]).dtype
    dtype('float64')
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
    return series


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
    normed, varies = unit_columns(columns, level)
    product = np.swapaxes(normed, -1, -2) @ normed
    correlation = np.clip((product + np.swapaxes(product, -1, -2)) / 2, -1.0, 1.0)
    diagonal = np.arange(columns.shape[-1])
    correlation[..., diagonal, diagonal] = 0.0
    return np.where(varies[..., :, None] & varies[..., None, :], correlation, np.nan)


def unit_columns(
    columns: NDArray[np.float64], level: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return columns with the mean 0 and the norm 1, and which of them vary.

    Parameters
    ----------
    columns : (..., n_samples, n_columns) array
        NaN marks a column that was not measured.
    level : (..., n_columns) array, optional
        As in ``correlate_columns``.

    Returns
    -------
    normed : (..., n_samples, n_columns) array
        0 in columns that do not vary.
    varies : (..., n_columns) array
        False for those, and for columns that hold NaN.

    Examples
    --------
    >>> unit_columns(np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]))[1].tolist()
    [True, False]
    """
    level = np.abs(columns).max(axis=-2) if level is None else level
    unit = np.where(level > 0, level, 1.0)[..., None, :]
    scaled = columns / unit  # squares neither overflow nor vanish
    centred = scaled - scaled.mean(axis=-2, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=-2))
    varies = norm > CONSTANT_TOLERANCE * np.sqrt(columns.shape[-2])  # False for NaN
    norm = np.where(varies, norm, 1.0)
    return np.where(varies[..., None, :], centred / norm[..., None, :], 0.0), varies


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
