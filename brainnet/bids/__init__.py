"""Find the scans of a BIDS dataset, with their metadata, and name what is made of them.

The index reads file names only, so it is fast, and follows the standard's fixed folder layout
(``sub-*/[ses-*/]datatype/``), so ``derivatives``, ``sourcedata``, ``code`` and hidden folders are
never entered. bids2table was measured and set aside: it turns ``run-01`` into ``run-1``, returns
an empty table with a log line for a dataset whose folder name holds a dot, skips damaged sidecars
silently, and caches folders for the life of the process. The tests compare the two.
"""

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brainnet import __version__, io
from brainnet.bids.names import ENTITY_ORDER, LABEL, check_entities, parse
from brainnet.io import DataError, DataWarning
from brainnet.modalities import MODALITIES, modality_of

__all__ = [
    "ENTITY_ORDER",
    "Scan",
    "derivative_path",
    "index",
    "participants",
    "select",
    "write_dataset_description",
]

_EXTENSIONS = (".nii.gz", ".nii")
_IGNORED = (
    ".*",
    "*.html",
    "*.nc",
    "/sub-*.json",
    "cohort.json",
    "group*",
    "atlas/",
    "logs/",
    "sourcedata/",
    "*_boldref.*",
    "*_measures.*",
    "*_morph.*",
    "*_pet.tsv",
    "*_petref.*",
    "*_relmat.*",
    "*_samples.*",
    "*_timeseries.*",
    "*_bold.tsv",
    "*_xfm.*",
)


@dataclass(frozen=True)
class Scan:
    """Describe one image of a BIDS dataset.

    Attributes
    ----------
    path : Path
        The image.
    subject : str
        Label without ``sub-``.
    session : str or None
        Label without ``ses-``.
    entities : dict
        Every entity of the file name in its order, by short name, values as written (``01``).
    suffix, datatype : str
        For example ``bold`` and ``func``.
    metadata : dict
        Content of the JSON sidecars that apply, the closest one winning field by field.
    """

    path: Path
    subject: str
    session: str | None
    entities: dict[str, str]
    suffix: str
    datatype: str
    metadata: dict[str, Any] = field(default_factory=dict)


def index(bids_dir: Path | str, *, subjects: Sequence[str] | None = None) -> list[Scan]:
    """Return every image of a BIDS dataset, sorted by path.

    Parameters
    ----------
    bids_dir : path
        Folder with ``dataset_description.json`` and ``sub-*`` folders.
    subjects : sequence of str, optional
        Labels, with or without ``sub-``; everybody by default.

    Returns
    -------
    list of Scan
        Images (``.nii``, ``.nii.gz``) in the data type folders, of whatever modality.

    Raises
    ------
    DataError
        Folder missing, without ``dataset_description.json`` or without participants; a
        participant asked for is not there; a file lies in another participant's folder; a
        sidecar is not valid JSON; no scan of a known modality.

    Warns
    -----
    DataWarning
        A file whose name is not a BIDS name: it is left out.
    """
    root = Path(bids_dir)
    sidecars = _Sidecars(root)
    scans = []
    for label in participants(root, labels=subjects):
        for path in _images(root / f"sub-{label}"):
            scan = _scan(path, root, sidecars)
            if scan is not None:
                scans.append(scan)
    if not any(modality_of(scan.suffix, scan.datatype) for scan in scans):
        known = ", ".join(f"{row.datatype}/*_{row.suffix}" for row in MODALITIES.values())
        what = f"none of its {len(scans)} images is a scan of a known modality ({known})"
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
        Folder missing or not a BIDS dataset, nobody in it, or somebody wanted is not in it.
    """
    root = Path(bids_dir)
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "the dataset folder does not exist"
        raise DataError(root, problem, "Give the folder that holds dataset_description.json")
    if not (root / "dataset_description.json").exists():
        what = "no dataset_description.json: this is not the top of a BIDS dataset"
        raise DataError(root, what, "Give that folder, or write the file (Name, BIDSVersion)")
    io.load_json(root / "dataset_description.json")
    names = _folders(root)
    found = sorted(n[4:] for n in names if n.startswith("sub-") and LABEL.fullmatch(n[4:]))
    if not found:
        raise DataError(root, "no participant folder (sub-*)", "Add one, or give another dataset")
    if labels is None:
        return found
    wanted = sorted({label.removeprefix("sub-") for label in labels})
    absent = [label for label in wanted if label not in found]
    if absent:
        shown = ", ".join(found[:20]) + (f" and {len(found) - 20} more" if len(found) > 20 else "")
        what = f"no participant {', '.join(absent)}; there are {shown}"
        raise DataError(root, what, "Ask for one of those")
    return wanted


def select(
    scans: Sequence[Scan],
    *,
    subject: str | None = None,
    session: str | None = None,
    modality: str | None = None,
    suffix: str | None = None,
    datatype: str | None = None,
    **entities: str | None,
) -> list[Scan]:
    """Return the scans that match every condition given, in their order.

    Parameters
    ----------
    scans : sequence of Scan
        From `index`.
    subject, session : str, optional
        Labels, with or without ``sub-`` and ``ses-``.
    modality : {"functional", "morphological", "metabolic"}, optional
        Stands for its suffix and data type.
    suffix, datatype : str, optional
        BIDS suffix and data type.
    **entities : str, optional
        Further entities by short name, for example ``task="rest"``. None: any.

    Returns
    -------
    list of Scan
        Empty where nothing matches.

    Raises
    ------
    ValueError
        If the modality or an entity is unknown.
    """
    if modality is not None and modality not in MODALITIES:
        raise ValueError(f"modality must be one of {list(MODALITIES)}; got {modality!r}.")
    check_entities(entities)
    wanted = {key: value for key, value in entities.items() if value is not None}
    if subject is not None:
        wanted["sub"] = subject.removeprefix("sub-")
    if session is not None:
        wanted["ses"] = session.removeprefix("ses-")
    row = None if modality is None else MODALITIES[modality]
    return [
        scan
        for scan in scans
        if all(scan.entities.get(key) == value for key, value in wanted.items())
        and suffix in (None, scan.suffix)
        and datatype in (None, scan.datatype)
        and (row is None or (scan.suffix, scan.datatype) == (row.suffix, row.datatype))
    ]


def derivative_path(
    out_dir: Path | str,
    scan: Scan | Mapping[str, str],
    *,
    suffix: str,
    extension: str,
    datatype: str | None = None,
    **entities: str | None,
) -> Path:
    """Return the path of a result, named by the BIDS rules.

    Parameters
    ----------
    out_dir : path
        Top of the derivatives dataset.
    scan : Scan or mapping
        Whose entities to start from; a mapping must have ``sub``.
    suffix : str
        For example ``T1w`` or ``relmat``.
    extension : str
        With its dot: ``.nii.gz``, ``.tsv``.
    datatype : str, optional
        Folder; by default that of the scan, none for a mapping. ``""``: the participant's own
        folder.
    **entities : str or None
        Set or replace an entity; None drops it. ``from`` is a word of Python: pass ``from_``.

    Returns
    -------
    Path
        ``out_dir/sub-X/[ses-Y/][datatype/]sub-X_[...]_suffix.extension``.

    Raises
    ------
    ValueError
        Unknown entity, a value that is not letters and digits, no ``sub``, or an extension
        without its dot.

    Examples
    --------
    >>> derivative_path("out", {"sub": "01", "run": "1"}, suffix="bold", extension=".nii.gz",
    ...                 datatype="func", desc="preproc", space="T1w", task="rest").as_posix()
    'out/sub-01/func/sub-01_task-rest_run-1_space-T1w_desc-preproc_bold.nii.gz'
    """
    start = scan.entities if isinstance(scan, Scan) else dict(scan)
    merged = {**start, **{key.rstrip("_"): value for key, value in entities.items()}}
    chosen = {key: value for key, value in merged.items() if value is not None}
    check_entities(chosen)
    if "sub" not in chosen:
        raise ValueError("entities must hold 'sub'; give the participant's label.")
    if not extension.startswith(".") or not LABEL.fullmatch(suffix):
        raise ValueError(f"suffix and extension must be like 'T1w', '.tsv'; got {suffix!r}, "
                         f"{extension!r}.")  # fmt: skip
    if datatype is None:
        datatype = scan.datatype if isinstance(scan, Scan) else ""
    folder = Path(out_dir) / f"sub-{chosen['sub']}"
    folder = folder / f"ses-{chosen['ses']}" if "ses" in chosen else folder
    name = "_".join(f"{key}-{chosen[key]}" for key in ENTITY_ORDER if key in chosen)
    return folder / datatype / f"{name}_{suffix}{extension}"


def write_dataset_description(out_dir: Path | str, source_dir: Path | str) -> Path:
    """Write ``dataset_description.json`` and ``.bidsignore`` of a derivatives dataset.

    The name repeats that of the source, so that results of simulated data say so. Nothing is
    written where the content would be the same.

    Parameters
    ----------
    out_dir : path
        Top of the derivatives dataset.
    source_dir : path
        Top of the dataset it is made from; linked as ``raw``, relative to `out_dir`.

    Returns
    -------
    Path
        The description.

    Raises
    ------
    DataError
        If the source has no readable description, or `out_dir` is `source_dir`.
    """
    out, source = Path(out_dir).resolve(), Path(source_dir).resolve()
    if out == source:
        what = "results cannot go to the top of the dataset they are made from"
        raise DataError(out, what, "Give another folder, for example derivatives/brainnet in it")
    origin = io.load_json(source / "dataset_description.json")
    content = {
        "Name": f"brainnet results of {origin.get('Name', 'a dataset without a name')}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "brainnet", "Version": __version__}],
        "DatasetLinks": {"raw": Path(os.path.relpath(source, out)).as_posix()},
    }
    path = out / "dataset_description.json"
    for target, text in (
        (path, json.dumps(content, indent=2, ensure_ascii=False) + "\n"),
        (out / ".bidsignore", "\n".join(_IGNORED) + "\n"),
    ):
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            io.save_text(text, target)
    return Path(out_dir) / path.name


class _Sidecars:
    """The JSON sidecars of a dataset, each folder listed and each file read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[Path, list[tuple[Path, dict[str, str], str]]] = {}
        self._read: dict[Path, dict[str, Any]] = {}

    def metadata(self, path: Path, entities: Mapping[str, str], suffix: str) -> dict[str, Any]:
        """Return what applies to a scan, from the top of the dataset to its own folder."""
        merged: dict[str, Any] = {}
        folders = [path.parent, *path.parent.parents]
        for folder in reversed(folders[: folders.index(self._root) + 1]):
            for sidecar, keys, name in self._in(folder):
                if name == suffix and keys.items() <= entities.items():
                    merged |= self._load(sidecar)
        return merged

    def _in(self, folder: Path) -> list[tuple[Path, dict[str, str], str]]:
        """Return the sidecars of a folder, the more specific ones last."""
        if folder not in self._listed:
            parsed = [
                (path, *parse(path.name.removesuffix(".json")))
                for path in sorted(folder.glob("*.json"))
            ]
            self._listed[folder] = sorted(parsed, key=lambda item: len(item[1]))
        return self._listed[folder]

    def _load(self, path: Path) -> dict[str, Any]:
        """Return the content of a sidecar."""
        if path not in self._read:
            self._read[path] = io.load_json(path)
        return self._read[path]


def _folders(path: Path) -> list[str]:
    """Return the names of the folders in a folder, links to folders included, sorted."""
    with os.scandir(path) as entries:
        return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir())


def _images(subject_dir: Path) -> Iterator[Path]:
    """Yield the images of a participant, in the data type folders only."""
    names = _folders(subject_dir)
    sessions = [subject_dir / name for name in names if name.startswith("ses-")]
    for parent in (subject_dir, *sessions):
        for datatype in _folders(parent):
            if not datatype.startswith("ses-"):
                for path in sorted((parent / datatype).iterdir()):
                    if path.name.endswith(_EXTENSIONS) and not path.name.startswith("."):
                        yield path


def _scan(path: Path, root: Path, sidecars: _Sidecars) -> Scan | None:
    """Return the scan in a file, or None with a warning where its name is not BIDS."""
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    entities, suffix = parse(stem)
    if not suffix or "sub" not in entities:
        text = f"{path.name}: not a BIDS name. The file is left out; rename it to include it."
        warnings.warn(text, DataWarning, stacklevel=3)
        return None
    folders = path.relative_to(root).parts[:-1]
    expected = [f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities]
    if list(folders[:-1]) != expected:
        what = f"lies in {'/'.join(folders)} but its name says {'/'.join(expected)}"
        raise DataError(path, what, "Find out whose scan it is, then move or rename it")
    return Scan(
        path=path,
        subject=entities["sub"],
        session=entities.get("ses"),
        entities=entities,
        suffix=suffix,
        datatype=folders[-1],
        metadata=sidecars.metadata(path, entities, suffix),
    )
