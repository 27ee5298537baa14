"""One participant's end, however bad, is not another's."""

import os
import signal
from pathlib import Path

import pytest

from brainnet import io
from brainnet.workflows.engine import Attempts, Outcome, run_all
from brainnet.workflows.resources import Resources


def work(label: str, deed: str, new_steps: object) -> Outcome:
    """Do what the label is told: go well, raise, or die."""
    if deed == "raise":
        raise ZeroDivisionError("by zero")
    if deed == "refuse":
        raise io.DataError(Path(f"sub-{label}_T1w.nii.gz"), "is broken", "Copy it again.")
    if deed == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(label, pages=[Path(f"sub-{label}.html")])


def test_failures_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    deeds = {"01": ("raise",), "02": ("refuse",), "03": ("well",)}
    first, second, third = run_all(work, deeds, tmp_path / "logs")
    assert "ZeroDivisionError: by zero" in first.failures[0]
    assert "Traceback" in (tmp_path / "logs" / "sub-01.log").read_text()
    assert "sub-02_T1w.nii.gz" in second.failures[0]
    assert "Copy it again" in second.failures[0]
    assert third.failures == []


@pytest.mark.filterwarnings("default")
def test_a_killed_worker_fails_its_own_participant_only(tmp_path: Path) -> None:
    deeds = {
        "01": ("die",),
        "02": ("well",),
        "03": ("raise",),
        "04": ("well",),
    }
    outcomes = run_all(work, deeds, tmp_path / "logs", resources=Resources(n_procs=2))
    assert [outcome.label for outcome in outcomes] == ["01", "02", "03", "04"]
    assert [len(outcome.failures) for outcome in outcomes] == [1, 0, 1, 0]
    assert "killed" in outcomes[0].failures[0]


def test_the_last_failure_is_marked_until_it_is_mended(tmp_path: Path) -> None:
    run_all(work, {"01": ("raise",)}, tmp_path / "logs")
    assert "by zero" in (tmp_path / "logs" / "sub-01.failed").read_text()
    run_all(work, {"01": ("well",)}, tmp_path / "logs")
    assert not (tmp_path / "logs" / "sub-01.failed").exists()


def test_failures_do_not_say_where_the_dataset_lies(tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        raise io.DataError(path, "is broken", "Copy it again")

    attempt = Attempts("01", tmp_path / "logs", hide=(tmp_path / "bids",))
    assert attempt(refuse, tmp_path / "bids" / "sub-01" / "x.nii.gz") is None
    assert attempt.failures == ["sub-01/x.nii.gz: is broken. Copy it again."]


def test_a_negative_number_of_workers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--nprocs.*-1"):
        Resources(n_procs=-1)
