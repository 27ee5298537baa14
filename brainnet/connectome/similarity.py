r"""Edges from the voxels of each region: how alike two distributions are.

The density of each region's voxel values is estimated by a Gaussian kernel on one grid that all
regions share, and two densities are compared by a divergence. This gives one network per subject
from a single image, as in Kong et al. (2015) and Wang et al. (2016).

*Density.* Region :math:`i` with :math:`n_i` values of standard deviation :math:`s_i` has Scott's
bandwidth :math:`h_i = s_i n_i^{-1/5}`, or the grid step if that is larger. The grid has
``n_points`` points from the smallest value of all regions less :math:`3 \max_i h_i` to the
largest plus as much. Values are shared linearly between the two nearest points of a grid four
times finer, convolved with the Gaussian by Fourier transform, and read at every fourth point;
the density is scaled to the sum 1: :math:`p_{ik}` is the share of region :math:`i` at point
:math:`k`.

References
----------
Kong, Liu, Jiang, et al. (2015), PLoS ONE 10:e0141840 (symmetric Kullback–Leibler).
Wang, Jin, Zhang and Wang (2016), Brain Behav 6:e00448 (the same, with kernel densities).
Endres and Schindelin (2003), IEEE Trans Inf Theory 49:1858-1860 (the Jensen–Shannon metric).
Scott (1992), Multivariate Density Estimation, Wiley.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

OVERSAMPLING = 4
"""Fine grid points per point of the grid."""

DENSITY_FLOOR = 1e-12
"""Smallest share at one grid point in the Kullback–Leibler divergence."""


def js_similarity(
    samples: Sequence[ArrayLike | None], *, n_points: int = 256, min_samples: int = 30
) -> NDArray[np.float64]:
    r"""Return one less the Jensen–Shannon distance between the voxel densities of regions.

    .. math:: s_{ij} = 1 - \sqrt{H(\tfrac{p_i + p_j}{2}) - \tfrac{H(p_i) + H(p_j)}{2}},
              \quad H(p) = -\sum_k p_k \log_2 p_k

    Parameters
    ----------
    samples : sequence of n_regions 1-D arrays, or None
        Voxel values, all in one unit; NaN values are left out.
    n_points : int, optional
        Points of the common grid, at least 16.
    min_samples : int, optional
        A region with fewer values is not measured; at least 2.

    Returns
    -------
    (n_regions, n_regions) array
        In [0, 1]: 1 for equal densities, 0 for densities without overlap. Exactly symmetric,
        zero diagonal. A region that is None, has too few values, or has one single value
        repeated, is NaN in its whole row and column, the diagonal included. Invariant to a
        common shift and scale of all values.

    Raises
    ------
    ValueError
        If ``samples`` is empty, a region is not 1-D or holds infinities, or an option is out of
        range.

    References
    ----------
    Endres and Schindelin (2003), IEEE Trans Inf Theory 49:1858-1860; Wang et al. (2016), Brain
    Behav 6:e00448. The module's docstring defines the density.

    Examples
    --------
    >>> values = np.linspace(0, 1, 100)
    >>> js_similarity([values, values, values + 9, None]).round(3)
    array([[ 0.,  1.,  0., nan],
           [ 1.,  0.,  0., nan],
           [ 0.,  0.,  0., nan],
           [nan, nan, nan, nan]])
    """
    shares, measured = _shares(samples, n_points, min_samples)
    entropies = _entropy(shares)
    similarity = np.zeros((len(shares), len(shares)))
    for i in range(len(shares) - 1):
        mixed = _entropy((shares[i] + shares[i + 1 :]) / 2)
        divergence = mixed - (entropies[i] + entropies[i + 1 :]) / 2
        similarity[i, i + 1 :] = 1 - np.sqrt(np.clip(divergence, 0.0, 1.0))
    return _all_regions(similarity + similarity.T, measured)


def kl_similarity(
    samples: Sequence[ArrayLike | None], *, n_points: int = 256, min_samples: int = 30
) -> NDArray[np.float64]:
    r"""Return the exponential of minus the symmetric Kullback–Leibler divergence of regions.

    .. math:: s_{ij} = \exp\Bigl(-\sum_k (p_{ik} - p_{jk}) \ln \frac{p_{ik}}{p_{jk}}\Bigr)

    Parameters
    ----------
    samples : sequence of n_regions 1-D arrays, or None
        Voxel values, all in one unit; NaN values are left out.
    n_points : int, optional
        Points of the common grid, at least 16.
    min_samples : int, optional
        A region with fewer values is not measured; at least 2.

    Returns
    -------
    (n_regions, n_regions) array
        In [0, 1]: 1 for equal densities. Exactly symmetric, zero diagonal, NaN as in
        ``js_similarity``. Shares below ``DENSITY_FLOOR`` count as that, which keeps the
        divergence finite (at most about 55, a similarity of 1e-24). Where one region has values
        far outside the range of the other, that floor and not the data sets the divergence:
        ``js_similarity`` has no such weakness.

    Raises
    ------
    ValueError
        If ``samples`` is empty, a region is not 1-D or holds infinities, or an option is out of
        range.

    References
    ----------
    Kong et al. (2015), PLoS ONE 10:e0141840; Wang et al. (2016), Brain Behav 6:e00448. The
    module's docstring defines the density.

    Examples
    --------
    >>> values = np.linspace(0, 1, 100)
    >>> kl_similarity([values, values]).round(3)
    array([[0., 1.],
           [1., 0.]])
    """
    shares, measured = _shares(samples, n_points, min_samples)
    floored = np.maximum(shares, DENSITY_FLOOR)
    floored /= floored.sum(axis=-1, keepdims=True)
    logs = np.log(floored)
    divergence = np.zeros((len(shares), len(shares)))
    for i in range(len(shares) - 1):
        differences = (floored[i] - floored[i + 1 :]) * (logs[i] - logs[i + 1 :])
        divergence[i, i + 1 :] = differences.sum(axis=-1)
    similarity = np.triu(np.exp(-divergence), k=1)
    return _all_regions(similarity + similarity.T, measured)


def _shares(
    samples: Sequence[ArrayLike | None], n_points: int, min_samples: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the densities (n_measured, n_points) of measured regions, and which these are."""
    if len(samples) == 0 or n_points < 16 or min_samples < 2:
        raise ValueError(
            "samples must hold a region, n_points be at least 16 and min_samples at least 2; got "
            f"{len(samples)} regions, n_points={n_points}, min_samples={min_samples}. "
            "Pass one array per region of the atlas, None for an unmeasured one."
        )
    regions = [_finite_values(region, i) for i, region in enumerate(samples)]
    usable = [len(region) >= min_samples and float(np.ptp(region)) > 0 for region in regions]
    measured = np.array(usable, dtype=bool)
    kept = [region for region, use in zip(regions, usable, strict=True) if use]
    if not kept:
        return np.zeros((0, n_points)), measured
    return _kernel_shares(kept, n_points), measured


def _finite_values(region: ArrayLike | None, index: int) -> NDArray[np.float64]:
    """Return one region's values without NaN."""
    values = np.asarray([] if region is None else region, dtype=np.float64)
    if values.ndim != 1 or np.isinf(values).any():
        raise ValueError(
            f"samples[{index}] must be 1-D and not infinite; got shape {values.shape} with "
            f"{int(np.isinf(values).sum())} infinite values. Pass the voxel values of one region."
        )
    return np.asarray(values[~np.isnan(values)])


def _kernel_shares(regions: list[NDArray[np.float64]], n_points: int) -> NDArray[np.float64]:
    """Return Gaussian kernel densities on the common grid, each with the sum 1."""
    bandwidth = np.array([region.std(ddof=1) * len(region) ** -0.2 for region in regions])
    low = min(float(region.min()) for region in regions) - 3 * bandwidth.max()
    high = max(float(region.max()) for region in regions) + 3 * bandwidth.max()
    step = (high - low) / (n_points - 1)
    bandwidth = np.maximum(bandwidth, step)
    n_fine = n_points * OVERSAMPLING
    counts = _linear_bins(regions, low, step / OVERSAMPLING, n_fine)
    frequency = np.fft.rfftfreq(2 * n_fine, d=step / OVERSAMPLING)  # cycles per unit of the values
    gaussian = np.exp(-2 * (np.pi * frequency * bandwidth[:, None]) ** 2)
    smooth = np.fft.irfft(np.fft.rfft(counts, n=2 * n_fine) * gaussian, n=2 * n_fine)
    density = np.maximum(smooth[:, :n_fine:OVERSAMPLING], 0.0)  # rounding leaves -1e-17
    return np.asarray(density / density.sum(axis=-1, keepdims=True))


def _linear_bins(
    regions: list[NDArray[np.float64]], low: float, step: float, n_bins: int
) -> NDArray[np.float64]:
    """Return each region's values, shared between the two nearest of n_bins points."""
    sizes = [len(region) for region in regions]
    place = (np.concatenate(regions) - low) / step
    left = place.astype(np.intp)
    right_share = place - left
    flat = left + np.repeat(np.arange(len(regions)) * n_bins, sizes)
    n_all = len(regions) * n_bins
    counts = np.bincount(flat, weights=1 - right_share, minlength=n_all)
    counts += np.bincount(flat + 1, weights=right_share, minlength=n_all)
    shares = counts.reshape(len(regions), n_bins)
    return np.asarray(shares / np.array(sizes)[:, None])


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy in bits over the last axis."""
    logs = np.log2(np.where(shares > 0, shares, 1.0))
    return np.asarray(-(shares * logs).sum(axis=-1))


def _all_regions(
    similarity: NDArray[np.float64], measured: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the network of all regions, NaN where a region was not measured."""
    full = np.full((len(measured), len(measured)), np.nan)
    full[np.ix_(measured, measured)] = similarity
    return full
