"""What stands in the files of a cohort, each checked against the atlas."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from brainnet import io
from brainnet.bids.names import shown
from brainnet.cohort.files import regional_tables
from brainnet.io import DataError

_FISHER_LIMIT = 1 - 1e-7
_TOLERANCE = 1e-5  # of symmetry; a table may hold fewer digits than float64
_MISSING = ("", "n/a", "nan")


def mean_network(paths: Sequence[Path], names: list[str]) -> NDArray[np.float64]:
    """Return the (n_regions, n_regions) network of one scan, or the mean in z of several."""
    if len(paths) == 1:
        return _network(paths[0], names)
    networks = np.stack([_network(path, names) for path in paths])
    fisher = np.arctanh(np.clip(networks, -_FISHER_LIMIT, _FISHER_LIMIT))
    mean: NDArray[np.float64] = np.tanh(_mean_of_measured(fisher))
    return mean


def _network(path: Path, names: list[str]) -> NDArray[np.float64]:
    """Read one network and check it against the atlas."""
    frame = io.load_matrix(path)
    _check_regions([str(each) for each in frame.index], names, path)
    network = frame.to_numpy(dtype=np.float64, copy=True)
    if not np.allclose(network, network.T, atol=_TOLERANCE, rtol=0, equal_nan=True):
        row, column = np.argwhere(~np.isclose(network, network.T, atol=_TOLERANCE, equal_nan=True))[
            0
        ]
        raise DataError(
            path,
            f"is not symmetric: {names[row]} to {names[column]} is {network[row, column]:g}, "
            f"back it is {network[column, row]:g}",
            "Make it again with the participant workflow",
        )
    measured = ~np.isnan(network).all(axis=0)
    np.fill_diagonal(network, np.where(measured, 0.0, np.nan))
    return network


def mean_regional(paths: Sequence[Path], modality: str, names: list[str]) -> NDArray[np.float64]:
    """Return (2, n_regions) coverage and value beside the networks, averaged over runs."""
    return _mean_of_measured(np.stack([_regional(path, modality, names) for path in paths]))


def _regional(path: Path, modality: str, names: list[str]) -> NDArray[np.float64]:
    """Read coverage and value of one scan; NaN where there is no table of it."""
    found = np.full((2, len(names)), np.nan)
    tables = regional_tables(path, modality)
    for row, what in enumerate(("coverage", "value")):
        if what not in tables:
            continue
        frame = io.load_table(tables[what], required=("name",))
        _check_regions(frame["name"].astype(str).tolist(), names, tables[what])
        wanted = ("coverage",) if what == "coverage" else ("value", "volume")
        column = next((each for each in wanted if each in frame), None)
        if column is None:
            have = ", ".join(map(str, frame.columns))
            raise DataError(tables[what], f"has no column {what!r}; it has {have}", "Make it again")
        found[row] = pd.to_numeric(frame[column]).to_numpy(dtype=np.float64)
    return found


def _check_regions(have: list[str], want: list[str], path: Path) -> None:
    """Raise where a file's regions are not the atlas's, in order."""
    if have == want:
        return
    missing, extra = [n for n in want if n not in have], [n for n in have if n not in want]
    if missing or extra:
        problem = (
            f"has {len(have)} regions where the atlas has {len(want)}: missing "
            f"{_some(missing)}; not in the atlas {_some(extra)}"
        )
    else:
        first = next(i for i, (a, b) in enumerate(zip(have, want, strict=False)) if a != b)
        problem = (
            f"has the atlas's regions in another order: number {first + 1} is {have[first]!r} "
            f"where the atlas has {want[first]!r}"
        )
    raise DataError(path, problem, "Run the participant workflow again with this atlas")


def _some(names: list[str]) -> str:
    """Name the first five."""
    shown = ", ".join(names[:5]) or "none"
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _mean_of_measured(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis without NaN; NaN where nothing was measured."""
    measured = ~np.isnan(values)
    count = measured.sum(axis=0)
    total = np.where(measured, values, 0.0).sum(axis=0)
    mean: NDArray[np.float64] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


def participants_table(
    out_dir: Path, participants: pd.DataFrame | Path | str | None, session: str | None
) -> tuple[pd.DataFrame | None, str]:
    """Return the table indexed by subject label, and what to call it in messages."""
    if participants is None and not (out_dir / "participants.tsv").exists():
        return None, "participants.tsv"
    if isinstance(participants, pd.DataFrame):
        source, table = Path("participants table"), participants.copy()
    else:
        source = out_dir / "participants.tsv" if participants is None else Path(participants)
        table = io.load_table(source)
    if "participant_id" not in table.columns:
        have = ", ".join(map(str, table.columns))
        raise DataError(source, f"has no column 'participant_id'; it has {have}", "Add it")
    if session is not None and "session_id" in table.columns:
        of_session = table["session_id"].astype(str).str.removeprefix("ses-") == session
        table = table[of_session]
    labels = table["participant_id"].astype(str).str.removeprefix("sub-")
    _refuse_hostile(labels, source)
    twice = sorted(set(labels[labels.duplicated()]))
    if twice:
        raise DataError(
            source,
            f"lists participants more than once: {_some(twice)}",
            "Keep one row each, or give a column session_id and pass session",
        )
    return table.assign(participant_id="sub-" + labels).set_index(labels.to_numpy()), source.name


def _refuse_hostile(labels: pd.Series, source: Path) -> None:
    """Raise for a participant whose name could be taken for a path or hides what it says."""
    for label in labels:
        if not label.isprintable() or any(each in label for each in ("/", "\\", "..")):
            what = f"holds participant_id {shown(label)!r}, which no participant can have"
            raise DataError(source, what, "Give letters and digits after sub-")


def words(values: ArrayLike) -> NDArray[np.str_]:
    """Return values as text that is the same whatever table or file they came through.

    Parameters
    ----------
    values : (n,) array of numbers, truth values or text

    Returns
    -------
    (n,) array of str
        Truth values as ``true`` and ``false``, whole numbers without a point, what is missing
        (NaN, None, empty) as ``n/a``.

    Examples
    --------
    >>> words([1.0, 0.5, np.nan]).tolist(), words([True, False]).tolist()
    (['1', '0.5', 'n/a'], ['true', 'false'])
    """
    return np.array([_word(each) for each in np.asarray(values, dtype=object)], dtype=str)


def _word(value: object) -> str:
    if pd.isna(value) or str(value) in _MISSING:  # type: ignore[call-overload]
        return "n/a"
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
