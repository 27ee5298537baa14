"""Loops over voxels that end a deformable registration: invert, join, look for folds."""

import numpy as np
from numpy.typing import NDArray

from brainnet._compile import fast_kernel

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Part = float | np.float32

#: Voxels: how well a point must be found again.
CLOSE = 1e-3
#: Steps after which a point counts as not found.
TRIES = 30
#: Steps after which only half the error is taken back each time.
PATIENCE = 10
#: Longest step along an axis, voxels.
STRIDE = 2.0
#: Determinant below which Newton's step is not trusted.
STEEP = 0.05


@fast_kernel
def value_in(
    d: Floats, b: np.uint64, s_x: np.uint64, s_y: np.uint64, f_x: Part, f_y: Part, f_z: Part
) -> float:
    """Interpolate a flat volume linearly within the cell at ``b``."""
    # Unsigned, because an index that might be negative costs a test at each corner.
    one = np.uint64(1)
    c00 = d[b] + f_z * (d[b + one] - d[b])
    b01, b10 = b + s_y, b + s_x
    c01 = d[b01] + f_z * (d[b01 + one] - d[b01])
    c10 = d[b10] + f_z * (d[b10 + one] - d[b10])
    b11 = b10 + s_y
    c11 = d[b11] + f_z * (d[b11 + one] - d[b11])
    c0, c1 = c00 + f_y * (c01 - c00), c10 + f_y * (c11 - c10)
    return float(c0 + f_x * (c1 - c0))


@fast_kernel
def slope_in(
    d: Floats, b: np.uint64, s_x: np.uint64, s_y: np.uint64, f_x: Part, f_y: Part, f_z: Part
) -> tuple[float, float, float]:
    """Differentiate a flat volume within the cell at ``b``."""
    one = np.uint64(1)
    b01, b10, b11 = b + s_y, b + s_x, b + s_x + s_y
    g00, g01 = d[b + one] - d[b], d[b01 + one] - d[b01]
    g10, g11 = d[b10 + one] - d[b10], d[b11 + one] - d[b11]
    c00, c01 = d[b] + f_z * g00, d[b01] + f_z * g01
    c10, c11 = d[b10] + f_z * g10, d[b11] + f_z * g11
    by_x = (c10 - c00) + f_y * ((c11 - c01) - (c10 - c00))
    by_y = (c01 - c00) + f_x * ((c11 - c10) - (c01 - c00))
    g0, g1 = g00 + f_y * (g01 - g00), g10 + f_y * (g11 - g10)
    return by_x, by_y, g0 + f_x * (g1 - g0)


@fast_kernel
def step_back(
    x: tuple[float, float, float], y: tuple[float, float, float], z: tuple[float, float, float],
    error: tuple[float, float, float],
) -> tuple[float, float, float]:  # fmt: skip
    """Solve (I + slopes) step = error by cofactors; half the error where that would fold."""
    a, b, c = x[0] + 1.0, x[1], x[2]
    d, e, f = y[0], y[1] + 1.0, y[2]
    g, h, i = z[0], z[1], z[2] + 1.0
    c0, c1, c2 = e * i - f * h, f * g - d * i, d * h - e * g
    determinant = a * c0 + b * c1 + c * c2
    if determinant < STEEP:
        return 0.5 * error[0], 0.5 * error[1], 0.5 * error[2]
    u, v, w = error
    s_x = (c0 * u + (c * h - b * i) * v + (b * f - c * e) * w) / determinant
    s_y = (c1 * u + (a * i - c * g) * v + (c * d - a * f) * w) / determinant
    s_z = (c2 * u + (b * g - a * h) * v + (a * e - b * d) * w) / determinant
    return (
        min(max(s_x, -STRIDE), STRIDE),
        min(max(s_y, -STRIDE), STRIDE),
        min(max(s_z, -STRIDE), STRIDE),
    )


@fast_kernel
def total(
    back: Floats, on: Floats, matrices: tuple[Doubles, Doubles, Doubles],
    out: Floats, worst: Doubles, first: int, last: int,
) -> None:  # fmt: skip
    """Join the way back to the middle with the way on, as world displacements of a grid.

    ``matrices`` map voxels of the grid to voxels of the middle, those to the other world, and
    voxels of the grid to their world. ``out`` is (3, X, Y, Z), LPS mm; ``worst[x]``
    the largest distance (voxels of the middle) by which a point was not found again. The way back
    is the inverse of the field ``back``: each point is found by Newton's steps, from where the
    point before was found.
    """
    into, out_of, affine = matrices
    n_x, n_y, n_z = back.shape[1], back.shape[2], back.shape[3]
    back_x, back_y, back_z = back[0].reshape(-1), back[1].reshape(-1), back[2].reshape(-1)
    on_x, on_y, on_z = on[0].reshape(-1), on[1].reshape(-1), on[2].reshape(-1)
    s_x, s_y = np.uint64(n_y * n_z), np.uint64(n_z)
    for x in range(first, last):
        missed = 0.0
        for y in range(out.shape[2]):
            m_x = m_y = m_z = 0.0
            for z in range(out.shape[3]):
                g_x = into[0, 0] * x + into[0, 1] * y + into[0, 2] * z + into[0, 3]
                g_y = into[1, 0] * x + into[1, 1] * y + into[1, 2] * z + into[1, 3]
                g_z = into[2, 0] * x + into[2, 1] * y + into[2, 2] * z + into[2, 3]
                p_x, p_y, p_z = g_x - m_x, g_y - m_y, g_z - m_z
                left = 0.0
                for attempt in range(TRIES + 1):
                    q_x = min(max(p_x, 0.0), n_x - 1.0)
                    q_y = min(max(p_y, 0.0), n_y - 1.0)
                    q_z = min(max(p_z, 0.0), n_z - 1.0)
                    i, j = min(int(q_x), n_x - 2), min(int(q_y), n_y - 2)
                    k = min(int(q_z), n_z - 2)
                    b = np.uint64((i * n_y + j) * n_z + k)
                    f_x, f_y, f_z = np.float32(q_x - i), np.float32(q_y - j), np.float32(q_z - k)
                    e_x = p_x + value_in(back_x, b, s_x, s_y, f_x, f_y, f_z) - g_x
                    e_y = p_y + value_in(back_y, b, s_x, s_y, f_x, f_y, f_z) - g_y
                    e_z = p_z + value_in(back_z, b, s_x, s_y, f_x, f_y, f_z) - g_z
                    left = max(abs(e_x), abs(e_y), abs(e_z))
                    if left < CLOSE or attempt == TRIES:
                        break
                    if attempt > PATIENCE:
                        p_x, p_y, p_z = p_x - 0.5 * e_x, p_y - 0.5 * e_y, p_z - 0.5 * e_z
                        continue
                    t_x, t_y, t_z = step_back(
                        slope_in(back_x, b, s_x, s_y, f_x, f_y, f_z),
                        slope_in(back_y, b, s_x, s_y, f_x, f_y, f_z),
                        slope_in(back_z, b, s_x, s_y, f_x, f_y, f_z),
                        (e_x, e_y, e_z),
                    )
                    p_x, p_y, p_z = p_x - t_x, p_y - t_y, p_z - t_z
                missed = max(missed, left)
                m_x, m_y, m_z = g_x - p_x, g_y - p_y, g_z - p_z
                r_x = p_x + value_in(on_x, b, s_x, s_y, f_x, f_y, f_z)
                r_y = p_y + value_in(on_y, b, s_x, s_y, f_x, f_y, f_z)
                r_z = p_z + value_in(on_z, b, s_x, s_y, f_x, f_y, f_z)
                for r in range(3):
                    there = out_of[r, 0] * r_x + out_of[r, 1] * r_y + out_of[r, 2] * r_z
                    here = affine[r, 0] * x + affine[r, 1] * y + affine[r, 2] * z + affine[r, 3]
                    moved = there + out_of[r, 3] - here
                    out[r, x, y, z] = moved if r == 2 else -moved
        worst[x] = missed


@fast_kernel
def row_of(d: Floats, b: tuple[int, int, int, int, int, int], steps: tuple[float, float, float],
           t: Doubles) -> tuple[float, float, float]:  # fmt: skip
    """Differentiate a flat volume by the world, between its neighbours at six places."""
    u = (d[np.uint64(b[1])] - d[np.uint64(b[0])]) * steps[0]
    v = (d[np.uint64(b[3])] - d[np.uint64(b[2])]) * steps[1]
    w = (d[np.uint64(b[5])] - d[np.uint64(b[4])]) * steps[2]
    return (
        u * t[0, 0] + v * t[1, 0] + w * t[2, 0],
        u * t[0, 1] + v * t[1, 1] + w * t[2, 1],
        u * t[0, 2] + v * t[1, 2] + w * t[2, 2],
    )


@fast_kernel
def least_jacobian(field: Floats, to_voxel: Doubles, least: Doubles, first: int, last: int) -> None:
    """Find the smallest determinant of I + the field's derivatives in each slab.

    ``field`` (3, X, Y, Z) by central differences, one-sided at the faces; ``to_voxel`` (3, 3)
    takes the unit of the field to voxels.
    """
    _, n_x, n_y, n_z = field.shape
    d_x, d_y, d_z = field[0].reshape(-1), field[1].reshape(-1), field[2].reshape(-1)
    for x in range(first, last):
        x0, x1 = max(x - 1, 0), min(x + 1, n_x - 1)
        smallest = 1e30
        for y in range(n_y):
            y0, y1 = max(y - 1, 0), min(y + 1, n_y - 1)
            for z in range(n_z):
                z0, z1 = max(z - 1, 0), min(z + 1, n_z - 1)
                row, column = (x * n_y + y) * n_z, y * n_z + z
                b = (
                    x0 * n_y * n_z + column, x1 * n_y * n_z + column,
                    (x * n_y + y0) * n_z + z, (x * n_y + y1) * n_z + z, row + z0, row + z1,
                )  # fmt: skip
                steps = 1.0 / max(x1 - x0, 1), 1.0 / max(y1 - y0, 1), 1.0 / max(z1 - z0, 1)
                j00, j01, j02 = row_of(d_x, b, steps, to_voxel)
                j10, j11, j12 = row_of(d_y, b, steps, to_voxel)
                j20, j21, j22 = row_of(d_z, b, steps, to_voxel)
                j00, j11, j22 = j00 + 1.0, j11 + 1.0, j22 + 1.0
                determinant = j00 * (j11 * j22 - j12 * j21)
                determinant += j01 * (j12 * j20 - j10 * j22) + j02 * (j10 * j21 - j11 * j20)
                smallest = min(smallest, determinant)
        least[x] = smallest
