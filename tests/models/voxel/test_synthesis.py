"""Synthesised heads: what is planted comes out, the truth stays true, a number is a sample."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from brainnet.models.voxel import synthesis as module
from brainnet.models.voxel.contrast import draw_contrast
from brainnet.models.voxel.degrade import blur
from brainnet.models.voxel.labels import MAX_SOURCE, load_labels
from brainnet.models.voxel.synthesis import HeadSynthesis, Scanner

SHAPE = (24, 24, 24)
WHITE, CORTEX = 2, 3


@pytest.fixture
def unscanned(monkeypatch):
    """Leave the image as it is before the scanner: brightness times share."""
    monkeypatch.setattr(HeadSynthesis, "_scan", lambda _self, image, _contrast, _draw: image)


@pytest.fixture
def planted(monkeypatch):
    """Give every number the brightness of a thousandth of itself, and no texture."""

    def draw(twin_of, generator, *, contrast=None):
        draw_contrast(twin_of, generator, contrast=contrast)  # the same numbers are used up
        mean = torch.arange(MAX_SOURCE) / 1000
        return mean[twin_of], torch.zeros(MAX_SOURCE)

    monkeypatch.setattr(module, "draw_contrast", draw)


def _blocks():
    """Two blocks that voxels of 2 mm cannot follow, the left one larger; the middle is x.5."""
    labels = np.zeros((40, 40, 40), dtype=np.int16)
    labels[9:20, 11:29, 10:30] = 2
    labels[20:25, 13:29, 10:30] = 41
    labels[9, 11, 10:30] = 3
    labels[5:7] = 509
    return labels


def _boxed(labels, table, shape):
    """Shares of blocks of 2 x 2 x 2 about the middle of what is segmented, by plain averaging."""
    padded = np.pad(labels, 40)
    structure = table.structure_of.numpy()[padded]
    where = np.argwhere(structure > 0)
    middle = np.quantile(where, [0.005, 0.995], axis=0).mean(axis=0)
    assert np.allclose(middle % 1, 0.5), "the middle must lie between voxels"
    low = (middle - 0.5).astype(int) - np.array(shape) + 1
    cut = tuple(slice(a, a + 2 * n) for a, n in zip(low, shape, strict=True))

    def mean(indicator):
        blocks = indicator[cut].reshape(shape[0], 2, shape[1], 2, shape[2], 2)
        return blocks.mean(axis=(1, 3, 5))

    side = table.side_of.numpy()[padded]
    shares = [mean(structure == each) for each in range(table.n_structures + 1)]
    return np.stack(shares), np.stack([mean(side == 1), mean(side == 2)]), mean(padded / 1000)


def test_shares_are_a_box_filter_of_the_map(toy_table, still, unscanned, planted):
    labels = _blocks()
    shares, sides, _ = _boxed(labels, toy_table, SHAPE)
    assert ((shares > 0) & (shares < 1)).mean() > 0  # there are mixed voxels
    synthesis = HeadSynthesis([labels], toy_table, shapes=[SHAPE], scanner=still)
    mirrored = 0
    for number in range(8):
        sample = synthesis[number]
        straight = np.array_equal(sample["structure"].numpy(), shares.astype(np.float32))
        mirrored += not straight
        if straight:
            assert np.array_equal(sample["side"].numpy(), sides.astype(np.float32))
        else:
            assert np.array_equal(sample["structure"].numpy(), shares[:, ::-1].astype(np.float32))
            # what was right of the head is left now, and is called so
            assert np.array_equal(sample["side"].numpy(), sides[::-1, ::-1].astype(np.float32))
    assert 0 < mirrored < 8


def test_planted_brightness_comes_out(toy_table, still, unscanned, planted):
    labels = _blocks()
    labels[labels == 41] = 2  # both sides share the draw of the left one
    _, _, brightness = _boxed(labels, toy_table, SHAPE)
    synthesis = HeadSynthesis([labels], toy_table, shapes=[SHAPE], scanner=still)
    for number in range(4):
        image = synthesis[number]["image"][0].numpy()
        error = min(np.abs(image - each).max() for each in (brightness, brightness[::-1]))
        assert error < 1e-6


def test_texture_shrinks_in_mixed_voxels_with_its_share(toy_table, still, unscanned, monkeypatch):
    def draw(twin_of, generator, *, contrast=None):
        spread = torch.zeros(MAX_SOURCE)
        spread[WHITE] = 0.08
        return torch.full((MAX_SOURCE,), 0.5), spread

    monkeypatch.setattr(module, "draw_contrast", draw)
    labels = np.full((60, 60, 60), WHITE, dtype=np.int16)  # an even size: the middle is x.5
    labels[::3], labels[:, :, ::5] = CORTEX, CORTEX  # planes of 1 mm, in voxels of 2 mm
    sample = HeadSynthesis([labels], toy_table, shapes=[SHAPE], scanner=still)[0]
    share = sample["structure"][1]
    for each in (0.25, 0.5, 1.0):
        texture = sample["image"][0][share == each]
        assert texture.numel() > 500
        assert float(texture.mean()) == pytest.approx(0.5, abs=0.01)
        assert float(texture.std()) == pytest.approx(0.08 * each, rel=0.1)


@pytest.mark.parametrize("number", range(4))
def test_shares_stay_shares_under_all_that_a_scanner_does(toy_head, number):
    scanner = Scanner(p_cut=1, p_lesion=1, p_stripped=0.5)
    table = load_labels("brain")
    sample = HeadSynthesis([toy_head()], table, shapes=[SHAPE], scanner=scanner)[number]
    image, structure, side = sample["image"], sample["structure"], sample["side"]
    assert (image.shape, structure.shape, side.shape) == ((1, *SHAPE), (19, *SHAPE), (2, *SHAPE))
    assert 0 <= image.min() <= image.max() <= 1
    assert bool(image.isfinite().all())
    torch.testing.assert_close(structure.sum(0), torch.ones(SHAPE))
    assert bool((structure >= 0).all())
    assert bool((side.sum(0) <= 1 - structure[0] + 1e-6).all())
    eighths = structure * 8
    assert torch.equal(eighths, eighths.round())


def test_left_is_left_in_every_sample(toy_table, toy_head):
    synthesis = HeadSynthesis(
        [toy_head()], toy_table, shapes=[SHAPE], voxel_size=2.5, scanner=Scanner(p_cut=0)
    )
    x = torch.arange(24.0)
    for number in range(12):
        left, right = (each.sum((1, 2)) for each in synthesis[number]["side"])
        assert (left * x).sum() / left.sum() + 4 < (right * x).sum() / right.sum()


def test_a_number_is_a_sample(toy_table, toy_head):
    heads = [toy_head(seed=seed) for seed in range(2)]
    first = HeadSynthesis(heads, toy_table, shapes=[SHAPE], seed=3)
    again = HeadSynthesis(heads, toy_table, shapes=[SHAPE], seed=3, device="cpu")
    other = HeadSynthesis(heads, toy_table, shapes=[SHAPE], seed=4)
    state = torch.get_rng_state()
    samples = [first[each] for each in range(3)]
    for number in (2, 0, 1):  # in any order
        for name, tensor in again[number].items():
            assert torch.equal(tensor, samples[number][name])
    assert torch.equal(next(iter(again))["image"], samples[0]["image"])
    assert not torch.equal(other[0]["image"], samples[0]["image"])
    assert not torch.equal(samples[1]["image"], samples[0]["image"])
    assert torch.equal(torch.get_rng_state(), state)


# What `HeadSynthesis([head], brain table, shapes=[(24, 24, 24)], seed=0)` gave when the network of
# this package was trained: means of the image's eight octants, and of three structures. Another
# order of draws changes them in the first digit; processors differ in the sixth.
PINNED = {
    0: (
        [0.62479, 0.64623, 0.5397, 0.54392, 0.45565, 0.44496, 0.46173, 0.42159],
        [0.47301, 0.12535, 0.40164],
    ),
    5: (
        [0.42895, 0.25069, 0.29484, 0.16069, 0.16628, 0.10179, 0.10943, 0.06005],
        [0.61693, 0.1122, 0.27087],
    ),
}


@pytest.mark.parametrize("number", PINNED)
def test_samples_are_those_that_trained_the_network(toy_head, number):
    sample = HeadSynthesis([toy_head()], load_labels("brain"), shapes=[SHAPE], seed=0)[number]
    octants, shares = PINNED[number]
    image = sample["image"].reshape(2, 12, 2, 12, 2, 12).mean((1, 3, 5)).flatten()
    assert image.tolist() == pytest.approx(octants, abs=1e-4)
    assert sample["structure"][:3].mean((1, 2, 3)).tolist() == pytest.approx(shares, abs=1e-4)


def _pair(labels, table, still, number=0, **change):
    """The same sample without and with a change of the scanner."""
    return [
        HeadSynthesis([labels], table, shapes=[SHAPE], voxel_size=2.5, scanner=scanner)[number]
        for scanner in (still, replace(still, **change))
    ]


@pytest.mark.parametrize("number", range(6))
def test_stripping_takes_away_what_is_outside_only(
    toy_table, toy_head, still, unscanned, planted, number
):
    head = toy_head(skin=20.0)
    whole, stripped = _pair(head, toy_table, still, number, p_stripped=1.0)
    brain = 1 - whole["structure"][0]
    deep, far = blur(brain, (4.0,) * 3) > 0.98, blur(brain, (4.0,) * 3) < 0.02
    assert deep.sum() > 100
    assert torch.equal(stripped["image"][0][deep], whole["image"][0][deep])
    assert whole["image"][0][far].max() > 0.5  # skin
    assert stripped["image"][0][far].max() == 0
    assert torch.equal(stripped["structure"], whole["structure"])


def test_what_is_cut_off_is_background(toy_table, still, unscanned, planted):
    labels, ends = np.full((70, 70, 70), 2, dtype=np.int16), set()
    for number in range(24):
        whole, cut = _pair(labels, toy_table, still, number, p_cut=1.0)
        gone = cut["structure"][0] == 1
        assert not whole["structure"][0].any()
        assert torch.equal(gone, cut["image"][0] == 0)
        assert not cut["side"][:, gone].any()
        assert torch.equal(cut["image"][0][~gone], whole["image"][0][~gone])
        lines = [gone.movedim(axis, 0).flatten(1).all(1) for axis in range(3)]
        axis = next(each for each in range(3) if lines[each].any())
        assert int(lines[axis].sum()) * 24 * 24 == int(gone.sum())  # a whole slab and no more
        assert 1 <= int(lines[axis].sum()) <= 0.3 * 24
        ends.add((axis, bool(lines[axis][0]), bool(lines[axis][-1])))
    # the back or the front, the foot or the top; never a side
    assert ends == {(1, True, False), (1, False, True), (2, True, False), (2, False, True)}


@pytest.mark.parametrize("number", range(4))
def test_lesions_are_of_one_brightness_inside_the_brain(
    toy_table, toy_head, still, unscanned, planted, number
):
    whole, lesioned = _pair(toy_head(), toy_table, still, number, p_lesion=1.0)
    changed = lesioned["image"][0] != whole["image"][0]
    assert changed.any()
    assert bool((whole["structure"][0][changed] < 1).all())
    before, after = (each["image"][0][changed] for each in (whole, lesioned))
    core = (after - before).abs() > 0.999 * (after - before).abs().max()
    assert float(after[core].std(correction=0)) < 0.01
    assert torch.equal(lesioned["structure"], whole["structure"])


def test_known_contrasts_come_in_their_share(toy_table, toy_head, still, monkeypatch):
    seen = []

    def note(twin_of, generator, *, contrast=None):
        seen.append(contrast)
        return draw_contrast(twin_of, generator, contrast=contrast)

    monkeypatch.setattr(module, "draw_contrast", note)
    scanner = replace(still, p_known=0.6)
    synthesis = HeadSynthesis(
        [toy_head()], toy_table, shapes=[(8, 8, 8)], scanner=scanner, contrasts=["T2w", "CT"]
    )
    for number in range(200):
        synthesis[number]
    assert set(seen) == {None, "T2w", "CT"}
    assert 0.28 < seen.count(None) / 200 < 0.52


def test_every_map_and_every_field_of_view_is_drawn(toy_table, toy_head, still):
    small, large = (8, 8, 16), (16, 8, 8)
    synthesis = HeadSynthesis(
        [toy_head(), np.full((30, 30, 30), 2, dtype=np.uint16)],
        toy_table, shapes=[small, large], scanner=still,
    )  # fmt: skip
    samples = [synthesis[number] for number in range(24)]
    assert {tuple(each["image"].shape[1:]) for each in samples} == {small, large}
    assert 0 < sum(bool((each["structure"][1] > 0).all()) for each in samples) < 24


def test_makes_samples_on_a_gpu(toy_table, toy_head):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    on_gpu = HeadSynthesis([toy_head()], toy_table, shapes=[SHAPE], device="cuda")
    sample, again = on_gpu[1], on_gpu[1]
    assert all(each.device.type == "cuda" for each in sample.values())
    assert torch.equal(sample["image"], again["image"])
    torch.testing.assert_close(sample["structure"].sum(0).cpu(), torch.ones(SHAPE))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"label_maps": []}, "label_maps must not be empty"),
        ({"label_maps": [np.zeros((9, 9), dtype=np.int16)]}, r"three-dimensional.*\(9, 9\)"),
        ({"label_maps": [np.full((9, 9, 9), 2.0)]}, "whole numbers.*float64"),
        ({"label_maps": [np.full((9, 9, 9), 4096)]}, "0 to 4095"),
        ({"label_maps": [np.full((9, 9, 9), -1)]}, "0 to 4095"),
        ({"label_maps": [np.full((9, 9, 9), 509)]}, "hold a structure"),
        ({"shapes": []}, "shapes must be"),
        ({"shapes": [(16, 16)]}, "shapes must be"),
        ({"shapes": [(16, 16, 4)]}, "of 8 or more"),
        ({"shapes": [(16, 16, 16.0)]}, "whole numbers"),
        ({"voxel_size": 0.0}, "voxel_size must be positive"),
        ({"contrasts": ["T1w", "T9w"]}, "got 'T9w'"),
    ],
)
def test_refuses_what_cannot_be_synthesised(toy_table, change, problem):
    given = {"label_maps": [_blocks()]} | change
    maps = given.pop("label_maps")
    with pytest.raises(ValueError, match=problem):
        HeadSynthesis(maps, toy_table, **given)


@pytest.mark.parametrize("change", [{"noise": -0.1}, {"p_cut": 1.5}, {"bias": float("nan")}])
def test_a_scanner_keeps_its_numbers_in_range(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} must be"):
        Scanner(**change)
