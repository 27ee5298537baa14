"""A cohort and its scores to one HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from brainnet import cohort, io
from brainnet.report import figures
from brainnet.report.group import cohort_table, group_page, score_section
from brainnet.report.methods import methods_text
from brainnet.report.page import Figure, Methods, Notice, Section, Table

Paths = Mapping[str, Path]
ESTIMATORS = {
    "majority": "the commonest stage of the training subjects",
    "linear": "linear",
    "graph": "gcn",
}
_TITLES = {False: "Cohort", True: "Simulated cohort"}


def write(
    inputs: Paths,
    outputs: Paths,
    *,
    target: str,
    evaluation: Mapping[str, Any],
    absent: Mapping[str, str],
    warnings: Sequence[str],
    seed: int,
) -> None:
    """Draw every figure and save the page; ``evaluation`` holds stages, folds and versions."""
    stages, versions = list(evaluation["stages"]), evaluation["versions"]
    dataset = cohort.load(inputs["cohort"])
    predictions = _predictions(inputs["predictions"])
    truth = predictions.drop_duplicates("subject").set_index("subject")["truth"]
    labels = truth.reindex(dataset["subject"].values.astype(str))
    simulated = simulated_share(dataset)
    wholly = bool(dataset.attrs.get("simulated", False)) and not simulated
    n_subjects = int(labels.notna().sum())
    summary = {
        "Subjects": n_subjects,
        "Stages": ", ".join(stages),
        "Modalities": dataset.sizes["modality"],
        "Atlas": f"{dataset.attrs['atlas']} ({dataset.sizes['region']} regions)",
        "Folds": evaluation["folds"],
        **({"Edges": dataset.attrs["kinds"]} if "kinds" in dataset.attrs else {}),
        **simulated,
    }
    page = group_page(
        dataset="Partly simulated cohort" if simulated else _TITLES[wholly],
        summary=summary,
        flow=_flow(labels, absent, target),
        sections=[
            _who(dataset, labels, target, stages),
            _scores(inputs, predictions, stages, simulated=bool(simulated)),
            _networks(dataset, labels, stages, simulated=bool(simulated)),
        ],
        warnings=[Notice(text) for text in warnings],
        methods=_methods(evaluation, n_subjects, seed, simulated=wholly),
        provenance={"seed": seed, "target": target, **versions},
        simulated=wholly,
    )
    io.save_text(page, outputs["page"])


def simulated_share(dataset: xr.Dataset) -> dict[str, str]:
    """Say of each modality how many networks are simulated; empty where all or none are."""
    if "simulated" not in dataset:
        return {}
    flags = dataset["simulated"].values.astype(bool)
    there = np.isfinite(dataset["edges"].values).any(axis=(2, 3))
    if (flags | ~there).all():
        return {}
    return {
        f"Simulated, {name}": f"{own.sum()} of {has.sum()}"
        for name, own, has in zip(dataset["modality"].values, flags.T, there.T, strict=True)
        if own.any()
    }


def _predictions(path: Path) -> pd.DataFrame:
    """Read the predictions; a table holds no types, and stages and subjects are text."""
    predictions = io.load_table(path)
    text = ("subject", "truth", "predicted")
    return predictions.assign(**{name: cohort.words(predictions[name]) for name in text})


def _flow(labels: pd.Series, absent: Mapping[str, str], target: str) -> pd.DataFrame:
    """Say of everybody in the participants table whether they are analysed, and if not why."""
    reasons = np.where(labels.notna(), "", f"no value in the column {target}")
    here = pd.DataFrame(
        {"subject": labels.index, "included": labels.notna().to_numpy(), "reason": reasons}
    )
    lost = pd.DataFrame(
        {"subject": list(absent), "included": False, "reason": list(absent.values())}
    )
    return pd.concat([here, lost], ignore_index=True) if len(lost) else here


def _methods(
    evaluation: Mapping[str, Any], n_subjects: int, seed: int, *, simulated: bool
) -> Methods:
    staging = {
        "estimators": ESTIMATORS,
        "n_subjects": n_subjects,
        "n_splits": evaluation["folds"],
        "n_repeats": 1,
        "n_resamples": 1000,
        "seed": seed,
    }
    software = evaluation["versions"]
    return methods_text({"simulated": simulated, "staging": staging, "software": software})


def _who(dataset: xr.Dataset, labels: pd.Series, target: str, stages: Sequence[str]) -> Section:
    """Tell age and sex of those who are analysed."""
    by = f"{target} (class)" if target in ("age", "sex") else target
    frame = pd.DataFrame({by: pd.Categorical(labels, categories=list(stages), ordered=True)})
    for name in ("age", "sex"):
        if name in dataset.coords:
            column = pd.Series(dataset[name].values, dtype=object)
            frame[name] = column.where(cohort.words(column) != "n/a")
    known = frame[labels.notna().to_numpy()]
    return Section("Participants", tables=[Table("By stage", cohort_table(known, by=by))])


def _scores(
    inputs: Paths, predictions: pd.DataFrame, stages: Sequence[str], *, simulated: bool
) -> Section:
    scores = io.load_table(inputs["scores"])
    section = score_section(
        scores,
        figures=[
            Figure(
                figures.score_plot(scores, chance=1 / len(stages)),
                "Balanced accuracy with its 95 % interval; the line is chance.",
                simulated=simulated,
            ),
            Figure(
                figures.confusion_plot(predictions, stages=stages),
                "Predicted against true stage, each subject by a model that never saw it.",
                simulated=simulated,
            ),
            Figure(
                figures.roc_plot(predictions, stages=stages),
                "Receiver operating curves, each stage against the rest.",
                simulated=simulated,
            ),
        ],
        intro="Everything that is learned (imputation, scaling, penalty, weights, early "
        "stopping) is learned in each fold from its training subjects alone.",
    )
    differences = io.load_table(inputs["differences"])
    if differences.empty:
        return section
    table = Table(
        "Difference from the linear baseline",
        differences,
        "Paired over subjects; an interval that holds 0 shows no difference.",
    )
    return Section(section.title, section.intro, section.figures, [*section.tables, table])


def _networks(
    dataset: xr.Dataset, labels: pd.Series, stages: Sequence[str], *, simulated: bool
) -> Section:
    names = [str(name) for name in dataset["region"].values]
    matrices, counts = {}, {}
    for modality in dataset["modality"].values:
        edges = dataset["edges"].sel(modality=modality).values
        for stage in stages:
            own = edges[(labels == stage).to_numpy()]
            seen = np.isfinite(own)
            total = np.where(seen, own, 0).sum(axis=0)
            mean = np.divide(
                total, seen.sum(axis=0), out=np.full(total.shape, np.nan), where=seen.any(axis=0)
            )
            matrices[str(modality), stage] = pd.DataFrame(mean, index=names, columns=names)
            counts[str(modality), stage] = int(seen.any(axis=(1, 2)).sum())
    figure = Figure(
        figures.stage_matrices(matrices, counts=counts),
        "Mean network of each stage.",
        simulated=simulated,
    )
    return Section("Mean networks", "Means over the subjects of each stage.", [figure])
