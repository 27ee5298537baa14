"""The loss where a voxel is known to be one of several structures, and no more than that."""

import torch
from torch import Tensor

__all__ = ["partial_loss"]

_SMALL = 1e-5


def partial_loss(logits: Tensor, sets: Tensor, shares: Tensor) -> Tensor:
    r"""Return marginal cross-entropy plus marginal Dice loss.

    What is known of a voxel is the share :math:`t_S` of it that is one of the structures in a set
    :math:`S`. With :math:`p_S = \sum_{k \in S} p_k` the first is

    .. math:: -\sum_S t_S \log p_S

    averaged over what is known, the second :math:`1 - 2 \sum p_S t_S / \sum (p_S + t_S)` for each
    set without background, over the voxels of which it is known whether they are in it. How
    :math:`p_S` is divided within a set changes neither: what a mask does not say is not learned
    from it.

    Parameters
    ----------
    logits : (n_batch, n_shares, nx, ny, nz) tensor
        Of background and structures.
    sets : (n_batch, n_sets, n_shares) tensor
        1 for the members of each set, 0 else.
    shares : (n_batch, n_sets, nx, ny, nz) tensor
        In [0, 1]; what their sum lacks to 1 is not known.

    Returns
    -------
    () tensor
        0 or more; 0 where nothing is known.

    References
    ----------
    Fang and Yan (2020), Multi-organ segmentation over partially labeled datasets with multi-scale
    feature abstraction, IEEE Trans Med Imaging 39:3619. Shi et al. (2021), Marginal loss and
    exclusion loss for partially supervised multi-organ segmentation, Med Image Anal 70:101979.

    Examples
    --------
    >>> logits = torch.zeros(1, 4, 1, 1, 1)  # four structures, none the likelier
    >>> two = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
    >>> round(float(partial_loss(logits, two, torch.ones(1, 1, 1, 1, 1))), 4)  # log 2 + 1 / 3
    1.0265
    """
    losses = [
        _of_one(each, members > 0, share)
        for each, members, share in zip(logits.float(), sets, shares.float(), strict=True)
    ]
    return torch.stack(losses).mean()


def _of_one(logits: Tensor, sets: Tensor, shares: Tensor) -> Tensor:
    told = ~sets.all(dim=1)  # that it is something says nothing
    sets, shares = sets[told], shares[told]
    known = shares.sum()
    if not sets.shape[0] or known <= 0:
        return logits.sum() * 0.0
    logs = logits.log_softmax(dim=0)
    of_sets = torch.stack([torch.logsumexp(logs[members], dim=0) for members in sets])
    entropy = -(shares * of_sets).sum() / known
    apart = [_overlap(place, of_sets[place].exp(), sets, shares) for place in range(len(sets))]
    found = [each for each in apart if each is not None]
    return entropy + torch.stack(found).mean() if found else entropy


def _overlap(place: int, p: Tensor, sets: Tensor, shares: Tensor) -> Tensor | None:
    """Return the Dice loss of one set; None of one with background, or that is not there."""
    members = sets[place]
    inside = ~(sets & ~members).any(dim=1)  # sets that lie in this one
    outside = ~(sets & members).any(dim=1)
    truth = shares[inside].sum(dim=0)
    if members[0] or truth.sum() <= 0:
        return None
    known = shares[inside | outside].sum(dim=0)
    both = (truth * p).sum()
    return 1 - (2 * both + _SMALL) / ((known * p).sum() + truth.sum() + _SMALL)
