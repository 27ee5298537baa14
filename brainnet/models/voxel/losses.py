"""What a segmentation network is trained to lower."""

from collections.abc import Mapping

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional

from brainnet.models.voxel.labels import LabelTable

__all__ = ["SegmentationLoss"]


class SegmentationLoss:
    """Dice and cross-entropy of structures, and cross-entropy of the side where there is one.

    Targets are shares, not numbers: a voxel half in the hippocampus pulls half as much.

    Parameters
    ----------
    table : LabelTable
    shares : (1 + n_structures,) tensor, optional
        Share of all voxels that is background and each structure: what a batch with ``balance``
        weighs its cross-entropy by, as ``shares ** -balance``. Without it small structures, a
        thousandth of the voxels, are ignored for thousands of steps; with it to the end they
        would come out too large.
    side_weight : float
        Weight of the side's cross-entropy, averaged over voxels of structures with sides.
    """

    def __init__(
        self, table: LabelTable, *, shares: Tensor | None = None, side_weight: float = 0.5
    ) -> None:
        self.n_shares, self.has_sides = 1 + table.n_structures, table.has_sides
        self.shares, self.side_weight = shares, side_weight
        self.dice = DiceLoss(softmax=True, include_background=False)

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of a batch of :class:`~brainnet.models.voxel.synthesis.HeadSynthesis`."""
        logits = model(batch["image"]).float()  # (n_batch, n_channels, nx, ny, nz)
        structures, target = logits[:, : self.n_shares], batch["structure"]
        weight = self._weight(batch.get("balance"), target.device)
        loss: Tensor = self.dice(structures, target)
        loss = loss + functional.cross_entropy(structures, target, weight=weight)
        if self.has_sides:
            loss = loss + self.side_weight * self._side(logits[:, -1], batch["side"])
        return loss

    def _weight(self, balance: Tensor | None, device: torch.device) -> Tensor | None:
        """Weights of the cross-entropy, 1 on average over voxels."""
        if balance is None or self.shares is None:
            return None
        shares = self.shares.to(device)
        weight = shares.clamp(min=1e-6) ** -balance.to(device)
        return weight / (weight * shares).sum()

    @staticmethod
    def _side(logits: Tensor, side: Tensor) -> Tensor:
        """Cross-entropy of right against left, weighted by the share that has a side at all."""
        left, right = side[:, 0], side[:, 1]
        there = left + right
        target = right / there.clamp(min=1e-6)
        loss = functional.binary_cross_entropy_with_logits(
            logits, target, weight=there, reduction="sum"
        )
        return loss / there.sum().clamp(min=1)
