"""The index of a dataset, sidecar inheritance, and the names of results."""

import json
import re

import pytest

from brainnet import bids, io
from brainnet.io import DataError, DataWarning


def put(root, name, content=None):
    """Write a JSON file, or an empty stand-in for a scan: the index reads names only."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("" if content is None else json.dumps(content))
    return path


@pytest.fixture
def dataset(tmp_path):
    """Two participants, one with sessions, and folders that must not be entered."""
    root = tmp_path / "ds000001.v2"  # a dot in the name is no extension
    put(root, "dataset_description.json", {"Name": "toy (simulated)", "BIDSVersion": "1.10.0"})
    for name in (
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/func/sub-01_task-rest_run-01_bold.nii.gz",
        "sub-01/func/sub-01_task-rest_run-02_bold.nii",
        "sub-01/func/sub-01_task-rest_run-01_sbref.nii.gz",
        "sub-01/fmap/sub-01_dir-AP_epi.nii.gz",
        "sub-b2/ses-pre/pet/sub-b2_ses-pre_trc-FDG_rec-acdyn_pet.nii.gz",
        "sub-b2/ses-post/anat/sub-b2_ses-post_acq-hi_T1w.nii.gz",
        "sub-b2/ses-post/func/sub-b2_ses-post_task-rest_echo-1_bold.nii.gz",
        "sub-01/func/sub-01_task-rest_events.tsv",
        "sub-01/sub-01_scans.tsv",
        "sub-01/func/.sub-01_task-x_bold.nii.gz",
        "derivatives/x/sub-01/anat/sub-01_T1w.nii.gz",
        "sourcedata/sub-09/anat/sub-09_T1w.nii.gz",
        "code/sub-08/anat/sub-08_T1w.nii.gz",
        ".git/sub-07/anat/sub-07_T1w.nii.gz",
        "sub-01/.hidden/sub-01_T1w.nii.gz",
    ):
        put(root, name)
    return root


def test_index_finds_the_scans_and_nothing_else(dataset):
    scans = bids.index(dataset)
    assert [scan.path.relative_to(dataset).as_posix() for scan in scans] == [
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/fmap/sub-01_dir-AP_epi.nii.gz",
        "sub-01/func/sub-01_task-rest_run-01_bold.nii.gz",
        "sub-01/func/sub-01_task-rest_run-01_sbref.nii.gz",
        "sub-01/func/sub-01_task-rest_run-02_bold.nii",
        "sub-b2/ses-post/anat/sub-b2_ses-post_acq-hi_T1w.nii.gz",
        "sub-b2/ses-post/func/sub-b2_ses-post_task-rest_echo-1_bold.nii.gz",
        "sub-b2/ses-pre/pet/sub-b2_ses-pre_trc-FDG_rec-acdyn_pet.nii.gz",
    ]
    pet = scans[-1]
    assert (pet.subject, pet.session, pet.suffix, pet.datatype) == ("b2", "pre", "pet", "pet")
    assert pet.entities == {"sub": "b2", "ses": "pre", "trc": "FDG", "rec": "acdyn"}
    assert scans[2].entities["run"] == "01"  # as written
    assert scans[0].session is None


def test_select(dataset):
    scans = bids.index(dataset)
    assert len(bids.select(scans)) == 8
    assert len(bids.select(scans, modality="functional")) == 3
    assert len(bids.select(scans, modality="functional", subject="sub-01")) == 2
    assert [s.session for s in bids.select(scans, subject="b2", modality="metabolic")] == ["pre"]
    assert len(bids.select(scans, session="ses-post")) == 2
    assert len(bids.select(scans, suffix="bold", run="02")) == 1
    assert len(bids.select(scans, datatype="func", task=None)) == 4
    assert bids.select(scans, task="none") == []
    with pytest.raises(ValueError, match="modality must be one of"):
        bids.select(scans, modality="bold")
    with pytest.raises(ValueError, match="'patient'"):
        bids.select(scans, patient="01")


def test_participants(dataset):
    assert bids.participants(dataset) == ["01", "b2"]
    assert bids.participants(dataset, labels=["sub-b2", "b2"]) == ["b2"]
    assert {scan.subject for scan in bids.index(dataset, subjects=["b2"])} == {"b2"}
    with pytest.raises(DataError, match="no participant 03, 1; there are 01, b2"):
        bids.participants(dataset, labels=["03", "1", "01"])


def test_metadata_is_inherited_and_the_closest_wins(dataset):
    put(dataset, "bold.json", {"A": 0, "B": 0, "C": 0, "D": 0})
    put(dataset, "task-rest_bold.json", {"B": 1, "C": 1, "D": 1})
    put(dataset, "sub-01/sub-01_task-rest_bold.json", {"C": 2, "D": 2})
    put(dataset, "sub-01/func/sub-01_task-rest_run-01_bold.json", {"D": 3})
    put(dataset, "task-other_bold.json", {"E": "not its task"})
    put(dataset, "rest_bold.json", {"E": "not a name"})
    put(dataset, "T1w.json", {"E": "not its suffix"})
    put(dataset, "run-02_task-rest_bold.json", {"B": 4})  # more entities: closer
    first, second, other = bids.select(bids.index(dataset), modality="functional")
    assert first.metadata == {"A": 0, "B": 1, "C": 2, "D": 3}
    assert second.metadata == {"A": 0, "B": 4, "C": 2, "D": 2}
    assert other.metadata == {"A": 0, "B": 1, "C": 1, "D": 1}


def test_a_damaged_sidecar_is_an_error(dataset):
    (dataset / "task-rest_bold.json").write_text('{"RepetitionTime": 2,,}')
    with pytest.raises(DataError, match=r"task-rest_bold\.json: not valid JSON"):
        bids.index(dataset)


def test_nothing_is_remembered_between_calls(dataset):
    assert "A" not in bids.index(dataset)[0].metadata
    put(dataset, "T1w.json", {"A": 1})
    put(dataset, "sub-03/anat/sub-03_T1w.nii.gz")
    assert bids.index(dataset)[0].metadata == {"A": 1}
    assert bids.participants(dataset) == ["01", "03", "b2"]


def test_linked_folders_are_followed_and_dangling_links_listed(dataset, tmp_path):
    elsewhere = put(tmp_path, "store/anat/sub-05_T1w.nii.gz").parent.parent
    (dataset / "sub-05").symlink_to(elsewhere)
    (dataset / "sub-01/anat/sub-01_acq-x_T1w.nii.gz").symlink_to("annexed")
    scans = bids.select(bids.index(dataset), suffix="T1w")
    assert [scan.path.name for scan in scans][:3] == [
        "sub-01_T1w.nii.gz",
        "sub-01_acq-x_T1w.nii.gz",
        "sub-05_T1w.nii.gz",
    ]
    with pytest.raises(DataError, match="datalad get"):
        io.load_img(scans[1].path)


def test_datasets_that_are_none(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        bids.index(tmp_path / "none")
    with pytest.raises(DataError, match="not a folder"):
        bids.index(put(tmp_path, "file"))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"no dataset_description\.json"):
        bids.index(empty)
    put(empty, "dataset_description.json", {"Name": "x"})
    with pytest.raises(DataError, match="no participant folder"):
        bids.index(empty)
    put(empty, "sub-01/fmap/sub-01_phase1.nii.gz")
    with pytest.raises(DataError, match=r"none of its 1 images .* anat/\*_T1w"):
        bids.index(empty)


@pytest.mark.parametrize("name", ["scan.nii.gz", "sub-01_task_bold.nii", "sub-01_a-1_a-2_T1w.nii"])
def test_names_that_are_not_bids_are_left_out_with_a_warning(dataset, name):
    put(dataset, f"sub-01/anat/{name}")
    with pytest.warns(DataWarning, match=f"{re.escape(name)}: not a BIDS name"):
        assert len(bids.index(dataset)) == 8


@pytest.mark.parametrize("name", ["sub-02_T1w.nii.gz", "sub-01_ses-1_T1w.nii.gz"])
def test_a_scan_in_the_wrong_folder_is_an_error(dataset, name):
    put(dataset, f"sub-01/anat/{name}")
    with pytest.raises(DataError, match="lies in sub-01/anat but its name says"):
        bids.index(dataset)


def test_derivative_paths_follow_the_order_of_bids(dataset):
    scan = bids.select(bids.index(dataset), suffix="bold", run="01")[0]

    def name(**options):
        return bids.derivative_path("out", scan, **options).as_posix()

    assert name(suffix="relmat", extension=".tsv", stat="pearsoncorrelation", seg="AAL") == (
        "out/sub-01/func/sub-01_task-rest_run-01_seg-AAL_stat-pearsoncorrelation_relmat.tsv"
    )
    assert name(suffix="xfm", extension=".tsv", mode="image", to="T1w", from_="boldref") == (
        "out/sub-01/func/sub-01_task-rest_run-01_from-boldref_to-T1w_mode-image_xfm.tsv"
    )
    assert name(
        suffix="probseg", extension=".nii.gz", datatype="anat", task=None, run=None,
        desc="modulated", label="GM", space="MNI152NLin2009cAsym",
    ) == (
        "out/sub-01/anat/sub-01_space-MNI152NLin2009cAsym_label-GM_desc-modulated_probseg.nii.gz"
    )  # fmt: skip
    assert name(suffix="x", extension=".tsv", datatype="", task=None, run=None) == (
        "out/sub-01/sub-01_x.tsv"
    )
    mapping = {"ses": "pre", "sub": "b2"}
    assert bids.derivative_path("o", mapping, suffix="m", extension=".tsv", seg="A").as_posix() == (
        "o/sub-b2/ses-pre/sub-b2_ses-pre_seg-A_m.tsv"
    )


def test_derivative_paths_refuse_what_bids_does_not_have():
    for options, words in (
        ({"patient": "1"}, "'patient'"),
        ({"desc": "pre-proc"}, "desc must be letters and digits"),
        ({"desc": "../x"}, "desc must be"),
        ({"extension": "tsv"}, "extension"),
        ({"suffix": "T1w_x"}, "suffix"),
        ({"sub": None}, "'sub'"),
    ):
        with pytest.raises(ValueError, match=words):
            bids.derivative_path("o", {"sub": "1"}, **{"suffix": "x", "extension": ".t", **options})


def test_dataset_description(dataset, tmp_path):
    out = dataset / "derivatives" / "brainnet"
    path = bids.write_dataset_description(out, dataset)
    content = io.load_json(path)
    assert content["DatasetType"] == "derivative"
    assert content["GeneratedBy"][0]["Name"] == "brainnet"
    assert "simulated" in content["Name"]
    assert content["DatasetLinks"] == {"raw": "../.."}
    assert "*_relmat.*" in (out / ".bidsignore").read_text().split()
    before = path.stat().st_mtime_ns
    bids.write_dataset_description(out, dataset)
    assert path.stat().st_mtime_ns == before
    with pytest.raises(DataError, match="top of the dataset"):
        bids.write_dataset_description(dataset, dataset)
    with pytest.raises(DataError, match="does not exist"):
        bids.write_dataset_description(out, tmp_path / "none")


def test_the_real_dataset(shared_data):
    scans = bids.index(shared_data / "bids")
    assert [scan.path.name for scan in bids.select(scans, modality="functional")] == [
        "sub-01_task-oneback_bold.nii.gz",
        "sub-02_task-rest_bold.nii.gz",
    ]
    rest = bids.select(scans, task="rest")[0]
    assert rest.metadata["RepetitionTime"] == pytest.approx(1.25923)
    assert len(scans) == 8


def test_an_independent_indexer_agrees(shared_data):
    bids2table = pytest.importorskip("bids2table")
    rows = bids2table.index_dataset(shared_data / "bids").to_pylist()
    theirs = {row["path"]: row for row in rows if row["ext"] == ".nii.gz"}
    ours = {s.path.relative_to(shared_data / "bids").as_posix(): s for s in
            bids.index(shared_data / "bids")}  # fmt: skip
    assert ours.keys() == theirs.keys()
    for name, scan in ours.items():
        assert (scan.suffix, scan.datatype) == (theirs[name]["suffix"], theirs[name]["datatype"])
        assert scan.entities.get("task") == theirs[name]["task"]
        assert scan.metadata == bids2table.load_bids_metadata(scan.path)
