"""What a forward pass takes: memory a voxel, output channels, and shapes that a network accepts."""

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["SLAB", "Demand", "Shape", "choose_window", "is_out_of_memory", "measure", "starts"]

Shape = tuple[int, ...]

#: Voxels whose probabilities are made at once.
SLAB = 1 << 17

#: Edges of the cubes that a network is tried on, voxels.
_CUBES = (32, 64, 96)
#: Shortest edge of a window that is chosen for a caller, voxels.
_LEAST = 32
#: What kernels and their code take beside tensors, measured with oneDNN: a share of them, bytes.
_SCRATCH, _FIXED = 0.3, 150e6

_SHRINKING = ("aten.conv", "aten.mkldnn_conv", "aten.max_pool", "aten.avg_pool")
_FULL = ("allocate memory", "out of memory", "not enough memory", "bad_alloc", "memory object")


@dataclass(frozen=True)
class Demand:
    """What a network needs.

    Parameters
    ----------
    multiple : tuple of int
        Shapes that are multiples of it pass through.
    kept : float
        Bytes that stay once the network has run: its weights in the precision of the pass.
    forward, activation : float
        Peak bytes a voxel of the forward pass and of the activation.
    n_channels : int
        Channels of the activation's output.
    """

    multiple: Shape
    kept: float
    forward: float
    activation: float
    n_channels: int

    def bytes_for(self, window: Shape) -> float:
        """Return the peak of a pass over one window, without the result."""
        n_voxels = math.prod(window)
        tensors = self.forward * n_voxels + self.activation * min(SLAB, n_voxels)
        return _FIXED + self.kept + (1 + _SCRATCH) * tensors

    def round_up(self, shape: Shape) -> Shape:
        """Return the smallest shape that the network accepts and ``shape`` fits in."""
        return tuple(-(-n // m) * m for n, m in zip(shape, self.multiple, strict=True))


def measure(
    forward: Callable[[Tensor], Tensor],
    activation: Callable[[Tensor], Tensor],
    n_channels: int,
    *,
    n_axes: int,
    window: Shape | None,
    device: torch.device,
) -> Demand:
    """Run a network on a small cube, or else on ``window``, and watch its tensors come and go.

    Raises
    ------
    ValueError
        The network accepts none of the shapes.
    """
    cubes = [(edge,) * n_axes for edge in _CUBES]
    multiple: Shape = ()
    problem: Exception | None = None
    for shape in [*cubes, window] if window else cubes:
        try:
            part = torch.zeros((1, n_channels, *shape), device=device)
            demand, has_vectors = _measure_on(part, forward, activation)
        except (RuntimeError, ValueError, AssertionError) as error:
            if is_out_of_memory(error):
                raise
            problem = error
            continue
        if shape not in cubes:
            return replace(demand, multiple=(1,) * n_axes)
        # an edge of 1 may be a pooled vector or the deepest level: a larger cube will tell
        if not has_vectors or demand.multiple == multiple:
            return demand
        multiple = demand.multiple
    if problem is None:
        raise ValueError("model must shrink its input less than 96 times. Give window.")
    raise ValueError(
        f"model must accept {n_channels} channels, in a cube of "
        f"{', '.join(map(str, _CUBES))} voxels or in window; got: {problem}. "
        "Give an image and a window that it accepts."
    ) from problem


def choose_window(
    demand: Demand, shape: Shape, *, overlap: float, result: float, limit: float
) -> Shape:
    """Return the whole shape where it fits a limit in bytes, else the largest window that does.

    Raises
    ------
    ValueError
        Not even the smallest window fits.
    """
    window = list(demand.round_up(shape))
    least = demand.round_up(tuple(min(n, _LEAST) for n in shape))
    while result + demand.bytes_for(tuple(window)) > limit:
        room = [n - low for n, low in zip(window, least, strict=True)]
        if not any(room):
            needed = math.ceil((result + demand.bytes_for(least)) / 1e7) / 100
            raise ValueError(
                f"max_memory must be {needed:.2f} GB or more for an image of "
                f"{'x'.join(map(str, shape))} voxels (result {result / 1e9:.2f} GB, smallest "
                f"window {'x'.join(map(str, least))}); got {limit / 1e9:g}. "
                "Raise it, or give a coarser image."
            )
        axis = max(range(len(window)), key=lambda k: (room[k] > 0, window[k]))
        window[axis] -= demand.multiple[axis]
    pairs = zip(window, shape, demand.multiple, strict=True)
    return tuple(_shortest(*each, overlap=overlap) for each in pairs)


def starts(size: int, window: int, overlap: float) -> list[int]:
    """Return where windows begin along an axis: evenly spread, the last one at the end."""
    if window >= size:
        return [0]
    n = 1 + math.ceil((size - window) / max(1, window * (1 - overlap)))
    return [round(k * (size - window) / (n - 1)) for k in range(n)]


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an allocator gave up: torch's on a GPU or a CPU, oneDNN's, or Python's."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in _FULL)


def _shortest(window: int, size: int, multiple: int, *, overlap: float) -> int:
    """Return the shortest edge that covers an axis in no more windows."""
    n = len(starts(size, window, overlap))
    shorter = range(multiple, window, multiple)
    return next((w for w in shorter if len(starts(size, w, overlap)) <= n), window)


def _measure_on(
    part: Tensor, forward: Callable[[Tensor], Tensor], activation: Callable[[Tensor], Tensor]
) -> tuple[Demand, bool]:
    """Return the demand on one shape, and whether some level had an edge of 1 there."""
    shape = tuple(part.shape[2:])
    watches = [_Watch(len(shape)) for _ in range(3)]
    with _bare_operators():
        with watches[0]:  # makes autocast's copies of the weights
            forward(part)
        kept = watches[0].live
        with watches[1]:
            logits = forward(part)
        with watches[2]:
            labels = activation(logits)
    n_voxels = math.prod(shape)
    demand = Demand(
        watches[1].multiple(shape),
        kept=kept,
        forward=watches[1].peak / n_voxels,
        activation=watches[2].peak / n_voxels,
        n_channels=labels.shape[1],
    )
    return demand, watches[1].has_vectors


@contextmanager
def _bare_operators() -> Iterator[None]:
    """Leave inference mode, where an operator hides the tensors that it makes on its way."""
    with torch.inference_mode(False), torch.no_grad():
        yield


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Add up the storages that operators make, until they are freed."""

    def __init__(self, n_axes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.n_axes, self.live, self.peak = n_axes, 0, 0
        self.has_vectors = False
        self._edges: list[set[int]] = [set() for _ in range(n_axes)]
        self._alive: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True would import the compiler, for a second

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        for each in _tensors((args, kwargs)):
            self._add(each, counted=False)  # there before: weights, input
        out = func(*args, **(kwargs or {}))
        tensors = _tensors(out)
        for each in tensors:
            self._add(each, counted=True)
        self.peak = max(self.peak, self.live)
        if str(func).startswith(_SHRINKING) and tensors[0].ndim == self.n_axes + 2:
            self._note(tensors[0].shape[2:])
        return out

    def multiple(self, shape: Shape) -> Shape:
        """Return by how much each axis of the input was shrunk at the deepest level."""
        return tuple(
            -(-size // min(edges, default=size))
            for size, edges in zip(shape, self._edges, strict=True)
        )

    def _note(self, shape: Sequence[int]) -> None:
        self.has_vectors |= min(shape) == 1
        for edges, size in zip(self._edges, shape, strict=True):
            if size > 1:
                edges.add(size)

    def _add(self, tensor: Tensor, *, counted: bool) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        n_bytes = storage.nbytes() if counted else 0
        self._alive.add(key)
        self.live += n_bytes
        weakref.finalize(storage, self._remove, key, n_bytes)

    def _remove(self, key: int, n_bytes: int) -> None:
        self._alive.discard(key)
        self.live -= n_bytes


def _tensors(tree: Any) -> list[Tensor]:
    return [each for each in tree_leaves(tree) if isinstance(each, Tensor)]
