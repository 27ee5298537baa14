"""Inference beside MONAI's sliding window: time, overlap and memory, in one run.

    python tests/benchmarks/inference.py [--model DIR] [--labelmaps DIR] [--threads 2]
        [--repeats 3] [--shape 80 96 80]

Heads at 2 mm in T1w-, T2w- and FLAIR-like contrast are synthesised from the label maps that the
network was not trained on (from a phantom where there is none: then overlap says nothing), in the
field of view that ``segment`` cuts out around a brain. MONAI: ``sliding_window_inference``, eager,
float32, channels first, windows of 64x80x64, the field that most of the training had, overlap 0.25,
Gaussian weights; beside it MONAI with the whole field as its one window. brainnet: ``predict`` with
its defaults, which take the whole field, with the mirrored field averaged in (``segment --flip``)
and with MONAI's windows. All run the same network, from
the image in memory to the probability of every label; their turns alternate, the first does not
count, and the ratio is that of medians. 'network only' leaves MONAI's probabilities out, and
nothing of ours. Memory is the peak of a process that runs one of them once, beyond what it held
with network and image loaded. A network knows fields like those it was trained on: with ``--shape
128 128 128`` all of them do worse, and the whole field worst.

The last line is JSON; the exit status is 0 if one way of ours is 4 times as fast or more and loses
at most 0.002 of Dice.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import memory
import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import Tensor, nn

from brainnet import io
from brainnet.models.core.predict import predict
from brainnet.models.voxel.labels import LabelTable
from brainnet.models.voxel.segment import label_probabilities, load_segmenter
from brainnet.models.voxel.synthesis import HeadSynthesis, Scanner

ROOT = Path(__file__).resolve().parents[2]
ASKED = {"ratio": 4.0, "dice_loss": 0.002}
CONTRASTS = ("T1w", "T2w", "FLAIR")
#: Voxels of a window, the field of view that most of the training had.
WINDOW = (64, 80, 64)
#: An upright head with mild noise and bias, as clinics see them.
SCANNER = Scanner(
    rotation=5.0, scaling=0.0, shearing=0.0, shift=3.0, warp=0.0, bias=0.2, noise=0.05,
    spacing=2.0, p_known=1.0, p_stripped=0.0, p_lesion=0.0, p_cut=0.0,
)  # fmt: skip
#: FreeSurfer numbers of nested ellipsoids, and their half axes in mm: fluid, cortex, white matter.
PHANTOM = [((24, 24), (72, 88, 68)), ((3, 42), (68, 84, 64)), ((2, 41), (60, 76, 56)),
           ((4, 43), (12, 30, 14))]  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Print both tools beside each other; return 1 where brainnet is not what was asked for."""
    options = _options(argv)
    torch.set_num_threads(options.threads)
    segmenter = load_segmenter(options.model)
    model, table, card = segmenter.network, segmenter.table, segmenter.card
    tools = _tools(model, table)
    if options.alone:
        options.heads = options.heads[:1]
        return _alone(tools[options.alone], _heads(options, table)[0]["image"][None])
    heads = _heads(options, table)
    rows = {name: _row(options, name) for name in tools}
    for number, head in enumerate(heads):
        _time(tools, head["image"][None], rows, options.repeats if number == 0 else 0)
        _score(tools, head, table, rows)
    summary = _summary(rows, card, options)
    _print(rows)
    print(json.dumps(summary))
    met = [
        each["ratio"] >= ASKED["ratio"] and each["dice_loss"] <= ASKED["dice_loss"]
        for each in summary["beside MONAI"].values()
    ]
    return 0 if any(met) else 1


def _tools(
    model: nn.Module, table: LabelTable
) -> dict[str, Callable[[Tensor], tuple[Tensor, float]]]:
    """Return what is compared: image to probabilities, and the second the network was done."""

    def monai(image: Tensor, window: Sequence[int] = WINDOW) -> tuple[Tensor, float]:
        with torch.inference_mode():
            logits = sliding_window_inference(
                image, window, 1, model, overlap=0.25, mode="gaussian"
            )
            done = time.perf_counter()
            return table.probabilities(logits), done  # type: ignore[arg-type]

    def ours(image: Tensor, **options: Any) -> tuple[Tensor, float]:
        found = predict(model, image, activation=label_probabilities(table), **options)
        return found, time.perf_counter()

    return {
        "MONAI": monai,
        "MONAI, whole": lambda image: monai(image, tuple(image.shape[2:])),
        "brainnet": ours,
        "brainnet, flipped": lambda image: ours(image, flips=((), (0,))),
        "brainnet, windows": lambda image: ours(image, window=WINDOW),
    }


def _heads(options: argparse.Namespace, table: LabelTable) -> list[dict[str, Tensor]]:
    """Synthesise one head a contrast from each held-out label map."""
    paths = [options.labelmaps / f"labelmap-{number:02d}_dseg.nii.gz" for number in options.heads]
    paths = [path for path in paths if path.exists()]
    options.real = bool(paths)
    maps = [np.asarray(io.load_img(path).dataobj) for path in paths] or [_phantom()]
    return [
        HeadSynthesis(
            [label_map], table, shapes=[tuple(options.shape)], scanner=SCANNER,
            contrasts=[contrast], seed=7,
        )[0]
        for label_map in maps
        for contrast in CONTRASTS
    ]  # fmt: skip


def _phantom() -> NDArray[np.int16]:
    """Return nested ellipsoids at 1 mm, left and right of the middle."""
    axes = [np.arange(n) - (n - 1) / 2 for n in (192, 224, 192)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    label_map = np.zeros((192, 224, 192), np.int16)
    for (left, right), (a, b, c) in PHANTOM:
        inside = (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 < 1
        label_map[inside] = np.where(x < 0, left, right).repeat(224, 1).repeat(192, 2)[inside]
    return label_map


def _time(tools: dict[str, Any], image: Tensor, rows: dict[str, Any], repeats: int) -> None:
    """Let the tools take turns; the first turn of each is not counted."""
    for turn in range(repeats + 1 if repeats else 0):
        for name, run in tools.items():
            start = time.perf_counter()
            _, done = run(image)
            if turn:
                rows[name]["seconds"].append(time.perf_counter() - start)
                rows[name]["network"].append(done - start)


def _score(
    tools: dict[str, Any], head: dict[str, Tensor], table: LabelTable, rows: dict[str, Any]
) -> None:
    """Hold the labels of each tool against those the head was made from."""
    truth = _truth(head, table)
    for name, run in tools.items():
        labels = run(head["image"][None])[0][0].argmax(dim=0)
        there = [k for k in range(1, len(table.indices)) if bool((truth == k).any())]
        overlap = [_dice(labels == k, truth == k) for k in there]
        rows[name]["dice"].append(statistics.fmean(overlap))


def _truth(head: dict[str, Tensor], table: LabelTable) -> Tensor:
    """Return the label that holds most of each voxel: its place in the table, 0 for none."""
    structure, right = head["structure"].argmax(dim=0), head["side"].argmax(dim=0)
    truth = torch.zeros_like(structure)
    for place, row in enumerate(table.regions.itertuples(), 1):
        found = structure == 1 + table.structures.index(str(row.structure))
        if row.side in ("left", "right"):
            found = found & (right == (row.side == "right"))
        truth[found] = place
    return truth


def _dice(one: Tensor, other: Tensor) -> float:
    return 2 * int((one & other).sum()) / max(1, int(one.sum()) + int(other.sum()))


def _row(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Run one tool alone in a process, and start its row with the memory that it took."""
    command = [sys.executable, __file__, "--alone", name, "--model", str(options.model)]
    command += ["--labelmaps", str(options.labelmaps), "--shape", *map(str, options.shape)]
    command += ["--threads", str(options.threads), "--heads", *map(str, options.heads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]) | {"seconds": [], "network": [], "dice": []}


def _alone(run: Callable[[Tensor], Any], image: Tensor) -> int:
    """Run one tool once; print its peak memory, GB."""
    memory.forget_peak()
    before = memory.held()
    run(image)
    print(json.dumps({"gb": memory.peak() - before, "gb_in_all": memory.peak()}))
    return 0


def _summary(
    rows: dict[str, Any], card: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    for row in rows.values():
        row["contrasts"] = {
            name: round(statistics.fmean(row["dice"][number :: len(CONTRASTS)]), 4)
            for number, name in enumerate(CONTRASTS)
        }
        row["dice"] = statistics.fmean(row["dice"])
        row["seconds"] = statistics.median(row["seconds"])
        row["network"] = statistics.median(row["network"])
    monai = rows["MONAI"]
    return {
        "bench": "inference",
        "network": card["network"]["name"],
        "voxels": options.shape,
        "heads": options.heads if options.real else "phantom",
        "threads": options.threads,
        "beside MONAI": {
            name: {
                "ratio": round(monai["seconds"] / row["seconds"], 2),
                "ratio_network_only": round(monai["network"] / row["seconds"], 2),
                "dice_loss": round(monai["dice"] - row["dice"], 5),
            }
            for name, row in rows.items()
            if name.startswith("brainnet")
        },
        "asked": ASKED,
        "tools": {name: _rounded(row) for name, row in rows.items()},
    }


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}


def _print(rows: dict[str, Any]) -> None:
    first = rows["MONAI"]["seconds"]
    print(
        f"{'':18s} {'s':>7} {'network only':>13} {'ratio':>6} {'Dice':>7} {'GB':>6} {'in all':>7}"
    )
    for name, row in rows.items():
        print(
            f"{name:18s} {row['seconds']:7.2f} {row['network']:13.2f} "
            f"{first / row['seconds']:6.2f} {row['dice']:7.4f} {row['gb']:6.2f} "
            f"{row['gb_in_all']:7.2f}"
        )


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="inference beside MONAI's sliding window")
    package = ROOT / "brainnet" / "models" / "voxel" / "weights" / "brain"
    maps = ROOT.parent / "shared" / "data" / "labelmaps"
    parser.add_argument("--model", type=Path, default=package, help="checkpoint folder")
    parser.add_argument("--labelmaps", type=Path, default=maps)
    parser.add_argument("--heads", type=int, nargs="+", default=[5, 10, 15, 20],
                        help="numbers of the held-out label maps")  # fmt: skip
    parser.add_argument("--shape", type=int, nargs=3, default=[80, 96, 80], help="voxels of 2 mm")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
