"""Killed at any moment, the same command resumes to the same bytes and repeats nothing."""

import json
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.reliability import processes, toy
from tests.reliability.processes import KINDS, Run, contents, lines, rests, stamps, started

COMMAND = "tests.reliability.toy"


@dataclass
class Toll:
    """What a series of kills came to: counts for the last line of the soak."""

    kills: Counter = field(default_factory=Counter)
    reruns: int = 0
    repeated: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)
    orphans: list[Run] = field(default_factory=list)  # whose end nobody waited for


def finished(out_dir: Path) -> dict[str, list[Path]]:
    """Return the steps that are whole on the disk, and their files; the last sidecar ends one."""
    found = {}
    for label in toy.LABELS:
        for step in toy.STEPS:
            paths = list(toy.outputs_of(out_dir, label, step).values())
            sidecars = [path.with_name(path.name.split(".")[0] + ".json") for path in paths]
            if all(path.exists() for path in [*paths, *sidecars]):
                found[f"{label}/{step}"] = [*paths, *sidecars]
    return found


def command(out_dir: Path, n_procs: int) -> list[str | Path]:
    """Return the command that is killed and given again."""
    work_dir = out_dir.with_suffix(".work")
    return [COMMAND, out_dir, "--nprocs", str(n_procs), "--work-dir", work_dir]


def kill_one_run(out_dir: Path, kind: str, rng: random.Random, toll: Toll, **options: int) -> None:
    """Run the toy, kill at random moments, and note what was lost or done twice.

    A run outlives its workers and children, so it loses ``times`` of them; without its parent, or
    without anything, it loses that once. Half of the time nobody waits for what a parent leaves.
    """
    journal = out_dir.with_suffix(".journal")
    before, begun = finished(out_dir), len(lines(journal))
    marks = {step: stamps(paths) for step, paths in before.items()}
    with started(
        command(out_dir, options.get("n_procs", 2)),
        log=out_dir.with_suffix(".out"),
        TOY_JOURNAL=journal,
    ) as run:
        for _ in range(options.get("times", 1)):
            at_moment(run, kind, journal, rng)
            toll.kills[kind] += bool(processes.kill(run, kind, rng))
        if kind in ("worker", "child"):
            run.wait()
        elif toll.kills[kind]:
            run.process.wait()
        if kind != "parent" or rng.random() < 0.5:
            toll.survivors += [str(each) for each in run.gone()]
        else:
            toll.orphans.append(run)
            run.keep = True
    new, now = lines(journal)[begun:], finished(out_dir)
    toll.repeated += [step for step in new if step in before]
    toll.rewritten += [s for s in before if s not in now or stamps(now[s]) != marks[s]]


def at_moment(run: Run, kind: str, journal: Path, rng: random.Random) -> None:
    """Wait: at times anywhere in the start, else for one of the next steps and a little."""
    if kind in ("worker", "child"):
        processes.wait_for(lambda: run.family(kind), run)
    if rng.random() < 0.25:
        end = time.monotonic() + rng.uniform(0.0, 4.0 if kind in ("parent", "tree") else 0.5)
        processes.wait_for(lambda: time.monotonic() > end, run)
        return
    target = len(lines(journal)) + rng.randint(1, 7)
    processes.wait_for(lambda: len(lines(journal)) >= target, run)
    time.sleep(rng.uniform(0, 0.15))


def resume(out_dir: Path, toll: Toll, *, n_procs: int) -> None:
    """Run the same command until it goes through."""
    journal = out_dir.with_suffix(".journal")
    for _ in range(3):
        before, begun = finished(out_dir), len(lines(journal))
        marks = {step: stamps(paths) for step, paths in before.items()}
        toll.reruns += 1
        with started(
            command(out_dir, n_procs), log=out_dir.with_suffix(".out"), TOY_JOURNAL=journal
        ) as run:
            status = run.wait()
            toll.survivors += [str(each) for each in run.gone()]
        toll.repeated += [step for step in lines(journal)[begun:] if step in before]
        toll.rewritten += [s for s, mark in marks.items() if stamps(before[s]) != mark]
        if status == 0:
            return
    raise AssertionError(f"did not go through in three runs: {run.text()}")


def check(out_dir: Path, toll: Toll, expected: dict[str, str]) -> None:
    """Raise unless the folder is as an uninterrupted run leaves it and nothing was repeated."""
    for run in toll.orphans:
        toll.survivors += [str(each) for each in run.gone()]
    assert contents(out_dir) == expected
    assert rests(out_dir) == []
    assert not list(out_dir.with_suffix(".work").iterdir())  # temporary files of killed runs
    assert not list((out_dir / "logs").glob("*.failed"))
    assert toll.repeated == []
    assert toll.rewritten == []
    assert toll.survivors == []


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an uninterrupted run leaves, in one process without workers: the simplest there is."""
    folder = tmp_path_factory.mktemp("whole")
    arguments = [COMMAND, folder / "out", "--nprocs", "0"]
    with started(arguments, log=folder / "log", TOY_JOURNAL=folder / "journal") as run:
        assert run.wait() == 0
    found = contents(folder / "out")
    n_files = sum(2 * len(ends) for ends, _ in toy.STEPS.values()) * len(toy.LABELS)
    assert len(found) == n_files + 3  # the group's, its sidecar and the dataset's description
    assert len(lines(folder / "journal")) == len(toy.STEPS) * len(toy.LABELS) + 1
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_kill_and_resume(kind: str, expected: dict[str, str], tmp_path: Path) -> None:
    rng, toll = random.Random(f"kill {kind}"), Toll()
    if kind in ("worker", "child"):
        kill_one_run(tmp_path / "out", kind, rng, toll, times=3)
    else:
        for _ in range(3):
            kill_one_run(tmp_path / "out", kind, rng, toll)
    resume(tmp_path / "out", toll, n_procs=2)
    check(tmp_path / "out", toll, expected)
    assert toll.kills[kind] >= 2  # one may come after the end


def test_kill_without_workers(expected: dict[str, str], tmp_path: Path) -> None:
    rng, toll = random.Random("alone"), Toll()
    for _ in range(2):
        kill_one_run(tmp_path / "out", "parent", rng, toll, n_procs=0)
    resume(tmp_path / "out", toll, n_procs=0)
    check(tmp_path / "out", toll, expected)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_asked_to_end(number: int, expected: dict[str, str], tmp_path: Path) -> None:
    """As a cluster or a user asks: all of it ends, and says so, and resumes."""
    toll, out, journal = Toll(), tmp_path / "out", tmp_path / "out.journal"
    with started(command(out, 2), log=tmp_path / "out.out", TOY_JOURNAL=journal) as run:
        processes.wait_for(lambda: len(lines(journal)) >= 5, run)
        run.look()
        run.process.send_signal(number)
        assert run.wait() != 0
        assert run.gone() == []
    (manifest,) = (out / "logs").glob("run-*.jsonl")
    assert json.loads(lines(manifest)[-1])["stopped"] == "KeyboardInterrupt"
    resume(out, toll, n_procs=2)
    check(out, toll, expected)
