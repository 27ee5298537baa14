"""Whether one estimator is better than another: tests that cross-validation allows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from brainnet.evaluate.scores import METRICS, weighted_scores

__all__ = [
    "ResampledTest",
    "compare_resampled",
    "corrected_t_test",
    "holm",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ResampledTest:
    """What the corrected resampled t-test says.

    Attributes
    ----------
    difference, low, high : float
        Mean difference and its interval.
    t, df, p : float
        Statistic, degrees of freedom and two-sided p-value.
    """

    difference: float
    low: float
    high: float
    t: float
    df: int
    p: float


def corrected_t_test(
    differences: ArrayLike, *, n_train: float, n_test: float, level: float = 0.95
) -> ResampledTest:
    r"""Test whether two estimators differ by their scores on the same folds.

    .. math:: t = \frac{\bar d}{\sqrt{(\frac{1}{J} + \frac{n_{test}}{n_{train}})\, s_d^2}}

    with :math:`J - 1` degrees of freedom. Training sets of several folds share subjects, so the
    differences are not independent; the plain :math:`1 / J` would find any difference real if one
    only repeats often enough. The second term is what the overlap costs.

    Parameters
    ----------
    differences : (n_folds,) array
        Score of the one less that of the other on each fold of each repeat.
    n_train, n_test : float
        Subjects that train and that are tested, on average over folds.
    level : float
        Of the interval, in (0, 1).

    Returns
    -------
    ResampledTest
        Where all differences are equal, ``p`` is 0, or 1 if they are 0.

    Raises
    ------
    ValueError
        If there are fewer than two folds, a difference is not finite, or a size not positive.

    References
    ----------
    Nadeau and Bengio (2003), Machine Learning 52:239. Bouckaert and Frank (2004), PAKDD 3 (over
    repeats of cross-validation).

    Examples
    --------
    >>> corrected_t_test([0.02, 0.05, -0.01, 0.04], n_train=80, n_test=20).p.__round__(3)
    0.274
    """
    each = np.asarray(differences, dtype=np.float64)
    if each.ndim != 1 or each.size < 2 or not np.isfinite(each).all():
        raise ValueError(
            f"differences must be two or more finite numbers, one a fold; got {each.shape} with "
            f"{int(np.sum(~np.isfinite(each)))} not finite. Take a metric that every fold has."
        )
    if not (n_train > 0 and n_test > 0 and 0 < level < 1):
        raise ValueError(
            f"n_train and n_test must be positive and level in (0, 1); got {n_train}, {n_test} "
            f"and {level}."
        )
    df = each.size - 1
    mean = float(each.mean())
    error = float(np.sqrt((1 / each.size + n_test / n_train) * each.var(ddof=1)))
    if error <= 1e-15 * max(1.0, abs(mean)):
        sure = 1.0 if mean == 0 else 0.0
        return ResampledTest(mean, mean, mean, 0.0 if mean == 0 else np.inf, df, sure)
    half = float(stats.t.ppf((1 + level) / 2, df)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, df))
    return ResampledTest(mean, mean - half, mean + half, mean / error, df, p)


def compare_resampled(
    predictions: pd.DataFrame, *, baseline: str, metric: str = "balanced_accuracy"
) -> pd.DataFrame:
    """Compare all other estimators of an evaluation with one, fold by fold.

    Each fold of each repeat is scored for both; :func:`corrected_t_test` of the differences, and
    Holm's correction over the estimators. It asks whether the one *way of building* a model is
    better than the other on training sets of this size; the bootstrap of
    :func:`brainnet.evaluate.compare` asks about these fitted models on other test subjects.

    Parameters
    ----------
    predictions : DataFrame
        Of :class:`brainnet.evaluate.Evaluation`.
    baseline : str
        One of its estimators.
    metric : str
        Of :data:`brainnet.evaluate.scores.METRICS`.

    Returns
    -------
    DataFrame
        ``estimator``, ``metric``, ``difference`` (estimator less baseline), ``low``, ``high``
        (95 %), ``t``, ``df``, ``p``, ``p_holm``.

    Raises
    ------
    ValueError
        If the baseline or the metric is not known, or as :func:`corrected_t_test`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = pd.DataFrame({
    ...     "estimator": np.repeat(["good", "bad"], 100), "repeat": 0,
    ...     "fold": np.arange(200) % 5, "participant": np.tile(np.arange(100), 2),
    ...     "truth": np.tile(["CN", "AD"], 100),
    ... })
    >>> right = rng.random(200) < np.repeat([0.9, 0.5], 100)
    >>> rows["p_CN"] = ((rows["truth"] == "CN") == right).astype(float)
    >>> rows["p_AD"] = 1 - rows["p_CN"]
    >>> found = compare_resampled(rows, baseline="good")
    >>> found["estimator"].tolist(), bool(found["high"][0] < 0)
    (['bad'], True)
    """
    scores, sizes = _fold_scores(predictions, metric)
    if baseline not in scores:
        raise ValueError(f"baseline must be one of {', '.join(scores)}; got {baseline!r}.")
    n_test = float(sizes.mean())
    n_train = predictions["participant"].nunique() - n_test  # whatever share a repeat tests
    tests = {
        name: corrected_t_test(scores[name] - scores[baseline], n_train=n_train, n_test=n_test)
        for name in scores
        if name != baseline
    }
    table = pd.DataFrame(
        [(name, metric, *vars(test).values()) for name, test in tests.items()],
        columns=["estimator", "metric", "difference", "low", "high", "t", "df", "p"],
    )
    table["p_holm"] = holm(table["p"])
    return table


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values corrected for their number, the chance of any false finding kept.

    The smallest times their number, the next times one less, and so on, never falling, at most 1.

    Parameters
    ----------
    p_values : (n_tests,) array

    References
    ----------
    Holm (1979), Scand J Stat 6:65.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    each = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(each, kind="stable")
    scaled = each[order] * np.arange(each.size, 0, -1)
    corrected = np.empty_like(each)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected


def _fold_scores(predictions: pd.DataFrame, metric: str) -> tuple[dict[str, Floats], Floats]:
    """Return each estimator's score on each fold, and the number of participants tested."""
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}; got {metric!r}.")
    stages = [str(name).removeprefix("p_") for name in predictions if str(name).startswith("p_")]
    scores: dict[str, list[float]] = {}
    sizes: dict[Any, int] = {}
    for (name, *where), rows in _folds(predictions):
        truth = [stages.index(each) for each in rows["truth"]]
        chances = rows[[f"p_{stage}" for stage in stages]].to_numpy(dtype=np.float64)
        found = weighted_scores(chances, truth, np.ones((1, len(truth))))[metric]
        scores.setdefault(str(name), []).append(float(found[0]))
        sizes[tuple(where)] = rows["participant"].nunique()
    if len({len(each) for each in scores.values()}) > 1:
        raise ValueError(
            "predictions must have every estimator on the same folds; got "
            f"{', '.join(f'{name} on {len(each)}' for name, each in scores.items())}."
        )
    return (
        {name: np.array(each) for name, each in scores.items()},
        np.array(list(sizes.values()), dtype=np.float64),
    )


def _folds(predictions: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
    yield from predictions.groupby(["estimator", "repeat", "fold"], sort=False)
