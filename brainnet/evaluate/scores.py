"""Scores of probabilistic stage predictions, for many weightings of the subjects at once.

A bootstrap resample is a vector of counts, so 1000 of them are one matrix and a score is a few
matrix products: no loop, and the same code gives the estimate (all weights 1) and its interval.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["METRICS", "weighted_scores"]

METRICS = ("balanced_accuracy", "accuracy", "auc", "kappa", "f1", "log_loss")
_FLOOR = float(np.finfo(np.float64).eps)


def weighted_scores(
    probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike
) -> dict[str, NDArray[np.float64]]:
    r"""Return every score of :data:`METRICS` under every weighting of the subjects.

    ``balanced_accuracy`` is the mean recall of the stages, ``auc`` the mean area under the curve
    of each stage against the rest, ``f1`` the mean F1 of the stages, ``log_loss`` the mean of
    :math:`-\ln p` of the true stage (nats; ``p`` at least 2.2e-16), and ``kappa`` Cohen's with
    quadratic weights, :math:`1 - \sum (i-j)^2 O_{ij} / \sum (i-j)^2 E_{ij}`, for stages in order:
    CN taken for AD costs more than CN taken for SMC.

    Parameters
    ----------
    probabilities : (n_subjects, n_stages) array
        In 0 to 1. The predicted stage is the most probable, the first of equals.
    truth : (n_subjects,) array of int
        Index of the true stage.
    weights : (n_draws, n_subjects) array
        Non-negative, for example how often each subject was drawn.

    Returns
    -------
    dict of str to (n_draws,) array
        A stage of total weight 0 is left out of the means over stages; NaN where a score is
        not defined (kappa of one stage only).

    References
    ----------
    Hand and Till (2001), Machine Learning 45:171. Cohen (1968), Psychol Bull 70:213.

    Examples
    --------
    >>> scores = weighted_scores([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0, 1, 1], np.ones((1, 3)))
    >>> {name: round(float(value[0]), 3) for name, value in scores.items()}  # doctest: +ELLIPSIS
    {'balanced_accuracy': 0.75, 'accuracy': 0.667, 'auc': 1.0, 'kappa': 0.4, ...}
    """
    chances = np.asarray(probabilities, dtype=np.float64)
    true, draws = np.asarray(truth, dtype=np.intp), np.asarray(weights, dtype=np.float64)
    confusion = _confusion(chances, true, draws)  # (n_draws, true, predicted)
    with np.errstate(invalid="ignore", divide="ignore"):
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        of_truth, of_predicted = confusion.sum(axis=2), confusion.sum(axis=1)
        recall = hits / of_truth
        f1 = np.where(of_truth > 0, 2 * hits / (of_truth + of_predicted), np.nan)
        loss = -np.log(np.clip(chances[np.arange(true.size), true], _FLOOR, 1.0))
        return {
            "balanced_accuracy": _mean_of_defined(recall),
            "accuracy": hits.sum(axis=1) / of_truth.sum(axis=1),
            "auc": _mean_of_defined(_areas(chances, true, draws)),
            "kappa": _quadratic_kappa(confusion),
            "f1": _mean_of_defined(f1),
            "log_loss": draws @ loss / draws.sum(axis=1),
        }


def _confusion(
    chances: NDArray[np.float64], true: NDArray[np.intp], draws: NDArray[np.float64]
) -> NDArray[np.float64]:
    n_stages = chances.shape[1]
    cell = np.eye(n_stages**2)[true * n_stages + chances.argmax(axis=1)]  # (n_subjects, cells)
    confusion: NDArray[np.float64] = (draws @ cell).reshape(-1, n_stages, n_stages)
    return confusion


def _areas(
    chances: NDArray[np.float64], true: NDArray[np.intp], draws: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Area under each stage's curve against the rest: share of pairs in the right order."""
    areas = np.full((len(draws), chances.shape[1]), np.nan)
    for stage in range(chances.shape[1]):
        own, rest = true == stage, true != stage
        ahead = np.sign(chances[own, stage][:, None] - chances[rest, stage]) / 2 + 0.5
        right = np.einsum("do,do->d", draws[:, own], draws[:, rest] @ ahead.T)
        areas[:, stage] = right / (draws[:, own].sum(axis=1) * draws[:, rest].sum(axis=1))
    return areas


def _quadratic_kappa(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    steps = np.arange(confusion.shape[1])
    cost = (steps[:, None] - steps) ** 2.0
    observed = np.einsum("dij,ij->d", confusion, cost)
    expected = np.einsum("di,dj,ij->d", confusion.sum(axis=2), confusion.sum(axis=1), cost)
    kappa: NDArray[np.float64] = 1 - observed * confusion.sum(axis=(1, 2)) / expected
    return kappa


def _mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis without its NaN."""
    defined = ~np.isnan(values)
    mean: NDArray[np.float64] = np.where(defined, values, 0.0).sum(axis=-1) / defined.sum(axis=-1)
    return mean
