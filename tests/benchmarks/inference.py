"""Inference beside MONAI's sliding window: time, overlap and memory, in one run.

    python tests/benchmarks/inference.py [--model DIR] [--labelmaps DIR] [--threads 2]
        [--repeats 3] [--size 128] [--window]

Whole heads at 2 mm in T1w-, T2w- and FLAIR-like contrast are synthesised from a label map that the
network was not trained on (from a phantom where there is none: then overlap says nothing).
MONAI: ``sliding_window_inference``, eager, float32, channels first, windows of 80x96x80, overlap
0.25, Gaussian weights. brainnet: ``predict`` with its defaults. Both run the same network, from
the image in memory to the probability of every label; their turns alternate, the first does not
count, and the ratio is that of medians. 'network only' leaves MONAI's probabilities out, and
nothing of ours. Memory is the peak of a process that runs one of them once, beyond what it held
with network and image loaded. ``--window`` adds brainnet bound to 0.7 GB, which makes it slide.
``segment`` is another matter: it always slides windows, as large as those of the training.

The last line is JSON; the exit status is 1 if brainnet is less than 4 times as fast or loses more
than 0.002 of Dice.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
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
from brainnet.models.voxel.segment import load_segmenter
from brainnet.models.voxel.synthesis import HeadSynthesis, Scanner

ROOT = Path(__file__).resolve().parents[2]
ASKED = {"ratio": 4.0, "dice_loss": 0.002}
CONTRASTS = ("T1w", "T2w", "FLAIR")
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
    tools = _tools(model, table, options.window)
    if options.alone:
        return _alone(tools[options.alone], _heads(options, table)[0]["image"][None])
    heads = _heads(options, table)
    rows = {name: _row(options, name) for name in tools}
    for number, head in enumerate(heads):
        _time(tools, head["image"][None], rows, options.repeats if number == 0 else 0)
        _score(tools, head, table, rows)
    summary = _summary(rows, card, options)
    _print(rows)
    print(json.dumps(summary))
    fast = summary["ratio"] >= ASKED["ratio"]
    return 0 if fast and summary["dice_loss"] <= ASKED["dice_loss"] else 1


def _tools(
    model: nn.Module, table: LabelTable, windowed: bool
) -> dict[str, Callable[[Tensor], tuple[Tensor, float]]]:
    """Return what is compared: image to probabilities, and the second the network was done."""

    def monai(image: Tensor) -> tuple[Tensor, float]:
        with torch.inference_mode():
            logits = sliding_window_inference(
                image, (80, 96, 80), 1, model, overlap=0.25, mode="gaussian"
            )
            done = time.perf_counter()
            return table.probabilities(logits), done  # type: ignore[arg-type]

    def ours(image: Tensor, **options: Any) -> tuple[Tensor, float]:
        found = predict(
            model, image, activation=lambda logits, _: table.probabilities(logits), **options
        )
        return found, time.perf_counter()

    tools = {"MONAI": monai, "brainnet": ours}
    if windowed:
        tools["brainnet 0.7 GB"] = lambda image: ours(image, max_memory=0.7)
    return tools


def _heads(options: argparse.Namespace, table: LabelTable) -> list[dict[str, Tensor]]:
    """Synthesise one head a contrast from a held-out label map."""
    path = options.labelmaps / f"labelmap-{options.head:02d}_dseg.nii.gz"
    options.real = path.exists()
    label_map = np.asarray(io.load_img(path).dataobj) if options.real else _phantom()
    return [
        HeadSynthesis(
            [label_map], table, shapes=[(options.size,) * 3], scanner=SCANNER,
            contrasts=[contrast], seed=7,
        )[0]
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
    command += ["--labelmaps", str(options.labelmaps), "--size", str(options.size)]
    command += ["--threads", str(options.threads), "--head", str(options.head)]
    command += ["--window"] if options.window else []
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
        row["contrasts"] = dict(
            zip(CONTRASTS, (round(each, 4) for each in row["dice"]), strict=True)
        )
        row["dice"] = statistics.fmean(row["dice"])
        row["seconds"] = statistics.median(row["seconds"])
        row["network"] = statistics.median(row["network"])
    monai, ours = rows["MONAI"], rows["brainnet"]
    return {
        "bench": "inference",
        "network": card["network"]["name"],
        "voxels": [options.size] * 3,
        "head": f"labelmap-{options.head:02d}" if options.real else "phantom",
        "threads": options.threads,
        "ratio": round(monai["seconds"] / ours["seconds"], 2),
        "ratio_network_only": round(monai["network"] / ours["seconds"], 2),
        "dice_loss": round(monai["dice"] - ours["dice"], 5),
        "asked": ASKED,
        "tools": {name: _rounded(row) for name, row in rows.items()},
    }


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}


def _print(rows: dict[str, Any]) -> None:
    first = rows["MONAI"]["seconds"]
    print(
        f"{'':16s} {'s':>7} {'network only':>13} {'ratio':>6} {'Dice':>7} {'GB':>6} {'in all':>7}"
    )
    for name, row in rows.items():
        print(
            f"{name:16s} {row['seconds']:7.2f} {row['network']:13.2f} "
            f"{first / row['seconds']:6.2f} {row['dice']:7.4f} {row['gb']:6.2f} "
            f"{row['gb_in_all']:7.2f}"
        )


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="inference beside MONAI's sliding window")
    package = ROOT / "brainnet" / "models" / "voxel" / "weights" / "brain"
    maps = ROOT.parent / "shared" / "data" / "labelmaps"
    parser.add_argument("--model", type=Path, default=package, help="checkpoint folder")
    parser.add_argument("--labelmaps", type=Path, default=maps)
    parser.add_argument("--head", type=int, default=5, help="number of the held-out label map")
    parser.add_argument("--size", type=int, default=128, help="voxels of 2 mm along each axis")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--window", action="store_true", help="also bound to 0.7 GB")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
