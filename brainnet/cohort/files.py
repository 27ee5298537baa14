"""Which files of a derivatives folder make up a cohort, and what stands in them."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainnet import io
from brainnet.bids.names import parse
from brainnet.io import DataError, DataWarning
from brainnet.modalities import MODALITIES

_NETWORK = {"timeseries": "pearsoncorrelation", "samples": "jssimilarity"}  # `stat`, by kind
_VALUES = {"morphological": "volume", "metabolic": "mean"}  # `stat` of the regional value
_FISHER_LIMIT = 1 - 1e-7
_TOLERANCE = 1e-5  # of symmetry; a table may hold fewer digits than float64


def warn(text: str) -> None:
    """Warn whoever called the public function."""
    warnings.warn(text, DataWarning, stacklevel=4)


def find(out_dir: Path, atlas_name: str, session: str | None) -> dict[str, dict[str, list[Path]]]:
    """Return the network files to use, by subject and modality."""
    if not out_dir.is_dir():
        raise DataError(out_dir, "is not a folder", "Run the participant workflow first")
    found = {}
    for folder in sorted(each for each in out_dir.glob("sub-*") if each.is_dir()):
        sessions = _sessions(folder, atlas_name)
        if session is None and len(sessions) > 1:
            warn(
                f"{folder.name} has networks of sessions {', '.join(sessions)}: {min(sessions)} "
                "is used, the others are not. Pass session to choose."
            )
        wanted = min(sessions, default="") if session is None else session
        if wanted in sessions:
            found[folder.name.removeprefix("sub-")] = {
                modality: _choose(paths, modality, folder.name)
                for modality, paths in sessions[wanted].items()
            }
    if not found:
        which = f"atlas {atlas_name!r}" + (f" and session {session!r}" if session else "")
        raise DataError(
            out_dir,
            f"holds no network (sub-*/*/*_relmat.tsv) of {which}",
            "Run the participant workflow with that atlas, or name the one it ran with",
        )
    return found


def _sessions(folder: Path, atlas_name: str) -> dict[str, dict[str, list[Path]]]:
    """Return one participant's network files, by session ('' for none) and modality."""
    sessions: dict[str, dict[str, list[Path]]] = {}
    for name, modality in MODALITIES.items():
        for pattern in (
            f"{modality.datatype}/*_relmat.tsv",
            f"ses-*/{modality.datatype}/*_relmat.tsv",
        ):
            for path in sorted(folder.glob(pattern)):
                entities, _ = parse(path.stem)
                kind = (entities.get("seg"), entities.get("stat"))
                if kind == (atlas_name, _NETWORK[modality.kind]):
                    ours = sessions.setdefault(entities.get("ses", ""), {})
                    ours.setdefault(name, []).append(path)
    return dict(sorted(sessions.items()))


def _choose(paths: list[Path], modality: str, who: str) -> list[Path]:
    """Return the runs of one task (functional), or the first network (all others)."""
    if len(paths) == 1:
        return paths
    if MODALITIES[modality].kind != "timeseries":
        warn(
            f"{who} has {len(paths)} {modality} networks: {paths[0].name} is used, the others are "
            "not. Remove what should not count."
        )
        return paths[:1]
    tasks = sorted({task_of(path) for path in paths})
    task = "rest" if "rest" in tasks else tasks[0]
    if len(tasks) > 1:
        warn(
            f"{who} has {modality} networks of tasks {', '.join(tasks)}: {task} is used, the "
            "others are not, since tasks change connectivity. Remove what should not count."
        )
    return [path for path in paths if task_of(path) == task]


def task_of(path: Path) -> str:
    """Return the task of a file, '' where it has none."""
    return parse(path.stem)[0].get("task", "")


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
    for row, stat in enumerate(("coverage", _VALUES.get(modality))):
        table = _beside(path, stat) if stat else None
        if table is not None:
            frame = io.load_table(table, required=("name",))
            _check_regions(frame["name"].astype(str).tolist(), names, table)
            wanted = ("coverage",) if stat == "coverage" else ("value", "volume")
            column = next((each for each in wanted if each in frame), None)
            if column is None:
                have = ", ".join(map(str, frame.columns))
                raise DataError(
                    table, f"has no column {wanted[0]!r}; it has {have}", "Make it again"
                )
            found[row] = pd.to_numeric(frame[column]).to_numpy(dtype=np.float64)
    return found


def _beside(network: Path, stat: str) -> Path | None:
    """Return the regional table of the same scan and atlas, None where there is none."""
    own = _scan_entities(network)
    for path in sorted(network.parent.glob(f"*_stat-{stat}*.tsv")):
        if not path.name.endswith("_relmat.tsv") and _scan_entities(path) == own:
            return path
    return None


def _scan_entities(path: Path) -> dict[str, str]:
    """Return the entities that tell scans and atlases apart, not the tables of one scan."""
    entities, _ = parse(path.stem)
    return {key: value for key, value in entities.items() if key not in ("stat", "desc")}


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
    twice = sorted(set(labels[labels.duplicated()]))
    if twice:
        raise DataError(
            source,
            f"lists participants more than once: {_some(twice)}",
            "Keep one row each, or give a column session_id and pass session",
        )
    return table.assign(participant_id="sub-" + labels).set_index(labels.to_numpy()), source.name
