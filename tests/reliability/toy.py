"""A small pipeline of the real ones' form, to be killed and spoilt: quick and deterministic.

``python -m tests.reliability.toy OUT --nprocs 2`` runs four participants of six chained steps.
Two variables of the environment watch and spoil it without a trace in any record:
``TOY_JOURNAL`` names a file to which each step adds a line as it starts, and ``TOY_DEEDS`` holds
a JSON object such as ``{"02/scale": "segfault"}``: what goes wrong where.
"""

import argparse
import ctypes
import json
import mmap
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from brainnet import io
from brainnet.workflows.engine import Attempts, NewSteps, Outcome, run_all
from brainnet.workflows.engine.resources import Resources
from brainnet.workflows.engine.step import run_step
from brainnet.workflows.engine.steps import Steps

#: step to its outputs' endings and the seconds it takes
STEPS = {
    "draw": (("desc-drawn_timeseries.tsv", "desc-drawn_T1w.nii.gz"), 0.12),
    "centre": (("desc-centred_timeseries.tsv",), 0.05),
    "scale": (("desc-scaled_timeseries.tsv", "desc-scaled_T1w.nii.gz"), 0.15),
    "relate": (("relmat.tsv", "desc-kept_relmat.tsv", "desc-signs_mask.nii.gz"), 0.18),
    "measure": (("measures.tsv", "desc-long_measures.tsv.gz"), 0.1),
    "page": (("page.html",), 0.05),
}
LABELS = ("01", "02", "03", "04")


def outputs_of(out_dir: Path, label: str, step: str) -> dict[str, Path]:
    """Return the files that one step of one participant writes, by their endings."""
    folder = out_dir / f"sub-{label}" / "anat"
    return {ending: folder / f"sub-{label}_{ending}" for ending in STEPS[step][0]}


def stir(inputs: Mapping[str, Path], outputs: Mapping[str, Path], *, pause: float, seed: int = 0):
    """Write numbers that depend on every byte of the inputs and on the seed, with pauses."""
    first = next(iter(outputs.values()))
    step = _step_of(first)
    label = "all" if step == "group" else first.name[4:].split("_")[0]
    _note(f"{label}/{step}")
    digests = "".join(io.sha256(path) for path in inputs.values())
    rng = np.random.default_rng([seed, *digests.encode()])
    if step == "measure":
        import warnings

        warnings.warn("a toy measures nothing", io.DataWarning, stacklevel=1)
    for path in outputs.values():
        time.sleep(pause / (1 + len(outputs)))
        _write(rng.standard_normal((12, 12)).astype(np.float32), path)
    _do(json.loads(os.environ.get("TOY_DEEDS", "{}")).get(f"{label}/{step}", ""), first)
    time.sleep(pause / (1 + len(outputs)))


def _step_of(path: Path) -> str:
    """Return the step that writes a file."""
    return next((step for step, (ends, _) in STEPS.items() if path.name.endswith(ends)), "group")


def _note(line: str) -> None:
    """Add a line to the journal in one write, which a kill cannot cut."""
    name = os.environ.get("TOY_JOURNAL")
    if name:
        handle = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(handle, f"{line}\n".encode())
        os.close(handle)


def _write(numbers: np.ndarray, path: Path) -> None:
    """Write numbers through the gate in the format of the file's name."""
    if path.name.endswith(".nii.gz"):
        from nibabel.nifti1 import Nifti1Image

        io.save_img(Nifti1Image(numbers.reshape(4, 6, 6), np.diag([2.0, 2, 2, 1])), path)
    else:
        io.save_text("".join("\t".join(map(str, row)) + "\n" for row in numbers.tolist()), path)


def _do(deed: str, path: Path) -> None:
    """Go wrong in one of the ways in which steps do."""
    if deed == "refuse":
        raise io.DataError(path.with_name("scan.nii.gz"), "is broken", "Copy it again")
    if deed:
        DEEDS[deed]()


def _raise() -> None:
    raise ZeroDivisionError("by zero")


def _raise_what_pickle_cannot_carry() -> None:
    raise type("Local", (Exception,), {"__init__": lambda self, a, b: None})(1, 2)


def _grow() -> None:
    """Take 16 MB at a time, and write to all of it."""
    kept = []
    while True:
        kept.append(np.ones(1 << 21))
        time.sleep(0.01)


def _share() -> None:
    """Take 16 MB at a time of memory that no limit of the system counts."""
    kept = []
    while True:
        kept.append(mmap.mmap(-1, 1 << 24))
        kept[-1].write(bytes(1 << 24))
        time.sleep(0.01)


def _fork() -> None:
    """Start processes that outlive the step: one that shares all, one of another program."""
    if os.fork() == 0:
        time.sleep(3600)
        os._exit(0)
    subprocess.Popen(["sleep", "3600"], stdin=subprocess.DEVNULL)


DEEDS: dict[str, Callable[[], object]] = {
    "raise": _raise,
    "unpicklable": _raise_what_pickle_cannot_carry,
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "leave": lambda: os._exit(3),
    "exit": lambda: sys.exit("a library gave up"),
    "sleep": lambda: time.sleep(3600),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "spin": lambda: re.match(r"(a|a)*b", "a" * 60),  # in C, with the interpreter held
    "grow": _grow,
    "share": _share,
    "allocate": lambda: np.zeros(1 << 30),  # 8 GB at once, and not one of them touched
    "shout": lambda: os.write(2, b"a library printed this\n" * 50_000),
    "fork": _fork,
    "fork and die": lambda: (_fork(), os.kill(os.getpid(), signal.SIGKILL)),
    "fork and hang": lambda: (_fork(), time.sleep(3600)),
}


def pipeline(label: str, out_dir: Path, steps: Steps) -> Path:
    """Run every step of a participant, each on what those before it wrote."""
    inputs: dict[str, Path] = {}
    for number, (name, (_, pause)) in enumerate(STEPS.items()):
        result = steps.run(
            name,
            stir,
            inputs=inputs,
            outputs=outputs_of(out_dir, label, name),
            parameters={"pause": pause},
            seed=int(label) if number == 0 else None,
        )
        inputs = {**inputs, **result.outputs}
    return outputs_of(out_dir, label, "page")["page.html"]


def process(label: str, out_dir: Path, new_steps: NewSteps) -> Outcome:
    """Process one participant."""
    attempt = Attempts(label, out_dir / "logs", hide=(out_dir,))
    page = attempt(pipeline, label, out_dir, new_steps())
    return Outcome(label, attempt.failures, [page] if page else [])


def group(out_dir: Path, labels: list[str]) -> None:
    """Stir what every participant ended with; in this process."""
    ends = [outputs_of(out_dir, label, "measure")["measures.tsv"] for label in labels]
    run_step("group", stir, inputs={path.name: path for path in ends},
             outputs={"group": out_dir / "group.tsv"}, parameters={"pause": 0.1})  # fmt: skip


def main(argv: list[str]) -> int:
    """Run the participants, then the group; return the exit status, as the real command does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--participant-label", nargs="+", default=list(LABELS))
    parser.add_argument("--nprocs", type=int, default=0)
    parser.add_argument("--mem", type=float)
    parser.add_argument("--step-timeout", type=float, help="minutes")
    parser.add_argument("--work-dir", type=Path)
    parser.add_argument("--stop-on-first-crash", action="store_true")
    options = parser.parse_args(argv)
    resources = Resources(
        n_procs=options.nprocs,
        memory=options.mem,
        step_minutes=options.step_timeout,
        work_dir=options.work_dir,
        stop_on_first_crash=options.stop_on_first_crash,
    )
    out_dir = options.out_dir
    try:
        io.save_json({"Name": "toy", "BIDSVersion": "1.10.0", "DatasetType": "derivative"},
                     out_dir / "dataset_description.json")  # fmt: skip
        jobs = {label: (out_dir,) for label in options.participant_label}
        outcomes = run_all(process, jobs, out_dir / "logs", resources=resources)
        done = [outcome.label for outcome in outcomes if not outcome.failures]
        if len(done) > 1:
            group(out_dir, done)
    except io.DataError as error:
        print(f"toy: error: {error}", file=sys.stderr)
        return 2
    for outcome in outcomes:
        for failure in outcome.failures:
            print(f"sub-{outcome.label}: FAILED: {failure}", file=sys.stderr)
    return 1 if any(outcome.failures for outcome in outcomes) else 0


if __name__ == "__main__":
    from tests.reliability import toy  # by its name, so that workers can import it

    sys.exit(toy.main(sys.argv[1:]))
