"""How far a label map is from the truth: overlap and distances between surfaces, by MONAI."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
)
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from brainnet.models.voxel.labels import LabelTable

__all__ = ["compare_labels"]


def compare_labels(
    found: NDArray[np.integer],
    truth: NDArray[np.integer],
    table: LabelTable,
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> pd.DataFrame:
    """Hold each label of a map against the truth.

    Parameters
    ----------
    found, truth : (nx, ny, nz) integer arrays
        Numbers of the table (``index``) on the same grid.
    table : LabelTable
    spacing : sequence of three floats
        Of the voxels, mm.

    Returns
    -------
    DataFrame
        One row a label: ``index``, ``name``; ``dice`` in [0, 1]; ``hd95`` and ``asd`` in mm, the
        95th percentile of the distances between surfaces (the larger of both directions) and
        their mean (of both directions). NaN where the truth has no such label; distances are NaN
        where it was not found.

    Raises
    ------
    ValueError
        The two have different shapes.

    References
    ----------
    Taha and Hanbury (2015), Metrics for evaluating 3D medical image segmentation, BMC Med Imaging.

    Examples
    --------
    >>> from brainnet.models.voxel.labels import load_labels
    >>> truth = np.zeros((12, 12, 12), int)
    >>> truth[2:8, 2:8, 2:8] = 17
    >>> table = compare_labels(np.roll(truth, 1, axis=0), truth, load_labels("brain"))
    >>> row = table.set_index("name").loc["left hippocampus"]
    >>> round(float(row["dice"]), 3), float(row["hd95"])
    (0.833, 1.0)
    """
    found, truth = np.asarray(found), np.asarray(truth)
    if found.shape != truth.shape:
        raise ValueError(f"found must have the shape of truth, {truth.shape}; got {found.shape}.")
    steps = [float(each) for each in spacing]
    with warnings.catch_warnings():  # MONAI's measures use an argument that MONAI deprecates
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        rows = [_row(found == index, truth == index, steps) for index in table.regions["index"]]
    measures = pd.DataFrame(rows, columns=["dice", "hd95", "asd"])
    return pd.concat([table.regions[["index", "name"]].reset_index(drop=True), measures], axis=1)


def _row(
    found: NDArray[np.bool_], truth: NDArray[np.bool_], spacing: list[float]
) -> tuple[float, float, float]:
    if not truth.any():
        return math.nan, math.nan, math.nan
    if not found.any():
        return 0.0, math.nan, math.nan
    box = ndimage.find_objects((found | truth).astype(np.uint8))[0]
    one, other = (torch.from_numpy(np.pad(each[box], 1))[None, None] for each in (found, truth))
    return (
        _number(compute_dice(one, other)),
        _number(compute_hausdorff_distance(one, other, True, percentile=95, spacing=spacing)),
        _number(compute_average_surface_distance(one, other, True, True, spacing=spacing)),
    )


def _number(value: Tensor) -> float:
    return float(value.reshape(()))
