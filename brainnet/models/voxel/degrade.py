"""What a scanner does to a head: bias, blur, thick slices, noise, a cut field."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

__all__ = ["acquire", "bias_field", "blur", "smooth_noise"]

_FWHM_PER_SIGMA = 2.3548


def smooth_noise(
    shape: tuple[int, int, int], n_nodes: tuple[int, int, int], generator: Generator
) -> Tensor:
    """Return noise of unit variance at ``n_nodes`` nodes an axis, interpolated to ``shape``.

    Examples
    --------
    >>> smooth_noise((8, 9, 10), (3, 3, 3), torch.Generator().manual_seed(0)).shape
    torch.Size([8, 9, 10])
    """
    nodes = torch.randn((1, 1, *n_nodes), generator=generator, device=generator.device)
    field = functional.interpolate(nodes, size=shape, mode="trilinear", align_corners=True)
    return field[0, 0]


def bias_field(shape: tuple[int, int, int], strength: float, generator: Generator) -> Tensor:
    """Return a smooth positive factor: the exponential of noise of standard deviation ``strength``.

    Examples
    --------
    >>> field = bias_field((8, 8, 8), 0.3, torch.Generator().manual_seed(0))
    >>> bool((field > 0).all())
    True
    """
    n_nodes = int(torch.randint(2, 6, (), generator=generator, device=generator.device))
    return (strength * smooth_noise(shape, (n_nodes,) * 3, generator)).exp()


def blur(image: Tensor, fwhm: tuple[float, float, float]) -> Tensor:
    """Blur an image by a Gaussian, zero outside.

    Parameters
    ----------
    image : (nx, ny, nz) tensor
    fwhm : three floats
        Full width at half maximum along each axis, in voxels; below 0.3 nothing is done.

    Returns
    -------
    (nx, ny, nz) tensor

    Examples
    --------
    >>> image = torch.zeros(9, 9, 9)
    >>> image[4, 4, 4] = 1
    >>> blurred = blur(image, (2, 0, 0))
    >>> round(float(blurred[3, 4, 4] / blurred[4, 4, 4]), 4)
    0.5
    """
    for axis, width in enumerate(fwhm):
        if width < 0.3:
            continue
        sigma = width / _FWHM_PER_SIGMA
        reach = max(1, math.ceil(2.5 * sigma))
        steps = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
        kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = kernel.numel()
        padding = [reach if each == axis else 0 for each in range(3)]
        weights = (kernel / kernel.sum()).reshape(shape)
        image = functional.conv3d(image[None, None], weights, padding=padding)[0, 0]
    return image


def acquire(
    image: Tensor, spacing: tuple[float, float, float], noise: float, generator: Generator
) -> Tensor:
    """Scan an image on a coarser grid: blur, sample, add noise, and interpolate back.

    Parameters
    ----------
    image : (nx, ny, nz) tensor
    spacing : three floats
        Spacing of the scanner's grid along each axis, in voxels of ``image``; 1 or more.
    noise : float
        Standard deviation of the noise in a voxel of the scanner's grid, in units of the image.
        It is Rician: what is measured is a magnitude, so with noise nothing is negative.
    generator : torch.Generator

    Returns
    -------
    (nx, ny, nz) tensor
        On the grid of ``image``.
    """
    shape = tuple(image.shape)
    image = blur(image, tuple(0.9 * each if each > 1 else 0.0 for each in spacing))  # type: ignore[arg-type]
    coarse = [max(2, round(n / each)) for n, each in zip(shape, spacing, strict=True)]
    if coarse != list(shape):
        image = _resize(image, coarse)
    if noise:
        image = torch.hypot(
            image + noise * _randn(image, generator), noise * _randn(image, generator)
        )
    return image if coarse == list(shape) else _resize(image, list(shape))


def _randn(like: Tensor, generator: Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device)


def _resize(image: Tensor, shape: list[int]) -> Tensor:
    return functional.interpolate(
        image[None, None], size=shape, mode="trilinear", align_corners=False
    )[0, 0]
