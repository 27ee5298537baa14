"""What can be reached from where, and components: closed forms, scipy, networkx and bctpy."""

import bct
import networkx as nx
import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components, shortest_path

from brainnet.metrics.components import (
    component_sizes,
    components,
    components_strong,
    components_weak,
    reachability,
)


def random_directed(n, density, seed):
    adjacency = np.random.default_rng(seed).random((n, n)) < density
    return (adjacency & ~np.eye(n, dtype=bool)).astype(float)


def random_undirected(n, density, seed):
    upper = np.triu(random_directed(n, density, seed))
    return upper + upper.T


def in_order_of_first(labels):
    """Renumber labels of any kind by the first region of each."""
    names = list(dict.fromkeys(labels.tolist()))
    return np.array([names.index(each) for each in labels.tolist()])


def test_contract(contract):
    contract(reachability, rank=2, binary=True)
    contract(lambda a: reachability(a, directed=True), rank=2, binary=True, directed=True)
    contract(component_sizes, rank=1, binary=True)
    contract(components, rank=1, binary=True, reorder=False)  # numbers go by the first region
    contract(components_weak, rank=1, binary=True, directed=True, reorder=False)
    contract(components_strong, rank=1, binary=True, directed=True, reorder=False)


def test_by_hand():
    adjacency = np.zeros((6, 6))
    for i, j in ((0, 3), (3, 5), (1, 4)):
        adjacency[i, j] = adjacency[j, i] = 1
    np.testing.assert_array_equal(components(adjacency), [0, 1, 2, 0, 1, 0])
    np.testing.assert_array_equal(component_sizes(adjacency), [3, 2, 1, 3, 2, 3])
    assert components(adjacency).dtype == component_sizes(adjacency).dtype == np.int64
    reached = reachability(adjacency)
    assert reached.dtype == bool
    np.testing.assert_array_equal(reached[0], [True, False, False, True, False, True])


def test_directed_by_hand():
    # a ring of 1, 2 and 3, which 0 leads to and which leads to 4
    adjacency = np.zeros((5, 5))
    for i, j in ((0, 1), (1, 2), (2, 3), (3, 1), (3, 4)):
        adjacency[i, j] = 1
    np.testing.assert_array_equal(components_strong(adjacency), [0, 1, 1, 1, 2])
    np.testing.assert_array_equal(components_weak(adjacency), [0] * 5)
    reached = reachability(adjacency, directed=True)
    np.testing.assert_array_equal(reached.sum(axis=1), [5, 4, 4, 4, 1])


@pytest.mark.parametrize("n", [12, 64, 65, 150])
@pytest.mark.parametrize("mean_degree", [0.5, 1.0, 3.0])
def test_against_scipy_and_networkx(n, mean_degree):
    adjacency = random_undirected(n, mean_degree / n, n)
    expected = connected_components(adjacency, directed=False)[1]
    np.testing.assert_array_equal(components(adjacency), in_order_of_first(expected))
    directed = random_directed(n, mean_degree / n, n + 1)
    for kind, measure in (("weak", components_weak), ("strong", components_strong)):
        expected = connected_components(directed, directed=True, connection=kind)[1]
        np.testing.assert_array_equal(measure(directed), in_order_of_first(expected))
    np.testing.assert_array_equal(
        reachability(directed, directed=True), np.isfinite(shortest_path(directed))
    )
    graph = nx.from_numpy_array(adjacency)
    for piece in nx.connected_components(graph):
        assert (component_sizes(adjacency)[list(piece)] == len(piece)).all()


def test_get_components_and_reachdist_of_bctpy():
    adjacency = random_undirected(40, 0.03, 3)
    labels, sizes = bct.get_components(adjacency)
    np.testing.assert_array_equal(components(adjacency), in_order_of_first(labels))
    assert sorted(sizes) == sorted(np.bincount(components(adjacency)))
    assert bct.number_of_components(adjacency) == components(adjacency).max() + 1
    directed = random_directed(20, 0.1, 4)
    others = ~np.eye(20, dtype=bool)  # there, a region reaches itself only by way of a cycle
    np.testing.assert_array_equal(
        reachability(directed, directed=True)[others], bct.breadthdist(directed)[0][others]
    )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_without_edges(n):
    empty = np.zeros((n, n))
    for measure in (components, components_weak, components_strong):
        np.testing.assert_array_equal(measure(empty), np.arange(n))
    np.testing.assert_array_equal(component_sizes(empty), np.ones(n))
    np.testing.assert_array_equal(reachability(empty), np.eye(n, dtype=bool))
    np.testing.assert_array_equal(reachability(empty, directed=True), np.eye(n, dtype=bool))
