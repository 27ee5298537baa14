"""The training loop."""

import copy
import math
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from brainnet.models.core import fit as fitting
from brainnet.models.core.fit import fit, fork_seed, make_fabric, threads
from brainnet.models.core.recipe import Recipe


def _square(model, pair):
    return ((model(pair[0]) - pair[1]) ** 2).mean()


def _line(n=32, slope=3.0, seed=0):
    x = torch.randn(n, 1, generator=torch.Generator().manual_seed(seed))
    return [(x, slope * x + 1)]


def _linear():
    with fork_seed(0):
        return nn.Linear(1, 1)


def _network():
    with fork_seed(0):
        return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))


def _pairs(n_batches, n=4, seed=1):
    made = torch.Generator().manual_seed(seed)
    x = torch.randn(n_batches, n, 3, generator=made)
    return [(each, each.sum(dim=1, keepdim=True)) for each in x]


def _constant(items):
    return lambda epoch: items


def _weights(model):
    return torch.cat([each.detach().flatten() for each in model.parameters()])


def test_a_network_of_volumes_is_trained_channels_last():
    with fork_seed(0):
        model = nn.Sequential(nn.InstanceNorm3d(2, affine=True), nn.Conv3d(2, 2, 3))
    image = torch.rand(1, 2, 6, 6, 6).contiguous(memory_format=torch.channels_last_3d)
    seen = []
    model[0].register_forward_hook(lambda *each: seen.append(each[-1]))
    target = torch.zeros(1, 2, 4, 4, 4)
    fit(model, _constant([(image, target)]), _square, recipe=Recipe(n_epochs=2, average=0.5))
    assert all(each.is_contiguous(memory_format=torch.channels_last_3d) for each in seen)
    assert len(seen) == 2
    assert model[1].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert not copy.deepcopy(model).training


def test_threads_are_as_many_as_asked_for_and_then_as_before():
    before = torch.get_num_threads()
    with threads(before + 1) as n_threads:
        assert n_threads == torch.get_num_threads() == before + 1
    with threads(None) as n_threads:
        assert n_threads == before
    with pytest.raises(ValueError, match="n_threads must be 1 or more; got 0"), threads(0):
        pass


def test_recovers_a_line():
    model = _linear()
    recipe = Recipe(n_epochs=400, learning_rate=0.05, weight_decay=0.0)
    history = fit(model, _constant(_line()), _square, recipe=recipe)
    assert model.weight.item() == pytest.approx(3, abs=0.01)
    assert model.bias.item() == pytest.approx(1, abs=0.01)
    assert not model.training
    assert len(history.train_loss) == 400


def test_stops_and_goes_back_to_the_best_epoch():
    model, states = _linear(), []

    def record(network, pair):
        if not network.training:
            states.append(copy.deepcopy(model.state_dict()))
        return _square(network, pair)

    # training pulls to slope 3, validation has slope 1: the loss on it falls, then rises
    history = fit(
        model, _constant(_line()), record, validation=_line(slope=1.0),
        recipe=Recipe(n_epochs=300, learning_rate=0.05, patience=5),
    )  # fmt: skip
    best = history.best_epoch
    assert best == min(range(len(states)), key=lambda i: history.validation_loss[i])
    assert len(history.train_loss) == best + 5 + 1 < 300
    assert torch.equal(model.weight, states[best]["weight"])
    assert not torch.equal(model.weight, states[-1]["weight"])


def test_decay_spares_biases_and_follows_the_learning_rate():
    model = _linear()
    with torch.no_grad():
        model.weight.fill_(1.0)
        model.bias.fill_(1.0)
    still = [(torch.zeros(1, 1), torch.ones(1, 1))] * 2  # the loss is 0: only the decay moves
    recipe = Recipe(
        n_epochs=5, learning_rate=0.1, weight_decay=0.5, schedule="cosine", warmup=0.2
    )  # fmt: skip
    fit(model, _constant(still), _square, recipe=recipe)
    assert model.bias.item() == pytest.approx(1.0)
    rates = [0.1 * (i + 0.5) / 2 for i in range(2)]  # warm-up over the first of five epochs
    rates += [0.05 * (1 + math.cos(math.pi * (i + 0.5) / 8)) for i in range(8)]
    expected = math.prod(1 - rate * 0.5 for rate in rates)
    assert model.weight.item() == pytest.approx(expected, rel=1e-5)


def test_batches_without_a_length_take_the_rate_of_the_middle_of_the_epoch():
    model = _linear()
    with torch.no_grad():
        model.weight.fill_(1.0)
    still = (torch.zeros(1, 1), model.bias.detach().clone()[None])
    recipe = Recipe(n_epochs=2, learning_rate=0.1, weight_decay=0.5, warmup=0.9)
    fit(model, lambda epoch: (still for _ in range(3)), _square, recipe=recipe)
    rates = [0.1 * 0.25 / 0.9] * 3 + [0.1 * 0.75 / 0.9] * 3
    assert model.weight.item() == pytest.approx(math.prod(1 - 0.5 * rate for rate in rates))


def test_accumulated_batches_equal_large_ones_also_where_the_last_are_fewer():
    small = _pairs(5)
    large = [
        tuple(torch.cat(each) for each in zip(*small[i : i + 2], strict=True)) for i in (0, 2, 4)
    ]
    two, one = _network(), _network()
    for model in (one, two):
        model[2].p = 0.0
    fit(two, _constant(small), _square, recipe=Recipe(n_epochs=4, n_accumulate=2))
    fit(one, _constant(large), _square, recipe=Recipe(n_epochs=4))
    torch.testing.assert_close(_weights(two), _weights(one), rtol=1e-5, atol=1e-6)


def test_is_the_loop_one_would_write():
    """AdamW, clipping and the moving average against plain torch, written out."""
    model, batches = _linear(), [pair for seed in range(6) for pair in _line(4, seed=seed)]
    plain = copy.deepcopy(model)
    recipe = Recipe(
        n_epochs=3, learning_rate=0.1, weight_decay=0.0, clip=0.5, average=0.9, schedule="cosine"
    )  # fmt: skip
    fit(model, _constant(batches), _square, recipe=recipe)

    optimizer = torch.optim.AdamW(plain.parameters(), weight_decay=0.0)
    mean = None
    for number, pair in enumerate(batches * 3):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 + math.cos(math.pi * (number + 0.5) / 18))
        optimizer.zero_grad()
        _square(plain, pair).backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimizer.step()
        decay = min(0.9, (1 + number) / (10 + number))
        now = _weights(plain)
        mean = now if mean is None else decay * mean + (1 - decay) * now
    torch.testing.assert_close(_weights(model), mean, rtol=1e-5, atol=1e-6)


def test_moving_average_is_what_is_validated():
    """With weights that only decay, 1, 1 - d, (1 - d)^2, ..., the average has a closed form."""
    model, seen = _linear(), []
    with torch.no_grad():
        model.weight.fill_(1.0)
        model.bias.fill_(0.0)
    still = [(torch.zeros(1, 1), torch.zeros(1, 1))]

    def look(network, pair):
        if not network.training:
            seen.append(network(torch.ones(1, 1)).item())
        return _square(network, pair)

    recipe = Recipe(n_epochs=3, learning_rate=0.1, weight_decay=1.0, average=0.1)
    fit(model, _constant(still), look, validation=still, recipe=recipe)
    first, second, third = 0.9, 0.81, 0.729
    expected = [first, 0.1 * first + 0.9 * second]
    expected.append(0.1 * expected[1] + 0.9 * third)
    assert seen == pytest.approx(expected)


def test_bf16_computes_in_bf16_and_keeps_weights_in_float32():
    seen = set()

    class Spy(nn.Linear):
        def forward(self, x):
            found = super().forward(x)
            seen.add(found.dtype)
            return found

    with fork_seed(0):
        model = Spy(1, 1)
    recipe = Recipe(n_epochs=300, learning_rate=0.05, precision="bf16-mixed", average=0.9)
    fit(model, _constant(_line()), _square, validation=_line(), recipe=recipe)
    assert seen == {torch.bfloat16}
    assert model.weight.dtype == torch.float32
    assert model.weight.item() == pytest.approx(3, abs=0.05)


def test_precision_that_a_device_or_fabric_does_not_have_is_refused():
    with pytest.raises(ValueError, match="bf16-mixed"):
        make_fabric(Recipe(precision="16-mixed"))
    other = make_fabric(Recipe(precision="bf16-mixed"))
    with pytest.raises(ValueError, match=r"32-true; got bf16-mixed.*make_fabric"):
        fit(_linear(), _constant(_line()), _square, fabric=other)


def test_loss_that_is_not_finite_is_named_before_it_spoils_the_weights():
    model = _linear()
    before = _weights(model)
    bad = [(torch.tensor([[torch.nan]]), torch.ones(1, 1))]
    with pytest.raises(FloatingPointError, match=r"training loss.*epoch 0.*learning_rate"):
        fit(model, _constant(bad), _square)
    assert torch.equal(_weights(model), before)
    with pytest.raises(FloatingPointError, match="validation loss"):
        fit(_linear(), _constant(_line()), _square, validation=bad)


def test_no_batch_and_what_is_no_function_are_refused():
    with pytest.raises(ValueError, match="training batch"):
        fit(_linear(), _constant([]), _square)
    with pytest.raises(ValueError, match="validation batch"):
        fit(_linear(), _constant(_line()), _square, validation=[])
    with pytest.raises(ValueError, match=r"got list.*lambda epoch"):
        fit(_linear(), _line(), _square)


def test_an_iterator_that_ends_after_one_epoch_is_noticed():
    once = iter(_line())
    with pytest.raises(ValueError, match="training batch"):
        fit(_linear(), lambda epoch: once, _square, recipe=Recipe(n_epochs=2))


def test_same_seed_same_bits_and_the_global_generator_stays():
    items = TensorDataset(torch.randn(12, 3, generator=torch.Generator().manual_seed(3)))

    def fitted(seed):
        model, loader = _network(), DataLoader(items, 2, shuffle=True)
        fit(model, _constant(loader), lambda m, x: m(x[0]).square().mean(), recipe=_seeded(seed))
        return _weights(model)

    def _seeded(seed):
        return Recipe(n_epochs=2, seed=seed)

    before = torch.get_rng_state()
    first = fitted(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(fitted(0), first)
    assert not torch.equal(fitted(1), first)


def test_epochs_are_shuffled_anew_and_held_out_draws_are_not():
    orders, noise = [], []
    items = TensorDataset(torch.arange(8.0)[:, None])
    loader = DataLoader(items, 1, shuffle=True)

    def look(network, batch):
        (noise if not network.training else orders).append(float(batch[0] + torch.rand(1)))
        return network(batch[0]).mean() ** 2

    fit(
        _linear(), _constant(loader), look, validation=[(torch.zeros(1, 1),)] * 2,
        recipe=Recipe(n_epochs=3, learning_rate=1e-6),
    )  # fmt: skip
    shuffled = [[int(each) for each in orders[i : i + 8]] for i in (0, 8, 16)]
    assert all(sorted(each) == list(range(8)) for each in shuffled)
    assert len({tuple(each) for each in shuffled}) == 3
    assert len({each % 1 for each in orders}) == 24
    assert noise[0:2] == noise[2:4] == noise[4:6]
    assert noise[0] != noise[1]


def test_tensorboard_holds_the_history(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is an extra")
    from lightning_fabric.loggers import TensorBoardLogger
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = Recipe(n_epochs=3, learning_rate=0.1)
    logger = TensorBoardLogger(tmp_path, name="", version="")
    fabric = make_fabric(recipe, loggers=[logger])
    history = fit(
        _linear(), _constant(_line()), _square, validation=_line(), recipe=recipe, fabric=fabric
    )
    events = EventAccumulator(str(tmp_path)).Reload()
    found = {tag: [each.value for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert found["loss/training"] == pytest.approx(history.train_loss)
    assert found["loss/validation"] == pytest.approx(history.validation_loss)
    assert found["learning_rate"] == pytest.approx([0.1] * 3)


def test_bar_counts_epochs(capsys):
    fit(_linear(), _constant(_line()), _square, recipe=Recipe(n_epochs=2), progress=True)
    assert "2/2" in capsys.readouterr().err


def test_seed_is_forked_and_restored_even_after_an_error():
    before = torch.get_rng_state()
    with fork_seed(1):
        first = torch.rand(3)
    with pytest.raises(RuntimeError, match="dimensions"), fork_seed(1):
        torch.cat([first, torch.rand(3, 1)])
    assert torch.equal(torch.get_rng_state(), before)


def test_only_batches_still_needed_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "SAVE_EVERY", 0.0)

    class Counted(list):
        made = 0

        def __getitem__(self, number):
            Counted.made += 1
            return super().__getitem__(number)

    calls = 0

    def stop(model, pair):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return _square(model, pair)

    items, recipe = Counted(_pairs(5)), Recipe(n_epochs=1)
    with pytest.raises(KeyboardInterrupt):
        fit(_network(), _constant(items), stop, recipe=recipe, folder=tmp_path)
    Counted.made = 0
    history = fit(_network(), _constant(items), _square, recipe=recipe, folder=tmp_path)
    assert Counted.made == 2
    assert len(history.train_loss) == 1
    assert fit(_network(), _constant(items), stop, recipe=recipe, folder=tmp_path) == history


_DEVICES = """
import sys, warnings
import torch
from safetensors.torch import save_file
from torch import nn
from brainnet.models.core.fit import fit, fork_seed, make_fabric
from brainnet.models.core.recipe import Recipe

torch.set_num_threads(1)
n_devices, folder = int(sys.argv[1]), sys.argv[2]
# per update three rounds on two devices, or six batches on one; the last of an epoch is short
recipe = Recipe(n_epochs=3, learning_rate=0.05, n_accumulate=6 // n_devices, clip=1.0,
                schedule="cosine", warmup=0.2, average=0.9)
options = {"devices": 2, "strategy": "ddp"} if n_devices == 2 else {}
fabric = make_fabric(recipe, **options)
fabric.launch()
x = torch.randn(8, 4, 3, generator=torch.Generator().manual_seed(1))
pairs = [(each, each.sum(dim=1, keepdim=True)) for each in x]
with fork_seed(fabric.global_rank):  # DDP has to give all the weights of the first
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))
kinds = {"list": lambda epoch: pairs, "stream": lambda epoch: iter(pairs)}
loss = lambda model, pair: ((model(pair[0]) - pair[1]) ** 2).mean()
history = fit(model, kinds[sys.argv[3]], loss, validation=pairs[:1], recipe=recipe, fabric=fabric)
state = dict(model.state_dict()) | {"losses": torch.tensor(history.train_loss)}
save_file(state, f"{folder}/{sys.argv[3]}-{n_devices}-{fabric.global_rank}.safetensors")
"""


@pytest.mark.parametrize("kind", ["list", pytest.param("stream", marks=pytest.mark.slow)])
def test_two_devices_give_what_one_gives_with_the_same_batches(kind, tmp_path):
    from safetensors.torch import load_file

    script = tmp_path / "devices.py"
    script.write_text(_DEVICES)
    for n_devices in ("1", "2"):
        command = [sys.executable, str(script), n_devices, str(tmp_path), kind]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    names = [f"{kind}-1-0", f"{kind}-2-0", f"{kind}-2-1"]
    one, first, second = (load_file(tmp_path / f"{name}.safetensors") for name in names)
    for name, expected in one.items():
        torch.testing.assert_close(first[name], expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(first[name], second[name])
