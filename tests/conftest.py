"""Fixtures that every test may use."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real scans and atlases, or a skip where it is absent."""
    if not (SHARED_DATA / "README.md").exists():
        pytest.skip(f"real data not present: {SHARED_DATA.name} folder beside the project")
    return SHARED_DATA
