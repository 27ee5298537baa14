"""Networks that several tests measure, and what every measure owes."""

from collections.abc import Callable

import numpy as np
import pytest


def modular_weights(n_regions: int, n_modules: int = 4, *, density: float = 0.2, seed: int = 0):
    """Positive weights, stronger within modules, of which the strongest edges stay; no ties."""
    rng = np.random.default_rng(seed)
    module = np.arange(n_regions) % n_modules
    weights = rng.uniform(0.01, 0.6, (n_regions, n_regions))
    weights += 0.4 * (module[:, None] == module)
    weights = np.triu(weights, 1)
    cut = np.quantile(weights[np.triu_indices(n_regions, 1)], 1 - density)
    weights[weights < cut] = 0
    return weights + weights.T


@pytest.fixture
def modular() -> Callable[..., np.ndarray]:
    return modular_weights


@pytest.fixture
def weights() -> np.ndarray:
    """A connected-enough network with, at its end, a piece of two regions and an isolated one."""
    weights = np.zeros((23, 23))
    weights[:20, :20] = modular_weights(20, density=0.3)
    weights[20, 21] = weights[21, 20] = 0.37
    return weights


def networks_of_all_kinds(*, binary=False, directed=False, signed=False) -> np.ndarray:
    """(3, 2, 12, 12): dense, in pieces, empty, one edge, equal weights, complete."""
    dense = modular_weights(12, density=0.6, seed=1)
    pieces = modular_weights(12, density=0.15, seed=2)
    empty = np.zeros((12, 12))
    edge = empty.copy()
    edge[3, 7] = edge[7, 3] = 0.8
    tied = np.ceil(2 * modular_weights(12, density=0.5, seed=3))  # whole numbers: equal paths
    complete = np.ones((12, 12)) - np.eye(12)
    networks = np.array([dense, pieces, empty, edge, tied, complete])
    if directed:
        rng = np.random.default_rng(4)
        networks[:2] *= rng.random((2, 12, 12)) < 0.7  # some edges in one direction only
        networks[3, 7, 3] = 0
    if signed:
        flip = np.triu(np.random.default_rng(5).random((12, 12)) < 0.3, 1)
        networks = np.where(flip | flip.T, -networks, networks)
    if binary:
        networks = (networks != 0).astype(float)
    return networks.reshape(3, 2, 12, 12)


def _contract(
    measure, *, rank, binary=False, directed=False, signed=False, reorder=True, rtol=1e-9
):
    """Assert what every measure owes, on networks of one kind.

    Batches are loops; memory layout does not matter; the input is not written to; the order of
    regions does not matter (``reorder``); what is not such a network is refused. ``rank`` is the
    number of region axes of the result. Put further arguments into a lambda.
    """
    batch = networks_of_all_kinds(binary=binary, directed=directed, signed=signed)
    given = batch.copy()
    given.flags.writeable = False
    result = measure(given)
    assert result.shape == (3, 2) + (12,) * rank
    close = {"rtol": rtol, "atol": 1e-12}
    order = np.random.default_rng(6).permutation(12)
    for i in range(3):
        for j in range(2):
            network = batch[i, j]
            np.testing.assert_allclose(measure(network), result[i, j], **close)
            np.testing.assert_allclose(measure(np.asfortranarray(network)), result[i, j], **close)
            if reorder:
                expected = result[i, j]
                for _ in range(rank):
                    expected = np.moveaxis(expected[order], 0, -1)
                permuted = measure(network[np.ix_(order, order)])
                np.testing.assert_allclose(permuted, expected, **close)
    good = batch[0, 0]
    _refuses(measure, good[:-1], "square")
    holed = good.copy()
    holed[3] = holed[:, 3] = np.nan
    _refuses(measure, holed, "NaN")
    _refuses(measure, good + np.eye(12), "zero diagonal")
    if not directed:
        _refuses(measure, np.triu(good), "symmetric")
    if binary:
        _refuses(measure, good * 0.5, "boolean")
        np.testing.assert_allclose(measure(batch != 0), result, **close)
    elif not signed:
        _refuses(measure, -good, "non-negative")


def _refuses(measure, network, word):
    with pytest.raises(ValueError, match=word):
        measure(network)


@pytest.fixture
def contract() -> Callable[..., None]:
    return _contract


@pytest.fixture
def all_kinds() -> Callable[..., np.ndarray]:
    return networks_of_all_kinds
