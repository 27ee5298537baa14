"""Transforms between images: apply, chain and invert them, and measure their volume change.

A transform is a (4, 4) pull matrix (RAS mm) or a displacement image (ITK vector image, LPS mm, as
ANTs writes it). Both carry a *point* of the space that one resamples to into the space of the
image that is resampled. Chains are joined before any voxel is read, so that each image is
interpolated once.
"""

from typing import Any, Literal

import numpy as np
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from numpy.typing import ArrayLike, NDArray

from brainnet.imaging import _ants, _fields
from brainnet.imaging import _transforms_fields as loops
from brainnet.imaging import _transforms_sample as sampling

#: Largest distance between the corners of two grids that are one (mm).
_SAME_MM = 1e-3
#: Largest distance that an inverse may leave (mm).
_INVERSE_MM = 0.01


def apply_displacement(
    img: Nifti1Image, displacement_img: Nifti1Image, *, order: Literal[0, 1, 3] = 1
) -> Nifti1Image:
    """Carry an image through a displacement field onto the field's grid.

    Parameters
    ----------
    img : Nifti1Image
        Three-dimensional image in the space that the field points to.
    displacement_img : Nifti1Image
        ITK vector image (x, y, z, 1, 3), LPS mm, as in `register.Deformation`.
    order : {1, 0, 3}
        Linear, nearest voxel (labels: exact values, the type is kept) or cubic spline.

    Returns
    -------
    Nifti1Image
        On the field's grid; 0 beyond the centres of the outermost voxels of ``img``. float32, or
        the type of ``img`` for ``order=0``.

    Raises
    ------
    ValueError
        If ``img`` is not three-dimensional or not numeric (or not finite, for ``order=3``), the
        field no finite ITK vector image, or ``order`` unknown.

    Examples
    --------
    >>> field = np.zeros((3, 1, 1, 1, 3), np.float32)
    >>> field[..., 0] = -1.0  # LPS: one millimetre to the right
    >>> img = Nifti1Image(np.array([5.0, 6.0, 7.0], np.float32).reshape(3, 1, 1), np.eye(4))
    >>> apply_displacement(img, Nifti1Image(field, np.eye(4))).get_fdata().ravel().tolist()
    [6.0, 7.0, 0.0]
    """
    if order not in (0, 1, 3):
        raise ValueError(f"order must be 0 (labels), 1 (linear) or 3 (cubic); got {order!r}.")
    field = _fields.stored_field(displacement_img)
    data = _volume(img, order)
    affine = np.asarray(displacement_img.affine)
    index_matrix = np.linalg.inv(np.asarray(img.affine)) @ affine
    out = sampling.pull_displaced(
        sampling.spline(data, half=0) if order == 3 else data,
        field,
        index_matrix,
        affine,
        order=order,
        edges=sampling.Edges(),
    )
    return _ants.image_like(out, displacement_img)


def jacobian(displacement_img: Nifti1Image) -> Nifti1Image:
    r"""Return the determinant of the deformation's Jacobian at every voxel.

    .. math:: J = \det\left(I + \partial u / \partial x\right)

    by central differences. A tissue map carried by the field and multiplied by it keeps its
    volume: a forward field larger than 1 says that the moving brain was larger there.

    Parameters
    ----------
    displacement_img : Nifti1Image
        ITK vector image (x, y, z, 1, 3), LPS mm, as in `register.Deformation`. At least 2 voxels
        a side.

    Returns
    -------
    Nifti1Image
        float32 on the field's grid. At or below 0 where the field folds.

    Raises
    ------
    ValueError
        If the field is no finite ITK vector image, or one voxel thick.

    Examples
    --------
    >>> x = np.arange(4.0, dtype=np.float32)
    >>> field = np.zeros((4, 2, 2, 1, 3), np.float32)
    >>> field[..., 0, 0] = 0.5 * x[:, None, None]  # everything is half as far again from x = 0
    >>> float(jacobian(Nifti1Image(field, np.diag([-1.0, -1, 1, 1]))).get_fdata().max())
    1.5
    """
    field = _fields.stored_field(displacement_img)
    _check_thick(field)
    out = loops.volume_change(field, np.asarray(displacement_img.affine))
    return _ants.image_like(out, displacement_img)


def compose(*transforms: ArrayLike | Nifti1Image, grid_img: Nifti1Image) -> Nifti1Image:
    r"""Join a chain of transforms to one displacement field.

    .. math:: u(x) = T_n(\dots T_2(T_1(x))) - x

    Parameters
    ----------
    *transforms : (4, 4) array or Nifti1Image
        Pull matrices (RAS mm) and ITK vector images (LPS mm), in the order in which a *point* of
        ``grid_img`` travels; ``antsApplyTransforms -t`` takes them in the same order.
    grid_img : Nifti1Image
        Only its first three dimensions and its affine are used.

    Returns
    -------
    Nifti1Image
        ITK vector image (x, y, z, 1, 3) on that grid, float32, LPS mm. A field is interpolated
        linearly and moves no point outside of its own voxels, as in ITK.

    Raises
    ------
    ValueError
        If there is no transform, a matrix is not finite, affine and invertible, or a field is no
        finite ITK vector image.

    Examples
    --------
    A volume of a BOLD run in MNI space takes MNI -> T1w (a field), T1w -> BOLD reference and
    reference -> volume (matrices)::

        field_img = compose(to_mni_img, t1w_to_bold, motion.matrices[0], grid_img=mni_img)
        apply_displacement(volume_img, field_img)

    First a shift by 2 mm, then a doubling: the point x = 1 goes to 3, and to 6.

    >>> shift, double = np.eye(4), np.diag([2.0, 2.0, 2.0, 1.0])
    >>> shift[0, 3] = 2.0
    >>> grid_img = Nifti1Image(np.zeros((2, 1, 1), np.uint8), np.eye(4))
    >>> field_img = compose(shift, double, grid_img=grid_img)
    >>> (-field_img.get_fdata()[1, 0, 0, 0, 0]).item()  # LPS: x points to the left
    5.0
    """
    if not transforms:
        raise ValueError(
            "transforms must hold at least one matrix or displacement image; got none."
        )
    chain = [_transform(each, number) for number, each in enumerate(transforms)]
    shape, affine = _grid(grid_img)
    out = np.empty((*shape, 1, 3), np.float32)

    def fill(first: int, stop: int) -> None:
        for i in range(first, stop):
            points = loops.plane(i, out.shape, affine)
            for each in chain:
                if isinstance(each, _fields.Volume):
                    loops.displace(points, *each)
                else:
                    loops.carry(points, each)
            loops.leave(points, i, out, affine)

    sampling.in_slabs(fill, shape[0])
    return _vector_image(out, grid_img)


def invert(displacement_img: Nifti1Image, grid_img: Nifti1Image) -> Nifti1Image:
    r"""Find the displacement field that undoes another.

    For every voxel y of ``grid_img`` it solves

    .. math:: x + u(x) = y, \quad v(y) = x - y

    by Newton's method on the linearly interpolated field, with halved steps where one leads away.
    Beyond its own grid, u is continued by its affine part (least squares) and its edge's rest.

    Parameters
    ----------
    displacement_img : Nifti1Image
        ITK vector image (x, y, z, 1, 3), LPS mm, of a one-to-one transform, affine part included.
        At least 2 voxels a side.
    grid_img : Nifti1Image
        In the space that the field points to. Only its first three dimensions and its affine are
        used.

    Returns
    -------
    Nifti1Image
        ITK vector image on ``grid_img``, float32, LPS mm. At every voxel it misses y by 0.01 mm
        at most; the header's ``descrip`` tells by how much. Between voxels it is as exact as its
        linear interpolation.

    Raises
    ------
    ValueError
        If the field is no finite ITK vector image, is one voxel thick, or is not one-to-one:
        the error counts the voxels without an origin.

    References
    ----------
    Chen et al. (2008), Med Phys 35:81, for the fixed point that is safeguarded here.

    Examples
    --------
    >>> grid_img = Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4))
    >>> double = compose(np.diag([2.0, 2.0, 2.0, 1.0]), grid_img=grid_img)
    >>> float(invert(double, grid_img).get_fdata()[0, 0, 2, 0, 2].round(3))  # z = 2 goes to 1
    -1.0
    """
    field = _fields.stored_field(displacement_img)
    _check_thick(field)
    affine = np.asarray(displacement_img.affine)
    shape, target = _grid(grid_img)
    if not np.linalg.cond(loops.affine_part(field, affine)[0]) < 1e6:
        raise ValueError(
            "displacement_img must be one-to-one; it maps space onto a plane, a line or a point. "
            "Check the registration."
        )
    found, missed = loops.undo(field, affine, shape, target)
    worst, n_bad = float(missed.max()), int((missed > _INVERSE_MM).sum())
    if n_bad:
        raise ValueError(
            f"displacement_img must be one-to-one; {n_bad} of {missed.size} voxels of grid_img "
            f"have no origin within {_INVERSE_MM:g} mm (the worst misses by {worst:.3g} mm). Look "
            "for folds with jacobian, and smooth the field there."
        )
    out = _vector_image(found[:, :, :, None], grid_img)
    out.header["descrip"] = f"inverse; largest residual {worst:.1g} mm"
    return out


def on_grid(displacement_img: Nifti1Image, grid_img: Nifti1Image) -> NDArray[np.float32]:
    """Return a displacement field at the voxels of a grid, as it is where that is its own.

    Parameters
    ----------
    displacement_img : Nifti1Image
        ITK vector image (x, y, z, 1, 3), LPS mm.
    grid_img : Nifti1Image
        Only its first three dimensions and its affine are used.

    Returns
    -------
    (x, y, z, 3) array
        float32, LPS mm. Not to be written to: it may be the image's own.

    Raises
    ------
    ValueError
        If the field is no finite ITK vector image.

    Examples
    --------
    >>> grid_img = Nifti1Image(np.zeros((3, 3, 2), np.uint8), np.eye(4))
    >>> on_grid(compose(np.eye(4), grid_img=grid_img), grid_img).shape
    (3, 3, 2, 3)
    """
    field = _fields.stored_field(displacement_img)
    shape, affine = _grid(grid_img)
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * shape
    own = apply_affine(np.asarray(displacement_img.affine), corners)
    if field.shape[:3] == shape and np.abs(own - apply_affine(affine, corners)).max() < _SAME_MM:
        return field
    return _fields.stored_field(compose(displacement_img, grid_img=grid_img))


def _volume(img: Nifti1Image, order: int) -> NDArray[Any]:
    """Return the data of a 3-D image: as float32, or for labels in its own type."""
    if img.ndim != 3:
        raise ValueError(
            f"img must be three-dimensional; got shape {img.shape}. "
            "Pass one volume, or a series to resample.resample_series."
        )
    data = np.asarray(img.dataobj)
    if data.dtype.kind not in "iuf" or data.dtype.itemsize > 8:
        raise ValueError(
            f"img must hold real numbers of 64 bits or fewer; got {data.dtype}. Convert it first."
        )
    if order == 0:
        return data.astype(data.dtype.newbyteorder("="), copy=False)
    data = data.astype(np.float32, copy=False)
    n_bad = 0 if order == 1 else int(data.size - np.isfinite(data).sum())
    if n_bad:
        raise ValueError(
            f"img must be finite for order 3; {n_bad} voxels are NaN or infinite. "
            "Replace them, for example with numpy.nan_to_num, or use order 1."
        )
    return data


def _transform(given: ArrayLike | Nifti1Image, number: int) -> NDArray[np.float64] | _fields.Volume:
    """Return a checked matrix, or a field with its affine."""
    if isinstance(given, Nifti1Image):
        return _fields.Volume(_fields.stored_field(given), np.asarray(given.affine))
    matrix = np.asarray(given, dtype=np.float64)
    name = f"transforms[{number}]"
    if matrix.shape != (4, 4):
        raise ValueError(
            f"{name} must be a (4, 4) matrix or a displacement image; got shape {matrix.shape}. "
            "Pass the matrices of a series one by one."
        )
    if not np.isfinite(matrix).all() or not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise ValueError(
            f"{name} must be a finite affine matrix whose last row is 0 0 0 1; "
            f"got {matrix.tolist()}. Check the registration."
        )
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise ValueError(f"{name} must be invertible; got determinant 0. Check the registration.")
    return matrix


def _check_thick(field: NDArray[np.float32]) -> None:
    """Refuse a field without neighbours along an axis."""
    if min(field.shape[:3]) < 2:
        raise ValueError(
            f"displacement_img must have at least 2 voxels a side; got {field.shape[:3]}. "
            "Compose it on a thicker grid first."
        )


def _grid(grid_img: Nifti1Image) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Return shape and affine of the grid of an image."""
    if grid_img.ndim < 3:
        raise ValueError(
            f"grid_img must have three dimensions; got shape {grid_img.shape}. Pass a volume."
        )
    x, y, z = grid_img.shape[:3]
    return (x, y, z), np.asarray(grid_img.affine, dtype=np.float64)


def _vector_image(field: NDArray[np.float32], grid_img: Nifti1Image) -> Nifti1Image:
    """Return an ITK vector image on the grid of another."""
    out = _ants.image_like(field, grid_img)
    out.header.set_intent("vector")
    return out
