"""Distances and what is made of them, beside scipy, networkx and sums by hand."""

import networkx
import numpy as np
import pytest
from scipy.sparse.csgraph import shortest_path

from brainnet.metrics import paths
from brainnet.metrics._checks import check_bits

RING = networkx.to_numpy_array(networkx.cycle_graph(7))
PATH = networkx.to_numpy_array(networkx.path_graph(5))
STAR = networkx.to_numpy_array(networkx.star_graph(5))


def random_directed(n, density, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random((n, n)) * (rng.random((n, n)) < density)
    np.fill_diagonal(weights, 0)
    return weights


def scipy_distances(weights, directed, unweighted=False):
    lengths = np.divide(1, weights, out=np.zeros_like(weights), where=weights > 0)
    return shortest_path(lengths, method="D", directed=directed, unweighted=unweighted)


def test_contracts(contract):
    contract(paths.distances_binary, rank=2, binary=True)
    contract(paths.distances_weighted, rank=2)
    contract(lambda x: paths.distances_binary(x, directed=True), rank=2, binary=True, directed=True)
    contract(lambda x: paths.distances_weighted(x, directed=True), rank=2, directed=True)
    contract(paths.characteristic_path_length_binary, rank=0, binary=True)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 63, 64, 65, 130])
@pytest.mark.parametrize("density", [0.02, 0.3])
def test_distances_of_every_size_beside_scipy(n, density):
    """Sizes on both sides of a word of bits and of a strip of columns; sparse ones in pieces."""
    directed = random_directed(n, density, seed=n)
    symmetric = directed + directed.T
    for weights, is_directed in [(directed, True), (symmetric, False)]:
        lengths = paths.distances_weighted(weights, directed=is_directed)
        expected = scipy_distances(weights, is_directed)
        np.testing.assert_allclose(lengths, expected, rtol=1e-13)
        hops = paths.distances_binary(weights > 0, directed=is_directed)
        expected = scipy_distances(weights, is_directed, unweighted=True)
        np.testing.assert_array_equal(hops, expected)
        mean = paths.characteristic_path_length_binary(weights > 0, directed=is_directed)
        np.testing.assert_allclose(mean, paths.characteristic_path_length(hops), rtol=1e-14)


def test_ties_and_scale(modular):
    tied = np.ceil(4 * modular(40, density=0.3))
    expected = scipy_distances(tied, False)
    np.testing.assert_allclose(paths.distances_weighted(tied), expected, rtol=1e-13)
    for scale in (1e-200, 1e200):
        found = paths.distances_weighted(tied * scale) * scale
        np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_a_long_path():
    n = 200
    adjacency = networkx.to_numpy_array(networkx.path_graph(n))
    place = np.arange(n)
    expected = np.abs(place[:, None] - place)
    np.testing.assert_array_equal(paths.distances_binary(adjacency), expected)
    np.testing.assert_array_equal(paths.distances_weighted(adjacency), expected)
    assert paths.characteristic_path_length_binary(adjacency) == pytest.approx((n + 1) / 3)


def test_direction_is_followed():
    ring = np.roll(np.eye(4), 1, axis=1)  # 0 to 1 to 2 to 3 to 0
    expected = [[0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1], [1, 2, 3, 0]]
    np.testing.assert_array_equal(paths.distances_binary(ring, directed=True), expected)
    np.testing.assert_array_equal(paths.distances_weighted(ring, directed=True), expected)
    assert paths.characteristic_path_length_binary(ring, directed=True) == 2


@pytest.mark.parametrize(
    "adjacency, expected",
    [(RING, 2), (PATH, 2), (STAR, 5 / 3), (np.ones((4, 4)) - np.eye(4), 1), (PATH[:2, :2], 1)],
)
def test_path_length_by_hand(adjacency, expected):
    assert paths.characteristic_path_length_binary(adjacency) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_without_edges(n):
    empty = np.zeros((n, n))
    assert np.isnan(paths.characteristic_path_length_binary(empty))
    assert np.isnan(paths.characteristic_path_length(paths.distances_weighted(empty)))
    np.testing.assert_array_equal(
        paths.distances_weighted(empty), np.where(np.eye(n) > 0, 0, np.inf)
    )


def test_of_lengths_by_hand():
    hops = paths.distances_binary(STAR)
    np.testing.assert_array_equal(paths.eccentricity(hops), [1, 2, 2, 2, 2, 2])
    assert paths.radius(hops) == 1
    assert paths.diameter(hops) == 2
    assert paths.n_components(hops) == 1


def test_public_parts_on_several_networks(modular):
    weights = np.array([modular(9, density=0.5, seed=s) for s in range(4)]).reshape(2, 2, 9, 9)
    lengths = paths.edge_lengths(weights)
    np.testing.assert_array_equal(
        paths.floyd_warshall(lengths)[1, 0], paths.floyd_warshall(lengths[1, 0])
    )
    np.testing.assert_allclose(
        paths.floyd_warshall(lengths), paths.distances_weighted(weights), rtol=1e-14
    )
    counts = paths.hop_counts(check_bits(weights > 0))
    hops = paths.distances_binary(weights > 0)
    for h in range(1, 9):
        np.testing.assert_array_equal(counts[..., h], (hops == h).sum(axis=(-2, -1)))
