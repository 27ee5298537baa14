"""What the simulated disease does where: one table, read by every simulated modality.

The regions are those of the Desikan-Killiany atlas with the FreeSurfer subcortical structures.
Any other atlas receives the values by overlap (:func:`regional`), so that one simulated disease
stands behind the grey matter, the metabolism and the networks of a subject.

Sources
-------
``uptake``: FDG uptake relative to the cerebellar cortex, upper quartile of each region in the
group-mean FDG template of DlutMedimgGroup/Chinese-Brain-PET-Template (MIT licence) after
registration to the MNI grey matter; left and right averaged.
``atrophy``, ``hypometabolism``: ordered after Braak and Braak (1991), Acta Neuropathol 82:239,
Landau et al. (2011), Neurobiol Aging 32:1207 and Herholz et al. (2002), NeuroImage 17:302; the
numbers are choices of this simulation, not measurements.
``system``: the usual functional system of the region, after Yeo et al. (2011),
J Neurophysiol 106:1125. ``hub``: after Buckner et al. (2009), J Neurosci 29:1860.
"""

from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from brainnet.atlas import Atlas, load

STAGES: Final = ("CN", "SMC", "EMCI", "LMCI", "AD")
SEVERITY: Final = {"CN": 0.0, "SMC": 0.12, "EMCI": 0.35, "LMCI": 0.65, "AD": 1.0}
WHITE_UPTAKE: Final = 0.58
CSF_UPTAKE: Final = 0.15

# name: (left label, right label, uptake, atrophy, hypometabolism, system, hub)
# atrophy: relative vulnerability of grey matter, 0 to 1. hypometabolism: share of the uptake
# lost at severity 1. hub: 0 none, 1 hub, 2 hub that the disease damages.
_ROWS: Final = """
bankssts 1001 2001 1.21 0.50 0.20 default 0
caudalanteriorcingulate 1002 2002 1.08 0.10 0.03 salience 0
caudalmiddlefrontal 1003 2003 1.35 0.15 0.08 control 0
cuneus 1005 2005 1.44 0.00 0.02 visual 0
entorhinal 1006 2006 0.79 1.00 0.20 limbic 0
fusiform 1007 2007 1.13 0.50 0.12 visual 0
inferiorparietal 1008 2008 1.31 0.50 0.25 default 2
inferiortemporal 1009 2009 1.13 0.60 0.18 limbic 0
isthmuscingulate 1010 2010 1.37 0.50 0.28 default 2
lateraloccipital 1011 2011 1.22 0.05 0.04 visual 0
lateralorbitofrontal 1012 2012 1.14 0.20 0.05 limbic 0
lingual 1013 2013 1.26 0.05 0.03 visual 0
medialorbitofrontal 1014 2014 1.19 0.20 0.05 default 0
middletemporal 1015 2015 1.23 0.60 0.20 default 0
parahippocampal 1016 2016 0.93 0.70 0.15 limbic 0
paracentral 1017 2017 1.18 0.00 0.00 motor 0
parsopercularis 1018 2018 1.28 0.15 0.06 control 0
parsorbitalis 1019 2019 1.25 0.20 0.06 default 0
parstriangularis 1020 2020 1.29 0.15 0.06 control 0
pericalcarine 1021 2021 1.44 0.00 0.00 visual 0
postcentral 1022 2022 1.16 0.00 0.00 motor 0
posteriorcingulate 1023 2023 1.40 0.40 0.30 default 2
precentral 1024 2024 1.19 0.00 0.00 motor 0
precuneus 1025 2025 1.47 0.50 0.26 default 2
rostralanteriorcingulate 1026 2026 1.05 0.10 0.03 default 0
rostralmiddlefrontal 1027 2027 1.35 0.20 0.08 control 0
superiorfrontal 1028 2028 1.21 0.15 0.06 default 1
superiorparietal 1029 2029 1.13 0.20 0.12 attention 1
superiortemporal 1030 2030 1.11 0.35 0.08 motor 0
supramarginal 1031 2031 1.22 0.40 0.18 salience 0
frontalpole 1032 2032 1.21 0.15 0.06 control 0
temporalpole 1033 2033 0.80 0.60 0.12 limbic 0
transversetemporal 1034 2034 1.31 0.10 0.03 motor 0
insula 1035 2035 1.04 0.20 0.04 salience 1
thalamus 10 49 1.16 0.10 0.03 subcortical 1
caudate 11 50 1.10 0.10 0.02 subcortical 0
putamen 12 51 1.37 0.10 0.00 subcortical 0
pallidum 13 52 0.95 0.05 0.00 subcortical 0
hippocampus 17 53 0.84 1.00 0.20 limbic 0
amygdala 18 54 0.74 0.80 0.12 limbic 0
accumbens 26 58 1.08 0.10 0.02 subcortical 0
cerebellum 8 47 1.00 0.00 0.00 cerebellar 0
"""
_OTHER_UPTAKE: Final = {16: 0.76, 28: 0.88, 60: 0.88, 1000: 0.85, 2000: 0.85}


@lru_cache(maxsize=1)
def region_table() -> pd.DataFrame:
    """Return the simulated disease by Desikan-Killiany region.

    Returns
    -------
    DataFrame
        One row for each of the 84 labels, indexed by FreeSurfer label number, columns ``name``,
        ``hemisphere``, ``uptake`` (FDG relative to the cerebellar cortex), ``atrophy`` (0 to 1),
        ``hypometabolism`` (share of the uptake lost in AD), ``system`` and ``hub`` (0, 1, or 2
        for a hub that the disease damages).

    Examples
    --------
    >>> region_table().loc[17, ["name", "hemisphere", "system"]].tolist()
    ['hippocampus', 'L', 'limbic']
    """
    rows = []
    for line in _ROWS.split("\n")[1:-1]:
        name, left, right, uptake, atrophy, loss, system, hub = line.split()
        values = (name, float(uptake), float(atrophy), float(loss), system, int(hub))
        rows += [(int(left), "L", *values), (int(right), "R", *values)]
    columns = ["index", "hemisphere", "name", "uptake", "atrophy", "hypometabolism"]
    return pd.DataFrame(rows, columns=[*columns, "system", "hub"]).set_index("index").sort_index()


def severity(stage: str) -> float:
    """Return how far the simulated disease has gone at a stage, 0 (CN) to 1 (AD).

    Examples
    --------
    >>> [severity(stage) for stage in ("CN", "EMCI", "LMCI", "AD")]
    [0.0, 0.35, 0.65, 1.0]
    """
    if stage not in SEVERITY:
        raise ValueError(f"stage must be one of {', '.join(STAGES)}; got {stage!r}.")
    return SEVERITY[stage]


def uptake_by_label(stage: str = "CN") -> dict[int, float]:
    """Return FDG uptake relative to the cerebellar cortex by Desikan-Killiany label.

    Parameters
    ----------
    stage : str
        CN, SMC, EMCI, LMCI or AD: uptake falls by ``hypometabolism`` times the severity.

    Returns
    -------
    dict
        Label number to uptake ratio; the 84 regions, the brainstem and the ventral diencephalon.

    Examples
    --------
    >>> uptake_by_label("CN")[1025] > uptake_by_label("AD")[1025]
    True
    """
    table = region_table()
    values = table["uptake"] * (1.0 - severity(stage) * table["hypometabolism"])
    return dict(zip(values.index.tolist(), values.tolist(), strict=True)) | _OTHER_UPTAKE


def regional(atlas: Atlas) -> pd.DataFrame:
    """Return the disease table by region of any atlas in MNI space.

    Parameters
    ----------
    atlas : Atlas
        Each of its voxels takes the row of the nearest Desikan-Killiany region; parts of those
        regions (:func:`brainnet.simulate.parcellation.parcellation`) take their region's.

    Returns
    -------
    DataFrame
        One row a region, in the order of the atlas, columns as :func:`region_table` without
        ``name`` and ``hemisphere``: means over the region's voxels for the numbers, the most
        frequent value for ``system`` and ``hub``.
    """
    table = region_table()
    numbers = ["uptake", "atrophy", "hypometabolism"]
    if atlas.name == "DesikanKilliany":
        return table.loc[atlas.indices, [*numbers, "system", "hub"]]
    whole = _parents(atlas)
    if whole is not None:
        return table.loc[whole, [*numbers, "system", "hub"]].set_axis(atlas.indices)
    return _overlap(atlas).copy()


def _parents(atlas: Atlas) -> list[int] | None:
    """Desikan-Killiany label that each region is a part of; None for any other atlas."""
    if not atlas.name.startswith("DesikanKilliany"):
        return None
    label = _labels()
    whole = [name.split("_")[0] for name in atlas.names]
    return [label[name] for name in whole] if set(whole) <= set(label) else None


@lru_cache(maxsize=1)
def _labels() -> dict[str, int]:
    """Label of each Desikan-Killiany region by its name in the atlas."""
    source = load("DesikanKilliany")
    return dict(zip(source.names, source.indices.tolist(), strict=True))


@lru_cache(maxsize=8)
def _overlap(atlas: Atlas) -> pd.DataFrame:
    """Disease table of another atlas, worked out once."""
    table, numbers = region_table(), ["uptake", "atrophy", "hypometabolism"]
    labels, nearest = _nearest_rows(atlas)
    voxels = table.iloc[nearest].assign(region=labels)
    means = voxels.groupby("region")[numbers].mean()
    modes = voxels.groupby("region")[["system", "hub"]].agg(_most_frequent)
    return means.join(modes).loc[atlas.indices]


def _most_frequent(column: pd.Series) -> Any:
    """Return the first of the most frequent values."""
    return column.mode().iloc[0]


def _nearest_rows(atlas: Atlas) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Label of every voxel of the atlas, and the row of the nearest Desikan-Killiany region."""
    table = region_table()
    source = load("DesikanKilliany")
    source_labels = np.asanyarray(source.labels_img.dataobj).astype(np.int64)
    known = np.isin(source_labels, table.index.to_numpy())
    _, nearest = ndimage.distance_transform_edt(~known, return_indices=True)
    data = np.asanyarray(atlas.labels_img.dataobj)
    voxels = np.argwhere(np.isin(data, atlas.indices))
    matrix = np.linalg.inv(source.labels_img.affine) @ atlas.labels_img.affine
    points = np.rint(voxels @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.int64)
    points = np.clip(points, 0, np.array(source_labels.shape) - 1)
    found = source_labels[tuple(nearest[(slice(None), *points.T)])]
    return data[tuple(voxels.T)].astype(np.int64), table.index.get_indexer(found)
