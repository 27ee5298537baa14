"""The linear baselines."""

import pickle

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from brainnet.models.linear import StageLogistic, edge_logistic, majority


def test_rotation_changes_no_prediction(planted_networks):
    networks, stages = planted_networks(effect=0.1)
    model = edge_logistic().fit(networks[:36], stages[:36])
    plain = Pipeline(
        [(name, step) for name, step in clone(model).steps if name not in ("rotate", "classify")]
        + [("classify", LogisticRegression(
            C=model["classify"].strength_, class_weight="balanced", max_iter=5000, tol=1e-8))]
    ).fit(networks[:36], stages[:36])  # fmt: skip
    np.testing.assert_allclose(
        model.predict_proba(networks[36:]), plain.predict_proba(networks[36:]), atol=2e-3
    )


def test_learns_what_was_planted(planted_networks):
    networks, stages = planted_networks(60)
    model = edge_logistic().fit(networks[:45], stages[:45])
    assert np.mean(model.predict(networks[45:]) == stages[45:]) > 0.85
    np.testing.assert_allclose(model.predict_proba(networks[45:]).sum(axis=1), 1)


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


def test_single_members_leave_nothing_to_choose_on():
    model = StageLogistic(strengths=(1e-3, 1e-2, 1e-1)).fit([[0.0], [1.0]], ["CN", "AD"])
    assert model.strength_ == 1e-2


def test_clones_pickles_and_repeats(planted_networks):
    networks, stages = planted_networks()
    first = edge_logistic(seed=3).fit(networks, stages)
    again = clone(first).fit(networks, stages)
    back = pickle.loads(pickle.dumps(first))
    for other in (again, back):
        np.testing.assert_array_equal(other.predict_proba(networks), first.predict_proba(networks))


def test_majority_gives_the_shares_of_training():
    model = majority().fit(np.zeros((4, 1)), ["CN", "AD", "CN", "CN"])
    np.testing.assert_allclose(model.predict_proba([[9.0]]), [[0.25, 0.75]])
    assert model.predict([[9.0]])[0] == "CN"
