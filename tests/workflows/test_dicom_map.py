"""Which name a series gets: the mapping file, runs, echoes, sessions and labels."""

import re
from pathlib import Path
from typing import Any

import pytest

from brainnet.io import DataError

pytest.importorskip("pydicom", reason="pydicom is not installed: brainnet[dicom]")

from pydicom.dataset import Dataset

from brainnet.workflows import dicom
from brainnet.workflows.dicom import convert as dicom_convert
from brainnet.workflows.dicom import map as dicom_map
from brainnet.workflows.dicom import plan as dicom_plan
from brainnet.workflows.dicom import scan as dicom_scan


def scanned(**elements: Any) -> dicom_scan.Series:
    """Return a series that exists as a header only."""
    header = Dataset()
    given = {"Modality": "MR", "SeriesDescription": "mprage", "ImageType": ["ORIGINAL", "M"],
             "StudyDate": "20210304", "SeriesTime": "100000", "Rows": 4, "uid": "1.1", "part": "",
             "echo": 0.0, "patient": "A", **elements}  # fmt: skip
    for key in ("uid", "part", "echo", "patient"):
        given.pop(key)
    for key, value in given.items():
        setattr(header, key, value)
    more = {"uid": "1.1", "part": "", "echo": 0.0, "patient": "A"} | elements
    return dicom_scan.Series(
        more["uid"], more["part"], more["echo"], (Path("f"),), header, (more["patient"],)
    )


def mapped(tmp_path: Path, text: str, **more: Any) -> dicom_map.DicomMap:
    path = tmp_path / "map.toml"
    path.write_text(text)
    return dicom_map.load_map(path, **more)


def rows(*bids_names: str, head: str = '[participants]\nA = "01"\n') -> str:
    return head + "".join(
        f'[[series]]\nmatch = {{ SeriesDescription = "{match}" }}\nbids = {{ {name} }}\n'
        for match, _, name in (text.partition(" => ") for text in bids_names)
    )


T1W = '*mprage* => datatype = "anat", suffix = "T1w"'


def fates(series: list[dicom_scan.Series], mapping: dicom_map.DicomMap) -> list[str]:
    return [dicom_plan.fate(item) for item in dicom_plan.plan(series, mapping)]


def test_the_first_rule_that_fits_wins_and_case_does_not_matter(tmp_path: Path) -> None:
    mapping = mapped(
        tmp_path, rows('*MPR*ND => datatype = "anat", suffix = "T1w", acq = "nd"', T1W)
    )
    series = [
        scanned(SeriesDescription="t1 MPRAGE nd"),
        scanned(SeriesDescription="other", uid="2"),
    ]
    assert fates(series, mapping) == [
        "sub-01/anat/sub-01_acq-nd_T1w.nii.gz",
        "left out: no [[series]] fits",
    ]


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ('SeriesDescription = ["x", "mprage"], Modality = "mr"', True),
        ('SeriesDescription = "mprage", Modality = "PT"', False),
        ('ImageType = "M"', True),
        ('ImageType = "original\\\\m"', True),
        ('ImageType = "P"', False),
        ("EchoTime = 2.5", True),
        ("EchoTime = 3", False),
        ('PatientAge = "*"', False),
    ],
)
def test_conditions(tmp_path: Path, match: str, fits: bool) -> None:
    text = f'[[series]]\nmatch = {{ {match} }}\nbids = {{ datatype = "anat", suffix = "T1w" }}'
    assert mapped(tmp_path, text).rules[0].fits(scanned(EchoTime="2.50")) is fits


def test_repeats_are_runs_in_the_order_of_acquisition(tmp_path: Path) -> None:
    series = [scanned(uid="9", SeriesTime="120000"), scanned(uid="5", SeriesTime="110000")]
    assert fates(series, mapped(tmp_path, rows(T1W))) == [
        "sub-01/anat/sub-01_run-2_T1w.nii.gz",
        "sub-01/anat/sub-01_run-1_T1w.nii.gz",
    ]
    fixed = rows('*mprage* => datatype = "anat", suffix = "T1w", run = 1')
    assert all("leave run out" in fate for fate in fates(series, mapped(tmp_path, fixed)))


def test_echoes_of_a_series_are_told_apart(tmp_path: Path) -> None:
    series = [scanned(echo=30.0), scanned(echo=12.0)]
    bold = rows('* => datatype = "func", suffix = "bold", task = "rest"')
    assert fates(series, mapped(tmp_path, bold)) == [
        "sub-01/func/sub-01_task-rest_echo-2_bold.nii.gz",
        "sub-01/func/sub-01_task-rest_echo-1_bold.nii.gz",
    ]
    field = mapped(tmp_path, rows('* => datatype = "fmap", suffix = "magnitude"'))
    assert fates(series, field)[1] == "sub-01/fmap/sub-01_magnitude1.nii.gz"
    parts = [scanned(part="phase"), scanned()]
    assert all("tell them apart by ImageType" in f for f in fates(parts, mapped(tmp_path, bold)))


def test_sessions_by_date_and_never_by_silence(tmp_path: Path) -> None:
    series = [scanned(uid="2", StudyDate="20220101"), scanned(uid="1", StudyDate="20200101")]
    assert all("scanned on 2 days" in fate for fate in fates(series, mapped(tmp_path, rows(T1W))))
    for sessions, names in (
        ('by = "date"', ("ses-02", "ses-01")),
        ('by = "date"\nlabels = ["bl", "m24"]', ("ses-m24", "ses-bl")),
    ):
        mapping = mapped(tmp_path, f"[sessions]\n{sessions}\n" + rows(T1W))
        assert tuple(fate.split("/")[1] for fate in fates(series, mapping)) == names
    together = mapped(tmp_path, '[sessions]\nby = "none"\n' + rows(T1W))
    assert [fate[-12] for fate in fates(series, together)] == ["2", "1"]


def test_a_patient_without_a_label_is_never_named_by_the_id(tmp_path: Path) -> None:
    series = [scanned(patient="MRN 7")]
    assert "gives no label for 'MRN 7'" in fates(series, mapped(tmp_path, rows(T1W)))[0]
    allowed = mapped(tmp_path, rows(T1W, head='[participants]\n"*" = "{PatientID}"\n'))
    assert fates(series, allowed) == ["sub-MRN7/anat/sub-MRN7_T1w.nii.gz"]


def test_two_patient_ids_that_make_one_label_are_refused(tmp_path: Path) -> None:
    allowed = mapped(tmp_path, rows(T1W, head='[participants]\n"*" = "{PatientID}"\n'))
    series = [scanned(patient="A-1", uid="1"), scanned(patient="A1", uid="2")]
    assert all("one label" in fate for fate in fates(series, allowed))


def test_participants_from_a_table(tmp_path: Path) -> None:
    table = tmp_path / "who.tsv"
    table.write_text("patient_id\tparticipant_id\tage\nA\tsub-X1\t70\nB\tX2\tn/a\n")
    mapping = mapped(tmp_path, rows(T1W, head=""), participants=table)
    assert fates([scanned()], mapping) == ["sub-X1/anat/sub-X1_T1w.nii.gz"]
    old = "participant_id\tsex\nsub-00\tF\n"
    (tmp_path / "participants.tsv").write_text(old)
    dicom._list_participants(tmp_path, ["00", "X1", "X2"], mapping.table)
    assert (tmp_path / "participants.tsv").read_text() == (
        "participant_id\tsex\tage\nsub-00\tF\tn/a\nsub-X1\tn/a\t70\nsub-X2\tn/a\tn/a\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[series]", "not valid TOML"),
        ("[dataset]\nName = 'x'", "no \\[\\[series\\]\\]"),
        ("[participant]\n", "Did you mean participants"),
        (rows(T1W, head='[participants]\nA = "../../x"\n'), "letters and digits"),
        (rows('* => datatype = "anat", suffix = "T1w", acq = "../x"'), "letters and digits"),
        (rows('* => datatype = "anat", suffix = "T1"'), "no anat/T1 here"),
        (rows('* => datatype = "func", suffix = "bold"'), "bold needs task"),
        (rows('* => datatype = "anat", suffix = "T1w", dir = "AP"'), "unknown entity"),
        (
            rows(T1W).replace("SeriesDescription", "SeriesDescripton"),
            "Did you mean SeriesDescription",
        ),
        (rows(T1W) + "metadata = { a = 2020-01-01 }", "cannot be written as JSON"),
        (rows(T1W) + "metadata = { a = nan }", "cannot be written as JSON"),
        (rows(T1W) + 'uneven = "yes"', "uneven is 'yes'"),
        ("[sessions]\nby = 'day'\n" + rows(T1W), "by is 'day'"),
    ],
)
def test_a_faulty_mapping_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        mapped(tmp_path, text)


def test_the_template_fits_what_it_was_made_for(tmp_path: Path) -> None:
    """Brackets, quotes and controls in a description, patients of odd names."""
    odd = [
        scanned(SeriesDescription='mprage [ND] "x"\x1b', uid="1", patient='A"1'),
        scanned(
            SeriesDescription="loc",
            ImageType=["DERIVED", "LOCALIZER"],
            part="localizer",
            uid="2",
            patient="Ä=2",
        ),
        scanned(SeriesDescription="se_PA", uid="3", patient=""),
        scanned(SeriesDescription="", Modality="CT", uid="4", patient=""),
    ]
    text = dicom_plan.template(dicom_scan.Found(series=odd))
    assert fates(odd, dicom_map.parse_map(text, tmp_path)) == [
        "sub-02/anat/sub-02_T1w.nii.gz",
        "left out: the mapping says so",
        "sub-01/fmap/sub-01_dir-PA_epi.nii.gz",
        "sub-01/ct/sub-01_ct.nii.gz",
    ]


def test_only_text_can_name_a_person(tmp_path: Path) -> None:
    item = dicom_plan.Item(scanned(PatientID="120", PatientName="NOVA^ANNA"), None)
    notes: list[str] = []
    fields = {"FlipAngle": 120, "ReceiveCoilName": "Head 120", "ImageType": ["M", "ANNA"], "a": "b"}
    kept = dicom_convert._impersonal(fields, item, notes)
    assert kept == {"FlipAngle": 120, "a": "b"}
    assert len(notes) == 2


def test_fields_that_repeat_the_person_are_left_out() -> None:
    words = dicom_convert.personal_words(scanned(PatientName="LEE^ANNA^MI", PatientID="777").header)
    assert re.search(words, "protocol_anna_2", re.IGNORECASE)
    assert re.search(words, "lee's scan", re.IGNORECASE)
    assert not re.search(words, "Annapolis 7771 sleep mi", re.IGNORECASE)
