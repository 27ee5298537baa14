"""Subjects to the tensors of a graph network; all that this needs is learned in ``fit``."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from brainnet.cohort.subjects import Subjects, as_subjects
from brainnet.models.edges import EdgeImputer
from brainnet.models.graph.brains import Brains, strongest
from brainnet.models.measures import with_measures

__all__ = ["CONTEXT", "NODE_FEATURES", "GraphInputs", "check_density", "scale_of"]

Floats = NDArray[np.float64]

_CLIP = 6.0  # standard deviations; what lies beyond is an artefact or another scanner


def _profile(subjects: Subjects) -> Floats:
    return subjects.edges


def _measures(subjects: Subjects) -> Floats:
    return with_measures(subjects).measures


def _values(subjects: Subjects) -> Floats:
    return subjects.values[..., np.newaxis]


def _coordinates(subjects: Subjects) -> Floats:
    shape = (*subjects.shape[:3], 3)
    return np.broadcast_to(subjects.coordinates, shape)


#: What a region can be described by, each ``(n_subjects, n_modalities, n_regions, n_features)``:
#: its edges to all regions, its network measures, its volume or SUVR, its place (mm).
NODE_FEATURES: Mapping[str, Callable[[Subjects], Floats]] = MappingProxyType(
    {
        "profile": _profile,
        "measures": _measures,
        "values": _values,
        "coordinates": _coordinates,
    }
)


def _graph_measures(subjects: Subjects) -> Floats:
    return with_measures(subjects).graph_measures


def _regional_means(subjects: Subjects) -> Floats:
    """Mean over regions of each value and measure: a subject's level in each modality."""
    values = np.concatenate(
        [subjects.values[..., np.newaxis], with_measures(subjects).measures], axis=-1
    )
    seen = np.isfinite(values)
    count = seen.sum(axis=2)
    total = np.where(seen, values, 0.0).sum(axis=2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


#: What a subject as a whole can be described by, each
#: ``(n_subjects, n_modalities, n_features)``; in the tensors modality by modality.
CONTEXT: Mapping[str, Callable[[Subjects], Floats]] = MappingProxyType(
    {"graph_measures": _graph_measures, "regional_means": _regional_means}
)


class GraphInputs(TransformerMixin, BaseEstimator):
    """Turn subjects into :class:`~brainnet.models.graph.brains.Brains`.

    Learned in :meth:`fit`, from training subjects alone: the medians that fill unmeasured edges,
    and the mean and deviation of each edge and feature (of coordinates over regions). The graph
    of a subject (its strongest edges) and its network measures look at that subject only.

    Parameters
    ----------
    density : float
        Share of all possible edges kept in each modality's graph, in (0, 1].
    features : sequence of str
        Node features, of :data:`NODE_FEATURES`, one after the other.
    context : sequence of str
        Features of the subject as a whole, of :data:`CONTEXT`: all of the first modality, then
        all of the next.

    Attributes
    ----------
    imputer_ : EdgeImputer
    centre_, spread_ : (n_modalities, n_regions, n_regions) float32 arrays
        Of each edge.
    feature_centre_, feature_spread_ : (n_modalities, n_regions, n_features) float32 arrays
    context_centre_, context_spread_ : (n_context,) float32 arrays

    Examples
    --------
    >>> networks = np.random.default_rng(0).uniform(0, 1, size=(8, 2, 5, 5))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> batch = GraphInputs(density=0.3, features=("profile",)).fit_transform(networks)
    >>> tuple(batch.nodes.shape), tuple(batch.present.shape)
    ((8, 2, 5, 5), (8, 2))
    """

    def __init__(
        self,
        *,
        density: float = 0.2,
        features: Sequence[str] = ("profile",),
        context: Sequence[str] = (),
    ) -> None:
        self.density = density
        self.features = features
        self.context = context

    def fit(self, networks: object, y: object = None) -> "GraphInputs":
        """Learn from training subjects."""
        self._check()
        subjects = as_subjects(networks)
        self.imputer_ = EdgeImputer().fit(subjects)
        self.centre_, self.spread_ = scale_of(self.imputer_.transform(subjects))
        self.feature_centre_, self.feature_spread_ = _scale(self._node_features(subjects))
        self._scale_places(subjects)
        self.context_centre_, self.context_spread_ = _scale(self._context(subjects))
        return self

    def transform(self, networks: object) -> Brains:
        """Return the tensors of any subjects."""
        subjects = as_subjects(networks)
        filled = self.imputer_.transform(subjects)
        scaled = _scaled(filled.astype(np.float32), self.centre_, self.spread_)
        edges = torch.from_numpy(np.where(np.isnan(subjects.edges), np.float32(0), scaled))
        nodes = self._node_features(subjects)
        nodes = _scaled(nodes, self.feature_centre_, self.feature_spread_)
        context = _scaled(self._context(subjects), self.context_centre_, self.context_spread_)
        return Brains(
            nodes=_joined(edges, torch.from_numpy(nodes), self.features),
            edges=edges,
            adjacency=strongest(torch.from_numpy(filled.astype(np.float32)), density=self.density),
            context=torch.from_numpy(context),
            present=torch.from_numpy(subjects.present),
        )

    @property
    def sizes(self) -> dict[str, int]:
        """What a network must be made for, once fitted."""
        n_modalities, n_regions, n_others = self.feature_centre_.shape
        return {
            "n_features": n_others + ("profile" in self.features) * n_regions,
            "n_modalities": n_modalities,
            "n_regions": n_regions,
            "n_context": len(self.context_centre_),
        }

    def _check(self) -> None:
        check_density(self.density)
        for name, given, known in (
            ("features", self.features, NODE_FEATURES), ("context", self.context, CONTEXT),
        ):  # fmt: skip
            unknown = [each for each in given if each not in known]
            if unknown or isinstance(given, str):
                raise ValueError(f"{name} must be of {', '.join(known)}; got {given!r}.")
        if not self.features:
            raise ValueError("features must be one or more; got none. Try ('profile',).")

    def _node_features(self, subjects: Subjects) -> NDArray[np.float32]:
        """All but the profile, which is the scaled edges."""
        parts = [NODE_FEATURES[name](subjects) for name in self.features if name != "profile"]
        empty = np.empty((*subjects.shape[:3], 0))
        return np.asarray(np.concatenate([empty, *parts], axis=-1), dtype=np.float32)

    def _scale_places(self, subjects: Subjects) -> None:
        """Scale coordinates over regions: over subjects they do not vary."""
        others = [name for name in self.features if name != "profile"]
        if "coordinates" not in others:
            return
        if not np.isfinite(subjects.coordinates).all():
            raise ValueError(
                "coordinates must be known of every region to be a node feature; some are NaN. "
                "Gather with an atlas that has centroids, or leave 'coordinates' out of features."
            )
        widths = [NODE_FEATURES[name](subjects[:1]).shape[-1] for name in others]
        first = sum(widths[: others.index("coordinates")])
        columns = slice(first, first + 3)
        centre, spread = subjects.coordinates.mean(axis=0), subjects.coordinates.std(axis=0)
        self.feature_centre_[..., columns] = centre
        self.feature_spread_[..., columns] = np.where(spread > 0, spread, 1.0)

    def _context(self, subjects: Subjects) -> NDArray[np.float32]:
        parts = [CONTEXT[name](subjects) for name in self.context]
        empty = np.empty((*subjects.shape[:2], 0))
        by_modality = np.concatenate([empty, *parts], axis=2)
        return np.asarray(by_modality.reshape(len(subjects), -1), dtype=np.float32)


def _joined(edges: torch.Tensor, others: torch.Tensor, features: Sequence[str]) -> torch.Tensor:
    if "profile" not in features:
        return others
    return edges if not others.shape[-1] else torch.cat([edges, others], dim=-1)


def check_density(density: float) -> None:
    """Raise a ValueError unless ``density`` is a share of edges, in (0, 1]."""
    if not 0 < density <= 1:
        raise ValueError(f"density must be in (0, 1]; got {density}. Try 0.2.")


def scale_of(
    filled: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each edge's mean and standard deviation over subjects; 1 where it does not vary."""
    spread = filled.std(axis=0)
    centre = filled.mean(axis=0).astype(np.float32)
    return centre, np.where(spread > 1e-8, spread, 1.0).astype(np.float32)


def _scale(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation over the subjects that have each value; 0 and 1 where nobody has."""
    seen = np.isfinite(values)
    count = np.maximum(seen.sum(axis=0), 1)
    centre = np.where(seen, values, 0.0).sum(axis=0, dtype=np.float64) / count
    away = np.where(seen, values - centre, 0.0)
    spread = np.sqrt((away**2).sum(axis=0) / count)
    spread = np.where(spread > 1e-6 * np.maximum(1e-6, np.abs(centre)), spread, 1.0)
    return centre.astype(np.float32), spread.astype(np.float32)


def _scaled(
    values: NDArray[np.float32], centre: NDArray[np.float32], spread: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return values in deviations from the mean, 0 where not measured."""
    scaled = np.nan_to_num((values - centre) / spread, nan=0.0)
    return np.asarray(np.clip(scaled, -_CLIP, _CLIP), dtype=np.float32)
