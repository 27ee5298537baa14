"""Names of results, and the files that make a folder of results a BIDS dataset."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brainnet import __version__, io
from brainnet.bids.names import ENTITY_ORDER, LABEL, check_entities, shown
from brainnet.bids.scans import Scan
from brainnet.io import DataError

BIDS_VERSION = "1.10.0"
"""Version of the standard that results follow."""

_IGNORED = (
    ".*",
    "*.html",
    "*.nc",
    "/sub-*.json",
    "cohort*.json",
    "group*",
    "model-*",
    "atlas/",
    "logs/",
    "sourcedata/",
    "*_boldref.*",
    "*_measures.*",
    "*_morph.*",
    "*_petref.*",
    "*_relmat.*",
    "*_samples.*",
    "*_stat-coverage_bold.*",
    "*_stat-coverage_pet.*",
    "*_stat-mean_desc-suvr_pet.*",
    "*_timeseries.*",
    "*_xfm.*",
    "/sub-*/**/pet/*_mask.*",
)  # the validator does not understand a * in the middle of a name
_OWN_FOLDERS = ("logs", "atlas", "sourcedata", "sourcedata/simulated")
_READMES = ("README", "README.md", "README.rst", "README.txt")


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
    DataError
        If a link in `out_dir` leads the result out of it.

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
    if not extension.startswith(".") or "/" in extension or not LABEL.fullmatch(suffix):
        raise ValueError(f"suffix and extension must be like 'T1w', '.tsv'; got {suffix!r}, "
                         f"{extension!r}.")  # fmt: skip
    if datatype is None:
        datatype = scan.datatype if isinstance(scan, Scan) else ""
    if datatype and not LABEL.fullmatch(datatype):
        raise ValueError(f"datatype must be letters and digits; got {datatype!r}.")
    folder = Path(out_dir) / f"sub-{chosen['sub']}"
    folder = folder / f"ses-{chosen['ses']}" if "ses" in chosen else folder
    name = "_".join(f"{key}-{chosen[key]}" for key in ENTITY_ORDER if key in chosen)
    return check_inside(out_dir, folder / datatype / f"{name}_{suffix}{extension}")


def check_inside(out_dir: Path | str, path: Path) -> Path:
    """Return a path to write to, if its folder lies in `out_dir` also when links are followed.

    Parameters
    ----------
    out_dir : path
        Top of the derivatives dataset; it may itself be a link.
    path : Path
        What is to be written; neither it nor its folder need exist.

    Returns
    -------
    Path
        `path`, as given.

    Raises
    ------
    DataError
        If the folder is a link, or lies below one, that leads out of `out_dir`.
    """
    root, folder = os.path.realpath(out_dir), os.path.realpath(path.parent)
    if folder != root and not folder.startswith(root.rstrip(os.sep) + os.sep):
        what = f"leads out of the folder of results ({shown(os.fspath(out_dir))})"
        raise DataError(path.parent, what, "Replace the link by a folder")
    return path


def write_dataset_description(
    out_dir: Path | str, source_dir: Path | str, *, derivatives: Sequence[Path | str] = ()
) -> Path:
    """Make a folder a derivatives dataset: description, ``.bidsignore`` and README.

    The name repeats that of the source, so that results of simulated data say so. Nothing is
    written where the content would be the same; a README that is there stays as it is. There is
    no field ``License``: under which one results of people's scans may be given away depends on
    the source, and is the user's to say.

    Parameters
    ----------
    out_dir : path
        Top of the derivatives dataset.
    source_dir : path
        Top of the dataset it is made from; linked as ``raw``, relative to `out_dir`.
    derivatives : sequence of path
        Derivatives datasets that results are made from too; linked as ``derivative1`` and so on.

    Returns
    -------
    Path
        The description.

    Raises
    ------
    DataError
        If the source has no readable description; `out_dir` is `source_dir`, lies in a
        participant's folder of it, or is the top of a dataset of another program; or a link in
        `out_dir` leads out of it.
    """
    out, source = Path(out_dir).resolve(), Path(source_dir).resolve()
    _check_place(out, source)
    origin = io.load_json(source / "dataset_description.json")
    path = out / "dataset_description.json"
    others = dict.fromkeys(Path(folder).resolve() for folder in derivatives)
    known = {"raw": source} | {f"derivative{n}": folder for n, folder in enumerate(others, 1)}
    links = {key: Path(os.path.relpath(to, out)).as_posix() for key, to in known.items()}
    description = _description(origin, links)
    _save_if_new(path, json.dumps(description, indent=2, ensure_ascii=False) + "\n")
    _save_if_new(out / ".bidsignore", "\n".join(_IGNORED) + "\n")
    if not any((out / name).exists() for name in _READMES):
        io.save_text(_README, out / "README.md")
    return Path(out_dir) / path.name


def _check_place(out: Path, source: Path) -> None:
    """Raise where results would land among what is only to be read."""
    if out == source:
        what = "results cannot go to the top of the dataset they are made from"
        raise DataError(out, what, "Give another folder, for example derivatives/brainnet in it")
    if source in out.parents and out.relative_to(source).parts[0].startswith("sub-"):
        what = "results cannot go to a participant's folder of the dataset they are made from"
        raise DataError(out, what, "Give another folder, for example derivatives/brainnet in it")
    there = out / "dataset_description.json"
    if there.exists() and not _is_ours(io.load_json(there)):
        what = "describes a dataset that brainnet did not make: it will not be written over"
        raise DataError(there, what, "Give a folder of its own for the results")
    for name in _OWN_FOLDERS:
        check_inside(out, out / name / "any")


def _is_ours(description: Mapping[str, Any]) -> bool:
    """Say whether a derivatives dataset names brainnet as what made it."""
    made_by = description.get("GeneratedBy")
    programs = [each for each in made_by if isinstance(each, dict)] if isinstance(
        made_by, list) else []  # fmt: skip
    ours = any(program.get("Name") == "brainnet" for program in programs)
    return ours and description.get("DatasetType") == "derivative"


def _description(origin: Mapping[str, Any], links: Mapping[str, str]) -> dict[str, Any]:
    """Return the description; what is taken over from the source is text of one line."""
    name, doi = origin.get("Name"), origin.get("DatasetDOI")
    of = shown(name) if isinstance(name, str) else "a dataset without a name"
    from_source = {"URL": "bids:raw:"} | ({"DOI": shown(doi)} if isinstance(doi, str) else {})
    return {
        "Name": f"brainnet results of {of}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "brainnet", "Version": __version__}],
        "SourceDatasets": [from_source, *({"URL": f"bids:{key}:"} for key in list(links)[1:])],
        "DatasetLinks": dict(links),
    }


def _save_if_new(path: Path, text: str) -> None:
    """Write a text file, unless it holds just that."""
    if not path.exists() or path.read_bytes() != text.encode():
        io.save_text(text, path)


def uri(path: Path) -> str:
    """Return the BIDS URI of a file within its own dataset, for ``SpatialReference`` and the like.

    Parameters
    ----------
    path : Path
        A file below a folder with ``dataset_description.json``.

    Returns
    -------
    str
        ``bids::sub-01/anat/...``; the file's name where it lies in no dataset.
    """
    for folder in path.absolute().parents:
        if (folder / "dataset_description.json").exists():
            return f"bids::{path.absolute().relative_to(folder).as_posix()}"
    return path.name


_README = """# Results of brainnet

A BIDS derivatives dataset: what brainnet made of the dataset that `dataset_description.json`
links as `raw`.

| here | is |
|---|---|
| `sub-*.html`, `group.html` | reports; they need nothing beside them |
| `sub-*/anat`, `func`, `pet` | images, transforms, regional tables and networks |
| `*_dseg`, `*_probseg`, `*_mask` | atlas regions, tissue probabilities and masks |
| `*_xfm` | transforms between an image, T1w and template space |
| `*_timeseries.tsv`, `*_samples.tsv.gz` | a column a region; one value a row and voxel |
| `*_relmat.tsv` | networks: a row and a column a region, `n/a` where not measured |
| `*_measures.tsv` | network measures, a row each |
| `cohort.nc`, `group_*.tsv` | all participants' networks; scores and predictions |
| `model-*` | a network fitted on all of them, for `brainnet stage` |
| `logs/CITATION.md`, `logs/CITATION.bib` | the methods in words, with what to cite |
| `logs/` | one log a participant, the records of the runs |

The JSON file beside each result says what it was made from and how: the inputs with their
hashes, parameters, versions and seed. `.bidsignore` lists what the standard has no name for yet.
"""
