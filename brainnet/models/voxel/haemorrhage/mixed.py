"""Synthesised heads and scans of patients, mixed, and the loss of each."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from brainnet.models.voxel.draws import Draw
from brainnet.models.voxel.haemorrhage.partial import partial_loss
from brainnet.models.voxel.haemorrhage.scans import PatientScans, Shape, members_of
from brainnet.models.voxel.haemorrhage.slice_labels import KINDS
from brainnet.models.voxel.haemorrhage.synthesis import HaemorrhageSynthesis
from brainnet.models.voxel.haemorrhage.weak import slice_loss
from brainnet.models.voxel.labels import LabelTable
from brainnet.models.voxel.losses import SegmentationLoss

__all__ = ["MixedLoss", "MixedSamples"]

#: The likeliest so much of a slice says whether it shows a haemorrhage, mm3.
TOP_MM3 = 100.0
_APART = 7919  # so that the choice of a sample draws nothing that the sample draws


class MixedSamples:
    """Endless samples, a share of them scans of patients, the others synthesised.

    Parameters
    ----------
    scans : PatientScans
    synthesis : HaemorrhageSynthesis, optional
        Without it all are scans.
    share : float
        Of scans, in (0, 1].
    seed : int

    Raises
    ------
    ValueError
        A share outside (0, 1]; two label tables.
    """

    def __init__(
        self,
        scans: PatientScans,
        synthesis: HaemorrhageSynthesis | None = None,
        *,
        share: float = 0.5,
        seed: int = 0,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share must be in (0, 1]; got {share}. Leave the scans out for none.")
        if synthesis is not None and synthesis.table.rows() != scans.table.rows():
            raise ValueError("scans and synthesis must have one label table. Give them the same.")
        self.scans, self.synthesis, self.share, self.seed = scans, synthesis, share, seed

    @property
    def table(self) -> LabelTable:
        """What is told apart."""
        return self.scans.table

    @property
    def shapes(self) -> list[Shape]:
        """Fields of view, voxels."""
        return self.scans.shapes

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Return sample ``number``, always the same."""
        draw = Draw(self.seed + _APART, number, torch.device("cpu"))
        if self.synthesis is None or draw.chance(self.share):
            return self.scans[number]
        return self.synthesis[number]

    def shares(self) -> Tensor:
        """Return the mean share of each structure that is synthesised; without, all the same."""
        if self.synthesis is not None:
            return self.synthesis.shares()
        n_shares = 1 + self.table.n_structures
        return torch.full((n_shares,), 1 / n_shares)


class MixedLoss:
    """The loss of whole label maps, of masks that say a part, and of labels of slices.

    Parameters
    ----------
    whole : SegmentationLoss
        Of synthesised heads.
    table : LabelTable
    voxel_size : float
        mm.
    """

    def __init__(self, whole: SegmentationLoss, table: LabelTable, *, voxel_size: float) -> None:
        self.whole, self.n_shares = whole, 1 + table.n_structures
        self.channels = [members_of([f"{kind} haemorrhage"], table)[0] for kind in KINDS]
        self.top = max(1, round(TOP_MM3 / voxel_size**3))

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of a batch of :class:`MixedSamples`."""
        if "structure" in batch:
            return self.whole(model, batch)
        logits = model(batch["image"]).float()[:, : self.n_shares]
        if "sets" in batch:
            return partial_loss(logits, batch["sets"], batch["shares"])
        kinds = logits.softmax(dim=1)[:, self.channels]
        shown = torch.cat([kinds, kinds.sum(dim=1, keepdim=True)], dim=1)  # any, the last
        losses = [
            slice_loss(each, slices, labels, top=self.top)
            for each, slices, labels in zip(shown, batch["slices"], batch["labels"], strict=True)
        ]
        return torch.stack(losses).mean()
