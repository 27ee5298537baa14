"""Kernels that count motifs."""

import numpy as np

from brainnet.metrics._bits import lowest_one
from brainnet.metrics._compile import kernel
from brainnet.metrics.motifs._enumerate import (
    bits_after,
    fourth,
    group_code,
    neighbour_bits,
    pair_codes,
    third,
)


@kernel
def count_threes(adjacency, classes, out):  # type: ignore[no-untyped-def]
    """Add to ``out``, (n_regions, n_classes), the groups of three by class."""
    n = len(adjacency)
    codes = pair_codes(adjacency)
    near, after = neighbour_bits(codes), bits_after(n)
    n_words = near.shape[1]
    thirds = np.empty(n_words, dtype=np.uint64)
    for u in range(n):
        for v in range(u + 1, n):
            if codes[u, v] == 0:
                continue
            third(near, after, u, v, thirds)
            for k in range(n_words):
                left = thirds[k]
                while left:
                    w = np.uint64(64 * k) + lowest_one(left)
                    left &= left - np.uint64(1)
                    found = classes[group_code(codes, u, v, w)]
                    out[u, found] += 1
                    out[v, found] += 1
                    out[w, found] += 1


@kernel
def count_fours(adjacency, classes, out):  # type: ignore[no-untyped-def]
    """Add to ``out``, (n_regions, n_classes), the groups of four by class."""
    n = len(adjacency)
    codes = pair_codes(adjacency)
    near, after = neighbour_bits(codes), bits_after(n)
    n_words = near.shape[1]
    thirds = np.empty(n_words, dtype=np.uint64)
    fourths = np.empty(n_words, dtype=np.uint64)
    here = np.empty(out.shape[1], dtype=np.int64)  # of the groups with u and v
    for u in range(n):
        for v in range(u + 1, n):
            if codes[u, v] == 0:
                continue
            here[:] = 0
            third(near, after, u, v, thirds)
            for k in range(n_words):
                left = thirds[k]
                while left:
                    w = 64 * k + np.int64(lowest_one(left))
                    left &= left - np.uint64(1)
                    fourth(near, after, u, v, w, fourths)
                    code = group_code(codes, u, v, w)
                    _count_fourths(codes, (u, v, w), code, classes, fourths, here, out)
            for c in range(len(here)):
                out[u, c] += here[c]
                out[v, c] += here[c]


@kernel
def _count_fourths(codes, three, code, classes, fourths, here, out):  # type: ignore[no-untyped-def]
    """Count the groups of three given regions and each fourth one."""
    u, v, w = three
    to_u, to_v, to_w, out_w = codes[u], codes[v], codes[w], out[w]
    for k in range(len(fourths)):
        left = fourths[k]
        while left:
            x = np.uint64(64 * k) + lowest_one(left)
            left &= left - np.uint64(1)
            last = to_u[x] | to_v[x] << np.uint8(2) | to_w[x] << np.uint8(4)
            found = np.uint64(classes[code | np.uint64(last) << np.uint64(6)])
            here[found] += 1
            out_w[found] += 1
            out[x, found] += 1
