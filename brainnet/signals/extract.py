"""Voxels of each region of an atlas to one number, one series or one sample per region.

Every result has all N regions in the order of ``indices``. A region of which too little was
measured is NaN (an empty sample in `voxel_samples`), never dropped and never zero.

A voxel was *measured* where ``mask_img`` (if given) is not zero and the image is finite there,
at every time point. *Coverage* is measured voxels / all voxels of the region on this grid; a
region without a voxel on this grid has coverage 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import ArrayLike, NDArray

MIN_COVERAGE = 0.5
MIN_VOXELS = 20

Floats = NDArray[np.float64]


def region_timeseries(
    img: Nifti1Image,
    labels_img: Nifti1Image,
    indices: ArrayLike,
    *,
    mask_img: Nifti1Image | None = None,
    min_coverage: float = MIN_COVERAGE,
) -> tuple[Floats, Floats]:
    r"""Return the mean series of every region over its measured voxels.

    .. math:: s_{tr} = \frac{1}{|M_r|} \sum_{v \in M_r} y_{tv}

    with :math:`M_r` the measured voxels of region r.

    Parameters
    ----------
    img : image (x, y, z, n_timepoints)
        Any unit.
    labels_img : image (x, y, z)
        Whole numbers, 0 outside; same grid as ``img``.
    indices : (n_regions,) array of int
        Labels in the order of the result, each positive and once. Other labels are ignored.
    mask_img : image (x, y, z), optional
        Not zero where a voxel was measured. Without it every finite voxel counts as measured,
        so give it when voxels outside the field of view were filled with zeros.
    min_coverage : float in 0..1
        A region with less coverage is NaN.

    Returns
    -------
    timeseries : (n_timepoints, n_regions) array
        In the unit of ``img``; NaN for a region that was not measured.
    coverage : (n_regions,) array
        In 0..1.

    Raises
    ------
    ValueError
        If ``img`` is not 4-D, the grids differ, labels are not whole numbers, or ``indices``
        repeat or are not positive.

    Examples
    --------
    >>> import numpy as np, nibabel as nib
    >>> series = np.zeros((2, 1, 1, 3), "f4"); series[0] = [1, 2, 3]; series[1] = [3, 4, 5]
    >>> labels = np.full((2, 1, 1), 7, "i4")
    >>> timeseries, coverage = region_timeseries(
    ...     nib.Nifti1Image(series, np.eye(4)), nib.Nifti1Image(labels, np.eye(4)), [7, 9])
    >>> timeseries.T.tolist(), coverage.tolist()
    ([[2.0, 3.0, 4.0], [nan, nan, nan]], [1.0, 0.0])
    """
    _check_ndim(img, 4)
    assigned, n_regions = _assign(labels_img, indices, img, mask_img)
    inside = assigned >= 0
    data = np.asanyarray(img.dataobj)[inside]
    region = assigned[inside]
    measured = _mask(mask_img, inside) & np.isfinite(data).all(axis=-1)
    coverage = _coverage(region, measured, n_regions)
    counts = np.bincount(region[measured], minlength=n_regions)
    sums = _sums(np.moveaxis(data[measured], -1, 0), region[measured], n_regions)
    return _divide(sums, counts, coverage >= min_coverage), coverage


def region_values(
    img: Nifti1Image,
    labels_img: Nifti1Image,
    indices: ArrayLike,
    *,
    mask_img: Nifti1Image | None = None,
    min_coverage: float = MIN_COVERAGE,
) -> tuple[Floats, Floats]:
    """Return the mean value of every region over its measured voxels.

    Parameters
    ----------
    img : image (x, y, z)
        Any unit, for example SUVR.
    labels_img, indices, mask_img, min_coverage
        As in `region_timeseries`.

    Returns
    -------
    values : (n_regions,) array
        In the unit of ``img``; NaN for a region that was not measured.
    coverage : (n_regions,) array
        In 0..1.

    Raises
    ------
    ValueError
        As in `region_timeseries`, and if ``img`` is not 3-D.

    Examples
    --------
    >>> import numpy as np, nibabel as nib
    >>> uptake = nib.Nifti1Image(np.array([1, 2, np.nan, 9], "f4").reshape(4, 1, 1), np.eye(4))
    >>> labels = nib.Nifti1Image(np.array([1, 1, 1, 2], "i4").reshape(4, 1, 1), np.eye(4))
    >>> values, coverage = region_values(uptake, labels, [2, 1])
    >>> values.tolist(), coverage.round(2).tolist()
    ([9.0, 1.5], [1.0, 0.67])
    """
    _check_ndim(img, 3)
    region, values, measured, n_regions = _measured_voxels(img, labels_img, indices, mask_img)
    coverage = _coverage(region, measured, n_regions)
    counts = np.bincount(region[measured], minlength=n_regions)
    sums = _sums(values[measured][None], region[measured], n_regions)
    return _divide(sums, counts, coverage >= min_coverage)[0], coverage


def voxel_samples(
    img: Nifti1Image,
    labels_img: Nifti1Image,
    indices: ArrayLike,
    *,
    mask_img: Nifti1Image | None = None,
    min_voxels: int = MIN_VOXELS,
    min_coverage: float = MIN_COVERAGE,
) -> tuple[list[Floats], Floats]:
    """Return the values of the measured voxels of every region, for a density per region.

    Parameters
    ----------
    img : image (x, y, z)
        Any unit.
    labels_img, indices, mask_img, min_coverage
        As in `region_timeseries`.
    min_voxels : int
        A region with fewer measured voxels counts as not measured: too few for a density.

    Returns
    -------
    samples : list of n_regions arrays
        In the unit of ``img`` and in voxel order (C order of the grid); of length 0 for a region
        that was not measured.
    coverage : (n_regions,) array
        In 0..1.

    Raises
    ------
    ValueError
        As in `region_timeseries`, and if ``img`` is not 3-D.

    Examples
    --------
    >>> import numpy as np, nibabel as nib
    >>> uptake = nib.Nifti1Image(np.array([1, 2, 8, 9], "f4").reshape(4, 1, 1), np.eye(4))
    >>> labels = nib.Nifti1Image(np.array([1, 1, 1, 2], "i4").reshape(4, 1, 1), np.eye(4))
    >>> samples, _ = voxel_samples(uptake, labels, [1, 2], min_voxels=2)
    >>> [each.tolist() for each in samples]
    [[1.0, 2.0, 8.0], []]
    """
    _check_ndim(img, 3)
    region, values, measured, n_regions = _measured_voxels(img, labels_img, indices, mask_img)
    coverage = _coverage(region, measured, n_regions)
    counts = np.bincount(region[measured], minlength=n_regions)
    order = np.argsort(region[measured], kind="stable")
    samples = np.split(values[measured][order].astype(np.float64), np.cumsum(counts)[:-1])
    enough = (coverage >= min_coverage) & (counts >= max(min_voxels, 1))
    return [each if ok else np.empty(0) for each, ok in zip(samples, enough, strict=True)], coverage


def region_volumes(
    probability_img: Nifti1Image, labels_img: Nifti1Image, indices: ArrayLike
) -> Floats:
    r"""Return the volume of tissue in every region, in ml.

    .. math:: V_r = \frac{v}{1000} \sum_{i \in r} p_i

    with v the volume of a voxel in mm³. A sum cannot stand in for a voxel that is missing: a
    region with a NaN voxel, or without a voxel on this grid, is NaN.

    Parameters
    ----------
    probability_img : image (x, y, z)
        Share of the tissue in each voxel, 0..1 (a mask will do). For maps in template space that
        were multiplied by a Jacobian, values above 1 are right: pass those as they are.
    labels_img, indices
        As in `region_timeseries`.

    Returns
    -------
    (n_regions,) array
        In ml.

    Raises
    ------
    ValueError
        As in `region_timeseries`, and if ``probability_img`` is not 3-D or has a negative value.

    Examples
    --------
    >>> import numpy as np, nibabel as nib
    >>> grid = np.diag([2.0, 2.0, 2.0, 1.0])
    >>> half = nib.Nifti1Image(np.full((10, 5, 5), 0.5, "f4"), grid)
    >>> float(region_volumes(half, nib.Nifti1Image(np.ones((10, 5, 5), "i4"), grid), [1])[0])
    1.0
    """
    _check_ndim(probability_img, 3)
    region, share, measured, n_regions = _measured_voxels(probability_img, labels_img, indices)
    lowest = float(share[measured].min(initial=0.0))
    if lowest < -1e-6:
        raise ValueError(
            f"probability_img must be non-negative; got minimum {lowest:.3g} inside the regions. "
            "Give the share of tissue per voxel, not an intensity image."
        )
    edges = np.asarray(probability_img.affine, dtype=np.float64)[:3, :3].T
    voxel_ml = abs(float(np.dot(np.cross(edges[0], edges[1]), edges[2]))) / 1000
    sums = _sums(share[measured][None], region[measured], n_regions)[0]
    return np.where(_coverage(region, measured, n_regions) == 1, sums * voxel_ml, np.nan)


def _measured_voxels(
    img: Nifti1Image,
    labels_img: Nifti1Image,
    indices: ArrayLike,
    mask_img: Nifti1Image | None = None,
) -> tuple[NDArray[np.intp], NDArray[Any], NDArray[np.bool_], int]:
    """Position of the region, value and whether measured, of each voxel inside a region."""
    assigned, n_regions = _assign(labels_img, indices, img, mask_img)
    inside = assigned >= 0
    values = np.asanyarray(img.dataobj)[inside]
    return assigned[inside], values, _mask(mask_img, inside) & np.isfinite(values), n_regions


def _assign(
    labels_img: Nifti1Image,
    indices: ArrayLike,
    img: Nifti1Image,
    mask_img: Nifti1Image | None,
) -> tuple[NDArray[np.intp], int]:
    """Position in ``indices`` of each voxel's label, -1 where there is none; and their number."""
    for name, other in (("labels_img", labels_img), ("mask_img", mask_img)):
        if other is not None:
            _check_grid(img, name, other)
    wanted = _check_indices(indices)
    labels = np.asanyarray(labels_img.dataobj)
    if not np.issubdtype(labels.dtype, np.integer):
        whole = np.isfinite(labels).all() and bool((labels == np.rint(labels)).all())
        if not whole:
            raise ValueError(
                "labels_img must hold whole numbers; got fractions or NaN. "
                "Resample labels with nearest-neighbour interpolation."
            )
        labels = labels.astype(np.int64)
    order = np.argsort(wanted)
    assigned = np.full(labels.shape, -1, dtype=np.intp)
    inside = np.isin(labels, wanted)
    assigned[inside] = order[np.searchsorted(wanted, labels[inside], sorter=order)]
    return assigned, wanted.size


def _check_indices(indices: ArrayLike) -> NDArray[np.int64]:
    wanted = np.asarray(indices)
    if wanted.ndim != 1 or wanted.size == 0 or not np.issubdtype(wanted.dtype, np.integer):
        raise ValueError(
            f"indices must be a non-empty list of whole numbers; got shape {wanted.shape}, "
            f"type {wanted.dtype}. Give Atlas.indices."
        )
    if wanted.min() < 1:
        raise ValueError(f"indices must be positive; got {wanted.min()}. 0 is the background.")
    if np.unique(wanted).size != wanted.size:
        values, counts = np.unique(wanted, return_counts=True)
        raise ValueError(
            f"indices must not repeat; got {values[counts > 1].tolist()} more than once. "
            "Give each region once."
        )
    return wanted.astype(np.int64)


def _check_ndim(img: Nifti1Image, ndim: int) -> None:
    if len(img.shape) != ndim:
        raise ValueError(f"img must be {ndim}-D; got shape {img.shape}. Take one image or series.")


def _check_grid(img: Nifti1Image, name: str, other: Nifti1Image) -> None:
    same = img.shape[:3] == other.shape and np.allclose(img.affine, other.affine, atol=1e-3)
    if not same:
        raise ValueError(
            f"{name} must lie on the grid of img; got {_grid(other)} against {_grid(img)}. "
            "Resample one onto the other first."
        )


def _grid(img: Nifti1Image) -> str:
    return f"shape {img.shape[:3]} affine {np.round(np.asarray(img.affine)[:3], 3).tolist()}"


def _mask(mask_img: Nifti1Image | None, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if mask_img is None:
        return np.ones(int(inside.sum()), dtype=bool)
    mask = np.asanyarray(mask_img.dataobj)[inside]
    return np.asarray((mask != 0) & np.isfinite(mask))


def _coverage(region: NDArray[np.intp], measured: NDArray[np.bool_], n_regions: int) -> Floats:
    total = np.bincount(region, minlength=n_regions)
    found = np.bincount(region[measured], minlength=n_regions)
    return np.divide(found, total, out=np.zeros(n_regions), where=total > 0)


def _sums(rows: Iterable[NDArray[Any]], region: NDArray[np.intp], n_regions: int) -> Floats:
    """Sum each row (one volume's voxels) by region, in double precision."""
    return np.array([np.bincount(region, weights=row, minlength=n_regions) for row in rows])


def _divide(sums: Floats, counts: NDArray[np.intp], enough: NDArray[np.bool_]) -> Floats:
    """Means (rows, n_regions), NaN where not enough was measured."""
    keep = np.broadcast_to(enough & (counts > 0), sums.shape)
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=keep)
    return means
