"""The group level: networks to one cohort, models compared on it, one of them saved, a page."""

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import xarray as xr

from brainnet import cohort, io
from brainnet.cohort.stages import Scheme, read_stages, scheme_of
from brainnet.connectome.kinds import first_kinds
from brainnet.workflows import group_page, group_staging, networks
from brainnet.workflows.engine.step import sidecar_path
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.group_staging import Design
from brainnet.workflows.own_atlas import resolve
from brainnet.workflows.preprocessing import Records, canonical
from brainnet.workflows.settings import Settings

__all__ = ["Design", "gather", "model_of", "run", "stage"]

Paths = Mapping[str, Path]
#: what the sidecar of the scores says that the page shows
_SAID = frozenset({
    "Baseline", "Estimators", "Final", "Folds", "Networks", "Permutations", "Repeats",
    "SiteDecoding", "Stages", "Verdict",
})  # fmt: skip


def run(
    out_dir: Path | str,
    participants: Path | str,
    *,
    target: str = "stage",
    settings: Settings | None = None,
    session: str | None = None,
    design: Design | None = None,
    n_jobs: int = 1,
    notify: Callable[[str], None] | None = None,
) -> Path:
    """Gather what the participant level made, compare models on it, and save one of them.

    Parameters
    ----------
    out_dir : path
        The derivatives dataset.
    participants : path
        Table with ``participant_id`` and the target column.
    target : str
        Column to predict. The names and codes of ADNI, OASIS and AIBL are read as stages
        (``design.scheme``); the page says which is which.
    settings : Settings, optional
        Atlas, kinds of edges and seed.
    session : str, optional
        Which session's networks, with or without ``ses-``; the names of the group's files add
        it. Needed where there are several.
    design : Design, optional
        Which models are compared, and how.
    n_jobs : int
        Processes; it changes no result.
    notify : callable
        Told the name of each step; by default nobody is.

    Returns
    -------
    pathlib.Path
        The page. The saved model stands beside it in ``model-<estimator>``: see
        `brainnet.workflows.stage`.

    Raises
    ------
    brainnet.io.DataError
        If the table lacks the target or has labels of it that are no stages, or the participant
        level has not run.
    ValueError
        If there are too few participants of a stage, or an unknown estimator. Nothing has been
        written then.
    """
    design = design or Design()
    design.check()
    out_dir, participants = Path(out_dir), Path(participants)
    io.load_table(participants, required=("participant_id", target))
    if not out_dir.is_dir():
        raise io.DataError(out_dir, "is not a folder", "Run the participant level first")
    settings = resolve(settings or Settings(), out_dir)
    session = None if session is None else session.removeprefix("ses-")
    found = cohort.sources(out_dir, settings.atlas, session, kinds=settings.connectome)
    table, _ = cohort.participants_table(out_dir, participants, session)
    assert table is not None  # a path was given
    scheme = _check_classes(table, found, target, design, participants)
    steps = Steps(notify or (lambda _step: None))
    label = networks.run_label(settings) + (f"_ses-{session}" if session else "")
    steps.run(
        "cohort",
        gather,
        inputs={path.relative_to(out_dir).as_posix(): path for path in found.files}
        | {"participants": participants}
        | settings.atlas_files(),
        outputs={"cohort": _files(out_dir, label)["cohort"]},
        parameters={
            "atlas": settings.atlas,
            "session": session,
            "kinds": [kind.name for kind in first_kinds(settings.connectome).values()],
        }
        | ({"stages": {"column": target, "scheme": scheme}} if scheme else {}),
    )
    return stage(
        out_dir,
        label=label,
        target=cohort.column_name(target),
        design=design,
        seed=settings.seed,
        n_jobs=n_jobs,
        steps=steps,
        absent=_absent(table, found, session),
    )


def _check_classes(
    table: pd.DataFrame, found: cohort.Sources, target: str, design: Design, source: Path
) -> Scheme | None:
    """Raise, before anything runs, where the participants with networks cannot be staged.

    Return the scheme that their stages have to be read in.
    """
    from brainnet.evaluate import possible_splits

    here = table[table.index.isin(list(found.networks))]
    if here.empty:
        raise ValueError(
            f"none of the {len(found.networks)} participants with networks is in the participants "
            f"table: they are {', '.join(list(found.networks)[:5])}, the table's "
            f"{', '.join(list(table.index)[:5])}. Use one spelling."
        )
    labels = here[target]
    scheme = scheme_of(labels, scheme=design.scheme, path=source)
    classes = read_stages(labels, scheme=scheme) if scheme else labels.to_numpy()
    possible_splits(classes, here.index.to_numpy(), design.n_splits)
    return scheme


def _absent(table: pd.DataFrame, found: cohort.Sources, session: str | None) -> dict[str, str]:
    """Say of each participant that is not in the cohort why."""
    failed = {
        label: f"failed at the participant level: {why}" for label, why in found.failed.items()
    }
    which = f" of session {session}" if session else ""
    why = f"no network{which}: the participant level did not finish, or was not run"
    here = {*found.networks, *failed}
    return failed | {str(label): why for label in table.index if label not in here}


def _files(out_dir: Path, label: str) -> dict[str, Path]:
    """Name what the group level writes; ``label`` tells atlases, kinds and sessions apart."""
    stem = f"group{label}"
    tables = ("scores", "differences", "predictions", "choices", "calibration", "coverage")
    return {
        "cohort": out_dir / f"cohort{label}.nc",
        **{name: out_dir / f"{stem}_{name}.tsv" for name in tables},
        "page": out_dir / f"{stem}.html",
    }


def stage(
    out_dir: Path,
    *,
    target: str,
    seed: int,
    steps: Steps,
    design: Design | None = None,
    n_jobs: int = 1,
    absent: Mapping[str, str] | None = None,
    label: str = "",
) -> Path:
    """Compare models on ``out_dir/cohort<label>.nc``, save one, write the page; return its path.

    ``absent`` says of participants that are not in the cohort why: the page lists them. ``label``
    tells runs apart, as `networks.run_label` does, and sessions. The others are those of `run`.
    """
    design, files = design or Design(), _files(out_dir, label)
    page = files.pop("page")
    with joblib.parallel_config("loky", n_jobs=n_jobs):
        steps.run(
            "staging",
            group_staging.evaluate,
            inputs={"cohort": files["cohort"]},
            outputs={name: path for name, path in files.items() if name != "cohort"},
            parameters={
                "target": target,
                "design": design.parameters(),
                "code": design.code(),
            },
            seed=seed,
        )
    shutil.rmtree(group_staging.kept_at(files["scores"]), ignore_errors=True)
    sidecar = io.load_json(sidecar_path(files["scores"]))
    model = _final_model(out_dir, label, files, target, design, seed, steps)
    steps.run(
        "group report",
        group_page.write,
        inputs=files,
        outputs={"page": page},
        parameters={
            "target": target,
            "evaluation": {key: value for key, value in sidecar.items() if key in _SAID}
            | {"Versions": sidecar["Brainnet"]["Versions"], "Design": design.parameters()},
            "model": None if model is None else model.name,
            "absent": dict(absent or {}),
            "warnings": steps.warnings,
        },
        seed=seed,
    )
    return page


def model_of(page: Path) -> Path | None:
    """Return the folder of the model that a page tells of; None where none was saved."""
    name = io.load_json(sidecar_path(page))["Brainnet"]["Parameters"]["model"]
    return None if name is None else page.with_name(name)


def _final_model(
    out_dir: Path,
    label: str,
    files: Paths,
    target: str,
    design: Design,
    seed: int,
    steps: Steps,
) -> Path | None:
    """Save the network that new participants can be staged with; None where there is none."""
    name = io.load_json(sidecar_path(files["scores"]))["Final"]
    if name is None:
        return None
    folder = out_dir / f"model-{name}{label}"
    weights = folder / "weights.safetensors"
    if not (folder / "card.json").is_file():  # it is no output of the step, which would skip
        sidecar_path(weights).unlink(missing_ok=True)
    steps.run(
        "model for new participants",
        group_staging.fit_final,
        inputs={
            "cohort": files["cohort"],
            "scores": files["scores"],
            "predictions": files["predictions"],
            "record": sidecar_path(files["scores"]),
        },
        outputs={"weights": weights},
        parameters={
            "target": target,
            "name": name,
            "design": design.parameters(),
            "code": design.code()[name],
        },
        seed=seed,
    )
    return folder


def gather(
    inputs: Paths,
    outputs: Paths,
    *,
    atlas: str,
    session: str | None,
    kinds: Sequence[str],
    stages: Mapping[str, Any] | None = None,
) -> None:
    """Gather every participant's networks and the table into one dataset.

    ``stages`` says which column is read as stages, and in which scheme.
    """
    dataset = cohort.gather(
        outputs["cohort"].parent,
        inputs["participants"],
        atlas=networks.load_atlas(atlas, inputs),
        session=session,
        kinds=kinds,
    )
    if stages is not None:
        dataset = _with_stages(dataset, **stages)
    out_dir = outputs["cohort"].parent
    found = cohort.sources(out_dir, str(dataset.attrs["atlas"]), session, kinds=kinds)
    record = canonical(Records().of_cohort(found))
    cohort.save(dataset.assign_attrs(preprocessing=record), outputs["cohort"])


def _with_stages(dataset: xr.Dataset, column: str, scheme: Scheme) -> xr.Dataset:
    """Read a column as stages, and say what each label was taken for."""
    name = cohort.column_name(column)
    given = pd.Series(dataset[name].values, name=column)
    read = read_stages(given, scheme=scheme)
    pairs = sorted(set(zip(cohort.words(given).tolist(), read.tolist(), strict=True)))
    taken = ", ".join(f"{label} is {stage}" for label, stage in pairs if label != stage)
    text = f"{dataset.attrs['participants']}: {column} is read as stages: {taken}."
    warnings.warn(text, io.DataWarning, stacklevel=2)
    return dataset.assign_coords({name: ("subject", read)})
