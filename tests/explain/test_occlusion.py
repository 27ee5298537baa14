"""Occlusion of regions, modalities and measures: closed forms for any estimator."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.svm import LinearSVC

from brainnet.cohort.subjects import as_subjects
from brainnet.explain import occlusion
from brainnet.explain.occlusion import (
    Typical,
    measure_names,
    occlude_measures,
    occlude_modalities,
    occlude_regions,
    permute_measures,
)
from brainnet.models.linear import edge_logistic, majority


class Known(ClassifierMixin, BaseEstimator):
    """p(AD) is the logistic of a sum with known weights; NaN counts as nothing."""

    def fit(self, subjects, stages):
        self.classes_ = np.array(["AD", "CN"])
        self.seen_: list[int] = []
        return self

    def predict_proba(self, subjects):
        self.seen_.append(len(subjects))
        score = (
            3 * subjects.edges[:, 0, 2, 4]
            + np.nansum(2 * subjects.values[:, 1, [5]], axis=1)
            + np.nansum(subjects.measures[:, 1, :, 1], axis=1)
            + 4 * np.nan_to_num(subjects.graph_measures[:, 0, 3])
        )
        chance = 1 / (1 + np.exp(-np.nan_to_num(score)))
        return np.stack([chance, 1 - chance], axis=1)


@pytest.fixture
def known(cohort):
    return Known().fit(*cohort)


def score_of(known, subjects):
    chance = known.predict_proba(subjects)
    return np.log(chance[:, 0] / chance[:, 1])


def test_each_region_accounts_for_what_is_lost_without_it(cohort, known):
    subjects, _ = cohort
    tested, training = subjects[45:], subjects[:45]
    typical = Typical.of(training)
    found = occlude_regions(known, tested, training)
    edge = 3 * (tested.edges[:, 0, 2, 4] - np.median(training.edges[:, 0, 2, 4]))
    expected = np.zeros(found.shape)
    expected[:, 0, 2] = expected[:, 0, 4] = edge
    expected[:, 1] = tested.measures[:, 1, :, 1] - typical.measures[1, :, 1]
    expected[:, 1, 5] += 2 * (tested.values[:, 1, 5] - np.median(training.values[:, 1, 5]))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_batches_do_not_matter(cohort, known, monkeypatch):
    tested, training = cohort[0][45:], cohort[0][:45]
    whole = occlude_regions(known, tested, training)
    known.seen_.clear()
    monkeypatch.setattr(occlusion, "_BYTES", 3 * tested.edges.nbytes)
    np.testing.assert_array_equal(occlude_regions(known, tested, training), whole)
    assert set(known.seen_) == {15, 45, 30}  # once as they are, three changes at a time, the rest


def test_subjects_stay_as_they_were(cohort, known):
    tested, training = cohort[0][45:], cohort[0][:45]
    before = [getattr(tested, name).tobytes() for name in Typical.__dataclass_fields__]
    occlude_regions(known, tested, training)
    occlude_modalities(known, tested, training, fill="missing")
    occlude_measures(known, tested, training)
    permute_measures(known, tested, np.resize(["AD", "CN"], 15))
    assert before == [getattr(tested, name).tobytes() for name in Typical.__dataclass_fields__]


def test_a_modality_is_left_out_by_medians_or_altogether(cohort, known):
    tested, training = cohort[0][45:], cohort[0][:45]
    typical = Typical.of(training)
    found = occlude_modalities(known, tested, training)
    function = 3 * (tested.edges[:, 0, 2, 4] - typical.edges[0, 2, 4])
    function += 4 * (tested.graph_measures[:, 0, 3] - typical.graph_measures[0, 3])
    np.testing.assert_allclose(found[:, 0], function, atol=1e-9)
    gone = occlude_modalities(known, tested, training, fill="missing")
    metabolism = 2 * tested.values[:, 1, 5] + tested.measures[:, 1, :, 1].sum(axis=1)
    np.testing.assert_allclose(gone[:, 1], metabolism, atol=1e-9)
    with pytest.raises(ValueError, match="fill must be"):
        occlude_modalities(known, tested, training, fill="zero")


def test_only_the_measures_that_are_looked_at_count(cohort, known):
    tested, training = cohort[0][45:], cohort[0][:45]
    found = occlude_measures(known, tested, training)
    names = measure_names(tested)
    assert found.shape == (15, 2, len(names))
    used = np.abs(found).max(axis=0) > 0
    wanted = {(1, names[1]), (0, tested.graph_measure_names[3])}
    assert {(m, names[k]) for m, k in np.argwhere(used)} == wanted


def test_permuting_a_measure_costs_what_it_tells(cohort):
    subjects, stages = cohort
    tells = np.where(stages == "AD", 5.0, -5.0)
    measures = subjects.measures.copy()
    measures[:, 1, :, 1] = tells[:, None] / 10
    graph_measures = np.zeros_like(subjects.graph_measures)
    subjects = replace(subjects, measures=measures, graph_measures=graph_measures)
    keep = stages != "EMCI"
    subjects, stages = subjects[keep], stages[keep]
    found = permute_measures(Known().fit(subjects, stages), subjects, stages, n_repeats=20)
    assert found[1, 1] > 0.3
    others = np.delete(found.ravel(), found.shape[1] + 1)
    np.testing.assert_allclose(others, 0, atol=1e-12)
    again = permute_measures(Known().fit(subjects, stages), subjects, stages, n_repeats=20)
    np.testing.assert_array_equal(found, again)


def test_what_was_not_measured_is_nan(cohort, known, without):
    tested = without(cohort[0][45:])
    training = cohort[0][:45]
    regions = occlude_regions(known, tested, training)
    assert np.isnan(regions[0, 1]).all()
    assert np.isnan(regions[1, 0]).tolist() == [number == 3 for number in range(10)]
    assert np.isnan(occlude_modalities(known, tested, training)[0]).tolist() == [False, True]
    assert np.isnan(occlude_measures(known, tested, training)[0, 1]).all()


def test_any_estimator_and_plain_arrays(cohort):
    subjects, stages = cohort
    networks = np.asarray(subjects)
    model = edge_logistic().fit(networks[:45], stages[:45])
    found = occlude_regions(model, networks[45:], networks[:45], target="severity")
    tested = stages[45:]
    contrast = found[tested == "AD"].mean(0) - found[tested == "CN"].mean(0)
    assert contrast.argmax(axis=1).tolist() == [2, 5]


def test_the_own_stage(cohort, known):
    subjects, stages = cohort
    keep = stages != "EMCI"
    tested, own = subjects[keep], stages[keep]
    found = occlude_regions(known, tested, subjects, target="own", stages=own)
    towards_ad = occlude_regions(known, tested, subjects, target="AD")
    np.testing.assert_allclose(found, np.where(own == "AD", 1, -1)[:, None, None] * towards_ad)
    with pytest.raises(ValueError, match="which the estimator knows; got EMCI"):
        occlude_regions(known, subjects, subjects, target="own", stages=stages)


def test_the_median_subject_changes_nothing(cohort, known):
    training = cohort[0][:45]
    typical = Typical.of(training)
    arrays = {name: value[np.newaxis] for name, value in vars(typical).items()}
    tested = replace(training[:1], **arrays)
    found = occlude_regions(known, tested, training)
    np.testing.assert_allclose(found, 0, atol=1e-12)


def test_bad_input(cohort, known):
    subjects, _ = cohort
    with pytest.raises(NotFittedError):
        occlude_regions(majority(), subjects, subjects)
    with pytest.raises(ValueError, match="must have predict_proba"):
        occlude_regions(LinearSVC().fit(np.eye(3), list("abc")), subjects, subjects)
    swapped = replace(subjects, regions=subjects.regions[::-1])
    with pytest.raises(ValueError, match=r"regions must be the same, in the same order.*atlas"):
        occlude_regions(known, subjects, swapped)
    fewer = as_subjects(np.asarray(subjects)[:, :1])
    with pytest.raises(ValueError, match="modalities must be the same"):
        occlude_regions(known, np.asarray(subjects), fewer)
