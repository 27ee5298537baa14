"""Trained networks on disk: weights as safetensors, a model card as JSON, never a pickle.

The card is the paper of a network: what it is for, what it was trained on, how well it does, how
it is built. The weights carry the hash of the card and the card that of the weights, so that
neither is changed without the other being told.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from brainnet.io import DataError, load_json, save_bytes, save_json
from brainnet.io.files import read_buffer
from brainnet.models.core.networks import build_network

__all__ = [
    "CARD",
    "WEIGHTS",
    "card_text",
    "check_card",
    "load_arrays",
    "load_card",
    "load_checkpoint",
    "load_content",
    "load_weights",
    "save_checkpoint",
]

CARD, WEIGHTS = "card.json", "weights.safetensors"
MAX_WEIGHTS_BYTES = 1 << 32
_ARRAYS = "arrays/"  # no weight's name has a slash
_REMEDY = "Copy the model anew from where it came"
_HASH = "weights_sha256"
_REQUIRED = {"task": str, "network": dict, _HASH: str}


def save_checkpoint(
    folder: Path | str,
    model: nn.Module,
    card: Mapping[str, Any],
    *,
    dtype: torch.dtype = torch.float32,
    arrays: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a network and its card into a folder, and return the folder.

    Parameters
    ----------
    folder : path
        Made where it is missing.
    model : torch.nn.Module
        Made by ``build_network(card["network"]["name"], card["network"]["options"])``.
    card : mapping
        ``task`` (str) and ``network`` (``name`` and ``options``) are required; anything that JSON
        holds may follow: data, training, scores, limits.
    dtype : torch.dtype
        Of floating-point weights on disk; bfloat16 halves the size.
    arrays : mapping, optional
        Whatever else was learned and the network needs (medians, a centre, a scale), by name;
        kept in the types that they have.

    Raises
    ------
    ValueError
        A part of the card missing; weights or arrays that are not finite.
    """
    folder = Path(folder)
    missing = [key for key in ("task", "network") if key not in card]
    if missing:
        raise ValueError(f"card must have {', '.join(missing)}. Add it.")
    tensors = {
        name: each.to(dtype) if each.is_floating_point() else each
        for name, each in _own(model).items()
    }
    tensors |= {_ARRAYS + name: each for name, each in (arrays or {}).items()}
    for name, each in tensors.items():
        if each.is_floating_point() and not bool(each.isfinite().all()):
            raise ValueError(f"weights must be finite; {name} is not. Train again, slower.")
        tensors[name] = each.detach().cpu().contiguous().clone()
    text = card_text(card)
    weights = save(tensors, {"card": text})
    save_bytes(weights, folder / WEIGHTS)
    whole = json.loads(text) | {_HASH: hashlib.sha256(weights).hexdigest()}
    save_json(whole, folder / CARD)
    return folder


def load_checkpoint(
    folder: Path | str, *, task: str | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """Return a trained network, float32 and in evaluation mode, and its card.

    Parameters
    ----------
    folder : path
        As `save_checkpoint` wrote it, or :func:`~brainnet.models.core.compress.onnx.save_onnx`.
    task : str, optional
        What it must have been trained for.

    Raises
    ------
    DataError
        A file missing, damaged or changed; a network of another task; weights that do not fit the
        network that the card names, or are not finite; an ONNX model where the extra ``compress``
        is not installed.
    """
    folder = Path(folder)
    if load_json(folder / CARD).get("format") == "onnx":
        from brainnet.models.core.compress.onnx import load_onnx

        return load_onnx(folder, task=task)
    card = load_card(folder, _REQUIRED, task=task)
    weights = load_weights(folder, card)
    network = card["network"]
    try:
        model = build_network(network["name"], network["options"])
        own = _own(model)
        if set(own) != set(weights):
            raise ValueError(f"{len(set(own) ^ set(weights))} names differ")
        model.load_state_dict({k: _float(v) for k, v in weights.items()}, strict=False)
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        what = f"the weights do not fit the network of the card ({error})"
        raise DataError(folder / CARD, what, _REMEDY) from error
    return model.eval(), card


def load_card(
    folder: Path, required: Mapping[str, type], *, task: str | None = None
) -> dict[str, Any]:
    """Return a model card.

    Parameters
    ----------
    folder : Path
    required : mapping
        What must be in it, and of which type.
    task : str, optional
        What it must say that the network is for.

    Raises
    ------
    DataError
        The file is missing or damaged; something required is not there; another task.
    """
    path = folder / CARD
    card = load_json(path)
    for key, kind in required.items():
        if not isinstance(card.get(key), kind):
            raise DataError(path, f"the card has no {key}", _REMEDY)
    if task is not None and card["task"] != task:
        what = f"the network is for {card['task']!r}, not for {task!r}"
        raise DataError(path, what, f"Give a model whose card says {task!r}")
    return card


def load_content(path: Path, sha256: str, *, limit: int) -> bytes:
    """Return the bytes of a model; raise a DataError where they are not those of its card."""
    content = bytes(read_buffer(path, limit=limit))
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(path, "the bytes are not those that the card was written for", _REMEDY)
    return content


def check_card(folder: Path, card: Mapping[str, Any], written: str | None) -> None:
    """Raise a DataError where a card is not the one that was written into the model."""
    if written != card_text(card):
        what = "the card was changed after the model was written"
        raise DataError(folder / CARD, what, _REMEDY)


def card_text(card: Mapping[str, Any]) -> str:
    """Return a card as it is written into its model: without the hash of the file itself."""
    own = {key: each for key, each in card.items() if key not in (_HASH, "model_sha256")}
    return json.dumps(own, sort_keys=True, ensure_ascii=False, allow_nan=False)


def load_weights(folder: Path, card: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of a checkpoint after holding its file against its card.

    Raises
    ------
    DataError
        The file is damaged, is not the card's, or holds what is not finite.
    """
    return {k: v for k, v in _tensors(folder, card).items() if not k.startswith(_ARRAYS)}


def load_arrays(folder: Path, card: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return what `save_checkpoint` was given as ``arrays``; errors as in `load_weights`."""
    found = _tensors(folder, card).items()
    return {k.removeprefix(_ARRAYS): v for k, v in found if k.startswith(_ARRAYS)}


def _tensors(folder: Path, card: Mapping[str, Any]) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    content = load_content(path, card[_HASH], limit=MAX_WEIGHTS_BYTES)
    try:
        size = int.from_bytes(content[:8], "little")
        written = json.loads(content[8 : 8 + size])["__metadata__"]["card"]
        tensors = load(content)
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise DataError(path, f"not a checkpoint ({error})", _REMEDY) from error
    check_card(folder, card, written)
    for name, each in tensors.items():
        if each.is_floating_point() and not bool(each.isfinite().all()):
            raise DataError(path, f"{name} holds NaN or infinity", _REMEDY)
    return tensors


def _own(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a network, each by its first name only: a DynUNet has two for most."""
    first: dict[tuple[int, torch.Size], str] = {}
    for name, each in model.state_dict().items():
        place = (each.data_ptr(), each.shape) if each.numel() else (id(each), each.shape)
        first.setdefault(place, name)
    state = model.state_dict()
    return {name: state[name] for name in first.values()}


def _float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
