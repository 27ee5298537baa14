"""Deformable registration between heads: overlap, consistency, folding, time and memory."""

import json
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import heads
import nibabel as nib
import numpy as np
import peers
from nibabel.nifti1 import Nifti1Image

from brainnet.imaging import transforms

Row = dict[str, Any]
#: ANTs' SyN by local correlation; radius 4 took longer and overlapped less (0.681, not 0.695).
SYN_CC: Row = {"syn_metric": "CC", "syn_sampling": 2, "reg_iterations": (100, 70, 20)}
#: Runs of brainnet, of which the median counts; the others run once.
_RUNS = 3


def deformable(options: Namespace) -> Row:
    """Compare at 2 mm with SyN by local correlation and with greedy."""
    rows: dict[str, list[Row]] = {}
    for fixed_number, moving_number in heads.PAIRS[: options.pairs]:
        pair = [heads.brain(options.labelmaps, n, 2) for n in (fixed_number, moving_number)]
        images = (pair[0].img, pair[1].img)
        if not rows:
            peers.ours(*images, quality="draft")  # compiles, or loads what was compiled
        affine_s, start = peers.ants_affine(*images)
        greedy_s, greedy_start = peers.greedy_affine(*images)
        alone = _repeat(peers.ours_from, *images, start, quality="draft")
        whole = _repeat(peers.ours, *images, quality="draft")
        syn = peers.ants_deformable(*images, start, **SYN_CC)
        common, common_s = peers.greedy_deformable(*images, start)
        greedy, forward_s = peers.greedy_deformable(*images, greedy_start)
        for name, ways, before in (
            ("brainnet", whole, 0.0), ("brainnet, common start", alone, 0.0),
            ("ANTs SyN-CC", syn, affine_s), ("ANTs SyN-CC, common start", syn, 0.0),
            ("greedy", greedy, greedy_s), ("greedy, common start", common, 0.0),
            ("greedy, forward only", greedy, greedy_s + forward_s - greedy.seconds),
            ("greedy, forward only, common start", common, common_s - common.seconds),
        ):  # fmt: skip
            row = score(pair, ways) | {"seconds": ways.seconds + before}
            rows.setdefault(name, []).append(row)
            tell(f"2 mm, {fixed_number} <- {moving_number}", name, row)
    found = summary(rows)
    for suffix, key in (("", "whole"), (", common start", "alone")):
        for peer in ("ANTs SyN-CC", "greedy", "greedy, forward only"):
            found[f"{key} times faster than {peer}"] = ratio(
                rows, f"brainnet{suffix}", peer + suffix
            )
    return found


def fine(options: Namespace) -> Row:
    """Compare at 1 mm with ANTs' default SyN (Mattes) and with greedy."""
    rows: dict[str, list[Row]] = {}
    for fixed_number, moving_number in heads.PAIRS[: options.fine_pairs]:
        pair = [heads.brain(options.labelmaps, n, 1) for n in (fixed_number, moving_number)]
        images = (pair[0].img, pair[1].img)
        if not rows:
            peers.ours(*images, quality="standard")
        whole = _repeat(peers.ours, *images, quality="standard")
        greedy_s, start = peers.greedy_affine(*images)
        greedy, forward_s = peers.greedy_deformable(*images, start)
        for name, ways, before in (
            ("brainnet", whole, 0.0),
            ("ANTs SyN", peers.ants_deformable(*images, None), 0.0),
            ("greedy", greedy, greedy_s),
            ("greedy, forward only", greedy, greedy_s + forward_s - greedy.seconds),
        ):
            row = score(pair, ways) | {"seconds": ways.seconds + before}
            rows.setdefault(name, []).append(row)
            tell(f"1 mm, {fixed_number} <- {moving_number}", name, row)
    found = summary(rows)
    for peer in ("ANTs SyN", "greedy", "greedy, forward only"):
        found[f"whole times faster than {peer}"] = ratio(rows, "brainnet", peer)
    return found


def memory(options: Namespace) -> Row:
    """Measure peak memory at 1 mm and time before anything was compiled, each in a new process."""
    found: Row = {}
    with tempfile.TemporaryDirectory() as folder:
        for voxel_mm, quality in ((1, "standard"), (2, "draft")):
            for name, number in zip(("fixed", "moving"), heads.PAIRS[0], strict=True):
                head = heads.brain(options.labelmaps, number, voxel_mm)
                nib.nifti1.save(head.img, Path(folder) / f"{name}.nii")
            for kind in ("cold", "warm"):
                environment = os.environ.copy()
                if kind == "cold":
                    environment["NUMBA_CACHE_DIR"] = f"{folder}/cache{voxel_mm}"
                done = subprocess.run(
                    [sys.executable, "-c", _CHILD, folder, quality],
                    env=environment, check=True, capture_output=True, text=True,
                )  # fmt: skip
                row = json.loads(done.stdout.splitlines()[-1])
                found[f"{quality}, {kind}"] = row
                tell(f"{voxel_mm} mm alone in a process", kind, row)
    return found


#: Peak memory is read where Linux keeps it for one program: ru_maxrss holds the parent's too.
_CHILD = """
import json, resource, sys, time
import nibabel, numpy
from pathlib import Path
start = time.perf_counter()
from brainnet.imaging import register
imported = time.perf_counter() - start
def peak_gb():
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30
folder, quality = sys.argv[1:]
pair = [nibabel.nifti1.load(f"{folder}/{name}.nii") for name in ("fixed", "moving")]
pair = [nibabel.Nifti1Image(numpy.asarray(img.dataobj), img.affine) for img in pair]
row = {"import_s": imported, "before_gb": peak_gb()}
for call in ("first_s", "second_s"):
    start = time.perf_counter()
    register.register_deformable(*pair, quality=quality)
    row[call] = time.perf_counter() - start
row["peak_gb"] = peak_gb()
print(json.dumps({key: round(value, 3) for key, value in row.items()}))
"""


def score(pair: list[heads.Head], ways: peers.Ways) -> Row:
    """Return overlap (0 to 1), inconsistency (mm) and least Jacobian of a registration.

    Inconsistency and Jacobian are of the brain; a peer's field ends at the edge of its grid, where
    the least Jacobian anywhere may show a step that its own tools never read.
    """
    fixed, moving = pair
    overlap = heads.dice(
        np.asarray(fixed.labels_img.dataobj),
        np.asarray(carried_labels(fixed, moving, ways).dataobj),
        heads.CORTEX + heads.SUBCORTEX,
    )
    around = transforms.compose(ways.inverse_img, ways.forward_img, grid_img=moving.img)
    left = np.linalg.norm(np.asarray(around.dataobj)[:, :, :, 0], axis=-1)
    left = left[np.asarray(moving.mask_img.dataobj) > 0]
    volumes = [
        np.asarray(transforms.jacobian(img).dataobj) for img in (ways.forward_img, ways.inverse_img)
    ]
    inside = [np.asarray(head.mask_img.dataobj) > 0 for head in pair]
    return {
        "dice": float(np.mean(list(overlap.values()))),
        "cortex": float(np.mean([overlap[label] for label in heads.CORTEX])),
        "subcortex": float(np.mean([overlap[label] for label in heads.SUBCORTEX])),
        "inconsistency_mm": float(left.mean()),
        "inconsistency_mm_999": float(np.percentile(left, 99.9)),
        "least_jacobian": min(float(v[m].min()) for v, m in zip(volumes, inside, strict=True)),
        "least_jacobian_anywhere": min(float(volume.min()) for volume in volumes),
        "structures": overlap,
    }


def carried_labels(fixed: heads.Head, moving: heads.Head, ways: peers.Ways) -> Nifti1Image:
    """Carry the moving head's labels onto the fixed head's."""
    at_labels = transforms.compose(ways.forward_img, grid_img=fixed.labels_img)
    return transforms.apply_displacement(moving.labels_img, at_labels, order=0)


def _repeat(function: Any, *args: Any, **kwargs: Any) -> peers.Ways:
    """Run some times and return the run of median time."""
    runs = sorted((function(*args, **kwargs) for _ in range(_RUNS)), key=lambda run: run.seconds)
    return runs[_RUNS // 2]  # type: ignore[no-any-return]


def summary(rows: dict[str, list[Row]]) -> Row:
    """Reduce the rows of each tool: median time, mean overlap, the worst of what must not be."""
    found: Row = {}
    for name, each in rows.items():
        found[name] = {
            "pairs": len(each),
            "seconds": float(np.median([row["seconds"] for row in each])),
            **{key: float(np.mean([row[key] for row in each]))
               for key in ("dice", "cortex", "subcortex", "inconsistency_mm")},
            "inconsistency_mm_999": max(row["inconsistency_mm_999"] for row in each),
            "least_jacobian": min(row["least_jacobian"] for row in each),
            "least_jacobian_anywhere": min(row["least_jacobian_anywhere"] for row in each),
            "structures": {
                label: round(float(np.mean([row["structures"][label] for row in each])), 4)
                for label in each[0]["structures"]
            },
        }  # fmt: skip
    return found


def ratio(rows: dict[str, list[Row]], one: str, other: str) -> float:
    """Return the median over pairs of how many times as long the other took."""
    pairs = zip(rows[other], rows[one], strict=True)
    return float(np.median([b["seconds"] / a["seconds"] for b, a in pairs]))


def tell(what: str, tool: str, row: Row) -> None:
    """Print one line of progress."""
    numbers = " ".join(
        f"{key} {value:.4g}" for key, value in row.items() if isinstance(value, float | int)
    )
    print(f"  {what:28s} {tool:26s} {numbers}", flush=True)
