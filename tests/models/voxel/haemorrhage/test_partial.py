"""The loss of partly known voxels against closed forms, and what it must not teach."""

import math

import pytest
import torch
from monai.losses import DiceLoss
from torch.nn import functional

from brainnet.models.voxel.haemorrhage.partial import partial_loss

SHAPE = (3, 4, 5)
#: Six structures: background, brain, fluid, three kinds of blood.
BLOOD, REST = [0.0, 0, 0, 1, 1, 1], [1.0, 1, 1, 0, 0, 0]


def _logits(seed=0):
    made = torch.randn((1, 6, *SHAPE), generator=torch.Generator().manual_seed(seed))
    return made.double().requires_grad_()


def _shares(n_sets, seed=1):
    made = torch.rand((1, n_sets, *SHAPE), generator=torch.Generator().manual_seed(seed))
    return made.double().softmax(dim=1)


def test_of_sets_of_one_it_is_cross_entropy_and_dice():
    logits, shares = _logits(), _shares(6)
    found = partial_loss(logits, torch.eye(6)[None], shares)
    dice = DiceLoss(softmax=True, include_background=False)(logits, shares)
    expected = functional.cross_entropy(logits, shares) + dice
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)


def test_of_two_sets_it_is_the_loss_of_two_classes():
    logits, shares = _logits(), _shares(2)
    found = partial_loss(logits, torch.tensor([[REST, BLOOD]]), shares)
    p = logits.softmax(dim=1)
    rest, blood = p[:, :3].sum(dim=1), p[:, 3:].sum(dim=1)
    entropy = -(shares[:, 0] * rest.log() + shares[:, 1] * blood.log()).mean()
    dice = 1 - 2 * (blood * shares[:, 1]).sum() / (blood + shares[:, 1]).sum()
    assert found.item() == pytest.approx((entropy + dice).item(), abs=1e-5)


def test_no_gradient_along_what_is_not_known():
    """Probability moved from one kind of blood to another, their sum kept, costs nothing."""
    logits, shares = _logits(), _shares(2)
    partial_loss(logits, torch.tensor([[REST, BLOOD]]), shares).backward()
    p = logits.detach().softmax(dim=1)
    for first, second in ((3, 4), (4, 5), (0, 1), (1, 2)):
        slope = logits.grad[:, first] / p[:, first] - logits.grad[:, second] / p[:, second]
        assert slope.abs().max() < 1e-6
    across = logits.grad[:, 2] / p[:, 2] - logits.grad[:, 3] / p[:, 3]
    assert across.abs().min() > 1e-4  # whether it is blood is known


def test_a_voxel_of_which_nothing_is_known_gets_no_gradient():
    logits, shares = _logits(), _shares(2).clone()
    shares[..., 0] = 0.0  # outside the scan
    everything = torch.ones(1, 1, 6)
    sets = torch.cat([torch.tensor([[REST, BLOOD]]), everything], dim=1)
    all_shares = torch.cat([shares, torch.zeros(1, 1, *SHAPE).double()], dim=1)
    all_shares[:, 2, :, 0] = 1.0  # nobody looked
    all_shares[:, :2, :, 0] = 0.0
    partial_loss(logits, sets, all_shares).backward()
    assert (logits.grad[..., 0] == 0).all()
    assert (logits.grad[:, :, :, 0] == 0).all()
    assert (logits.grad[:, :, :, 1:, 1:] != 0).all()


def test_where_nothing_is_known_it_is_nothing():
    logits = _logits()
    for sets in (torch.ones(1, 1, 6), torch.tensor([[BLOOD]])):
        loss = partial_loss(logits, sets, torch.zeros(1, 1, *SHAPE))
        assert loss.item() == 0
        loss.backward()
    assert (logits.grad == 0).all()


def test_a_kind_is_not_told_by_voxels_that_may_be_it():
    """Dice of one kind leaves out voxels that are one of two kinds."""
    first, either = [0.0, 0, 0, 1, 0, 0], [0.0, 0, 0, 1, 1, 0]
    shares = torch.zeros(1, 3, 1, 1, 3)
    shares[0, 0, ..., 0] = shares[0, 1, ..., 1] = shares[0, 2, ..., 2] = 1
    logits = torch.zeros(1, 6, 1, 1, 3)
    found = partial_loss(logits, torch.tensor([[first, either, REST]]), shares)
    entropy = (math.log(6) + math.log(3) + math.log(2)) / 3
    # 1/6 each: of one kind in the outer two voxels, of either kind 1/3 in all three
    dice_first = 1 - 2 * (1 / 6) / (2 / 6 + 1)
    dice_either = 1 - 2 * (2 / 3) / (3 / 3 + 2)
    assert found.item() == pytest.approx(entropy + (dice_first + dice_either) / 2, abs=1e-4)


def test_training_on_masks_of_unknown_kind_keeps_what_the_network_knew_of_kinds():
    logits = _logits(3)
    before = logits.detach().softmax(dim=1)[:, 3:]
    before = before / before.sum(dim=1, keepdim=True)
    shares = torch.stack([torch.zeros(1, *SHAPE), torch.ones(1, *SHAPE)], dim=1)
    descent = torch.optim.SGD([logits], lr=0.05)
    for _ in range(20):
        descent.zero_grad()
        partial_loss(logits, torch.tensor([[REST, BLOOD]]), shares).backward()
        descent.step()
    after = logits.detach().softmax(dim=1)[:, 3:]
    assert (after.sum(dim=1) > 0).all()
    assert torch.equal(after.argmax(dim=1), before.argmax(dim=1))
