"""Which series of a folder is read as the head CT, and what is refused, in words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brainnet.io import DataError

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: brainnet[dicom]")
pytest.importorskip("dcm2niix", reason="dcm2niix is not installed: brainnet[dicom]")

from brainnet.workflows.dicom.ct import find_ct_series, load_ct  # noqa: E402
from tests.workflows.test_dicom import UID, oblique, planted, rewrite, write_series  # noqa: E402

SHAPE = (14, 16, 12)
VOXEL = (2.0, 1.5, 3.0)


def put(folder: Path, number: int, *, shape: Any = SHAPE, **elements: Any) -> list[Path]:
    """Write one CT series of planted numbers, in its own folder."""
    head = {"modality": "CT", "SeriesDescription": f"head {number}", "RescaleSlope": 1,
            "RescaleIntercept": -1024, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "BodyPartExamined": "HEAD", "KVP": 120}  # fmt: skip
    data = planted((1, *shape), number)
    affine = oblique(VOXEL, shape)
    return write_series(folder / str(number), data, affine, number=number, **head | elements)


def chosen(folder: Path) -> list[int]:
    return [int(each.text("SeriesNumber")) for each in find_ct_series(folder)]


def test_the_planted_numbers_come_back_in_hounsfield_units_at_their_place(tmp_path):
    paths = put(tmp_path / "in", 3)
    img, about = load_ct(tmp_path / "in", tmp_path / "work")
    truth, affine = planted((1, *SHAPE), 3)[0] - 1024.0, oblique(VOXEL, SHAPE)
    voxels = np.argwhere(np.ones(SHAPE))
    back = np.linalg.inv(img.affine) @ affine
    places = np.rint(voxels @ back[:3, :3].T + back[:3, 3]).astype(int)
    data = np.asarray(img.dataobj)
    assert data.dtype == np.float32
    np.testing.assert_array_equal(data[tuple(places.T)], truth[tuple(voxels.T)])
    assert (about.uid, set(about.paths), about.flags) == (f"{UID}.3", set(paths), ())
    assert not list((tmp_path / "work").iterdir()), "temporary files are gone"


def test_soft_thin_original_series_without_contrast_come_first(tmp_path):
    put(tmp_path, 2, ConvolutionKernel="H60s", SliceThickness="1")
    put(tmp_path, 3, ConvolutionKernel="H31s", SliceThickness="5")
    put(tmp_path, 4, ConvolutionKernel=["Hr40f", "3"], SliceThickness="1.5")
    put(tmp_path, 5, ConvolutionKernel="H31s", ContrastBolusAgent="IOMERON")
    put(tmp_path, 6, ConvolutionKernel="H31s", ImageType=["DERIVED", "SECONDARY", "REFORMATTED"])
    assert chosen(tmp_path) == [4, 3, 5, 2, 6]
    _, about = load_ct(tmp_path, tmp_path / "work")
    assert about.title == "series 4 (head 4)"
    assert len(about.skipped) == 4


@pytest.mark.parametrize(
    ("kernel", "sharp"),
    [("BONEPLUS", True), ("STANDARD", False), ("SOFT", False), ("J30s", False), ("J70h", True),
     ("Hr59f", True), ("FC30", True), ("FC26", False), ("FC68", False), ("YD", True),
     ("UB", False), ("B", False), ("EDGE", True)],
)  # fmt: skip
def test_kernels_for_bone_of_every_maker(tmp_path, kernel, sharp):
    put(tmp_path, 2, ConvolutionKernel=kernel)
    put(tmp_path, 9, ConvolutionKernel="STANDARD", SliceThickness="9")
    assert (chosen(tmp_path)[0] == 9) is sharp


def test_a_bone_series_alone_is_read_and_flagged_and_so_is_contrast(tmp_path):
    put(tmp_path, 2, ConvolutionKernel="BONE", SeriesDescription="CTA head",
        LossyImageCompression="01")  # fmt: skip
    flags = " ".join(load_ct(tmp_path, tmp_path / "work")[1].flags)
    for words in ("reconstructed for bone (BONE)", "contrast medium", "with loss"):
        assert words in flags


def test_what_is_no_head_ct_is_passed_over_and_why_is_said(tmp_path):
    put(tmp_path, 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    put(tmp_path, 2, SeriesDescription="Topogram 0.6")
    put(tmp_path, 3, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    put(tmp_path, 4, ImageType=["DERIVED", "SECONDARY", "MIP"])
    put(tmp_path, 5, BodyPartExamined="CHEST")
    put(tmp_path, 6, shape=(14, 16, 3))
    put(tmp_path, 7, modality="MR", SeriesDescription="t2 flair")
    with pytest.raises(DataError, match="no head CT") as caught:
        find_ct_series(tmp_path)
    said = str(caught.value)
    for words in ("is a localiser", "secondary capture", "derived (MIP)", "CHEST", "3 slices",
                  "is MR, not CT"):  # fmt: skip
        assert words in said, words
    put(tmp_path, 8)
    _, about = load_ct(tmp_path, tmp_path / "work")
    assert about.title == "series 8 (head 8)"
    assert sum("localiser" in line for line in about.skipped) == 2


@pytest.mark.parametrize(
    ("key", "whose"), [("PatientID", "patients"), ("StudyInstanceUID", "studies")]
)
def test_two_patients_or_studies_are_refused_unless_one_is_named(tmp_path, key, whose):
    put(tmp_path / "in", 2)
    for path in put(tmp_path / "in", 3):
        rewrite(path, **{key: f"{UID}.77"})
    with pytest.raises(DataError, match=f"CT of 2 {whose}") as caught:
        load_ct(tmp_path / "in", tmp_path / "work")
    assert f"{UID}.3" in str(caught.value)
    assert "MRN-0042" not in str(caught.value), "no patient is named"
    _, about = load_ct(tmp_path / "in", tmp_path / "work", series_uid=f"{UID}.3")
    assert about.uid == f"{UID}.3"
    with pytest.raises(DataError, match=r"no head CT of the series 1\.2"):
        load_ct(tmp_path / "in", tmp_path / "work", series_uid="1.2")


@pytest.mark.parametrize("lost", [[1], [5], [5, 6], [2, 8]])
def test_missing_slices_are_refused_and_another_series_is_taken_where_there_is_one(tmp_path, lost):
    paths = put(tmp_path / "in", 2)
    for index in lost:
        paths[index].unlink()
    with pytest.raises(DataError, match=f"slices are missing: {len(lost)} in gaps"):
        load_ct(tmp_path / "in", tmp_path / "work")
    put(tmp_path / "in", 3, SliceThickness="9")
    _, about = load_ct(tmp_path / "in", tmp_path / "work")
    assert about.title == "series 3 (head 3)"
    assert "series 2 (head 2) was not read: slices are missing" in about.flags[0]


def test_missing_slices_are_seen_where_the_numbers_were_given_anew(tmp_path):
    paths = put(tmp_path, 2)
    paths.pop(5).unlink()
    for number, path in enumerate(paths, start=1):
        rewrite(path, InstanceNumber=number)
    with pytest.raises(DataError, match="slices are missing: 1 "):
        load_ct(tmp_path, tmp_path / "work")


def test_thin_slices_below_and_thick_above_become_equal_ones(tmp_path):
    """A ramp along the slices, 2.5 mm apart at the base and 5 mm above, stays that ramp."""
    heights = np.array([*np.arange(8) * 2.5, *(17.5 + 5 * np.arange(1, 9))])
    data = np.broadcast_to(heights * 20 + 100, (10, 12, 16)).astype(np.int16).copy()
    paths = write_series(tmp_path / "in", data[None], np.diag([-1.0, -1.0, 2.5, 1.0]), number=2,
                         modality="CT", ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], RescaleSlope=1,
                         RescaleIntercept=0, SeriesDescription="head")  # fmt: skip
    for path, height in zip(paths, heights, strict=True):
        ds = pydicom.dcmread(path)
        rewrite(path, ImagePositionPatient=[*ds.ImagePositionPatient[:2], f"{height:.4f}"])
    img, about = load_ct(tmp_path / "in", tmp_path / "work")
    assert any("2.5 to 5 mm" in flag and "resampled" in flag for flag in about.flags)
    assert img.header.get_zooms()[2] == pytest.approx(2.5)
    world = img.affine[2, 2] * np.arange(img.shape[2]) + img.affine[2, 3]
    inside = (world >= 0) & (world <= heights[-1])
    assert inside.sum() >= 22
    found = np.asarray(img.dataobj)[5, 6][inside]
    np.testing.assert_allclose(found, world[inside] * 20 + 100, atol=2)


@pytest.mark.parametrize("angle", [15, -15])
def test_a_tilted_gantry_is_straightened_and_flagged(tmp_path, angle):
    """A ramp of the world stays that ramp."""
    shape, step = (24, 30, 16), 3.0
    tilted = np.diag([-1.0, -1.0, step, 1.0])
    tilted[1, 2] = step * np.tan(np.radians(angle))
    world = np.einsum("ab,b...->a...", tilted[:3, :3], np.indices(shape))
    ramp = np.rint(2000 + 10 * world[0] + 7 * world[1] + 9 * world[2]).astype(np.int16)
    paths = write_series(tmp_path / "in", ramp[None], np.diag([-1.0, -1.0, step, 1.0]), number=2,
                         modality="CT", ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], RescaleSlope=1,
                         RescaleIntercept=-1024, SeriesDescription="head",
                         GantryDetectorTilt=angle)  # fmt: skip
    for number, path in enumerate(paths):
        x, y, z = tilted[:3, 2] * number
        rewrite(path, ImagePositionPatient=[f"{-x:.6f}", f"{-y:.6f}", f"{z:.6f}"])
    img, about = load_ct(tmp_path / "in", tmp_path / "work")
    assert any("tilted by 15.0 degrees" in flag for flag in about.flags)
    axes = img.affine[:3, :3] / np.linalg.norm(img.affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-5)
    points = np.einsum("ab,b...->a...", img.affine[:3, :3], np.indices(img.shape))
    points += img.affine[:3, 3][:, None, None, None]
    row = np.einsum("b,b...->...", np.linalg.inv(tilted[:3, :3])[1], points)
    inside = (row > 1) & (row < shape[1] - 2)  # beyond, the tilt leaves air
    expected = 976 + 10 * points[0] + 7 * points[1] + 9 * points[2]
    assert inside.mean() > 0.5
    # dcm2niix shifts whole rows: a row, 1 mm here, is worth 7
    np.testing.assert_allclose(np.asarray(img.dataobj)[inside], expected[inside], atol=7.5)


def test_two_volumes_are_refused(tmp_path):
    data = planted((2, *SHAPE), 5)
    write_series(tmp_path, data, oblique(VOXEL, SHAPE), number=2, modality="CT",
                 ImageType=["ORIGINAL", "PRIMARY"], SeriesDescription="head",
                 each=lambda volume: {"AcquisitionTime": f"1000{volume:02d}"})  # fmt: skip
    with pytest.raises(DataError, match="2 images at each place"):
        load_ct(tmp_path, tmp_path / "work")


@pytest.mark.parametrize(
    ("syntax", "words"),
    [("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000, which cannot be read"),
     ("1.2.840.10008.1.2.4.70", "compressed and cannot be unpacked")],
)  # fmt: skip
def test_pixels_that_cannot_be_unpacked_are_refused(tmp_path, syntax, words):
    for path in put(tmp_path / "in", 2):
        ds = pydicom.dcmread(path)
        ds.PixelData = pydicom.encaps.encapsulate([b"\x01\x02nonsense" * 8])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(path, enforce_file_format=True)
    with pytest.raises(DataError, match=words) as caught:
        load_ct(tmp_path / "in", tmp_path / "work")
    assert "uncompressed" in str(caught.value)


def test_a_cut_file_and_a_folder_without_dicom_are_told(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no DICOM file"):
        find_ct_series(tmp_path / "empty")
    path = put(tmp_path / "in", 2)[4]
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="the DICOM file is cut"):
        load_ct(tmp_path / "in", tmp_path / "work")
