"""The command line: a BIDS-App, a demonstration, and what atlases there are."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from brainnet import __version__

if TYPE_CHECKING:
    from brainnet.workflows.engine import Outcome
    from brainnet.workflows.settings import Settings

EPILOG = """other commands:
  brainnet demo OUT            simulate a small dataset, run everything on it, stage a cohort
  brainnet atlas list          atlases: regions, space, licence, source, whether here
  brainnet atlas show NAME     one atlas and its regions

examples:
  brainnet BIDS OUT participant --participant-label 01 02
  brainnet BIDS OUT group --target stage
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; default those of the process.

    Returns
    -------
    int
        0 if all went well; 1 if a participant failed; 2 if nothing could be run.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    commands = {"demo": _demo, "atlas": _atlas}
    command = commands.get(arguments[0]) if arguments else None
    from brainnet.io import DataError

    try:
        return command(arguments[1:]) if command else _app(arguments)
    except (DataError, ValueError) as error:
        print(f"brainnet: error: {error}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """Says in which order things go when they are not."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        super().error(f"{message}\nThe order is: brainnet BIDS OUT participant [options]")


def _app(argv: Sequence[str]) -> int:
    """Run the BIDS-App."""
    options = _app_parser().parse_args(argv)
    return _participants(options) if options.level == "participant" else _group(options)


def _app_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="brainnet",
        usage="brainnet BIDS OUT {participant,group} [options]",
        description="Multimodal brain networks from a BIDS dataset, their measures and stages.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bids_dir", type=Path, metavar="BIDS", help="the raw dataset; only read")
    parser.add_argument("out_dir", type=Path, metavar="OUT", help="the derivatives dataset")
    parser.add_argument("level", choices=["participant", "group"], help="level of analysis")
    parser.add_argument("--version", action="version", version=f"brainnet {__version__}")
    _add_shared(parser)
    _add_participant(parser.add_argument_group("participant level"))
    _add_group(parser.add_argument_group("group level"))
    return parser


def _add_shared(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--atlas", default="DesikanKilliany", help="a name (brainnet atlas list) or a labels image")
    add("--atlas-table", type=Path, help="table of a labels image: columns index, name")
    add("--atlas-space", help="its space, such as MNI152NLin2009cAsym, if the name does not say")
    add("--session-label", help="only this session, with or without ses-")
    add("--random-seed", type=int, default=0, help="seed of every random step (default 0)")


def _add_participant(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--participant-label", nargs="+", metavar="LABEL", help="with or without sub-")
    add("--skull-strip", choices=["auto", "force", "skip"], default="auto",
        help="auto leaves alone a T1w that is already stripped")  # fmt: skip
    add("--sloppy", action="store_true", help="register on the 2 mm template, for a quick look")
    add("--registration", choices=["fast", "ants"], default="fast",
        help="brainnet's own registration, or ANTs': slower (default fast)")  # fmt: skip
    add("--reference-region", default="cerebellar_grey",
        choices=["cerebellar_grey", "whole_cerebellum", "brainstem"],
        help="reference of PET uptake ratios")  # fmt: skip
    add("--simulate-pet", action="store_true",
        help="simulate a PET image where a participant has none; pages say so")  # fmt: skip
    add("--nprocs", type=int, help="participants at a time (default: processors)")


def _add_group(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--target", default="stage", help="column of participants.tsv to predict (default stage)")
    add("--participants", type=Path, help="table to use in place of BIDS/participants.tsv")
    add("--n-splits", type=int, default=5, help="folds of the cross-validation (default 5)")


def _participants(options: argparse.Namespace) -> int:
    from brainnet.workflows import engine, participant

    outcomes = participant.run(
        options.bids_dir,
        options.out_dir,
        participant_label=options.participant_label,
        session_label=options.session_label,
        settings=_settings(options),
        n_procs=engine.default_procs() if options.nprocs is None else options.nprocs,
    )
    return report(outcomes, options.out_dir)


def _settings(options: argparse.Namespace) -> "Settings":
    """Return what the options say of a run; an atlas may be a name or a labels image."""
    from brainnet.workflows.settings import Settings

    path = Path(options.atlas)
    own = path.name.endswith((".nii", ".nii.gz"))
    return Settings(
        atlas=options.atlas,
        atlas_path=path if own else None,
        atlas_table=options.atlas_table,
        atlas_space=options.atlas_space,
        skull_strip=options.skull_strip,
        quality="draft" if options.sloppy else "standard",
        registration=options.registration,
        reference_region=options.reference_region,
        simulate_pet=options.simulate_pet,
        seed=options.random_seed,
    )


def report(outcomes: Sequence["Outcome"], out_dir: Path) -> int:
    """Print each participant's page or failure; return the exit status."""
    failed = [outcome for outcome in outcomes if outcome.failures]
    for outcome in outcomes:
        for page in outcome.pages:
            print(f"sub-{outcome.label}: {page}")
        for failure in outcome.failures:
            print(f"sub-{outcome.label}: FAILED: {failure}", file=sys.stderr)
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} participants finished in {out_dir}")
    return 1 if failed else 0


def _group(options: argparse.Namespace) -> int:
    from brainnet.workflows import group

    page = group.run(
        options.out_dir,
        options.participants or options.bids_dir / "participants.tsv",
        target=options.target,
        session=options.session_label,
        settings=_settings(options),
        n_splits=options.n_splits,
        notify=lambda step: print(f"group level: {step}", file=sys.stderr),
    )
    print(f"group: {page}")
    return 0


def _demo(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="brainnet demo",
        description="Simulate a small BIDS dataset and a cohort, and run everything on them.",
    )
    parser.add_argument("out_dir", type=Path, metavar="OUT")
    parser.add_argument("--random-seed", type=int, default=0)
    parser.add_argument("--nprocs", type=int, help="participants at a time (default: processors)")
    options = parser.parse_args(argv)
    from brainnet.workflows import demo, engine

    n_procs = engine.default_procs() if options.nprocs is None else options.nprocs
    outcomes = demo.run(options.out_dir, seed=options.random_seed, n_procs=n_procs)
    return report(outcomes, options.out_dir)


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


if __name__ == "__main__":
    sys.exit(main())
