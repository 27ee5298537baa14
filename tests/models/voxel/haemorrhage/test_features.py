"""Features of lesions against planted densities, shapes and pockets."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nibabel.nifti1 import Nifti1Image

from brainnet.models.voxel.haemorrhage import features
from brainnet.models.voxel.haemorrhage.features import (
    has_radiomics,
    lesion_features,
    network_features,
    scan_features,
)
from brainnet.models.voxel.labels import load_labels
from brainnet.models.voxel.segment import Segmenter
from tests.models.voxel.haemorrhage import made_readings as made


def scan(spacing=(1.0, 1.0, 1.0), *, dark=0.0, settled=0.0, noise=0.0, flip=False):
    """A ball of 14.1 ml at 70 HU in a brain of 35, and one of 0.9 ml 24 mm behind it."""
    shape = [int(90 / each) for each in spacing]
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    big, small = x**2 + y**2 + z**2 <= 15**2, x**2 + (y + 24) ** 2 + z**2 <= 6**2
    units = np.full(shape, 35.0)
    units[big | small] = 70
    units[big & ((x - 3) ** 2 + y**2 + z**2 <= dark**2)] = 45
    units[big & (y < 0)] += settled
    units += noise * np.random.default_rng(0).standard_normal(shape)
    labels = np.where(x < 0, 1, 2).astype(np.int16)
    labels[big | small] = 11
    lesions = (big + 2 * small).astype(np.int16)
    affine = np.diag([*spacing, 1.0])
    imgs = [Nifti1Image(each, affine) for each in (units.astype(np.float32), labels, lesions)]
    if flip:
        imgs = [each.as_reoriented([[0, 1], [1, -1], [2, 1]]) for each in imgs]
    return SimpleNamespace(
        img=imgs[0], labels_img=imgs[1], lesions_img=imgs[2],
        findings=made.measured(labels, lesions, affine),
    )  # fmt: skip


def own(**kind):
    return lesion_features(scan(**kind), radiomics=False)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 1.0), (1.0, 1.0, 3.0)])
def test_size_density_and_shape_of_a_ball_on_any_grid(spacing):
    table = own(spacing=spacing)
    assert table["volume_ml"].tolist() == pytest.approx([14.14, 0.905], rel=0.1)
    assert table.loc[1, "volume_ml"] == pytest.approx(14.14, rel=0.03)
    assert table.loc[1, "mean_hu"] == pytest.approx(70, abs=1.5)
    assert table.loc[1, "irregularity"] < 0.1
    assert table["satellites"].tolist() == [1, 0]
    assert table["kind"].tolist() == ["intraparenchymal"] * 2


def test_noise_is_no_heterogeneity_and_a_pocket_is():
    even, noisy, pocket = own(), own(noise=6.0), own(dark=6.5)
    assert even.loc[1, "heterogeneity_hu"] < 0.5
    assert noisy.loc[1, "sd_hu"] == pytest.approx(6, rel=0.2)
    assert noisy.loc[1, "heterogeneity_hu"] < 1.5
    assert pocket.loc[1, "heterogeneity_hu"] > 4
    assert even.loc[1, "dark_share"] == noisy.loc[1, "dark_share"] == 0
    # the pocket is 6.5^3 of an inside of 13^3, less the edge that smoothing takes
    assert 0.4 < pocket.loc[1, "dark_share"] / (6.5 / 13) ** 3 < 1


@pytest.mark.parametrize("flip", [False, True])
def test_a_fluid_level_is_dense_behind_however_the_image_is_stored(flip):
    row = own(settled=20.0, flip=flip).loc[1]
    assert row["level_hu"] == pytest.approx(20, rel=0.15)
    assert row["level_share"] > 0.85
    assert own(noise=6.0).loc[1, "level_share"] < 0.3


def test_a_scan_has_the_features_of_its_largest_lesion_and_of_the_findings():
    read = scan()
    read.findings["midline_shift"]["mm"] = None
    series = scan_features(read, radiomics=False)
    assert series["lesion_volume_ml"] == pytest.approx(14.14, rel=0.03)
    assert series["intraparenchymal_ml"] == pytest.approx(15.04, rel=0.03)
    assert series["n_lesions"] == 2
    assert series["deep"] == 1
    assert np.isnan(series["midline_shift_mm"])
    assert series.dtype == np.float64


def test_a_scan_without_haemorrhage_has_the_same_columns_of_findings():
    read = scan()
    nothing = np.zeros(read.lesions_img.shape, dtype=np.int16)
    empty = SimpleNamespace(
        img=read.img, labels_img=Nifti1Image(nothing + np.int16(1), np.eye(4)),
        lesions_img=Nifti1Image(nothing, np.eye(4)),
        findings=made.measured(nothing, nothing, np.eye(4)),
    )  # fmt: skip
    assert lesion_features(empty, radiomics=False).empty
    series = scan_features(empty, radiomics=False)
    assert series["lesion_volume_ml"] == series["n_lesions"] == series["total_ml"] == 0


def test_without_the_extra_it_is_said_what_is_left_out(monkeypatch):
    monkeypatch.setattr(features, "find_spec", lambda name: None)
    table = lesion_features(scan())
    assert "ibsi" not in " ".join(table.columns)
    assert "brainnet[radiomics]" in table.attrs["left_out"][0]
    with pytest.raises(ValueError, match="radiomics must be False"):
        lesion_features(scan(), radiomics=True)


@pytest.mark.skipif(not has_radiomics(), reason="the extra 'radiomics' is not installed")
def test_radiomics_of_a_ball_by_closed_forms():
    table = lesion_features(scan(dark=6.5), radiomics=True)
    row = table.loc[1]
    assert row["ibsi_morph_vol_approx"] == pytest.approx(14137, rel=0.02)
    assert row["ibsi_morph_sphericity"] == pytest.approx(1, abs=0.1)
    assert row["ibsi_morph_diam"] == pytest.approx(30, abs=1.5)
    assert row["ibsi_stat_max"] == pytest.approx(70, abs=0.1)
    assert sum(name.startswith("ibsi_cm_") for name in table.columns) > 15
    assert table.attrs["left_out"] == []


class Pooling(torch.nn.Module):
    """A network whose bottleneck holds the mean brightness of cells of 4 mm, and its negative."""

    def __init__(self):
        super().__init__()
        self.bottleneck = torch.nn.Identity()

    def forward(self, image):
        cells = torch.nn.functional.avg_pool3d(image, 2)
        return self.bottleneck(torch.cat([cells, -cells], dim=1))


def test_features_of_the_network_are_those_of_the_cells_that_a_lesion_fills():
    segmenter = Segmenter(Pooling(), load_labels("haemorrhage"), {"voxel_size": 2.0})
    table = network_features(scan(), segmenter)
    brain, blood = 0.1 + 0.7 * 0.45, 0.1 + 0.7 * 0.8  # brightness of 35 and 70 HU
    assert table.shape == (2, 4)
    assert table.loc[1, "network_max_000"] == pytest.approx(blood, abs=0.005)
    assert blood - 0.06 < table.loc[1, "network_mean_000"] < blood
    assert table.loc[1, "network_mean_001"] == -table.loc[1, "network_mean_000"]
    assert brain < table.loc[2, "network_mean_000"] < table.loc[1, "network_mean_000"]
    joined = lesion_features(scan(), segmenter=segmenter, radiomics=False)
    assert joined.loc[2, "network_mean_000"] == table.loc[2, "network_mean_000"]
    assert not segmenter.network.bottleneck._forward_hooks


def test_a_network_without_a_bottleneck_is_refused():
    segmenter = Segmenter(torch.nn.Identity(), load_labels("haemorrhage"), {"voxel_size": 2.0})
    with pytest.raises(ValueError, match="bottleneck"):
        network_features(scan(), segmenter)
