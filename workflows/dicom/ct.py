"""The head CT in a folder of DICOM files: which series to read, and why not the others."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet import io
from brainnet.io import DataError
from brainnet.workflows.dicom import dcm2niix, geometry, scan
from brainnet.workflows.dicom import slices as source
from brainnet.workflows.dicom.geometry import Uneven
from brainnet.workflows.dicom.scan import Found, Series
from brainnet.workflows.dicom.slices import Slice

_CT_CLASSES: Final = {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1",
                      "1.2.840.10008.5.1.4.1.1.2.2"}  # fmt: skip
_SCOUT: Final = re.compile(r"scout|topogram|localiz|localis|surview|scano", re.IGNORECASE)
_NOT_SLICES: Final = {"MIP", "MINIP", "SCREEN SAVE", "DOSE_INFO", "PERFUSION", "VRT", "SSD",
                      "VOLUME RENDERING", "PROJECTION IMAGE"}  # fmt: skip
_OTHER_PARTS: Final = re.compile(
    r"chest|thorax|abdomen|pelvis|lung|heart|spine|knee|hip|foot|ankle|shoulder|leg|hand|wrist",
    re.IGNORECASE,
)
_SHARP_WORDS: Final = re.compile(r"bone|edge|lung|sharp|knochen|\bos\b", re.IGNORECASE)
_PHILIPS_SHARP: Final = {"D", "E", "L", "YC", "YD", "YE"}
_SIEMENS_SHARP: Final = 50  # and above: H60s, J70h, Hr60f, B70f
_CANON_SHARP: Final = ((30, 39), (50, 59), (80, 89))  # FC30 and so on
_CONTRAST: Final = re.compile(
    r"\bcta\b|angio|contrast|\bkm\b|\bcm\b|perfusion|venous|arter|\+c\b|post.?c", re.IGNORECASE
)
_NO_AGENT: Final = {"", "no", "none", "n", "0", "without", "nativ", "native"}
_LEAST_SLICES: Final = 5
_FINE: Final = 1.0  # mm: thinner slices than this are no better
#: compressed in ways that dcm2niix has no decoder for
_UNREADABLE: Final = {
    "1.2.840.10008.1.2.4.94": "JPIP", "1.2.840.10008.1.2.4.95": "JPIP",
    "1.2.840.10008.1.2.4.100": "MPEG-2", "1.2.840.10008.1.2.4.102": "MPEG-4",
    "1.2.840.10008.1.2.4.107": "HEVC", "1.2.840.10008.1.2.4.110": "JPEG XL",
    "1.2.840.10008.1.2.4.111": "JPEG XL", "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000",
    "1.2.840.10008.1.2.4.202": "High-Throughput JPEG 2000",
    "1.2.840.10008.1.2.4.203": "High-Throughput JPEG 2000",
}  # fmt: skip
_PLAIN: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_UNPACKED: Final = "Export the series uncompressed (Explicit VR Little Endian)"
_GAP: Final = 1.5  # steps longer than this many of the shortest


@dataclass(frozen=True)
class CTSource:
    """Where a head CT came from.

    Attributes
    ----------
    uid, title : str
        Series Instance UID; number and description of the series.
    paths : tuple of Path
        Its files, for `segmentation.write_dicom_seg`.
    flags : tuple of str
        What a reader has to know: contrast, kernel, tilt, resampling.
    skipped : tuple of str
        The other series, each with why it was not read.
    """

    uid: str
    title: str
    paths: tuple[Path, ...]
    flags: tuple[str, ...] = field(default=())
    skipped: tuple[str, ...] = field(default=())


def find_ct_series(folder: Path | str) -> list[Series]:
    """Return the series of a folder that may be a head CT, the best to read first.

    Originals come before derived slices, soft kernels before those for bone, scans without
    contrast medium before those with it, and thin slices before thick ones.

    Parameters
    ----------
    folder : path
        Of DICOM files, in any order; sub-folders are looked into.

    Returns
    -------
    list of Series
        At least one.

    Raises
    ------
    DataError
        There is none; what is there is said.
    """
    return _sorted(scan.scan(folder), Path(folder))[0]


def load_ct(
    folder: Path | str, work: Path | str, *, series_uid: str = ""
) -> tuple[Nifti1Image, CTSource]:
    """Return the head CT in a folder of DICOM files.

    Where the best series cannot be read, the next is, and that is flagged.

    Parameters
    ----------
    folder : path
        Of DICOM files.
    work : path
        A folder for temporary files.
    series_uid : str
        The series to read; chosen by `find_ct_series` where empty.

    Returns
    -------
    img : Nifti1Image
        3-D, float32, Hounsfield units. Slices of several spacings are resampled to equal ones,
        tilted ones are straightened; both are flagged.
    about : CTSource
        Which series it was, and what is doubtful.

    Raises
    ------
    DataError
        There is no CT; candidates of several patients or studies and none is named; slices are
        missing, damaged, in several volumes, or compressed in a way that cannot be read.
    """
    folder = Path(folder)
    series, skipped = _sorted(scan.scan(folder), folder)
    series = _named(series, series_uid, folder) if series_uid else _one_study(series, folder)
    failures: list[DataError] = []
    for each in series:
        try:
            img, flags = _read(each, Path(work))
        except DataError as error:
            failures.append(error)
            continue
        told = [
            f"{s.title} was not read: {e.problem}" for s, e in zip(series, failures, strict=False)
        ]
        rest = [f"{s.title}: another was preferred" for s in series[len(failures) + 1 :]]
        about = CTSource(each.uid, each.title, each.paths, (*told, *flags), (*rest, *skipped))
        return img, about
    raise failures[0]


def _sorted(found: Found, folder: Path) -> tuple[list[Series], list[str]]:
    """Return the candidates, best first, and a line on each other series."""
    candidates, skipped = [], []
    for series in found.series:
        reason = _unfit(series)
        if reason:
            skipped.append(f"{series.title}: {reason}")
        else:
            candidates.append(series)
    if not candidates:
        lines = "; ".join(dict.fromkeys([*skipped, *found.damaged])) or "nothing but damaged files"
        raise DataError(folder, f"no head CT among its series ({lines})", "Give one with a head CT")
    return sorted(candidates, key=_rank), skipped


def _unfit(series: Series) -> str:
    """Say why a series is no head CT in slices; empty where it may be one."""
    kinds = _kinds(series)
    modality = series.text("Modality")
    if not series.is_image:
        return f"holds no image ({modality or 'no modality'})"
    if modality != "CT":
        return f"is {modality or 'of no modality'}, not CT"
    if series.text("SOPClassUID") not in _CT_CLASSES:
        return "is a secondary capture, without Hounsfield units"
    if series.part == "localizer" or _SCOUT.search(series.text("SeriesDescription")):
        return "is a localiser"
    if kinds & _NOT_SLICES:
        return f"is derived ({', '.join(sorted(kinds & _NOT_SLICES))})"
    if _OTHER_PARTS.search(series.text("BodyPartExamined")):
        return f"shows another part of the body ({series.text('BodyPartExamined')})"
    n_slices = _n_slices(series)
    return f"has {n_slices} slices, too few" if n_slices < _LEAST_SLICES else ""


def _kinds(series: Series) -> set[str]:
    """Return the words of the image type, in capitals."""
    given = series.header.get("ImageType") or []
    return {str(kind).upper() for kind in ([given] if isinstance(given, str) else given)}


def _n_slices(series: Series) -> int:
    return max(len(series.paths), int(series.header.get("NumberOfFrames") or 1))


def _rank(series: Series) -> tuple[bool, bool, bool, float, int, tuple[str, str, int]]:
    """Return what sorts series by how well they can be read."""
    thick = _number(series.header.get("SliceThickness"))
    return (
        _is_derived(series),
        _is_sharp(series),
        _has_contrast(series),
        max(thick or 10.0, _FINE),
        -_n_slices(series),
        series.order,
    )


def _number(value: Any) -> float:
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return 0.0


def _is_derived(series: Series) -> bool:
    return bool(_kinds(series) & {"DERIVED", "SECONDARY"})


def _is_sharp(series: Series) -> bool:
    """Tell whether a series was reconstructed for bone, by its kernel, else by its description."""
    given = series.header.get("ConvolutionKernel") or ""
    kernel = str(given if isinstance(given, str) else given[0]).strip()
    if not kernel:
        return bool(_SHARP_WORDS.search(series.text("SeriesDescription")))
    if _SHARP_WORDS.search(kernel) or kernel.upper() in _PHILIPS_SHARP:
        return True
    canon = re.match(r"FC(\d+)", kernel, re.IGNORECASE)
    if canon:
        return any(low <= int(canon[1]) <= high for low, high in _CANON_SHARP)
    siemens = re.match(r"[A-Z][a-z]?(\d\d)(?!\d)", kernel)
    return bool(siemens) and int(siemens[1]) >= _SIEMENS_SHARP  # type: ignore[index]


def _has_contrast(series: Series) -> bool:
    agent = series.text("ContrastBolusAgent").lower()
    return agent not in _NO_AGENT or bool(_CONTRAST.search(series.text("SeriesDescription")))


def _named(series: Sequence[Series], uid: str, folder: Path) -> list[Series]:
    """Return the series of that name."""
    chosen = [each for each in series if each.uid == uid]
    if not chosen:
        raise DataError(folder, f"no head CT of the series {uid}", _choices(series))
    return chosen


def _one_study(series: list[Series], folder: Path) -> list[Series]:
    """Return the candidates; raise where they are of several patients or studies."""
    patients = {patient for each in series for patient in each.patients}
    studies = {each.text("StudyInstanceUID") for each in series}
    if len(patients) > 1 or len(studies) > 1:
        whose = "patients" if len(patients) > 1 else "studies"
        what = f"CT of {max(len(patients), len(studies))} {whose} in one folder"
        raise DataError(folder, what, _choices(series))
    return series


def _choices(series: Sequence[Series]) -> str:
    """Return the series to choose from, without the names of patients."""
    lines = "; ".join(f"{each.title} {each.uid}" for each in series)
    return f"Give one folder a study, or name the series by its UID: {lines}"


def _read(series: Series, work: Path) -> tuple[Nifti1Image, list[str]]:
    """Return the image of a series and what is doubtful."""
    if len(series.patients) > 1:
        what = f"{series.title} holds images of {len(series.patients)} patients"
        raise DataError(series.paths[0].parent, what, "Export the series again")
    packed = _compression(series)
    flags = _doubts(series)
    slices = source.load(series, flags)
    resampled = _is_resampled(slices, flags)
    paths = list(dict.fromkeys(one.path for one in slices))
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="brainnet-ct-", dir=work) as folder:
        try:
            img = _converted(paths, Path(folder), series.title, resampled=resampled)
        except DataError as error:
            if not packed:
                raise
            what = f"{series.title} is compressed and cannot be unpacked: {error.problem}"
            raise DataError(series.paths[0].parent, what, _UNPACKED) from error
        img = Nifti1Image(np.asarray(img.dataobj, dtype=np.float32), img.affine)
    if img.ndim != 3:
        what = f"{series.title} gives an image of shape {img.shape}, not one volume"
        raise DataError(series.paths[0].parent, what, "Leave out perfusion and dynamic series")
    if not resampled:
        geometry.check_places(img, slices)
    return img, flags


def _converted(paths: Sequence[Path], folder: Path, title: str, *, resampled: bool) -> Nifti1Image:
    """Return the image that dcm2niix makes, without its sidecar.

    The sidecar is not needed, and is no JSON where a kernel has two values: it keeps DICOM's
    backslash between them.
    """
    images = dcm2niix.run_converter(paths, folder / "all", title=title, resampled=resampled)
    if len(images) != 1:
        what = f"{title} gives {len(images)} images, not one"
        raise DataError(paths[0].parent, what, "Leave out perfusion and dynamic series")
    return io.load_img(images[0])


def _compression(series: Series) -> bool:
    """Tell whether a series is compressed; raise where nothing here can unpack it."""
    header = scan.read_header(series.paths[0])
    syntax = str(header.file_meta.get("TransferSyntaxUID", ""))
    if syntax in _UNREADABLE:
        what = f"{series.title} is compressed as {_UNREADABLE[syntax]}, which cannot be read"
        raise DataError(series.paths[0].parent, what, _UNPACKED)
    return bool(syntax) and syntax not in _PLAIN


def _doubts(series: Series) -> list[str]:
    """Return what the header says that a reader has to know."""
    flags = []
    if _is_derived(series):
        flags.append("the slices were derived from others by the scanner or the archive")
    if _is_sharp(series):
        kernel = series.text("ConvolutionKernel") or series.text("SeriesDescription")
        flags.append(f"reconstructed for bone ({kernel}): no soft-tissue series was found")
    if _has_contrast(series):
        flags.append("after contrast medium, by its header: vessels may be taken for blood")
    if series.text("LossyImageCompression") == "01":
        flags.append("the images were compressed with loss")
    return flags


def _is_resampled(slices: Sequence[Slice], flags: list[str]) -> bool:
    """Tell whether slices must be resampled to equal ones; raise where some are missing."""
    folder = slices[0].path.parent
    try:
        shape = geometry.shape(slices, flags)
    except Uneven as error:
        lost = _missing(slices)
        if lost:
            what = f"slices are missing: {lost} in gaps between its slices"
            raise DataError(folder, what, "Export the whole series again") from error
        flags.append(f"{error.problem}: resampled to equal, straight slices, right to a pixel")
        return True
    if shape is None:
        what = "several slices in one picture, whose places are not told"
        raise DataError(folder, what, "Export the series as classic DICOM, a file a slice")
    if shape[3] > 1:
        what = f"{shape[3]} images at each place: several phases, or perfusion"
        raise DataError(folder, what, "Give a series with one volume")
    return False


def _missing(slices: Sequence[Slice]) -> int:
    """Return how many slices lack, from gaps that stand alone or that the numbers share."""
    orientation = slices[0].orientation
    assert orientation is not None
    normal = np.cross(orientation[:3], orientation[3:])
    along = np.array([float(np.dot(one.position, normal)) for one in slices])  # type: ignore[arg-type]
    order = np.argsort(along)
    steps = np.diff(along[order])
    jumps = np.abs(np.diff(np.array([one.number for one in slices])[order]))
    steps, jumps = steps[steps > 0.01], jumps[steps > 0.01]  # several images at one place
    short = float(np.median(steps[steps < _GAP * steps.min()]))
    lost = 0
    for place in np.flatnonzero(steps > _GAP * short):
        if jumps[place] > 1 or _stands_alone(steps, int(place)):
            lost += max(1, round(steps[place] / short) - 1)
    return lost


def _stands_alone(steps: NDArray[np.float64], place: int) -> bool:
    """Tell whether neither step beside a long one is as long."""
    beside = [steps[near] for near in (place - 1, place + 1) if 0 <= near < len(steps)]
    return all(other < steps[place] / _GAP for other in beside) and len(beside) == 2
