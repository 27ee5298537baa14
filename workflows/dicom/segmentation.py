"""Outlined haemorrhages as a DICOM segmentation on the slices that they were outlined on."""

import hashlib
import io as streams
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet import __version__, io
from brainnet.io import DataError
from brainnet.workflows.dicom.scan import INSTALL, read_header

#: of the series that is written
DESCRIPTION: Final = "RESEARCH ONLY - haemorrhage outlines by brainnet"
_SERIES_NUMBER: Final = 9100
_UNKNOWN: Final = {"PatientID": "", "PatientName": "", "PatientBirthDate": "", "PatientSex": "",
                   "AccessionNumber": "", "StudyID": "", "StudyDate": "", "StudyTime": "",
                   "ReferringPhysicianName": ""}  # fmt: skip
_NEEDED: Final = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows",
                  "Columns", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")  # fmt: skip
_SCHEME: Final = "99BRAINNET"


@dataclass(frozen=True)
class Segment:
    """What one kind of outline is called in DICOM.

    Attributes
    ----------
    label : str
        Words for people.
    morphology, place : (str, str)
        SNOMED CT code and meaning, of what it is and where it lies.
    kind : str
        Which of those at one place, as a code of brainnet's own.
    color : tuple of int
        Red, green, blue, as on the page.
    """

    label: str
    morphology: tuple[str, str]
    place: tuple[str, str]
    kind: str
    color: tuple[int, int, int]


_BLOOD: Final = ("50960005", "Hemorrhage")
_EDEMA: Final = ("79654002", "Edema")
_INTRACRANIAL: Final = ("1101003", "Intracranial")
#: number in the label image to segment. Codes are those of DICOM PS3.16 (as pydicom's dictionary
#: holds them): hemorrhage and edema of CID 7159 (types of lesions), places of CID 7151 and 7153.
#: The standard lists no place for subdural and epidural; a modifier tells them apart.
SEGMENTS: Final[dict[int, Segment]] = {
    11: Segment("Intraparenchymal haemorrhage", _BLOOD, ("12738006", "Brain"),
                "intraparenchymal", (255, 95, 109)),
    12: Segment("Intraventricular haemorrhage", _BLOOD, ("35764002", "Brain ventricle"),
                "intraventricular", (53, 200, 255)),
    13: Segment("Subarachnoid haemorrhage", _BLOOD, ("35951006", "Subarachnoid space"),
                "subarachnoid", (255, 210, 63)),
    14: Segment("Subdural haemorrhage", _BLOOD, _INTRACRANIAL, "subdural", (125, 255, 107)),
    15: Segment("Epidural haemorrhage", _BLOOD, _INTRACRANIAL, "epidural", (208, 139, 255)),
    16: Segment("Perihaematomal oedema", _EDEMA, ("12738006", "Brain"),
                "perihaematomal", (255, 255, 255)),
}  # fmt: skip


def write_dicom_seg(
    labels: Nifti1Image,
    series_files: Sequence[Path],
    path: Path | str,
    *,
    card: Mapping[str, Any],
) -> Path | None:
    """Write outlines as a DICOM segmentation that refers to the slices of its series.

    Each pixel of a slice takes the label of the voxel nearest to it in the patient's space, so
    the label image may be flipped, resampled, or corrected for tilt. The file names the patient
    as the slices do: it is for the archive that they came from. The same arguments give the same
    bytes: identifiers are derived from the content, and dates are those of the slices.

    Parameters
    ----------
    labels : Nifti1Image
        3-D, numbers as in `SEGMENTS`; other numbers are left out.
    series_files : sequence of Path
        DICOM files of the series, a file a slice, in any order.
    path : path
        The file to write, ``.dcm``.
    card : mapping
        Card of the network: ``weights_sha256`` is told.

    Returns
    -------
    Path or None
        `path`; None where nothing is outlined on any slice, and then no file is written.

    Raises
    ------
    DataError
        highdicom is not installed; the slices are in one file, do not say where they lie, or are
        of several series.
    ValueError
        If ``labels`` is not 3-D.
    """
    if len(labels.shape) != 3:
        raise ValueError(f"labels must be 3-D; got shape {labels.shape}. Give one label image.")
    slices = _slices(series_files)
    found = np.stack([_on_slice(labels, one) for one in slices])
    kinds = [number for number in SEGMENTS if (found == number).any()]
    if not kinds:
        return None
    numbered = np.zeros(max(SEGMENTS) + 1, dtype=np.uint8)
    numbered[kinds] = np.arange(1, len(kinds) + 1)
    segmentation = _segmentation(slices, numbered[found], kinds, card)
    stream = streams.BytesIO()
    segmentation.save_as(stream, enforce_file_format=True)
    return io.save_bytes(stream.getvalue(), path)


def _highdicom() -> Any:
    """Return the highdicom package, or raise what to install."""
    try:
        import highdicom
    except ImportError as error:
        raise DataError("highdicom", "the package is not installed", INSTALL) from error
    return highdicom


def _slices(series_files: Sequence[Path]) -> list[Any]:
    """Return the headers of the slices from below to above, with what a segmentation needs."""
    if not series_files:
        raise ValueError("series_files must not be empty. Give the files of the series.")
    headers = {str(path): read_header(path) for path in sorted(series_files)}
    for path, header in headers.items():
        _check(path, header)
    slices = list({str(one.SOPInstanceUID): one for one in headers.values()}.values())
    alike = {(str(one.SeriesInstanceUID), one.Rows, one.Columns) for one in slices}
    if len(alike) > 1:
        what = "files of several series, or of several sizes"
        raise DataError(
            Path(series_files[0]).parent, what, "Give those of the series that was read"
        )
    for one in slices:
        _complete(one)
    normal = np.cross(*np.array(slices[0].ImageOrientationPatient, dtype=float).reshape(2, 3))
    return sorted(slices, key=lambda one: float(np.dot(one.ImagePositionPatient, normal)))


def _check(path: str, header: Any) -> None:
    """Raise where outlines cannot refer to a file."""
    if int(header.get("NumberOfFrames") or 1) > 1:
        what = "several slices in one file: outlines cannot refer to them"
        raise DataError(path, what, "Export the series as classic DICOM, a file a slice")
    absent = [key for key in _NEEDED if key not in header]
    if absent:
        what = f"does not say {', '.join(absent)}"
        raise DataError(path, what, "Export the original images of the series")


def _complete(header: Any) -> None:
    """Add elements that every image should have and anonymised ones often lack."""
    for keyword, value in _UNKNOWN.items():
        if keyword not in header:
            setattr(header, keyword, value)
    if "FrameOfReferenceUID" not in header:
        header.FrameOfReferenceUID = _uid("frame of reference", str(header.SeriesInstanceUID))


def _uid(*words: str) -> str:
    """Return a unique identifier that the same words always give."""
    number = int.from_bytes(hashlib.sha256("\n".join(words).encode()).digest()[:16], "big")
    return f"2.25.{number}"


def _on_slice(labels: Nifti1Image, header: Any) -> NDArray[np.uint8]:
    """Return the label of the voxel nearest to each pixel of a slice, (rows, columns)."""
    across, down = np.array(header.ImageOrientationPatient, dtype=float).reshape(2, 3)
    row_step, column_step = (float(each) for each in header.PixelSpacing)
    to_world = np.eye(4)
    to_world[:3, 0], to_world[:3, 1] = down * row_step, across * column_step
    to_world[:3, 3] = np.array(header.ImagePositionPatient, dtype=float)
    to_voxel = np.linalg.inv(np.asarray(labels.affine)) @ np.diag([-1.0, -1.0, 1.0, 1.0]) @ to_world
    rows, columns = np.indices((int(header.Rows), int(header.Columns)))
    places = np.stack([rows, columns, np.zeros_like(rows), np.ones_like(rows)], axis=-1)
    voxels = np.rint(places @ to_voxel[:3].T).astype(int)
    inside = ((voxels >= 0) & (voxels < labels.shape)).all(axis=-1)
    data = np.asanyarray(labels.dataobj)
    found = np.zeros(inside.shape, dtype=np.uint8)
    values = data[tuple(voxels[inside].T)]
    found[inside] = np.where(np.isin(values, list(SEGMENTS)), values, 0)
    return found


def _segmentation(
    slices: Sequence[Any], pixels: NDArray[np.uint8], kinds: Sequence[int], card: Mapping[str, Any]
) -> Any:
    """Return the DICOM object."""
    highdicom = _highdicom()
    first = slices[0]
    words = (str(first.SeriesInstanceUID), hashlib.sha256(pixels.tobytes()).hexdigest(),
             str(card.get("weights_sha256", "")), __version__)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on values of the source that break the standard
        made = highdicom.seg.Segmentation(
            source_images=slices,
            pixel_array=pixels,
            segmentation_type="BINARY",
            segment_descriptions=[
                _described(number, kind, words, card) for number, kind in enumerate(kinds, start=1)
            ],
            series_instance_uid=_uid("series", *words),
            series_number=_SERIES_NUMBER,
            sop_instance_uid=_uid("instance", *words),
            instance_number=1,
            manufacturer="brainnet",
            manufacturer_model_name="brainnet segment haemorrhage",
            software_versions=__version__,
            device_serial_number=str(card.get("weights_sha256", "unknown"))[:16],
            series_description=DESCRIPTION,
            content_label="HAEMORRHAGE",
            content_description="Research only, not a medical device",
        )
    return _steady(made, first, _uid("dimensions", *words))


def _steady(made: Any, first: Any, dimensions: str) -> Any:
    """Give an object the dates of its slices, and a derived name for its dimensions."""
    made.ContentDate = first.get("AcquisitionDate") or first.get("StudyDate") or "19000101"
    made.ContentTime = first.get("AcquisitionTime") or first.get("StudyTime") or "000000"
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        if keyword in made:
            delattr(made, keyword)
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions
    for item in made.get("ContributingEquipmentSequence") or ():
        if "ContributionDateTime" in item:
            del item.ContributionDateTime
    return made


def _described(number: int, kind: int, words: Sequence[str], card: Mapping[str, Any]) -> Any:
    """Return what DICOM is told about one segment."""
    highdicom = _highdicom()
    from pydicom.sr.codedict import codes

    def coded(code: tuple[str, str], scheme: str = "SCT") -> Any:
        return highdicom.sr.CodedConcept(code[0], scheme, code[1])

    segment = SEGMENTS[kind]
    described = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=coded(segment.morphology),
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="brainnet segment haemorrhage",
            family=codes.DCM.ArtificialIntelligence,
            version=f"{__version__}, weights {str(card.get('weights_sha256', 'unknown'))[:16]}",
            source="brainnet",
        ),
        tracking_uid=_uid("segment", segment.kind, *words),
        tracking_id=segment.label,
        anatomic_regions=[coded(segment.place)],
        display_color=highdicom.color.CIELabColor.from_rgb(*segment.color),
    )
    described.SegmentDescription = "Outlined by a network trained on simulation. Research only."
    modifier = (segment.kind.upper()[:16], segment.kind)
    described.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
        coded(modifier, _SCHEME)
    ]
    return described
