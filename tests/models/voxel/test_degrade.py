"""What a scanner does, against closed forms."""

import math

import pytest
import torch

from brainnet.models.voxel.degrade import acquire, bias_field, blur, smooth_noise


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _point(size=25):
    image = torch.zeros(size, size, size)
    image[size // 2, size // 2, size // 2] = 1
    return image


@pytest.mark.parametrize("fwhm", [2.0, 3.0, 5.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_blur_has_the_width_that_was_asked_for(axis, fwhm):
    widths = [0.0, 0.0, 0.0]
    widths[axis] = fwhm
    blurred = blur(_point(), tuple(widths))
    line = blurred.movedim(axis, 0)[:, 12, 12]
    distance = torch.arange(25.0) - 12
    variance = float((line * distance**2).sum() / line.sum())
    # 2 sqrt(2 ln 2) standard deviations; the kernel ends at 2.5 of them, which takes some away
    assert math.sqrt(8 * math.log(2) * variance) == pytest.approx(fwhm, rel=0.06)
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-5)
    others = blurred.movedim(axis, 0).sum(0)
    assert float(others[12, 12]) == pytest.approx(1, abs=1e-5)  # nothing goes along other axes


def test_blur_below_a_third_of_a_voxel_does_nothing():
    assert torch.equal(blur(_point(), (0.29, 0.0, 0.2)), _point())


def test_bias_is_positive_smooth_and_as_strong_as_asked():
    fields = [bias_field((20, 22, 24), 0.4, _generator(seed)).log() for seed in range(60)]
    assert all(bool(each.exp().gt(0).all()) for each in fields)
    # between nodes the variance of interpolated noise falls, to an eighth of it at worst
    spread = torch.stack([each[0, 0, 0] for each in fields]).std()
    assert float(spread) == pytest.approx(0.4, rel=0.3)
    steps = torch.stack([each.diff(dim=0).abs().max() for each in fields])
    assert float(steps.max()) < 0.5  # of 20 voxels, between 2 and 5 nodes
    assert bool((bias_field((8, 8, 8), 0.0, _generator()) == 1).all())


def test_smooth_noise_goes_through_its_nodes():
    field = smooth_noise((9, 9, 9), (3, 3, 3), _generator())
    nodes = torch.randn((3, 3, 3), generator=_generator())
    torch.testing.assert_close(field[::4, ::4, ::4], nodes)
    torch.testing.assert_close(field[2, 0, 0], (nodes[0, 0, 0] + nodes[1, 0, 0]) / 2)


def test_scanning_on_the_same_grid_without_noise_changes_nothing():
    image = torch.rand((10, 11, 12), generator=_generator())
    assert torch.equal(acquire(image, (1.0, 1.0, 1.0), 0.0, _generator()), image)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices_blur_along_their_axis_only(axis):
    stripes = torch.arange(24).remainder(4).lt(2).float()  # period of 4 voxels
    spacing = [1.0, 1.0, 1.0]
    spacing[axis] = 4.0
    shapes = [[24 if each == along else 1 for each in range(3)] for along in range(3)]
    for along in range(3):
        image = stripes.reshape(shapes[along]).expand(24, 24, 24).clone()
        scanned = acquire(image, tuple(spacing), 0.0, _generator())
        left = float(scanned[6:18, 6:18, 6:18].std() / image.std())
        assert left < 0.1 if along == axis else left > 0.9


def test_noise_is_rician():
    air, tissue, sigma = torch.zeros(30, 30, 30), torch.full((30, 30, 30), 0.8), 0.05
    dark = acquire(air, (1.0, 1.0, 1.0), sigma, _generator())
    assert float(dark.min()) >= 0
    assert float(dark.mean()) == pytest.approx(sigma * math.sqrt(math.pi / 2), rel=0.01)
    bright = acquire(tissue, (1.0, 1.0, 1.0), sigma, _generator())
    assert float(bright.std()) == pytest.approx(sigma, rel=0.02)
    assert float((bright**2).mean()) == pytest.approx(0.8**2 + 2 * sigma**2, rel=0.005)


def test_noise_of_coarse_voxels_is_coarse():
    noise = acquire(torch.zeros(24, 24, 24), (1.0, 1.0, 4.0), 0.1, _generator())
    neighbours = [float((noise.diff(dim=axis) ** 2).mean()) for axis in range(3)]
    assert neighbours[2] < 0.3 * min(neighbours[:2])
