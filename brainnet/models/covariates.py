"""What age, sex, site, motion and head size alone say about the stage."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from brainnet.cohort import words
from brainnet.cohort.subjects import COVARIATES, Subjects
from brainnet.models.linear import StageLogistic
from brainnet.models.stages import StagePipeline
from brainnet.models.tables import MedianFill, Standardise

__all__ = ["CovariateTable", "covariate_logistic"]

Floats = NDArray[np.float64]

_NUMBERS = ("age", "motion", "icv")
_CATEGORIES = ("sex", "site")


def covariate_logistic(*, seed: int = 0) -> StagePipeline:
    """Return logistic regression on the covariates alone: no brain in it.

    Where it does as well as a model of networks, the networks may have added nothing but the
    site, the motion or the age that they betray.

    Parameters
    ----------
    seed : int
        Seed of the inner folds.

    Returns
    -------
    StagePipeline
        Takes :class:`~brainnet.cohort.subjects.Subjects` that have covariates.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from brainnet.cohort.subjects import as_subjects
    >>> subjects = as_subjects(np.zeros((8, 1, 2, 2)))
    >>> ages = pd.DataFrame({"age": [60, 62, 61, 63, 80, 81, 79, 83]})
    >>> subjects = replace(subjects, covariates=ages)
    >>> covariate_logistic().fit(subjects, ["CN"] * 4 + ["AD"] * 4).predict(subjects[[0, -1]])
    array(['CN', 'AD'], dtype='<U2')
    """
    return StagePipeline(
        [
            ("covariates", CovariateTable()),
            ("fill", MedianFill()),
            ("scale", Standardise()),
            ("classify", StageLogistic(seed=seed)),
        ]
    )


class CovariateTable(TransformerMixin, BaseEstimator):
    """Lay covariates out as numbers: quantities as they are, a column for each level of the others.

    Age, motion and intracranial volume are quantities; sex and site are categories, even where
    they are coded by numbers; any other covariate is what its column's type says. A level that
    was not seen in training, and a missing one, is 0 in all columns of its covariate. A missing
    quantity stays NaN.

    Attributes
    ----------
    quantities_ : tuple of str
    levels_ : dict
        Levels of each category, seen in training, in order.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from brainnet.cohort.subjects import as_subjects
    >>> people = pd.DataFrame({"age": [60.0, None, 70.0], "site": ["A", "B", "C"]})
    >>> subjects = replace(as_subjects(np.zeros((3, 1, 2, 2))), covariates=people)
    >>> CovariateTable().fit(subjects[:2]).transform(subjects)
    array([[60.,  1.,  0.],
           [nan,  0.,  1.],
           [70.,  0.,  0.]])
    """

    def fit(self, networks: Any, y: object = None) -> "CovariateTable":
        """Learn which covariates there are, and the levels of the categories."""
        frame = _covariates(networks)
        names = [str(each) for each in frame.columns]
        self.quantities_ = tuple(each for each in names if _is_quantity(frame[each]))
        self.levels_ = {
            each: sorted(set(words(frame[each].to_numpy()).tolist()) - {"n/a"})
            for each in names
            if each not in self.quantities_
        }
        return self

    def transform(self, networks: Any) -> Floats:
        """Return ``(n_subjects, n_columns)`` numbers, NaN where a quantity is missing.

        Raises
        ------
        ValueError
            If there are no covariates, one seen in training is not there, or a quantity is not a
            number.
        """
        check_is_fitted(self)
        frame = _covariates(networks)
        known = (*self.quantities_, *self.levels_)
        missing = [each for each in known if each not in frame.columns]
        if missing:
            raise ValueError(
                f"covariates must be those of the training subjects; {', '.join(missing)} is "
                "missing. Add the column, or train without it."
            )
        columns = [_numbers(frame[each]) for each in self.quantities_]
        for name, levels in self.levels_.items():
            given = words(frame[name].to_numpy())
            columns += [(given == each).astype(np.float64) for each in levels]
        return np.stack(columns, axis=1) if columns else np.zeros((len(frame), 1))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.str_]:
        """Return what each column is: ``age``, ``site=A``."""
        check_is_fitted(self)
        levels = [f"{name}={each}" for name, some in self.levels_.items() for each in some]
        return np.array([*self.quantities_, *levels])


def _covariates(networks: Any) -> pd.DataFrame:
    if not isinstance(networks, Subjects) or not len(networks.covariates.columns):
        raise ValueError(
            "subjects must have covariates; got none. Give Subjects whose participants table has "
            f"one or more of {', '.join(COVARIATES)}, or leave this estimator out."
        )
    return networks.covariates


def _is_quantity(column: pd.Series) -> bool:
    if column.name in (*_NUMBERS, *_CATEGORIES):
        return column.name in _NUMBERS
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _numbers(column: pd.Series) -> Floats:
    """Return a quantity as numbers, NaN where it is missing."""
    given = words(column.to_numpy())
    numbers = pd.to_numeric(pd.Series(given).replace("n/a", "nan"), errors="coerce")
    found = numbers.to_numpy(dtype=np.float64)
    wrong = (given != "n/a") & ~np.isfinite(found)
    if wrong.any():
        raise ValueError(
            f"covariate {column.name} must be a number; got {str(given[wrong][0])!r}. "
            "Write n/a where it is not known."
        )
    return found
