"""A folder of DICOM series to a BIDS dataset, by a small mapping file.

Nothing about the person leaves the DICOM files but what the mapping says: sidecars take over a
fixed list of fields on how the image was acquired, images get a new header, and names come from
the mapping. Faces stay in the images.
"""

import argparse
import csv
import io as streams
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd
from tqdm import tqdm

from brainnet import __version__, io
from brainnet.io import DataError
from brainnet.workflows.dicom import convert, dcm2niix, plan, scan
from brainnet.workflows.dicom.map import DicomMap, load_map, parse_map
from brainnet.workflows.dicom.plan import Item

_README: Final = """# {name}

Converted from DICOM by `brainnet bids-from-dicom` {version} with dcm2niix.

Sidecars hold how each image was acquired. Names, birth dates, patient numbers, institutions,
dates of the visit, comments and unique identifiers of DICOM were left out; PET sidecars keep the
time of the day (TimeZero), which BIDS requires. The images were not defaced: a head scan shows
the face. Deface before sharing.
"""
_IGNORED: Final = ("sub-*/ct", "sub-*/ses-*/ct")  # BIDS has no CT yet
_DRY_RUN = "nothing was written (--dry-run)"


@dataclass(frozen=True)
class Result:
    """What became of one series.

    Attributes
    ----------
    item : Item
        The series and its name.
    state : {"written", "kept", "failed"}
        ``kept``: the same image was there.
    failure : str
        Why it failed: file, rule, remedy.
    notes : list of str
        What is doubtful.
    """

    item: Item
    state: str
    failure: str = ""
    notes: list[str] = field(default_factory=list)


def run(
    items: Sequence[Item],
    bids_dir: Path | str,
    mapping: DicomMap,
    *,
    work_dir: Path | None = None,
    overwrite: bool = False,
) -> list[Result]:
    """Convert every series that has a name; write what a BIDS dataset needs beside them.

    Parameters
    ----------
    items : sequence of Item
        From `plan.plan`.
    bids_dir : path
        Top of the dataset; made where it is missing. What is there stays as it is.
    mapping : DicomMap
        From `map.load_map`.
    work_dir : Path, optional
        Where dcm2niix writes; the system's temporary folder by default.
    overwrite : bool
        Replace images that differ from what would be written.

    Returns
    -------
    list of Result
        One for each series that the mapping names. A series that fails stops no other.

    Raises
    ------
    DataError
        dcm2niix is not installed, or a table or description of the dataset is damaged.
    """
    bids_dir = Path(bids_dir)
    wanted = [item for item in items if item.wanted]
    dcm2niix.converter()
    if work_dir is not None:
        work_dir.mkdir(parents=True, exist_ok=True)
    _describe(bids_dir, mapping, any(item.suffix == "ct" for item in wanted))
    known = _known(bids_dir, {item.label for item in wanted})
    results = []
    with tqdm(wanted, desc="converting", unit="series") as bar:
        for item in bar:
            bar.set_postfix_str(f"{'sub-' + item.label if item.label else ''} {item.series.title}")
            results.append(
                _one(item, items, bids_dir, known, work_dir=work_dir, overwrite=overwrite)
            )
    here = {r.item.label for r in results if r.state != "failed"}
    _list_participants(bids_dir, sorted(here), mapping.table)
    return results


def _one(
    item: Item,
    items: Sequence[Item],
    bids_dir: Path,
    known: Mapping[str, Path],
    *,
    work_dir: Path | None,
    overwrite: bool,
) -> Result:
    """Convert one series; a failure of any kind becomes its result."""
    if item.problem:
        return Result(item, "failed", f"{item.series.title}: {item.problem}")
    try:
        state, notes = convert.convert(
            item,
            bids_dir,
            echo_times=_echo_times(item, items),
            work_dir=work_dir,
            overwrite=overwrite,
            known=known,
        )
    except DataError as error:
        return Result(item, "failed", str(error))
    except Exception as error:  # a fault here must not cost the other series
        return Result(item, "failed", f"{item.series.title}: {type(error).__name__}: {error}")
    return Result(item, state, notes=notes)


def _echo_times(item: Item, items: Sequence[Item]) -> list[float]:
    """Return the echo times, in s, of the magnitude images beside a phase difference."""
    if item.suffix != "phasediff":
        return []
    return sorted(
        round(other.series.echo_time / 1000, 6)
        for other in items
        if other.suffix in ("magnitude1", "magnitude2") and other.entities == item.entities
    )


def _known(bids_dir: Path, labels: set[str]) -> dict[str, Path]:
    """Return the images of participants that were converted before, by what they are made of."""
    known = {}
    for label in labels - {""}:
        for path in sorted((bids_dir / f"sub-{label}").rglob("*.json")):
            try:
                record = io.load_json(path).get(convert.RECORD)
            except DataError:  # its own series says so
                continue
            if isinstance(record, dict) and "Source" in record:
                known[str(record["Source"])] = path.with_name(path.stem + ".nii.gz")
    return known


def _describe(bids_dir: Path, mapping: DicomMap, has_ct: bool) -> None:
    """Write description, README and .bidsignore, where they are missing."""
    name = str(mapping.dataset.get("Name") or bids_dir.resolve().name)
    description = bids_dir / "dataset_description.json"
    if not description.exists():
        made_by = [{"Name": "brainnet", "Version": __version__}, {"Name": "dcm2niix"}]
        content = {"Name": name, "BIDSVersion": "1.10.0", "DatasetType": "raw"}
        io.save_json(content | {"GeneratedBy": made_by} | mapping.dataset, description)
    if not any(bids_dir.glob("README*")):
        io.save_text(_README.format(name=name, version=__version__), bids_dir / "README.md")
    ignore = bids_dir / ".bidsignore"
    text = io.load_text(ignore) if ignore.exists() else ""
    absent = [line for line in _IGNORED if has_ct and line not in text.splitlines()]
    if absent:
        text += "\n" if text and not text.endswith("\n") else ""
        io.save_text(text + "\n".join(absent) + "\n", ignore)


def _list_participants(bids_dir: Path, labels: Sequence[str], table: pd.DataFrame) -> None:
    """Append participants who are not in participants.tsv; leave its lines as they are."""
    path = bids_dir / "participants.tsv"
    header, lines = ["participant_id"], []
    listed: set[str] = set()
    if path.exists():
        frame = io.load_table(path, required=("participant_id",))
        listed = set(frame["participant_id"].astype(str))
        rows = csv.reader(streams.StringIO(io.load_text(path), newline=""), delimiter="\t")
        header, *lines = [row for row in rows if row]
    fresh = [f"sub-{label}" for label in labels if f"sub-{label}" not in listed]
    if not fresh:
        return
    more = [str(name) for name in table.columns if name not in header]
    known = {str(row["participant_id"]): row for row in table.to_dict("records")}
    lines = [[*line, *("n/a" for _ in more)] for line in lines]
    for label in fresh:
        row = {str(key): value for key, value in known.get(label, {}).items()}
        row["participant_id"] = label
        lines.append([_cell(row.get(name)) for name in (*header, *more)])
    stream = streams.StringIO(newline="")
    csv.writer(stream, delimiter="\t", lineterminator="\n").writerows([[*header, *more], *lines])
    io.save_text(stream.getvalue(), path)


def _cell(value: Any) -> str:
    """Return a value as text of a table; whole numbers without a point."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "n/a"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return {"True": "true", "False": "false"}.get(str(value), str(value))


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``brainnet bids-from-dicom``; return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the command's name; default those of the process.

    Returns
    -------
    int
        0 if all went well; 1 if a series failed or a file is damaged.

    Raises
    ------
    DataError
        If nothing could be run: no DICOM, a faulty mapping, a missing program.
    """
    options = _parser().parse_args(argv)
    dicom_dir, bids_dir = options.dicom_dir, options.bids_dir
    _check_apart(dicom_dir, bids_dir)
    mapping = options.map and load_map(options.map, participants=options.participants)
    with tqdm(desc="reading headers", unit=" files") as bar:
        found = scan.scan(dicom_dir, progress=bar.update)
    _say_found(found)
    if mapping is None:
        start = plan.template(found)
        guess = parse_map(start, Path("the mapping below"))
        print(plan.table(plan.plan(found.series, guess)))
        print(f"\n# A mapping file to start from (--map FILE); it gives the names above:\n{start}")
        return 0 if options.dry_run else _no_map()
    items = plan.plan(found.series, mapping)
    if options.participant_label:
        labels = {label.removeprefix("sub-") for label in options.participant_label}
        items = [item for item in items if item.label in labels]
    print(plan.table(items))
    if options.dry_run:
        print(_DRY_RUN)
        return 1 if found.damaged or any(item.problem for item in items) else 0
    results = run(items, bids_dir, mapping, work_dir=options.work_dir, overwrite=options.overwrite)
    return _report(results, bids_dir, len(found.damaged))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="brainnet bids-from-dicom",
        description="Convert a folder of DICOM series to a BIDS dataset, by a mapping file.",
        epilog="Without --map, --dry-run prints a mapping file to start from.",
    )
    add = parser.add_argument
    add("dicom_dir", type=Path, metavar="DICOM", help="folder of DICOM files, in any order")
    add("bids_dir", type=Path, metavar="BIDS", help="the dataset; made or added to")
    add("--map", type=Path, metavar="FILE", help="TOML: participants, sessions, names of series")
    add("--participants", type=Path, metavar="TSV",
        help="columns patient_id, participant_id; others go to participants.tsv")  # fmt: skip
    add("--participant-label", nargs="+", metavar="LABEL", help="only these, with or without sub-")
    add("--dry-run", action="store_true", help="list the series and their names; write nothing")
    add("--overwrite", action="store_true", help="replace images that differ")
    add("-w", "--work-dir", type=Path, help="for temporary files (default: the system's)")
    return parser


def _check_apart(dicom_dir: Path, bids_dir: Path) -> None:
    """Raise where the dataset would be among the DICOM files."""
    source, target = dicom_dir.resolve(), bids_dir.resolve()
    if target == source or source in target.parents:
        what = "the dataset cannot be inside the folder of DICOM files"
        raise DataError(bids_dir, what, "Give a folder outside it")


def _say_found(found: scan.Found) -> None:
    """Tell what in the folder was not taken."""
    for line in found.damaged:
        print(f"DAMAGED: {line}", file=sys.stderr)
    for path in found.archives:
        print(f"not looked into: {path}: an archive. Unpack it first.", file=sys.stderr)
    if found.others:
        print(f"{found.others} files are not DICOM", file=sys.stderr)


def _no_map() -> int:
    print("brainnet: error: --map FILE is needed to convert; a start is above", file=sys.stderr)
    return 2


def _report(results: Sequence[Result], bids_dir: Path, n_damaged: int) -> int:
    """Print what became of each series; return the exit status."""
    for result in results:
        for note in result.notes:
            print(f"{result.item.name.name}: {note}", file=sys.stderr)
        if result.state == "failed":
            who = f"sub-{result.item.label}: " if result.item.label else ""
            print(f"FAILED: {who}{result.failure}", file=sys.stderr)
    if not results:
        print("nothing to convert: no [[series]] of the mapping fits", file=sys.stderr)
    for line in _gradient_note(results, bids_dir):
        print(line, file=sys.stderr)
    count = {s: sum(r.state == s for r in results) for s in ("written", "kept", "failed")}
    told = ", ".join(f"{number} {state}" for state, number in count.items())
    print(f"{len(results)} series in {bids_dir}: {told}")
    return 1 if count["failed"] or n_damaged or not results else 0


def _gradient_note(results: Sequence[Result], bids_dir: Path) -> list[str]:
    """Return a line where BIDS asks for a field of MR that only the mapping can give."""
    done = [result.item for result in results if result.state == "written"]
    if not any(result.item.suffix == "pet" for result in results):
        return []
    key = "NonlinearGradientCorrection"
    lacking = [
        item.name.name
        for item in done
        if item.suffix not in ("pet", "ct")
        and key not in io.load_json(convert.sidecar_path(bids_dir / item.name))
    ]
    what = f"BIDS requires {key} (true or false) of MR beside PET"
    return [f"{what}: add it to metadata of {', '.join(lacking)}"] if lacking else []
