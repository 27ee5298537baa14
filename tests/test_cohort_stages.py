"""Names of stages as ADNI, OASIS-3 and AIBL write them, and the order of the stages."""

import itertools

import numpy as np
import pandas as pd
import pytest

from brainnet.cohort import STAGES, read_stages, stage_order
from brainnet.cohort.stages import CODES, SCHEMES, scheme_of
from brainnet.io import DataError


@pytest.mark.parametrize(
    "given, three, five",
    [
        ("CN", "CN", "CN"),
        ("NL", "CN", "CN"),
        ("SMC", "CN", "SMC"),
        ("EMCI", "MCI", "EMCI"),
        ("LMCI", "MCI", "LMCI"),
        ("AD", "AD", "AD"),
        ("Dementia", "AD", "AD"),
        ("  dementia ", "AD", "AD"),
        ("Early  MCI", "MCI", "EMCI"),
        ("Late Mild Cognitive Impairment", "MCI", "LMCI"),
        ("Significant Memory Concern", "CN", "SMC"),
        ("Alzheimer's Disease", "AD", "AD"),
        ("Cognitively normal", "CN", "CN"),
        ("No dementia", "CN", "CN"),
        ("AD Dementia", "AD", "AD"),
        ("AD dem w/depresss- not contribut", "AD", "AD"),
        ("DAT w/depresss not contribut", "AD", "AD"),
        ("Stable: NL to NL", "CN", "CN"),
        ("Conversion: NL to Dementia", "AD", "AD"),
        ("n/a", "n/a", "n/a"),
        ("", "n/a", "n/a"),
        (".", "n/a", "n/a"),
        (None, "n/a", "n/a"),
        (np.nan, "n/a", "n/a"),
        (-4, "n/a", "n/a"),
    ],
)
def test_names_of_the_studies(given: object, three: str, five: str) -> None:
    assert read_stages([given], scheme="three").tolist() == [three]
    assert read_stages([given], scheme="five").tolist() == [five]


@pytest.mark.parametrize(
    "given, three",
    [("MCI", "MCI"), ("mci", "MCI"), ("MCI to Dementia", "AD"), ("Dementia to MCI", "MCI"),
     ("Reversion: MCI to NL", "CN")],
)  # fmt: skip
def test_what_has_changed_counts_as_what_it_is_now(given: str, three: str) -> None:
    assert read_stages([given]).tolist() == [three]


@pytest.mark.parametrize(
    "coding, numbers, stages",
    [
        ("DIAGNOSIS", [1, 2, 3], ["CN", "MCI", "AD"]),
        ("DXCURREN", [1.0, 2.0, 3.0], ["CN", "MCI", "AD"]),
        ("DXCHANGE", range(1, 10), ["CN", "MCI", "AD", "MCI", "AD", "AD", "CN", "MCI", "CN"]),
        ("CDRTOT", [0, 0.5, 1, 2, 3], ["CN", "MCI", "AD", "AD", "AD"]),
        ("cdr", ["0.0", "0.5", "1.0"], ["CN", "MCI", "AD"]),
    ],
)
def test_numbers_by_their_column(coding: str, numbers: object, stages: list[str]) -> None:
    column = pd.Series(list(numbers), name=coding)  # type: ignore[call-overload]
    assert read_stages(column).tolist() == stages
    assert read_stages(column.to_numpy(), coding=coding).tolist() == stages


def test_the_same_number_means_what_its_coding_says() -> None:
    assert read_stages([1], coding="CDR").tolist() == ["AD"]
    assert read_stages([1], coding="DXCURREN").tolist() == ["CN"]
    with pytest.raises(DataError, match=r"numbers need coding, one of DXCURREN, DIAGNOSIS, .*CDR"):
        read_stages([1, 2])
    with pytest.raises(DataError, match=r"'4' \(1 rows\)"):
        read_stages(pd.Series([1, 4], name="DXCURREN"))
    with pytest.raises(ValueError, match=r"coding must be one of DXCURREN, .*; got 'DX'"):
        read_stages([1], coding="DX")


def test_all_unknown_labels_are_named_with_the_file_and_the_way_out() -> None:
    column = pd.Series(["CN", "FTD", "FTD", "uncertain dementia", "DLBD, primary"], name="dx1")
    with pytest.raises(DataError) as caught:
        read_stages(column, path="OASIS3_UDSb4_cdr.csv")
    said = str(caught.value)
    assert said.startswith("OASIS3_UDSb4_cdr.csv, column dx1: ")
    for words in ("'FTD' (2 rows)", "'uncertain dementia' (1 rows)", "'DLBD, primary'", "stages={"):
        assert words in said
    own = {"FTD": "n/a", "Uncertain Dementia": "MCI", "dlbd, primary": "n/a"}
    assert read_stages(column, stages=own).tolist() == ["CN", "n/a", "n/a", "MCI", "n/a"]


@pytest.mark.parametrize(
    "label",
    ["AD dem cannot be primary", "Vascular Demt- primary", "0.5 in memory only", "data", "AIDS",
     "Frontotemporal demt. prim", "MCI-AD", True, "Incipient Non-AD dem", "not AD"],
)  # fmt: skip
def test_what_only_looks_like_a_stage_is_refused(label: object) -> None:
    with pytest.raises(DataError, match="is no stage of scheme 'three'"):
        read_stages([label])


def test_mci_without_early_or_late_is_none_of_five() -> None:
    with pytest.raises(DataError, match=r"'MCI' .*needs scheme='three'"):
        read_stages(["CN", "MCI"], scheme="five")
    assert read_stages(["MCI"], scheme="five", stages={"MCI": "LMCI"}).tolist() == ["LMCI"]


def test_own_labels_must_be_of_the_scheme_and_go_first() -> None:
    with pytest.raises(ValueError, match="stages must map to CN, MCI, AD, n/a in scheme 'three'"):
        read_stages(["x"], stages={"x": "EMCI"})
    assert read_stages([2, "AD"], stages={2: "CN", "AD": "n/a"}).tolist() == ["CN", "n/a"]
    with pytest.raises(ValueError, match="scheme must be 'three' or 'five'; got 'four'"):
        read_stages(["CN"], scheme="four")  # type: ignore[arg-type]


def test_order_of_severity() -> None:
    for labels in itertools.permutations(STAGES, 3):
        assert stage_order(labels) == tuple(sorted(labels, key=STAGES.index))
    assert stage_order(["AD", "MCI", "SMC", "CN"]) == ("CN", "SMC", "MCI", "AD")
    assert stage_order(["AD", "pMCI", "sMCI", "CN"]) == ("CN", "sMCI", "pMCI", "AD")
    assert stage_order(np.array(["MCI", "CN", "MCI"])) == ("CN", "MCI")
    assert stage_order(["young", "AD"]) == ("AD", "young")
    for scheme in SCHEMES.values():
        assert stage_order(reversed(scheme)) == scheme


@pytest.mark.parametrize("mixed", [("MCI", "LMCI"), ("EMCI", "sMCI"), ("pMCI", "MCI")])
def test_mci_divided_in_two_ways_has_no_order(mixed: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="labels must divide MCI in one way"):
        stage_order(["CN", *mixed, "AD"])


def test_every_code_is_a_stage_of_three() -> None:
    assert {stage for codes in CODES.values() for stage in codes.values()} == set(SCHEMES["three"])


@pytest.mark.parametrize(
    "name, labels, scheme",
    [
        ("stage", ["CN", "EMCI", "LMCI", "AD"], None),
        ("stage", ["sMCI", "pMCI", None], None),
        ("stage", ["NL", "Dementia", "MCI to Dementia", None], "three"),
        ("stage", ["cn", "early MCI", "AD"], "five"),
        ("stage", ["cn", "early MCI", "MCI", "AD"], "three"),
        ("DXCURREN", [1, 2, 3, -4], "three"),
        ("CDRTOT", [0, 0.5, 2, np.nan], "three"),
        ("dx", ["NL", "AD"], "three"),
        ("dx", ["control", "autism"], None),
        ("stage", [0, 1, 2], None),
        ("diagnosis", [1, 2], None),
        ("stage", ["young", "old"], None),
    ],
)
def test_labels_that_are_stages_under_other_names_are_told_from_other_classes(name, labels, scheme):
    assert scheme_of(pd.Series(labels, name=name, dtype=object)) == scheme


@pytest.mark.parametrize(
    "name, labels, scheme, words",
    [
        ("stage", ["NL", "FTD", "Dementia"], None, ["'FTD' (1 rows)", "CN, MCI, AD in place"]),
        ("DXCURREN", [1, 2, 9], None, ["'9' (1 rows)", "columns called DXCURREN"]),
        ("dx", [0, 1], "three", ["'0' (1 rows), '1' (1 rows)", "columns called DXCURREN"]),
        ("stage", ["CN", "MCI", "AD"], "five", ["'MCI'", "CN, SMC, EMCI, LMCI, AD", "'three'"]),
    ],
)
def test_labels_that_are_no_stages_are_named_with_what_to_do(name, labels, scheme, words):
    with pytest.raises(DataError) as caught:
        scheme_of(pd.Series(labels, name=name), scheme=scheme, path="people.tsv")
    assert str(caught.value).startswith(f"people.tsv, column {name}: ")
    for word in (*words, "n/a leaves"):
        assert word in str(caught.value)
