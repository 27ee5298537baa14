"""A map of the model falls apart with the model; a map of the subjects does not."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from brainnet.explain import Fold, Sanity, check_sanity
from brainnet.explain.attribution import summarise
from brainnet.explain.gradients import integrated_gradients
from brainnet.explain.sanity import _judged, randomised_layers
from brainnet.explain.targets import Target
from brainnet.models.linear import majority

ROWS = np.arange(60)


@pytest.fixture
def fold(graph):
    return Fold(graph, ROWS[:45], ROWS[45:])


def test_gradients_depend_on_what_was_learned(cohort, fold):
    subjects, stages = cohort
    target = Target.of("extremes", fold.estimator.classes_)

    def gradients(estimator):
        found = integrated_gradients(estimator, subjects[fold.test], n_steps=8)
        return summarise(found.regions, "contrast", stages=stages[fold.test], target=target)

    found = check_sanity(fold, subjects, stages, gradients, n_permutations=1, n_steps=3)
    assert found.table["test"].value_counts().to_dict() == {"seed": 1, "labels": 1, "weights": 3}
    honest, labels, *_, weights = found.table["similarity"]
    assert honest > labels
    assert honest > weights
    assert found.verdict.split(":")[0] in ("Passes", "Fails", "Cannot tell")


def test_a_map_that_ignores_the_model_fails_in_words(cohort, fold):
    subjects, stages = cohort
    difference = subjects.edges[stages == "AD"].mean(0) - subjects.edges[stages == "CN"].mean(0)
    found = check_sanity(fold, subjects, stages, lambda _: difference.sum(axis=2),
                         n_permutations=1, n_steps=2)  # fmt: skip
    assert found.passed is False
    np.testing.assert_allclose(found.table["similarity"], 1)
    assert found.verdict.startswith("Fails: with permuted stages (1.00) and with permuted weights")
    assert "do not read it as what the model uses" in found.verdict


@pytest.mark.parametrize(
    "similarities, passed, words",
    [
        ((0.8, 0.1, 0.5, 0.1), True, "Passes"),
        ((0.8, 0.6, 0.5, 0.1), False, "with permuted stages (0.60) the map"),
        ((0.8, 0.1, 0.1, 0.6), False, "with permuted weights (0.60) the map"),
        ((0.1, 0.0, 0.0, 0.0), None, "Cannot tell"),
    ],
)
def test_verdicts(similarities, passed, words):
    table = pd.DataFrame(
        {"test": ["seed", "labels", "weights", "weights"], "step": list("abcd"),
         "similarity": similarities}
    )  # fmt: skip
    found = _judged(table)
    assert isinstance(found, Sanity)
    assert found.passed is passed
    assert words in found.verdict


def test_weights_are_permuted_from_the_output_down_and_the_model_stays(graph):
    before = {name: each.clone() for name, each in graph.model_.state_dict().items()}
    state = torch.random.get_rng_state()
    steps = list(randomised_layers(graph, n_steps=4, seed=0))
    assert torch.equal(state, torch.random.get_rng_state())
    after = graph.model_.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    changed = [
        {name for name, each in spoiled.model_.state_dict().items()
         if not torch.equal(each, before[name])}
        for _, spoiled in steps
    ]  # fmt: skip
    assert steps[0][0] == "head.0"  # two layers of eight: the head's
    assert all("head.3" in " ".join(some) for some in changed)
    assert all(one < other for one, other in pairwise(changed))
    for name, each in steps[-1][1].model_.state_dict().items():
        assert torch.equal(each.flatten().sort().values, before[name].flatten().sort().values)
        if each.numel() > 3:
            assert name in changed[-1]


def test_other_estimators_are_refused(cohort, fold):
    subjects, stages = cohort
    other = Fold(majority().fit(np.zeros((60, 1)), stages), fold.train, fold.test)
    with pytest.raises(ValueError, match="must be a GraphClassifier"):
        check_sanity(other, subjects, stages, lambda _: np.zeros((2, 10)))
