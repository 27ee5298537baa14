"""The series in a folder of DICOM files, told from the headers alone."""

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from brainnet.io import DataError

INSTALL: Final = "pip install 'brainnet[dicom]'"
_TAGS: Final = [
    "ComplexImageComponent", "EchoTime", "ImageType", "InstanceNumber", "Modality", "PatientID",
    "Rows", "SOPClassUID", "SeriesInstanceUID",
]  # fmt: skip
_ARCHIVES: Final = (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar", ".bz2", ".xz", ".gz")
_MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_PARTS: Final = {
    "phase": {"P", "PHASE", "PHASE MAP", "P_FFE", "P_SE", "P_IR"},
    "real": {"R", "REAL", "R_FFE", "R_IR"},
    "imaginary": {"I", "IMAGINARY", "I_FFE", "I_IR"},
}
_MOST_ECHOES: Final = 16  # more echo times than this are a scanner's jitter


@dataclass(frozen=True)
class Series:
    """Name the files that make one image.

    Attributes
    ----------
    uid : str
        Series Instance UID. Echoes, and magnitude, phase and localizer images of one series are
        told apart: each has a `Series` of its own.
    part : str
        ``""``, or one of ``phase``, ``real``, ``imaginary``, ``localizer``.
    echo_time : float
        In ms; 0 where the series has none.
    paths : tuple of Path
        Its files, sorted.
    header : pydicom Dataset
        Header of the image with the lowest instance number, without pixels.
    patients : tuple of str
        The patient IDs found in its files: one, if all is well.
    """

    uid: str
    part: str
    echo_time: float
    paths: tuple[Path, ...]
    header: Any
    patients: tuple[str, ...]

    def text(self, keyword: str) -> str:
        """Return an element of the header as printable text, ``""`` where it is absent."""
        value = self.header.get(keyword)
        text = "" if value is None else str(value).strip()
        return "".join(letter if letter.isprintable() else "?" for letter in text)

    @property
    def date(self) -> str:
        """Day of the visit as YYYYMMDD, ``""`` where the headers have none."""
        keys = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
        return next((day for key in keys if (day := self.text(key).replace(".", ""))), "")

    @property
    def order(self) -> tuple[str, str, int]:
        """What sorts series by acquisition: day, time of the day, series number."""
        keys = ("AcquisitionTime", "SeriesTime", "ContentTime", "StudyTime")
        time = next((t for key in keys if (t := self.text(key).replace(":", ""))), "")
        number = self.text("SeriesNumber")
        return self.date, time, int(number) if number.lstrip("-").isdigit() else 0

    @property
    def is_image(self) -> bool:
        """Whether the files hold an image: reports and presentation states do not."""
        return "Rows" in self.header

    @property
    def title(self) -> str:
        """What to call the series in a message: its number and description."""
        extra = f", {self.part}" if self.part else ""
        return (
            f"series {self.text('SeriesNumber') or '?'} ({self.text('SeriesDescription')}{extra})"
        )


@dataclass
class Found:
    """What a folder holds.

    Attributes
    ----------
    series : list of Series
        In the order of patients and acquisition.
    others : int
        Files that are not DICOM.
    damaged : list of str
        A line for each DICOM file that cannot be read.
    archives : list of Path
        Archives, which are not looked into.
    """

    series: list[Series] = field(default_factory=list)
    others: int = 0
    damaged: list[str] = field(default_factory=list)
    archives: list[Path] = field(default_factory=list)


def pydicom() -> Any:
    """Return the pydicom package, or raise what to install."""
    try:
        import pydicom
        import pydicom.config
    except ImportError as error:
        raise DataError("pydicom", "the package is not installed", INSTALL) from error
    return pydicom


def read_header(source: Any, *, tags: list[str] | None = None, pixels: bool = False) -> Any:
    """Return the content of a DICOM file, odd values kept as they are.

    Parameters
    ----------
    source : path or stream
        The file.
    tags : list of str, optional
        The only elements to keep, by keyword.
    pixels : bool
        Read on beyond the header.

    Returns
    -------
    pydicom Dataset
        The elements.

    Raises
    ------
    Exception
        Whatever pydicom meets in a damaged file.

    Notes
    -----
    Without pixels, values are decoded at once, and those that cannot be are dropped.
    """
    dicom = pydicom()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = dicom.dcmread(
            source, force=True, stop_before_pixels=not pixels, specific_tags=tags
        )
        if not pixels:
            _decode(header)
    return header


def _decode(header: Any) -> None:
    """Turn each element into its value; drop those that cannot be."""
    for tag in list(header.keys()):
        try:
            str(header[tag].value)
        except Exception:  # pydicom raises nearly anything
            del header[tag]


def scan(dicom_dir: Path | str, *, progress: Callable[[], object] = lambda: None) -> Found:
    """Return the series in a folder and its sub-folders.

    Parameters
    ----------
    dicom_dir : path
        The folder. Hidden files are passed over.
    progress : callable, optional
        Called once a file.

    Returns
    -------
    Found
        Series, and what could not be read.

    Raises
    ------
    DataError
        If it is not a folder, or has no DICOM file at all.
    """
    root = Path(dicom_dir)
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "the folder does not exist"
        raise DataError(root, what, "Give the folder that holds the DICOM files, unpacked")
    pydicom()
    found, groups = Found(), dict[tuple[str, str], list[tuple[Path, Any]]]()
    for path in files(root):
        progress()
        _sort_in(path, found, groups)
    for (uid, part), members in groups.items():
        found.series += _echoes(uid, part, members)
    if not found.series and not found.damaged:
        packed = f" (but {found.archives[0].name}: unpack it)" if found.archives else ""
        what = f"no DICOM file among its {found.others + len(found.archives)} files{packed}"
        raise DataError(root, what, "Give the folder that the scanner or archive exported")
    found.series.sort(key=lambda series: (series.patients, series.order, series.uid, series.part))
    return found


def files(root: Path) -> Iterator[Path]:
    """Yield the files in a folder and its sub-folders, sorted, hidden ones left out."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _sort_in(
    path: Path, found: Found, groups: dict[tuple[str, str], list[tuple[Path, Any]]]
) -> None:
    """Put a file where it belongs."""
    if path.name.lower().endswith(_ARCHIVES):
        found.archives.append(path)
        return
    try:
        with path.open("rb") as stream:
            start = stream.read(132)
    except OSError as error:
        found.damaged.append(f"{path}: cannot be read ({error.strerror})")
        return
    marked = start[128:] == b"DICM"
    if not marked and start[:2] not in (b"\x08\x00", b"\x02\x00"):  # older files have no preamble
        found.others += 1
        return
    header = _header(path)
    if header is not None and header.file_meta.get("MediaStorageSOPClassUID") == _MEDIA_DIRECTORY:
        return
    if header is not None and header.get("SeriesInstanceUID"):
        groups.setdefault((str(header.SeriesInstanceUID), _part(header)), []).append((path, header))
    elif marked:
        found.damaged.append(f"{path}: a DICOM file that is cut or damaged. Export it again.")
    else:
        found.others += 1


def _header(path: Path) -> Any:
    """Return the elements that tell series apart, or None for a file that cannot be read."""
    try:
        return read_header(path, tags=_TAGS)
    except Exception:  # a damaged file makes pydicom raise nearly anything
        return None


def _part(header: Any) -> str:
    """Return which kind of image of its series a file holds."""
    given = header.get("ImageType") or []
    kinds = {str(kind).upper() for kind in ([given] if isinstance(given, str) else given)}
    if "LOCALIZER" in kinds:
        return "localizer"
    if header.get("Modality") != "MR":
        return ""
    kinds.add(str(header.get("ComplexImageComponent", "")).upper())
    return next((part for part, names in _PARTS.items() if kinds & names), "")


def _echoes(uid: str, part: str, members: list[tuple[Path, Any]]) -> Iterator[Series]:
    """Yield a series for each echo time."""
    groups: dict[float, list[tuple[Path, Any]]] = {}
    for path, header in members:
        try:
            echo = round(float(header.get("EchoTime") or 0), 2)
        except (TypeError, ValueError):
            echo = 0.0
        groups.setdefault(echo, []).append((path, header))
    if len(groups) > _MOST_ECHOES:
        groups = {min(groups): members}
    for echo, chosen in sorted(groups.items()):
        first = min(chosen, key=lambda item: (_number(item[1]), item[0]))[0]
        patients = sorted({str(header.get("PatientID") or "").strip() for _, header in chosen})
        paths = tuple(sorted(path for path, _ in chosen))
        yield Series(uid, part, echo, paths, read_header(first), tuple(patients))


def _number(header: Any) -> int:
    """Return the instance number, 0 where there is none."""
    try:
        return int(header.get("InstanceNumber") or 0)
    except (TypeError, ValueError):
        return 0
