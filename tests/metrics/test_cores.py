"""Cores: closed forms, contracts, brute force, and beside networkx, igraph and bctpy."""

import itertools

import bct
import igraph
import networkx
import numpy as np
import pytest

from brainnet.metrics import cores

KITE = np.array([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]])


def random_weights(share, *, seed, ties=False, directed=False, n=35):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.01, 1, (n, n))
    weights = np.ceil(3 * weights) if ties else weights
    weights *= (rng.random((n, n)) < share) * np.linspace(0.3, 2, n)
    weights = np.triu(weights, 1) + (np.tril(weights, -1) if directed else 0)
    return weights if directed else weights + weights.T


@pytest.fixture
def circulant():
    """Each row holds the same weights: strengths are equal but for the order of summation."""
    weights = np.random.default_rng(0).random(40)
    weights[0] = 0
    weights = weights + np.roll(weights[::-1], 1)
    return np.array([np.roll(weights, i) for i in range(40)])


def core_by_hand(weights, level):
    """Take away what falls short until nothing does."""
    weights = weights.copy()
    while True:
        short = (weights.sum(axis=0) + weights.sum(axis=1) < 2 * level) & weights.any(axis=0)
        if not short.any():
            return weights
        weights[short] = weights[:, short] = 0


@pytest.mark.parametrize("share", [0.05, 0.2, 0.6, 1.0])
def test_coreness_pinned(share):
    adjacency = random_weights(share, seed=0) > 0
    graph = networkx.from_numpy_array(adjacency.astype(int))
    expected = list(networkx.core_number(graph).values())
    np.testing.assert_array_equal(cores.coreness(adjacency), expected)
    theirs = igraph.Graph.Adjacency(adjacency.tolist(), mode="undirected")
    np.testing.assert_array_equal(cores.coreness(adjacency), theirs.coreness())
    values, sizes = bct.kcoreness_centrality_bu(adjacency.astype(float))
    np.testing.assert_array_equal(cores.coreness(adjacency), values)
    np.testing.assert_array_equal(cores.k_core_sizes(adjacency)[1:], sizes[1:])
    for k in (0, 1, 2, 5, 40):
        kept, _, order, rounds = bct.kcore_bu(adjacency.astype(float), k, peel=True)
        np.testing.assert_array_equal(cores.k_core(adjacency, k=k), kept)
        by_region = np.zeros(35)
        by_region[adjacency.sum(axis=0) < min(k, 1)] = 1  # isolated: bctpy lists them nowhere
        for regions, this_round in zip(order, rounds, strict=True):
            by_region[regions] = this_round
        np.testing.assert_array_equal(cores.k_core_rounds(adjacency, k=k), by_region)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_directed_pinned(share):
    adjacency = random_weights(share, seed=1, directed=True) > 0
    theirs = igraph.Graph.Adjacency(adjacency.tolist(), mode="directed")
    found = cores.coreness_directed(adjacency)
    np.testing.assert_array_equal(found, theirs.coreness(mode="all"))
    graph = networkx.from_numpy_array(adjacency.astype(int), create_using=networkx.DiGraph)
    np.testing.assert_array_equal(found, list(networkx.core_number(graph).values()))
    for k in (0, 2, 5, 8):
        expected, _ = bct.kcore_bd(adjacency.astype(float), k)
        np.testing.assert_array_equal(cores.k_core_directed(adjacency, k=k), expected)
    symmetric = adjacency | adjacency.T
    np.testing.assert_array_equal(cores.coreness_directed(symmetric), 2 * cores.coreness(symmetric))


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("ties", [False, True])
def test_s_cores_by_hand(share, ties):
    weights = random_weights(share, seed=2, ties=ties)
    levels = cores.s_coreness(weights)
    for s in (0.0, 0.5, 3.0, *np.quantile(levels, [0.3, 0.8]) * (1 - 1e-9), levels.max() * 1.001):
        expected = core_by_hand(weights, s)
        np.testing.assert_array_equal(cores.s_core(weights, s=s), expected)
        np.testing.assert_array_equal(cores.s_core(weights, s=s), bct.score_wu(weights, s)[0])
    for i in range(0, 35, 5):  # each region is in the core of its own level
        inside = cores.s_core(weights, s=levels[i]).any(axis=0)
        assert inside[i] == weights[i].any()
        assert not cores.s_core(weights, s=levels[i] * (1 + 1e-9) + 1e-9)[i].any()


def test_strengths_equal_but_for_rounding(circulant):
    strongest = circulant.sum(axis=1).max()
    np.testing.assert_array_equal(cores.s_core(circulant, s=strongest), circulant)
    assert not cores.s_core(circulant, s=strongest * (1 + 1e-9)).any()
    core, quality = cores.core_periphery(circulant)
    assert not core.any()
    assert quality == 0


def test_s_coreness_of_equal_weights_is_coreness():
    adjacency = random_weights(0.2, seed=3) > 0
    for scale in (0.1, 1e-200, 1e200):
        found = cores.s_coreness(scale * adjacency) / scale
        np.testing.assert_allclose(found, cores.coreness(adjacency), rtol=1e-12, atol=1e-12)


def quality_by_hand(weights, core, resolution):
    excess = weights - resolution * weights.mean()
    within = np.outer(core, core)
    without = np.outer(~core, ~core)
    return (excess[within].sum() - excess[without].sum()) / weights.sum()


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("resolution", [0.6, 1.0, 1.4])
def test_no_division_is_better(directed, ties, resolution):
    weights = random_weights(0.5, seed=4, ties=ties, directed=directed, n=9)
    core, quality = cores.core_periphery(weights, directed=directed, resolution=resolution)
    assert quality == pytest.approx(quality_by_hand(weights, core, resolution), rel=1e-12)
    best = max(
        quality_by_hand(weights, np.array(each), resolution)
        for each in itertools.product([False, True], repeat=9)
    )
    assert quality == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("resolution", [0.7, 1.0, 1.3])
def test_core_periphery_pinned(resolution):
    weights = random_weights(0.3, seed=5, directed=True)
    core, quality = cores.core_periphery(weights, directed=True, resolution=resolution)
    theirs, their_quality = bct.core_periphery_dir(weights.copy(), resolution, seed=0)
    np.testing.assert_array_equal(core, theirs)
    assert quality == pytest.approx(their_quality, rel=1e-10)


def test_closed_forms():
    np.testing.assert_array_equal(cores.coreness(KITE), [2, 2, 2, 1])
    np.testing.assert_array_equal(cores.k_core_sizes(KITE), [4, 4, 3, 0])
    np.testing.assert_array_equal(cores.s_coreness(0.5 * KITE), [1, 1, 1, 0.5])
    for n in (1, 2, 3, 9):
        complete = np.ones((n, n)) - np.eye(n)
        np.testing.assert_array_equal(cores.coreness(complete), n - 1)
        np.testing.assert_array_equal(cores.coreness_directed(complete), 2 * n - 2)
        np.testing.assert_array_equal(cores.coreness(0 * complete), 0)
        np.testing.assert_array_equal(cores.k_core(complete, k=n - 1), complete)
        assert not cores.k_core(complete, k=n).any()
        core, quality = cores.core_periphery(0.1 * complete)
        assert not core.any()
        assert np.isnan(quality) if n == 1 else quality == 0
    path = networkx.to_numpy_array(networkx.path_graph(5))
    np.testing.assert_array_equal(cores.k_core_rounds(path, k=2), [1, 2, 3, 2, 1])
    np.testing.assert_array_equal(cores.k_core_rounds(path, k=1), 0)
    star = networkx.to_numpy_array(networkx.star_graph(4))
    core, _ = cores.core_periphery(star)
    np.testing.assert_array_equal(core, [True, False, False, False, False])


def test_levels_are_checked():
    for wrong in (-1, np.nan):
        with pytest.raises(ValueError, match="k must be at least 0"):
            cores.k_core(KITE, k=wrong)
        with pytest.raises(ValueError, match="s must be at least 0"):
            cores.s_core(KITE, s=wrong)
    for wrong in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="resolution must be"):
            cores.core_periphery(KITE, resolution=wrong)


def test_contracts(contract):
    contract(cores.coreness, rank=1, binary=True)
    contract(cores.coreness_directed, rank=1, binary=True, directed=True)
    contract(cores.s_coreness, rank=1)
    contract(lambda a: cores.k_core(a, k=2), rank=2, binary=True)
    contract(lambda a: cores.k_core_directed(a, k=5), rank=2, binary=True, directed=True)
    contract(lambda w: cores.s_core(w, s=1.5), rank=2)
    contract(cores.k_core_sizes, rank=1, binary=True, reorder=False)
    contract(lambda a: cores.k_core_rounds(a, k=3), rank=1, binary=True)
    contract(lambda w: cores.core_periphery(w)[0], rank=1)
    contract(lambda w: cores.core_periphery(w)[1], rank=0)
    contract(lambda w: cores.core_periphery(w, directed=True)[0], rank=1, directed=True)
    contract(lambda w: cores.core_periphery(w, directed=True)[1], rank=0, directed=True)
