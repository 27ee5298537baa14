"""Communication along shortest paths: graphs by hand, and every path enumerated by networkx."""

import bct
import networkx
import numpy as np
import pytest

from brainnet.metrics import communication, efficiency, routing

STAR = networkx.to_numpy_array(networkx.star_graph(4))
RING = networkx.to_numpy_array(networkx.cycle_graph(4))
COMPLETE = np.ones((5, 5)) - np.eye(5)
EMPTY = np.zeros((3, 3))
KINDS = range(6)  # dense, in pieces, empty, one edge, equal weights, complete
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def length_graph(network, lengths):
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(len(network)))
    graph.add_edges_from((i, j, {"length": lengths[i, j]}) for i, j in np.argwhere(network))
    return graph


def shortest_paths(network, lengths):
    """Every shortest path of every pair, found by networkx."""
    graph = length_graph(network, lengths)
    for i, j in np.ndindex(network.shape):
        if i != j and networkx.has_path(graph, i, j):
            yield i, j, list(networkx.all_shortest_paths(graph, i, j, weight="length"))


def inverted(network):
    return np.divide(1, network, out=np.zeros(network.shape), where=network > 0)


def walked(network, lengths, memory):
    """The definition, path by path."""
    result = np.eye(len(network))
    strength = network.sum(axis=1)
    for i, j, paths in shortest_paths(network, lengths):
        for path in paths:
            chance = network[i, path[1]] / strength[i]
            for z, a, b in zip(path, path[1:], path[2:], strict=False):
                chance *= network[a, b] / (strength[a] - (network[a, z] if memory else 0))
            result[i, j] += chance
    return result


def bits(probability):
    with np.errstate(divide="ignore"):
        return np.abs(np.log2(probability))


def directed_only(measure):
    return lambda network: measure(network, directed=True)


@pytest.mark.parametrize(
    "measure, rank",
    [
        (routing.routing_efficiency, 0),
        (routing.routing_efficiency_pairwise, 2),
        (routing.routing_efficiency_local, 1),
        (communication.shortest_path_probability, 2),
        (communication.search_information, 2),
        (communication.search_information_with_memory, 2),
    ],
)
def test_contract(contract, measure, rank):
    contract(measure, rank=rank)
    contract(directed_only(measure), rank=rank, directed=True)


def test_contract_of_the_others(contract):
    contract(communication.path_transitivity, rank=2)
    contract(communication.resource_efficiency_binary, rank=2, binary=True)
    measure = directed_only(communication.resource_efficiency_binary)
    contract(measure, rank=2, binary=True, directed=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_probability_of_enumerated_paths(all_kinds, kind, directed, given):
    network = all_kinds(directed=directed).reshape(6, 12, 12)[kind]
    lengths = inverted(network)
    if given:  # lengths of their own, with ties
        drawn = np.random.default_rng(0).integers(1, 4, (12, 12))
        lengths = (network > 0) * (drawn if directed else drawn + drawn.T) * 1.0
    options = {"directed": directed, "lengths": lengths if given else None}
    for memory, measure in [
        (False, communication.search_information),
        (True, communication.search_information_with_memory),
    ]:
        expected = walked(network, lengths, memory)
        np.testing.assert_allclose(measure(network, **options), bits(expected), **TIGHT)
    result = communication.shortest_path_probability(network, **options)
    np.testing.assert_allclose(result, walked(network, lengths, False), **TIGHT)


def test_search_information_against_bctpy(modular):
    network = modular(20, density=0.5)  # without ties, and in one piece
    theirs = bct.search_information(network, transform="inv")
    np.fill_diagonal(theirs, 0)
    np.testing.assert_allclose(communication.search_information(network), theirs, **TIGHT)


def test_search_information_by_hand():
    expected = np.full((5, 5), 2.0)  # from the centre to a leaf, and between leaves
    expected[:, 0] = 0
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(communication.search_information(STAR), expected, atol=1e-15)
    expected[1:, 1:] = np.log2(3) * (1 - np.eye(4))
    np.testing.assert_allclose(
        communication.search_information_with_memory(STAR), expected, atol=1e-15
    )
    ring = communication.search_information(RING)  # two paths of probability 1/4 across it
    np.testing.assert_allclose(ring[0], [0, 1, 1, 1], atol=1e-15)
    ring = communication.search_information_with_memory(RING)
    np.testing.assert_allclose(ring[0], [0, 1, 0, 1], atol=1e-15)
    np.testing.assert_array_equal(
        communication.search_information(EMPTY), np.where(np.eye(3), 0, np.inf)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", [False, True])
def test_path_transitivity_of_enumerated_paths(all_kinds, kind, given):
    network = all_kinds().reshape(6, 12, 12)[kind]
    lengths = inverted(network)
    if given:
        drawn = np.random.default_rng(1).integers(1, 4, (12, 12))
        lengths = (network > 0) * (drawn + drawn.T) * 1.0
    matching = np.zeros((12, 12))
    for i, j in np.ndindex(12, 12):
        others = np.setdiff1d(np.arange(12), [i, j])
        both = (network[i] > 0) & (network[j] > 0)
        total = network[i, others].sum() + network[j, others].sum()
        matching[i, j] = (network[i] + network[j])[both].sum() / total if total else 0
    expected = np.full((12, 12), np.nan)
    for i, j, paths in shortest_paths(network, lengths):
        fewest = min(len(path) for path in paths)
        values = [
            matching[np.ix_(path, path)][np.triu_indices(fewest, 1)].mean()
            for path in paths
            if len(path) == fewest
        ]
        expected[i, j] = np.mean(values)
    result = communication.path_transitivity(network, lengths=lengths if given else None)
    np.testing.assert_allclose(result, expected, **TIGHT)


def test_path_transitivity_against_bctpy(modular, capsys):
    network = modular(20, density=0.5)
    theirs = bct.path_transitivity(network, transform="inv")
    capsys.readouterr()  # theirs prints every path
    np.fill_diagonal(theirs, np.nan)
    np.testing.assert_allclose(communication.path_transitivity(network), theirs, **TIGHT)


def test_path_transitivity_by_hand():
    others = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(communication.path_transitivity(COMPLETE)[others], 1)
    star = communication.path_transitivity(STAR)  # leaves match fully, others not at all
    np.testing.assert_allclose(star[0, 1:], 0, atol=1e-15)
    np.testing.assert_allclose(star[1:, 1:][~np.eye(4, dtype=bool)], 1 / 3)
    pair = communication.path_transitivity([[0, 2.0], [2.0, 0]])
    np.testing.assert_array_equal(pair, [[np.nan, 0], [0, np.nan]])
    assert np.isnan(communication.path_transitivity(EMPTY)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arrival", [0.1, 0.5, 0.9])
def test_resource_efficiency_of_walks(all_kinds, kind, arrival):
    edges = all_kinds(binary=True, directed=True).reshape(6, 12, 12)[kind]
    degree = edges.sum(axis=1, keepdims=True)
    step = edges / np.where(degree > 0, degree, 1)
    expected = np.zeros((12, 12))
    power = np.eye(12)
    for _ in range(11):  # walks of 1, 2, ... steps: the first that arrive are the shortest paths
        reached = (expected > 0) | np.eye(12, dtype=bool)
        power = power @ step
        new = (power > 1e-14) & ~reached
        certain = power > 1 - 1e-9
        walkers = np.log(1 - np.where(new & ~certain, power, 0)) / np.log(1 - arrival)
        expected[new] = np.where(certain, 1, walkers)[new]
    result = communication.resource_efficiency_binary(edges, arrival=arrival, directed=True)
    np.testing.assert_allclose(result, expected, **TIGHT)


@pytest.mark.parametrize("arrival", [0, 1, -0.5, np.nan])
def test_resource_efficiency_refuses_arrival(arrival):
    with pytest.raises(ValueError, match=r"arrival must be .* got"):
        communication.resource_efficiency_binary(STAR, arrival=arrival)


def test_routing_efficiency(weights, all_kinds):
    assert routing.routing_efficiency(weights) == pytest.approx(
        efficiency.global_efficiency(weights), rel=1e-12
    )
    np.testing.assert_allclose(
        routing.routing_efficiency_local(weights > 0),
        efficiency.local_efficiency_binary(weights > 0),
        **TIGHT,
    )
    network = all_kinds(directed=True)[0, 0]
    rng = np.random.default_rng(2)
    lengths = (network > 0) * rng.integers(1, 4, (12, 12)) * 1.0
    graph = length_graph(network, lengths)
    expected = np.zeros((12, 12))
    for i, row in networkx.all_pairs_dijkstra_path_length(graph, weight="length"):
        for j, length in row.items():
            expected[i, j] = 1 / length if i != j else 0
    options = {"lengths": lengths, "directed": True}
    result = routing.routing_efficiency_pairwise(network, **options)
    np.testing.assert_allclose(result, expected, **TIGHT)
    mean = routing.routing_efficiency(network, **options)
    assert mean == pytest.approx(expected.sum() / (12 * 11))
    local = routing.routing_efficiency_local(network, **options)
    for i in range(12):
        near = [*{*graph.successors(i), *graph.predecessors(i)}]
        inner = routing.routing_efficiency(
            network[np.ix_(near, near)], lengths=lengths[np.ix_(near, near)], directed=True
        )
        assert local[i] == pytest.approx(inner)


def test_routing_efficiency_of_small_networks():
    assert np.isnan(routing.routing_efficiency([[0.0]]))
    assert routing.routing_efficiency(EMPTY) == 0
    np.testing.assert_array_equal(routing.routing_efficiency_local(STAR), 0)
    np.testing.assert_array_equal(routing.routing_efficiency_local(EMPTY), 0)
    np.testing.assert_allclose(routing.routing_efficiency_local(0.5 * COMPLETE), 0.5)


@pytest.mark.parametrize(
    "lengths, word",
    [(0 * STAR, "above 0"), (STAR[:2, :2], "shape"), (-STAR, "non-negative"), (STAR / 0.3, None)],
)
def test_lengths_are_checked(lengths, word):
    if word is None:
        value = routing.routing_efficiency(STAR, lengths=lengths)
        assert value == pytest.approx(0.3 * 0.7)
        return
    with pytest.raises(ValueError, match=word):
        communication.search_information(STAR, lengths=lengths)
