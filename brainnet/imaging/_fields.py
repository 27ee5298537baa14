"""Coarse volumes and displacement fields, for registration."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage

from brainnet.imaging import _ants

Points = NDArray[np.float64]
Mapping = Callable[[Points], Points]
_LPS = np.array([-1, -1, 1], dtype=np.float32)


class Volume(NamedTuple):
    """An array and its RAS affine."""

    data: NDArray[np.float32]
    affine: NDArray[np.float64]


def shrink(data: NDArray[np.float32], img: Nifti1Image | Volume, voxel_mm: float) -> Volume:
    """Average whole blocks of voxels so that none is much finer than ``voxel_mm``."""
    affine = np.array(img.affine, dtype=np.float64)
    steps = np.maximum(1, np.round(voxel_mm / np.linalg.norm(affine[:3, :3], axis=0))).astype(int)
    steps = np.minimum(steps, data.shape)
    blocks = data.shape // steps
    data = data[tuple(slice(0, n * s) for n, s in zip(blocks, steps, strict=True))]
    shape = [n for pair in zip(blocks, steps, strict=True) for n in pair]
    data = data.reshape(shape).mean(axis=(1, 3, 5), dtype=np.float64).astype(np.float32)
    affine[:3, 3] = apply_affine(affine, (steps - 1) / 2)
    affine[:3, :3] *= steps
    return Volume(data, affine)


def crop(volume: Volume, margin_mm: float = 12.0) -> Volume:
    """Cut or pad a brain on 0 to its bounding box and a margin."""
    data, affine = volume
    margin = np.ceil(margin_mm / np.linalg.norm(affine[:3, :3], axis=0)).astype(int)
    box = ndimage.find_objects((data != 0).astype(np.uint8))[0]
    padded = np.pad(data[box], [(int(m), int(m)) for m in margin])
    moved = affine.copy()
    moved[:3, 3] = apply_affine(affine, np.array([side.start for side in box]) - margin)
    return Volume(padded, moved)


def read_field(path: Path) -> Volume:
    """Read a displacement field as (x, y, z, 3) in RAS mm."""
    img = nib.nifti1.load(path)
    field = np.asarray(img.dataobj, dtype=np.float32)[:, :, :, 0]
    return Volume(field * _LPS, np.asarray(img.affine))


def interpolate(field: Volume, points: Points) -> Points:
    """Return the displacements at world points, linearly; 0 outside the field."""
    voxels = np.moveaxis(apply_affine(np.linalg.inv(field.affine), points), -1, 0)
    parts = [
        ndimage.map_coordinates(field.data[..., k], voxels, order=1, output=np.float64)
        for k in range(3)
    ]
    return np.stack(parts, axis=-1)


def slice_points(img: Nifti1Image, k: int) -> Points:
    """Return the world points of slice ``k`` of a grid, (x, y, 3)."""
    i, j = np.meshgrid(np.arange(img.shape[0]), np.arange(img.shape[1]), indexing="ij")
    points: Points = apply_affine(np.asarray(img.affine), np.stack([i, j, np.full_like(i, k)], -1))
    return points


def field_image(field: NDArray[np.float32], img: Nifti1Image) -> Nifti1Image:
    """Return displacements (3, x, y, z), LPS mm, as ITK vector image on the grid of ``img``."""
    out = _ants.image_like(np.moveaxis(field, 0, -1)[:, :, :, None], img)
    out.header.set_intent("vector")
    return out


def total_field(img: Nifti1Image, transform: Mapping) -> Nifti1Image:
    """Return ``transform`` minus identity on the grid of ``img`` as ITK vector image."""
    field = np.empty((*img.shape, 1, 3), np.float32)
    for k in range(img.shape[2]):
        points = slice_points(img, k)
        field[:, :, k, 0] = (transform(points) - points) * _LPS
    return field_image(np.moveaxis(field[:, :, :, 0], -1, 0), img)


def check_field(displacement_img: Nifti1Image) -> NDArray[np.float32]:
    """Return a displacement field as (x, y, z, 3) in RAS mm, or raise."""
    return np.asarray(stored_field(displacement_img) * _LPS)


def stored_field(displacement_img: Nifti1Image) -> NDArray[np.float32]:
    """Return a displacement field as (x, y, z, 3) in LPS mm, as it is stored, or raise."""
    shape = displacement_img.shape
    if len(shape) != 5 or shape[3:] != (1, 3):
        raise ValueError(
            f"displacement_img must be an ITK vector image of shape (x, y, z, 1, 3); got {shape}. "
            "Pass a field of register_deformable, or a warp that ANTs wrote."
        )
    field = np.asarray(displacement_img.dataobj, dtype=np.float32)[:, :, :, 0]
    with np.errstate(invalid="ignore", over="ignore"):
        suspect = not np.isfinite(field.sum())  # cheaper than a look at every voxel
    n_bad = int(np.sum(~np.isfinite(field).all(axis=-1))) if suspect else 0
    if n_bad:
        raise ValueError(
            f"displacement_img must be finite; {n_bad} voxels are NaN or infinite. "
            "Register again, or set those displacements to those of their neighbours."
        )
    return field
