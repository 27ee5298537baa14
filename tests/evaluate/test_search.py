"""Settings are chosen on inner folds of the training rows, and nobody else takes part."""

import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

from brainnet.cohort.subjects import as_subjects
from brainnet.evaluate import Search, _models, cross_validate_stages

GRID = {"logisticregression__C": [1e-4, 1e-2, 1.0]}


class Constant(ClassifierMixin, BaseEstimator):
    """Gives the first class a probability, whatever the networks; fails where told to."""

    fitted = []  # noqa: RUF012  (clones share it)

    def __init__(self, first=0.5, fails=0):
        self.first = first
        self.fails = fails

    def fit(self, networks, stages, groups=None):
        if len(stages) < self.fails:
            raise ArithmeticError("no fit")
        self.fitted.append((self.first, np.asarray(groups)))
        self.classes_ = np.unique(stages)
        return self

    def predict_proba(self, networks):
        return np.tile([self.first, 1 - self.first], (len(networks), 1))


@pytest.mark.parametrize(
    "ours, theirs",
    [("log_loss", "neg_log_loss"), ("balanced_accuracy", "balanced_accuracy"), ("f1", "f1_macro")],
)
def test_inner_scores_are_those_of_scikit_learn(planted, quick, ours, theirs):
    subjects, stages = planted(45, effect=0.06)
    found = Search(quick, GRID, scoring=ours, seed=3).fit(subjects, stages)
    folds = StratifiedGroupKFold(3, shuffle=True, random_state=3)
    cv = list(folds.split(stages, stages, subjects.participants))
    known = GridSearchCV(quick, GRID, scoring=theirs, cv=cv).fit(subjects.edges, stages)
    sign = -1 if ours == "log_loss" else 1
    expected = sign * known.cv_results_["mean_test_score"]
    np.testing.assert_allclose(found.scores_["score"], expected)
    assert found.best_params_ == known.best_params_
    np.testing.assert_allclose(
        found.predict_proba(subjects), known.predict_proba(subjects.edges), atol=1e-12
    )
    assert found.predict(subjects).tolist() == known.predict(subjects.edges).tolist()
    assert found.scores_["logisticregression__C"].tolist() == GRID["logisticregression__C"]
    assert {"fold_0", "fold_1", "fold_2"} <= set(found.scores_)


def test_visits_of_one_participant_stay_together():
    Constant.fitted.clear()
    people = np.repeat([f"{i:02d}" for i in range(12)], 2)
    stages = np.repeat(["AD", "CN"] * 6, 2)
    networks = np.zeros((24, 1, 3, 3))
    Search(Constant(), {"first": [0.4, 0.6]}).fit(networks, stages, groups=people)
    *inner, final = [groups for _, groups in Constant.fitted]
    assert len(inner) == 6
    assert all(np.unique(groups).size * 2 == groups.size for groups in inner)
    assert final.tolist() == people.tolist()


def test_subjects_know_who_they_are():
    Constant.fitted.clear()
    subjects = as_subjects(np.zeros((24, 1, 3, 3)))
    object.__setattr__(subjects, "participants", np.repeat([f"{i:02d}" for i in range(12)], 2))
    Search(Constant(), {"first": [0.4, 0.6]}).fit(subjects, np.repeat(["AD", "CN"] * 6, 2))
    assert all(np.unique(g).size * 2 == g.size for _, g in Constant.fitted)


@pytest.mark.parametrize(
    "scoring, chosen",
    [
        ("log_loss", 0.5),
        ("brier", 0.5),
        ("accuracy", 0.2),
        (lambda chances, truth: chances[:, 1].mean(), 0.9),  # columns in order: CN, AD
    ],
)
def test_more_or_less_is_better_as_the_score_has_it(scoring, chosen):
    networks, stages = np.zeros((20, 1, 3, 3)), ["AD", "CN"] * 10
    stages[0] = "CN"
    search = Search(Constant(), {"first": [0.2, 0.5, 0.9]}, scoring=scoring)
    assert search.fit(networks, stages).best_params_ == {"first": chosen}


def test_the_first_of_equals_is_taken():
    networks, stages = np.zeros((20, 1, 3, 3)), ["AD", "CN"] * 10
    search = Search(Constant(), {"first": [0.7, 0.3, 0.7]}, scoring="balanced_accuracy")
    assert search.fit(networks, stages).best_params_ == {"first": 0.7}


def test_it_clones_pickles_and_shows_its_parameters(planted, quick):
    subjects, stages = planted()
    search = Search(quick, GRID, n_splits=2, scoring="auc", seed=4)
    assert search.get_params()["estimator__logisticregression__C"] == 0.1
    fitted = clone(search).fit(subjects, stages)
    assert not hasattr(search, "best_params_")
    assert not hasattr(quick[-1], "coef_")
    back = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(back.predict_proba(subjects), fitted.predict_proba(subjects))
    assert fitted.classes_.tolist() == ["AD", "CN", "EMCI"]


def test_same_seed_same_choice_other_seed_other_folds(planted, quick):
    subjects, stages = planted(30, effect=0.05)
    tables = [Search(quick, GRID, seed=seed).fit(subjects, stages).scores_ for seed in (0, 0, 1)]
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])


def test_small_stages_make_fewer_inner_folds():
    networks = np.zeros((12, 1, 3, 3))
    search = Search(Constant(), {"first": [0.8, 0.5]})
    with pytest.warns(UserWarning, match="only 2 participants of AD .*2 inner folds .* of 3"):
        fitted = search.fit(networks, ["CN"] * 10 + ["AD"] * 2)
    assert "fold_2" not in fitted.scores_
    with pytest.warns(UserWarning, match="only 1 participants of AD .*first setting is taken"):
        fitted = search.fit(networks, ["CN"] * 11 + ["AD"])
    assert fitted.best_params_ == {"first": 0.8}
    assert np.isnan(fitted.best_score_)
    two_visits = np.array([*map(str, range(10)), "10", "10"])
    with pytest.warns(UserWarning, match="only 1 participants of AD"):
        search.fit(networks, ["CN"] * 10 + ["AD"] * 2, groups=two_visits)


def test_a_setting_that_fails_is_left_out_and_all_failing_is_an_error():
    networks, stages = np.zeros((20, 1, 3, 3)), ["AD", "CN"] * 10
    with pytest.warns(UserWarning, match=r"\{'fails': 99\} is left out .*ArithmeticError: no"):
        fitted = Search(Constant(), {"fails": [99, 0]}).fit(networks, stages)
    assert fitted.best_params_ == {"fails": 0}
    assert np.isnan(fitted.scores_["score"][0])
    for fails in ([99, 98], [20, 19]):  # everywhere, and on inner folds only
        with (
            pytest.warns(UserWarning, match="left out"),
            pytest.raises(ArithmeticError, match="no fit"),
        ):
            Search(Constant(), {"fails": fails}).fit(networks, stages)


def test_a_single_setting_is_not_tried():
    Constant.fitted.clear()
    fitted = Search(Constant(), {"first": [0.3]}).fit(np.zeros((20, 1, 3, 3)), ["AD", "CN"] * 10)
    assert len(Constant.fitted) == 1
    assert fitted.best_params_ == {"first": 0.3}


@pytest.mark.parametrize(
    "options, what",
    [
        ({"scoring": "accurracy"}, "scoring must be one of balanced_accuracy, .*'accurracy'"),
        ({"grid": []}, "grid must hold at least one setting"),
        ({"n_splits": 1}, "n_splits must be at least 2; got 2 and 1"),
    ],
)
def test_what_cannot_be_searched_says_so(options, what):
    options = {"grid": {"first": [0.1, 0.2]}} | options
    with pytest.raises(ValueError, match=what):
        Search(Constant(), **options).fit(np.zeros((20, 1, 3, 3)), ["AD", "CN"] * 10)


def test_an_evaluation_keeps_what_was_chosen_in_each_fold(planted, quick):
    subjects, stages = planted(36, effect=0.1)
    given = (subjects, stages)
    result = cross_validate_stages(
        given, {"plain": quick, "quick": quick}, n_splits=3, grids={"quick": GRID}
    )
    assert result.choices["estimator"].tolist() == ["quick"] * 3
    assert result.choices["parameter"].unique().tolist() == ["logisticregression__C"]
    assert set(result.choices["value"]) <= set(GRID["logisticregression__C"])
    itself = cross_validate_stages(given, {"quick": Search(quick, GRID)}, n_splits=3)
    mine = result.predictions["estimator"] == "quick"
    assert result.predictions[mine].reset_index(drop=True).equals(itself.predictions)
    assert _models({"quick": quick}, {"quick": GRID}, 5)["quick"].seed == 5
    with pytest.raises(ValueError, match=r"grids must be of estimators \(a\).*got b"):
        cross_validate_stages(given, {"a": quick}, grids={"b": GRID})


def test_changing_test_subjects_changes_no_choice(planted, quick):
    subjects, stages = planted(36, effect=0.05)
    before = cross_validate_stages((subjects, stages), {"q": quick}, n_splits=3, grids={"q": GRID})
    tested = before.folds.loc[before.folds["fold"] == 0, "subject"].astype(int)
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 9, subjects.edges[tested].shape)
    subjects.edges[tested] += noise + noise.swapaxes(2, 3)
    fitted = []

    class Kept(Search):
        def fit(self, networks, stages, groups=None):
            super().fit(networks, stages, groups)
            fitted.append((self.scores_, self.best_estimator_[-1].coef_))
            return self

    cross_validate_stages((subjects, stages), {"q": Kept(quick, GRID)}, n_splits=3)
    after = list(fitted)
    fitted.clear()
    subjects.edges[tested] -= noise + noise.swapaxes(2, 3)
    cross_validate_stages((subjects, stages), {"q": Kept(quick, GRID)}, n_splits=3)
    assert after[0][0].equals(fitted[0][0])
    np.testing.assert_array_equal(after[0][1], fitted[0][1])
    assert not after[1][0].equals(fitted[1][0]), "these subjects train in fold 1"


def test_it_is_a_classifier_of_any_array():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(40, 3))
    table[20:, 0] += 4
    stages = np.repeat([0, 1], 20)
    fitted = Search(LogisticRegression(), {"C": [0.01, 1]}).fit(table, stages)
    assert fitted.score(table, stages) > 0.9
