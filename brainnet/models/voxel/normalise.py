"""Bring any image to the range that networks are trained on."""

import torch
from torch import Tensor

__all__ = ["normalise"]

_MOST_VALUES = 100_000  # enough for a percentile to three digits


def normalise(image: Tensor, *, low: float = 0.005, high: float = 0.995) -> Tensor:
    """Scale an image so that two of its quantiles become 0 and 1, and clip it there.

    Parameters
    ----------
    image : (...) float tensor
        Finite.
    low, high : float
        Quantiles, in [0, 1]. Of a large image they are taken from evenly spaced voxels.

    Returns
    -------
    (...) float32 tensor
        In [0, 1]; all 0 if the two quantiles are equal.

    Examples
    --------
    >>> normalise(torch.tensor([-3.0, 0.0, 1.0, 2.0, 40.0]), low=0.25, high=0.75)
    tensor([0.0000, 0.0000, 0.5000, 1.0000, 1.0000])
    """
    values = image.float().flatten()
    values = values[:: max(1, values.numel() // _MOST_VALUES)]
    bottom, top = torch.quantile(values, torch.tensor([low, high], device=values.device))
    if not top > bottom:
        return torch.zeros_like(image, dtype=torch.float32)
    scaled: Tensor = (image.float() - bottom) / (top - bottom)
    return scaled.clamp_(0, 1)
