"""Tables, figures and the page of staging: what is shown, in what order and in what words."""

import numpy as np
import pandas as pd
import pytest

from brainnet.report import figures
from brainnet.report.group_tables import (
    coverage_table,
    difference_table,
    missing_section,
    models_table,
    score_tables,
    site_table,
)
from brainnet.report.page import Methods, Section, Table, render_page
from brainnet.report.staging import staging_page
from tests.report.test_figures import drawn_twice, share_of
from tests.report.test_pages import Reader


def score(name: str, metric: str, estimate: float) -> dict:
    return {"estimator": name, "metric": metric, "estimate": estimate, "low": estimate - 0.1,
            "high": estimate + 0.1}  # fmt: skip


def test_scores_are_in_order_and_explained():
    rows = [score(name, metric, value) for metric in ("balanced_accuracy", "auc", "f1")
            for name, value in (("gcn", 0.5), ("linear", 0.625))]  # fmt: skip
    rows.append(score("gcn", "kappa", np.nan))
    main, others = score_tables(pd.DataFrame(rows))
    assert main.frame["model"].tolist() == ["linear", "gcn"]
    assert main.frame.columns.tolist() == ["model", "balanced accuracy", "AUC", "kappa"]
    assert main.frame["balanced accuracy"].tolist() == [
        "0.62 (0.53 to 0.72)",
        "0.50 (0.40 to 0.60)",
    ]
    assert main.frame["kappa"].fillna("-").tolist() == ["-", "n/a"]
    for word in ("guessing: 1 over the number of stages", "agreement beyond chance"):
        assert word in main.note
    assert others.frame.columns.tolist() == ["model", "f1"]
    assert others.longest == 0, "folded"
    assert len(score_tables(pd.DataFrame(rows[:4]))) == 1


def test_differences_are_from_the_best_baseline_with_p_values():
    rows = [
        score("gcn", metric, value) | {"baseline": "linear", "p": p, "p_holm": 2 * p}
        for metric, value, p in (("balanced_accuracy", -0.05, 0.0004), ("auc", 0.3, np.nan))
    ]
    rows.append(rows[0] | {"estimator": "gin", "estimate": 0.2, "low": 0.1, "high": 0.3,
                           "p": np.nan, "p_holm": np.nan})  # fmt: skip
    table = difference_table(pd.DataFrame(rows))
    assert table.title == "Difference from linear"
    assert table.frame.to_numpy().tolist() == [
        ["gin", "+0.20 (+0.10 to +0.30)", "n/a", "n/a"],
        ["gcn", "-0.05 (-0.15 to +0.05)", "< 0.001", "< 0.001"],
    ]
    assert "an interval that holds 0 shows no difference" in table.note


def test_coverage_sites_and_models_in_words():
    row = {"of": "CN", "n_participants": 20, "coverage": 0.85, "low": 0.7, "high": 1.0,
           "size": 2.25, "single": 0.1}  # fmt: skip
    table = coverage_table(pd.DataFrame([row]), level=0.9)
    assert table.frame.iloc[0].tolist() == ["CN", 20, "85% (70% to 100%)", 2.25, "10%"]
    assert "90% of the sets" in table.note
    site = {"features": "harmonised", "classifier": "linear", "balanced_accuracy": 0.6,
            "low": 0.5, "high": 0.7, "chance": 0.5, "decodable": False}  # fmt: skip
    found = site_table([site, site | {"features": "raw", "decodable": True}])
    assert found.frame["networks"].tolist() == ["harmonised", "as they are"]
    assert found.frame["can be told"].tolist() == [False, True]
    assert models_table({"a": "b"}).frame.to_numpy().tolist() == [["a", "b"]]


def test_everybody_who_lacks_something_is_named():
    present = pd.DataFrame(
        {"functional": [True, True, False, True], "metabolic": [True, False, False, False]},
        index=["01", "02", "03", "04"],
    )
    stages = pd.Series(["CN", "AD", "AD", "CN"], index=present.index)
    section = missing_section(present, stages, ["CN", "AD"])
    patterns, people = (table.frame for table in section.tables)
    assert patterns.to_numpy().tolist() == [
        ["functional", 2, 1, 1], ["functional, metabolic", 1, 1, 0], ["none", 1, 0, 1],
    ]  # fmt: skip
    assert people["lacks"].tolist() == ["metabolic", "functional, metabolic", "metabolic"]
    assert "3 participants of 4 lack" in section.intro
    whole = missing_section(present.iloc[:1], stages[:1], ["CN", "AD"])
    assert whole.intro == "Everybody has every modality."
    assert len(whole.tables) == 1


def test_figures_of_probabilities():
    chances = np.random.default_rng(0).dirichlet([1, 1, 1], 5)
    names = [f"sub-{number:02d}" for number in range(5)]
    picture = drawn_twice(lambda: figures.stage_bars(chances, names, ["CN", "MCI", "AD"]))
    taller = figures.stage_bars(np.repeat(chances, 2, axis=0), names * 2, ["CN", "MCI", "AD"])
    assert len(taller) > 1000
    assert share_of(picture, "#ffffff") < 0.6, "bars fill the picture"
    for wrong in (chances[:0], chances[:, :2]):
        with pytest.raises(ValueError, match="a row for each of one or more names"):
            figures.stage_bars(wrong, names[: len(wrong)], ["CN", "MCI", "AD"])
    curve = pd.DataFrame({"confidence": [0.3, 0.8], "observed": [0.25, 0.9], "low": [0.1, np.nan],
                          "high": [0.4, np.nan], "n_subjects": [30, 5]})  # fmt: skip
    many = pd.concat([curve.assign(estimator=name) for name in "abcde"], ignore_index=True)
    two_rows = drawn_twice(lambda: figures.reliability_plot(many))
    assert (
        two_rows.shape[0]
        > drawn_twice(lambda: figures.reliability_plot(curve.assign(estimator="a"))).shape[0]
    )
    with pytest.raises(ValueError, match="curves must have rows"):
        figures.reliability_plot(curve)


@pytest.fixture
def table() -> pd.DataFrame:
    """Three who are staged, one of them on little, and one who is refused."""
    rows = [
        {"participant_id": f"sub-0{number}", "stage": "AD", "p_CN": 0.2, "p_AD": 0.8,
         "set": "CN, AD", "modalities": "functional", "missing": None, "coverage": 1.0,
         "remarks": None, "problem": None}
        for number in range(3)
    ]  # fmt: skip
    rows[1] |= {"missing": "metabolic", "coverage": 0.704, "remarks": "simulated: functional"}
    rows.append({"participant_id": "sub-09", "problem": "another <atlas>"})
    return pd.DataFrame(rows)


CARD = {
    "stages": ["CN", "AD"],
    "cohort": {"name": "x.tsv", "n": {"AD": 7, "CN": 8}, "simulated": False, "age": [60.0, 81.5],
               "sex": {"F": 9, "M": 6}},
    "scores": {"balanced_accuracy": {"estimate": 0.71, "low": 0.6, "high": 0.8}},
    "limits": ["Not a medical device."], "conformal": {"level": 0.9},
    "evaluation": {"verdict": ["The graph network is not better."]},
}  # fmt: skip


def test_the_page_of_new_participants(table):
    page = staging_page(table, CARD, title="Stages", warnings=["careful"], provenance={"seed": 1})
    assert page == staging_page(
        table, CARD, title="Stages", warnings=["careful"], provenance={"seed": 1}
    )
    words = Reader(page).words
    for text in (
        "For research only. These are not diagnoses", "recognised 71% (95 % interval 60% to 80%",
        "50% would be guessing", "sub-00 AD 0.20 0.80 CN, AD nothing 100%",
        "sub-01 AD 0.20 0.80 CN, AD metabolic 70% simulated: functional", "another <atlas>",
        "8 CN, 7 AD", "60 to 81.5", "9 F, 6 M", "Not a medical device.", "is not better",
        "90% have their true stage among these",
    ):  # fmt: skip
        assert text in words, text
    assert words.index("For research only") < words.index("careful") < words.index("sub-00")
    assert "Made up by the program, not measured: Stages." in words


def test_the_page_tells_of_simulated_training_and_of_no_scores(table):
    card = CARD | {"scores": {}, "cohort": CARD["cohort"] | {"simulated": True}}
    words = Reader(staging_page(table[:1], card, title="x", provenance={}, simulated=True)).words
    assert "trained on SIMULATED networks" in words
    assert "does not say how well it does" in words
    assert "Nothing on this page was measured in a person." in words
    assert "Not staged 0" in words
    assert "These participants have no stage" not in words


def test_many_participants_stand_in_the_table_and_sixty_in_the_picture(table):
    many = pd.concat([table[:1].assign(participant_id=f"sub-{k:03d}") for k in range(90)])
    words = Reader(staging_page(many, CARD, title="x", provenance={})).words
    assert "The first 60 of 90." in words
    assert "sub-089" in words
    assert "A row a participant (90 rows)" not in words, "not folded"


def test_what_leads_stands_in_a_box_at_the_top():
    page = render_page(
        "x", kind="group", summary={}, warnings=["careful"], methods=Methods(""), provenance={},
        simulated=False,
        sections=[
            Section("Other", "later"), Section("In short", "first\n\nsecond", lead=True),
            Section("Tables", tables=[Table("t", pd.DataFrame({"a": [1, 2]}), longest=1)]),
        ],
    )  # fmt: skip
    words = Reader(page).words
    assert words.index("first") < words.index("careful") < words.index("later")
    assert page.count('class="lead"') == 1
    assert "t (2 rows)" in words, "folded"
    assert words.index("In short") < words.index("Other")
