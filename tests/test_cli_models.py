"""The commands of networks: what users type, right and wrong."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from brainnet import cli, io
from brainnet.report import figures
from brainnet.workflows import segment
from tests.workflows import toy_segmenter as toy


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> toy.Calls:
    segment._segmenter.cache_clear()
    empty = b"\x89PNG\r\n\x1a\n" + bytes(16)
    for name in ("overlay_contours", "atlas_overlay"):
        monkeypatch.setattr(figures, name, lambda *_args: empty)
    return toy.put_in_place(monkeypatch)


@pytest.fixture
def places(tmp_path: Path) -> tuple[str, str, list[str]]:
    """A head, where results go, and the flag of a network."""
    head = io.save_img(toy.head(), tmp_path / "in" / "head.nii.gz")
    return str(head), str(tmp_path / "out"), ["--model", str(toy.model(tmp_path / "model"))]


def _status(arguments: list[str]) -> int | str | None:
    try:
        return cli.main(arguments)
    except SystemExit as stop:
        return stop.code


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert _status(["--help"]) == 0
    text = capsys.readouterr().out
    for word in ("segment brain IMG OUT", "stage MODEL DERIVATIVES", "train brain CONFIG OUT",
                 "compress MODEL OUT"):  # fmt: skip
        assert word in text
    assert _status(["segment", "--help"]) == 0
    text = capsys.readouterr().out
    for word in ("--mem", "--flip", "--soft", "not a medical device", "exit status"):
        assert word in " ".join(text.split())


def test_one_head(places: tuple, calls: toy.Calls, capsys: pytest.CaptureFixture[str]) -> None:
    head, out, model = places
    assert _status(["segment", "brain", head, out, *model, "--flip", "--soft"]) == 0
    said = capsys.readouterr().out
    assert "head.nii.gz: " in said
    assert "1 of 1 images segmented" in said
    assert calls.flips == [((), (0,))]
    assert (Path(out) / "head_seg-brainnet_res-network_probseg.nii.gz").exists()


def test_verbose_tells_each_step(
    places: tuple, calls: toy.Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    head, out, model = places
    assert _status(["segment", "brain", head, out, *model, "-v"]) == 0
    assert "brain segmentation: done" in capsys.readouterr().err


def test_doubt_and_failure_are_said_and_only_failure_is_a_status(
    places: tuple, tmp_path: Path, calls: toy.Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    head, out, model = places
    doubtful = str(io.save_img(toy.head(broken=True), tmp_path / "in" / "doubtful.nii.gz"))
    assert _status(["segment", "brain", head, doubtful, out, *model]) == 0
    said = capsys.readouterr()
    assert "doubtful.nii.gz: DO NOT TRUST: the brain is cut off" in said.err
    assert "1 of them not to be trusted" in said.out
    damaged = tmp_path / "in" / "damaged.nii.gz"
    damaged.write_bytes(Path(head).read_bytes()[:-40])
    assert _status(["segment", "brain", str(damaged), head, out, *model]) == 1
    said = capsys.readouterr()
    assert "damaged.nii.gz: FAILED: " in said.err
    assert "Traceback" not in said.err
    assert "1 of 2 images segmented" in said.out


@pytest.mark.parametrize(
    "typed, word",
    [
        (["segment"], "required"),
        (["segment", "heart", "a.nii", "out"], "heart"),
        (["segment", "brain", "nowhere.nii.gz", "out"], "does not exist"),
        (["segment", "brain", "a.nii"], "required"),
        (["segment", "brain", "a.nii", "out", "--mem", "0"], "above 0"),
        (["segment", "brain", "a.nii", "out", "--mem", "lots"], "not an amount of memory"),
        (["segment", "brain", "a.nii", "out", "--flop"], "--flop"),
    ],
)
def test_what_is_typed_wrong_is_one_message(
    typed: list[str], word: str, calls: toy.Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _status(typed) == 2
    said = capsys.readouterr().err
    assert word in said
    assert "Traceback" not in said


def test_a_model_that_is_none_is_one_message(
    places: tuple, calls: toy.Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    head, out, _ = places
    assert _status(["segment", "brain", head, out, "--model", str(Path(head).parent)]) == 2
    assert "card.json" in capsys.readouterr().err
    assert not Path(out).exists()


@pytest.mark.parametrize("name", ["train", "compress"])
def test_other_commands_are_handed_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import brainnet.workflows as room

    given: list[list[str]] = []
    module = ModuleType(f"brainnet.workflows.{name}")
    vars(module)["command"] = lambda argv: given.append(list(argv)) or 7
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(room, name, module, raising=False)
    assert cli.main([name, "a", "--b"]) == 7
    assert given == [["a", "--b"]]


def test_the_participant_level_is_told_who_segments(capsys: pytest.CaptureFixture[str]) -> None:
    from brainnet.cli import commands
    from brainnet.cli.parser import parse

    told = ["bids", "out", "participant", "--segmentation", "network"]
    assert commands._settings(parse(told)).segmentation == "network"
    assert commands._settings(parse(told[:3])).segmentation == "mixture"
    assert _status([*told[:4], "deepbet"]) == 2
    assert "network" in capsys.readouterr().err
