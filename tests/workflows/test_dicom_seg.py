"""A planted cube comes out of a DICOM segmentation where it was planted, in patient coordinates."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from brainnet.io import DataError

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: brainnet[dicom]")
highdicom = pytest.importorskip("highdicom", reason="highdicom is not installed: brainnet[dicom]")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.sr.codedict import codes  # noqa: E402

from brainnet.workflows.dicom.segmentation import SEGMENTS, write_dicom_seg  # noqa: E402

UID = "1.2.826.0.1.3680043.9.7778"
SHAPE = (24, 20, 10)  # columns, rows, slices
CARD = {"weights_sha256": "c0ffee" * 10 + "abcd"}
PLANTED = {11: np.s_[3:8, 4:9, 2:5], 14: np.s_[15:20, 12:17, 6:9], 1: np.s_[0:2, 0:2, 0:2]}


def affine_of(angle: float = 9.0, tilt: float = 0.0) -> np.ndarray:
    """Return columns to the left, rows to the back (RAS mm), turned; slices shifted by a tilt."""
    turn = np.radians(angle)
    rotate = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = rotate @ np.diag([-1.1, -0.9, 3.0])
    affine[:3, 2] += (0, 3.0 * np.tan(np.radians(tilt)), 0)
    affine[:3, 3] = (12.0, 15.0, -20.0)
    return affine


def write_slices(folder: Path, affine: np.ndarray, **elements: Any) -> list[Path]:
    """Write a CT of noise, a file a slice, under names that say nothing of their order."""
    folder.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3, :3]
    sizes = np.linalg.norm(lps[:, :2], axis=0)
    paths = []
    for k in range(SHAPE[2]):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{UID}.3.{k + 1}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{UID}.1", f"{UID}.3"
        ds.FrameOfReferenceUID, ds.Modality, ds.PatientID = f"{UID}.2", "CT", "P7"
        ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "DOE^JANE", "19470311", "F"
        ds.StudyDate, ds.StudyTime, ds.StudyID = "20210304", "093000", "1"
        ds.AccessionNumber, ds.ReferringPhysicianName = "ACC", ""
        ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionDate = 3, k + 1, "20210304"
        ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 20, 24, 16, 16, 15
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = (
            1,
            "MONOCHROME2",
            1,
        )
        ds.PixelSpacing = [f"{sizes[1]:.6f}", f"{sizes[0]:.6f}"]
        place = np.diag([-1.0, -1.0, 1.0]) @ (affine @ (0, 0, k, 1))[:3]
        ds.ImagePositionPatient = [f"{v:.6f}" for v in place]
        ds.ImageOrientationPatient = [
            f"{v:.9f}" for v in (*lps[:, 0] / sizes[0], *lps[:, 1] / sizes[1])
        ]
        ds.SliceThickness, ds.PixelData = "3.0", bytes(2 * 20 * 24)
        for key, value in elements.items():
            if value is None:
                delattr(ds, key)
            else:
                setattr(ds, key, value)
        paths.append(folder / f"f{(k * 7) % 10}")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def labels_of(affine: np.ndarray) -> Nifti1Image:
    data = np.zeros(SHAPE, dtype=np.int16)
    for number, where in PLANTED.items():
        data[where] = number
    return Nifti1Image(data, affine)


def centres(data: np.ndarray, affine: np.ndarray, number: int) -> np.ndarray:
    """Return the world places of a label's voxels, rounded and sorted."""
    return np.unique(apply_affine(affine, np.argwhere(data == number)).round(2), axis=0)


def read_back(path: Path) -> dict[str, np.ndarray]:
    """Return the world places (RAS) of each segment's pixels, by DICOM's own rules."""
    ds = pydicom.dcmread(path)
    shared = ds.SharedFunctionalGroupsSequence[0]
    across, down = np.array(
        shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float
    ).reshape(2, 3)
    row_step, column_step = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    kinds = {
        item.SegmentNumber: item.SegmentedPropertyTypeCodeSequence[0]
        .SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning
        for item in ds.SegmentSequence
    }  # fmt: skip
    found: dict[str, list[np.ndarray]] = {}
    pixels = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    for frame, plane in zip(ds.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        named = frame if "SegmentIdentificationSequence" in frame else shared
        number = named.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        corner = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        rows, columns = np.nonzero(plane)
        places = corner + rows[:, None] * down * row_step + columns[:, None] * across * column_step
        found.setdefault(kinds[number], []).append(places * (-1, -1, 1))
    return {
        kind: np.unique(np.concatenate(parts).round(2), axis=0) for kind, parts in found.items()
    }


@pytest.mark.parametrize("codes_", ["LPS", "RAS", "PIR", "SLA"])
def test_a_cube_comes_back_at_its_place_whatever_the_axes_of_the_image(tmp_path, codes_):
    affine = affine_of()
    files = write_slices(tmp_path / "in", affine)
    labels = labels_of(affine)
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(codes_))
    made = write_dicom_seg(labels.as_reoriented(turn), files, tmp_path / "seg.dcm", card=CARD)
    found = read_back(made)
    assert set(found) == {"intraparenchymal", "subdural"}
    for number in (11, 14):
        truth = centres(np.asanyarray(labels.dataobj), affine, number)
        np.testing.assert_allclose(found[SEGMENTS[number].kind], truth, atol=0.011)


def test_outlines_on_a_straightened_image_go_to_the_tilted_slices(tmp_path):
    """A block of world space, drawn on a fine straight grid: each pixel has what lies there."""
    tilted = affine_of(angle=0.0, tilt=18.0)
    files = write_slices(tmp_path / "in", tilted)
    fine = np.diag([0.5, 0.5, 0.5, 1.0])
    fine[:3, 3] = (-25.0, -10.0, -25.0)
    places = apply_affine(fine, np.moveaxis(np.indices((90, 70, 80)), 0, -1))
    low, high = np.array([-5.2, -2.2, -15.2]), np.array([6.3, 9.7, -1.7])
    block = ((places > low) & (places < high)).all(axis=-1)
    labels = Nifti1Image(np.where(block, 13, 0).astype(np.int16), fine)
    found = read_back(write_dicom_seg(labels, files, tmp_path / "seg.dcm", card=CARD))
    every = apply_affine(tilted, np.argwhere(np.ones(SHAPE)))
    depth = np.minimum(every - low, high - every).min(axis=-1)
    inside = {tuple(p) for p in every[depth > 0.3].round(2)}
    possible = {tuple(p) for p in every[depth > -0.3].round(2)}
    got = {tuple(p) for p in found["subarachnoid"]}
    assert len(inside) > 100
    assert inside <= got <= possible


def test_each_segment_is_coded_and_says_what_made_it_and_that_it_is_research(tmp_path):
    affine = affine_of()
    files = write_slices(tmp_path / "in", affine)
    seg = highdicom.seg.segread(
        write_dicom_seg(labels_of(affine), files, tmp_path / "s.dcm", card=CARD)
    )
    assert seg.number_of_segments == 2
    first, second = (seg.get_segment_description(number) for number in (1, 2))
    assert first.segmented_property_type == codes.SCT.Hemorrhage
    assert first.segmented_property_category == codes.SCT.MorphologicallyAbnormalStructure
    assert list(first.anatomic_regions) == [codes.SCT.Brain]
    assert second.segment_label == "Subdural haemorrhage"
    assert "c0ffee" in first.algorithm_identification.version
    assert first.algorithm_type.value == "AUTOMATIC"
    assert seg.SeriesDescription.startswith("RESEARCH ONLY")
    assert (seg.PatientID, seg.StudyInstanceUID) == ("P7", f"{UID}.1")
    assert seg.FrameOfReferenceUID == f"{UID}.2"
    assert seg.SeriesInstanceUID != f"{UID}.3"
    referred = {uid for _, _, uid in seg.get_source_image_uids()}
    assert referred <= {f"{UID}.3.{k}" for k in range(1, 11)}
    assert {f"{UID}.3.{k}" for k in (3, 4, 5, 7, 8, 9)} <= referred


def test_every_code_is_one_of_the_standard():
    known = {
        "Hemorrhage": codes.SCT.Hemorrhage, "Edema": codes.SCT.Edema, "Brain": codes.SCT.Brain,
        "Brain ventricle": codes.SCT.BrainVentricle, "Intracranial": codes.SCT.Intracranial,
        "Subarachnoid space": codes.SCT.SubarachnoidSpace,
    }  # fmt: skip
    for segment in SEGMENTS.values():
        for value, meaning in (segment.morphology, segment.place):
            assert (known[meaning].value, known[meaning].meaning) == (value, meaning)


def test_same_arguments_same_bytes_and_nothing_found_no_file(tmp_path):
    affine = affine_of()
    files = write_slices(tmp_path / "in", affine)
    one, two = (
        write_dicom_seg(labels_of(affine), order, tmp_path / name, card=CARD)
        for name, order in (("a.dcm", files), ("b.dcm", files[::-1]))
    )
    assert one.read_bytes() == two.read_bytes()
    empty = Nifti1Image(np.ones(SHAPE, dtype=np.int16), affine)
    assert write_dicom_seg(empty, files, tmp_path / "none.dcm", card=CARD) is None
    assert not (tmp_path / "none.dcm").exists()


def test_anonymised_slices_without_names_or_frame_of_reference_will_do(tmp_path):
    affine = affine_of()
    gone = dict.fromkeys(["PatientName", "PatientID", "PatientBirthDate", "PatientSex",
                          "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
                          "ReferringPhysicianName", "FrameOfReferenceUID"])  # fmt: skip
    files = write_slices(tmp_path / "in", affine, **gone)
    made = write_dicom_seg(labels_of(affine), files, tmp_path / "seg.dcm", card={})
    assert set(read_back(made)) == {"intraparenchymal", "subdural"}


def test_slices_that_do_not_say_where_they_lie_are_refused(tmp_path):
    affine = affine_of()
    files = write_slices(tmp_path / "in", affine, ImagePositionPatient=None)
    with pytest.raises(DataError, match="does not say ImagePositionPatient"):
        write_dicom_seg(labels_of(affine), files, tmp_path / "seg.dcm", card=CARD)
    files = write_slices(tmp_path / "multi", affine, NumberOfFrames=2)
    with pytest.raises(DataError, match="several slices in one file"):
        write_dicom_seg(labels_of(affine), files, tmp_path / "seg.dcm", card=CARD)


def test_kinds_have_one_number_and_one_colour_everywhere():
    from brainnet.models.voxel.haemorrhage.outline import KINDS, OEDEMA
    from brainnet.models.voxel.labels import load_labels
    from brainnet.report import figures_haemorrhage as figures

    numbers = {**KINDS, "oedema": OEDEMA}
    assert {name: number for number, name in figures.KINDS.items()} == numbers
    table = load_labels("haemorrhage").regions
    named = dict(zip(table["structure"], table["index"], strict=True))
    assert {kind: named[f"{kind} haemorrhage"] for kind in KINDS} == dict(KINDS)
    assert list(SEGMENTS) == list(numbers.values())
    for number, segment in SEGMENTS.items():
        color = figures.COLORS[figures.KINDS[number]]
        assert tuple(bytes.fromhex(color[1:])) == segment.color
