"""Subjects of a simulated cohort: stage, severity and its course, age, sex, site, motion."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainnet.simulate.disease import severity
from brainnet.simulate.options import Design, Sites

__all__ = ["MCI", "simulate_people"]

Floats = NDArray[np.float64]

#: stages of mild cognitive impairment, which convert to AD or not
MCI: Final = ("EMCI", "LMCI")

_SPREAD: Final = 0.13  # standard deviation of severity within a stage: stages overlap
_WORST: Final = 1.4  # severity beyond that of AD on entry
_THRESHOLD: Final = 0.9  # severity at which an average subject meets the diagnosis of AD
_RESERVE: Final = 0.05  # standard deviation of that threshold between subjects
_SOONEST: Final = 0.25  # years: nobody is diagnosed anew at the visit itself
_SLOPE: Final = (0.025, 0.10, 0.4)  # severity a year: at 0, more by severity, spread of its log
_ICV: Final = {"F": 1400.0, "M": 1560.0}  # ml
_ICV_SPREAD: Final = 110.0
_FD: Final = 0.18  # mm, median of the mean framewise displacement
_FD_SPREAD: Final = (0.35, 0.2)  # of its logarithm: between subjects, between visits
_SUBTYPES: Final = ("typical", "limbic", "sparing")
_SUBTYPE_WEIGHTS: Final = (1.2, 0.5, 0.5)  # of a Dirichlet distribution


def simulate_people(
    n_subjects: int, stages: Sequence[str], design: Design, sites: Sites, rng: np.random.Generator
) -> pd.DataFrame:
    """Return one row for each visit of each subject, the visits of a subject together.

    Parameters
    ----------
    n_subjects : int
    stages : sequence of str
        As equal in size as can be, in random order.
    design : Design
    sites : Sites
    rng : Generator

    Returns
    -------
    DataFrame
        ``person`` (row of the subject), ``participant``, ``subject`` (with the session where
        there are several), ``session``, ``years`` (since the first visit), ``stage`` (AD from
        conversion on), ``age``, ``sex``, ``site``, ``motion`` (mean framewise displacement, mm),
        ``icv`` (ml), ``converted`` (1 or 0) and ``conversion_years`` (from the first visit to
        conversion or the last diagnosis; both NaN but for MCI), ``true_severity``,
        ``true_slope`` (severity a year), ``true_subtype``, and ``limbic`` and ``sparing``, the
        subject's shares of these subtypes.
    """
    people = _subjects(n_subjects, stages, design, sites, rng)
    rows = people.loc[people.index.repeat(design.n_visits)].reset_index(drop=True)
    visit = np.tile(np.arange(design.n_visits), n_subjects)
    years = visit * float(design.interval)
    converted = (rows["converted"] == 1) & (rows["conversion_years"] <= years)
    session = [str(number + 1) for number in visit]
    several = [f"{who}_ses-{ses}" for who, ses in zip(rows["participant"], session, strict=True)]
    between, within = _FD_SPREAD
    motion = np.exp(between * rows["motion"] + within * rng.standard_normal(len(rows)))
    return rows.assign(
        subject=rows["participant"] if design.n_visits == 1 else several,
        session=session,
        years=years,
        stage=np.where(converted, "AD", rows["stage"]),
        age=np.rint(rows["age"] + years).astype(np.int64),
        motion=_FD * motion,
        true_severity=np.minimum(rows["true_severity"] + rows["true_slope"] * years, _WORST),
    )


def _subjects(
    n_subjects: int, stages: Sequence[str], design: Design, sites: Sites, rng: np.random.Generator
) -> pd.DataFrame:
    """One row a subject, at the first visit; motion as a standard normal deviate."""
    stage = rng.permutation([stages[number % len(stages)] for number in range(n_subjects)])
    centre = np.array([severity(str(each)) for each in stage])
    amount = np.clip(centre + _SPREAD * rng.standard_normal(n_subjects), 0.0, _WORST)
    sex = rng.choice(["F", "M"], n_subjects)
    age = design.age + design.age_gap * centre + design.age_spread * rng.standard_normal(n_subjects)
    icv = np.array([_ICV[each] for each in sex]) + _ICV_SPREAD * rng.standard_normal(n_subjects)
    shares = rng.dirichlet(_SUBTYPE_WEIGHTS, n_subjects)
    least, more, spread = _SLOPE
    slope = (least + more * amount) * np.exp(spread * rng.standard_normal(n_subjects))
    converted, years = _conversion(amount, slope, design, rng)
    impaired = np.isin(stage, MCI)
    width = max(3, len(str(n_subjects)))
    return pd.DataFrame(
        {
            "person": np.arange(n_subjects),
            "participant": [f"{number + 1:0{width}d}" for number in range(n_subjects)],
            "stage": stage.astype(object),
            "age": age,
            "sex": sex,
            "icv": np.round(icv, 1),
            "site": _site(stage, stages, sites, rng),
            "motion": _motion(centre, sites.motion_confounded, rng),
            "converted": np.where(impaired, converted, np.nan),
            "conversion_years": np.where(impaired, years, np.nan),
            "true_severity": amount,
            "true_slope": slope,
            "true_subtype": [_SUBTYPES[number] for number in shares.argmax(axis=1)],
            "limbic": shares[:, 1],
            "sparing": shares[:, 2],
        }
    )


def _conversion(
    amount: Floats, slope: Floats, design: Design, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Whether severity passes the subject's threshold before the follow-up ends, and when."""
    threshold = _THRESHOLD + _RESERVE * rng.standard_normal(len(amount))
    time = np.maximum((threshold - amount) / slope, _SOONEST)
    last_scan = (design.n_visits - 1) * design.interval
    end = np.maximum(design.follow_up * rng.uniform(0.4, 1.0, len(amount)), last_scan)
    return (time <= end).astype(np.float64), np.minimum(time, end)


def _site(
    stage: NDArray[np.str_], stages: Sequence[str], sites: Sites, rng: np.random.Generator
) -> NDArray[np.str_]:
    """Name of each subject's site: drawn, or for the confounded share that of the stage."""
    rank = np.array([list(stages).index(each) for each in stage])
    drawn = rng.integers(sites.n_sites, size=len(stage))
    bound = rank * sites.n_sites // len(stages)
    number = np.where(rng.random(len(stage)) < sites.confounded, bound, drawn)
    return np.array([chr(ord("A") + each) for each in number], dtype=str)


def _motion(centre: Floats, correlation: float, rng: np.random.Generator) -> Floats:
    """Standard normal deviates with a given correlation with the severity of the stage."""
    spread = float(centre.std())
    known = (centre - centre.mean()) / spread if spread > 0 else np.zeros_like(centre)
    own = rng.standard_normal(len(centre))
    return np.asarray(correlation * known + np.sqrt(1.0 - correlation**2) * own)
