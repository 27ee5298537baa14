"""Find the brain in a head, and tell a head from a brain that was already cut out."""

import warnings
from functools import lru_cache
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage

from brainnet.imaging import _ants

#: Volume that the brain of a child or an adult, with ventricles, cannot leave (ml).
PLAUSIBLE_ML = (500.0, 2500.0)
#: Working voxel size for shapes (mm).
_COARSE = 2.0
#: Depth under the surface down to which scalp and skull may reach (mm).
_SHELL = 16.0
#: A layer this much darker than one above it is bone under scalp.
_BONE = 0.85


def is_skull_stripped(img: Nifti1Image) -> bool:
    """Tell whether a T1-weighted image shows a brain that was already cut out of its head.

    Three things must hold. The background is one constant value (air in a raw image is noise).
    What is left is of the size of a brain, 500 to 2500 ml: heads measured 2900 ml and more, even
    cut below the brain. And going inwards from its surface through 16 mm it never darkens by
    15 %, as a head does from scalp to bone. So a head whose air was set to zero, and one whose
    face was removed, are still heads.

    Parameters
    ----------
    img : Nifti1Image
        Three-dimensional and finite, any unit and any background value, T1-weighted.

    Returns
    -------
    bool
        True if skull stripping must not be run again.

    Raises
    ------
    ValueError
        If ``img`` is not three-dimensional, finite and varying.
    """
    data = _ants.check_volume(img, "img")
    voxel = np.linalg.norm(np.asarray(img.affine)[:3, :3], axis=0)
    background = _constant_background(data)
    if background is None:
        return False
    data, voxel = _coarse(data, background, voxel)
    body = _largest(ndimage.binary_opening(data > 0.02 * np.percentile(data[data > 0], 90)))
    body = ndimage.binary_fill_holes(body)
    volume = float(body.sum() * voxel.prod() / 1000)
    if not PLAUSIBLE_ML[0] <= volume <= PLAUSIBLE_ML[1]:
        return False
    return _bone_contrast(data, body, voxel) > _BONE


def brain_mask(img: Nifti1Image) -> Nifti1Image:
    """Return the mask of the brain in a T1-weighted head, ventricles included.

    The network is deepbet, run on the CPU: the same mask on every run.

    Parameters
    ----------
    img : Nifti1Image
        Three-dimensional, finite, T1-weighted, any orientation, voxel size and unit.

    Returns
    -------
    Nifti1Image
        uint8, same grid: 1 in the brain, one connected piece without holes.

    Raises
    ------
    ValueError
        If no brain is found, or its volume is not between 500 and 2500 ml.

    References
    ----------
    Fisch et al. (2024), deepbet: fast brain extraction of T1-weighted MRI using convolutional
    neural networks. Comput Biol Med 179:108845.
    """
    data = _ants.check_volume(img, "img")
    canonical = nib.as_closest_canonical(Nifti1Image(data, img.affine))
    mask = _run_network(np.ascontiguousarray(canonical.dataobj, dtype=np.float32))
    back = nib.orientations.ornt_transform(
        nib.io_orientation(canonical.affine), nib.io_orientation(img.affine)
    )
    mask = np.ascontiguousarray(nib.apply_orientation(mask, back), dtype=np.uint8)
    volume = float(mask.sum() * abs(np.linalg.det(np.asarray(img.affine)[:3, :3])) / 1000)
    if not PLAUSIBLE_ML[0] <= volume <= PLAUSIBLE_ML[1]:
        raise ValueError(
            f"img must be a T1-weighted head; the brain found in it measures {volume:.0f} ml, "
            f"outside {PLAUSIBLE_ML[0]:.0f} to {PLAUSIBLE_ML[1]:.0f} ml. Look at the image: is it "
            "T1-weighted, whole, and of the voxel size its header says? Otherwise pass a mask."
        )
    return _ants.image_like(mask, img)


def support_mask(img: Nifti1Image) -> Nifti1Image:
    """Return the mask of a brain that was already cut out: all that differs from its background.

    Parameters
    ----------
    img : Nifti1Image
        Three-dimensional and finite; one constant value around the brain.

    Returns
    -------
    Nifti1Image
        uint8 on the same grid, 1 in the largest connected piece with its holes filled.

    Raises
    ------
    ValueError
        If ``img`` is not three-dimensional, finite and varying, or its background is not constant.
    """
    data = _ants.check_volume(img, "img")
    background = _constant_background(data)
    if background is None:
        raise ValueError(
            "img must have one constant value around the brain; its border varies. "
            "It is a whole head: run brain_mask(img)."
        )
    brain = ndimage.binary_fill_holes(_largest(data != background))
    return _ants.image_like(np.asarray(brain, dtype=np.uint8), img)


def _run_network(data: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the brain in an array of closest-to-RAS orientation."""
    network = _network()
    try:
        probability = network.run_model(data)
        mask = network.postprocess(probability > 0.5)
    except (AssertionError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"img must be a T1-weighted head; no brain was found in it ({error}). "
            "Look at the image, or pass a mask."
        ) from error
    return np.asarray(mask) > 0


@lru_cache(maxsize=1)
def _network() -> Any:
    """Load deepbet once a process, on the CPU."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`?torch\.jit", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=r"`?torch\.jit", category=FutureWarning)
        from deepbet.bet import BrainExtraction

        return BrainExtraction(no_gpu=True)


def _constant_background(data: NDArray[np.float32]) -> float | None:
    """Return the value that at least a fifth of the voxels and most of the border share."""
    low, high = np.percentile(data, (0.0, 99.5))
    border = np.concatenate([np.take(data, (0, -1), axis=k).ravel() for k in range(3)])
    value = float(np.median(border))
    tolerance = 1e-3 * float(high - low)
    if np.mean(np.abs(border - value) <= tolerance) < 0.5:
        return None
    return value if np.mean(np.abs(data - value) <= tolerance) >= 0.2 else None


def _coarse(
    data: NDArray[np.float32], background: float, voxel: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Take the background off, pad it around, and average blocks to about 2 mm."""
    steps = np.maximum(1, np.round(_COARSE / voxel)).astype(int)
    data = np.abs(data - background)
    blocks = data.shape // steps
    data = data[tuple(slice(0, n * s) for n, s in zip(blocks, steps, strict=True))]
    shape = [n for pair in zip(blocks, steps, strict=True) for n in pair]
    return np.pad(data.reshape(shape).mean(axis=(1, 3, 5)), 2), voxel * steps


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest connected piece."""
    pieces, n_pieces = ndimage.label(mask)
    if n_pieces == 0:
        return mask
    return np.asarray(pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]))


def _bone_contrast(
    data: NDArray[np.float32], body: NDArray[np.bool_], voxel: NDArray[np.float64]
) -> float:
    """Return how dark a layer gets relative to the brightest one above it (1: never darker)."""
    depth = ndimage.distance_transform_edt(body, sampling=voxel)
    starts = np.arange(1.0, _SHELL, 1.0)
    inside = [data[(depth >= start) & (depth < start + 2.0)] for start in starts]
    medians = np.array([np.median(layer) for layer in inside if layer.size])
    return float(np.min(medians / np.maximum.accumulate(medians)))
