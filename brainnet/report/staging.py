"""One self-contained HTML page for new participants that a saved model staged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from brainnet.report import figures
from brainnet.report._canvas import plural
from brainnet.report.page import Figure, Methods, Notice, Section, Table, render_page

__all__ = ["staging_page"]

#: participants up to which there is a picture; the table holds everybody
_PICTURED = 60
_RESEARCH = (
    "For research only. These are not diagnoses, and nothing about a person may be decided by them."
)
_MEASURES = {
    "balanced_accuracy": "balanced accuracy (mean share of each stage that was recognised)",
    "auc": "area under the ROC curve (0.5: chance, 1: perfect)",
    "kappa": "quadratic-weighted kappa (0: chance, 1: perfect)",
}


def staging_page(
    table: pd.DataFrame,
    card: Mapping[str, Any],
    *,
    title: str,
    warnings: Sequence[str | Notice] = (),
    provenance: Mapping[str, object],
    simulated: bool = False,
) -> str:
    """Return the page of participants staged by a saved model.

    Parameters
    ----------
    table : DataFrame
        A row a participant: ``participant_id``, ``stage``, ``p_<stage>``, ``modalities``,
        ``missing``, ``coverage``, ``remarks``, ``problem`` (why there is no stage; else NaN), and
        where the model gives one the ``set`` of stages that cannot be excluded.
    card : mapping
        The card of the model.
    title : str
        Heading.
    warnings : sequence of str or Notice
        Shown in a box near the top.
    provenance : mapping
        Name to value at the end.
    simulated : bool
        True if all networks of the participants are simulated.

    Returns
    -------
    str
        HTML; the same arguments give the same string.

    Examples
    --------
    >>> row = {"participant_id": "sub-01", "stage": "AD", "p_AD": 1.0, "modalities": "metabolic",
    ...        "missing": None, "coverage": 1.0, "remarks": None, "problem": None}
    >>> card = {"stages": ["AD"], "cohort": {"n": {"AD": 9}, "simulated": False}}
    >>> page = staging_page(pd.DataFrame([row]), card, title="New", provenance={})
    >>> "not diagnoses" in page
    True
    """
    staged = table[table["problem"].isna()].drop(columns="problem")
    others = table.loc[table["problem"].notna(), ["participant_id", "problem"]]
    lead = [_RESEARCH, _how_well(card)]
    if card["cohort"]["simulated"]:
        lead.insert(1, "The model was trained on SIMULATED networks and knows nothing of people.")
    sections = [
        Section("Read this first", "\n\n".join(lead), lead=True),
        _stages(staged, list(card["stages"]), card),
        *([_not_staged(others)] if len(others) else []),
        _model(card),
    ]
    n_trained = sum(card["cohort"]["n"].values())
    return render_page(
        title,
        kind="staging",
        summary={
            "Staged": len(staged),
            "Not staged": len(others),
            "Stages": ", ".join(card["stages"]),
            "Model trained on": plural(n_trained, "participant"),
        },
        sections=sections,
        warnings=warnings,
        methods=Methods(""),
        provenance=provenance,
        simulated=simulated,
    )


def _how_well(card: Mapping[str, Any]) -> str:
    """Say how well the model did on those whom it had not seen."""
    score = card.get("scores", {}).get("balanced_accuracy")
    if not score:
        return "The model's card does not say how well it does."
    chance = 1 / len(card["stages"])
    return (
        f"Of people from its own source whom it had not seen, the model recognised "
        f"{score['estimate']:.0%} (95 % interval {score['low']:.0%} to {score['high']:.0%}; mean "
        f"over the stages, {chance:.0%} would be guessing). Of people from elsewhere it may "
        "recognise fewer."
    )


def _stages(staged: pd.DataFrame, stages: list[str], card: Mapping[str, Any]) -> Section:
    """Return the table and the picture of everybody's probabilities."""
    drawn = staged.head(_PICTURED)
    names = drawn["participant_id"].tolist()
    caption = "How probable each stage is to the model, a bar a participant."
    if len(staged) > len(drawn):
        caption += f" The first {len(drawn)} of {len(staged)}."
    simulated = staged["remarks"].astype(str).str.contains("simulated: ").any()
    figure = Figure(
        figures.stage_bars(
            drawn[[f"p_{stage}" for stage in stages]].to_numpy(float), names, stages
        ),
        caption,
        simulated=bool(simulated),
    )
    shown = _shown(staged, stages)
    note = ""
    if "set" in staged:
        level = card.get("conformal", {}).get("level", 0.9)
        note = (
            f"Cannot be excluded: of people like the training participants {level:.0%} have their "
            "true stage among these. A long list means that the model does not know."
        )
    table = Table("A row a participant", shown, note, longest=max(20, len(shown)))
    return Section("Stages", figures=[figure], tables=[table])


def _shown(staged: pd.DataFrame, stages: Sequence[str]) -> pd.DataFrame:
    """Return the table as the page shows it: few digits, and words for what is missing."""
    columns: dict[str, Any] = {"participant": staged["participant_id"]}
    if "session_id" in staged:
        columns["session"] = staged["session_id"]
    columns["most probable"] = staged["stage"]
    for stage in stages:
        columns[f"p({stage})"] = [f"{chance:.2f}" for chance in staged[f"p_{stage}"]]
    if "set" in staged:
        columns["cannot be excluded"] = staged["set"]
    columns["lacks"] = staged["missing"].fillna("nothing")
    columns["regions measured"] = [f"{share:.0%}" for share in staged["coverage"]]
    columns["remarks"] = staged["remarks"].fillna("")
    return pd.DataFrame(columns)


def _not_staged(others: pd.DataFrame) -> Section:
    table = Table("Who, and why", others.rename(columns={"problem": "why"}))
    return Section("Not staged", "These participants have no stage.", tables=[table])


def _model(card: Mapping[str, Any]) -> Section:
    """Return what the card says of the model."""
    cohort, atlas = card["cohort"], card.get("atlas", {})
    facts = {
        "Trained on": ", ".join(f"{n} {stage}" for stage, n in _in_order(cohort["n"], card)),
        "Cohort": cohort.get("name"),
        "Age": " to ".join(f"{each:g}" for each in cohort.get("age", ())) or None,
        "Sex": _counted(cohort.get("sex", {})),
        "Sites": _counted(cohort.get("site", {})),
        "Modalities": _counted(cohort.get("measured", {})),
        "Regions": f"{atlas.get('n_regions')} of {atlas.get('name')}" if atlas else None,
        "Edges": ", ".join(card.get("kinds", ())) or None,
        "Intended use": card.get("intended_use"),
        **{f"Limit {n}": text for n, text in enumerate(card.get("limits", ()), start=1)},
    }
    known = [{"what": key, "is": value} for key, value in facts.items() if value]
    tables = [Table("From its card", pd.DataFrame(known))]
    scores = [
        {"score": _MEASURES.get(name, name.replace("_", " ")), **score}
        for name, score in card.get("scores", {}).items()
    ]
    if scores:
        note = "With 95 % intervals, of people whom it had not seen, from the same source."
        tables.append(Table("How well it does", pd.DataFrame(scores), note))
    verdict = card.get("evaluation", {}).get("verdict", [])
    return Section("The model", "\n\n".join(verdict), tables=tables)


def _in_order(counts: Mapping[str, int], card: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [(stage, counts[stage]) for stage in card["stages"] if stage in counts]


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items())
