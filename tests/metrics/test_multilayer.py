import itertools

import numpy as np
import pytest

from brainnet.metrics.modules import louvain, modularity
from brainnet.metrics.multilayer import (
    flexibility,
    integration,
    multilayer_louvain,
    multilayer_modularity,
    persistence,
    promiscuity,
    recruitment,
)
from brainnet.metrics.partitions import allegiance

OPTIONS = [("ordinal", 0.0), ("ordinal", 0.4), ("categorical", 0.4)]


def random_layers(n_layers=3, n=8, seed=0, density=0.5, tied=False):
    rng = np.random.default_rng(seed)
    layers = rng.random((n_layers, n, n)) * (rng.random((n_layers, n, n)) < density)
    layers = np.triu(np.ceil(2 * layers) if tied else layers, 1)
    return layers + np.swapaxes(layers, 1, 2)


def gains_by_definition(layers, gamma, omega, order):
    """Mucha et al. (2010): the matrix whose sum within modules is 2 mu Q, and 2 mu."""
    n_layers, n, _ = layers.shape
    gains = np.zeros((n_layers * n, n_layers * n))
    total = 0.0
    for a, b in itertools.product(range(n_layers), repeat=2):
        block = np.zeros((n, n))
        if a == b:
            strength = layers[a].sum(0)
            block += layers[a]
            if layers[a].any():
                block -= gamma * np.outer(strength, strength) / layers[a].sum()
            total += layers[a].sum()
        elif order == "categorical" or abs(a - b) == 1:
            block += omega * np.eye(n)
            total += omega * n
        gains[a * n : (a + 1) * n, b * n : (b + 1) * n] = block
    return gains, total


def q_by_definition(layers, labels, gamma, omega, order):
    gains, total = gains_by_definition(layers, gamma, omega, order)
    flat = np.ravel(labels)
    return (gains * (flat[:, None] == flat)).sum() / total


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("order, coupling", OPTIONS)
def test_modularity_is_its_definition(order, coupling, tied):
    layers = random_layers(4, 7, tied=tied)
    layers[2] = 0
    labels = np.random.default_rng(1).integers(-1, 3, (4, 7))
    for gamma in (0.7, 1.0, 1.6):
        options = {"resolution": gamma, "coupling": coupling, "order": order}
        expected = q_by_definition(layers, labels, gamma, coupling, order)
        found = multilayer_modularity(layers, labels, **options)
        assert found == pytest.approx(expected, abs=1e-12)
    both = multilayer_modularity(np.stack([layers, layers[::-1]]), labels)
    assert both.shape == (2,)
    assert both[0] == pytest.approx(float(multilayer_modularity(layers, labels)))


def test_one_layer_is_plain_modularity(modular):
    weights = modular(40, 4, density=0.2)
    labels = multilayer_louvain(weights[None])[0]
    assert labels.tolist() == louvain(weights).tolist()
    quality = multilayer_modularity(weights[None], labels[None])
    assert quality == pytest.approx(float(modularity(weights, labels)))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("order, coupling", OPTIONS)
def test_finds_the_best_of_all_partitions(order, coupling, seed, tied):
    """Of all 4140 partitions of 2 layers of 4 regions."""
    grown = [[0]]
    for _ in range(7):
        grown = [[*labels, k] for labels in grown for k in range(max(labels) + 2)]
    candidates = np.array(grown)
    layers = random_layers(2, 4, seed, density=0.8, tied=tied)
    gains, total = gains_by_definition(layers, 1.0, coupling, order)
    same = candidates[:, :, None] == candidates[:, None, :]
    best = (gains * same).sum(axis=(1, 2)).max() / total
    found = multilayer_louvain(layers, coupling=coupling, order=order, n_runs=30)
    quality = multilayer_modularity(layers, found, coupling=coupling, order=order)
    assert quality == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("order, coupling", OPTIONS)
def test_no_single_move_gains(order, coupling):
    layers = random_layers(3, 12, 5, density=0.3)
    options = {"coupling": coupling, "order": order}
    found = multilayer_louvain(layers, n_runs=1, **options)
    quality = multilayer_modularity(layers, found, **options)
    for index in np.ndindex(3, 12):
        for module in range(found.max() + 2):
            moved = found.copy()
            moved[index] = module
            assert multilayer_modularity(layers, moved, **options) < quality + 1e-9


def test_is_as_good_as_the_same_search_on_the_whole_matrix():
    from brainnet.metrics.modules import louvain_matrix

    layers = random_layers(4, 25, 2, density=0.2)
    gains, total = gains_by_definition(layers, 1.0, 0.3, "ordinal")
    flat = louvain_matrix(gains)
    theirs = (gains * (flat[:, None] == flat)).sum() / total
    found = multilayer_louvain(layers, coupling=0.3)
    assert multilayer_modularity(layers, found, coupling=0.3) > theirs - 0.01


def test_follows_planted_modules_that_change(modular):
    first, second = np.arange(40) % 4, np.arange(40) % 4
    second[:4] = [1, 2, 3, 0]
    weights = modular(40, 4, density=0.24)
    order = np.arange(40)
    order[:4] = [3, 0, 1, 2]  # region i is now where a region of module second[i] was
    later = weights[np.ix_(order, order)]
    layers = np.stack([weights] * 3 + [later] * 3)
    found = multilayer_louvain(layers, coupling=0.5)
    assert found.max() == 3
    assert flexibility(found)[4:].tolist() == [0] * 36
    assert flexibility(found)[:4].tolist() == [0.2] * 4
    assert found[0].tolist() == first.tolist()
    assert (found[5, :4] != found[0, :4]).all()


def test_strong_coupling_keeps_modules_and_none_lets_go():
    layers = random_layers(4, 10, 3)
    assert persistence(multilayer_louvain(layers, coupling=100)) == 1
    apart = multilayer_louvain(layers, coupling=0)
    for a, b in itertools.combinations(apart, 2):
        assert not set(a.tolist()) & set(b.tolist())


def test_batches_are_loops_and_input_is_left_alone():
    batch = np.stack([random_layers(seed=s) for s in range(4)]).reshape(2, 2, 3, 8, 8)
    given = batch.copy()
    given.flags.writeable = False
    together = multilayer_louvain(given)
    assert together.shape == (2, 2, 3, 8)
    for index in np.ndindex(2, 2):
        assert multilayer_louvain(batch[index]).tolist() == together[index].tolist()
    quality = multilayer_modularity(given, together)
    assert quality.shape == (2, 2)
    assert multilayer_modularity(batch[1, 0], together[1, 0]) == quality[1, 0]


def test_degenerate_networks():
    empty = np.zeros((2, 3, 3))
    assert multilayer_louvain(empty, coupling=0).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert multilayer_louvain(empty).tolist() == [[0, 1, 2], [0, 1, 2]]
    assert np.isnan(multilayer_modularity(empty, [[0, 1, 2]] * 2, coupling=0))
    assert multilayer_modularity(empty, [[0, 1, 2]] * 2) == 1
    assert multilayer_louvain(np.zeros((1, 1, 1))).tolist() == [[0]]
    assert multilayer_louvain([[[0, 1], [1, 0]]]).tolist() == [[0, 0]]


def test_measures_of_change_are_their_definitions():
    labels = np.random.default_rng(4).integers(0, 4, (3, 6, 9))
    systems = np.array([0, 0, 0, 1, 1, 2, 2, 2, 7])
    flex, keep, many = flexibility(labels), persistence(labels), promiscuity(labels)
    recruit, integrate = recruitment(labels, systems), integration(labels, systems)
    assert flex.shape == many.shape == recruit.shape == (3, 9)
    for m in range(3):
        shares = allegiance(labels[m])
        total = len(np.unique(labels[m]))
        assert keep[m] == pytest.approx(1 - flex[m].mean())
        for i in range(9):
            path = labels[m, :, i]
            assert flex[m, i] == pytest.approx(np.mean(path[1:] != path[:-1]))
            assert many[m, i] == pytest.approx(len(set(path.tolist())) / total)
            mates = [j for j in range(9) if systems[j] == systems[i] and j != i]
            others = [j for j in range(9) if systems[j] != systems[i]]
            assert integrate[m, i] == pytest.approx(shares[i, others].mean())
            if mates:
                assert recruit[m, i] == pytest.approx(shares[i, mates].mean())
    assert np.isnan(recruit[:, 8]).all()
    assert np.isnan(integration(labels, np.zeros(9, int))).all()
    assert np.isnan(flexibility(labels[:, :1])).all()
    assert np.isnan(persistence(labels[:, :1])).all()


def test_what_does_not_fit_is_refused():
    layers = random_layers()
    labels = np.zeros((3, 8), int)
    with pytest.raises(ValueError, match="weights must have layers"):
        multilayer_louvain(layers[0])
    with pytest.raises(ValueError, match="non-negative"):
        multilayer_louvain(-layers)
    with pytest.raises(ValueError, match="coupling must be 0 or more"):
        multilayer_louvain(layers, coupling=-1)
    with pytest.raises(ValueError, match="order must be one of"):
        multilayer_modularity(layers, labels, order="temporal")
    with pytest.raises(ValueError, match="resolution must be above 0"):
        multilayer_modularity(layers, labels, resolution=0)
    with pytest.raises(ValueError, match="n_runs must be a whole number"):
        multilayer_louvain(layers, n_runs=0)
    with pytest.raises(ValueError, match="modules must have shape"):
        multilayer_modularity(layers, labels[0])
    with pytest.raises(ValueError, match="modules must be whole numbers"):
        multilayer_modularity(layers, labels + 0.5)
    for measure in (flexibility, persistence, promiscuity):
        with pytest.raises(ValueError, match="modules must be whole numbers"):
            measure([0, 1])
    for measure in (recruitment, integration):
        with pytest.raises(ValueError, match="systems must be whole numbers"):
            measure(labels, np.zeros(7, int))
