"""Any image to [0, 1]."""

import pytest
import torch

from brainnet.models.voxel.normalise import normalise


def test_two_quantiles_become_zero_and_one():
    image = torch.arange(1001.0)
    scaled = normalise(image, low=0.1, high=0.9)
    assert scaled[100] == 0
    assert scaled[900] == 1
    assert float(scaled[500]) == pytest.approx(0.5)
    assert (scaled.min(), scaled.max()) == (0, 1)


def test_unit_and_offset_of_the_image_do_not_matter():
    image = torch.randn((20, 20, 20), generator=torch.Generator().manual_seed(0))
    for unit, offset in ((1e-6, 0.0), (4000.0, -1024.0), (2.0, 7.0)):
        torch.testing.assert_close(
            normalise(image * unit + offset), normalise(image), atol=1e-5, rtol=0
        )


def test_large_images_are_sampled_and_agree_with_small_ones():
    image = torch.rand((80, 80, 80), generator=torch.Generator().manual_seed(0))
    whole = torch.sort(image.flatten()).values
    low, high = whole[int(0.005 * len(whole))], whole[int(0.995 * len(whole))]
    torch.testing.assert_close(
        normalise(image), ((image - low) / (high - low)).clamp(0, 1), atol=2e-3, rtol=0
    )


@pytest.mark.parametrize("dtype", [torch.int16, torch.uint8, torch.float64, torch.bfloat16])
def test_gives_float32_of_any_type(dtype):
    scaled = normalise(torch.arange(100).to(dtype).reshape(4, 5, 5))
    assert scaled.dtype == torch.float32
    assert scaled.shape == (4, 5, 5)


def test_an_image_without_contrast_is_black():
    assert not normalise(torch.full((5, 5, 5), 7.0)).any()
    speck = torch.zeros(50, 50, 50)
    speck[3, 3, 3] = 1
    assert not normalise(speck).any()


def test_the_input_is_left_alone():
    image = torch.arange(100.0)
    normalise(image)
    assert torch.equal(image, torch.arange(100.0))
