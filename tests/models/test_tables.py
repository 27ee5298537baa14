"""Subjects as tables by region, and what makes a table fit for a classifier."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from brainnet.cohort.subjects import as_subjects
from brainnet.models.measures import with_measures
from brainnet.models.tables import (
    MedianFill,
    QuantileBins,
    RegionTable,
    SeenColumns,
    Standardise,
)

HOLES = np.array([[1.0, np.nan, 4.0], [3.0, np.nan, np.nan], [9.0, np.nan, 6.0]])


@pytest.fixture
def subjects(planted_networks):
    networks, _ = planted_networks(6)
    values = np.random.default_rng(0).normal(size=networks.shape[:3])
    return with_measures(replace(as_subjects(networks), values=values))


def test_columns_are_what_their_names_say(subjects):
    table = RegionTable().fit(subjects)
    names, rows = table.get_feature_names_out(), table.transform(subjects)
    assert rows.shape == (6, len(names)) == (6, 2 * (12 * 6 + 6 + 12))
    column = names.tolist().index("modality 2: clustering_weighted of region 5")
    np.testing.assert_array_equal(rows[:, column], subjects.measures[:, 1, 4, 1])
    column = names.tolist().index("modality 1: modularity")
    np.testing.assert_array_equal(rows[:, column], subjects.graph_measures[:, 0, 5])
    column = names.tolist().index("modality 2: value of region 12")
    np.testing.assert_array_equal(rows[:, column], subjects.values[:, 1, 11])


def test_measures_are_taken_where_there_are_none(subjects):
    plain = RegionTable(kinds=("measures",)).fit_transform(subjects.edges)
    np.testing.assert_array_equal(plain, subjects.measures.reshape(6, -1))


def test_values_alone_take_no_measures(subjects, monkeypatch):
    monkeypatch.setattr("brainnet.models.tables.with_measures", None)
    assert RegionTable(kinds=("values",)).fit_transform(subjects).shape == (6, 24)


@pytest.mark.parametrize("kinds", [("volumes",), (), "values"])
def test_unknown_kinds_are_refused(subjects, kinds):
    with pytest.raises(ValueError, match="kinds must be of measures"):
        RegionTable(kinds=kinds).fit(subjects)


def test_other_subjects_are_refused(subjects, planted_networks):
    table = RegionTable().fit(subjects)
    with pytest.raises(ValueError, match="same atlas"):
        table.transform(planted_networks(2, 9)[0])
    mixed = replace(subjects, regions=subjects.regions[::-1])
    with pytest.raises(ValueError, match=r"regions must be .* in their order"):
        table.transform(mixed)
    with pytest.raises(ValueError, match=r"modalities must be .*got 'pet'"):
        table.transform(replace(subjects, modalities=("modality 1", "pet")))
    others = replace(
        subjects, measures=subjects.measures[..., :2], measure_names=subjects.measure_names[:2]
    )
    with pytest.raises(ValueError, match="measures must be those of the training"):
        table.transform(others)


def test_medians_fill_what_is_missing():
    fill = MedianFill().fit(HOLES)
    np.testing.assert_array_equal(fill.medians_, [3, 0, 5])
    np.testing.assert_array_equal(fill.transform(HOLES)[1], [3, 0, 5])
    full = np.ones((2, 3))
    assert fill.transform(full) is full, "nothing to fill, nothing to copy"


def test_columns_that_nobody_has_are_left_out():
    seen = SeenColumns().fit(HOLES)
    np.testing.assert_array_equal(seen.transform(HOLES), HOLES[:, [0, 2]])
    with pytest.raises(ValueError, match="NaN alone"):
        SeenColumns().fit(HOLES[:, [1]])


def test_scaled_columns_are_those_of_scikit_learn_and_rows_have_length_one():
    table = np.random.default_rng(0).normal(50, [1e-3, 1, 100], size=(30, 3))
    scaled = Standardise().fit_transform(table)
    expected = StandardScaler().fit_transform(table)
    np.testing.assert_allclose(scaled, expected / np.sqrt(3), atol=1e-9)
    assert np.mean(np.sum(scaled**2, axis=1)) == pytest.approx(1)


def test_a_column_that_does_not_vary_weighs_nothing():
    table = np.full((7, 2), 0.1)
    table[:, 1] = np.arange(7)
    scaled = Standardise().fit_transform(table)
    np.testing.assert_allclose(scaled[:, 0], 0, atol=1e-12)
    assert np.mean(scaled[:, 1] ** 2) == pytest.approx(1)


def test_bins_hold_equal_shares_and_keep_order():
    table = np.random.default_rng(0).normal(size=(64, 3)) ** 3
    table[:10, 1], table[:, 2] = np.nan, 1.0
    bins = QuantileBins(n_bins=8).fit(table)
    found = bins.transform(table)
    assert set(np.bincount(found[:, 0].astype(int))) <= {7, 8, 9}
    order = np.argsort(table[:, 0])
    assert (np.diff(found[order, 0]) >= 0).all()
    np.testing.assert_array_equal(np.isnan(found), np.isnan(table))
    assert set(found[:, 2]) == {0}
    np.testing.assert_array_equal(bins.transform([[-1e9, 1e9, np.nan]]), [[0, 7, np.nan]])


@pytest.mark.parametrize("step", [MedianFill(), SeenColumns(), Standardise(), QuantileBins()])
def test_a_table_of_another_width_is_refused(step):
    step.fit(np.arange(6.0).reshape(2, 3))
    with pytest.raises(ValueError, match="features"):
        step.transform(np.ones((2, 4)))
