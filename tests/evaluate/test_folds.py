"""Splits: whom each fold tests, at which site, and who may never stand on both sides."""

import numpy as np
import pytest
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
)

from brainnet.evaluate import (
    Folds,
    LeakError,
    LeaveSiteOut,
    cross_validate_stages,
    out_of_fold,
)
from brainnet.evaluate.folds import deal
from brainnet.models.linear import majority

LABELS = np.array(["CN", "AD"] * 12)
PEOPLE = np.array([f"{i:02d}" for i in range(24)])
SITES = np.repeat(["Oslo", "Rome", "York"], 8)


def test_folds_are_stratified_repeated_and_test_everybody_once_a_repeat():
    splits = Folds(3, 2).split(LABELS, PEOPLE)
    assert [(s.repeat, s.fold) for s in splits] == [(r, f) for r in (0, 1) for f in (0, 1, 2)]
    for repeat in (0, 1):
        tested = np.concatenate([s.test for s in splits if s.repeat == repeat])
        assert sorted(tested) == list(range(24))
    assert all((LABELS[s.test] == "CN").sum() == 4 for s in splits)
    assert not np.array_equal(splits[0].test, splits[3].test)
    again = Folds(3, 2).split(LABELS, PEOPLE)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(splits, again, strict=True))


def test_visits_of_one_participant_stay_together():
    people = np.repeat(PEOPLE[:12], 2)
    labels = np.repeat(["CN", "AD"] * 6, 2)
    for split in Folds(3, 2).split(labels, people):
        assert not set(people[split.train]) & set(people[split.test])


@pytest.mark.parametrize("n_repeats", [0, -1])
def test_there_is_at_least_one_repeat(n_repeats):
    with pytest.raises(ValueError, match="n_repeats must be at least 1; got"):
        Folds(3, n_repeats)


def test_each_site_is_tested_by_models_of_the_others():
    splits = LeaveSiteOut().split(LABELS, PEOPLE, SITES)
    assert [set(SITES[s.test]) for s in splits] == [{"Oslo"}, {"Rome"}, {"York"}]
    assert all(not set(SITES[s.train]) & set(SITES[s.test]) for s in splits)
    assert [len(s.train) for s in splits] == [16, 16, 16]


def test_who_was_seen_at_two_sites_trains_for_neither():
    people = PEOPLE.copy()
    people[8] = people[0]  # in Oslo and in Rome
    oslo, rome, york = LeaveSiteOut().split(LABELS, people, SITES)
    assert 0 in oslo.test
    assert 8 not in oslo.train
    assert 8 in rome.test
    assert 0 not in rome.train
    assert {0, 8} <= set(york.train)


def test_sites_come_from_the_covariates(planted, quick):
    sites = np.repeat(["Oslo", "Rome", "York"], 10)
    given = planted(30, site=sites)
    result = cross_validate_stages(given, {"quick": quick}, folds=LeaveSiteOut())
    assert result.folds.groupby("fold")["site"].unique().map(list).tolist() == [
        ["Oslo"], ["Rome"], ["York"],
    ]  # fmt: skip
    chances = out_of_fold(*given, quick, LeaveSiteOut())
    np.testing.assert_array_equal(chances[0], result.predictions[["p_CN", "p_EMCI", "p_AD"]])


@pytest.mark.parametrize(
    "sites, what",
    [
        (None, "needs the site of every subject; got none. Add a column 'site'"),
        (np.where(PEOPLE == "03", "n/a", SITES), "it is not known of 03. Fill in"),
        (np.full(24, "Oslo"), "two sites or more; got Oslo only. Split with"),
        (np.where(PEOPLE == "03", "Bonn", SITES), "at least 2 participants .* got Bonn 1. Merge"),
    ],
)
def test_sites_that_cannot_be_left_out_say_what_to_do(sites, what):
    with pytest.raises(ValueError, match=what):
        LeaveSiteOut().split(LABELS, PEOPLE, sites)


def test_a_site_of_one_subject_can_be_tested_if_that_is_meant():
    sites = np.where(PEOPLE == "03", "Bonn", SITES)
    with pytest.warns(UserWarning, match=r"one stage only: Bonn \(AD\)"):
        splits = LeaveSiteOut(min_participants=1).split(LABELS, PEOPLE, sites)
    assert splits[0].test.tolist() == [3]


def test_a_stage_of_one_site_cannot_be_learned_elsewhere():
    labels = np.where((SITES == "Rome") & (LABELS == "AD"), "LMCI", LABELS)
    with pytest.raises(ValueError, match=r"without site Rome nobody is left to learn LMCI from"):
        LeaveSiteOut().split(labels, PEOPLE, SITES)


def test_a_site_of_one_stage_is_told_by_name(planted, quick):
    sites = np.repeat(["Oslo", "Rome", "York"], 10)
    subjects, stages = planted(30, site=sites)
    stages = np.where(sites == "Rome", "CN", stages)
    with pytest.warns(UserWarning, match=r"one stage only: Rome \(CN\)") as told:
        cross_validate_stages((subjects, stages), {"quick": quick}, folds=LeaveSiteOut())
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    "splitter, repeats",
    [
        (StratifiedKFold(3), [0, 0, 0]),
        (KFold(3, shuffle=True, random_state=0), [0, 0, 0]),
        (GroupKFold(3), [0, 0, 0]),
        (RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0), [0, 0, 1, 1]),
        (ShuffleSplit(2, test_size=0.9, random_state=0), [0, 1]),
    ],
)
def test_scikit_learns_splitters_are_taken(splitter, repeats):
    splits = deal(splitter, LABELS, PEOPLE)
    assert [s.repeat for s in splits] == repeats


def test_a_splitter_that_parts_visits_is_refused(planted):
    subjects, stages = planted(30)
    people = np.repeat(subjects.participants[:15], 2)
    stages = np.repeat(stages[:15], 2)
    visits = {"session": ["1", "2"] * 15}
    subjects, _ = planted(30, **visits)
    object.__setattr__(subjects, "participants", people)
    given = (subjects, stages)
    with pytest.raises(LeakError, match="both hold"):
        cross_validate_stages(
            given, {"m": majority()}, folds=KFold(5, shuffle=True, random_state=0)
        )
    cross_validate_stages(given, {"m": majority()}, folds=GroupKFold(3))


def test_a_fold_that_trains_on_one_stage_is_refused():
    labels = np.repeat(["CN", "AD"], 12)
    with pytest.raises(ValueError, match=r"fold 0 of repeat 0 trains on AD .*Folds"):
        deal(KFold(2), labels, PEOPLE)


def test_a_splitter_without_splits_is_refused():
    class Nothing:
        def split(self, labels, participants, sites):
            return []

    with pytest.raises(ValueError, match="at least one split"):
        deal(Nothing(), LABELS, PEOPLE)
