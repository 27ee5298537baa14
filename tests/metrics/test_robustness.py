"""Vulnerability, hierarchy, synchronisability: graphs by hand, and the definitions in a loop."""

import networkx
import numpy as np
import pytest

from brainnet.metrics import efficiency, robustness

STAR = networkx.to_numpy_array(networkx.star_graph(4))
RING = networkx.to_numpy_array(networkx.cycle_graph(7))
PATH = networkx.to_numpy_array(networkx.path_graph(4))
COMPLETE = np.ones((5, 5)) - np.eye(5)
EMPTY = np.zeros((4, 4))
KINDS = range(6)


@pytest.mark.parametrize(
    "measure, rank, options",
    [
        (robustness.vulnerability_binary, 1, {"binary": True}),
        (robustness.vulnerability_weighted, 1, {}),
        (robustness.hierarchy_binary, 0, {"binary": True}),
        (robustness.hierarchy_weighted, 0, {}),
        (robustness.synchronizability, 0, {}),
    ],
)
def test_contract(contract, measure, rank, options):
    contract(measure, rank=rank, **options)


def lost(network, global_efficiency):
    """The definition: the network of the others, for each region."""
    n = len(network)
    whole = global_efficiency(network)
    rest = [np.delete(np.arange(n), i) for i in range(n)]
    values = np.array([global_efficiency(network[np.ix_(r, r)]) for r in rest])
    return (whole - values) / whole if whole > 0 else np.full(n, np.nan)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [3, 4, 5, 9, 12])
def test_vulnerability_region_by_region(all_kinds, kind, n):
    network = all_kinds().reshape(6, 12, 12)[kind][:n, :n]
    np.testing.assert_allclose(
        robustness.vulnerability_weighted(network),
        lost(network, efficiency.global_efficiency),
        rtol=1e-10,
        atol=1e-13,
    )
    np.testing.assert_allclose(
        robustness.vulnerability_binary(network > 0),
        lost(network > 0, efficiency.global_efficiency_binary),
        rtol=1e-10,
        atol=1e-13,
    )


def test_vulnerability_against_networkx(weights):
    expected = lost(
        (weights > 0) * 1.0, lambda a: networkx.global_efficiency(networkx.from_numpy_array(a))
    )
    np.testing.assert_allclose(robustness.vulnerability_binary(weights > 0), expected, atol=1e-12)


def test_vulnerability_by_hand():
    star = robustness.vulnerability_binary(STAR)
    np.testing.assert_allclose(star, [1] + [(0.7 - 0.75) / 0.7] * 4)
    np.testing.assert_allclose(robustness.vulnerability_weighted(3 * STAR), star)
    np.testing.assert_allclose(robustness.vulnerability_binary(COMPLETE), 0, atol=1e-15)
    assert np.isnan(robustness.vulnerability_binary(EMPTY)).all()
    assert np.isnan(robustness.vulnerability_binary([[0]])).all()
    assert np.isnan(robustness.vulnerability_weighted([[0, 1.0], [1.0, 0]])).all()


@pytest.mark.parametrize("kind", KINDS)
def test_hierarchy_against_a_fitted_line(all_kinds, kind):
    network = all_kinds().reshape(6, 12, 12)[kind]
    for weighted in (False, True):
        graph = networkx.from_numpy_array(network)
        values = networkx.clustering(graph, weight="weight" if weighted else None)
        clustering = np.array([values[i] for i in range(12)])
        amount = (network if weighted else network > 0).sum(axis=1)
        used = clustering > 0
        expected = np.nan
        if len(np.unique(amount[used].round(9))) > 1:
            expected = -np.polyfit(np.log(amount[used]), np.log(clustering[used]), 1)[0]
        measure = robustness.hierarchy_weighted if weighted else robustness.hierarchy_binary
        result = measure(network if weighted else network > 0)
        np.testing.assert_allclose(result, expected, rtol=1e-9)


def test_hierarchy_by_hand():
    for network in (STAR, RING, COMPLETE, EMPTY, [[0.0]]):  # no triangle, or one degree
        assert np.isnan(robustness.hierarchy_binary(network))
        assert np.isnan(robustness.hierarchy_weighted(network))
    windmill = networkx.to_numpy_array(networkx.windmill_graph(4, 3))  # C = 1/(k - 1) at its hub
    assert robustness.hierarchy_binary(windmill) == pytest.approx(np.log(7) / np.log(4))
    assert robustness.hierarchy_weighted(5 * windmill) == pytest.approx(np.log(7) / np.log(4))


@pytest.mark.parametrize("kind", KINDS)
def test_synchronizability_against_networkx(all_kinds, kind):
    network = all_kinds().reshape(6, 12, 12)[kind]
    values = np.sort(networkx.laplacian_spectrum(networkx.from_numpy_array(network)))
    expected = values[1] / values[-1] if values[-1] > 0 else 0
    assert robustness.synchronizability(network) == pytest.approx(expected, abs=1e-14)


def test_synchronizability_by_hand(weights):
    assert robustness.synchronizability(STAR) == pytest.approx(1 / 5)
    assert robustness.synchronizability(COMPLETE) == pytest.approx(1)
    rates = 2 - 2 * np.cos(2 * np.pi * np.arange(1, 7) / 7)
    assert robustness.synchronizability(RING) == pytest.approx(rates.min() / rates.max())
    assert robustness.synchronizability(7e5 * RING) == pytest.approx(rates.min() / rates.max())
    assert robustness.synchronizability(EMPTY) == 0
    assert robustness.synchronizability(weights) == 0
    assert robustness.synchronizability([[0, 0.1], [0.1, 0]]) == pytest.approx(1)
    assert np.isnan(robustness.synchronizability([[0.0]]))
