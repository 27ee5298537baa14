"""Jobs: the same results in one process and several, and no failure takes others with it."""

import contextlib
import pickle
import threading
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline

from brainnet.evaluate import (
    EvaluationError,
    Folds,
    LeakError,
    Search,
    cross_validate_stages,
    jobs,
    out_of_fold,
)
from brainnet.models.edges import EdgeImputer, EdgeTable
from brainnet.models.linear import majority


class Odd(ClassifierMixin, BaseEstimator):
    """Does what it is told when it is fitted, or gives odd probabilities."""

    def __init__(self, fit=None, chances=None):
        self.fit_does = fit
        self.chances = chances

    def __sklearn_clone__(self):
        return Odd(self.fit_does, self.chances)

    def fit(self, networks, stages):
        if self.fit_does is not None:
            self.fit_does(networks)
        self.classes_ = np.unique(stages)
        return self

    def predict_proba(self, networks):
        if self.chances is not None:
            return self.chances(len(networks), len(self.classes_))
        return np.full((len(networks), len(self.classes_)), 1 / len(self.classes_))


def _local():
    """Classes of a test module cannot be imported elsewhere; those of a function travel whole."""

    class Fails(BaseEstimator):
        def fit(self, networks, stages):
            if "3" in networks.participants:
                raise np.linalg.LinAlgError("singular matrix")
            self.classes_ = np.unique(stages)
            return self

        def predict_proba(self, networks):
            import warnings

            warnings.warn(f"{len(networks)} rows are odd", RuntimeWarning, stacklevel=1)
            return np.full((len(networks), 3), 1 / 3)

    class Warns(Fails):
        def fit(self, networks, stages):
            self.classes_ = np.unique(stages)
            return self

    return {"fails": Fails(), "warns": Warns()}


def test_processes_change_no_result(planted, quick):
    given = planted(30, effect=0.05)
    estimators = {"majority": majority(), "quick": quick} | _local()
    runs, told = [], []
    for n_jobs in (1, 2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            runs.append(
                cross_validate_stages(
                    given,
                    estimators,
                    n_splits=3,
                    n_jobs=n_jobs,
                    grids={"quick": {"logisticregression__C": [1e-3, 10]}},
                )
            )
        told.append([str(each.message) for each in caught])
    one, two = runs
    for name in ("table", "predictions", "folds", "differences", "choices", "draws"):
        assert getattr(one, name).equals(getattr(two, name)), name
    assert told[0] == told[1]
    columns = ["estimator", "repeat", "fold", "error"]
    assert one.failures[columns].equals(two.failures[columns])


def test_a_failing_estimator_is_told_and_the_others_go_on(planted, quick):
    def fit(networks):
        if "3" in networks.participants:
            raise np.linalg.LinAlgError("singular matrix")

    given = planted()
    alone = cross_validate_stages(given, {"quick": quick}, n_splits=3)
    with pytest.warns(UserWarning, match="LinAlgError") as told:
        result = cross_validate_stages(given, {"fails": Odd(fit), "quick": quick}, n_splits=3)
    assert set(result.table["estimator"]) == {"quick"}
    assert result.predictions.equals(alone.predictions)
    assert result.failures["estimator"].tolist() == ["fails", "fails"]
    assert result.failures["error"].tolist() == ["LinAlgError: singular matrix"] * 2
    assert "raise np.linalg.LinAlgError" in result.failures["details"][0]
    text = str(told[-1].message)
    where = result.failures["fold"][0]
    assert text.startswith(f"estimator 'fails' failed in fold {where} of repeat 0 (20 rows trained")
    assert "singular matrix. It failed in 2 of 3 folds and is left out" in text
    assert set(result.seconds["estimator"]) == {"quick"}


def test_what_an_estimator_warns_of_is_told_once(planted):
    with pytest.warns(RuntimeWarning) as told:
        cross_validate_stages(planted(31), {"it": _local()["warns"]}, n_splits=3)
    assert len(told) == 1
    assert "rows are odd (estimator 'it', 3 of 3 folds)" in str(told[0].message)
    assert told[0].filename == __file__


def test_what_is_for_developers_is_not_told(planted):
    def fit(networks):
        warnings.warn("old", FutureWarning, stacklevel=1)
        warnings.warn("older", DeprecationWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        cross_validate_stages(planted(), {"odd": Odd(fit)}, n_splits=2)
    assert [each.category for each in told] == [FutureWarning]


def test_where_all_fail_the_first_failure_is_raised(planted):
    def fit(networks):
        raise MemoryError("too large")

    with pytest.raises(EvaluationError, match=r"'odd' failed in fold 0 .*MemoryError: too l") as no:
        cross_validate_stages(planted(), {"odd": Odd(fit)})
    assert no.value.estimator == "odd"
    assert str(pickle.loads(pickle.dumps(no.value))) == str(no.value)
    with pytest.raises(EvaluationError, match="too large"):
        out_of_fold(*planted(), Odd(fit))


@pytest.mark.parametrize(
    "chances, what",
    [
        (lambda n, k: np.full((n, k), np.nan), "finite and sum to 1"),
        (lambda n, k: np.full((n, k), 0.9), "finite and sum to 1"),
        (lambda n, k: np.ones((n, 1)), r"must be \(6, 3\).*got \(6, 1\)"),
    ],
)
def test_probabilities_that_are_none_are_refused(planted, chances, what):
    with pytest.raises(EvaluationError, match=what):
        cross_validate_stages(planted(), {"odd": Odd(chances=chances)})


def test_a_leak_found_inside_an_estimator_ends_the_run(planted, quick):
    def fit(networks):
        raise LeakError("it looked")

    with pytest.raises(LeakError, match="it looked"):
        cross_validate_stages(planted(), {"quick": quick, "odd": Odd(fit)})


def test_what_cannot_travel_is_named(planted):
    lock = threading.Lock()

    def fit(networks):
        lock.acquire()

    with pytest.raises(EvaluationError, match=r"'odd' .* cannot be sent .*n_jobs=1"):
        cross_validate_stages(planted(), {"odd": Odd(fit)}, n_jobs=2)


def test_jobs_run_on_one_thread_and_leave_threads_as_they_were(planted):
    import torch
    from threadpoolctl import threadpool_info, threadpool_limits

    seen = []

    def fit(networks):
        seen.append((torch.get_num_threads(), {each["num_threads"] for each in threadpool_info()}))

    before = torch.get_num_threads()
    try:
        with threadpool_limits(2):
            torch.set_num_threads(2)
            cross_validate_stages(planted(), {"odd": Odd(fit)}, n_splits=2)
            assert torch.get_num_threads() == 2
            assert 2 in {each["num_threads"] for each in threadpool_info()}
    finally:
        torch.set_num_threads(before)
    assert seen == [(1, {1})] * 2


def test_torch_is_told_itself(planted, monkeypatch):
    import torch

    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr(jobs, "threadpool_limits", lambda limit: contextlib.nullcontext())
    try:
        torch.set_num_threads(2)
        odd = Odd(lambda networks: seen.append(torch.get_num_threads()))
        cross_validate_stages(planted(), {"odd": odd}, n_splits=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1]


def test_seconds_are_those_of_each_fold(planted, quick):
    import time

    slow = Odd(lambda networks: time.sleep(0.02))
    result = cross_validate_stages(planted(), {"quick": quick, "slow": slow}, n_splits=3)
    assert len(result.seconds) == 6
    mine = result.seconds[result.seconds["estimator"] == "slow"]
    assert (mine["fit"] >= 0.02).all()
    assert (mine["predict"] < 0.02).all()


def test_out_of_fold_gives_what_an_evaluation_gives(planted, quick):
    subjects, stages = planted(30, effect=0.05)
    result = cross_validate_stages((subjects, stages), {"q": quick}, n_splits=3, n_repeats=2)
    chances = out_of_fold(subjects, stages, quick, Folds(3, 2))
    assert chances.shape == (2, 30, 3)
    said = result.predictions.assign(row=result.predictions["subject"].astype(int))
    said = said.sort_values(["repeat", "row"])[["p_CN", "p_EMCI", "p_AD"]].to_numpy()
    np.testing.assert_allclose(chances.reshape(60, 3), said, atol=1e-12)
    assert not hasattr(quick[-1], "coef_")


def test_out_of_fold_is_nan_where_nobody_was_tested(planted, quick):
    splitter = ShuffleSplit(1, test_size=0.2, random_state=0)
    chances = out_of_fold(*planted(), quick, splitter)
    assert np.isfinite(chances).all(axis=2).sum() == 6
    assert np.isnan(chances).all(axis=2).sum() == 24


def test_participants_reach_what_can_use_them(planted):
    seen = []

    class Grouped(LogisticRegression):
        def fit(self, X, y, groups=None):
            seen.append(groups)
            return super().fit(X, y)

    direct = make_pipeline(EdgeImputer(), EdgeTable(), Grouped(max_iter=500))
    searched = Search(direct, {"grouped__C": [0.1, 1]}, n_splits=2)
    for model in (direct, searched):
        seen.clear()
        out_of_fold(*planted(), model, Folds(3))
        assert len(seen) == (3 if model is direct else 15)
        assert all(groups is not None for groups in seen)
        assert set(seen[-1]) <= set(map(str, range(30)))


@pytest.mark.slow
def test_a_process_that_dies_takes_no_other_result_with_it(planted, quick):
    import os

    def dies():
        class Dies(BaseEstimator):
            def fit(self, networks, stages):
                if "3" in networks.participants:
                    os._exit(9)
                self.classes_ = np.unique(stages)
                return self

            def predict_proba(self, networks):
                return np.full((len(networks), 3), 1 / 3)

        return Dies()

    given = planted()
    alone = cross_validate_stages(given, {"quick": quick}, n_splits=3)
    with pytest.warns(UserWarning, match="process was ended from outside"):
        result = cross_validate_stages(
            given, {"quick": quick, "dies": dies()}, n_splits=3, n_jobs=2
        )
    assert result.predictions.equals(alone.predictions)
    assert len(result.failures) == 2
