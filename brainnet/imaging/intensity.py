"""Even out the slow shading that receive coils leave over an image."""

from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet.imaging import _ants

_ITERATIONS = (50, 50, 30)
_TOLERANCE = 1e-5
_KNOTS_MM = 200


def correct_bias(img: Nifti1Image, mask_img: Nifti1Image | None = None) -> Nifti1Image:
    """Remove the smooth multiplicative bias field of an MR image with N4.

    The field is fitted as a cubic B-spline to the logarithm of the intensities (knots 200 mm
    apart, refined twice; images subsampled to 4 mm or a little more) and divides
    the whole image. It is scaled to a geometric mean of 1 over the fitted voxels, so the level
    of the image stays.

    Parameters
    ----------
    img : Nifti1Image
        Three-dimensional, finite. Voxels at or below 0 are not fitted.
    mask_img : Nifti1Image, optional
        Same grid; above 0 where the field is fitted. A brain mask is faster and more exact than
        the default, which is every voxel brighter than Otsu's threshold between air and head.

    Returns
    -------
    Nifti1Image
        float32, same grid and unit.

    Raises
    ------
    ValueError
        If ``img`` is not three-dimensional, finite and varying, or the mask is on another grid,
        empty, or holds no voxel above 0.

    References
    ----------
    Tustison et al. (2010), IEEE Trans Med Imaging 29:1310.
    """
    data = _ants.check_volume(img, "img")
    if mask_img is None:
        mask = data > otsu_threshold(data)
    else:
        mask = _ants.check_mask(mask_img, img, "mask_img")
    mask &= data > 0
    if mask.sum() < 1000:
        raise ValueError(
            f"mask_img must hold at least 1000 voxels brighter than 0; got {int(mask.sum())}. "
            "Is the image scaled to positive intensities?"
        )
    field = _bias_field(data, mask, np.asarray(img.affine))
    field /= np.exp(np.log(field[mask], dtype=np.float64).mean())
    return _ants.image_like((data / field).astype(np.float32), img)


def otsu_threshold(data: NDArray[Any]) -> float:
    """Return the threshold that best splits intensities into two groups (Otsu 1979).

    Extremes beyond the 0.1 and 99.9 percentile are clipped first.

    Examples
    --------
    >>> import numpy as np
    >>> 0 < otsu_threshold(np.repeat([0.0, 0.1, 10.0, 10.1], 50)) < 10
    True
    """
    low, high = np.percentile(data, (0.1, 99.9))
    counts, edges = np.histogram(np.clip(data, low, high), bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    total = np.cumsum(counts * centres)
    mean_below = total[:-1] / np.maximum(below, 1)
    mean_above = (total[-1] - total[:-1]) / np.maximum(above, 1)
    return float(edges[1 + np.argmax(below * above * (mean_above - mean_below) ** 2)])


def _bias_field(
    data: NDArray[np.float32], mask: NDArray[np.bool_], affine: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Fit the field with N4 and return it over the whole grid."""
    voxel = float(np.linalg.norm(affine[:3, :3], axis=0).max())
    field = _ants.ants_module().n4_bias_field_correction(
        _ants.to_ants(data, affine),
        mask=_ants.to_ants(mask, affine),
        rescale_intensities=False,
        shrink_factor=int(np.clip(np.ceil(4 / voxel), 1, 4)),
        convergence={"iters": list(_ITERATIONS), "tol": _TOLERANCE},
        spline_param=_KNOTS_MM,
        return_bias_field=True,
    )
    return np.maximum(field.numpy(), np.float32(1e-3))  # type: ignore[no-any-return]
