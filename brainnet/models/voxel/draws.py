"""The random numbers of one synthesised sample: decided by the seed and its number alone."""

import math

import numpy as np
import torch
from torch import Generator, Tensor

__all__ = ["Draw", "affine_matrix"]


class Draw:
    """The random numbers of one sample: scalars on the CPU, fields where the sample is made."""

    def __init__(self, seed: int, number: int, device: torch.device) -> None:
        mixed = int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)
        self.scalars = Generator().manual_seed(mixed)
        same = device.type == "cpu"
        self.fields = self.scalars if same else Generator(device).manual_seed(mixed)

    def uniform(self, low: float, high: float) -> float:
        """Draw between two numbers."""
        return low + (high - low) * float(torch.rand((), generator=self.scalars))

    def normal(self) -> float:
        """Draw from a normal distribution, cut at two standard deviations."""
        return float(torch.randn((), generator=self.scalars).clamp(-2, 2))

    def integer(self, n: int) -> int:
        """Draw from 0 to ``n - 1``."""
        return int(torch.randint(n, (), generator=self.scalars))

    def chance(self, share: float) -> bool:
        """Say yes in a share of draws."""
        return self.uniform(0, 1) < share

    def noise(self, shape: tuple[int, ...]) -> Tensor:
        """Draw a field from a normal distribution."""
        return torch.randn(shape, generator=self.fields, device=self.fields.device)


def affine_matrix(angles: list[float], scales: list[float], shears: list[float]) -> Tensor:
    """Return a ``(3, 3)`` matrix: rotations about x, y and z after scales and shears."""
    matrix = torch.eye(3)
    for axis, angle in enumerate(angles):
        first, second = [each for each in range(3) if each != axis]
        turn = torch.eye(3)
        turn[first, first] = turn[second, second] = math.cos(angle)
        turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    stretch = torch.diag(torch.tensor(scales))
    stretch[0, 1], stretch[0, 2], stretch[1, 2] = shears
    return matrix @ stretch
