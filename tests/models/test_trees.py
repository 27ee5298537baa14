"""Trees on what regions and networks measure."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone

from brainnet.cohort.subjects import as_subjects
from brainnet.models.measures import with_measures
from brainnet.models.trees import region_boosting, region_forest


@pytest.fixture(scope="module")
def subjects():
    """Noise for networks; the volume of one region falls with the stage."""
    rng = np.random.default_rng(0)
    networks = rng.uniform(0, 0.5, size=(60, 2, 8, 8))
    stage = np.arange(60) % 2
    values = rng.normal(10, 1, size=(60, 2, 8))
    values[:, 1, 3] -= 4 * stage
    values[:, 0] = np.nan  # function has no value
    values[:2, 1, 3] = np.nan
    known = replace(as_subjects(networks + networks.swapaxes(2, 3)), values=values)
    return with_measures(known), np.array(["CN", "AD"])[stage]


def few(make, seed=0):
    """Return an ensemble of fewer trees."""
    name, number = ("n_estimators", 100) if make is region_forest else ("max_iter", 40)
    return make(seed=seed).set_params(**{f"classify__{name}": number})


@pytest.mark.parametrize("make", [region_forest, region_boosting])
def test_a_value_that_differs_is_found_among_measures(subjects, make):
    subjects, stages = subjects
    model = few(make, seed=1).fit(subjects[:40], stages[:40])
    assert np.mean(model.predict(subjects[40:]) == stages[40:]) > 0.85


def test_the_forest_says_which(subjects):
    model = few(region_forest).fit(*subjects)
    names = model["regions"].get_feature_names_out()
    assert names[model["classify"].feature_importances_.argmax()] == "modality 2: value of region 4"


@pytest.mark.parametrize("make", [region_forest, region_boosting])
def test_rare_stages_count_as_much(subjects, make):
    subjects, stages = subjects
    few_ill = np.concatenate([np.flatnonzero(stages == "CN"), np.flatnonzero(stages == "AD")[:12]])
    equal = few(make).fit(subjects[few_ill], stages[few_ill])
    plain = clone(equal).set_params(classify__class_weight=None)
    plain.fit(subjects[few_ill], stages[few_ill])
    ill = stages == "AD"
    chances = [each.predict_proba(subjects)[ill, 0].mean() for each in (equal, plain)]
    assert chances[0] > chances[1] + 0.05
