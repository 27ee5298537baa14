"""Subjects that several tests look at, simulated once."""

import pytest

from brainnet.atlas import Atlas, load
from brainnet.simulate.anatomy import Anatomy, simulate_anatomy


@pytest.fixture(scope="session")
def atlas() -> Atlas:
    return load("DesikanKilliany")


@pytest.fixture(scope="session")
def anatomy(atlas: Atlas) -> Anatomy:
    return simulate_anatomy(atlas, resolution=3.0, seed=1)
