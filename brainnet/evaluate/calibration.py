"""Whether probabilities mean what they say: of those told 70 %, are 70 % so."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils.validation import check_is_fitted

from brainnet.evaluate.inner import inner_predictions, participants_of
from brainnet.evaluate.jobs import fit_clone
from brainnet.evaluate.scores import N_BINS, bin_of, weighted_scores
from brainnet.models.stages import check_stages

__all__ = [
    "Calibrated",
    "brier_decomposition",
    "expected_calibration_error",
    "fit_temperature",
    "reliability_curve",
]

Floats = NDArray[np.float64]

_FLOOR = 1e-12
_COLDEST, _HOTTEST = 0.02, 50.0


def expected_calibration_error(probabilities: ArrayLike, truth: ArrayLike) -> float:
    r"""Return how far, on average, the predicted stage's probability is from its success.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} |\mathrm{accuracy}_b - \mathrm{confidence}_b|

    over ten equally wide bins of the probability of the predicted stage, closed above.

    Parameters
    ----------
    probabilities : (n_subjects, n_stages) array
    truth : (n_subjects,) array of int
        Index of the true stage.

    Returns
    -------
    float
        From 0 to 1. Above 0 by chance alone: about :math:`0.4 \sqrt{n_{bins} / n}` for a
        calibrated model whose probabilities spread over the bins.

    Raises
    ------
    ValueError
        As :func:`brainnet.evaluate.scores.weighted_scores`.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), ICML 70:1321.

    Examples
    --------
    >>> expected_calibration_error([[0.9, 0.1], [0.9, 0.1]], [0, 1]).__round__(3)
    0.4
    """
    n_subjects = len(np.asarray(truth))
    return float(weighted_scores(probabilities, truth, np.ones((1, n_subjects)))["ece"][0])


def reliability_curve(
    probabilities: ArrayLike,
    truth: ArrayLike,
    *,
    stage: int | None = None,
    participants: ArrayLike | None = None,
    n_bins: int = N_BINS,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the observed share against the probability, bin by bin, with a band.

    Parameters
    ----------
    probabilities : (n_subjects, n_stages) array
    truth : (n_subjects,) array of int
        Index of the true stage.
    stage : int, optional
        Whose probability is looked at; by default that of the predicted stage, and the observed
        share is how often it is right.
    participants : (n_subjects,) array, optional
        Who each row is; whole participants are drawn. Each row its own by default.
    n_bins : int
        Equally wide.
    n_bootstrap : int
        Resamples of participants.
    seed : int
        Decides the resamples.

    Returns
    -------
    DataFrame
        A row for each bin that is not empty: ``left``, ``right``, ``n_subjects``, ``confidence``
        (mean probability), ``observed`` (share), ``low`` and ``high`` (95 % percentile bootstrap
        of the share; NaN for a bin that half the resamples or more leave empty).

    Raises
    ------
    ValueError
        If the shapes do not fit or there is no such stage.

    Examples
    --------
    >>> chance = np.repeat([0.25, 0.75], 40)
    >>> truth = (np.arange(80) % 4 < np.repeat([1, 3], 40)).astype(int)
    >>> curve = reliability_curve(np.stack([1 - chance, chance], axis=1), truth, stage=1)
    >>> curve[["n_subjects", "confidence", "observed"]].to_numpy().tolist()
    [[40.0, 0.25, 0.25], [40.0, 0.75, 0.75]]
    """
    chances, true = _checked(probabilities, truth)
    if stage is not None and not 0 <= stage < chances.shape[1]:
        raise ValueError(f"stage must be an index of {chances.shape[1]} stages; got {stage}.")
    if stage is None:
        chance, happened = chances.max(axis=1), chances.argmax(axis=1) == true
    else:
        chance, happened = chances[:, stage], true == stage
    inside = np.eye(n_bins)[bin_of(chance, n_bins)]
    draws = _resamples(participants, len(true), n_bootstrap, seed)
    counts = inside.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (draws @ (inside * happened[:, np.newaxis])) / (draws @ inside)
        edges = np.linspace(0, 1, n_bins + 1)
        curve = pd.DataFrame(
            {
                "left": edges[:-1],
                "right": edges[1:],
                "n_subjects": counts.astype(int),
                "confidence": chance @ inside / counts,
                "observed": happened @ inside / counts,
            }
        )
    seen = np.isfinite(drawn).mean(axis=0) > 0.5
    band = np.full((2, n_bins), np.nan)
    band[:, seen] = np.nanpercentile(drawn[:, seen], [2.5, 97.5], axis=0)
    curve["low"], curve["high"] = band
    filled: pd.DataFrame = curve.loc[counts > 0].reset_index(drop=True)
    return filled


def brier_decomposition(
    probabilities: ArrayLike, truth: ArrayLike, *, n_bins: int = N_BINS
) -> dict[str, float]:
    r"""Return what the Brier score is made of.

    Over bins :math:`b` of each stage's probability :math:`k`, summed over stages,

    .. math:: \mathrm{BS} = \underbrace{\sum_b \tfrac{n_b}{n} (\bar p_b - \bar y_b)^2}_{reliability}
              - \underbrace{\sum_b \tfrac{n_b}{n} (\bar y_b - \bar y)^2}_{resolution}
              + \underbrace{\bar y (1 - \bar y)}_{uncertainty}
              + \underbrace{\sum_{b, i \in b} \tfrac{(p_i - \bar p_b)^2
              - 2 (p_i - \bar p_b)(y_i - \bar y_b)}{n}}_{within}

    Parameters
    ----------
    probabilities : (n_subjects, n_stages) array
    truth : (n_subjects,) array of int
    n_bins : int
        Equally wide.

    Returns
    -------
    dict of str to float
        ``brier``, ``reliability`` (0 is calibrated), ``resolution`` (higher is better),
        ``uncertainty`` (of the stages, whatever the model) and ``within`` (what the bins hide).

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    Murphy (1973), J Appl Meteorol 12:595. Stephenson, Coelho and Jolliffe (2008), Weather
    Forecast 23:752 (within bins).

    Examples
    --------
    >>> parts = brier_decomposition([[0.8, 0.2]] * 5, [0, 0, 0, 0, 1])
    >>> {name: round(value, 3) for name, value in parts.items()}  # doctest: +ELLIPSIS
    {'brier': 0.32, 'reliability': 0.0, 'resolution': 0.0, 'uncertainty': 0.32, 'within': ...}
    """
    chances, true = _checked(probabilities, truth)
    happened = np.eye(chances.shape[1])[true]
    parts = dict.fromkeys(("reliability", "resolution", "uncertainty", "within"), 0.0)
    for chance, y in zip(chances.T, happened.T, strict=True):
        inside = np.eye(n_bins)[bin_of(chance, n_bins)]
        share = inside.sum(axis=0)
        size = np.maximum(share, 1.0)
        mean_chance, mean_y = chance @ inside / size, y @ inside / size
        away, off = chance - inside @ mean_chance, y - inside @ mean_y
        parts["reliability"] += float(share @ (mean_chance - mean_y) ** 2) / true.size
        parts["resolution"] += float(share @ (mean_y - y.mean()) ** 2) / true.size
        parts["uncertainty"] += float(y.mean() * (1 - y.mean()))
        parts["within"] += float(np.mean(away**2 - 2 * away * off))
    return {"brier": float(((chances - happened) ** 2).sum(axis=1).mean()), **parts}


def fit_temperature(probabilities: ArrayLike, truth: ArrayLike) -> float:
    r"""Return the temperature that makes probabilities most likely.

    :math:`p_k^{1/T} / \sum_j p_j^{1/T}` with the :math:`T` of least log-loss, from 0.02 to 50:
    above 1 for a model too sure of itself. What is most probable stays so.

    Parameters
    ----------
    probabilities : (n_subjects, n_stages) array
        Of subjects that the model was not fitted on. At least 1e-12 are taken.
    truth : (n_subjects,) array of int

    Raises
    ------
    ValueError
        If the shapes do not fit.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), ICML 70:1321.

    Examples
    --------
    >>> overconfident = np.repeat([[0.99, 0.01]], 100, axis=0)  # and right in 80 of 100
    >>> temperature = fit_temperature(overconfident, np.repeat([0, 1], [80, 20]))
    >>> scaled = overconfident[0] ** (1 / temperature)
    >>> (scaled / scaled.sum()).round(3)
    array([0.8, 0.2])
    """
    chances, true = _checked(probabilities, truth)
    logits = np.log(np.maximum(chances, _FLOOR))
    rows = np.arange(true.size)

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[rows, true].mean())

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


class Calibrated(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are scaled by a temperature learned on inner folds.

    The estimator is fitted on inner folds of the training subjects (stratified, a participant's
    rows together), the temperature on what those say of the subjects they did not see; then it is
    fitted on all training subjects. Predicted stages stay those of the estimator.

    Parameters
    ----------
    estimator : classifier
    n_splits : int
        Inner folds; lowered to the participants of the smallest stage. Where no split can be
        made, the temperature is 1.
    seed : int
        Decides the inner folds.

    Attributes
    ----------
    temperature_ : float
    estimator_ : classifier
    classes_ : array

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), ICML 70:1321.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> rng = np.random.default_rng(0)
    >>> stages = np.repeat(["CN", "AD"], 100)
    >>> table = np.repeat(rng.normal(size=(200, 1)) + (stages == "AD")[:, None], 9, axis=1)
    >>> Calibrated(GaussianNB()).fit(table, stages).temperature_ > 5  # nine times the same column
    True
    """

    def __init__(self, estimator: Any, *, n_splits: int = 3, seed: int = 0) -> None:
        self.estimator = estimator
        self.n_splits = n_splits
        self.seed = seed

    def fit(
        self, subjects: Any, stages: ArrayLike, groups: ArrayLike | None = None
    ) -> "Calibrated":
        """Learn the temperature on inner folds, then the estimator on all rows.

        Parameters
        ----------
        subjects : Subjects or array
        stages : (n_subjects,) array
        groups : (n_subjects,) array, optional
            Participant of each row; those of the subjects where they are known.
        """
        labels = check_stages(stages, len(subjects))
        who = participants_of(subjects, groups)
        self.estimator_ = fit_clone(self.estimator, subjects, labels, who)
        self.classes_ = self.estimator_.classes_
        inner = inner_predictions(
            self.estimator, subjects, labels, self.classes_,
            groups=who, n_splits=self.n_splits, seed=self.seed,
        )  # fmt: skip
        truth = np.array([self.classes_.tolist().index(each) for each in labels.tolist()])
        seen = inner.fold >= 0
        self.temperature_ = fit_temperature(inner.chances[seen], truth[seen]) if seen.any() else 1.0
        return self

    def predict_proba(self, subjects: Any) -> Floats:
        """Return ``(n_subjects, n_stages)`` probabilities in the order of ``classes_``."""
        check_is_fitted(self, "temperature_")
        chances = np.asarray(self.estimator_.predict_proba(subjects), dtype=np.float64)
        logits = np.log(np.maximum(chances, _FLOOR))
        return np.asarray(softmax(logits / self.temperature_, axis=1))

    def predict(self, subjects: Any) -> NDArray:
        """Return the most probable stage of each subject."""
        check_is_fitted(self, "temperature_")
        chosen: NDArray = self.classes_[self.predict_proba(subjects).argmax(axis=1)]
        return chosen


def _checked(probabilities: ArrayLike, truth: ArrayLike) -> tuple[Floats, NDArray[np.intp]]:
    chances, true = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.intp)
    if chances.ndim != 2 or true.shape != chances.shape[:1] or not true.size:
        raise ValueError(
            "probabilities must be (n_subjects, n_stages) and truth (n_subjects,), of one subject "
            f"or more; got {chances.shape} and {true.shape}."
        )
    return chances, true


def _resamples(participants: ArrayLike | None, n_rows: int, n_draws: int, seed: int) -> Floats:
    """Return ``(n_draws, n_rows)``: how often each row's participant is drawn."""
    who = np.arange(n_rows) if participants is None else np.asarray(participants)
    names, place = np.unique(who, return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(names.size, np.full(names.size, 1 / names.size), n_draws)
    return counts[:, place].astype(np.float64)
