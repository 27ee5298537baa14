"""The mapping file: whose series these are, and what each is called in BIDS."""

import difflib
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import pandas as pd

from brainnet import io
from brainnet.bids.names import LABEL
from brainnet.io import DataError
from brainnet.workflows.dicom.scan import Series, pydicom

#: datatype and suffix to the entities that they may have; those that they must have end in "!"
NAMES: Final[dict[tuple[str, str], str]] = {
    **{("anat", s): "ses task acq ce rec run echo part" for s in
       ("T1w", "T2w", "FLAIR", "PDw", "T2starw", "angio", "inplaneT2")},
    **{("func", s): "ses task! acq ce rec dir run echo part" for s in ("bold", "sbref")},
    **{("fmap", s): "ses acq run" for s in
       ("phasediff", "phase", "phase1", "phase2", "magnitude", "magnitude1", "magnitude2",
        "fieldmap")},
    ("fmap", "epi"): "ses acq ce rec dir! run part",
    ("pet", "pet"): "ses task trc rec run",
    ("ct", "ct"): "ses acq ce rec run",
}  # fmt: skip
_LONG: Final = {
    "session": "ses", "acquisition": "acq", "tracer": "trc", "direction": "dir",
    "reconstruction": "rec", "ceagent": "ce",
}  # fmt: skip
_TABLES: Final = {"dataset", "participants", "sessions", "series"}
_ROW: Final = {"match", "bids", "metadata", "uneven", "leave_out"}
_EVERYBODY: Final = "{PatientID}"


@dataclass(frozen=True)
class Rule:
    """One ``[[series]]`` of the mapping file.

    Attributes
    ----------
    match : dict
        DICOM keyword to what its value may be; all must hold.
    datatype, suffix : str
        Of the BIDS name; both empty for series that are to be left out.
    entities : dict
        Entities of the name by short name, without the participant's.
    metadata : dict
        Fields of the sidecar; they win over what DICOM says.
    uneven : {"error", "resample"}
        What to do with slices that are not equally spaced, or tilted.
    """

    match: dict[str, list[Any]]
    datatype: str = ""
    suffix: str = ""
    entities: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    uneven: str = "error"

    def fits(self, series: Series) -> bool:
        """Say whether a series meets every condition."""
        return all(_meets(series.header.get(key), wanted) for key, wanted in self.match.items())


@dataclass(frozen=True)
class DicomMap:
    """The content of a mapping file.

    Attributes
    ----------
    path : Path
        The file.
    dataset : dict
        Fields of ``dataset_description.json``.
    labels : dict
        Patient ID to label without ``sub-``.
    table : DataFrame
        ``participant_id`` and further columns of participants.
    sessions : str or None
        ``"date"``, ``"none"``, or None where the file does not say.
    session_labels : tuple of str
        Labels of a participant's visits in order; numbers where they do not suffice.
    rules : tuple of Rule
        The first that fits a series names it.
    """

    path: Path
    dataset: dict[str, Any]
    labels: dict[str, str]
    table: pd.DataFrame
    sessions: str | None
    session_labels: tuple[str, ...]
    rules: tuple[Rule, ...]

    def label(self, patient: str) -> str | None:
        """Return the label of a patient, None where the mapping has none."""
        if patient in self.labels:
            return self.labels[patient]
        if self.labels.get("*") == _EVERYBODY:
            return re.sub(r"[^a-zA-Z0-9]", "", patient) or None
        return None

    @property
    def keeps_ids(self) -> bool:
        """Whether patient IDs are themselves the labels, by the user's wish."""
        return self.labels.get("*") == _EVERYBODY


def load_map(path: Path | str, *, participants: Path | str | None = None) -> DicomMap:
    """Return the content of a mapping file, checked.

    Parameters
    ----------
    path : path
        TOML with ``[dataset]``, ``[participants]``, ``[sessions]`` and ``[[series]]``.
    participants : path, optional
        Table with columns ``patient_id`` and ``participant_id``; further columns go to
        ``participants.tsv``.

    Returns
    -------
    DicomMap
        What it says.

    Raises
    ------
    DataError
        Not TOML, an unknown table, key or DICOM keyword, a name that BIDS does not have.
    """
    return parse_map(io.load_text(path), Path(path), participants=participants)


def parse_map(text: str, path: Path, *, participants: Path | str | None = None) -> DicomMap:
    """Return the content of a mapping file from its text.

    Parameters
    ----------
    text : str
        As `load_map` reads it.
    path : Path
        The file to name in an error.
    participants : path, optional
        As in `load_map`.

    Returns
    -------
    DicomMap
        What it says.

    Raises
    ------
    DataError
        As `load_map`.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(path, f"not valid TOML: {error}", "Correct it at that place") from error
    _known(path, content, _TABLES, "table")
    rows = content.get("series", [])
    if not isinstance(rows, list) or not rows:
        remedy = "Add one a kind of series; brainnet bids-from-dicom --dry-run prints a start"
        raise DataError(path, "it has no [[series]]", remedy)
    labels, table = _participants(path, content.get("participants", {}), participants)
    sessions = content.get("sessions", {})
    _known(path, sessions, {"by", "labels"}, "key of [sessions]")
    if sessions.get("by") not in (None, "date", "none"):
        raise DataError(path, f"[sessions] by is {sessions['by']!r}", 'Write "date" or "none"')
    names = tuple(str(label).removeprefix("ses-") for label in sessions.get("labels", ()))
    _check_labels(path, {f"[sessions] label {n}": n for n in names})
    return DicomMap(
        path=path,
        dataset=content.get("dataset", {}),
        labels=labels,
        table=table,
        sessions=sessions.get("by"),
        session_labels=names,
        rules=tuple(_rule(path, number, row) for number, row in enumerate(rows, start=1)),
    )


def _known(path: Path, given: Any, names: set[str], what: str) -> None:
    """Raise for a key that means nothing here."""
    if not isinstance(given, dict):
        raise DataError(path, f"a {what} was expected, got {given!r}", "Write it as key = value")
    for key in given:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(names))}"
            raise DataError(path, f"unknown {what}: {key!r}", hint)


def _check_labels(path: Path, labels: Mapping[str, str]) -> None:
    """Raise for a label that is not letters and digits."""
    for where, label in labels.items():
        if not isinstance(label, str) or not LABEL.fullmatch(label):
            remedy = 'A label is text of letters and digits only, such as "01"'
            raise DataError(path, f"{where} is {label!r}", remedy)


def _participants(
    path: Path, given: Any, table_path: Path | str | None
) -> tuple[dict[str, str], pd.DataFrame]:
    """Return labels by patient ID, and the table for participants.tsv."""
    if not isinstance(given, dict):
        raise DataError(path, "[participants] is not a table", 'Write lines like "ID" = "01"')
    labels = {str(key): label for key, label in given.items()}
    table = pd.DataFrame({"participant_id": pd.Series(dtype=object)})
    if table_path is not None:
        rows = io.load_table(table_path, required=("patient_id", "participant_id"))
        labels |= dict(zip(rows["patient_id"].astype(str), rows["participant_id"].astype(str),
                           strict=True))  # fmt: skip
        table = rows.drop(columns="patient_id").drop_duplicates()
        if table["participant_id"].duplicated().any():
            what = "a participant has two rows that say different things"
            raise DataError(Path(table_path), what, "Leave one row a participant")
        bare = table["participant_id"].astype(str).str.removeprefix("sub-")
        table = table.assign(participant_id="sub-" + bare)
    labels = {key: str(label).removeprefix("sub-") for key, label in labels.items()}
    checked = {f"the label of patient {k!r}": v for k, v in labels.items() if v != _EVERYBODY}
    _check_labels(path if table_path is None else Path(table_path), checked)
    return labels, table


def _rule(path: Path, number: int, row: Any) -> Rule:
    """Return one [[series]], checked."""
    where = f"[[series]] number {number}"
    _known(path, row, _ROW, f"key of {where}")
    match = row.get("match")
    if not isinstance(match, dict) or not match:
        remedy = 'Write match = { SeriesDescription = "*MPRAGE*" }'
        raise DataError(path, f"{where} has no match", remedy)
    _check_keywords(path, match)
    wanted = {key: value if isinstance(value, list) else [value] for key, value in match.items()}
    if row.get("leave_out"):
        return Rule(match=wanted)
    uneven = row.get("uneven", "error")
    if uneven not in ("error", "resample"):
        raise DataError(path, f"{where}: uneven is {uneven!r}", 'Write "error" or "resample"')
    datatype, suffix, entities = _name(path, where, row.get("bids", {}))
    metadata = row.get("metadata", {})
    try:
        json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError) as error:
        what = f"{where}: metadata cannot be written as JSON ({error})"
        raise DataError(
            path, what, 'Write times and dates as text, unknown ones as "n/a"'
        ) from error
    return Rule(wanted, datatype, suffix, entities, metadata, uneven)


def _check_keywords(path: Path, match: Mapping[str, Any]) -> None:
    """Raise for a keyword that DICOM does not have."""
    from importlib import import_module

    pydicom()
    dictionary = import_module("pydicom.datadict")
    for key in match:
        if dictionary.tag_for_keyword(key) is None:
            near = difflib.get_close_matches(key, dictionary.keyword_dict, n=1)
            hint = f"Did you mean {near[0]}?" if near else "Use a keyword of the DICOM standard"
            raise DataError(path, f"match: DICOM has no {key!r}", hint)


def _name(path: Path, where: str, bids: Any) -> tuple[str, str, dict[str, str]]:
    """Return datatype, suffix and entities of a rule."""
    if not isinstance(bids, dict) or not {"datatype", "suffix"} <= bids.keys():
        remedy = 'Write bids = { datatype = "anat", suffix = "T1w" }, or leave_out = true'
        raise DataError(path, f"{where} has no bids with datatype and suffix", remedy)
    given: dict[str, Any] = {_LONG.get(str(key), str(key)): value for key, value in bids.items()}
    datatype, suffix = given.pop("datatype"), given.pop("suffix")
    if (datatype, suffix) not in NAMES:
        names = ", ".join(f"{kind}/{name}" for kind, name in NAMES)
        raise DataError(path, f"{where}: no {datatype}/{suffix} here", f"There are {names}")
    allowed = NAMES[datatype, suffix].split()
    _known(path, given, {name.rstrip("!") for name in allowed}, f"entity of {suffix} in {where}")
    entities = {key: str(value).removeprefix(f"{key}-") for key, value in given.items()}
    _check_labels(path, {f"{where}: {key}": value for key, value in entities.items()})
    absent = [name[:-1] for name in allowed if name.endswith("!") and name[:-1] not in entities]
    if absent:
        raise DataError(path, f"{where}: {suffix} needs {absent[0]}", f'Add {absent[0]} = "..."')
    return datatype, suffix, entities


def _meets(value: Any, wanted: Sequence[Any]) -> bool:
    """Say whether a DICOM value, or one of its several, is among those wanted."""
    many = value is not None and not isinstance(value, (str, bytes)) and hasattr(value, "__iter__")
    texts = [str(part).strip() for part in value] if many else [str(value).strip()]
    if value is None:
        return False
    texts.append("\\".join(texts))
    return any(_same(text, pattern) for pattern in wanted for text in _unique(texts))


def _same(text: str, pattern: Any) -> bool:
    """Compare a number as a number, text as a pattern, without regard to case."""
    if isinstance(pattern, str):
        return fnmatchcase(text.lower(), pattern.lower())
    try:
        return math.isclose(float(text), float(pattern), rel_tol=1e-6)
    except ValueError:
        return False


def _unique(texts: Sequence[str]) -> Iterator[str]:
    yield from dict.fromkeys(texts)
