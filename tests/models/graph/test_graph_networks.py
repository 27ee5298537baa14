"""What holds for every graph network, whatever its paper."""

import numpy as np
import pytest
import torch

from brainnet.models.core.fit import fork_seed
from brainnet.models.core.networks import build_network
from brainnet.models.graph.estimator import GraphClassifier

#: Whether the order of regions does not matter, as long as what describes them comes along.
ORDER_IS_FREE = {
    "BrainGNN": False,
    "BrainNetCNN": False,
    "BrainNetworkTransformer": True,
    "GATv2": True,
    "GCN": True,
    "GIN": True,
}


@pytest.fixture(params=ORDER_IS_FREE)
def name(request):
    return request.param


def _network(name, n_context=0):
    sizes = {"n_modalities": 2, "n_regions": 7, "n_context": n_context, "n_outputs": 3}
    with fork_seed(0):
        return build_network(name, {"n_features": 7, **sizes, "n_hidden": 12}).eval()


def test_gives_as_many_outputs_as_asked_for(name, brains):
    assert _network(name, n_context=4)(brains(n_context=4)).shape == (3, 3)


def test_subjects_in_a_batch_do_not_mix(name, brains):
    batch, network = brains(), _network(name)
    alone = torch.cat([network(batch.rows(torch.tensor([each]))) for each in range(3)])
    torch.testing.assert_close(network(batch), alone, rtol=1e-5, atol=1e-5)


def test_order_of_regions(name, brains):
    batch, network = brains(), _network(name)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    moved = batch._replace(  # rows move, columns stay
        nodes=batch.nodes[:, :, order],
        edges=batch.edges[:, :, order][..., order],
        adjacency=batch.adjacency[:, :, order][..., order],
    )
    same = torch.allclose(network(batch), network(moved), rtol=1e-5, atol=1e-5)
    assert same == ORDER_IS_FREE[name]


def test_a_network_without_positive_edges_is_no_error(name, brains):
    batch, network = brains(), _network(name).train()
    empty = batch._replace(adjacency=torch.zeros_like(batch.adjacency))
    outputs = network(empty)
    assert torch.isfinite(outputs).all()
    outputs.sum().backward()
    gradients = [each.grad for each in network.parameters() if each.grad is not None]
    assert all(torch.isfinite(each).all() for each in gradients)


def test_a_subject_of_whom_nothing_was_measured_is_no_error(name, brains):
    batch, network = brains(), _network(name)
    assert torch.isfinite(network(type(batch)(*(torch.zeros_like(each) for each in batch)))).all()


def test_gradients_reach_every_parameter(name, brains):
    batch, network = brains(), _network(name).train()
    network(batch).square().sum().backward()
    assert not [key for key, each in network.named_parameters() if not torch.any(each.grad)]


def test_learns_what_was_planted_and_comes_back_from_disk(name, planted_networks, tmp_path):
    networks, stages = planted_networks(75)
    model = GraphClassifier(network=name, n_epochs=20, n_hidden=12, learning_rate=0.01)
    model.fit(networks[:45], stages[:45])
    assert np.mean(model.predict(networks[45:]) == stages[45:]) > 0.8
    back = GraphClassifier.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(back.predict_proba(networks), model.predict_proba(networks))


def test_options_come_back_from_disk(planted_networks, tmp_path):
    networks, stages = planted_networks(12)
    options = {"n_filters": (3, 2), "n_node_filters": 5}
    model = GraphClassifier(network="BrainNetCNN", n_epochs=1, options=options)
    back = GraphClassifier.load(model.fit(networks, stages).save(tmp_path / "model"))
    np.testing.assert_array_equal(back.predict_proba(networks), model.predict_proba(networks))
