"""Every way to know whom one is tested on is an error that says so."""

import functools

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from brainnet.evaluate import LeakError, Search, cross_validate_stages
from brainnet.evaluate.leaks import refuse_fitted, refuse_learned_from_all, refuse_target
from brainnet.io import DataWarning
from brainnet.models.edges import EdgeImputer, EdgeTable
from brainnet.models.linear import edge_logistic, majority


def _scaler():
    return StandardScaler().fit([[0.0], [1.0]])


def _logistic():
    return LogisticRegression().fit([[0.0], [1.0]], [0, 1])


class Own:
    """Not scikit-learn's, with a fitted part inside."""

    def __init__(self):
        self.parts = {"first": [_scaler()]}

    def fit(self, networks, stages):
        return self


def _closure():
    scaler = _scaler()
    return FunctionTransformer(lambda table: scaler.transform(table))


_GLOBAL = _scaler()


def _by_global(table):
    return _GLOBAL.transform(table)


@pytest.mark.parametrize(
    "make, part",
    [
        (_logistic, "'it' was fitted .*coef_"),
        (lambda: make_pipeline(_scaler(), LogisticRegression()), "StandardScaler, which .*mean_"),
        (lambda: Search(_logistic(), {"C": [1, 2]}), "holds LogisticRegression"),
        (lambda: make_pipeline(FrozenEstimator(_scaler()), LogisticRegression()), "StandardScaler"),
        (lambda: CalibratedClassifierCV(FrozenEstimator(_logistic())), "LogisticRegression"),
        (lambda: VotingClassifier([("a", _logistic())]), "LogisticRegression"),
        (Own, "StandardScaler"),
        (lambda: FunctionTransformer(_scaler().transform), "StandardScaler"),
        (
            lambda: FunctionTransformer(functools.partial(_scaler().transform, copy=True)),
            "Standard",
        ),
        (_closure, "StandardScaler"),
        (lambda: FunctionTransformer(_by_global), "StandardScaler"),
    ],
)
def test_what_was_fitted_before_the_split_is_refused(make, part):
    with pytest.raises(LeakError, match=part):
        refuse_fitted("it", make())


@pytest.mark.parametrize(
    "make",
    [
        edge_logistic,
        majority,
        lambda: clone(_logistic()),
        lambda: Search(edge_logistic(), {"classify__seed": [1]}),
        lambda: FunctionTransformer(np.log1p),
        lambda: VotingClassifier([("a", LogisticRegression())]),
    ],
)
def test_what_was_not_fitted_is_taken(make):
    refuse_fitted("it", make())


def test_an_evaluation_refuses_what_was_fitted_outside_the_fold(planted, quick):
    subjects, stages = planted()
    imputer = EdgeImputer().fit(subjects)
    with pytest.raises(LeakError, match=r"estimator 'one' holds EdgeImputer, .*medians_"):
        cross_validate_stages(
            (subjects, stages), {"one": make_pipeline(imputer, EdgeTable(), LogisticRegression())}
        )
    with pytest.raises(LeakError, match="estimator 'two'"):
        cross_validate_stages(
            (subjects, stages), {"two": quick}, grids={"two": {"edgeimputer": [imputer]}}
        )


LABELS = np.array(["CN", "MCI", "AD"] * 10)


def _covariates(**columns):
    return pd.DataFrame({"age": np.arange(30) + 60.0} | columns)


@pytest.mark.parametrize(
    "name, values, what",
    [
        ("group", LABELS, "'group' tells stage of everybody .*AD is AD"),
        ("code", np.array([0, 1, 2] * 10), "0 is CN, 1 is MCI, 2 is AD"),
        ("code", np.array([0.0, 1, 2] * 9 + [np.nan] * 3), "0 is CN"),
        ("code", np.array([0.0, 1, np.nan] * 10), "n/a is AD"),
        ("code", np.array([0.0, 1, np.nan] * 9 + [0.0, np.nan, np.nan]), "1 is MCI"),
        ("fine", np.array(["a", "c", "d", "b", "c", "d"] * 5), "b is CN"),
        ("Stage", np.arange(30), "'Stage' is by its name the target"),
        ("dx_bl", np.arange(30), "is by its name the target"),
        ("baseline_diagnosis", np.arange(30), "is by its name the target"),
    ],
)
def test_the_target_among_the_covariates_is_refused(name, values, what):
    with pytest.raises(LeakError, match=what):
        refuse_target(_covariates(**{name: values}), LABELS, "stage")


@pytest.mark.parametrize(
    "name, values",
    [
        ("sex", np.array(["F", "M"] * 15)),
        ("site", np.repeat(["A", "B", "C"], 10)),
        ("code", np.array([0, 1, 2] * 9 + [0, 1, 1])),
        ("iq", np.array([np.nan] * 28 + [1, 2])),
        ("known of few", np.array([np.nan] * 18 + [0, 1, 2] * 4)),
        ("age of few", np.arange(30) % 3 + 3 * (np.arange(30) // 9)),
        ("asked of two", np.array([np.nan, 5.0, 5.0] * 10)),
        ("number", np.arange(30)),
        ("constant", np.zeros(30)),
    ],
)
def test_other_covariates_are_taken(name, values):
    refuse_target(_covariates(**{name: values}), LABELS, "stage")


def test_one_value_that_is_known_of_some_tells_nothing():
    labels = np.repeat(["CN", "AD"], [20, 10])
    asked = np.where(np.arange(30) < 16, 5.0, np.nan)
    refuse_target(_covariates(asked=asked), labels, "stage")


def test_scores_that_a_diagnosis_is_made_from_are_told():
    given = _covariates(MMSE=np.arange(30) % 7, cdr_sb=np.arange(30) % 5)
    with pytest.warns(DataWarning, match="covariates MMSE, cdr_sb are what a diagnosis is made"):
        refuse_target(given, LABELS, "stage")
    refuse_target(given, np.array(["a", "b"] * 15), "handedness")


def test_an_evaluation_refuses_the_target_among_the_covariates(planted, quick):
    subjects, stages = planted(code=[3, 1, 2] * 10)
    with pytest.raises(LeakError, match="'code' tells stage"):
        cross_validate_stages((subjects, stages), {"quick": quick})


def _cohort(subjects, stages, **attributes):
    coords = {"subject": subjects.participants, "modality": list(subjects.modalities)}
    return xr.Dataset(
        {"edges": (("subject", "modality", "region", "region_to"), subjects.edges)},
        coords=coords | {"stage": ("subject", stages)},
        attrs=attributes,
    )


def test_the_target_of_a_cohort_is_never_a_covariate(planted):
    subjects, stages = planted()
    cohort = _cohort(subjects, stages).assign_coords(sex=("subject", ["F", "M"] * 15))
    cross_validate_stages(cohort, {"m": majority()}, target="sex")
    again = cohort.assign_coords(gender=("subject", ["f", "m"] * 15))
    with pytest.raises(LeakError, match="'sex' tells gender of everybody"):
        cross_validate_stages(again, {"m": majority()}, target="gender")


@pytest.mark.parametrize("attribute", ["harmonised", "fitted_on", "scaled"])
def test_a_cohort_that_was_learned_from_as_a_whole_is_refused(planted, attribute):
    subjects, stages = planted()
    with pytest.raises(LeakError, match=f"says {attribute}='all': .*in each fold"):
        cross_validate_stages(_cohort(subjects, stages, **{attribute: "all"}), {"m": majority()})
    refuse_learned_from_all({attribute: 0, "simulated": 1})


def test_subjects_that_were_harmonised_together_are_refused(planted):
    from brainnet.models.harmonised import Harmoniser

    subjects, stages = planted(site=["A", "B"] * 15)
    harmonised = Harmoniser(keep=()).fit(subjects).transform(subjects)
    with pytest.raises(LeakError, match="harmonised"):
        cross_validate_stages((harmonised, stages), {"m": majority()})
    with pytest.raises(LeakError, match="harmonised"):
        cross_validate_stages((harmonised[np.arange(29)], stages[:29]), {"m": majority()})


def test_one_modality_copied_under_two_names_is_refused(planted):
    subjects, stages = planted()
    subjects.edges[7, 1] = subjects.edges[20, 1]
    with pytest.raises(LeakError, match=r"participants 7 and 20 .* \(modality 2\)"):
        cross_validate_stages((subjects, stages), {"m": majority()})


def test_networks_that_say_nothing_are_no_copies(planted):
    subjects, stages = planted()
    subjects.edges[3:5, 0] = 1
    subjects.edges[5:7, 1] = np.nan
    cross_validate_stages((subjects, stages), {"m": majority()})
