"""Head CT from files to files: what is written, kept, refused, and said."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet import io
from brainnet.cli import main
from brainnet.io import DataError
from brainnet.models.voxel.haemorrhage import read
from brainnet.workflows import segment_haemorrhage as workflow
from brainnet.workflows.segment_haemorrhage import find_scans, segment_haemorrhage
from tests.models.voxel.haemorrhage import toy_ct as toy

BLEED = [("intraparenchymal haemorrhage", (-32.0, 5.0, 10.0), 14.0)]


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy network in place of the package's, and a folder that stands for it."""
    folder = tmp_path / "model"
    io.save_json({"task": "haemorrhage", "training": {}}, folder / "card.json")
    io.save_bytes(b"weights", folder / "weights.safetensors")
    monkeypatch.setattr(workflow, "network_of", lambda _files, task: toy.segmenter())
    return folder


@pytest.fixture(autouse=True)
def pictures(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Draw nothing, which takes seconds, but where a test asks for it."""
    from brainnet.report import haemorrhage

    if "drawn" not in request.fixturenames:
        empty = b"\x89PNG\r\n\x1a\n" + bytes(16)
        monkeypatch.setattr(haemorrhage, "haemorrhage_mosaic", lambda *_args, **_more: empty)


@pytest.fixture
def drawn() -> None:
    """Asks for real pictures."""


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return io.save_img(toy.head(BLEED, spacing=(2.0, 2.0, 4.0)), tmp_path / "in" / "bled.nii.gz")


@pytest.fixture
def mr(tmp_path: Path) -> Path:
    data = np.random.default_rng(0).gamma(2, 100, (40, 40, 40)).astype(np.float32)
    return io.save_img(Nifti1Image(data, np.diag([4.0, 4, 4, 1])), tmp_path / "in" / "mr.nii.gz")


def test_everything_is_written_beside_its_record(
    scan: Path, tmp_path: Path, model: Path, drawn: None
) -> None:
    out = tmp_path / "out"
    (result,) = segment_haemorrhage(scan, out, model=model)
    assert not result.failure
    names = {path.name for path in out.iterdir()}
    assert names == {
        "bled_seg-haemorrhage_dseg.nii.gz", "bled_seg-haemorrhage_dseg.json",
        "bled_desc-lesions_dseg.nii.gz", "bled_desc-lesions_dseg.json",
        "bled_label-haemorrhage_probseg.nii.gz", "bled_label-haemorrhage_probseg.json",
        "bled_haemorrhage-findings.json", "bled_haemorrhage.html", "bled_haemorrhage.json",
        "group_haemorrhage.tsv",
        "seg-haemorrhage_dseg.tsv",
    }  # fmt: skip
    findings = json.loads((out / "bled_haemorrhage-findings.json").read_text())
    assert [each["kind"] for each in findings["lesions"]] == ["intraparenchymal"]
    assert tuple(findings["triage"]) == result.triage
    record = json.loads((out / "bled_seg-haemorrhage_dseg.json").read_text())
    assert record["Findings"] == findings
    assert {"image", "card", "weights"} == set(record["Brainnet"]["Inputs"])
    page = (out / "bled_haemorrhage.html").read_text()
    assert "Research" in page
    assert "intraparenchymal" in page.lower()


def test_the_table_has_a_row_a_scan(scan: Path, tmp_path: Path, model: Path) -> None:
    sound = io.save_img(toy.head(spacing=(2.0, 2.0, 4.0)), tmp_path / "in" / "sound.nii.gz")
    segment_haemorrhage([scan, sound], tmp_path / "out", model=model)
    table = pd.read_csv(tmp_path / "out" / "group_haemorrhage.tsv", sep="\t", index_col="image")
    assert table["present"].to_dict() == {"bled": "yes", "sound": "no"}
    assert table.loc["bled", "total_ml"] == pytest.approx(11.5, rel=0.06)
    assert table.loc["sound", "total_ml"] == 0


def test_what_is_there_is_kept(
    scan: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment_haemorrhage(scan, tmp_path / "out", model=model)
    monkeypatch.setattr(read, "read_ct", None)
    (result,) = segment_haemorrhage(scan, tmp_path / "out", model=model)
    assert not result.failure


def test_mr_is_refused_and_the_others_go_on(
    scan: Path, mr: Path, tmp_path: Path, model: Path
) -> None:
    refused, done = segment_haemorrhage([mr, scan], tmp_path / "out", model=model)
    assert "mr.nii.gz" in refused.failure
    assert "Hounsfield" in refused.failure
    assert not done.failure
    assert not list((tmp_path / "out").glob("mr*"))


def test_a_scan_that_fails_leaves_nothing_of_an_earlier_run(
    scan: Path, mr: Path, tmp_path: Path, model: Path
) -> None:
    segment_haemorrhage(scan, tmp_path / "out", model=model)
    scan.write_bytes(mr.read_bytes())
    (result,) = segment_haemorrhage(scan, tmp_path / "out", model=model)
    assert result.failure
    assert not list((tmp_path / "out").glob("bled*"))


def test_a_series_of_volumes_is_refused(tmp_path: Path, model: Path) -> None:
    head = toy.head()
    both = np.stack([np.asarray(head.dataobj)] * 2, axis=-1)
    path = io.save_img(Nifti1Image(both, head.affine), tmp_path / "in" / "two.nii.gz")
    (result,) = segment_haemorrhage(path, tmp_path / "out", model=model)
    assert "three dimensions" in result.failure


def test_metal_is_told_on_the_page_and_by_the_command(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = toy.head(spacing=(2.0, 2.0, 4.0))
    units = np.asarray(head.dataobj).copy()
    units[60:65, 40:45, 20:23] = 3000
    path = io.save_img(Nifti1Image(units, head.affine), tmp_path / "in" / "clip.nii.gz")
    out = tmp_path / "out"
    assert main(["segment", "haemorrhage", str(path), str(out), "--model", str(model)]) == 0
    assert "metal" in capsys.readouterr().err
    assert "metal" in (out / "clip_haemorrhage.html").read_text()


def test_ct_of_a_dataset_is_found_though_bids_has_none(tmp_path: Path, model: Path) -> None:
    bids = tmp_path / "bids"
    io.save_json({"Name": "ct", "BIDSVersion": "1.9.0"}, bids / "dataset_description.json")
    io.save_text("sub-*/ct\n", bids / ".bidsignore")
    io.save_img(
        toy.head(BLEED, spacing=(2.0, 2.0, 4.0)), bids / "sub-01" / "ct" / "sub-01_ct.nii.gz"
    )
    out = tmp_path / "out"
    (result,) = segment_haemorrhage(bids, out, model=model)
    assert not result.failure
    assert (out / "sub-01_ct_haemorrhage.html").exists()
    assert list((out / "sub-01" / "ct").glob("*_seg-haemorrhage_dseg.nii.gz"))
    with pytest.raises(DataError, match="02"):
        segment_haemorrhage(bids, out, model=model, labels=["02"])


def test_a_folder_of_dicom_gives_a_dicom_segmentation(tmp_path: Path, model: Path) -> None:
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: brainnet[dicom]")
    pytest.importorskip("highdicom", reason="highdicom is not installed: brainnet[dicom]")
    from tests.workflows.test_dicom import write_series

    head = toy.head(BLEED, spacing=(2.0, 2.0, 5.0))
    stored = (np.asarray(head.dataobj) + 1024).astype(np.uint16)
    write_series(
        tmp_path / "dicom" / "1", stored[None], head.affine, number=1, modality="CT",
        RescaleSlope=1, RescaleIntercept=-1024, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        BodyPartExamined="HEAD", KVP=120, SeriesDescription="head",
    )  # fmt: skip
    out = tmp_path / "out"
    (result,) = segment_haemorrhage(tmp_path / "dicom", out, model=model)
    assert not result.failure
    assert result.image == out / "dicom" / "dicom_ct.nii.gz"
    (lesion,) = json.loads((out / "dicom_ct_haemorrhage-findings.json").read_text())["lesions"]
    assert lesion["side"] == "left"
    made = pydicom.dcmread(out / "dicom_ct_haemorrhage.dcm")
    assert made.Modality == "SEG"
    voxels = np.asarray(io.load_img(out / "dicom_ct_seg-haemorrhage_dseg.nii.gz").dataobj) == 11
    planes = made.pixel_array
    assert (planes.reshape(-1, planes.shape[-2], planes.shape[-1]) > 0).sum() == voxels.sum()


def test_a_folder_of_nothing_readable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no scan")
    with pytest.raises(DataError):
        find_scans(tmp_path / "in", tmp_path / "out")
    with pytest.raises(DataError, match="does not exist"):
        find_scans(tmp_path / "nowhere.nii.gz", tmp_path / "out")


def test_the_command_says_what_was_found(
    scan: Path, mr: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["segment", "haemorrhage", str(scan), str(mr), str(tmp_path / "out")]
    assert main([*told, "--model", str(model)]) == 1
    said = capsys.readouterr()
    assert "Haemorrhage is likely" in said.out
    assert "1 of 2 scans read" in said.out
    assert "mr.nii.gz: NOT READ" in said.err


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ([], "required"),
        (["a.nii", "out", "--mem", "0"], "above 0"),
        (["a.nii", "out", "--x"], "--x"),
    ],
)
def test_a_wrong_command_is_told(
    told: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["segment", "haemorrhage", *told])
    assert word in capsys.readouterr().err
