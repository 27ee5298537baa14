"""Preprocessed images in template space, beside those in T1w space, which networks come from.

All transforms on the way are chained before a voxel is read: a volume of a BOLD run goes through
the deformation, the registration to the T1w image and its own head motion in one interpolation.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet import atlas as atlases
from brainnet import io
from brainnet.bids import Scan, derivative_path
from brainnet.imaging import resample
from brainnet.signals import extract
from brainnet.workflows.choices import OutputSpace, output_spaces
from brainnet.workflows.engine.step import sidecar_path
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.settings import Settings
from brainnet.workflows.transforms import load_matrices

Paths = Mapping[str, Path]
TISSUES = ("GM", "WM", "CSF")
_RESOLUTION = {
    "1": "1 mm grid of the template",
    "2": "2 mm grid of the template",
    "native": "field of view of the template at the voxel size of the image in T1w space",
}


def carry_anatomy(
    scan: Scan, paths: Paths, out_dir: Path, settings: Settings, steps: Steps
) -> None:
    """Run the steps that carry T1w, brain mask and tissue to each output space.

    Where a space has no resolution of its own, they have that of the registration, in which the
    T1w image stands there already.
    """
    own = [OutputSpace(each.name, None if each.voxel_size is None else each.res)
           for each in output_spaces(settings.output_spaces)]  # fmt: skip
    for space in dict.fromkeys(own):
        outputs = {
            "mask": _name(out_dir, scan, space, "mask", desc="brain"),
            **{each: _name(out_dir, scan, space, "probseg", label=each) for each in TISSUES},
        }
        if space.res is not None:
            outputs["t1w"] = _name(out_dir, scan, space, "T1w", desc="preproc")
        steps.run(
            "T1w in template space",
            resample_anatomy,
            inputs={name: paths[name] for name in ("t1w", "mask", "to_mni", *TISSUES)},
            outputs=outputs,
            parameters={"res": space.res},
        )


def carry_bold(
    scan: Scan,
    paths: Paths,
    anatomy: Paths,
    out_dir: Path,
    settings: Settings,
    steps: Steps,
    *,
    facts: Mapping[str, Any],
) -> None:
    """Run the steps that carry a BOLD run to each output space; ``facts`` are its metadata."""
    for space in output_spaces(settings.output_spaces):
        steps.run(
            "BOLD in template space",
            resample_bold,
            inputs={
                "bold": scan.path,
                "motion": paths["motion"],
                "to_t1w": paths["to_t1w"],
                "to_mni": anatomy["to_mni"],
                "mask": anatomy["mask"],
            },
            outputs={
                "bold": _name(out_dir, scan, space, "bold", desc="preproc"),
                "mask": _name(out_dir, scan, space, "mask", desc="brain"),
            },
            parameters={"res": space.res, "facts": dict(facts)},
        )


def carry_pet(
    scan: Scan,
    paths: Paths,
    anatomy: Paths,
    out_dir: Path,
    settings: Settings,
    steps: Steps,
    *,
    simulated: bool,
    voxel_size: float,
) -> None:
    """Run the steps that carry SUVR to each output space."""
    for space in output_spaces(settings.output_spaces):
        steps.run(
            "PET in template space",
            resample_suvr,
            inputs={
                "scan": scan.path,
                "pet": paths["reference"],
                "suvr": paths["suvr"],
                "to_t1w": paths["to_t1w"],
                "to_mni": anatomy["to_mni"],
                "mask": anatomy["mask"],
            },
            outputs={
                "suvr": _name(out_dir, scan, space, "pet", desc="suvr"),
                "mask": _name(out_dir, scan, space, "mask", desc="brain"),
            },
            parameters={"res": space.res, "voxel_size": voxel_size, "simulated": simulated},
        )


def _name(out_dir: Path, scan: Scan, space: OutputSpace, suffix: str, **entities: str) -> Path:
    """Name an image in an output space."""
    return derivative_path(
        out_dir, scan, suffix=suffix, extension=".nii.gz", **space.entities, **entities
    )


def resample_anatomy(
    inputs: Paths, outputs: Paths, *, res: str | None
) -> dict[str, dict[str, Any]]:
    """Carry T1w (brain alone), brain mask and tissue through the deformation."""
    field_img = io.load_img(inputs["to_mni"], ndim=5)
    grid = _first_volume(field_img) if res is None else template_grid(res, 0.0)
    mask_img = io.load_img(inputs["mask"], ndim=3)
    inside = _save_mask(mask_img, grid, field_img, outputs["mask"])
    for label in TISSUES:
        carried = resample.resample(
            io.load_img(inputs[label], ndim=3), grid, displacement_img=field_img, order=1
        )
        io.save_img(carried, outputs[label])
    if "t1w" in outputs:
        img = io.load_img(inputs["t1w"], ndim=3)
        carried = resample.resample(img, grid, displacement_img=field_img, order=3)
        brain = np.where(inside, np.asarray(carried.dataobj), 0)
        io.save_img(Nifti1Image(brain, grid.affine, carried.header), outputs["t1w"])
    described = {key: _about(res) for key in outputs}
    described["mask"] |= {"Type": "Brain"}
    if "t1w" in outputs:
        described["t1w"] |= {"SkullStripped": True}
    return described


def _save_mask(
    mask_img: Nifti1Image,
    grid: Nifti1Image,
    field_img: Nifti1Image,
    path: Path,
    *,
    measured: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Write a T1w image's brain mask on another grid without what was not measured; return it."""
    carried = resample.resample(mask_img, grid, displacement_img=field_img, order=0)
    inside = np.asarray(carried.dataobj) > 0
    if measured is not None:
        inside &= measured
    io.save_img(Nifti1Image(inside.astype(np.uint8), grid.affine, grid.header), path)
    return inside


def _about(res: str | None) -> dict[str, Any]:
    """Return the metadata that an image with the entity ``res`` must have."""
    return {} if res is None else {"Resolution": _RESOLUTION[res]}


def resample_bold(
    inputs: Paths, outputs: Paths, *, res: str | None, facts: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Carry every volume to template space in one cubic interpolation; mark what was measured."""
    bold_img = io.load_img(inputs["bold"], ndim=4)
    field_img = io.load_img(inputs["to_mni"], ndim=5)
    grid = template_grid(res, voxel_size(bold_img))
    _check_size(grid, bold_img.shape[3], inputs["bold"])
    matrices = load_matrices(inputs["motion"]) @ load_matrices(inputs["to_t1w"])[0]
    moved = resample.resample_series(bold_img, grid, matrices, displacement_img=field_img)
    io.save_img(with_repetition_time(moved, facts["RepetitionTime"]), outputs["bold"])
    measured = resample.coverage_mask(bold_img, grid, matrices, displacement_img=field_img)
    _save_mask(
        io.load_img(inputs["mask"], ndim=3), grid, field_img, outputs["mask"],
        measured=np.asarray(measured.dataobj) > 0,
    )  # fmt: skip
    return {
        "bold": {**facts, "SkullStripped": False} | _about(res),
        "mask": {"Type": "Brain"} | _about(res),
    }


def _check_size(grid: Nifti1Image, n_timepoints: int, path: Path) -> None:
    """Refuse a series that could not be read again."""
    n_bytes = 4 * int(np.prod(grid.shape[:3])) * n_timepoints
    if n_bytes > io.MAX_IMAGE_BYTES:
        raise io.DataError(
            path,
            f"would take {n_bytes / 1e9:.0f} GB on the grid asked for, of {n_timepoints} volumes "
            f"of {' x '.join(map(str, grid.shape[:3]))} voxels",
            "Ask for fewer voxels in --output-spaces, such as res-2",
        )


def resample_suvr(
    inputs: Paths, outputs: Paths, *, res: str | None, voxel_size: float, simulated: bool
) -> dict[str, dict[str, Any]]:
    """Carry PET to template space in one interpolation, in the units of the SUVR image."""
    known = io.load_json(sidecar_path(inputs["suvr"]))
    facts = {key: known[key] for key in ("ReferenceRegion", "ReferenceMean", "Units")}
    field_img = io.load_img(inputs["to_mni"], ndim=5)
    grid = template_grid(res, voxel_size)
    matrix = load_matrices(inputs["to_t1w"])[0]
    scan_img = io.load_img(inputs["scan"], ndim=(3, 4))
    covered = resample.coverage_mask(scan_img, grid, matrix, displacement_img=field_img)
    measured = np.asarray(covered.dataobj) > 0
    moved = resample.resample(
        io.load_img(inputs["pet"], ndim=3), grid, matrix, displacement_img=field_img, order=3
    )
    ratio = np.where(measured, moved.get_fdata(dtype=np.float32) / facts["ReferenceMean"], 0)
    io.save_img(Nifti1Image(ratio.astype(np.float32), grid.affine, grid.header), outputs["suvr"])
    _save_mask(
        io.load_img(inputs["mask"], ndim=3), grid, field_img, outputs["mask"], measured=measured
    )
    marked = _about(res) | ({"Simulated": True} if simulated else {})
    return {
        "suvr": facts | {"SkullStripped": False} | marked,
        "mask": {"Type": "Brain"} | marked,
    }


def template_grid(res: str | None, own_size: float) -> Nifti1Image:
    """Return the grid of an output space.

    Parameters
    ----------
    res : {"1", "2", "native"}, optional
        Resolution; "native" and None take ``own_size``.
    own_size : float
        Voxel size of the image itself, mm.

    Returns
    -------
    3-D image
        The template's own grid, or one of ``own_size`` over its field of view.

    Examples
    --------
    >>> template_grid("2", 3.0).shape, template_grid("native", 3.0).shape
    ((97, 115, 97), (65, 77, 65))
    """
    if res in ("1", "2"):
        return atlases.template("mask", res=int(res))
    return resample.target_grid(atlases.template("mask", res=1), own_size)


def voxel_size(img: Nifti1Image) -> float:
    """Return the edge length, mm, of a cube of the volume of a voxel.

    Examples
    --------
    >>> voxel_size(Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.diag([2.0, 2.0, 2.0, 1.0])))
    2.0
    """
    return float(np.prod(img.header.get_zooms()[:3]) ** (1 / 3))


def with_repetition_time(img: Nifti1Image, t_r: float) -> Nifti1Image:
    """Write the sidecar's repetition time, s, over that of the raw header, and return the image.

    Examples
    --------
    >>> img = Nifti1Image(np.zeros((2, 2, 2, 5), np.float32), np.eye(4))
    >>> with_repetition_time(img, 2.0).header.get_zooms()[3].item()
    2.0
    """
    img.header.set_zooms((*img.header.get_zooms()[:3], t_r))
    img.header.set_xyzt_units("mm", "sec")
    return img


def shown_share(
    inputs: Paths, regions: atlases.Atlas, grid_img: Nifti1Image
) -> NDArray[np.float64]:
    """Return the share of each whole region that a grid over the T1w image holds.

    Coverage counted on such a grid is relative to this: neither what the T1w image's field of
    view cuts off nor what the box around the brain leaves out has a voxel there.

    Parameters
    ----------
    inputs : mapping of str to pathlib.Path
        ``dseg``, the atlas on the T1w image's grid, and ``volumes``, the table that says how much
        of each region lies in that image's field of view.
    regions : brainnet.atlas.Atlas
        The regions, in the order of the table.
    grid_img : 3-D or 4-D image
        Only its first three dimensions and its affine are used.

    Returns
    -------
    (n_regions,) array
        In 0..1; 0 where it is not known.
    """
    dseg_img = io.load_img(inputs["dseg"], ndim=3)
    everywhere = Nifti1Image(np.ones(grid_img.shape[:3], np.uint8), grid_img.affine)
    box_img = resample.resample_labels(everywhere, dseg_img)
    _, in_box = extract.region_values(box_img, dseg_img, regions.indices, mask_img=box_img)
    in_view = io.load_table(inputs["volumes"], required=("name", "coverage"))["coverage"]
    share: NDArray[np.float64] = in_box * np.nan_to_num(in_view.to_numpy(np.float64))
    return share


def _first_volume(field_img: Nifti1Image) -> Nifti1Image:
    """Return the grid of a displacement field."""
    return Nifti1Image(np.zeros(field_img.shape[:3], np.uint8), field_img.affine, None)
