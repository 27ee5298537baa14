"""Tables of several visits a participant: the first one, and who converts from MCI to AD when."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from brainnet.cohort.stages import read_stages
from brainnet.io import DataError

__all__ = ["baseline", "check_visits", "conversion"]

Reverters = Literal["exclude", "keep"]

_YEAR: Final = 365.25  # days
_TIMES: Final = ("years", "date")
_SLACK: Final = 1e-9  # years: a visit on the day of the horizon is at the horizon


def check_visits(table: pd.DataFrame, *, path: Path | str = "visits table") -> pd.DataFrame:
    """Return the table with times in years since each participant's first visit.

    Parameters
    ----------
    table : DataFrame
        One row a visit: ``participant_id``, ``session_id``, and ``years`` (a number; of any
        origin) or ``date`` (ISO 8601, as 2019-03-31). The rows of a participant stand in order
        of time; they need not stand together.
    path : path
        Where the table is from, for messages.

    Returns
    -------
    DataFrame
        The rows as they are, with ``years`` since the first visit as the table has it.

    Raises
    ------
    DataError
        A column that is not there, a visit without participant, session or time, two rows for
        one session, or a later row with an earlier or the same time.

    Examples
    --------
    >>> table = pd.DataFrame({"participant_id": ["01", "01"], "session_id": ["1", "2"],
    ...                       "date": ["2019-01-01", "2020-01-01"]})
    >>> check_visits(table)["years"].round(2).tolist()
    [0.0, 1.0]
    """
    wanted = ["participant_id", "session_id"]
    time = next((name for name in _TIMES if name in table), None)
    missing = [name for name in wanted if name not in table]
    if missing or time is None:
        lacks = [*missing, *([] if time else ["years or date"])]
        have = ", ".join(map(str, table.columns))
        raise DataError(path, f"has no column {', '.join(lacks)}; it has {have}", "Add it")
    checked = table.reset_index(drop=True)
    who = [f"{row.participant_id} {row.session_id}" for row in checked.itertuples()]
    empty = checked[wanted].isna().any(axis=1)
    if empty.any():
        lines = (np.flatnonzero(empty) + 2).tolist()[:10]
        raise DataError(path, f"lines {lines} lack a participant or session", "Complete them")
    twice = checked.duplicated(wanted)
    if twice.any():
        raise DataError(
            path,
            f"has more than one row for {_some(who, twice)}",
            "Keep one row for each session of a participant",
        )
    checked["years"] = _years(checked[time], who, path)
    first = checked.groupby("participant_id")["years"].transform("first")
    backwards = checked.groupby("participant_id")["years"].diff() <= 0
    if backwards.any():
        raise DataError(
            path,
            f"has visits that are not later than the one before: {_some(who, backwards)}",
            f"Sort the rows by participant and {time}, or correct the {time}",
        )
    return checked.assign(years=checked["years"] - first)


def baseline(table: pd.DataFrame, *, path: Path | str = "visits table") -> pd.DataFrame:
    """Return the first visit of each participant.

    Parameters
    ----------
    table, path
        As for :func:`check_visits`.

    Returns
    -------
    DataFrame
        One row a participant, in the order of the table, with all columns.

    Raises
    ------
    DataError
        As :func:`check_visits`.
    """
    checked = check_visits(table, path=path)
    return checked.drop_duplicates("participant_id").reset_index(drop=True)


def conversion(
    table: pd.DataFrame,
    *,
    horizon: float = 3.0,
    diagnosis: str = "diagnosis",
    reverters: Reverters = "exclude",
    stages: Mapping[Any, str] | None = None,
    path: Path | str = "visits table",
) -> pd.DataFrame:
    """Say who of those with MCI at first has AD within some years, and who is known not to.

    Visits without a diagnosis are passed over; the first visit is the first with one. Progressive
    (``pMCI``) is AD at a visit no later than the horizon; stable (``sMCI``) is a visit without
    AD at the horizon or later, and none with AD before. Of whom that is not known, followed too
    short or not seen between the horizon and AD, is neither.

    Parameters
    ----------
    table : DataFrame
        One row a visit, as for :func:`check_visits`, with the diagnosis.
    horizon : float
        Years from the first visit, positive.
    diagnosis : str
        Its column, as :func:`brainnet.cohort.stages.read_stages` reads it.
    reverters : {"exclude", "keep"}
        What becomes of those diagnosed CN after MCI who never have AD, and of those whose AD is
        taken back at a later visit: they are in neither group, or they count by the rules above
        (the first AD is conversion, CN is no AD).
    stages : mapping, optional
        Stage of your own labels.
    path : path
        Where the table is from, for messages.

    Returns
    -------
    DataFrame
        One row a participant: ``participant_id``; ``group`` (``sMCI``, ``pMCI``, ``n/a``);
        ``event`` (1 AD, 0 not yet) and ``time`` (years from the first visit to the first with
        AD, or to the last), for survival models, both NaN unless MCI at first or where reverters
        are excluded; ``why``: in words, why ``n/a``, else empty.

    Raises
    ------
    DataError
        As :func:`check_visits`; a diagnosis that is no stage, or no such column.
    ValueError
        A horizon that is not positive, or another word for ``reverters``.

    Notes
    -----
    The time of conversion is that of the visit at which it was seen; it happened at some time
    since the visit before. A group by horizon leaves out who was followed too short, which
    differs by study; survival models use everybody.

    Examples
    --------
    >>> table = pd.DataFrame({
    ...     "participant_id": ["01", "01", "02", "02", "03"],
    ...     "session_id": ["bl", "m24", "bl", "m48", "bl"],
    ...     "years": [0, 2, 0, 4, 0], "diagnosis": ["MCI", "AD", "MCI", "MCI", "CN"]})
    >>> conversion(table)[["participant_id", "group", "event", "time"]].values.tolist()
    [['01', 'pMCI', 1.0, 2.0], ['02', 'sMCI', 0.0, 4.0], ['03', 'n/a', nan, nan]]
    """
    if not horizon > 0:
        raise ValueError(f"horizon must be positive; got {horizon}.")
    if reverters not in ("exclude", "keep"):
        raise ValueError(f"reverters must be 'exclude' or 'keep'; got {reverters!r}.")
    checked = check_visits(table, path=path)
    if diagnosis not in checked:
        have = ", ".join(map(str, table.columns))
        raise DataError(path, f"has no column {diagnosis}; it has {have}", "Give diagnosis=")
    stage = read_stages(checked[diagnosis], stages=stages, path=path)
    checked = checked.assign(stage=stage)
    rows = []
    for participant, visits in checked.groupby("participant_id", sort=False):
        seen = visits[visits["stage"] != "n/a"]
        course = _course(seen["stage"].tolist(), seen["years"].tolist(), horizon, reverters)
        rows.append((participant, *course))
    return pd.DataFrame(rows, columns=["participant_id", "group", "event", "time", "why"])


def _course(
    stage: list[str], years: list[float], horizon: float, reverters: Reverters
) -> tuple[str, float, float, str]:
    """Group, event, time and why not of one participant's diagnosed visits."""
    if not stage:
        return "n/a", np.nan, np.nan, "no diagnosis"
    if stage[0] != "MCI":
        return "n/a", np.nan, np.nan, f"{stage[0]} at first"
    time = [each - years[0] for each in years]
    if reverters == "exclude":
        if "AD" not in stage and "CN" in stage:
            return "n/a", np.nan, np.nan, "reverted to CN"
        if "AD" in stage and set(stage[stage.index("AD") :]) != {"AD"}:
            return "n/a", np.nan, np.nan, "AD was taken back"
    event = "AD" in stage
    last = time[stage.index("AD")] if event else time[-1]
    without = [each for each in time if each < last or not event]  # visits before any AD
    if event and last <= horizon + _SLACK:
        return "pMCI", 1.0, last, ""
    if without[-1] >= horizon - _SLACK:
        return "sMCI", float(event), last, ""
    why = f"AD only at {last:.1f} years, and " if event else ""
    return "n/a", float(event), last, f"{why}seen without AD for {without[-1]:.1f} years"


def _years(column: pd.Series, who: list[str], path: Path | str) -> pd.Series:
    """Times in years, of any origin."""
    if column.name == "years":
        times = pd.to_numeric(column, errors="coerce").astype(np.float64)
    else:
        dates = pd.to_datetime(column, format="ISO8601", errors="coerce")
        times = (dates - dates.min()).dt.total_seconds() / (86400.0 * _YEAR)
    wrong = pd.Series(~np.isfinite(times.to_numpy()))
    if wrong.any():
        what = "a number" if column.name == "years" else "a date as 2019-03-31"
        raise DataError(
            path,
            f"has {column.name} that is not {what}: {_some(who, wrong)}",
            "Complete it, or leave these visits out",
        )
    return times


def _some(who: list[str], chosen: pd.Series) -> str:
    """Name the first five visits."""
    names = [each for each, yes in zip(who, chosen, strict=True) if yes]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
