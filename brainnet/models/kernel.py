"""A kernel between graphs on the same regions: how alike heat spreads in them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from brainnet._network import measured_regions
from brainnet.cohort.subjects import Subjects
from brainnet.models.edges import SubjectsTransformer
from brainnet.models.stages import StagePipeline
from brainnet.models.svm import StageSVM

__all__ = ["DiffusionKernel", "graph_kernel", "heat"]

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


def graph_kernel(*, seed: int = 0) -> StagePipeline:
    """Return a support vector machine on the :class:`DiffusionKernel` of graphs.

    Parameters
    ----------
    seed : int
        Seed of the inner folds.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.uniform(0, 0.1, size=(12, 1, 6, 6))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> networks[6:, 0, 1, :] = networks[6:, 0, :, 1] = 0.8
    >>> graph_kernel().fit(networks, ["CN"] * 6 + ["AD"] * 6).predict(networks[[0, -1]])
    array(['CN', 'AD'], dtype='<U2')
    """
    return StagePipeline(
        [
            ("kernel", DiffusionKernel()),
            ("classify", StageSVM(kernel="precomputed", seed=seed)),
        ]
    )


class DiffusionKernel(SubjectsTransformer):
    r"""Compare graphs by heat that spreads from each region to each other.

    The graph of a modality is its strongest positive edges :math:`W` up to ``density``; edges as
    strong as the weakest of these stay too. With :math:`D` its strengths and the normalised
    Laplacian :math:`L = I - D^{-1/2} W D^{-1/2}`, the heat that goes from region :math:`i` to
    region :math:`j` in time :math:`t` is an entry of :math:`H_t = e^{-tL}`: all walks between
    the two, long ones counting the less the shorter the time. Two subjects' graphs have the same
    regions, so their heat is compared entry by entry, and the modalities' kernels are averaged:

    .. math::

        d_m^2(a, b) = \sum_t \lVert H_t^{(a,m)} - H_t^{(b,m)} \rVert_F^2, \qquad
        K(a, b) = \frac 1 M \sum_m \exp(-d_m^2(a, b) / \sigma_m^2),

    :math:`\sigma_m^2` the median of the training subjects' :math:`d_m^2`. A Gaussian of a
    Euclidean distance is positive definite, and so is the mean. The same renumbering of
    everybody's regions changes nothing. Kernels that look for matching subtrees or walks without
    knowing which node is which (Weisfeiler-Lehman, graphlets) would throw the correspondence away;
    with one label a region they match only identical neighbourhoods.

    Heat to and from an unmeasured region, and all heat of a missing modality, is filled by the
    mean of the training subjects.

    Parameters
    ----------
    density : float
        Share of the pairs of measured regions kept as edges, in (0, 1].
    times : sequence of float
        Of diffusion, positive.

    Attributes
    ----------
    heat_ : (n_subjects, n_modalities, n_entries) float32 array
        Of the training subjects, less ``mean_``; off-diagonal entries times :math:`\sqrt 2`.
    mean_ : (n_modalities, n_entries) float32 array
        NaN where no training subject has any: there all subjects are alike.
    width_ : (n_modalities,) array
        :math:`\sigma_m^2`.

    References
    ----------
    Hammond, Gur and Johnson (2013), Graph diffusion distance, IEEE GlobalSIP 419-422 (the
    distance, at its largest over time). Kondor and Lafferty (2002), Diffusion kernels on graphs,
    ICML 315-322. Schoenberg (1938), Trans Am Math Soc 44:522 (why its Gaussian is a kernel).

    Examples
    --------
    >>> networks = np.random.default_rng(0).uniform(size=(4, 1, 6, 6))
    >>> kernel = DiffusionKernel().fit_transform(networks + networks.swapaxes(2, 3))
    >>> kernel.shape, bool((np.linalg.eigvalsh(kernel) > 0).all())
    ((4, 4), True)
    """

    def __init__(self, *, density: float = 0.2, times: Sequence[float] = (1.0,)) -> None:
        self.density = density
        self.times = times

    def fit(self, networks: ArrayLike, y: object = None) -> "DiffusionKernel":
        """Keep the training subjects' heat, and learn its mean and spread."""
        self.fit_transform(networks)
        return self

    def fit_transform(self, networks: ArrayLike, y: object = None) -> Floats:
        """Return the kernel among the training subjects, ``(n_subjects, n_subjects)``."""
        self._check()
        found = self._heat(self.learn_layout(networks))
        seen = np.isfinite(found)
        count = seen.sum(axis=0)
        mean = np.where(seen, found, 0).sum(axis=0) / np.maximum(count, 1)
        self.mean_: Singles = np.where(count > 0, mean, np.nan).astype(np.float32)
        self.heat_: Singles = np.nan_to_num(found - self.mean_)
        apart = self._squared_distances(self.heat_)
        pairs = np.triu_indices(len(found), k=1)
        self.width_ = np.array([_typical(each[pairs]) for each in apart])
        return self._kernel(apart)

    def transform(self, networks: ArrayLike) -> Floats:
        """Return the kernel with each training subject, ``(n_subjects, n_training)``."""
        check_is_fitted(self)
        found = self._heat(self.check_layout(networks))
        return self._kernel(self._squared_distances(np.nan_to_num(found - self.mean_)))

    def _check(self) -> None:
        if not 0 < self.density <= 1:
            raise ValueError(f"density must be in (0, 1]; got {self.density}. Try 0.2.")
        if not len(self.times) or min(self.times) <= 0:
            raise ValueError(f"times must be positive; got {self.times!r}. Try (1.0,).")

    def _heat(self, subjects: Subjects) -> Singles:
        """Return ``(n_subjects, n_modalities, n_times * n_pairs)``, NaN where not measured."""
        n_regions = subjects.shape[-1]
        rows, columns = np.triu_indices(n_regions)
        weights = np.where(rows == columns, 1.0, np.sqrt(2.0)).astype(np.float32)
        found = np.empty((*subjects.shape[:2], len(self.times), rows.size), dtype=np.float32)
        for place in np.ndindex(subjects.shape[:2]):
            spread = heat(subjects.edges[place], density=self.density, times=self.times)
            found[place] = spread[:, rows, columns] * weights
        return found.reshape(*subjects.shape[:2], -1)

    def _squared_distances(self, others: Singles) -> Floats:
        """Return ``(n_modalities, n_others, n_training)``."""
        apart = np.empty((others.shape[1], len(others), len(self.heat_)))
        for each in range(others.shape[1]):
            left = others[:, each].astype(np.float64)
            right = left if others is self.heat_ else self.heat_[:, each].astype(np.float64)
            lengths = np.add.outer(np.sum(left**2, axis=1), np.sum(right**2, axis=1))
            apart[each] = np.maximum(lengths - 2 * left @ right.T, 0.0)
        return apart

    def _kernel(self, apart: Floats) -> Floats:
        kernel: Floats = np.exp(-apart / self.width_[:, np.newaxis, np.newaxis]).mean(axis=0)
        return kernel


def heat(weights: Floats, *, density: float, times: Sequence[float]) -> Floats:
    r"""Return the heat that spreads in the strongest edges of one network.

    Parameters
    ----------
    weights : (n_regions, n_regions) array
        Symmetric; NaN where not measured. The diagonal is ignored.
    density : float
        Share of the pairs of measured regions kept, in (0, 1].
    times : sequence of float

    Returns
    -------
    (n_times, n_regions, n_regions) array
        In [0, 1], symmetric; NaN for unmeasured regions. A region without an edge keeps its heat.

    Examples
    --------
    >>> heat(np.array([[0, 0.5], [0.5, 0]]), density=1, times=[50.0]).round(2)
    array([[[0.5, 0.5],
            [0.5, 0.5]]])
    """
    found = np.full((len(times), *weights.shape), np.nan)
    there = np.flatnonzero(measured_regions(weights))
    if not there.size:
        return found
    graph = _strongest(weights[np.ix_(there, there)], density)
    strength = graph.sum(axis=1)
    root = np.divide(1.0, np.sqrt(strength), out=np.zeros_like(strength), where=strength > 0)
    values, vectors = np.linalg.eigh(
        np.diag((strength > 0).astype(np.float64)) - root[:, np.newaxis] * graph * root
    )
    for place, time in enumerate(times):
        spread = (vectors * np.exp(-time * values)) @ vectors.T
        found[place][np.ix_(there, there)] = spread
    return found


def _strongest(weights: Floats, density: float) -> Floats:
    """Return the positive edges no weaker than the last that the density allows."""
    edges = np.nan_to_num(weights)
    np.fill_diagonal(edges, 0.0)
    upper = edges[np.triu_indices(len(edges), k=1)]
    n_kept = max(1, round(density * upper.size))
    least = np.partition(upper, -n_kept)[-n_kept]
    return np.asarray(np.where((edges >= least) & (edges > 0), edges, 0.0))


def _typical(squared: Floats) -> float:
    """Return the median of the distances that are not 0; 1 where all are."""
    apart = squared[squared > 0]
    return float(np.median(apart)) if apart.size else 1.0
