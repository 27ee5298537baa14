"""Attention over dense matrices against PyG's over a list of edges: numbers and gradients."""

import numpy as np
import pytest
import torch
from torch_geometric.nn import GATv2Conv
from torch_geometric.utils import dense_to_sparse

from brainnet.models.core.fit import fork_seed, threads
from brainnet.models.graph.gat import GATv2, GATv2Convolution, Neighbours

N_SUBJECTS, N_REGIONS, N_FEATURES = 3, 21, 5  # more neighbours than lanes, and not a multiple


def _graphs(density=0.3, seed=0):
    """Symmetric weights; region 2 of the first subject has no edge, the last subject has none."""
    rng = np.random.default_rng(seed)
    shape = (N_SUBJECTS, N_REGIONS, N_REGIONS)
    kept = np.triu(rng.random(shape) < density, 1)
    weights = np.where(kept, rng.uniform(0.1, 1, shape), 0).astype(np.float32)
    adjacency = torch.from_numpy(weights + weights.swapaxes(1, 2))
    adjacency[0, 2] = adjacency[0, :, 2] = adjacency[-1] = 0
    nodes = rng.normal(size=(*shape[:2], N_FEATURES)).astype(np.float32)
    return torch.from_numpy(nodes), adjacency


def _pair(n_heads=3, n_channels=4, dtype=torch.float32):
    """Our layer and PyG's, with the same weights."""
    with fork_seed(0):
        layer = GATv2Convolution(N_FEATURES, n_channels, n_heads=n_heads)
        torch.nn.init.normal_(layer.bias)
    reference = GATv2Conv(N_FEATURES, n_channels, heads=n_heads, edge_dim=1)
    reference.load_state_dict(layer.state_dict())
    return layer.to(dtype), reference.to(dtype)


def _sparse(reference, nodes, adjacency):
    """What PyG makes of it; region i hears j by the weight at (i, j)."""
    index, _ = dense_to_sparse(adjacency.detach().mT.contiguous())
    subject = index[0] // N_REGIONS
    weight = adjacency[subject, index[1] % N_REGIONS, index[0] % N_REGIONS]
    return reference(nodes.flatten(0, 1), index, weight).unflatten(0, nodes.shape[:2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # compiled, and torch's own
@pytest.mark.parametrize("n_heads, n_channels", [(1, 7), (3, 4)])
@pytest.mark.parametrize("density", [0.3, 1.0])
def test_equals_gatv2conv_and_its_gradients(dtype, n_heads, n_channels, density):
    layer, reference = _pair(n_heads, n_channels, dtype)
    given = [each.to(dtype) for each in _graphs(density)]
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {}
    ours, theirs = ([each.clone().requires_grad_() for each in given] for _ in range(2))
    found, expected = layer(*ours), _sparse(reference, *theirs)
    torch.testing.assert_close(found, expected, **tolerance)
    slant = torch.linspace(-1, 1, found.numel(), dtype=dtype).view_as(found)
    (found * slant).sum().backward()
    (expected * slant).sum().backward()
    wanted = dict(reference.named_parameters())
    for name, each in layer.named_parameters():
        torch.testing.assert_close(each.grad, wanted[name].grad, rtol=1e-4, atol=2e-5)
    for each, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(each.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_a_region_hears_by_its_own_row():
    nodes, adjacency = _graphs()
    adjacency = adjacency.triu()  # one way only
    layer, reference = _pair()
    torch.testing.assert_close(
        layer(nodes, adjacency), _sparse(reference, nodes, adjacency), rtol=1e-5, atol=1e-5
    )


def test_weights_on_the_diagonal_do_not_count():
    nodes, adjacency = _graphs()
    layer, _ = _pair()
    expected = layer(nodes, adjacency)
    own = adjacency + torch.eye(N_REGIONS)
    torch.testing.assert_close(layer(nodes, own), expected, rtol=0, atol=0)
    double = layer.double()
    torch.testing.assert_close(double(nodes.double(), own.double()).float(), expected)


def test_attention_that_is_all_but_certain_stays_exact():
    nodes, adjacency = _graphs()
    layer, reference = _pair()
    with torch.no_grad():
        layer.att *= 300
    reference.load_state_dict(layer.state_dict())
    found = layer(nodes, adjacency)
    torch.testing.assert_close(found, _sparse(reference, nodes, adjacency), rtol=1e-5, atol=1e-5)
    found.sum().backward()
    assert all(torch.isfinite(each.grad).all() for each in layer.parameters())


def test_threads_change_no_bit():
    nodes, adjacency = _graphs()
    layer, _ = _pair()
    results = []
    for n_threads in (1, 2, 5):
        layer.zero_grad()
        with threads(n_threads):
            found = layer(nodes, adjacency)
            found.square().sum().backward()
        results.append([found, *(each.grad for each in layer.parameters())])
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


def test_neighbours_are_the_edges_and_a_loop_of_mean_weight():
    _, adjacency = _graphs()
    starts, near, weights = Neighbours.of(adjacency)
    for subject in range(N_SUBJECTS):
        for region in range(N_REGIONS):
            here = slice(starts[subject, region], starts[subject, region + 1])
            row = adjacency[subject, region].numpy()
            assert near[here].tolist() == [*np.flatnonzero(row), region]
            mean = row[row != 0].mean() if row.any() else 0
            np.testing.assert_allclose(weights[here], [*row[row != 0], mean], rtol=1e-6)


def test_the_network_equals_layers_of_gatv2conv(brains):
    batch = brains()
    with fork_seed(0):
        sizes = {"n_modalities": 2, "n_regions": 7, "n_context": 0, "n_outputs": 3}
        network = GATv2(7, **sizes, n_hidden=6, n_heads=2).eval()
    for modality, encoder in enumerate(network.encoders):
        nodes = batch.nodes[:, modality].flatten(0, 1)
        index, weight = dense_to_sparse(batch.adjacency[:, modality].contiguous())
        for layer in encoder.layers:
            reference = GATv2Conv(nodes.shape[-1], 3, heads=2, edge_dim=1)
            reference.load_state_dict(layer.state_dict())
            nodes = reference(nodes, index, weight).relu()
        by_subject = nodes.reshape(3, 7, 6)
        expected = torch.cat([by_subject.mean(1), by_subject.amax(1)], dim=1)
        found = encoder(*(each[:, modality] for each in batch[:3]))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_heads", [0, 3])
def test_heads_must_divide_the_channels(n_heads):
    with pytest.raises(ValueError, match=f"n_heads must divide n_hidden = 32; got {n_heads}"):
        GATv2(
            7, n_modalities=1, n_regions=7, n_context=0, n_outputs=3, n_hidden=32, n_heads=n_heads
        )
