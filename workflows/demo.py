"""The demonstration: a simulated dataset through everything, and a simulated cohort staged."""

import sys
from pathlib import Path

from tqdm import tqdm

from brainnet import cohort, io
from brainnet.workflows import group, participant, recovery
from brainnet.workflows.engine import Outcome
from brainnet.workflows.engine.resources import Resources
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.settings import Settings

#: stages of the subjects whose images are simulated
STAGES = ("CN", "CN", "AD", "AD")
#: subjects of the cohort that is simulated as networks
COHORT_SIZE = 200


def run(out_dir: Path | str, *, seed: int = 0, resources: Resources | None = None) -> list[Outcome]:
    """Simulate, process and stage; tell where the pages are.

    Parameters
    ----------
    out_dir : path
        Gets ``bids`` (images and their truth), ``derivatives`` (participants and group),
        ``cohort`` (the larger cohort) and ``recovery.tsv`` (planted against found).
    seed : int
        Same seed, same bytes.
    resources : Resources, optional
        Processes, threads, memory; default all in this process.

    Returns
    -------
    list of Outcome
        One a participant.
    """
    out_dir = Path(out_dir)
    settings = Settings(quality="draft", seed=seed)
    bids_dir = simulate(out_dir / "bids", seed)
    derivatives = out_dir / "derivatives"
    outcomes = participant.run(bids_dir, derivatives, settings=settings, resources=resources)
    say(f"simulated participants: {derivatives}")
    if any(outcome.failures for outcome in outcomes):
        return outcomes
    table = recovery.compare(bids_dir, derivatives, settings.atlas)
    io.save_table(table, out_dir / "recovery.tsv")
    say("planted against found (simulated):\n" + table.to_string(index=False))
    with _bar("group level") as bar:
        page = group.run(
            derivatives, bids_dir / "participants.tsv", settings=settings,
            notify=bar.set_postfix_str,
        )  # fmt: skip
    say(f"group report of the simulated participants: {page}")
    with _bar(f"{COHORT_SIZE} simulated subjects") as bar:
        n_jobs = max(1, resources.n_procs) if resources else 1
        page = stage_cohort(out_dir / "cohort", Steps(bar.set_postfix_str), seed, n_jobs)
    say(f"group report of the simulated cohort: {page}")
    return outcomes


def simulate(bids_dir: Path, seed: int) -> Path:
    """Simulate the BIDS dataset, unless this very one is there and whole."""
    from brainnet.simulate.dataset import simulate_dataset

    with tqdm(total=len(STAGES), desc="simulating scans", unit="subject") as bar:

        def progress(text: str) -> None:
            bar.set_postfix_str(text)
            bar.update()

        return simulate_dataset(bids_dir, stages=STAGES, seed=seed, progress=progress)


def stage_cohort(out_dir: Path, steps: Steps, seed: int, n_jobs: int = 1) -> Path:
    """Simulate a cohort at network level, compare models on it and write its page."""
    from brainnet.simulate.cohort import simulate_cohort

    cohort.save(simulate_cohort(COHORT_SIZE, seed=seed), out_dir / "cohort.nc")
    return group.stage(out_dir, target="stage", seed=seed, steps=steps, n_jobs=n_jobs)


def say(text: str) -> None:
    """Print a line that a progress bar does not swallow."""
    tqdm.write(text, file=sys.stdout)


def _bar(description: str) -> tqdm:
    return tqdm(desc=description, bar_format="{desc}: {elapsed}{postfix}")
