"""Betweenness of regions and edges beside networkx, igraph, bctpy and counts by hand."""

import bct
import igraph
import networkx
import numpy as np
import pytest

from brainnet.metrics import betweenness

CLOSE = {"rtol": 1e-9, "atol": 1e-13}


def random_weights(n, density, *, directed, tied, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.1, 1, (n, n)) * (rng.random((n, n)) < density)
    weights = weights if directed else np.triu(weights, 1) + np.triu(weights, 1).T
    np.fill_diagonal(weights, 0)
    return np.ceil(3 * weights) if tied else weights


def by_networkx(weights, *, directed, length):
    kind = networkx.DiGraph if directed else networkx.Graph
    graph = networkx.from_numpy_array(weights, create_using=kind)
    for *_, edge in graph.edges(data=True):
        edge["length"] = 6 / edge["weight"]  # whole numbers where weights are 1, 2 and 3
    found = networkx.betweenness_centrality(graph, weight=length)
    nodes = np.array([found[i] for i in range(len(weights))])
    edges = np.zeros_like(weights)
    for (i, j), share in networkx.edge_betweenness_centrality(graph, weight=length).items():
        edges[i, j] = share
        if not directed:
            edges[j, i] = share
    return nodes, edges


def test_contracts(contract):
    for kind, binary in [("binary", True), ("weighted", False)]:
        nodes = getattr(betweenness, f"betweenness_{kind}")
        edges = getattr(betweenness, f"edge_betweenness_{kind}")
        contract(nodes, rank=1, binary=binary)
        contract(edges, rank=2, binary=binary)
        contract(lambda x, f=nodes: f(x, directed=True), rank=1, binary=binary, directed=True)
        contract(lambda x, f=edges: f(x, directed=True), rank=2, binary=binary, directed=True)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("n, density", [(3, 1.0), (9, 0.5), (30, 0.1), (30, 0.6), (66, 0.05)])
def test_beside_networkx(n, density, tied, directed):
    weights = random_weights(n, density, directed=directed, tied=tied, seed=n)
    found = betweenness.node_and_edge_betweenness_weighted(weights, directed=directed)
    expected = by_networkx(weights, directed=directed, length="length")
    np.testing.assert_allclose(found[0], expected[0], **CLOSE)
    np.testing.assert_allclose(found[1], expected[1], **CLOSE)
    adjacency = weights > 0
    found = betweenness.node_and_edge_betweenness_binary(adjacency, directed=directed)
    expected = by_networkx(weights, directed=directed, length=None)
    np.testing.assert_allclose(found[0], expected[0], **CLOSE)
    np.testing.assert_allclose(found[1], expected[1], **CLOSE)
    np.testing.assert_array_equal(
        betweenness.betweenness_binary(adjacency, directed=directed), found[0]
    )


def test_beside_igraph_and_bctpy(modular):
    weights = modular(50, density=0.2)
    n = len(weights)
    graph = igraph.Graph.Weighted_Adjacency(weights, mode="undirected", loops=False)
    lengths = 1 / np.array(graph.es["weight"])
    nodes, edges = betweenness.node_and_edge_betweenness_weighted(weights)
    ends = tuple(np.array(graph.get_edgelist()).T)
    np.testing.assert_allclose(
        nodes * (n - 1) * (n - 2) / 2, graph.betweenness(weights=lengths), **CLOSE
    )
    np.testing.assert_allclose(
        edges[ends] * n * (n - 1) / 2, graph.edge_betweenness(weights=lengths), **CLOSE
    )
    of_matrix = np.divide(1, weights, out=np.zeros_like(weights), where=weights > 0)
    their_edges, their_nodes = bct.edge_betweenness_wei(of_matrix)
    np.testing.assert_allclose(edges * n * (n - 1) / 2, their_edges, **CLOSE)
    np.testing.assert_allclose(nodes * (n - 1) * (n - 2), their_nodes, **CLOSE)
    nodes, edges = betweenness.node_and_edge_betweenness_binary(weights > 0)
    np.testing.assert_allclose(nodes * (n - 1) * (n - 2) / 2, graph.betweenness(), **CLOSE)
    np.testing.assert_allclose(edges[ends] * n * (n - 1) / 2, graph.edge_betweenness(), **CLOSE)


def test_ties_to_rounding():
    """0.1 + 0.2 and 0.3 are equal lengths, though not equal numbers."""
    lengths = np.full((4, 4), np.inf)
    lengths[0, 1], lengths[1, 2], lengths[0, 2] = 0.1, 0.2, 0.3
    lengths[0, 3] = lengths[2, 3] = 0.15
    weights = 1 / np.minimum(lengths, lengths.T)
    nodes, edges = betweenness.node_and_edge_betweenness_weighted(weights)
    np.testing.assert_allclose(nodes, [1 / 3, 1 / 9, 0, 1 / 9], rtol=1e-14)
    assert edges[0, 2] == pytest.approx(1 / 3 / 6, rel=1e-14)


def test_equal_weights_are_the_binary_network(modular):
    adjacency = modular(40, density=0.1) > 0
    for scale in (1e-200, 0.3, 1e200):
        found = betweenness.node_and_edge_betweenness_weighted(scale * adjacency)
        expected = betweenness.node_and_edge_betweenness_binary(adjacency)
        np.testing.assert_allclose(found[0], expected[0], **CLOSE)
        np.testing.assert_allclose(found[1], expected[1], **CLOSE)


@pytest.mark.parametrize("kind", ["binary", "weighted"])
def test_by_hand(kind):
    both = getattr(betweenness, f"node_and_edge_betweenness_{kind}")
    nodes, edges = both(networkx.to_numpy_array(networkx.star_graph(4)))
    np.testing.assert_allclose(nodes, [1, 0, 0, 0, 0], atol=1e-15)
    np.testing.assert_allclose(edges[0, 1:], 4 * 2 / 20)
    nodes, edges = both(networkx.to_numpy_array(networkx.path_graph(4)))
    np.testing.assert_allclose(nodes, [0, 4 / 6, 4 / 6, 0])
    np.testing.assert_allclose([edges[0, 1], edges[1, 2], edges[2, 3]], [0.5, 4 / 6, 0.5])
    complete = np.ones((5, 5)) - np.eye(5)
    nodes, edges = both(complete)
    np.testing.assert_allclose(nodes, 0, atol=1e-15)
    np.testing.assert_allclose(edges, complete * 2 / 20)
    ring = np.roll(np.eye(4), 1, axis=1)
    nodes, edges = both(ring, directed=True)
    np.testing.assert_allclose(nodes, 3 / 6)
    np.testing.assert_allclose(edges, ring * 6 / 12)


@pytest.mark.parametrize("kind", ["binary", "weighted"])
def test_few_regions(kind):
    both = getattr(betweenness, f"node_and_edge_betweenness_{kind}")
    nodes, edges = both([[0]])
    assert np.isnan(nodes).all()
    assert np.isnan(edges).all()
    nodes, edges = both([[0, 1], [1, 0]])
    assert np.isnan(nodes).all()
    np.testing.assert_array_equal(edges, [[0, 1], [1, 0]])
    nodes, edges = both(np.zeros((3, 3)))
    np.testing.assert_array_equal(nodes, 0)
    np.testing.assert_array_equal(edges, 0)


def test_weights_of_very_different_size():
    """Lengths that vanish beside others neither hang nor give more than all paths."""
    rng = np.random.default_rng(1)
    weights = np.triu(10.0 ** rng.uniform(-30, 0, (15, 15)), 1)
    nodes, edges = betweenness.node_and_edge_betweenness_weighted(weights + weights.T)
    for share in (nodes, edges):
        assert np.isfinite(share).all()
        assert share.min() >= 0
        assert share.max() <= 1 + 1e-12
