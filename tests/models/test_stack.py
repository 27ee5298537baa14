"""The stack of ridge regressions: with parts missing, and parts alone."""

import dataclasses

import numpy as np
import pytest

from brainnet.cohort.subjects import as_subjects
from brainnet.models.measures import with_measures
from brainnet.models.stack import RidgeStack, _parts


def cohort(planted_networks, n_subjects=90, **options):
    """Subjects with values that fall with the stage in their second modality alone."""
    networks, stages = planted_networks(n_subjects, **options)
    values = np.full(networks.shape[:3], np.nan)
    severity = (np.arange(n_subjects) % 3)[:, None]
    values[:, 1] = np.random.default_rng(1).normal(5, 1, values[:, 1].shape) - 0.5 * severity
    return with_measures(dataclasses.replace(as_subjects(networks), values=values)), stages


def test_learns_from_each_modality_and_most_from_both(planted_networks):
    subjects, stages = cohort(planted_networks, effect=0.1)
    lost = [None, 0, 1]
    right = []
    for each in lost:
        edges, values = subjects.edges.copy(), subjects.values.copy()
        if each is not None:
            edges[60:, each] = values[60:, each] = np.nan
        given = with_measures(
            dataclasses.replace(subjects, edges=edges, values=values,
                                measures=np.empty((0, 0, 0, 0)), graph_measures=np.empty((0, 0, 0)),
                                measure_names=(), graph_measure_names=())
        )  # fmt: skip
        model = RidgeStack().fit(given[:60], stages[:60])
        right.append(np.mean(model.predict(given[60:]) == stages[60:]))
    assert min(right) > 0.5
    assert right[0] >= max(right)


def test_reads_every_kind_that_there_is(planted_networks):
    subjects, stages = cohort(planted_networks)
    model = RidgeStack().fit(subjects, stages)
    kinds = {kind for _, kind in model.strengths_}
    assert kinds == {"edges", "values", "measures", "graph_measures"}
    first, second = subjects.modalities
    assert (first, "values") not in model.strengths_
    assert (second, "values") in model.strengths_


def test_a_subject_without_anything_may_be_of_any_stage(planted_networks):
    networks, stages = planted_networks(45)
    model = RidgeStack().fit(networks, stages)
    networks[0] = np.nan
    np.testing.assert_allclose(model.predict_proba(networks)[0], 1 / 3)
    assert model.predict_proba(networks)[1].max() > 0.5


def test_a_modality_that_one_subject_has_is_not_read(planted_networks):
    networks, stages = planted_networks(45)
    networks[1:, 0] = np.nan
    model = RidgeStack().fit(networks, stages)
    assert {modality for modality, _ in model.strengths_} == {"modality 2"}
    assert np.isfinite(model.predict_proba(networks)).all()


def test_visits_of_one_participant_are_held_out_together(planted_networks):
    """Noise with two visits each: where one visit tells of the other, strengths come out small."""
    networks, stages = planted_networks(40, effect=0.0)
    rows = np.repeat(np.arange(40), 2)
    shuffled = np.random.default_rng(0).permutation(stages)
    alone = RidgeStack().fit(networks[rows], shuffled[rows], groups=np.arange(80))
    together = RidgeStack().fit(networks[rows], shuffled[rows], groups=rows)
    edges = [each for each in alone.strengths_ if each[1] == "edges"]
    assert all(alone.strengths_[each] < together.strengths_[each] for each in edges)
    sure = [model.predict_proba(networks).max(axis=1).mean() for model in (alone, together)]
    assert sure[0] > 0.9 > 0.6 > sure[1]


def test_another_atlas_is_refused(planted_networks):
    networks, stages = planted_networks(45)
    with pytest.raises(ValueError, match="same atlas"):
        RidgeStack().fit(networks, stages).predict(networks[:, :, :5, :5])


def test_parts_hold_participants_whole_and_stages_evenly():
    labels = np.array(["A"] * 30 + ["B"] * 20 + ["C"] * 2)
    people = np.r_[np.arange(50) // 2, 99, 99]
    parts = _parts(labels, people, 5, 0)
    assert all(np.unique(parts[people == who]).size == 1 for who in np.unique(people))
    assert np.bincount(parts[:30]).tolist() == [6] * 5
    assert np.bincount(parts[30:50]).tolist() == [4] * 5
    alone = _parts(np.array(["A", "B"]), np.arange(2), 5, 0)
    assert np.unique(alone).size == 2


def test_constant_repeated_few_and_huge_networks_are_read(planted_networks):
    networks, stages = planted_networks(45)
    flat = np.broadcast_to(networks[:1], networks.shape).copy()
    np.testing.assert_allclose(RidgeStack().fit(flat, stages).predict_proba(flat), 1 / 3, atol=0.05)
    lost = np.full_like(networks, np.nan)
    np.testing.assert_allclose(RidgeStack().fit(lost, stages).predict_proba(networks), 1 / 3)
    four = RidgeStack().fit(networks[[0, 2, 3, 5], :1], ["CN", "AD"] * 2)
    assert np.isfinite(four.predict_proba(networks[:, :1])).all()
    plain, huge = (
        RidgeStack().fit(factor * networks, stages).predict_proba(factor * networks)
        for factor in (1.0, 1e9)
    )
    assert np.isfinite(huge).all()
    assert (huge.argmax(axis=1) == plain.argmax(axis=1)).mean() > 0.9
