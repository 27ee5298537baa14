"""Haemorrhage put into a real head CT: places are found from the scan, its grain is kept.

Nothing but bone, fluid and brain is told apart in a real scan: hemispheres by the middle of the
skull, ventricles as deep fluid, nuclei at their usual offsets from the ventricles (Talairach and
Tournoux 1988). Brain beneath blood at the skull is covered, not pushed aside.
"""

from copy import deepcopy

import nibabel as nib
import numpy as np
from bleeds_ct import FLUID, Bleed, Scene, plant, scene_of
from heads_ct import Head
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scanner_ct import AIR, MOST, slab, truth_on
from scipy import ndimage

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

_BONE, _FLUID_MOST = 220.0, 16.5
_SOFT = (-30.0, 110.0)  # neither fat nor air, nor a voxel that holds bone
#: Nuclei: FreeSurfer's number, mm from the middle of the lateral ventricles, radii.
_NUCLEI = {
    (12, 51): ((25.0, 12.0, -12.0), (5.0, 11.0, 8.0)),
    (10, 49): ((11.0, -3.0, -10.0), (6.0, 9.0, 7.0)),
}


def insert(
    img: Nifti1Image, bleeds: tuple[Bleed, ...], *, seed: int = 0, scene: Scene | None = None
) -> Head:
    """Return a real CT with haemorrhages put in, its truth and what was planted.

    Parameters
    ----------
    img : Nifti1Image
        Hounsfield units, a whole head.
    bleeds : tuple of Bleed
        A ventricle gets no more than it holds.
    seed : int
    scene : Scene, optional
        What :func:`scene_of_ct` found in it, where it was asked before.
    """
    rng = np.random.default_rng([seed, 89])
    scene = deepcopy(scene or scene_of_ct(img))
    for bleed in bleeds:
        plant(scene, bleed, rng)
    pull = np.linalg.inv(scene.affine) @ img.affine
    units = np.asarray(img.dataobj, dtype=np.float32)
    shape = (units.shape[0], units.shape[1], units.shape[2])
    planted = ndimage.gaussian_filter((scene.truth > 0).astype(np.float32), 0.5)
    level = ndimage.gaussian_filter(np.where(scene.truth > 0, scene.blood, 0), 0.5)
    share = np.clip(slab(planted, pull, shape), 0, 1)
    blood = slab(level.astype(np.float32), pull, shape) / np.maximum(share, 1e-3)
    mixed = np.where(share > 0.01, (1 - share) * units + share * (blood + _grain(units)), units)
    full = share > 0.9
    if full.any():
        seen, meant = float(np.median(mixed[full])), float(np.median(blood[full]))
        if abs(seen - meant) > 15:
            raise RuntimeError(f"the blood put in is at {seen:.0f} HU, not at {meant:.0f}.")
    data = np.clip(np.rint(mixed), AIR, MOST).astype(np.int16)
    truth = truth_on(scene, pull, shape)
    ml = {each["kind"]: each["ml"] for each in scene.facts}
    facts = {"ml": ml, "bleeds": scene.facts, "name": "+".join(ml), "lookalikes": [],
             "midline_shift": {"mm": None, "to": "none"}, "protocol": "real"}  # fmt: skip
    return Head(Nifti1Image(data, img.affine), Nifti1Image(truth, img.affine), facts)


def _grain(units: Floats) -> Floats:
    """Return the noise of soft tissue; beside bone too, whose edge is no noise."""
    soft = ((units > _SOFT[0]) & (units < _SOFT[1])).astype(np.float32)
    weight = np.maximum(ndimage.gaussian_filter(soft, 1.2), 1e-3)
    return np.asarray(soft * (units - ndimage.gaussian_filter(soft * units, 1.2) / weight))


def scene_of_ct(img: Nifti1Image) -> Scene:
    """Return a real CT as a scene at 1 mm, RAS: brain, fluid, ventricles, guessed nuclei."""
    upright = nib.funcs.as_closest_canonical(img)
    spacing = np.array(upright.header.get_zooms()[:3], dtype=float)
    shape = [int(n * size) for n, size in zip(upright.shape, spacing, strict=True)]
    data = ndimage.affine_transform(
        np.asarray(upright.dataobj, dtype=np.float32),
        np.diag(1 / spacing),
        0.0,
        shape,
        order=1,
        cval=AIR,
    )
    affine = upright.affine @ np.diag([*(1 / spacing), 1.0])
    inside = skull_interior(data)
    box = tuple(
        slice(max(0, side.start - 6), side.stop + 6)
        for side in ndimage.find_objects(inside.astype(np.uint8))[0]
    )
    data, inside = data[box], inside[box]
    affine[:3, 3] = apply_affine(affine, [side.start for side in box])
    depth = ndimage.distance_transform_edt(inside)
    fluid = inside & (ndimage.gaussian_filter(data, 1.3) < _FLUID_MOST)
    return scene_of(_labels(inside, fluid, depth), affine, inside)


def skull_interior(data: Floats) -> Mask:
    """Return what the skull holds: soft tissue that hangs together 6 mm from bone and air."""
    coarse = ndimage.gaussian_filter(data, 0.8)[::2, ::2, ::2]
    soft = (coarse > -15) & (coarse < 110)
    core = ndimage.binary_erosion(soft, iterations=3)
    pieces, n_pieces = ndimage.label(core)
    if n_pieces == 0:
        raise ValueError("img shows no soft tissue within a skull; give Hounsfield units.")
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    grown = ndimage.binary_dilation(pieces == sizes.argmax(), iterations=4) & (coarse < _BONE)
    grown = ndimage.binary_fill_holes(ndimage.binary_closing(grown, iterations=2))
    fine = np.kron(grown, np.ones((2, 2, 2), bool))[tuple(slice(n) for n in data.shape)]
    full = np.zeros(data.shape, bool)
    full[tuple(slice(n) for n in fine.shape)] = fine
    return np.asarray(full & (data < _BONE) & (data > -60))


def _labels(inside: Mask, fluid: Mask, depth: NDArray[np.float64]) -> NDArray[np.int16]:
    """Return FreeSurfer's numbers for what can be told, or guessed, inside a skull."""
    x, y, z = np.indices(inside.shape, sparse=True)
    middle = np.argwhere(inside & (depth > 25))
    column, row, height = np.median(middle, axis=0)
    left = np.broadcast_to(x < column, inside.shape)
    outer = (depth < 5) | (ndimage.distance_transform_edt(~fluid) < 3)
    labels = np.where(outer, np.where(left, 3, 42), np.where(left, 2, 41))
    low = (z < height - 32) & (y < row - 12)
    labels = np.where(low, np.where(left, 8, 47), labels)
    stem = (np.abs(x - column) < 13) & (np.abs(y - row + 14) < 13) & (z < height - 28)
    labels = np.where(stem & (labels > 0), 16, labels)
    labels = np.where(fluid, FLUID, labels)
    deep = ndimage.binary_opening(fluid & (depth > 24) & (z > height - 22))
    pieces, _ = ndimage.label(deep, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())
    deep = (pieces > 0) & (sizes[pieces] > 150)
    labels = np.where(deep, np.where(left, 4, 43), labels)
    third = fluid & (np.abs(x - column) < 4) & (np.abs(y - row) < 15) & (z < height - 8)
    labels = np.where(third & (z > height - 24), 14, labels)
    _nuclei(labels, np.argwhere(deep).mean(0), column)
    return np.where(inside, labels, 507).astype(np.int16)


def _nuclei(labels: NDArray[np.int64], ventricles: NDArray[np.float64], column: float) -> None:
    """Paint putamen and thalamus at their usual places, in brain only."""
    x, y, z = np.indices(labels.shape, sparse=True)
    for numbers, (offset, radii) in _NUCLEI.items():
        for number, sign in zip(numbers, (-1, 1), strict=True):
            a = (x - column - sign * offset[0]) / radii[0]
            b = (y - ventricles[1] - offset[1]) / radii[1]
            c = (z - ventricles[2] - offset[2]) / radii[2]
            spot = (a**2 + b**2 + c**2 < 1) & np.isin(labels, (2, 3, 41, 42))
            labels[spot] = number
