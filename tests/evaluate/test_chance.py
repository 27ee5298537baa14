"""With permuted stages nothing is found, and a planted leak is: the benchmark's, in small."""

import numpy as np
import pytest
from scipy import stats
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainnet.evaluate import Folds, Search, out_of_fold
from brainnet.evaluate.scores import weighted_scores
from brainnet.models.edges import EdgeImputer, EdgeTable
from brainnet.models.linear import majority

ORDER = ("CN", "EMCI", "AD")
CHANCE = 1 / 3
N_SEEDS = 12


def _balanced_accuracy(subjects, labels, model, seed):
    chances = out_of_fold(subjects, labels, model, Folds(3, seed=seed))[0]
    truth = [ORDER.index(each) for each in labels]
    return weighted_scores(chances, truth, np.ones((1, len(labels))))["balanced_accuracy"][0]


def _interval(scores):
    """Mean over seeds and its 95 % interval."""
    mean, error = np.mean(scores), stats.sem(scores)
    half = stats.t.ppf(0.975, len(scores) - 1) * error
    return mean - half, mean, mean + half


def _permuted(planted, model, spoil=None):
    """Balanced accuracies of permuted stages; `spoil` may look at all subjects before the split."""
    subjects, stages = planted(36, n_regions=12, n_modalities=1)
    scores = []
    for seed in range(N_SEEDS):
        labels = np.random.default_rng(seed).permutation(stages)
        given = subjects if spoil is None else spoil(subjects, labels)
        scores.append(_balanced_accuracy(given, labels, model, seed))
    return scores


def _edges(*steps):
    return make_pipeline(
        EdgeImputer(), EdgeTable(), StandardScaler(), *steps, LogisticRegression(max_iter=300)
    )


@pytest.mark.parametrize("name", ["majority", "logistic", "selected", "searched"])
def test_permuted_stages_are_staged_by_chance(planted, name):
    model = {
        "majority": majority(),
        "logistic": _edges(),
        "selected": _edges(SelectKBest(f_classif, k=5)),
        "searched": Search(
            _edges(SelectKBest(f_classif)), {"selectkbest__k": [3, 30]}, n_splits=2,
            scoring="balanced_accuracy",
        ),
    }[name]  # fmt: skip
    low, _, high = _interval(_permuted(planted, model))
    assert low - 1e-9 <= CHANCE <= high + 1e-9


def _scaled_with_stages(subjects, labels):
    """Shrink the spread around each stage's mean, over all subjects: harmonising gone wrong."""
    edges = subjects.edges.copy()
    for stage in ORDER:
        own = labels == stage
        edges[own] = edges[own].mean(axis=0) + 0.5 * (edges[own] - edges[own].mean(axis=0))
    return edges


def _selected_over_all(subjects, labels):
    """Keep the edges that differ most between the stages of all subjects."""
    table = EdgeTable().fit(subjects)
    edges = table.transform(subjects)
    keep = SelectKBest(f_classif, k=5).fit(edges, labels).get_support()
    return table.inverse_transform(np.where(keep, edges, 0.0))


@pytest.mark.parametrize("leak", [_scaled_with_stages, _selected_over_all])
def test_a_planted_leak_is_above_chance(planted, leak):
    low, mean, _ = _interval(_permuted(planted, _edges(), leak))
    assert low > CHANCE
    assert mean > CHANCE + 0.1
