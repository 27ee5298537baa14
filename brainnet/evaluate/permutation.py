"""Whether an estimator finds anything: its score against those of stages dealt anew."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import _safe_indexing
from tqdm import tqdm

from brainnet.cohort import words
from brainnet.cohort.subjects import Subjects
from brainnet.evaluate.folds import Folds, Splitter, deal
from brainnet.evaluate.inner import participants_of, rows_of
from brainnet.evaluate.inputs import in_order, sites_of
from brainnet.evaluate.jobs import fit_clone, probabilities_of
from brainnet.evaluate.leaks import assert_no_leak, refuse_fitted
from brainnet.evaluate.scores import LOWER_IS_BETTER, METRICS, weighted_scores

__all__ = ["PermutationTest", "Permutations", "permutation_test"]

Floats = NDArray[np.float64]
Labels = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Permutations:
    """Stages dealt anew among participants, some number of times.

    All rows of a participant that has one stage throughout get one stage. Where any has several
    (it progressed), each gets the whole course of another with as many rows.

    Parameters
    ----------
    n_permutations : int
        At least 1. The least p-value is 1 over this number and one.
    within : str or (n_rows,) array, optional
        Stages stay among participants of one kind, for example of a site (then a score that only
        comes from sites with other shares of the stages is no finding): a covariate of the
        subjects by name, or the kind of each row, the same for all rows of a participant.
    seed : int
        The same seed gives the same permutations, and more of them begin with the same.

    Raises
    ------
    ValueError
        If ``n_permutations`` is below 1.

    Examples
    --------
    >>> shuffled = Permutations(2, seed=3).of(["CN", "CN", "AD", "AD"], ["01", "01", "02", "03"])
    >>> [each.tolist() for each in shuffled]
    [['CN', 'CN', 'AD', 'AD'], ['AD', 'AD', 'AD', 'CN']]
    """

    n_permutations: int = 100
    within: str | ArrayLike | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_permutations < 1:
            raise ValueError(
                f"n_permutations must be at least 1 (100 is usual); got {self.n_permutations}."
            )

    def of(
        self, stages: ArrayLike, participants: ArrayLike, subjects: Any = None
    ) -> Iterator[Labels]:
        """Yield the stages of each permutation.

        Parameters
        ----------
        stages, participants : (n_rows,) arrays
        subjects : Subjects, optional
            Whose covariate ``within`` names.

        Raises
        ------
        ValueError
            If the lengths differ, there is no such covariate, a participant is of two kinds, or
            no two participants could exchange different stages.
        """
        labels, people = words(stages), np.asarray(participants)
        blocks, constant = _blocks(labels, people, self._kinds(labels.size, subjects))
        for stream in np.random.SeedSequence(self.seed).spawn(self.n_permutations):
            rng = np.random.default_rng(stream)
            dealt = labels.copy()
            for block in blocks:
                for own, other in zip(block, rng.permutation(len(block)), strict=True):
                    dealt[own] = labels[block[other][0]] if constant else labels[block[other]]
            yield dealt

    def _kinds(self, n_rows: int, subjects: Any) -> Labels:
        if self.within is None:
            return np.zeros(n_rows, dtype=str)
        if not isinstance(self.within, str):
            return words(self.within)
        known = subjects.covariates if isinstance(subjects, Subjects) else pd.DataFrame()
        if self.within not in known:
            have = ", ".join(map(str, known.columns)) or "none"
            raise ValueError(
                f"within must be a covariate of the subjects ({have}) or an array; "
                f"got {self.within!r}."
            )
        return words(known[self.within].to_numpy(dtype=object))


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """What a permutation test says.

    Attributes
    ----------
    score : float
        Of the stages as they are.
    null : (n_permutations,) float64 array
        Scores of permuted stages.
    p : float
        Share of scores at least as good, the real one counted in.
    metric : str
    """

    score: float
    null: Floats
    p: float
    metric: str


def permutation_test(
    estimator: Any,
    subjects: Any,
    stages: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    metric: str = "balanced_accuracy",
    permutations: Permutations | None = None,
    folds: Splitter | Any = None,
    n_jobs: int = 1,
) -> PermutationTest:
    r"""Test whether an estimator finds anything of the stages at all.

    The whole of the estimator is cross-validated again on stages permuted between participants,
    with all that it learns: :math:`p = (1 + \#\{null \ge score\}) / (1 + n)`.

    Parameters
    ----------
    estimator : classifier
        Clones of it are fitted.
    subjects : Subjects or array
    stages : (n_subjects,) array
    groups : (n_subjects,) array, optional
        Participant of each row; those of the subjects where they are known.
    metric : str
        Of :data:`brainnet.evaluate.scores.METRICS`; over all subjects, the mean over repeats.
    permutations : Permutations, optional
        100 over all participants by default.
    folds : Folds, LeaveSiteOut or a scikit-learn splitter, optional
        Five folds by default; dealt for each permutation by its stages, with the same seed.
    n_jobs : int
        Processes; -1 for one a core. The result is the same.

    Returns
    -------
    PermutationTest

    Raises
    ------
    ValueError
        If the metric is not known, or as :meth:`Permutations.of`.
    LeakError
        If a participant stands on both sides of a split, or something was fitted before it.

    References
    ----------
    Ojala and Garriga (2010), J Mach Learn Res 11:1833.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> stages = np.array(["CN", "AD"] * 15)
    >>> table = np.random.default_rng(0).normal(size=(30, 2)) + 2 * (stages == "AD")[:, None]
    >>> permutation_test(GaussianNB(), table, stages, permutations=Permutations(19)).p
    0.05
    """
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}; got {metric!r}.")
    labels, people = words(stages), participants_of(subjects, groups)
    if labels.shape != people.shape:
        raise ValueError(f"stages must be one a subject, {people.size}; got {labels.size}.")
    refuse_fitted(type(estimator).__name__, estimator)
    chosen, dealt = permutations or Permutations(), folds or Folds()
    given = [labels, *chosen.of(labels, people, subjects)]
    jobs = (
        joblib.delayed(_score)(estimator, subjects, each, people, dealt, metric) for each in given
    )
    alone = joblib.effective_n_jobs(n_jobs) == 1
    with joblib.parallel_config("loky", n_jobs=n_jobs, inner_max_num_threads=None if alone else 1):
        found = joblib.Parallel(return_as="generator")(jobs)
        bar = tqdm(found, total=len(given), desc="permutations", disable=None)
        scores = np.array(list(bar))
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    as_good = int(np.sum(sign * scores[1:] >= sign * scores[0] - 1e-12))
    return PermutationTest(float(scores[0]), scores[1:], (1 + as_good) / len(scores), metric)


def _blocks(
    labels: Labels, people: NDArray, kinds: Labels
) -> tuple[list[list[NDArray[np.intp]]], bool]:
    """Return the rows of participants that can exchange their stages, and if each has one stage."""
    if not labels.shape == people.shape == kinds.shape:
        raise ValueError(
            "stages, participants and within must have one length; got "
            f"{labels.size}, {people.size} and {kinds.size}."
        )
    rows = rows_of(people)
    for own in rows:
        if np.unique(kinds[own]).size > 1:
            raise ValueError(
                "within must be the same for all rows of a participant; got "
                f"{' and '.join(np.unique(kinds[own]).tolist())} of {people[own[0]]}."
            )
    constant = all(np.unique(labels[own]).size == 1 for own in rows)
    blocks: dict[tuple[str, int], list[NDArray[np.intp]]] = {}
    for own in rows:
        blocks.setdefault((str(kinds[own[0]]), 0 if constant else own.size), []).append(own)
    courses = [
        {labels[own[:1] if constant else own].tobytes() for own in block}
        for block in blocks.values()
    ]
    if all(len(each) < 2 for each in courses):
        raise ValueError(
            "stages must differ between participants that can exchange them; got none that do. "
            "Permute over all (within=None), or give participants the same number of visits."
        )
    return list(blocks.values()), constant


def _score(
    estimator: Any, subjects: Any, labels: Labels, people: NDArray, folds: Any, metric: str
) -> float:
    """Score an estimator out of fold, over all subjects, mean over repeats."""
    order = in_order(labels)
    repeats: dict[int, list[tuple[NDArray[np.intp], Floats]]] = {}
    sites = sites_of(subjects) if isinstance(subjects, Subjects) else None
    for split in deal(folds, labels, people, sites):
        assert_no_leak(people[split.train], people[split.test])
        trained = _safe_indexing(subjects, split.train)
        model = fit_clone(estimator, trained, labels[split.train], people[split.train])
        chances = probabilities_of(model, _safe_indexing(subjects, split.test), order)
        repeats.setdefault(split.repeat, []).append((split.test, chances))
    scores = []
    for parts in repeats.values():
        tested = np.concatenate([test for test, _ in parts])
        truth = [order.index(each) for each in labels[tested].tolist()]
        chances = np.concatenate([each for _, each in parts])
        scores.append(weighted_scores(chances, truth, np.ones((1, len(truth))))[metric][0])
    return float(np.mean(scores))
