"""Every measure on graphs whose values follow by hand."""

import networkx
import numpy as np
import pytest

from brainnet.metrics import (
    betweenness,
    centrality,
    clustering,
    degree,
    efficiency,
    modules,
    paths,
    roles,
)


def graph(kind, n):
    made = {
        "complete": networkx.complete_graph,
        "ring": networkx.cycle_graph,
        "star": lambda size: networkx.star_graph(size - 1),
        "path": networkx.path_graph,
        "empty": networkx.empty_graph,
    }[kind](n)
    return networkx.to_numpy_array(made)


TWO_CLIQUES = np.kron(np.eye(2), np.ones((4, 4)) - np.eye(4))
NAN = np.nan


def ring_mean(function, n):
    return np.mean([function(min(d, n - d)) for d in range(1, n)])


# measure, graph, value (a number for all regions, or one each)
BINARY = [
    (degree.degree, graph("complete", 5), 4),
    (degree.degree, graph("ring", 7), 2),
    (degree.degree, graph("star", 5), [4, 1, 1, 1, 1]),
    (degree.degree, graph("empty", 3), 0),
    (degree.degree, graph("path", 2), 1),
    (degree.density, graph("complete", 5), 1),
    (degree.density, graph("ring", 7), 2 / 6),
    (degree.density, graph("star", 5), 2 / 5),
    (degree.density, graph("empty", 3), 0),
    (degree.density, graph("empty", 1), NAN),
    (degree.density, TWO_CLIQUES, 3 / 7),
    (efficiency.global_efficiency_binary, graph("complete", 5), 1),
    (efficiency.global_efficiency_binary, graph("ring", 8), ring_mean(lambda d: 1 / d, 8)),
    (efficiency.global_efficiency_binary, graph("ring", 9), ring_mean(lambda d: 1 / d, 9)),
    (efficiency.global_efficiency_binary, graph("star", 6), (2 * 5 + 5 * 4 / 2) / 30),
    (efficiency.global_efficiency_binary, graph("path", 4), (6 + 4 / 2 + 2 / 3) / 12),
    (efficiency.global_efficiency_binary, TWO_CLIQUES, 3 / 7),
    (efficiency.global_efficiency_binary, graph("empty", 4), 0),
    (efficiency.global_efficiency_binary, graph("path", 2), 1),
    (efficiency.global_efficiency_binary, graph("empty", 1), NAN),
    (efficiency.local_efficiency_binary, graph("complete", 5), 1),
    (efficiency.local_efficiency_binary, graph("ring", 8), 0),
    (efficiency.local_efficiency_binary, graph("complete", 3), 1),
    (efficiency.local_efficiency_binary, graph("path", 2), 0),
    (efficiency.local_efficiency_binary, graph("empty", 3), 0),
    (efficiency.local_efficiency_binary, TWO_CLIQUES, 1),
    (clustering.clustering_binary, graph("complete", 5), 1),
    (clustering.clustering_binary, graph("ring", 8), 0),
    (clustering.clustering_binary, graph("star", 8), 0),
    (clustering.clustering_binary, TWO_CLIQUES, 1),
    (clustering.clustering_binary, graph("empty", 4), 0),
    (clustering.clustering_binary, graph("path", 2), 0),
    (clustering.transitivity_binary, graph("complete", 5), 1),
    (clustering.transitivity_binary, graph("star", 5), 0),
    (clustering.transitivity_binary, graph("empty", 5), 0),
    (clustering.transitivity_binary, TWO_CLIQUES, 1),
    (betweenness.betweenness_binary, graph("complete", 5), 0),
    (betweenness.betweenness_binary, graph("star", 5), [1, 0, 0, 0, 0]),
    (
        betweenness.betweenness_binary,
        graph("path", 5),
        [2 * i * (4 - i) / (4 * 3) for i in range(5)],
    ),
    (betweenness.betweenness_binary, graph("ring", 8), (ring_mean(lambda d: d, 8) - 1) / 6),
    (betweenness.betweenness_binary, graph("empty", 4), 0),
    (betweenness.betweenness_binary, TWO_CLIQUES, 0),
    (betweenness.betweenness_binary, graph("path", 2), NAN),
    (betweenness.betweenness_binary, graph("empty", 1), NAN),
]


def name(case):
    return getattr(case, "__name__", None)


@pytest.mark.parametrize("measure, adjacency, expected", BINARY, ids=name)
def test_binary(measure, adjacency, expected):
    result = measure(adjacency)
    np.testing.assert_allclose(result, np.broadcast_to(expected, result.shape), atol=1e-13)
    np.testing.assert_array_equal(measure(adjacency > 0), result)


# With one weight w on all edges: the binary value times w to the power `scaling`.
WEIGHTED = [
    (degree.strength, degree.degree, 1),
    (efficiency.global_efficiency, efficiency.global_efficiency_binary, 1),
    (clustering.clustering_weighted, clustering.clustering_binary, 0),
    (clustering.transitivity_weighted, clustering.transitivity_binary, 0),
    (betweenness.betweenness_weighted, betweenness.betweenness_binary, 0),
    (paths.distances_weighted, paths.distances_binary, -1),
]


@pytest.mark.parametrize("weighted, binary, scaling", WEIGHTED, ids=name)
@pytest.mark.parametrize("kind", ["complete", "ring", "star", "path", "empty"])
def test_equal_weights_are_the_binary_network(weighted, binary, scaling, kind):
    adjacency = graph(kind, 7)
    expected = binary(adjacency) * 0.3**scaling
    np.testing.assert_allclose(weighted(0.3 * adjacency), expected, atol=1e-12)


@pytest.mark.parametrize("weighted, binary, scaling", WEIGHTED, ids=name)
def test_a_random_binary_network_with_all_its_ties(weighted, binary, scaling):
    adjacency = networkx.to_numpy_array(networkx.gnp_random_graph(30, 0.15, seed=0))
    expected = binary(adjacency) * 0.3**scaling
    np.testing.assert_allclose(weighted(0.3 * adjacency), expected, atol=1e-12)


def test_local_efficiency_weighted():
    for n in (3, 5):  # neighbours are joined directly: each term is w
        np.testing.assert_allclose(
            efficiency.local_efficiency_weighted(0.3 * graph("complete", n)), 0.3, atol=1e-14
        )
    for kind in ("ring", "star", "path", "empty"):
        assert not efficiency.local_efficiency_weighted(graph(kind, 6)).any()
    wheel = networkx.to_numpy_array(networkx.wheel_graph(5))  # hub 0, ring 1-2-3-4
    # of the 12 ordered pairs of the hub's neighbours, 4 are two steps apart: (1/2)^(1/3) each
    expected = (8 + 4 * 0.5 ** (1 / 3)) / 12
    assert efficiency.local_efficiency_weighted(wheel)[0] == pytest.approx(expected, abs=1e-14)
    assert efficiency.local_efficiency_binary(wheel)[0] == pytest.approx((8 + 4 / 2) / 12)


def test_clustering_of_one_weighted_triangle():
    weights = np.array([[0, 0.9, 0.6, 0.2], [0.9, 0, 0.3, 0], [0.6, 0.3, 0, 0], [0.2, 0, 0, 0]])
    intensity = (0.9 * 0.6 * 0.3) ** (1 / 3) / 0.9
    expected = [intensity / 3, intensity, intensity, 0]  # region 0 has three neighbours
    np.testing.assert_allclose(clustering.clustering_weighted(weights), expected, atol=1e-14)
    ratio = 6 * intensity / (6 + 2 + 2)
    assert clustering.transitivity_weighted(weights) == pytest.approx(ratio, abs=1e-14)


@pytest.mark.parametrize(
    "kind, n, mean, farthest, shortest, longest",
    [
        ("complete", 5, 1, 1, 1, 1),
        ("ring", 8, 16 / 7, 4, 4, 4),
        ("star", 6, 2 * 5 / 6, [1, 2, 2, 2, 2, 2], 1, 2),
        ("path", 5, 6 / 3, [4, 3, 2, 3, 4], 2, 4),
        ("path", 2, 1, 1, 1, 1),
        ("empty", 3, NAN, NAN, NAN, NAN),
        ("empty", 1, NAN, NAN, NAN, NAN),
    ],
)
def test_lengths(kind, n, mean, farthest, shortest, longest):
    distances = paths.distances_binary(graph(kind, n))
    np.testing.assert_allclose(paths.characteristic_path_length(distances), mean, rtol=1e-14)
    np.testing.assert_array_equal(
        paths.eccentricity(distances), np.broadcast_to(np.array(farthest, dtype=float), n)
    )
    np.testing.assert_array_equal(paths.radius(distances), shortest)
    np.testing.assert_array_equal(paths.diameter(distances), longest)
    assert paths.n_components(distances) == (n if kind == "empty" else 1)


def test_pieces():
    weights = np.zeros((7, 7))
    weights[:4, :4] = graph("path", 4)
    weights[4, 5] = weights[5, 4] = 1
    distances = paths.distances_binary(weights)
    assert paths.n_components(distances) == 3
    assert np.isinf(distances[0, 5])
    assert paths.characteristic_path_length(distances) == pytest.approx((6 + 8 + 6 + 2) / 14)
    np.testing.assert_array_equal(paths.eccentricity(distances), [3, 2, 2, 3, 1, 1, NAN])
    assert paths.radius(distances) == 1
    assert paths.diameter(distances) == 3


def test_a_detour_over_strong_edges_is_shorter():
    weights = np.array([[0, 0.5, 0.2], [0.5, 0, 0.5], [0.2, 0.5, 0]])
    assert paths.distances_weighted(weights)[0, 2] == 4  # 1/0.5 twice, not 1/0.2
    np.testing.assert_allclose(betweenness.betweenness_weighted(weights), [0, 1, 0])


def test_a_tie_between_one_edge_and_a_detour_is_shared():
    weights = np.array([[0, 0.5, 0.25], [0.5, 0, 0.5], [0.25, 0.5, 0]])
    np.testing.assert_allclose(betweenness.betweenness_weighted(weights), [0, 0.5, 0], atol=1e-15)


def test_ties_up_to_rounding_are_shared():
    # 1/w along 0-1-2-3: 0.1 + 0.2 + 0.3, and 0-4-3: 0.3 + 0.3; equal but for the last bit
    edges = [(0, 1, 0.1), (1, 2, 0.2), (2, 3, 0.3), (0, 4, 0.3), (4, 3, 0.3)]
    weights = np.zeros((5, 5))
    for i, j, length in edges:
        weights[i, j] = weights[j, i] = 1 / length
    # 0-3 and 2-4 go either way (0.6 both: half by 1-2 and half by 4, half by 1-0 and half by 3);
    # 0-2 by 1, 1-3 by 2 and 1-4 by 0
    expected = np.array([1.5, 2.0, 1.5, 0.5, 0.5]) / 6
    np.testing.assert_allclose(betweenness.betweenness_weighted(weights), expected, atol=1e-14)


@pytest.mark.parametrize(
    "kind, n, expected",
    [
        ("complete", 5, np.full(5, 5**-0.5)),
        ("ring", 6, np.full(6, 6**-0.5)),
        ("star", 5, [0.5**0.5, *[8**-0.5] * 4]),
        ("path", 5, np.sin(np.arange(1, 6) * np.pi / 6) / 3**0.5),
        ("path", 2, [0.5**0.5, 0.5**0.5]),
        ("empty", 3, NAN),
    ],
)
def test_eigenvector_centrality(kind, n, expected):
    for scale in (1, 1e-8, 1e8):
        result = centrality.eigenvector_centrality(scale * graph(kind, n))
        np.testing.assert_allclose(result, np.broadcast_to(expected, n), atol=1e-12)


def test_eigenvector_centrality_of_pieces():
    equal = centrality.eigenvector_centrality(TWO_CLIQUES)
    np.testing.assert_allclose(equal, 8**-0.5, atol=1e-12)
    weaker = TWO_CLIQUES.copy()
    weaker[4:, 4:] *= 0.9
    np.testing.assert_allclose(
        centrality.eigenvector_centrality(weaker), [0.5] * 4 + [0] * 4, atol=1e-12
    )


def test_modularity():
    labels = [0, 0, 0, 0, 1, 1, 1, 1]
    assert modules.modularity(TWO_CLIQUES, labels) == pytest.approx(0.5)
    assert modules.modularity(TWO_CLIQUES, np.zeros(8, int)) == pytest.approx(0)
    assert modules.modularity(TWO_CLIQUES, np.arange(8)) == pytest.approx(-1 / 8)
    assert modules.modularity(TWO_CLIQUES, labels, resolution=2) == pytest.approx(0)
    assert modules.modularity(graph("path", 2), [0, 1]) == pytest.approx(-0.5)
    assert np.isnan(modules.modularity(graph("empty", 3), [0, 0, 0]))


@pytest.mark.parametrize(
    "adjacency, expected",
    [
        (TWO_CLIQUES, [0, 0, 0, 0, 1, 1, 1, 1]),
        (graph("complete", 6), [0] * 6),
        (graph("empty", 3), [0, 1, 2]),
        (graph("path", 2), [0, 0]),
        (graph("empty", 1), [0]),
        (graph("star", 4), [0] * 4),
    ],
)
def test_louvain(adjacency, expected):
    assert modules.louvain(adjacency).tolist() == expected


def test_participation_and_within_module_z():
    # two triangles; region 0 is joined to all of the other triangle too
    weights = np.kron(np.eye(2), graph("complete", 3))
    weights[0, 3:] = weights[3:, 0] = 1
    labels = [5, 5, 5, -1, -1, -1]
    expected = [1 - (2 / 5) ** 2 - (3 / 5) ** 2, 0, 0, *[1 - (2 / 3) ** 2 - (1 / 3) ** 2] * 3]
    np.testing.assert_allclose(
        roles.participation_coefficient(weights, labels), expected, atol=1e-14
    )
    np.testing.assert_allclose(roles.within_module_z(weights, labels), 0, atol=1e-14)
    z = roles.within_module_z(graph("star", 5), np.zeros(5, int))
    np.testing.assert_allclose(z, [2, -0.5, -0.5, -0.5, -0.5])
    isolated = roles.participation_coefficient(graph("empty", 3), [0, 1, 2])
    np.testing.assert_array_equal(isolated, 0)
    np.testing.assert_array_equal(roles.within_module_z(graph("empty", 3), [0, 0, 1]), 0)
