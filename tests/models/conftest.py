"""Networks whose stages differ in a planted way."""

import numpy as np
import pytest
import torch

from brainnet.models.graph.brains import Brains, strongest

STAGES = np.array(["CN", "EMCI", "AD"])


def _planted_networks(n_subjects=45, n_regions=12, *, effect=0.3, n_modalities=2, seed=0):
    """Networks of two modules; three hubs lose `effect` per stage. Returns networks, stages."""
    rng = np.random.default_rng(seed)
    module = np.arange(n_regions) % 2
    base = 0.2 + 0.3 * (module[:, None] == module)
    hubs = np.zeros((n_regions, n_regions))
    hubs[:3], hubs[:, :3] = 1, 1
    stage = np.arange(n_subjects) % len(STAGES)
    networks = base + rng.normal(0, 0.15, (n_subjects, n_modalities, n_regions, n_regions))
    networks -= effect * stage[:, None, None, None] * hubs
    networks = (networks + networks.swapaxes(2, 3)) / 2
    networks[..., np.arange(n_regions), np.arange(n_regions)] = 0
    return networks, STAGES[stage]


@pytest.fixture
def planted_networks():
    """The generator above."""
    return _planted_networks


def _brains(n_subjects=3, n_regions=7, n_modalities=2, n_context=0, seed=0, density=0.4):
    """A batch of random networks with their connection profiles as node features."""
    rng = np.random.default_rng(seed)
    shape = (n_subjects, n_modalities, n_regions, n_regions)
    weights = torch.from_numpy(rng.normal(0.1, 0.3, shape).astype(np.float32))
    weights = (weights + weights.mT) * (1 - torch.eye(n_regions))
    context = rng.normal(size=(n_subjects, n_context)).astype(np.float32)
    return Brains(
        nodes=weights,
        edges=weights,
        adjacency=strongest(weights, density=density),
        context=torch.from_numpy(context),
        present=torch.ones(n_subjects, n_modalities, dtype=torch.bool),
    )


@pytest.fixture
def brains():
    """The generator above."""
    return _brains
