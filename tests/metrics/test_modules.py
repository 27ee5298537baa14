import itertools

import bct
import igraph
import networkx
import numpy as np
import pytest

from brainnet.metrics.modules import (
    NULL_MODELS,
    louvain,
    louvain_directed,
    louvain_matrix,
    louvain_signed,
    modularity,
    modularity_directed,
    modularity_signed,
)


def partitions(n):
    """All partitions of n regions, as restricted growth strings."""
    grown = [[0]]
    for _ in range(n - 1):
        grown = [[*labels, k] for labels in grown for k in range(max(labels) + 2)]
    return np.array(grown)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("resolution", [0.7, 1.0, 1.5])
def test_finds_the_best_of_all_partitions_of_small_networks(modular, seed, resolution):
    weights = modular(8, 3, density=0.5, seed=seed)
    candidates = partitions(8)
    assert len(candidates) == 4140  # Bell number
    batch = np.broadcast_to(weights, (len(candidates), 8, 8))
    best = modularity(batch, candidates, resolution=resolution).max()
    found = louvain(weights, resolution=resolution)
    assert modularity(weights, found, resolution=resolution) == pytest.approx(best, abs=1e-12)


def test_recovers_planted_modules_in_any_order(modular):
    weights = modular(60, 5, density=0.15)
    planted = np.arange(60) % 5
    assert louvain(weights).tolist() == planted.tolist()
    order = np.random.default_rng(0).permutation(60)
    found = louvain(weights[np.ix_(order, order)])
    assert np.array_equal(found[:, None] == found, planted[order][:, None] == planted[order])


@pytest.mark.parametrize("seed", range(3))
def test_is_no_worse_than_networkx(seed):
    rng = np.random.default_rng(seed)
    weights = np.triu(rng.uniform(0, 1, (50, 50)) * (rng.uniform(0, 1, (50, 50)) < 0.15), 1)
    weights += weights.T
    graph = networkx.from_numpy_array(weights)
    theirs = max(
        networkx.community.modularity(graph, networkx.community.louvain_communities(graph, seed=s))
        for s in range(5)
    )
    assert modularity(weights, louvain(weights)) > theirs - 0.005


def test_rng_decides_and_other_networks_do_not():
    rng = np.random.default_rng(3)
    batch = np.triu(rng.uniform(0, 1, (4, 40, 40)), 1)
    batch += np.swapaxes(batch, 1, 2)
    together = louvain(batch, rng=5)
    for network, expected in zip(batch[::-1], together[::-1], strict=True):
        assert louvain(network, rng=5).tobytes() == expected.tobytes()
    other = [louvain(batch, rng=s, n_runs=1) for s in range(3)]
    assert any(not np.array_equal(a, b) for a, b in itertools.pairwise(other))


def test_more_runs_are_never_worse_and_at_times_better():
    rng = np.random.default_rng(4)
    weights = np.triu(rng.uniform(0, 1, (60, 60)) * (rng.uniform(0, 1, (60, 60)) < 0.1), 1)
    weights += weights.T
    quality = [float(modularity(weights, louvain(weights, n_runs=n))) for n in range(1, 9)]
    assert (np.diff(quality) >= 0).all()
    assert quality[-1] > quality[0]


def test_scale_does_not_matter(modular):
    weights = modular(40)
    for scale in (1e-9, 1e9):
        assert louvain(scale * weights).tolist() == louvain(weights).tolist()


def test_resolution_splits(modular):
    weights = modular(60, 5, density=0.3)
    sizes = [louvain(weights, resolution=r).max() + 1 for r in (0.2, 1.0, 3.0)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_options_are_checked(modular):
    with pytest.raises(ValueError, match="resolution must be above 0"):
        louvain(modular(6), resolution=0)
    with pytest.raises(ValueError, match="resolution must be above 0"):
        modularity(modular(6), np.zeros(6, int), resolution=-1)
    with pytest.raises(ValueError, match="n_runs must be a whole number"):
        louvain(modular(6), n_runs=0)
    with pytest.raises(ValueError, match="null_model must be one of"):
        louvain_signed(modular(6), null_model="sta")
    with pytest.raises(ValueError, match="gains must be square"):
        louvain_matrix(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="gains must be finite"):
        louvain_matrix(np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="modules must be whole numbers"):
        modularity_directed(modular(6), np.full(6, 0.5))


def a_signed(n, seed, tied=False):
    rng = np.random.default_rng(seed)
    weights = np.triu(rng.normal(0.2, 1, (n, n)) * (rng.random((n, n)) < 0.6), 1)
    weights = np.round(weights) if tied else weights
    return weights + weights.T


def a_directed(n, seed, tied=False):
    rng = np.random.default_rng(seed)
    weights = rng.random((n, n)) * (rng.random((n, n)) < 0.3) * (1 - np.eye(n))
    return np.ceil(2 * weights) if tied else weights


def q_by_definition(weights, labels, resolution):
    out, into, total = weights.sum(1), weights.sum(0), weights.sum()
    value = 0.0
    for i, j in itertools.product(range(len(weights)), repeat=2):
        if labels[i] == labels[j]:
            value += weights[i, j] / total - resolution * out[i] * into[j] / total**2
    return value


@pytest.mark.parametrize("tied", [False, True])
def test_modularity_is_its_definition(tied):
    weights = a_directed(15, 0, tied)
    labels = np.random.default_rng(1).integers(-2, 3, 15)
    for gamma in (0.6, 1.0, 1.7):
        expected = q_by_definition(weights, labels, gamma)
        found = modularity_directed(weights, labels, resolution=gamma)
        assert found == pytest.approx(expected, abs=1e-13)
        both = weights + weights.T
        expected = q_by_definition(both, labels, gamma)
        assert modularity(both, labels, resolution=gamma) == pytest.approx(expected, abs=1e-13)
        assert modularity_directed(both, labels, resolution=gamma) == pytest.approx(expected)


def test_directed_modularity_is_that_of_networkx():
    weights = a_directed(20, 3)
    labels = np.arange(20) % 3
    groups = [set(np.flatnonzero(labels == c).tolist()) for c in range(3)]
    graph = networkx.from_numpy_array(weights, create_using=networkx.DiGraph)
    theirs = networkx.community.modularity(graph, groups, resolution=1.2)
    ours = modularity_directed(weights, labels, resolution=1.2)
    assert ours == pytest.approx(theirs, abs=1e-13)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    "null_model, name",
    [("asymmetric", "sta"), ("symmetric", "smp"), ("gja", "gja"), ("positive", "pos"),
     ("negative", "neg")],
)  # fmt: skip
def test_signed_modularity_is_that_of_bctpy(null_model, name, tied):
    weights = a_signed(24, 5, tied)
    labels, theirs = bct.modularity_louvain_und_sign(weights, qtype=name, seed=1)
    ours = modularity_signed(weights, labels, null_model=null_model)
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_signed_modularity_without_one_sign(modular):
    weights = modular(20)
    labels = np.arange(20) % 4
    plain = modularity(weights, labels)
    for null_model in ("asymmetric", "symmetric", "gja", "positive"):
        assert modularity_signed(weights, labels, null_model=null_model) == pytest.approx(plain)
        assert np.isnan(modularity_signed(np.zeros((3, 3)), [0, 0, 1], null_model=null_model))
    assert np.isnan(modularity_signed(weights, labels, null_model="negative"))
    for null_model in ("asymmetric", "symmetric", "gja", "negative"):
        assert modularity_signed(-weights, labels, null_model=null_model) == pytest.approx(-plain)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("null_model", NULL_MODELS)
def test_signed_finds_the_best_of_all_partitions(null_model, seed):
    weights = a_signed(8, seed)
    batch = np.broadcast_to(weights, (4140, 8, 8))
    best = modularity_signed(batch, partitions(8), null_model=null_model).max()
    found = louvain_signed(weights, null_model=null_model, n_runs=30)
    assert modularity_signed(weights, found, null_model=null_model) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(1, 5))  # in seed 0, tied, all orders end beside the best
@pytest.mark.parametrize("tied", [False, True])
def test_directed_finds_the_best_of_all_partitions(seed, tied):
    weights = a_directed(8, seed, tied)
    batch = np.broadcast_to(weights, (4140, 8, 8))
    best = modularity_directed(batch, partitions(8), resolution=1.3).max()
    found = louvain_directed(weights, resolution=1.3, n_runs=30)
    assert modularity_directed(weights, found, resolution=1.3) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_matrix_finds_the_best_of_all_partitions(seed):
    gains = np.random.default_rng(seed).normal(-0.1, 1, (8, 8))
    labels = partitions(8)
    same = labels[:, :, None] == labels[:, None, :]
    best = (gains * same).sum(axis=(1, 2)).max()
    found = louvain_matrix(gains, n_runs=30)
    assert (gains * (found[:, None] == found)).sum() == pytest.approx(best)


def test_kinds_agree_on_plain_networks(modular):
    weights = modular(60, 5, density=0.2)
    plain = louvain(weights).tolist()
    assert louvain_directed(weights).tolist() == plain
    assert louvain_signed(weights).tolist() == plain
    strength = weights.sum(1)
    assert louvain_matrix(weights - np.outer(strength, strength) / weights.sum()).tolist() == plain


@pytest.mark.parametrize("density", [0.05, 0.15, 0.24])
def test_is_no_worse_than_igraph(modular, density):
    for seed in range(3):
        weights = modular(100, 6, density=density, seed=seed)
        graph = igraph.Graph.Weighted_Adjacency(weights, mode="undirected")
        theirs = max(graph.community_multilevel(weights="weight").q for _ in range(10))
        assert modularity(weights, louvain(weights)) > theirs - 1e-6  # equal or better


def test_no_single_move_gains(modular):
    weights = a_signed(40, 7)
    weights = np.maximum(weights, 0)
    labels = louvain(weights, n_runs=1)
    quality = modularity(weights, labels)
    for i in range(40):
        for module in range(labels.max() + 2):
            moved = labels.copy()
            moved[i] = module
            assert modularity(weights, moved) < quality + 1e-9


@pytest.mark.parametrize("find", [louvain, louvain_directed, louvain_signed, louvain_matrix])
def test_degenerate_networks(find, all_kinds):
    for n in (1, 2, 3):
        assert find(np.zeros((n, n))).tolist() == list(range(n))
    assert find([[0, 1], [1, 0]]).tolist() == [0, 0]
    edge = np.zeros((5, 5))
    edge[1, 3] = edge[3, 1] = 2
    assert find(edge).tolist() == [0, 1, 2, 1, 3]
    assert find(1.0 - np.eye(6)).tolist() == [0] * 6
    labels = find(all_kinds())
    assert labels.shape == (3, 2, 12)
    assert labels.dtype == np.int64
    for index in np.ndindex(3, 2):
        assert find(all_kinds()[index]).tolist() == labels[index].tolist()


def test_contracts(contract):
    labels = np.zeros(12, int)
    contract(lambda w: modularity(w, labels), rank=0)
    contract(lambda w: modularity_directed(w, labels), rank=0, directed=True)
    contract(lambda w: modularity_signed(w, labels), rank=0, signed=True)
    contract(louvain, rank=1, reorder=False)
    contract(louvain_directed, rank=1, directed=True, reorder=False)
    contract(louvain_signed, rank=1, signed=True, reorder=False)


def test_generator_is_drawn_from(modular):
    weights = a_signed(60, 2)
    generator = np.random.default_rng(0)
    runs = [louvain_signed(weights, n_runs=1, rng=generator).tolist() for _ in range(5)]
    assert any(run != runs[0] for run in runs)
