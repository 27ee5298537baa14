"""How fast this machine is: what earlier runs' steps took, beside what was expected of them."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from brainnet import io


def recorded(log_dir: Path) -> Iterator[tuple[str, str, float, float]]:
    """Yield participant, step, minutes and GB of every step that the manifests of runs tell of.

    Steps that were skipped are left out, and lines that a killed run left half written.
    """
    for path in sorted(log_dir.glob("run-*.jsonl")):
        try:
            lines = io.load_text(path).splitlines()
        except io.DataError:
            continue
        for line in lines:
            yield from _steps(line)


def _steps(line: str) -> Iterator[tuple[str, str, float, float]]:
    """Yield what one line of a manifest tells."""
    try:
        content = json.loads(line)
        if "participant" not in content:
            return
        for step in content["steps"]:
            if not step["skipped"]:
                minutes = float(step["seconds"]) / 60
                yield str(content["participant"]), step["step"], minutes, float(step["memory"])
    except (ValueError, KeyError, TypeError):
        return


def pace(log_dir: Path, expected: Mapping[tuple[str, str], Any]) -> dict[str, tuple[float, float]]:
    """Return how many times as long, and as large, each step was as expected.

    Parameters
    ----------
    log_dir : pathlib.Path
        With the manifests of earlier runs.
    expected : mapping
        `needs.Needs` by participant and step.

    Returns
    -------
    dict of str to (float, float)
        Medians over participants, of time and of memory, by step; 1 for a memory that nobody
        watched. Steps that no run of these participants recorded are not in it.
    """
    times: dict[str, list[float]] = defaultdict(list)
    sizes: dict[str, list[float]] = defaultdict(list)
    for label, step, minutes, memory in recorded(log_dir):
        needs = expected.get((label, step))
        if needs is not None and needs.minutes > 0:
            times[step].append(minutes / needs.minutes)
            sizes[step] += [memory / needs.memory] if memory > 0 else []
    return {step: (median(found), median(sizes[step] or [1.0])) for step, found in times.items()}
