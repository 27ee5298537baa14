"""A cohort and its scores to one HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from brainnet import cohort, io
from brainnet.report import figures
from brainnet.report.group import cohort_table, group_page, score_section
from brainnet.report.methods import methods_text
from brainnet.report.page import Figure, Notice, Section, Table
from brainnet.workflows.step import sidecar_path

Paths = Mapping[str, Path]
ESTIMATORS = {
    "majority": "the commonest stage of the training subjects",
    "linear": "linear",
    "graph": "gcn",
}


def write(
    inputs: Paths,
    outputs: Paths,
    *,
    target: str,
    n_splits: int,
    absent: Sequence[str],
    warnings: Sequence[str],
    seed: int,
) -> None:
    """Draw every figure and save the page."""
    dataset = cohort.load(inputs["cohort"])
    known = io.load_json(sidecar_path(inputs["scores"]))
    stages, folds = list(known["Stages"]), int(known["Folds"])
    labels = pd.Series(dataset[target].values, dtype=object)
    simulated = bool(dataset.attrs.get("simulated", False))
    included = labels.notna() & (labels.astype(str) != "")
    page = group_page(
        dataset="Simulated cohort" if simulated else "Cohort",
        summary=_summary(dataset, stages, folds),
        flow=_flow(dataset, included, absent, target),
        sections=[
            _who(dataset, target, stages),
            _scores(inputs, stages),
            _networks(dataset, labels, stages),
        ],
        warnings=[Notice(text) for text in warnings],
        methods=methods_text(
            {
                "simulated": simulated,
                "staging": {
                    "estimators": ESTIMATORS,
                    "n_subjects": int(included.sum()),
                    "n_splits": folds,
                    "n_repeats": 1,
                    "n_resamples": 1000,
                    "seed": seed,
                },
                "software": known["Brainnet"]["Versions"],
            }
        ),
        provenance={"seed": seed, "target": target, **known["Brainnet"]["Versions"]},
        simulated=simulated,
    )
    io.save_text(page, outputs["page"])


def _flow(
    dataset: xr.Dataset, included: pd.Series, absent: Sequence[str], target: str
) -> pd.DataFrame:
    """Say of everybody in the participants table whether they are analysed, and if not why."""
    reasons = np.where(included, "", f"no value in the column {target}")
    here = pd.DataFrame(
        {"subject": dataset["subject"].values, "included": included, "reason": reasons}
    )
    lost = pd.DataFrame(
        {
            "subject": list(absent),
            "included": False,
            "reason": "no network: the participant level did not finish, or was not run",
        }
    )
    return pd.concat([here, lost], ignore_index=True) if len(lost) else here


def _summary(dataset: xr.Dataset, stages: Sequence[str], folds: int) -> dict[str, object]:
    return {
        "Subjects": dataset.sizes["subject"],
        "Stages": ", ".join(stages),
        "Modalities": dataset.sizes["modality"],
        "Atlas": f"{dataset.attrs['atlas']} ({dataset.sizes['region']} regions)",
        "Folds": folds,
    }


def _who(dataset: xr.Dataset, target: str, stages: Sequence[str]) -> Section:
    columns = [name for name in (target, "age", "sex") if name in dataset.coords]
    frame = pd.DataFrame({name: dataset[name].values for name in columns})
    order = pd.CategoricalDtype(pd.Index(stages), ordered=True)
    frame[target] = frame[target].astype(order)
    return Section("Participants", tables=[Table("By stage", cohort_table(frame, by=target))])


def _scores(inputs: Paths, stages: Sequence[str]) -> Section:
    scores = io.load_table(inputs["scores"])
    predictions = io.load_table(inputs["predictions"])
    section = score_section(
        scores,
        figures=[
            Figure(
                figures.score_plot(scores, chance=1 / len(stages)),
                "Balanced accuracy with its 95 % interval; the line is chance.",
            ),
            Figure(
                figures.confusion_plot(predictions, stages=stages),
                "Predicted against true stage, each subject by a model that never saw it.",
            ),
            Figure(
                figures.roc_plot(predictions, stages=stages),
                "Receiver operating curves, each stage against the rest.",
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


def _networks(dataset: xr.Dataset, labels: pd.Series, stages: Sequence[str]) -> Section:
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
    return Section(
        "Mean networks",
        "Means over the subjects of each stage.",
        [Figure(figures.stage_matrices(matrices, counts=counts), "Mean network of each stage.")],
    )
