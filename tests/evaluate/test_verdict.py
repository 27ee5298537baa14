"""Each verdict is given where it is true, with its numbers, and not where it is not."""

import numpy as np
import pandas as pd
import pytest

from brainnet.evaluate import (
    Evaluation,
    cross_validate_stages,
    missingness,
    site_alone,
    verdict,
)
from brainnet.models.covariates import covariate_logistic
from brainnet.models.linear import majority

STAGES = ("CN", "MCI", "AD")


def _evaluated(n=180, **right):
    """Estimators that are right in a share of subjects; the same ones where shares are equal."""
    truth = np.array(STAGES)[np.arange(n) % 3]
    rank = (np.arange(n) // 3) / (n / 3)
    parts = []
    for name, share in right.items():
        lucky = rank < share
        said = np.where(lucky, np.arange(n) % 3, (np.arange(n) + 1 + np.arange(n) // 3 % 2) % 3)
        chances = np.eye(3)[said] * 0.8 + 0.2 / 3
        columns = {f"p_{stage}": chances[:, each] for each, stage in enumerate(STAGES)}
        who = {"repeat": 0, "participant": [f"{i:03d}" for i in range(n)], "truth": truth}
        parts.append(pd.DataFrame({"estimator": name} | who | columns))
    none = pd.DataFrame()
    return Evaluation(none, pd.concat(parts, ignore_index=True), none, none, STAGES)


def _about(evaluation, about, **options):
    found = [each for each in verdict(evaluation, **options) if each.about == about]
    assert len(found) <= 1
    return found[0] if found else None


def test_a_graph_network_that_is_better_is_said_to_be():
    found = _about(_evaluated(majority=1 / 3, linear=0.6, graph=0.8), "graph")
    assert not found.caution
    assert "'graph' is better than the best baseline, 'linear'" in found.text
    assert "recognises 80 % (95 % interval" in found.text
    assert "the baseline 60 % (" in found.text
    assert "+20.0 points" in found.text


@pytest.mark.parametrize(
    "share, word",
    [(0.61, "is not shown to be better than"), (0.6, "is not better than"), (0.3, "is worse than")],
)
def test_a_graph_network_that_is_not_better_is_said_not_to_be(share, word):
    found = _about(_evaluated(linear=0.6, graph=share, covariates=0.4), "graph")
    assert found.caution
    assert f"{word} the best baseline, 'linear'" in found.text
    assert "no reason to prefer it" in found.text


def test_the_best_of_all_baselines_is_what_counts():
    evaluation = _evaluated(linear=0.5, covariates=0.8, graph=0.6, gcn=0.7)
    found = _about(evaluation, "graph", graph=["graph", "gcn", "absent"])
    assert "'gcn' (the best of 2 by this very score) is worse than" in found.text
    assert "'covariates'" in found.text
    found = _about(evaluation, "graph", graph=["graph", "gcn"], baselines=["linear"])
    assert "is better than the best baseline, 'linear'" in found.text
    assert _about(evaluation, "graph", graph=[]) is None
    with pytest.raises(ValueError, match=r"baselines must be of .*svm"):
        verdict(evaluation, baselines=["svm"])


def test_covariates_that_explain_the_score_are_said_to():
    found = _about(_evaluated(linear=0.58, graph=0.6, covariates=0.6), "covariates")
    assert found.caution
    assert "explain the score: they recognise 60 %" in found.text
    assert "the difference is +0.0 points" in found.text
    assert "add anything is not shown" in found.text
    found = _about(_evaluated(linear=0.6, graph=0.8, covariates=0.6), "covariates")
    assert not found.caution
    assert "do not explain" in found.text


def test_covariates_that_guess_explain_nothing_even_if_nothing_is_shown_to_be_better():
    found = _about(_evaluated(24, linear=0.6, covariates=0.5), "covariates")
    assert found.caution
    assert "explain" not in found.text
    assert "do no better than guessing, but they recognise" in found.text
    assert "that this is better is not shown" in found.text


def test_one_model_that_beats_the_covariates_is_enough():
    found = _about(_evaluated(linear=0.8, graph=0.5, covariates=0.6), "covariates")
    assert not found.caution


def test_covariates_that_were_not_tried_are_missed():
    found = _about(_evaluated(linear=0.6, graph=0.8), "covariates")
    assert found.caution
    assert "were not tried" in found.text
    assert "'covariates' to the estimators that are compared (--estimators)" in found.text
    assert "brainnet." not in found.text


def test_where_nothing_beats_guessing_nothing_else_is_claimed():
    findings = verdict(_evaluated(linear=0.34, graph=0.33, covariates=0.3))
    assert [each.about for each in findings] == ["chance"]
    assert "guessing, which recognises 33 % of each stage" in str(findings[0])
    assert "chance" not in [each.about for each in verdict(_evaluated(linear=0.6, graph=0.3))]


@pytest.mark.parametrize("name, what", [("missingness", "what is missing"), ("site", "The site")])
def test_what_decides_without_a_brain_is_named(name, what):
    found = _about(_evaluated(linear=0.6, graph=0.6, **{name: 0.6}), name)
    assert what in found.text
    assert "may decide the score" in found.text
    found = _about(_evaluated(linear=0.9, graph=0.6, **{name: 0.5}), name)
    assert "part of its score may be that" in found.text
    assert _about(_evaluated(linear=0.9, graph=0.6, **{name: 1 / 3}), name) is None


def test_a_small_sample_is_told_with_what_one_participant_is_worth():
    found = _about(_evaluated(30, linear=0.8, graph=0.8), "size")
    assert "has 10 participants" in found.text
    assert "by 10.0 points" in found.text
    assert _about(_evaluated(300, linear=0.8, graph=0.8), "size") is None
    sure = _about(_evaluated(45, linear=1.0, graph=0.5), "size")
    assert "has 15 participants" in sure.text
    wide = _evaluated(90, linear=0.6, graph=0.5)
    assert "points wide" in _about(wide, "size").text


def test_failures_come_first(planted, quick):
    class Fails(type(majority())):
        def fit(self, X, y):
            raise MemoryError("too large")

    with pytest.warns(UserWarning, match="left out"):
        result = cross_validate_stages(
            planted(), {"graph": Fails(strategy="prior"), "linear": quick}, n_splits=2
        )
    findings = verdict(result)
    assert str(findings[0]) == "'graph' failed in 2 folds and is not scored: MemoryError: too large"
    assert "graph" not in [each.about for each in findings]


def test_it_reads_a_real_evaluation(planted, quick):
    step = np.arange(90) % 3
    sites = np.array(["A", "B", "C"])[np.where(np.arange(90) % 5 == 0, 0, step)]
    subjects, stages = planted(90, effect=0.0, age=60.0 + np.arange(90) % 7, site=sites)
    subjects.edges[stages == "AD", 1] = np.nan
    estimators = {
        "linear": quick, "covariates": covariate_logistic(), "missingness": missingness(),
        "site": site_alone(),
    }  # fmt: skip
    result = cross_validate_stages((subjects, stages), estimators, n_splits=3)
    findings = {each.about: each for each in verdict(result)}
    assert findings["covariates"].caution
    assert findings["site"].caution
    assert findings["missingness"].caution
    assert verdict(result) == verdict(result)
