"""An evaluation that is stopped goes on where it was, to the same result, and mixes nothing."""

import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import types
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold

from brainnet.evaluate import Folds, cross_validate_stages, kept
from brainnet.evaluate.kept import Kept

SOURCE = """
import os, signal, warnings
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Counts(ClassifierMixin, BaseEstimator):
    '''Writes a line a fit, and kills its process at the fourth where it is told to.'''

    def __init__(self, log, weight=1.0):
        self.log, self.weight = log, weight

    def fit(self, networks, stages):
        with open(self.log, "a") as file:
            file.write("fitted\\n")
        if Path(self.log).read_text().count("\\n") == 4 and "DIE" in os.environ:
            os.kill(os.getpid(), int(os.environ["DIE"]))
        self.classes_ = np.unique(stages)
        self.mean_ = np.nanmean(np.asarray(networks)) * self.weight
        warnings.warn(f"mean {self.mean_}", RuntimeWarning)
        return self

    def predict_proba(self, networks):
        own = np.nanmean(np.asarray(networks)[:, 0], axis=(1, 2))
        chances = np.exp(np.outer(own - self.mean_, np.arange(len(self.classes_))))
        return chances / chances.sum(axis=1, keepdims=True)
"""
RUN = """
    import sys
    import signal
    import numpy as np
    from counting import Counts
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    from brainnet.evaluate import cross_validate_stages

    given = np.load(sys.argv[1])
    cross_validate_stages((given["edges"], given["stages"]), {"counts": Counts(sys.argv[2])},
                          n_splits=3, n_repeats=2, folder=sys.argv[3])
"""


@pytest.fixture
def counting(tmp_path, monkeypatch):
    """The module of the estimator, as a user's own."""
    (tmp_path / "counting.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("counting", None)
    kept._source.cache_clear()
    yield importlib.import_module("counting")
    sys.modules.pop("counting", None)
    kept._source.cache_clear()


@pytest.fixture
def evaluated(tmp_path, counting, planted):
    """Evaluate; return the evaluation, the warnings and how often something was fitted."""
    subjects, stages = planted(12, age=np.linspace(60, 80, 12))
    log = tmp_path / "log"

    def evaluate(folder=tmp_path / "kept", given=(subjects, stages), weight=1.0, **options):
        before = log.read_text().count("\n") if log.exists() else 0
        options = {"n_splits": 3, "n_repeats": 2} | options
        models = {"counts": counting.Counts(str(log), weight)}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = cross_validate_stages(given, models, folder=folder, **options)
        told = [(each.category, str(each.message)) for each in caught]
        return found, told, log.read_text().count("\n") - before

    return evaluate


def _same(one, other):
    for name in ("table", "predictions", "folds", "differences", "choices", "draws"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_evaluation_does_only_what_lacks(tmp_path, evaluated, planted, how):
    subjects, stages = planted(12)
    np.savez(tmp_path / "given.npz", edges=subjects.edges, stages=stages)
    places = [str(tmp_path / name) for name in ("given.npz", "log", "kept")]
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(RUN), *places],
        env={**os.environ, "DIE": str(int(how)), "PYTHONPATH": str(tmp_path)},
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert killed.returncode == -how
    assert len(list((tmp_path / "kept").glob("*.json"))) == 3
    given = (subjects.edges, stages)
    found, told, n_fits = evaluated(given=given)
    assert n_fits == 3
    whole, told_whole, n_fits = evaluated(folder=None, given=given)
    assert n_fits == 6
    _same(found, whole)
    assert told == told_whole
    assert evaluated(given=given)[2] == 0
    assert not list((tmp_path / "kept").glob(".*"))


def test_processes_go_on_from_one_another(evaluated):
    evaluated(n_repeats=1)
    found, _, n_fits = evaluated(n_jobs=2)
    assert n_fits == 3  # those of the first repeat were there
    _same(found, evaluated(folder=None)[0])


def _edge(subjects, stages):
    edges = subjects.edges.copy()
    edges[0, 0, 0, 1] = edges[0, 0, 1, 0] = np.nextafter(edges[0, 0, 0, 1], 9)
    return dataclasses.replace(subjects, edges=edges), stages


def _age(subjects, stages):
    ages = subjects.covariates["age"].to_numpy().copy()
    ages[3] += 1
    return dataclasses.replace(subjects, covariates=pd.DataFrame({"age": ages})), stages


def _regions(subjects, stages):
    return dataclasses.replace(subjects, regions=subjects.regions[::-1]), stages


def _stage(subjects, stages):
    other = stages.copy()
    other[[0, 1]] = other[[1, 0]]
    return subjects, other


@pytest.mark.parametrize("change", [_edge, _age, _regions, _stage])
def test_other_subjects_are_never_mixed_in(evaluated, planted, change):
    given = planted(12, age=np.linspace(60, 80, 12))
    folds = KFold(3)  # the same, whatever the stages
    first = evaluated(given=given, folds=folds)[2]
    assert (first, evaluated(given=given, folds=folds)[2]) == (3, 0)
    found, _, n_fits = evaluated(given=change(*given), folds=folds)
    assert n_fits == 3
    _same(found, evaluated(given=change(*given), folder=None, folds=folds)[0])


def test_other_folds_and_parameters_are_never_mixed_in(evaluated):
    evaluated()
    assert evaluated(weight=2.0)[2] == 6
    assert evaluated(folds=Folds(3, 1, seed=5))[2] == 3
    assert evaluated(n_splits=2)[2] == 4


def test_other_code_is_never_mixed_in(tmp_path, evaluated, monkeypatch):
    evaluated()
    (tmp_path / "counting.py").write_text(SOURCE + "# changed\n")
    kept._source.cache_clear()
    assert evaluated()[2] == 6
    monkeypatch.setattr(kept, "__version__", "0")
    assert evaluated()[2] == 6


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "{",
        lambda _: "",
        lambda text: text.replace('"chances": [', '"chances": [[0.1, 0.8, 0.1], '),
        lambda text: json.dumps(json.loads(text) | {"choices": "__import__('os').system('x')"}),
        lambda text: json.dumps(json.loads(text) | {"warned": [["os.system", "x"]]}),
        lambda text: text.replace("chances", "chance"),
    ],
)
def test_a_damaged_file_is_made_again(tmp_path, evaluated, change):
    found = evaluated()[0]
    path = next((tmp_path / "kept").glob("*.json"))
    path.write_text(change(path.read_text()))
    again, _, n_fits = evaluated()
    assert n_fits == 1
    _same(found, again)


@pytest.mark.parametrize("values", [[1e-3, 10], [(1e-3,), (10.0,)], np.logspace(-3, 1, 2)])
def test_what_was_chosen_is_kept(planted, quick, tmp_path, monkeypatch, values):
    grids = {"quick": {"logisticregression__C": values}}
    if isinstance(values[0], tuple):
        quick = quick.set_params(logisticregression=Tuples())
        grids = {"quick": {"logisticregression__strengths": values}}
    given = planted(18)
    first = cross_validate_stages(given, {"quick": quick}, n_splits=2, grids=grids, folder=tmp_path)
    monkeypatch.setattr(Kept, "keep", None)  # nothing is left to keep
    again = cross_validate_stages(given, {"quick": quick}, n_splits=2, grids=grids, folder=tmp_path)
    _same(first, again)
    pd.testing.assert_frame_equal(first.seconds, again.seconds)


class Tuples(BaseEstimator):
    """Chance, with a setting that is a tuple."""

    def __init__(self, strengths=()):
        self.strengths = strengths

    def fit(self, networks, stages):
        self.classes_ = np.unique(stages)
        return self

    def predict_proba(self, networks):
        return np.full((len(networks), 3), 1 / 3)


class Fails(Tuples):
    """Cannot predict."""

    def predict_proba(self, networks):
        raise RuntimeError("told to")


def test_what_cannot_be_known_again_is_not_kept(planted, quick, tmp_path, monkeypatch):
    class Local(Tuples):
        pass

    class Typed(Tuples):
        pass

    prompt = types.ModuleType("prompt")  # without a file, so its code is not known next time
    monkeypatch.setitem(sys.modules, "prompt", prompt)
    prompt.Typed, Typed.__module__, Typed.__qualname__ = Typed, "prompt", "Typed"
    models = {"local": Local(), "typed": Typed(), "quick": quick}
    cross_validate_stages(planted(18), models, n_splits=2, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_failures_are_not_kept(planted, quick, tmp_path):
    models = {"quick": quick, "fails": Fails()}
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"told to\. It failed in 2 of 2 folds"):
            cross_validate_stages(planted(18), models, n_splits=2, folder=tmp_path)
        assert len(list(tmp_path.iterdir())) == 2
