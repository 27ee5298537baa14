"""The command line: a BIDS-App, DICOM in, a demonstration, and what atlases there are."""

import sys
import traceback
from collections.abc import Sequence

__all__ = ["main"]

#: exit status where nothing could be run
UNUSABLE = 2
#: exit status of a run that was stopped from outside, as shells know it
INTERRUPTED = 130
#: commands that do not go on where they were interrupted
AFRESH = frozenset({"compress"})
#: what also shows where in the program an error arose
VERBOSE = frozenset({"-v", "-vv", "--verbose"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; default those of the process.

    Returns
    -------
    int
        0 if all went well; 1 if a participant failed; 2 if nothing could be run; 130 if it was
        interrupted.
    """
    from brainnet.cli.commands import COMMANDS, app

    arguments = list(sys.argv[1:] if argv is None else argv)
    command = COMMANDS.get(arguments[0]) if arguments else None
    try:
        return command(arguments[1:]) if command else app(arguments)
    except ValueError as error:  # a DataError, which names the file, is one
        if VERBOSE & set(arguments):
            traceback.print_exc()
        print(f"brainnet: error: {error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        goes_on = not AFRESH & set(arguments[:1])
        again = "goes on where it stopped" if goes_on else "begins anew"
        again = f"Run the same command again: it {again}."
        print(f"\nbrainnet: interrupted. {again}", file=sys.stderr)
        return INTERRUPTED
