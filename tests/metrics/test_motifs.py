"""Motifs beside igraph, bctpy's library, networkx and every group looked at one by one."""

from itertools import combinations, permutations

import bct
import bct.algorithms.motifs
import igraph
import networkx
import numpy as np
import pytest

from brainnet.metrics import motifs

BINARY = {
    "structural": (motifs.motifs3_structural, motifs.motifs4_structural),
    "functional": (motifs.motifs3_functional, motifs.motifs4_functional),
}
WEIGHTED = {
    "structural": (motifs.motifs3_structural_weighted, motifs.motifs4_structural_weighted),
    "functional": (motifs.motifs3_functional_weighted, motifs.motifs4_functional_weighted),
}


def random_directed(n, density, seed, *, ties=False):
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 3, (n, n)) * 0.5 if ties else rng.uniform(0.05, 1, (n, n))
    return weights * (rng.random((n, n)) < density) * (1 - np.eye(n))


def mixed(counts):
    """One number a region out of all classes, none of which can change unseen."""
    factors = np.random.default_rng(9).uniform(1, 2, counts.shape[-2])
    return np.einsum("...cn,c->...n", counts, factors)


def holds_together(adjacency):
    return networkx.is_weakly_connected(
        networkx.from_numpy_array(adjacency, create_using=networkx.DiGraph)
    )


def all_orders():
    """The class of every connected matrix, from one matrix a class."""
    classes = {}
    for n_nodes in (3, 4):
        for k, matrix in enumerate(motifs.motif_matrices(n_nodes)):
            for order in permutations(range(n_nodes)):
                classes[matrix[np.ix_(order, order)].tobytes()] = k
    return classes


def one_by_one(weights, n_nodes, kind):
    """Intensity, coherence and frequency from their definitions."""
    classes = all_orders()
    n_classes = len(motifs.motif_matrices(n_nodes))
    sums = np.zeros((3, n_classes, len(weights)))
    for group in combinations(range(len(weights)), n_nodes):
        inside = weights[np.ix_(group, group)]
        edges = np.argwhere(inside > 0)
        smallest = len(edges) if kind == "structural" else n_nodes - 1
        for size in range(smallest, len(edges) + 1):
            for chosen in combinations(edges, size):
                part = np.zeros((n_nodes, n_nodes), dtype=bool)
                for i, j in chosen:
                    part[i, j] = True
                found = classes.get(part.tobytes())
                if found is not None:
                    values = inside[part]
                    intensity = np.prod(values) ** (1 / size)
                    both = intensity, intensity / values.mean(), 1
                    sums[:, found, list(group)] += np.array(both)[:, None]
    return sums


# the classes


@pytest.mark.parametrize(
    ("n_nodes", "directed", "n"), [(3, 1, 13), (4, 1, 199), (3, 0, 2), (4, 0, 6)]
)
def test_classes_are_all_and_differ(n_nodes, directed, n):
    matrices = motifs.motif_matrices(n_nodes, directed=bool(directed))
    assert matrices.shape == (n, n_nodes, n_nodes)
    graphs = [networkx.from_numpy_array(m, create_using=networkx.DiGraph) for m in matrices]
    assert all(networkx.is_weakly_connected(graph) for graph in graphs)
    sizes = [sorted(d for _, d in graph.in_degree()) for graph in graphs]
    for i, j in combinations(range(n), 2):
        assert sizes[i] != sizes[j] or not networkx.is_isomorphic(graphs[i], graphs[j])


@pytest.mark.parametrize(("n_nodes", "n"), [(3, 54), (4, 3834)])
def test_matrices_of_a_class(n_nodes, n):
    total = 0
    for k, matrix in enumerate(motifs.motif_matrices(n_nodes)):
        members = motifs.all_motif_matrices(k, n_nodes)
        orders = {matrix[np.ix_(order, order)].tobytes() for order in permutations(range(n_nodes))}
        assert {each.tobytes() for each in members} == orders
        assert len(members) == len(orders)
        np.testing.assert_array_equal(motifs.find_motif(members), k)
        total += len(members)
    assert total == n


def test_numbers_are_those_of_the_toolbox(monkeypatch, tmp_path):
    """bctpy makes the library by the toolbox's rules, but for one shape that NumPy 2 changed."""
    unique = np.unique

    def as_in_numpy_1(values, *, return_inverse=False):
        found = unique(values, return_inverse=return_inverse)
        return (found[0], found[1].ravel()) if return_inverse else found

    library = bct.algorithms.motifs
    monkeypatch.setattr(library, "motiflib", str(tmp_path / "motif34lib.mat"))
    monkeypatch.setattr(np, "unique", as_in_numpy_1)
    library.make_motif34lib()
    monkeypatch.setattr(np, "unique", unique)
    for n_nodes, n_classes in ((3, 13), (4, 199)):
        for k in range(n_classes):
            theirs = bct.find_motif34(k + 1, n_nodes).astype(bool)
            # reshaped by rows where MATLAB reshapes by columns: each matrix is the transpose
            theirs = {theirs[:, :, i].T.tobytes() for i in range(theirs.shape[2])}
            assert theirs == {each.tobytes() for each in motifs.all_motif_matrices(k, n_nodes)}


def test_known_numbers():
    reciprocal_star = [[0, 1, 1], [1, 0, 0], [1, 0, 0]]  # motif 9 of Sporns and Kötter
    assert motifs.find_motif(reciprocal_star) == 8
    assert motifs.find_motif(1 - np.eye(3)) == 12
    assert motifs.find_motif(1 - np.eye(4)) == 198
    assert motifs.find_motif(np.zeros((2, 4, 4))).tolist() == [-1, -1]
    pairs = np.kron(np.eye(2), np.ones((2, 2))) - np.eye(4)  # two edges apart
    assert motifs.find_motif(pairs) == -1


# whole networks, counted by others


@pytest.mark.parametrize(("n", "density"), [(140, 0.03), (70, 0.15), (30, 0.9)])
@pytest.mark.parametrize("n_nodes", [3, 4])
def test_totals_against_igraph(n_nodes, n, density):
    adjacency = random_directed(n, density, 1) > 0
    graph = igraph.Graph.Adjacency(adjacency.tolist())
    theirs = np.array(graph.motifs_randesu(n_nodes))
    matrices = motifs.motif_matrices(n_nodes)
    order = [igraph.Graph.Adjacency(each.tolist()).isoclass() for each in matrices]
    found = motifs.motif_totals(BINARY["structural"][n_nodes - 3](adjacency))
    np.testing.assert_array_equal(found, theirs[order])


@pytest.mark.parametrize("n_nodes", [3, 4])
def test_undirected_totals_against_igraph(n_nodes, modular):
    adjacency = modular(70, density=0.2) > 0  # more than one word of bits
    theirs = np.array(igraph.Graph.Adjacency(adjacency, mode="undirected").motifs_randesu(n_nodes))
    measure = (motifs.motifs3_undirected, motifs.motifs4_undirected)[n_nodes - 3]
    np.testing.assert_array_equal(
        motifs.motif_totals(measure(adjacency)), theirs[~np.isnan(theirs)]
    )


@pytest.mark.parametrize("n_nodes", [3, 4])
def test_regions_against_isomorphism(n_nodes):
    adjacency = random_directed(9, 0.4, 2) > 0
    kinds = [
        networkx.from_numpy_array(each, create_using=networkx.DiGraph)
        for each in motifs.motif_matrices(n_nodes)
    ]
    expected = np.zeros((len(kinds), 9))
    for group in combinations(range(9), n_nodes):
        inside = adjacency[np.ix_(group, group)]
        graph = networkx.from_numpy_array(inside, create_using=networkx.DiGraph)
        same = [k for k, kind in enumerate(kinds) if networkx.is_isomorphic(graph, kind)]
        assert len(same) == holds_together(inside)
        expected[np.ix_(same, group)] += 1
    np.testing.assert_array_equal(BINARY["structural"][n_nodes - 3](adjacency), expected)


# regions, one by one


@pytest.mark.parametrize("n_nodes", [3, 4])
@pytest.mark.parametrize("kind", ["structural", "functional"])
@pytest.mark.parametrize(("density", "ties"), [(0.2, False), (0.35, False), (0.35, True)])
def test_against_definitions(kind, n_nodes, density, ties):
    weights = random_directed(9, density, 3, ties=ties)
    expected = one_by_one(weights, n_nodes, kind)
    found = WEIGHTED[kind][n_nodes - 3](weights)
    for ours, theirs in zip(found, expected, strict=True):  # tolerance: sums in another order
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(BINARY[kind][n_nodes - 3](weights > 0), expected[2])


@pytest.mark.parametrize("n_nodes", [3, 4])
def test_undirected_weights_against_definitions(n_nodes, modular):
    weights = modular(10, density=0.5)
    measure = (motifs.motifs3_undirected_weighted, motifs.motifs4_undirected_weighted)[n_nodes - 3]
    classes = motifs.motif_matrices(n_nodes, directed=False)
    edges = classes.sum(axis=(1, 2))
    expected = np.zeros((3, len(classes), 10))
    for group in combinations(range(10), n_nodes):
        inside = weights[np.ix_(group, group)]
        if holds_together(inside > 0):
            values = inside[np.triu(inside) > 0]
            degrees = (inside > 0).sum(axis=1).max()
            (found,) = np.flatnonzero(
                (edges == 2 * len(values)) & (classes.sum(axis=2).max(axis=1) == degrees)
            )
            intensity = np.prod(values) ** (1 / len(values))
            both = intensity, intensity / values.mean(), 1
            expected[:, found, list(group)] += np.array(both)[:, None]
    np.testing.assert_allclose(measure(weights), expected, rtol=1e-12, atol=1e-13)


def test_a_complete_group_contains_every_matrix():
    found = motifs.motifs4_functional(1 - np.eye(4))
    sizes = [len(motifs.all_motif_matrices(k, 4)) for k in range(199)]
    np.testing.assert_array_equal(found, np.repeat(np.array(sizes)[:, None], 4, axis=1))
    weighted = motifs.motifs4_functional_weighted(0.5 * (1 - np.eye(4)))
    np.testing.assert_allclose(weighted.intensity, 0.5 * found, rtol=1e-13)
    np.testing.assert_allclose(weighted.coherence, found, rtol=1e-13)


@pytest.mark.parametrize("kind", ["structural", "functional"])
@pytest.mark.parametrize("place", [0, 1])
def test_regions_of_a_large_network(kind, place):
    """A small network, its regions far apart among isolated ones: in other words of bits."""
    small = random_directed(12, 0.3, 6)
    where = np.array([0, 1, 40, 62, 63, 64, 65, 90, 127, 128, 129, 139])
    large = np.zeros((140, 140))
    large[np.ix_(where, where)] = small
    measure = WEIGHTED[kind][place]
    for ours, expected in zip(measure(large), measure(small), strict=True):
        np.testing.assert_allclose(ours[:, where], expected, rtol=1e-12)
        assert not np.delete(ours, where, axis=1).any()


# closed forms and edges


def test_star():
    out = np.zeros((6, 6))
    out[0, 1:] = 1
    threes, fours = motifs.motifs3_structural(out), motifs.motifs4_structural(out)
    star3 = motifs.find_motif([[0, 1, 1], [0, 0, 0], [0, 0, 0]])
    assert threes[star3].tolist() == [10, 4, 4, 4, 4, 4]
    assert threes.sum() == 30
    assert fours.sum(axis=0).tolist() == [10, 6, 6, 6, 6, 6]
    assert np.count_nonzero(fours.any(axis=1)) == 1


def test_undirected_closed_forms():
    complete = 1 - np.eye(6)
    assert motifs.motif_totals(motifs.motifs3_undirected(complete)).tolist() == [0, 20]
    assert motifs.motif_totals(motifs.motifs4_undirected(complete)).tolist() == [0, 0, 0, 0, 0, 15]
    ring = np.roll(np.eye(8), 1, axis=1) + np.roll(np.eye(8), -1, axis=1)
    assert motifs.motif_totals(motifs.motifs4_undirected(ring)).tolist() == [0, 8, 0, 0, 0, 0]
    assert motifs.motif_totals(motifs.motifs4_undirected(ring[:4, :4])).tolist() == [
        0,
        1,
        0,
        0,
        0,
        0,
    ]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_small_and_empty(n):
    for measures in (*BINARY.values(), *WEIGHTED.values()):
        for measure, n_nodes in zip(measures, (3, 4), strict=True):
            for network in (np.zeros((n, n)), 1 - np.eye(n)):
                found = np.asarray(measure(network))
                assert found.shape[-2:] == ({3: 13, 4: 199}[n_nodes], n)
                assert found.any() == (n >= n_nodes and network.any())


def test_mean_coherence_does_not_exceed_one():
    found = motifs.motifs4_structural_weighted(0.1 * (random_directed(20, 0.3, 4) > 0))
    occurs = found.frequency > 0
    assert (found.coherence[occurs] <= found.frequency[occurs]).all()
    np.testing.assert_allclose(found.intensity, 0.1 * found.frequency, rtol=1e-12)


def test_scale_of_weights():
    weights = random_directed(15, 0.3, 5)
    plain = motifs.motifs4_functional_weighted(weights)
    scaled = motifs.motifs4_functional_weighted(1e-200 * weights)  # whose products underflow
    np.testing.assert_allclose(scaled.intensity, 1e-200 * plain.intensity, rtol=1e-12)
    np.testing.assert_allclose(scaled.coherence, plain.coherence, rtol=1e-12)


@pytest.mark.parametrize("kind", ["structural", "functional"])
@pytest.mark.parametrize("place", [0, 1])
def test_contract(contract, kind, place):
    contract(lambda a: mixed(BINARY[kind][place](a)), rank=1, binary=True, directed=True)
    for part in range(2):
        contract(lambda w, part=part: mixed(WEIGHTED[kind][place](w)[part]), rank=1, directed=True)


def test_contract_undirected(contract):
    for measure in (motifs.motifs3_undirected, motifs.motifs4_undirected):
        contract(lambda a, measure=measure: mixed(measure(a)), rank=1, binary=True)
        contract(
            lambda a, measure=measure: motifs.motif_totals(measure(a)).sum(-1), rank=0, binary=True
        )
    for measure in (motifs.motifs3_undirected_weighted, motifs.motifs4_undirected_weighted):
        contract(lambda w, measure=measure: mixed(measure(w).intensity), rank=1)


def test_refused():
    with pytest.raises(ValueError, match="n_nodes must be 3 or 4; got 5"):
        motifs.motif_matrices(5)
    with pytest.raises(ValueError, match="n_nodes must be 3 or 4; got 2"):
        motifs.find_motif(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="motif must be a whole number from 0 to 12; got 13"):
        motifs.all_motif_matrices(13, 3)
    with pytest.raises(ValueError, match="regional must have 13, 199, 2 or 6 classes"):
        motifs.motif_totals(np.zeros((12, 5)))
    with pytest.raises(ValueError, match="boolean"):
        motifs.find_motif(0.5 * (1 - np.eye(3)))
