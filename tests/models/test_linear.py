"""The linear baselines."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from brainnet.models.edges import EdgeImputer, EdgeTable
from brainnet.models.linear import StageLogistic, edge_logistic, majority


def _visits(n_people=60):
    """Three visits of each; what they differ in has nothing to do with the stage."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(n_people), 3)
    rows = rng.normal(size=(n_people, 50))[people] + 0.01 * rng.normal(size=(3 * n_people, 50))
    return rows, np.array(["CN", "AD"])[people % 2], people


@pytest.mark.parametrize("n_stages", [2, 3])
def test_it_is_plain_logistic_regression_on_scaled_edges(planted_networks, n_stages):
    networks, stages = planted_networks(effect=0.1)
    stages = np.where(stages == "EMCI", "CN", stages) if n_stages == 2 else stages
    networks[5, 0, 3, :] = networks[5, 0, :, 3] = np.nan
    train, test = networks[:36], networks[36:]
    model = edge_logistic().fit(train, stages[:36])
    table, imputer = EdgeTable(), EdgeImputer().fit(train)
    scaler = StandardScaler()
    rows = scaler.fit_transform(table.fit_transform(imputer.transform(train)))
    plain = LogisticRegression(
        C=model["classify"].strength_ / rows.shape[1], class_weight="balanced",
        solver="newton-cholesky", tol=1e-9,
    ).fit(rows, stages[:36])  # fmt: skip
    others = scaler.transform(table.transform(imputer.transform(test)))
    np.testing.assert_allclose(model.predict_proba(test), plain.predict_proba(others), atol=1e-3)


def test_learns_what_was_planted(planted_networks):
    networks, stages = planted_networks(60)
    model = edge_logistic().fit(networks[:45], stages[:45])
    assert np.mean(model.predict(networks[45:]) == stages[45:]) > 0.85
    np.testing.assert_allclose(model.predict_proba(networks[45:]).sum(axis=1), 1)


def test_weights_are_those_of_the_edges_that_differ(planted_networks):
    networks, stages = planted_networks(90, effect=0.2)
    model = edge_logistic().fit(networks, stages)
    size = model["edges"].inverse_transform(np.abs(model["classify"].coef_).sum(axis=0)[None])
    of_regions = size[0].sum(axis=(0, 1))
    assert of_regions[:3].min() > of_regions[3:].max()


def test_takes_missing_regions_and_modalities(planted_networks):
    networks, stages = planted_networks()
    networks[3, 0, 5, :] = networks[3, 0, :, 5] = np.nan
    networks[7, 1] = np.nan
    model = edge_logistic().fit(networks, stages)
    assert np.isfinite(model.predict_proba(networks)).all()


def test_noise_takes_the_strongest_penalty_and_signal_a_weaker_one(planted_networks):
    networks, stages = planted_networks(effect=0.0)
    noise = edge_logistic().fit(networks, stages)["classify"].strength_
    networks, stages = planted_networks(effect=0.5)
    signal = edge_logistic().fit(networks, stages)["classify"].strength_
    assert noise < signal


def test_visits_of_one_person_do_not_choose_the_penalty():
    rows, stages, people = _visits()
    together = StageLogistic().fit(rows, stages, groups=people)
    apart = StageLogistic().fit(rows, stages)
    assert together.strength_ == min(together.strengths)
    assert apart.strength_ == max(apart.strengths), "it knows people again, and calls that skill"


def test_single_members_leave_nothing_to_choose_on():
    model = StageLogistic(strengths=(1e-3, 1e-2, 1e-1)).fit([[0.0], [1.0]], ["CN", "AD"])
    assert model.strength_ == 1e-2


def test_rare_stages_count_as_much():
    rng = np.random.default_rng(0)
    ill = rng.random(400) < 0.1
    rows = rng.normal(size=(400, 3)) + ill[:, None]
    said = StageLogistic().fit(rows, ill).predict(rows)
    assert said[ill].mean() > 0.6
    assert said[~ill].mean() < 0.4


def test_one_list_of_strengths_serves_every_scale():
    rng = np.random.default_rng(2)
    rows, stages = rng.normal(size=(40, 90)), np.arange(40) % 2
    rows[:, 0] += stages
    small, large = (StageLogistic().fit(scale * rows, stages) for scale in (1e-6, 1e6))
    assert small.strength_ == large.strength_
    np.testing.assert_allclose(small.coef_, large.coef_ * 1e12, rtol=1e-6)


def test_clones_pickles_and_repeats(planted_networks):
    networks, stages = planted_networks()
    first = edge_logistic(seed=3).fit(networks, stages)
    again = clone(first).fit(networks, stages)
    back = pickle.loads(pickle.dumps(first))
    for other in (again, back):
        np.testing.assert_array_equal(other.predict_proba(networks), first.predict_proba(networks))


def test_majority_gives_the_shares_of_training():
    model = majority(seed=1).fit(np.zeros((4, 1)), ["CN", "AD", "CN", "CN"])
    np.testing.assert_allclose(model.predict_proba([[9.0]]), [[0.25, 0.75]])
    assert model.predict([[9.0]])[0] == "CN"
