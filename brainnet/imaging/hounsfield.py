"""Is it a head CT, and are its numbers Hounsfield units? What can be repaired is, and said."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["CTCheck", "NotACT", "check_ct"]

Floats = NDArray[np.float32]

AIR, WATER_OFFSET = -1024.0, 1024.0
_PADDING = -1100.0  # nothing measured is less dense than air by so much
_SOFT = (0.0, 85.0)  # brain, muscle, blood
_BONE = 250.0
_METAL = 2600.0
_LEAST_BRAIN_ML, _MOST_BRAIN_ML = 500.0, 2500.0
_GRID = 3.0  # mm, on which skull and brain are looked for
_SHARP = 22.0  # Hounsfield units of grain within the brain
_BRIGHT = (100.0, 220.0)  # vessels after contrast medium
_MOST_BRIGHT = 0.004  # share of the brain
_LEAST_SLICES = 8


class NotACT(ValueError):
    """An image that is no head CT in Hounsfield units, and cannot be made one."""


@dataclass(frozen=True)
class CTCheck:
    """A head CT in Hounsfield units.

    Attributes
    ----------
    img : Nifti1Image
        float32, Hounsfield units from -1024 on; the affine of the image.
    repairs : tuple of str
        What was done to its numbers.
    flags : tuple of str
        What a reader has to know before anything is read off it.
    brain_ml : float
        Volume of soft tissue in the skull, ml.
    box : (2, 3) array
        The least and the greatest corner of the box around it, RAS mm.
    """

    img: Nifti1Image
    repairs: tuple[str, ...]
    flags: tuple[str, ...]
    brain_ml: float
    box: NDArray[np.float64]


def check_ct(img: Nifti1Image) -> CTCheck:
    """Return a head CT in Hounsfield units, or say why an image is none.

    Repaired are padding below air (-2000, -3024), values that are not finite, and numbers as
    scanners store them without their rescale intercept (air 0, water 1024). Flagged are metal,
    contrast medium, a sharp kernel or much noise, bone that was clipped, a skull cut by the
    field of view, a few slices, and a header that does not say how the head lies.

    Parameters
    ----------
    img : Nifti1Image
        Three-dimensional.

    Raises
    ------
    NotACT
        More or fewer than three dimensions; a constant image; one of 8 bits or a window of grey
        values; no soft tissue where CT has it (as in MR); no skull with a brain in it.

    Examples
    --------
    >>> flat = Nifti1Image(np.zeros((20, 20, 20), dtype=np.int16), np.eye(4))
    >>> check_ct(flat)
    Traceback (most recent call last):
    brainnet.imaging.hounsfield.NotACT: the image must vary; all of it is 0. Give a head CT.
    """
    if len(img.shape) != 3:
        raise NotACT(
            f"the image must have three dimensions; got {len(img.shape)}. Give one series at a "
            "time, without its colours."
        )
    units = np.asarray(img.dataobj, dtype=np.float32)
    repairs, flags = [], []
    units, done = _finite(units)
    repairs += done
    units, done = _padded(units)
    repairs += done
    units, done = _rescaled(units)
    repairs += done
    _refuse_grey(units)
    turned, spacing = _upright(units, img)
    brain = _brain(turned, spacing)
    volume = float(brain.sum() * _GRID**3 / 1000)
    if not _LEAST_BRAIN_ML <= volume <= _MOST_BRAIN_ML:
        raise NotACT(
            f"the image must show a skull with a brain in it; {volume:.0f} ml of soft tissue lie "
            "within bone. Give a head CT that shows the whole brain, not MR or another part."
        )
    flags += _flags(turned, spacing, brain)
    if img.header["qform_code"] == 0 and img.header["sform_code"] == 0:
        flags.append("the header does not say how the head lies: left and right may be swapped")
    found = Nifti1Image(np.clip(units, AIR, None), _affine(img), img.header)
    found.header.set_data_dtype(np.float32)
    found.header.set_slope_inter(1, 0)
    box = _box(brain, turned.shape, img)
    return CTCheck(found, tuple(repairs), tuple(flags), volume, box)


def _box(brain: NDArray[np.bool_], shape: tuple[int, ...], img: Nifti1Image) -> NDArray[np.float64]:
    """Return the corners, RAS mm, of the box around what was found on the grid of 3 mm."""
    order = nib.orientations.io_orientation(_affine(img))
    ends = [
        np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis})))[[0, -1]] + [0, 1]
        for axis in range(3)
    ]
    corners = np.array(np.meshgrid(*[
        end / brain.shape[axis] * shape[axis] - 0.5 for axis, end in enumerate(ends)
    ])).reshape(3, -1)  # fmt: skip
    # turned back to the axes of the image, then to its world
    back = nib.orientations.inv_ornt_aff(order, img.shape[:3])
    world = nib.affines.apply_affine(_affine(img) @ back, corners.T)
    return np.stack([world.min(axis=0), world.max(axis=0)])


def _affine(img: Nifti1Image) -> NDArray[np.float64]:
    return np.asarray(img.header.get_best_affine() if img.affine is None else img.affine)


def _upright(units: Floats, img: Nifti1Image) -> tuple[Floats, NDArray[np.float64]]:
    """Return an image with axes as near to right, front and up as can be, and its voxels, mm."""
    order = nib.orientations.io_orientation(_affine(img))
    turned = np.asarray(nib.orientations.apply_orientation(units, order), dtype=np.float32)
    spacing = np.empty(3)
    spacing[order[:, 0].astype(int)] = img.header.get_zooms()[:3]
    return turned, np.abs(spacing)


def _finite(units: Floats) -> tuple[Floats, list[str]]:
    lost = ~np.isfinite(units)
    if not lost.any():
        return units, []
    share = lost.mean()
    return np.where(lost, np.float32(AIR), units), [f"{share:.1%} not finite: taken for air"]


def _padded(units: Floats) -> tuple[Floats, list[str]]:
    """Replace what lies below air."""
    padding = units < _PADDING
    if not padding.any():
        return units, []
    lowest = float(units.min())
    return (
        np.where(padding, np.float32(AIR), units),
        [f"padding of {lowest:.0f} ({padding.mean():.0%} of the voxels): taken for air"],
    )


def _rescaled(units: Floats) -> tuple[Floats, list[str]]:
    """Bring numbers as they are stored to Hounsfield units, where they cannot be such."""
    low, high = float(units.min()), float(units.max())
    if low == high:
        raise NotACT(f"the image must vary; all of it is {low:g}. Give a head CT.")
    if low < -200 or high < 1200:
        return units, []
    # of bone there is little, and no more between 1000 and 1100 than above
    soft, bone = (np.mean((units > a) & (units < a + 100)) for a in (1000, 1100))
    if soft > 0.05 and soft > 3 * bone:
        what = "numbers without their rescale intercept: 1024 was taken off"
        return units - np.float32(WATER_OFFSET), [what]
    return units, []


def _refuse_grey(units: Floats) -> None:
    """Refuse grey values: CT has air far below 0 and bone far above its soft tissue."""
    low, high = float(units.min()), float(units.max())
    sample = units.ravel()[:: max(1, units.size // 200_000)]
    if low >= -200 and (high <= 260 or np.unique(sample).size <= 256):
        raise NotACT(
            f"the image must be in Hounsfield units; its values go from {low:g} to {high:g}, as "
            "in an export of a window or of 8 bits. Convert the original DICOM series."
        )
    air = np.mean(sample < -700)
    bone = np.mean(sample > _BONE)
    soft = np.mean((sample > _SOFT[0]) & (sample < _SOFT[1]))
    if soft < 0.03 or (air < 0.01 and low > -200) or bone < 0.002:
        raise NotACT(
            "the image must be in Hounsfield units; it lacks air near -1000, soft tissue between "
            f"0 and 85 or bone above 250 ({air:.0%}, {soft:.0%}, {bone:.1%} of it). Is it MR? "
            "Give a head CT."
        )


def _coarse(units: Floats, spacing: NDArray[np.float64]) -> Floats:
    """Average an image to about 3 mm, air beyond its ends."""
    steps = np.maximum(1, np.round(_GRID / spacing)).astype(int)
    pads = [(0, -n % step) for n, step in zip(units.shape, steps, strict=True)]
    padded = np.pad(np.clip(units, AIR, 2000), pads, mode="edge")
    shape = [
        each for n, step in zip(padded.shape, steps, strict=True) for each in (n // step, step)
    ]
    means = padded.reshape(shape).mean(axis=(1, 3, 5))
    zoom = spacing * steps / _GRID
    return np.asarray(ndimage.zoom(means, zoom, order=1), dtype=np.float32)


def _brain(units: Floats, spacing: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return soft tissue within bone, one piece, on a grid of 3 mm."""
    coarse = _coarse(units, spacing)
    bone = coarse > 0.7 * _BONE
    soft = (coarse > -15) & (coarse < 120) & ~ndimage.binary_dilation(bone)
    core = ndimage.binary_erosion(soft, iterations=2)
    pieces, n_pieces = ndimage.label(core)
    best = np.zeros_like(soft)
    for each in np.argsort(-np.bincount(pieces.ravel())[1:])[:4] + 1 if n_pieces else ():
        piece = ndimage.binary_dilation(pieces == each, iterations=2, mask=soft)
        if _enclosed(piece, bone) > 0.6 and piece.sum() > best.sum():
            best = piece
    return np.asarray(best)


def _enclosed(piece: NDArray[np.bool_], bone: NDArray[np.bool_]) -> float:
    """Return the share of sideways lines out of a piece that meet bone."""
    met = []
    for axis in (0, 1):
        for flip in (False, True):
            a, b = (np.flip(each, axis) if flip else each for each in (piece, bone))
            rows = np.asarray(a.any(axis=axis))
            last = a.shape[axis] - 1 - np.flip(a, axis).argmax(axis=axis)
            place = np.arange(a.shape[axis]).reshape(
                [-1 if each == axis else 1 for each in range(3)]
            )
            beyond = np.asarray((b & (place > np.expand_dims(last, axis))).any(axis=axis))
            met.append(float(beyond[rows].mean()) if rows.any() else 0.0)
    return min(met)


def _flags(units: Floats, spacing: NDArray[np.float64], brain: NDArray[np.bool_]) -> list[str]:
    """Return what a reader has to know."""
    flags = []
    metal = float(np.count_nonzero(units > _METAL) * np.prod(spacing) / 1000)
    if metal > 0.1:
        flags.append(f"metal ({metal:.1f} ml): streaks may look like blood, or hide it")
    if units.max() < 400:
        flags.append(f"bone was clipped at {units.max():.0f}: fractures are not assessable")
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(brain, iterations=2))
    inner = np.asarray(ndimage.binary_erosion(filled, iterations=3))
    coarse = _coarse(units, spacing)
    if inner.any():
        bright = np.mean((coarse[inner] > _BRIGHT[0]) & (coarse[inner] < _BRIGHT[1]))
        if bright > _MOST_BRIGHT:
            flags.append(
                f"{bright:.1%} of the brain is as bright as vessels after contrast medium: blood "
                "cannot be told from it"
            )
        if (grain := _grain(units, inner)) > _SHARP:
            flags.append(
                f"grain of {grain:.0f} HU in the brain, as of a bone kernel or much noise: take "
                "the soft-tissue series where there is one"
            )
    heights = np.flatnonzero(brain.any(axis=(0, 1)))
    if heights.size and heights[-1] >= brain.shape[2] - 2:
        flags.append("the top of the head lies outside the field of view")
    if units.shape[2] < _LEAST_SLICES:
        flags.append(f"only {units.shape[2]} slices: shift and volumes are coarse")
    return flags


def _grain(units: Floats, inner: NDArray[np.bool_]) -> float:
    """Return the deviation between neighbours in the plane, within the brain."""
    places = [
        np.minimum((np.arange(n) * size / n).astype(int), size - 1)
        for n, size in zip(units.shape, inner.shape, strict=True)
    ]
    fine = inner[np.ix_(*places)]
    both = fine[1:] & fine[:-1]
    apart = np.diff(units, axis=0)[both]
    return float(1.4826 * np.median(np.abs(apart)) / np.sqrt(2)) if apart.size else 0.0
