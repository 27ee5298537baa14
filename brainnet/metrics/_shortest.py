"""Kernels of shortest paths: Floyd-Warshall on whole networks, and breadth-first on bits."""

import numpy as np

from brainnet.metrics._bits import count_ones, lowest_one
from brainnet.metrics._compile import kernel
from brainnet.metrics._strips import LANES, PIVOTS, aligned, lower_strips


@kernel
def lower_symmetric(lengths):  # type: ignore[no-untyped-def]
    """Lower a symmetric (n, n) matrix of lengths to those of shortest paths, in place."""
    n = len(lengths)
    n_strips = (n + LANES - 1) // LANES
    strips = aligned(n_strips * n_strips * LANES * LANES)
    strips[:] = np.inf
    size = n_strips * LANES * LANES
    for b in range(n_strips):
        for i in range(b * LANES, n):
            for j in range(min(LANES, n - b * LANES)):
                strips[b * size + i * LANES + j] = lengths[i, b * LANES + j]
    n_padded = n_strips * LANES
    lower_strips(strips, aligned(PIVOTS * n_padded).reshape(PIVOTS, n_padded), n)
    for b in range(n_strips):
        for i in range(b * LANES, n):
            for j in range(min(LANES, i + 1 - b * LANES)):
                found = strips[b * size + i * LANES + j]
                lengths[i, b * LANES + j] = found
                lengths[b * LANES + j, i] = found


@kernel
def lower_directed(lengths):  # type: ignore[no-untyped-def]
    """Lower an (n, n) matrix of lengths to those of shortest paths, in place."""
    n = len(lengths)
    onwards = np.empty(n)
    for m in range(n):
        for j in range(n):
            onwards[j] = lengths[m, j]
        for i in range(n):
            row = lengths[i]
            to_pivot = row[m]
            if to_pivot < np.inf:
                for j in range(n):
                    through = to_pivot + onwards[j]
                    known = row[j]
                    row[j] = through if through < known else known


@kernel
def fill_lengths(weights, lengths):  # type: ignore[no-untyped-def]
    """Write 1/weight, infinity where there is no edge, 0 on the diagonal."""
    n = len(weights)
    for i in range(n):
        row, out = weights[i], lengths[i]
        for j in range(n):
            out[j] = 1.0 / abs(row[j])  # 1/0 is infinity; abs as -0 is no edge either
        out[i] = 0.0


@kernel
def next_hop(bits, frontier, unseen, further):  # type: ignore[no-untyped-def]
    """Write the unseen regions one edge beyond the frontier; return how many there are."""
    n_words = len(unseen)
    left = np.uint64(0)
    for w in range(n_words):
        further[w] = np.uint64(0)
        left |= unseen[w]
    for w in range(n_words):
        word = frontier[w]
        while word != 0 and left != 0:
            row = bits[64 * w + np.int64(lowest_one(word))]
            word &= word - np.uint64(1)
            left = np.uint64(0)
            for v in range(n_words):
                found = further[v] | (row[v] & unseen[v])
                further[v] = found
                left |= unseen[v] & ~found
    n_found = 0
    for w in range(n_words):
        unseen[w] &= ~further[w]
        n_found += np.int64(count_ones(further[w]))
    return n_found


@kernel
def add_hops(bits, n, counts):  # type: ignore[no-untyped-def]
    """Add to ``counts[h]`` the ordered pairs of ``n`` regions that are h edges apart."""
    n_words = bits.shape[1]
    unseen = np.empty(n_words, dtype=np.uint64)
    frontier = np.empty(n_words, dtype=np.uint64)
    further = np.empty(n_words, dtype=np.uint64)
    for source in range(n):
        n_found = 0
        for w in range(n_words):
            unseen[w] = all_ones(n - 64 * w) & ~bits[source, w]
            frontier[w] = bits[source, w]
            n_found += np.int64(count_ones(frontier[w]))
        unseen[source // 64] &= ~(np.uint64(1) << np.uint64(source % 64))
        hops = 1
        while n_found > 0:
            counts[hops] += n_found
            hops += 1
            n_found = next_hop(bits, frontier, unseen, further)
            frontier, further = further, frontier


@kernel
def add_hops_word(rows, n, counts):  # type: ignore[no-untyped-def]
    """Do as ``add_hops`` for at most 64 regions, each a single word."""
    everyone = all_ones(n)
    for source in range(n):
        frontier = rows[source]
        unseen = everyone & ~frontier & ~(np.uint64(1) << np.uint64(source))
        counts[1] += np.int64(count_ones(frontier))
        hops = 2
        while unseen != 0 and frontier != 0:
            left = unseen
            while frontier != 0 and left != 0:
                left &= ~rows[np.int64(lowest_one(frontier))]
                frontier &= frontier - np.uint64(1)
            frontier = unseen & ~left
            unseen = left
            counts[hops] += np.int64(count_ones(frontier))
            hops += 1


@kernel
def fill_hops(bits, hops):  # type: ignore[no-untyped-def]
    """Write the number of edges from each region (row) to each other, infinity if none lead."""
    n, n_words = len(hops), bits.shape[1]
    unseen = np.empty(n_words, dtype=np.uint64)
    frontier = np.empty(n_words, dtype=np.uint64)
    further = np.empty(n_words, dtype=np.uint64)
    for source in range(n):
        row = hops[source]
        row[:] = np.inf
        row[source] = 0.0
        for w in range(n_words):
            unseen[w] = all_ones(n - 64 * w) & ~bits[source, w]
            frontier[w] = bits[source, w]
        unseen[source // 64] &= ~(np.uint64(1) << np.uint64(source % 64))
        step, n_found = 1.0, 1
        while n_found > 0:
            for w in range(n_words):
                word = frontier[w]
                while word != 0:
                    row[64 * w + np.int64(lowest_one(word))] = step
                    word &= word - np.uint64(1)
            step += 1.0
            n_found = next_hop(bits, frontier, unseen, further)
            frontier, further = further, frontier


@kernel
def all_ones(n):  # type: ignore[no-untyped-def]
    """Return a word whose lowest ``n`` bits are 1: all of them for 64 or more."""
    if n >= 64:
        return ~np.uint64(0)
    return (np.uint64(1) << np.uint64(n)) - np.uint64(1)
