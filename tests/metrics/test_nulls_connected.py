"""Rewired and lattice-like networks that stay connected."""

import bct
import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from brainnet.metrics import nulls


def ring(n):
    return np.roll(np.eye(n), 1, axis=1) + np.roll(np.eye(n), -1, axis=1)


def star(n):
    network = np.zeros((n, n))
    network[0, 1:] = network[1:, 0] = 1
    return network


def complete(n):
    return np.ones((n, n)) - np.eye(n)


UNDIRECTED = [nulls.rewire_connected, nulls.latticize, nulls.latticize_connected]
DIRECTED = [
    nulls.rewire_connected_directed,
    nulls.latticize_directed,
    nulls.latticize_connected_directed,
]
CONNECTED = [
    nulls.rewire_connected,
    nulls.rewire_connected_directed,
    nulls.latticize_connected,
    nulls.latticize_connected_directed,
]


def in_one_piece(network):
    return connected_components(network, connection="strong")[0] == 1


@pytest.mark.parametrize("measure", CONNECTED)
@pytest.mark.parametrize("n", [9, 70, 130])
def test_sparse_networks_stay_in_one_piece(measure, n):
    circle = np.roll(np.eye(n), 1, axis=1)
    network = circle if "_directed" in measure.__name__ else circle + circle.T
    network[0, n // 2] = network[n // 2, 0] = 1
    drawn = measure(network, n_nulls=20)
    assert all(in_one_piece(null) for null in drawn)
    assert (drawn != network).any(axis=(1, 2)).all()
    assert not drawn.diagonal(axis1=1, axis2=2).any()


@pytest.mark.parametrize(
    "measure", [nulls.rewire_connected_directed, nulls.latticize_connected_directed]
)
def test_circles_with_chords_stay_strongly_connected(measure):
    rng = np.random.default_rng(0)
    chords = np.triu(rng.random((20, 12, 12)) < 0.1, 2)  # one way only
    network = (np.roll(np.eye(12), 1, axis=1) > 0) | chords
    drawn = measure(network, n_nulls=50)
    assert all(in_one_piece(null) for null in drawn.reshape(-1, 12, 12))


def test_without_the_rule_they_fall_apart():
    drawn = nulls.rewire(ring(20), n_nulls=20)
    assert not all(in_one_piece(null) for null in drawn)


@pytest.mark.parametrize("measure", UNDIRECTED + DIRECTED)
def test_degrees_weights_seeds_and_batches(measure, modular):
    batch = np.array([modular(50, density=0.3, seed=s) for s in (1, 2)])
    if measure in DIRECTED:
        batch *= np.random.default_rng(0).random(batch.shape) < 0.8
    drawn = measure(batch, n_nulls=6, rng=5)
    assert drawn.shape == (2, 6, 50, 50)
    for network, some in zip(batch, drawn, strict=True):
        for null in some:
            for axis in (0, 1):
                np.testing.assert_array_equal((null > 0).sum(axis), (network > 0).sum(axis))
            np.testing.assert_array_equal(np.sort(null, axis=None), np.sort(network, axis=None))
            assert (null != network).sum() > 200
    if measure in UNDIRECTED:
        np.testing.assert_array_equal(drawn, drawn.swapaxes(-1, -2))
    np.testing.assert_array_equal(measure(batch, n_nulls=2, rng=5), drawn[:, :2])
    as_boolean = measure(batch > 0, n_nulls=2)
    assert as_boolean.dtype == bool
    np.testing.assert_array_equal(as_boolean.sum(-1)[:, 0], (batch > 0).sum(-1))


@pytest.mark.parametrize("measure", UNDIRECTED + DIRECTED)
@pytest.mark.parametrize("network", [np.zeros((1, 1)), ring(2), ring(3), star(6), complete(7)])
def test_what_has_no_other_network_is_returned(measure, network):
    np.testing.assert_array_equal(measure(network, n_nulls=2), [network, network])


@pytest.mark.parametrize("measure", CONNECTED)
def test_pieces_are_refused_with_the_remedy(measure, weights):
    with pytest.raises(ValueError, match=r"network 0 is in 3 pieces.*nulls\.(rewire|latticize)"):
        measure(weights)


def test_one_way_out_is_not_strongly_connected():
    with pytest.raises(ValueError, match="strongly connected; network 1 is in 2 pieces"):
        nulls.rewire_connected_directed(
            [np.roll(np.eye(3), 1, axis=1), np.eye(3, k=1) + np.eye(3, k=-1) - np.diag([0, 1], -1)]
        )


def length(networks, apart):
    return (networks * apart).sum(axis=(-2, -1))


def test_edges_come_near_the_diagonal_and_clustering_rises(modular):
    network = modular(60, density=0.15) > 0
    place = np.arange(60)
    apart = np.abs(place[:, None] - place)
    (null,) = nulls.latticize(network, distances=apart)
    assert length(null, apart) < 0.35 * length(network, apart)
    nearest = np.sort(apart, axis=1)  # no network with these degrees is shorter than this
    bound = sum(nearest[i, 1 : k + 1].sum() for i, k in enumerate(network.sum(0)))
    assert length(null, apart) < 1.3 * bound

    def triangles(each):
        return np.trace(np.linalg.matrix_power(each.astype(float), 3))

    assert triangles(null) > 1.5 * triangles(nulls.rewire(network)[0])
    assert triangles(nulls.latticize(network)[0]) > 1.5 * triangles(nulls.rewire(network)[0])


def test_edges_come_as_near_as_those_of_the_toolbox(modular):
    """With distances along a line, on which both start from the same order; means of 5 draws."""
    network = (modular(40, density=0.15) > 0).astype(float)
    place = np.arange(40)
    apart = np.abs(place[:, None] - place).astype(float)
    theirs = []
    for seed in range(5):
        _, null, _, _ = bct.latmio_und(network.copy(), 10, D=apart, seed=seed)
        np.testing.assert_array_equal(np.sort(null.sum(0)), np.sort(network.sum(0)))
        theirs.append(length(null, apart))
    ours = length(nulls.latticize(network, distances=apart, n_nulls=5), apart)
    assert ours.mean() < 1.05 * np.mean(theirs)


def test_strong_edges_are_brought_nearer_than_weak_ones(modular):
    network = modular(60, density=0.2)
    place = np.arange(60)
    apart = np.abs(place[:, None] - place)
    (null,) = nulls.latticize(network, distances=apart)
    present = null > 0
    assert np.corrcoef(null[present], apart[present])[0, 1] < -0.3


@pytest.mark.parametrize("measure", [nulls.latticize, nulls.latticize_directed])
def test_what_users_do_wrong(measure):
    with pytest.raises(ValueError, match="distances must be of shape"):
        measure(ring(5), distances=ring(6))
    with pytest.raises(ValueError, match="distances must be symmetric"):
        measure(ring(5), distances=np.triu(ring(5)))
    with pytest.raises(ValueError, match="networks must be non-negative"):
        measure(-ring(5))
    with pytest.raises(ValueError, match="swaps_per_edge"):
        measure(ring(5), swaps_per_edge=-2)
