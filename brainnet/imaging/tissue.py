"""Share each voxel of a brain between cerebrospinal fluid, grey and white matter."""

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage, special

from brainnet.imaging import _ants

#: Tissues from dark to bright in a T1-weighted image.
TISSUES = ("CSF", "GM", "WM")
#: Weight of the six neighbours: log-odds that a neighbour adds to its own tissue.
_NEIGHBOUR = 0.15
#: Widest that CSF, GM and WM may be in units of the width of WM, or GM swallows the mixed voxels.
_WIDEST = (3.0, 1.5, 1.0)
#: Width of the residual shading that is followed (mm, full width at half maximum).
_SHADING_MM = 50.0
_ROUNDS, _ITERATIONS = 4, 5

_Array = NDArray[np.float32]


def segment_tissue(img: Nifti1Image, mask_img: Nifti1Image) -> dict[str, Nifti1Image]:
    r"""Segment a T1-weighted brain into cerebrospinal fluid, grey matter and white matter.

    Expectation-maximisation with five classes: three Gaussians for pure voxels, and two for
    voxels mixed in equal likelihood of every proportion from CSF with GM and from GM with WM,
    whose share is then read off their intensity. Neighbours pull with a Markov random field of
    the six nearest in the mean-field approximation, and a smooth field follows the shading that
    N4 left:

    .. math::
        p_{ik} \propto \pi_k \, L_k(x_i / b_i) \exp\Big(\beta \sum_{j \sim i} f_{jk}\Big)

    It starts from quantiles and holds no chance: one input, one result.

    Parameters
    ----------
    img : Nifti1Image
        Three-dimensional, finite, T1-weighted (white matter brightest), bias corrected.
    mask_img : Nifti1Image
        Same grid; above 0 in the brain.

    Returns
    -------
    dict of str to Nifti1Image
        ``"CSF"``, ``"GM"``, ``"WM"``: float32 tissue fractions, 0 to 1, that sum to 1 in the mask
        and are 0 outside.

    Raises
    ------
    ValueError
        If ``img`` is not three-dimensional, finite and varying, the mask is on another grid,
        empty or under 1000 voxels, or three tissues cannot be told apart.

    References
    ----------
    Zhang, Brady and Smith (2001), IEEE Trans Med Imaging 20:45 (random field and shading).
    Tohka, Zijdenbos and Evans (2004), NeuroImage 23:84 (mixed voxels).
    """
    data = _ants.check_volume(img, "img")
    mask = _ants.check_mask(mask_img, img, "mask_img")
    if mask.sum() < 1000:
        raise ValueError(f"mask_img must hold at least 1000 voxels; got {int(mask.sum())}.")
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    voxel = np.linalg.norm(np.asarray(img.affine)[:3, :3], axis=0)
    inside = np.pad(mask[box], 1)
    probabilities = _mixture(np.pad(data[box], 1), inside, voxel)
    images = {}
    for k, name in enumerate(TISSUES):
        whole = np.zeros(data.shape, np.float32)
        whole[box] = probabilities[k][1:-1, 1:-1, 1:-1]
        images[name] = _ants.image_like(whole, img)
    return images


def _mixture(data: _Array, mask: NDArray[np.bool_], voxel: NDArray[np.float64]) -> _Array:
    """Return the tissue fractions (3, x, y, z) of a padded brain."""
    values = data[mask]
    values = np.clip(values, *np.percentile(values, (0.2, 99.8)))
    mean, width = _first_guess(values)
    share = np.full(5, 1 / 5)
    field = np.zeros((3, *mask.shape), np.float32)
    shading = np.ones_like(values)
    for round_ in range(_ROUNDS):
        for _ in range(_ITERATIONS):
            level = values / shading
            prior = _NEIGHBOUR * _neighbours(field)[:, mask]
            posterior = _posterior(level, mean, width, share, prior)
            fractions = _fractions(level, mean, posterior)
            field[:, mask] = fractions
            share = posterior.mean(axis=1, dtype=np.float64)
            mean, width = _maximise(level, posterior[:3])
        if round_ < _ROUNDS - 1:
            shading = _shading(values, fractions, mean, mask, voxel)
    return field


def _first_guess(values: _Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means and widths of three groups by one-dimensional k-means from quantiles."""
    mean = np.percentile(values, (8, 45, 85)).astype(np.float64)
    for _ in range(50):
        group = np.digitize(values, (mean[:-1] + mean[1:]) / 2)
        counts = np.bincount(group, minlength=3)
        if np.any(counts == 0):
            raise ValueError(
                "img must show three tissues inside mask_img; its intensities fall into fewer "
                f"groups (around {', '.join(f'{m:.4g}' for m in np.unique(mean))}). "
                "Is it T1-weighted and the mask in place?"
            )
        mean = np.bincount(group, weights=values, minlength=3) / counts
    spread = np.bincount(group, weights=(values - mean[group]) ** 2, minlength=3) / counts
    return mean, np.sqrt(spread) + 1e-6 * (mean[2] - mean[0])


def _posterior(
    level: _Array,
    mean: NDArray[np.float64],
    width: NDArray[np.float64],
    share: NDArray[np.float64],
    prior: _Array,
) -> _Array:
    """Return the probabilities (5, n_voxels) of CSF, GM, WM, CSF with GM, and GM with WM."""
    scores = []
    for k in range(3):
        gauss = -0.5 * ((level - mean[k]) / width[k]) ** 2 - np.log(width[k] * np.sqrt(2 * np.pi))
        scores.append(gauss + prior[k])
    for k in range(2):
        below = special.ndtr((level - mean[k]) / width[k])
        above = special.ndtr((level - mean[k + 1]) / width[k + 1])
        mixed = np.maximum(below - above, 1e-12) / (mean[k + 1] - mean[k])
        scores.append(np.log(mixed) + (prior[k] + prior[k + 1]) / 2)
    score = np.stack(scores) + np.log(np.maximum(share, 1e-6))[:, None]
    score = np.exp(score - score.max(axis=0))
    return np.asarray(score / score.sum(axis=0), dtype=np.float32)


def _fractions(level: _Array, mean: NDArray[np.float64], posterior: _Array) -> _Array:
    """Return the share (3, n_voxels) of each tissue, mixed voxels split by their intensity."""
    fractions = posterior[:3].copy()
    for k in range(2):
        part = np.clip((level - mean[k]) / (mean[k + 1] - mean[k]), 0, 1).astype(np.float32)
        fractions[k] += posterior[3 + k] * (1 - part)
        fractions[k + 1] += posterior[3 + k] * part
    return fractions


def _maximise(level: _Array, posterior: _Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and width of each pure tissue."""
    total = posterior.sum(axis=1, dtype=np.float64)
    mean = (posterior @ level.astype(np.float64)) / total
    square = (posterior @ level.astype(np.float64) ** 2) / total
    width = np.sqrt(np.maximum(square - mean**2, 1e-6 * (mean[2] - mean[0]) ** 2))
    return mean, np.minimum(width, np.array(_WIDEST) * width[2])


def _neighbours(field: _Array) -> _Array:
    """Return the sum over the six neighbours of a field that is 0 at its border."""
    total = np.zeros_like(field)
    for axis in (1, 2, 3):
        total += np.roll(field, 1, axis) + np.roll(field, -1, axis)
    return total


def _shading(
    values: _Array,
    posterior: _Array,
    mean: NDArray[np.float64],
    mask: NDArray[np.bool_],
    voxel: NDArray[np.float64],
) -> _Array:
    """Return the smooth ratio of intensities to what the tissues predict, from GM and WM."""
    weight = np.zeros(mask.shape, np.float32)
    ratio = np.zeros(mask.shape, np.float32)
    weight[mask] = np.max(posterior[1:], axis=0) ** 2
    ratio[mask] = weight[mask] * values / (mean.astype(np.float32) @ posterior)
    steps = np.maximum(1, np.round(4.0 / voxel)).astype(int)
    thin = tuple(slice(None, None, int(step)) for step in steps)
    sigma = _SHADING_MM / 2.355 / (voxel * steps)
    smooth = [
        ndimage.gaussian_filter(ndimage.uniform_filter(each, steps)[thin], sigma)
        for each in (ratio, weight)
    ]
    coarse = smooth[0] / np.maximum(smooth[1], 1e-6)
    coordinates = np.argwhere(mask).T / steps[:, None]
    shading = ndimage.map_coordinates(coarse, coordinates, order=1, mode="nearest")
    return np.asarray(np.clip(shading, 0.5, 2.0), dtype=np.float32)
