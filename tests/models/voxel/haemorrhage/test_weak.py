"""Slices that are said to show a bleed teach where it is."""

import math

import pytest
import torch
from torch import nn

from brainnet.models.voxel.haemorrhage.weak import pooled, slice_loss

N_SLICES, SIZE = 8, 20


def _numbers(shape=(SIZE, SIZE, N_SLICES)):
    return (torch.arange(shape[2]) + 1).expand(shape).contiguous()


def _volume(seed, share=0.5):
    """Return an image, where its bleeds are, and a label a slice.

    Bleeds are bright. So is a bar, brighter even, in every slice, and grain.
    """
    draw = torch.Generator().manual_seed(seed)
    image = 0.15 * torch.randn((SIZE, SIZE, N_SLICES), generator=draw)
    image[2, 3:17] += 3.0  # a bar like the falx: in slices with a bleed and without
    truth = torch.zeros(image.shape, dtype=torch.bool)
    shown = torch.rand(N_SLICES, generator=draw) < share
    for number in shown.nonzero().flatten().tolist():
        x, y = torch.randint(6, SIZE - 5, (2,), generator=draw).tolist()
        truth[x : x + 4, y : y + 4, number] = True
    image[truth] += 1.0
    return image, truth, shown.float()


def _network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv3d(1, 8, (3, 3, 1), padding=(1, 1, 0)), nn.ReLU(),
            nn.Conv3d(8, 8, (3, 3, 1), padding=(1, 1, 0)), nn.ReLU(), nn.Conv3d(8, 1, 1),
        )  # fmt: skip


def _trained(labels_of):
    network = _network()
    descent = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step in range(150):
        image, _, shown = _volume(step)
        probability = network(image[None, None])[0].sigmoid()
        descent.zero_grad()
        slice_loss(probability, _numbers(), labels_of(shown, step)[:, None], top=6).backward()
        descent.step()
    return network


def _hits(network):
    """Return how often the likeliest voxel of a slice with a bleed lies in it, unseen volumes."""
    hits = []
    with torch.no_grad():
        for seed in range(9000, 9010):
            image, truth, shown = _volume(seed)
            found = network(image[None, None])[0, 0]
            for number in shown.nonzero().flatten().tolist():
                at = int(found[..., number].argmax())
                hits.append(bool(truth[..., number].flatten()[at]))
    return sum(hits) / len(hits)


def _gap(network):
    """Return how much surer it is of slices with a bleed than of those without."""
    sure = {True: [], False: []}
    with torch.no_grad():
        for seed in range(9000, 9010):
            image, _, shown = _volume(seed)
            _, mean = pooled(network(image[None, None])[0].sigmoid(), _numbers(), top=6)
            for each, label in zip(mean[:, 0].tolist(), shown.tolist(), strict=True):
                sure[label > 0].append(each)
    return sum(sure[True]) / len(sure[True]) - sum(sure[False]) / len(sure[False])


def test_learns_where_a_bleed_is_from_slices_that_show_one():
    network = _trained(lambda shown, _: shown)
    assert _hits(network) > 0.9
    image, truth, _ = _volume(9100)
    with torch.no_grad():
        probability = network(image[None, None])[0, 0].sigmoid()
    assert probability[2, 3:17].mean() < 0.5  # brighter than a bleed, and none
    assert probability[truth].mean() > 0.8
    assert probability[truth].mean() > 5 * probability[~truth].mean()
    assert _gap(network) > 0.5


def test_labels_that_have_nothing_to_do_with_the_slices_teach_nothing():
    def by_chance(shown, step):
        draw = torch.Generator().manual_seed(step + 500)
        return shown[torch.randperm(N_SLICES, generator=draw)]

    assert abs(_gap(_trained(by_chance))) < 0.2


def test_a_slice_is_as_sure_as_its_likeliest_voxels():
    probability = torch.zeros(2, 4, 4, 3)
    probability[0, :2, 0, 1] = 0.8
    probability[1, 0, 0, 2] = 1.0
    numbers, mean = pooled(probability, _numbers((4, 4, 3)), top=4)
    assert numbers.tolist() == [1, 2, 3]
    assert torch.allclose(mean, torch.tensor([[0.0, 0.0], [0.4, 0.0], [0.0, 0.25]]))
    with pytest.raises(ValueError, match="top must be 1 or more; got 0"):
        pooled(probability, _numbers((4, 4, 3)), top=0)


def test_voxels_outside_every_slice_and_unknown_labels_teach_nothing():
    probability = torch.full((2, 4, 4, 3), 0.3, requires_grad=True)
    slices = _numbers((4, 4, 3)).clone()
    slices[0] = 0
    labels = torch.tensor([[1.0, math.nan], [math.nan, math.nan], [0.0, math.nan]])
    loss = slice_loss(probability, slices, labels, top=16)
    assert loss.item() == pytest.approx(-(math.log(0.3) + math.log(0.7)) / 2, abs=1e-5)
    loss.backward()
    assert (probability.grad[:, 0] == 0).all()
    assert (probability.grad[1] == 0).all()
    assert (probability.grad[..., 1] == 0).all()
    assert (probability.grad[0, 1:, :, 0] < 0).all()
    assert (probability.grad[0, 1:, :, 2] > 0).all()


def test_without_a_known_label_there_is_nothing_to_lose():
    probability = torch.full((1, 2, 2, 2), 0.3, requires_grad=True)
    for slices in (torch.zeros(2, 2, 2, dtype=torch.int64), _numbers((2, 2, 2))):
        loss = slice_loss(probability, slices, torch.full((2, 1), math.nan), top=1)
        assert loss.item() == 0
    sure = slice_loss(torch.ones(1, 2, 2, 2), _numbers((2, 2, 2)), torch.zeros(2, 1), top=1)
    assert torch.isfinite(sure)
