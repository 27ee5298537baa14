import itertools

import networkx
import numpy as np
import pytest
from scipy.cluster import hierarchy

from brainnet.metrics.communities import clique_communities, link_communities


def random_weights(n, density, seed, tied=False):
    rng = np.random.default_rng(seed)
    weights = rng.random((n, n)) * (rng.random((n, n)) < density)
    weights = np.triu(np.ceil(2 * weights) if tied else weights, 1)
    return weights + weights.T


def partition_density(edges, labels):
    total = 0.0
    for c in set(labels.tolist()):
        mine = [edge for edge, label in zip(edges, labels, strict=True) if label == c]
        n_edges, n_nodes = len(mine), len(set(itertools.chain(*mine)))
        if n_nodes > 2:
            total += n_edges * (n_edges - (n_nodes - 1)) / ((n_nodes - 2) * (n_nodes - 1))
    return 2 / len(edges) * total


def similarity_by_definition(weights):
    """Of Ahn et al. (2010), edge by edge."""
    n = len(weights)
    edges = [(i, j) for i in range(n) for j in range(i + 1, n) if weights[i, j]]
    around = weights.copy()
    for i in range(n):
        around[i, i] = weights[i].sum() / max(np.count_nonzero(weights[i]), 1)
    similarity = np.zeros((len(edges), len(edges)))
    for (a, one), (b, other) in itertools.permutations(enumerate(edges), 2):
        shared = set(one) & set(other)
        if len(shared) == 1:
            x, y = (around[(set(edge) - shared).pop()] for edge in (one, other))
            similarity[a, b] = x @ y / (x @ x + y @ y - x @ y)
    return edges, similarity


def by_definition(weights):
    """Single linkage by SciPy, and the density of every level."""
    edges, similarity = similarity_by_definition(weights)
    distance = np.round(1 - similarity, 12)
    tree = hierarchy.linkage(distance[np.triu_indices(len(edges), 1)], "single")
    best, labels = 0.0, np.arange(len(edges))
    for height in np.unique(tree[:, 2][tree[:, 2] < 1]):
        level = hierarchy.fcluster(tree, height + 1e-13, "distance")
        if partition_density(edges, level) > best + 1e-9:
            best, labels = partition_density(edges, level), level
    return edges, labels


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["weights", "tied", "binary"])
def test_link_communities_are_their_definition(seed, kind):
    """Bctpy's fails on every input."""
    weights = random_weights(12, 0.4, seed, kind == "tied")
    weights = (weights > 0).astype(float) if kind == "binary" else weights
    edges, expected = by_definition(weights)
    found = link_communities(weights)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(found >= 0, weights > 0)
    labels = np.array([found[edge] for edge in edges])
    np.testing.assert_array_equal(labels[:, None] == labels, expected[:, None] == expected)


def test_link_communities_contract(contract):
    contract(link_communities, rank=2, reorder=False)


def test_link_communities_degenerate():
    for n in (1, 2, 3):
        assert (link_communities(np.zeros((n, n))) == -1).all()
    assert link_communities([[0, 3], [3, 0]]).tolist() == [[-1, 0], [0, -1]]
    complete = 1.0 - np.eye(6)
    assert (link_communities(complete) == -np.eye(6)).all()
    star = np.zeros((5, 5))
    star[0, 1:] = star[1:, 0] = 1
    assert link_communities(star)[0].tolist() == [-1, 0, 1, 2, 3]  # a tree: each edge is one


def test_link_communities_scale_and_order_do_not_matter():
    weights = random_weights(20, 0.3, 7)
    expected = link_communities(weights)
    for scale in (1e-9, 1e9):
        np.testing.assert_array_equal(link_communities(scale * weights), expected)
    order = np.random.default_rng(0).permutation(20)
    found = link_communities(weights[np.ix_(order, order)])
    expected = expected[np.ix_(order, order)]
    for label in range(expected.max() + 1):
        assert len(set(found[expected == label].tolist())) == 1
    assert found.max() == expected.max()


def columns(membership):
    return sorted(np.flatnonzero(column).tolist() for column in membership.T)


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_clique_communities_are_those_of_networkx(size, seed):
    adjacency = random_weights(30, 0.2, seed) > 0
    graph = networkx.from_numpy_array(adjacency)
    theirs = networkx.community.k_clique_communities(graph, size)
    assert columns(clique_communities(adjacency, size=size)) == sorted(map(sorted, theirs))


@pytest.mark.parametrize("size", [2, 3, 4])
def test_clique_communities_are_their_definition(size):
    """All cliques of that size, joined where all but one region is common."""
    adjacency = random_weights(11, 0.5, 1) > 0
    cliques = [
        set(nodes)
        for nodes in itertools.combinations(range(11), size)
        if all(adjacency[i, j] for i, j in itertools.combinations(nodes, 2))
    ]
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(cliques)))
    for a, b in itertools.combinations(range(len(cliques)), 2):
        if len(cliques[a] & cliques[b]) == size - 1:
            graph.add_edge(a, b)
    expected = [
        sorted(set().union(*(cliques[a] for a in part)))
        for part in networkx.connected_components(graph)
    ]
    assert columns(clique_communities(adjacency, size=size)) == sorted(expected)


def test_clique_communities_degenerate(all_kinds):
    assert clique_communities(np.zeros((3, 3)), size=3).shape == (3, 0)
    assert clique_communities([[0]], size=2).shape == (1, 0)
    assert clique_communities([[0, 1], [1, 0]], size=2).tolist() == [[True], [True]]
    assert clique_communities(1 - np.eye(5), size=4).all()
    batch = all_kinds(binary=True)
    together = clique_communities(batch, size=3)
    for index in np.ndindex(3, 2):
        alone = clique_communities(batch[index], size=3)
        np.testing.assert_array_equal(together[index][:, : alone.shape[1]], alone)
        assert not together[index][:, alone.shape[1] :].any()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="size must be a whole number"):
        clique_communities(np.zeros((3, 3)), size=1)
    for wrong, word in ((np.triu(np.ones((3, 3)), 1), "symmetric"), (np.eye(3), "diagonal")):
        with pytest.raises(ValueError, match=word):
            clique_communities(wrong, size=3)
