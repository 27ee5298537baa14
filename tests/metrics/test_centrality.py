"""Centrality: hand-made graphs, what every measure owes, and networkx, igraph and bctpy."""

import bct
import igraph
import networkx
import numpy as np
import pytest

from brainnet.metrics import centrality

NAN = np.nan
TWO_CLIQUES = np.kron(np.eye(2), np.ones((4, 4)) - np.eye(4))
STAR = networkx.to_numpy_array(networkx.star_graph(4))
RING = networkx.to_numpy_array(networkx.cycle_graph(6))
EMPTY = np.zeros((4, 4))


@pytest.fixture
def directed(all_kinds):
    """A strongly connected directed network without ties."""
    network = all_kinds(directed=True)[0, 0].copy()
    assert networkx.is_strongly_connected(networkx.DiGraph(network))
    return network


def by_region(values):
    return np.array([values[i] for i in range(len(values))])


@pytest.mark.parametrize(
    "measure, options",
    [
        (centrality.eigenvector_centrality, {}),
        (centrality.eigenvector_centrality_directed, {"directed": True}),
        (centrality.pagerank, {}),
        (lambda a: centrality.pagerank(a, directed=True), {"directed": True}),
        (centrality.subgraph_centrality, {"binary": True}),
        (centrality.closeness_binary, {"binary": True}),
        (centrality.closeness_weighted, {}),
        (lambda a: centrality.closeness_binary(a, directed=True), {"binary": True, "directed": 1}),
        (lambda a: centrality.closeness_weighted(a, directed=True), {"directed": True}),
    ],
)
def test_contract(contract, measure, options):
    contract(measure, rank=1, **options)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_eigenvector_centrality_converges_or_falls_back(scale):
    rng = np.random.default_rng(0)
    networks = [np.triu(rng.random((60, 60)) * (rng.random((60, 60)) < p), 1) for p in (0.05, 0.5)]
    networks.append(np.diag(np.ones(59), 1))  # a path: the eigenvalues lie close together
    batch = np.array([(w + w.T) for w in networks])
    vectors = np.linalg.eigh(batch)[1]
    expected = np.abs(vectors[..., -1])
    result = centrality.eigenvector_centrality(scale * batch)
    np.testing.assert_allclose(result, expected, atol=1e-11)


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-7])
def test_eigenvector_centrality_tells_pieces_of_nearly_equal_eigenvalue_apart(gap):
    weaker = TWO_CLIQUES.copy()
    weaker[4:, 4:] *= 1 - gap
    result = centrality.eigenvector_centrality(weaker)
    np.testing.assert_allclose(result, [0.5] * 4 + [0] * 4, atol=1e-9)


def test_eigenvector_centrality_of_equal_pieces_and_of_nothing():
    np.testing.assert_allclose(centrality.eigenvector_centrality(TWO_CLIQUES), 8**-0.5)
    assert np.isnan(centrality.eigenvector_centrality(EMPTY)).all()
    assert np.isnan(centrality.eigenvector_centrality([[0.0]])).all()


def test_eigenvector_centrality_directed(directed):
    graph = igraph.Graph.Weighted_Adjacency(directed, mode="directed")
    theirs = np.array(graph.eigenvector_centrality(directed=True, weights="weight"))
    result = centrality.eigenvector_centrality_directed(directed)
    np.testing.assert_allclose(result, theirs / np.linalg.norm(theirs), atol=1e-9)
    ring = np.roll(np.eye(5), 1, axis=1)  # five eigenvalues on one circle, one of them real
    np.testing.assert_allclose(centrality.eigenvector_centrality_directed(ring), 5**-0.5)
    symmetric = np.maximum(directed, directed.T)
    np.testing.assert_allclose(
        centrality.eigenvector_centrality_directed(symmetric),
        centrality.eigenvector_centrality(symmetric),
        atol=1e-10,
    )


def test_eigenvector_centrality_directed_where_it_is_not_defined():
    chain = np.diag(np.ones(3), 1)
    assert np.isnan(centrality.eigenvector_centrality_directed(chain)).all()
    assert np.isnan(centrality.eigenvector_centrality_directed(TWO_CLIQUES)).all()
    assert np.isnan(centrality.eigenvector_centrality_directed(EMPTY)).all()
    leads_on = np.zeros((4, 4))
    leads_on[0, 1] = leads_on[1, 0] = leads_on[1, 2] = 1  # a pair that leads on to region 2
    np.testing.assert_allclose(
        centrality.eigenvector_centrality_directed(leads_on), [3**-0.5] * 3 + [0], atol=1e-12
    )


def test_pagerank_of_graphs_by_hand():
    d = 0.85
    centre = (0.15 / 5 + d * 0.15 * 4 / 5) / (1 - d**2)
    np.testing.assert_allclose(
        centrality.pagerank(STAR), [centre] + [0.03 + d * centre / 4] * 4, rtol=1e-12
    )
    np.testing.assert_allclose(centrality.pagerank(RING), 1 / 6)
    np.testing.assert_allclose(centrality.pagerank(EMPTY), 1 / 4)
    np.testing.assert_allclose(centrality.pagerank(EMPTY, restart=[1, 0, 0, 3]), [0.25, 0, 0, 0.75])
    np.testing.assert_allclose(centrality.pagerank(STAR, damping=0), 1 / 5)
    assert centrality.pagerank([[0.0]]) == 1


@pytest.mark.parametrize("kind", range(6))
@pytest.mark.parametrize("restart", [None, np.arange(12.0)])
def test_pagerank_against_networkx(all_kinds, kind, restart):
    network = all_kinds(directed=True).reshape(6, 12, 12)[kind]
    graph = networkx.from_numpy_array(network, create_using=networkx.DiGraph)
    wanted = None if restart is None else dict(enumerate(restart))
    theirs = networkx.pagerank(graph, alpha=0.7, personalization=wanted, tol=1e-14, max_iter=1000)
    result = centrality.pagerank(network, damping=0.7, restart=restart, directed=True)
    np.testing.assert_allclose(result, by_region(theirs), atol=1e-12)


def test_pagerank_against_bctpy(weights, directed):
    theirs = bct.pagerank_centrality(weights, 0.85)
    np.testing.assert_allclose(centrality.pagerank(weights), theirs, rtol=1e-10)
    theirs = bct.pagerank_centrality(directed.T, 0.85)  # reads the edges the other way
    np.testing.assert_allclose(centrality.pagerank(directed, directed=True), theirs, rtol=1e-10)


def test_pagerank_restarts_of_each_network(weights):
    batch = np.array([weights, weights])
    restart = np.random.default_rng(0).random((2, 23))
    result = centrality.pagerank(batch, restart=restart)
    for i in range(2):
        np.testing.assert_allclose(result[i], centrality.pagerank(weights, restart=restart[i]))


@pytest.mark.parametrize("damping", [1.0, -0.1, NAN])
def test_pagerank_refuses_damping(damping):
    with pytest.raises(ValueError, match=r"damping must be .* got"):
        centrality.pagerank(STAR, damping=damping)


@pytest.mark.parametrize(
    "restart", [[1, 1], [-1, 1, 1, 1, 1], [0] * 5, [NAN, 1, 1, 1, 1], 1.0, [np.inf, 1, 1, 1, 1]]
)
def test_pagerank_refuses_restart(restart):
    with pytest.raises(ValueError, match=r"restart must be .* got"):
        centrality.pagerank(STAR, restart=restart)


def test_subgraph_centrality(weights):
    half = np.cosh(2.0)
    np.testing.assert_allclose(
        centrality.subgraph_centrality(STAR > 0), [half] + [1 + (half - 1) / 4] * 4, rtol=1e-12
    )
    np.testing.assert_allclose(centrality.subgraph_centrality(EMPTY), 1)
    complete = np.ones((5, 5)) - np.eye(5)
    np.testing.assert_allclose(
        centrality.subgraph_centrality(complete), (np.exp(4) + 4 * np.exp(-1)) / 5, rtol=1e-12
    )
    adjacency = (weights > 0).astype(float)
    theirs = networkx.subgraph_centrality(networkx.from_numpy_array(adjacency))
    result = centrality.subgraph_centrality(adjacency)
    np.testing.assert_allclose(result, by_region(theirs), rtol=1e-10)
    np.testing.assert_allclose(result, bct.subgraph_centrality(adjacency), rtol=1e-10)


def test_subgraph_centrality_beyond_doubles_is_nan():
    huge = np.ones((800, 800)) - np.eye(800)
    assert np.isnan(centrality.subgraph_centrality(huge)).all()


def test_closeness_by_hand():
    np.testing.assert_allclose(centrality.closeness_binary(STAR), [1] + [4 / 7] * 4)
    np.testing.assert_allclose(centrality.closeness_binary(RING), 5 / 9)
    np.testing.assert_allclose(centrality.closeness_binary(TWO_CLIQUES), 3 / 7)
    np.testing.assert_allclose(centrality.closeness_weighted(0.5 * STAR), [0.5] + [2 / 7] * 4)
    np.testing.assert_array_equal(centrality.closeness_binary(EMPTY), 0)
    assert np.isnan(centrality.closeness_binary([[0]])).all()
    assert np.isnan(centrality.closeness_weighted([[0.0]])).all()


@pytest.mark.parametrize("kind", range(6))
def test_closeness_against_networkx(all_kinds, kind):
    network = all_kinds(directed=True).reshape(6, 12, 12)[kind]
    graph = networkx.from_numpy_array(network.T, create_using=networkx.DiGraph)  # theirs: inward
    for *_, edge in graph.edges(data=True):
        edge["length"] = 1 / edge["weight"]
    binary = centrality.closeness_binary(network > 0, directed=True)
    np.testing.assert_allclose(binary, by_region(networkx.closeness_centrality(graph)), rtol=1e-12)
    weighted = centrality.closeness_weighted(network, directed=True)
    theirs = networkx.closeness_centrality(graph, distance="length")
    np.testing.assert_allclose(weighted, by_region(theirs), rtol=1e-12)
