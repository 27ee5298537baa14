"""What a change of each setting runs again: its dependants, all of them, and nothing else."""

import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from brainnet import io
from brainnet.workflows import participant
from brainnet.workflows.engine.step import StepResult
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.settings import Settings

SCANS = {
    "anat": ["T1w"],
    "func": ["task-nback_bold", "task-rest_run-1_bold", "task-rest_run-2_bold"],
    "pet": ["trc-FDG_pet"],
}
MNI = "MNI152NLin2009cAsym"


@pytest.fixture
def bids_dir(tmp_path: Path) -> Path:
    """Make a dataset of one person with five scans; nobody reads their images."""
    folder = tmp_path / "bids"
    io.save_json({"Name": "x", "BIDSVersion": "1.10.0"}, folder / "dataset_description.json")
    for datatype, names in SCANS.items():
        for name in names:
            path = folder / "sub-01" / datatype / f"sub-01_{name}.nii.gz"
            io.save_text("no image", path.with_name("x")).rename(path)
            facts = {"RepetitionTime": 2.0} if datatype == "func" else {}
            io.save_json(facts, path.with_name(f"sub-01_{name}.json"))
    return folder


class Planned:
    """The steps of a run that computes nothing: each output's step, and what it was given."""

    def __init__(self, bids_dir: Path, out_dir: Path, settings: Settings) -> None:
        self.names: dict[str, str] = {}
        self.given: dict[str, Mapping[str, Any]] = {}
        self.sources: dict[str, set[str]] = {}
        self._out_dir = out_dir
        shutil.rmtree(out_dir, ignore_errors=True)
        (job,) = participant.find_jobs(bids_dir, out_dir, None, None, settings).values()
        outcome = participant.process("01", job, lambda: Steps(lambda _: None, self._execute))
        assert outcome.failures == []

    def _execute(self, name: str, function: Any, **given: Any) -> StepResult:
        paths = {key: str(path) for key, path in given["inputs"].items()}
        known = {key: given[key] for key in ("parameters", "seed")} | {
            "name": name, "function": function.__qualname__, "inputs": paths,
            "outputs": sorted(given["outputs"]),
        }  # fmt: skip
        for path in given["outputs"].values():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            self.names[str(path)], self.given[str(path)] = name, known
            self.sources[str(path)] = set(paths.values())
        return StepResult(given["outputs"], True, [], 0.0)

    def run_again(self, before: "Planned") -> set[str]:
        """Return the names of steps that are new, given something else, or fed by such."""
        changed: set[str] = set()
        for path, known in self.given.items():  # in the order of the run
            if known != before.given.get(path) or self.sources[path] & changed:
                changed.add(path)
        return {self.names[path] for path in changed}


ENDS = {"network measures", "report"}
NETWORKS = {"morphological network", "functional network", "metabolic network"} | ENDS
REGIONAL = {
    "atlas to native space", "regional volumes", "regional grey matter", "regional time series",
    "regional uptake",
} | NETWORKS  # fmt: skip
TEMPLATE = {"T1w in template space", "BOLD in template space", "PET in template space"}
REFERENCE = {"SUVR", "regional uptake", "metabolic network"} | ENDS
NORMALISED = {
    "registration to MNI", "modulated grey matter", "reference region to native space", "SUVR",
} | REGIONAL  # fmt: skip
COREGISTERED = {"BOLD to T1w", "PET to T1w", "single resampling", "confounds"}
BRAIN = {"brain mask", "bias field", "tissue"} | NORMALISED | COREGISTERED

CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({"atlas": "AAL"}, REGIONAL),
    ({"atlas_path": Path("own.nii.gz")}, REGIONAL),
    ({"atlas_table": Path("own.tsv")}, REGIONAL),
    ({"atlas_space": MNI}, set()),  # the copy of the atlas beside the results declares it
    ({"skull_strip": "force"}, BRAIN),
    ({"segmentation": "network"}, BRAIN - {"brain mask", "tissue"} | {"brain segmentation"}),
    ({"quality": "draft"}, NORMALISED),
    ({"registration": "ants"}, NORMALISED | COREGISTERED),
    ({"reference_region": "brainstem"}, {"reference region to native space"} | REFERENCE),
    ({"simulate_pet": True}, set()),  # there is a measured one
    ({"output_spaces": [f"{MNI}:res-2", "T1w"]}, TEMPLATE | {"report"}),
    ({"connectome": ["pearson", "partial"]}, {"functional network", "report"}),
    ({"connectome": ["partial"]}, {"functional network"} | ENDS),
    ({"connectome": ["js", "kl"]}, {"morphological network", "metabolic network", "report"}),
    ({"measures": ["integration"]}, ENDS),
    ({"measures": ["none"]}, {"report"}),
    ({"connectome": ["pearson", "partial"], "measured": "all"}, {"functional network"} | ENDS),
    ({"measured": "all"}, set()),  # one kind each: the first is all
    ({"densities": (0.1, 0.2)}, ENDS),
    ({"seed": 1}, ENDS),
    ({"task_id": ["rest"]}, ENDS),
    ({"anat_only": True}, ENDS),
    ({"validate": False}, set()),
]


@pytest.mark.parametrize("change, expected", CASES, ids=lambda case: str(sorted(case))[:40])
def test_a_change_runs_its_dependants_again(
    bids_dir: Path, tmp_path: Path, change: dict[str, Any], expected: set[str]
) -> None:
    before = Planned(bids_dir, tmp_path / "out", Settings())
    after = Planned(bids_dir, tmp_path / "out", Settings(**change))
    assert after.run_again(before) == expected


def test_a_given_mask_runs_everything_of_the_brain_again(bids_dir: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    io.save_json(
        {"Name": "x", "DatasetType": "derivative"}, given / "dataset_description.json"
    )  # fmt: skip
    path = given / "sub-01" / "anat" / "sub-01_desc-brain_mask.nii.gz"
    io.save_text("no image", path.with_name("x")).rename(path)
    before = Planned(bids_dir, tmp_path / "out", Settings())
    after = Planned(bids_dir, tmp_path / "out", Settings(derivatives=[given]))
    assert after.run_again(before) == BRAIN - {"brain mask"} | {"brain mask as given"}


def test_a_filter_leaves_other_scans_alone(bids_dir: Path, tmp_path: Path) -> None:
    path = io.save_json({"bold": {"run": 1}}, tmp_path / "filter.json")
    before = Planned(bids_dir, tmp_path / "out", Settings())
    after = Planned(bids_dir, tmp_path / "out", Settings(bids_filter_file=path))
    assert after.run_again(before) == ENDS


def test_simulated_pet_depends_on_anatomy_and_seed(bids_dir: Path, tmp_path: Path) -> None:
    shutil.rmtree(bids_dir / "sub-01" / "pet")
    before = Planned(bids_dir, tmp_path / "out", Settings(simulate_pet=True))
    after = Planned(bids_dir, tmp_path / "out", Settings(simulate_pet=True, seed=1))
    assert after.run_again(before) == {
        "simulated PET", "static PET", "PET to T1w", *REFERENCE,
    }  # fmt: skip


def test_every_setting_has_its_case() -> None:
    elsewhere = {
        "derivatives", "bids_filter_file",  # above
        "reports_only",  # runs nothing but the report
    }  # fmt: skip
    cased = {name for change, _ in CASES for name in change}
    assert cased | elsewhere == {each.name for each in fields(Settings)}


def test_every_scan_has_names_of_its_own(bids_dir: Path, tmp_path: Path) -> None:
    """Tasks, runs, directions, echoes: no two steps write one file."""
    func = bids_dir / "sub-01" / "func"
    source = func / "sub-01_task-rest_run-1_bold.nii.gz"
    for stem in ("task-rest_dir-AP_run-1", "task-rest_dir-PA_run-1", "task-rest_acq-a_echo-1"):
        shutil.copy(source, func / f"sub-01_{stem}_bold.nii.gz")
        shutil.copy(source.with_name("sub-01_task-rest_run-1_bold.json"),
                    func / f"sub-01_{stem}_bold.json")  # fmt: skip
    written: list[Path] = []

    class Listing(Planned):
        def _execute(self, name: str, function: Any, **given: Any) -> StepResult:
            written.extend(given["outputs"].values())
            return super()._execute(name, function, **given)

    planned = Listing(bids_dir, tmp_path / "out", Settings(output_spaces=[MNI]))
    assert len(set(written)) == len(written)
    (measures,) = {path for path in written if path.name.endswith("_measures.tsv")}
    networks = planned.given[str(measures)]["inputs"]
    assert len(networks) == len(set(networks.values())) == 1 + 6 + 1
