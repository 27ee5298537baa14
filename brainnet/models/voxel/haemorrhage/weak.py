"""Learn where from whether: the loss of labels that hold for a slice, or for a scan."""

import torch
from torch import Tensor

__all__ = ["pooled", "slice_loss"]

_LEAST = 1e-6


def pooled(probability: Tensor, slices: Tensor, *, top: int) -> tuple[Tensor, Tensor]:
    """Return how sure a network is that each slice shows something: its likeliest voxels' mean.

    Parameters
    ----------
    probability : (n_kinds, nx, ny, nz) tensor
        In [0, 1].
    slices : (nx, ny, nz) int64 tensor
        Number of the slice that each voxel lies in, from 1 on; 0 for none.
    top : int
        How many voxels; fewer where a slice has fewer.

    Returns
    -------
    numbers : (n_slices,) int64 tensor
        Slices that have a voxel.
    mean : (n_slices, n_kinds) tensor

    Raises
    ------
    ValueError
        ``top`` below 1.

    Examples
    --------
    >>> probability = torch.tensor([0.1, 0.9, 0.7, 0.2]).reshape(1, 4, 1, 1)
    >>> numbers, mean = pooled(probability, torch.tensor([1, 1, 1, 4]).reshape(4, 1, 1), top=2)
    >>> numbers.tolist(), [round(each, 2) for each in mean[:, 0].tolist()]
    ([1, 4], [0.8, 0.2])
    """
    if top < 1:
        raise ValueError(f"top must be 1 or more; got {top}.")
    flat, places = probability.flatten(1), slices.flatten()
    order = places.argsort(stable=True)
    numbers, counts = torch.unique(places, return_counts=True)
    parts = torch.split(flat[:, order], counts.tolist(), dim=1)
    means = [
        part.topk(min(top, part.shape[1]), dim=1).values.mean(dim=1)
        for number, part in zip(numbers.tolist(), parts, strict=True)
        if number > 0
    ]
    found = torch.stack(means) if means else flat.new_zeros(0, flat.shape[0])
    return numbers[numbers > 0], found


def slice_loss(probability: Tensor, slices: Tensor, labels: Tensor, *, top: int) -> Tensor:
    """Return the binary cross-entropy of slices' probabilities against their labels.

    Parameters
    ----------
    probability : (n_kinds, nx, ny, nz) tensor
        In [0, 1].
    slices : (nx, ny, nz) int64 tensor
        As in :func:`pooled`.
    labels : (n_slices, n_kinds) tensor
        1 where slice ``row + 1`` shows a kind, 0 where it does not, NaN where nobody said.
    top : int
        Voxels whose mean is the probability of a slice.

    Returns
    -------
    () tensor
        Mean over the labels that are known; 0 where there is none.

    References
    ----------
    Durand, Thome and Cord (2016), WELDON: weakly supervised learning of deep convolutional neural
    networks, CVPR (the mean of the likeliest places as the score of the whole).
    """
    numbers, found = pooled(probability, slices, top=top)
    told = labels[numbers - 1]
    known = torch.isfinite(told)
    if not known.any():
        return probability.sum() * 0.0
    sure, truth = found[known].clamp(_LEAST, 1 - _LEAST), told[known]
    return -(truth * sure.log() + (1 - truth) * (1 - sure).log()).mean()
