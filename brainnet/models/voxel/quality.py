"""Say how far a segmentation can be trusted, without knowing the truth."""

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from brainnet.io import load_table
from brainnet.models.voxel.labels import OUTER_FLUID

__all__ = [
    "LEAST_SCORE",
    "Quality",
    "judge",
    "predicted_dice",
    "reasons_of_brightness",
    "reasons_of_contrast",
    "reasons_of_field",
    "reasons_of_volumes",
    "tissue_contrast",
]

#: Below this score a segmentation is not trusted.
LEAST_SCORE = 0.65
#: Volumes (ml) inside the skull that a child or an adult can have.
_ICV_ML = (900.0, 2300.0)
#: How far beyond those of 20 adults a volume may go: a factor, larger for fluid.
_BEYOND, _BEYOND_FLUID = 1.6, 4.0
#: Share of labels whose volumes may be implausible, or absent.
_MOST_STRANGE = 0.15
#: Most difference between the sides of cortex or white matter, as a share of their mean.
_MOST_ASYMMETRY = 0.3
#: A flat face of the brain larger than this share of its largest section is a cut.
_FLAT = 0.3
#: Most surface of the brain (cm2) where nothing was measured beyond it.
_OPEN_CM2 = 20.0
#: Most of the brain that may have the largest value of the image.
_MOST_SATURATED = 0.15
#: Fewest different values in a brain.
_FEWEST_VALUES = 16
#: Least difference between two tissues, in standard deviations.
_LEAST_CONTRAST = 0.25

_ENDS = (("left", "right"), ("back", "front"), ("bottom", "top"))


@dataclass(frozen=True)
class Quality:
    """How far a segmentation can be trusted.

    Parameters
    ----------
    score : float
        In [0, 1]: the Dice overlap with the truth that the network itself expects, mean of the
        labels, less what is implausible.
    trusted : bool
        Whether the score is high enough and nothing speaks against it.
    reasons : tuple of str
        Why not, in words; empty where it is trusted.
    """

    score: float
    trusted: bool
    reasons: tuple[str, ...] = ()


def predicted_dice(probabilities: Tensor) -> NDArray[np.float64]:
    r"""Return the Dice overlap of each label with a truth that its probabilities describe.

    .. math:: D_l = \frac{2 \sum_v p_{lv} m_{lv}}{\sum_v p_{lv} + \sum_v m_{lv}}

    where ``m`` is 1 at the voxels whose most likely label is ``l``: the ratio of the expected
    overlap to the expected sum of sizes.

    Parameters
    ----------
    probabilities : (n_labels + 1, nx, ny, nz) tensor
        Background first.

    Returns
    -------
    (n_labels,) array
        In [0, 1]; 0 for a label that is nowhere the most likely one.

    Examples
    --------
    >>> one = torch.tensor([0.8, 0.6, 0.1, 0.0]).reshape(4, 1, 1)
    >>> predicted_dice(torch.stack([1 - one, one])).round(3).tolist()
    [0.8]
    """
    hard = probabilities.argmax(dim=0)
    dice = []
    for number, each in enumerate(probabilities[1:], 1):
        mask = hard == number
        size = float(each.sum(dtype=torch.float64)) + float(mask.sum())
        overlap = float(each[mask].sum(dtype=torch.float64))
        dice.append(2 * overlap / size if overlap else 0.0)
    return np.array(dice)


def judge(
    dice: ArrayLike, volumes: pd.DataFrame, icv_mm3: float, reasons: tuple[str, ...] = ()
) -> Quality:
    """Put all that is known into one judgement.

    Parameters
    ----------
    dice : (n_labels,) array
        :func:`predicted_dice`.
    volumes : DataFrame
        Columns ``index``, ``name``, ``structure``, ``side``, ``volume_mm3``.
    icv_mm3 : float
        Volume inside the skull.
    reasons : tuple of str
        What else speaks against the segmentation.

    Returns
    -------
    Quality
    """
    strange = _strange(volumes)
    score = float(np.clip(np.mean(np.asarray(dice)) * (1 - len(strange) / len(volumes)), 0, 1))
    found = [*reasons, *reasons_of_volumes(volumes, icv_mm3)]
    if score < LEAST_SCORE:
        found.append(f"the network is not sure: score {score:.2f}, at least {LEAST_SCORE} wanted")
    return Quality(score, not found, tuple(found))


def reasons_of_volumes(volumes: pd.DataFrame, icv_mm3: float) -> list[str]:
    """Return what is wrong with volumes: too small, too large, missing, or far from symmetric.

    Compared by index and name with 20 adults (table ``brain_volumes.tsv``: the 16 whose maps
    train the package's network and the 4 held out), with room for children, age and disease. What
    lies inside the skull is judged where the labels hold all of it, the outer fluid too.
    """
    if not icv_mm3 > 0:
        return ["no brain was found"]
    reasons = []
    low, high = _ICV_ML
    is_whole = bool((volumes["structure"] == OUTER_FLUID).any())
    if is_whole and not low <= icv_mm3 / 1000 <= high:
        found = f"{icv_mm3 / 1000:.0f} ml inside the skull"
        reasons.append(f"{found}: a child or an adult has {low:.0f} to {high:.0f} ml")
    strange = _strange(volumes)
    if len(strange) > _MOST_STRANGE * len(volumes):
        shown = ", ".join(strange[:4]) + (", ..." if len(strange) > 4 else "")
        reasons.append(f"volumes of {len(strange)} structures are implausible: {shown}")
    for structure in ("cerebral cortex", "cerebral white matter"):
        sides = volumes[volumes["structure"] == structure].groupby("side")["volume_mm3"].sum()
        left, right = (float(sides.get(side, 0.0)) for side in ("left", "right"))
        if left + right and abs(left - right) > _MOST_ASYMMETRY * (left + right) / 2:
            larger = max(left, right) / max(1.0, min(left, right))
            reasons.append(f"{structure} of one side is {min(larger, 99):.1f} times the other's")
    return reasons


def reasons_of_field(
    brain: NDArray[np.bool_], measured: NDArray[np.bool_], voxel_size: float
) -> list[str]:
    """Return where a brain is cut: flat faces, and surface with nothing measured beyond it.

    Parameters
    ----------
    brain, measured : (nx, ny, nz) bool arrays
        On a RAS grid; ``measured`` is false outside the field of view.
    voxel_size : float
        mm.
    """
    if not brain.any():
        return []
    reasons = []
    for axis, names in enumerate(_ENDS):
        areas = brain.sum(axis=tuple(each for each in range(3) if each != axis))
        there = np.flatnonzero(areas)
        for end, name in zip((there[0], there[-1]), names, strict=True):
            if areas[end] > _FLAT * areas.max():
                reasons.append(f"the brain is cut off at the {name}")
    inside = brain & measured
    hidden = float((brain & ~measured).sum() / brain.sum())
    if hidden > 0.02:
        reasons.append(f"{100 * hidden:.0f} % of the brain was not measured")
    contact = sum(
        int((np.roll(~measured, step, axis) & inside).sum())
        for axis in range(3)
        for step in (-1, 1)
    )
    area = contact * voxel_size**2 / 100
    if area > _OPEN_CM2:
        reasons.append(f"the brain touches the edge of the image over {area:.0f} cm2")
    return reasons


def reasons_of_brightness(values: NDArray, largest: float) -> list[str]:
    """Return what is wrong with the brightness of a brain's voxels: saturated, or few values.

    Parameters
    ----------
    values : (n_voxels,) array
        Of the brain, as they stand in the image.
    largest : float
        The largest value in the image.
    """
    if not values.size:
        return []
    saturated = float(np.mean(values >= largest))
    if saturated > _MOST_SATURATED:
        what = f"{100 * saturated:.0f} % of the brain has the largest value of the image"
        return [f"{what}: it is saturated"]
    n_values = len(np.unique(values[:: max(1, values.size // 100_000)]))
    if n_values < _FEWEST_VALUES:
        return [f"the brain has only {n_values} different values: is it a mask or a label map?"]
    return []


def tissue_contrast(data: NDArray[np.float32], tissues: dict[str, NDArray[np.bool_]]) -> float:
    """Return the largest difference between two tissues, in their common standard deviation.

    Parameters
    ----------
    data : (nx, ny, nz) array
    tissues : dict of str to (nx, ny, nz) bool array

    Returns
    -------
    float
        0 where fewer than two tissues are seen.

    Examples
    --------
    >>> data = np.array([[[0.0, 2.0, 6.0, 8.0]]], np.float32)
    >>> tissue_contrast(data, {"GM": data < 3, "WM": data > 3})
    6.0
    """
    groups = [data[mask] for mask in tissues.values() if mask.any()]
    largest = 0.0
    for i, first in enumerate(groups):
        for second in groups[i + 1 :]:
            spread = np.sqrt((first.var() + second.var()) / 2)
            apart = abs(float(first.mean()) - float(second.mean()))
            largest = max(largest, apart / max(float(spread), 1e-6) if apart else 0.0)
    return largest


def reasons_of_contrast(contrast: float) -> list[str]:
    """Return that tissues do not differ, where they do not (:func:`tissue_contrast`)."""
    if contrast >= _LEAST_CONTRAST:
        return []
    what = f"tissues differ by {contrast:.1f} standard deviations only"
    return [f"{what}: there is no brain, or no contrast, in the image"]


def _strange(volumes: pd.DataFrame) -> list[str]:
    """Return the names of labels whose volumes no brain has."""
    known = _reference().reindex(volumes["index"])
    beyond = np.where(known["name"].str.contains("ventricle|CSF"), _BEYOND_FLUID, _BEYOND)
    found = volumes["volume_mm3"].to_numpy()
    low, high = known["low_mm3"].to_numpy() / beyond, known["high_mm3"].to_numpy() * beyond
    with np.errstate(invalid="ignore"):
        wrong = (found < low) | (found > high)  # a label without a reference is never strange
    wrong &= known["name"].to_numpy() == volumes["name"].to_numpy()  # nor another table's
    return [str(name) for name in volumes["name"][wrong]]


@lru_cache(maxsize=1)
def _reference() -> pd.DataFrame:
    """Volumes of the table ``brain`` in 20 adults, by index: least, median, largest."""
    folder = resources.files("brainnet.models.voxel") / "tables" / "brain_volumes.tsv"
    return load_table(str(folder), required=("index", "low_mm3", "high_mm3")).set_index("index")
