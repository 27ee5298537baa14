"""Subjects as tables of numbers by region, and what makes a table fit for a classifier."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from brainnet.cohort.subjects import Subjects
from brainnet.models.edges import SubjectsTransformer, column_medians
from brainnet.models.measures import with_measures

__all__ = ["KINDS", "MedianFill", "QuantileBins", "RegionTable", "SeenColumns", "Standardise"]

Floats = NDArray[np.float64]


def _measures(subjects: Subjects) -> Floats:
    return with_measures(subjects).measures


def _graph_measures(subjects: Subjects) -> Floats:
    return with_measures(subjects).graph_measures


def _values(subjects: Subjects) -> Floats:
    return subjects.values


#: What a table can be made of, each ``(n_subjects, n_modalities, ...)``: network measures of each
#: region, measures of whole networks, one value a region (volume, SUVR).
KINDS: Mapping[str, Callable[[Subjects], Floats]] = MappingProxyType(
    {"measures": _measures, "graph_measures": _graph_measures, "values": _values}
)


class RegionTable(SubjectsTransformer):
    """Lay network measures and regional values side by side, one row a subject; NaN stays.

    Measures that the subjects do not have are taken
    (:func:`~brainnet.models.measures.with_measures`): add them once, before a cross-validation.

    Parameters
    ----------
    kinds : sequence of str
        Of :data:`KINDS`.

    Examples
    --------
    >>> networks = np.random.default_rng(0).uniform(size=(3, 2, 6, 6))
    >>> table = RegionTable(kinds=("graph_measures",)).fit(networks + networks.swapaxes(2, 3))
    >>> table.transform(networks + networks.swapaxes(2, 3)).shape
    (3, 12)
    >>> print(table.get_feature_names_out()[1])
    modality 1: global_efficiency_weighted
    """

    def __init__(self, *, kinds: Sequence[str] = ("measures", "graph_measures", "values")) -> None:
        self.kinds = kinds

    def fit(self, networks: ArrayLike, y: object = None) -> "RegionTable":
        """Remember the layout and the names of the measures."""
        self.fit_transform(networks)
        return self

    def fit_transform(self, networks: ArrayLike, y: object = None) -> Floats:
        """Return the table of the subjects whose layout is remembered."""
        unknown = [each for each in self.kinds if each not in KINDS]
        if unknown or isinstance(self.kinds, str) or not self.kinds:
            raise ValueError(f"kinds must be of {', '.join(KINDS)}; got {self.kinds!r}.")
        subjects = self._measured(self.learn_layout(networks))
        self.columns_ = _columns(subjects)
        return self._table(subjects)

    def transform(self, networks: ArrayLike) -> Floats:
        """Return ``(n_subjects, n_columns)`` numbers, NaN where not measured.

        Raises
        ------
        ValueError
            If the subjects have other regions, modalities or measures than those in training.
        """
        check_is_fitted(self)
        subjects = self._measured(self.check_layout(networks))
        measured, known = _columns(subjects)[2:], self.columns_[2:]
        if measured != known:
            raise ValueError(
                f"measures must be those of the training subjects, {known}; got {measured}. "
                "Take them with the same with_measures(...)."
            )
        return self._table(subjects)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.str_]:
        """Return what each column is, as ``modality: measure of region``."""
        check_is_fitted(self)
        modalities, regions, measures, graph_measures = self.columns_
        each = {
            "measures": [f"{name} of {region}" for region in regions for name in measures],
            "graph_measures": graph_measures,
            "values": [f"value of {region}" for region in regions],
        }
        return np.array(
            [f"{who}: {what}" for kind in self.kinds for who in modalities for what in each[kind]]
        )

    def _measured(self, subjects: Subjects) -> Subjects:
        return subjects if set(self.kinds) == {"values"} else with_measures(subjects)

    def _table(self, subjects: Subjects) -> Floats:
        n_subjects = len(subjects)
        return np.concatenate(
            [KINDS[each](subjects).reshape(n_subjects, -1) for each in self.kinds], axis=1
        )


class MedianFill(TransformerMixin, BaseEstimator):
    """Fill what is NaN with its column's median over the training subjects; 0 where nobody has it.

    Attributes
    ----------
    medians_ : (n_columns,) array

    Examples
    --------
    >>> MedianFill().fit_transform([[1.0], [3.0], [np.nan]]).ravel()
    array([1., 3., 2.])
    """

    def fit(self, table: ArrayLike, y: object = None) -> "MedianFill":
        """Learn the medians."""
        checked = validate_data(self, table, dtype=np.float64, ensure_all_finite="allow-nan")
        self.medians_: Floats = np.nan_to_num(column_medians(checked))
        return self

    def transform(self, table: ArrayLike) -> Floats:
        """Return the table without NaN; the table itself where it has none."""
        check_is_fitted(self)
        checked: Floats = validate_data(
            self, table, dtype=np.float64, ensure_all_finite="allow-nan", reset=False
        )
        missing = np.isnan(checked)
        return np.where(missing, self.medians_, checked) if missing.any() else checked


class SeenColumns(TransformerMixin, BaseEstimator):
    """Keep the columns that some training subject has; NaN stays within them.

    Attributes
    ----------
    seen_ : (n_columns,) bool array

    Examples
    --------
    >>> SeenColumns().fit_transform([[1.0, np.nan], [np.nan, np.nan]])
    array([[ 1.],
           [nan]])
    """

    def fit(self, table: ArrayLike, y: object = None) -> "SeenColumns":
        """Learn which columns there are."""
        checked = validate_data(self, table, dtype=np.float64, ensure_all_finite="allow-nan")
        self.seen_: NDArray[np.bool_] = ~np.isnan(checked).all(axis=0)
        if not self.seen_.any():
            raise ValueError("table must hold a number; got NaN alone. Nothing was measured.")
        return self

    def transform(self, table: ArrayLike) -> Floats:
        """Return these columns."""
        check_is_fitted(self)
        checked: Floats = validate_data(
            self, table, dtype=np.float64, ensure_all_finite="allow-nan", reset=False
        )
        return checked[:, self.seen_]


class QuantileBins(TransformerMixin, BaseEstimator):
    """Replace numbers by the quantile of the training subjects that they fall in; NaN stays.

    For boosted trees, which split between bins only: scikit-learn finds its own one percentile
    at a time, which takes longer than the trees where columns are thousands.

    Parameters
    ----------
    n_bins : int

    Attributes
    ----------
    edges_ : (n_bins - 1, n_columns) array
        Upper ends of all bins but the last; a number that is equal is in the bin.

    Examples
    --------
    >>> QuantileBins(n_bins=2).fit_transform([[1.0], [2.0], [7.0], [np.nan]]).ravel()
    array([ 0.,  0.,  1., nan])
    """

    def __init__(self, *, n_bins: int = 32) -> None:
        self.n_bins = n_bins

    def fit(self, table: ArrayLike, y: object = None) -> "QuantileBins":
        """Learn the quantiles."""
        checked = validate_data(self, table, dtype=np.float64, ensure_all_finite="allow-nan")
        ordered = np.sort(checked, axis=0)  # NaN last
        last = np.maximum((~np.isnan(checked)).sum(axis=0) - 1, 0)
        shares = np.arange(1, self.n_bins)[:, np.newaxis] / self.n_bins
        places = np.floor(shares * last).astype(np.intp)
        self.edges_: Floats = np.take_along_axis(ordered, places, axis=0)
        return self

    def transform(self, table: ArrayLike) -> Floats:
        """Return the number of each one's bin, from 0."""
        check_is_fitted(self)
        checked: Floats = validate_data(
            self, table, dtype=np.float64, ensure_all_finite="allow-nan", reset=False
        )
        bins = np.where(np.isnan(checked), np.nan, 0.0)
        for edge in self.edges_:
            bins += checked > edge
        return bins


class Standardise(TransformerMixin, BaseEstimator):
    """Scale columns to mean 0 and equal variance, rows to mean square length 1, in training.

    Each of :math:`k` columns that vary gets variance :math:`1 / k`, so blocks of any number of
    columns weigh the same side by side. A column that does not vary becomes 0 in training.

    Attributes
    ----------
    centre_, spread_ : (n_columns,) arrays
        What is subtracted, then divided by.

    Examples
    --------
    >>> Standardise().fit_transform([[1.0, 5.0, 0.0], [3.0, 5.0, 1.0]])
    array([[-0.70710678,  0.        , -0.70710678],
           [ 0.70710678,  0.        ,  0.70710678]])
    """

    def fit(self, table: ArrayLike, y: object = None) -> "Standardise":
        """Learn centre and spread."""
        checked = validate_data(self, table, dtype=np.float64)
        self.centre_: Floats = checked.mean(axis=0)
        away = checked - self.centre_
        spread = np.sqrt(np.einsum("ij,ij->j", away, away) / len(checked))
        varies = spread > 1e-10 * np.abs(self.centre_)
        self.spread_: Floats = np.where(varies, spread * np.sqrt(max(1, varies.sum())), 1.0)
        return self

    def transform(self, table: ArrayLike) -> Floats:
        """Return the scaled table."""
        check_is_fitted(self)
        checked = validate_data(self, table, dtype=np.float64, reset=False)
        scaled: Floats = checked - self.centre_
        scaled /= self.spread_
        return scaled


def _columns(subjects: Subjects) -> tuple[tuple[str, ...], ...]:
    """Return the names of modalities, regions, measures and measures of networks."""
    return (
        subjects.modalities,
        subjects.regions,
        subjects.measure_names,
        subjects.graph_measure_names,
    )
