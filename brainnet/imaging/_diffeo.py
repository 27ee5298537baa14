"""Deformable registration: greedy, compositive, symmetric, by local correlation.

Both images are pulled to a space half way between them. From there two fields grow, one to each
image, by the same rule, so that exchanging the images exchanges the fields. Each step ascends the
squared local correlation, is smoothed (fluid), scaled so that its largest update is a fixed part
of a voxel, composed with what was found before, and the whole is smoothed again (elastic).
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from scipy import linalg, ndimage

from brainnet.imaging._fields import Volume

Matrix = NDArray[np.float64]
Contrast = Literal["same", "different"]

#: Room around both images, voxels of the finest level.
_MARGIN = 5
#: Least Jacobian of a half field that is left as it is.
_UNFOLDED = 0.05
#: How often folded results are smoothed as a whole, and joined anew.
_REPAIRS = 10
_LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Schedule:
    """How a deformation is fitted.

    ``iterations`` go from coarse to fine, each level twice as fine as the one before and the last
    of ``voxel_mm``. Widths are standard deviations in voxels of the level; ``step`` is the largest
    update in voxels; ``momentum`` the share of the last force that is kept.
    """

    voxel_mm: float
    iterations: tuple[int, ...]
    fluid: float = 1.2
    elastic: float = 0.85
    step: float = 0.7
    momentum: float = 0.5


SCHEDULES = {
    "standard": Schedule(1.0, (40, 25, 12, 6)),
    "draft": Schedule(2.0, (40, 25, 8)),
}


@dataclass(frozen=True)
class Middle:
    """The grid half way: its affine, its shape, and the matrix from each world half way on."""

    affine: Matrix
    shape: tuple[int, ...]
    half: Matrix  # fixed world -> middle world -> moving world
    rest: Matrix


@dataclass(frozen=True)
class Fit:
    """Two half fields on the middle's grid, in its voxels, and how alike the images became."""

    to_fixed: Any
    to_moving: Any
    middle: Middle
    likeness: float


@dataclass(frozen=True)
class Side:
    """One of the two images, and which of its voxels count."""

    volume: Volume
    mask: NDArray[np.bool_] | None = None


class Engine(Protocol):
    """The operations that a device must offer; arrays are its own."""

    def upload(self, images: NDArray[np.float32]) -> Any: ...
    def pull(
        self, data: NDArray[Any], matrix: Matrix, shape: tuple[int, ...], scale: float
    ) -> Any: ...
    def multiply(self, left: Any, right: Any) -> Any: ...
    def halve(self, images: Any) -> Any: ...
    def still(self, shape: tuple[int, ...]) -> Any: ...
    def double(self, field: Any, shape: tuple[int, ...]) -> Any: ...
    def warp(self, images: Any, field: Any) -> Any: ...
    def push(
        self, pair: tuple[Any, Any], weight: Any, forces: Any, momentum: float
    ) -> tuple[Any, float]: ...
    def smooth(self, field: Any, weights: NDArray[np.float32]) -> tuple[Any, float]: ...
    def compose(self, field: Any, update: Any, scale: float) -> Any: ...
    def least_jacobian(self, field: Any, to_voxel: Matrix | None = None) -> float: ...
    def total(
        self, back: Any, on: Any, matrices: tuple[Matrix, Matrix, Matrix], shape: tuple[int, ...]
    ) -> tuple[Any, float]: ...
    def download(self, field: Any) -> NDArray[np.float32]: ...
    def release(self, *arrays: Any) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Pictures:
    """What is compared on one level: channels of both images, and what of each counts."""

    pair: tuple[Any, Any]
    keep: tuple[Any, Any] | None


def fit(
    engine: Engine,
    sides: tuple[Side, Side],
    matrix: Matrix,
    schedule: Schedule,
    contrast: Contrast = "same",
) -> Fit:
    """Grow both half fields, from the coarsest level to the finest."""
    middle = half_way(sides[0].volume, sides[1].volume, matrix, schedule.voxel_mm)
    fields: tuple[Any, Any] | None = None
    likeness = 0.0
    levels = reversed(pyramid(engine, sides, middle, schedule))
    for (images, keep), n_iterations in zip(levels, schedule.iterations, strict=True):
        shape = images[0].shape[1:]
        if fields is None:
            fields = (engine.still(shape), engine.still(shape))
        else:
            fields = (engine.double(fields[0], shape), engine.double(fields[1], shape))
        if contrast == "different":
            images = tuple(engine.upload(describe(engine.download(each)[0])) for each in images)
        fields, likeness = _grow(engine, Pictures(images, keep), fields, n_iterations, schedule)
    assert fields is not None
    left, right = (_unfold(engine, field) for field in fields)
    return Fit(left, right, middle, likeness)


def pyramid(engine: Engine, sides: tuple[Side, Side], middle: Middle, schedule: Schedule) -> Any:
    """Return pairs of images and of masks half way, from the finest level to the coarsest."""
    pulls = [
        np.linalg.inv(side.volume.affine) @ to_world @ middle.affine
        for side, to_world in zip(sides, (np.linalg.inv(middle.half), middle.rest), strict=True)
    ]
    images = tuple(
        engine.pull(side.volume.data, pull, middle.shape, _unit(side.volume.data))
        for side, pull in zip(sides, pulls, strict=True)
    )
    keep = None
    if any(side.mask is not None for side in sides):
        keep = [
            _pull_mask(side, pull, middle.shape) for side, pull in zip(sides, pulls, strict=True)
        ]
    levels = []
    for level in range(len(schedule.iterations)):
        if level:
            images = tuple(engine.halve(image) for image in images)
            keep = keep and [_halve_mask(each) for each in keep]
        levels.append((images, keep and tuple(_upload_mask(engine, each) for each in keep)))
    return levels


def _grow(
    engine: Engine,
    pictures: Pictures,
    fields: tuple[Any, Any],
    n_iterations: int,
    schedule: Schedule,
) -> tuple[tuple[Any, Any], float]:
    """Iterate on one level."""
    fluid, elastic = bell(schedule.fluid), bell(schedule.elastic)
    forces, likeness = None, 0.0
    for _ in range(n_iterations):
        pair = _warp_both(engine, pictures.pair, fields)
        weight = pictures.keep and engine.multiply(*_warp_both(engine, pictures.keep, fields))
        forces, likeness = engine.push(pair, weight, forces, schedule.momentum)
        engine.release(*pair)
        grown = []
        for field, force in zip(fields, forces, strict=True):
            update, largest = engine.smooth(force, fluid)
            moved = engine.compose(field, update, schedule.step / max(largest, 1e-20))
            engine.release(field, update)
            grown.append(engine.smooth(moved, elastic)[0])
            engine.release(moved)
        fields = (grown[0], grown[1])
    return fields, likeness


def _warp_both(engine: Engine, pair: tuple[Any, Any], fields: tuple[Any, Any]) -> tuple[Any, Any]:
    """Pull each image through its own field."""
    return engine.warp(pair[0], fields[0]), engine.warp(pair[1], fields[1])


def describe(image: NDArray[np.float32]) -> NDArray[np.float32]:
    r"""Return what an image of any contrast says of its structure: (4, X, Y, Z).

    .. math:: M_a(x) = \exp(-D_a(x) / \bar D(x))

    with :math:`D_a` the squared difference to both neighbours along axis a, smoothed by a
    Gaussian, and :math:`\bar D` its mean over the axes, after Heinrich et al. (2012),
    Med Image Anal 16:1423. The image itself is the fourth: squared local correlation does not mind
    which of two tissues is brighter.
    """
    distances = np.zeros((3, *image.shape), np.float32)
    for axis in range(3):
        steps = np.diff(image, axis=axis) ** 2
        ends = [(int(a == axis), 0) for a in range(3)]
        distances[axis] = np.pad(steps, ends) + np.pad(steps, [end[::-1] for end in ends])
        ndimage.gaussian_filter(distances[axis], 0.7, output=distances[axis])
    mean = distances.mean(axis=0)
    mean += 1e-3 * float(mean.mean()) + 1e-20
    seen = mean > 1e-2 * float(mean.mean())
    channels = np.concatenate([np.exp(-distances / mean) * seen, image[None]])
    return np.asarray(channels, dtype=np.float32)


def _pull_mask(side: Side, matrix: Matrix, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a mask half way, nearest voxel; without a mask everything counts."""
    if side.mask is None:
        return np.ones(shape, np.float32)
    pulled: NDArray[np.float32] = ndimage.affine_transform(
        side.mask.astype(np.float32), matrix[:3, :3], matrix[:3, 3], shape, order=0
    )
    return pulled


def _halve_mask(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a mask at half the resolution: blocks that count wholly."""
    even = np.pad(mask, [(0, n % 2) for n in mask.shape], mode="edge")
    blocks = even.reshape([n for side in even.shape for n in (side // 2, 2)])
    halved: NDArray[np.float32] = blocks.min(axis=(1, 3, 5))
    return halved


def _upload_mask(engine: Engine, mask: NDArray[np.float32]) -> Any:
    """Leave out each voxel whose window holds one that does not count."""
    return engine.upload(ndimage.minimum_filter(mask, 5)[None])


def half_way(fixed: Volume, moving: Volume, matrix: Matrix, voxel_mm: float) -> Middle:
    """Lay a grid of RAS axes around both images, half of the matrix away from each."""
    half = np.asarray(linalg.sqrtm(matrix))
    if np.iscomplexobj(half):
        half = half.real
    if not np.allclose(half @ half, matrix, atol=1e-6):
        half = np.eye(4)  # half a turn has no half: stay with the fixed image
    rest = matrix @ np.linalg.inv(half)
    points = np.vstack([_content(fixed, half), _content(moving, np.asarray(np.linalg.inv(rest)))])
    low = np.floor(points.min(axis=0) / voxel_mm) - _MARGIN
    high = np.ceil(points.max(axis=0) / voxel_mm) + _MARGIN
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = low * voxel_mm
    return Middle(affine, tuple(int(n) for n in high - low + 1), half, rest)


def bell(width: float) -> NDArray[np.float32]:
    """Return seven weights of a Gaussian, cut at 2.5 standard deviations; width 1.2 or less."""
    places = np.arange(-3, 4)
    weights = np.exp(-0.5 * (places / width) ** 2) * (np.abs(places) <= np.ceil(2.5 * width))
    return np.asarray(weights / weights.sum(), dtype=np.float32)


def _content(volume: Volume, matrix: Matrix) -> Matrix:
    """Return where rows of an image's content begin and end, carried by a matrix."""
    turn = volume.data.strides[0] < volume.data.strides[2]
    seen = (volume.data.T if turn else volume.data) != 0
    i, j = np.nonzero(seen.any(axis=2))
    rows = seen[i, j]
    ends = (rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1))
    points = np.concatenate([np.stack([i, j, k], axis=1) for k in ends])
    carried: Matrix = apply_affine(matrix @ volume.affine, points[:, ::-1] if turn else points)
    return carried


def _unit(data: NDArray[np.float32]) -> float:
    """Return what scales an image so that its content is about 1, and nothing above 1000."""
    peak = max(abs(float(data.max())), abs(float(data.min())), 1e-30)
    some = data[::2, ::2, ::2].ravel(order="K") / np.float32(peak)
    square = float(np.vdot(some, some)) / max(int(np.count_nonzero(some)), 1)
    return 0.7 / max(float(np.sqrt(square)), 7e-4) / peak


def _unfold(engine: Engine, field: Any) -> Any:
    """Smooth a field until it folds nowhere."""
    soft = bell(0.5)
    for _ in range(50):
        if engine.least_jacobian(field) > _UNFOLDED:
            break
        field = engine.smooth(field, soft)[0]
    return field


def deform(
    sides: tuple[Side, Side], matrix: Matrix, *, quality: str, contrast: Contrast, device: str
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], float]:
    """Return displacements (3, X, Y, Z), LPS mm, on both grids, and their least Jacobian."""
    engine = open_engine(device)
    try:
        found = fit(engine, sides, matrix, SCHEDULES[quality], contrast)
        for _ in range(_REPAIRS):
            fields = both_ways(engine, found, (sides[0].volume, sides[1].volume))
            least = min(
                engine.least_jacobian(field, np.linalg.inv(side.volume.affine[:3, :3]) @ _LPS)
                for field, side in zip(fields, sides, strict=True)
            )
            if least > 0:
                break
            found = replace(
                found,
                to_fixed=engine.smooth(found.to_fixed, bell(1.0))[0],
                to_moving=engine.smooth(found.to_moving, bell(1.0))[0],
            )
        return (engine.download(fields[0]), engine.download(fields[1])), least
    finally:
        engine.close()


def open_engine(device: str) -> Engine:
    """Return the engine of a device."""
    if device == "cpu":
        from brainnet.imaging._diffeo_numba import NumbaEngine

        return NumbaEngine()
    from brainnet.imaging._diffeo_torch import TorchEngine

    return TorchEngine("cpu" if device == "torch" else device)


def both_ways(engine: Engine, found: Fit, volumes: tuple[Volume, Volume]) -> tuple[Any, Any]:
    """Return displacements (3, X, Y, Z), LPS mm, from the fixed grid and from the moving grid."""
    middle, (fixed, moving) = found.middle, volumes
    to_voxel = np.linalg.inv(middle.affine)
    into = to_voxel @ middle.half @ fixed.affine
    forward, _ = engine.total(
        found.to_fixed,
        found.to_moving,
        (into, middle.rest @ middle.affine, fixed.affine),
        fixed.data.shape,
    )
    into = to_voxel @ np.linalg.inv(middle.rest) @ moving.affine
    inverse, _ = engine.total(
        found.to_moving,
        found.to_fixed,
        (into, np.linalg.inv(middle.half) @ middle.affine, moving.affine),
        moving.data.shape,
    )
    return forward, inverse
