"""The measures that a sweep knows by name, each in one row.

A measure is taken of a ``Level``: networks at one density or threshold, which hold what several
measures need (distances, modules) so that it is found once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainnet.metrics import (
    assortativity,
    betweenness,
    centrality,
    clustering,
    cores,
    degree,
    efficiency,
    modules,
    paths,
    robustness,
    roles,
)


@dataclass(frozen=True)
class Level:
    """Networks at one density or threshold.

    Attributes
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal; boolean where only the edges are known.
    seed : int
        Of whatever draws random numbers.
    """

    weights: NDArray[Any]
    seed: int = 0

    @cached_property
    def adjacency(self) -> NDArray[np.bool_]:
        """Return the edges."""
        return np.asarray(self.weights > 0)

    @cached_property
    def hops(self) -> NDArray[np.float64]:
        """Return the number of edges on shortest paths."""
        return paths.distances_binary(self.adjacency)

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """Return the lengths of shortest paths, with 1/weight for the length of an edge."""
        return paths.distances_weighted(self.weights)

    @cached_property
    def modules(self) -> NDArray[np.int64]:
        """Return the Louvain modules of the weights."""
        return modules.louvain(self.weights, rng=self.seed)


@dataclass(frozen=True)
class Measure:
    """How a named measure is taken.

    Attributes
    ----------
    take : callable
        From a ``Level`` of ``(..., n_regions, n_regions)`` to ``(...)`` or ``(..., n_regions)``.
    regional : bool
        It is one number a region.
    averaged : bool
        Its mean over the regions is a measure of the whole network, under the same name.
    weighted : bool
        It needs the weights, not only the edges.
    has_area : bool
        Its area under the curve means something.
    """

    take: Callable[[Level], NDArray[Any]]
    regional: bool = False
    averaged: bool = False
    weighted: bool = True
    has_area: bool = True


def _whole(take: Callable[[Level], NDArray[Any]], **options: bool) -> Measure:
    """Return a measure of the whole network."""
    return Measure(take, **options)


def _each(take: Callable[[Level], NDArray[Any]], **options: bool) -> Measure:
    """Return a measure of each region."""
    return Measure(take, regional=True, **options)


def _mean(take: Callable[[Level], NDArray[Any]], **options: bool) -> Measure:
    """Return a measure of each region, whose mean is one of the whole network."""
    return Measure(take, regional=True, averaged=True, **options)


MEASURES: Mapping[str, Measure] = {
    "density": _whole(lambda at: degree.density(at.adjacency), weighted=False),
    "n_components": _whole(lambda at: paths.n_components(at.hops), weighted=False),
    "global_efficiency_binary": _whole(
        lambda at: efficiency.global_efficiency_binary(at.adjacency), weighted=False
    ),
    "global_efficiency_weighted": _whole(lambda at: efficiency.mean_inverse(at.lengths)),
    "characteristic_path_length_binary": _whole(
        lambda at: paths.characteristic_path_length_binary(at.adjacency), weighted=False
    ),
    "characteristic_path_length_weighted": _whole(
        lambda at: paths.characteristic_path_length(at.lengths)
    ),
    "diameter_binary": _whole(lambda at: paths.diameter(at.hops), weighted=False),
    "radius_binary": _whole(lambda at: paths.radius(at.hops), weighted=False),
    "diameter_weighted": _whole(lambda at: paths.diameter(at.lengths)),
    "radius_weighted": _whole(lambda at: paths.radius(at.lengths)),
    "transitivity_binary": _whole(
        lambda at: clustering.transitivity_binary(at.adjacency), weighted=False
    ),
    "transitivity_weighted": _whole(lambda at: clustering.transitivity_weighted(at.weights)),
    "assortativity_binary": _whole(
        lambda at: assortativity.assortativity_binary(at.adjacency), weighted=False
    ),
    "assortativity_weighted": _whole(lambda at: assortativity.assortativity_weighted(at.weights)),
    "modularity": _whole(lambda at: modules.modularity(at.weights, at.modules)),
    "n_modules": _whole(lambda at: at.modules.max(axis=-1) + 1.0),
    "synchronizability": _whole(
        lambda at: robustness.synchronizability(at.weights.astype(np.float64))
    ),
    "degree": _mean(lambda at: degree.degree(at.adjacency), weighted=False),
    "strength": _mean(lambda at: degree.strength(at.weights)),
    "clustering_binary": _mean(
        lambda at: clustering.clustering_binary(at.adjacency), weighted=False
    ),
    "clustering_weighted": _mean(lambda at: clustering.clustering_weighted(at.weights)),
    "local_efficiency_binary": _mean(
        lambda at: efficiency.local_efficiency_binary(at.adjacency), weighted=False
    ),
    "local_efficiency_weighted": _mean(lambda at: efficiency.local_efficiency_weighted(at.weights)),
    "betweenness_binary": _each(
        lambda at: betweenness.betweenness_binary(at.adjacency), weighted=False
    ),
    "betweenness_weighted": _each(lambda at: betweenness.betweenness_weighted(at.weights)),
    "eigenvector_centrality": _each(lambda at: centrality.eigenvector_centrality(at.weights)),
    "pagerank": _each(lambda at: centrality.pagerank(at.weights)),
    "subgraph_centrality": _each(
        lambda at: centrality.subgraph_centrality(at.adjacency), weighted=False
    ),
    "coreness": _each(lambda at: cores.coreness(at.adjacency), weighted=False),
    "eccentricity_binary": _each(lambda at: paths.eccentricity(at.hops), weighted=False),
    "eccentricity_weighted": _each(lambda at: paths.eccentricity(at.lengths)),
    "vulnerability_binary": _each(
        lambda at: robustness.vulnerability_binary(at.adjacency), weighted=False
    ),
    "vulnerability_weighted": _each(lambda at: robustness.vulnerability_weighted(at.weights)),
    "participation_coefficient": _mean(
        lambda at: roles.participation_coefficient(at.weights, at.modules)
    ),
    "within_module_z": _each(lambda at: roles.within_module_z(at.weights, at.modules)),
    "module": _each(lambda at: at.modules, has_area=False),
}
"""Each measure by its name."""

STANDARD = (
    "density",
    "n_components",
    "global_efficiency_binary",
    "global_efficiency_weighted",
    "characteristic_path_length_binary",
    "characteristic_path_length_weighted",
    "transitivity_binary",
    "transitivity_weighted",
    "assortativity_binary",
    "modularity",
    "n_modules",
    "degree",
    "strength",
    "clustering_binary",
    "clustering_weighted",
    "local_efficiency_binary",
    "local_efficiency_weighted",
    "betweenness_binary",
    "betweenness_weighted",
    "eigenvector_centrality",
    "coreness",
    "participation_coefficient",
    "within_module_z",
    "module",
)
"""What a sweep measures unless other measures are asked for."""
