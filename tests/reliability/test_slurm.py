"""A real SLURM, of one node on this machine: jobs are cancelled, submitters killed, all recovers.

Run by ``make test-slurm``, which names in BRAINNET_SLURM the file for what was measured.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.reliability import processes, toy
from tests.reliability.slurm import node, work

pytestmark = pytest.mark.slurm
CONFIG = 'queue = "main"\nmemory = "1GB"\nwalltime = "01:00:00"\njobs = 3\n'
PATIENCE = 120.0  # s


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, object]]:
    """What the tests measure, written to the file that BRAINNET_SLURM names."""
    path = os.environ.get("BRAINNET_SLURM")
    if not path:
        pytest.skip("needs SLURM on this machine: run with `make test-slurm`")
    if node.absent():
        pytest.skip(f"not installed: {', '.join(node.absent())}")
    found: dict[str, object] = {}
    yield found
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(found) + "\n")


@pytest.fixture(scope="module")
def slurm(measured: dict[str, object]) -> Iterator[dict[str, str]]:
    """Give the environment in which SLURM's commands find the node."""
    with node.node(cpus=4) as environment:
        yield {**environment, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def local(measured: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what the same participants give on this machine: path to hash."""
    out_dir = tmp_path_factory.mktemp("local") / "out"
    start = time.monotonic()
    assert work.main([str(out_dir), "--nprocs", "2"]) == 0
    measured["local_seconds"] = round(time.monotonic() - start, 1)
    return processes.contents(out_dir)


class Submitted:
    """A run of the toy pipeline as jobs of SLURM, and what can be seen of it."""

    def __init__(self, tmp_path: Path, slurm: dict[str, str], *, config: str = CONFIG,
                 **variables: str) -> None:  # fmt: skip
        self.out_dir, self.journal = tmp_path / "out", tmp_path / "journal"
        self.slurm = {**slurm, "TOY_JOURNAL": str(self.journal), **variables}
        self._config = tmp_path / "cluster.toml"
        self._config.write_text(config)
        self._log = tmp_path / "printed"

    def start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.reliability.slurm.work", str(self.out_dir),
                   "--cluster-config", str(self._config)]  # fmt: skip
        with self._log.open("ab") as log:
            return subprocess.Popen(command, env=self.slurm, cwd=processes.ROOT,
                                    stdout=log, stderr=log)  # fmt: skip

    def run(self) -> int:
        return self.start().wait(PATIENCE)

    def printed(self) -> str:
        return self._log.read_text()

    def jobs(self, state: str = "") -> list[str]:
        found = node.jobs(self.slurm)
        return [job for job, its in found.items() if state in its]

    def cancel(self, job: str) -> None:
        node.call(["scancel", job], self.slurm)

    def family(self) -> list[int]:
        """Return workers and their steps' processes: whatever runs in this SLURM's jobs."""
        return [each.pid for each in psutil.process_iter() if self._is_of_job(each)]

    def _is_of_job(self, process: psutil.Process) -> bool:
        try:
            variables = process.environ()
        except psutil.Error:
            return False
        return ("SLURM_JOB_ID" in variables
                and variables.get("TOY_JOURNAL") == str(self.journal))  # fmt: skip

    def done(self) -> dict[tuple[str, str], dict[str, tuple[int, int, int]]]:
        """Return the steps that have all their sidecars, with what changes if one runs again."""
        found = {}
        for label in work.LABELS:
            for step in toy.STEPS:
                outputs = list(toy.outputs_of(self.out_dir, label, step).values())
                try:
                    [json.loads(_sidecar(path).read_text()) for path in outputs]
                    found[label, step] = processes.stamps(outputs)
                except (OSError, ValueError):
                    continue
        return found

    def done_whole(self) -> list[str]:
        """Return the participants that the last run has on record as done."""
        records = sorted(
            self.out_dir.glob("logs/run-*.jsonl"), key=lambda path: path.stat().st_mtime
        )
        lines = (
            [json.loads(line) for line in records[-1].read_text().splitlines()] if records else []
        )
        return [line["participant"] for line in lines if line.get("status") == "done"]

    def check(self, local: dict[str, str], finished: dict) -> int:
        """Compare with the local run; return how many steps were started more than once."""
        assert processes.contents(self.out_dir) == local
        assert processes.rests(self.out_dir) == []
        now = self.done()
        assert {key: now[key] for key in finished} == finished
        started = Counter(processes.lines(self.journal))
        assert all(started[f"{label}/{step}"] == 1 for label, step in finished)
        assert len(started) == len(work.LABELS) * len(toy.STEPS)
        return sum(started.values()) - len(started)


def _sidecar(path: Path) -> Path:
    from brainnet.workflows.engine.step import sidecar_path

    return sidecar_path(path)


def wait_until(condition: Callable[[], object]) -> float:
    """Return the seconds until a condition holds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < PATIENCE
        time.sleep(0.1)
    return round(time.monotonic() - start, 1)


def test_a_cancelled_job_is_replaced_and_nothing_is_lost_or_repeated(
    tmp_path: Path,
    slurm: dict[str, str],
    local: dict[str, str],
    measured: dict[str, object],
) -> None:
    run = Submitted(tmp_path, slurm, config=CONFIG.replace("jobs = 3", "jobs = 2"))
    start = time.monotonic()
    process = run.start()
    wait_until(lambda: len(run.done_whole()) >= 2 or process.poll() is not None)
    cancelled, finished, whole = run.jobs("RUNNING")[0], run.done(), run.done_whole()
    run.cancel(cancelled)
    first = set(run.jobs())
    measured["replaced_after_seconds"] = wait_until(
        lambda: set(run.jobs()) - first or process.poll() is not None
    )
    assert process.wait(PATIENCE) == 0, run.printed()
    measured["slurm_seconds"] = round(time.monotonic() - start, 1)
    repeated = run.check(local, finished)
    assert repeated <= 1  # the step that was cut
    for label in whole:  # nor was any looked at again that its worker had finished
        assert "skipped" not in (run.out_dir / "logs" / f"sub-{label}.log").read_text()
    assert run.jobs() == []
    measured |= {"participants": len(work.LABELS), "finished_at_scancel": len(finished),
                 "scancel_recovered": True, "steps_cut_by_scancel": repeated}  # fmt: skip


def test_jobs_cancelled_while_they_wait_are_submitted_again(
    tmp_path: Path, slurm: dict[str, str], local: dict[str, str], measured: dict[str, object]
) -> None:
    run = Submitted(tmp_path, slurm, config=CONFIG + "cores = 3\n")  # one fits at a time
    process = run.start()
    wait_until(lambda: run.done() or process.poll() is not None)
    [running], waiting = run.jobs("RUNNING"), run.jobs("PENDING")
    assert waiting
    for job in waiting:
        run.cancel(job)
    time.sleep(1)
    finished = run.done()
    run.cancel(running)
    assert process.wait(PATIENCE) == 0, run.printed()
    run.check(local, finished)
    measured["cancelled_while_pending_recovered"] = True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_submitter_leaves_no_job_and_the_same_command_goes_on(
    tmp_path: Path,
    slurm: dict[str, str],
    local: dict[str, str],
    measured: dict[str, object],
    number: signal.Signals,
) -> None:
    run = Submitted(tmp_path, slurm)
    process = run.start()
    wait_until(lambda: len(run.done()) >= 6 or process.poll() is not None)
    process.send_signal(number)
    assert process.wait(PATIENCE) == -(signal.SIGKILL if number == signal.SIGKILL else 2)
    seconds = wait_until(lambda: not run.jobs() and not run.family())
    measured[f"jobs_gone_after_{number.name}_seconds"] = seconds
    finished = run.done()
    assert run.run() == 0, run.printed()
    run.check(local, finished)


def test_array_jobs_of_one_participant_each_share_an_output_folder(
    tmp_path: Path, slurm: dict[str, str], local: dict[str, str], measured: dict[str, object]
) -> None:
    run = Submitted(tmp_path, slurm)
    command = (f"{sys.executable} -m tests.reliability.slurm.work {run.out_dir} "
               "--participant-label 0$SLURM_ARRAY_TASK_ID")  # fmt: skip
    start = time.monotonic()
    node.call(
        ["sbatch", "--array=1-6", "--mem=1000", "--output=/dev/null",
         f"--chdir={processes.ROOT}", f"--wrap={command}"], run.slurm
    )  # fmt: skip
    wait_until(lambda: not run.jobs())
    run.check(local, {})
    measured["array_seconds"] = round(time.monotonic() - start, 1)


def test_a_step_is_held_to_the_memory_of_its_job(
    tmp_path: Path, slurm: dict[str, str], local: dict[str, str]
) -> None:
    run = Submitted(tmp_path, slurm, TOY_DEEDS='{"02/scale": "grow"}')
    assert run.run() == 1
    assert "step 'scale' needs more memory than the 0.7 GB" in run.printed()
    assert {*run.done_whole()} == {*work.LABELS} - {"02"}
    del run.slurm["TOY_DEEDS"]
    assert run.run() == 0
    assert processes.contents(run.out_dir) == local


@pytest.mark.parametrize(
    "line, words",
    [
        ('queue = "nowhere"', ["takes no such job", "partition"]),
        ('job_extra = ["--nonsense"]', ["takes no such job", "nonsense"]),
        ('memory = "900TB"', ["takes no such job"]),
        ('python = "/bin/false"', ["jobs ended before they began to work"]),
        ('env = ["module load what"]\npython = "/no/python"', ["/no/python"]),
    ],
)
def test_a_configuration_that_cannot_work_ends_the_run_with_the_reason(
    tmp_path: Path, slurm: dict[str, str], line: str, words: list[str]
) -> None:
    key = line.partition(" ")[0]
    kept = [each for each in CONFIG.splitlines() if not each.startswith(f"{key} ")]
    run = Submitted(tmp_path, slurm, config="\n".join([*kept, line]) + "\n")
    assert run.run() == 2
    assert all(word in run.printed() for word in ["cluster.toml", *words]), run.printed()
    assert run.jobs() == []
