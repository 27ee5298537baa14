"""Tests that hold their level: against closed forms, permutations by hand and simulations."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.naive_bayes import GaussianNB

from brainnet.cohort.subjects import as_subjects
from brainnet.evaluate.folds import Folds
from brainnet.evaluate.leaks import LeakError
from brainnet.evaluate.permutation import Permutations, permutation_test
from brainnet.evaluate.significance import compare_resampled, corrected_t_test, holm
from brainnet.evaluate.sites import LeaveSiteOut


def test_without_overlap_it_is_the_plain_test():
    differences = np.random.default_rng(0).normal(0.1, 0.3, 20)
    found = corrected_t_test(differences, n_train=1e12, n_test=1)
    plain = stats.ttest_1samp(differences, 0)
    assert (found.t, found.p, found.df) == pytest.approx((*plain, 19))
    np.testing.assert_allclose((found.low, found.high), plain.confidence_interval())


def test_correction_is_that_of_nadeau_and_bengio():
    differences = np.array([0.02, 0.05, -0.01, 0.04])
    found = corrected_t_test(differences, n_train=80, n_test=20)
    t = 0.025 / np.sqrt((1 / 4 + 20 / 80) * differences.var(ddof=1))
    assert found.t == pytest.approx(t)
    assert found.p == pytest.approx(2 * stats.t.sf(t, 3))
    assert found.low == pytest.approx(0.025 - stats.t.ppf(0.975, 3) * 0.025 / t)
    wide = corrected_t_test(differences, n_train=80, n_test=20, level=0.99)
    assert wide.low < found.low


def test_repeating_does_not_make_a_difference_real():
    differences = np.array([0.05, -0.02, 0.03, 0.01, -0.03])
    p = [corrected_t_test(np.tile(differences, n), n_train=80, n_test=20).p for n in (1, 10, 100)]
    plain = [stats.ttest_1samp(np.tile(differences, n), 0).pvalue for n in (1, 10, 100)]
    assert min(p) > 0.5
    assert plain[2] < 1e-6


def _fold_differences(rng, *, n_subjects=60, n_repeats=10):
    """Accuracies of two equally good models (nearest centroid, own columns) on the same folds."""
    labels = np.arange(n_subjects) % 2
    sign = 2 * labels - 1
    tables = rng.normal(size=(2, n_subjects, 3)) + 0.25 * sign[:, np.newaxis]
    differences = []
    for _ in range(n_repeats):
        fold = np.empty(n_subjects, dtype=int)
        for label in (0, 1):
            fold[labels == label] = rng.permutation(n_subjects // 2) % 5
        train = (fold[np.newaxis] != np.arange(5)[:, np.newaxis]).astype(float)
        centre = np.einsum("fn,mnc->mfc", train / 48, tables)
        along = np.einsum("fn,mnc->mfc", train * sign / 48, tables)
        score = np.einsum("mnc,mfc->mfn", tables, along) - np.einsum(
            "mfc,mfc->mf", centre, along
        )[:, :, np.newaxis]  # fmt: skip
        right = ((score > 0) == labels) * (1 - train)
        accuracy = right.sum(axis=2) / 12
        differences += (accuracy[0] - accuracy[1]).tolist()
    return np.array(differences)


def test_level_is_held_where_the_plain_test_fails():
    """400 comparisons of equally good models, five folds ten times."""
    rng = np.random.default_rng(0)
    made = [_fold_differences(rng) for _ in range(400)]
    corrected = np.mean(
        [corrected_t_test(each, n_train=48, n_test=12).p < 0.05 for each in made]
    )  # fmt: skip
    plain = np.mean([stats.ttest_1samp(each, 0).pvalue < 0.05 for each in made])
    assert corrected < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert plain > 0.3


def test_same_models_and_sure_differences():
    same = corrected_t_test(np.zeros(10), n_train=80, n_test=20)
    assert (same.p, same.low, same.high) == (1.0, 0.0, 0.0)
    sure = corrected_t_test(np.full(10, 0.1), n_train=80, n_test=20)
    assert (sure.p, sure.difference) == (0.0, pytest.approx(0.1))


def evaluated(skills, n_subjects=100, *, n_repeats=2, seed=0):
    """Predictions that are right with some probability."""
    rng = np.random.default_rng(seed)
    truth = np.tile(["CN", "MCI", "AD"], n_subjects)[:n_subjects]
    parts = []
    for repeat in range(n_repeats):
        fold = rng.permutation(n_subjects) % 5
        for name, skill in skills.items():
            said = np.where(rng.random(n_subjects) < skill, truth, rng.permutation(truth))
            chances = {
                f"p_{each}": np.where(said == each, 0.8, 0.1) for each in ("CN", "MCI", "AD")
            }
            parts.append(pd.DataFrame({
                "estimator": name, "repeat": repeat, "fold": fold,
                "participant": np.arange(n_subjects), "truth": truth, "predicted": said, **chances,
            }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_comparison_scores_each_fold():
    predictions = evaluated({"linear": 0.6, "graph": 0.6, "good": 0.95})
    found = compare_resampled(predictions, baseline="linear").set_index("estimator")
    scores = predictions.groupby(["estimator", "repeat", "fold"], sort=False)[
        ["truth", "predicted"]
    ].apply(lambda rows: balanced_accuracy_score(rows["truth"], rows["predicted"]))
    difference = scores["good"] - scores["linear"]
    expected = corrected_t_test(difference.to_numpy(), n_train=80, n_test=20)
    assert found.loc["good", ["difference", "low", "high", "p"]].tolist() == pytest.approx(
        [expected.difference, expected.low, expected.high, expected.p]
    )
    assert found.loc["good", "df"] == 9
    assert found.loc["good", "p_holm"] == pytest.approx(2 * expected.p)
    assert found.loc["graph", "p_holm"] > 0.05 > found.loc["good", "p_holm"]
    swapped = compare_resampled(predictions, baseline="good").set_index("estimator")
    assert swapped.loc["linear", "difference"] == pytest.approx(-expected.difference)


def test_what_trains_is_everybody_else_where_a_repeat_tests_only_some():
    """Forty random splits of a fifth: each repeat is one split, and four fifths train."""
    predictions = pd.concat(
        [
            evaluated({"linear": 0.6, "graph": 0.8}, n_repeats=1, seed=seed)
            .query("fold == 0")
            .assign(repeat=seed)
            for seed in range(40)
        ],
        ignore_index=True,
    )
    assert predictions["participant"].nunique() == 100
    found = compare_resampled(predictions, baseline="linear").iloc[0]
    scores = predictions.groupby(["estimator", "repeat"], sort=False)[["truth", "predicted"]].apply(
        lambda rows: balanced_accuracy_score(rows["truth"], rows["predicted"])
    )
    each = (scores["graph"] - scores["linear"]).to_numpy()
    expected = corrected_t_test(each, n_train=80, n_test=20)
    assert found[["low", "high", "p"]].tolist() == pytest.approx(
        [expected.low, expected.high, expected.p]
    )


def test_comparison_of_what_cannot_be_compared_is_named():
    predictions = evaluated({"linear": 0.6, "graph": 0.6})
    with pytest.raises(ValueError, match="baseline must be one of linear, graph; got 'majority'"):
        compare_resampled(predictions, baseline="majority")
    with pytest.raises(ValueError, match="metric must be one of"):
        compare_resampled(predictions, baseline="linear", metric="r2")
    lost = predictions[~((predictions["estimator"] == "graph") & (predictions["fold"] == 0))]
    with pytest.raises(ValueError, match="same folds; got linear on 10, graph on 8"):
        compare_resampled(lost, baseline="linear")
    for wrong in ([0.1], [0.1, np.nan], [[0.1, 0.2]]):
        with pytest.raises(ValueError, match="differences must be two or more finite numbers"):
            corrected_t_test(wrong, n_train=80, n_test=20)
    with pytest.raises(ValueError, match="n_train and n_test must be positive"):
        corrected_t_test([0.1, 0.2], n_train=0, n_test=20)


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.5]), [0.04, 0.09, 0.09, 0.5])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
    assert holm([]).size == 0


def planted(n_subjects=40, *, effect=1.5, seed=0):
    rng = np.random.default_rng(seed)
    stages = np.array(["AD", "CN"])[np.arange(n_subjects) % 2]
    return rng.normal(size=(n_subjects, 3)) + effect * (stages == "AD")[:, np.newaxis], stages


def test_permutation_score_is_that_of_cross_validation():
    table, stages = planted()
    found = permutation_test(
        GaussianNB(), table, stages, permutations=Permutations(19), folds=Folds(seed=4)
    )
    said = np.empty_like(stages)
    splits = StratifiedKFold(5, shuffle=True, random_state=4).split(table, stages)
    for train, test in splits:
        said[test] = GaussianNB().fit(table[train], stages[train]).predict(table[test])
    assert found.score == pytest.approx(balanced_accuracy_score(stages, said))
    assert found.p == 1 / 20
    assert found.null.shape == (19,)
    assert abs(found.null.mean() - 0.5) < 0.06


def test_permutation_leaves_sites_out():
    _, stages = planted(48)
    sites = np.repeat(["Oslo", "Rome", "Lima"], 16)
    subjects = dataclasses.replace(
        as_subjects(np.zeros((48, 1, 2, 2))), covariates=pd.DataFrame({"site": sites})
    )
    seen = []

    class Spy(LeaveSiteOut):
        def split(self, labels, participants, sites):
            seen.append(sites)
            return super().split(labels, participants, sites)

    found = permutation_test(
        DummyClassifier(), subjects, stages, permutations=Permutations(2), folds=Spy()
    )
    assert found.score == 0.5
    assert [each.tolist() for each in seen] == 3 * [sites.tolist()]


def test_permutation_refuses_what_leaks():
    table, stages = planted(24)
    two_visits = np.repeat(np.arange(12), 2)
    with pytest.raises(LeakError, match="train and test must share no participant"):
        permutation_test(
            GaussianNB(), table, np.repeat(["CN", "AD"] * 6, 2), groups=two_visits,
            permutations=Permutations(1), folds=KFold(3, shuffle=True, random_state=0),
        )  # fmt: skip
    fitted = GaussianNB().fit(table, stages)
    with pytest.raises(LeakError, match="'GaussianNB' was fitted before the split"):
        permutation_test(fitted, table, stages, permutations=Permutations(1))


class Centroid(ClassifierMixin, BaseEstimator):
    """The nearer mean; scikit-learn's own checks would take ten times as long."""

    def fit(self, table, stages):
        self.classes_ = np.array(["AD", "CN"])
        self.means_ = np.stack([table[stages == each].mean(axis=0) for each in self.classes_])
        return self

    def predict_proba(self, table):
        closer = -((table[:, np.newaxis] - self.means_) ** 2).sum(axis=2)
        return softmax(closer, axis=1)


def test_permutation_of_what_cannot_be_found_is_level():
    """Forty cohorts without an effect: the p-values are spread evenly."""
    p = [
        permutation_test(
            Centroid(), *planted(24, effect=0.0, seed=seed),
            permutations=Permutations(9, seed=seed), folds=Folds(n_splits=2),
        ).p
        for seed in range(40)
    ]  # fmt: skip
    assert 0.4 < np.mean(p) < 0.7
    assert np.mean(np.array(p) <= 0.1) < 0.25


def test_lower_losses_are_better():
    table, stages = planted(effect=1.0)
    found = permutation_test(
        GaussianNB(), table, stages, metric="log_loss", permutations=Permutations(9)
    )
    assert found.score < found.null.min()
    assert found.p == 0.1


@pytest.mark.slow
def test_processes_do_not_change_the_result():
    table, stages = planted(effect=0.3)
    one, two = (
        permutation_test(GaussianNB(), table, stages, permutations=Permutations(3), n_jobs=n)
        for n in (1, 2)
    )
    np.testing.assert_array_equal(one.null, two.null)
    assert (one.score, one.p) == (two.score, two.p)


class Together(ClassifierMixin, BaseEstimator):
    """Refuses to be tested on whom it was trained on."""

    def fit(self, table, stages, groups):
        self.mine_, self.classes_ = set(groups.tolist()), np.unique(stages)
        assert all(np.unique(stages[groups == each]).size == 1 for each in self.mine_)
        return self

    def predict_proba(self, table):
        assert not self.mine_ & set(np.asarray(table)[:, 0].tolist())
        return np.full((len(table), 2), 0.5)


def test_visits_of_a_participant_stay_together():
    people = np.repeat(np.arange(20), [1, 2] * 10)
    stages = np.array(["AD", "CN"])[people % 2]
    table = people[:, np.newaxis].astype(float)
    found = permutation_test(Together(), table, stages, groups=people, permutations=Permutations(5))
    assert found.p == 1.0


def test_participants_come_from_subjects_and_within_from_their_covariates():
    subjects = as_subjects(np.zeros((8, 1, 3, 3)))
    site = np.repeat(["A", "B"], 4)
    stages = np.array(["CN", "AD", "CN", "AD", "CN", "CN", "CN", "AD"])
    subjects.covariates["site"] = site
    for dealt in Permutations(20, within="site").of(stages, subjects.participants, subjects):
        assert sorted(dealt[:4]) == sorted(stages[:4])
        assert sorted(dealt[4:]) == sorted(stages[4:])
    over_all = list(Permutations(20).of(stages, subjects.participants))
    assert any(sorted(each[:4]) != sorted(stages[:4]) for each in over_all)
    by_array = list(Permutations(20, within=site).of(stages, subjects.participants))
    by_name = Permutations(20, within="site").of(stages, subjects.participants, subjects)
    np.testing.assert_array_equal(by_array, list(by_name))


def test_every_order_is_as_likely():
    stages = np.array(["a", "b", "c"])
    found = Permutations(3000, seed=1).of(stages, np.arange(3))
    _, counts = np.unique(["".join(each) for each in found], return_counts=True)
    assert counts.size == 6
    assert stats.chisquare(counts).pvalue > 0.001


def test_progression_moves_as_a_whole():
    people = np.array([0, 0, 1, 1, 2, 3])
    stages = np.array(["CN", "MCI", "MCI", "AD", "CN", "AD"])
    for dealt in Permutations(20).of(stages, people):
        assert {tuple(dealt[:2]), tuple(dealt[2:4])} == {("CN", "MCI"), ("MCI", "AD")}
        assert sorted(dealt[4:]) == ["AD", "CN"]


def test_seed_decides_and_more_begin_with_the_same():
    _, stages = planted()
    few, many, other = (
        list(Permutations(n, seed=seed).of(stages, np.arange(40)))
        for n, seed in ((3, 0), (6, 0), (3, 1))
    )
    np.testing.assert_array_equal(few, many[:3])
    assert not np.array_equal(few, other)


def test_what_cannot_be_permuted_is_named():
    table, stages = planted()
    with pytest.raises(ValueError, match="n_permutations must be at least 1"):
        Permutations(0)
    with pytest.raises(ValueError, match="metric must be one of"):
        permutation_test(GaussianNB(), table, stages, metric="r2")
    with pytest.raises(ValueError, match="stages must be one a subject, 40; got 39"):
        permutation_test(GaussianNB(), table, stages[1:])
    people = np.repeat(np.arange(20), 2)
    with pytest.raises(ValueError, match="within must be the same for all rows of a participant"):
        list(Permutations(1, within=np.tile(["A", "B"], 20)).of(np.repeat(["a", "b"], 20), people))
    with pytest.raises(ValueError, match=r"covariate of the subjects \(none\)"):
        list(Permutations(1, within="site").of(stages, np.arange(40)))
    with pytest.raises(ValueError, match="must have one length; got 40, 20 and 40"):
        list(Permutations(1).of(stages, np.arange(20)))
    with pytest.raises(ValueError, match="stages must differ between participants that can"):
        list(Permutations(1, within=stages).of(stages, np.arange(40)))
