"""What is planted in a simulated cohort stands where the truth says, and nowhere else."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainnet.atlas import Atlas
from brainnet.cohort.subjects import COVARIATES, Subjects
from brainnet.modalities import MODALITIES
from brainnet.models.linear import edge_logistic
from brainnet.simulate.cohort import Effects, Sites, parcellation, simulate_cohort
from brainnet.simulate.damage import DAMAGE, PLANTED_IN, planted_regions, region_damage
from brainnet.simulate.disease import regional
from brainnet.simulate.function import functional_covariance
from brainnet.simulate.scanners import simulate_scanners
from brainnet.simulate.tissue import similarity_networks

SMALL = 40
ALIKE = Effects(heterogeneity=0.0)


def _person(severity: float) -> pd.DataFrame:
    """A subject without any trait but its severity."""
    row = {
        "person": 0, "age": 72.0, "site_number": 0, "nuisance_motion": 0.0, "ageing": 0.0,
        "true_severity": severity, "limbic": 0.0, "sparing": 0.0,
    }  # fmt: skip
    return pd.DataFrame([row])


def _generating(atlas: Atlas, effects: Effects, severity: float) -> dict[str, np.ndarray]:
    """The networks that a subject's are drawn around."""
    table = planted_regions(atlas)
    people = _person(severity)
    damage = region_damage(table, people, effects, np.random.default_rng(0))
    still = simulate_scanners(atlas, Sites(n_sites=1, strength=0), np.random.default_rng(0))
    own = (np.ones((1, atlas.n_regions)), np.zeros(1))
    covariance = functional_covariance(atlas, table, people, damage, still, own)[0]
    scale = np.sqrt(np.diag(covariance))
    return {
        "functional": covariance / np.outer(scale, scale),
        "morphological": similarity_networks(1 - damage["atrophy"], np.ones(1))[0],
        "metabolic": similarity_networks(1 - damage["hypometabolism"], np.ones(1))[0],
    }


@pytest.mark.parametrize("n_regions", [84, 200])
@pytest.mark.parametrize("modality", MODALITIES)
def test_the_generating_difference_ranks_planted_regions_first(
    modality: str, n_regions: int
) -> None:
    atlas = parcellation(n_regions)
    healthy, ill = (_generating(atlas, ALIKE, each)[modality] for each in (0.0, 1.0))
    planted = (planted_regions(atlas)[list(PLANTED_IN[modality])] > 0).any(axis=1).to_numpy()
    assert 0.15 <= planted.mean() <= 0.30
    strength = (healthy - ill).sum(axis=0)
    assert roc_auc_score(planted, strength) == 1.0
    untouched = (ill - healthy)[np.ix_(~planted, ~planted)]
    np.testing.assert_allclose(untouched, 0.0, atol=1e-12)


@pytest.mark.parametrize("kind", DAMAGE)
def test_each_effect_alone_changes_its_own_regions_only(kind: str) -> None:
    atlas = parcellation(SMALL)
    none = Effects.none()
    size = {"hub": "hub_loss"}.get(kind, kind)
    only = replace(none, **{size: 0.5}, heterogeneity=0.0)
    planted = planted_regions(atlas)[kind].to_numpy() > 0
    assert 0 < planted.sum() < SMALL / 2
    before, after = _generating(atlas, none, 1.0), _generating(atlas, only, 1.0)
    for modality in MODALITIES:
        change = np.abs(after[modality] - before[modality])
        if kind in PLANTED_IN[modality]:
            np.testing.assert_allclose(change[np.ix_(~planted, ~planted)], 0.0, atol=1e-12)
            assert roc_auc_score(planted, change.sum(axis=0)) == 1.0
        else:
            np.testing.assert_array_equal(change, 0.0)
    truth = simulate_cohort(4, atlas=atlas, effects=only)
    for other in DAMAGE:
        want = planted if other == kind else np.zeros(SMALL)
        np.testing.assert_array_equal(truth[f"planted_{other}"].values, want)


@pytest.fixture(scope="module")
def pair() -> tuple[xr.Dataset, xr.Dataset]:
    """The same people ill and well: the draws do not hang on the effects."""
    atlas = parcellation(SMALL)
    return simulate_cohort(40, atlas=atlas), simulate_cohort(
        40, atlas=atlas, effects=Effects.none()
    )


def test_values_fall_by_the_true_damage_and_only_there(
    pair: tuple[xr.Dataset, xr.Dataset],
) -> None:
    ill, well = pair
    for modality in ("morphological", "metabolic"):
        lost = 1 - ill["values"].sel(modality=modality) / well["values"].sel(modality=modality)
        truth = ill.true_damage.sel(modality=modality)
        np.testing.assert_allclose(lost, truth, atol=1e-9)
        planted = ill.planted.sel(modality=modality).values.astype(bool)
        assert (truth.values[:, ~planted] == 0).all()
        patients = ill.stage.values == "AD"
        assert (truth.values[np.ix_(patients, planted)] > 0).all()


def test_similarity_networks_change_at_planted_regions_only(
    pair: tuple[xr.Dataset, xr.Dataset],
) -> None:
    ill, well = pair
    for modality in ("morphological", "metabolic"):
        change = (ill.edges - well.edges).sel(modality=modality).values
        planted = ill.planted.sel(modality=modality).values.astype(bool)
        assert (change[:, ~planted][:, :, ~planted] == 0).all()
        assert (change[:, planted][:, :, ~planted] != 0).any()


def test_planted_is_the_union_and_nothing_is_where_nothing_was_planted(
    pair: tuple[xr.Dataset, xr.Dataset],
) -> None:
    ill, well = pair
    union = (ill.planted_hub | ill.planted_disconnection).values
    np.testing.assert_array_equal(ill.planted.sel(modality="functional").values, union)
    assert ill.attrs["effects"] == str(Effects.moderate())
    assert not well.planted.values.any()
    assert not well.true_damage.values.any()
    assert not well.damaged_hub.values.any()
    assert well.attrs["damaged_hubs"] == ""
    np.testing.assert_array_equal(ill.participant_id, well.participant_id)
    np.testing.assert_array_equal(ill.true_severity, well.true_severity)


def _score(cohort: xr.Dataset, target: str = "stage") -> float:
    """Balanced accuracy of a linear model on all edges."""
    upper = np.triu_indices(cohort.sizes["region"], 1)
    features = cohort.edges.values[..., upper[0], upper[1]].reshape(cohort.sizes["subject"], -1)
    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1000.0))
    scores = cross_val_score(
        model, np.nan_to_num(features), cohort[target].values, scoring="balanced_accuracy", cv=4
    )
    return float(scores.mean())


def test_levels_are_ordered_and_null_is_at_chance() -> None:
    atlas = parcellation(24)
    levels = [Effects.none(), Effects.weak(), Effects.moderate(), Effects.strong()]
    scores = np.array(
        [
            [_score(simulate_cohort(160, atlas=atlas, effects=each, seed=seed)) for each in levels]
            for seed in range(4)
        ]
    ).mean(axis=0)
    assert abs(scores[0] - 0.25) < 0.05  # four cohorts of 160: standard error about 0.018
    assert (np.diff(scores) > 0.03).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "effects, low, high", [(Effects.moderate(), 0.62, 0.68), (Effects.none(), 0.20, 0.30)]
)
def test_the_linear_baseline_scores_what_the_level_says(
    effects: Effects, low: float, high: float
) -> None:
    scores = []
    for seed in range(100, 105):
        cohort = simulate_cohort(400, effects=effects, seed=seed)
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        stage = cohort.stage.values
        found = cross_val_score(
            edge_logistic(), cohort.edges.values, stage, scoring="balanced_accuracy", cv=folds
        )
        scores.append(found.mean())
    assert low <= np.mean(scores) <= high


def test_severity_alone_does_not_decide_who_is_hit_where() -> None:
    cohort = simulate_cohort(200, stages=("AD",), atlas=parcellation(SMALL))
    assert set(cohort.true_subtype.values) == {"typical", "limbic", "sparing"}
    damage = cohort.true_damage.sel(modality="morphological")
    limbic = ((cohort.system == "limbic") & (cohort.planted_atrophy == 1)).values
    other = ((cohort.system != "limbic") & (cohort.planted_atrophy == 1)).values
    ratio = damage.values[:, limbic].mean(axis=1) / damage.values[:, other].mean(axis=1)
    kinds = pd.Series(ratio).groupby(cohort.true_subtype.values).median()
    assert kinds["limbic"] > 1.3 * kinds["typical"] > 1.3 * 1.3 * kinds["sparing"]
    alike = simulate_cohort(
        200, stages=("AD",), atlas=parcellation(SMALL), effects=Effects(heterogeneity=0.0)
    ).true_damage.sel(modality="morphological")
    share = alike.values[:, limbic | other] / alike.values[:, limbic | other].sum(axis=1)[:, None]
    np.testing.assert_allclose(share, share[:1].repeat(200, axis=0), rtol=1e-9)


def test_models_take_the_cohort_with_its_covariates() -> None:
    cohort = simulate_cohort(8, atlas=parcellation(20))
    subjects = Subjects.from_cohort(cohort)
    assert tuple(subjects.covariates) == COVARIATES
    assert not subjects.covariates.isna().any(axis=None)
    assert subjects.participants[0] == "001"


def test_sizes_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"hub_loss must be within 0 to 1; got 1\.2"):
        Effects(hub_loss=1.2)
    assert Effects.moderate().scaled(9).hub_loss == 1.0


def test_parts_have_the_disease_of_their_region_and_regions_their_partner() -> None:
    whole, parts = regional(parcellation(84)), parcellation(131)
    table = regional(parts)
    names = dict(zip(parcellation(84).names, whole.to_dict("records"), strict=True))
    for name, row in zip(parts.names, table.to_dict("records"), strict=True):
        assert row == names[name.split("_")[0]]
    labels = np.unique(np.asanyarray(parts.labels_img.dataobj))
    np.testing.assert_array_equal(labels, [0, *parts.indices])
    assert (parts.regions["hemisphere"] == "L").sum() == 66
    assert len(set(parts.names)) == 131
    assert parcellation(131) is parts


@pytest.mark.parametrize("n_regions", [8, 9, 30, 83])
def test_fewer_regions_keep_some_that_are_damaged(n_regions: int) -> None:
    atlas = parcellation(n_regions)
    assert atlas.n_regions == n_regions
    share = (planted_regions(atlas)[list(DAMAGE)] > 0).any(axis=1).mean()
    assert 0.2 <= share <= 0.5


def test_too_few_regions_are_refused() -> None:
    with pytest.raises(ValueError, match="n_regions must be within 8 to 1000; got 4"):
        parcellation(4)
