"""Planted networks: a population correlation matrix with modules, hubs and damage."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from brainnet.atlas import Atlas
from brainnet.simulate.disease import regional, severity

Floats = NDArray[np.float64]

_MODULE: Final = 0.70
_HUB: Final = 0.40  # loading of a hub on the shared hub signal, squared
_HUB_OTHERS: Final = 0.02
_HOMOTOPIC: Final = 0.15
_NEAR: Final = 0.12
_NEAR_LENGTH: Final = 30.0  # mm
_TASK_AXIS: Final = 0.30  # opposition of default and limbic to attention and salience
_PRIVATE: Final = 0.10
_HUB_LOSS: Final = 0.85  # share of a damaged hub's shared signal lost at severity 1
_MODULE_LOSS: Final = 0.6  # share of the default and limbic coherence lost at severity 1
_SUBJECT: Final = 0.25  # relative standard deviation of a loading between subjects
_AXIS: Final = {"default": -1.0, "limbic": -0.6, "attention": 1.0, "salience": 0.8, "visual": 0.3}
_DAMAGED_SYSTEMS: Final = ("default", "limbic")


@dataclass(frozen=True, eq=False)
class PlantedNetwork:
    """A correlation matrix of which every reason is known.

    Attributes
    ----------
    correlation : (n_regions, n_regions) array
        Positive definite, unit diagonal.
    modules : (n_regions,) array of int
        Planted module of each region.
    hubs : (n_regions,) array of bool
        Regions that load on the shared hub signal.
    damaged : (n_regions,) array of bool
        Hubs that lose strength with the stage (marked at every stage).
    """

    correlation: Floats
    modules: NDArray[np.int64]
    hubs: NDArray[np.bool_]
    damaged: NDArray[np.bool_]


def plant_network(
    atlas: Atlas, *, stage: str = "CN", amount: float | None = None, seed: int | None = 0
) -> PlantedNetwork:
    r"""Return the planted functional network of one subject.

    The covariance is a sum of positive semi-definite parts, scaled to a correlation:

    .. math:: \Sigma = \sum_k m_k z_k z_k^T + h h^T + b\,e^{-d/30} + c H + a v v^T + p I

    with module memberships :math:`z_k`, hub loadings :math:`h`, distances between centroids
    :math:`d` in mm, pairs of homotopic regions :math:`H` and an axis :math:`v` that opposes the
    default and limbic to the attention systems and so plants negative edges.

    Parameters
    ----------
    atlas : Atlas
        Its regions, centroids and hemispheres; systems and hubs by overlap with the disease table.
    stage : str
        CN, SMC, EMCI, LMCI or AD.
    amount : float, optional
        Severity 0 to 1 in place of the stage's own.
    seed : int or None
        Of the subject's own variation of module and hub loadings; None gives the group's network.

    Returns
    -------
    PlantedNetwork
        In the order of the atlas.

    Raises
    ------
    ValueError
        If the stage is unknown or ``amount`` is outside 0 to 1.

    Examples
    --------
    >>> from brainnet.atlas import load
    >>> network = plant_network(load("DesikanKilliany"), stage="AD")
    >>> network.correlation.shape, bool(np.linalg.eigvalsh(network.correlation)[0] > 0)
    ((84, 84), True)
    """
    level = severity(stage) if amount is None else amount
    if not 0.0 <= level <= 1.0:
        raise ValueError(f"amount must be within 0 to 1; got {level}.")
    table = regional(atlas)
    systems = table["system"].to_numpy()
    hub_kind = table["hub"].to_numpy()
    rng = None if seed is None else np.random.default_rng([seed, 2])
    covariance = (
        _modules(systems, level, rng)
        + _hubs(hub_kind, level, rng)
        + geometry(atlas)
        + task_axis(systems)
        + _PRIVATE * np.eye(atlas.n_regions)
    )
    scale = 1.0 / np.sqrt(np.diag(covariance))
    correlation = covariance * np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    return PlantedNetwork(
        correlation=(correlation + correlation.T) / 2,
        modules=np.unique(systems, return_inverse=True)[1].astype(np.int64),
        hubs=hub_kind > 0,
        damaged=hub_kind == 2,
    )


def regional_signals(
    correlation: Floats,
    n_timepoints: int,
    *,
    t_r: float,
    band: tuple[float, float] = (0.01, 0.1),
    seed: int = 0,
) -> Floats:
    """Return band-limited Gaussian time series with a planted correlation.

    Parameters
    ----------
    correlation : (n_regions, n_regions) array
        Positive definite, unit diagonal.
    n_timepoints : int
        Number of time points.
    t_r : float
        Time between them in s.
    band : (float, float)
        Lowest and highest frequency in Hz; the spectrum is flat between them and 0 outside.
    seed : int
        Of the noise.

    Returns
    -------
    (n_timepoints, n_regions) array
        Mean 0 over time, expected standard deviation 1. Where the band holds enough frequencies
        (``2 * n_timepoints * t_r * (high - low)`` degrees of freedom, more than regions), the
        series are drawn such that their *sample* correlation is the planted one exactly. In a
        shorter run it differs by sampling.

    Raises
    ------
    ValueError
        If no frequency of the run lies within the band, or ``correlation`` is not positive
        definite.

    Examples
    --------
    >>> series = regional_signals(np.array([[1, 0.5], [0.5, 1]]), 20000, t_r=2.0)
    >>> bool(abs(np.corrcoef(series.T)[0, 1] - 0.5) < 0.05)
    True
    """
    series = band_limited(n_timepoints, len(correlation), t_r=t_r, band=band, seed=seed)
    return _whitened(series) @ _cholesky(correlation).T


def _whitened(series: Floats) -> Floats:
    """Return series with unit sample covariance, or as they are where they are dependent."""
    covariance = series.T @ series / len(series)
    values, vectors = np.linalg.eigh(covariance)
    if values[0] < 1e-6 * values[-1]:
        return series
    return np.asarray(series @ (vectors / np.sqrt(values)) @ vectors.T)


def band_limited(
    n_timepoints: int, n_series: int, *, t_r: float, band: tuple[float, float], seed: int
) -> Floats:
    """Return independent Gaussian series with a flat spectrum in ``band`` Hz, variance 1.

    The parameters are those of :func:`regional_signals`; the array is (n_timepoints, n_series).
    """
    frequencies = np.fft.rfftfreq(n_timepoints, t_r)
    keep = (frequencies >= band[0]) & (frequencies <= band[1]) & (frequencies > 0)
    if not keep.any():
        raise ValueError(
            f"band must hold a frequency of the run; {n_timepoints} volumes of {t_r} s have none "
            f"within {band[0]} to {band[1]} Hz. Simulate more volumes."
        )
    rng = np.random.default_rng([seed, 3])
    spectrum = np.zeros((len(frequencies), n_series), dtype=complex)
    shape = (int(keep.sum()), n_series)
    spectrum[keep] = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    series = np.fft.irfft(spectrum, n=n_timepoints, axis=0)
    nyquist = keep & np.isclose(frequencies, 0.5 / t_r)
    power = 4.0 * (keep.sum() - 0.5 * nyquist.sum()) / n_timepoints**2
    return np.asarray(series / np.sqrt(power))


def _cholesky(correlation: Floats) -> Floats:
    """Lower factor, or an error that says what is wrong."""
    try:
        return np.asarray(np.linalg.cholesky(correlation), dtype=np.float64)
    except np.linalg.LinAlgError:
        lowest = np.linalg.eigvalsh(correlation)[0]
        raise ValueError(
            f"correlation must be positive definite; its lowest eigenvalue is {lowest:.3g}."
        ) from None


def _outer(loading: Floats) -> Floats:
    """Covariance of one signal that every region holds by its loading."""
    return np.asarray(np.outer(loading, loading), dtype=np.float64)


def _vary(values: Floats, rng: np.random.Generator | None) -> Floats:
    """A subject's own loadings around the group's."""
    if rng is None:
        return values
    return np.asarray(values * np.clip(1 + _SUBJECT * rng.standard_normal(len(values)), 0.2, 1.8))


def _modules(systems: NDArray[np.object_], level: float, rng: np.random.Generator | None) -> Floats:
    """Coherence within each functional system."""
    damaged = np.isin(systems, _DAMAGED_SYSTEMS)
    loading = np.sqrt(_MODULE * np.where(damaged, 1.0 - _MODULE_LOSS * level, 1.0))
    loading = _vary(loading, rng)
    same = systems[:, np.newaxis] == systems
    return np.where(same, _outer(loading), 0.0)


def _hubs(hub_kind: NDArray[np.int64], level: float, rng: np.random.Generator | None) -> Floats:
    """One signal that hubs share and send, weakly, to all."""
    loading = np.sqrt(np.where(hub_kind > 0, _HUB, _HUB_OTHERS))
    loading = loading * np.where(hub_kind == 2, 1.0 - _HUB_LOSS * level, 1.0)
    loading = _vary(loading, rng)
    return _outer(loading)


def distances(atlas: Atlas) -> Floats:
    """Return the (n_regions, n_regions) distances between centroids in mm."""
    centroids = atlas.regions[["x", "y", "z"]].to_numpy(dtype=np.float64)
    return np.asarray(np.linalg.norm(centroids[:, np.newaxis] - centroids, axis=-1))


def geometry(atlas: Atlas) -> Floats:
    """Return the planted covariance of near regions and of homotopic pairs."""
    centroids = atlas.regions[["x", "y", "z"]].to_numpy(dtype=np.float64)
    side = atlas.regions["hemisphere"].to_numpy()
    near = np.exp(-distances(atlas) / _NEAR_LENGTH)
    return np.asarray(_NEAR * near + _HOMOTOPIC * _pairs(centroids, side))


def _pairs(centroids: Floats, side: NDArray[np.object_]) -> Floats:
    """Blocks of ones over mutually nearest regions of the two hemispheres (and the diagonal)."""
    mirrored = centroids * np.array([-1.0, 1.0, 1.0])
    distance = np.linalg.norm(mirrored[:, np.newaxis] - centroids, axis=-1)
    opposite = ((side[:, np.newaxis] == "L") & (side == "R")) | (
        (side[:, np.newaxis] == "R") & (side == "L")
    )
    distance = np.where(opposite, distance, np.inf)
    partner = distance.argmin(axis=1)
    rows = np.arange(len(side))
    mutual = (partner[partner] == rows) & np.isfinite(distance.min(axis=1))
    pairs = np.eye(len(side))
    pairs[rows[mutual], partner[mutual]] = 1.0
    return pairs


def task_axis(systems: NDArray[np.object_]) -> Floats:
    """Return the planted covariance that opposes systems that work in turn."""
    loading = np.sqrt(_TASK_AXIS) * np.array([_AXIS.get(str(system), 0.0) for system in systems])
    return _outer(loading)
