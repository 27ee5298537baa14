"""Align a volume with a reference rigidly: inverse compositional Gauss-Newton, robustly weighted.

The reference is smoothed and differentiated once; a step costs one interpolation of the volume at
sampled voxels of the head and one small weighted least-squares problem.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from brainnet.imaging.intensity import otsu_threshold

Array = NDArray[np.float64]

_FWHM_TO_SIGMA = 1 / np.sqrt(8 * np.log(2))
_HEAD_RADIUS = 60.0  # mm: weighs rotations against translations, and scales the intensity field
_TUKEY = 4.685  # residuals beyond so many robust standard deviations carry no weight
_MIN_SEEN = 0.4  # share of the sampled voxels that must stay in the field of view
_SMALL_STEP = 1e-3  # mm


@dataclass(frozen=True)
class Level:
    """How finely to compare."""

    fwhm: float  # of the smoothing, mm
    max_voxels: int
    order: int  # of the interpolation
    field_degree: int  # of the polynomial in space that scales the reference's intensity


@dataclass(frozen=True, eq=False)
class Target:
    """The reference, ready to fit to: sampled points and what each parameter does there."""

    points: Array  # (4, n) homogeneous, world mm
    jacobian: Array  # (n, 6 + fields): 3 translations (mm), 3 rotations (rad), scale, field terms
    center: Array  # (3,) world mm
    affine: Array  # (4, 4) of reference and volumes
    sigma: Array  # (3,) smoothing, voxels
    margin: Array  # (3,) voxels to keep away from the faces of the grid
    order: int  # of interpolation


@dataclass(frozen=True, eq=False)
class Pose:
    """Where the head is in a volume, how bright that is, and what is left over."""

    matrix: Array  # (4, 4) reference world -> volume world
    scale: float
    residual: float  # robust standard deviation / mean of the reference


def rigid(parameters: Array, center: Array) -> Array:
    """Return matrices (..., 4, 4): turn by Rx Ry Rz about a centre, then translate."""
    angles = parameters[..., 3:].reshape(-1, 3)
    linear = Rotation.from_euler("XYZ", angles).as_matrix().reshape(*parameters.shape[:-1], 3, 3)
    matrices = np.zeros((*parameters.shape[:-1], 4, 4))
    matrices[..., :3, :3] = linear
    matrices[..., :3, 3] = parameters[..., :3] + center - linear @ center
    matrices[..., 3, 3] = 1.0
    return matrices


def prepare(volume: Array, affine: Array, level: Level) -> Target:
    """Sample the reference and its derivatives to the parameters within the head."""
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    sigma = level.fwhm * _FWHM_TO_SIGMA / zooms
    margin = np.minimum(np.ceil(2 * sigma), np.asarray(volume.shape) // 8)
    smooth = ndimage.gaussian_filter(volume, sigma, truncate=3.0)
    head = head_mask(volume, zooms)
    center = nib.affines.apply_affine(affine, np.argwhere(head).mean(axis=0))
    voxels = np.argwhere(head & _within(np.indices(volume.shape), volume.shape, margin))
    voxels = voxels[np.linspace(0, len(voxels) - 1, min(len(voxels), level.max_voxels)).astype(int)]
    i, j, k = voxels.T
    by_index = np.stack([derivative[i, j, k] for derivative in np.gradient(smooth)], axis=1)
    gradient = by_index @ np.linalg.inv(affine[:3, :3])
    arms = nib.affines.apply_affine(affine, voxels) - center
    fields = smooth[i, j, k, None] * _polynomials(arms / _HEAD_RADIUS, level.field_degree)
    jacobian = np.hstack([gradient, np.cross(arms, gradient), fields])
    points = np.vstack([arms.T + center[:, None], np.ones(len(arms))])
    return Target(points, jacobian, center, affine, sigma, margin, level.order)


def fit(volume: Array, target: Target, start: Array, n_iterations: int) -> Pose | None:
    """Align the target with a volume, or None where they have too little in common."""
    smooth = ndimage.gaussian_filter(volume, target.sigma, truncate=3.0)
    spline = ndimage.spline_filter(smooth, target.order) if target.order > 1 else smooth
    to_index = np.linalg.inv(target.affine)
    matrix, scale, spread = start, 0.0, np.inf
    for _ in range(n_iterations):
        index = (to_index @ matrix @ target.points)[:3]
        seen = _within(index, volume.shape, target.margin)
        if not seen.mean() >= _MIN_SEEN:
            return None
        values = ndimage.map_coordinates(
            spline, index, order=target.order, mode="nearest", prefilter=False
        )
        solution, spread = _robust_solution(target.jacobian, values, seen)
        scale = float(solution[6])
        if not scale > 0:
            return None
        step = solution[:6] / scale
        matrix = matrix @ np.linalg.inv(rigid(step, target.center))
        if max(np.abs(step[:3]).max(), _HEAD_RADIUS * np.abs(step[3:]).max()) < _SMALL_STEP:
            break
    return Pose(matrix, scale, spread / float(scale * target.jacobian[:, 6].mean()))


def head_mask(volume: Array, zooms: Array) -> NDArray[np.bool_]:
    """Find the head: smoothed above Otsu's threshold, largest part, filled, 1 voxel of rim."""
    smooth = ndimage.gaussian_filter(volume, 4.0 * _FWHM_TO_SIGMA / zooms)
    parts, n_parts = ndimage.label(smooth > otsu_threshold(smooth))
    largest = 1 + int(np.argmax(np.bincount(parts.ravel(), minlength=n_parts + 1)[1:]))
    filled = ndimage.binary_fill_holes(parts == largest)
    head: NDArray[np.bool_] = ndimage.binary_dilation(filled, iterations=1)
    return head


def _robust_solution(
    jacobian: Array, values: Array, seen: NDArray[np.bool_]
) -> tuple[Array, float]:
    """Solve the linearised problem with Tukey's weights; return it and the residual's spread."""
    solution = _solve(jacobian, values, seen.astype(np.float64))
    spread = 0.0
    for _ in range(2):
        residual = values - jacobian @ solution
        spread = 1.4826 * float(np.median(np.abs(residual[seen])))
        limit = _TUKEY * max(spread, 1e-6 * float(np.abs(values).max()), 1e-30)
        weights = np.where(seen, np.clip(1 - (residual / limit) ** 2, 0, None) ** 2, 0.0)
        solution = _solve(jacobian, values, weights)
    return solution, spread


def _solve(jacobian: Array, values: Array, weights: Array) -> Array:
    """Weighted least squares; directions that the data leave open stay at zero."""
    weighted = jacobian * weights[:, None]
    normal, right = weighted.T @ jacobian, weighted.T @ values
    return np.asarray(np.linalg.lstsq(normal, right, rcond=1e-12)[0], dtype=np.float64)


def _polynomials(points: Array, degree: int) -> Array:
    """Return all monomials of x, y, z up to a degree at points (n, 3), the constant first."""
    powers = [
        np.prod(points[:, list(axes)], axis=1)
        for total in range(degree + 1)
        for axes in combinations_with_replacement(range(3), total)
    ]
    return np.stack(powers, axis=1)


def _within(index: NDArray[Any], shape: tuple[int, ...], margin: Array) -> NDArray[np.bool_]:
    """Tell which indices (3, ...) keep a margin from all faces of the grid."""
    wide = (3,) + (1,) * (index.ndim - 1)
    low, high = margin.reshape(wide), (np.asarray(shape) - 1 - margin).reshape(wide)
    return np.asarray(((index >= low) & (index <= high)).all(axis=0))
