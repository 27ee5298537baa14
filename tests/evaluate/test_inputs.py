"""What an evaluation is given: both forms, and one error each for what cannot be used."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from brainnet.cohort import resolve_nan
from brainnet.cohort.subjects import Subjects
from brainnet.evaluate import cross_validate_stages, in_order, same_regions
from brainnet.evaluate.inputs import ordered, staged
from brainnet.io import DataError, DataWarning
from brainnet.models.linear import majority
from brainnet.simulate.cohort import parcellation, simulate_cohort

ESTIMATORS = {"majority": majority()}


def _cohort(subjects, stages, **coords):
    place = {"subject": subjects.participants, "modality": list(subjects.modalities)}
    regions = {"region": list(subjects.regions), "region_to": list(subjects.regions)}
    columns = {name: ("subject", values) for name, values in coords.items()}
    return xr.Dataset(
        {"edges": (("subject", "modality", "region", "region_to"), subjects.edges)},
        coords=place | regions | {"stage": ("subject", stages)} | columns,
    )


def test_a_pair_and_a_cohort_are_the_same(planted, quick):
    subjects, stages = planted()
    pair = cross_validate_stages((subjects, stages), {"quick": quick})
    cohort = cross_validate_stages(_cohort(subjects, stages), {"quick": quick})
    array = cross_validate_stages((subjects.edges, stages), {"quick": quick})
    assert pair.predictions.equals(cohort.predictions)
    assert pair.predictions.equals(array.predictions)


def test_estimators_get_subjects_with_measures_and_covariates_but_no_stage(planted):
    class Looker(type(majority())):
        seen = []  # noqa: RUF012

        def fit(self, X, y):
            self.seen.append(X)
            return super().fit(X, y)

    subjects, stages = planted(age=np.arange(30) + 50)
    cohort = _cohort(subjects, stages, age=np.arange(30) + 50, site=["A", "B"] * 15)
    cross_validate_stages(cohort, {"m": Looker(strategy="prior")}, n_splits=3)
    seen = Looker.seen[0]
    assert isinstance(seen, Subjects)
    assert len(seen) == 20
    assert list(seen.covariates) == ["age", "site"]
    assert seen.measure_names
    assert np.isfinite(seen.measures).any()


def test_visits_have_a_name_each(planted):
    subjects, stages = planted(30, session=["1", "2"] * 15)
    people = np.repeat(subjects.participants[:15], 2)
    subjects = dataclasses.replace(subjects, participants=people)
    result = cross_validate_stages((subjects, stages), ESTIMATORS, n_splits=3)
    assert set(result.predictions["subject"]) == {
        f"{i}{s}" for i in range(15) for s in ("", " (2)")
    }
    assert result.predictions.groupby("participant")["fold"].nunique().max() == 1


def test_subjects_without_a_stage_are_left_out_of_a_pair(planted):
    subjects, stages = planted()
    with pytest.warns(DataWarning, match="1 subjects have no stage .*: 4") as told:
        given = staged((subjects, np.where(np.arange(30) == 4, None, stages)), "stage")
    assert len(given.subjects) == len(given.labels) == len(given.names) == 29
    assert "4" not in given.subjects.participants
    assert len(told) == 1


@pytest.mark.parametrize("given", [None, np.zeros((3, 1, 2, 2)), (1, 2, 3)])
def test_what_is_neither_says_so(given):
    with pytest.raises(ValueError, match=r"must be an xarray\.Dataset, or subjects and their"):
        cross_validate_stages(given, ESTIMATORS)


def test_stages_are_one_a_subject(planted):
    subjects, stages = planted()
    with pytest.raises(ValueError, match=r"one a subject, 30; got an array of shape \(29,\)"):
        cross_validate_stages((subjects, stages[:29]), ESTIMATORS)


def test_one_class_only_says_what_is_needed(planted):
    subjects, _ = planted()
    with pytest.raises(ValueError, match=r"at least 2 classes .* got CN 30\. Add participants"):
        cross_validate_stages((subjects, ["CN"] * 30), ESTIMATORS)


def test_a_modality_that_nobody_has_is_an_error_with_the_way_out(planted):
    subjects, stages = planted()
    subjects.edges[:, 1] = np.nan
    with pytest.raises(DataError, match=r"no modality 2 network of anybody.*subjects.only\(") as no:
        cross_validate_stages((subjects, stages), ESTIMATORS)
    assert "dataset.sel(modality=['modality 1'])" in str(no.value)
    cross_validate_stages((subjects.only(["modality 1"]), stages), ESTIMATORS)


def test_a_region_that_nobody_has_is_an_error_until_decided(planted):
    subjects, stages = planted()
    subjects.edges[:, :, 4, :] = subjects.edges[:, :, :, 4] = np.nan
    cohort = _cohort(subjects, stages)
    for given in (cohort, (subjects, stages)):
        with pytest.raises(DataError, match=r"nobody has in any modality: region 5.*resolve_nan"):
            cross_validate_stages(given, ESTIMATORS)
    for policy in ("drop", "impute"):
        cross_validate_stages(resolve_nan(cohort, policy), ESTIMATORS)
    subjects.values[0, 0, 4] = 3.0
    cross_validate_stages((subjects, stages), ESTIMATORS)


def test_a_region_that_somebody_has_is_no_error(planted):
    subjects, stages = planted()
    subjects.edges[1:, :, 4, :] = subjects.edges[1:, :, :, 4] = np.nan
    cross_validate_stages((subjects, stages), ESTIMATORS)


def _twice(subjects, **columns):
    people = subjects.participants.copy()
    people[1] = people[0]
    covariates = subjects.covariates.assign(**columns)
    return dataclasses.replace(subjects, participants=people, covariates=covariates)


def test_a_participant_of_two_stages_is_an_error_unless_they_are_visits(planted):
    subjects, stages = planted()
    with pytest.raises(DataError, match=r"participant 0 more than once .*\(CN, EMCI\).*'session'"):
        cross_validate_stages((_twice(subjects), stages), ESTIMATORS)
    visits = np.where(np.arange(30) == 1, "m12", "bl")
    cross_validate_stages((_twice(subjects, session=visits), stages), ESTIMATORS)
    with pytest.raises(DataError, match="participant 0 twice at visit bl"):
        cross_validate_stages((_twice(subjects, session="bl"), stages), ESTIMATORS)


def test_visits_of_a_cohort_are_told_by_its_session(planted):
    subjects, stages = planted()
    people = ["sub-0", "0", *map(str, range(2, 30))]
    cohort = _cohort(subjects, stages, participant_id=people)
    with pytest.raises(DataError, match="participant 0 more than once"):
        cross_validate_stages(cohort, ESTIMATORS)
    visits = ["1", "2", *["1"] * 28]
    cross_validate_stages(cohort.assign_coords(session=("subject", visits)), ESTIMATORS)


def test_a_row_that_stands_twice_is_an_error(planted):
    subjects, stages = planted()
    stages[1] = stages[0]
    subjects.edges[1] = subjects.edges[0]
    with pytest.raises(DataError, match="participant 0 more than once with the same networks"):
        cross_validate_stages((_twice(subjects), stages), ESTIMATORS)


@pytest.mark.parametrize(
    "label, like", [("cn", "is it CN"), ("LMC1", "is it LMCI"), ("FTD", "FTD")]
)
def test_a_label_that_is_no_stage_is_named(planted, label, like):
    subjects, stages = planted()
    stages = np.where(np.arange(30) % 6 == 3, label, stages.astype(object))
    with pytest.raises(DataError, match=f"values of stage that are no stages: {label}.*n/a") as no:
        cross_validate_stages((subjects, stages), ESTIMATORS)
    assert like in str(no.value)
    with pytest.warns(DataWarning, match=f"not {label}.*without an order"):
        cross_validate_stages((subjects, stages), ESTIMATORS, target="diagnosis")


@pytest.mark.parametrize(
    "classes", [["patient", "control", "AD"], ["0", "1", "2"], ["x", "y", "z"]]
)
def test_other_targets_are_free(planted, classes):
    subjects, _ = planted()
    result = cross_validate_stages((subjects, classes * 10), ESTIMATORS, target="group")
    assert set(result.stages) == set(classes)


def test_stages_are_in_order_and_others_have_none():
    assert in_order(["AD", "MCI", "CN"]) == ("CN", "MCI", "AD")
    assert in_order(["AD", "LMCI", "EMCI", "SMC", "CN"]) == ("CN", "SMC", "EMCI", "LMCI", "AD")
    assert in_order(["pMCI", "sMCI"]) == ("sMCI", "pMCI")
    assert ordered(("CN", "MCI", "AD"))
    assert ordered(("b", "a"))
    assert not ordered(("a", "b", "c"))


def test_regions_in_another_order_are_named(planted):
    subjects, stages = planted()
    cohort = _cohort(subjects, stages)
    same_regions(subjects, cohort)
    turned = cohort.isel(region=[1, 0, 2, 3, 4, 5], region_to=[1, 0, 2, 3, 4, 5])
    with pytest.raises(DataError, match=r"another order: number 1 is 'region 2' .*'region 1'"):
        same_regions(subjects, turned)
    same_regions(cohort, turned.sel(region=cohort.region.values))
    with pytest.raises(DataError, match=r"has 5 regions .* missing region 6; not in .* none"):
        same_regions(cohort, subjects.regions[:5])


@pytest.mark.parametrize("mixed", [["CN", "MCI", "EMCI"], ["EMCI", "sMCI", "AD"]])
@pytest.mark.parametrize("target", ["stage", "dx"])
def test_mci_divided_in_two_ways_has_no_order(planted, quick, mixed, target):
    subjects, _ = planted(18)
    with pytest.raises(DataError, match=r"divides MCI in two ways in (stage|dx).*--scheme three"):
        cross_validate_stages((subjects, mixed * 6), {"quick": quick}, target=target)


def test_regions_in_another_order_along_one_axis_are_named():
    cohort = simulate_cohort(12, atlas=parcellation(8), seed=1)
    turned = cohort.isel(region=[1, 0, *range(2, 8)])
    with pytest.raises(DataError, match=r"has other regions along region_to.*Select along both"):
        cross_validate_stages(turned, {"majority": majority()}, n_splits=2)
    both = turned.isel(region_to=[1, 0, *range(2, 8)])
    assert len(cross_validate_stages(both, {"majority": majority()}, n_splits=2).table)


def test_a_cohort_in_which_nothing_was_measured_says_where_to_look(planted):
    subjects, stages = planted(12)
    nothing = np.full(subjects.shape, np.nan)
    with pytest.raises(
        DataError, match=r"holds no .* anybody\. Look whether the participant level"
    ):
        cross_validate_stages((nothing, stages), {"majority": majority()})
