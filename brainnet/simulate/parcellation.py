"""The Desikan-Killiany regions cut into as many as one likes, for cohorts of any size."""

import re
from functools import lru_cache
from typing import Final

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from brainnet.atlas import Atlas, load
from brainnet.simulate.damage import DAMAGE, planted_regions

__all__ = ["parcellation"]

Floats = NDArray[np.float64]

_CEREBELLUM: Final = 0.15  # weight of a cerebellar voxel when parts are dealt out
_SAMPLE: Final = 4000  # voxels of a region that its seeds are found on
_ROUNDS: Final = 20
_FEWEST: Final = 8


@lru_cache(maxsize=8)
def parcellation(n_regions: int) -> Atlas:
    """Return an atlas of any number of regions, made from the Desikan-Killiany regions.

    Above 84, the regions with the most voxels a part are cut further (k-means of the voxels'
    places; the right hemisphere by the mirrored seeds of the left), so that parts are about
    equal in size. Below 84, some pairs of regions are taken and the others left out. A part has
    the disease of its region.

    Parameters
    ----------
    n_regions : int
        At least 8. An odd number leaves one region, or part, without its partner.

    Returns
    -------
    Atlas
        In memory, named ``DesikanKilliany<n_regions>``; the Desikan-Killiany atlas itself for
        84.

    Raises
    ------
    ValueError
        If ``n_regions`` is less than 8 or more than 1000.

    Examples
    --------
    >>> atlas = parcellation(20)
    >>> atlas.n_regions, atlas.name
    (20, 'DesikanKilliany20')
    """
    whole = load("DesikanKilliany")
    if not _FEWEST <= n_regions <= 1000:
        raise ValueError(f"n_regions must be within {_FEWEST} to 1000; got {n_regions}.")
    if n_regions == whole.n_regions:
        return whole
    if n_regions < whole.n_regions:
        labels, regions = _some(whole, n_regions)
    else:
        labels, regions = _cut(whole, n_regions)
    return Atlas(
        name=f"DesikanKilliany{n_regions}",
        labels_img=Nifti1Image(labels, whole.labels_img.affine),
        regions=regions,
        space=whole.space,
        space_note=whole.space_note,
        licence=whole.licence,
        citation=whole.citation,
        source=f"{whole.source}; parts made by brainnet.simulate.parcellation",
    )


def _some(whole: Atlas, n_regions: int) -> tuple[NDArray[np.int32], pd.DataFrame]:
    """Take pairs at even steps from the most to the least damaged."""
    damage = (planted_regions(whole)[list(DAMAGE)] > 0).sum(axis=1).to_numpy()
    left, right = _pairs(whole)
    order = np.lexsort((left, -damage[left]))
    steps = np.linspace(0, len(left) - 1, (n_regions + 1) // 2)
    chosen = order[np.rint(steps).astype(int)]
    rows = np.sort(np.concatenate([left[chosen], right[chosen]]))
    if n_regions % 2:
        rows = np.delete(rows, np.flatnonzero(rows == right[chosen[-1]]))
    regions = whole.regions.iloc[rows].reset_index(drop=True)
    data = np.asanyarray(whole.labels_img.dataobj)
    kept = np.where(np.isin(data, regions["index"].to_numpy()), data, 0)
    return kept.astype(np.int32), regions


def _cut(whole: Atlas, n_regions: int) -> tuple[NDArray[np.int32], pd.DataFrame]:
    """Cut regions in parts, pairs alike."""
    data = np.asanyarray(whole.labels_img.dataobj)
    counts = np.bincount(data.ravel().astype(np.int64))[whole.indices]
    left, right = _pairs(whole)
    parts = _parts(whole, counts, left, right, n_regions)
    labels, rows, places = np.zeros(data.shape, dtype=np.int32), [], _places(data, whole.indices)
    for one, other in zip(left, right, strict=True):
        seeds: Floats = np.empty((0, 3))
        for row, mirror in ((one, 1.0), (other, -1.0)):
            place = places[row]
            points = apply_affine(whole.labels_img.affine, np.stack(place, axis=1))
            given = seeds * np.array([mirror, 1.0, 1.0]) if len(seeds) == parts[row] else None
            part, seeds = _divide(points, int(parts[row]), given)
            first = 1000 * (int(row) + 1)
            labels[place] = first + part
            rows += [
                _row(whole.regions.iloc[row], first, number, points[part == number], parts[row])
                for number in range(int(parts[row]))
            ]
    regions = pd.DataFrame(rows).sort_values("index").reset_index(drop=True)
    return labels, regions[whole.regions.columns.tolist()]


def _places(
    data: NDArray[np.int32], indices: NDArray[np.int64]
) -> list[tuple[NDArray[np.int64], ...]]:
    """Voxels of each region."""
    flat = np.flatnonzero(data)
    label = data.ravel()[flat]
    flat = flat[np.argsort(label, kind="stable")]
    starts = np.searchsorted(np.sort(label), indices)
    ends = np.searchsorted(np.sort(label), indices, side="right")
    return [
        np.unravel_index(flat[start:end], data.shape)
        for start, end in zip(starts, ends, strict=True)
    ]


def _pairs(whole: Atlas) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the left regions and of their partners."""
    names = [re.sub("^(Left|Right|ctx-lh|ctx-rh)-", "", name) for name in whole.names]
    side = whole.regions["hemisphere"].to_numpy()
    left = np.flatnonzero(side == "L")
    partner = {names[row]: row for row in np.flatnonzero(side == "R")}
    return left, np.array([partner[names[row]] for row in left])


def _parts(
    whole: Atlas,
    counts: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    n_regions: int,
) -> NDArray[np.int64]:
    """Number of parts of each region: always to the pair with the most voxels a part."""
    kind = whole.regions["kind"].to_numpy()
    size = counts * np.where(kind == "cerebellum", _CEREBELLUM, 1.0)
    pair = size[left] + size[right]
    parts = np.ones(len(left), dtype=np.int64)
    for _ in range((n_regions - whole.n_regions) // 2):
        parts[np.argmax(pair / parts)] += 1
    dealt = np.ones(whole.n_regions, dtype=np.int64)
    dealt[left] = dealt[right] = parts
    if n_regions % 2:
        dealt[left[np.argmax(pair / parts)]] += 1
    return dealt


def _divide(points: Floats, n_parts: int, seeds: Floats | None) -> tuple[NDArray[np.int64], Floats]:
    """Part of each point, and the seeds: those given, or k-means of a sample of the points."""
    if n_parts == 1:
        return np.zeros(len(points), dtype=np.int64), points.mean(axis=0, keepdims=True)
    if seeds is None:
        sample = points[:: max(1, len(points) // _SAMPLE)]
        seeds = sample[np.linspace(0, len(sample) - 1, n_parts).astype(int)]
        for _ in range(_ROUNDS):
            seeds = _centres(sample, cKDTree(seeds).query(sample)[1], seeds)
    while True:  # mirrored seeds may leave a part without voxels: start it in the largest
        part = np.asarray(cKDTree(seeds).query(points)[1], dtype=np.int64)
        used = np.bincount(part, minlength=n_parts)
        if used.min() > 0:
            return part, seeds
        largest = points[part == used.argmax()]
        seeds = seeds.copy()
        seeds[used.argmin()] = largest[len(largest) // 3]


def _centres(points: Floats, part: NDArray[np.int64], seeds: Floats) -> Floats:
    """Mean of the points of each part; the seed itself where it has none."""
    count = np.bincount(part, minlength=len(seeds))[:, np.newaxis]
    total = np.stack([np.bincount(part, axis, len(seeds)) for axis in points.T], axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), seeds)


def _row(
    region: pd.Series, first: int, number: int, points: Floats, n_parts: int
) -> dict[str, object]:
    """Row of the region table of one part."""
    centre = points.mean(axis=0).round(2)
    suffix = f"_{number + 1}" if n_parts > 1 else ""
    own = {"index": first + number, "name": f"{region['name']}{suffix}"}
    whole = {str(column): value for column, value in region.items()}
    return whole | own | dict(zip("xyz", centre.tolist(), strict=True))
