"""Attention among regions and the readout by clusters, against both written out."""

import math

import pytest
import torch

from brainnet.models.core.fit import fork_seed
from brainnet.models.graph.transformer import BrainNetworkTransformer, ClusterReadout, orthonormal


def _network(**options):
    with fork_seed(0):
        sizes = {"n_modalities": 2, "n_regions": 7, "n_context": 0, "n_outputs": 3}
        options = {"n_hidden": 6, "n_heads": 2, "n_clusters": 4, "n_reduced": 3} | options
        return BrainNetworkTransformer(7, **sizes, **options)


def _attended(layer, nodes, n_heads):
    """One layer of the paper: attention, sum and norm, two maps with ReLU, sum and norm."""
    attention = layer.self_attn
    size = nodes.shape[-1] // n_heads
    query, key, value = (
        nodes @ weight.T + bias
        for weight, bias in zip(
            attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True
        )
    )
    heads = []
    for head in range(n_heads):
        own = slice(head * size, (head + 1) * size)
        likeness = query[..., own] @ key[..., own].mT / math.sqrt(size)
        heads.append(likeness.softmax(dim=-1) @ value[..., own])
    nodes = layer.norm1(nodes + attention.out_proj(torch.cat(heads, dim=-1)))
    return layer.norm2(nodes + layer.linear2(torch.relu(layer.linear1(nodes))))


@pytest.mark.parametrize("training", [True, False])  # torch has a path of its own for the second
def test_equals_the_paper_written_out(brains, training):
    batch, network = brains(), _network(dropout=0.0).train(training)
    encoder = network.encoders[1]
    nodes = encoder.describe(batch.nodes[:, 1])
    for layer in encoder.layers:
        nodes = _attended(layer, nodes, n_heads=2)
    centres = encoder.readout.centres
    parts = []
    for subject in nodes:
        shares = torch.stack([(centres @ region).softmax(dim=0) for region in subject])
        clusters = [sum(shares[i, k] * subject[i] for i in range(7)) for k in range(len(centres))]
        reduced = encoder.reduce(torch.stack(clusters))
        parts.append(torch.where(reduced > 0, reduced, 0.01 * reduced).flatten())
    with torch.set_grad_enabled(training):
        found = encoder(*(each[:, 1] for each in batch[:3]))
    torch.testing.assert_close(found, torch.stack(parts), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_rows", [1, 5, 8])
def test_centres_are_orthonormal_and_gram_schmidt_of_the_draw(n_rows):
    with fork_seed(3):
        rows = orthonormal(n_rows, 8)
    with fork_seed(3):
        drawn = torch.nn.init.xavier_uniform_(torch.empty(n_rows, 8))
    done = []
    for row in drawn:
        for other in done:
            row = row - (row @ other) * other
        done.append(row / row.norm())
    torch.testing.assert_close(rows, torch.stack(done), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rows @ rows.T, torch.eye(n_rows), rtol=0, atol=1e-6)


def test_centres_are_saved_and_not_trained():
    network = _network()
    assert not [name for name, _ in network.named_parameters() if "centres" in name]
    assert [name for name in network.state_dict() if name.endswith("readout.centres")]


def test_no_share_of_a_region_is_lost():
    nodes = torch.arange(24.0).reshape(2, 4, 3)
    torch.testing.assert_close(ClusterReadout(3, 2)(nodes).sum(1), nodes.sum(1))


def test_looks_at_no_graph(brains):
    batch, network = brains(), _network().eval()
    blind = batch._replace(
        edges=torch.zeros_like(batch.edges), adjacency=torch.zeros_like(batch.adjacency)
    )
    assert torch.equal(network(blind), network(batch))


@pytest.mark.parametrize(
    "options, match",
    [
        ({"n_clusters": 7}, "n_clusters must be from 1 to n_hidden = 6"),
        ({"n_clusters": 0}, "n_clusters must be from 1"),
        ({"n_heads": 4}, "n_heads must divide n_hidden = 6; got 4"),
    ],
)
def test_says_what_does_not_fit(options, match):
    with pytest.raises(ValueError, match=match):
        _network(**options)
