"""The operations of deformable registration in torch: on a graphics processor, or the CPU.

The arithmetic is that of `_diffeo_kernels` and `_diffeo_total`, over whole arrays in place of
rows: float32 where those have float32, float64 where they have float64. What needs many numbers a
voxel is done in slabs, so that memory stays bounded.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainnet.imaging import _diffeo_kernels as kernels
from brainnet.imaging import _diffeo_torch_total as ends

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]

#: Points that are worked on at once, by type of device: what a cache holds, what keeps a card busy.
_AT_ONCE = {"cpu": 1 << 16, "cuda": 1 << 21}


class TorchEngine:
    """Passes over float32 tensors; fields (3, X, Y, Z) and their updates are in voxels."""

    def __init__(self, device: str = "cuda") -> None:
        import torch

        self._torch = torch
        self._device = check_device(device)
        self._at_once = _AT_ONCE[self._device.type]

    def close(self) -> None:
        """Give the device what memory was set aside."""
        if self._device.type == "cuda":
            self._torch.cuda.empty_cache()

    def release(self, *arrays: Any) -> None:
        """Do nothing: torch itself takes back what nobody holds."""

    def upload(self, images: Floats) -> Any:
        """Return a NumPy array as array of the engine."""
        return self._torch.tensor(np.ascontiguousarray(images, np.float32), device=self._device)

    def download(self, field: Any) -> Floats:
        """Return an array of the engine as NumPy array."""
        data: Floats = field.contiguous().cpu().numpy()
        return data

    def still(self, shape: tuple[int, ...]) -> Any:
        """Return a field that moves nothing."""
        return self._torch.zeros((3, *shape), device=self._device)

    def multiply(self, left: Any, right: Any) -> Any:
        """Return the product, voxel by voxel."""
        return left * right

    def pull(self, data: NDArray[Any], matrix: Matrix, shape: tuple[int, ...], scale: float) -> Any:
        """Return a volume times a scale, sampled at ``matrix @ voxel``: (1, X, Y, Z)."""
        source = self.upload(data)
        busy = _busy_cells(source)
        out = self._torch.zeros((1, *shape), device=self._device)
        for first, last in self._slabs(shape):
            place = self._carry(matrix, shape, first, last)
            _pull_points(source, busy, place, out[0, first:last].view(-1))
        return out.mul_(float(np.float32(scale)))

    def halve(self, images: Any) -> Any:
        """Return images (C, X, Y, Z) at half the resolution."""
        for axis in (1, 2, 3):
            n = images.shape[axis]
            even = self._count(0, n)[::2]
            odd = (even + 1).clamp(max=n - 1)
            images = images.index_select(axis, even) + images.index_select(axis, odd)
        return images * 0.125

    def double(self, field: Any, shape: tuple[int, ...]) -> Any:
        """Return a field at twice the resolution."""
        for axis in (1, 2, 3):
            fine, n = self._count(0, shape[axis - 1]), field.shape[axis]
            here = fine // 2
            beside = (here + 2 * (fine % 2) - 1).clamp(0, n - 1)
            near, far = field.index_select(axis, here), field.index_select(axis, beside)
            field = near.mul_(0.75).add_(far, alpha=0.25)
        return field * 2

    def warp(self, images: Any, field: Any) -> Any:
        """Return images (C, X, Y, Z) pulled through a field."""
        return _sample(images, field, 1.0)

    def compose(self, field: Any, update: Any, scale: float) -> Any:
        """Return the field that follows an update times a scale, then ``field``."""
        factor = float(np.float32(scale))
        return _sample(field, update, factor).add_(update, alpha=factor)

    def smooth(self, field: Any, weights: Floats) -> tuple[Any, float]:
        """Return a filtered field and the largest displacement along an axis in it."""
        out = _filter(field, [float(weight) for weight in weights])
        least, most = self._torch.aminmax(out)
        return out, float(self._torch.maximum(-least, most))

    def push(
        self, pair: tuple[Any, Any], weight: Any, forces: Any, momentum: float
    ) -> tuple[Any, float]:
        """Return forces (2, 3, X, Y, Z) that make two images alike, and how alike they are.

        Forces that are given are changed in place.
        """
        if forces is None:
            forces = self._torch.zeros((2, 3, *pair[0].shape[1:]), device=self._device)
        likeness = 0.0
        for c, (left, right) in enumerate(zip(*pair, strict=True)):
            ratios, squares = _correlation_ascent(left, right)
            likeness += float(squares)
            for image, ratio, force in zip((left, right), ratios, forces, strict=True):
                scaled = ratio if weight is None else ratio * weight[0]
                _add_force(image, scaled, momentum if c == 0 else 1.0, force)
        return forces, likeness / pair[0].numel()

    def least_jacobian(self, field: Any, to_voxel: Matrix | None = None) -> float:
        """Return the smallest Jacobian determinant of a displacement field (3, X, Y, Z)."""
        unit = np.eye(3) if to_voxel is None else to_voxel
        least = np.inf
        for first, last in self._slabs(field.shape[1:]):
            start = max(first - 1, 0)
            determinant = ends.determinant(field[:, start : last + 1], unit)
            least = min(least, float(determinant[first - start : last - start].min()))
        return least

    def total(
        self, back: Any, on: Any, matrices: tuple[Matrix, Matrix, Matrix], shape: tuple[int, ...]
    ) -> tuple[Any, float]:
        """Return world displacements (3, X, Y, Z) of a grid and the worst error of inversion."""
        into, out_of, affine = matrices
        out = self._torch.empty((3, *shape), device=self._device)
        worst = 0.0
        for first, last in self._slabs(shape):
            point, missed = ends.find_again(back, self._carry(into, shape, first, last))
            worst = max(worst, missed)
            point = point + ends.value_at(on, *ends.locate(on.shape[1:], point))
            here = self._carry(affine, shape, first, last)
            for r, (x, y, z, shift) in enumerate(out_of[:3].tolist()):
                there = x * point[0] + y * point[1] + z * point[2] + shift
                change = there - here[r] if r == 2 else here[r] - there  # to LPS
                out[r, first:last] = change.view(last - first, *shape[1:])
        return out, worst

    def _slabs(self, shape: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yield the first slice along x and the one after the last, of each slab of a grid."""
        thick = max(1, self._at_once // (shape[1] * shape[2]))
        for first in range(0, shape[0], thick):
            yield first, min(first + thick, shape[0])

    def _count(self, first: int, last: int) -> Any:
        """Return the whole numbers from ``first``, without ``last``."""
        return self._torch.arange(first, last, device=self._device)

    def _carry(self, matrix: Matrix, shape: Sequence[int], first: int, last: int) -> Any:
        """Return ``matrix @ voxel`` for all voxels of a slab: (3, points) float64."""
        x = self._count(first, last).double()[:, None, None]
        y, z = self._count(0, shape[1]).double()[:, None], self._count(0, shape[2]).double()
        rows = [a * x + b * y + c * z + shift for a, b, c, shift in matrix[:3].tolist()]
        return self._torch.stack([row.reshape(-1) for row in rows])


def check_device(device: str) -> Any:
    """Return the torch device of a name, which must be there."""
    import torch

    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or found.type not in _AT_ONCE:
        raise ValueError(f"device must be 'cpu', 'cuda' or 'cuda:<number>'; got {device!r}.")
    n_cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found.type == "cuda" and (found.index or 0) >= n_cards:
        raise ValueError(
            f"device must be one that torch can use; got {device!r}, and torch {torch.__version__} "
            f"sees {n_cards} CUDA devices. Use device='cpu', or install the driver and a torch "
            "built for CUDA."
        )
    return found


def _sample(images: Any, update: Any, factor: float) -> Any:
    """Interpolate images (C, X, Y, Z) linearly at ``x + factor * update(x)``, held inside."""
    import torch

    shape = images.shape[1:]
    grid = torch.empty_like(update)
    for axis, n in enumerate(shape):
        view = [1, 1, 1]
        view[axis] = n
        start = torch.arange(n, dtype=torch.float32, device=images.device).view(view)
        place = torch.add(start, update[axis], alpha=factor, out=grid[2 - axis])
        top = float(np.float32(n - 1) - kernels.EDGE)
        place.clamp_(0.0, top).mul_(2.0 / max(n - 1, 1)).sub_(1.0)
    return torch.nn.functional.grid_sample(
        images[None],
        grid.permute(1, 2, 3, 0)[None],
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )[0]


def _filter(images: Any, weights: Sequence[float]) -> Any:
    """Filter images (C, X, Y, Z) along all three axes, 0 outside.

    Sums of shifted images: a convolution may be rounded to 10 bits on a graphics processor.
    """
    import torch

    reach = len(weights) // 2
    for axis in (1, 2, 3):
        n = images.shape[axis]
        out = torch.zeros_like(images)
        for shift, weight in enumerate(weights, -reach):
            n_common = n - abs(shift)
            if n_common > 0 and weight != 0:
                near = images.narrow(axis, max(shift, 0), n_common)
                out.narrow(axis, max(-shift, 0), n_common).add_(near, alpha=weight)
        images = out
    return images


def _correlation_ascent(left: Any, right: Any) -> tuple[tuple[Any, Any], Any]:
    """Return derivatives of squared local correlation by both images, and its sum."""
    import torch

    width = 2 * kernels.RADIUS + 1
    products = torch.stack([left, right, left * left, right * right, left * right])
    mean_a, mean_b, aa, bb, ab = _filter(products, [1.0] * width).mul_(1 / width**3)
    aa.addcmul_(mean_a, mean_a, value=-1.0).clamp_(min=0.0)
    bb.addcmul_(mean_b, mean_b, value=-1.0).clamp_(min=0.0)
    ab.addcmul_(mean_a, mean_b, value=-1.0)
    flat = float(kernels.FLAT)
    slope = ab / (aa * bb + flat)
    a, b = left - mean_a, right - mean_b
    by_left = slope * (b - ab / (aa + flat) * a)
    by_right = slope * (a - ab / (bb + flat) * b)
    return (by_left, by_right), (slope * ab).sum(dtype=torch.float64)


def _add_force(image: Any, ratio: Any, momentum: float, force: Any) -> None:
    """Add ``ratio`` times the image's slope to what momentum leaves of a force (3, X, Y, Z)."""
    keep = float(np.float32(momentum))
    for axis in (0, 1):
        force[axis].mul_(keep).addcmul_(ratio, ends.rise(image, axis))
    inner = force[2, :, :, 1:-1]
    inner.mul_(keep).addcmul_(ratio[:, :, 1:-1], image[:, :, 2:] - image[:, :, :-2])


def _busy_cells(source: Any) -> Any:
    """Say which cells between voxels touch content; those across a face count as if they did.

    The result is one longer than the volume along each axis: its first cell lies before voxel 0.
    """
    import torch

    inner = source != 0
    for axis, n in enumerate(source.shape):
        inner = inner.narrow(axis, 0, n - 1) | inner.narrow(axis, 1, n - 1)
    busy = torch.ones([n + 1 for n in source.shape], dtype=torch.bool, device=source.device)
    busy[1:-1, 1:-1, 1:-1] = inner
    return busy


def _pull_points(source: Any, busy: Any, place: Any, out: Any) -> None:
    """Fill in cubic convolutions (Keys 1981) of a volume at points (3, points); 0 outside."""
    import torch

    n = torch.tensor(source.shape, device=place.device)[:, None]
    low = place.floor()
    inside = ((low >= -1) & (low < n)).all(0).nonzero()[:, 0]
    x, y, z = (low[:, inside].long() + 1).unbind(0)
    chosen = inside[busy[x, y, z]]
    weights = _cubic_weights((place - low)[:, chosen].float())
    places = [
        [(low[axis, chosen].long() + a).clamp_(0, size - 1) for a in (-1, 0, 1, 2)]
        for axis, size in enumerate(source.shape)
    ]
    flat, (_, n_y, n_z) = source.reshape(-1), source.shape
    total = torch.zeros(chosen.shape, device=place.device)
    for i, w_x in zip(places[0], weights, strict=True):
        sheet = torch.zeros_like(total)
        for j, w_y in zip(places[1], weights, strict=True):
            row = (i * n_y + j) * n_z
            values = (flat.index_select(0, row + k) for k in places[2])
            line = sum(w[2] * value for w, value in zip(weights, values, strict=True))
            sheet.addcmul_(w_y[1], line)
        total.addcmul_(w_x[0], sheet)
    out[chosen] = total


def _cubic_weights(t: Any) -> tuple[Any, Any, Any, Any]:
    """Return the four weights of cubic convolution (Keys 1981) at parts of a voxel."""
    return (
        0.5 * t * (t * (2 - t) - 1),
        0.5 * (t * t * (3 * t - 5) + 2),
        0.5 * t * (t * (4 - 3 * t) + 1),
        0.5 * t * t * (t - 1),
    )
