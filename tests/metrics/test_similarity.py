"""Similarity of regions and of networks: closed forms, contracts, sets, igraph, NumPy, bctpy."""

import bct
import igraph
import networkx
import numpy as np
import pytest

from brainnet.metrics import similarity

STAR = networkx.to_numpy_array(networkx.star_graph(3))
NAN = np.nan


def random_adjacency(share, *, seed, directed=False, n=25):
    rng = np.random.default_rng(seed)
    adjacency = rng.random((n, n)) < share
    adjacency = np.triu(adjacency, 1) | (np.tril(adjacency, -1) if directed else False)
    return adjacency if directed else adjacency | adjacency.T


def within(adjacency, n_steps):
    """The regions that a path of so many edges or fewer joins to each, itself not."""
    lengths = dict(networkx.all_pairs_shortest_path_length(networkx.from_numpy_array(adjacency)))
    return [{j for j, d in lengths[i].items() if 0 < d <= n_steps} for i in range(len(adjacency))]


@pytest.mark.parametrize("share", [0.03, 0.3, 1.0])
def test_matching_index_pinned(share):
    adjacency = random_adjacency(share, seed=0, directed=True)
    incoming, outgoing, both = bct.matching_ind(adjacency.astype(float))
    np.testing.assert_allclose(similarity.matching_index_in(adjacency), incoming, rtol=1e-14)
    np.testing.assert_allclose(similarity.matching_index_out(adjacency), outgoing, rtol=1e-14)
    np.testing.assert_allclose(similarity.matching_index_directed(adjacency), both, rtol=1e-14)
    symmetric = random_adjacency(share, seed=1)
    found = similarity.matching_index(symmetric)
    for measure in (
        similarity.matching_index_in,
        similarity.matching_index_out,
        similarity.matching_index_directed,
    ):
        np.testing.assert_allclose(measure(symmetric), found, rtol=1e-15)
    apart = ~symmetric & ~np.eye(25, dtype=bool)  # then it is the Dice index of neighbours
    graph = igraph.Graph.Adjacency(symmetric.tolist(), mode="undirected")
    theirs = np.array(graph.similarity_dice(loops=False))
    linked = symmetric.any(axis=0)
    apart &= linked[:, None] & linked  # igraph: two isolated regions are alike
    np.testing.assert_allclose(found[apart], theirs[apart], rtol=1e-14)


@pytest.mark.parametrize("share", [0.03, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("n_steps", [1, 2, 3, 100])
def test_topological_overlap_by_sets(share, n_steps):
    adjacency = random_adjacency(share, seed=2)
    near = within(adjacency, n_steps)
    expected = np.eye(25)
    for i in range(25):
        for j in set(range(25)) - {i}:
            smaller = min(len(near[i]), len(near[j]))
            shared = len(near[i] & near[j]) + adjacency[i, j]
            expected[i, j] = shared / (smaller + 1 - adjacency[i, j])
    found = similarity.topological_overlap(adjacency, n_steps=n_steps)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert found.max() <= 1


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("directed", [False, True])
def test_edge_neighbourhood_overlap_by_sets(share, directed):
    adjacency = random_adjacency(share, seed=3, directed=directed)
    near = within(adjacency | adjacency.T, 1)
    expected = np.full((25, 25), NAN)
    for i, j in np.argwhere(adjacency):
        either = (near[i] | near[j]) - {i, j}
        expected[i, j] = len(near[i] & near[j]) / len(either) if either else NAN
    found = similarity.edge_neighbourhood_overlap(adjacency, directed=directed)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    if share > 0.1:
        theirs, _, _ = (bct.edge_nei_overlap_bd if directed else bct.edge_nei_overlap_bu)(adjacency)
        np.testing.assert_allclose(found[adjacency], theirs[adjacency], rtol=1e-14)
        assert np.isinf(theirs[~adjacency]).all()


def test_two_networks_pinned():
    first, second = random_adjacency(0.4, seed=4), random_adjacency(0.3, seed=5)
    np.testing.assert_allclose(
        similarity.dice_similarity(first, second),
        bct.dice_pairwise_und(first.astype(float), second.astype(float)),
        rtol=1e-14,
    )
    rng = np.random.default_rng(6)
    first, second = rng.normal(size=(2, 25, 25)) + rng.normal(size=(25, 25))
    for network in (first, second):
        np.fill_diagonal(network, 0)
    found = similarity.network_correlation(first, second, directed=True)
    assert found == pytest.approx(bct.corr_flat_dir(first, second), rel=1e-12)
    first, second = first + first.T, second + second.T
    found = similarity.network_correlation(first, second)
    pairs = np.triu_indices(25, 1)
    assert found == pytest.approx(np.corrcoef(first[pairs], second[pairs])[0, 1], rel=1e-12)
    for scale in (1e-200, -1e200):
        scaled = similarity.network_correlation(first, scale * second)
        assert scaled == pytest.approx(np.sign(scale) * found, rel=1e-12)


def test_closed_forms():
    leaves = 1 - STAR - np.eye(4)
    np.testing.assert_array_equal(similarity.matching_index(STAR), leaves)
    overlap = similarity.topological_overlap(STAR)
    np.testing.assert_allclose(overlap, STAR + np.eye(4) + leaves / 2)
    bridges = similarity.edge_neighbourhood_overlap(STAR)
    np.testing.assert_array_equal(bridges, np.where(STAR > 0, 0, NAN))
    np.testing.assert_array_equal(similarity.dice_similarity(STAR, STAR), 1)
    np.testing.assert_array_equal(similarity.dice_similarity(STAR, 0 * STAR), 0)
    np.testing.assert_array_equal(similarity.dice_similarity(0 * STAR, 0 * STAR), NAN)
    assert similarity.network_correlation(STAR, STAR) == pytest.approx(1)
    assert similarity.network_correlation(STAR, leaves) == pytest.approx(-1)
    constant = 0.1 * (np.ones((4, 4)) - np.eye(4))
    assert np.isnan(similarity.network_correlation(STAR, constant))
    rounded = 3 * constant
    rounded[0, 1] = rounded[1, 0] = 0.3
    assert rounded[0, 1] != rounded[0, 2]
    assert np.isnan(similarity.network_correlation(STAR, rounded))
    for n in (2, 3, 6):
        complete = np.ones((n, n)) - np.eye(n)
        np.testing.assert_array_equal(similarity.topological_overlap(complete), 1)
        np.testing.assert_array_equal(similarity.matching_index(complete), (n > 2) * complete)
        expected = np.where(complete > 0, 1 if n > 2 else NAN, NAN)
        np.testing.assert_array_equal(similarity.edge_neighbourhood_overlap(complete), expected)
        np.testing.assert_array_equal(similarity.matching_index(0 * complete), 0)
        np.testing.assert_array_equal(similarity.topological_overlap(0 * complete), np.eye(n))
    one = np.zeros((1, 1))
    np.testing.assert_array_equal(similarity.matching_index(one), 0)
    np.testing.assert_array_equal(similarity.topological_overlap(one, n_steps=3), 1)
    assert np.isnan(similarity.network_correlation(one, one))


def test_leading_axes_of_two_networks_broadcast():
    batch = np.array([STAR, 1 - STAR - np.eye(4), 0 * STAR])
    dice = similarity.dice_similarity(batch, STAR)
    np.testing.assert_array_equal(dice, [[1] * 4, [0] * 4, [0] * 4])
    found = similarity.network_correlation(batch, STAR)
    np.testing.assert_allclose(found, [1, -1, NAN])
    for measure in (similarity.dice_similarity, similarity.network_correlation):
        for wrong in (STAR[:3, :3], np.array([batch] * 2)[:, :2]):
            with pytest.raises(ValueError, match="other must have the regions"):
                measure(batch, wrong)
        with pytest.raises(ValueError, match="other must have a zero diagonal"):
            measure(STAR, STAR + np.eye(4))


def test_steps_are_checked():
    with pytest.raises(ValueError, match="n_steps must be at least 1"):
        similarity.topological_overlap(STAR, n_steps=0)


def test_contracts(contract):
    contract(similarity.matching_index, rank=2, binary=True)
    for measure in (
        similarity.matching_index_in,
        similarity.matching_index_out,
        similarity.matching_index_directed,
        lambda a: similarity.edge_neighbourhood_overlap(a, directed=True),
    ):
        contract(measure, rank=2, binary=True, directed=True)
    contract(similarity.topological_overlap, rank=2, binary=True)
    contract(lambda a: similarity.topological_overlap(a, n_steps=2), rank=2, binary=True)
    contract(similarity.edge_neighbourhood_overlap, rank=2, binary=True)
    ring = networkx.to_numpy_array(networkx.cycle_graph(12))
    contract(lambda a: similarity.dice_similarity(a, ring), rank=1, binary=True, reorder=False)
    contract(lambda w: similarity.network_correlation(w, ring), rank=0, signed=True, reorder=False)
    contract(
        lambda w: similarity.network_correlation(w, ring, directed=True),
        rank=0,
        directed=True,
        signed=True,
        reorder=False,
    )
