"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

# As in every worker: one thread, and the same bytes. ITK reads it once, when it is first loaded.
os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real scans and atlases, or a skip where it is absent."""
    if not (SHARED_DATA / "README.md").exists():
        pytest.skip("real data not present: the folder shared/data beside the project")
    return SHARED_DATA


@pytest.fixture(scope="session")
def demo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``brainnet demo`` makes: the folder in BRAINNET_DEMO, or made here."""
    given = os.environ.get("BRAINNET_DEMO")
    if given:
        return Path(given).resolve()
    from brainnet.workflows import demo

    folder = tmp_path_factory.mktemp("demo")
    outcomes = demo.run(folder)
    assert not any(outcome.failures for outcome in outcomes)
    return folder
