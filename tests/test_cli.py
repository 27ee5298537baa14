"""The command line: what users type, right and wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from brainnet import cli

HEAVY = {"ants", "torch", "torch_geometric", "nilearn", "pandas", "scipy", "matplotlib", "sklearn"}


@pytest.mark.parametrize("code", ["import brainnet", "import brainnet.cli"])
def test_import_pulls_nothing_heavy(code: str) -> None:
    """A second's start is a promise: what costs seconds is imported where it is used."""
    script = f"import sys\n{code}\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_help_shows_the_bids_app_and_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for word in ("participant", "group", "--participant-label", "brainnet demo OUT", "atlas list"):
        assert word in text


def test_missing_dataset_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main([str(tmp_path / "nowhere"), str(tmp_path / "out"), "participant"])
    message = capsys.readouterr().err
    assert status != 0
    assert "nowhere" in message
    assert "Traceback" not in message
    assert not (tmp_path / "out").exists()


def test_empty_dataset_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bids = tmp_path / "bids"
    bids.mkdir()
    assert cli.main([str(bids), str(tmp_path / "out"), "participant"]) != 0
    assert "dataset_description.json" in capsys.readouterr().err


def test_atlas_list_names_every_atlas(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["atlas", "list"]) == 0
    text = capsys.readouterr().out
    for name in ("DesikanKilliany", "AAL", "AICHA", "Destrieux", "Schaefer100", "TianS1"):
        assert name in text


def test_atlas_show_names_regions_and_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["atlas", "show", "DesikanKilliany"]) == 0
    text = capsys.readouterr().out
    for word in ("Left-Hippocampus", "84", "MNI", "licence"):
        assert word.lower() in text.lower()


def test_unknown_atlas_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["atlas", "show", "Brodman"]) != 0
    assert "DesikanKilliany" in capsys.readouterr().err
