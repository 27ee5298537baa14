"""Checkpoints: what comes back, and what is refused."""

import hashlib
import json
import pickle

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from brainnet.io import DataError
from brainnet.models.core.checkpoint import (
    CARD,
    WEIGHTS,
    load_arrays,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from brainnet.models.core.fit import fork_seed
from brainnet.models.core.networks import build_network

_NETWORK = {
    "name": "UNet",
    "options": {
        "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [2, 4],
        "strides": [2], "norm": "batch",
    },
}  # fmt: skip
_CARD = {"task": "brain", "network": _NETWORK, "scores": {"dice": 0.9, "näher": None}}


def _network():
    with fork_seed(0):
        return build_network(_NETWORK["name"], _NETWORK["options"])


@pytest.fixture
def saved(tmp_path):
    """A folder with a checkpoint."""
    return save_checkpoint(tmp_path / "model", _network(), _CARD)


def _forge(folder, tensors, card=None):
    """Write weights and a card that agree with one another, as save_checkpoint would not."""
    card = card or _CARD
    text = json.dumps(card, sort_keys=True, ensure_ascii=False)
    content = save(tensors, {"card": text})
    (folder / WEIGHTS).write_bytes(content)
    whole = card | {"weights_sha256": hashlib.sha256(content).hexdigest()}
    (folder / CARD).write_text(json.dumps(whole))


def test_comes_back_bit_for_bit_in_evaluation_mode(saved):
    model, card = load_checkpoint(saved, task="brain")
    expected = _network().state_dict()
    assert list(model.state_dict()) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert not model.training
    assert {k: v for k, v in card.items() if k != "weights_sha256"} == _CARD
    assert sorted(each.name for each in saved.iterdir()) == [CARD, WEIGHTS]


def test_same_network_same_bytes(saved, tmp_path):
    other = save_checkpoint(tmp_path / "other", _network(), _CARD)
    for name in (CARD, WEIGHTS):
        assert (saved / name).read_bytes() == (other / name).read_bytes()


def test_bfloat16_halves_the_file_and_comes_back_as_float32(saved, tmp_path):
    half = save_checkpoint(tmp_path / "half", _network(), _CARD, dtype=torch.bfloat16)
    expected = _network().state_dict()
    for name, value in load_checkpoint(half)[0].state_dict().items():
        assert value.dtype == expected[name].dtype
        torch.testing.assert_close(value, expected[name], rtol=2**-8, atol=0)
    tensors = [sum(v.nbytes for v in load((f / WEIGHTS).read_bytes()).values())
               for f in (half, saved)]  # fmt: skip
    assert tensors[0] < 0.6 * tensors[1]


def test_arrays_keep_their_types_and_are_no_weights(tmp_path):
    arrays = {"medians": torch.tensor([1 / 3], dtype=torch.float64), "order": torch.arange(3)}
    save_checkpoint(tmp_path, _network(), _CARD, dtype=torch.bfloat16, arrays=arrays)
    model, card = load_checkpoint(tmp_path)
    back = load_arrays(tmp_path, card)
    assert back.keys() == arrays.keys()
    assert all(torch.equal(back[k], arrays[k]) and back[k].dtype == arrays[k].dtype for k in back)
    assert load_weights(tmp_path, card).keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("key", "value"),
    [("task", "blood"), ("scores", {"dice": 0.99}), ("licence", "new"), ("network", _NETWORK | {})],
)
def test_a_changed_card_is_refused(saved, key, value):
    card = json.loads((saved / CARD).read_text())
    if key == "network":
        value = {"name": "UNet", "options": _NETWORK["options"] | {"norm": "instance"}}
    (saved / CARD).write_text(json.dumps(card | {key: value}))
    with pytest.raises(DataError, match="the card was changed"):
        load_checkpoint(saved)


def test_a_card_formatted_anew_is_the_same_card(saved):
    card = json.loads((saved / CARD).read_text())
    (saved / CARD).write_text(json.dumps(dict(reversed(card.items()))))
    load_checkpoint(saved)


def test_any_changed_byte_of_the_weights_is_refused(saved):
    content = bytearray((saved / WEIGHTS).read_bytes())
    for place in [0, 9, 200, len(content) // 2, len(content) - 1]:
        content[place] ^= 1
        (saved / WEIGHTS).write_bytes(content)
        with pytest.raises(DataError, match="not those that the card was written for"):
            load_checkpoint(saved)
        content[place] ^= 1


def test_weights_of_another_network_of_the_same_kind_are_refused(saved, tmp_path):
    other = save_checkpoint(tmp_path / "other", build_network(**_renamed()), _CARD)
    (saved / WEIGHTS).write_bytes((other / WEIGHTS).read_bytes())
    with pytest.raises(DataError, match="not those"):
        load_checkpoint(saved)


def _renamed():
    return {"name": _NETWORK["name"], "options": _NETWORK["options"]}


def test_another_task_is_refused(saved):
    with pytest.raises(DataError, match=r"for 'brain', not for 'haemorrhage'"):
        load_checkpoint(saved, task="haemorrhage")


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_missing_empty_and_cut_files_are_refused(saved, name):
    content = (saved / name).read_bytes()
    for part in (content[: len(content) // 2], b""):
        (saved / name).write_bytes(part)
        with pytest.raises(DataError, match=name):
            load_checkpoint(saved)
    (saved / name).unlink()
    with pytest.raises(DataError, match=name):
        load_checkpoint(saved)


def test_cut_weights_with_a_matching_card_are_refused(saved):
    content = (saved / WEIGHTS).read_bytes()
    for length in (4, 8, 100, len(content) - 1):
        (saved / WEIGHTS).write_bytes(content[:length])
        card = _CARD | {"weights_sha256": hashlib.sha256(content[:length]).hexdigest()}
        (saved / CARD).write_text(json.dumps(card))
        with pytest.raises(DataError, match="not a checkpoint"):
            load_checkpoint(saved)


def test_nothing_in_a_pickle_runs(saved):
    class Touch:
        def __reduce__(self):
            return (open, (str(saved / "ran"), "w"))

    content = pickle.dumps(Touch())
    (saved / WEIGHTS).write_bytes(content)
    with pytest.raises(DataError, match="not those"):
        load_checkpoint(saved)
    card = _CARD | {"weights_sha256": hashlib.sha256(content).hexdigest()}
    (saved / CARD).write_text(json.dumps(card))
    with pytest.raises(DataError, match="not a checkpoint"):
        load_checkpoint(saved)
    assert not (saved / "ran").exists()


def test_weights_that_are_not_finite_are_refused_on_both_ways(saved):
    tensors = _network().state_dict()
    name = next(name for name, each in tensors.items() if each.is_floating_point())
    for bad in (torch.nan, torch.inf):
        _forge(saved, tensors | {name: torch.full_like(tensors[name], bad)})
        with pytest.raises(DataError, match="NaN or infinity"):
            load_checkpoint(saved)
    model = _network()
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    with pytest.raises(ValueError, match="must be finite"):
        save_checkpoint(saved, model, _CARD)
    with pytest.raises(ValueError, match="must be finite"):
        save_checkpoint(saved, _network(), _CARD, arrays={"mean": torch.tensor([torch.inf])})


def test_weights_of_another_shape_or_name_are_refused(saved):
    tensors = _network().state_dict()
    name = next(iter(tensors))
    wrong = (
        tensors | {name: torch.zeros(5, 5)},
        {k: v for k, v in tensors.items() if k != name},
        tensors | {"more": torch.zeros(1)},
    )
    for each in wrong:
        _forge(saved, each)
        with pytest.raises(DataError, match="do not fit the network of the card"):
            load_checkpoint(saved)


@pytest.mark.parametrize(
    "network",
    [
        {"name": "os:system", "options": {}},
        {"name": "Unknown", "options": {}},
        {"name": ["UNet"], "options": {}},
        {"name": "UNet", "options": ["rm"]},
        {"name": "UNet", "options": {"evil": 1}},
        {"name": "UNet", "options": _NETWORK["options"] | {"channels": []}},
        {"name": "UNet", "options": _NETWORK["options"] | {"norm": "unheard"}},
        {"name": "UNet"},
        {},
    ],
)
def test_a_card_that_names_no_known_network_is_refused(saved, network):
    _forge(saved, _network().state_dict(), _CARD | {"network": network})
    with pytest.raises(DataError, match="do not fit the network of the card"):
        load_checkpoint(saved)


@pytest.mark.parametrize("key", ["task", "network", "weights_sha256"])
def test_a_card_without_its_parts_is_refused(saved, key):
    card = json.loads((saved / CARD).read_text())
    for changed in ({k: v for k, v in card.items() if k != key}, card | {key: 3}):
        (saved / CARD).write_text(json.dumps(changed))
        with pytest.raises(DataError, match=f"the card has no {key}"):
            load_checkpoint(saved)


def test_a_card_without_a_task_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="must have task, network"):
        save_checkpoint(tmp_path, nn.Linear(1, 1), {"scores": {}})
    assert not list(tmp_path.iterdir())
