"""A cohort and its scores to one HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from brainnet import cohort, io
from brainnet.report import figures
from brainnet.report.group import cohort_table, group_page
from brainnet.report.group_tables import (
    coverage_table,
    difference_table,
    missing_section,
    models_table,
    score_tables,
    site_table,
)
from brainnet.report.methods import methods_text
from brainnet.report.page import Figure, Methods, Notice, Section, Table
from brainnet.workflows.group_staging import ALPHA

Paths = Mapping[str, Path]
_TITLES = {False: "Cohort", True: "Simulated cohort"}
#: models of which pictures are drawn; the tables hold all
_DRAWN = 8
#: models of which none are
_PLAIN = frozenset({"majority", "missingness", "site"})
#: models of which it is shown whether their probabilities are to be believed
_CALIBRATED = 4


def write(
    inputs: Paths,
    outputs: Paths,
    *,
    target: str,
    evaluation: Mapping[str, Any],
    model: str | None,
    absent: Mapping[str, str],
    warnings: Sequence[str],
    seed: int,
) -> None:
    """Draw all figures and save the page; ``evaluation`` is what the sidecar of the scores says."""
    stages, versions = list(evaluation["Stages"]), evaluation["Versions"]
    dataset = cohort.load(inputs["cohort"])
    tables = {name: io.load_table(inputs[name]) for name in ("scores", "differences", "coverage")}
    tables |= {"predictions": _predictions(inputs["predictions"])}
    tables |= {"calibration": io.load_table(inputs["calibration"])}
    truth = tables["predictions"].drop_duplicates("subject").set_index("subject")["truth"]
    labels = truth.reindex(dataset["subject"].values.astype(str))
    simulated = simulated_share(dataset)
    wholly = bool(dataset.attrs.get("simulated", False)) and not simulated
    n_subjects = int(labels.notna().sum())
    summary = {
        "Subjects": n_subjects,
        "Stages": ", ".join(stages),
        "Modalities": dataset.sizes["modality"],
        "Atlas": f"{dataset.attrs['atlas']} ({dataset.sizes['region']} regions)",
        "Tested by": _tested(evaluation),
        **({"Edges": dataset.attrs["kinds"]} if "kinds" in dataset.attrs else {}),
        **simulated,
    }
    draw = _Draw(tables, evaluation, simulated=bool(simulated))
    page = group_page(
        dataset="Partly simulated cohort" if simulated else _TITLES[wholly],
        summary=summary,
        flow=_flow(labels, absent, target),
        sections=[
            _verdict(tables["scores"], evaluation, model),
            _who(dataset, labels, target, stages),
            _modalities(dataset, labels, stages),
            Section("The models compared", tables=[models_table(evaluation["Estimators"])]),
            draw.scores(),
            draw.probabilities(),
            *([_sites(evaluation["SiteDecoding"])] if "SiteDecoding" in evaluation else []),
            _networks(dataset, labels, stages, simulated=bool(simulated)),
        ],
        warnings=[Notice(text) for text in warnings],
        methods=_methods(evaluation, n_subjects, seed, simulated=wholly),
        provenance={"seed": seed, "target": target, "model": model or "none", **versions},
        simulated=wholly,
    )
    io.save_text(page, outputs["page"])


def _tested(evaluation: Mapping[str, Any]) -> str:
    """Say in few words on what folds models were tested."""
    if evaluation["Design"]["folds"] == "site":
        return f"{evaluation['Folds']} sites, each left out"
    repeats = int(evaluation["Repeats"])
    return f"{evaluation['Folds']} folds" + (f", {repeats} times" if repeats > 1 else "")


def _verdict(scores: pd.DataFrame, evaluation: Mapping[str, Any], model: str | None) -> Section:
    """Return the box at the top: how well, what that is worth, and what was saved."""
    own = scores[scores["metric"] == "balanced_accuracy"]
    best = own.sort_values("estimate", ascending=False).iloc[0]
    sentences = [
        f"The best of {len(own)} models, {best['estimator']}, recognises {best['estimate']:.0%} of "
        f"each stage on average (95 % interval {best['low']:.0%} to {best['high']:.0%}), of people "
        f"whom it had not seen. Guessing recognises {1 / len(evaluation['Stages']):.0%}.",
        *(each["text"] for each in evaluation["Verdict"]),
    ]
    if permuted := evaluation.get("Permutations"):
        sentences.append(
            f"With stages dealt anew {permuted['N']} times {permuted['Estimator']!r} recognises "
            f"{permuted['Mean']:.0%} of each stage on average, with the true ones "
            f"{permuted['Score']:.0%} (p = {permuted['P']:.3f})."
        )
    if model is not None:
        sentences.append(
            f"The network {evaluation['Final']!r}, fitted on everybody, is saved in {model}: "
            "brainnet stage applies it to new participants. For research only; it makes no "
            "diagnosis."
        )
        if evaluation["Design"]["harmonise"] != "none":
            sentences.append(
                "It takes out what a site adds, as it learned it from these sites: the new "
                "participants' table has to say what they are, and its card says what becomes of "
                "one from another site."
            )
    return Section("In short", "\n\n".join(sentences), lead=True)


def _modalities(dataset: xr.Dataset, labels: pd.Series, stages: Sequence[str]) -> Section:
    names = dataset["modality"].values.astype(str)
    there = np.isfinite(dataset["edges"].values).any(axis=(2, 3))
    present = pd.DataFrame(there, index=labels.index, columns=names)[labels.notna().to_numpy()]
    known = present.loc[:, present.any()]  # what nobody has is warned of
    return missing_section(known, labels[labels.notna()], stages)


def _sites(decoding: Sequence[Mapping[str, Any]]) -> Section:
    intro = (
        "The networks were harmonised (ComBat) in each fold, on its training subjects. If it "
        "worked, a classifier can no longer tell from a network where it was measured."
    )
    return Section("Sites", intro, tables=[site_table(decoding)])


class _Draw:
    """The sections on scores, from the tables of an evaluation."""

    def __init__(
        self,
        tables: Mapping[str, pd.DataFrame],
        evaluation: Mapping[str, Any],
        *,
        simulated: bool,
    ) -> None:
        self.tables, self.known, self.simulated = tables, evaluation, simulated
        scores = tables["scores"]
        own = scores[scores["metric"] == "balanced_accuracy"]
        order = own.sort_values("estimate", ascending=False)["estimator"].astype(str).tolist()
        first = [name for name in (evaluation["Final"], evaluation["Baseline"]) if name]
        models = [*first, *(name for name in order if name not in _PLAIN)]
        self.shown = list(dict.fromkeys(models)) or order

    def _of(self, name: str, n_models: int) -> pd.DataFrame:
        """Return the rows of a table of the models that are drawn, in one order."""
        table = self.tables[name]
        kept = [table[table["estimator"] == each] for each in self.shown[:n_models]]
        return pd.concat(kept, ignore_index=True)

    def _figure(self, png: bytes, caption: str) -> Figure:
        left_out = len(self.known["Estimators"]) - len(self.shown[:_DRAWN])
        names = "model" if left_out == 1 else "models"
        more = f" The table of scores has {left_out} {names} more." if left_out else ""
        return Figure(png, caption + more, simulated=self.simulated)

    def scores(self) -> Section:
        """Return scores, errors and differences."""
        stages = list(self.known["Stages"])
        predictions = self._of("predictions", _DRAWN)
        drawn = [
            Figure(
                figures.score_plot(self.tables["scores"], chance=1 / len(stages)),
                "Balanced accuracy (the share of each stage that was recognised, mean over the "
                "stages) with its 95 % interval. The dashed line is guessing; an open circle is "
                "not shown to differ from it.",
                simulated=self.simulated,
            ),
            self._figure(
                figures.confusion_plot(predictions, stages=stages),
                "True stage (rows) and predicted stage (columns): how many, each by a model that "
                "had not seen them. Right predictions lie on the diagonal.",
            ),
            self._figure(
                figures.roc_plot(predictions, stages=stages),
                "Receiver operating curves, each stage against the rest: the share of people with "
                "the stage that is found against the share of others who are taken for it. AUC, "
                "the area below: 1 perfect, 0.5 guessing.",
            ),
        ]
        intro = (
            "Everything that is learned (imputation, scaling, penalty, weights, early stopping) "
            "is learned in each fold from its training subjects alone."
        )
        tables = score_tables(self.tables["scores"])
        if len(self.tables["differences"]):
            tables.insert(1, difference_table(self.tables["differences"]))
        return Section("How well stages are told apart", intro, drawn, tables)

    def probabilities(self) -> Section:
        """Return whether probabilities mean what they say, and sets of stages."""
        curves = self._of("calibration", _CALIBRATED)
        figure = Figure(
            figures.reliability_plot(curves),
            "How often the predicted stage was right (height) where the model gave it a "
            "probability (across). On the dashed line probabilities mean what they say; below it "
            "the model is too sure. Large points: many people; bars: 95 % intervals.",
            simulated=self.simulated,
        )
        name = self.shown[0]
        coverage = self.tables["coverage"]
        own = coverage[coverage["estimator"] == name].set_index("of", drop=False)
        order = [each for each in ("all", *self.known["Stages"]) if each in own.index]
        table = coverage_table(own.loc[order], level=1 - ALPHA)
        intro = f"Prediction sets are those of {name!r}."
        return Section("Are the probabilities to be believed?", intro, [figure], [table])


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
    design = evaluation["Design"]
    staging = {
        "estimators": evaluation["Estimators"],
        "n_subjects": n_subjects,
        "n_splits": evaluation["Folds"],
        "n_repeats": evaluation["Repeats"],
        "folds": design["folds"],
        "harmonise": design["harmonise"],
        "search": design["search"],
        "permutations": design["permutations"],
        "baseline": evaluation["Baseline"],
        "level": 1 - ALPHA,
        "n_resamples": 1000,
        "seed": seed,
    }
    software = evaluation["Versions"]
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
