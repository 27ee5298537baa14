"""The participant level: every scan of every participant to networks, measures and a page."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from brainnet import bids, io
from brainnet.bids import Scan
from brainnet.modalities import modality_of
from brainnet.workflows import (
    anatomical,
    citation,
    config,
    functional,
    networks,
    page,
    pet,
    precomputed,
    simulated_pet,
    validation,
)
from brainnet.workflows.engine import Attempts, NewSteps, Outcome, run_all
from brainnet.workflows.engine.resources import Resources
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.networks import Result
from brainnet.workflows.own_atlas import planned, resolve
from brainnet.workflows.settings import Settings
from brainnet.workflows.there import taking_what_is_there

_LOG = logging.getLogger("brainnet")
#: suffix of a scan to its modality and pipeline
PIPELINES = {"bold": ("functional", functional.run), "pet": ("metabolic", pet.run)}


@dataclass(frozen=True)
class Job:
    """What the job of one participant is given.

    Attributes
    ----------
    scans : list of brainnet.bids.Scan
        The participant's scans that the run takes.
    sessions : tuple of str, optional
        Labels of the sessions wanted; None: all.
    bids_dir, out_dir : pathlib.Path
        The raw and the derivatives dataset.
    settings : Settings
        Atlas, quality, seed and the like.
    problem : brainnet.io.DataError, optional
        Why the participant must not be processed.
    """

    scans: list[Scan]
    sessions: tuple[str, ...] | None
    bids_dir: Path
    out_dir: Path
    settings: Settings
    problem: io.DataError | None = None


def run(
    bids_dir: Path | str,
    out_dir: Path | str,
    *,
    participant_label: Sequence[str] | None = None,
    session_label: Sequence[str] | str | None = None,
    settings: Settings | None = None,
    resources: Resources | None = None,
    asked: Mapping[str, Any] | None = None,
) -> list[Outcome]:
    """Process participants of a BIDS dataset into a derivatives dataset.

    Several runs may write to one ``out_dir`` at a time: no run touches what another participant's
    made, and what they share is written whole, and only where it differs.

    Parameters
    ----------
    bids_dir, out_dir : path
        The raw dataset, which is only read, and the derivatives dataset.
    participant_label : sequence of str, optional
        With or without ``sub-``; default all.
    session_label : str or sequence of str, optional
        Only these sessions, with or without ``ses-``.
    settings : Settings, optional
        Atlas, quality, seed and the like.
    resources : Resources, optional
        Processes, threads, memory, cluster; default all in this process.
    asked : mapping, optional
        The options that the run was given, by the names of their flags: kept in its manifest and
        in ``logs/config.toml``, with which it can be run again. Default: the settings, in the
        manifest only.

    Returns
    -------
    list of Outcome
        One a participant: failures (empty if all went well) and the pages written.

    Raises
    ------
    brainnet.io.DataError, ValueError
        If the dataset, a participant, the session, the atlas or ``out_dir`` is not usable.
        Nothing has run then.
    """
    bids_dir, out_dir, settings = Path(bids_dir), Path(out_dir), settings or Settings()
    if resources and (resources.scheduler or resources.cluster):  # workers start in other folders
        bids_dir, out_dir = bids_dir.absolute(), out_dir.absolute()
        derivatives = tuple(Path(folder).absolute() for folder in settings.derivatives)
        settings = replace(settings, derivatives=derivatives)
    jobs = find_jobs(bids_dir, out_dir, participant_label, session_label, settings)
    planned(settings, out_dir)  # raises before anything is written
    bids.write_dataset_description(out_dir, bids_dir, derivatives=settings.derivatives)
    _sweep(out_dir, out_dir / "atlas")
    settings = resolve(settings, out_dir)
    jobs = {label: replace(job, settings=settings) for label, job in jobs.items()}
    if asked is not None and not settings.reports_only:
        config.save(asked, out_dir / "logs" / "config.toml")
    known = {"options": asdict(settings) if asked is None else dict(asked)}
    outcomes = run_all(
        _clean_and_process,
        {label: (job,) for label, job in jobs.items()},
        out_dir / "logs",
        resources=resources,
        asked={"level": "participant", **known, "participants": len(jobs)},
    )
    _write_methods(jobs)
    return outcomes


def _sweep(*folders: Path) -> None:
    """Remove what killed runs left half written, and nobody writes now."""
    for folder in folders:
        if folder.is_dir():
            io.remove_leftovers(folder)


def _write_methods(jobs: Mapping[str, Job]) -> None:
    """Write the methods of all participants, unless the run had only some of those processed."""
    job = next(iter(jobs.values()))
    others = (each for each in job.out_dir.glob("sub-*") if each.name[4:] not in jobs)
    if not any(each.is_dir() for each in others):
        try:
            citation.write_methods(job.out_dir, job.bids_dir, job.settings, labels=list(jobs))
        except io.DataError as error:
            _LOG.warning("The methods text was not written: %s", error)


def find_jobs(
    bids_dir: Path,
    out_dir: Path,
    participant_label: Sequence[str] | None,
    session_label: Sequence[str] | str | None,
    settings: Settings,
) -> dict[str, Job]:
    """Return the job of each participant by label; nothing is written.

    The parameters, and what is raised, are those of `run`.
    """
    if out_dir.exists() and not out_dir.is_dir():
        raise io.DataError(out_dir, "is a file", "Give a folder for the results")
    precomputed.check(settings.derivatives)
    labels = bids.participants(bids_dir, labels=participant_label)
    problems = _invalid(bids_dir, labels) if settings.validate else {}
    scans = bids.index(bids_dir, subjects=labels)
    sessions = _known_sessions(session_label, scans, bids_dir)
    filters = bids.load_filters(settings.bids_filter_file) if settings.bids_filter_file else None
    scans = bids.filter_scans(scans, filters, tasks=settings.task_id)
    if settings.anat_only:
        scans = [scan for scan in scans if scan.suffix not in PIPELINES]
    found = bids.by_subject(scans)
    jobs = {
        label: Job(found.get(label, []), sessions, bids_dir, out_dir, settings, problems.get(label))
        for label in labels
        if _has_session(label, found.get(label, []), sessions)
    }
    if not jobs:
        what = f"no participant has an image of session {', '.join(sessions or ())} left"
        remedy = "Loosen --session-label, --anat-only, --task-id or the filter file"
        raise io.DataError(bids_dir, what, remedy)
    return jobs


def _invalid(bids_dir: Path, labels: Sequence[str]) -> dict[str, io.DataError]:
    """Return what the BIDS validator finds wrong with participants; raise for the dataset."""
    report = validation.validate(bids_dir)
    report.check(labels)
    (_LOG.info if report.ran else _LOG.warning)("%s", report.summary)
    problems = {}
    for label in labels:
        try:
            report.check_participant(label)
        except io.DataError as error:
            problems[label] = error
    return problems


def _known_sessions(
    labels: Sequence[str] | str | None, scans: Sequence[Scan], bids_dir: Path
) -> tuple[str, ...] | None:
    """Return the sessions' labels without prefix, or name the sessions that there are."""
    if not labels:
        return None
    given = [labels] if isinstance(labels, str) else labels
    wanted = tuple(dict.fromkeys(label.removeprefix("ses-") for label in given))
    present = sorted({scan.session for scan in scans if scan.session})
    absent = [label for label in wanted if label not in present]
    if absent:
        there = ", ".join(present) or "none: the participants have no session folders"
        what = f"has no session {', '.join(absent)}; there are {there}"
        raise io.DataError(bids_dir, what, "Correct --session-label")
    return wanted


def _has_session(label: str, scans: Sequence[Scan], wanted: tuple[str, ...] | None) -> bool:
    """Say whether a participant has one of the sessions wanted; tell of one that has not."""
    if wanted is None or any(scan.session in wanted or not scan.suffix for scan in scans):
        return True
    _LOG.warning("sub-%s has no session %s and is left out", label, ", ".join(wanted))
    return False


def _clean_and_process(label: str, job: Job, new_steps: NewSteps) -> Outcome:
    """Remove what killed runs of the participant left, then process."""
    _sweep(*(Path(folder) for folder, _, _ in os.walk(job.out_dir / f"sub-{label}")))
    return process(label, job, new_steps)


def process(
    label: str, job: Job, new_steps: NewSteps, attempts: type[Attempts] = Attempts
) -> Outcome:
    """Process one participant, session by session; what fails does not stop the rest."""
    outcome = Outcome(label)
    for session in _sessions(job.scans, job.sessions):
        attempt = attempts(label, job.out_dir / "logs", hide=(job.bids_dir, job.out_dir))
        steps = new_steps()
        if job.settings.reports_only:
            steps.wrap(taking_what_is_there)
        results = _pipelines(job, session, steps, attempt)
        where = {"subject": label, "session": session}
        made = attempt(page.run, where, results, attempt.failures, job.out_dir, job.settings, steps)
        outcome.pages.extend([made] if made else [])
        outcome.failures.extend(attempt.failures)
    return replace(outcome, scope=_scope(job))


def _scope(job: Job) -> str:
    """Say to what of the participant a run is confined, in flags."""
    settings = job.settings
    said = {
        "--anat-only": settings.anat_only,
        "--reports-only": settings.reports_only,
        "--task-id": settings.task_id,
        "--bids-filter-file": settings.bids_filter_file,
        "--session-label": job.sessions,
    }
    values = {
        flag: " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
        for flag, value in said.items()
        if value
    }
    return " ".join(flag if text == "True" else f"{flag} {text}" for flag, text in values.items())


def _sessions(scans: Sequence[Scan], wanted: tuple[str, ...] | None) -> list[str | None]:
    """Return the sessions that hold something to process; one without a name where none does."""
    usable = [scan for scan in scans if scan.suffix in ("T1w", *PIPELINES)]
    found = [each for each in dict.fromkeys(scan.session for scan in usable)
             if wanted is None or each in wanted]  # fmt: skip
    return found or [wanted[0] if wanted else None]


def _pipelines(job: Job, session: str | None, steps: Steps, attempt: Attempts) -> list[Result]:
    """Run anatomy, then every BOLD run and PET image on it, then the measures of all."""
    out_dir, settings = job.out_dir, job.settings
    t1w = attempt(_anatomical_scan, job, session, attempt.label, steps)
    anatomy = attempt(anatomical.run, t1w, out_dir, settings, steps) if t1w else None
    if t1w is None or anatomy is None:
        return []
    results = [Result("morphological", t1w, anatomy)]
    others = _runs([scan for scan in job.scans if scan.session == session], steps)
    if settings.simulate_pet and not any(scan.suffix == "pet" for scan in others):
        simulated = attempt(simulated_pet.run, t1w, anatomy, out_dir, settings, steps)
        others += [simulated] if simulated else []
    for scan in others:
        paths = attempt(_one, scan, anatomy, out_dir, settings, steps)
        if paths is not None:
            results.append(Result(PIPELINES[scan.suffix][0], scan, paths))
    where = {"subject": attempt.label, "session": session}
    attempt(networks.run, where, results, out_dir, settings, steps)
    return results


def _one(
    scan: Scan, anatomy: Mapping[str, Path], out_dir: Path, settings: Settings, steps: Steps
) -> dict[str, Path]:
    """Run the pipeline of one BOLD run or PET image, unless its files are at fault."""
    scan.check()
    _, pipeline = PIPELINES[scan.suffix]
    return pipeline(scan, anatomy, out_dir, settings, steps)


def _anatomical_scan(job: Job, session: str | None, label: str, steps: Steps) -> Scan:
    """Choose the session's first T1w image, or another session's where it has none."""
    scans = job.scans
    if job.problem is not None:
        raise job.problem
    for scan in scans:
        if not scan.suffix:  # a folder that cannot be read
            scan.check()
    images = [scan for scan in scans if scan.suffix == "T1w" and _in_its_folder(scan, steps)]
    found = [scan for scan in images if scan.session == session] or images
    if not found:
        raise io.DataError(
            f"sub-{label}",
            "has no T1w image, and every other image is measured on one",
            "Add anat/*_T1w.nii.gz or leave the participant out with --participant-label",
        )
    chosen, others = found[0], found[1:]
    if chosen.session != session:
        steps.warn(
            f"Session {session} has no T1w image: {chosen.path.name} is used, so change of the "
            "anatomy between the sessions is not followed."
        )
    if others:
        names = ", ".join(scan.path.name for scan in others)
        steps.warn(f"Of several T1w images {chosen.path.name} is used; not used: {names}.")
    chosen.check()
    return chosen


def _in_its_folder(scan: Scan, steps: Steps) -> bool:
    """Say whether an image lies in the folder of its modality; tell of one that does not."""
    if modality_of(scan.suffix, scan.datatype):
        return True
    steps.warn(
        f"{scan.path.name} lies in {scan.datatype}/, where no {scan.suffix} image belongs, and was "
        "left out. Move it, or correct its name."
    )
    return False


def _runs(scans: Sequence[Scan], steps: Steps) -> list[Scan]:
    """Return the BOLD runs and PET images that a pipeline can take; say which it cannot."""
    kept = []
    for scan in scans:
        if scan.suffix not in PIPELINES or not _in_its_folder(scan, steps):
            continue
        if scan.entities.get("part", "mag") != "mag":
            steps.warn(f"{scan.path.name} is not a magnitude image and was left out.")
        elif scan.entities.get("echo", "1").lstrip("0") != "1":
            steps.warn(
                f"{scan.path.name} was left out: echoes of one run are not combined, and only "
                "the first is used. Combine them first for the signal of all."
            )
        else:
            kept.append(scan)
    return kept
