"""Affine registration across contrasts: planted matrices between made-up images of one head."""

from argparse import Namespace
from typing import Any

import heads
import numpy as np
import peers
from nibabel.nifti1 import Nifti1Image
from register_deformable import tell
from scipy import ndimage

from brainnet.imaging import register

Row = dict[str, Any]
CONTRASTS: tuple[heads.Contrast, ...] = ("T2w", "BOLD", "PET", "inverted")
#: How far the mask is widened for ANTs (mm): brainnet widens it so by itself.
_RIM_MM = 8.0
#: From which mean error a registration has failed (mm).
_LOST_MM = 3.0


def affine(options: Namespace) -> Row:
    """Find planted affines at 2 mm between whole heads, without and with the fixed brain's mask."""
    rows: dict[str, list[Row]] = {}
    for index in range(options.plants):
        number = 1 + (3 * index) % 20
        fixed = heads.whole(options.labelmaps, number)
        wide = widened(fixed.mask_img)
        for contrast in CONTRASTS:
            truth = heads.planted("affine", index, heads.centre_of(fixed.mask_img))
            moving = heads.counterpart(options.labelmaps, number, contrast, truth)
            if not rows:
                ours(fixed.img, moving, fixed.mask_img, "affine")  # compiles
            for name, (seconds, found) in (
                ("brainnet", ours(fixed.img, moving, None, "affine")),
                ("ANTs affine", peers.ants_affine(fixed.img, moving)),
                ("brainnet, masked", ours(fixed.img, moving, fixed.mask_img, "affine")),
                ("ANTs affine, masked", peers.ants_affine(fixed.img, moving, mask=wide)),
            ):
                error = heads.matrix_error(found, truth, fixed.mask_img)
                row = {"contrast": contrast, "seconds": seconds, "error_mm": error}
                rows.setdefault(name, []).append(row)
                tell(f"affine, head {number}, {contrast}", name, row)
    return summary(rows)


def ours(
    fixed: Nifti1Image, moving: Nifti1Image, mask: Nifti1Image | None, kind: Any
) -> tuple[float, peers.Array]:
    """Align with brainnet; return the median seconds of three runs and the matrix."""
    runs = [
        peers.timed(register.register_affine, fixed, moving, kind=kind, fixed_mask_img=mask)
        for _ in range(3)
    ]
    return float(np.median([seconds for seconds, _ in runs])), runs[0][1].matrix


def widened(mask_img: Nifti1Image) -> Nifti1Image:
    """Return a mask with a rim."""
    sizes = np.linalg.norm(mask_img.affine[:3, :3], axis=0)
    distance = ndimage.distance_transform_edt(np.asarray(mask_img.dataobj) == 0, sampling=sizes)
    return Nifti1Image((distance <= _RIM_MM).astype(np.uint8), mask_img.affine)


def summary(rows: dict[str, list[Row]]) -> Row:
    """Reduce the rows of each tool: median time; errors over all, and by contrast."""
    found: Row = {}
    for name, each in rows.items():
        errors = np.array([row["error_mm"] for row in each])
        found[name] = {
            "runs": len(each),
            "seconds": float(np.median([row["seconds"] for row in each])),
            "error_mm": float(errors.mean()),
            "error_mm_median": float(np.median(errors)),
            "error_mm_worst": float(errors.max()),
            "lost": int(np.sum(errors > _LOST_MM)),
            "by_contrast": {
                contrast: round(float(np.mean(
                    [row["error_mm"] for row in each if row["contrast"] == contrast])), 4)
                for contrast in dict.fromkeys(row["contrast"] for row in each)
            },
        }  # fmt: skip
    for peer in [name for name in rows if not name.startswith("brainnet")]:
        _, comma, rest = peer.partition(", ")
        mine = f"brainnet{comma}{rest}"
        pairs = zip(rows[peer], rows[mine if mine in rows else "brainnet"], strict=True)
        ratios = [b["seconds"] / a["seconds"] for b, a in pairs]
        found[f"times faster than {peer}"] = float(np.median(ratios))
    return found
