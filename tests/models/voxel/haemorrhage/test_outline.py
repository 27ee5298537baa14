"""Outlines from probabilities: volumes, kinds, what belongs together, what is left out."""

import math

import numpy as np
import pytest
import torch

from brainnet.models.voxel.haemorrhage.outline import Judgement, channels, fine_grid, outline
from brainnet.models.voxel.labels import load_labels

SURE = Judgement(lesion=(5.0, 0.0, 0.0))
SIZE = 2.0


def drawn(*balls, n=40, soft=0.4):
    """Return probabilities on a grid of 2 mm: (kind, centre, radius), mm from the middle."""
    table = load_labels("haemorrhage")
    share = torch.zeros(len(table.indices), n, n, n)
    x, y, z = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * SIZE] * 3, indexing="ij")
    share[1], share[2] = torch.tensor(x < 0).float(), torch.tensor(x >= 0).float()
    for kind, at, radius in balls:
        away = np.sqrt(sum((w - c) ** 2 for w, c in zip((x, y, z), at, strict=True))) - radius
        own = torch.sigmoid(torch.from_numpy(-away / soft).float())
        share *= 1 - own
        share[channels(table, (f"{kind} haemorrhage",))[0]] += own
    affine = np.diag([SIZE, SIZE, SIZE, 1.0])
    affine[:3, 3] = -(n - 1) / 2 * SIZE
    return share, affine, table


def found(*balls, judgement=SURE, **options):
    return outline(*drawn(*balls, **options), judgement)


def ball_ml(radius):
    return 4 / 3 * math.pi * radius**3 / 1000


@pytest.mark.parametrize("radius", [8.0, 14.0, 22.0])
def test_a_ball_has_its_volume_and_place(radius):
    outlined = found(("subdural", (6, -4, 2), radius))
    (piece,) = outlined.pieces
    assert (piece.kind, piece.number) == ("subdural", 1)
    assert piece.volume_ml == pytest.approx(ball_ml(radius), rel=0.03)
    middle = np.argwhere(outlined.lesions == 1).mean(axis=0)
    world = outlined.affine[:3, :3] @ middle + outlined.affine[:3, 3]
    np.testing.assert_allclose(world, (6, -4, 2), atol=0.1)
    assert outlined.volume("subdural") == piece.volume_ml
    assert outlined.volume("epidural") == 0


def test_the_fine_grid_keeps_places():
    share = torch.zeros(1, 6, 6, 6)
    share[0] = torch.arange(6.0)[:, None, None]
    fine, affine = fine_grid(share, np.diag([2.0, 2, 2, 1]), 2.0)
    assert fine.shape == (1, 12, 12, 12)
    x = affine[0, 0] * np.arange(12) + affine[0, 3]
    np.testing.assert_allclose(fine[0, 2:-2, 5, 5].numpy(), x[2:-2] / 2, atol=1e-5)


def test_the_largest_is_the_first():
    outlined = found(("epidural", (-24, 0, 0), 6.0), ("intraparenchymal", (20, 0, 0), 12.0))
    assert [each.kind for each in outlined.pieces] == ["intraparenchymal", "epidural"]
    assert outlined.lesions.max() == 2


def test_a_rim_of_another_kind_is_of_the_haemorrhage_that_it_touches():
    outlined = found(("intraparenchymal", (0, 0, 0), 16.0), ("intraventricular", (16, 0, 0), 4.0))
    assert [each.kind for each in outlined.pieces] == ["intraparenchymal"]


def test_a_large_part_of_another_kind_stays_a_haemorrhage_of_its_own():
    balls = [("intraparenchymal", (-12, 0, 0), 12.0), ("intraventricular", (10, 0, 0), 11.0)]
    outlined = found(*balls)
    assert {each.kind for each in outlined.pieces} == {"intraparenchymal", "intraventricular"}


@pytest.mark.parametrize(("apart", "n_pieces"), [(4.0, 1), (14.0, 2)])
def test_subarachnoid_blood_in_neighbouring_sulci_is_one_haemorrhage(apart, n_pieces):
    balls = [("subarachnoid", (side * (7 + apart / 2), 0, 0), 7.0) for side in (-1, 1)]
    assert len(found(*balls).pieces) == n_pieces


def test_other_kinds_stay_apart():
    balls = [("intraparenchymal", (side * 9.0, 0, 0), 7.0) for side in (-1, 1)]
    assert len(found(*balls).pieces) == 2


def test_the_shell_says_how_sure_a_border_is():
    sharp, soft = (
        found(("intraparenchymal", (0, 0, 0), 14.0), soft=each).pieces[0] for each in (0.4, 3.0)
    )
    assert soft.shell > 2 * sharp.shell
    low, high = SURE.interval(10.0, soft.shell)
    assert low < SURE.interval(10.0, sharp.shell)[0] < 10 < high
    assert low * high == pytest.approx(100)


def test_nothing_is_outlined_in_a_sound_brain():
    outlined = found()
    assert outlined.pieces == outlined.left_out == ()
    assert outlined.probability < 0.01


def test_small_and_unlikely_outlines_are_left_out():
    ball = ("intraparenchymal", (0, 0, 0), 5.0)
    assert found(ball, judgement=Judgement(lesion=(5.0, 0.0, 0.0), least_ml=2.0)).pieces == ()
    assert found(ball, judgement=Judgement(lesion=(-5.0, 0.0, 0.0))).pieces == ()


@pytest.mark.parametrize("wrong", [{"least": 1.5}, {"scale": float("nan")}])
def test_a_judgement_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="judgement"):
        Judgement(**wrong)


def test_a_judgement_survives_its_card():
    one = Judgement(lesion=(1.0, 2.0, 3.0), least=0.3)
    assert Judgement.of({"judgement": one.record()}) == one
    assert Judgement.of({}) == Judgement()
