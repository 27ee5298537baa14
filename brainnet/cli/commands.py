"""What each command does: a line or two to a workflow, and what is said when it is done."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from brainnet.cli import models, values
from brainnet.cli.options import PARTICIPANT
from brainnet.cli.parser import parse
from brainnet.cli.terminal import speak

if TYPE_CHECKING:
    from brainnet.workflows.engine import Outcome
    from brainnet.workflows.engine.resources import Resources
    from brainnet.workflows.plan import ParticipantPlan
    from brainnet.workflows.settings import Settings

#: participants whose pages, failures or plans are each given lines of their own
_FEW = 20


def app(argv: Sequence[str]) -> int:
    """Run the BIDS-App; return the exit status."""
    options = parse(argv)
    speak(options.verbose)
    if options.level != PARTICIPANT:
        return _group(options)
    options.participant_label = _labels(options.participant_label)
    _check_work_dir(options)
    return _dry_run(options) if options.dry_run else _participants(options)


def _labels(given: Sequence[str] | None) -> list[str] | None:
    """Return labels with those of each ``@FILE`` in its place, one a line or word."""
    if given is None:
        return None
    from brainnet.io import load_text

    read = [load_text(each[1:]).split() if each.startswith("@") else [each] for each in given]
    return [label for labels in read for label in labels]


def _check_work_dir(options: argparse.Namespace) -> None:
    """Refuse to mix temporary files with what lasts; empty the folder where asked to."""
    from brainnet.io import DataError
    from brainnet.workflows.engine import scratch

    if options.work_dir is None:
        if options.clean_workdir:
            raise ValueError("--clean-workdir needs --work-dir: name the folder to clean.")
        return
    work, bids, out = (path.resolve() for path in
                       (options.work_dir, options.bids_dir, options.out_dir))  # fmt: skip
    for place, name in ((bids, "the dataset"), (out, "the folder of results")):
        if place in (work, *work.parents):
            what = f"lies in {name}, where temporary files have no place"
            raise DataError(options.work_dir, what, "Give another folder to --work-dir")
    if options.clean_workdir and not options.dry_run:
        removed = scratch.clean(options.work_dir)
        print(f"--clean-workdir: {len(removed)} folders of killed runs removed", file=sys.stderr)


def _participants(options: argparse.Namespace) -> int:
    from brainnet.workflows import participant

    outcomes = participant.run(
        options.bids_dir,
        options.out_dir,
        participant_label=options.participant_label,
        session_label=options.session_label,
        settings=_settings(options),
        resources=_resources(options),
        asked=options.asked,
    )
    return report(outcomes, options.out_dir)


def _dry_run(options: argparse.Namespace) -> int:
    """Say what would run; return 1 if a participant is known to fail."""
    from brainnet.workflows import plan

    resources = _at_the_jobs(_resources(options))
    plans = plan.make_plan(
        options.bids_dir,
        options.out_dir,
        participant_label=options.participant_label,
        session_label=options.session_label,
        settings=_settings(options),
    )
    whole = len(plans) <= _FEW or options.verbose
    for each in plans:
        print("\n".join(plan.describe(each)) if whole else plan.summary(each))
    print("\n".join(_sums(plans, resources, options.out_dir)))
    return 1 if any(each.failures for each in plans) else 0


def _at_the_jobs(resources: "Resources") -> "Resources":
    """Return the resources with as many participants at a time as the cluster has jobs."""
    from brainnet.workflows.engine.slurm import load_config

    if not resources.cluster or resources.cluster_config is None:
        return resources
    return replace(resources, n_procs=load_config(resources.cluster_config).jobs)


def _sums(plans: Sequence["ParticipantPlan"], resources: "Resources", out_dir: Path) -> list[str]:
    """Return what all participants would take together, in words."""
    from brainnet.workflows import plan

    work = [each for each in plans if each.to_run]
    steps = sum(len(each.to_run) for each in work)
    lines = [f"dry run: nothing was written. {len(work)} of {len(plans)} participants have "
             f"something to do, {steps} steps in all"]  # fmt: skip
    if work:
        total = plan.totals(plans, resources)
        at = "where the cluster's jobs are" if resources.cluster or resources.scheduler else "here"
        lines.append(f"estimate, {total.workers} at a time {at}: about "
                     f"{plan.amount(total.minutes, total.memory, total.disk)}")  # fmt: skip
        free = plan.free_disk(out_dir)
        if total.disk > free:
            lines.append(f"WARNING: {free / 1000:.1f} GB are free in {out_dir}")
    return lines


def _settings(options: argparse.Namespace) -> "Settings":
    """Return what the options say of a run; an atlas may be a name or a labels image."""
    from brainnet.workflows.settings import Settings

    return replace(
        _shared_settings(options, Settings()),
        skull_strip=options.skull_strip,
        segmentation=options.segmentation,
        quality="draft" if options.sloppy else "standard",
        registration=options.registration,
        reference_region=options.reference_region,
        simulate_pet=options.simulate_pet,
        output_spaces=tuple(options.output_spaces),
        measures=tuple(options.measures),
        measured=options.measured,
        derivatives=tuple(options.derivatives),
        task_id=options.task_id,
        bids_filter_file=options.bids_filter_file,
        anat_only=options.anat_only,
        reports_only=options.reports_only,
        validate=not options.skip_bids_validation,
    )


def _shared_settings(options: argparse.Namespace, settings: "Settings") -> "Settings":
    """Return the settings with what both levels are told."""
    path = Path(options.atlas)
    own = path.name.endswith((".nii", ".nii.gz"))
    return replace(
        settings,
        atlas=options.atlas,
        atlas_path=path if own else None,
        atlas_table=options.atlas_table,
        atlas_space=options.atlas_space,
        connectome=tuple(options.connectome),
        seed=options.random_seed,
    )


def _resources(options: argparse.Namespace) -> "Resources":
    """Return what the options say of processes, threads and memory."""
    from brainnet.workflows.engine.resources import Resources, default_memory, default_procs

    elsewhere = options.scheduler or options.cluster
    threads = options.omp_nthreads
    if options.nprocs is not None and (options.scheduler or options.cluster):
        raise ValueError("--nprocs is about this machine; with --scheduler or --cluster the "
                         "workers are elsewhere. Leave it out.")  # fmt: skip
    if options.nprocs and threads > options.nprocs:
        raise ValueError(f"--omp-nthreads must not be above --nprocs, the processors to use in "
                         f"all; got {threads} and {options.nprocs}.")  # fmt: skip
    procs = default_procs(threads) if options.nprocs is None else options.nprocs // threads
    return Resources(
        n_procs=procs,
        n_threads=threads,
        memory=options.mem or (None if elsewhere else default_memory()),
        step_minutes=options.step_timeout,
        scheduler=options.scheduler,
        cluster=options.cluster,
        cluster_config=options.cluster_config,
        dashboard=options.dashboard,
        work_dir=options.work_dir and options.work_dir.absolute(),
        stop_on_first_crash=options.stop_on_first_crash,
    )


def report(outcomes: Sequence["Outcome"], out_dir: Path) -> int:
    """Print each participant's pages or failures, and where more is said; return exit status."""
    failed = [outcome for outcome in outcomes if outcome.failures and outcome.started]
    idle = [outcome for outcome in outcomes if not outcome.started]
    pages = [(each.label, page) for each in outcomes for page in each.pages]
    if len(outcomes) <= _FEW:
        for label, page in pages:
            print(f"sub-{label}: {page}")
    else:
        print(f"{len(pages)} pages: {out_dir / 'sub-*.html'}")
    for outcome in failed[:_FEW]:
        for failure in outcome.failures:
            print(f"sub-{outcome.label}: FAILED: {failure}", file=sys.stderr)
        print(f"sub-{outcome.label}: log: {_log_of(outcome.label, out_dir)}", file=sys.stderr)
    if len(failed) > _FEW:
        print(f"and {len(failed) - _FEW} more failed, see {out_dir / 'logs' / 'sub-*.failed'}",
              file=sys.stderr)  # fmt: skip
    if idle:
        print(f"{len(idle)} were not processed, the first of them: {idle[0].failures[0]}",
              file=sys.stderr)  # fmt: skip
    n_done = len(outcomes) - len(failed) - len(idle)
    print(f"{n_done} of {len(outcomes)} participants finished in {out_dir}")
    print(f"record of this run: {_newest(out_dir / 'logs')}")
    return 1 if failed or idle else 0


def _log_of(label: str, out_dir: Path) -> Path:
    """Return the log of a participant, or the note of its failure where it has none."""
    log = out_dir / "logs" / f"sub-{label}.log"
    return log if log.exists() else log.with_suffix(".failed")


def _newest(log_dir: Path) -> Path:
    """Return the manifest of the run that this process has just made."""
    found = sorted(log_dir.glob(f"run-*-{os.getpid()}-*.jsonl"))
    return found[-1] if found else log_dir


def _group(options: argparse.Namespace) -> int:
    from brainnet.workflows import group
    from brainnet.workflows.engine.resources import default_procs
    from brainnet.workflows.settings import Settings

    sessions = options.session_label or [None]
    if len(sessions) > 1:
        raise ValueError(f"--session-label must be one session at the group level; got "
                         f"{' '.join(sessions)}.")  # fmt: skip
    page = group.run(
        options.out_dir,
        options.participants or options.bids_dir / "participants.tsv",
        target=options.target,
        session=sessions[0],
        settings=_shared_settings(options, Settings()),
        design=group.Design(
            estimators=tuple(options.estimators),
            n_splits=options.n_splits,
            n_repeats=options.n_repeats,
            folds="site" if options.leave_site_out else "stage",
            harmonise="combat" if options.harmonise else "none",
            search="inner" if options.search else "none",
            permutations=options.permutations,
            scheme=options.scheme,
        ),
        n_jobs=max(1, default_procs() if options.nprocs is None else options.nprocs),
        notify=lambda step: print(f"group level: {step}", file=sys.stderr),
    )
    print(f"group: {page}")
    model = group.model_of(page)
    if model is not None:
        print(f"model for brainnet stage: {model}")
    return 0


def _demo(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="brainnet demo",
        description="Simulate a small BIDS dataset and a cohort, and run everything on them.",
    )
    parser.add_argument("out_dir", type=Path, metavar="OUT")
    parser.add_argument("--random-seed", type=values.seed, default=0)
    parser.add_argument("--nprocs", type=values.count,
                        help="participants at a time (default: processors)")  # fmt: skip
    options = parser.parse_args(argv)
    from brainnet.workflows import demo
    from brainnet.workflows.engine.resources import Resources, default_procs

    resources = Resources(n_procs=default_procs() if options.nprocs is None else options.nprocs)
    outcomes = demo.run(options.out_dir, seed=options.random_seed, resources=resources)
    return report(outcomes, options.out_dir / "derivatives")


def _atlas(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="brainnet atlas", description="What atlases there are.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="all atlases, a line each")
    show = commands.add_parser("show", help="one atlas and its regions")
    show.add_argument("name")
    options = parser.parse_args(argv)
    from brainnet import atlas

    if options.command == "list":
        print(atlas.format_list())
    else:
        print(atlas.format_one(options.name))
    return 0


def _dicom(argv: Sequence[str]) -> int:
    from brainnet.workflows import dicom

    return dicom.main(argv)


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = MappingProxyType(
    {
        "demo": _demo,
        "atlas": _atlas,
        "bids-from-dicom": _dicom,
        "segment": models.segment,
        "stage": models.stage,
        "train": models.train,
        "compress": models.compress,
    }
)
