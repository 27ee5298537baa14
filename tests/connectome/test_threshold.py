import bct
import numpy as np
import pytest

from brainnet.connectome.threshold import absolute, binarize, positive, proportional


def random_weights(n_regions, *, seed=0, batch=()):
    half = np.triu(np.random.default_rng(seed).uniform(-0.5, 1, (*batch, n_regions, n_regions)), 1)
    return half + np.swapaxes(half, -1, -2)


def unmeasured(weights, *regions):
    weights = weights.copy()
    weights[..., list(regions), :] = weights[..., :, list(regions)] = np.nan
    return weights


def n_edges(weights):
    return np.count_nonzero(np.triu(np.nan_to_num(weights)), axis=(-2, -1))


def test_positive_and_absolute_keep_what_they_say():
    weights = random_weights(10)
    np.testing.assert_array_equal(positive(weights), np.maximum(weights, 0))
    np.testing.assert_array_equal(absolute(weights, 0.4), np.where(weights >= 0.4, weights, 0))
    np.testing.assert_array_equal(absolute(weights, 0.0), positive(weights))
    np.testing.assert_array_equal(absolute(weights, 0.4), bct.threshold_absolute(weights, 0.4))


@pytest.mark.parametrize("n_regions", [3, 7, 20, 41])
@pytest.mark.parametrize("density", [0.05, 0.1, 0.25, 0.5, 1.0])
def test_proportional_keeps_exactly_its_count_and_only_the_strongest(n_regions, density):
    weights = np.abs(random_weights(n_regions)) + 0.01 * (1 - np.eye(n_regions))
    kept = proportional(weights, density)
    assert n_edges(kept) == round(density * n_regions * (n_regions - 1) / 2)
    assert np.array_equal(kept, kept.T)
    stays = kept > 0
    np.testing.assert_array_equal(kept[stays], weights[stays])
    if stays.any() and not stays[np.triu_indices(n_regions, 1)].all():
        assert kept[stays].min() >= weights[~stays].max()


def test_proportional_agrees_with_bctpy_where_counts_round_alike():
    weights = np.abs(random_weights(21))  # 210 pairs
    for density in (0.1, 0.2, 0.5):
        expected = bct.threshold_proportional(weights, density)
        np.testing.assert_array_equal(proportional(weights, density), expected)


def test_ties_go_to_the_earlier_edge():
    weights = np.ones((4, 4)) - np.eye(4)
    kept = proportional(weights, 0.5)
    assert np.argwhere(np.triu(kept)).tolist() == [[0, 1], [0, 2], [0, 3]]


def test_ties_among_many_edges_of_few_weights():
    edges = np.triu_indices(60, 1)
    values = np.random.default_rng(0).integers(1, 4, len(edges[0])).astype(float)
    weights = np.zeros((60, 60))
    weights[edges] = values
    n_kept = round(0.5 * len(values))
    expected = np.zeros(len(values), dtype=bool)
    expected[values == 3] = True
    assert expected.sum() < n_kept < (values >= 2).sum()
    expected[np.flatnonzero(values == 2)[: n_kept - expected.sum()]] = True
    kept = proportional(weights + weights.T, 0.5)[edges]
    np.testing.assert_array_equal(kept, np.where(expected, values, 0))


def test_order_of_regions_does_not_matter_without_ties():
    weights = random_weights(15)
    order = np.random.default_rng(1).permutation(15)
    reordered = proportional(weights[np.ix_(order, order)], 0.2)
    np.testing.assert_array_equal(reordered, proportional(weights, 0.2)[np.ix_(order, order)])


def test_negative_edges_never_stay_even_if_strong():
    weights = random_weights(10)
    weights[0, 1] = weights[1, 0] = -5
    assert proportional(weights, 0.3).min() == 0


def test_too_few_positive_edges_all_stay_with_a_warning():
    weights = -np.abs(random_weights(6))
    weights[0, 1] = weights[1, 0] = 0.5
    with pytest.warns(UserWarning, match="asks for 8 edges but only 1 are positive"):
        kept = proportional(weights, 0.5)
    assert n_edges(kept) == 1


def test_unmeasured_regions_stay_nan_and_do_not_count():
    weights = unmeasured(random_weights(12), 3, 7)
    rest = np.delete(np.arange(12), [3, 7])
    inner = weights[np.ix_(rest, rest)]
    for function in (positive, lambda w: absolute(w, 0.3), lambda w: proportional(w, 0.2)):
        result = function(weights)
        assert np.isnan(result[[3, 7]]).all()
        assert np.isnan(result[:, [3, 7]]).all()
        np.testing.assert_array_equal(result[np.ix_(rest, rest)], function(inner))


def test_batch_is_a_loop():
    weights = random_weights(9, batch=(2, 3))
    weights[1, 2] = unmeasured(weights[1, 2], 0)
    for function in (positive, lambda w: absolute(w, 0.3), lambda w: proportional(w, 0.2)):
        result = function(weights)
        for i in range(2):
            for j in range(3):
                np.testing.assert_array_equal(result[i, j], function(weights[i, j]))


def test_binarize():
    weights = proportional(random_weights(9), 0.3)
    adjacency = binarize(weights)
    assert adjacency.dtype == bool
    np.testing.assert_array_equal(adjacency, weights != 0)
    assert binarize(-weights).sum() == adjacency.sum()
    with pytest.raises(ValueError, match="must not hold NaN"):
        binarize(unmeasured(weights, 1))


@pytest.mark.parametrize("density", [0.0, -0.1, 1.01, np.nan])
def test_density_is_checked(density):
    with pytest.raises(ValueError, match="density must be above 0 and at most 1"):
        proportional(random_weights(5), density)


@pytest.mark.parametrize("threshold", [-0.1, np.nan, np.inf])
def test_threshold_is_checked(threshold):
    with pytest.raises(ValueError, match="threshold must be finite and at least 0"):
        absolute(random_weights(5), threshold)


@pytest.mark.parametrize(
    "function", [positive, binarize, lambda w: absolute(w, 0.1), lambda w: proportional(w, 0.1)]
)
def test_network_is_checked(function):
    with pytest.raises(ValueError, match="symmetric"):
        function([[0, 1], [2, 0]])
