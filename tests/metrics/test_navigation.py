"""Navigation: graphs by hand, and every message sent step by step."""

import bct
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from brainnet.metrics import navigation, paths

CENTROIDS = np.random.default_rng(0).normal(size=(12, 3))
APART = cdist(CENTROIDS, CENTROIDS)
MEASURES = [
    (navigation.navigation_success, 0, {"binary": True}),
    (navigation.navigation_hops, 2, {"binary": True}),
    (navigation.navigation_distances, 2, {"binary": True}),
    (navigation.navigation_lengths, 2, {}),
]


def sent(edges, apart, lengths):
    """Each message on its own."""
    n = len(edges)
    result = np.full((n, n), np.inf)
    for source, target in np.ndindex(n, n):
        at, total, seen = source, 0.0, set()
        while at != target and at not in seen and edges[at].any():
            seen.add(at)
            near = np.flatnonzero(edges[at])
            ahead = target if edges[at, target] else near[apart[target, near].argmin()]
            total += lengths[at, ahead]
            at = ahead
        if at == target:
            result[source, target] = total
    return result


def lengths_of(network):
    return np.divide(1, network, out=np.zeros(network.shape), where=network > 0)


@pytest.mark.parametrize("measure, rank, options", MEASURES)
def test_contract(contract, measure, rank, options):
    contract(lambda a: measure(a, APART), rank=rank, reorder=False, **options)
    contract(
        lambda a: measure(a, APART, directed=True),
        rank=rank,
        reorder=False,
        directed=True,
        **options,
    )


@pytest.mark.parametrize("measure, rank, options", MEASURES)
def test_order_of_regions_does_not_matter(all_kinds, measure, rank, options):
    order = np.random.default_rng(1).permutation(12)
    for network in all_kinds(**options).reshape(6, 12, 12):
        result = measure(network, APART)
        expected = result[np.ix_(order, order)] if rank else result
        mixed = measure(network[np.ix_(order, order)], APART[np.ix_(order, order)])
        np.testing.assert_allclose(mixed, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", range(6))
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("rounded", [False, True])
def test_messages_one_by_one(all_kinds, kind, directed, rounded):
    network = all_kinds(directed=directed).reshape(6, 12, 12)[kind]
    apart = np.round(APART) if rounded else APART  # ties, and regions in the same place
    edges = network > 0
    options = {"directed": directed}
    hops = sent(edges, apart, edges)
    np.testing.assert_array_equal(navigation.navigation_hops(edges, apart, **options), hops)
    lengths = navigation.navigation_lengths(network, apart, **options)
    np.testing.assert_allclose(lengths, sent(edges, apart, lengths_of(network)), rtol=1e-12)
    walked = navigation.navigation_distances(edges, apart, **options)
    np.testing.assert_allclose(walked, sent(edges, apart, apart), rtol=1e-12)
    success = navigation.navigation_success(edges, apart, **options)
    assert success == pytest.approx(np.isfinite(hops[~np.eye(12, dtype=bool)]).mean())


@pytest.mark.parametrize("density", [0.15, 0.4])
def test_against_bctpy(modular, density):
    network = modular(30, density=density, seed=3)
    place = np.random.default_rng(2).normal(size=(30, 3))
    apart = cdist(place, place)
    success, hops, lengths, walked, _ = bct.navigation_wu(lengths_of(network), apart)
    for theirs in (hops, lengths, walked):
        np.fill_diagonal(theirs, 0)
    assert 0 < success < 1
    edges = network > 0
    assert navigation.navigation_success(edges, apart) == pytest.approx(success)
    np.testing.assert_array_equal(navigation.navigation_hops(edges, apart), hops)
    ours = navigation.navigation_lengths(network, apart)
    np.testing.assert_allclose(ours, lengths, rtol=1e-12)
    assert (ours >= paths.distances_weighted(network) * (1 - 1e-12)).all()
    np.testing.assert_allclose(navigation.navigation_distances(edges, apart), walked, rtol=1e-12)


def test_by_hand():
    # 0 - 1 - 2 bent back so that 3, joined to 2 only, lies close to 0
    place = np.array([[0, 0], [-2, 0], [-2, 3], [1, 1.0]])
    edges = np.zeros((4, 4), dtype=bool)
    for i, j in [(0, 1), (1, 2), (2, 3)]:
        edges[i, j] = edges[j, i] = True
    hops = navigation.navigation_hops(edges, cdist(place, place))
    np.testing.assert_array_equal(hops[0], [0, 1, 2, np.inf])  # 0, 1, and back
    np.testing.assert_array_equal(hops[3], [np.inf, 2, 1, 0])  # 3, 2, and back to 3
    np.testing.assert_array_equal(hops[2], [np.inf, 1, 0, 1])
    line = np.abs(np.subtract.outer(np.arange(4), np.arange(4))) * 1.0
    complete = ~np.eye(4, dtype=bool)
    np.testing.assert_array_equal(navigation.navigation_hops(complete, line), complete)
    empty = np.zeros((4, 4))
    assert navigation.navigation_success(empty, line) == 0
    assert navigation.navigation_success(complete, 0 * line) == 1  # all in one place
    assert np.isnan(navigation.navigation_success([[0]], [[0.0]]))


def test_a_circle_of_three_is_left():
    edges = np.zeros((4, 4))
    for i, j in [(0, 1), (1, 2), (2, 0)]:  # one way round, and a target that no edge leads to
        edges[i, j] = 1
    apart = np.ones((4, 4)) - np.eye(4)
    hops = navigation.navigation_hops(edges, apart, directed=True)
    assert np.isinf(hops[:3, 3]).all()
    np.testing.assert_array_equal(hops[0], [0, 1, 2, np.inf])


@pytest.mark.parametrize(
    "distances, word",
    [(APART[:5, :5], "shape"), (-APART, "non-negative"), (np.triu(APART), "symmetric")],
)
def test_distances_are_checked(all_kinds, distances, word):
    for measure, _, _ in MEASURES:
        with pytest.raises(ValueError, match=rf"distances must be .*{word}"):
            measure(all_kinds(binary=True), distances)
