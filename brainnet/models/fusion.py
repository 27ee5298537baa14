"""Readings of a subject, whichever there are, joined by a Gaussian of each stage."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from brainnet.cohort.stages import SEVERITY
from brainnet.models.stages import balanced_weights

__all__ = ["STRENGTHS", "Fusion", "Reading", "fuse", "ridge_reading", "stage_targets"]

Floats = NDArray[np.float64]

#: Penalties that a reading chooses from, for rows of mean square length 1.
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)

_SHRINKAGE = 0.7  # of correlations between readings, towards none
_LEAST = 0.02  # eigenvalue of a correlation matrix, where readings overlap in few subjects


class Reading(NamedTuple):
    """A ridge regression of the stage.

    Attributes
    ----------
    coefficients : (n_subjects, n_targets) array
        Of the training subjects: a new subject's reading is its inner products with them, times
        these, and the intercept.
    intercept : (n_targets,) array
    held_out : (n_subjects, n_targets) array
        The reading of each training subject by the regression on all parts but its own.
    strength : float
    """

    coefficients: Floats
    intercept: Floats
    held_out: Floats
    strength: float


class Fusion(NamedTuple):
    r"""What each stage's readings are like: a mean for each, and one covariance.

    Attributes
    ----------
    means : (n_stages, n_readings) array
    covariance : (n_readings, n_readings) array
    scale : float
        What the logarithms are multiplied by, so that they are as sure as they are right.
    """

    means: Floats
    covariance: Floats
    scale: float

    def log_chances(self, readings: Floats) -> Floats:
        r"""Return the logarithms of the chances of stages, up to a constant of each subject.

        .. math:: -\tfrac{s}{2}\,(z_o - \mu_{ko})^T \Sigma_{oo}^{-1} (z_o - \mu_{ko})

        over the readings :math:`o` that the subject has: what is missing is integrated out, not
        filled in. All stages are equally likely beforehand.

        Parameters
        ----------
        readings : (n_subjects, n_readings) array
            NaN where there is none.

        Returns
        -------
        (n_subjects, n_stages) array
            Equal for all stages where a subject has no reading.
        """
        there = np.isfinite(readings)
        away = np.where(there[:, None], readings[:, None] - self.means, 0.0)
        both = there[:, :, None] & there[:, None, :]
        covariance = np.where(both, self.covariance, np.eye(readings.shape[1]))
        solved = np.linalg.solve(covariance, away.swapaxes(1, 2))
        found: Floats = -self.scale / 2 * np.einsum("nsd,nds->ns", away, solved)
        return found


def stage_targets(classes: Sequence[object] | NDArray) -> Floats:
    """Return what a reading is fitted to: the rank of each stage, or one column a class.

    Stages, numbers and two classes have an order; three or more of other names have none.

    Returns
    -------
    (n_classes, n_targets) array

    Examples
    --------
    >>> stage_targets(["CN", "MCI", "AD"]).ravel()
    array([0., 1., 2.])
    >>> stage_targets(["AD", "DLB", "FTD"]).shape
    (3, 3)
    """
    names = np.asarray(classes)
    text = names.dtype.kind not in "biuf"
    ordered = not text or len(names) == 2 or set(names.tolist()) <= set(SEVERITY)
    if not ordered:
        return np.eye(len(names))
    ranks = range(len(names))
    if text and len(names) > 2:
        order = sorted(names.tolist(), key=SEVERITY.index)
        ranks = [order.index(each) for each in names.tolist()]  # type: ignore[assignment]
    return np.asarray(ranks, dtype=np.float64)[:, None]


def ridge_reading(
    gram: Floats,
    targets: Floats,
    weights: Floats,
    parts: ArrayLike,
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> Reading:
    r"""Fit a weighted ridge regression in closed form, with its readings of parts held out.

    With :math:`K` the inner products, :math:`v` the roots of the weights, :math:`u_i = v_i y_i`,
    :math:`A = I - K_v (K_v + \alpha I)^{-1}` for :math:`K_v = v v^T \odot K`, and an intercept
    without a penalty, residuals are :math:`Ru` with :math:`R = A - A v v^T A / (v^T A v)`, and
    those of a part :math:`g` by the regression on all other rows :math:`R_{gg}^{-1} (Ru)_g`,
    exactly. The strength :math:`\alpha` is that of the least squared error held out.

    Parameters
    ----------
    gram : (n_subjects, n_subjects) array
        Inner products of the training subjects' columns.
    targets : (n_subjects, n_targets) array
    weights : (n_subjects,) array
        Of the subjects; positive.
    parts : (n_subjects,) array
        What is held out together, two or more. Rows of one participant belong in one part; with
        all stages in each part no stage can be told from who is missing. Held out one by one,
        the intercept alone tells each row's stage, the wrong way round.
    strengths : sequence of float
        To choose from, where ``gram`` has a mean diagonal of 1.

    Raises
    ------
    ValueError
        If there are fewer than two parts.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), The elements of statistical learning, 7.10.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(40, 300))
    >>> stage = np.repeat([0.0, 1.0], 20)[:, None]
    >>> rows += stage
    >>> found = ridge_reading(rows @ rows.T, stage, np.ones(40), np.arange(40) % 5)
    >>> bool(np.corrcoef(found.held_out[:, 0], stage[:, 0])[0, 1] > 0.8)
    True
    """
    _, place = np.unique(np.asarray(parts), return_inverse=True)
    if not place.any():
        raise ValueError("parts must be two or more; got one. Hold out some of the rows.")
    size = float(np.trace(gram)) / len(gram) or 1.0
    root = np.sqrt(weights / weights.mean())[:, None]
    values, vectors = np.linalg.eigh(root * gram * root.T / size)
    values = np.maximum(values, 0.0)
    turned, one = vectors.T @ (root * targets), vectors.T @ root
    rows_of = [np.flatnonzero(place == each) for each in range(place.max() + 1)]
    found = []
    for strength in sorted(strengths, reverse=True):
        left = strength / (values + strength)  # A in the basis of the eigenvectors
        intercept = (one[:, 0] * left) @ turned / ((one[:, 0] * left) @ one[:, 0])
        missed = vectors @ (left[:, None] * (turned - one * intercept))
        through = vectors @ (left[:, None] * one) / np.sqrt((one[:, 0] * left) @ one[:, 0])
        out = np.empty_like(missed)
        for rows in rows_of:
            own = (vectors[rows] * left) @ vectors[rows].T - through[rows] @ through[rows].T
            out[rows] = np.linalg.solve(own, missed[rows])
        found.append((float((out**2).sum()), strength, out, intercept))
    _, strength, out, intercept = min(found, key=lambda each: each[0])
    dual = vectors @ ((turned - one * intercept) / (values + strength)[:, None])
    return Reading(root * dual / size, intercept, targets - out / root, strength)


def fuse(
    readings: Floats, places: NDArray, parts: ArrayLike, *, shrinkage: float = _SHRINKAGE
) -> Fusion:
    """Learn the Gaussian of each stage from held-out readings of training subjects.

    Means and the covariance are taken over the subjects that have a reading, or both of two, each
    stage weighing the same; correlations are shrunk towards 0. A reading that nobody has says
    nothing; in a stage that lacks it, its mean is taken to be that of the others. The scale is
    that of the least log-loss of each part by means and a covariance learned without it.

    Parameters
    ----------
    readings : (n_subjects, n_readings) array
        Each by a model that the subject took no part in; NaN where there is none.
    places : (n_subjects,) array of int
        Stage of each, from 0; each has subjects.
    parts : (n_subjects,) array
        What is held out together to find the scale, two or more; rows of one participant in one.
    shrinkage : float
        In [0, 1].

    Examples
    --------
    >>> places = np.repeat([0, 1], 50)
    >>> readings = np.random.default_rng(0).normal(size=(100, 2)) + 2 * places[:, None]
    >>> readings[::3, 1] = np.nan
    >>> found = fuse(readings, places, np.arange(100) % 5).log_chances(readings)
    >>> bool((found.argmax(axis=1) == places).mean() > 0.8)
    True
    """
    n_stages, part = int(places.max()) + 1, np.asarray(parts)
    logs = np.zeros((len(places), n_stages))
    for each in np.unique(part).tolist():
        out = part == each
        if not out.all():
            others = _gaussians(readings[~out], places[~out], n_stages, shrinkage)
            logs[out] = others.log_chances(readings[out])
    scale = _best_scale(logs, places, balanced_weights(places))
    return _gaussians(readings, places, n_stages, shrinkage)._replace(scale=scale)


def _gaussians(readings: Floats, places: NDArray, n_stages: int, shrinkage: float) -> Fusion:
    """Return means and covariance, with a scale of 1."""
    there = np.isfinite(readings)
    known = np.where(there, readings, 0.0)
    member = np.eye(n_stages)[places]  # (n_subjects, n_stages)
    count, total = member.T @ there, member.T @ known
    means = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    seen = count > 0
    total_seen = np.where(seen, np.nan_to_num(means), 0.0).sum(axis=0)
    means = np.where(seen, means, total_seen / np.maximum(1, seen.sum(axis=0)))
    weights = balanced_weights(places)
    away = np.where(there, readings - means[places], 0.0)
    pairs = (there * weights[:, None]).T @ there
    covariance = (away * weights[:, None]).T @ away / np.maximum(pairs, 1e-12)
    spread = np.sqrt(np.diag(covariance))
    spread = np.where(spread > 1e-12, spread, 1.0)
    alike = (1 - shrinkage) * covariance / spread / spread[:, None]
    np.fill_diagonal(alike, 1.0)
    values, vectors = np.linalg.eigh(alike)
    alike = (vectors * np.maximum(values, _LEAST)) @ vectors.T
    return Fusion(means, alike * spread * spread[:, None], 1.0)


def _best_scale(logs: Floats, places: NDArray, weights: Floats) -> float:
    """Return the factor of the logarithms that gives the least log-loss."""
    rows = np.arange(len(places))

    def loss(scale: float) -> float:
        return -float(np.average(log_softmax(scale * logs, axis=1)[rows, places], weights=weights))

    return float(minimize_scalar(loss, bounds=(0.05, 2.0), method="bounded").x)
