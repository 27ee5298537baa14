"""Haemorrhages planted in a head's labels at 1 mm, for the benchmark of head CT.

Every haemorrhage is the asked number of voxels that come first in an order of its own: from the
middle of an ellipsoid outwards, from the deepest place of a ventricle upwards, along cisterns, or
from the skull inwards. So its volume is what was asked to within a voxel, and its border lobulated
or smooth as the order is. This program shares nothing with the one that trains the network.

Shapes and densities: Broderick et al. (1993), Stroke 24:987 (volume by site); Boulouis et al.
(2016), Neurology 87:1017 and Selariu et al. (2012), Acta Neurochir 154:1 (swirl and dark pockets);
Venkatasubramanian et al. (2011), Stroke 42:73 (oedema beside blood 0.5 to 2); Bergstrom et al.
(1977), J Comput Assist Tomogr 1:57 (60 to 80 Hounsfield units, some 1.5 less a day).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

#: Number of each kind in a truth image, as in the network's table.
KINDS = {
    "intraparenchymal": 11, "intraventricular": 12, "subarachnoid": 13, "subdural": 14,
    "epidural": 15,
}  # fmt: skip
OEDEMA = 16
#: FreeSurfer's numbers.
LATERAL = {"left": (4, 5), "right": (43, 44)}
MIDDLE = (14, 15, 72)
VENTRICLES = (4, 5, 43, 44, 14, 15, 72)
FLUID = 24
CEREBELLUM = (7, 8, 46, 47)
STEM = 16
CORTEX = (3, 42, 8, 47)
DEEP = {"putamen": {"left": 12, "right": 51}, "thalamus": {"left": 10, "right": 49}}
#: Where a lobe's haematoma lies: shares of the brain's box from the back and from below.
LOBES = {
    "frontal": (0.78, 0.62), "parietal": (0.33, 0.78), "temporal": (0.58, 0.30),
    "occipital": (0.15, 0.52),
}  # fmt: skip
SITES = {
    "intraparenchymal": (*DEEP, *LOBES, "cerebellum", "pons"),
    "intraventricular": ("layering", "cast"),
    "subarachnoid": ("basal", "sylvian", "convexity"),
    "subdural": ("acute", "subacute", "chronic", "mixed"),
    "epidural": ("temporoparietal", "frontal"),
}
#: Usual volumes, ml: least and most.
VOLUMES = {
    "putamen": (5, 60), "thalamus": (3, 25), "frontal": (8, 70), "parietal": (8, 70),
    "temporal": (8, 60), "occipital": (6, 45), "cerebellum": (4, 30), "pons": (2, 9),
    "layering": (1.5, 8), "cast": (6, 35), "basal": (6, 25), "sylvian": (3, 15),
    "convexity": (2, 10), "acute": (15, 110), "subacute": (20, 110), "chronic": (25, 120),
    "mixed": (25, 120), "temporoparietal": (8, 90), "frontal bone": (6, 50),
}  # fmt: skip


@dataclass(frozen=True)
class Bleed:
    """What is planted: a kind, a site of that kind, a side, ml of blood, and oedema beside it."""

    kind: str
    site: str
    side: str = "left"
    ml: float = 20.0
    oedema_ratio: float = 0.0
    swirl: bool = False


@dataclass
class Scene:
    """A head at 1 mm, RAS, to plant in.

    ``labels`` FreeSurfer's numbers, ``inside`` the skull, ``depth`` mm to its inner side,
    ``middle`` the column (nx index) of the midline at every (y, z), ``truth`` what was planted
    (11 to 16), ``blood`` its Hounsfield units, ``facts`` one entry a haemorrhage and ``bend`` how
    far to the right the septum lies of the plane between the hemispheres by nature, mm.
    """

    labels: NDArray[np.int16]
    affine: NDArray[np.float64]
    inside: Mask
    depth: Floats
    middle: Floats
    truth: NDArray[np.uint8]
    blood: Floats
    facts: list[dict[str, Any]] = field(default_factory=list)
    bend: float = 0.0


def scene_of(labels: NDArray[np.int16], affine: NDArray[np.float64], inside: Mask) -> Scene:
    """Return a head with nothing planted yet."""
    depth = ndimage.distance_transform_edt(inside).astype(np.float32)
    empty = np.zeros(labels.shape, np.uint8)
    blood = np.zeros(labels.shape, np.float32)
    return Scene(labels, affine, inside, depth, midline(labels), empty, blood)


def midline(labels: NDArray[np.int16]) -> Floats:
    """Return the column of the plane between the hemispheres at every (y, z)."""
    left, right = np.isin(labels, (2, 3)), np.isin(labels, (41, 42))
    both = left.any(0) & right.any(0)
    last = labels.shape[0] - 1 - left[::-1].argmax(0)
    between = (last + right.argmax(0)) / 2
    y, z = np.nonzero(both & (np.abs(last - right.argmax(0)) < 8))
    terms = np.stack([np.ones(y.size), y, z], 1)
    found = between[y, z]
    keep = np.ones(y.size, bool)
    for _ in range(4):
        plane = np.linalg.lstsq(terms[keep], found[keep], rcond=None)[0]
        away = np.abs(terms @ plane - found)
        keep = away < max(1.0, 2 * float(np.median(away)))
    rows, heights = np.indices(labels.shape[1:])
    return np.asarray(plane[0] + plane[1] * rows + plane[2] * heights, dtype=np.float32)


def plant(scene: Scene, bleed: Bleed, rng: np.random.Generator) -> None:
    """Put a haemorrhage into a head: its labels, truth, blood and facts change in place.

    Raises
    ------
    ValueError
        The head has no room for so much blood there.
    """
    if bleed.site not in SITES.get(bleed.kind, ()):
        raise ValueError(f"site must be of {SITES.get(bleed.kind)}; got {bleed.site!r}.")
    n_voxels = round(1000 * bleed.ml)
    maker = {
        "intraparenchymal": _parenchymal, "intraventricular": _ventricular,
        "subarachnoid": _subarachnoid, "subdural": _subdural, "epidural": _epidural,
    }[bleed.kind]  # fmt: skip
    mask = maker(scene, bleed, n_voxels, rng)
    scene.truth[mask] = KINDS[bleed.kind]
    scene.blood[mask] = _density(scene, bleed, mask, rng)[mask]
    where = np.argwhere(mask)
    scene.facts.append({
        "kind": bleed.kind, "site": bleed.site, "side": bleed.side, "asked_ml": bleed.ml,
        "ml": len(where) / 1000, "centre_voxel": where.mean(0).tolist(),
        "mean_hu": float(scene.blood[mask].mean()),
    })  # fmt: skip
    if bleed.oedema_ratio > 0:
        _oedema(scene, mask, round(bleed.oedema_ratio * n_voxels), rng)


def first(order: Floats, allowed: Mask, n_voxels: int) -> Mask:
    """Return the asked number of allowed voxels that come first in an order, less is earlier."""
    values = order[allowed]
    if n_voxels < 1 or values.size < n_voxels:
        raise ValueError(f"no room: {n_voxels} voxels asked, {values.size} allowed.")
    return np.asarray(allowed & (order <= np.partition(values, n_voxels - 1)[n_voxels - 1]))


def smooth_noise(shape: tuple[int, ...], scale_mm: float, rng: np.random.Generator) -> Floats:
    """Return noise of mean 0 and SD 1, smooth over a scale."""
    step = max(1, int(scale_mm // 2))
    coarse = [n // step + 3 for n in shape]
    noise = ndimage.gaussian_filter(rng.standard_normal(coarse, np.float32), scale_mm / step)
    noise /= noise.std()
    if step > 1:
        noise = ndimage.zoom(noise, step, order=1)
    return np.asarray(noise[tuple(slice(n) for n in shape)], dtype=np.float32)


def _parenchymal(scene: Scene, bleed: Bleed, n_voxels: int, rng: np.random.Generator) -> Mask:
    """An ellipsoid with a lobulated border, in the brain."""
    allowed = _brain(scene) | ((scene.labels == FLUID) & (scene.depth > 5))
    allowed &= _part(scene, bleed)
    centre = _centre(scene, bleed, allowed, rng)
    radius = (3 * n_voxels / (4 * np.pi)) ** (1 / 3)
    axes = np.array([0.85, 1.25, 0.95]) * np.exp(rng.normal(0, 0.12, 3))
    turn = Rotation.from_rotvec(rng.normal(0, 0.35, 3)).as_matrix()
    square = np.zeros(scene.labels.shape, np.float32)
    away = _offsets(scene.labels.shape, centre)
    for row, length in zip(turn, axes, strict=True):
        along = sum(weight * axis for weight, axis in zip(row, away, strict=True))
        square += (np.asarray(along) / (radius * length)) ** 2
    order = np.sqrt(square)
    order += rng.uniform(0.08, 0.28) * smooth_noise(order.shape, max(3.0, 0.45 * radius), rng)
    order += 0.05 * smooth_noise(order.shape, 2.0, rng)
    order += 0.10 * np.isin(scene.labels, CORTEX)
    return _one_piece(order, allowed, n_voxels)


def _one_piece(order: Floats, allowed: Mask, n_voxels: int) -> Mask:
    """Return the asked number of voxels first in order that hold together, holes filled."""
    asked = n_voxels
    for _ in range(8):
        mask = first(order, allowed, asked)
        pieces, _ = ndimage.label(mask)
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        mask = ndimage.binary_fill_holes(pieces == sizes.argmax()) & allowed
        missing = n_voxels - int(mask.sum())
        if abs(missing) <= 0.002 * n_voxels:
            break
        asked += missing
    return np.asarray(mask)


def _ventricular(scene: Scene, bleed: Bleed, n_voxels: int, rng: np.random.Generator) -> Mask:
    """Blood that sank to the back of the ventricles, or a cast of one side."""
    own = np.isin(scene.labels, LATERAL[bleed.side])
    room = np.isin(scene.labels, VENTRICLES) & (scene.truth == 0)
    _, y, z = _offsets(scene.labels.shape, np.zeros(3))
    order = (y + 0.15 * z) * np.ones(scene.labels.shape, np.float32)
    if bleed.site == "cast":
        order = 0.3 * order - 60.0 * own - 45.0 * np.isin(scene.labels, MIDDLE)
        order += 4 * smooth_noise(order.shape, 5.0, rng)
    n_voxels = min(n_voxels, int(0.85 * room.sum()))
    return first(order.astype(np.float32), room, n_voxels)


def _subarachnoid(scene: Scene, bleed: Bleed, n_voxels: int, rng: np.random.Generator) -> Mask:
    """Blood in cisterns or sulci around a place."""
    fluid = (scene.labels == FLUID) & (scene.truth == 0)
    near = ndimage.distance_transform_edt(~_brain(scene)) <= (6 if bleed.site == "basal" else 2.5)
    fluid &= near
    if bleed.site == "convexity":
        fluid &= (scene.depth > 2) & _part(scene, bleed)
    centre = _cistern(scene, bleed, fluid, rng)
    x, y, z = _offsets(scene.labels.shape, centre)
    order = np.sqrt(x**2 + (1.0 if bleed.site == "convexity" else 0.7) * y**2 + 1.6 * z**2)
    order += 3.0 * smooth_noise(order.shape, 6.0, rng)
    return first(order.astype(np.float32), fluid, min(n_voxels, int(0.9 * fluid.sum())))


def _subdural(scene: Scene, bleed: Bleed, n_voxels: int, rng: np.random.Generator) -> Mask:
    """A crescent along one hemisphere, over sutures, not over the midline."""
    towards = np.array([1.0, rng.uniform(-0.3, 0.6), rng.uniform(-0.1, 0.6)])
    angle = _angle(scene, bleed, towards)
    widest = np.radians(rng.uniform(70, 100))
    thick = np.cos(np.clip(angle / widest, 0, 1) * np.pi / 2) ** 1.2
    thick *= 1 + 0.08 * smooth_noise(thick.shape, 12.0, rng)
    allowed = _part(scene, bleed) & scene.inside & (thick > 0.05) & _supratentorial(scene)
    order = np.where(allowed, (scene.depth - 0.5) / np.maximum(thick, 0.05), np.inf)
    mask = _one_piece(order.astype(np.float32), allowed, n_voxels)
    _push(scene, float(order[mask].max()) * thick * (thick > 0.05))
    return mask


def _epidural(scene: Scene, bleed: Bleed, n_voxels: int, rng: np.random.Generator) -> Mask:
    """A lens under a part of the skull, its inner side round."""
    high = {"temporoparietal": (-0.05, 0.15), "frontal": (1.6, 0.25)}[bleed.site]
    towards = np.array([1.0, high[0] + rng.normal(0, 0.15), high[1] + rng.normal(0, 0.12)])
    angle = _angle(scene, bleed, towards)
    rim = (scene.depth > 0) & (scene.depth <= 1.5) & _part(scene, bleed)
    where = np.argwhere(rim)
    centre = where[angle[rim].argmin()]
    thickest = (n_voxels / 7.6) ** (1 / 3)
    square = sum(np.asarray(axis) ** 2 for axis in _offsets(scene.labels.shape, centre))
    along = np.maximum(np.asarray(square) - scene.depth**2, 0)
    order = scene.depth + along / (4.8 * thickest)
    order += 0.4 * smooth_noise(order.shape, 6.0, rng)
    mask = _one_piece(order.astype(np.float32), scene.inside & _part(scene, bleed), n_voxels)
    _push(scene, np.maximum(float(order[mask].max()) - along / (4.8 * thickest), 0))
    return mask


def _push(scene: Scene, thickness: Floats, *, reach: float = 38.0) -> None:
    """Move the brain from the skull inwards by a thickness (mm), less the deeper it lies."""
    depth = ndimage.gaussian_filter(scene.depth, 1.5)
    normal = np.stack(np.gradient(depth))
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 0.3)
    thick = np.clip(ndimage.gaussian_filter(thickness, 2.0), 0, 0.8 * reach)
    before = np.clip((scene.depth - thick) * reach / (reach - thick), 0.5, None)
    step = np.where(scene.inside & (scene.depth < reach), scene.depth - before, 0)
    step = np.clip(step, 0, None) * (thick > 0.3)
    at = np.indices(scene.labels.shape, dtype=np.float32) - normal * step
    moved = ndimage.map_coordinates(scene.labels, at, order=0, mode="nearest")
    scene.labels[...] = np.where(scene.inside & (step > 0) & (moved < 500) & (moved > 0),
                                 moved, scene.labels)  # fmt: skip


def _oedema(scene: Scene, mask: Mask, n_voxels: int, rng: np.random.Generator) -> None:
    """A rim of oedema around a haematoma, further into white matter."""
    order = ndimage.distance_transform_edt(~mask).astype(np.float32)
    order += 1.5 * smooth_noise(order.shape, 5.0, rng) + 3.0 * np.isin(scene.labels, CORTEX)
    allowed = _brain(scene) & (scene.truth == 0)
    rim = first(order, allowed, n_voxels)
    scene.truth[rim] = OEDEMA
    scene.blood[rim] = rng.uniform(17, 23) + 1.5 * smooth_noise(order.shape, 4.0, rng)[rim]
    scene.facts.append({"kind": "oedema", "ml": int(rim.sum()) / 1000})


def _density(scene: Scene, bleed: Bleed, mask: Mask, rng: np.random.Generator) -> Floats:
    """Return Hounsfield units of blood by kind and age."""
    least, most = {
        "subarachnoid": (46, 64), "intraventricular": (50, 74), "epidural": (60, 76),
    }.get(bleed.kind, (58, 76))  # fmt: skip
    least, most = {"subacute": (36, 46), "chronic": (12, 24)}.get(bleed.site, (least, most))
    shape = scene.labels.shape
    units = rng.uniform(least, most) + 2.5 * smooth_noise(shape, 4.0, rng)
    if bleed.kind == "intraparenchymal":
        units -= 7 * np.exp(-ndimage.distance_transform_edt(mask) / 2.0)
    if bleed.swirl:
        dark = smooth_noise(shape, 4.0, rng)
        units -= rng.uniform(18, 28) * np.clip(dark - 0.6, 0, 1)
    if bleed.site == "mixed":
        back = np.argwhere(mask)[:, 1]
        level = np.quantile(back, rng.uniform(0.35, 0.6)) + 2 * smooth_noise(shape, 8.0, rng)
        units = np.where(np.arange(shape[1])[:, None] > level, units - 38, units)
    if bleed.site == "layering":
        units += 6.0
    return np.asarray(units, dtype=np.float32)


def _brain(scene: Scene) -> Mask:
    """Return where there is brain, neither fluid nor planted."""
    labels = scene.labels
    no_brain = np.isin(labels, (*VENTRICLES, FLUID)) | (scene.truth > 0)
    return np.asarray((labels > 0) & (labels < 500) & ~no_brain & scene.inside)


def _part(scene: Scene, bleed: Bleed) -> Mask:
    """Return the part of the head a haemorrhage keeps to."""
    column = np.arange(scene.labels.shape[0], dtype=np.float32)[:, None, None]
    if bleed.site == "pons":
        return np.asarray(scene.labels == STEM)
    if bleed.site == "cerebellum":
        return np.isin(scene.labels, CEREBELLUM)
    away = (scene.middle - column) * (1 if bleed.side == "left" else -1)
    keep = np.asarray(away > 1.5)
    if bleed.kind == "intraparenchymal":
        keep &= ~np.isin(scene.labels, (*CEREBELLUM, STEM))
    return keep


def _supratentorial(scene: Scene) -> Mask:
    """Return what lies above the cerebellum's upper third, or in front of it."""
    below = np.argwhere(np.isin(scene.labels, CEREBELLUM))
    top, front = np.percentile(below[:, 2], 92), below[:, 1].max()
    _, y, z = _offsets(scene.labels.shape, np.zeros(3))
    return np.broadcast_to((z > top) | ((y > front + 4) & (z > top - 22)), scene.labels.shape)


def _centre(scene: Scene, bleed: Bleed, allowed: Mask, rng: np.random.Generator) -> Any:
    """Return the voxel at the middle of a haematoma."""
    if bleed.site in DEEP:
        own = np.argwhere(scene.labels == DEEP[bleed.site][bleed.side])
        return own.mean(0) + rng.normal(0, 1.5, 3)
    if bleed.site in ("pons", "cerebellum"):
        own = np.argwhere(allowed & _own_half(scene, bleed))
        inner = own[scene.depth[tuple(own.T)] >= np.median(scene.depth[tuple(own.T)])]
        centre = inner.mean(0)
        return np.add(centre, (0, 4, 0)) if bleed.site == "pons" else centre
    cerebrum = np.argwhere(np.isin(scene.labels, (2, 3, 41, 42)))
    low, high = cerebrum.min(0), cerebrum.max(0)
    y, z = low[1:] + (high - low)[1:] * (np.array(LOBES[bleed.site]) + rng.normal(0, 0.04, 2))
    deep = float(rng.uniform(14, 24))
    own = np.argwhere(allowed & (np.abs(scene.depth - deep) < 2))
    far = (
        np.abs(own[:, 1] - y)
        + np.abs(own[:, 2] - z)
        - 0.3 * np.abs(own[:, 0] - float(scene.middle.mean()))
    )
    return own[far.argmin()].astype(float)


def _own_half(scene: Scene, bleed: Bleed) -> Mask:
    """Return the side of a cerebellar haematoma; all of the brain-stem."""
    if bleed.site == "pons":
        return np.ones(scene.labels.shape, bool)
    return np.isin(scene.labels, (7, 8) if bleed.side == "left" else (46, 47))


def _cistern(scene: Scene, bleed: Bleed, fluid: Mask, rng: np.random.Generator) -> Any:
    """Return the voxel around which subarachnoid blood collects."""
    sign = -1 if bleed.side == "left" else 1
    if bleed.site == "basal":
        third = np.argwhere(scene.labels == 14).mean(0)
        return np.add(third, (0, 5, -16))
    if bleed.site == "sylvian":
        near = np.argwhere(scene.labels == DEEP["putamen"][bleed.side]).mean(0)
        return np.add(near, (15 * sign, 2, 2))
    wanted = np.argwhere(fluid & (scene.depth > 5) & (scene.depth < 14) & _supratentorial(scene))
    high = wanted[wanted[:, 2] > np.percentile(wanted[:, 2], 45)]
    return high[rng.integers(len(high))].astype(float)


def _angle(scene: Scene, bleed: Bleed, towards: NDArray[np.float64]) -> Floats:
    """Return the angle (radian) at the middle of the skull between a direction and each voxel."""
    heights = np.flatnonzero(np.isin(scene.labels, (2, 41)).any((0, 1)))
    centre = np.argwhere(scene.inside & (np.arange(scene.inside.shape[2]) >= heights[0])).mean(0)
    towards = towards / np.linalg.norm(towards) * ([-1, 1, 1] if bleed.side == "left" else 1)
    away = _offsets(scene.labels.shape, centre)
    length = np.sqrt(sum(np.asarray(axis) ** 2 for axis in away))
    along = sum(axis * float(part) for axis, part in zip(away, towards, strict=True))
    return np.asarray(np.arccos(np.clip(along / np.maximum(length, 1), -1, 1)), dtype=np.float32)


def _offsets(shape: tuple[int, ...], centre: Any) -> list[NDArray[np.float32]]:
    """Return sparse coordinates from a centre, voxels of 1 mm."""
    axes = [
        np.arange(n, dtype=np.float32) - np.float32(c) for n, c in zip(shape, centre, strict=True)
    ]
    return list(np.meshgrid(*axes, indexing="ij", sparse=True))
