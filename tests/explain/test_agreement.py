"""Do maps agree: against scipy, the analysis of variance, and chance."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from brainnet.explain.agreement import agreement, icc, rank_correlation, stability_curve, top_dice


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    return rng.normal(size=60) + rng.normal(size=(6, 60))


def test_rank_correlation_is_the_mean_of_spearmans(maps):
    maps[:, 3] = maps[:, 4]  # ties
    pairs = [spearmanr(maps[i], maps[j]).statistic for i in range(6) for j in range(i)]
    assert rank_correlation(maps) == pytest.approx(np.mean(pairs))


def test_regions_that_are_nan_anywhere_are_left_out(maps):
    spoiled = maps.copy()
    spoiled[0, :5] = np.nan
    assert rank_correlation(spoiled) == pytest.approx(rank_correlation(maps[:, 5:]))
    assert agreement(spoiled, n_permutations=20) == agreement(maps[:, 5:], n_permutations=20)
    spoiled[:, 2:] = np.nan
    assert np.isnan(agreement(spoiled).rank_correlation)


def test_icc_by_the_variances_that_made_the_maps():
    rng = np.random.default_rng(1)
    maps = rng.normal(0, 2.0, 4000) + rng.normal(0, 1.0, (5, 4000)) + 10 * np.arange(5)[:, None]
    assert icc(maps) == pytest.approx(4 / 5, abs=0.02)  # an offset of a run does not count
    assert icc(np.vstack([maps[0], maps[0] + 1])) == pytest.approx(1)
    assert np.isnan(icc(np.ones((2, 5))))


def test_top_regions_overlap_by_absolute_value():
    assert top_dice([[5, -4, 3, 0], [-5, 4, 0, 3]], n_top=2) == pytest.approx(1)
    assert top_dice([[5, 4, 0, 0], [0, 0, 5, 4]], n_top=2) == 0


def test_chance_is_told_from_agreement(maps):
    found = agreement(maps, n_top=6)
    assert found.rank_correlation > found.rank_correlation_chance
    assert found.dice > found.dice_chance
    assert found.p_value == pytest.approx(1 / 501)
    nothing = agreement(np.random.default_rng(2).normal(size=(6, 60)), n_top=6)
    assert nothing.rank_correlation < 2 * nothing.rank_correlation_chance
    assert nothing.p_value > 0.05
    # Dice of 6 of 60 regions by chance is 0.1 on average
    assert 0.1 < found.dice_chance < 0.25


def test_the_null_holds_its_level():
    rng = np.random.default_rng(3)
    found = [agreement(rng.normal(size=(3, 20)), n_permutations=9).p_value for _ in range(150)]
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.07)


def test_the_mean_of_more_runs_is_steadier(maps):
    curve = stability_curve(np.vstack([maps, maps[:2] + 0.0]), n_splits=50)
    assert curve.shape == (4,)
    assert curve[0] < curve[1] < curve[2]
    steady = stability_curve(np.tile(maps[0], (4, 1)))
    np.testing.assert_allclose(steady, 1)


def test_one_run_is_refused(maps):
    with pytest.raises(ValueError, match="two runs or more"):
        agreement(maps[:1])
