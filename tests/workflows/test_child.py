"""A step in a process of its own: the same result, and an end whatever it does."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from brainnet import io
from brainnet.workflows.engine.child import Child, Limits, StepError
from brainnet.workflows.engine.step import _lock, run_step
from tests.reliability import toy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits are Linux's")
Start = Callable[..., Child]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a child that does a deed in the step "scale" of participant 01."""
    made: list[Child] = []

    def give(deed: str = "", *, memory: float = 4.0, minutes: float = 2.0) -> Child:
        monkeypatch.setenv("TOY_DEEDS", json.dumps({"01/scale": deed}))
        made.append(Child(Limits(memory, minutes)))
        made[-1]._started()
        monkeypatch.delenv("TOY_DEEDS")  # not for this process, nor for the child's successor
        return made[-1]

    yield give
    for child in made:
        child.close()


def arguments(folder: Path, step: str = "scale") -> dict[str, object]:
    return {"inputs": {}, "outputs": toy.outputs_of(folder, "01", step),
            "parameters": {"pause": 0.01}, "seed": 3}  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_bytes_as_in_this_process(start: Start, tmp_path: Path) -> None:
    child = start()
    first = child.run_step("scale", toy.stir, **arguments(tmp_path / "there"))
    again = child.run_step("scale", toy.stir, **arguments(tmp_path / "there"))
    here = run_step("scale", toy.stir, **arguments(tmp_path / "here"))
    assert (first.skipped, again.skipped, here.skipped) == (False, True, False)
    assert files(tmp_path / "there") == files(tmp_path / "here")
    assert 0.02 < first.memory < 4.0


def test_errors_come_back_as_they_were_raised(start: Start, tmp_path: Path) -> None:
    child = start("raise")
    with pytest.raises(ZeroDivisionError, match="by zero") as caught:
        child.run_step("scale", toy.stir, **arguments(tmp_path))
    assert "in _do" in "".join(caught.value.__notes__)  # where it came from
    with pytest.raises(io.DataError, match=r"scan\.nii\.gz: is broken\. Copy it again\."):
        start("refuse").run_step("scale", toy.stir, **arguments(tmp_path))
    with pytest.raises(RuntimeError, match="Local"):  # pickle cannot carry this one
        start("unpicklable").run_step("scale", toy.stir, **arguments(tmp_path))
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    "deed, cause",
    [("segfault", "SIGSEGV"), ("abort", "SIGABRT"), ("leave", "status 3"), ("exit", "status 1")],
)
def test_a_death_is_an_error_and_the_next_step_runs(
    start: Start, tmp_path: Path, deed: str, cause: str
) -> None:
    child, log = start(deed), tmp_path / "logs" / "sub-01.log"
    with pytest.raises(StepError, match=rf"step 'scale' died .*{cause}"):
        child.run_step("scale", toy.stir, **arguments(tmp_path / "out"), log=log)
    assert files(tmp_path / "out") == {}
    if deed in ("segfault", "abort"):
        assert "_do" in log.read_text()  # where in the code it died
    child.run_step("draw", toy.stir, **arguments(tmp_path / "out", "draw"))
    assert len(files(tmp_path / "out")) == 4


@pytest.mark.parametrize("deed", ["sleep", "spin", "stop", "fork and hang"])
def test_a_step_that_hangs_is_ended(start: Start, tmp_path: Path, deed: str) -> None:
    child = start(deed, minutes=0.03)
    with pytest.raises(StepError, match=r"'scale' was not done after 0\.03 min.*--step-timeout"):
        child.run_step("scale", toy.stir, **arguments(tmp_path))
    assert files(tmp_path) == {}


def test_a_slow_start_does_not_count_as_the_step(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep(4)")
    monkeypatch.syspath_prepend(tmp_path)
    child = start(minutes=0.05)
    assert child.run_step("scale", toy.stir, **arguments(tmp_path)).outputs


def test_a_process_that_was_killed_between_two_steps_is_replaced(
    start: Start, tmp_path: Path
) -> None:
    child = start()
    child.run_step("draw", toy.stir, **arguments(tmp_path, "draw"))
    assert child._process is not None
    child._process.kill()
    child._process.wait()
    assert child.run_step("scale", toy.stir, **arguments(tmp_path)).outputs
    child._process.poll = lambda: None  # type: ignore[method-assign]
    child._process.kill()  # at the very moment at which it is given work
    time.sleep(0.3)
    with pytest.raises(StepError, match="SIGKILL"):
        child.run_step("relate", toy.stir, **arguments(tmp_path, "relate"))
    assert child.run_step("relate", toy.stir, **arguments(tmp_path, "relate")).outputs


@pytest.mark.parametrize("deed", ["grow", "share", "allocate"])
def test_a_step_that_takes_too_much_memory_is_ended(
    start: Start, tmp_path: Path, deed: str
) -> None:
    child = start(deed, memory=0.4)
    with pytest.raises(StepError, match=r"'scale' needs more memory than the 0\.4 GB.*--mem"):
        child.run_step("scale", toy.stir, **arguments(tmp_path))
    assert files(tmp_path) == {}
    assert child.run_step("draw", toy.stir, **arguments(tmp_path, "draw")).outputs


def sleepers() -> set[psutil.Process]:
    """Return the processes that the toy forked or started."""
    found = set()
    for each in psutil.process_iter(["cmdline"]):
        if each.info["cmdline"] == ["sleep", "3600"]:
            found.add(each)
    return found


def test_what_a_step_started_ends_with_its_process(start: Start, tmp_path: Path) -> None:
    before = sleepers()
    child = start("fork")
    assert child.run_step("scale", toy.stir, **arguments(tmp_path)).outputs
    assert sleepers() - before
    child.close()
    assert not psutil.wait_procs(list(sleepers() - before), timeout=10)[1]


def test_a_step_that_dies_is_noticed_though_its_own_child_lives(
    start: Start, tmp_path: Path
) -> None:
    child = start("fork and die", minutes=0.5)
    with pytest.raises(StepError, match="SIGKILL"):
        child.run_step("scale", toy.stir, **arguments(tmp_path))
    assert files(tmp_path) == {}


def test_a_step_that_forked_leaves_no_lock_behind(start: Start, tmp_path: Path) -> None:
    child = start("fork")
    child.run_step("scale", toy.stir, **arguments(tmp_path))
    toy.outputs_of(tmp_path, "01", "scale")["desc-scaled_timeseries.tsv"].unlink()
    done = threading.Thread(
        target=run_step, args=("scale", toy.stir), kwargs=arguments(tmp_path), daemon=True
    )
    done.start()  # in this process, while what the child forked still lives
    done.join(60)
    assert not done.is_alive()


def test_what_libraries_print_goes_to_the_log(start: Start, tmp_path: Path) -> None:
    child, log = start("shout"), tmp_path / "logs" / "sub-01.log"
    child.run_step("scale", toy.stir, **arguments(tmp_path), log=log)
    assert log.read_text().count("a library printed this") == 50_000
    assert "scale: done" in log.read_text()
    (tmp_path / "file").touch()  # no folder can be made there: the step is worth more
    child.run_step("draw", toy.stir, **arguments(tmp_path, "draw"), log=tmp_path / "file" / "log")


ALONE = """
import os, sys
from pathlib import Path
from brainnet.workflows.engine.child import Child, Limits
from tests.reliability import toy
child = Child(Limits(4.0, 5.0))
child._started()
print(child._process.pid, flush=True)
child.run_step("scale", toy.stir, inputs={}, outputs=toy.outputs_of(Path(sys.argv[1]), "01",
               "scale"), parameters={"pause": 0.01}, seed=3)
"""


@pytest.mark.parametrize("deed", ["sleep", "spin"])
def test_it_ends_with_its_worker_and_frees_the_lock(tmp_path: Path, deed: str) -> None:
    journal = tmp_path / "journal"
    variables = {"TOY_DEEDS": json.dumps({"01/scale": deed}), "TOY_JOURNAL": str(journal)}
    worker = subprocess.Popen(
        [sys.executable, "-c", ALONE, tmp_path / "out"], stdout=subprocess.PIPE, text=True,
        env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert worker.stdout is not None
    child = psutil.Process(int(worker.stdout.readline()))
    deadline = time.monotonic() + 60
    while not journal.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.1)
    worker.kill()
    worker.communicate()
    assert not psutil.wait_procs([child], timeout=30)[1]
    assert not run_step("scale", toy.stir, **arguments(tmp_path / "out")).skipped
    assert {path.suffix for path in (tmp_path / "out").rglob("*.*")} <= {".tsv", ".json", ".gz"}


def test_it_outlives_the_thread_that_asked_for_it(start: Start, tmp_path: Path) -> None:
    child, pids = start(), []
    child.close()  # which this thread had started

    def work(step: str) -> None:
        child.run_step(step, toy.stir, **arguments(tmp_path, step))
        assert child._process is not None
        pids.append(child._process.pid)

    for step in ("draw", "scale"):
        thread = threading.Thread(target=work, args=(step,))
        thread.start()
        thread.join()
        time.sleep(0.3)
    assert len(pids) == 2
    assert pids[0] == pids[1]


def threads(inputs: dict[str, Path], outputs: dict[str, Path]) -> None:
    """Write what a library would read of the number of threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    io.save_text(" ".join(os.environ[name] for name in (*names, "TMPDIR")), outputs["seen"])


def test_threads_and_scratch_are_what_was_asked_for(tmp_path: Path) -> None:
    child = Child(Limits(4.0, 1.0, 3, tmp_path))
    try:
        child.run_step("threads", threads, inputs={}, outputs={"seen": tmp_path / "seen.tsv"},
                       parameters={})  # fmt: skip
    finally:
        child.close()
    assert (tmp_path / "seen.tsv").read_text() == f"3 3 3 {tmp_path}"


def test_waiting_for_another_run_does_not_count(start: Start, tmp_path: Path) -> None:
    child, given = start(minutes=0.02), arguments(tmp_path)
    first = next(iter(given["outputs"].values()))
    with ThreadPoolExecutor(1) as pool:
        with _lock(first):
            waiting = pool.submit(child.run_step, "scale", toy.stir, **given)
            time.sleep(3)
            assert not waiting.done()
        assert waiting.result(timeout=30).outputs


def test_large_images_have_longer_time_outs(tmp_path: Path) -> None:
    large = tmp_path / "bold.nii"
    with large.open("wb") as stream:
        stream.truncate(3_200_000_000)  # takes no disk
    limits = Limits(4.0)
    usual, more = limits.timeout("head motion", {}), limits.timeout("head motion", {"b": large})
    assert more == pytest.approx(40 * usual)
    assert limits.timeout("report", {"b": large}) == limits.timeout("report", {})
