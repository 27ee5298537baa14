"""Kill the engine a hundred times and a real participant too, then all that is slow of this folder.

    python tests/reliability/soak.py [--kills 100] [--demo DEMO] [--seed 0]

Prints how far it is, and a last line of JSON with every number; ends with status 1 if any output
differed, any step was repeated, or anything was left behind. ``DEMO`` is a folder that ``brainnet
demo`` made; without it, or BRAINNET_DEMO, the real participant is left out.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.reliability import processes, test_kill  # noqa: E402
from tests.reliability.processes import KINDS, contents, rests, started  # noqa: E402
from tests.reliability.test_kill import Toll  # noqa: E402

SUITES = ("test_corruption.py", "test_headers.py", "test_failures.py", "test_resources.py")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="of the toy pipeline (default 100)")
    parser.add_argument("--demo", type=Path, default=os.environ.get("BRAINNET_DEMO"))
    parser.add_argument("--real-kills", type=int, default=8, help="of a real participant")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-suites", action="store_true", help="kills only")
    options = parser.parse_args()
    rng, result = random.Random(options.seed), {"bench": "soak", "seed": options.seed}
    with tempfile.TemporaryDirectory() as folder:
        result |= toys(Path(folder), options.kills, rng)
        if options.demo:
            result |= real(Path(folder), options.demo, options.real_kills, rng)
    for name in () if options.without_suites else SUITES:
        result |= suite(name, options.demo)
    result["ok"] = not any(value for name, value in result.items() if _is_fault(name))
    print(json.dumps(result))
    return 0 if result["ok"] else 1


def _is_fault(name: str) -> bool:
    ends = ("differing", "repeated", "rewritten", "survivors", "leftovers", "failed", "errors")
    return name.endswith(ends)


def toys(folder: Path, n_kills: int, rng: random.Random) -> dict[str, object]:
    """Kill runs of the toy, each of a series at random moments and of random kinds."""
    expected = uninterrupted(folder / "whole", [test_kill.COMMAND])
    toll, found, start, trial = Toll(), Counter(), time.monotonic(), 0
    while sum(toll.kills.values()) < n_kills:
        out = folder / f"toy-{trial}"
        for _ in range(rng.randint(1, 4)):
            kind = rng.choice(KINDS)
            times = rng.randint(1, 3) if kind in ("worker", "child") else 1
            test_kill.kill_one_run(out, kind, rng, toll, times=times)
        test_kill.resume(out, toll, n_procs=2)
        for run in toll.orphans:
            toll.survivors += [str(each) for each in run.gone()]
        toll.orphans.clear()
        found["differing"] += contents(out) != expected
        left = [*rests(out), *(each.name for each in out.with_suffix(".work").iterdir())]
        found["leftovers"] += len(left)
        if left:
            say(f"left over: {', '.join(left)}")
        trial += 1
        say(f"toy {trial}: {sum(toll.kills.values())} of {n_kills} kills, {dict(toll.kills)}")
    return report("toy", toll, found, trial, start)


def uninterrupted(out: Path, command: list[str | Path]) -> dict[str, str]:
    """Return what a run leaves that nobody disturbs."""
    with started([*command, out], log=out.with_suffix(".out")) as run:
        assert run.wait() == 0, run.text()
    return contents(out)


def real(folder: Path, demo: Path, n_kills: int, rng: random.Random) -> dict[str, object]:
    """Kill ``brainnet`` at work on one participant of the demo, and give the command again."""
    options = ["participant", "--participant-label", "01", "--sloppy", "--nprocs", "1"]
    processes.PATIENCE = 3600.0
    toll, found, start = Toll(), Counter(), time.monotonic()
    log = folder / "real.out"
    with started(["brainnet.cli", demo / "bids", folder / "real", *options], log=log) as run:
        assert run.wait() == 0, run.text()
    whole = time.monotonic() - start
    expected, out = contents(folder / "real"), folder / "killed"
    command = ["brainnet.cli", demo / "bids", out, *options]
    first: dict[tuple[str, str], tuple[int, int]] = {}
    for number in range(n_kills):
        with started(command, log=log) as run:
            kind = KINDS[number % len(KINDS)]
            moment = time.monotonic() + rng.uniform(3, max(6.0, 1.5 * whole / n_kills))
            processes.wait_for(lambda moment=moment: time.monotonic() > moment, run)
            toll.kills[kind] += bool(processes.kill(run, kind, rng))
            if kind == "worker":  # its participant is tried again: let that one be killed, too
                processes.wait_for(lambda run=run: run.family("child"), run)
                processes.kill(run, "tree", rng)
            run.wait()
            toll.survivors += [str(each) for each in run.gone()]
        first = {**stamped(out), **first}
        say(f"real participant: {number + 1} of {n_kills} kills, {len(first)} files of whole steps")
    with started(command, log=log) as run:
        assert run.wait() == 0, run.text()
    toll.rewritten += [key[0] for key, mark in stamped(out).items() if first.get(key, mark) != mark]
    found["differing"] = sum(contents(out).get(name) != each for name, each in expected.items())
    found["differing"] += len(set(contents(out)) - set(expected))
    found["leftovers"] = len(rests(out))
    return report("real", toll, found, 1, start) | {"real_whole_s": round(whole)}


def stamped(out: Path) -> dict[tuple[str, str], tuple[int, int]]:
    """Return inode and time of every sidecar of whole steps, by its path and what it records.

    A step may run again on other inputs, as the measures do when a scan joins that had failed;
    with the same record it must not.
    """
    steps: dict[str, list[tuple[Path, int]]] = {}
    for path in out.rglob("*.json"):
        record = json.loads(path.read_text()).get("Brainnet")
        if record and path.relative_to(out).parts[0] != "logs":
            key = json.dumps([record[name] for name in ("Step", "Parameters", "Inputs", "Outputs")])
            steps.setdefault(key, []).append((path, len(record["Outputs"])))
    return {
        (str(path), key): (path.stat().st_ino, path.stat().st_mtime_ns)
        for key, found in steps.items()
        for path, n_outputs in found
        if len(found) == n_outputs
    }


def report(name: str, toll: Toll, found: Counter, trials: int, start: float) -> dict[str, object]:
    """Return the numbers of one part, by its name."""
    return {
        f"{name}_kills": sum(toll.kills.values()),
        f"{name}_kills_by_kind": dict(toll.kills),
        f"{name}_trials": trials,
        f"{name}_reruns": toll.reruns,
        f"{name}_repeated": len(toll.repeated),
        f"{name}_rewritten": len(toll.rewritten),
        f"{name}_survivors": len(toll.survivors),
        f"{name}_differing": found["differing"],
        f"{name}_leftovers": found["leftovers"],
        f"{name}_s": round(time.monotonic() - start),
    }


def suite(name: str, demo: Path | None) -> dict[str, object]:
    """Run one file of tests here, slow ones too, and return how many passed."""
    path = Path(__file__).with_name(name)
    stem = path.stem.removeprefix("test_")
    if not path.exists():
        return {}
    start = time.monotonic()
    environment = {**os.environ, **({"BRAINNET_DEMO": str(demo)} if demo else {})}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path],
                          cwd=ROOT, env=environment, capture_output=True, text=True)  # fmt: skip
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    say(f"{name}: {last}")
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", last)}
    return {f"{stem}_passed": counts.get("passed", 0), f"{stem}_failed": counts.get("failed", 0),
            f"{stem}_skipped": counts.get("skipped", 0),
            f"{stem}_errors": int(done.returncode not in (0, 1)),
            f"{stem}_s": round(time.monotonic() - start)}  # fmt: skip


def say(text: str) -> None:
    """Print how far it is."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
