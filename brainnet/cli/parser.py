"""A command line of the BIDS-App, with its configuration file, to the options of a run."""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brainnet import __version__
from brainnet.cli.options import BOTH, GROUP, ORDER, PARTICIPANT, USAGE, Options, Parser

EPILOG = """other commands:
  brainnet demo OUT            simulate a small dataset, run everything on it, stage a cohort
  brainnet bids-from-dicom DICOM BIDS --map FILE
                               a BIDS dataset from a folder of DICOM series
  brainnet segment brain IMG OUT
                               brain mask, tissue, structures and volumes of any head image
  brainnet stage MODEL DERIVATIVES [OUT]
                               stages of new participants by a model that the group level saved
  brainnet train brain CONFIG OUT
                               train that network on label maps
  brainnet compress MODEL OUT  make a network smaller, and measure what that costs
  brainnet atlas list          atlases: regions, space, licence, source, whether here
  brainnet atlas show NAME     one atlas and its regions

examples:
  brainnet BIDS OUT participant --dry-run
  brainnet BIDS OUT participant --participant-label 01 02 --nprocs 4 --mem 16
  brainnet BIDS OUT participant --config-file OUT/logs/config.toml
  brainnet BIDS OUT group --target stage

A run that was killed, in whatever way, goes on where it stopped when the same command is given
again: results in OUT are taken up as they are, and computed again only where something they
depend on has changed. Several runs may write to one OUT at a time, such as one participant per
job of a cluster.

exit status: 0 all went well; 1 a participant failed; 2 nothing could be run; 130 interrupted.
"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help of 100 columns that names what a flag takes once, not after each spelling."""

    def __init__(self, prog: str) -> None:
        width = min(100, shutil.get_terminal_size((100, 24)).columns - 2)
        super().__init__(prog, max_help_position=30, width=width)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        takes = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {takes}"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return every option of a command line, of its configuration file, or by default.

    Returns
    -------
    argparse.Namespace
        ``bids_dir``, ``out_dir``, ``level``, every option by its ``dest``, and ``asked``: what
        the run is told by the names of the flags, for its record.

    Raises
    ------
    SystemExit
        After ``--help`` or ``--version``, or with status 2 for what cannot be understood.
    brainnet.io.DataError
        If the configuration file cannot be.
    """
    options = Options()
    parser = _whole(options)
    given, unknown = parser.parse_known_args(options.dashed(argv))
    if unknown:
        parser.error(_misunderstood(unknown[0], options))
    places = {name: vars(given).pop(name) for name in ("bids_dir", "out_dir", "level")}
    _check_level(parser, options, set(vars(given)), places["level"])
    filed = _filed(options, vars(given).get("config_file"))
    usable = {BOTH, places["level"]}
    kept = {dest: value for dest, value in filed.items() if options.levels[dest] in usable}
    resolved = options.defaults | kept | vars(given)
    told = {options.names[dest]: _plain(value) for dest, value in resolved.items()
            if options.levels[dest] in usable}  # fmt: skip
    return argparse.Namespace(**places, **resolved, asked=told)


def _whole(options: Options) -> Parser:
    """Return the parser of a whole command line."""
    parser = Parser(
        prog="brainnet",
        usage=USAGE,
        description="Multimodal brain networks from a BIDS dataset, their measures and stages.",
        epilog=EPILOG,
        formatter_class=_Help,
        allow_abbrev=False,
        parents=[options.parser],
    )
    parser.add_argument("bids_dir", type=Path, metavar="BIDS", help="the raw dataset; only read")
    parser.add_argument("out_dir", type=Path, metavar="OUT", help="the derivatives dataset")
    parser.add_argument("level", choices=[PARTICIPANT, GROUP], metavar="{participant,group}",
                        help="level of analysis")  # fmt: skip
    parser.add_argument("--version", action="version", version=f"brainnet {__version__}")
    return parser


def _misunderstood(argument: str, options: Options) -> str:
    """Say what is wrong with an argument that is not understood."""
    if argument.startswith("-"):
        return f"unknown flag {argument}{options.closest(argument)}"
    return f"unexpected {argument!r}. {ORDER}"


def _check_level(parser: Parser, options: Options, given: set[str], level: str) -> None:
    """Refuse flags that make no sense at a level."""
    wrong = sorted(options.names[dest] for dest in given
                   if options.levels[dest] not in (BOTH, level))  # fmt: skip
    if wrong:
        flags = ", ".join(f"--{name}" for name in wrong)
        other = PARTICIPANT if level == GROUP else GROUP
        parser.error(f"{flags}: of the {other} level only, and this is the {level} level")


def _filed(options: Options, path: Path | None) -> dict[str, Any]:
    """Return the options of a configuration file by their ``dest``, checked as if typed."""
    if path is None:
        return {}
    from brainnet.workflows import config

    known = set(options.names.values()) - {"config-file", "verbose"}
    content = config.load(path, known)
    options.parser.source = f"{path}: "
    return vars(options.parser.parse_args(config.arguments(content)))


def _plain(value: Any) -> Any:
    """Return an option as JSON and TOML hold it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
