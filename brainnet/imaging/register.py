"""Align two images: rigid and affine matrices, and deformations that carry the affine along."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage

from brainnet.imaging import _ants, _fields

#: Finest voxel size that matrices are fitted on (mm).
_MATRIX_MM = 2.0
#: Coarse-to-fine shrink factors, smoothing (voxels) and iterations of matrices.
_COARSE = ("4", "2vox", "200")
_FINE = ("2x1", "1x0vox", "100x30")
_FINE_AFFINE = ("4x2x1", "2x1x0vox", "200x50x10")
#: How much better another start must be than the headers, which one scanner mostly wrote.
_TRUST = 1.05
#: Bins of the joint histogram.
_BINS = 32
#: How far a mask is widened (mm).
_RIM_MM = 8.0


@dataclass(frozen=True)
class Deformation:
    """Two total displacement fields of one registration, affine part included.

    Both are ITK vector images: shape (x, y, z, 1, 3), float32, millimetres in LPS, so that
    ``antsApplyTransforms -t`` takes them as they are.

    Attributes
    ----------
    forward_img : Nifti1Image
        On the fixed grid: carries the moving image into fixed space.
    inverse_img : Nifti1Image
        On the moving grid: carries the fixed image into moving space.
    """

    forward_img: Nifti1Image
    inverse_img: Nifti1Image


@dataclass(frozen=True)
class _Schedule:
    """How finely a deformation is fitted."""

    voxel_mm: float
    metric: str
    shrink: str
    smooth: str
    iterations: str


_SCHEDULES = {
    "standard": _Schedule(1.0, "CC[FIXED,MOVING,1,2]", "8x4x2", "3x2x1vox", "60x40x20"),
    "draft": _Schedule(2.0, "CC[FIXED,MOVING,1,2]", "4x2x1", "2x1x0vox", "40x15x4"),
}


def register_affine(
    fixed_img: Nifti1Image,
    moving_img: Nifti1Image,
    *,
    kind: Literal["rigid", "affine"] = "rigid",
    fixed_mask_img: Nifti1Image | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Find the rigid or affine matrix that aligns two images of any contrast.

    Maximises Mattes mutual information from coarse to fine at 2 mm. It starts from the two
    headers as they are and from matched centres, level and tilted by 20 degrees, runs each to
    the end of the coarsest level, and goes on from the best: the headers', if none is 5 %
    better. Voxels outside the moving image's field of view are left out, so a slab registers
    to a whole head.

    Parameters
    ----------
    fixed_img, moving_img : Nifti1Image
        Three-dimensional, finite, any grid and unit.
    kind : {"rigid", "affine"}
        6 parameters (one person, one session) or 12.
    fixed_mask_img : Nifti1Image, optional
        On the fixed grid: only these voxels, widened by 8 mm, are compared. Give the brain mask.
    seed : int
        Seed of the metric's sampling points; at least 0.

    Returns
    -------
    (4, 4) array
        Pull matrix in RAS mm: maps a point of the fixed world to the moving world.

    Raises
    ------
    ValueError
        If an image is not three-dimensional, finite and varying, or the mask is on another grid
        or empty, or ``kind`` is unknown.

    References
    ----------
    Mattes et al. (2003), IEEE Trans Med Imaging 22:120. Avants et al. (2011), NeuroImage 54:2033.
    """
    if kind not in ("rigid", "affine"):
        raise ValueError(f"kind must be 'rigid' or 'affine'; got {kind!r}.")
    fixed_data = _ants.check_volume(fixed_img, "fixed_img")
    moving_data = _ants.check_volume(moving_img, "moving_img")
    fixed = _fields.shrink(fixed_data, fixed_img, _MATRIX_MM)
    moving = _fields.shrink(moving_data, moving_img, _MATRIX_MM)
    mask = np.ones(fixed.data.shape, bool)
    if fixed_mask_img is not None:
        given = _ants.check_mask(fixed_mask_img, fixed_img, "fixed_mask_img")
        mask = _widen(_fields.shrink(given.astype(np.float32), fixed_img, _MATRIX_MM))

    def refine(start: NDArray[np.float64], stage: list[str]) -> NDArray[np.float64]:
        return _optimise(fixed, moving, mask, stage=stage, start=start, seed=seed)

    points, values = _sample_points(fixed, mask)
    starts = _starts(fixed, mask, moving)
    coarse = [refine(start, _stage("Rigid", *_COARSE)) for start in starts]
    scores = np.array([_overlap_information(points, values, moving, each) for each in coarse])
    scores[0] *= _TRUST  # the first start is the headers'
    best = coarse[int(np.argmax(scores))]
    stage = _stage("Rigid", *_FINE) if kind == "rigid" else _stage("Affine", *_FINE_AFFINE)
    matrix = refine(best, stage)
    # ITK ends without an error, and where it started, when it found nothing to compare.
    if np.allclose(matrix, best, rtol=0, atol=1e-12):
        raise ValueError(
            "fixed_img and moving_img must overlap and share structure; the registration found "
            "nothing to compare. Look at both images, their headers and the mask."
        )
    return matrix


def register_deformable(
    fixed_img: Nifti1Image,
    moving_img: Nifti1Image,
    *,
    quality: Literal["standard", "draft"] = "standard",
    seed: int = 0,
) -> Deformation:
    """Find the diffeomorphism that carries one brain onto another (affine, then SyN).

    Both images must be of one contrast and show the brain only (0 around it). The metric is
    local cross-correlation, radius 2 voxels.

    Parameters
    ----------
    fixed_img, moving_img : Nifti1Image
        Three-dimensional, finite; template and T1-weighted brain, say.
    quality : {"standard", "draft"}
        Both fit the field down to 2 mm: on images of 1 mm, in two minutes, or on images of 2 mm
        with few iterations at the finest level, in half a minute.
    seed : int
        Seed of the affine part; at least 0.

    Returns
    -------
    Deformation
        Displacement fields on the fixed and on the moving grid.

    Raises
    ------
    ValueError
        If an image is not three-dimensional, finite and varying, or ``quality`` is unknown.

    References
    ----------
    Avants et al. (2008), Med Image Anal 12:26.
    """
    if quality not in _SCHEDULES:
        raise ValueError(f"quality must be one of {', '.join(_SCHEDULES)}; got {quality!r}.")
    schedule = _SCHEDULES[quality]
    brain = _ants.image_like(
        (_ants.check_volume(fixed_img, "fixed_img") > 0).astype(np.uint8), fixed_img
    )
    matrix = register_affine(fixed_img, moving_img, kind="affine", fixed_mask_img=brain, seed=seed)
    fixed, moving = (
        _fields.crop(
            _fields.shrink(np.asarray(img.dataobj, dtype=np.float32), img, schedule.voxel_mm)
        )
        for img in (fixed_img, moving_img)
    )
    stage = ["--transform", "SyN[0.2,3,0]", "--metric", schedule.metric]
    stage += ["--convergence", f"[{schedule.iterations},1e-6,6]"]
    stage += ["--shrink-factors", schedule.shrink, "--smoothing-sigmas", schedule.smooth]
    with TemporaryDirectory(prefix="brainnet-") as folder:
        prefix = _ants.run_registration(
            _ants.to_ants(*fixed),
            _ants.to_ants(*moving),
            [stage],
            folder=Path(folder),
            initial=matrix,
            seed=seed,
        )
        warp = _fields.read_field(Path(f"{prefix}1Warp.nii.gz"))
        inverse_warp = _fields.read_field(Path(f"{prefix}1InverseWarp.nii.gz"))
    pull = np.linalg.inv(matrix)

    def forward(points: _fields.Points) -> _fields.Points:
        return np.asarray(apply_affine(matrix, points + _fields.interpolate(warp, points)))

    def inverse(points: _fields.Points) -> _fields.Points:
        moved = apply_affine(pull, points)
        return np.asarray(moved + _fields.interpolate(inverse_warp, moved))

    return Deformation(
        _fields.total_field(fixed_img, forward), _fields.total_field(moving_img, inverse)
    )


def apply_displacement(
    img: Nifti1Image, displacement_img: Nifti1Image, *, order: Literal[0, 1, 3] = 1
) -> Nifti1Image:
    """Carry an image through a displacement field onto the field's grid.

    Parameters
    ----------
    img : Nifti1Image
        Three-dimensional image in the space that the field points to.
    displacement_img : Nifti1Image
        ITK vector image (x, y, z, 1, 3), LPS mm, as in `Deformation`.
    order : {1, 0, 3}
        Linear, nearest voxel (labels: exact values, the type is kept) or cubic spline.

    Returns
    -------
    Nifti1Image
        On the field's grid; 0 outside the field of view of ``img``. float32, or the type of
        ``img`` for ``order=0``.

    Raises
    ------
    ValueError
        If ``img`` is not three-dimensional, the field no ITK vector image, or ``order`` unknown.
    """
    if order not in (0, 1, 3):
        raise ValueError(f"order must be 0 (labels), 1 (linear) or 3 (cubic); got {order!r}.")
    if img.ndim != 3:
        raise ValueError(f"img must be three-dimensional; got shape {img.shape}.")
    field = _fields.check_field(displacement_img)
    data = np.asarray(img.dataobj)
    data = data if order == 0 else data.astype(np.float32)
    source = ndimage.spline_filter(data, order=3, output=np.float32) if order == 3 else data
    to_voxel = np.linalg.inv(np.asarray(img.affine))
    out = np.zeros(field.shape[:3], data.dtype)
    for k in range(field.shape[2]):
        points = _fields.slice_points(displacement_img, k) + field[:, :, k]
        voxels = np.moveaxis(apply_affine(to_voxel, points), -1, 0)
        # A rounding error must not push the outermost voxels out of the image.
        out[:, :, k] = ndimage.map_coordinates(
            source, voxels.round(4), order=order, mode="constant", prefilter=False
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
        ITK vector image (x, y, z, 1, 3), LPS mm, as in `Deformation`. At least 2 voxels a side.

    Returns
    -------
    Nifti1Image
        float32 on the field's grid. At or below 0 where the field folds.

    Raises
    ------
    ValueError
        If the field is no ITK vector image.
    """
    field = _fields.check_field(displacement_img)
    to_voxel = np.linalg.inv(np.asarray(displacement_img.affine)[:3, :3])
    by_voxel = np.stack([np.gradient(field, axis=k) for k in range(3)], axis=-1)
    gradient = by_voxel @ to_voxel.astype(np.float32)
    gradient += np.eye(3, dtype=np.float32)
    a, b, c = (gradient[..., k, :] for k in range(3))
    determinant = np.einsum("...i,...i->...", a, np.cross(b, c))
    return _ants.image_like(determinant.astype(np.float32), displacement_img)


def _widen(mask: _fields.Volume) -> NDArray[np.bool_]:
    """Return a mask grown by a rim, which holds the edge of the brain."""
    voxel = np.linalg.norm(mask.affine[:3, :3], axis=0)
    distance = ndimage.distance_transform_edt(mask.data < 0.5, sampling=voxel)
    return np.asarray(distance <= _RIM_MM)


def _stage(transform: str, shrink: str, smooth: str, iterations: str) -> list[str]:
    """Return one linear stage of antsRegistration."""
    stage = ["--transform", f"{transform}[0.1]"]
    stage += ["--metric", f"Mattes[FIXED,MOVING,1,{_BINS},Regular,0.25]"]
    stage += ["--convergence", f"[{iterations},1e-6,10]"]
    return [*stage, "--shrink-factors", shrink, "--smoothing-sigmas", smooth]


def _optimise(
    fixed: _fields.Volume,
    moving: _fields.Volume,
    mask: NDArray[np.bool_],
    *,
    stage: list[str],
    start: NDArray[np.float64],
    seed: int,
) -> NDArray[np.float64]:
    """Run one linear stage from ``start`` and return the matrix it ends at."""
    with TemporaryDirectory(prefix="brainnet-") as folder:
        prefix = _ants.run_registration(
            _ants.to_ants(*fixed),
            _ants.to_ants(*moving),
            [stage],
            folder=Path(folder),
            initial=start,
            mask=_ants.to_ants(mask, fixed.affine),
            seed=seed,
        )
        return _ants.read_matrix(Path(f"{prefix}0GenericAffine.mat"))


def _starts(
    fixed: _fields.Volume, mask: NDArray[np.bool_], moving: _fields.Volume
) -> list[NDArray[np.float64]]:
    """Return first guesses: the headers as they are, and matched centres at three tilts."""
    masked = np.where(mask, fixed.data - fixed.data.min(), 0)
    target = apply_affine(fixed.affine, ndimage.center_of_mass(masked))
    centre = apply_affine(moving.affine, ndimage.center_of_mass(moving.data - moving.data.min()))
    starts = [np.eye(4)]
    for tilt in np.radians((0.0, -20.0, 20.0)):
        start = np.eye(4)
        start[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
        start[:3, 3] = centre - start[:3, :3] @ target
        starts.append(start)
    return starts


def _sample_points(
    fixed: _fields.Volume, mask: NDArray[np.bool_]
) -> tuple[_fields.Points, _fields.Points]:
    """Return every eighth point of the mask in world mm, with its intensity."""
    chosen = np.zeros_like(mask)
    chosen[::2, ::2, ::2] = mask[::2, ::2, ::2]
    points = apply_affine(fixed.affine, np.argwhere(chosen))
    return points, fixed.data[chosen].astype(np.float64)


def _overlap_information(
    points: _fields.Points,
    values: _fields.Points,
    moving: _fields.Volume,
    matrix: NDArray[np.float64],
) -> float:
    """Return mutual information (nats) times the share of points inside the moving image."""
    voxels = apply_affine(np.linalg.inv(moving.affine) @ matrix, points).T
    sampled = ndimage.map_coordinates(moving.data, voxels, order=1, cval=np.nan)
    inside = np.isfinite(sampled)
    if inside.sum() < 100:
        return 0.0
    counts, _, _ = np.histogram2d(values[inside], sampled[inside], bins=_BINS)
    joint = counts / counts.sum()
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    full = joint > 0
    information = float(np.sum(joint[full] * np.log(joint[full] / product[full])))
    return information * float(inside.mean())
