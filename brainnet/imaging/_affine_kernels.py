"""Loops of rigid and affine registration: coarser grids, samples, histograms, normal equations.

Points are held as centred voxel indices of one grid. A (3, 4) matrix carries them to voxel
indices of the other. All kernels work on one part of the points, so that sums are added in the
same order whatever the number of threads.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainnet._compile import fast_kernel

Array = NDArray[Any]


@fast_kernel
def block_mean(data: Array, steps: Array, out: Array) -> None:
    """Average blocks of ``steps`` voxels into ``out``."""
    a, b, c = steps[0], steps[1], steps[2]
    scale = np.float32(1.0 / (a * b * c))
    row = np.empty(out.shape[2] * c, np.float32)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            row[:] = 0.0
            for x in range(i * a, i * a + a):
                for y in range(j * b, j * b + b):
                    line = data[x, y]
                    for z in range(row.shape[0]):
                        row[z] += line[z]
            for k in range(out.shape[2]):
                total = np.float32(0.0)
                for z in range(k * c, k * c + c):
                    total += row[z]
                out[i, j, k] = total * scale


@fast_kernel
def blur(data: Array, axes: Array, out: Array) -> None:
    """Convolve with [1, 2, 1] / 4 along the axes that are not 0; edges are repeated."""
    n_x, n_y, n_z = data.shape
    quarter, half = np.float32(0.25), np.float32(0.5)
    plane = np.empty((n_y, n_z), np.float32)
    line = np.empty(n_z, np.float32)
    for i in range(n_x):
        low, high = max(i - 1, 0), min(i + 1, n_x - 1)
        if axes[0] == 0:
            low = high = i
        for j in range(n_y):
            for k in range(n_z):
                plane[j, k] = quarter * (data[low, j, k] + data[high, j, k]) + half * data[i, j, k]
        for j in range(n_y):
            low, high = max(j - 1, 0), min(j + 1, n_y - 1)
            if axes[1] == 0:
                low = high = j
            for k in range(n_z):
                line[k] = quarter * (plane[low, k] + plane[high, k]) + half * plane[j, k]
            if axes[2] == 0:
                out[i, j] = line
                continue
            out[i, j, 0] = line[0]
            out[i, j, n_z - 1] = line[n_z - 1]
            for k in range(1, n_z - 1):
                out[i, j, k] = quarter * (line[k - 1] + line[k + 1]) + half * line[k]


@fast_kernel
def sample(points: Array, matrix: Array, volume: Array, mask: Array, out: Array) -> None:
    """Interpolate ``volume`` linearly: value, its gradient (by index), weight, its gradient.

    The weight falls from 1 to 0 over one voxel centred on the outermost voxels' centres; it is
    multiplied with the mask there (an array of one voxel stands for none).
    """
    n_x, n_y, n_z = volume.shape
    masked = mask.size > 1
    m = matrix.astype(np.float32)
    half, one = np.float32(0.5), np.float32(1.0)
    e_x, e_y, e_z = np.float32(n_x - 0.5), np.float32(n_y - 0.5), np.float32(n_z - 0.5)
    for p in range(points.shape[0]):
        u, v, w = points[p, 0], points[p, 1], points[p, 2]
        x = m[0, 0] * u + m[0, 1] * v + m[0, 2] * w + m[0, 3]
        y = m[1, 0] * u + m[1, 1] * v + m[1, 2] * w + m[1, 3]
        z = m[2, 0] * u + m[2, 1] * v + m[2, 2] * w + m[2, 3]
        in_x, in_y, in_z = min(x + half, e_x - x), min(y + half, e_y - y), min(z + half, e_z - z)
        if in_x <= 0 or in_y <= 0 or in_z <= 0:
            for row in range(8):
                out[row, p] = 0.0
            continue
        # by how much the weight grows along each axis: not at all away from the faces
        s_x = np.float32(0.0) if in_x >= one else (one if x + half < e_x - x else -one)
        s_y = np.float32(0.0) if in_y >= one else (one if y + half < e_y - y else -one)
        s_z = np.float32(0.0) if in_z >= one else (one if z + half < e_z - z else -one)
        in_x, in_y, in_z = min(in_x, one), min(in_y, one), min(in_z, one)
        weight = in_x * in_y * in_z
        s_x, s_y, s_z = s_x * in_y * in_z, s_y * in_x * in_z, s_z * in_x * in_y
        x = max(x, np.float32(0.0))
        y = max(y, np.float32(0.0))
        z = max(z, np.float32(0.0))
        i, j, k = min(int(x), n_x - 2), min(int(y), n_y - 2), min(int(z), n_z - 2)
        i, j, k = max(i, 0), max(j, 0), max(k, 0)
        a = min(i + 1, n_x - 1)
        b = min(j + 1, n_y - 1)
        c = min(k + 1, n_z - 1)
        x, y, z = min(x - i, one), min(y - j, one), min(z - k, one)
        c000, c001 = volume[i, j, k], volume[i, j, c]
        c010, c011 = volume[i, b, k], volume[i, b, c]
        c100, c101 = volume[a, j, k], volume[a, j, c]
        c110, c111 = volume[a, b, k], volume[a, b, c]
        d00, d01, d10, d11 = c001 - c000, c011 - c010, c101 - c100, c111 - c110
        e00, e01, e10, e11 = c000 + z * d00, c010 + z * d01, c100 + z * d10, c110 + z * d11
        g0, g1 = e01 - e00, e11 - e10
        h0, h1 = e00 + y * g0, e10 + y * g1
        low, high = d00 + y * (d01 - d00), d10 + y * (d11 - d10)
        out[0, p] = h0 + x * (h1 - h0)
        out[1, p] = h1 - h0
        out[2, p] = g0 + x * (g1 - g0)
        out[3, p] = low + x * (high - low)
        if masked:
            o00 = mask[i, j, k] + z * (mask[i, j, c] - mask[i, j, k])
            o01 = mask[i, b, k] + z * (mask[i, b, c] - mask[i, b, k])
            o10 = mask[a, j, k] + z * (mask[a, j, c] - mask[a, j, k])
            o11 = mask[a, b, k] + z * (mask[a, b, c] - mask[a, b, k])
            o0, o1 = o00 + y * (o01 - o00), o10 + y * (o11 - o10)
            low = mask[i, j, c] - mask[i, j, k]
            low += y * (mask[i, b, c] - mask[i, b, k] - low)
            high = mask[a, j, c] - mask[a, j, k]
            high += y * (mask[a, b, c] - mask[a, b, k] - high)
            share = o0 + x * (o1 - o0)
            s_x = s_x * share + weight * (o1 - o0)
            s_y = s_y * share + weight * (o01 - o00 + x * (o11 - o10 - o01 + o00))
            s_z = s_z * share + weight * (low + x * (high - low))
            weight *= share
        out[4, p] = weight
        out[5, p] = s_x
        out[6, p] = s_y
        out[7, p] = s_z


@fast_kernel
def joint_histogram(bins: Array, samples: Array, out: Array) -> None:
    """Add the points to (fixed bins, moving bins + 3), cubic B-splines along the second."""
    sixth = np.float32(1.0 / 6.0)
    top = out.shape[1] - 4
    for p in range(bins.shape[0]):
        weight = samples[4, p] * sixth
        if weight <= 0:
            continue
        value = samples[0, p]
        k = min(max(int(value), 0), top)
        t = value - k
        s = np.float32(1.0) - t
        row = out[bins[p]]
        row[k] += weight * s * s * s
        row[k + 1] += weight * (4 - 6 * t * t + 3 * t * t * t)
        row[k + 2] += weight * (4 - 6 * s * s + 3 * s * s * s)
        row[k + 3] += weight * t * t * t


@fast_kernel
def information(joint: Array, table: Array) -> tuple[float, float]:
    """Return mutual information (nats) and the sum of a histogram.

    ``table`` gets log(p / (p of the row times p of the column)).
    """
    n_rows, n_columns = joint.shape
    rows, columns = np.zeros(n_rows), np.zeros(n_columns)
    total = 0.0
    for i in range(n_rows):
        for j in range(n_columns):
            rows[i] += joint[i, j]
            columns[j] += joint[i, j]
        total += rows[i]
    scale = 1.0 / max(total, 1e-9)
    value = 0.0
    for i in range(n_rows):
        for j in range(n_columns):
            p = joint[i, j] * scale
            ratio = np.log((p + 1e-12) / (rows[i] * columns[j] * scale * scale + 1e-12))
            table[i, j] = ratio
            value += p * ratio
    return value, total


@fast_kernel
def information_forces(bins: Array, samples: Array, table: Array, mean: float, out: Array) -> None:
    """Return how the sum of ``table - mean`` grows with each point's place, and its curvature.

    ``out`` holds the derivative by index (3 rows) and the negative second derivative by the
    moving value, at least 0.
    """
    half, sixth = np.float32(0.5), np.float32(1.0 / 6.0)
    level = np.float32(mean)
    top = table.shape[1] - 4
    for p in range(bins.shape[0]):
        value, weight = samples[0, p], samples[4, p]
        if weight <= 0:
            out[0, p] = out[1, p] = out[2, p] = out[3, p] = 0.0
            continue
        k = min(max(int(value), 0), top)
        t = value - k
        s = np.float32(1.0) - t
        row = table[bins[p]]
        a, b, c, d = row[k], row[k + 1], row[k + 2], row[k + 3]
        slope = half * (t * t * d - s * s * a + (3 * t * t - 4 * t) * b - (3 * s * s - 4 * s) * c)
        bend = s * a + (3 * t - 2) * b + (3 * s - 2) * c + t * d
        gain = sixth * (
            s * s * s * a
            + (4 - 6 * t * t + 3 * t * t * t) * b
            + (4 - 6 * s * s + 3 * s * s * s) * c
            + t * t * t * d
        )
        slope *= weight
        gain -= level
        out[0, p] = slope * samples[1, p] + gain * samples[5, p]
        out[1, p] = slope * samples[2, p] + gain * samples[6, p]
        out[2, p] = slope * samples[3, p] + gain * samples[7, p]
        out[3, p] = weight * max(-bend, np.float32(0.0))


@fast_kernel
def agreement_sum(values: Array, samples: Array, spread: float) -> float:
    """Return the sum of exp(-r^2 / 2 spread^2) over the points."""
    scale = np.float32(-0.5 / (spread * spread))
    total = 0.0
    for p in range(values.shape[0]):
        residual = values[p] - samples[0, p]
        total += samples[4, p] * np.exp(scale * residual * residual)
    return total


@fast_kernel
def agreement_forces(values: Array, samples: Array, spread: float, mean: float, out: Array) -> None:
    """Return how the sum of exp(-r^2 / 2 spread^2) - mean grows with each point's place.

    Rows of ``out`` as in ``information_forces``.
    """
    scale, level = np.float32(1.0 / (spread * spread)), np.float32(mean)
    half = np.float32(0.5)
    for p in range(values.shape[0]):
        residual = values[p] - samples[0, p]
        likeness = np.exp(-half * scale * residual * residual)
        gain = likeness - level
        curvature = scale * likeness * samples[4, p]
        slope = curvature * residual
        out[0, p] = slope * samples[1, p] + gain * samples[5, p]
        out[1, p] = slope * samples[2, p] + gain * samples[6, p]
        out[2, p] = slope * samples[3, p] + gain * samples[7, p]
        out[3, p] = curvature


@fast_kernel
def normalise(data: Array, mean: Array, spread: Array, steps: Array, out: Array) -> None:
    """Subtract a mean and divide by a spread held on a grid coarser by ``steps``."""
    one, zero = np.float32(1.0), np.float32(0.0)
    n_x, n_y, n_z = mean.shape
    column_mean, column_spread = np.empty(n_z, np.float32), np.empty(n_z, np.float32)
    for i in range(data.shape[0]):
        x = min(
            max((np.float32(i) + np.float32(0.5)) / steps[0] - np.float32(0.5), zero), n_x - one
        )
        i0 = int(x)
        i1, x = min(i0 + 1, n_x - 1), np.float32(x - i0)
        for j in range(data.shape[1]):
            y = min(
                max((np.float32(j) + np.float32(0.5)) / steps[1] - np.float32(0.5), zero), n_y - one
            )
            j0 = int(y)
            j1, y = min(j0 + 1, n_y - 1), np.float32(y - j0)
            for k in range(n_z):
                low = mean[i0, j0, k] + y * (mean[i0, j1, k] - mean[i0, j0, k])
                high = mean[i1, j0, k] + y * (mean[i1, j1, k] - mean[i1, j0, k])
                column_mean[k] = low + x * (high - low)
                low = spread[i0, j0, k] + y * (spread[i0, j1, k] - spread[i0, j0, k])
                high = spread[i1, j0, k] + y * (spread[i1, j1, k] - spread[i1, j0, k])
                column_spread[k] = low + x * (high - low)
            for k in range(data.shape[2]):
                z = (np.float32(k) + np.float32(0.5)) / steps[2] - np.float32(0.5)
                z = min(max(z, zero), n_z - one)
                k0 = int(z)
                k1, z = min(k0 + 1, n_z - 1), np.float32(z - k0)
                m = column_mean[k0] + z * (column_mean[k1] - column_mean[k0])
                s = column_spread[k0] + z * (column_spread[k1] - column_spread[k0])
                out[i, j, k] = (data[i, j, k] - m) / s


@fast_kernel
def gradient_sums(points: Array, forces: Array, out: Array) -> None:
    """Add up the derivative by the 12 entries of the (3, 4) matrix."""
    for i in range(3):
        a = b = c = d = 0.0
        for p in range(points.shape[0]):
            f = forces[i, p]
            a += f * points[p, 0]
            b += f * points[p, 1]
            c += f * points[p, 2]
            d += f
        out[4 * i] += a
        out[4 * i + 1] += b
        out[4 * i + 2] += c
        out[4 * i + 3] += d


@fast_kernel
def curvature_sums(points: Array, samples: Array, forces: Array, stride: int, out: Array) -> None:
    """Add up the curvature (12, 12) by the entries of the matrix, from one point in ``stride``."""
    h = np.zeros((6, 10))
    for p in range(0, points.shape[0], stride):
        c = forces[3, p]
        if c <= 0:
            continue
        u, v, w = points[p, 0], points[p, 1], points[p, 2]
        x, y, z = samples[1, p], samples[2, p], samples[3, p]
        left = (c * x * x, c * x * y, c * x * z, c * y * y, c * y * z, c * z * z)
        for i in range(6):
            f = left[i]
            fu, fv, fw = f * u, f * v, f * w
            h[i, 0] += fu * u
            h[i, 1] += fu * v
            h[i, 2] += fu * w
            h[i, 3] += fu
            h[i, 4] += fv * v
            h[i, 5] += fv * w
            h[i, 6] += fv
            h[i, 7] += fw * w
            h[i, 8] += fw
            h[i, 9] += f
    pair = ((0, 1, 2), (1, 3, 4), (2, 4, 5))
    arm = ((0, 1, 2, 3), (1, 4, 5, 6), (2, 5, 7, 8), (3, 6, 8, 9))
    for i in range(3):
        for j in range(3):
            for a in range(4):
                for b in range(4):
                    out[4 * i + a, 4 * j + b] += stride * h[pair[i][j], arm[a][b]]
