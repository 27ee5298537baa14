"""BOLD: facts are checked first, and what was not measured in every volume is not in the mask."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet import io
from brainnet.bids import Scan
from brainnet.workflows import functional
from brainnet.workflows.engine.step import StepResult, run_step
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.settings import Settings
from brainnet.workflows.transforms import save_matrices

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
SHAPE = (12, 12, 12)


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
        parameters={},
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
