"""Recipes: their ranges, their learning rates, their record."""

import json
import math

import pytest

from brainnet.models.core.recipe import Recipe


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"n_epochs": 0}, "n_epochs"),
        ({"n_epochs": 2.5}, "n_epochs"),
        ({"n_accumulate": 0}, "n_accumulate"),
        ({"patience": -1}, "patience"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"clip": 0.0}, "clip"),
        ({"clip": math.nan}, "clip"),
        ({"warmup": 1.0}, "warmup"),
        ({"average": 1.0}, "average"),
        ({"average": -0.1}, "average"),
        ({"schedule": "linear"}, "schedule"),
        ({"precision": "bf16"}, "precision"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_number_outside_its_range_is_named(options, name):
    with pytest.raises(ValueError, match=rf"^{name} must be .*; got"):
        Recipe(**options)


def test_learning_rate_rises_then_falls_as_a_cosine():
    recipe = Recipe(learning_rate=2.0, schedule="cosine", warmup=0.2)
    assert recipe.learning_rate_at(0.0) == 0
    assert recipe.learning_rate_at(0.05) == pytest.approx(0.5)
    assert recipe.learning_rate_at(0.2) == pytest.approx(2.0)
    # a quarter, half and three quarters of the way down: (1 + cos) / 2
    for share in (0.25, 0.5, 0.75):
        expected = 2.0 * (1 + math.cos(math.pi * share)) / 2
        assert recipe.learning_rate_at(0.2 + 0.8 * share) == pytest.approx(expected)
    assert recipe.learning_rate_at(1.0) == pytest.approx(0, abs=1e-12)


def test_constant_rate_without_warmup_is_constant():
    rates = {Recipe(learning_rate=0.1).learning_rate_at(each) for each in (0.0, 0.5, 1.0)}
    assert rates == {0.1}


def test_record_is_json_that_makes_the_recipe_again():
    recipe = Recipe(n_epochs=3, average=0.99, precision="bf16-mixed")
    record = json.loads(json.dumps(recipe.record(), allow_nan=False))
    assert record["clip"] is None
    assert Recipe(**(record | {"clip": math.inf})) == recipe
