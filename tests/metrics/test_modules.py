import itertools

import networkx
import numpy as np
import pytest

from brainnet.metrics.modules import louvain, modularity


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


def test_seed_decides_and_other_networks_do_not():
    rng = np.random.default_rng(3)
    batch = np.triu(rng.uniform(0, 1, (4, 40, 40)), 1)
    batch += np.swapaxes(batch, 1, 2)
    together = louvain(batch, seed=5)
    for network, expected in zip(batch[::-1], together[::-1], strict=True):
        assert louvain(network, seed=5).tobytes() == expected.tobytes()
    other = [louvain(batch, seed=s, n_runs=1) for s in range(3)]
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
    with pytest.raises(ValueError, match="n_runs must be at least 1"):
        louvain(modular(6), n_runs=0)
