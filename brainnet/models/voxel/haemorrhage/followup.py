"""Two head CTs of one patient: aligned by the skull, haemorrhages matched, change told in ml."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from brainnet.imaging.register import RegistrationWarning, register_affine
from brainnet.imaging.resample import resample, resample_labels, target_grid
from brainnet.models.voxel.haemorrhage.features import Read
from brainnet.models.voxel.haemorrhage.location import kinds_of

__all__ = ["AnotherHead", "Pose", "align_by_skull", "compare"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

NOTE = "Research only: no medical device, not for diagnosis or treatment."
#: Growth of haemorrhage in the brain (ml, share) and in the ventricles (ml) that is expansion.
_ML, _SHARE, _IVH_ML = 6.0, 1 / 3, 1.0
_DEFINITION = (
    "in the brain by 6 ml or a third or more; in the ventricles by 1 ml or more, or new there"
)
_SKULL = (100.0, 1200.0)  # Hounsfield units between which the skull is seen
_BONE = 300.0
_GRID = 2.0  # mm, on which skulls are compared
_LESION_GRID = 1.5  # mm, on which lesions are matched
_REACH = 3.0  # mm that parts of one lesion may lie apart in two scans
#: mm within which nine tenths of one skull lie of the other: to be told, and another head. Measured
#: on made scans: 1.3 for one head in slices of 1 and 5 mm, 3.2 to 3.6 between heads.
_DOUBTFUL, _OTHER = 2.0, 2.6
_SEEN = 0.5  # share of a lesion that the other scan must show
_MOST = 20_000  # points of a skull


class AnotherHead(ValueError):
    """Two scans whose skulls do not fit: of two people, or one is distorted."""


class Pose(NamedTuple):
    """How a follow-up lies to the first scan.

    Attributes
    ----------
    matrix : (4, 4) array
        Maps a point of the first scan to the second, RAS mm; rigid.
    residual_mm : float
        Within which nine tenths of the first skull's surface lie of the second's after alignment,
        mm; about 1.3 for one head.
    turned_deg, moved_mm : float
        How far the head was turned, and its middle moved, between the scans.
    flags : tuple of str
        What a reader has to know.
    """

    matrix: Floats
    residual_mm: float
    turned_deg: float
    moved_mm: float
    flags: tuple[str, ...]


def align_by_skull(first_img: Nifti1Image, second_img: Nifti1Image) -> Pose:
    """Align two head CTs rigidly by bone, which does not change where blood does.

    Parameters
    ----------
    first_img, second_img : Nifti1Image
        Hounsfield units, any grids.

    Raises
    ------
    AnotherHead
        A tenth of the skulls lies 2.6 mm or more apart at best, or nothing of them fits.
    """
    skulls = [_skull(each) for each in (first_img, second_img)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RegistrationWarning)  # told as flags
            found = register_affine(*skulls, kind="rigid", contrast="same")
    except ValueError as error:
        raise AnotherHead(
            f"the scans must show one head; their skulls cannot be aligned ({error}). Check that "
            "both are of one patient, in Hounsfield units and with bone."
        ) from error
    residual = _apart(skulls[0], skulls[1], found.matrix)
    if not residual < _OTHER:
        raise AnotherHead(
            "the scans must show one head; after alignment a tenth of the skulls lies "
            f"{residual:.1f} mm or more apart ({_OTHER:g} or more). Check that both are of one "
            "patient, and whether the skull was operated on in between."
        )
    flags = list(found.flags)
    if residual > _DOUBTFUL:
        flags.append(
            f"after alignment a tenth of the skulls lies {residual:.1f} mm or more apart (above "
            f"{_DOUBTFUL:g}): new and gone haemorrhages may be one that did not match"
        )
    middle = apply_affine(first_img.affine, (np.array(first_img.shape[:3]) - 1) / 2)
    turned = np.degrees(Rotation.from_matrix(found.matrix[:3, :3]).magnitude())
    moved = np.linalg.norm(apply_affine(found.matrix, middle) - middle)
    return Pose(found.matrix, residual, float(turned), float(moved), tuple(flags))


def compare(first: Read, second: Read) -> dict[str, Any]:
    """Compare the readings of a first scan and a follow-up of one patient.

    Parameters
    ----------
    first, second : Read
        As :func:`~brainnet.models.voxel.haemorrhage.read.read_ct` makes them. Volumes are those
        of their findings, each measured on its own scan; alignment only tells which haemorrhage
        is which.

    Returns
    -------
    dict
        As JSON holds it. ``registration`` (matrix, ``residual_mm``, ``turned_deg``,
        ``moved_mm``); ``volumes_ml`` by kind (``before``, ``after``, ``change``, ``percent``,
        ``beyond_error``: whether the intervals of the two volumes are apart); ``lesions``, one for
        each haemorrhage that was matched, with its numbers in both scans (several where it fell
        apart or ran together), volumes and ``status`` (``grown``, ``shrunk``, ``steady``, ``new``,
        ``gone``, ``not comparable`` where the other scan does not show its place);
        ``expansion``; ``midline_shift_mm``; ``summary``, in plain sentences; ``flags``.

    Raises
    ------
    AnotherHead
        The skulls do not fit.

    Notes
    -----
    Expansion is growth of haemorrhage in the brain by 6 ml or a third or more, or in the
    ventricles by 1 ml or more, or where there was none. It is defined for 24 hours from the
    first scan, which are not checked here.

    References
    ----------
    Dowlatshahi et al. (2011), Defining hematoma expansion in intracerebral hemorrhage, Neurology
    76:1238. Yogendrakumar et al. (2020), New and expanded intraventricular hemorrhage predicts
    poor outcome, Neurology 94:e1527.
    """
    pose = align_by_skull(first.img, second.img)
    volumes = _volumes(first.findings["volumes_ml"], second.findings["volumes_ml"])
    lesions = _matched(first, second, pose)
    expansion = _expansion(volumes)
    shift = _change(*(each.findings["midline_shift"]["mm"] for each in (first, second)))
    return {
        "note": NOTE,
        "registration": {
            "matrix": pose.matrix.tolist(),
            "residual_mm": round(pose.residual_mm, 2),
            "turned_deg": round(pose.turned_deg, 1),
            "moved_mm": round(pose.moved_mm, 1),
        },
        "volumes_ml": volumes,
        "lesions": lesions,
        "expansion": expansion,
        "midline_shift_mm": shift,
        "summary": _summary(volumes, lesions, expansion, shift),
        "flags": [*pose.flags, *_unlike(first, second)],
    }


def _skull(img: Nifti1Image) -> Nifti1Image:
    """Return bone on a grid of 2 mm, soft tissue and air alike 0."""
    units = np.clip(np.asarray(img.dataobj, dtype=np.float32), *_SKULL) - _SKULL[0]
    affine = np.asarray(img.affine, dtype=np.float64)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    # a finer grid is smoothed first, or thin bone would fall between the voxels
    widths = np.sqrt(np.maximum(0.0, (_GRID / sizes) ** 2 - 1)) / 2.355
    smooth = Nifti1Image(ndimage.gaussian_filter(units, widths), affine)
    return resample(smooth, target_grid(smooth, _GRID), order=1)


def _apart(first_img: Nifti1Image, second_img: Nifti1Image, matrix: Floats) -> float:
    """Return within how many mm nine tenths of one skull lie of the other; NaN if unseen."""
    bones = [np.asarray(each.dataobj) > _BONE - _SKULL[0] for each in (first_img, second_img)]
    points = np.argwhere(bones[0] & ~ndimage.binary_erosion(bones[0]))
    points = points[:: 1 + len(points) // _MOST]
    index = np.linalg.inv(np.asarray(second_img.affine)) @ matrix @ np.asarray(first_img.affine)
    there = apply_affine(index, points)
    inside = ((there >= 0) & (there <= np.array(bones[1].shape) - 1)).all(axis=1)
    if inside.sum() < 100 or not bones[1].any():
        return float("nan")
    first = _signed(bones[0])[tuple(points[inside].T)]
    second = ndimage.map_coordinates(_signed(bones[1]), there[inside].T, order=1)
    return float(np.quantile(np.abs(second - first), 0.9))


def _signed(bone: Mask) -> Floats:
    """Return how far each voxel lies outside of bone, mm; negative in it."""
    out, within = (ndimage.distance_transform_edt(each) for each in (~bone, bone))
    return np.asarray(_GRID * (np.where(bone, -within, out) - np.where(bone, -0.5, 0.5)))


def _volumes(
    before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, Any]]:
    """Return volumes of each kind in both scans, and their change."""
    found = {}
    for kind, first in before.items():
        second = after[kind]
        apart = second["low"] > first["high"] or second["high"] < first["low"]
        found[kind] = _grown(first["value"], second["value"]) | {"beyond_error": bool(apart)}
    return found


def _grown(before: float, after: float) -> dict[str, Any]:
    percent = 100 * (after - before) / before if before > 0 else None
    return {
        "before": round(before, 2),
        "after": round(after, 2),
        "change": round(after - before, 2),
        "percent": None if percent is None else round(percent, 1),
    }


def _expansion(volumes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return whether haemorrhage expanded by the usual definitions."""
    brain, ventricles = volumes["intraparenchymal"], volumes["intraventricular"]
    more = brain["after"] - brain["before"]
    there = brain["before"] > 0
    in_brain = there and (more >= _ML - 1e-9 or more / brain["before"] >= _SHARE - 1e-9)
    new = ventricles["before"] == 0 and ventricles["after"] > 0
    in_ventricles = new or ventricles["after"] - ventricles["before"] >= _IVH_ML - 1e-9
    return {
        "intraparenchymal": bool(in_brain) if there else None,
        "intraventricular": bool(in_ventricles),
        "new_intraventricular": bool(new),
        "any": bool(in_brain or in_ventricles),
        "beyond_error": bool(
            (in_brain and brain["beyond_error"]) or (in_ventricles and ventricles["beyond_error"])
        ),
        "definition": _DEFINITION,
    }


def _change(before: float | None, after: float | None) -> dict[str, float | None]:
    known = before is not None and after is not None
    return {
        "before": before,
        "after": after,
        "change": round(after - before, 1) if known else None,  # type: ignore[operator]
    }


class _Side(NamedTuple):
    """The lesions of one scan: by number their kind and volume, and where they lie on a grid."""

    kinds: dict[int, str]
    volumes: dict[int, float]
    on_grid: NDArray
    seen: dict[int, bool]


def _matched(first: Read, second: Read, pose: Pose) -> list[dict[str, Any]]:
    """Return the haemorrhages of both scans, those that touch and are of one kind as one."""
    grid_img = target_grid(first.img, _LESION_GRID)
    back: Floats = np.asarray(np.linalg.inv(pose.matrix), dtype=np.float64)
    sides = (
        _side(first, np.eye(4), grid_img, second.img, pose.matrix),
        _side(second, pose.matrix, grid_img, first.img, back),
    )
    groups = _groups(sides)
    found = [_told(sides, *each) for each in groups]
    return sorted(found, key=lambda one: -max(one["before"], one["after"]))


def _side(
    reading: Read, matrix: Floats, grid_img: Nifti1Image, other: Nifti1Image, to_other: Floats
) -> _Side:
    lesions = np.asarray(reading.lesions_img.dataobj)
    kinds = kinds_of(np.asarray(reading.labels_img.dataobj), lesions)
    volumes = {
        each["number"]: float(each["volume_ml"]["value"]) for each in reading.findings["lesions"]
    }
    voxel = abs(float(np.linalg.det(np.asarray(reading.img.affine)[:3, :3]))) / 1000
    seen = {}
    index = np.linalg.inv(np.asarray(other.affine)) @ to_other @ np.asarray(reading.img.affine)
    for number in kinds:
        places = apply_affine(index, np.argwhere(lesions == number))
        inside = ((places >= -0.5) & (places <= np.array(other.shape[:3]) - 0.5)).all(axis=1)
        seen[number] = bool(inside.mean() >= _SEEN)
        volumes.setdefault(number, float((lesions == number).sum()) * voxel)
    on_grid = np.asarray(resample_labels(reading.lesions_img, grid_img, matrix).dataobj)
    return _Side(kinds, volumes, on_grid, seen)


def _groups(sides: tuple[_Side, _Side]) -> list[tuple[list[int], list[int]]]:
    """Return numbers of the first and second scan that are one haemorrhage."""
    links = []
    for number, kind in sides[0].kinds.items():
        near = _near(sides[0].on_grid == number)
        if near is None:
            continue
        box, mask = near
        touched = np.unique(sides[1].on_grid[box][mask]).tolist()
        links += [(number, int(each)) for each in touched
                  if each and sides[1].kinds[int(each)] == kind]  # fmt: skip
    groups: list[tuple[set[int], set[int]]] = []
    for a, b in links:
        joined = [each for each in groups if a in each[0] or b in each[1]]
        groups = [each for each in groups if each not in joined]
        groups.append(
            ({a}.union(*(each[0] for each in joined)), {b}.union(*(each[1] for each in joined)))
        )
    known = [set().union(*(each[side] for each in groups)) for side in (0, 1)]
    groups += [({number}, set()) for number in sides[0].kinds if number not in known[0]]
    groups += [(set(), {number}) for number in sides[1].kinds if number not in known[1]]
    return [(sorted(a), sorted(b)) for a, b in groups]


def _near(mask: Mask) -> tuple[tuple[slice, ...], Mask] | None:
    """Return a box around a lesion and what lies within reach of it there; None if it is empty."""
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if not boxes:
        return None
    by = int(np.ceil(_REACH / _LESION_GRID))
    box = tuple(slice(max(0, each.start - by), each.stop + by) for each in boxes[0])
    return box, np.asarray(ndimage.distance_transform_edt(~mask[box]) * _LESION_GRID <= _REACH)


def _told(sides: tuple[_Side, _Side], first: list[int], second: list[int]) -> dict[str, Any]:
    """Return what became of one haemorrhage."""
    before = sum(sides[0].volumes[each] for each in first)
    after = sum(sides[1].volumes[each] for each in second)
    kind = sides[0].kinds[first[0]] if first else sides[1].kinds[second[0]]
    if first and second:
        share = (after - before) / before if before else np.inf
        status = "steady" if abs(share) < 0.1 else "grown" if share > 0 else "shrunk"
    elif first:
        status = "gone" if all(sides[0].seen[each] for each in first) else "not comparable"
    else:
        status = "new" if all(sides[1].seen[each] for each in second) else "not comparable"
    return {"kind": kind, "first": first, "second": second, "status": status} | _grown(
        before, after
    )


def _unlike(first: Read, second: Read) -> list[str]:
    """Return what makes the volumes of two scans hard to compare."""
    thick = [
        float(np.linalg.norm(np.asarray(each.img.affine)[:3, :3], axis=0).max())
        for each in (first, second)
    ]
    if max(thick) > 1.5 * min(thick):
        return [
            f"slices of {thick[0]:.1f} mm, then {thick[1]:.1f} mm: a small change may be due to "
            "that alone"
        ]
    return []


def _summary(
    volumes: Mapping[str, Mapping[str, Any]],
    lesions: list[dict[str, Any]],
    expansion: Mapping[str, Any],
    shift: Mapping[str, float | None],
) -> list[str]:
    """Return the comparison in plain sentences."""
    lines = []
    for kind, each in volumes.items():
        if max(each["before"], each["after"]) > 0 and kind != "total":
            percent = "" if each["percent"] is None else f", {each['percent']:+.0f} %"
            lines.append(
                f"{kind.capitalize()}: {each['before']:.1f} ml before, {each['after']:.1f} ml now "
                f"({each['change']:+.1f} ml{percent})"
                + ("." if each["beyond_error"] else "; within the error of measurement.")
            )
    for status in ("new", "gone", "not comparable"):
        those = [each for each in lesions if each["status"] == status]
        if those:
            kinds = ", ".join(sorted({each["kind"] for each in those}))
            lines.append(f"{len(those)} {status} ({kinds}).")
    sure = "" if expansion["beyond_error"] else ", but within the error of measurement"
    lines.append(
        f"Expansion by the usual definition ({_DEFINITION}){sure}."
        if expansion["any"]
        else f"No expansion by the usual definition ({_DEFINITION})."
    )
    if shift["change"] is not None:
        lines.append(f"Midline shift {shift['before']:.1f} mm before, {shift['after']:.1f} mm now.")
    return lines
