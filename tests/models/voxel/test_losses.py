"""The loss against closed forms."""

import math

import pytest
import torch
from torch import nn

from brainnet.models.voxel.labels import LabelTable
from brainnet.models.voxel.losses import SegmentationLoss


class _Says(nn.Module):
    """A network that answers the same logits to everything."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, image):
        return self.logits


def _batch(shares, side):
    return {"image": torch.zeros(1), "structure": shares, "side": side}


@pytest.fixture
def halves():
    """8 voxels: background, white, cortex and a mixture, two of each; one of two is left."""
    shares = torch.tensor([[1.0, 0, 0, 0.5], [0, 1, 0, 0.5], [0, 0, 1, 0]])
    shares = shares[None, :, :, None, None].expand(1, 3, 4, 2, 1)
    side = torch.zeros(1, 2, 4, 2, 1)
    inside = 1 - shares[:, 0]
    side[:, 0, :, 0], side[:, 1, :, 1] = inside[:, :, 0], inside[:, :, 1]
    return shares, side


def test_truth_costs_only_its_own_doubt(halves, toy_table):
    shares, side = halves
    right = torch.where(side[:, 1:] > 0, 50.0, -50.0)
    logits = torch.cat([shares.clamp(min=1e-9).log(), right], dim=1)
    loss = SegmentationLoss(toy_table)(_Says(logits), _batch(shares, side))
    # cross-entropy: a mixture of two halves keeps log 2, in 2 voxels of 8. Dice of soft truth,
    # 2 sum(p t) / (sum p + sum t): 1 for cortex, 2 x 2.5 / 6 for white
    dice = 1 - (1 + 2 * 2.5 / 6) / 2
    assert loss.item() == pytest.approx(math.log(2) / 4 + dice, abs=1e-4)


def test_the_side_costs_log_two_where_it_is_not_known(halves, toy_table):
    shares, side = halves
    logits = torch.cat([shares.clamp(min=1e-9).log(), torch.zeros(1, 1, 4, 2, 1)], dim=1)
    known = torch.cat([logits[:, :3], torch.where(side[:, 1:] > 0, 50.0, -50.0)], dim=1)
    for weight in (0.0, 0.5, 2.0):
        loss = SegmentationLoss(toy_table, side_weight=weight)
        unsure, sure = (loss(_Says(each), _batch(shares, side)) for each in (logits, known))
        assert (unsure - sure).item() == pytest.approx(weight * math.log(2), abs=1e-5)


def test_the_side_of_background_costs_nothing(halves, toy_table):
    shares, side = halves
    logits = torch.cat([shares.clamp(min=1e-9).log(), torch.zeros(1, 1, 4, 2, 1)], dim=1)
    model = _Says(logits)
    SegmentationLoss(toy_table)(model, _batch(shares, side)).backward()
    slope = model.logits.grad[0, 3]
    assert not slope[0].any()  # background
    assert bool((slope[1, 0] > 0) & (slope[1, 1] < 0))  # left is pushed down, right up
    assert slope[3].abs().sum() == pytest.approx(float(slope[1].abs().sum()) / 2)  # half there


def test_a_table_without_sides_has_no_such_cost():
    row = {"index": 1, "name": "a", "structure": "a", "side": None, "tissue": None, "sources": "1"}
    shares = torch.tensor([[1.0, 0], [0, 1.0]])[None, :, :, None, None]
    loss = SegmentationLoss(LabelTable.from_rows([row]))
    perfect = loss(_Says(100 * shares), _batch(shares, torch.zeros(1, 2, 2, 1, 1)))
    assert perfect.item() == pytest.approx(0, abs=1e-4)


def test_bfloat16_logits_cost_nearly_the_same(halves, toy_table):
    shares, side = halves
    logits = torch.randn((1, 4, 4, 2, 1), generator=torch.Generator().manual_seed(0))
    loss = SegmentationLoss(toy_table)
    single, half = (loss(_Says(each), _batch(shares, side)) for each in (logits, logits.bfloat16()))
    assert half.item() == pytest.approx(single.item(), rel=0.01)
    assert half.dtype == torch.float32
