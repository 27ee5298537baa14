"""The participant level: every scan of every participant to networks, measures and a page."""

from collections.abc import Sequence
from pathlib import Path

from brainnet import bids, io
from brainnet.bids import Scan
from brainnet.workflows import anatomical, functional, networks, page, pet, simulated_pet
from brainnet.workflows.engine import Attempts, NewSteps, Outcome, run_all
from brainnet.workflows.networks import Result
from brainnet.workflows.own_atlas import resolve
from brainnet.workflows.resources import Resources
from brainnet.workflows.settings import Settings
from brainnet.workflows.steps import Steps

#: suffix of a scan to its modality and pipeline
PIPELINES = {"bold": ("functional", functional.run), "pet": ("metabolic", pet.run)}


def run(
    bids_dir: Path | str,
    out_dir: Path | str,
    *,
    participant_label: Sequence[str] | None = None,
    session_label: str | None = None,
    settings: Settings | None = None,
    resources: Resources | None = None,
) -> list[Outcome]:
    """Process participants of a BIDS dataset into a derivatives dataset.

    Parameters
    ----------
    bids_dir, out_dir : path
        The raw dataset, which is only read, and the derivatives dataset.
    participant_label : sequence of str, optional
        With or without ``sub-``; default all.
    session_label : str, optional
        Only this session, with or without ``ses-``.
    settings : Settings, optional
        Atlas, quality, seed and the like.
    resources : Resources, optional
        Processes, threads, memory, cluster; default all in this process.

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
    bids_dir, out_dir = Path(bids_dir), Path(out_dir)
    labels = bids.participants(bids_dir, labels=participant_label)
    scans = bids.index(bids_dir, subjects=labels)
    session = _known_session(session_label, scans, bids_dir)
    if out_dir.exists() and not out_dir.is_dir():
        raise io.DataError(out_dir, "is a file", "Give a folder for the results")
    settings = resolve(settings or Settings(), out_dir)
    bids.write_dataset_description(out_dir, bids_dir)
    jobs = {
        label: (bids.select(scans, subject=label), session, bids_dir, out_dir, settings)
        for label in labels
    }
    return run_all(process, jobs, out_dir / "logs", resources=resources)


def _known_session(label: str | None, scans: Sequence[Scan], bids_dir: Path) -> str | None:
    """Return the session's label without its prefix, or name the sessions that there are."""
    wanted = label.removeprefix("ses-") if label else None
    present = sorted({scan.session for scan in scans if scan.session})
    if wanted and wanted not in present:
        there = ", ".join(present) or "none: the participants have no session folders"
        raise io.DataError(
            bids_dir, f"has no session {wanted}; there are {there}", "Correct --session-label"
        )
    return wanted


def process(
    label: str,
    scans: Sequence[Scan],
    session: str | None,
    bids_dir: Path,
    out_dir: Path,
    settings: Settings,
    new_steps: NewSteps,
) -> Outcome:
    """Process one participant, session by session; what fails does not stop the rest."""
    outcome = Outcome(label)
    for each in _sessions(scans, session):
        attempt = Attempts(label, out_dir / "logs", hide=(bids_dir, out_dir))
        steps = new_steps()
        results = _pipelines(scans, each, out_dir, settings, steps, attempt)
        where = {"subject": label, "session": each}
        made = attempt(page.run, where, results, attempt.failures, out_dir, settings, steps)
        outcome.pages.extend([made] if made else [])
        outcome.failures.extend(attempt.failures)
    return outcome


def _sessions(scans: Sequence[Scan], wanted: str | None) -> list[str | None]:
    """Return the sessions that hold something to process; one without a name where none does."""
    usable = [scan for scan in scans if scan.suffix in ("T1w", *PIPELINES)]
    found = list(dict.fromkeys(scan.session for scan in usable)) or [None]
    return [session for session in found if wanted in (None, session)] or [wanted]


def _pipelines(
    scans: Sequence[Scan],
    session: str | None,
    out_dir: Path,
    settings: Settings,
    steps: Steps,
    attempt: Attempts,
) -> list[Result]:
    """Run anatomy, then every BOLD run and PET image on it, then the measures of all."""
    t1w = attempt(_anatomical_scan, scans, session, attempt.label, steps)
    anatomy = attempt(anatomical.run, t1w, out_dir, settings, steps) if t1w else None
    if t1w is None or anatomy is None:
        return []
    results = [Result("morphological", t1w, anatomy)]
    others = _runs([scan for scan in scans if scan.session == session], steps)
    if settings.simulate_pet and not any(scan.suffix == "pet" for scan in others):
        simulated = attempt(simulated_pet.run, t1w, anatomy, out_dir, settings, steps)
        others += [simulated] if simulated else []
    for scan in others:
        modality, pipeline = PIPELINES[scan.suffix]
        paths = attempt(pipeline, scan, anatomy, out_dir, settings, steps)
        if paths is not None:
            results.append(Result(modality, scan, paths))
    where = {"subject": attempt.label, "session": session}
    attempt(networks.run, where, results, out_dir, settings, steps)
    return results


def _anatomical_scan(scans: Sequence[Scan], session: str | None, label: str, steps: Steps) -> Scan:
    """Choose the session's first T1w image, or another session's where it has none."""
    images = [scan for scan in scans if scan.suffix == "T1w"]
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
    return chosen


def _runs(scans: Sequence[Scan], steps: Steps) -> list[Scan]:
    """Return the BOLD runs and PET images that a pipeline can take; say which it cannot."""
    kept = []
    for scan in scans:
        if scan.suffix not in PIPELINES:
            continue
        if scan.entities.get("part", "mag") != "mag":
            steps.warn(f"{scan.path.name} is not a magnitude image and was left out.")
        elif scan.entities.get("echo", "1") != "1":
            steps.warn(
                f"{scan.path.name} was left out: echoes of one run are not combined, and only "
                "the first is used. Combine them first for the signal of all."
            )
        else:
            kept.append(scan)
    return kept
