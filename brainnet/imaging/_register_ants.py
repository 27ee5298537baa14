"""Registration by ANTs: the peer of the fast engine, and another way to the same results."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from nibabel.affines import apply_affine
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


@dataclass(frozen=True)
class _Schedule:
    """How finely a deformation is fitted."""

    voxel_mm: float
    metric: str
    shrink: str
    smooth: str
    iterations: str


SCHEDULES = {
    "standard": _Schedule(1.0, "CC[FIXED,MOVING,1,2]", "8x4x2", "3x2x1vox", "60x40x20"),
    "draft": _Schedule(2.0, "CC[FIXED,MOVING,1,2]", "4x2x1", "2x1x0vox", "40x15x4"),
}


def align(
    fixed: _fields.Volume,
    moving: _fields.Volume,
    mask: NDArray[np.bool_] | None,
    *,
    kind: Literal["rigid", "affine"],
) -> NDArray[np.float64]:
    """Return the pull matrix that maximises Mattes mutual information at 2 mm.

    It starts from the two headers as they are and from matched centres, level and tilted by 20
    degrees, runs each to the end of the coarsest level, and goes on from the best.
    """
    whole = fixed.affine
    fixed, moving = (_shrink(volume, _MATRIX_MM) for volume in (fixed, moving))
    keep = np.ones(fixed.data.shape, bool)
    if mask is not None:
        keep = _shrink(_fields.Volume(mask.astype(np.float32), whole), _MATRIX_MM).data >= 0.5

    def refine(start: NDArray[np.float64], stage: list[str]) -> NDArray[np.float64]:
        return _optimise(fixed, moving, keep, stage=stage, start=start)

    points, values = _sample_points(fixed, keep)
    starts = _starts(fixed, keep, moving)
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


def deform(
    fixed: _fields.Volume,
    moving: _fields.Volume,
    matrix: NDArray[np.float64],
    mask: NDArray[np.bool_] | None,
    *,
    quality: str,
) -> tuple[_fields.Mapping, _fields.Mapping]:
    """Return SyN's mappings of world points, fixed to moving and back, matrix included."""
    schedule = SCHEDULES[quality]
    stage = ["--transform", "SyN[0.2,3,0]", "--metric", schedule.metric]
    stage += ["--convergence", f"[{schedule.iterations},1e-6,6]"]
    stage += ["--shrink-factors", schedule.shrink, "--smoothing-sigmas", schedule.smooth]
    pair = [_fields.crop(_shrink(volume, schedule.voxel_mm)) for volume in (fixed, moving)]
    with TemporaryDirectory(prefix="brainnet-") as folder:
        prefix = _ants.run_registration(
            _ants.to_ants(*pair[0]),
            _ants.to_ants(*pair[1]),
            [stage],
            folder=Path(folder),
            initial=matrix,
            mask=None if mask is None else _ants.to_ants(mask, fixed.affine),
        )
        warp = _fields.read_field(Path(f"{prefix}1Warp.nii.gz"))
        inverse_warp = _fields.read_field(Path(f"{prefix}1InverseWarp.nii.gz"))
    pull = np.linalg.inv(matrix)

    def forward(points: _fields.Points) -> _fields.Points:
        return np.asarray(apply_affine(matrix, points + _fields.interpolate(warp, points)))

    def inverse(points: _fields.Points) -> _fields.Points:
        moved = apply_affine(pull, points)
        return np.asarray(moved + _fields.interpolate(inverse_warp, moved))

    return forward, inverse


def _shrink(volume: _fields.Volume, voxel_mm: float) -> _fields.Volume:
    """Average blocks of voxels."""
    return _fields.shrink(volume.data, volume, voxel_mm)


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
