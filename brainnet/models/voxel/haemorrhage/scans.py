"""Scans of patients as a network is trained with them: checked, on its grid, drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from brainnet.imaging.hounsfield import CTCheck, NotACT, check_ct
from brainnet.io import DataError, load_img
from brainnet.models.voxel.conform import Conformed, affine_of, to_grid
from brainnet.models.voxel.draws import Draw, affine_matrix
from brainnet.models.voxel.haemorrhage.datasets import ANYTHING, UNKNOWN_KIND, Case, Dataset
from brainnet.models.voxel.haemorrhage.scan import brightness
from brainnet.models.voxel.haemorrhage.slice_labels import KINDS
from brainnet.models.voxel.labels import LabelTable
from brainnet.models.voxel.segment import field_of_view

__all__ = ["PatientScans", "Scan", "members_of", "prepare_scan"]

Shape = tuple[int, int, int]
Members = tuple[int, ...]
Box = tuple[tuple[int, int], ...]

_AIR, _MOST, _STEPS = 1024.0, 3071.0, 8.0  # Hounsfield units are kept in eighths, from air on
_NEAR = 0.1  # mm by which places of a mask and its image may differ
_TURN, _ZOOM, _OFFSET, _SCALE, _NOISE = 0.15, 0.1, 3.0, 0.03, 4.0  # radians, shares, HU


@dataclass(frozen=True)
class Scan:
    """One scan on the grid of the network, and what is known of it.

    Parameters
    ----------
    units : (nx, ny, nz) int16 tensor
        Eighths of Hounsfield units above -1024.
    sets : (n_sets, n_shares) tensor or None
        1 for the structures that each set holds.
    shares : (n_sets, nx, ny, nz) uint8 tensor or None
        Share of each voxel, of 255, that is one of a set's structures.
    slices : (nx, ny, nz) int16 tensor or None
        Of a scan without a mask: slice of the image that a voxel lies in, from 1 on; 0 outside.
    labels : (n_slices, 6) tensor or None
        What each shows: kinds of haemorrhage and any, 1, 0 or NaN.
    """

    units: Tensor
    sets: Tensor | None = None
    shares: Tensor | None = None
    slices: Tensor | None = None
    labels: Tensor | None = None


def members_of(names: Sequence[str], table: LabelTable) -> Members:
    """Return the channels that structures have in a network; 0 is background.

    Parameters
    ----------
    names : sequence of str
        Structures of the table, ``haemorrhage of unknown kind`` or ``anything``.
    table : LabelTable

    Raises
    ------
    ValueError
        None, or one that there is not.

    Examples
    --------
    >>> from brainnet.models.voxel.labels import load_labels
    >>> table = load_labels("haemorrhage")
    >>> members_of(["brain"], table), members_of([UNKNOWN_KIND], table)
    ((1,), (5, 6, 7, 8, 9))
    """
    found: set[int] = set()
    for name in names:
        if name == ANYTHING:
            found |= set(range(1 + table.n_structures))
        elif name == UNKNOWN_KIND:
            found |= {_channel(kind, table) for kind in KINDS}
        elif name in table.structures:
            found.add(1 + table.structures.index(name))
        else:
            there = ", ".join((*table.structures, UNKNOWN_KIND, ANYTHING))
            raise ValueError(f"a number in a mask must mean one of {there}; got {name!r}.")
    if not found:
        raise ValueError("a number in a mask must mean one structure or more; got none.")
    return tuple(sorted(found))


def _channel(kind: str, table: LabelTable) -> int:
    return 1 + table.structures.index(f"{kind} haemorrhage")


def prepare_scan(case: Case, dataset: Dataset, table: LabelTable, *, voxel_size: float) -> Scan:
    """Read a scan and what is known of it, check both, and bring them to the network's grid.

    Parameters
    ----------
    case : Case
    dataset : Dataset
        What numbers in its mask mean.
    table : LabelTable
        The package's ``haemorrhage``.
    voxel_size : float
        mm.

    Raises
    ------
    brainnet.io.DataError
        A damaged file; no head CT in Hounsfield units; a mask of another shape, or that lies
        elsewhere; a number in it without a meaning; labels of slices that there are not.
    ValueError
        A meaning that is no structure of the table.
    """
    img = load_img(case.image, ndim=3)
    try:
        check = check_ct(img)
    except NotACT as error:
        remedy = "Take it out, or give the CT in Hounsfield units"
        raise DataError(case.image, f"is no head CT: {error}", remedy) from error
    affine = affine_of(check.img)
    head = _on_grid(np.asarray(check.img.dataobj, dtype=np.float32), affine, voxel_size)
    box = _box(check, head)
    head = head.crop(box)
    kept = (np.clip(head.data, -_AIR, _MOST) + _AIR) * _STEPS
    units = torch.from_numpy(np.rint(kept).astype(np.int16))
    n_slices = img.shape[2]
    labels = None if case.labels is None else _labels(case, n_slices)
    if case.mask is None:
        assert case.labels is not None
        slices = _slices(head, img, affine, whole=case.labels.whole)
        rows = case.labels.table if case.labels.whole else labels
        return Scan(units, slices=slices, labels=torch.as_tensor(rows, dtype=torch.float32))
    sets, codes = _codes(case, dataset, table, img, labels)
    shares = [_share(codes == number, affine, voxel_size, box, head) for number in range(len(sets))]
    members = torch.zeros(len(sets), 1 + table.n_structures)
    for number, each in enumerate(sets):
        members[number, list(each)] = 1
    return Scan(units, sets=members, shares=torch.from_numpy(np.stack(shares)))


def _on_grid(data: NDArray[np.float32], affine: NDArray[np.float64], size: float) -> Conformed:
    return to_grid(data, np.ones(data.shape, dtype=bool), affine, size)


def _box(check: CTCheck, head: Conformed) -> Box:
    """Return the field of view around the inside of the skull, as a network reads a scan."""
    corners = (check.box - head.affine[:3, 3]) / head.voxel_size
    return field_of_view(corners.mean(axis=0), corners[1] - corners[0], head.voxel_size)


def _share(
    mask: NDArray[np.bool_], affine: NDArray[np.float64], size: float, box: Box, head: Conformed
) -> NDArray[np.uint8]:
    """Return the share of each voxel of the grid that a mask takes, of 255; 0 outside the scan."""
    found = _on_grid(mask.astype(np.float32), affine, size).crop(box)
    assert found.data.shape == head.data.shape
    return np.rint(255 * np.clip(found.data, 0, 1) * found.measured).astype(np.uint8)


def _labels(case: Case, n_slices: int) -> NDArray[np.float64]:
    assert case.labels is not None
    if not case.labels.whole and len(case.labels.table) > n_slices:
        what = f"has {n_slices} slices, and slice {len(case.labels.table)} is labelled"
        raise DataError(case.image, what, "Number the slices from 1 along its third axis")
    return case.labels.of_slices(n_slices)


def _slices(
    head: Conformed, img: Nifti1Image, affine: NDArray[np.float64], *, whole: bool
) -> Tensor:
    """Return the slice that each voxel of the grid lies in, from 1 on; 0 outside the scan."""
    index = np.linalg.inv(affine) @ head.affine
    x, y, z = np.ogrid[tuple(slice(n) for n in head.data.shape)]
    inside = head.measured
    slices = np.rint(index[2, 0] * x + index[2, 1] * y + index[2, 2] * z + index[2, 3])
    inside = inside & (slices >= 0) & (slices < img.shape[2])
    return torch.from_numpy(np.where(inside, 1 if whole else slices + 1, 0).astype(np.int16))


def _codes(
    case: Case, dataset: Dataset, table: LabelTable, img: Nifti1Image,
    labels: NDArray[np.float64] | None,
) -> tuple[list[Members], NDArray[np.int16]]:  # fmt: skip
    """Return sets of structures, and which of them each voxel of the image is one of."""
    mask = _mask(case, dataset, img)
    meanings = {number: members_of(names, table) for number, names in dataset.meanings.items()}
    anything = members_of([ANYTHING], table)
    named = {*members_of([UNKNOWN_KIND], table)}.union(
        *(each for number, each in meanings.items() if number and each != anything)
    )
    sets = [meanings.get(0, tuple(each for each in anything if each not in named))]
    codes = np.zeros(mask.shape, dtype=np.int16)
    for number, members in meanings.items():
        if number and members not in sets:
            sets.append(members)
        if number:
            codes[mask == number] = sets.index(members)
    if labels is not None:
        _narrow_kinds(sets, codes, labels, table)
    return sets, codes


def _mask(case: Case, dataset: Dataset, img: Nifti1Image) -> NDArray:
    """Return the mask of a scan, held against its image."""
    assert case.mask is not None
    found = load_img(case.mask, ndim=3)
    if found.shape != img.shape:
        shapes = (" x ".join(map(str, each.shape)) for each in (found, img))
        what = "is a mask of {} voxels, and its image has {}".format(*shapes)
        raise DataError(case.mask, what, "Outline it on the image, or resample it by nearest")
    apart = _apart(affine_of(found), affine_of(img), img.shape)
    if not dataset.by_index and apart > _NEAR:
        what = f"is a mask that lies {apart:.1f} mm from its image {case.image.name}"
        raise DataError(case.mask, what, "Give it the affine of its image if it was drawn on it")
    mask = np.asanyarray(found.dataobj)
    unknown = sorted(set(np.unique(mask).tolist()) - {0, *dataset.meanings})
    if unknown:
        known = ", ".join(map(str, sorted({0, *dataset.meanings})))
        what = f"holds {unknown[0]:g}, and only {known} have a meaning"
        raise DataError(case.mask, what, f"Say what {unknown[0]:g} is in [data.labels]")
    return mask


def _apart(
    first: NDArray[np.float64], second: NDArray[np.float64], shape: tuple[int, ...]
) -> float:
    """Return how far the corners of two grids lie apart at most, mm."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1)
    there = [each[:3, :3] @ corners + each[:3, 3:] for each in (first, second)]
    return float(np.linalg.norm(there[0] - there[1], axis=0).max())


def _narrow_kinds(
    sets: list[Members], codes: NDArray[np.int16], labels: NDArray[np.float64], table: LabelTable
) -> None:
    """Let a haemorrhage of unknown kind be only of the kinds that its slice shows.

    Of a slice that shows one and has no outline nothing is known.
    """
    unknown, anything = members_of([UNKNOWN_KIND], table), members_of([ANYTHING], table)
    channels = [_channel(kind, table) for kind in KINDS]
    for number, row in enumerate(labels):
        part = codes[:, :, number]
        blood = np.isin(part, [at for at, each in enumerate(sets) if each == unknown])
        if row[-1] == 1 and not part.any():
            part[:] = _at(sets, anything)
        elif blood.any():
            kinds = [each for each, label in zip(channels, row[:-1], strict=True) if label != 0]
            part[blood] = _at(sets, tuple(sorted(kinds)) or unknown)


def _at(sets: list[Members], members: Members) -> int:
    if members not in sets:
        sets.append(members)
    return sets.index(members)


class PatientScans:
    """Endless samples of scans of patients, turned, shifted and noisy; each always the same.

    Parameters
    ----------
    scans : sequence of Scan
        All stay in memory: 2 MB each, and 1 MB for each set of structures in its mask.
    table : LabelTable
    shapes : sequence of three ints
        Fields of view, voxels. A scan without a mask is seen whole: what its labels are about
        may be anywhere.
    seed : int

    Raises
    ------
    ValueError
        No scan.
    """

    def __init__(
        self, scans: Sequence[Scan], table: LabelTable, *, shapes: Sequence[Shape], seed: int = 0
    ) -> None:
        if not scans:
            raise ValueError("scans must not be empty. Give one scan or more.")
        self.scans, self.table, self.seed = list(scans), table, seed
        self.shapes: list[Shape] = [(nx, ny, nz) for nx, ny, nz in shapes]

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Return sample ``number``.

        ``image`` is ``(1, *shape)`` in [0, 1]. With a mask there are ``sets`` and ``shares``
        (:func:`~brainnet.models.voxel.haemorrhage.partial.partial_loss`), else ``slices`` and
        ``labels`` (:func:`~brainnet.models.voxel.haemorrhage.weak.slice_loss`).
        """
        draw = Draw(self.seed, number, torch.device("cpu"))
        scan = self.scans[draw.integer(len(self.scans))]
        places = self._places(scan, draw)
        units = _sampled(scan.units[None], places)[0] / _STEPS - _AIR
        scale = 1 + _SCALE * draw.uniform(-1, 1)
        noise = draw.uniform(0, _NOISE) * draw.noise(tuple(units.shape))
        units = scale * units + _OFFSET * draw.uniform(-1, 1) + noise
        sample = {"image": brightness(units)[None]}
        if scan.sets is not None and scan.shares is not None:
            return sample | {"sets": scan.sets, "shares": _sampled(scan.shares, places) / 255}
        assert scan.slices is not None
        assert scan.labels is not None
        slices = _sampled(scan.slices[None], places, mode="nearest")[0]
        return sample | {"slices": slices.round().long(), "labels": scan.labels}

    def _places(self, scan: Scan, draw: Draw) -> Tensor:
        """Return the voxels of a scan that a field of view looks at ``(3, nx, ny, nz)``."""
        size = torch.tensor(scan.units.shape)
        shape = self.shapes[draw.integer(len(self.shapes))]
        whole = scan.sets is None
        if whole:
            shape = (int(size[0]), int(size[1]), int(size[2]))
        zooms = [1.0] * 3 if whole else [1 + _ZOOM * draw.uniform(-1, 1) for _ in range(3)]
        turn = affine_matrix([_TURN * draw.uniform(-1, 1) for _ in range(3)], zooms, [0.0] * 3)
        mirrored = torch.tensor([-1.0 if draw.chance(0.5) else 1.0, 1, 1])
        axes = [torch.arange(n) - (n - 1) / 2 for n in shape]
        offsets = torch.stack(torch.meshgrid(*axes, indexing="ij")) * mirrored[:, None, None, None]
        middle = (size - 1) / 2 if whole else _middle(scan, shape, draw)
        return middle[:, None, None, None] + torch.einsum("ij,jxyz->ixyz", turn, offsets)


def _middle(scan: Scan, shape: Shape, draw: Draw) -> Tensor:
    """Return where a field of view lies: within the scan, half the time over a haemorrhage."""
    size = torch.tensor(scan.units.shape, dtype=torch.float32)
    room = ((size - torch.tensor(shape)) / 2).clamp(min=0)
    drawn = (size - 1) / 2 + room * torch.tensor([draw.uniform(-1, 1) for _ in range(3)])
    assert scan.sets is not None
    assert scan.shares is not None
    blood = scan.shares[scan.sets[:, 0] == 0]
    if not draw.chance(0.5) or not (blood > 127).any():
        return drawn
    places = (blood > 127).any(dim=0).nonzero()
    place = places[draw.integer(len(places))].float()
    low, high = (size - 1) / 2 - room, (size - 1) / 2 + room
    return torch.maximum(low, torch.minimum(high, place))


def _sampled(volume: Tensor, places: Tensor, *, mode: str = "bilinear") -> Tensor:
    """Return ``(n, nx, ny, nz)`` float32 of a volume at places in voxels; 0 outside."""
    last = torch.tensor(volume.shape[1:], dtype=torch.float32)[:, None, None, None] - 1
    grid = (2 * places / last.clamp(min=1) - 1).flip(0).permute(1, 2, 3, 0)
    return functional.grid_sample(
        volume[None].float(), grid[None], mode=mode, padding_mode="zeros", align_corners=True
    )[0]
