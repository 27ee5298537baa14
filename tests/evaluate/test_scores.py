"""Scores are those of scikit-learn, for every weighting at once."""

import time
from itertools import pairwise

import numpy as np
import pytest
from sklearn import metrics

from brainnet.evaluate.scores import (
    CONTRASTS,
    LOWER_IS_BETTER,
    METRICS,
    ORDERED,
    bin_of,
    contrast_metrics,
    weighted_contrasts,
    weighted_scores,
)

STAGES = ("CN", "EMCI", "LMCI", "AD")


def drawn(n_subjects=80, *, n_stages=4, n_draws=3, seed=0):
    """Probabilities with ties, true stages, and whole weights with zeros."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.ones(n_stages), n_subjects).round(1) + 1e-3
    chances /= chances.sum(axis=1, keepdims=True)
    truth = np.append(np.arange(n_stages), rng.integers(0, n_stages, n_subjects - n_stages))
    return chances, truth, rng.integers(0, 4, (n_draws, n_subjects)).astype(float)


def _calibration_error(chances, truth, edges):
    """By the definition, a bin at a time."""
    said, confidence = chances.argmax(axis=1), chances.max(axis=1)
    error = 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = np.mean((said == truth)[inside]) - confidence[inside].mean()
            error += inside.mean() * abs(gap)
    return error


@pytest.mark.parametrize("n_stages", [2, 4])
def test_scores_are_those_of_scikit_learn(n_stages):
    chances, truth, weights = drawn(n_stages=n_stages)
    scores = weighted_scores(chances, truth, weights)
    assert tuple(scores) == METRICS
    for draw, w in enumerate(weights):
        rows = np.repeat(np.arange(len(truth)), w.astype(int))  # where no weights are taken
        said, p, y = chances[rows].argmax(axis=1), chances[rows], truth[rows]
        pairwise = (
            metrics.roc_auc_score(y, p, multi_class="ovo", average="macro")
            if n_stages > 2
            else metrics.roc_auc_score(y, p[:, 1])
        )
        expected = {
            "balanced_accuracy": metrics.balanced_accuracy_score(y, said),
            "accuracy": metrics.accuracy_score(y, said),
            "auc": metrics.roc_auc_score(np.eye(n_stages)[y], p, average="macro"),
            "pairwise_auc": pairwise,
            "kappa": metrics.cohen_kappa_score(y, said, weights="quadratic"),
            "mean_absolute_error": metrics.mean_absolute_error(y, said),
            "f1": metrics.f1_score(y, said, average="macro"),
            "log_loss": metrics.log_loss(y, p),
            "brier": np.mean(((p - np.eye(n_stages)[y]) ** 2).sum(axis=1)),
            "ece": _calibration_error(p, y, np.linspace(0, 1, 11)),
        }
        for name, value in expected.items():
            assert scores[name][draw] == pytest.approx(value), name


def test_bins_are_closed_above():
    assert bin_of(np.array([0.0, 0.25, 0.26, 0.5, 0.75, 1.0]), 4).tolist() == [0, 0, 1, 1, 2, 3]
    scores = weighted_scores([[0.5, 0.5], [0.55, 0.45]], [1, 0], np.ones((1, 2)))
    assert scores["ece"][0] == pytest.approx((0.5 + 0.45) / 2)  # two bins; one would give 0.025


def test_brier_score_is_that_of_scikit_learn():
    chances, truth, weights = drawn()
    expected = metrics.brier_score_loss(
        truth, chances, sample_weight=weights[0], scale_by_half=False, labels=range(4)
    )
    assert weighted_scores(chances, truth, weights)["brier"][0] == pytest.approx(expected)


def test_weights_are_how_often_a_subject_stands_there():
    chances, truth, weights = drawn(n_draws=1)
    rows = np.repeat(np.arange(len(truth)), weights[0].astype(int))
    once = weighted_scores(chances[rows], truth[rows], np.ones((1, len(rows))))
    for name, value in weighted_scores(chances, truth, weights).items():
        assert value[0] == pytest.approx(once[name][0]), name
    stages = ("CN", "MCI", "sMCI", "AD")
    once = weighted_contrasts(chances[rows], truth[rows], np.ones((1, len(rows))), stages)
    for name, value in weighted_contrasts(chances, truth, weights, stages).items():
        assert value[0] == pytest.approx(once[name][0]), name


def test_perfect_and_worst_models():
    truth = np.arange(4).repeat(5)
    right = weighted_scores(np.eye(4)[truth], truth, np.ones((1, 20)))
    assert {name: round(float(each[0]), 6) for name, each in right.items()} == {
        name: 0.0 if name in LOWER_IS_BETTER else 1.0 for name in METRICS
    }
    wrong = weighted_scores(np.eye(4)[3 - truth], truth, np.ones((1, 20)))
    assert wrong["kappa"][0] == pytest.approx(-1)
    assert wrong["mean_absolute_error"][0] == pytest.approx(2)
    assert wrong["brier"][0] == pytest.approx(2)
    assert wrong["ece"][0] == pytest.approx(1)


def test_names_say_which_way_is_better_and_what_needs_an_order():
    assert set(METRICS) >= LOWER_IS_BETTER
    assert set(METRICS) >= ORDERED
    _, truth, weights = drawn()
    chances = np.random.default_rng(1).dirichlet(np.ones(4), len(truth))  # no ties
    order = np.array([2, 0, 3, 1])
    mixed = weighted_scores(chances[:, order], np.argsort(order)[truth], weights)
    for name, value in weighted_scores(chances, truth, weights).items():
        assert np.allclose(value, mixed[name]) == (name not in ORDERED), name


def test_stage_that_is_not_drawn_is_left_out_of_means():
    chances, truth, _ = drawn()
    there = (truth != 2).astype(float)[np.newaxis]
    scores = weighted_scores(chances, truth, there)
    kept = truth != 2
    pairs = [
        (metrics.roc_auc_score(truth[rows] == a, chances[rows, a])
         + metrics.roc_auc_score(truth[rows] == b, chances[rows, b])) / 2
        for a, b in [(0, 1), (0, 3), (1, 3)]
        for rows in [np.isin(truth, (a, b))]
    ]  # fmt: skip
    assert scores["pairwise_auc"][0] == pytest.approx(np.mean(pairs))
    recall = metrics.recall_score(
        truth[kept], chances[kept].argmax(axis=1), labels=[0, 1, 3], average="macro"
    )
    assert scores["balanced_accuracy"][0] == pytest.approx(recall)
    alone = weighted_scores(chances, truth, (truth == 2).astype(float)[np.newaxis])
    assert np.isnan(alone["auc"][0])
    assert np.isnan(alone["pairwise_auc"][0])


def test_ties_count_half_in_the_area():
    scores = weighted_scores(np.full((4, 2), 0.5), [0, 0, 1, 1], np.ones((1, 4)))
    assert scores["auc"][0] == scores["pairwise_auc"][0] == 0.5


def test_contrasts_are_those_of_scikit_learn():
    chances, truth, weights = drawn()
    found = weighted_contrasts(chances, truth, weights, STAGES)
    assert tuple(found) == contrast_metrics(STAGES)
    groups = {"CN/AD": ([0], [3]), "CN/MCI": ([0], [1, 2])}
    for name, (low, high) in groups.items():
        rows = np.isin(truth, low + high)
        ill = np.isin(truth, high)[rows]
        p = chances[rows][:, high].sum(axis=1)
        p = p / (p + chances[rows][:, low].sum(axis=1))
        for draw, w in enumerate(weights[:, rows]):
            sensitivity = metrics.recall_score(ill, p.round(12) > 0.5, sample_weight=w)
            specificity = metrics.recall_score(ill, p.round(12) > 0.5, sample_weight=w, pos_label=0)
            area = metrics.roc_auc_score(ill, p.round(12), sample_weight=w)
            assert found[f"sensitivity {name}"][draw] == pytest.approx(sensitivity)
            assert found[f"specificity {name}"][draw] == pytest.approx(specificity)
            assert found[f"auc {name}"][draw] == pytest.approx(area)


def test_contrasts_that_stages_do_not_allow_are_not_there():
    assert contrast_metrics(["CN", "SMC"]) == ()
    assert [each.split()[1] for each in contrast_metrics(["CN", "MCI", "AD"])] == (
        ["CN/AD"] * 3 + ["CN/MCI"] * 3
    )
    assert {each.split()[1] for each in contrast_metrics(["pMCI", "sMCI"])} == {"sMCI/pMCI"}
    assert set(CONTRASTS) == {"CN/AD", "CN/MCI", "sMCI/pMCI"}
    assert weighted_contrasts(*drawn(n_stages=2), ["one", "two"]) == {}


def test_contrast_without_probability_says_healthy_and_without_subjects_nothing():
    chances = [[0.0, 1.0, 0.0], [0.2, 0.2, 0.6], [0.0, 1.0, 0.0]]
    found = weighted_contrasts(chances, [0, 2, 2], np.ones((1, 3)), ["CN", "SMC", "AD"])
    assert found["sensitivity CN/AD"][0] == 0.5
    assert found["specificity CN/AD"][0] == 1.0
    found = weighted_contrasts(chances, [0, 1, 1], np.ones((1, 3)), ["CN", "SMC", "AD"])
    assert np.isnan(found["sensitivity CN/AD"][0])
    assert np.isnan(found["auc CN/AD"][0])


def test_a_thousand_draws_at_once():
    chances, truth, _ = drawn(400)
    weights = np.random.default_rng(0).multinomial(400, np.full(400, 1 / 400), 1001)
    start = time.process_time()
    scores = weighted_scores(chances, truth, weights)
    assert time.process_time() - start < 1.5  # 0.15 s on a quiet core
    assert all(each.shape == (1001,) for each in scores.values())


@pytest.mark.parametrize(
    "given, message",
    [
        (([[0.5, 0.5]], [0, 1], [[1, 1]]), r"got \(1, 2\), \(2,\) and \(1, 2\)"),
        (([[0.5, 0.5]], [0], [1.0]), r"weights \(n_draws, n_subjects\)"),
        (([[0.5, 0.5]], [2], [[1.0]]), "truth must be indices of 2 stages; got 2 to 2"),
        (([[0.5, 0.5]], [-1], [[1.0]]), "got -1 to -1"),
    ],
)
def test_wrong_shapes_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        weighted_scores(*given)


def test_stages_must_name_the_columns():
    with pytest.raises(ValueError, match="stages must name the 4 columns"):
        weighted_contrasts(*drawn(), ["CN", "AD"])
