"""The classical method for blood in a head CT: a threshold within the skull, cleaned.

What a researcher without training data would do, and what was published before networks: Chan
(2007), Comput Med Imaging Graph 31:285; Prakash et al. (2012), Int J CARS 7:785.
"""

import numpy as np
from haemorrhage_scores import Read
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

_LOW, _HIGH, _BONE = 50.0, 100.0, 250.0
_MARGIN, _LEAST_ML, _RIM = 3.0, 0.5, 7.0  # mm, ml, mm


def threshold(img: Nifti1Image) -> Read:
    """Return what lies between 50 and 100 Hounsfield units in the skull, smoothed and opened.

    Median over some 2 mm, opening over 2 mm, pieces above 0.5 ml. A piece that lies mostly within
    7 mm of the skull is called subdural, any other intraparenchymal. No shift is read.
    """
    spacing = np.asarray(img.header.get_zooms()[:3], dtype=float)
    units = np.asarray(img.dataobj, dtype=np.float32)
    inside = interior(units, spacing)
    window = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in _box(inside))
    depth = ndimage.distance_transform_edt(inside[window], sampling=spacing)
    size = [max(1, round(2 / step) // 2 * 2 + 1) for step in spacing]
    smooth = ndimage.median_filter(units[window], size=size)
    mask = (smooth > _LOW) & (smooth < _HIGH) & (depth > _MARGIN)
    mask = ndimage.binary_opening(mask, _ball(spacing, 2.0))
    labels, lesions = np.zeros(units.shape, np.int16), np.zeros(units.shape, np.int16)
    ml = float(np.prod(spacing)) / 1000
    named, n_pieces = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(named.ravel(), minlength=n_pieces + 1) * ml
    kept = [number for number in range(1, n_pieces + 1) if sizes[number] >= _LEAST_ML]
    for rank, number in enumerate(sorted(kept, key=lambda each: -sizes[each]), 1):
        piece = named == number
        labels[window][piece] = 14 if np.median(depth[piece]) < _RIM else 11
        lesions[window][piece] = rank
    total = float(sum(sizes[number] for number in kept))
    return Read(labels, lesions, {
        "haemorrhage": {"present": bool(kept), "probability": total / (total + 5)},
        "volumes_ml": {"total": {"value": total, "low": None, "high": None}}, "lesions": [],
        "midline_shift": {"mm": 0.0, "to": "none", "slice": -1},
    })  # fmt: skip


def interior(units: NDArray[np.float32], spacing: NDArray[np.float64]) -> Mask:
    """Return what the skull holds, found on a grid of some 2 mm."""
    step = [max(1, int(2 / size)) for size in spacing]
    coarse = units[tuple(slice(None, None, n) for n in step)]
    size = spacing * step
    soft = ndimage.median_filter(coarse, size=3)
    soft = (soft > -15) & (soft < _BONE)
    core = ndimage.distance_transform_edt(soft, sampling=size) > 6
    pieces, n_pieces = ndimage.label(core)
    if n_pieces == 0:
        return np.ones(units.shape, bool)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    away = ndimage.distance_transform_edt(pieces != sizes.argmax(), sampling=size)
    inside = ndimage.binary_fill_holes((away < 7) & soft)
    fine = np.asarray(inside)
    for axis, n in enumerate(step):
        fine = np.repeat(fine, n, axis=axis)
    return np.asarray(fine[tuple(slice(n) for n in units.shape)] & (units < _BONE))


def _box(mask: Mask) -> tuple[slice, ...]:
    return tuple(ndimage.find_objects(mask.astype(np.uint8))[0])


def _ball(spacing: NDArray[np.float64], diameter: float) -> Mask:
    """Return an element of so many mm across; one voxel along an axis that is coarser."""
    half = [int(diameter / 2 / step) for step in spacing]
    axes = np.meshgrid(*[np.arange(-n, n + 1) for n in half], indexing="ij")
    square = sum((axis * step) ** 2 for axis, step in zip(axes, spacing, strict=True))
    return np.asarray(square <= (diameter / 2 + 1e-6) ** 2)
