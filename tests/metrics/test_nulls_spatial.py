"""Nulls that keep edge lengths, and nulls of layers."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from brainnet.metrics import nulls


def spatial_network(n=80, seed=0):
    """Weights and distances of regions in a box; near ones are connected more strongly."""
    rng = np.random.default_rng(seed)
    coordinates = rng.uniform(0, 100, (n, 3))
    distances = cdist(coordinates, coordinates)
    chance = np.exp(-distances / 20)
    weights = np.triu((rng.random((n, n)) < chance) * rng.lognormal(size=(n, n)) * chance, 1)
    return weights + weights.T, distances


def counts(network, distances, n_bins):
    upper = np.triu_indices(len(network), 1)
    edges = np.linspace(distances[upper].min(), distances[upper].max(), n_bins + 1)
    return np.histogram(distances[upper][network[upper] != 0], edges)[0]


@pytest.mark.parametrize("n_bins", [1, 5, 12])
def test_degrees_lengths_and_weights_stay(n_bins):
    weights, distances = spatial_network()
    drawn = nulls.rewire_spatial(weights, distances, n_bins=n_bins, n_nulls=4)
    for null in drawn:
        np.testing.assert_array_equal(null, null.T)
        np.testing.assert_array_equal((null > 0).sum(0), (weights > 0).sum(0))
        np.testing.assert_array_equal(np.sort(null, axis=None), np.sort(weights, axis=None))
        np.testing.assert_array_equal(
            counts(null, distances, n_bins), counts(weights, distances, n_bins)
        )
        assert not null.diagonal().any()
    assert ((drawn > 0) & (weights > 0)).sum() < 0.7 * drawn.astype(bool).sum()


def test_more_bins_keep_lengths_better():
    weights, distances = spatial_network()
    differ = [
        nulls.length_difference(
            weights, nulls.rewire_spatial(weights, distances, n_bins=k, n_nulls=5), distances
        ).mean()
        for k in (1, 4, 15)
    ]
    assert differ[0] > 0.3
    assert differ[0] > 2 * differ[1] > 4 * differ[2]


def test_weights_keep_their_lengths():
    weights, distances = spatial_network()
    (null,) = nulls.rewire_spatial(weights, distances, n_bins=12)
    upper = np.triu_indices(80, 1)
    bins = np.digitize(distances[upper], np.linspace(*_ends(distances[upper]), 13)[1:-1])
    for k in range(12):
        chosen = bins == k
        np.testing.assert_array_equal(np.sort(null[upper][chosen]), np.sort(weights[upper][chosen]))


def _ends(values):
    return values.min(), values.max()


def test_length_difference_is_the_ks_statistic():
    weights, distances = spatial_network()
    drawn = nulls.rewire(weights, n_nulls=3)
    upper = np.triu_indices(80, 1)
    lengths = [distances[upper][each[upper] != 0] for each in (weights, *drawn)]
    expected = [stats.ks_2samp(lengths[0], each).statistic for each in lengths[1:]]
    np.testing.assert_allclose(nulls.length_difference(weights, drawn, distances), expected)
    np.testing.assert_array_equal(nulls.length_difference(weights, weights[None], distances), [0])
    empty = np.zeros((2, 80, 80))
    assert np.isnan(nulls.length_difference(empty, empty[:, None], distances)).all()


def test_batches_and_seeds():
    weights, distances = spatial_network()
    batch = np.array([weights, spatial_network(seed=1)[0]])
    drawn = nulls.rewire_spatial(batch, distances, n_nulls=3, rng=7)
    assert drawn.shape == (2, 3, 80, 80)
    np.testing.assert_array_equal(
        nulls.rewire_spatial(batch, distances, n_nulls=2, rng=7), drawn[:, :2]
    )
    assert nulls.rewire_spatial(batch > 0, distances).dtype == bool


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_what_has_no_other_network_is_returned(n):
    complete = np.ones((n, n)) - np.eye(n)
    star = np.zeros((n, n))
    star[0, 1:] = star[1:, 0] = 1
    for network in (complete, star, np.zeros((n, n))):
        drawn = nulls.rewire_spatial(network, complete, n_nulls=2)
        np.testing.assert_array_equal(drawn, [network, network])


def test_what_users_do_wrong_in_space():
    weights, distances = spatial_network(10)
    with pytest.raises(ValueError, match="distances must be of shape"):
        nulls.rewire_spatial(weights, distances[:5, :5])
    with pytest.raises(ValueError, match="distances must be non-negative"):
        nulls.rewire_spatial(weights, -distances)
    for n_bins in (0, 256, 2.5):
        with pytest.raises(ValueError, match="n_bins"):
            nulls.rewire_spatial(weights, distances, n_bins=n_bins)
    with pytest.raises(ValueError, match="nulls must have one axis more"):
        nulls.length_difference(weights, weights, distances)


def layers():
    return np.array([spatial_network(40, seed=1)[0]] * 2 + [spatial_network(40, seed=2)[0]])


def test_layers_are_rewired_on_their_own():
    network = layers()
    drawn = nulls.rewire_layers(network, n_nulls=4)
    assert drawn.shape == (4, 3, 40, 40)
    np.testing.assert_array_equal((drawn > 0).sum(-1), np.array([(network > 0).sum(-1)] * 4))
    shared = (drawn[:, 0] > 0) & (drawn[:, 1] > 0)
    assert shared.sum() < 0.5 * (drawn[:, 0] > 0).sum()
    np.testing.assert_array_equal(nulls.rewire_layers(network, n_nulls=2), drawn[:2])
    assert nulls.rewire_layers(np.array([network, network]) > 0).shape == (2, 1, 3, 40, 40)


def test_permuted_layers_are_the_same_networks():
    network = layers()
    drawn = nulls.permute_layers(network, n_nulls=4)
    assert drawn.shape == (4, 3, 40, 40)
    for null in drawn:
        for before, after in zip(network, null, strict=True):
            np.testing.assert_allclose(
                np.linalg.eigvalsh(after), np.linalg.eigvalsh(before), atol=1e-10
            )
        assert (null[0] != null[1]).any()
    assert nulls.permute_layers(network > 0).dtype == bool


def test_all_orders_are_equally_likely():
    path = np.zeros((1, 4, 4), dtype=bool)
    path[0, 0, 1] = path[0, 1, 2] = path[0, 2, 3] = True  # directed: 24 orders are 24 networks
    drawn = nulls.permute_layers(path, n_nulls=4800).reshape(-1, 16)
    _, found = np.unique(drawn @ (2.0 ** np.arange(16)), return_counts=True)
    assert len(found) == 24
    assert stats.chisquare(found).pvalue > 1e-3


@pytest.mark.parametrize("measure", [nulls.rewire_layers, nulls.permute_layers])
def test_what_users_do_wrong_with_layers(measure):
    with pytest.raises(ValueError, match=r"layers must be of shape .*numpy\.stack"):
        measure(np.zeros((5, 5)))
    with pytest.raises(ValueError, match="n_nulls"):
        measure(np.zeros((2, 5, 5)), n_nulls=0)
