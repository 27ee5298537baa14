"""The loss against closed forms."""

import math

import pytest
import torch
from torch import nn

from brainnet.models.voxel.labels import LabelTable, load_labels
from brainnet.models.voxel.losses import LossTerms, SegmentationLoss


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
        loss = SegmentationLoss(toy_table, terms=LossTerms(side_weight=weight))
        unsure, sure = (loss(_Says(each), _batch(shares, side)) for each in (logits, known))
        assert (unsure - sure).item() == pytest.approx(weight * math.log(2), abs=1e-5)


def test_the_side_counts_more_where_the_other_half_is_near(toy_table):
    n = 20
    shares = torch.zeros(1, 3, n, 1, 1)
    shares[:, 1] = 1
    side = torch.zeros(1, 2, n, 1, 1)
    side[:, 0, : n // 2], side[:, 1, n // 2 :] = 1, 1
    sure = torch.where(side[:, 1:] > 0, 50.0, -50.0)

    def cost(wrong, midline):
        logit = sure.clone()
        logit[:, :, wrong] = 0  # costs log 2
        terms = LossTerms(side_weight=1.0, midline=midline)
        loss = SegmentationLoss(toy_table, terms=terms)
        both = [
            loss(_Says(torch.cat([shares.clamp(min=1e-9).log(), each], 1)), _batch(shares, side))
            for each in (logit, sure)
        ]
        return (both[0] - both[1]).item() / math.log(2)

    # of 20 voxels 8 are within 4 of the other half
    assert cost(9, 0.0) == pytest.approx(1 / 20, abs=1e-5)
    assert cost(9, 3.0) == pytest.approx(4 / (12 + 8 * 4), abs=1e-5)
    assert cost(5, 3.0) == pytest.approx(1 / (12 + 8 * 4), abs=1e-5)


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


def test_focal_loss_is_cross_entropy_by_what_is_not_known(halves, toy_table):
    shares, side = halves
    structures = (
        torch.tensor([0.7, 0.2, 0.1]).log()[None, :, None, None, None].expand(1, 3, 4, 2, 1)
    )
    batch = _batch(shares, side)
    model = _Says(torch.cat([structures, torch.zeros(1, 1, 4, 2, 1)], dim=1))
    p = structures.exp()
    for balance in (None, torch.tensor([0.5])):
        given = batch if balance is None else batch | {"balance": balance}
        parts = torch.tensor([0.5, 0.3, 0.2])
        cross, focal = (
            SegmentationLoss(toy_table, shares=parts, terms=LossTerms(voxel=voxel))(model, given)
            for voxel in ("cross-entropy", "focal")
        )
        weight = torch.ones(3) if balance is None else parts**-0.5 / (parts**0.5).sum()
        by_voxel = -shares * p.log() * weight.reshape(1, -1, 1, 1, 1)
        expected = ((1 - (1 - p) ** 2) * by_voxel).sum(dim=1).mean()
        assert (cross - focal).item() == pytest.approx(expected.item(), abs=1e-5)


def test_generalised_dice_weighs_by_the_inverse_square_of_size(halves, toy_table):
    shares, side = halves
    p = torch.tensor([0.5, 0.3, 0.2])[None, :, None, None, None].expand(1, 3, 4, 2, 1)
    model = _Says(torch.cat([p.log(), torch.zeros(1, 1, 4, 2, 1)], dim=1))
    plain, general = (
        SegmentationLoss(toy_table, terms=LossTerms(overlap=overlap))(model, _batch(shares, side))
        for overlap in ("dice", "generalised dice")
    )
    axes = (0, 2, 3, 4)
    both, sizes = (p * shares).sum(axes)[1:], shares.sum(axes)[1:]
    sums = sizes + p.sum(axes)[1:]
    expected = 2 * (both / sizes**2).sum() / (sums / sizes**2).sum()
    dice = (2 * both / sums).mean()
    assert (general - plain).item() == pytest.approx((dice - expected).item(), abs=1e-4)


@pytest.mark.parametrize("wrong", [{"overlap": "jaccard"}, {"voxel": "mse"}, {"side_weight": -1}])
def test_a_term_that_there_is_not_is_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        LossTerms(**wrong)


JOINED = [["subdural haemorrhage", "epidural haemorrhage"]]


def _rare(channel, said, *, weight=1.0, n=6):
    """Return the loss of a voxel of a structure among brain, where the network says another."""
    table = load_labels("haemorrhage")
    target = torch.zeros(1, 1 + table.n_structures, n, n, n)
    target[:, 1] = 1
    if channel is not None:
        target[0, :, 2, 2, 2] = 0
        target[0, channel, 2, 2, 2] = 1
    logits = torch.zeros(1, table.n_channels, n, n, n)
    logits[:, 1] = 12
    if said is not None:
        logits[0, 1, 2, 2, 2] = 0
        logits[0, said, 2, 2, 2] = 12
    batch = {"image": torch.zeros(1), "structure": target,
             "side": torch.zeros(1, 2, n, n, n)}  # fmt: skip
    model = _Says(logits)
    plain, joined = (
        SegmentationLoss(table, terms=LossTerms(joined=each, joined_weight=weight))(model, batch)
        for each in ((), JOINED)
    )
    return (joined - plain).item()


def test_joined_structures_cost_what_they_are_missed_and_confused_by():
    table = load_labels("haemorrhage")
    subdural, epidural = (1 + table.structures.index(each) for each in JOINED[0])
    found, confused, missed = (_rare(subdural, each) for each in (subdural, epidural, None))
    assert found == pytest.approx(0, abs=0.01)
    assert confused == pytest.approx(12, abs=0.1)  # only which of them it is, a voxel's log odds
    # overlap 1 - (0 + 1) / (1 + 1), log 2 between the two, and 4 x 4 x 12 log odds over 216 voxels
    assert missed == pytest.approx(0.5 + math.log(2) + 16 * (12 - math.log(2)) / 216, abs=0.02)
    assert _rare(subdural, None, weight=3.0) == pytest.approx(3 * missed, rel=1e-4)


def test_joined_structures_cost_nothing_where_there_are_none():
    table = load_labels("haemorrhage")
    subdural = 1 + table.structures.index(JOINED[0][0])
    assert _rare(None, None) == pytest.approx(0, abs=0.01)
    # log odds of 12 against nine others of 0
    assert _rare(None, subdural) == pytest.approx(0.5 + 4 * (12 - math.log(9)) / 216, abs=0.01)


@pytest.mark.parametrize("joined", ["subdural haemorrhage", [[]], ["subdural haemorrhage"]])
def test_joined_must_be_groups(joined):
    with pytest.raises(ValueError, match="joined must be groups"):
        LossTerms(joined=joined)
    with pytest.raises(ValueError, match="structures of the table"):
        SegmentationLoss(load_labels("haemorrhage"), terms=LossTerms(joined=[["spleen", "liver"]]))
