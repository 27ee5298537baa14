"""What a CT scanner makes of a head, and how a network sees Hounsfield units."""

from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from brainnet.models.voxel.degrade import blur
from brainnet.models.voxel.draws import Draw
from brainnet.models.voxel.haemorrhage.scene import Scene

__all__ = ["HU_KNOTS", "CTScanner", "brightness", "scan"]

#: Hounsfield units and the brightness that a network sees them at; straight lines between.
HU_KNOTS = ((-150.0, 0.0), (-10.0, 0.1), (90.0, 0.8), (300.0, 0.93), (1500.0, 1.0))
_LEAST, _MOST = -1024.0, 3071.0


@dataclass(frozen=True)
class CTScanner:
    """How far a scanner goes; each number bounds a draw.

    Parameters
    ----------
    spacing : float
        Thickest slices, mm.
    blur : float
        Widest point spread in the plane, full width at half maximum, mm.
    noise : float
        Largest standard deviation of the noise in a voxel, Hounsfield units.
    hardening : float
        Strongest cupping and streaks, Hounsfield units.
    offset : float
        Largest error of calibration, Hounsfield units.

    Raises
    ------
    ValueError
        A number below 0.
    """

    spacing: float = 5.0
    blur: float = 2.0
    noise: float = 9.0
    hardening: float = 10.0
    offset: float = 4.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 0:
                raise ValueError(f"{name} must be 0 or more; got {value}.")


def brightness(units: Tensor) -> Tensor:
    """Return Hounsfield units as a network sees them, in [0, 1]: most of it for brain and blood.

    Examples
    --------
    >>> brightness(torch.tensor([-1000.0, 40.0, 90.0, 3000.0]))
    tensor([0.0000, 0.4500, 0.8000, 1.0000])
    """
    found = torch.zeros_like(units)
    for (low, dark), (high, bright) in pairwise(HU_KNOTS):
        found += (bright - dark) * ((units - low) / (high - low)).clamp(0, 1)
    return found


def scan(units: Tensor, scene: Scene, scanner: CTScanner, draw: Draw) -> Tensor:
    """Return what a scanner measures of Hounsfield units, on the same grid."""
    step = scene.step
    if draw.chance(0.8):
        units = units + _hardened(scene, scanner, draw)
    plane = draw.uniform(0.5, max(0.5, scanner.blur)) / step
    thick = 1.0 if draw.chance(0.3) else draw.uniform(1.0, max(1.0, scanner.spacing))
    thick = max(thick, step)
    units = blur(units.clamp(_LEAST, _MOST) - _LEAST, (plane, plane, 0.9 * thick / step)) + _LEAST
    nx, ny, nz = scene.shape
    coarse = (nx, ny, max(4, round(nz * step / thick)))
    units = _resize(units, coarse)
    noise = scanner.noise * draw.uniform(0.1, 1) / (thick / step) ** 0.5
    units = units + noise * _grain(coarse, draw)
    units = _resize(units, scene.shape)
    units = units * draw.uniform(0.97, 1.03) + scanner.offset * draw.uniform(-1, 1)
    return units.clamp(_LEAST, _MOST)


def _hardened(scene: Scene, scanner: CTScanner, draw: Draw) -> Tensor:
    """Return cupping below the skull and dark and bright bands across the base."""
    strength = scanner.hardening * draw.uniform(0, 1)
    cup = strength * torch.exp(-scene.depth / draw.uniform(4, 15)) * (scene.depth > 0)
    _, ny, nz = scene.shape
    bands = torch.randn((1, 1, 2, max(2, ny // 6), max(2, nz // 3)), generator=draw.fields)
    field = functional.interpolate(bands, size=scene.shape, mode="trilinear", align_corners=True)
    low = torch.sigmoid((scene.head.base[2] - 5 - scene.places[2]) / 6)
    return cup + strength * draw.uniform(0, 1) * low * field[0, 0]


def _grain(shape: tuple[int, int, int], draw: Draw) -> Tensor:
    """Return noise of unit variance, fine or grainy as the kernel has it."""
    field = draw.noise(shape)
    wide = draw.uniform(0, 2.5)
    if wide > 0.5:
        field = blur(field, (wide, wide, 0.0))
    return field / field.std()


def _resize(image: Tensor, shape: tuple[int, int, int]) -> Tensor:
    if tuple(image.shape) == tuple(shape):
        return image
    return functional.interpolate(
        image[None, None], size=shape, mode="trilinear", align_corners=False
    )[0, 0]
