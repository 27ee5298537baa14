"""What a network's outputs mean: the loss they are trained by, and the probabilities they give."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["HEADS", "Categorical", "Head"]


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


#: Heads by name.
HEADS: Mapping[str, Head] = MappingProxyType({"categorical": Categorical()})
