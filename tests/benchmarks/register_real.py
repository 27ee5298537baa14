"""Real heads: to the template by tissue overlap, and BOLD and simulated PET to T1w.

What is planted on a real image is a rigid matrix in its header. A simulated image's truth is known;
the real BOLD's is not: there, each tool is held against what it found itself without the plant.
"""

from argparse import Namespace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import heads
import nibabel as nib
import numpy as np
import peers
from nibabel.nifti1 import Nifti1Image
from register_deformable import tell
from register_matrices import ours, summary, widened

from brainnet import atlas
from brainnet.imaging import intensity, mask, tissue, transforms
from brainnet.simulate.disease import uptake_by_label
from brainnet.simulate.pet import simulate_pet

Row = dict[str, Any]
SUBJECTS = ("01", "02")
_BOLD = {"01": "oneback", "02": "rest"}


class Subject(NamedTuple):
    """A real head after bias correction, its brain, tissues, and BOLD averaged over time."""

    t1w_img: Nifti1Image
    mask_img: Nifti1Image
    tissues: dict[str, Nifti1Image]
    bold_img: Nifti1Image


@cache
def load(bids: Path, subject: str) -> Subject:
    """Mask, correct and segment a T1w image as the anatomical workflow does."""
    folder = bids / f"sub-{subject}"
    raw = nib.nifti1.load(folder / "anat" / f"sub-{subject}_T1w.nii.gz")
    img = Nifti1Image(raw.get_fdata(dtype=np.float32), raw.affine)
    mask_img = mask.brain_mask(img)
    t1w_img = intensity.correct_bias(img, mask_img)
    name = f"sub-{subject}_task-{_BOLD[subject]}_bold.nii.gz"
    bold = nib.nifti1.load(folder / "func" / name)
    mean = bold.get_fdata(dtype=np.float32).mean(axis=3)
    tissues = tissue.segment_tissue(t1w_img, mask_img)
    print(f"  sub-{subject}: masked, corrected, segmented", flush=True)
    return Subject(t1w_img, mask_img, tissues, Nifti1Image(mean, bold.affine))


def brain_of(subject: Subject) -> Nifti1Image:
    """Return the brain alone."""
    inside = np.asarray(subject.mask_img.dataobj) > 0
    data = np.where(inside, subject.t1w_img.get_fdata(dtype=np.float32), 0)
    return Nifti1Image(data.astype(np.float32), subject.t1w_img.affine)


def template(options: Namespace) -> Row:
    """Register both heads to the template with brainnet and ANTs' default SyN."""
    target = atlas.template()
    aims = tissue.segment_tissue(target, atlas.template("mask"))
    rows: dict[str, list[Row]] = {}
    for name in SUBJECTS:
        subject = load(options.bids, name)
        brain = brain_of(subject)
        for tool, ways in (
            ("brainnet", peers.ours(target, brain, quality="standard")),
            ("ANTs SyN", peers.ants_deformable(target, brain, None)),
        ):
            row = {"seconds": ways.seconds} | _tissue_overlap(aims, subject, ways)
            rows.setdefault(tool, []).append(row)
            tell(f"template <- sub-{name}", tool, row)
    return {
        tool: {key: float(np.mean([row[key] for row in each])) for key in each[0]}
        for tool, each in rows.items()
    } | {"subjects": {tool: each for tool, each in rows.items()}}


def _tissue_overlap(
    aims: dict[str, Nifti1Image], subject: Subject, ways: peers.Ways
) -> dict[str, float]:
    """Return Dice of grey and white matter, carried as fractions and cut at half."""
    found = {}
    for name in ("GM", "WM"):
        carried = transforms.apply_displacement(subject.tissues[name], ways.forward_img)
        aim, got = (img.get_fdata() > 0.5 for img in (aims[name], carried))
        found[name] = heads.dice(aim, got, (1,))[1]
    volumes = [transforms.jacobian(img).get_fdata().min() for img in ways[:2]]
    return found | {"least_jacobian": float(min(volumes))}


def bold(options: Namespace) -> Row:
    """Align real and simulated BOLD to T1w, planted rigid matrices in the header."""
    rows: dict[str, list[Row]] = {}
    apart = {}
    for name in SUBJECTS:
        subject = load(options.bids, name)
        references = {tool: run(subject, subject.bold_img)[1] for tool, run in TOOLS.items()}
        for tool in list(TOOLS)[1:]:
            distance = heads.matrix_error(
                references["brainnet"], references[tool], subject.mask_img
            )
            apart[f"sub-{name}, {tool}"] = distance
        for seed in range(options.plants):
            plant = heads.planted("rigid", seed, heads.centre_of(subject.mask_img))
            truths = {tool: plant @ each for tool, each in references.items()}
            moved = Nifti1Image(subject.bold_img.dataobj, plant @ subject.bold_img.affine)
            _compare(rows, subject, moved, truths, f"real BOLD, sub-{name}")
            moved = bold_like(subject, plant, seed)
            truths = dict.fromkeys(TOOLS, plant)
            _compare(rows, subject, moved, truths, f"simulated BOLD, sub-{name}")
    return summary(rows) | {"mm from brainnet on real BOLD": apart}


def pet(options: Namespace) -> Row:
    """Align PET simulated on the real T1w, planted rigid matrices in the header."""
    rows: dict[str, list[Row]] = {}
    labels = atlas.load("DesikanKilliany").labels_img
    for name in SUBJECTS:
        subject = load(options.bids, name)
        ways = peers.ours(atlas.template(res=2), brain_of(subject), quality="draft")
        native = transforms.apply_displacement(labels, ways.inverse_img, order=0)
        native = Nifti1Image(native.get_fdata().astype(np.int32), native.affine)
        for seed in range(options.plants):
            pet_img, truth = simulate_pet(
                subject.t1w_img,
                native,
                uptake_by_label("CN"),
                tissue_imgs=subject.tissues,
                seed=seed,
            )
            plant = heads.planted("rigid", seed, heads.centre_of(subject.mask_img))
            planted = dict.fromkeys(TOOLS, plant @ np.linalg.inv(truth.pet_to_t1w))
            moved = Nifti1Image(pet_img.dataobj, plant @ pet_img.affine)
            _compare(rows, subject, moved, planted, f"simulated PET, sub-{name}")
    return summary(rows)


def bold_like(subject: Subject, matrix: heads.Array, seed: int) -> Nifti1Image:
    """Return an image of BOLD's contrast on a 3 mm grid, moved by a matrix."""
    grey, white, fluid = (subject.tissues[name].get_fdata() for name in ("GM", "WM", "CSF"))
    outside = np.asarray(subject.mask_img.dataobj) == 0
    outer = subject.t1w_img.get_fdata() * outside
    data = 100 * grey + 82 * white + 125 * fluid + 20 * outer / np.percentile(outer, 99)
    moved, affine = heads.carry(data, subject.t1w_img.affine, matrix, 3.0)
    return Nifti1Image(heads.noisy(moved, np.random.default_rng(seed), 4.0), affine)


def _ours(subject: Subject, moving: Nifti1Image) -> tuple[float, heads.Array]:
    """Align rigidly with brainnet."""
    return ours(subject.t1w_img, moving, subject.mask_img, "rigid")


def _ants(subject: Subject, moving: Nifti1Image) -> tuple[float, heads.Array]:
    """Align rigidly with ANTs, whole head."""
    return peers.ants_affine(subject.t1w_img, moving, kind="Rigid")


def _ants_masked(subject: Subject, moving: Nifti1Image) -> tuple[float, heads.Array]:
    """Align rigidly with ANTs, the brain and a rim."""
    wide = widened(subject.mask_img)
    return peers.ants_affine(subject.t1w_img, moving, kind="Rigid", mask=wide)


TOOLS = {"brainnet": _ours, "ANTs rigid": _ants, "ANTs rigid, masked": _ants_masked}


def _compare(
    rows: dict[str, list[Row]],
    subject: Subject,
    moving: Nifti1Image,
    truths: dict[str, heads.Array],
    what: str,
) -> None:
    """Run every tool on one pair and note its time and error."""
    for tool, run in TOOLS.items():
        seconds, found = run(subject, moving)
        error = heads.matrix_error(found, truths[tool], subject.mask_img)
        row = {"contrast": what.split(",")[0], "seconds": seconds, "error_mm": error}
        rows.setdefault(tool, []).append(row)
        tell(what, tool, row)
