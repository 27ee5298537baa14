"""Fused committees: what is joined was learned from others, and is joined as it says."""

import io
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from brainnet.models.core.networks import build_network
from brainnet.models.fusion import Fusion, fuse, ridge_reading
from brainnet.models.graph import estimator, fused
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.graph.fused import FusedCommittee
from brainnet.models.graph.heads import HEADS
from brainnet.models.graph.multiplex_staging import multiplex_network
from brainnet.models.stages import balanced_weights


def _quick(**options):
    return multiplex_network(**{"n_members": 3, "n_epochs": 3} | options)


@pytest.fixture
def fitted(planted_networks):
    """A fused committee, its networks with much of them missing, and their stages."""
    networks, stages = planted_networks(45, effect=0.1)
    networks[::3, 0] = np.nan
    networks[1::5, 1] = np.nan
    networks[2, 1, 4, :] = networks[2, 1, :, 4] = np.nan
    return _quick().fit(networks, stages), networks, stages


def test_outputs_are_those_of_the_gaussians_of_what_is_there(fitted):
    model, networks, _ = fitted
    with torch.no_grad():
        readings, there = model.model_.read(model.inputs_.transform(networks))
    means, covariance, scale = (
        getattr(model.model_, name).double().numpy() for name in ("means", "covariance", "scale")
    )
    known = np.where(there.numpy(), readings.numpy(), np.nan)
    logs = Fusion(means, covariance, float(scale)).log_chances(known)
    np.testing.assert_allclose(model.outputs(networks).numpy(), logs, rtol=1e-6, atol=1e-8)
    chances = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(networks), chances, atol=1e-9)
    assert model.outcome_ is HEADS["categorical"]


def test_an_absent_modality_has_no_say(fitted):
    model, networks, _ = fitted
    brains = model.inputs_.transform(networks)
    gone = ~brains.present
    assert gone.any()
    spoiled = brains._replace(
        nodes=torch.where(gone[:, :, None, None], 7.0, brains.nodes),
        edges=torch.where(gone[:, :, None, None], 7.0, brains.edges),
        adjacency=torch.where(gone[:, :, None, None], 7.0, brains.adjacency),
    )
    with torch.no_grad():
        torch.testing.assert_close(model.model_(spoiled), model.model_(brains))
        lost = spoiled._replace(
            nodes=torch.where(spoiled.nodes == 7.0, torch.nan, spoiled.nodes),
            edges=torch.where(spoiled.edges == 7.0, torch.nan, spoiled.edges),
            adjacency=torch.where(spoiled.adjacency == 7.0, torch.nan, spoiled.adjacency),
        )
        torch.testing.assert_close(model.model_(lost), model.model_(brains))
    networks[0, :] = np.nan
    np.testing.assert_allclose(model.predict_proba(networks)[0], 1 / 3)


def test_linear_readings_are_ridge_regressions_held_out_with_the_members(
    planted_networks, monkeypatch
):
    networks, stages = (each[np.r_[0:45:3, 0:20]] for each in planted_networks(45, effect=0.1))
    seen = {}

    def spy(readings, places, parts):
        seen.update(readings=readings, places=places, parts=parts)
        return fuse(readings, places, parts)

    monkeypatch.setattr(fused, "fuse", spy)
    splits = []
    own = estimator.inner_splits
    monkeypatch.setattr(
        estimator, "inner_splits", lambda *given: splits.append(own(*given)) or splits[-1]
    )
    model = _quick().fit(networks, stages)
    part = np.empty(35, dtype=int)
    for number, (_, rows) in enumerate(splits[0]):
        part[rows] = number
    np.testing.assert_array_equal(seen["parts"], part)
    edges = model.inputs_.transform(networks).edges.flatten(2).double().numpy() / 12
    targets = np.array([["CN", "EMCI", "AD"].index(each) for each in stages], dtype=float)[:, None]
    for modality in range(2):
        columns = edges[:, modality]
        found = ridge_reading(columns @ columns.T, targets, balanced_weights(stages), part)
        place = 2 * 3 + modality  # after three readings of each of two modalities
        np.testing.assert_allclose(seen["readings"][:, place], found.held_out[:, 0], atol=1e-3)
        with torch.no_grad():
            readings = model.model_.read(model.inputs_.transform(networks))[0][:, place]
        expected = columns @ (columns.T @ found.coefficients[:, 0]) + found.intercept
        np.testing.assert_allclose(readings, expected, atol=1e-3)


def test_members_read_for_the_fusion_whom_they_were_not_trained_on(planted_networks, monkeypatch):
    networks, stages = planted_networks(45, effect=0.1)
    trained, read = [], []
    fit, read_by = estimator.fit, fused.read_by

    def spy_fit(model, batches, *given, **options):
        rows = torch.cat([brains.edges[:, 0, 0, 1] for brains, _ in batches(0)])
        trained.append((model, set(rows.tolist())))
        return fit(model, batches, *given, **options)

    def spy_read(member, brains):
        read.append((member, set(brains.edges[:, 0, 0, 1].tolist())))
        return read_by(member, brains)

    monkeypatch.setattr(estimator, "fit", spy_fit)
    monkeypatch.setattr(fused, "read_by", spy_read)
    _quick().fit(networks, stages)
    assert len(trained) == len(read) == 3
    for (one, inner), (other, held_out) in zip(trained, read, strict=True):
        assert one is other
        assert inner
        assert held_out
        assert not inner & held_out
    assert len(set.union(*(rows for _, rows in read))) == 45


def test_learns_what_was_planted_and_keeps_more_with_parts_missing_than_one_part_gives(
    planted_networks,
):
    networks, stages = planted_networks(90, effect=0.12)
    model = _quick(n_epochs=15).fit(networks[:60], stages[:60])
    whole = np.mean(model.predict(networks[60:]) == stages[60:])
    for lost in (0, 1):
        networks[60:, lost] = np.nan
        one = np.mean(model.predict(networks[60:]) == stages[60:])
        assert 0.45 < one <= whole + 0.07
        networks, _ = planted_networks(90, effect=0.12)
    assert whole > 0.6


def test_saved_cloned_and_pickled_it_says_the_same_bits(fitted, tmp_path):
    model, networks, stages = fitted
    chances = model.predict_proba(networks)
    back = GraphClassifier.load(model.save(tmp_path))
    np.testing.assert_array_equal(back.predict_proba(networks), chances)
    assert back.get_params() == model.get_params()
    assert back.card_["network"]["name"] == "FusedCommittee"
    for other in (pickle.load(io.BytesIO(pickle.dumps(model))), clone(back).fit(networks, stages)):
        np.testing.assert_array_equal(other.predict_proba(networks), chances)


def test_others_in_the_call_and_precision_change_nothing(fitted):
    model, networks, _ = fitted
    chances = model.predict_proba(networks)
    alone = np.concatenate([model.predict_proba(networks[[row]]) for row in range(45)])
    np.testing.assert_allclose(alone, chances, atol=1e-4)
    backwards = model.predict_proba(networks[::-1])[::-1]
    np.testing.assert_allclose(backwards, chances, atol=1e-4)
    np.testing.assert_allclose(model.predict_proba(networks.astype("f4")), chances, atol=1e-4)


def test_saved_without_being_fused_it_says_the_same_bits(planted_networks, tmp_path):
    networks, stages = planted_networks(45)
    stages = np.where(stages == "AD", "EMCI", stages)
    stages[0] = "AD"
    model = _quick().fit(networks, stages)
    back = GraphClassifier.load(model.save(tmp_path))
    np.testing.assert_array_equal(back.predict_proba(networks), model.predict_proba(networks))
    assert back.get_params() == model.get_params()


def test_four_subjects_one_modality_and_constant_or_repeated_networks(planted_networks):
    networks, stages = planted_networks(45)
    four = _quick().fit(networks[[0, 2, 3, 5], :1], np.array(["CN", "AD"] * 2))
    assert np.isfinite(four.predict_proba(networks[:, :1])).all()
    flat = np.broadcast_to(networks[:1], networks.shape).copy()
    np.testing.assert_allclose(_quick().fit(flat, stages).predict_proba(flat), 1 / 3, atol=0.02)
    twice = np.r_[0:9, 0:9, 0:9]
    assert np.isfinite(_quick().fit(networks[twice], stages[twice]).predict_proba(networks)).all()


def test_visits_of_one_participant_stay_in_one_part(planted_networks, monkeypatch):
    networks, stages = planted_networks(45, effect=0.1)
    parts, own = [], fused.ridge_reading
    monkeypatch.setattr(
        fused, "ridge_reading", lambda *given: parts.append(given[3]) or own(*given)
    )
    people = np.arange(45) // 3  # visits in three stages
    _quick().fit(networks, stages, groups=people)
    assert parts
    for part in parts:
        assert all(np.unique(part[people == who]).size == 1 for who in np.unique(people))
    with pytest.raises(ValueError, match=r"groups must be one a subject, \(45,\); got shape \(5,"):
        _quick().fit(networks, stages, groups=people[:5])


def test_members_readings_are_averaged_and_unread_where_nothing_was_measured(
    planted_networks, monkeypatch
):
    networks, stages = planted_networks(46, effect=0.1)
    networks[::3, 0] = np.nan
    seen = {}
    monkeypatch.setattr(
        fused, "fuse", lambda readings, *given: seen.update(readings=readings) or fuse(
            readings, *given
        )
    )  # fmt: skip
    model = _quick().fit(networks, stages)
    # of the first modality three readings by members, then of both one each by ridges
    assert np.isnan(seen["readings"][::3, :3]).all()
    assert np.isfinite(seen["readings"][1::3, :3]).any()
    assert np.isnan(seen["readings"][::3, 6]).all()
    brains = model.inputs_.transform(networks)
    with torch.no_grad():
        readings, there = model.model_.read(brains)
        each = [member.weighed(brains)[0].flatten(1) for member in model.model_.members]
    torch.testing.assert_close(readings[:, :6], sum(each).double() / 3)
    np.testing.assert_array_equal(there[:, :3].any(dim=1).numpy(), np.arange(46) % 3 != 0)


def test_classes_without_an_order_are_read_one_by_one(planted_networks):
    networks, stages = planted_networks(45)
    names = np.array(["DLB", "FTD", "AD"])[[["CN", "EMCI", "AD"].index(each) for each in stages]]
    model = _quick().fit(networks, names)
    assert model.model_.n_targets == 3
    assert np.mean(model.predict(networks) == names) > 0.9


def test_too_few_of_a_stage_to_leave_any_out_is_not_fused(planted_networks):
    networks, stages = planted_networks(45)
    stages = np.where(stages == "AD", "EMCI", stages)
    stages[0] = "AD"
    model = _quick().fit(networks, stages)
    assert not isinstance(model.model_, FusedCommittee)
    assert model.outcome_ is HEADS["coral"]
    np.testing.assert_allclose(model.predict_proba(networks).sum(axis=1), 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n_members": 1}, "n_members must be 2 or more to fuse"), ({"network": "GCN"}, "to fuse")],
)
def test_what_cannot_be_fused_is_refused(planted_networks, options, message):
    networks, stages = planted_networks(12)
    with pytest.raises(ValueError, match=message):
        _quick(**options).fit(networks, stages)


def test_another_network_cannot_be_built_into_it():
    sizes = {"n_features": 1, "n_modalities": 1, "n_regions": 4, "n_context": 0, "n_outputs": 2}
    given = {"network": "GCN", "n_members": 2, "n_stages": 2, "n_targets": 1}
    with pytest.raises(ValueError, match="must be a MultiplexNetwork"):
        build_network("FusedCommittee", given | sizes)
