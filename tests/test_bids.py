"""The index of a dataset, sidecar inheritance, and the names of results."""

import json
import pickle
import re

import pytest

from brainnet import bids, io
from brainnet.bids import ignore
from brainnet.bids.names import ENTITIES
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


def test_two_sidecars_of_one_folder_must_not_contradict_one_another(dataset):
    first = put(dataset, "sub-01/func/sub-01_run-01_bold.json", {"RepetitionTime": 2, "A": 1})
    put(dataset, "sub-01/func/sub-01_task-rest_bold.json", {"RepetitionTime": 2, "B": 1})
    scan = bids.select(bids.index(dataset), suffix="bold", run="01")[0]
    assert scan.metadata == {"RepetitionTime": 2, "A": 1, "B": 1}  # they agree
    first.write_text('{"RepetitionTime": 3}')
    one, other = bids.select(bids.index(dataset), suffix="bold", subject="01")
    assert "give 'RepetitionTime' two values" in str(one.problem)
    assert other.problem is None
    assert other.metadata == {"RepetitionTime": 2, "B": 1}


def test_a_damaged_sidecar_of_the_whole_dataset_is_an_error(dataset):
    (dataset / "task-rest_bold.json").write_text('{"RepetitionTime": 2,,}')
    with pytest.raises(DataError, match=r"task-rest_bold\.json: not valid JSON"):
        bids.index(dataset)


@pytest.mark.parametrize("content", ['{"RepetitionTime": 2,,}', "", "[1]", b"\xff\xfe", None])
def test_a_damaged_sidecar_of_one_participant_spares_the_others(dataset, content):
    path = dataset / "sub-01/sub-01_task-rest_bold.json"
    if content is None:
        path.symlink_to("annexed")  # a link whose content was never fetched
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    scans = bids.index(dataset)
    damaged = {scan.path.name for scan in scans if scan.problem}
    assert damaged == {
        "sub-01_task-rest_run-01_bold.nii.gz",
        "sub-01_task-rest_run-02_bold.nii",
    }
    parted = bids.by_subject(scans)
    assert sorted(parted) == ["01", "b2"]
    assert not any(scan.problem for scan in parted["b2"])
    back = pickle.loads(pickle.dumps(scans))  # the way to a worker
    assert [str(scan.problem) for scan in back] == [str(scan.problem) for scan in scans]


def test_a_participants_folder_that_cannot_be_read_spares_the_others(dataset):
    (dataset / "sub-loop").symlink_to("sub-loop")
    (dataset / "sub-01" / "ses-loop").symlink_to("ses-loop")
    parted = bids.by_subject(bids.index(dataset))
    for label in ("loop", "01"):
        (scan,) = parted[label]
        assert (scan.suffix, scan.datatype, scan.metadata) == ("", "", {})
        with pytest.raises(DataError, match="cannot be listed"):
            scan.check()
    assert len(parted["b2"]) == 3


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
def test_a_scan_in_the_wrong_folder_is_its_participants_problem(dataset, name):
    path = put(dataset, f"sub-01/anat/{name}")
    scans = bids.index(dataset)
    (wrong,) = [scan for scan in scans if scan.problem]
    assert (wrong.path, wrong.subject) == (path, "01")  # in whose folder it lies
    with pytest.raises(DataError, match="lies in sub-01/anat but its name says"):
        wrong.check()
    assert len(scans) == 9


def test_images_whose_results_would_have_one_name_have_a_problem(dataset):
    put(dataset, "sub-01/anat/sub-01_T1w.nii")
    put(dataset, "sub-b2/ses-pre/pet/sub-b2_ses-pre_trc-fdg_rec-acdyn_pet.nii.gz")
    problems = {scan.path.name: scan.problem for scan in bids.index(dataset) if scan.problem}
    assert sorted(problems) == [
        "sub-01_T1w.nii",
        "sub-01_T1w.nii.gz",
        "sub-b2_ses-pre_trc-FDG_rec-acdyn_pet.nii.gz",
        "sub-b2_ses-pre_trc-fdg_rec-acdyn_pet.nii.gz",
    ]
    assert all("case or extension only" in str(problem) for problem in problems.values())


def test_bidsignore_is_honoured(dataset):
    lines = ["# kept for ourselves", "", "sub-b2/ses-pre/", "*_sbref.*", "**/fmap", "*_run-02_*",
             "!sub-01/func/*_run-02_bold.nii", "/task-rest_bold.json", "sub-0[7-9]/"]  # fmt: skip
    (dataset / ".bidsignore").write_text("\n".join(lines) + "\n")
    (dataset / "task-rest_bold.json").write_text("not read, since ignored")
    put(dataset, "sub-09/anat/sub-09_T1w.nii.gz")
    assert [scan.path.name for scan in bids.index(dataset)] == [
        "sub-01_T1w.nii.gz",
        "sub-01_task-rest_run-01_bold.nii.gz",
        "sub-01_task-rest_run-02_bold.nii",
        "sub-b2_ses-post_acq-hi_T1w.nii.gz",
        "sub-b2_ses-post_task-rest_echo-1_bold.nii.gz",
    ]
    assert bids.participants(dataset) == ["01", "b2"]
    (dataset / ".bidsignore").write_text("")
    with pytest.raises(DataError, match="task-rest_bold"):
        bids.index(dataset)
    (dataset / ".bidsignore").write_text("*a" * 30)
    with pytest.raises(DataError, match="line 1 has too many wildcards"):
        bids.index(dataset)


def test_derivatives_are_found_by_their_entities(tmp_path):
    root = tmp_path / "fmriprep"
    put(root, "dataset_description.json", {"Name": "x", "DatasetType": "derivative"})
    stem = "sub-01/func/sub-01_task-rest_space-MNI152NLin2009cAsym_res-2_desc"
    for name in (
        f"{stem}-preproc_bold.nii.gz",
        f"{stem}-brain_mask.nii.gz",
        "sub-01/anat/sub-01_desc-brain_mask.nii.gz",
        "sub-01/anat/sub-01_label-GM_probseg.nii.gz",
        "sub-01/anat/sub-01_space-MNI152NLin2009cAsym_label-GM_probseg.nii.gz",
        "sub-01/func/sub-01_task-rest_space-fsLR_den-91k_bold.dtseries.nii",
        "sub-01/figures/sub-01_desc-about_T1w.html",
    ):
        put(root, name)
    put(root, f"{stem}-brain_mask.json", {"Type": "Brain"})
    scans = bids.index(root)
    assert len(scans) == 5  # surfaces are no images of ours
    (mask,) = bids.select(scans, suffix="mask", space="MNI152NLin2009cAsym", res="2", desc="brain")
    assert mask.metadata == {"Type": "Brain"}
    assert len(bids.select(scans, suffix="probseg", label="GM")) == 2
    only_masks = tmp_path / "masks"
    put(only_masks, "dataset_description.json", {"Name": "x", "DatasetType": "derivative"})
    put(only_masks, "sub-01/anat/sub-01_desc-brain_mask.nii.gz")
    assert len(bids.index(only_masks)) == 1


def test_entities_are_those_of_the_schema_in_its_order():
    schema = pytest.importorskip("bidsschematools.schema").load_schema()
    official = {name: schema.objects.entities[name].name for name in schema.rules.entities}
    ours = {name: short for name, short in ENTITIES.items() if name in official}
    assert ours == official
    assert list(ours) == list(official)
    assert set(ENTITIES) - set(official) == {"from", "to", "mode", "statistic"}


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
        ({"sub": "../../x"}, "sub must be"),
        ({"datatype": "../anat"}, "datatype must be"),
        ({"extension": "./../x"}, "extension"),
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
    assert content["SourceDatasets"] == [{"URL": "bids:raw:"}]
    assert "*_relmat.*" in (out / ".bidsignore").read_text().split()
    assert "relmat" in (out / "README.md").read_text()
    (out / "README.md").write_text("my own words")
    before = path.stat().st_mtime_ns
    bids.write_dataset_description(out, dataset)
    assert path.stat().st_mtime_ns == before
    assert (out / "README.md").read_text() == "my own words"
    with pytest.raises(DataError, match="top of the dataset"):
        bids.write_dataset_description(dataset, dataset)
    with pytest.raises(DataError, match="does not exist"):
        bids.write_dataset_description(out, tmp_path / "none")


@pytest.mark.parametrize(
    "content",
    [
        {"Name": "x", "DatasetType": "derivative", "GeneratedBy": [{"Name": "fMRIPrep"}]},
        {"Name": "a raw dataset"},
        {"Name": "simulated", "DatasetType": "raw", "GeneratedBy": [{"Name": "brainnet"}]},
        {"Name": "x", "DatasetType": "derivative", "GeneratedBy": "brainnet"},
    ],
)
def test_the_description_of_another_dataset_is_not_written_over(dataset, tmp_path, content):
    path = put(tmp_path / "other", "dataset_description.json", content)
    with pytest.raises(DataError, match="will not be written over"):
        bids.write_dataset_description(tmp_path / "other", dataset)
    assert json.loads(path.read_text()) == content
    assert list(path.parent.iterdir()) == [path]


def test_results_do_not_go_among_the_scans(dataset):
    with pytest.raises(DataError, match="participant's folder"):
        bids.write_dataset_description(dataset / "sub-01" / "out", dataset)
    assert not (dataset / "sub-01" / "out").exists()


def test_description_takes_over_only_plain_text(dataset, tmp_path):
    put(dataset, "dataset_description.json", {"Name": "a\n<script>\u202eb", "DatasetDOI": "10.1/x"})
    content = io.load_json(bids.write_dataset_description(tmp_path / "out", dataset))
    assert content["Name"] == "brainnet results of a\\n<script>\\u202eb"
    assert content["SourceDatasets"] == [{"URL": "bids:raw:", "DOI": "10.1/x"}]
    put(dataset, "dataset_description.json", {"Name": ["x"], "DatasetDOI": {}})
    content = io.load_json(bids.write_dataset_description(tmp_path / "out", dataset))
    assert content["Name"] == "brainnet results of a dataset without a name"


def test_uri_is_relative_to_the_dataset_of_the_file(dataset, tmp_path):
    scan = dataset / "sub-01/anat/sub-01_T1w.nii.gz"
    assert bids.uri(scan) == "bids::sub-01/anat/sub-01_T1w.nii.gz"
    assert bids.uri(tmp_path / "x.nii.gz") == "x.nii.gz"


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


def test_others_are_not_looked_at_where_those_wanted_are_there(tmp_path, monkeypatch):
    root = tmp_path / "bids"
    put(root, "dataset_description.json", {"Name": "toy"})
    (root / ".bidsignore").write_text("*.html\nsub-03/\n")
    put(root, "T1w.json", {"A": 1})
    for number in range(1, 31):
        put(root, f"sub-{number:02d}/anat/sub-{number:02d}_T1w.nii.gz")
        put(root, f"sub-{number:02d}_T1w.json", {"B": number})
    matched, compiled = [], []
    match, compile_ = ignore.Ignored.__contains__, ignore._compile
    monkeypatch.setattr(
        ignore.Ignored, "__contains__", lambda self, name: matched.append(name) or match(self, name)
    )
    monkeypatch.setattr(
        ignore, "_compile", lambda *given: compiled.append(given) or compile_(*given)
    )
    for label in ("02", "sub-04"):
        (scan,) = bids.index(root, subjects=[label])
        assert scan.metadata == {"A": 1, "B": int(label[-2:])}
    assert not [name for name in matched if "sub-" in name and name[4:6] not in ("02", "04")]
    assert len(compiled) == 1
    with pytest.raises(DataError, match="no participant 03"):
        bids.index(root, subjects=["03"])
    (root / ".bidsignore").write_text("sub-02/\n")
    with pytest.raises(DataError, match="no participant 02"):
        bids.index(root, subjects=["02"])


def test_whether_a_dataset_is_derivative_may_be_told(tmp_path):
    put(tmp_path, "dataset_description.json", {"Name": "masks"})
    put(tmp_path, "sub-01/anat/sub-01_desc-brain_mask.nii.gz")
    assert len(bids.index(tmp_path, derivative=True)) == 1
    with pytest.raises(DataError, match="known modality"):
        bids.index(tmp_path)


def test_derivatives_that_results_are_made_from_are_linked(dataset, tmp_path):
    given = [tmp_path / "a", tmp_path / "b", tmp_path / "a"]
    path = bids.write_dataset_description(tmp_path / "out", dataset, derivatives=given)
    content = io.load_json(path)
    links = content["DatasetLinks"]
    assert list(links) == ["raw", "derivative1", "derivative2"]
    assert (links["derivative1"], links["derivative2"]) == ("../a", "../b")
    assert [each["URL"] for each in content["SourceDatasets"]] == [
        "bids:raw:", "bids:derivative1:", "bids:derivative2:"
    ]  # fmt: skip
