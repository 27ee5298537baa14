"""Pre-training of the staging network on networks without stages."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone

from brainnet.models.core.fit import fork_seed
from brainnet.models.core.recipe import Recipe
from brainnet.models.graph import pretrain
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.graph.gcn import GCN
from brainnet.models.graph.pretrain import ConnectomeAutoencoder, pretrain_connectomes

_RECIPE = Recipe(n_epochs=60, learning_rate=5e-3, schedule="cosine")
_SIZES = {"n_modalities": 2, "n_regions": 12, "n_context": 0}
_QUICK = {"n_hidden": 16, "learning_rate": 0.01, "n_epochs": 60}


def test_what_is_filled_in_is_symmetric_and_of_each_subject_alone(planted_networks):
    networks, _ = planted_networks(6)
    scaled = torch.from_numpy(networks).float()
    with fork_seed(0):
        encoder = GCN(12, **_SIZES, n_outputs=2, n_hidden=4, dropout=0.0)
        none, one = torch.zeros(2, 12, 12), torch.ones(2, 12, 12)
        model = ConnectomeAutoencoder(encoder, none, one, density=0.3).eval()
    found = model(scaled)
    torch.testing.assert_close(found, found.mT)
    torch.testing.assert_close(model(scaled[2:3]), found[2:3])


@pytest.fixture(scope="module")
def planted_pretrained():
    """Networks as in `planted_networks`, 300 of them used to pre-train."""
    from importlib import util
    from pathlib import Path

    where = Path(__file__).parents[1] / "conftest.py"
    spec = util.spec_from_file_location("planted", where)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    networks, stages = module._planted_networks(456, effect=0.1, seed=0)
    start = pretrain_connectomes(networks[:300], n_hidden=16, recipe=_RECIPE)
    return networks[300:], stages[300:], start


def test_fills_in_better_than_the_mean_of_each_edge(planted_pretrained):
    *_, start = planted_pretrained
    assert start.history.train_loss[0] > 0.99 > 0.95 > start.history.train_loss[-1]


def test_few_stages_and_many_networks_without_beat_the_few_alone(planted_pretrained):
    networks, stages, start = planted_pretrained
    with fork_seed(0):
        fresh = GCN(12, **_SIZES, n_outputs=3, n_hidden=16).state_dict()
    scores = {}
    weights = {k: v for k, v in fresh.items() if k.startswith("encoders.")}
    starts = {"alone": None, "scale": replace(start, weights=weights), "pretrained": start}
    for name, each in starts.items():
        scores[name] = np.mean([
            GraphClassifier(start=each, seed=seed, **_QUICK)
            .fit(networks[first : first + 6], stages[first : first + 6])
            .score(networks[18:], stages[18:])
            for first in (0, 6, 12) for seed in range(2)
        ])  # fmt: skip
    assert scores["pretrained"] > scores["alone"] + 0.1
    assert scores["pretrained"] > scores["scale"] + 0.05  # it is not the scale alone


def test_start_sets_scale_and_survives_clone_and_save(planted_pretrained, tmp_path):
    networks, stages, start = planted_pretrained
    model = clone(GraphClassifier(start=start, **_QUICK | {"n_epochs": 2}))
    model.fit(networks[:12], stages[:12])
    np.testing.assert_array_equal(model.inputs_.centre_, start.centre)
    np.testing.assert_array_equal(model.inputs_.spread_, start.spread)
    back = GraphClassifier.load(model.save(tmp_path))
    np.testing.assert_array_equal(back.predict_proba(networks), model.predict_proba(networks))
    assert back.card_["training"]["pretrained"] is True


def test_start_of_another_size_or_atlas_is_refused(planted_pretrained, planted_networks):
    networks, stages, start = planted_pretrained
    with pytest.raises(ValueError, match="none of"):
        GraphClassifier(start=start, n_hidden=8).fit(networks[:12], stages[:12])
    other, stages = planted_networks(12, n_regions=10)
    with pytest.raises(ValueError, match="same atlas"):
        GraphClassifier(start=start, n_hidden=16).fit(other, stages)


def test_takes_networks_with_missing_parts_and_repeats_itself(planted_networks):
    networks, _ = planted_networks(20)
    networks[3, 1] = np.nan
    networks[4, 0, 2, :] = networks[4, 0, :, 2] = np.nan
    before = torch.get_rng_state()
    first, second = (pretrain_connectomes(networks, recipe=Recipe(n_epochs=2)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.weights.keys() == second.weights.keys()
    assert all(torch.equal(first.weights[each], second.weights[each]) for each in first.weights)
    assert np.isfinite(first.history.train_loss).all()


@pytest.mark.parametrize("density", [0, 2, float("nan")])
def test_a_density_that_is_no_share_is_refused(planted_networks, density):
    with pytest.raises(ValueError, match=r"density must be in \(0, 1\]"):
        pretrain_connectomes(planted_networks(8)[0], density=density)


def test_what_scales_is_not_the_networks_own(planted_networks, monkeypatch):
    """A state that is loaded into the network must not change it; and no folder takes one."""

    def spoil(model, *args, **options):
        for each in model.buffers():
            each.fill_(7)

    monkeypatch.setattr(pretrain, "fit", spoil)
    networks, _ = planted_networks(8)
    start = pretrain_connectomes(networks)
    assert not (start.centre == 7).any()
    assert not (start.spread == 7).any()
    with pytest.raises(TypeError, match="folder"):
        pretrain_connectomes(networks, folder="elsewhere")
