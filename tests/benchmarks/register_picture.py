"""Draw one pair: the fixed brain, and the moving one carried to it by each tool.

The outlines are the fixed head's structures (yellow) and the carried ones (red): where one colour
alone shows, they disagree. Below stands the overlap of every structure.
"""

from argparse import Namespace
from typing import Any

import heads
import numpy as np
import peers
from nibabel.nifti1 import Nifti1Image
from register_deformable import SYN_CC, carried_labels, score

from brainnet.imaging import transforms

_STRUCTURES = heads.CORTEX + heads.SUBCORTEX


def draw(options: Namespace) -> None:
    """Register the first pair at 2 mm with every tool and save the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    fixed, moving = (heads.brain(options.labelmaps, n, 2) for n in heads.PAIRS[0])
    ways = _registrations(fixed, moving)
    figure = pyplot.figure(figsize=(4 * (1 + len(ways)), 16), layout="constrained")
    grid = figure.add_gridspec(4, 1 + len(ways), height_ratios=(3, 3, 3, 2))
    columns = {"fixed": (fixed.img, None)} | {
        name: _carried(fixed, moving, each) for name, each in ways.items()
    }
    at = _centre(fixed)
    for column, (name, (img, labels_img)) in enumerate(columns.items()):
        for axis in range(3):
            axes = figure.add_subplot(grid[axis, column])
            _slice(axes, fixed, (img, labels_img), axis, at)
            axes.set_title(name if axis == 0 else "")
    _bars(figure.add_subplot(grid[3, :]), {n: score([fixed, moving], w) for n, w in ways.items()})
    figure.savefig(options.picture, dpi=80)
    print(f"picture: {options.picture}", flush=True)


def _registrations(fixed: heads.Head, moving: heads.Head) -> dict[str, peers.Ways]:
    """Run every tool, and the affine part alone."""
    images = (fixed.img, moving.img)
    _, start = peers.ants_affine(*images)
    affine = peers.Ways(
        transforms.compose(start, grid_img=fixed.img),
        transforms.compose(np.linalg.inv(start), grid_img=moving.img),
        0.0,
    )
    return {
        "affine alone": affine,
        "brainnet": peers.ours(*images, quality="draft"),
        "greedy": peers.greedy_deformable(*images, peers.greedy_affine(*images)[1])[0],
        "ANTs SyN-CC": peers.ants_deformable(*images, start, **SYN_CC),
    }


def _carried(
    fixed: heads.Head, moving: heads.Head, ways: peers.Ways
) -> tuple[Nifti1Image, Nifti1Image]:
    """Return the moving image and its labels in fixed space."""
    img = transforms.apply_displacement(moving.img, ways.forward_img)
    return img, carried_labels(fixed, moving, ways)


def _centre(head: heads.Head) -> heads.Array:
    """Return the middle of the left thalamus and putamen (world mm)."""
    deep = np.isin(np.asarray(head.labels_img.dataobj), (10, 12))
    return heads.centre_of(Nifti1Image(deep.astype(np.uint8), head.labels_img.affine))


def _slice(
    axes: Any,
    fixed: heads.Head,
    shown: tuple[Nifti1Image, Nifti1Image | None],
    axis: int,
    at: heads.Array,
) -> None:
    """Show one slice of an image under the outlines of both label images."""
    img, labels_img = shown
    plane, extent = _plane(img, axis, at)
    axes.imshow(plane.T, cmap="gray", origin="lower", extent=extent, vmin=0, vmax=140)
    for labels, colour in ((labels_img, "red"), (fixed.labels_img, "yellow")):
        if labels is None:
            continue
        cut, sides = _plane(labels, axis, at)
        for members in (heads.CORTEX, (10, 49), (11, 50), (12, 51), (13, 52), (17, 53), (4, 43)):
            inside = np.isin(cut, members).T
            if inside.any():
                axes.contour(inside, [0.5], colors=colour, linewidths=0.7, extent=sides)
    axes.set_axis_off()


def _plane(
    img: Nifti1Image, axis: int, at: heads.Array
) -> tuple[Any, tuple[float, float, float, float]]:
    """Return one slice of an image on RAS axes and where its edges lie (mm)."""
    index = round(float((np.linalg.inv(img.affine) @ [*at, 1])[axis]))
    plane = np.take(np.asarray(img.dataobj), index, axis=axis)
    sides = [k for k in range(3) if k != axis]
    low = img.affine[:3, 3] - np.diag(img.affine)[:3] / 2
    high = low + np.diag(img.affine)[:3] * img.shape
    return plane, (low[sides[0]], high[sides[0]], low[sides[1]], high[sides[1]])


def _bars(axes: Any, scores: dict[str, dict[str, Any]]) -> None:
    """Draw the overlap of every structure, tool by tool."""
    places = np.arange(len(_STRUCTURES))
    width = 0.8 / len(scores)
    for k, (name, row) in enumerate(scores.items()):
        heights = [row["structures"][label] for label in _STRUCTURES]
        text = f"{name}: {row['dice']:.3f}"
        axes.bar(places + (k - (len(scores) - 1) / 2) * width, heights, width, label=text)
    axes.set_xticks(places, [str(label) for label in _STRUCTURES])
    axes.set_xlabel("structure (FreeSurfer number)")
    axes.set_ylabel("Dice")
    axes.set_ylim(0.2, 1)
    axes.legend(ncols=len(scores), loc="upper center")
