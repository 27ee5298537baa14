"""Brain mask and tissue of a T1w image that somebody else has made: fMRIPrep, sMRIPrep and such.

They lie in BIDS derivatives datasets, in the T1w image's own space (no entity ``space``), and are
used where they are of the very same image, voxel by voxel.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet import bids, io
from brainnet.bids import Scan
from brainnet.bids.names import INDEX_ENTITIES, shown
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.spaces import TISSUES

Paths = Mapping[str, Path]
#: largest distance between the corners of two grids that are one, mm
SAME_MM = 0.01
#: how far a probability may leave 0 to 1
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Given:
    """What was found of one T1w image.

    Attributes
    ----------
    mask : pathlib.Path or None
        ``*_desc-brain_mask``.
    tissue : mapping or None
        ``*_label-GM_probseg`` and its two fellows, by label.
    """

    mask: Path | None = None
    tissue: Paths | None = None


def check(datasets: Sequence[Path]) -> None:
    """Raise for a folder that is no derivatives dataset; nothing of its images is read.

    Raises
    ------
    brainnet.io.DataError
        Not a folder, no ``dataset_description.json`` in it, or one of a raw dataset.
    """
    for folder in map(Path, datasets):
        if not folder.is_dir():
            raise io.DataError(
                folder, "is not a folder", "Give the top of a derivatives dataset to --derivatives"
            )
        path = folder / "dataset_description.json"
        if not path.exists():
            raise io.DataError(
                folder,
                "has no dataset_description.json, which says what made these derivatives",
                "Give the top of a derivatives dataset to --derivatives, or write the file (Name, "
                "BIDSVersion, DatasetType, GeneratedBy)",
            )
        if io.load_json(path).get("DatasetType", "derivative") != "derivative":
            raise io.DataError(
                path, "is not of a derivatives dataset", "Give another folder to --derivatives"
            )


def find(scan: Scan, datasets: Sequence[Path], steps: Steps) -> Given:
    """Return what the first dataset that has something of a T1w image has of it.

    Parameters
    ----------
    scan : brainnet.bids.Scan
        The T1w image.
    datasets : sequence of pathlib.Path
        Derivatives datasets, as `check` wants them.
    steps : Steps
        Told what was not found.

    Raises
    ------
    brainnet.io.DataError
        As `check`, or the participant's folder there cannot be used.
    """
    check(datasets)
    for folder in map(Path, datasets):
        if not (folder / f"sub-{scan.subject}").is_dir():
            continue
        found = bids.index(folder, subjects=[scan.subject], derivative=True)
        mine = [each for each in found if each.datatype == "anat" and _is_of(each, scan)]
        mask = _one(mine, "mask", desc="brain")
        tissue = {label: _one(mine, "probseg", label=label) for label in TISSUES}
        maps = {label: each for label, each in tissue.items() if each is not None}
        if mask is None and not maps:
            continue
        if maps and len(maps) < len(TISSUES):
            steps.warn(
                f"{_maker(folder)} has only {', '.join(maps)} of {scan.path.name}: all three "
                "tissues were segmented here."
            )
        if mask is None:
            steps.warn(f"{_maker(folder)} has no brain mask of {scan.path.name}: it was made here.")
        used = maps if len(maps) == len(TISSUES) else {}
        for each in filter(None, [mask, *used.values()]):
            _doubt(each, scan, steps)
        paths = {label: each.path for label, each in used.items()}
        return Given(None if mask is None else mask.path, paths or None)
    if datasets:
        steps.warn(
            f"The derivatives given have neither brain mask nor tissue of {scan.path.name} in its "
            "own space: both were made here."
        )
    return Given()


def _is_of(found: Scan, scan: Scan) -> bool:
    """Say whether a derivative is of that very image: equal but for what says what it is."""
    kind = ("desc", "label")
    return _plain({k: v for k, v in found.entities.items() if k not in kind}) == _plain(
        scan.entities
    )


def _plain(entities: Mapping[str, str]) -> dict[str, str]:
    """Return entities with numbers as such: run-01 is run-1."""
    return {
        key: str(int(value)) if key in INDEX_ENTITIES and value.isdigit() else value
        for key, value in entities.items()
    }


def _doubt(found: Scan, scan: Scan, steps: Steps) -> None:
    """Pass on, once for all maps, that brainnet's segmentation is not to be trusted."""
    quality = found.metadata.get("Quality")
    if not isinstance(quality, Mapping) or quality.get("Trusted") is not False:
        return
    reasons = quality.get("Reasons")
    why = "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""
    steps.warn(
        f"The segmentation given of {scan.path.name} is not to be trusted by its own record: "
        f"{shown(why) or 'its quality score is too low'}. Look at mask and tissue, or leave it out "
        "of --derivatives."
    )


def _one(found: Sequence[Scan], suffix: str, **entities: str) -> Scan | None:
    """Return the image with those entities and no other, None where there is none."""
    for each in found:
        own = {key: each.entities[key] for key in ("desc", "label") if key in each.entities}
        if each.suffix == suffix and own == entities:
            each.check()
            return each
    return None


def _maker(folder: Path) -> str:
    """Return what made a derivatives dataset, as its description says."""
    description = io.load_json(folder / "dataset_description.json")
    programs = description.get("GeneratedBy")
    first = programs[0] if isinstance(programs, list) and programs else {}
    words = [first.get("Name"), first.get("Version")] if isinstance(first, dict) else []
    return " ".join(str(word) for word in words if word) or str(description.get("Name", "given"))


def maker_of(path: Path) -> str:
    """Return what made a file of a derivatives dataset."""
    for folder in path.absolute().parents:
        if (folder / "dataset_description.json").exists():
            return shown(_maker(folder))
    return "an unknown program"


def take_mask(scan: Scan, given: Path, output: Path, steps: Steps) -> None:
    """Run the step that takes a given brain mask."""
    steps.run(
        "brain mask as given",
        copy_mask,
        inputs={"t1w": scan.path, "mask": given},
        outputs={"mask": output},
        parameters={"maker": maker_of(given)},
    )


def take_tissue(scan: Scan, given: Paths, mask: Path, outputs: Paths, steps: Steps) -> None:
    """Run the step that takes given tissue maps, within the brain mask."""
    steps.run(
        "tissue as given",
        copy_tissue,
        inputs={"t1w": scan.path, "mask": mask, **given},
        outputs=outputs,
        parameters={"maker": maker_of(given["GM"])},
    )


def copy_mask(inputs: Paths, outputs: Paths, *, maker: str) -> dict[str, dict[str, Any]]:
    """Write the given mask on the T1w image's grid."""
    t1w_img = io.load_img(inputs["t1w"], ndim=3)
    inside = on_grid_of(t1w_img, io.load_img(inputs["mask"], ndim=3), inputs["mask"]) > 0.5
    if not inside.any():
        raise io.DataError(inputs["mask"], "masks no voxel", "Leave it out, or make it again")
    io.save_img(Nifti1Image(inside.astype(np.uint8), t1w_img.affine), outputs["mask"])
    volume = float(inside.sum() * np.abs(np.linalg.det(t1w_img.affine[:3, :3]))) / 1000
    method = f"precomputed by {maker}"
    return {"mask": {"Type": "Brain", "Method": method, "VolumeMillilitres": volume}}


def copy_tissue(inputs: Paths, outputs: Paths, *, maker: str) -> dict[str, dict[str, Any]]:
    """Write the given maps on the T1w image's grid, 0 outside the brain mask."""
    t1w_img = io.load_img(inputs["t1w"], ndim=3)
    inside = np.asarray(io.load_img(inputs["mask"], ndim=3).dataobj) > 0
    for label in TISSUES:
        path = inputs[label]
        data = on_grid_of(t1w_img, io.load_img(path, ndim=3), path)
        low, high = float(data.min()), float(data.max())
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
            raise io.DataError(
                path,
                f"holds no probabilities: its values go from {low:.4g} to {high:.4g}",
                "Give probabilities from 0 to 1, or leave the tissue out of --derivatives",
            )
        kept = np.where(inside, np.clip(data, 0, 1), 0).astype(np.float32)
        io.save_img(Nifti1Image(kept, t1w_img.affine), outputs[label])
    return {label: {"Method": f"precomputed by {maker}"} for label in TISSUES}


def on_grid_of(t1w_img: Nifti1Image, img: Nifti1Image, path: Path) -> NDArray[np.float32]:
    """Return the voxels of a derivative in the order of the T1w image's.

    Programs such as fMRIPrep turn images about so that their axes point to the right, to the
    front and up. That is undone; voxels are never interpolated.

    Raises
    ------
    brainnet.io.DataError
        If the two do not have the same voxels.
    """
    there = nib.orientations.io_orientation(img.affine)
    wanted = nib.orientations.io_orientation(t1w_img.affine)
    turned = img.as_reoriented(nib.orientations.ornt_transform(there, wanted))
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.asarray(t1w_img.shape) - 1)
    same = turned.shape == t1w_img.shape
    if same:
        at = [nib.affines.apply_affine(each.affine, corners) for each in (turned, t1w_img)]
        same = bool(np.abs(at[0] - at[1]).max() <= SAME_MM)
    if not same:
        sizes = " and ".join(" x ".join(map(str, each.shape)) for each in (img, t1w_img))
        raise io.DataError(
            path,
            f"is not on the grid of the T1w image ({sizes} voxels)",
            "Give derivatives of this very image in its own space, or leave them out of "
            "--derivatives",
        )
    return np.asarray(turned.dataobj, dtype=np.float32)
