"""What the sites of a simulated cohort do to its data, and how regions vary together."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from brainnet.atlas import Atlas
from brainnet.simulate.connectome import distances
from brainnet.simulate.options import Sites

__all__ = ["Scanners", "simulate_scanners", "smooth_over_regions"]

Floats = NDArray[np.float64]

_LENGTH: Final = 30.0  # mm, over which regions vary together
_SMOOTH: Final = 0.6  # share of the variance that they have in common with their neighbours
_LOADING: Final = 0.25  # standard deviation of a region's loading on the site's own signal
_SHIFT: Final = 0.06  # of regional grey matter and uptake, relative
_SCALE: Final = 0.15  # of the logarithm of a site's factor on the spread between subjects
_BLUR: Final = 0.12  # of the logarithm of the range over which values look alike
_NEAR: Final = 0.08  # covariance that a smoother image adds to adjacent regions
_RUN: Final = (100, 0.15)  # samples of a functional run (about nine minutes), spread of its log


@dataclass(frozen=True, eq=False)
class Scanners:
    """One row a site, in the order of their names.

    Attributes
    ----------
    loading : (n_sites, n_regions) array
        Of the site's own signal, common to its functional runs.
    near : (n_sites,) array
        Covariance added to adjacent regions of its functional runs.
    samples : (n_sites,) array of int
        Degrees of freedom of its functional runs.
    shift : (2, n_sites, n_regions) array
        Relative change of regional grey matter and uptake.
    scale : (2, n_sites) array
        Factor on the spread of both between subjects.
    blur : (2, n_sites) array
        Factor on the difference at which two regions look unlike.
    """

    loading: Floats
    near: Floats
    samples: NDArray[np.int64]
    shift: Floats
    scale: Floats
    blur: Floats


def simulate_scanners(atlas: Atlas, sites: Sites, rng: np.random.Generator) -> Scanners:
    """Draw the effects of the sites; strength 0 gives scanners that are all alike.

    Parameters
    ----------
    atlas : Atlas
        Whose regions vary with their neighbours.
    sites : Sites
    rng : Generator
    """
    n_sites, n_regions = sites.n_sites, atlas.n_regions
    mean, spread = _RUN
    loading = smooth_over_regions(atlas, rng.standard_normal((n_sites, n_regions, 2)))
    shift = smooth_over_regions(atlas, rng.standard_normal((2, n_sites, n_regions, 2)))
    deviates = rng.standard_normal((6, n_sites)) * sites.strength
    return Scanners(
        loading=_LOADING * sites.strength * loading,
        near=_NEAR * np.abs(deviates[0]),
        samples=np.rint(mean * np.exp(spread * np.clip(deviates[1], -2, 2))).astype(np.int64),
        shift=_SHIFT * sites.strength * shift,
        scale=np.exp(_SCALE * deviates[2:4]),
        blur=np.exp(_BLUR * deviates[4:6]),
    )


def smooth_over_regions(atlas: Atlas, deviates: Floats) -> Floats:
    """Return deviates of variance 1 that neighbouring regions have partly in common.

    Parameters
    ----------
    atlas : Atlas
    deviates : (..., n_regions, 2) array
        Independent, standard normal: those to share with neighbours, and the region's own.

    Returns
    -------
    (..., n_regions) array
        Correlation ``0.6 exp(-d / 30 mm)`` between regions at a distance ``d``.
    """
    shape = np.exp(-distances(atlas) / _LENGTH) + 1e-9 * np.eye(atlas.n_regions)
    shared = deviates[..., 0] @ np.linalg.cholesky(shape).T
    return np.asarray(np.sqrt(_SMOOTH) * shared + np.sqrt(1.0 - _SMOOTH) * deviates[..., 1])
