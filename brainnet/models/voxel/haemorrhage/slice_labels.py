"""Tables that say which kinds of haemorrhage a slice, or a scan, shows."""

import csv
import io as text_io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainnet.io import DataError, load_text
from brainnet.models.voxel.haemorrhage.bleeds import BLEEDS

__all__ = ["KINDS", "SliceLabels", "key_of", "load_slice_labels"]

#: Kinds of haemorrhage, in the order of every label.
KINDS = tuple(BLEEDS)
_ANY = len(KINDS)
_SCAN = ("scan", "patientnumber", "participantid", "image", "file", "filename")
_SLICE = ("slice", "slicenumber")
_NONE = ("nohemorrhage", "nohaemorrhage")
_UNKNOWN = ("", "n/a", "na", "nan")
_REMEDY = "Give a column scan, a column slice if rows are slices, and one a kind of haemorrhage"


@dataclass(frozen=True)
class SliceLabels:
    """What one scan shows.

    Parameters
    ----------
    table : (n_slices, 6) float64 array
        1 shown, 0 not, NaN unknown: of each of :data:`KINDS`, and of any.
    whole : bool
        Whether its one row is of the whole scan.
    """

    table: NDArray[np.float64]
    whole: bool = False

    def of_slices(self, n_slices: int) -> NDArray[np.float64]:
        """Return a row a slice: what is said of the scan, or NaN where nothing is said."""
        if self.whole:
            return np.repeat(self.table, n_slices, axis=0)
        missing = n_slices - len(self.table)
        return np.pad(self.table, ((0, missing), (0, 0)), constant_values=np.nan)


def load_slice_labels(path: Path | str) -> dict[str, SliceLabels]:
    """Return what a table says of scans, by their names (:func:`key_of`).

    Parameters
    ----------
    path : path
        Comma-separated, or tab-separated where it ends in ``.tsv``. A column ``scan`` (or
        ``PatientNumber``, ``participant_id``, ``image``) names the scan; ``slice`` (or
        ``SliceNumber``) the slice, from 1 on along the third axis of the image: without it a row
        is of a whole scan. Columns ``intraparenchymal``, ``intraventricular``, ``subarachnoid``,
        ``subdural``, ``epidural`` and ``any`` (or ``No_Hemorrhage``, its contrary) hold 1, 0, or
        nothing where it is not known. Other columns are left alone.

    Raises
    ------
    brainnet.io.DataError
        No such columns; a cell that is none of these; a slice below 1, or one named twice.
    """
    path = Path(path)
    rows = list(csv.DictReader(text_io.StringIO(load_text(path)),
                               delimiter="\t" if path.suffix == ".tsv" else ","))  # fmt: skip
    if not rows:
        raise DataError(path, "no row below its header", _REMEDY)
    columns = {_plain(name): name for name in rows[0] if name}
    scan, place = (_first(columns, names) for names in (_SCAN, _SLICE))
    kinds = [name for name in (*KINDS, "any", *_NONE) if name in columns]
    if scan is None or not kinds:
        what = f"its columns are {', '.join(columns.values()):.200}"
        raise DataError(path, f"no column of scans, or none of a kind: {what}", _REMEDY)
    found: dict[str, dict[int, NDArray[np.float64]]] = {}
    for number, row in enumerate(rows, start=2):
        here = found.setdefault(key_of(str(row[scan]).strip()), {})
        at = 1 if place is None else _number(path, number, row[place])
        if at in here:
            what = f"line {number} names slice {at} of {row[scan]} again"
            raise DataError(path, what if place else f"line {number} names {row[scan]} again",
                            "Keep one of these lines")  # fmt: skip
        here[at] = _labels(path, number, {name: row[columns[name]] for name in kinds})
    return {name: _joined(each, place is None) for name, each in found.items()}


def key_of(name: str) -> str:
    """Return the name of a scan without endings, and without leading zeros where it is a number.

    Examples
    --------
    >>> key_of("049.nii"), key_of("sub-01_ct.nii.gz"), key_of("49"), key_of("case_0000.nii.gz")
    ('49', 'sub-01', '49', 'case')
    """
    for ending in (".gz", ".nii", "_0000", "_ct", "_CT"):
        name = name.removesuffix(ending)
    return str(int(name)) if name.isdecimal() else name


def _plain(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())


def _first(columns: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _number(path: Path, line: int, cell: str | None) -> int:
    text = (cell or "").strip()
    if not text.isdecimal() or int(text) < 1:
        what = f"line {line} has slice {text!r}, and slices are whole numbers from 1 on"
        raise DataError(path, what, "Number the slices from 1, as they lie in the image")
    return int(text)


def _labels(path: Path, line: int, cells: dict[str, str | None]) -> NDArray[np.float64]:
    """Return the six labels of a row."""
    labels = np.full(_ANY + 1, np.nan)
    for name, cell in cells.items():
        text = (cell or "").strip().lower()
        if text in _UNKNOWN:
            continue
        if text not in ("0", "1", "0.0", "1.0"):
            what = f"line {line} has {text!r} under {name}"
            raise DataError(path, what, "Write 1, 0, or nothing where it is not known")
        value = float(text)
        if name in _NONE:
            labels[_ANY] = 1 - value
        else:
            labels[_ANY if name == "any" else KINDS.index(name)] = value
    return _completed(labels)


def _completed(labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fill in what follows: one kind is any, no kind is none, none is no kind."""
    kinds = labels[:_ANY]
    if np.isnan(labels[_ANY]):
        labels[_ANY] = 1.0 if (kinds == 1).any() else 0.0 if (kinds == 0).all() else np.nan
    elif labels[_ANY] == 0:
        kinds[np.isnan(kinds)] = 0.0
    return labels


def _joined(rows: dict[int, NDArray[np.float64]], whole: bool) -> SliceLabels:
    table = np.full((max(rows), _ANY + 1), np.nan)
    for number, labels in rows.items():
        table[number - 1] = labels
    return SliceLabels(table, whole)
