"""Planted networks and the signals drawn from them."""

import numpy as np
import pytest

from brainnet.atlas import Atlas, load
from brainnet.simulate.connectome import band_limited, plant_network, regional_signals


@pytest.mark.parametrize("stage", ["CN", "EMCI", "LMCI", "AD"])
def test_correlation_is_positive_definite_with_unit_diagonal(atlas: Atlas, stage: str) -> None:
    correlation = plant_network(atlas, stage=stage, seed=3).correlation
    np.testing.assert_array_equal(correlation, correlation.T)
    np.testing.assert_array_equal(np.diag(correlation), 1.0)
    assert np.linalg.eigvalsh(correlation)[0] > 0.01


def test_modules_hubs_and_pairs_stand_out(atlas: Atlas) -> None:
    network = plant_network(atlas, seed=None)
    weights = network.correlation - np.eye(atlas.n_regions)
    same = network.modules[:, np.newaxis] == network.modules
    off = ~np.eye(atlas.n_regions, dtype=bool)
    assert weights[same & off].mean() > weights[~same].mean() + 0.3
    assert weights.sum(axis=1)[network.hubs].mean() > 1.2 * weights.sum(axis=1).mean()
    left, right = atlas.names.index("ctx-lh-precentral"), atlas.names.index("ctx-rh-precentral")
    assert weights[left].argmax() == right
    assert weights.min() < -0.05  # systems that work in turn


def test_damage_weakens_damaged_hubs_in_order_of_stage(atlas: Atlas) -> None:
    def strength(stage: str) -> np.ndarray:
        return plant_network(atlas, stage=stage, seed=None).correlation.sum(axis=1)

    network = plant_network(atlas)
    assert network.damaged.sum() == 8
    assert np.all(network.hubs[network.damaged])
    hubs = [strength(stage)[network.damaged].mean() for stage in ("CN", "EMCI", "LMCI", "AD")]
    assert np.all(np.diff(hubs) < -0.3)
    motor = network.modules == network.modules[atlas.names.index("ctx-lh-precentral")]
    assert abs(strength("AD")[motor].mean() / strength("CN")[motor].mean() - 1) < 0.05


def test_subjects_vary_around_the_group(atlas: Atlas) -> None:
    upper = np.triu_indices(atlas.n_regions, 1)
    group = plant_network(atlas, seed=None).correlation[upper]
    one, two = (plant_network(atlas, seed=k).correlation[upper] for k in (1, 2))
    assert 0.9 < np.corrcoef(one, group)[0, 1] < 0.999
    assert not np.array_equal(one, two)


def test_long_series_have_the_planted_correlation_and_band(atlas: Atlas) -> None:
    correlation = plant_network(atlas, seed=1).correlation
    series = regional_signals(correlation, 20000, t_r=2.0, seed=5)
    np.testing.assert_allclose(np.corrcoef(series.T), correlation, atol=0.08)
    np.testing.assert_allclose(series.std(axis=0), 1.0, atol=0.06)
    power = np.abs(np.fft.rfft(series[:, 0])) ** 2
    frequency = np.fft.rfftfreq(20000, 2.0)
    outside = (frequency < 0.0099) | (frequency > 0.1001)
    assert power[outside].sum() < 1e-9 * power.sum()


@pytest.mark.parametrize("n_timepoints", [64, 65])
def test_band_up_to_nyquist_keeps_unit_variance(n_timepoints: int) -> None:
    series = band_limited(n_timepoints, 4000, t_r=1.0, band=(0.0, 0.5), seed=0)
    assert series.var(axis=0, ddof=1).mean() == pytest.approx(1.0, abs=0.04)


def test_another_atlas_and_custom_severity() -> None:
    other = load("Destrieux")
    network = plant_network(other, amount=0.5)
    assert np.linalg.eigvalsh(network.correlation)[0] > 0
    assert network.damaged[other.names.index("ctx_lh_G_precuneus")]


def test_what_cannot_be_planted_is_refused(atlas: Atlas) -> None:
    with pytest.raises(ValueError, match="amount must be within 0 to 1; got 2"):
        plant_network(atlas, amount=2.0)
    with pytest.raises(ValueError, match="positive definite; its lowest eigenvalue is -1"):
        regional_signals(np.array([[1.0, 2.0], [2.0, 1.0]]), 100, t_r=2.0)
    with pytest.raises(ValueError, match="Simulate more volumes"):
        regional_signals(np.eye(2), 4, t_r=1.0)
