"""What an evaluation is given, checked once: subjects, their stages, and what can be known."""

import difflib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from brainnet.cohort import column_name, words
from brainnet.cohort.stages import SEVERITY, stage_order
from brainnet.cohort.subjects import COVARIATES, Subjects, as_subjects
from brainnet.evaluate.folds import possible_splits, some
from brainnet.evaluate.leaks import refuse_learned_from_all, refuse_target, refuse_twins
from brainnet.io import DataError, DataWarning

__all__ = ["Staged", "in_order", "ordered", "same_regions", "staged"]

Labels = NDArray[np.str_]

#: What a column is called that says which visit a row is.
_VISITS = ("session", "session_id", "visit", "viscode")


@dataclass(frozen=True, eq=False)
class Staged:
    """Subjects and what is to be predicted of them, row by row.

    Attributes
    ----------
    subjects : Subjects
    labels : (n_subjects,) array of str
    names : (n_subjects,) array of str
        What each row is called; two visits of one participant have two names.
    stages : tuple of str
        The classes in order.
    """

    subjects: Subjects
    labels: Labels
    names: Labels
    stages: tuple[str, ...]

    @property
    def sites(self) -> Labels | None:
        """Where each row was scanned, ``n/a`` where not known; None where nobody knows."""
        return sites_of(self.subjects)


def sites_of(subjects: Subjects) -> Labels | None:
    """Return the covariate ``site`` as text; None where there is none."""
    if "site" not in subjects.covariates:
        return None
    return words(subjects.covariates["site"].to_numpy(dtype=object))


def staged(given: xr.Dataset | tuple[object, ArrayLike], target: str) -> Staged:
    """Return the subjects that have a value of the target, or raise what is wrong with them.

    Parameters
    ----------
    given : xarray.Dataset or (Subjects, (n_subjects,) array)
        A cohort with the target among its coordinates, or subjects (or their networks) and
        stages.
    target : str
        What is predicted. Of a cohort it is never taken as a covariate.

    Raises
    ------
    DataError
        The cohort has no such target; unknown stages; a participant twice; a modality or a
        region that nobody has.
    ValueError
        Not as many stages as subjects; fewer than two classes of two participants.
    LeakError
        See :mod:`brainnet.evaluate.leaks`.
    """
    if isinstance(given, xr.Dataset):
        subjects, labels, names, visits, source = _of_cohort(given, target)
    else:
        subjects, labels, names, visits, source = _of_pair(given)
    there = labels != "n/a"
    if not there.all():
        warnings.warn(
            f"{source}: {(~there).sum()} subjects have no {target} and are left out of the "
            f"evaluation: {some(names[~there].tolist())}. Fill in the column to use them.",
            DataWarning,
            stacklevel=3,
        )
    if not there.all():
        subjects, labels, names = subjects[there], labels[there], names[there]
        visits = None if visits is None else visits[there]
    refuse_learned_from_all(subjects.covariates.attrs)
    _check_labels(labels, target, source)
    possible_splits(labels, subjects.participants, 2)
    _check_visits(subjects, labels, visits, source)
    refuse_twins(subjects)
    refuse_target(subjects.covariates, labels, target)
    _check_measured(subjects, chosen="nan_policy" in getattr(given, "attrs", {}))
    return Staged(subjects, labels, names, in_order(labels))


_Parts = tuple[Subjects, Labels, Labels, Labels | None, str]


def _of_cohort(dataset: xr.Dataset, target: str) -> _Parts:
    source = str(dataset.attrs.get("participants", "participants.tsv"))
    target = column_name(target)
    known = [str(name) for name, each in dataset.coords.items() if each.dims == ("subject",)]
    if target not in known:
        raise DataError(
            source,
            f"has no column {target!r}; the cohort's columns are {', '.join(known)}",
            "Name one of them as the target, or add the column",
        )
    refuse_learned_from_all(dataset.attrs)
    _check_axes(dataset)
    columns = [name for name in COVARIATES if name in known and name != target]
    subjects = Subjects.from_cohort(dataset, covariates=columns)
    visit = next((name for name in _VISITS if name in known), None)
    visits = None if visit is None else words(dataset[visit].values)
    names = dataset["subject"].values.astype(str)
    return subjects, words(dataset[target].values), names, visits, source


def _check_axes(dataset: xr.Dataset) -> None:
    """Raise where rows and columns of the networks are not the same regions in the same order."""
    if {"region", "region_to"} <= set(dataset.coords):
        try:
            same_regions(_region_names(dataset), list(map(str, dataset["region_to"].values)))
        except DataError as error:
            raise DataError(
                "cohort",
                "has other regions along region_to than along region, which "
                f"{error.problem.replace('the first', 'region')}",
                "Select along both: dataset.isel(region=rows, region_to=rows)",
            ) from error


def _of_pair(given: object) -> _Parts:
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise ValueError(
            "the cohort must be an xarray.Dataset, or subjects and their stages as a pair; got "
            f"{type(given).__name__}. Gather one with brainnet.cohort.gather."
        )
    subjects, labels = as_subjects(given[0]), words(given[1])
    if labels.shape != (len(subjects),):
        raise ValueError(
            f"stages must be one a subject, {len(subjects)}; got an array of shape {labels.shape}."
        )
    visit = next((name for name in _VISITS if name in subjects.covariates), None)
    visits = None if visit is None else words(subjects.covariates[visit].to_numpy(dtype=object))
    times = Counter[str]()
    names = []
    for name in subjects.participants.tolist():
        times[name] += 1
        names.append(name if times[name] == 1 else f"{name} ({times[name]})")
    return subjects, labels, np.array(names, dtype=str), visits, "subjects"


def in_order(labels: ArrayLike) -> tuple[str, ...]:
    """Return the classes: stages from healthy to ill, numbers by size, others by name.

    Examples
    --------
    >>> in_order(["MCI", "AD", "CN"]), in_order(["10", "9"]), in_order(["b", "a"])
    (('CN', 'MCI', 'AD'), ('9', '10'), ('a', 'b'))
    """
    present = set(words(labels).tolist())
    return tuple(sorted(present, key=SEVERITY.index if present <= set(SEVERITY) else _rank))


def ordered(stages: Sequence[str]) -> bool:
    """Say whether the classes have an order: two always do, more if all of them are stages."""
    return len(stages) <= 2 or set(stages) <= set(SEVERITY)


def _rank(label: str) -> tuple[float, str]:
    try:
        return float(label), label
    except ValueError:
        return np.inf, label


def _check_labels(labels: Labels, target: str, source: str) -> None:
    """Raise for labels among stages that are none; warn where the target may be another thing."""
    present = sorted(set(labels.tolist()))
    unknown = [label for label in present if label not in SEVERITY]
    n_known = len(present) - len(unknown)
    if not unknown:
        _check_one_division(present, target, source)
    if not unknown or n_known < (1 if target == "stage" else 2):
        return
    near = {label: _nearest(label) for label in unknown}
    meant = [f"{label} (is it {stage}?)" if stage else label for label, stage in near.items()]
    if target == "stage":
        raise DataError(
            source,
            f"has values of {target} that are no stages: {some(meant)}; stages are "
            f"{', '.join(SEVERITY)}",
            "Spell them so, leave these subjects out (n/a), or predict a column of another name, "
            "whose classes are free",
        )
    warnings.warn(
        f"{source}: some values of {target} are stages, but not {some(meant)}: they are taken as "
        "classes without an order. Correct them if they are misspelt.",
        DataWarning,
        stacklevel=4,
    )


def _check_one_division(stages: Sequence[str], target: str, source: str) -> None:
    """Raise where MCI stands beside a part of it: which comes first, nobody knows."""
    try:
        stage_order(stages)
    except ValueError as error:
        raise DataError(
            source,
            f"divides MCI in two ways in {target}: its values are {some(stages)}",
            "Bring them to one: the group level's --scheme three, brainnet.cohort.read_stages, or "
            "another column",
        ) from error


def _nearest(label: str) -> str | None:
    """Return the stage that a label looks like."""
    plain = {each.lower(): each for each in SEVERITY}
    found = difflib.get_close_matches(label.lower().strip(), plain, n=1, cutoff=0.7)
    return plain[found[0]] if found else None


def _check_visits(subjects: Subjects, labels: Labels, visits: Labels | None, source: str) -> None:
    """Raise where a participant stands twice and nothing tells the rows apart."""
    for name, count in Counter(subjects.participants.tolist()).items():
        if count == 1:
            continue
        rows = np.flatnonzero(subjects.participants == name)
        if visits is not None and np.unique(visits[rows]).size < rows.size:
            twice = Counter(visits[rows].tolist()).most_common(1)[0][0]
            raise DataError(
                source, f"has participant {name} twice at visit {twice}", "Keep one row of a visit"
            )
        stages = sorted(set(labels[rows].tolist()))
        if visits is None and len(stages) > 1:
            raise DataError(
                source,
                f"has participant {name} more than once with different classes "
                f"({', '.join(stages)})",
                "Keep one row a participant, or say in a column 'session' which visit each row is",
            )
        same = {subjects.edges[row].tobytes() for row in rows}
        if len(same) < rows.size and np.isfinite(subjects.edges[rows]).any(axis=(1, 2, 3)).all():
            raise DataError(
                source,
                f"has participant {name} more than once with the same networks",
                "Remove the copy: it would count twice",
            )


def _check_measured(subjects: Subjects, *, chosen: bool) -> None:
    """Raise where nobody has a modality, or a region that nothing was decided about."""
    present = np.asarray(subjects.present.any(axis=0))
    if not present.all():
        names = [name for name, has in zip(subjects.modalities, present, strict=True) if not has]
        rest = [name for name in subjects.modalities if name not in names]
        raise DataError(
            "cohort",
            f"holds no {some(names)} network of anybody",
            f"Leave it out: dataset.sel(modality={rest}), or subjects.only({rest})"
            if rest
            else "Look whether the participant level went well, and whether the session is right",
        )
    off_diagonal = ~np.eye(subjects.shape[-1], dtype=bool)
    edges = np.isfinite(subjects.edges) & off_diagonal
    seen = edges.any(axis=(0, 3)) | np.isfinite(subjects.values).any(axis=0)
    anywhere = np.asarray(seen.any(axis=0))
    nobody = [name for name, has in zip(subjects.regions, anywhere, strict=True) if not has]
    if nobody and not chosen:
        raise DataError(
            "cohort",
            f"has regions that nobody has in any modality: {some(nobody)}",
            "Decide with brainnet.cohort.resolve_nan: 'drop' takes them out, 'impute' keeps them "
            "and tells models nothing",
        )


def same_regions(
    first: xr.Dataset | Subjects | Sequence[str], second: xr.Dataset | Subjects | Sequence[str]
) -> None:
    """Raise if two cohorts do not have the same regions in the same order.

    Parameters
    ----------
    first, second : Dataset, Subjects or sequences of names

    Raises
    ------
    DataError
        Naming what differs first.

    Examples
    --------
    >>> same_regions(["a", "b"], ["a", "b"])
    >>> same_regions(["a", "b"], ["b", "a"])
    Traceback (most recent call last):
    brainnet.io.files.DataError: second cohort: has the same regions in another order: number 1 ...
    """
    want, have = _region_names(first), _region_names(second)
    if have == want:
        return
    missing, extra = [n for n in want if n not in have], [n for n in have if n not in want]
    if missing or extra:
        problem = (
            f"has {len(have)} regions where the first has {len(want)}: missing "
            f"{some(missing) or 'none'}; not in the first {some(extra) or 'none'}"
        )
    else:
        place = next(i for i, (a, b) in enumerate(zip(have, want, strict=True)) if a != b)
        problem = (
            f"has the same regions in another order: number {place + 1} is {have[place]!r} where "
            f"the first has {want[place]!r}"
        )
    raise DataError(
        "second cohort",
        problem,
        "Gather both with one atlas, or put them in order: dataset.sel(region=..., region_to=...)",
    )


def _region_names(of: xr.Dataset | Subjects | Sequence[str]) -> list[str]:
    if isinstance(of, xr.Dataset):
        return [str(name) for name in of["region"].values]
    return [str(name) for name in (of.regions if isinstance(of, Subjects) else of)]
