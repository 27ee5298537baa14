"""The dense graph convolution against the list of edges, and its symmetries."""

import numpy as np
import torch
from torch_geometric.nn import GCNConv
from torch_geometric.utils import dense_to_sparse

from brainnet.models.core.fit import fork_seed
from brainnet.models.graph.brains import strongest
from brainnet.models.graph.gcn import GCN


def _network(**options):
    with fork_seed(0):
        sizes = {"n_modalities": 2, "n_regions": 7, "n_context": 0, "n_outputs": 3}
        return GCN(7, **sizes, n_hidden=5, **options).eval()


def test_equals_gcnconv_on_the_list_of_edges(brains):
    batch = brains()
    network = _network()
    for modality, encoder in enumerate(network.encoders):
        index, weight = dense_to_sparse(batch.adjacency[:, modality].contiguous())
        nodes = batch.nodes[:, modality].flatten(0, 1)
        for layer in encoder.layers:
            reference = GCNConv(*layer.lin.weight.shape[::-1])
            reference.lin.weight, reference.bias = layer.lin.weight, layer.bias
            nodes = reference(nodes, index, weight).relu()
        by_subject = nodes.reshape(3, 7, 5)
        expected = torch.cat([by_subject.mean(1), by_subject.max(1).values], dim=1)
        found = encoder(
            batch.nodes[:, modality], batch.edges[:, modality], batch.adjacency[:, modality]
        )
        torch.testing.assert_close(found, expected)


def test_subjects_in_a_batch_do_not_mix(brains):
    batch, network = brains(), _network()
    alone = torch.cat([network(batch.rows(torch.tensor([each]))) for each in range(3)])
    torch.testing.assert_close(network(batch), alone)


def test_order_of_regions_does_not_matter_where_features_go_along(brains):
    batch, network = brains(), _network()
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    moved = batch._replace(  # rows move, columns stay
        nodes=batch.nodes[:, :, order], adjacency=batch.adjacency[:, :, order][..., order]
    )
    torch.testing.assert_close(network(batch), network(moved))


def test_graph_keeps_the_strongest_positive_edges_both_ways():
    rng = np.random.default_rng(0)
    weights = rng.normal(0.2, 0.3, (7, 7))
    weights = weights + weights.T
    np.fill_diagonal(weights, 0)
    graph = strongest(torch.from_numpy(weights), density=0.4).numpy()
    upper = weights[np.triu_indices(7, 1)]
    expected = np.sort(upper)[-round(0.4 * 21) :]
    np.testing.assert_array_equal(graph, graph.T)
    kept = graph[np.triu_indices(7, 1)]
    np.testing.assert_allclose(np.sort(kept[kept > 0]), expected[expected > 0])


def test_a_network_without_positive_edges_is_no_error(brains):
    batch = brains()
    empty = batch._replace(adjacency=torch.zeros_like(batch.adjacency))
    assert torch.isfinite(_network()(empty)).all()
