"""What a head's label map says to a CT: tissues, depth below the skull, places where things lie."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

__all__ = ["MARKS", "TISSUES", "Anatomy", "anatomy_of"]

#: Tissues by number, with the mean and deviation of their Hounsfield units between persons.
#: Kamalian, Lev and Gupta (2016), Handb Clin Neurol 135:3 (tissues of the brain).
TISSUES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "air": (-1000.0, 5.0),
        "fat": (-90.0, 15.0),
        "soft": (45.0, 10.0),
        "compact bone": (1200.0, 250.0),
        "spongy bone": (450.0, 150.0),
        "fluid": (6.0, 3.0),
        "grey": (38.0, 2.0),
        "white": (29.0, 2.0),
        "pale white": (22.0, 3.0),
        "vessel": (48.0, 6.0),
        "eye": (10.0, 4.0),
    }
)
#: Places by number: where calcium, dura and venous blood are bright without a haemorrhage.
MARKS = ("none", "sinus", "falx", "tentorium", "choroid plexus", "pineal gland", "pallidum")

_NUMBER = {name: number for number, name in enumerate(TISSUES)}
_GREY = (3, 42, 8, 47, 10, 49, 11, 50, 12, 51, 13, 52, 17, 53, 18, 54, 26, 58)
_WHITE = (2, 41, 7, 46, 16, 28, 60, 85)
_FLUID = (4, 43, 5, 44, 14, 15, 24, 72, 136, 137, 163, 164)
_BONE, _MARROW, _SKIN = (515,), (514, 516), (511,)
_LATERAL, _CEREBELLUM, _PALLIDUM = (4, 43, 5, 44), (7, 8, 46, 47), (13, 52)
_CEREBRUM = (2, 3, 41, 42)
_MARGIN = 30  # mm kept around the inside of the skull


class Anatomy(NamedTuple):
    """One head on its own grid of 1 mm, RAS.

    Attributes
    ----------
    labels : (nx, ny, nz) int16 tensor
        FreeSurfer's numbers; above 500 outside the brain.
    codes : (nx, ny, nz) int16 tensor
        Rows of the tables that follow: one look-up says all of a voxel.
    label_of, tissue_of, mark_of : (n_codes,) int64 tensors
        FreeSurfer's number, and places in :data:`TISSUES` and :data:`MARKS`. Code 0 is air.
    depth : (nx, ny, nz) float32 tensor
        Distance to the inside of the skull, mm; 0 outside.
    midline : (3,) float64 tensor
        The plane between the halves: ``x = midline @ (1, y, z)`` in voxels.
    centre, base : (3,) float32 tensors
        Middle of what lies in the skull; the suprasellar cistern, in front of the brain-stem.
    """

    labels: Tensor
    codes: Tensor
    label_of: Tensor
    tissue_of: Tensor
    mark_of: Tensor
    depth: Tensor
    midline: Tensor
    centre: Tensor
    base: Tensor


def anatomy_of(label_map: NDArray) -> Anatomy:
    """Return what a label map says.

    Parameters
    ----------
    label_map : (nx, ny, nz) integer array
        1 mm, RAS, FreeSurfer's numbers, with a skull (515) and skin (511) around.

    Raises
    ------
    ValueError
        It has no brain of two halves, or no skull around it.
    """
    labels = np.asarray(label_map, dtype=np.int16)
    inside = _inside(labels)
    if not inside.any() or not np.isin(labels, _BONE).any():
        raise ValueError(
            "label_map must hold a brain in a skull, in FreeSurfer's numbers and 515 for bone. "
            "Give a whole head, such as a label map that SynthSeg was trained on."
        )
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    box = tuple(slice(max(0, each.start - _MARGIN), each.stop + _MARGIN) for each in box)
    labels = np.pad(labels[box], 1)
    inside = np.pad(inside[box], 1)
    depth = ndimage.distance_transform_edt(inside).astype(np.float32)
    midline = _midline(labels)
    codes, tables = _codes(labels, _tissues(labels, inside), _marks(labels, depth, midline))
    middle = np.array(ndimage.center_of_mass(inside))
    return Anatomy(
        labels=torch.from_numpy(labels),
        codes=codes,
        label_of=tables[0],
        tissue_of=tables[1],
        mark_of=tables[2],
        depth=torch.from_numpy(depth),
        midline=torch.from_numpy(midline),
        centre=torch.from_numpy(middle).float(),
        base=torch.from_numpy(_base(labels, middle)).float(),
    )


def _codes(
    labels: NDArray, tissue: NDArray[np.uint8], marks: NDArray[np.uint8]
) -> tuple[Tensor, Tensor]:
    """Return a number for each combination that there is, and what they mean ``(3, n_codes)``."""
    packed = (labels.astype(np.int64) * 256 + tissue) * 256 + marks
    there, codes = np.unique(np.append(packed, 0), return_inverse=True)
    tables = np.stack([there // 65536, there // 256 % 256, there % 256])
    return (
        torch.from_numpy(codes[:-1].reshape(labels.shape).astype(np.int16)),
        torch.from_numpy(tables),
    )


def _inside(labels: NDArray) -> NDArray[np.bool_]:
    """Return what lies in the skull, one piece without holes."""
    brain = ndimage.binary_opening((labels > 0) & (labels < 500), iterations=2)
    pieces, n_pieces = ndimage.label(brain)
    if not n_pieces:
        return np.asarray(brain)
    largest = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    grown = ndimage.binary_dilation(largest, iterations=2) & (labels > 0) & (labels < 500)
    return np.asarray(ndimage.binary_fill_holes(grown))


def _tissues(labels: NDArray, inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the tissue of each voxel."""
    table = np.full(labels.max() + 1, _NUMBER["soft"], dtype=np.uint8)
    groups = (
        ("air", (0,)), ("grey", _GREY), ("white", _WHITE), ("fluid", _FLUID),
        ("pale white", (25, 57)), ("vessel", (30, 62)), ("eye", (506, 508)), ("fat", (507,)),
        ("compact bone", _BONE), ("spongy bone", _MARROW),
    )  # fmt: skip
    for name, numbers in groups:
        table[[each for each in numbers if each < table.size]] = _NUMBER[name]
    tissue = table[labels]
    bone = np.isin(labels, (*_BONE, *_MARROW))
    grown = ndimage.distance_transform_edt(~bone) <= 4
    closed = ndimage.distance_transform_edt(np.pad(grown, 5))[5:-5, 5:-5, 5:-5] > 4
    shell = closed & ~inside & ~bone & (labels > 500)
    tissue[shell & ~np.isin(labels, _SKIN)] = _NUMBER["spongy bone"]
    # what is named as brain outside the piece in the skull is not brain
    tissue[~inside & (labels > 0) & (labels < 500)] = _NUMBER["soft"]
    holes = inside & ((labels == 0) | (labels > 500))
    tissue[holes] = _NUMBER["fluid"]
    return np.asarray(tissue)


def _midline(labels: NDArray) -> NDArray[np.float64]:
    """Fit the plane between left and right: half-way between the halves in each row."""
    left, right = np.isin(labels, (2, 3)), np.isin(labels, (41, 42))
    x = np.arange(labels.shape[0])[:, None, None]
    rows = left.any(axis=0) & right.any(axis=0)
    if not rows.any():
        raise ValueError("label_map must hold both halves of a brain. Give a whole head.")
    inner_left = np.where(left, x, -1).max(axis=0)[rows]
    inner_right = np.where(right, x, labels.shape[0]).min(axis=0)[rows]
    y, z = np.nonzero(rows)
    design = np.stack([np.ones(y.size), y, z], axis=1)
    found, *_ = np.linalg.lstsq(design, (inner_left + inner_right) / 2, rcond=None)
    return np.asarray(found)


def _base(labels: NDArray, middle: NDArray) -> NDArray[np.float64]:
    """Return the suprasellar cistern: before the top of the brain-stem and below the chiasm."""
    stem = np.argwhere(labels == 16)
    if not len(stem):
        return middle - [0, 0, 40]
    top = stem[stem[:, 2] > np.quantile(stem[:, 2], 0.8)]
    x, y, z = top.mean(axis=0)
    return np.array([x, y + 14, z - 2])


def _marks(labels: NDArray, depth: NDArray, midline: NDArray) -> NDArray[np.uint8]:
    """Return where dura, venous blood and calcium can be bright."""
    marks = np.zeros(labels.shape, dtype=np.uint8)
    x, y, z = np.ogrid[tuple(map(slice, labels.shape))]
    away = np.abs(x - (midline[0] + midline[1] * y + midline[2] * z))
    inside, fluid = depth > 0, labels == 24
    middle = ndimage.center_of_mass(inside)
    cerebellum = ndimage.distance_transform_edt(~np.isin(labels, _CEREBELLUM))
    cerebrum = ndimage.distance_transform_edt(~np.isin(labels, _CEREBRUM))
    tentorium = inside & fluid & (cerebellum < 4) & (cerebrum < 4)
    stem = np.isin(labels, (16,)).any(axis=(0, 1))
    above = z > np.flatnonzero(stem).max() if stem.any() else z > middle[2]
    falx = inside & fluid & (away < 1.2) & above
    back = (y < middle[1] - 20) | (z > middle[2] + 25)
    sinus = inside & fluid & (depth < 9) & (away < 6) & back & above
    sinus |= inside & fluid & (depth < 8) & (cerebellum < 9) & (cerebrum < 9) & (y < middle[1] - 10)
    lateral = np.isin(labels, _LATERAL)
    plexus = lateral & (y < middle[1] - 15) & (y > middle[1] - 45)
    for name, where in (
        ("falx", falx), ("tentorium", tentorium), ("sinus", sinus), ("choroid plexus", plexus),
        ("pallidum", np.isin(labels, _PALLIDUM)), ("pineal gland", _pineal(labels)),
    ):  # fmt: skip
        marks[where] = MARKS.index(name)
    return marks


def _pineal(labels: NDArray) -> NDArray[np.bool_]:
    """Return a ball of 4 mm behind the third ventricle."""
    third = np.argwhere(labels == 14)
    where = np.zeros(labels.shape, dtype=bool)
    if len(third):
        back = third[third[:, 1] <= np.quantile(third[:, 1], 0.1)].mean(axis=0) - [0, 5, 0]
        grid = np.ogrid[tuple(map(slice, labels.shape))]
        where = sum((axis - at) ** 2 for axis, at in zip(grid, back, strict=True)) < 16
    return where
