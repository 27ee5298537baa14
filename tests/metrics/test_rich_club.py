"""Rich clubs: closed forms, contracts, brute force, and beside networkx and bctpy."""

import bct
import networkx
import numpy as np
import pytest

from brainnet.metrics import rich_club

KITE = np.array([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]])
NAN = np.nan


def random_weights(share, *, seed, ties=False, directed=False, n=25):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.01, 1, (n, n))
    weights = np.ceil(3 * weights) if ties else weights
    hubs = np.linspace(0.2, 1, n)
    weights *= rng.random((n, n)) < share * np.sqrt(np.outer(hubs, hubs))
    weights = np.triu(weights, 1) + (np.tril(weights, -1) if directed else 0)
    return weights if directed else weights + weights.T


def by_hand(weights, degrees, n_levels, *, weighted):
    result = np.full(n_levels, NAN)
    ranked = np.sort(weights[weights > 0])[::-1]
    for k in range(n_levels):
        club = weights[np.ix_(degrees > k, degrees > k)]
        n_edges = (club > 0).sum()
        if weighted and n_edges:
            result[k] = club.sum() / ranked[:n_edges].sum()
        elif not weighted and len(club) > 1:
            result[k] = n_edges / (len(club) * (len(club) - 1))
    return result


@pytest.mark.parametrize("share", [0.05, 0.4, 1.0])
@pytest.mark.parametrize("ties", [False, True])
def test_by_hand(share, ties):
    weights = random_weights(share, seed=0, ties=ties)
    degrees = (weights > 0).sum(axis=0)
    np.testing.assert_allclose(
        rich_club.rich_club_binary(weights > 0), by_hand(weights, degrees, 25, weighted=False)
    )
    np.testing.assert_allclose(
        rich_club.rich_club_weighted(weights), by_hand(weights, degrees, 25, weighted=True)
    )
    weights = random_weights(share, seed=1, ties=ties, directed=True)
    degrees = (weights > 0).sum(axis=0) + (weights > 0).sum(axis=1)
    np.testing.assert_allclose(
        rich_club.rich_club_binary_directed(weights > 0),
        by_hand(weights, degrees, 49, weighted=False),
    )
    np.testing.assert_allclose(
        rich_club.rich_club_weighted_directed(weights), by_hand(weights, degrees, 49, weighted=True)
    )


def test_pinned():
    weights = random_weights(0.5, seed=2)
    graph = networkx.from_numpy_array(weights)
    found = rich_club.rich_club_binary(weights > 0)
    for k, value in networkx.rich_club_coefficient(graph, normalized=False).items():
        assert found[k] == pytest.approx(value, rel=1e-14)
    directed = random_weights(0.5, seed=3, directed=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_degrees_above, _, _ = bct.rich_club_bu((weights > 0).astype(float))
        directed_above, _, _ = bct.rich_club_bd((directed > 0).astype(float))
        at_least = bct.rich_club_wu(weights)
        directed_at_least = bct.rich_club_wd(directed)
    assert len(of_degrees_above) == (weights > 0).sum(axis=0).max()
    np.testing.assert_allclose(found[1 : len(of_degrees_above) + 1], of_degrees_above)
    np.testing.assert_allclose(
        rich_club.rich_club_binary_directed(directed > 0)[1 : len(directed_above) + 1],
        directed_above,
    )
    for theirs, ours in (
        (at_least, rich_club.rich_club_weighted(weights)),
        (directed_at_least, rich_club.rich_club_weighted_directed(directed)),
    ):
        defined = ~np.isnan(theirs)  # bctpy: not where all regions belong
        assert defined.sum() > 5
        np.testing.assert_allclose(ours[: len(theirs)][defined], theirs[defined], rtol=1e-12)
        belong = np.isnan(theirs) & ~np.isnan(ours[: len(theirs)])
        np.testing.assert_allclose(ours[: len(theirs)][belong], 1, rtol=1e-14)


def test_closed_forms():
    np.testing.assert_allclose(rich_club.rich_club_binary(KITE), [4 / 6, 1, NAN, NAN])
    weights = KITE * [[0, 1, 1, 3], [1, 0, 2, 0], [1, 2, 0, 0], [3, 0, 0, 0]]
    # the triangle weighs 4 where the three heaviest edges weigh 6
    np.testing.assert_allclose(rich_club.rich_club_weighted(weights), [1, 4 / 6, NAN, NAN])
    complete = np.ones((4, 4)) - np.eye(4)
    for measure in (rich_club.rich_club_binary, rich_club.rich_club_weighted):
        np.testing.assert_array_equal(measure(complete), [1, 1, 1, NAN])
        np.testing.assert_array_equal(measure(np.zeros((3, 3))), [NAN] * 3)
        np.testing.assert_array_equal(measure(np.zeros((1, 1))), [NAN])
        np.testing.assert_array_equal(measure(np.ones((2, 2)) - np.eye(2)), [1, NAN])
    edge = np.zeros((3, 3))
    edge[0, 1] = 1
    for measure in (rich_club.rich_club_binary_directed, rich_club.rich_club_weighted_directed):
        np.testing.assert_array_equal(measure(np.zeros((1, 1))), [NAN])
        assert measure(edge)[0] == (0.5 if measure is rich_club.rich_club_binary_directed else 1)


def test_normalised():
    observed = np.array([[0.5, 0.8, NAN], [0.5, 0.5, 0.5]])
    nulls = np.array([[[0.5, 0.4, NAN], [0, NAN, NAN]], [[0.5, 0.6, NAN], [0, 0.25, NAN]]])
    expected = [[1, 1.6, NAN], [NAN, 2, NAN]]
    np.testing.assert_allclose(rich_club.rich_club_normalized(observed, nulls), expected)
    for wrong in (nulls[0], nulls[:0], nulls[..., :2], 0.5):
        with pytest.raises(ValueError, match="nulls must be of shape"):
            rich_club.rich_club_normalized(observed, wrong)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scale(scale):
    weights = random_weights(0.5, seed=4)
    np.testing.assert_allclose(
        rich_club.rich_club_weighted(scale * weights), rich_club.rich_club_weighted(weights)
    )


def test_order_of_regions_does_not_matter():
    weights = random_weights(0.5, seed=5, directed=True)
    order = np.random.default_rng(0).permutation(25)
    reordered = weights[np.ix_(order, order)]
    for measure, (first, second) in (
        (rich_club.rich_club_binary, (weights + weights.T > 0, reordered + reordered.T > 0)),
        (rich_club.rich_club_binary_directed, (weights > 0, reordered > 0)),
        (rich_club.rich_club_weighted, (weights + weights.T, reordered + reordered.T)),
        (rich_club.rich_club_weighted_directed, (weights, reordered)),
    ):
        np.testing.assert_allclose(measure(first), measure(second), rtol=1e-12)


def test_contracts(contract):
    contract(rich_club.rich_club_binary, rank=1, binary=True, reorder=False)
    contract(rich_club.rich_club_weighted, rank=1, reorder=False)
    contract(
        lambda a: rich_club.rich_club_binary_directed(a)[..., :12],
        rank=1,
        binary=True,
        directed=True,
        reorder=False,
    )
    contract(
        lambda w: rich_club.rich_club_weighted_directed(w)[..., :12],
        rank=1,
        directed=True,
        reorder=False,
    )
