"""The group level: participants' networks to one cohort, stages under cross-validation, a page."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from brainnet import cohort, io
from brainnet.workflows import anatomical, group_page
from brainnet.workflows.settings import Settings
from brainnet.workflows.steps import Steps

Paths = Mapping[str, Path]


def run(
    out_dir: Path | str,
    participants: Path | str,
    *,
    target: str = "stage",
    settings: Settings | None = None,
    session: str | None = None,
    n_splits: int = 5,
    notify: Callable[[str], None] = print,
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
        Atlas and seed.
    session : str, optional
        Which session's networks; needed where there are several.
    n_splits : int
        Folds of the cross-validation.
    notify : callable
        Told the name of each step.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    brainnet.io.DataError
        If the table lacks the target, or there is no participant to gather.
    ValueError
        If a stage has fewer participants than two folds need. ``cohort.nc`` is kept.
    """
    out_dir, participants = Path(out_dir), Path(participants)
    settings = settings or Settings()
    io.load_table(participants, required=("participant_id", target))
    steps = Steps(notify)
    networks = sorted(out_dir.glob(f"sub-*/**/*_seg-{settings.atlas}_*relmat.tsv"))
    steps.run(
        "cohort",
        gather,
        inputs={str(path.relative_to(out_dir)): path for path in networks}
        | {"participants": participants}
        | settings.atlas_files(),
        outputs={"cohort": out_dir / "cohort.nc"},
        parameters={"atlas": settings.atlas, "session": session},
    )
    names = io.load_table(participants)["participant_id"].str.removeprefix("sub-")
    there = {path.relative_to(out_dir).parts[0] for path in networks}
    absent = [name for name in names if f"sub-{name}" not in there]
    return stage(
        out_dir, target=target, n_splits=n_splits, seed=settings.seed, steps=steps, absent=absent
    )


def stage(
    out_dir: Path,
    *,
    target: str,
    n_splits: int,
    seed: int,
    steps: Steps,
    absent: Sequence[str] = (),
) -> Path:
    """Stage the subjects of ``out_dir/cohort.nc`` and write the page; return its path.

    ``absent`` names participants of the table that have no networks: the page lists them.
    """
    files = {
        "cohort": out_dir / "cohort.nc",
        "scores": out_dir / "group_scores.tsv",
        "differences": out_dir / "group_differences.tsv",
        "predictions": out_dir / "group_predictions.tsv",
    }
    parameters = {"target": target, "n_splits": n_splits}
    steps.run(
        "staging",
        evaluate,
        inputs={"cohort": files["cohort"]},
        outputs={name: path for name, path in files.items() if name != "cohort"},
        parameters=parameters,
        seed=seed,
    )
    steps.run(
        "group report",
        group_page.write,
        inputs=files,
        outputs={"page": out_dir / "group.html"},
        parameters=parameters | {"absent": list(absent), "warnings": steps.warnings},
        seed=seed,
    )
    return out_dir / "group.html"


def gather(inputs: Paths, outputs: Paths, *, atlas: str, session: str | None) -> None:
    """Gather every participant's networks and the table into one dataset."""
    dataset = cohort.gather(
        outputs["cohort"].parent,
        inputs["participants"],
        atlas=anatomical.load_atlas(atlas, inputs),
        session=session,
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
