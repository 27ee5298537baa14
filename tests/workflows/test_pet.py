"""PET: what the scan did not measure counts nowhere, and what is simulated says so."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet import atlas as atlases
from brainnet import io
from brainnet.bids import Scan
from brainnet.workflows import networks, pet
from brainnet.workflows.engine.step import StepResult, run_step, sidecar_path
from brainnet.workflows.settings import Settings
from brainnet.workflows.transforms import save_matrices

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
SHAPE = (20, 20, 20)
BRAIN = np.s_[2:18, 2:18, 2:18]
REFERENCE = np.s_[4:16, 4:16, 4:8]  # z 8 to 14 mm


def _save(data: np.ndarray, path: Path, affine: np.ndarray = AFFINE) -> Path:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*not finite", io.DataWarning)  # on purpose
        return io.save_img(Nifti1Image(data, affine), path)


def _box(box: tuple[slice, ...]) -> np.ndarray:
    data = np.zeros(SHAPE, np.uint8)
    data[box] = 1
    return data


def _uptake(*, first_slice: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a scan of 30 in the reference region and 60 elsewhere, and its affine."""
    data = np.full(SHAPE, 60, np.float32)
    data[:, :, :10] = 30
    affine = AFFINE.copy()
    affine[2, 3] = 2.0 * first_slice
    return data[:, :, first_slice:], affine


def _suvr(
    folder: Path, data: np.ndarray, affine: np.ndarray = AFFINE, **parameters: Any
) -> StepResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pet, "VOXEL_SIZE", 2.0)
        scan = folder / "sub-1_pet.nii.gz"
        _save(data, scan, affine)
        average = run_step(
            "static PET", pet.average_frames, inputs={"pet": scan},
            outputs={"reference": folder / "sub-1_petref.nii.gz"},
            parameters={"frame_duration": [60, 30]} | parameters,
        )  # fmt: skip
        return run_step(
            "SUVR",
            pet.compute_suvr,
            inputs={
                "scan": scan,
                "pet": average.outputs["reference"],
                "to_t1w": save_matrices(np.eye(4), folder / "to_xfm.txt"),
                "mask": _save(_box(BRAIN), folder / "brain.nii.gz"),
                "reference": _save(_box(REFERENCE), folder / "reference.nii.gz"),
            },
            outputs={"suvr": folder / "suvr.nii.gz", "mask": folder / "mask.nii.gz"},
            parameters={"reference_region": "cerebellar_grey"} | parameters,
        )


def _data(result: StepResult, key: str) -> np.ndarray:
    """Load an output; a warning (voxels that are not finite) would be an error here."""
    return io.load_img(result.outputs[key]).get_fdata()


def test_what_lies_outside_the_field_of_view_is_not_in_the_reference_mean(tmp_path: Path) -> None:
    data, affine = _uptake(first_slice=5)  # cuts one of the reference's four slices
    result = _suvr(tmp_path, data, affine)
    suvr, mask = _data(result, "suvr"), _data(result, "mask")
    assert suvr.shape == (16, 16, 16)  # the brain's box
    assert not suvr[:, :, :3].any()
    assert not mask[:, :, :3].any()
    assert mask[:, :, 3:].all()
    np.testing.assert_allclose(suvr[:, :, 4], 1, rtol=1e-2)
    np.testing.assert_allclose(suvr[:, :, -3:], 2, rtol=1e-2)
    assert any("75% of the reference region" in text for text in result.warnings)


@pytest.mark.parametrize("first_slice, measured", [(7, 144), (9, 0)])
def test_a_scan_without_its_reference_region_is_named(
    tmp_path: Path, first_slice: int, measured: int
) -> None:
    data, affine = _uptake(first_slice=first_slice)
    with pytest.raises(io.DataError, match=rf"sub-1_pet.*cerebellar_grey: {measured} of its 576"):
        _suvr(tmp_path, data, affine)
    with pytest.raises(io.DataError, match="--reference-region"):
        _suvr(tmp_path, data, affine)


def test_a_reference_without_uptake_is_named(tmp_path: Path) -> None:
    data, _ = _uptake()
    data[:, :, :10] = -1
    with pytest.raises(io.DataError, match=r"sub-1_pet\.nii\.gz.*mean -1"):
        _suvr(tmp_path, data)


@pytest.mark.parametrize("n_frames", [1, 2])
def test_voxels_that_are_not_finite_are_not_measured(tmp_path: Path, n_frames: int) -> None:
    data, _ = _uptake()
    data = np.stack([data] * n_frames, axis=-1)
    data[4:10, 4:16, 4:6, 0] = np.nan  # a quarter of the reference region, in one frame
    data[12, 12, 15, -1] = np.inf
    result = _suvr(tmp_path, data)
    suvr, mask = _data(result, "suvr"), _data(result, "mask")
    expected = np.ones((16, 16, 16))
    expected[2:8, 2:14, 2:4] = 0
    expected[10, 10, 13] = 0
    np.testing.assert_array_equal(mask, expected)
    assert not suvr[expected == 0].any()
    np.testing.assert_allclose(suvr[2, 2, 14], 2, rtol=0.02)  # zeros in the mean would give 2.6


def _metabolic(
    folder: Path, suvr: StepResult, *, simulated: bool = False, right: float = 1.0
) -> dict[str, Path]:
    """Run what follows SUVR; the T1w image holds ``right`` of the right cerebellum."""
    labels = np.zeros(SHAPE, np.int32)
    labels[REFERENCE], labels[4:16, 4:16, 12:16] = 8, 47
    names = atlases.load("DesikanKilliany").names
    shares = [right if name == "Right-Cerebellum-Cortex" else 1.0 for name in names]
    volumes = pd.DataFrame({"name": names, "value": 1.0, "coverage": shares})
    anatomy = {
        "dseg": _save(labels, folder / "dseg.nii.gz"),
        "volumes": io.save_table(volumes, folder / "volumes.tsv"),
    }
    outputs = {"values": "v.tsv", "samples": "s.tsv.gz", "coverage": "c.tsv"}
    parameters = {"atlas": "DesikanKilliany", "simulated": simulated}
    regional = run_step(
        "regional uptake",
        pet.regional_uptake,
        inputs=suvr.outputs | anatomy,
        outputs={key: folder / name for key, name in outputs.items()},
        parameters=parameters,
    )
    network = run_step(
        "metabolic network",
        networks.similarity_network,
        inputs={"samples": regional.outputs["samples"]},
        outputs={"network": folder / "n.tsv"},
        parameters=parameters | {"kind": "js"},
    )
    return regional.outputs | network.outputs


@pytest.mark.parametrize("simulated", [True, False])
def test_every_output_of_a_simulated_scan_says_so(tmp_path: Path, simulated: bool) -> None:
    data = _uptake()[0] * np.random.default_rng(0).uniform(0.9, 1.1, SHAPE).astype(np.float32)
    suvr = _suvr(tmp_path, data, simulated=simulated)
    regional = _metabolic(tmp_path, suvr, simulated=simulated)
    made = [*suvr.outputs.values(), *regional.values(), tmp_path / "sub-1_petref.nii.gz"]
    assert len(made) == 7
    for path in made:
        assert io.load_json(sidecar_path(path)).get("Simulated", False) is simulated
    values = io.load_table(regional["values"]).set_index("name")["value"]
    assert values["Left-Cerebellum-Cortex"] == pytest.approx(1, abs=0.01)
    assert values["Right-Cerebellum-Cortex"] == pytest.approx(2, abs=0.03)
    assert values.notna().sum() == 2
    edges = io.load_matrix(regional["network"])
    assert edges.notna().to_numpy().sum() == 4
    assert 0 <= edges.loc["Left-Cerebellum-Cortex", "Right-Cerebellum-Cortex"] < 0.1


def test_a_region_that_the_t1w_image_cuts_is_nan_though_pet_covers_it(tmp_path: Path) -> None:
    found = _metabolic(tmp_path, _suvr(tmp_path, _uptake()[0]), right=0.1)
    left, right = "Left-Cerebellum-Cortex", "Right-Cerebellum-Cortex"
    values = io.load_table(found["values"]).set_index("name")
    assert values["value"].notna()[[left, right]].tolist() == [True, False]
    assert set(io.load_table(found["samples"])["name"]) == {left}
    for table in (values, io.load_table(found["coverage"]).set_index("name")):
        np.testing.assert_allclose(table["coverage"][[left, right]], [1, 0.1])
    assert io.load_matrix(found["network"])[right].isna().all()


class _Recorder:
    """Stands in for Steps: runs nothing and keeps what each step was given."""

    def __init__(self) -> None:
        self.parameters: dict[str, Mapping[str, Any]] = {}
        self.inputs: dict[str, Mapping[str, Path]] = {}

    def run(self, name: str, function: object, **given: Any) -> None:
        self.parameters[name] = given.get("parameters") or {}
        self.inputs[name] = given["inputs"]


@pytest.mark.parametrize("metadata, expected", [({"Simulated": True}, True), ({}, False)])
def test_the_pipeline_tells_its_steps_what_is_simulated(
    tmp_path: Path, metadata: dict[str, Any], expected: bool
) -> None:
    path = tmp_path / "sub-1_pet.nii.gz"
    scan = Scan(path, "1", None, {"sub": "1"}, "pet", "pet", metadata)
    anatomy = {key: tmp_path / key for key in ("mask", "reference", "dseg", "t1w", "volumes")}
    steps = _Recorder()
    pet.run(scan, anatomy, tmp_path, Settings(), steps)  # type: ignore[arg-type]
    for name in ("static PET", "SUVR", "regional uptake", "metabolic network"):
        assert steps.parameters[name]["simulated"] is expected
    assert steps.inputs["SUVR"]["scan"] == path


def test_frames_need_their_durations(tmp_path: Path) -> None:
    path = _save(np.random.default_rng(0).random((4, 4, 4, 3)), tmp_path / "sub-1_pet.nii.gz")
    with pytest.raises(io.DataError, match=r"sub-1_pet.*3 frames.*FrameDuration None"):
        pet.average_frames({"pet": path}, {"reference": tmp_path / "x.nii.gz"}, frame_duration=None)


def test_an_image_of_five_dimensions_is_named(tmp_path: Path) -> None:
    path = _save(np.random.default_rng(0).random((4, 4, 4, 3, 2)), tmp_path / "sub-1_pet.nii.gz")
    with pytest.raises(io.DataError, match=r"sub-1_pet.*5 dimensions"):
        pet.average_frames({"pet": path}, {"reference": tmp_path / "x.nii.gz"}, frame_duration=None)
