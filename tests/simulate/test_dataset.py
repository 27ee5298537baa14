"""The simulated BIDS dataset: whole, valid in form, reproducible."""

from pathlib import Path

import numpy as np
import pytest

from brainnet import bids, io
from brainnet.atlas import Atlas
from brainnet.simulate.dataset import simulate_dataset

_SMALL = {"stages": ("CN", "EMCI"), "resolution": 4.0, "n_timepoints": 12, "seed": 5}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines: list[str] = []
    path = simulate_dataset(
        tmp_path_factory.mktemp("simulated") / "bids", progress=lines.append, **_SMALL
    )
    assert lines == ["sub-01 (CN), 1 of 2", "sub-02 (EMCI), 2 of 2"]
    return path


def _files(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): io.sha256(path) for path in paths}


def test_index_finds_every_scan_with_its_metadata(dataset: Path) -> None:
    scans = bids.index(dataset)
    found = {(scan.subject, scan.suffix) for scan in scans}
    assert found == {(s, kind) for s in ("01", "02") for kind in ("T1w", "bold", "pet")}
    bold = next(scan for scan in scans if scan.suffix == "bold")
    assert bold.metadata["RepetitionTime"] == 3.0
    assert bold.metadata["TaskName"] == "rest"
    pet = next(scan for scan in scans if scan.suffix == "pet")
    assert pet.metadata["TracerName"] == "FDG"
    assert pet.metadata["Units"] == "Bq/mL"


def test_dataset_says_that_it_is_simulated(dataset: Path) -> None:
    description = io.load_json(dataset / "dataset_description.json")
    assert "simulated" in description["Name"]
    assert "simulated" in (dataset / "README.md").read_text()


def test_participants_have_a_described_stage(dataset: Path) -> None:
    table = io.load_table(dataset / "participants.tsv", required=["participant_id", "stage"])
    assert table["stage"].tolist() == ["CN", "EMCI"]
    described = io.load_json(dataset / "participants.json")
    assert set(described) == set(table.columns) - {"participant_id"}
    assert set(table["stage"]) <= set(described["stage"]["Levels"])


def test_truth_is_complete_and_in_the_order_of_the_atlas(dataset: Path, atlas: Atlas) -> None:
    truth = dataset / "sourcedata" / "truth"
    regions = io.load_table(truth / "sub-01_regions.tsv")
    assert regions["name"].tolist() == atlas.names
    assert regions[["volume", "suvr", "suvr_blurred"]].notna().all(axis=None)
    series = io.load_table(truth / "sub-01_timeseries.tsv").to_numpy()
    realised = io.load_matrix(truth / "sub-01_desc-realised_relmat.tsv").to_numpy()
    np.testing.assert_allclose(np.corrcoef(series.T), realised, atol=1e-9)
    motion = io.load_table(truth / "sub-01_motion.tsv").to_numpy().reshape(-1, 4, 4)
    np.testing.assert_allclose(motion[0], np.eye(4), atol=1e-12)
    labels = io.load_img(truth / "sub-01_dseg.nii.gz", ndim=3)
    t1w = io.load_img(dataset / "sub-01" / "anat" / "sub-01_T1w.nii.gz", ndim=3)
    assert labels.shape == t1w.shape


def test_same_seed_same_bytes(dataset: Path, tmp_path: Path) -> None:
    again = simulate_dataset(tmp_path / "again", **_SMALL)
    assert _files(again) == _files(dataset)


def test_stages_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stages must name at least one stage"):
        simulate_dataset(tmp_path, stages=())
    with pytest.raises(ValueError, match=r"stage must be one of CN.*'sick'"):
        simulate_dataset(tmp_path, stages=("CN", "sick"))
    assert not list(tmp_path.iterdir())
