"""How participants are dealt into folds, and how many participants that takes."""

import warnings
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from brainnet.cohort import words


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
    counts = _counts(known[there], np.asarray(participants)[there])
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
        counts = _counts(labels, groups)
        warnings.warn(
            f"the smallest class has {possible} participants ({_listed(counts)}): {possible} "
            f"folds are made instead of {n_splits}, and intervals will be wide. Add participants.",
            UserWarning,
            stacklevel=3,
        )
    return possible


def _counts(labels: NDArray, groups: NDArray) -> dict[str, int]:
    """Return the number of participants of each class."""
    return {
        str(each): np.unique(groups[labels == each]).size for each in np.unique(labels).tolist()
    }


def _listed(counts: Mapping[str, int]) -> str:
    return some([f"{stage} {count}" for stage, count in counts.items()]) or "none"


def deal(
    labels: NDArray, groups: NDArray, n_splits: int, n_repeats: int, seed: int
) -> Iterator[tuple[int, int, NDArray[np.intp], NDArray[np.intp]]]:
    """Deal participants into stratified folds, anew for each repeat."""
    alone = np.unique(groups).size == groups.size
    kind = StratifiedKFold if alone else StratifiedGroupKFold
    together = None if alone else groups
    for repeat in range(n_repeats):
        splitter = kind(n_splits, shuffle=True, random_state=seed + repeat)
        for fold, (train, test) in enumerate(splitter.split(labels, labels, together)):
            yield repeat, fold, train, test


def some(names: Sequence[str]) -> str:
    """Name the first ten."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
