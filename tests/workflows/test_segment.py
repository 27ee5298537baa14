"""Segmentation from files to files: what is written, kept, refused, and said."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brainnet import io
from brainnet.bids import index
from brainnet.io import DataError
from brainnet.report import figures
from brainnet.report import segmentation as report
from brainnet.report.page import Notice
from brainnet.report.segmentation import quality_notices, sides_table, visible
from brainnet.workflows import (
    anatomical,
    page_methods,
    precomputed,
    segment,
    segment_images,
    segment_tables,
    structures,
)
from brainnet.workflows.engine.step import run_step
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.segment import Options, segment_brain
from brainnet.workflows.settings import Settings
from tests.workflows import toy_segmenter as toy

RESULTS = [
    "desc-brain_mask.nii.gz", "label-CSF_probseg.nii.gz", "label-GM_probseg.nii.gz",
    "label-WM_probseg.nii.gz", "seg-brainnet_dseg.nii.gz", "seg-brainnet_morph.tsv",
]  # fmt: skip


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> toy.Calls:
    segment._segmenter.cache_clear()
    return toy.put_in_place(monkeypatch)


@pytest.fixture
def drawn() -> None:
    """Asks for real pictures."""


@pytest.fixture(autouse=True)
def pictures(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Draw nothing, which takes seconds, but where a test asks for it."""
    if "drawn" not in request.fixturenames:
        empty = b"\x89PNG\r\n\x1a\n" + bytes(16)
        for name in ("overlay_contours", "atlas_overlay"):
            monkeypatch.setattr(figures, name, lambda *_args: empty)


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(model=toy.model(tmp_path / "model"))


@pytest.fixture
def head(tmp_path: Path) -> Path:
    return io.save_img(toy.head(), tmp_path / "in" / "head.nii.gz")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.suffix != ".json")


def test_everything_is_written_beside_its_record(
    head: Path, tmp_path: Path, options: Options
) -> None:
    out = tmp_path / "out"
    (result,) = segment_brain(head, out, options=options)
    assert result.trusted
    assert result.page == out / "head_segmentation.html"
    wanted = [f"head_{name}" for name in RESULTS]
    wanted += ["group_segmentation.tsv", "head_segmentation.html", "seg-brainnet_dseg.tsv"]
    assert _names(out) == sorted(wanted)
    truth = np.asarray(toy.head().dataobj) // toy.SCALE
    labels_img = io.load_img(out / "head_seg-brainnet_dseg.nii.gz")
    np.testing.assert_array_equal(labels_img.dataobj, truth)
    np.testing.assert_array_equal(labels_img.affine, toy.head().affine)
    mask = np.asarray(io.load_img(out / "head_desc-brain_mask.nii.gz").dataobj)
    np.testing.assert_array_equal(mask, truth > 0)
    known = io.load_json(out / "head_seg-brainnet_dseg.json")
    assert known["Quality"] == {"Score": 0.95, "Trusted": True, "Reasons": []}
    litres = (truth > 0).sum() * 64 / 1000
    assert known["BrainVolumeMillilitres"] == pytest.approx(litres)
    assert known["IntracranialVolumeMillilitres"] == pytest.approx(litres + 1)
    assert known["TissueVolumesMillilitres"]["GM"] == pytest.approx((truth == 17).sum() * 0.064)
    inputs = known["Brainnet"]["Inputs"]
    assert inputs["weights"]["sha256"] == io.sha256(options.model / "weights.safetensors")
    assert known["Brainnet"]["Parameters"]["runner"].startswith("monai ")
    table = io.load_table(out / "head_seg-brainnet_morph.tsv").set_index("index")
    assert table.loc[17, "volume_mm3"] == pytest.approx((truth == 17).sum() * 64)
    summary = io.load_table(out / "group_segmentation.tsv")
    assert summary["image"].tolist() == ["head"]
    assert summary["icv_ml"][0] == pytest.approx(litres + 1)


def test_what_matches_its_record_is_kept(
    head: Path, tmp_path: Path, options: Options, calls: toy.Calls
) -> None:
    out = tmp_path / "out"
    segment_brain(head, out, options=options)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    segment_brain(head, out, options=options)
    assert len(calls.flips) == 1
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (out / "head_label-GM_probseg.nii.gz").unlink()
    segment_brain(head, out, options=options)
    assert len(calls.flips) == 2
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("what", ["network", "flips", "image"])
def test_another_network_or_image_is_computed_anew(
    what: str, head: Path, tmp_path: Path, options: Options, calls: toy.Calls
) -> None:
    segment_brain(head, tmp_path / "out", options=options)
    if what == "network":
        toy.model(tmp_path / "model", note="another")
    elif what == "flips":
        options = replace(options, flips=segment.MIRRORED)
    else:
        io.save_img(toy.head(broken=True), head)
    (result,) = segment_brain(head, tmp_path / "out", options=options)
    assert len(calls.flips) == 2
    assert result.trusted == (what != "image")
    if what == "flips":
        assert calls.flips == [((),), ((), (0,))]
    if what == "network":
        assert "another" in result.page.read_text()
        assert len(calls.loaded) == 2


def test_the_network_is_loaded_once_for_all_images(
    tmp_path: Path, options: Options, calls: toy.Calls
) -> None:
    for name in "abc":
        io.save_img(toy.head(), tmp_path / "in" / f"{name}.nii.gz")
    results = segment_brain(tmp_path / "in", tmp_path / "out", options=options)
    assert [each.image.name for each in results] == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    assert len(calls.loaded) == 1
    assert len(io.load_table(tmp_path / "out" / "group_segmentation.tsv")) == 3


def test_an_image_that_fails_stops_no_other(head: Path, tmp_path: Path, options: Options) -> None:
    img = toy.head()
    series = io.save_img(
        toy.Nifti1Image(np.stack([img.dataobj] * 2, -1), img.affine), tmp_path / "in/a4d.nii.gz"
    )
    cut = tmp_path / "in" / "cut.nii.gz"
    cut.write_bytes(head.read_bytes()[:-50])
    empty = img.get_fdata().astype(np.int16) * 0
    empty[0, 0, 0] = 1
    nothing = io.save_img(toy.Nifti1Image(empty, img.affine), tmp_path / "in/nothing.nii.gz")
    out = tmp_path / "out"
    small = io.save_img(img.slicer[:8], tmp_path / "in/small.nii.gz")
    given = [series, cut, nothing, small, head]
    results = segment_brain(given, out, options=options)
    assert [bool(each.failure) for each in results] == [True] * 4 + [False]
    assert "4 dimensions" in results[0].failure
    assert "cut.nii.gz" in results[1].failure
    assert "no brain was found" in results[2].failure
    assert "small.nii.gz: img must have 16 voxels" in results[3].failure
    assert [name for name in _names(out) if not name.startswith("head")] == [
        "group_segmentation.tsv", "seg-brainnet_dseg.tsv",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")]
)
def test_no_memory_is_said_so(
    error: Exception, head: Path, tmp_path: Path, options: Options, calls: toy.Calls
) -> None:
    calls.error = error
    (result,) = segment_brain(head, tmp_path / "out", options=options)
    assert "out of memory. Close other programs" in result.failure


def test_too_little_memory_says_how_much(head: Path, tmp_path: Path, options: Options) -> None:
    small = replace(options, max_memory=0.001)
    (result,) = segment_brain(head, tmp_path / "out", options=small)
    assert re.search(r"must be [0-9.]+ GB or more", result.failure)
    assert result.failure.endswith("Give more to --mem.")


def test_a_path_is_no_lack_of_memory(head: Path, tmp_path: Path, options: Options) -> None:
    damaged = tmp_path / "allocation" / "head.nii.gz"
    damaged.parent.mkdir()
    damaged.write_bytes(head.read_bytes()[:-50])
    (result,) = segment_brain(damaged, tmp_path / "out", options=options)
    assert "allocation" in result.failure
    assert "memory" not in result.failure


def test_nothing_of_an_earlier_run_survives_a_failure(
    head: Path, tmp_path: Path, options: Options
) -> None:
    out = tmp_path / "out"
    segment_brain(head, out, options=replace(options, soft=True))
    head.write_bytes(head.read_bytes()[:-50])
    (result,) = segment_brain(head, out, options=options)
    assert result.failure
    assert [each.name for each in out.iterdir()] == ["seg-brainnet_dseg.tsv"]


def test_a_doubtful_result_says_so_everywhere(tmp_path: Path, options: Options) -> None:
    path = io.save_img(toy.head(broken=True), tmp_path / "in" / "a<b>.nii.gz")
    (result,) = segment_brain(path, tmp_path / "out", options=options)
    assert not result.trusted
    assert result.reasons[0].startswith("the brain is cut off")
    html = result.page.read_text()
    assert 'class="notices"' in html
    assert "Do not trust this segmentation, because" in html
    assert "cut off by the &lt;edge&gt;" in html
    assert "<edge>" not in html
    assert "a&lt;b&gt;" in html
    assert "not a medical device" in html
    row = io.load_table(tmp_path / "out" / "group_segmentation.tsv").iloc[0]
    assert row["trusted"] == "no"
    assert "noise" in row["reasons"]


@pytest.mark.usefixtures("drawn")
def test_the_page_tells_volumes_and_model(head: Path, tmp_path: Path, options: Options) -> None:
    (result,) = segment_brain(head, tmp_path / "out", options=options)
    html = result.page.read_text()
    card = io.load_json(options.model / "card.json")
    for word in ("Trusted", "hippocampus", "left (ml)", card["weights_sha256"], "map-5 and 3 more",
                 "9000", "dice: 0.8765", "SynthSeg",
                 "a note of the toy", "No step raised a warning"):  # fmt: skip
        assert word in html, word
    assert html.count("data:image/png") == 3
    assert "http" not in html.replace("http-equiv", "")


def test_soft_probabilities_name_their_volumes(
    head: Path, tmp_path: Path, options: Options
) -> None:
    out = tmp_path / "out"
    segment_brain(head, out, options=replace(options, soft=True))
    path = out / "head_seg-brainnet_res-network_probseg.nii.gz"
    known = io.load_json(segment.sidecar_path(path))
    assert io.load_img(path).shape[3] == len(known["LabelMap"]) == 5
    assert known["LabelMap"][0] == "background"
    assert known["Resolution"] == "4 mm, grid of the network"


def test_a_dataset_gives_a_derivative_that_the_participant_level_takes(
    tmp_path: Path, options: Options
) -> None:
    scans = {
        "sub-01/anat/sub-01_T1w.nii.gz": toy.head(),
        "sub-01/anat/sub-01_FLAIR.nii.gz": toy.head(broken=True),
        "sub-01/func/sub-01_task-rest_bold.nii.gz": toy.head(),
        "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz": toy.head(),
    }
    bids_dir, out = toy.dataset(tmp_path / "bids", scans), tmp_path / "out"
    results = segment_brain(bids_dir, out, options=options)
    assert [each.failure for each in results] == ["", "", ""]
    assert (out / "sub-01/anat/sub-01_space-FLAIR_desc-brain_mask.nii.gz").exists()
    t1w = next(each for each in index(bids_dir) if each.path.name == "sub-01_T1w.nii.gz")
    steps = Steps(lambda _name: None)
    given = precomputed.find(t1w, [out], steps)
    assert given.mask == out / "sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    assert set(given.tissue) == {"GM", "WM", "CSF"}
    assert not steps.warnings
    flair = io.load_json(out / "sub-01/anat/sub-01_space-FLAIR_desc-brain_mask.json")
    assert flair["SpatialReference"] == "bids:raw:sub-01/anat/sub-01_FLAIR.nii.gz"
    html = (out / "sub-01_T1w_segmentation.html").read_text()
    assert "reference" not in html.rpartition("Provenance")[2]
    only = replace(options, suffixes=["T1w"], labels=["sub-02"])
    (result,) = segment_brain(bids_dir, tmp_path / "one", options=only)
    assert result.page == tmp_path / "one" / "sub-02_ses-1_T1w_segmentation.html"


def test_results_of_a_dataset_are_valid_bids(tmp_path: Path, options: Options) -> None:
    validator = shutil.which("bids-validator-deno")
    if validator is None:
        pytest.skip("bids-validator-deno is not installed")
    scans = {f"sub-01/anat/sub-01_{kind}.nii.gz": toy.head() for kind in ("T1w", "T2w")}
    bids_dir, out = toy.dataset(tmp_path / "bids", scans), tmp_path / "out"
    segment_brain(bids_dir, out, options=replace(options, soft=True))
    done = subprocess.run([validator, "--json", str(out)], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [each for each in issues if each["severity"] == "error"] == []


def test_simulated_data_are_called_so(tmp_path: Path, options: Options) -> None:
    scans = {"sub-01/anat/sub-01_T1w.nii.gz": toy.head()}
    bids_dir = toy.dataset(tmp_path / "bids", scans, name="simulated heads")
    (result,) = segment_brain(bids_dir, tmp_path / "out", options=options)
    assert "SIMULATED DATA" in result.page.read_text()
    one = bids_dir / "sub-01/anat/sub-01_T1w.nii.gz"
    (result,) = segment_brain(one, tmp_path / "one", options=options)
    assert "SIMULATED DATA" in result.page.read_text()


def test_the_participant_level_is_warned_of_a_doubtful_segmentation(
    tmp_path: Path, options: Options
) -> None:
    scans = {"sub-01/anat/sub-01_T1w.nii.gz": toy.head(broken=True)}
    bids_dir, out = toy.dataset(tmp_path / "bids", scans), tmp_path / "out"
    segment_brain(bids_dir, out, options=options)
    (t1w,) = index(bids_dir)
    steps = Steps(lambda _name: None)
    assert precomputed.find(t1w, [out], steps).tissue is not None
    (warning,) = steps.warnings
    assert "sub-01_T1w.nii.gz is not to be trusted" in warning
    assert "cut off by the <edge>; noise" in warning


def test_a_damaged_name_in_a_dataset_fails_that_image(tmp_path: Path, options: Options) -> None:
    scans = {
        "sub-01/anat/sub-01_T1w.nii.gz": toy.head(),
        "sub-02/anat/sub-02_foo-1_T1w.nii.gz": toy.head(),
        "sub-02/anat/sub-03_T1w.nii.gz": toy.head(),
        "sub-03/anat/sub-03_T1w.nii.gz": toy.head(),
        "sub-04/anat/sub-04_T1w.nii.gz": toy.head(),
        "sub-04/anat/sub-04_desc-other_T1w.nii.gz": toy.head(),
    }
    bids_dir, out = toy.dataset(tmp_path / "bids", scans), tmp_path / "out"
    results = segment_brain(bids_dir, out, options=options)
    failures = {each.image.relative_to(bids_dir).as_posix(): each.failure for each in results}
    assert list(failures) == sorted(scans)
    assert "got 'foo'. Rename it" in failures["sub-02/anat/sub-02_foo-1_T1w.nii.gz"]
    assert "sub-02_foo-1_T1w.nii.gz: " in failures["sub-02/anat/sub-02_foo-1_T1w.nii.gz"]
    assert "its name says sub-03" in failures["sub-02/anat/sub-03_T1w.nii.gz"]
    for name in ("sub-04_T1w", "sub-04_desc-other_T1w"):
        assert "results of one name" in failures[f"sub-04/anat/{name}.nii.gz"]
    assert [name for name in failures if not failures[name]] == [
        "sub-01/anat/sub-01_T1w.nii.gz", "sub-03/anat/sub-03_T1w.nii.gz",
    ]  # fmt: skip
    assert (out / "sub-03" / "anat" / "sub-03_desc-brain_mask.nii.gz").exists()
    assert (out / "sub-03_T1w_segmentation.html").exists()


@pytest.mark.parametrize(
    "given, word",
    [
        (["nowhere.nii.gz"], "does not exist"),
        (["text.txt"], "not a .nii"),
        (["empty"], "holds no .nii"),
        (["empty", "in/head.nii.gz"], "is a folder"),
        (["in/head.nii.gz", "other/head.nii.gz"], "one name"),
        (["in/head.nii.gz", "in/HEAD.nii"], "one name"),
        (["out/head.nii.gz"], "where the results are to go"),
    ],
)
def test_what_cannot_be_run_is_one_message_before_anything_is_written(
    given: list[str], word: str, head: Path, tmp_path: Path, options: Options
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no image")
    for name in ("other/head.nii.gz", "in/HEAD.nii", "out/head.nii.gz"):
        io.save_img(toy.head(), tmp_path / name)
    before = _names(tmp_path)
    with pytest.raises(DataError, match=word):
        segment_brain([tmp_path / each for each in given], tmp_path / "out", options=options)
    assert _names(tmp_path) == before


def test_datasets_only_options_are_refused_elsewhere(
    head: Path, tmp_path: Path, options: Options
) -> None:
    with pytest.raises(DataError, match="--suffix"):
        segment_brain(head, tmp_path / "out", options=replace(options, suffixes=["T1w"]))
    bids_dir = toy.dataset(tmp_path / "bids", {"sub-01/anat/sub-01_T1w.nii.gz": toy.head()})
    with pytest.raises(DataError, match="no image of the kinds FLAIR"):
        segment_brain(bids_dir, tmp_path / "out", options=replace(options, suffixes=["FLAIR"]))
    with pytest.raises(DataError, match="is a file"):
        segment_brain(head, head, options=options)


@pytest.mark.parametrize("lost", ["card.json", "weights.safetensors", None])
def test_a_missing_model_is_one_message(
    lost: str | None, head: Path, tmp_path: Path, options: Options
) -> None:
    if lost:
        (options.model / lost).unlink()
    else:
        options = replace(options, model=tmp_path / "nowhere")
    with pytest.raises(DataError, match=lost or "not the folder of a model"):
        segment_brain(head, tmp_path / "out", options=options)
    assert not (tmp_path / "out").exists()


def test_nothing_to_segment_is_refused(tmp_path: Path, options: Options) -> None:
    with pytest.raises(ValueError, match="at least one"):
        segment_brain([], tmp_path / "out", options=options)


def test_memory_must_be_positive() -> None:
    with pytest.raises(ValueError, match="max_memory must be positive"):
        Options(max_memory=0)


@pytest.mark.parametrize(
    "name, mask",
    [
        ("my head (1).nii.gz", "my head (1)_desc-brain_mask.nii.gz"),
        ("sub-01_ses-2_T1w.nii", "sub-01_ses-2_desc-brain_mask.nii.gz"),
        ("sub-01_desc-preproc_T1w.nii.gz", "sub-01_desc-brain_mask.nii.gz"),
        ("sub-01_space-MNI_T2w.nii.gz", "sub-01_space-MNI_desc-brain_mask.nii.gz"),
        ("T1w.nii.gz", "T1w_desc-brain_mask.nii.gz"),
        ("sub-01_visit-1_T1w.nii.gz", "sub-01_visit-1_T1w_desc-brain_mask.nii.gz"),
    ],
)
def test_results_are_named_after_the_image(name: str, mask: str) -> None:
    image = segment_images.Image(Path("in") / name, Path("out"))
    assert image.path("mask", desc="brain") == Path("out") / mask


def test_colours_are_one_a_structure() -> None:
    table = resources.files("brainnet.models.voxel") / "tables" / "brain.tsv"
    regions = io.load_table(Path(str(table)))
    colors = segment_tables.label_table(regions).groupby("structure")["color"].unique()
    assert all(len(each) == 1 for each in colors)
    assert len({each[0] for each in colors}) == len(colors)
    assert all(len(each[0]) == 7 for each in colors)


def test_sides_stand_in_one_row_each() -> None:
    volumes = toy.find(toy.head()).volumes
    table = sides_table(volumes).set_index("structure")
    assert table.loc["white", "left (ml)"] == pytest.approx((7 * 18 * 14 - 45) * 0.064)
    left, right = 7 * 18 * 14 - 45, 7 * 18 * 14
    expected = 100 * (left - right) / ((left + right) / 2)
    assert table.loc["white", "asymmetry (%)"] == pytest.approx(expected)
    assert table.loc["white", "expected Dice"] == 0.8
    assert np.isnan(table.loc["hippocampus", "right (ml)"])
    assert np.isnan(table.loc["fluid", "asymmetry (%)"])
    assert table.loc["fluid", "both (ml)"] > 0


def test_a_verdict_without_reasons_is_a_warning_still() -> None:
    (notice,) = quality_notices({"Trusted": False, "Score": 0.1, "Reasons": []})
    assert isinstance(notice, Notice)
    assert "too low" in notice.what


def test_a_ct_is_windowed_for_the_eye() -> None:
    img = toy.head()
    ct_img = toy.Nifti1Image(np.asarray(img.dataobj) - np.int16(1000), img.affine)
    assert visible(ct_img, is_ct=False) is ct_img
    shown_img = visible(ct_img, is_ct=True)
    shown = np.asarray(shown_img.dataobj)
    assert shown.min() == -20
    assert shown.max() <= 100
    assert shown_img.header["sform_code"] == ct_img.header["sform_code"]


def test_a_ct_is_what_the_network_read_as_such(
    head: Path, tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def look(img: toy.Nifti1Image, *, is_ct: bool) -> toy.Nifti1Image:
        seen.append(is_ct)
        return img

    monkeypatch.setattr(report, "visible", look)
    segment_brain(head, tmp_path / "out", options=options)
    found = toy.find(toy.head())
    found.notes = ("read as CT: Hounsfield units from -20 to 100",)
    monkeypatch.setattr(toy, "find", lambda _img: found)
    segment_brain(head, tmp_path / "ct", options=options)
    assert seen == [False, True]


def test_methods_tell_of_flips_only_where_there_were(
    head: Path, tmp_path: Path, options: Options
) -> None:
    (plain,) = segment_brain(head, tmp_path / "plain", options=options)
    mirrored = replace(options, flips=segment.MIRRORED)
    (both,) = segment_brain(head, tmp_path / "both", options=mirrored)
    words = "segmented flipped too"
    assert words not in plain.page.read_text()
    assert words in both.page.read_text()


def test_a_network_in_onnx_is_taken(head: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra compress is not installed")
    folder = toy.onnx_model(tmp_path / "onnx")
    assert segment.runner_of(segment.model_files(folder)).startswith("onnxruntime ")
    (result,) = segment_brain(head, tmp_path / "out", options=Options(model=folder))
    assert not result.failure
    html = result.page.read_text()
    mark = io.sha256(folder / "model.onnx")
    assert html.count(mark) == 2  # of the card, of the provenance
    known = io.load_json(tmp_path / "out" / "head_seg-brainnet_dseg.json")
    assert known["Method"].endswith(mark[:8])
    (folder / "model.onnx").unlink()
    with pytest.raises(DataError, match=r"model\.onnx: the model's file is missing"):
        segment_brain(head, tmp_path / "out", options=Options(model=folder))


# the anatomical pipeline


@pytest.fixture
def anatomy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple:
    """The scan of a toy, the paths of its results, and steps that only find the brain."""
    bids_dir = toy.dataset(tmp_path / "bids", {"sub-01/anat/sub-01_T1w.nii.gz": toy.head()})
    files = segment.model_files(toy.model(tmp_path / "model"))
    monkeypatch.setattr(structures, "model_files", lambda: files)
    ran: list[str] = []

    def execute(name, function, *, inputs, outputs, parameters, seed=None):
        ran.append(name)
        if name == "bias field":
            return segment_none(outputs)
        return run_step(
            name, function, inputs=inputs, outputs=outputs, parameters=parameters, seed=seed
        )

    def segment_none(outputs):
        from brainnet.workflows.engine.step import StepResult

        return StepResult(dict(outputs), False, [], 0.0)

    (scan,) = index(bids_dir)
    settings = Settings(segmentation="network")
    paths = anatomical._paths(scan, tmp_path / "out", settings)
    return scan, paths, settings, Steps(lambda _name: None, execute), ran


def test_anatomy_takes_brain_and_tissue_from_the_network(anatomy: tuple) -> None:
    scan, paths, settings, steps, ran = anatomy
    anatomical._brain(scan, precomputed.Given(), paths, settings, steps)
    assert ran == ["brain segmentation", "bias field"]
    truth = np.asarray(toy.head().dataobj) // toy.SCALE
    np.testing.assert_array_equal(io.load_img(paths["mask"]).dataobj, truth > 0)
    np.testing.assert_array_equal(io.load_img(paths["GM"]).dataobj, truth == 17)
    assert paths["structures"].name == "sub-01_seg-brainnet_morph.tsv"
    assert "left hippocampus" in set(io.load_table(paths["structures"])["name"])
    for key, words in (("mask", page_methods.mask_words), ("GM", page_methods.tissue_words)):
        known = io.load_json(segment.sidecar_path(paths[key]))
        assert words(known) == page_methods.NETWORK
        assert "weights" in known["Brainnet"]["Inputs"]
    assert io.load_json(segment.sidecar_path(paths["mask"]))["VolumeMillilitres"] > 0


def test_a_given_mask_wins_and_bounds_the_tissue(anatomy: tuple, tmp_path: Path) -> None:
    scan, paths, settings, steps, ran = anatomy
    img = toy.head()
    half = np.zeros(img.shape, np.uint8)
    half[:12, :, :] = 1
    given = io.save_img(toy.Nifti1Image(half, img.affine), tmp_path / "given.nii.gz")
    anatomical._brain(scan, precomputed.Given(mask=given), paths, settings, steps)
    assert ran == ["brain mask as given", "brain segmentation", "bias field"]
    np.testing.assert_array_equal(io.load_img(paths["mask"]).dataobj, half)
    truth = np.asarray(img.dataobj) // toy.SCALE
    white = np.isin(truth, (2, 41)) & (half > 0)
    np.testing.assert_array_equal(io.load_img(paths["WM"]).dataobj, white)


def test_anatomy_warns_of_a_segmentation_not_to_be_trusted(anatomy: tuple) -> None:
    scan, paths, settings, steps, _ = anatomy
    io.save_img(toy.head(broken=True), scan.path)
    anatomical._brain(scan, precomputed.Given(), paths, settings, steps)
    (warning,) = steps.warnings
    assert "not to be trusted: the brain is cut off" in warning
    assert "--segmentation mixture" in warning


def test_the_default_leaves_the_network_alone(anatomy: tuple, tmp_path: Path) -> None:
    scan, _, _, _, _ = anatomy
    paths = anatomical._paths(scan, tmp_path / "out", Settings())
    assert "structures" not in paths


def test_settings_that_contradict_one_another() -> None:
    with pytest.raises(ValueError, match="--skull-strip"):
        Settings(segmentation="network", skull_strip="skip")
    with pytest.raises(ValueError, match="mixture or network"):
        Settings(segmentation="deepbet")  # type: ignore[arg-type]


def test_the_page_counts_the_images_of_all_stages_of_training() -> None:
    first = {"weights_sha256": "0" * 64, "training": {"n_images": 5, "seconds": 7.0, "start": None}}
    second = first | {"training": {"n_images": 20, "start": first}}
    for start, images in ((None, "100"), (first, "105"), (second, "125"), ({"data": None}, "100")):
        card = {"training": {"n_images": 100, "seconds": 1.0, "start": start}}
        rows = dict(report.model_section(card).tables[0].frame.to_numpy())
        assert rows["images seen in training"] == images


def test_methods_name_the_network_once() -> None:
    from brainnet.report.methods import methods_text

    text = methods_text({"anatomical": {"brain_mask": "network", "tissue": "network"}})
    assert text.text.count("brainnet's network") == 2
    assert ["SynthSeg" in each for each in text.citations] == [True, False]


def test_volumes_survive_the_table(head: Path, tmp_path: Path, options: Options) -> None:
    segment_brain(head, tmp_path / "out", options=options)
    table = io.load_table(tmp_path / "out" / "head_seg-brainnet_morph.tsv")
    pd.testing.assert_frame_equal(
        sides_table(table), sides_table(toy.find(toy.head()).volumes), check_dtype=False
    )
