"""Walk a BIDS dataset: names only, and the sidecars that apply."""

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from brainnet import io
from brainnet.bids.ignore import Ignored
from brainnet.bids.names import LABEL, parse, shown
from brainnet.bids.scans import Scan
from brainnet.bids.sidecars import Sidecars
from brainnet.io import DataError, DataWarning
from brainnet.modalities import MODALITIES, modality_of

_EXTENSIONS = (".nii.gz", ".nii")
_SURFACES = tuple(
    f".{kind}.nii" for kind in ("dtseries", "dscalar", "dlabel", "dconn", "ptseries", "pscalar",
                                "plabel", "pconn")
)  # fmt: skip
_UNREADABLE = "Check the link or the rights of the folder"


def index(
    bids_dir: Path | str,
    *,
    subjects: Sequence[str] | None = None,
    derivative: bool | None = None,
    unignored: Sequence[str] = (),
) -> list[Scan]:
    """Return every image of a BIDS dataset, sorted by participant and path.

    A raw dataset or a derivative one: in the latter, masks, probability maps and images in
    another space are found by their entities (``space``, ``desc``, ``label``, ``res``). What
    ``.bidsignore`` names is left out. Links are followed, for reading, also where they lead out
    of the dataset, as those of git-annex and of shared disks do.

    Parameters
    ----------
    bids_dir : path
        Folder with ``dataset_description.json`` and ``sub-*`` folders.
    subjects : sequence of str, optional
        Labels, with or without ``sub-``; everybody by default.
    derivative : bool, optional
        Whether the dataset is a derivative one; by default what its description says, and raw
        where it does not say.
    unignored : sequence of str
        Data types that are taken though ``.bidsignore`` names them, such as ``ct``.

    Returns
    -------
    list of Scan
        Images (``.nii``, ``.nii.gz``) in the data type folders, of whatever modality. What is
        wrong with one participant's names, folders or sidecars stands in ``Scan.problem``, so
        that the others can be processed.

    Raises
    ------
    DataError
        Folder missing, without ``dataset_description.json`` or without participants; a
        participant asked for is not there; two participants differ in case only; a sidecar at
        the top of the dataset is damaged; no image, or in a raw dataset none of a known modality.

    Warns
    -----
    DataWarning
        A file or folder whose name is not a BIDS name: it is left out.
    """
    root = Path(bids_dir)
    labels = participants(root, labels=subjects)
    walk = _Walk(root, labels, unignored)
    scans = [scan for label in labels for scan in walk.participant(label)]
    if derivative is None:
        kind = io.load_json(root / "dataset_description.json").get("DatasetType")
        derivative = kind == "derivative"
    known = any(modality_of(scan.suffix, scan.datatype) for scan in scans)
    if not (known or (derivative and scans) or any(scan.problem for scan in scans)):
        rows = ", ".join(f"{row.datatype}/*_{row.suffix}" for row in MODALITIES.values())
        what = f"none of its {len(scans)} images is a scan of a known modality ({rows})"
        raise DataError(root, what, "Check folder and file names with the BIDS validator")
    return scans


def participants(bids_dir: Path | str, *, labels: Sequence[str] | None = None) -> list[str]:
    """Return the labels of a dataset's participants, sorted.

    Parameters
    ----------
    bids_dir : path
        Folder with ``dataset_description.json`` and ``sub-*`` folders.
    labels : sequence of str, optional
        The ones wanted, with or without ``sub-``.

    Returns
    -------
    list of str
        Labels without ``sub-``: of everybody, or those wanted, each once.

    Raises
    ------
    DataError
        Folder missing or not a BIDS dataset, nobody in it, somebody wanted is not in it, or two
        of them differ in case only.

    Warns
    -----
    DataWarning
        A folder ``sub-*`` whose label is not letters and digits: it is left out. Nobody else's
        folder is looked at where all those wanted are there.
    """
    root = Path(bids_dir)
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "the dataset folder does not exist"
        raise DataError(root, problem, "Give the folder that holds dataset_description.json")
    if not (root / "dataset_description.json").exists():
        what = "no dataset_description.json: this is not the top of a BIDS dataset"
        raise DataError(root, what, "Give that folder, or write the file (Name, BIDSVersion)")
    io.load_json(root / "dataset_description.json")
    chosen = _there(root, labels)
    if not chosen:
        found = _labels(root)
        if not found:
            what = "no participant folder (sub-*)"
            raise DataError(root, what, "Add one, or give another dataset")
        chosen = found if labels is None else _wanted(labels, found, root)
    _refuse_equal_but_for_case(chosen, root)
    return chosen


def _there(root: Path, labels: Sequence[str] | None) -> list[str]:
    """Return the labels asked for if all have a folder, without listing the others' folders."""
    ignored = Ignored(root)
    wanted = sorted({label.removeprefix("sub-") for label in labels or ()})
    names = [f"sub-{label}" for label in wanted if LABEL.fullmatch(label)]
    try:
        there = [name for name in names if f"{name}/" not in ignored and (root / name).is_dir()]
    except OSError:  # told of the participant when the folder is listed
        return []
    return wanted if len(there) == len(wanted) else []


def _labels(root: Path) -> list[str]:
    """Return the labels of the participants' folders, sorted; tell of those that are none."""
    ignored = Ignored(root)
    names = [name for name in _names(root).folders if name.startswith("sub-")]
    names = [name for name in names if f"{name}/" not in ignored]
    strange = [name for name in names if not LABEL.fullmatch(name[4:])]
    for name in strange:
        _left_out(shown(name), "not a BIDS label (letters and digits)", "folder")
    return [name[4:] for name in names if name not in strange]


def _wanted(labels: Sequence[str], found: list[str], root: Path) -> list[str]:
    """Return the labels asked for, or say which are not there."""
    wanted = sorted({label.removeprefix("sub-") for label in labels})
    absent = sorted(set(wanted) - set(found))
    if absent:
        there = ", ".join(found[:20]) + (f" and {len(found) - 20} more" if len(found) > 20 else "")
        what = f"no participant {', '.join(map(shown, absent))}; there are {there}"
        raise DataError(root, what, "Ask for one of those")
    return wanted


def _refuse_equal_but_for_case(labels: Sequence[str], root: Path) -> None:
    """Raise for labels whose results a disk that does not tell case apart would mix."""
    seen: dict[str, str] = {}
    for label in labels:
        other = seen.setdefault(label.lower(), label)
        if other != label:
            what = f"sub-{other} and sub-{label} differ in case only, and many disks mix the two up"
            raise DataError(root, what, "Rename one of them")


@dataclass
class _Names:
    """What a folder holds, sorted, without hidden names."""

    folders: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    sidecars: list[str] = field(default_factory=list)


def _names(folder: Path | str) -> _Names:
    """List a folder, once; links to folders count as folders, also where they lead in circles."""
    names = _Names()
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if name.endswith(".json"):
                names.sidecars.append(name)
            elif name.endswith(_EXTENSIONS):
                names.images.append(name)
            elif _is_folder(entry):
                names.folders.append(name)
    for each in (names.folders, names.images, names.sidecars):
        each.sort()
    return names


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Say whether an entry is a folder; one that cannot be followed is, and fails when listed."""
    try:
        return entry.is_dir()
    except OSError:
        return True


def _left_out(what: str, why: str, kind: str) -> None:
    text = f"{what}: {why}. The {kind} is left out; rename it to include it."
    warnings.warn(text, DataWarning, stacklevel=4)


class _Walk:
    """Goes through participants' folders, one after another."""

    def __init__(self, root: Path, labels: Sequence[str], unignored: Sequence[str]) -> None:
        self._root, self._top = root, os.fspath(root).rstrip("/")
        self._ignored = Ignored(root, but=unignored)
        self._sidecars = Sidecars(root)
        self._sidecars.add("", self._top_sidecars(set(labels)))

    def _top_sidecars(self, labels: set[str]) -> list[str]:
        """List the JSON files at the top, without those of participants who are not wanted."""
        with os.scandir(self._root) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(".json"))
        return [
            name
            for name in names
            if not name.startswith(".")
            and (not name.startswith("sub-") or re.split(r"[_.]", name[4:])[0] in labels)
            and name not in self._ignored
        ]

    def participant(self, label: str) -> list[Scan]:
        """Return the images of a participant, or one scan that says why there are none."""
        top = f"sub-{label}"
        folders = [top]
        try:
            scans = self._subject(top, folders)
        except OSError as error:
            what = f"cannot be listed ({error.strerror})"
            path = Path(error.filename or self._root / top)
            problem = DataError(path, what, _UNREADABLE)
            return [Scan(path, label, None, {"sub": label}, "", "", problem=problem)]
        finally:
            for folder in folders:
                self._sidecars.forget(folder)
        return _marked(scans)

    def _subject(self, top: str, visited: list[str]) -> list[Scan]:
        """Return the images of a participant's own folder and of the sessions' folders."""
        names = self._list(top)
        self._sidecars.add(top, names.sidecars)
        scans: list[Scan] = []
        for name in names.folders:
            inside = f"{top}/{name}"
            if not name.startswith("ses-"):
                scans += self._datatype(name, ["", top], visited)
            elif LABEL.fullmatch(name[4:]):
                visited.append(inside)
                session = self._list(inside)
                self._sidecars.add(inside, session.sidecars)
                for each in session.folders:
                    scans += self._datatype(each, ["", top, inside], visited)
            else:
                _left_out(shown(inside), "not a BIDS label (letters and digits)", "folder")
        return scans

    def _datatype(self, name: str, above: list[str], visited: list[str]) -> list[Scan]:
        """Return the images of one data type folder."""
        folder = f"{above[-1]}/{name}"
        visited.append(folder)
        names = self._list(folder)
        if names.images and not LABEL.fullmatch(name):
            _left_out(shown(folder), "not a BIDS data type", "folder")
            return []
        self._sidecars.add(folder, names.sidecars)
        levels = [*above, folder]
        scans = [self._scan(image, levels) for image in names.images]
        return [scan for scan in scans if scan is not None]

    def _list(self, folder: str) -> _Names:
        """List a folder of the dataset without what is to be ignored."""
        names = _names(f"{self._top}/{folder}")
        if self._ignored:
            for each, end in ((names.folders, "/"), (names.images, ""), (names.sidecars, "")):
                each[:] = [name for name in each if self._path(folder, name, end) not in
                           self._ignored]  # fmt: skip
        return names

    @staticmethod
    def _path(folder: str, name: str, end: str) -> str:
        return f"{folder}/{name}{end}" if folder else f"{name}{end}"

    def _scan(self, name: str, levels: list[str]) -> Scan | None:
        """Return the scan in a file, or None with a warning where its name is not BIDS."""
        if name.endswith(_SURFACES):
            return None
        entities, suffix = parse(name.removesuffix(".gz").removesuffix(".nii"))
        if not suffix or "sub" not in entities:
            _left_out(shown(name), "not a BIDS name", "file")
            return None
        *owners, datatype = levels[-1].split("/")
        path = Path(f"{self._top}/{levels[-1]}/{name}")
        metadata, problem = self._metadata(levels, entities, suffix)
        said = [f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities]
        if said != owners:
            what = f"lies in {levels[-1]} but its name says {'/'.join(said)}"
            remedy = "Find out whose scan it is, then move or rename it"
            problem = DataError(path, what, remedy)
        session = owners[1][4:] if len(owners) > 1 else None
        return Scan(path, owners[0][4:], session, entities, suffix, datatype, metadata, problem)

    def _metadata(
        self, levels: list[str], entities: dict[str, str], suffix: str
    ) -> tuple[dict[str, Any], DataError | None]:
        """Return the metadata of an image, or what is wrong with its participant's sidecars."""
        try:
            return self._sidecars.metadata(levels, entities, suffix), None
        except DataError as error:
            if error.path.parent == self._root:  # everybody's: the dataset is at fault
                raise
            return {}, DataError(error.path, error.problem, error.remedy)


def _marked(scans: list[Scan]) -> list[Scan]:
    """Give a problem to images whose results would have one name, on some disk at least."""
    first: dict[str, Path] = {}
    clashes: dict[Path, Path] = {}
    for scan in scans:
        name = scan.path.name.removesuffix(".gz").removesuffix(".nii").lower()
        other = first.setdefault(f"{scan.path.parent}/{name}", scan.path)
        if other != scan.path:
            clashes |= {scan.path: other, other: scan.path}
    return [_clashing(scan, clashes[scan.path]) if scan.path in clashes else scan for scan in scans]


def _clashing(scan: Scan, other: Path) -> Scan:
    what = f"and {other.name} beside it differ in case or extension only: results would mix"
    return replace(scan, problem=DataError(scan.path, what, "Remove or rename one of them"))
