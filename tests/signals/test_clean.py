import warnings

import numpy as np
import pandas as pd
import pytest

from brainnet.signals.clean import (
    LADDER,
    clean_timeseries,
    degrees_of_freedom,
    select_confounds,
    usable_band,
)

TISSUE = ["white_matter", "csf"]


def confounds_table(n_timepoints, seed=0):
    """A table as fMRIPrep writes it: derivatives are n/a in the first row."""
    rng = np.random.default_rng(seed)
    names = [*LADDER["24P"], *TISSUE, "framewise_displacement", "dvars"]
    table = pd.DataFrame(rng.normal(size=(n_timepoints, len(names))), columns=names)
    table.loc[0, [name for name in names if "derivative1" in name]] = np.nan
    table.loc[0, ["framewise_displacement", "dvars"]] = np.nan
    return table


@pytest.mark.parametrize(
    "n_timepoints, t_r, expected",
    [(300, 2.0, 2 * 600 * 0.09), (150, 2.0, 54.0), (48, 2.0, 2 * 96 * 0.1 - 2), (8, 1.26, 6.0)],
)
def test_degrees_of_freedom_follow_the_rule(n_timepoints, t_r, expected):
    assert degrees_of_freedom(n_timepoints, t_r=t_r) == pytest.approx(expected)


@pytest.mark.parametrize("n_timepoints, t_r", [(240, 2.0), (150, 2.0), (400, 0.8), (48, 2.0)])
def test_degrees_of_freedom_are_the_effective_dimension_of_filtered_noise(n_timepoints, t_r):
    """Participation ratio of the eigenvalues of filtered white noise: no component stands out."""
    noise = np.random.default_rng(0).normal(size=(n_timepoints, 3000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        cleaned = clean_timeseries(noise, t_r=t_r)
    variance = np.linalg.eigvalsh(cleaned @ cleaned.T / 3000)
    effective = variance.sum() ** 2 / (variance**2).sum()
    assert effective == pytest.approx(degrees_of_freedom(n_timepoints, t_r=t_r), rel=0.1)
    assert variance.max() < 1.6


def test_band_is_kept_when_the_run_supports_it():
    assert usable_band(300, t_r=2.0) == ((0.01, 0.1), [])


def test_real_run_of_48_volumes_loses_the_high_pass_and_says_so():
    band, reasons = usable_band(48, t_r=2.0)
    assert band == (None, 0.1)
    assert len(reasons) == 1
    assert "96 s" in reasons[0]


def test_real_run_of_8_volumes_loses_both_cuts_and_says_so():
    band, reasons = usable_band(8, t_r=1.259)
    assert band == (None, None)
    assert len(reasons) == 2


def test_low_pass_beyond_the_sampling_is_dropped():
    band, reasons = usable_band(100, t_r=6.0)
    assert band == (0.01, None)
    assert "sampled" in reasons[0]


@pytest.mark.parametrize("n_timepoints", [*range(6, 60), 100])
@pytest.mark.parametrize("t_r", [0.7, 1.26, 2.0, 3.0])
def test_every_length_of_run_is_cleaned_within_its_means(n_timepoints, t_r):
    noise = np.random.default_rng(1).normal(100, 1, size=(n_timepoints, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        chosen, _ = select_confounds(
            confounds_table(n_timepoints), n_timepoints=n_timepoints, t_r=t_r
        )
        cleaned = clean_timeseries(noise, chosen, t_r=t_r)
    assert np.isfinite(cleaned).all()
    np.testing.assert_allclose(cleaned.mean(axis=0), 0, atol=1e-10)


@pytest.mark.parametrize(
    "n_timepoints, t_r, strategy, n_columns",
    [
        (300, 2.0, "24P+WM+CSF", 26),
        (150, 2.0, "24P+WM+CSF", 26),  # 54 degrees of freedom
        (120, 2.0, "6P+WM+CSF", 8),  # 43: 26 would be more than half
        (48, 2.0, "6P+WM+CSF", 8),
        (8, 1.26, "WM+CSF", 2),
        (6, 1.26, "none", 0),  # 4: 2 would leave fewer than 3
    ],
)
def test_the_richest_affordable_confounds_are_taken(n_timepoints, t_r, strategy, n_columns):
    table = confounds_table(n_timepoints)
    with warnings.catch_warnings():
        if strategy != "24P+WM+CSF":
            warnings.simplefilter("ignore", UserWarning)
        chosen, name = select_confounds(table, n_timepoints=n_timepoints, t_r=t_r)
    assert name == strategy
    assert chosen.shape == (n_timepoints, n_columns)
    assert np.isfinite(chosen.to_numpy()).all()


def test_stepping_down_is_said():
    with pytest.warns(UserWarning, match=r"6P\+WM\+CSF, not 24P\+WM\+CSF.*17\.2 degrees"):
        select_confounds(confounds_table(48), n_timepoints=48, t_r=2.0)


def test_a_missing_tissue_signal_leaves_the_rest():
    table = confounds_table(300).drop(columns="csf")
    with pytest.warns(UserWarning, match=r"24P\+WM, not"):
        chosen, name = select_confounds(table, n_timepoints=300, t_r=2.0)
    assert name == "24P+WM"
    assert chosen.shape[1] == 25


def test_columns_that_are_nan_are_not_used_but_first_derivatives_are_zero():
    table = confounds_table(300)
    table["white_matter"] = np.nan
    table.loc[5, "trans_x_derivative1"] = np.nan
    with pytest.warns(UserWarning, match=r"6P\+CSF"):
        chosen, _ = select_confounds(table, n_timepoints=300, t_r=2.0)
    assert "white_matter" not in chosen
    full, _ = select_confounds(confounds_table(300), n_timepoints=300, t_r=2.0)
    assert (full.loc[0, [name for name in full if "derivative1" in name]] == 0).all()


def test_an_empty_table_means_no_confounds():
    with pytest.warns(UserWarning, match="none"):
        chosen, name = select_confounds(pd.DataFrame(index=range(50)), n_timepoints=50)
    assert name == "none"
    assert chosen.shape == (50, 0)


def test_rows_must_match_and_a_run_of_four_volumes_is_too_short():
    with pytest.raises(ValueError, match="10 rows for 9 volumes"):
        select_confounds(confounds_table(10), n_timepoints=9)
    with pytest.raises(ValueError, match="4 volumes leaves 2 degrees"):
        select_confounds(confounds_table(4), n_timepoints=4, t_r=2.0)


def test_motion_and_drift_are_removed_and_only_the_known_share_of_signal_with_them():
    """Six regressors spend 6 of the 108 degrees of freedom: r = sqrt(1 - 6 / 108) on average."""
    rng = np.random.default_rng(5)
    signal = clean_timeseries(rng.normal(size=(300, 60)), t_r=2.0)
    signal /= signal.std(axis=0)
    motion = pd.DataFrame(rng.normal(size=(300, 6)), columns=LADDER["6P"])
    seconds = 2.0 * np.arange(300)
    drift = 0.01 * seconds + np.sin(2 * np.pi * 0.002 * seconds)
    mixed = 500 + signal + 5 * motion.to_numpy() @ rng.normal(size=(6, 60)) + drift[:, None]
    cleaned = clean_timeseries(mixed, motion, t_r=2.0)
    pairs = [np.corrcoef(*each)[0, 1] for each in zip(mixed.T, signal.T, strict=True)]
    assert np.mean(pairs) < 0.15
    pairs = [np.corrcoef(*each)[0, 1] for each in zip(cleaned.T, signal.T, strict=True)]
    assert np.mean(pairs) == pytest.approx(np.sqrt(1 - 6 / 108), abs=0.015)


def test_residuals_are_orthogonal_to_the_confounds_without_a_filter():
    rng = np.random.default_rng(6)
    data, motion = rng.normal(size=(80, 5)), rng.normal(size=(80, 6))
    cleaned = clean_timeseries(data, motion, t_r=2.0, high_pass=None, low_pass=None)
    trend = np.arange(80) - 39.5
    for regressor in [*motion.T, trend, np.ones(80)]:
        np.testing.assert_allclose(regressor @ cleaned / 80, 0, atol=1e-2)
    design = np.column_stack([motion, trend, np.ones(80)])
    expected = data - design @ np.linalg.lstsq(design, data, rcond=None)[0]
    np.testing.assert_allclose(cleaned, expected, atol=1e-8)


def test_units_are_kept():
    rng = np.random.default_rng(7)
    data = rng.normal(size=(200, 3))
    one = clean_timeseries(data, t_r=2.0)
    thousand = clean_timeseries(1000 * data, t_r=2.0)
    np.testing.assert_allclose(1000 * one, thousand, rtol=1e-8, atol=1e-8)


def test_nan_and_constant_regions_are_nan_and_leave_the_others_alone():
    data = np.random.default_rng(8).normal(size=(200, 4))
    alone = clean_timeseries(data[:, [1, 3]], t_r=2.0)
    data[:, 0] = 12.5
    data[7, 2] = np.nan
    cleaned = clean_timeseries(data, t_r=2.0)
    assert np.isnan(cleaned[:, [0, 2]]).all()
    np.testing.assert_allclose(cleaned[:, [1, 3]], alone)


def test_a_region_that_is_a_confound_is_nan_not_rounding_noise():
    rng = np.random.default_rng(9)
    motion = rng.normal(size=(200, 6))
    data = np.column_stack([rng.normal(size=200), 3 * motion[:, 2] + 7])
    cleaned = clean_timeseries(data, motion, t_r=2.0)
    assert np.isfinite(cleaned[:, 0]).all()
    assert np.isnan(cleaned[:, 1]).all()


def test_all_nan_comes_back_all_nan():
    assert np.isnan(clean_timeseries(np.full((100, 3), np.nan), t_r=2.0)).all()


def test_constant_confounds_are_ignored():
    data = np.random.default_rng(10).normal(size=(200, 2))
    still = pd.DataFrame(np.zeros((200, 6)), columns=LADDER["6P"])
    np.testing.assert_array_equal(
        clean_timeseries(data, still, t_r=2.0), clean_timeseries(data, t_r=2.0)
    )


def test_too_many_confounds_are_refused():
    data = np.random.default_rng(11).normal(size=(8, 2))
    motion = np.random.default_rng(12).normal(size=(8, 6))
    with pytest.raises(ValueError, match="must leave a degree of freedom; 0 of 8"):
        clean_timeseries(data, motion, t_r=1.26, high_pass=None, low_pass=None)


def test_short_runs_warn_once_for_each_reason():
    data = np.random.default_rng(13).normal(size=(8, 2))
    with pytest.warns(UserWarning, match="-pass") as caught:
        clean_timeseries(data, t_r=1.26)
    assert len(caught) == 2


@pytest.mark.parametrize(
    "options, rule",
    [
        ({"t_r": 0.0}, "t_r must be positive"),
        ({"t_r": 2.0, "high_pass": 0.2}, "high_pass must be below low_pass"),
        ({"t_r": 2.0, "low_pass": np.nan}, "low_pass must be positive"),
    ],
)
def test_bad_bands_are_refused(options, rule):
    with pytest.raises(ValueError, match=rule):
        clean_timeseries(np.zeros((50, 2)), **options)


def test_bad_confounds_are_refused():
    data = np.random.default_rng(14).normal(size=(100, 2))
    with pytest.raises(ValueError, match="one row per volume"):
        clean_timeseries(data, np.zeros((99, 2)), t_r=2.0)
    with pytest.raises(ValueError, match="finite; got 1"):
        clean_timeseries(data, np.where(np.arange(100) == 3, np.nan, 1.0)[:, None], t_r=2.0)
    with pytest.raises(ValueError, match="2,"):
        clean_timeseries(np.zeros((2, 50, 3)), t_r=2.0)
