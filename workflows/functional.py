"""BOLD to motion, one single resampling, confounds, regional time series and functional network.

Each volume's motion and the run's rigid transform to the T1w image are composed, so that the
data are interpolated once, onto a grid in T1w space at the run's own voxel size. Time series
are taken from the regions of the native atlas that the run measured, cleaned of as many
confounds as the number of volumes allows, and correlated.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from brainnet import io
from brainnet.bids import Scan, derivative_path, uri
from brainnet.imaging import motion, resample
from brainnet.signals import clean, confounds, extract
from brainnet.workflows import networks, spaces
from brainnet.workflows.coregistration import coregister
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.networks import load_atlas
from brainnet.workflows.settings import Settings
from brainnet.workflows.transforms import load_matrices, save_matrices

Paths = Mapping[str, Path]


def run(
    scan: Scan, anatomy: Paths, out_dir: Path, settings: Settings, steps: Steps
) -> dict[str, Path]:
    """Process one BOLD run against its anatomy; return the paths of what was made, by name."""
    t_r = _repetition_time(scan)
    paths = _paths(scan, out_dir, settings)
    _align(scan, paths, anatomy, settings, steps)
    spaces.carry_bold(scan, paths, anatomy, out_dir, settings, steps, facts=_facts(scan))
    _extract(t_r, paths, anatomy, settings, steps)
    return paths


def _paths(scan: Scan, out_dir: Path, settings: Settings) -> dict[str, Path]:
    """Name every output of this pipeline."""
    atlas = settings.atlas

    def name(suffix: str, extension: str, **entities: str) -> Path:
        return derivative_path(out_dir, scan, suffix=suffix, extension=extension, **entities)

    return {
        "reference": name("boldref", ".nii.gz"),
        "motion": name("xfm", ".txt", **{"from": "orig", "to": "boldref", "mode": "image"}),
        "to_t1w": name("xfm", ".txt", **{"from": "boldref", "to": "T1w", "mode": "image"}),
        "bold": name("bold", ".nii.gz", space="T1w", desc="preproc"),
        "mask": name("mask", ".nii.gz", space="T1w", desc="brain"),
        "confounds": name("timeseries", ".tsv", desc="confounds"),
        "timeseries": name("timeseries", ".tsv", seg=atlas, stat="mean"),
        "coverage": name("bold", ".tsv", seg=atlas, stat="coverage"),
    } | networks.network_paths("functional", settings, name)


def _align(scan: Scan, paths: Paths, anatomy: Paths, settings: Settings, steps: Steps) -> None:
    steps.run(
        "head motion",
        estimate_motion,
        inputs={"bold": scan.path},
        outputs={"motion": paths["motion"], "reference": paths["reference"]},
        parameters={"metadata": _relevant(scan)},
    )
    coregister(paths["reference"], paths["to_t1w"], anatomy, settings, steps, name="BOLD to T1w")
    steps.run(
        "single resampling",
        resample_once,
        inputs={
            "bold": scan.path,
            "motion": paths["motion"],
            "to_t1w": paths["to_t1w"],
            "mask": anatomy["mask"],
        },
        outputs={"bold": paths["bold"], "mask": paths["mask"]},
        parameters={"facts": _facts(scan)},
    )


def _extract(t_r: float, paths: Paths, anatomy: Paths, settings: Settings, steps: Steps) -> None:
    steps.run(
        "confounds",
        tabulate_confounds,
        inputs={
            "bold": paths["bold"],
            "mask": paths["mask"],
            "motion": paths["motion"],
            "reference": paths["reference"],
            "WM": anatomy["WM"],
            "CSF": anatomy["CSF"],
        },
        outputs={"confounds": paths["confounds"]},
    )
    steps.run(
        "regional time series",
        extract_timeseries,
        inputs={
            "bold": paths["bold"],
            "mask": paths["mask"],
            "dseg": anatomy["dseg"],
            "volumes": anatomy["volumes"],
            "confounds": paths["confounds"],
        }
        | settings.atlas_files(),
        outputs={"timeseries": paths["timeseries"], "coverage": paths["coverage"]},
        parameters={"atlas": settings.atlas, "t_r": t_r},
    )
    source = {"timeseries": paths["timeseries"]}
    networks.connect("functional", source, paths, settings, steps)


def _repetition_time(scan: Scan) -> float:
    """Return the sidecar's repetition time in s; the header is not trusted with it."""
    t_r = scan.metadata.get("RepetitionTime")
    if isinstance(t_r, bool) or not isinstance(t_r, int | float) or not 0.1 <= t_r <= 20:
        raise io.DataError(
            scan.path,
            f"has RepetitionTime {t_r!r} in its sidecar; 0.1 to 20 s is expected",
            "Set RepetitionTime, in seconds, in the JSON file beside it.",
        )
    return float(t_r)


def _facts(scan: Scan) -> dict[str, Any]:
    """Return the metadata that every series of a run carries."""
    task = scan.metadata.get("TaskName") or scan.entities.get("task")
    return {"RepetitionTime": _repetition_time(scan)} | ({"TaskName": str(task)} if task else {})


def _relevant(scan: Scan) -> dict[str, bool]:
    """Say which acquisition facts that preprocessing could use were recorded."""
    return {
        "SliceTiming": "SliceTiming" in scan.metadata,
        "PhaseEncodingDirection": "PhaseEncodingDirection" in scan.metadata,
    }


def estimate_motion(inputs: Paths, outputs: Paths, *, metadata: Mapping[str, bool]) -> None:
    """Estimate each volume's rigid pose against the mean of the realigned volumes."""
    slices = "were not corrected" if metadata["SliceTiming"] else "are unknown and not corrected"
    _warn(
        f"Slice times {slices}: regions of different slices are up to one repetition time "
        "apart, which is small below 0.1 Hz."
    )
    polarity = (
        "not corrected here" if metadata["PhaseEncodingDirection"]
        else "not corrected, since the sidecar does not give the polarity of phase encoding "
        "(PhaseEncodingDirection)"
    )  # fmt: skip
    _warn(
        f"Susceptibility distortion is {polarity}: frontal and temporal poles may be displaced "
        "by some millimetres. Judge the overlay of BOLD on T1w."
    )
    found = motion.estimate_motion(io.load_img(inputs["bold"], ndim=4))
    save_matrices(found.matrices, outputs["motion"])
    io.save_img(found.reference_img, outputs["reference"])


def _warn(message: str) -> None:
    warnings.warn(message, io.DataWarning, stacklevel=3)


def resample_once(
    inputs: Paths, outputs: Paths, *, facts: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Carry every volume to T1w space in one cubic interpolation; mark what was measured."""
    bold_img = io.load_img(inputs["bold"], ndim=4)
    mask_img = io.load_img(inputs["mask"], ndim=3)
    grid = resample.target_grid(mask_img, spaces.voxel_size(bold_img), crop_to_mask=mask_img)
    matrices = load_matrices(inputs["motion"]) @ load_matrices(inputs["to_t1w"])[0]
    measured = resample.coverage_mask(bold_img, grid, matrices).get_fdata() > 0
    brain = resample.resample_labels(mask_img, grid).get_fdata() > 0
    if not (measured & brain).any():
        raise io.DataError(
            inputs["bold"],
            "measured no voxel of the brain in every volume",
            "Remove volumes without finite voxels; look at the field of view, the head motion and "
            "the registration to the T1w image",
        )
    moved = resample.resample_series(bold_img, grid, matrices)
    io.save_img(spaces.with_repetition_time(moved, facts["RepetitionTime"]), outputs["bold"])
    io.save_img(Nifti1Image((measured & brain).astype(np.uint8), grid.affine), outputs["mask"])
    aligned = {"SpatialReference": uri(inputs["mask"])}
    return {
        "bold": {**facts, "SkullStripped": False} | aligned,
        "mask": aligned | {"Type": "Brain"},
    }


def tabulate_confounds(inputs: Paths, outputs: Paths) -> None:
    """Tabulate motion, its derivatives, displacement, DVARS and tissue signals."""
    mask_img = io.load_img(inputs["mask"])
    tissues = {
        label: resample.resample(io.load_img(inputs[label]), mask_img, order=1)
        for label in ("WM", "CSF")
    }
    table = confounds.confounds_table(
        io.load_img(inputs["bold"]),
        mask_img,
        tissues["WM"],
        tissues["CSF"],
        motion.motion_parameters(
            load_matrices(inputs["motion"]), center=_center(io.load_img(inputs["reference"]))
        ),
    )
    io.save_table(table, outputs["confounds"])


def _center(img: Nifti1Image) -> np.ndarray:
    """Return the world coordinates, mm, of the middle of the grid."""
    middle = (np.array(img.shape[:3]) - 1) / 2
    return np.asarray(img.affine[:3, :3] @ middle + img.affine[:3, 3])


def extract_timeseries(
    inputs: Paths, outputs: Paths, *, atlas: str, t_r: float
) -> dict[str, dict[str, Any]]:
    """Average each measured region over its voxels and clean it of confounds."""
    regions = load_atlas(atlas, inputs)
    bold_img = io.load_img(inputs["bold"])
    labels_img = resample.resample_labels(io.load_img(inputs["dseg"]), bold_img)
    raw, coverage = extract.region_timeseries(
        bold_img, labels_img, regions.indices, mask_img=io.load_img(inputs["mask"])
    )
    coverage *= spaces.shown_share(inputs, regions, bold_img)
    raw[:, coverage < extract.MIN_COVERAGE] = np.nan
    _warn_unmeasured(raw, regions.names)
    table = io.load_table(inputs["confounds"])
    chosen, strategy = clean.select_confounds(table, n_timepoints=len(raw), t_r=t_r)
    (high_pass, low_pass), _ = clean.usable_band(len(raw), t_r=t_r)
    cleaned = clean.clean_timeseries(raw, chosen, t_r=t_r)
    io.save_table(pd.DataFrame(cleaned, columns=regions.names), outputs["timeseries"])
    networks.save_coverage(coverage, regions, outputs["coverage"])
    return {
        "timeseries": {
            "RepetitionTime": t_r,
            "Confounds": strategy,
            "ConfoundColumns": list(chosen.columns),
            "HighPass": high_pass,
            "LowPass": low_pass,
        }
    }


def _warn_unmeasured(timeseries: np.ndarray, names: list[str]) -> None:
    missing = [
        name for name, column in zip(names, timeseries.T, strict=True) if np.isnan(column).all()
    ]
    if missing:
        _warn(
            f"{len(missing)} of {len(names)} regions are NaN: this run, or the T1w image's field "
            f"of view, holds less than half of them: {', '.join(missing)}."
        )
