"""Triangles of weighted networks, and the pairs of neighbours that could close to one."""

import numpy as np
from numpy.typing import NDArray

from brainnet.metrics._compile import fast_kernel, kernel, over_networks


def closed_triples(networks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the diagonal of the third power of symmetric networks, which may be signed."""
    return over_networks(_closed_triples, networks, shape=networks.shape[-1:])


def cube_roots(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cube roots of symmetric weights over the largest weight of each network."""
    largest = weights.max(axis=(-2, -1))[..., None]
    return over_networks(_cube_roots, weights, largest, shape=weights.shape[-2:])


def neighbour_pairs(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the number of ordered pairs of neighbours of each region."""
    n_neighbours = (weights != 0).view(np.uint8).sum(axis=-1, dtype=np.uint32).astype(np.float64)
    return np.asarray(n_neighbours * (n_neighbours - 1))


def divide(amount: NDArray[np.float64], pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return amount / pairs, 0 where there are no pairs."""
    return np.asarray(np.where(pairs > 0, amount, 0.0) / np.where(pairs > 0, pairs, 1.0))


def cube_roots_directed(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cube roots of weights over the largest weight of each network."""
    largest = weights.max(axis=(-2, -1), keepdims=True)
    return np.asarray(np.cbrt(weights / np.where(largest > 0, largest, 1.0)))


@fast_kernel
def _closed_triples(network, out):  # type: ignore[no-untyped-def]
    """Write the sum over j, h of w_ij w_jh w_hi for each region i of a symmetric network."""
    n = len(network)
    for i in range(n):
        row = network[i]
        for j in range(i + 1, n):
            if row[j] != 0.0:
                other = network[j]
                total = 0.0
                for h in range(n):
                    total += row[h] * other[h]
                total *= row[j]
                out[i] += total
                out[j] += total


@kernel
def _cube_roots(weights, largest, out):  # type: ignore[no-untyped-def]
    """Write the cube roots of symmetric weights over the largest weight."""
    n = len(weights)
    for i in range(n):
        row = weights[i]
        for j in range(i + 1, n):
            if row[j] > 0.0:
                out[i, j] = out[j, i] = _cube_root(row[j] / largest[0])


@kernel
def _cube_root(x):  # type: ignore[no-untyped-def]
    """Return the cube root of a number from 0 to 1: a third of its bits, then Halley's steps."""
    if x < 1e-290:
        return np.cbrt(x)
    third = np.float64(x).view(np.int64) // 3 + 0x2A9F789300000000
    root = np.int64(third).view(np.float64)  # to 1 part in 20
    for _ in range(3):  # the error to its third power, each time
        cube = root * root * root
        root *= (cube + 2.0 * x) / (2.0 * cube + x)
    return root
