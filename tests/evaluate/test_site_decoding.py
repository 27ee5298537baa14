"""Sites that are planted are found, and gone where they were taken out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from brainnet.cohort.subjects import as_subjects
from brainnet.evaluate.site_decoding import site_decoding
from brainnet.models.harmonised import Harmoniser


def sited(n_subjects=120, *, shift=0.0, spread=1.0, sign=0.0, seed=0):
    """Networks of two sites that differ in mean, in variance, or in what goes with what."""
    rng = np.random.default_rng(seed)
    place = np.arange(n_subjects) % 2
    common = rng.normal(size=n_subjects)
    edges = rng.normal(size=(n_subjects, 1, 8, 8))
    edges = (edges + edges.swapaxes(2, 3)) * np.where(place, spread, 1.0)[:, None, None, None]
    edges[:, :, :4] += sign * common[:, None, None, None]
    edges[:, :, 4:] += sign * (common * np.where(place, -1, 1))[:, None, None, None]
    edges = np.triu(edges, 1)
    edges = 3 + edges + edges.swapaxes(2, 3) + shift * place[:, None, None, None]
    edges[..., range(8), range(8)] = 0
    people = pd.DataFrame({"site": np.array(["A", "B"])[place]})
    return replace(as_subjects(edges), covariates=people)


def _found(subjects, **options):
    table = site_decoding(subjects, Harmoniser(keep=(), **options))
    return table.set_index(["features", "classifier"])


def test_shift_is_decoded_by_both_and_goes():
    found = _found(sited(shift=1.0))
    assert found.loc["raw", "decodable"].all()
    assert found.loc[("raw", "linear"), "balanced_accuracy"] > 0.85
    assert not found.loc["harmonised", "decodable"].any()
    assert (found["chance"] == 0.5).all()
    assert ((found["low"] <= found["balanced_accuracy"])
            & (found["balanced_accuracy"] <= found["high"])).all()  # fmt: skip


def test_scale_is_decoded_by_the_nonlinear_one_and_goes_only_with_scale():
    found = _found(sited(spread=2.5), adjust="location")
    assert found.loc[("raw", "nonlinear"), "decodable"]
    assert found.loc[("harmonised", "nonlinear"), "decodable"]
    assert not found.loc[("harmonised", "linear"), "decodable"]
    assert not _found(sited(spread=2.5)).loc["harmonised", "decodable"].any()


def test_prior_leaves_a_little_in_each_of_many_columns():
    rng = np.random.default_rng(0)
    subjects = sited(120)
    columns = np.triu(rng.normal(0, 0.4, (60, 60)), 1)
    edges = rng.normal(size=(120, 1, 60, 60))
    edges += np.where(np.arange(120) % 2, 1.0, 0.0)[:, None, None, None] * columns
    edges = 3 + np.triu(edges, 1) + np.triu(edges, 1).swapaxes(2, 3)
    wide = replace(as_subjects(edges), covariates=subjects.covariates)
    shrunk, plain = (_found(wide, prior=prior) for prior in ("columns", "none"))
    assert shrunk.loc[("harmonised", "linear"), "decodable"]
    assert not plain.loc[("harmonised", "linear"), "decodable"]


def test_what_goes_with_what_stays_after_combat():
    found = _found(sited(sign=1.5))
    assert found.loc[("harmonised", "nonlinear"), "decodable"]
    assert not found.loc[("harmonised", "linear"), "decodable"]


def test_sites_alike_are_not_decoded():
    assert not _found(sited())["decodable"].any()


def test_harmonisation_is_learned_in_the_fold(monkeypatch):
    fitted = []
    fit = Harmoniser.fit

    def counted(self, subjects, y=None):
        fitted.append(len(subjects))
        return fit(self, subjects, y)

    monkeypatch.setattr(Harmoniser, "fit", counted)
    given = Harmoniser(keep=())
    site_decoding(sited(), given, n_splits=4)
    assert fitted == [90] * 4
    assert not hasattr(given, "combats_")


def test_visits_count_as_one_participant():
    subjects = sited(40, shift=0.3)
    twice = subjects[np.repeat(np.arange(40), 3)]
    once, again = (_found(each).loc[("raw", "linear")] for each in (subjects, twice))
    assert again["high"] - again["low"] > 0.7 * (once["high"] - once["low"])


def test_missing_modalities_and_seed():
    subjects = sited(shift=1.0)
    edges = subjects.edges.copy()
    edges[:7] = np.nan
    subjects = replace(subjects, edges=edges)
    first, second = (site_decoding(subjects, Harmoniser(keep=()), seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert first["decodable"].tolist() == [True, True, False, False]


def test_wrong_subjects_are_named():
    subjects = sited(20)
    with pytest.raises(ValueError, match="subjects must have the covariate 'scanner'; got site"):
        site_decoding(subjects, Harmoniser(site="scanner"))
    alone = replace(subjects, covariates=subjects.covariates.assign(site="A"))
    with pytest.raises(ValueError, match="sites must be known and two or more; got A"):
        site_decoding(alone, Harmoniser(keep=()))
