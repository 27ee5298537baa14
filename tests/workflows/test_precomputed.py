"""Masks and tissue that others made: used where they are of the very same image, else refused."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet import bids, io
from brainnet.bids import Scan
from brainnet.workflows import anatomical, precomputed
from brainnet.workflows.engine.step import run_step, sidecar_path
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.settings import Settings

SHAPE = (12, 14, 10)
#: a T1w image as many scanners store it: axes to the front, down and left
AFFINE = np.array([[0, 0, -2.0, 9], [2.0, 0, 0, -13], [0, -2.0, 0, 11], [0, 0, 0, 1]])


def head() -> Nifti1Image:
    data = np.random.default_rng(0).uniform(50, 100, SHAPE).astype(np.float32)
    return Nifti1Image(data, AFFINE)


def brain() -> np.ndarray:
    data = np.zeros(SHAPE, np.uint8)
    data[2:9, 3:12, 1:8] = 1
    data[2, 3, 1] = 0  # no side is like another
    return data


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    """Return the one T1w image of a raw dataset."""
    raw = tmp_path / "raw"
    io.save_json({"Name": "raw", "BIDSVersion": "1.10.0"}, raw / "dataset_description.json")
    io.save_img(head(), raw / "sub-01" / "anat" / "sub-01_run-01_T1w.nii.gz")
    (only,) = bids.index(raw)
    return only


def derivatives(folder: Path, *, stem: str = "sub-01_run-1", **images: Any) -> Path:
    """Write a dataset as fMRIPrep would: images turned to R, A, S."""
    io.save_json(
        {"Name": "fMRIPrep outputs", "BIDSVersion": "1.4.0", "DatasetType": "derivative",
         "GeneratedBy": [{"Name": "fMRIPrep", "Version": "23.1.4"}]},
        folder / "dataset_description.json",
    )  # fmt: skip
    for name, img in images.items():
        given = img if isinstance(img, Nifti1Image) else Nifti1Image(img, AFFINE)
        turned = nib.funcs.as_closest_canonical(given)
        io.save_img(turned, folder / "sub-01" / "anat" / f"{stem}_{NAMES[name]}.nii.gz")
    return folder


NAMES = {
    "mask": "desc-brain_mask",
    "GM": "label-GM_probseg",
    "WM": "label-WM_probseg",
    "CSF": "label-CSF_probseg",
    "mni": "space-MNI152NLin2009cAsym_desc-brain_mask",
}


def tissues(scale: float = 1.0) -> dict[str, np.ndarray]:
    shares = np.random.default_rng(1).dirichlet([1, 1, 1], SHAPE) * scale
    return dict(zip(("GM", "WM", "CSF"), np.moveaxis(shares, -1, 0).astype("f4"), strict=True))


def quiet() -> Steps:
    return Steps(lambda _: None)


class _Recorder(Steps):
    """Runs what takes given images, and keeps the names of all steps."""

    def __init__(self) -> None:
        super().__init__(lambda name: self.names.append(name), self._some)
        self.names: list[str] = []

    @staticmethod
    def _some(name: str, function: Any, **given: Any) -> Any:
        return run_step(name, function, **given) if name.endswith("as given") else None


def test_what_is_given_takes_the_place_of_our_own(scan: Scan, tmp_path: Path) -> None:
    given = derivatives(tmp_path / "fmriprep", mask=brain(), mni=1 - brain(), **tissues())
    steps = _Recorder()
    settings = Settings(derivatives=[given])
    paths = anatomical.run(scan, tmp_path / "out", settings, steps)
    assert "brain mask" not in steps.names
    assert "tissue" not in steps.names
    assert steps.names[:3] == ["brain mask as given", "bias field", "tissue as given"]
    mask_img = io.load_img(paths["mask"])
    np.testing.assert_array_equal(mask_img.get_fdata(), brain())
    np.testing.assert_allclose(mask_img.affine, AFFINE)
    for label, planted in tissues().items():
        found = io.load_img(paths[label]).get_fdata()
        np.testing.assert_allclose(found, np.where(brain(), planted, 0), atol=1e-6)
    sidecar = io.load_json(sidecar_path(paths["mask"]))
    assert sidecar["Method"] == "precomputed by fMRIPrep 23.1.4"
    assert sidecar["VolumeMillilitres"] == pytest.approx(brain().sum() * 8 / 1000)
    assert any("sub-01_run-1_desc-brain_mask" in source for source in sidecar["Sources"])
    assert "fMRIPrep" in io.load_json(sidecar_path(paths["GM"]))["Method"]


def test_a_mask_alone_leaves_tissue_to_us(scan: Scan, tmp_path: Path) -> None:
    maps = tissues()
    given = derivatives(tmp_path / "one", mask=brain(), GM=maps["GM"])
    steps = quiet()
    found = precomputed.find(scan, [given], steps)
    assert found.mask is not None
    assert found.tissue is None
    assert "has only GM" in steps.warnings[0]


def test_the_first_dataset_that_has_something_counts(scan: Scan, tmp_path: Path) -> None:
    empty = derivatives(tmp_path / "empty")
    other = derivatives(tmp_path / "other", stem="sub-01_run-2", mask=brain())
    mine, later = (derivatives(tmp_path / name, mask=brain()) for name in ("mine", "later"))
    found = precomputed.find(scan, [empty, other, mine, later], quiet())
    assert found.mask == mine / "sub-01" / "anat" / "sub-01_run-1_desc-brain_mask.nii.gz"


@pytest.mark.parametrize("stem", ["sub-01", "sub-01_run-2", "sub-01_acq-fast_run-1"])
def test_derivatives_of_another_image_are_not_taken_and_it_is_said(
    scan: Scan, tmp_path: Path, stem: str
) -> None:
    steps = quiet()
    given = derivatives(tmp_path / "one", stem=stem, mask=brain(), **tissues())
    assert precomputed.find(scan, [given], steps) == precomputed.Given()
    assert "neither brain mask nor tissue of sub-01_run-01_T1w" in steps.warnings[0]


def _shifted() -> Nifti1Image:
    affine = AFFINE.copy()
    affine[0, 3] += 0.5
    return Nifti1Image(brain(), affine)


@pytest.mark.parametrize("img", [_shifted(), Nifti1Image(brain()[:-1], AFFINE)])
def test_another_grid_is_refused(scan: Scan, tmp_path: Path, img: Nifti1Image) -> None:
    given = derivatives(tmp_path / "one", mask=img)
    with pytest.raises(io.DataError, match=r"desc-brain_mask.*not on the grid.*--derivatives"):
        anatomical.run(scan, tmp_path / "out", Settings(derivatives=[given]), _Recorder())


def test_what_is_no_probability_is_refused(scan: Scan, tmp_path: Path) -> None:
    given = derivatives(tmp_path / "one", mask=brain(), **tissues(scale=255))
    with pytest.raises(io.DataError, match=r"label-GM_probseg.*no probabilities.*from 0 to 1"):
        anatomical.run(scan, tmp_path / "out", Settings(derivatives=[given]), _Recorder())


def test_a_dataset_must_say_what_it_is(scan: Scan, tmp_path: Path) -> None:
    given = derivatives(tmp_path / "one", mask=brain())
    (given / "dataset_description.json").unlink()
    with pytest.raises(io.DataError, match=r"no dataset_description\.json.*--derivatives"):
        precomputed.find(scan, [given], quiet())
    with pytest.raises(io.DataError, match="is not a folder"):
        precomputed.check([tmp_path / "nothing"])
    raw = scan.path.parents[2]
    io.save_json({"Name": "raw", "DatasetType": "raw"}, raw / "dataset_description.json")
    with pytest.raises(io.DataError, match="not of a derivatives dataset"):
        precomputed.check([raw])


def test_a_changed_mask_runs_again(scan: Scan, tmp_path: Path) -> None:
    given = derivatives(tmp_path / "one", mask=brain())
    settings = Settings(derivatives=[given])
    first = anatomical.run(scan, tmp_path / "out", settings, _Recorder())["mask"]
    before = io.sha256(first)
    derivatives(given, mask=np.maximum(brain(), np.eye(12, 14, dtype=np.uint8)[..., None]))
    assert (
        io.sha256(anatomical.run(scan, tmp_path / "out", settings, _Recorder())["mask"]) != before
    )


def test_a_description_that_does_not_tell_its_type_will_do(scan: Scan, tmp_path: Path) -> None:
    given = derivatives(tmp_path / "given", mask=brain())
    io.save_json({"Name": "given", "BIDSVersion": "1.4.0"}, given / "dataset_description.json")
    precomputed.check([given])
    assert precomputed.find(scan, [given], quiet()).mask is not None
