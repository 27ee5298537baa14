"""Graph attention (GATv2): every region weighs its neighbours by what both of them are."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch_geometric.nn.inits import glorot

from brainnet.models.graph._attention import list_neighbours, listen, listen_backward
from brainnet.models.graph.modalities import SideBySide

__all__ = ["GATv2", "GATv2Convolution", "GATv2Encoder", "Neighbours"]

Floats = NDArray[np.float32]


class Neighbours(NamedTuple):
    """The neighbours of every region, itself last, with the weights of the edges to them.

    The edge of a region to itself weighs the mean of its other edges, 0 if it has none, as
    ``GATv2Conv`` has it.

    Attributes
    ----------
    starts : (n_subjects, n_regions + 1) int64 array
        Where the neighbours of each region start.
    near : (n_edges,) int32 array
    weights : (n_edges,) float32 array

    Examples
    --------
    >>> neighbours = Neighbours.of(torch.tensor([[[0, 0.4, 0.2], [0.4, 0, 0], [0.2, 0, 0]]]))
    >>> neighbours.near.tolist(), neighbours.starts.tolist()
    ([1, 2, 0, 0, 1, 0, 2], [[0, 3, 5, 7]])
    """

    starts: NDArray[np.int64]
    near: NDArray[np.int32]
    weights: Floats

    @classmethod
    def of(cls, adjacency: Tensor) -> "Neighbours":
        """List what is not 0 in ``(n_subjects, n_regions, n_regions)``, float32 on the CPU."""
        n_subjects, n_regions, _ = adjacency.shape
        starts = np.empty((n_subjects, n_regions + 1), dtype=np.int64)
        n_most = n_subjects * n_regions * (n_regions + 1) + 1
        near, weights = np.empty(n_most, dtype=np.int32), np.empty(n_most, dtype=np.float32)
        lists = starts, near, weights
        n_edges = list_neighbours(_array(adjacency), *lists)  # type: ignore[no-untyped-call]
        return cls(starts, near[:n_edges], weights[:n_edges])


class GATv2Convolution(nn.Module):
    r"""Give each region the mean of its neighbours, weighted by attention in several heads.

    .. math::

        x'_i = \sum_j \alpha_{ij} W_l x_j + b, \quad
        \alpha_{ij} = \mathrm{softmax}_j \; a^T
        \mathrm{LeakyReLU}(W_l x_j + W_r x_i + w_{ij} e)

    over the regions :math:`j` whose edge :math:`w_{ij}` is not 0, and over :math:`i` itself with
    the mean of its edges. The same numbers as ``torch_geometric.nn.GATv2Conv(n_features,
    n_channels, heads=n_heads, edge_dim=1)``, whose weights it takes by ``load_state_dict``.

    Parameters
    ----------
    n_features, n_channels : int
        Channels in, and channels out of each head.
    n_heads : int
    negative_slope : float
        Of the LeakyReLU, from 0 to 1.

    Notes
    -----
    On the CPU in float32 a compiled loop goes over the edges: dense matrices would hold ten times
    as many numbers at a density of 10 %, in every channel. Elsewhere torch gathers the edges.
    """

    def __init__(
        self, n_features: int, n_channels: int, *, n_heads: int = 1, negative_slope: float = 0.2
    ) -> None:
        super().__init__()
        n_out = n_heads * n_channels
        self.negative_slope = negative_slope
        self.lin_l = nn.Linear(n_features, n_out)
        self.lin_r = nn.Linear(n_features, n_out)
        self.lin_edge = nn.Linear(1, n_out, bias=False)
        self.att = nn.Parameter(torch.empty(1, n_heads, n_channels))
        self.bias = nn.Parameter(torch.zeros(n_out))
        for each in (self.lin_l.weight, self.lin_r.weight, self.lin_edge.weight, self.att):
            glorot(each)

    def forward(
        self, nodes: Tensor, adjacency: Tensor, neighbours: Neighbours | None = None
    ) -> Tensor:
        """Return ``(n_subjects, n_regions, n_heads * n_channels)``.

        Parameters
        ----------
        nodes : (n_subjects, n_regions, n_features) tensor
        adjacency : (n_subjects, n_regions, n_regions) tensor
        neighbours : Neighbours, optional
            Of ``adjacency``, where they are listed already.
        """
        sides = self.lin_l(nodes), self.lin_r(nodes)
        attention = self.lin_edge.weight[:, 0], self.att[0]
        if not _compiled_can(adjacency, *sides):
            heard = attend(adjacency, *sides, *attention, slope=self.negative_slope)
        else:
            listed = neighbours or Neighbours.of(adjacency)
            given = adjacency, *sides, *attention
            heard = _Attend.apply(  # type: ignore[no-untyped-call]
                *given, self.negative_slope, listed
            )
        convolved: Tensor = heard + self.bias
        return convolved


class GATv2Encoder(nn.Module):
    """Convolve the nodes of one graph a subject with attention, then take mean and maximum.

    Parameters
    ----------
    n_features, n_hidden : int
        Channels in and out; the heads share those out.
    n_heads, n_layers : int
    dropout : float
        Share of channels zeroed in training, between convolutions.
    """

    def __init__(
        self, n_features: int, n_hidden: int, *, n_heads: int, n_layers: int, dropout: float
    ) -> None:
        super().__init__()
        if n_heads < 1 or n_hidden % n_heads:
            raise ValueError(
                f"n_heads must divide n_hidden = {n_hidden}; got {n_heads}. Use n_heads=1."
            )
        sizes = [n_features] + [n_hidden] * n_layers
        self.layers = nn.ModuleList(
            GATv2Convolution(before, after // n_heads, n_heads=n_heads)
            for before, after in pairwise(sizes)
        )
        self.dropout = nn.Dropout(dropout)

    def embed(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        """Return the embeddings ``(n_subjects, n_regions, n_hidden)``."""
        neighbours = Neighbours.of(adjacency) if _compiled_can(adjacency, nodes) else None
        for number, convolve in enumerate(self.layers):
            nodes = self.dropout(nodes) if number else nodes
            nodes = torch.relu(convolve(nodes, adjacency, neighbours))
        return nodes

    def forward(self, nodes: Tensor, edges: Tensor, adjacency: Tensor) -> Tensor:
        """Return ``(n_subjects, 2 * n_hidden)``."""
        nodes = self.embed(nodes, adjacency)
        return torch.cat([nodes.mean(dim=1), nodes.max(dim=1).values], dim=1)


class GATv2(SideBySide):
    """A graph attention network a modality, joined in one head.

    Parameters
    ----------
    n_features, n_modalities, n_regions, n_context, n_outputs : int
        What comes in and out (:class:`~brainnet.models.graph.brains.Brains`).
    n_hidden : int
        Channels of every convolution, over all heads, and of the head.
    n_heads : int
        Heads of attention; they divide ``n_hidden``.
    n_layers : int
    dropout : float

    References
    ----------
    Brody, Alon and Yahav (2022), How attentive are graph attention networks?, ICLR.
    """

    def __init__(  # noqa: PLR0913  (the options of one network)
        self,
        n_features: int,
        *,
        n_modalities: int,
        n_regions: int,
        n_context: int,
        n_outputs: int,
        n_hidden: int = 32,
        n_heads: int = 4,
        n_layers: int = 2,
        dropout: float = 0.3,
    ) -> None:
        encoders = (
            GATv2Encoder(n_features, n_hidden, n_heads=n_heads, n_layers=n_layers, dropout=dropout)
            for _ in range(n_modalities)
        )
        super().__init__(
            encoders,
            n_encoded=2 * n_hidden,
            n_context=n_context,
            n_outputs=n_outputs,
            n_hidden=n_hidden,
            dropout=dropout,
        )


def attend(
    adjacency: Tensor,
    source: Tensor,
    target: Tensor,
    edge: Tensor,
    attention: Tensor,
    *,
    slope: float,
) -> Tensor:
    """Return what each region hears from its neighbours, in any precision on any device.

    Parameters
    ----------
    adjacency : (n_subjects, n_regions, n_regions) tensor
    source, target : (n_subjects, n_regions, n_heads * n_channels) tensors
        What a region says, and what it listens for.
    edge : (n_heads * n_channels,) tensor
    attention : (n_heads, n_channels) tensor
    slope : float

    Returns
    -------
    (n_subjects, n_regions, n_heads * n_channels) tensor
    """
    shape = attention.shape
    itself = torch.eye(adjacency.shape[-1], dtype=torch.bool, device=adjacency.device)
    linked = (adjacency != 0) & ~itself
    mean = (adjacency * linked).sum(dim=-1, keepdim=True) / linked.sum(-1, True).clamp(min=1)
    weights = torch.where(itself, mean, adjacency)
    subject, i, j = (linked | itself).nonzero(as_tuple=True)
    pairs = source[subject, j] + target[subject, i] + weights[subject, i, j, None] * edge
    pairs = functional.leaky_relu(pairs, slope).view(-1, *shape)  # (n_edges, heads, channels)
    scores = pairs.new_full((*adjacency.shape, shape[0]), -torch.inf)
    scores[subject, i, j] = (pairs * attention).sum(dim=-1)
    said = source.reshape(*source.shape[:2], *shape)
    heard = torch.einsum("bijh,bjhc->bihc", scores.softmax(dim=2), said)
    return heard.flatten(start_dim=2)


class _Attend(torch.autograd.Function):
    """`attend` on the CPU, in compiled loops over the edges.

    Attention is worked out again in the backward pass: nothing in the size of the edges is kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        adjacency: Tensor,
        source: Tensor,
        target: Tensor,
        edge: Tensor,
        attention: Tensor,
        slope: float,
        neighbours: Neighbours,
    ) -> Tensor:
        arrays = [_array(each) for each in (source, target, edge, attention.flatten())]
        heard = np.empty_like(arrays[0])
        log_sum = np.empty((*heard.shape[:2], len(attention)), dtype=np.float32)
        constants = (*neighbours, *arrays, np.float32(slope))
        _in_threads(listen, len(heard), constants, (heard, log_sum))
        ctx.constants, ctx.shape = constants, adjacency.shape
        ctx.save_for_backward(torch.from_numpy(heard), torch.from_numpy(log_sum))
        return torch.from_numpy(heard)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        heard, log_sum = map(_array, ctx.saved_tensors)
        n_subjects, n_heads, n_out = len(heard), log_sum.shape[-1], heard.shape[-1]
        wanted = ctx.needs_input_grad[0]
        grads = (
            np.zeros(ctx.shape if wanted else (n_subjects, 0, 0), dtype=np.float32),
            np.zeros_like(heard),
            np.empty_like(heard),
            np.zeros((n_subjects, n_out), dtype=np.float32),  # a subject, so that threads do
            np.zeros((n_subjects, n_out), dtype=np.float32),  # not change the sums
        )
        _in_threads(
            listen_backward, n_subjects, ctx.constants, (heard, log_sum, _array(grad), *grads)
        )
        adjacency, source, target, edge, attention = map(torch.from_numpy, grads)
        attention = attention.sum(dim=0).reshape(n_heads, -1)
        found = (adjacency if wanted else None), source, target, edge.sum(dim=0), attention
        return *found, None, None


def _compiled_can(*tensors: Tensor) -> bool:
    return all(each.device.type == "cpu" and each.dtype == torch.float32 for each in tensors)


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().contiguous().numpy()


def _in_threads(
    kernel: Callable[..., Any], n_subjects: int, before: Sequence[Any], after: Sequence[Any]
) -> None:
    """Call ``kernel(*before, first, last, *after)`` in as many threads as torch may use."""
    n_threads = max(1, min(torch.get_num_threads(), n_subjects))
    bounds = [n_subjects * each // n_threads for each in range(n_threads + 1)]

    def run(first: int, last: int) -> None:
        kernel(*before, first, last, *after)

    if n_threads == 1:
        return run(0, n_subjects)
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(run, bounds[:-1], bounds[1:]))
