"""The gate: every damaged image yields a typed error or the right data, every write is whole."""

import gzip
import os
import pickle
import struct
import subprocess
import sys
import textwrap
import tracemalloc
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brainnet import io
from brainnet.io import DataError, DataWarning

AFFINE = np.array([[-2.0, 0, 0, 10], [0, 0, 3, -20], [0, 2.5, 0, 5], [0, 0, 0, 1]])
RNG = np.random.default_rng(0)
VALUES = RNG.normal(100, 20, (6, 7, 8)).astype(np.float32)
# byte offsets in a NIfTI-1 header
DIM, DATATYPE, BITPIX, PIXDIM, VOX_OFFSET = 40, 70, 72, 76, 108
SLOPE, INTER, XYZT, QFORM, SFORM, QUATERN_B, SROW_X = 112, 116, 123, 252, 254, 256, 280


def nifti(data=VALUES, affine=AFFINE, *, qform=1, sform=1, units="mm"):
    """Return the bytes of an uncompressed NIfTI-1 file, written by nibabel."""
    img = nib.Nifti1Image(data, affine, dtype=data.dtype)
    img.set_qform(affine, qform)
    img.set_sform(affine, sform)
    img.header.set_xyzt_units(units, "sec")
    return img.to_bytes()


def patched(raw, offset, fmt, *values):
    """Return the bytes with a header field replaced."""
    out = bytearray(raw)
    struct.pack_into(f"<{fmt}", out, offset, *values)
    return bytes(out)


def put(folder, raw, name="sub-01_T1w.nii"):
    """Write bytes as they are, or compressed by gzip where the name says so."""
    path = folder / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def refused(path, *words, **options):
    """Assert a DataError that names the file, has a remedy, and says each of the words."""
    with pytest.raises(DataError) as caught:
        io.load_img(path, **options)
    text = str(caught.value)
    assert path.name in text
    assert caught.value.problem
    assert len(caught.value.remedy) > 8
    for word in words:
        assert word in text, text
    return text


# ---------------------------------------------------------------- the right data


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_sound_file_gives_its_data_and_affine(tmp_path, name):
    img = io.load_img(put(tmp_path, nifti(), name), ndim=3)
    np.testing.assert_array_equal(np.asarray(img.dataobj), VALUES)
    np.testing.assert_allclose(img.affine, AFFINE, atol=1e-5)
    assert isinstance(img.dataobj, np.ndarray)
    assert img.get_data_dtype().name == "float32"


@pytest.mark.parametrize("stored", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32])
def test_unscaled_integers_keep_their_type(tmp_path, stored):
    data = np.arange(60).reshape(3, 4, 5).astype(stored)
    loaded = np.asarray(io.load_img(put(tmp_path, nifti(data))).dataobj)
    assert loaded.dtype == stored
    np.testing.assert_array_equal(loaded, data)


def test_64_bit_types_are_narrowed_without_loss_or_refused(tmp_path):
    data = np.arange(-30, 30, dtype=np.int64).reshape(3, 4, 5)
    loaded = np.asarray(io.load_img(put(tmp_path, nifti(data))).dataobj)
    assert loaded.dtype == np.int32
    np.testing.assert_array_equal(loaded, data)
    refused(put(tmp_path, nifti(data + 2**40)), "64-bit")
    doubles = np.linspace(0, 1, 60).reshape(3, 4, 5)
    loaded = np.asarray(io.load_img(put(tmp_path, nifti(doubles))).dataobj)
    np.testing.assert_array_equal(loaded, doubles.astype(np.float32))


def test_scaled_integers_do_not_wrap(tmp_path):
    data = RNG.integers(-32768, 32767, (4, 5, 6), dtype=np.int16)
    raw = patched(nifti(data), SLOPE, "ff", 7.25, -3.0)
    loaded = np.asarray(io.load_img(put(tmp_path, raw)).dataobj)
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, (data.astype(np.float64) * 7.25 - 3).astype(np.float32))
    assert loaded.max() > 32767


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_a_slope_of_zero_or_nan_means_unscaled(tmp_path, slope):
    data = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    loaded = io.load_img(put(tmp_path, patched(nifti(data), SLOPE, "ff", slope, 5.0)))
    np.testing.assert_array_equal(np.asarray(loaded.dataobj), data)


def test_big_endian_and_nifti_2_are_read(tmp_path):
    little = nib.Nifti1Image(VALUES, AFFINE)
    header = little.header.as_byteswapped()
    path = tmp_path / "big.nii"
    nib.Nifti1Image(VALUES, AFFINE, header).to_filename(path)
    assert path.read_bytes()[:4] == struct.pack(">i", 348)
    np.testing.assert_array_equal(np.asarray(io.load_img(path).dataobj), VALUES)
    nib.Nifti2Image(VALUES, AFFINE).to_filename(tmp_path / "two.nii.gz")
    two = io.load_img(tmp_path / "two.nii.gz")
    np.testing.assert_array_equal(np.asarray(two.dataobj), VALUES)
    assert type(two) is nib.Nifti1Image


def test_trailing_axes_of_one_are_dropped_and_ndim_is_checked(tmp_path):
    path = put(tmp_path, nifti(VALUES[..., None, None]))
    assert io.load_img(path, ndim=3).shape == VALUES.shape
    refused(path, "3 dimensions", "expected 4", ndim=4)
    series = put(tmp_path, nifti(np.stack([VALUES, VALUES + 1], axis=-1)), "bold.nii")
    assert io.load_img(series, ndim=(3, 4)).ndim == 4
    refused(series, "4 dimensions", "expected 3", ndim=3)
    refused(put(tmp_path, nifti(VALUES[..., 0])), "2 dimensions")


@pytest.mark.parametrize(("unit", "number"), [("sec", 2.0), ("msec", 2000.0), ("usec", 2e6)])
def test_repetition_time_comes_out_in_seconds(tmp_path, unit, number):
    img = nib.Nifti1Image(np.stack([VALUES, VALUES + 1], axis=-1), AFFINE)
    img.header.set_zooms((2, 2.5, 3, number))
    img.header.set_xyzt_units("mm", unit)
    img.to_filename(tmp_path / "bold.nii.gz")
    assert io.load_img(tmp_path / "bold.nii.gz").header.get_zooms()[3] == pytest.approx(2.0)


@pytest.mark.parametrize("number", [-1.0, float("nan"), float("inf")])
def test_a_repetition_time_that_is_none_is_unknown(tmp_path, number):
    raw = patched(nifti(np.stack([VALUES, VALUES + 1], axis=-1)), PIXDIM + 16, "f", number)
    with pytest.warns(DataWarning, match="unknown"):
        assert io.load_img(put(tmp_path, raw)).header.get_zooms()[3] == 0


def test_only_the_qform_set_is_enough(tmp_path):
    np.testing.assert_allclose(io.load_img(put(tmp_path, nifti(sform=0))).affine, AFFINE, atol=1e-4)


def test_extensions_before_the_voxels_are_skipped(tmp_path):
    img = nib.Nifti1Image(VALUES, AFFINE)
    img.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"a remark" * 9))
    img.to_filename(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asarray(io.load_img(tmp_path / "a.nii.gz").dataobj), VALUES)


# ---------------------------------------------------------------- damage: the design's table


def test_gz_cut_anywhere(tmp_path):
    whole = gzip.compress(nifti())
    for length in (1, 9, 30, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        path = tmp_path / "cut.nii.gz"
        path.write_bytes(whole[:length])
        refused(path)


def test_nii_cut_or_padded(tmp_path):
    raw = nifti()
    for length in (3, 200, 351, 352, len(raw) // 2, len(raw) - 1):
        refused(put(tmp_path, raw[:length]))
    refused(put(tmp_path, raw + b"\1"), "declares", "holds")
    refused(put(tmp_path, raw + b"\0" * 100, "a.nii.gz"), "more than")


def test_flipped_bit_in_the_stream_or_in_its_crc(tmp_path):
    whole = bytearray(gzip.compress(nifti()))
    for place in (len(whole) // 2, len(whole) - 6, len(whole) - 2):
        damaged = whole.copy()
        damaged[place] ^= 4
        path = tmp_path / "flip.nii.gz"
        path.write_bytes(damaged)
        refused(path, "damaged")


def test_bytes_after_the_gzip_stream(tmp_path):
    path = put(tmp_path, nifti(), "a.nii.gz")
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 512)  # the padding that the format allows
    assert io.load_img(path).shape == VALUES.shape
    path.write_bytes(whole + b"rubbish")
    refused(path)
    half = len(nifti()) // 2
    path.write_bytes(gzip.compress(nifti()[:half]) + gzip.compress(nifti()[half:]))
    np.testing.assert_array_equal(np.asarray(io.load_img(path).dataobj), VALUES)


def test_not_a_number_anywhere_or_in_part(tmp_path):
    refused(put(tmp_path, nifti(np.full_like(VALUES, np.nan))), "no voxel is finite")
    few = np.full((20, 20, 20), np.inf, np.float32)
    few[0, 0, :20] = np.arange(20)
    refused(put(tmp_path, nifti(few)), "finite", "0.25%")
    some = VALUES.copy()
    some[:2] = np.nan
    with pytest.warns(DataWarning, match=r"33\.333% of the voxels are not finite"):
        img = io.load_img(put(tmp_path, nifti(some)))
    np.testing.assert_array_equal(np.asarray(img.dataobj), some)


def test_one_single_value_everywhere(tmp_path):
    refused(put(tmp_path, nifti(np.zeros((4, 4, 4), np.int16))), "every voxel is 0")
    refused(put(tmp_path, nifti(np.full((4, 4, 4), 7, np.float32))), "every voxel is 7")
    labels = nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), AFFINE)
    labels.header.set_intent("label")  # of labels there may be none
    again = io.load_img(io.save_img(labels, tmp_path / "labels.nii.gz"))
    assert not np.asarray(again.dataobj).any()
    assert int(again.header["intent_code"]) == 1002
    assert io.load_img(put(tmp_path, nifti(np.ones((4, 4, 4), np.uint8)))).shape == (4, 4, 4)


def test_volumes_without_contrast_are_pointed_out(tmp_path):
    series = np.stack([VALUES, VALUES, VALUES], axis=-1)
    series[..., 1:] = 0
    with pytest.warns(DataWarning, match="2 of 3 volumes hold one single value, first 1"):
        io.load_img(put(tmp_path, nifti(series)))


@pytest.mark.parametrize(("units", "factor"), [("meter", 1e-3), ("micron", 1e3)])
def test_units_are_honoured(tmp_path, units, factor):
    scaled = AFFINE * np.array([factor, factor, factor, 1])[:, None]
    with pytest.warns(DataWarning, match="converted to mm"):
        img = io.load_img(put(tmp_path, nifti(affine=scaled, units=units)))
    np.testing.assert_allclose(img.affine, AFFINE, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(img.header.get_zooms(), (2, 2.5, 3), rtol=1e-5)
    assert img.header.get_xyzt_units() == ("mm", "sec")


def test_unit_and_voxel_size_that_do_not_go_together(tmp_path):
    with pytest.warns(DataWarning):
        refused(put(tmp_path, nifti(units="meter")), "voxel size", "2000")
    refused(put(tmp_path, nifti(affine=AFFINE @ np.diag([1e-3] * 3 + [1]))), "voxel size")
    refused(put(tmp_path, patched(nifti(), XYZT, "B", 7)), "unit 7")


def test_no_affine_at_all(tmp_path):
    refused(put(tmp_path, nifti(sform=0, qform=0)), "neither sform nor qform")


def test_forms_that_disagree(tmp_path):
    def moved(shift, code):
        return put(tmp_path, patched(nifti(sform=code), SROW_X + 12, "f", 10 + shift))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        io.load_img(moved(0.1, 1))
    with pytest.warns(DataWarning, match=r"1\.00 mm apart"):
        img = io.load_img(moved(1.0, 1))
    assert img.affine[0, 3] == 11
    np.testing.assert_allclose(img.get_qform(), img.affine, atol=1e-5)
    refused(moved(50, 1), "50.00 mm apart")
    with pytest.warns(DataWarning, match="code 4"):
        io.load_img(moved(50, 4))


def test_affines_that_are_none(tmp_path):
    refused(put(tmp_path, patched(nifti(qform=0), SROW_X, "f", float("nan"))), "finite")
    refused(put(tmp_path, patched(nifti(qform=0), SROW_X, "4f", 0, 0, 0, 0)), "voxel size")
    flat = patched(nifti(qform=0), SROW_X, "12f", 2, 2, 0, 0, 1, 1, 0, 0, 0, 0, 2, 0)
    refused(put(tmp_path, flat), "inverted")
    sheared = patched(nifti(qform=0), SROW_X, "12f", 2, 0.2, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0)
    refused(put(tmp_path, sheared), "right angles")
    refused(put(tmp_path, patched(nifti(sform=0), QUATERN_B, "3f", 3, 3, 3)), "qform")
    refused(put(tmp_path, patched(nifti(sform=0), QUATERN_B, "f", float("nan"))), "quaternion is")
    refused(put(tmp_path, patched(nifti(), SFORM, "h", 99)), "sform_code is 99")
    refused(put(tmp_path, patched(nifti(sform=0), PIXDIM + 4, "f", -1)), "voxel size")


def test_complex_and_colour(tmp_path):
    refused(put(tmp_path, nifti(VALUES.astype(np.complex64))), "complex")
    colour = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colour["R"][0] = 9
    nib.Nifti1Image(colour, AFFINE).to_filename(tmp_path / "rgb.nii")
    refused(tmp_path / "rgb.nii", "colour")


def test_headers_that_lie(tmp_path):
    refused(put(tmp_path, patched(nifti(), DIM, "8h", 3, -6, 7, 8, 1, 1, 1, 1)), "dim is")
    refused(put(tmp_path, patched(nifti(), DIM, "h", 0)), "dim is")
    refused(put(tmp_path, patched(nifti(), BITPIX, "h", 8)), "bitpix")
    refused(put(tmp_path, patched(nifti(), VOX_OFFSET, "f", 348)), "vox_offset")
    refused(put(tmp_path, patched(nifti(), VOX_OFFSET, "f", float("nan"))), "vox_offset")
    refused(put(tmp_path, patched(nifti(), SLOPE, "ff", 1.0, float("inf"))), "scaling")
    refused(put(tmp_path, patched(nifti(), 344, "4s", b"ni1\0")), "single .nii.gz")
    refused(put(tmp_path, b"\0" * 5000), "not a NIfTI")
    long = np.arange(40000, dtype=np.float32).reshape(40000, 1, 1)
    nib.Nifti2Image(long, AFFINE).to_filename(tmp_path / "long.nii")
    refused(tmp_path / "long.nii", "dim is")
    for name in ("a.nii", "a.nii.gz"):  # 10^18 bytes declared: nothing is allocated
        refused(put(tmp_path, patched(nifti(), DIM, "8h", 4, *[30000] * 4, 1, 1, 1), name), "holds")


def test_files_that_are_not_there_or_not_images(tmp_path):
    refused(tmp_path / "a.nii.gz", "does not exist")
    refused(put(tmp_path, b""), "empty")
    (tmp_path / "folder.nii").mkdir()
    refused(tmp_path / "folder.nii", "cannot be read")
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "annexed")
    refused(tmp_path / "link.nii.gz", "datalad get")
    refused(tmp_path / "a.mgz", "not a .nii")
    (tmp_path / "b.nii.gz").write_bytes(nifti())
    refused(tmp_path / "b.nii.gz", "not gzip")


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(DataError("a.nii", "is cut.", "Copy it again")))
    assert str(error) == "a.nii: is cut. Copy it again."
    assert error.path == Path("a.nii")


@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    changes=st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=4),
    packed=st.booleans(),
    scaled=st.booleans(),
)
def test_mutated_headers_give_a_typed_error_or_sound_data(tmp_path, changes, packed, scaled):
    data = np.arange(336, dtype=np.int16).reshape(6, 7, 8)
    raw = bytearray(patched(nifti(data), SLOPE, "ff", 2.0 if scaled else 1.0, 0.0))
    for place, value in changes:
        raw[place] = value
    path = put(tmp_path, bytes(raw), "a.nii.gz" if packed else "a.nii")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DataWarning)
        try:
            img = io.load_img(path)
        except DataError:
            return
    loaded = np.asarray(img.dataobj)
    assert loaded.nbytes <= 2 * data.nbytes  # float32 of int16 at most
    assert np.isfinite(loaded).any()
    sizes = np.linalg.norm(img.affine[:3, :3], axis=0)
    assert ((sizes >= 0.1) & (sizes <= 20)).all()
    assert abs(np.linalg.det(img.affine)) > 0
    touched = {place for place, _ in changes}
    critical = {*range(DIM, DIM + 16), *range(DATATYPE, PIXDIM), *range(VOX_OFFSET, INTER + 4)}
    if not touched & critical:
        np.testing.assert_array_equal(loaded, data * (2 if scaled else 1))


def test_allocation_is_bounded_by_the_file(tmp_path):
    bomb = patched(nifti(), DIM, "8h", 3, 2000, 2000, 2000, 1, 1, 1, 1)
    code = textwrap.dedent(
        """
        import resource, sys
        from brainnet import io
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
        try:
            io.load_img(sys.argv[1])
        except io.DataError as error:
            print("refused")
        """
    )
    path = put(tmp_path, bomb + b"\0" * 2**24, "bomb.nii.gz")
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert run.stdout == "refused\n"


def test_the_real_scans_pass_without_a_warning(shared_data):
    expected = {"sub-01_task-oneback_bold": 59826, "sub-02_T1w": 158917}
    for path in sorted(shared_data.glob("bids/sub-*/*/*.nii.gz")):
        img = io.load_img(path)
        stem = path.name.removesuffix(".nii.gz")
        if stem in expected:
            assert int(np.asarray(img.dataobj).max()) == expected[stem]
            reference = nib.load(path)
            np.testing.assert_allclose(
                np.asarray(img.dataobj)[::9, ::9], reference.get_fdata()[::9, ::9], rtol=1e-6
            )
            np.testing.assert_array_equal(img.affine, reference.affine)


# ---------------------------------------------------------------- writing images


@pytest.mark.parametrize("name", ["out/sub-01_T1w.nii.gz", "sub-01_T1w.nii"])
def test_save_and_load_return_the_same_image(tmp_path, name):
    img = nib.Nifti1Image(VALUES, AFFINE)
    path = io.save_img(img, tmp_path / name)
    assert path == tmp_path / name
    again = io.load_img(path)
    np.testing.assert_array_equal(np.asarray(again.dataobj), VALUES)
    np.testing.assert_allclose(again.affine, AFFINE, atol=1e-5)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_saved_header_is_minimal_and_complete(tmp_path):
    img = nib.Nifti1Image(np.stack([VALUES] * 3, axis=-1).astype(np.float64), AFFINE)
    img.header.set_zooms((2, 2.5, 3, 1.5))
    img.header["descrip"] = b"private"
    raw = io.save_img(img, tmp_path / "a.nii").read_bytes()
    header = nib.Nifti1Header(raw[:348])
    assert header.get_data_dtype() == np.float32
    assert (header["scl_slope"], header["scl_inter"]) in ((1, 0), (0, 0)) or np.isnan(
        header["scl_slope"]
    )
    assert (header["qform_code"], header["sform_code"]) == (1, 1)
    assert header.get_xyzt_units() == ("mm", "sec")
    assert header.get_zooms()[3] == 1.5
    assert header["descrip"] == b""
    mni = nib.Nifti1Image(VALUES, AFFINE)
    mni.set_sform(AFFINE, 4)
    assert io.load_img(io.save_img(mni, tmp_path / "m.nii")).header["sform_code"] == 4


def test_labels_masks_and_displacements_keep_their_kind(tmp_path):
    labels = np.arange(60).reshape(3, 4, 5)
    img = nib.Nifti1Image(labels.astype(np.int32), AFFINE)
    assert io.load_img(io.save_img(img, tmp_path / "l.nii.gz")).get_data_dtype().name == "int32"
    mask = nib.Nifti1Image((labels > 9).astype(np.uint8), AFFINE)
    assert io.load_img(io.save_img(mask, tmp_path / "m.nii.gz")).get_data_dtype().name == "uint8"
    field = nib.Nifti1Image(np.zeros((3, 4, 5, 1, 3), np.float32), AFFINE)
    field.header.set_intent("vector")
    again = io.load_img(io.save_img(field, tmp_path / "x.nii.gz"), ndim=5)
    assert again.shape == (3, 4, 5, 1, 3)
    assert again.header.get_intent()[0] == "vector"


def test_the_same_image_gives_the_same_bytes(tmp_path):
    img = nib.Nifti1Image(VALUES, AFFINE)
    first = io.save_img(img, tmp_path / "one.nii.gz").read_bytes()
    second = io.save_img(io.load_img(tmp_path / "one.nii.gz"), tmp_path / "b" / "two.nii.gz")
    assert first == second.read_bytes()
    assert first[3] == 0  # no name
    assert first[4:8] == b"\0\0\0\0"  # no time


def test_what_load_would_refuse_is_not_written(tmp_path):
    for img in (
        nib.Nifti1Image(np.full((3, 3, 3), np.nan, np.float32), AFFINE),
        nib.Nifti1Image(np.zeros((3, 3, 3), np.float32), AFFINE),
        nib.Nifti1Image(VALUES, np.diag([0.001, 1, 1, 1])),
        nib.Nifti1Image(VALUES, None),
        nib.Nifti1Image(VALUES.astype(np.complex64), AFFINE),
        nib.Nifti1Image(VALUES[0], AFFINE),
    ):
        with pytest.raises(DataError, match=r"a\.nii\.gz"):
            io.save_img(img, tmp_path / "a.nii.gz")
    with pytest.raises(DataError, match="file name"):
        io.save_img(nib.Nifti1Image(VALUES, AFFINE), tmp_path / "a.mgz")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- whole or not at all


def test_a_full_disk_leaves_no_partial_file_and_keeps_the_old_one(tmp_path):
    code = textwrap.dedent(
        """
        import resource, sys
        import nibabel, numpy
        from brainnet import io
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        rng = numpy.random.default_rng(0)
        img = nibabel.Nifti1Image(rng.normal(size=(30, 30, 30)).astype("f4"), numpy.eye(4))
        for name in sys.argv[1:]:
            try:
                io.save_img(img, name)
            except io.DataError as error:
                print(error)
        """
    )
    old = tmp_path / "old.nii.gz"
    old.write_bytes(b"as it was")
    names = [str(tmp_path / "new.nii.gz"), str(old), str(tmp_path / "plain.nii")]
    run = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, check=True
    )
    assert run.stdout.count("could not be written (File too large)") == 3
    assert [each.name for each in tmp_path.iterdir()] == ["old.nii.gz"]
    assert old.read_bytes() == b"as it was"


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_a_failure_at_any_stage_leaves_nothing(tmp_path, monkeypatch, call):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(call, fail)
    with pytest.raises(DataError, match="No space left on device"):
        io.save_text("content", tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_lies_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"something else")
    with pytest.raises(DataError, match="differs"):
        io.save_bytes(b"content", tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_unwritable_places_are_data_errors(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="could not be written"):
        io.save_text("a", tmp_path / "file" / "below.txt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="could not be written"):
        io.save_text("a", tmp_path / "folder")


def test_new_files_have_the_usual_rights(tmp_path):
    mask = os.umask(0o022)
    try:
        assert io.save_text("a", tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(mask)


# ---------------------------------------------------------------- JSON


def test_json_round_trip_keeps_order_and_takes_numpy(tmp_path):
    content = {"b": np.float64(0.1), "a": np.arange(3), "path": Path("x/y"), "text": "µm"}
    path = io.save_json(content, tmp_path / "a.json")
    assert io.load_json(path) == {"b": 0.1, "a": [0, 1, 2], "path": "x/y", "text": "µm"}
    assert list(io.load_json(path)) == ["b", "a", "path", "text"]
    assert path.read_bytes().endswith(b"}\n")


def test_json_errors(tmp_path):
    for raw, word in (
        (b"", "empty"),
        (b"{", "not valid JSON"),
        (b"[1]", "list"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b"[" * 10**6, "not valid JSON"),
    ):
        (tmp_path / "a.json").write_bytes(raw)
        with pytest.raises(DataError, match=word):
            io.load_json(tmp_path / "a.json")
    with pytest.raises(DataError, match="does not exist"):
        io.load_json(tmp_path / "b.json")
    with pytest.raises(ValueError, match="JSON"):
        io.save_json({"a": float("nan")}, tmp_path / "c.json")
    with pytest.raises(TypeError, match="set"):
        io.save_json({"a": {1}}, tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()


def test_text_round_trip(tmp_path):
    for name in ("a.txt", "a.txt.gz"):
        assert io.load_text(io.save_text("µm\r\n", tmp_path / name)) == "µm\r\n"
    with pytest.raises(DataError, match="does not exist"):
        io.load_text(tmp_path / "b.txt")


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert io.sha256(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    with pytest.raises(DataError, match="does not exist"):
        io.sha256(tmp_path / "b")


# ---------------------------------------------------------------- the memory that reading takes


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(
    ("stored", "slope"),
    [("u1", 1), ("i2", 1), ("i2", 0.5), ("f4", 1), ("f4", 2), ("f8", 1), ("i8", 1), (">f4", 1)],
)
def test_peak_memory_is_as_stated(tmp_path, name, stored, slope):
    data = RNG.integers(0, 99, (64, 64, 32, 8)).astype(stored)
    header = nib.Nifti1Header(endianness="big" if stored[0] == ">" else "little")
    header.set_data_dtype(data.dtype)
    header.set_data_shape(data.shape)
    header.set_qform(AFFINE, 1)
    header.set_sform(AFFINE, 1)
    header["vox_offset"], header["magic"], header["scl_slope"] = 352, b"n+1", slope
    header["scl_inter"] = 0
    raw = header.binaryblock + bytes(4) + data.tobytes("F")
    path = tmp_path / name
    path.write_bytes(gzip.compress(raw, 1) if name.endswith(".gz") else raw)
    io.load_img(path)
    tracemalloc.start()
    try:
        img = np.asarray(io.load_img(path).dataobj)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(img, data * slope)
    file = path.stat().st_size if name.endswith(".gz") else 0
    same = stored in ("u1", "i2", "f4") and slope == 1  # the unpacked bytes are the image
    bound = file + len(raw) * 9 / 8 + data.size + (0 if same else img.nbytes)
    assert peak < bound + (1 << 22)
    assert img.flags.writeable


def test_whole_numbers_that_float32_would_round_are_refused(tmp_path):
    labels = np.full((4, 5, 6), 614454277.0)
    labels[0] = 614454278
    refused(put(tmp_path, nifti(labels)), "float32 would have to round", "int32")
    refused(put(tmp_path, patched(nifti(labels.astype("i4")), SLOPE, "f", 2)), "float32")
    assert io.load_img(put(tmp_path, nifti(labels.astype("i4")))).get_data_dtype() == np.int32
    io.load_img(put(tmp_path, nifti(np.linspace(0, 1e9, 60).reshape(3, 4, 5))))  # measured
    io.load_img(put(tmp_path, nifti((labels - 614454270) * 2.0**25)))  # exact in float32


def test_values_that_float32_hardly_tells_apart_are_pointed_out(tmp_path):
    data = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    with pytest.warns(DataWarning, match="hardly tells apart"):
        io.load_img(put(tmp_path, patched(nifti(data), SLOPE, "ff", 10.0, 1e9)))
    io.load_img(put(tmp_path, patched(nifti(data), SLOPE, "ff", 10.0, 1e5)))


def test_a_sform_alone_whose_pixdim_differs_is_pointed_out(tmp_path):
    with pytest.warns(
        DataWarning, match="of the sform is 2 x 2.5 x 3 mm, that of pixdim 2 x 2.6 x"
    ):
        img = io.load_img(put(tmp_path, patched(nifti(qform=0), PIXDIM + 8, "f", 2.6)))
    np.testing.assert_allclose(img.affine, AFFINE, atol=1e-5)
    io.load_img(put(tmp_path, patched(nifti(qform=0), PIXDIM + 8, "f", 2.51)))


def test_a_time_step_that_is_none_is_saved_as_unknown(tmp_path):
    for number in (np.nan, -1.0, 1e30):
        img = nib.Nifti1Image(np.stack([VALUES, VALUES + 1], axis=-1), AFFINE)
        img.header["pixdim"][4] = number
        again = io.load_img(io.save_img(img, tmp_path / "a.nii"))
        assert again.header.get_zooms()[3] == 0
