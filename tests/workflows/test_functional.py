"""BOLD: facts are checked first, and what was not measured in every volume is not in the mask."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet import atlas as atlases
from brainnet import io
from brainnet.bids import Scan
from brainnet.signals import clean
from brainnet.workflows import anatomical, functional
from brainnet.workflows.engine.step import StepResult, run_step, sidecar_path
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.settings import Settings
from brainnet.workflows.transforms import save_matrices

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
SHAPE = (12, 12, 12)
FACTS = {"RepetitionTime": 2.0, "TaskName": "rest"}


def _save(data: np.ndarray, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=io.DataWarning)  # not finite, on purpose
        return io.save_img(Nifti1Image(data, AFFINE), path)


def _resample(folder: Path, bold: np.ndarray) -> StepResult:
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:-1, 1:-1, 1:-1] = 1
    return run_step(
        "single resampling",
        functional.resample_once,
        inputs={
            "bold": _save(bold, folder / "sub-1_bold.nii.gz"),
            "motion": save_matrices([np.eye(4)] * bold.shape[-1], folder / "motion_xfm.txt"),
            "to_t1w": save_matrices(np.eye(4), folder / "to_xfm.txt"),
            "mask": _save(mask, folder / "brain.nii.gz"),
        },
        outputs={"bold": folder / "out_bold.nii.gz", "mask": folder / "out_mask.nii.gz"},
        parameters={"facts": FACTS},
    )


def _bold(n_timepoints: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(900, 1100, (*SHAPE, n_timepoints)).astype(np.float32)


def test_a_voxel_missing_from_one_volume_is_not_measured(tmp_path: Path) -> None:
    bold = _bold()
    bold[3:6, 4, 5, 1] = np.nan
    bold[8, 8, 8, 2] = -np.inf
    result = _resample(tmp_path, bold)
    expected = np.ones((10, 10, 10))
    expected[2:5, 3, 4] = 0
    expected[7, 7, 7] = 0
    found = io.load_img(result.outputs["mask"])
    np.testing.assert_array_equal(found.get_fdata(), expected)
    moved = io.load_img(result.outputs["bold"]).get_fdata()
    inner = np.s_[1:11, 1:11, 1:11]
    np.testing.assert_allclose(moved[..., 0], bold[inner][..., 0], rtol=1e-3)


def test_a_run_that_measured_nothing_throughout_is_named(tmp_path: Path) -> None:
    bold = _bold()
    bold[..., 1] = np.nan
    with pytest.raises(io.DataError, match=r"sub-1_bold.*no voxel of the brain in every volume"):
        _resample(tmp_path, bold)
    assert not (tmp_path / "out_bold.nii.gz").exists()


def test_the_repetition_time_is_that_of_the_sidecar_everywhere(tmp_path: Path) -> None:
    result = _resample(tmp_path, _bold())
    raw = io.load_img(tmp_path / "sub-1_bold.nii.gz")
    assert raw.header.get_zooms()[3] == 1
    found = io.load_img(result.outputs["bold"]).header
    assert (found.get_zooms()[3], found.get_xyzt_units()[1]) == (2, "sec")
    assert FACTS.items() <= io.load_json(sidecar_path(result.outputs["bold"])).items()


def _slab(folder: Path) -> dict[str, Path]:
    """Write a T1w slab on the template's own grid, and what comes from it.

    It cuts all but a tenth of region 1 off; the box around the brain holds a fifth of region 3.
    """
    template = atlases.template("mask", res=2)
    labels = np.zeros(template.shape, np.int32)
    labels[40:50, 50:60, 20:40], labels[40:50, 50:60, 40:44], labels[50:54, 50:60, 40:60] = 1, 2, 3
    brain = np.zeros(template.shape, np.uint8)
    brain[36:60, 46:66, 38:44] = 1
    slab = template.slicer[:, :, 38:62]
    images = {"dseg": labels, "mask": brain, "GM": np.where(brain, 0.5, 0).astype(np.float32)}
    made = {
        key: io.save_img(Nifti1Image(data[:, :, 38:62], slab.affine), folder / f"{key}.nii.gz")
        for key, data in images.items()
    }
    field = Nifti1Image(np.zeros((*template.shape, 1, 3), np.float32), template.affine)
    field.header.set_intent("vector")
    made["to_mni"] = io.save_img(field, folder / "to_xfm.nii.gz")
    name = "tpl-MNI152NLin2009cAsym_dseg.nii.gz"
    made["atlas"] = io.save_img(Nifti1Image(labels, template.affine), folder / name)
    table = pd.DataFrame({"index": [1, 2, 3], "name": ["cut", "whole", "cropped"]})
    made["atlas_table"] = io.save_table(table, folder / "regions.tsv")
    return made


def test_a_region_that_the_t1w_image_cuts_is_nan_though_bold_covers_it(tmp_path: Path) -> None:
    made = _slab(tmp_path)
    wanted = ("GM", "mask", "dseg", "to_mni", "atlas", "atlas_table")
    volumes = run_step(
        "regional volumes", anatomical.measure_volumes, inputs={key: made[key] for key in wanted},
        outputs={"volumes": tmp_path / "volumes.tsv"}, parameters={"atlas": "own"},
    )  # fmt: skip
    rng, n_timepoints = np.random.default_rng(0), 100
    affine = io.load_img(made["atlas"]).affine @ np.diag([2, 2, 2, 1.0])  # 4 mm: the whole head
    series = rng.normal(1000, 10, (48, 58, 48, n_timepoints)).astype(np.float32)
    raw = io.save_img(Nifti1Image(series, affine), tmp_path / "sub-1_bold.nii.gz")
    once = run_step(
        "single resampling", functional.resample_once,
        inputs={
            "bold": raw, "mask": made["mask"],
            "motion": save_matrices([np.eye(4)] * n_timepoints, tmp_path / "motion_xfm.txt"),
            "to_t1w": save_matrices(np.eye(4), tmp_path / "to_xfm.txt"),
        },
        outputs={"bold": tmp_path / "out_bold.nii.gz", "mask": tmp_path / "out_mask.nii.gz"},
        parameters={"facts": FACTS},
    )  # fmt: skip
    columns = [*clean.LADDER["24P"], "white_matter", "csf"]
    confounds = pd.DataFrame(rng.normal(size=(n_timepoints, len(columns))), columns=columns)
    found = run_step(
        "regional time series", functional.extract_timeseries,
        inputs=once.outputs | volumes.outputs
        | {key: made[key] for key in ("dseg", "atlas", "atlas_table")}
        | {"confounds": io.save_table(confounds, tmp_path / "confounds.tsv")},
        outputs={"timeseries": tmp_path / "ts.tsv", "coverage": tmp_path / "coverage.tsv"},
        parameters={"atlas": "own", "t_r": 2.0},
    )  # fmt: skip
    coverage = io.load_table(found.outputs["coverage"]).set_index("name")["coverage"]
    np.testing.assert_allclose(coverage[["cut", "whole", "cropped"]], [0.1, 1, 0.2], atol=0.01)
    table = io.load_table(found.outputs["timeseries"])
    assert list(table.columns) == ["cut", "whole", "cropped"]
    assert table[["cut", "cropped"]].isna().all(axis=None)
    assert table["whole"].notna().all()
    assert any("2 of 3 regions are NaN" in text and "cut, cropped" in text
               for text in found.warnings)  # fmt: skip


@pytest.mark.parametrize("metadata", [{}, {"RepetitionTime": "2"}, {"RepetitionTime": 2000}])
def test_repetition_time_is_checked_before_anything_runs(
    tmp_path: Path, metadata: dict[str, Any]
) -> None:
    told: list[str] = []
    scan = Scan(
        tmp_path / "sub-1_bold.nii.gz", "1", None, {"sub": "1", "task": "rest"}, "bold", "func",
        metadata,
    )  # fmt: skip
    with pytest.raises(io.DataError, match=r"sub-1_bold.*RepetitionTime"):
        functional.run(scan, {}, tmp_path, Settings(), Steps(told.append))
    assert told == []


def test_one_volume_is_no_run(tmp_path: Path) -> None:
    path = _save(_bold()[..., 0], tmp_path / "sub-1_bold.nii.gz")
    facts = {"SliceTiming": False, "PhaseEncodingDirection": False}
    outputs = {"motion": tmp_path / "x_xfm.txt", "reference": tmp_path / "x.nii.gz"}
    with pytest.raises(io.DataError, match=r"sub-1_bold.*3 dimensions"):
        run_step(
            "head motion", functional.estimate_motion, inputs={"bold": path}, outputs=outputs,
            parameters={"metadata": facts},
        )  # fmt: skip
