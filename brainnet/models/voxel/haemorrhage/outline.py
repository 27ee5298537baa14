"""From what the network says on its own grid to haemorrhages, each with its kind."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from brainnet.models.voxel.labels import LabelTable

__all__ = ["FINE", "KINDS", "Judgement", "Outline", "Piece", "channels", "fine_grid", "outline"]

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

#: Kinds of haemorrhage and their numbers in label maps.
KINDS: Mapping[str, int] = {
    "intraparenchymal": 11,
    "intraventricular": 12,
    "subarachnoid": 13,
    "subdural": 14,
    "epidural": 15,
}
OEDEMA = 16
#: Edge of the voxels on which haemorrhages are measured, mm.
FINE = 1.0
_SHELL = (0.25, 0.75)  # probabilities between which a border is uncertain
_JOINED = {"subarachnoid": 5}  # mm that pieces of one haemorrhage may lie apart
_OEDEMA, _BESIDE = 0.2, 3  # least probability of oedema, and mm from its blood to where it begins
_MINOR, _MINOR_ML = 0.25, 1.5  # a piece so small beside one of another kind is of that kind


@dataclass(frozen=True)
class Judgement:
    """What turns a network's outlines into statements; fitted after training, kept in its card.

    Parameters
    ----------
    lesion : three floats
        Log odds that an outline is a haemorrhage: constant, per log ml, per log odds of its mean
        probability.
    scan : two floats
        Log odds that a scan shows one: constant, per log odds of the likeliest outline.
    spread : float
        Half the width of a volume's interval, on a log scale, per unit of its uncertain shell.
    floor : float
        Uncertainty of a volume beside its shell, on the same scale as the shell.
    scale : float
        True volume per outlined volume.
    least : float
        Outlines that are less likely are left out, in [0, 1].
    least_ml : float
        Outlines that are smaller are left out.
    edge : float
        Probability of blood at which an outline runs, in (0, 1).

    Raises
    ------
    ValueError
        A number that is not finite, a ``least`` outside [0, 1] or an ``edge`` outside (0, 1).
    """

    lesion: tuple[float, float, float] = (0.0, 0.6, 1.0)
    scan: tuple[float, float] = (0.0, 1.0)
    spread: float = 0.5
    floor: float = 0.1
    scale: float = 1.0
    least: float = 0.5
    least_ml: float = 0.1
    edge: float = 0.5

    def __post_init__(self) -> None:
        numbers = [*self.lesion, *self.scan, self.spread, self.floor, self.scale, self.least_ml]
        if not all(math.isfinite(each) for each in numbers) or not (
            0 <= self.least <= 1 and 0 < self.edge < 1
        ):
            raise ValueError(
                "a judgement must be of finite numbers, least in [0, 1] and edge in (0, 1); got "
                f"{self}."
            )

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> "Judgement":
        """Return the one in a model card; the default where there is none.

        Examples
        --------
        >>> Judgement.of({"judgement": {"least": 0.4}}).least
        0.4
        """
        given = dict(card.get("judgement") or {})
        given.pop("n_scans", None)
        for name in ("lesion", "scan"):
            if name in given:
                given[name] = tuple(given[name])
        return cls(**given)

    def record(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def lesion_probability(self, volume_ml: float, mean: float) -> float:
        """Return the probability that an outline is a haemorrhage."""
        constant, per_size, per_mean = self.lesion
        return _sigmoid(
            constant + per_size * math.log(max(volume_ml, 1e-3)) + per_mean * _logit(mean)
        )

    def scan_probability(self, likeliest: float) -> float:
        """Return the probability that a scan shows a haemorrhage; of its likeliest outline."""
        return _sigmoid(self.scan[0] + self.scan[1] * _logit(likeliest))

    def interval(self, volume_ml: float, shell: float) -> tuple[float, float]:
        """Return the interval of a volume (ml); ``shell`` is its uncertain share."""
        wide = math.exp(min(self.spread * (self.floor + shell), 5.0))
        return volume_ml / wide, volume_ml * wide


class Piece(NamedTuple):
    """One outline on the fine grid.

    Attributes
    ----------
    number : int
        From 1, the largest first, of those that are kept; 0 if it is left out.
    kind : str
        Of :data:`KINDS`.
    volume_ml : float
        Of the outline, corrected by :class:`Judgement`.
    shell : float
        Share of the volume where the probability is between a quarter and three quarters.
    mean : float
        Probability of any haemorrhage, mean over the outline.
    probability : float
        That it is a haemorrhage.
    box : tuple of slices
        In the fine grid.
    mask : bool array
        Of the box.
    """

    number: int
    kind: str
    volume_ml: float
    shell: float
    mean: float
    probability: float
    box: tuple[slice, ...]
    mask: Mask


class Outline(NamedTuple):
    """All outlines of a scan, on a RAS grid of 1 mm.

    Attributes
    ----------
    pieces : tuple of Piece
        Those that are kept, the largest first.
    left_out : tuple of Piece
        Those that are not.
    lesions : (nx, ny, nz) int16 array
        Number of the piece, 0 for none.
    share : (n_labels + 1, nx, ny, nz) float32 tensor
        Probabilities of labels, background first, in the order of the label table; that of oedema
        is 0 wherever it is not joined to an intraparenchymal haemorrhage that is kept.
    blood : (nx, ny, nz) float32 array
        Probability of any haemorrhage.
    affine : (4, 4) array
    probability : float
        That the scan shows a haemorrhage.
    """

    pieces: tuple[Piece, ...]
    left_out: tuple[Piece, ...]
    lesions: NDArray[np.int16]
    share: Tensor
    blood: Floats
    affine: NDArray[np.float64]
    probability: float

    def volume(self, kind: str) -> float:
        """Return the volume of a kind, ml."""
        return sum(each.volume_ml for each in self.pieces if each.kind == kind)


def channels(table: LabelTable, names: tuple[str, ...]) -> list[int]:
    """Return where labels of some structures stand among a table's probabilities.

    Examples
    --------
    >>> from brainnet.models.voxel.labels import load_labels
    >>> channels(load_labels("haemorrhage"), ("brain", "lateral ventricle"))
    [1, 2, 3, 4]
    """
    return [i for i, name in enumerate(table.regions["structure"], 1) if name in names]


def fine_grid(
    probabilities: Tensor, affine: NDArray[np.float64], voxel_size: float
) -> tuple[Tensor, NDArray[np.float64]]:
    """Interpolate probabilities ``(n, nx, ny, nz)`` on the fine grid; return its affine too."""
    times = voxel_size / FINE
    shape = tuple(round(n * times) for n in probabilities.shape[1:])
    found = functional.interpolate(
        probabilities[None], size=shape, mode="trilinear", align_corners=False
    )[0]
    steps = np.array([n / m for n, m in zip(probabilities.shape[1:], shape, strict=True)])
    fine = affine.copy()
    fine[:3, :3] = affine[:3, :3] * steps
    fine[:3, 3] = affine[:3, 3] + affine[:3, :3] @ ((steps - 1) / 2)
    return found, fine


def outline(
    probabilities: Tensor, affine: NDArray[np.float64], table: LabelTable, judgement: Judgement
) -> Outline:
    """Outline haemorrhages: where blood is likelier than not, in pieces of one kind each.

    Parameters
    ----------
    probabilities : (n_labels + 1, nx, ny, nz) float32 tensor
        In the order of ``table.indices``, on a RAS grid of cubes.
    affine : (4, 4) array
        Of them.
    table : LabelTable
        The package's ``haemorrhage``.
    judgement : Judgement

    Returns
    -------
    Outline
    """
    share, fine = fine_grid(probabilities, affine, float(affine[0, 0]))
    by_kind = share[[channels(table, (f"{kind} haemorrhage",))[0] for kind in KINDS]]
    blood = by_kind.sum(dim=0)
    near = (blood > min(judgement.edge, _SHELL[0])).numpy()
    pieces: list[Piece] = []
    if near.any():
        box = _wider(ndimage.find_objects(near.astype(np.uint8))[0], 2, near.shape)
        kinds = by_kind[(slice(None), *box)].numpy()
        pieces = _pieces(kinds, box, judgement)
    kept = sorted(
        (each for each in pieces if _is_kept(each, judgement)), key=lambda each: -each.volume_ml
    )
    lesions = np.zeros(blood.shape, dtype=np.int16)
    for number, each in enumerate(kept, 1):
        lesions[each.box][each.mask] = number
        kept[number - 1] = each._replace(number=number)
    likeliest = max([each.probability for each in pieces], default=0.0)
    (oedema,) = channels(table, ("perihaematomal oedema",))
    share[oedema] *= torch.from_numpy(_around_blood(share[oedema].numpy(), kept))
    return Outline(
        pieces=tuple(kept),
        left_out=tuple(each for each in pieces if not _is_kept(each, judgement)),
        lesions=lesions,
        share=share,
        blood=blood.numpy(),
        affine=fine,
        probability=judgement.scan_probability(likeliest),
    )


def _around_blood(oedema: Floats, pieces: list[Piece]) -> Mask:
    """Return where oedema hangs together with intraparenchymal blood: an old defect does not."""
    beside = np.zeros(oedema.shape, dtype=bool)
    for each in pieces:
        if each.kind == "intraparenchymal":
            wide = _wider(each.box, _BESIDE, oedema.shape)
            mask = np.zeros(oedema.shape, dtype=bool)[wide]
            mask[tuple(slice(own.start - out.start, own.stop - out.start)
                       for own, out in zip(each.box, wide, strict=True))] = each.mask  # fmt: skip
            beside[wide] |= ndimage.binary_dilation(mask, iterations=_BESIDE)
    if not beside.any():
        return beside
    groups, _ = ndimage.label((oedema > _OEDEMA) | beside)
    return np.isin(groups, np.setdiff1d(groups[beside], 0))


def _is_kept(piece: Piece, judgement: Judgement) -> bool:
    return piece.volume_ml >= judgement.least_ml and piece.probability >= judgement.least


def _pieces(kinds: Floats, box: tuple[slice, ...], judgement: Judgement) -> list[Piece]:
    """Return pieces of one kind each of ``(n_kinds, ...)`` probabilities in a box."""
    blood = kinds.sum(axis=0)
    kind_of = np.where(blood > judgement.edge, 1 + kinds.argmax(axis=0), 0).astype(np.uint8)
    _join_minor(kind_of)
    found = []
    for number, kind in enumerate(KINDS, 1):
        mask = kind_of == number
        groups, n_groups = _groups(mask, _JOINED.get(kind, 0))
        for each, part in enumerate(ndimage.find_objects(groups, n_groups), 1):
            wide = _wider(part, 2, mask.shape)
            found.append(
                _piece(kind, (groups[wide] == each) & mask[wide], blood[wide],
                       _shifted(wide, box), judgement)
            )  # fmt: skip
    return found


def _piece(
    kind: str, mask: Mask, blood: Floats, box: tuple[slice, ...], judgement: Judgement
) -> Piece:
    n_voxels = int(mask.sum())
    around = ndimage.binary_dilation(mask, np.ones((3, 3, 3)), iterations=2)
    shell = np.count_nonzero(around & (blood > _SHELL[0]) & (blood < _SHELL[1])) / n_voxels
    volume = judgement.scale * n_voxels * FINE**3 / 1000
    mean = float(blood[mask].mean())
    probability = judgement.lesion_probability(volume, mean)
    return Piece(0, kind, volume, min(shell, 2.0), mean, probability, box, mask)


def _join_minor(kind_of: NDArray[np.uint8]) -> None:
    """Give small pieces that touch a far larger one of another kind the kind of that one."""
    pieces, n_pieces, owner = _labelled(kind_of)
    sizes = np.bincount(pieces.ravel(), minlength=n_pieces + 1)
    boxes = ndimage.find_objects(pieces, n_pieces)
    for each in np.argsort(sizes[1:]) + 1:
        if sizes[each] * FINE**3 > 1000 * _MINOR_ML:
            break
        wide = _wider(boxes[each - 1], 1, kind_of.shape)
        mask = pieces[wide] == each
        rim = ndimage.binary_dilation(mask, np.ones((3, 3, 3))) & ~mask
        beside = pieces[wide][rim & (pieces[wide] > 0)]
        if not beside.size:
            continue
        other = int(np.bincount(beside).argmax())
        if sizes[each] < _MINOR * sizes[other] and owner[other] != owner[each]:
            kind_of[wide][mask] = owner[other]


def _labelled(kind_of: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int, list[int]]:
    """Return connected pieces of one kind each, how many, and the kind of each."""
    pieces = np.zeros(kind_of.shape, dtype=np.int32)
    owner = [0]
    for number in range(1, len(KINDS) + 1):
        found, n_found = ndimage.label(kind_of == number, np.ones((3, 3, 3)))
        pieces[found > 0] = found[found > 0] + len(owner) - 1
        owner += [number] * n_found
    return pieces, len(owner) - 1, owner


def _groups(mask: Mask, apart: int) -> tuple[NDArray[np.int32], int]:
    """Label pieces of a mask; those within ``apart`` mm of each other together."""
    joined = mask
    if apart and mask.any():
        joined = ndimage.distance_transform_edt(~mask) <= apart / 2
    found, n_found = ndimage.label(joined, np.ones((3, 3, 3)))
    return np.where(mask, found, 0).astype(np.int32), int(n_found)


def _wider(box: tuple[slice, ...], by: int, shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(max(0, each.start - by), min(n, each.stop + by))
        for each, n in zip(box, shape, strict=True)
    )


def _shifted(box: tuple[slice, ...], within: tuple[slice, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(each.start + outer.start, each.stop + outer.start)
        for each, outer in zip(box, within, strict=True)
    )


def _logit(share: float) -> float:
    share = min(max(share, 1e-4), 1 - 1e-4)
    return math.log(share / (1 - share))


def _sigmoid(odds: float) -> float:
    return 1 / (1 + math.exp(-min(max(odds, -30.0), 30.0)))
