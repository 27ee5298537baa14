"""A simulated run gives back what was planted in it."""

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from brainnet.atlas import Atlas
from brainnet.simulate.anatomy import Anatomy
from brainnet.simulate.bold import BoldTruth, simulate_bold
from brainnet.simulate.connectome import plant_network


@pytest.fixture(scope="module")
def run(anatomy: Anatomy, atlas: Atlas) -> tuple[Nifti1Image, BoldTruth]:
    network = plant_network(atlas, seed=1)
    return simulate_bold(anatomy, network, atlas.indices, n_timepoints=150, seed=1)


def _to_t1w(
    img: Nifti1Image, truth: BoldTruth, anatomy: Anatomy, t: int, order: int = 1
) -> np.ndarray:
    """Volume on the T1w grid by the planted truth alone."""
    pull = truth.motion[t] @ np.linalg.inv(truth.boldref_to_t1w)
    matrix = np.linalg.inv(img.affine) @ pull @ anatomy.t1w_img.affine
    data = np.asanyarray(img.dataobj)[..., t].astype(float)
    shape = anatomy.t1w_img.shape
    return ndimage.affine_transform(data, matrix[:3, :3], matrix[:3, 3], shape, order=order)


def test_motion_is_rigid_small_and_starts_at_rest(run: tuple[Nifti1Image, BoldTruth]) -> None:
    motion = run[1].motion
    np.testing.assert_allclose(motion[0], np.eye(4), atol=1e-12)
    turn = motion[:, :3, :3]
    unit = np.tile(np.eye(3), (150, 1, 1))
    np.testing.assert_allclose(turn @ turn.transpose(0, 2, 1), unit, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turn), 1.0)
    angle = np.degrees(np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert 0.2 < angle.max() < 4.0
    steps = np.linalg.norm(np.diff(motion[:, :3, 3], axis=0), axis=1)
    assert steps.max() > 5 * np.median(steps)  # a sudden move


def test_undoing_the_planted_motion_stills_the_head(anatomy: Anatomy, atlas: Atlas) -> None:
    network = plant_network(atlas)
    img, truth = simulate_bold(
        anatomy, network, atlas.indices, n_timepoints=60, tsnr=1000.0, seed=1
    )
    brain = ndimage.binary_erosion(np.asanyarray(anatomy.t1w_img.dataobj) > 0)
    edge = brain & ~ndimage.binary_erosion(brain, iterations=2)
    still = BoldTruth(**{**vars(truth), "motion": np.tile(np.eye(4), (60, 1, 1))})
    wrong = BoldTruth(**{**vars(truth), "motion": np.linalg.inv(truth.motion)})
    times = range(0, 60, 6)
    spread = [
        np.std([_to_t1w(img, each, anatomy, t, order=3)[edge] for t in times], axis=0)
        for each in (truth, still, wrong)
    ]
    moving = spread[1] > np.percentile(spread[1], 90)  # elsewhere the signals are what varies
    spread = [each[moving].mean() for each in spread]
    assert spread[0] < 0.6 * spread[1]
    assert spread[1] < spread[2]  # the other direction doubles the motion


def test_coregistration_matrix_puts_bold_on_the_t1w(
    run: tuple[Nifti1Image, BoldTruth], anatomy: Anatomy
) -> None:
    img, truth = run
    brain = np.asanyarray(anatomy.t1w_img.dataobj) > 0

    def dice(matrix: np.ndarray) -> float:
        changed = BoldTruth(**{**vars(truth), "boldref_to_t1w": matrix})
        seen = _to_t1w(img, changed, anatomy, 0) > 400
        return float(2 * (seen & brain).sum() / (seen.sum() + brain.sum()))

    right = dice(truth.boldref_to_t1w)
    assert right > 0.95
    assert right > dice(np.eye(4)) + 0.01
    assert right > dice(np.linalg.inv(truth.boldref_to_t1w)) + 0.02


def test_regional_means_give_back_the_network(
    run: tuple[Nifti1Image, BoldTruth], anatomy: Anatomy, atlas: Atlas
) -> None:
    img, truth = run
    labels = np.asanyarray(anatomy.labels_img.dataobj)
    tissue = {n: np.asanyarray(each.dataobj) for n, each in anatomy.tissue_imgs.items()}
    deep = ndimage.binary_erosion(tissue["WM"] > 0.9)
    volumes = [_to_t1w(img, truth, anatomy, t) for t in range(150)]
    series = np.array([ndimage.mean(each, labels, atlas.indices) for each in volumes])
    nuisance = np.array([(v[deep].mean(), v[tissue["CSF"] > 0.9].mean()) for v in volumes])
    trend = np.vander(np.linspace(-1, 1, 150), 3)
    design = np.hstack([nuisance, trend])
    clean = series - design @ np.linalg.lstsq(design, series, rcond=None)[0]
    upper = np.triu_indices(atlas.n_regions, 1)
    found = np.corrcoef(clean.T)[upper]
    assert np.corrcoef(found, truth.realised[upper])[0, 1] > 0.9
    assert np.corrcoef(found, truth.planted[upper])[0, 1] > 0.75
    own = [np.corrcoef(clean[:, k], truth.timeseries[:, k])[0, 1] for k in range(84)]
    assert np.median(own) > 0.85
    shuffled = np.corrcoef(found, np.random.default_rng(0).permutation(truth.realised[upper]))
    assert abs(shuffled[0, 1]) < 0.1


def test_image_is_a_plausible_scan(run: tuple[Nifti1Image, BoldTruth]) -> None:
    img, _ = run
    data = np.asanyarray(img.dataobj)
    assert data.dtype == np.int16
    assert img.header.get_zooms() == (4.0, 4.0, 4.0, 2.0)
    assert img.header.get_xyzt_units() == ("mm", "sec")
    assert (data > 0).mean() > 0.95  # noise outside the head, as scanners leave it
    assert 800 < np.percentile(data[data > 300], 50) < 1100


def test_same_seed_same_bytes(anatomy: Anatomy, atlas: Atlas) -> None:
    network = plant_network(atlas, seed=1)
    one, two, other = (
        simulate_bold(anatomy, network, atlas.indices, n_timepoints=20, seed=seed)[0].to_bytes()
        for seed in (1, 1, 2)
    )
    assert one == two
    assert one != other


def test_what_cannot_be_scanned_is_refused(anatomy: Anatomy, atlas: Atlas) -> None:
    network = plant_network(atlas)
    with pytest.raises(ValueError, match=r"at least the 3\.0 mm of the anatomy; got 2"):
        simulate_bold(anatomy, network, atlas.indices, voxel_size=2.0)
    with pytest.raises(ValueError, match="n_timepoints must be at least 10"):
        simulate_bold(anatomy, network, atlas.indices, n_timepoints=5)
    with pytest.raises(ValueError, match="indices must name the 84 regions"):
        simulate_bold(anatomy, network, atlas.indices[:5])
