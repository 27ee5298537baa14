"""Train a segmentation network on synthesised images: data and a recipe in, a checkpoint out."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from brainnet.models.core.fit import fit, fork_seed
from brainnet.models.core.networks import build_network
from brainnet.models.core.pretrain import start_from
from brainnet.models.core.recipe import Recipe
from brainnet.models.core.state import History
from brainnet.models.voxel.labels import LabelTable
from brainnet.models.voxel.losses import LossTerms, SegmentationLoss

__all__ = ["Epoch", "Samples", "train_segmentation"]

Loss = Callable[[nn.Module, Mapping[str, Tensor]], Tensor]


class Samples(Protocol):
    """Endless images with their truth."""

    @property
    def table(self) -> LabelTable:
        """What is told apart."""

    @property
    def shapes(self) -> Sequence[tuple[int, int, int]]:
        """Fields of view, voxels."""

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Return a sample, always the same for its number; its ``image`` is ``(1, *shape)``."""

    def shares(self) -> Tensor:
        """Return the mean share of a field of view of background and each structure."""


@dataclass(frozen=True)
class Epoch(Sequence[dict[str, Tensor]]):
    """The batches of one epoch, one synthesised image each, made when they are asked for.

    Parameters
    ----------
    synthesis : Samples
    number : int
        Which epoch.
    length : int
        Images an epoch.
    balance : float
        How far small structures weigh more
        (:class:`~brainnet.models.voxel.losses.SegmentationLoss`).
    """

    synthesis: Samples
    number: int
    length: int
    balance: float = 0.0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, place: int) -> dict[str, Tensor]:  # type: ignore[override]
        if not 0 <= place < self.length:
            raise IndexError(place)
        sample = self.synthesis[self.number * self.length + place]
        batch = {name: each[None] for name, each in sample.items()}
        image = batch["image"].contiguous(memory_format=torch.channels_last_3d)
        return batch | {"image": image, "balance": torch.tensor([self.balance])}


def train_segmentation(
    network: Mapping[str, Any],
    synthesis: Samples,
    *,
    recipe: Recipe,
    n_an_epoch: int = 100,
    balance: float = 0.0,
    loss: LossTerms | Loss | None = None,
    start: Mapping[str, Tensor] | None = None,
    **options: Any,
) -> tuple[nn.Module, History]:
    """Train a network to find the structures of a label table in synthesised images.

    All epochs run and the last weights are kept: nothing outside the training maps is looked at.

    Parameters
    ----------
    network : mapping
        ``name`` and ``options`` of :func:`~brainnet.models.core.networks.build_network`; the
        output channels are set from the table.
    synthesis : Samples
        Images and their structures.
    recipe : Recipe
    n_an_epoch : int
        Images an epoch.
    balance : float
        How far small structures weigh more at the start; it falls to 0 half-way through.
    loss : LossTerms or callable, optional
        What it lowers; Dice and cross-entropy by default. Of samples that are more than shares of
        structures, a function of the network and a batch.
    start : mapping, optional
        Weights to start from (of pre-training, or of another task): those whose name and shape
        are the network's are taken.
    **options
        Of :func:`~brainnet.models.core.fit.fit`: ``fabric``, ``folder``, ``progress``.

    Returns
    -------
    model : torch.nn.Module
        In evaluation mode.
    history : History

    Raises
    ------
    ValueError
        No such network, or none of the weights in ``start`` fits it; a field of view that the
        network cannot halve as often as it does.
    DataError
        As in :func:`~brainnet.models.core.fit.fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from brainnet.models.voxel.labels import load_labels
    >>> from brainnet.models.voxel.synthesis import HeadSynthesis
    >>> label_map = np.full((24, 24, 24), 2, dtype=np.int16)  # white matter all over
    >>> synthesis = HeadSynthesis([label_map], load_labels("brain"), shapes=[(16, 16, 16)])
    >>> network = {"name": "SegResNet", "options": {"spatial_dims": 3, "init_filters": 8}}
    >>> recipe = Recipe(n_epochs=1, learning_rate=1e-3)
    >>> model, history = train_segmentation(network, synthesis, recipe=recipe, n_an_epoch=1)
    >>> len(history.train_loss), model.training
    (1, False)
    """
    outputs = {"out_channels": synthesis.table.n_channels}
    with fork_seed(recipe.seed):
        model = build_network(network["name"], dict(network["options"]) | outputs)
    if start is not None:
        start_from(model, start)
    _check_views(model, synthesis)
    if loss is None or isinstance(loss, LossTerms):
        loss = SegmentationLoss(synthesis.table, shares=synthesis.shares(), terms=loss)
    history = fit(
        model,
        lambda epoch: Epoch(
            synthesis, epoch, n_an_epoch, balance * max(0.0, 1 - 2 * epoch / recipe.n_epochs)
        ),
        loss,
        recipe=recipe,
        **options,
    )
    return model, history


def _check_views(model: nn.Module, synthesis: Samples) -> None:
    """Raise where the network does not give every field of view back; nothing is computed."""
    hollow = copy.deepcopy(model).to("meta").eval()
    for shape in sorted(set(synthesis.shapes)):
        found: Any
        try:
            found = tuple(hollow(torch.empty((1, 1, *shape), device="meta")).shape)
        except (RuntimeError, ValueError) as error:
            found = str(error).splitlines()[0]
        expected = (1, synthesis.table.n_channels, *shape)
        if found != expected:
            raise ValueError(
                f"shapes must suit the network: of {shape} it makes {found} and not {expected}. "
                "Give multiples of the product of its strides, and one input channel."
            )
