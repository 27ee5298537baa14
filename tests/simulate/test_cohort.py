"""Simulated cohorts: the layout, the planted damage, the overlap of stages."""

import numpy as np
import pytest
import xarray as xr
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainnet.cohort import load, resolve_nan, save
from brainnet.simulate.cohort import simulate_cohort


@pytest.fixture(scope="module")
def cohort() -> xr.Dataset:
    return simulate_cohort()


def test_layout_is_that_of_a_gathered_cohort(cohort: xr.Dataset, tmp_path: object) -> None:
    assert dict(cohort.edges.sizes) == {
        "subject": 200, "modality": 3, "region": 84, "region_to": 84
    }  # fmt: skip
    assert cohort.attrs["simulated"] == 1
    assert cohort.modality.values.tolist() == ["functional", "morphological", "metabolic"]
    path = save(cohort, tmp_path / "cohort.nc")  # type: ignore[operator]
    xr.testing.assert_equal(load(path).edges, cohort.edges)


def test_edges_are_symmetric_with_a_zero_diagonal_and_in_range(cohort: xr.Dataset) -> None:
    edges = cohort.edges.values
    np.testing.assert_array_equal(edges, np.swapaxes(edges, -1, -2))
    diagonal = np.diagonal(edges, axis1=-2, axis2=-1)
    assert np.all(diagonal == 0)
    assert np.nanmin(edges[:, 1:]) >= 0
    assert np.nanmax(np.abs(edges)) <= 1.0


def test_unmeasured_regions_are_nan_and_say_so_in_the_coverage(cohort: xr.Dataset) -> None:
    others = ~np.eye(84, dtype=bool)
    absent = (np.isnan(cohort.edges.values) | ~others).all(axis=-1)
    np.testing.assert_array_equal(absent, cohort.coverage.values < 0.5)
    assert 5 <= absent[:, 0].any(axis=1).sum() <= 40
    assert not absent[:, 1:].any()
    assert resolve_nan(cohort, "drop").sizes["region"] > 60


def test_hubs_named_as_damaged_lose_strength(cohort: xr.Dataset) -> None:
    strength = cohort.edges.sel(modality="functional").sum("region_to").groupby("stage").mean()
    loss = (strength.sel(stage="CN") - strength.sel(stage="AD")).values
    damaged = cohort.damaged_hub.values.astype(bool)
    assert loss[damaged].min() > 2.0
    assert loss[damaged].mean() > 3 * np.abs(loss[~damaged]).mean()
    names = cohort.region.values[damaged].tolist()
    assert cohort.attrs["damaged_hubs"] == ", ".join(names)


def test_values_fall_where_the_disease_is(cohort: xr.Dataset) -> None:
    mean = cohort["values"].groupby("stage").mean()
    ratio = mean.sel(stage="AD") / mean.sel(stage="CN")
    assert ratio.sel(modality="morphological", region="Left-Hippocampus") < 0.85
    assert ratio.sel(modality="metabolic", region="ctx-lh-precuneus") < 0.85
    assert ratio.sel(modality="metabolic", region="ctx-lh-pericalcarine") > 0.95
    assert cohort["values"].sel(modality="functional").isnull().all()


def test_stages_are_told_apart_above_chance_but_not_perfectly(cohort: xr.Dataset) -> None:
    upper = np.triu_indices(84, 1)
    features = cohort.edges.values[..., upper[0], upper[1]].reshape(200, -1)
    model = make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        RidgeClassifier(alpha=1e5),
    )
    stage = cohort.stage.values
    score = cross_val_score(model, features, stage, scoring="balanced_accuracy", cv=4).mean()
    assert 0.5 < score < 0.8
    shuffled = np.random.default_rng(0).permutation(stage)
    chance = cross_val_score(model, features, shuffled, scoring="balanced_accuracy", cv=4).mean()
    assert chance < 0.37


def test_same_seed_same_cohort_and_few_subjects_are_refused() -> None:
    xr.testing.assert_identical(simulate_cohort(8, seed=3), simulate_cohort(8, seed=3))
    assert not simulate_cohort(8, seed=3).edges.equals(simulate_cohort(8, seed=4).edges)
    assert set(simulate_cohort(4, stages=("CN", "AD")).stage.values) == {"CN", "AD"}
    with pytest.raises(ValueError, match="n_subjects must be at least 4, one a stage; got 3"):
        simulate_cohort(3)
    with pytest.raises(ValueError, match="stage must be one of"):
        simulate_cohort(8, stages=("CN", "sick"))
