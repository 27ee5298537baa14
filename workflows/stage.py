"""A saved model to the stages of new participants: a table, its sidecar and a page.

Whoever's networks are not such as the model knows is refused with the reason; the others are
staged from the modalities that they have.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainnet import __version__, bids, cohort, io
from brainnet.bids.names import parse
from brainnet.cohort.files import regional_tables
from brainnet.cohort.tables import mean_network, mean_regional, participants_table
from brainnet.io import DataError
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.group_staging import HARMONISED, code_at
from brainnet.workflows.preprocessing import Records, differences

if TYPE_CHECKING:
    from brainnet.cohort.subjects import Subjects
    from brainnet.models.saved import Stager

__all__ = ["Result", "predict", "run"]

Paths = Mapping[str, Path]
#: share of a participant's regions below which a remark says how few were measured
ENOUGH = 0.8
#: how the reason begins that the networks are not such as the model knows
_UNLIKE = "networks not made as those that the model knows"
#: differences that are each told
_MOST = 4
_ALIKE = (
    "Run the participant level as it ran for the model's participants, in a folder of its own, or "
    "take a model of networks made like these"
)


@dataclass(frozen=True)
class Result:
    """What became of the participants.

    Attributes
    ----------
    table, page : pathlib.Path
        What was written.
    n_staged : int
        Participants with a stage.
    problems : dict of str to str
        Why a participant has none, by label.
    """

    table: Path
    page: Path
    n_staged: int
    problems: dict[str, str]


def run(
    model: Path | str,
    derivatives: Path | str,
    out_dir: Path | str | None = None,
    *,
    participant_label: Sequence[str] | None = None,
    session: str | None = None,
    notify: Callable[[str], None] | None = None,
) -> Result:
    """Stage the participants of a derivatives dataset with a saved model.

    Parameters
    ----------
    model : path
        Folder of a model, as the group level saves it: a card and its weights.
    derivatives : path
        What the participant level made of the new participants.
    out_dir : path, optional
        Where the results go; default ``derivatives``.
    participant_label : sequence of str, optional
        Only these, with or without ``sub-``; the table holds those of the last run.
    session : str, optional
        Whose networks, with or without ``ses-``; by default each participant's first.
    notify : callable, optional
        Told the name of each step.

    Returns
    -------
    Result

    Raises
    ------
    brainnet.io.DataError
        No model, or a damaged one; no networks of its atlas and kinds of edges; nobody whose
        networks were made as those that it knows. Nothing has been written then.

    Notes
    -----
    Written are ``group_[ses-<session>_]desc-<model>_stages.tsv``, a row a participant, and
    ``group_[ses-<session>_]desc-<model>.html``.
    """
    from brainnet.models.saved import load_card_of

    model, derivatives = Path(model), Path(derivatives)
    out_dir = derivatives if out_dir is None else Path(out_dir)
    session = None if session is None else session.removeprefix("ses-")
    card = load_card_of(model)
    steps = Steps(notify or (lambda _step: None))
    found = _found(derivatives, card, session)
    labels = _labels(found, derivatives, participant_label)
    problems = _problems(found, labels, card)
    taken = {label: found.networks[label] for label in labels if label not in problems}
    if not taken:
        raise _nobody(derivatives, problems)
    people = _people_file(derivatives, card)
    if out_dir.resolve() != derivatives.resolve():
        bids.write_dataset_description(out_dir, derivatives)
    _tell(found, taken, card, steps)
    files = _files(out_dir, model, session)
    networks, whose = _inputs(derivatives, taken)
    steps.run(
        "staging of new participants",
        predict,
        inputs=_model_files(model) | networks | people,
        outputs={"stages": files["stages"]},
        parameters={
            "networks": whose,
            "problems": problems,
            "simulated": sorted(map(list, found.simulated)),
            "session": session,
            "code": _code_of(card),
        },
    )
    table = io.load_table(files["stages"])
    steps.run(
        "staging page",
        write_page,
        inputs={"card": model / "card.json", "stages": files["stages"]},
        outputs={"page": files["page"]},
        parameters={
            "warnings": steps.warnings,
            "session": session,
            "model": model.resolve().name,
            "simulated": _is_simulated(derivatives),
        },
    )
    failed = table[table["problem"].notna()].set_index("participant_id")["problem"]
    why = {str(who).removeprefix("sub-"): str(reason) for who, reason in failed.items()}
    return Result(files["stages"], files["page"], len(table) - len(failed), why)


def _found(derivatives: Path, card: Mapping[str, Any], session: str | None) -> cohort.Sources:
    """Return the networks of the model's atlas and kinds; say what there is where they lack."""
    name, kinds = card["atlas"]["name"], card["kinds"]
    try:
        return cohort.sources(derivatives, name, session, kinds=kinds)
    except DataError as error:
        there = sorted({parse(path.stem)[0].get("seg", "") for path in _networks(derivatives)})
        if not there or name in there:
            raise
        what = f"has networks of the atlas {', '.join(there)}, and the model's are of {name}"
        remedy = f"Run the participant level with --atlas {name}, or take another model"
        raise DataError(derivatives, what, remedy) from error


def _is_simulated(derivatives: Path) -> bool:
    """Say whether the description of the dataset says so."""
    path = derivatives / "dataset_description.json"
    return path.exists() and "simulated" in str(io.load_json(path).get("Name", "")).lower()


def _networks(derivatives: Path) -> list[Path]:
    patterns = ("sub-*/*/*_relmat.tsv", "sub-*/ses-*/*/*_relmat.tsv")
    return [path for pattern in patterns for path in derivatives.glob(pattern)]


def _labels(found: cohort.Sources, derivatives: Path, asked: Sequence[str] | None) -> list[str]:
    """Return whom to stage: everybody, or those asked for, who must be there."""
    there = {path.name.removeprefix("sub-") for path in derivatives.glob("sub-*") if path.is_dir()}
    known = there | set(found.networks) | set(found.failed)
    if asked is None:
        return sorted(known)
    wanted = list(dict.fromkeys(label.removeprefix("sub-") for label in asked))
    strange = [label for label in wanted if label not in known]
    if strange:
        what = f"has no participant {', '.join(strange)}"
        raise DataError(derivatives, what, "Correct --participant-label")
    return wanted


def _problems(
    found: cohort.Sources, labels: Sequence[str], card: Mapping[str, Any]
) -> dict[str, str]:
    """Say of each participant whose networks cannot be used why."""
    records, known = Records(), card["preprocessing"]["record"]
    problems = {}
    for label in labels:
        if label in found.failed:
            problems[label] = f"failed at the participant level: {found.failed[label]}"
        elif not set(found.networks.get(label, ())) & set(card["modalities"]):
            problems[label] = "has no network that the model knows"
        elif unlike := differences(records.of_cohort(found, [label]), known):
            more = f"; and {len(unlike) - _MOST} more" if len(unlike) > _MOST else ""
            problems[label] = f"{_UNLIKE}: {'; '.join(unlike[:_MOST])}{more}"
    return problems


def _nobody(derivatives: Path, problems: Mapping[str, str]) -> DataError:
    """Return the error for a dataset of which nobody can be staged."""
    unlike = [label for label, why in problems.items() if why.startswith(_UNLIKE)]
    label = unlike[0] if unlike else next(iter(problems))
    what = f"has nobody whom the model can stage; sub-{label}: {problems[label]}"
    return DataError(derivatives, what, _ALIKE if unlike else "Run the participant level first")


def _tell(
    found: cohort.Sources, taken: Collection[str], card: Mapping[str, Any], steps: Steps
) -> None:
    """Warn of what was chosen for the user, and of what differs without being refused."""
    for note in found.notes:
        steps.warn(note)
    made = str(card.get("versions", {}).get("brainnet", "unknown"))
    if made != __version__:
        steps.warn(f"The model was made with brainnet {made}, and this is {__version__}.")
    if any("unrecorded" in of for of in card["preprocessing"]["record"].values()):
        steps.warn(
            "The model's networks have no whole record of how they were made, so it cannot be "
            "shown that these were made alike. Judge it by what you know of both."
        )
    simulated = sorted({label for label, _ in found.simulated} & set(taken))
    if simulated and not card["cohort"]["simulated"]:
        steps.warn(
            f"Networks of {len(simulated)} participants are SIMULATED: their stages say nothing "
            "of these people."
        )


def needs_of(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a model must be told of participants: site and what it keeps, or nothing."""
    own = card.get("harmonised")
    return () if own is None else (str(own["site"]), *map(str, own["keep"]))


def _people_file(derivatives: Path, card: Mapping[str, Any]) -> dict[str, Path]:
    """Return the table of participants where the model needs to know something of them."""
    needed = needs_of(card)
    path = derivatives / "participants.tsv"
    if not needed:
        return {}
    if not path.exists():
        what = f"has no participants.tsv, and the model harmonises by {', '.join(needed)}"
        raise DataError(derivatives, what, "Add the table with these columns")
    return {"participants": path}


def _files(out_dir: Path, model: Path, session: str | None) -> dict[str, Path]:
    words = re.findall(r"[A-Za-z0-9]+", model.resolve().name)
    name = "".join([*words[:1], *(word[:1].upper() + word[1:] for word in words[1:])])
    stem = f"group{f'_ses-{session}' if session else ''}_desc-{name or 'model'}"
    return {"stages": out_dir / f"{stem}_stages.tsv", "page": out_dir / f"{stem}.html"}


def _model_files(model: Path) -> dict[str, Path]:
    """Return the card and the weights of a model, of all networks where it has several."""
    parts = [*model.rglob("card.json"), *model.rglob("*.safetensors")]
    return {path.relative_to(model).as_posix(): path for path in sorted(parts)}


def _code_of(card: Mapping[str, Any]) -> str:
    """Return the digest of the code of a network, or of the members of a committee."""
    from brainnet.models.core.networks import NETWORKS

    network = card["network"]
    name = network["options"].get("network", network["name"])
    before = code_at(HARMONISED) if needs_of(card) else ""
    return before + (code_at(NETWORKS[name]) if name in NETWORKS else "")


def _inputs(
    derivatives: Path, taken: Mapping[str, Mapping[str, Sequence[Path]]]
) -> tuple[dict[str, Path], dict[str, dict[str, list[str]]]]:
    """Return every file that the stages depend on, and whose networks are which of them."""
    files: dict[str, Path] = {}
    whose: dict[str, dict[str, list[str]]] = {}
    for label, networks in taken.items():
        for modality, paths in networks.items():
            keys = [path.relative_to(derivatives).as_posix() for path in paths]
            whose.setdefault(label, {})[modality] = keys
            for key, path in zip(keys, paths, strict=True):
                files[key] = path
                for name, table in regional_tables(path, modality).items():
                    files[f"{key} {name}"] = table
    return files, whose


def predict(
    inputs: Paths,
    outputs: Paths,
    *,
    networks: Mapping[str, Mapping[str, Sequence[str]]],
    problems: Mapping[str, str],
    simulated: Sequence[Sequence[str]],
    session: str | None,
    code: str,
) -> dict[str, dict[str, Any]]:
    """Stage participants and write a row for each, those with a problem included.

    ``inputs`` hold the model's files by their names and every network by its key in ``networks``
    (participant, modality, keys). ``code`` is for the record alone.
    """
    from brainnet.models.saved import load_stager

    stager = load_stager(inputs["card.json"].parent)
    read, unread = _read(inputs, networks, stager.card)
    if not read:
        raise next(iter(unread.values()))
    subjects = _subjects(read, stager.card, _covariates(inputs, list(read), stager.card, session))
    subjects, refused_why = _that_can_be_staged(subjects, stager, inputs["card.json"].parent)
    chances = np.asarray(stager.estimator.predict_proba(subjects), dtype=np.float64)
    stages = [str(each) for each in stager.estimator.classes_]
    table = _described(subjects, stager, {tuple(each) for each in simulated})
    table.insert(1, "stage", np.array(stages)[chances.argmax(axis=1)])
    for place, stage in enumerate(stages):
        table.insert(2 + place, f"p_{stage}", chances[:, place])
    if "conformal" in stager.card:
        sets = _sets(chances, stages, stager.card["conformal"])
        table.insert(2 + len(stages), "set", sets)
    known = dict(problems) | {label: str(error) for label, error in unread.items()} | refused_why
    refused = pd.DataFrame({
        "participant_id": [f"sub-{label}" for label in known], "problem": list(known.values()),
    })  # fmt: skip
    whole = pd.concat([table, refused]).sort_values("participant_id", kind="stable")
    if session is not None:
        whole.insert(1, "session_id", f"ses-{session}")
    io.save_table(whole, outputs["stages"])
    return {"stages": _metadata(stager.card, stages)}


def _sets(chances: NDArray, stages: Sequence[str], conformal: Mapping[str, Any]) -> list[str]:
    """Return the stages of each participant that cannot be excluded at the card's level."""
    from brainnet.evaluate.conformal import nonconformity

    inside = nonconformity(chances, score=conformal["score"]) <= conformal["threshold"]
    return [", ".join(np.array(stages)[row]) or "none" for row in inside]


def _read(
    inputs: Paths, networks: Mapping[str, Mapping[str, Sequence[str]]], card: Mapping[str, Any]
) -> tuple[dict[str, tuple[NDArray, NDArray]], dict[str, DataError]]:
    """Return edges and values of each participant, and why those of others cannot be read."""
    names, modalities = card["regions"], card["modalities"]
    shape = (len(modalities), len(names))
    read, unread = {}, {}
    for label, own in networks.items():
        edges, values = np.full((*shape, len(names)), np.nan), np.full(shape, np.nan)
        try:
            for row, modality in enumerate(modalities):
                paths = [inputs[key] for key in own.get(modality, ())]
                if paths:
                    edges[row] = mean_network(paths, names)
                    values[row] = mean_regional(paths, modality, names)[1]
        except DataError as error:
            unread[label] = error
            continue
        read[label] = edges, values
    return read, unread


def _covariates(
    inputs: Paths, labels: Sequence[str], card: Mapping[str, Any], session: str | None
) -> pd.DataFrame:
    """Return what the model must know of participants, a row each; NaN where nothing is said."""
    needed = needs_of(card)
    if not needed:
        return pd.DataFrame(index=range(len(labels)))
    source = inputs["participants"]
    table, _ = participants_table(source.parent, source, session)
    assert table is not None
    missing = [name for name in needed if name not in table.columns]
    if missing:
        what = f"has no column {', '.join(missing)}, and the model harmonises by it"
        raise DataError(source, what, "Add it")
    return table.reindex(list(labels))[list(needed)].reset_index(drop=True)


def _that_can_be_staged(
    subjects: "Subjects", stager: "Stager", model: Path
) -> tuple["Subjects", dict[str, str]]:
    """Return those whom a harmonised model can stage, and why it cannot stage the others."""
    from brainnet.models.measures import with_measures

    if not stager.needs():
        return subjects, {}
    subjects = with_measures(subjects)  # as in training: they are harmonised too
    why = stager.refusals(subjects)
    refused = {
        label: reason
        for label, reason in zip(subjects.participants.tolist(), why, strict=True)
        if reason
    }
    if len(refused) == len(subjects):
        label, reason = next(iter(refused.items()))
        what = f"can stage nobody of these; sub-{label}: {reason}"
        raise DataError(model, what, "Take a model that is not harmonised, or correct the table")
    return subjects[[not reason for reason in why]], refused


def _subjects(
    read: Mapping[str, tuple[NDArray, NDArray]], card: Mapping[str, Any], covariates: pd.DataFrame
) -> "Subjects":
    """Return participants as the model takes them."""
    from brainnet.cohort.subjects import Subjects

    places = card.get("coordinates")
    missing = np.full((len(card["regions"]), 3), np.nan)
    return Subjects(
        edges=np.stack([edges for edges, _ in read.values()]),
        values=np.stack([values for _, values in read.values()]),
        covariates=covariates,
        participants=np.array(list(read), dtype=str),
        modalities=tuple(card["modalities"]),
        regions=tuple(card["regions"]),
        coordinates=missing if places is None else np.asarray(places, dtype=np.float64),
    )


def _described(
    subjects: "Subjects", stager: "Stager", simulated: set[tuple[str, ...]]
) -> pd.DataFrame:
    """Say of each participant what was there and what the reader should know."""
    from brainnet.models.saved import fingerprints

    known = set(stager.card["cohort"].get("networks", ()))
    of_site = stager.remarks(subjects)
    trained = [bool(known & set(marks)) for marks in fingerprints(subjects.edges).tolist()]
    rows = []
    for row, label in enumerate(subjects.participants.tolist()):
        seen = np.isfinite(subjects.edges[row]).any(axis=2)  # modality, region
        there = seen.any(axis=1)
        names = np.array(subjects.modalities)
        coverage = float(seen[there].mean()) if there.any() else 0.0
        notes = (
            ["a training participant: the model has seen these networks"] if trained[row] else []
        )
        notes += [f"{coverage:.0%} of the regions measured"] if coverage < ENOUGH else []
        notes += [of_site[row]] if of_site[row] else []
        made_up = [name for name in names[there] if (label, name) in simulated]
        notes += [f"simulated: {', '.join(made_up)}"] if made_up else []
        rows.append({
            "participant_id": f"sub-{label}",
            "modalities": ", ".join(names[there]),
            "missing": ", ".join(names[~there]) or None,
            "coverage": coverage,
            "remarks": "; ".join(notes) or None,
            "problem": None,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _metadata(card: Mapping[str, Any], stages: Sequence[str]) -> dict[str, Any]:
    """Return what the sidecar says of the columns and of the model."""
    columns = {
        "stage": "most probable stage",
        **{f"p_{stage}": f"probability of {stage}" for stage in stages},
        "set": "stages that cannot be excluded: of people like the training participants 9 of 10 "
        "have theirs in it, nearly",
        "modalities": "modalities that the stage comes from",
        "missing": "modalities that the model knows and the participant lacks",
        "coverage": "share of the regions measured, mean over the modalities there",
        "remarks": "what to know before the stage is used",
        "problem": "why there is no stage",
    }
    return {
        **{name: {"Description": text} for name, text in columns.items()},
        "IntendedUse": card.get("intended_use", ""),
        "Limits": list(card.get("limits", ())),
        "Stages": list(stages),
        "Model": {key: card[key] for key in ("network", "atlas", "kinds", "weights_sha256")},
    }


def write_page(
    inputs: Paths,
    outputs: Paths,
    *,
    warnings: Sequence[str],
    session: str | None,
    model: str,
    simulated: bool,
) -> None:
    """Write the page of the participants that were staged."""
    from brainnet.report.staging import staging_page

    card = io.load_json(inputs["card"])
    table = io.load_table(inputs["stages"])
    page = staging_page(
        table,
        card,
        title="Stages" + (f" in session {session}" if session else ""),
        warnings=warnings,
        provenance={
            "model": model,
            "sha256 of its weights": card["weights_sha256"],
            "sha256 of its preprocessing": card["preprocessing"].get("sha256", "n/a"),
            "sha256 of the stages": io.sha256(inputs["stages"]),
            **card.get("versions", {}),
        },
        simulated=simulated,
    )
    io.save_text(page, outputs["page"])
