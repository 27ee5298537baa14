"""Loops over voxels for deformable registration: warp, force, smooth, compose, invert.

Volumes are float32, contiguous, (X, Y, Z); fields (3, X, Y, Z) in voxels. Every kernel fills the
slab ``first <= x < last`` of its result, from the whole of its input, so that slabs can be filled
side by side and the result does not depend on how many there are.
"""

import numpy as np
from numpy.typing import NDArray

from brainnet._compile import fast_kernel

Floats = NDArray[np.float32]

#: Correlation is taken in cubes that reach so many voxels from their centre: 5 x 5 x 5.
RADIUS = 2
#: Keeps correlation down where an image hardly varies; images are scaled to about 1.
FLAT = np.float32(1e-6)
#: How close to the last voxel, in voxels, a point may come.
EDGE = np.float32(1e-3)
_ZERO = np.float32(0)
_ONE = np.float32(1)
_HALF = np.float32(0.5)


@fast_kernel
def locate(
    dx: Floats, dy: Floats, dz: Floats, place: tuple[int, int], corner: NDArray[np.int32],
    part: Floats, shape: tuple[int, int, int], scale: float,
) -> None:  # fmt: skip
    """Find the cell that each voxel of a row is displaced to, and the position within it."""
    (x, y), (n_x, n_y, n_z) = place, shape
    factor = np.float32(scale)
    top_x = np.float32(n_x - 1) - EDGE
    top_y = np.float32(n_y - 1) - EDGE
    top_z = np.float32(n_z - 1) - EDGE
    across, along = np.int32(n_y), np.int32(n_z)
    for z in range(n_z):
        p_x = min(max(np.float32(x) + factor * dx[z], _ZERO), top_x)
        p_y = min(max(np.float32(y) + factor * dy[z], _ZERO), top_y)
        p_z = min(max(np.float32(z) + factor * dz[z], _ZERO), top_z)
        i, j, k = np.int32(p_x), np.int32(p_y), np.int32(p_z)
        part[0, z] = p_x - np.float32(i)
        part[1, z] = p_y - np.float32(j)
        part[2, z] = p_z - np.float32(k)
        corner[z] = (i * across + j) * along + k


@fast_kernel
def gather(
    source: Floats, corner: NDArray[np.int32], part: Floats, step: tuple[int, int], out: Floats
) -> None:
    """Interpolate a flat volume linearly at a row of located points."""
    # Unsigned, because an index that might be negative costs a test at each of eight corners.
    one, s_x, s_y = np.uint64(1), np.uint64(step[0]), np.uint64(step[1])
    for z in range(out.size):
        b = np.uint64(corner[z])
        f_z, f_y = part[2, z], part[1, z]
        c00 = source[b] + f_z * (source[b + one] - source[b])
        side = b + s_y
        c01 = source[side] + f_z * (source[side + one] - source[side])
        side = b + s_x
        c10 = source[side] + f_z * (source[side + one] - source[side])
        side = b + s_x + s_y
        c11 = source[side] + f_z * (source[side + one] - source[side])
        c0 = c00 + f_y * (c01 - c00)
        c1 = c10 + f_y * (c11 - c10)
        out[z] = c0 + part[0, z] * (c1 - c0)


@fast_kernel
def warp(images: Floats, field: Floats, out: Floats, first: int, last: int) -> None:
    """Pull images (C, X, Y, Z) through a field; the edge value goes on outside."""
    n_c, n_x, n_y, n_z = images.shape
    corner, part = np.empty(n_z, np.int32), np.empty((3, n_z), np.float32)
    for x in range(first, last):
        for y in range(n_y):
            locate(
                field[0, x, y], field[1, x, y], field[2, x, y], (x, y), corner, part,
                (n_x, n_y, n_z), 1.0,
            )  # fmt: skip
            for c in range(n_c):
                gather(images[c].reshape(-1), corner, part, (n_y * n_z, n_z), out[c, x, y])


@fast_kernel
def compose(
    field: Floats, update: Floats, scale: float, out: Floats, first: int, last: int
) -> None:
    """Follow a small update, then the field: s u(x) + d(x + s u(x))."""
    _, n_x, n_y, n_z = field.shape
    factor = np.float32(scale)
    corner, part = np.empty(n_z, np.int32), np.empty((3, n_z), np.float32)
    for x in range(first, last):
        for y in range(n_y):
            locate(
                update[0, x, y], update[1, x, y], update[2, x, y], (x, y), corner, part,
                (n_x, n_y, n_z), scale,
            )  # fmt: skip
            for c in range(3):
                row, moved = out[c, x, y], update[c, x, y]
                gather(field[c].reshape(-1), corner, part, (n_y * n_z, n_z), row)
                for z in range(n_z):
                    row[z] += factor * moved[z]


@fast_kernel
def shift_sum(source: Floats, step: int, weights: Floats, out: Floats) -> None:
    """Sum a flat plane at seven places ``step`` apart, with symmetric weights, where all exist."""
    w0, w1, w2, w3 = weights[3], weights[2], weights[1], weights[0]
    n = source.size - 6 * step
    # Slices, because an index that might be negative keeps the loop from being vectorised.
    a, b, c = source[:n], source[step : step + n], source[2 * step : 2 * step + n]
    d, e = source[3 * step : 3 * step + n], source[4 * step : 4 * step + n]
    f, g = source[5 * step : 5 * step + n], source[6 * step : 6 * step + n]
    to = out[3 * step : 3 * step + n]
    for i in range(n):
        to[i] = w0 * d[i] + w1 * (c[i] + e[i]) + w2 * (b[i] + f[i]) + w3 * (a[i] + g[i])


@fast_kernel
def smooth(field: Floats, weights: Floats, out: Floats, first: int, last: int) -> float:
    """Filter the parts of a field by seven weights along all axes; return the largest magnitude.

    Outside the grid the field is 0. Planes are kept flat, with 3 zeros around them: a neighbour
    along y or z is then at a fixed distance.
    """
    n_c, n_x, n_y, n_z = field.shape
    wide = n_z + 6
    ring = np.zeros((7, (n_y + 6) * wide), np.float32)
    plane = np.zeros((n_y + 6) * wide, np.float32)
    along = np.zeros((n_y + 6) * wide, np.float32)
    largest = _ZERO
    for c in range(n_c):
        for source in range(first - 3, last + 3):
            slab = ring[(source - first + 3) % 7]
            if source < 0 or source >= n_x:
                slab[:] = _ZERO
            else:
                for y in range(n_y):
                    start = (y + 3) * wide + 3
                    plane[start : start + n_z] = field[c, source, y]
                shift_sum(plane, 1, weights, along)
                shift_sum(along, wide, weights, slab)
            x = source - 3
            if x < first or x >= last:
                continue
            k = x - first
            largest = max(largest, smooth_across(ring, k, weights, out[c, x]))
    return float(largest)


@fast_kernel
def smooth_across(ring: Floats, k: int, weights: Floats, out: Floats) -> np.float32:
    """Sum seven planes of a ring that begins at ``k``; return the largest magnitude."""
    n_y, n_z = out.shape
    wide = n_z + 6
    w0, w1, w2, w3 = weights[3], weights[2], weights[1], weights[0]
    largest = _ZERO
    for y in range(n_y):
        start = (y + 3) * wide + 3
        end = start + n_z
        a, b = ring[k % 7, start:end], ring[(k + 1) % 7, start:end]
        c, d = ring[(k + 2) % 7, start:end], ring[(k + 3) % 7, start:end]
        e, f = ring[(k + 4) % 7, start:end], ring[(k + 5) % 7, start:end]
        g, row = ring[(k + 6) % 7, start:end], out[y]
        for z in range(n_z):
            v = w0 * d[z] + w1 * (c[z] + e[z]) + w2 * (b[z] + f[z]) + w3 * (a[z] + g[z])
            row[z] = v
            largest = max(largest, abs(v))
    return largest


@fast_kernel
def shift_five(source: Floats, step: int, out: Floats) -> None:
    """Sum a flat plane at five places ``step`` apart, where all exist."""
    n = source.size - 4 * step
    a, b, c = source[:n], source[step : step + n], source[2 * step : 2 * step + n]
    d, e = source[3 * step : 3 * step + n], source[4 * step : 4 * step + n]
    to = out[2 * step : 2 * step + n]
    for i in range(n):
        to[i] = c[i] + (b[i] + d[i]) + (a[i] + e[i])


@fast_kernel
def window_sums(left: Floats, right: Floats, planes: Floats, along: Floats, out: Floats) -> None:
    """Sum both images, their squares and product over squares of 5 x 5 voxels of one slab.

    Planes are flat, with 2 zeros around them: ``planes`` and ``out`` (5, n), ``along`` (n,).
    """
    n_y, n_z = left.shape
    wide = n_z + 4
    for y in range(n_y):
        start = (y + 2) * wide + 2
        end = start + n_z
        p0, p1, p2 = planes[0, start:end], planes[1, start:end], planes[2, start:end]
        p3, p4 = planes[3, start:end], planes[4, start:end]
        one, other = left[y], right[y]
        for z in range(n_z):
            a, b = one[z], other[z]
            p0[z] = a
            p1[z] = b
            p2[z] = a * a
            p3[z] = b * b
            p4[z] = a * b
    for s in range(5):
        shift_five(planes[s], 1, along)
        shift_five(along, wide, out[s])


@fast_kernel
def five_planes(ring: Floats, s: int, out: Floats) -> None:
    """Sum one of the five kinds of sums over the five slabs of a ring (5, 5, n)."""
    a, b, c, d, e = ring[0, s], ring[1, s], ring[2, s], ring[3, s], ring[4, s]
    for i in range(out.size):
        out[i] = (a[i] + b[i]) + (c[i] + d[i]) + e[i]


@fast_kernel
def force(
    left: Floats, right: Floats, weight: Floats, momentum: float,
    forces: Floats, likeness: NDArray[np.float64], first: int, last: int,
) -> None:  # fmt: skip
    """Add the ascent of squared local correlation to what momentum leaves of both forces.

    ``forces`` is (2, 3, X, Y, Z): for the left and the right image. ``weight`` scales the force
    of each voxel, or has no voxel. ``likeness[x]`` becomes the sum of squared correlations.
    """
    n_x, n_y, n_z = left.shape
    wide = n_z + 4
    size = (n_y + 4) * wide
    ring = np.zeros((5, 5, size), np.float32)
    planes, sums = np.zeros((5, size), np.float32), np.empty((5, size), np.float32)
    along, values = np.zeros(size, np.float32), np.zeros((2, size), np.float32)
    ratios = np.empty((3, size), np.float32)
    for source in range(first - RADIUS, last + RADIUS):
        # The slabs of each sum keep their places, so that their order, and with it the rounding,
        # is the same however the image is cut.
        slab = ring[source % 5]
        if source < 0 or source >= n_x:
            slab[:, :] = _ZERO
        else:
            window_sums(left[source], right[source], planes, along, slab)
        x = source - RADIUS
        if x < first or x >= last:
            continue
        for s in range(5):
            five_planes(ring, s, sums[s])
        sums[4, : 2 * wide] = _ZERO  # nothing goes together outside the image
        sums[4, (n_y + 2) * wide :] = _ZERO
        for y in range(n_y):
            start = (y + 2) * wide + 2
            sums[4, start - 2 : start] = _ZERO
            sums[4, start + n_z : start + n_z + 2] = _ZERO
            values[0, start : start + n_z] = left[x, y]
            values[1, start : start + n_z] = right[x, y]
        likeness[x] = correlation_ascent(values[0], values[1], sums, ratios)
        for y in range(n_y):
            start = (y + 2) * wide + 2
            near = ratios[:, start : start + n_z]
            if weight.size:
                for z in range(n_z):
                    near[0, z] *= weight[x, y, z]
                    near[1, z] *= weight[x, y, z]
            push(left, near[0], x, y, momentum, forces[0])
            push(right, near[1], x, y, momentum, forces[1])


@fast_kernel
def correlation_ascent(left: Floats, right: Floats, sums: Floats, out: Floats) -> float:
    """Differentiate a plane's squared local correlation by the values of both images.

    Only the window around the voxel itself counts; the sum of the plane is returned. ``out`` is
    (3, n): for the left image, for the right one, and what both share.
    """
    total = shared_slope(sums[0], sums[1], sums[2], sums[3], sums[4], out[2])
    own_slope(left, right, sums[0], sums[1], sums[2], sums[4], out[2], out[0])
    own_slope(right, left, sums[1], sums[0], sums[3], sums[4], out[2], out[1])
    return total


@fast_kernel
def shared_slope(
    s_a: Floats, s_b: Floats, s_aa: Floats, s_bb: Floats, s_ab: Floats, out: Floats
) -> float:
    """Fill in covariance over both variances; return the sum of squared correlations.

    One result a loop: with more, the compiler gives up on vectors.
    """
    share = np.float32(1.0 / (2 * RADIUS + 1) ** 3)
    total = _ZERO
    for z in range(out.size):
        mean_a, mean_b = s_a[z] * share, s_b[z] * share
        aa = max(s_aa[z] * share - mean_a * mean_a, _ZERO)
        bb = max(s_bb[z] * share - mean_b * mean_b, _ZERO)
        ab = s_ab[z] * share - mean_a * mean_b
        slope = ab / (aa * bb + FLAT)
        out[z] = slope
        total += slope * ab
    return float(total)


@fast_kernel
def own_slope(
    left: Floats, right: Floats, s_a: Floats, s_b: Floats, s_aa: Floats, s_ab: Floats,
    shared: Floats, out: Floats,
) -> None:  # fmt: skip
    """Fill in the derivative by the values of the left image."""
    share = np.float32(1.0 / (2 * RADIUS + 1) ** 3)
    for z in range(out.size):
        mean_a, mean_b = s_a[z] * share, s_b[z] * share
        aa = max(s_aa[z] * share - mean_a * mean_a, _ZERO)
        ab = s_ab[z] * share - mean_a * mean_b
        out[z] = shared[z] * (right[z] - mean_b - ab / (aa + FLAT) * (left[z] - mean_a))


@fast_kernel
def push(image: Floats, ratio: Floats, x: int, y: int, momentum: float, force: Floats) -> None:
    """Turn a row of derivatives by value into derivatives by displacement."""
    n_x, n_y, n_z = image.shape
    keep = np.float32(momentum)
    before, after = image[max(x - 1, 0), y], image[min(x + 1, n_x - 1), y]
    above, below = image[x, max(y - 1, 0)], image[x, min(y + 1, n_y - 1)]
    row = image[x, y]
    f_x, f_y, f_z = force[0, x, y], force[1, x, y], force[2, x, y]
    for z in range(n_z):
        f_x[z] = keep * f_x[z] + ratio[z] * (after[z] - before[z])
        f_y[z] = keep * f_y[z] + ratio[z] * (below[z] - above[z])
    inner, low, high, middle = f_z[1:-1], row[:-2], row[2:], ratio[1:-1]
    for z in range(n_z - 2):
        inner[z] = keep * inner[z] + middle[z] * (high[z] - low[z])


@fast_kernel
def halve(images: Floats, out: Floats, first: int, last: int) -> None:
    """Average blocks of two voxels along each axis, the last one repeated where there is none."""
    n_c, n_x, n_y, n_z = images.shape
    eighth = np.float32(0.125)
    for c in range(n_c):
        for x in range(first, last):
            x0, x1 = 2 * x, min(2 * x + 1, n_x - 1)
            for y in range(out.shape[2]):
                y0, y1 = 2 * y, min(2 * y + 1, n_y - 1)
                a, b = images[c, x0, y0], images[c, x0, y1]
                d, e = images[c, x1, y0], images[c, x1, y1]
                for z in range(out.shape[3]):
                    z0, z1 = 2 * z, min(2 * z + 1, n_z - 1)
                    low = a[z0] + b[z0] + d[z0] + e[z0]
                    high = a[z1] + b[z1] + d[z1] + e[z1]
                    out[c, x, y, z] = eighth * (low + high)


@fast_kernel
def double(field: Floats, out: Floats, first: int, last: int) -> None:
    """Interpolate a field linearly to twice the resolution, in voxels of that."""
    _, n_x, n_y, n_z = field.shape
    quarter, three = np.float32(0.25), np.float32(0.75)
    for c in range(3):
        for x in range(first, last):
            x0 = x // 2
            x1 = min(max(x0 + 2 * (x % 2) - 1, 0), n_x - 1)
            for y in range(out.shape[2]):
                y0 = y // 2
                y1 = min(max(y0 + 2 * (y % 2) - 1, 0), n_y - 1)
                a, b = field[c, x0, y0], field[c, x0, y1]
                d, e = field[c, x1, y0], field[c, x1, y1]
                for z in range(out.shape[3]):
                    z0 = z // 2
                    z1 = min(max(z0 + 2 * (z % 2) - 1, 0), n_z - 1)
                    near = three * (three * a[z0] + quarter * b[z0])
                    near += quarter * (three * d[z0] + quarter * e[z0])
                    far = three * (three * a[z1] + quarter * b[z1])
                    far += quarter * (three * d[z1] + quarter * e[z1])
                    out[c, x, y, z] = np.float32(2) * (three * near + quarter * far)


@fast_kernel
def pull(
    data: Floats, matrix: NDArray[np.float64], scale: float, out: Floats, first: int, last: int
) -> None:
    """Sample a volume at ``matrix @ voxel`` by cubic convolution, times a scale; 0 outside."""
    n_x, n_y, n_z = data.shape
    w_x, w_y, w_z = np.empty(4, np.float32), np.empty(4, np.float32), np.empty(4, np.float32)
    for x in range(first, last):
        for y in range(out.shape[1]):
            for z in range(out.shape[2]):
                p_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]
                p_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]
                p_z = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
                i, j, k = int(np.floor(p_x)), int(np.floor(p_y)), int(np.floor(p_z))
                out[x, y, z] = _ZERO
                if i < -1 or j < -1 or k < -1 or i >= n_x or j >= n_y or k >= n_z:
                    continue
                if 0 <= i < n_x - 1 and 0 <= j < n_y - 1 and 0 <= k < n_z - 1:
                    near = abs(data[i, j, k]) + abs(data[i + 1, j + 1, k + 1])
                    near += abs(data[i + 1, j, k]) + abs(data[i, j + 1, k])
                    near += abs(data[i, j, k + 1]) + abs(data[i + 1, j, k + 1])
                    near += abs(data[i, j + 1, k + 1]) + abs(data[i + 1, j + 1, k])
                    if near == _ZERO:
                        continue
                cubic_weights(np.float32(p_x - i), w_x)
                cubic_weights(np.float32(p_y - j), w_y)
                cubic_weights(np.float32(p_z - k), w_z)
                total = _ZERO
                for a in range(4):
                    i_a = min(max(i + a - 1, 0), n_x - 1)
                    sheet = _ZERO
                    for b in range(4):
                        row = data[i_a, min(max(j + b - 1, 0), n_y - 1)]
                        line = _ZERO
                        for c in range(4):
                            line += w_z[c] * row[min(max(k + c - 1, 0), n_z - 1)]
                        sheet += w_y[b] * line
                    total += w_x[a] * sheet
                out[x, y, z] = np.float32(scale) * total


@fast_kernel
def cubic_weights(t: np.float32, out: Floats) -> None:
    """Fill in the four weights of cubic convolution (Keys 1981) at a part of a voxel."""
    out[0] = _HALF * t * (t * (np.float32(2) - t) - _ONE)
    out[1] = _HALF * (t * t * (np.float32(3) * t - np.float32(5)) + np.float32(2))
    out[2] = _HALF * t * (t * (np.float32(4) - np.float32(3) * t) + _ONE)
    out[3] = _HALF * t * t * (t - _ONE)
