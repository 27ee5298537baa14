"""The part of the gate that turns text into tables and labelled matrices, and back."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from brainnet.io.files import MAX_TABLE_BYTES, DataError, enough_memory, load_text, warn
from brainnet.io.writing import save_text

_MISSING = ("n/a", "")
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,17})", re.ASCII)
_NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?inf|nan|NaN", re.ASCII)
_TEXT_COLUMNS = ("name", "subject", "session", "task", "run")  # and every *_id


def load_table(path: Path | str, *, required: Sequence[str] = ()) -> pd.DataFrame:
    """Return a BIDS table.

    Parameters
    ----------
    path : path
        Tab-separated UTF-8 text with one header row, plain or gzip (``.gz``).
    required : sequence of str, optional
        Columns that must be there.

    Returns
    -------
    DataFrame
        ``n/a`` and empty cells are NaN. A column whose other cells are all numbers becomes int64
        or float64 (correctly rounded); all ``true`` or ``false``, bool; else it stays text. A
        number with a leading zero (``01``), a whole number that float64 would have to round and
        one beyond its range are text, and so are the columns ``*_id``, ``name``, ``subject``,
        ``session``, ``task`` and ``run``.

    Raises
    ------
    DataError
        Missing or empty file, not a regular file, over 256 MiB, not UTF-8, binary, unbalanced
        quotes, separated by commas, a row of another length than the header, a column without a
        name or named twice, a required column not there.

    Warns
    -----
    DataWarning
        The last line has no line end (a table cut inside a cell looks so); a column name with
        blanks around it.
    """
    path = Path(path)
    header, rows = _rows(path)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or not all(header):
        what = f"columns named twice: {', '.join(twice)}" if twice else "a column has no name"
        raise DataError(path, what, "Give every column its own name")
    blank = [name for name in header if name != name.strip()]
    if blank:
        warn(path, f"blanks around the column name {blank[0]!r}", "It is kept as it is written")
    absent = [name for name in required if name not in header]
    if absent:
        what = f"no column {', '.join(absent)}; its columns are {', '.join(header)}"
        raise DataError(path, what, "Add the column, or rename the one that holds it")
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    return pd.DataFrame({name: _typed(name, c) for name, c in zip(header, cells, strict=True)})


def save_table(frame: pd.DataFrame, path: Path | str) -> Path:
    """Write a BIDS table (``.tsv`` or ``.tsv.gz``) whole or not at all, and return its path.

    Numbers are written so that `load_table` returns exactly the same ones; missing values as
    ``n/a``; booleans as ``true`` and ``false``. The index is not written.

    Parameters
    ----------
    frame : DataFrame
        Columns with distinct names.
    path : path
        Where to; its folder is made where it is missing.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ValueError
        If the index has a name (it would be lost) or column names are not distinct.

    Examples
    --------
    >>> import tempfile
    >>> table = pd.DataFrame({"participant_id": ["01", "02"], "age": [0.1 + 0.2, np.nan]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_table(table, Path(folder) / "participants.tsv")
    ...     print(path.read_text().replace(chr(9), " "), load_table(path).equals(table))
    participant_id age
    01 0.30000000000000004
    02 n/a
     True
    """
    if any(name is not None for name in frame.index.names):
        raise ValueError(
            f"frame must have an unnamed index; got {list(frame.index.names)}, which would be "
            "lost. Use frame.reset_index() first."
        )
    names = [str(name) for name in frame.columns]
    if len(set(names)) != len(names) or not names or not all(names):
        raise ValueError(f"frame must have columns with distinct, non-empty names; got {names}.")
    columns = [[_cell(value) for value in frame.iloc[:, i].tolist()] for i in range(len(names))]
    return _save_rows([names, *zip(*columns, strict=True)], Path(path))


def load_matrix(path: Path | str) -> pd.DataFrame:
    """Return a square labelled matrix as `save_matrix` writes it.

    Parameters
    ----------
    path : path
        A table whose first column ``name`` repeats the names of its other columns, in order.

    Returns
    -------
    DataFrame, (n, n)
        float64, region names (text) as index and columns; ``n/a`` is NaN.

    Raises
    ------
    DataError
        As `load_table`; also if rows and columns differ or a cell is not a number.
    """
    path = Path(path)
    header, rows = _rows(path)
    names = [row[0] for row in rows]
    if header[0] != "name" or not names or names != header[1:] or len(set(names)) != len(names):
        what = f"{len(rows)} rows and {len(header) - 1} columns that do not bear the same names"
        raise DataError(path, what, "The first column must be 'name' and list the other columns")
    for row in rows:
        wrong = [c for c in row[1:] if c not in _MISSING and not _holds(c)]
        if wrong:
            what = f"{wrong[0][:40]!r} in row {row[0]!r} is not a number that float64 holds"
            raise DataError(path, what, "Correct the cell, or write n/a where it is unknown")
    values = [[math.nan if c in _MISSING else float(c) for c in row[1:]] for row in rows]
    square = np.array(values, dtype=np.float64).reshape(len(names), len(names))
    return pd.DataFrame(square, index=pd.Index(names), columns=pd.Index(names))


def save_matrix(array: ArrayLike, names: Sequence[str], path: Path | str) -> Path:
    """Write a square labelled matrix whole or not at all, and return its path.

    Parameters
    ----------
    array : (n, n) array
        Finite or NaN (written ``n/a``).
    names : sequence of n str
        Names of rows and columns, distinct.
    path : path
        ``.tsv`` or ``.tsv.gz``.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ValueError
        If shape and names do not agree or names repeat.
    """
    values: NDArray[np.float64] = np.asarray(array, dtype=np.float64)
    labels = [str(name) for name in names]
    if values.shape != (len(labels), len(labels)):
        raise ValueError(f"array must be square with {len(labels)} names; got {values.shape}.")
    if len(set(labels)) != len(labels):
        raise ValueError("names must be distinct; rename the regions that share one.")
    rows = ([label, *map(_cell, row)] for label, row in zip(labels, values.tolist(), strict=True))
    return _save_rows([["name", *labels], *rows], Path(path))


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table, all of one length."""
    text = load_text(path, limit=MAX_TABLE_BYTES)
    if path.suffix != ".gz" and text[-1:] not in ("\n", "\r", ""):
        warn(path, "the last line has no line end", "The table may have been cut there")
    try:
        with enough_memory(path):
            lines = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
    except csv.Error as error:
        raise DataError(path, f"not a table: {error}", "Balance the quotes") from error
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(path, "the table is empty", "It needs a header row")
    if len(lines[0]) == 1 and re.search("[,;]", lines[0][0]):
        what = f"the header {lines[0][0][:80]!r} holds commas or semicolons but no tab"
        raise DataError(path, what, "Separate the cells by tabs")
    for number, row in enumerate(lines, start=1):
        if len(row) != len(lines[0]):
            what = f"line {number} has {len(row)} cells, the header {len(lines[0])}"
            raise DataError(path, what, "Separate cells by one tab each, write n/a for none")
    return lines[0], lines[1:]


def _typed(name: str, cells: Sequence[str]) -> list[Any] | NDArray[Any]:
    """Return the cells of one column as the narrowest type that holds them all."""
    known = [cell for cell in cells if cell not in _MISSING]
    if name not in _TEXT_COLUMNS and not name.endswith("_id") and (known or cells):
        if len(known) == len(cells) and all(map(_INTEGER.fullmatch, known)):
            return np.array([int(cell) for cell in cells], dtype=np.int64)
        if all(map(_holds, known)):
            return np.array([math.nan if c in _MISSING else float(c) for c in cells], np.float64)
        if set(cells) <= {"true", "false"}:
            return np.array([cell == "true" for cell in cells])
    return [math.nan if cell in _MISSING else cell for cell in cells]


def _holds(cell: str) -> bool:
    """Return whether a cell is a number that float64 holds: in its range, not a rounded integer."""
    if not _NUMBER.fullmatch(cell):
        return False
    if len(cell) < 16 and "e" not in cell.lower():
        return True
    value = float(cell)
    if math.isinf(value):
        return cell.lstrip("+-") == "inf"
    whole = cell.lstrip("+-").isdigit()
    return not whole or int(value) == int(cell)


def _cell(value: Any) -> str:
    """Return one value as the text of a table cell."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return "n/a"
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    return str(value) or "n/a"


def _save_rows(rows: Iterable[Sequence[str]], path: Path) -> Path:
    """Write rows of text as a tab-separated table."""
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter="\t", lineterminator="\n").writerows(rows)
    return save_text(stream.getvalue(), path)
