"""Head CT to outlined haemorrhages, their numbers, and one page.

Each scan is a step of its own: what is there already and matches its record is kept, and a scan
that is refused or fails stops no other.
"""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from brainnet import bids, io
from brainnet.io import DataError
from brainnet.workflows.engine.step import sidecar_path
from brainnet.workflows.engine.steps import Steps
from brainnet.workflows.segment import model_files, network_of, runner_of, shown, words_of
from brainnet.workflows.segment_images import Image, find_images
from brainnet.workflows.segment_tables import save_labels

__all__ = ["TASK", "CTResult", "Scans", "find_scans", "segment_haemorrhage", "write_reading"]

Paths = Mapping[str, Path]
TASK = "haemorrhage"
DATATYPE = "ct"
_SUMMARY = "group_haemorrhage.tsv"
_LOG = logging.getLogger("brainnet")


@dataclass(frozen=True)
class CTResult:
    """What became of one scan.

    Attributes
    ----------
    image : pathlib.Path
        The scan.
    page : pathlib.Path or None
        Its report; None where it failed.
    triage : tuple of str
        What to know first.
    flags : tuple of str
        What a reader has to know of the scan.
    failure : str
        Why it was not read: what, rule, remedy. Empty where it was.
    """

    image: Path
    page: Path | None = None
    triage: tuple[str, ...] = field(default_factory=tuple)
    flags: tuple[str, ...] = field(default_factory=tuple)
    failure: str = ""


@dataclass(frozen=True)
class Scans:
    """Scans of a run.

    Attributes
    ----------
    images : list of Image
        As NIfTI files.
    series : dict of Path to tuple of Path
        The DICOM files that an image was converted from.
    notes : dict of Path to tuple of str
        What was chosen or corrected in converting.
    dataset : pathlib.Path or None
        The BIDS dataset that they are from.
    """

    images: list[Image]
    series: dict[Path, tuple[Path, ...]] = field(default_factory=dict)
    notes: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    dataset: Path | None = None


def segment_haemorrhage(
    images: Path | str | Sequence[Path | str],
    out_dir: Path | str,
    *,
    model: Path | str | None = None,
    max_memory: float = 4.0,
    labels: Sequence[str] | None = None,
    progress: bool = False,
) -> list[CTResult]:
    """Outline haemorrhages in head CT; write label maps, findings and pages.

    For research; not a medical device.

    Parameters
    ----------
    images : path or sequence of path
        NIfTI images in Hounsfield units; or one folder of them; or one BIDS dataset with ``ct``
        folders; or one folder with the DICOM files of a head CT.
    out_dir : path
        For a dataset a derivatives dataset, else a plain folder.
    model : path, optional
        Folder of another network than the package's own.
    max_memory : float
        GB that the network may take.
    labels : sequence of str, optional
        Of a dataset, only these participants, with or without ``sub-``.
    progress : bool
        Show a bar.

    Returns
    -------
    list of CTResult
        One a scan, in order.

    Raises
    ------
    brainnet.io.DataError
        A scan or the model is missing or the model damaged; nothing to read; a DICOM folder
        without one head CT; an ``out_dir`` that cannot be one. Nothing has run then.

    Notes
    -----
    Written are, named after the image: ``seg-haemorrhage_dseg`` (with ``seg-haemorrhage_dseg.tsv``
    for all), ``desc-lesions_dseg``, ``label-haemorrhage_probseg``, ``haemorrhage-findings.json``
    and ``haemorrhage.html``; where the scan was DICOM ``haemorrhage.dcm`` (DICOM SEG); and
    ``group_haemorrhage.tsv``, a row for every scan in ``out_dir``.
    """
    out_dir = Path(out_dir)
    found = find_scans(images, out_dir, labels=labels)
    files = model_files(model, task=TASK)
    segmenter = network_of(files, task=TASK)
    if found.dataset is not None:
        bids.write_dataset_description(out_dir, found.dataset)
    save_labels(segmenter.table.regions, out_dir / f"seg-{TASK}_dseg.tsv")
    results = [_one(image, found, files, max_memory) for image in shown(found.images, progress)]
    _save_summary(out_dir)
    return results


def find_scans(
    given: Path | str | Sequence[Path | str], out_dir: Path, *, labels: Sequence[str] | None = None
) -> Scans:
    """Return the scans that paths stand for; a folder of DICOM files is converted.

    Parameters
    ----------
    given : path or sequence of path
        As in :func:`segment_haemorrhage`.
    out_dir : pathlib.Path
        Where results go; a converted scan in its folder ``dicom``.
    labels : sequence of str, optional
        Of a dataset: which participants.

    Raises
    ------
    brainnet.io.DataError
        As :func:`~brainnet.workflows.segment_images.find_images`, and of a DICOM folder what
        :func:`brainnet.workflows.dicom.ct.load_ct` refuses.
    """
    single = [given] if isinstance(given, str | Path) else list(given)
    folder = Path(single[0]) if len(single) == 1 else None
    if folder is not None and _is_dicom(folder):
        return _converted(folder, out_dir)
    dataset = folder is not None and (folder / "dataset_description.json").exists()
    found = find_images(
        given,
        out_dir,
        suffixes=("ct",) if dataset else None,
        labels=labels,
        unignored=(DATATYPE,),
    )
    return Scans(found.images, dataset=found.dataset)


def _is_dicom(folder: Path) -> bool:
    """Say whether a folder may hold DICOM files: files, none of them NIfTI, and no dataset."""
    if not folder.is_dir() or (folder / "dataset_description.json").exists():
        return False
    files = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    return bool(files) and not any(path.name.endswith((".nii", ".nii.gz")) for path in files)


def _converted(folder: Path, out_dir: Path) -> Scans:
    """Convert the head CT of a folder of DICOM files."""
    from brainnet.workflows.dicom import ct

    with tempfile.TemporaryDirectory() as work:
        img, about = ct.load_ct(folder, work)
    path = io.save_img(img, out_dir / "dicom" / f"{folder.resolve().name}_ct.nii.gz")
    return Scans([Image(path, out_dir)], {path: about.paths}, {path: about.flags})


def output_paths(image: Image) -> dict[str, Path]:
    """Name every image that is written of a scan, by the keys of `write_reading`."""
    return {
        "dseg": image.path("dseg", seg=TASK),
        "lesions": image.path("dseg", desc="lesions"),
        "probability": image.path("probseg", label=TASK),
    }


def _named(image: Image, extension: str) -> Path:
    """Return the path of what a person opens: at the top of the results."""
    return image.out_dir / f"{image.stem}_{TASK}{extension}"


def _one(image: Image, found: Scans, model: Paths, max_memory: float) -> CTResult:
    """Read one scan and write its page; tell what failed instead of raising it."""
    from brainnet.workflows import segment_haemorrhage_page as page

    steps = Steps(lambda name: _LOG.info("%s: %s", image.source.name, name))
    try:
        image.check()
        made = _made(image, model, max_memory, steps)
        findings = io.load_json(sidecar_path(made["dseg"]))["Findings"]
        notes = found.notes.get(image.source, ())
        if image.source in found.series:
            notes = (*notes, *_write_seg(image, made, found.series[image.source], model))
        findings = findings | {"flags": [*notes, *findings["flags"]]}
        io.save_json(findings, _named(image, "-findings.json"))
        for each in notes:
            steps.warn(each)
        path = page.run(image, _named(image, ".html"), made, model, steps)
    except Exception as error:
        _LOG.debug("%s", image.source, exc_info=True)
        return CTResult(image.source, failure=words_of(error))
    return CTResult(image.source, path, tuple(findings["triage"]), tuple(findings["flags"]))


def _made(image: Image, model: Paths, max_memory: float, steps: Steps) -> Paths:
    """Run the step of one scan; where it fails, nothing of an earlier run is left."""
    outputs = output_paths(image)
    where = {} if image.reference is None else {"reference": image.reference}
    try:
        return steps.run(
            "haemorrhage reading",
            write_reading,
            inputs={"image": image.source, **model},
            outputs=outputs,
            parameters={"max_memory": max_memory, "runner": runner_of(model)} | where,
        ).outputs
    finally:
        if not outputs["dseg"].exists():
            for extension in ("-findings.json", ".html", ".dcm"):
                path = _named(image, extension)
                path.unlink(missing_ok=True)
                sidecar_path(path).unlink(missing_ok=True)


def write_reading(
    inputs: Paths,
    outputs: Paths,
    *,
    max_memory: float,
    runner: str,
    reference: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Read a scan and write what was outlined; the findings stand in the label map's sidecar.

    ``inputs`` hold ``image``, ``card`` and ``weights``; ``runner`` is for the record alone.
    """
    from brainnet.models.voxel.haemorrhage.read import read_ct

    img = io.load_img(inputs["image"])
    try:
        found = read_ct(img, network_of(inputs, task=TASK), max_memory=max_memory)
    except DataError:
        raise
    except ValueError as error:
        what = str(error).rstrip(".")
        remedy = "Give more to --mem" if what.startswith("max_memory") else "Give one head CT"
        raise DataError(inputs["image"], what, remedy) from error
    images = {"dseg": found.labels_img, "lesions": found.lesions_img,
              "probability": found.probability_img}  # fmt: skip
    for key, each in images.items():
        io.save_img(each, outputs[key])
    card = io.load_json(inputs["card"])
    method = {"Method": f"brainnet network {card['task']} {io.sha256(inputs['weights'])[:8]}"}
    known = method | ({} if reference is None else {"SpatialReference": reference})
    return {key: known | ({"Findings": found.findings} if key == "dseg" else {})
            for key in outputs}  # fmt: skip


def _write_seg(image: Image, made: Paths, files: Sequence[Path], model: Paths) -> tuple[str, ...]:
    """Write what was outlined as a DICOM SEG of the scan's series; return why it was not."""
    from brainnet.workflows.dicom.segmentation import write_dicom_seg

    path = _named(image, ".dcm")
    labels_img, card = io.load_img(made["dseg"], ndim=3), io.load_json(model["card"])
    try:
        if write_dicom_seg(labels_img, files, path, card=card) is None:
            path.unlink(missing_ok=True)  # of an earlier run
    except DataError as error:
        return (f"no DICOM SEG was written: {error.problem}",)
    return ()


def _save_summary(out_dir: Path) -> None:
    """Write a row for every scan that has been read into a folder, by whatever run."""
    ending = f"_seg-{TASK}_dseg.json"
    rows = []
    for path in sorted(out_dir.rglob(f"*{ending}")):
        try:
            rows.append(_row(path.name.removesuffix(ending), io.load_json(path)["Findings"]))
        except (DataError, KeyError, TypeError):  # of another program, or being written now
            continue
    summary = out_dir / _SUMMARY
    if rows:
        io.save_table(pd.DataFrame(rows), summary)
    else:
        summary.unlink(missing_ok=True)


def _row(name: str, findings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the table of all scans says of one."""
    haemorrhage, volumes = findings["haemorrhage"], findings["volumes_ml"]
    return {
        "image": name,
        "present": "yes" if haemorrhage["present"] else "no",
        "probability": haemorrhage["probability"],
        "n_lesions": len(findings["lesions"]),
        **{f"{kind}_ml": each["value"] for kind, each in volumes.items()},
        "total_low_ml": volumes["total"]["low"],
        "total_high_ml": volumes["total"]["high"],
        "midline_shift_mm": findings["midline_shift"]["mm"],
        "graeb": findings["ventricles"]["graeb"],
        "evans_index": findings["ventricles"]["evans_index"],
        "ich_score_imaging": findings["ich_score_imaging"]["points"],
        "flags": "; ".join(findings["flags"]) or None,
    }
