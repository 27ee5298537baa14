"""Sets of stages keep their promise on exchangeable subjects, whatever the model is worth."""

import functools
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.naive_bayes import GaussianNB

from brainnet.evaluate.conformal import Conformal, coverage_table, nonconformity, prediction_sets

STAGES = np.array(["CN", "MCI", "AD"])


def people_of(n_participants, *, rng, n_visits=1, shares=(0.6, 0.25, 0.15)):
    """Rows of participants whose visits are alike: table, stages, participants."""
    stage = rng.choice(3, n_participants, p=shares)
    visits = rng.integers(1, n_visits + 1, n_participants)
    own = rng.normal(size=(n_participants, 2)) + 1.2 * stage[:, np.newaxis]
    rows = np.repeat(np.arange(n_participants), visits)
    return own[rows] + 0.1 * rng.normal(size=(rows.size, 2)), STAGES[stage[rows]], rows


def evaluated(n_participants=120, *, seed=0, n_folds=4, n_visits=1, wrong=0.0):
    """What an evaluation gives: probabilities of one informative number, some of them wrong."""
    rng = np.random.default_rng(seed)
    table, stages, rows = people_of(n_participants, rng=rng, n_visits=n_visits)
    distance = -((table[:, [0]] - 1.2 * np.arange(3)) ** 2)
    chances = np.exp(distance) / np.exp(distance).sum(axis=1, keepdims=True)
    chances = np.where(rng.random((len(rows), 1)) < wrong, chances[:, ::-1], chances)
    fold = rng.permutation(n_participants)[rows] % n_folds
    frame = pd.DataFrame(chances, columns=[f"p_{each}" for each in STAGES])
    return frame.assign(estimator="model", repeat=0, fold=fold, participant=rows, truth=stages)


def by_hand(predictions, *, alpha, score, per, pool):
    """The same by definition: each row against each other row, in plain loops."""
    chances = predictions[[f"p_{each}" for each in STAGES]].to_numpy()
    strange = nonconformity(chances, score=score)
    truth = np.array([STAGES.tolist().index(each) for each in predictions["truth"]])
    sets = np.zeros(chances.shape, dtype=bool)
    for row in range(len(chances)):
        me = predictions.iloc[row]
        for stage in range(3):
            others: dict = {}
            for other in range(len(chances)):
                them = predictions.iloc[other]
                if them["participant"] == me["participant"]:
                    continue
                if pool == "fold" and them["fold"] != me["fold"]:
                    continue
                if per == "stage" and truth[other] != stage:
                    continue
                as_strange = strange[other, truth[other]] >= strange[row, stage]
                others.setdefault(them["participant"], []).append(as_strange)
            counts = sum(np.mean(each) for each in others.values())
            sets[row, stage] = (counts + 1) / (len(others) + 1) > alpha + 1e-12
    return sets


@pytest.mark.parametrize("score, per, pool", [("aps", "all", "fold"), ("lac", "stage", "repeat")])
def test_sets_are_those_by_hand(score, per, pool):
    options = {"alpha": 0.2, "score": score, "per": per, "pool": pool}
    predictions = evaluated(16, n_visits=3, n_folds=2)
    sets = prediction_sets(predictions, **options)
    np.testing.assert_array_equal(
        sets[[f"in_{each}" for each in STAGES]].to_numpy(), by_hand(predictions, **options)
    )
    assert (sets["size"] == sets[[f"in_{each}" for each in STAGES]].sum(axis=1)).all()


@functools.cache
def many(wrong=0.0, n_visits=1):
    """Forty evaluations of other participants, as repeats."""
    parts = [evaluated(seed=seed, wrong=wrong, n_visits=n_visits) for seed in range(40)]
    return pd.concat(
        each.assign(repeat=seed, participant=each["participant"] + 1000 * seed)
        for seed, each in enumerate(parts)
    ).reset_index(drop=True)


@pytest.mark.parametrize("pool", ["fold", "repeat"])
@pytest.mark.parametrize("wrong", [0.0, 0.5])
def test_lac_covers_as_promised(pool, wrong):
    """4800 participants: a standard error of 0.006 at most."""
    for alpha in (0.1, 0.3):
        found = prediction_sets(many(wrong), alpha=alpha, score="lac", pool=pool)["covered"].mean()
        size = 30 if pool == "fold" else 120
        assert 1 - alpha - 0.018 < found < 1 - alpha + 1 / size + 0.018


@pytest.mark.parametrize("per", ["all", "stage"])
def test_aps_covers_at_least_as_promised(per):
    found = prediction_sets(many(0.5), alpha=0.1, score="aps", per=per)
    assert found["covered"].mean() > 0.9 - 0.018
    assert (found["size"] > 0).all()


def test_mondrian_covers_each_stage_and_marginal_does_not():
    marginal = prediction_sets(many(), alpha=0.2, score="lac", pool="repeat")
    each = prediction_sets(many(), alpha=0.2, score="lac", per="stage", pool="repeat")
    assert marginal.groupby("truth")["covered"].mean().min() < 0.72
    for stage, rows in each.groupby("truth"):
        error = np.sqrt(0.16 / len(rows))
        assert rows["covered"].mean() > 0.8 - 3 * error, stage


def test_visits_of_one_participant_count_once():
    found = prediction_sets(many(n_visits=4), alpha=0.2, score="lac", pool="repeat")
    share = found.groupby("participant")["covered"].mean().mean()
    assert 0.8 - 0.02 < share < 0.8 + 0.03


def test_better_models_give_smaller_sets():
    good, bad = (
        prediction_sets(evaluated(wrong=wrong), score="lac")["size"].mean() for wrong in (0, 0.5)
    )
    assert good < bad - 0.3


def test_too_few_to_calibrate_on_gives_every_stage():
    sets = prediction_sets(evaluated(8, n_folds=1), alpha=0.1, score="lac")
    assert (sets["size"] == 3).all()
    assert prediction_sets(evaluated(8, n_folds=1), alpha=0.3, score="lac")["size"].min() < 3


def test_repeats_and_estimators_do_not_mix():
    one, other = evaluated(seed=1), evaluated(seed=2, wrong=0.5)
    both = pd.concat([one, other.assign(estimator="other"), other.assign(repeat=1)])
    sets = prediction_sets(both.reset_index(drop=True))
    first = prediction_sets(one)
    columns = ["size", "covered"]
    np.testing.assert_array_equal(sets[columns].iloc[: len(one)], first[columns])
    np.testing.assert_array_equal(
        sets[columns].iloc[len(one) : 2 * len(one)], sets[columns].iloc[2 * len(one) :]
    )


def test_coverage_table_averages_participants():
    sets = prediction_sets(evaluated(n_visits=3), score="lac", pool="repeat")
    table = coverage_table(sets)
    assert table["of"].tolist()[0] == "all"
    assert set(table["of"]) == {"all", *STAGES}
    whole = table.iloc[0]
    assert whole["coverage"] == pytest.approx(sets.groupby("participant")["covered"].mean().mean())
    assert whole["low"] < whole["coverage"] < whole["high"]
    assert whole["n_participants"] == 120


def test_nonconformity_is_what_stands_before_a_stage():
    chances = np.array([[0.5, 0.2, 0.3], [0.4, 0.4, 0.2]])
    np.testing.assert_allclose(nonconformity(chances), [[0, 0.8, 0.5], [0, 0, 0.8]])
    np.testing.assert_allclose(nonconformity(chances, score="lac"), 1 - chances)


@pytest.mark.parametrize(
    "calibration, score", [("split", "lac"), ("cross", "lac"), ("cross", "aps")]
)
def test_wrapper_covers_new_subjects(calibration, score):
    """25 trainings of 100, each on 200 new subjects: most of the error is that of the training."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(25):
        table, stages, _ = people_of(300, rng=rng)
        model = Conformal(GaussianNB(), alpha=0.2, score=score, calibration=calibration)
        sets = model.fit(table[:100], stages[:100]).predict_set(table[100:])
        found.append(sets[np.arange(200), np.searchsorted(model.classes_, stages[100:])].mean())
    error = np.std(found, ddof=1) / np.sqrt(25)
    assert np.mean(found) > 0.8 - 3 * error
    if score == "lac":
        assert np.mean(found) < 0.8 + 0.05 + 3 * error


def test_wrapper_covers_each_stage():
    rng = np.random.default_rng(6)
    found = {stage: [] for stage in STAGES}
    for _ in range(16):
        table, stages, _ = people_of(400, rng=rng)
        model = Conformal(GaussianNB(), alpha=0.2, score="lac", per="stage").fit(
            table[:150], stages[:150]
        )
        sets = model.predict_set(table[150:])
        right = sets[np.arange(250), np.searchsorted(model.classes_, stages[150:])]
        for stage in STAGES:
            found[stage].append(right[stages[150:] == stage].mean())
    for stage, each in found.items():
        assert np.mean(each) > 0.8 - 3 * np.std(each, ddof=1) / 4, stage


def test_split_calibrates_one_model_and_cross_all():
    table, stages, people = people_of(90, rng=np.random.default_rng(0), n_visits=2)
    split = Conformal(GaussianNB(), calibration="split").fit(table, stages, groups=people)
    cross = Conformal(GaussianNB()).fit(table, stages, groups=people)
    assert (len(split.models_), len(cross.models_)) == (1, 5)
    assert len(split.scores_) < len(table) / 3
    assert len(cross.scores_) == len(table)
    np.testing.assert_allclose(cross.predict_proba(table).sum(axis=1), 1)
    p_values = cross.p_values(table)
    assert ((p_values > 0) & (p_values <= 1)).all()
    np.testing.assert_array_equal(cross.predict_set(table), p_values > 0.1)


def test_participants_are_never_calibrated_on_their_own_model():
    people = np.repeat(np.arange(30), 2)
    stages = STAGES[people % 3]

    class Memory(DummyClassifier):
        def fit(self, table, stages, groups=None):
            self.mine_ = set(groups.tolist())
            return super().fit(table, stages)

        def predict_proba(self, table):
            assert not self.mine_ & set(np.asarray(table)[:, 0].tolist())
            return super().predict_proba(table)

    Conformal(Memory()).fit(people[:, np.newaxis].astype(float), stages, groups=people)


def test_clones_pickles_and_repeats():
    table, stages, _ = people_of(60, rng=np.random.default_rng(0))
    model = clone(Conformal(GaussianNB(), seed=3)).fit(table, stages)
    for other in (clone(model).fit(table, stages), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.p_values(table), model.p_values(table))
    model.set_params(estimator__var_smoothing=0.1, alpha=0.5).fit(table, stages)
    assert np.mean(model.predict(table) == stages) > 0.6


def test_wrong_input_is_named():
    predictions = evaluated()
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 1\); got 90"):
        prediction_sets(predictions, alpha=90)
    with pytest.raises(ValueError, match="score must be one of aps, lac"):
        prediction_sets(predictions, score="raps")
    with pytest.raises(ValueError, match="per must be one of all, stage"):
        prediction_sets(predictions, per="site")
    with pytest.raises(ValueError, match="pool must be one of fold, repeat"):
        prediction_sets(predictions, pool="all")
    with pytest.raises(
        ValueError, match=r"missing: fold, participant\. Pass evaluation.predictions"
    ):
        prediction_sets(predictions.drop(columns=["fold", "participant"]))
    table, stages, _ = people_of(30, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="calibration must be one of cross, split"):
        Conformal(GaussianNB(), calibration="jackknife").fit(table, stages)
    with pytest.raises(ValueError, match="each stage must have at least two participants"):
        Conformal(GaussianNB()).fit(table[:3], np.array(["CN", "CN", "AD"]))
