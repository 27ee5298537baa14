"""Centrality: hand-made graphs, what every measure owes, and networkx, igraph and bctpy."""

import bct
import igraph
import networkx
import numpy as np
import pytest
from scipy.sparse import csgraph

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


def by_all_eigenvectors(weights):
    """The projection of equal values on the leading eigenvectors, zero outside their pieces."""
    weights = weights / weights.max()
    n_pieces, piece = csgraph.connected_components(weights > 0)
    radius = np.zeros(n_pieces)
    vector = np.zeros(len(weights))
    for k in range(n_pieces):
        inside = piece == k
        values, vectors = np.linalg.eigh(weights[np.ix_(inside, inside)])
        radius[k] = values[-1]
        vector[inside] = np.abs(vectors[:, -1]) * np.abs(vectors[:, -1].sum())
    vector[radius[piece] < radius.max() * (1 - 1e-9)] = 0
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("n_regions", [2, 3, 4, 5, 17, 100, 400])
@pytest.mark.parametrize("density", [0.005, 0.03, 0.2, 1.0])
def test_eigenvector_centrality_against_eigh(modular, n_regions, density):
    weighted = modular(n_regions, density=density, seed=n_regions)
    for network in (weighted, (weighted > 0).astype(float)):
        result = centrality.eigenvector_centrality(network)
        expected = by_all_eigenvectors(network)
        np.testing.assert_allclose(result, expected, atol=1e-10)
        np.testing.assert_array_equal(result[expected == 0], 0)


@pytest.mark.parametrize("coupling", [0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2])
def test_eigenvector_centrality_of_nearly_equal_modules(coupling):
    rng = np.random.default_rng(1)
    network = np.triu(np.kron(np.eye(3), rng.random((40, 40))), 1)
    network[:40, 40:80] = coupling * rng.random((40, 40))  # two equal modules, joined weakly
    network[80:] *= 0.999  # and a third apart
    network += network.T
    result = centrality.eigenvector_centrality(network)
    alone = centrality.eigenvector_centrality(network[80:, 80:])
    # to first order in the coupling the leading vector is the sum of those of the modules
    np.testing.assert_allclose(result[:80], np.tile(alone, 2) / np.sqrt(2), atol=1e-11 + coupling)
    np.testing.assert_array_equal(result[80:], 0)
    values, vectors = np.linalg.eigh(network[:80, :80])
    gap = (values[-1] - values[-2]) / values[-1]
    if gap > 1e-9:  # known up to the rounding over the gap
        expected = np.abs(vectors[:, -1])
        np.testing.assert_allclose(result[:80], expected, atol=1e-15 / gap + 1e-13)


@pytest.mark.parametrize("graph", ["path", "wheel", "star", "lollipop", "barbell", "bipartite"])
def test_eigenvector_centrality_of_known_graphs(graph):
    made = {
        "path": networkx.path_graph(300),
        "wheel": networkx.wheel_graph(50),
        "star": networkx.star_graph(60),
        "lollipop": networkx.lollipop_graph(20, 6),
        "barbell": networkx.barbell_graph(20, 2),
        "bipartite": networkx.complete_bipartite_graph(7, 30),
    }
    network = networkx.to_numpy_array(made[graph])
    result = centrality.eigenvector_centrality(network)
    values, vectors = np.linalg.eigh(network)
    expected = np.abs(vectors[:, -1])
    # a vector is known up to the rounding of the matrix over the gap to the next eigenvalue
    tolerance = 1e-14 * values[-1] / (values[-1] - values[-2])
    if tolerance < 1e-6:
        np.testing.assert_allclose(result, expected, atol=tolerance)
    assert np.abs(network @ result - values[-1] * result).max() < 1e-7


@pytest.mark.parametrize("n_pieces", [2, 3, 7])
def test_eigenvector_centrality_of_pieces_that_are_reordered(modular, n_pieces):
    piece = modular(30, density=0.3, seed=5)
    network = np.zeros((30 * n_pieces + 4, 30 * n_pieces + 4))
    network[:-4, :-4] = np.kron(np.eye(n_pieces), piece)
    network[-4, -3] = network[-3, -4] = 0.5
    order = np.random.default_rng(2).permutation(len(network))
    alone = centrality.eigenvector_centrality(piece) / np.sqrt(n_pieces)
    expected = np.concatenate([*[alone] * n_pieces, np.zeros(4)])
    result = centrality.eigenvector_centrality(network[np.ix_(order, order)])
    np.testing.assert_allclose(result, expected[order], atol=1e-11)
    np.testing.assert_array_equal(result[expected[order] == 0], 0)


@pytest.mark.parametrize("seed", range(40))
def test_eigenvector_centrality_of_weights_of_many_magnitudes(seed):
    rng = np.random.default_rng(seed)
    n_regions = int(rng.integers(2, 60))
    network = rng.random((n_regions, n_regions)) ** 12
    network = np.triu(network * (rng.random(network.shape) < rng.choice([0.03, 0.1, 1])), 1)
    network[0, 1] += 0.1
    network += network.T
    result = centrality.eigenvector_centrality(network)
    expected = by_all_eigenvectors(network)
    np.testing.assert_allclose(result, expected, atol=2e-12)
    np.testing.assert_array_equal(result[expected == 0], 0)


@pytest.mark.parametrize("scale", [2.0**-1000, 1e-310, 1e-3, 1e307])
def test_eigenvector_centrality_does_not_depend_on_the_unit(modular, scale):
    network = (modular(40, density=0.3) > 0).astype(float)
    result = centrality.eigenvector_centrality(scale * network)
    np.testing.assert_allclose(result, centrality.eigenvector_centrality(network), atol=1e-13)


def test_eigenvector_centrality_falls_back_only_where_it_must(modular, monkeypatch):
    fallen_back = []
    projection = centrality._leading_projection
    monkeypatch.setattr(
        centrality, "_leading_projection", lambda w: fallen_back.append(len(w)) or projection(w)
    )
    batch = np.array([modular(200, 7, density=d) for d in (0.01, 0.05, 0.2, 1.0)])
    centrality.eigenvector_centrality(batch)
    centrality.eigenvector_centrality(TWO_CLIQUES)  # exactly equal: the process projects
    assert not fallen_back
    weaker = TWO_CLIQUES.copy()
    weaker[4:, 4:] *= 1 - 1e-10
    result = centrality.eigenvector_centrality(np.array([batch[0, :8, :8], weaker]))[1]
    np.testing.assert_allclose(result, 8**-0.5)  # within the tolerance: equal
    assert fallen_back == [1]


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
