"""Estimators that see no brain stage subjects where, and only where, something else does."""

import numpy as np
import pytest
from sklearn.base import clone

from brainnet.cohort.subjects import as_subjects
from brainnet.evaluate import Folds, missingness, out_of_fold, site_alone
from brainnet.evaluate.alone import Missing


def _accuracy(given, model):
    subjects, stages = given
    order = ["CN", "EMCI", "AD"]
    said = out_of_fold(subjects, stages, model, Folds(3))[0].argmax(axis=1)
    return np.mean(np.array(order)[said] == stages)


def test_missing_data_that_go_with_the_stage_are_seen(planted):
    subjects, stages = planted(45)
    assert _accuracy((subjects, stages), missingness()) == pytest.approx(1 / 3)
    subjects.edges[stages == "AD", 1] = np.nan
    subjects.edges[stages == "EMCI", 1, 2, :] = np.nan
    subjects.edges[stages == "EMCI", 1, :, 2] = np.nan
    assert _accuracy((subjects, stages), missingness()) == 1
    rng = np.random.default_rng(0)
    assert _accuracy((subjects, rng.permutation(stages)), missingness()) < 0.6


def test_values_and_covariates_can_be_missing_too(planted):
    subjects, stages = planted(45, age=np.where(np.arange(45) % 3 == 2, np.nan, 70.0))
    assert Missing().fit_transform(subjects).shape == (45, 7)
    subjects.values[stages == "CN", 0] = 1.0
    assert _accuracy((subjects, stages), missingness()) == 1


def test_what_the_brain_looks_like_is_not_seen(planted):
    strong, weak = (planted(30, effect=effect)[0] for effect in (0.0, 0.4))
    np.testing.assert_array_equal(Missing().fit_transform(strong), Missing().fit_transform(weak))


def test_sites_that_go_with_the_stage_are_seen(planted):
    step = np.arange(45) % 3
    sites = np.array(["A", "B", "C"])[np.where(np.arange(45) < 6, 0, step)]
    assert _accuracy(planted(45, site=sites), site_alone()) > 0.8
    mixed = np.random.default_rng(0).permutation(sites)
    assert _accuracy(planted(45, site=mixed), site_alone()) < 0.6


def test_a_site_unseen_in_training_is_chance(planted):
    subjects, stages = planted(30, site=["A", "B"] * 15)
    model = site_alone().fit(subjects[::2], stages[::2])
    np.testing.assert_allclose(model.predict_proba(subjects[[1]]).sum(), 1)
    assert np.ptp(model.predict_proba(subjects[1::2]), axis=0).max() == 0


def test_without_sites_it_says_what_to_do():
    with pytest.raises(ValueError, match="must have the covariate 'site'"):
        clone(site_alone()).fit(as_subjects(np.ones((4, 1, 3, 3))), ["CN", "AD"] * 2)
