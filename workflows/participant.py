"""The participant level: every scan of every participant to networks, measures and a page."""

from collections.abc import Sequence
from pathlib import Path

from brainnet import atlas as atlases
from brainnet import bids
from brainnet.bids import Scan
from brainnet.workflows import anatomical, functional, networks, page, pet, simulated_pet
from brainnet.workflows.engine import Attempts, Notify, Outcome, run_all
from brainnet.workflows.networks import Result
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
    n_procs: int = 0,
) -> list[Outcome]:
    """Process participants of a BIDS dataset into a derivatives dataset.

    Parameters
    ----------
    bids_dir, out_dir : path
        The raw dataset, which is only read, and the derivatives dataset.
    participant_label : sequence of str, optional
        With or without ``sub-``; default all.
    session_label : str, optional
        Only this session.
    settings : Settings, optional
        Atlas, quality, seed and the like.
    n_procs : int
        Worker processes; 0 runs in this process.

    Returns
    -------
    list of Outcome
        One a participant: failures (empty if all went well) and the pages written.

    Raises
    ------
    brainnet.io.DataError
        If the dataset, a participant or the atlas is not usable. Nothing has run then.
    """
    bids_dir, out_dir = Path(bids_dir), Path(out_dir)
    settings = settings or Settings()
    labels = bids.participants(bids_dir, labels=participant_label)
    scans = bids.select(bids.index(bids_dir, subjects=labels), session=session_label)
    atlases.load(settings.atlas_path or settings.atlas, table=settings.atlas_table)
    bids.write_dataset_description(out_dir, bids_dir)
    jobs = {label: (bids.select(scans, subject=label), out_dir, settings) for label in labels}
    return run_all(process, jobs, out_dir / "logs", n_procs=n_procs)


def process(
    label: str,
    scans: Sequence[Scan],
    out_dir: Path,
    settings: Settings,
    notify: Notify,
) -> Outcome:
    """Process one participant, session by session; what fails does not stop the rest."""
    outcome = Outcome(label)
    attempt = Attempts(label, out_dir / "logs")
    for session in dict.fromkeys(scan.session for scan in scans):
        steps = Steps(notify)
        mine = [scan for scan in scans if scan.session == session]
        t1w = _anatomical_scan(mine, scans, attempt)
        if t1w is None:
            continue
        results = _pipelines(t1w, mine, out_dir, settings, steps, attempt)
        made = attempt(page.run, label, results, attempt.failures, out_dir, settings, steps)
        if made is not None:
            outcome.pages.append(made)
    outcome.failures.extend(attempt.failures)
    return outcome


def _pipelines(
    t1w: Scan,
    scans: Sequence[Scan],
    out_dir: Path,
    settings: Settings,
    steps: Steps,
    attempt: Attempts,
) -> list[Result]:
    """Run anatomy, then every BOLD run and PET image on it, then the measures of all."""
    anatomy = attempt(anatomical.run, t1w, out_dir, settings, steps)
    if anatomy is None:
        return []
    results = [Result("morphological", t1w, anatomy)]
    others = [scan for scan in scans if scan.suffix in PIPELINES]
    if settings.simulate_pet and not any(scan.suffix == "pet" for scan in others):
        simulated = attempt(simulated_pet.run, t1w, anatomy, out_dir, settings, steps)
        others += [simulated] if simulated else []
    for scan in others:
        modality, pipeline = PIPELINES[scan.suffix]
        paths = attempt(pipeline, scan, anatomy, out_dir, settings, steps)
        if paths is not None:
            results.append(Result(modality, scan, paths))
    attempt(networks.run, results, out_dir, settings, steps)
    return results


def _anatomical_scan(
    mine: Sequence[Scan], everyone: Sequence[Scan], attempt: Attempts
) -> Scan | None:
    """Choose the session's first T1w image, or another session's where it has none."""
    for scans in (mine, everyone):
        found = [scan for scan in scans if scan.suffix == "T1w"]
        if found:
            return found[0]
    attempt.failures.append(
        f"sub-{attempt.label}: has no T1w image, and everything is measured on one. "
        "Add anat/*_T1w.nii.gz or leave the participant out with --participant-label."
    )
    return None
