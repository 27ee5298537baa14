"""Readings and what joins them, against refits, closed forms and planted Gaussians."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from brainnet.models.fusion import STRENGTHS, Fusion, fuse, ridge_reading, stage_targets
from brainnet.models.stages import held_out_loss

COVARIANCE = np.array([[1.0, 0.5, 0.2], [0.5, 2.0, -0.3], [0.2, -0.3, 0.5]])
TENTHS = np.arange(30_000) % 10
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
    found = fuse(readings, places, TENTHS[: len(places)], shrinkage=0.0)
    np.testing.assert_allclose(found.means, MEANS, atol=0.07)
    np.testing.assert_allclose(found.covariance, COVARIANCE, atol=0.05)
    assert found.scale == pytest.approx(1, abs=0.05)


def test_the_scale_is_that_of_subjects_that_had_no_part_in_it():
    """Readings of nothing: in training they part the stages, elsewhere they do not."""
    rng = np.random.default_rng(0)
    places = np.arange(40) % 2
    sure = []
    for _ in range(20):
        found = fuse(rng.normal(size=(40, 8)), places, np.arange(40) // 2 % 5)
        logs = found.log_chances(rng.normal(size=(200, 8)))
        chances = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
        sure.append(chances.max(axis=1).mean())
    assert np.mean(sure) < 0.62


def test_a_part_alone_or_the_only_one_of_its_stage_still_gives_a_scale():
    readings, places = planted(60)
    places[:] = np.arange(60) % 2
    assert np.isfinite(fuse(readings, places, np.zeros(60)).scale)
    places[0] = 2
    assert np.isfinite(fuse(readings, places, np.arange(60) % 4).log_chances(readings)).all()


def test_stages_weigh_the_same_whatever_their_numbers():
    """A wide stage of many and a narrow one of few: the covariance is the mean of the two."""
    rng = np.random.default_rng(0)
    places = np.r_[np.zeros(9000, dtype=int), np.ones(1000, dtype=int)]
    readings = rng.normal(0, np.where(places, 1.0, 3.0))[:, None] + places[:, None]
    found = fuse(readings, places, TENTHS[:10_000])
    assert found.covariance[0, 0] == pytest.approx(5, rel=0.05)


def test_the_scale_is_that_of_the_least_loss_with_stages_equal():
    """Many of a narrow stage and few of a wide one, of whom it cannot be as sure."""
    rng = np.random.default_rng(0)
    places, parts = np.r_[np.zeros(900, dtype=int), np.ones(100, dtype=int)], TENTHS[:1000]
    readings = (rng.normal(0, np.where(places, 3.0, 1.0)) + 2 * places)[:, None]
    found = fuse(readings, places, parts)
    logs = np.zeros((1000, 2))
    for part in range(10):
        out = parts == part
        others = fuse(readings[~out], places[~out], parts[~out])
        logs[out] = others._replace(scale=1.0).log_chances(readings[out])

    def loss(scale):
        return held_out_loss(scale * logs, places, [0, 1])

    assert loss(found.scale) < min(loss(found.scale * each) for each in (0.97, 1.03))


def test_readings_that_contradict_in_few_keep_a_covariance():
    """Three pairs of readings, each seen in other subjects, with correlations that cannot be."""
    rng = np.random.default_rng(0)
    one = rng.normal(size=(90, 1))
    readings = one + 0.01 * rng.normal(size=(90, 3))
    group = np.arange(90) % 3
    readings[np.arange(90), group] = np.nan
    readings[group == 0, 2] *= -1
    found = fuse(readings, np.arange(90) // 3 % 2, TENTHS[:90], shrinkage=0.0)
    assert np.linalg.eigvalsh(found.covariance).min() > 0.01
    assert np.abs(found.log_chances(rng.normal(size=(50, 3)))).max() < 1000


def test_one_part_cannot_be_held_out():
    rows, targets, weights = problem()
    with pytest.raises(ValueError, match="parts must be two or more; got one"):
        ridge_reading(rows @ rows.T, targets, weights, np.zeros(30))


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e9])
def test_units_duplicates_and_constant_columns_change_no_reading(factor):
    rows, targets, weights = problem()
    parts = np.arange(30) % 5
    gram = rows @ rows.T
    plain, scaled = (ridge_reading(g, targets, weights, parts) for g in (gram, factor * gram))
    np.testing.assert_allclose(scaled.held_out, plain.held_out, atol=1e-9)
    assert scaled.strength == plain.strength
    flat = ridge_reading(np.zeros((30, 30)), targets, weights, parts)
    for each in range(5):
        out = parts == each
        alone = np.average(targets[~out], axis=0, weights=weights[~out])
        np.testing.assert_allclose(flat.held_out[out], np.tile(alone, (6, 1)), atol=1e-9)
    twice = np.r_[0:30, 0:30]
    doubled = ridge_reading(
        gram[np.ix_(twice, twice)], targets[twice], weights[twice], parts[twice], strengths=[1.0]
    )
    half = ridge_reading(gram, targets, weights, parts, strengths=[0.5])
    np.testing.assert_allclose(doubled.held_out[:30], half.held_out, atol=1e-8)


def test_shrinkage_leaves_variances_and_takes_correlations():
    readings, places = planted(3000)
    full, none = (
        fuse(readings, places, TENTHS[: len(places)], shrinkage=each).covariance
        for each in (0.0, 1.0)
    )
    np.testing.assert_allclose(np.diag(none), np.diag(full))
    np.testing.assert_allclose(none, np.diag(np.diag(full)), atol=1e-12)


def test_is_less_sure_where_it_counted_the_same_thing_twice():
    readings, places = planted(3000, missing=0.0)
    once = fuse(readings, places, TENTHS[: len(places)], shrinkage=1.0)
    twice = fuse(np.concatenate([readings, readings], axis=1), places, TENTHS[:3000], shrinkage=1.0)
    assert twice.scale == pytest.approx(once.scale / 2, rel=0.02)


def test_a_reading_that_nobody_or_no_one_of_a_stage_has_says_nothing_of_it():
    readings, places = planted(300)
    alone = fuse(readings, places, TENTHS[:300]).log_chances(readings)
    empty = np.full((300, 1), np.nan)
    wider = fuse(np.concatenate([readings, empty], axis=1), places, TENTHS[:300])
    np.testing.assert_allclose(
        wider.log_chances(np.concatenate([readings, empty], axis=1)), alone, atol=1e-8
    )
    assert np.isfinite(wider.log_chances(np.full((2, 4), 5.0))).all()
    readings[places == 2, 1] = np.nan
    assert np.isfinite(fuse(readings, places, TENTHS[:300]).log_chances(readings)).all()


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
