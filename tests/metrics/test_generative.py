"""Grown networks: every probability by brute force, and the energy by the paper."""

import networkx as nx
import numpy as np
import pytest
from scipy import stats

from brainnet.metrics import generative
from brainnet.metrics._growth import RULES


def box(n, seed=0):
    coordinates = np.random.default_rng(seed).uniform(1, 10, (n, 3))
    return np.linalg.norm(coordinates[:, None] - coordinates, axis=-1)


def likeness(network, rule):
    """K of the paper, with networkx and loops."""
    graph = nx.from_numpy_array(network.astype(int))
    n = len(network)
    values = np.array([nx.clustering(graph)[i] for i in range(n)])
    if rule.startswith("degree"):
        values = network.sum(0)
    combine = {
        "average": lambda x, y: (x + y) / 2,
        "minimum": min,
        "maximum": max,
        "difference": lambda x, y: abs(x - y),
        "product": lambda x, y: x * y,
    }
    result = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            near, far = set(graph[i]) - {j}, set(graph[j]) - {i}
            if rule == "spatial":
                result[i, j] = 1
            elif rule == "neighbours":
                result[i, j] = len(near & far)
            elif rule == "matching":
                result[i, j] = 2 * len(near & far) / max(len(near) + len(far), 1)
            else:
                result[i, j] = combine[rule.split("_")[1]](values[i], values[j])
    return result


def start():
    """Eight regions: a triangle with a tail, a path, one isolated region."""
    network = np.zeros((8, 8), dtype=bool)
    for i, j in [(0, 1), (1, 2), (0, 2), (2, 3), (4, 5), (5, 6), (3, 4)]:
        network[i, j] = network[j, i] = True
    return network


@pytest.mark.parametrize("rule", RULES)
def test_the_next_edge_is_drawn_by_the_rule(rule):
    network, distances = start(), box(8)
    eta, gamma = -1.3, 0.4
    drawn = generative.grow(
        distances, 8, eta=eta, gamma=gamma, rule=rule, initial=network, n_networks=6000
    )
    upper = np.triu_indices(8, 1)
    fresh = ~network[upper]
    found = (drawn & ~network).sum(axis=0)[upper][fresh]
    power = 0 if rule == "spatial" else gamma
    chance = distances[upper] ** eta * (likeness(network, rule)[upper] + 1e-6) ** power
    chance = chance[fresh] / chance[fresh].sum()
    assert stats.chisquare(found, 6000 * chance).pvalue > 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_chances_after_many_edges_are_those_from_scratch(rule):
    """Two edges at once, or one and then one from the network so far, by the second edge."""
    network, distances = start(), box(8)
    more = generative.grow(distances, 15, eta=-1.0, gamma=0.5, rule=rule, initial=network)[0]
    assert more.sum() == 30
    assert (more & network).sum() == 14
    drawn = generative.grow(
        distances, 9, eta=-1.0, gamma=0.5, rule=rule, initial=network, n_networks=8000
    )
    upper = np.triu_indices(8, 1)
    expected = np.zeros(len(upper[0]))
    first = _chances(network, distances, rule)
    for place in np.flatnonzero(first):
        grown = network.copy()
        grown[upper[0][place], upper[1][place]] = grown[upper[1][place], upper[0][place]] = True
        expected += first[place] * _chances(grown, distances, rule)
        expected[place] += first[place]
    share = drawn.sum(axis=0)[upper] / 8000
    share[network[upper]] = 0
    error = np.sqrt(expected * (1 - expected) / 8000)
    assert (np.abs(share - expected) <= 4.5 * error + 1e-12).all()


def test_a_triangle_makes_all_three_regions_clustered():
    """The short pair closes a triangle first; then all three attract the regions outside."""
    network = np.zeros((5, 5), dtype=bool)
    network[1, [0, 2]] = network[[0, 2], 1] = True
    distances = np.ones((5, 5)) - np.eye(5)
    distances[0, 2] = distances[2, 0] = 1e-3
    drawn = generative.grow(
        distances,
        4,
        eta=-4.0,
        gamma=3.0,
        rule="clustering_maximum",
        initial=network,
        n_networks=3000,
    )
    assert drawn[:, 0, 2].all()
    found = drawn[:, :3, 3:].sum(axis=(0, 2))
    assert found.sum() == 3000
    assert stats.chisquare(found).pvalue > 1e-3


def _chances(network, distances, rule):
    upper = np.triu_indices(8, 1)
    power = 0 if rule == "spatial" else 0.5
    chance = (likeness(network, rule)[upper] + 1e-6) ** power / distances[upper]
    chance[network[upper]] = 0
    return chance / chance.sum()


def test_shapes_seeds_and_sweeps():
    distances = box(20)
    drawn = generative.grow(
        distances, 40, eta=[[-3.0, -2.0, 0.0]] * 2, gamma=0.3, n_networks=4, rng=2
    )
    assert drawn.shape == (2, 3, 4, 20, 20)
    assert drawn.dtype == bool
    assert (drawn.sum(axis=(-1, -2)) == 80).all()
    np.testing.assert_array_equal(drawn, drawn.swapaxes(-1, -2))
    again = generative.grow(
        distances, 40, eta=[[-3.0, -2.0, 0.0]] * 2, gamma=0.3, n_networks=2, rng=2
    )
    np.testing.assert_array_equal(again, drawn[:, :, :2])
    lengths = (drawn * distances).sum(axis=(-1, -2)).mean(axis=(0, 2))
    assert (np.diff(lengths) > 0).all()
    assert generative.grow(distances, 190, eta=-2.0).sum() == 380  # complete
    assert generative.grow(distances, 0, eta=-2.0).sum() == 0
    assert generative.grow([[0.0]], 0, eta=-2.0).shape == (1, 1, 1)


def test_energy_terms_are_ks_statistics():
    rng = np.random.default_rng(0)
    distances = box(25)
    networks = rng.random((3, 25, 25)) < 0.2
    networks = np.triu(networks, 1) | np.triu(networks, 1).swapaxes(1, 2)
    grown = generative.grow(distances, 60, eta=-2.0, gamma=0.4, n_networks=3)
    terms = generative.energy_terms(networks, grown, distances)
    assert terms.shape == (3, 4)
    upper = np.triu_indices(25, 1)
    for i in range(3):
        samples = []
        for network in (networks[i], grown[i]):
            graph = nx.from_numpy_array(network.astype(int))
            samples.append(
                [
                    network.sum(0),
                    list(nx.clustering(graph).values()),
                    np.round(list(nx.betweenness_centrality(graph).values()), 10),
                    distances[upper][network[upper]],
                ]
            )
        expected = [stats.ks_2samp(*pair).statistic for pair in zip(*samples, strict=True)]
        np.testing.assert_allclose(terms[i], expected, atol=1e-12)
    np.testing.assert_array_equal(generative.energy(networks, grown, distances), terms.max(axis=-1))
    assert generative.energy(networks[0], grown, distances).shape == (3,)
    assert np.isnan(generative.energy(np.zeros((25, 25)), grown[0], distances))
    np.testing.assert_array_equal(generative.energy(networks, networks, distances), 0)


def test_the_right_exponents_have_the_least_energy():
    distances = box(40)
    target = generative.grow(distances, 150, eta=-3.0, gamma=0.4)[0]
    etas = np.array([-8.0, -3.0, 1.0])
    found = generative.grow(distances, 150, eta=etas, gamma=0.4, n_networks=5, rng=9)
    energies = generative.energy(target, found, distances).mean(axis=-1)
    assert energies.argmin() == 1


@pytest.mark.parametrize(
    "wrong, word",
    [
        ({"rule": "matchin"}, "rule must be one of"),
        ({"n_edges": 1000}, "n_edges"),
        ({"n_edges": 3, "initial": start()}, "n_edges must be a whole number from 7"),
        ({"initial": np.zeros((3, 3))}, "initial must be of shape"),
        ({"n_networks": 0}, "n_networks"),
        ({"distances": np.zeros((8, 8))}, "distances must be positive"),
        ({"distances": np.array([box(8)] * 2)}, r"distances must be \(n_regions, n_regions\)"),
        ({"eta": -2000.0}, "eta and gamma must give"),
    ],
)
def test_what_users_do_wrong(wrong, word):
    arguments = {"distances": box(8), "n_edges": 10, "eta": -2.0} | wrong
    with pytest.raises(ValueError, match=word):
        generative.grow(**arguments)


def test_energy_needs_one_atlas():
    with pytest.raises(ValueError, match="as many regions"):
        generative.energy(start(), np.zeros((9, 9)), box(8))
