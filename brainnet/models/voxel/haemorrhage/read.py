"""Read a head CT: an image in; outlines, numbers and words out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from brainnet.imaging._sampling import image_like
from brainnet.imaging.hounsfield import CTCheck, check_ct
from brainnet.models.core.predict import predict
from brainnet.models.voxel.conform import affine_of, to_grid
from brainnet.models.voxel.haemorrhage.describe import describe
from brainnet.models.voxel.haemorrhage.location import locate
from brainnet.models.voxel.haemorrhage.outline import (
    FINE,
    KINDS,
    Judgement,
    Outline,
    channels,
    outline,
)
from brainnet.models.voxel.haemorrhage.scan import brightness
from brainnet.models.voxel.labels import LabelTable
from brainnet.models.voxel.posterior import interpolated, places_of
from brainnet.models.voxel.segment import Segmenter, field_of_view, label_probabilities

__all__ = ["Reading", "outline_ct", "read_ct"]

_REACH = 3.0  # mm around an outline on the fine grid within which the scan's voxels may be its own


@dataclass(frozen=True)
class Reading:
    """What was read in one head CT.

    Parameters
    ----------
    img : Nifti1Image
        float32 Hounsfield units, on the grid of the image, as all that follow.
    labels_img : Nifti1Image
        int16 numbers of the label table: halves of the brain, ventricles, fluid, haemorrhages by
        kind, oedema.
    lesions_img : Nifti1Image
        int16: the number of each haemorrhage in the findings, 0 for none.
    probability_img : Nifti1Image
        float32 in [0, 1]: of any haemorrhage.
    findings : dict
        What a physician reads off it, as JSON holds it
        (:func:`~brainnet.models.voxel.haemorrhage.describe.describe`).
    outline : Outline
        What the findings were measured on.
    """

    img: Nifti1Image
    labels_img: Nifti1Image
    lesions_img: Nifti1Image
    probability_img: Nifti1Image
    findings: dict[str, Any]
    outline: Outline


def read_ct(
    img: Nifti1Image,
    segmenter: Segmenter,
    *,
    flips: Sequence[tuple[int, ...]] = ((), (0,)),
    max_memory: float = 4.0,
) -> Reading:
    """Find, outline and measure haemorrhages in one head CT.

    Parameters
    ----------
    img : Nifti1Image
        Three-dimensional, Hounsfield units; any orientation and voxel size.
    segmenter : Segmenter
        ``load_segmenter(task="haemorrhage")``.
    flips : sequence of tuples of int
        Axes along which the image is turned over; probabilities are averaged.
    max_memory : float
        GB that the network may take.

    Returns
    -------
    Reading

    Raises
    ------
    brainnet.imaging.hounsfield.NotACT
        It is no head CT in Hounsfield units.
    ValueError
        Voxels outside 0.2 to 10 mm; no window fits ``max_memory``.
    """
    check = check_ct(img)
    posterior, affine = _posterior(check, segmenter, flips, max_memory)
    judgement = Judgement.of(segmenter.card)
    outlined = outline(posterior, affine, segmenter.table, judgement)
    labels, lesions, probability = _painted(
        posterior, affine, outlined, segmenter.table, check.img, judgement.edge
    )
    labels_img, lesions_img = (image_like(each, check.img) for each in (labels, lesions))
    for each in (labels_img, lesions_img):
        each.header.set_intent("label")  # there may be none
    return Reading(
        img=check.img,
        labels_img=labels_img,
        lesions_img=lesions_img,
        probability_img=image_like(probability, check.img),
        findings=describe(
            check,
            outlined,
            table=segmenter.table,
            judgement=judgement,
            lesions_img=lesions_img,
            located=locate(labels_img, lesions_img),
        ),
        outline=outlined,
    )


def outline_ct(
    img: Nifti1Image,
    segmenter: Segmenter,
    *,
    judgement: Judgement | None = None,
    flips: Sequence[tuple[int, ...]] = ((), (0,)),
) -> Outline:
    """Outline haemorrhages in one head CT and measure nothing else.

    As :func:`read_ct`; ``judgement`` is used in place of the card's.
    """
    check = check_ct(img)
    posterior, affine = _posterior(check, segmenter, flips, 4.0)
    judgement = judgement or Judgement.of(segmenter.card)
    return outline(posterior, affine, segmenter.table, judgement)


def _posterior(
    check: CTCheck, segmenter: Segmenter, flips: Sequence[tuple[int, ...]], max_memory: float
) -> tuple[Tensor, NDArray[np.float64]]:
    """Return probabilities of labels in a field of view around the brain, and its affine."""
    size = segmenter.voxel_size
    units = np.asarray(check.img.dataobj, dtype=np.float32)
    head = to_grid(units, np.ones(units.shape, dtype=bool), affine_of(check.img), size)
    first = head.affine[:3, 3]
    middle, extent = check.box.mean(axis=0) - first, check.box[1] - check.box[0]
    head = head.crop(field_of_view(middle / size, extent / size, size))
    image = brightness(torch.from_numpy(head.data))[None, None]
    found = predict(
        segmenter.network,
        image,
        activation=label_probabilities(segmenter.table),
        flips=flips,
        max_memory=max_memory,
    )
    return found[0], head.affine


def _painted(
    posterior: Tensor, affine: NDArray[np.float64], outlined: Outline, table: LabelTable,
    img: Nifti1Image, edge: float,
) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.float32]]:  # fmt: skip
    """Return labels, numbers of haemorrhages and the probability of one on the scan's grid."""
    shape = (img.shape[0], img.shape[1], img.shape[2])
    index = np.linalg.inv(affine) @ affine_of(img)
    near = ndimage.binary_dilation((posterior[0] < 0.99).numpy(), np.ones((3, 3, 3)))
    bloods = channels(table, tuple(f"{kind} haemorrhage" for kind in KINDS))
    (oedema,) = channels(table, ("perihaematomal oedema",))
    swollen = outlined.share[oedema] > 0  # not lost beside blood, on the outline's grid
    others = [each for each in range(len(posterior)) if each not in bloods]
    number_of = np.array([0] + [KINDS[each.kind] for each in outlined.pieces], dtype=np.int16)
    lesion_at = torch.from_numpy(_spread(outlined.lesions))
    times = float(affine[0, 0]) / FINE
    labels = np.zeros(shape, dtype=np.int16)
    lesions = np.zeros(shape, dtype=np.int16)
    probability = np.zeros(shape, dtype=np.float32)
    for where, places in places_of(near, index, shape):
        found = interpolated(posterior[None], places)  # (n_labels + 1, n_places)
        blood = found[bloods].sum(dim=0)
        fine = ((places + 0.5) * times - 0.5).round().long()
        sizes = torch.tensor(lesion_at.shape)[:, None]
        at = tuple(fine.clamp(min=0).minimum(sizes - 1))
        lesion = lesion_at[at].numpy()
        found[oedema] *= swollen[at]
        lesion = np.where((blood > edge).numpy(), lesion, 0)
        rest = table.indices[others][found[others].argmax(dim=0).numpy()]
        labels.reshape(-1)[where] = np.where(lesion > 0, number_of[lesion], rest)
        lesions.reshape(-1)[where] = lesion
        probability.reshape(-1)[where] = blood.clamp(0, 1).numpy()
    return labels, lesions, probability


def _spread(lesions: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return numbers of haemorrhages, each also where it is the nearest within reach."""
    boxes = ndimage.find_objects((lesions > 0).astype(np.uint8))
    if not boxes:
        return lesions
    by = int(np.ceil(_REACH / FINE))
    wide = tuple(slice(max(0, each.start - by), each.stop + by) for each in boxes[0])
    part = lesions[wide]
    away, nearest = ndimage.distance_transform_edt(part == 0, return_indices=True)
    spread = lesions.copy()
    spread[wide] = np.where(away <= _REACH / FINE, part[tuple(nearest)], 0)
    return spread
