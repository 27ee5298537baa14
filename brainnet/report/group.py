"""One self-contained HTML page for a cohort: who is in it, and how well stages are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from brainnet.report._canvas import plural
from brainnet.report.page import Figure, Methods, Notice, Section, Table, render_page

__all__ = [
    "Figure", "Methods", "Notice", "Section", "Table", "cohort_table", "flow_section", "group_page",
    "score_section",
]  # fmt: skip


def cohort_table(participants: pd.DataFrame, *, by: str = "stage") -> pd.DataFrame:
    """Return who is in the cohort: number, age and sex by stage, and in all.

    Parameters
    ----------
    participants : DataFrame
        One row a subject with the column ``by`` and, where known, ``age`` (years) and ``sex``
        (M/F in any case; other words are counted as given).
    by : str
        Column to group by; a subject without a value stands under 'not given'.

    Returns
    -------
    DataFrame
        A row a group, in order of an ordered categorical or of first appearance, then 'all':
        ``n``, ``age`` (mean ± standard deviation, range) and ``sex`` (counts).

    Raises
    ------
    ValueError
        If there is no such column or no row.

    Examples
    --------
    >>> cohort_table(pd.DataFrame({"stage": ["CN", "AD", "AD"], "sex": ["F", "M", "F"]}))
      stage  n       sex
    0    CN  1       1 F
    1    AD  2  1 F, 1 M
    2   all  3  2 F, 1 M
    """
    if by not in participants or participants.empty:
        raise ValueError(
            f"participants must have rows and the column {by!r}; got {len(participants)} rows of "
            f"{list(participants.columns)}."
        )
    group = participants[by].astype(object).where(participants[by].notna(), "not given")
    known = participants[by].cat.categories if hasattr(participants[by], "cat") else group
    order = [name for name in dict.fromkeys([*known, "not given"]) if (group == name).any()]
    rows = [_cohort_row(str(name), participants[group == name], by) for name in order]
    return pd.DataFrame([*rows, _cohort_row("all", participants, by)])


def _cohort_row(name: str, part: pd.DataFrame, by: str) -> dict[str, Any]:
    """Return one row of the cohort table."""
    row: dict[str, Any] = {by: name, "n": len(part)}
    if "age" in part:
        age = pd.to_numeric(part["age"], errors="coerce").dropna()
        spread = f" ± {age.std(ddof=1):.1f}" if len(age) > 1 else ""
        span = f" ({age.min():.0f}–{age.max():.0f})" if len(age) > 1 else ""
        row["age"] = f"{age.mean():.1f}{spread}{span}" if len(age) else "not given"
    if "sex" in part:
        words = part["sex"].dropna().astype(str)
        counts = words.where(words.str.len() > 1, words.str.upper()).value_counts()
        row["sex"] = ", ".join(f"{n} {word}" for word, n in sorted(counts.items())) or "not given"
    return row


def flow_section(flow: pd.DataFrame) -> Section:
    """Return the section that says who is in the analysis, who is out, and why.

    Parameters
    ----------
    flow : DataFrame
        One row a participant: ``subject``, ``included`` (bool), ``reason`` (why left out; empty
        for those included).

    Returns
    -------
    Section
        With a table of reasons; participants left out are named.

    Raises
    ------
    ValueError
        If a column is missing, or somebody is left out without a reason.

    Examples
    --------
    >>> flow = pd.DataFrame({"subject": ["01", "02"], "included": [True, False],
    ...                      "reason": ["", "no T1w"]})
    >>> flow_section(flow).intro
    '2 participants found: 1 analysed, 1 left out.'
    """
    missing = {"subject", "included", "reason"} - set(flow.columns)
    if missing:
        raise ValueError(f"flow must have the columns subject, included, reason; lacks {missing}.")
    included = flow["included"].astype(bool)
    out = flow[~included]
    reasons = out["reason"].fillna("").astype(str).str.strip()
    if (reasons == "").any():
        unexplained = list(out.loc[reasons == "", "subject"].astype(str))
        raise ValueError(f"flow must say why {unexplained} are left out; got no reason. Add one.")
    intro = f"{plural(len(flow), 'participant')} found: {int(included.sum())} analysed"
    intro += f", {len(out)} left out." if len(out) else ", nobody left out."
    rows = [
        {"reason": reason, "n": len(part), "participants": ", ".join(part["subject"].astype(str))}
        for reason, part in out.groupby(reasons, sort=False)
    ]
    tables = [Table("Left out, and why", pd.DataFrame(rows))] if rows else []
    return Section("Who is in the analysis", intro, tables=tables)


def score_section(
    scores: pd.DataFrame, *, figures: Sequence[Figure] = (), intro: str = "", note: str = ""
) -> Section:
    """Return the section with the scores of all estimators and their intervals.

    Parameters
    ----------
    scores : DataFrame
        ``Evaluation.table``: ``estimator``, ``metric``, ``estimate``, ``low``, ``high``.
    figures : sequence of Figure
        Scores beside chance, confusion matrices, ROC curves.
    intro, note : str
        Text above the figures and below the table; how the scores were come by.

    Returns
    -------
    Section
        Whose table has a row an estimator and a column a metric, ``0.73 (0.68 to 0.79)``.

    Raises
    ------
    ValueError
        If a column is missing.

    Examples
    --------
    >>> row = {"estimator": "gcn", "metric": "auc", "estimate": 0.734, "low": 0.68, "high": 0.79}
    >>> score_section(pd.DataFrame([row])).tables[0].frame
      estimator                  auc
    0       gcn  0.73 (0.68 to 0.79)
    """
    missing = {"estimator", "metric", "estimate", "low", "high"} - set(scores.columns)
    if missing:
        raise ValueError(f"scores must be Evaluation.table; lacks the columns {sorted(missing)}.")
    rows: dict[str, dict[str, str]] = {}
    for row in scores.to_dict("records"):
        text = f"{row['estimate']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
        name = str(row["estimator"])
        rows.setdefault(name, {"estimator": name})[str(row["metric"])] = text
    note = note or "Out-of-fold estimate (95 % interval)."
    table = Table("Scores", pd.DataFrame(list(rows.values())), note)
    return Section("How well stages are told apart", intro, figures, [table])


def group_page(
    *,
    dataset: str,
    summary: Mapping[str, object],
    flow: pd.DataFrame,
    sections: Sequence[Section],
    warnings: Sequence[str | Notice],
    methods: Methods,
    provenance: Mapping[str, object],
    simulated: bool = False,
) -> str:
    """Return the page of a cohort.

    Parameters
    ----------
    dataset : str
        Name of the dataset.
    summary : mapping
        Name to value, shown as tiles at the top.
    flow : DataFrame
        ``subject``, ``included``, ``reason``: the first section (`flow_section`).
    sections : sequence of Section
        Further ones; `score_section` makes that of the scores.
    warnings : sequence of str or Notice
        Shown in a box near the top, each different one once.
    methods : Methods
        From `brainnet.report.methods.methods_text`.
    provenance : mapping
        Name to value: versions, seed, hashes; no dates or durations.
    simulated : bool
        True if all data are simulated.

    Returns
    -------
    str
        HTML for `brainnet.io.save_text`; the same arguments give the same string.

    Raises
    ------
    ValueError
        If ``flow`` is incomplete or a figure is not a PNG.

    Examples
    --------
    >>> flow = pd.DataFrame({"subject": ["01"], "included": [True], "reason": [""]})
    >>> page = group_page(dataset="demo", summary={}, flow=flow, sections=[], warnings=[],
    ...                   methods=Methods(""), provenance={}, simulated=True)
    >>> "SIMULATED DATA" in page
    True
    """
    return render_page(
        dataset,
        kind="group",
        summary=summary,
        sections=[flow_section(flow), *sections],
        warnings=warnings,
        methods=methods,
        provenance=provenance,
        simulated=simulated,
    )
