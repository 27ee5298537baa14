"""The leading eigenvector of a symmetric non-negative network, by the Lanczos process.

The process starts at equal values. Where several eigenvectors share the largest eigenvalue it
then finds the projection of the constant vector on them; and it cannot miss the leading
eigenvector, which has no entry below zero and so a share of at least 1/n in the start.
"""

import numpy as np

from brainnet.metrics._compile import fast_kernel, kernel

MOST_STEPS = 160
"""Steps after which all eigenvectors cost no more."""

SPARSE = 0.1
"""Share of non-zero entries up to which a compressed copy is multiplied faster."""

SHARPNESS = 1e13
"""The least gap to the second eigenvalue over the residual: one over the error of the vector."""

RESIDUAL = 1e-12
"""Of the vector found, as a share of the eigenvalue, at most."""

TOO_CLOSE = 1e-8
"""Eigenvalues within this share of the largest are left to the full decomposition."""

SMALLEST = 1e-300
"""Largest weights below it, or above its inverse, are left to the full decomposition."""

ALMOST_NOTHING = -1e-40
"""In place of a pivot of zero: as if the value lay a little lower."""


@kernel
def leading_vector(weights, vector):  # type: ignore[no-untyped-def]
    """Write the projection of equal values on the leading eigenvectors, in any unit.

    Zeros without edges; -1 where the process does not converge or eigenvalues are too close.
    """
    n = len(weights)
    largest, n_entries = _size(weights)
    vector[:] = 0.0
    if n_entries == 0:
        return
    if not SMALLEST < largest < 1.0 / SMALLEST:  # sums may leave the range of doubles
        vector[:] = -1.0
        return
    sparse = n_entries <= SPARSE * n * n
    starts, columns, entries = _compress(weights, n_entries if sparse else 0)
    n_steps = min(n, MOST_STEPS)
    basis = np.empty((n_steps + 1, n))
    basis[0] = 1.0 / np.sqrt(n)
    diagonal, beside = np.zeros(n_steps), np.zeros(n_steps)
    part, pivots = np.empty(n_steps), np.empty((2, n_steps))
    radius, spread = 0.0, 0.0
    for k in range(n_steps):
        _multiply(weights, starts, columns, entries, basis[k], basis[k + 1])
        diagonal[k], beside[k] = _make_orthogonal(basis, k, largest)
        spread = max(spread, abs(diagonal[k]), beside[k])
        last = k + 1 == n_steps or beside[k] < 1e-14 * spread  # what follows is rounding
        if not last and (k < 8 or k % 3):
            continue
        radius = _leading_pair(diagonal[: k + 1], beside, radius, pivots, part)
        residual = beside[k] * part[k]
        if last or residual < 1e-17 * radius:
            break
        if _count_above(diagonal[: k + 1], beside, radius - SHARPNESS * residual) == 1:
            break
    _combine(basis[: k + 1], part, vector)
    _multiply(weights, starts, columns, entries, vector, basis[0])
    close = _count_above(diagonal[: k + 1], beside, radius * (1 - TOO_CLOSE)) > 1
    if close or not _is_solution(vector, basis[0], radius, largest):
        vector[:] = -1.0


@kernel
def clear_other_pieces(weights, vector, out):  # type: ignore[no-untyped-def]
    """Write the vector with zeros in the pieces that hold only rounding of it.

    The projection of equal values has a norm of at least 1/sqrt(n) in a leading piece.
    """
    n = len(weights)
    out[:] = vector
    norm = 0.0
    for i in range(n):
        norm += vector[i] ** 2
    waiting, seen = np.empty(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
    for first in range(n):
        if seen[first] or vector[first] ** 2 > 1e-6 * norm / n:
            continue
        seen[first] = True
        waiting[0] = first
        n_seen, share, done = 1, 0.0, 0
        while done < n_seen:
            i = waiting[done]
            done += 1
            share += vector[i] ** 2
            row = weights[i]
            for j in range(n):
                if row[j] > 0.0 and not seen[j]:
                    seen[j] = True
                    waiting[n_seen] = j
                    n_seen += 1
        if share < 1e-6 * norm / n:
            for at in range(n_seen):
                out[waiting[at]] = 0.0


@fast_kernel
def _size(weights):  # type: ignore[no-untyped-def]
    """Return the largest entry, and how many are not zero."""
    largest, n_entries = 0.0, 0
    for i in range(len(weights)):
        row = weights[i]
        for j in range(len(row)):
            largest = max(largest, row[j])
            n_entries += np.int64(row[j] > 0.0)
    return largest, n_entries


@fast_kernel
def _compress(weights, n_entries):  # type: ignore[no-untyped-def]
    """Return where each row starts, and the columns and values of the entries, if there are any."""
    starts = np.zeros(len(weights) + 1, dtype=np.int64)
    columns = np.empty(n_entries + 1, dtype=np.uint32)
    values = np.empty(n_entries + 1)
    count = 0
    if n_entries > 0:
        for i in range(len(weights)):
            row = weights[i]
            for j in range(len(row)):
                columns[count] = j
                values[count] = row[j]
                count += np.int64(row[j] > 0.0)
            starts[i + 1] = count
    return starts, columns, values


@fast_kernel
def _multiply(weights, starts, columns, values, vector, product):  # type: ignore[no-untyped-def]
    """Write the product of a network, compressed if it has been, and a vector."""
    compressed = starts[-1] > 0
    for i in range(len(weights)):
        value = 0.0
        if compressed:
            for entry in range(starts[i], starts[i + 1]):
                value += values[entry] * vector[columns[entry]]
        else:
            row = weights[i]
            for j in range(len(row)):
                value += row[j] * vector[j]
        product[i] = value


@fast_kernel
def _make_orthogonal(basis, k, unit):  # type: ignore[no-untyped-def]
    """Make row k + 1 orthogonal to those before, of norm 1; return its part along row k, its norm.

    Both numbers are in the given unit. Where little is left, it is rounding in good part: again.
    """
    new = basis[k + 1]
    for i in range(len(new)):
        new[i] /= unit
    along, norm = 0.0, 0.0
    for _ in range(3):
        part, most = _subtract_rows(basis[: k + 1], new)
        along += part
        before = max(most, norm)
        norm = np.sqrt((new * new).sum())
        if norm == 0.0 or norm > 0.1 * before:
            break
    if norm > 0.0:
        for i in range(len(new)):
            new[i] /= norm
    return along, norm


@fast_kernel
def _subtract_rows(basis, new):  # type: ignore[no-untyped-def]
    """Take the rows, from the last, out of a vector; return its part along the last, the most."""
    along, most = 0.0, 0.0
    for j in range(len(basis) - 1, -1, -1):
        row = basis[j]
        part = 0.0
        for i in range(len(new)):
            part += row[i] * new[i]
        for i in range(len(new)):
            new[i] -= part * row[i]
        along = part if j == len(basis) - 1 else along
        most = max(most, abs(part))
    return along, most


@fast_kernel
def _combine(basis, parts, vector):  # type: ignore[no-untyped-def]
    """Write the sum of the rows times their parts, without what rounding leaves below zero."""
    vector[:] = 0.0
    for k in range(len(basis)):
        row = basis[k]
        for i in range(len(vector)):
            vector[i] += parts[k] * row[i]
    for i in range(len(vector)):
        vector[i] = max(vector[i], 0.0)


@fast_kernel
def _is_solution(vector, product, radius, unit):  # type: ignore[no-untyped-def]
    """Return whether a product is the radius, in the given unit, times the vector of norm 1."""
    square = 0.0
    for i in range(len(vector)):
        square += (product[i] / unit - radius * vector[i]) ** 2
    return square <= (RESIDUAL * radius) ** 2


@kernel
def _leading_pair(diagonal, beside, least, pivots, part):  # type: ignore[no-untyped-def]
    """Return the largest eigenvalue of a tridiagonal matrix; write its unit vector.

    Rayleigh quotient iteration, within bounds. The vector is built from its largest entry, so
    that the small ones are exact too: all are positive, and those of no other eigenvector are.
    """
    n = len(diagonal)
    low, high = least, 0.0
    for i in range(n):
        near = (beside[i - 1] if i > 0 else 0.0) + (beside[i] if i + 1 < n else 0.0)
        low, high = max(low, diagonal[i]), max(high, diagonal[i] + near)
    value = low
    for _ in range(80):
        below, peak = _factor(diagonal, beside, value, pivots)
        if below:
            high = value
        else:
            low = value
        square, positive = _solve(beside, pivots, peak, part[:n])
        miss = pivots[0, peak] + pivots[1, peak] - (value - diagonal[peak])
        better = value - miss / square
        if positive and abs(miss) <= 1e-15 * value * min(square, n):
            break
        value = better if positive and low <= better <= high else 0.5 * (low + high)
    part[:n] /= np.sqrt(square)
    return value


@kernel
def _factor(diagonal, beside, value, pivots):  # type: ignore[no-untyped-def]
    """Write the pivots of value - T from the top and from the end.

    Return whether no eigenvalue lies above the value, and the row where the two meet best.
    """
    n = len(diagonal)
    top, end = pivots[0], pivots[1]
    below = True
    for i in range(n):
        top[i] = value - diagonal[i] - (beside[i - 1] ** 2 / top[i - 1] if i > 0 else 0.0)
        top[i] = top[i] if top[i] != 0.0 else ALMOST_NOTHING
        below &= top[i] > 0.0
    peak, least = 0, np.inf
    for i in range(n - 1, -1, -1):
        end[i] = value - diagonal[i] - (beside[i] ** 2 / end[i + 1] if i + 1 < n else 0.0)
        end[i] = end[i] if end[i] != 0.0 else ALMOST_NOTHING
        miss = abs(top[i] + end[i] - (value - diagonal[i]))
        if miss < least:
            peak, least = i, miss
    return below, peak


@kernel
def _solve(beside, pivots, peak, part):  # type: ignore[no-untyped-def]
    """Write the vector that is 1 at the peak; return its square, and whether it is positive."""
    part[peak] = 1.0
    square, positive = 1.0, True
    for i in range(peak - 1, -1, -1):
        part[i] = beside[i] * part[i + 1] / pivots[0, i]
        positive &= pivots[0, i] > 0.0
        square += part[i] ** 2
    for i in range(peak + 1, len(part)):
        part[i] = beside[i - 1] * part[i - 1] / pivots[1, i]
        positive &= pivots[1, i] > 0.0
        square += part[i] ** 2
    return square, positive


@kernel
def _count_above(diagonal, beside, value):  # type: ignore[no-untyped-def]
    """Return how many eigenvalues of a tridiagonal matrix lie above a value."""
    count, pivot = 0, 1.0
    for i in range(len(diagonal)):
        pivot = value - diagonal[i] - (beside[i - 1] ** 2 / pivot if i > 0 else 0.0)
        pivot = pivot if pivot != 0.0 else ALMOST_NOTHING
        count += pivot < 0.0
    return count
