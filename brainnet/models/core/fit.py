"""The training loop: one function, plain torch, everything that happens in sight."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["History", "fit", "fork_seed"]

Loss = Callable[[nn.Module, Any], Tensor]


@dataclass
class History:
    """Mean loss of each epoch, and the epoch whose weights were kept (counted from 0)."""

    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    best_epoch: int = -1


def fit(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Loss,
    *,
    validation: Iterable[Any] | None = None,
    n_epochs: int = 100,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-2,
    patience: int = 15,
) -> History:
    """Train a model in place with AdamW, and leave in it the weights of its best epoch.

    With ``validation`` the best epoch is that of the least validation loss, and training stops
    when ``patience`` epochs brought no better one; without, all epochs run and the last is kept.
    Never hand in test subjects as ``validation``: what stops the training has been learned from.

    Parameters
    ----------
    model : torch.nn.Module
        Trained in place; left in evaluation mode.
    batches : iterable
        Training batches, iterated anew each epoch (a DataLoader with its own generator).
    loss : callable
        ``loss(model, batch)`` gives the scalar mean loss of a batch.
    validation : iterable, optional
        Batches of the inner held-out part of the training subjects.
    n_epochs, patience : int
        Most epochs, and epochs without improvement before stopping.
    learning_rate, weight_decay : float
        Of AdamW; the decay spares biases and other one-dimensional parameters.

    Returns
    -------
    History
        Losses by epoch. A batch counts by one, whatever its size.

    Raises
    ------
    ValueError, FloatingPointError
        There is no batch; a loss is not finite.

    Notes
    -----
    Dropout draws from torch's global generator: call under :func:`fork_seed` for a result that
    a seed decides and for a generator left as it was.

    References
    ----------
    Loshchilov and Hutter (2019), Decoupled weight decay regularization, ICLR.

    Examples
    --------
    >>> with fork_seed(0):
    ...     model = nn.Linear(1, 1)
    ...     pairs = [(torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [4.0]]))]
    ...     square = lambda model, pair: ((model(pair[0]) - pair[1]) ** 2).mean()
    ...     history = fit(model, pairs, square, n_epochs=200, learning_rate=0.1)
    >>> history.train_loss[-1] < 0.01 < history.train_loss[0], history.best_epoch
    (True, 199)
    """
    optimizer = torch.optim.AdamW(_parameter_groups(model, weight_decay), lr=learning_rate)
    history, best_loss, best_state = History(), math.inf, None
    for epoch in range(n_epochs):
        model.train()
        losses = []
        for batch in batches:
            optimizer.zero_grad(set_to_none=True)
            value = loss(model, batch)  # ()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(value.item())
        history.train_loss.append(_finite_mean(losses, "training", epoch))
        history.best_epoch = epoch
        if validation is None:
            continue
        history.validation_loss.append(_evaluate(model, validation, loss, epoch))
        if history.validation_loss[-1] < best_loss:
            best_loss, best_state = history.validation_loss[-1], copy.deepcopy(model.state_dict())
        history.best_epoch = history.validation_loss.index(best_loss)
        if epoch - history.best_epoch >= patience:
            break
    if best_state is not None:
        model.load_state_dict(best_state)
    model.eval()
    return history


@contextmanager
def fork_seed(seed: int) -> Iterator[None]:
    """Start torch's CPU generator at a seed; leave the context and it is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@torch.no_grad()
def _evaluate(model: nn.Module, batches: Iterable[Any], loss: Loss, epoch: int) -> float:
    """Mean loss of the batches in evaluation mode."""
    model.eval()
    return _finite_mean([loss(model, batch).item() for batch in batches], "validation", epoch)


def _finite_mean(losses: list[float], which: str, epoch: int) -> float:
    if not losses:
        raise ValueError(f"batches must not be empty; got no {which} batch. Check the subjects.")
    mean = sum(losses) / len(losses)
    if not math.isfinite(mean):
        raise FloatingPointError(
            f"the {which} loss must stay finite; got {mean} at epoch {epoch}. "
            "Look for NaN in the inputs, or lower learning_rate."
        )
    return mean


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases and scales do not."""
    matrices = [each for each in model.parameters() if each.requires_grad and each.ndim > 1]
    others = [each for each in model.parameters() if each.requires_grad and each.ndim <= 1]
    decayed = {"params": matrices, "weight_decay": weight_decay}
    return [decayed, {"params": others, "weight_decay": 0.0}]
