"""Coarser grids and sampled points for rigid and affine registration."""

from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from scipy import ndimage

from brainnet.imaging import _affine_kernels as kernels
from brainnet.imaging._affine_fit import Points
from brainnet.imaging._fields import Volume

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

#: Stands for a mask that leaves nothing out.
EVERYWHERE = np.ones((1, 1, 1), np.float32)
#: Additive recurrence of the plastic number: offsets that fill the unit cube evenly.
_SPREAD = 1.2207440846057596 ** -np.arange(1.0, 4.0)
#: An image is structure where it differs from its border by this share of its range.
_FOREGROUND = 0.1
#: Standard deviation below which local contrast counts as noise.
_FLAT = 0.05
#: How far structure is widened (mm): its outline is compared with what lies around it.
_RIM = 12.0


@dataclass(frozen=True, eq=False)
class Grid:
    """One image at one resolution."""

    data: Pixels  # 0 to 1
    mask: Pixels | None  # share of each voxel inside the mask
    affine: Array

    @property
    def voxel(self) -> Array:
        """Return the voxel sizes in mm."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))


def pyramid(
    volume: Volume, mask: NDArray[np.bool_] | None, levels: tuple[float, ...]
) -> list[Grid]:
    """Return an image at each voxel size (mm, finest first), scaled to 0 to 1."""
    first = None if mask is None else mask.astype(np.float32)
    grids = []
    grid = Grid(np.ascontiguousarray(volume.data, np.float32), first, np.asarray(volume.affine))
    for level in levels:
        grid = _shrink(grid, level)
        grids.append(grid)
    low, high = _range(grids[-1])
    return [
        Grid(np.clip((g.data - low) / (high - low), 0, 1).astype(np.float32), g.mask, g.affine)
        for g in grids
    ]


def flatten(grid: Grid, window: float) -> Pixels:
    """Return the data less their local mean, over their local standard deviation.

    Local is a Gaussian of about ``window`` mm; contrast below 5 % of the range is not raised.
    """
    steps = np.clip(np.round(window / grid.voxel), 1, grid.data.shape).astype(np.int64)
    shape = tuple(-(-np.asarray(grid.data.shape) // steps))
    rest = [(0, int(n * s - m)) for n, s, m in zip(shape, steps, grid.data.shape, strict=True)]
    padded = np.pad(grid.data, rest, mode="edge")
    moments = []
    for power in (padded, padded * padded):
        coarse = np.empty(shape, np.float32)
        kernels.block_mean(power, steps, coarse)
        wide = np.empty_like(coarse)
        kernels.blur(coarse, np.ones(3, np.int64), wide)
        moments.append(wide)
    spread = np.sqrt(np.maximum(moments[1] - moments[0] ** 2, 0) + np.float32(_FLAT**2))
    out = np.empty_like(grid.data)
    kernels.normalise(grid.data, moments[0], spread, steps, out)
    return out


def background(grid: Grid) -> float:
    """Return the median of the outermost voxels."""
    inner = np.zeros(grid.data.shape, bool)
    inner[tuple(slice(1, -1) if n > 4 else slice(None) for n in grid.data.shape)] = True
    if inner.all():
        return float(np.median(grid.data))
    return float(np.median(grid.data[~inner]))


def support(grid: Grid) -> NDArray[np.bool_]:
    """Return where an image has structure, or lies in its mask."""
    if grid.mask is not None:
        return _in_mask(grid.mask)
    found = np.abs(grid.data - background(grid)) > _FOREGROUND
    size = 2 * np.maximum(np.rint(_RIM / grid.voxel), 1).astype(int) + 1
    return np.asarray(ndimage.maximum_filter(found, size=tuple(size)))


def region(grid: Grid, structure: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where a grid is compared: in its mask, or near structure, known on a coarser grid."""
    return enlarge(structure, grid.data.shape) if grid.mask is None else _in_mask(grid.mask)


def enlarge(region: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Carry a region on a coarse grid to the finer grid it was shrunk from."""
    for axis, n in enumerate(shape):
        step = max(n // region.shape[axis], 1)
        region = np.repeat(region, step, axis)
        rest = n - region.shape[axis]
        if rest > 0:
            last = np.take(region, [-1], axis)
            region = np.concatenate([region, np.repeat(last, rest, axis)], axis)
    return np.asarray(region)


def sample_points(grid: Grid, data: Pixels, region: NDArray[np.bool_], n_points: int) -> Points:
    """Sample an image at evenly spread points, off the centres of its voxels.

    Off the centres, since two grids whose voxels meet exactly look more alike than they are.
    """
    chosen = np.flatnonzero(region)
    if len(chosen) > n_points:
        stride = len(chosen) // n_points + 0.618
        chosen = chosen[np.arange(0, len(chosen) - 1, stride).astype(np.int64)]
    index = np.stack(np.unravel_index(chosen, region.shape), axis=1).astype(np.float64)
    offset = (0.5 + np.arange(len(index))[:, None] * _SPREAD) % 1 - 0.5
    index += np.where(np.asarray(region.shape) > 1, offset, 0)
    centre = (np.asarray(region.shape) - 1) / 2
    centred = np.ascontiguousarray(index - centre, dtype=np.float32)
    shift = np.eye(4)
    shift[:3, 3] = centre
    out = np.empty((8, len(centred)), np.float32)
    kernels.sample(centred, shift[:3], data, EVERYWHERE, out)
    inside = out[4] >= 0.1
    return Points(np.ascontiguousarray(centred[inside]), out[0][inside], grid.affine @ shift)


def share_inside(points: Points, other: Grid, pull: Array) -> float:
    """Return the share of points that land in another image's field of view and mask."""
    matrix = (np.linalg.inv(other.affine) @ pull @ points.grid)[:3]
    out = np.empty((8, len(points.values)), np.float32)
    mask = EVERYWHERE if other.mask is None else other.mask
    kernels.sample(points.index, np.ascontiguousarray(matrix), other.data, mask, out)
    return float(out[4].mean())


def weight(grid: Grid) -> Pixels:
    """Return how far each voxel stands out from the border."""
    return np.asarray(np.abs(grid.data - np.float32(background(grid))), np.float32)


def _in_mask(mask: Pixels) -> NDArray[np.bool_]:
    """Return the voxels that lie in a mask by half, or else at all."""
    for share in (0.5, 0.0):
        chosen = mask > share
        if chosen.any():
            return np.asarray(chosen)
    return np.ones(mask.shape, bool)


def _shrink(grid: Grid, level: float) -> Grid:
    """Average whole blocks of voxels so that none is much finer than ``level`` mm."""
    steps = np.maximum(1, np.round(level / grid.voxel)).astype(np.int64)
    steps = np.minimum(steps, grid.data.shape)
    if (steps == 1).all():
        return grid
    shape = tuple(np.asarray(grid.data.shape) // steps)
    out = np.empty(shape, np.float32)
    kernels.block_mean(grid.data, steps, out)
    mask = None
    if grid.mask is not None:
        mask = np.empty(shape, np.float32)
        kernels.block_mean(grid.mask, steps, mask)
    affine = grid.affine.copy()
    affine[:3, 3] = apply_affine(affine, (steps - 1) / 2)
    affine[:3, :3] *= steps
    return Grid(out, mask, affine)


def _range(grid: Grid) -> tuple[float, float]:
    """Return the darkest and the brightest value, less the outermost in a thousand."""
    values = grid.data if grid.mask is None else grid.data[grid.mask >= 0.5]
    if not values.size:
        values = grid.data
    low, high = np.percentile(values, (0.1, 99.9))
    if not high > low:
        low, high = float(values.min()), float(values.max())
    return float(low), float(high) if high > low else float(low) + 1.0
