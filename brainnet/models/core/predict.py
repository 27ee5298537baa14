"""Run a trained network over images of any size, within the memory that is given.

The whole volume goes through at once where it fits; otherwise windows do, one after another, and
what they say is blended into the result with Gaussian weights.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain, product

import torch
from torch import Tensor, nn

from brainnet.models.core._demand import (
    SLAB,
    Demand,
    Shape,
    choose_window,
    is_out_of_memory,
    measure,
    starts,
)
from brainnet.models.core.recipe import Precision

__all__ = ["inference", "predict", "softmax_over_channels"]

Activation = Callable[[Tensor, tuple[int, ...]], Tensor]

_DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16, "32-true": torch.float32}
#: Standard deviation of a window's weights, in edges; and their least value along an axis.
_SIGMA, _LEAST_WEIGHT = 0.125, 1e-3


def softmax_over_channels(logits: Tensor, flipped_axes: tuple[int, ...]) -> Tensor:
    """Return the softmax over axis 1 in float32; of a single channel its sigmoid."""
    if logits.shape[1] == 1:
        return logits.float().sigmoid()
    return logits.float().softmax(dim=1)


def predict(
    model: nn.Module,
    image: Tensor,
    *,
    activation: Activation = softmax_over_channels,
    window: Sequence[int] | None = None,
    overlap: float = 0.25,
    flips: Sequence[tuple[int, ...]] = ((),),
    max_memory: float = 4.0,
    precision: Precision = "bf16-mixed",
) -> Tensor:
    """Return the probabilities that a network gives to each voxel of an image.

    Parameters
    ----------
    model : torch.nn.Module
        On its device; gives ``(n_batch, n_outputs, *spatial)`` logits. Not changed.
    image : (n_batch, n_channels, *spatial) float tensor
        Finite, 1 to 3 spatial axes. Padded with zeros at the end of each axis to the multiple
        that the network needs (found by running it on a small cube), and cropped back.
    activation : callable
        ``activation(logits, flipped_axes)`` gives probabilities of the same spatial shape. It sees
        a slab of the image at a time, so it must treat each voxel alone; the slab is flipped back
        already. Where a channel means a side, swap the sides if 0 is in ``flipped_axes``.
    window : sequence of int, optional
        Edges of the sliding window, voxels; rounded up to the network's multiple. By default the
        whole image where it fits ``max_memory``, else the largest window that does.
    overlap : float
        Share of its edge that a window has in common with the next, in [0, 1).
    flips : sequence of tuples of int
        Spatial axes, from 0, that are flipped for each pass; passes are averaged. ``((), (0,))``
        is the image and its mirror image.
    max_memory : float
        Most memory for passes and result beyond what the process already holds, GB (10^9 bytes).
        On a GPU, its memory.
    precision : {"bf16-mixed", "16-mixed", "32-true"}
        bf16-mixed falls back to float32 on a processor that has no such arithmetic.

    Returns
    -------
    (n_batch, n_outputs, *spatial) float32 tensor
        On the CPU.

    Raises
    ------
    ValueError
        An argument outside its range; an image that is not finite; a network that does not accept
        the shape; no window fits ``max_memory``.
    MemoryError
        The machine had less memory than ``max_memory`` allowed.
    FloatingPointError
        The network gave what is not finite.

    Notes
    -----
    A network with instance normalisation sees the statistics of what passes through it, so windows
    and whole volume differ beyond the borders of windows. A window weighs by a Gaussian of its
    place, standard deviation an eighth of the edge, as in nnU-Net.

    References
    ----------
    Isensee et al. (2021), nnU-Net, Nat Methods 18:203-211.

    Examples
    --------
    >>> edges = nn.Conv3d(1, 2, kernel_size=3, padding=1)
    >>> probabilities = predict(edges, torch.rand(1, 1, 20, 24, 18), flips=((), (0,)))
    >>> probabilities.shape, bool(torch.allclose(probabilities.sum(dim=1), torch.ones(())))
    (torch.Size([1, 2, 20, 24, 18]), True)
    """
    n_axes = image.ndim - 2
    flips = [tuple(axes) for axes in flips]
    _check_image(image, n_axes)
    _check_options(n_axes, window, overlap, flips, max_memory)
    with _clear_when_full(max_memory), inference(model, precision=precision) as network:
        walk = _Walk(network, activation, flips, _device(model))
        demand = walk.demand(image, None if window is None else tuple(window))
        spatial = tuple(image.shape[2:])
        n_bytes = 4 * len(image) * demand.n_channels * math.prod(spatial)
        limit = max_memory * 1e9
        if window is None:
            chosen = choose_window(demand, spatial, overlap=overlap, result=n_bytes, limit=limit)
        else:
            chosen = demand.round_up(tuple(window))
            _check_fits(demand, chosen, n_bytes, limit)
        with torch.inference_mode(False):  # the caller's tensor is one like any other
            result = torch.zeros((len(image), demand.n_channels, *spatial))
        for each, out in zip(image, result, strict=True):
            walk.over(each[None], out[None], chosen, overlap)
    return result


@contextmanager
def inference(model: nn.Module, *, precision: Precision = "32-true") -> Iterator[nn.Module]:
    """Give a model ready to be run for its result alone, in its precision, without gradients.

    On a CPU the volumes of a convolutional network are laid out channels last, and instance
    normalisation is done by the kernel of group normalisation, which reads that layout as it is:
    with bfloat16, half the time. The model itself keeps its weights, layout and mode.

    Parameters
    ----------
    model : torch.nn.Module
    precision : {"bf16-mixed", "16-mixed", "32-true"}

    Yields
    ------
    torch.nn.Module
        The model, or a copy that shares its weights.

    Raises
    ------
    ValueError
        No such precision.

    Examples
    --------
    >>> with inference(nn.Linear(2, 1), precision="bf16-mixed") as model:
    ...     out = model(torch.ones(3, 2))
    >>> out.requires_grad
    False
    """
    if precision not in _DTYPES:
        raise ValueError(f"precision must be one of {', '.join(_DTYPES)}; got {precision!r}.")
    device, dtype = _device(model), _DTYPES[precision]
    if dtype is torch.bfloat16 and device.type == "cpu" and not _has_bf16():
        dtype = torch.float32
    modes = {each: each.training for each in model.modules()}
    model.eval()
    try:
        network = _with_fast_norms(model) if device.type == "cpu" else model
        autocast = torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32)
        with torch.inference_mode(), autocast:
            yield network
    finally:
        for each, mode in modes.items():
            each.training = mode


@dataclass(frozen=True)
class _Walk:
    """A network on its way over an image."""

    model: nn.Module
    activation: Activation
    flips: Sequence[tuple[int, ...]]
    device: torch.device

    def demand(self, image: Tensor, window: Shape | None) -> Demand:
        """Measure what the network needs with the most flips of all passes."""
        axes = max(self.flips, key=len)
        return measure(
            lambda part: self.forward(part, axes),
            lambda logits: self.activation(_by_channel(logits), axes),
            image.shape[1],
            n_axes=image.ndim - 2,
            window=window,
            device=self.device,
        )

    def over(self, image: Tensor, out: Tensor, window: Shape, overlap: float) -> None:
        """Add the probabilities of one image ``(1, n_channels, *spatial)`` to ``out``."""
        sizes = image.shape[2:]
        axes = [
            _axis(size, edge, overlap) for size, edge in zip(sizes, window, strict=True)
        ]  # of each axis: where windows begin, and their weights there
        for places in product(*axes):
            weights = [weight for _, weight in places]
            region = _region((start, len(weight)) for start, weight in places)
            part = image[region]
            short = [edge - n for edge, n in zip(window, part.shape[2:], strict=True)]
            padding = [each for n in reversed(short) for each in (0, n)]
            part = nn.functional.pad(part.to(self.device, torch.float32), padding)
            for flipped in self.flips:
                self.add(part, flipped, out[region], weights)

    def add(self, part: Tensor, axes: tuple[int, ...], out: Tensor, weights: list[Tensor]) -> None:
        """Add a pass over one window, slab by slab, to its place in ``out``."""
        logits = self.forward(part, axes)[_region((0, n) for n in out.shape[2:])]
        for slab in _slabs(out.shape[2:]):
            found = self.activation(_by_channel(logits[:, :, slab]), axes)
            target = out[:, :, slab]
            if found.shape != target.shape:
                raise ValueError(
                    "activation must give as many channels and voxels everywhere; "
                    f"got {tuple(found.shape)} instead of {tuple(target.shape)}."
                )
            weight = _outer([weights[0][slab], *weights[1:]]) / len(self.flips)
            target.addcmul_(found.to("cpu", torch.float32), weight)
            if not math.isfinite(float(target.sum())):
                raise FloatingPointError(
                    "model must give finite numbers; got NaN or infinity. "
                    'Try precision="32-true", or train it anew.'
                )

    def forward(self, part: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return the logits of a window that passed through flipped, the right way round."""
        places = [2 + axis for axis in axes]
        if axes:
            part = part.flip(places)
        if part.ndim == 5 and self.device.type == "cpu":
            # copied, as contiguous() leaves a single channel's strides, and kernels go by them
            part = torch.empty(part.shape, memory_format=torch.channels_last_3d).copy_(part)
        logits: Tensor = self.model(part)
        if logits.shape[2:] != part.shape[2:]:
            raise ValueError(
                f"model must keep the spatial shape; got {tuple(logits.shape)} from "
                f"{tuple(part.shape)}. Give a network that ends at the size of its input."
            )
        return logits.flip(places) if axes else logits


def _axis(size: int, window: int, overlap: float) -> list[tuple[int, Tensor]]:
    """Return starts and weights of the windows along one axis; weights of a voxel sum to 1."""
    places = starts(size, window, overlap)
    distance = (torch.arange(window) - (window - 1) / 2) / (window * _SIGMA)
    bell = torch.exp(-0.5 * distance**2).clamp(min=_LEAST_WEIGHT)
    lengths = [min(window, size - start) for start in places]
    total = torch.zeros(size)
    for start, n in zip(places, lengths, strict=True):
        total[start : start + n] += bell[:n]
    return [
        (start, bell[:n] / total[start : start + n])
        for start, n in zip(places, lengths, strict=True)
    ]


def _region(edges: Iterable[tuple[int, int]]) -> tuple[slice, ...]:
    """Return the index of a box, given by a start and a length along each spatial axis."""
    return (slice(None), slice(None), *(slice(start, start + n) for start, n in edges))


def _by_channel(logits: Tensor) -> Tensor:
    """Return a slab with each channel in one piece: softmax and joins take half the time so."""
    return logits.contiguous()


def _outer(weights: Sequence[Tensor]) -> Tensor:
    """Return the product of one vector an axis, shape ``(1, 1, *spatial)``."""
    product_ = torch.ones((1, 1, *[1] * len(weights)))
    for axis, each in enumerate(weights):
        shape = [1] * (len(weights) + 2)
        shape[2 + axis] = -1
        product_ = product_ * each.reshape(shape)
    return product_


def _slabs(shape: Sequence[int]) -> Iterator[slice]:
    """Yield slices of the first axis that hold `SLAB` voxels or fewer, or one plane."""
    n_planes = max(1, SLAB // math.prod(shape[1:]))
    for start in range(0, shape[0], n_planes):
        yield slice(start, start + n_planes)


def _with_fast_norms(model: nn.Module) -> nn.Module:
    """Return a copy on the same weights in which group norms stand for 3-D instance norms."""
    if not any(_is_swappable(each) for each in model.modules()):
        return model
    shared = {id(each): each for each in chain(model.parameters(), model.buffers())}
    copy = deepcopy(model, shared)
    for parent in list(copy.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.InstanceNorm3d) and _is_swappable(child):
                setattr(parent, name, _group_norm(child))
    return copy


def _is_swappable(module: nn.Module) -> bool:
    return isinstance(module, nn.InstanceNorm3d) and not module.track_running_stats


def _group_norm(norm: nn.InstanceNorm3d) -> nn.GroupNorm:
    """Return what computes the same: every channel is a group of its own."""
    n_channels = norm.num_features
    group = nn.GroupNorm(n_channels, n_channels, eps=norm.eps, affine=norm.affine)
    if norm.affine:
        group.weight, group.bias = norm.weight, norm.bias
    return group.eval()


def _device(model: nn.Module) -> torch.device:
    tensors: Iterable[Tensor] = chain(model.parameters(), model.buffers())
    return next((each.device for each in tensors), torch.device("cpu"))


def _has_bf16() -> bool:
    """Tell whether convolutions in bfloat16 are fast here; without, they are far slower."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextmanager
def _clear_when_full(max_memory: float) -> Iterator[None]:
    """Turn what an allocator says into one error that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryError(
            f"max_memory must be less than what is free; got {max_memory:g} GB, and the machine "
            "ran out. Lower it, or close other programs."
        ) from error


def _check_fits(demand: Demand, window: Shape, result: float, limit: float) -> None:
    needed = result + demand.bytes_for(window)
    if needed > limit:
        raise ValueError(
            f"max_memory must be {math.ceil(needed / 1e7) / 100:.2f} GB or more for windows of "
            f"{'x'.join(map(str, window))}; got {limit / 1e9:g}. Raise it, or give a "
            "smaller window or none."
        )


def _check_image(image: Tensor, n_axes: int) -> None:
    if n_axes not in (1, 2, 3) or 0 in image.shape:
        raise ValueError(
            "image must be (n_batch, n_channels, *spatial) with 1 to 3 spatial axes, none empty; "
            f"got {tuple(image.shape)}. Add the batch and channel axes with image[None, None]."
        )
    if not bool(image.isfinite().all()):
        raise ValueError("image must be finite; got NaN or infinity. Replace them first.")


def _check_options(
    n_axes: int,
    window: Sequence[int] | None,
    overlap: float,
    flips: Sequence[tuple[int, ...]],
    max_memory: float,
) -> None:
    if window is not None and (len(window) != n_axes or min(window) < 1):
        raise ValueError(f"window must be {n_axes} positive edges; got {tuple(window)}.")
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap must be in [0, 1); got {overlap}. Try 0.25.")
    wrong = [axes for axes in flips if len(set(axes)) < len(axes) or set(axes) - set(range(n_axes))]
    if not flips or wrong:
        raise ValueError(
            f"flips must be tuples of spatial axes 0 to {n_axes - 1}; got {flips}. "
            "Give ((),) for none."
        )
    if not max_memory > 0:
        raise ValueError(f"max_memory must be positive, in GB; got {max_memory}.")
