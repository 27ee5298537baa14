"""Degree, strength and density: closed forms, contracts, and beside networkx and bctpy."""

import bct
import networkx
import numpy as np
import pytest

from brainnet.metrics import degree

CHAIN = np.array([[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
BINARY = [degree.degree, degree.degree_in, degree.degree_out]
WEIGHTED = [degree.strength, degree.strength_in, degree.strength_out]
SIGNED = [degree.strength_positive, degree.strength_negative]


def test_directed_closed_forms():
    np.testing.assert_array_equal(degree.degree_in(CHAIN), [0, 1, 2, 1])
    np.testing.assert_array_equal(degree.degree_out(CHAIN), [2, 1, 1, 0])
    np.testing.assert_array_equal(degree.strength_in(0.5 * CHAIN), [0, 0.5, 1, 0.5])
    np.testing.assert_array_equal(degree.strength_out(0.5 * CHAIN), [1, 0.5, 0.5, 0])
    assert degree.density(CHAIN, directed=True) == pytest.approx(4 / 12)
    expected = np.zeros((4, 4))
    expected[[0, 1, 2, 1], [2, 1, 1, 0]] = 1
    np.testing.assert_array_equal(degree.joint_degree(CHAIN), expected)


def test_closed_forms():
    star = networkx.to_numpy_array(networkx.star_graph(4))
    np.testing.assert_array_equal(degree.degree(star), [4, 1, 1, 1, 1])
    np.testing.assert_array_equal(degree.strength(-2 * star), [-8, -2, -2, -2, -2])
    np.testing.assert_array_equal(degree.strength_negative(-2 * star), [8, 2, 2, 2, 2])
    np.testing.assert_array_equal(degree.strength_positive(-2 * star), 0)
    assert degree.density(star) == pytest.approx(4 / 10)
    joint = degree.joint_degree(star)
    assert joint[4, 4] == 1
    assert joint[1, 1] == 4
    assert joint.sum() == 5


def test_one_region():
    one = np.zeros((1, 1))
    for measure in BINARY + WEIGHTED + SIGNED:
        np.testing.assert_array_equal(measure(one), [0])
    assert np.isnan(degree.density(one))
    np.testing.assert_array_equal(degree.joint_degree(one), [[1]])


def test_contracts(contract):
    contract(degree.degree, rank=1, binary=True)
    contract(degree.degree_in, rank=1, binary=True, directed=True)
    contract(degree.degree_out, rank=1, binary=True, directed=True)
    contract(degree.joint_degree, rank=2, binary=True, directed=True, reorder=False)
    contract(degree.density, rank=0, binary=True)
    contract(lambda a: degree.density(a, directed=True), rank=0, binary=True, directed=True)
    contract(degree.strength, rank=1, signed=True)
    contract(degree.strength_in, rank=1, signed=True, directed=True)
    contract(degree.strength_out, rank=1, signed=True, directed=True)
    contract(degree.strength_positive, rank=1, signed=True)
    contract(degree.strength_negative, rank=1, signed=True)


def test_joint_degree_does_not_depend_on_the_order(all_kinds):
    networks = all_kinds(binary=True, directed=True)
    order = np.random.default_rng(0).permutation(12)
    reordered = networks[..., order, :][..., order]
    np.testing.assert_array_equal(degree.joint_degree(reordered), degree.joint_degree(networks))


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_pinned(share):
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(40, 40)) * (rng.random((40, 40)) < share)
    np.fill_diagonal(weights, 0)
    graph = networkx.from_numpy_array(weights, create_using=networkx.DiGraph)
    adjacency = weights != 0
    np.testing.assert_array_equal(degree.degree_in(adjacency), [k for _, k in graph.in_degree()])
    np.testing.assert_array_equal(degree.degree_out(adjacency), [k for _, k in graph.out_degree()])
    expected = [s for _, s in graph.in_degree(weight="weight")]
    np.testing.assert_allclose(degree.strength_in(weights), expected, atol=1e-13)
    expected = [s for _, s in graph.out_degree(weight="weight")]
    np.testing.assert_allclose(degree.strength_out(weights), expected, atol=1e-13)
    assert degree.density(adjacency, directed=True) == pytest.approx(networkx.density(graph))
    both = weights + weights.T
    positive, negative, _, _ = bct.strengths_und_sign(both)
    np.testing.assert_allclose(degree.strength_positive(both), positive, atol=1e-13)
    np.testing.assert_allclose(degree.strength_negative(both), -negative, atol=1e-13)
    np.testing.assert_allclose(degree.strength(both), bct.strengths_und(both), atol=1e-13)
    np.testing.assert_array_equal(degree.degree(both != 0), bct.degrees_und(both))
    joint = degree.joint_degree(adjacency)
    np.testing.assert_array_equal(
        joint.sum(axis=1), np.bincount(degree.degree_in(adjacency).astype(int), minlength=40)
    )
    np.testing.assert_array_equal(
        joint.sum(axis=0), np.bincount(degree.degree_out(adjacency).astype(int), minlength=40)
    )
