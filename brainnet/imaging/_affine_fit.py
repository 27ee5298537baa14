"""Fit a rigid or affine matrix to two grids by quasi-Newton steps."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from brainnet._compile import n_threads
from brainnet.imaging import _affine_kernels as kernels

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

#: Parts of the points whose sums are added in this order, on however many threads.
_PARTS = 8
#: Fewer points than this are not worth a second thread.
_FEW = 20_000
#: The curvature is taken from one in so many points where there are enough of them.
_STRIDE = 4
#: Arm (mm) that weighs rotation and stretch against translation.
_ARM = 60.0
#: How often a step is shortened before it is given up.
_SHORTENINGS = 5


@dataclass(frozen=True, eq=False)
class Points:
    """Sampled points of an image."""

    index: Pixels  # (n, 3) voxel indices minus those of the centre
    values: Pixels  # (n,) in units of bins or of local spread
    grid: Array  # (4, 4) centred indices to world


class Side(Protocol):
    """One image's points, compared with the other image.

    A matrix (3, 4) carries centred indices to the other image's indices. The similarity and the
    overlap (share of the points inside the other image and its mask) stand for the last matrix
    that ``compare`` was given; the derivatives by its 12 entries too.
    """

    def compare(self, matrix: Array) -> tuple[float, float]:
        """Return similarity and overlap."""

    def gradient(self) -> Array:
        """Return the derivative of the similarity, (12,)."""

    def curvature(self) -> Array:
        """Return a positive semi-definite stand-in for minus its second derivative, (12, 12)."""


class _PointSide:
    """What the comparisons on the processor share: buffers, parts and sums over points."""

    def __init__(self, points: Points, volume: Pixels, mask: Pixels) -> None:
        n = len(points.values)
        self._points, self._volume, self._mask = points.index, volume, mask
        self._samples, self._forces = np.empty((8, n), np.float32), np.empty((4, n), np.float32)
        self._stride = _STRIDE if n > _FEW else 1
        ends = np.linspace(0, n, _PARTS + 1).astype(int) if n > _FEW else np.array([0, n])
        self._parts = [slice(a, b) for a, b in pairwise(ends)]
        self._total, self._value = 0.0, 0.0

    def gradient(self) -> Array:
        """Return the derivative of the similarity, (12,)."""
        return np.asarray(sum(_each(self._pull, self._parts)) / max(self._total, 1e-9))

    def curvature(self) -> Array:
        """Return the curvature at the matrix that ``gradient`` was last asked about, (12, 12)."""
        return np.asarray(sum(_each(self._bend, self._parts)) / max(self._total, 1e-9))

    def _sample(self, part: slice, matrix: Array) -> Pixels:
        """Sample a part of the points in the other image."""
        samples = self._samples[:, part]
        kernels.sample(self._points[part], matrix, self._volume, self._mask, samples)
        return samples

    def _force(self, part: slice) -> Pixels:
        """Return the force on a part of the points."""
        raise NotImplementedError

    def _pull(self, part: slice) -> Array:
        """Return a part's gradient."""
        out = np.zeros(12)
        kernels.gradient_sums(self._points[part], self._force(part), out)
        return out

    def _bend(self, part: slice) -> Array:
        """Return a part's curvature."""
        out = np.zeros((12, 12))
        samples, forces = self._samples[:, part], self._forces[:, part]
        kernels.curvature_sums(self._points[part], samples, forces, self._stride, out)
        return out


class InformationSide(_PointSide):
    """Mutual information (nats) of the points of one image with another image.

    The joint histogram takes whole bins of the points' own values and cubic B-splines of the
    values sampled (Thevenaz and Unser 2000, IEEE Trans Image Process 9:2083).
    """

    def __init__(self, points: Points, volume: Pixels, mask: Pixels, n_bins: int) -> None:
        super().__init__(points, volume, mask)
        self._bins = np.clip(np.rint(points.values), 0, n_bins - 1).astype(np.int32)
        self._n_bins = n_bins
        self._table = np.zeros((n_bins, n_bins + 3), np.float32)

    def compare(self, matrix: Array) -> tuple[float, float]:
        """Return mutual information and overlap."""
        joint = sum(_each(lambda part: self._joint(part, matrix), self._parts))
        self._value, self._total = kernels.information(joint, self._table)
        return self._value, self._total / len(self._points)

    def _joint(self, part: slice, matrix: Array) -> Array:
        """Sample a part of the points and return its joint histogram."""
        out = np.zeros((self._n_bins, self._n_bins + 3))
        kernels.joint_histogram(self._bins[part], self._sample(part, matrix), out)
        return out

    def _force(self, part: slice) -> Pixels:
        """Return the force on a part of the points."""
        forces, samples = self._forces[:, part], self._samples[:, part]
        kernels.information_forces(self._bins[part], samples, self._table, self._value, forces)
        return forces


class AgreementSide(_PointSide):
    """Mean of exp(-r^2 / 2 spread^2): r the points' own values minus those of another image."""

    def __init__(self, points: Points, volume: Pixels, mask: Pixels, spread: float) -> None:
        super().__init__(points, volume, mask)
        self._values, self._spread = points.values, spread

    def compare(self, matrix: Array) -> tuple[float, float]:
        """Return agreement (0 to 1) and overlap."""
        pairs = _each(lambda part: self._likeness(part, matrix), self._parts)
        self._total = sum(p[1] for p in pairs)
        self._value = sum(p[0] for p in pairs) / max(self._total, 1e-9)
        return self._value, self._total / len(self._points)

    def _likeness(self, part: slice, matrix: Array) -> tuple[float, float]:
        """Sample a part of the points; return its likeness and weight."""
        samples = self._sample(part, matrix)
        likeness = kernels.agreement_sum(self._values[part], samples, self._spread)
        return likeness, float(samples[4].sum(dtype=np.float64))

    def _force(self, part: slice) -> Pixels:
        """Return the force on a part of the points."""
        forces, samples = self._forces[:, part], self._samples[:, part]
        kernels.agreement_forces(self._values[part], samples, self._spread, self._value, forces)
        return forces


@dataclass(frozen=True, eq=False)
class Way:
    """A side and how the pull matrix becomes its index matrix."""

    side: Side
    near: Array  # (4, 4) centred indices of the points to their world
    far: Array  # (4, 4) world of the other image to its indices
    back: bool  # the points are the moving image's: the inverse matrix carries them

    def index_matrix(self, pull: Array) -> Array:
        """Return the (3, 4) matrix from centred indices to the other image's indices."""
        there = np.linalg.inv(pull) if self.back else pull
        return np.ascontiguousarray((self.far @ there @ self.near)[:3])

    def by_moves(self, pull: Array, moves: Array) -> Array:
        """Return the derivative of the index matrix by each move, (12, n_moves)."""
        inner = -moves @ np.linalg.inv(pull) if self.back else pull @ moves
        change = self.far @ inner @ self.near
        return np.asarray(change[:, :3].reshape(len(moves), 12).T)


@dataclass(frozen=True)
class Pace:
    """How far a refinement goes."""

    n_steps: int
    tolerance: float  # mm: a shorter step is the last
    longest: float  # mm
    restarts: int = 0  # how often the curvature is learnt anew where no step helps


@dataclass(frozen=True)
class Fit:
    """How well a matrix fits."""

    pull: Array
    value: float  # similarity, mean over the ways
    overlap: float  # largest over the ways: a slab inside a head is all inside one way

    @property
    def score(self) -> float:
        """Similarity, lowered in proportion to what left the field of view."""
        return self.value * self.overlap


def generators(kind: str, centre: Array) -> Array:
    """Return (6 or 12, 4, 4) small motions about a world point, each of about 1 mm."""
    out = []
    for axis in range(3):
        step = np.zeros((4, 4))
        step[axis, 3] = 1.0
        out.append(step)
    pairs = [(1, 2), (2, 0), (0, 1)] if kind == "rigid" else list(np.ndindex(3, 3))
    for i, j in pairs:
        step = np.zeros((4, 4))
        step[i, j] = 1 / _ARM
        if kind == "rigid":
            step[j, i] = -1 / _ARM
        step[:3, 3] = -step[:3, :3] @ centre
        out.append(step)
    return np.array(out)


def assess(ways: Iterable[Way], pull: Array) -> Fit:
    """Return the similarity at one matrix."""
    pairs = [way.side.compare(way.index_matrix(pull)) for way in ways]
    return Fit(pull, float(np.mean([p[0] for p in pairs])), max(p[1] for p in pairs))


def refine(ways: list[Way], start: Array, moves: Array, pace: Pace) -> Fit:
    """Climb from ``start`` by BFGS until the steps are short.

    The first steps are scaled by the curvature at the start. A matrix that loses half of the
    overlap is not taken.
    """
    here = assess(ways, start)
    gradient = _gradient(ways, start, moves)
    inverse = _inverse_curvature(ways, start, moves)
    least, fresh, restarts = 0.5 * here.overlap, True, pace.restarts
    for _ in range(pace.n_steps):
        step = inverse @ gradient
        step *= min(1.0, pace.longest / max(float(np.abs(step).max()), 1e-12))
        found = _search(ways, here, moves, step, float(gradient @ step), least)
        if found is None:
            if fresh or not restarts:
                break
            restarts -= 1
            assess(ways, here.pull)
            gradient = _gradient(ways, here.pull, moves)
            inverse, fresh = _inverse_curvature(ways, here.pull, moves), True
            continue
        there, share = found
        step, old = share * step, gradient
        gradient = _gradient(ways, there.pull, moves)
        here = there
        if not fresh and float(np.abs(step).max()) < pace.tolerance:
            break
        inverse, fresh = _update(inverse, step, old - gradient, first=fresh), False
    return here


def _search(
    ways: list[Way], here: Fit, moves: Array, step: Array, slope: float, least: float
) -> tuple[Fit, float] | None:
    """Return a better fit along a step and the share of the step taken, or None."""
    share = 1.0
    for _ in range(_SHORTENINGS):
        there = assess(ways, _moved(here.pull, share * step, moves))
        if there.value > here.value + 1e-4 * share * slope and there.overlap >= least:
            return there, share
        # the top of the parabola through both values and the slope
        fall = here.value + share * slope - there.value
        share *= float(np.clip(0.5 * share * slope / max(fall, 1e-30), 0.1, 0.5))
    return None


def _moved(pull: Array, step: Array, moves: Array) -> Array:
    """Return a matrix after the exponential of a motion: squares of a Taylor series."""
    motion = np.asarray(np.tensordot(step, moves, 1), dtype=np.float64)
    size = max(float(np.abs(motion[:3, :3]).max()), 1e-9)
    halvings = max(0, int(np.ceil(np.log2(size / 0.02))))
    small, out = motion / 2**halvings, np.eye(4)
    for order in range(6, 0, -1):
        out = np.eye(4) + small @ out / order
    for _ in range(halvings):
        out = out @ out
    return np.asarray(pull @ out)


def _update(inverse: Array, step: Array, change: Array, *, first: bool) -> Array:
    """Return the inverse curvature that BFGS learns from one step and the change of gradient."""
    product = float(step @ change)
    norm = float(change @ inverse @ change)
    if product <= 1e-3 * np.sqrt(norm * float(step @ np.linalg.solve(inverse, step))):
        return 2.0 * inverse  # no curvature along this step: longer ones
    if first:
        inverse = inverse * (product / norm)
    left = np.eye(len(step)) - np.outer(step, change) / product
    return np.asarray(left @ inverse @ left.T + np.outer(step, step) / product)


def _gradient(ways: list[Way], pull: Array, moves: Array) -> Array:
    """Return the derivative by the moves at the matrix last assessed."""
    parts = [way.by_moves(pull, moves).T @ way.side.gradient() for way in ways]
    return np.asarray(sum(parts) / len(parts))


def _inverse_curvature(ways: list[Way], pull: Array, moves: Array) -> Array:
    """Return the inverse of the curvature by the moves at the matrix last assessed."""
    jacobians = [way.by_moves(pull, moves) for way in ways]
    parts = [j.T @ way.side.curvature() @ j for j, way in zip(jacobians, ways, strict=True)]
    curvature = np.asarray(sum(parts)) / len(parts)
    ridge = 1e-2 * np.diag(curvature) + 1e-6 * np.trace(curvature) + 1e-12
    return np.asarray(np.linalg.inv(curvature + np.diag(ridge)))


_POOLS: dict[int, ThreadPoolExecutor] = {}


def _each(work: Callable[[slice], Any], parts: list[slice]) -> list[Any]:
    """Run ``work`` on every part, on as many threads as allowed; results in order."""
    threads = min(n_threads(), len(parts))
    if threads == 1:
        return [work(part) for part in parts]
    if threads not in _POOLS:
        _POOLS[threads] = ThreadPoolExecutor(threads)
    return list(_POOLS[threads].map(work, parts))
