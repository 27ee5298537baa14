import nibabel as nib
import numpy as np
import pytest

from brainnet.signals.suvr import suvr


def image(data, affine=None):
    return nib.Nifti1Image(np.asarray(data), np.eye(4) if affine is None else affine)


@pytest.fixture
def planted():
    """Uptake of 3 in the reference, 1.7 times that elsewhere, with noise in neither."""
    mask = np.zeros((10, 10, 10), np.uint8)
    mask[:4] = 1
    return np.where(mask > 0, 3.0, 3.0 * 1.7).astype(np.float32), mask


def test_planted_ratio_comes_back(planted):
    uptake, mask = planted
    ratio, mean = suvr(image(uptake), image(mask))
    assert mean == pytest.approx(3.0)
    np.testing.assert_allclose(ratio.get_fdata()[mask == 0], 1.7, rtol=1e-6)
    np.testing.assert_allclose(ratio.get_fdata()[mask == 1], 1.0, rtol=1e-6)
    assert ratio.get_data_dtype() == np.float32


def test_ratio_does_not_depend_on_the_unit(planted):
    uptake, mask = planted
    one, _ = suvr(image(uptake), image(mask))
    other, _ = suvr(image(uptake * 12345.0), image(mask))
    np.testing.assert_allclose(one.get_fdata(), other.get_fdata(), rtol=1e-6)


def test_integers_with_a_scale_factor_are_read_in_their_unit(planted, tmp_path):
    uptake, mask = planted
    stored = image(uptake)
    stored.header.set_data_dtype(np.int16)
    nib.save(stored, tmp_path / "pet.nii")
    ratio, mean = suvr(nib.load(tmp_path / "pet.nii"), image(mask))
    assert mean == pytest.approx(3.0, rel=1e-3)
    nib.save(ratio, tmp_path / "suvr.nii")
    np.testing.assert_allclose(
        nib.load(tmp_path / "suvr.nii").get_fdata()[mask == 0], 1.7, rtol=1e-3
    )


def test_part_of_the_reference_outside_the_scan_is_said(planted):
    uptake, mask = planted
    uptake[0] = np.nan
    with pytest.warns(UserWarning, match="Only 75% of the reference region"):
        ratio, mean = suvr(image(uptake), image(mask))
    assert mean == pytest.approx(3.0)
    assert np.isnan(ratio.get_fdata()[0]).all()


def test_a_reference_outside_the_scan_is_an_error(planted):
    uptake, mask = planted
    uptake[:3] = np.nan
    with pytest.raises(ValueError, match="25% of its 400 voxels"):
        suvr(image(uptake), image(mask))


def test_empty_mask_nonpositive_mean_and_wrong_shapes_are_errors(planted):
    uptake, mask = planted
    with pytest.raises(ValueError, match="it is empty"):
        suvr(image(uptake), image(mask * 0))
    with pytest.raises(ValueError, match="must be positive; got 0"):
        suvr(image(np.where(mask > 0, 0, uptake)), image(mask))
    with pytest.raises(ValueError, match="3-D"):
        suvr(image(uptake[..., None].repeat(2, -1)), image(mask))
    with pytest.raises(ValueError, match="grid"):
        suvr(image(uptake), image(mask, np.diag([2.0, 1, 1, 1])))
