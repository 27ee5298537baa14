"""Move images between grids with one interpolation: single images, whole series, labels.

Every matrix here pulls: it maps a point of the target's world to a point of the source's world,
both in RAS mm. Transforms compose before any voxel is touched, so a BOLD volume that needs motion
correction, registration, normalisation and a new voxel size is still interpolated once.
"""

from collections.abc import Sequence
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import ArrayLike, NDArray

from brainnet.imaging._sampling import image_like, inside, pull, sample
from brainnet.imaging._transforms_sample import sample_displaced
from brainnet.imaging.transforms import on_grid


def resample(
    img: Nifti1Image,
    target_img: Nifti1Image,
    matrix: ArrayLike | None = None,
    *,
    displacement_img: Nifti1Image | None = None,
    order: int = 3,
    cval: float = 0.0,
) -> Nifti1Image:
    """Resample a 3-D image on the grid of another.

    Parameters
    ----------
    img : 3-D image
        Any numeric type and orientation. Voxels that are not finite are read as 0.
    target_img : 3-D or 4-D image
        Only its first three dimensions and its affine are used.
    matrix : (4, 4) array, optional
        Maps the world of ``target_img`` to the world of ``img`` (RAS mm). Default: identity.
    displacement_img : ITK vector image (x, y, z, 1, 3), optional
        Millimetres in LPS. A point of the target goes through it first, then through the matrix.
        On any grid; on the target's own it is not interpolated.
    order : int
        Order of the interpolating B-spline, 0 (nearest) to 5; 1 is linear, 3 is cubic. With a
        displacement 0, 1 or 3.
    cval : float
        Value of target voxels whose centre lies outside the field of view of ``img``.

    Returns
    -------
    3-D image
        float32, on the grid of ``target_img``.

    Raises
    ------
    ValueError
        If ``img`` is not 3-D, ``matrix`` is not a finite, invertible affine matrix, or
        ``displacement_img`` no finite ITK vector image.

    Notes
    -----
    The field of view ends at the outer faces of the outermost voxels. Between the centre and the
    outer face of such a voxel the image is continued by reflection at that face. Splines of order
    2 and more overshoot at sharp edges: values are clipped to the range of the input, so that a
    probability stays one and a magnitude stays positive. There is no anti-aliasing: smooth first
    when the target voxels are much larger. Use `resample_labels` for labels.

    Examples
    --------
    >>> img = Nifti1Image(np.arange(8.0, dtype=np.float32).reshape(2, 2, 2), np.eye(4))
    >>> target_img = Nifti1Image(np.zeros((2, 1, 1), np.uint8), np.eye(4))
    >>> shift = np.eye(4)
    >>> shift[2, 3] = 1.0  # target z=0 takes its value from source z=1
    >>> resample(img, target_img, shift, order=1).get_fdata().ravel().tolist()
    [1.0, 5.0]
    """
    _check_ndim(img, 3, "img", "Use resample_series for a series.")
    _check_order(order, displaced=displacement_img is not None)
    field = None if displacement_img is None else on_grid(displacement_img, target_img)
    composed = _index_matrices(img, target_img, np.eye(4) if matrix is None else matrix)[0]
    source = np.asarray(img.dataobj)
    data = _sample(source, composed, target_img, field, order=order, cval=cval)
    return image_like(data, target_img)


def resample_series(
    img4d: Nifti1Image,
    target_img: Nifti1Image,
    matrices: ArrayLike | None = None,
    *,
    displacement_img: Nifti1Image | None = None,
    order: int = 3,
    cval: float = 0.0,
) -> Nifti1Image:
    """Resample each volume of a series on the grid of another image, in one interpolation.

    Parameters
    ----------
    img4d : 4-D image
        T volumes. Voxels that are not finite are read as 0.
    target_img : 3-D or 4-D image
        Only its first three dimensions and its affine are used.
    matrices : (T, 4, 4) or (4, 4) array, optional
        For each volume (or for all), maps the world of ``target_img`` to that of the
        volume. With `Motion.matrices` (reference world to volume world) and a registration
        ``anat_to_reference``: ``motion.matrices @ anat_to_reference``. Default: identity.
    displacement_img : ITK vector image (x, y, z, 1, 3), optional
        As in `resample`: MNI to T1w, say, before the matrices lead from T1w to each volume.
    order, cval
        As in `resample`, whose notes on edges, clipping and aliasing hold here too.

    Returns
    -------
    4-D image
        float32, T volumes on the grid of ``target_img``; repetition time and units of ``img4d``.

    Raises
    ------
    ValueError
        If ``img4d`` is not 4-D, ``matrices`` are not T finite, invertible affine matrices, or
        ``displacement_img`` no finite ITK vector image.

    Notes
    -----
    Memory: the result (4 bytes a voxel and volume) plus a few volumes in float64; the input is
    read volume by volume.

    Examples
    --------
    >>> img4d = Nifti1Image(np.ones((3, 3, 3, 2), np.float32), np.eye(4))
    >>> resample_series(img4d, img4d, np.stack([np.eye(4), np.eye(4)])).shape
    (3, 3, 3, 2)
    """
    _check_ndim(img4d, 4, "img4d", "Use resample for a single image.")
    _check_order(order, displaced=displacement_img is not None)
    field = None if displacement_img is None else on_grid(displacement_img, target_img)
    n_timepoints = img4d.shape[3]
    composed = _index_matrices(img4d, target_img, np.eye(4) if matrices is None else matrices)
    composed = _one_each(composed, n_timepoints)
    shape = target_img.shape[:3]
    data = np.empty((n_timepoints, *shape), dtype=np.float32)
    for volume in range(n_timepoints):
        source = np.asarray(img4d.dataobj[..., volume])
        data[volume] = _sample(source, composed[volume], target_img, field, order=order, cval=cval)
    img = image_like(np.moveaxis(data, 0, -1), target_img)
    img.header.set_zooms((*img.header.get_zooms()[:3], img4d.header.get_zooms()[3]))
    img.header.set_xyzt_units("mm", img4d.header.get_xyzt_units()[1])
    return img


def resample_labels(
    labels_img: Nifti1Image, target_img: Nifti1Image, matrix: ArrayLike | None = None
) -> Nifti1Image:
    """Resample a label image on the grid of another: nearest voxel, labels and type unchanged.

    Parameters
    ----------
    labels_img : 3-D image
        Of an integer or boolean type; 0 is background, also outside the field of view.
    target_img : 3-D or 4-D image
        Only its first three dimensions and its affine are used.
    matrix : (4, 4) array, optional
        Maps the world of ``target_img`` to the world of ``labels_img``. Default: identity.

    Returns
    -------
    3-D image
        Of the type of ``labels_img`` (uint8 for boolean), on the grid of ``target_img``.

    Raises
    ------
    ValueError
        If ``labels_img`` is not 3-D or holds anything but whole numbers.

    Examples
    --------
    >>> labels_img = Nifti1Image(np.array([[[7, 1024]]], np.int16), np.eye(4))
    >>> resample_labels(labels_img, labels_img).get_fdata().ravel().tolist()
    [7.0, 1024.0]
    """
    _check_ndim(labels_img, 3, "labels_img", "Pass one label volume.")
    labels = _whole_numbers(np.asarray(labels_img.dataobj))
    composed = _index_matrices(labels_img, target_img, np.eye(4) if matrix is None else matrix)[0]
    shape = target_img.shape[:3]
    data = pull(labels, composed, shape, order=0)
    return image_like(np.where(inside(composed, shape, labels.shape), data, 0), target_img)


def target_grid(
    img: Nifti1Image,
    voxel_size: float | Sequence[float],
    *,
    crop_to_mask: Nifti1Image | None = None,
) -> Nifti1Image:
    """Lay a grid of a given voxel size over an image, in the image's own world.

    Parameters
    ----------
    img : 3-D or 4-D image
        Gives the field of view and the directions of the axes. These are reordered and flipped
        to the closest R, A, S directions but not rotated: an oblique scan gives an oblique grid.
    voxel_size : float or 3 floats
        Edge lengths along the closest R, A and S axis, mm.
    crop_to_mask : 3-D image, optional
        On any grid of the same world: the grid covers only the box around its non-zero voxels.

    Returns
    -------
    3-D image
        uint8 zeros. It covers the whole field of view (or box); what its voxel size leaves over
        is shared by both ends of each axis.

    Raises
    ------
    ValueError
        If a voxel size is not positive and finite, or ``crop_to_mask`` is empty.

    Examples
    --------
    >>> img = Nifti1Image(np.zeros((10, 10, 5), np.uint8), np.diag([-3.0, 3.0, 4.0, 1.0]))
    >>> grid_img = target_grid(img, 2.0)
    >>> grid_img.shape, grid_img.affine.diagonal().tolist()
    ((15, 15, 10), [2.0, 2.0, 2.0, 1.0])
    """
    size = np.broadcast_to(np.asarray(voxel_size, dtype=np.float64), (3,))
    if not (np.isfinite(size).all() and (size > 0).all()):
        raise ValueError(
            f"voxel_size must be positive and finite; got {voxel_size}. Give edge lengths in mm."
        )
    affine, shape = _canonical(img)
    low, high = np.full(3, -0.5), np.asarray(shape) - 0.5
    if crop_to_mask is not None:
        low, high = _mask_box(crop_to_mask, affine)
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    n_voxels = np.maximum(np.ceil((high - low) * zooms / size - 1e-3), 1.0)
    first = (low + high) / 2 - (n_voxels - 1) / 2 * size / zooms
    grid = affine @ nib.affines.from_matvec(np.diag(size / zooms), first)
    data = np.zeros(n_voxels.astype(int), dtype=np.uint8)
    return image_like(data, img, affine=grid)


def coverage_mask(
    img4d: Nifti1Image,
    target_img: Nifti1Image,
    matrices: ArrayLike | None = None,
    *,
    displacement_img: Nifti1Image | None = None,
) -> Nifti1Image:
    """Mark the target voxels that were measured in all volumes.

    A target voxel was measured in a volume if its centre lies inside the volume's field of view
    and the nearest voxel there is finite.

    Parameters
    ----------
    img4d : 3-D or 4-D image
        Any numeric type. Voxels that are not finite (NaN or infinite) count as not measured.
    target_img : 3-D or 4-D image
        Only its first three dimensions and its affine are used.
    matrices, displacement_img
        As in `resample_series`.

    Returns
    -------
    3-D image
        uint8, 1 where every volume was measured, 0 where `resample_series` fills any in or reads
        a voxel that is not finite as 0. One volume without a finite voxel leaves none.

    Raises
    ------
    ValueError
        If ``matrices`` are not one, or one a volume, finite, invertible affine matrices.

    Notes
    -----
    Interpolation of order 1 and more still mixes some of those 0 into measured voxels beside them.

    Examples
    --------
    >>> img4d = Nifti1Image(np.zeros((2, 2, 4, 2), np.float32), np.eye(4))
    >>> up = np.eye(4)
    >>> up[2, 3] = 1.0
    >>> coverage_mask(img4d, img4d, np.stack([np.eye(4), up])).get_fdata()[0, 0].tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    composed = _index_matrices(img4d, target_img, np.eye(4) if matrices is None else matrices)
    n_timepoints = img4d.shape[3] if img4d.ndim == 4 else 1
    composed = _one_each(composed, n_timepoints)
    field = None if displacement_img is None else on_grid(displacement_img, target_img)
    shape = target_img.shape[:3]
    covered = np.ones(shape, dtype=bool)
    everywhere = np.ones(img4d.shape[:3], dtype=bool)
    for each in np.unique(composed, axis=0):
        if field is None:
            covered &= inside(each, shape, everywhere.shape)
        else:
            covered &= _sample(everywhere, each, target_img, field, order=0, cval=0.0) > 0
    for volume in range(n_timepoints):
        source = img4d.dataobj[..., volume] if img4d.ndim == 4 else img4d.dataobj
        finite = np.isfinite(np.asarray(source))
        if not finite.all():
            covered &= _sample(finite, composed[volume], target_img, field, order=0, cval=0.0) > 0
    return image_like(covered.astype(np.uint8), target_img)


def _index_matrices(
    img: Nifti1Image, target_img: Nifti1Image, matrices: ArrayLike
) -> NDArray[np.float64]:
    """Compose target index -> target world -> source world -> source index, as (n, 4, 4)."""
    pulls = np.asarray(matrices, dtype=np.float64)
    if pulls.ndim not in (2, 3) or pulls.shape[-2:] != (4, 4):
        raise ValueError(
            f"matrices must have shape (4, 4) or (T, 4, 4); got {pulls.shape}. "
            "Give one world-to-world matrix for all volumes, or one for each."
        )
    if not np.isfinite(pulls).all() or not np.allclose(pulls[..., 3, :], [0, 0, 0, 1]):
        raise ValueError(
            "matrices must be finite affine matrices whose last row is 0 0 0 1; "
            f"got {pulls.reshape(-1, 4, 4)[0].tolist()} first. Check the registration."
        )
    if np.abs(np.linalg.det(pulls[..., :3, :3])).min() < 1e-9:
        raise ValueError("matrices must be invertible; got determinant 0. Check the registration.")
    composed: NDArray[np.float64] = np.linalg.inv(img.affine) @ pulls @ target_img.affine
    return composed.reshape(-1, 4, 4)


def _sample(
    source: NDArray[Any],
    index_matrix: NDArray[np.float64],
    target_img: Nifti1Image,
    field: NDArray[np.float32] | None,
    *,
    order: int,
    cval: float,
) -> NDArray[np.float32]:
    """Interpolate one volume at the voxels of the target, displaced or not."""
    if field is None:
        return sample(source, index_matrix, target_img.shape[:3], order=order, cval=cval)
    affine = np.asarray(target_img.affine)
    return sample_displaced(source, field, index_matrix, affine, order=order, cval=cval)


def _one_each(matrices: NDArray[np.float64], n_timepoints: int) -> NDArray[np.float64]:
    """Repeat a single matrix for all volumes; refuse any other mismatch."""
    if len(matrices) not in (1, n_timepoints):
        raise ValueError(
            f"matrices must be one or one for each of the {n_timepoints} volumes; got "
            f"{len(matrices)}. Use the matrices that were estimated on this series."
        )
    return np.broadcast_to(matrices, (n_timepoints, 4, 4))


def _canonical(img: Nifti1Image) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """Return affine and shape of the grid with its axes in the closest RAS order."""
    orientation = nib.orientations.io_orientation(img.affine)
    back = nib.orientations.inv_ornt_aff(orientation, img.shape[:3])
    axes = np.argsort(orientation[:, 0])
    return img.affine @ back, tuple(img.shape[axis] for axis in axes)


def _mask_box(
    mask_img: Nifti1Image, affine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the box around a mask's voxels, in the indices of the grid that has ``affine``."""
    voxels = np.argwhere(np.asarray(mask_img.dataobj) != 0)
    if not len(voxels):
        raise ValueError("crop_to_mask must have a non-zero voxel; got none. Check the brain mask.")
    ends = np.stack([voxels.min(0) - 0.5, voxels.max(0) + 0.5])
    corners = np.stack(np.meshgrid(*ends.T, indexing="ij"), axis=-1).reshape(-1, 3)
    index = nib.affines.apply_affine(np.linalg.inv(affine) @ mask_img.affine, corners)
    return index.min(0), index.max(0)


def _whole_numbers(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels in an integer type, or refuse fractions."""
    if labels.dtype == np.bool_:
        return labels.astype(np.uint8)
    if np.issubdtype(labels.dtype, np.integer):
        return labels
    if not np.isfinite(labels).all() or (labels != np.round(labels)).any():
        raise ValueError(
            "labels_img must hold whole numbers; got fractions or NaN. Use resample for "
            "probabilities and intensities."
        )
    return labels.astype(np.int32)


def _check_ndim(img: Nifti1Image, ndim: int, name: str, remedy: str) -> None:
    """Refuse an image of another number of dimensions."""
    if img.ndim != ndim:
        raise ValueError(f"{name} must be {ndim}-D; got shape {img.shape}. {remedy}")


def _check_order(order: int, *, displaced: bool) -> None:
    """Refuse spline orders that there are no loops for."""
    if order not in range(6):
        raise ValueError(f"order must be 0 to 5; got {order}. Use 3 (cubic) or 1 (linear).")
    if displaced and order not in (0, 1, 3):
        raise ValueError(
            f"order must be 0, 1 or 3 with displacement_img; got {order}. Use 3 (cubic)."
        )
