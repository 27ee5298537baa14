"""Probabilities that mean what they say, and what is done about those that do not."""

import pickle

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import calibration_curve
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB

from brainnet.evaluate.calibration import (
    Calibrated,
    brier_decomposition,
    expected_calibration_error,
    fit_temperature,
    reliability_curve,
)


def calibrated(n_subjects=4000, *, n_stages=3, sharpness=1.0, seed=0):
    """Probabilities from which the truth is drawn, raised to a power."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n_subjects, n_stages))
    chances = softmax(logits, axis=1)
    truth = (rng.random((n_subjects, 1)) > np.cumsum(chances, axis=1)).sum(axis=1)
    return softmax(sharpness * logits, axis=1), truth


def test_error_is_small_where_calibrated_and_large_where_not():
    assert expected_calibration_error(*calibrated()) < 0.03
    assert expected_calibration_error(*calibrated(sharpness=3.0)) > 0.1
    assert expected_calibration_error([[0.7, 0.3]] * 10, [0] * 7 + [1] * 3) == pytest.approx(0)


def test_curve_is_that_of_scikit_learn():
    chances, truth = calibrated(500)
    curve = reliability_curve(chances, truth, stage=1, n_bootstrap=10)
    observed, mean = calibration_curve(truth == 1, chances[:, 1], n_bins=10)
    np.testing.assert_allclose(curve["observed"], observed)
    np.testing.assert_allclose(curve["confidence"], mean)
    assert curve["n_subjects"].sum() == 500


def test_curve_adds_up_to_the_error():
    chances, truth = calibrated(300)
    curve = reliability_curve(chances, truth)
    gap = (curve["n_subjects"] * (curve["observed"] - curve["confidence"]).abs()).sum() / 300
    assert expected_calibration_error(chances, truth) == pytest.approx(gap)


def test_band_holds_the_truth_and_narrows_with_subjects():
    inside, widths = [], []
    for n_subjects in (400, 6400):
        curve = reliability_curve(*calibrated(n_subjects, seed=1), stage=0)
        inside += (
            (curve["low"] <= curve["confidence"]) & (curve["confidence"] <= curve["high"])
        ).tolist()
        widths.append((curve["high"] - curve["low"]).mean())
    assert np.mean(inside) > 0.8
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.3)


def test_band_is_wider_where_rows_are_of_fewer_participants():
    chances, truth = calibrated(300)
    again = [np.repeat(each, 4, axis=0) for each in (chances, truth)]
    people = np.repeat(np.arange(300), 4)
    once = reliability_curve(chances, truth)
    whole = reliability_curve(*again, participants=people)
    alone = reliability_curve(*again)
    np.testing.assert_allclose(whole[["low", "high"]], once[["low", "high"]])
    assert (alone["high"] - alone["low"]).mean() < 0.7 * (whole["high"] - whole["low"]).mean()


def test_brier_score_is_the_sum_of_its_parts():
    chances, truth = calibrated(500, sharpness=2.0)
    parts = brier_decomposition(chances, truth)
    assert parts["brier"] == pytest.approx(((chances - np.eye(3)[truth]) ** 2).sum(axis=1).mean())
    total = parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within"]
    assert total == pytest.approx(parts["brier"])
    shares = np.bincount(truth) / 500
    assert parts["uncertainty"] == pytest.approx((shares * (1 - shares)).sum())
    assert parts["reliability"] > brier_decomposition(*calibrated(500))["reliability"] + 0.02


def test_brier_parts_of_a_sure_and_right_model():
    truth = np.arange(2).repeat(10)
    parts = brier_decomposition(np.eye(2)[truth], truth)
    assert [round(parts[name], 9) for name in ("reliability", "resolution", "within")] == [
        0,
        0.5,
        0,
    ]


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 4.0])
def test_temperature_is_the_one_planted(sharpness):
    assert fit_temperature(*calibrated(sharpness=sharpness)) == pytest.approx(sharpness, rel=0.08)


def test_temperature_is_where_the_loss_is_least():
    chances, truth = calibrated(200, sharpness=2.0)
    found = fit_temperature(chances, truth)

    def loss(temperature):
        logits = np.log(chances) / temperature
        return -log_softmax(logits, axis=1)[np.arange(200), truth].mean()

    assert loss(found) <= min(loss(found * 1.01), loss(found / 1.01), loss(1.0))


def test_temperature_of_a_model_always_right_or_always_wrong_has_an_end():
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert 0.02 < fit_temperature(sure, [0, 1]) < 1
    assert fit_temperature(sure, [1, 0]) > 45


def overconfident(n_subjects=300, seed=0):
    """One informative column, nine times: naive Bayes counts it nine times."""
    rng = np.random.default_rng(seed)
    stages = np.array(["CN", "MCI", "AD"])[np.arange(n_subjects) % 3]
    column = rng.normal(size=(n_subjects, 1)) + np.arange(n_subjects)[:, np.newaxis] % 3
    return np.repeat(column, 9, axis=1), stages


def test_calibrated_model_is_less_wrong_and_says_the_same():
    table, stages = overconfident(900)
    plain = GaussianNB().fit(table[:600], stages[:600])
    model = Calibrated(GaussianNB()).fit(table[:600], stages[:600])
    truth = np.searchsorted(model.classes_, stages[600:])
    errors = [
        expected_calibration_error(each.predict_proba(table[600:]), truth)
        for each in (plain, model)
    ]
    assert errors[0] > 0.2
    assert errors[1] < 0.1
    assert model.temperature_ > 4
    np.testing.assert_array_equal(model.predict(table[600:]), plain.predict(table[600:]))
    np.testing.assert_allclose(model.predict_proba(table).sum(axis=1), 1)


class Recorder(ClassifierMixin, BaseEstimator):
    """Remembers on whom it was fitted, and whom it was then asked about."""

    seen: list = []  # noqa: RUF012  (clones share it)

    def fit(self, table, stages, groups):
        self.mine_ = set(groups.tolist())
        self.classes_ = np.unique(stages)
        return self

    def predict_proba(self, table):
        self.seen.append((self.mine_, set(table[:, 0].tolist())))
        return np.full((len(table), self.classes_.size), 1 / self.classes_.size)


def test_temperature_is_learned_from_participants_not_seen():
    people = np.repeat(np.arange(20), 2).astype(float)
    Recorder.seen.clear()
    stages = np.array(["CN", "AD"])[people.astype(int) % 2]
    Calibrated(Recorder()).fit(people[:, np.newaxis], stages, groups=people)
    assert len(Recorder.seen) == 3
    assert all(not trained & asked for trained, asked in Recorder.seen)


def test_too_few_to_calibrate_leaves_the_model_as_it_is():
    table, stages = overconfident(9)
    kept = [0, 3, 6, 1, 4, 7, 2]
    model = Calibrated(GaussianNB()).fit(table[kept], stages[kept])
    assert model.temperature_ == 1.0
    np.testing.assert_allclose(
        model.predict_proba(table),
        GaussianNB().fit(table[kept], stages[kept]).predict_proba(table),
        atol=1e-11,
    )


def test_is_searched_over_cloned_and_pickled():
    table, stages = overconfident(90)
    search = GridSearchCV(
        Calibrated(GaussianNB()), {"estimator__var_smoothing": [1e-9, 1e-1]}, cv=2
    ).fit(table, stages)
    model = clone(search.best_estimator_).fit(table, stages)
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back.predict_proba(table), model.predict_proba(table))


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"got \(2, 2\) and \(1,\)"):
        reliability_curve(np.full((2, 2), 0.5), [0])
    with pytest.raises(ValueError, match="stage must be an index of 2 stages; got 2"):
        reliability_curve(np.full((2, 2), 0.5), [0, 1], stage=2)
    with pytest.raises(ValueError, match="groups must name a participant a row"):
        Calibrated(GaussianNB()).fit([[0.0], [1.0]], ["CN", "AD"], groups=["01"])
