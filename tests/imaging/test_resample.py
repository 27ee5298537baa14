"""Resampling: the right place, the right value, the right edge; one interpolation."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from nibabel.processing import resample_from_to
from nilearn.image import resample_img
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from brainnet.imaging.motion import matrices_from_parameters
from brainnet.imaging.resample import (
    coverage_mask,
    resample,
    resample_labels,
    resample_series,
    target_grid,
)

Array = NDArray[np.float64]
SOURCE_SHAPE, TARGET_SHAPE = (40, 44, 30), (22, 26, 24)


def grid(shape: tuple[int, ...], zooms: tuple[float, ...], turn: tuple[float, ...]) -> Array:
    """Affine of a grid centred near the origin, rotated by degrees, x stored right to left."""
    affine = np.eye(4)
    linear = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() @ np.diag(zooms)
    affine[:3, :3] = linear * [-1, 1, 1]
    affine[:3, 3] = [1.5, -2, 3] - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


SOURCE = grid(SOURCE_SHAPE, (3, 3.2, 4), (10, -5, 20))
TARGET = grid(TARGET_SHAPE, (2.5, 2, 2.2), (-4, 7, 3))
MATRIX = matrices_from_parameters([4, -6, 3, 0.1, -0.05, 0.2])


def world(shape: tuple[int, ...], affine: Array) -> Array:
    moved = affine[:3, :3] @ np.indices(shape).reshape(3, -1) + affine[:3, 3:]
    return moved.reshape(3, *shape)


def waves(points: Array) -> Array:
    """Smooth function of the world: 70 to 90 mm long waves."""
    x, y, z = points
    return np.asarray(100 + 10 * np.sin(x / 14 + y / 30) + 8 * np.cos(y / 12) * np.sin(z / 15))


def source_img(dtype: Any = np.float32) -> Nifti1Image:
    return Nifti1Image(waves(world(SOURCE_SHAPE, SOURCE)).astype(dtype), SOURCE)


def target_img() -> Nifti1Image:
    return Nifti1Image(np.zeros(TARGET_SHAPE, np.uint8), TARGET)


@pytest.mark.parametrize("order, tolerance", [(1, 0.6), (3, 0.02), (5, 0.005)])
def test_smooth_function_is_met_through_oblique_affines(order: int, tolerance: float) -> None:
    points = np.einsum("ij,j...->i...", MATRIX[:3, :3], world(TARGET_SHAPE, TARGET))
    expected = waves(points + MATRIX[:3, 3].reshape(3, 1, 1, 1))
    got = resample(source_img(), target_img(), MATRIX, order=order)
    assert got.get_data_dtype() == np.float32
    np.testing.assert_array_equal(got.affine, TARGET)
    np.testing.assert_allclose(got.get_fdata(), expected, atol=tolerance)


@pytest.mark.parametrize("order", [1, 3])
def test_agrees_with_nibabel_and_nilearn(order: int) -> None:
    rng = np.random.default_rng(0)
    img = Nifti1Image(rng.normal(100, 10, SOURCE_SHAPE).astype(np.float32), SOURCE)
    got = resample(img, target_img(), order=order).get_fdata()
    other = resample_from_to(img, (TARGET_SHAPE, TARGET), order=order, cval=-1).get_fdata()
    inner = (other != -1) & (np.abs(got - 100) < 25)  # not clipped, not at the edge
    assert inner.mean() > 0.9
    np.testing.assert_allclose(got[inner], other[inner], rtol=2e-5)
    third = resample_img(
        img, TARGET, TARGET_SHAPE, interpolation={1: "linear", 3: "continuous"}[order],
        copy_header=True, force_resample=True,
    ).get_fdata()  # fmt: skip
    np.testing.assert_allclose(got[inner], third[inner], rtol=2e-5)


def test_own_grid_gives_own_values_up_to_the_faces() -> None:
    rng = np.random.default_rng(0)
    img = Nifti1Image(rng.normal(0, 1, (9, 10, 11)).astype(np.float32), SOURCE)
    for order in (0, 1, 3):
        np.testing.assert_allclose(
            resample(img, img, order=order).get_fdata(), img.get_fdata(), atol=1e-5
        )


def test_outer_half_voxel_is_inside_and_no_more() -> None:
    img = Nifti1Image(np.full((4, 4, 4), 7.0, np.float32), np.eye(4))
    fine = np.diag([0.25, 1, 1, 1.0])
    fine[0, 3] = -1.0  # centres at -1, -0.75, ... 4.25
    line_img = Nifti1Image(np.zeros((22, 4, 4), np.uint8), fine)
    centres = -1 + 0.25 * np.arange(22)
    expected = np.where((centres >= -0.5) & (centres <= 3.5), 7.0, -2.0)
    for order in (0, 1, 3):
        got = resample(img, line_img, order=order, cval=-2).get_fdata()
        np.testing.assert_allclose(got, np.broadcast_to(expected[:, None, None], got.shape))
    covered = coverage_mask(img, line_img)
    assert covered.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(covered.get_fdata()[:, 0, 0], expected == 7)


def test_cubic_overshoot_is_clipped_to_the_input() -> None:
    data = np.zeros((12, 12, 12), np.float32)
    data[4:8, 4:8, 4:8] = 1
    img = Nifti1Image(data, np.diag([2.0, 2, 2, 1]))
    got = resample(img, target_grid(img, 0.7)).get_fdata()
    assert got.min() == 0
    assert got.max() == 1


def test_not_finite_is_read_as_zero() -> None:
    data = np.ones((8, 8, 8), np.float32)
    data[0, 0, 0], data[0, 0, 1] = np.nan, np.inf
    img = Nifti1Image(data, np.eye(4))
    got = resample(img, img).get_fdata()
    assert np.isfinite(got).all()
    assert got[0, 0, 0] == pytest.approx(0, abs=1e-6)
    assert got[7, 7, 7] == pytest.approx(1, abs=1e-6)


def test_series_takes_each_volume_by_its_own_matrix() -> None:
    parameters = np.array([[0, 0, 0, 0, 0, 0], [3, -2, 1, 0.05, 0, 0.1], [-4, 1, 2, 0, 0.1, 0]])
    matrices = matrices_from_parameters(parameters)
    volumes = [
        waves(
            np.einsum("ij,j...->i...", np.linalg.inv(m)[:3, :3], world(SOURCE_SHAPE, SOURCE))
            + np.linalg.inv(m)[:3, 3].reshape(3, 1, 1, 1)
        )
        for m in matrices
    ]
    img4d = Nifti1Image(np.stack(volumes, -1).astype(np.float32), SOURCE)
    img4d.header.set_zooms((*img4d.header.get_zooms()[:3], 1.259))
    img4d.header.set_xyzt_units("mm", "sec")
    got = resample_series(img4d, target_img(), matrices @ MATRIX)
    # every volume shows the head where volume 0 does: one composed pull undoes the motion
    points = np.einsum("ij,j...->i...", MATRIX[:3, :3], world(TARGET_SHAPE, TARGET))
    expected = waves(points + MATRIX[:3, 3].reshape(3, 1, 1, 1))
    np.testing.assert_allclose(got.get_fdata(), np.stack([expected] * 3, -1), atol=0.04)
    assert got.get_data_dtype() == np.float32
    assert got.header.get_zooms()[3] == pytest.approx(1.259)
    assert got.header.get_xyzt_units() == ("mm", "sec")
    single = resample(img4d.slicer[..., 1], target_img(), matrices[1] @ MATRIX)
    np.testing.assert_array_equal(got.get_fdata()[..., 1], single.get_fdata())


def test_coverage_needs_all_volumes() -> None:
    img4d = Nifti1Image(np.ones((10, 10, 10, 2), np.float32), np.eye(4))
    matrices = matrices_from_parameters([[2, 0, 0, 0, 0, 0], [0, 0, -3, 0, 0, 0]])
    covered = coverage_mask(img4d, img4d, matrices).get_fdata()
    expected = np.zeros((10, 10, 10))
    expected[:8, :, 3:] = 1
    np.testing.assert_array_equal(covered, expected)
    values = resample_series(img4d, img4d, matrices, cval=-1).get_fdata()
    np.testing.assert_array_equal((values > 0).all(axis=-1), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_coverage_needs_finite_voxels(bad: float) -> None:
    data = np.ones((10, 10, 10, 2), np.float32)
    data[4, 5, 6, 1] = bad  # shown by the second volume, which has moved by 2 voxels
    img4d = Nifti1Image(data, np.eye(4))
    matrices = matrices_from_parameters([[0, 0, 0, 0, 0, 0], [2.3, 0, 0, 0, 0, 0]])
    expected = np.ones((10, 10, 10))
    expected[8:] = 0  # index + 2.3 is past the outer face at 9.5
    expected[2, 5, 6] = 0
    np.testing.assert_array_equal(coverage_mask(img4d, img4d, matrices).get_fdata(), expected)
    single = coverage_mask(img4d.slicer[..., 1], img4d, matrices[1]).get_fdata()
    np.testing.assert_array_equal(single, expected)
    assert coverage_mask(img4d.slicer[..., 0], img4d).get_fdata().all()


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint8, np.float32, bool])
def test_labels_stay_labels(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 7, 250], SOURCE_SHAPE).astype(dtype)
    img = Nifti1Image(labels.astype(np.uint8) if dtype is bool else labels, SOURCE)
    got = resample_labels(img, target_img(), MATRIX)
    assert np.issubdtype(got.get_data_dtype(), np.integer)
    index = np.linalg.inv(SOURCE) @ MATRIX @ TARGET
    voxel = np.floor(world(TARGET_SHAPE, index) + 0.5).astype(int)
    inside = ((voxel >= 0) & (voxel < np.reshape(SOURCE_SHAPE, (3, 1, 1, 1)))).all(axis=0)
    clipped = np.clip(voxel, 0, np.reshape(SOURCE_SHAPE, (3, 1, 1, 1)) - 1)
    expected = np.where(inside, labels[tuple(clipped)], 0)
    np.testing.assert_array_equal(got.get_fdata(), expected)


def test_large_labels_are_exact() -> None:
    labels = np.array([[[0, 2**24 + 1, 2**30 + 3]]], np.int32)
    img = Nifti1Image(labels, np.eye(4))
    np.testing.assert_array_equal(np.asarray(resample_labels(img, img).dataobj), labels)
    with pytest.raises(ValueError, match="whole numbers"):
        resample_labels(Nifti1Image(np.full((2, 2, 2), 0.5, np.float32), np.eye(4)), img)


def bend(points: Array) -> Array:
    """Displacements of up to 4 mm at points of the world, as ITK writes them."""
    x, y, z = points
    shift = np.stack([-4 * np.sin(y / 20), -3 * np.cos(z / 18), 4 * np.sin(x / 22)], axis=-1)
    return shift.astype(np.float32)[:, :, :, None]


def bend_img(shape: tuple[int, ...] = TARGET_SHAPE, affine: Array = TARGET) -> Nifti1Image:
    return Nifti1Image(bend(world(shape, affine)), affine)


def bent_waves(matrix: Array = MATRIX) -> Array:
    """What the target shows of the waves through the bend, then the matrix."""
    points = world(TARGET_SHAPE, TARGET)
    points = points + np.moveaxis(bend(points)[:, :, :, 0] * [-1, -1, 1], -1, 0)
    moved = np.einsum("ij,j...->i...", matrix[:3, :3], points)
    return waves(moved + matrix[:3, 3].reshape(3, 1, 1, 1))


@pytest.mark.parametrize("order, tolerance", [(0, 7), (1, 0.6), (3, 0.02)])
def test_displacement_comes_before_the_matrix(order: int, tolerance: float) -> None:
    got = resample(source_img(), target_img(), MATRIX, displacement_img=bend_img(), order=order)
    assert got.get_data_dtype() == np.float32
    np.testing.assert_array_equal(got.affine, TARGET)
    np.testing.assert_allclose(got.get_fdata(), bent_waves(), atol=tolerance)
    wide = np.diag([2.0, 2, 2, 1])
    wide[:3, 3] = -64
    other = bend_img((64, 64, 64), wide)  # another grid: interpolated linearly first
    got = resample(source_img(), target_img(), MATRIX, displacement_img=other, order=order)
    np.testing.assert_allclose(got.get_fdata(), bent_waves(), atol=tolerance + 0.02)


def test_no_displacement_is_a_displacement_by_nothing() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(0, 1, SOURCE_SHAPE).astype(np.float32)
    data[5, 5, 5] = np.nan
    img = Nifti1Image(data, SOURCE)
    still_img = Nifti1Image(np.zeros((*TARGET_SHAPE, 1, 3), np.float32), TARGET)
    away = matrices_from_parameters([40, 0, 0, 0, 0, 0])  # many voxels see an edge or nothing
    for order in (1, 3):
        plain = resample(img, target_img(), away, order=order, cval=9).get_fdata()
        got = resample(
            img, target_img(), away, displacement_img=still_img, order=order, cval=9
        ).get_fdata()
        assert (plain == 9).any()
        np.testing.assert_array_equal(got == 9, plain == 9)
        np.testing.assert_allclose(got, plain, atol=2e-3)  # rounded to 1e-4 voxels
        assert np.abs(got - plain).mean() < 1e-4


def test_displaced_overshoot_is_clipped_to_the_input() -> None:
    data = np.zeros((12, 12, 12), np.float32)
    data[4:8, 4:8, 4:8] = 1
    img = Nifti1Image(data, np.diag([2.0, 2, 2, 1]))
    aside_img = Nifti1Image(np.full((12, 12, 12, 1, 3), 0.8, np.float32), img.affine)
    got = resample(img, img, displacement_img=aside_img).get_fdata()
    assert got.min() == 0
    assert got.max() == 1


def test_displaced_series_is_interpolated_once() -> None:
    matrices = matrices_from_parameters([[0, 0, 0, 0, 0, 0], [3, -2, 1, 0.05, 0, 0.1]])
    volumes = np.stack([source_img().get_fdata(), 2 * source_img().get_fdata()], -1)
    img4d = Nifti1Image(volumes.astype(np.float32), SOURCE)
    got = resample_series(img4d, target_img(), matrices @ MATRIX, displacement_img=bend_img())
    expected = [bent_waves(matrices[0] @ MATRIX), 2 * bent_waves(matrices[1] @ MATRIX)]
    np.testing.assert_allclose(got.get_fdata(), np.stack(expected, -1), atol=0.05)
    single = resample(
        img4d.slicer[..., 1], target_img(), matrices[1] @ MATRIX, displacement_img=bend_img()
    )
    np.testing.assert_array_equal(got.get_fdata()[..., 1], single.get_fdata())


def test_displaced_coverage_is_what_resampling_does_not_fill() -> None:
    data = np.ones((*SOURCE_SHAPE, 2), np.float32)
    data[20:22, 20:22, 15, 1] = np.nan
    img4d = Nifti1Image(data, SOURCE)
    matrices = matrices_from_parameters([[30, 0, 0, 0, 0, 0], [0, -35, 0, 0, 0, 0]])
    covered = coverage_mask(img4d, target_img(), matrices, displacement_img=bend_img())
    values = resample_series(
        img4d, target_img(), matrices, displacement_img=bend_img(), order=0, cval=-1
    ).get_fdata()
    assert (values == 0).any()
    assert (values == -1).any()
    np.testing.assert_array_equal(covered.get_fdata() > 0, (values > 0).all(axis=-1))


def test_displacement_is_checked() -> None:
    img = source_img()
    with pytest.raises(ValueError, match="order must be 0, 1 or 3 with displacement_img; got 5"):
        resample(img, target_img(), displacement_img=bend_img(), order=5)
    with pytest.raises(ValueError, match="displacement_img must be an ITK vector image"):
        resample(img, target_img(), displacement_img=img)
    broken = bend(world(TARGET_SHAPE, TARGET))
    broken[0, 0, 0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="displacement_img must be finite; 1 voxels"):
        resample(img, target_img(), displacement_img=Nifti1Image(broken, TARGET))


def test_target_grid_covers_the_field_of_view_along_its_axes() -> None:
    got = target_grid(source_img(), 2.0)
    np.testing.assert_allclose(got.header.get_zooms(), 2.0, atol=1e-5)
    assert nib.aff2axcodes(got.affine) == ("R", "A", "S")
    directions = got.affine[:3, :3] / 2
    np.testing.assert_allclose(np.abs(directions.T @ SOURCE[:3, :3]).max(0), [3, 3.2, 4])
    assert got.shape == (60, 71, 60)  # 120, 140.8 and 120 mm
    centre = got.affine @ [*(np.array(got.shape) - 1) / 2, 1]
    np.testing.assert_allclose(centre, SOURCE @ [*(np.array(SOURCE_SHAPE) - 1) / 2, 1])
    assert got.get_data_dtype() == np.uint8
    assert not got.get_fdata().any()


def test_target_grid_of_the_same_size_is_the_grid_reoriented() -> None:
    data = np.zeros((5, 6, 7), np.float32)
    affine = np.array([[0, 0, -4.0, 9], [2.0, 0, 0, -3], [0, 3.0, 0, 1], [0, 0, 0, 1]])
    img = Nifti1Image(data, affine)
    expected = nib.as_closest_canonical(img)
    got = target_grid(img, (4.0, 2.0, 3.0))
    assert got.shape == expected.shape == (7, 5, 6)
    np.testing.assert_allclose(got.affine, expected.affine, atol=1e-12)


def test_target_grid_crops_to_a_mask_on_another_grid() -> None:
    mask = np.zeros((30, 30, 30), np.uint8)
    mask[5:15, 10:20, 8:9] = 1
    mask_img = Nifti1Image(mask, np.diag([-2.0, 2, 2, 1]))
    img = Nifti1Image(np.zeros((20, 20, 20, 3), np.float32), np.diag([3.0, 3, 3, 1]))
    got = target_grid(img, 2.0, crop_to_mask=mask_img)
    assert got.shape == (10, 10, 1)
    assert coverage_mask(mask_img, got).get_fdata().all()
    assert resample_labels(mask_img, got).get_fdata().all()
    with pytest.raises(ValueError, match="crop_to_mask"):
        target_grid(img, 2.0, crop_to_mask=Nifti1Image(mask * 0, np.eye(4)))


@pytest.mark.parametrize("size", [0.0, -1.0, np.nan, (2.0, 0.0, 2.0)])
def test_voxel_size_must_be_positive(size: Any) -> None:
    with pytest.raises(ValueError, match="voxel_size"):
        target_grid(source_img(), size)


def test_space_code_comes_from_the_target() -> None:
    target = target_img()
    target.set_sform(TARGET, 4)
    for got in (resample(source_img(), target), coverage_mask(source_img(), target)):
        assert int(got.header["sform_code"]) == int(got.header["qform_code"]) == 4
        np.testing.assert_allclose(got.get_qform(), TARGET, atol=1e-4)
    bare = target_img()
    bare.header["sform_code"] = bare.header["qform_code"] = 0
    assert int(resample(source_img(), bare).header["sform_code"]) == 1


def test_wrong_arguments_are_named() -> None:
    img4d = Nifti1Image(np.zeros((3, 3, 3, 2), np.float32), np.eye(4))
    img = img4d.slicer[..., 0]
    with pytest.raises(ValueError, match=r"img must be 3-D.*resample_series"):
        resample(img4d, img)
    with pytest.raises(ValueError, match="img4d must be 4-D"):
        resample_series(img, img)
    with pytest.raises(ValueError, match="one for each of the 2 volumes"):
        resample_series(img4d, img, np.stack([np.eye(4)] * 3))
    with pytest.raises(ValueError, match="last row"):
        resample(img, img, np.ones((4, 4)))
    with pytest.raises(ValueError, match="shape"):
        resample(img, img, np.eye(3))
    with pytest.raises(ValueError, match="invertible"):
        resample(img, img, np.diag([1.0, 1, 0, 1]))
    with pytest.raises(ValueError, match="order"):
        resample(img, img, order=7)


def test_real_run_keeps_its_large_values(shared_data: Path) -> None:
    img = nib.load(next((shared_data / "bids").glob("sub-02/func/*_bold.nii.gz")))
    volume = np.asarray(img.dataobj[..., 0])  # scaled 16-bit integers, beyond 32,767
    assert volume.max() > 32767
    one = Nifti1Image(volume, img.affine)
    got = resample(one, target_grid(one, 3.0))
    assert got.get_fdata().max() > 32767
    total = volume.sum() * np.prod(one.header.get_zooms())
    assert got.get_fdata().sum() * 27 == pytest.approx(total, rel=0.01)
