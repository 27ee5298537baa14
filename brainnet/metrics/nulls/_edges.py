"""Networks as a list of edges, and swaps of the ends of two of them.

Edge e leads from ``ends[2 * e]`` to ``ends[2 * e + 1]``; place x of the list is the start of an
arc whose end is at place ``x ^ 1``, so that an undirected edge is two arcs. Beside the list stands
a matrix of bytes with the occupied pairs, its rows padded to a power of two; undirected pairs
stand above the diagonal only. The diagonal is occupied, so that looking up the two new pairs of a
swap is all it takes to know that the swap is legal.
"""

import numpy as np

from brainnet.metrics._compile import kernel
from brainnet.metrics._random import random_below, random_bits

PILOT_SHARE = 0.1
PILOT_LEAST = 8
MOST_ATTEMPTS = 1000
"""Attempts per swap wanted, after which a network counts as one that can hardly be rewired."""


@kernel
def list_edges(network, taken, directed):  # type: ignore[no-untyped-def]
    """Return the places of edges (2 * n_edges) and their values; pairs ``taken`` are left out."""
    n = len(network)
    codes = np.empty(n * n + 1, dtype=np.int64)
    count = 0
    for i in range(n):
        row = network[i]
        for j in range(0 if directed else i + 1, n):
            codes[count] = (i << 32) | j
            count += np.int64(row[j] != 0)
    ends = np.empty(2 * count, dtype=np.uint32)
    values = np.empty(count, dtype=network.dtype)
    kept = 0
    for e in range(count):
        i, j = codes[e] >> 32, codes[e] & 0xFFFFFFFF
        if len(taken) == 0 or not taken[i, j]:
            ends[2 * kept], ends[2 * kept + 1] = i, j
            values[kept] = network[i, j]
            kept += 1
    return ends[: 2 * kept], values[:kept]


@kernel
def write_edges(ends, values, directed, out):  # type: ignore[no-untyped-def]
    """Write the values of edges at their places."""
    for e in range(len(values)):
        i, j = ends[2 * e], ends[2 * e + 1]
        out[i, j] = values[e]
        if not directed:
            out[j, i] = values[e]


@kernel
def occupied_pairs(ends, taken, n, directed):  # type: ignore[no-untyped-def]
    """Return the flat matrix of occupied pairs and the bits of its row length."""
    shift = 0
    while (1 << shift) < n:
        shift += 1
    cells = np.zeros(n << shift, dtype=np.uint8)
    for i in range(n):
        cells[(i << shift) + i] = 1
        if len(taken) > 0:
            for j in range(n):
                cells[(i << shift) + j] |= np.uint8(taken[i, j])
    for e in range(len(ends) // 2):
        i, j = np.int64(ends[2 * e]), np.int64(ends[2 * e + 1])
        if not directed:
            i, j = min(i, j), max(i, j)
        cells[(i << shift) + j] = 1
    return cells, np.uint64(shift)


@kernel
def attempt_swaps(ends, cells, shift, directed, n_attempts, state):  # type: ignore[no-untyped-def]
    """Attempt to make a-b, c-d into a-d, c-b, without a branch; return how many succeeded."""
    one, low = np.uint64(1), np.uint64(0xFFFFFFFF)
    n_places = np.uint64(len(ends))
    starts = ~np.uint64(1) if directed else ~np.uint64(0)
    n_made = np.uint64(0)
    for _ in range(n_attempts):
        bits = random_bits(state)
        x = (((bits >> np.uint64(32)) * n_places) >> np.uint64(32)) & starts
        y = (((bits & low) * n_places) >> np.uint64(32)) & starts
        a, b = np.uint64(ends[x]), np.uint64(ends[x ^ one])
        c, d = np.uint64(ends[y]), np.uint64(ends[y ^ one])
        if directed:
            ab, cd = (a << shift) | b, (c << shift) | d
            ad, cb = (a << shift) | d, (c << shift) | b
        else:
            ab, cd = (min(a, b) << shift) | max(a, b), (min(c, d) << shift) | max(c, d)
            ad, cb = (min(a, d) << shift) | max(a, d), (min(c, b) << shift) | max(c, b)
        blocked = cells[ad] | cells[cb]
        cells[ab] = blocked
        cells[cd] = blocked
        cells[ad] |= np.uint8(1) - blocked
        cells[cb] |= np.uint8(1) - blocked
        change = (b ^ d) & (np.uint64(blocked) - one)
        ends[x ^ one] = b ^ change
        ends[y ^ one] = d ^ change
        n_made += one - np.uint64(blocked)
    return np.int64(n_made)


@kernel
def attempt_reversals(ends, cells, shift, n, n_attempts, state):  # type: ignore[no-untyped-def]
    """Attempt to turn round directed triangles a-b-c-a none of whose edges is reciprocal."""
    for _ in range(n_attempts):
        x = 2 * random_below(state, len(ends) // 2)
        a, b, c = np.uint64(ends[x]), np.uint64(ends[x + 1]), np.uint64(random_below(state, n))
        there = cells[(b << shift) | c] & cells[(c << shift) | a]
        back = cells[(b << shift) | a] | cells[(c << shift) | b] | cells[(a << shift) | c]
        if there & (1 - back):
            for e in range(0, len(ends), 2):
                i, j = np.uint64(ends[e]), np.uint64(ends[e + 1])
                if ((i == a) & (j == b)) | ((i == b) & (j == c)) | ((i == c) & (j == a)):
                    ends[e], ends[e + 1] = j, i
                    cells[(i << shift) | j] = 0
                    cells[(j << shift) | i] = 1


@kernel
def randomise(ends, taken, n, directed, swaps_per_edge, state):  # type: ignore[no-untyped-def]
    """Rewire a list of edges: first until a tenth of the swaps is made, then by attempts."""
    n_edges = len(ends) // 2
    n_wanted = np.int64(np.ceil(swaps_per_edge * n_edges))
    full = n_edges == (n * (n - 1) if directed else n * (n - 1) // 2)
    if n_edges < 2 or n_wanted == 0 or full:
        return 0
    cells, shift = occupied_pairs(ends, taken, n, directed)
    n_pilot = min(max(np.int64(PILOT_SHARE * n_wanted), PILOT_LEAST), n_wanted)
    n_made, n_attempts = 0, 0
    while n_made < n_pilot and n_attempts < MOST_ATTEMPTS * n_pilot:
        n_made += attempt_swaps(ends, cells, shift, directed, n_pilot, state)
        n_attempts += n_pilot
    n_left = MOST_ATTEMPTS * n_wanted - n_attempts
    if n_made > 0:
        n_left = min(n_left, (n_wanted - n_made) * n_attempts // n_made)
    block = min(max(n_edges // 4, 2), 256) if directed else max(n_left, 1)
    while n_left > 0:
        n_made += attempt_swaps(ends, cells, shift, directed, min(block, n_left), state)
        if directed:
            attempt_reversals(ends, cells, shift, n, 1, state)
        n_left -= block
    return n_made
