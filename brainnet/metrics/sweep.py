"""Many networks, at many densities, beside many nulls: all measures in one labelled table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from brainnet._network import edge_ranks, keep_strongest, measured_regions
from brainnet.metrics import nulls as null_models
from brainnet.metrics._rows import Rows, Writer, lay_out, to_table, whole_and_regions
from brainnet.metrics._subjects import FEWEST, Networks, chunks, open_subjects
from brainnet.metrics.measures import MEASURES, STANDARD, Level, Measure

DENSITIES = (0.10, 0.15, 0.20, 0.25)
"""Densities at which networks are measured unless others are asked for."""

NULL_BYTES = 64_000_000
"""Nulls of one network that are held together."""


@dataclass(frozen=True)
class Nulls:
    """Networks without structure, which each network is held against.

    Attributes
    ----------
    n : int
        How many for each network and density.
    model : callable
        ``model(networks, n_nulls=n, rng=rng)``: a function of ``brainnet.metrics.nulls``.
    measures : sequence of str
        What is measured of them; those of the sweep are taken.
    """

    n: int = 100
    model: Callable[..., NDArray[Any]] = null_models.rewire
    measures: Sequence[str] = ("clustering_binary", "characteristic_path_length_binary")


def sweep(
    networks: Networks,
    measures: Sequence[str] | Mapping[str, Measure] = STANDARD,
    *,
    densities: Sequence[float] | None = None,
    thresholds: Sequence[float] | None = None,
    nulls: Nulls | None = None,
    regions: Sequence[str] | None = None,
    unmeasured: str = "fail",
    seed: int = 0,
) -> pd.DataFrame:
    r"""Return the measures of many networks at several densities as one long table.

    At each density the strongest positive edges stay (``connectome.threshold.proportional``), at
    each threshold the edges of at least that weight. A few subjects' networks are held at a time,
    so an iterable may be larger than memory; what grows is the table. The area under the curve of
    each measure, by the trapezoidal rule, is a row of its own: ``<measure>_auc``.

    Parameters
    ----------
    networks : (n_subjects, [n_modalities,] n_regions, n_regions) array, DataArray or iterable
        Symmetric, signed, zero diagonal. A DataArray (``cohort["edges"]``) brings its labels. An
        iterable gives pairs of a subject's name and its ``([n_modalities,] n_regions, n_regions)``
        array or DataArray.
    measures : sequence of str, or mapping of str to Measure, optional
        Names in ``metrics.measures.MEASURES``, or your own measures in the same form.
    densities : increasing sequence of float, optional
        Above 0 and at most 1. If neither these nor thresholds are given, ``DENSITIES``.
    thresholds : increasing sequence of float, optional
        Weights, at least 0; an edge of weight 0 never stays. Not together with densities.
    nulls : Nulls, optional
        Networks to hold each one against, at each density.
    regions : sequence of n_regions str, optional
        Names, none of them 'global'. Default: those of the DataArray, or numbers from 0.
    unmeasured : {'fail', 'leave_out', 'drop'}, optional
        What to do about regions that are NaN. ``fail``: raise. ``leave_out``: the network of each
        scan's measured regions is what is measured, and densities are shares of its pairs; the
        others have their rows, with the value NaN. ``drop``: regions that any network lacks are
        taken out of all networks beforehand (not for an iterable).
    seed : int, optional
        Of modules and nulls. The rows of a network do not depend on which others are in the call.

    Returns
    -------
    DataFrame
        Columns ``subject``, ``modality``, ``measure``, ``density`` (or ``threshold``; NaN for
        areas and for measures before thresholding), ``region`` ('global' or a name), ``value``;
        with nulls also ``null_mean`` and ``null_std`` (over the nulls, with n - 1), NaN for
        measures that were not taken of them. ``value / null_mean`` is the normalised measure,
        ``(value - null_mean) / null_std`` its z. All but the numbers are categorical.

        *Before thresholding* always: ``n_regions_measured``, and ``mean_weight`` of the whole
        network and of each region. A network with fewer than 3 measured regions has NaN
        elsewhere, with a warning.

    Raises
    ------
    ValueError
        If the networks are not square, symmetric and finite, a name is unknown, levels are out of
        range or order, or regions are unmeasured and ``unmeasured`` is 'fail'. The message names
        the subject.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069; for the area under the curve, Hosseini,
    Hoeft and Kesler (2012), PLoS One 7:e40709.

    Examples
    --------
    >>> networks = np.ones((2, 4, 4)) - np.eye(4)
    >>> table = sweep(networks, ["global_efficiency_binary"], densities=(0.5, 1.0))
    >>> table[(table.density == 1)][["subject", "measure", "value"]]
       subject                   measure  value
    7        0  global_efficiency_binary    1.0
    16       1  global_efficiency_binary    1.0
    """
    plan = _plan(measures, densities, thresholds, nulls, seed)
    subjects = open_subjects(networks, regions, unmeasured)
    rows = lay_out(plan.measures, plan.levels, subjects.regions)
    names, blocks = [], []
    with tqdm(total=subjects.total and subjects.total * len(plan.levels), unit="level",
              desc="Measuring networks", disable=None, delay=2) as progress:  # fmt: skip
        for some_names, chunk in chunks(subjects):
            names += some_names
            blocks.append(_measured(chunk, plan, rows, progress.update))
    return to_table(names, subjects.modalities, rows, blocks, plan.column)


@dataclass(frozen=True)
class _Plan:
    """What is done with each network."""

    measures: Mapping[str, Measure]
    levels: tuple[float, ...]
    column: str  # 'density' or 'threshold'
    nulls: Nulls | None
    seed: int


def _plan(
    measures: Sequence[str] | Mapping[str, Measure],
    densities: Sequence[float] | None,
    thresholds: Sequence[float] | None,
    nulls: Nulls | None,
    seed: int,
) -> _Plan:
    """Return what to do, or say what is wrong with what was asked for."""
    if isinstance(measures, str):
        measures = [measures]
    own = dict(measures) if isinstance(measures, Mapping) else {}
    unknown = [name for name in measures if name not in own and name not in MEASURES]
    if unknown:
        raise ValueError(
            f"measures must be names in metrics.measures.MEASURES; got {', '.join(unknown)}. "
            "Pass a mapping of names to metrics.measures.Measure for your own."
        )
    chosen = own or {name: MEASURES[name] for name in measures}
    if densities is not None and thresholds is not None:
        raise ValueError("densities and thresholds must not both be given; choose one.")
    if thresholds is not None:
        levels, column = _check_levels("thresholds", thresholds, np.inf), "threshold"
    else:
        levels = _check_levels("densities", DENSITIES if densities is None else densities, 1.0)
        column = "density"
    if nulls is not None:
        absent = [name for name in nulls.measures if name not in chosen]
        if absent or nulls.n < 1:
            raise ValueError(
                f"nulls must be at least 1, of measures that the sweep takes; got n = {nulls.n} "
                f"and {', '.join(absent) or 'no measure'} beyond them. Name them in measures too."
            )
    return _Plan(chosen, levels, column, nulls, seed)


def _check_levels(name: str, levels: Sequence[float], largest: float) -> tuple[float, ...]:
    """Return densities or thresholds as numbers, or say that they are out of range or order."""
    values = np.asarray(levels, dtype=np.float64)
    above = values > 0 if name == "densities" else values >= 0
    inside = values.ndim == 1 and len(values) > 0 and bool((above & (values <= largest)).all())
    if not inside or (np.diff(values) <= 0).any():
        span = "within (0, 1]" if name == "densities" else "from 0"
        raise ValueError(
            f"{name} must increase {span}; got {levels}. Pass for example {DENSITIES}."
        )
    return tuple(values.tolist())


def _measured(
    chunk: NDArray[np.float64], plan: _Plan, rows: Rows, step: Callable[[float], Any]
) -> NDArray[np.float64]:
    """Return (n_subjects, n_modalities, n_columns, n_rows): values, and what nulls gave."""
    networks = chunk.reshape(-1, *chunk.shape[-2:])
    n_columns = 1 if plan.nulls is None else 3
    out = np.full((len(networks), n_columns, len(rows.measure)), np.nan)
    patterns, which = np.unique(measured_regions(networks), axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        chosen, places = np.flatnonzero(which.reshape(-1) == number), np.flatnonzero(pattern)
        group = np.full((len(chosen), *out.shape[1:]), np.nan)
        group[:, 0, rows.starts["n_regions_measured", -1]] = len(places)
        if len(places) >= FEWEST:
            weights = np.ascontiguousarray(networks[chosen][:, places[:, None], places])
            _measure_group(weights, plan, Writer(group, rows, places, chunk.shape[1]), step)
        else:
            step(len(plan.levels) * len(chosen) / chunk.shape[1])
        out[chosen] = group
    return out.reshape(*chunk.shape[:2], *out.shape[1:])


def _measure_group(
    weights: NDArray[np.float64], plan: _Plan, writer: Writer, step: Callable[[float], Any]
) -> None:
    """Measure networks of the same measured regions at all levels."""
    mean = weights.sum(axis=-1) / (weights.shape[-1] - 1)
    unthresholded = Measure(lambda at: at.weights, regional=True, averaged=True)
    writer.put(("mean_weight", -1), whole_and_regions(mean, unthresholded), unthresholded)
    ranks = edge_ranks(weights) if plan.column == "density" else None
    curves: dict[str, list[NDArray[np.float64]]] = {name: [] for name in plan.measures}
    for place, level in enumerate(plan.levels):
        if ranks is None:
            kept = np.where((weights >= level) & (weights > 0), weights, 0.0)
        else:
            kept = keep_strongest(weights, ranks, level)
        at = Level(kept, plan.seed)
        for name, measure in plan.measures.items():
            values = whole_and_regions(measure.take(at), measure)
            writer.put((name, place), values, measure)
            curves[name].append(values)
        if plan.nulls is not None:
            _measure_nulls(kept, place, plan, plan.nulls, writer)
        step(len(weights) / writer.n_modalities)
    if len(plan.levels) > 1:
        for name, measure in plan.measures.items():
            if measure.has_area:
                area = np.trapezoid(curves[name], x=np.asarray(plan.levels), axis=0)
                writer.put((f"{name}_auc", -1), area, measure)


def _measure_nulls(
    networks: NDArray[np.float64], place: int, plan: _Plan, nulls: Nulls, writer: Writer
) -> None:
    """Write the mean and standard deviation of measures over the nulls of each network."""
    measures = {name: plan.measures[name] for name in nulls.measures}
    if not any(measure.weighted for measure in measures.values()):
        networks = np.asarray(networks > 0)
    at_once = max(1, NULL_BYTES // networks[0].nbytes)
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in measures}
    for network in networks:
        rng = np.random.default_rng([plan.seed, place])  # the same whatever else is measured
        parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in measures}
        for first in range(0, nulls.n, at_once):
            drawn = nulls.model(network, n_nulls=min(at_once, nulls.n - first), rng=rng)
            at = Level(drawn, plan.seed)
            for name, measure in measures.items():
                parts[name].append(whole_and_regions(measure.take(at), measure))
        for name in measures:
            found[name].append(np.concatenate(parts[name]))
    for name, measure in measures.items():
        samples = np.array(found[name])  # (n_networks, n_nulls, n_values)
        writer.put((name, place), samples.mean(axis=1), measure, column=1)
        if nulls.n > 1:
            writer.put((name, place), samples.std(axis=1, ddof=1), measure, column=2)
