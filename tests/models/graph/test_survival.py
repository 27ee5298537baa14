"""Conversion: planted hazards, honest censoring, and concordance pair by pair."""

import math

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from brainnet.io import DataError
from brainnet.models.core.checkpoint import load_arrays, load_checkpoint, save_checkpoint
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.graph.multiplex_staging import multiplex_network
from brainnet.models.graph.survival import (
    ConversionNetwork,
    Hazards,
    _targets,
    concordance,
    follow_up,
)  # fmt: skip

_HAZARDS = np.array([0.1, 0.2, 0.15])  # of subjects at low risk, a year
_BREAKS = (1.0, 2.0, 3.0)


def _logit(x):
    return np.log(x / (1 - x))


def _planted(n_subjects, *, leave=0.0, seed=0):
    """Networks of two kinds of subjects, their hazards, and what is seen of their conversion."""
    rng = np.random.default_rng(seed)
    risk = np.arange(n_subjects) % 2
    networks = 0.3 + 0.05 * rng.normal(size=(n_subjects, 1, 5, 5))
    networks[risk == 1, :, :2, :] += 0.5
    networks = (networks + networks.swapaxes(2, 3)) / 2
    hazards = 1 / (1 + np.exp(-(_logit(_HAZARDS) + 1.5 * risk[:, None])))
    converts = rng.random((n_subjects, 3)) < hazards
    first = np.where(converts.any(1), converts.argmax(1), 3)
    time = first + rng.uniform(0.01, 0.99, n_subjects)
    left = np.where(rng.random(n_subjects) < leave, rng.uniform(0, 3, n_subjects), 3.0)
    event = time < left
    return networks, hazards, follow_up(event, np.minimum(time, left))


def _model(**options):
    small = {"n_epochs": 12, "n_hidden": 8, "learning_rate": 0.02, "stop": "last"}
    options = {"options": {"dropout": 0.0}} | small | options
    return ConversionNetwork(GraphClassifier(**options), breaks=_BREAKS)


def _survival(hazards):
    return np.cumprod(np.concatenate([np.ones((len(hazards), 1)), 1 - hazards], 1), axis=1)


def test_planted_hazards_are_found():
    networks, hazards, y = _planted(800)
    found = _model().fit(networks, y).predict_survival(networks)
    assert found.shape == (800, 4)
    assert (found[:, 0] == 1).all()
    assert (np.diff(found, axis=1) < 0).all()
    for kind in range(2):
        expected = _survival(hazards)[kind]
        np.testing.assert_allclose(found[kind::2].mean(axis=0), expected, atol=0.05)


def test_who_left_counts_as_long_as_it_was_there_and_no_longer():
    networks, hazards, y = _planted(800, leave=0.7)
    truth = _survival(hazards)[:, -1].mean()
    honest = _model().fit(networks, y).predict_survival(networks)[:, -1].mean()
    stable = follow_up(y["event"], np.where(y["event"], y["time"], 3.0))
    as_stable = _model().fit(networks, stable).predict_survival(networks)[:, -1].mean()
    seen = y["event"] | (y["time"] >= 3)
    left_out = _model().fit(networks[seen], y[seen]).predict_survival(networks)[:, -1].mean()
    assert abs(honest - truth) < 0.05
    assert as_stable > truth + 0.1
    assert left_out < truth - 0.05


def test_loss_is_the_likelihood_written_out():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(4, 4, generator=generator)
    y = follow_up([True, False, True, False], [1.5, 2.6, 7.0, 0.2])
    targets = torch.from_numpy(_targets(y, np.array([0.0, *_BREAKS])))
    h = torch.sigmoid(outputs[:, :1] + outputs[:, 1:]).tolist()
    likely = [
        (1 - h[0][0]) * h[0][1],  # converts in the second year
        (1 - h[1][0]) * (1 - h[1][1]) * (1 - h[1][2]),  # seen for more than half of the third
        (1 - h[2][0]) * (1 - h[2][1]) * (1 - h[2][2]),  # converts later than anybody asks
        1.0,  # left before half of the first
    ]
    expected = -sum(math.log(each) for each in likely) / 4
    assert Hazards().loss(outputs, targets, torch.ones(3)).item() == pytest.approx(expected)


def test_intervals_hold_their_ends():
    y = follow_up([True, True, True, False, False], [0.0, 1.0, 1.01, 1.5, 1.49])
    found = _targets(y, np.array([0.0, 1.0, 2.0]))
    assert found[..., 1].tolist() == [[1, 0], [1, 0], [0, 1], [0, 0], [0, 0]]
    assert found[..., 0].tolist() == [[0, 0], [0, 0], [1, 0], [1, 1], [1, 0]]


def test_mass_of_the_intervals_is_the_fall_of_survival():
    outputs = 5 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    mass = Hazards().probabilities(outputs)
    torch.testing.assert_close(mass.sum(1), torch.ones(50, dtype=torch.float64))
    hazards = torch.sigmoid(outputs[:, :1] + outputs[:, 1:]).double().numpy()
    np.testing.assert_allclose(mass[:, :3].numpy(), -np.diff(_survival(hazards)), atol=1e-6)
    assert mass.min() >= 0


def test_chance_of_conversion_by_a_horizon():
    networks, _, y = _planted(60)
    model = _model(n_epochs=3).fit(networks, y)
    survival = model.predict_survival(networks)
    for place, year in enumerate(_BREAKS, start=1):
        chances = model.predict_proba(networks, year)
        np.testing.assert_allclose(chances[:, 0], survival[:, place])
        np.testing.assert_allclose(chances.sum(axis=1), 1)
    half = model.predict_proba(networks, 1.5)[:, 0]
    np.testing.assert_allclose(half, np.sqrt(survival[:, 1] * survival[:, 2]))
    np.testing.assert_array_equal(model.predict_proba(networks), model.predict_proba(networks, 3))
    for wrong in (0, -1, 3.1, float("nan")):
        with pytest.raises(ValueError, match="horizon must be above 0 and up to the last break"):
            model.predict_proba(networks, wrong)


def test_concordance_pair_by_pair():
    rng = np.random.default_rng(0)
    for _ in range(20):
        event, time = rng.random(30) < 0.5, rng.integers(0, 8, 30).astype(float)
        risk = rng.integers(0, 5, 30)
        right = total = 0.0
        for i in range(30):
            for j in range(30):
                if event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j])):
                    total += 1
                    right += 1 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0
        assert concordance(event, time, risk) == pytest.approx(right / total)
    assert math.isnan(concordance([False, False], [1, 2], [0, 1]))
    with pytest.raises(ValueError, match="risk must be one number"):
        concordance([True, False], [1, 2], [0.1, float("nan")])


def test_scores_people_it_never_saw_and_splits_like_any_other():
    networks, _, y = _planted(240, leave=0.3)
    model = _model(n_epochs=10)
    assert cross_val_score(model, networks, y, cv=3).mean() > 0.6
    again = clone(model)
    assert again.get_params()["breaks"] == model.breaks
    first, second = (each.fit(networks, y).predict(networks) for each in (model, again))
    np.testing.assert_array_equal(first, second)
    pair = clone(model).fit(networks, (y["event"], y["time"])).predict(networks)
    np.testing.assert_array_equal(first, pair)


def test_other_subjects_change_nothing_and_the_estimator_given_stays_as_it_was():
    networks, _, y = _planted(60)
    model = _model(n_epochs=2).fit(networks[:40], y[:40])
    before = {name: each.clone() for name, each in model.estimator_.model_.state_dict().items()}
    model.predict_survival(networks[40:])
    for name, each in model.estimator_.model_.state_dict().items():
        assert torch.equal(each, before[name])
    assert model.estimator.head == "categorical"
    assert not hasattr(model.estimator, "model_")


def test_our_network_does_it_with_its_committee():
    networks, _, y = _planted(120)
    model = ConversionNetwork(breaks=_BREAKS)
    assert model.estimator is None
    model = ConversionNetwork(multiplex_network(n_members=2, n_epochs=8), breaks=_BREAKS)
    model.fit(networks, y)
    assert len(model.estimator_.model_.members) == 2
    assert model.score(networks, y) > 0.6


@pytest.mark.parametrize(
    ("event", "time", "match"),
    [
        ([0, 0, 0, 0], [1, 2, 3, 4], "at least one conversion; got none among 4"),
        ([1, 1, 0, 0], [1, -2, 3, 4], r"time must be 0 or more years for everybody; got -2"),
        ([1, 1, 0, 0], [1, float("nan"), 3, 4], "time must be 0 or more years"),
        ([1, 1, 0, 0], [5, 6, 7, 8], "up to the last break, 3 years; the first is at 5"),
        ([1, 2, 0, 0], [1, 2, 3, 4], r"event must be True or False; got \[0, 1, 2\]"),
        ([1, 0, 0], [1, 2, 3, 4], "two arrays of one length"),
    ],
)
def test_follow_up_that_says_nothing_is_refused(event, time, match):
    networks, *_ = _planted(4)
    with pytest.raises(ValueError, match=match):
        _model().fit(networks, (event, time))


def test_other_mistakes_are_refused():
    networks, _, y = _planted(8)
    with pytest.raises(ValueError, match=r"y must be a structured array .* got ndarray"):
        _model().fit(networks, y["time"])
    for breaks in ((), (0, 1), (2, 1), (1, 1), (1, float("inf"))):
        with pytest.raises(ValueError, match="breaks must rise from above 0"):
            ConversionNetwork(breaks=breaks).fit(networks, y)
    with pytest.raises(NotFittedError):
        _model().predict_survival(networks)
    with pytest.raises(ValueError, match="got 7 networks and 8 targets"):
        _model().fit(networks[:7], y)


@pytest.mark.parametrize("kind", ["one", "committee"])
def test_saved_and_loaded_it_says_the_same_bits(tmp_path, kind):
    networks, _, y = _planted(60, leave=0.3)
    networks[3, 0, 2, :] = networks[3, 0, :, 2] = np.nan
    if kind == "one":
        model = _model(n_epochs=2, features=("profile", "measures"))
    else:
        model = ConversionNetwork(multiplex_network(n_members=2, n_epochs=2), breaks=(0.5, 2, 4.5))
    model.fit(networks, y)
    folder = model.save(tmp_path / "model", modalities=["functional"], scores={"c": 0.6})
    back = ConversionNetwork.load(folder)
    for ask in ("predict_survival", "predict_proba", "predict"):
        expected = getattr(model, ask)(networks)
        np.testing.assert_array_equal(getattr(back, ask)(networks), expected)
    np.testing.assert_array_equal(back.breaks_, model.breaks_)
    assert back.predict_proba(networks, 1.1).shape == (60, 2)
    card = back.estimator_.card_
    assert (card["modalities"], card["scores"]) == (["functional"], {"c": 0.6})
    assert sorted(each.name for each in folder.iterdir()) == ["card.json", "weights.safetensors"]
    again = clone(back).fit(networks, y).predict(networks)
    np.testing.assert_array_equal(again, model.predict(networks))


def test_what_is_not_a_saved_conversion_network_is_refused(tmp_path):
    networks, _, y = _planted(40)
    with pytest.raises(NotFittedError):
        _model().save(tmp_path / "model")
    model = _model(n_epochs=1).fit(networks, y)
    with pytest.raises(ValueError, match="regions must be 5 names; got 2"):
        model.save(tmp_path / "model", regions=["a", "b"])
    assert not (tmp_path / "model").exists()
    folder = model.save(tmp_path / "model")
    with pytest.raises(DataError, match="for 'conversion', not for 'staging'"):
        GraphClassifier.load(folder)
    network, card = load_checkpoint(folder)
    arrays = load_arrays(folder, card)
    del card["weights_sha256"]
    for change in ({"breaks": [1.0, 2.0]}, {"breaks": [1.0, 3.0, 2.0]}, {"breaks": None}):
        save_checkpoint(tmp_path / "forged", network, card | change, arrays=arrays)
        with pytest.raises(DataError, match="not that of a model for conversion"):
            ConversionNetwork.load(tmp_path / "forged")
    (folder / "card.json").write_text((folder / "card.json").read_text().replace("3.0", "3.5"))
    with pytest.raises(DataError, match="changed after the model was written"):
        ConversionNetwork.load(folder)
