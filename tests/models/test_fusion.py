"""Readings and what joins them, against refits, closed forms and planted Gaussians."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from brainnet.models.fusion import STRENGTHS, Fusion, fuse, ridge_reading, stage_targets

COVARIANCE = np.array([[1.0, 0.5, 0.2], [0.5, 2.0, -0.3], [0.2, -0.3, 0.5]])
MEANS = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 0.0], [2.0, 2.5, 1.0]])


def problem(n_subjects=30, n_columns=50, *, effect=0.5, seed=0):
    """Inner products of random rows with a planted direction, a target and weights."""
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(n_subjects, 2))
    rows = rng.normal(size=(n_subjects, n_columns))
    rows[:, :5] += effect * targets[:, :1]
    rows -= rows.mean(axis=0)
    return rows, targets, rng.uniform(0.5, 2, n_subjects)


def refitted(rows, targets, weights, strength, left_out=()):
    """Weights of the columns and intercept, fitted without some of the rows."""
    size = np.square(rows).sum(axis=1).mean()
    stay = np.setdiff1d(np.arange(len(rows)), left_out)
    share = weights[stay, None] / weights.mean()
    own = np.column_stack([rows[stay], np.ones(stay.size)])
    penalty = strength * size * np.diag([*np.ones(rows.shape[1]), 0.0])
    found = np.linalg.solve(own.T @ (share * own) + penalty, own.T @ (share * targets[stay]))
    return found[:-1], found[-1]


@pytest.mark.parametrize("parts", [np.arange(30), np.arange(30) // 3, np.arange(30) % 7])
@pytest.mark.parametrize("strength", [0.03, 1.0, 100.0])
def test_held_out_readings_are_those_of_refits(parts, strength):
    rows, targets, weights = problem()
    found = ridge_reading(rows @ rows.T, targets, weights, parts, strengths=[strength])
    for each in range(30):
        out = np.flatnonzero(parts == parts[each])
        columns, intercept = refitted(rows, targets, weights, strength, out)
        np.testing.assert_allclose(
            found.held_out[each], rows[each] @ columns + intercept, atol=1e-8
        )


def test_the_coefficients_are_those_of_the_columns():
    rows, targets, weights = problem()
    found = ridge_reading(rows @ rows.T, targets, weights, np.arange(30))
    columns, intercept = refitted(rows, targets, weights, found.strength)
    np.testing.assert_allclose(rows.T @ found.coefficients, columns, atol=1e-9)
    np.testing.assert_allclose(found.intercept, intercept, atol=1e-9)


def test_the_strength_is_that_of_the_least_error_held_out():
    rows, targets, weights = problem()
    gram, parts = rows @ rows.T, np.arange(30) % 5

    def error(found):
        return (weights[:, None] * (found.held_out - targets) ** 2).sum()

    alone = {
        each: error(ridge_reading(gram, targets, weights, parts, strengths=(each,)))
        for each in STRENGTHS
    }
    assert ridge_reading(gram, targets, weights, parts).strength == min(alone, key=alone.get)
    noise = np.random.default_rng(5).normal(size=(30, 1))
    nothing = ridge_reading(gram, noise, weights, parts)
    assert nothing.strength > ridge_reading(gram, rows[:, :1], weights, parts).strength


@pytest.mark.parametrize("centred", [False, True])
def test_a_held_out_reading_knows_nothing_of_its_own_part(centred):
    """Two visits of noise. Columns that are centred sum to 0: each row is minus all others."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(size=(40, 200)), 2, axis=0)
    rows -= centred * rows.mean(axis=0)
    stage = np.repeat(rng.permutation(np.repeat([0.0, 1.0], 20)), 2)[:, None]
    people = np.repeat(np.arange(40), 2)
    for strength in STRENGTHS[:5]:
        by_row, by_person = (
            ridge_reading(rows @ rows.T, stage, np.ones(80), parts, strengths=[strength])
            for parts in (np.arange(80), people)
        )
        assert np.corrcoef(by_person.held_out[:, 0], stage[:, 0])[0, 1] < 0.3
    by_row = ridge_reading(rows @ rows.T, stage, np.ones(80), np.arange(80)).held_out
    assert np.corrcoef(by_row[:, 0], stage[:, 0])[0, 1] > 0.9


def test_what_is_missing_is_integrated_out():
    readings = np.random.default_rng(0).normal(1, 1, (8, 3))
    present = np.array([[place >> bit & 1 for bit in range(3)] for place in range(8)], dtype=bool)
    found = Fusion(MEANS, COVARIANCE, 0.7).log_chances(np.where(present, readings, np.nan))
    assert not found[0].any()
    for row, own in zip(range(1, 8), present[1:], strict=True):
        exact = [
            multivariate_normal(mean[own], COVARIANCE[np.ix_(own, own)]).logpdf(readings[row, own])
            for mean in MEANS
        ]
        np.testing.assert_allclose(np.diff(found[row]), 0.7 * np.diff(exact), atol=1e-10)


def planted(n_subjects=30_000, *, missing=0.3, seed=0):
    rng = np.random.default_rng(seed)
    places = rng.choice(3, n_subjects, p=[0.6, 0.3, 0.1])
    readings = MEANS[places] + rng.multivariate_normal(np.zeros(3), COVARIANCE, n_subjects)
    return np.where(rng.uniform(size=readings.shape) < missing, np.nan, readings), places


def test_finds_the_planted_gaussians_with_readings_missing():
    readings, places = planted()
    found = fuse(readings, places, shrinkage=0.0)
    np.testing.assert_allclose(found.means, MEANS, atol=0.07)
    np.testing.assert_allclose(found.covariance, COVARIANCE, atol=0.05)
    assert found.scale == pytest.approx(1, abs=0.05)


def test_shrinkage_leaves_variances_and_takes_correlations():
    readings, places = planted(3000)
    full, none = (fuse(readings, places, shrinkage=each).covariance for each in (0.0, 1.0))
    np.testing.assert_allclose(np.diag(none), np.diag(full))
    np.testing.assert_allclose(none, np.diag(np.diag(full)), atol=1e-12)


def test_is_less_sure_where_it_counted_the_same_thing_twice():
    readings, places = planted(3000, missing=0.0)
    once = fuse(readings, places, shrinkage=1.0)
    twice = fuse(np.concatenate([readings, readings], axis=1), places, shrinkage=1.0)
    assert twice.scale == pytest.approx(once.scale / 2, rel=0.02)


def test_a_reading_that_nobody_or_no_one_of_a_stage_has_says_nothing_of_it():
    readings, places = planted(300)
    alone = fuse(readings, places).log_chances(readings)
    empty = np.full((300, 1), np.nan)
    wider = fuse(np.concatenate([readings, empty], axis=1), places)
    np.testing.assert_allclose(
        wider.log_chances(np.concatenate([readings, empty], axis=1)), alone, atol=1e-8
    )
    assert np.isfinite(wider.log_chances(np.full((2, 4), 5.0))).all()
    readings[places == 2, 1] = np.nan
    assert np.isfinite(fuse(readings, places).log_chances(readings)).all()


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["AD", "CN", "EMCI", "LMCI"], [[3], [0], [1], [2]]),
        (["pMCI", "sMCI"], [[0], [1]]),
        (["autism", "control"], [[0], [1]]),
        ([1, 2, 5], [[0], [1], [2]]),
        (["AD", "DLB", "FTD"], np.eye(3)),
    ],
)
def test_targets(classes, expected):
    np.testing.assert_array_equal(stage_targets(np.array(classes)), expected)
