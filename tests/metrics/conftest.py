"""Networks that several tests measure."""

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
