"""Networks as rows of bits: bit j of row i is the edge from i to j."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from brainnet.metrics._compile import kernel


@intrinsic  # type: ignore[untyped-decorator]
def count_ones(typing_context: Any, word: Any) -> Any:
    """Return how many of the 64 bits are 1."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest_one(typing_context: Any, word: Any) -> Any:
    """Return the place of the lowest 1, from 0; the word must not be 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@kernel
def pack(adjacency, bits):  # type: ignore[no-untyped-def]
    """Write a boolean (n, n) network as (n, n_words) uint64; n_words is at least (n + 63) // 64."""
    n = adjacency.shape[1]
    n_whole = n // 8  # bytes that hold eight edges
    for i in range(adjacency.shape[0]):
        row = adjacency[i].view(np.uint8)
        eights = row[: 8 * n_whole].view(np.uint64)
        for w in range(bits.shape[1]):
            word = np.uint64(0)
            for k in range(8 * w, min(8 * w + 8, n_whole)):
                # the lowest bits of eight bytes, gathered in the highest byte
                byte = (eights[k] * np.uint64(0x0102040810204080)) >> np.uint64(56)
                word |= byte << np.uint64(8 * k - 64 * w)
            for j in range(max(8 * n_whole, 64 * w), min(64 * w + 64, n)):
                word |= np.uint64(row[j]) << np.uint64(j - 64 * w)
            bits[i, w] = word


@kernel
def differs_from_transpose(bits):  # type: ignore[no-untyped-def]
    """Return whether a packed network is not symmetric, by blocks of 64 regions."""
    n, n_words = bits.shape
    block = np.zeros(64, dtype=np.uint64)
    unlike = np.uint64(0)
    for first in range(n_words):
        for second in range(first + 1):
            for k in range(64):
                i = 64 * first + k
                block[k] = bits[i, second] if i < n else np.uint64(0)
            _transpose_block(block)
            for k in range(64):
                j = 64 * second + k
                if j < n:
                    unlike |= block[k] ^ bits[j, first]
    return unlike != 0


@kernel
def _transpose_block(block):  # type: ignore[no-untyped-def]
    """Transpose 64 x 64 bits in place, exchanging halves, quarters and so on."""
    width = 32
    mask = np.uint64(0x00000000FFFFFFFF)
    while width > 0:
        for start in range(0, 64, 2 * width):
            for k in range(start, start + width):
                change = ((block[k] >> np.uint64(width)) ^ block[k + width]) & mask
                block[k] ^= change << np.uint64(width)
                block[k + width] ^= change
        width //= 2
        mask ^= mask << np.uint64(width)
