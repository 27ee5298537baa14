"""How a network is trained: every number that decides the result, in one place."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

__all__ = ["Recipe"]

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class Recipe:
    """Settings of :func:`brainnet.models.core.fit.fit`.

    Parameters
    ----------
    n_epochs : int
        Most epochs.
    learning_rate, weight_decay : float
        Of AdamW; the decay spares biases and other one-dimensional parameters.
    schedule : {"constant", "cosine"}
        Of the learning rate after the warm-up; the cosine ends at 0.
    warmup : float
        Share of training, in [0, 1), over which the learning rate rises from 0.
    n_accumulate : int
        Batches whose gradients are averaged for one update.
    clip : float
        Largest norm of the gradient; infinite for no limit.
    average : float
        Decay of the exponential moving average of the weights, in [0, 1); it replaces the weights
        for validation and at the end. 0 for none.
    patience : int
        Epochs without a better validation loss before training stops.
    precision : {"32-true", "bf16-mixed", "16-mixed"}
        lightning-fabric's names.
    seed : int
        Decides the order of batches and whatever a step draws; 0 or more.

    Raises
    ------
    ValueError
        A number outside its range.

    Examples
    --------
    >>> recipe = Recipe(n_epochs=10, learning_rate=1.0, schedule="cosine", warmup=0.1)
    >>> [round(recipe.learning_rate_at(each), 3) for each in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """

    n_epochs: int = 100
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = 0.0
    n_accumulate: int = 1
    clip: float = math.inf
    average: float = 0.0
    patience: int = 15
    precision: Precision = "32-true"
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"n_epochs": 1, "n_accumulate": 1, "patience": 1, "seed": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise ValueError(f"{name} must be a whole number, {low} or more; got {value}.")
        ranges = {
            "learning_rate": ("positive and finite", 0 < self.learning_rate < math.inf),
            "weight_decay": ("finite, 0 or more", 0 <= self.weight_decay < math.inf),
            "clip": ("positive", self.clip > 0),
            "warmup": ("in [0, 1)", 0 <= self.warmup < 1),
            "average": ("in [0, 1)", 0 <= self.average < 1),
            "schedule": ("constant or cosine", self.schedule in ("constant", "cosine")),
            "precision": (" or ".join(get_args(Precision)), self.precision in get_args(Precision)),
        }
        for name, (rule, met) in ranges.items():
            if not met:
                raise ValueError(f"{name} must be {rule}; got {getattr(self, name)!r}.")

    def learning_rate_at(self, done: float) -> float:
        """Return the learning rate when a share ``done`` of training, in [0, 1], lies behind."""
        if done < self.warmup:
            return self.learning_rate * done / self.warmup
        if self.schedule == "constant":
            return self.learning_rate
        left = (1 - done) / (1 - self.warmup)
        return self.learning_rate * 0.5 * (1 - math.cos(math.pi * left))

    def record(self) -> dict[str, Any]:
        """Return the settings as JSON holds them: no limit on the gradient is ``null``."""
        return asdict(self) | {"clip": self.clip if math.isfinite(self.clip) else None}
