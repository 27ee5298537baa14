"""Which files of a derivatives folder make up a cohort, and which of them are simulated."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from brainnet import io
from brainnet.bids.names import parse
from brainnet.connectome.kinds import KINDS, first_kinds
from brainnet.io import DataError
from brainnet.modalities import MODALITIES

_NAMES = {kind.stat: kind.name for kind in KINDS.values()}
_VALUES = {"morphological": "volume", "metabolic": "mean"}  # `stat` of the regional value
_RUN_FIRST = "Run the participant level first"
_ANATOMY = "morphological"

_BySubject = dict[str, dict[str, list[Path]]]  # and modality
_Others = dict[tuple[str, str], set[str]]  # modality and kind of edges, to subjects


@dataclass(frozen=True)
class Sources:
    """What of a derivatives dataset makes up a cohort.

    Attributes
    ----------
    networks : dict of str to dict of str to list of Path
        Network files by subject and modality; several where runs are averaged.
    simulated : frozenset of (str, str)
        Subject and modality whose network says ``"Simulated": true`` in its sidecar.
    failed : dict of str to str
        Subjects whose last run at the participant level failed, was ended or goes on still, and
        why (one line). What stands
        in their folders may be of an earlier run, so they are in no network above.
    notes : tuple of str
        What was chosen among sessions, tasks, tracers; for the user.
    files : tuple of Path
        Every file that the choice and the numbers depend on, save the participants table.
    """

    networks: _BySubject
    simulated: frozenset[tuple[str, str]]
    failed: dict[str, str]
    notes: tuple[str, ...]
    files: tuple[Path, ...]


def sources(
    out_dir: Path | str,
    atlas: str,
    session: str | None = None,
    *,
    kinds: str | Sequence[str] = (),
) -> Sources:
    """List what :func:`brainnet.cohort.gather` reads.

    Parameters
    ----------
    out_dir : path
        Top of the derivatives dataset.
    atlas : str
        Name of the atlas, ``seg-<name>`` in file names.
    session : str, optional
        Session label, with or without ``ses-``; by default each participant's first by name of
        those with function or PET (measured before simulated), else the first.
    kinds : str or sequence of str, optional
        Kinds of edges (``connectome.kinds.KINDS``); of each signal the first counts, the default
        is ``pearson`` and ``js``.

    Returns
    -------
    Sources
        Of several tasks ``rest``, else the first by name; a measured scan before a simulated one.
        A session without a morphological network has that of the participant's first session
        with one: its T1w image is what the participant level used.

    Raises
    ------
    DataError
        No such folder, or no network of that atlas, session and kind of anybody whose run went
        well.
    ValueError
        If a kind is unknown.
    """
    out_dir = Path(out_dir)
    stats: dict[str, str] = {signal: kind.stat for signal, kind in first_kinds(kinds).items()}
    session = None if session is None else session.removeprefix("ses-")
    if not out_dir.is_dir():
        raise DataError(out_dir, "is not a folder", _RUN_FIRST)
    logs = [*sorted(out_dir.glob("logs/sub-*.running")), *sorted(out_dir.glob("logs/sub-*.failed"))]
    failed = {path.stem.removeprefix("sub-"): _first_line(path) for path in logs}
    networks: _BySubject = {}
    notes: list[str] = []
    others: _Others = {}
    files = [path for path in (out_dir / "dataset_description.json",) if path.exists()] + logs
    for folder in sorted(each for each in out_dir.glob("sub-*") if each.is_dir()):
        label = folder.name.removeprefix("sub-")
        sessions = {} if label in failed else _sessions(folder, atlas, stats, others)
        wanted = _default_session(sessions) if session is None else session
        if wanted in sessions:
            notes += _other_sessions(folder.name, sessions, wanted) if session is None else []
            networks[label] = {
                modality: _choose(paths, modality, folder.name, notes)
                for modality, paths in _with_anatomy(folder.name, sessions, wanted, notes).items()
            }
            files += _depends_on(sessions, networks[label])
    if not networks:
        raise _nothing(out_dir, atlas, session, failed, others)
    notes += _of_other_kinds(networks, others)
    simulated = frozenset(
        (label, modality)
        for label, chosen in networks.items()
        for modality, paths in chosen.items()
        if any(map(is_simulated, paths))
    )
    return Sources(networks, simulated, failed, tuple(notes), tuple(files))


def _first_line(path: Path) -> str:
    """Return why a participant failed, on one line."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return next(filter(None, lines), "no reason was recorded")


def _of_other_kinds(networks: _BySubject, others: _Others) -> list[str]:
    """Say of modalities whose networks somebody has of another kind only."""
    notes = []
    for (modality, kind), labels in sorted(others.items()):
        only = [label for label in sorted(labels) if modality not in networks.get(label, {})]
        if only:
            names = ", ".join(f"sub-{label}" for label in only[:5])
            notes.append(
                f"{len(only)} participants ({names}{' ...' if len(only) > 5 else ''}) have no "
                f"{modality} network of the kind asked for, but one of {kind}: ask for that kind, "
                "or run the participant level with this one."
            )
    return notes


def _nothing(
    out_dir: Path,
    atlas: str,
    session: str | None,
    failed: dict[str, str],
    others: _Others,
) -> DataError:
    """Return the error for a dataset without a single network to use."""
    which = f"atlas {atlas!r}" + (f" and session {session!r}" if session else "")
    problem = f"holds no network (sub-*/*/*_relmat.tsv) of {which}"
    if failed:
        label, reason = next(iter(failed.items()))
        problem += f"; {len(failed)} participants failed, sub-{label} since: {reason}"
    if others:
        kinds = sorted({kind for _, kind in others})
        remedy = f"There are networks of {', '.join(kinds)}: ask for them with --connectome"
        return DataError(out_dir, f"{problem} and kind", remedy)
    return DataError(out_dir, problem, f"{_RUN_FIRST}, or name the atlas and session it ran with")


def _sessions(folder: Path, atlas: str, stats: Mapping[str, str], others: _Others) -> _BySubject:
    """Return one participant's network files, by session ('' for none) and modality.

    Whoever has one of another kind is added to ``others``, by modality and kind.
    """
    label = folder.name.removeprefix("sub-")
    sessions: _BySubject = {}
    for name, modality in MODALITIES.items():
        for pattern in (
            f"{modality.datatype}/*_relmat.tsv",
            f"ses-*/{modality.datatype}/*_relmat.tsv",
        ):
            for path in sorted(folder.glob(pattern)):
                entities, _ = parse(path.stem)
                if entities.get("seg") != atlas:
                    continue
                stat = entities.get("stat", "")
                if stat != stats[modality.kind]:
                    others.setdefault((name, _NAMES.get(stat, stat)), set()).add(label)
                else:
                    ours = sessions.setdefault(entities.get("ses", ""), {})
                    ours.setdefault(name, []).append(path)
    return dict(sorted(sessions.items()))


def _default_session(sessions: _BySubject) -> str:
    """Return the first session with measured function or PET, else with any, else the first."""
    if len(sessions) < 2:
        return min(sessions, default="")

    def rank(name: str) -> tuple[bool, bool, str]:
        ours = sessions[name].items()
        paths = [path for modality, each in ours if modality != _ANATOMY for path in each]
        return all(map(is_simulated, paths)), not paths, name

    return min(sessions, key=rank)


def _anatomy_of(sessions: _BySubject, wanted: str) -> str:
    """Return the session whose morphological network goes with a session; its own if none has."""
    having = [name for name, ours in sessions.items() if _ANATOMY in ours]
    return wanted if wanted in having or not having else having[0]


def _with_anatomy(
    who: str, sessions: _BySubject, wanted: str, notes: list[str]
) -> dict[str, list[Path]]:
    """Return a session's networks, with another's morphological one where it has none."""
    lender = _anatomy_of(sessions, wanted)
    if lender == wanted:
        return sessions[wanted]
    notes.append(
        f"{who} has no {_ANATOMY} network of session {wanted or 'none'}: that of session "
        f"{lender or 'none'} is used, so change of the anatomy between them is not followed."
    )
    return sessions[wanted] | {_ANATOMY: sessions[lender][_ANATOMY]}


def _other_sessions(who: str, sessions: _BySubject, wanted: str) -> list[str]:
    """Say which session is used, where another holds more than the anatomy used with it."""
    lender = _anatomy_of(sessions, wanted)
    wholly_used = {wanted, lender} if set(sessions[lender]) == {_ANATOMY} else {wanted}
    if wholly_used.issuperset(sessions):
        return []
    names = ", ".join(name or "none" for name in sessions if name not in wholly_used - {wanted})
    return [
        f"{who} has networks of sessions {names}: {wanted or 'none'} is used, the others "
        "are not. Pass session to choose."
    ]


def _choose(paths: list[Path], modality: str, who: str, notes: list[str]) -> list[Path]:
    """Return the runs of one task (functional), or the first network (all others)."""
    measured = [path for path in paths if not is_simulated(path)]
    if measured and len(measured) < len(paths):
        notes.append(
            f"{who} has measured and simulated {modality} networks: only what was measured is "
            "used. Remove the simulated ones to silence this."
        )
    paths = measured or paths
    if MODALITIES[modality].kind != "timeseries":
        if len(paths) > 1:
            notes.append(
                f"{who} has {len(paths)} {modality} networks: {paths[0].name} is used, the "
                "others are not. Remove what should not count."
            )
        return paths[:1]
    tasks = sorted({task_of(path) for path in paths})
    task = preferred_task(tasks)
    if len(tasks) > 1:
        notes.append(
            f"{who} has {modality} networks of tasks {', '.join(tasks)}: {task} is used, the "
            "others are not, since tasks change connectivity. Remove what should not count."
        )
    runs = [path for path in paths if task_of(path) == task]
    differ = _differ([parse(path.stem)[0] for path in runs])
    if differ:
        notes.append(
            f"{who} has {len(runs)} {modality} networks{f' of task {task}' if task else ''} that "
            f"differ in {'; '.join(differ)}: their mean is used, as of runs of one acquisition. "
            "Remove what should not count."
        )
    return runs


def _differ(runs: Sequence[Mapping[str, str]]) -> list[str]:
    """Return in what entities runs differ, and how; the number of the run does not count."""
    found = []
    for key in dict.fromkeys(key for each in runs for key in each if key != "run"):
        values = sorted({each.get(key, "none") for each in runs})
        found += [f"{key} ({', '.join(values)})"] if len(values) > 1 else []
    return found


def preferred_task(tasks: Iterable[str]) -> str:
    """Return the task that counts of several: ``rest``, else none (''), else the first by name.

    Examples
    --------
    >>> preferred_task(["faces", "rest"]), preferred_task(["faces", ""])
    ('rest', '')
    """
    return min(tasks, key=lambda task: (task != "rest", task))


def task_of(path: Path) -> str:
    """Return the task of a file, '' where it has none."""
    return parse(path.stem)[0].get("task", "")


def is_simulated(network: Path) -> bool:
    """Say whether a network's sidecar says that it was made from simulated data."""
    sidecar = network.with_suffix(".json")
    return sidecar.exists() and bool(io.load_json(sidecar).get("Simulated", False))


def _depends_on(sessions: _BySubject, chosen: dict[str, list[Path]]) -> Iterator[Path]:
    """Yield one participant's files: all candidates, their sidecars, the chosen ones' tables."""
    for candidates in sessions.values():
        for path in (each for paths in candidates.values() for each in paths):
            yield path
            if path.with_suffix(".json").exists():
                yield path.with_suffix(".json")
    for modality, paths in chosen.items():
        for path in paths:
            yield from regional_tables(path, modality).values()


def regional_tables(network: Path, modality: str) -> dict[str, Path]:
    """Return the tables of ``coverage`` and ``value`` of a network's scan, where there are."""
    stats = {"coverage": "coverage", "value": _VALUES.get(modality)}
    found = {name: _beside(network, stat) for name, stat in stats.items() if stat}
    return {name: path for name, path in found.items() if path is not None}


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
