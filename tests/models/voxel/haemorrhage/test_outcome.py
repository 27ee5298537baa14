"""Models of expansion: a planted rule is found, nothing is found where none is, nothing leaks."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from brainnet.evaluate import cross_validate_stages
from brainnet.io import DataError
from brainnet.models.voxel.haemorrhage.outcome import (
    OutcomeClassifier,
    Strongest,
    as_cohort,
    load_outcome,
    save_outcome,
)

CARD = {
    "outcome": "growth by 33 % or 6 ml within 24 h", "data": "planted rule", "simulated": True,
    "evaluation": {"auc": 0.9},
}  # fmt: skip


def simulated(n=240, planted=True, seed=0):
    """Bleeds of which, if planted, the large, irregular and uneven ones expand."""
    rng = np.random.default_rng(seed)
    volume = np.exp(rng.normal(2.5, 0.9, n))
    irregular, uneven = rng.beta(2, 5, n), rng.gamma(3, 2, n)
    score = np.log(volume / 12) + 5 * (irregular - 0.28) + 0.35 * (uneven - 6)
    score = score if planted else rng.normal(size=n)
    table = pd.DataFrame(
        {"volume_ml": volume, "irregularity": irregular, "heterogeneity_hu": uneven}
        | {f"noise_{each}": rng.normal(size=n) for each in range(40)}
    )
    table = table.mask(rng.uniform(size=table.shape) < 0.05)
    return table, rng.uniform(size=n) < 1 / (1 + np.exp(-2 * score))


def auc(model, table, expands, groups=None):
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    groups = np.arange(len(table)) if groups is None else groups
    chance = cross_val_predict(model, table, expands, groups=groups, cv=folds,
                               method="predict_proba")  # fmt: skip
    return roc_auc_score(expands, chance[:, 1])


@pytest.mark.parametrize("kind", ["logistic", "boosting"])
def test_a_planted_rule_is_found_and_no_rule_is_not(kind):
    model = OutcomeClassifier(kind=kind)
    assert auc(model, *simulated()) > 0.8
    # selection of 12 of 43 columns on all patients would give about .6 to .7 here
    assert auc(model, *simulated(planted=False)) == pytest.approx(0.5, abs=0.1)


def test_the_projects_own_evaluation_takes_it():
    table, expands = simulated()
    cohort = as_cohort(table, [f"p{each}" for each in range(len(table))])
    found = cross_validate_stages(
        (cohort, expands.astype(int)), {"features": OutcomeClassifier()}, target="expansion"
    )
    score = found.table.set_index("metric").loc["auc"]
    assert score["low"] > 0.8
    assert score["low"] < score["estimate"] < score["high"]


def test_the_columns_that_matter_are_kept_with_the_right_sign():
    table, expands = simulated(n=600)
    model = OutcomeClassifier(n_columns=3).fit(table[table.columns[::-1]], expands)
    weights = dict(zip(model.columns_, model.coef_, strict=True))
    kept = {name: weight for name, weight in weights.items() if weight}
    assert set(kept) == {"volume_ml", "irregularity", "heterogeneity_hu"}
    assert min(kept.values()) > 0


def test_a_line_of_weights_says_what_the_steps_say():
    table, expands = simulated()
    model = OutcomeClassifier().fit(table, expands)
    steps = model._pipeline().fit(table.to_numpy(), expands)
    np.testing.assert_allclose(
        model.predict_proba(table), steps.predict_proba(table.to_numpy()), rtol=1e-9
    )
    odds = np.log(model.predict_proba(table)[:, 1] / model.predict_proba(table)[:, 0])
    added = model.contributions(table).sum(axis=1)
    base = model.medians_ @ model.coef_ + model.intercept_
    np.testing.assert_allclose(added + base, odds, atol=1e-9)


def test_other_patients_in_the_test_change_nothing_that_was_fitted():
    table, expands = simulated()
    train = np.arange(200)
    model = OutcomeClassifier().fit(table.iloc[train], expands[train])
    before = model.coef_.copy(), model.medians_.copy()
    model.predict_proba(table.iloc[200:] * 1000)
    np.testing.assert_array_equal(model.coef_, before[0])
    np.testing.assert_array_equal(model.medians_, before[1])


def test_columns_are_found_by_name_and_a_missing_one_is_told():
    table, expands = simulated()
    model = OutcomeClassifier().fit(table, expands)
    np.testing.assert_array_equal(
        model.predict_proba(table[table.columns[::-1]]), model.predict_proba(table)
    )
    with pytest.raises(ValueError, match="volume_ml"):
        model.predict_proba(table.drop(columns="volume_ml"))


def test_what_cannot_be_learned_from_is_refused():
    table, expands = simulated(n=40)
    with pytest.raises(ValueError, match="numbers; kind"):
        OutcomeClassifier().fit(table.assign(kind="epidural"), expands)
    few = np.arange(40) < 3
    with pytest.raises(ValueError, match="5 scans or more"):
        OutcomeClassifier().fit(table, few)
    with pytest.raises(ValueError, match="infinite"):
        OutcomeClassifier().fit(table.assign(volume_ml=np.inf), expands)
    with pytest.raises(ValueError, match="one of logistic, boosting"):
        OutcomeClassifier(kind="forest").fit(table, expands)
    with pytest.raises(ValueError, match="one a scan"):
        as_cohort(table, ["a"])


def test_the_strongest_columns_of_a_known_table():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 50)
    table = np.stack([rng.normal(size=100), y + rng.normal(size=100), np.ones(100),
                      2 * y + rng.normal(size=100)], axis=1)  # fmt: skip
    assert Strongest(n_columns=2).fit(table, y).kept_.tolist() == [1, 3]
    assert Strongest(n_columns=9).fit(table, y).kept_.tolist() == [0, 1, 2, 3]


def test_a_model_comes_back_from_disk_as_it_was(tmp_path):
    table, expands = simulated()
    model = OutcomeClassifier().fit(table, expands)
    save_outcome(tmp_path / "model", model, CARD)
    loaded, card = load_outcome(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(table), model.predict_proba(table))
    assert card["outcome"] == CARD["outcome"]
    assert any("simulated" in each for each in card["limits"])
    assert card["model"]["n_second"] == expands.sum()


def test_a_model_without_a_card_or_with_trees_is_not_written(tmp_path):
    table, expands = simulated(n=80)
    model = OutcomeClassifier().fit(table, expands)
    with pytest.raises(ValueError, match="evaluation"):
        save_outcome(tmp_path, model, {k: v for k, v in CARD.items() if k != "evaluation"})
    trees = OutcomeClassifier(kind="boosting").fit(table, expands)
    with pytest.raises(ValueError, match="logistic to be written"):
        save_outcome(tmp_path, trees, CARD)
    assert not list(tmp_path.iterdir())


def test_a_changed_model_is_refused(tmp_path):
    table, expands = simulated(n=80)
    save_outcome(tmp_path, OutcomeClassifier().fit(table, expands), CARD)
    card = json.loads((tmp_path / "card.json").read_text())
    for change in ({"data": "10,000 patients"}, {"task": "staging"}):
        (tmp_path / "card.json").write_text(json.dumps(card | change))
        with pytest.raises(DataError):
            load_outcome(tmp_path)
