"""Standardised uptake value ratio: a PET image over the mean of a reference region."""

from __future__ import annotations

import warnings

import numpy as np
from nibabel.nifti1 import Nifti1Image

MIN_COVERAGE = 0.5


def suvr(img: Nifti1Image, reference_mask_img: Nifti1Image) -> tuple[Nifti1Image, float]:
    r"""Divide a PET image by its mean over the reference region.

    .. math:: \mathrm{SUVR}_v = y_v \Big/ \frac{1}{|R|} \sum_{i \in R} y_i

    Parameters
    ----------
    img : image (x, y, z)
        Static uptake, in any unit that is proportional to activity (Bq/ml, SUV).
    reference_mask_img : image (x, y, z)
        Not zero in the reference region R; same grid as ``img``.

    Returns
    -------
    suvr_img : image (x, y, z)
        float32, no unit; NaN where ``img`` is NaN.
    reference_mean : float
        In the unit of ``img``, over the finite voxels of R.

    Raises
    ------
    ValueError
        If ``img`` is not 3-D, the grids differ, the mask is empty, less than half of it is
        finite in ``img`` (outside the scan), or the mean is not positive.

    Warns
    -----
    UserWarning
        If a part of the reference region is not finite in ``img``.

    References
    ----------
    Lopresti et al. (2005), J Nucl Med 46:1959-1972.

    Examples
    --------
    >>> import numpy as np, nibabel as nib
    >>> pet = nib.Nifti1Image(np.array([2, 4, 9], "f4").reshape(3, 1, 1), np.eye(4))
    >>> reference = nib.Nifti1Image(np.array([1, 1, 0], "u1").reshape(3, 1, 1), np.eye(4))
    >>> ratio, mean = suvr(pet, reference)
    >>> mean, ratio.get_fdata().ravel().round(3).tolist()
    (3.0, [0.667, 1.333, 3.0])
    """
    _check_grids(img, reference_mask_img)
    data = np.asarray(img.dataobj, dtype=np.float64)
    mean = _reference_mean(data[np.asarray(reference_mask_img.dataobj) != 0])
    header = img.header.copy()
    header.set_slope_inter(1.0, 0.0)
    header.set_data_dtype(np.float32)
    return Nifti1Image((data / mean).astype(np.float32), img.affine, header), mean


def _reference_mean(values: np.ndarray) -> float:
    if values.size == 0:
        raise ValueError(
            "reference_mask_img must hold at least one voxel; it is empty. The reference region "
            "fell outside the grid: check the registration, or name another region."
        )
    finite = values[np.isfinite(values)]
    coverage = finite.size / values.size
    if coverage < MIN_COVERAGE:
        raise ValueError(
            f"img must cover the reference region; {coverage:.0%} of its {values.size} voxels are "
            "finite. The scan does not reach it: name another reference region."
        )
    if coverage < 1:
        warnings.warn(
            f"Only {coverage:.0%} of the reference region lies inside the PET image: the ratio "
            "rests on that part. Check the field of view, or name another reference region.",
            UserWarning,
            stacklevel=3,
        )
    mean = float(finite.mean())
    if not mean > 0:
        raise ValueError(
            f"The mean of img over the reference region must be positive; got {mean:.4g}. Check "
            "that the mask lies over the brain and that img holds uptake, not a difference."
        )
    return mean


def _check_grids(img: Nifti1Image, mask_img: Nifti1Image) -> None:
    if len(img.shape) != 3:
        raise ValueError(
            f"img must be 3-D; got shape {img.shape}. Average the frames of a dynamic scan first."
        )
    if img.shape != mask_img.shape or not np.allclose(img.affine, mask_img.affine, atol=1e-3):
        grids = [
            f"shape {each.shape} affine {np.round(np.asarray(each.affine)[:3], 3).tolist()}"
            for each in (mask_img, img)
        ]
        raise ValueError(
            f"reference_mask_img must lie on the grid of img; got {grids[0]} against {grids[1]}. "
            "Resample the mask onto the image first."
        )
