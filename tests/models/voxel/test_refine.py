"""Refinement against planted structures: what the network got roughly right comes out right."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from brainnet.models.voxel.labels import load_labels
from brainnet.models.voxel.refine import refine

TABLE = load_labels("brain")
SHAPE = (40, 44, 40)
#: Labels of the phantom: background, white matter, cortex and ventricle of both sides.
NAMES = ["left cerebral white matter", "left cerebral cortex", "left lateral ventricle"]
CONTRASTS = {
    "T1w": (0.1, 0.85, 0.6, 0.2),
    "T2w": (0.1, 0.4, 0.6, 1.0),
    "inverted": (0.9, 0.2, 0.5, 0.8),
}


@pytest.fixture(scope="module")
def truth():
    """A folded brain ``SHAPE`` of channels of the posterior: 0, and left and right numbers."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    folds = 0.08 * np.sin(14 * np.arctan2(y, x)) * np.cos(9 * z)
    kind = np.select([radius < 0.25, radius < 0.62 + folds, radius < 0.8], [3, 1, 2], 0)
    return np.where(kind == 0, 0, np.where(x < 0, _channel("left", kind), _channel("right", kind)))


def _channel(side, kind):
    names = list(TABLE.regions["name"])
    channels = [0, *[1 + names.index(name.replace("left", side)) for name in NAMES]]
    return np.array(channels)[kind]


def _posterior(truth, blur):
    """What a network says that knows where everything is, but not exactly."""
    shares = np.stack([truth == k for k in range(1 + len(TABLE.regions))]).astype(np.float32)
    rough = np.stack([ndimage.gaussian_filter(each, blur) for each in shares])
    return torch.from_numpy(rough / rough.sum(axis=0))


def _image(truth, levels, *, noise=0.03, bias=0.0, seed=0):
    rng = np.random.default_rng(seed)
    values = np.zeros(1 + len(TABLE.regions))
    for side in ("left", "right"):
        values[_channel(side, np.arange(4))] = levels
    field = np.exp(bias * np.linspace(-1, 1, SHAPE[1]))[None, :, None]
    image = values[truth] * field + rng.normal(0, noise, SHAPE)
    return np.clip(image, 0, 1.2).astype(np.float32)


def _wrong(posterior, truth):
    """Share of the brain with another label; its outer border is not what is refined."""
    inside = ndimage.binary_erosion(truth > 0, iterations=4)
    return float((posterior.argmax(dim=0).numpy() != truth)[inside].mean())


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_finds_the_folds_that_the_network_missed(truth, contrast):
    posterior = _posterior(truth, 2.5)
    before = _wrong(posterior, truth)
    refined = refine(_image(truth, CONTRASTS[contrast]), posterior, TABLE)
    assert before > 0.05
    assert _wrong(refined, truth) < before / 3
    torch.testing.assert_close(refined.sum(dim=0), torch.ones(SHAPE), atol=1e-4, rtol=0)


def test_takes_a_bias_field_out(truth):
    posterior = _posterior(truth, 2.5)
    flat = refine(_image(truth, CONTRASTS["T1w"]), posterior, TABLE)
    tilted = refine(_image(truth, CONTRASTS["T1w"], bias=0.4), posterior, TABLE)
    assert _wrong(tilted, truth) < 2 * _wrong(flat, truth) + 0.01


def test_an_image_without_contrast_changes_little(truth):
    posterior = _posterior(truth, 1.0)
    refined = refine(_image(truth, (0.5,) * 4), posterior, TABLE)
    assert abs(_wrong(refined, truth) - _wrong(posterior, truth)) < 0.03


def test_sides_keep_their_shares(truth):
    posterior = _posterior(truth, 2.5)
    refined = refine(_image(truth, CONTRASTS["T1w"]), posterior, TABLE)
    left, right = _channel("left", np.arange(4))[1], _channel("right", np.arange(4))[1]
    there = (posterior[left] > 0.05) & (posterior[right] > 0.05) & (refined[left] > 1e-3)
    before = posterior[left] / (posterior[left] + posterior[right])
    after = refined[left] / (refined[left] + refined[right])
    assert int(there.sum()) > 100
    torch.testing.assert_close(after[there], before[there], atol=1e-3, rtol=0)


def test_both_sides_teach_each_other(truth):
    """A side of which the network knows little is found by the brightness of the other."""
    posterior = _posterior(truth, 2.5)
    vague = _posterior(truth, 5.0)
    mixed = torch.where(torch.arange(SHAPE[0])[:, None, None] < SHAPE[0] // 2, posterior, vague)
    image = _image(truth, CONTRASTS["T1w"])
    other = image.copy()
    other[: SHAPE[0] // 2] = 0.5  # the well-known side says nothing
    far = np.s_[SHAPE[0] // 2 + 2 :]
    with_twin = (refine(image, mixed, TABLE).argmax(dim=0).numpy() != truth)[far].mean()
    without = (refine(other, mixed, TABLE).argmax(dim=0).numpy() != truth)[far].mean()
    assert with_twin < without


def test_nothing_near_is_nothing_changed():
    posterior = torch.zeros(1 + len(TABLE.regions), 8, 8, 8)
    posterior[0] = 1
    assert refine(np.zeros((8, 8, 8), np.float32), posterior, TABLE) is posterior


def test_what_is_outside_is_the_networks_word(truth):
    posterior = _posterior(truth, 2.5)
    image = _image(truth, CONTRASTS["T1w"])
    image[truth == 0] = CONTRASTS["T1w"][2]  # a skull as bright as cortex
    refined = refine(image, posterior, TABLE)
    torch.testing.assert_close(refined[0], posterior[0], atol=1e-4, rtol=0)


def test_what_is_far_from_any_label_stays(truth):
    posterior = _posterior(truth, 1.0)
    refined = refine(_image(truth, CONTRASTS["T1w"]), posterior, TABLE)
    far = posterior[0] > 0.995
    assert bool(far.any())
    assert bool((refined[:, far] == posterior[:, far]).all())
