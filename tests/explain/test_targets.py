"""Targets and summaries over subjects."""

import numpy as np
import pytest
import torch

from brainnet.explain.attribution import Attribution, summarise
from brainnet.explain.targets import Target

CHANCES = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], dtype=torch.float64)
NOBODY = torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(
    "name, classes, expected",
    [
        ("severity", ["CN", "EMCI", "AD"], [1.3, 0.5]),
        ("severity", ["AD", "CN", "EMCI"], [0.2 * 2 + 0.5, 0.6 * 2 + 0.1]),
        ("severity", ["AD", "CN", "MCI"], [0.2 * 2 + 0.5, 0.6 * 2 + 0.1]),
        ("severity", ["sMCI", "pMCI", "CN"], [0.2 + 0.3 * 2, 0.6 + 0.3 * 2]),
        ("severity", [10, 9, 11], [0.2 + 1.0, 0.6 + 0.2]),
        ("EMCI", ["CN", "EMCI", "AD"], [0.3, 0.3]),
        ("AD/CN", ["CN", "EMCI", "AD"], np.log([2.5, 1 / 6])),
        ("extremes", ["AD", "EMCI", "CN"], np.log([0.4, 6])),
    ],
)
def test_closed_forms(name, classes, expected):
    np.testing.assert_allclose(Target.of(name, classes)(CHANCES, NOBODY), expected)


def test_the_own_stage():
    target = Target.of("own", ["CN", "EMCI", "AD"])
    own = target.columns(["AD", "CN"], 2)
    np.testing.assert_allclose(target(CHANCES, own), [0.5, 0.6])


def test_a_ratio_survives_a_probability_of_nothing():
    found = Target.of("AD/CN", ["CN", "AD"])(torch.tensor([[1.0, 0.0]]), NOBODY[:1])
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", ["MCI", "AD/", "AD/AD", "AD/CN/EMCI", ""])
def test_unknown_targets(name):
    with pytest.raises(ValueError, match="target must be"):
        Target.of(name, ["CN", "EMCI", "AD"])


@pytest.mark.parametrize("name", ["severity", "extremes"])
def test_classes_without_an_order(name):
    with pytest.raises(ValueError, match=r"classes in an order.*Name one of them"):
        Target.of(name, ["lewy", "vascular", "frontal"])


def test_summaries():
    maps = np.array([[1.0, np.nan], [3.0, np.nan], [-6.0, np.nan], [0.0, 2.0]])
    stages = ["CN", "AD", "AD", "EMCI"]
    target = Target.of("extremes", ["CN", "EMCI", "AD"])
    np.testing.assert_allclose(summarise(maps, "mean"), [-0.5, 2])
    np.testing.assert_allclose(summarise(maps, "magnitude"), [2.5, 2])
    found = summarise(maps, "contrast", stages=stages, target=target)
    np.testing.assert_allclose(found, [-1.5 - 1.0, np.nan])
    one_against_all = Target.of("AD", ["CN", "EMCI", "AD"])
    found = summarise(maps, "contrast", stages=stages, target=one_against_all)
    np.testing.assert_allclose(found, [-1.5 - 0.5, np.nan])


def test_bad_summaries():
    target = Target.of("extremes", ["CN", "AD"])
    with pytest.raises(ValueError, match="summary must be"):
        summarise([[1.0]], "median")
    with pytest.raises(ValueError, match="stages must be given"):
        summarise([[1.0]], "contrast")
    with pytest.raises(ValueError, match="got none of AD"):
        summarise([[1.0]], "contrast", stages=["CN"], target=target)
    with pytest.raises(ValueError, match="two ends; got 'own'"):
        summarise([[1.0]], "contrast", stages=["CN"], target=Target.of("own", ["CN", "AD"]))


def test_parts_add_up_and_what_is_in_none_is_nan():
    parts = {"edges": np.array([[[1.0, np.nan]]]), "values": np.array([[[2.0, np.nan]]])}
    found = Attribution(parts, np.zeros((1, 1, 2, 2)), np.array([[0.5]]), np.array([4.0]))
    np.testing.assert_array_equal(found.regions, [[[3.0, np.nan]]])
    np.testing.assert_allclose(found.gap, [0.5])
