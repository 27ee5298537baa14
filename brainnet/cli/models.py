"""The commands of networks: segment images with one, train one, make one smaller."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from brainnet.cli import values
from brainnet.cli.terminal import speak

if TYPE_CHECKING:
    from brainnet.workflows.segment import Result

#: what there is a network for
TASKS = ("brain",)
_EPILOG = """examples:
  brainnet segment brain head.nii.gz OUT
  brainnet segment brain *.nii.gz OUT --flip
  brainnet segment brain BIDS OUT --suffix T1w --participant-label 01 02

The image may be of any contrast, voxel size and orientation, with or without skull. Of a BIDS
dataset every anatomical image is taken, and OUT is a derivatives dataset: its masks and tissue
maps are used by brainnet BIDS RESULTS participant --derivatives OUT.

exit status: 0 all went well, whether trusted or not; 1 an image failed; 2 nothing could be run.
"""


def segment(argv: Sequence[str]) -> int:
    """Segment images; return the exit status."""
    options = _segment_parser().parse_args(argv)
    speak(options.verbose)
    from brainnet.workflows import segment as workflow

    results = workflow.segment_brain(
        options.images[0] if len(options.images) == 1 else options.images,
        options.out_dir,
        options=workflow.Options(
            model=options.model,
            flips=workflow.MIRRORED if options.flip else workflow.AS_IT_IS,
            max_memory=options.mem,
            soft=options.soft,
            suffixes=options.suffix,
            labels=options.participant_label,
        ),
        progress=len(options.images) > 1 or options.images[0].is_dir(),
    )
    return _report(results, options.out_dir)


def train(argv: Sequence[str]) -> int:
    """Train a network; return the exit status."""
    from brainnet.workflows import train as workflow

    return workflow.command(argv)


def compress(argv: Sequence[str]) -> int:
    """Make a network smaller; return the exit status."""
    from brainnet.workflows import compress as workflow

    return workflow.command(argv)


def _segment_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="brainnet segment",
        description="Segment brains: mask, tissue, structures of both sides with their volumes, "
        "intracranial volume, how far to trust them, and a page of pictures. For research; not a "
        "medical device.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("task", choices=TASKS, metavar="brain", help="what to segment")
    add("images", type=Path, nargs="+", metavar="IMG",
        help="NIfTI images, one folder of them, or one BIDS dataset")  # fmt: skip
    add("out_dir", type=Path, metavar="OUT", help="folder for the results")
    add("--model", type=Path, metavar="FOLDER",
        help="another network than the package's own, from brainnet train or compress")  # fmt: skip
    add(
        "--flip",
        action="store_true",
        help="segment the mirrored image too and average: twice the time, a little better",
    )
    add("--mem", type=values.gigabytes, default=4.0, metavar="GB",
        help="memory the network may take (default 4); where the field of view takes more, it is "
        "gone through in windows")  # fmt: skip
    add(
        "--soft",
        action="store_true",
        help="write the probability of every structure too, at the network's voxel size",
    )
    add("--suffix", nargs="+", metavar="KIND",
        help="of a dataset, only these images: T1w, T2w, FLAIR, ... (default: all that show a "
        "head's anatomy)")  # fmt: skip
    add("--participant-label", nargs="+", metavar="LABEL",
        help="of a dataset, only these, with or without sub-")  # fmt: skip
    add("-v", "--verbose", action="count", default=0, help="say more: each step as it begins")
    return parser


def _report(results: Sequence["Result"], out_dir: Path) -> int:
    """Print each image's page, verdict or failure; return the exit status."""
    for result in results:
        name = result.image.name
        if result.failure:
            print(f"{name}: FAILED: {result.failure}", file=sys.stderr)
            continue
        print(f"{name}: {result.page}")
        if not result.trusted:
            why = "; ".join(result.reasons) or "its quality score is too low"
            print(f"{name}: DO NOT TRUST: {why}", file=sys.stderr)
    done = [result for result in results if not result.failure]
    doubtful = sum(not result.trusted for result in done)
    note = f", {doubtful} of them not to be trusted" if doubtful else ""
    print(f"{len(done)} of {len(results)} images segmented in {out_dir}{note}")
    return 0 if len(done) == len(results) else 1
