"""Which scans go where: sessions, several images, parts and echoes, own atlases."""

from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet import atlas, io
from brainnet.bids import Scan
from brainnet.workflows import own_atlas, participant
from brainnet.workflows.engine import Attempts
from brainnet.workflows.settings import Settings
from brainnet.workflows.steps import Steps


def _scan(name: str, session: str | None = None) -> Scan:
    stem, suffix = name.rsplit("_", 1)
    entities = dict(part.split("-") for part in stem.split("_"))
    datatype = {"T1w": "anat", "bold": "func", "pet": "pet", "dwi": "dwi"}[suffix]
    return Scan(Path(f"{name}.nii.gz"), entities["sub"], session, entities, suffix, datatype)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """Replace the pipelines by notes of what they were given."""
    notes: list[tuple[str, object]] = []

    def pipeline(scan: Scan, *_rest: object) -> dict[str, Path]:
        notes.append((scan.suffix, scan.path.name))
        return {"network": Path("x")}

    def page(where: dict, results: list, failures: list, *_rest: object) -> Path:
        notes.append(("page", where["session"]))
        return Path(f"{where['session']}.html")

    monkeypatch.setattr(participant.anatomical, "run", pipeline)
    monkeypatch.setitem(participant.PIPELINES, "bold", ("functional", pipeline))
    monkeypatch.setitem(participant.PIPELINES, "pet", ("metabolic", pipeline))
    monkeypatch.setattr(
        participant.networks,
        "run",
        lambda where, *_rest: notes.append(("measures", where["session"])),
    )
    monkeypatch.setattr(participant.page, "run", page)
    return notes


def _process(scans: list[Scan], tmp_path: Path, session: str | None = None):
    return participant.process(
        "01", scans, session, tmp_path / "b", tmp_path / "o", Settings(), lambda _: None
    )


def test_each_session_has_its_own_page_and_measures(made, tmp_path: Path) -> None:
    scans = [
        _scan("sub-01_ses-01_T1w", "01"),
        _scan("sub-01_ses-01_task-rest_bold", "01"),
        _scan("sub-01_ses-02_task-rest_bold", "02"),
        _scan("sub-01_ses-03_dwi", "03"),
    ]
    outcome = _process(scans, tmp_path)
    assert outcome.failures == []
    assert [note for note in made if note[0] in ("page", "measures")] == [
        ("measures", "01"), ("page", "01"), ("measures", "02"), ("page", "02"),
    ]  # fmt: skip
    assert ("bold", "sub-01_ses-02_task-rest_bold.nii.gz") in made


def test_one_session_may_use_the_anatomy_of_another(made, tmp_path: Path) -> None:
    scans = [_scan("sub-01_ses-01_T1w", "01"), _scan("sub-01_ses-02_task-rest_bold", "02")]
    assert _process(scans, tmp_path, session="02").failures == []
    assert ("T1w", "sub-01_ses-01_T1w.nii.gz") in made
    assert [name for kind, name in made if kind == "page"] == ["02"]


def test_without_a_t1w_the_failure_says_so(made, tmp_path: Path) -> None:
    outcome = _process([_scan("sub-01_task-rest_bold")], tmp_path)
    assert len(outcome.failures) == 1
    assert "no T1w image" in outcome.failures[0]


def test_phase_and_later_echoes_are_left_out_and_named(tmp_path: Path) -> None:
    steps = Steps(lambda _: None)
    scans = [
        _scan("sub-01_task-rest_part-mag_bold"),
        _scan("sub-01_task-rest_part-phase_bold"),
        _scan("sub-01_task-nback_echo-1_bold"),
        _scan("sub-01_task-nback_echo-2_bold"),
    ]
    kept = participant._runs(scans, steps)
    assert [scan.path.name for scan in kept] == [scans[0].path.name, scans[2].path.name]
    assert "part-phase" in steps.warnings[0]
    assert "echo-2" in steps.warnings[1]


def test_several_t1w_are_named(tmp_path: Path) -> None:
    steps = Steps(lambda _: None)
    scans = [_scan("sub-01_run-1_T1w"), _scan("sub-01_run-2_T1w")]
    chosen = participant._anatomical_scan(scans, None, "01", steps)
    assert chosen is scans[0]
    assert "run-2" in steps.warnings[0]


def test_unknown_session_names_those_there_are(tmp_path: Path) -> None:
    scans = [_scan("sub-01_ses-a_T1w", "a")]
    with pytest.raises(io.DataError, match="no session b; there are a"):
        participant._known_session("ses-b", scans, tmp_path)


def test_an_error_from_a_pipeline_names_the_scan(tmp_path: Path) -> None:
    def fail(scan: Scan) -> None:
        raise ValueError("img must be finite")

    attempt = Attempts("01", tmp_path)
    attempt(fail, _scan("sub-01_T1w"))
    assert attempt.failures[0].startswith("sub-01_T1w.nii.gz: ValueError: img must be finite")


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    """Three boxes in MNI space with a table, as a user would bring them."""
    template = atlas.template("mask", res=2)
    labels = np.zeros(template.shape, np.int16)
    labels[30:40, 40:50, 40:50], labels[55:65, 40:50, 40:50], labels[40:50, 60:70, 40:50] = 1, 2, 7
    io.save_img(Nifti1Image(labels, template.affine), tmp_path / "boxes.nii.gz")
    (tmp_path / "boxes.tsv").write_text("index\tname\n1\tleft\n2\tright\n7\tfront\n")
    return Settings(
        atlas_path=tmp_path / "boxes.nii.gz",
        atlas_table=tmp_path / "boxes.tsv",
        atlas_space="MNI152NLin2009cAsym",
    )


def test_an_own_atlas_is_kept_beside_the_results(own: Settings, tmp_path: Path) -> None:
    settings = own_atlas.resolve(own, tmp_path / "out")
    assert settings.atlas == "boxes"
    loaded = atlas.load(settings.atlas_path, table=settings.atlas_table)
    assert (loaded.name, loaded.names, loaded.space) == (
        "boxes", ["left", "right", "front"], "MNI152NLin2009cAsym",
    )  # fmt: skip


def test_a_label_without_a_row_is_named(own: Settings, tmp_path: Path) -> None:
    own.atlas_table.write_text("index\tname\n1\tleft\n2\tright\n")
    with pytest.raises(io.DataError, match="7"):
        own_atlas.resolve(own, tmp_path / "out")


def test_an_own_atlas_of_another_space_is_refused(own: Settings, tmp_path: Path) -> None:
    from dataclasses import replace

    with pytest.raises(io.DataError, match="T1w"):
        own_atlas.resolve(replace(own, atlas_space="T1w"), tmp_path / "out")
