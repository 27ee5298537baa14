"""Tables of a cohort's page: models, scores, differences, prediction sets, who has what, sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from brainnet.report._canvas import plural
from brainnet.report.page import Section, Table

__all__ = [
    "MAIN_SCORES", "coverage_table", "difference_table", "missing_section", "models_table",
    "score_tables", "site_table",
]  # fmt: skip

#: Scores that the first table shows: what they are called, and what they mean.
MAIN_SCORES: Mapping[str, tuple[str, str]] = MappingProxyType({
    "balanced_accuracy": ("balanced accuracy", "share of each stage that was recognised, mean over "
                          "the stages (guessing: 1 over the number of stages)"),
    "auc": ("AUC", "chance that of two people the one of a stage gets the higher probability of it "
            "than the one of another (guessing: 0.5)"),
    "kappa": ("kappa", "agreement beyond chance, errors of two stages weighing four times those of "
              "one (guessing: 0, perfect: 1)"),
    "mean_absolute_error": ("stage error", "by how many stages a prediction is off, on average"),
    "brier": ("Brier score", "squared error of the probabilities (the less, the better)"),
})  # fmt: skip


_OTHERS = (
    "pairwise auc: the AUC of two stages at a time, mean over all pairs; f1: harmonic mean of "
    "sensitivity and precision, mean over the stages; log loss: mean surprise at the true stage "
    "(the less, the better); ece: mean distance of the predicted stage's probability from the "
    "share that was right (the less, the better); sensitivity CN/AD: of those with AD, the share "
    "told as AD rather than CN; specificity: of those with CN, the share told as CN."
)


def models_table(titles: Mapping[str, str]) -> Table:
    """Return the table that says what each estimator is.

    Examples
    --------
    >>> models_table({"gcn": "graph convolutional network"}).frame.iloc[0].tolist()
    ['gcn', 'graph convolutional network']
    """
    rows = [{"model": name, "is": title} for name, title in titles.items()]
    return Table("The models", pd.DataFrame(rows))


def score_tables(scores: pd.DataFrame) -> list[Table]:
    """Return the scores that matter most, and all of them, folded.

    Parameters
    ----------
    scores : DataFrame
        ``Evaluation.table``.

    Returns
    -------
    list of Table
        The best estimator first, ``0.73 (0.68 to 0.79)`` in each cell.
    """
    order = _by_score(scores)
    main = {name: title for name, (title, _) in MAIN_SCORES.items()}
    note = "; ".join(f"{title}: {words}" for title, words in MAIN_SCORES.values())
    own = scores[scores["metric"].isin(list(main))]
    tables = [Table("Scores", _wide(own, order).rename(columns=main),
                    f"In brackets the 95 % interval. {note[0].upper()}{note[1:]}.")]  # fmt: skip
    rest = scores[~scores["metric"].isin(list(main))]
    if len(rest):
        tables.append(Table("All other scores", _wide(rest, order), _OTHERS, longest=0))
    return tables


def _by_score(scores: pd.DataFrame) -> list[str]:
    """Return the estimators, the best first."""
    own = scores[scores["metric"] == "balanced_accuracy"]
    return [str(name) for name in own.sort_values("estimate", ascending=False)["estimator"]]


def _wide(scores: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """Return a row an estimator and a column a metric."""
    rows: dict[str, dict[str, str]] = {name: {"model": name} for name in order}
    for row in scores.to_dict("records"):
        rows[str(row["estimator"])][str(row["metric"])] = _interval(row)
    return pd.DataFrame(list(rows.values()))


def _interval(row: Mapping[Any, Any], sign: str = "") -> str:
    """Return ``0.73 (0.68 to 0.79)``; n/a for a score that is not defined."""
    if row["estimate"] != row["estimate"]:
        return "n/a"
    numbers = (f"{row[key]:{sign}.2f}" for key in ("estimate", "low", "high"))
    return "{} ({} to {})".format(*numbers)


def difference_table(differences: pd.DataFrame) -> Table:
    """Return how much better or worse each model is than the best baseline.

    Parameters
    ----------
    differences : DataFrame
        ``estimator``, ``baseline``, ``metric``, ``estimate``, ``low``, ``high``, and for the
        balanced accuracy ``p`` and ``p_holm`` of the corrected resampled t-test.

    Examples
    --------
    >>> row = {"estimator": "gcn", "baseline": "linear", "metric": "balanced_accuracy",
    ...        "estimate": 0.02, "low": -0.03, "high": 0.07, "p": 0.4, "p_holm": 0.8}
    >>> difference_table(pd.DataFrame([row])).frame.iloc[0].tolist()
    ['gcn', '+0.02 (-0.03 to +0.07)', '0.40', '0.80']
    """
    baseline = str(differences["baseline"].iloc[0])
    own = differences[differences["metric"] == "balanced_accuracy"]
    rows = [
        {
            "model": row["estimator"],
            "difference": _interval(row, "+"),
            "p": _p_value(row["p"]),
            "p, corrected": _p_value(row["p_holm"]),
        }
        for row in own.sort_values("estimate", ascending=False).to_dict("records")
    ]
    note = (
        f"Balanced accuracy less that of {baseline}, the best baseline, on the same people; an "
        "interval that holds 0 shows no difference. p: by the corrected resampled t-test over "
        "folds, which allows for their sharing of training participants; corrected: for the "
        "number of models (Holm)."
    )
    return Table(f"Difference from {baseline}", pd.DataFrame(rows), note)


def _p_value(value: float) -> str:
    if value != value:
        return "n/a"
    return "< 0.001" if value < 0.001 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def coverage_table(coverage: pd.DataFrame, *, level: float) -> Table:
    """Return how often the prediction sets of a model hold the true stage.

    Parameters
    ----------
    coverage : DataFrame
        Of one estimator: ``of`` (``all`` or a stage), ``n_participants``, ``coverage``, ``low``,
        ``high``, ``size``, ``single``.
    level : float
        What was promised, 0 to 1.
    """
    rows = [
        {
            "stage": row["of"],
            "participants": int(row["n_participants"]),
            "true stage in the set": f"{row['coverage']:.0%} ({row['low']:.0%} to "
            f"{row['high']:.0%})",
            "stages in a set, mean": row["size"],
            "sets of one stage": f"{row['single']:.0%}",
        }
        for row in coverage.to_dict("records")
    ]
    note = (
        f"A set holds the stages that the model cannot exclude. {level:.0%} of the sets are to "
        "hold the true stage, over all stages together; for a single stage it may be fewer. A "
        "model that knows little gives long sets."
    )
    return Table("Prediction sets", pd.DataFrame(rows), note, digits=2)


def missing_section(present: pd.DataFrame, stages: pd.Series, names: Sequence[str]) -> Section:
    """Return the section that says who has which modalities.

    Parameters
    ----------
    present : DataFrame
        A row a subject, a column a modality: True where it was measured.
    stages : Series
        The stage of each, with the same index.
    names : sequence of str
        The stages in order.

    Examples
    --------
    >>> present = pd.DataFrame({"functional": [True, False]}, index=["01", "02"])
    >>> missing_section(present, pd.Series({"01": "CN", "02": "AD"}), ["CN", "AD"]).tables[1].frame
      subject stage       lacks
    0      02    AD  functional
    """
    patterns: dict[str, dict[str, Any]] = {}
    lacking = []
    modalities = [str(name) for name in present.columns]
    own = stages.reindex(present.index).astype(str).tolist()
    for subject, stage, seen in zip(present.index, own, present.to_numpy(dtype=bool), strict=True):
        has = [name for name, there in zip(modalities, seen, strict=True) if there]
        pattern = patterns.setdefault(
            ", ".join(has) or "none", {"n": 0} | dict.fromkeys(map(str, names), 0)
        )
        pattern["n"] += 1
        pattern[stage] += 1
        lacks = [name for name in modalities if name not in has]
        if lacks:
            lacking.append({"subject": str(subject), "stage": stage, "lacks": ", ".join(lacks)})
    rows = [{"has": has, **counts} for has, counts in patterns.items()]
    frame = pd.DataFrame(rows).sort_values("n", ascending=False, kind="stable")
    note = "Where a modality goes with a stage, a model may learn who was scanned."
    tables = [Table("Modalities of the participants, by stage", frame, note if lacking else "")]
    if lacking:
        tables.append(Table("Who lacks what", pd.DataFrame(lacking), longest=10))
    intro = (
        "Everybody has every modality."
        if not lacking
        else f"{plural(len(lacking), 'participant')} "
        f"of {len(present)} lack one modality or more. Models are given what there is."
    )
    return Section("Who has which modality", intro, tables=tables)


def site_table(decoding: Sequence[Mapping[str, Any]]) -> Table:
    """Return how well the site can be told from the networks, before and after harmonisation."""
    rows = [
        {
            "networks": "as they are" if row["features"] == "raw" else "harmonised",
            "told by a classifier that is": row["classifier"],
            "balanced accuracy": _interval(row | {"estimate": row["balanced_accuracy"]}),
            "can be told": bool(row["decodable"]),
        }
        for row in map(dict, decoding)
    ]
    chance = float(decoding[0]["chance"])
    note = (
        f"Of people whom the classifier had not seen; {chance:.2f} is guessing. Networks "
        "from which the site can still be told after harmonisation are not free of it."
    )
    return Table("Can the site still be told?", pd.DataFrame(rows), note)
