"""Pages are whole, self-contained, escaped, and the same bytes each time."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from brainnet.report import figures
from brainnet.report.group import cohort_table, flow_section, group_page, score_section
from brainnet.report.methods import methods_text
from brainnet.report.page import Figure, Methods, Notice, Section, Table
from brainnet.report.participant import participant_page
from brainnet.report.references import REFERENCES

VOID = {"meta", "img", "input", "br", "link"}


class Reader(HTMLParser):
    """Collects text and attributes; fails where tags do not close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.text: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.feed(page)
        self.close()
        assert not self.stack, f"unclosed {self.stack}"

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [values["id"]] if "id" in values else []
        self.targets += [values["href"]] if "href" in values else []
        self.sources += [values["src"]] if "src" in values else []
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.stack):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def png() -> bytes:
    frame = pd.DataFrame(np.eye(2), index=["a", "b"], columns=["a", "b"])
    return figures.stage_matrices({("functional", "CN"): frame})


@pytest.fixture
def arguments(png):
    table = pd.DataFrame({"region": ["a", "<b>"], "value": [1.23456, np.nan], "n": [3, 4]})
    long = pd.DataFrame({"k": range(30)})
    return {
        "subject": "01<script>alert(1)</script>",
        "session": "M00",
        "summary": {"Age": 71, "Mean FD (mm)": 0.12345, "Sex": None},
        "sections": [
            Section("Anatomy & such", "First.\n\nSecond.", [Figure(png, "A caption", after=png)],
                    [Table("Values", table, "in ml"), Table("Long", long)]),
            Section("PET", missing="No PET was acquired."),
            Section("Simulated part", figures=[Figure(png, "Uptake", simulated=True)]),
        ],
        "warnings": [
            Notice("Regions <missing>", "They are NaN.", "Scan them.", "functional"),
            "A plain one & <script>evil()</script>",
            "A plain one & <script>evil()</script>",
        ],
        "methods": methods_text({"anatomical": {"bias_correction": "N4", "brain_mask": "deepbet"}}),
        "provenance": {"Seed": 0, "T1w": "ab" * 32},
    }  # fmt: skip


def test_page_is_well_formed_complete_and_escaped(arguments):
    page = participant_page(**arguments)
    read = Reader(page)
    for words in (
        "sub-01<script>alert(1)</script>, ses-M00", "Anatomy & such", "First.", "Second.",
        "A caption", "Values", "in ml", "<b>", "No PET was acquired.", "Regions <missing>",
        "They are NaN.", "Scan them.", "A plain one & <script>evil()</script>", "2 warnings",
        "2 times", "absent", "Tustison", "Fisch", "0.123",
    ):  # fmt: skip
        assert words in read.words, words
    assert page.count("<script") == 1, "ours alone"
    assert "1.23 " in read.words
    assert read.words.count("n/a") == 2
    assert "Long (30 rows)" in read.words
    assert read.tags.count("details") == 1


def test_page_asks_nothing_of_the_network(arguments):
    page = participant_page(**arguments)
    read = Reader(page)
    assert read.sources
    assert all(source.startswith("data:image/png;base64,") for source in read.sources)
    assert all(target.startswith("#") for target in read.targets)
    assert {target[1:] for target in read.targets} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert not re.search(r"url\(|@import|https?://", page)


def test_same_arguments_same_bytes(arguments):
    assert participant_page(**arguments) == participant_page(**arguments)


def test_banner_names_what_is_simulated(arguments):
    part = Reader(participant_page(**arguments))
    assert "SIMULATED DATA Made up by the program, not measured: Simulated part." in part.words
    assert part.words.count("SIMULATED DATA.") == 1
    whole = Reader(participant_page(**arguments, simulated=True))
    assert "Nothing on this page was measured in a person." in whole.words
    assert whole.words.count("SIMULATED DATA.") == 2, "one in every caption"
    arguments["sections"] = arguments["sections"][:2]
    assert "SIMULATED" not in Reader(participant_page(**arguments)).words


def test_page_without_anything(arguments):
    arguments |= {"session": None, "sections": [], "warnings": [], "methods": Methods("")}
    arguments |= {"summary": {}, "provenance": {}}
    words = Reader(participant_page(**arguments)).words
    assert "No step raised a warning." in words
    assert "ses-" not in words


def test_what_is_no_picture_is_refused(arguments):
    arguments["sections"] = [Section("x", figures=[Figure(b"<svg>", "x")])]
    with pytest.raises(ValueError, match="PNG"):
        participant_page(**arguments)


@pytest.mark.parametrize(
    "value, text",
    [(0.0, "0"), (1234567.0, "1.23e+06"), (0.00001234, "1.23e-05"), (0.1, "0.100"),
     (123.456, "123"), (-2.5, "-2.50"), (True, "yes"), (np.int64(7), "7"), (pd.NA, "n/a"),
     (float("inf"), "inf")],
)  # fmt: skip
def test_numbers_in_tables(value, text, arguments):
    frame = pd.DataFrame({"value": pd.Series([value], dtype=object)})
    arguments["sections"] = [Section("x", tables=[Table("t", frame)])]
    assert f">{text}</td>" in participant_page(**arguments)


@pytest.fixture
def flow() -> pd.DataFrame:
    return pd.DataFrame(
        {"subject": ["01", "02", "03"], "included": [True, False, False],
         "reason": ["", "no T1w", "no T1w"]}
    )  # fmt: skip


def test_group_page_tells_who_is_out_and_why(flow, png):
    scores = pd.DataFrame(
        {"estimator": ["gcn", "gcn"], "metric": ["auc", "kappa"], "estimate": [0.7, 0.5],
         "low": [0.6, 0.4], "high": [0.8, 0.6]}
    )  # fmt: skip
    arguments = {
        "dataset": "demo", "summary": {"n": 1}, "flow": flow, "warnings": ["careful"],
        "sections": [score_section(scores, figures=[Figure(png, "scores")])],
        "methods": methods_text({"simulated": True}), "provenance": {}, "simulated": True,
    }  # fmt: skip
    page = group_page(**arguments)
    words = Reader(page).words
    assert page == group_page(**arguments)
    assert "3 participants found: 1 analysed, 2 left out." in words
    assert "no T1w 2 02, 03" in words
    assert "0.70 (0.60 to 0.80) 0.50 (0.40 to 0.60)" in words
    assert "All data were simulated." in words
    assert "Cohort" in words


def test_nobody_is_left_out_silently(flow):
    with pytest.raises(ValueError, match="why"):
        flow_section(flow.assign(reason=["", "no T1w", None]))
    with pytest.raises(ValueError, match="lacks"):
        flow_section(flow.drop(columns="reason"))
    everyone = flow_section(flow.assign(included=True))
    assert everyone.intro == "3 participants found: 3 analysed, nobody left out."
    assert not everyone.tables


def test_cohort_table_keeps_those_without_stage():
    frame = pd.DataFrame(
        {"stage": pd.Categorical(["AD", "CN", "CN", None], ["CN", "AD"], ordered=True),
         "age": [70, 60, 64, np.nan], "sex": ["f", "M", None, "F"]}
    )  # fmt: skip
    table = cohort_table(frame).set_index("stage")
    assert list(table.index) == ["CN", "AD", "not given", "all"]
    assert list(table["n"]) == [2, 1, 1, 4]
    assert table.loc["CN", "age"] == "62.0 ± 2.8 (60–64)"
    assert table.loc["not given", "age"] == "not given"
    assert table.loc["all", "sex"] == "2 F, 1 M"
    with pytest.raises(ValueError, match="'dx'"):
        cohort_table(frame, by="dx")


FULL = {
    "dataset": {"name": "demo", "n_subjects": 2},
    "anatomical": {"bias_correction": "N4", "brain_mask": "deepbet", "tissue": "Atropos",
                   "registration": "SyN", "quality": "draft", "template": "MNI152NLin2009cAsym"},
    "functional": {"n_timepoints": 150, "t_r": 2.0, "motion": True, "registration": "rigid",
                   "slice_timing": False, "confounds": "24P+WM+CSF", "high_pass": 0.01,
                   "low_pass": 0.1, "network": "pearson"},
    "morphological": {"signal": "grey matter density", "network": "js_similarity"},
    "metabolic": {"tracer": "FDG", "reference_region": "cerebellar_grey", "simulated": True,
                  "network": "js_similarity"},
    "atlas": {"name": "Schaefer100TianS1", "n_regions": 116},
    "measures": {"densities": (0.1, 0.15), "modularity": True, "seed": 0},
    "staging": {"estimators": {"gcn": "a graph network", "linear": "regression",
                               "mine": "a rule of thumb"},
                "n_splits": 5, "n_repeats": 2, "seed": 1, "n_resamples": 1000, "level": 0.9,
                "baseline": "linear", "harmonise": "combat", "search": "inner",
                "permutations": 100},
    "software": {"brainnet": "0.1", "nilearn": "0.14.1"},
}  # fmt: skip


def test_methods_cite_in_order_and_only_what_ran():
    methods = methods_text(FULL)
    cited = [int(n) for group in re.findall(r"\[([\d, ]+)\]", methods.text)
             for n in group.split(",")]  # fmt: skip
    firsts = list(dict.fromkeys(cited))
    assert firsts == list(range(1, len(methods.citations) + 1))
    assert set(methods.citations) <= set(REFERENCES.values())
    for words in ("N4", "deepbet", "SyN", "draft quality", "24P+WM+CSF", "0.01 to 0.1 Hz", "FDG",
                  "cerebellar grey", "simulated", "116 regions", "10 and 15 %", "5-fold",
                  "mine (a rule of thumb)", "repeated 2 times", "slice timing", "ComBat [",
                  "resampled t-test [", "cross-conformal [", "dealt anew 100 times",
                  "within the training participants", "Kipf"):  # fmt: skip
        assert words in methods.text + "".join(methods.citations), words
    assert any("Tian" in citation for citation in methods.citations)
    small = methods_text({"anatomical": {"brain_mask": "input"}})
    assert "already skull-stripped" in small.text
    assert small.citations == ()


def test_methods_say_one_definition_once():
    text = methods_text(FULL).text
    assert text.count("Jensen-Shannon") == 1
    assert "morphological and metabolic networks" in text


def test_methods_refuse_a_misspelt_part():
    with pytest.raises(ValueError, match="functionnal"):
        methods_text({"functionnal": {}})


def test_every_reference_is_whole():
    for key, citation in REFERENCES.items():
        year = re.search(r"(\d{4})", key)
        assert year is None or year[1] in citation, key
        assert re.search(r"doi:|arXiv:|JMLR|J Mach Learn Res|NeurIPS", citation), key
