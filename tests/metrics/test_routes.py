"""Breadth-first search and single shortest paths: closed forms, networkx, scipy and bctpy."""

import itertools

import bct
import networkx as nx
import numpy as np
import pytest
from scipy.sparse.csgraph import shortest_path

from brainnet.metrics.routes import breadth_first, shortest_path_binary, shortest_path_weighted

PATH = np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)
DIAMOND = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]])  # 0 to 3 twice


def random_directed(n, density, seed):
    adjacency = np.random.default_rng(seed).random((n, n)) < density
    return (adjacency & ~np.eye(n, dtype=bool)).astype(float)


def length_of(route, lengths):
    return sum(lengths[a, b] for a, b in itertools.pairwise(route))


def test_contract_breadth_first(contract):
    contract(lambda a: breadth_first(a, source=3)[0], rank=1, binary=True, reorder=False)
    contract(lambda a: breadth_first(a, source=3)[1], rank=1, binary=True, reorder=False)
    contract(
        lambda a: breadth_first(a, source=3, directed=True)[0],
        rank=1,
        binary=True,
        directed=True,
        reorder=False,
    )


def test_breadth_first_by_hand():
    distances, branch = breadth_first(PATH, source=1)
    np.testing.assert_array_equal(distances, [1, 0, 1, 2])
    np.testing.assert_array_equal(branch, [1, -1, 1, 2])
    assert branch.dtype == np.int64
    distances, branch = breadth_first(DIAMOND, source=0)
    np.testing.assert_array_equal(branch, [-1, 0, 0, 1])  # 3 is found from 1 first


def test_breadth_first_along_edges_only():
    directed = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    distances, branch = breadth_first(directed, source=1, directed=True)
    np.testing.assert_array_equal(distances, [np.inf, 0, 1])
    np.testing.assert_array_equal(branch, [-1, -1, 1])


@pytest.mark.parametrize("density", [0.03, 0.1, 0.4])
def test_breadth_first_against_scipy_and_bctpy(density):
    adjacency = random_directed(70, density, 1)
    expected = shortest_path(adjacency, unweighted=True)
    for source in (0, 13, 69):
        distances, branch = breadth_first(adjacency, source=source, directed=True)
        np.testing.assert_array_equal(distances, expected[source])
        # bctpy gives the source the length of a cycle in place of 0, and 0 to branches not there
        others = np.isfinite(distances) & (np.arange(70) != source)
        theirs = bct.breadth(adjacency, source)[1]
        np.testing.assert_array_equal(branch[others], theirs[others])
        assert (branch[~others] == -1).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_breadth_first_without_edges(n):
    distances, branch = breadth_first(np.zeros((n, n)), source=n - 1)
    np.testing.assert_array_equal(distances, [np.inf] * (n - 1) + [0])
    np.testing.assert_array_equal(branch, -1)


def test_shortest_path_by_hand():
    np.testing.assert_array_equal(shortest_path_binary(PATH, source=3, target=0), [3, 2, 1, 0])
    weights = np.array([[0, 0.5, 0.1], [0.5, 0, 0.5], [0.1, 0.5, 0]])
    np.testing.assert_array_equal(shortest_path_weighted(weights, source=0, target=2), [0, 1, 2])
    np.testing.assert_array_equal(shortest_path_binary(weights > 0, source=0, target=2), [0, 2])


def test_where_there_is_no_path():
    apart = np.zeros((3, 3))
    apart[0, 1] = apart[1, 0] = 1
    for measure in (shortest_path_binary, shortest_path_weighted):
        route = measure(apart, source=0, target=2)
        assert route.shape == (0,)
        assert route.dtype == np.int64
        np.testing.assert_array_equal(measure(apart, source=2, target=2), [2])
    against = np.array([[0, 1], [0, 0]])
    assert shortest_path_binary(against, source=1, target=0, directed=True).size == 0


def test_of_equal_paths_the_first():
    np.testing.assert_array_equal(shortest_path_binary(DIAMOND, source=0, target=3), [0, 1, 3])
    np.testing.assert_array_equal(shortest_path_binary(DIAMOND, source=3, target=0), [3, 1, 0])
    # length 2 by one edge of weight 1/2, or by two of weight 1
    weights = np.array([[0, 1, 0.5], [1, 0, 1], [0.5, 1, 0]])
    np.testing.assert_array_equal(shortest_path_weighted(weights, source=0, target=2), [0, 2])


@pytest.mark.parametrize("seed", range(3))
def test_ties_against_all_paths_of_networkx(seed):
    adjacency = random_directed(25, 0.12, seed)
    graph = nx.from_numpy_array(adjacency, create_using=nx.DiGraph)
    weights = adjacency * np.random.default_rng(seed).choice([0.5, 1.0], (25, 25))
    lengths = np.divide(1, weights, out=np.zeros((25, 25)), where=weights > 0)  # 1 and 2: exact
    weighted = nx.from_numpy_array(lengths, create_using=nx.DiGraph)
    for i in range(25):
        for j in range(25):
            route = shortest_path_binary(adjacency, source=i, target=j, directed=True)
            heavy = shortest_path_weighted(weights, source=i, target=j, directed=True)
            if not nx.has_path(graph, i, j):
                assert route.size == heavy.size == 0
                continue
            assert route.tolist() == min(nx.all_shortest_paths(graph, i, j))
            paths = nx.all_shortest_paths(weighted, i, j, weight="weight")
            assert heavy.tolist() == min(paths, key=lambda path: (len(path), path))


def test_weighted_paths_are_as_long_as_those_of_scipy(modular):
    weights = modular(40, density=0.15, seed=3)
    lengths = np.divide(1, weights, out=np.zeros_like(weights), where=weights > 0)
    expected = shortest_path(lengths)
    for i in range(0, 40, 3):
        for j in range(40):
            route = shortest_path_weighted(weights, source=i, target=j)
            if route.size:
                # the sum of a few lengths in another order: rounding of the last digits
                np.testing.assert_allclose(length_of(route, lengths), expected[i, j], rtol=1e-12)
            else:
                assert np.isinf(expected[i, j])


def test_retrieve_shortest_path_of_bctpy(modular):
    weights = modular(30, density=0.3, seed=4)
    distances, hops, onward = bct.distance_wei_floyd(weights, "inv")
    for i, j in ((0, 1), (3, 29), (12, 5), (28, 2)):
        expected = bct.retrieve_shortest_path(i, j, hops, onward)
        route = shortest_path_weighted(weights, source=i, target=j)
        np.testing.assert_array_equal(route, np.ravel(expected))
        assert np.isfinite(distances[i, j])


def test_extreme_weights_end():
    weights = np.zeros((4, 4))
    for i, j, weight in ((0, 1, 1e300), (1, 2, 1e-300), (2, 3, 1e300), (0, 2, 1e-300)):
        weights[i, j] = weights[j, i] = weight
    np.testing.assert_array_equal(shortest_path_weighted(weights, source=0, target=3), [0, 2, 3])
    np.testing.assert_array_equal(shortest_path_weighted(weights, source=3, target=1), [3, 2, 1])


@pytest.mark.parametrize("region", [-1, 4, 1.0, None])
def test_refuses_what_is_no_region(region):
    with pytest.raises(ValueError, match="source must be a region from 0 to 3"):
        breadth_first(PATH, source=region)
    for measure in (shortest_path_binary, shortest_path_weighted):
        with pytest.raises(ValueError, match="source must be a region from 0 to 3"):
            measure(PATH, source=region, target=0)
        with pytest.raises(ValueError, match="target must be a region from 0 to 3"):
            measure(PATH, source=0, target=region)


@pytest.mark.parametrize("measure", [shortest_path_binary, shortest_path_weighted])
def test_refuses_networks(measure):
    with pytest.raises(ValueError, match="must be one network"):
        measure(np.array([PATH, PATH]), source=0, target=1)
    with pytest.raises(ValueError, match="symmetric"):
        measure(np.triu(PATH), source=0, target=1)
    with pytest.raises(ValueError, match="zero diagonal"):
        measure(PATH + np.eye(4), source=0, target=1)
