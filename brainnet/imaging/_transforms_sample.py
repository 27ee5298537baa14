"""Evaluate a volume at the voxels of a displaced grid, one pass over the grid."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from brainnet._compile import kernel, n_threads

Array = NDArray[Any]
Numbers = tuple[float, ...]
Point = tuple[float, float, float]
#: ITK's axes in terms of ours.
LPS = np.diag([-1.0, -1.0, 1.0])
#: Indices are rounded to a ten-thousandth of a voxel: a rounding error must not push the outermost
#: voxels out of the image, nor decide between two labels.
_PARTS = 1e4


class Edges(NamedTuple):
    """What holds at and beyond the outermost voxels, and between which bounds values stay."""

    reach: float = 0.0  # how far beyond the outermost centres the image goes on (voxels)
    half: int = 0  # splines are mirrored at the outermost centres (0) or half a voxel beyond (1)
    outside: float = 0.0
    low: float = -np.inf
    high: float = np.inf


def pull_displaced(
    source: Array,
    field: NDArray[np.float32],
    index_matrix: NDArray[np.float64],
    affine: NDArray[np.float64],
    *,
    order: int,
    edges: Edges,
) -> Array:
    """Return ``source`` at the displaced voxels of the field's grid.

    Parameters
    ----------
    source : (X, Y, Z) array
        Labels of any numeric type (order 0), values (1) or spline coefficients (3) as float32.
    field : (x, y, z, 3) array
        Displacements as ITK stores them, LPS mm.
    index_matrix : (4, 4) array
        Maps indices of the field's grid to indices of ``source`` where nothing is displaced.
    affine : (4, 4) array
        Of the field's grid, RAS mm.
    order : {0, 1, 3}
        Nearest, linear, cubic.
    edges : Edges
        What holds at the border.

    Returns
    -------
    (x, y, z) array
        Of the type of ``source``, stored in the order of the field's axes.
    """
    linear = index_matrix[:3, :3]
    pull = np.hstack([linear, index_matrix[:3, 3:], linear @ np.linalg.inv(affine[:3, :3]) @ LPS])
    reverse = field.strides[0] < field.strides[2]  # as read from a file: x runs fastest
    if reverse:
        field, source = field.transpose(2, 1, 0, 3), source.T
        pull = pull[::-1, [2, 1, 0, 3, 4, 5, 6]]
    out = np.empty(field.shape[:3], source.dtype)
    numbers = tuple(float(number) for number in pull.ravel())
    source = np.ascontiguousarray(source)
    run: Callable[..., None] = {0: _nearest, 1: _linear, 3: _cubic}[order]

    def fill(first: int, stop: int) -> None:
        run(source, field[first:stop], numbers, edges, first, out[first:stop])

    in_slabs(fill, len(out))
    return out.T if reverse else out


def sample_displaced(
    source: Array,
    field: NDArray[np.float32],
    index_matrix: NDArray[np.float64],
    affine: NDArray[np.float64],
    *,
    order: int,
    cval: float,
) -> NDArray[np.float32]:
    """Do as `_sampling.sample` does, at the displaced voxels of the field's grid."""
    values = np.where(np.isfinite(source), source, 0).astype(np.float32)
    # A voxel is a box, as there: the image goes on for half a voxel beyond its outermost centres.
    edges = Edges(0.5 + 1e-4, 1, cval, float(values.min()), float(values.max()))
    data = spline(values, half=1) if order == 3 else values
    out: NDArray[np.float32] = pull_displaced(
        data, field, index_matrix, affine, order=order, edges=edges
    )
    return out


def spline(data: NDArray[np.float32], *, half: int) -> NDArray[np.float32]:
    """Return the cubic B-spline coefficients of a volume."""
    mode = "reflect" if half else "mirror"
    reverse = data.flags.f_contiguous  # the result is stored as the data are
    found = ndimage.spline_filter(data.T if reverse else data, 3, np.float32, mode)
    return np.asarray(found.T if reverse else found)


def in_slabs(work: Callable[[int, int], None], length: int) -> None:
    """Call ``work(first, stop)`` on slabs of an axis, in as many threads as are allowed."""
    workers = min(n_threads(), length)
    if workers < 2:
        work(0, length)
        return
    cuts = np.linspace(0, length, 4 * workers + 1).astype(int)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, cuts[:-1].tolist(), cuts[1:].tolist()))


@kernel
def _place(pull: Numbers, index: Sequence[int], shift: Sequence[float]) -> Point:
    """Return the displaced indices into the source, rounded."""
    return _row(pull, 0, index, shift), _row(pull, 7, index, shift), _row(pull, 14, index, shift)


@kernel
def _row(pull: Numbers, m: int, index: Sequence[int], shift: Sequence[float]) -> float:
    """Return one of the three."""
    (i, j, k), (u, v, w) = index, shift
    still = pull[m] * i + pull[m + 1] * j + pull[m + 2] * k + pull[m + 3]
    moved = pull[m + 4] * u + pull[m + 5] * v + pull[m + 6] * w
    return np.rint((still + moved) * _PARTS) / _PARTS  # type: ignore[no-any-return]


@kernel
def _inside(place: float, size: int, reach: float) -> bool:
    """Tell whether an index lies in the field of view."""
    return -reach <= place <= size - 1 + reach


@kernel
def mix(one: float, two: float, part: float) -> float:
    """Return the value at ``part`` of the way from ``one`` to ``two``."""
    return one * (1.0 - part) + two * part


@kernel
def clamped(place: float, size: int) -> float:
    """Return the nearest index within the outermost centres."""
    return min(max(place, 0.0), size - 1.0)


@kernel
def _nearest(
    source: Array, field: Array, pull: Numbers, edges: Edges, first: int, out: Array
) -> None:
    """Copy the nearest voxel."""
    a, b, c = source.shape
    reach = edges.reach
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                by = (field[i, j, k, 0], field[i, j, k, 1], field[i, j, k, 2])
                x, y, z = _place(pull, (i + first, j, k), by)
                if _inside(x, a, reach) and _inside(y, b, reach) and _inside(z, c, reach):
                    x, y, z = clamped(x, a), clamped(y, b), clamped(z, c)
                    out[i, j, k] = source[int(x + 0.5), int(y + 0.5), int(z + 0.5)]
                else:
                    out[i, j, k] = edges.outside


@kernel
def _linear(
    source: Array, field: Array, pull: Numbers, edges: Edges, first: int, out: Array
) -> None:
    """Interpolate between the eight voxels around a point."""
    a, b, c = source.shape
    reach = edges.reach
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                by = (field[i, j, k, 0], field[i, j, k, 1], field[i, j, k, 2])
                x, y, z = _place(pull, (i + first, j, k), by)
                if _inside(x, a, reach) and _inside(y, b, reach) and _inside(z, c, reach):
                    out[i, j, k] = _between(source, (x, y, z))
                else:
                    out[i, j, k] = edges.outside


@kernel
def _between(source: Array, at: Point) -> float:
    """Return the trilinear mean at a point, or at the point nearest to it in the volume."""
    x, y, z = (
        clamped(at[0], source.shape[0]),
        clamped(at[1], source.shape[1]),
        clamped(at[2], source.shape[2]),
    )
    p, q, r = int(x), int(y), int(z)
    p1 = min(p + 1, source.shape[0] - 1)
    q1 = min(q + 1, source.shape[1] - 1)
    r1 = min(r + 1, source.shape[2] - 1)
    one = mix(source[p, q, r], source[p, q, r1], z - r)
    two = mix(source[p, q1, r], source[p, q1, r1], z - r)
    three = mix(source[p1, q, r], source[p1, q, r1], z - r)
    four = mix(source[p1, q1, r], source[p1, q1, r1], z - r)
    return mix(mix(one, two, y - q), mix(three, four, y - q), x - p)


@kernel
def _cubic(
    source: Array, field: Array, pull: Numbers, edges: Edges, first: int, out: Array
) -> None:
    """Evaluate the cubic B-spline, and clip it."""
    a, b, c = source.shape
    reach, half, low, high = edges.reach, edges.half, edges.low, edges.high
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                by = (field[i, j, k, 0], field[i, j, k, 1], field[i, j, k, 2])
                x, y, z = _place(pull, (i + first, j, k), by)
                if _inside(x, a, reach) and _inside(y, b, reach) and _inside(z, c, reach):
                    out[i, j, k] = min(max(_spline_at(source, x, y, z, half), low), high)
                else:
                    out[i, j, k] = edges.outside


@kernel
def _spline_at(source: Array, x: float, y: float, z: float, half: int) -> float:
    """Return the sum of 64 coefficients times their basis functions."""
    p, q, r = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    rows, row_weights = _folded(p, source.shape[0], half), _basis(x - p)
    columns, column_weights = _folded(q, source.shape[1], half), _basis(y - q)
    d, e, f, g = _folded(r, source.shape[2], half)
    d_weight, e_weight, f_weight, g_weight = _basis(z - r)
    total = 0.0
    for s in range(4):
        part = 0.0
        for t in range(4):
            m, n = rows[s], columns[t]
            line = source[m, n, d] * d_weight + source[m, n, e] * e_weight
            line += source[m, n, f] * f_weight + source[m, n, g] * g_weight
            part += column_weights[t] * line
        total += row_weights[s] * part
    return total


@kernel
def _basis(t: float) -> tuple[float, float, float, float]:
    """Return the four cubic B-spline weights around a point ``t`` of the way between voxels."""
    s = 1.0 - t
    one = (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0
    two = (4.0 - 6.0 * s * s + 3.0 * s * s * s) / 6.0
    return s * s * s / 6.0, one, two, t * t * t / 6.0


@kernel
def _folded(start: int, size: int, half: int) -> tuple[int, int, int, int]:
    """Return the four indices from ``start - 1`` on, mirrored back into the axis."""
    return (
        _fold(start - 1, size, half),
        _fold(start, size, half),
        _fold(start + 1, size, half),
        _fold(start + 2, size, half),
    )


@kernel
def _fold(index: int, size: int, half: int) -> int:
    """Mirror an index at the outermost centres, or half a voxel beyond them."""
    if index < 0:
        index = -index - half
    elif index >= size:
        index = 2 * (size - 1) + half - index
    return min(max(index, 0), size - 1)
