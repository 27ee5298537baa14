"""The BIDS validator before a run: what stops the run, what one participant, and what nobody."""

import io as streams
import json
import os
import sys
from contextlib import suppress

import pytest

from brainnet.io import DataError
from brainnet.workflows import validation
from brainnet.workflows.validation import validate

pytestmark = pytest.mark.skipif(
    validation._command() is None, reason="the BIDS validator (bids-validator-deno) is absent"
)


@pytest.fixture
def dataset(tmp_path):
    """Two participants with a T1w image and a BOLD run each: valid."""
    root = tmp_path / "data"
    put(root, "dataset_description.json", {"Name": "toy", "BIDSVersion": "1.10.0"})
    put(root, "README.md", "A toy dataset, long enough to be taken for a README by the validator.")
    put(root, "task-rest_bold.json", {"TaskName": "rest", "RepetitionTime": 2.0})
    for label in ("01", "02"):
        put(root, f"sub-{label}/anat/sub-{label}_T1w.nii.gz", "x")
        put(root, f"sub-{label}/func/sub-{label}_task-rest_bold.nii.gz", "x")
    return root


def put(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_valid_dataset_passes(dataset):
    report = validate(dataset)
    assert (report.ran, report.n_errors, report.dataset, report.participants) == (True, 0, [], {})
    report.check(["01", "02"])
    report.check_participant("01")
    assert report.summary == "BIDS validator: 0 errors"


def test_the_simulated_dataset_passes(demo_dir):
    assert validate(demo_dir / "bids").n_errors == 0


def test_an_error_of_the_dataset_stops_the_run(dataset):
    put(dataset, "dataset_description.json", {"BIDSVersion": "1.10.0"})
    put(dataset, "notes.txt", "x")
    report = validate(dataset)
    with pytest.raises(DataError, match=r"Name.*--skip-bids-validation") as caught:
        report.check(["01"])
    assert "NOT_INCLUDED (/notes.txt)" in str(caught.value)
    (dataset / ".bidsignore").write_text("notes.txt\n")
    assert not any("notes" in issue.location for issue in validate(dataset).dataset)


def test_an_error_of_one_participant_is_theirs_alone(dataset):
    name = "sub-01/func/sub-01_task-rest_bold.json"
    put(dataset, name, {"RepetitionTime": "two seconds"})
    report = validate(dataset)
    assert list(report.participants) == ["01"]
    report.check(["01", "02"])
    report.check_participant("02")
    with pytest.raises(DataError, match=r"sub-01: is not valid BIDS: .*sub-01_task-rest_bold"):
        report.check_participant("01")
    with pytest.raises(DataError, match="is not valid BIDS"):  # nobody is left
        report.check(["01"])


def test_what_is_not_read_or_checked_later_is_only_counted(dataset):
    put(dataset, "sub-01/func/sub-01_task-rest_events.tsv", "when\n1\n")
    (dataset / "sub-02/anat/sub-02_T1w.nii.gz").write_bytes(b"")  # the gate's to tell
    (dataset / "task-rest_bold.json").write_text('{"TaskName": "rest"}')  # the pipeline's
    report = validate(dataset)
    assert report.n_errors >= 3
    assert report.participants == {}
    report.check(["01", "02"])


def test_names_in_the_message_cannot_forge_lines(dataset):
    put(dataset, "no\n\x1b[2Jte\u202e.txt", "x")
    with pytest.raises(DataError) as caught:
        validate(dataset).check()
    assert str(caught.value).isprintable()


def test_links_in_circles_and_out_of_the_dataset(dataset, tmp_path):
    (dataset / "sub-01/anat/circle").symlink_to("..")
    with suppress(DataError):  # the validator follows it until the system stops it
        validate(dataset, minutes=0.2)
    (dataset / "sub-01/anat/circle").unlink()
    elsewhere = put(dataset.parent, "annex/sub-03/anat/sub-03_T1w.nii.gz", "x").parents[1]
    (dataset / "sub-03").symlink_to(elsewhere)
    assert validate(dataset).n_errors == 0


def test_a_dataset_that_looks_like_an_option(dataset, monkeypatch):
    other = dataset.rename(dataset.with_name("--recursive"))
    monkeypatch.chdir(other.parent)
    assert validate("--recursive").n_errors == 0


def test_too_slow(dataset):
    with pytest.raises(DataError, match=r"took more than 1e-05 minutes.*--skip-bids-validation"):
        validate(dataset, minutes=1e-5)


@pytest.mark.parametrize(
    "code", ["import sys; sys.exit('out of\\nmemory')", "print('no report')", "print('[]')",
             """print('{"issues":{"issues":[{"code":"X"}')""", "import os; os.kill(os.getpid(), 9)"]
)  # fmt: skip
def test_a_validator_that_crashes(dataset, monkeypatch, code):
    monkeypatch.setattr(validation, "_command", lambda: [sys.executable, "-c", code])
    with pytest.raises(DataError, match=r"stopped with status -?\d+ and no report"):
        validate(dataset)


def test_without_the_validator_the_run_goes_on_and_says_so(dataset, monkeypatch):
    monkeypatch.setattr(validation, "_command", lambda: None)
    report = validate(dataset)
    report.check(["01"])
    report.check_participant("01")
    assert "not installed" in report.summary
    assert "pip install" in report.summary


def test_the_validator_can_neither_write_nor_call_home(dataset):
    command = validation._command()
    assert not {"--allow-write", "--allow-net", "--allow-run", "--allow-all", "-A"} & set(command)
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*")}
    validate(dataset)
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*")} == before


def test_a_long_report_is_read_in_blocks(monkeypatch):
    issues = [{"code": "É" * (k % 7), "severity": "error", "location": f"/{k}"} for k in range(999)]
    text = json.dumps({"issues": {"issues": issues, "codeMessages": {}}, "summary": {}},
                      ensure_ascii=False, separators=(",", ":"))  # fmt: skip
    monkeypatch.setattr(validation, "_BLOCK", 64)
    stream = streams.BufferedReader(streams.BytesIO(text.encode()))
    assert list(validation._issues(stream)) == issues


def test_no_such_folder(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        validate(tmp_path / "none")
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_report_cut_into_blocks_anywhere_is_read_alike(monkeypatch):
    issues = [{"code": "A", "location": "/é.txt"}, {"code": "B"}, {"code": "Ω"}]
    text = json.dumps({"issues": {"issues": issues}, "summary": {}}, ensure_ascii=False,
                      separators=(",", ":")).encode()  # fmt: skip
    for size in range(1, len(text) + 1):
        monkeypatch.setattr(validation, "_BLOCK", size)
        with streams.BufferedReader(streams.BytesIO(text)) as stream:
            assert list(validation._issues(stream)) == issues, size
