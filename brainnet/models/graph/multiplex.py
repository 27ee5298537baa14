"""Our network: a subject's modalities as layers of one network, each with a say, none needed."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from brainnet.models.graph.brains import Brains

__all__ = ["READINGS", "MultiplexLayer", "MultiplexNetwork"]

#: What each modality is read by.
READINGS = ("edges", "regions", "graph")

_FAST = 10.0  # thresholds and offsets move so many times as fast as weights
_KEPT = 0.5  # chance of a modality to be heard where not one reading alone is


class MultiplexNetwork(nn.Module):
    r"""Read each modality in three ways, and weigh the readings that there are.

    Each modality :math:`m` gives three readings :math:`z_{mv}`: linear in its edges, linear in its
    regional values, and from message passing over the multiplex network
    (:class:`MultiplexLayer`; node features are the edges and whatever else is known of a region,
    the modality's context enters beside them). They stand in the same units and are averaged with
    gated attention over those that are there:

    .. math:: o = \sum_{mv} a_{mv} z_{mv} + b, \qquad
              a_{mv} \propto \exp(g_{mv} + w_v^T (\tanh(V h_m) \odot \sigma(U h_m)))

    with :math:`h_m` the mean embedding of the modality's regions. An absent modality has weight
    0 and sends no messages: nothing in its tensors has any influence.

    In training a share ``alone`` of subjects is staged from one reading only, drawn at random, so
    that each learns to stand alone; the others from all readings of modalities that are kept with
    a chance of a half each, never none. Wide linear readings start from 0, and noise on what they
    read keeps them small (it equals a penalty on their squares).

    Parameters
    ----------
    n_features, n_modalities, n_regions, n_context, n_outputs : int
        What comes in and out (:class:`~brainnet.models.graph.brains.Brains`). Node features need
        no ``profile``: edges are read as they are.
    n_hidden : int
        Channels of a region in message passing.
    n_layers : int
    n_regional : int
        How many of the node features, from the first, the regional reading takes.
    n_scores : int, optional
        How many of the outputs, from the first, are read off the subject; the others are the same
        for all (thresholds of ``coral``: 1). All by default.
    dropout : float
        Of the message passing.
    noise : float
        Deviation of the noise on inputs of linear readings, in those of the input.
    alone : float
        Share, in [0, 1].

    Raises
    ------
    ValueError
        ``n_scores`` or ``n_regional`` is not within what there is; ``n_context`` is not the same
        for all modalities.

    References
    ----------
    Cheng et al. (2016), Wide and deep learning, DLRS. Perez et al. (2018), FiLM, AAAI. Ilse,
    Tomczak and Welling (2018), Attention-based deep multiple instance learning, ICML. Neverova et
    al. (2016), ModDrop, IEEE TPAMI 38:1692.

    Examples
    --------
    >>> sizes = {"n_modalities": 2, "n_regions": 5, "n_context": 0, "n_outputs": 4}
    >>> network = MultiplexNetwork(3, **sizes, n_scores=1)
    >>> {name: tuple(each.weight.shape) for name, each in network.readings.items()}
    {'edges': (2, 25, 1), 'regions': (2, 5, 1)}
    """

    def __init__(  # noqa: PLR0913  (the sizes are given by name, the rest are options)
        self,
        n_features: int,
        *,
        n_modalities: int,
        n_regions: int,
        n_context: int,
        n_outputs: int,
        n_hidden: int = 8,
        n_layers: int = 1,
        n_regional: int = 1,
        n_scores: int | None = None,
        dropout: float = 0.2,
        noise: float = 1.0,
        alone: float = 0.8,
    ) -> None:
        super().__init__()
        n_scores = n_outputs if n_scores is None else n_scores
        _check(n_features, n_modalities, n_context, n_outputs, n_scores, n_regional)
        self.n_regional, self.n_constant, self.alone = n_regional, n_outputs - n_scores, alone
        self.readings = nn.ModuleDict({
            "edges": _Reading(n_modalities, n_regions**2, n_scores, noise),
            "regions": _Reading(n_modalities, n_regions * n_regional, n_scores, noise),
        })  # fmt: skip
        self.graph = _GraphReading(
            n_features, n_modalities, n_regions, n_context // n_modalities, n_scores,
            n_hidden=n_hidden, n_layers=n_layers, dropout=dropout, noise=noise,
        )  # fmt: skip
        self.attention = _Attention(n_modalities, n_hidden)
        # flat: what has one dimension does not decay
        self.offset = nn.Parameter(torch.zeros(n_modalities * len(READINGS) * n_scores))
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def forward(self, brains: Brains) -> Tensor:
        """Return the outputs ``(n_subjects, n_outputs)`` of a batch of subjects."""
        readings, weights = self.weighed(brains)
        scores = (weights[..., None] * readings).sum(dim=(1, 2))
        return functional.pad(scores, (0, self.n_constant)) + _FAST * self.bias

    def weighed(self, brains: Brains) -> tuple[Tensor, Tensor]:
        """Return every reading and its weight.

        Returns
        -------
        readings : (n_subjects, n_modalities, 3, n_scores) tensor
            0 where the modality is absent.
        weights : (n_subjects, n_modalities, 3) tensor
            Of :data:`READINGS`; each subject's sum to 1, or all are 0 where nothing is there.
        """
        edges = brains.edges.flatten(2)
        regions = brains.nodes[..., : self.n_regional].flatten(2)
        there = self.measured(brains)
        if self.training:
            there = _some(there, self.alone)
        present = there.any(-1)
        graph, embedded = self.graph(brains, present)
        found = [self.readings["edges"](edges), self.readings["regions"](regions), graph]
        readings = torch.stack(found, dim=2)
        readings = readings + _FAST * self.offset.view(readings.shape[1:])
        readings = readings.masked_fill(~there[..., None], 0.0)
        return readings, self.attention(embedded, there)

    def measured(self, brains: Brains) -> Tensor:
        """Say which readings there can be, ``(n_subjects, n_modalities, 3)`` bool."""
        regions = brains.nodes[..., : self.n_regional]
        # what was not measured is 0; the sums by region are one pass over the edges
        found = [(brains.edges.sum(-1) != 0).any(-1), (regions != 0).any((-1, -2)), brains.present]
        return torch.stack(found, dim=-1) & brains.present[..., None]


class MultiplexLayer(nn.Module):
    r"""Pass messages within each layer of a multiplex network, and between its layers.

    .. math:: X_m \leftarrow X_m + \tanh\big(\gamma_m \odot (\hat A_m X_m W
              + \bar X_{\setminus m} V) + \beta_m\big)

    with :math:`\hat A = D^{-1/2}(A + I)D^{-1/2}` and :math:`\bar X_{\setminus m}` the mean of the
    same region in the other layers that are there. :math:`W` and :math:`V` are shared by all
    modalities; each has its own scale :math:`\gamma` and shift :math:`\beta`.

    Parameters
    ----------
    n_modalities, n_hidden : int
    dropout : float
        Of the messages.
    """

    def __init__(self, n_modalities: int, n_hidden: int, *, dropout: float) -> None:
        super().__init__()
        self.within = nn.Linear(n_hidden, n_hidden, bias=False)
        self.between = nn.Linear(n_hidden, n_hidden, bias=False)
        self.scale = nn.Parameter(torch.ones(n_modalities * n_hidden))
        self.shift = nn.Parameter(torch.zeros(n_modalities * n_hidden))
        self.dropout = nn.Dropout(dropout)

    def forward(self, nodes: Tensor, adjacency: Tensor, present: Tensor) -> Tensor:
        """Return new nodes.

        Parameters
        ----------
        nodes : (n_subjects, n_modalities, n_regions, n_hidden) tensor
            0 in absent modalities, and so is what comes back.
        adjacency : (n_subjects, n_modalities, n_regions, n_regions) tensor
        present : (n_subjects, n_modalities) bool tensor
        """
        there = present[:, :, None, None]
        degree = (adjacency.sum(-1, keepdim=True) + 1).rsqrt()
        near = degree * (adjacency @ (degree * nodes) + degree * nodes)
        n_others = (there.sum(dim=1, keepdim=True) - 1).clamp(min=1)
        others = (nodes.sum(dim=1, keepdim=True) - nodes) / n_others
        messages = self.within(near) + self.between(others)
        own = (nodes.shape[1], 1, nodes.shape[-1])
        messages = torch.tanh(self.scale.view(own) * messages + self.shift.view(own))
        moved: Tensor = nodes + self.dropout(messages)
        return moved.masked_fill(~there, 0.0)


class _Drawn(NamedTuple):
    """What a graph reading gives."""

    readings: Tensor  # (n_subjects, n_modalities, n_scores)
    embedded: Tensor  # (n_subjects, n_modalities, n_hidden), mean over regions


class _Reading(nn.Module):
    """A linear map of its own for each modality, from nothing, with noise on what it reads."""

    def __init__(self, n_modalities: int, n_inputs: int, n_scores: int, noise: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_modalities, n_inputs, n_scores))
        self.noise = noise

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(n_subjects, n_modalities, n_inputs)`` to ``(..., n_scores)``."""
        unit = max(1, self.weight.shape[1]) ** -0.5
        found: Tensor = unit * torch.einsum("smi,mio->smo", inputs, self.weight)
        if not self.training:
            return found
        # noise on every input, as the sum that it comes to
        spread = (self.weight.square().sum(dim=1) + 1e-12).sqrt()
        noisy: Tensor = found + self.noise * unit * spread * torch.randn_like(found)
        return noisy


class _GraphReading(nn.Module):
    """Message passing over the multiplex network, read off region by region."""

    def __init__(  # noqa: PLR0913
        self, n_features: int, n_modalities: int, n_regions: int, n_context: int, n_scores: int,
        *, n_hidden: int, n_layers: int, dropout: float, noise: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.profile = nn.Parameter(torch.randn(n_modalities, n_regions, n_hidden))
        self.features = nn.Parameter(0.5 * torch.randn(n_modalities, n_features, n_hidden))
        self.layers = nn.ModuleList(
            MultiplexLayer(n_modalities, n_hidden, dropout=dropout) for _ in range(n_layers)
        )
        self.regions = _Reading(n_modalities, n_regions * n_hidden, n_scores, noise)
        self.context = _Reading(n_modalities, n_context, n_scores, noise)
        for weight, n_inputs in ((self.profile, n_regions), (self.features, n_features)):
            weight.data /= max(1, n_inputs) ** 0.5

    def forward(self, brains: Brains, present: Tensor) -> _Drawn:
        nodes = torch.einsum("smij,mjh->smih", brains.edges, self.profile)
        nodes = nodes + torch.einsum("smif,mfh->smih", brains.nodes, self.features)
        nodes = nodes.masked_fill(~present[:, :, None, None], 0.0)
        for layer in self.layers:
            nodes = layer(nodes, brains.adjacency, present)
        context = brains.context.reshape(*present.shape, self.context.weight.shape[1])
        readings = self.regions(nodes.flatten(2)) + self.context(context)
        return _Drawn(readings, nodes.mean(dim=2))


class _Attention(nn.Module):
    """Weights of the readings that are there, by whose they are and by what they are read off."""

    def __init__(self, n_modalities: int, n_hidden: int) -> None:
        super().__init__()
        self.prior = nn.Parameter(torch.zeros(n_modalities * len(READINGS)))
        self.value, self.gate = nn.Linear(n_hidden, n_hidden), nn.Linear(n_hidden, n_hidden)
        self.score = nn.Linear(n_hidden, len(READINGS), bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(self, embedded: Tensor, there: Tensor) -> Tensor:
        """Return ``(n_subjects, n_modalities, 3)`` weights, 0 where nothing is there."""
        content = self.score(torch.tanh(self.value(embedded)) * torch.sigmoid(self.gate(embedded)))
        logits = content + self.prior.view(there.shape[1:])
        logits = logits.masked_fill(~there, -torch.inf).flatten(1)
        nobody = ~there.flatten(1).any(dim=1, keepdim=True)
        weights = torch.softmax(logits.masked_fill(nobody, 0.0), dim=1).masked_fill(nobody, 0.0)
        return weights.view(there.shape)


def _some(there: Tensor, alone: float) -> Tensor:
    """Choose whom to hear: one reading of each subject, or all of some of its modalities."""
    n_subjects, n_modalities, _ = there.shape
    chance = torch.rand(there.shape, device=there.device) * there
    place = chance.flatten(1).argmax(dim=1)
    one = functional.one_hot(place, there[0].numel()).bool().view(there.shape) & there
    kept = torch.rand(n_subjects, n_modalities, 1, device=there.device) < _KEPT
    several = there & kept
    several = torch.where(several.any(dim=(1, 2), keepdim=True), several, there)
    draw = torch.rand(n_subjects, 1, 1, device=there.device) < alone
    return torch.where(draw, one, several)


def _check(
    n_features: int, n_modalities: int, n_context: int, n_outputs: int, n_scores: int,
    n_regional: int,
) -> None:  # fmt: skip
    if not 1 <= n_scores <= n_outputs:
        raise ValueError(f"n_scores must be 1 to {n_outputs}, the outputs; got {n_scores}.")
    if not 0 <= n_regional <= n_features:
        raise ValueError(
            f"n_regional must be 0 to {n_features}, the node features; got {n_regional}."
        )
    if n_context % n_modalities:
        raise ValueError(
            f"n_context must be as much for each of {n_modalities} modalities; got {n_context}. "
            "Use the context of GraphInputs."
        )
