"""Backbones: graphs by hand, Kruskal's algorithm, networkx and bctpy."""

import bct
import networkx
import numpy as np
import pytest

from brainnet.metrics import backbone, efficiency

EMPTY = np.zeros((3, 3))
COMPLETE = np.ones((5, 5)) - np.eye(5)
MEASURES = [
    backbone.maximum_spanning_tree,
    lambda w: backbone.backbone(w, average_degree=4),
    backbone.orthogonal_spanning_trees,
]


def kruskal(weights):
    """Edges from strong to weak, in row-major order where equal, unless they close a circle."""
    rows, columns = np.triu_indices(len(weights), 1)
    order = np.argsort(-weights[rows, columns], kind="stable")
    piece = np.arange(len(weights))
    tree = np.zeros(weights.shape)
    for i, j in zip(rows[order], columns[order], strict=True):
        if weights[i, j] > 0 and piece[i] != piece[j]:
            tree[i, j] = tree[j, i] = weights[i, j]
            piece[piece == piece[j]] = piece[i]
    return tree


@pytest.mark.parametrize("measure", MEASURES)
def test_contract(contract, measure):
    contract(measure, rank=2, reorder=False)  # several trees where edges are equal


@pytest.mark.parametrize("measure", MEASURES)
def test_order_of_regions_does_not_matter_without_ties(modular, measure):
    network = modular(30, density=0.6)
    order = np.random.default_rng(0).permutation(30)
    mixed = measure(network[np.ix_(order, order)])
    np.testing.assert_array_equal(mixed, measure(network)[np.ix_(order, order)])


def test_contract_of_the_others(contract):
    contract(backbone.minimum_spanning_tree, rank=2, reorder=False)
    contract(backbone.disparity_significance, rank=2)
    contract(backbone.disparity_filter, rank=2)
    contract(lambda w: backbone.disparity_significance(w, directed=True), rank=2, directed=True)
    contract(
        lambda w: backbone.disparity_filter(w, directed=True, alpha=0.5), rank=2, directed=True
    )


@pytest.mark.parametrize("kind", range(6))
def test_spanning_trees(all_kinds, kind):
    network = all_kinds().reshape(6, 12, 12)[kind]
    tree = backbone.maximum_spanning_tree(network)
    np.testing.assert_array_equal(tree, kruskal(network))
    graph = networkx.from_numpy_array(network)
    theirs = networkx.to_numpy_array(networkx.maximum_spanning_tree(graph), nodelist=range(12))
    assert tree.sum() == pytest.approx(theirs.sum())  # of equal edges, they may keep others
    shortest = backbone.minimum_spanning_tree(network)
    theirs = networkx.to_numpy_array(networkx.minimum_spanning_tree(graph), nodelist=range(12))
    assert shortest.sum() == pytest.approx(theirs.sum())
    assert (shortest > 0).sum() == (tree > 0).sum() == (theirs > 0).sum()
    if len(np.unique(network)) > 5:
        np.testing.assert_array_equal(shortest, theirs)


def test_trees_of_many_ties():
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = np.triu(rng.integers(0, 3, (15, 15)), 1) * 1.0
        network = drawn + drawn.T
        np.testing.assert_array_equal(backbone.maximum_spanning_tree(network), kruskal(network))
        inverse = np.divide(1, network, out=np.zeros((15, 15)), where=network > 0)
        shortest = backbone.minimum_spanning_tree(inverse)
        np.testing.assert_array_equal(shortest > 0, kruskal(network) > 0)


def test_trees_of_small_networks():
    for measure in [*MEASURES, backbone.minimum_spanning_tree, backbone.disparity_filter]:
        np.testing.assert_array_equal(measure(EMPTY), 0)
        np.testing.assert_array_equal(measure([[0.0]]), 0)
    pair = np.array([[0, 0.3], [0.3, 0]])
    np.testing.assert_array_equal(backbone.maximum_spanning_tree(pair), pair)
    np.testing.assert_array_equal(backbone.minimum_spanning_tree(pair), pair)
    star = backbone.maximum_spanning_tree(COMPLETE)  # equal edges: the first ones, of region 0
    assert star[0].sum() == 4
    assert star.sum() == 8


@pytest.mark.parametrize("average_degree", [1, 2, 3.5, 4, 6])
def test_backbone_against_bctpy(modular, average_degree):
    network = modular(30, density=0.6)
    tree, theirs = bct.backbone_wu(network, average_degree)
    result = backbone.backbone(network, average_degree=average_degree)
    np.testing.assert_array_equal(result, theirs)
    np.testing.assert_array_equal(backbone.maximum_spanning_tree(network), tree)
    n_edges = max(29, np.ceil(15 * average_degree))
    assert (result > 0).sum() == 2 * n_edges


def test_backbone_of_pieces_and_ties(weights):
    full = backbone.backbone(weights, average_degree=50)
    np.testing.assert_array_equal(full, weights)
    half = backbone.backbone(COMPLETE, average_degree=2.4)
    assert (half > 0).sum() == 12  # six of the ten equal edges
    few = backbone.backbone(weights, average_degree=2)
    assert (few > 0).sum() == 46
    assert (few >= backbone.maximum_spanning_tree(weights)).all()


@pytest.mark.parametrize("average_degree", [-1, np.nan])
def test_backbone_refuses(average_degree):
    with pytest.raises(ValueError, match=r"average_degree must be .* got"):
        backbone.backbone(COMPLETE, average_degree=average_degree)


@pytest.mark.parametrize("kind", range(6))
@pytest.mark.parametrize("directed", [False, True])
def test_disparity_edge_by_edge(all_kinds, kind, directed):
    network = all_kinds(directed=directed).reshape(6, 12, 12)[kind]
    expected = np.ones((12, 12))
    for i, j in np.argwhere(network):
        out = network[i][network[i] > 0]
        into = network[:, j][network[:, j] > 0]
        expected[i, j] = min(
            (1 - network[i, j] / out.sum()) ** (len(out) - 1),
            (1 - network[i, j] / into.sum()) ** (len(into) - 1),
        )
    result = backbone.disparity_significance(network, directed=directed)
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-15)
    kept = backbone.disparity_filter(network, alpha=0.3, directed=directed)
    np.testing.assert_array_equal(kept, np.where(expected < 0.3, network, 0))


def test_disparity_is_the_chance_of_a_random_division():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(6), 100_000)  # strengths divided among six edges at random
    chance = (shares[:, 0] >= 0.4).mean()
    star = np.zeros((7, 7))
    star[0, 1:] = star[1:, 0] = [0.4, 0.12, 0.12, 0.12, 0.12, 0.12]
    assert backbone.disparity_significance(star)[0, 1] == pytest.approx(chance, abs=0.003)


@pytest.mark.parametrize("alpha", [0, 1.5, np.nan])
def test_disparity_refuses(alpha):
    with pytest.raises(ValueError, match=r"alpha must be .* got"):
        backbone.disparity_filter(COMPLETE, alpha=alpha)


@pytest.mark.parametrize("kind", range(6))
def test_orthogonal_trees_one_by_one(all_kinds, kind):
    network = all_kinds().reshape(6, 12, 12)[kind]
    rest, unions, gains = network.copy(), [], []
    while rest.any():
        rest = rest - kruskal(rest)
        unions.append(network - rest)
        gains.append(
            efficiency.global_efficiency(unions[-1]) / efficiency.global_efficiency(network)
            - unions[-1].sum() / network.sum()
        )
    result = backbone.orthogonal_spanning_trees(network)
    if not unions:
        np.testing.assert_array_equal(result, network)
        return
    best = unions[int(np.round(gains, 10).argmax())]
    np.testing.assert_array_equal(result, best)
    np.testing.assert_array_equal(backbone.orthogonal_spanning_trees(2 * network), 2 * best)
