"""Nulls that keep signed degrees, and those that match strengths."""

import bct
import numpy as np
import pytest

from brainnet.metrics import nulls

SIGNED = [nulls.rewire_signed, nulls.rewire_strength_ranked]
SIGNED_DIRECTED = [nulls.rewire_signed_directed, nulls.rewire_strength_ranked_directed]
ANNEALED = [nulls.rewire_strength_annealed, nulls.rewire_strength_annealed_directed]
STRENGTH = [*SIGNED[1:], *SIGNED_DIRECTED[1:], *ANNEALED]
DIRECTED = [*SIGNED_DIRECTED, nulls.rewire_strength_annealed_directed]
ALL = [*SIGNED, *SIGNED_DIRECTED, *ANNEALED]


def random_signed(n, density, *, directed=False, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.lognormal(size=(n, n)) * np.where(rng.random((n, n)) < 0.7, 1, -1)
    weights *= rng.random((n, n)) < density
    if directed:
        return weights * (1 - np.eye(n))
    return np.triu(weights, 1) + np.triu(weights, 1).T


def assert_same_signed_degrees(null, weights):
    for axis in (0, 1):
        np.testing.assert_array_equal((null > 0).sum(axis), (weights > 0).sum(axis))
        np.testing.assert_array_equal((null < 0).sum(axis), (weights < 0).sum(axis))


@pytest.mark.parametrize("measure", SIGNED + SIGNED_DIRECTED)
@pytest.mark.parametrize("density", [0.2, 1.0])
def test_signed_degrees_and_weights_stay(measure, density):
    directed = measure in SIGNED_DIRECTED
    batch = np.array([random_signed(40, density, directed=directed, seed=s) for s in (1, 2)])
    drawn = measure(batch, n_nulls=5, rng=2)
    assert drawn.shape == (2, 5, 40, 40)
    for weights, some in zip(batch, drawn, strict=True):
        for null in some:
            assert_same_signed_degrees(null, weights)
            np.testing.assert_array_equal(np.sort(null, axis=None), np.sort(weights, axis=None))
            assert ((null != 0) & (np.sign(null) != np.sign(weights))).sum() > 0.3 * density * 1600
            assert directed or (null == null.T).all()
    np.testing.assert_array_equal(measure(batch, n_nulls=2, rng=2), drawn[:, :2])


@pytest.mark.parametrize("measure", ANNEALED)
def test_annealed_keeps_degrees_and_weights(measure):
    weights = random_signed(40, 0.3, directed=measure in DIRECTED)
    for null in measure(weights, n_nulls=3):
        for axis in (0, 1):
            np.testing.assert_array_equal((null != 0).sum(axis), (weights != 0).sum(axis))
        np.testing.assert_array_equal(np.sort(null, axis=None), np.sort(weights, axis=None))


@pytest.mark.parametrize("measure", STRENGTH)
def test_strengths_match_but_edges_do_not(measure):
    weights = np.abs(random_signed(80, 0.3, directed=measure in DIRECTED))
    drawn = measure(weights, n_nulls=5)
    least = 0.9999 if measure in ANNEALED else 0.9
    assert nulls.strength_correlation(weights, drawn).min() > least
    present = weights > 0
    assert (drawn[:, present] > 0).mean() < 0.5


@pytest.mark.parametrize("measure", STRENGTH)
def test_the_scale_of_the_weights_does_not_matter(measure):
    weights = np.abs(random_signed(30, 0.4, directed=measure in DIRECTED))
    np.testing.assert_allclose(measure(1024 * weights), 1024 * measure(weights), rtol=1e-12)


def test_rewiring_alone_does_not_match_strengths():
    weights = np.abs(random_signed(80, 0.3))
    drawn = nulls.rewire(weights, n_nulls=5)
    assert nulls.strength_correlation(weights, drawn).max() < 0.8


def test_either_sign_is_matched():
    weights = random_signed(80, 0.5)
    (null,) = nulls.rewire_strength_ranked(weights)
    for sign in (1, -1):
        one, other = np.maximum(sign * weights, 0), np.maximum(sign * null, 0)
        assert nulls.strength_correlation(one, other[None]) > 0.85


@pytest.mark.filterwarnings("ignore:invalid value")
def test_ranked_matches_as_well_as_the_toolbox():
    """Positive weights only: bctpy turns negative ones positive. The mean over 40 draws
    has a standard error of 0.007, and the toolbox's depends on its seeds no less."""
    weights = np.abs(random_signed(20, 0.4))
    theirs = [bct.null_model_und_sign(weights.copy(), 5, 1.0, seed=s)[0] for s in range(40)]
    ours = nulls.rewire_strength_ranked(weights, n_nulls=200)
    matched = nulls.strength_correlation(weights, np.array(theirs))
    mean = nulls.strength_correlation(weights, ours).mean()
    assert mean == pytest.approx(matched.mean(), abs=0.025)


def test_more_exchanges_match_better():
    weights = np.abs(random_signed(40, 0.3))
    kept = [
        nulls.strength_correlation(
            weights, nulls.rewire_strength_annealed(weights, exchanges_per_edge=k, n_nulls=4)
        ).mean()
        for k in (0, 20, 500)
    ]
    assert kept[0] < kept[1] < kept[2]


def test_annealing_minimises_the_squared_error():
    """Of a star's weights dealt out otherwise, only the one for its own strengths is left."""
    star = np.zeros((6, 6))
    star[0, 1:] = star[1:, 0] = [0.1, 0.2, 0.3, 0.4, 0.5]
    np.testing.assert_array_equal(
        nulls.rewire_strength_annealed(star, n_nulls=4), np.broadcast_to(star, (4, 6, 6))
    )
    circle = np.roll(np.diag([1.0, 2, 3, 4, 5]), 1, axis=1)
    (null,) = nulls.rewire_strength_annealed_directed(circle, swaps_per_edge=0)
    np.testing.assert_array_equal(null, circle)


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize(
    "network",
    [
        np.zeros((1, 1)),
        np.zeros((4, 4)),
        np.array([[0, 0.5], [0.5, 0]]),
        -np.ones((5, 5)) + np.eye(5),
    ],
)
def test_what_has_no_other_network_is_returned(measure, network):
    np.testing.assert_array_equal(measure(network, n_nulls=2), [network, network])


def test_strength_correlation_is_pearsons():
    weights = random_signed(20, 0.5, directed=True)
    drawn = nulls.rewire_directed(weights, n_nulls=3)
    ends = np.concatenate([weights.sum(0), weights.sum(1)])
    expected = [
        np.corrcoef(ends, np.concatenate([null.sum(0), null.sum(1)]))[0, 1] for null in drawn
    ]
    np.testing.assert_allclose(nulls.strength_correlation(weights, drawn), expected)
    ring = np.roll(np.eye(5), 1, axis=1) + np.roll(np.eye(5), -1, axis=1)
    assert np.isnan(nulls.strength_correlation(ring, nulls.rewire(ring, n_nulls=3))).all()
    with pytest.raises(ValueError, match="nulls must have one axis more"):
        nulls.strength_correlation(weights, weights)


@pytest.mark.parametrize("measure", ALL)
def test_what_users_do_wrong(measure):
    with pytest.raises(ValueError, match="n_nulls"):
        measure(np.zeros((3, 3)), n_nulls=-1)
    with pytest.raises(ValueError, match="swaps_per_edge"):
        measure(np.zeros((3, 3)), swaps_per_edge=np.inf)
    with pytest.raises(ValueError, match="zero diagonal"):
        measure(np.eye(3))
    if measure in ANNEALED:
        with pytest.raises(ValueError, match="exchanges_per_edge"):
            measure(np.zeros((3, 3)), exchanges_per_edge=-1)
    if measure not in DIRECTED:
        with pytest.raises(ValueError, match="symmetric"):
            measure(np.eye(3, k=1))
