"""Harmonisation in the fold: what goes, what stays, and what is refused."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from brainnet.cohort.subjects import Subjects, as_subjects
from brainnet.evaluate.leaks import LeakError, refuse_learned_from_all
from brainnet.models.harmonised import Harmonised, Harmoniser
from brainnet.models.linear import edge_logistic
from brainnet.models.measures import with_measures


def sited(n_subjects=60, *, effect=0.3, seed=0, measures=False):
    """Correlation-like and volume-like networks of two sites, half of each site ill."""
    rng = np.random.default_rng(seed)
    place = np.arange(n_subjects) % 2
    ill = (np.arange(n_subjects) // 2) % 2
    z = 0.3 + rng.normal(0, 0.2, (n_subjects, 2, 8, 8))
    z[:, :, :3, :3] -= effect * ill[:, None, None, None]
    z[:, 0] += 0.4 * place[:, None, None]
    edges = np.tanh((z + z.swapaxes(2, 3)) / 2)
    edges[:, 1] = 5 * (edges[:, 1] + place[:, None, None])
    edges[..., range(8), range(8)] = 0
    values = rng.normal(3, 0.3, (n_subjects, 2, 8)) * (1 + 0.5 * place[:, None, None])
    values[:, 0] = np.nan
    people = pd.DataFrame(
        {
            "site": np.array(["A", "B"])[place],
            "age": rng.normal(70, 5, n_subjects),
            "sex": rng.choice(["F", "M"], n_subjects),
        }
    )
    subjects = replace(as_subjects(edges), values=values, covariates=people)
    stages = np.array(["CN", "AD"])[ill]
    return (with_measures(subjects) if measures else subjects), stages


class Keeper(ClassifierMixin, BaseEstimator):
    """Keeps what it is given."""

    def fit(self, subjects, stages, groups=None):
        self.given_, self.groups_ = subjects, groups
        self.classes_ = np.unique(stages)
        return self

    def predict_proba(self, subjects):
        self.asked_ = subjects
        return np.full((len(subjects), self.classes_.size), 1 / self.classes_.size)


def _apart(array, sites):
    """Largest difference of the two sites' means, in their deviations."""
    a, b = (array[sites == site].reshape(np.sum(sites == site), -1) for site in "AB")
    with np.errstate(invalid="ignore"):
        return np.nanmax(np.abs(a.mean(axis=0) - b.mean(axis=0)) / (a.std(axis=0) + b.std(axis=0)))


def test_sites_go_from_all_that_a_subject_has():
    subjects, _ = sited(measures=True)
    found = Harmoniser().fit_transform(subjects)
    sites = subjects.covariates["site"].to_numpy()
    upper = np.triu_indices(8, 1)
    for name in ("edges", "values", "measures", "graph_measures"):
        before, after = getattr(subjects, name)[:, 1], getattr(found, name)[:, 1]
        if name == "edges":
            before, after = before[:, upper[0], upper[1]], after[:, upper[0], upper[1]]
        assert _apart(before, sites) > 0.5, name
        assert _apart(after, sites) < 0.25, name
    assert np.isnan(found.values[:, 0]).all()


def test_correlations_stay_correlations_and_networks_networks():
    subjects, _ = sited()
    edges = subjects.edges.copy()
    edges[2, 0, 4, :], edges[2, 0, :, 4] = np.nan, np.nan
    edges[0, 0, 1, 2] = edges[0, 0, 2, 1] = 0.999
    given = replace(subjects, edges=edges)
    model = Harmoniser().fit(given)
    found = model.transform(given).edges
    assert model.fisher_.tolist() == [True, False]
    np.testing.assert_array_equal(np.isnan(found), np.isnan(edges))
    np.testing.assert_array_equal(found, found.swapaxes(2, 3))
    assert np.nanmax(np.abs(found[:, 0])) < 1
    diagonal = np.arange(8)
    np.testing.assert_array_equal(found[..., diagonal, diagonal], edges[..., diagonal, diagonal])
    np.testing.assert_array_equal(given.edges, edges)


def test_similarities_up_to_one_are_taken_as_they_are():
    """Fisher's z of a similarity of 1 has no end, and would be all that the site's mean says."""
    subjects, _ = sited()
    edges = np.clip(subjects.edges + 0.7, 0, 1)
    assert (edges == 1).any()
    similar = replace(subjects, edges=edges)
    model = Harmoniser(keep=(), prior="none").fit(similar)
    assert model.fisher_.tolist() == [False, False]
    upper = np.triu_indices(8, 1)
    found = model.transform(similar).edges[:, 0][:, upper[0], upper[1]]
    assert _apart(found, subjects.covariates["site"].to_numpy()) < 1e-9


def test_nothing_is_learned_from_test_subjects():
    subjects, _ = sited()
    model = Harmoniser().fit(subjects[:40])
    first = model.transform(subjects[40:])
    changed = replace(subjects[40:], edges=np.where(np.arange(20)[:, None, None, None] == 0,
                                                    subjects.edges[40:], 0.1))  # fmt: skip
    np.testing.assert_array_equal(model.transform(changed).edges[0], first.edges[0])
    fresh = Harmoniser().fit(subjects[:40])
    for key, combat in fresh.combats_.items():
        np.testing.assert_array_equal(combat.location_, model.combats_[key].location_)
        np.testing.assert_array_equal(combat.scale_, model.combats_[key].scale_)


def test_estimator_sees_harmonised_subjects_in_fit_and_predict():
    subjects, stages = sited()
    people = np.repeat(np.arange(30), 2)
    model = Harmonised(Keeper()).fit(subjects[:40], stages[:40], groups=people[:40])
    expected = Harmoniser().fit(subjects[:40])
    given = model.estimator_.given_
    assert isinstance(given, Subjects)
    np.testing.assert_array_equal(given.edges, expected.transform(subjects[:40]).edges)
    np.testing.assert_array_equal(model.estimator_.groups_, people[:40])
    chances = model.predict_proba(subjects[40:])
    np.testing.assert_array_equal(
        model.estimator_.asked_.edges, expected.transform(subjects[40:]).edges
    )
    assert chances.shape == (20, 2)
    assert not hasattr(model.estimator, "classes_")


def test_groups_are_not_forced_on_who_does_not_take_them():
    subjects, stages = sited()
    model = Harmonised(DummyClassifier()).fit(subjects, stages, groups=np.arange(60))
    assert model.predict(subjects[:1]).shape == (1,)


def test_staging_across_sites_gets_better():
    subjects, stages = sited(160, effect=0.15)
    train, test = slice(0, 100), slice(100, 160)
    scores = [
        np.mean(model.fit(subjects[train], stages[train]).predict(subjects[test]) == stages[test])
        for model in (Harmonised(edge_logistic()), edge_logistic())
    ]
    assert scores[0] > 0.7
    assert scores[0] >= scores[1]


def test_as_step_of_a_pipeline_it_is_the_same():
    subjects, stages = sited()
    first = Harmonised(edge_logistic()).fit(subjects, stages)
    second = make_pipeline(Harmoniser(), edge_logistic()).fit(subjects, stages)
    np.testing.assert_allclose(first.predict_proba(subjects), second.predict_proba(subjects))


def test_is_searched_over_cloned_and_pickled():
    subjects, stages = sited()
    grid = {"adjust": ["location", "location_and_scale"], "estimator__strategy": ["prior"]}
    search = GridSearchCV(Harmonised(DummyClassifier()), grid, cv=2).fit(subjects, stages)
    assert set(search.best_params_) == set(grid)
    model = clone(search.best_estimator_).set_params(estimator=edge_logistic())
    model.fit(subjects, stages)
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back.predict_proba(subjects), model.predict_proba(subjects))


def test_unseen_site_follows_the_policy():
    subjects, stages = sited()
    other = replace(subjects, covariates=subjects.covariates.assign(site="C"))
    model = Harmonised(edge_logistic()).fit(subjects, stages)
    with pytest.raises(ValueError, match="edges of modality modality 1: sites must be those of"):
        model.predict(other)
    as_is = Harmoniser(unseen="as_is").fit(subjects)
    np.testing.assert_allclose(as_is.transform(other).edges, subjects.edges, atol=1e-9)
    Harmonised(edge_logistic(), unseen="estimate").fit(subjects, stages).predict(other)


def test_modality_that_a_site_lacks_is_unseen_there():
    subjects, _ = sited()
    edges, values = subjects.edges.copy(), subjects.values.copy()
    lacks = subjects.covariates["site"].to_numpy() == "B"
    edges[lacks, 1], values[lacks, 1] = np.nan, np.nan
    model = Harmoniser().fit(replace(subjects, edges=edges, values=values))
    assert model.combats_["edges", 1, 0].sites_.tolist() == ["A"]
    with pytest.raises(ValueError, match="of modality modality 2: sites must be those"):
        model.transform(subjects)


def test_harmonised_subjects_are_refused_by_an_evaluation():
    subjects, _ = sited()
    found = Harmoniser().fit_transform(subjects)
    with pytest.raises(LeakError, match="harmonised"):
        refuse_learned_from_all(found.covariates.attrs)
    assert not subjects.covariates.attrs


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.edges, "got none .networks alone know no site."),
        (lambda s: replace(s, covariates=s.covariates[["site", "age"]]), "Subjects that have sex"),
        (lambda s: replace(s, covariates=s.covariates.assign(site=None)), "60 are missing"),
        (
            lambda s: replace(s, covariates=s.covariates.assign(site=["Z", *("AB" * 29), "A"])),
            "edges of modality modality 1: each site must have at least two training subjects",
        ),
    ],
)
def test_wrong_subjects_are_named(change, message):
    subjects, stages = sited()
    with pytest.raises(ValueError, match=message):
        Harmonised(edge_logistic()).fit(change(subjects), stages)


def test_stage_under_another_name_is_refused():
    subjects, stages = sited()
    names = subjects.covariates.assign(clinic=np.where(stages == "AD", "memory", "control"))
    given = replace(subjects, covariates=names)
    with pytest.raises(ValueError, match="covariate 'clinic' must not tell the stage"):
        Harmonised(edge_logistic(), keep=("clinic",)).fit(given, stages)
    with pytest.raises(ValueError, match="covariate 'clinic' must not tell the stage"):
        Harmonised(edge_logistic(), site="clinic", keep=()).fit(given, stages)


def test_other_subjects_than_those_of_training_are_refused():
    subjects, stages = sited()
    model = Harmonised(edge_logistic()).fit(subjects, stages)
    with pytest.raises(ValueError, match="must have the modalities, regions and measures"):
        model.predict(with_measures(subjects))
    larger = replace(subjects, edges=subjects.edges * 3)
    with pytest.raises(ValueError, match="edges of modality modality 1 must lie in -1 to 1"):
        model.predict(larger)
    with pytest.raises(ValueError, match="stages must name one a subject, 60; got 59"):
        Harmonised(edge_logistic()).fit(subjects, stages[1:])


def test_modality_that_nobody_has_stays_away():
    subjects, _ = sited()
    edges = subjects.edges.copy()
    edges[:, 1] = np.nan
    model = Harmoniser().fit(replace(subjects, edges=edges))
    assert ("edges", 1, 0) not in model.combats_
    assert np.isnan(model.transform(replace(subjects, edges=edges)).edges[:, 1]).all()
