"""The toy pipeline at half a second a step, on any workers.

``python -m tests.reliability.slurm.work OUT --cluster-config FILE`` runs six participants of six
chained steps as jobs of SLURM; ``--scheduler`` at a Dask scheduler; ``--nprocs`` on this machine.
"""

import argparse
import sys
from pathlib import Path

from brainnet import io
from brainnet.workflows.engine import Attempts, NewSteps, Outcome, run_all
from brainnet.workflows.engine.resources import Resources
from brainnet.workflows.engine.steps import Steps
from tests.reliability import toy

LABELS = ("01", "02", "03", "04", "05", "06")


def process(label: str, out_dir: Path, pause: float, new_steps: NewSteps) -> Outcome:
    """Run every step of a participant, each on what those before it wrote."""
    attempt = Attempts(label, out_dir / "logs", hide=(out_dir,))
    page = attempt(_steps, label, out_dir, pause, new_steps())
    return Outcome(label, attempt.failures, [page] if page else [])


def _steps(label: str, out_dir: Path, pause: float, steps: Steps) -> Path:
    inputs: dict[str, Path] = {}
    for name in toy.STEPS:
        result = steps.run(
            name, toy.stir, inputs=inputs, outputs=toy.outputs_of(out_dir, label, name),
            parameters={"pause": pause}, seed=int(label) if name == "draw" else None,
        )  # fmt: skip
        inputs = {**inputs, **result.outputs}
    return next(iter(result.outputs.values()))


def main(argv: list[str]) -> int:
    """Run the participants; return the exit status of the real command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--participant-label", nargs="+", default=list(LABELS))
    parser.add_argument("--nprocs", type=int, default=0)
    parser.add_argument("--scheduler")
    parser.add_argument("--cluster-config", type=Path)
    parser.add_argument("--pause", type=float, default=0.5)
    options = parser.parse_args(argv)
    resources = Resources(
        n_procs=options.nprocs, scheduler=options.scheduler,
        cluster="slurm" if options.cluster_config else None,
        cluster_config=options.cluster_config,
    )  # fmt: skip
    out_dir = options.out_dir.absolute()
    try:
        description = {"Name": "toy", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
        io.save_json(description, out_dir / "dataset_description.json")
        jobs = {label: (out_dir, options.pause) for label in options.participant_label}
        outcomes = run_all(process, jobs, out_dir / "logs", resources=resources)
    except (io.DataError, ValueError) as error:
        print(f"toy: error: {error}", file=sys.stderr)
        return 2
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    print(*failures, sep="\n", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    from tests.reliability.slurm import work  # by its name, so that workers can import it

    sys.exit(work.main(sys.argv[1:]))
