"""Tissue fractions against simulated truth."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from brainnet.imaging import intensity, mask, tissue

LEVELS = {"CSF": 0.25, "GM": 0.65, "WM": 1.0}


@pytest.fixture(scope="module")
def truth() -> dict[str, np.ndarray]:
    """Tissue fractions on 2 mm, averaged from sharp 1-mm tissues of nilearn's MNI brain."""
    from nilearn import datasets

    gm, wm, brain = (
        np.asarray(load(resolution=1).dataobj)
        for load in (
            datasets.load_mni152_gm_template,
            datasets.load_mni152_wm_template,
            datasets.load_mni152_brain_mask,
        )
    )
    brain = brain > 0
    stack = np.stack([brain * np.maximum(0, 1 - gm - wm), gm * brain, wm * brain])
    best = np.argmax(stack, axis=0)
    even = tuple(slice(0, n // 2 * 2) for n in brain.shape)

    def halve(data: np.ndarray) -> np.ndarray:
        x, y, z = (n // 2 for n in data[even].shape)
        return data[even].reshape(x, 2, y, 2, z, 2).mean(axis=(1, 3, 5))

    fractions = {name: halve((best == k) & brain) for k, name in enumerate(LEVELS)}
    fractions["mask"] = halve(brain) >= 1
    return fractions


def _t1w(truth: dict[str, np.ndarray], noise: float, shade: float) -> Nifti1Image:
    data = sum(level * truth[name] for name, level in LEVELS.items())
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in data.shape], indexing="ij")
    data = data * (1 + shade * (0.5 * axes[0] + axes[1] ** 2 - 0.5 * axes[2]))
    data = data + np.random.default_rng(0).normal(0, noise, data.shape)
    return nib.Nifti1Image((1000 * data).astype(np.float32), np.diag([2.0, 2, 2, 1]))


def _mask(truth: dict[str, np.ndarray]) -> Nifti1Image:
    return nib.Nifti1Image(truth["mask"].astype(np.uint8), np.diag([2.0, 2, 2, 1]))


@pytest.mark.parametrize("noise, shade", [(0.02, 0.0), (0.05, 0.0), (0.03, 0.15)])
def test_planted_tissues_are_found(
    truth: dict[str, np.ndarray], noise: float, shade: float
) -> None:
    found = tissue.segment_tissue(_t1w(truth, noise, shade), _mask(truth))
    inside = truth["mask"]
    data = {name: np.asarray(img.dataobj) for name, img in found.items()}
    best = np.argmax([data[name][inside] for name in LEVELS], axis=0)
    real = np.argmax([truth[name][inside] for name in LEVELS], axis=0)
    for k, name in enumerate(LEVELS):
        dice = 2 * np.sum((best == k) & (real == k)) / (np.sum(best == k) + np.sum(real == k))
        assert dice > (0.8 if name == "CSF" else 0.88), (name, dice)
        assert data[name].sum() == pytest.approx(truth[name][inside].sum(), rel=0.12), name
        assert np.abs(data[name] - truth[name])[inside].mean() < 0.12, name


def test_fractions_sum_to_one_in_the_mask(truth: dict[str, np.ndarray]) -> None:
    img, mask_img = _t1w(truth, 0.03, 0.0), _mask(truth)
    found = tissue.segment_tissue(img, mask_img)
    total = sum(np.asarray(each.dataobj, dtype=np.float64) for each in found.values())
    assert list(found) == ["CSF", "GM", "WM"]
    assert np.allclose(total[truth["mask"]], 1, atol=1e-5)
    assert not total[~truth["mask"]].any()
    for each in found.values():
        assert np.array_equal(each.affine, img.affine)
        assert 0 <= np.asarray(each.dataobj).min() <= np.asarray(each.dataobj).max() <= 1


def test_same_input_same_bytes_and_any_unit(truth: dict[str, np.ndarray]) -> None:
    img, mask_img = _t1w(truth, 0.03, 0.0), _mask(truth)
    one, two = (tissue.segment_tissue(img, mask_img) for _ in range(2))
    scaled = nib.Nifti1Image(np.asarray(img.dataobj) / np.float32(4096), img.affine)
    third = tissue.segment_tissue(scaled, mask_img)
    for name in one:
        assert np.array_equal(np.asarray(one[name].dataobj), np.asarray(two[name].dataobj))
        difference = np.asarray(one[name].dataobj) - np.asarray(third[name].dataobj)
        assert np.abs(difference).max() < 1e-2


def test_too_few_tissues_are_refused() -> None:
    data = np.zeros((20, 20, 20), np.float32)
    data[5:15, 5:15, 5:15] = 1
    whole = nib.Nifti1Image(np.ones(data.shape, np.uint8), np.eye(4))
    with pytest.raises(ValueError, match="img must show three tissues"):
        tissue.segment_tissue(nib.Nifti1Image(data, np.eye(4)), whole)
    small = nib.Nifti1Image((data > 0).astype(np.uint8)[:, :, ::-1], np.eye(4))
    small.dataobj[6:] = 0
    with pytest.raises(ValueError, match="at least 1000 voxels"):
        tissue.segment_tissue(nib.Nifti1Image(data, np.eye(4)), small)


@pytest.mark.slow
@pytest.mark.parametrize("subject", ["sub-01", "sub-02"])
def test_real_volumes_are_plausible(shared_data: Path, subject: str) -> None:
    img = nib.load(shared_data / "bids" / subject / "anat" / f"{subject}_T1w.nii.gz")
    mask_img = mask.brain_mask(img)
    found = tissue.segment_tissue(intensity.correct_bias(img, mask_img), mask_img)
    volume = {name: float(np.asarray(each.dataobj).sum()) / 1000 for name, each in found.items()}
    assert 500 < volume["GM"] < 900
    assert 350 < volume["WM"] < 700
    assert 150 < volume["CSF"] < 500
    # The ventricles lie in the middle of the brain: some fluid far under its surface.
    depth = ndimage.distance_transform_edt(np.asarray(mask_img.dataobj))
    assert np.asarray(found["CSF"].dataobj)[depth > 40].sum() / 1000 > 3
