"""Static PET to SUVR in T1w space, regional values, voxel samples and metabolic network."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet import io
from brainnet.bids import Scan, derivative_path, uri
from brainnet.imaging import resample
from brainnet.signals import extract
from brainnet.signals import suvr as uptake
from brainnet.workflows import networks, spaces
from brainnet.workflows.coregistration import coregister
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.networks import load_atlas
from brainnet.workflows.settings import Settings
from brainnet.workflows.transforms import load_matrices

Paths = Mapping[str, Path]
#: grid of the SUVR image in T1w space, mm
VOXEL_SIZE = 2.0


def run(
    scan: Scan, anatomy: Paths, out_dir: Path, settings: Settings, steps: Steps
) -> dict[str, Path]:
    """Process one PET image against its anatomy; return the paths of what was made, by name."""
    paths = _paths(scan, out_dir, settings)
    simulated = bool(scan.metadata.get("Simulated", False))
    steps.run(
        "static PET",
        average_frames,
        inputs={"pet": scan.path},
        outputs={"reference": paths["reference"]},
        parameters={
            "frame_duration": scan.metadata.get("FrameDuration"),
            "simulated": simulated,
        },
    )
    coregister(paths["reference"], paths["to_t1w"], anatomy, settings, steps, name="PET to T1w")
    steps.run(
        "SUVR",
        compute_suvr,
        inputs={
            "scan": scan.path,
            "pet": paths["reference"],
            "to_t1w": paths["to_t1w"],
            "mask": anatomy["mask"],
            "reference": anatomy["reference"],
        },
        outputs={"suvr": paths["suvr"], "mask": paths["mask"]},
        parameters={"reference_region": settings.reference_region, "simulated": simulated},
    )
    spaces.carry_pet(
        scan, paths, anatomy, out_dir, settings, steps, simulated=simulated, voxel_size=VOXEL_SIZE
    )
    steps.run(
        "regional uptake",
        regional_uptake,
        inputs={
            "suvr": paths["suvr"],
            "mask": paths["mask"],
            "dseg": anatomy["dseg"],
            "volumes": anatomy["volumes"],
        }
        | settings.atlas_files(),
        outputs={name: paths[name] for name in ("values", "samples", "coverage")},
        parameters={"atlas": settings.atlas, "simulated": simulated},
    )
    source = {"samples": paths["samples"]}
    networks.connect("metabolic", source, paths, settings, steps, simulated=simulated)
    return paths


def _paths(scan: Scan, out_dir: Path, settings: Settings) -> dict[str, Path]:
    """Name every output of this pipeline."""
    atlas = settings.atlas

    def name(suffix: str, extension: str, **entities: str) -> Path:
        return derivative_path(out_dir, scan, suffix=suffix, extension=extension, **entities)

    return {
        "reference": name("petref", ".nii.gz"),
        "to_t1w": name("xfm", ".txt", **{"from": "petref", "to": "T1w", "mode": "image"}),
        "suvr": name("pet", ".nii.gz", space="T1w", desc="suvr"),
        "mask": name("mask", ".nii.gz", space="T1w", desc="brain"),
        "values": name("pet", ".tsv", seg=atlas, stat="mean", desc="suvr"),
        "samples": name("samples", ".tsv.gz", seg=atlas, desc="suvr"),
        "coverage": name("pet", ".tsv", seg=atlas, stat="coverage"),
    } | networks.network_paths("metabolic", settings, name)


def average_frames(
    inputs: Paths, outputs: Paths, *, frame_duration: list[float] | None, simulated: bool = False
) -> dict[str, dict[str, Any]]:
    """Average the frames, weighted by their durations, to one static image; 0 if not finite."""
    img = io.load_img(inputs["pet"], ndim=(3, 4))
    data = img.get_fdata(dtype=np.float32)
    n_frames = 1 if data.ndim == 3 else data.shape[3]
    if n_frames > 1:
        durations = _durations(frame_duration, n_frames, inputs["pet"])
        data = np.average(data, axis=3, weights=durations).astype(np.float32)
        warnings.warn(
            f"{n_frames} frames were averaged to one static image without correction for head "
            "motion between them.",
            io.DataWarning,
            stacklevel=2,
        )
    data = np.where(np.isfinite(data), data, 0)
    io.save_img(Nifti1Image(data, img.affine), outputs["reference"])
    return {"reference": {"NumberOfFrames": n_frames} | _mark(simulated)}


def _mark(simulated: bool) -> dict[str, bool]:
    """Return the metadata that every output of a simulated scan carries."""
    return {"Simulated": True} if simulated else {}


def _durations(frame_duration: Any, n_frames: int, path: Path) -> list[float]:
    """Return the durations, or say that the sidecar does not give one a frame."""
    given = frame_duration if isinstance(frame_duration, list) else []
    numbers = [x for x in given if isinstance(x, int | float) and not isinstance(x, bool) and x > 0]
    if len(given) != n_frames or len(numbers) != n_frames:
        raise io.DataError(
            path,
            f"has {n_frames} frames and FrameDuration {frame_duration!r:.80} in its sidecar",
            "Give one positive duration a frame, in seconds, in the JSON file beside it.",
        )
    return numbers


def compute_suvr(
    inputs: Paths, outputs: Paths, *, reference_region: str, simulated: bool = False
) -> dict[str, dict[str, Any]]:
    """Carry PET to T1w space and divide by the mean of the reference region.

    Voxels that ``scan``, the image as acquired, did not measure take no part in that mean; they
    are 0 in the SUVR image and in its mask.
    """
    mask_img = io.load_img(inputs["mask"], ndim=3)
    grid = resample.target_grid(mask_img, VOXEL_SIZE, crop_to_mask=mask_img)
    matrix = load_matrices(inputs["to_t1w"])[0]
    scan_img = io.load_img(inputs["scan"], ndim=(3, 4))
    measured = resample.coverage_mask(scan_img, grid, matrix).get_fdata() > 0
    moved = resample.resample(io.load_img(inputs["pet"], ndim=3), grid, matrix, order=3)
    ratio, mean = _ratio(
        np.where(measured, moved.get_fdata(dtype=np.float32), np.nan),
        resample.resample_labels(io.load_img(inputs["reference"], ndim=3), grid),
        inputs["scan"],
        reference_region,
    )
    io.save_img(Nifti1Image(np.where(measured, ratio, 0), grid.affine), outputs["suvr"])
    brain = resample.resample_labels(mask_img, grid).get_fdata() > 0
    io.save_img(Nifti1Image((brain & measured).astype(np.uint8), grid.affine), outputs["mask"])
    facts = {"ReferenceRegion": reference_region, "ReferenceMean": mean, "Units": "SUVR"}
    aligned = {"SpatialReference": uri(inputs["mask"])} | _mark(simulated)
    return {
        "suvr": facts | {"SkullStripped": False} | aligned,
        "mask": {"Type": "Brain"} | aligned,
    }


def _ratio(
    uptake_data: NDArray[np.float32], reference_img: Nifti1Image, path: Path, reference_region: str
) -> tuple[NDArray[np.float32], float]:
    """Return SUVR and the mean of the reference region, or say why the scan gives none."""
    try:
        img, mean = uptake.suvr(Nifti1Image(uptake_data, reference_img.affine), reference_img)
    except ValueError as error:
        values = uptake_data[np.asarray(reference_img.dataobj) > 0]
        found = values[np.isfinite(values)]
        mean = float(found.mean()) if found.size else 0.0
        raise io.DataError(
            path,
            f"has no usable reference region {reference_region}: {found.size} of its "
            f"{values.size} voxels were measured, with mean {mean:.4g}",
            "Half of the region must be measured, with a positive mean: look at the field of view "
            "and the registration, or name another region with --reference-region",
        ) from error
    return img.get_fdata(dtype=np.float32), mean


def regional_uptake(
    inputs: Paths, outputs: Paths, *, atlas: str, simulated: bool = False
) -> dict[str, dict[str, Any]]:
    """Take each region's mean and distribution of SUVR; the distributions are compared next."""
    regions = load_atlas(atlas, inputs)
    suvr_img = io.load_img(inputs["suvr"], ndim=3)
    mask_img = io.load_img(inputs["mask"], ndim=3)
    labels_img = resample.resample_labels(io.load_img(inputs["dseg"], ndim=3), suvr_img)
    values, coverage = extract.region_values(
        suvr_img, labels_img, regions.indices, mask_img=mask_img
    )
    share = spaces.shown_share(inputs, regions, suvr_img)
    coverage *= share
    values[coverage < extract.MIN_COVERAGE] = np.nan
    table = pd.DataFrame({"name": regions.names, "value": values, "coverage": coverage})
    io.save_table(table, outputs["values"])
    networks.save_samples(suvr_img, labels_img, regions, outputs, mask_img=mask_img, share=share)
    return {key: _mark(simulated) for key in outputs}
