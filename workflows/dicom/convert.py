"""One DICOM series to one BIDS image and its sidecar, by dcm2niix."""

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from nibabel.nifti1 import Nifti1Image

from brainnet import __version__, io
from brainnet.io import DataError
from brainnet.workflows.dicom import dcm2niix, geometry
from brainnet.workflows.dicom import slices as source
from brainnet.workflows.dicom.geometry import Uneven
from brainnet.workflows.dicom.pet import pet_fields
from brainnet.workflows.dicom.plan import Item
from brainnet.workflows.dicom.slices import Slice

#: key of a sidecar under which a conversion is recorded
RECORD: Final = "BrainnetConversion"
#: what is taken over of dcm2niix' sidecar: how the image was acquired, nothing about whom, when,
#: where or by whom, and no text that somebody typed
_FIELDS: Final = """
    Modality MagneticFieldStrength ImagingFrequency Manufacturer ManufacturersModelName
    SoftwareVersions PatientPosition MRAcquisitionType ScanningSequence SequenceVariant ScanOptions
    PulseSequenceType ImageType NonlinearGradientCorrection ReceiveCoilName
    ReceiveCoilActiveElements CoilCombinationMethod MatrixCoilMode
    ParallelAcquisitionTechnique ParallelReductionFactorInPlane ParallelReductionFactorOutOfPlane
    MultibandAccelerationFactor PartialFourier PartialFourierDirection PhaseEncodingAxis
    PhaseEncodingDirection PhaseEncodingSteps PhaseOversampling PhaseResolution PercentPhaseFOV
    PercentSampling EffectiveEchoSpacing EstimatedEffectiveEchoSpacing TotalReadoutTime
    EstimatedTotalReadoutTime DerivedVendorReportedEchoSpacing VendorReportedEchoSpacing DwellTime
    PixelBandwidth BandwidthPerPixelPhaseEncode AcquisitionMatrixPE ReconMatrixPE
    InPlanePhaseEncodingDirectionDICOM ImageOrientationPatientDICOM SliceThickness
    SpacingBetweenSlices SliceTiming SliceEncodingDirection EchoNumber EchoTime EchoTime1 EchoTime2
    EchoTrainLength FlipAngle InversionTime RepetitionTime RepetitionTimeExcitation
    RepetitionTimeInversion RepetitionTimePreparation DelayTime MTState SpoilingState SpoilingType
    NumberOfAverages SAR WaterSuppressed Units PhilipsRescaleSlope PhilipsRescaleIntercept
    PhilipsScaleSlope UsePhilipsFloatNotDisplayScaling ConvolutionKernel ExposureTime
    XRayExposure XRayTubeCurrent
"""
_TAKEN: Final = frozenset(_FIELDS.split())
_PET_REQUIRED: Final = (
    "Manufacturer", "ManufacturersModelName", "Units", "TracerName", "TracerRadionuclide",
    "InjectedRadioactivity", "InjectedRadioactivityUnits", "InjectedMass", "InjectedMassUnits",
    "SpecificRadioactivity", "SpecificRadioactivityUnits", "ModeOfAdministration", "TimeZero",
    "ScanStart", "InjectionStart", "FrameTimesStart", "FrameDuration", "AcquisitionMode",
    "ImageDecayCorrected", "ImageDecayCorrectionTime", "ReconMethodName",
    "ReconMethodParameterLabels", "ReconFilterType", "AttenuationCorrection",
)  # fmt: skip
#: sidecar fields without which BIDS does not take an image of that suffix
REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "bold": ("RepetitionTime", "TaskName"),
    "phasediff": ("EchoTime1", "EchoTime2"),
    "phase1": ("EchoTime",),
    "phase2": ("EchoTime",),
    "fieldmap": ("Units",),
    "epi": ("PhaseEncodingDirection", "TotalReadoutTime"),
    "pet": _PET_REQUIRED,
}
_SERIES: Final = {"bold": (4,), "pet": (3, 4), "epi": (3, 4), "sbref": (3, 4)}
_PERSONAL: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "OtherPatientIDs", "OtherPatientNames",
    "PatientBirthName", "PatientMotherBirthName", "PatientAddress", "PatientTelephoneNumbers",
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "AccessionNumber",
    "StudyDate", "SeriesDate", "AcquisitionDate", "InstitutionName", "InstitutionAddress",
)  # fmt: skip
_LEAST_PERSONAL: Final = 3  # letters; shorter parts of a name stand for much else


def convert(
    item: Item,
    bids_dir: Path,
    *,
    echo_times: Sequence[float] = (),
    work_dir: Path | None = None,
    overwrite: bool = False,
    known: Mapping[str, Path] | None = None,
) -> tuple[str, list[str]]:
    """Convert one series, unless its image is there already.

    Parameters
    ----------
    item : Item
        From `plan.plan`, without a problem.
    bids_dir : Path
        Top of the dataset.
    echo_times : sequence of float
        In s, of the magnitude images that belong to a phase difference.
    work_dir : Path, optional
        Where dcm2niix writes; the system's temporary folder by default.
    overwrite : bool
        Replace an image that differs.
    known : mapping, optional
        Digest of a series to its image, for those in the dataset.

    Returns
    -------
    state : {"written", "kept"}
        ``kept``: the very image was there, made of the same files.
    notes : list of str
        What is doubtful.

    Raises
    ------
    DataError
        Damaged, missing or contradicting files; a required field that neither DICOM nor mapping
        gives; a different file of that name.
    """
    assert item.rule is not None
    target = bids_dir / item.name
    record = {"Source": source.digest(item.series), "Mapping": _settings(item)}
    if _is_done(target, record) and not overwrite:
        return "kept", []
    _check_new(target, record["Source"], known or {}, overwrite)
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="brainnet-dicom-", dir=work_dir) as folder:
        img, plain, slices = _image(item, Path(folder), notes)
        fields = sidecar(item, plain, slices, img, notes, echo_times=echo_times)
        img = _timed(img, item, fields)
        if not target.exists() or overwrite:
            io.save_img(img, target)
        else:
            _check_same(io.save_img(img, Path(folder) / "checked.nii.gz"), target)
    record["Image"] = io.sha256(target)
    io.save_json(fields | {RECORD: record}, sidecar_path(target))
    return "written", notes


def sidecar_path(target: Path) -> Path:
    """Return the sidecar of an image."""
    return target.with_name(target.name.removesuffix(".nii.gz") + ".json")


def _settings(item: Item) -> str:
    """Return what tells the part of the mapping that an image depends on."""
    assert item.rule is not None
    content = {"metadata": item.rule.metadata, "uneven": item.rule.uneven}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _is_done(target: Path, record: Mapping[str, str]) -> bool:
    """Say whether the image is the one that this conversion would write."""
    path = sidecar_path(target)
    if not target.exists() or not path.exists():
        return False
    there = io.load_json(path).get(RECORD)
    if not isinstance(there, dict) or any(there.get(key) != record[key] for key in record):
        return False
    return there.get("Image") == io.sha256(target)


def _check_new(target: Path, source: str, known: Mapping[str, Path], overwrite: bool) -> None:
    """Raise where the image is there otherwise, or under another name."""
    other = known.get(source)
    if other is not None and other != target and other.exists():
        what = f"this very series is in the dataset already, as {other.name}"
        raise DataError(target, what, "Remove that image and its sidecar, or rename it so")
    if target.exists() and sidecar_path(target).exists() and not overwrite:
        what = "was made of other files or with another mapping, or was changed since"
        raise DataError(target, what, "Move it away, or replace it with --overwrite")


def _check_same(new: Path, target: Path) -> None:
    """Raise unless the image that is there is the one that was made now."""
    if io.sha256(new) != io.sha256(target):
        what = "a different image of that name is there"
        raise DataError(target, what, "Move it away, or replace it with --overwrite")


def _image(
    item: Item, folder: Path, notes: list[str]
) -> tuple[Nifti1Image, dict[str, Any], list[Slice]]:
    """Return the image of a series, dcm2niix' sidecar, and the files it is made of."""
    assert item.rule is not None
    slices = source.load(item.series, notes)
    resampled = False
    try:
        expected = geometry.shape(slices, notes)
    except Uneven as error:
        if item.rule.uneven == "error":
            raise
        expected, resampled = None, True
        notes.append(f"{error.problem}: resampled to equal slices")
    paths = list(dict.fromkeys(one.path for one in slices))
    img, plain = dcm2niix.image(paths, folder, title=item.series.title, resampled=resampled)
    _check_shape(img, expected, item)
    if expected is not None:
        geometry.check_places(img, slices)
    return img, plain, slices


def _check_shape(img: Nifti1Image, expected: tuple[int, ...] | None, item: Item) -> None:
    """Raise where the image has not the voxels of its files, or not the dimensions of its kind."""
    folder = item.series.paths[0].parent
    if expected is not None:
        found = (*sorted(img.shape[:3]), *(img.shape[3:] or (1,)))
        if found != (*sorted(expected[:3]), expected[3]):
            what = f"{item.series.title}: the image is {img.shape}, its files are {expected}"
            raise DataError(folder, what, "Export the series again")
    allowed = _SERIES.get(item.suffix, (3,))
    if img.ndim not in allowed:
        what = f"{item.series.title} has {img.shape[3] if img.ndim > 3 else 1} volumes"
        wanted = "several" if allowed == (4,) else "one"
        raise DataError(folder, f"{what}, {item.suffix} has {wanted}", "Correct its [[series]]")


def _timed(img: Nifti1Image, item: Item, fields: Mapping[str, Any]) -> Nifti1Image:
    """Return an image whose header has the time between volumes that its sidecar has."""
    if img.ndim < 4:
        return img
    step = float(fields.get("RepetitionTime") or img.header.get_zooms()[3])
    if item.suffix == "pet":
        starts = np.diff(fields["FrameTimesStart"])
        step = float(starts[0]) if np.ptp(starts) < 1e-3 else 0.0  # 0: frames of several lengths
    zooms = [*img.header.get_zooms()[:3], step]
    img.header.set_zooms(zooms)
    return img


def sidecar(
    item: Item,
    plain: Mapping[str, Any],
    slices: Sequence[Slice],
    img: Nifti1Image,
    notes: list[str],
    *,
    echo_times: Sequence[float] = (),
) -> dict[str, Any]:
    """Return the fields of an image's sidecar, without anything about who was scanned.

    Parameters
    ----------
    item : Item
        The series and its rule, whose metadata win.
    plain : mapping
        dcm2niix' sidecar.
    slices : sequence of Slice
        Its files.
    img : Nifti1Image
        The image.
    notes : list of str
        Gets a line on each field that is doubtful or left out.
    echo_times : sequence of float
        In s, of the two magnitude images that belong to a phase difference.

    Returns
    -------
    dict
        Fields of BIDS.

    Raises
    ------
    DataError
        A field that BIDS requires is not there, or the frames do not agree with the image.
    """
    assert item.rule is not None
    fields = _acquired(item, plain, echo_times)
    if item.suffix == "pet":
        fields |= _pet(item, slices, img, notes)
    for key in item.rule.metadata:
        if key in fields and fields[key] != item.rule.metadata[key]:
            notes.append(
                f"{key} is {item.rule.metadata[key]!r} by the mapping, not {fields[key]!r}"
            )
    fields = _impersonal(fields, item, notes) | item.rule.metadata
    _check_slice_timing(fields, img, notes)
    fields["ConversionSoftware"] = "brainnet, dcm2niix"
    version = str(plain.get("ConversionSoftwareVersion", "unknown"))
    fields["ConversionSoftwareVersion"] = f"{__version__}, {version}"
    absent = [key for key in REQUIRED.get(item.suffix, ()) if key not in fields]
    if absent:
        what = f"{item.series.title}: neither DICOM nor the mapping gives {', '.join(absent)}"
        remedy = 'Add them to metadata of its [[series]] (BIDS allows "n/a" where unknown)'
        raise DataError(item.name, what, remedy)
    return fields


def _acquired(item: Item, plain: Mapping[str, Any], echo_times: Sequence[float]) -> dict[str, Any]:
    """Return the fields that tell how an image was acquired."""
    assert item.rule is not None
    header = item.series.header
    made_by = {"Manufacturer": "Manufacturer", "ManufacturersModelName": "ManufacturerModelName"}
    fields: dict[str, Any] = {
        key: str(header[name].value) for key, name in made_by.items() if header.get(name)
    }
    fields |= {key: value for key, value in plain.items() if key in _TAKEN}
    if item.suffix == "phasediff" and len(echo_times) == 2:
        fields = {"EchoTime1": echo_times[0], "EchoTime2": echo_times[1]} | fields
    kinds = set(plain.get("ImageType") or ())
    if kinds & {"DIS2D", "DIS3D", "ND"}:
        fields.setdefault("NonlinearGradientCorrection", "ND" not in kinds)
    if item.rule.datatype == "func":
        fields = {"TaskName": (item.entities or {})["task"]} | fields
    return fields


def _pet(item: Item, slices: Sequence[Slice], img: Nifti1Image, notes: list[str]) -> dict[str, Any]:
    """Return the PET fields of a series."""
    frames = geometry.frames(slices)
    n_frames = img.shape[3] if img.ndim > 3 else 1
    if len(frames) != n_frames:
        what = f"{item.series.title}: {len(frames)} frames in the headers, {n_frames} in the image"
        raise DataError(slices[0].path.parent, what, "Export the series again")
    fields, doubts = pet_fields(item.series.header, frames)
    notes += doubts
    return fields


def _check_slice_timing(fields: dict[str, Any], img: Nifti1Image, notes: list[str]) -> None:
    """Drop slice times that cannot be."""
    times, t_r = fields.get("SliceTiming"), fields.get("RepetitionTime")
    if times is None:
        return
    if len(times) not in img.shape[:3] or (t_r is not None and max(times) >= t_r) or min(times) < 0:
        del fields["SliceTiming"]
        notes.append("the slice times do not agree with the image: SliceTiming is left out")


def _impersonal(fields: dict[str, Any], item: Item, notes: list[str]) -> dict[str, Any]:
    """Return the fields without those that repeat something about the person or the visit."""
    words = personal_words(item.series.header)
    kept = {}
    for key, value in fields.items():
        texts = value if isinstance(value, list) else [value]
        said = " ".join(part for part in texts if isinstance(part, str))  # numbers name nobody
        if words and re.search(words, said, re.IGNORECASE):
            notes.append(f"{key} names the person, place or day: it is left out")
        else:
            kept[key] = value
    return kept


def personal_words(header: Any) -> str:
    """Return a pattern that finds what a header says about the person, place and day.

    Parameters
    ----------
    header : pydicom Dataset
        Of any image of the series.

    Returns
    -------
    str
        A regular expression, ``""`` where the header says nothing.
    """
    words = set()
    for keyword in _PERSONAL:
        value = header.get(keyword)
        many = isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue"
        for text in map(str, value if many else [value] if value else []):
            parts = [text, *re.split(r"[\^=\s,;]+", text)] if "Name" in keyword else [text]
            words |= {part.strip() for part in parts if len(part.strip()) >= _LEAST_PERSONAL}
    every = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return rf"(?<![^\W_])(?:{every})(?![^\W_])" if every else ""
