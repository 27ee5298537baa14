"""The state of a training run in one file: tensors as safetensors, the rest as JSON in its header.

Nothing is pickled, so nothing in it can run.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from brainnet.io import DataError, save_bytes
from brainnet.io.files import read_buffer

__all__ = ["History", "Place", "load_state", "save_state"]

_KEY = "brainnet"

#: More than any network here needs, and less than a laptop has memory.
MAX_STATE_BYTES = 1 << 32


@dataclass
class History:
    """Mean loss of each epoch, and the epoch whose weights were kept (counted from 0)."""

    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    best_epoch: int = -1

    def last(self) -> dict[str, float]:
        """Return the losses of the last epoch, rounded for a bar."""
        found = {"loss": self.train_loss, "held out": self.validation_loss}
        return {name: round(values[-1], 4) for name, values in found.items() if values}


@dataclass
class Place:
    """How far training is: epochs closed, batches done in the next, and the best weights."""

    epoch: int = 0
    n_batches: int = 0
    losses: list[float] = field(default_factory=list)
    history: History = field(default_factory=History)
    best: dict[str, Tensor] = field(default_factory=dict)


def save_state(path: Path, recipe: dict[str, Any], parts: dict[str, Any], place: Place) -> None:
    """Write the state of every part and the place, whole or not at all.

    Parameters
    ----------
    path : Path
    recipe : dict
        What the state belongs to.
    parts : dict
        Objects with ``state_dict``, by name.
    place : Place
    """
    tensors: dict[str, Tensor] = {f"best/{name}": each for name, each in place.best.items()}
    rest = {name: _take(part.state_dict(), name, tensors) for name, part in parts.items()}
    where = {
        "epoch": place.epoch,
        "n_batches": place.n_batches,
        "losses": place.losses[: place.n_batches],
        "history": asdict(place.history),
    }
    copies = {name: each.detach().cpu().contiguous().clone() for name, each in tensors.items()}
    text = json.dumps({"recipe": recipe, "place": where, "rest": rest})
    header = json.dumps({"state": text, "sha256": _digest(text, copies)})
    save_bytes(save(copies, {_KEY: header}), path)  # one key: safetensors writes them in any order


def load_state(path: Path, recipe: dict[str, Any], parts: dict[str, Any]) -> Place:
    """Read a state into its parts, and return the place.

    Raises
    ------
    DataError
        The file is damaged, or was written by another recipe or for another network.
    """
    content = bytes(read_buffer(path, limit=MAX_STATE_BYTES))
    remedy = "Remove it to start anew, or train into another folder"
    try:
        size = int.from_bytes(content[:8], "little")
        header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][_KEY])
        tensors, state = load(content), json.loads(header["state"])
        whole = header["sha256"] == _digest(header["state"], tensors)
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise DataError(path, f"not a training state ({error})", remedy) from error
    if not whole:
        raise DataError(path, "damaged: its content is not what was written", remedy)
    if state["recipe"] != recipe:
        changed = sorted(k for k in recipe if state["recipe"].get(k) != recipe[k])
        raise DataError(path, f"written by another recipe ({', '.join(changed)} differ)", remedy)
    try:
        for name, part in parts.items():
            part.load_state_dict(_give(state["rest"][name], tensors))
    except (RuntimeError, ValueError, KeyError) as error:
        raise DataError(path, f"written for another network ({error})", remedy) from error
    where = state["place"]
    best = {k.removeprefix("best/"): v for k, v in tensors.items() if k.startswith("best/")}
    return Place(
        where["epoch"], where["n_batches"], where["losses"], History(**where["history"]), best
    )


def _digest(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _take(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Move tensors out of nested dicts and lists; leave their names in place."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, dict):
        items = [[key, _take(each, f"{name}/{key}", tensors)] for key, each in value.items()]
        return {"dict": items}  # pairs: JSON would turn numbers as keys into text
    if isinstance(value, (list, tuple)):
        return {"list": [_take(each, f"{name}/{i}", tensors) for i, each in enumerate(value)]}
    return {"value": value}


def _give(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Undo `_take`."""
    kind, held = next(iter(value.items()))
    if kind == "tensor":
        return tensors[held]
    if kind == "dict":
        return {key: _give(each, tensors) for key, each in held}
    if kind == "list":
        return [_give(each, tensors) for each in held]
    return held
