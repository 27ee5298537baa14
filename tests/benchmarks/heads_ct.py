"""Head CTs in Hounsfield units with planted haemorrhages, from label maps of real adults.

A label map at 1 mm is pushed aside by the asked midline shift, bled into (`bleeds_ct.py`), painted
in Hounsfield units and scanned (`scanner_ct.py`): slices of the asked thickness, noise as of
filtered back-projection, cupping, dark bands and streaks between the petrous bones, a head-rest.
This program shares nothing with the one that trains the network, so that it can disagree with it.

Hounsfield units: Brooks et al. (1980), Radiology 136:443 (grey matter 37, white matter 30);
Bushberg et al., The Essential Physics of Medical Imaging (fluid, fat, bone); Black et al. (2011),
AJNR 32:E161 (venous sinuses 50 to 70); Kiroglu et al. (2010), AJR 194:W401 (calcifications).
Shift: falx fixed in front and behind, most at the septum.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from bleeds_ct import (
    CEREBELLUM,
    DEEP,
    FLUID,
    KINDS,
    LATERAL,
    MIDDLE,
    OEDEMA,
    SITES,
    STEM,
    VENTRICLES,
    VOLUMES,
    Bleed,
    Scene,
    plant,
    scene_of,
    smooth_noise,
)  # fmt: skip
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scanner_ct import PROTOCOLS, Protocol, scan
from scipy import ndimage

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Mean Hounsfield units of FreeSurfer's numbers inside the skull; all else there is grey matter.
_UNITS = {
    **dict.fromkeys((2, 41), 29.5), **dict.fromkeys((3, 42), 37.0),
    **dict.fromkeys((7, 46), 31.5), **dict.fromkeys((8, 47), 38.0),
    **dict.fromkeys(VENTRICLES, 6.5), **dict.fromkeys((25, 57), 24.0),
    **dict.fromkeys((10, 49, 12, 51, 11, 50), 37.5), **dict.fromkeys((13, 52), 36.0),
    **dict.fromkeys((30, 62), 44.0), FLUID: 8.5, STEM: 32.0,
}  # fmt: skip
_BONE, _MARROW, _EYE = (515, 514), 516, 502
_HEMISPHERES = {"left": (2, 3, 4, 10, 11, 12, 13, 26), "right": (41, 42, 43, 49, 50, 51, 52, 58)}
#: Calcifications and other bright things without blood.
LOOKALIKES = ("choroid", "pineal", "falx", "pallidum", "sinus", "artery")


@dataclass(frozen=True)
class Case:
    """A patient: what is planted, how far the midline is pushed, what looks like blood."""

    name: str
    bleeds: tuple[Bleed, ...] = ()
    shift_mm: float = 0.0
    shift_to: str = "none"
    lookalikes: tuple[str, ...] = ()
    protocol: Protocol = PROTOCOLS[0]
    seed: int = 0


@dataclass(frozen=True)
class Head:
    """A CT (int16, Hounsfield units), its truth on the same grid (11 to 16), and what was planted.

    ``facts``: ``ml`` by kind at 1 mm, ``bleeds``, ``midline_shift`` (mm, to), ``lookalikes``.
    """

    img: Nifti1Image
    truth_img: Nifti1Image
    facts: dict[str, Any] = field(default_factory=dict)


def cases(n_cases: int, *, seed: int = 0) -> list[Case]:
    """Return patients: of every nine, two have no haemorrhage and each kind is there."""
    kinds = ["deep", "none", "lobar", "subdural", "intraventricular", "epidural", "below",
             "subarachnoid", "none"]  # fmt: skip
    return [
        _case(kinds[i % len(kinds)], np.random.default_rng([seed, i, 41]), i)
        for i in range(n_cases)
    ]


def _case(kind: str, rng: np.random.Generator, number: int) -> Case:
    """Draw one patient of a kind."""
    side = str(rng.choice(["left", "right"]))
    drawn: list[Bleed] = []
    if kind in ("deep", "lobar", "below"):
        sites = {"deep": (*DEEP,), "below": ("cerebellum", "pons")}.get(
            kind, ("frontal", "parietal", "temporal", "occipital")
        )
        site = str(rng.choice(sites))
        oedema = 0.0 if site == "pons" else float(rng.choice([0, 0.4, 0.8, 1.3]))
        drawn.append(
            Bleed("intraparenchymal", site, side, _ml(site, rng), oedema, rng.random() < 0.4)
        )
        if kind == "deep" and rng.random() < 0.5:
            drawn.append(Bleed("intraventricular", "layering", side, _ml("layering", rng)))
    elif kind != "none":
        site = str(rng.choice(SITES[kind], p=[0.5, 0.2, 0.1, 0.2] if kind == "subdural" else None))
        bone = "frontal bone" if (kind, site) == ("epidural", "frontal") else site
        drawn.append(
            Bleed(kind, site, side, _ml(bone, rng), swirl=kind == "epidural" and rng.random() < 0.3)
        )
    mass = sum(
        each.ml for each in drawn if each.kind in ("intraparenchymal", "subdural", "epidural")
    )
    shift = float(np.clip(mass / 8 * rng.uniform(0.3, 1.5), 0, 15)) if kind != "below" else 0.0
    shift = shift if shift >= 1 else 0.0
    to = "none" if shift == 0 else "right" if side == "left" else "left"
    looks = tuple(each for each in LOOKALIKES if rng.random() < (0.6 if kind == "none" else 0.3))
    protocol = PROTOCOLS[int(rng.choice(5, p=[0.35, 0.2, 0.15, 0.15, 0.15]))]
    return Case(kind, tuple(drawn), shift, to, looks, protocol, number)


def _ml(site: str, rng: np.random.Generator) -> float:
    """Draw a volume, even in its logarithm."""
    least, most = VOLUMES[site]
    return float(np.exp(rng.uniform(np.log(least), np.log(most))))


def head(path: Path, case: Case) -> Head:
    """Return a patient's CT, made on a label map, with its truth.

    Parameters
    ----------
    path : Path
        A whole-head label map at 1 mm, RAS, FreeSurfer's numbers.
    case : Case
        Its seed decides all that is left to chance.
    """
    rng = np.random.default_rng([case.seed, 83])
    scene = load_scene(path)
    scene.bend = own_bend(scene)
    if case.shift_mm:
        shift(scene, case.shift_mm, case.shift_to)
    for bleed in sorted(case.bleeds, key=lambda each: each.kind not in ("subdural", "epidural")):
        plant(scene, bleed, rng)
    units = paint(scene, case.lookalikes, rng)
    img, truth_img, to_world = scan(units, scene, case.protocol, rng)
    return Head(img, truth_img, _facts(scene, case, to_world))


def load_scene(path: Path) -> Scene:
    """Read a label map from just below the cerebellum up; label what has no label in the skull."""
    img = nib.nifti1.load(path)
    labels = np.asarray(img.dataobj).astype(np.int16)
    start = max(0, int(np.flatnonzero(np.isin(labels, CEREBELLUM).any((0, 1)))[0]) - 14)
    labels = np.pad(labels[..., start:], [(8, 8), (8, 8), (0, 8)])
    affine = np.array(img.affine, dtype=np.float64)
    affine[:3, 3] = apply_affine(affine, (-8, -8, start))
    inner = (labels > 0) & (labels < 500)
    near = ndimage.gaussian_filter(inner.astype(np.float32), 2.0) > 0.55
    labels[near & (labels == 0)] = FLUID
    inside = _largest((labels > 0) & (labels < 500))
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(inside, iterations=5))
    bone = _largest(
        np.isin(labels, (*_BONE, _MARROW)) & ~ndimage.binary_erosion(closed, iterations=2)
    )
    within = closed & ~inside & ~bone
    within[..., :22] = False
    labels[within] = np.where(np.isin(labels, (0, *_BONE, _MARROW)), FLUID, 30)[within]
    inside |= within
    shell = ndimage.binary_dilation(inside, iterations=3) & ~inside
    shell[..., :22] = False
    labels[shell & ~np.isin(labels, (*_BONE, _MARROW, _EYE))] = 515
    return scene_of(labels, affine, inside)


def _largest(mask: Mask) -> Mask:
    """Return the largest piece of a mask."""
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == sizes.argmax())


def own_bend(scene: Scene) -> float:
    """Return how far to the right of the plane's ends a head's septum lies by itself, mm."""
    left, right = (np.isin(scene.labels, _HEMISPHERES[side]) for side in ("left", "right"))
    both = np.isin(scene.labels, (*LATERAL["left"], *LATERAL["right"]))
    _, y, z = np.add(np.argwhere(both).mean(0), (0, 8, 0)).astype(int)
    last = scene.labels.shape[0] - 1 - left[::-1].argmax(0)
    between = np.where(
        left.any(0) & right.any(0), (last + right.argmax(0)) / 2 - scene.middle, np.nan
    )
    rows = np.flatnonzero(scene.inside.any(0)[:, z])
    ends = [between[rows[0] : rows[0] + 25, z - 8 : z + 26],
            between[rows[-1] - 25 : rows[-1], z - 8 : z + 26]]  # fmt: skip
    septum = float(np.nanmedian(between[y - 8 : y + 9, z - 8 : z + 9]))
    return septum - float(np.mean([np.nanmedian(each) for each in ends]))


def shift(scene: Scene, mm: float, to: str) -> None:
    """Push the midline aside by so many mm at the septum, smoothly, nothing at the skull."""
    sign = 1.0 if to == "right" else -1.0
    both = np.isin(scene.labels, (*LATERAL["left"], *LATERAL["right"]))
    _, y0, z0 = np.add(np.argwhere(both).mean(0), (0, 8, 0))
    column, row, height = np.indices(scene.labels.shape, dtype=np.float32)
    inner = np.flatnonzero(scene.inside[:, int(y0), int(z0)])
    half = (inner[-1] - inner[0]) / 2 - mm
    across = np.clip(np.abs(column - scene.middle - sign * mm) / half, 0, 1)
    rows = np.flatnonzero(scene.inside[int(scene.middle[int(y0), int(z0)]), :, int(z0)])
    span = np.where(row > y0, rows[-1] - y0, y0 - rows[0])
    along = np.clip(np.abs(row - y0) / span, 0, 1)
    field_mm = np.cos(across * np.pi / 2) ** 2 * np.cos(along * np.pi / 2) ** 2
    field_mm *= np.exp(-0.5 * ((height - z0) / 30) ** 2) * np.clip(scene.depth / 15, 0, 1)
    came = column - sign * mm * field_mm
    at = np.clip(np.rint(came), 0, scene.labels.shape[0] - 1).astype(np.intp)
    moved = np.take_along_axis(scene.labels, at, axis=0)
    scene.labels[...] = np.where(scene.inside & (moved < 500) & (moved > 0), moved, scene.labels)
    scene.middle[...] = np.abs(came - scene.middle).argmin(axis=0)


def paint(scene: Scene, lookalikes: tuple[str, ...], rng: np.random.Generator) -> Floats:
    """Return Hounsfield units at 1 mm, sharp."""
    table = np.full(1024, 36.0, np.float32)
    for number, level in _UNITS.items():
        table[number] = level
    table[1:500] += rng.normal(0, 0.8) + rng.normal(0, 0.4, 499)
    table[0] = -1000.0
    units = table[scene.labels] + 1.2 * smooth_noise(scene.labels.shape, 3.0, rng)
    _outer(units, scene, rng)
    _linings(units, scene, "sinus" in lookalikes)
    planted = scene.truth > 0
    units[planted] = scene.blood[planted]
    for name in lookalikes:
        _lookalike(units, scene, name, rng)
    return units


def _outer(units: Floats, scene: Scene, rng: np.random.Generator) -> None:
    """Paint scalp, muscle, eyes and bone."""
    labels = scene.labels
    skin_mm = ndimage.distance_transform_edt(labels != 511).astype(np.float32)
    texture = smooth_noise(labels.shape, 4.0, rng)
    fat = (skin_mm < 5 + 2 * texture) | (texture > 1.0)
    soft = (labels > 500) & ~np.isin(labels, (*_BONE, _MARROW, _EYE))
    units[soft] = np.where(fat, -85, 52)[soft] + 6 * texture[soft]
    units[labels == 511] = 35.0
    units[labels == _EYE] = 12.0
    bone = np.isin(labels, (*_BONE, _MARROW))
    thickness = ndimage.distance_transform_edt(bone).astype(np.float32)
    hard = 750 + 180 * np.clip(thickness, 0, 4) + 120 * texture
    units[bone] = hard[bone]
    marrow = labels == _MARROW
    units[marrow] = (520 + 160 * texture)[marrow]


def _linings(units: Floats, scene: Scene, dense: bool) -> None:
    """Paint dura, falx, tentorium and venous sinuses into the fluid that a label map has there."""
    fluid = (scene.labels == FLUID) & (scene.truth == 0)
    column = np.arange(scene.labels.shape[0], dtype=np.float32)[:, None, None]
    _, row, height = np.indices(scene.labels.shape, sparse=True)
    off = np.abs(column - scene.middle)
    hemispheres = np.argwhere(np.isin(scene.labels, (2, 41)))
    z_low = np.percentile(hemispheres[:, 2], 25)
    y_mid = np.median(hemispheres[:, 1])
    dura = fluid & (scene.depth <= 1.0)
    units[dura] = 34.0
    falx = fluid & (off < 1.1) & (height > z_low + 12)
    units[falx] = 36.0
    cerebellum = np.isin(scene.labels, CEREBELLUM)
    cerebrum = np.isin(scene.labels, (2, 3, 41, 42))
    below = ndimage.distance_transform_edt(~cerebellum)
    tent = fluid & (below < 4) & (ndimage.distance_transform_edt(~cerebrum) < 4)
    units[tent] = 34.0
    level = 62.0 if dense else 48.0
    back = (row < y_mid) | (height > z_low + 50)
    sagittal = fluid & (scene.depth < 9) & (off < 0.7 * (10 - scene.depth)) & back
    top = np.percentile(np.argwhere(cerebellum)[:, 2], 80)
    transverse = (scene.depth < 7) & (np.abs(height - top) < 4) & (below < 9)
    transverse = transverse & fluid & (row < y_mid - 15)
    units[sagittal & (height > z_low + 4)] = level
    units[transverse] = level - 2


def _lookalike(units: Floats, scene: Scene, name: str, rng: np.random.Generator) -> None:
    """Paint one thing that is bright without blood."""
    if name == "sinus":
        return
    for centre, radii, level in _spots(scene, name, rng):
        away = [
            (np.arange(n, dtype=np.float32) - c) / r
            for n, c, r in zip(units.shape, centre, radii, strict=True)
        ]
        x, y, z = np.meshgrid(*away, indexing="ij", sparse=True)
        spot = (x**2 + y**2 + z**2 < 1) & scene.inside & (scene.truth == 0)
        units[spot] = level + rng.normal(0, 0.12 * level, int(spot.sum()))


def _spots(
    scene: Scene, name: str, rng: np.random.Generator
) -> list[tuple[Any, tuple[float, float, float], float]]:
    """Return centre (voxel), radii (mm) and Hounsfield units of what is painted."""
    found: list[tuple[Any, tuple[float, float, float], float]] = []
    for side in ("left", "right"):
        lateral = np.argwhere(np.isin(scene.labels, LATERAL[side]))
        if name == "choroid" and len(lateral):
            back = lateral[lateral[:, 1] < np.percentile(lateral[:, 1], 25)]
            size = rng.uniform(1.5, 3.5)
            found.append((back.mean(0), (size, 1.3 * size, size), float(rng.uniform(90, 280))))
        pallidum = np.argwhere(scene.labels == (13 if side == "left" else 52))
        if name == "pallidum" and len(pallidum):
            found.append((pallidum.mean(0), (1.8, 3.2, 2.2), float(rng.uniform(60, 150))))
        if name == "artery":
            sign = -1 if side == "left" else 1
            own = np.argwhere(scene.labels == DEEP["putamen"][side])
            near = np.add(own.mean(0), (4 * sign, 6, -12))
            found.append((near, (7.0, 1.3, 1.3), float(rng.uniform(44, 56))))
    third = np.argwhere(scene.labels == MIDDLE[0])
    if name == "pineal" and len(third):
        centre = np.add(third.mean(0), (0, -20, 2))
        found.append((centre, (2.3, 2.6, 2.3), float(rng.uniform(120, 380))))
    if name == "falx":
        top = np.argwhere(np.isin(scene.labels, (2, 41)))
        y, z = np.percentile(top[:, 1], rng.uniform(60, 85)), np.percentile(top[:, 2], 88)
        x = float(scene.middle[int(y), int(z)])
        found.append(((x, y, z), (1.4, rng.uniform(5, 12), 5.0), float(rng.uniform(150, 500))))
    return found


def _facts(scene: Scene, case: Case, to_world: NDArray[np.float64]) -> dict[str, Any]:
    """Return what was planted, exactly, at 1 mm."""
    numbers = {**KINDS, "oedema": OEDEMA}
    ml = {name: float((scene.truth == code).sum()) / 1000 for name, code in numbers.items()}
    bleeds = [dict(each) for each in scene.facts]
    for each in bleeds:
        if "centre_voxel" in each:
            each["centre_mm"] = apply_affine(to_world, each.pop("centre_voxel")).tolist()
    return {
        "ml": ml, "bleeds": bleeds, "lookalikes": list(case.lookalikes), "name": case.name,
        "midline_shift": {"mm": case.shift_mm, "to": case.shift_to, "own_mm": scene.bend},
        "protocol": case.protocol.name,
    }  # fmt: skip
