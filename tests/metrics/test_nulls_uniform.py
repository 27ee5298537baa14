"""All networks that the rules of a null allow appear equally often, found by brute force."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.sparse.csgraph import connected_components

from brainnet.metrics import nulls


def from_edges(n, edges, *, directed=False):
    network = np.zeros((n, n), dtype=bool)
    for i, j in edges:
        network[i, j] = True
        network[j, i] |= not directed
    return network


def in_one_piece(network):
    return connected_components(network, connection="strong")[0] == 1


def codes(networks):
    """One whole number per network."""
    flat = networks.reshape(-1, networks.shape[-1] ** 2)
    return (flat != 0) @ (2.0 ** np.arange(flat.shape[1]))


def all_with_degrees(network, *, directed=False, legal=lambda each: True):
    """Every network with the degrees of this one, by brute force."""
    n = len(network)
    pairs = list(
        itertools.permutations(range(n), 2) if directed else itertools.combinations(range(n), 2)
    )
    n_edges = int(network.sum()) // (1 if directed else 2)
    found = []
    for edges in itertools.combinations(pairs, n_edges):
        each = from_edges(n, edges, directed=directed)
        same = (each.sum(0) == network.sum(0)).all() and (each.sum(1) == network.sum(1)).all()
        if same and legal(each):
            found.append(each)
    return np.array(found)


def assert_equally_likely(drawn, possible):
    """Chi-square at the seed of the test; a wrong sampler fails by orders of magnitude."""
    expected = np.sort(codes(possible))
    got, counts = np.unique(codes(drawn), return_counts=True)
    np.testing.assert_array_equal(got, expected)
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    "edges",
    [
        [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)],  # a path of six regions
        [(0, 1), (0, 2), (0, 3), (1, 2), (4, 5), (3, 4)],  # degrees 3, 2, 2, 2, 2, 1
        [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (3, 4), (4, 5), (5, 1)],
    ],
)
def test_all_networks_with_the_degrees_are_equally_likely(edges):
    network = from_edges(6, edges)
    possible = all_with_degrees(network)
    assert len(possible) > 10
    drawn = nulls.rewire(network, n_nulls=200 * len(possible), swaps_per_edge=20)
    assert_equally_likely(drawn, possible)


@pytest.mark.parametrize(
    "edges",
    [
        [(0, 1), (1, 2), (2, 0), (3, 0), (1, 3)],
        [(0, 1), (1, 2), (2, 0), (0, 3), (3, 4), (4, 0)],
        [(0, 1), (1, 2), (2, 0), (1, 0), (3, 2), (2, 4)],  # a triangle with an edge back
        [(0, 1), (1, 2), (2, 0)],  # only the turn of the circle
    ],
)
def test_all_directed_networks_with_the_degrees_are_equally_likely(edges):
    network = from_edges(5, edges, directed=True)
    possible = all_with_degrees(network, directed=True)
    drawn = nulls.rewire_directed(network, n_nulls=300 * len(possible), swaps_per_edge=30)
    assert_equally_likely(drawn, possible)


def test_partial_leaves_fixed_pairs_and_draws_the_rest_evenly():
    network = from_edges(6, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)])
    fixed = from_edges(6, [(0, 1), (2, 4)])
    possible = all_with_degrees(network, legal=lambda each: each[0, 1] and not each[2, 4])
    drawn = nulls.rewire_partial(network, fixed, n_nulls=300 * len(possible), swaps_per_edge=20)
    assert_equally_likely(drawn, possible)


@pytest.mark.parametrize(
    "edges",
    [
        [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)],
        [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)],  # two triangles are not drawn
    ],
)
def test_all_connected_networks_are_equally_likely(edges):
    network = from_edges(6, edges)
    possible = all_with_degrees(network, legal=in_one_piece)
    assert 10 < len(possible) < len(all_with_degrees(network))
    drawn = nulls.rewire_connected(network, n_nulls=200 * len(possible), swaps_per_edge=20)
    assert_equally_likely(drawn, possible)


def test_strongly_connected_networks_within_reach_are_equally_likely():
    network = from_edges(5, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (1, 0)], directed=True)
    possible = all_with_degrees(network, directed=True, legal=in_one_piece)
    drawn = nulls.rewire_connected_directed(network, n_nulls=4000, swaps_per_edge=20)
    reached = possible[np.isin(codes(possible), codes(drawn))]
    assert 12 == len(reached) < len(possible)  # swaps do not turn circles round
    assert_equally_likely(drawn, reached)


def test_all_signed_networks_within_reach_are_equally_likely():
    """On five regions, by brute force over all signs of every pair."""
    pairs = list(itertools.combinations(range(5), 2))
    network = np.zeros((5, 5))
    for (i, j), sign in zip(pairs, [1, -1, 0, 0, 1, -1, 0, 1, -1, 1], strict=True):
        network[i, j] = network[j, i] = sign
    possible = []
    for signs in itertools.product([-1, 0, 1], repeat=len(pairs)):
        each = np.zeros((5, 5))
        each[tuple(np.transpose(pairs))] = signs
        each += each.T
        degrees = zip((each > 0, each < 0), (network > 0, network < 0), strict=True)
        if all((one.sum(0) == other.sum(0)).all() for one, other in degrees):
            possible.append(each)
    drawn = nulls.rewire_signed(network, n_nulls=4000, swaps_per_edge=30)
    weight = 3.0 ** np.arange(len(pairs))
    code = [each[..., *np.transpose(pairs)] @ weight for each in (drawn, np.array(possible))]
    got, counts = np.unique(code[0], return_counts=True)
    assert np.isin(got, code[1]).all()
    assert len(got) > 5
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("apart", [[0, 1, 2, 3, 4, 5], [0, 1, 2, 10, 11, 12], [0, 0.3, 3, 4, 5, 9]])
def test_all_networks_with_degrees_and_lengths_are_equally_likely(apart):
    network = from_edges(6, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)])
    distances = np.abs(np.subtract.outer(apart, apart)).astype(float)
    between = distances[np.triu_indices(6, 1)]
    edges = np.linspace(between.min(), between.max(), 3)

    def lengths(each):
        return np.histogram(distances[np.triu(each)], edges)[0].tolist()

    possible = all_with_degrees(network, legal=lambda each: lengths(each) == lengths(network))
    drawn = nulls.rewire_spatial(
        network, distances, n_bins=2, n_nulls=300 * len(possible), swaps_per_edge=20
    )
    assert len(possible) > 10
    assert_equally_likely(drawn, possible)
