"""Kernels that add up intensity and coherence of motifs."""

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
def weigh_threes(weights, starts, parts, classes, sizes, out):  # type: ignore[no-untyped-def]
    """Add to ``out``, (n_regions, n_classes, 2), intensity and coherence in groups of three.

    ``parts[starts[code] : starts[code + 1]]`` are the codes to be measured in a group of that
    code, ``sizes`` their numbers of edges.
    """
    n = len(weights)
    codes = pair_codes(weights > 0)
    near, after = neighbour_bits(codes), bits_after(n)
    n_words = near.shape[1]
    thirds = np.empty(n_words, dtype=np.uint64)
    logs, terms, sums = np.log(weights), np.zeros((3, 4)), np.zeros((3, 4))
    for u in range(n):
        for v in range(u + 1, n):
            if codes[u, v] == 0:
                continue
            third(near, after, u, v, thirds)
            _fill(weights, logs, u, v, terms[0], sums[0])
            for k in range(n_words):
                left = thirds[k]
                while left:
                    w = 64 * k + np.int64(lowest_one(left))
                    left &= left - np.uint64(1)
                    code = group_code(codes, u, v, w)
                    _fill(weights, logs, u, w, terms[1], sums[1])
                    _fill(weights, logs, v, w, terms[2], sums[2])
                    for p in range(starts[code], starts[code + np.uint64(1)]):
                        both = _weigh(parts[p], sizes[parts[p]], terms, sums)
                        _add(both, classes[parts[p]], out[u], out[v], out[w])


@kernel
def weigh_fours(weights, starts, parts, classes, sizes, out):  # type: ignore[no-untyped-def]
    """Add to ``out``, (n_regions, n_classes, 2), intensity and coherence in groups of four."""
    n = len(weights)
    codes = pair_codes(weights > 0)
    near, after = neighbour_bits(codes), bits_after(n)
    n_words = near.shape[1]
    thirds = np.empty(n_words, dtype=np.uint64)
    fourths = np.empty(n_words, dtype=np.uint64)
    logs, terms, sums = np.log(weights), np.zeros((6, 4)), np.zeros((6, 4))
    pair_terms, pair_sums = _pairs(weights, logs)
    here = np.empty(out.shape[1:])  # of the groups with u and v
    for u in range(n):
        for v in range(u + 1, n):
            if codes[u, v] == 0:
                continue
            here[:] = 0.0
            third(near, after, u, v, thirds)
            _fill(weights, logs, u, v, terms[0], sums[0])
            for k in range(n_words):
                left = thirds[k]
                while left:
                    w = 64 * k + np.int64(lowest_one(left))
                    left &= left - np.uint64(1)
                    fourth(near, after, u, v, w, fourths)
                    _fill(weights, logs, u, w, terms[1], sums[1])
                    _fill(weights, logs, v, w, terms[2], sums[2])
                    term = pair_terms[u, v] + pair_terms[u, w] + pair_terms[v, w]
                    total = pair_sums[u, v] + pair_sums[u, w] + pair_sums[v, w]
                    code = group_code(codes, u, v, w)
                    for j in range(n_words):
                        rest = fourths[j]
                        while rest:
                            x = 64 * j + np.int64(lowest_one(rest))
                            rest &= rest - np.uint64(1)
                            last = (
                                codes[u, x]
                                | codes[v, x] << np.uint8(2)
                                | codes[w, x] << np.uint8(4)
                            )
                            four = code | np.uint64(last) << np.uint64(6)
                            if starts[four + np.uint64(1)] == starts[four] + 1:  # only itself
                                both = _measure(
                                    term + pair_terms[u, x] + pair_terms[v, x] + pair_terms[w, x],
                                    total + pair_sums[u, x] + pair_sums[v, x] + pair_sums[w, x],
                                    sizes[four],
                                )
                                _add(both, classes[four], here, out[w], out[x])
                                continue
                            _fill(weights, logs, u, x, terms[3], sums[3])
                            _fill(weights, logs, v, x, terms[4], sums[4])
                            _fill(weights, logs, w, x, terms[5], sums[5])
                            for p in range(starts[four], starts[four + np.uint64(1)]):
                                both = _weigh(parts[p], sizes[parts[p]], terms, sums)
                                _add(both, classes[parts[p]], here, out[w], out[x])
            out[u] += here
            out[v] += here


@kernel
def _pairs(weights, logs):  # type: ignore[no-untyped-def]
    """Return for each pair the sum of the logarithms and that of the weights, both directions."""
    n = len(weights)
    terms, sums = np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            sums[i, j] = weights[i, j] + weights[j, i]
            if weights[i, j] > 0:
                terms[i, j] += logs[i, j]
            if weights[j, i] > 0:
                terms[i, j] += logs[j, i]
    return terms, sums


@kernel
def _add(both, found, first, second, third):  # type: ignore[no-untyped-def]
    """Add intensity and coherence of a class to three tables."""
    first[found, 0] += both[0]
    first[found, 1] += both[1]
    second[found, 0] += both[0]
    second[found, 1] += both[1]
    third[found, 0] += both[0]
    third[found, 1] += both[1]


@kernel
def _fill(weights, logs, i, j, terms, sums):  # type: ignore[no-untyped-def]
    """Write for each code of a pair the sum of the logarithms and that of the weights."""
    terms[1], terms[2], terms[3] = logs[i, j], logs[j, i], logs[i, j] + logs[j, i]
    sums[1], sums[2], sums[3] = weights[i, j], weights[j, i], weights[i, j] + weights[j, i]


@kernel
def _weigh(code, size, terms, sums):  # type: ignore[no-untyped-def]
    """Return intensity and coherence of the edges of a code."""
    term, total = 0.0, 0.0
    for p in range(len(terms)):
        state = np.uint64(code >> np.uint16(2 * p)) & np.uint64(3)
        term += terms[p, state]
        total += sums[p, state]
    return _measure(term, total, size)


@kernel
def _measure(term, total, size):  # type: ignore[no-untyped-def]
    """Return intensity and coherence of edges from the sums of their logarithms and weights."""
    intensity = np.exp(term / size)
    return intensity, min(intensity * size / total, 1.0)
