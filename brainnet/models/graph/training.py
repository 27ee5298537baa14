"""What training a graph network takes: subjects in batches, a loss, inner splits."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor, nn

from brainnet.models.graph.brains import Brains
from brainnet.models.graph.heads import Head

__all__ = ["BATCH_SIZE", "Rows", "Splits", "WeightedLoss", "inner_splits", "outputs_of"]

BATCH_SIZE = 32  # subjects a step

#: Rows that train and rows left out.
Splits = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


class Rows:
    """Subjects and their targets in batches."""

    def __init__(self, brains: Brains, targets: Tensor) -> None:
        self.brains, self.targets = brains, targets

    def take(self, rows: Tensor) -> tuple[Brains, Tensor]:
        """Return some of the rows."""
        return self.brains.rows(rows), self.targets[rows]

    def shuffled(self, rows: NDArray) -> Iterator[tuple[Brains, Tensor]]:
        """Yield the rows in batches, in an order drawn from torch's generator."""
        order = torch.from_numpy(rows)[torch.randperm(len(rows))]
        yield from (self.take(each) for each in torch.split(order, BATCH_SIZE))


class WeightedLoss:
    """The head's loss with its weights, and what a network adds to it; a class, to pickle."""

    def __init__(self, head: Head, weights: Tensor) -> None:
        self.head, self.weights = head, weights

    def __call__(self, model: nn.Module, batch: tuple[Brains, Tensor]) -> Tensor:
        """Return the loss of a batch; a penalty only in training."""
        brains, targets = batch
        penalised = getattr(model, "with_penalty", None)
        if penalised is None or not model.training:
            return self.head.loss(model(brains), targets, self.weights)
        outputs, penalty = penalised(brains)
        found: Tensor = self.head.loss(outputs, targets, self.weights) + penalty
        return found


def outputs_of(model: nn.Module, brains: Brains) -> Tensor:
    """Return a network's outputs, a batch at a time."""
    rows = torch.split(torch.arange(len(brains.nodes)), BATCH_SIZE)
    # core.predict cuts images to windows; a graph goes in whole
    with torch.no_grad():
        return torch.cat([model(brains.rows(chosen)) for chosen in rows])


def inner_splits(strata: NDArray, groups: NDArray, n_splits: int, seed: int) -> Splits:
    """Split rows into those that train and those left out, in as many ways as there can be."""
    everyone = np.arange(strata.size)
    members = [np.unique(groups[strata == each]).size for each in np.unique(strata)]
    n_splits = min(n_splits, *members)
    if n_splits < 2:
        return [(everyone, everyone[:0])]
    folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    return list(folds.split(everyone, strata, groups))
