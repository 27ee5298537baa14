"""What would let a model know whom it is tested on: every one of these is an error."""

import functools
import hashlib
import inspect
import re
import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainnet.cohort import words
from brainnet.cohort.subjects import Subjects
from brainnet.evaluate.folds import some
from brainnet.io import DataWarning

__all__ = [
    "LeakError",
    "assert_no_leak",
    "refuse_fitted",
    "refuse_learned_from_all",
    "refuse_target",
    "refuse_twins",
]

#: Attributes of a cohort that say that something was estimated from all of its subjects.
_LEARNED = ("fitted_on", "harmonised", "harmonized", "scaled", "standardised", "standardized")
#: Names that the columns of a diagnosis go by.
_STAGE_NAMES = frozenset({"stage", "stages", "diagnosis", "diagnoses", "dx", "dxbl", "dxgroup"})
#: Beginnings of the names of scores that a diagnosis is made from.
_DIAGNOSTIC = ("mmse", "moca", "cdr", "adas", "faq", "ravlt", "ldel", "logicalmemory", "gdscale")


class LeakError(ValueError):
    """A model could know of those it is tested on: by who they are, or by what was learned."""


def assert_no_leak(train_ids: Iterable[Hashable], test_ids: Iterable[Hashable]) -> None:
    """Raise if anybody is both trained and tested on.

    Raises
    ------
    LeakError
        Naming those who stand on both sides.

    Examples
    --------
    >>> assert_no_leak(["01", "02"], ["03"])
    >>> assert_no_leak(["01", "02"], ["02"])
    Traceback (most recent call last):
    brainnet.evaluate.leaks.LeakError: train and test must share no participant; both hold 02. ...
    """
    shared = sorted(map(str, set(train_ids) & set(test_ids)))
    if shared:
        raise LeakError(
            f"train and test must share no participant; both hold {some(shared)}. "
            "Split by participant, not by scan."
        )


def refuse_twins(subjects: Subjects) -> None:
    """Raise if one person's networks stand under two names: they would be on both sides.

    A modality at a time; networks of one value throughout say nothing of who they are of.

    Raises
    ------
    LeakError
        Naming the two participants.
    """
    off_diagonal = ~np.eye(subjects.shape[-1], dtype=bool)
    for column, modality in enumerate(subjects.modalities):
        seen: dict[bytes, str] = {}
        for row, name in enumerate(subjects.participants.tolist()):
            network = subjects.edges[row, column]
            edges = network[off_diagonal]
            if np.isnan(edges).all() or np.nanmin(edges) == np.nanmax(edges):
                continue
            other = seen.setdefault(hashlib.sha256(edges.tobytes()).digest(), name)
            if other != name:
                raise LeakError(
                    f"participants {other} and {name} have identical networks ({modality}), as if "
                    "one person's scans stood under two names: a model could be tested on what it "
                    "was trained on, and its score would mean nothing. Remove the copy from the "
                    "participants table and the results, or give both rows one participant_id."
                )


def refuse_target(covariates: pd.DataFrame, labels: NDArray[np.str_], target: str) -> None:
    """Raise if a covariate is what is to be predicted, under its own or another name.

    Parameters
    ----------
    covariates : DataFrame
        A row a subject.
    labels : (n_subjects,) array of str
        What is to be predicted.
    target : str
        What that is called.

    Raises
    ------
    LeakError
        A column of the target's name, or a few values of which each goes with one class.

    Warns
    -----
    DataWarning
        Columns of scores that a diagnosis is made from (MMSE, CDR, ...).

    Examples
    --------
    >>> codes = pd.DataFrame({"age": [60, 70, 65, 80], "code": [0, 1, 0, 1]})
    >>> refuse_target(codes, np.array(["CN", "AD", "CN", "AD"]), "stage")
    Traceback (most recent call last):
    brainnet.evaluate.leaks.LeakError: covariate 'code' tells stage of everybody (0 is CN, ...
    """
    for name in map(str, covariates.columns):
        if _named_like(name, target):
            raise LeakError(
                f"covariate {name!r} is by its name the target {target!r}: a model would be told "
                "what it must predict. Leave it out (dataset.drop_vars, or subjects.covariates "
                "without that column), or rename it if it is something else."
            )
        pairs = _recoding(words(covariates[name].to_numpy(dtype=object)), labels)
        if pairs:
            told = some([f"{value} is {label}" for value, label in pairs])
            raise LeakError(
                f"covariate {name!r} tells {target} of everybody ({told}): a model would be told "
                "what it must predict. Leave the column out. If it is no copy but how the cohort "
                f"was recruited, no model can tell {target} from {name} in this cohort: add "
                f"participants who break the rule."
            )
    parts = [name for name in map(str, covariates.columns) if _plain(name).startswith(_DIAGNOSTIC)]
    if parts and _tokens(target) & _STAGE_NAMES:
        warnings.warn(
            f"covariates {some(parts)} are what a diagnosis is made from: a score of {target} with "
            "them says little of brain networks. Leave them out, or report the score without them.",
            DataWarning,
            stacklevel=4,
        )


def _named_like(name: str, target: str) -> bool:
    """Say whether it is the target's name, or both are names of a diagnosis."""
    both_diagnoses = _tokens(name) & _STAGE_NAMES and _tokens(target) & _STAGE_NAMES
    return _plain(name) == _plain(target) or bool(both_diagnoses)


def _plain(name: str) -> str:
    return "".join(re.findall(r"[a-z0-9]+", name.lower()))


def _tokens(name: str) -> set[str]:
    """Return the words of a name, and the whole of it as one word."""
    return {*re.findall(r"[a-z]+", name.lower()), _plain(name)}


def _recoding(values: NDArray[np.str_], labels: NDArray[np.str_]) -> list[tuple[str, str]]:
    """Return which value goes with which label where each has one label, else nothing.

    What is missing is a value too, or is passed over. Few values, many subjects: that an age
    occurs in one stage only tells nothing.
    """
    known = values != "n/a"
    n_classes = np.unique(labels).size
    for rows in (np.full(labels.size, True), known):
        pairs = sorted(set(zip(values[rows].tolist(), labels[rows].tolist(), strict=True)))
        n_values, n_told = len({value for value, _ in pairs}), len({label for _, label in pairs})
        enough = (2 if n_values == n_classes else 4) * n_values
        if len(pairs) == n_values and n_told > 1 and rows.sum() >= max(enough, labels.size / 2):
            return pairs
    return []


def refuse_learned_from_all(attributes: Mapping[Any, Any]) -> None:
    """Raise if a cohort says that something was estimated from all of its subjects.

    Parameters
    ----------
    attributes : mapping
        ``attrs`` of a cohort or of covariates: ``fitted_on``, ``harmonised``, ``scaled``.

    Raises
    ------
    LeakError
    """
    for name in _LEARNED:
        value = attributes.get(name)
        if value is not None and str(value).lower() not in ("", "0", "false", "none", "no"):
            raise LeakError(
                f"the cohort says {name}={value!r}: what was estimated from all of its subjects "
                "knows those who are tested. Take the cohort from before that, and do it in each "
                "fold: put it into the estimator (brainnet.models.harmonised, or a scikit-learn "
                "pipeline)."
            )


def refuse_fitted(name: str, estimator: Any) -> None:
    """Raise if an estimator, or anything in it, was fitted before the split.

    Looked into are its parameters and attributes, lists and mappings of them, bound methods and
    what functions refer to. Fitted is what has an attribute that ends in ``_``, scikit-learn's
    convention; what learns without one cannot be seen.

    Parameters
    ----------
    name : str
        What the estimator is called.
    estimator : estimator

    Raises
    ------
    LeakError

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> scaler = StandardScaler().fit([[0.0], [1.0]])
    >>> refuse_fitted("svm", make_pipeline(scaler, SVC()))
    Traceback (most recent call last):
    brainnet.evaluate.leaks.LeakError: estimator 'svm' holds StandardScaler, which was fitted ...
    """
    for part in _parts(estimator, set()):
        learned = [each for each in _own(part) if each.endswith("_") and not each.startswith("_")]
        if learned:
            inner = "" if part is estimator else f" holds {type(part).__name__}, which"
            raise LeakError(
                f"estimator {name!r}{inner} was fitted before the split (it has {some(learned)}): "
                "what it knows of those who are tested would leak, or be lost in silence, for "
                "each fold fits its own. Hand over an unfitted one, as sklearn.base.clone gives "
                "it, with nothing frozen or prefit inside."
            )


def _own(part: Any) -> dict[str, Any]:
    """Return the attributes of the object itself."""
    return dict(getattr(part, "__dict__", {}))


def _parts(part: Any, seen: set[int]) -> Iterator[Any]:
    """Yield every learner in an object: what has ``fit``, ``transform`` or ``predict``."""
    if id(part) in seen or isinstance(part, (type, str, np.ndarray, pd.DataFrame, pd.Series)):
        return
    seen.add(id(part))
    inner: Iterable[Any] = ()
    if isinstance(part, Mapping):
        inner = part.values()
    elif isinstance(part, (list, tuple, set, frozenset)):
        inner = part
    elif isinstance(part, functools.partial):
        inner = (part.func, part.args, part.keywords)
    elif inspect.ismethod(part):
        inner = (part.__self__,)
    elif inspect.isfunction(part):
        inner = _referred(part)
    elif any(callable(getattr(part, does, None)) for does in ("fit", "transform", "predict")):
        yield part
        inner = _own(part).values()
    for each in inner:
        yield from _parts(each, seen)


def _referred(function: Any) -> list[Any]:
    """Return the learners that a function refers to from outside, and its defaults."""
    outside = inspect.getclosurevars(function)
    found = [*outside.nonlocals.values(), *(function.__defaults__ or ())]
    found += [each for each in outside.globals.values() if not inspect.isroutine(each)]
    return [each for each in found if not inspect.ismodule(each)]
