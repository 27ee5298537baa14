"""How stages are told apart: models compared on the same folds, and one fitted for new people."""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import joblib
import numpy as np
import pandas as pd
import xarray as xr

from brainnet import __version__, cohort, io
from brainnet.cohort.stages import SCHEMES, Scheme
from brainnet.workflows.engine.code import code_digest
from brainnet.workflows.engine.step import version_of
from brainnet.workflows.preprocessing import UNRECORDED

if TYPE_CHECKING:
    from brainnet.evaluate import Evaluation
    from brainnet.evaluate.inputs import Staged

__all__ = ["DEFAULT", "OURS", "Design", "code_at", "evaluate", "fit_final", "kept_at", "usable"]

Paths = Mapping[str, Path]
#: what is compared where nothing else is asked for: of every kind one, the quick ones
DEFAULT = ("majority", "covariates", "linear", "forest", "everything", "stack", "gcn", "multiplex")
#: the network that is saved for new participants where it is among those compared
OURS = "multiplex"
#: share of people whose prediction set may miss their stage
ALPHA = 0.1
#: of the covariates, those whose effect harmonisation keeps
_KEPT = ("age", "sex")
_PACKAGES = ("numpy", "scikit-learn", "torch")


#: Where a model that harmonises is made.
HARMONISED = "brainnet.models.harmonised:Harmonised"


@dataclass(frozen=True)
class Design:
    """What is compared, and how.

    Attributes
    ----------
    estimators : sequence of str
        Names in `brainnet.models.catalogue.CATALOGUE`; none: `DEFAULT`, without the model of
        covariates where there are none.
    n_splits, n_repeats : int
        Folds of the cross-validation, and how often they are dealt.
    folds : {"stage", "site"}
        ``stage``: folds with as much of each stage. ``site``: each site is tested by models of
        all others, and the two above do not count.
    harmonise : {"none", "combat"}
        Take what a site adds out of all models of networks, learned in each fold.
    search : {"none", "inner"}
        Take each model as it is, or choose its settings on inner folds.
    permutations : int
        How often the model that is saved is tried with stages dealt anew; 0: never.
    scheme : {"three", "five"}, optional
        Stages that the target's labels are read as: CN, MCI, AD, or CN, SMC, EMCI, LMCI, AD. By
        default `brainnet.cohort.stages.scheme_of` the column.
    """

    estimators: Sequence[str] = ()
    n_splits: int = 5
    n_repeats: int = 1
    folds: Literal["stage", "site"] = "stage"
    harmonise: Literal["none", "combat"] = "none"
    search: Literal["none", "inner"] = "none"
    permutations: int = 0
    scheme: Scheme | None = None

    def check(self) -> None:
        """Raise a ValueError for an estimator that there is not, or numbers that cannot be."""
        from brainnet.models.catalogue import CATALOGUE

        unknown = [name for name in self.estimators if name not in CATALOGUE]
        if unknown:
            raise ValueError(
                f"estimators (--estimators) must be of {', '.join(CATALOGUE)}; got "
                f"{', '.join(unknown)}."
            )
        if self.scheme is not None and self.scheme not in SCHEMES:
            raise ValueError(f"scheme must be 'three' or 'five'; got {self.scheme!r}.")
        for name, least in (("n_splits", 2), ("n_repeats", 1), ("permutations", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}; got {getattr(self, name)}.")

    def parameters(self) -> dict[str, Any]:
        """Return what the result depends on, as JSON holds it."""
        return asdict(self) | {"estimators": list(self.estimators)}

    def code(self) -> dict[str, str]:
        """Return the digest of the code of each model, which is imported by its name only."""
        from brainnet.models.catalogue import CATALOGUE

        names = self.estimators or DEFAULT
        before = code_at(HARMONISED) if self.harmonise == "combat" else ""
        return {
            name: before + code_at(CATALOGUE[name].where, CATALOGUE[name].options.get("network"))
            for name in names
        }


class _Named:
    """What `code_digest` needs to know of a function that is not imported."""

    def __init__(self, module: str, name: str) -> None:
        self.__module__, self.__name__ = module, name


def code_at(where: str, network: str | None = None) -> str:
    """Return the digest of the code at ``module:name``, and of a network of that name.

    Examples
    --------
    >>> code_at("brainnet.models.linear:majority") == code_at("brainnet.models.svm:edge_svm")
    False
    """
    from brainnet.models.core.networks import NETWORKS

    places = [
        where,
        *(NETWORKS[name] for name in (network,) if name is not None and name in NETWORKS),
    ]
    found = []
    for place in places:
        module, _, name = place.partition(":")
        known: Any = _Named(module, name)
        found.append(code_digest(known))
    return hashlib.sha256("".join(found).encode()).hexdigest()


def evaluate(
    inputs: Paths,
    outputs: Paths,
    *,
    target: str,
    design: Mapping[str, Any],
    code: Mapping[str, str],
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Compare the models on the same folds; write scores, and what they are worth.

    ``code`` is for the record, and for what a run that was stopped left: see `kept_at`.
    """
    from brainnet.evaluate import cross_validate_stages, verdict
    from brainnet.evaluate.inputs import staged

    chosen = Design(**design)
    dataset = usable(cohort.load(inputs["cohort"]))
    given = staged(dataset, target)
    if chosen.harmonise == "combat":
        _check_sites(given, chosen, seed, str(dataset.attrs.get("participants", "participants")))
    models = _models(chosen, given, seed)
    found = cross_validate_stages(
        dataset,
        models,
        target=target,
        folds=_folds(chosen, seed),
        grids=_grids(chosen, models),
        n_jobs=joblib.effective_n_jobs(None),
        seed=seed,
        folder=kept_at(outputs["scores"]) / _digest(code),
    )
    _save(found, outputs, seed)
    networks = [name for name in models if is_network(name)]
    findings = verdict(found, graph=networks, seed=seed)
    final = _final(found, networks)
    known: dict[str, Any] = {
        "Stages": list(found.stages),
        "Folds": int(found.folds["fold"].nunique()),
        "Repeats": int(found.folds["repeat"].nunique()),
        "Estimators": {name: _title(name) for name in found.predictions["estimator"].unique()},
        "Networks": [name for name in networks if _scored(found, name)],
        "Final": final,
        "Baseline": _best(found, [name for name in models if name not in networks]),
        "Verdict": [
            {"about": each.about, "text": each.text, "caution": each.caution} for each in findings
        ],
    }
    if chosen.permutations:
        known["Permutations"] = _permuted(chosen, models, final or known["Baseline"], given, seed)
    if chosen.harmonise == "combat":
        known["SiteDecoding"] = _sites_left(given, chosen, seed)
    return {"scores": known}


def kept_at(scores: Path) -> Path:
    """Return where an evaluation keeps the folds that are done, until its scores are written."""
    return scores.with_name(f".{scores.stem}_folds")


def _digest(code: Mapping[str, str]) -> str:
    """Return one name for the code of the models and of the evaluation."""
    own = code_digest(evaluate)
    return hashlib.sha256(json.dumps([own, dict(code)], sort_keys=True).encode()).hexdigest()[:16]


def is_network(name: str) -> bool:
    """Say whether an estimator is a graph network."""
    from brainnet.models.catalogue import CATALOGUE

    return name in CATALOGUE and CATALOGUE[name].kind != "baseline"


def _title(name: str) -> str:
    from brainnet.models.catalogue import CATALOGUE

    return _BLIND.get(name) or CATALOGUE[name].title


#: what sees no brain, beside the catalogue's
_BLIND = {"missingness": "what is missing, alone", "site": "the site alone"}


def _models(design: Design, given: "Staged", seed: int) -> dict[str, Any]:
    """Return the estimators by name, each within harmonisation where that is wanted."""
    from brainnet.evaluate import missingness, site_alone
    from brainnet.models.catalogue import estimators
    from brainnet.models.harmonised import Harmonised

    covariates = given.subjects.covariates
    names = list(design.estimators) or [
        name for name in DEFAULT if name != "covariates" or len(covariates.columns)
    ]
    models: dict[str, Any] = dict(estimators(names, seed=seed))
    if design.harmonise == "combat":
        options = _harmonising(design, covariates)
        blind = ("majority", "covariates")
        models = {
            name: each if name in blind else Harmonised(each, **options)
            for name, each in models.items()
        }
    if not design.estimators:
        sites = given.sites
        if len(np.unique(given.subjects.present, axis=0)) > 1:
            models["missingness"] = missingness()
        if sites is not None and design.folds == "stage" and np.unique(sites).size > 1:
            models["site"] = site_alone()
    return models


def _harmonising(design: Design, covariates: pd.DataFrame) -> dict[str, Any]:
    """Return the options of harmonisation that go with the folds and the covariates."""
    unseen = "estimate" if design.folds == "site" else "fail"
    kept = [name for name in _KEPT if name in covariates]
    return {"keep": tuple(kept), "small": "location", "unseen": unseen}


def _check_sites(given: "Staged", design: Design, seed: int, source: str) -> None:
    """Raise, before anything is fitted, where sites cannot be harmonised in every fold."""
    from brainnet.evaluate.folds import deal, some

    people, sites = given.subjects.participants, given.sites
    if sites is None:
        what = "has no column site, and --harmonise takes out what a site adds"
        raise io.DataError(source, what, "Add the column, or leave the option out")
    if (sites == "n/a").any():
        what = f"says no site of {some(given.names[sites == 'n/a'].tolist())}"
        remedy = "Fill in the column, or leave out their stage (n/a) or --harmonise"
        raise io.DataError(source, what, remedy)
    if np.unique(sites).size < 2:
        what = f"has one site, {sites[0]}, so there is nothing to harmonise"
        raise io.DataError(source, what, "Leave out --harmonise")
    if design.folds == "site":
        return  # splits and harmonises unseen sites by its own rules
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # told where it is split for good
        splits = deal(_folds(design, seed), given.labels, people, sites)
    for each in splits:
        unseen = sorted(set(sites[each.test].tolist()) - set(sites[each.train].tolist()))
        if unseen:
            counts = [f"{name} {np.unique(people[sites == name]).size}" for name in unseen]
            raise io.DataError(
                source,
                f"has sites with so few participants that a fold trains on none of them: "
                f"{some(counts)}; --harmonise cannot know what such a site adds",
                "Merge small sites (by scanner, say), leave out their stage (n/a), or do without "
                "--harmonise",
            )


def _folds(design: Design, seed: int) -> Any:
    from brainnet.evaluate import Folds, LeaveSiteOut

    if design.folds == "site":
        return LeaveSiteOut()
    return Folds(design.n_splits, design.n_repeats, seed)


def _grids(design: Design, models: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings to choose from, by name; of a harmonised model those of what is in it."""
    from brainnet.models.catalogue import CATALOGUE

    if design.search == "none":
        return {}
    inside = "estimator__" if design.harmonise == "combat" else ""
    return {
        name: {inside + key: values for key, values in CATALOGUE[name].grid.items()}
        for name in models
        if name in CATALOGUE and CATALOGUE[name].grid
    }


def _save(found: "Evaluation", outputs: Paths, seed: int) -> None:
    """Write the tables of an evaluation."""
    from brainnet.evaluate.calibration import reliability_curve
    from brainnet.evaluate.conformal import coverage_table, prediction_sets

    stages = list(found.stages)
    curves = []
    for name, rows in found.predictions.groupby("estimator", sort=False):
        chances = rows[[f"p_{stage}" for stage in stages]].to_numpy(dtype=np.float64)
        truth = rows["truth"].map(stages.index).to_numpy()
        curve = reliability_curve(chances, truth, participants=rows["participant"], seed=seed)
        curves.append(curve.assign(estimator=name))
    sets = prediction_sets(found.predictions, alpha=ALPHA, pool="repeat")
    tables = {
        "scores": found.table,
        "differences": _differences(found),
        "predictions": found.predictions,
        "choices": found.choices,
        "calibration": pd.concat(curves, ignore_index=True),
        "coverage": coverage_table(sets, seed=seed),
    }
    for name, table in tables.items():
        io.save_table(table, outputs[name])


def _differences(found: "Evaluation") -> pd.DataFrame:
    """Return the paired differences from the best baseline, with the corrected test."""
    from brainnet.evaluate import compare
    from brainnet.evaluate.significance import compare_resampled

    names = found.predictions["estimator"].unique().tolist()
    baseline = _best(found, [name for name in names if not is_network(name)]) or names[0]
    if len(names) < 2:
        return pd.DataFrame(columns=["estimator", "baseline", "metric", "estimate", "low", "high"])
    table = compare(found, baseline=baseline)
    table.insert(1, "baseline", baseline)
    tests = compare_resampled(found.predictions, baseline=baseline)
    return table.merge(
        tests[["estimator", "metric", "p", "p_holm"]], "left", ["estimator", "metric"]
    )


def _scored(found: "Evaluation", name: str) -> bool:
    return name in set(found.predictions["estimator"])


def _best(found: "Evaluation", names: Sequence[str]) -> str | None:
    """Return which of some estimators has the highest balanced accuracy."""
    own = found.table[(found.table["metric"] == "balanced_accuracy")]
    scores = own.set_index("estimator")["estimate"].reindex(list(names)).dropna()
    return str(scores.idxmax()) if len(scores) else None


def _final(found: "Evaluation", networks: Sequence[str]) -> str | None:
    """Return the network that is fitted for new participants: ours, or the best of the others."""
    return OURS if OURS in networks and _scored(found, OURS) else _best(found, networks)


class _OfSites:
    """Leave-site-out for a permutation test, which hands no sites on."""

    def __init__(self, sites: Any) -> None:
        self.sites = sites

    def split(self, labels: Any, participants: Any, sites: Any = None) -> list[Any]:
        """Return a split a site."""
        from brainnet.evaluate import LeaveSiteOut

        return LeaveSiteOut().split(labels, participants, self.sites)


def _permuted(
    design: Design, models: Mapping[str, Any], name: str, given: "Staged", seed: int
) -> dict[str, Any]:
    """Return how one model does with stages dealt anew, among people of a site where tested so."""
    from brainnet.evaluate.permutation import Permutations, permutation_test
    from brainnet.models.measures import with_measures

    by_site = design.folds == "site"
    within = "site" if by_site else None
    folds: Any = _OfSites(given.sites) if by_site else _folds(design, seed)
    test = permutation_test(
        models[name],
        with_measures(given.subjects),
        given.labels,
        permutations=Permutations(design.permutations, within, seed),
        folds=folds,
        n_jobs=joblib.effective_n_jobs(None),
    )
    return {
        "Estimator": name,
        "Metric": test.metric,
        "N": design.permutations,
        "P": test.p,
        "Score": test.score,
        "Mean": float(test.null.mean()),
    }


def _sites_left(given: "Staged", design: Design, seed: int) -> list[dict[str, Any]]:
    """Return how well the site can be told from the networks, as they are and harmonised."""
    from brainnet.evaluate.site_decoding import site_decoding
    from brainnet.models.harmonised import Harmoniser

    harmoniser = Harmoniser(**_harmonising(design, given.subjects.covariates))
    table = site_decoding(given.subjects, harmoniser, n_splits=design.n_splits, seed=seed)
    rows: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
    return [{key: _plain(value) for key, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def fit_final(
    inputs: Paths,
    outputs: Paths,
    *,
    target: str,
    name: str,
    design: Mapping[str, Any],
    code: str,
    seed: int,
) -> None:
    """Fit one network on everybody who has a stage, and save it with all that its card must say.

    ``code`` is for the record alone.
    """
    from brainnet.evaluate.inputs import staged
    from brainnet.evaluate.jobs import fit_clone
    from brainnet.models.catalogue import estimators
    from brainnet.models.harmonised import Harmonised
    from brainnet.models.measures import with_measures
    from brainnet.models.saved import save_stager, stager_card

    dataset = usable(cohort.load(inputs["cohort"]))
    given = staged(dataset, target)
    known = dataset.isel(subject=cohort.words(dataset[target].values) != "n/a")
    subjects = with_measures(given.subjects)
    estimator = estimators([name], seed=seed)[name]
    if design["harmonise"] == "combat":
        options = _harmonising(Design(**design), subjects.covariates)
        estimator = Harmonised(estimator, **options)
    model = fit_clone(estimator, subjects, given.labels, subjects.participants)
    sidecar = io.load_json(inputs["record"])
    predictions = io.load_table(inputs["predictions"])
    own = predictions[predictions["estimator"] == name]
    card = stager_card(
        known,
        given.labels,
        preprocessing=_preprocessing(dataset),
        estimator=name,
        title=sidecar["Estimators"][name],
        target=target,
        scores=_scores(io.load_table(inputs["scores"]), name),
        evaluation={
            "design": dict(design),
            "folds": sidecar["Folds"],
            "repeats": sidecar["Repeats"],
            "verdict": [each["text"] for each in sidecar["Verdict"]],
            "predictions_sha256": io.sha256(inputs["predictions"]),
        },
        conformal=_conformal(own, list(given.stages)),
        seed=seed,
        versions=_versions(),
    )
    save_stager(outputs["weights"].parent, model, card)


def _scores(table: pd.DataFrame, name: str) -> dict[str, dict[str, float]]:
    """Return each score of an estimator with its interval; those that are not defined left out."""
    own = table[(table["estimator"] == name)].dropna(subset="estimate")
    return {
        str(row["metric"]): {key: float(row[key]) for key in ("estimate", "low", "high")}
        for row in own.dropna(subset=["low", "high"]).to_dict("records")
    }


def _conformal(predictions: pd.DataFrame, stages: list[str]) -> dict[str, Any]:
    """Return the threshold below which a stage is not too strange for a prediction set.

    Calibrated on the predictions of people whom the models of the folds had not seen; the model
    that it is used with has seen all of them, so the promise holds nearly.
    """
    from brainnet.evaluate.conformal import nonconformity

    chances = predictions[[f"p_{stage}" for stage in stages]].to_numpy(dtype=np.float64)
    truth = cohort.words(predictions["truth"])
    places = np.array([stages.index(each) for each in truth.tolist()])
    strange = nonconformity(chances, score="aps")[np.arange(places.size), places]
    people = predictions.assign(strange=strange).groupby("participant")["strange"].mean()
    allowed = int(np.floor(ALPHA * (len(people) + 1)))
    largest = np.sort(people.to_numpy())[::-1]
    threshold = float(largest[allowed - 1]) if allowed else 2.0  # beyond any: all stages
    return {"level": 1 - ALPHA, "score": "aps", "threshold": threshold, "n": len(people)}


def _preprocessing(dataset: xr.Dataset) -> dict[str, Any]:
    """Return how the networks were made, and the hash of that record."""
    nothing: dict[str, Any] = {str(name): {UNRECORDED: {}} for name in dataset["modality"].values}
    text = str(dataset.attrs.get("preprocessing", json.dumps(nothing, sort_keys=True)))
    return {"record": json.loads(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _versions() -> dict[str, str]:
    return {"brainnet": __version__} | {name: version_of(name) for name in _PACKAGES}


def usable(dataset: xr.Dataset) -> xr.Dataset:
    """Leave out modalities that nobody has, which nothing could be learned from."""
    measured = np.isfinite(dataset["edges"].values).any(axis=(0, 2, 3))
    if not measured.all():
        absent = ", ".join(dataset["modality"].values[~measured])
        warnings.warn(
            f"No participant has a network of {absent}; staging uses the others.",
            io.DataWarning,
            stacklevel=2,
        )
    kept = dataset.isel(modality=np.flatnonzero(measured))
    return cohort.resolve_nan(kept, "impute")
