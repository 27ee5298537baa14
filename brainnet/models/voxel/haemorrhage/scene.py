"""A field of view in a head: where each of its voxels lies, before and after what displaces it."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from brainnet.models.voxel.degrade import smooth_noise
from brainnet.models.voxel.draws import Draw, affine_matrix
from brainnet.models.voxel.haemorrhage.anatomy import Anatomy

__all__ = ["Scene", "length", "look_up", "scene_of"]

Shape = tuple[int, int, int]


class Scene(NamedTuple):
    """Voxels of a field of view in a head's own grid of 1 mm.

    Attributes
    ----------
    head : Anatomy
    places : (3, nx, ny, nz) tensor
        Where each voxel lies in the head, mm.
    depth : (nx, ny, nz) tensor
        Distance to the inside of the skull, mm; 0 outside.
    away : (nx, ny, nz) tensor
        Distance to the midline plane, mm; negative on the left.
    labels : (nx, ny, nz) int64 tensor
        The nearest label.
    step : float
        Edge of a voxel, mm.
    """

    head: Anatomy
    places: Tensor
    depth: Tensor
    away: Tensor
    labels: Tensor
    step: float

    @property
    def shape(self) -> Shape:
        """Of the field of view, voxels."""
        nx, ny, nz = self.depth.shape
        return nx, ny, nz

    def noise(self, size: float, draw: Draw) -> Tensor:
        """Return smooth noise of unit variance, bends about ``size`` mm apart."""
        nx, ny, nz = (max(2, round(n * self.step / size)) for n in self.shape)
        return smooth_noise(self.shape, (nx, ny, nz), draw.fields)


def scene_of(  # noqa: PLR0913  (how far each kind of chance goes)
    head: Anatomy, shape: Shape, *, voxel_size: float, middle: Tensor, draw: Draw,
    rotation: float = 8.0, scaling: float = 0.08, warp: float = 2.0, mirrored: bool = False,
) -> Scene:  # fmt: skip
    """Return a field of view around a place in a head, turned, stretched and warped by chance.

    Parameters
    ----------
    head : Anatomy
    shape : three ints
    voxel_size : float
        mm.
    middle : (3,) tensor
        Of the field of view, in the head.
    draw : Draw
    rotation, scaling, warp : float
        Standard deviations: degrees about each axis, logarithm of each scale, mm.
    mirrored : bool
        Whether left is right.
    """
    angles = [math.radians(rotation) * draw.normal() for _ in range(3)]
    scales = [math.exp(scaling * draw.normal()) for _ in range(3)]
    steps = voxel_size * affine_matrix(angles, scales, [0.03 * draw.normal() for _ in range(3)])
    if mirrored:
        steps[:, 0] *= -1
    axes = [torch.arange(n) - (n - 1) / 2 for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    places = (steps @ grid).reshape(3, *shape) + middle[:, None, None, None]
    strength, nodes = warp * abs(draw.normal()), 3 + draw.integer(6)
    for each in places:
        each += strength * smooth_noise(shape, (nodes,) * 3, draw.fields)
    depth = look_up(head.depth, places, outside=0.0)
    _, y, z = places
    a, b, c = head.midline.tolist()
    return Scene(
        head, places, depth, places[0] - (a + b * y + c * z),
        look_up(head.labels, places, outside=0).long(), voxel_size,
    )  # fmt: skip


def length(vectors: Tensor) -> Tensor:
    """Return lengths of vectors ``(n, ...)``; torch's own norm is slow across the first axis."""
    found = vectors[0].square()
    for each in vectors[1:]:
        found = found.addcmul(each, each)
    return found.sqrt_()


def look_up(field: Tensor, places: Tensor, *, outside: float) -> Tensor:
    """Return what the nearest voxel of a head's field holds at places ``(3, ...)``."""
    index = torch.zeros(places.shape[1:], dtype=torch.int32)
    within = torch.ones(places.shape[1:], dtype=torch.bool)
    for axis, size in enumerate(field.shape):
        nearest = places[axis].round().int()
        inside = nearest.clamp(0, size - 1)
        within &= nearest == inside
        index = index.mul_(size).add_(inside)
    found = field.flatten().take(index.long())
    return found.masked_fill_(~within, outside)
