"""Which scans a run takes, as ``--bids-filter-file`` and ``--task-id`` say."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainnet import io
from brainnet.bids.names import ENTITIES, ENTITY_ORDER, INDEX_ENTITIES, shown
from brainnet.bids.scans import Scan
from brainnet.io import DataError, DataWarning

#: what a key of the file means: suffix and data type
_KINDS = {"t1w": ("T1w", "anat"), "bold": ("bold", "func"), "pet": ("pet", "pet")}
#: keys that files written for fMRIPrep and its kin have, of images that are not used here
_UNUSED = frozenset({"asl", "dwi", "flair", "fmap", "m0scan", "mask", "phase", "roi", "sbref",
                     "t2w", "t1map", "t2star", "megre", "xfm"})  # fmt: skip
_ANY = ("*", "Query.ANY")
_ABSENT = ("Query.NONE",)


@dataclass(frozen=True)
class Filters:
    """What a filter file asks of each kind of image.

    Attributes
    ----------
    path : Path
        The file.
    queries : dict
        ``t1w``, ``bold``, ``pet`` to conditions: short entity name, ``suffix``, ``datatype`` or
        ``extension``, to the values allowed. Among them None: the entity must be absent; ``*``:
        present with any value.
    """

    path: Path
    queries: Mapping[str, Mapping[str, tuple[str | None, ...]]]


def load_filters(path: Path | str) -> Filters:
    """Read a filter file as fMRIPrep's users know it.

    Parameters
    ----------
    path : path
        JSON object with keys ``t1w``, ``bold``, ``pet``, each an object of entity names, long
        (``session``) or short (``ses``), or ``suffix``, ``datatype``, ``extension``, to a value,
        a list of values, null (must be absent) or ``"*"`` (must be there, any value).

    Returns
    -------
    Filters
        For `filter_scans`.

    Raises
    ------
    DataError
        If the file is no such object: an unknown key, entity or kind of value.

    Warns
    -----
    DataWarning
        A key of images that brainnet does not use (``flair``, ``fmap`` and the like).
    """
    path = Path(path)
    queries = {}
    for key, conditions in io.load_json(path).items():
        if key in _UNUSED:
            text = f"{path.name}: {key!r} is ignored: brainnet uses no such images."
            warnings.warn(text, DataWarning, stacklevel=2)
        elif key not in _KINDS:
            what = f"unknown key {shown(key)!r}"
            raise DataError(path, what, f"The keys are {', '.join(_KINDS)}")
        elif not isinstance(conditions, dict):
            what = f"{key!r} holds {conditions!r:.80}, not an object of entities"
            raise DataError(path, what, 'Write for example {"bold": {"task": "rest"}}')
        else:
            queries[key] = dict(_condition(name, v, path) for name, v in conditions.items())
    return Filters(path, queries)


def _condition(name: str, value: Any, path: Path) -> tuple[str, tuple[str | None, ...]]:
    """Return the short name of an entity and the values allowed."""
    short = ENTITIES.get(name, name)
    if short not in (*ENTITY_ORDER, "suffix", "datatype", "extension"):
        what = f"unknown entity {shown(name)!r}"
        raise DataError(path, what, f"The entities are {', '.join(ENTITIES)}")
    values = value if isinstance(value, list) else [value]
    if not values:
        raise DataError(path, f"{name!r} holds an empty list", "Name a value, null or *")
    return short, tuple(_allowed(short, each, path) for each in values)


def _allowed(short: str, value: Any, path: Path) -> str | None:
    """Return one value as a scan's entities are compared with it."""
    if value is None or value in _ABSENT:
        return None
    if value in _ANY:
        return "*"
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        what = f"{short!r} holds {value!r:.80}"
        raise DataError(path, what, "Give text, a whole number, a list of them, null or *")
    return _plain(short, str(value).removeprefix(f"{short}-"))


def _plain(short: str, value: str) -> str:
    """Return a value so that ``1`` and ``01`` of an entity that counts are equal."""
    counts = short in INDEX_ENTITIES and value.isascii() and value.isdigit()
    return str(int(value)) if counts else value


def filter_scans(
    scans: Sequence[Scan], filters: Filters | None = None, *, tasks: Sequence[str] | None = None
) -> list[Scan]:
    """Return the scans that a run may use, in their order.

    Images of other kinds than T1w, BOLD and PET, and what stands for a participant who cannot be
    read, are kept: they are not what is asked about.

    Parameters
    ----------
    scans : sequence of Scan
        From `brainnet.bids.index`.
    filters : Filters, optional
        From `load_filters`.
    tasks : sequence of str, optional
        Only BOLD runs of these tasks, with or without ``task-``.

    Returns
    -------
    list of Scan
        Those that match.

    Raises
    ------
    DataError
        If the filters leave no T1w image of anybody, where there was one, or a task is one that
        no BOLD run has.
    """
    kept = [scan for scan in scans if filters is None or _matches(scan, filters.queries)]
    if filters is not None and _count(scans, "T1w") and not _count(kept, "T1w"):
        what = f"leaves none of the {_count(scans, 'T1w')} T1w images, on which all else rests"
        raise DataError(filters.path, what, "Loosen the conditions of t1w")
    if tasks is None:
        return kept
    wanted = {task.removeprefix("task-") for task in tasks}
    _check_tasks(wanted, scans)
    return [s for s in kept if s.suffix != "bold" or s.entities.get("task") in wanted]


def _count(scans: Sequence[Scan], suffix: str) -> int:
    return sum(scan.suffix == suffix for scan in scans)


def _check_tasks(wanted: set[str], scans: Sequence[Scan]) -> None:
    """Raise for a task that no BOLD run has, naming those that there are."""
    there = {s.entities["task"] for s in scans if s.suffix == "bold" and "task" in s.entities}
    absent = sorted(wanted - there)
    if absent:
        names = ", ".join(sorted(there)) or "none"
        what = f"no BOLD run of task {', '.join(map(shown, absent))}; there are {names}"
        place = scans[0].path.parent if scans else Path("dataset")
        raise DataError(_top_of(place), what, "Correct --task-id")


def _top_of(folder: Path) -> Path:
    """Return the dataset in which a participant's folder lies."""
    for each in (folder, *folder.parents):
        if each.name.startswith("sub-"):
            return each.parent
    return folder


def _matches(scan: Scan, queries: Mapping[str, Mapping[str, tuple[str | None, ...]]]) -> bool:
    """Say whether a scan meets what is asked of its kind."""
    kind = next((k for k, row in _KINDS.items() if row == (scan.suffix, scan.datatype)), None)
    if kind is None or kind not in queries:
        return True
    extension = ".nii.gz" if scan.path.name.endswith(".gz") else ".nii"
    have = scan.entities | {"suffix": scan.suffix, "datatype": scan.datatype}
    have["extension"] = extension
    return all(_meets(have.get(key), key, allowed) for key, allowed in queries[kind].items())


def _meets(value: str | None, key: str, allowed: tuple[str | None, ...]) -> bool:
    """Say whether a value, or its absence, is among those allowed."""
    if value is None:
        return None in allowed
    return "*" in allowed or _plain(key, value) in allowed
