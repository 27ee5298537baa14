"""N4 against a planted field."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet.imaging import intensity


@pytest.fixture(scope="module")
def template() -> Nifti1Image:
    """The MNI brain that nilearn carries, 3 mm, white matter near 1."""
    from nilearn.datasets import load_mni152_template

    return load_mni152_template(resolution=3)


def _planted(template: Nifti1Image, depth: float) -> tuple[Nifti1Image, Nifti1Image, np.ndarray]:
    data = np.asarray(template.dataobj, dtype=np.float32)
    mask = data > 0.05 * data.max()
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in data.shape], indexing="ij")
    field = np.exp(depth * (0.6 * axes[0] + axes[1] ** 2 - 0.5 * axes[2])).astype(np.float32)
    field /= np.exp(np.log(field[mask]).mean())
    rng = np.random.default_rng(0)
    noisy = data * field + rng.normal(0, 0.01 * data.max(), data.shape).astype(np.float32) * mask
    img = nib.Nifti1Image(noisy.astype(np.float32), template.affine)
    return img, nib.Nifti1Image(mask.astype(np.uint8), template.affine), field


def _spread(values: np.ndarray) -> float:
    return float(values.std() / values.mean())


def _found(img: Nifti1Image, mask_img: Nifti1Image | None, inside: np.ndarray) -> np.ndarray:
    out = intensity.correct_bias(img, mask_img)
    return np.asarray(img.dataobj)[inside] / np.asarray(out.dataobj)[inside]


@pytest.mark.parametrize("masked", [True, False])
def test_planted_field_is_recovered(template: Nifti1Image, masked: bool) -> None:
    """What N4 finds beyond what it already finds in the template is the planted field."""
    img, mask_img, field = _planted(template, 0.4)
    even, _, _ = _planted(template, 0.0)
    inside = (np.asarray(mask_img.dataobj) > 0) & (np.asarray(img.dataobj) > 0)
    inside &= np.asarray(even.dataobj) > 0
    given = mask_img if masked else None
    found = _found(img, given, inside) / _found(even, given, inside)
    assert _spread(field[inside]) > 0.11
    assert np.corrcoef(found, field[inside])[0, 1] > 0.98
    assert _spread(found / field[inside]) < 0.03


def test_level_and_grid_stay(template: Nifti1Image) -> None:
    img, mask_img, _ = _planted(template, 0.4)
    out = intensity.correct_bias(img, mask_img)
    inside = (np.asarray(mask_img.dataobj) > 0) & (np.asarray(img.dataobj) > 0)
    ratio = np.asarray(out.dataobj)[inside] / np.asarray(img.dataobj)[inside]
    assert np.exp(np.log(ratio).mean()) == pytest.approx(1, abs=1e-4)
    assert np.array_equal(out.affine, img.affine)
    assert out.get_data_dtype() == np.float32


def test_unit_does_not_matter(template: Nifti1Image) -> None:
    img, mask_img, _ = _planted(template, 0.4)
    scaled = nib.Nifti1Image(np.asarray(img.dataobj) * np.float32(1024), img.affine)
    one = np.asarray(intensity.correct_bias(img, mask_img).dataobj)
    many = np.asarray(intensity.correct_bias(scaled, mask_img).dataobj)
    assert np.allclose(many, 1024 * one, rtol=1e-3, atol=1e-3 * many.max())


def test_even_image_stays_even(template: Nifti1Image) -> None:
    img, mask_img, _ = _planted(template, 0.0)
    out = intensity.correct_bias(img, mask_img)
    inside = (np.asarray(mask_img.dataobj) > 0) & (np.asarray(img.dataobj) > 0)
    assert _spread(np.asarray(out.dataobj)[inside] / np.asarray(img.dataobj)[inside]) < 0.05


def test_otsu_splits_two_groups() -> None:
    rng = np.random.default_rng(0)
    data = np.concatenate([rng.normal(10, 1, 5000), rng.normal(50, 3, 2000)])
    assert 12 < intensity.otsu_threshold(data) < 40


def test_bad_input_is_refused(template: Nifti1Image) -> None:
    data = np.asarray(template.dataobj, dtype=np.float32)
    affine = template.affine
    with pytest.raises(ValueError, match="img must be three-dimensional"):
        intensity.correct_bias(nib.Nifti1Image(np.stack([data, data], -1), affine))
    with pytest.raises(ValueError, match="img must be finite"):
        intensity.correct_bias(nib.Nifti1Image(np.where(data > 0, data, np.nan), affine))
    with pytest.raises(ValueError, match="img must not be constant"):
        intensity.correct_bias(nib.Nifti1Image(np.ones_like(data), affine))
    empty = nib.Nifti1Image(np.zeros(data.shape, np.uint8), affine)
    with pytest.raises(ValueError, match="mask_img must contain"):
        intensity.correct_bias(template, empty)
    with pytest.raises(ValueError, match="grid of the image"):
        intensity.correct_bias(template, nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), affine))
    full = nib.Nifti1Image(np.ones(data.shape, np.uint8), affine)
    with pytest.raises(ValueError, match="at least 1000 voxels brighter than 0"):
        intensity.correct_bias(nib.Nifti1Image(data - 2 * data.max(), affine), full)
