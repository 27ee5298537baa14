"""Simulated PET: activity is conserved, truth is true."""

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from brainnet.atlas import Atlas
from brainnet.simulate.anatomy import Anatomy, image
from brainnet.simulate.disease import uptake_by_label
from brainnet.simulate.pet import PetTruth, regional_suvr, simulate_pet


@pytest.fixture(scope="module")
def scan(anatomy: Anatomy) -> tuple[Nifti1Image, PetTruth]:
    return simulate_pet(
        anatomy.t1w_img,
        anatomy.structures_img,
        uptake_by_label(),
        tissue_imgs=anatomy.tissue_imgs,
        voxel_size=3.0,
        seed=1,
    )


def _data(img: Nifti1Image) -> np.ndarray:
    return np.asanyarray(img.dataobj, dtype=np.float64)


def test_blur_conserves_activity(scan: tuple[Nifti1Image, PetTruth]) -> None:
    truth = scan[1]
    before, after = _data(truth.activity_img).sum(), _data(truth.blurred_img).sum()
    assert after == pytest.approx(before, rel=1e-4)
    measured = _data(scan[0]).sum()  # 3 mm voxels on both grids
    assert measured == pytest.approx(before, rel=0.01)


def test_point_spread_has_the_width_asked_for() -> None:
    labels = np.zeros((41, 41, 41), dtype=np.int32)
    labels[20, 20, 20] = 1
    affine = np.eye(4)
    tissue = {name: image((labels * (name == "GM")).astype(np.float32), affine) for name in
              ("GM", "WM", "CSF")}  # fmt: skip
    t1w = image(labels.astype(np.float32), affine)
    _, truth = simulate_pet(t1w, image(labels, affine), {1: 1.0}, tissue_imgs=tissue, fwhm=8.0)
    line = _data(truth.blurred_img)[:, 20, 20]
    assert line[24] / line[20] == pytest.approx(0.5, rel=0.01)  # 4 mm from the centre


def test_suvr_before_blur_is_the_uptake_times_the_grey_fraction(
    scan: tuple[Nifti1Image, PetTruth], anatomy: Anatomy, atlas: Atlas
) -> None:
    before, after = regional_suvr(
        scan[1], anatomy.labels_img, atlas.indices, reference_labels_img=anatomy.structures_img
    )
    wanted = np.array([uptake_by_label()[int(index)] for index in atlas.indices])
    assert np.corrcoef(before, wanted)[0, 1] > 0.85
    assert np.corrcoef(before, after)[0, 1] > 0.85
    cerebellum = [atlas.names.index(f"{side}-Cerebellum-Cortex") for side in ("Left", "Right")]
    np.testing.assert_allclose(before[cerebellum], 1.0, atol=0.03)


def test_uptake_is_planted_exactly_where_all_is_grey(anatomy: Anatomy) -> None:
    labels = np.zeros((30, 20, 20), dtype=np.int32)
    labels[:15], labels[15:] = 8, 1025
    t1w = image(np.ones(labels.shape, dtype=np.float32), np.diag([2.0, 2, 2, 1]))
    whole = np.ones(labels.shape, dtype=np.float32)
    tissue = {"GM": image(whole, t1w.affine), "WM": image(0 * whole, t1w.affine)}
    tissue["CSF"] = tissue["WM"]
    labels_img = image(labels, t1w.affine)
    _, truth = simulate_pet(t1w, labels_img, {8: 1.0, 1025: 1.5}, tissue_imgs=tissue)
    before, after = regional_suvr(truth, labels_img, [8, 1025], reference_labels_img=labels_img)
    np.testing.assert_allclose(before, [1.0, 1.5], rtol=0.04)
    assert before[0] == pytest.approx(1.0)  # the reference by definition
    assert after[1] < before[1]  # activity leaks over the border
    missing, _ = regional_suvr(truth, labels_img, [77], reference_labels_img=labels_img)
    assert np.isnan(missing[0])


def test_misalignment_matrix_brings_the_scan_back(scan: tuple[Nifti1Image, PetTruth]) -> None:
    pet, truth = scan

    def error(pet_to_t1w: np.ndarray) -> float:
        target = truth.blurred_img
        matrix = np.linalg.inv(pet.affine) @ np.linalg.inv(pet_to_t1w) @ target.affine
        back = ndimage.affine_transform(
            _data(pet), matrix[:3, :3], matrix[:3, 3], target.shape, order=1
        )
        return float(np.abs(back - _data(target)).mean())

    right = error(truth.pet_to_t1w)
    assert right < 0.7 * error(np.eye(4))
    assert right < 0.5 * error(np.linalg.inv(truth.pet_to_t1w))


def test_noise_grows_as_the_root_of_the_activity(anatomy: Anatomy) -> None:
    def scan_of(noise: float) -> np.ndarray:
        img, _ = simulate_pet(
            anatomy.t1w_img, anatomy.structures_img, uptake_by_label(), noise=noise,
            tissue_imgs=anatomy.tissue_imgs, voxel_size=3.0,
        )  # fmt: skip
        return _data(img)

    clean = scan_of(0.0)
    residual = scan_of(0.05) - clean
    low, high = (clean > 4000) & (clean < 6000), clean > 13000
    ratio = residual[high].var() / residual[low].var()
    assert ratio == pytest.approx(clean[high].mean() / clean[low].mean(), rel=0.3)
    near = (clean > 11000) & (clean < 13000)
    assert residual[near].std() / 12000 == pytest.approx(0.05, rel=0.15)


def test_t1w_alone_tells_white_matter_from_fluid(
    anatomy: Anatomy, scan: tuple[Nifti1Image, PetTruth], atlas: Atlas
) -> None:
    _, truth = simulate_pet(anatomy.t1w_img, anatomy.labels_img, uptake_by_label(), seed=1)
    activity = _data(truth.activity_img) / 12000.0
    tissue = {name: _data(img) for name, img in anatomy.tissue_imgs.items()}
    unlabelled = _data(anatomy.labels_img) == 0
    white, fluid = (activity[(tissue[n] > 0.95) & unlabelled] for n in ("WM", "CSF"))
    assert np.median(white) == pytest.approx(0.58, abs=0.12)
    assert np.median(fluid) < 0.55
    both = [
        regional_suvr(each, anatomy.labels_img, atlas.indices,
                      reference_labels_img=anatomy.labels_img)[1]
        for each in (truth, scan[1])
    ]  # fmt: skip
    assert np.corrcoef(both[0], both[1])[0, 1] > 0.8


def test_same_seed_same_bytes(anatomy: Anatomy, scan: tuple[Nifti1Image, PetTruth]) -> None:
    again, _ = simulate_pet(
        anatomy.t1w_img, anatomy.structures_img, uptake_by_label(), voxel_size=3.0, seed=1,
        tissue_imgs=anatomy.tissue_imgs,
    )  # fmt: skip
    assert again.to_bytes() == scan[0].to_bytes()


def test_what_cannot_be_simulated_is_refused(anatomy: Anatomy) -> None:
    other = image(np.zeros((4, 4, 4), dtype=np.int32), np.eye(4))
    with pytest.raises(ValueError, match="labels_img must be on the grid of t1w_img"):
        simulate_pet(anatomy.t1w_img, other, {1: 1.0})
    with pytest.raises(ValueError, match="fwhm must be above 0 mm"):
        simulate_pet(anatomy.t1w_img, anatomy.labels_img, {17: 1.0}, fwhm=0.0)
    with pytest.raises(ValueError, match="non-negative; got -1"):
        simulate_pet(anatomy.t1w_img, anatomy.labels_img, {17: -1.0})
    with pytest.raises(ValueError, match="names none of them"):
        simulate_pet(anatomy.t1w_img, anatomy.labels_img, {99999: 1.0})
