"""The simulated BIDS dataset: whole, valid in form, reproducible."""

from pathlib import Path

import numpy as np
import pytest

from brainnet import bids, io
from brainnet.atlas import Atlas
from brainnet.simulate.dataset import add_pet, simulate_dataset

_SMALL = {"n_subjects": 2, "resolution": 4.0, "n_timepoints": 12, "seed": 5}


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
    assert bold.metadata["RepetitionTime"] == 2.0
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


def test_no_subject_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="n_subjects must be at least 1; got 0"):
        simulate_dataset(tmp_path, n_subjects=0)


def test_pet_is_added_to_a_dataset_that_is_only_read(dataset: Path, tmp_path: Path) -> None:
    before = _files(dataset)
    out = tmp_path / "with-pet"
    labels = dataset / "sourcedata" / "truth" / "sub-02_dseg.nii.gz"
    t1w = dataset / "sub-02" / "anat" / "sub-02_T1w.nii.gz"
    # The source's own PET would be linked: take a source without one.
    source = tmp_path / "source"
    for path in dataset.rglob("*"):
        if path.is_file() and "pet" not in path.name:
            target = source / path.relative_to(dataset)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    for _ in range(2):  # a second call replaces, and does not duplicate
        path = add_pet(source, out, "02", t1w_path=t1w, labels_path=labels, stage="AD")
    assert path.name == "sub-02_trc-FDG_pet.nii.gz"
    assert io.load_img(path, ndim=3).get_fdata().max() > 5000
    assert {scan.suffix for scan in bids.index(out)} == {"T1w", "bold", "pet"}
    assert io.load_table(out / "participants.tsv")["participant_id"].tolist() == ["sub-02"]
    assert (out / "sub-02" / "anat" / "sub-02_T1w.nii.gz").is_symlink()
    assert "simulated PET" in io.load_json(out / "dataset_description.json")["Name"]
    truth = io.load_table(out / "sourcedata" / "truth" / "sub-02_regions.tsv")
    assert truth["suvr"].between(0.2, 2.5).all()
    assert _files(dataset) == before


def test_pet_for_an_unknown_subject_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(io.DataError, match="there is no such subject"):
        add_pet(dataset, tmp_path, "99", t1w_path="x", labels_path="y")


def test_pet_beside_a_real_one_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(io.DataError, match="already has PET"):
        add_pet(dataset, tmp_path, "01", t1w_path="x", labels_path="y")
