"""Ranges of edges: closed forms, networkx and bctpy where it is right."""

import bct
import networkx as nx
import numpy as np
import pytest

from brainnet.metrics.shortcuts import (
    edge_range,
    mean_edge_range,
    shortcut_fraction,
    shortcuts,
)


def random_directed(n, density, seed):
    adjacency = np.random.default_rng(seed).random((n, n)) < density
    return (adjacency & ~np.eye(n, dtype=bool)).astype(float)


def ring(n):
    return np.roll(np.eye(n), 1, axis=1) + np.roll(np.eye(n), -1, axis=1)


def test_contract(contract):
    for directed in (False, True):
        keywords = {"binary": True, "directed": directed}
        contract(lambda a, d=directed: edge_range(a, directed=d), rank=2, **keywords)
        contract(lambda a, d=directed: shortcuts(a, directed=d), rank=2, **keywords)
        contract(lambda a, d=directed: mean_edge_range(a, directed=d), rank=0, **keywords)
        contract(lambda a, d=directed: shortcut_fraction(a, directed=d), rank=0, **keywords)


@pytest.mark.parametrize("n", [4, 5, 9, 130])
def test_ring(n):
    ranges = edge_range(ring(n))
    assert (ranges[ring(n) > 0] == n - 1).all()
    assert np.isnan(ranges[ring(n) == 0]).all()
    assert mean_edge_range(ring(n)) == n - 1
    np.testing.assert_array_equal(shortcuts(ring(n)), ring(n) > 0)
    assert shortcut_fraction(ring(n)) == 1
    one_way = np.roll(np.eye(n), 1, axis=1)
    assert np.isinf(edge_range(one_way, directed=True)[one_way > 0]).all()


def test_complete_star_and_bridge():
    complete = np.ones((5, 5)) - np.eye(5)
    assert mean_edge_range(complete) == 2
    assert shortcut_fraction(complete) == 0
    star = np.zeros((5, 5))
    star[0, 1:] = star[1:, 0] = 1
    assert np.isinf(edge_range(star)[star > 0]).all()
    assert np.isnan(mean_edge_range(star))
    assert shortcut_fraction(star) == 1
    cliques = np.zeros((8, 8))
    cliques[:4, :4] = cliques[4:, 4:] = 1 - np.eye(4)
    cliques[3, 4] = cliques[4, 3] = 1
    assert np.isinf(edge_range(cliques)[3, 4])
    assert mean_edge_range(cliques) == 2
    assert shortcut_fraction(cliques) == 1 / 13


def test_shortcut_across_a_lattice():
    lattice = ring(12) + np.roll(np.eye(12), 2, axis=1) + np.roll(np.eye(12), -2, axis=1)
    lattice[0, 6] = lattice[6, 0] = 1
    assert edge_range(lattice)[0, 6] == 3
    assert np.argwhere(shortcuts(lattice)).tolist() == [[0, 6], [6, 0]]
    assert mean_edge_range(lattice) == (24 * 2 + 3) / 25


@pytest.mark.parametrize("n, density", [(20, 0.1), (20, 0.2), (70, 0.03), (70, 0.08)])
@pytest.mark.parametrize("directed", [False, True])
def test_against_networkx(n, density, directed):
    adjacency = random_directed(n, density, n)
    if not directed:
        adjacency = np.triu(adjacency) + np.triu(adjacency).T
    kind = nx.DiGraph if directed else nx.Graph
    graph = nx.from_numpy_array(adjacency, create_using=kind)
    expected = np.full((n, n), np.nan)
    for i, j in np.argwhere(adjacency).tolist():
        graph.remove_edge(i, j)
        joined = nx.has_path(graph, i, j)
        expected[i, j] = nx.shortest_path_length(graph, i, j) if joined else np.inf
        graph.add_edge(i, j)
    np.testing.assert_array_equal(edge_range(adjacency, directed=directed), expected)
    finite = expected[np.isfinite(expected)]
    mean = finite.sum() / len(finite) if len(finite) else np.nan
    np.testing.assert_array_equal(mean_edge_range(adjacency, directed=directed), mean)
    far = (expected > 2).sum() / adjacency.sum()
    assert shortcut_fraction(adjacency, directed=directed) == far


def test_erange_of_bctpy():
    # dense enough for paths of few edges; its fourth result, the share, is always 2/edges
    adjacency = random_directed(15, 0.25, 2)
    ranges, mean, short, _ = bct.erange(adjacency)
    ours = edge_range(adjacency, directed=True)
    np.testing.assert_array_equal(np.nan_to_num(ours, posinf=np.inf), ranges)
    assert mean_edge_range(adjacency, directed=True) == mean
    np.testing.assert_array_equal(shortcuts(adjacency, directed=True), short)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_without_edges(n):
    empty = np.zeros((n, n))
    assert np.isnan(edge_range(empty)).all()
    assert np.isnan(mean_edge_range(empty))
    assert np.isnan(shortcut_fraction(empty))
    assert not shortcuts(empty).any()
