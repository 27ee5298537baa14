"""Dense sums over neighbours against PyG's over a list of edges."""

import pytest
import torch
from torch_geometric.nn import GINConv, MessagePassing
from torch_geometric.utils import dense_to_sparse

from brainnet.models.core.fit import fork_seed
from brainnet.models.graph.gin import GIN, GINConvolution


class _WeightedSum(MessagePassing):
    """Plain message passing, with edge weights: ``GINConv`` knows none."""

    def __init__(self, epsilon, network):
        super().__init__(aggr="add")
        self.epsilon, self.network = epsilon, network

    def forward(self, nodes, index, weight):
        summed = self.propagate(index, x=nodes, weight=weight)
        return self.network((1 + self.epsilon) * nodes + summed)

    def message(self, x_j, weight):
        return weight.unsqueeze(-1) * x_j


def _layer(n_features=7, n_hidden=5):
    with fork_seed(0):
        layer = GINConvolution(n_features, n_hidden)
        torch.nn.init.constant_(layer.epsilon, 0.3)
        torch.nn.init.normal_(layer.norm.weight)
        torch.nn.init.normal_(layer.norm.running_mean)
    return layer


def _network_at_a_region(layer):
    return torch.nn.Sequential(layer.first, layer.norm, torch.nn.ReLU(), layer.second)


@pytest.mark.parametrize("training", [True, False])
def test_equals_weighted_message_passing(brains, training):
    batch, layer = brains(), _layer().train(training)
    index, weight = dense_to_sparse(batch.adjacency[:, 0].contiguous())
    reference = _WeightedSum(layer.epsilon, _network_at_a_region(layer))
    expected = reference(batch.nodes[:, 0].flatten(0, 1), index, weight)
    found = layer(batch.nodes[:, 0], batch.adjacency[:, 0])
    torch.testing.assert_close(found.flatten(0, 1), expected, rtol=1e-5, atol=1e-5)


def test_equals_ginconv_where_all_edges_weigh_one(brains):
    batch, layer = brains(), _layer().eval()
    adjacency = (batch.adjacency[:, 0] > 0).float()
    reference = GINConv(_network_at_a_region(layer), eps=0.3)
    expected = reference(batch.nodes[:, 0].flatten(0, 1), dense_to_sparse(adjacency)[0])
    found = layer(batch.nodes[:, 0], adjacency)
    torch.testing.assert_close(found.flatten(0, 1), expected, rtol=1e-5, atol=1e-5)


def test_reads_the_regions_before_and_after_every_layer(brains):
    batch = brains()
    with fork_seed(0):
        network = GIN(
            7, n_modalities=2, n_regions=7, n_context=0, n_outputs=3, n_hidden=5, n_layers=3
        ).eval()
    encoder = network.encoders[1]
    nodes, edges, adjacency = (each[:, 1] for each in batch[:3])
    found = encoder(nodes, edges, adjacency)
    assert found.shape == (3, 7 + 3 * 5)
    torch.testing.assert_close(found[:, :7], nodes.mean(dim=1))
    first = torch.relu(encoder.norms[0](encoder.layers[0](nodes, adjacency).flatten(0, 1)))
    torch.testing.assert_close(found[:, 7:12], first.unflatten(0, (3, 7)).mean(dim=1))
