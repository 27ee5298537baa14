"""Committees: averages of members, corrected on subjects that each member never saw."""

import io
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from brainnet.models.core.networks import build_network
from brainnet.models.graph import estimator, training
from brainnet.models.graph.ensemble import Committee, calibrate
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.graph.heads import HEADS


def _quick(**options):
    quick = {"n_epochs": 3, "n_hidden": 4, "learning_rate": 0.01, "n_members": 3, "stop": "last"}
    return GraphClassifier(**quick | options)


def test_outputs_are_the_members_mean_scaled_and_shifted(planted_networks):
    networks, stages = planted_networks()
    model = _quick().fit(networks, stages)
    committee, brains = model.model_, model.inputs_.transform(networks)
    assert len(committee.members) == 3
    with torch.no_grad():
        mean = sum(member(brains) for member in committee.members) / 3
    expected = committee.scale * mean + committee.shift
    torch.testing.assert_close(model.outputs(networks), expected)
    assert committee.scale.item() != 1
    assert not committee.training


def test_members_differ_and_each_learns_without_its_part(planted_networks, monkeypatch):
    seen = []

    def spy(model, batches, loss, *, validation=None, recipe, fabric):
        seen.append((sum(len(targets) for _, targets in batches(0)), validation, recipe))
        return fit(model, batches, loss, validation=validation, recipe=recipe, fabric=fabric)

    fit = estimator.fit
    monkeypatch.setattr(estimator, "fit", spy)
    networks, stages = planted_networks(45)
    model = _quick(seed=2).fit(networks, stages)
    assert [size for size, *_ in seen] == [30, 30, 30]
    assert [recipe.seed for *_, recipe in seen] == [6, 7, 8]
    assert {recipe.schedule for *_, recipe in seen} == {"cosine"}
    assert all(validation is None for _, validation, _ in seen)
    first, second, _ = (list(each.parameters()) for each in model.model_.members)
    assert not torch.equal(first[0], second[0])


def test_what_corrects_never_took_part_in_the_training_of_the_member(planted_networks, monkeypatch):
    """Members that know their training subjects by heart are corrected to know nothing."""
    rng = np.random.default_rng(0)
    networks = rng.normal(size=(60, 1, 8, 8))
    networks = networks + networks.swapaxes(2, 3)
    stages = np.array(["CN", "AD"])[np.arange(60) % 2]
    given = {}

    def spy(outputs, targets, head, weights):
        given.update(outputs=outputs, targets=targets)
        return calibrate(outputs, targets, head, weights)

    monkeypatch.setattr(estimator, "calibrate", spy)
    model = _quick(n_epochs=60, n_hidden=32, learning_rate=0.02).fit(networks, stages)
    assert sorted(np.bincount(given["targets"]).tolist()) == [30, 30]
    right = (given["outputs"].argmax(dim=1) == given["targets"]).double().mean()
    assert right < 0.75
    with torch.no_grad():
        brains = model.inputs_.transform(networks)
        own = torch.stack([each(brains) for each in model.model_.members]).mean(dim=0)
    sure = torch.softmax(own, dim=1).amax(dim=1).mean()
    corrected = torch.softmax(model.outputs(networks), dim=1).amax(dim=1).mean()
    assert corrected < sure - 0.1


@pytest.mark.parametrize("name", list(HEADS))
def test_a_correction_finds_the_scale_and_thresholds_that_were_planted(name):
    head = HEADS[name]
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(4000, head.n_outputs(3), generator=generator)
    scale, shift = 2.5, torch.linspace(-0.5, 0.5, head.n_outputs(3))
    chances = head.probabilities(scale * outputs + shift)
    targets = torch.multinomial(chances, 1, generator=generator)[:, 0]
    found, moved = calibrate(outputs, targets, head, torch.ones(3))
    corrected = head.probabilities(found * outputs + moved)
    assert (corrected - chances).abs().mean() < 0.02
    weights = torch.ones(3, dtype=torch.float64)
    before = head.loss(outputs.double(), targets, weights)
    assert head.loss(found * outputs + moved, targets, weights) < before - 0.01


def test_a_correction_stays_finite_where_stages_part_without_an_error():
    outputs = torch.tensor([[5.0, -5.0], [-5.0, 5.0]]).repeat(10, 1)
    scale, shift = calibrate(
        outputs, torch.tensor([0, 1] * 10), HEADS["categorical"], torch.ones(2)
    )
    assert 0 < scale.item() < 100
    assert torch.isfinite(shift).all()


def test_same_seed_same_bits_and_clones_and_pickles(planted_networks):
    networks, stages = planted_networks(24)
    before = torch.get_rng_state()
    first = _quick().fit(networks, stages)
    torch.set_rng_state(before)
    torch.rand(5)
    second = clone(first).fit(networks, stages)
    np.testing.assert_array_equal(first.predict_proba(networks), second.predict_proba(networks))
    back = pickle.load(io.BytesIO(pickle.dumps(first)))
    np.testing.assert_array_equal(back.predict_proba(networks), first.predict_proba(networks))


@pytest.mark.parametrize("head", list(HEADS))
def test_saved_and_loaded_it_predicts_the_same_bits(planted_networks, tmp_path, head):
    networks, stages = planted_networks(24)
    model = _quick(head=head, n_epochs=1).fit(networks, stages)
    back = GraphClassifier.load(model.save(tmp_path))
    np.testing.assert_array_equal(back.predict_proba(networks), model.predict_proba(networks))
    assert back.get_params() == model.get_params()
    assert back.card_["network"]["name"] == "Committee"


def test_rows_of_one_participant_stay_on_one_side(planted_networks, monkeypatch):
    sides = []

    class Spy(training.StratifiedGroupKFold):
        def split(self, X, y, groups):
            for inner, held_out in super().split(X, y, groups):
                sides.append((set(groups[inner]), set(groups[held_out])))
                yield inner, held_out

    monkeypatch.setattr(training, "StratifiedGroupKFold", Spy)
    networks, stages = planted_networks(15)
    people = np.repeat(np.arange(15), 2)
    _quick(n_epochs=1).fit(networks[people], stages[people], groups=people)
    assert len(sides) == 3
    assert not any(inner & held_out for inner, held_out in sides)


def test_as_many_members_at_most_as_a_stage_has_subjects(planted_networks):
    networks, stages = planted_networks(7)  # 3, 2 and 2
    model = _quick(n_epochs=1).fit(networks, stages)
    assert len(model.model_.members) == 2
    alone = _quick(n_epochs=1).fit(networks[:2], stages[:2])
    assert len(alone.model_.members) == 1
    assert alone.model_.scale.item() == 1


def test_to_the_last_epoch_nobody_is_held_out(planted_networks):
    networks, stages = planted_networks(30)
    model = _quick(n_members=1, n_epochs=20).fit(networks, stages)
    assert len(model.history_.train_loss) == 20
    assert model.history_.best_epoch == 19
    assert not model.history_.validation_loss


@pytest.mark.parametrize(
    ("options", "match"), [({"stop": "soon"}, "stop must be"), ({"n_members": 0}, "n_members must")]
)
def test_wrong_options_are_refused(options, match, planted_networks):
    networks, stages = planted_networks(6)
    with pytest.raises(ValueError, match=match):
        _quick(**options).fit(networks, stages)


def test_targets_of_another_number_are_refused(planted_networks):
    networks, _ = planted_networks(6)
    with pytest.raises(ValueError, match="one target each; got 6 networks and 5 targets"):
        _quick().fit_targets(
            networks, torch.zeros(5, dtype=torch.int64), strata=np.zeros(5, int),
            weights=torch.ones(2),
        )  # fmt: skip


def test_nobody_is_no_committee():
    with pytest.raises(ValueError, match="one or more"):
        Committee([], 2)
    sizes = {"n_features": 4, "n_modalities": 1, "n_regions": 4, "n_context": 0, "n_outputs": 2}
    made = build_network("Committee", {"network": "GCN", "n_members": 2, **sizes})
    assert len(made.members) == 2
