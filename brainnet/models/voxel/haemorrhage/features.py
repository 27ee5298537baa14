"""Numbers of a haemorrhage for models of expansion and outcome: ours, radiomics, the network's.

Of one scan at a time, nothing learned, so they may be taken before a cross-validation.
"""

import logging
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage, stats

from brainnet.imaging.resample import resample, resample_labels, target_grid
from brainnet.models.voxel.haemorrhage.location import kinds_of
from brainnet.models.voxel.haemorrhage.quantities import irregularity
from brainnet.models.voxel.segment import Segmenter

__all__ = ["Read", "has_radiomics", "lesion_features", "network_features", "scan_features"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_GRID = 1.0  # mm, on which everything but the network looks at a lesion
_MARGIN = 6  # voxels around a lesion
_SMOOTH = 1.5  # mm, standard deviation: noise of single voxels is no pocket
_DARK = 15.0  # Hounsfield units below the upper quartile of a lesion's inside
_RIM = 2.0  # mm at the edge of a lesion that partial volume makes dark
_LEAST = 27  # voxels of an inside, else all of a lesion is taken
_NEAR = 20.0  # mm within which smaller bleeds count as satellites
_BIN = 5.0  # Hounsfield units of a grey level of radiomics
_RANGE = (0.0, 200.0)  # Hounsfield units of blood, wide
#: Families of the image biomarker standardisation initiative that are taken.
_FAMILIES = ("morph", "stat", "ih", "glcm", "glrlm", "glszm", "ngtdm")
_PREFIXES = ("morph_", "stat_", "ih_", "cm_", "rlm_", "szm_", "ngt_")
_EXTRA = (
    "radiomics: the extra is not installed (pip install 'brainnet[radiomics]'); these columns are "
    "left out"
)


class Read(Protocol):
    """What features are taken of: a reading of one head CT."""

    @property
    def img(self) -> Nifti1Image:
        """Hounsfield units."""

    @property
    def labels_img(self) -> Nifti1Image:
        """Numbers of the table ``haemorrhage``, on the same grid."""

    @property
    def lesions_img(self) -> Nifti1Image:
        """Numbers of lesions, 0 where there is none, on the same grid."""

    @property
    def findings(self) -> Mapping[str, Any]:
        """What is read off it; see :func:`scan_features` for what of it is taken."""


def has_radiomics() -> bool:
    """Say whether the extra ``radiomics`` is installed.

    Examples
    --------
    >>> has_radiomics() in (True, False)
    True
    """
    return find_spec("mirp") is not None


def lesion_features(
    reading: Read, *, segmenter: Segmenter | None = None, radiomics: bool | None = None
) -> pd.DataFrame:
    """Return the features of each lesion of a scan.

    Parameters
    ----------
    reading : Read
    segmenter : Segmenter, optional
        Whose network's own features are added (:func:`network_features`).
    radiomics : bool, optional
        Whether to add radiomics by the names of the image biomarker standardisation initiative,
        ``ibsi_...``, on voxels of 1 mm, in grey levels of 5 Hounsfield units. By default where
        the extra is installed.

    Returns
    -------
    DataFrame
        A row a lesion, its number as the index; ``kind``, then numbers with the unit in the
        column's name:

        ``volume_ml``; ``mean_hu``, ``sd_hu``, ``p10_hu``, ``median_hu``, ``p90_hu``,
        ``skewness`` of the inside; ``heterogeneity_hu``, the deviation that is left after a
        smoothing by 1.5 mm; ``dark_share``, the share of the inside more than 15 HU below its
        upper quartile (hypodensities, swirl); ``level_hu``, by how much what lies behind the best
        coronal plane is denser than what lies before it, and ``level_share`` of the variance that
        this explains (a fluid level; 0 to 1); ``irregularity`` (0 for a ball, to 1);
        ``satellites``, smaller lesions of its kind within 20 mm (islands).

        ``attrs["left_out"]`` says what could not be taken.

    Raises
    ------
    ValueError
        Radiomics are asked for and the extra is not installed.

    References
    ----------
    Morotti et al. (2019), Standards for detecting, interpreting, and reporting noncontrast
    computed tomographic markers of intracerebral hemorrhage expansion, Ann Neurol 86:480.
    Zwanenburg et al. (2020), The image biomarker standardization initiative, Radiology 295:328.
    Zwanenburg and Loeck (2024), MIRP, J Open Source Softw 9:6413.
    """
    if radiomics and not has_radiomics():
        raise ValueError(
            "radiomics must be False where the extra is not installed; got True. Run "
            "pip install 'brainnet[radiomics]', or leave it out."
        )
    with_them = has_radiomics() if radiomics is None else radiomics
    lesions = np.asarray(reading.lesions_img.dataobj)
    kinds = kinds_of(np.asarray(reading.labels_img.dataobj), lesions)
    rows = {}
    for number in kinds:
        units, mask = _part(reading, number)
        voxel_ml = abs(np.linalg.det(np.asarray(reading.img.affine)[:3, :3])) / 1000
        size = {"volume_ml": float((lesions == number).sum() * voxel_ml)}
        rows[number] = size | _own(units, mask) | (_radiomics(units, mask) if with_them else {})
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("number")
    table.insert(0, "kind", pd.Series(kinds, dtype=object))
    table.insert(1, "satellites", _satellites(lesions, reading.lesions_img, kinds))
    if segmenter is not None:
        table = table.join(network_features(reading, segmenter))
    table.attrs["left_out"] = [] if with_them or radiomics is False else [_EXTRA]
    return table


def scan_features(
    reading: Read, *, segmenter: Segmenter | None = None, radiomics: bool | None = None
) -> pd.Series:
    """Return the features of a scan, those of its largest lesion among them.

    Parameters
    ----------
    reading : Read
    segmenter, radiomics
        As in :func:`lesion_features`.

    Returns
    -------
    Series
        ``<kind>_ml`` of each kind, of oedema and in total, ``midline_shift_mm``, ``evans_index``,
        ``graeb``, ``oedema_ratio``, ``cisterns_ml`` of the findings, NaN where not assessed;
        ``n_lesions``; ``depth_mm`` and, as 0 or 1, ``deep`` and ``infratentorial`` of the largest
        lesion in the brain, or of the largest of all where none is in the brain; then that
        lesion's features, ``lesion_...``, all but the volume 0 or NaN where there is none.
        ``attrs["left_out"]`` as of lesions.
    """
    findings = reading.findings
    found = {
        f"{kind}_ml": _number(each.get("value")) for kind, each in findings["volumes_ml"].items()
    }
    found |= {
        "midline_shift_mm": _number(findings["midline_shift"]["mm"]),
        "evans_index": _number(findings["ventricles"]["evans_index"]),
        "graeb": _number(findings["ventricles"]["graeb"]),
        "oedema_ratio": _number(findings["oedema_ratio"]),
        "cisterns_ml": _number(findings["cisterns"]["open_ml"]),
        "n_lesions": float(len(findings["lesions"])),
    }
    table = lesion_features(reading, segmenter=segmenter, radiomics=radiomics)
    number = _main(table)
    said = {each["number"]: each for each in findings["lesions"]}.get(number, {})
    compartment = said.get("compartment")
    found["depth_mm"] = _number(said.get("depth_mm"))
    found["deep"] = float(compartment == "deep")
    found["infratentorial"] = float(compartment in ("cerebellum", "brain-stem"))
    if number is not None:
        own = table.drop(columns="kind").loc[number]
        found |= {f"lesion_{name}": _number(value) for name, value in own.items()}
    else:
        found["lesion_volume_ml"] = 0.0
    series = pd.Series(found, dtype=np.float64)
    series.attrs["left_out"] = table.attrs["left_out"]
    return series


def network_features(reading: Read, segmenter: Segmenter) -> pd.DataFrame:
    """Return what the segmenter's network itself makes of each lesion.

    The activations of its bottleneck, where it sees farthest, over the cells that a lesion fills:
    their mean, weighted by the lesion's share of each, and their largest.

    Parameters
    ----------
    reading : Read
    segmenter : Segmenter
        Of the task ``haemorrhage``; its network has a ``bottleneck``, as a DynUNet.

    Returns
    -------
    DataFrame
        A row a lesion; ``network_mean_000`` and on, ``network_max_000`` and on, without a unit.
        They mean something only to models that were trained on the same network.

    Raises
    ------
    ValueError
        The network has no bottleneck.
    """
    import torch
    from torch.nn.functional import adaptive_avg_pool3d

    from brainnet.models.voxel.haemorrhage.scan import brightness

    bottleneck = getattr(segmenter.network, "bottleneck", None)
    if not isinstance(bottleneck, torch.nn.Module):
        raise ValueError(
            "segmenter must have a network with a bottleneck; got a "
            f"{type(segmenter.network).__name__}. Take a DynUNet."
        )
    units, lesions = _as_seen(reading, segmenter.voxel_size)
    seen: list[torch.Tensor] = []
    handle = bottleneck.register_forward_hook(lambda _m, _i, out: seen.append(out.detach()))
    try:
        with torch.inference_mode():
            segmenter.network.eval()(brightness(torch.from_numpy(units))[None, None])
    finally:
        handle.remove()
    field = seen[0][0].float()  # (n_features, nx, ny, nz)
    _, nx, ny, nz = field.shape
    rows = {}
    for number in np.unique(lesions[lesions > 0]).tolist():
        mask = torch.from_numpy((lesions == number).astype(np.float32))[None]
        share = adaptive_avg_pool3d(mask, (nx, ny, nz))[0]
        mean = (field * share).sum(dim=(1, 2, 3)) / share.sum()
        most = field[:, share > 0.1 * share.max()].amax(dim=1)
        rows[int(number)] = {
            f"network_{name}_{place:03d}": float(value)
            for name, values in (("mean", mean), ("max", most))
            for place, value in enumerate(values)
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("number")


def _as_seen(reading: Read, voxel_size: float) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """Return Hounsfield units and lesions on the network's grid, in a field around the head."""
    from brainnet.models.voxel.conform import to_grid
    from brainnet.models.voxel.segment import field_of_view

    units = np.asarray(reading.img.dataobj, dtype=np.float32)
    whole = to_grid(units, np.isfinite(units), np.asarray(reading.img.affine), voxel_size)
    labels = resample_labels(reading.labels_img, Nifti1Image(whole.data, whole.affine))
    ends = np.argwhere(np.asarray(labels.dataobj) > 0)
    ends = np.stack([ends.min(axis=0), ends.max(axis=0) + 1])
    seen = whole.crop(field_of_view(ends.mean(axis=0), ends[1] - ends[0], voxel_size))
    grid_img = Nifti1Image(seen.data, seen.affine)
    lesions = np.asarray(resample_labels(reading.lesions_img, grid_img).dataobj, dtype=np.int16)
    return seen.data, lesions


def _part(reading: Read, number: int) -> tuple[Floats, Mask]:
    """Return Hounsfield units and the mask of a lesion on a grid of 1 mm, RAS, around it."""
    mask = np.asarray(reading.lesions_img.dataobj) == number
    affine = np.asarray(reading.img.affine)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    first = [max(0, each.start - _MARGIN) for each in box]
    part = tuple(slice(a, each.stop + _MARGIN) for a, each in zip(first, box, strict=True))
    moved = affine.copy()
    moved[:3, 3] = affine[:3, :3] @ first + affine[:3, 3]
    units_img = Nifti1Image(np.asarray(reading.img.dataobj, dtype=np.float32)[part], moved)
    grid_img = target_grid(units_img, _GRID)
    share_img = resample(Nifti1Image(mask[part].astype(np.float32), moved), grid_img, order=1)
    share = np.asarray(share_img.dataobj)
    units = np.asarray(resample(units_img, grid_img, order=1).dataobj, dtype=np.float64)
    inside = share >= 0.5
    return units, inside if inside.any() else share == share.max()


def _own(units: Floats, mask: Mask) -> dict[str, float]:
    """Return our own features of one lesion on the grid of 1 mm."""
    depth = ndimage.distance_transform_edt(mask)
    inner = depth > _RIM / _GRID
    inner = inner if inner.sum() >= _LEAST else mask
    values = units[inner]
    smooth = _smoothed(units, mask)
    calm = smooth[inner]
    p10, median, p90 = np.percentile(values, (10, 50, 90))
    level, explained = _level(smooth, inner)
    varies = float(values.std()) > 1e-6
    return {
        "mean_hu": float(values.mean()),
        "sd_hu": float(values.std()),
        "p10_hu": float(p10),
        "median_hu": float(median),
        "p90_hu": float(p90),
        "skewness": float(stats.skew(values)) if varies else 0.0,
        "heterogeneity_hu": float(calm.std()),
        "dark_share": float(np.mean(calm < np.percentile(calm, 75) - _DARK)),
        "level_hu": level,
        "level_share": explained,
        "irregularity": irregularity(mask, (_GRID, _GRID, _GRID)),
    }


def _smoothed(units: Floats, mask: Mask) -> Floats:
    """Return a smoothed lesion into which nothing from outside leaks."""
    weight = ndimage.gaussian_filter(mask.astype(np.float64), _SMOOTH / _GRID)
    total = ndimage.gaussian_filter(np.where(mask, units, 0.0), _SMOOTH / _GRID)
    return np.asarray(total / np.maximum(weight, 1e-6))


def _level(smooth: Floats, inner: Mask) -> tuple[float, float]:
    """Return how much denser a lesion is behind its best coronal plane, and what that explains."""
    y = np.nonzero(inner)[1]
    values = smooth[inner]
    total = float(values.var())
    count = np.bincount(y).astype(np.float64)
    behind, n_behind = np.cumsum(np.bincount(y, weights=values)), np.cumsum(count)
    n = n_behind[-1]
    fits = (n_behind >= 0.15 * n) & (n_behind <= 0.85 * n)
    if total < 1e-9 or not fits.any():
        return 0.0, 0.0
    n_before = n - n_behind[fits]
    apart = behind[fits] / n_behind[fits] - (behind[-1] - behind[fits]) / n_before
    explained = apart**2 * (n_behind[fits] / n) * (n_before / n) / total
    best = int(explained.argmax())
    return float(apart[best]), float(min(1.0, explained[best]))


def _satellites(lesions: NDArray, img: Nifti1Image, kinds: Mapping[int, str]) -> list[float]:
    """Return how many smaller lesions of its kind lie near each, in the order of the kinds."""
    spacing = np.linalg.norm(np.asarray(img.affine)[:3, :3], axis=0)
    sizes = {number: int(np.sum(lesions == number)) for number in kinds}
    found = []
    for number, kind in kinds.items():
        smaller = [each for each, other in kinds.items()
                   if other == kind and sizes[each] < sizes[number]]  # fmt: skip
        if not smaller:
            found.append(0.0)
            continue
        away = ndimage.distance_transform_edt(lesions != number, sampling=spacing)
        near = set(np.unique(lesions[away <= _NEAR]).tolist())
        found.append(float(len(near & set(smaller))))
    return found


def _radiomics(units: Floats, mask: Mask) -> dict[str, float]:
    """Return standardised radiomics of one lesion on the grid of 1 mm."""
    import mirp

    with _quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = mirp.extract_features(
            image=units.astype(np.float32),
            mask=mask.astype(np.uint8),
            image_modality="ct",
            by_slice=False,
            base_feature_families=list(_FAMILIES),
            base_discretisation_method="fixed_bin_size",
            base_discretisation_bin_width=_BIN,
            resegmentation_intensity_range=list(_RANGE),
            num_cpus=1,
        )[0]
    return {
        f"ibsi_{name}": float(table[name].iloc[0])
        for name in table.columns
        if name.startswith(_PREFIXES)
    }


@contextmanager
def _quiet() -> Any:
    """Keep a library's progress out of the log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _main(table: pd.DataFrame) -> int | None:
    """Return the number of the largest lesion in the brain, or of all; None where none is."""
    if table.empty:
        return None
    inside = table[table["kind"] == "intraparenchymal"]
    volumes = (inside if len(inside) else table)["volume_ml"].to_numpy()
    numbers = (inside if len(inside) else table).index.to_numpy()
    return int(numbers[volumes.argmax()])


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
