"""Simulated brains: consistent with their own truth."""

import numpy as np
import pytest
from scipy import ndimage

from brainnet.atlas import Atlas
from brainnet.simulate.anatomy import Anatomy, simulate_anatomy, smooth_field


def _data(img: object) -> np.ndarray:
    return np.asanyarray(img.dataobj)  # type: ignore[attr-defined]


def test_tissue_sums_to_one_in_the_brain_and_t1w_is_zero_outside(anatomy: Anatomy) -> None:
    total = sum(_data(img) for img in anatomy.tissue_imgs.values())
    brain = total > 0
    np.testing.assert_allclose(total[brain], 1.0, atol=1e-5)
    t1w = _data(anatomy.t1w_img)
    assert np.all(t1w[~brain] == 0)
    assert np.all(t1w[brain] > 0)
    assert not _data(anatomy.labels_img)[~brain].any()


def test_volumes_are_those_of_a_brain(anatomy: Anatomy) -> None:
    litre = {name: _data(img).sum() * 27e-6 for name, img in anatomy.tissue_imgs.items()}
    assert 0.7 < litre["GM"] < 1.2
    assert 0.4 < litre["WM"] < 0.8
    assert 0.08 < litre["CSF"] < 0.4


def test_t1w_contrast_is_that_of_a_t1w(anatomy: Anatomy) -> None:
    t1w = _data(anatomy.t1w_img)
    mean = {n: t1w[_data(img) > 0.9].mean() for n, img in anatomy.tissue_imgs.items()}
    assert mean["CSF"] < 0.6 * mean["GM"] < 0.5 * mean["WM"]


def test_every_region_is_there_and_its_volume_is_grey_matter_in_its_label(
    anatomy: Anatomy, atlas: Atlas
) -> None:
    assert anatomy.volumes["name"].tolist() == atlas.names
    assert (anatomy.volumes["volume"] > 0.05).all()
    label = int(atlas.indices[5])
    inside = _data(anatomy.labels_img) == label
    expected = _data(anatomy.tissue_imgs["GM"])[inside].sum() * 0.027
    assert anatomy.volumes["volume"][5] == pytest.approx(expected, rel=1e-4)


def test_displacement_pulls_the_atlas_onto_the_labels(anatomy: Anatomy, atlas: Atlas) -> None:
    shape, affine = anatomy.labels_img.shape, anatomy.labels_img.affine
    world = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    points = world + _data(anatomy.displacement_img)[:, :, :, 0] * [-1, -1, 1]  # LPS
    inverse = np.linalg.inv(atlas.labels_img.affine)
    index = np.moveaxis(points @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
    pulled = ndimage.map_coordinates(_data(atlas.labels_img), index, order=0)
    labels = _data(anatomy.labels_img)
    assert np.mean(pulled[labels > 0] == labels[labels > 0]) > 0.99


def test_deformation_folds_nowhere_and_differs_between_subjects(
    anatomy: Anatomy, atlas: Atlas
) -> None:
    field = _data(anatomy.displacement_img)[:, :, :, 0] * [-1, -1, 1] / 3.0
    gradient = np.stack([np.stack(np.gradient(field[..., k]), -1) for k in range(3)], -2)
    assert np.linalg.det(gradient + np.eye(3)).min() > 0.1
    other = simulate_anatomy(atlas, resolution=3.0, seed=2)
    difference = _data(other.displacement_img) - _data(anatomy.displacement_img)
    assert 1.0 < np.abs(difference).mean() < 15.0


def test_atrophy_grows_with_the_stage_and_where_the_table_says(atlas: Atlas) -> None:
    volumes = np.array(
        [
            simulate_anatomy(atlas, stage=stage, resolution=3.0, seed=4).volumes["volume"]
            for stage in ("CN", "EMCI", "LMCI", "AD")
        ]
    )
    assert np.all(np.diff(volumes, axis=0) <= 1e-6)
    loss = 1.0 - volumes[-1] / volumes[0]
    names = atlas.names
    hippocampus = loss[[k for k, name in enumerate(names) if "Hippocampus" in name]]
    spared = loss[[k for k, name in enumerate(names) if "precentral" in name]]
    assert np.all((hippocampus > 0.15) & (hippocampus < 0.4))
    assert np.all(spared < 0.03)


def test_same_seed_same_bytes_and_resolution_keeps_the_subject(
    anatomy: Anatomy, atlas: Atlas
) -> None:
    again = simulate_anatomy(atlas, resolution=3.0, seed=1)
    assert again.t1w_img.to_bytes() == anatomy.t1w_img.to_bytes()
    finer = simulate_anatomy(atlas, resolution=2.0, seed=1)
    both = np.corrcoef(finer.volumes["volume"], anatomy.volumes["volume"])[0, 1]
    assert both > 0.995


def test_resolution_out_of_range_is_refused(atlas: Atlas) -> None:
    with pytest.raises(ValueError, match=r"resolution must be within 0\.8 to 4 mm; got 10"):
        simulate_anatomy(atlas, resolution=10.0)


def test_smooth_field_is_as_smooth_as_asked() -> None:
    field = smooth_field((60, 60, 60), 2.0, 8.0, np.random.default_rng(0))
    lag = np.corrcoef(field[:-4].ravel(), field[4:].ravel())[0, 1]  # 8 mm: exp(-1/4)
    assert lag == pytest.approx(np.exp(-0.25), abs=0.05)
    assert field.std() == pytest.approx(1.0)
