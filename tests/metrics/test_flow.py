"""The flow coefficient: closed forms, the formula, clustering, and bctpy."""

import bct
import networkx as nx
import numpy as np
import pytest

from brainnet.metrics.flow import flow_coefficient, total_flow


def random_directed(n, density, seed):
    adjacency = np.random.default_rng(seed).random((n, n)) < density
    return (adjacency & ~np.eye(n, dtype=bool)).astype(float)


def test_contract(contract):
    for measure in (flow_coefficient, total_flow):
        contract(measure, rank=1, binary=True)
        contract(lambda a, m=measure: m(a, directed=True), rank=1, binary=True, directed=True)


def test_star_path_and_complete():
    star = np.zeros((5, 5))
    star[0, 1:] = star[1:, 0] = 1
    np.testing.assert_array_equal(flow_coefficient(star), [1, 0, 0, 0, 0])
    np.testing.assert_array_equal(total_flow(star), [12, 0, 0, 0, 0])
    path = np.diag(np.ones(2), 1) + np.diag(np.ones(2), -1)
    np.testing.assert_array_equal(flow_coefficient(path), [0, 1, 0])
    assert not flow_coefficient(np.ones((6, 6)) - np.eye(6)).any()


def test_directed_by_hand():
    ring = np.roll(np.eye(3), 1, axis=1)  # 0 to 1 to 2 to 0
    np.testing.assert_array_equal(flow_coefficient(ring, directed=True), [0.5] * 3)
    closed = ring.copy()
    closed[2, 1] = 1  # joins the ends of the path 2 to 0 to 1
    np.testing.assert_array_equal(flow_coefficient(closed, directed=True), [0, 0.5, 0.5])
    sink = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])  # nothing flows on
    np.testing.assert_array_equal(total_flow(sink, directed=True), [0, 0, 0])


@pytest.mark.parametrize("n, density", [(10, 0.3), (64, 0.1), (65, 0.4), (130, 0.2)])
def test_formula(n, density):
    adjacency = random_directed(n, density, n)
    near = (adjacency + adjacency.T) > 0
    through = adjacency.T[:, :, None] * adjacency[:, None, :]  # (region, from, to)
    flow = (through * (1 - adjacency) * (1 - np.eye(n))).sum(axis=(1, 2))
    pairs = near.sum(axis=1) * (near.sum(axis=1) - 1)
    np.testing.assert_array_equal(total_flow(adjacency, directed=True), flow)
    np.testing.assert_array_equal(
        flow_coefficient(adjacency, directed=True), flow / np.maximum(pairs, 1)
    )


def test_undirected_is_the_rest_of_clustering(modular):
    adjacency = modular(30, density=0.3, seed=1) > 0
    clustering = np.array(list(nx.clustering(nx.from_numpy_array(adjacency)).values()))
    enough = adjacency.sum(axis=1) > 1
    # one rounding of a ratio and one of a difference
    np.testing.assert_allclose(
        flow_coefficient(adjacency)[enough], (1 - clustering)[enough], atol=1e-15
    )
    assert enough.sum() > 20


def test_flow_coef_bd_of_bctpy():
    adjacency = random_directed(25, 0.3, 3)
    coefficient, mean, total = bct.flow_coef_bd(adjacency)
    ours = flow_coefficient(adjacency, directed=True)
    np.testing.assert_array_equal(ours, coefficient)
    np.testing.assert_allclose(ours.mean(), mean, rtol=1e-15)
    np.testing.assert_array_equal(total_flow(adjacency, directed=True), total)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_neighbours(n):
    np.testing.assert_array_equal(flow_coefficient(np.zeros((n, n))), np.zeros(n))
    edge = np.zeros((n + 1, n + 1))
    edge[0, 1] = edge[1, 0] = 1
    np.testing.assert_array_equal(flow_coefficient(edge), np.zeros(n + 1))
    np.testing.assert_array_equal(flow_coefficient(np.triu(edge), directed=True), np.zeros(n + 1))
