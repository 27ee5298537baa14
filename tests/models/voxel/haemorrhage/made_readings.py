"""Readings made from label maps: a CT of given densities, its truth, findings measured on it."""

from types import SimpleNamespace

import numpy as np
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from brainnet.models.voxel.haemorrhage.location import kinds_of
from brainnet.models.voxel.labels import load_labels

UNITS = {0: -1000, 515: 1000, 514: 450, 516: 450, 507: -80, 24: 8, 4: 8, 43: 8, 14: 8, 15: 8}
KINDS = ("intraparenchymal", "intraventricular", "subarachnoid", "subdural", "epidural")
NUMBERS = {kind: 11 + place for place, kind in enumerate(KINDS)}


def in_table(label_map):
    """FreeSurfer's numbers in those of the table; what else lies in the skull is fluid."""
    table = load_labels("haemorrhage")
    names = table.regions
    found = np.zeros(label_map.shape, dtype=np.int16)
    for index, sources in zip(names["index"], names["sources"], strict=True):
        wanted = (
            [int(each) for each in str(sources).split(",")]
            if isinstance(sources, str)
            else (sources)
        )
        found[np.isin(label_map, wanted)] = index
    inside = ndimage.binary_fill_holes((label_map > 0) & (label_map < 500))
    found[inside & (found == 0)] = 6
    return found


def measured(labels, lesions, affine):
    """Findings as far as they are used here."""
    voxel = abs(np.linalg.det(affine[:3, :3])) / 1000
    kinds = kinds_of(labels, lesions)

    def volume(value):
        value = float(value)
        return {"value": value, "low": 0.9 * value, "high": 1.1 * value}

    own = {n: float((lesions == n).sum() * voxel) for n in kinds}
    by_kind = {k: sum(own[n] for n in own if kinds[n] == k) for k in KINDS}
    return {
        "volumes_ml": {k: volume(v) for k, v in by_kind.items()}
        | {"total": volume(sum(own.values())), "oedema": volume((labels == 16).sum() * voxel)},
        "lesions": [
            {"number": n, "kind": kinds[n], "volume_ml": volume(own[n]), "depth_mm": 20.0,
             "compartment": "deep"}
            for n in own
        ],
        "midline_shift": {"mm": 2.0, "to": "left", "slice": 3},
        "ventricles": {"graeb": 0, "evans_index": None},
        "cisterns": {"open_ml": 9.0},
        "oedema_ratio": None,
    }  # fmt: skip


def reading(label_map, affine, balls=(), *, matrix=None, voxels=(1.0, 1.0, 1.0), noise=4.0, seed=0):
    """A scan of a head with balls of blood: ``(kind, centre in world mm, ml)`` each.

    ``matrix`` maps points of the scan's world to that of the label map: the head was moved.
    """
    matrix = np.eye(4) if matrix is None else matrix
    shape = tuple(int(n / v) for n, v in zip(label_map.shape, voxels, strict=True))
    grid = affine @ np.diag([*voxels, 1.0])
    index = np.linalg.inv(affine) @ matrix @ grid
    moved = ndimage.affine_transform(label_map, index[:3, :3], index[:3, 3], shape, order=0)
    labels = in_table(moved)
    lesions = np.zeros(shape, dtype=np.int16)
    table = np.full(int(label_map.max()) + 1, 35.0)
    for number, units in UNITS.items():
        if number < table.size:
            table[number] = units
    units = table[moved].astype(np.float32)
    places = np.indices(shape, dtype=np.float32).reshape(3, -1).T
    world = apply_affine(matrix @ grid, places)
    for number, (kind, centre, ml) in enumerate(balls, 1):
        radius = 10 * (0.75 * ml / np.pi) ** (1 / 3)
        ball = (((world - centre) ** 2).sum(axis=1) <= radius**2).reshape(shape)
        labels[ball], lesions[ball], units[ball] = NUMBERS[kind], number, 65.0
    rng = np.random.default_rng(seed)
    units += noise * rng.standard_normal(shape).astype(np.float32)
    return SimpleNamespace(
        img=Nifti1Image(units, grid), labels_img=Nifti1Image(labels, grid),
        lesions_img=Nifti1Image(lesions, grid), findings=measured(labels, lesions, grid),
    )  # fmt: skip


def planted(label_map, at, ml, *, aside=0.0):
    """Labels and lesions of a head that a ball of blood at a voxel (1 mm) pushes apart.

    What it displaces goes outward, less so near the skull; ``aside`` mm more go to the right.
    """
    inside = ndimage.binary_fill_holes((label_map > 0) & (label_map < 500))
    depth = ndimage.distance_transform_edt(inside)
    radius = 10 * (0.75 * ml / np.pi) ** (1 / 3)
    grid = np.indices(label_map.shape, dtype=np.float32)
    apart = grid - np.array(at, dtype=np.float32)[:, None, None, None]
    away = np.sqrt((apart**2).sum(axis=0))
    kept = np.clip(away**3 - radius**3, 0, None) ** (1 / 3)
    moved = apart * ((kept / np.maximum(away, 1e-3) - 1) * np.clip(depth / 15, 0, 1))
    moved[0] -= aside * np.clip(depth / 40, 0, 1)
    moved[:, away < radius] = 0
    source = np.rint(grid + moved).astype(int)
    source = [np.clip(each, 0, n - 1) for each, n in zip(source, label_map.shape, strict=True)]
    labels = in_table(np.where(inside, label_map[tuple(source)], label_map))
    ball = (away <= radius) & inside
    labels[ball] = 11
    return labels, ball.astype(np.int16)
