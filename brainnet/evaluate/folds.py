"""How participants are dealt into folds, and how many participants that takes."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from brainnet.cohort import words

__all__ = ["Folds", "Split", "Splitter", "deal", "fewer_splits", "possible_splits", "some"]

Labels = NDArray[np.str_]


class Split(NamedTuple):
    """Which rows train and which are tested; a row is tested at most once in a repeat."""

    repeat: int
    fold: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]


class Splitter(Protocol):
    """What deals subjects into folds: :class:`Folds`, ``LeaveSiteOut``, or one of your own."""

    def split(self, labels: Labels, participants: Labels, sites: Labels | None) -> Iterable[Split]:
        """Return the splits of the rows with these stages, participants and sites."""


@dataclass(frozen=True)
class Folds:
    """Folds stratified by stage and split by participant, dealt anew for each repeat.

    Parameters
    ----------
    n_splits : int
        At least 2. Where a stage has fewer participants, it is lowered to that, with a warning.
    n_repeats : int
        How often to deal, at least 1.
    seed : int
        Repeat ``r`` is dealt with ``seed + r``.

    Raises
    ------
    ValueError
        If ``n_repeats`` is below 1; from :meth:`split`, as :func:`possible_splits`.

    Examples
    --------
    >>> splits = Folds(n_splits=2).split(np.array(["CN", "AD"] * 4), np.arange(8).astype(str))
    >>> [(each.fold, len(each.train), len(each.test)) for each in splits]
    [(0, 4, 4), (1, 4, 4)]
    """

    n_splits: int = 5
    n_repeats: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_repeats < 1:
            raise ValueError(f"n_repeats must be at least 1; got {self.n_repeats}.")

    def split(
        self, labels: Labels, participants: Labels, sites: Labels | None = None
    ) -> list[Split]:
        """Return ``n_splits`` times ``n_repeats`` splits; sites are not looked at."""
        n_splits = fewer_splits(labels, participants, self.n_splits)
        alone = np.unique(participants).size == participants.size
        kind = StratifiedKFold if alone else StratifiedGroupKFold
        together = None if alone else participants
        return [
            Split(repeat, fold, train, test)
            for repeat in range(self.n_repeats)
            for fold, (train, test) in enumerate(
                kind(n_splits, shuffle=True, random_state=self.seed + repeat).split(
                    labels, labels, together
                )
            )
        ]


def deal(
    splitter: Splitter | Any, labels: Labels, participants: Labels, sites: Labels | None = None
) -> list[Split]:
    """Return the splits of ours or of a scikit-learn splitter, which gets participants as groups.

    scikit-learn does not number its repeats: a new one begins where a row is tested again.

    Raises
    ------
    ValueError
        If there is no split, or one that trains on fewer than two stages or tests nobody.

    Examples
    --------
    >>> from sklearn.model_selection import RepeatedKFold
    >>> labels = np.array(["CN", "AD"] * 3)
    >>> splitter = RepeatedKFold(n_splits=3, n_repeats=2, random_state=0)
    >>> [(each.repeat, each.fold) for each in deal(splitter, labels, labels)]
    [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    """
    if hasattr(splitter, "get_n_splits"):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The groups parameter is ignored")
            pairs = list(splitter.split(labels, labels, participants))
        found = list(_numbered(pairs))
    else:
        found = list(splitter.split(labels, participants, sites))
    if not found:
        raise ValueError(f"folds must give at least one split; {splitter!r} gave none.")
    for each in found:
        trained = np.unique(labels[each.train]).tolist()
        if len(trained) < 2 or not len(each.test):
            raise ValueError(
                f"every fold must train on two stages or more and test somebody; fold {each.fold} "
                f"of repeat {each.repeat} trains on {some(trained) or 'nobody'} and tests "
                f"{len(each.test)}. Make fewer folds, or split with brainnet.evaluate.Folds."
            )
    return found


def _numbered(pairs: Iterable[tuple[NDArray[np.intp], NDArray[np.intp]]]) -> Iterator[Split]:
    repeat, fold, tested = 0, 0, set[int]()
    for train, test in pairs:
        if tested & set(test.tolist()):
            repeat, fold, tested = repeat + 1, 0, set()
        yield Split(repeat, fold, train, test)
        fold, tested = fold + 1, tested | set(test.tolist())


def possible_splits(labels: ArrayLike, participants: ArrayLike, n_splits: int) -> int:
    """Return the number of folds that the smallest class allows, at most `n_splits`.

    Parameters
    ----------
    labels : (n_subjects,) array
        Class of each; ``n/a`` and what else is missing does not count.
    participants : (n_subjects,) array
        Who each is; a fold holds a participant once.
    n_splits : int
        Folds wanted, at least 2.

    Raises
    ------
    ValueError
        If `n_splits` is below 2, or there are not two classes with two participants each.

    Examples
    --------
    >>> possible_splits(["CN"] * 9 + ["AD"] * 3, range(12), 5)
    3
    """
    if n_splits < 2:
        raise ValueError(f"n_splits must be at least 2 (5 is usual); got {n_splits}.")
    known = words(labels)
    there = known != "n/a"
    counts = counted(known[there], np.asarray(participants)[there])
    if len(counts) < 2 or min(counts.values()) < 2:
        raise ValueError(
            "staging needs at least 2 classes with at least 2 participants each, so 4 in all "
            "(one of a class to train on, one to test on; 10 or more for a score that means "
            f"something); got {_listed(counts)}. Add participants, or merge or leave out the "
            "small classes."
        )
    return min(n_splits, *counts.values())


def fewer_splits(labels: NDArray, groups: NDArray, n_splits: int) -> int:
    """Return the number of folds that can be made, with a warning where it is a lower one."""
    possible = possible_splits(labels, groups, n_splits)
    if possible < n_splits:
        counts = counted(labels, groups)
        warnings.warn(
            f"the smallest class has {possible} participants ({_listed(counts)}): {possible} "
            f"folds are made instead of {n_splits}, and intervals will be wide. Add participants.",
            UserWarning,
            stacklevel=5,
        )
    return possible


def counted(labels: NDArray, groups: NDArray) -> dict[str, int]:
    """Return the number of participants of each class."""
    return {
        str(each): np.unique(groups[labels == each]).size for each in np.unique(labels).tolist()
    }


def _listed(counts: Mapping[str, int]) -> str:
    return some([f"{stage} {count}" for stage, count in counts.items()]) or "none"


def some(names: Sequence[str]) -> str:
    """Name the first ten."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
