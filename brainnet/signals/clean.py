"""Clean regional time series of drift, motion and non-neural signal, within the data's means.

A run of n volumes has n degrees of freedom. Detrending, the band-pass and each confound spend
some, and what remains is what a correlation rests on. Two rules keep that honest:

*The band.* A run of length T = n t_r holds frequencies k/T. A high-pass below 1/T removes nothing
that a linear trend does not, so it is replaced by the trend. A low-pass above the Nyquist
frequency does nothing and is dropped; so is one that would leave fewer than `MIN_BAND_DOF`
degrees of freedom. A band [a, b] leaves 2 T (b - a) of n (a = 0, or b = the Nyquist frequency,
where there is no cut), and without a high-pass the mean and the trend take 2 of them.

*The confounds.* The richest set of `LADDER` is taken that spends at most half of the degrees of
freedom left by the band, and leaves at least `MIN_DOF`. Every step down is said in a warning.

References
----------
Ciric et al. (2017), NeuroImage 154:174-187. Bright, Tench and Murphy (2017), NeuroImage
154:159-168. Lindquist et al. (2019), Hum Brain Mapp 40:2358-2376.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

MIN_DOF = 3.0
MIN_BAND_DOF = 10.0

_AXES = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
_EXPANSIONS = ["", "_derivative1", "_power2", "_derivative1_power2"]
_TISSUE = {"WM": "white_matter", "CSF": "csf"}
LADDER: dict[str, list[str]] = {
    "24P": [axis + expansion for expansion in _EXPANSIONS for axis in _AXES],
    "6P": _AXES,
    "": [],
}

Band = tuple[float | None, float | None]


def select_confounds(
    table: pd.DataFrame,
    *,
    n_timepoints: int,
    t_r: float | None = None,
    high_pass: float | None = 0.01,
    low_pass: float | None = 0.1,
) -> tuple[pd.DataFrame, str]:
    """Choose the richest set of confounds that the run can afford.

    The ladder is 24P+WM+CSF (six motion parameters, derivatives and squares of both; white matter
    and CSF means), 6P+WM+CSF, WM+CSF, none. A tissue signal that the table lacks is left out of
    every rung. The first row of a derivative, which has no volume before it, counts as 0.

    Parameters
    ----------
    table : DataFrame, n_timepoints rows
        Columns as fMRIPrep names them; further columns are ignored.
    n_timepoints : int
        Volumes in the run.
    t_r : float, optional
        Repetition time in s. With it, what the band-pass spends is counted; without it, only the
        mean and the trend are.
    high_pass, low_pass : float or None
        The band in Hz, as `clean_timeseries` will be asked for.

    Returns
    -------
    confounds : (n_timepoints, n_confounds) DataFrame
        Finite; no columns for ``"none"``.
    strategy : str
        Such as ``"24P+WM+CSF"``.

    Raises
    ------
    ValueError
        If the table does not have n_timepoints rows, or no degree of freedom is left at all.

    Warns
    -----
    UserWarning
        If the run is too short, or the table too poor, for 24P+WM+CSF.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> noise = np.random.default_rng(0).normal(size=(300, 26))
    >>> table = pd.DataFrame(noise, columns=[*LADDER["24P"], "white_matter", "csf"])
    >>> chosen, strategy = select_confounds(table, n_timepoints=300, t_r=2.0)
    >>> strategy, chosen.shape
    ('24P+WM+CSF', (300, 26))
    """
    if len(table) != n_timepoints:
        raise ValueError(
            f"table must have one row per volume; got {len(table)} rows for {n_timepoints} "
            "volumes. Use the confounds of this run, with as many volumes removed."
        )
    available = degrees_of_freedom(n_timepoints, t_r=t_r, high_pass=high_pass, low_pass=low_pass)
    if available < MIN_DOF:
        raise ValueError(
            f"A run of {n_timepoints} volumes leaves {available:.3g} degrees of freedom; "
            f"{MIN_DOF:.0f} are needed. Acquire or keep more volumes."
        )
    usable = _usable(table)
    rungs = _rungs(usable)
    affordable = min(available / 2, available - MIN_DOF)
    strategy = next(name for name, columns in rungs.items() if len(columns) <= affordable)
    _tell_strategy(strategy, list(rungs), n_timepoints, available)
    return usable[rungs[strategy]], strategy


def degrees_of_freedom(
    n_timepoints: int,
    *,
    t_r: float | None,
    high_pass: float | None = 0.01,
    low_pass: float | None = 0.1,
) -> float:
    """Return the degrees of freedom that the band leaves to a run, before confounds.

    Parameters
    ----------
    n_timepoints, high_pass, low_pass
        As in `usable_band`, which is what is counted.
    t_r : float or None
        Repetition time in s; None: no band, the mean and the trend only.

    Returns
    -------
    float
        See the rule at the head of this module.

    Examples
    --------
    >>> degrees_of_freedom(300, t_r=2.0)
    108.0
    >>> degrees_of_freedom(8, t_r=1.26)
    6.0
    """
    if t_r is None:
        return float(n_timepoints - 2)
    (high, low), _ = usable_band(n_timepoints, t_r=t_r, high_pass=high_pass, low_pass=low_pass)
    share = 2 * t_r * ((low or 0.5 / t_r) - (high or 0.0))
    return round(n_timepoints * min(share, 1.0) - (2 if high is None else 0), 6)


def usable_band(
    n_timepoints: int,
    *,
    t_r: float,
    high_pass: float | None = 0.01,
    low_pass: float | None = 0.1,
) -> tuple[Band, list[str]]:
    """Return the band that a run of this length supports, and why it is not the one asked for.

    Parameters
    ----------
    n_timepoints : int
        Volumes in the run.
    t_r : float
        Repetition time in s.
    high_pass, low_pass : float or None
        The band in Hz that is asked for; None: no cut on that side.

    Returns
    -------
    band : (high_pass, low_pass)
        In Hz; None where there is no cut.
    reasons : list of str
        One sentence for each cut that was dropped.

    Raises
    ------
    ValueError
        If ``t_r`` or a cut is not positive, or high_pass is not below low_pass.

    Examples
    --------
    >>> usable_band(300, t_r=2.0)
    ((0.01, 0.1), [])
    >>> usable_band(8, t_r=1.26)[0]
    (None, None)
    """
    _check_band(t_r, high_pass, low_pass)
    length = n_timepoints * t_r
    reasons = []
    if high_pass is not None and high_pass * length < 1:
        reasons.append(
            f"The run of {n_timepoints} volumes lasts {length:.4g} s, too short for a high-pass at "
            f"{high_pass:g} Hz: a linear trend is removed instead."
        )
        high_pass = None
    if low_pass is not None and low_pass >= 0.5 / t_r:
        reasons.append(
            f"With a repetition time of {t_r:g} s no frequency above {0.5 / t_r:.4g} Hz is "
            f"sampled: no low-pass at {low_pass:g} Hz."
        )
        low_pass = None
    if low_pass is not None:
        left = 2 * length * (low_pass - (high_pass or 0.0)) - (2 if high_pass is None else 0)
        if left < MIN_BAND_DOF:
            reasons.append(
                f"A low-pass at {low_pass:g} Hz would leave {max(left, 0):.2g} degrees of freedom "
                f"in {length:.4g} s ({MIN_BAND_DOF:.0f} are needed): no low-pass."
            )
            low_pass = None
    return (high_pass, low_pass), reasons


def clean_timeseries(
    timeseries: ArrayLike,
    confounds: pd.DataFrame | ArrayLike | None = None,
    *,
    t_r: float,
    high_pass: float | None = 0.01,
    low_pass: float | None = 0.1,
) -> NDArray[np.float64]:
    """Remove drift, frequencies outside the band, and the confounds from each region's series.

    `nilearn.signal.clean` filters signals and confounds alike (Butterworth, order 5, forwards and
    backwards), then takes the residuals of a least-squares fit. The run is mirrored at its ends
    for the filter: nilearn's own (odd) padding leaves two end transients with five times the
    variance of any other component, and 35 effective degrees of freedom where the band of a 5 min
    run holds 54; mirrored, they are 53.

    Parameters
    ----------
    timeseries : (n_timepoints, n_regions) array
        Any unit. A region that is NaN anywhere stays NaN throughout.
    confounds : (n_timepoints, n_confounds) DataFrame or array, optional
        Finite. Constant columns carry nothing and are ignored.
    t_r : float
        Repetition time in s.
    high_pass, low_pass : float or None
        The band in Hz, adapted by `usable_band` to what the run supports.

    Returns
    -------
    (n_timepoints, n_regions) array
        In the unit of ``timeseries``, mean 0. NaN for a region that is constant, or of which the
        confounds leave nothing but rounding (less than 1e-12 of its variance).

    Raises
    ------
    ValueError
        If ``timeseries`` is not 2-D, lengths differ, confounds are not finite, or no degree of
        freedom is left.

    Warns
    -----
    UserWarning
        If a cut of the band was dropped, or fewer than `MIN_DOF` degrees of freedom are left.

    Examples
    --------
    >>> import numpy as np
    >>> seconds = 2.0 * np.arange(200)
    >>> slow, fast = np.sin(2 * np.pi * 0.05 * seconds), np.sin(2 * np.pi * 0.2 * seconds)
    >>> cleaned = clean_timeseries((100 + slow + fast)[:, None], t_r=2.0)[:, 0]
    >>> bool(np.abs(cleaned - slow)[50:-50].max() < 0.1)
    True
    """
    data = np.asarray(timeseries, dtype=np.float64)
    if data.ndim != 2:
        raise ValueError(
            f"timeseries must be (n_timepoints, n_regions); got shape {data.shape}. "
            "Call once per run."
        )
    regressors = _regressors(confounds, len(data))
    (high, low), reasons = usable_band(len(data), t_r=t_r, high_pass=high_pass, low_pass=low_pass)
    for reason in reasons:
        warnings.warn(f"{reason} Read this run's network with care.", UserWarning, stacklevel=2)
    left = degrees_of_freedom(len(data), t_r=t_r, high_pass=high, low_pass=low)
    _check_dof(left - (0 if regressors is None else regressors.shape[1]), len(data))
    cleaned = np.full(data.shape, np.nan)
    alive = np.isfinite(data).all(axis=0) & (np.ptp(data, axis=0) > 0)
    if alive.any():
        residuals = _nilearn_clean(data[:, alive], regressors, t_r, (high, low))
        explained = residuals.var(axis=0) <= 1e-12 * data[:, alive].var(axis=0)
        cleaned[:, alive] = np.where(explained, np.nan, residuals)
    return cleaned


def _nilearn_clean(
    data: NDArray[np.float64],
    regressors: NDArray[np.float64] | None,
    t_r: float,
    band: Band,
) -> NDArray[np.float64]:
    from nilearn.signal import clean

    high_pass, low_pass = band
    mirrored = {"butterworth__padtype": "even", "butterworth__padlen": len(data) - 1}
    filtering = {} if band == (None, None) else mirrored
    residuals = clean(
        data,
        confounds=regressors,
        t_r=t_r,
        detrend=True,
        standardize=None,
        filter="butterworth" if filtering else False,
        high_pass=high_pass,
        low_pass=low_pass,
        **filtering,
    )
    return np.asarray(residuals - residuals.mean(axis=0), dtype=np.float64)


def _regressors(
    confounds: pd.DataFrame | ArrayLike | None, n_timepoints: int
) -> NDArray[np.float64] | None:
    """Confounds as an array without constant columns; None where nothing is left."""
    if confounds is None:
        return None
    values = np.asarray(confounds, dtype=np.float64)
    if values.ndim != 2 or len(values) != n_timepoints:
        raise ValueError(
            f"confounds must have one row per volume; got shape {values.shape} for {n_timepoints} "
            "volumes. Use the confounds of this run."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"confounds must be finite; got {int((~np.isfinite(values)).sum())} values that are "
            "not. Use select_confounds, or leave those columns out."
        )
    values = values[:, np.ptp(values, axis=0) > 0] if values.size else values
    return values if values.shape[1] else None


def _usable(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of the ladder that the table has, finite, derivatives starting at 0."""
    columns = {}
    for name in [*LADDER["24P"], *_TISSUE.values()]:
        if name not in table:
            continue
        values = table[name].to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        if "_derivative1" in name and len(values) and np.isnan(values[0]):
            values[0] = 0.0
        if np.isfinite(values).all():
            columns[name] = values
    return pd.DataFrame(columns, index=table.index)


def _rungs(usable: pd.DataFrame) -> dict[str, list[str]]:
    """Columns of each rung that the table can serve, richest first; the last is empty."""
    tissue = {name: column for name, column in _TISSUE.items() if column in usable}
    rungs = {}
    for motion, columns in LADDER.items():
        if set(columns) <= set(usable):
            name = "+".join([*filter(None, [motion]), *tissue])
            rungs[name or "none"] = [*columns, *tissue.values()]
    return rungs | {"none": []}


def _tell_strategy(strategy: str, rungs: list[str], n_timepoints: int, available: float) -> None:
    reasons = []
    if rungs[0] != "24P+WM+CSF":
        reasons.append("the confounds table lacks finite columns for more")
    if strategy != rungs[0]:
        reasons.append(
            f"its {n_timepoints} volumes leave {available:.3g} degrees of freedom, of which "
            "confounds may spend half"
        )
    if reasons:
        warnings.warn(
            f"Confounds of this run: {strategy}, not 24P+WM+CSF, for {', and '.join(reasons)}. "
            "Motion is removed less well: compare only runs cleaned alike.",
            UserWarning,
            stacklevel=3,
        )


def _check_band(t_r: float, high_pass: float | None, low_pass: float | None) -> None:
    for name, value in (("t_r", t_r), ("high_pass", high_pass), ("low_pass", low_pass)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive; got {value}. Give seconds and Hz.")
    if high_pass is not None and low_pass is not None and high_pass >= low_pass:
        raise ValueError(
            f"high_pass must be below low_pass; got {high_pass} and {low_pass} Hz. Swap them."
        )


def _check_dof(left: float, n_timepoints: int) -> None:
    if left < 1:
        raise ValueError(
            f"confounds and band must leave a degree of freedom; {left:.3g} of {n_timepoints} are "
            "left. Use fewer confounds: select_confounds chooses as many as the run affords."
        )
    if left < MIN_DOF:
        warnings.warn(
            f"Only {left:.3g} degrees of freedom of {n_timepoints} volumes are left after "
            "cleaning: correlations are close to chance. Use fewer confounds or a longer run.",
            UserWarning,
            stacklevel=3,
        )
