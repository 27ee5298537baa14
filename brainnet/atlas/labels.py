"""Labels images and their tables: read, checked against each other, placed in a known space."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from nibabel.funcs import as_closest_canonical
from nibabel.nifti1 import Nifti1Image
from numpy.typing import ArrayLike, NDArray

from brainnet import io
from brainnet.io import DataError, DataWarning

TEMPLATE_SPACE = "MNI152NLin2009cAsym"

# Median distance in mm, inside the brain, between homologous points of a space and TEMPLATE_SPACE
# (SyN at 2 mm between the templates themselves; 95 % below 3.4 mm); None: not measured.
SPACES: dict[str, float | None] = {
    TEMPLATE_SPACE: 0.0,
    "MNI152NLin6Asym": 1.7,
    "MNI152NLin2009aSym": 1.3,
    "MNI152NLin2009aAsym": None,
    "MNI152NLin2009bAsym": None,
    "MNI152NLin2009bSym": None,
    "MNI152NLin2009cSym": None,
    "MNI152NLin6Sym": None,
    "MNI152Lin": None,
    "MNIColin27": None,
    "MNI305": None,
}
TOLERATED_MM = 2.0
MIN_INSIDE = 0.7


def image(data: NDArray, affine: ArrayLike) -> Nifti1Image:
    """Image in MNI space with nothing but the grid in its header."""
    img = Nifti1Image(data, np.asarray(affine, dtype=np.float64))
    img.set_sform(img.affine, 4)
    img.set_qform(img.affine, 4)
    return img


def read_labels(path: Path) -> Nifti1Image:
    """Labels image in RAS and int32, or an error that says what is wrong with it."""
    img = io.load_img(path, ndim=(3, 4))
    if len(img.shape) == 4:
        raise DataError(
            path,
            f"is 4-D {img.shape}, as a probabilistic atlas is; labels are 3-D",
            "Give each voxel the index of its most probable region (argmax over the 4th axis)",
        )
    data = np.asanyarray(img.dataobj)
    whole = np.rint(data)
    if not np.isfinite(data).all() or np.abs(data - whole).max() > 1e-6:
        raise DataError(
            path,
            "holds values that are not whole numbers, so they are no labels",
            "Resample labels with nearest-neighbour interpolation only",
        )
    low, high = int(whole.min()), int(whole.max())
    if low < 0 or high < 1 or high > np.iinfo(np.int32).max:
        raise DataError(
            path,
            f"must hold labels from 1 up, and 0 outside; its range is {low}..{high}",
            "Renumber the regions from 1",
        )
    canonical = as_closest_canonical(Nifti1Image(whole.astype(np.int32), img.affine))
    return image(np.asarray(canonical.dataobj), canonical.affine)


def own_regions(img: Nifti1Image, table: Path, path: Path) -> pd.DataFrame:
    """Region table of a user's atlas, completed from the image."""
    regions = io.load_table(table, required=["index", "name"])
    index = pd.to_numeric(regions["index"], errors="coerce")
    wrong = index.isna() | (index % 1 != 0) | regions["name"].isna()
    if wrong.any():
        lines = [int(line) + 2 for line in np.flatnonzero(wrong)][:10]
        raise DataError(
            table, f"lines {lines} lack a whole-number index or a name", "Complete these lines"
        )
    regions = regions.assign(index=index.astype(np.int64), name=regions["name"].astype(str))
    regions = regions[regions["index"] != 0].reset_index(drop=True)
    check_labels(img, regions, path, table)
    placed = region_centroids(img, regions["index"])
    side = np.select([placed[:, 3] >= 0.75, placed[:, 3] <= 0.25], ["L", "R"], "B")
    defaults = {"hemisphere": side, "network": "n/a", "kind": "other", "node": 1}
    for column, default in defaults.items():
        filled = pd.Series(default, index=regions.index, dtype=object)
        given = regions[column].astype(object) if column in regions else filled
        regions[column] = given.where(given.notna(), filled)
    return regions.assign(**dict(zip("xyz", placed[:, :3].T.round(2), strict=True)))


def check_labels(img: Nifti1Image, regions: pd.DataFrame, path: Path, table: Path) -> None:
    """Raise unless every label has one row, every row one label, and every name is used once."""
    for column in ("index", "name"):
        repeated = regions[column][regions[column].duplicated()].unique().tolist()
        if repeated:
            raise DataError(
                table, f"{column} must not repeat; got {repeated[:10]}", "Make them unique"
            )
    data = np.asarray(img.dataobj)
    present = set(np.unique(data[data > 0]).tolist())
    listed = dict(zip(regions["index"].tolist(), regions["name"], strict=True))
    orphans = sorted(present - set(listed))
    if orphans:
        raise DataError(
            path,
            f"{len(orphans)} labels have no row in {table.name}: {orphans[:10]}",
            "Add their rows, or set these voxels to 0",
        )
    empty = [f"{index} {name}" for index, name in listed.items() if index not in present]
    if empty:
        raise DataError(
            table,
            f"{len(empty)} rows have no voxel in {path.name}: {', '.join(empty[:10])}",
            "Remove their rows, or give the image that holds them",
        )


def region_centroids(labels_img: Nifti1Image, indices: ArrayLike) -> NDArray[np.float64]:
    """Mean x, y, z in mm of each label's voxels and their share with x < 0, NaN where absent."""
    labels = np.asarray(labels_img.dataobj)
    points = apply_affine(np.asarray(labels_img.affine), np.argwhere(labels > 0))
    present, position = np.unique(labels[labels > 0], return_inverse=True)
    columns = [*points.T, points[:, 0] < 0]
    sums = np.array([np.bincount(position, weights=column) for column in columns])
    means = pd.DataFrame((sums / np.bincount(position)).T, index=present)
    return means.reindex(np.asarray(indices)).to_numpy(dtype=np.float64)


def declared_space(path: Path, space: str | None) -> str:
    """Space of a user's atlas, from the argument or the file name; both must agree."""
    named = entity(path, "space", "tpl")
    if space is not None and named is not None and space != named:
        raise DataError(
            path,
            f"its name says {named}, the argument space says {space}",
            "Correct the one that is wrong",
        )
    declared = space or named
    if declared is None:
        raise DataError(
            path,
            "does not say which space its labels are in",
            f"Give space=, one of {', '.join(SPACES)}, or put it in the name as space-<name>",
        )
    return declared


def check_space(space: str, path: Path) -> None:
    """Raise unless labels of this space can be carried to a subject; warn if by some mm only."""
    if space not in SPACES:
        raise DataError(
            path,
            f"is in space {space!r}, and atlases are carried to a subject from "
            f"{TEMPLATE_SPACE} only",
            f"Register it to {TEMPLATE_SPACE} first; close adult MNI spaces are taken as they "
            f"are: {', '.join(SPACES)}",
        )
    offset = SPACES[space]
    if offset is not None and offset <= TOLERATED_MM:
        return
    amount = "an amount that is not known here" if offset is None else f"{offset} mm (median)"
    warnings.warn(
        f"{path.name} is in {space}, which differs from {TEMPLATE_SPACE} by {amount}; "
        "small regions and edges may miss their anatomy by some mm. Prefer an atlas made in "
        f"{TEMPLATE_SPACE}, or register this one there.",
        DataWarning,
        stacklevel=4,
    )


def check_inside(img: Nifti1Image, mask_img: Nifti1Image, path: Path, space: str) -> None:
    """Raise unless most labelled voxels lie in the template's brain: the declared space is true."""
    points = apply_affine(np.asarray(img.affine), np.argwhere(np.asarray(img.dataobj) > 0))
    voxels = np.rint(apply_affine(np.linalg.inv(mask_img.affine), points)).astype(int)
    mask = np.asarray(mask_img.dataobj) > 0
    within = ((voxels >= 0) & (voxels < mask.shape)).all(axis=1)
    inside = float(mask[tuple(voxels[within].T)].sum() / len(voxels))
    if inside < MIN_INSIDE:
        raise DataError(
            path,
            f"only {inside:.0%} of its labelled voxels lie inside the {TEMPLATE_SPACE} brain, so "
            f"it is not in {space}",
            "Check its affine, or register it to the template",
        )


def entity(path: Path, *keys: str) -> str | None:
    """Value of the first of these BIDS entities that the file name has."""
    for key in keys:
        found = re.search(rf"(?:^|_){key}-([A-Za-z0-9+]+)", path.name)
        if found:
            return found[1]
    return None
