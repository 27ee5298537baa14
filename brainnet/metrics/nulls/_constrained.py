"""Swaps that must keep a network connected, or bring its edges no further from the diagonal.

The network stands twice as rows of bits, by where edges lead and by where they come from; for
undirected networks both are the same array. The diagonal is occupied.
"""

import numpy as np

from brainnet.metrics._bits import lowest_one
from brainnet.metrics._compile import kernel
from brainnet.metrics._random import random_below
from brainnet.metrics.nulls._edges import MOST_ATTEMPTS, PILOT_LEAST, PILOT_SHARE


@kernel
def bit_rows(ends, n, directed):  # type: ignore[no-untyped-def]
    """Return the rows of bits of where edges lead and of where they come from."""
    forward = np.zeros((n, (n + 63) // 64), dtype=np.uint64)
    for i in range(n):
        _flip(forward, i, i)
    backward = forward.copy() if directed else forward
    for e in range(0, len(ends), 2):
        _flip(forward, ends[e], ends[e + 1])
        _flip(backward, ends[e + 1], ends[e])
    return forward, backward


@kernel
def constrained_swaps(  # type: ignore[no-untyped-def]
    ends, values, rows, distances, connected, directed, limits, state
):
    """Attempt swaps to a limit of attempts or swaps; return how many of both there were."""
    forward, backward = rows
    n_places = len(ends)
    n_attempts, most_made = limits
    n_made = 0
    for attempt in range(n_attempts):
        x, y = random_below(state, n_places), random_below(state, n_places)
        if directed:
            x, y = x & ~1, y & ~1
        a, b, c, d = ends[x], ends[x ^ 1], ends[y], ends[y ^ 1]
        if _has(forward, a, d) or _has(forward, c, b):
            continue
        if len(distances) > 0:
            v, w = values[x >> 1], values[y >> 1]
            before = distances[a, b] * v + distances[c, d] * w
            if distances[a, d] * v + distances[c, b] * w > before:
                continue
        _exchange(forward, a, b, c, d)
        _exchange(backward, b, a, d, c)
        if connected and not _still_connected(forward, backward, a, b, c, d, directed):
            _exchange(forward, a, d, c, b)
            _exchange(backward, d, a, b, c)
            continue
        ends[x ^ 1], ends[y ^ 1] = d, b
        n_made += 1
        if n_made == most_made:
            return attempt + 1, n_made
    return n_attempts, n_made


@kernel
def randomise_connected(ends, values, n, directed, swaps_per_edge, state):  # type: ignore[no-untyped-def]
    """Rewire a connected list of edges: first until a tenth is made, then by attempts."""
    n_edges = len(values)
    n_wanted = np.int64(np.ceil(swaps_per_edge * n_edges))
    if n_edges < 2 or n_wanted == 0 or n_edges == (n * (n - 1) if directed else n * (n - 1) // 2):
        return
    rows = bit_rows(ends, n, directed)
    none = np.zeros((0, 0))
    n_pilot = min(max(np.int64(PILOT_SHARE * n_wanted), PILOT_LEAST), n_wanted)
    most = MOST_ATTEMPTS * n_pilot
    n_attempts, n_made = constrained_swaps(
        ends, values, rows, none, True, directed, (most, n_pilot), state
    )
    n_left = MOST_ATTEMPTS * n_wanted - n_attempts
    if n_made > 0:
        n_left = min(n_left, (n_wanted - n_made) * n_attempts // n_made)
    constrained_swaps(ends, values, rows, none, True, directed, (n_left, -1), state)


@kernel
def _still_connected(forward, backward, a, b, c, d, directed):  # type: ignore[no-untyped-def]
    """Return whether the ends of the two edges taken away can still reach one another."""
    if not directed:  # now a-d and c-b: one way from {a, d} to {b, c} is enough
        meet = np.uint64(0)
        for w in range(forward.shape[1]):
            meet |= (forward[a, w] | forward[d, w]) & (forward[b, w] | forward[c, w])
        return meet != 0 or _reaches(forward, a, b)
    ab, cd = np.uint64(0), np.uint64(0)
    for w in range(forward.shape[1]):
        ab |= forward[a, w] & backward[b, w]
        cd |= forward[c, w] & backward[d, w]
    return (ab != 0 or _reaches(forward, a, b)) and (cd != 0 or _reaches(forward, c, d))


@kernel
def _reaches(rows, start, goal):  # type: ignore[no-untyped-def]
    """Return whether a path leads from one region to another."""
    n, n_words = rows.shape
    seen = np.zeros(n_words, dtype=np.uint64)
    queue = np.empty(n, dtype=np.int64)
    _mark(seen, start)
    queue[0], head, tail = start, 0, 1
    while head < tail:
        row = rows[queue[head]]
        head += 1
        for w in range(n_words):
            fresh = row[w] & ~seen[w]
            seen[w] |= fresh
            while fresh != 0:
                queue[tail] = 64 * w + np.int64(lowest_one(fresh))
                tail += 1
                fresh &= fresh - np.uint64(1)
        if (seen[goal >> 6] >> np.uint64(goal & 63)) & np.uint64(1):
            return True
    return False


@kernel
def _mark(words, i):  # type: ignore[no-untyped-def]
    """Set bit i."""
    words[i >> 6] |= np.uint64(1) << np.uint64(i & 63)


@kernel
def _has(rows, i, j):  # type: ignore[no-untyped-def]
    """Return whether bit j of row i is set."""
    return (rows[i, j >> 6] >> np.uint64(j & 63)) & np.uint64(1) != 0


@kernel
def _flip(rows, i, j):  # type: ignore[no-untyped-def]
    """Turn bit j of row i round."""
    rows[i, j >> 6] ^= np.uint64(1) << np.uint64(j & 63)


@kernel
def _exchange(rows, a, b, c, d):  # type: ignore[no-untyped-def]
    """Make a-b and c-d into a-d and c-b."""
    _flip(rows, a, b)
    _flip(rows, c, d)
    _flip(rows, a, d)
    _flip(rows, c, b)
