"""Where a rigid or affine fit may start: headers, matched centres, turned and shifted heads."""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from brainnet.imaging._affine_fit import (
    Array,
    Fit,
    Pace,
    Way,
    assess,
    generators,
    refine,
)

#: How much better another start must be than the headers, which one scanner mostly wrote.
TRUST = 1.05
#: Turns that are tried about 13 axes, both ways (degrees).
_TURNS = (20.0, 40.0)
#: Shifts that are tried along each axis from the matched centres (mm).
_SHIFT = 30.0
#: Starts beside the headers' that are refined.
_KEPT = 5
#: Heads this much larger or smaller are also tried at equal size.
_SIZES = 1.15
#: Poses that differ by less than this (mm) are one.
_SAME = 6.0
_PACE = Pace(12, 0.3, 16.0)


@dataclass(frozen=True)
class Start:
    """A first guess, how it came about, and how well it fits."""

    name: str
    fit: Fit

    @property
    def score(self) -> float:
        """Similarity times overlap; the headers' counts 5 % more."""
        return self.fit.score * (TRUST if self.name == "header" else 1.0)


@dataclass(frozen=True)
class Body:
    """Where the structure of an image lies."""

    centre: Array  # (3,) world mm
    spread: float  # root mean squared distance from the centre, mm


def search(ways: list[Way], fixed: Body, moving: Body, *, sized: bool) -> list[Start]:
    """Return starts, best first, refined rigidly on the coarsest grids."""
    scale = moving.spread / fixed.spread if sized else 1.0
    scales = [1.0] if 1 / _SIZES < scale < _SIZES else [1.0, scale]
    first = [
        Start(name, assess(ways, _about(scale * turn, fixed.centre, moving.centre)))
        for scale in scales
        for name, turn in _turns(scale)
    ]
    first.sort(key=lambda start: -start.score)
    shifted = [
        Start(f"{start.name}, shifted", assess(ways, _shifted(start.fit.pull, axis, way)))
        for start in first[:3]
        for axis, way in product(range(3), (-_SHIFT, _SHIFT))
    ]
    best = sorted(first + shifted, key=lambda start: -start.score)[:_KEPT]
    moves = generators("rigid", fixed.centre)
    header = Start("header", assess(ways, np.eye(4)))
    found = [
        Start(start.name, refine(ways, start.fit.pull, moves, _PACE)) for start in (header, *best)
    ]
    return _distinct(sorted(found, key=lambda start: -start.score), fixed)


def body(affine: Array, region: NDArray[np.bool_], weight: NDArray[np.float32]) -> Body:
    """Return the centre and the size of what an image shows within a region."""
    chosen = np.flatnonzero(region) if region.any() else np.arange(region.size)
    mass = weight.ravel()[chosen].astype(np.float64)
    if not mass.sum() > 0:
        mass = np.ones(len(chosen))
    index = np.stack(np.unravel_index(chosen, region.shape), axis=1)
    points = apply_affine(affine, index)
    centre = mass @ points / mass.sum()
    spread = np.sqrt(mass @ ((points - centre) ** 2).sum(axis=1) / mass.sum())
    return Body(centre, max(float(spread), 1.0))


def flip(head: Body) -> Array:
    """Return the matrix that exchanges left and right about the centre of a head."""
    out = np.diag([-1.0, 1.0, 1.0, 1.0])
    out[0, 3] = 2 * head.centre[0]
    return out


def wrong_poses(pull: Array, centre: Array) -> list[Array]:
    """Return matrices that are surely wrong if ``pull`` is right."""
    out = []
    for axis in np.eye(3):
        for way in (-1.0, 1.0):
            turn = np.eye(4)
            turn[:3, :3] = Rotation.from_rotvec(np.radians(50.0) * way * axis).as_matrix()
            turn[:3, 3] = centre - turn[:3, :3] @ centre
            out += [pull @ turn, _shifted(pull, int(np.argmax(axis)), way * 25.0)]
    return out


def _distinct(starts: list[Start], fixed: Body) -> list[Start]:
    """Return the starts without those that ended where a better one did."""
    corners = fixed.centre + fixed.spread * np.array(list(product((-1, 1), repeat=3)))
    out: list[Start] = []
    for start in starts:
        ends = apply_affine(start.fit.pull, corners)
        others = (apply_affine(other.fit.pull, corners) for other in out)
        if all(np.abs(ends - other).max() > _SAME for other in others):
            out.append(start)
    return out


def _turns(scale: float) -> list[tuple[str, Array]]:
    """Return named rotations: none, small ones about 13 axes, and whole quarters."""
    size = "" if scale == 1.0 else f", sized {scale:.2f}"
    turns = [(f"centres{size}", np.eye(3))]
    axes = [axis for axis in product((-1, 0, 1), repeat=3) if any(axis)]
    for axis, degrees in product(axes, _TURNS):
        vector = np.asarray(axis) / np.linalg.norm(axis)
        name = f"turned {degrees:.0f} degrees about {axis}{size}"
        turns.append((name, Rotation.from_rotvec(np.radians(degrees) * vector).as_matrix()))
    for order, signs in product(permutations(range(3)), product((-1, 1), repeat=3)):
        turn = np.eye(3)[list(order)] * signs
        if np.linalg.det(turn) > 0 and not np.allclose(turn, np.eye(3)):
            turns.append((f"turned by quarters{size}", turn))
    return turns


def _about(linear: Array, target: Array, centre: Array) -> Array:
    """Return the matrix of a linear map that carries one centre to the other."""
    out = np.eye(4)
    out[:3, :3] = linear
    out[:3, 3] = centre - linear @ target
    return out


def _shifted(pull: Array, axis: int, distance: float) -> Array:
    """Return a matrix that lands ``distance`` mm aside."""
    out = pull.copy()
    out[axis, 3] += distance
    return out
