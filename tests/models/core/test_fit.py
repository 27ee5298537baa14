"""The training loop."""

import copy

import pytest
import torch
from torch import nn

from brainnet.models.core.fit import fit, fork_seed


def _square(model, pair):
    return ((model(pair[0]) - pair[1]) ** 2).mean()


def _line(n=32, slope=3.0, seed=0):
    x = torch.randn(n, 1, generator=torch.Generator().manual_seed(seed))
    return [(x, slope * x + 1)]


def _linear():
    with fork_seed(0):
        return nn.Linear(1, 1)


def test_recovers_a_line():
    model = _linear()
    history = fit(model, _line(), _square, n_epochs=400, learning_rate=0.05, weight_decay=0.0)
    assert model.weight.item() == pytest.approx(3, abs=0.01)
    assert model.bias.item() == pytest.approx(1, abs=0.01)
    assert not model.training
    assert len(history.train_loss) == 400


def test_stops_and_goes_back_to_the_best_epoch():
    model, states = _linear(), []

    def record(network, pair):
        if not network.training:
            states.append(copy.deepcopy(network.state_dict()))
        return _square(network, pair)

    # training pulls to slope 3, validation has slope 1: the loss on it falls, then rises
    history = fit(
        model, _line(), record, validation=_line(slope=1.0), n_epochs=300,
        learning_rate=0.05, patience=5,
    )  # fmt: skip
    best = history.best_epoch
    assert best == min(range(len(states)), key=lambda i: history.validation_loss[i])
    assert len(history.train_loss) == best + 5 + 1 < 300
    assert torch.equal(model.weight, states[best]["weight"])
    assert not torch.equal(model.weight, states[-1]["weight"])


def test_decay_spares_biases():
    model = _linear()
    with torch.no_grad():
        model.weight.fill_(1.0)
        model.bias.fill_(1.0)
    still = [(torch.zeros(1, 1), torch.ones(1, 1))]  # the loss is 0: only the decay moves
    fit(model, still, _square, n_epochs=10, learning_rate=0.1, weight_decay=0.5)
    assert model.bias.item() == pytest.approx(1.0)
    assert model.weight.item() == pytest.approx((1 - 0.1 * 0.5) ** 10)


def test_says_when_the_loss_is_not_finite_or_there_is_no_batch():
    with pytest.raises(FloatingPointError, match=r"epoch 0.*learning_rate"):
        fit(_linear(), [(torch.tensor([[torch.nan]]), torch.ones(1, 1))], _square)
    with pytest.raises(ValueError, match="training batch"):
        fit(_linear(), [], _square)


def test_seed_is_forked_and_restored_even_after_an_error():
    before = torch.get_rng_state()
    with fork_seed(1):
        first = torch.rand(3)
    with pytest.raises(RuntimeError, match="dimensions"), fork_seed(1):
        torch.cat([first, torch.rand(3, 1)])
    assert torch.equal(torch.get_rng_state(), before)
