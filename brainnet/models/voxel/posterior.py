"""From probabilities of labels on the network's grid to what a person works with.

Pieces that cannot belong to a structure are taken from it, the brain is told from what lies below
it, volumes are summed, and labels and tissues are painted on the scan's own grid.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from brainnet.models.voxel.labels import TISSUES, LabelTable

__all__ = ["Painted", "brain_of", "brain_share", "interpolated", "paint", "places_of", "tidy"]

#: Structures that are rightly in pieces: thin sheets and clefts.
_IN_PIECES = ("extracerebral CSF", "cerebral cortex", "inferior lateral ventricle")
#: The fluid below the lowest of these is the spine's.
_LOWEST = ("brain-stem", "cerebellum cortex")
#: A piece smaller than this share of a structure's largest one is not believed.
_SMALLEST_PIECE = 0.2
#: Voxels around a piece that is kept, in which its structure may still have a probability.
_REACH = 2
#: Points of the scan's grid that are interpolated at once.
_CHUNK = 200_000


@dataclass(frozen=True)
class Painted:
    """What :func:`paint` puts on the grid of a scan.

    Parameters
    ----------
    labels : (nx, ny, nz) int16 array
        Numbers of the label table, 0 outside.
    mask : (nx, ny, nz) uint8 array
        1 in the brain, one piece without holes.
    tissues : dict of str to (nx, ny, nz) float32 array
        ``GM``, ``WM`` and ``CSF``: shares in [0, 1] that sum to at most 1.
    """

    labels: NDArray[np.int16]
    mask: NDArray[np.uint8]
    tissues: dict[str, NDArray[np.float32]]


def tidy(probabilities: Tensor, table: LabelTable) -> Tensor:
    """Take from each structure what lies away from it, and from the brain what lies outside.

    A whole brain keeps its largest piece; a structure its largest one and those at least a fifth as
    large; cortex, outer fluid and the inferior ventricles may be in pieces. What is taken goes to
    the other labels in proportion.

    Parameters
    ----------
    probabilities : (n_labels + 1, nx, ny, nz) float32 tensor
        In the order of ``table.indices``; changed in place.
    table : LabelTable

    Returns
    -------
    (n_labels + 1, nx, ny, nz) float32 tensor
        ``probabilities``, summing to 1.
    """
    brain = _near(_whole((probabilities[0] < 0.5).numpy(), table))
    probabilities[1:, ~torch.from_numpy(brain)] = 0
    probabilities[0, ~torch.from_numpy(brain)] = 1
    hard = probabilities.argmax(dim=0).numpy()
    boxes = ndimage.find_objects(hard, max_label=len(probabilities) - 1)
    for number, structure in enumerate(table.regions["structure"], 1):
        box = boxes[number - 1]
        if structure in _IN_PIECES or box is None:
            continue
        wide = tuple(slice(max(0, side.start - _REACH), side.stop + _REACH) for side in box)
        kept = torch.from_numpy(_near(_large_pieces(hard[wide] == number)))
        inside = probabilities[number][wide] * kept
        probabilities[number] = 0
        probabilities[number][wide] = inside
    total = probabilities.sum(dim=0)
    probabilities[0][total <= 0] = 1
    return probabilities.div_(total.clamp(min=1e-6)).clamp_(0, 1)


def brain_share(probabilities: Tensor, table: LabelTable) -> Tensor:
    """Return how much of each voxel is brain, the fluid around it included.

    It is what lies in the skull, down to the lowest level of brain-stem and cerebellum: below it
    the fluid is the spine's. Where neither is seen nothing is cut.

    Parameters
    ----------
    probabilities : (n_labels + 1, nx, ny, nz) float32 tensor
        On a grid whose third axis points up.
    table : LabelTable

    Returns
    -------
    (nx, ny, nz) float32 tensor
        In [0, 1].
    """
    share = 1 - probabilities[0]
    lowest = [i for i, name in enumerate(table.regions["structure"], 1) if name in _LOWEST]
    seen = (probabilities[lowest].sum(dim=0) > 0.5).any(dim=0).any(dim=0)
    if bool(seen.any()):
        share[:, :, : int(seen.nonzero()[0])] = 0
    return share


def brain_of(labels: ArrayLike, table: LabelTable) -> NDArray[np.bool_]:
    """Return the brain of a label map by the rule of :func:`segment`'s mask.

    All labels, the fluid around the brain included, down to the lowest level of brain-stem and
    cerebellum; the largest piece, its holes filled.

    Parameters
    ----------
    labels : (nx, ny, nz) integer array
        Numbers of the table (``index``), on a grid whose third axis points up.
    table : LabelTable

    Returns
    -------
    (nx, ny, nz) bool array

    Examples
    --------
    >>> from brainnet.models.voxel.labels import load_labels
    >>> labels = np.zeros((5, 5, 5), int)
    >>> labels[1:4, 1:4, 1:4] = 24  # outer fluid
    >>> labels[2, 2, 2:4] = 16  # brain-stem
    >>> brain_of(labels, load_labels("brain")).sum(axis=(0, 1)).tolist()
    [0, 0, 9, 9, 0]
    """
    labels = np.asarray(labels)
    regions = table.regions
    brain = np.isin(labels, regions["index"])
    lowest = regions["index"][regions["structure"].isin(_LOWEST)]
    seen = np.flatnonzero(np.isin(labels, lowest).any(axis=(0, 1)))
    if seen.size:
        brain[:, :, : seen[0]] = False
    return _filled(_whole(brain, table))


def paint(
    probabilities: Tensor,
    affine: NDArray[np.float64],
    table: LabelTable,
    shape: tuple[int, int, int],
    shape_affine: NDArray[np.float64],
) -> Painted:
    """Interpolate probabilities on another grid and take the most likely label there.

    Only voxels near the brain are looked at, some at a time, so that all labels never stand at
    the scan's resolution together.

    Parameters
    ----------
    probabilities : (n_labels + 1, nx, ny, nz) float32 tensor
    affine : (4, 4) array
        Of ``probabilities``; its third axis points up.
    table : LabelTable
    shape : three ints
        Of the scan.
    shape_affine : (4, 4) array
        Of the scan.
    """
    brain = brain_share(probabilities, table)
    volumes = torch.cat([probabilities, brain[None]])[None]  # (1, n_labels + 2, nx, ny, nz)
    index = np.linalg.inv(affine) @ shape_affine
    near = ndimage.binary_dilation((probabilities[0] < 0.99).numpy(), np.ones((3, 3, 3)))
    labels = np.zeros(shape, dtype=np.int16)
    mask = np.zeros(shape, dtype=bool)
    tissues = {name: np.zeros(shape, dtype=np.float32) for name in TISSUES}
    members = _members(table)
    for where, places in places_of(near, index, shape):
        found = interpolated(volumes, places)  # (n_labels + 2, n_places)
        labels.reshape(-1)[where] = table.indices[found[:-1].argmax(dim=0).numpy()]
        mask.reshape(-1)[where] = (found[-1] > 0.5).numpy()
        for name, share in zip(TISSUES, members @ found[:-1], strict=True):
            tissues[name].reshape(-1)[where] = share.clamp(0, 1).numpy()
    whole = _in_box(mask, lambda part: _filled(_whole(part, table)))
    return Painted(labels, whole.astype(np.uint8), tissues)


def places_of(
    near: NDArray[np.bool_], index: NDArray[np.float64], shape: tuple[int, int, int]
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Yield flat indices of the scan's voxels near the brain, and where they lie in ``near``."""
    box = _scan_box(near, index, shape)
    sizes = np.array(near.shape)
    j, k = np.meshgrid(*[np.arange(*side) for side in box[1:]], indexing="ij")
    plane = np.stack([j.ravel(), k.ravel()])  # (2, n)
    step = max(1, _CHUNK // max(1, plane.shape[1]))
    for start in range(*box[0], step):
        i = np.arange(start, min(start + step, box[0][1]))
        places = (
            index[:3, :1, None] * i[:, None]
            + (index[:3, 1:3] @ plane)[:, None]
            + index[:3, 3, None, None]
        ).reshape(3, -1)
        rounded = np.rint(places).astype(np.int64)
        inside = ((rounded >= 0) & (rounded < sizes[:, None])).all(axis=0)
        rounded[:, ~inside] = 0
        inside &= near[tuple(rounded)]
        flat = (i[:, None] * shape[1] + plane[0]) * shape[2] + plane[1]
        yield flat.reshape(-1)[inside], torch.from_numpy(places[:, inside].astype(np.float32))


def _scan_box(
    near: NDArray[np.bool_], index: NDArray[np.float64], shape: tuple[int, int, int]
) -> list[tuple[int, int]]:
    """Return first and last-plus-one indices of the scan around what is near the brain."""
    found = ndimage.find_objects(near.astype(np.uint8))
    if not found:
        return [(0, 0)] * 3
    ends = [(side.start - 1, side.stop) for side in found[0]]
    corners = np.array(np.meshgrid(*ends)).reshape(3, -1)
    back = np.linalg.inv(index)
    places = back[:3, :3] @ corners + back[:3, 3:]
    low = np.clip(np.floor(places.min(axis=1)).astype(int), 0, shape)
    high = np.clip(np.ceil(places.max(axis=1)).astype(int) + 1, low, shape)
    return [(int(a), int(b)) for a, b in zip(low, high, strict=True)]


def interpolated(volumes: Tensor, places: Tensor) -> Tensor:
    """Interpolate ``(1, n, nx, ny, nz)`` volumes linearly at ``(3, n_places)`` indices."""
    sizes = torch.tensor(volumes.shape[2:])[:, None]
    grid = (2 * places / (sizes - 1) - 1).flip(0).T  # grid_sample's axes go the other way
    found = functional.grid_sample(
        volumes, grid[None, :, None, None], padding_mode="border", align_corners=True
    )
    return found[0, :, :, 0, 0]


def _members(table: LabelTable) -> Tensor:
    """Return ``(n_tissues, n_labels + 1)``: 1 where a label is of a tissue."""
    members = torch.zeros(len(TISSUES), len(table.indices))
    for number, tissue in enumerate(table.regions["tissue"], 1):
        if tissue in TISSUES:
            members[TISSUES.index(tissue), number] = 1
    return members


def _near(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(ndimage.binary_dilation(mask, iterations=_REACH))


def _whole(mask: NDArray[np.bool_], table: LabelTable) -> NDArray[np.bool_]:
    """Return what is believed of a mask: one piece of a brain, large pieces of parts of it."""
    return _largest(mask) if table.is_whole else _large_pieces(mask)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest connected piece."""
    pieces, n_pieces = ndimage.label(mask)
    if n_pieces < 2:
        return mask
    return np.asarray(pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]))


def _large_pieces(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest connected piece and those not much smaller."""
    pieces, n_pieces = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if n_pieces < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= _SMALLEST_PIECE * sizes.max())[pieces])


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill what cannot be reached from outside."""
    air, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    return np.asarray(air[1:-1, 1:-1, 1:-1] != air[0, 0, 0])


def _in_box(
    mask: NDArray[np.bool_], change: Callable[[NDArray[np.bool_]], NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """Change a mask in the box around it only."""
    box = ndimage.find_objects(mask.astype(np.uint8))
    if box:
        mask[box[0]] = change(mask[box[0]])
    return mask
