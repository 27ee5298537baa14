"""What each variant of a network costs, and how far it is from the original.

Latency and memory are those of a fresh process that does nothing else, so that no variant pays for
another one; run as a module, this file is that process.
"""

import gzip
import json
import math
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from brainnet.io import DataWarning
from brainnet.io.files import read_buffer
from brainnet.models.core.checkpoint import WEIGHTS, load_checkpoint
from brainnet.models.core.compress import LARGEST_LOSS, LEAST_AGREEMENT
from brainnet.models.core.compress.onnx import MAX_MODEL_BYTES, MODEL
from brainnet.models.core.predict import inference, predict
from brainnet.models.core.recipe import Precision

__all__ = ["Cost", "Yardstick", "compare", "measure_cost"]

_WHOLE = 1e3  # GB: a comparison takes the volume whole
_MB = 1e6
Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Yardstick:
    """What variants are held against.

    Parameters
    ----------
    batches : sequence of mappings
        With an ``image`` ``(n_batch, n_channels, *spatial)`` each, and whatever ``score`` needs.
        None of them seen in training, calibration or distillation.
    probabilities : callable
        Turns logits into ``(n_batch, n_labels, *spatial)`` probabilities, background first.
    score : callable
        ``score(probabilities, batch)``: the higher, the better.
    """

    batches: Sequence[Batch]
    probabilities: Callable[[Tensor], Tensor]
    score: Callable[[Tensor, Batch], float]


@dataclass(frozen=True)
class Cost:
    """What a forward pass takes in a process of its own.

    Parameters
    ----------
    latency_s : float
        Median of the passes after the first, seconds.
    peak_memory_mb : float
        Largest resident memory of the process, libraries and weights included, MB (10^6 bytes).
    loaded_memory_mb : float
        Resident memory before the first pass.
    """

    latency_s: float
    peak_memory_mb: float
    loaded_memory_mb: float


def compare(
    folders: Mapping[str, Path],
    yardstick: Yardstick,
    *,
    precision: Precision = "bf16-mixed",
    n_threads: int | None = None,
    n_repeats: int = 5,
) -> pd.DataFrame:
    """Return a table of variants of a network beside the original.

    Parameters
    ----------
    folders : mapping
        Folder of each variant by name; the first one is the original.
    yardstick : Yardstick
    precision : {"bf16-mixed", "16-mixed", "32-true"}
        Of torch networks; ONNX ones have their own. Differences are from the original in float32.
    n_threads : int, optional
        torch's choice by default.
    n_repeats : int
        Passes whose median is the latency.

    Returns
    -------
    DataFrame
        A row a variant: ``variant``; ``size_mb`` and ``size_gzip_mb`` (of the weights on disk, and
        compressed); ``latency_s``, ``peak_memory_mb`` and ``loaded_memory_mb`` (`Cost`, for the
        first batch); ``score`` and ``score_change``; ``max_difference`` (of probabilities, largest
        over all voxels) and ``agreement`` (share of voxels with the same most likely label, of
        those that either network calls something); ``passed`` (``LARGEST_LOSS``
        and ``LEAST_AGREEMENT`` of the package). A cost that could not be measured is NaN.

    Warns
    -----
    DataWarning
        The cost of a variant could not be measured.

    Raises
    ------
    ValueError
        There is no variant or no batch.
    DataError
        A variant is damaged.
    """
    if not folders or not yardstick.batches:
        raise ValueError(
            f"folders and batches must not be empty; got {len(folders)} variants and "
            f"{len(yardstick.batches)} batches. Give an original and an image."
        )
    original = load_checkpoint(next(iter(folders.values())))[0]
    wanted = _all_probabilities(original, yardstick, "32-true")
    shape = tuple(yardstick.batches[0]["image"].shape)
    rows: list[dict[str, Any]] = []
    for name, folder in folders.items():
        found = _all_probabilities(load_checkpoint(folder)[0], yardstick, precision)
        pairs = zip(found, yardstick.batches, strict=True)
        score = mean(yardstick.score(each, batch) for each, batch in pairs)
        try:
            cost = measure_cost(
                folder, shape, precision=precision, n_threads=n_threads, n_repeats=n_repeats
            )
        except RuntimeError as error:
            warnings.warn(f"{error}. Its cost is left out.", DataWarning, stacklevel=2)
            cost = Cost(math.nan, math.nan, math.nan)
        rows.append(
            {"variant": name, **_sizes(folder), **asdict(cost), "score": score}
            | _differences(wanted, found)
        )
    table = pd.DataFrame(rows)
    table.insert(7, "score_change", table["score"] - table["score"].iloc[0])
    near = table["agreement"] >= LEAST_AGREEMENT
    table["passed"] = near & (table["score_change"] >= -LARGEST_LOSS)
    return table


def measure_cost(
    folder: Path,
    shape: Sequence[int],
    *,
    precision: Precision = "bf16-mixed",
    n_threads: int | None = None,
    n_repeats: int = 5,
) -> Cost:
    """Return what a network takes for an image of a shape, in a process of its own.

    Parameters
    ----------
    folder : Path
        Of the network and its card.
    shape : sequence of int
        ``(n_batch, n_channels, *spatial)``.
    precision : {"bf16-mixed", "16-mixed", "32-true"}
    n_threads : int, optional
        torch's choice by default.
    n_repeats : int
        Passes whose median is the latency, after a first one that is not counted.

    Raises
    ------
    RuntimeError
        The process failed, or was killed: for its memory, as a rule.
    """
    threads = n_threads or torch.get_num_threads()
    task = {"folder": str(folder), "shape": list(shape), "precision": precision,
            "n_threads": threads, "n_repeats": n_repeats}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", __name__ if __name__ != "__main__" else __spec__.name],
        input=json.dumps(task),
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise RuntimeError(f"{folder} could not be measured: {reason}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _all_probabilities(
    model: nn.Module, yardstick: Yardstick, precision: Precision
) -> list[Tensor]:
    return [
        predict(
            model,
            batch["image"],
            activation=lambda logits, _: yardstick.probabilities(logits),
            max_memory=_WHOLE,
            precision=precision,
        )
        for batch in yardstick.batches
    ]


def _differences(wanted: Sequence[Tensor], found: Sequence[Tensor]) -> dict[str, float]:
    pairs = list(zip(wanted, found, strict=True))
    largest = max(float((one - other).abs().max()) for one, other in pairs)
    labels = [(one.argmax(dim=1), other.argmax(dim=1)) for one, other in pairs]
    n_named = sum(int(((one > 0) | (other > 0)).sum()) for one, other in labels)
    n_same = sum(int(((one == other) & (one > 0)).sum()) for one, other in labels)
    return {"max_difference": largest, "agreement": n_same / n_named if n_named else 1.0}


def _sizes(folder: Path) -> dict[str, float]:
    path = folder / MODEL if (folder / MODEL).exists() else folder / WEIGHTS
    content = read_buffer(path, limit=MAX_MODEL_BYTES)
    packed = gzip.compress(bytes(content), compresslevel=6)
    return {"size_mb": len(content) / _MB, "size_gzip_mb": len(packed) / _MB}


def _resident(which: str) -> float:
    """Return the memory of this process in MB: ``VmRSS`` now, or ``VmHWM`` at most so far."""
    status = Path("/proc/self/status")
    if not status.exists():  # macOS: in bytes, and the largest only
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MB
    line = next(each for each in status.read_text().splitlines() if each.startswith(which))
    return int(line.split()[1]) * 1024 / _MB


def _run(task: Mapping[str, Any]) -> Cost:
    torch.set_num_threads(task["n_threads"])
    model = load_checkpoint(task["folder"])[0]
    image = torch.rand(task["shape"], generator=torch.Generator().manual_seed(0))
    if image.ndim == 5:
        image = image.contiguous(memory_format=torch.channels_last_3d)
    loaded, seconds = _resident("VmRSS"), []
    with inference(model, precision=task["precision"]) as network:
        for _ in range(1 + task["n_repeats"]):
            start = time.perf_counter()
            network(image)
            seconds.append(time.perf_counter() - start)
    return Cost(median(seconds[1:]), _resident("VmHWM"), loaded)


if __name__ == "__main__":
    print(json.dumps(asdict(_run(json.load(sys.stdin)))))
