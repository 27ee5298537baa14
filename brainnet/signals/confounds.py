"""Nuisance time courses of a BOLD series: motion, displacement, DVARS, tissue means.

Names and definitions follow fMRIPrep, so that tables of either can be cleaned with the same code.
"""

import warnings

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

Array = NDArray[np.float64]

_AXES = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
_HEAD_RADIUS = 50.0  # mm, Power et al. (2012)
_SURE = 0.9  # a voxel with at least this much of a tissue belongs to its mask
_IQR_TO_SD = 1.349  # interquartile range of a standard normal variable
_ZERO_SD = 1e-7  # of the normalised intensity; nipype's tolerance
_BLOCK = 20_000  # voxels at a time


class ConfoundWarning(UserWarning):
    """Some confound could not be measured."""


def dvars(data: ArrayLike) -> Array:
    r"""Return the root mean square over voxels of the change since the volume before.

    .. math:: D_t = \sqrt{\frac{1}{V} \sum_v (y_{t,v} - y_{t-1,v})^2}

    with intensities :math:`y` scaled so that the median over all volumes and voxels is 1000.

    Parameters
    ----------
    data : (T, V) array
        T volumes of V voxels of the brain, before any removal of means. Voxels whose robust
        standard deviation is zero are left out.

    Returns
    -------
    (T,) array
        In thousandths of the median intensity, >= 0. NaN in the first place, and everywhere if
        no voxel varies.

    Raises
    ------
    ValueError
        If ``data`` is not 2-D and finite, or its median is not positive.

    Notes
    -----
    Equals ``dvars`` of fMRIPrep (nipype's ComputeDVARS, not standardised).

    References
    ----------
    Power et al. (2012), NeuroImage 59:2142.

    Examples
    --------
    >>> dvars([[100.0, 100], [103, 99], [101, 97], [97, 101], [104, 98]]).round(2).tolist()
    [nan, 22.36, 20.0, 40.0, 53.85]
    """
    return _dvars_pair(data)[0]


def std_dvars(data: ArrayLike) -> Array:
    r"""Return DVARS relative to what it would be without artefacts.

    .. math:: \frac{D_t}{\frac{1}{V} \sum_v \hat\sigma_v \sqrt{2 (1 - \hat\rho_v)}}

    with the robust standard deviation :math:`\hat\sigma_v` (interquartile range / 1.349) and the
    lag-1 autocorrelation :math:`\hat\rho_v` (Yule-Walker) of voxel v.

    Parameters
    ----------
    data : (T, V) array
        As in `dvars`.

    Returns
    -------
    (T,) array
        No unit; about 1 in a clean volume. NaN as in `dvars`.

    Raises
    ------
    ValueError
        As `dvars`.

    Notes
    -----
    Quartiles are taken at the next lower order statistic, as FSL and nipype do, so that the
    result equals ``std_dvars`` of fMRIPrep.

    References
    ----------
    Nichols (2013), Notes on creating a standardized version of DVARS (arXiv:1704.01469).

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(1000.0, 10.0, (200, 500))
    >>> bool(abs(np.nanmean(std_dvars(noise)) - 1) < 0.03)
    True
    """
    return _dvars_pair(data)[1]


def confounds_table(
    img4d: Nifti1Image,
    mask_img: Nifti1Image,
    wm_mask_img: Nifti1Image,
    csf_mask_img: Nifti1Image,
    motion_parameters: ArrayLike,
) -> pd.DataFrame:
    """Tabulate the confounds of a realigned BOLD series.

    Parameters
    ----------
    img4d : 4-D image
        T realigned volumes.
    mask_img : 3-D image
        Non-zero in the brain, where all volumes were measured. Voxels that are not finite in
        some volume are left out.
    wm_mask_img, csf_mask_img : 3-D image
        Masks or probabilities of white matter and CSF: voxels of 0.9 and more within the brain
        count, and of these the ones whose six neighbours do too. Where this erosion leaves
        nothing, the mask is used as it is.
    motion_parameters : (T, 6) array
        Translations (mm) and rotations (rad) along and about x, y, z.

    Returns
    -------
    DataFrame
        T rows; ``trans_x`` to ``rot_z``, their ``_derivative1`` (backward difference),
        ``_power2`` and ``_derivative1_power2``; ``framewise_displacement`` (mm, Power 2012);
        ``dvars``, ``std_dvars``; ``white_matter``, ``csf``, ``global_signal`` (means, in the
        unit of ``img4d``). As in fMRIPrep the first row is NaN where a column needs the volume
        before.

    Warns
    -----
    ConfoundWarning
        If a tissue has no voxel; its column is NaN.

    Raises
    ------
    ValueError
        If the images are not on one grid, the lengths differ, or the brain has no voxel.

    References
    ----------
    Esteban et al. (2019), Nat Methods 16:111. Friston et al. (1996), Magn Reson Med 35:346.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> img4d = Nifti1Image(rng.normal(1000, 10, (5, 5, 5, 9)).astype(np.float32), np.eye(4))
    >>> mask_img = Nifti1Image(np.ones((5, 5, 5), np.uint8), np.eye(4))
    >>> table = confounds_table(img4d, mask_img, mask_img, mask_img, np.zeros((9, 6)))
    >>> table.shape
    (9, 30)
    """
    for name, img in (("mask", mask_img), ("wm_mask", wm_mask_img), ("csf_mask", csf_mask_img)):
        _check_grid(img4d, img, f"{name}_img")
    parameters = _check_parameters(motion_parameters, img4d.shape[3])
    data = np.asanyarray(img4d.dataobj)
    brain = (np.asarray(mask_img.dataobj) > 0) & np.isfinite(data).all(axis=-1)
    if not brain.any():
        raise ValueError(
            "mask_img must have a voxel that is finite in all volumes of img4d; got none. "
            "Check the registration of the brain mask."
        )
    table = _motion_columns(parameters)
    table["framewise_displacement"] = _framewise_displacement(parameters)
    table["dvars"], table["std_dvars"] = _dvars_pair(data[brain].T)
    table["white_matter"] = _tissue_mean(data, brain, wm_mask_img, "white matter")
    table["csf"] = _tissue_mean(data, brain, csf_mask_img, "CSF")
    table["global_signal"] = data[brain].mean(axis=0, dtype=np.float64)
    return table


def _dvars_pair(data: ArrayLike) -> tuple[Array, Array]:
    """Return DVARS and standardised DVARS."""
    values = _check_data(data)
    result = np.full((2, len(values)), np.nan)
    scale = 1000.0 / _positive_median(values)
    spread, correlation = _noise(values)
    varies = spread * scale > _ZERO_SD
    if not varies.any():
        return result[0], result[1]
    expected = scale * float((spread * np.sqrt(2 * (1 - correlation)))[varies].mean())
    before = values[0][varies].astype(np.float64)
    for volume in range(1, len(values)):
        now = values[volume][varies].astype(np.float64)
        result[0, volume] = scale * np.sqrt(np.mean((now - before) ** 2))
        before = now
    result[1] = result[0] / expected
    return result[0], result[1]


def _noise(values: NDArray[np.floating]) -> tuple[Array, Array]:
    """Return the robust standard deviation and the lag-1 autocorrelation of each voxel."""
    spread, correlation = np.zeros((2, values.shape[1]))
    for start in range(0, values.shape[1], _BLOCK):
        part = slice(start, start + _BLOCK)
        block = values[:, part].astype(np.float64)
        low, high = np.percentile(block, [25, 75], axis=0, method="lower")
        spread[part] = (high - low) / _IQR_TO_SD
        block -= block.mean(axis=0)
        power = (block**2).sum(axis=0)
        lagged = (block[1:] * block[:-1]).sum(axis=0)
        correlation[part] = np.divide(lagged, power, out=np.zeros_like(power), where=power > 0)
    return spread, correlation


def _motion_columns(parameters: Array) -> pd.DataFrame:
    """Expand the six parameters to 24: with derivatives, and the squares of both."""
    derivatives = np.diff(parameters, axis=0, prepend=np.full((1, 6), np.nan))
    columns = {}
    for axis, name in enumerate(_AXES):
        columns[name] = parameters[:, axis]
        columns[f"{name}_derivative1"] = derivatives[:, axis]
        columns[f"{name}_power2"] = parameters[:, axis] ** 2
        columns[f"{name}_derivative1_power2"] = derivatives[:, axis] ** 2
    return pd.DataFrame(columns)


def _framewise_displacement(parameters: Array) -> Array:
    """As imaging.motion.framewise_displacement, but NaN in the first row."""
    moved = np.abs(np.diff(parameters, axis=0, prepend=np.full((1, 6), np.nan)))
    weights = np.repeat([1.0, _HEAD_RADIUS], 3)
    return np.asarray(moved @ weights)


def _tissue_mean(
    data: NDArray[np.floating], brain: NDArray[np.bool_], tissue_img: Nifti1Image, name: str
) -> Array:
    """Average over a tissue, away from its border if anything is left there."""
    tissue = brain & (np.asarray(tissue_img.dataobj) >= _SURE)
    core = ndimage.binary_erosion(tissue)
    chosen = core if core.any() else tissue
    if not chosen.any():
        warnings.warn(
            f"The brain has no voxel of {name} (probability of at least {_SURE}), so that its "
            "column is n/a and its signal cannot be regressed out. Check the segmentation and "
            "the registration of BOLD to T1w.",
            ConfoundWarning,
            stacklevel=3,
        )
        return np.full(data.shape[-1], np.nan)
    return np.asarray(data[chosen].mean(axis=0, dtype=np.float64))


def _check_data(data: ArrayLike) -> NDArray[np.floating]:
    """Return data as a finite floating-point array (T, V)."""
    values = np.asarray(data)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(
            f"data must have shape (T, V), neither 0; got {values.shape}. Pass img4d data within "
            "the brain mask, volumes first."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"data must be finite; got {int((~np.isfinite(values)).sum())} values that are not. "
            "Leave out voxels that were not measured in all volumes."
        )
    return values


def _positive_median(values: NDArray[np.floating]) -> float:
    """Return the median over all volumes and voxels, which intensities are divided by."""
    median = float(np.median(values))
    if not median > 0:
        raise ValueError(
            f"data must have a positive median; got {median:.3g}. Pass the intensities of the "
            "brain as measured: do not remove their mean first."
        )
    return median


def _check_grid(img4d: Nifti1Image, img: Nifti1Image, name: str) -> None:
    """Refuse a mask on another grid."""
    if img4d.ndim != 4:
        raise ValueError(f"img4d must be 4-D; got shape {img4d.shape}. Pass the whole series.")
    if img.shape != img4d.shape[:3] or not np.allclose(img.affine, img4d.affine, atol=1e-3):
        raise ValueError(
            f"{name} must be on the grid of img4d; got shape {img.shape} and affine "
            f"{img.affine.tolist()} for {img4d.shape[:3]} and {img4d.affine.tolist()}. "
            "Resample it to img4d first."
        )


def _check_parameters(parameters: ArrayLike, n_timepoints: int) -> Array:
    """Return the motion parameters as a finite array with one row a volume."""
    given = np.asarray(parameters, dtype=np.float64)
    if given.shape != (n_timepoints, 6) or not np.isfinite(given).all():
        raise ValueError(
            f"motion_parameters must be finite, of shape ({n_timepoints}, 6); got {given.shape}. "
            "Use the parameters of this run: 3 translations (mm), 3 rotations (rad) a volume."
        )
    return given
