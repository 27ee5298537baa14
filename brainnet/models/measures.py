"""Network measures of subjects as features; a measure of one subject looks at no other."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from brainnet._network import measured_regions, strongest_edges
from brainnet.cohort.subjects import Subjects
from brainnet.metrics.measures import MEASURES, Level

__all__ = ["GRAPH_MEASURES", "REGIONAL_MEASURES", "with_measures"]

Floats = NDArray[np.float64]

REGIONAL_MEASURES = (
    "strength",
    "clustering_weighted",
    "local_efficiency_weighted",
    "betweenness_weighted",
    "eigenvector_centrality",
    "participation_coefficient",
)
"""Of each region (:data:`brainnet.metrics.measures.MEASURES`)."""

GRAPH_MEASURES = (
    "global_efficiency_weighted",
    "characteristic_path_length_weighted",
    "transitivity_weighted",
    "assortativity_binary",
    "modularity",
)
"""Of each network."""

#: Strength of all positive edges: at a fixed density the kept edges hide a loss of all of them.
_OVERALL = "mean_weight"


def with_measures(
    subjects: Subjects,
    *,
    density: float = 0.2,
    regional: Sequence[str] = REGIONAL_MEASURES,
    graph: Sequence[str] = GRAPH_MEASURES,
    seed: int = 0,
) -> Subjects:
    """Return the subjects with their network measures; as they are where they have some.

    Each network keeps its strongest positive edges (at equal density measures differ by shape,
    not by the number of edges) and is measured by :mod:`brainnet.metrics`. ``mean_weight``, the
    mean of all edges of a network, comes first among the measures of networks.

    Parameters
    ----------
    subjects : Subjects
    density : float
        Share of all possible edges kept, in (0, 1].
    regional, graph : sequences of str
        Names of :data:`brainnet.metrics.measures.MEASURES`.
    seed : int
        Of the modules that some measures need.

    Returns
    -------
    Subjects
        With ``measures``, ``graph_measures`` and their names; NaN for a region or a network that
        was not measured (fewer than three regions are no network). A path length is NaN where a
        network is in pieces. A single unmeasured edge between measured regions counts as none.

    Raises
    ------
    ValueError
        ``density`` is outside (0, 1], or a measure is not known.

    Examples
    --------
    >>> from brainnet.cohort.subjects import as_subjects
    >>> subjects = with_measures(as_subjects(np.ones((2, 1, 6, 6)) - np.eye(6)), density=0.5)
    >>> subjects.measures.shape, subjects.graph_measure_names[0]
    ((2, 1, 6, 6), 'mean_weight')
    """
    if subjects.measure_names:
        return subjects
    if not 0 < density <= 1:
        raise ValueError(f"density must be in (0, 1]; got {density}. Try 0.2.")
    unknown = [name for name in (*regional, *graph) if name not in MEASURES]
    if unknown:
        raise ValueError(f"measures must be of {', '.join(MEASURES)}; got {', '.join(unknown)}.")
    n_regions = subjects.shape[-1]
    flat = subjects.edges.reshape(-1, n_regions, n_regions).copy()
    diagonal = np.arange(n_regions)
    there = measured_regions(flat)
    flat[:, diagonal, diagonal] = np.where(there, 0.0, np.nan)
    of_regions = np.full((len(flat), n_regions, len(regional)), np.nan)
    of_graphs = np.full((len(flat), 1 + len(graph)), np.nan)
    patterns, which = np.unique(there, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        places = np.flatnonzero(pattern)
        if len(places) < 3:
            continue
        rows = np.flatnonzero(which.reshape(-1) == number)
        networks = flat[np.ix_(rows, places, places)]
        of_graphs[rows, 0] = _mean_weight(networks)
        # as metrics ask for: symmetric to the last digit, and no NaN between measured regions
        networks = np.nan_to_num((networks + networks.swapaxes(1, 2)) / 2)
        level = Level(strongest_edges(networks, density), seed=seed)
        for column, name in enumerate(regional):
            found = MEASURES[name].take(level)
            of_regions[rows[:, np.newaxis], places, column] = found
        for column, name in enumerate(graph, start=1):
            of_graphs[rows, column] = MEASURES[name].take(level)
    of_regions[~np.isfinite(of_regions)] = np.nan
    of_graphs[~np.isfinite(of_graphs)] = np.nan
    return replace(
        subjects,
        measures=of_regions.reshape(*subjects.shape[:3], len(regional)),
        graph_measures=of_graphs.reshape(*subjects.shape[:2], 1 + len(graph)),
        measure_names=tuple(regional),
        graph_measure_names=(_OVERALL, *graph),
    )


def _mean_weight(networks: Floats) -> Floats:
    """Return the mean of the measured edges of each network."""
    n_edges = np.isfinite(networks).sum(axis=(1, 2)) - networks.shape[-1]  # less the diagonal
    return np.asarray(np.nansum(networks, axis=(1, 2)) / n_edges)
