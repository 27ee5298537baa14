"""Names and fields that try to leave the dataset, forge lines or become markup.

Each is refused with one clear error, or harmless: nothing is ever written outside the folder of
results, and nothing from a dataset becomes an element of a page.
"""

import json
import os
import struct
import zlib
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from brainnet import bids, cohort
from brainnet.bids.names import parse, shown
from brainnet.io import DataError, DataWarning
from brainnet.report.group import group_page
from brainnet.report.methods import methods_files, methods_text
from brainnet.report.page import Figure, Methods, Notice, Section, Table
from brainnet.report.participant import participant_page
from brainnet.workflows.engine.steps import Steps

LABELS = ("../../x", "..", ".", "", "/etc", "01/../02", "0\n1", "01\n", "01\0", "\u202e10", "a b",
          "<script>", "é", "０１", "$(id)", "'; --", "01_ses-2", "x" * 5000)  # fmt: skip
PNG = (
    b"\x89PNG\r\n\x1a\n"
    + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 1, 1, 8, 2, 0, 0, 0)
    + zlib.compress(b"\0" * 4)
)
HTML = "<script>alert(1)</script><img src=x onerror='alert(1)'>\"'&`{{7*7}}{% raw %}"


@pytest.fixture
def dataset(tmp_path):
    """One participant with a T1w image, a BOLD run and a PET image."""
    root = tmp_path / "data"
    put(root, "dataset_description.json", {"Name": "toy", "BIDSVersion": "1.10.0"})
    for name in ("anat/sub-01_T1w", "func/sub-01_task-rest_bold", "pet/sub-01_trc-FDG_pet"):
        put(root, f"sub-01/{name}.nii.gz", None)
    return root


def put(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("" if content is None else json.dumps(content))
    return path


def snapshot(folder):
    """Return every name below a folder and what stands there."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not path.is_symlink()
    }


# --- labels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("label", LABELS)
def test_a_hostile_label_is_nobody(dataset, label):
    for spelt in (label, f"sub-{label}"):
        with pytest.raises(DataError, match="no participant") as caught:
            bids.participants(dataset, labels=["01", spelt])
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("label", LABELS[:-1])
def test_a_hostile_label_is_part_of_no_path(tmp_path, label):
    for entities in ({"sub": label}, {"sub": "01", "ses": label}, {"sub": "01", "task": label}):
        with pytest.raises(ValueError, match="must be letters and digits"):
            bids.derivative_path(tmp_path, entities, suffix="T1w", extension=".nii.gz")
    if label:
        with pytest.raises(ValueError, match="must be"):
            bids.derivative_path(
                tmp_path, {"sub": "01"}, suffix="T1w", extension=".tsv", datatype=label
            )
    with pytest.raises(ValueError, match="must be"):
        bids.derivative_path(tmp_path, {"sub": "01"}, suffix=label, extension=".tsv")
    assert parse(f"sub-{label}_T1w") == ({}, "") or label == "01_ses-2"


@pytest.mark.parametrize(
    "label", ["../../x", "..", "sub-../../x", "/etc/passwd", "a\\b", "0\n1", "\u202e10", "\x1b[2J"]
)
def test_a_hostile_label_in_the_participants_table_is_refused(tmp_path, label):
    table = pd.DataFrame({"participant_id": ["sub-01", label], "stage": ["CN", "AD"]})
    with pytest.raises(DataError, match="no participant can have") as caught:
        cohort.participants_table(tmp_path, table, None)
    assert str(caught.value).isprintable()


def test_markup_in_the_participants_table_is_only_text(tmp_path):
    table = pd.DataFrame({"participant_id": ["sub-01", "<b>x<b>"], "stage": ["CN", HTML]})
    found, _ = cohort.participants_table(tmp_path, table, None)
    assert list(found.index) == ["01", "<b>x<b>"]
    assert list(tmp_path.iterdir()) == []


# --- folders and files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["sub-<script>", "sub-0\n2", "sub-\u202e20", "sub-'\"", "sub-é", "sub-\x1b[2J", "sub-"]
)
def test_a_hostile_participant_folder_is_left_out_and_told(dataset, name):
    put(dataset, f"{name}/anat/sub-02_T1w.nii.gz", None)
    with pytest.warns(DataWarning, match="not a BIDS label") as told:
        assert bids.participants(dataset) == ["01"]
    assert all(str(each.message).isprintable() for each in told)
    with pytest.warns(DataWarning):
        assert {scan.subject for scan in bids.index(dataset)} == {"01"}


@pytest.mark.parametrize("name", ["an\nat", "<script>", "anat\u202e", "an at", "anat;ls", "ses-é"])
def test_a_hostile_folder_of_a_participant_is_left_out_and_told(dataset, name):
    put(dataset, f"sub-01/{name}/sub-01_acq-x_T1w.nii.gz", None)
    with pytest.warns(DataWarning, match="left out") as told:
        assert len(bids.index(dataset)) == 3
    assert all(str(each.message).isprintable() for each in told)


@pytest.mark.parametrize("name", ["sub-01_acq-<b>_T1w", "sub-01_\u202e_T1w", "sub-01_T1w\n", "x y"])
def test_a_hostile_file_name_is_left_out_and_told(dataset, name):
    put(dataset, f"sub-01/anat/{name}.nii.gz", None)
    with pytest.warns(DataWarning, match="not a BIDS name") as told:
        assert len(bids.index(dataset)) == 3
    assert all(str(each.message).isprintable() for each in told)


def test_labels_that_differ_in_case_only_are_refused(dataset):
    for label in ("A1", "a1"):
        put(dataset, f"sub-{label}/anat/sub-{label}_T1w.nii.gz", None)
    if not (dataset / "sub-A1/anat/sub-A1_T1w.nii.gz").exists():
        pytest.skip("this disk does not tell case apart")
    with pytest.raises(DataError, match="sub-A1 and sub-a1 differ in case only"):
        bids.index(dataset)
    assert {s.subject for s in bids.index(dataset, subjects=["A1"])} == {"A1"}  # one at a time


@pytest.mark.filterwarnings("ignore::brainnet.io.DataWarning")  # what lies there has other names
def test_a_participant_folder_that_is_the_whole_disk_is_harmless(dataset):
    (dataset / "sub-root").symlink_to("/")
    found = bids.by_subject(bids.index(dataset))
    assert len(found["01"]) == 3
    assert all(scan.problem for scan in found.get("root", []))


def test_links_in_circles_end(dataset):
    (dataset / "sub-01/anat/again").symlink_to("..")
    (dataset / "sub-01/ses-1").symlink_to("..")
    (dataset / "sub-02").symlink_to("sub-01")
    (dataset / "derivatives").symlink_to(".")
    found = bids.by_subject(bids.index(dataset))
    assert sum(scan.problem is None for scan in found["01"]) == 3
    assert all("its name says sub-01" in str(scan.problem) for scan in found["02"])


def test_links_out_of_the_dataset_are_read_and_never_written(dataset, tmp_path):
    store = put(tmp_path, "store/sub-03/anat/sub-03_T1w.nii.gz", None).parents[1]
    (dataset / "sub-03").symlink_to(store)
    (scan,) = bids.index(dataset, subjects=["03"])
    made = bids.derivative_path(tmp_path / "out", scan, suffix="T1w", extension=".nii.gz")
    assert made == tmp_path / "out/sub-03/anat/sub-03_T1w.nii.gz"


# --- where results go -------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["sub-01", "sub-01/ses-1", "sub-01/ses-1/anat"])
def test_results_never_follow_a_link_out_of_their_folder(tmp_path, link):
    out, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    (out / link).parent.mkdir(parents=True, exist_ok=True)
    (out / link).symlink_to(outside)
    for target in (outside, tmp_path / "not-there-yet", tmp_path / "out-of-it"):
        (out / link).unlink()
        (out / link).symlink_to(target)
        with pytest.raises(DataError, match="leads out of the folder of results"):
            bids.derivative_path(
                out, {"sub": "01", "ses": "1"}, suffix="T1w", extension=".nii.gz", datatype="anat"
            )
    assert list(outside.iterdir()) == []


def test_links_that_stay_inside_and_a_folder_that_is_a_link_are_fine(tmp_path):
    (tmp_path / "real/elsewhere").mkdir(parents=True)
    (tmp_path / "real/sub-01").symlink_to("elsewhere")
    (tmp_path / "out").symlink_to("real")
    for out in (tmp_path / "out", tmp_path / "real", "."):
        path = bids.derivative_path(out, {"sub": "01"}, suffix="T1w", extension=".tsv")
        assert path.parent.name == "sub-01"


@pytest.mark.parametrize("name", ["logs", "atlas", "sourcedata", "sourcedata/simulated"])
def test_the_folders_beside_the_participants_must_not_lead_out_either(dataset, tmp_path, name):
    out, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).symlink_to(outside)
    with pytest.raises(DataError, match="leads out of the folder of results"):
        bids.write_dataset_description(out, dataset)
    assert not (out / "dataset_description.json").exists()
    assert list(outside.iterdir()) == []


def test_a_result_that_is_a_link_is_replaced_not_written_through(dataset, tmp_path):
    victim = put(tmp_path, "victim.json", {"keep": "me"})
    out = tmp_path / "out"
    out.mkdir()
    for name in ("README.md", ".bidsignore", "dataset_description.json"):
        (out / name).symlink_to(tmp_path / "nothing")
    (out / "README.md").unlink()
    (out / "README.md").symlink_to(victim)
    before = snapshot(tmp_path / "data")
    bids.write_dataset_description(out, dataset)
    assert json.loads(victim.read_text()) == {"keep": "me"}
    assert not (tmp_path / "nothing").exists()
    assert snapshot(tmp_path / "data") == before


# --- sidecars ---------------------------------------------------------------------------------


def test_hostile_fields_of_a_sidecar_name_nothing(dataset, tmp_path):
    fields = {"TaskName": "../../x", "TracerName": HTML, "IntendedFor": ["../../../etc/passwd"],
              "sub": "../x", "path": "/etc/passwd", "__class__": "x"}  # fmt: skip
    for name in ("func/sub-01_task-rest_bold", "pet/sub-01_trc-FDG_pet"):
        put(dataset, f"sub-01/{name}.json", fields)
    before = snapshot(dataset)
    for scan in bids.select(bids.index(dataset), datatype="func"):
        assert scan.metadata == fields
        assert scan.entities == {"sub": "01", "task": "rest"}
        path = bids.derivative_path(tmp_path / "out", scan, suffix="x", extension=".tsv")
        assert path == tmp_path / "out/sub-01/func/sub-01_task-rest_x.tsv"
    assert snapshot(dataset) == before


@pytest.mark.parametrize(
    "tracer", [HTML, "a\nb\n\n# heading", "\u202e", ["x"], {"a": 1}, 7, "x" * 9**5]
)
def test_a_hostile_tracer_is_a_short_line_of_the_methods(tracer):
    text = methods_text({"metabolic": {"tracer": tracer, "reference_region": "brainstem"}}).text
    assert text.isprintable()
    assert len(text) < 500


def test_methods_cannot_become_markup_in_markdown_or_bibtex():
    name = "<script>x</script> [a](javascript:alert(1)) ![b](http://x/y.png)\n# heading"
    markdown, entries = methods_files({"dataset": {"name": name}, "metabolic": {"tracer": name}})
    assert "<script" not in markdown
    assert "](" not in markdown
    assert [line for line in markdown.splitlines() if line.startswith("#")] == [
        "# Methods", "## References",
    ]  # fmt: skip
    assert "script" not in entries


# --- pages ------------------------------------------------------------------------------------


class _Elements(HTMLParser):
    """Counts what a browser would take for elements and attributes, and collects the text."""

    def __init__(self, page):
        super().__init__()
        self.counts = Counter()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.counts.update([tag, *(f"{tag} {key}" for key, _ in attrs)])

    def handle_data(self, data):
        self.text += data


def check(render):
    """Assert that hostile text makes the page that plain text makes, but for the text."""
    hostile, plain = _Elements(render(HTML)), _Elements(render("plain"))
    assert hostile.counts == plain.counts
    assert hostile.text.count("<script>alert(1)</script>") == plain.text.count("plain") > 15
    assert "{{7*7}}" in hostile.text  # nor is it a template


def parts(text):
    """Return every part of a page that may hold what a dataset says."""
    frame = pd.DataFrame({text: [text, "b"], "value": [1.0, np.nan]})
    figure = Figure(PNG, text, text, after=PNG, labels=(text, text), simulated=True)
    return {
        "summary": {text: text},
        "sections": [
            Section(text, text, [figure], [Table(text, frame, text)]),
            Section(text, missing=text),
        ],
        "warnings": [text, Notice(text, text, text, where=text)],
        "methods": Methods(f"{text} [1]", (text,)),
        "provenance": {text: text},
    }


def test_the_participants_page_shows_hostile_text_as_text():
    check(lambda text: participant_page(subject=text, session=text, **parts(text)))


def test_the_groups_page_shows_hostile_text_as_text():
    def render(text):
        flow = pd.DataFrame(
            {"subject": [text, "1"], "included": [False, True], "reason": [text, ""]}
        )
        return group_page(dataset=text, flow=flow, **parts(text))

    check(render)


# --- a step -----------------------------------------------------------------------------------


def make(inputs, outputs):
    """Write what a step writes."""
    from brainnet import io

    for path in outputs.values():
        io.save_text("made", path)


def test_a_step_writes_nothing_outside(dataset, tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    bids.write_dataset_description(out, dataset)
    scan = bids.index(dataset)[0]
    (out / "sub-01").mkdir()
    name = "sub-01_desc-x_T1w"
    (out / "sub-01/anat").mkdir()
    for end in (".tsv", ".json"):
        (out / f"sub-01/anat/{name}{end}").symlink_to(outside / f"planted{end}")
    path = bids.derivative_path(out, scan, suffix="T1w", extension=".tsv", desc="x")
    Steps(lambda _step: None).run("make", make, inputs={}, outputs={"x": path})
    assert path.read_text() == "made"
    assert not path.is_symlink()
    assert list(outside.iterdir()) == []


def test_names_are_shown_on_one_line():
    assert shown("sub-01") == "sub-01"
    assert shown("Ségonne 01") == "Ségonne 01"
    assert shown("a\nb\u202e\x1b[2J") == "a\\nb\\u202e\\x1b[2J"
    assert len(shown("x" * 9999)) < 250
    assert os.sep not in shown("\0")
