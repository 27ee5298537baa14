"""Quasi-idempotence: closed forms and the definition, written out."""

import numpy as np
import pytest

from brainnet.metrics.idempotence import quasi_idempotence


def by_definition(weights, squarings):
    """Square, normalise by the largest singular value, correlate what is above the diagonal."""
    squared = weights / np.linalg.norm(weights, 2)
    for _ in range(squarings):
        squared = squared @ squared
        squared /= np.linalg.norm(squared, 2)
    upper = np.triu_indices(len(weights), 1)
    return np.corrcoef(weights[upper], squared[upper])[0, 1]


@pytest.mark.parametrize("squarings", [1, 2, np.inf])
def test_contract(contract, squarings):
    contract(lambda w: quasi_idempotence(w, squarings=squarings), rank=0)


def test_by_hand():
    # path of three: the weights are 1, 0, 1, those of the square 0, 1, 0
    path = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    np.testing.assert_allclose(quasi_idempotence(path), -1, rtol=1e-15)
    # ring of six: the limit is 1/3 at even distances, 0 at odd ones; all edges are odd ones
    ring = np.roll(np.eye(6), 1, axis=1) + np.roll(np.eye(6), -1, axis=1)
    weights, limit = np.array([6 * [1] + 9 * [0], 9 * [0] + 6 * [1]])
    expected = np.corrcoef(weights, limit)[0, 1]
    np.testing.assert_allclose(quasi_idempotence(ring, squarings=np.inf), expected, rtol=1e-12)


def test_collective_network_is_deeply_idempotent():
    vector = np.random.default_rng(0).uniform(0.2, 1, 60)
    weights = np.outer(vector, vector)
    np.fill_diagonal(weights, 0)
    assert quasi_idempotence(weights) > 0.99
    assert quasi_idempotence(weights, squarings=np.inf) > 0.99
    noise = np.triu(np.random.default_rng(1).random((60, 60)), 1)
    assert abs(quasi_idempotence(noise + noise.T)) < 0.2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("density", [0.2, 0.6])
def test_definition(modular, seed, density):
    weights = modular(30, density=density, seed=seed)
    for network in (weights, (weights > 0.5).astype(float)):  # without ties, and with
        for squarings in (1, 2, 3):
            # a correlation of a few hundred entries, of products of 30 terms
            ours = quasi_idempotence(network, squarings=squarings)
            np.testing.assert_allclose(ours, by_definition(network, squarings), rtol=1e-10)
        ours = quasi_idempotence(network, squarings=np.inf)
        np.testing.assert_allclose(ours, by_definition(network, 60), rtol=1e-9)


def test_in_any_unit(modular):
    weights = modular(20, density=0.4, seed=4)
    for squarings in (1, 4, np.inf):
        expected = quasi_idempotence(weights, squarings=squarings)
        for unit in (1e-200, 1e200):
            ours = quasi_idempotence(weights * unit, squarings=squarings)
            np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_more_squarings_than_change_anything(modular):
    weights = modular(20, density=0.4, seed=5)
    endless = quasi_idempotence(weights, squarings=np.inf)
    np.testing.assert_allclose(quasi_idempotence(weights, squarings=10**9), endless, rtol=1e-9)


@pytest.mark.parametrize("squarings", [1, 3, np.inf])
def test_nan_where_nothing_varies(squarings):
    for n in (1, 2, 3):
        assert np.isnan(quasi_idempotence(np.zeros((n, n)), squarings=squarings))
    for weight in (1, 0.1, 0.7):
        complete = weight * (np.ones((7, 7)) - np.eye(7))
        assert np.isnan(quasi_idempotence(complete, squarings=squarings))
    assert np.isnan(quasi_idempotence([[0, 2], [2, 0]], squarings=squarings))
    # 4 x 4 rook's graph: any two different regions have two neighbours in common
    row, column = np.divmod(np.arange(16), 4)
    rook = (row[:, None] == row) ^ (column[:, None] == column)
    assert np.isnan(quasi_idempotence(rook * 0.3, squarings=squarings))


@pytest.mark.parametrize("squarings", [0, -1, 1.5, np.nan])
def test_refuses_squarings(squarings):
    with pytest.raises(ValueError, match="squarings must be a whole number"):
        quasi_idempotence(np.zeros((3, 3)), squarings=squarings)
