"""The files of one series read whole: what is missing, twice there, or askew."""

import hashlib
import io as streams
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from brainnet.io import DataError
from brainnet.io.files import read
from brainnet.workflows.dicom.pet import moment
from brainnet.workflows.dicom.scan import Series, read_header

_AGAIN: Final = "Export the series again"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_UNCOMPRESSED: Final = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}


@dataclass(frozen=True)
class Slice:
    """What one file, or one frame of it, says that its series must agree on.

    Attributes
    ----------
    path : Path
        The file.
    digest, pixels : str
        SHA-256 of all its bytes, and of its pixel data.
    uid : str
        SOP Instance UID.
    number : int
        Instance number.
    stack : bool
        Whether it holds several slices whose places are not told (mosaic).
    grid : tuple
        Rows, columns, row spacing, column spacing.
    position, orientation : array
        Of the first pixel, in mm; directions along a row and along a column (6,).
    mean : float
        Of its pixels in physical units; NaN where they are compressed.
    frame : dict
        ``start``, ``duration``, ``decay`` of a PET frame.
    """

    path: Path
    digest: str
    pixels: str
    uid: str
    number: int
    stack: bool
    grid: tuple[Any, ...]
    position: NDArray[np.float64] | None
    orientation: NDArray[np.float64] | None
    mean: float
    frame: dict[str, Any]


def digest(series: Series) -> str:
    """Return what tells the content of a series, whatever its files are called.

    Parameters
    ----------
    series : Series
        Its files are read whole. A file that is there twice counts once.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    each = sorted({hashlib.sha256(read(path)).hexdigest() for path in series.paths})
    return hashlib.sha256("\n".join(each).encode()).hexdigest()


def load(series: Series, notes: list[str]) -> list[Slice]:
    """Return the files of a series, each image once, in order of instance number.

    Parameters
    ----------
    series : Series
        From `scan.scan`.
    notes : list of str
        Gets a line on what was found twice.

    Returns
    -------
    list of Slice
        Sorted.

    Raises
    ------
    DataError
        A file is cut or damaged, or two different images bear one UID.
    """
    kept: dict[str, list[Slice]] = {}
    twice = 0
    for path in series.paths:
        now = _slices(path)
        before = kept.setdefault(now[0].uid, now)
        twice += before is not now
        if _content(before) != _content(now):
            what = f"another image than {before[0].path.name}, under the same SOP Instance UID"
            raise DataError(path, what, "Find out which one is right and remove the other")
    if twice:
        notes.append(f"{twice} files are there twice: each image is used once")
    files = sorted(kept.values(), key=lambda file: (file[0].number, file[0].uid))
    return [one for file in files for one in file]


def _content(file: Sequence[Slice]) -> tuple[Any, ...]:
    """Return what two files of one image must share."""
    places = (b"" if one.position is None else one.position.tobytes() for one in file)
    return file[0].pixels, *places


def _slices(path: Path) -> list[Slice]:
    """Return one file, read whole: a slice, or one for each of its frames."""
    raw = read(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's, on values that break the standard
            return _parsed(path, raw)
    except DataError:
        raise
    except Exception as error:  # a damaged file makes pydicom raise nearly anything
        text = str(error).split("\n")[0][:200]
        raise DataError(path, f"the DICOM file is damaged ({text})", _AGAIN) from error


def _parsed(path: Path, raw: bytes) -> list[Slice]:
    """Return the slices in the bytes of a file."""
    header = read_header(streams.BytesIO(raw), pixels=True)
    pixels = header.get("PixelData")
    one = _checked(path, raw, header, pixels)
    mosaic = "MOSAIC" in (header.get("ImageType") or [])
    return [one] if mosaic else _frames_of(one, header, pixels)


def _checked(path: Path, raw: bytes, header: Any, pixels: bytes | None) -> Slice:
    """Return one file's elements; raise where its pixels are not whole."""
    n_frames = int(header.get("NumberOfFrames") or 1)
    if pixels is None:
        raise DataError(path, "the DICOM file is cut: it has no pixel data", _AGAIN)
    samples = int(header.get("SamplesPerPixel") or 1)
    expected = header.Rows * header.Columns * n_frames * samples * header.BitsAllocated // 8
    plain = str(header.file_meta.get("TransferSyntaxUID", "")) in _UNCOMPRESSED
    if len(pixels) < expected if plain else not pixels:
        what = f"the DICOM file is cut: {len(pixels)} of {expected} bytes of pixels"
        raise DataError(path, what, _AGAIN)
    kinds = header.get("ImageType") or []
    return Slice(
        path=path,
        digest=hashlib.sha256(raw).hexdigest(),
        pixels=hashlib.sha256(pixels).hexdigest(),
        uid=str(header.get("SOPInstanceUID") or path),
        number=int(header.get("InstanceNumber") or 0),
        stack=n_frames > 1 or "MOSAIC" in kinds,
        grid=_grid(header, header),
        position=_vector(header.get("ImagePositionPatient"), 3),
        orientation=_vector(header.get("ImageOrientationPatient"), 6),
        mean=_mean(header, pixels, 0, header) if plain and samples == 1 else np.nan,
        frame=_frame(header),
    )


def _grid(header: Any, measures: Any) -> tuple[Any, ...]:
    """Return rows and columns, and the spacing of each."""
    return header.Rows, header.Columns, *(float(v) for v in measures.get("PixelSpacing") or ())


def _mean(header: Any, pixels: bytes, number: int, scaling: Any) -> float:
    """Return the mean of a frame's pixels in physical units."""
    if header.BitsAllocated not in (8, 16, 32):
        return np.nan
    order = ">" if header.file_meta.TransferSyntaxUID == _BIG_ENDIAN else "<"
    kind = "i" if header.get("PixelRepresentation") else "u"
    size = header.BitsAllocated // 8
    n_pixels = header.Rows * header.Columns
    stored = np.frombuffer(pixels, f"{order}{kind}{size}", n_pixels, number * n_pixels * size)
    slope, intercept = scaling.get("RescaleSlope"), scaling.get("RescaleIntercept")
    scale = 1.0 if slope is None else float(slope)
    return float(stored.mean()) * scale + (0.0 if intercept is None else float(intercept))


def _frames_of(one: Slice, header: Any, pixels: bytes) -> list[Slice]:
    """Return a slice for each frame of a multi-frame file that says where they lie."""
    frames = header.get("PerFrameFunctionalGroupsSequence")
    if not frames:
        return [one]
    shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]

    def macro(frame: Any, keyword: str) -> Any:
        return (frame.get(keyword) or shared.get(keyword) or [{}])[0]

    slices = [
        replace(
            one,
            stack=False,
            grid=_grid(header, macro(frame, "PixelMeasuresSequence")),
            position=_vector(macro(frame, "PlanePositionSequence").get("ImagePositionPatient"), 3),
            orientation=_vector(
                macro(frame, "PlaneOrientationSequence").get("ImageOrientationPatient"), 6
            ),
            mean=one.mean
            if np.isnan(one.mean)
            else _mean(header, pixels, n, macro(frame, "PixelValueTransformationSequence")),
            frame=_frame_times(macro(frame, "FrameContentSequence")),
        )
        for n, frame in enumerate(frames)
    ]
    return slices if all(s.position is not None for s in slices) else [one]


def _frame_times(content: Any) -> dict[str, Any]:
    """Return what a multi-frame file says of the times of a PET frame."""
    whole, duration = (
        str(content.get("FrameAcquisitionDateTime") or ""),
        content.get("FrameAcquisitionDuration"),
    )
    return {
        "start": moment(whole[:8], whole[8:].split("+")[0].split("-")[0]) if whole else None,
        "duration": None if duration is None else float(duration) / 1000,
        "decay": None,
    }


def _vector(value: Any, length: int) -> NDArray[np.float64] | None:
    """Return numbers, None unless there are as many as there should be."""
    if value is None or len(value) != length:
        return None
    return np.array([float(part) for part in value])


def _frame(header: Any) -> dict[str, Any]:
    """Return what the times of a PET frame are made of."""
    duration, decay = header.get("ActualFrameDuration"), header.get("DecayFactor")
    day = header.get("AcquisitionDate") or header.get("SeriesDate") or header.get("StudyDate")
    return {
        "start": moment(day, header.get("AcquisitionTime")),
        "duration": None if duration is None else float(duration) / 1000,
        "decay": None if decay is None else float(decay),
    }
