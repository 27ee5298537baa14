"""Assortativity: closed forms, contracts, and beside networkx, igraph, NumPy and bctpy."""

import bct
import igraph
import networkx
import numpy as np
import pytest

from brainnet.metrics import assortativity

ENDS = [(source, target) for source in ("in", "out") for target in ("in", "out")]


def random_weights(share, *, seed, ties, directed):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.01, 1, (30, 30))
    weights = np.ceil(3 * weights) if ties else weights
    weights *= rng.random((30, 30)) < share
    weights = np.triu(weights, 1) + (np.tril(weights, -1) if directed else 0)
    return weights if directed else weights + weights.T


@pytest.fixture
def circulant():
    """Each row holds the same weights: strengths are equal but for the order of summation."""
    weights = np.random.default_rng(0).random(40)
    weights[0] = 0
    weights = weights + np.roll(weights[::-1], 1)
    return np.array([np.roll(weights, i) for i in range(40)])


def over_edges(weights, first, second):
    sources, targets = np.nonzero(weights)
    return np.corrcoef(first[sources], second[targets])[0, 1]


@pytest.mark.parametrize("share", [0.06, 0.4])
@pytest.mark.parametrize("ties", [False, True])
def test_undirected_pinned(share, ties):
    weights = random_weights(share, seed=0, ties=ties, directed=False)
    binary = assortativity.assortativity_binary(weights > 0)
    graph = networkx.from_numpy_array(weights)
    expected = networkx.degree_pearson_correlation_coefficient(graph)
    assert binary == pytest.approx(expected, rel=1e-11)
    theirs = igraph.Graph.Adjacency((weights > 0).tolist(), mode="undirected")
    assert binary == pytest.approx(theirs.assortativity_degree(directed=False), rel=1e-11)
    found = assortativity.assortativity_weighted(weights)
    assert found == pytest.approx(bct.assortativity_wei(weights, 0), rel=1e-10)
    strengths = weights.sum(axis=0)
    assert found == pytest.approx(over_edges(weights, strengths, strengths), rel=1e-10)


@pytest.mark.parametrize("source, target", ENDS)
@pytest.mark.parametrize("ties", [False, True])
def test_directed_pinned(source, target, ties):
    weights = random_weights(0.2, seed=1, ties=ties, directed=True)
    ends = {"source": source, "target": target}
    graph = networkx.from_numpy_array(weights, create_using=networkx.DiGraph)
    assert assortativity.assortativity_binary_directed(weights > 0, **ends) == pytest.approx(
        networkx.degree_pearson_correlation_coefficient(graph, x=source, y=target), rel=1e-11
    )
    sums = {"in": weights.sum(axis=0), "out": weights.sum(axis=1)}
    assert assortativity.assortativity_weighted_directed(weights, **ends) == pytest.approx(
        over_edges(weights, sums[source], sums[target]), rel=1e-11
    )


def test_closed_forms():
    star = networkx.to_numpy_array(networkx.star_graph(4))
    assert assortativity.assortativity_binary(star) == pytest.approx(-1)
    assert assortativity.assortativity_weighted(0.3 * star) == pytest.approx(-1)
    cliques = np.zeros((7, 7))  # an edge, a triangle and two lone regions
    cliques[:3, :3] = np.ones((3, 3)) - np.eye(3)
    cliques[3, 4] = cliques[4, 3] = 1
    assert assortativity.assortativity_binary(cliques) == pytest.approx(1)
    path = networkx.to_numpy_array(networkx.path_graph(4))
    assert assortativity.assortativity_binary(path) == pytest.approx(-0.5)


@pytest.mark.parametrize("n", [1, 2, 3, 11])
def test_regular_networks_have_none(n):
    complete = np.ones((n, n)) - np.eye(n)
    for network in (complete, 0 * complete, np.pad(complete, (0, 2))):
        assert np.isnan(assortativity.assortativity_binary(network))
        assert np.isnan(assortativity.assortativity_binary_directed(network))
        for scale in (0.1, 1e-200, 1e200):  # sums of 0.1 differ in their last bit
            assert np.isnan(assortativity.assortativity_weighted(scale * network))
            assert np.isnan(assortativity.assortativity_weighted_directed(scale * network))
        positive, negative = assortativity.local_assortativity_signed(0.1 * network)
        assert np.isnan(positive).all()
        assert np.isnan(negative).all()


def test_strengths_equal_but_for_rounding(circulant):
    assert np.ptp(circulant.sum(axis=1)) > 0
    assert np.isnan(assortativity.assortativity_weighted(circulant))
    assert np.isnan(assortativity.assortativity_weighted_directed(circulant))
    assert np.isnan(assortativity.local_assortativity_signed(circulant)[0]).all()


def test_local_assortativity_adds_up():
    weights = random_weights(0.3, seed=2, ties=False, directed=False)
    flip = np.triu(np.random.default_rng(3).random((30, 30)) < 0.4, 1)
    weights[flip | flip.T] *= -1
    positive, negative = assortativity.local_assortativity_signed(weights)
    r_positive = assortativity.assortativity_weighted(np.maximum(weights, 0))
    r_negative = assortativity.assortativity_weighted(np.maximum(-weights, 0))
    assert np.nansum(positive) == pytest.approx(r_positive, rel=1e-10)
    assert np.nansum(negative) == pytest.approx(r_negative, rel=1e-10)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected, _ = bct.local_assortativity_wu_sign(weights.copy())
        _, unlike = bct.local_assortativity_wu_sign(-weights)
    np.testing.assert_allclose(positive, expected, rtol=1e-10)
    flipped = assortativity.local_assortativity_signed(-weights)
    np.testing.assert_allclose(flipped[1], positive, rtol=1e-12)
    assert np.isnan(unlike).all()  # bctpy's negative part is never defined


def test_local_assortativity_leaves_isolated_regions_out():
    star = np.pad(networkx.to_numpy_array(networkx.star_graph(4)), (0, 2))
    positive, negative = assortativity.local_assortativity_signed(star)
    np.testing.assert_allclose(positive[:5].sum(), -1)
    # mean gaps: 3 for all of the five, so that each has a fifth of it
    np.testing.assert_allclose(positive[:5], -0.2)
    assert np.isnan(positive[5:]).all()
    assert np.isnan(negative).all()


def test_scale():
    weights = random_weights(0.3, seed=4, ties=False, directed=True)
    found = assortativity.assortativity_weighted_directed(weights)
    for scale in (1e-100, 1e100):
        scaled = assortativity.assortativity_weighted_directed(scale * weights)
        assert scaled == pytest.approx(found, rel=1e-10)


def test_ends_are_checked():
    for ends in ({"source": "both"}, {"target": "all"}):
        with pytest.raises(ValueError, match="must be 'in' or 'out'"):
            assortativity.assortativity_binary_directed(np.zeros((3, 3)), **ends)


def test_contracts(contract):
    contract(assortativity.assortativity_binary, rank=0, binary=True)
    contract(assortativity.assortativity_binary_directed, rank=0, binary=True, directed=True)
    contract(assortativity.assortativity_weighted, rank=0)
    contract(assortativity.assortativity_weighted_directed, rank=0, directed=True)
    for part in (0, 1):
        contract(
            lambda w, p=part: assortativity.local_assortativity_signed(w)[p], rank=1, signed=True
        )
