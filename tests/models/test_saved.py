"""Models on disk with their whole card: same predictions, nobody's name, nothing that fits not."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from brainnet.cohort.subjects import Subjects
from brainnet.io import DataError
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.linear import majority
from brainnet.models.saved import (
    cohort_card,
    fingerprints,
    load_card_of,
    load_stager,
    region_hash,
    save_stager,
    stager_card,
)
from brainnet.simulate.cohort import simulate_cohort


@pytest.fixture(scope="module")
def dataset() -> xr.Dataset:
    """Sixteen simulated people, one without PET, one of unknown age."""
    found = simulate_cohort(16, stages=("CN", "AD"), seed=1)
    found["edges"][3, 2] = np.nan
    found["values"][3, 2] = np.nan
    ages = found["age"].values.astype(float)
    ages[5] = np.nan
    return found.assign_coords(age=("subject", ages)).assign_attrs(kinds="pearson, js")


@pytest.fixture(scope="module")
def saved(dataset: xr.Dataset, tmp_path_factory: pytest.TempPathFactory):
    """The folder of a model, and what it predicts before it is saved."""
    subjects, stages = Subjects.from_cohort(dataset), dataset["stage"].values.astype(str)
    model = GraphClassifier(n_epochs=2, n_hidden=4, features=("profile", "coordinates"))
    model.fit(subjects, stages)
    card = stager_card(dataset, stages, preprocessing={"record": {}, "sha256": "00"}, seed=7)
    folder = tmp_path_factory.mktemp("model")
    return save_stager(folder, model, card), subjects, model.predict_proba(subjects)


def test_a_loaded_model_predicts_the_same_bits(saved) -> None:
    folder, subjects, chances = saved
    stager = load_stager(folder)
    np.testing.assert_array_equal(stager.estimator.predict_proba(subjects), chances)
    assert stager.estimator.classes_.tolist() == ["CN", "AD"] == stager.card["stages"]
    assert stager.card["seed"] == 7


def test_the_card_tells_of_the_cohort_and_names_nobody(saved, dataset: xr.Dataset) -> None:
    card = load_card_of(saved[0])
    cohort = card["cohort"]
    assert cohort["n"] == {"AD": 8, "CN": 8}
    assert cohort["measured"] == {"functional": 16, "morphological": 16, "metabolic": 15}
    known = dataset["age"].values[np.isfinite(dataset["age"].values)]
    assert cohort["age"] == [known.min(), known.max()]
    assert sum(cohort["site"].values()) == sum(cohort["sex"].values()) == 16
    assert cohort["simulated"] is True
    assert any("simulated" in each for each in card["limits"])
    assert card["regions"] == dataset["region"].values.tolist()
    assert card["atlas"]["regions_sha256"] == region_hash(card["regions"])
    assert card["kinds"] == ["pearson", "js"]
    assert np.shape(card["coordinates"]) == (84, 3)
    assert "sub-" not in json.dumps(card)


def test_fingerprints_tell_networks_apart_and_know_them_again(dataset: xr.Dataset) -> None:
    edges = dataset["edges"].values
    marks = fingerprints(edges)
    assert marks.shape == (16, 3)
    assert (marks == "").sum() == 1
    assert marks[3, 2] == ""
    assert len(set(marks.ravel())) == 48
    np.testing.assert_array_equal(fingerprints(edges[4:6]), marks[4:6])
    changed = edges[:1].copy()
    changed[0, 0, 1, 2] += 1e-9
    assert (fingerprints(changed) != marks[:1]).tolist() == [[True, False, False]]
    assert set(cohort_card(dataset, dataset["stage"])["networks"]) == set(marks.ravel()) - {""}


def test_an_unknown_place_is_none(dataset: xr.Dataset) -> None:
    lost = dataset.assign_coords(x=("region", np.full(84, np.nan)))
    for each in (lost, dataset.drop_vars("x")):
        card = stager_card(each, each["stage"].values, preprocessing={})
        assert card["coordinates"] is None
        json.dumps(card, allow_nan=False)


def test_what_cannot_be_saved_without_a_pickle_is_refused(
    dataset: xr.Dataset, tmp_path: Path
) -> None:
    stages = dataset["stage"].values.astype(str)
    card = stager_card(dataset, stages, preprocessing={})
    model = majority().fit(Subjects.from_cohort(dataset), stages)
    with pytest.raises(ValueError, match=r"must be a graph network to be saved; got Dummy"):
        save_stager(tmp_path / "model", model, card)
    other = GraphClassifier(n_epochs=1, n_hidden=4).fit(np.ones((4, 1, 3, 3)), ["CN", "AD"] * 2)
    with pytest.raises(ValueError, match="modalities must be 1 names; got 3"):
        save_stager(tmp_path / "model", other, card)
    assert not (tmp_path / "model").exists()


def test_a_card_without_origin_is_no_model_to_apply(tmp_path: Path) -> None:
    model = GraphClassifier(n_epochs=1, n_hidden=4).fit(np.ones((4, 1, 3, 3)), ["CN", "AD"] * 2)
    model.save(tmp_path)
    with pytest.raises(DataError, match="does not say what atlas the model's networks had"):
        load_stager(tmp_path)
    with pytest.raises(DataError, match="is not the folder of a model"):
        load_stager(tmp_path / "nowhere")
