"""Brightness of tissues: known contrasts as known, unknown ones as anything."""

import pytest
import torch

from brainnet.models.voxel.contrast import CONTRASTS, TISSUE_OF, draw_contrast
from brainnet.models.voxel.labels import load_labels

TWIN_OF = load_labels("brain").twin_of


def _draws(contrast, n=40):
    return [
        draw_contrast(TWIN_OF, torch.Generator().manual_seed(seed), contrast=contrast)
        for seed in range(n)
    ]


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_known_contrasts_stay_in_their_ranges(contrast):
    means = torch.stack([mean for mean, _ in _draws(contrast)])
    for number, kind in TISSUE_OF.items():
        low, high = CONTRASTS[contrast][kind]
        drawn = means[:, number]
        assert low <= drawn.min() <= drawn.max() <= high, (number, kind)
        assert drawn.max() - drawn.min() > 0.5 * (high - low)


def test_every_contrast_has_every_kind_of_tissue():
    assert all(set(TISSUE_OF.values()) <= set(ranges) for ranges in CONTRASTS.values())
    assert all(low <= high for each in CONTRASTS.values() for low, high in each.values())


@pytest.mark.parametrize(
    ("contrast", "brighter", "darker"),
    [("T1w", 2, 3), ("T1w", 3, 24), ("T2w", 24, 3), ("T2w", 3, 2), ("FLAIR", 3, 2),
     ("FLAIR", 2, 24), ("CT", 515, 2), ("CT", 3, 2), ("PET", 3, 2)],
)  # fmt: skip
def test_tissues_are_in_the_order_that_radiologists_know(contrast, brighter, darker):
    assert sum(bool(mean[brighter] > mean[darker]) for mean, _ in _draws(contrast)) >= 38


@pytest.mark.parametrize("contrast", [None, "T1w", "CT"])
def test_both_sides_look_the_same(contrast):
    mean, spread = _draws(contrast, n=1)[0]
    for left, right in ((2, 41), (3, 42), (17, 53), (25, 57), (30, 62), (136, 163)):
        assert mean[left] == mean[right]
        assert spread[left] == spread[right]


def test_unknown_contrast_is_uniform_over_tissues():
    means = torch.stack([mean[[2, 3, 17, 24, 509]] for mean, _ in _draws(None, n=400)]).flatten()
    quarters = torch.histc(means, bins=4, min=0, max=1) / len(means)
    torch.testing.assert_close(quarters, torch.full((4,), 0.25), atol=0.04, rtol=0)


def test_air_is_black_in_three_images_of_four_and_always_in_ct():
    air = torch.tensor([float(mean[0]) for mean, _ in _draws("T1w", n=400)])
    assert 0.69 < float((air == 0).float().mean()) < 0.81
    assert float(air.max()) < 0.3
    assert all(mean[0] == 0 and spread[0] == 0 for mean, spread in _draws("CT"))


def test_refuses_a_contrast_that_there_is_not():
    with pytest.raises(ValueError, match=r"T1w, T2w.*got 'T1'"):
        draw_contrast(TWIN_OF, torch.Generator(), contrast="T1")
