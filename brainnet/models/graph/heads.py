"""What a network's outputs mean: the loss they are trained by, and the probabilities they give."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["HEADS", "Categorical", "Coral", "Corn", "Head"]


class Head(Protocol):
    """Turn a network's outputs into the probabilities of stages."""

    def n_outputs(self, n_stages: int) -> int:
        """Return how many numbers the network has to give."""

    def loss(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the scalar loss of a batch; ``weights`` ``(n_stages,)`` balance the stages."""

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return ``(n_subjects, n_stages)`` probabilities that sum to 1."""


class Categorical:
    """Stages without an order: cross-entropy and softmax."""

    def n_outputs(self, n_stages: int) -> int:
        """Return one logit a stage."""
        return n_stages

    def loss(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the cross-entropy, each stage weighted."""
        return functional.cross_entropy(outputs, targets, weight=weights)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return the softmax."""
        return torch.softmax(outputs.double(), dim=1)


class Coral:
    r"""Stages in order: one score against rising thresholds (CORAL).

    .. math:: P(y > k) = \sigma(s - t_k), \qquad t_0 < t_1 < \dots

    The network gives the score :math:`s`, the first threshold, and for each further one a number
    whose softplus is its distance from the one before: the thresholds are in order whatever comes
    out, so no probability is negative. In the paper all subjects have the same thresholds. Here
    they are outputs: the same for all where the network makes them of its biases alone
    (``MultiplexNetwork`` with ``n_scores=1``: of its biases and of which modalities there are).

    References
    ----------
    Cao, Mirjalili and Raschka (2020), Rank consistent ordinal regression for neural networks with
    application to age estimation, Pattern Recognit Lett 140:325.

    Examples
    --------
    >>> outputs = torch.tensor([[0.0, 0.0, -50.0], [20.0, 0.0, 1.0]])
    >>> Coral().probabilities(outputs).round(decimals=3)
    tensor([[0.5000, 0.0000, 0.5000],
            [0.0000, 0.0000, 1.0000]], dtype=torch.float64)
    """

    def n_outputs(self, n_stages: int) -> int:
        """Return the score and the thresholds between stages."""
        return n_stages

    def loss(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the binary cross-entropies of all thresholds, summed; each stage weighted."""
        logits = self._logits(outputs)
        beyond = targets[:, None] > torch.arange(logits.shape[1], device=targets.device)
        losses = functional.binary_cross_entropy_with_logits(
            logits, beyond.to(logits.dtype), reduction="none"
        ).sum(dim=1)
        return _weighted(losses, weights[targets])

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return the differences of neighbouring cumulative probabilities."""
        beyond = torch.sigmoid(self._logits(outputs.double()))
        certain = beyond.new_ones(len(beyond), 1)
        return torch.cat([certain, beyond], dim=1) - torch.cat([beyond, 0 * certain], dim=1)

    def _logits(self, outputs: Tensor) -> Tensor:
        """Return ``(n_subjects, n_stages - 1)`` logits of being beyond each threshold."""
        steps = [outputs[:, 1:2], functional.softplus(outputs[:, 2:])]
        return outputs[:, :1] - torch.cat(steps, dim=1).cumsum(dim=1)


class Corn:
    r"""Stages in order: is it beyond stage k, given that it is beyond k - 1? (CORN).

    .. math:: P(y > k) = \prod_{j \le k} \sigma(o_j), \qquad \sigma(o_j) = P(y > j | y > j - 1)

    The loss of a subject asks only the questions that its stage answers: the sum is the negative
    logarithm of its stage's probability.

    References
    ----------
    Shi, Cao and Raschka (2023), Deep neural networks for rank-consistent ordinal regression based
    on conditional probabilities, Pattern Anal Appl 26:941 (arXiv:2111.08851, 2021).

    Examples
    --------
    >>> Corn().probabilities(torch.zeros(1, 2))
    tensor([[0.5000, 0.2500, 0.2500]], dtype=torch.float64)
    """

    def n_outputs(self, n_stages: int) -> int:
        """Return one conditional logit between two stages."""
        return n_stages - 1

    def loss(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the binary cross-entropies of the questions asked, summed; stages weighted."""
        question = torch.arange(outputs.shape[1], device=targets.device)
        losses = functional.binary_cross_entropy_with_logits(
            outputs, (targets[:, None] > question).to(outputs.dtype), reduction="none"
        )
        asked = targets[:, None] >= question
        return _weighted((losses * asked).sum(dim=1), weights[targets])

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Return the chain rule's probabilities."""
        beyond = torch.sigmoid(outputs.double()).cumprod(dim=1)
        certain = beyond.new_ones(len(beyond), 1)
        ends = torch.cat([torch.sigmoid(-outputs.double()), certain], dim=1)
        return torch.cat([certain, beyond], dim=1) * ends


def _weighted(losses: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean, as torch's cross-entropy takes it."""
    return (losses * weights).sum() / weights.sum()


#: Heads by name. The ordinal ones need stages in order of severity, as ``classes_`` are.
HEADS: Mapping[str, Head] = MappingProxyType(
    {"categorical": Categorical(), "coral": Coral(), "corn": Corn()}
)
