"""Rigid and affine registration in a fraction of a second: from 8 mm to 2 mm, any contrast."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from brainnet.imaging import _affine_grids as grids
from brainnet.imaging._affine_fit import Array, Fit, Way, assess, generators, refine
from brainnet.imaging._affine_pair import (
    COARSE,
    FINE,
    MIDDLE,
    SAME,
    SKETCH,
    THIN,
    Pair,
)
from brainnet.imaging._affine_starts import Start, flip, search, wrong_poses
from brainnet.imaging._fields import Volume

#: Other starts are followed if they have this share of the first's score at 8 mm.
_HOPEFUL = 0.8
#: Starts that are followed at most.
_TRIED = 4
#: Mutual information (nats) below which two images share nothing.
_NOTHING = 1e-3
#: Turns against the headers (degrees) beyond this are told.
_TURNED = 10.0
#: Shares of the image inside the other below this are told.
_LITTLE = 0.3
#: Voxels of 2 mm that an image must show.
_FEW = 100
#: Shares of the fixed image inside the moving one below this are told: no slab is as thin.
_SLIVER = 0.1
#: Volume ratios of adults of one species lie within these.
_RATIOS = (0.5, 2.0)
#: Stretch of a direction above which, or below whose inverse, it is told.
_STRETCH = 1.35
#: Mirror gains above these are told, for rigid and affine. Measured: at most 0.97 (1.01 affine)
#: between images of one person, 1.08 to 2.2 if one was mirrored, except a BOLD of faint contrast
#: within a brain mask (0.97 and 1.03: not told); 0.95 to 1.06 between persons.
_MIRRORED = (1.05, 1.07)
#: Nats above wrong poses below which nothing is aligned. Measured: 0.08 and more for one person's
#: BOLD and T1w, 0.04 at most between brains and noise, smooth fields or a ball.
_EXCESS = 0.05


@dataclass(frozen=True)
class Alignment:
    """A rigid or affine matrix, how well it fits, and what is doubtful about it.

    Attributes
    ----------
    matrix : (4, 4) array
        Pull matrix in RAS mm: maps a point of the fixed world to the moving world.
    similarity : float
        Mutual information at 2 mm in nats, at least 0, of the points of the image with finer
        voxels (the fixed one's if alike) with the other. To be compared only between runs on the
        same pair with the same masks.
    overlap : float
        Share of the compared fixed points that lie inside the moving field of view and its mask,
        0 to 1.
    volume_ratio : float
        Determinant of the matrix: size of the moving head over that of the fixed head. 1 if rigid.
    mirror_gain : float
        Similarity of the best pose of the moving head with left and right exchanged, over that
        of the pose found, both at 2 mm. Above 1 the mirrored head fits better.
    start : str
        The first guess that won: "header", "centres", "turned ...".
    flags : tuple of str
        Sentences about what a person must look at; empty if nothing is doubtful.
    """

    matrix: Array
    similarity: float
    overlap: float
    volume_ratio: float
    mirror_gain: float
    start: str
    flags: tuple[str, ...]


def align(
    fixed: Volume,
    moving: Volume,
    *,
    kind: Literal["rigid", "affine"],
    contrast: Literal["same", "different"] = "different",
    fixed_mask: NDArray[np.bool_] | None = None,
    moving_mask: NDArray[np.bool_] | None = None,
    device: str = "cpu",
) -> Alignment:
    """Align two images from coarse to fine, rigidly or affinely.

    Mutual information is maximised by quasi-Newton steps with its exact gradient, in both
    directions (points of the fixed image in the moving one and back), at the end in one. At 8 mm
    the headers as they are and some 80 poses about the matched centres are compared: turns of 20
    and 40 degrees about 13 axes, turns of quarters, shifts of 30 mm and, for an affine, equal
    sizes. The best four and the headers go on through 4 mm to 2 mm, where the headers' pose is
    tried directly too; it is kept unless another is 5 % better. Points leave the sum smoothly at
    the edge of the other field of view. The result does not depend on the number of threads.

    Parameters
    ----------
    fixed, moving : Volume
        Whole images, finite and varying, on any grid without further conditions on axes or
        voxels. If rigid, one of the two may have one or two slices only.
    kind : {"rigid", "affine"}
        6 parameters or 12.
    contrast : {"different", "same"}
        With "same" the last step compares intensities, less their local mean over about 10 mm
        and over their local standard deviation, with robust weights: a bias field matters less.
    fixed_mask, moving_mask : boolean arrays, optional
        On the images' grids: what lies outside does not count. The fixed mask should hold a rim
        of some 8 mm around the head or brain; a lesion is a hole.
    device : str
        "cpu", or a torch device such as "cuda"; "torch" is torch on the processor.

    Returns
    -------
    Alignment
        The matrix with what was measured on it. Mirrored heads are never turned over: see
        ``mirror_gain`` and ``flags``.

    Raises
    ------
    ValueError
        If ``kind`` or ``contrast`` is unknown, a mask is on another grid or empty, there are
        too few slices, or the images share no structure.

    References
    ----------
    Thevenaz and Unser (2000), IEEE Trans Image Process 9:2083. Studholme et al. (1999), Pattern
    Recognit 32:71.

    Examples
    --------
    >>> x, y, z = np.meshgrid(*[np.linspace(-1, 1, 40)] * 3, indexing="ij")
    >>> head = (x**2 + 1.3 * y**2 + 1.6 * z**2 < 0.6) * (2 + np.sin(6 * x + 4 * y * z))
    >>> head = head.astype(np.float32)
    >>> grid = np.diag([4.0, 4, 4, 1])
    >>> moved = np.array(grid)
    >>> moved[:3, 3] = (5, -3, 2)
    >>> found = align(Volume(head, grid), Volume(head, moved), kind="rigid")
    >>> bool(np.abs(found.matrix[:3, 3] - (5, -3, 2)).max() < 0.05)
    True
    """
    if kind not in ("rigid", "affine"):
        raise ValueError(f"kind must be 'rigid' or 'affine'; got {kind!r}.")
    if contrast not in ("same", "different"):
        raise ValueError(f"contrast must be 'same' or 'different'; got {contrast!r}.")
    _check_mask(fixed_mask, fixed, "fixed_mask")
    _check_mask(moving_mask, moving, "moving_mask")
    pair = Pair(fixed, moving, fixed_mask, moving_mask, device=device)
    _check_thickness(pair, kind)
    _check_content(pair)
    views = _Views(pair, kind)
    best = _choose(views)
    if contrast == "same":
        polished = refine(pair.ways(SAME, same=True), best.fit.pull, views.moves, SAME.pace)
        end = assess(views.fine, polished.pull)
    else:
        end = refine(views.fine, best.fit.pull, views.moves, FINE.pace)
    return _measure(views, end, best)


def judge(
    matrix: Array,
    fixed: Volume,
    moving: Volume,
    *,
    fixed_mask: NDArray[np.bool_] | None = None,
    moving_mask: NDArray[np.bool_] | None = None,
) -> Alignment:
    """Measure a matrix that was found otherwise, as `align` measures its own.

    Parameters
    ----------
    matrix : (4, 4) array
        Pull matrix in RAS mm; kept as it is.
    fixed, moving, fixed_mask, moving_mask
        As in `align`.

    Returns
    -------
    Alignment
        ``start`` is "given".

    Raises
    ------
    ValueError
        As `align` for masks and images that share no structure.
    """
    _check_mask(fixed_mask, fixed, "fixed_mask")
    _check_mask(moving_mask, moving, "moving_mask")
    turn = matrix[:3, :3]
    kind = "rigid" if np.allclose(turn @ turn.T, np.eye(3), atol=1e-4) else "affine"
    pair = Pair(fixed, moving, fixed_mask, moving_mask, device="cpu")
    _check_thickness(pair, "rigid")
    _check_content(pair)
    views = _Views(pair, kind)
    end = assess(views.fine, np.array(matrix, dtype=np.float64))
    return _measure(
        views, end, Start("given", refine(views.sketch, matrix, views.moves, SKETCH.pace))
    )


class _Views:
    """Two images as they are compared at each level."""

    def __init__(self, pair: Pair, kind: str) -> None:
        self.pair, self.rigid = pair, kind == "rigid"
        self.bodies = pair.bodies()
        self.moves = generators(kind, self.bodies[0].centre)
        self.coarse, self.middle, self.sketch = (
            pair.ways(level) for level in (COARSE, MIDDLE, SKETCH)
        )
        self.fine = pair.ways(FINE, both=False)


def _measure(views: _Views, end: Fit, best: Start) -> Alignment:
    """Return a pose with what is doubtful about it, or raise if it explains nothing."""
    if not (end.value > _NOTHING and end.overlap > 0):
        raise ValueError(
            "fixed and moving must overlap and share structure; the registration found nothing "
            "to compare. Look at both images, their headers and the masks."
        )
    found = Alignment(
        matrix=end.pull,
        similarity=end.value,
        overlap=_overlap(views.pair, end),
        volume_ratio=float(np.linalg.det(end.pull[:3, :3])),
        mirror_gain=_mirror_gain(views, best.fit),
        start=best.name,
        flags=(),
    )
    excess = _excess(views.coarse, end.pull, views.bodies[0].centre)
    seen = assess(views.sketch, end.pull).overlap
    return replace(found, flags=_flags(found, rigid=views.rigid, seen=seen, excess=excess))


def _check_thickness(pair: Pair, kind: str) -> None:
    """Raise if the images have too few slices for what is asked."""
    shapes = [grid.data.shape for grid in (pair.fixed[0], pair.moving[0])]
    thin = [min(shape) < THIN for shape in shapes]
    if all(thin) or (any(thin) and kind == "affine"):
        many = "both fixed and moving" if kind == "affine" else "fixed or moving"
        raise ValueError(
            f"{many} must have at least {THIN} voxels along each axis for kind={kind!r}; got "
            f"shapes {shapes[0]} and {shapes[1]} at 2 mm. Register a slice rigidly to a whole head."
        )


def _check_content(pair: Pair) -> None:
    """Raise if an image shows too little for a pose to be found."""
    for grid, name in ((pair.fixed[0], "fixed"), (pair.moving[0], "moving")):
        n_voxels = int(np.count_nonzero(grid.data != grid.data.flat[0]))
        if n_voxels < _FEW:
            raise ValueError(
                f"{name} must hold at least {_FEW} voxels of 2 mm that differ from the background; "
                f"got {n_voxels}. Look at the image and at the voxel size in its header."
            )


def _check_mask(mask: NDArray[np.bool_] | None, volume: Volume, name: str) -> None:
    """Raise if a mask does not fit its image."""
    if mask is None:
        return
    if mask.shape != volume.data.shape:
        raise ValueError(
            f"{name} must lie on the grid of its image; got shape {mask.shape} against "
            f"{volume.data.shape}. Resample it with order 0 first."
        )
    if not mask.any():
        raise ValueError(f"{name} must contain at least one voxel; it is empty.")


def _choose(views: _Views) -> Start:
    """Carry the best starts, and the headers' always, to the finest grid; return the best there.

    The coarsest grid can be mistaken: a pose that it ranks fourth was the true one, under a
    strong bias field.
    """
    starts = search(views.coarse, *views.bodies, sized=not views.rigid)
    hopeful = [each for each in starts[:_TRIED] if each.score >= _HOPEFUL * starts[0].score]
    poses = [(each.name, each.fit.pull) for each in hopeful] + [("header", np.eye(4))]
    header = refine(views.sketch, np.eye(4), views.moves, SKETCH.pace)
    tried = [Start("header", header)]
    for name, pull in poses:
        fit = refine(views.coarse, pull, views.moves, COARSE.pace)
        fit = refine(views.middle, fit.pull, views.moves, MIDDLE.pace)
        tried.append(Start(name, refine(views.sketch, fit.pull, views.moves, SKETCH.pace)))
    return max(tried, key=lambda start: start.score)


def _mirror_gain(views: _Views, best: Fit) -> float:
    """Return how much better the head fits with left and right exchanged."""
    starts = (flip(views.bodies[1]) @ best.pull, best.pull @ flip(views.bodies[0]))
    near = [assess(views.sketch, start) for start in starts]
    wide = [refine(views.middle, start, views.moves, MIDDLE.pace) for start in starts]
    first = [max(fits, key=lambda fit: fit.score).pull for fits in (near, wide)]
    ends = [refine(views.sketch, pull, views.moves, SKETCH.pace).score for pull in first]
    return max(ends) / max(best.score, 1e-12)


def _excess(coarse: list[Way], pull: Array, centre: Array) -> float:
    """Return the similarity at the pose found less that at wrong poses, nats at 8 mm."""
    wrong = [assess(coarse, pose).value for pose in wrong_poses(pull, centre)]
    return assess(coarse, pull).value - float(np.median(wrong))


def _overlap(pair: Pair, end: Fit) -> float:
    """Return the share of the fixed points inside the moving field of view and mask."""
    fixed, moving = pair.fixed[-1], pair.moving[-1]
    points = grids.sample_points(fixed, fixed.data, grids.support(fixed), COARSE.n_points)
    return grids.share_inside(points, moving, end.pull)


def _flags(found: Alignment, *, rigid: bool, seen: float, excess: float) -> tuple[str, ...]:
    """Return sentences about what a person must look at."""
    out = []
    turn = np.degrees(Rotation.from_matrix(_nearest_rotation(found.matrix)).magnitude())
    if found.start not in ("header", "given") and turn > _TURNED:
        out.append(
            f"The headers do not lead to the pose found: it turns by {turn:.0f} degrees and comes "
            f"from the start '{found.start}'. Look at the result."
        )
    if min(seen / _LITTLE, found.overlap / _SLIVER) < 1:
        out.append(
            f"Only {seen:.0%} of either image, and {found.overlap:.0%} of the fixed one, lie "
            f"inside the other's field of view (below {_LITTLE:.0%} or {_SLIVER:.0%}). Look at "
            "the result, at the voxel sizes, or give masks."
        )
    if not _RATIOS[0] <= found.volume_ratio <= _RATIOS[1]:
        out.append(
            f"The moving head has {found.volume_ratio:.2f} times the volume of the fixed head "
            f"(outside {_RATIOS[0]} to {_RATIOS[1]}). Is the template of this species and age?"
        )
    stretch = np.linalg.svd(found.matrix[:3, :3], compute_uv=False)
    if max(stretch[0], 1 / stretch[-1]) > _STRETCH:
        out.append(
            f"The matrix stretches one direction {stretch[0]:.2f} and another {stretch[-1]:.2f} "
            f"times (beyond {_STRETCH} or its inverse): heads hardly differ so. Look at the "
            "result, or register rigidly."
        )
    limit = _MIRRORED[0 if rigid else 1]
    if found.mirror_gain > limit:
        out.append(
            f"With left and right exchanged the similarity is {found.mirror_gain:.2f} times as "
            f"high (above {limit}): one of the images may be mirrored. Look for a marker of side."
        )
    if excess < _EXCESS:
        out.append(
            f"There is next to nothing to align: the similarity exceeds that of wrong poses by "
            f"{excess:.3f} nats (below {_EXCESS}). Do both images show the same organ?"
        )
    return tuple(out)


def _nearest_rotation(matrix: Array) -> Array:
    """Return the rotation in a matrix."""
    left, _, right = np.linalg.svd(matrix[:3, :3])
    return np.asarray(left @ right)
