"""What a graph network sees of a batch of subjects, as dense tensors."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Brains", "strongest"]


class Brains(NamedTuple):
    """A batch of subjects; the same layout for every network and every modality.

    Brain graphs are small (84 to 400 regions) and dense (a tenth to a third of all edges), so
    they are multiplied out as dense matrices: the same numbers as message passing over a list of
    edges, many times faster.

    Attributes
    ----------
    nodes : (n_subjects, n_modalities, n_regions, n_features) tensor
        Node features, scaled; 0 where not measured.
    edges : (n_subjects, n_modalities, n_regions, n_regions) tensor
        All edges, scaled to mean 0 and deviation 1 over training subjects; 0 where not measured.
    adjacency : (n_subjects, n_modalities, n_regions, n_regions) tensor
        The strongest edges in their own units, positive; 0 elsewhere and on the diagonal.
    context : (n_subjects, n_context) tensor
        Features of the subject as a whole, scaled; 0 where not measured. Those of the first
        modality stand first, as many for each: ``context.unflatten(1, (n_modalities, -1))``.
    present : (n_subjects, n_modalities) bool tensor
        Whether anything of the modality was measured.
    """

    nodes: Tensor
    edges: Tensor
    adjacency: Tensor
    context: Tensor
    present: Tensor

    def rows(self, chosen: Tensor) -> "Brains":
        """Return some of the subjects, by index."""
        taken = {id(each): each.index_select(0, chosen) for each in self}  # profiles are edges
        return Brains(*(taken[id(each)] for each in self))

    def to(self, device: str | torch.device) -> "Brains":
        """Return the batch on a device."""
        return Brains(*(each.to(device) for each in self))


def strongest(networks: Tensor, *, density: float) -> Tensor:
    """Keep each network's strongest positive edges, up to a density: a graph as dense matrices.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) tensor
        Symmetric.
    density : float
        Share of the possible edges, in (0, 1].

    Returns
    -------
    (..., n_regions, n_regions) tensor
        Symmetric, 0 or more, with a zero diagonal.

    Examples
    --------
    >>> weights = torch.tensor([[0, 0.9, 0.1], [0.9, 0, -0.5], [0.1, -0.5, 0]])
    >>> strongest(weights, density=1 / 3).count_nonzero().item()
    2
    """
    n_regions = networks.shape[-1]
    rows, columns = torch.triu_indices(n_regions, n_regions, 1, device=networks.device)
    edges = networks[..., rows, columns].clamp(min=0)
    n_kept = max(1, round(density * len(rows)))
    values, places = edges.topk(n_kept, dim=-1)
    kept = torch.zeros_like(edges).scatter_(-1, places, values)
    graph = torch.zeros_like(networks)
    graph[..., rows, columns] = kept
    return graph + graph.mT
