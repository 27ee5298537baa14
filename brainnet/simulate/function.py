"""Functional networks of a whole simulated cohort at once.

Each subject's covariance is a sum of positive semi-definite parts, so that every correlation
matrix is one; see :func:`functional_covariance`. What a disease takes from a shared signal a
region keeps as a signal of its own: no edge changes but those of damaged regions. The numbers are
choices of this simulation.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainnet.atlas import Atlas
from brainnet.simulate.connectome import distances, geometry, task_axis
from brainnet.simulate.scanners import Scanners, smooth_over_regions

__all__ = ["functional_covariance", "functional_networks"]

Floats = NDArray[np.float64]

_MODULE: Final = 0.30  # loading on the signal of the whole system, squared
_SUBSYSTEM: Final = 0.40  # on that of its damaged or undamaged part
_CORE: Final = (0.03, 0.10, 0.40)  # on that of the damaged hubs, by kind of hub
_HUB: Final = 0.30  # of the other hubs on a signal of theirs
_PRIVATE: Final = 0.10
_GLOBAL: Final = 0.05  # mean of the signal that all regions share, which differs by subject
_SUBJECT: Final = 0.25  # relative standard deviation of a loading between subjects
_VISIT: Final = 0.10  # and between visits
_AGEING: Final = 0.006  # share of the default and attention coherence lost a year
_AGE: Final = 72.0
_MOTION_NEAR: Final = 1.5  # covariance of adjacent regions, a mm of framewise displacement
_MOTION_OWN: Final = 0.10  # variance of no network, likewise
_ADJACENT: Final = 40.0  # mm
_CHUNK: Final = 50  # subjects at a time, for memory


def functional_networks(
    atlas: Atlas,
    table: pd.DataFrame,
    people: pd.DataFrame,
    damage: Mapping[str, Floats],
    scanners: Scanners,
    rng: np.random.Generator,
) -> Floats:
    """Return each visit's sample correlation between regions.

    Parameters
    ----------
    atlas : Atlas
    table : DataFrame
        :func:`brainnet.simulate.damage.planted_regions`.
    people : DataFrame
        One row a visit: ``person``, ``age``, ``site_number``, ``nuisance_motion``, ``ageing``.
    damage : mapping
        ``hub`` and ``disconnection``: (n_rows, n_regions) shares lost.
    scanners : Scanners
    rng : Generator

    Returns
    -------
    (n_rows, n_regions, n_regions) array
        Correlations of a run of the site's length; symmetric, unit diagonal.
    """
    n_rows, n_regions = len(people), atlas.n_regions
    person = people["person"].to_numpy(dtype=np.int64)
    traits = rng.standard_normal((int(person.max()) + 1, n_regions, 2))
    levels = np.abs(rng.standard_normal(len(traits)))
    states = rng.standard_normal((n_rows, n_regions, 2))
    own = _SUBJECT * smooth_over_regions(atlas, traits)[person]
    own += _VISIT * smooth_over_regions(atlas, states)
    loadings = np.clip(1.0 + own, 0.2, 1.8)
    networks = np.empty((n_rows, n_regions, n_regions))
    for start in range(0, n_rows, _CHUNK):
        rows = slice(start, start + _CHUNK)
        covariance = functional_covariance(
            atlas,
            table,
            people.iloc[rows],
            {name: each[rows] for name, each in damage.items()},
            scanners,
            (loadings[rows], levels[person[rows]]),
        )
        sites = people["site_number"].to_numpy(dtype=np.int64)[rows]
        networks[rows] = _sampled(covariance, scanners.samples[sites], rng)
    return networks


def functional_covariance(
    atlas: Atlas,
    table: pd.DataFrame,
    people: pd.DataFrame,
    damage: Mapping[str, Floats],
    scanners: Scanners,
    own: tuple[Floats, Floats],
) -> Floats:
    r"""Return the covariance between regions that each visit's run is drawn from.

    .. math:: \Sigma = \sum_k m_k m_k^T + \sum_s l_s l_s^T + c c^T + h h^T + G + a a^T + g 1 1^T
              + v v^T + w N + P

    with loadings :math:`m` on each system, :math:`l` on its subsystem (damaged or not),
    :math:`c` and :math:`h` on the signals of the damaged and of the other hubs, the geometry
    :math:`G` and the axis :math:`a` of :func:`brainnet.simulate.connectome.plant_network`, a
    global signal :math:`g`, the site's own :math:`v`, nearness :math:`N` with a weight that
    motion and smoothness raise, and a diagonal :math:`P` that takes what is lost.

    Parameters
    ----------
    atlas, table, people, damage, scanners
        As for :func:`functional_networks`.
    own : ((n_rows, n_regions) array, (n_rows,) array)
        Subjects' own factors of their loadings (1: the group's) and of the global signal.

    Returns
    -------
    (n_rows, n_regions, n_regions) array
        Positive definite.
    """
    factors, level = own
    site = people["site_number"].to_numpy(dtype=np.int64)
    motion = people["nuisance_motion"].to_numpy(dtype=np.float64)
    system, kind = table["system"].to_numpy(), table["hub_kind"].to_numpy()
    part = system + np.where(table["disconnection"].to_numpy() > 0, "+", "")
    module = np.sqrt(_MODULE) * factors * _aged(system, people)
    subsystem = np.sqrt(_SUBSYSTEM) * factors
    core = np.sqrt(np.array(_CORE))[kind] * factors
    hub = np.where(kind == 1, np.sqrt(_HUB), 0.0) * factors
    kept = [subsystem * (1.0 - damage["disconnection"]), core * (1.0 - damage["hub"])]
    private = _PRIVATE + subsystem**2 + core**2 - kept[0] ** 2 - kept[1] ** 2
    private += (_MOTION_OWN * motion)[:, np.newaxis]
    near = np.exp(-distances(atlas) / _ADJACENT)
    covariance = _outer(module) * (system[:, np.newaxis] == system)
    covariance += _outer(kept[0]) * (part[:, np.newaxis] == part)
    covariance += _outer(kept[1]) + _outer(hub) + geometry(atlas) + task_axis(system)
    covariance += (_GLOBAL * level)[:, np.newaxis, np.newaxis] + _outer(scanners.loading[site])
    covariance += (scanners.near[site] + _MOTION_NEAR * motion)[:, np.newaxis, np.newaxis] * near
    diagonal = np.arange(len(table))
    covariance[:, diagonal, diagonal] += private
    return np.asarray(covariance)


def _aged(system: NDArray[np.object_], people: pd.DataFrame) -> Floats:
    """Share of a system's loading that is left at the subject's age; more than 1 in the young."""
    years = people["ageing"].to_numpy(dtype=np.float64) * (
        people["age"].to_numpy(dtype=np.float64) - _AGE
    )
    ages = np.isin(system, ("default", "attention"))
    return np.asarray(np.clip(1.0 - _AGEING * years[:, np.newaxis] * ages, 0.3, 1.5))


def _outer(loading: Floats) -> Floats:
    """(n_rows, n_regions, n_regions) covariance of one signal by its loadings."""
    return np.asarray(loading[:, :, np.newaxis] * loading[:, np.newaxis, :])


def _sampled(covariance: Floats, samples: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Sample correlations of runs of given lengths, symmetric to the last bit."""
    longest = int(samples.max())
    drawn = rng.standard_normal((len(covariance), longest, covariance.shape[-1]))
    series = drawn @ np.linalg.cholesky(covariance).swapaxes(1, 2)
    within = (np.arange(longest) < samples[:, np.newaxis])[:, :, np.newaxis]
    series *= within
    series -= within * (series.sum(axis=1) / samples[:, np.newaxis])[:, np.newaxis]
    series /= np.sqrt((series**2).sum(axis=1))[:, np.newaxis]
    found = series.swapaxes(1, 2) @ series
    return np.asarray(np.clip((found + found.swapaxes(1, 2)) / 2, -1.0, 1.0))
