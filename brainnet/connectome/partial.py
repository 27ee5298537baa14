"""Edges from regional time series: correlation of two regions beside what the others explain."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.connectome.correlation import CONSTANT_TOLERANCE, check_timeseries, unit_columns


def partial(timeseries: ArrayLike) -> NDArray[np.float64]:
    r"""Return the partial correlation of each pair of regions given all other measured ones.

    .. math:: \rho_{ij} = -\frac{P_{ij}}{\sqrt{P_{ii} P_{jj}}}, \quad
              P = \bigl((1 - \delta) R + \delta I\bigr)^{-1}

    R is the Pearson correlation of the measured regions and :math:`\delta` Ledoit and Wolf's
    share, the one that is expected to come closest to the correlation that infinitely many time
    points would give. It keeps P finite where a run has fewer volumes than there are regions.

    Parameters
    ----------
    timeseries : (..., n_timepoints, n_regions) array
        Any unit; at least 3 time points. NaN marks what was not measured.

    Returns
    -------
    (..., n_regions, n_regions) array
        In [-1, 1], exactly symmetric, zero diagonal. A region that holds a NaN or is constant
        (to rounding) is NaN in its whole row and column, and is not among the others' "given".

    Raises
    ------
    ValueError
        As in ``correlation.pearson``, or if a series repeats another so exactly that R cannot be
        inverted.

    Notes
    -----
    Two things to know. What is partialled out depends on which regions were measured: compare
    people whose measured regions are the same. And :math:`\delta` takes time points as
    independent: for a filtered, slow signal the true error is larger, so it shrinks too little
    rather than too much.

    References
    ----------
    Ledoit and Wolf (2004), J Multivar Anal 88:365-411; Marrelec et al. (2006), NeuroImage
    32:228-237.

    Examples
    --------
    The ends of a chain a - b - c are correlated, but not beside b:

    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal(20000)
    >>> b = a + rng.standard_normal(20000)
    >>> c = b + rng.standard_normal(20000)
    >>> partial(np.stack([a, b, c], axis=1)).round(1) + 0
    array([[0. , 0.5, 0. ],
           [0.5, 0. , 0.7],
           [0. , 0.7, 0. ]])
    """
    series = check_timeseries(timeseries)
    flat = series.reshape(-1, *series.shape[-2:])
    networks = [_one(each) for each in flat]
    return np.array(networks).reshape(*series.shape[:-2], *(2 * series.shape[-1:]))


def shrinkage(columns: ArrayLike) -> float:
    r"""Return the share by which Ledoit and Wolf shrink a covariance towards the mean variance.

    .. math:: \delta = \min\Bigl(1, \frac{\sum_t \lVert x_t x_t^T - S \rVert^2}
              {n^2 \lVert S - \mu I \rVert^2}\Bigr), \quad \mu = \frac{\operatorname{tr} S}{p}

    Parameters
    ----------
    columns : (n, p) array
        Finite, each of mean 0; S is their covariance with the divisor n.

    Returns
    -------
    float
        In 0..1; 0 where S is a multiple of the identity already.

    References
    ----------
    Ledoit and Wolf (2004), J Multivar Anal 88:365-411, lemma 3.3 and theorem 3.2.

    Examples
    --------
    >>> shrinkage([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    0.0
    """
    x = np.asarray(columns, dtype=np.float64)
    n, p = x.shape
    covariance = x.T @ x / n
    scale = np.trace(covariance) / p
    distance = float(((covariance - scale * np.eye(p)) ** 2).sum())
    error = float(((x**2).sum(axis=1) ** 2).sum() / n - (covariance**2).sum()) / n
    if distance <= (CONSTANT_TOLERANCE * scale) ** 2 * p:
        return 0.0
    return float(min(1.0, max(0.0, error) / distance))


def _one(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the network of one (n_timepoints, n_regions) series."""
    normed, varies = unit_columns(series)
    network = np.full((series.shape[1],) * 2, np.nan)
    if varies.any():
        network[np.ix_(varies, varies)] = _of_measured(normed[:, varies] * len(series) ** 0.5)
    return network


def _of_measured(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the network of series of mean 0 and variance 1."""
    n_timepoints, n_regions = unit.shape
    share = shrinkage(unit)
    correlation = (1 - share) * (unit.T @ unit / n_timepoints) + share * np.eye(n_regions)
    smallest = float(np.linalg.eigvalsh(correlation)[0])
    if smallest < 1e-10:
        raise ValueError(
            "timeseries must not repeat one another exactly; the correlation of the measured "
            f"regions has the smallest eigenvalue {smallest:.2g} after shrinkage by {share:.2g}. "
            "Check that regions do not share voxels."
        )
    precision = np.linalg.inv(correlation)
    scale = np.sqrt(np.diagonal(precision))
    network = -precision / np.outer(scale, scale)
    network = np.clip((network + network.T) / 2, -1.0, 1.0)
    np.fill_diagonal(network, 0.0)
    return np.asarray(network)
