"""Region-aware convolution and pooling, against message passing over a list of edges."""

import math
from itertools import pairwise

import pytest
import torch
from torch_geometric.nn import MessagePassing, global_max_pool, global_mean_pool
from torch_geometric.nn.pool.connect.filter_edges import filter_adj
from torch_geometric.nn.pool.select.topk import topk
from torch_geometric.utils import dense_to_sparse, scatter

from brainnet.models.core.fit import fork_seed
from brainnet.models.graph.braingnn import BrainGNN, Chosen, RegionPooling

N_REGIONS = 7


def _network(**options):
    with fork_seed(0):
        sizes = {"n_modalities": 2, "n_regions": N_REGIONS, "n_context": 0, "n_outputs": 3}
        network = BrainGNN(N_REGIONS, **sizes, n_hidden=5, n_communities=3, **options).eval()
        for name, each in network.named_parameters():
            if name.endswith("membership"):
                torch.nn.init.normal_(each)  # so that some regions are in no community
        return network


class _KernelByNode(MessagePassing):
    """Message passing in which every node transforms what it sends by a kernel of its own."""

    def __init__(self):
        super().__init__(aggr="add")

    def forward(self, nodes, kernels, index, weight):
        sent = (nodes.unsqueeze(1) @ kernels).squeeze(1)
        total = 1 + scatter(weight, index[1], dim_size=len(nodes))
        return ((sent + self.propagate(index, x=sent, weight=weight)) / total.unsqueeze(1)).relu()

    def message(self, x_j, weight):
        return weight.unsqueeze(-1) * x_j


def _sparse(encoder, nodes, adjacency, ratio):
    """Return what the paper's layers make of a list of edges, and the regions they keep."""
    n_subjects = len(nodes)
    index, weight = dense_to_sparse(adjacency.contiguous())
    batch = torch.arange(n_subjects).repeat_interleave(N_REGIONS)
    region = torch.arange(N_REGIONS).repeat(n_subjects)
    nodes, parts, regions = nodes.flatten(0, 1), [], []
    for convolve, pool in zip(encoder.convolutions, encoder.poolings, strict=True):
        one_hot = torch.nn.functional.one_hot(region, N_REGIONS).float()
        mixture = (one_hot @ convolve.membership.T).relu()
        kernels = torch.einsum("nk,kio->nio", mixture, convolve.kernels) + convolve.shared
        nodes = _KernelByNode()(nodes, kernels, index, weight)
        along = nodes @ pool.direction / pool.direction.norm()
        mean = global_mean_pool(along[:, None], batch)[batch, 0]
        variance = global_mean_pool((along - mean)[:, None] ** 2, batch)[batch, 0]
        score = (along - mean) / variance.sqrt().clamp(min=1e-6)
        kept = topk(score, ratio, batch)
        index, weight = filter_adj(index, weight, kept, num_nodes=len(nodes))
        nodes = nodes[kept] * torch.sigmoid(score[kept])[:, None]
        batch, region = batch[kept], region[kept]
        parts += [global_mean_pool(nodes, batch), global_max_pool(nodes, batch)]
        regions.append(region.reshape(n_subjects, -1))
    return torch.cat(parts, dim=1), regions


@pytest.mark.parametrize("ratio", [0.5, 0.99])  # to PyG, 1 is one region
def test_equals_message_passing_with_a_kernel_for_each_node(brains, ratio):
    batch, network = brains(density=0.7), _network(ratio=ratio, n_layers=3)
    for modality, encoder in enumerate(network.encoders):
        nodes, edges, adjacency = (each[:, modality] for each in batch[:3])
        expected, regions = _sparse(encoder, nodes, adjacency, ratio)
        found = encoder(nodes, edges, adjacency)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        for chosen, wanted in zip(encoder.choose(nodes, adjacency), regions, strict=True):
            assert torch.equal(chosen.regions.sort().values, wanted.sort().values)


def test_pooling_keeps_the_highest_and_scales_them_by_their_score():
    pool = RegionPooling(2, ratio=0.4)
    with torch.no_grad():
        pool.direction.copy_(torch.tensor([3.0, 4.0]))  # of length 5
    along = torch.tensor([1.0, -2.0, 0.5, 4.0])
    nodes = along[None, :, None] * torch.tensor([0.6, 0.8])
    chosen = pool(nodes, torch.tensor([[0, 1, 2, 3]]))
    deviation = (along - along.mean()) / along.std(correction=0)
    torch.testing.assert_close(chosen.scores[0], deviation)
    assert chosen.regions.tolist() == [[3, 0]]
    torch.testing.assert_close(
        chosen.nodes[0], nodes[0, [3, 0]] * deviation[[3, 0]].sigmoid()[:, None]
    )


def test_what_was_dropped_is_no_candidate_any_more(brains):
    batch, network = brains(), _network(n_layers=3)
    layers = network.encoders[0].choose(batch.nodes[:, 0], batch.adjacency[:, 0])
    assert [each.regions.shape[1] for each in layers] == [4, 2, 1]
    for before, after in pairwise(layers):
        for was, stays in zip(before.regions.tolist(), after.regions.tolist(), strict=True):
            assert set(stays) < set(was)


def test_penalty_in_closed_form():
    pool = RegionPooling(2, ratio=0.5)
    with torch.no_grad():
        pool.direction.copy_(torch.tensor([3.0, 4.0]))
    scores = torch.tensor([[2.0, -1.0, 0.5, -1.5]])
    kept = torch.tensor([[0, 2]])
    chosen = Chosen(torch.zeros(1, 2, 2), kept, scores, kept)

    def share(score):
        return 1 / (1 + math.exp(-score))

    logs = [math.log(share(2)), math.log(share(0.5)), math.log(1 - share(-1)),
            math.log(1 - share(-1.5))]  # fmt: skip
    expected = (5 - 1) ** 2 - 0.1 * sum(logs) / 4
    assert pool.penalty(chosen, topk=0.1).item() == pytest.approx(expected, rel=1e-6)


def test_outputs_come_with_the_penalty_of_all_layers_and_modalities(brains):
    batch, network = brains(), _network()
    outputs, penalty = network.with_penalty(batch, topk=0.2)
    torch.testing.assert_close(outputs, network(batch))
    expected = 0
    for modality, encoder in enumerate(network.encoders):
        layers = encoder.choose(batch.nodes[:, modality], batch.adjacency[:, modality])
        for pool, chosen in zip(encoder.poolings, layers, strict=True):
            expected += pool.penalty(chosen, topk=0.2)
    torch.testing.assert_close(penalty, expected)
    penalty.backward()
    assert all(pool.direction.grad.any() for each in network.encoders for pool in each.poolings)


def test_the_order_of_regions_matters_and_can_be_followed_by_the_kernels(brains):
    batch, network = brains(), _network()
    expected = network(batch)
    order = torch.randperm(N_REGIONS, generator=torch.Generator().manual_seed(1))
    moved = batch._replace(
        nodes=batch.nodes[:, :, order], adjacency=batch.adjacency[:, :, order][..., order]
    )
    assert not torch.allclose(network(moved), expected, atol=1e-4)
    with torch.no_grad():
        for encoder in network.encoders:
            for each in encoder.convolutions:
                each.membership.copy_(each.membership[:, order])
    torch.testing.assert_close(network(moved), expected, rtol=1e-5, atol=1e-5)


def test_regions_that_all_score_the_same_are_no_error():
    nodes = torch.ones(2, 4, 3, requires_grad=True)
    chosen = RegionPooling(3, ratio=0.5)(nodes, torch.arange(4).expand(2, -1))
    assert torch.isfinite(chosen.nodes).all()
    chosen.nodes.sum().backward()
    assert torch.isfinite(nodes.grad).all()


@pytest.mark.parametrize("ratio", [0, 1.5])
def test_a_ratio_that_keeps_none_or_more_than_all_is_refused(ratio):
    with pytest.raises(ValueError, match=r"ratio must be in \(0, 1\]"):
        _network(ratio=ratio)
