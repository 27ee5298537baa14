"""The tangent space of networks."""

import numpy as np
import pytest
from nilearn.connectome import ConnectivityMeasure, sym_matrix_to_vec
from scipy.linalg import logm
from sklearn.covariance import EmpiricalCovariance

from brainnet.models.tangent import TangentSpace, tangent_logistic


def _correlations(n_subjects=8, n_regions=6, seed=0, n_timepoints=60):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(n_regions, n_regions)) / 3 + np.eye(n_regions)
    series = rng.normal(size=(n_subjects, n_timepoints, n_regions)) @ mixing
    networks = np.stack([np.corrcoef(each.T) for each in series])[:, None]
    networks[..., np.arange(n_regions), np.arange(n_regions)] = 0
    return (networks + networks.swapaxes(2, 3)) / 2, series


def test_rows_are_those_of_nilearn():
    networks, series = _correlations()
    space = TangentSpace(shrinkage=1e-9, tol=1e-10, max_iter=100)
    rows = space.fit_transform(networks)
    series = (series - series.mean(axis=1, keepdims=True)) / series.std(axis=1, keepdims=True)
    measure = ConnectivityMeasure(
        cov_estimator=EmpiricalCovariance(), kind="tangent", standardize=False
    )
    expected = measure.fit_transform(list(series))
    np.testing.assert_allclose(space.mean_[0], measure.mean_, atol=1e-6)
    lower = sym_matrix_to_vec(expected)[:, _lower_order(6)]
    np.testing.assert_allclose(rows * space.length_[0], lower * np.sqrt(2), atol=1e-6)


def _lower_order(n_regions):
    """Places of the upper triangle's entries, row by row, in the lower triangle's order."""
    place = np.zeros((n_regions, n_regions), dtype=int)
    below = np.tril_indices(n_regions)
    place[below] = np.arange(len(below[0]))
    return place.T[np.triu_indices(n_regions)]


def test_usual_mean_is_close_to_the_geometric_one():
    networks, _ = _correlations(30)
    quick, exact = TangentSpace().fit(networks), TangentSpace(tol=1e-9).fit(networks)
    away = np.linalg.norm(quick.mean_[0] - exact.mean_[0])
    spread = np.mean([np.linalg.norm(each[0] + np.eye(6) - exact.mean_[0]) for each in networks])
    assert away < 0.05 * spread
    np.testing.assert_allclose(exact.transform(networks).mean(axis=0), 0, atol=1e-7)


def test_a_row_is_as_long_as_its_matrix_and_the_modalities_weigh_the_same():
    networks = np.concatenate([_correlations()[0], 0.01 * _correlations(seed=1)[0]], axis=1)
    space = TangentSpace(shrinkage=0.2)
    rows = space.fit_transform(networks).reshape(8, 2, -1)
    np.testing.assert_allclose(np.mean(np.sum(rows**2, axis=2), axis=0), 1)
    matrix = 0.8 * networks[3, 0] + np.eye(6)
    flat = logm(space.whitening_[0] @ matrix @ space.whitening_[0])
    assert np.linalg.norm(rows[3, 0]) * space.length_[0] == pytest.approx(np.linalg.norm(flat))


def test_the_subject_at_the_mean_is_zero_and_so_is_one_without_the_modality():
    networks, _ = _correlations()
    space = TangentSpace(tol=1e-9).fit(networks[:1].repeat(3, axis=0))
    np.testing.assert_allclose(space.transform(networks[:1]), 0, atol=1e-6)
    assert not TangentSpace().fit(networks).transform(np.full_like(networks[:1], np.nan)).any()
    hollow = np.full_like(networks[:1], np.nan)
    hollow[..., np.arange(6), np.arange(6)] = 0
    assert not TangentSpace().fit(networks).transform(hollow).any(), "a diagonal is no network"


def test_who_lacks_a_modality_does_not_move_its_mean():
    networks, _ = _correlations()
    networks = np.concatenate([networks, networks], axis=1)
    networks[5:, 1] = np.nan
    mean = TangentSpace().fit(networks).mean_[1]
    np.testing.assert_array_equal(mean, TangentSpace().fit(networks[:5]).mean_[1])


def test_a_modality_that_nobody_has_says_nothing(planted_networks):
    networks, stages = planted_networks(30)
    train = networks.copy()
    train[:, 1] = np.nan
    model = tangent_logistic().fit(train, stages)
    np.testing.assert_allclose(
        model.predict_proba(networks[:5]), model.predict_proba(train[:5]), atol=1e-12
    )


@pytest.mark.parametrize("unit", [1.0, 40.0])
def test_networks_that_are_no_correlations_become_positive_definite(unit):
    rng = np.random.default_rng(0)
    networks = unit * rng.uniform(-1, 1, size=(6, 1, 9, 9))
    networks = networks + networks.swapaxes(2, 3)
    space = TangentSpace()
    assert np.isfinite(space.fit_transform(networks)).all()
    matrices, _ = space._definite(0, networks[:, 0])
    assert np.linalg.eigvalsh(matrices).min() >= 0.1 - 1e-9
    assert np.isfinite(space.transform(10 * networks)).all()


def test_learns_what_was_planted(planted_networks):
    networks, stages = planted_networks(60)
    model = tangent_logistic().fit(networks[:45], stages[:45])
    assert np.mean(model.predict(networks[45:]) == stages[45:]) > 0.85


@pytest.mark.parametrize("wrong", [{"shrinkage": 0.0}, {"shrinkage": 1.0}, {"max_iter": 0}])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TangentSpace(**wrong).fit(_correlations()[0])
