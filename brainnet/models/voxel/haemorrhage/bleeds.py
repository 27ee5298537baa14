"""Haemorrhages grown where they grow: their shape, what they push aside, what they look like."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from brainnet.models.voxel.draws import Draw, affine_matrix
from brainnet.models.voxel.haemorrhage.scene import Scene, length

__all__ = ["BLEEDS", "Bleed", "grow"]

#: Sites of bleeding into the brain: labels, share, and the most that fits there (ml).
_SITES = (
    ((12, 51, 13, 52), 0.35, 80.0),
    ((10, 49, 11, 50), 0.2, 40.0),
    ((2, 41, 3, 42), 0.3, 90.0),
    ((7, 46, 8, 47), 0.1, 25.0),
    ((16, 28, 60), 0.05, 10.0),
)
_LATERAL = (4, 5, 43, 44, 136, 163)
_CORE = 15.0  # mm from the skull within which nothing is pushed far
_VERTEX = 15.0  # mm below the top of the skull in which thick slices show bone, and no sulci


class Bleed(NamedTuple):
    """One haemorrhage in a field of view.

    Attributes
    ----------
    kind : str
        Of :data:`BLEEDS`.
    level : (nx, ny, nz) tensor
        Below 0 inside, about mm.
    moved : (3, nx, ny, nz) tensor or None
        From each voxel to where what it holds came from, mm.
    where : str
        What it may fill: ``any``, ``fluid`` (around the brain) or ``ventricles``.
    units : (nx, ny, nz) tensor
        Hounsfield units of the blood.
    """

    kind: str
    level: Tensor
    moved: Tensor | None
    where: str
    units: Tensor


def grow(kind: str, scene: Scene, draw: Draw) -> Bleed:
    """Grow one haemorrhage of a kind.

    Examples
    --------
    >>> sorted(BLEEDS)
    ['epidural', 'intraparenchymal', 'intraventricular', 'subarachnoid', 'subdural']
    """
    return BLEEDS[kind](scene, draw)


def _intraparenchymal(scene: Scene, draw: Draw) -> Bleed:
    labels, most = _site(scene, draw)
    centre = _somewhere(torch.isin(scene.labels, torch.tensor(labels)) & (scene.depth > 6), draw)
    place = scene.places[:, *centre][:, None, None, None]
    volume = math.exp(draw.uniform(math.log(0.3), math.log(most)))
    radius = 10 * (0.75 * volume / math.pi) ** (1 / 3)
    scales = [math.exp(0.25 * draw.normal()) for _ in range(3)]
    turn = affine_matrix([draw.uniform(0, math.pi) for _ in range(3)], scales, [0.0] * 3)
    turn = turn / turn.det().abs() ** (1 / 3)
    apart = scene.places - place
    away = length((turn @ apart.flatten(1)).reshape(3, *scene.shape))
    rough = 0.12 * scene.noise(max(6.0, radius), draw) + 0.08 * scene.noise(5.0, draw)
    level = away - radius * (1 + rough)
    if radius > 12 and draw.chance(0.4):  # a second lobe
        other = place + radius * torch.randn(3, generator=draw.scalars)[:, None, None, None]
        level = torch.minimum(level, length(scene.places - other) - 0.6 * radius)
    pushed = draw.uniform(0.3, 1.0) * radius**3
    kept = (away**3 - pushed).clamp(min=0) ** (1 / 3)
    moved = apart * ((kept / away.clamp(min=1e-3) - 1) * _taper(scene))
    moved = torch.where(away < pushed ** (1 / 3), apart * 0, moved)
    return Bleed("intraparenchymal", level, moved, "any", _blood(scene, draw))


def _subdural(scene: Scene, draw: Draw) -> Bleed:
    if draw.chance(0.15):
        return _beside_falx(scene, draw)
    thickness = math.exp(draw.uniform(math.log(2.5), math.log(18)))
    wide = draw.uniform(35, 100)  # to all of one side
    side = _direction(draw)
    level, moved = _below_skull(scene, side, thickness, wide, 0.5, draw.uniform(0.4, 1.0), draw)
    across = 1.0 - scene.away * math.copysign(1, float(side[0]))
    level = torch.maximum(level, across)  # the falx holds it
    return Bleed("subdural", level, moved, "any", _old_blood(scene, draw))


def _epidural(scene: Scene, draw: Draw) -> Bleed:
    thickness = math.exp(draw.uniform(math.log(6), math.log(32)))
    wide = max(1.1 * thickness, draw.uniform(18, 42))
    level, moved = _below_skull(
        scene, _direction(draw), thickness, wide, 1.0, draw.uniform(0.7, 1.0), draw
    )
    return Bleed("epidural", level, moved, "any", _blood(scene, draw))


def _subarachnoid(scene: Scene, draw: Draw) -> Bleed:
    size = draw.uniform(14, 38)
    if draw.chance(0.65):  # around the circle of Willis
        start = scene.head.base[:, None, None, None]
    else:
        up = scene.places[2] - scene.head.centre[2]
        top = _reach(scene, torch.tensor([0.0, 0.0, 1.0])) - _VERTEX
        sulci = (scene.depth > 2) & (scene.depth < 30) & (scene.labels == 24) & (up < top)
        start = scene.places[:, *_somewhere(sulci, draw)][:, None, None, None]
        size *= 0.6
    away = length(scene.places - start)
    level = away - size * (1 + 0.5 * scene.noise(18.0, draw))
    units = _blood(scene, draw)
    thin = draw.uniform(0.45, 1.0)  # mixed with fluid
    return Bleed("subarachnoid", level, None, "fluid", 10 + thin * (units - 10))


def _intraventricular(scene: Scene, draw: Draw) -> Bleed:
    inside = torch.isin(scene.labels, torch.tensor((*_LATERAL, 14, 15, 72)))
    start = scene.places[:, *_somewhere(inside, draw)]
    y = scene.places[1]
    if draw.chance(0.6):  # it settles at the back
        level = y - (start[1] + 3 * scene.noise(20.0, draw))
    else:
        reach = draw.uniform(8, 60)
        level = length(scene.places - start[:, None, None, None])
        level = level - reach * (1 + 0.3 * scene.noise(15.0, draw))
    return Bleed("intraventricular", level, None, "ventricles", _blood(scene, draw))


#: What grows each kind.
BLEEDS: Mapping[str, Callable[[Scene, Draw], Bleed]] = MappingProxyType(
    {
        "intraparenchymal": _intraparenchymal,
        "intraventricular": _intraventricular,
        "subarachnoid": _subarachnoid,
        "subdural": _subdural,
        "epidural": _epidural,
    }
)


def _below_skull(
    scene: Scene, side: Tensor, thickness: float, wide: float, power: float, push: float, draw: Draw
) -> tuple[Tensor, Tensor]:
    """Return the level of what lies below the skull on a side, and what it pushes aside.

    Thickest on the axis to that side, it thins to nothing ``wide`` mm from the axis.
    """
    apart = scene.places - scene.head.centre[:, None, None, None]
    along = torch.einsum("k,kxyz->xyz", side, apart)
    off = (apart.square().sum(dim=0) - along**2).clamp(min=0)
    off = off * draw.uniform(0.75, 1.3)
    thick = thickness * (1 - off / wide**2).clamp(min=0) ** power
    rough = 1 + 0.12 * scene.noise(25.0, draw)
    # at the vertex all is near the skull: what lies below it is measured along the axis too
    deep = torch.maximum(scene.depth, (_reach(scene, side) - along) / 2)
    level = torch.where((along > 0) & (scene.depth > 0), deep - thick * rough, 99.0)
    level = torch.where(thick > 0, level, 99.0)
    end = _reach(scene, side)
    left = (1 - (end - along) / draw.uniform(100, 150)).clamp(0, 1)
    near = torch.where(along > 0.4 * end, 1.0, (scene.depth / 10).clamp(0, 1))
    amount = push * thick * left * near
    return level, side[:, None, None, None] * torch.minimum(amount, scene.depth.clamp(min=0))


def _reach(scene: Scene, side: Tensor) -> float:
    """Return how far the inside of the skull reaches to a side of its middle, mm."""
    inside = (scene.head.depth[::4, ::4, ::4] > 0).nonzero() * 4.0
    return float(((inside - scene.head.centre) @ side).max())


def _beside_falx(scene: Scene, draw: Draw) -> Bleed:
    """Return a thin subdural haemorrhage along the falx."""
    falx = (scene.away.abs() < 3) & (scene.labels == 24) & (scene.depth > 3)
    start = scene.places[:, *_somewhere(falx, draw)]
    side = 1.0 if draw.chance(0.5) else -1.0
    flat = length(scene.places[1:] - start[1:, None, None, None])
    thick = draw.uniform(2, 7) * (1 - (flat / draw.uniform(20, 45)) ** 2).clamp(min=0) ** 0.5
    level = torch.maximum(scene.away * side - thick, -scene.away * side)
    level = torch.where((thick > 0) & (scene.depth > 0), level, 99.0)
    return Bleed("subdural", level, None, "any", _blood(scene, draw))


def _site(scene: Scene, draw: Draw) -> tuple[tuple[int, ...], float]:
    """Draw where in the brain it bleeds, of the sites that are in the field of view."""
    found = [
        (labels, share, most)
        for labels, share, most in _SITES
        if (torch.isin(scene.labels, torch.tensor(labels)) & (scene.depth > 6)).any()
    ]
    at = draw.uniform(0, sum(share for _, share, _ in found))
    for labels, share, most in found:
        at -= share
        if at <= 0:
            return labels, most
    return _SITES[0][0], _SITES[0][2]


def _somewhere(where: Tensor, draw: Draw) -> tuple[int, int, int]:
    """Draw one of the voxels of a mask."""
    voxels = where.nonzero()
    if not len(voxels):
        voxels = torch.tensor([[n // 2 for n in where.shape]])
    x, y, z = voxels[draw.integer(len(voxels))].tolist()
    return x, y, z


def _direction(draw: Draw) -> Tensor:
    """Draw a side of the head: mostly lateral, rather up than down."""
    lateral = 1.0 if draw.chance(0.5) else -1.0
    side = torch.tensor([lateral, 0.6 * draw.normal(), 0.25 + 0.4 * draw.normal()])
    return torch.nn.functional.normalize(side, dim=0)


def _taper(scene: Scene) -> Tensor:
    """Return how far tissue can be pushed: not at the skull."""
    return (scene.depth / _CORE).clamp(0, 1)


def _blood(scene: Scene, draw: Draw) -> Tensor:
    """Return Hounsfield units of fresh blood: clotted, or still bleeding and uneven."""
    units = draw.uniform(50, 82) + draw.uniform(1, 5) * scene.noise(6.0, draw)
    if draw.chance(0.25):
        units = units - draw.uniform(8, 25) * (scene.noise(9.0, draw) > 0.6)
    if draw.chance(0.1):
        units = units + draw.uniform(8, 20) * _settled(scene, draw)
    return units


def _old_blood(scene: Scene, draw: Draw) -> Tensor:
    """Return Hounsfield units of blood of any age: fresh, as dense as the brain, or fluid."""
    age = draw.uniform(0, 1)
    if age < 0.7:
        return _blood(scene, draw)
    units = draw.uniform(28, 45) if age < 0.8 else draw.uniform(15, 28)
    uneven = units + 3 * scene.noise(12.0, draw)
    return uneven + draw.uniform(0, 30) * _settled(scene, draw) if draw.chance(0.4) else uneven


def _settled(scene: Scene, draw: Draw) -> Tensor:
    """Return 1 below a level that a head on its back has, 0 above, with a soft edge."""
    y = scene.places[1]
    inside = scene.depth > 0
    low, high = (float(y[inside].min()), float(y[inside].max())) if inside.any() else (0.0, 1.0)
    at = draw.uniform(low, high)
    return torch.sigmoid((at - y) / 3)
