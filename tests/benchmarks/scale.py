"""How brainnet holds up with thousands of participants.

    python tests/benchmarks/scale.py [--participants 2000]

Index: a dataset of two sessions a participant and six files a session (T1w, BOLD, PET and their
sidecars) is made in a temporary folder, and indexed in a process of its own by brainnet (which
reads every sidecar) and by bids2table (which reads none): wall time of the call, peak memory of
the process, and whether both find the same images with the same entities.

Engine (``--engine-participants 10000``): participants that do nothing, through two workers: wall
time, what one costs, and peak memory of the process that hands them out. What a step costs in this
process, in a worker's child, and in a process started for it alone. And whether a worker is lost
whose step, or which itself, holds the interpreter for longer than Dask waits for a sign of life.

The last line is JSON.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from brainnet import io
from brainnet.workflows.engine import NewSteps, Outcome

OURS = """
from brainnet import bids
call = lambda: bids.index(root)
rows = lambda found: [[str(s.path.relative_to(root)), s.entities.get("task"), s.entities.get("trc"),
                       s.session] for s in found]
metadata = lambda found: sum(bool(s.metadata) for s in found)
"""
THEIRS = """
import bids2table
call = lambda: bids2table.index_dataset(root)
rows = lambda found: [[r["path"], r["task"], r["trc"], r["ses"]] for r in found.to_pylist()
                      if r["ext"] == ".nii.gz"]
metadata = lambda found: 0
"""
TIMED = """
import json, resource, sys, time
root = sys.argv[1]
{code}
start = time.perf_counter()
found = call()
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"s": seconds, "mb": peak, "rows": sorted(rows(found)),
                   "with_metadata": metadata(found)}}))
"""
SCANS = {
    "anat": ("T1w", {"EchoTime": 0.003, "MagneticFieldStrength": 3}),
    "func": ("task-rest_bold", {"SliceTiming": [k / 20 for k in range(40)]}),
    "pet": ("trc-FDG_pet", {"TracerName": "FDG", "FrameDuration": [1200.0]}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--participants", type=int, default=2000)
    parser.add_argument("--engine-participants", type=int, default=10_000, help="0: no engine")
    options = parser.parse_args()
    result: dict[str, object] = {"bench": "scale", "participants": options.participants}
    parts: list[Callable[[int], dict[str, object]]] = [index]
    for part in parts:
        result |= part(options.participants)
    if options.engine_participants:
        result |= engine(options.engine_participants) | steps() | silence()
    for name, value in result.items():
        print(f"{name:40s} {value}")
    print(json.dumps(result))


def index(n_participants: int) -> dict[str, object]:
    """Time both indexers, three times each in turn, and compare what they find."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "dataset"
        n_files = make_dataset(root, n_participants)
        runs: dict[str, list[dict[str, object]]] = {"ours": [], "bids2table": []}
        for _ in range(3):
            runs["ours"].append(timed(OURS, root))
            runs["bids2table"].append(timed(THEIRS, root))
    result: dict[str, object] = {"index_files": n_files}
    for name, found in runs.items():
        result[f"index_{name}_s"] = round(median(float(str(each["s"])) for each in found), 2)
        result[f"index_{name}_peak_mb"] = round(max(float(str(each["mb"])) for each in found))
    ours, theirs = runs["ours"][0], runs["bids2table"][0]
    result["index_images"] = len(list(ours["rows"]))  # type: ignore[call-overload]
    result["index_images_with_metadata"] = ours["with_metadata"]
    result["index_agrees_with_bids2table"] = ours["rows"] == theirs["rows"]
    return result


def timed(code: str, root: Path) -> dict[str, object]:
    """Return time, peak memory and findings of one indexer in a fresh process."""
    command = [sys.executable, "-c", TIMED.format(code=code), str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def make_dataset(root: Path, n_participants: int) -> int:
    """Write empty images and small sidecars; return the number of files."""
    root.mkdir()
    top = {"dataset_description": {"Name": "scale", "BIDSVersion": "1.10.0"},
           "task-rest_bold": {"RepetitionTime": 2.0, "TaskName": "rest"}}  # fmt: skip
    for name, content in top.items():
        (root / f"{name}.json").write_text(json.dumps(content))
    n_files = 0
    for number in range(n_participants):
        for session in ("01", "02"):
            stem = f"sub-{number:05d}_ses-{session}"
            for datatype, (name, content) in SCANS.items():
                folder = root / f"sub-{number:05d}" / f"ses-{session}" / datatype
                folder.mkdir(parents=True)
                (folder / f"{stem}_{name}.nii.gz").touch()
                (folder / f"{stem}_{name}.json").write_text(json.dumps(content))
                n_files += 2
    return n_files


ENGINE = """
import json, resource, sys, tempfile, time
from pathlib import Path
from brainnet.workflows.engine import run_all
from brainnet.workflows.engine.resources import Resources
from scale import nothing
with tempfile.TemporaryDirectory() as folder:
    jobs = {f"{number:05d}": () for number in range(int(sys.argv[1]))}
    start = time.perf_counter()
    outcomes = run_all(nothing, jobs, Path(folder) / "logs", resources=Resources(n_procs=2))
    seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
done = sum(not outcome.failures for outcome in outcomes)
print(json.dumps({"s": seconds, "mb": peak, "done": done}))
"""


def engine(n_participants: int) -> dict[str, object]:
    """Time participants that do nothing, and one alone for what starting the workers takes."""
    found = {}
    for number in (1, n_participants):
        command = [sys.executable, "-c", ENGINE, str(number)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=importable())
        found[number] = json.loads(done.stdout)
    one, many = found[1], found[n_participants]
    each = (many["s"] - one["s"]) / max(1, n_participants - 1)
    return {
        "engine_participants": n_participants,
        "engine_done": many["done"],
        "engine_s": round(many["s"], 1),
        "engine_start_s": round(one["s"], 1),
        "engine_ms_a_participant": round(1000 * each, 2),
        "engine_peak_mb": round(many["mb"]),
        "engine_peak_mb_of_one": round(one["mb"]),
    }


def importable() -> dict[str, str]:
    """Return an environment in which other processes can import this file."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def nothing(label: str, new_steps: object) -> Outcome:
    """Do nothing for a participant."""
    return Outcome(label)


def write(inputs: dict[str, Path], outputs: dict[str, Path]) -> None:
    """Do as little as a step can."""
    io.save_text("a", outputs["a"])


def steps(n_steps: int = 50) -> dict[str, object]:
    """Return what a step costs in the three ways to run it, ms."""
    import scale  # by its name, under which a child can import it

    from brainnet.workflows.engine.child import Child, Limits
    from brainnet.workflows.engine.step import run_step

    child = Child(Limits(4.0))
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, execute in (("here", run_step), ("child", child.run_step),
                              ("fresh_process", child.run_step)):  # fmt: skip
            taken = []
            for each in range(1 + (5 if name == "fresh_process" else n_steps)):
                start = time.perf_counter()
                execute("write", scale.write, inputs={}, parameters={},
                        outputs={"a": Path(folder) / f"{name}-{each}.tsv"})  # fmt: skip
                taken.append(time.perf_counter() - start)
                if name == "fresh_process":
                    child.close()
            found[f"step_{name}_ms"] = round(1000 * median(taken[1:]), 1)
    return found


def hold(inputs: dict[str, Path], outputs: dict[str, Path], seconds: int) -> None:
    """Hold the interpreter, as libraries in C do."""
    ctypes.PyDLL(None).sleep(seconds)
    io.save_text("a", outputs["a"])


def holding(label: str, out_dir: Path, where: str, seconds: int, new_steps: NewSteps) -> Outcome:
    """Hold the interpreter in a step, or in the worker itself."""
    outputs = {"a": out_dir / f"sub-{label}.tsv"}
    if where == "step":
        new_steps().run("hold", hold, inputs={}, outputs=outputs, parameters={"seconds": seconds})
    else:
        hold({}, outputs, seconds)
    return Outcome(label)


SILENCE = """
import json, sys, tempfile
from pathlib import Path
from brainnet.workflows.engine import run_all
from brainnet.workflows.engine.resources import Resources
from scale import holding
with tempfile.TemporaryDirectory() as folder:
    jobs = {"01": (Path(folder), sys.argv[1], 25)}
    outcomes = run_all(holding, jobs, Path(folder) / "logs", resources=Resources(n_procs=1))
print(json.dumps(bool(outcomes[0].failures)))
"""


def silence(patience: int = 5) -> dict[str, object]:
    """Return whether a worker is lost over 25 s of silence where Dask waits 5 s."""
    environment = {**importable(), "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{patience}s"}
    found: dict[str, object] = {}
    for where in ("step", "worker"):
        done = subprocess.run([sys.executable, "-c", SILENCE, where], check=False, text=True,
                              capture_output=True, env=environment)  # fmt: skip
        lost = done.returncode != 0 or json.loads(done.stdout)  # nor can such a worker be closed
        found[f"lost_when_{where}_holds_gil_25_s"] = lost
    return found


if __name__ == "__main__":
    main()
