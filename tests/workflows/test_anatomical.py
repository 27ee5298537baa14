"""T1w: what the field of view cuts is known, and what is not an image of a brain is named."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet import atlas as atlases
from brainnet import io
from brainnet.bids import Scan
from brainnet.workflows import anatomical, networks
from brainnet.workflows.engine.step import StepResult, run_step
from brainnet.workflows.settings import Settings

ATLAS = "DesikanKilliany"
#: what to add to a point of MNI space for the T1w's, mm (RAS)
SHIFT = np.array([3.0, -20.0, 12.0])


@lru_cache(maxsize=1)
def _regions() -> atlases.Atlas:
    return atlases.load(ATLAS)


def _field(shift: np.ndarray = SHIFT) -> Nifti1Image:
    """Return the field on the 2 mm template that pulls from ``shift`` away."""
    template = atlases.template(res=2)
    data = np.broadcast_to(shift * [-1, -1, 1], (*template.shape, 1, 3))  # ITK: LPS
    img = Nifti1Image(data.astype(np.float32), template.affine)
    img.header.set_intent("vector")
    return img


def _t1w_grid(lowest: float, n_slices: int = 100) -> Nifti1Image:
    """Return a T1w grid of 2 mm slices over the head from ``lowest`` (mm, MNI), stored oddly."""
    affine = np.array([[0, -2.0, 0, 120], [0, 0, -2.0, 120], [2.0, 0, 0, lowest], [0, 0, 0, 1]])
    affine[:3, 3] += SHIFT
    return Nifti1Image(np.ones((n_slices, 120, 130), np.uint8), affine)


def _share_above(height: float) -> np.ndarray:
    """Return the share of each region's voxels above a height, mm: the planted coverage."""
    regions = _regions()
    labels = np.asarray(regions.labels_img.dataobj)
    z = nib.affines.apply_affine(regions.labels_img.affine, np.argwhere(labels > 0))[:, 2]
    table = pd.DataFrame({"label": labels[labels > 0], "seen": z >= height})
    return table.groupby("label")["seen"].mean()[regions.indices].to_numpy()


def test_coverage_is_the_share_inside_the_field_of_view() -> None:
    found = anatomical.region_coverage(_regions(), _field(), _t1w_grid(-20.0))
    low, high = _share_above(-18.0), _share_above(-22.0)  # one voxel of the field
    assert ((low <= found) & (found <= high)).all()
    assert (found == 1).any()
    assert (found < 0.2).any()
    found = anatomical.region_coverage(_regions(), _field(), _t1w_grid(-90.0, n_slices=50))
    low, high = 1 - _share_above(6.0), 1 - _share_above(11.0)  # the last slice lies at 8 mm
    assert ((low <= found) & (found <= high)).all()
    assert (found == 0).any()
    whole = anatomical.region_coverage(_regions(), _field(), _t1w_grid(-90.0))
    np.testing.assert_array_equal(whole, 1)


def _native(t1w_img: Nifti1Image, folder: Path) -> dict[str, Path]:
    """Write the T1w's own maps, its atlas carried over by the exact inverse."""
    labels_img = anatomical.resample.resample_labels(
        _regions().labels_img, t1w_img, nib.affines.from_matvec(np.eye(3), -SHIFT)
    )
    rng = np.random.default_rng(0)
    modulated = rng.uniform(0.2, 0.8, atlases.template(res=2).shape).astype(np.float32)
    grey = np.full(t1w_img.shape, 0.5, np.float32)
    grey[0, 0, 0] = 0
    images = {
        "dseg": labels_img,
        "GM": Nifti1Image(grey, t1w_img.affine),
        "mask": t1w_img,
        "to_mni": _field(),
        "modulated": Nifti1Image(modulated, atlases.template(res=2).affine),
    }
    return {key: io.save_img(img, folder / f"{key}.nii.gz") for key, img in images.items()}


def _run(function: Any, inputs: dict[str, Path], folder: Path, *keys: str, **given: Any) -> Any:
    return run_step(
        function.__name__, function, inputs=inputs,
        outputs={key: folder / f"{function.__name__}_{key}.tsv" for key in keys},
        parameters={"atlas": ATLAS} | given,
    )  # fmt: skip


def test_a_region_that_the_field_of_view_cuts_is_nan_everywhere(tmp_path: Path) -> None:
    made = _native(_t1w_grid(-20.0), tmp_path)
    inputs = {key: made[key] for key in ("dseg", "GM", "mask", "to_mni")}
    volumes = _run(anatomical.measure_volumes, inputs, tmp_path, "volumes")
    table = io.load_table(volumes.outputs["volumes"])
    expected = _share_above(-20.0)
    seen, cut = expected > 0.6, expected < 0.4
    np.testing.assert_allclose(table["coverage"], expected, atol=0.12)  # on 2 mm voxels
    assert table["value"][cut].isna().all()
    assert (table["value"][seen] > 0).all()
    assert any("Left-Cerebellum-Cortex" in text for text in volumes.warnings)
    inputs = {key: made[key] for key in ("modulated", "mask", "to_mni")}
    sampled = run_step(
        "regional grey matter", anatomical.sample_grey_matter, inputs=inputs,
        outputs={"samples": tmp_path / "s.tsv.gz", "coverage": tmp_path / "c.tsv"},
        parameters={"atlas": ATLAS, "smoothing_fwhm": 2.0},
    )  # fmt: skip
    coverage = io.load_table(sampled.outputs["coverage"])["coverage"]
    np.testing.assert_allclose(coverage, expected, atol=0.12)
    for kind in ("js", "kl"):
        samples = {"samples": sampled.outputs["samples"]}
        network = _run(networks.similarity_network, samples, tmp_path, "network", kind=kind)
        weights = io.load_matrix(network.outputs["network"]).to_numpy()
        assert np.isnan(weights[cut]).all()
        assert np.isfinite(weights[np.ix_(seen, seen)]).all()


def test_a_brain_mask_that_lacks_a_region_is_told(tmp_path: Path) -> None:
    made = _native(_t1w_grid(-90.0), tmp_path)
    inside = np.zeros(_t1w_grid(-90.0).shape, np.uint8)
    inside[40:] = 1  # the first axis points up: 80 mm above the lowest slice
    io.save_img(Nifti1Image(inside, _t1w_grid(-90.0).affine), made["mask"])
    inputs = {key: made[key] for key in ("dseg", "GM", "mask", "to_mni")}
    volumes = _run(anatomical.measure_volumes, inputs, tmp_path, "volumes")
    table = io.load_table(volumes.outputs["volumes"])
    assert (table["coverage"] == 1).all()
    assert any("Cerebellum" in t and "outside the brain mask" in t for t in volumes.warnings)


def _ball(*, background: float, noise: float = 0.0) -> Nifti1Image:
    """Return a brain of 900 ml on 4 mm voxels, with shading."""
    x, y, z = np.indices((40, 40, 40)) - 19.5
    inside = x**2 + y**2 + z**2 < 15**2
    rng = np.random.default_rng(0)
    data = np.where(inside, 500 + 4 * x + rng.normal(0, 5, x.shape), background)
    data += np.where(inside, 0, rng.uniform(0, 1, x.shape) * noise)
    return Nifti1Image(data.astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))


def _find_brain(img: Nifti1Image, folder: Path, skull_strip: str) -> StepResult:
    path = io.save_img(img, folder / "sub-1_T1w.nii.gz")
    return run_step(
        "brain mask", anatomical.find_brain, inputs={"t1w": path},
        outputs={"mask": folder / "mask.nii.gz"}, parameters={"skull_strip": skull_strip},
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*not finite:brainnet.io.DataWarning")
def test_nan_around_the_brain_is_background(tmp_path: Path) -> None:
    found = _find_brain(_ball(background=np.nan), tmp_path, "auto")
    mask = io.load_img(found.outputs["mask"]).get_fdata()
    np.testing.assert_array_equal(mask > 0, np.isfinite(_ball(background=np.nan).get_fdata()))
    assert any("taken as background (0)" in text for text in found.warnings)
    corrected = run_step(
        "bias field", anatomical.correct_bias,
        inputs={"t1w": tmp_path / "sub-1_T1w.nii.gz", "mask": found.outputs["mask"]},
        outputs={"t1w": tmp_path / "preproc.nii.gz"}, parameters={},
    )  # fmt: skip
    data = io.load_img(corrected.outputs["t1w"]).get_fdata()
    assert np.isfinite(data).all()
    assert not data[mask == 0].any()
    assert any("taken as background (0)" in text for text in corrected.warnings)


def test_a_whole_head_cannot_be_taken_as_stripped(tmp_path: Path) -> None:
    with pytest.raises(io.DataError, match=r"sub-1_T1w.*--skull-strip force"):
        _find_brain(_ball(background=0.0, noise=50.0), tmp_path, "skip")


def test_a_series_is_no_t1w(tmp_path: Path) -> None:
    series = np.random.default_rng(0).random((5, 5, 5, 3)).astype(np.float32)
    with pytest.raises(io.DataError, match=r"sub-1_T1w.*4 dimensions"):
        _find_brain(Nifti1Image(series, np.eye(4)), tmp_path, "auto")


class _Recorder:
    """Stands in for Steps: runs nothing and keeps what each step was given."""

    def __init__(self) -> None:
        self.given: dict[str, dict[str, Any]] = {}

    def run(self, name: str, function: object, **given: Any) -> None:
        self.given[name] = given


def _given(folder: Path, settings: Settings) -> dict[str, dict[str, Any]]:
    scan = Scan(folder / "sub-1_T1w.nii.gz", "1", None, {"sub": "1"}, "T1w", "anat", {})
    steps = _Recorder()
    anatomical.run(scan, folder, settings, steps)  # type: ignore[arg-type]
    return steps.given


def test_the_reference_region_does_not_depend_on_the_atlas(tmp_path: Path) -> None:
    name = "reference region to native space"
    one, other = (_given(tmp_path, Settings(atlas=atlas)) for atlas in (ATLAS, "AAL"))
    assert one[name] == other[name]
    assert one["atlas to native space"] != other["atlas to native space"]
    third = _given(tmp_path, Settings(reference_region="brainstem"))
    assert third["atlas to native space"] == one["atlas to native space"]
    assert third[name] != one[name]


def test_steps_record_the_field_that_their_coverage_rests_on(tmp_path: Path) -> None:
    given = _given(tmp_path, Settings())
    for name in ("regional volumes", "regional grey matter"):
        assert {"to_mni", "mask"} <= set(given[name]["inputs"])
