"""Loops over displacement fields: volume change, points carried along, and the way back."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from brainnet._compile import kernel
from brainnet.imaging._transforms_sample import LPS, clamped, in_slabs, mix

Array = NDArray[Any]
Numbers = tuple[float, ...]
Three = tuple[float, float, float]
Twelve = tuple[Three, Three, Three, Three]
#: Steps that the search for one point's origin may take, and the shortest part of a step.
_STEPS, _SHORTEST = 100, 1 / 64
#: How near it must come (mm).
_NEAR = 1e-4
#: A local matrix is not inverted below this share of the affine part's determinant.
_FLAT = 0.02


class Search(NamedTuple):
    """The matrices that the search for origins needs, row by row."""

    steps: Numbers  # (3, 4): index of the field's grid to mm
    linear: Numbers  # (3, 3): the same through the affine part, without its offset
    back: Numbers  # (3, 3): its inverse
    volume: float  # its determinant
    target: Numbers  # (3, 4): index of the target grid to mm
    start: Numbers  # (3, 4): index of the target grid to index of the field's, by the affine part


def volume_change(field: NDArray[np.float32], affine: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the determinant of the Jacobian of a field (LPS mm) by central differences."""
    reverse = field.strides[0] < field.strides[2]
    axes = np.asarray(LPS @ affine[:3, :3])  # du/di is in LPS: so must be the steps of the grid
    if reverse:
        field, axes = field.transpose(2, 1, 0, 3), axes[:, ::-1]
    out = np.empty(field.shape[:3], np.float32)
    steps, volume = tuple(axes.T.ravel().tolist()), float(np.linalg.det(axes))

    def fill(first: int, stop: int) -> None:
        _determinants(field, steps, volume, first, out[first:stop])

    in_slabs(fill, len(out))
    return out.T if reverse else out


def plane(i: int, shape: tuple[int, ...], affine: Array) -> NDArray[np.float64]:
    """Return the world points of one plane of a grid's first axis, (y * z, 3) in RAS mm."""
    points = np.empty((shape[1] * shape[2], 3))
    _lay(points, i, shape[2], _rows(affine))
    return points


def leave(points: NDArray[np.float64], i: int, out: Array, affine: Array) -> None:
    """Write how far the points of a plane have come from it into ``out``, in LPS mm."""
    still = plane(i, out.shape, affine)
    _subtract(points, still, out[i].reshape(-1, 3))


def carry(points: NDArray[np.float64], matrix: Array) -> None:
    """Move points (n, 3) by a (4, 4) matrix, in place."""
    _carry(points, _rows(matrix))


def displace(points: NDArray[np.float64], field: NDArray[np.float32], affine: Array) -> None:
    """Move points (n, 3) in RAS mm by a field in LPS mm, in place; not outside of its grid."""
    _displace(points, field, _rows(np.linalg.inv(affine)))


def _rows(matrix: Array) -> Numbers:
    """Return the upper three rows of a matrix."""
    return tuple(matrix[:3].ravel().tolist())


def affine_part(
    field: NDArray[np.float32], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrix (3, 3) and offset (3,) that a field is closest to, in RAS mm."""
    every = [max(1, (size - 1) // 12) for size in field.shape[:3]]
    chosen = field[:: every[0], :: every[1], :: every[2]]
    index = np.moveaxis(np.indices(chosen.shape[:3]), 0, -1).reshape(-1, 3) * every
    points = index @ affine[:3, :3].T + affine[:3, 3]
    moved = points + chosen.reshape(-1, 3) @ LPS
    centre = points.mean(axis=0)
    solution = np.linalg.lstsq(points - centre, moved - moved.mean(axis=0), rcond=None)[0]
    matrix = np.asarray(solution.T)
    return matrix, np.asarray(moved.mean(axis=0) - matrix @ centre)


def undo(
    field: NDArray[np.float32],
    affine: NDArray[np.float64],
    shape: tuple[int, ...],
    target: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the inverse field (LPS mm) at the voxels of a grid, and what it misses by (mm).

    In indices q of the field's grid, c of them clamped into it, the field maps to
    phi(q) = G c + u(c) + M G (q - c): beyond its grid it goes on by its affine part M. Newton's
    method solves phi(q) = y from the neighbour's solution or the affine part's; a step that does
    not bring it nearer is halved, and taken along the affine part at last.
    """
    matrix, offset = affine_part(field, affine)
    linear = matrix @ affine[:3, :3]
    back = np.linalg.inv(linear)
    start = target[:3].copy()
    start[:, 3] -= offset + matrix @ affine[:3, 3]
    volume = float(np.linalg.det(linear))
    search = Search(
        _rows(affine), _rows(linear), _rows(back), volume, _rows(target), _rows(back @ start)
    )
    out, missed = np.empty((*shape, 3), np.float32), np.empty(shape, np.float32)

    def fill(first: int, stop: int) -> None:
        _undo(field, search, first, out[first:stop], missed[first:stop])

    in_slabs(fill, shape[0])
    return out, missed


@kernel
def _determinants(field: Array, axes: Numbers, volume: float, first: int, out: Array) -> None:
    """Write the determinant of (axes + field's differences) over that of the axes."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                a = _difference(field, (i + first, j, k), (1, 0, 0))
                b = _difference(field, (i + first, j, k), (0, 1, 0))
                c = _difference(field, (i + first, j, k), (0, 0, 1))
                a = (a[0] + axes[0], a[1] + axes[1], a[2] + axes[2])
                b = (b[0] + axes[3], b[1] + axes[4], b[2] + axes[5])
                c = (c[0] + axes[6], c[1] + axes[7], c[2] + axes[8])
                out[i, j, k] = _determinant(a, b, c) / volume


@kernel
def _difference(field: Array, at: tuple[int, int, int], by: tuple[int, int, int]) -> Three:
    """Return the central difference along one axis, one-sided at its ends."""
    i, j, k = max(at[0] - by[0], 0), max(at[1] - by[1], 0), max(at[2] - by[2], 0)
    x = min(at[0] + by[0], field.shape[0] - 1)
    y = min(at[1] + by[1], field.shape[1] - 1)
    z = min(at[2] + by[2], field.shape[2] - 1)
    share = 1.0 / (x - i + y - j + z - k)
    return (
        share * (field[x, y, z, 0] - field[i, j, k, 0]),
        share * (field[x, y, z, 1] - field[i, j, k, 1]),
        share * (field[x, y, z, 2] - field[i, j, k, 2]),
    )


@kernel
def _cross(a: Three, b: Three) -> Three:
    """Return the vector product."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@kernel
def _dot(a: Three, b: Three) -> float:
    """Return the scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@kernel
def _determinant(a: Three, b: Three, c: Three) -> float:
    """Return the determinant of the matrix with these columns."""
    return _dot(a, _cross(b, c))


@kernel
def _turned(m: Numbers, a: Three) -> Three:
    """Return a (3, 3) matrix times a vector."""
    return _dot((m[0], m[1], m[2]), a), _dot((m[3], m[4], m[5]), a), _dot((m[6], m[7], m[8]), a)


@kernel
def _moved(m: Numbers, a: Three) -> Three:
    """Return a (3, 4) matrix times a point."""
    return (
        _dot((m[0], m[1], m[2]), a) + m[3],
        _dot((m[4], m[5], m[6]), a) + m[7],
        _dot((m[8], m[9], m[10]), a) + m[11],
    )


@kernel
def _lay(points: Array, i: int, width: int, steps: Numbers) -> None:
    """Write the world points of a plane."""
    for n in range(points.shape[0]):
        points[n, 0], points[n, 1], points[n, 2] = _moved(steps, (i, n // width, n % width))


@kernel
def _carry(points: Array, matrix: Numbers) -> None:
    """Move points by a matrix."""
    for n in range(points.shape[0]):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        points[n, 0], points[n, 1], points[n, 2] = _moved(matrix, (x, y, z))


@kernel
def _subtract(points: Array, still: Array, out: Array) -> None:
    """Write the way from ``still`` to ``points``, in LPS."""
    for n in range(points.shape[0]):
        out[n, 0] = still[n, 0] - points[n, 0]
        out[n, 1] = still[n, 1] - points[n, 1]
        out[n, 2] = points[n, 2] - still[n, 2]


@kernel
def _displace(points: Array, field: Array, to_index: Numbers) -> None:
    """Add the field's linear interpolation to points that lie in its voxels."""
    a, b, c = field.shape[0], field.shape[1], field.shape[2]
    for n in range(points.shape[0]):
        x, y, z = _moved(to_index, (points[n, 0], points[n, 1], points[n, 2]))
        if -0.5 <= x < a - 0.5 and -0.5 <= y < b - 0.5 and -0.5 <= z < c - 0.5:
            x, y, z = clamped(x, a), clamped(y, b), clamped(z, c)
            p, q, r = int(x), int(y), int(z)
            p1, q1, r1 = min(p + 1, a - 1), min(q + 1, b - 1), min(r + 1, c - 1)
            for m in range(3):
                one = mix(field[p, q, r, m], field[p, q, r1, m], z - r)
                two = mix(field[p, q1, r, m], field[p, q1, r1, m], z - r)
                three = mix(field[p1, q, r, m], field[p1, q, r1, m], z - r)
                four = mix(field[p1, q1, r, m], field[p1, q1, r1, m], z - r)
                shift = mix(mix(one, two, y - q), mix(three, four, y - q), x - p)
                points[n, m] += shift if m == 2 else -shift


@kernel
def _undo(field: Array, search: Search, first: int, out: Array, missed: Array) -> None:
    """Look for the origin of every voxel."""
    step = (search.start[2], search.start[6], search.start[10])
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            at = _moved(search.start, (i + first, j, 0.0))
            for k in range(out.shape[2]):
                goal = _moved(search.target, (i + first, j, k))
                at, error = _origin(field, search, at, goal)
                if error > _NEAR * _NEAR:
                    again = _moved(search.start, (i + first, j, k))
                    again, second = _origin(field, search, again, goal)
                    if second < error:
                        at, error = again, second
                source = _moved(search.steps, at)
                out[i, j, k, 0] = goal[0] - source[0]
                out[i, j, k, 1] = goal[1] - source[1]
                out[i, j, k, 2] = source[2] - goal[2]
                missed[i, j, k] = np.sqrt(error)
                at = (at[0] + step[0], at[1] + step[1], at[2] + step[2])


@kernel
def _origin(field: Array, search: Search, at: Three, goal: Three) -> tuple[Three, float]:
    """Return the index that the field carries to a point, and the squared distance left (mm)."""
    best, error, part, tried = at, np.inf, 1.0, False
    rest = way = (0.0, 0.0, 0.0)
    for _ in range(_STEPS):
        there, a, b, c = _forward(field, search, at)
        left = (goal[0] - there[0], goal[1] - there[1], goal[2] - there[2])
        if _dot(left, left) < error:
            best, rest, error, part, tried = at, left, _dot(left, left), 1.0, False
            if error <= _NEAR * _NEAR:
                break
            way = _newton(search, (a, b, c), rest)
        else:
            part *= 0.5
            if part < _SHORTEST:
                if tried:
                    break
                way, part, tried = _turned(search.back, rest), 0.5, True
        at = (best[0] + part * way[0], best[1] + part * way[1], best[2] + part * way[2])
    return best, error


@kernel
def _newton(search: Search, columns: tuple[Three, Three, Three], rest: Three) -> Three:
    """Return the step (voxels) of the local matrix, or of the affine part where that is flat."""
    a, b, c = columns
    bc = _cross(b, c)
    volume = _dot(a, bc)
    if volume / search.volume < _FLAT:
        return _turned(search.back, rest)
    ca, ab = _cross(c, a), _cross(a, b)
    return _dot(bc, rest) / volume, _dot(ca, rest) / volume, _dot(ab, rest) / volume


@kernel
def _forward(field: Array, search: Search, at: Three) -> Twelve:
    """Return where the field carries an index (mm), and the derivatives along its three axes."""
    g, m = search.steps, search.linear
    x = min(max(at[0], 0.0), field.shape[0] - 1.0)
    y = min(max(at[1], 0.0), field.shape[1] - 1.0)
    z = min(max(at[2], 0.0), field.shape[2] - 1.0)
    o, p, q = _cell(field, 0, x, y, z), _cell(field, 1, x, y, z), _cell(field, 2, x, y, z)
    beyond = _turned(m, (at[0] - x, at[1] - y, at[2] - z))
    still = _moved(g, (x, y, z))
    there = (still[0] + beyond[0] - o[0], still[1] + beyond[1] - p[0], still[2] + beyond[2] + q[0])
    a, b, c = (m[0], m[3], m[6]), (m[1], m[4], m[7]), (m[2], m[5], m[8])
    if x == at[0]:
        a = (g[0] - o[1], g[4] - p[1], g[8] + q[1])
    if y == at[1]:
        b = (g[1] - o[2], g[5] - p[2], g[9] + q[2])
    if z == at[2]:
        c = (g[2] - o[3], g[6] - p[3], g[10] + q[3])
    return there, a, b, c


@kernel
def _cell(field: Array, m: int, x: float, y: float, z: float) -> tuple[float, float, float, float]:
    """Return one component and its three derivatives (per voxel), both trilinear."""
    p, q = min(int(x), field.shape[0] - 2), min(int(y), field.shape[1] - 2)
    r = min(int(z), field.shape[2] - 2)
    u, v, w = x - p, y - q, z - r
    a, b = field[p, q, r, m], field[p, q, r + 1, m]
    c, d = field[p, q + 1, r, m], field[p, q + 1, r + 1, m]
    e, f = field[p + 1, q, r, m], field[p + 1, q, r + 1, m]
    g, h = field[p + 1, q + 1, r, m], field[p + 1, q + 1, r + 1, m]
    ab, cd, ef, gh = mix(a, b, w), mix(c, d, w), mix(e, f, w), mix(g, h, w)
    near, far = mix(ab, cd, v), mix(ef, gh, v)
    along = mix(mix(b - a, d - c, v), mix(f - e, h - g, v), u)
    return mix(near, far, u), far - near, mix(cd - ab, gh - ef, u), along
