"""What is read off an outlined haemorrhage, against closed forms and planted truth."""

import numpy as np
import pytest

from brainnet.models.voxel.haemorrhage.quantities import (
    abc_over_2,
    evans_index,
    graeb_score,
    ich_score_imaging,
    irregularity,
    ivh_score,
    lesions,
    midline_shift,
    volume_ml,
)


def ellipsoid(axes, spacing=(1.0, 1.0, 1.0), margin=4, turn=0.0):
    """An ellipsoid of half axes in mm, turned about the third axis by radians."""
    half = [int(np.ceil(1.5 * max(axes) / step)) + margin for step in spacing]
    grid = np.meshgrid(*(np.arange(-n, n + 1) * s for n, s in zip(half, spacing, strict=True)),
                       indexing="ij")  # fmt: skip
    x = grid[0] * np.cos(turn) + grid[1] * np.sin(turn)
    y = -grid[0] * np.sin(turn) + grid[1] * np.cos(turn)
    return (x / axes[0]) ** 2 + (y / axes[1]) ** 2 + (grid[2] / axes[2]) ** 2 <= 1


def test_volume_of_an_ellipsoid():
    mask = ellipsoid((20, 15, 10), (0.5, 0.5, 1.0))
    assert volume_ml(mask, (0.5, 0.5, 1.0)) == pytest.approx(4 / 3 * np.pi * 3, rel=0.01)


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.1])
def test_abc_of_a_turned_ellipsoid(turn):
    spacing = (0.5, 0.5, 1.0)
    found = abc_over_2(ellipsoid((24, 15, 12), spacing, turn=turn), spacing)
    assert found.a == pytest.approx(48, abs=1.0)
    assert found.b == pytest.approx(30, abs=1.2)
    # sections above a quarter of the largest: |z| < c sqrt(3/4); above three quarters: c / 2
    assert found.c == pytest.approx(12 * (0.5 + 0.866), abs=1.5)
    assert found.volume_ml == pytest.approx(found.a * found.b * found.c / 2000)


def test_thick_slices_count_whole_half_or_not_as_kothari_has_it():
    mask = np.zeros((40, 40, 5), dtype=bool)
    for number, width in enumerate((4, 12, 20, 19, 9)):
        mask[:width, :20, number] = True
    # of the largest section: 0.2 no, 0.6 half, 1 and 0.95 whole, 0.45 half
    assert abc_over_2(mask, (1.0, 1.0, 5.0)).c == 3 * 5.0


def test_a_flat_line_and_nothing():
    mask = np.zeros((10, 10, 3), dtype=bool)
    assert abc_over_2(mask, (1.0, 1.0, 1.0)).volume_ml == 0
    mask[2:8, 5, 1] = True
    found = abc_over_2(mask, (1.0, 1.0, 1.0))
    assert found.a == pytest.approx(np.hypot(6, 1))
    assert found.c == 1


def test_lesions_come_largest_first_and_specks_not_at_all():
    mask = np.zeros((40, 40, 40), dtype=bool)
    mask[2:8, 2:8, 2:8] = True
    mask[20:30, 20:30, 20:30] = True
    mask[35, 35, 35] = True
    found = lesions(mask, (1.0, 1.0, 1.0))
    assert [each.sum() for each in found] == [1000, 216]
    assert len(lesions(mask, (1.0, 1.0, 1.0), least_ml=0.0)) == 3


def head(shift=0.0, turn=0.0, spacing=1.0, n=160):
    """Halves of a head whose border bows to the right by `shift` mm in its middle."""
    x, y, z = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for _ in range(3)), indexing="ij")
    x, y, z = x * spacing, y * spacing, z * spacing
    across = x * np.cos(turn) - y * np.sin(turn)
    along = x * np.sin(turn) + y * np.cos(turn)
    inside = (across / 65) ** 2 + (along / 75) ** 2 + (z / 60) ** 2 <= 1
    bow = shift * np.clip(1 - (along / 40) ** 2, 0, None) * np.exp(-((z / 40) ** 2))
    return inside & (across < bow), inside & (across >= bow), inside


@pytest.mark.parametrize("shift", [0.0, 2.0, 5.0, 10.0, 15.0])
@pytest.mark.parametrize("turn", [0.0, 0.15])
def test_planted_shifts(shift, turn):
    left, right, inside = head(shift, turn)
    middle = np.arange(74, 86)
    found = midline_shift(left, right, inside, (1.0, 1.0, 1.0), rows=middle, slices=middle)
    assert found.mm == pytest.approx(shift, abs=0.5)
    assert found.to == ("right" if shift else "none")
    assert found.slice in middle
    wide = midline_shift(left, right, inside, (1.0, 1.0, 1.0))  # the median of a bow is not its top
    assert 0.85 * shift - 0.5 < wide.mm < shift + 0.5


def test_a_shift_to_the_left_and_on_another_grid():
    left, right, inside = head(-8.0, 0.1, spacing=1.3, n=128)
    middle = np.arange(58, 70)
    found = midline_shift(left, right, inside, (1.3, 1.3, 1.3), rows=middle, slices=middle)
    assert found.to == "left"
    assert found.mm == pytest.approx(8, abs=0.5)


def test_it_is_measured_where_asked():
    left, right, inside = head(9.0)
    far = midline_shift(left, right, inside, (1.0, 1.0, 1.0), rows=np.arange(30, 42))
    near = midline_shift(left, right, inside, (1.0, 1.0, 1.0), rows=np.arange(75, 85))
    assert near.mm == pytest.approx(9, abs=0.8)
    assert far.mm < 2


@pytest.mark.parametrize("shift", [12.0, -12.0])
def test_halves_mistaken_for_one_another_do_not_turn_a_shift_round(shift):
    left, right, inside = head(shift)
    side = 1 if shift > 0 else -1
    wrong = np.zeros_like(inside)
    # past the middle the other way, farther than the shift, over a fifth of the border
    wrong[{1: slice(58, 95), -1: slice(65, 102)}[side], 85:110, 75:110] = True
    swapped = right if side > 0 else left
    other = left if side > 0 else right
    swapped |= wrong & inside
    other &= ~wrong
    middle = np.arange(70, 91)
    found = midline_shift(left, right, inside, (1.0, 1.0, 1.0), rows=middle, slices=middle)
    assert found.to == ("right" if shift > 0 else "left")
    assert found.mm == pytest.approx(12, abs=1.5)


def test_a_scale_of_what_is_read():
    halves = head(6.0)
    plain = midline_shift(*halves, (1.0, 1.0, 1.0))
    assert midline_shift(*halves, (1.0, 1.0, 1.0), scale=1.5).mm == pytest.approx(1.5 * plain.mm)
    assert midline_shift(*halves, (1.0, 1.0, 1.0), scale=0.1).to == "none"


def test_half_a_head_has_no_midline():
    left, _, inside = head(5.0)
    found = midline_shift(left, np.zeros_like(left), inside, (1.0, 1.0, 1.0))
    assert (found.mm, found.to, found.slice) == (0.0, "none", -1)


def test_evans_index_of_planted_horns():
    _, _, inside = head()
    lateral = np.zeros_like(inside)
    lateral[60:100, 90:120, 78:84] = True  # 40 of 130 wide, in front
    lateral[50:110, 50:70, 78:84] = True  # wider, but behind
    widest = int(inside[..., 79].any(axis=1).sum())
    assert evans_index(lateral, inside, (1.0, 1.0, 1.0)) == pytest.approx(40 / widest, abs=0.005)
    assert np.isnan(evans_index(np.zeros_like(inside), inside, (1.0, 1.0, 1.0)))


def test_scores_by_hand():
    full = dict.fromkeys(("left", "right", "third", "fourth"), 1.0)
    assert graeb_score(full, expanded=dict.fromkeys(full, True)) == 12
    assert graeb_score(full) == 8
    assert graeb_score({}) == 0
    assert ivh_score(full, hydrocephalus=True)[0] == 23
    assert ivh_score({}, hydrocephalus=False) == (0, 0.0)
    assert ich_score_imaging(29.9, intraventricular=False, infratentorial=False) == 0
    assert ich_score_imaging(30.0, intraventricular=True, infratentorial=True) == 3


def test_a_ball_is_regular_and_a_sheet_is_not():
    one = (1.0, 1.0, 1.0)
    ball = irregularity(ellipsoid((15, 15, 15)), one)
    egg = irregularity(ellipsoid((30, 12, 12)), one)
    sheet = irregularity(np.ones((60, 60, 4), dtype=bool), one)
    assert 0 <= ball < 0.03
    # surface of a prolate spheroid in closed form
    e = np.sqrt(1 - (12 / 30) ** 2)
    surface = 2 * np.pi * 12**2 * (1 + 30 / (12 * e) * np.arcsin(e))
    volume = 4 / 3 * np.pi * 30 * 12**2
    assert egg == pytest.approx(1 - np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface, abs=0.03)
    assert sheet > 0.4
    with pytest.raises(ValueError, match="empty"):
        irregularity(np.zeros((4, 4, 4), dtype=bool), one)
