"""Sharpen a segmentation by the image itself: what is as bright as cortex and near it is cortex."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from brainnet.models.voxel.labels import LabelTable

__all__ = ["refine"]

_Array = NDArray[np.float32]

_N_ROUNDS = 5
_N_BINS = 64
_WIDTH = 1.5  # bins, of what a histogram is smoothed by
_BLUR = 1.4  # mm, standard deviation: how far the network may be off
_BIAS = 16.0  # mm, standard deviation: no field of a coil is rougher
_LEAST = 1e-6  # of a probability
_NEAR = 0.01  # probability of any label, below which nothing is looked at


def refine(
    image: NDArray[np.float32], posterior: Tensor, table: LabelTable, *, voxel_size: float = 2.0
) -> Tensor:
    """Return a posterior that the brightness of every voxel has been heard for.

    A network knows where each structure lies, in any contrast; how bright it is in this very
    image it need not have been taught. Expectation maximisation finds that: the histogram of each
    structure, weighted by its probability, then each voxel's probability, the network's (blurred
    by what it may be off) times the histogram at its brightness, and again. A smooth
    multiplicative field is taken out on the way. Where structures are equally bright, as in CT,
    the histograms say little and the network's word stands. So it does on what lies outside the
    brain, which may look like anything.

    Parameters
    ----------
    image : (nx, ny, nz) array
        In [0, 1], as the network saw it.
    posterior : (n_labels + 1, nx, ny, nz) tensor
        Probabilities of background and labels, summing to 1.
    table : LabelTable
        Both sides of a structure are as bright as each other; their shares of it stay.
    voxel_size : float
        mm.

    Returns
    -------
    (n_labels + 1, nx, ny, nz) float32 tensor
        Summing to 1; background, and what no label is near, as given.

    References
    ----------
    Van Leemput et al. (1999), Automated model-based tissue classification of MR images of the
    brain, IEEE Trans Med Imaging 18(10). Puonti et al. (2016), Fast and sequence-adaptive
    whole-brain segmentation using parametric Bayesian modeling, NeuroImage 143.

    Examples
    --------
    >>> from brainnet.models.voxel.labels import load_labels
    >>> table = load_labels("brain")
    >>> image = np.zeros((12, 12, 12), np.float32)
    >>> image[:, 5:] = 0.8                                       # an edge, clear to see
    >>> posterior = torch.zeros(1 + len(table.regions), 12, 12, 12)
    >>> posterior[1, :, :7], posterior[2, :, :7] = 0.4, 0.6      # two voxels off, and unsure
    >>> posterior[1, :, 7:], posterior[2, :, 7:] = 0.6, 0.4
    >>> refined = refine(image, posterior, table)
    >>> refined.argmax(dim=0)[6, :, 6].tolist()
    [2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1]
    """
    near = (posterior[0] < 1 - _NEAR).numpy()
    if not near.any():
        return posterior
    of_label = _structures(table)
    shares = torch.zeros((int(of_label.max()) + 1, *posterior.shape[1:]))
    shares.index_add_(0, of_label, posterior.float())
    prior = np.stack([
        ndimage.gaussian_filter(each, _BLUR / voxel_size)[near] for each in shares.numpy()
    ])  # fmt: skip
    prior = np.maximum(prior, _LEAST)
    prior /= prior.sum(axis=0)
    found = _maximise(image, near, prior, shares.numpy()[:, near], voxel_size)
    outside = shares[0, near].numpy()
    found[0] = outside
    found[1:] *= (1 - outside) / np.maximum(found[1:].sum(axis=0), _LEAST)
    refined = posterior.float().clone()
    ratio = torch.from_numpy(found) / shares[:, near].clamp(min=_LEAST)
    within = refined[:, near] * ratio[of_label]
    refined[:, near] = within / within.sum(dim=0).clamp(min=_LEAST)
    return refined


def _structures(table: LabelTable) -> Tensor:
    """Return the structure ``(n_labels + 1,)`` of background and each label, background 0."""
    numbers = [1 + table.structures.index(each) for each in table.regions["structure"]]
    return torch.tensor([0, *numbers])


def _maximise(
    image: _Array, near: NDArray[np.bool_], prior: _Array, start: _Array, voxel_size: float
) -> _Array:
    """Return probabilities ``(n_structures, n_near)`` that histograms and prior agree on."""
    found, seen = start, image[near]
    for round_ in range(_N_ROUNDS):
        if round_:
            seen = _unbiased(image, near, found, voxel_size)
        bins = np.clip(seen * (_N_BINS / 1.25), 0, _N_BINS - 1).astype(np.intp)
        counts = np.stack([np.bincount(bins, each, _N_BINS) for each in found])
        counts = ndimage.gaussian_filter1d(counts + 1e-3, _WIDTH, axis=1)
        likelihood = (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
        found = prior * likelihood[:, bins]
        found /= found.sum(axis=0)
    return found


def _unbiased(image: _Array, near: NDArray[np.bool_], found: _Array, voxel_size: float) -> _Array:
    """Return the brightness without what is smooth in it and no structure explains."""
    seen = np.maximum(image[near], 0.02)
    inside = 1 - found[0]
    means = (found * seen).sum(axis=1) / np.maximum(found.sum(axis=1), _LEAST)
    expected = np.tensordot(means[1:], found[1:], axes=1) / np.maximum(inside, 1e-3)
    weight = np.where(image[near] > 0.02, inside, 0).astype(np.float32)
    residual = np.clip(np.log(seen / np.maximum(expected, 0.02)), -0.5, 0.5)
    field = []
    for values in (weight * residual, weight):
        spread = np.zeros(image.shape, dtype=np.float32)
        spread[near] = values
        field.append(ndimage.gaussian_filter(spread, _BIAS / voxel_size)[near])
    return np.asarray(image[near] / np.exp(field[0] / np.maximum(field[1], 0.05)))
