"""Head CTs in Hounsfield units with planted haemorrhages, from label maps of real adults.

A label map at 1 mm is pushed aside by the asked midline shift, bled into (`bleeds_ct.py`), painted
in Hounsfield units and scanned: slices of the asked thickness, noise as of filtered
back-projection, cupping, dark bands and streaks between the petrous bones, a head-rest. This
program shares nothing with the one that trains the network, so that it can disagree with it.

Hounsfield units: Brooks et al. (1980), Radiology 136:443 (grey matter 37, white matter 30);
Bushberg et al., The Essential Physics of Medical Imaging (fluid, fat, bone); Black et al. (2011),
AJNR 32:E161 (venous sinuses 50 to 70); Kiroglu et al. (2010), AJR 194:W401 (calcifications).
Noise: Kijewski and Judy (1987), Phys Med Biol 32:565. Bands between the petrous bones: Barrett and
Keat (2004), Radiographics 24:1679. Shift: falx fixed in front and behind, most at the septum.
"""

from dataclasses import dataclass, field, replace
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
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

AIR, MOST = -1024, 3071
#: Mean Hounsfield units of FreeSurfer's numbers inside the skull; all else there is grey matter.
_UNITS = {
    **dict.fromkeys((2, 41), 29.5), **dict.fromkeys((3, 42), 37.0),
    **dict.fromkeys((7, 46), 31.5), **dict.fromkeys((8, 47), 38.0),
    **dict.fromkeys(VENTRICLES, 6.5), **dict.fromkeys((25, 57), 24.0),
    **dict.fromkeys((10, 49, 12, 51, 11, 50), 37.5), **dict.fromkeys((13, 52), 36.0),
    **dict.fromkeys((30, 62), 44.0), FLUID: 8.5, STEM: 32.0,
}  # fmt: skip
_BONE, _MARROW, _EYE = (515, 514), 516, 502
#: Calcifications and other bright things without blood.
LOOKALIKES = ("choroid", "pineal", "falx", "pallidum", "sinus", "artery")


@dataclass(frozen=True)
class Protocol:
    """How a head is scanned: voxels in mm, axes, noise in the brain (SD, Hounsfield units)."""

    name: str
    voxel: tuple[float, float, float]
    noise: float
    axes: str = "LPS"
    gantry_degrees: float = 0.0
    field_mm: float = 230.0


PROTOCOLS = (
    Protocol("5 mm", (0.47, 0.47, 5.0), 3.2, "LPS", 12.0),
    Protocol("2.5 mm", (0.49, 0.49, 2.5), 4.5, "LAS"),
    Protocol("5 mm, coarse", (0.9, 0.9, 5.0), 2.6, "RAS", -8.0),
    Protocol("1 mm", (1.0, 1.0, 1.0), 5.5, "RPI"),
    Protocol("1.25 mm", (0.6, 0.6, 1.25), 6.5, "LPS"),
)


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
    if case.shift_mm:
        shift(scene, case.shift_mm, case.shift_to)
    for bleed in sorted(case.bleeds, key=lambda each: each.kind not in ("subdural", "epidural")):
        plant(scene, bleed, rng)
    units = paint(scene, case.lookalikes, rng)
    return scan(units, scene, case, rng)


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
    at = np.rint(column - sign * mm * field_mm).astype(np.intp)
    moved = np.take_along_axis(scene.labels, np.clip(at, 0, scene.labels.shape[0] - 1), axis=0)
    scene.labels[...] = np.where(scene.inside & (moved < 500) & (moved > 0), moved, scene.labels)
    scene.middle += sign * mm * field_mm[scene.labels.shape[0] // 2]


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


def scan(units: Floats, scene: Scene, case: Case, rng: np.random.Generator) -> Head:
    """Return the CT of painted units and its truth, on the grid and axes of a protocol."""
    protocol = case.protocol
    to_world = _pose(scene, rng)
    shape, affine = _grid(scene, to_world, protocol)
    pull = np.linalg.inv(to_world) @ affine
    data = slab(ndimage.gaussian_filter(units, 0.55), pull, shape, fill=-1000.0)
    data = np.maximum(data, _headrest(data))
    inside = slab(scene.inside.astype(np.float32), pull, shape, steps=1) > 0.5
    data += _hardening(data, inside, affine, rng)
    data += fbp_noise(shape, protocol.noise, rng) * _loudness(data)
    data = np.clip(np.rint(data), AIR, MOST).astype(np.int16)
    truth = truth_on(scene, pull, shape)
    facts = _facts(scene, case, to_world)
    img, truth_img = (_turned(each, affine, protocol.axes) for each in (data, truth))
    return Head(img, truth_img, facts)


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
        "midline_shift": {"mm": case.shift_mm, "to": case.shift_to},
        "protocol": case.protocol.name,
    }  # fmt: skip


def _pose(scene: Scene, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return voxels to scanner mm: a head that lies a little turned and tilted."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", rng.normal(0, (5, 2, 3)), degrees=True).as_matrix()
    return np.asarray(turn @ scene.affine)


def _grid(
    scene: Scene, to_world: NDArray[np.float64], protocol: Protocol
) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Return shape and affine (RAS, under the gantry's angle) of a scan of the skull."""
    affine = np.eye(4)
    turn = Rotation.from_euler("x", protocol.gantry_degrees, degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(protocol.voxel)
    where = np.argwhere(scene.labels[::4, ::4, ::4] > 500) * 4
    points = apply_affine(np.linalg.inv(affine) @ to_world, where)
    low, high = points.min(0), points.max(0)
    n_plane = [int(protocol.field_mm / size) // 2 * 2 for size in protocol.voxel[:2]]
    shape = (*n_plane, int(np.ceil(high[2] - low[2])) + 2)
    middle = (low + high) / 2
    start = middle - (np.array(shape) - 1) / 2
    affine[:3, 3] = apply_affine(affine, start)
    return (shape[0], shape[1], shape[2]), affine


def slab(
    data: Floats,
    pull: NDArray[np.float64],
    shape: tuple[int, int, int],
    *,
    fill: float = 0.0,
    steps: int = 0,
) -> Floats:
    """Resample to slices that average what lies within their thickness."""
    steps = steps or max(1, round(float(np.linalg.norm(pull[:3, 2]))))
    out = np.zeros(shape, np.float32)
    for step in range(steps):
        offset = pull[:3, 3] + pull[:3, 2] * ((step + 0.5) / steps - 0.5)
        out += ndimage.affine_transform(
            data, pull[:3, :3], offset, shape, order=1, cval=fill, mode="constant"
        )
    return out / steps


def truth_on(
    scene: Scene, pull: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[np.int16]:
    """Return what fills most of each voxel: blood where half of it is blood, of which most."""
    codes = [int(code) for code in np.unique(scene.truth) if code]
    truth = np.zeros(shape, np.int16)
    if not codes:
        return truth
    low, high = _box(scene.truth > 0, pull, shape)
    offset = pull.copy()
    offset[:3, 3] = apply_affine(pull, low)
    size = tuple(int(n) for n in high - low)
    shares = np.stack([
        slab((scene.truth == code).astype(np.float32), offset, size) for code in codes
    ])  # fmt: skip
    most = np.array(codes, np.int16)[shares.argmax(0)]
    part = np.where(shares.sum(0) >= 0.5, most, 0)
    truth[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = part
    return truth


def _box(mask: Mask, pull: NDArray[np.float64], shape: tuple[int, int, int]) -> Any:
    """Return the box of a scan's grid that holds a mask."""
    points = apply_affine(np.linalg.inv(pull), np.argwhere(mask))
    low = np.clip(np.floor(points.min(0)).astype(int) - 3, 0, shape)
    high = np.clip(np.ceil(points.max(0)).astype(int) + 4, 0, shape)
    return low, np.maximum(high, low + 1)


def fbp_noise(shape: tuple[int, int, int], level: float, rng: np.random.Generator) -> Floats:
    """Return noise of filtered back-projection: a ramp of frequency under a soft kernel."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    weight = frequency * np.exp(-((frequency / 0.22) ** 2)) + 0.004
    noise = np.empty(shape, np.float32)
    for each in range(shape[2]):
        white = fft.rfft2(rng.standard_normal(shape[:2], np.float32))
        noise[..., each] = fft.irfft2(white * weight.astype(np.float32), s=shape[:2])
    return noise * np.float32(level / noise.std())


def _loudness(data: Floats) -> Floats:
    """Return how much more noise lies deep in the head than at its rim and outside."""
    body = (data > -300).astype(np.float32)
    small = ndimage.zoom(body, (0.25, 0.25, 1), order=0)
    wide = ndimage.gaussian_filter(small, (small.shape[0] / 12, small.shape[1] / 12, 0))
    big = ndimage.zoom(wide, [n / m for n, m in zip(data.shape, small.shape, strict=True)], order=1)
    return np.asarray(0.55 + 0.5 * big, dtype=np.float32)


def _hardening(
    data: Floats, inside: Mask, affine: NDArray[np.float64], rng: np.random.Generator
) -> Floats:
    """Return what hard beams leave: a bright rim at the skull, bands between petrous bones."""
    plane = np.linalg.norm(affine[:3, :2], axis=0)
    bone = np.clip(data - 300, 0, 1200) / 1200
    rim = ndimage.gaussian_filter(bone, (*(5.0 / plane), 0)) * rng.uniform(8, 16)
    lengths = bone.cumsum(0) * plane[0]
    to_right = lengths[-1:] - lengths
    crossed = np.sqrt(np.clip(np.minimum(lengths, to_right) - 14.0, 0, None))
    crossed = ndimage.gaussian_filter(crossed, (*(3.0 / plane), 0))
    streaks = rng.normal(0, 1, data.shape[1:]).astype(np.float32)
    streaks = ndimage.gaussian_filter(streaks, (1.5 / plane[1], 0.0))
    streaks /= max(float(streaks.std()), 1e-6)
    band = crossed * (-rng.uniform(1.0, 2.5) + 1.2 * streaks)
    return np.asarray(np.where(inside, rim + band, 0), dtype=np.float32)


def _headrest(data: Floats) -> Floats:
    """Return a curved rest behind the head: a thin shell over foam."""
    body = data > -300
    column = np.arange(data.shape[0], dtype=np.float32)
    back = float(np.flatnonzero(body.any((0, 2)))[0])
    width = 0.36 * data.shape[0]
    rise = ((column - data.shape[0] / 2) / width) ** 2
    surface = back - 0.02 * data.shape[1] + 0.12 * data.shape[1] * rise
    row = np.arange(data.shape[1], dtype=np.float32)[None]
    below = surface[:, None] - row
    near = np.abs(column - data.shape[0] / 2)[:, None] < width
    thick = 0.012 * data.shape[1]
    rest = np.where((below > 0) & (below < thick) & near, -60.0, -1000.0)
    rest = np.where((below >= thick) & (below < 6 * thick) & near, -930.0, rest)
    return np.asarray(rest, dtype=np.float32)[..., None]


def _turned(data: NDArray[Any], affine: NDArray[np.float64], axes: str) -> Nifti1Image:
    """Return an image with other axes; the same places in mm."""
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(axes))
    turned = nib.orientations.apply_orientation(data, turn)
    img = Nifti1Image(np.ascontiguousarray(turned), affine @ inv_ornt_aff(turn, data.shape))
    img.set_sform(img.affine, 1)
    img.set_qform(img.affine, 1)
    img.header.set_xyzt_units("mm")
    return img


__all__ = [
    "AIR",
    "KINDS",
    "MOST",
    "PROTOCOLS",
    "Case",
    "Head",
    "Protocol",
    "cases",
    "head",
    "replace",
]
