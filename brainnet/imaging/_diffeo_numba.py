"""The operations of deformable registration on the CPU, in threads over slabs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainnet._compile import n_threads
from brainnet.imaging import _diffeo_kernels as kernels
from brainnet.imaging import _diffeo_total as ends

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]

#: Voxels below which a pass is over before a thread would have started.
_WORTH_A_THREAD = 60_000


class NumbaEngine:
    """Passes over float32 arrays; fields (3, X, Y, Z) and their updates are in voxels."""

    def __init__(self) -> None:
        self._n_threads = n_threads()
        self._pool = ThreadPoolExecutor(self._n_threads)
        self._spare: dict[tuple[int, ...], list[Floats]] = {}

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()
        self._spare.clear()

    def release(self, *arrays: Floats) -> None:
        """Take back arrays that are no longer needed: new memory costs more than a pass over it."""
        for array in arrays:
            self._spare.setdefault(array.shape, []).append(array)

    def _empty(self, shape: tuple[int, ...]) -> Floats:
        """Return an array to be filled, one that was taken back if there is one."""
        spare = self._spare.get(shape)
        return spare.pop() if spare else np.empty(shape, np.float32)

    def upload(self, images: Floats) -> Floats:
        """Return a NumPy array as array of the engine."""
        return np.ascontiguousarray(images, np.float32)

    def multiply(self, left: Floats, right: Floats) -> Floats:
        """Return the product, voxel by voxel."""
        return left * right

    def pull(
        self, data: NDArray[Any], matrix: Matrix, shape: tuple[int, ...], scale: float
    ) -> Floats:
        """Return a volume times a scale, sampled at ``matrix @ voxel``: (1, X, Y, Z)."""
        out = np.empty((1, *shape), np.float32)
        source = np.ascontiguousarray(data, np.float32)
        self._slabs(kernels.pull, shape, source, matrix, scale, out[0])
        return out

    def halve(self, images: Floats) -> Floats:
        """Return images (C, X, Y, Z) at half the resolution."""
        shape = tuple(-(-n // 2) for n in images.shape[1:])
        out = np.empty((len(images), *shape), np.float32)
        self._slabs(kernels.halve, shape, images, out)
        return out

    def still(self, shape: tuple[int, ...]) -> Floats:
        """Return a field that moves nothing."""
        return np.zeros((3, *shape), np.float32)

    def double(self, field: Floats, shape: tuple[int, ...]) -> Floats:
        """Return a field at twice the resolution."""
        self._spare.clear()
        out = np.empty((3, *shape), np.float32)
        self._slabs(kernels.double, shape, field, out)
        return out

    def warp(self, images: Floats, field: Floats) -> Floats:
        """Return images (C, X, Y, Z) pulled through a field."""
        out = self._empty(images.shape)
        self._slabs(kernels.warp, images.shape[1:], images, field, out)
        return out

    def push(
        self, pair: tuple[Floats, Floats], weight: Floats | None, forces: Floats | None,
        momentum: float,
    ) -> tuple[Floats, float]:  # fmt: skip
        """Return forces (2, 3, X, Y, Z) that make two images alike, and how alike they are."""
        n_channels, *shape = pair[0].shape
        if forces is None:
            forces = np.zeros((2, 3, *shape), np.float32)
        scale = np.empty((0, 0, 0), np.float32) if weight is None else weight[0]
        likeness = np.empty((n_channels, shape[0]))
        for c in range(n_channels):
            self._slabs(
                kernels.force, shape, pair[0][c], pair[1][c], scale,
                momentum if c == 0 else 1.0, forces, likeness[c],
            )  # fmt: skip
        return forces, float(likeness.sum() / pair[0].size)

    def smooth(self, field: Floats, weights: Floats) -> tuple[Floats, float]:
        """Return a filtered field and the largest displacement along an axis in it."""
        out = self._empty(field.shape)
        return out, max(self._slabs(kernels.smooth, field.shape[1:], field, weights, out))

    def compose(self, field: Floats, update: Floats, scale: float) -> Floats:
        """Return the field that follows an update times a scale, then ``field``."""
        out = self._empty(field.shape)
        self._slabs(kernels.compose, field.shape[1:], field, update, scale, out)
        return out

    def least_jacobian(self, field: Floats, to_voxel: Matrix | None = None) -> float:
        """Return the smallest Jacobian determinant of a displacement field (3, X, Y, Z)."""
        unit = np.eye(3) if to_voxel is None else to_voxel
        least = np.empty(field.shape[1])
        self._slabs(ends.least_jacobian, field.shape[1:], field, unit, least)
        return float(least.min())

    def total(
        self, back: Floats, on: Floats, matrices: tuple[Matrix, Matrix, Matrix],
        shape: tuple[int, ...],
    ) -> tuple[Floats, float]:  # fmt: skip
        """Return world displacements (3, X, Y, Z) of a grid and the worst error of inversion."""
        out = np.empty((3, *shape), np.float32)
        worst = np.empty(shape[0])
        plain = tuple(np.ascontiguousarray(matrix, np.float64) for matrix in matrices)
        self._slabs(ends.total, shape, back, on, plain, out, worst)
        return out, float(worst.max())

    def download(self, field: Floats) -> Floats:
        """Return an array of the engine as NumPy array."""
        return field

    def _slabs(self, work: Callable[..., Any], shape: Any, *arguments: Any) -> list[Any]:
        """Run a kernel over all slabs of its result, side by side where that pays."""
        n_slabs = self._n_threads if np.prod(shape) > _WORTH_A_THREAD else 1
        n_slabs = min(n_slabs, shape[0])
        if n_slabs == 1:
            return [work(*arguments, 0, shape[0])]
        cuts = np.linspace(0, shape[0], n_slabs + 1).astype(int)
        jobs = [self._pool.submit(work, *arguments, int(a), int(b)) for a, b in pairwise(cuts)]
        return [job.result() for job in jobs]
