"""Walks, paths and cycles: closed forms, brute force, networkx and bctpy where it is right."""

from itertools import pairwise, permutations

import networkx as nx
import numpy as np
import pytest

from brainnet.metrics.walks import (
    count_simple_paths,
    count_walks,
    cycle_fraction,
    cycle_probability,
    edge_path_counts,
    region_path_counts,
)

PATH = np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)
TRIANGLE = np.ones((3, 3)) - np.eye(3)


def random_directed(n, density, seed):
    adjacency = np.random.default_rng(seed).random((n, n)) < density
    return (adjacency & ~np.eye(n, dtype=bool)).astype(float)


def random_undirected(n, density, seed):
    upper = np.triu(random_directed(n, density, seed))
    return upper + upper.T


def all_paths(adjacency, length):
    """Every sequence of different regions along edges, and every cycle, as tuples."""
    n = len(adjacency)
    found = []
    for n_edges in range(1, length + 1):
        for regions in permutations(range(n), min(n_edges + 1, n + 1)) if n_edges < n else ():
            if all(adjacency[a, b] for a, b in pairwise(regions)):
                found.append(regions)
        for regions in permutations(range(n), n_edges) if 1 < n_edges <= n else ():
            cycle = (*regions, regions[0])
            if all(adjacency[a, b] for a, b in pairwise(cycle)):
                found.append(cycle)
    return found


def brute_force(adjacency, length, sources=None):
    n = len(adjacency)
    counts, along = np.zeros((length, n, n)), np.zeros((length, n, n))
    through = np.zeros((length, n))
    for path in all_paths(adjacency, length):
        if sources is None or path[0] in sources:
            q = len(path) - 2
            counts[q, path[0], path[-1]] += 1
            through[q, list(set(path))] += 1
            for a, b in pairwise(path):
                along[q, a, b] += 1
    return counts, along, through


def test_walks_are_powers():
    walks = count_walks(random_directed(9, 0.4, 0), length=5, directed=True)
    step = random_directed(9, 0.4, 0).astype(int)
    for q in range(5):
        np.testing.assert_array_equal(walks[q], np.linalg.matrix_power(step, q + 1))


def test_walks_beyond_doubles_are_infinite_and_others_exact():
    n = 60
    adjacency = np.zeros((n + 2, n + 2))
    adjacency[:n, :n] = 1 - np.eye(n)
    adjacency[n, n + 1] = adjacency[n + 1, n] = 1  # a piece of its own: one walk of each length
    walks = count_walks(adjacency, length=200)
    assert np.isinf(walks[-1, :n, :n]).all()
    assert (walks[:, n:, :n] == 0).all()
    np.testing.assert_array_equal(walks[-1, n:, n:], np.eye(2))
    # of a complete network: ((n-1)**q - (-1)**q) / n between different regions
    # (150 roundings of products and sums of n terms)
    expected = (59**140 - 1) // 60
    np.testing.assert_allclose(walks[139, 0, 1], float(expected), rtol=1e-11)


def test_contract_walks(contract):
    # the sums over lengths: the contract knows the axes of regions only
    contract(lambda a: count_walks(a, length=3).sum(axis=-3), rank=2, binary=True)
    contract(
        lambda a: count_walks(a, length=3, directed=True)[..., 2, :, :],
        rank=2,
        binary=True,
        directed=True,
    )


def test_contract_paths(contract):
    for measure in (count_simple_paths, edge_path_counts):
        contract(lambda a, m=measure: m(a, length=4).sum(axis=-3), rank=2, binary=True)
    contract(
        lambda a: count_simple_paths(a, length=4, directed=True)[..., 3, :, :],
        rank=2,
        binary=True,
        directed=True,
    )
    contract(lambda a: region_path_counts(a, length=4)[..., 2, :], rank=1, binary=True)
    contract(lambda a: cycle_fraction(count_simple_paths(a, length=4))[..., 3], rank=0, binary=True)
    contract(
        lambda a: cycle_probability(count_simple_paths(a, length=4))[..., 3], rank=0, binary=True
    )


def test_paths_of_a_path():
    counts = count_simple_paths(PATH, length=4)
    apart = np.abs(np.arange(4)[:, None] - np.arange(4))
    for q in range(1, 5):
        expected = (apart == q).astype(float)
        if q == 2:
            expected += np.diag(PATH.sum(axis=1))  # along an edge and back
        np.testing.assert_array_equal(counts[q - 1], expected)


def test_paths_of_the_complete_network():
    n = 6
    counts = count_simple_paths(np.ones((n, n)) - np.eye(n), length=8)
    between = [1, 4, 12, 24, 24, 0, 0, 0]  # orders of q - 1 of the 4 other regions
    cycles = [0, 5, 20, 60, 120, 120, 0, 0]  # orders of q - 1 of the 5 other regions
    np.testing.assert_array_equal(counts[:, 0, 1], between)
    np.testing.assert_array_equal(counts[:, 2, 2], cycles)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 6, 7])
@pytest.mark.parametrize("density", [0.25, 0.6])
def test_paths_against_brute_force(length, density):
    for seed, make in enumerate((random_directed, random_undirected)):
        adjacency = make(6, density, seed)
        counts, along, through = brute_force(adjacency, length)
        keywords = {"length": length, "directed": True}
        np.testing.assert_array_equal(count_simple_paths(adjacency, **keywords), counts)
        np.testing.assert_array_equal(edge_path_counts(adjacency, **keywords), along)
        np.testing.assert_array_equal(region_path_counts(adjacency, **keywords), through)


@pytest.mark.parametrize("sources", [[4, 1], [], 3])
def test_paths_from_some_regions(sources):
    adjacency = random_directed(6, 0.5, 5)
    starts = np.atleast_1d(sources).tolist()
    counts, along, through = brute_force(adjacency, 5, starts)
    keywords = {"length": 5, "sources": sources, "directed": True}
    np.testing.assert_array_equal(count_simple_paths(adjacency, **keywords), counts)
    np.testing.assert_array_equal(edge_path_counts(adjacency, **keywords), along)
    np.testing.assert_array_equal(region_path_counts(adjacency, **keywords), through)


def test_paths_against_networkx():
    adjacency = random_undirected(14, 0.3, 6)
    graph = nx.from_numpy_array(adjacency)
    expected = np.zeros((5, 14, 14))
    for i, j in permutations(range(14), 2):
        for path in nx.all_simple_paths(graph, i, j, cutoff=5):
            expected[len(path) - 2, i, j] += 1
    counts = count_simple_paths(adjacency, length=5)
    cycles = np.zeros((5, 14))
    for cycle in nx.simple_cycles(graph.to_directed(), length_bound=5):
        cycles[len(cycle) - 1, cycle] += 1
    np.testing.assert_array_equal(counts * (1 - np.eye(14)), expected)
    np.testing.assert_array_equal(np.diagonal(counts, axis1=1, axis2=2), cycles)


def test_more_regions_than_one_word():
    adjacency = random_directed(150, 0.04, 7)
    step = adjacency.astype(int)
    counts = count_simple_paths(adjacency, length=3, directed=True)
    two = step @ step
    np.testing.assert_array_equal(counts[1], two)
    reciprocal = np.diag(np.diag(two))
    three = two @ step - reciprocal @ step - step @ reciprocal + step * step.T
    np.testing.assert_array_equal(
        counts[2] * (1 - np.eye(150)), three * (1 - np.eye(150, dtype=int))
    )


def test_cycle_shares_by_hand():
    counts = count_simple_paths(TRIANGLE, length=4)
    np.testing.assert_array_equal(cycle_fraction(counts), [0, 0.5, 1, np.nan])
    np.testing.assert_array_equal(cycle_probability(counts), [np.nan, 1, 1, np.nan])
    ring = np.roll(np.eye(4), 1, axis=1)
    counts = count_simple_paths(ring, length=5, directed=True)
    np.testing.assert_array_equal(cycle_fraction(counts), [0, 0, 0, 1, np.nan])
    np.testing.assert_array_equal(cycle_probability(counts), [np.nan, 0, 0, 1, np.nan])


def test_cycle_shares_against_brute_force():
    adjacency = random_directed(7, 0.4, 8)
    paths = all_paths(adjacency, 5)
    counts = count_simple_paths(adjacency, length=5, directed=True)
    fraction, probability = cycle_fraction(counts), cycle_probability(counts)
    for q in range(2, 6):
        of_length = [path for path in paths if len(path) == q + 1]
        closed = [path for path in of_length if path[0] == path[-1]]
        shorter = [path for path in paths if len(path) == q and path[0] != path[-1]]
        assert fraction[q - 1] == len(closed) / len(of_length)
        assert probability[q - 1] == len(closed) / len(shorter)
    both_ways = (adjacency * adjacency.T).sum() / adjacency.sum()
    assert probability[1] == both_ways


@pytest.mark.parametrize("n", [1, 2, 3])
def test_without_edges(n):
    empty = np.zeros((n, n))
    assert not count_walks(empty, length=3).any()
    assert not count_simple_paths(empty, length=3).any()
    assert not edge_path_counts(empty, length=3).any()
    assert not region_path_counts(empty, length=3).any()
    assert np.isnan(cycle_fraction(count_simple_paths(empty, length=3))).all()
    assert np.isnan(cycle_probability(count_simple_paths(empty, length=3))).all()


def test_one_edge():
    edge = np.array([[0, 1], [1, 0]])
    counts = count_simple_paths(edge, length=4)
    np.testing.assert_array_equal(counts[:2], [[[0, 1], [1, 0]], [[1, 0], [0, 1]]])
    assert not counts[2:].any()


@pytest.mark.parametrize("measure", [count_walks, count_simple_paths, edge_path_counts])
@pytest.mark.parametrize("length", [0, -1, 2.0, None])
def test_refuses_lengths(measure, length):
    with pytest.raises(ValueError, match="length must be a whole number of at least 1"):
        measure(TRIANGLE, length=length)


@pytest.mark.parametrize("sources", [[3], [-1], [0.5], [True, 2.0]])
def test_refuses_what_is_no_region(sources):
    with pytest.raises(ValueError, match="sources must be a region from 0 to 2"):
        count_simple_paths(TRIANGLE, length=2, sources=sources)


@pytest.mark.parametrize("sources", [[1, 1], [[0, 1]]])
def test_refuses_sources_named_twice(sources):
    with pytest.raises(ValueError, match="each named once"):
        count_simple_paths(TRIANGLE, length=2, sources=sources)


@pytest.mark.parametrize("measure", [cycle_fraction, cycle_probability])
def test_refuses_what_are_no_counts(measure):
    for wrong in (TRIANGLE, -TRIANGLE[None], TRIANGLE[None] * np.nan, TRIANGLE[None, :, :2]):
        with pytest.raises(ValueError, match="counts must be numbers of paths"):
            measure(wrong)
