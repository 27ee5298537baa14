"""Harmonised networks on disk: same bits, all that was learned of the sites, and the policy."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.dummy import DummyClassifier

from brainnet.cohort.subjects import Subjects, as_subjects
from brainnet.io import DataError
from brainnet.models.core.checkpoint import load_arrays, load_checkpoint, save_checkpoint
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.graph.multiplex_staging import multiplex_network
from brainnet.models.harmonised import Harmonised, Harmoniser
from brainnet.models.measures import with_measures
from brainnet.models.saved import load_stager, save_stager, stager_card
from brainnet.simulate.cohort import simulate_cohort
from brainnet.simulate.options import Sites


def sited(n_subjects=36, *, measures=True):
    """Correlations and similarities of three sites; site C has no second modality."""
    rng = np.random.default_rng(0)
    place, ill = np.arange(n_subjects) % 3, np.arange(n_subjects) // 3 % 2
    z = 0.3 + rng.normal(0, 0.2, (n_subjects, 2, 8, 8)) + 0.2 * place[:, None, None, None]
    z[:, :, :3, :3] -= 0.5 * ill[:, None, None, None]
    edges = np.tanh((z + z.swapaxes(2, 3)) / 2)
    edges[:, 1] = edges[:, 1] ** 2
    edges[..., range(8), range(8)] = 0
    values = rng.normal(3, 0.3, (n_subjects, 2, 8)) * (1 + 0.5 * place[:, None, None])
    edges[place == 2, 1], values[place == 2, 1], values[:, 0] = np.nan, np.nan, np.nan
    edges[4, 0, 2, :] = edges[4, 0, :, 2] = np.nan
    age, sex = rng.normal(70, 5, n_subjects), rng.choice(["F", "M"], n_subjects)
    age[7] = np.nan
    people = pd.DataFrame({"site": np.array(["A", "B", "C"])[place], "age": age, "sex": sex})
    subjects = replace(as_subjects(edges), values=values, covariates=people)
    return (with_measures(subjects) if measures else subjects), np.array(["CN", "AD"])[ill]


def network(**options):
    return GraphClassifier(n_epochs=2, n_hidden=4, **options)


def of_site(subjects, sites):
    return replace(subjects, covariates=subjects.covariates.assign(site=sites))


@pytest.fixture(scope="module")
def fitted():
    subjects, stages = sited()
    return Harmonised(network(), unseen="as_is").fit(subjects, stages), subjects, stages


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        (network(features=("profile", "values")), {}),
        (network(context=("graph_measures",)), {"unseen": "as_is", "prior": "none"}),
        (multiplex_network(n_members=2, n_epochs=2), {"unseen": "estimate", "min_unseen": 3}),
        (network(), {"keep": (), "adjust": "location", "small": "location"}),
    ],
)
def test_saved_and_loaded_it_says_the_same_bits(tmp_path, estimator, options):
    subjects, stages = sited()
    model = Harmonised(estimator, **options).fit(subjects, stages)
    back = Harmonised.load(model.save(tmp_path / "model", scores={"accuracy": 0.7}))
    np.testing.assert_array_equal(back.predict_proba(subjects), model.predict_proba(subjects))
    np.testing.assert_array_equal(back.predict(subjects), model.predict(subjects))
    assert back.classes_.tolist() == model.classes_.tolist()
    params, own = back.get_params(deep=False), model.get_params(deep=False)
    assert params.pop("estimator").get_params() == own.pop("estimator").get_params()
    assert params == own
    assert back.estimator_.card_["scores"] == {"accuracy": 0.7}
    files = sorted(each.name for each in (tmp_path / "model").iterdir())
    assert files == ["card.json", "weights.safetensors"]
    if options.get("unseen") != "estimate":
        return
    new = of_site(subjects, "D")
    np.testing.assert_array_equal(back.predict_proba(new), model.predict_proba(new))


def test_all_that_was_learned_of_the_sites_comes_back(fitted, tmp_path):
    model, subjects, stages = fitted
    back = Harmonised.load(model.save(tmp_path))
    found, own = back.harmoniser_, model.harmoniser_
    assert list(found.combats_) == list(own.combats_)
    assert ("values", 0, 0) not in found.combats_  # nobody has them
    np.testing.assert_array_equal(found.fisher_, own.fisher_)
    for key, combat in own.combats_.items():
        other = found.combats_[key]
        assert other.get_params() == combat.get_params()
        assert other.sites_.tolist() == combat.sites_.tolist()
        assert other.design_.columns_ == combat.design_.columns_
        for name in ("grand_mean_", "pooled_std_", "coefficients_", "location_", "scale_"):
            np.testing.assert_array_equal(getattr(other, name), getattr(combat, name))
    assert found.combats_["edges", 1, 0].sites_.tolist() == ["A", "B"]
    groups = back.estimator_.card_["harmonised"]["groups"]
    assert [each["sites"] for each in groups] == [["A", "B", "C"], ["A", "B"]]
    again = clone(back).fit(subjects, stages)
    np.testing.assert_array_equal(again.predict_proba(subjects), model.predict_proba(subjects))


def test_it_is_not_taken_for_a_model_of_other_subjects(fitted, tmp_path):
    model, subjects, stages = fitted
    folder = model.save(tmp_path / "harmonised")
    with pytest.raises(DataError, match="without harmonisation it would err"):
        GraphClassifier.load(folder)
    plain = network().fit(subjects, stages).save(tmp_path / "plain")
    with pytest.raises(DataError, match="subjects that are not harmonised"):
        Harmonised.load(plain)


def test_what_cannot_be_saved_or_was_forged_is_refused(fitted, tmp_path):
    model, subjects, stages = fitted
    other = Harmonised(DummyClassifier()).fit(subjects, stages)
    with pytest.raises(ValueError, match="must be a graph network to be saved; got Harmonised of"):
        other.save(tmp_path / "model")
    with pytest.raises(ValueError, match="modalities must be 2 names, those of training; got 1"):
        model.save(tmp_path / "model", modalities=["functional"])
    assert not (tmp_path / "model").exists()
    folder = model.save(tmp_path / "model")
    net, card = load_checkpoint(folder)
    arrays = load_arrays(folder, card)
    del card["weights_sha256"]
    own = card["harmonised"]
    first = "harmonised/0/"
    few = torch.zeros_like(arrays[first + "location"])[:2]
    for change, given in (
        ({"fisher": [True]}, arrays),
        ({"tables": [{"table": ["edges", 0, 0], "group": 9}]}, arrays),
        ({"groups": [{"sites": ["A"], "covariates": []}] * 2}, arrays),
        ({"groups": [each | {"sites": ["A"]} for each in own["groups"]]}, arrays),
        ({"keep": None}, arrays),
        ({}, arrays | {first + "location": few}),
        ({}, {k: v for k, v in arrays.items() if k != first + "scale"}),
    ):
        whole = card | {"harmonised": own | change}
        save_checkpoint(tmp_path / "forged", net, whole, arrays=given)
        with pytest.raises(DataError, match="not that of a model for staging"):
            Harmonised.load(tmp_path / "forged")


def test_who_cannot_be_harmonised_is_told_and_the_others_are_staged_together():
    subjects, stages = sited()
    lacks = ["A"] * 34 + ["D", "n/a"]
    for unseen, refused in (("fail", [34, 35]), ("as_is", [35]), ("estimate", [34, 35])):
        model = Harmonised(network(), unseen=unseen).fit(subjects, stages)
        new = of_site(subjects, lacks)
        why = model.harmoniser_.refusals(new)
        assert [row for row, each in enumerate(why) if each] == refused
        assert why[35] == "its site is not known"
        stay = np.array([not each for each in why])
        assert np.isfinite(model.predict_proba(new[stay])).all()
    assert "is of site D" in why[34]
    assert "10 subjects or more, given together; got 1" in why[34]


def test_a_site_that_lacked_a_modality_is_unseen_in_it():
    subjects, stages = sited()
    model = Harmonised(network()).fit(subjects, stages)
    assert not any(model.harmoniser_.refusals(subjects))
    swapped = of_site(subjects, "C")
    lost = model.harmoniser_.unseen_in(swapped)
    has = subjects.present[:, 1]
    assert [bool(each) for each in lost] == has.tolist()
    assert set(lost) == {(), ("modality 2",)}
    why = np.array(model.harmoniser_.refusals(swapped))
    assert ((why != "") == has).all()
    assert "is of site C, of which the model has not seen the modality modality 2" in why.tolist()
    model.predict(swapped[why == ""])


def test_refusals_go_on_until_those_left_are_enough():
    """Ten of a new site, of whom five can be staged only if all ten give their other modality."""
    subjects, _ = sited()
    model = Harmoniser(unseen="estimate", min_unseen=8).fit(subjects)
    sites = np.array(["A"] * 36, dtype=object)
    both, one = np.flatnonzero(subjects.present[:, 1])[:5], np.flatnonzero(~subjects.present[:, 1])
    sites[both], sites[one[:5]] = "D", "D"
    new = of_site(subjects, sites)
    why = model.refusals(new)
    assert [row for row, each in enumerate(why) if each] == sorted([*both, *one[:5]])
    model.transform(new[np.array([not each for each in why])])


@pytest.fixture(scope="module")
def stager(tmp_path_factory):
    """A harmonised model with its whole card, its subjects, and what it says of them."""
    dataset = simulate_cohort(16, stages=("CN", "AD"), sites=Sites(n_sites=2), seed=1)
    subjects, stages = with_measures(Subjects.from_cohort(dataset)), dataset["stage"].values
    model = Harmonised(network(), unseen="as_is", small="location").fit(subjects, stages)
    card = stager_card(dataset, stages, preprocessing={"record": {}})
    folder = save_stager(tmp_path_factory.mktemp("model"), model, card)
    return folder, subjects, model.predict_proba(subjects)


def test_a_stager_states_the_policy_and_does_what_it_says(stager):
    folder, subjects, chances = stager
    found = load_stager(folder)
    assert isinstance(found.estimator, Harmonised)
    np.testing.assert_array_equal(found.estimator.predict_proba(subjects), chances)
    assert found.needs() == ("site", "age", "sex")
    assert "what another site adds is left in" in found.card["limits"][-1]
    assert found.refusals(subjects) == [""] * 16 == found.remarks(subjects)
    new = of_site(subjects, ["Z", *subjects.covariates["site"][1:]])
    assert found.refusals(new) == [""] * 16
    told = found.remarks(new)
    assert told[0].startswith("site Z, unseen in training (functional, morphological, metabolic)")
    assert told[0].endswith("what its site adds is left in")
    assert told[1:] == [""] * 15
    json.dumps(found.card, allow_nan=False)


def test_a_stager_that_does_not_harmonise_needs_nothing(tmp_path, stager):
    _, subjects, _ = stager
    dataset = simulate_cohort(16, stages=("CN", "AD"), sites=Sites(n_sites=2), seed=1)
    card = stager_card(dataset, dataset["stage"].values, preprocessing={"record": {}})
    model = network().fit(subjects, dataset["stage"].values)
    found = load_stager(save_stager(tmp_path, model, card))
    assert isinstance(found.estimator, GraphClassifier)
    assert found.needs() == ()
    assert found.refusals(subjects) == [""] * 16 == found.remarks(subjects)
    assert found.card["limits"] == card["limits"]
