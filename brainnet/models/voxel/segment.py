"""Segment a brain: an image in, labels, mask, tissues, volumes and a judgement out."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from brainnet.imaging._sampling import image_like
from brainnet.io import DataError
from brainnet.models.core.checkpoint import CARD, load_checkpoint
from brainnet.models.core.predict import Activation, predict
from brainnet.models.voxel import quality
from brainnet.models.voxel.conform import UNKNOWN_FORM, Conformed, affine_of, conform
from brainnet.models.voxel.labels import TISSUES, LabelTable, load_labels
from brainnet.models.voxel.posterior import brain_share, paint, tidy
from brainnet.models.voxel.quality import Quality
from brainnet.models.voxel.refine import refine

__all__ = [
    "Segmentation",
    "Segmenter",
    "field_of_view",
    "label_probabilities",
    "load_segmenter",
    "segment",
]

#: Field of view around a brain, as in training, mm.
_FIELD = (160.0, 192.0, 160.0)
#: Least room around the brain in the field of view, mm.
_ROOM = 6.0
#: The middle of a brain lies this far below the top of the head, mm.
_DEPTH = 78.0
#: How often the brain is looked for, each time around where it was found.
_LOOKS = 2
#: Once it moves by less than this it has been found, mm.
_SETTLED = 5.0
#: Networks halve the grid four times.
_MULTIPLE = 16
#: Less than this is no whole brain, ml.
_LEAST_ML = 50.0


@dataclass(frozen=True)
class Segmenter:
    """A trained network with all that is needed to use it.

    Parameters
    ----------
    network : torch.nn.Module
    table : LabelTable
    card : dict
        Its model card; ``voxel_size`` (mm) is that of its grid.
    """

    network: nn.Module
    table: LabelTable
    card: dict[str, Any]

    @property
    def voxel_size(self) -> float:
        """Edge of a voxel of the network's grid, mm."""
        return float(self.card.get("voxel_size", 2.0))


@dataclass(frozen=True)
class Segmentation:
    """What was found in one image.

    Parameters
    ----------
    labels_img : Nifti1Image
        int16 on the grid of the image; numbers of the label table.
    mask_img : Nifti1Image
        uint8 on the same grid: the brain and the fluid around it, one piece without holes.
    tissue_imgs : dict of str to Nifti1Image
        ``GM``, ``WM``, ``CSF``: float32 shares in [0, 1] on the same grid. CSF includes the fluid
        around the brain.
    volumes : DataFrame
        One row a label: ``index``, ``name``, ``structure``, ``side``, ``volume_mm3`` (sum of
        probabilities times the volume of a voxel), ``predicted_dice``.
    icv_mm3 : float
        Volume inside the skull: all labels, fluid below brain-stem and cerebellum left out.
    quality : Quality
        Whether to trust it.
    notes : tuple of str
        What was done to the image that is not done to every one (read as CT).
    posterior : (n_labels + 1, nx, ny, nz) float32 tensor
        Probabilities on the network's grid, background first, in the order of the table.
    posterior_affine : (4, 4) array
        Of that grid, RAS mm.
    """

    labels_img: Nifti1Image
    mask_img: Nifti1Image
    tissue_imgs: dict[str, Nifti1Image]
    volumes: pd.DataFrame
    icv_mm3: float
    quality: Quality
    notes: tuple[str, ...]
    posterior: Tensor = dataclass_field(repr=False)
    posterior_affine: NDArray[np.float64] = dataclass_field(repr=False)

    @property
    def posterior_img(self) -> Nifti1Image:
        """4-D float32 image ``(nx, ny, nz, n_labels + 1)`` of `posterior`."""
        data = np.ascontiguousarray(np.moveaxis(self.posterior.numpy(), 0, -1))
        return image_like(data, self.labels_img, affine=self.posterior_affine)


def load_segmenter(folder: Path | str | None = None, *, task: str = "brain") -> Segmenter:
    """Return the package's segmenter of a task, or one from a folder.

    Parameters
    ----------
    folder : path, optional
        A checkpoint (:func:`~brainnet.models.core.checkpoint.save_checkpoint`) whose card has
        ``labels``: the rows of a label table, or the name of one of the package.
    task : str
        What the network must have been trained for.

    Raises
    ------
    DataError
        As `load_checkpoint`; and if the card names no label table, or one that the network was
        not made for.
    """
    default = resources.files("brainnet.models.voxel") / "weights" / task
    folder = Path(str(default)) if folder is None else Path(folder)
    network, card = load_checkpoint(folder, task=task)
    remedy = "Give a model that brainnet train made"
    table = _table(card.get("labels"), folder / CARD, remedy)
    n_channels = card["network"]["options"].get("out_channels")
    if n_channels != table.n_channels:
        what = f"the network has {n_channels} channels, the label table {table.n_channels}"
        raise DataError(folder / CARD, what, remedy)
    return Segmenter(network, table, card)


def _table(labels: Any, path: Path, remedy: str) -> LabelTable:
    """Return the label table that a card holds or names."""
    if not isinstance(labels, str | list) or not labels:
        raise DataError(path, "the card names no label table", remedy)
    try:
        return load_labels(labels) if isinstance(labels, str) else LabelTable.from_rows(labels)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(path, f"the card's label table is none ({error})", remedy) from error


def segment(
    img: Nifti1Image,
    segmenter: Segmenter,
    *,
    flips: Sequence[tuple[int, ...]] = ((),),
    max_memory: float = 4.0,
) -> Segmentation:
    """Segment the brain in one image of any contrast.

    The brain is looked for first, from below the top of the head on, since a network knows only
    fields of view like those it was trained on. Then such a field goes through it, and how
    bright each structure is in this very image sharpens what they say
    (:func:`~brainnet.models.voxel.refine.refine`).

    Parameters
    ----------
    img : Nifti1Image
        One volume, any orientation, voxels of 0.2 to 10 mm, any contrast. Voxels that are not
        finite count as not measured. With more than 1 % of it below -500 and some above 100 it is
        taken for CT in Hounsfield units.
    segmenter : Segmenter
        From :func:`load_segmenter`.
    flips : sequence of tuples of int
        ``((), (0,))`` averages over the image and its mirror image, in twice the time.
    max_memory : float
        GB that the network may take; where the field of view takes more, windows slide over it.

    Returns
    -------
    Segmentation
        Where nothing is found, empty and not trusted.

    Raises
    ------
    ValueError
        A series, an empty or constant volume, implausible voxels (:func:`conform`); no window
        fits ``max_memory``.
    """
    head = conform(img, voxel_size=segmenter.voxel_size)
    table = segmenter.table
    brain = _find_brain(head, segmenter, max_memory)
    image = brain.tensor()
    found = predict(
        segmenter.network,
        image,
        activation=label_probabilities(table),
        flips=flips,
        max_memory=max_memory,
    )
    posterior = refine(image[0, 0].numpy(), found[0], table, voxel_size=brain.voxel_size)
    return _described(img, brain, tidy(posterior, table), table)


def _find_brain(head: Conformed, segmenter: Segmenter, max_memory: float) -> Conformed:
    """Return the field of view around the brain, looked for from below the top of the head on."""
    nx, ny, nz = head.data.shape
    middle = np.array([nx / 2, ny / 2, max(nz / 2, nz - _DEPTH / head.voxel_size)])
    brain = head.crop(field_of_view(middle, np.zeros(3), head.voxel_size))
    for _ in range(_LOOKS):
        activation = _brain(segmenter.table)
        share = predict(
            segmenter.network, brain.tensor(), activation=activation, max_memory=max_memory
        )
        least_ml = _LEAST_ML if segmenter.table.is_whole else 0.0
        ends = _extent(share[0, 0].numpy() > 0.5, head.voxel_size, least_ml)
        if ends is None:
            return brain
        first = (brain.affine[:3, 3] - head.affine[:3, 3]) / head.voxel_size
        box = field_of_view(first + ends.mean(axis=0), ends[1] - ends[0], head.voxel_size)
        moved = max(abs(a - b) for (a, _), b in zip(box, first, strict=True))
        brain = head.crop(box)
        if moved < _SETTLED / head.voxel_size:
            break
    return brain


def label_probabilities(table: LabelTable) -> Activation:
    """Return what turns logits into probabilities of labels, sides swapped after a flip.

    What :func:`~brainnet.models.core.predict.predict` takes as ``activation``.
    """

    def activation(logits: Tensor, flipped_axes: tuple[int, ...]) -> Tensor:
        if table.has_sides and 0 in flipped_axes:
            logits = torch.cat([logits[:, :-1], -logits[:, -1:]], dim=1)
        return table.probabilities(logits)

    return activation


def _brain(table: LabelTable) -> Activation:
    """Return what turns logits into the probability of any label."""

    def activation(logits: Tensor, flipped_axes: tuple[int, ...]) -> Tensor:
        return 1 - logits[:, : 1 + table.n_structures].float().softmax(dim=1)[:, :1]

    return activation


def _extent(
    brain: NDArray[np.bool_], voxel_size: float, least_ml: float
) -> NDArray[np.float64] | None:
    """Return where the largest piece of a brain begins and ends ``(2, 3)``; None if too small."""
    pieces, n_pieces = ndimage.label(ndimage.binary_opening(brain))
    sizes = np.bincount(pieces.ravel())[1:]
    if not n_pieces or sizes.max() * voxel_size**3 / 1000 < least_ml:
        return None
    place = np.nonzero(pieces == 1 + sizes.argmax())
    return np.asarray(np.quantile(place, (0.002, 0.998), axis=1))  # not a few strays


def field_of_view(
    middle: NDArray[np.float64], extent: NDArray[np.float64], voxel_size: float
) -> tuple[tuple[int, int], ...]:
    """Return the field of view around a middle, wide enough for an extent.

    Parameters
    ----------
    middle, extent : (3,) arrays
        Of what is looked for, voxels.
    voxel_size : float
        mm.

    Returns
    -------
    three pairs of int
        First index and the one after the last, along each axis; the first may be negative.

    Examples
    --------
    >>> field_of_view(np.full(3, 50.0), np.full(3, 60.0), 2.0)
    ((10, 90), (2, 98), (10, 90))
    """
    box = []
    for place, size, least in zip(middle, extent, _FIELD, strict=True):
        n_voxels = _even(max(least / voxel_size, size + 2 * _ROOM / voxel_size))
        begin = round(float(place) - n_voxels / 2)
        box.append((begin, begin + n_voxels))
    return tuple(box)


def _even(n_voxels: float) -> int:
    """Return the next number of voxels that the network can halve."""
    return int(np.ceil(n_voxels / _MULTIPLE - 1e-6)) * _MULTIPLE


def _described(
    img: Nifti1Image, head: Conformed, posterior: Tensor, table: LabelTable
) -> Segmentation:
    """Measure and judge a posterior, and put it on the grid of the image."""
    shape = (img.shape[0], img.shape[1], img.shape[2])
    painted = paint(posterior, head.affine, table, shape, affine_of(img))
    dice, share = quality.predicted_dice(posterior), brain_share(posterior, table)
    voxel_mm3 = head.voxel_size**3
    volumes = table.regions[["index", "name", "structure", "side"]].assign(
        volume_mm3=posterior[1:].sum(dim=(1, 2, 3), dtype=torch.float64).numpy() * voxel_mm3,
        predicted_dice=dice,
    )
    icv_mm3 = float(share.sum(dtype=torch.float64)) * voxel_mm3
    reasons = _reasons(img, head, posterior, share, painted.mask, table)
    return Segmentation(
        labels_img=image_like(painted.labels, img),
        mask_img=image_like(painted.mask, img),
        tissue_imgs={name: image_like(each, img) for name, each in painted.tissues.items()},
        volumes=volumes,
        icv_mm3=icv_mm3,
        quality=quality.judge(dice, volumes, icv_mm3, tuple(reasons)),
        notes=head.notes,
        posterior=posterior,
        posterior_affine=head.affine,
    )


def _reasons(
    img: Nifti1Image,
    head: Conformed,
    posterior: Tensor,
    share: Tensor,
    mask: NDArray[np.uint8],
    table: LabelTable,
) -> list[str]:
    """Return what speaks against a segmentation but its volumes."""
    reasons = [note for note in head.notes if note == UNKNOWN_FORM]
    brain = (share > 0.5).numpy()
    if brain.sum() * head.voxel_size**3 / 1000 > _LEAST_ML:  # single structures may be flat
        reasons += quality.reasons_of_field(brain, head.measured, head.voxel_size)
    data = np.asarray(img.dataobj).reshape(mask.shape)
    finite = np.isfinite(data)
    largest = float(data[finite].max())
    reasons += quality.reasons_of_brightness(data[finite & (mask > 0)], largest)
    if brain.any() and table.regions["tissue"].nunique() > 1:
        hard = torch.from_numpy(table.indices)[posterior.argmax(dim=0)].numpy()
        members = {
            name: np.isin(hard, table.regions["index"][table.regions["tissue"] == name])
            for name in TISSUES
        }
        reasons += quality.reasons_of_contrast(quality.tissue_contrast(head.data, members))
    return reasons
