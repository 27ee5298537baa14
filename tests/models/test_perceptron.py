"""The perceptron on edges."""

import joblib
import numpy as np
from sklearn.neural_network import MLPClassifier

from brainnet.models.perceptron import PATIENCE, StagePerceptron, edge_perceptron
from brainnet.models.rotation import rotate


def _rows(n_rows=60, n_columns=200, effect=1.0, seed=0):
    rng = np.random.default_rng(seed)
    stage = np.arange(n_rows) % 3
    rows = rng.normal(size=(n_rows, n_columns))
    rows[:, :20] += effect * stage[:, None]
    return rows, np.array(["AD", "CN", "EMCI"])[stage]


def _visits(n_people=60):
    """Three visits of each; what they differ in has nothing to do with the stage."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(n_people), 3)
    rows = rng.normal(size=(n_people, 50))[people] + 0.01 * rng.normal(size=(3 * n_people, 50))
    return rows, np.array(["CN", "AD"])[people % 2], people


def test_it_is_scikit_learns_perceptron_on_the_axes():
    """Nothing held out (one person a stage), so both see the same rows, in the same order."""
    rows, stages = _rows()
    people = np.arange(60) % 3
    model = StagePerceptron(n_hidden=5, alpha=0.5, seed=4).fit(rows, stages, groups=people)
    assert model.losses_ == []
    turned = rotate(rows)
    inputs = turned.rows * np.sqrt(turned.rows.shape[1])
    plain = MLPClassifier((5,), alpha=0.5, batch_size=32, learning_rate_init=3e-3, random_state=4)
    for _ in range(PATIENCE):
        plain.partial_fit(inputs, stages, classes=["AD", "CN", "EMCI"])
    np.testing.assert_allclose(model.predict_proba(rows), plain.predict_proba(inputs), atol=1e-9)


def test_it_stops_and_goes_back_to_the_best():
    rows, stages = _rows(effect=0.0)
    model = StagePerceptron(learning_rate=0.01).fit(rows, stages)
    assert len(model.losses_) == int(np.argmin(model.losses_)) + 1 + PATIENCE
    assert model.predict_proba(rows).max() < 0.99


def test_visits_of_one_person_do_not_say_when_to_stop():
    rows, stages, people = _visits()
    together = StagePerceptron(learning_rate=0.01).fit(rows, stages, groups=people)
    apart = StagePerceptron(learning_rate=0.01).fit(rows, stages)
    assert min(apart.losses_) < 0.3 < 0.6 < min(together.losses_)


def test_two_stages_and_rare_ones():
    rng = np.random.default_rng(0)
    ill = rng.random(300) < 0.12
    rows = rng.normal(size=(300, 4)) + ill[:, None]
    model = StagePerceptron(learning_rate=0.01).fit(rows, ill)
    said = model.predict(rows)
    assert said[ill].mean() > 0.6
    assert said[~ill].mean() < 0.4
    assert model.scores(rows).shape == (300, 1)


def test_global_generators_stay_as_they_were():
    rows, stages = _rows(30)
    before = joblib.hash(np.random.get_state())  # noqa: NPY002
    StagePerceptron(n_epochs=3).fit(rows, stages)
    assert joblib.hash(np.random.get_state()) == before  # noqa: NPY002


def test_learns_what_was_planted(planted_networks):
    networks, stages = planted_networks(75)
    model = edge_perceptron().fit(networks[:60], stages[:60])
    assert np.mean(model.predict(networks[60:]) == stages[60:]) > 0.8
