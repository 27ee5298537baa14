import numpy as np
import pytest

from brainnet.connectome.covariance import group_correlation


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return 5 + rng.standard_normal((40, 5)) @ np.triu(np.ones((5, 5)))


def test_without_covariates_it_is_the_correlation(values):
    expected = np.corrcoef(values.T) - np.eye(5)
    np.testing.assert_allclose(group_correlation(values), expected, atol=1e-13)


def test_partial_correlation_has_its_closed_form(values):
    first, second, covariate = values.T[:3]
    r = np.corrcoef([first, second, covariate])
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    result = group_correlation(values[:, :2], covariates=covariate)
    assert result[0, 1] == pytest.approx(expected, abs=1e-12)


def test_partial_correlation_is_that_of_the_precision_matrix(values):
    precision = np.linalg.inv(np.cov(values.T))
    expected = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
    result = group_correlation(values[:, :2], covariates=values[:, 2:])
    assert result[0, 1] == pytest.approx(expected, abs=1e-10)


def test_a_planted_confound_goes():
    rng = np.random.default_rng(1)
    age = rng.uniform(55, 90, 3000)
    volumes = 100 - 2 * age[:, None] + rng.standard_normal((3000, 4))
    off_diagonal = ~np.eye(4, dtype=bool)
    assert group_correlation(volumes)[off_diagonal].min() > 0.9
    assert np.abs(group_correlation(volumes, covariates=age)[off_diagonal]).max() < 0.07


def test_redundant_and_constant_covariates_change_nothing(values):
    covariates = values[:, 2:4]
    redundant = np.column_stack([covariates, covariates.sum(axis=1), np.full(40, 3.0)])
    np.testing.assert_allclose(
        group_correlation(values[:, :2], covariates=redundant),
        group_correlation(values[:, :2], covariates=covariates),
        atol=1e-10,
    )


def test_covariates_of_very_different_scale(values):
    covariates = values[:, 2:4]
    np.testing.assert_allclose(
        group_correlation(values[:, :2], covariates=covariates * [1e-9, 1e9] + [0, 1e12]),
        group_correlation(values[:, :2], covariates=covariates),
        atol=1e-6,
    )


def test_region_explained_by_the_covariates_is_nan(values):
    result = group_correlation(values, covariates=2 * values[:, 0] + 1)
    assert np.isnan(result[0]).all()
    assert not np.isnan(result[1:, 1:]).any()


def test_region_missing_in_one_subject_is_nan(values):
    whole = group_correlation(values)
    values[3, 4] = np.nan
    result = group_correlation(values)
    assert np.isnan(result[4]).all()
    assert np.isnan(result[:, 4]).all()
    np.testing.assert_allclose(result[:4, :4], whole[:4, :4], atol=1e-14)


def test_batch_is_a_loop(values):
    batch = np.stack([values, values[::-1] ** 2])
    age = np.arange(40.0)
    result = group_correlation(batch, covariates=age)
    for each, expected in zip(result, batch, strict=True):
        np.testing.assert_allclose(each, group_correlation(expected, covariates=age), atol=1e-13)


def test_order_of_subjects_does_not_matter(values):
    order = np.random.default_rng(2).permutation(40)
    np.testing.assert_allclose(
        group_correlation(values[order], covariates=values[order, 0] ** 2),
        group_correlation(values, covariates=values[:, 0] ** 2),
        atol=1e-12,
    )


@pytest.mark.parametrize(
    "n_subjects, covariates, message",
    [
        (40, np.zeros(39), "one row for each of the 40 subjects"),
        (40, np.full(40, np.nan), "covariates must be finite; got 40"),
        (2, None, "at least 3 subjects"),
        (4, np.eye(4)[:, :3], "at least 6 subjects for 3 covariates; got 4"),
    ],
)
def test_errors(values, n_subjects, covariates, message):
    with pytest.raises(ValueError, match=message):
        group_correlation(values[:n_subjects], covariates=covariates)


def test_infinite_value_is_refused(values):
    values[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinite"):
        group_correlation(values)
    with pytest.raises(ValueError, match="n_subjects, n_regions"):
        group_correlation(np.arange(5.0))
