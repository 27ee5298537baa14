"""The group level: participants' networks to one cohort, stages under cross-validation, a page."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from brainnet import cohort, io
from brainnet.connectome.kinds import first_kinds
from brainnet.workflows import group_page, networks
from brainnet.workflows.engine.step import sidecar_path
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.own_atlas import resolve
from brainnet.workflows.settings import Settings

Paths = Mapping[str, Path]


def run(
    out_dir: Path | str,
    participants: Path | str,
    *,
    target: str = "stage",
    settings: Settings | None = None,
    session: str | None = None,
    n_splits: int = 5,
    notify: Callable[[str], None] | None = None,
) -> Path:
    """Gather what the participant level made and stage the participants.

    Parameters
    ----------
    out_dir : path
        The derivatives dataset.
    participants : path
        Table with ``participant_id`` and the target column.
    target : str
        Column to predict.
    settings : Settings, optional
        Atlas, kinds of edges and seed.
    session : str, optional
        Which session's networks, with or without ``ses-``; the names of the group's files add
        it. Needed where there are several.
    n_splits : int
        Folds of the cross-validation.
    notify : callable
        Told the name of each step; by default nobody is.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    brainnet.io.DataError
        If the table lacks the target, or the participant level has not run.
    ValueError
        If there are too few participants of a stage. Nothing has been written then.
    """
    out_dir, participants = Path(out_dir), Path(participants)
    io.load_table(participants, required=("participant_id", target))
    if not out_dir.is_dir():
        raise io.DataError(out_dir, "is not a folder", "Run the participant level first")
    settings = resolve(settings or Settings(), out_dir)
    session = None if session is None else session.removeprefix("ses-")
    found = cohort.sources(out_dir, settings.atlas, session, kinds=settings.connectome)
    table, _ = cohort.participants_table(out_dir, participants, session)
    assert table is not None  # a path was given
    _check_classes(table, found, target, n_splits)
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
        },
    )
    return stage(
        out_dir,
        label=label,
        target=cohort.column_name(target),
        n_splits=n_splits,
        seed=settings.seed,
        steps=steps,
        absent=_absent(table, found, session),
    )


def _check_classes(table: pd.DataFrame, found: cohort.Sources, target: str, n_splits: int) -> None:
    """Raise, before anything runs, where the participants with networks cannot be staged."""
    from brainnet.evaluate import possible_splits

    here = table[table.index.isin(list(found.networks))]
    if here.empty:
        raise ValueError(
            f"none of the {len(found.networks)} participants with networks is in the participants "
            f"table: they are {', '.join(list(found.networks)[:5])}, the table's "
            f"{', '.join(list(table.index)[:5])}. Use one spelling."
        )
    possible_splits(here[target].to_numpy(), here.index.to_numpy(), n_splits)


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
    return {
        "cohort": out_dir / f"cohort{label}.nc",
        "scores": out_dir / f"group{label}_scores.tsv",
        "differences": out_dir / f"group{label}_differences.tsv",
        "predictions": out_dir / f"group{label}_predictions.tsv",
        "page": out_dir / f"group{label}.html",
    }


def stage(
    out_dir: Path,
    *,
    target: str,
    n_splits: int,
    seed: int,
    steps: Steps,
    absent: Mapping[str, str] | None = None,
    label: str = "",
) -> Path:
    """Stage the subjects of ``out_dir/cohort<label>.nc`` and write the page; return its path.

    ``absent`` says of participants that are not in the cohort why: the page lists them. ``label``
    tells runs apart, as `networks.run_label` does, and sessions.
    """
    files = _files(out_dir, label)
    page = files.pop("page")
    steps.run(
        "staging",
        evaluate,
        inputs={"cohort": files["cohort"]},
        outputs={name: path for name, path in files.items() if name != "cohort"},
        parameters={"target": target, "n_splits": n_splits},
        seed=seed,
    )
    sidecar = io.load_json(sidecar_path(files["scores"]))
    steps.run(
        "group report",
        group_page.write,
        inputs=files,
        outputs={"page": page},
        parameters={
            "target": target,
            "evaluation": {
                "stages": sidecar["Stages"],
                "folds": sidecar["Folds"],
                "versions": sidecar["Brainnet"]["Versions"],
            },
            "absent": dict(absent or {}),
            "warnings": steps.warnings,
        },
        seed=seed,
    )
    return page


def gather(
    inputs: Paths, outputs: Paths, *, atlas: str, session: str | None, kinds: Sequence[str]
) -> None:
    """Gather every participant's networks and the table into one dataset."""
    dataset = cohort.gather(
        outputs["cohort"].parent,
        inputs["participants"],
        atlas=networks.load_atlas(atlas, inputs),
        session=session,
        kinds=kinds,
    )
    cohort.save(dataset, outputs["cohort"])


def evaluate(
    inputs: Paths, outputs: Paths, *, target: str, n_splits: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Cross-validate the baselines and the graph network on the same folds."""
    from brainnet.evaluate import cross_validate_stages
    from brainnet.models.graph.estimator import GraphClassifier
    from brainnet.models.linear import edge_logistic, majority

    dataset = usable(cohort.load(inputs["cohort"]))
    found = cross_validate_stages(
        dataset,
        {
            "majority": majority(),
            "linear": edge_logistic(seed=seed),
            "graph": GraphClassifier(seed=seed),
        },
        target=target,
        n_splits=n_splits,
        seed=seed,
    )
    io.save_table(found.table, outputs["scores"])
    io.save_table(found.differences, outputs["differences"])
    io.save_table(found.predictions, outputs["predictions"])
    folds = int(found.folds["fold"].nunique())
    return {"scores": {"Stages": list(found.stages), "Folds": folds}}


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
    return dataset.isel(modality=np.flatnonzero(measured))
