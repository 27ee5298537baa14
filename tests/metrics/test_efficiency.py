"""Efficiencies beside bctpy, networkx, the formulas spelled out, and sums by hand."""

import bct
import networkx
import numpy as np
import pytest
from scipy.sparse.csgraph import floyd_warshall

from brainnet.metrics import efficiency, paths

TIGHT = {"rtol": 1e-12, "atol": 1e-14}


def random_directed(n, density, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random((n, n)) * (rng.random((n, n)) < density)
    np.fill_diagonal(weights, 0)
    return weights


def spelled_out(weights, length_power=1.0, power=1 / 3):
    """The directed formula of Rubinov and Sporns (2010), one region at a time.

    ``length_power`` acts on the lengths before the search, ``power`` on ties and 1/distance.
    """
    expected = np.zeros(len(weights))
    for i in range(len(weights)):
        near = np.flatnonzero((weights[i] > 0) | (weights[:, i] > 0))
        if len(near) < 2:
            continue
        inner = weights[np.ix_(near, near)]
        lengths = np.divide(1, inner, out=np.zeros_like(inner), where=inner > 0) ** length_power
        distances = floyd_warshall(lengths)
        np.fill_diagonal(distances, np.inf)
        closeness = distances ** -(power if length_power == 1 else 1)
        ties = weights[i, near] ** power + weights[near, i] ** power
        links = (weights[i, near] > 0) * 1 + (weights[near, i] > 0)
        pairs = links.sum() ** 2 - (links**2).sum()
        expected[i] = ties @ (closeness + closeness.T) @ ties / 2 / pairs
    return expected


def test_contracts(contract):
    contract(efficiency.global_efficiency, rank=0)
    contract(efficiency.global_efficiency_binary, rank=0, binary=True)
    contract(efficiency.local_efficiency_binary, rank=1, binary=True)
    contract(efficiency.local_efficiency_weighted, rank=1)
    contract(efficiency.local_efficiency_modified, rank=1)
    contract(efficiency.local_efficiency_binary_directed, rank=1, binary=True, directed=True)
    contract(efficiency.local_efficiency_weighted_directed, rank=1, directed=True)
    contract(lambda x: efficiency.global_efficiency(x, directed=True), rank=0, directed=True)
    contract(
        lambda x: efficiency.global_efficiency_binary(x, directed=True),
        rank=0,
        binary=True,
        directed=True,
    )


@pytest.mark.parametrize("n", [1, 2, 3, 9, 64, 65, 66, 140])
@pytest.mark.parametrize("tied", [False, True])
def test_every_size_beside_the_formulas(n, tied):
    """Complete and half-full: neighbourhoods on both sides of a word and of a strip."""
    for density in (0.4, 1.0):
        directed = random_directed(n, density, seed=n)
        weights = np.maximum(directed, directed.T)
        weights = np.ceil(3 * weights) if tied else weights
        binary = (weights > 0).astype(float)
        np.testing.assert_allclose(
            efficiency.local_efficiency_weighted(weights), spelled_out(weights), **TIGHT
        )
        np.testing.assert_allclose(
            efficiency.local_efficiency_modified(weights), spelled_out(weights, 1 / 3), **TIGHT
        )
        np.testing.assert_allclose(
            efficiency.local_efficiency_binary(binary), spelled_out(binary, power=1), **TIGHT
        )
        if n > 1:
            hops = paths.distances_binary(binary)
            expected = efficiency.mean_inverse(hops)
            np.testing.assert_allclose(
                efficiency.global_efficiency_binary(binary), expected, rtol=1e-13
            )


@pytest.mark.parametrize("n", range(4, 27))
def test_every_tail_of_strips_and_pivots(n):
    """One region is joined to all others, which form a path in random order: many steps each."""
    rng = np.random.default_rng(n)
    order = 1 + rng.permutation(n - 1)
    weights = np.zeros((n, n))
    weights[0, 1:] = rng.random(n - 1) + 0.1
    weights[order[:-1], order[1:]] = rng.random(n - 2) + 0.1
    weights = np.maximum(weights, weights.T)
    for measure, length_power in (
        (efficiency.local_efficiency_weighted, 1),
        (efficiency.local_efficiency_modified, 1 / 3),
    ):
        np.testing.assert_allclose(measure(weights), spelled_out(weights, length_power), **TIGHT)
    inner = weights[1:, 1:]
    lengths = np.divide(1, inner, out=np.zeros_like(inner), where=inner > 0)
    found = paths.distances_weighted(inner)
    np.testing.assert_allclose(found, floyd_warshall(lengths), rtol=1e-14)


@pytest.mark.parametrize("density", [0.1, 0.4, 0.9])
def test_directed_beside_the_formulas_and_bctpy(density):
    """Not beside bctpy's ``efficiency_bin(local=True)``, which takes edges from i twice."""
    weights = random_directed(24, density, seed=3)
    binary = (weights > 0).astype(float)
    weighted = efficiency.local_efficiency_weighted_directed(weights)
    np.testing.assert_allclose(weighted, spelled_out(weights), **TIGHT)
    np.testing.assert_allclose(weighted, bct.efficiency_wei(weights, local="original"), **TIGHT)
    of_edges = efficiency.local_efficiency_binary_directed(binary)
    np.testing.assert_allclose(of_edges, spelled_out(binary, power=1), **TIGHT)
    found = efficiency.global_efficiency(weights, directed=True)
    assert found == pytest.approx(bct.efficiency_wei(weights), rel=1e-12)
    found = efficiency.global_efficiency_binary(binary, directed=True)
    assert found == pytest.approx(bct.efficiency_bin(binary), rel=1e-12)


def test_directed_of_symmetric_is_undirected(weights):
    np.testing.assert_allclose(
        efficiency.local_efficiency_weighted_directed(weights),
        efficiency.local_efficiency_weighted(weights),
        **TIGHT,
    )
    np.testing.assert_allclose(
        efficiency.local_efficiency_binary_directed(weights > 0),
        efficiency.local_efficiency_binary(weights > 0),
        **TIGHT,
    )


def test_beside_bctpy_and_networkx(weights):
    adjacency = (weights > 0).astype(float)
    np.testing.assert_allclose(
        efficiency.local_efficiency_binary(adjacency),
        bct.efficiency_bin(adjacency, local=True),
        **TIGHT,
    )
    np.testing.assert_allclose(
        efficiency.local_efficiency_modified(weights),
        bct.efficiency_wei(weights, local=True),
        **TIGHT,
    )
    graph = networkx.from_numpy_array(adjacency)
    local = efficiency.local_efficiency_binary(adjacency)
    assert local.mean() == pytest.approx(networkx.local_efficiency(graph), rel=1e-12)
    found = efficiency.global_efficiency_binary(adjacency)
    assert found == pytest.approx(networkx.global_efficiency(graph), rel=1e-12)
    np.testing.assert_allclose(
        efficiency.local_efficiency_weighted(weights),
        bct.efficiency_wei(weights, local="original"),
        **TIGHT,
    )


@pytest.mark.parametrize("scale", [1e-250, 1e-20, 1e20, 1e250])
def test_scale_invariance(modular, scale):
    weights = modular(30, density=0.3)
    for measure in (
        efficiency.local_efficiency_weighted,
        efficiency.local_efficiency_modified,
        efficiency.local_efficiency_weighted_directed,
    ):
        np.testing.assert_allclose(measure(weights * scale) / scale, measure(weights), **TIGHT)


def test_weights_of_very_different_size(modular):
    """The cube root is right over 200 orders of magnitude."""
    rng = np.random.default_rng(0)
    weights = np.triu(10.0 ** rng.uniform(-200, 0, (20, 20)), 1)
    weights += weights.T
    np.testing.assert_allclose(
        efficiency.local_efficiency_weighted(weights), spelled_out(weights), rtol=1e-12
    )


def test_by_hand():
    fan = np.zeros((4, 4))  # 0 is joined to a path 1 - 2 - 3
    fan[0, 1:] = 1
    fan[1, 2] = fan[2, 3] = 1
    fan += fan.T
    expected = (1 + 1 + 1 / 2) / 3
    assert efficiency.local_efficiency_binary(fan)[0] == pytest.approx(expected, rel=1e-14)
    assert efficiency.local_efficiency_modified(8 * fan)[0] == pytest.approx(8 * expected)
    expected = (1 + 1 + 0.5 ** (1 / 3)) / 3
    assert efficiency.local_efficiency_weighted(fan)[0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_without_neighbours(n):
    empty = np.zeros((n, n))
    for measure in (
        efficiency.local_efficiency_binary,
        efficiency.local_efficiency_weighted,
        efficiency.local_efficiency_modified,
        efficiency.local_efficiency_binary_directed,
        efficiency.local_efficiency_weighted_directed,
    ):
        np.testing.assert_array_equal(measure(empty), 0)
    assert np.isnan(efficiency.global_efficiency_binary(empty)) == (n == 1)
