"""Clustering and transitivity: closed forms, contracts, brute force, networkx, igraph, bctpy."""

import itertools

import bct
import igraph
import networkx
import numpy as np
import pytest

from brainnet.metrics import clustering, clustering_signed

CYCLE = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
TRIANGLE = np.ones((3, 3)) - np.eye(3)


def random_weights(n, share, *, seed, ties=False, directed=False, signed=False):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.01, 1, (n, n))
    weights = np.ceil(3 * weights) if ties else weights
    weights *= rng.random((n, n)) < share
    if signed:
        weights *= np.where(rng.random((n, n)) < 0.4, -1, 1)
    weights = np.triu(weights, 1) + (np.tril(weights, -1) if directed else 0)
    return weights if directed else weights + weights.T


CASES = [(n, share, ties) for n in (20, 70) for share in (0.05, 0.3, 1.0) for ties in (0, 1)]


@pytest.mark.parametrize("n, share, ties", CASES)
def test_undirected_pinned(n, share, ties):
    weights = random_weights(n, share, seed=n, ties=bool(ties))
    graph = networkx.from_numpy_array(weights)
    found = clustering.clustering_binary(weights > 0)
    np.testing.assert_allclose(found, list(networkx.clustering(graph).values()), atol=1e-14)
    theirs = igraph.Graph.Adjacency((weights > 0).tolist(), mode="undirected")
    np.testing.assert_allclose(found, theirs.transitivity_local_undirected(mode="zero"), atol=1e-14)
    found = clustering.clustering_weighted(weights)
    np.testing.assert_allclose(
        found, list(networkx.clustering(graph, weight="weight").values()), rtol=1e-12, atol=1e-14
    )
    scaled = weights / weights.max()
    np.testing.assert_allclose(found, bct.clustering_coef_wu(scaled), rtol=1e-10, atol=1e-14)
    assert clustering.transitivity_binary(weights > 0) == pytest.approx(
        networkx.transitivity(graph), abs=1e-14
    )
    assert clustering.transitivity_weighted(weights) == pytest.approx(
        bct.transitivity_wu(scaled), rel=1e-10
    )


def directed_by_hand(weights):
    """Fagiolo's coefficient from all triples: all of 8 directed triangles over possible ones."""
    n = len(weights)
    roots = np.cbrt(weights / weights.max())
    edges = (weights > 0).astype(float)
    found, possible = np.zeros(n), np.zeros(n)
    for i, j, h in itertools.permutations(range(n), 3):
        for a, b in itertools.product([(i, j), (j, i)], [(i, h), (h, i)]):
            possible[i] += edges[a] * edges[b]  # each with two directions between j and h
            found[i] += roots[a] * roots[b] * (roots[j, h] + roots[h, j]) / 2
    return found, possible


@pytest.mark.parametrize("share", [0.1, 0.4, 1.0])
@pytest.mark.parametrize("ties", [False, True])
def test_directed_by_hand(share, ties):
    weights = random_weights(14, share, seed=3, ties=ties, directed=True)
    graph = networkx.from_numpy_array(weights, create_using=networkx.DiGraph)
    for network, of_regions, of_all in (
        (
            weights,
            clustering.clustering_weighted_directed,
            clustering.transitivity_weighted_directed,
        ),
        (
            weights > 0,
            clustering.clustering_binary_directed,
            clustering.transitivity_binary_directed,
        ),
    ):
        found, possible = directed_by_hand(network.astype(float))
        expected = np.divide(found, possible, out=np.zeros(14), where=possible > 0)
        np.testing.assert_allclose(of_regions(network), expected, rtol=1e-12, atol=1e-14)
        assert of_all(network) == pytest.approx(found.sum() / possible.sum(), rel=1e-12)
    binary = clustering.clustering_binary_directed(weights > 0)
    np.testing.assert_allclose(binary, list(networkx.clustering(graph).values()), atol=1e-14)


def test_symmetric_networks_have_the_undirected_values(weights):
    adjacency = weights > 0
    pairs = [
        (clustering.clustering_binary, clustering.clustering_binary_directed, adjacency),
        (clustering.clustering_weighted, clustering.clustering_weighted_directed, weights),
        (clustering.transitivity_binary, clustering.transitivity_binary_directed, adjacency),
        (clustering.transitivity_weighted, clustering.transitivity_weighted_directed, weights),
    ]
    for undirected, directed, network in pairs:
        np.testing.assert_allclose(directed(network), undirected(network), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("ties", [False, True])
def test_signed_pinned(share, ties):
    weights = random_weights(18, share, seed=5, ties=ties, signed=True)
    scaled = weights / np.abs(weights).max()
    for kind, measure in (
        ("default", clustering_signed.clustering_onnela_signed),
        ("zhang", clustering_signed.clustering_zhang_horvath_signed),
        ("costantini", clustering_signed.clustering_costantini_perugini_signed),
    ):
        expected = bct.clustering_coef_wu_sign(scaled.copy(), kind)
        np.testing.assert_allclose(measure(weights), expected, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(measure(7 * weights), measure(weights), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("share", [1.0, 1e-5, 1e-150, 1e-289, 1e-291, 1e-320])
def test_a_weak_edge(share):
    weak = TRIANGLE.copy()
    weak[0, 1] = weak[1, 0] = share
    np.testing.assert_allclose(clustering.clustering_weighted(weak), np.cbrt(share), rtol=1e-15)
    directed = clustering.clustering_weighted_directed(weak)
    np.testing.assert_allclose(directed, np.cbrt(share), rtol=1e-15)


def test_cube_roots_to_the_last_digits():
    shares = 2.0 ** np.random.default_rng(0).uniform(-40, 0, 500)
    batch = np.array([TRIANGLE] * 500)
    batch[:, 0, 1] = batch[:, 1, 0] = shares
    found = clustering.clustering_weighted(batch)
    np.testing.assert_allclose(found[:, 2], np.cbrt(shares), rtol=1e-15)


def test_signed_closed_forms():
    frustrated = TRIANGLE * [[1, 1, 1], [1, 1, -1], [1, -1, 1]]
    found = clustering_signed.clustering_costantini_perugini_signed(frustrated)
    np.testing.assert_array_equal(found, -1)
    for measure in (
        clustering_signed.clustering_onnela_signed,
        clustering_signed.clustering_zhang_horvath_signed,
    ):
        positive, negative = measure(-TRIANGLE)
        np.testing.assert_array_equal(positive, 0)
        np.testing.assert_allclose(negative, 1, rtol=1e-15)
        np.testing.assert_array_equal(measure(frustrated), 0)


def test_a_cycle_is_one_of_two_directed_triangles():
    for measure in (clustering.clustering_binary_directed, clustering.clustering_weighted_directed):
        np.testing.assert_allclose(measure(CYCLE), 0.5, rtol=1e-15)
    assert clustering.transitivity_binary_directed(CYCLE) == 0.5
    two_ways = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])  # a false pair
    np.testing.assert_array_equal(clustering.clustering_binary_directed(two_ways), 0)


MEASURES = [
    clustering.clustering_binary,
    clustering.clustering_binary_directed,
    clustering.clustering_weighted,
    clustering.clustering_weighted_directed,
    clustering.transitivity_binary,
    clustering.transitivity_binary_directed,
    clustering.transitivity_weighted,
    clustering.transitivity_weighted_directed,
    clustering_signed.clustering_onnela_signed,
    clustering_signed.clustering_zhang_horvath_signed,
    clustering_signed.clustering_costantini_perugini_signed,
]


@pytest.mark.parametrize("measure", MEASURES)
def test_without_triangles(measure):
    edge = np.zeros((3, 3))
    edge[0, 1] = edge[1, 0] = 1
    star = networkx.to_numpy_array(networkx.star_graph(5))
    for network in (np.zeros((1, 1)), np.zeros((2, 2)), np.zeros((3, 3)), edge, star):
        np.testing.assert_array_equal(measure(network), 0)


def test_sizes_around_a_word():
    for n in (63, 64, 65, 128, 129):
        complete = np.ones((n, n)) - np.eye(n)
        np.testing.assert_array_equal(clustering.clustering_binary(complete), 1)
        ring = networkx.to_numpy_array(networkx.watts_strogatz_graph(n, 4, 0))
        np.testing.assert_allclose(clustering.clustering_binary(ring), 0.5)


def test_contracts(contract):
    contract(clustering.clustering_binary, rank=1, binary=True)
    contract(clustering.clustering_binary_directed, rank=1, binary=True, directed=True)
    contract(clustering.clustering_weighted, rank=1)
    contract(clustering.clustering_weighted_directed, rank=1, directed=True)
    contract(clustering.transitivity_binary, rank=0, binary=True)
    contract(clustering.transitivity_binary_directed, rank=0, binary=True, directed=True)
    contract(clustering.transitivity_weighted, rank=0)
    contract(clustering.transitivity_weighted_directed, rank=0, directed=True)
    for part in (0, 1):
        for measure in MEASURES[-3:-1]:
            contract(lambda w, m=measure, p=part: m(w)[p], rank=1, signed=True)
    contract(clustering_signed.clustering_costantini_perugini_signed, rank=1, signed=True)
