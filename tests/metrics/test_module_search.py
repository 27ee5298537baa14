import builtins
import random

import bct
import igraph
import networkx
import numpy as np
import pytest

from brainnet.metrics.module_search import (
    finetune,
    finetune_directed,
    finetune_signed,
    leiden,
    spectral_modules,
    tune_randomly_signed,
)
from brainnet.metrics.modules import (
    NULL_MODELS,
    louvain,
    modularity,
    modularity_directed,
    modularity_signed,
)


def random_network(n=40, seed=0, density=0.15, directed=False, signed=False, tied=False):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0, 1, (n, n)) * (rng.uniform(0, 1, (n, n)) < density)
    weights *= np.where(rng.random((n, n)) < 0.4, -1, 1) if signed else 1
    weights = np.sign(weights) * np.ceil(2 * np.abs(weights)) if tied else weights
    weights = np.triu(weights, 1) + (np.tril(weights, -1) if directed else 0)
    return weights if directed else weights + weights.T


KINDS = [
    (finetune, modularity, {}),
    (finetune_directed, modularity_directed, {"directed": True}),
    *[
        (
            lambda w, m, name=name, **more: finetune_signed(w, m, null_model=name, **more),
            lambda w, m, name=name: modularity_signed(w, m, null_model=name),
            {"signed": True},
        )
        for name in NULL_MODELS
    ],
]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("tune, quality, kind", KINDS)
def test_no_single_move_gains_after_finetuning(tune, quality, kind, tied):
    weights = random_network(20, 1, density=0.4, tied=tied, **kind)
    given = np.random.default_rng(2).integers(0, 4, 20)
    found = tune(weights, given)
    assert quality(weights, found) > quality(weights, given)
    for i in range(20):
        for module in range(found.max() + 2):
            moved = found.copy()
            moved[i] = module
            assert quality(weights, moved) < quality(weights, found) + 1e-8


def test_finetuning_leaves_the_best_as_it_is(modular):
    weights = modular(40, 4, density=0.3)
    planted = np.arange(40) % 4
    for tune in (finetune, finetune_directed, finetune_signed):
        assert tune(weights, 9 - planted).tolist() == planted.tolist()
        assert tune(np.zeros((3, 3)), [0, 0, 5]).tolist() == [0, 0, 1]
        assert tune([[0.0]], [3]).tolist() == [0]
    given = np.arange(40)
    runs = [finetune(random_network(), given, rng=s).tolist() for s in range(4)]
    assert any(run != runs[0] for run in runs)
    assert finetune(random_network(), given, rng=0).tolist() == runs[0]


def test_bctpy_finds_nothing_to_finetune_in_ours_nor_we_in_theirs():
    for seed in range(3):
        weights = random_network(30, seed, density=0.3)
        given = np.random.default_rng(seed).integers(0, 4, 30)
        ours = finetune(weights, given)
        _, theirs = bct.modularity_finetune_und(weights, ours + 1, seed=1)
        assert theirs == pytest.approx(float(modularity(weights, ours)), abs=1e-9)
        labels, theirs = bct.modularity_finetune_und(weights, given + 1, seed=seed)
        found = modularity(weights, finetune(weights, labels.astype(int)))
        assert found == pytest.approx(theirs, abs=1e-9)


def test_tuning_at_random():
    weights = random_network(40, 4, density=0.3, signed=True)
    given = np.random.default_rng(1).integers(0, 5, 40)
    quality = modularity_signed(weights, given)
    current = given
    for _ in range(
        30
    ):  # without chance, rounds end where single moves between modules gain nothing
        current = tune_randomly_signed(weights, current, probability=0)
        assert modularity_signed(weights, current) >= quality - 1e-12
        quality = modularity_signed(weights, current)
    assert quality > modularity_signed(weights, given) + 0.05
    for i in range(40):
        for module in range(current.max() + 1):
            moved = current.copy()
            moved[i] = module
            assert modularity_signed(weights, moved) < quality + 1e-8
    kept = [np.mean(tune_randomly_signed(weights, current, probability=p, rng=s) == current)
            for p, s in ((0.0, 0), (0.1, 0), (0.1, 1), (1.0, 0))]  # fmt: skip
    assert kept[0] == 1 > kept[1]
    chance = tune_randomly_signed(np.zeros((1200, 1200)), np.arange(1200) % 4, probability=1)
    assert np.bincount(chance).tolist() == pytest.approx([300] * 4, abs=75)  # 5 sd
    again = tune_randomly_signed(weights, given, probability=0.5, rng=3)
    assert tune_randomly_signed(weights, given, probability=0.5, rng=3).tolist() == again.tolist()


def test_spectral_finds_planted_modules(modular):
    planted = np.arange(40) % 4
    weights = modular(40, 4, density=0.2)
    assert spectral_modules(weights).tolist() == planted.tolist()
    one_way = np.triu(weights)
    assert spectral_modules(one_way, directed=True).tolist() == planted.tolist()
    assert spectral_modules(weights, directed=True).tolist() == planted.tolist()


def test_spectral_splits_the_karate_club_as_newman():
    """Newman (2006): 0.419 in four modules."""
    weights = networkx.to_numpy_array(networkx.karate_club_graph(), weight=None)
    found = spectral_modules(weights)
    assert found.max() + 1 == 4
    assert modularity(weights, found) == pytest.approx(0.419, abs=5e-4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tied", [False, True])
def test_spectral_is_no_worse_than_igraph(seed, tied):
    """Igraph's splits are not improved, so ours are better, or the same."""
    weights = random_network(40, seed, tied=tied)
    graph = igraph.Graph.Weighted_Adjacency(weights, mode="undirected")
    theirs = graph.community_leading_eigenvector(weights="weight").membership
    ours = spectral_modules(weights)
    assert modularity(weights, ours) > modularity(weights, theirs) - 1e-9
    assert modularity(weights, ours) > 0.95 * modularity(weights, louvain(weights)) - 0.01


def test_spectral_split_in_two_is_the_best(modular):
    """Of all 2**9 splits of a network in which two modules are best."""
    weights = modular(10, 2, density=0.5, seed=3)
    sides = (np.arange(2**9)[:, None] >> np.arange(10)) & 1
    batch = np.broadcast_to(weights, (2**9, 10, 10))
    best = modularity(batch, sides).max()
    found = spectral_modules(weights)
    assert modularity(weights, found) >= best - 1e-12


def test_spectral_degenerate_networks(contract):
    for n in (1, 2, 3):
        assert spectral_modules(np.zeros((n, n))).tolist() == list(range(n))
    assert spectral_modules(1.0 - np.eye(5)).tolist() == [0] * 5
    edge = np.zeros((4, 4))
    edge[1, 2] = 1
    assert spectral_modules(edge, directed=True).tolist() == [0, 1, 1, 2]
    contract(spectral_modules, rank=1, reorder=False)
    contract(lambda w: spectral_modules(w, directed=True), rank=1, directed=True, reorder=False)


def test_spectral_resolution_splits(modular):
    weights = modular(60, 5, density=0.3)
    sizes = [spectral_modules(weights, resolution=r).max() for r in (0.2, 1.0, 3.0)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_leiden_is_as_good_as_louvain(modular, contract):
    for seed in range(3):
        weights = random_network(60, seed)
        ours = modularity(weights, leiden(weights))
        assert ours == pytest.approx(float(modularity(weights, louvain(weights))), abs=0.01)
    weights = modular(60, 5, density=0.15)
    assert leiden(weights).tolist() == (np.arange(60) % 5).tolist()
    assert leiden(modular(60, 5, density=0.3), resolution=3).max() > 4
    assert leiden(np.zeros((3, 3))).tolist() == [0, 1, 2]
    contract(leiden, rank=1, reorder=False)


def test_leiden_of_a_seed_is_the_same_and_leaves_random_alone():
    weights = random_network(60, 1)
    random.seed(0)
    expected = random.random()
    random.seed(0)
    one = leiden(weights, n_runs=1, rng=3)
    assert random.random() == expected
    assert leiden(weights, n_runs=1, rng=3).tolist() == one.tolist()
    assert any(leiden(weights, n_runs=1, rng=s).tolist() != one.tolist() for s in range(4, 9))


def test_leiden_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **more):
        if name == "igraph":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install brainnet\[leiden\]"):
        leiden(np.zeros((3, 3)))


def test_options_are_checked():
    weights = random_network(6)
    for find in (spectral_modules, leiden):
        with pytest.raises(ValueError, match="resolution must be above 0"):
            find(weights, resolution=0)
    with pytest.raises(ValueError, match="n_runs must be a whole number"):
        leiden(weights, n_runs=0)
    with pytest.raises(ValueError, match="probability must be from 0 to 1"):
        tune_randomly_signed(weights, np.zeros(6, int), probability=2)
    for tune in (finetune, finetune_directed, finetune_signed):
        with pytest.raises(ValueError, match="modules must be whole numbers"):
            tune(weights, [0, 1])
        with pytest.raises(ValueError, match="resolution must be above 0"):
            tune(weights, np.zeros(6, int), resolution=-1)
