"""Covariates of subjects to the columns of a linear model, coded as in training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

__all__ = ["MISSING", "Design", "names_of"]

Floats = NDArray[np.float64]

#: Text that stands for a value that is not known.
MISSING = ("", "n/a", "nan", "None", "<NA>")


class Design(TransformerMixin, BaseEstimator):
    """Code covariates as standardised numbers.

    A number enters as it is, text and truth values by level (one column for each but the first,
    in order of name), each with mean 0 and deviation 1 over the training rows; what is constant
    there is left out. A missing covariate, or a level that training did not have, is at the mean:
    0.

    Attributes
    ----------
    columns_ : tuple
        Name, level, mean and deviation behind each column.

    Examples
    --------
    >>> people = pd.DataFrame({"age": [60.0, 70.0, 80.0, 70.0], "sex": ["F", "M", "F", "M"]})
    >>> Design().fit(people).transform(people.iloc[:2]).round(2)
    array([[-1.41, -1.  ],
           [ 0.  ,  1.  ]])
    """

    def fit(self, covariates: Any, y: object = None) -> "Design":
        """Learn levels, means and deviations.

        Parameters
        ----------
        covariates : DataFrame or (n_subjects, n_covariates) array

        Raises
        ------
        ValueError
            If a number is infinite.
        """
        frame = pd.DataFrame(covariates)
        coded = []
        for name in frame.columns:
            known: tuple[str, ...] = ()
            if _numbers(frame[name]) is None:
                known = tuple(sorted(set(names_of(frame[name])) - set(MISSING)))
            levels: Sequence[str | None] = known[1:] if known else [None]
            for level in levels:
                values = _raw(frame[name], level, known)
                values = values[np.isfinite(values)]
                if values.size and np.ptp(values) > 0:
                    centre, spread = float(values.mean()), float(values.std())
                    coded.append(_Column(name, level, known, centre, spread))
        self.columns_: tuple[_Column, ...] = tuple(coded)
        return self

    def transform(self, covariates: Any) -> Floats:
        """Return ``(n_subjects, n_coded)``.

        Raises
        ------
        ValueError
            If a covariate of training is not there, or is text where training had numbers.
        """
        frame = pd.DataFrame(covariates)
        lost = [each.name for each in self.columns_ if each.name not in frame.columns]
        if lost:
            raise ValueError(
                f"covariates must be those of training; {lost[0]!r} is missing. "
                "Pass the same columns."
            )
        coded = [
            np.nan_to_num(
                (_raw(frame[each.name], each.level, each.known) - each.centre) / each.spread
            )
            for each in self.columns_
        ]
        return np.stack(coded, axis=1) if coded else np.zeros((len(frame), 0))


@dataclass(frozen=True)
class _Column:
    """How one column of the design comes from a covariate."""

    name: Any
    level: str | None  # of text and truth values
    known: tuple[str, ...]
    centre: float
    spread: float


def names_of(values: Any) -> NDArray[np.str_]:
    """Return values as text, whole numbers without a point.

    Examples
    --------
    >>> names_of([1, 2.0, "A"]).tolist()
    ['1', '2', 'A']
    """
    return np.array([_name(each) for each in np.asarray(values, dtype=object).ravel()], dtype=str)


def _name(value: object) -> str:
    whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return str(int(value)) if whole else str(value)  # type: ignore[call-overload]


def _raw(column: pd.Series, level: str | None, known: Sequence[str]) -> Floats:
    """Return the numbers of a covariate, or whether it is at a level; NaN where not known."""
    if level is None:
        numbers = _numbers(column)
        if numbers is None:
            raise ValueError(
                f"covariate {column.name!r} must hold numbers, as in training; got text."
            )
        return numbers
    text = names_of(column)
    return np.where(np.isin(text, known), (text == level).astype(np.float64), np.nan)


def _numbers(column: pd.Series) -> Floats | None:
    """Return the values as numbers, or None where they are text or truth values."""
    if pd.api.types.is_bool_dtype(column):
        return None
    text = names_of(column)
    numbers = np.full(len(text), np.nan)
    known = ~np.isin(text, MISSING)
    try:
        numbers[known] = text[known].astype(np.float64)
    except ValueError:
        return None
    if np.isinf(numbers).any():
        raise ValueError(f"covariate {column.name!r} must be finite; got an infinite value.")
    return numbers
