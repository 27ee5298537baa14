"""Cross-shaped filters as matrix products, against two-dimensional convolutions."""

import pytest
import torch
from torch.nn import functional

from brainnet.models.core.fit import fork_seed
from brainnet.models.graph.brainnetcnn import BrainNetCNN, EdgeToEdge

N_REGIONS = 7


def _network(**options):
    with fork_seed(0):
        sizes = {"n_modalities": 2, "n_regions": N_REGIONS, "n_context": 0, "n_outputs": 3}
        return BrainNetCNN(4, **sizes, n_hidden=5, **options).eval()


def _cross(layer, edges):
    """The filter as convolutions of an image of edges, ``(n_subjects, n_filters, rows, columns)``.

    A row's filter is one region high and all wide, a column's all high and one wide; what both
    give is spread over the whole row and the whole column.
    """
    n_in = edges.shape[1]
    rows = layer.rows.weight.reshape(-1, n_in, 1, N_REGIONS)
    columns = layer.columns.weight.reshape(-1, N_REGIONS, n_in, 1).transpose(1, 2)
    along = functional.conv2d(edges, rows, layer.rows.bias)
    across = functional.conv2d(edges, columns)
    return along.expand(-1, -1, -1, N_REGIONS) + across.expand(-1, -1, N_REGIONS, -1)


def _as_image(edges):
    return edges.transpose(1, 2)  # filters first


@pytest.mark.parametrize("n_filters_in", [1, 3])
def test_edge_to_edge_equals_convolutions(n_filters_in):
    with fork_seed(0):
        layer = EdgeToEdge(n_filters_in, 4, N_REGIONS)
        edges = torch.randn(2, N_REGIONS, n_filters_in, N_REGIONS)
    expected = _cross(layer, _as_image(edges))
    torch.testing.assert_close(_as_image(layer(edges)), expected, rtol=1e-5, atol=1e-5)


def test_edge_to_edge_of_one_edge_is_a_cross():
    with fork_seed(0):
        layer = EdgeToEdge(1, 1, N_REGIONS)
    edges = torch.zeros(1, N_REGIONS, 1, N_REGIONS)
    edges[0, 2, 0, 5] = 1
    changed = (layer(edges) - layer(torch.zeros_like(edges)))[0, :, 0] != 0
    expected = torch.zeros(N_REGIONS, N_REGIONS, dtype=torch.bool)
    expected[2], expected[:, 5] = True, True
    assert torch.equal(changed, expected)


@pytest.mark.parametrize("n_filters", [(2,), (3, 2)])
@pytest.mark.parametrize("n_subjects", [1, 5])  # less and more than go together
def test_the_encoder_equals_convolutions(brains, n_filters, n_subjects):
    batch = brains(n_subjects)
    encoder = _network(n_filters=n_filters, n_node_filters=4).encoders[1]
    image = batch.edges[:, 1].unsqueeze(1)
    for layer in encoder.edge_to_edge:
        image = functional.leaky_relu(_cross(layer, image), 0.33)
    rows = encoder.edge_to_node.weight.reshape(4, n_filters[-1], 1, N_REGIONS)
    image = functional.leaky_relu(functional.conv2d(image, rows, encoder.edge_to_node.bias), 0.33)
    whole = encoder.node_to_graph.weight.reshape(5, N_REGIONS, 4, 1).transpose(1, 2)
    image = functional.leaky_relu(functional.conv2d(image, whole, encoder.node_to_graph.bias), 0.33)
    found = encoder(*(each[:, 1] for each in batch[:3]))
    torch.testing.assert_close(found, image.flatten(1), rtol=1e-5, atol=1e-5)


def test_looks_at_all_edges_and_nothing_else(brains):
    batch, network = brains(), _network()
    expected = network(batch)
    blind = batch._replace(
        nodes=torch.zeros_like(batch.nodes), adjacency=torch.zeros_like(batch.adjacency)
    )
    assert torch.equal(network(blind), expected)
    edges = batch.edges.clone().requires_grad_()
    network(batch._replace(edges=edges)).sum().backward()
    assert (edges.grad != 0).all()


def test_the_order_of_regions_matters_and_can_be_followed_by_the_filters(brains):
    batch, network = brains(), _network(n_filters=(2, 3))
    expected = network(batch)
    order = torch.randperm(N_REGIONS, generator=torch.Generator().manual_seed(1))
    moved = batch._replace(edges=batch.edges[:, :, order][..., order])
    assert not torch.allclose(network(moved), expected, atol=1e-4)
    with torch.no_grad():
        for encoder in network.encoders:
            for each in (*(layer.rows for layer in encoder.edge_to_edge), encoder.edge_to_node):
                _reorder(each, (-1, N_REGIONS), 1, order)
            for each in (*(layer.columns for layer in encoder.edge_to_edge), encoder.node_to_graph):
                _reorder(each, (N_REGIONS, -1), 0, order)
    torch.testing.assert_close(network(moved), expected, rtol=1e-5, atol=1e-5)


def _reorder(linear, shape, axis, order):
    weight = linear.weight.unflatten(1, shape).index_select(1 + axis, order)
    linear.weight.copy_(weight.flatten(start_dim=1))


def test_no_filters_are_refused():
    with pytest.raises(ValueError, match="n_filters must be one or more"):
        _network(n_filters=())
