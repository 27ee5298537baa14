"""Rewired networks: what stays, what is possible, and that all of it is equally likely."""

import numpy as np
import pytest

from brainnet.metrics import nulls

UNDIRECTED = [nulls.rewire]
ALL = [nulls.rewire, nulls.rewire_directed]


def ring(n):
    return np.roll(np.eye(n), 1, axis=1) + np.roll(np.eye(n), -1, axis=1)


def star(n):
    network = np.zeros((n, n))
    network[0, 1:] = network[1:, 0] = 1
    return network


def complete(n):
    return np.ones((n, n)) - np.eye(n)


def from_edges(n, edges, *, directed=False):
    network = np.zeros((n, n), dtype=bool)
    for i, j in edges:
        network[i, j] = True
        network[j, i] |= not directed
    return network


def test_partial_takes_a_mask_each_and_keeps_weights(modular):
    networks = np.array([modular(30, density=0.3, seed=s) for s in (1, 2)])
    masks = np.array([from_edges(30, [(i, i + 1) for i in range(k, 25)]) for k in (0, 9)])
    drawn = nulls.rewire_partial(networks, masks, n_nulls=3)
    for network, mask, some in zip(networks, masks, drawn, strict=True):
        for null in some:
            np.testing.assert_array_equal(null[mask], network[mask])
            assert ((null > 0) != (network > 0)).sum() > 100
            np.testing.assert_array_equal(np.sort(null, axis=None), np.sort(network, axis=None))
    with pytest.raises(ValueError, match="fixed must be of shape"):
        nulls.rewire_partial(networks, masks[:, 1:, 1:])


def test_degrees_and_weights_stay(modular):
    weights = modular(60, density=0.2)
    drawn = nulls.rewire(weights, n_nulls=4)
    assert drawn.dtype == np.float64
    for null in drawn:
        np.testing.assert_array_equal(null, null.T)
        np.testing.assert_array_equal((null > 0).sum(0), (weights > 0).sum(0))
        np.testing.assert_array_equal(np.sort(null, axis=None), np.sort(weights, axis=None))
        assert not null.diagonal().any()


def test_directed_degrees_and_weights_stay(modular):
    rng = np.random.default_rng(0)
    weights = modular(60, density=0.3) * (rng.random((60, 60)) < 0.6)
    for null in nulls.rewire_directed(weights, n_nulls=4):
        for axis in (0, 1):
            np.testing.assert_array_equal((null > 0).sum(axis), (weights > 0).sum(axis))
        np.testing.assert_array_equal(np.sort(null, axis=None), np.sort(weights, axis=None))
        assert not null.diagonal().any()
        assert (null != null.T).any()
        assert ((null > 0) != (weights > 0)).sum() > 500


def test_ten_swaps_per_edge_forget_the_network_and_few_do_not(modular):
    adjacency = modular(100, density=0.1) > 0
    density = adjacency.mean()

    def overlap(swaps):
        drawn = nulls.rewire(adjacency, n_nulls=20, swaps_per_edge=swaps)
        return (drawn & adjacency).sum() / adjacency.sum() / 20

    assert overlap(0) == 1
    assert overlap(0.05) == pytest.approx(0.9, abs=0.02)  # each swap moves two edges
    assert overlap(10) == pytest.approx(density, abs=0.05)


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize(
    "network", [np.zeros((1, 1)), np.zeros((5, 5)), ring(2), ring(3), star(6), complete(7)]
)
def test_what_has_no_other_network_is_returned(measure, network):
    for each in (network, network.astype(bool)):
        drawn = measure(each, n_nulls=2)
        np.testing.assert_array_equal(drawn, [each, each])
        assert drawn.dtype == each.dtype


def test_isolated_regions_stay_isolated(weights):
    drawn = nulls.rewire(weights, n_nulls=10)
    assert not drawn[:, -1].any()
    np.testing.assert_array_equal((drawn > 0).sum(-1), 10 * [(weights > 0).sum(-1)])


@pytest.mark.parametrize("measure", ALL)
def test_batches_seeds_and_threads(measure, modular, monkeypatch):
    batch = np.array([[modular(60, seed=s) for s in (1, 2, 3)], [modular(60, seed=9)] * 3])
    drawn = measure(batch, n_nulls=20, rng=3)
    assert drawn.shape == (2, 3, 20, 60, 60)
    np.testing.assert_array_equal(measure(batch, n_nulls=4, rng=3), drawn[:, :, :4])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    np.testing.assert_array_equal(measure(batch, n_nulls=20, rng=3), drawn)
    assert (measure(batch, n_nulls=4, rng=4) != drawn[:, :, :4]).any()
    assert (drawn[1, 0] != drawn[1, 1]).any()
    frozen = np.asfortranarray(batch)
    frozen.flags.writeable = False
    np.testing.assert_array_equal(measure(frozen, n_nulls=20, rng=3), drawn)


@pytest.mark.parametrize("measure", ALL)
def test_what_users_do_wrong(measure):
    for wrong in (
        {"n_nulls": 0},
        {"n_nulls": 1.5},
        {"swaps_per_edge": -1},
        {"swaps_per_edge": np.nan},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            measure(ring(5), **wrong)
    with pytest.raises(ValueError, match="zero diagonal"):
        measure(np.ones((4, 4)))
    with pytest.raises(ValueError, match="square"):
        measure(np.ones((4, 3)))


def test_asymmetric_networks_need_the_directed_kind():
    with pytest.raises(ValueError, match="symmetric"):
        nulls.rewire(np.triu(ring(5)))


def test_signs_are_carried_along(modular):
    weights = modular(40, density=0.3)
    weights[weights < np.median(weights[weights > 0])] *= -1
    (null,) = nulls.rewire(weights)
    np.testing.assert_array_equal(np.sort(null, axis=None), np.sort(weights, axis=None))


def test_dense_networks_are_rewired(modular):
    adjacency = modular(40, density=0.9) > 0
    (null,) = nulls.rewire(adjacency)
    np.testing.assert_array_equal(null.sum(0), adjacency.sum(0))
    gaps = ~adjacency & ~np.eye(40, dtype=bool)
    assert (gaps & null).sum() > 0.7 * gaps.sum()
