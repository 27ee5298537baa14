"""Estimators that look at no brain: what they reach, a score of brain networks must surpass."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from brainnet.cohort import words
from brainnet.cohort.subjects import as_subjects

__all__ = ["Missing", "Site", "missingness", "site_alone"]


class Missing(TransformerMixin, BaseEstimator):
    """Take of each subject only what is missing.

    Learns nothing. The columns: of each modality whether it is there, the share of its regions
    with a network and with a value; of each covariate whether it is known.

    Examples
    --------
    >>> networks = np.ones((2, 1, 3, 3))
    >>> networks[1, 0, 2, :] = networks[1, 0, :, 2] = np.nan
    >>> Missing().fit_transform(networks).round(2)
    array([[1.  , 1.  , 0.  ],
           [1.  , 0.67, 0.  ]])
    """

    def fit(self, networks: Any, y: object = None) -> "Missing":
        """Remember the number of columns."""
        self.n_columns_: int = self.transform(networks).shape[1]
        return self

    def transform(self, networks: Any) -> NDArray[np.float64]:
        """Return ``(n_subjects, 3 * n_modalities + n_covariates)`` shares, 0 to 1."""
        subjects = as_subjects(networks)
        off_diagonal = ~np.eye(subjects.shape[-1], dtype=bool)
        measured = (np.isfinite(subjects.edges) & off_diagonal).any(axis=3)
        known = [
            words(subjects.covariates[name].to_numpy(dtype=object)) != "n/a"
            for name in subjects.covariates
        ]
        return np.column_stack(
            [
                subjects.present,
                measured.mean(axis=2),
                np.isfinite(subjects.values).mean(axis=2),
                *known,
            ]
        ).astype(np.float64)


class Site(TransformerMixin, BaseEstimator):
    """Take of each subject only where it was scanned, as a column ``(n_subjects, 1)`` of text.

    Learns nothing.
    """

    def fit(self, networks: Any, y: object = None) -> "Site":
        """Check that sites are known."""
        self.n_columns_: int = self.transform(networks).shape[1]
        return self

    def transform(self, networks: Any) -> NDArray[np.str_]:
        """Return the sites.

        Raises
        ------
        ValueError
            If the subjects have no covariate ``site``.
        """
        subjects = as_subjects(networks)
        if "site" not in subjects.covariates:
            raise ValueError(
                "subjects must have the covariate 'site'; got none. Add the column to the "
                "participants table, or leave this estimator out."
            )
        return words(subjects.covariates["site"].to_numpy(dtype=object))[:, np.newaxis]


def missingness() -> Pipeline:
    """Return a classifier that sees of each subject only what is missing.

    Where it stages subjects better than chance, missing data go with the stage (one clinic scans
    no controls with PET), and any model can use that. Logistic regression on :class:`Missing`,
    stages weighing the same.

    Examples
    --------
    >>> networks = np.ones((8, 2, 3, 3))
    >>> networks[:4, 1] = np.nan
    >>> missingness().fit(networks, ["CN"] * 4 + ["AD"] * 4).predict(networks[[0, 7]])
    array(['CN', 'AD'], dtype='<U2')
    """
    return Pipeline(
        [("missing", Missing()), ("scale", StandardScaler()), ("classify", _logistic())]
    )


def site_alone() -> Pipeline:
    """Return a classifier that sees of each subject only the site.

    Where it stages subjects better than chance, sites differ in stages, and any model that knows
    the scanner can use that. A site unseen in training says nothing.

    Examples
    --------
    >>> import dataclasses, pandas as pd
    >>> sites = pd.DataFrame({"site": ["Rome", "Rome", "Oslo", "Oslo"]})
    >>> subjects = dataclasses.replace(as_subjects(np.ones((4, 1, 3, 3))), covariates=sites)
    >>> site_alone().fit(subjects, ["CN", "CN", "AD", "AD"]).predict(subjects)
    array(['CN', 'CN', 'AD', 'AD'], dtype='<U2')
    """
    encoder = OneHotEncoder(handle_unknown="ignore")
    return Pipeline([("site", Site()), ("encode", encoder), ("classify", _logistic())])


def _logistic() -> LogisticRegression:
    return LogisticRegression(class_weight="balanced", max_iter=5000)
