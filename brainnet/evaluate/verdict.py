"""What an evaluation shows and what it does not, in sentences with the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from brainnet.evaluate.intervals import drawn_of

if TYPE_CHECKING:
    from brainnet.evaluate import Evaluation

__all__ = ["Finding", "verdict"]

#: What is said to be small: participants of a stage, width of an interval (of 0 to 1).
FEW, WIDE = 25, 0.2
#: Estimators that see no brain, by the names they are expected under.
_BLIND = {
    "missingness": "The pattern of what is missing (scans, regions, covariates)",
    "site": "The site where a participant was scanned",
}


@dataclass(frozen=True)
class Finding:
    """A sentence or two that a reader of the scores has to know.

    Attributes
    ----------
    about : str
        ``failures``, ``size``, ``chance``, ``graph``, ``covariates``, ``missingness`` or ``site``.
    text : str
    caution : bool
        True where it says that a score is worth less than it looks.
    """

    about: str
    text: str
    caution: bool = True

    def __str__(self) -> str:
        return self.text


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


class _Interval(NamedTuple):
    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        low, high = 100 * self.low, 100 * self.high
        return f"{_percent(self.estimate)} (95 % interval {low:.0f} to {high:.0f})"

    @property
    def points(self) -> str:
        """As a difference in percentage points."""
        low, high = 100 * self.low, 100 * self.high
        return f"{100 * self.estimate:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})"


class _Scores:
    """Balanced accuracies, and their differences on the same resamples of participants."""

    def __init__(self, evaluation: Evaluation, seed: int | None) -> None:
        found = drawn_of(evaluation, seed)
        self.names = list(dict.fromkeys(str(column[0]) for column in found.columns))
        self._draws = {name: found[(name, "balanced_accuracy")].to_numpy() for name in self.names}
        self.chance = 1 / len(evaluation.stages)

    def of(self, name: str, minus: str | None = None) -> _Interval:
        drawn = self._draws[name] - (self._draws[minus] if minus else 0.0)
        low, high = np.percentile(drawn[1:], [2.5, 97.5])
        return _Interval(float(drawn[0]), float(low), float(high))

    def best(self, names: Sequence[str]) -> str:
        return max(names, key=lambda name: self._draws[name][0])

    def some_beat(self, names: Sequence[str], other: str) -> bool:
        return any(self.of(name, other).low > 0 for name in names)

    def beats_chance(self, name: str) -> bool:
        return self.of(name).low > self.chance


def verdict(
    evaluation: Evaluation,
    *,
    graph: Sequence[str] = ("graph",),
    baselines: Sequence[str] | None = None,
    covariates: str = "covariates",
    seed: int | None = None,
) -> list[Finding]:
    r"""Say in plain words what the balanced accuracies of an evaluation show.

    That a difference is shown means that its paired 95 % interval over participants lies above 0;
    chance is one over the number of stages. Said is: which estimators failed; whether there are
    enough participants for such claims; whether anything is better than guessing; whether a graph
    network is better than the best baseline; whether the covariates alone explain the score; and
    where the estimators are named ``missingness`` (:func:`brainnet.evaluate.missingness`) and
    ``site`` (:func:`brainnet.evaluate.site_alone`), whether what is missing, or the site, does.

    Parameters
    ----------
    evaluation : Evaluation
    graph : sequence of str
        Which of its estimators are graph networks; those it does not have are passed over.
    baselines : sequence of str, optional
        Which the graph networks have to surpass; by default all others.
    covariates : str
        Name of the estimator on covariates alone.
    seed : int, optional
        Decides the resamples; those of the evaluation by default.

    Returns
    -------
    list of Finding

    Raises
    ------
    ValueError
        If a baseline is not among the estimators.

    Notes
    -----
    The best baseline, and the best of several graph networks, are chosen by the very scores that
    are then compared, so each looks a little better than it is. The intervals hold the fitted
    models fixed (see :func:`brainnet.evaluate.cross_validate_stages`).

    Examples
    --------
    >>> import pandas as pd
    >>> from brainnet.evaluate import Evaluation
    >>> truth = ["CN", "AD"] * 40
    >>> people = pd.DataFrame({"repeat": 0, "participant": map(str, range(80)), "truth": truth})
    >>> sure = people.assign(estimator="linear", p_CN=[1.0, 0.0] * 40, p_AD=[0.0, 1.0] * 40)
    >>> guess = people.assign(estimator="graph", p_CN=0.6, p_AD=0.4)
    >>> result = Evaluation(pd.DataFrame(), pd.concat([sure, guess], ignore_index=True),
    ...                     pd.DataFrame(), pd.DataFrame(), ("CN", "AD"))
    >>> print(*verdict(result), sep="\n")
    The graph network 'graph' is worse than the best baseline, 'linear': it recognises 50 % ...
    Covariates alone (age, sex, site, motion, head size) were not tried, so nobody knows whether ...
    """
    scores = _Scores(evaluation, seed)
    unknown = [name for name in baselines or () if name not in scores.names]
    if unknown:
        raise ValueError(f"baselines must be of {scores.names}; got {unknown}.")
    networks = [name for name in graph if name in scores.names]
    others = [name for name in baselines or scores.names if name not in networks]
    blind = {covariates, "majority", *_BLIND}
    brains = [name for name in scores.names if name not in blind]
    findings = [*_failures(evaluation), *_size(evaluation, scores)]
    if not any(scores.beats_chance(name) for name in scores.names):
        best = scores.best(scores.names)
        text = (
            f"Nothing here is shown to be better than guessing, which recognises "
            f"{_percent(scores.chance)} of each stage on average; the best, {best!r}, recognises "
            f"{scores.of(best)}."
        )
        return [*findings, Finding("chance", text)]
    if networks and others:
        findings.append(_graph(scores, networks, others))
    if brains:
        findings.append(_covariates(scores, brains, covariates))
        findings.extend(_blind(scores, brains))
    return findings


def _failures(evaluation: Evaluation) -> Iterator[Finding]:
    for name, failed in evaluation.failures.groupby("estimator"):
        yield Finding(
            "failures",
            f"{str(name)!r} failed in {len(failed)} folds and is not scored: "
            f"{failed['error'].iloc[0]}",
        )


def _size(evaluation: Evaluation, scores: _Scores) -> Iterator[Finding]:
    people = evaluation.predictions.drop_duplicates(["participant", "truth"])
    counts = people["truth"].value_counts()
    stage, fewest = str(counts.idxmin()), int(counts.min())
    best = scores.best(scores.names)
    width = scores.of(best).high - scores.of(best).low
    if fewest >= FEW and width <= WIDE:
        return
    yield Finding(
        "size",
        f"The sample is small for such claims: the smallest stage, {stage}, has {fewest} "
        f"participants, so one more or fewer of them recognised moves the score of that stage by "
        f"{100 / fewest:.1f} points; the interval of the best, {best!r}, is {100 * width:.0f} "
        f"points wide.",
    )


def _graph(scores: _Scores, networks: Sequence[str], others: Sequence[str]) -> Finding:
    network, baseline = scores.best(networks), scores.best(others)
    difference = scores.of(network, baseline)
    better = difference.low > 0
    many = f" (the best of {len(networks)} by this very score)" if len(networks) > 1 else ""
    worse = "is worse than" if difference.high < 0 else "is not shown to be better than"
    worse = "is not better than" if difference.estimate <= 0 <= difference.high else worse
    text = (
        f"The graph network {network!r}{many} {'is better than' if better else worse} the best "
        f"baseline, {baseline!r}: it recognises {scores.of(network)} of each stage on average, the "
        f"baseline {scores.of(baseline)}; the difference is {difference.points}."
    )
    if not better:
        text += " These data give no reason to prefer it."
    return Finding("graph", text, caution=not better)


def _covariates(scores: _Scores, brains: Sequence[str], covariates: str) -> Finding:
    what = "Covariates alone (age, sex, site, motion, head size)"
    best = scores.best(brains)
    if covariates not in scores.names:
        text = (
            f"{what} were not tried, so nobody knows whether they explain the {scores.of(best)} "
            f"that {best!r} reaches. Add such columns to the participants table and {covariates!r} "
            "to the estimators that are compared (--estimators)."
        )
        return Finding("covariates", text)
    difference = scores.of(best, covariates)
    numbers = (
        f"they recognise {scores.of(covariates)} of each stage on average, the best model of brain "
        f"networks, {best!r}, {scores.of(best)}; the difference is {difference.points}"
    )
    if scores.some_beat(brains, covariates):
        text = f"{what} do not explain the score: {numbers}."
        return Finding("covariates", text, caution=False)
    if scores.beats_chance(covariates):
        text = f"{what} explain the score: {numbers}. That the brain networks add anything is not"
    else:
        text = f"{what} do no better than guessing, but {numbers}: that this is better is not"
    return Finding("covariates", f"{text} shown.")


def _blind(scores: _Scores, brains: Sequence[str]) -> Iterator[Finding]:
    """Say where what sees no brain tells stages."""
    best = scores.best(brains)
    for name, what in _BLIND.items():
        if name not in scores.names or not scores.beats_chance(name):
            continue
        text = (
            f"{what} alone recognises {scores.of(name)} of each stage on average, where guessing "
            f"recognises {_percent(scores.chance)}: it differs between stages in this cohort. "
        )
        if scores.some_beat(brains, name):
            text += f"{best!r} ({scores.of(best)}) is better, but part of its score may be that."
        else:
            text += (
                f"No model of brain networks is shown to be better (the best, {best!r}, recognises "
                f"{scores.of(best)}), so it may decide the score."
            )
        yield Finding(name, text)
