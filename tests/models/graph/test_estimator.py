"""The graph network as an estimator."""

import io
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.graph.gcn import GCN


def _quick(**options):
    return GraphClassifier(**{"n_epochs": 40, "n_hidden": 16, "learning_rate": 0.01} | options)


def test_learns_what_was_planted(planted_networks):
    networks, stages = planted_networks(90)
    model = _quick().fit(networks[:60], stages[:60])
    assert np.mean(model.predict(networks[60:]) == stages[60:]) > 0.85
    chances = model.predict_proba(networks[60:])
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert model.classes_.tolist() == ["CN", "EMCI", "AD"]


def test_same_seed_same_bits_and_no_trace_in_the_global_generator(planted_networks):
    networks, stages = planted_networks()
    before = torch.get_rng_state()
    first = _quick(n_epochs=5).fit(networks, stages)
    torch.rand(7)
    second = clone(first).fit(networks, stages)
    other = _quick(n_epochs=5, seed=1).fit(networks, stages)
    np.testing.assert_array_equal(first.predict_proba(networks), second.predict_proba(networks))
    assert not np.array_equal(first.predict_proba(networks), other.predict_proba(networks))
    torch.set_rng_state(before)
    _quick(n_epochs=1).fit(networks, stages).predict(networks)
    assert torch.equal(torch.get_rng_state(), before)


def test_clones_and_pickles(planted_networks):
    networks, stages = planted_networks()
    model = _quick(n_epochs=3, density=0.3).fit(networks, stages)
    assert clone(model).get_params() == model.get_params()
    back = pickle.load(io.BytesIO(pickle.dumps(model)))
    np.testing.assert_array_equal(back.predict_proba(networks), model.predict_proba(networks))


def test_a_subject_is_scored_the_same_in_any_company(planted_networks):
    networks, stages = planted_networks()
    model = _quick(n_epochs=3).fit(networks, stages)
    together = model.predict_proba(networks[:5])
    alone = np.concatenate([model.predict_proba(networks[[i]]) for i in range(5)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_takes_missing_regions_and_modalities(planted_networks):
    networks, stages = planted_networks()
    networks[3, 0, 5, :] = networks[3, 0, :, 5] = np.nan
    networks[7, 1] = np.nan
    model = _quick(n_epochs=3).fit(networks, stages)
    assert np.isfinite(model.predict_proba(networks)).all()


def test_stops_early_on_training_subjects_only(planted_networks):
    networks, stages = planted_networks(effect=0.0)
    history = _quick(n_epochs=100).fit(networks, stages).history_
    assert len(history.train_loss) < 100
    assert len(history.train_loss) == history.best_epoch + 15 + 1


def test_trains_on_what_a_network_adds_to_the_loss(planted_networks):
    networks, stages = planted_networks(12)

    class Penalised(GCN):
        def with_penalty(self, brains):
            return self(brains), sum(1e3 * each.square().sum() for each in self.parameters())

    sizes = [
        sum(each.square().sum().item() for each in _quick(network=kind, n_epochs=20)
            .fit(networks, stages).model_.parameters())
        for kind in (GCN, Penalised)
    ]  # fmt: skip
    assert sizes[1] < sizes[0] / 2


def test_rows_of_one_participant_stay_on_one_side_of_the_inner_split(monkeypatch, planted_networks):
    from brainnet.models.graph import training

    sides = {}

    class Spy(training.StratifiedGroupKFold):
        def split(self, X, y, groups):
            for inner, held_out in super().split(X, y, groups):
                sides["inner"], sides["out"] = set(groups[inner]), set(groups[held_out])
                yield inner, held_out

    monkeypatch.setattr(training, "StratifiedGroupKFold", Spy)
    networks, stages = planted_networks(30)
    people = np.repeat(np.arange(30), 2)
    _quick(n_epochs=1).fit(networks[people], stages[people], groups=people)
    assert sides["out"]
    assert not sides["inner"] & sides["out"]


def test_two_subjects_are_enough_to_fit(planted_networks):
    networks, stages = planted_networks(2)
    model = _quick().fit(networks, stages)
    assert len(model.history_.train_loss) == 15
    assert model.predict(networks).shape == (2,)


@pytest.mark.parametrize("density", [0, -0.1, 1.1])
def test_wrong_density_is_refused(density, planted_networks):
    networks, stages = planted_networks(6)
    with pytest.raises(ValueError, match="density"):
        GraphClassifier(density=density).fit(networks, stages)


def test_one_stage_is_refused(planted_networks):
    networks, _ = planted_networks(6)
    with pytest.raises(ValueError, match="two or more"):
        GraphClassifier().fit(networks, ["CN"] * 6)


def test_saved_and_loaded_it_predicts_the_same_bits(planted_networks, tmp_path):
    networks, stages = planted_networks()
    networks[3, 0, 5, :] = networks[3, 0, :, 5] = np.nan
    model = _quick(n_epochs=3, density=0.3).fit(networks, stages)
    model.save(
        tmp_path / "model", modalities=["func", "anat"], regions=[f"r{i}" for i in range(12)],
        scores={"balanced_accuracy": 0.5},
    )  # fmt: skip
    back = GraphClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(back.predict_proba(networks), model.predict_proba(networks))
    np.testing.assert_array_equal(back.predict(networks), model.predict(networks))
    np.testing.assert_array_equal(back.inputs_.imputer_.medians_, model.inputs_.imputer_.medians_)
    assert back.get_params() == model.get_params()
    assert back.card_["modalities"] == ["func", "anat"]
    assert back.card_["scores"] == {"balanced_accuracy": 0.5}
    again = clone(back).fit(networks, stages)
    np.testing.assert_array_equal(again.predict_proba(networks), model.predict_proba(networks))


def test_stages_that_are_numbers_come_back_as_numbers(planted_networks, tmp_path):
    networks, _ = planted_networks(12)
    model = _quick(n_epochs=1).fit(networks, np.arange(12) % 3)
    back = GraphClassifier.load(model.save(tmp_path))
    assert back.predict(networks).dtype == model.predict(networks).dtype


def test_what_cannot_be_saved_or_loaded_is_refused(planted_networks, tmp_path):
    from brainnet.io import DataError, load_json
    from brainnet.models.core.checkpoint import load_arrays, save_checkpoint

    networks, stages = planted_networks(12)
    with pytest.raises(NotFittedError):
        _quick().save(tmp_path)
    model = _quick(n_epochs=1).fit(networks, stages)
    with pytest.raises(ValueError, match="regions must be 12 names; got 3"):
        model.save(tmp_path, regions=["a", "b", "c"])

    class Own(GCN):
        pass

    own = _quick(n_epochs=1, network=Own).fit(networks, stages)
    with pytest.raises(ValueError, match=r"network must be one of .*Own"):
        own.save(tmp_path)
    assert not list(tmp_path.iterdir())

    model.save(tmp_path / "model")
    card = load_json(tmp_path / "model" / "card.json")
    arrays = load_arrays(tmp_path / "model", card)
    del card["weights_sha256"]
    for change, given, match in (
        ({"task": "brain"}, arrays, "for 'brain', not for 'staging'"),
        ({"stages": ["CN", "AD"]}, arrays, "do not fit the network"),
        ({}, arrays | {"centre": torch.zeros(2, 11, 11)}, "do not fit the network"),
        ({}, {}, "not that of a model for staging"),
        ({"training": None}, arrays, "not that of a model for staging"),
    ):
        save_checkpoint(tmp_path / "forged", model.model_, card | change, arrays=given)
        with pytest.raises(DataError, match=match):
            GraphClassifier.load(tmp_path / "forged")


def test_numpy_numbers_as_a_grid_search_gives_them_are_taken(planted_networks):
    networks, stages = planted_networks(12)
    model = GraphClassifier(
        n_epochs=np.int64(2), n_hidden=np.int64(4), learning_rate=np.float32(0.01),
        seed=np.int64(3),
    )  # fmt: skip
    assert len(model.fit(networks, stages).history_.train_loss) == 2
