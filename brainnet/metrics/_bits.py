"""Networks as rows of bits: bit j of row i is the edge from i to j."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from brainnet.metrics._compile import kernel


@intrinsic
def count_ones(typing_context: Any, word: Any) -> Any:
    """Return how many of the 64 bits are 1."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def lowest_one(typing_context: Any, word: Any) -> Any:
    """Return the place of the lowest 1, from 0; the word must not be 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@kernel
def pack(adjacency, bits):  # type: ignore[no-untyped-def]
    """Write a boolean (n, n) network as (n, n_words) uint64; n_words is at least (n + 63) // 64."""
    n = adjacency.shape[1]
    for i in range(adjacency.shape[0]):
        for w in range(bits.shape[1]):
            word = np.uint64(0)
            for j in range(64 * w, min(64 * w + 64, n)):
                word |= np.uint64(adjacency[i, j]) << np.uint64(j - 64 * w)
            bits[i, w] = word
