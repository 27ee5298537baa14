import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from brainnet.signals.extract import (
    region_timeseries,
    region_values,
    region_volumes,
    voxel_samples,
)

AFFINE = np.diag([2.0, 2.0, 2.5, 1.0])


def image(data, affine=AFFINE):
    return nib.Nifti1Image(np.asarray(data), affine)


@pytest.fixture
def scene():
    """Series, labels 5, 2, 9 in a random arrangement with background, and a mask."""
    rng = np.random.default_rng(3)
    labels = rng.choice([0, 2, 5, 9], size=(7, 6, 5)).astype(np.int32)
    series = rng.normal(1e4, 50, size=(7, 6, 5, 11)).astype(np.float32)
    mask = (rng.random((7, 6, 5)) < 0.9).astype(np.uint8)
    return series, labels, mask


def test_timeseries_is_the_mean_of_each_region_in_the_order_asked(scene):
    series, labels, mask = scene
    timeseries, coverage = region_timeseries(
        image(series), image(labels), [9, 2, 5], mask_img=image(mask)
    )
    for column, index in enumerate([9, 2, 5]):
        inside = (labels == index) & (mask > 0)
        expected = series[inside].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(timeseries[:, column], expected, rtol=1e-12)
        assert coverage[column] == inside.sum() / (labels == index).sum()
    assert timeseries.shape == (11, 3)
    assert timeseries.dtype == np.float64


def test_timeseries_agrees_with_nilearn(scene):
    from nilearn.maskers import NiftiLabelsMasker

    series, labels, _ = scene
    masker = NiftiLabelsMasker(image(labels), standardize=None, strategy="mean")
    theirs = masker.fit_transform(image(series))
    ours, _ = region_timeseries(image(series), image(labels), [2, 5, 9])
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_planted_series_comes_back_whatever_the_neighbours_hold():
    labels = np.zeros((4, 4, 4), np.int16)
    labels[:2], labels[2:] = 1, 2
    planted = np.sin(np.arange(20)).astype(np.float32)
    series = np.zeros((4, 4, 4, 20), np.float32)
    series[:2] = planted
    series[2:] = 1e6
    timeseries, _ = region_timeseries(image(series), image(labels), [1])
    np.testing.assert_allclose(timeseries[:, 0], planted, atol=1e-7)


def test_a_voxel_that_is_nan_once_is_not_measured_at_any_time():
    series = np.ones((2, 1, 1, 3), np.float32)
    series[0] = [10, np.nan, 10]
    labels = np.ones((2, 1, 1), np.int32)
    timeseries, coverage = region_timeseries(image(series), image(labels), [1])
    assert timeseries.ravel().tolist() == [1, 1, 1]
    assert coverage.tolist() == [0.5]


def test_a_region_below_the_coverage_is_nan_and_keeps_its_place():
    labels = np.array([1, 1, 1, 1, 2, 2, 2, 2], np.int32).reshape(8, 1, 1)
    mask = np.array([1, 0, 0, 0, 1, 1, 0, 0], np.uint8).reshape(8, 1, 1)
    series = np.full((8, 1, 1, 4), 7, np.int16)
    timeseries, coverage = region_timeseries(
        image(series), image(labels), [1, 2, 3], mask_img=image(mask)
    )
    assert coverage.tolist() == [0.25, 0.5, 0.0]
    assert np.isnan(timeseries[:, [0, 2]]).all()
    assert (timeseries[:, 1] == 7).all()
    lenient, _ = region_timeseries(
        image(series), image(labels), [1, 2, 3], mask_img=image(mask), min_coverage=0.0
    )
    assert (lenient[:, :2] == 7).all()
    assert np.isnan(lenient[:, 2]).all()


def test_sums_do_not_lose_precision():
    series = np.full((50, 50, 40, 2), 16777217.0, np.float64)  # 2**24 + 1: no float32
    labels = np.ones((50, 50, 40), np.int32)
    timeseries, _ = region_timeseries(image(series), image(labels), [1])
    assert (timeseries == 16777217.0).all()


def test_integers_and_whole_floats_are_labels_alike_and_fractions_are_refused(scene):
    series, labels, _ = scene
    whole, _ = region_timeseries(image(series), image(labels), [2, 5])
    floats, _ = region_timeseries(image(series), image(labels.astype(np.float32)), [2, 5])
    np.testing.assert_array_equal(whole, floats)
    with pytest.raises(ValueError, match="whole numbers"):
        region_timeseries(image(series), image(labels + np.float32(0.5)), [2, 5])


def test_values_agree_with_scipy(scene):
    series, labels, _ = scene
    values, coverage = region_values(image(series[..., 0]), image(labels), [2, 5, 9])
    expected = ndimage.mean(series[..., 0].astype(np.float64), labels, [2, 5, 9])
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    assert coverage.tolist() == [1, 1, 1]


def test_samples_are_the_voxels_of_each_region(scene):
    series, labels, mask = scene
    data = series[..., 0].copy()
    data[labels == 9] = np.nan
    samples, coverage = voxel_samples(
        image(data), image(labels), [5, 9, 2], mask_img=image(mask), min_voxels=5
    )
    np.testing.assert_array_equal(samples[0], data[(labels == 5) & (mask > 0)])
    np.testing.assert_array_equal(samples[2], data[(labels == 2) & (mask > 0)])
    assert samples[1].size == 0
    assert coverage[1] == 0


def test_too_few_voxels_make_no_sample():
    labels = np.array([1] * 19 + [2] * 20, np.int32).reshape(39, 1, 1)
    samples, coverage = voxel_samples(image(np.ones((39, 1, 1))), image(labels), [1, 2])
    assert [each.size for each in samples] == [0, 20]
    assert coverage.tolist() == [1, 1]


def test_volumes_are_exact_for_a_box_on_an_oblique_grid():
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.5, 2.0, 1.0])
    labels = np.zeros((20, 20, 20), np.int32)
    labels[2:12, 3:13, 4:14] = 4
    share = np.where(labels == 4, 0.25, 1.0).astype(np.float32)
    volumes = region_volumes(image(share, affine), image(labels, affine), [4, 8])
    np.testing.assert_allclose(volumes[0], 1000 * 0.25 * 3.0 / 1000)
    assert np.isnan(volumes[1])


def test_a_volume_with_a_missing_voxel_is_nan():
    share = np.ones((5, 5, 5), np.float32)
    share[0, 0, 0] = np.nan
    labels = np.ones((5, 5, 5), np.int32)
    labels[3:] = 2
    volumes = region_volumes(image(share), image(labels), [1, 2])
    assert np.isnan(volumes[0])
    assert volumes[1] == pytest.approx(50 * 10 / 1000)


def test_a_negative_probability_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        region_volumes(image(np.full((2, 2, 2), -0.1)), image(np.ones((2, 2, 2), "i4")), [1])


@pytest.mark.parametrize("other", ["labels_img", "mask_img"])
def test_grids_that_differ_are_named(other, scene):
    series, labels, mask = scene
    moved = AFFINE.copy()
    moved[0, 3] = 1.0
    grids = {name: moved if name == other else AFFINE for name in ("labels_img", "mask_img")}
    with pytest.raises(ValueError, match=rf"{other} must lie on the grid of img.*1\.0.*against"):
        region_timeseries(
            image(series),
            image(labels, grids["labels_img"]),
            [2],
            mask_img=image(mask, grids["mask_img"]),
        )


@pytest.mark.parametrize(
    "indices, rule",
    [([2, 2], "repeat"), ([0, 2], "positive"), ([], "non-empty"), ([1.5], "whole numbers")],
)
def test_bad_indices_are_refused(indices, rule, scene):
    series, labels, _ = scene
    with pytest.raises(ValueError, match=rule):
        region_timeseries(image(series), image(labels), indices)


def test_dimensions_are_checked(scene):
    series, labels, _ = scene
    with pytest.raises(ValueError, match="4-D"):
        region_timeseries(image(series[..., 0]), image(labels), [2])
    with pytest.raises(ValueError, match="3-D"):
        region_values(image(series), image(labels), [2])
