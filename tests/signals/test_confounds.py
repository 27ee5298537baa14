"""Confounds: closed forms, fMRIPrep's names, planted signals in the tissues."""

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet.imaging.motion import framewise_displacement
from brainnet.signals.clean import select_confounds
from brainnet.signals.confounds import ConfoundWarning, confounds_table, dvars, std_dvars

Array = NDArray[np.float64]
SHAPE, N_TIMEPOINTS = (12, 12, 12), 40


def reference_dvars(data: Array) -> tuple[Array, Array]:
    """The published formulas, voxel by voxel in plain loops."""
    scaled = data / np.median(data) * 1000
    n_timepoints, n_voxels = data.shape
    expected, kept = [], []
    for voxel in range(n_voxels):
        series = scaled[:, voxel]
        ordered = np.sort(series)
        low = ordered[int(np.floor(0.25 * (n_timepoints - 1)))]
        high = ordered[int(np.floor(0.75 * (n_timepoints - 1)))]
        if high - low < 1.349e-7:
            continue
        kept.append(voxel)
        centred = series - series.mean()
        rho = (centred[1:] @ centred[:-1]) / (centred @ centred)
        expected.append((high - low) / 1.349 * np.sqrt(2 * (1 - rho)))
    plain = np.full(n_timepoints, np.nan)
    for volume in range(1, n_timepoints):
        plain[volume] = np.sqrt(np.mean((scaled[volume, kept] - scaled[volume - 1, kept]) ** 2))
    return plain, plain / np.mean(expected)


def autoregressive(n_timepoints: int, n_voxels: int, rho: float, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    data = np.empty((n_timepoints, n_voxels))
    data[0] = rng.normal(size=n_voxels)
    for volume in range(1, n_timepoints):
        noise = rng.normal(size=n_voxels) * np.sqrt(1 - rho**2)
        data[volume] = rho * data[volume - 1] + noise
    return data


@pytest.mark.parametrize("n_timepoints", [5, 8, 41])
def test_dvars_follow_the_formulas(n_timepoints: int) -> None:
    rng = np.random.default_rng(0)
    data = 500 + autoregressive(n_timepoints, 200, 0.4) * rng.uniform(1, 20, 200)
    data[:, 7] = 480.0  # does not vary
    plain, standard = reference_dvars(data)
    np.testing.assert_allclose(dvars(data), plain, rtol=1e-10)
    np.testing.assert_allclose(std_dvars(data), standard, rtol=1e-10)
    np.testing.assert_allclose(std_dvars(data.astype(np.float32)), standard, rtol=1e-4)


def test_dvars_closed_form() -> None:
    up_and_down = 1000 + np.outer([0, 3, -3, 3, 0, 5], np.ones(4))
    np.testing.assert_allclose(
        dvars(up_and_down)[1:], np.array([3, 6, 6, 3, 5]) / 1.0015, rtol=1e-9
    )
    assert np.isnan(dvars(up_and_down)[0])


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_clean_noise_has_standard_dvars_of_one_and_a_spike_stands_out(rho: float) -> None:
    data = 1000 + 10 * autoregressive(300, 2000, rho)
    data[150] += 40
    got = std_dvars(data)
    assert np.nanmedian(got) == pytest.approx(1, abs=0.06)  # the spike lowers rho
    assert set(np.argsort(np.nan_to_num(got))[-2:]) == {150, 151}
    assert got[150] > 2
    # blind to gain, as intensity is normalised
    np.testing.assert_allclose(dvars(data * 3.7), dvars(data), rtol=1e-9)


def test_blocks_do_not_show() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(1000, rng.uniform(1, 30, 45_000), (6, 45_000))
    plain, standard = reference_dvars(data)
    np.testing.assert_allclose(dvars(data), plain, rtol=1e-10)
    np.testing.assert_allclose(std_dvars(data), standard, rtol=1e-10)


def test_nothing_varies() -> None:
    assert np.isnan(dvars(np.full((5, 3), 100.0))).all()
    assert np.isnan(std_dvars(np.full((1, 3), 100.0))).all()


@pytest.mark.parametrize(
    "data, message",
    [
        (np.zeros((5, 4)), "median"),
        (np.array([[1.0, np.nan], [1, 2]]), "1 values"),
        (np.ones(5), "shape"),
        (np.ones((5, 0)), "shape"),
    ],
)
def test_unfit_data_are_refused(data: Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dvars(data)


def box(*corners: tuple[int, int]) -> Nifti1Image:
    data = np.zeros(SHAPE, np.uint8)
    data[tuple(slice(*corner) for corner in corners)] = 1
    return Nifti1Image(data, np.diag([3.0, 3, 3, 1]))


MASK = box((1, 11), (1, 11), (1, 11))
WM = box((2, 6), (2, 10), (2, 10))
CSF = box((7, 10), (3, 8), (3, 8))


def series() -> tuple[Nifti1Image, dict[str, Array]]:
    """Own signal in the core of each tissue, another one at its border."""
    t = np.arange(N_TIMEPOINTS)
    truth = {"white_matter": 800 + 5 * np.sin(t / 3), "csf": 1200 + 9 * np.cos(t / 5)}
    data = np.random.default_rng(0).normal(1000, 10, (*SHAPE, N_TIMEPOINTS))
    data[3:5, 3:9, 3:9] = truth["white_matter"]
    data[8:9, 4:7, 4:7] = truth["csf"]
    return Nifti1Image(data.astype(np.float32), MASK.affine), truth


def parameters() -> Array:
    rng = np.random.default_rng(1)
    return np.cumsum(rng.normal(size=(N_TIMEPOINTS, 6)) * 0.01, axis=0)


def test_table_has_the_planted_signals_and_the_names_of_fmriprep() -> None:
    img4d, truth = series()
    table = confounds_table(img4d, MASK, WM, CSF, parameters())
    axes = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    expansions = ["", "_derivative1", "_power2", "_derivative1_power2"]
    motion = [axis + expansion for axis in axes for expansion in expansions]
    rest = ["framewise_displacement", "dvars", "std_dvars", "white_matter", "csf", "global_signal"]
    assert list(table.columns) == motion + rest
    assert len(table) == N_TIMEPOINTS
    for name, signal in truth.items():
        np.testing.assert_allclose(table[name], signal, rtol=1e-6)
    inside = img4d.get_fdata()[MASK.get_fdata() > 0]
    np.testing.assert_allclose(table["global_signal"], inside.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(table["dvars"], dvars(inside.T), rtol=1e-6)
    np.testing.assert_allclose(table["std_dvars"], std_dvars(inside.T), rtol=1e-6)


def test_motion_columns() -> None:
    moved = parameters()
    table = confounds_table(series()[0], MASK, WM, CSF, moved)
    np.testing.assert_array_equal(table["rot_y"], moved[:, 4])
    np.testing.assert_allclose(table["rot_y_derivative1"][1:], np.diff(moved[:, 4]))
    np.testing.assert_allclose(table["rot_y_power2"], moved[:, 4] ** 2)
    np.testing.assert_allclose(table["rot_y_derivative1_power2"][1:], np.diff(moved[:, 4]) ** 2)
    np.testing.assert_allclose(
        table["framewise_displacement"][1:], framewise_displacement(moved)[1:], rtol=1e-12
    )
    empty = table.columns[table.iloc[0].isna()]
    assert list(empty) == [
        name for name in table if "derivative1" in name or "dvars" in name or "framewise" in name
    ]
    assert table.iloc[1:].notna().all().all()


def test_table_can_be_cleaned_with() -> None:
    table = confounds_table(series()[0], MASK, WM, CSF, parameters())
    with pytest.warns(UserWarning, match="confounds"):
        chosen, _ = select_confounds(table, n_timepoints=N_TIMEPOINTS, t_r=2.0)
    assert {"white_matter", "csf"} <= set(chosen)


def test_probabilities_serve_as_masks() -> None:
    img4d, truth = series()
    probability = Nifti1Image(
        np.where(WM.get_fdata() > 0, 0.97, 0.4).astype(np.float32), MASK.affine
    )
    table = confounds_table(img4d, MASK, probability, CSF, parameters())
    np.testing.assert_allclose(table["white_matter"], truth["white_matter"], rtol=1e-6)


def test_thin_tissue_is_used_as_it_is() -> None:
    img4d, truth = series()
    thin = box((8, 9), (4, 7), (4, 7))  # one voxel thick: erosion leaves nothing
    table = confounds_table(img4d, MASK, WM, thin, parameters())
    np.testing.assert_allclose(table["csf"], truth["csf"], rtol=1e-6)


def test_missing_tissue_is_said_and_nan() -> None:
    outside = box((0, 1), (0, 12), (0, 12))  # not in the brain
    with pytest.warns(ConfoundWarning, match="no voxel of CSF"):
        table = confounds_table(series()[0], MASK, WM, outside, parameters())
    assert table["csf"].isna().all()
    assert table["white_matter"].notna().all()


def test_voxels_that_are_not_finite_are_left_out() -> None:
    img4d, truth = series()
    data = img4d.get_fdata()
    data[3, 4, 4, 20] = np.nan
    table = confounds_table(Nifti1Image(data, img4d.affine), MASK, WM, CSF, parameters())
    np.testing.assert_allclose(table["white_matter"], truth["white_matter"], rtol=1e-6)
    assert np.isfinite(table["global_signal"]).all()
    with pytest.raises(ValueError, match="mask_img"):
        confounds_table(Nifti1Image(data * np.nan, img4d.affine), MASK, WM, CSF, parameters())


def test_wrong_arguments_are_named() -> None:
    img4d, _ = series()
    with pytest.raises(ValueError, match="motion_parameters"):
        confounds_table(img4d, MASK, WM, CSF, parameters()[:-1])
    moved = Nifti1Image(WM.get_fdata(), np.diag([3.0, 3, 3.3, 1]))
    with pytest.raises(ValueError, match="wm_mask_img must be on the grid"):
        confounds_table(img4d, MASK, moved, CSF, parameters())
    with pytest.raises(ValueError, match="4-D"):
        confounds_table(MASK, MASK, WM, CSF, parameters())
