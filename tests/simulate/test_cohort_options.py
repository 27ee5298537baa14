"""Sites, motion, missing modalities and visits of a simulated cohort, as they were asked for."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainnet.cohort import load, save
from brainnet.simulate.cohort import Design, Effects, Missing, Sites, parcellation, simulate_cohort
from brainnet.simulate.disease import severity
from brainnet.simulate.people import simulate_people
from brainnet.simulate.scanners import simulate_scanners

N_REGIONS = 24
NULL = Effects.none()
SITES, DESIGN = Sites(), Design()
RANK = {"CN": 0, "EMCI": 1, "LMCI": 2, "AD": 3}


def _cohort(n_subjects: int = 160, **options: object) -> xr.Dataset:
    return simulate_cohort(n_subjects, atlas=parcellation(N_REGIONS), **options)  # type: ignore[arg-type]


def _people(sites: Sites = SITES, design: Design = DESIGN) -> pd.DataFrame:
    """Many subjects without their networks."""
    return simulate_people(4000, tuple(RANK), design, sites, np.random.default_rng(0))


def _score(cohort: xr.Dataset, target: str) -> float:
    """Balanced accuracy of a linear model on all edges."""
    upper = np.triu_indices(N_REGIONS, 1)
    features = cohort.edges.values[..., upper[0], upper[1]].reshape(cohort.sizes["subject"], -1)
    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1000.0))
    scores = cross_val_score(
        model, np.nan_to_num(features), cohort[target].values, scoring="balanced_accuracy", cv=4
    )
    return float(scores.mean())


# sites and motion


@pytest.mark.parametrize("confounded", [0.0, 0.5, 1.0])
def test_site_follows_the_stage_in_the_share_asked_for(confounded: float) -> None:
    people = _people(Sites(n_sites=4, confounded=confounded))
    bound = people["stage"].map(dict(zip(RANK, "ABCD", strict=True)))
    own = (people["site"] == bound).mean()
    assert own == pytest.approx(confounded + (1 - confounded) / 4, abs=0.025)
    assert set(people["site"]) == set("ABCD")


def test_sites_are_seen_in_every_modality_as_strongly_as_asked() -> None:
    for strength, low, high in ((0.0, 0.2, 0.46), (2.0, 0.6, 1.0)):
        cohort = _cohort(sites=Sites(n_sites=3, strength=strength), effects=NULL)
        for modality in cohort.modality.values:
            one = cohort.isel(modality=cohort.modality.values == modality)
            assert low < _score(one, "site") <= high, (strength, modality)


def test_sites_change_location_and_scale() -> None:
    sites = Sites(n_sites=2, strength=3.0)
    cohort = _cohort(600, sites=sites, effects=NULL, design=Design(ageing=0.0))
    drawn = simulate_scanners(parcellation(N_REGIONS), sites, np.random.default_rng([0, 7, 2]))
    by_site = cohort["values"].sel(modality="metabolic").groupby("site")
    mean, spread = by_site.mean(), by_site.std()
    shift = drawn.shift[1]
    found = mean.sel(site="A") / mean.sel(site="B")
    np.testing.assert_allclose(found, (1 + shift[0]) / (1 + shift[1]), atol=0.05)
    scale = float(np.log(drawn.scale[1, 0] / drawn.scale[1, 1]))
    assert abs(scale) > 0.3
    ratio = np.log(spread.sel(site="A") / spread.sel(site="B"))
    assert float(ratio.mean()) == pytest.approx(scale, abs=0.06)


def test_a_confounded_site_makes_a_null_cohort_look_staged() -> None:
    fair = _cohort(effects=NULL, sites=Sites(n_sites=4))
    unfair = _cohort(effects=NULL, sites=Sites(n_sites=4, confounded=1.0))
    assert _score(fair, "stage") < 0.36
    assert _score(unfair, "stage") > 0.6


def test_motion_raises_short_and_lowers_long_edges() -> None:
    still = _cohort(400, effects=NULL, sites=Sites(motion=0.0, strength=0.0))
    moved = _cohort(400, effects=NULL, sites=Sites(motion=1.0, strength=0.0))
    np.testing.assert_array_equal(still.motion, moved.motion)
    assert 0.1 < float(moved.motion.median()) < 0.3
    change = (moved.edges - still.edges).sel(modality="functional")
    upper = np.triu_indices(N_REGIONS, 1)
    moving = moved.motion.values > 0.25
    edge = np.nanmean(change.values[moving], axis=0)[upper]
    places = np.stack([moved.x, moved.y, moved.z], axis=1)
    distance = np.linalg.norm(places[:, None] - places, axis=-1)[upper]
    assert edge[distance < 40].mean() > 0.02
    assert edge[distance > 100].mean() < -0.004
    assert np.corrcoef(distance, edge)[0, 1] < -0.2
    quiet = np.nanmean(change.values[moved.motion.values < 0.15], axis=0)[upper]
    assert np.abs(quiet).mean() < 0.7 * np.abs(edge).mean()


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.8])
def test_motion_goes_with_the_stage_as_asked(correlation: float) -> None:
    people = _people(Sites(motion_confounded=correlation))
    found = np.corrcoef(np.log(people["motion"]), people["stage"].map(severity))[0, 1]
    assert found == pytest.approx(correlation * 0.868, abs=0.05)  # visits add to the spread


def test_age_and_sex_are_balanced_unless_asked() -> None:
    ages = _people().groupby("stage")["age"].mean()
    assert ages.max() - ages.min() < 1.0
    older = _people(design=Design(age_gap=6.0)).groupby("stage")["age"].mean()
    assert older["AD"] - older["CN"] == pytest.approx(6.0, abs=0.8)
    size = _people().groupby("sex")["icv"].mean()
    assert size["M"] > size["F"] + 100


def test_ageing_looks_a_little_like_the_disease_in_every_modality() -> None:
    quiet = Sites(strength=0.0, motion=0.0)
    design = Design(age_spread=12.0)
    cohort = _cohort(400, effects=NULL, sites=quiet, design=design)
    flat = _cohort(400, effects=NULL, sites=quiet, design=Design(age_spread=12.0, ageing=0.0))
    years = cohort.age.values - 72.0
    default = cohort.system.values == "default"
    for modality in ("morphological", "metabolic"):
        relative = (cohort["values"] / flat["values"]).sel(modality=modality).values[:, default]
        assert np.corrcoef(years, relative.mean(axis=1))[0, 1] < -0.9
    change = (cohort.edges - flat.edges).sel(modality="functional").values
    within = change[:, default][:, :, default].mean(axis=(1, 2))
    measured = np.isfinite(within)
    assert np.corrcoef(years[measured], within[measured])[0, 1] < -0.5


# what is missing


def _absent(cohort: xr.Dataset) -> np.ndarray:
    return np.asarray(cohort.edges.isnull().all(["region", "region_to"]))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_shares_of_missing_modalities_are_exact_and_nobody_lacks_all(share: float) -> None:
    cohort = _cohort(effects=NULL, missing=Missing(share))
    absent = _absent(cohort)
    np.testing.assert_array_equal(absent.mean(axis=0), share)
    assert not absent.all(axis=1).any()
    for name in ("values", "coverage"):
        gone = cohort[name].isnull().all("region").values
        np.testing.assert_array_equal(gone[:, 1:], absent[:, 1:])
    whole = _cohort(effects=NULL)
    kept = ~absent[:, 1]
    np.testing.assert_array_equal(cohort.edges.values[kept, 1], whole.edges.values[kept, 1])


def test_one_modality_may_be_rare() -> None:
    absent = _absent(_cohort(missing=Missing({"metabolic": 0.9, "functional": 0.5})))
    np.testing.assert_array_equal(absent.sum(axis=0), [80, 0, 144])


@pytest.mark.parametrize("by", ["stage", "site"])
def test_what_is_missing_goes_with_the_stage_or_the_site(by: str) -> None:
    cohort = _cohort(400, missing=Missing(0.25, by=by), sites=Sites(n_sites=3))  # type: ignore[arg-type]
    absent = pd.DataFrame(_absent(cohort)).groupby(cohort[by].values).mean().mean(axis=1)
    order = ["CN", "EMCI", "LMCI", "AD"] if by == "stage" else ["A", "B", "C"]
    np.testing.assert_allclose(absent[order], np.linspace(0, 0.5, len(order)), atol=0.01)


def test_signal_is_lost_in_the_share_asked_for() -> None:
    cohort = _cohort(400, missing=Missing(signal_loss=0.5))
    lost = (cohort.coverage.sel(modality="functional") < 0.5).any("region").values
    assert lost.mean() == pytest.approx(0.5, abs=0.08)
    assert _cohort(40, missing=Missing(signal_loss=0.0)).edges.notnull().all()


def test_shares_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="share must leave every subject a modality"):
        _cohort(missing=Missing(0.8))
    with pytest.raises(ValueError, match=r"share must name modalities of functional, .*; got PET"):
        _cohort(missing=Missing({"PET": 0.1}))
    with pytest.raises(ValueError, match="share of metabolic must be within 0 to 1; got 3"):
        Missing({"metabolic": 3})
    with pytest.raises(ValueError, match="by must be None, 'stage' or 'site'; got 'age'"):
        Missing(0.1, by="age")  # type: ignore[arg-type]


# visits and conversion


@pytest.fixture(scope="module")
def visits() -> xr.Dataset:
    return _cohort(200, design=Design(n_visits=3, interval=1.5, follow_up=6.0))


def test_visits_are_rows_of_one_participant(visits: xr.Dataset) -> None:
    assert visits.sizes["subject"] == 600
    assert len(set(visits.participant_id.values)) == 200
    assert visits.subject.values[:3].tolist() == ["001_ses-1", "001_ses-2", "001_ses-3"]
    assert visits.session.values[:3].tolist() == ["1", "2", "3"]
    assert visits.years.values[:3].tolist() == [0.0, 1.5, 3.0]
    np.testing.assert_array_equal(visits.sex.values[::3], visits.sex.values[2::3])
    np.testing.assert_array_equal(visits.site.values[::3], visits.site.values[2::3])
    assert len(set(visits.motion.values[:3])) == 3


def test_severity_and_damage_grow_at_every_visit(visits: xr.Dataset) -> None:
    severity = visits.true_severity.values.reshape(200, 3)
    assert (np.diff(severity, axis=1)[severity[:, 2] < 1.4] > 0).all()
    damage = visits.true_damage.values.sum(axis=(1, 2)).reshape(200, 3)
    assert (np.diff(damage, axis=1) >= -1e-12).all()
    assert (visits.true_slope > 0).all()


def test_visits_of_one_subject_are_more_alike_than_subjects() -> None:
    quiet = Sites(strength=0.0, motion=0.0)
    cohort = _cohort(effects=NULL, sites=quiet, design=Design(n_visits=2, ageing=0.0))
    for modality in ("morphological", "metabolic"):
        sizes = cohort["values"].sel(modality=modality).values
        if modality == "morphological":
            sizes = sizes / cohort.icv.values[:, np.newaxis]
        one, two = (sizes - sizes.mean(axis=0)).reshape(160, 2, -1).swapaxes(0, 1)
        assert np.corrcoef((one / sizes.mean(axis=0)).ravel(), two.ravel())[0, 1] > 0.6
    function = cohort.edges.sel(modality="functional").values.reshape(160, 2, -1)
    deviation = np.nan_to_num(function - np.nanmean(function, axis=(0, 1)))
    same = np.corrcoef(deviation[:, 0].ravel(), deviation[:, 1].ravel())[0, 1]
    other = np.corrcoef(deviation[:-1, 0].ravel(), deviation[1:, 1].ravel())[0, 1]
    assert same > 0.08 > 0.03 > abs(other)


def test_conversion_is_that_of_the_planted_severity(visits: xr.Dataset) -> None:
    first = visits.isel(subject=slice(None, None, 3))
    impaired = np.isin(first.stage.values, ["EMCI", "LMCI"])
    converted, years = first.converted.values, first.conversion_years.values
    assert np.isfinite(converted[impaired]).all()
    assert np.isnan(converted[~impaired]).all()
    assert np.isnan(years[~impaired]).all()
    assert 0.1 < converted[impaired].mean() < 0.9
    at_end = first.true_severity + first.true_slope * first.conversion_years
    severe = at_end.values[impaired]
    event = converted[impaired] == 1
    soon = years[impaired] <= 0.25
    np.testing.assert_allclose(severe[event & ~soon], 0.9, atol=0.2)  # four times the reserve
    assert abs(severe[event & ~soon].mean() - 0.9) < 0.03
    assert severe[~event].max() < 0.9 + 0.2
    assert (years[impaired] >= 0.25).all()
    assert years[impaired].max() <= 6.0
    last = visits.years.values.max()
    assert (years[impaired & (converted == 0)] >= last).all()
    late, early = (first.stage.values == name for name in ("LMCI", "EMCI"))
    assert converted[late].mean() > converted[early].mean() + 0.2


def test_the_diagnosis_at_a_visit_agrees_with_the_conversion(visits: xr.Dataset) -> None:
    reached = (visits.converted == 1) & (visits.conversion_years <= visits.years)
    first = np.repeat(visits.stage.values[::3], 3)
    np.testing.assert_array_equal(visits.stage.values, np.where(reached, "AD", first))
    assert reached.values.reshape(200, 3)[:, 2].sum() > 5


def test_one_visit_has_a_follow_up_too() -> None:
    cohort = _cohort(design=Design(follow_up=4.0))
    years = cohort.conversion_years.values[np.isin(cohort.stage.values, ["EMCI", "LMCI"])]
    assert years.max() <= 4.0
    assert cohort.subject.values[0] == "001"
    assert (cohort.years == 0).all()


def test_a_cohort_of_visits_is_saved_and_read_back(visits: xr.Dataset, tmp_path: object) -> None:
    few = visits.isel(subject=slice(0, 6))
    again = load(save(few, tmp_path / "cohort.nc"))  # type: ignore[operator]
    for name in ("planted", "true_damage", "converted", "stage", "years"):
        np.testing.assert_array_equal(again[name].values, few[name].values)


def test_same_seed_same_visits_and_impossible_designs_are_refused() -> None:
    design = Design(n_visits=2)
    one, two = (_cohort(8, design=design, seed=3) for _ in range(2))
    xr.testing.assert_identical(one, two)
    with pytest.raises(ValueError, match="n_visits must be within 1 to 50; got 0"):
        Design(n_visits=0)
    with pytest.raises(ValueError, match=r"n_visits must be a whole number; got 1\.5"):
        Design(n_visits=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_sites must be within 1 to 26; got 0"):
        Sites(n_sites=0)
