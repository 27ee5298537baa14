"""The multiplex network: what is absent is silent, and what it says of its parts is true."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from brainnet.cohort.subjects import Subjects, as_subjects
from brainnet.models.core.fit import fork_seed
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.graph.inputs import GraphInputs
from brainnet.models.graph.multiplex import (
    MultiplexLayer,
    MultiplexNetwork,
    _some,
)  # fmt: skip
from brainnet.models.graph.multiplex_staging import multiplex_network

_SIZES = {"n_modalities": 2, "n_regions": 7, "n_context": 4, "n_outputs": 3}


def _network(n_features=7, *, trained=True, **options):
    """A network whose weights are all different from 0, as after training."""
    with fork_seed(0):
        network = MultiplexNetwork(n_features, **_SIZES | options).eval()
        if trained:
            for each in network.parameters():
                each.data += 0.3 * torch.randn_like(each)
    return network


def _batch(brains, absent=((0, 1), (2, 0))):
    batch = brains(n_context=4)
    present = batch.present.clone()
    for subject, modality in absent:
        present[subject, modality] = False
    return batch._replace(present=present)


def _spoiled(batch, value):
    """The same batch with other numbers in all tensors of absent modalities."""
    gone = ~batch.present[:, :, None, None]
    context = batch.context.unflatten(1, (2, -1)).masked_fill(~batch.present[..., None], value)
    return batch._replace(
        nodes=batch.nodes.masked_fill(gone, value),
        edges=batch.edges.masked_fill(gone, value),
        adjacency=batch.adjacency.masked_fill(gone, value),
        context=context.flatten(1),
    )


@pytest.mark.parametrize("value", [0.0, 5.0, -1e4, float("nan")])
@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_an_absent_modality_has_no_influence_at_all(brains, value, n_layers):
    batch, network = _batch(brains), _network(n_layers=n_layers)
    assert torch.equal(network(batch), network(_spoiled(batch, value)))


def test_a_modality_that_is_there_has_influence_through_every_tensor(brains):
    batch, network = _batch(brains, absent=()), _network()
    for name in ("nodes", "edges", "adjacency", "context"):
        tensor = getattr(batch, name)
        other = tensor.clone()
        other.view(len(tensor), 2, -1)[:, 1] *= 2
        assert not torch.allclose(network(batch), network(batch._replace(**{name: other})))


def test_modalities_talk_to_one_another_only_where_both_are_there(brains):
    batch, network = _batch(brains, absent=()), _network()
    other = batch._replace(nodes=batch.nodes * torch.tensor([1.0, 3.0]).view(1, 2, 1, 1))
    present = batch.present
    first = network.graph(batch, present).readings[:, 0]
    assert not torch.allclose(first, network.graph(other, present).readings[:, 0])
    present = torch.tensor([[True, False]]).expand(3, 2)
    first = network.graph(batch, present).readings[:, 0]
    torch.testing.assert_close(first, network.graph(other, present).readings[:, 0])


def test_messages_are_those_of_the_formula(brains):
    batch = brains()
    with fork_seed(0):
        layer = MultiplexLayer(2, 4, dropout=0.0)
        layer.scale.data.normal_()
        layer.shift.data.normal_()
        nodes = torch.randn(3, 2, 7, 4)
    found = layer(nodes, batch.adjacency, torch.ones(3, 2, dtype=torch.bool))
    for s in range(3):
        for m in range(2):
            looped = batch.adjacency[s, m] + torch.eye(7)
            root = torch.diag(looped.sum(1) ** -0.5)
            near = root @ looped @ root @ nodes[s, m] @ layer.within.weight.T
            far = nodes[s, 1 - m] @ layer.between.weight.T
            scale, shift = (each.view(2, 4)[m] for each in (layer.scale, layer.shift))
            expected = nodes[s, m] + torch.tanh(scale * (near + far) + shift)
            torch.testing.assert_close(found[s, m], expected)


def test_outputs_are_the_weighed_readings_and_only_scores_differ_by_subject(brains):
    batch, network = _batch(brains), _network(n_scores=1)
    readings, weights = network.weighed(batch)
    assert (weights[~batch.present] == 0).all()
    torch.testing.assert_close(weights.sum(dim=(1, 2)), torch.ones(3))
    outputs = network(batch)
    expected = (weights * readings[..., 0]).sum(dim=(1, 2)) + 10 * network.bias[0]
    torch.testing.assert_close(outputs[:, 0], expected)
    assert (outputs[:, 1:] == outputs[0, 1:]).all()
    assert outputs[:, 0].std() > 0


def test_a_new_network_weighs_all_that_is_there_alike(brains):
    _, weights = _network(trained=False).weighed(_batch(brains))
    assert weights[0].tolist() == [[pytest.approx(1 / 3)] * 3, [0, 0, 0]]
    assert weights[1].flatten().tolist() == [pytest.approx(1 / 6)] * 6


def test_what_was_not_measured_is_not_read(brains):
    batch = _batch(brains, absent=())
    nodes = batch.nodes.clone()
    nodes[0, 0, :, 0] = 0  # no regional values, as of function
    _, weights = _network().weighed(batch._replace(nodes=nodes))
    assert weights[0, 0].bool().tolist() == [True, False, True]
    edges = batch.edges.clone()
    edges[1, 1] = 0
    _, weights = _network().weighed(batch._replace(edges=edges))
    assert weights[1, 1].bool().tolist() == [False, True, True]


def test_a_subject_of_whom_nothing_is_known_gets_the_prior(brains):
    batch, network = _batch(brains, absent=((0, 0), (0, 1))), _network()
    torch.testing.assert_close(network(batch)[0], 10 * network.bias)


def test_in_training_something_is_always_heard_and_only_what_is_there(brains):
    there = torch.rand(4000, 3, 3, generator=torch.Generator().manual_seed(0)) < 0.5
    with fork_seed(0):
        heard = _some(there, 0.8)
        never_alone = _some(there, 0.0)
    for each in (heard, never_alone):
        assert not (each & ~there).any()
        assert torch.equal(each.any(dim=(1, 2)), there.any(dim=(1, 2)))
    whole = there.all(dim=(1, 2))
    assert 0.7 < (heard[whole].sum(dim=(1, 2)) == 1).double().mean() < 0.95
    kept = never_alone.any(dim=2)[there.any(dim=2).all(dim=1)]
    assert set(kept.sum(dim=1).tolist()) == {1, 2, 3}
    assert torch.equal(never_alone, there & never_alone.any(dim=2, keepdim=True))


def test_dropping_modalities_draws_from_the_seed_alone(brains):
    batch, network = _batch(brains), _network().train()
    with fork_seed(3):
        first = network(batch)
    with fork_seed(3):
        torch.testing.assert_close(network(batch), first)
    with fork_seed(4):
        assert not torch.allclose(network(batch), first)


def test_subjects_in_a_batch_do_not_mix(brains):
    batch, network = _batch(brains), _network()
    alone = torch.cat([network(batch.rows(torch.tensor([each]))) for each in range(3)])
    torch.testing.assert_close(network(batch), alone, rtol=1e-5, atol=1e-5)


def test_one_modality_and_no_context_are_enough(brains):
    batch = brains(n_modalities=1)
    sizes = _SIZES | {"n_modalities": 1, "n_context": 0}
    outputs = MultiplexNetwork(7, **sizes, n_regional=0)(batch)
    assert torch.isfinite(outputs).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_scores": 4}, "n_scores must be 1 to 3"),
        ({"n_scores": 0}, "n_scores must be 1 to 3"),
        ({"n_regional": 8}, "n_regional must be 0 to 7"),
        ({"n_context": 3}, "n_context must be as much for each"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        MultiplexNetwork(7, **_SIZES | options)


def _cohort(planted_networks, n_subjects, seed=0, **options):
    """Subjects with values that fall with the stage, in the second modality."""
    networks, stages = planted_networks(n_subjects, seed=seed, **options)
    rng = np.random.default_rng(seed)
    subjects = as_subjects(networks)
    values = np.full(subjects.shape[:3], np.nan)
    values[:, 1] = rng.normal(size=(n_subjects, 12))
    values[:, 1, :4] -= np.arange(n_subjects)[:, None] % 3
    return Subjects(**vars(subjects) | {"values": values}), stages


def _without(subjects, share, seed=0):
    """The subjects with modalities taken away at random, one at most of each."""
    rng = np.random.default_rng(seed)
    edges, values = subjects.edges.copy(), subjects.values.copy()
    for row in np.flatnonzero(rng.random(len(subjects)) < 2 * share):
        gone = rng.integers(2)
        edges[row, gone], values[row, gone] = np.nan, np.nan
    return Subjects(**vars(as_subjects(edges)) | {"values": values})


def _quick(**options):
    return multiplex_network(**{"n_members": 2, "n_epochs": 15} | options)


def test_stages_from_whatever_modalities_there_are(planted_networks):
    subjects, stages = _cohort(planted_networks, 210, effect=0.12)
    training, tested = subjects[:120], subjects[120:]
    model = _quick().fit(_without(training, 0.3), stages[:120])
    assert model.score(tested, stages[120:]) > 0.8
    for gone in range(2):
        edges, values = tested.edges.copy(), tested.values.copy()
        edges[:, gone], values[:, gone] = np.nan, np.nan
        lacking = Subjects(**vars(as_subjects(edges)) | {"values": values})
        assert model.score(lacking, stages[120:]) > 0.6
        chances = model.predict_proba(lacking)
        np.testing.assert_allclose(chances.sum(axis=1), 1)


def test_other_subjects_change_nothing_that_was_learned(planted_networks):
    subjects, stages = _cohort(planted_networks, 36)
    model = _quick(n_epochs=2).fit(subjects[:30], stages[:30])
    state = {name: each.clone() for name, each in model.model_.state_dict().items()}
    model.predict_proba(subjects[30:])
    again = clone(model).fit(subjects[:30], stages[:30])
    for name, each in again.model_.state_dict().items():
        assert torch.equal(each, state[name])


def test_takes_plain_arrays_and_comes_back_from_disk(planted_networks, tmp_path):
    networks, stages = planted_networks(30)
    networks[3, 1] = np.nan
    model = _quick(n_epochs=3).fit(networks, stages)
    back = GraphClassifier.load(model.save(tmp_path))
    np.testing.assert_array_equal(back.predict_proba(networks), model.predict_proba(networks))
    assert back.get_params() == model.get_params()


def test_context_stands_modality_by_modality(planted_networks):
    subjects, _ = _cohort(planted_networks, 12)
    whole = GraphInputs(context=("graph_measures", "regional_means")).fit(subjects)
    edges = subjects.edges.copy()
    edges[0, 0] = np.nan
    before = whole.transform(subjects).context.unflatten(1, (2, -1))
    lacking = Subjects(**vars(as_subjects(edges)) | {"values": subjects.values})
    after = whole.transform(lacking).context.unflatten(1, (2, -1))
    assert torch.equal(after[:, 1], before[:, 1])
    assert (after[0, 0] == 0).all()
    assert before[0, 0].any()


def test_ours_is_what_it_says():
    model = multiplex_network(seed=3, head="corn", options={"n_regional": 1})
    assert (model.seed, model.head, model.network) == (3, "corn", "MultiplexNetwork")
    assert clone(model).get_params() == model.get_params()


def test_in_training_it_hears_less_than_is_there(brains):
    batch, network = _batch(brains, absent=()), _network(alone=1.0)
    assert (network.weighed(batch)[1] > 0).all()
    with fork_seed(0):
        _, weights = network.train().weighed(batch)
    assert (weights > 0).sum(dim=(1, 2)).tolist() == [1, 1, 1]
