"""The commands of networks: segment images, stage people, train a network, make one smaller."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from brainnet.cli import values
from brainnet.cli.terminal import speak

if TYPE_CHECKING:
    from brainnet.workflows import stage as staging
    from brainnet.workflows.segment import Result
    from brainnet.workflows.segment_haemorrhage import CTResult

#: what there is a network for
TASKS = ("brain", "haemorrhage")
#: participants without a stage that are each given a line
_FEW = 20
_EPILOG = """examples:
  brainnet segment brain head.nii.gz OUT
  brainnet segment brain *.nii.gz OUT --flip
  brainnet segment brain BIDS OUT --suffix T1w --participant-label 01 02
  brainnet segment haemorrhage --help     head CT: another task, with options of its own

The image may be of any contrast, voxel size and orientation, with or without skull. Of a BIDS
dataset every anatomical image is taken, and OUT is a derivatives dataset: its masks and tissue
maps are used by brainnet BIDS RESULTS participant --derivatives OUT.

exit status: 0 all went well, whether trusted or not; 1 an image failed; 2 nothing could be run.
"""


_CT_EPILOG = """examples:
  brainnet segment haemorrhage ct.nii.gz OUT
  brainnet segment haemorrhage DICOM_FOLDER OUT
  brainnet segment haemorrhage BIDS OUT --participant-label 01 02

A scan must be a head CT in Hounsfield units; MR, windows of grey values and other parts of the body
are refused. Of a BIDS dataset the images in ct/ are taken. A folder of DICOM files must hold one
head CT; the outlines are then written as a DICOM SEG too.

exit status: 0 every scan was read; 1 a scan was not; 2 nothing could be run.
"""


_STAGE_EPILOG = """examples:
  brainnet stage RESULTS/model-multiplex NEW_RESULTS
  brainnet stage MODEL DERIVATIVES OUT --participant-label 01 02 --session m12

MODEL is a folder that brainnet BIDS RESULTS group wrote. DERIVATIVES is what the participant level
made of the new participants. Networks of another atlas, other edges or other preprocessing than
the model's are refused; modalities that somebody lacks are not needed.

exit status: 0 everybody was staged; 1 somebody was not; 2 nothing could be run.
"""


def segment(argv: Sequence[str]) -> int:
    """Segment images; return the exit status."""
    if argv and argv[0] == "haemorrhage":
        return _haemorrhage(argv[1:])
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


def _haemorrhage(argv: Sequence[str]) -> int:
    """Read head CT; return the exit status."""
    options = _haemorrhage_parser().parse_args(argv)
    speak(options.verbose)
    from brainnet.workflows import segment_haemorrhage as workflow

    results = workflow.segment_haemorrhage(
        options.images[0] if len(options.images) == 1 else options.images,
        options.out_dir,
        model=options.model,
        max_memory=options.mem,
        labels=options.participant_label,
        progress=len(options.images) > 1 or options.images[0].is_dir(),
    )
    return _report_scans(results, options.out_dir)


def stage(argv: Sequence[str]) -> int:
    """Stage new participants with a saved model; return the exit status."""
    options = _stage_parser().parse_args(argv)
    speak(options.verbose)
    from brainnet.workflows import stage as workflow

    result = workflow.run(
        options.model,
        options.derivatives,
        options.out_dir,
        participant_label=options.participant_label,
        session=options.session,
        notify=lambda step: print(f"stage: {step}", file=sys.stderr),
    )
    return _report_stages(result)


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
    add("task", choices=TASKS[:1], metavar="brain", help="what to segment")
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


def _haemorrhage_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="brainnet segment haemorrhage",
        description="Read head CT: outlines of haemorrhage by kind, volumes with intervals, where "
        "they lie, midline shift and scores, and a page. For research; not a medical device. The "
        "network was trained on simulated scans.",
        epilog=_CT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("images", type=Path, nargs="+", metavar="CT",
        help="NIfTI images, a folder of them, a BIDS dataset, or a folder of DICOM")  # fmt: skip
    add("out_dir", type=Path, metavar="OUT", help="folder for the results")
    add("--model", type=Path, metavar="FOLDER",
        help="another network than the package's own, from brainnet train or compress")  # fmt: skip
    add("--mem", type=values.gigabytes, default=4.0, metavar="GB",
        help="memory the network may take (default 4)")  # fmt: skip
    add("--participant-label", nargs="+", metavar="LABEL",
        help="of a dataset, only these, with or without sub-")  # fmt: skip
    add("-v", "--verbose", action="count", default=0, help="say more: each step as it begins")
    return parser


def _stage_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="brainnet stage",
        description="Stage new participants with a saved model: a table with the probability of "
        "every stage, and a page. For research; not a medical device and no diagnosis.",
        epilog=_STAGE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="folder of a saved model")
    add("derivatives", type=Path, metavar="DERIVATIVES",
        help="results of the participant level; only read where OUT is given")  # fmt: skip
    add("out_dir", type=Path, nargs="?", metavar="OUT",
        help="folder for the table and the page (default: DERIVATIVES)")  # fmt: skip
    add("--participant-label", nargs="+", metavar="LABEL",
        help="only these, with or without sub- (default: everybody)")  # fmt: skip
    add("--session", "--session-label", metavar="LABEL",
        help="with or without ses- (default: each participant's first)")  # fmt: skip
    add("-v", "--verbose", action="count", default=0, help="say more: each step as it begins")
    return parser


def _report_stages(result: "staging.Result") -> int:
    """Print who was not staged and where the page is; return the exit status."""
    for label, why in list(result.problems.items())[:_FEW]:
        print(f"sub-{label}: NOT STAGED: {why}", file=sys.stderr)
    if len(result.problems) > _FEW:
        print(f"and {len(result.problems) - _FEW} more, see {result.table}", file=sys.stderr)
    print(f"{result.n_staged} of {result.n_staged + len(result.problems)} participants staged: "
          f"{result.table}")  # fmt: skip
    print(f"page, for research only: {result.page}")
    return 1 if result.problems else 0


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


def _report_scans(results: Sequence["CTResult"], out_dir: Path) -> int:
    """Print each scan's verdict and page, or its failure; return the exit status."""
    for result in results:
        name = result.image.name
        if result.failure:
            print(f"{name}: NOT READ: {result.failure}", file=sys.stderr)
            continue
        print(f"{name}: {' '.join(result.triage)}")
        for flag in result.flags:
            print(f"{name}: {flag}", file=sys.stderr)
        print(f"{name}: {result.page}")
    n_read = sum(not result.failure for result in results)
    print(f"{n_read} of {len(results)} scans read in {out_dir}, for research only")
    return 0 if n_read == len(results) else 1
