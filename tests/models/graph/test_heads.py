"""Heads against their formulas, written out subject by subject."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from brainnet.models.graph.heads import HEADS, Categorical, Coral, Corn


def _sigmoid(x):
    return 1 / (1 + math.exp(-x))


def _outputs(name, n_stages, n_subjects=20, spread=3.0):
    generator = torch.Generator().manual_seed(1)
    return spread * torch.randn(n_subjects, HEADS[name].n_outputs(n_stages), generator=generator)


def _beyond(name, row):
    """P(y > k) for every k, from the definition."""
    values = row.tolist()
    if name == "corn":
        return [math.prod(_sigmoid(each) for each in values[: k + 1]) for k in range(len(values))]
    score, threshold, *gaps = values
    thresholds = [threshold]
    for gap in gaps:
        thresholds.append(thresholds[-1] + math.log(1 + math.exp(gap)))
    return [_sigmoid(score - each) for each in thresholds]


@pytest.mark.parametrize("name", ["coral", "corn"])
def test_probabilities_are_those_of_the_formula(name):
    outputs = _outputs(name, 4)
    for row, found in zip(outputs, HEADS[name].probabilities(outputs), strict=True):
        ends = [1.0, *_beyond(name, row), 0.0]
        expected = [before - after for before, after in pairwise(ends)]
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("n_stages", [2, 3, 5])
@pytest.mark.parametrize("name", list(HEADS))
def test_probabilities_are_probabilities_whatever_the_network_says(name, n_stages):
    for spread in (1.0, 30.0, 300.0):
        chances = HEADS[name].probabilities(_outputs(name, n_stages, 200, spread))
        assert chances.shape == (200, n_stages)
        assert chances.min() >= 0
        torch.testing.assert_close(chances.sum(dim=1), torch.ones(200, dtype=torch.float64))


def test_coral_loss_is_the_sum_of_its_binary_losses():
    outputs, targets = _outputs("coral", 4), torch.arange(20) % 4
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    total = 0.0
    for row, stage in zip(outputs, targets.tolist(), strict=True):
        for k, beyond in enumerate(_beyond("coral", row)):
            total -= weights[stage].item() * math.log(beyond if stage > k else 1 - beyond)
    expected = total / weights[targets].sum().item()
    assert Coral().loss(outputs, targets, weights).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["categorical", "corn"])
def test_loss_is_the_negative_logarithm_of_the_stage_s_probability(name):
    outputs, targets = _outputs(name, 4), torch.arange(20) % 4
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    logs = HEADS[name].probabilities(outputs)[torch.arange(20), targets].log()
    expected = -(logs * weights[targets]).sum() / weights[targets].sum()
    found = HEADS[name].loss(outputs, targets, weights)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


def test_corn_asks_only_what_the_stage_answers():
    outputs = torch.zeros(1, 3, requires_grad=True)
    Corn().loss(outputs, torch.tensor([1]), torch.ones(4)).backward()
    np.testing.assert_allclose(outputs.grad.numpy(), [[-0.5, 0.5, 0.0]])


@pytest.mark.parametrize("name", ["coral", "corn"])
def test_a_higher_score_is_never_a_lower_stage(name):
    head = HEADS[name]
    outputs = _outputs(name, 4)
    step = torch.zeros(outputs.shape[1])
    step[: 1 if name == "coral" else None] = 0.7
    low, high = (head.probabilities(each).cumsum(1) for each in (outputs, outputs + step))
    assert (high <= low + 1e-12).all()


@pytest.mark.parametrize("name", ["coral", "corn"])
def test_a_stage_counts_by_its_weight_not_by_its_number(name):
    head, outputs = HEADS[name], _outputs(name, 3, 2)
    few, many = torch.tensor([0, 2]), torch.tensor([0, 2, 2, 2])
    rows = outputs[[0, 1, 1, 1]]
    once = head.loss(outputs, few, torch.tensor([1.0, 1.0, 1.0]))
    balanced = head.loss(rows, many, torch.tensor([3.0, 1.0, 1.0]))
    torch.testing.assert_close(once, balanced)


def _error(head, rows, targets, tests, truth):
    """Mean absolute stage error of a linear network fitted with the head."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Linear(rows.shape[1], head.n_outputs(5))
    search = torch.optim.LBFGS(network.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        search.zero_grad()
        value = head.loss(network(rows), targets, torch.ones(5))
        value = value + 0.01 * network.weight.square().sum()
        value.backward()
        return value

    search.step(loss)
    with torch.no_grad():
        found = head.probabilities(network(tests)).argmax(dim=1)
    return (found - truth).abs().double().mean().item()


@pytest.mark.parametrize("name", ["coral", "corn"])
def test_stages_along_one_line_are_missed_by_less_than_without_an_order(name):
    rng = np.random.default_rng(0)
    errors = {"ordinal": [], "categorical": []}
    for _ in range(5):
        table = torch.from_numpy(rng.normal(size=(1100, 10)).astype(np.float32))
        severity = table[:, :3].sum(dim=1) + torch.from_numpy(rng.normal(0, 0.5, 1100)).float()
        stage = torch.bucketize(severity, torch.tensor([-1.5, -0.5, 0.5, 1.5]))
        for kind, head in (("ordinal", HEADS[name]), ("categorical", Categorical())):
            errors[kind].append(_error(head, table[:100], stage[:100], table[100:], stage[100:]))
    assert np.mean(errors["ordinal"]) <= np.mean(errors["categorical"])
