"""Support vector machines and their probabilities."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from brainnet.cohort.subjects import as_subjects
from brainnet.models.stages import as_probabilities, held_out_loss
from brainnet.models.svm import StageSVM, edge_svm, everything_svm

STAGES = np.array(["CN", "EMCI", "AD"])


def _rows(n_rows=60, n_columns=80, effect=1.0, seed=0):
    rng = np.random.default_rng(seed)
    stage = np.arange(n_rows) % 3
    return rng.normal(size=(n_rows, n_columns)) + effect * stage[:, None] / 3, STAGES[stage]


def _visits(n_people=60):
    """Three visits of each; what they differ in has nothing to do with the stage."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(n_people), 3)
    rows = rng.normal(size=(n_people, 50))[people] + 0.01 * rng.normal(size=(3 * n_people, 50))
    return rows, np.array(["CN", "AD"])[people % 2], people


@pytest.mark.parametrize("n_stages", [2, 3])
def test_margins_are_those_of_machines_on_the_columns(n_stages):
    rows, stages = _rows()
    stages = np.where(stages == "EMCI", "CN", stages) if n_stages == 2 else stages
    model = StageSVM(strengths=(0.5,)).fit(rows, stages)
    size = np.mean(np.sum(rows**2, axis=1))
    machine = SVC(C=0.5 / size, kernel="linear", class_weight="balanced", tol=1e-8)
    plain = OneVsRestClassifier(machine).fit(rows, stages)
    np.testing.assert_allclose(
        model.decision_function(rows), plain.decision_function(rows), atol=5e-3
    )


def test_precomputed_inner_products_give_the_same():
    rows, stages = _rows()
    table = StageSVM().fit(rows[:45], stages[:45])
    kernel = StageSVM(kernel="precomputed").fit(rows[:45] @ rows[:45].T, stages[:45])
    np.testing.assert_allclose(
        kernel.predict_proba(rows[45:] @ rows[:45].T), table.predict_proba(rows[45:]), atol=1e-9
    )
    assert kernel.__sklearn_tags__().input_tags.pairwise
    assert not table.__sklearn_tags__().input_tags.pairwise


def test_probabilities_are_those_of_subjects_not_seen():
    rows, stages = _rows(120, effect=0.0)
    noise = StageSVM().fit(rows, stages)
    assert noise.predict_proba(rows).max() < 0.75, "it fits its own rows, and must not believe it"
    rows, stages = _rows(600, effect=0.5)
    model = StageSVM().fit(rows[:300], stages[:300])
    truth = stages[300:]
    calibrated = held_out_loss(model.scores(rows[300:]), truth, model.classes_)
    raw = held_out_loss(model.decision_function(rows[300:]), truth, model.classes_)
    assert calibrated < raw
    sure = model.predict_proba(rows[300:]).max(axis=1)
    right = model.predict(rows[300:]) == truth
    assert sure.mean() == pytest.approx(right.mean(), abs=0.06)


def test_visits_of_one_person_do_not_calibrate():
    rows, stages, people = _visits()
    together = StageSVM().fit(rows, stages, groups=people).predict_proba(rows)
    apart = StageSVM().fit(rows, stages).predict_proba(rows)
    assert together.max() < 0.9 < apart.max()


def test_single_members_are_not_calibrated():
    model = StageSVM().fit([[0.0], [1.0], [0.1]], ["CN", "AD", "CN"])
    assert model.calibrator_ is None
    margins = model.decision_function([[0.3]])
    np.testing.assert_allclose(model.predict_proba([[0.3]]), as_probabilities(margins[:, None]))


@pytest.mark.parametrize(
    "options, table, word",
    [({"kernel": "rbf"}, np.eye(4), "rbf"), ({"kernel": "precomputed"}, np.ones((4, 3)), "square")],
)
def test_wrong_kernels_are_refused(options, table, word):
    with pytest.raises(ValueError, match=word):
        StageSVM(**options).fit(table, ["CN", "AD"] * 2)


def test_edges_learn_what_was_planted(planted_networks):
    networks, stages = planted_networks(60)
    model = edge_svm().fit(networks[:45], stages[:45])
    assert np.mean(model.predict(networks[45:]) == stages[45:]) > 0.85


def test_blocks_of_everything_weigh_the_same(planted_networks):
    networks, stages = planted_networks(24)
    values = np.random.default_rng(0).normal(5, 2, networks.shape[:3])
    subjects = replace(as_subjects(networks), values=values)
    model = everything_svm().fit(subjects, stages)
    table = model["blocks"].transform(subjects)
    sizes = [each.transform(subjects).shape[1] for _, each in model["blocks"].transformer_list]
    ends = np.cumsum([0, *sizes])
    for start, end in pairwise(ends):
        assert np.mean(np.sum(table[:, start:end] ** 2, axis=1)) == pytest.approx(1)
