"""The graph network against an independent operator, and its symmetries."""

import numpy as np
import torch
from torch_geometric.data import Batch
from torch_geometric.nn import GCNConv

from brainnet.models.core.fit import fork_seed
from brainnet.models.graph.estimator import multiplex_graph
from brainnet.models.graph.gcn import MultiplexGCN


def _batch(n_subjects=3, n_regions=7, n_modalities=2, seed=0, density=0.4):
    rng = np.random.default_rng(seed)
    weights = rng.normal(0.2, 0.3, (n_subjects, n_modalities, n_regions, n_regions))
    weights = weights + weights.swapaxes(2, 3)
    weights[..., np.arange(n_regions), np.arange(n_regions)] = 0
    profiles = weights.astype(np.float32)
    graphs = [
        multiplex_graph(w, p, density=density) for w, p in zip(weights, profiles, strict=True)
    ]
    return weights, Batch.from_data_list(graphs)


def _network(**options):
    with fork_seed(0):
        return MultiplexGCN(7, n_modalities=2, n_stages=3, n_hidden=5, **options).eval()


def test_equals_gcnconv_on_the_list_of_edges():
    _, batch = _batch()
    network = _network()
    for modality in range(2):
        nodes = batch.x[:, modality]
        for layer in network.encoders[modality]:
            reference = GCNConv(*layer.lin.weight.shape[::-1])
            reference.lin.weight, reference.bias = layer.lin.weight, layer.bias
            nodes = reference(
                nodes, batch[f"edge_index_{modality}"], batch[f"edge_weight_{modality}"]
            ).relu()
        by_subject = nodes.reshape(3, 7, 5)
        expected = torch.cat([by_subject.mean(1), by_subject.max(1).values], dim=1)
        torch.testing.assert_close(network.encode(batch, modality), expected)


def test_subjects_in_a_batch_do_not_mix():
    _, batch = _batch()
    network = _network()
    alone = torch.cat([network(Batch.from_data_list([each])) for each in batch.to_data_list()])
    torch.testing.assert_close(network(batch), alone)


def test_order_of_regions_does_not_matter_where_features_go_along():
    weights, _ = _batch()
    order = np.random.default_rng(1).permutation(7)
    profiles = weights[0].astype(np.float32)
    network = _network()
    one = multiplex_graph(weights[0], profiles, density=0.4)
    moved = weights[0][:, order][:, :, order]
    other = multiplex_graph(moved, profiles[:, order], density=0.4)  # rows move, columns stay
    torch.testing.assert_close(
        network(Batch.from_data_list([one])), network(Batch.from_data_list([other]))
    )


def test_graph_keeps_the_strongest_positive_edges_both_ways():
    weights, batch = _batch(density=0.4)
    graph = batch.to_data_list()[1]
    upper = weights[1, 0][np.triu_indices(7, 1)]
    expected = np.sort(np.sort(upper)[::-1][: round(0.4 * 21)])
    dense = np.zeros((7, 7))
    dense[tuple(graph.edge_index_0.numpy())] = graph.edge_weight_0
    np.testing.assert_array_equal(dense, dense.T)
    np.testing.assert_allclose(np.sort(dense[np.triu_indices(7, 1)])[-expected.size :], expected)
    assert (graph.edge_weight_0 > 0).all()


def test_a_network_without_positive_edges_is_no_error():
    weights = -np.ones((2, 7, 7))
    graph = multiplex_graph(weights, weights.astype(np.float32), density=0.3)
    assert graph.edge_index_0.shape == (2, 0)
    assert torch.isfinite(_network()(Batch.from_data_list([graph]))).all()
