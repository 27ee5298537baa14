"""Brain segmentation: overlap with held-out anatomies, with deepbet, time and memory.

    python tests/benchmarks/segment_brain.py --real ../shared/data/bids

Heads are synthesised from label maps that the network's card says were held out, by a program of
their own (`heads.py`) that shares no code with the synthesis that trained the network. The last
line is JSON; the exit status is 1 where anything is less than what its name asks for.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import heads
import memory
import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy.stats import spearmanr

from brainnet import io
from brainnet.models.voxel import segment as voxel
from brainnet.models.voxel.measures import compare_labels
from brainnet.models.voxel.posterior import brain_of

DICE, MASK, REAL = (
    "dice (asked 0.80)", "mask (asked 0.96)", "mask beside deepbet (asked 0.95)"
)  # fmt: skip
SECONDS, PEAK = "seconds with imports (asked 15)", "peak GB (asked 4)"
#: Contrast and voxel size (mm) of what is asked for, then of what else a hospital has.
ASKED: list[tuple[heads.Contrast, tuple[int, int, int]]] = [
    ("T1w", (2, 2, 2)), ("T2w", (2, 2, 2)), ("FLAIR", (2, 2, 2)),
]  # fmt: skip
MORE: list[tuple[heads.Contrast, tuple[int, int, int]]] = [
    ("T1w", (1, 1, 1)), ("T2w", (1, 1, 1)), ("FLAIR", (1, 1, 1)),
    ("T2w", (1, 1, 5)), ("FLAIR", (1, 5, 1)), ("PET", (2, 2, 2)), ("inverted", (1, 1, 1)),
]  # fmt: skip

KEYS = ("dice", "hd95", "asd", "mask", "icv", "quality", "seconds")


def main(argv: list[str] | None = None) -> int:
    """Print a table of overlaps, of the real heads and of costs; the last line is JSON."""
    options = _options(argv)
    segmenter = voxel.load_segmenter(options.model)
    if options.one:
        return _one(options.one, segmenter)
    numbers = _held_out(segmenter.card, options.held_out)
    found: dict[str, Any] = {}
    rows = []
    for contrast, spacing in ASKED + ([] if options.quick else MORE):
        for number in numbers:
            rows.append(_score(segmenter, options.labelmaps, number, contrast, spacing))
            _tell(rows[-1])
    found |= _summary(rows, segmenter.table)
    if options.real is not None:
        found["real"] = [
            _real(segmenter, path) for path in sorted(options.real.rglob("*_T1w.nii*"))
        ]
        path = sorted(options.real.rglob("*_T1w.nii*"))[0]
        found["cost"] = _cost(path, options.model)
    print(json.dumps(_rounded(found)))
    return 0 if _is_as_asked(found) else 1


def _held_out(card: dict[str, Any], asked: list[int] | None) -> list[int]:
    """Return numbers of label maps that the network never saw; raise for one that it may have."""
    there = sorted(int(name.split("_")[0].split("-")[1]) for name in card["data"]["held_out"])
    seen = sorted(set(asked or []) - set(there))
    if seen or not there:
        raise ValueError(f"held-out must be of {there}, as the card says; got {seen}.")
    return asked or there


def _is_as_asked(found: dict[str, Any]) -> bool:
    """Return whether overlaps and costs are what each of their names asks for."""
    cost = found.get("cost", {SECONDS: 0.0, PEAK: 0.0})
    return (
        found[DICE] >= 0.80
        and found[MASK] >= 0.96
        and all(row[REAL] >= 0.95 for row in found.get("real", []))
        and cost[SECONDS] <= 15
        and cost[PEAK] <= 4
    )


def _score(
    segmenter: Any,
    folder: Path,
    number: int,
    contrast: heads.Contrast,
    spacing: tuple[int, int, int],
) -> dict[str, Any]:
    """Segment one synthesised head and hold it against its label map."""
    head = heads.scan(folder, number, contrast, spacing)
    truth = segmenter.table.index_of[np.asarray(head.labels_img.dataobj)]
    start = time.perf_counter()
    result = voxel.segment(head.img, segmenter)
    seconds = time.perf_counter() - start
    labels = np.asarray(result.labels_img.dataobj)
    measures = compare_labels(labels, truth, segmenter.table, spacing=spacing)
    measures = measures[measures["dice"].notna()].set_index("index")
    brain = brain_of(truth, segmenter.table)
    return {
        "head": number, "contrast": contrast, "spacing": spacing, "seconds": seconds,
        **{key: float(measures[key].mean()) for key in ("dice", "hd95", "asd")},
        "by label": measures["dice"].to_dict(),
        "mask": _overlap(brain, np.asarray(result.mask_img.dataobj)),
        "icv": _icv_error(brain, head.img, result.icv_mm3),
        "quality": result.quality.score, "trusted": result.quality.trusted,
    }  # fmt: skip


def _summary(rows: list[dict[str, Any]], table: Any) -> dict[str, Any]:
    """Average over heads by contrast, and by structure over what is asked for."""
    kinds: dict[str, Any] = {}
    for row in rows:
        name = f"{row['contrast']} {'x'.join(map(str, row['spacing']))} mm"
        kinds.setdefault(name, []).append(row)
    asked = [row for row in rows if (row["contrast"], row["spacing"]) in ASKED]
    names = dict(zip(table.regions["index"], table.regions["name"], strict=True))
    by_label = {
        name: float(np.mean([row["by label"][i] for row in asked if i in row["by label"]]))
        for i, name in names.items()
    }
    print("\nmean Dice by structure, what is asked for")
    for name, value in sorted(by_label.items(), key=lambda item: item[1]):
        print(f"  {name:32s} {value:.3f}")
    return {
        DICE: _mean(asked, "dice"),
        MASK: _mean(asked, "mask"),
        "worst head": min(row["dice"] for row in asked),
        "by contrast": {
            name: {key: _mean(each, key) for key in KEYS} for name, each in kinds.items()
        },
        "by structure": by_label,
        "quality follows Dice (Spearman)": float(
            spearmanr([row["quality"] for row in rows], [row["dice"] for row in rows])[0]
        ),
    }


def _real(segmenter: Any, path: Path) -> dict[str, Any]:
    """Hold the mask of a real T1w against deepbet's."""
    from brainnet.imaging.mask import brain_mask

    img = io.load_img(path, ndim=3)
    start = time.perf_counter()
    result = voxel.segment(img, segmenter)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    other = brain_mask(img)
    row = {
        "image": path.name, REAL: _overlap(
            np.asarray(other.dataobj), np.asarray(result.mask_img.dataobj)
        ),
        "seconds": ours, "deepbet seconds": time.perf_counter() - start,
        "quality": result.quality.score, "trusted": result.quality.trusted,
    }  # fmt: skip
    print(row)
    return row


def _cost(path: Path, model: Path | None) -> dict[str, float]:
    """Segment one head in a process of its own: seconds in all, and peak memory."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--one", str(path)]
    command += [] if model is None else ["--model", str(model)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    whole = time.perf_counter() - start
    return {SECONDS: whole} | json.loads(done.stdout.splitlines()[-1])


def _one(path: Path, segmenter: voxel.Segmenter) -> int:
    """Segment one head; print what it took."""
    memory.forget_peak()
    start = time.perf_counter()
    voxel.segment(io.load_img(path, ndim=3), segmenter)
    print(json.dumps({"seconds": time.perf_counter() - start, PEAK: memory.peak()}))
    return 0


def _icv_error(truth: NDArray[Any], img: Nifti1Image, found: float) -> float:
    """Return the relative error of the intracranial volume."""
    true = float((truth > 0).sum() * np.prod(img.header.get_zooms()[:3]))
    return found / true - 1


def _overlap(one: NDArray[Any], other: NDArray[Any]) -> float:
    both = float(np.sum((one > 0) & (other > 0)))
    return 2 * both / float(np.sum(one > 0) + np.sum(other > 0))


def _mean(rows: list[dict[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))


def _tell(row: dict[str, Any]) -> None:
    kind = f"{row['contrast']} {'x'.join(map(str, row['spacing']))} mm"
    print(
        f"head {row['head']:2d}  {kind:18s} Dice {row['dice']:.3f}  "
        f"HD95 {row['hd95']:.1f} mm  mask {row['mask']:.3f}  "
        f"ICV {row['icv']:+.1%}  quality {row['quality']:.2f}  {row['seconds']:.1f} s",
        flush=True,
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--labelmaps", type=Path, default=Path("../shared/data/labelmaps"))
    parser.add_argument("--real", type=Path, help="BIDS dataset with T1w images")
    parser.add_argument("--model", type=Path, help="checkpoint; the package's by default")
    parser.add_argument("--held-out", type=int, nargs="+", help="numbers; the card's by default")
    parser.add_argument("--quick", action="store_true", help="only what is asked for")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
