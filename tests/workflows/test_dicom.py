"""DICOM series written from planted volumes come out as the BIDS images that were planted."""

import datetime
import gzip
import json
import os
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from brainnet import bids, io
from brainnet.io import DataError

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: brainnet[dicom]")
pytest.importorskip("dcm2niix", reason="dcm2niix is not installed: brainnet[dicom]")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402

from brainnet.workflows import dicom  # noqa: E402
from brainnet.workflows.dicom import map as dicom_map  # noqa: E402
from brainnet.workflows.dicom import plan as dicom_plan  # noqa: E402
from brainnet.workflows.dicom import scan as dicom_scan  # noqa: E402

UID = "1.2.826.0.1.3680043.9.7777"
CLASSES = {"MR": "1.2.840.10008.5.1.4.1.1.4", "CT": "1.2.840.10008.5.1.4.1.1.2",
           "PT": "1.2.840.10008.5.1.4.1.1.128"}  # fmt: skip
PERSON = {
    "PatientName": "DOE^JANE",
    "PatientID": "MRN-0042-XYZ",
    "PatientBirthDate": "19470311",
    "PatientSex": "F",
    "PatientWeight": 61.25,
    "OtherPatientNames": "SMITH^JANE",
    "InstitutionName": "Saint Elsewhere",
    "InstitutionAddress": "12 Hidden Lane",
    "ReferringPhysicianName": "WELBY^MARCUS",
    "OperatorsName": "KILDARE^JAMES",
    "AccessionNumber": "ACC99881",
    "StationName": "WARD7MR",
    "DeviceSerialNumber": "SN556677",
    "StudyDate": "20210304",
    "StudyTime": "093000",
    "ImageComments": "Jane Doe moved",
    "StudyDescription": "Brain of Mrs Doe",
    "ProtocolName": "protocol for DOE",
}
SECRETS = ("doe", "jane", "smith", "mrn-0042", "mrn0042", "1947", "elsewhere", "hidden lane",
           "welby", "kildare", "acc99881", "ward7", "556677", "20210304", "2021-03-04", "61.25",
           "moved", UID)  # fmt: skip
MAP = """
[dataset]
Name = "Phantoms"
Authors = ["Somebody"]
License = "CC0"

[participants]
"MRN-0042-XYZ" = "01"

[[series]]
match = { SeriesDescription = "*mprage*", Modality = "MR", ImageType = "ORIGINAL" }
bids = { datatype = "anat", suffix = "T1w" }
metadata = { NonlinearGradientCorrection = false }

[[series]]
match = { SeriesDescription = "rest*" }
bids = { datatype = "func", suffix = "bold", task = "rest" }
metadata = { B0FieldSource = "gre", NonlinearGradientCorrection = false }

[[series]]
match = { SeriesDescription = "gre_field*", ImageType = "P" }
bids = { datatype = "fmap", suffix = "phasediff" }
metadata = { B0FieldIdentifier = "gre", NonlinearGradientCorrection = false }

[[series]]
match = { SeriesDescription = "gre_field*" }
bids = { datatype = "fmap", suffix = "magnitude" }
metadata = { B0FieldIdentifier = "gre", NonlinearGradientCorrection = false }

[[series]]
match = { SeriesDescription = "se_AP" }
bids = { datatype = "fmap", suffix = "epi", direction = "AP" }
[series.metadata]
PhaseEncodingDirection = "j-"
TotalReadoutTime = 0.05
NonlinearGradientCorrection = false

[[series]]
match = { SeriesDescription = "se_PA" }
bids = { datatype = "fmap", suffix = "epi", direction = "PA" }
[series.metadata]
PhaseEncodingDirection = "j"
TotalReadoutTime = 0.05
NonlinearGradientCorrection = false

[[series]]
match = { Modality = "PT" }
bids = { datatype = "pet", suffix = "pet", tracer = "FDG" }
[series.metadata]
InjectedMass = "n/a"
InjectedMassUnits = "n/a"
SpecificRadioactivity = "n/a"
SpecificRadioactivityUnits = "n/a"
ModeOfAdministration = "bolus"
AcquisitionMode = "list mode"

[[series]]
match = { Modality = "CT" }
bids = { datatype = "ct", suffix = "ct" }
"""


def oblique(voxel: tuple[float, float, float], shape: tuple[int, int, int]) -> np.ndarray:
    """Return an affine (RAS) turned about all axes, its centre near the origin."""
    a, b, c = np.radians([12.0, -7.0, 20.0])
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turn_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    affine = np.eye(4)
    # columns run to the left, rows to the back, as in DICOM
    affine[:3, :3] = turn_x @ turn_y @ turn_z @ np.diag([-1.0, -1.0, 1.0]) * voxel
    affine[:3, 3] = np.array([4.0, -9.0, 13.0]) - affine[:3, :3] @ (np.array(shape) - 1) / 2
    return affine


def planted(shape: tuple[int, ...], seed: int, high: int = 3000) -> np.ndarray:
    """Return whole numbers, all over the range, none alike its mirror."""
    return np.random.default_rng(seed).integers(1, high, shape).astype(np.int16)


def file_dataset(modality: str, uid: str) -> Dataset:
    """Return an empty image of one modality, the person in it."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CLASSES[modality]
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
    ds.Modality = modality
    for key, value in PERSON.items():
        setattr(ds, key, value)
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.SamplesPerPixel, ds.PhotometricInterpretation = 15, 1, "MONOCHROME2"
    ds.PixelRepresentation = 1
    return ds


def write_series(
    folder: Path,
    volumes: np.ndarray,
    affine: np.ndarray,
    *,
    number: int,
    modality: str = "MR",
    each: Any = lambda volume: {},
    **elements: Any,
) -> list[Path]:
    """Write (n_volumes, columns, rows, slices) as one file a slice; `each` gives a volume's own."""
    folder.mkdir(parents=True, exist_ok=True)
    series = f"{UID}.{number}"
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    to_lps = np.diag([-1.0, -1.0, 1.0])
    axes = to_lps @ affine[:3, :3] / sizes
    paths = []
    for volume, data in enumerate(volumes):
        for k in range(data.shape[2]):
            index = volume * data.shape[2] + k + 1
            ds = file_dataset(modality, f"{series}.{index}")
            ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{UID}.1", series
            ds.FrameOfReferenceUID = f"{UID}.2"
            ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = number, index, volume + 1
            ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = PERSON["StudyDate"]
            ds.Rows, ds.Columns = data.shape[1], data.shape[0]
            ds.PixelSpacing = [f"{sizes[1]:.6f}", f"{sizes[0]:.6f}"]
            ds.SliceThickness = ds.SpacingBetweenSlices = f"{sizes[2]:.6f}"
            place = to_lps @ (affine @ (0, 0, k, 1))[:3]
            ds.ImagePositionPatient = [f"{v:.6f}" for v in place]
            ds.ImageOrientationPatient = [f"{v:.9f}" for v in (*axes[:, 0], *axes[:, 1])]
            for key, value in {
                "Manufacturer": "ACME",
                "ManufacturersModelName": "Phantom 3",
                "PatientPosition": "HFS",
                **elements,
                **each(volume),
            }.items():
                setattr(
                    ds, {"ManufacturersModelName": "ManufacturerModelName"}.get(key, key), value
                )
            ds.PixelData = np.ascontiguousarray(data[:, :, k].T).astype("<i2").tobytes()
            path = folder / f"IM{number:03d}_{index:04d}"
            ds.save_as(path, enforce_file_format=True)
            paths.append(path)
    return paths


def dose() -> Sequence:
    """Return what was injected: 185.5 MBq of FDG at 9:20."""
    item = Dataset()
    item.Radiopharmaceutical = "Fluorodeoxyglucose"
    item.RadionuclideTotalDose = 185.5e6
    item.RadionuclideHalfLife = 6586.2
    item.RadiopharmaceuticalStartTime = "092000"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C-111A1", "SRT", "^18^Fluorine"
    item.RadionuclideCodeSequence = Sequence([code])
    return Sequence([item])


FRAMES = ((0.0, 60.0), (60.0, 120.0), (180.0, 300.0))  # start after 10:00:00, duration


def pet_frame(volume: int) -> dict[str, Any]:
    """Return the elements of one PET frame, its decay factor by the formula."""
    start, duration = FRAMES[volume]
    rate = np.log(2) / 6586.2
    factor = np.exp(rate * start) * rate * duration / (1 - np.exp(-rate * duration))
    clock = datetime.datetime(2021, 3, 4, 10) + datetime.timedelta(seconds=start)
    return {
        "AcquisitionTime": clock.strftime("%H%M%S"),
        "ActualFrameDuration": int(duration * 1000),
        "DecayFactor": f"{factor:.8f}",
        "FrameReferenceTime": f"{(start + duration / 2) * 1000:.3f}",
        "RescaleSlope": 1.5 * (volume + 1),
        "RescaleIntercept": 0,
    }


def write_visit(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write every kind of series; return volumes (physical units) and affine by image name."""
    truth = {}

    def put(name: str, shape: tuple[int, ...], voxel: Any, scale: Any = None, **more: Any) -> None:
        number = more["number"]
        data = planted(shape, number)
        affine = oblique(voxel, shape[1:])
        write_series(folder / f"DOE_JANE_{number}", data, affine, **more)
        values = data.astype(float)
        truth.setdefault(name, (values if scale is None else scale(values), affine))

    mr = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"], "MagneticFieldStrength": 3}
    put("anat/sub-01_T1w", (1, 20, 24, 16), (0.9, 1.1, 1.4), number=2, **mr,
        SeriesDescription="t1_MPRAGE DOE", SoftwareVersions="release of Doe", EchoTime=2.98,
        RepetitionTime=2300, FlipAngle=9,
        InversionTime=900, MRAcquisitionType="3D", ScanningSequence="GR", SeriesTime="093100",
        AcquisitionTime="093100")  # fmt: skip
    epi = mr | {"MRAcquisitionType": "2D", "ScanningSequence": "EP", "RepetitionTime": 2150}
    put("func/sub-01_task-rest_bold", (4, 16, 16, 8), (3.0, 3.2, 3.6), number=3, **epi,
        SeriesDescription="rest_bold", EchoTime=30, SeriesTime="094000",
        each=lambda v: {"AcquisitionTime": f"0940{2.15 * v:09.6f}",
                        "TemporalPositionIdentifier": v + 1})  # fmt: skip
    gre = mr | {"RepetitionTime": 500, "ScanningSequence": "GR", "SeriesTime": "095000"}
    both = planted((2, 16, 16, 8), 4)
    affine = oblique((3.0, 3.0, 3.5), (16, 16, 8))
    write_series(folder / "fm", both, affine, number=4, **gre, AcquisitionTime="095000",
                 SeriesDescription="gre_field_mapping",
                 each=lambda v: {"EchoTime": (4.92, 7.38)[v], "EchoNumbers": v + 1})  # fmt: skip
    for echo in (0, 1):
        truth[f"fmap/sub-01_magnitude{echo + 1}"] = (both[echo : echo + 1].astype(float), affine)
    phase = gre | {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}
    put("fmap/sub-01_phasediff", (1, 16, 16, 8), (3.0, 3.0, 3.5), number=5, **phase,
        SeriesDescription="gre_field_mapping", EchoTime=7.38, AcquisitionTime="095100")  # fmt: skip
    for number, way in ((6, "AP"), (7, "PA")):
        put(f"fmap/sub-01_dir-{way}_epi", (1, 16, 16, 8), (3.0, 3.2, 3.6), number=number, **epi,
            SeriesDescription=f"se_{way}", EchoTime=50, SeriesTime="095500",
            AcquisitionTime=f"09550{number}")  # fmt: skip
    slopes = 1.5 * np.arange(1, 4)[:, None, None, None]
    put("pet/sub-01_trc-FDG_pet", (3, 14, 14, 10), (2.5, 2.5, 3.0), lambda v: v * slopes,
        number=8, modality="PT", SeriesDescription="FDG dynamic", SeriesTime="100000",
        ImageType=["ORIGINAL", "PRIMARY"], Units="BQML", DecayCorrection="START", NumberOfSlices=10,
        NumberOfTimeSlices=3, SeriesType=["DYNAMIC", "IMAGE"], each=pet_frame,
        CorrectedImage=["DECY", "ATTN", "SCAT"], ReconstructionMethod="OSEM 3i24s",
        ConvolutionKernel="Gauss 4.0", AttenuationCorrectionMethod="measured, CT",
        RadiopharmaceuticalInformationSequence=dose())  # fmt: skip
    put("ct/sub-01_ct", (1, 20, 20, 12), (0.6, 0.6, 2.5), lambda v: v - 1024.0, number=9,
        modality="CT", SeriesDescription="head", ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        RescaleSlope=1, RescaleIntercept=-1024, KVP=120, SeriesTime="103000",
        AcquisitionTime="103000")  # fmt: skip
    return truth


def scramble(folder: Path) -> None:
    """Throw all files into one folder under names that say nothing of their order."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    random.Random(0).shuffle(paths)
    for number, path in enumerate(paths):
        path.rename(folder / f"f{number:05d}.dcm")
    for sub in sorted(folder.iterdir()):
        if sub.is_dir():
            sub.rmdir()


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A visit of every kind of series, converted."""
    root = tmp_path_factory.mktemp("dicom")
    source, out, mapping = root / "in", root / "out", root / "map.toml"
    truth = write_visit(source)
    scramble(source)
    (source / "notes.txt").write_text("not DICOM")
    mapping.write_text(MAP)
    status = dicom.main([str(source), str(out), "--map", str(mapping)])
    return SimpleNamespace(source=source, out=out, map=mapping, truth=truth, status=status)


def copied(visit: SimpleNamespace, tmp_path: Path) -> list[str]:
    """Return a command line on copies of a visit's folders."""
    shutil.copytree(visit.source, tmp_path / "in")
    shutil.copytree(visit.out, tmp_path / "out")
    return [str(tmp_path / "in"), str(tmp_path / "out"), "--map", str(visit.map)]


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def load(visit: SimpleNamespace, name: str) -> Any:
    return io.load_img(visit.out / "sub-01" / f"{name}.nii.gz")


def sidecar(visit: SimpleNamespace, name: str) -> dict[str, Any]:
    return io.load_json(visit.out / "sub-01" / f"{name}.json")


def test_every_series_is_converted(visit) -> None:
    assert visit.status == 0
    found = {
        path.relative_to(visit.out / "sub-01").as_posix().removesuffix(".nii.gz")
        for path in visit.out.rglob("*.nii.gz")
    }
    assert found == set(visit.truth)


def test_values_lie_where_they_were_planted(visit) -> None:
    """Every voxel: its world position leads to a voxel's centre that holds its value."""
    for name, (volumes, affine) in visit.truth.items():
        img = load(visit, name)
        indices = np.indices(volumes.shape[1:]).reshape(3, -1)
        world = affine[:3, :3] @ indices + affine[:3, 3:]
        inverse = np.linalg.inv(img.affine)
        voxels = inverse[:3, :3] @ world + inverse[:3, 3:]
        nearest = np.rint(voxels).astype(int)
        assert np.abs(voxels - nearest).max() < 2e-3, name
        data = np.asarray(img.dataobj).reshape(*img.shape[:3], -1)
        assert data.shape[3] == len(volumes), name
        for volume, values in enumerate(volumes):
            found = data[(*nearest, volume)]
            np.testing.assert_allclose(found, values.ravel(), rtol=1e-6, err_msg=name)


def test_hounsfield_units_are_right(visit) -> None:
    data = np.asarray(load(visit, "ct/sub-01_ct").dataobj)
    assert data.min() == visit.truth["ct/sub-01_ct"][0].min() < -1000


def test_times_of_mr_are_right(visit) -> None:
    bold = sidecar(visit, "func/sub-01_task-rest_bold")
    assert bold["RepetitionTime"] == pytest.approx(2.15)
    assert bold["EchoTime"] == pytest.approx(0.030)
    assert bold["TaskName"] == "rest"
    assert bold["B0FieldSource"] == "gre"
    img = load(visit, "func/sub-01_task-rest_bold")
    assert img.header.get_zooms()[3] == pytest.approx(2.15)
    t1w = sidecar(visit, "anat/sub-01_T1w")
    assert (t1w["EchoTime"], t1w["RepetitionTime"]) == (pytest.approx(0.00298), pytest.approx(2.3))
    assert (t1w["FlipAngle"], t1w["InversionTime"]) == (9, pytest.approx(0.9))


def test_a_phase_difference_gets_the_echoes_of_its_magnitudes(visit) -> None:
    fields = sidecar(visit, "fmap/sub-01_phasediff")
    assert (fields["EchoTime1"], fields["EchoTime2"]) == (0.00492, 0.00738)
    for number, time in ((1, 0.00492), (2, 0.00738)):
        assert sidecar(visit, f"fmap/sub-01_magnitude{number}")["EchoTime"] == pytest.approx(time)


def test_pet_fields_are_right(visit) -> None:
    pet = sidecar(visit, "pet/sub-01_trc-FDG_pet")
    assert pet["TimeZero"] == "10:00:00"
    assert (pet["ScanStart"], pet["InjectionStart"]) == (0, -2400)
    assert pet["FrameTimesStart"] == [0, 60, 180]
    assert pet["FrameDuration"] == [60, 120, 300]
    assert (pet["ImageDecayCorrected"], pet["ImageDecayCorrectionTime"]) == (True, 0)
    assert (pet["InjectedRadioactivity"], pet["InjectedRadioactivityUnits"]) == (185.5, "MBq")
    assert (pet["TracerName"], pet["TracerRadionuclide"]) == ("Fluorodeoxyglucose", "F18")
    assert pet["Units"] == "Bq/mL"
    img = load(visit, "pet/sub-01_trc-FDG_pet")
    assert img.header.get_zooms()[3] == 0  # frames of several lengths have no one step
    assert pet["ReconMethodParameterLabels"] == ["subsets", "iterations"]
    assert pet["ReconMethodParameterValues"] == [24, 3]
    assert (pet["ReconFilterType"], pet["ReconFilterSize"]) == ("Gauss 4.0", 4)
    assert pet["AttenuationCorrection"] == "measured, CT"
    np.testing.assert_allclose(
        pet["DecayCorrectionFactor"],
        [float(pet_frame(volume)["DecayFactor"]) for volume in range(3)],
    )


def test_nothing_about_the_person_is_left(visit) -> None:
    """In no byte of the dataset, names of files and unpacked images among them."""
    for name, raw in content(visit.out).items():
        whole = (gzip.decompress(raw) if name.endswith(".gz") else raw) + name.encode()
        text = whole.lower()
        for secret in SECRETS:
            assert secret.encode() not in text, (name, secret)
            assert secret.encode("utf-16-le") not in text, (name, secret)


def test_the_dataset_is_described(visit) -> None:
    description = io.load_json(visit.out / "dataset_description.json")
    assert (description["Name"], description["DatasetType"]) == ("Phantoms", "raw")
    table = io.load_table(visit.out / "participants.tsv")
    assert list(table["participant_id"]) == ["sub-01"]
    scans = bids.index(visit.out)
    assert {scan.suffix for scan in scans} >= {"T1w", "bold", "pet", "epi", "phasediff"}


VALIDATOR = shutil.which("bids-validator-deno") or shutil.which(
    "bids-validator-deno", path=str(Path(sys.executable).parent)
)


@pytest.mark.skipif(not VALIDATOR, reason="no bids-validator-deno")
def test_the_bids_validator_finds_no_error(visit) -> None:
    done = subprocess.run(
        [VALIDATOR, "--format", "json", str(visit.out)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    issues = json.loads(done.stdout)["issues"]["issues"]
    errors = [issue for issue in issues if issue.get("severity") == "error"]
    assert not errors, errors


def test_a_second_run_changes_no_byte(visit, tmp_path: Path, capsys) -> None:
    command = copied(visit, tmp_path)
    before = content(tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    assert dicom.main(command) == 0
    assert "0 written, 9 kept, 0 failed" in capsys.readouterr().out
    assert content(tmp_path / "out") == before
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")} == times


def test_a_run_from_nothing_gives_the_same_bytes(visit, tmp_path: Path) -> None:
    assert dicom.main([str(visit.source), str(tmp_path / "new"), "--map", str(visit.map)]) == 0
    assert content(tmp_path / "new") == content(visit.out)


def test_a_run_killed_anywhere_is_completed(visit, tmp_path: Path) -> None:
    """An image without its sidecar, one missing, and the table not yet written."""
    command = copied(visit, tmp_path)
    out = tmp_path / "out"
    (out / "sub-01/anat/sub-01_T1w.json").unlink()
    (out / "sub-01/ct/sub-01_ct.nii.gz").unlink()
    shutil.rmtree(out / "sub-01/pet")
    (out / "participants.tsv").unlink()
    assert dicom.main(command) == 0
    assert content(out) == content(visit.out)


def test_a_damaged_sidecar_stops_its_own_series_only(visit, tmp_path: Path, capsys) -> None:
    command = copied(visit, tmp_path)
    (tmp_path / "out/sub-01/anat/sub-01_T1w.json").write_text("{")
    assert dicom.main(command) == 1
    said = capsys.readouterr()
    assert "0 written, 8 kept, 1 failed" in said.out
    assert "sub-01_T1w.json" in said.err


def test_a_different_file_is_not_replaced(visit, tmp_path: Path, capsys) -> None:
    command = copied(visit, tmp_path)
    image = tmp_path / "out/sub-01/anat/sub-01_T1w.nii.gz"
    img = io.load_img(image)
    io.save_img(type(img)(np.asarray(img.dataobj) + 1, img.affine), image)
    changed = image.read_bytes()
    assert dicom.main(command) == 1
    assert image.read_bytes() == changed
    assert "--overwrite" in capsys.readouterr().err
    image.with_name("sub-01_T1w.json").unlink()  # as if somebody had put an image of his own there
    assert dicom.main(command) == 1
    assert image.read_bytes() == changed
    assert dicom.main([*command, "--overwrite"]) == 0
    assert content(tmp_path / "out") == content(visit.out)


def test_a_sidecar_that_was_added_to_stays(visit, tmp_path: Path) -> None:
    command = copied(visit, tmp_path)
    path = tmp_path / "out/sub-01/fmap/sub-01_phasediff.json"
    io.save_json(io.load_json(path) | {"IntendedFor": "x"}, path)
    assert dicom.main(command) == 0
    assert io.load_json(path)["IntendedFor"] == "x"


def test_another_mapping_does_not_name_a_series_twice(visit, tmp_path: Path, capsys) -> None:
    command = copied(visit, tmp_path)
    other = tmp_path / "other.toml"
    other.write_text(MAP.replace('suffix = "T1w"', 'suffix = "T1w", acq = "new"'))
    command[-1] = str(other)
    assert dicom.main(command) == 1
    assert "already, as sub-01_T1w.nii.gz" in capsys.readouterr().err
    assert not (tmp_path / "out/sub-01/anat/sub-01_acq-new_T1w.nii.gz").exists()


def test_a_run_killed_at_any_moment_is_completed(visit, tmp_path: Path) -> None:
    """SIGKILL: what lies under a final name is whole; the next run completes to the same bytes."""
    command = [str(visit.source), str(tmp_path / "new"), "--map", str(visit.map)]
    code = f"import sys; from brainnet.workflows import dicom; sys.exit(dicom.main({command!r}))"
    whole = content(visit.out)
    new, seen = tmp_path / "new", set()
    for number in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and len(list(new.rglob("*.*"))) <= 5 * number:
            pass
        process.kill()
        process.wait()
        here = {name: raw for name, raw in content(new).items() if not name.endswith(".tmp")}
        assert here.items() <= whole.items()
        seen.add(len(here))
    assert len(seen) > 2
    assert dicom.main(command) == 0
    done = {name: raw for name, raw in content(new).items() if not name.endswith(".tmp")}
    assert done == whole


# --- one series at a time, damaged in one way


def t1w(folder: Path, *, number: int = 2, **elements: Any) -> list[Path]:
    data = planted((1, 12, 12, 8), number)
    return write_series(
        folder, data, oblique((1.0, 1.0, 2.0), (12, 12, 8)), number=number,
        **{"SeriesDescription": "mprage", "ImageType": ["ORIGINAL", "PRIMARY", "M"],
           "EchoTime": 3, "RepetitionTime": 2000, "MRAcquisitionType": "3D",
           "SeriesTime": f"09{number:02d}00", "AcquisitionTime": f"09{number:02d}00", **elements},
    )  # fmt: skip


def rewrite(path: Path, **elements: Any) -> None:
    ds = pydicom.dcmread(path)
    for key, value in elements.items():
        setattr(ds, key, value)
    ds.save_as(path, enforce_file_format=True)


def test_a_faulty_series_is_named_and_stops_no_other(tmp_path: Path, capsys) -> None:
    """Each fault in a series of its own, beside one that is whole."""
    source = tmp_path / "in"
    t1w(source / "0", number=10)
    cut = t1w(source / "1", number=11)
    cut[3].write_bytes(cut[3].read_bytes()[:-50])
    t1w(source / "2", number=12)[4].unlink()  # a slice inside is missing
    turned = t1w(source / "3", number=13)
    rewrite(turned[-1], ImageOrientationPatient=[0, 1, 0, 0, 0, 1])
    two = t1w(source / "4", number=14)
    rewrite(two[-1], PatientID="SOMEBODY ELSE")
    bold = write_series(source / "5", planted((3, 12, 12, 6), 5), oblique((3, 3, 3), (12, 12, 6)),
                        number=15, SeriesDescription="rest", EchoTime=30, RepetitionTime=2000,
                        ImageType=["ORIGINAL"])  # fmt: skip
    bold[-1].unlink()
    flat = write_series(source / "6", np.zeros((1, 12, 12, 6), np.int16),
                        oblique((3, 3, 3), (12, 12, 6)), number=16, SeriesDescription="mprage",
                        ImageType=["ORIGINAL"])  # fmt: skip
    assert flat
    other = t1w(source / "7", number=17)
    shutil.copyfile(other[0], source / "7" / "same")  # the same image twice does no harm
    clash = t1w(source / "8", number=18)
    twin = source / "8" / "twin"
    shutil.copyfile(clash[0], twin)
    rewrite(twin, PixelData=bytes(2 * 12 * 12))
    (source / "archive.zip").write_bytes(b"PK\3\4")
    (source / "broken").write_bytes(cut[0].read_bytes()[:140])
    mapping = tmp_path / "map.toml"
    mapping.write_text(MAP)
    assert dicom.main([str(source), str(tmp_path / "out"), "--map", str(mapping)]) == 1
    said = capsys.readouterr()
    assert "2 written, 0 kept, 7 failed" in said.out
    for text in (
        "IM011_0004: the DICOM file is cut: 238 of 288 bytes",
        "slices are missing or unequally spaced: 2 to 4 mm apart, most 2 mm",
        "images of 2 orientations",
        "more than one patient ID",
        "images are missing: 1 of 6 slices have fewer than the 3 volumes",
        "under the same SOP Instance UID",
        "1 files are there twice",
        "archive.zip: an archive",
        "broken: a DICOM file that is cut",
    ):
        assert text in said.err, text
    names = sorted(path.name for path in (tmp_path / "out").rglob("*.nii.gz"))
    assert names == ["sub-01_run-1_T1w.nii.gz", "sub-01_run-5_T1w.nii.gz"]


def test_unequal_slices_are_resampled_only_on_request(tmp_path: Path, capsys) -> None:
    """A ramp along the slices stays that ramp in mm."""
    shape = (10, 10, 12)
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    ramp = np.broadcast_to(np.arange(12) * 100 + 50, shape).astype(np.int16).copy()
    ramp[0, 0] += 1
    paths = write_series(tmp_path / "in", ramp[None], affine, number=3, modality="CT",
                         ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], RescaleSlope=1,
                         RescaleIntercept=-1024, SeriesDescription="head")  # fmt: skip
    for path in paths[7:11:2]:
        path.unlink()
    mapping = tmp_path / "map.toml"
    mapping.write_text(MAP)
    command = [str(tmp_path / "in"), str(tmp_path / "out"), "--map", str(mapping)]
    assert dicom.main(command) == 1
    assert "2 to 4 mm apart" in capsys.readouterr().err
    mapping.write_text(MAP.replace('suffix = "ct" }', 'suffix = "ct" }\nuneven = "resample"'))
    assert dicom.main(command) == 0
    img = io.load_img(tmp_path / "out/sub-01/ct/sub-01_ct.nii.gz")
    data = np.asarray(img.dataobj)[5, 5]
    world = img.affine[2, 2] * np.arange(len(data)) + img.affine[2, 3]
    np.testing.assert_allclose(data, world * 50 + 50 - 1024, atol=1.5)


def test_a_field_of_the_mapping_wins_and_that_is_said(tmp_path: Path, capsys) -> None:
    write_series(tmp_path / "in", planted((3, 8, 8, 6), 1), oblique((3, 3, 3), (8, 8, 6)),
                 number=2, SeriesDescription="rest", EchoTime=30, RepetitionTime=2000,
                 ImageType=["ORIGINAL"])  # fmt: skip
    mapping = tmp_path / "map.toml"
    mapping.write_text(MAP.replace('B0FieldSource = "gre"', "RepetitionTime = 2.5"))
    assert dicom.main([str(tmp_path / "in"), str(tmp_path / "out"), "--map", str(mapping)]) == 0
    assert "RepetitionTime is 2.5 by the mapping, not 2" in capsys.readouterr().err
    visit = SimpleNamespace(out=tmp_path / "out")
    assert sidecar(visit, "func/sub-01_task-rest_bold")["RepetitionTime"] == 2.5
    img = load(visit, "func/sub-01_task-rest_bold")
    assert img.header.get_zooms()[3] == 2.5


def test_a_mosaic_series_keeps_values_places_and_times(tmp_path: Path) -> None:
    """As Siemens wrote it before XA: a file a volume, its slices side by side in one picture."""
    shape, t_r = (3, 12, 12, 7), 2.5
    data, affine = planted(shape, 1), oblique((2.0, 2.0, 3.0), shape[1:])
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    for volume in range(3):
        tiles = np.zeros((36, 36, 1), np.int16)
        for k in range(7):
            tiles[12 * (k % 3) : 12 * (k % 3) + 12, 12 * (k // 3) : 12 * (k // 3) + 12, 0] = data[
                volume, :, :, k
            ]
        corner = affine.copy()  # of the picture, as if it were one slice about the same centre
        corner[:3, 3] -= affine[:3, 0] * 12 + affine[:3, 1] * 12
        (path,) = write_series(
            tmp_path / "in" / str(volume), tiles[None], corner, number=3, Manufacturer="SIEMENS",
            SeriesDescription="rest", EchoTime=30, RepetitionTime=t_r * 1000,
            InstanceNumber=volume + 1, AcquisitionNumber=volume + 1,
            AcquisitionTime=f"10000{t_r * volume:.1f}",
            ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
        )  # fmt: skip
        normal = (affine[:3, 2] / sizes[2]) * (-1, -1, 1)
        times = [f"{1000 * t_r / 7 * k:.1f}" for k in range(7)]
        csa = {"NumberOfImagesInMosaic": ["7"], "SliceNormalVector": [f"{v:.8f}" for v in normal],
               "MosaicRefAcqTimes": times}  # fmt: skip
        add_csa(path, csa, f"{UID}.3.{volume + 1}")
    mapping = tmp_path / "map.toml"
    mapping.write_text(MAP)
    assert dicom.main([str(tmp_path / "in"), str(tmp_path / "out"), "--map", str(mapping)]) == 0
    truth = {"func/sub-01_task-rest_bold": (data.astype(float), affine)}
    visit = SimpleNamespace(out=tmp_path / "out", truth=truth)
    test_values_lie_where_they_were_planted(visit)
    fields = sidecar(visit, "func/sub-01_task-rest_bold")
    np.testing.assert_allclose(fields["SliceTiming"], t_r / 7 * np.arange(7), atol=0.003)


def add_csa(path: Path, tags: dict[str, list[str]], uid: str) -> None:
    """Give a file Siemens' own header (version 2: named tags of text items)."""
    out = b"SV10\4\3\2\1" + struct.pack("<II", len(tags), 77)
    for name, values in tags.items():
        out += struct.pack("<64si4siii", name.encode(), len(values), b"FD", 4, len(values), 77)
        for value in values:
            text = value.encode() + b"\0"
            out += struct.pack("<iiii", len(text), len(text), 77, len(text))
            out += text + bytes(-len(text) % 4)
    ds = pydicom.dcmread(path)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
    ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", out)
    ds.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("angle", [12, -12])
def test_tilted_slices_are_resampled_only_on_request(tmp_path: Path, capsys, angle: float) -> None:
    """A tilted gantry: a ramp of the world stays that ramp."""
    shape, step = (24, 30, 16), 3.0
    straight = np.diag([-1.0, -1.0, step, 1.0])
    tilted = straight.copy()
    tilted[1, 2] = step * np.tan(np.radians(angle))
    i, j, k = np.indices(shape)
    world = np.einsum("ab,b...->a...", tilted[:3, :3], np.array([i, j, k]))
    ramp = np.rint(2000 + 10 * world[0] + 7 * world[1] + 9 * world[2])
    write_series(tmp_path / "in", ramp.astype(np.int16)[None], straight, number=3, modality="CT",
                 ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], RescaleSlope=1, RescaleIntercept=-1024,
                 SeriesDescription="head", GantryDetectorTilt=angle)  # fmt: skip
    for path in (tmp_path / "in").iterdir():
        number = pydicom.dcmread(path).InstanceNumber - 1
        x, y, z = tilted[:3, 2] * number
        rewrite(path, ImagePositionPatient=[f"{-x:.6f}", f"{-y:.6f}", f"{z:.6f}"])
    mapping = tmp_path / "map.toml"
    mapping.write_text(MAP)
    command = [str(tmp_path / "in"), str(tmp_path / "out"), "--map", str(mapping)]
    assert dicom.main(command) == 1
    assert "tilted by 12.0 degrees" in capsys.readouterr().err
    mapping.write_text(MAP.replace('suffix = "ct" }', 'suffix = "ct" }\nuneven = "resample"'))
    assert dicom.main(command) == 0
    img = io.load_img(tmp_path / "out/sub-01/ct/sub-01_ct.nii.gz")
    data = np.asarray(img.dataobj)
    points = np.einsum("ab,b...->a...", img.affine[:3, :3], np.indices(img.shape))
    points += img.affine[:3, 3][:, None, None, None]
    expected = 2000 - 1024 + 10 * points[0] + 7 * points[1] + 9 * points[2]
    row = np.einsum("b,b...->...", np.linalg.inv(tilted)[1, :3], points)
    inside = (row > 1) & (row < shape[1] - 2)  # beyond, the tilt leaves air
    assert inside.mean() > 0.5
    np.testing.assert_allclose(data[inside], expected[inside], atol=4)  # half a row is 3.5


def convert_enhanced(tmp_path: Path, manufacturer: str, **more: Any) -> tuple[Any, int]:
    """Convert 3 volumes of 6 slices, in one enhanced file or one a volume."""
    shape = (3, 14, 12, 6)
    data, affine = planted(shape, 1), oblique((2.0, 2.5, 3.0), shape[1:])
    (tmp_path / "in").mkdir()
    n_files = more.pop("n_files", 1)
    for number in range(n_files):
        chosen = range(3) if n_files == 1 else [number]
        path = tmp_path / "in" / f"{number}.dcm"
        enhanced(path, data, affine, chosen, Manufacturer=manufacturer, **more)
    mapping = tmp_path / "map.toml"
    mapping.write_text(MAP)
    command = [str(tmp_path / "in"), str(tmp_path / "out"), "--map", str(mapping)]
    truth = {"func/sub-01_task-rest_bold": (data.astype(float), affine)}
    return SimpleNamespace(out=tmp_path / "out", truth=truth), dicom.main(command)


@pytest.mark.parametrize(("manufacturer", "n_files"), [("Philips", 1), ("SIEMENS", 3)])
def test_an_enhanced_series_keeps_values_places_and_times(
    tmp_path: Path, manufacturer: str, n_files: int
) -> None:
    """As Philips writes it, all in one file, and Siemens, one file a volume."""
    visit, status = convert_enhanced(tmp_path, manufacturer, n_files=n_files)
    assert status == 0
    test_values_lie_where_they_were_planted(visit)
    assert sidecar(visit, "func/sub-01_task-rest_bold")["RepetitionTime"] == pytest.approx(2)


@pytest.mark.parametrize(
    ("manufacturer", "spacing", "said"),
    [
        ("SIEMENS", None, "lies elsewhere than its files say"),
        ("SIEMENS", "3.0", "another order than their files"),
    ],
)
def test_an_image_that_dcm2niix_gets_wrong_is_refused(
    tmp_path: Path, capsys, manufacturer: str, spacing: str | None, said: str
) -> None:
    """It takes all frames of a file for slices of one volume; or the frames in their order."""
    visit, status = convert_enhanced(tmp_path, manufacturer, spacing=spacing)
    assert status == 1
    assert said in capsys.readouterr().err
    assert not list(visit.out.rglob("*_bold.*"))


def enhanced(
    path: Path,
    data: np.ndarray,
    affine: np.ndarray,
    chosen: Any,
    *,
    spacing: str | None = "3.0",
    **elements: Any,
) -> None:
    """Write the chosen ones of (n_volumes, columns, rows, slices) as one enhanced MR file."""
    ds = file_dataset("MR", f"{UID}.50.{chosen[0] + 1}")
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{UID}.1", f"{UID}.50"
    ds.SeriesNumber, ds.InstanceNumber = 50, chosen[0] + 1
    ds.SeriesDescription, ds.ImageType = "rest enhanced", ["ORIGINAL", "PRIMARY", "FMRI", "NONE"]
    ds.PatientPosition, ds.SeriesDate, ds.SeriesTime = "HFS", "20210304", "100000"
    for key, value in elements.items():
        setattr(ds, key, value)
    columns, rows, n_slices = data.shape[1:]
    ds.Rows, ds.Columns, ds.NumberOfFrames = rows, columns, len(chosen) * n_slices
    ds.AcquisitionDateTime = f"202103041000{2 * chosen[0]:02d}"
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    to_lps = np.diag([-1.0, -1.0, 1.0])
    axes = to_lps @ affine[:3, :3] / sizes

    def item(**elements: Any) -> Sequence:
        one = Dataset()
        for key, value in elements.items():
            setattr(one, key, value)
        return Sequence([one])

    shared = Dataset()
    shared.PixelMeasuresSequence = item(
        PixelSpacing=[f"{sizes[1]:.6f}", f"{sizes[0]:.6f}"],
        SliceThickness=f"{sizes[2]:.6f}",
        **({"SpacingBetweenSlices": spacing} if spacing else {}),
    )
    shared.PlaneOrientationSequence = item(
        ImageOrientationPatient=[f"{v:.9f}" for v in (*axes[:, 0], *axes[:, 1])]
    )
    shared.MRTimingAndRelatedParametersSequence = item(RepetitionTime=2000, FlipAngle=80)
    shared.MREchoSequence = item(EffectiveEchoTime=30)
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.DimensionIndexSequence = Sequence(
        [
            item(DimensionIndexPointer=pointer, FunctionalGroupPointer=0x00209111)[0]
            for pointer in (0x00209056, 0x00209057, 0x00209128)
        ]
    )
    frames, pixels = [], []
    for volume in chosen:
        for k in range(n_slices):
            frame = Dataset()
            frame.FrameContentSequence = item(
                DimensionIndexValues=[1, k + 1, volume + 1],
                TemporalPositionIndex=volume + 1,
                InStackPositionNumber=k + 1,
                StackID="1",
            )
            place = to_lps @ (affine @ (0, 0, k, 1))[:3]
            frame.PlanePositionSequence = item(ImagePositionPatient=[f"{v:.6f}" for v in place])
            frames.append(frame)
            pixels.append(np.ascontiguousarray(data[volume, :, :, k].T).astype("<i2").tobytes())
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    ds.PixelData = b"".join(pixels)
    ds.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("age", ["old", "older"])
def test_older_files_reports_and_media_directories(tmp_path: Path, capsys, age: str) -> None:
    """No preamble, no meta group: read all the same. A report, a DICOMDIR, hidden files: left."""
    for path in t1w(tmp_path / "in"):
        if age == "old":
            path.write_bytes(path.read_bytes()[132:])
        else:
            bare = pydicom.dcmread(path)
            bare.file_meta, bare.preamble = FileMetaDataset(), None
            bare.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    report = file_dataset("MR", f"{UID}.90")
    report.Modality, report.SeriesInstanceUID = "SR", f"{UID}.91"
    report.SeriesDescription = "report \x1b[31m"
    report.save_as(tmp_path / "in" / "report", enforce_file_format=True)
    index = file_dataset("MR", f"{UID}.92")
    index.file_meta.MediaStorageSOPClassUID = index.SOPClassUID = "1.2.840.10008.1.3.10"
    index.save_as(tmp_path / "in" / "DICOMDIR", enforce_file_format=True)
    (tmp_path / "in" / ".hidden").write_bytes(b"x")
    mapping = tmp_path / "map.toml"
    mapping.write_text(MAP)
    assert dicom.main([str(tmp_path / "in"), str(tmp_path / "out"), "--map", str(mapping)]) == 0
    said = capsys.readouterr()
    assert "left out: not an image" in said.out
    assert "\x1b" not in said.out
    assert "1 written, 0 kept, 0 failed" in said.out
    assert len(dicom_scan.scan(tmp_path / "in").series) == 2


# --- the command


def test_a_dry_run_lists_and_writes_nothing(visit, tmp_path: Path, capsys) -> None:
    command = [str(visit.source), str(tmp_path / "out"), "--dry-run"]
    assert dicom.main([*command, "--map", str(visit.map)]) == 0
    said = capsys.readouterr().out
    assert "sub-01/fmap/sub-01_magnitude2.nii.gz" in said
    assert not (tmp_path / "out").exists()


def test_the_template_is_a_mapping_that_converts(visit, tmp_path: Path, capsys) -> None:
    assert dicom.main([str(visit.source), str(tmp_path / "out"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    text = said[said.index("# A mapping file") :]
    (tmp_path / "start.toml").write_text(text)
    mapping = dicom_map.load_map(tmp_path / "start.toml")
    items = dicom_plan.plan(dicom_scan.scan(visit.source).series, mapping)
    names = {dicom_plan.fate(item).rsplit("_", 1)[-1].split(".")[0] for item in items}
    assert {"T1w", "bold", "magnitude1", "magnitude2", "phasediff", "pet", "ct"} <= names


def test_without_a_mapping_nothing_is_converted(visit, tmp_path: Path, capsys) -> None:
    assert dicom.main([str(visit.source), str(tmp_path / "out")]) == 2
    assert "--map FILE is needed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        dicom.main([str(tmp_path / "none"), str(tmp_path / "out"), "--dry-run"])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"data\.zip: unpack it"):
        dicom.main([str(tmp_path / "in"), str(tmp_path / "out"), "--dry-run"])
    with pytest.raises(DataError, match="cannot be inside"):
        dicom.main([str(tmp_path / "in"), str(tmp_path / "in" / "bids"), "--dry-run"])


def test_a_missing_program_is_told(visit, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "dcm2niix", None)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(DataError, match=r"pip install 'brainnet\[dicom\]'"):
        dicom.main([str(visit.source), str(tmp_path / "out"), "--map", str(visit.map)])
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(DataError, match=r"pydicom.*pip install 'brainnet\[dicom\]'"):
        dicom_scan.scan(visit.source)


def test_a_required_field_that_nobody_gives_is_told(visit, tmp_path: Path, capsys) -> None:
    mapping = tmp_path / "map.toml"
    mapping.write_text(MAP.replace('ModeOfAdministration = "bolus"', ""))
    command = [str(visit.source), str(tmp_path / "out"), "--map", str(mapping)]
    assert dicom.main(command) == 1
    assert "nor the mapping gives ModeOfAdministration" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*_pet.*"))
