"""What a physician reads off outlined haemorrhages: numbers by kind, by haemorrhage, and words."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage

from brainnet.imaging.hounsfield import CTCheck
from brainnet.models.voxel.conform import affine_of
from brainnet.models.voxel.haemorrhage import quantities
from brainnet.models.voxel.haemorrhage.location import Located, Place
from brainnet.models.voxel.haemorrhage.outline import (
    FINE,
    KINDS,
    Judgement,
    Outline,
    Piece,
    channels,
)
from brainnet.models.voxel.haemorrhage.triage import not_assessed, triage
from brainnet.models.voxel.labels import LabelTable

__all__ = ["INTERVAL", "NOTE", "Halves", "describe", "halves_of"]

Mask = NDArray[np.bool_]
NOTE = (
    "Research only: no medical device, not for diagnosis or treatment. The network was trained on "
    "simulated scans."
)
#: Share of volumes that should lie in their interval.
INTERVAL = 0.9
_BELOW = 30.0  # mm below the lateral ventricles' middle where the fourth ventricle begins
_LOW = 0.35  # share of the lateral ventricles that may lie below their bodies
_SEPTUM = ((0.5, 0.8), (0.1, 0.7))  # shares of the bodies behind and below where it is measured
_HELD = 1.16  # shift over the border's median there, as broad ones move its ends along (16 adults)
_LEAST_HEIGHT = 10  # mm of bodies without which a shift is looked for at a usual height
_BOTH = 0.25  # share on the lesser side from which a haemorrhage is on both
_WIDE = 0.3  # Evans index of enlarged ventricles
_CUBE = (FINE, FINE, FINE)
_INFRATENTORIAL = ("cerebellum", "brain-stem")
_CSF = 6  # fluid outside the ventricles
#: Corners of the suprasellar, ambient and quadrigeminal cisterns, mm in the template.
_CISTERNS = ((-25.0, -44.0, -32.0), (25.0, 12.0, -6.0))
_LEAST_CISTERNS_ML = 2.0
_BLOODY_ML = 1.0


class Halves(NamedTuple):
    """What lies in the skull, by sides, on the fine grid; halves are without a lesion's gaps.

    Attributes
    ----------
    left, right : (nx, ny, nz) bool arrays
        Halves of the brain with their ventricles, and the blood and oedema nearest to them.
    inside : (nx, ny, nz) bool array
        All that lies in the skull.
    labels : (nx, ny, nz) int16 array
        The likeliest label; haemorrhages that were left out are not in it.
    """

    left: Mask
    right: Mask
    inside: Mask
    labels: NDArray[np.int16]


def describe(
    check: CTCheck,
    outlined: Outline,
    *,
    table: LabelTable,
    judgement: Judgement,
    lesions_img: Nifti1Image,
    located: Located | None = None,
) -> dict[str, Any]:
    """Measure and describe what was outlined.

    Parameters
    ----------
    check : CTCheck
        The scan.
    outlined : Outline
    table : LabelTable
    judgement : Judgement
    lesions_img : Nifti1Image
        Numbers of haemorrhages on the scan's grid.
    located : Located, optional
        Where haemorrhages lie, and how the scan lies to a template; without it regions are not
        named, and cisterns not assessed.

    Returns
    -------
    dict
        As JSON holds it: ``haemorrhage`` (present, probability), ``volumes_ml`` by kind with
        intervals, ``lesions`` by size, ``midline_shift``, ``ventricles``, ``cisterns``,
        ``oedema_ratio``, ``ich_score_imaging``, ``triage``, ``not_assessed``, ``flags``,
        ``repairs``. ``None`` where something could not be assessed.
    """
    halves = halves_of(outlined, table)
    volumes = _volumes(outlined, halves, judgement)
    scans = _on_scan(check.img, lesions_img, len(outlined.pieces))
    places = {each.number: each for each in ([] if located is None else located.places)}
    depth = ndimage.distance_transform_edt(halves.inside).astype(np.float32)
    found: dict[str, Any] = {
        "note": NOTE,
        "haemorrhage": {
            "present": bool(outlined.pieces),
            "probability": round(outlined.probability, 3),
        },
        "volumes_ml": volumes,
        "interval": INTERVAL,
        "lesions": [
            _lesion(piece, outlined, halves, depth, judgement)
            | _place(places.get(piece.number), piece)
            | scans[number]
            for number, piece in enumerate(outlined.pieces)
        ],
        "midline_shift": _shift(halves, outlined, check.img),
        "ventricles": _ventricles(outlined, halves),
        "cisterns": _cisterns(outlined, halves, located),
        "oedema_ratio": _ratio(volumes["oedema"]["value"], volumes["intraparenchymal"]["value"]),
    }
    found["ich_score_imaging"] = _ich(found)
    found |= {"flags": list(check.flags), "repairs": list(check.repairs)}
    found["not_assessed"] = not_assessed(found)
    found["triage"] = triage(found)
    return found


def halves_of(outlined: Outline, table: LabelTable) -> Halves:
    """Return the sides of what lies in the skull; blood goes to the nearest half of the brain."""
    bloods = channels(table, tuple(f"{kind} haemorrhage" for kind in KINDS))
    share = outlined.share.clone()
    share[bloods] = 0
    labels = table.indices[share.argmax(dim=0).numpy()].astype(np.int16)
    for piece in outlined.pieces:
        labels[piece.box][piece.mask] = KINDS[piece.kind]
    inside = _filled(labels > 0)
    # the side of what has none is that of the nearest label that has one, looked for coarsely
    coarse = labels[::2, ::2, ::2]
    sided = np.isin(coarse, (1, 2, 3, 4))
    if not sided.any():
        empty = np.zeros(labels.shape, dtype=bool)
        return Halves(empty, empty, inside, labels)
    nearest = ndimage.distance_transform_edt(~sided, return_distances=False, return_indices=True)
    right = np.isin(coarse[tuple(nearest)], (2, 4))
    right = right.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    right = right[tuple(slice(0, n) for n in labels.shape)]
    filled = np.isin(labels, (1, 2, 3, 4, KINDS["intraparenchymal"], 16))
    known_left, known_right = np.isin(labels, (1, 3)), np.isin(labels, (2, 4))
    return Halves(
        left=filled & (known_left | (~right & ~known_right)),
        right=filled & (known_right | (right & ~known_left)),
        inside=inside,
        labels=labels,
    )


def _volumes(
    outlined: Outline, halves: Halves, judgement: Judgement
) -> dict[str, dict[str, float]]:
    """Return volumes with their intervals, ml, by kind and of all."""
    unseen = {
        kind: sum(each.volume_ml for each in outlined.left_out if each.kind == kind)
        for kind in KINDS
    }
    found = {
        kind: _volume([each for each in outlined.pieces if each.kind == kind], unseen[kind],
                      judgement)
        for kind in KINDS
    }  # fmt: skip
    total = _volume(list(outlined.pieces), sum(unseen.values()), judgement)
    oedema = quantities.volume_ml(halves.labels == 16, _CUBE)
    low, high = judgement.interval(oedema, 1.0)
    return {"total": total} | found | {"oedema": _numbers(oedema, low, high)}


def _volume(pieces: Sequence[Piece], unseen: float, judgement: Judgement) -> dict[str, float]:
    volume = sum(each.volume_ml for each in pieces)
    if not volume:
        return _numbers(0.0, 0.0, unseen)
    shell = sum(each.shell * each.volume_ml for each in pieces) / volume
    return _numbers(volume, *judgement.interval(volume, shell))


def _numbers(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": round(value, 2), "low": round(low, 2), "high": round(high, 2)}


def _lesion(
    piece: Piece, outlined: Outline, halves: Halves, depth: NDArray[np.float32],
    judgement: Judgement,
) -> dict[str, Any]:  # fmt: skip
    """Return what one haemorrhage's outline says on the fine grid."""
    centre = np.argwhere(piece.mask).mean(axis=0) + [each.start for each in piece.box]
    n_left, n_right = _n_sides(piece, halves)
    lesser = min(n_left, n_right) / max(1, n_left + n_right)
    side = "both" if lesser > _BOTH else "left" if n_left > n_right else "right"
    return {
        "number": piece.number,
        "kind": piece.kind,
        "volume_ml": _numbers(piece.volume_ml, *judgement.interval(piece.volume_ml, piece.shell)),
        "probability": round(piece.probability, 3),
        "side": side,
        "depth_mm": round(float(depth[piece.box][piece.mask].min()), 1),
        "centre_mm": [
            round(float(each), 1) for each in nib.affines.apply_affine(outlined.affine, centre)
        ],
        "irregularity": round(quantities.irregularity(piece.mask, _CUBE), 3),
    }


def _n_sides(piece: Piece, halves: Halves) -> tuple[int, int]:
    """Count voxels of the halves in and around a haemorrhage, on its left and right."""
    left, right = halves.left[piece.box], halves.right[piece.box]
    own = piece.mask & (left | right)
    if not own.any():  # outside the brain: the half that it lies against
        own = ndimage.binary_dilation(piece.mask, iterations=6)
    return int((left & own).sum()), int((right & own).sum())


def _place(place: Place | None, piece: Piece) -> dict[str, Any]:
    if place is None:
        where = {"intraventricular": "ventricles", "intraparenchymal": None}
        return {"region": None, "compartment": where.get(piece.kind, "extra-axial")}
    return {"region": place.region, "compartment": place.compartment}


def _on_scan(img: Nifti1Image, lesions_img: Nifti1Image, n_lesions: int) -> list[dict[str, Any]]:
    """Return what is read on the scan's own slices: extent, ABC/2 and density."""
    order = nib.orientations.io_orientation(affine_of(img))
    lesions, units = (
        np.asarray(nib.orientations.apply_orientation(np.asarray(each.dataobj), order))
        for each in (lesions_img, img)
    )
    zooms = np.linalg.norm(affine_of(img)[:3, :3], axis=0)
    spacing = np.empty(3)
    spacing[order[:, 0].astype(int)] = zooms
    sizes = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    found: list[dict[str, Any]] = []
    for number, box in enumerate(ndimage.find_objects(lesions, n_lesions), 1):
        if box is None:  # smaller than a voxel of the scan
            found.append({"slices": None, "abc_over_2": None, "density": None,
                          "heterogeneity": None})  # fmt: skip
            continue
        mask = lesions[box] == number
        abc = quantities.abc_over_2(mask, sizes)
        density = units[box][mask].astype(np.float64)
        mean, deviation = float(density.mean()), float(density.std())
        found.append({
            "slices": [int(box[2].start), int(box[2].stop) - 1],
            "abc_over_2": {"a_mm": round(abc.a, 1), "b_mm": round(abc.b, 1),
                           "c_mm": round(abc.c, 1), "volume_ml": round(abc.volume_ml, 2)},
            "density": {"mean_hu": round(mean, 1), "sd_hu": round(deviation, 1)},
            "heterogeneity": round(deviation / max(abs(mean), 1.0), 3),
        })  # fmt: skip
    return found


def _shift(halves: Halves, outlined: Outline, img: Nifti1Image) -> dict[str, Any]:
    """Return the shift of the septum between the lateral ventricles, and the scan's slice of it."""
    _, *places = np.nonzero(_bodies(np.isin(halves.labels, (3, 4))))
    rows, slices = None, None
    if places[1].size and np.ptp(places[1]) >= _LEAST_HEIGHT:
        (first, last), (low, high) = (
            np.quantile(each, share).astype(int)
            for each, share in zip(places, _SEPTUM, strict=True)
        )
        rows, slices = np.arange(first, last + 1), np.arange(low, high + 1)
    shift = quantities.midline_shift(
        halves.left, halves.right, halves.inside, _CUBE, rows=rows, slices=slices, scale=_HELD
    )
    if shift.slice < 0:
        return {"mm": None, "to": "none", "slice": -1}
    middle = [n / 2 for n in halves.labels.shape[:2]]
    place = nib.affines.apply_affine(outlined.affine, [*middle, shift.slice])
    upright = nib.as_closest_canonical(img)
    index = nib.affines.apply_affine(np.linalg.inv(affine_of(upright)), place)[2]
    at = int(np.clip(round(float(index)), 0, upright.shape[2] - 1))
    return {"mm": round(shift.mm, 1), "to": shift.to, "slice": at}


def _bodies(lateral: Mask) -> Mask:
    """Return lateral ventricles without their temporal horns, which lie far apart and low."""
    if not lateral.any():
        return lateral
    low = np.quantile(np.nonzero(lateral)[2], _LOW)
    return np.asarray(lateral & (np.arange(lateral.shape[2]) >= low))


def _ventricles(outlined: Outline, halves: Halves) -> dict[str, Any]:
    """Return how full the ventricles are, the scores of that, and how wide they are."""
    blood = halves.labels == KINDS["intraventricular"]
    lateral = np.isin(halves.labels, (3, 4))
    filled = {"left": 0.0, "right": 0.0, "third": 0.0, "fourth": 0.0}
    if blood.any():
        parts = _ventricle_of(halves.labels)
        for number, name in enumerate(filled, 1):
            here = parts == number
            own = here & blood
            if own.sum() * FINE**3 > 100:  # less than 0.1 ml is no blood
                filled[name] = float(own.sum() / here.sum())
    evans = quantities.evans_index(
        _bodies(lateral | (blood & _near(lateral))), halves.inside, _CUBE
    )
    wide = bool(evans > _WIDE)
    score, volume = quantities.ivh_score(filled, hydrocephalus=wide and bool(blood.any()))
    expanded = dict.fromkeys(filled, wide)
    return {
        "graeb": quantities.graeb_score(filled, expanded=expanded),
        "ivh_score": score,
        "ivh_volume_ml": round(volume, 2),
        "filled": {name: round(share, 3) for name, share in filled.items()},
        "evans_index": round(evans, 3) if np.isfinite(evans) else None,
    }


def _ventricle_of(labels: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return 1 left, 2 right, 3 third, 4 fourth for ventricles and the blood in them."""
    here = np.isin(labels, (3, 4, 5, KINDS["intraventricular"]))
    found = np.zeros(labels.shape, dtype=np.uint8)
    box = ndimage.find_objects(here.astype(np.uint8))
    if not box:
        return found
    part, inner = labels[box[0]], here[box[0]]
    known = np.isin(part, (3, 4, 5)) if np.isin(part, (3, 4, 5)).any() else np.isin(part, (1, 2))
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    name = np.array([0, 1, 2, 1, 2, 3], dtype=np.uint8)[part[tuple(nearest)]]
    sides = np.isin(part, (3, 4))
    if sides.any():
        middle = np.median(np.nonzero(sides)[2])
        low = np.arange(part.shape[2]) < middle - _BELOW / FINE
        name = np.where((name == 3) & low, 4, name)
    found[box[0]] = np.where(inner, name, 0)
    return found


def _cisterns(outlined: Outline, halves: Halves, located: Located | None) -> dict[str, Any]:
    """Return the fluid in the basal cisterns, and whether it is less than in any healthy head."""
    if located is None or located.flags:
        return {"open_ml": None, "effaced": None}
    places = np.argwhere(halves.labels == _CSF)
    to_template = located.matrix @ outlined.affine
    there = nib.affines.apply_affine(to_template, places)
    low, high = np.array(_CISTERNS)
    open_ml = float(((there >= low) & (there <= high)).all(axis=1).sum() * FINE**3 / 1000)
    bloody = outlined.volume("subarachnoid") > _BLOODY_ML  # it hides how wide they are
    effaced = None if bloody else bool(open_ml < _LEAST_CISTERNS_ML)
    return {"open_ml": round(open_ml, 2), "effaced": effaced}


def _ich(found: Mapping[str, Any]) -> dict[str, Any]:
    volumes = found["volumes_ml"]
    intraventricular = volumes["intraventricular"]["value"] > 0
    parenchymal = [each for each in found["lesions"] if each["kind"] == "intraparenchymal"]
    below = bool(parenchymal) and parenchymal[0]["compartment"] in _INFRATENTORIAL
    large = volumes["intraparenchymal"]["value"] >= 30
    points = quantities.ich_score_imaging(
        volumes["intraparenchymal"]["value"], intraventricular=intraventricular,
        infratentorial=below,
    )  # fmt: skip
    return {"points": points, "of": 3, "volume_30_ml": bool(large),
            "intraventricular": bool(intraventricular), "infratentorial": below}  # fmt: skip


def _ratio(of: float, to: float) -> float | None:
    return round(of / to, 2) if to else None


def _near(mask: Mask) -> Mask:
    """Return what lies within 3 mm of a mask."""
    return np.asarray(ndimage.distance_transform_edt(~mask) <= 3 / FINE) if mask.any() else mask


def _filled(mask: Mask) -> Mask:
    closed = ndimage.binary_fill_holes(mask)
    pieces, n_pieces = ndimage.label(closed)
    if n_pieces < 2:
        return np.asarray(closed)
    return np.asarray(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax())
