"""Evaluate one volume at the voxels of another grid: what resampling and motion share."""

from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage

# A voxel is a box: it reaches half a voxel beyond its centre, and rounding must not lose its face.
_FACE = 0.5 + 1e-4


def sample(
    source: NDArray[Any],
    index_matrix: NDArray[np.float64],
    shape: tuple[int, ...],
    *,
    order: int = 3,
    cval: float = 0.0,
) -> NDArray[np.float32]:
    """Interpolate one volume at the voxels of another grid.

    Parameters
    ----------
    source : (X, Y, Z) array
        Values that are not finite are read as 0.
    index_matrix : (4, 4) array
        Maps indices of the result to indices of ``source``.
    shape : 3 ints
        Shape of the result.
    order, cval
        As in `resample`.

    Returns
    -------
    (*shape) array
        float32, clipped to the range of ``source``, ``cval`` outside its field of view.

    Examples
    --------
    >>> sample(np.array([[[1.0, 3.0]]]), np.eye(4), (1, 1, 3), order=1).tolist()
    [[[1.0, 3.0, 0.0]]]
    """
    finite = np.where(np.isfinite(source), source, 0).astype(np.float32)
    spline = ndimage.spline_filter(finite, order, np.float32, "reflect") if order > 1 else finite
    data = pull(spline, index_matrix, shape, order=order)
    np.clip(data, finite.min(), finite.max(), out=data)
    data[~inside(index_matrix, shape, source.shape)] = cval
    return data


def image_like(
    data: NDArray[Any], target_img: Nifti1Image, *, affine: NDArray[np.float64] | None = None
) -> Nifti1Image:
    """Wrap an array in an image with the grid and the space code of another.

    Parameters
    ----------
    data : 3-D or 4-D array
        On the grid of ``target_img``, or of ``affine``.
    target_img : image
        Gives the affine and the code of its space (1, scanner, where it has none).
    affine : (4, 4) array, optional
        Another grid in the same space.

    Returns
    -------
    image
        qform and sform hold the affine with the same code; units are mm and s.

    Examples
    --------
    >>> like_img = Nifti1Image(np.zeros((1, 1, 1), np.uint8), np.eye(4))
    >>> int(image_like(np.ones((1, 1, 1), np.float32), like_img).header["qform_code"])
    2
    """
    header = target_img.header
    code = int(header["sform_code"]) or int(header["qform_code"]) or 1
    grid = target_img.affine if affine is None else affine
    img = Nifti1Image(data, grid)
    img.set_sform(grid, code=code, update_affine=False)  # the header rounds to float32
    img.set_qform(grid, code=code, update_affine=False)
    img.header.set_xyzt_units("mm", "sec")
    return img


def pull(
    source: NDArray[Any], index_matrix: NDArray[np.float64], shape: tuple[int, ...], *, order: int
) -> NDArray[Any]:
    """Evaluate spline coefficients (or values) at the target's voxels; reflect at the faces."""
    pulled: NDArray[Any] = ndimage.affine_transform(
        source,
        index_matrix[:3, :3],
        offset=index_matrix[:3, 3],
        output_shape=tuple(shape),
        output=source.dtype,
        order=order,
        mode="reflect",
        prefilter=False,
    )
    return pulled


def inside(
    index_matrix: NDArray[np.float64], shape: tuple[int, ...], source_shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Tell which target voxels have their centre inside the source's field of view."""
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    inside = np.ones(shape, dtype=bool)
    for axis in range(3):
        a, b, c, offset = index_matrix[axis]
        index = (a * i + b * j + offset) + c * k
        inside &= (index >= -_FACE) & (index <= source_shape[axis] - 1 + _FACE)
    return inside
