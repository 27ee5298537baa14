"""Where the slices of a series lie: nothing missing, and the image made of them is theirs."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet.io import DataError
from brainnet.workflows.dicom.slices import Slice

_AGAIN: Final = "Export the series again"
_DIRECTION_TOLERANCE: Final = 1e-3
_SPACING_TOLERANCE: Final = 0.05  # of the spacing
_POSITION_TOLERANCE: Final = 0.01  # mm: two images closer than this are at one place
_TILT_TOLERANCE: Final = 0.02  # mm sideways for each mm along the slices: a degree
_PLACE_TOLERANCE: Final = 0.2  # voxels between a pixel and its voxel
_MEAN_TOLERANCE: Final = 1e-3  # of the spread of the slices' means
_CLASSIC: Final = "Export the series as classic DICOM, a file a slice"


class Uneven(DataError):
    """Slices that are not equally spaced, or tilted: dcm2niix can resample them."""


def shape(slices: Sequence[Slice], notes: list[str]) -> tuple[int, int, int, int] | None:
    """Return rows, columns, slices and volumes that a series must give.

    Parameters
    ----------
    slices : sequence of Slice
        From `load`.
    notes : list of str
        Gets a line where instance numbers have gaps.

    Returns
    -------
    tuple of int or None
        None for mosaics, which do not say it in the open.

    Raises
    ------
    DataError
        Images of several sizes or orientations, without position, or missing.
    Uneven
        Slices not equally spaced, or tilted.
    """
    folder = slices[0].path.parent
    if any(one.stack for one in slices):
        return None
    if len({one.grid for one in slices}) > 1:
        sizes = sorted({one.grid for one in slices}, key=str)
        raise DataError(folder, f"images of several sizes in one series: {sizes}", _AGAIN)
    if any(one.position is None or one.orientation is None for one in slices):
        what = "an image does not say where it lies (Image Position and Orientation)"
        raise DataError(folder, what, "Export the original images of the series")
    directions = np.array([one.orientation for one in slices])
    if np.abs(directions - directions[0]).max() > _DIRECTION_TOLERANCE:
        n_directions = len(np.unique(directions.round(3), axis=0))
        what = f"images of {n_directions} orientations in one series"
        raise DataError(folder, what, "Leave the series out if it is a localizer")
    groups = _by_place(slices)
    n_volumes = _n_volumes(groups, folder)
    _check_spacing([group[0] for group in groups], folder)
    numbers = sorted(one.number for one in slices)
    gaps = numbers[-1] - numbers[0] + 1 - len(numbers)
    if gaps > 0 and len(set(numbers)) == len(numbers):
        notes.append(f"instance numbers {numbers[0]} to {numbers[-1]}, but {len(numbers)} images")
    return slices[0].grid[0], slices[0].grid[1], len(groups), n_volumes


def _normal(one: Slice) -> NDArray[np.float64]:
    """Return the direction across the slices."""
    assert one.orientation is not None
    return np.asarray(np.cross(one.orientation[:3], one.orientation[3:]), np.float64)


def _by_place(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Return the images of each place along the slices, in that order; in a place, as given."""
    normal = _normal(slices[0])
    along = [float(np.dot(one.position, normal)) for one in slices]  # type: ignore[arg-type]
    groups: list[list[int]] = []
    last = -np.inf
    for place, index in sorted((place, index) for index, place in enumerate(along)):
        if place - last > _POSITION_TOLERANCE:
            groups.append([])
        groups[-1].append(index)
        last = place
    return [[slices[index] for index in sorted(group)] for group in groups]


def _n_volumes(groups: Sequence[Sequence[Slice]], folder: Path) -> int:
    """Return how many images there are at each place; raise where it varies."""
    counts = [len(group) for group in groups]
    if min(counts) < max(counts):
        short = sum(count < max(counts) for count in counts)
        what = (
            f"images are missing: {short} of {len(counts)} slices have fewer than the "
            f"{max(counts)} volumes"
        )
        raise DataError(folder, what, _AGAIN)
    return counts[0]


def _check_spacing(places: Sequence[Slice], folder: Path) -> None:
    """Raise where slices are missing, unequally spaced or tilted."""
    if len(places) < 2:
        raise DataError(folder, "the series has a single slice", "Leave it out")
    steps = np.diff([one.position for one in places], axis=0)  # type: ignore[arg-type]
    normal = _normal(places[0])
    along = steps @ normal
    typical = float(np.median(along))
    if np.abs(along - typical).max() > max(_SPACING_TOLERANCE * typical, 2 * _POSITION_TOLERANCE):
        what = (
            f"slices are missing or unequally spaced: {along.min():.3g} to {along.max():.3g} mm "
            f"apart, most {typical:.3g} mm"
        )
        remedy = f'{_AGAIN}; if it was scanned so, set uneven = "resample" in its [[series]]'
        raise Uneven(folder, what, remedy)
    sideways = np.linalg.norm(steps - along[:, None] * normal, axis=1)
    if sideways.max() > _TILT_TOLERANCE * typical:
        angle = np.degrees(np.arctan2(sideways.max(), typical))
        what = f"the slices are tilted by {angle:.1f} degrees against their row (gantry tilt)"
        raise Uneven(folder, what, 'Set uneven = "resample" in its [[series]]')


def check_places(img: Nifti1Image, slices: Sequence[Slice]) -> None:
    """Raise where an image is not what its files say: slices elsewhere, or in another order.

    The corners of every slice, taken to the world by the DICOM rules, must be voxels' centres, and
    the mean of its pixels that of the voxels there, up to one scaling for the whole image.

    Parameters
    ----------
    img : Nifti1Image
        What a converter made.
    slices : sequence of Slice
        From `load`; each says where it lies.

    Raises
    ------
    DataError
        A corner is not at a voxel, two slices are at the same voxels, or the means disagree.
    """
    groups = _by_place(slices)
    corners = np.array([_corners(group[0]) for group in groups])
    inverse = np.linalg.inv(np.asarray(img.affine))
    voxels = corners @ inverse[:3, :3].T + inverse[:3, 3]
    nearest = np.rint(voxels)
    inside = (nearest >= 0).all() and (nearest < img.shape[:3]).all()
    distinct = len(np.unique(nearest.reshape(len(corners), -1), axis=0)) == len(corners)
    if not (inside and distinct and np.abs(voxels - nearest).max() < _PLACE_TOLERANCE):
        what = "the image that dcm2niix makes lies elsewhere than its files say"
        raise DataError(slices[0].path.parent, what, _CLASSIC)
    axis = int(np.argmin(np.ptp(nearest[0], axis=0)))
    planes = np.moveaxis(np.asarray(img.dataobj).reshape(*img.shape[:3], -1), axis, 0)
    found = planes[nearest[:, 0, axis].astype(int)].mean(axis=(1, 2), dtype=np.float64)
    if not any(_agree(np.array(means), found) for means in _means(groups)):
        what = "dcm2niix puts the slices or volumes into another order than their files"
        raise DataError(slices[0].path.parent, what, _CLASSIC)


def _means(groups: Sequence[Sequence[Slice]]) -> Iterator[list[list[float]]]:
    """Yield the means by place and volume: volumes as numbered, then in order of time."""
    yield [[one.mean for one in group] for group in groups]
    if all(one.frame["start"] is not None for group in groups for one in group):
        ordered = [sorted(group, key=lambda one: one.frame["start"]) for group in groups]
        yield [[one.mean for one in group] for group in ordered]


def _agree(means: NDArray[np.float64], found: NDArray[np.float64]) -> bool:
    """Say whether two sets of means are the same up to a scaling; true where nobody can tell."""
    if means.shape != found.shape:
        return False
    if np.isnan(means).any() or np.ptp(means) == 0:
        return True
    centred, other = means - means.mean(), found - found.mean()
    scale = (centred * other).sum() / (centred**2).sum()
    return bool(
        np.abs(other - scale * centred).max() <= _MEAN_TOLERANCE * other.std() and scale > 0
    )


def _corners(one: Slice) -> NDArray[np.float64]:
    """Return the centres of three corner pixels, in mm RAS."""
    assert one.position is not None
    assert one.orientation is not None
    n_rows, n_columns, row_step, column_step = one.grid
    along_row = one.orientation[:3] * column_step * (n_columns - 1)
    along_column = one.orientation[3:] * row_step * (n_rows - 1)
    points = [one.position, one.position + along_row, one.position + along_column]
    return np.array(points) * (-1.0, -1.0, 1.0)


def frames(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """Return start, duration and decay factor of each PET frame, in order of time.

    Parameters
    ----------
    slices : sequence of Slice
        From `load`; every place has one image a frame.

    Returns
    -------
    list of dict
        ``start`` is the earliest of the frame's slices.
    """
    volumes: dict[int, list[Slice]] = defaultdict(list)
    groups = [list(slices)] if slices[0].stack else _by_place(slices)
    for group in groups:
        known = all(one.frame["start"] is not None for one in group)
        ordered = sorted(group, key=lambda one: one.frame["start"]) if known else group
        for number, one in enumerate(ordered):
            volumes[number].append(one)
    out = []
    for _, members in sorted(volumes.items()):
        starts = [one.frame["start"] for one in members]
        first = members[0].frame
        out.append(first | {"start": None if None in starts else min(starts)})
    return out
