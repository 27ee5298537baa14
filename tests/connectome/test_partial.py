import numpy as np
import pytest
from nilearn.connectome import ConnectivityMeasure
from sklearn.covariance import LedoitWolf, ledoit_wolf_shrinkage

from brainnet.connectome.correlation import pearson
from brainnet.connectome.partial import partial, shrinkage


def mixed(n_timepoints, n_regions, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((n_regions, n_regions))
    return rng.standard_normal((n_timepoints, n_regions)) @ mixing


@pytest.mark.parametrize("n_timepoints, n_regions", [(50, 6), (40, 84), (300, 84)])
def test_agrees_with_scikit_learn_and_nilearn(n_timepoints, n_regions):
    series = mixed(n_timepoints, n_regions) * np.logspace(-3, 3, n_regions)
    unit = (series - series.mean(axis=0)) / series.std(axis=0)
    assert shrinkage(unit) == pytest.approx(ledoit_wolf_shrinkage(unit), abs=1e-12)
    theirs = ConnectivityMeasure(
        cov_estimator=LedoitWolf(), kind="partial correlation", standardize=None
    ).fit_transform([unit])[0]
    np.fill_diagonal(theirs, 0)
    np.testing.assert_allclose(partial(series), theirs, atol=1e-11)


def test_many_points_give_the_planted_precision():
    """A ring: each region depends on its two neighbours, with partial correlation 0.4."""
    precision = np.eye(6) - 0.4 * (np.roll(np.eye(6), 1, axis=0) + np.roll(np.eye(6), -1, axis=0))
    factor = np.linalg.cholesky(np.linalg.inv(precision))
    series = np.random.default_rng(1).standard_normal((100_000, 6)) @ factor.T
    np.testing.assert_allclose(partial(series), np.eye(6) - precision, atol=0.015)
    far = pearson(series)[0, 3]
    assert far > 0.2, "regions without an edge are correlated all the same"


def test_two_regions_are_their_shrunk_correlation():
    series = mixed(30, 2)
    unit = (series - series.mean(axis=0)) / series.std(axis=0)
    expected = (1 - shrinkage(unit)) * pearson(series)[0, 1]
    assert partial(series)[0, 1] == pytest.approx(expected, abs=1e-13)


def test_fewer_volumes_than_regions_is_finite_and_within_one():
    network = partial(mixed(12, 60))
    assert np.isfinite(network).all()
    assert np.abs(network).max() < 1
    assert np.array_equal(network, network.T)
    assert not np.diagonal(network).any()


def test_unmeasured_regions_are_nan_and_given_to_nobody():
    series = mixed(80, 7)
    series[3, 1] = np.nan
    series[:, 4] = 12.5
    network = partial(series)
    absent = np.zeros((7, 7), dtype=bool)
    absent[[1, 4]] = absent[:, [1, 4]] = True
    assert np.array_equal(np.isnan(network), absent)
    kept = [0, 2, 3, 5, 6]
    np.testing.assert_allclose(network[np.ix_(kept, kept)], partial(series[:, kept]), atol=1e-14)
    assert np.isnan(partial(np.full((5, 3), np.nan))).all()


def test_batch_is_a_loop_and_regions_may_be_in_any_order():
    batch = np.random.default_rng(2).standard_normal((2, 3, 20, 4))
    result = partial(batch)
    assert result.shape == (2, 3, 4, 4)
    for i in range(2):
        for j in range(3):
            np.testing.assert_array_equal(result[i, j], partial(batch[i, j]))
    order = [2, 0, 3, 1]
    moved = partial(batch[..., order])
    np.testing.assert_allclose(moved, result[..., order, :][..., order], atol=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e-6, 1e6, 1e200])
def test_scale_and_offset_do_not_matter(scale):
    series = mixed(40, 5)
    np.testing.assert_allclose(partial(scale * series + scale), partial(series), atol=1e-9)


def test_a_region_that_repeats_another_is_still_finite():
    """Shrinkage alone keeps the two apart: neither explains the other away."""
    series = mixed(40, 5)
    network = partial(np.column_stack([series, series[:, 0]]))
    assert np.isfinite(network).all()
    assert network[0, 5] > 0.3


def test_what_cannot_be_inverted_is_named():
    wave = np.tile([1.0, -1.0], 20)
    with pytest.raises(ValueError, match="must not repeat one another exactly"):
        partial(np.stack([wave, wave], axis=1))


@pytest.mark.parametrize("shape", [(5,), (2, 4), (5, 0)])
def test_shape_is_checked(shape):
    with pytest.raises(ValueError, match="timeseries must be"):
        partial(np.zeros(shape))
