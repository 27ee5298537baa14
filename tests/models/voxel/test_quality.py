"""A judgement without the truth, held against the truth."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from brainnet.io import load_img, load_table
from brainnet.models.voxel import quality
from brainnet.models.voxel.labels import LabelTable, load_labels
from brainnet.models.voxel.posterior import brain_of


@pytest.fixture(scope="module")
def table() -> LabelTable:
    return load_labels("brain")


@pytest.fixture
def volumes(table: LabelTable) -> pd.DataFrame:
    """Return the volumes of the median adult."""
    folder = Path(quality.__file__).parent / "tables"
    median = load_table(folder / "brain_volumes.tsv").set_index("index")["median_mm3"]
    frame = table.regions[["index", "name", "structure", "side"]]
    return frame.assign(volume_mm3=median.loc[frame["index"]].to_numpy(float))


SURE = np.full(32, 0.9)


def test_predicted_dice_is_the_dice_with_truths_drawn_from_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4, 30, 30, 30)) + np.array([1.0, 0, 0.5, -1])[:, None, None, None]
    shares = np.exp(logits) / np.exp(logits).sum(axis=0)
    predicted = quality.predicted_dice(torch.from_numpy(shares.astype(np.float32)))
    hard = shares.argmax(axis=0)
    truth = (shares.cumsum(axis=0) < rng.random(hard.shape)).sum(axis=0)
    for number in (1, 2, 3):
        both = 2 * ((hard == number) & (truth == number)).sum()
        dice = both / ((hard == number).sum() + (truth == number).sum())
        assert abs(dice - predicted[number - 1]) < 0.02


def test_a_label_that_is_nowhere_has_no_dice() -> None:
    shares = torch.tensor([0.7, 0.2, 0.1])[:, None, None, None].expand(3, 2, 2, 2)
    assert quality.predicted_dice(shares).tolist() == [0, 0]


def test_a_median_adult_is_trusted(volumes: pd.DataFrame) -> None:
    found = quality.judge(SURE, volumes, 1.5e6)
    assert found == quality.Quality(pytest.approx(0.9), True, ())
    child = volumes.assign(volume_mm3=0.75 * volumes["volume_mm3"])
    assert quality.judge(SURE, child, 1.05e6).trusted
    old = volumes["name"].str.contains("ventricle")
    wide = volumes.assign(volume_mm3=volumes["volume_mm3"].where(~old, 5 * volumes["volume_mm3"]))
    assert quality.judge(SURE, wide, 1.5e6).trusted


@pytest.mark.parametrize(
    ("change", "icv", "words"),
    [
        (lambda v: 0 * v["volume_mm3"], 0.0, "no brain"),
        (lambda v: v["volume_mm3"] / 1000, 1500.0, "child or an adult"),
        (lambda v: v["volume_mm3"] * 4, 6e6, "implausible"),
        (
            lambda v: v["volume_mm3"].where(v["side"] != "left", v["volume_mm3"] / 1.5),
            1.3e6,
            "cortex of one side is 1.5 times",
        ),
    ],
)
def test_what_no_brain_has_is_not_trusted(volumes, change, icv, words) -> None:
    found = quality.judge(SURE, volumes.assign(volume_mm3=change(volumes)), icv)
    assert not found.trusted
    assert any(words in reason for reason in found.reasons)


def test_labels_of_another_table_are_not_held_against_the_brains(volumes: pd.DataFrame) -> None:
    own = pd.DataFrame({
        "index": [14, 15], "name": ["lesion", "nucleus"], "structure": ["lesion", "nucleus"],
        "side": [None, None], "volume_mm3": [9e4, 4e5],
    })  # fmt: skip
    assert quality.judge(SURE[:2], own, 4.9e5).trusted
    others = volumes["index"].isin(own["index"])
    both = pd.concat([own, volumes[~others]])
    assert quality.judge(SURE, both, 1.5e6).trusted
    assert not quality.judge(SURE, both, 4.9e5).trusted  # with outer fluid it is a whole head
    named = own.assign(name=volumes["name"][others].to_numpy())
    assert quality.judge(SURE[:2], named, 4.9e5).reasons[0].startswith("volumes of 2")


def test_an_unsure_network_is_not_trusted(volumes: pd.DataFrame) -> None:
    found = quality.judge(0.5 * SURE, volumes, 1.5e6)
    assert (found.trusted, found.score) == (False, pytest.approx(0.45))
    assert "not sure" in found.reasons[0]
    told = quality.judge(SURE, volumes, 1.5e6, ("somebody moved",))
    assert (told.trusted, told.reasons) == (False, ("somebody moved",))


def _ball(size: int = 80, radius: float = 34.0) -> np.ndarray:
    x, y, z = np.meshgrid(*[np.arange(size) - (size - 1) / 2] * 3, indexing="ij")
    return np.hypot(np.hypot(x, y), z) < radius


def test_cut_brains_are_told() -> None:
    ball, everywhere = _ball(), np.ones((80, 80, 80), dtype=bool)
    assert quality.reasons_of_field(ball, everywhere, 2.0) == []
    for axis, names in enumerate((("left", "right"), ("back", "front"), ("bottom", "top"))):
        for part, name in zip((slice(0, 40), slice(40, None)), names, strict=True):
            cut = ball.copy()
            cut[(slice(None),) * axis + (part,)] = False
            assert quality.reasons_of_field(cut, everywhere, 2.0) == [
                f"the brain is cut off at the {name}"
            ]
    assert quality.reasons_of_field(np.zeros_like(ball), everywhere, 2.0) == []


def test_brains_at_the_edge_of_an_oblique_field_are_told() -> None:
    ball = _ball()
    place = np.indices(ball.shape).sum(axis=0)
    for limit, word in ((110, "touches the edge"), (90, "not measured")):
        measured = place > limit
        seen = ball & measured if word.startswith("touches") else ball
        reasons = quality.reasons_of_field(seen, measured, 2.0)
        assert any(word in reason for reason in reasons), reasons


def test_saturated_and_stepped_brains_are_told() -> None:
    values = np.random.default_rng(0).normal(100, 20, 50_000)
    assert quality.reasons_of_brightness(values, 300.0) == []
    clipped = np.clip(values, None, np.quantile(values, 0.7))
    assert (
        "30 % of the brain has the largest"
        in quality.reasons_of_brightness(clipped, clipped.max())[0]
    )
    assert "only 3 different" in quality.reasons_of_brightness(values // 60 % 3, 9.0)[0]
    assert quality.reasons_of_brightness(values[:0], 1.0) == []


def test_contrast_is_told_from_noise() -> None:
    rng = np.random.default_rng(0)
    tissue = rng.integers(0, 3, (40, 40, 40))
    masks = {name: tissue == i for i, name in enumerate(("CSF", "GM", "WM"))}
    noise = rng.normal(0, 1, tissue.shape).astype(np.float32)
    assert quality.reasons_of_contrast(quality.tissue_contrast(noise, masks))
    seen = quality.tissue_contrast(noise + 2 * tissue, masks)
    assert seen == pytest.approx(4, abs=0.1)
    assert quality.reasons_of_contrast(seen) == []
    assert quality.tissue_contrast(noise, {"GM": tissue > 9, "WM": tissue == 1}) == 0


@pytest.mark.parametrize("number", [1, 5, 11, 20])
def test_real_anatomies_have_nothing_against_them(
    shared_data: Path, table: LabelTable, number: int
) -> None:
    # field and what lies in the skull: the volumes made the table that they are held against, and
    # tests/benchmarks/volumes_table.py holds each against those of the other nineteen
    img = load_img(shared_data / "labelmaps" / f"labelmap-{number:02d}_dseg.nii.gz")
    labels = np.pad(table.index_of[np.asarray(img.dataobj)], 2)
    counts = np.bincount(labels.ravel(), minlength=100)
    frame = table.regions[["index", "name", "structure", "side"]]
    volumes = frame.assign(volume_mm3=counts[frame["index"]].astype(float))
    brain = brain_of(labels, table)
    assert quality.judge(SURE, volumes, float(brain.sum())).trusted
    everywhere = np.ones(brain.shape, dtype=bool)
    assert quality.reasons_of_field(brain, everywhere, 1.0) == []
    half = brain.copy()
    half[:, :, : brain.shape[2] // 2] = False
    assert quality.reasons_of_field(half, everywhere, 1.0)
