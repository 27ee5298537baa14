"""Diffusion: graphs by hand, absorbing walks, scipy's exponential, networkx and bctpy."""

import bct
import networkx
import numpy as np
import pytest
import scipy.linalg
import scipy.special

from brainnet.metrics import centrality, diffusion

STAR = networkx.to_numpy_array(networkx.star_graph(4))
RING = networkx.to_numpy_array(networkx.cycle_graph(6))
CHAIN = np.diag(np.ones(2), 1)  # 0 -> 1 -> 2
EMPTY = np.zeros((3, 3))
NAN, INF = np.nan, np.inf


def as_directed(measure):
    return lambda network: measure(network, directed=True)


@pytest.mark.parametrize(
    "measure, rank",
    [
        (diffusion.stationary_distribution, 1),
        (diffusion.mean_first_passage_time, 2),
        (diffusion.diffusion_efficiency, 0),
        (diffusion.diffusion_efficiency_pairwise, 2),
    ],
)
def test_contract(contract, measure, rank):
    contract(measure, rank=rank)
    contract(as_directed(measure), rank=rank, directed=True)


def test_contract_of_communicability(contract):
    contract(diffusion.communicability_binary, rank=2, binary=True)
    contract(as_directed(diffusion.communicability_binary), rank=2, binary=True, directed=True)
    contract(diffusion.communicability_weighted, rank=2)


def test_stationary_distribution(weights, all_kinds):
    connected = weights[:20, :20]
    strength = connected.sum(axis=1)
    result = diffusion.stationary_distribution(connected)
    np.testing.assert_allclose(result, strength / strength.sum(), rtol=1e-12)
    network = all_kinds(directed=True)[0, 0]
    result = diffusion.stationary_distribution(network, directed=True)
    step = network / network.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result @ step, result, atol=1e-15)
    np.testing.assert_allclose(
        result, np.linalg.matrix_power(step, 4096)[0], rtol=1e-10
    )  # from any start
    assert np.isnan(diffusion.stationary_distribution(weights)).all()
    assert np.isnan(diffusion.stationary_distribution(EMPTY)).all()
    chain = diffusion.stationary_distribution(CHAIN, directed=True)
    np.testing.assert_array_equal(chain, [0, 0, 1])
    assert diffusion.stationary_distribution([[0.0]]) == 1


def test_first_passage_by_hand():
    star = np.full((5, 5), 8.0)  # leaf to leaf: to the centre, and from there one in four
    star[0], star[:, 0] = 7, 1
    np.fill_diagonal(star, 0)
    np.testing.assert_allclose(diffusion.mean_first_passage_time(STAR), star, atol=1e-12)
    np.testing.assert_allclose(diffusion.mean_first_passage_time(0.01 * STAR), star, atol=1e-12)
    ring = [d * (6 - d) for d in range(6)]
    np.testing.assert_allclose(diffusion.mean_first_passage_time(RING)[0], ring, atol=1e-12)
    np.testing.assert_allclose(diffusion.diffusion_efficiency(np.ones((5, 5)) - np.eye(5)), 1 / 4)
    np.testing.assert_array_equal(
        diffusion.mean_first_passage_time(EMPTY), np.where(np.eye(3), 0, INF)
    )
    np.testing.assert_array_equal(diffusion.mean_first_passage_time([[0.0]]), [[0]])
    assert diffusion.diffusion_efficiency(EMPTY) == 0
    assert np.isnan(diffusion.diffusion_efficiency([[0.0]]))


def test_first_passage_where_edges_have_one_direction():
    result = diffusion.mean_first_passage_time(CHAIN, directed=True)
    np.testing.assert_array_equal(result, [[0, 1, 2], [INF, 0, 1], [INF, INF, 0]])
    fork = np.zeros((4, 4))
    fork[0, 1] = fork[1, 0] = fork[1, 2] = fork[3, 1] = 1  # 0 and 1 back and forth, then 2
    result = diffusion.mean_first_passage_time(fork, directed=True)
    expected = [[0, 1, 4, INF], [INF, 0, 3, INF], [INF, INF, 0, INF], [INF, 1, 4, 0]]
    np.testing.assert_allclose(result, expected)


@pytest.mark.parametrize("kind", range(6))
@pytest.mark.parametrize("directed", [False, True])
def test_first_passage_of_absorbed_walks(all_kinds, kind, directed):
    """Long walks, step by step, that end at the target."""
    network = all_kinds(directed=directed).reshape(6, 12, 12)[kind].copy()
    if directed:
        network[8:, :8] = 0  # no way back
    result = diffusion.mean_first_passage_time(network, directed=directed)
    out = network.sum(axis=1, keepdims=True)
    step = network / np.where(out > 0, out, 1) + np.diag(1.0 * (out[:, 0] == 0))
    for target in range(12):
        ending = step.copy()
        ending[target] = 0
        alive = 1.0 * (np.arange(12) != target)
        summed, power = np.eye(12), ending.copy()
        for _ in range(16):
            summed = summed + power @ summed
            power = power @ power
        total = summed @ alive
        lost = power @ alive > 1e-9  # still walking after 65,536 steps
        total[lost] = INF
        total[target] = 0
        np.testing.assert_allclose(result[:, target], total, rtol=1e-9)


def test_first_passage_against_bctpy(modular):
    network = modular(20, density=0.5)
    theirs = bct.mean_first_passage_time(network)
    np.testing.assert_allclose(
        diffusion.mean_first_passage_time(network), theirs, rtol=1e-9, atol=1e-9
    )
    mean, pairwise = bct.diffusion_efficiency(network)
    assert diffusion.diffusion_efficiency(network) == pytest.approx(mean, rel=1e-10)
    np.testing.assert_allclose(diffusion.diffusion_efficiency_pairwise(network), pairwise)


@pytest.mark.parametrize("kind", range(6))
def test_communicability_against_scipy_and_networkx(all_kinds, kind):
    adjacency = all_kinds(binary=True, directed=True).reshape(6, 12, 12)[kind]
    result = diffusion.communicability_binary(adjacency, directed=True)
    np.testing.assert_allclose(result, scipy.linalg.expm(adjacency), rtol=1e-11, atol=1e-13)
    adjacency = all_kinds(binary=True).reshape(6, 12, 12)[kind]
    result = diffusion.communicability_binary(adjacency)
    theirs = networkx.communicability_exp(networkx.from_numpy_array(adjacency))
    expected = [[theirs[i][j] for j in range(12)] for i in range(12)]
    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(
        np.diagonal(result), centrality.subgraph_centrality(adjacency), rtol=1e-11
    )


def test_communicability_of_pieces_and_of_far_regions():
    cliques = np.kron(np.eye(2), np.ones((40, 40)) - np.eye(40))
    result = diffusion.communicability_binary(cliques)  # within: about 1e15
    np.testing.assert_array_equal(result[:40, 40:], 0)
    inside = (np.exp(39) - np.exp(-1)) / 40
    np.testing.assert_allclose(result[0, 1:40], inside, rtol=1e-12)
    path = np.diag(np.ones(29), 1) + np.diag(np.ones(29), -1)
    ends = diffusion.communicability_binary(path)[0, -1]  # 1/29! and a little more, not 0
    terms = [
        np.linalg.matrix_power(path, k)[0, -1] / float(scipy.special.factorial(k))
        for k in range(29, 60)
    ]
    assert ends == pytest.approx(sum(terms), rel=1e-12)
    np.testing.assert_array_equal(diffusion.communicability_binary(EMPTY), np.eye(3))


def test_communicability_beyond_doubles_is_nan():
    huge = np.ones((2, 800, 800)) - np.eye(800)
    huge[1, 5:, :] = huge[1, :, 5:] = 0
    result = diffusion.communicability_binary(huge)
    assert np.isnan(result[0]).all()
    assert np.isfinite(result[1]).all()


@pytest.mark.parametrize("kind", range(6))
def test_communicability_weighted(all_kinds, kind):
    network = all_kinds().reshape(6, 12, 12)[kind]
    strength = network.sum(axis=1)
    root = np.sqrt(np.outer(strength, strength))
    scaled = np.divide(network, root, out=np.zeros((12, 12)), where=root > 0)
    expected = scipy.linalg.expm(scaled)
    result = diffusion.communicability_weighted(network)
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(diffusion.communicability_weighted(7e5 * network), result)
    assert result.max() <= np.e * (1 + 1e-14)
