"""What age, sex, site, motion and head size alone say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from brainnet.cohort.subjects import as_subjects
from brainnet.models.covariates import CovariateTable, covariate_logistic


def _subjects(**columns):
    n_subjects = len(next(iter(columns.values())))
    networks = np.zeros((n_subjects, 1, 2, 2))
    return replace(as_subjects(networks), covariates=pd.DataFrame(columns))


def test_age_that_goes_with_the_stage_is_found():
    rng = np.random.default_rng(0)
    ill = np.arange(60) % 2
    subjects = _subjects(age=65 + 12 * ill + rng.normal(0, 3, 60), sex=["F", "M"] * 30)
    stages = np.where(ill, "AD", "CN")
    model = covariate_logistic().fit(subjects[:40], stages[:40])
    assert np.mean(model.predict(subjects[40:]) == stages[40:]) > 0.85


def test_a_site_that_goes_with_the_stage_is_found_even_as_a_number():
    site = np.repeat([3, 1, 2], 20)  # not in order of the stage
    stages = np.array(["AD", "CN", "AD"])[[0, 1, 2]].repeat(20)
    subjects = _subjects(site=site)
    model = covariate_logistic().fit(subjects, stages)
    assert model["covariates"].quantities_ == ()
    assert (model.predict(subjects) == stages).all()


def test_columns_are_quantities_and_levels():
    subjects = _subjects(
        age=[60.5, 70, np.nan], site=["B", "A", "n/a"], icv=["1500", "n/a", "1600"],
        carrier=[True, False, True], visit=[1, 2, 3],
    )  # fmt: skip
    table = CovariateTable().fit(subjects)
    names = ["age", "icv", "visit", "site=A", "site=B", "carrier=false", "carrier=true"]
    assert table.get_feature_names_out().tolist() == names
    nan = np.nan
    expected = [[60.5, 1500, 1, 0, 1, 0, 1], [70, nan, 2, 1, 0, 1, 0], [nan, 1600, 3, 0, 0, 0, 1]]
    np.testing.assert_array_equal(table.transform(subjects), expected)


def test_unseen_levels_and_columns_add_nothing():
    train = _subjects(age=[60.0, 61, 80, 81], site=["A", "B", "A", "B"])
    model = covariate_logistic().fit(train, ["CN", "CN", "AD", "AD"])
    new = _subjects(age=[60.0, 60.0], site=["C", None], motion=[0.1, 0.2])
    chances = model.predict_proba(new)
    np.testing.assert_array_equal(chances[0], chances[1])
    assert np.isfinite(chances).all()


def test_a_covariate_that_nobody_has_in_training_is_no_help():
    train = _subjects(age=[60.0, 61, 80, 81], motion=[np.nan] * 4, site=["n/a"] * 4)
    model = covariate_logistic().fit(train, ["CN", "CN", "AD", "AD"])
    new = _subjects(age=[60.0, 60.0], motion=[5.0, np.nan], site=["A", "A"])
    chances = model.predict_proba(new)
    np.testing.assert_array_equal(chances[0], chances[1])
    nobody = _subjects(site=["n/a"] * 4)
    flat = covariate_logistic().fit(nobody, ["CN", "CN", "AD", "AD"]).predict_proba(nobody)
    np.testing.assert_allclose(flat, 0.5, atol=1e-6)


@pytest.mark.parametrize("none", [np.zeros((4, 1, 2, 2)), as_subjects(np.zeros((4, 1, 2, 2)))])
def test_without_covariates_it_says_what_to_do(none):
    with pytest.raises(ValueError, match=r"must have covariates; got none.*leave this estimator"):
        covariate_logistic().fit(none, ["CN", "AD"] * 2)


def test_a_missing_column_and_a_wrong_number_are_named():
    train = _subjects(age=[60.0, 61, 80, 81], site=["A", "B", "A", "B"])
    model = covariate_logistic().fit(train, ["CN", "CN", "AD", "AD"])
    with pytest.raises(ValueError, match="site is missing"):
        model.predict(_subjects(age=[60.0]))
    with pytest.raises(ValueError, match="age must be a number; got 'sixty'"):
        model.predict(_subjects(age=["sixty"], site=["A"]))
    with pytest.raises(ValueError, match="age must be a number; got 'inf'"):
        model.predict(_subjects(age=[np.inf], site=["A"]))
