"""The measures beside those of networkx and bctpy, on networks without ties and with pieces."""

import bct
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

TIGHT = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture(params=["pieces", "dense", "sparse"])
def network(request, weights, modular):
    return {
        "pieces": weights,
        "dense": modular(30, density=0.5),
        "sparse": modular(40, density=0.08),
    }[request.param]


@pytest.fixture
def adjacency(network):
    return (network > 0).astype(float)


@pytest.fixture
def graph(network):
    made = networkx.from_numpy_array(network)
    for *_, edge in made.edges(data=True):
        edge["length"] = 1 / edge["weight"]
    return made


def by_region(values):
    return np.array([values[i] for i in range(len(values))])


def distances(lengths, n):
    found = np.full((n, n), np.inf)
    for i, row in lengths:
        for j, length in row.items():
            found[i, j] = length
    return found


def test_degree(network, adjacency, graph):
    np.testing.assert_array_equal(degree.degree(adjacency), bct.degrees_und(network))
    np.testing.assert_allclose(degree.strength(network), bct.strengths_und(network), **TIGHT)
    assert degree.density(adjacency) == pytest.approx(networkx.density(graph), abs=1e-14)


def test_distances(network, adjacency, graph):
    n = len(network)
    hops = distances(networkx.all_pairs_shortest_path_length(graph), n)
    np.testing.assert_array_equal(paths.distances_binary(adjacency), hops)
    lengths = distances(networkx.all_pairs_dijkstra_path_length(graph, weight="length"), n)
    np.testing.assert_allclose(paths.distances_weighted(network), lengths, rtol=1e-13)
    assert paths.n_components(hops) == networkx.number_connected_components(graph)


def test_lengths_against_bctpy(network):
    found = paths.distances_weighted(network)
    length, *_ = bct.charpath(found, include_infinite=False)
    assert paths.characteristic_path_length(found) == pytest.approx(length, rel=1e-12)
    reached = np.where(np.isfinite(found), found, 0).max(axis=1)
    np.testing.assert_array_equal(paths.eccentricity(found), np.where(reached > 0, reached, np.nan))


def test_efficiency(network, adjacency, graph):
    assert efficiency.global_efficiency_binary(adjacency) == pytest.approx(
        networkx.global_efficiency(graph), rel=1e-12
    )
    assert efficiency.global_efficiency(network) == pytest.approx(
        bct.efficiency_wei(network), rel=1e-12
    )
    local = efficiency.local_efficiency_binary(adjacency)
    assert local.mean() == pytest.approx(networkx.local_efficiency(graph), rel=1e-12)
    np.testing.assert_allclose(local, bct.efficiency_bin(adjacency, local=True), **TIGHT)
    np.testing.assert_allclose(
        efficiency.local_efficiency_weighted(network),
        bct.efficiency_wei(network, local="original"),
        **TIGHT,
    )


def test_clustering(network, adjacency, graph):
    scaled = network / network.max()
    np.testing.assert_allclose(
        clustering.clustering_binary(adjacency), by_region(networkx.clustering(graph)), **TIGHT
    )
    weighted = clustering.clustering_weighted(network)
    np.testing.assert_allclose(
        weighted, by_region(networkx.clustering(graph, weight="weight")), **TIGHT
    )
    np.testing.assert_allclose(weighted, bct.clustering_coef_wu(scaled), **TIGHT)
    assert clustering.transitivity_binary(adjacency) == pytest.approx(
        networkx.transitivity(graph), rel=1e-12
    )
    assert clustering.transitivity_weighted(network) == pytest.approx(
        bct.transitivity_wu(scaled), rel=1e-12
    )


def test_betweenness(network, adjacency, graph):
    pairs = (len(network) - 1) * (len(network) - 2)
    binary = betweenness.betweenness_binary(adjacency)
    np.testing.assert_allclose(binary, by_region(networkx.betweenness_centrality(graph)), **TIGHT)
    np.testing.assert_allclose(binary * pairs, bct.betweenness_bin(adjacency), **TIGHT)
    weighted = betweenness.betweenness_weighted(network)
    np.testing.assert_allclose(
        weighted, by_region(networkx.betweenness_centrality(graph, weight="length")), **TIGHT
    )
    lengths = np.divide(1, network, out=np.zeros_like(network), where=network > 0)
    np.testing.assert_allclose(weighted * pairs, bct.betweenness_wei(lengths), **TIGHT)


def test_eigenvector_centrality(modular):
    network = modular(30, density=0.5)  # connected: one leading eigenvector
    graph = networkx.from_numpy_array(network)
    result = centrality.eigenvector_centrality(network)
    theirs = by_region(networkx.eigenvector_centrality_numpy(graph, weight="weight"))
    np.testing.assert_allclose(result, theirs, atol=1e-9)
    np.testing.assert_allclose(result, np.ravel(bct.eigenvector_centrality_und(network)), atol=1e-9)


@pytest.mark.parametrize("resolution", [0.5, 1.0, 2.0])
def test_modules(network, graph, resolution):
    labels = modules.louvain(network, resolution=resolution)
    groups = [set(np.flatnonzero(labels == k).tolist()) for k in range(labels.max() + 1)]
    assert modules.modularity(network, labels, resolution=resolution) == pytest.approx(
        networkx.community.modularity(graph, groups, resolution=resolution), abs=1e-12
    )
    with np.errstate(invalid="ignore", divide="ignore"):  # bctpy divides by 0 strengths
        participation = bct.participation_coef(network, labels + 1)
        z = bct.module_degree_zscore(network, labels + 1)
    np.testing.assert_allclose(
        roles.participation_coefficient(network, labels), participation, **TIGHT
    )
    large = (
        np.bincount(labels)[labels] > 2
    )  # bctpy's z of equal strengths is rounding over rounding
    result = roles.within_module_z(network, labels)
    np.testing.assert_allclose(result[large], z[large], rtol=1e-8, atol=1e-8)
