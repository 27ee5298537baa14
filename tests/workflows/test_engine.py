"""One participant's end, however bad, is not another's."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from brainnet import io
from brainnet.workflows import engine
from brainnet.workflows.engine import Attempts, NewSteps, Outcome, run_all
from brainnet.workflows.engine.outcome import mark
from brainnet.workflows.engine.resources import Resources
from tests.reliability import toy


def nap(inputs: Mapping[str, Path], outputs: Mapping[str, Path]) -> None:
    """Take long enough for another participant to fail."""
    time.sleep(2)
    io.save_text("rested\n", outputs["a"])


def work(label: str, deed: str, new_steps: NewSteps) -> Outcome:
    """Do what the label is told: go well, raise, or die."""
    if deed == "raise":
        raise ZeroDivisionError("by zero")
    if deed == "refuse":
        raise io.DataError(Path(f"sub-{label}_T1w.nii.gz"), "is broken", "Copy it again.")
    if deed == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "interrupt":
        raise KeyboardInterrupt
    if deed.startswith("nap in "):
        out = {"a": Path(deed.removeprefix("nap in ")) / f"sub-{label}.tsv"}
        new_steps().run("nap", nap, inputs={}, outputs=out)
    return Outcome(label, pages=[Path(f"sub-{label}.html")])


def manifest(log_dir: Path) -> list[dict[str, object]]:
    (path,) = log_dir.glob("run-*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


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
    assert not list(Path(tempfile.gettempdir()).glob(f"brainnet-*/{tmp_path.name}"))


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


def test_the_manifest_says_what_was_asked_and_what_became_of_each(tmp_path: Path) -> None:
    jobs = {"01": (tmp_path / "out",), "02": (tmp_path / "out",)}
    run_all(toy.process, jobs, tmp_path / "logs", asked={"bids_dir": tmp_path})
    first, *participants, last = manifest(tmp_path / "logs")
    assert first["bids_dir"] == str(tmp_path)
    assert [each["participant"] for each in participants] == ["01", "02"]
    for each in participants:
        assert each["status"] == "done"
        assert [step["step"] for step in each["steps"]] == list(toy.STEPS)  # type: ignore[index]
        for step in each["steps"]:  # type: ignore[attr-defined]
            assert step["seconds"] >= toy.STEPS[step["step"]][1]
            assert not step["skipped"]
    assert (last["done"], last["failed"]) == (2, 0)
    assert "stopped" not in last


def test_an_interrupted_run_says_so_and_keeps_what_ended(tmp_path: Path) -> None:
    jobs = {"01": ("well",), "02": ("interrupt",), "03": ("well",)}
    with pytest.raises(KeyboardInterrupt):
        run_all(work, jobs, tmp_path / "logs")
    _, first, last = manifest(tmp_path / "logs")
    assert first["participant"] == "01"
    assert (last["stopped"], last["done"]) == ("KeyboardInterrupt", 1)


@pytest.mark.parametrize("n_procs", [0, 1])
@pytest.mark.filterwarnings("default")
def test_nobody_is_started_after_the_first_crash(tmp_path: Path, n_procs: int) -> None:
    nap_there = (f"nap in {tmp_path}",)  # at work as the crash is heard of, it goes through
    jobs = {"01": ("well",), "02": ("raise",), "03": nap_there, "04": ("well",)}
    resources = Resources(n_procs=n_procs, stop_on_first_crash=True)
    outcomes = run_all(work, jobs, tmp_path / "logs", resources=resources)
    assert [outcome.label for outcome in outcomes] == list(jobs)
    assert outcomes[0].failures == []
    assert "by zero" in outcomes[1].failures[0]
    assert "--stop-on-first-crash" in outcomes[3].failures[0]


PICKLED = """
import sys
from pathlib import Path
from brainnet.workflows.engine import run_all
from brainnet.workflows.engine.resources import Resources
from tests.workflows.test_engine import work
outcomes = run_all(work, {"01": ("well",)}, Path(sys.argv[1]), resources=Resources(n_procs=1))
print(outcomes[0].pages, end="")
"""


def test_a_run_needs_no_port_that_another_has(tmp_path: Path) -> None:
    """Several runs on one machine are common: none warns, none opens itself to the network."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                   "PYTHONWARNINGS": "default::UserWarning"}  # fmt: skip
    runs = [
        subprocess.Popen([sys.executable, "-c", PICKLED, tmp_path / str(number)], text=True,
                         env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in range(2)
    ]  # fmt: skip
    for run in runs:
        printed, complaints = run.communicate(timeout=120)
        assert "sub-01.html" in printed
        assert "Port" not in complaints


def test_a_run_confined_to_less_does_not_mend_a_failure(tmp_path: Path) -> None:
    failed = tmp_path / "sub-01.failed"
    mark(Outcome("01", ["BOLD is cut"]), tmp_path)
    mark(Outcome("01", scope="--anat-only"), tmp_path)
    assert failed.read_text().splitlines()[0] == "BOLD is cut"
    mark(Outcome("01"), tmp_path)
    assert not failed.exists()
    mark(Outcome("01", ["T1w is cut"], scope="--anat-only"), tmp_path)
    mark(Outcome("01", scope="--task-id rest"), tmp_path)
    assert failed.exists()
    mark(Outcome("01", scope="--anat-only"), tmp_path)
    assert not failed.exists()


@pytest.mark.filterwarnings("default")
def test_who_is_at_work_when_another_crashes_ends_in_peace(tmp_path: Path) -> None:
    jobs = {f"{n:02}": (f"nap in {tmp_path}",) for n in range(1, 9)}  # 8 s of work in two hands
    jobs["02"] = ("raise",)
    resources = Resources(n_procs=2, stop_on_first_crash=True)
    outcomes = {
        each.label: each for each in run_all(work, jobs, tmp_path / "logs", resources=resources)
    }
    assert outcomes["02"].failures
    assert not outcomes["08"].started
    if outcomes["01"].started:  # it had begun, so it went through
        assert outcomes["01"].failures == []
        assert (tmp_path / "sub-01.tsv").exists()
    assert not list(tmp_path.glob(".*"))


def test_who_was_cut_off_from_the_scheduler_is_told_so() -> None:
    lost = SimpleNamespace(cancelled=lambda: True, exception=lambda: None)
    outcome = engine._result(lost, "01")
    assert not outcome.started
    assert "Run the same command again" in outcome.failures[0]


def test_a_participant_is_marked_while_it_computes(tmp_path: Path) -> None:
    mark, seen = tmp_path / "logs" / "sub-01.running", []

    def step(inputs: Mapping[str, Path], outputs: Mapping[str, Path]) -> None:
        seen.append(mark.exists())
        io.save_text("x", outputs["a"])

    def job(label: str, new_steps: NewSteps) -> Outcome:
        new_steps().run("once", step, inputs={}, outputs={"a": tmp_path / "a.tsv"})
        seen.append(mark.exists())
        return Outcome(label)

    run_all(job, {"01": ()}, tmp_path / "logs")
    run_all(job, {"01": ()}, tmp_path / "logs")  # nothing is computed, nothing is marked
    assert seen == [True, True, False]
    assert not mark.exists()


def test_only_whole_paths_are_shortened(tmp_path: Path) -> None:
    def refuse() -> None:
        raise io.DataError("fmriprep_out/sub-01/x.nii.gz", "is broken", "Copy it again")

    attempt = Attempts("01", tmp_path / "logs", hide=(Path("out"),))
    attempt(refuse)
    assert attempt.failures == ["fmriprep_out/sub-01/x.nii.gz: is broken. Copy it again."]


def test_a_mark_that_a_killed_run_was_writing_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".sub-01.running.4711-0a1b2c3d.tmp"
    left.touch()
    run_all(work, {"01": ("well",)}, tmp_path)
    assert not left.exists()
