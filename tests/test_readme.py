"""The README's Python runs, and what it names exists."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.filterwarnings("default")
def test_examples_run(demo_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the demonstration's dataset and results, where every step finds its record."""
    (tmp_path / "BIDS").symlink_to(demo_dir / "bids")
    (tmp_path / "OUT").symlink_to(demo_dir / "derivatives")
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestParser().get_doctest(README, {}, "README", "README.md", 0)
    assert len(examples.examples) == 27
    assert doctest.DocTestRunner().run(examples).failed == 0
    assert (tmp_path / "OUT" / "group.html").exists()


def test_files_it_names_exist() -> None:
    named = re.findall(r"`((?:brainnet|atlases|workflows|tests|tutorials)/[\w/.]*)`", README)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
