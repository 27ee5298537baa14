"""How networks were made, from the records beside the files of each step."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from brainnet import cohort, io
from brainnet.workflows.engine.step import sidecar_path
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.preprocessing import (
    UNRECORDED,
    Records,
    canonical,
    differences,
    merged,
)
from tests.workflows import made_networks as made

Paths = Mapping[str, Path]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "derivatives"
    made.describe(folder)
    made.put(folder, "01", 1)
    return folder


def smooth(inputs: Paths, outputs: Paths, *, fwhm: float, t_r: float) -> dict[str, dict[str, str]]:
    io.save_text(inputs["bold"].read_text() + f"{fwhm}", outputs["timeseries"])
    return {"timeseries": {"Confounds": "24P"}}


def correlate(inputs: Paths, outputs: Paths, *, kind: str) -> None:
    io.save_text(inputs["timeseries"].read_text() + kind, outputs["network"])


def test_the_engines_own_records_are_followed_to_the_scan(tmp_path: Path) -> None:
    """Two steps of the engine, with a raw image and an atlas of the user's own as inputs."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    io.save_json({"Name": "raw", "BIDSVersion": "1.10.0"}, raw / "dataset_description.json")
    made.describe(out)
    bold = io.save_text("bold", raw / "sub-01" / "func" / "sub-01_task-rest_bold.nii")
    atlas = io.save_text("labels", out / "atlas" / "seg-mine_dseg.nii.gz")
    network = made.network_path(out, "01", "functional")
    series = network.with_name("sub-01_timeseries.tsv")
    steps = Steps(lambda _: None)
    steps.run("smoothing", smooth, inputs={"bold": bold, "atlas": atlas},
              outputs={"timeseries": series}, parameters={"fwhm": 6.0, "t_r": 2.2})  # fmt: skip
    steps.run("functional network", correlate, inputs={"timeseries": series},
              outputs={"network": network}, parameters={"kind": "pearson"})  # fmt: skip
    assert Records().of_network(network, "functional") == {
        "scan": {"task": ["rest"]},
        "functional network": {"kind": ["pearson"]},
        "smoothing": {
            "fwhm": [6.0],
            "Confounds": ["24P"],
            "atlas sha256": [io.sha256(atlas)],
        },
    }


def test_what_describes_a_scan_is_not_a_choice(out: Path) -> None:
    path = made.network_path(out, "01", "metabolic")
    found = Records().of_network(path, "metabolic")
    assert found["metabolic network"] == {"kind": ["js"]}
    assert found["scan"] == {"tracer": ["FDG"]}
    assert found["registration to MNI"] == {"quality": ["standard"]}
    assert UNRECORDED not in found


@pytest.mark.parametrize("damage", ["gone", "cut", "empty", "elsewhere", "outside"])
def test_a_record_that_breaks_off_is_told(out: Path, damage: str) -> None:
    path = made.network_path(out, "01", "morphological")
    moved = out / "sub-01" / "anat" / "moved.json"
    if damage == "gone":
        moved.unlink()
    elif damage == "cut":
        moved.write_bytes(moved.read_bytes()[:-20])
    elif damage == "empty":
        io.save_json({"Sources": []}, moved)
    else:
        made.record(out.parent / "scan.nii.gz", "another", {}, {})
        where = "somewhere.nii.gz" if damage == "elsewhere" else "bids::../scan.nii.gz"
        made.record(path, "morphological network", {}, {"moved": where})
    assert UNRECORDED in Records().of_network(path, "morphological")


def test_the_regional_tables_beside_a_network_count_too(out: Path) -> None:
    values = made.name(out, "01", "metabolic", "pet", stat="mean")
    made.record(values, "regional uptake", {"erode": 2}, {})
    path = made.network_path(out, "01", "metabolic")
    assert Records().of_network(path, "metabolic")["regional uptake"] == {"erode": [2]}


def test_records_that_lead_back_to_themselves_end(out: Path) -> None:
    path = made.network_path(out, "01", "functional")
    made.record(path, "functional network", {}, {"itself": made.uri(path, out)})
    assert "functional network" in Records().of_network(path, "functional")


def test_a_cohort_has_all_that_was_done_to_any_of_it(out: Path) -> None:
    made.put(out, "02", 2, quality="draft")
    found = cohort.sources(out, made.ATLAS)
    whole = Records().of_cohort(found)
    assert whole["functional"]["registration to MNI"]["quality"] == ["draft", "standard"]
    one = Records().of_cohort(found, ["01"])
    assert differences(one, whole) == []
    assert differences(whole, one) == [
        "registration to MNI: quality 'draft' (functional, metabolic, morphological), "
        "the model's is 'standard'"
    ]
    assert merged([one, Records().of_cohort(found, ["02"])]) == whole


def test_each_sidecar_is_read_once(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    load = io.load_json
    monkeypatch.setattr(io, "load_json", lambda path: read.append(Path(path)) or load(path))
    found = cohort.sources(out, made.ATLAS)
    read.clear()
    Records().of_cohort(found)
    assert sidecar_path(out / "sub-01" / "anat" / "moved.nii.gz") in read
    assert len(read) == len(set(read))


def test_the_same_record_is_the_same_text() -> None:
    one = {"functional": {"b": {"k": [2, 1]}, "a": {}}}
    other = {"functional": {"a": {}, "b": {"k": [1, 2]}}}
    assert canonical(one) == canonical(other)
    assert canonical(one) != canonical({"functional": {"a": {}, "b": {"k": [1]}}})


@pytest.mark.parametrize(
    "given, words",
    [
        ({"tissue as given": {"maker": ["fMRIPrep"]}}, "steps that no network of the model went "
         "through: 'tissue as given' (functional)"),
        ({UNRECORDED: {}}, "no record of how they were made (functional)"),
        ({"registration": {"quality": ["draft"]}}, "registration: quality 'draft' (functional), "
         "the model's is 'standard' or 'fine'"),
        ({"registration": {"engine": ["ants"]}}, "the model's is not there"),
        ({"registration": {"quality": ["fine"]}}, ""),
    ],
)  # fmt: skip
def test_differences_name_step_value_and_modality(given: dict, words: str) -> None:
    known = {"functional": {"registration": {"quality": ["standard", "fine"]}}}
    assert words in "".join(differences({"functional": given}, known))
    assert bool(differences({"functional": given}, known)) == bool(words)
    assert differences({"metabolic": given}, known) == [], "the model does not use it"


def test_a_model_without_records_says_so_in_one_sentence() -> None:
    known = {each: {UNRECORDED: {}, "scan": {"task": ["rest"]}} for each in ("a", "b")}
    given = {each: {"x": {}, "y": {}} for each in ("a", "b")}
    assert differences(given, known) == [
        "the model's networks (a, b) have no record of how they were made"
    ]
    assert differences(known, known) == []
    assert differences({"a": {UNRECORDED: {}, "y": {}}}, known) == [
        "steps that no network of the model went through: 'y' (a)"
    ]
