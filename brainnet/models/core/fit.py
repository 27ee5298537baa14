"""The training loop: one function, everything that happens in sight.

lightning-fabric puts the network on its device (CPU, one GPU, several) and in its precision; the
loop itself is plain torch. Every batch starts from a seed of its own, so a run that was killed
goes on to the result that it would have had.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import count
from operator import length_hint
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from brainnet.models.core.networks import channels_last
from brainnet.models.core.recipe import Recipe
from brainnet.models.core.state import History, Place, load_state, save_state

__all__ = ["History", "fit", "fork_seed", "make_fabric", "threads"]

Loss = Callable[[nn.Module, Any], Tensor]
Batches = Callable[[int], Iterable[Any]]

#: Seconds between two savings of the training state.
SAVE_EVERY = 120.0

_MAKE, _LOSE, _HOLD_OUT = range(3)  # what a seed is for: a batch, its loss, a held-out loss
_END = object()


def fit(
    model: nn.Module,
    batches: Batches,
    loss: Loss,
    *,
    validation: Iterable[Any] | None = None,
    recipe: Recipe | None = None,
    fabric: Fabric | None = None,
    folder: Path | str | None = None,
    progress: bool = False,
) -> History:
    """Train a model in place with AdamW, and leave the weights of its best epoch in it.

    With ``validation`` the best epoch is that of the least validation loss, and training stops
    when ``recipe.patience`` epochs brought no better one; without, all epochs run and the last is
    kept. Never hand in test subjects as ``validation``: what stops the training has been learned
    from.

    Parameters
    ----------
    model : torch.nn.Module
        Trained in place; left in evaluation mode, one of volumes laid out channels last
        (:func:`~brainnet.models.core.networks.channels_last`).
    batches : callable
        ``batches(epoch)`` gives the batches of an epoch, always the same for the same epoch (a
        DataLoader that shuffles is one: torch's generator is set before it is asked). Of a
        sequence only those needed are made when a killed run goes on, or on each of several
        devices; device ``r`` of ``n`` takes batches ``r``, ``r + n``, ..., and a last round that
        is not enough for all is left out.
    loss : callable
        ``loss(model, batch)`` gives the scalar mean loss of a batch; torch's generator is set
        before.
    validation : iterable, optional
        Batches of the inner held-out part of the training subjects. What a loss draws is the
        same for them in every epoch.
    recipe : Recipe, optional
        How to train.
    fabric : lightning_fabric.Fabric, optional
        Devices, precision and loggers (:func:`make_fabric`); the CPU by default. One with several
        devices must have been launched.
    folder : path, optional
        Where the training state is saved every two minutes and at the end. A run that finds the
        state of the same recipe there goes on from it: on the CPU to the same weights, bit for
        bit on the same number of threads. The state does not know ``batches`` and ``loss``: give
        other data another folder.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    History
        Losses by epoch. A batch counts by one, whatever its size.

    Raises
    ------
    ValueError, FloatingPointError
        There is no batch, or ``batches`` is not a function; ``fabric`` has another precision than
        the recipe; a loss is not finite.
    DataError
        ``folder`` holds a state that is damaged, or of another recipe, network or number of
        devices.

    Notes
    -----
    torch's global generators are left as they were. numpy's are neither set nor used.

    References
    ----------
    Loshchilov and Hutter (2019), Decoupled weight decay regularization, ICLR.

    Examples
    --------
    >>> with fork_seed(0):
    ...     model = nn.Linear(1, 1)
    >>> pairs = [(torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [4.0]]))]
    >>> square = lambda model, pair: ((model(pair[0]) - pair[1]) ** 2).mean()
    >>> recipe = Recipe(n_epochs=200, learning_rate=0.1)
    >>> history = fit(model, lambda epoch: pairs, square, recipe=recipe)
    >>> history.train_loss[-1] < 0.01 < history.train_loss[0], history.best_epoch
    (True, 199)
    """
    recipe = recipe or Recipe()
    fabric = fabric or make_fabric(recipe)
    _check(batches, recipe, fabric)
    trainer = _Trainer(model, loss, recipe, fabric, None if folder is None else Path(folder))
    with fork_seed(recipe.seed), _bar(recipe, trainer, progress and fabric.is_global_zero) as bar:
        while not trainer.finished:
            trainer.train(batches)
            held_out = trainer.evaluate(validation) if validation is not None else None
            trainer.close_epoch(held_out)
            bar.update()
            bar.set_postfix(trainer.place.history.last(), refresh=False)
    return trainer.result()


def make_fabric(recipe: Recipe, **options: Any) -> Fabric:
    """Return a Fabric of a recipe's precision, on one CPU unless ``options`` say otherwise.

    Parameters
    ----------
    recipe : Recipe
    **options
        Of :class:`lightning_fabric.Fabric`: ``accelerator``, ``devices``, ``strategy``,
        ``loggers``.

    Raises
    ------
    ValueError
        For fp16 on a CPU, which Fabric would turn to bf16.

    Examples
    --------
    >>> make_fabric(Recipe(), accelerator="cpu").world_size
    1
    """
    chosen: dict[str, Any] = {"accelerator": "cpu", "devices": 1} | options
    if recipe.precision == "16-mixed" and chosen["accelerator"] == "cpu":
        raise ValueError("precision must not be 16-mixed on a CPU. Use bf16-mixed or 32-true.")
    if chosen["devices"] == 1:  # alone, whatever job it runs in: SLURM's variables are not for it
        chosen.setdefault("plugins", [LightningEnvironment()])
    return Fabric(precision=recipe.precision, **chosen)


@contextmanager
def fork_seed(seed: int) -> Iterator[None]:
    """Start torch's generators at a seed; leave the context and they are as they were."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def threads(n_threads: int | None) -> Iterator[int]:
    """Let torch use so many threads, by default as many as it does; afterwards as before.

    Raises
    ------
    ValueError
        For less than one.

    Examples
    --------
    >>> with threads(1) as n_threads:
    ...     n_threads
    1
    """
    if n_threads is not None and n_threads < 1:
        raise ValueError(f"n_threads must be 1 or more; got {n_threads}.")
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads or before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


class _Trainer:
    """The network in training, and the place that training has reached."""

    def __init__(
        self, model: nn.Module, loss: Loss, recipe: Recipe, fabric: Fabric, folder: Path | None
    ) -> None:
        self.model, self.loss, self.recipe, self.fabric = model, loss, recipe, fabric
        channels_last(model)
        optimizer = torch.optim.AdamW(_parameter_groups(model, recipe.weight_decay))
        self.network, self.optimizer = fabric.setup(model, optimizer)
        self.average = (
            AveragedModel(model, multi_avg_fn=_averaging(recipe.average), use_buffers=True)
            if recipe.average
            else None
        )
        self.path = None if folder is None else folder / "training.safetensors"
        self.place = Place()
        self.saved = time.monotonic()
        if self.path is not None and fabric.broadcast(self.path.exists()):
            self.place = load_state(self.path, self._record(), self._parts())

    @property
    def finished(self) -> bool:
        history, best = self.place.history, self.place.history.best_epoch
        waited = self.place.epoch - 1 - best if history.validation_loss else 0
        return self.place.epoch >= self.recipe.n_epochs or waited >= self.recipe.patience

    def train(self, batches: Batches) -> None:
        """Go through what is left of an epoch."""
        self.network.train()
        place, n_accumulate = self.place, self.recipe.n_accumulate
        self._seed(0, _MAKE)
        items = batches(place.epoch)
        n_rounds = length_hint(items, 0) / self.fabric.world_size
        pending = 0
        for number, batch in self._mine(items):
            self._seed(number, _LOSE)
            pending += 1
            ready = pending == n_accumulate
            with nullcontext() if ready else self.fabric.no_backward_sync(self.network):
                value = self.loss(self.network, self.fabric.to_device(batch))  # ()
                self.fabric.backward(value / n_accumulate)
            mean = float(self._over_devices(value.detach()))
            place.losses.append(_finite(mean, "training", place.epoch))
            # the middle of the update; of the epoch where its length is not known
            middle = (len(place.losses) - pending / 2) / n_rounds if n_rounds else 0.5
            done = place.epoch + middle
            if ready:
                self._update(done)
                pending = 0
                place.n_batches = len(place.losses)
                self._save_now_and_then()
        if pending:
            self._even_out(pending)
            self._update(done)

    def evaluate(self, batches: Iterable[Any]) -> float:
        """Mean loss of the held-out batches in evaluation mode."""
        network = self.network if self.average is None else self.average
        network.eval()
        losses = []
        with torch.no_grad(), self.fabric.autocast():
            for number, batch in enumerate(batches):
                _set_seed(self.recipe.seed, 0, number, _HOLD_OUT)
                losses.append(float(self.loss(network, self.fabric.to_device(batch))))
        return _finite(_mean(losses, "validation"), "validation", self.place.epoch)

    def close_epoch(self, held_out: float | None) -> None:
        """Write the epoch down, keep its weights if they are the best, and move on."""
        place = self.place
        mean = _mean(place.losses, "training")
        place.history.train_loss.append(mean)
        metrics = {"loss/training": mean}
        if held_out is not None:
            best = min(place.history.validation_loss, default=math.inf)
            place.history.validation_loss.append(held_out)
            metrics["loss/validation"] = held_out
            if held_out < best:
                place.history.best_epoch = place.epoch
                place.best = {k: v.detach().cpu().clone() for k, v in self._weights().items()}
        else:
            place.history.best_epoch = place.epoch
        rate = float(self.optimizer.param_groups[0]["lr"])
        self.fabric.log_dict(metrics | {"learning_rate": rate}, step=place.epoch)
        for logger in self.fabric.loggers:
            logger.save()
        place.epoch, place.n_batches, place.losses = place.epoch + 1, 0, []
        self._save_now_and_then(now=self.finished)

    def result(self) -> History:
        """Leave the chosen weights in the model."""
        self.model.load_state_dict(self.place.best or self._weights())
        self.model.eval()
        return self.place.history

    def _mine(self, items: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        """Yield the batches that this device has still to do, and their numbers in the epoch.

        A seed is set before each is made: neither a kill nor the number of devices changes it.
        """
        n_devices, rank = self.fabric.world_size, self.fabric.global_rank
        first = self.place.n_batches * n_devices
        if isinstance(items, Sequence):
            for number in range(first + rank, len(items) // n_devices * n_devices, n_devices):
                self._seed(number, _MAKE)
                yield number, items[number]
            return
        stream = iter(items)
        for start in count(0, n_devices):
            made = []
            for number in range(start, start + n_devices):
                self._seed(number, _MAKE)
                made.append(next(stream, _END))
            if made[-1] is _END:
                return
            if start >= first:
                yield start + rank, made[rank]

    def _seed(self, number: int, purpose: int) -> None:
        _set_seed(self.recipe.seed, self.place.epoch, number, purpose)

    def _update(self, done: float) -> None:
        """Step with the gradients, ``done`` epochs from the start."""
        rate = self.recipe.learning_rate_at(min(1.0, done / self.recipe.n_epochs))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if math.isfinite(self.recipe.clip):
            self.fabric.clip_gradients(
                self.network, self.optimizer, max_norm=self.recipe.clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.model)

    def _even_out(self, pending: int) -> None:
        """Average the gradients of the last batches, fewer than others, here and over devices."""
        for each in self.model.parameters():
            if each.grad is not None:
                each.grad = self._over_devices(each.grad) * (self.recipe.n_accumulate / pending)

    def _over_devices(self, value: Tensor) -> Tensor:
        mean = self.fabric.all_reduce(value)
        assert isinstance(mean, Tensor)  # as what it was given
        return mean

    def _weights(self) -> dict[str, Tensor]:
        return (self.model if self.average is None else self.average.module).state_dict()

    def _record(self) -> dict[str, Any]:
        return self.recipe.record() | {"n_devices": self.fabric.world_size}

    def _parts(self) -> dict[str, Any]:
        """Return what the training state is made of, by name."""
        parts = {"model": self.model, "optimizer": self.optimizer}
        if self.average is not None:
            parts["average"] = self.average
        if self.recipe.precision == "16-mixed":
            parts["precision"] = self.fabric.strategy.precision
        return parts

    def _save_now_and_then(self, *, now: bool = False) -> None:
        if self.path is None or not (now or time.monotonic() - self.saved >= SAVE_EVERY):
            return
        if self.fabric.is_global_zero:
            save_state(self.path, self._record(), self._parts(), self.place)
        self.saved = time.monotonic()


def _check(batches: Batches, recipe: Recipe, fabric: Fabric) -> None:
    if not callable(batches):
        raise ValueError(
            f"batches must be a function of the epoch; got {type(batches).__name__}. "
            "Use lambda epoch: batches."
        )
    precision = fabric.strategy.precision.precision
    if precision != recipe.precision:
        raise ValueError(
            f"fabric must have the recipe's precision, {recipe.precision}; got {precision}. "
            "Make it with make_fabric(recipe)."
        )


def _set_seed(*place: int) -> None:
    """Start torch's generators from a place in training."""
    mixed = hashlib.blake2b(repr(place).encode(), digest_size=8).digest()
    seed = int.from_bytes(mixed, "little") >> 1
    torch.default_generator.manual_seed(seed)  # torch.manual_seed takes 80 us
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)


def _averaging(decay: float) -> Callable[..., None]:
    """Return the update of a moving average whose memory grows up to ``decay``.

    After ``n`` updates the decay is at most (1 + n) / (10 + n), so that the first, random weights
    are soon forgotten.
    """

    @torch.no_grad()
    def update(averaged: Any, current: Any, n_averaged: Any) -> None:
        n = int(n_averaged)
        share = 1 - min(decay, (1 + n) / (10 + n))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value.to(mean.dtype), share)
            else:
                mean.copy_(value)

    return update


def _mean(losses: list[float], which: str) -> float:
    if not losses:
        raise ValueError(f"batches must not be empty; got no {which} batch. Check the subjects.")
    return sum(losses) / len(losses)


def _finite(loss: float, which: str, epoch: int) -> float:
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the {which} loss must stay finite; got {loss} at epoch {epoch}. "
            "Look for NaN in the inputs, or lower learning_rate."
        )
    return loss


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases and scales do not."""
    matrices = [each for each in model.parameters() if each.requires_grad and each.ndim > 1]
    others = [each for each in model.parameters() if each.requires_grad and each.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _bar(recipe: Recipe, trainer: _Trainer, shown: bool) -> Any:
    return tqdm(
        total=recipe.n_epochs, initial=trainer.place.epoch, desc="Training", unit="epoch",
        disable=not shown,
    )  # fmt: skip
