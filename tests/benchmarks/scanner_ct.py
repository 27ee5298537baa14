"""A CT scanner of the benchmarks: slices, gantry, noise, hardening, in Hounsfield units.

Noise: Kijewski and Judy (1987), Phys Med Biol 32:565. Bands between the petrous bones: Barrett and
Keat (2004), Radiographics 24:1679.
"""

from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from bleeds_ct import Scene
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

AIR, MOST = -1024, 3071


@dataclass(frozen=True)
class Protocol:
    """How a head is scanned: voxels in mm, axes, noise in the brain (SD, Hounsfield units)."""

    name: str
    voxel: tuple[float, float, float]
    noise: float
    axes: str = "LPS"
    gantry_degrees: float = 0.0
    field_mm: float = 230.0


PROTOCOLS = (
    Protocol("5 mm", (0.47, 0.47, 5.0), 3.2, "LPS", 12.0),
    Protocol("2.5 mm", (0.49, 0.49, 2.5), 4.5, "LAS"),
    Protocol("5 mm, coarse", (0.9, 0.9, 5.0), 2.6, "RAS", -8.0),
    Protocol("1 mm", (1.0, 1.0, 1.0), 5.5, "RPI"),
    Protocol("1.25 mm", (0.6, 0.6, 1.25), 6.5, "LPS"),
)


def scan(
    units: Floats, scene: Scene, protocol: Protocol, rng: np.random.Generator
) -> tuple[Nifti1Image, Nifti1Image, NDArray[np.float64]]:
    """Return the CT of painted units, its truth on the same grid, and voxels of the scene to mm."""
    to_world = _pose(scene, rng)
    shape, affine = _grid(scene, to_world, protocol)
    pull = np.linalg.inv(to_world) @ affine
    data = slab(ndimage.gaussian_filter(units, 0.55), pull, shape, fill=-1000.0)
    data = np.maximum(data, _headrest(data))
    inside = slab(scene.inside.astype(np.float32), pull, shape, steps=1) > 0.5
    data += _hardening(data, inside, affine, rng)
    data += fbp_noise(shape, protocol.noise, rng) * _loudness(data)
    data = np.clip(np.rint(data), AIR, MOST).astype(np.int16)
    truth = truth_on(scene, pull, shape)
    img, truth_img = (_turned(each, affine, protocol.axes) for each in (data, truth))
    return img, truth_img, to_world


def _pose(scene: Scene, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return voxels to scanner mm: a head that lies a little turned and tilted."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", rng.normal(0, (5, 2, 3)), degrees=True).as_matrix()
    return np.asarray(turn @ scene.affine)


def _grid(
    scene: Scene, to_world: NDArray[np.float64], protocol: Protocol
) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Return shape and affine (RAS, under the gantry's angle) of a scan of the skull."""
    affine = np.eye(4)
    turn = Rotation.from_euler("x", protocol.gantry_degrees, degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(protocol.voxel)
    where = np.argwhere(scene.labels[::4, ::4, ::4] > 500) * 4
    points = apply_affine(np.linalg.inv(affine) @ to_world, where)
    low, high = points.min(0), points.max(0)
    n_plane = [int(protocol.field_mm / size) // 2 * 2 for size in protocol.voxel[:2]]
    shape = (*n_plane, int(np.ceil(high[2] - low[2])) + 2)
    middle = (low + high) / 2
    start = middle - (np.array(shape) - 1) / 2
    affine[:3, 3] = apply_affine(affine, start)
    return (shape[0], shape[1], shape[2]), affine


def slab(
    data: Floats,
    pull: NDArray[np.float64],
    shape: tuple[int, int, int],
    *,
    fill: float = 0.0,
    steps: int = 0,
) -> Floats:
    """Resample to slices that average what lies within their thickness."""
    steps = steps or max(1, round(float(np.linalg.norm(pull[:3, 2]))))
    out = np.zeros(shape, np.float32)
    for step in range(steps):
        offset = pull[:3, 3] + pull[:3, 2] * ((step + 0.5) / steps - 0.5)
        out += ndimage.affine_transform(
            data, pull[:3, :3], offset, shape, order=1, cval=fill, mode="constant"
        )
    return out / steps


def truth_on(
    scene: Scene, pull: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[np.int16]:
    """Return what fills most of each voxel: blood where half of it is blood, of which most."""
    codes = [int(code) for code in np.unique(scene.truth) if code]
    truth = np.zeros(shape, np.int16)
    if not codes:
        return truth
    low, high = _box(scene.truth > 0, pull, shape)
    offset = pull.copy()
    offset[:3, 3] = apply_affine(pull, low)
    size = tuple(int(n) for n in high - low)
    shares = np.stack([
        slab((scene.truth == code).astype(np.float32), offset, size) for code in codes
    ])  # fmt: skip
    most = np.array(codes, np.int16)[shares.argmax(0)]
    part = np.where(shares.sum(0) >= 0.5, most, 0)
    truth[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = part
    return truth


def _box(mask: Mask, pull: NDArray[np.float64], shape: tuple[int, int, int]) -> Any:
    """Return the box of a scan's grid that holds a mask."""
    points = apply_affine(np.linalg.inv(pull), np.argwhere(mask))
    low = np.clip(np.floor(points.min(0)).astype(int) - 3, 0, shape)
    high = np.clip(np.ceil(points.max(0)).astype(int) + 4, 0, shape)
    return low, np.maximum(high, low + 1)


def fbp_noise(shape: tuple[int, int, int], level: float, rng: np.random.Generator) -> Floats:
    """Return noise of filtered back-projection: a ramp of frequency under a soft kernel."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    weight = frequency * np.exp(-((frequency / 0.22) ** 2)) + 0.004
    noise = np.empty(shape, np.float32)
    for each in range(shape[2]):
        white = fft.rfft2(rng.standard_normal(shape[:2], np.float32))
        noise[..., each] = fft.irfft2(white * weight.astype(np.float32), s=shape[:2])
    return noise * np.float32(level / noise.std())


def _loudness(data: Floats) -> Floats:
    """Return how much more noise lies deep in the head than at its rim and outside."""
    body = (data > -300).astype(np.float32)
    small = ndimage.zoom(body, (0.25, 0.25, 1), order=0)
    wide = ndimage.gaussian_filter(small, (small.shape[0] / 12, small.shape[1] / 12, 0))
    big = ndimage.zoom(wide, [n / m for n, m in zip(data.shape, small.shape, strict=True)], order=1)
    return np.asarray(0.55 + 0.5 * big, dtype=np.float32)


def _hardening(
    data: Floats, inside: Mask, affine: NDArray[np.float64], rng: np.random.Generator
) -> Floats:
    """Return what hard beams leave: a bright rim at the skull, bands between petrous bones."""
    plane = np.linalg.norm(affine[:3, :2], axis=0)
    bone = np.clip(data - 300, 0, 1200) / 1200
    rim = ndimage.gaussian_filter(bone, (*(5.0 / plane), 0)) * rng.uniform(8, 16)
    lengths = bone.cumsum(0) * plane[0]
    to_right = lengths[-1:] - lengths
    crossed = np.sqrt(np.clip(np.minimum(lengths, to_right) - 14.0, 0, None))
    crossed = ndimage.gaussian_filter(crossed, (*(3.0 / plane), 0))
    streaks = rng.normal(0, 1, data.shape[1:]).astype(np.float32)
    streaks = ndimage.gaussian_filter(streaks, (1.5 / plane[1], 0.0))
    streaks /= max(float(streaks.std()), 1e-6)
    band = crossed * (-rng.uniform(1.0, 2.5) + 1.2 * streaks)
    return np.asarray(np.where(inside, rim + band, 0), dtype=np.float32)


def _headrest(data: Floats) -> Floats:
    """Return a curved rest behind the head: a thin shell over foam."""
    body = data > -300
    column = np.arange(data.shape[0], dtype=np.float32)
    back = float(np.flatnonzero(body.any((0, 2)))[0])
    width = 0.36 * data.shape[0]
    rise = ((column - data.shape[0] / 2) / width) ** 2
    surface = back - 0.02 * data.shape[1] + 0.12 * data.shape[1] * rise
    row = np.arange(data.shape[1], dtype=np.float32)[None]
    below = surface[:, None] - row
    near = np.abs(column - data.shape[0] / 2)[:, None] < width
    thick = 0.012 * data.shape[1]
    rest = np.where((below > 0) & (below < thick) & near, -60.0, -1000.0)
    rest = np.where((below >= thick) & (below < 6 * thick) & near, -930.0, rest)
    return np.asarray(rest, dtype=np.float32)[..., None]


def _turned(data: NDArray[Any], affine: NDArray[np.float64], axes: str) -> Nifti1Image:
    """Return an image with other axes; the same places in mm."""
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(axes))
    turned = nib.orientations.apply_orientation(data, turn)
    img = Nifti1Image(np.ascontiguousarray(turned), affine @ inv_ornt_aff(turn, data.shape))
    img.set_sform(img.affine, 1)
    img.set_qform(img.affine, 1)
    img.header.set_xyzt_units("mm")
    return img
