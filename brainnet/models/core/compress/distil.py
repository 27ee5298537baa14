"""A small network learns from a large one: what it says of images, right or wrong labels unseen."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from brainnet.models.core.compress.prune import count_weights
from brainnet.models.core.fit import Batches, fit, make_fabric
from brainnet.models.core.predict import inference
from brainnet.models.core.recipe import Precision, Recipe
from brainnet.models.core.state import History

__all__ = ["Distillation", "distil", "divergence"]

TaskLoss = Callable[[Any, Any], Tensor]


def divergence(
    student: Tensor, teacher: Tensor, *, temperature: float = 2.0, n_exclusive: int | None = None
) -> Tensor:
    r"""Return how far a student's softened probabilities are from its teacher's.

    .. math:: T^2 \, KL(p_T^{teacher} \| p_T^{student}), \quad p_T = softmax(z / T)

    Parameters
    ----------
    student, teacher : (n_batch, n_channels, ...) tensor
        Logits.
    temperature : float
        Positive; the higher, the more the unlikely classes count.
    n_exclusive : int, optional
        Channels, from the first on, that exclude one another; the others are each a yes or no of
        its own. All by default.

    Returns
    -------
    () tensor
        Mean over batch and positions; 0 where they agree.

    References
    ----------
    Hinton, Vinyals and Dean (2015), Distilling the knowledge in a neural network.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[1.0, -1.0, 0.5]])
    >>> float(divergence(logits, logits))
    0.0
    """
    one, other = student.float() / temperature, teacher.float() / temperature
    n = student.shape[1] if n_exclusive is None else n_exclusive
    known = other[:, :n].log_softmax(dim=1)
    total = (known.exp() * (known - one[:, :n].log_softmax(dim=1))).sum(dim=1).mean()
    if n < student.shape[1]:
        for sign in (1, -1):
            known = functional.logsigmoid(sign * other[:, n:])
            total = (
                total
                + (known.exp() * (known - functional.logsigmoid(sign * one[:, n:])))
                .sum(dim=1)
                .mean()
            )
    return temperature**2 * total


class Distillation:
    """The loss that a student is trained to lower; `fit` takes it.

    Parameters
    ----------
    teacher : torch.nn.Module
        Not changed. On the device of the student.
    temperature : float
        Of `divergence`.
    n_exclusive : int, optional
        Of `divergence`.
    task_loss : callable, optional
        ``task_loss(model, batch)``, where batches have truth: added to the divergence.
    task_weight : float
        Its weight.
    """

    def __init__(
        self,
        teacher: nn.Module,
        *,
        temperature: float = 2.0,
        n_exclusive: int | None = None,
        task_loss: TaskLoss | None = None,
        task_weight: float = 1.0,
    ) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature must be positive; got {temperature}.")
        self.teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
        self.temperature, self.n_exclusive = temperature, n_exclusive
        self.task_loss, self.task_weight = task_loss, task_weight
        self.precision: Precision = "32-true"

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of a batch, whose ``image`` both networks see."""
        image = batch["image"]
        with inference(self.teacher, precision=self.precision) as teacher:
            known = teacher(image)
        logits = model(image)
        loss = divergence(logits, known, temperature=self.temperature, n_exclusive=self.n_exclusive)
        if self.task_loss is not None:  # which asks the model again: it is given the same answer
            loss = loss + self.task_weight * self.task_loss(lambda _: logits, batch)
        return loss


def distil(
    loss: Distillation,
    student: nn.Module,
    batches: Batches,
    *,
    recipe: Recipe | None = None,
    fabric: Fabric | None = None,
    folder: Path | str | None = None,
    progress: bool = False,
) -> History:
    """Train a student in place to say what its teacher says.

    Parameters
    ----------
    loss : Distillation
        Holds the teacher.
    student : torch.nn.Module
        With fewer weights; its output has the teacher's shape.
    batches : callable
        ``batches(epoch)`` gives mappings with an ``image``.
    recipe, fabric, folder, progress
        As in :func:`~brainnet.models.core.fit.fit`.

    Raises
    ------
    ValueError
        The student is as large as the teacher; there is no batch.
    """
    sizes = count_weights(student), count_weights(loss.teacher)
    if sizes[0] >= sizes[1]:
        raise ValueError(
            f"student must have fewer weights than its teacher; got {sizes[0]:,} and {sizes[1]:,}. "
            "Make it narrower."
        )
    recipe = recipe or Recipe()
    fabric = fabric or make_fabric(recipe)
    loss.teacher.to(fabric.device)
    loss.precision = recipe.precision
    return fit(
        student, batches, loss, recipe=recipe, fabric=fabric, folder=folder, progress=progress
    )
