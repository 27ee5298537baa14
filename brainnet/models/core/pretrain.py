"""Pre-training without labels: hide a part, add noise, and learn to give back what was there.

One loss for everything that is a tensor: volumes lose blocks of voxels (:class:`HideBlocks`),
brain networks lose edges and whole regions (:class:`HideEdges`). What was learned is where a task
starts: :func:`start_from` takes over each weight whose name and shape are the network's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from brainnet.models.core.fit import Batches, fit, fork_seed
from brainnet.models.core.networks import build_network
from brainnet.models.core.recipe import Recipe
from brainnet.models.core.state import History

__all__ = ["Crops", "HideBlocks", "HideEdges", "MaskedLoss", "pretrain_volumes", "start_from"]

Hide = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class HideBlocks:
    """Hide cubes of a volume behind its mean, and add noise to the rest.

    Parameters
    ----------
    size : int
        Edge of a cube, in voxels.
    share : float
        Chance of a cube to be hidden, in (0, 1).
    noise : float
        Standard deviation of the noise, in units of the image.

    Examples
    --------
    >>> image = torch.rand(2, 1, 8, 8, 8)
    >>> seen, hidden = HideBlocks(size=4, share=0.5)(image)
    >>> seen.shape, hidden.dtype, float(hidden.sum()) % 4**3
    (torch.Size([2, 1, 8, 8, 8]), torch.bool, 0.0)
    """

    size: int = 8
    share: float = 0.6
    noise: float = 0.05

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be 1 voxel or more; got {self.size}.")
        _check_share("share", self.share)

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is left of ``(n_batch, n_channels, ...)`` images, and where it is hidden."""
        blocks = [-(-n // self.size) for n in image.shape[2:]]
        drawn = torch.rand((len(image), 1, *blocks), device=image.device) < self.share
        for axis, n in enumerate(image.shape[2:], 2):
            drawn = drawn.repeat_interleave(self.size, dim=axis).narrow(axis, 0, n)
        hidden = drawn.expand_as(image)
        mean = image.mean(dim=tuple(range(2, image.ndim)), keepdim=True)
        noisy = image + self.noise * torch.randn_like(image)
        return torch.where(hidden, mean, noisy), hidden


@dataclass(frozen=True)
class HideEdges:
    """Hide edges of brain networks, and all edges of some regions, behind 0.

    Parameters
    ----------
    edges : float
        Chance of an edge to be hidden, in (0, 1), for each modality alone.
    regions : float
        Chance of a region to lose all its edges in a modality, in [0, 1).
    noise : float
        Standard deviation of the noise of other edges, in units of the networks.

    Examples
    --------
    >>> networks = torch.ones(4, 2, 6, 6)
    >>> seen, hidden = HideEdges()(networks)
    >>> bool((hidden == hidden.mT).all()), float(seen[hidden].abs().sum())
    (True, 0.0)
    """

    edges: float = 0.3
    regions: float = 0.1
    noise: float = 0.2

    def __post_init__(self) -> None:
        _check_share("edges", self.edges)
        if not 0 <= self.regions < 1:
            raise ValueError(f"regions must be in [0, 1); got {self.regions}.")

    def __call__(self, networks: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is left of ``(..., n_regions, n_regions)`` networks, and where it is not.

        Networks are scaled: 0 is an edge's mean over subjects. The diagonal is never hidden.
        """
        upper = torch.rand_like(networks).triu(1)
        drawn = (upper > 0) & (upper < self.edges)
        lost = torch.rand_like(networks[..., 0]) < self.regions  # (..., n_regions)
        hidden = drawn | drawn.mT | lost[..., None] | lost[..., None, :]
        hidden = hidden & ~torch.eye(networks.shape[-1], dtype=torch.bool, device=networks.device)
        noise = self.noise * torch.randn_like(networks).triu(1)
        return (networks + noise + noise.mT).masked_fill(hidden, 0), hidden


class MaskedLoss:
    """Squared error of what was hidden, and a little of what was seen through noise.

    Parameters
    ----------
    hide : callable
        ``hide(target)`` gives what the network sees and the mask of what it does not; it draws
        from torch's generator, which :func:`~brainnet.models.core.fit.fit` sets.
    seen_weight : float
        Weight of the part that is seen, 0 or more: above 0 the network also learns to denoise.
    """

    def __init__(self, hide: Hide, *, seen_weight: float = 0.1) -> None:
        self.hide, self.seen_weight = hide, seen_weight

    def __call__(self, model: nn.Module, batch: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Return the loss of a batch: a tensor, or a mapping that has one as ``image``."""
        target = batch if isinstance(batch, Tensor) else batch["image"]
        seen, hidden = self.hide(target)
        error = functional.mse_loss(model(seen).float(), target, reduction="none")
        loss = (error * hidden).sum() / hidden.sum().clamp(min=1)
        if self.seen_weight:
            shown = ~hidden
            loss = loss + self.seen_weight * (error * shown).sum() / shown.sum().clamp(min=1)
        return loss


@dataclass(frozen=True)
class Crops(Sequence[Tensor]):
    """Batches of random crops of unlabelled images, mirrored now and then.

    They are drawn from torch's generator: :func:`~brainnet.models.core.fit.fit` sets it for every
    batch.

    Parameters
    ----------
    images : sequence of (n_channels, nx, ny, nz) tensors
        In [0, 1] (:func:`~brainnet.models.voxel.normalise.normalise`), at least as large as
        ``shape``.
    shape : three ints
        Of a crop, in voxels; a multiple of what the network halves (16 for four levels).
    n_batches, batch_size : int
        Batches an epoch, and crops in each.

    Examples
    --------
    >>> crops = Crops([torch.rand(1, 9, 8, 12)], shape=(8, 8, 8), n_batches=3)
    >>> len(crops), crops[0].shape
    (3, torch.Size([1, 1, 8, 8, 8]))
    """

    images: Sequence[Tensor]
    shape: tuple[int, int, int]
    n_batches: int = 100
    batch_size: int = 1

    def __post_init__(self) -> None:
        if len(self.images) == 0:
            raise ValueError("images must not be empty. Give one image or more.")
        for each in self.images:
            if each.ndim != 4 or any(
                n < m for n, m in zip(each.shape[1:], self.shape, strict=True)
            ):
                raise ValueError(
                    f"images must be (n_channels, nx, ny, nz), {self.shape} or larger; got "
                    f"{tuple(each.shape)}. Pad them, or lower shape."
                )

    def __len__(self) -> int:
        return self.n_batches

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < self.n_batches:
            raise IndexError(number)
        return torch.stack([self._crop() for _ in range(self.batch_size)])

    def _crop(self) -> Tensor:
        crop = self.images[_draw(len(self.images))]
        for axis, n in enumerate(self.shape, 1):
            crop = crop.narrow(axis, _draw(crop.shape[axis] - n + 1), n)
        return crop.flip(1) if _draw(2) else crop


def pretrain_volumes(
    network: Mapping[str, Any],
    batches: Batches,
    *,
    recipe: Recipe,
    hide: Hide | None = None,
    fabric: Fabric | None = None,
    folder: Path | str | None = None,
    progress: bool = False,
) -> tuple[nn.Module, History]:
    """Train a network to fill in hidden parts of images: a masked, denoising autoencoder.

    Parameters
    ----------
    network : mapping
        ``name`` and ``options`` of :func:`~brainnet.models.core.networks.build_network`, as the
        task will have them; the output channels become those of the input.
    batches : callable
        ``batches(epoch)`` gives batches ``(n_batch, n_channels, nx, ny, nz)``, or mappings that
        have them as ``image``: ``lambda epoch: Crops(...)``, or the synthesised images that a
        segmentation trains on.
    recipe : Recipe
    hide : callable, optional
        What is hidden; :class:`HideBlocks` by default.
    fabric, folder, progress
        As in :func:`~brainnet.models.core.fit.fit`.

    Returns
    -------
    model : torch.nn.Module
        In evaluation mode; its ``state_dict()`` is where a task starts.
    history : History

    References
    ----------
    He et al. (2022), Masked autoencoders are scalable vision learners, CVPR.
    """
    options = dict(network["options"])
    n_channels = options.get("in_channels", 1)  # SegResNet's default; the others have none
    with fork_seed(recipe.seed):
        model = build_network(network["name"], options | {"out_channels": n_channels})
    history = fit(
        model, batches, MaskedLoss(hide or HideBlocks()), recipe=recipe, fabric=fabric,
        folder=folder, progress=progress,
    )  # fmt: skip
    return model, history


def start_from(model: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """Take over each weight whose name and shape are the model's own, and return their names.

    What does not fit (the output layer, as a rule) stays as it was drawn.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    weights : mapping
        A ``state_dict``, or what :func:`~brainnet.models.core.checkpoint.load_weights` gives.

    Raises
    ------
    ValueError
        If none fits.

    Examples
    --------
    >>> first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    >>> start_from(first, second.state_dict() | {"bias": torch.ones(5)})
    ['weight']
    """
    own = model.state_dict()
    taken = {k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}
    if not taken:
        raise ValueError(
            f"weights must fit the network in part; none of {len(weights)} has the name and shape "
            f"of one of its {len(own)}. Pre-train with the network and options of the task."
        )
    model.load_state_dict(own | taken)
    return list(taken)


def _draw(n: int) -> int:
    return int(torch.randint(n, ()))


def _check_share(name: str, share: float) -> None:
    if not 0 < share < 1:
        raise ValueError(f"{name} must be in (0, 1); got {share}.")
