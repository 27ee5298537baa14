"""Networks as points of the curved space of positive definite matrices, flattened at their mean."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from brainnet._network import measured_regions
from brainnet.cohort.subjects import Subjects
from brainnet.models.edges import EdgeImputer, SubjectsTransformer
from brainnet.models.linear import StageLogistic
from brainnet.models.stages import StagePipeline

__all__ = ["TangentSpace", "tangent_logistic"]

Floats = NDArray[np.float64]


def tangent_logistic(*, seed: int = 0) -> StagePipeline:
    """Return logistic regression in the tangent space of the training subjects' networks.

    Parameters
    ----------
    seed : int
        Seed of the inner folds.

    References
    ----------
    Dadi et al. (2019), NeuroImage 192:115 (the best of the connectivity measures they compared).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> networks = rng.uniform(-0.1, 0.1, size=(12, 1, 5, 5))
    >>> networks = networks + networks.swapaxes(2, 3)
    >>> networks[6:, 0, 1, 2] = networks[6:, 0, 2, 1] = 0.8
    >>> tangent_logistic().fit(networks, ["CN"] * 6 + ["AD"] * 6).predict(networks[[0, -1]])
    array(['CN', 'AD'], dtype='<U2')
    """
    return StagePipeline([("tangent", TangentSpace()), ("classify", StageLogistic(seed=seed))])


class TangentSpace(SubjectsTransformer):
    r"""Project each modality's networks onto the tangent space at the training subjects' mean.

    A network becomes a positive definite matrix :math:`C`: unit diagonal (edges divided by the
    largest absolute one of the training subjects where that is above 1), off-diagonal entries
    shrunk by :math:`1 - \lambda`, eigenvalues below :math:`\lambda` raised to it (those of a
    correlation matrix never are). With the mean :math:`G` of the training subjects it is

    .. math:: T = \log(G^{-1/2} \, C \, G^{-1/2}),

    whose upper triangle, off-diagonal entries times :math:`\sqrt 2`, is the row of the subject:
    distances between rows are those along the curved space, to first order. Each modality is
    divided by the root mean square length of its training rows.

    The mean starts as the log-Euclidean one, :math:`\exp(\frac 1 n \sum \log C)`, and moves to
    the geometric mean, where the training rows sum to 0, until their mean is shorter than
    ``tol`` of their root mean square length.

    Unmeasured edges are filled by the training medians. A modality that a subject lacks is at the
    mean: 0.

    Parameters
    ----------
    shrinkage : float
        :math:`\lambda`, in (0, 1).
    tol : float
        1e-7 gives the geometric mean to that precision; the usual 0.1 costs one decomposition a
        network, and moves the origin by less than subjects differ.
    max_iter : int
        Most steps of the mean.

    Attributes
    ----------
    mean_ : (n_modalities, n_regions, n_regions) array
        :math:`G`; the identity for a modality that no training subject has.
    whitening_ : (n_modalities, n_regions, n_regions) array
        :math:`G^{-1/2}`.
    unit_, length_ : (n_modalities,) arrays
        What edges and rows are divided by.

    References
    ----------
    Varoquaux et al. (2010), MICCAI 6361:200. Pennec et al. (2006), Int J Comput Vis 66:41.
    Arsigny et al. (2007), SIAM J Matrix Anal Appl 29:328 (the log-Euclidean mean).

    Examples
    --------
    >>> weights = np.array([0.2, 0.4, 0.6])[:, None, None, None] * (1 - np.eye(2))
    >>> TangentSpace(tol=1e-7).fit_transform(weights).round(2)
    array([[ 0.27, -1.12,  0.27],
           [ 0.06, -0.06,  0.06],
           [-0.33,  1.17, -0.33]])
    """

    def __init__(self, *, shrinkage: float = 0.1, tol: float = 0.1, max_iter: int = 30) -> None:
        self.shrinkage = shrinkage
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, networks: ArrayLike, y: object = None) -> "TangentSpace":
        """Learn the mean of the training subjects."""
        self.fit_transform(networks)
        return self

    def fit_transform(self, networks: ArrayLike, y: object = None) -> Floats:
        """Learn the mean, and return the rows of the same subjects."""
        if not 0 < self.shrinkage < 1:
            raise ValueError(f"shrinkage must be in (0, 1); got {self.shrinkage}. Try 0.1.")
        if self.max_iter < 1:
            raise ValueError(f"max_iter must be at least 1; got {self.max_iter}. Try 30.")
        subjects = self.learn_layout(networks)
        n_modalities, n_regions, _ = self.shape_
        self.imputer_ = EdgeImputer().fit(subjects)
        self.unit_, self.length_ = np.ones(n_modalities), np.ones(n_modalities)
        self.mean_ = np.tile(np.eye(n_regions), (n_modalities, 1, 1))
        self.whitening_ = self.mean_.copy()
        table = np.zeros((len(subjects), n_modalities, n_regions * (n_regions + 1) // 2))
        for each, there in enumerate(_networks_there(subjects).T):
            if there.any():
                table[there, each] = self._learn(each, subjects.edges[there, each])
        return table.reshape(len(table), -1)

    def transform(self, networks: ArrayLike) -> Floats:
        """Return rows ``(n_subjects, n_modalities * n_regions * (n_regions + 1) / 2)``."""
        check_is_fitted(self)
        subjects = self.check_layout(networks)
        n_modalities, n_regions, _ = self.shape_
        table = np.zeros((len(subjects), n_modalities, n_regions * (n_regions + 1) // 2))
        for each, there in enumerate(_networks_there(subjects).T):
            if there.any():
                matrices, _ = self._definite(each, subjects.edges[there, each])
                logs = _log_at(self.whitening_[each], matrices)
                table[there, each] = _vectors(logs) / self.length_[each]
        return table.reshape(len(table), -1)

    def _learn(self, each: int, edges: Floats) -> Floats:
        """Learn all of one modality, and return the rows of those who have it."""
        self.unit_[each] = max(1.0, float(np.nanmax(np.abs(edges))))
        matrices, logs = self._definite(each, edges)
        mean = _apply(np.exp, logs.mean(axis=0))
        for _ in range(self.max_iter):
            self.mean_[each], self.whitening_[each] = mean, _apply(_inverse_root, mean)
            logs = _log_at(self.whitening_[each], matrices)
            step = logs.mean(axis=0)
            if np.sum(step**2) <= self.tol**2 * np.sum(logs**2) / len(logs):
                break
            root = _apply(np.sqrt, mean)
            mean = _symmetric(root @ _apply(np.exp, step) @ root)
        rows = _vectors(logs)
        length = float(np.sqrt(np.mean(np.sum(rows**2, axis=1))))
        self.length_[each] = length if length > 1e-8 else 1.0  # all alike, but for rounding
        return np.asarray(rows / self.length_[each])

    def _definite(self, each: int, edges: Floats) -> tuple[Floats, Floats]:
        """Return positive definite matrices of one modality, and their logarithms."""
        filled = np.where(np.isnan(edges), self.imputer_.medians_[each], edges)
        matrices = filled * ((1 - self.shrinkage) / self.unit_[each])
        diagonal = np.arange(matrices.shape[-1])
        matrices[:, diagonal, diagonal] = 1.0
        logs = np.empty_like(matrices)
        for place, matrix in enumerate(matrices):
            values, vectors = np.linalg.eigh(matrix)
            if values[0] < self.shrinkage:
                values = np.maximum(values, self.shrinkage)
                matrices[place] = (vectors * values) @ vectors.T
            logs[place] = (vectors * np.log(values)) @ vectors.T
        return matrices, logs


def _networks_there(subjects: Subjects) -> NDArray[np.bool_]:
    """Return ``(n_subjects, n_modalities)``: whether any edge was measured."""
    return np.asarray(measured_regions(subjects.edges).any(axis=-1))


def _log_at(whitening: Floats, matrices: Floats) -> Floats:
    logs = np.empty_like(matrices)
    for place, matrix in enumerate(matrices):
        logs[place] = _apply(np.log, _symmetric(whitening @ matrix @ whitening))
    return logs


def _apply(function: Callable[[Floats], Floats], matrix: Floats) -> Floats:
    """Return a function of a symmetric matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * function(values)) @ vectors.T)


def _inverse_root(values: Floats) -> Floats:
    return np.asarray(1.0 / np.sqrt(values))


def _symmetric(matrix: Floats) -> Floats:
    return np.asarray((matrix + matrix.T) / 2)


def _vectors(matrices: Floats) -> Floats:
    """Return upper triangles with their diagonal, of the same length as the matrices."""
    n_regions = matrices.shape[-1]
    rows, columns = np.triu_indices(n_regions)
    flat = matrices.reshape(len(matrices), -1)
    weights = np.where(rows == columns, 1.0, np.sqrt(2.0))
    return np.asarray(np.take(flat, rows * n_regions + columns, axis=1) * weights)
