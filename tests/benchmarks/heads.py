"""Heads to register: images synthesised from label maps, planted matrices, and what a result is.

A label map of a real adult gives an image of any contrast: one intensity for each label (other in
each head), partial volume by a light blur and by averaging to the voxel size, a smooth
multiplicative bias field, noise. All chance comes from the seed and the number of the head.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]
Contrast = Literal["T1w", "T2w", "FLAIR", "BOLD", "PET", "inverted"]

#: T1-weighted intensity of each tissue, cortical white matter 110.
_T1W = {
    "white": 110, "cortex": 72, "fluid": 26, "cerebellar white": 105, "cerebellum": 75,
    "thalamus": 90, "caudate": 80, "putamen": 85, "pallidum": 97, "brain-stem": 98,
    "hippocampus": 74, "amygdala": 72, "accumbens": 78, "ventral": 95, "vessel": 50, "other": 60,
}  # fmt: skip
#: Level in the other contrasts, on the same scale; what is absent is deep grey matter.
_LEVELS: dict[str, dict[str, float]] = {
    "T2w": {"white": 55, "cerebellar white": 58, "fluid": 140, "pallidum": 60, "brain-stem": 62,
            "vessel": 20, "other": 80, "grey": 84},
    "FLAIR": {"white": 70, "cerebellar white": 70, "fluid": 18, "pallidum": 66, "brain-stem": 72,
              "vessel": 40, "other": 105, "grey": 92},
    "BOLD": {"white": 82, "cerebellar white": 80, "fluid": 125, "pallidum": 60, "brain-stem": 78,
             "vessel": 30, "other": 85, "grey": 100},
    "PET": {"white": 38, "cerebellar white": 38, "fluid": 12, "brain-stem": 60, "cerebellum": 85,
            "putamen": 125, "caudate": 110, "vessel": 50, "other": 40, "grey": 105},
}  # fmt: skip
#: How bright a head's outer tissues are beside its brain.
_OUTER = {"T1w": 1.0, "T2w": 0.8, "FLAIR": 0.8, "BOLD": 0.3, "PET": 0.25, "inverted": 1.0}
_TISSUES = {
    "white": (2, 41), "cortex": (3, 42), "fluid": (4, 5, 14, 15, 24, 43, 44, 72),
    "cerebellar white": (7, 46), "cerebellum": (8, 47), "thalamus": (10, 49), "caudate": (11, 50),
    "putamen": (12, 51), "pallidum": (13, 52), "brain-stem": (16,), "hippocampus": (17, 53),
    "amygdala": (18, 54), "accumbens": (26, 58), "ventral": (28, 60), "vessel": (30, 62),
    "other": (25, 57, 85, 136, 137, 163, 164),
}  # fmt: skip
CORTEX = (3, 42)
SUBCORTEX = (10, 11, 12, 13, 17, 18, 26, 28, 49, 50, 51, 52, 53, 54, 58, 60)
#: Labels from here on lie outside the brain.
_OUTSIDE = 500
#: Twelve ordered pairs of the twenty heads: fixed, moving.
PAIRS = [(1 + i, 1 + (i + k) % 20) for k in (3, 7) for i in range(0, 20, 3)][:12]
_FWHM_TO_SIGMA = 1 / np.sqrt(8 * np.log(2))


@dataclass(frozen=True)
class Head:
    """An image, the labels at 1 mm that it was made of, and the brain in the image's grid."""

    img: Nifti1Image
    labels_img: Nifti1Image
    mask_img: Nifti1Image


class Labels(NamedTuple):
    """Labels with a rim of background, and their affine."""

    data: NDArray[np.int16]
    affine: Array


def load_labels(folder: Path, number: int, *, outer: bool) -> Labels:
    """Read a label map and cut it to the brain, or to the whole head, and 12 mm around it."""
    img = nib.nifti1.load(folder / f"labelmap-{number:02d}_dseg.nii.gz")
    data = np.asarray(img.dataobj).astype(np.int16)
    if not outer:
        data[data >= _OUTSIDE] = 0
    box = ndimage.find_objects((data > 0).astype(np.uint8))[0]
    affine = np.array(img.affine, dtype=np.float64)
    affine[:3, 3] = apply_affine(affine, [side.start - 12 for side in box])
    padded = np.pad(data[box], 12)
    return Labels(np.pad(padded, [(0, n % 2) for n in padded.shape]), affine)


def brain(folder: Path, number: int, voxel_mm: int, *, seed: int = 0) -> Head:
    """Return a T1w-like brain (0 around it) of one of the twenty, at 1 or 2 mm."""
    rng = np.random.default_rng([seed, number])
    labels = load_labels(folder, number, outer=False)
    painted = ndimage.gaussian_filter(_paint(labels.data, "T1w", rng), 0.5)
    data, affine = _blocks(painted, labels.affine, voxel_mm)
    inside = data > 8
    noise = rng.normal(0, 4.0 / voxel_mm**0.5, data.shape)
    data = np.where(inside, np.maximum(data * _bias(data.shape, rng) + noise, 1), 0)
    return Head(_image(data, affine), _image(labels.data, labels.affine), _image(inside, affine))


def whole(folder: Path, number: int, *, seed: int = 0) -> Head:
    """Return a T1w-like head with all its outer tissues, at 2 mm."""
    rng = np.random.default_rng([seed, number, 1])
    labels = load_labels(folder, number, outer=True)
    data, affine = _blocks(_paint(labels.data, "T1w", rng), labels.affine, 2)
    data = noisy(data, rng, 3.0)
    share, _ = _blocks(_in_brain(labels.data).astype(np.float32), labels.affine, 2)
    return Head(
        _image(data, affine), _image(labels.data, labels.affine), _image(share > 0.5, affine)
    )


def scan(
    folder: Path, number: int, contrast: Contrast, spacing: tuple[int, int, int], *, seed: int = 0
) -> Head:
    """Return a head with all its outer tissues, in a contrast and with voxels of whole mm.

    Noise is 4 % of a T1w image's white matter in a voxel of 1 mm and less in a larger one. The
    labels are those that fill most of a voxel, the mask that of the brain and its fluid.
    """
    rng = np.random.default_rng([seed, number, 3, len(contrast)])
    labels = load_labels(folder, number, outer=True)
    data, affine = labels.data, labels.affine
    painted = ndimage.gaussian_filter(_paint(data, contrast, rng), 0.5)
    shape = [n // step * step for n, step in zip(data.shape, spacing, strict=True)]
    cut = tuple(slice(n) for n in shape)
    parts = [n for n, step in zip(shape, spacing, strict=True) for n in (n // step, step)]
    blocks = painted[cut].reshape(parts).mean(axis=(1, 3, 5))
    most = _most(data[cut].reshape(parts))
    out = affine.copy()
    out[:3, 3] = apply_affine(affine, [(step - 1) / 2 for step in spacing])
    out[:3, :3] = affine[:3, :3] * np.array(spacing)
    level = 4.4 / float(np.prod(spacing)) ** 0.5
    img = _image(noisy(blocks.astype(np.float32), rng, level), out)
    return Head(img, _image(most, out), _image(_in_brain(most), out))


def counterpart(
    folder: Path, number: int, contrast: Contrast, matrix: Array, *, seed: int = 0
) -> Nifti1Image:
    """Return the same head in another contrast, carried by a pull matrix to another grid.

    2 mm, BOLD 3 mm with signal lost above nose and ears, PET blurred to 6 mm.
    """
    rng = np.random.default_rng([seed, number, 2])
    labels = load_labels(folder, number, outer=True)
    painted = _paint(labels.data, contrast, rng)
    if contrast == "BOLD":
        painted = painted * _dropout(labels)
    voxel_mm = 3.0 if contrast == "BOLD" else 2.0
    fwhm = 6.0 if contrast == "PET" else voxel_mm
    blurred = ndimage.gaussian_filter(painted, fwhm * _FWHM_TO_SIGMA)
    data, affine = carry(blurred, labels.affine, matrix, voxel_mm)
    return _image(noisy(data, rng, 4.0), affine)


def carry(
    data: NDArray[Any], affine: Array, matrix: Array, voxel_mm: float
) -> tuple[NDArray[np.float32], Array]:
    """Resample an image to a grid of its own around it after a pull matrix was applied."""
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in data.shape], indexing="ij"), -1)
    world = apply_affine(matrix @ affine, corners.reshape(-1, 3))
    out = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    out[:3, 3] = world.min(axis=0)
    shape = np.ceil(np.ptp(world, axis=0) / voxel_mm).astype(int) + 1
    pull = np.linalg.inv(matrix @ affine) @ out
    moved = ndimage.affine_transform(
        data.astype(np.float32), pull[:3, :3], pull[:3, 3], tuple(shape), order=1
    )
    return moved, out


def planted(kind: Literal["rigid", "affine"], seed: int, centre: Array) -> Array:
    """Return a matrix: up to 15 degrees about any axis, 10 mm and, if affine, 8 % along each."""
    rng = np.random.default_rng([seed, 7])
    axis = rng.normal(size=3)
    angle = np.radians(rng.uniform(5, 15))
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
    if kind == "affine":
        matrix[:3, :3] = matrix[:3, :3] @ np.diag(rng.uniform(0.92, 1.08, 3))
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre + rng.uniform(-10, 10, 3) / np.sqrt(3)
    return matrix


def centre_of(mask_img: Nifti1Image) -> Array:
    """Return the centre of a mask in world mm."""
    middle: Array = apply_affine(mask_img.affine, ndimage.center_of_mass(mask_img.get_fdata()))
    return middle


def matrix_error(found: Array, truth: Array, mask_img: Nifti1Image) -> float:
    """Return the mean distance (mm) between where two matrices carry the points of a mask."""
    points = apply_affine(mask_img.affine, np.argwhere(np.asarray(mask_img.dataobj) > 0)[::7])
    return float(np.linalg.norm(apply_affine(found - truth, points), axis=1).mean())


def dice(fixed: NDArray[Any], moved: NDArray[Any], labels: tuple[int, ...]) -> dict[int, float]:
    """Return the overlap of each label, 0 to 1."""
    return {
        label: float(2 * np.sum((fixed == label) & (moved == label)))
        / float(max(1, np.sum(fixed == label) + np.sum(moved == label)))
        for label in labels
    }


def _in_brain(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where a label is of the brain and its fluid."""
    return (labels > 0) & (labels < _OUTSIDE)


def _paint(
    labels: NDArray[Any], contrast: Contrast, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Give every label its intensity, each off by some 2 %, outer tissues by chance."""
    table = np.zeros(1024, np.float32)
    levels = _LEVELS.get(contrast, {})
    for name, numbers in _TISSUES.items():
        value = (
            _T1W[name]
            if contrast in ("T1w", "inverted")
            else levels.get(name, levels.get("grey", 0))
        )
        table[list(numbers)] = value * (1 + rng.normal(0, 0.02, len(numbers)))
    table[_OUTSIDE:600] = _OUTER[contrast] * rng.uniform(15, 115, 100)
    if contrast == "inverted":
        table[1:600] = 140 - table[1:600]
    return np.asarray(table[labels])


def _blocks(data: NDArray[Any], affine: Array, step: int) -> tuple[NDArray[np.float32], Array]:
    """Average blocks of 1 mm voxels."""
    data = np.pad(data, [(0, -n % step) for n in data.shape])
    blocks = data.reshape([n for side in data.shape for n in (side // step, step)])
    out = affine.copy()
    out[:3, 3] = apply_affine(affine, np.full(3, (step - 1) / 2))
    out[:3, :3] *= step
    return blocks.mean(axis=(1, 3, 5)).astype(np.float32), out


def _most(blocks: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the label that fills most of each block, the least of those that draw."""
    shape = blocks.shape[::2]
    best, found = np.zeros(shape, np.int32), np.zeros(shape, np.int16)
    for label in np.unique(blocks):
        count = (blocks == label).sum(axis=(1, 3, 5), dtype=np.int32)
        found[count > best] = label
        best = np.maximum(best, count)
    return found


def _bias(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return a smooth multiplicative field: a quadratic in the logarithm, some 15 % wide."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij", sparse=True)
    linear, square = rng.normal(0, 0.12, 3), rng.normal(0, 0.08, 6)
    log = linear[0] * x + linear[1] * y + linear[2] * z
    log = log + square[0] * x**2 + square[1] * y**2 + square[2] * z**2
    log = log + square[3] * x * y + square[4] * y * z + square[5] * x * z
    return np.asarray(np.exp(log))


def noisy(data: NDArray[Any], rng: np.random.Generator, level: float) -> NDArray[np.float32]:
    """Return the image under a bias field and Rician noise, in the air too."""
    real = data * _bias(data.shape, rng) + rng.normal(0, level, data.shape)
    return np.hypot(real, rng.normal(0, level, data.shape)).astype(np.float32)


def _dropout(labels: Labels) -> NDArray[np.float32]:
    """Return the share of signal that is left: little above the nose and beside the ears."""
    inside = np.argwhere(_in_brain(labels.data))
    low, high = np.percentile(inside, (1, 99), axis=0)
    places = np.array([[0.5, 0.82, 0.22], [0.12, 0.5, 0.18], [0.88, 0.5, 0.18]])
    grid = np.meshgrid(*[np.arange(n, dtype=np.float32) for n in labels.data.shape],
                       indexing="ij", sparse=True)  # fmt: skip
    left: NDArray[np.float32] = np.ones(labels.data.shape, np.float32)
    for place in low + places * (high - low):
        square = sum((axis - np.float32(at)) ** 2 for axis, at in zip(grid, place, strict=True))
        left *= 1 - 0.85 * np.exp(-np.asarray(square) / (2 * 13.0**2))
    return left


def _image(data: NDArray[Any], affine: Array) -> Nifti1Image:
    """Return an image: float32 for intensities, int16 for labels, uint8 for masks."""
    kinds = {"f": np.float32, "b": np.uint8}
    return Nifti1Image(data.astype(kinds.get(data.dtype.kind, np.int16)), affine)
