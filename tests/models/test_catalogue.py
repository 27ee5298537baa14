"""Every estimator of the catalogue keeps the same promises."""

import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score

from brainnet.cohort.subjects import as_subjects
from brainnet.models.catalogue import BASELINES, CATALOGUE, GRAPH_NETWORKS, estimators
from brainnet.models.measures import with_measures

LEARNERS = tuple(name for name in BASELINES if name != "majority")
ON_NETWORKS = tuple(name for name in LEARNERS if name != "covariates")


def quick(name, seed=0):
    """Return a baseline with fewer trees or epochs: the promises are the same."""
    model = estimators([name], seed=seed)[name]
    fewer = {
        "forest": {"classify__n_estimators": 30},
        "boosting": {"classify__max_iter": 15},
        "mlp": {"classify__n_epochs": 40, "classify__learning_rate": 0.01},
    }
    return model.set_params(**fewer.get(name, {}))


@pytest.fixture(scope="module")
def cohort():
    """48 subjects whose edges, values and ages go with their stage."""
    from tests.models.conftest import _planted_networks

    networks, stages = _planted_networks(48)
    rng = np.random.default_rng(0)
    stage = np.arange(48) % 3
    values = rng.normal(5, 1, networks.shape[:3]) - 1.5 * stage[:, None, None]
    people = pd.DataFrame({"age": 60 + 8 * stage + rng.normal(0, 2, 48), "site": ["A", "B"] * 24})
    subjects = replace(as_subjects(networks), values=values, covariates=people)
    return with_measures(subjects), stages


def test_names_are_those_that_others_rely_on():
    assert BASELINES == (
        "majority", "covariates", "linear", "svm", "tangent", "forest", "boosting", "everything",
        "kernel", "mlp", "stack",
    )  # fmt: skip
    assert GRAPH_NETWORKS == ("gcn", "gatv2", "gin", "brainnetcnn", "braingnn", "transformer")
    assert list(CATALOGUE) == [*BASELINES, *GRAPH_NETWORKS, "multiplex"]
    assert len({entry.title for entry in CATALOGUE.values()}) == len(CATALOGUE)


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        CATALOGUE["linear"] = CATALOGUE["svm"]
    with pytest.raises(FrozenInstanceError):
        CATALOGUE["linear"].name = "svm"


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_estimator_has_the_parameters_of_its_grid_and_its_seed(name):
    entry = CATALOGUE[name]
    if name == "multiplex":
        pytest.importorskip("brainnet.models.graph.multiplex")
    made, other = entry.make(7), entry.make(8)
    known = made.get_params()
    assert set(entry.grid) <= set(known)
    assert all(2 <= len(values) <= 3 for values in entry.grid.values())
    assert clone(made).get_params().keys() == known.keys()
    seeds = [key for key in known if key.split("__")[-1] in ("seed", "random_state")]
    if name != "majority":
        assert any(known[key] == 7 and other.get_params()[key] == 8 for key in seeds)
    pickle.loads(pickle.dumps(entry))


def test_graph_networks_are_networks_that_there_are():
    from brainnet.models.core.networks import NETWORKS

    for name in GRAPH_NETWORKS:
        assert CATALOGUE[name].options["network"] in NETWORKS


def test_the_catalogue_imports_no_torch():
    code = (
        "import sys; from brainnet.models.catalogue import BASELINES, estimators; "
        "estimators(BASELINES); assert not {'torch', 'nilearn', 'ants'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"estimators must be of majority, .*; got GPT, 3"):
        estimators(["linear", "GPT", 3])
    assert list(estimators("svm")) == ["svm"]


@pytest.mark.parametrize("name", LEARNERS)
def test_what_was_planted_is_found(cohort, name):
    subjects, stages = cohort
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(quick(name), subjects, stages, cv=folds)
    assert scores.mean() > 0.6, "a third is chance"


@pytest.mark.parametrize("name", LEARNERS)
def test_same_seed_same_bits_and_pickles_and_searches(cohort, name):
    subjects, stages = cohort
    before = joblib.hash(np.random.get_state())  # noqa: NPY002
    first = quick(name, seed=3).fit(subjects, stages)
    chances = first.predict_proba(subjects)
    back = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(back.predict_proba(subjects), chances)
    assert joblib.hash(np.random.get_state()) == before, "drawn from the global generator"  # noqa: NPY002
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert first.classes_.tolist() == ["AD", "CN", "EMCI"]
    search = GridSearchCV(clone(first), {}, cv=2).fit(subjects, stages)
    np.testing.assert_array_equal(search.predict_proba(subjects), chances)


@pytest.mark.parametrize("name", LEARNERS)
def test_nothing_is_learned_from_subjects_that_are_tested(cohort, name):
    subjects, stages = cohort
    train, test = np.arange(36), np.arange(36, 48)
    tested = np.isin(np.arange(48), test)
    model = quick(name).fit(subjects[train], stages[train])
    chances = model.predict_proba(subjects[test])
    others = replace(
        subjects,
        edges=np.where(tested[:, None, None, None], 0.1, subjects.edges),
        values=np.where(tested[:, None, None], np.nan, subjects.values),
        measures=subjects.measures + 9 * tested[:, None, None, None],
        covariates=subjects.covariates.assign(site=[*["A", "B"] * 18, *["C"] * 12]),
    )
    other = quick(name).fit(others[train], stages[train])
    assert joblib.hash(other) == joblib.hash(model)
    state = joblib.hash(model)
    alone = np.concatenate([model.predict_proba(subjects[[row]]) for row in test[:3]])
    np.testing.assert_allclose(alone, chances[:3], atol=1e-6)
    model.predict(others[test])
    assert joblib.hash(model) == state
    changed = subjects[train[::-1]]
    assert joblib.hash(quick(name).fit(changed, stages[train])) != state


@pytest.mark.parametrize("name", ON_NETWORKS)
def test_missing_regions_and_modalities_are_no_obstacle(cohort, name):
    subjects, stages = cohort
    edges, values = subjects.edges.copy(), subjects.values.copy()
    edges[3, 0, 5, :] = edges[3, 0, :, 5] = np.nan
    edges[7, 1], values[7, 1] = np.nan, np.nan
    values[11:14, 0] = np.nan
    measures = np.where(np.isnan(edges).all(axis=3)[..., None], np.nan, subjects.measures)
    holes = replace(subjects, edges=edges, values=values, measures=measures)
    model = quick(name).fit(holes[:30], stages[:30])
    assert np.isfinite(model.predict_proba(holes)).all()
    nothing = replace(
        subjects[[0]], edges=np.full((1, 2, 12, 12), np.nan), values=np.full((1, 2, 12), np.nan),
        measures=np.full((1, 2, 12, 6), np.nan), graph_measures=np.full((1, 2, 6), np.nan),
    )  # fmt: skip
    assert np.isfinite(model.predict_proba(nothing)).all()


@pytest.mark.parametrize("name", ON_NETWORKS)
def test_a_plain_array_is_enough_and_only_of_the_same_atlas(cohort, name):
    subjects, stages = cohort
    networks = subjects.edges[:18]
    model = quick(name).fit(networks, stages[:18])
    assert model.predict(networks).shape == (18,)
    with pytest.raises(ValueError, match="training subjects"):
        model.predict(networks[:, :, :9, :9])
    with pytest.raises(ValueError, match="networks must be"):
        model.predict(networks[0])


@pytest.mark.parametrize("name", ON_NETWORKS)
def test_regions_in_another_order_are_refused(cohort, name):
    subjects, stages = cohort
    model = quick(name).fit(subjects[:18], stages[:18])
    with pytest.raises(ValueError, match="regions must be those of the training"):
        model.predict(replace(subjects, regions=subjects.regions[::-1]))


@pytest.mark.parametrize("name", LEARNERS)
def test_wrong_stages_are_refused_and_nothing_is_said_before_fit(cohort, name):
    subjects, stages = cohort
    with pytest.raises(NotFittedError):
        quick(name).predict(subjects[:4])
    with pytest.raises(ValueError, match="CN alone"):
        quick(name).fit(subjects[:4], ["CN"] * 4)
    with pytest.raises(ValueError, match="one a subject"):
        quick(name).fit(subjects[:4], stages[:5])


@pytest.mark.parametrize("name", LEARNERS)
def test_a_single_member_of_a_stage_is_no_obstacle(cohort, name):
    subjects, stages = cohort
    rows = [0, 1, 3, 4, 6, 9, 2]
    assert (stages[rows] == stages[2]).sum() == 1
    model = quick(name).fit(subjects[rows], stages[rows])
    assert model.predict_proba(subjects).shape == (48, 3)


@pytest.mark.parametrize("name", LEARNERS)
def test_groups_are_taken_by_every_estimator(cohort, name):
    subjects, stages = cohort
    people = np.array([f"p{row // 3}" for row in range(48)])
    model = quick(name).fit(subjects, stages, groups=people)
    assert model.predict(subjects).shape == (48,)
