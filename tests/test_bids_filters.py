"""Filter files as fMRIPrep's users know them, and --task-id."""

import json

import pytest

from brainnet import bids
from brainnet.io import DataError, DataWarning

NAMES = (
    "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
    "sub-01/ses-1/anat/sub-01_ses-1_acq-hi_run-02_T1w.nii.gz",
    "sub-01/ses-1/fmap/sub-01_ses-1_dir-AP_epi.nii.gz",
    "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-01_bold.nii.gz",
    "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-02_echo-1_bold.nii.gz",
    "sub-01/ses-1/func/sub-01_ses-1_task-nback_bold.nii",
    "sub-01/ses-2/pet/sub-01_ses-2_trc-FDG_rec-acdyn_pet.nii.gz",
    "sub-01/ses-2/pet/sub-01_ses-2_trc-AV45_pet.nii.gz",
)


@pytest.fixture
def scans(tmp_path):
    """The index of one participant with several images of every kind."""
    for name in NAMES:
        path = tmp_path / "bids" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "bids/dataset_description.json").write_text('{"Name": "toy"}')
    return bids.index(tmp_path / "bids")


def load(tmp_path, content):
    path = tmp_path / "filter.json"
    path.write_text(json.dumps(content))
    return bids.load_filters(path)


def left(scans, tmp_path, content, kind, **options):
    """Return the names of one kind that a filter leaves, without what they share."""
    kept = bids.filter_scans(scans, load(tmp_path, content), **options)
    ends = [scan.path.name.partition("_")[2].partition("_")[2] for scan in kept]
    return [end.partition(".")[0].removesuffix(kind) for end in ends if f"{kind}." in end]


BOLD = ["task-nback_", "task-rest_run-01_", "task-rest_run-02_echo-1_"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, BOLD),
        ({"task": "rest"}, BOLD[1:]),
        ({"task": "task-rest"}, BOLD[1:]),
        ({"task": ["nback", "rest"], "run": 1}, BOLD[1:2]),
        ({"run": "1"}, BOLD[1:2]),
        ({"run": "01"}, BOLD[1:2]),
        ({"run": [1, 2]}, BOLD[1:]),
        ({"run": None}, BOLD[:1]),
        ({"run": [None, 2]}, [BOLD[0], BOLD[2]]),
        ({"run": "*"}, BOLD[1:]),
        ({"run": "Query.NONE"}, BOLD[:1]),
        ({"echo": 1}, BOLD[2:]),
        ({"session": "1", "suffix": "bold", "datatype": "func"}, BOLD),
        ({"ses": "2"}, []),
        ({"extension": ".nii"}, BOLD[:1]),
        ({"suffix": "sbref"}, []),
    ],
)
def test_conditions_on_bold(scans, tmp_path, conditions, expected):
    assert left(scans, tmp_path, {"bold": conditions}, "bold") == expected
    assert len(left(scans, tmp_path, {"bold": conditions}, "T1w")) == 2  # others are left alone
    assert len(left(scans, tmp_path, {"bold": conditions}, "epi")) == 1


def test_conditions_on_t1w_and_pet(scans, tmp_path):
    content = {"t1w": {"acquisition": None}, "pet": {"tracer": "FDG", "reconstruction": "acdyn"}}
    assert left(scans, tmp_path, content, "T1w") == [""]
    assert left(scans, tmp_path, content, "pet") == ["trc-FDG_rec-acdyn_"]
    assert left(scans, tmp_path, content, "bold") == BOLD


def test_values_are_compared_as_written_but_for_counts(scans, tmp_path):
    assert left(scans, tmp_path, {"pet": {"trc": "fdg"}}, "pet") == []
    assert left(scans, tmp_path, {"pet": {"ses": "02"}}, "pet") == []  # ses-2 is another label


def test_tasks(scans, tmp_path):
    assert left(scans, tmp_path, {}, "bold", tasks=["task-nback"]) == BOLD[:1]
    assert len(bids.filter_scans(scans, tasks=["nback", "rest"])) == len(NAMES)
    assert len(bids.filter_scans(scans)) == len(NAMES)
    with pytest.raises(DataError, match="no BOLD run of task motor; there are nback, rest"):
        bids.filter_scans(scans, tasks=["rest", "motor"])


def test_a_filter_that_leaves_no_t1w_is_an_error(scans, tmp_path):
    with pytest.raises(DataError, match=r"filter\.json: leaves none of the 2 T1w images"):
        bids.filter_scans(scans, load(tmp_path, {"t1w": {"session": "2"}}))


def test_what_stands_for_an_unreadable_participant_is_kept(scans, tmp_path):
    (tmp_path / "bids/sub-02").symlink_to("sub-02")
    again = bids.index(tmp_path / "bids")
    filters = load(tmp_path, {"t1w": {"run": None}, "bold": {"task": "x"}, "pet": {"run": 9}})
    assert [s.subject for s in bids.filter_scans(again, filters) if s.problem] == ["02"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"T1w": {}}, "unknown key 'T1w'.*t1w, bold, pet"),
        ({"bold": "rest"}, "'bold' holds 'rest', not an object"),
        ({"bold": {"patient": "1"}}, "unknown entity 'patient'"),
        ({"bold": {"run": True}}, "'run' holds True"),
        ({"bold": {"run": 1.5}}, "'run' holds 1.5"),
        ({"bold": {"run": {"from": 1}}}, "'run' holds"),
        ({"bold": {"run": []}}, "empty list"),
        ({"bold": {"run": [1, [2]]}}, "'run' holds"),
        (["bold"], "list, not an object"),
    ],
)
def test_what_is_no_filter_is_refused(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        load(tmp_path, content)


def test_keys_of_other_programs_are_ignored_with_a_warning(scans, tmp_path):
    with pytest.warns(DataWarning, match="'flair' is ignored"):
        filters = load(tmp_path, {"flair": {"run": 1}, "bold": {"run": 1}})
    assert list(filters.queries) == ["bold"]
