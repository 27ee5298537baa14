"""Intervals of scores by bootstrap over participants, and of their differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from brainnet.evaluate.inputs import ordered
from brainnet.evaluate.scores import ORDERED, weighted_contrasts, weighted_scores

if TYPE_CHECKING:
    from brainnet.evaluate import Evaluation

__all__ = ["drawn_of", "draws", "intervals", "minus"]

N_BOOTSTRAP = 1000


def draws(predictions: pd.DataFrame, stages: tuple[str, ...], seed: int) -> pd.DataFrame:
    """Score every estimator on all participants (row 0) and on each resample of them.

    Parameters
    ----------
    predictions : DataFrame
        As of :class:`brainnet.evaluate.Evaluation`.
    stages : tuple of str
    seed : int
        Decides the resamples.

    Returns
    -------
    DataFrame
        A column an estimator and metric, averaged over repeats; ``attrs["seed"]``.
    """
    resamples = _resample(predictions, seed)
    truth = predictions["truth"].map(list(stages).index)
    chances = predictions[[f"p_{stage}" for stage in stages]]
    scores: dict[str, list[dict[str, np.ndarray]]] = {}
    for (name, _), rows in predictions.groupby(["estimator", "repeat"], sort=False):
        weights = resamples[rows["participant"]].to_numpy()
        what = (chances.loc[rows.index], truth.loc[rows.index], weights)
        each = weighted_scores(*what) | weighted_contrasts(*what, stages)
        if not ordered(stages):
            each |= {metric: np.full(len(weights), np.nan) for metric in ORDERED}
        scores.setdefault(str(name), []).append(each)
    found = pd.DataFrame(
        {
            (name, metric): np.mean([repeat[metric] for repeat in repeats], axis=0)
            for name, repeats in scores.items()
            for metric in repeats[0]
        }
    )
    found.attrs["seed"] = seed
    return found


def drawn_of(evaluation: Evaluation, seed: int | None) -> pd.DataFrame:
    """Return the draws of an evaluation: its own, where it has some and no other seed is given."""
    if len(evaluation.draws) and seed in (None, evaluation.draws.attrs.get("seed")):
        return evaluation.draws
    return draws(evaluation.predictions, evaluation.stages, seed or 0)


def _resample(predictions: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return how often each participant is drawn (columns): once, then within each stage."""
    people = predictions.groupby("participant")["truth"].first()
    counts = pd.DataFrame(1.0, index=range(N_BOOTSTRAP + 1), columns=people.index)
    rng = np.random.default_rng(seed)
    for stage in sorted(people.unique()):
        members = people.index[people == stage]
        size = len(members)
        counts.loc[1:, members] = rng.multinomial(size, np.full(size, 1 / size), N_BOOTSTRAP)
    return counts


def intervals(found: pd.DataFrame) -> pd.DataFrame:
    """Return estimate and 2.5 and 97.5 percentiles of each column of draws."""
    rows = [
        (*key, found[key].iloc[0], *np.percentile(found[key].iloc[1:], [2.5, 97.5]))
        for key in found.columns
    ]
    return pd.DataFrame(rows, columns=["estimator", "metric", "estimate", "low", "high"])


def minus(found: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Return each other estimator's draws minus the baseline's on the same resamples."""
    others = [key for key in found.columns if key[0] != baseline]
    return pd.DataFrame({key: found[key] - found[(baseline, key[1])] for key in others})
