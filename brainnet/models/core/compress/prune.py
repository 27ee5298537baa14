"""Weights or whole channels taken out of a network, those that matter least first.

Weights that are set to zero make a network neither smaller on disk nor faster, for they are stored
and multiplied like any other: only its compressed file shrinks. Channels taken out make it both,
at a price in accuracy that some more training (`distil`) has to win back.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from brainnet.models.core.networks import build_network

__all__ = ["WIDTHS", "count_weights", "narrow", "prune_channels", "prune_weights"]

#: The option of each network that says how many channels its layers have.
WIDTHS: Mapping[str, str] = {
    "AutoEncoder": "channels",
    "DynUNet": "filters",
    "GCN": "n_hidden",
    "SegResNet": "init_filters",
    "SwinUNETR": "feature_size",
    "UNet": "channels",
}
_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d,
             nn.ConvTranspose3d, nn.Linear)  # fmt: skip
#: Operations that leave every channel what and where it is, by the start of their names.
_PLAIN = ("add", "sub", "mul", "relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh",
          "dropout", "feature_dropout", "max_pool", "avg_pool", "upsample", "contiguous", "clone",
          "alias", "hardtanh", "softplus", "mish")  # fmt: skip


def count_weights(model: nn.Module) -> int:
    """Return how many weights a network has, shared ones counted once."""
    return sum(each.numel() for each in model.parameters())


def prune_weights(model: nn.Module, share: float) -> nn.Module:
    """Return a copy in which a share of the weights, the smallest in magnitude, are 0.

    Weights of convolutions and linear layers, over all layers together; biases are left.

    Parameters
    ----------
    model : torch.nn.Module
    share : float
        In (0, 1).

    References
    ----------
    Han et al. (2015), Learning both weights and connections for efficient neural networks, NIPS.

    Examples
    --------
    >>> layer = nn.Linear(4, 1, bias=False)
    >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, 1.0, 2.0, -4.0]]))
    >>> prune_weights(layer, 0.5).weight.tolist()
    [[3.0, 0.0, 0.0, -4.0]]
    """
    _check_share(share)
    pruned = copy.deepcopy(model)
    layers = [each for each in pruned.modules() if isinstance(each, _WEIGHTED)]
    if not layers:
        raise ValueError(
            f"model must have convolutions or linear layers; got {type(model).__name__}. "
            "Nothing else is pruned."
        )
    chosen = [(each, "weight") for each in layers]
    prune.global_unstructured(chosen, pruning_method=prune.L1Unstructured, amount=share)
    for layer, name in chosen:
        prune.remove(layer, name)  # type: ignore[no-untyped-call]
    return pruned


def narrow(network: Mapping[str, Any], keep: float) -> dict[str, Any]:
    """Return a network's name and options with a share of the channels of each of its layers.

    Parameters
    ----------
    network : mapping
        ``name`` and ``options``, as a model card has them.
    keep : float
        In (0, 1). Numbers are rounded, to 1 at least.

    Examples
    --------
    >>> narrow({"name": "UNet", "options": {"channels": [16, 33]}}, 0.5)
    {'name': 'UNet', 'options': {'channels': [8, 16]}}
    """
    _check_share(keep, name="keep")
    name, options = network["name"], dict(network["options"])
    width = WIDTHS.get(name)
    if width not in options:
        raise ValueError(
            f"network must say how wide it is; {name} has no option "
            f"{width or 'that is known here'}. There are {', '.join(WIDTHS)}."
        )
    given = options[width]
    fewer = [max(1, round(each * keep)) for each in ([given] if isinstance(given, int) else given)]
    return {
        "name": name,
        "options": options | {width: fewer[0] if isinstance(given, int) else fewer},
    }


def prune_channels(
    model: nn.Module, network: Mapping[str, Any], *, share: float, example: Tensor
) -> tuple[nn.Module, dict[str, Any]]:
    """Return a narrower network made of a network's most useful channels.

    Every layer loses the same share. What a channel is worth is the size of the weights that read
    it, times that of the filter that makes it where no normalisation undoes that.

    Parameters
    ----------
    model : torch.nn.Module
        Of convolutions, normalisations of single channels, sums and concatenations.
    network : mapping
        ``name`` and ``options`` that built it.
    share : float
        Of channels to take out, in (0, 1).
    example : tensor
        An input that it takes.

    Returns
    -------
    model : torch.nn.Module
        In evaluation mode. Train it again before use.
    network : dict
        What builds it.

    Raises
    ------
    ValueError
        The network has a layer that ties channels together (a group norm, attention).

    References
    ----------
    Li et al. (2017), Pruning filters for efficient ConvNets, ICLR.
    """
    _check_share(share)
    smaller = narrow(network, 1 - share)
    pruned = build_network(smaller["name"], smaller["options"])
    sizes = {name: each.shape for name, each in pruned.state_dict().items()}
    try:
        pruned.load_state_dict(_Channels(model, example).keep(sizes))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"network must lose channels layer by layer; {network['name']} does not ({reason}). "
            "Distil a student instead."
        ) from error
    return pruned.eval(), smaller


class _Channels:
    """Which axes of which weights are one channel, found by following the network's operations.

    Channels are numbers; those that are added to one another are joined (union-find) and stay or
    go together. Those of input and output stay.
    """

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        model = copy.deepcopy(model).float().eval()
        self._weights = model.state_dict()
        self._parent: list[int] = []
        self._gain: list[float] = []  # size of what a channel carries
        self._worth: list[float] = []
        self._fixed: set[int] = set()
        self._layers: list[tuple[str, int, list[int]]] = []  # weight, axis, channels it makes
        self._axes: dict[int, dict[int, list[int]]] = {}  # storage of a weight: axis: channels
        program = torch.export.export(model, (example,))
        signature = program.graph_signature
        self._names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        held: dict[Any, list[int]] = {}
        for node in program.graph.nodes:
            if node.op == "call_function":
                held[node] = self._pass_through(node, held)
            elif node.op == "placeholder" and node.name not in self._names:
                held[node] = self._new([1.0] * example.shape[1])
                self._fixed.update(held[node])
            elif node.op == "output":
                self._fixed.update(each for out in node.args[0] for each in held[out])

    def keep(self, sizes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
        """Return the weights that are left when each layer keeps its best channels.

        ``sizes`` are the shapes wanted, by name.
        """
        worth = [0.0] * len(self._parent)
        for channel, each in enumerate(self._worth):
            worth[self._root(channel)] += each
        kept = {self._root(each) for each in self._fixed}
        decided = set(kept)
        for name, axis, channels in self._layers:
            roots = [self._root(each) for each in channels]
            if not decided.issuperset(roots):
                best = sorted(dict.fromkeys(roots), key=lambda root: -worth[root])
                kept.update(best[: sizes[name][axis]])
                decided.update(roots)
        left = {}
        for name, weight in self._weights.items():
            for axis, channels in self._axes.get(weight.data_ptr(), {}).items():
                rows = [i for i, each in enumerate(channels) if self._root(each) in kept]
                weight = weight.index_select(axis, torch.tensor(rows, dtype=torch.int64))
            left[name] = weight.clone()
        return left

    def _pass_through(self, node: Any, held: Mapping[Any, list[int]]) -> list[int]:
        """Return the channels of what an operation gives."""
        kind = node.target._schema.name.split("::")[-1].rstrip("_")
        if kind.startswith("conv"):
            return self._convolve(node, held, outputs=1 if "transpose" in kind else 0)
        if kind == "cat" and node.args[1:] == (1,):
            return [each for part in node.args[0] for each in held[part]]
        given = held.get(node.args[0]) if node.args else None
        if given is None or not kind.startswith((*_PLAIN, "instance_norm", "batch_norm", "prelu")):
            raise ValueError(
                f"network must be of layers whose channels stand alone; it has {kind}. "
                "Distil a student instead."
            )
        if kind in ("add", "sub", "mul"):
            return self._join(given, held.get(node.args[1], given))
        if kind.endswith("_norm") or kind == "prelu":
            self._scale(node, given)
        return given

    def _convolve(self, node: Any, held: Mapping[Any, list[int]], *, outputs: int) -> list[int]:
        source, weight, bias, *rest = (*node.args, None)[: len(node.args) + 1]
        if len(rest) > 3 and rest[3] not in (1, None):
            raise ValueError("network must have no grouped convolutions. Distil a student instead.")
        name = self._names[weight.name]
        values = self._weights[name]
        sizes = values.transpose(0, outputs).flatten(1).norm(dim=1)  # of each filter
        made = self._new(sizes.tolist())
        reads = values.transpose(0, 1 - outputs).flatten(1).norm(dim=1)
        for channel, read in zip(held[source], reads.tolist(), strict=True):
            self._worth[channel] += (read * self._gain[channel]) ** 2
        self._tie(weight, outputs, made)
        self._tie(weight, 1 - outputs, held[source])
        if bias is not None:
            self._tie(bias, 0, made)
        self._layers.append((name, outputs, made))
        return made

    def _scale(self, node: Any, channels: list[int]) -> None:
        """Tie the weights of a normalisation or a PReLU; what a norm gives out is of size 1."""
        tensors = [each for each in node.args[1:5] if getattr(each, "name", None) in self._names]
        sizes = [self._weights[self._names[each.name]].numel() for each in tensors]
        for each, size in zip(tensors, sizes, strict=True):
            if size == len(channels) and size > 1:
                self._tie(each, 0, channels)
        if "norm" in node.name:
            scales = self._weights[self._names[tensors[0].name]].abs() if tensors else None
            for place, channel in enumerate(channels):
                self._gain[channel] = 1.0 if scales is None else float(scales[place])

    def _join(self, first: list[int], second: list[int]) -> list[int]:
        if len(first) != len(second):
            raise ValueError("network must add as many channels as there are. Distil instead.")
        for one, other in zip(first, second, strict=True):
            if one != other:
                self._parent[self._root(other)] = self._root(one)
                self._gain[one] += self._gain[other]
        return first

    def _tie(self, tensor: Any, axis: int, channels: list[int]) -> None:
        storage = self._weights[self._names[tensor.name]].data_ptr()
        self._axes.setdefault(storage, {})[axis] = channels

    def _new(self, gains: list[float]) -> list[int]:
        first = len(self._parent)
        made = list(range(first, first + len(gains)))
        self._parent += made
        self._gain += gains
        self._worth += [0.0] * len(gains)
        return made

    def _root(self, channel: int) -> int:
        while self._parent[channel] != channel:
            channel = self._parent[channel]
        return channel


def _check_share(share: float, *, name: str = "share") -> None:
    if not 0 < share < 1:
        raise ValueError(f"{name} must be between 0 and 1, neither of them; got {share}.")
