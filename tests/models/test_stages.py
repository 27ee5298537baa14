"""What the estimators share: checked stages, inner folds, pipelines that know who is who."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_sample_weight

from brainnet.cohort.subjects import as_subjects
from brainnet.models.edges import EdgeTable
from brainnet.models.stages import (
    StagePipeline,
    as_probabilities,
    balanced_weights,
    check_stages,
    held_out_loss,
    inner_splits,
)

LABELS = np.array(["CN", "AD", "EMCI"] * 8)


class Recorder(ClassifierMixin, BaseEstimator):
    """Keeps the groups that it was given."""

    seen: list = []  # noqa: RUF012  (clones share it)

    def __init__(self, other=0):
        self.other = other

    def fit(self, table, stages, groups=None):
        self.classes_ = np.unique(stages)
        self.seen.append(groups)
        return self

    def predict(self, table):
        return np.repeat(self.classes_[:1], len(table))


@pytest.fixture
def visits(planted_networks):
    """Twelve people, two visits each."""
    networks, stages = planted_networks(24)
    people = np.array([f"p{row % 12}" for row in range(24)])
    return replace(as_subjects(networks), participants=people), stages


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_inner_folds_keep_people_together_and_hold_every_row_out_once(seed):
    people = np.arange(24) % 12
    folds = inner_splits(LABELS, people, n_splits=3, seed=seed)
    assert len(folds) == 3
    for train, held_out in folds:
        assert not set(people[train]) & set(people[held_out])
        assert set(LABELS[train]) == set(LABELS)
    assert sorted(np.concatenate([held_out for _, held_out in folds])) == list(range(24))


def test_inner_folds_count_people_not_rows():
    labels = np.array(["CN"] * 10 + ["AD"] * 10)
    people = np.array([*range(10), *[10, 10, 10, 10, 10, 11, 11, 11, 11, 11]])
    assert len(inner_splits(labels, people, n_splits=5, seed=0)) == 2
    people[10:] = 10
    assert inner_splits(labels, people, n_splits=5, seed=0) == []


def test_unique_groups_are_no_groups():
    plain = inner_splits(LABELS, n_splits=3, seed=4)
    named = inner_splits(LABELS, [f"p{row}" for row in range(24)], n_splits=3, seed=4)
    for one, other in zip(plain, named, strict=True):
        np.testing.assert_array_equal(one[1], other[1])


def test_groups_have_to_be_one_a_row():
    with pytest.raises(ValueError, match="groups must be one a subject"):
        inner_splits(LABELS, [1, 2], n_splits=2, seed=0)


def test_pipeline_hands_on_who_is_who(visits):
    subjects, stages = visits
    model = StagePipeline([("edges", EdgeTable()), ("classify", Recorder())])
    Recorder.seen.clear()
    model.fit(subjects, stages)
    model.fit(subjects, stages, groups=np.arange(24) // 2)
    np.testing.assert_array_equal(Recorder.seen[0], subjects.participants)
    np.testing.assert_array_equal(Recorder.seen[1], np.arange(24) // 2)
    model.fit(subjects.edges, stages)
    assert Recorder.seen[2] is None, "an array does not say who is who"


def test_searches_of_scikit_learn_keep_people_together_too(visits):
    subjects, stages = visits
    model = StagePipeline([("edges", EdgeTable()), ("classify", Recorder())])
    Recorder.seen.clear()
    GridSearchCV(model, {"classify__other": [1, 2]}, cv=2).fit(subjects, stages)
    assert [len(each) for each in Recorder.seen] == [12, 12, 12, 12, 24]
    assert all(set(each) <= set(subjects.participants) for each in Recorder.seen)


def test_a_classifier_without_groups_gets_none(visits):
    model = StagePipeline([("edges", EdgeTable()), ("classify", LogisticRegression())])
    assert clone(model).fit(*visits).predict(visits[0]).shape == (24,)


@pytest.mark.parametrize(
    "wrong, word",
    [
        (["CN", "CN"], "CN alone"),
        (["CN", "AD", "AD"], r"\(2,\); got shape \(3,\)"),
        ([["CN"], ["AD"]], "one a subject"),
        (["CN", None], "1 missing of 2"),
        ([0.0, np.nan], "1 missing of 2"),
        ([0.0, 0.5], r"classes; got the number 0\.5"),
    ],
)
def test_wrong_stages_are_refused(wrong, word):
    with pytest.raises(ValueError, match=word):
        check_stages(wrong, 2)
    pipeline = StagePipeline([("edges", EdgeTable()), ("classify", Recorder())])
    with pytest.raises(ValueError, match=word):
        pipeline.fit(np.zeros((2, 1, 3, 3)), wrong)


def test_weights_and_loss_are_those_of_scikit_learn():
    labels = LABELS[[0, 1, 1, 2, 2, 2, 2]]
    weights = compute_sample_weight("balanced", labels)
    np.testing.assert_allclose(balanced_weights(labels), weights)
    scores = np.random.default_rng(0).normal(size=(7, 3))
    found = held_out_loss(scores, labels, np.unique(labels))
    expected = log_loss(labels, as_probabilities(scores), sample_weight=weights)
    assert found == pytest.approx(expected)
