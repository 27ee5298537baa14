"""The plain group difference, against scipy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr, ttest_ind

from brainnet.explain.groups import agreement_with_groups, group_difference


def test_t_and_d_are_scipys_with_what_was_not_measured(cohort, without):
    subjects, stages = without(cohort[0]), cohort[1]
    found = group_difference(subjects, stages)
    low, high = stages == "CN", stages == "AD"
    assert found.measures[:3] == ("mean_edge", "values", "edges")
    values = subjects.values[:, 1]
    expected = ttest_ind(values[high], values[low], equal_var=False, nan_policy="omit").statistic
    np.testing.assert_allclose(found.t[1, 1], expected)
    assert np.isnan(found.t[1, 0]).all()  # function has no values
    off = np.where(np.eye(10, dtype=bool), np.nan, subjects.edges)
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="empty slice"):
        mean = np.nanmean(off, axis=3)
    expected = ttest_ind(mean[high], mean[low], equal_var=False, nan_policy="omit").statistic
    np.testing.assert_allclose(found.t[0], expected)
    n, m = (np.isfinite(mean[each]).sum(axis=0) for each in (low, high))
    variances = [np.nanvar(mean[each], axis=0, ddof=1) for each in (low, high)]
    pooled = np.sqrt(((n - 1) * variances[0] + (m - 1) * variances[1]) / (n + m - 2))
    difference = np.nanmean(mean[high], axis=0) - np.nanmean(mean[low], axis=0)
    np.testing.assert_allclose(found.d[0], difference / pooled)


def test_edges_are_the_root_mean_square_of_their_t(cohort):
    subjects, stages = cohort
    found = group_difference(subjects, stages)
    t = ttest_ind(
        subjects.edges[stages == "AD", 0, 2], subjects.edges[stages == "CN", 0, 2], equal_var=False
    ).statistic
    keep = np.arange(10) != 2
    assert found.t[2, 0, 2] == pytest.approx(np.sqrt((t[keep] ** 2).mean()))
    assert found.t[2].argmax(axis=1).tolist() == [2, 5]


def test_the_diagonal_is_ignored(cohort):
    subjects, stages = cohort
    edges = subjects.edges + np.random.default_rng(0).normal(size=(60, 2, 1, 10)) * np.eye(10)
    found = group_difference(replace(subjects, edges=edges), stages)
    np.testing.assert_allclose(found.t, group_difference(subjects, stages).t)


def test_network_measures_come_with_their_names(cohort):
    subjects, stages = cohort
    found = group_difference(subjects, stages)
    assert found.measures[3:] == subjects.measure_names
    low, high = stages == "CN", stages == "AD"
    values = subjects.measures[:, 1, :, 0]
    expected = ttest_ind(values[high], values[low], equal_var=False).statistic
    np.testing.assert_allclose(found.t[3, 1], expected)


def test_a_map_is_held_against_the_sizes(cohort):
    subjects, stages = cohort
    found = group_difference(subjects, stages)
    table = agreement_with_groups(-found.t[0], found)
    np.testing.assert_allclose(table[0], 1)
    expected = spearmanr(np.abs(found.t[0, 1]), np.abs(found.t[1, 1])).statistic
    assert table[1, 1] == pytest.approx(expected)
    assert np.isnan(table[1, 0])


def test_small_groups(cohort):
    subjects, stages = cohort
    with pytest.raises(ValueError, match="got 0 of MCI"):
        group_difference(subjects, stages, low="MCI")
    edges = subjects.edges.copy()
    edges[np.flatnonzero(stages == "AD")[1:], 0, 3] = np.nan
    edges[np.flatnonzero(stages == "AD")[1:], 0, :, 3] = np.nan
    found = group_difference(replace(subjects, edges=edges), stages)
    assert np.isnan(found.t[0, 0]).tolist() == [number == 3 for number in range(10)]
