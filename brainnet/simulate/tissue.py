"""Grey matter and FDG uptake by region of a whole simulated cohort, and their networks.

The numbers are choices of this simulation.
"""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainnet.atlas import Atlas
from brainnet.simulate.scanners import Scanners, smooth_over_regions

__all__ = ["regional_values", "similarity_networks", "tissue_profiles"]

Floats = NDArray[np.float64]

_SPREAD: Final = {"morphological": (0.09, 0.05), "metabolic": (0.09, 0.05)}
"""Relative standard deviation of a region between subjects, and between visits."""
_WHOLE: Final = {"morphological": 0.03, "metabolic": 0.06}  # of the whole brain
_AGEING: Final = {"morphological": 0.004, "metabolic": 0.0025}  # share lost a year where most
_AGE: Final = 72.0
_AGES: Final = {
    "control": 1.0, "default": 0.8, "limbic": 0.8, "salience": 0.8, "subcortical": 0.8,
    "attention": 0.6, "motor": 0.4, "cerebellar": 0.3, "visual": 0.2,
}  # fmt: skip
_SEX: Final = 0.02  # share by which women's frontal and default regions exceed men's
_RANGE: Final = 0.3  # difference of relative values at which similarity is 1/e
_EDGE_NOISE: Final = 0.06
_ICV: Final = 1480.0  # ml, of the brain that the atlas's volumes are taken for
_LEAST: Final = 0.05


def tissue_profiles(
    atlas: Atlas,
    table: pd.DataFrame,
    people: pd.DataFrame,
    lost: Floats,
    scanners: Scanners,
    modality: str,
    rng: np.random.Generator,
) -> Floats:
    """Return each visit's regional grey matter, or FDG uptake, relative to health.

    Parameters
    ----------
    atlas : Atlas
    table : DataFrame
        :func:`brainnet.simulate.damage.planted_regions`.
    people : DataFrame
        One row a visit: ``person``, ``age``, ``sex``, ``site_number``, ``ageing``.
    lost : (n_rows, n_regions) array
        Share that the disease took.
    scanners : Scanners
    modality : {"morphological", "metabolic"}
    rng : Generator

    Returns
    -------
    (n_rows, n_regions) array
        Positive.
    """
    person = people["person"].to_numpy(dtype=np.int64)
    site = people["site_number"].to_numpy(dtype=np.int64)
    which = ("morphological", "metabolic").index(modality)
    between, within = _SPREAD[modality]
    traits = rng.standard_normal((int(person.max()) + 1, atlas.n_regions, 2))
    whole = rng.standard_normal(len(traits))
    states = rng.standard_normal((len(people), atlas.n_regions, 2))
    own = between * smooth_over_regions(atlas, traits)[person]
    own += within * smooth_over_regions(atlas, states)
    own += _WHOLE[modality] * whole[person, np.newaxis]
    own *= scanners.scale[which, site, np.newaxis]
    relative = 1.0 + own + _aged(table, people, modality) + scanners.shift[which, site]
    relative = np.maximum((1.0 - lost) * relative, _LEAST)
    return np.asarray(relative)


def similarity_networks(
    profiles: Floats, blur: Floats, rng: np.random.Generator | None = None
) -> Floats:
    """Return networks whose edges fall with the difference of two regions' values.

    Parameters
    ----------
    profiles : (n_rows, n_regions) array
    blur : (n_rows,) array
        Factor on the difference at which two regions look unlike.
    rng : Generator, optional
        Of the noise of the edges; None gives none.

    Returns
    -------
    (n_rows, n_regions, n_regions) array
        Symmetric, 0 to 1.
    """
    scale = (_RANGE * blur)[:, np.newaxis, np.newaxis]
    networks = np.exp(-np.abs(profiles[:, :, np.newaxis] - profiles[:, np.newaxis, :]) / scale)
    if rng is not None:
        n_regions = profiles.shape[1]
        above = np.triu_indices(n_regions, 1)
        noise = np.zeros((n_regions, n_regions))
        for network in networks:
            noise[above] = rng.normal(0.0, _EDGE_NOISE, len(above[0]))
            network += noise + noise.T
    return np.asarray(np.clip(networks, 0.0, 1.0))


def regional_values(
    atlas: Atlas, table: pd.DataFrame, people: pd.DataFrame, profiles: Floats, modality: str
) -> Floats:
    """Return (n_rows, n_regions) grey-matter volumes in ml, or FDG uptake ratios.

    The volumes are the atlas's own for a brain of 1480 ml, and go with the head's size.
    """
    if modality == "metabolic":
        return np.asarray(profiles * table["uptake"].to_numpy(dtype=np.float64))
    data = np.asanyarray(atlas.labels_img.dataobj).ravel()
    counts = np.bincount(data.astype(np.int64))[atlas.indices]
    voxel = abs(float(np.linalg.det(atlas.labels_img.affine[:3, :3]))) / 1000.0
    size = people["icv"].to_numpy(dtype=np.float64)[:, np.newaxis] / _ICV
    return np.asarray(profiles * (counts * voxel) * size)


def _aged(table: pd.DataFrame, people: pd.DataFrame, modality: str) -> Floats:
    """Relative change by normal age and by sex."""
    rate = np.array([_AGES.get(str(system), 0.5) for system in table["system"]])
    female = np.where(people["sex"].to_numpy() == "F", 0.5, -0.5)
    frontal = np.isin(table["system"].to_numpy(), ("control", "default"))
    years = people["age"].to_numpy(dtype=np.float64) - _AGE
    change = -_AGEING[modality] * years[:, np.newaxis] * rate
    change = change + _SEX * female[:, np.newaxis] * frontal
    return np.asarray(people["ageing"].to_numpy(dtype=np.float64)[:, np.newaxis] * change)
