"""What a segmentation network is trained to lower."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from monai.losses import DiceLoss, FocalLoss, GeneralizedDiceLoss
from torch import Tensor, nn
from torch.nn import functional

from brainnet.models.voxel.labels import LabelTable

__all__ = ["LossTerms", "SegmentationLoss"]

Overlap = Literal["dice", "generalised dice"]
Voxel = Literal["cross-entropy", "focal"]
#: How much more a voxel of joined structures counts than another one, and all of them together.
_RARE = 4.0
_NEAR = 4  # voxels from the other half


@dataclass(frozen=True)
class LossTerms:
    """What a segmentation loss is the sum of; overlap and focal loss are MONAI's.

    Parameters
    ----------
    overlap : {"dice", "generalised dice"}
        Over structures: each counts the same, or by the inverse square of its size.
    voxel : {"cross-entropy", "focal"}
        Over voxels; focal loss weighs by (1 - p) ** 2, so that what is known counts little.
    side_weight : float
        Weight of the side's cross-entropy, averaged over voxels of structures with sides.
    midline : float
        How much more the side counts where the other half is within 4 voxels along the first axis
        (left to right): few voxels decide where a midline that is pushed aside lies.
    joined : sequence of sequences of str
        Groups of structures that are rare, alike and seldom there, such as kinds of haemorrhage:
        each has terms of its own, as one structure (overlap and voxels) and of its members against
        one another (voxels of any of them). Without these a network that knows the common
        structures never finds them.
    joined_weight : float
        Weight of these terms.

    Raises
    ------
    ValueError
        No such term; a weight that is not finite, or below 0; an empty group in ``joined``.

    References
    ----------
    Milletari et al. (2016), V-Net, 3DV. Sudre et al. (2017), Generalised Dice overlap as a deep
    learning loss function, DLMIA. Lin et al. (2017), Focal loss for dense object detection, ICCV.
    """

    overlap: Overlap = "dice"
    voxel: Voxel = "cross-entropy"
    side_weight: float = 0.5
    midline: float = 0.0
    joined: Sequence[Sequence[str]] = ()
    joined_weight: float = 1.0

    def __post_init__(self) -> None:
        for name, kinds in (("overlap", get_args(Overlap)), ("voxel", get_args(Voxel))):
            if getattr(self, name) not in kinds:
                given = getattr(self, name)
                raise ValueError(f"{name} must be {' or '.join(kinds)}; got {given!r}.")
        for name in ("side_weight", "midline", "joined_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more; got {getattr(self, name)}.")
        if isinstance(self.joined, str) or any(isinstance(g, str) or not g for g in self.joined):
            raise ValueError(f"joined must be groups of structures; got {self.joined!r}.")

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> "LossTerms":
        """Return those that a network's card tells of; the default where it tells of none.

        Examples
        --------
        >>> LossTerms.of({"training": {"loss": {"voxel": "focal"}}}).voxel
        'focal'
        """
        told = card.get("training") or card.get("compressed", {}).get("from", {}).get("training")
        return cls(**((told or {}).get("loss") or {}))


class SegmentationLoss:
    """Overlap and voxel loss of structures, and cross-entropy of the side where there is one.

    Targets are shares, not numbers: a voxel half in the hippocampus pulls half as much.

    Parameters
    ----------
    table : LabelTable
    shares : (1 + n_structures,) tensor, optional
        Share of all voxels that is background and each structure: what a batch with ``balance``
        weighs its cross-entropy by, as ``shares ** -balance``. Without it small structures, a
        thousandth of the voxels, are ignored for thousands of steps; with it to the end they
        would come out too large.
    terms : LossTerms, optional
        Dice and cross-entropy by default.
    """

    def __init__(
        self, table: LabelTable, *, shares: Tensor | None = None, terms: LossTerms | None = None
    ) -> None:
        self.n_shares, self.has_sides = 1 + table.n_structures, table.has_sides
        self.shares, self.terms = shares, terms or LossTerms()
        named = [each for group in self.terms.joined for each in group]
        if missing := [each for each in named if each not in table.structures]:
            raise ValueError(f"joined must be structures of the table; got {', '.join(missing)}.")
        self.joined = [
            [1 + table.structures.index(each) for each in group] for group in self.terms.joined
        ]
        kind = DiceLoss if self.terms.overlap == "dice" else GeneralizedDiceLoss
        self.overlap = kind(softmax=True, include_background=False)
        self.focal = FocalLoss(use_softmax=True, reduction="none")

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of a batch of :class:`~brainnet.models.voxel.synthesis.HeadSynthesis`."""
        logits = model(batch["image"]).float()  # (n_batch, n_channels, nx, ny, nz)
        structures, target = logits[:, : self.n_shares], batch["structure"]
        weight = self._weight(batch.get("balance"), target.device)
        loss: Tensor = self.overlap(structures, target)
        loss = loss + self._voxels(structures, target, weight)
        if self.has_sides:
            loss = loss + self.terms.side_weight * self._side(logits[:, -1], batch["side"])
        for group in self.joined:
            loss = loss + self.terms.joined_weight * self._joined(structures, target, group)
        return loss

    def _joined(self, logits: Tensor, target: Tensor, group: Sequence[int]) -> Tensor:
        """Overlap and cross-entropy of some structures as one, and of them among themselves."""
        others = [each for each in range(self.n_shares) if each not in group]
        own, kinds = logits[:, group], target[:, group]
        odds = own.logsumexp(dim=1) - logits[:, others].logsumexp(dim=1)
        share, there = odds.sigmoid().flatten(1), kinds.sum(dim=1).clamp(0, 1)
        flat = there.flatten(1)
        both, either = (share * flat).sum(dim=1), (share + flat).sum(dim=1)
        # the 1 is a voxel: where there is nothing, less than a voxel is no error
        overlap = (1 - (2 * both + 1) / (either + 1)).mean()
        weight = odds.new_tensor(_RARE)
        voxels = functional.binary_cross_entropy_with_logits(odds, there, pos_weight=weight)
        among = -(kinds * own.log_softmax(dim=1)).sum() / there.sum().clamp(min=1)
        return overlap + _RARE * voxels + among

    def _voxels(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Return the mean over voxels of a loss that is summed over structures."""
        if self.terms.voxel == "cross-entropy":
            return functional.cross_entropy(logits, target, weight=weight)
        loss: Tensor = self.focal(logits, target)  # (n_batch, n_shares, nx, ny, nz)
        if weight is not None:
            loss = loss * weight.reshape(1, -1, 1, 1, 1)
        return loss.sum(dim=1).mean()

    def _weight(self, balance: Tensor | None, device: torch.device) -> Tensor | None:
        """Weights of the cross-entropy, 1 on average over voxels."""
        if balance is None or self.shares is None:
            return None
        shares = self.shares.to(device)
        weight = shares.clamp(min=1e-6) ** -balance.to(device)
        return weight / (weight * shares).sum()

    def _side(self, logits: Tensor, side: Tensor) -> Tensor:
        """Cross-entropy of right against left, weighted by the share that has a side at all."""
        left, right = side[:, 0], side[:, 1]
        there = left + right
        target = right / there.clamp(min=1e-6)
        if self.terms.midline:  # the first axis is from left to right
            near = functional.max_pool3d(side, (2 * _NEAR + 1, 1, 1), 1, (_NEAR, 0, 0)).prod(dim=1)
            there = there * (1 + self.terms.midline * near)
        loss = functional.binary_cross_entropy_with_logits(
            logits, target, weight=there, reduction="sum"
        )
        return loss / there.sum().clamp(min=1)
