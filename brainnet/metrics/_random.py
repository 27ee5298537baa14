"""Random numbers inside kernels: SplitMix64, whose whole state is one number.

Steele, Lea and Flood (2014), OOPSLA 49:453-472.
"""

import numpy as np
from numpy.typing import NDArray

from brainnet.metrics._compile import kernel

Rng = int | np.random.Generator
"""What public functions take as ``rng``: a seed, or a generator that is drawn from."""


def draw_seeds(rng: Rng, shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """Return one seed a network; the first ones are the same however many are drawn."""
    generator = np.random.default_rng(rng)
    return generator.integers(0, 2**64, size=shape, dtype=np.uint64)


@kernel
def random_bits(state):  # type: ignore[no-untyped-def]
    """Return 64 random bits; ``state`` is a uint64 array of one number, which moves on."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def random_below(state, n):  # type: ignore[no-untyped-def]
    """Return a whole number from 0 to n - 1, n below 2**31 (Lemire 2019; bias below n/2**32)."""
    return np.int64(((random_bits(state) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@kernel
def random_unit(state):  # type: ignore[no-untyped-def]
    """Return a number from 0 to below 1."""
    return np.float64(random_bits(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@kernel
def shuffle(state, items):  # type: ignore[no-untyped-def]
    """Put the items of an array in random order, in place."""
    for i in range(len(items) - 1, 0, -1):
        j = random_below(state, i + 1)
        items[i], items[j] = items[j], items[i]
