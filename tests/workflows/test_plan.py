"""A dry run against the run itself: what is listed is what then really runs."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet import atlas, io
from brainnet.workflows import participant, plan
from brainnet.workflows.engine import needs
from brainnet.workflows.engine.resources import Resources
from brainnet.workflows.plan import ParticipantPlan, PlannedStep, make_plan, totals
from brainnet.workflows.settings import Settings
from tests.workflows import toy_pipelines as toy

EVERYTHING = ["mask", "reference", "network", "motion", "ratio", "motion", "ratio", "measures",
              "report"]  # fmt: skip


@pytest.fixture
def bids_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy.put_in_place(monkeypatch)
    return toy.dataset(tmp_path / "bids", ["01", "02"], bold=True)


def listed(bids_dir: Path, out: Path, settings: Settings | None = None) -> list[list[str]]:
    plans = make_plan(bids_dir, out, settings=settings)
    return [[step.name for step in each.to_run] for each in plans]


def really_run(bids_dir: Path, out: Path, settings: Settings | None = None) -> list[list[str]]:
    outcomes = participant.run(bids_dir, out, settings=settings)
    assert [outcome.failures for outcome in outcomes] == [[], []]
    return [[step.step for step in each.steps if not step.skipped] for each in outcomes]


def test_everything_is_listed_and_nothing_is_written(bids_dir: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert listed(bids_dir, tmp_path / "out") == [EVERYTHING, EVERYTHING]
    assert sorted(tmp_path.rglob("*")) == before
    assert really_run(bids_dir, tmp_path / "out") == [EVERYTHING, EVERYTHING]


def test_a_finished_dataset_has_nothing_to_do(bids_dir: Path, tmp_path: Path) -> None:
    really_run(bids_dir, tmp_path / "out")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert listed(bids_dir, tmp_path / "out") == [[], []]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == files
    (first, _) = make_plan(bids_dir, tmp_path / "out")
    assert plan.summary(first) == "sub-01: nothing to do, 9 steps are done"


@pytest.mark.filterwarnings("ignore:atlas_aal")
@pytest.mark.parametrize(
    "settings, dependants",
    [
        (Settings(reference_region="brainstem"),
         ["reference", "ratio", "ratio", "measures", "report"]),
        (Settings(seed=3), ["measures"]),
        (Settings(atlas="AAL"), ["network", "measures", "report"]),
        (Settings(skull_strip="force"),
         ["mask", "reference", "network", "ratio", "ratio", "measures", "report"]),
    ],
)  # fmt: skip
def test_one_changed_parameter_lists_its_dependants_only(
    bids_dir: Path, tmp_path: Path, settings: Settings, dependants: list[str]
) -> None:
    really_run(bids_dir, tmp_path / "out")
    assert listed(bids_dir, tmp_path / "out", settings) == [dependants, dependants]
    assert really_run(bids_dir, tmp_path / "out", settings) == [dependants, dependants]


def test_a_changed_scan_concerns_its_participant_only(bids_dir: Path, tmp_path: Path) -> None:
    really_run(bids_dir, tmp_path / "out")
    toy.image(bids_dir / "sub-02" / "func" / "sub-02_task-rest_bold.nii.gz", seed=9)
    expected = [[], ["motion", "ratio", "measures", "report"]]
    assert listed(bids_dir, tmp_path / "out") == expected
    assert really_run(bids_dir, tmp_path / "out") == expected


def test_a_lost_result_is_made_again_and_no_less_is_listed(bids_dir: Path, tmp_path: Path) -> None:
    """Made again with the same bytes: what depends on it is listed, but skipped after all."""
    really_run(bids_dir, tmp_path / "out")
    (tmp_path / "out" / "sub-01" / "anat" / "sub-01_mask.tsv").unlink()
    (promised, other) = listed(bids_dir, tmp_path / "out")
    assert other == []
    assert really_run(bids_dir, tmp_path / "out") == [["mask"], []]
    assert set(promised) >= {"mask"}


def test_what_is_known_to_fail_is_told(bids_dir: Path, tmp_path: Path) -> None:
    shutil.rmtree(bids_dir / "sub-01" / "anat")
    bad, good = make_plan(bids_dir, tmp_path / "out")
    assert "has no T1w image" in bad.failures[0]
    assert any("WOULD FAIL" in line for line in plan.describe(bad))
    assert good.failures == []
    assert not (tmp_path / "out").exists()


def test_an_own_atlas_is_an_input_like_others(bids_dir: Path, tmp_path: Path) -> None:
    template = atlas.template("mask", res=2)
    labels = np.zeros(template.shape, np.int16)
    labels[30:40, 40:50, 40:50], labels[55:65, 40:50, 40:50] = 1, 2
    io.save_img(Nifti1Image(labels, template.affine), tmp_path / "boxes.nii.gz")
    table = tmp_path / "boxes.tsv"
    table.write_text("index\tname\n1\tleft\n2\tright\n")
    own = Settings(atlas_path=tmp_path / "boxes.nii.gz", atlas_table=table,
                   atlas_space="MNI152NLin2009cAsym")  # fmt: skip
    out = tmp_path / "out"
    assert listed(bids_dir, out, own) == [EVERYTHING, EVERYTHING]
    assert not out.exists()
    really_run(bids_dir, out, own)
    copies = {path: path.stat().st_mtime_ns for path in (out / "atlas").iterdir()}
    assert listed(bids_dir, out, own) == [[], []]
    assert really_run(bids_dir, out, own) == [[], []]
    assert {path: path.stat().st_mtime_ns for path in (out / "atlas").iterdir()} == copies
    table.write_text("index\tname\n1\tleft\n2\tother\n")
    expected = ["network", "measures", "report"]
    assert listed(bids_dir, out, own) == [expected, expected]
    assert really_run(bids_dir, out, own) == [expected, expected]


def planned(label: str, minutes: float, memory: float) -> ParticipantPlan:
    what = needs.Needs(minutes=minutes, memory=memory, disk=100)
    return ParticipantPlan(label, [PlannedStep("a", "anat", "x", False, what),
                                   PlannedStep("b", "anat", "x", True, what)])  # fmt: skip


@pytest.mark.parametrize("n_procs, minutes, memory", [(1, 42, 3), (2, 28, 5), (9, 20, 8)])
def test_totals_take_the_participants_at_a_time(
    n_procs: int, minutes: float, memory: float
) -> None:
    """Four participants in order, each to the worker that is free first: 10 + 4 and 8 + 20."""
    plans = [planned(f"0{i}", m, g) for i, (m, g) in enumerate([(10, 1), (8, 2), (20, 3), (4, 2)])]
    plans.append(ParticipantPlan("05", [replace(plans[0].steps[0], done=True)]))
    found = totals(plans, Resources(n_procs=n_procs))
    assert (found.minutes, found.memory, found.disk) == (minutes, memory, 400)


def test_estimates_follow_what_earlier_runs_took(bids_dir: Path, tmp_path: Path) -> None:
    """One participant took ten times as long and twice the memory: so will the other."""
    out = tmp_path / "out"
    _, before = make_plan(bids_dir, out)
    steps = [
        {"step": step.name, "output": "x", "skipped": False, "seconds": 600 * step.needs.minutes,
         "memory": 2 * step.needs.memory}
        for step in before.steps
    ]  # fmt: skip
    skipped = [{**step, "skipped": True, "seconds": 0.001} for step in steps]
    lines = [
        {"brainnet": "0"},
        {"participant": "01", "steps": steps},
        {"participant": "01", "steps": skipped},
        {"participant": "03", "steps": 3},
    ]
    cut = '{"participant": "02", "st'
    text = "\n".join([*map(json.dumps, lines), cut])  # fmt: skip
    io.save_text(text, out / "logs" / "run-1-1.jsonl")
    _, after = make_plan(bids_dir, out)
    assert after.minutes == pytest.approx(10 * before.minutes)
    assert after.memory == pytest.approx(2 * before.memory)
    assert after.disk == pytest.approx(before.disk)


def test_the_size_of_a_packed_scan_is_told_without_unpacking_it(tmp_path: Path) -> None:
    path = toy.image(tmp_path / "x.nii.gz")
    assert needs.unpacked(path) == 352 + 6**3 * 4
    plain = toy.image(tmp_path / "x.nii")
    assert needs.unpacked(plain) == plain.stat().st_size
    assert needs.unpacked(tmp_path / "absent.nii") == 0


def test_every_step_of_the_pipelines_has_its_needs() -> None:
    """A step whose needs nobody measured would be estimated by a guess."""
    found = set()
    for path in Path(participant.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'steps\.run\(\s*f?"([^"]+)"', text))
        found |= set(re.findall(r'coregister\([^)]*name="([^"]+)"', text))
    elsewhere = {"cohort", "staging", "group report", "segmentation page", "haemorrhage page"}
    names = {name for name in found - elsewhere if "{" not in name}
    assert len(names) > 10
    assert names <= set(needs.NEEDS), names - set(needs.NEEDS)
    assert {f"{each} network" for each in ("morphological", "functional", "metabolic")} <= set(
        needs.NEEDS
    )


@pytest.mark.slow
def test_the_demonstration_is_estimated_within_a_factor_of_three(
    demo_dir: Path, tmp_path: Path
) -> None:
    """Of what it took on a machine that had nothing else to do."""
    settings = Settings(quality="draft")
    (found,) = make_plan(demo_dir / "bids", tmp_path / "o", participant_label=["01"],
                         settings=settings)  # fmt: skip
    taken = [step for path in (demo_dir / "derivatives" / "logs").glob("run-*.jsonl")
             for line in path.read_text().splitlines()
             for step in steps_of(line, "01") if not step["skipped"]]  # fmt: skip
    assert {step["step"] for step in taken} == {step.name for step in found.steps}
    minutes = sum(step["seconds"] for step in taken) / 60
    assert minutes / 3 < found.minutes < 3 * minutes
    memory = max(step["memory"] for step in taken)
    assert memory == 0 or memory / 3 < found.memory < 3 * memory
    made = (demo_dir / "derivatives").glob("sub-01/**/*")
    size = sum(path.stat().st_size for path in made if path.is_file()) / 1e6
    assert size / 3 < found.disk < 3 * size


def steps_of(line: str, label: str) -> list[dict[str, object]]:
    content = json.loads(line)
    return list(content["steps"]) if content.get("participant") == label else []


@pytest.mark.slow
def test_the_demonstration_is_recomputed_as_listed(demo_dir: Path, tmp_path: Path) -> None:
    bids_dir, out = demo_dir / "bids", tmp_path / "derivatives"
    shutil.copytree(demo_dir / "derivatives", out)
    settings = Settings(quality="draft")
    (idle,) = make_plan(bids_dir, out, participant_label=["01"], settings=settings)
    assert idle.to_run == []
    changed = replace(settings, reference_region="brainstem")
    (found,) = make_plan(bids_dir, out, participant_label=["01"], settings=changed)
    names = [step.name for step in found.to_run]
    assert names == ["reference region to native space", "SUVR", "regional uptake",
                     "metabolic network", "network measures", "report"]  # fmt: skip
    (outcome,) = participant.run(bids_dir, out, participant_label=["01"], settings=changed)
    assert [step.step for step in outcome.steps if not step.skipped] == names
