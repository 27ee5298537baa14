"""The state of a training run: killed, resumed, damaged, mistaken for another's."""

import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from brainnet.io import DataError
from brainnet.models.core import fit as fitting
from brainnet.models.core.fit import fit, fork_seed
from brainnet.models.core.recipe import Recipe
from brainnet.models.core.state import Place, load_state, save_state

_RECIPE = Recipe(n_epochs=2, average=0.9)


def _loss(model, x):
    return model(x).square().mean()


def _batches(epoch):
    return [torch.ones(2, 3), torch.zeros(2, 3)]


def _model(n_out=2):
    with fork_seed(0):
        return nn.Linear(3, n_out)


@pytest.fixture
def trained(tmp_path):
    """A folder with the state of a finished run; validation, so that best weights are in it."""
    fit(_model(), _batches, _loss, validation=_batches(0), recipe=_RECIPE, folder=tmp_path)
    return tmp_path


def _state(folder):
    return folder / "training.safetensors"


# Trains with everything that has a memory; each child but the last is killed at one loss.
_KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from brainnet.models.core import fit as fitting
from brainnet.models.core.fit import fit, fork_seed
from brainnet.models.core.recipe import Recipe

torch.set_num_threads(1)
fitting.SAVE_EVERY = 0.0
folder, kills = Path(sys.argv[1]), [int(each) for each in sys.argv[2].split(",")]
recipe = Recipe(n_epochs=3, learning_rate=0.05, schedule="cosine", warmup=0.1, n_accumulate=2,
                clip=1.0, average=0.9, precision=sys.argv[3], seed=5)
x = torch.randn(14, 3, generator=torch.Generator().manual_seed(1))
data = TensorDataset(x, x.sum(dim=1, keepdim=True))


def train(name, kill_at=0):
    with fork_seed(0):
        model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3),
                              nn.Linear(8, 1))
    calls = 0

    def loss(network, pair):
        nonlocal calls
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        noise = 0.1 * torch.randn_like(pair[0])  # also in validation
        return ((network(pair[0] + noise) - pair[1]) ** 2).mean()

    loader = DataLoader(data, 2, shuffle=True)
    fit(model, lambda epoch: loader, loss, validation=[(x, x[:, :1])], recipe=recipe,
        folder=folder / name)
    save_file(model.state_dict(), folder / f"{name}.safetensors")


def child(name, kill_at=0):
    process = os.fork()
    if process == 0:
        train(name, kill_at)
        os._exit(0)
    return os.waitpid(process, 0)[1]


assert child("whole") == 0
for kill_at in kills:
    assert child("killed", kill_at) == signal.SIGKILL
assert child("killed") == 0
names = [folder / f"{name}.safetensors" for name in ("whole", "killed")]
states = [folder / name / "training.safetensors" for name in ("whole", "killed")]
assert names[0].read_bytes() == names[1].read_bytes(), "weights differ"
assert states[0].read_bytes() == states[1].read_bytes(), "states differ"
"""


@pytest.mark.parametrize(
    "precision", ["32-true", pytest.param("bf16-mixed", marks=pytest.mark.slow)]
)
def test_killed_again_and_again_it_comes_to_the_same_bytes(precision, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(_KILLED)
    # an epoch is 7 losses and 1 held out: killed at once, within an update, at the held-out
    # loss, in the next epoch, and so on
    command = [sys.executable, str(script), str(tmp_path), "1,4,6,1,5,3,1,5", precision]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_finished_run_is_read_not_repeated(trained):
    def never(model, x):
        raise AssertionError("trained again")

    model = _model()
    history = fit(model, _batches, never, validation=_batches(0), recipe=_RECIPE, folder=trained)
    assert len(history.train_loss) == 2
    again = _model()
    fit(again, _batches, _loss, validation=_batches(0), recipe=_RECIPE)
    assert torch.equal(model.weight, again.weight)
    assert not model.training


def test_state_of_another_recipe_is_refused_by_name(trained):
    other = Recipe(n_epochs=2, average=0.9, learning_rate=0.5, seed=3)
    with pytest.raises(DataError, match=r"another recipe \(learning_rate, seed differ\).*Remove"):
        fit(_model(), _batches, _loss, recipe=other, folder=trained)


def test_state_of_another_network_is_refused(trained):
    with pytest.raises(DataError, match="another network"):
        fit(_model(n_out=3), _batches, _loss, recipe=_RECIPE, folder=trained)


def test_state_of_another_number_of_devices_is_refused(trained):
    record = _RECIPE.record() | {"n_devices": 2}
    with pytest.raises(DataError, match="n_devices differ"):
        load_state(_state(trained), record, {})


def test_every_cut_is_refused(trained):
    content = _state(trained).read_bytes()
    for length in [1, 7, 8, 9, 100, len(content) // 2, len(content) - 1]:
        _state(trained).write_bytes(content[:length])
        with pytest.raises(DataError, match="not a training state"):
            fit(_model(), _batches, _loss, recipe=_RECIPE, folder=trained)
    _state(trained).write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        fit(_model(), _batches, _loss, recipe=_RECIPE, folder=trained)


def test_every_flipped_bit_is_refused(trained):
    content = bytearray(_state(trained).read_bytes())
    step = max(1, len(content) // 60)
    for place in [*range(0, len(content), step), len(content) - 1]:
        content[place] ^= 4
        _state(trained).write_bytes(content)
        with pytest.raises(DataError, match=r"not a training state|damaged"):
            fit(_model(), _batches, _loss, recipe=_RECIPE, folder=trained)
        content[place] ^= 4


def test_nothing_in_a_pickle_runs(trained):
    class Touch:
        def __reduce__(self):
            return (open, (str(trained / "ran"), "w"))

    for content in (pickle.dumps(Touch()), b"\xff" * 64, (2**40).to_bytes(8, "little") + b"{}"):
        _state(trained).write_bytes(content)
        with pytest.raises(DataError, match="not a training state"):
            fit(_model(), _batches, _loss, recipe=_RECIPE, folder=trained)
    assert not (trained / "ran").exists()


def test_place_and_optimizer_come_back_as_they_were(tmp_path):
    model = _model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, betas=(0.8, 0.9))
    _loss(model, torch.ones(1, 3)).backward()
    optimizer.step()
    place = Place(3, 1, [0.1, 0.2], best={"a": torch.tensor(1, dtype=torch.int64)})
    place.history.train_loss.append(1 / 3)
    path = tmp_path / "state"
    save_state(path, {"x": 0.1}, {"model": model, "optimizer": optimizer}, place)
    other = _model()
    with torch.no_grad():
        other.weight.zero_()
    empty = torch.optim.AdamW(other.parameters())
    back = load_state(path, {"x": 0.1}, {"model": other, "optimizer": empty})
    assert (back.epoch, back.n_batches, back.losses) == (3, 1, [0.1])  # only those of updates
    assert back.history == place.history
    assert torch.equal(back.best["a"], place.best["a"])
    assert torch.equal(other.weight, model.weight)
    for mine, theirs in zip(optimizer.state.values(), empty.state.values(), strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert tuple(empty.param_groups[0]["betas"]) == (0.8, 0.9)


def test_full_disk_leaves_the_older_state(tmp_path, monkeypatch):
    from brainnet.models.core import state

    monkeypatch.setattr(fitting, "SAVE_EVERY", 0.0)
    fit(_model(), _batches, _loss, recipe=_RECIPE, folder=tmp_path)
    before = _state(tmp_path).read_bytes()

    def full(content, path):
        raise DataError(path, "could not be written (No space left on device)", "Free space")

    monkeypatch.setattr(state, "save_bytes", full)
    _state(tmp_path).rename(tmp_path / "kept")
    with pytest.raises(DataError, match="No space"):
        fit(_model(), _batches, _loss, recipe=_RECIPE, folder=tmp_path)
    assert (tmp_path / "kept").read_bytes() == before
    assert not _state(tmp_path).exists()
