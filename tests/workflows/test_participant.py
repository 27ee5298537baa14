"""Which scans go where: sessions, tasks, several images, parts and echoes, own atlases."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet import atlas, io
from brainnet.bids import Scan
from brainnet.workflows import own_atlas, participant
from brainnet.workflows.engine import Attempts, Outcome
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.participant import Job
from brainnet.workflows.settings import Settings
from tests.workflows import toy_pipelines as toy


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


def _process(scans: list[Scan], tmp_path: Path, *sessions: str) -> Outcome:
    job = Job(scans, sessions or None, tmp_path / "b", tmp_path / "o", Settings())
    return participant.process("01", job, lambda: Steps(lambda _: None))


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
    assert _process(scans, tmp_path, "02").failures == []
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
    job = Job(scans, None, tmp_path, tmp_path, Settings())
    chosen = participant._anatomical_scan(job, None, "01", steps)
    assert chosen is scans[0]
    assert "run-2" in steps.warnings[0]


def test_unknown_session_names_those_there_are(tmp_path: Path) -> None:
    scans = [_scan("sub-01_ses-a_T1w", "a")]
    with pytest.raises(io.DataError, match="no session b; there are a"):
        participant._known_sessions("ses-b", scans, tmp_path)
    assert participant._known_sessions(["ses-a", "a"], scans, tmp_path) == ("a",)


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
    with pytest.raises(io.DataError, match="T1w"):
        own_atlas.resolve(replace(own, atlas_space="T1w"), tmp_path / "out")


@pytest.fixture
def bids_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy.put_in_place(monkeypatch)
    return toy.dataset(tmp_path / "bids", ["01", "02", "03"], bold=True)


def _ran(outcomes: Sequence[Outcome], name: str) -> list[int]:
    return [sum(step.step == name for step in outcome.steps) for outcome in outcomes]


def test_tasks_and_anatomy_only(bids_dir: Path, tmp_path: Path) -> None:
    rest = participant.run(bids_dir, tmp_path / "a", settings=Settings(task_id=["task-rest"]))
    assert _ran(rest, "motion") == [1, 1, 1]
    anat = participant.run(bids_dir, tmp_path / "b", settings=Settings(anat_only=True))
    assert (_ran(anat, "motion"), _ran(anat, "mask")) == ([0, 0, 0], [1, 1, 1])
    with pytest.raises(io.DataError, match="no BOLD run of task music; there are nback, rest"):
        participant.run(bids_dir, tmp_path / "c", settings=Settings(task_id=["music"]))
    assert not (tmp_path / "c").exists()


def test_simulated_pet_and_anatomy_only_contradict_one_another() -> None:
    with pytest.raises(ValueError, match="--anat-only"):
        Settings(anat_only=True, simulate_pet=True)


def test_a_filter_file_chooses_scans(bids_dir: Path, tmp_path: Path) -> None:
    filters = io.save_json({"bold": {"task": "nback"}}, tmp_path / "filters.json")
    found = participant.run(bids_dir, tmp_path / "out", settings=Settings(bids_filter_file=filters))
    assert _ran(found, "motion") == [1, 1, 1]
    assert not list((tmp_path / "out").rglob("*task-rest*"))


def test_who_lacks_the_session_is_left_out_and_named(
    bids_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for session in ("1", "2"):
        name = f"sub-04_ses-{session}_T1w.nii.gz"
        toy.image(bids_dir / "sub-04" / f"ses-{session}" / "anat" / name)
    found = participant.run(bids_dir, tmp_path / "out", session_label=["ses-1", "2"])
    assert [outcome.label for outcome in found] == ["04"]
    assert _ran(found, "mask") == [2]
    assert "sub-03 has no session 1, 2 and is left out" in caplog.text


@pytest.mark.parametrize("at_fault", ["anat/sub-02_T1w", "func/sub-02_task-rest_bold"])
def test_a_damaged_sidecar_fails_its_participant_only(
    bids_dir: Path, tmp_path: Path, at_fault: str
) -> None:
    (bids_dir / "sub-02" / f"{at_fault}.json").write_text("{ broken")
    first, second, third = participant.run(bids_dir, tmp_path / "out")
    assert (first.failures, third.failures) == ([], [])
    (failure,) = second.failures
    assert "bold.json" in failure or "T1w.json" in failure
    assert "JSON" in failure
    assert _ran([second], "motion") == [0 if "T1w" in at_fault else 1]


def test_what_the_validator_finds_fails_its_participant_only(
    bids_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = io.DataError("sub-02", "is not valid BIDS", "Use --skip-bids-validation")
    monkeypatch.setattr(participant, "_invalid", lambda *_: {"02": wrong})
    found = participant.run(bids_dir, tmp_path / "out", settings=Settings(validate=True))
    assert [len(outcome.failures) for outcome in found] == [0, 1, 0]
    assert "not valid BIDS" in found[1].failures[0]
    found = participant.run(bids_dir, tmp_path / "out", settings=Settings(validate=False))
    assert [len(outcome.failures) for outcome in found] == [0, 0, 0]


def test_reports_only_runs_reports_only(bids_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    participant.run(bids_dir, out)
    (out / "sub-01.html").unlink()
    (out / "sub-02" / "func" / "sub-02_task-rest_motion.tsv").unlink()
    toy.image(bids_dir / "sub-03" / "anat" / "sub-03_T1w.nii.gz", seed=9)
    before = {path: path.stat().st_mtime_ns for path in out.glob("sub-*/**/*") if path.is_file()}
    found = participant.run(bids_dir, out, settings=Settings(reports_only=True))
    ran = [[step.step for step in outcome.steps if not step.skipped] for outcome in found]
    assert ran == [["report"], ["report"], []]
    assert (out / "sub-01.html").exists()
    (failure,) = found[1].failures
    assert "sub-02_task-rest_motion.tsv: is not there: the step 'motion'" in failure
    assert "motion.tsv" in (out / "sub-02.html").read_text()
    after = {path: path.stat().st_mtime_ns for path in out.glob("sub-*/**/*") if path.is_file()}
    assert after == before


def test_reports_only_where_nothing_was_run(bids_dir: Path, tmp_path: Path) -> None:
    found = participant.run(bids_dir, tmp_path / "out", settings=Settings(reports_only=True))
    assert all("the step 'mask' has not gone through" in each.failures[0] for each in found)


def test_runs_into_one_folder_leave_each_other_alone(bids_dir: Path, tmp_path: Path) -> None:
    """Participant by participant, as an array of jobs does: nothing is touched twice."""
    out, asked = tmp_path / "out", {"sloppy": True, "participant-label": ["01"], "nprocs": None}
    participant.run(bids_dir, out, participant_label=["01"], asked=asked)
    stay = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in stay}
    asked["participant-label"] = ["02"]
    participant.run(bids_dir, out, participant_label=["02"], asked=asked)
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in stay} == before
    assert {"dataset_description.json", ".bidsignore", "config.toml", "sub-01.html"} <= {
        path.name for path in before
    }


def test_a_run_leaves_what_it_was_asked(bids_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = {"atlas": 'a "b"', "mem": 8.0, "measures": ["none"], "sloppy": True, "seed": None}
    participant.run(bids_dir, out, participant_label=["01"], asked=asked)
    kept = tomllib.loads((out / "logs" / "config.toml").read_text())
    assert kept == {key: value for key, value in asked.items() if value is not None}
    (manifest,) = (out / "logs").glob("run-*.jsonl")
    first = json.loads(manifest.read_text().splitlines()[0])
    assert (first["options"], first["level"], first["participants"]) == (asked, "participant", 1)


def test_an_unusable_folder_is_refused_before_anything_is_written(
    bids_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(io.DataError, match="are made from"):
        participant.run(bids_dir, bids_dir)
    (tmp_path / "file").write_text("x")
    with pytest.raises(io.DataError, match="is a file"):
        participant.run(bids_dir, tmp_path / "file")
    assert not (bids_dir / "logs").exists()


def test_what_killed_runs_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bids_dir, out = tmp_path / "bids", tmp_path / "out"
    anat = out / "sub-01" / "anat"
    left = [out / ".dataset_description.json.4711-0a1b2c3d.tmp", anat / ".x.nii.gz.lock"]
    image = bids_dir / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    for path in (*left, image):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    io.save_json({"Name": "x", "BIDSVersion": "1.10.0"}, bids_dir / "dataset_description.json")
    monkeypatch.setattr(participant, "process", lambda label, *_: Outcome(label))
    participant.run(bids_dir, out, settings=Settings(validate=False))
    assert not any(path.exists() for path in left)


def test_an_image_in_another_modalitys_folder_is_left_out_by_name(tmp_path: Path) -> None:
    astray = replace(_scan("sub-01_T1w"), datatype="func")
    steps = Steps(lambda _: None)
    assert not participant._in_its_folder(astray, steps)
    assert "sub-01_T1w" in steps.warnings[0]
    assert "no T1w image" in _process([astray], tmp_path).failures[0]


def test_nobody_left_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    bids_dir, out = tmp_path / "bids", tmp_path / "out"
    for name in ("ses-01/anat/sub-01_ses-01_T1w", "ses-02/func/sub-01_ses-02_task-rest_bold"):
        image = bids_dir / "sub-01" / f"{name}.nii.gz"
        image.parent.mkdir(parents=True)
        image.touch()
    io.save_json({"Name": "x", "BIDSVersion": "1.10.0"}, bids_dir / "dataset_description.json")
    settings = Settings(validate=False, anat_only=True)
    with pytest.raises(io.DataError, match=r"session 02.*--anat-only"):
        participant.run(bids_dir, out, session_label="02", settings=settings)
    assert not out.exists()


def test_the_scope_of_a_run_is_told_in_flags(tmp_path: Path) -> None:
    settings = Settings(anat_only=True, task_id=("rest", "faces"))
    job = Job([], ("01",), tmp_path, tmp_path, settings)
    said = "--anat-only --task-id rest faces --session-label 01"
    assert participant._scope(job) == said
    assert participant._scope(Job([], None, tmp_path, tmp_path, Settings())) == ""
