"""How connected groups of three and four nodes are found, each once.

With u the lowest node of a group, the others follow by their distance from u and by number
(Wernicke 2006, IEEE/ACM Trans Comput Biol Bioinform 3:347-359), here with sets as rows of bits.
"""

import numpy as np

from brainnet.metrics._bits import pack
from brainnet.metrics._compile import kernel


@kernel
def pair_codes(adjacency):  # type: ignore[no-untyped-def]
    """Return for each pair the sum of 1, for an edge from i to j, and 2, for one back."""
    n = len(adjacency)
    codes = np.zeros((n, n), dtype=np.uint8)
    for i in range(n):
        for j in range(n):
            codes[i, j] = np.uint8(adjacency[i, j]) | np.uint8(adjacency[j, i]) << np.uint8(1)
    return codes


@kernel
def neighbour_bits(codes):  # type: ignore[no-untyped-def]
    """Return whom each region has an edge with, in either direction, as rows of bits."""
    n = len(codes)
    near = np.zeros((n, (n + 63) // 64), dtype=np.uint64)
    pack(codes != 0, near)
    return near


@kernel
def bits_after(n):  # type: ignore[no-untyped-def]
    """Return for each region the regions of a higher number, as rows of bits."""
    after = np.zeros((n, (n + 63) // 64), dtype=np.uint64)
    higher = np.zeros((n, n), dtype=np.bool_)
    for i in range(n):
        higher[i, i + 1 :] = True
    pack(higher, after)
    return after


@kernel
def third(near, after, u, v, found):  # type: ignore[no-untyped-def]
    """Write the regions that with u < v, which are neighbours, make a group not yet found."""
    for k in range(near.shape[1]):
        new = after[u, k] & ~near[u, k]
        found[k] = (near[u, k] & after[v, k]) | (near[v, k] & new)


@kernel
def fourth(near, after, u, v, w, found):  # type: ignore[no-untyped-def]
    """Write the regions that with u, v and w (of ``third``) make a group not yet found."""
    beside = near[u, w // 64] >> np.uint64(w % 64) & np.uint64(1)
    for k in range(near.shape[1]):
        new = after[u, k] & ~near[u, k]
        if beside:
            found[k] = (near[u, k] & after[w, k]) | ((near[v, k] | near[w, k]) & new)
        else:
            found[k] = ((near[v, k] & after[w, k]) | (near[w, k] & ~near[v, k])) & new


@kernel
def group_code(codes, u, v, w):  # type: ignore[no-untyped-def]
    """Return the code of three regions in the catalogue."""
    return (
        np.uint64(codes[u, v])
        | np.uint64(codes[u, w]) << np.uint64(2)
        | (np.uint64(codes[v, w]) << np.uint64(4))
    )
