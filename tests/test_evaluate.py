"""Evaluation: the scores are right, the intervals are honest, and nothing leaks."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn import metrics
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainnet.evaluate import (
    LeakError,
    assert_no_leak,
    compare,
    cross_validate_stages,
    possible_splits,
)
from brainnet.evaluate.folds import Split
from brainnet.evaluate.intervals import draws, intervals
from brainnet.evaluate.scores import METRICS, weighted_scores
from brainnet.io import DataError, DataWarning
from brainnet.models.edges import EdgeImputer, EdgeTable
from brainnet.models.linear import edge_logistic, majority

STAGES = np.array(["AD", "CN", "EMCI"])


def linear():
    """Like the linear baseline, but that it chooses no penalty: quick."""
    return make_pipeline(
        EdgeImputer(), EdgeTable(), StandardScaler(), LogisticRegression(C=0.01, max_iter=500)
    )


def planted_cohort(n_subjects=45, *, effect=0.3, n_regions=10, seed=0):
    """A cohort whose stages differ by the strength of three hubs."""
    rng = np.random.default_rng(seed)
    step = np.arange(n_subjects) % 3
    hubs = np.zeros((n_regions, n_regions))
    hubs[:3], hubs[:, :3] = 1, 1
    edges = 0.4 + rng.normal(0, 0.15, (n_subjects, 2, n_regions, n_regions))
    edges -= effect * step[:, None, None, None] * hubs
    edges = (edges + edges.swapaxes(2, 3)) / 2
    subjects = [f"{i:03d}" for i in range(n_subjects)]
    return xr.Dataset(
        {"edges": (("subject", "modality", "region", "region_to"), edges)},
        coords={
            "subject": subjects,
            "participant_id": ("subject", [f"sub-{each}" for each in subjects]),
            "stage": ("subject", np.array(["CN", "EMCI", "AD"])[step]),
            "modality": ["functional", "morphological"],
        },
    )


class Recorder(ClassifierMixin, BaseEstimator):
    """Keeps what every fitted clone of the linear baseline holds, fold by fold."""

    fitted: list[bytes] = []  # noqa: RUF012  (clones share it)

    def fit(self, networks, stages):
        self.model_ = linear().fit(networks, stages)
        self.classes_ = self.model_.classes_
        self.fitted.append(pickle.dumps(self.model_))
        return self

    def predict_proba(self, networks):
        return self.model_.predict_proba(networks)


class Cheat(ClassifierMixin, BaseEstimator):
    """Looks every subject up in the whole cohort: what a leak looks like from outside."""

    def __init__(self, cohort=None):
        self.cohort = cohort

    def __sklearn_clone__(self):
        return Cheat(self.cohort)

    def fit(self, networks, stages):
        self.classes_ = np.unique(stages)
        return self

    def predict_proba(self, networks):
        everyone = self.cohort["edges"].values[:, 0, 0, 1]
        row = np.abs(everyone - np.asarray(networks)[:, 0, 0, 1][:, None]).argmin(axis=1)
        return np.eye(len(self.classes_))[
            np.searchsorted(self.classes_, self.cohort["stage"].values[row])
        ]


def _row(table, estimator, metric="balanced_accuracy"):
    each = table[(table["estimator"] == estimator) & (table["metric"] == metric)]
    return each[["estimate", "low", "high"]].to_numpy()[0]


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(4), 60)
    truth = rng.integers(0, 4, 60)
    weights = rng.integers(0, 4, (3, 60)).astype(float)
    scores = weighted_scores(chances, truth, weights)
    said, onehot = chances.argmax(axis=1), np.eye(4)[truth]
    for draw, w in enumerate(weights):
        expected = {
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, said, sample_weight=w),
            "accuracy": metrics.accuracy_score(truth, said, sample_weight=w),
            "auc": metrics.roc_auc_score(onehot, chances, average="macro", sample_weight=w),
            "kappa": metrics.cohen_kappa_score(truth, said, weights="quadratic", sample_weight=w),
            "f1": metrics.f1_score(truth, said, average="macro", sample_weight=w),
            "log_loss": metrics.log_loss(truth, chances, sample_weight=w),
        }
        assert set(expected) <= set(METRICS)
        for name, value in expected.items():
            assert scores[name][draw] == pytest.approx(value), name


def test_ties_count_half_in_the_area():
    scores = weighted_scores(np.full((4, 2), 0.5), [0, 0, 1, 1], np.ones((1, 4)))
    assert scores["auc"][0] == 0.5
    assert scores["log_loss"][0] == pytest.approx(np.log(2))


def test_table_predictions_and_folds_have_their_shape():
    result = cross_validate_stages(
        planted_cohort(), {"majority": majority(), "linear": linear()}, n_repeats=2
    )
    assert result.stages == ("CN", "EMCI", "AD")
    of_contrasts = ["sensitivity CN/AD", "specificity CN/AD", "auc CN/AD"]
    assert set(result.table["metric"]) >= {*METRICS, *of_contrasts}
    assert (result.table.groupby("estimator").size() == result.table["metric"].nunique()).all()
    known = result.table[result.table["metric"] != "ece"]  # resamples only add to it
    assert (known["low"] <= known["estimate"] + 1e-12).all()
    assert (known["estimate"] <= known["high"] + 1e-12).all()
    assert len(result.predictions) == 2 * 2 * 45
    once = result.predictions.groupby(["estimator", "repeat"])["subject"].nunique()
    assert (once == 45).all()
    assert len(result.folds) == 2 * 45
    assert result.folds.groupby(["repeat", "fold"]).size().tolist() == [9] * 10
    columns = [f"p_{stage}" for stage in result.stages]
    np.testing.assert_allclose(result.predictions[columns].sum(axis=1), 1)


def test_estimate_is_the_score_of_the_out_of_fold_predictions():
    result = cross_validate_stages(planted_cohort(effect=0.1), {"linear": linear()})
    expected = metrics.balanced_accuracy_score(
        result.predictions["truth"], result.predictions["predicted"]
    )
    assert _row(result.table, "linear")[0] == pytest.approx(expected)


def test_planted_difference_is_found_and_majority_stays_at_chance():
    result = cross_validate_stages(planted_cohort(), {"majority": majority(), "linear": linear()})
    assert _row(result.table, "linear")[1] > 0.7
    assert _row(result.table, "majority").tolist() == pytest.approx([1 / 3] * 3)
    assert _row(result.differences, "majority")[2] < 0
    assert set(result.differences["estimator"]) == {"majority"}


def test_without_an_effect_the_interval_of_a_graph_network_covers_chance():
    from brainnet.models.graph.estimator import GraphClassifier

    graph = GraphClassifier(n_epochs=30, n_hidden=16, learning_rate=0.02)
    cohort = planted_cohort(45)
    shuffled = np.random.default_rng(1).permutation(cohort["stage"].values)
    result = cross_validate_stages(
        cohort.assign_coords(stage=("subject", shuffled)), {"graph": graph}
    )
    _, low, high = _row(result.table, "graph")
    assert low - 1e-9 <= 1 / 3 <= high + 1e-9  # all in one stage is chance without a width


def test_shuffled_labels_unmask_a_model_that_has_seen_the_test_subjects():
    cohort = planted_cohort(60)
    shuffled = np.random.default_rng(1).permutation(cohort["stage"].values)
    cohort = cohort.assign_coords(stage=("subject", shuffled))
    result = cross_validate_stages(cohort, {"cheat": Cheat(cohort)})
    assert _row(result.table, "cheat")[1] > 1 / 3  # honest models cover chance here, as above


def test_changing_test_subjects_changes_nothing_that_was_fitted():
    cohort = planted_cohort()
    Recorder.fitted.clear()
    first = cross_validate_stages(cohort, {"a": Recorder()})
    before = list(Recorder.fitted)
    tested = first.folds.loc[first.folds["fold"] == 0, "subject"].tolist()
    other = cohort.copy(deep=True)
    rows = np.isin(other["subject"].values, tested)
    other["edges"].values[rows] *= 5
    other["edges"].values[rows, 1] = np.nan
    Recorder.fitted.clear()
    second = cross_validate_stages(other, {"a": Recorder()})
    assert Recorder.fitted[0] == before[0]
    assert Recorder.fitted[1] != before[1], "these subjects train in fold 1"
    chances = [r.predictions.loc[r.predictions["fold"] == 0, "p_AD"] for r in (first, second)]
    assert not np.allclose(*chances)


def test_every_clone_is_fresh_and_the_given_estimator_stays_unfitted():
    model = edge_logistic()
    cross_validate_stages(planted_cohort(), {"linear": model})
    assert not hasattr(model["classify"], "model_")


def test_same_seed_same_tables_other_seed_other_folds():
    cohort = planted_cohort(effect=0.05)
    runs = [cross_validate_stages(cohort, {"l": linear()}, seed=s) for s in (0, 0, 1)]
    pd.testing.assert_frame_equal(runs[0].table, runs[1].table)
    pd.testing.assert_frame_equal(runs[0].predictions, runs[1].predictions)
    assert not runs[0].folds.equals(runs[2].folds)


def test_rows_of_one_participant_stay_together():
    cohort = planted_cohort(30)
    rng = np.random.default_rng(5)
    twice = xr.concat([cohort, cohort], dim="subject")
    noise = rng.normal(0, 0.01, twice["edges"].shape)
    twice["edges"] = twice["edges"] + noise + noise.swapaxes(2, 3)
    names = [f"sub-{s}" if i < 30 else s for i, s in enumerate(twice["subject"].values)]
    twice = twice.assign_coords(participant_id=("subject", names))
    result = cross_validate_stages(twice, {"linear": linear()})
    where = result.predictions.groupby("participant")["fold"].nunique()
    assert len(where) == 30
    assert (where == 1).all()


def test_a_split_that_shares_a_participant_is_an_error():
    class Leaky:
        def split(self, labels, participants, sites):
            return [Split(0, 0, np.arange(40), np.arange(39, 45))]

    with pytest.raises(LeakError, match="039"):
        cross_validate_stages(planted_cohort(), {"linear": linear()}, folds=Leaky())


def test_guard_names_who_stands_on_both_sides():
    assert_no_leak(["a"], ["b"])
    with pytest.raises(LeakError, match="both hold b, c"):
        assert_no_leak(["a", "b", "c"], ["c", "b"])


def test_one_persons_networks_under_two_names_are_an_error():
    cohort = planted_cohort()
    cohort["edges"].values[7] = cohort["edges"].values[30]
    with pytest.raises(LeakError, match="007 and 030"):
        cross_validate_stages(cohort, {"linear": linear()})


def test_small_classes_lower_the_folds_with_a_warning():
    cohort = planted_cohort(9)
    with pytest.warns(UserWarning, match="3 folds are made instead of 5"):
        result = cross_validate_stages(cohort, {"linear": linear()})
    assert result.folds["fold"].nunique() == 3


@pytest.mark.parametrize(
    "n_subjects, word", [(2, "CN 1"), (4, "at least 2 participants"), (1, "CN")]
)
def test_too_few_say_how_many_are_needed(n_subjects, word):
    with pytest.raises(ValueError, match=word):
        cross_validate_stages(planted_cohort(n_subjects), {"linear": linear()})


def test_unknown_target_names_the_columns():
    with pytest.raises(DataError, match=r"no column 'diagnosis'.*stage"):
        cross_validate_stages(planted_cohort(), {"l": majority()}, target="diagnosis")


def test_subjects_without_a_stage_are_left_out_by_name():
    cohort = planted_cohort()
    stages = cohort["stage"].values.astype(object)
    stages[3] = "n/a"
    cohort = cohort.assign_coords(stage=("subject", stages.astype(str)))
    with pytest.warns(DataWarning, match="003"):
        result = cross_validate_stages(cohort, {"majority": majority()})
    assert "003" not in set(result.predictions["subject"])


def test_classes_without_an_order_have_no_kappa():
    cohort = planted_cohort()
    sites = np.array(["x", "y", "z"])[np.arange(45) % 3]
    result = cross_validate_stages(
        cohort.assign_coords(site=("subject", sites)), {"linear": linear()}, target="site"
    )
    assert np.isnan(_row(result.table, "linear", "kappa")).all()
    assert np.isnan(_row(result.table, "linear", "mean_absolute_error")).all()
    assert result.stages == ("x", "y", "z")


def test_compare_pairs_the_same_resamples():
    result = cross_validate_stages(
        planted_cohort(effect=0.05),
        {"majority": majority(), "linear": linear(), "again": linear()},
    )
    pd.testing.assert_frame_equal(compare(result, baseline="linear"), result.differences)
    assert _row(result.differences, "again").tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="majority"):
        compare(result, baseline="gnn")


def test_resamples_are_those_of_the_evaluation_unless_another_seed_is_given():
    estimators = {"majority": majority(), "linear": linear()}
    result = cross_validate_stages(planted_cohort(effect=0.05), estimators, seed=3)
    assert result.draws.attrs["seed"] == 3
    pd.testing.assert_frame_equal(compare(result, baseline="linear"), result.differences)
    pd.testing.assert_frame_equal(compare(result, baseline="linear", seed=3), result.differences)
    assert not compare(result, baseline="linear", seed=4).equals(result.differences)


def test_interval_widens_as_subjects_get_fewer():
    def width(n):
        r = cross_validate_stages(planted_cohort(n, effect=0.05), {"l": linear()})
        _, low, high = _row(r.table, "l")
        return high - low

    assert width(30) > 1.3 * width(120)


def test_bootstrap_interval_agrees_with_the_binomial():
    n, n_right = 400, 300
    truth = np.repeat(["CN", "AD"], n // 2)
    right = np.tile(np.arange(n // 2) < n_right // 2, 2)
    p_cn = np.where((truth == "CN") == right, 0.8, 0.2)
    frame = pd.DataFrame({
        "estimator": "e", "repeat": 0, "participant": [f"{i:03d}" for i in range(n)],
        "truth": truth, "p_CN": p_cn, "p_AD": 1 - p_cn,
    })  # fmt: skip
    table = intervals(draws(frame, ("CN", "AD"), 0))
    estimate, low, high = _row(table, "e", "accuracy")
    half = 1.96 * np.sqrt(0.75 * 0.25 / n)
    assert estimate == 0.75
    assert (high - low) / 2 == pytest.approx(half, rel=0.12)


def test_evaluation_imports_no_torch():
    rooms = "brainnet.evaluate, brainnet.cohort, brainnet.models.linear"
    heavy = "{'torch', 'ants', 'nilearn'}"
    code = f"import sys, {rooms}; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("codes", [[0, 1, 2], [0.0, 1.0, 2.0], [10, 9, 100], ["0", "1", "2"]])
def test_coded_targets_are_classes_in_order_of_size(codes):
    coded = planted_cohort().assign_coords(dx=("subject", np.array(codes)[np.arange(45) % 3]))
    result = cross_validate_stages(coded, {"linear": linear()}, target="dx")
    assert result.stages == tuple(str(int(each)) for each in sorted(map(int, codes)))
    assert set(result.predictions["truth"]) == set(result.stages)
    assert _row(result.table, "linear")[1] > 0.7


def test_splits_and_classes_are_checked_in_one_place():
    assert possible_splits([1, 1, 0, 0, None], list("abcde"), 5) == 2
    with pytest.raises(ValueError, match=r"2 classes with at least 2 .* 4 in all.*got AD 1, CN 1"):
        possible_splits(["CN", "AD"], ["01", "02"], 5)
    with pytest.raises(ValueError, match=r"at least 2 .*got none"):
        possible_splits(["n/a"], ["01"], 5)
    with pytest.raises(ValueError, match="n_splits must be at least 2"):
        possible_splits(["CN", "AD"] * 5, range(10), 1)


def test_a_leak_is_told_as_other_errors_are():
    assert issubclass(LeakError, ValueError)
