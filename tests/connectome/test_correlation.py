import numpy as np
import pytest
import scipy.stats

from brainnet.connectome.correlation import fisher_z, pearson, spearman


@pytest.fixture
def timeseries():
    return np.random.default_rng(0).standard_normal((50, 6)) @ np.triu(np.ones((6, 6)))


def off_diagonal(matrix):
    return matrix[..., ~np.eye(matrix.shape[-1], dtype=bool)]


def test_agrees_with_scipy(timeseries):
    correlation = pearson(timeseries)
    for i in range(6):
        for j in range(6):
            expected = 0 if i == j else scipy.stats.pearsonr(timeseries[:, i], timeseries[:, j])[0]
            assert correlation[i, j] == pytest.approx(expected, abs=1e-13)


def test_recovers_a_planted_correlation():
    rng = np.random.default_rng(1)
    common = rng.standard_normal((200_000, 1))
    series = np.sqrt(0.6) * common + np.sqrt(0.4) * rng.standard_normal((200_000, 3))
    assert off_diagonal(pearson(series)) == pytest.approx(0.6, abs=0.01)


def test_symmetric_to_the_bit_zero_diagonal_within_one(timeseries):
    series = np.concatenate([timeseries, -timeseries, 3 * timeseries], axis=1)
    correlation = pearson(series)
    assert np.array_equal(correlation, correlation.T)
    assert not np.diagonal(correlation).any()
    assert np.abs(correlation).max() <= 1
    assert correlation[0, 6] == pytest.approx(-1, abs=1e-12)
    assert correlation[0, 12] == pytest.approx(1, abs=1e-12)


def test_batch_is_a_loop(timeseries):
    batch = np.random.default_rng(2).standard_normal((2, 3, 20, 4))
    result = pearson(batch)
    assert result.shape == (2, 3, 4, 4)
    for i in range(2):
        for j in range(3):
            np.testing.assert_allclose(result[i, j], pearson(batch[i, j]), atol=1e-14)


@pytest.mark.parametrize("scale", [1e-200, 1e-6, 1e6, 1e200])
def test_scale_and_offset_do_not_matter(timeseries, scale):
    np.testing.assert_allclose(pearson(scale * timeseries), pearson(timeseries), atol=1e-12)
    np.testing.assert_allclose(
        pearson(scale * (timeseries + 1000)), pearson(timeseries), atol=1e-10
    )


@pytest.mark.parametrize("value", [0.0, 0.1, 1234.567])
def test_constant_region_is_nan(timeseries, value):
    timeseries[:, 2] = value
    timeseries[::2, 2] += np.spacing(value) if value else 0  # rounding is no variation
    expected = np.zeros((6, 6), dtype=bool)
    expected[2] = expected[:, 2] = True
    assert np.array_equal(np.isnan(pearson(timeseries)), expected)


def test_region_with_one_nan_is_nan_and_others_keep_their_values(timeseries):
    whole = pearson(timeseries)
    timeseries[7, 0] = np.nan
    correlation = pearson(timeseries)
    assert np.isnan(correlation[0]).all()
    assert np.isnan(correlation[:, 0]).all()
    np.testing.assert_allclose(correlation[1:, 1:], whole[1:, 1:], atol=1e-14)


def test_all_unmeasured():
    assert np.isnan(pearson(np.full((5, 3), np.nan))).all()


@pytest.mark.parametrize("shape", [(5,), (2, 4), (5, 0)])
def test_shape_is_checked(shape):
    with pytest.raises(ValueError, match="timeseries must be"):
        pearson(np.zeros(shape))


def test_infinity_is_refused(timeseries):
    timeseries[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinite"):
        pearson(timeseries)


def test_fisher_z_is_the_inverse_of_tanh():
    z = np.linspace(-4, 4, 17)
    np.testing.assert_allclose(fisher_z(np.tanh(z)), z, atol=1e-11)
    assert np.isnan(fisher_z([np.nan, 0.5])).tolist() == [True, False]


def test_fisher_z_has_the_variance_fisher_says():
    rng = np.random.default_rng(3)
    common = rng.standard_normal((4000, 40, 1))
    series = common + rng.standard_normal((4000, 40, 2))
    z = fisher_z(pearson(series))[:, 0, 1]
    assert z.std() == pytest.approx(1 / np.sqrt(40 - 3), rel=0.04)


def test_fisher_z_of_identical_regions_is_finite_and_warns():
    with pytest.warns(UserWarning, match="2 correlations are exactly"):
        z = fisher_z([[0, 1.0], [1.0, 0]])
    assert z[0, 1] == pytest.approx(18.7, abs=0.1)


def test_fisher_z_refuses_what_is_no_correlation():
    with pytest.raises(ValueError, match=r"\[-1, 1\]; got 1.5"):
        fisher_z([0.1, 1.5])


def test_spearman_agrees_with_scipy_also_where_values_are_equal(timeseries):
    series = np.column_stack([timeseries, timeseries.round(), np.sign(timeseries[:, 0])])
    expected = scipy.stats.spearmanr(series).statistic
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(spearman(series), expected, atol=1e-13)
    batch = np.stack([series, series[::-1] ** 3])
    np.testing.assert_allclose(spearman(batch), [expected, spearman(series**3)], atol=1e-13)


def test_spearman_sees_order_alone(timeseries):
    spiked = timeseries.copy()
    spiked[np.argmax(spiked[:, 0]), 0] = 1e9
    np.testing.assert_array_equal(spearman(spiked), spearman(timeseries))
    assert np.abs(pearson(spiked) - pearson(timeseries)).max() > 0.1


def test_spearman_of_what_is_unmeasured_or_constant_is_nan(timeseries):
    whole = spearman(timeseries)
    timeseries[7, 0] = np.nan
    timeseries[:, 2] = 1234.567
    timeseries[::2, 2] += np.spacing(1234.567)  # rounding is no variation
    found = spearman(timeseries)
    absent = np.zeros((6, 6), dtype=bool)
    absent[[0, 2]] = absent[:, [0, 2]] = True
    assert np.array_equal(np.isnan(found), absent)
    np.testing.assert_allclose(found[~absent], whole[~absent], atol=1e-14)
    timeseries[0, 1] = np.inf
    with pytest.raises(ValueError, match="infinite"):
        spearman(timeseries)
