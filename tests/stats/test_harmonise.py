"""ComBat: against neuroCombat and combatlearn, closed forms, and what was planted."""

import pickle
import time
import warnings

import combatlearn
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from brainnet.stats.design import Design
from brainnet.stats.harmonise import ComBat


def planted(n_subjects=240, n_columns=40, *, n_sites=3, seed=0, shift=1.5, spread=(1.0, 1.6, 0.6)):
    """Columns with an effect of age, and of sites that differ in age; returns the truth too."""
    rng = np.random.default_rng(seed)
    place = np.arange(n_subjects) % n_sites
    sites = np.array(list("ABCDEFGH"))[place]
    age = 70 + 5 * rng.standard_normal(n_subjects) + 3 * place
    sex = rng.choice(["F", "M"], n_subjects)
    slope = 0.1 + 0.02 * rng.standard_normal(n_columns)
    noise = rng.standard_normal((n_subjects, n_columns))
    clean = (age - 70)[:, np.newaxis] * slope + 0.5 * (sex == "M")[:, np.newaxis] + noise
    offset = (
        shift * (place[:, np.newaxis] - 1) + 0.2 * rng.standard_normal((n_sites, n_columns))[place]
    )
    table = clean + noise * (np.array(spread)[place % 3] - 1)[:, np.newaxis] + offset
    return table, sites, pd.DataFrame({"age": age, "sex": sex}), clean, slope


def test_values_of_neurocombat():
    """Pinned from neuroCombat 0.2.12 (categorical sex, continuous age); it stops at 1e-4."""
    rows, columns = np.arange(14)[:, np.newaxis], np.arange(4)
    sites = np.array(list("AABBBCCCCAABBC"))
    people = pd.DataFrame({"age": 60.0 + (rows[:, 0] * 7) % 11, "sex": list("FMFMMFFMMFMFFM")})
    table = np.sin(1.7 * rows + columns**2) + 0.05 * people[["age"]].to_numpy() * (columns - 1)
    table += (sites == "B")[:, np.newaxis] * (2 + columns)
    table -= (sites == "C")[:, np.newaxis] * np.cos(3 * rows)
    pinned = np.array([
        [-2.089388,  1.970253, 3.619542, 8.033321], [-1.571957, 1.553661, 4.174244, 7.480782],
        [-2.805475, -0.178860, 5.711931, 7.856971], [-3.823835, 0.566603, 5.502576, 9.712567],
        [-2.220037,  1.732960, 4.029538, 8.232434], [-0.846889, 1.882213, 4.897344, 7.691784],
        [-3.616547, -0.142731, 5.050430, 8.269860], [-2.372576, 2.035870, 4.757464, 9.368428],
        [-1.726537,  1.797951, 3.101792, 7.042235], [-2.157832, 0.605270, 5.162699, 7.751589],
        [-3.202831,  0.480513, 5.288962, 8.775063], [-2.548362, 1.497479, 4.047677, 8.260164],
        [-1.769373,  1.291529, 4.393012, 7.525695], [-2.498884, 0.439650, 4.793390, 7.566388],
    ])  # fmt: skip
    np.testing.assert_allclose(ComBat().fit_transform(table, sites, people), pinned, atol=1e-5)


def _other(table, sites, people, **options):
    given = {
        "batch": sites,
        "discrete_covariates": people[["sex"]],
        "continuous_covariates": people[["age"]],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a single feature
        model = combatlearn.ComBat(**given, method="fortin", **options)
        return model.fit_transform(pd.DataFrame(table)).to_numpy()


@pytest.mark.parametrize("column", [0, 1, 2])
def test_values_of_combatlearn_where_there_is_no_prior(column):
    table, sites, people, *_ = planted()
    one = table[:, [column]]
    ours = ComBat().fit_transform(one, sites, people)
    np.testing.assert_allclose(ours, _other(one, sites, people), atol=1e-6)


def test_meets_combatlearn_as_sites_grow():
    """Its prior is over the sites of a column, Johnson's over the columns of a site."""
    apart = []
    for n_subjects in (60, 6000):
        table, sites, people, *_ = planted(n_subjects)
        ours = ComBat().fit_transform(table, sites, people)
        apart.append(np.abs(ours - _other(table, sites, people)).mean())
    assert apart[1] < 0.01 < 0.1 < apart[0]


def test_one_column_has_the_closed_form():
    table, sites, *_ = planted(n_columns=1)
    adjusted = ComBat().fit_transform(table, sites)
    own = [table[sites == site] for site in "ABC"]
    pooled = np.sqrt(sum(((each - each.mean()) ** 2).sum() for each in own) / len(table))
    for site, each in zip("ABC", own, strict=True):
        expected = table.mean() + pooled * (each - each.mean()) / each.std(ddof=1)
        np.testing.assert_allclose(adjusted[sites == site], expected)


def test_location_alone_has_the_closed_form():
    table, sites, *_ = planted(60)
    model = ComBat(adjust="location").fit(table, sites)
    residuals = (
        table
        - np.stack([table[sites == each].mean(axis=0) for each in "ABC"])[
            np.searchsorted(list("ABC"), sites)
        ]
    )
    pooled = residuals.std(axis=0)
    for place, site in enumerate("ABC"):
        raw = (table[sites == site].mean(axis=0) - table.mean(axis=0)) / pooled
        width, count = raw.var(ddof=1), np.sum(sites == site)
        expected = (width * count * raw + raw.mean()) / (width * count + 1)
        np.testing.assert_allclose(model.location_[place], expected)
    assert (model.scale_ == 1).all()


def test_posterior_is_the_fixed_point():
    table, sites, *_ = planted(30)
    model = ComBat().fit(table, sites)
    standard = (table - model.grand_mean_) / model.pooled_std_
    for place, site in enumerate("ABC"):
        own = standard[sites == site]
        raw, spread, n = own.mean(axis=0), own.var(axis=0, ddof=1), len(own)
        shape = 2 + spread.mean() ** 2 / spread.var(ddof=1)
        rate = spread.mean() * (shape - 1)
        location, scale = model.location_[place], model.scale_[place]
        width = raw.var(ddof=1)
        np.testing.assert_allclose(
            location, (n * width * raw + scale * raw.mean()) / (n * width + scale), atol=1e-6
        )
        squares = ((own - location) ** 2).sum(axis=0)
        np.testing.assert_allclose(scale, (squares / 2 + rate) / (n / 2 + shape - 1), atol=1e-6)
        assert location.std() < raw.std()
        assert scale.std() < spread.std()


def test_without_prior_each_column_has_its_closed_form():
    table, sites, *_ = planted(30)
    adjusted = ComBat(prior="none").fit_transform(table, sites)
    for column in (0, 7):
        alone = ComBat().fit_transform(table[:, [column]], sites)
        np.testing.assert_allclose(adjusted[:, [column]], alone)
    for site in "ABC":
        np.testing.assert_allclose(adjusted[sites == site].mean(axis=0), table.mean(axis=0))


def test_planted_site_goes_and_planted_covariate_stays():
    table, sites, people, clean, slope = planted(1200)
    adjusted = ComBat().fit_transform(table, sites, people)
    design = np.column_stack([people["age"], people["sex"] == "M", np.ones(1200)]).astype(float)
    fit, *_ = np.linalg.lstsq(design, adjusted, rcond=None)
    assert np.abs(fit[0] - slope).max() < 0.02
    off = adjusted - design @ fit
    for site in "ABC":
        assert np.abs(off[sites == site].mean(axis=0)).max() < 0.05
        assert off[sites == site].std() == pytest.approx(off.std(), rel=0.02)
    raw = np.stack([table[sites == each].mean(axis=0) for each in "ABC"])
    assert np.ptp(raw, axis=0).min() > 2.5
    assert np.corrcoef(adjusted.ravel(), clean.ravel())[0, 1] > 0.97


def test_covariate_that_is_not_kept_goes_with_the_site():
    table, sites, people, _, slope = planted(1200, spread=(1, 1, 1))
    kept, lost = (
        ComBat().fit_transform(table, sites, each) for each in (people, None)
    )  # fmt: skip
    older = people["age"] - people["age"].mean()
    found = [float(older @ (each.mean(axis=1))) / float(older @ older) for each in (kept, lost)]
    assert found[0] == pytest.approx(slope.mean(), abs=0.01)
    assert found[1] < 0.9 * slope.mean()


def test_what_is_learned_does_not_hang_on_test_rows():
    table, sites, people, *_ = planted()
    train, test = slice(0, 160), slice(160, 240)
    model = ComBat(unseen="as_is").fit(table[train], sites[train], people[train])
    before = {name: np.copy(each) for name, each in vars(model).items() if name.endswith("_")}
    first = model.transform(table[test], sites[test], people[test])
    changed = table[test].copy()
    changed[1:] += 100
    again = model.transform(changed, sites[test], people[test])
    np.testing.assert_array_equal(first[0], again[0])
    for name, each in before.items():
        np.testing.assert_array_equal(each, getattr(model, name))


def test_new_subjects_lose_what_was_learned():
    table, sites, people, *_ = planted(900)
    train, test = slice(0, 600), slice(600, 900)
    adjusted = ComBat().fit(table[train], sites[train], people[train]).transform(
        table[test], sites[test], people[test]
    )  # fmt: skip
    off = adjusted - 0.1 * (people["age"].to_numpy()[test] - 70)[:, np.newaxis]
    means = np.stack([off[sites[test] == each].mean() for each in "ABC"])
    assert np.ptp(means) < 0.15  # 3 before


def test_nan_is_left_out_and_stays():
    table, sites, people, *_ = planted(n_columns=1)
    holes = np.random.default_rng(1).random(len(table)) < 0.3
    broken = table.copy()
    broken[holes] = np.nan
    broken = np.concatenate([broken, broken], axis=1)
    broken[:, 1] = table[:, 0]  # a whole column beside it: the rows are not all missing
    model = ComBat(adjust="location").fit(broken, sites, people)
    alone = ComBat(adjust="location").fit(table[~holes], sites[~holes], people[~holes])
    np.testing.assert_allclose(model.pooled_std_[0], alone.pooled_std_[0])
    shifted = (
        model.grand_mean_[0] + Design().fit(people).transform(people) @ model.coefficients_[:, 0]
    )
    own = (
        alone.grand_mean_[0]
        + Design().fit(people[~holes]).transform(people) @ alone.coefficients_[:, 0]
    )
    np.testing.assert_allclose(shifted, own)
    adjusted = model.transform(broken, sites, people)
    np.testing.assert_array_equal(np.isnan(adjusted), np.isnan(broken))
    assert model.counts_[:, 0].sum() == (~holes).sum()


def test_site_without_values_in_a_column_gives_them_back_as_they_are():
    table, sites, people, *_ = planted()
    broken = table.copy()
    broken[sites == "B", 3] = np.nan
    model = ComBat().fit(broken, sites, people)
    assert model.counts_[1, 3] == 0
    np.testing.assert_allclose(
        model.transform(table, sites, people)[sites == "B", 3], table[sites == "B", 3]
    )


def test_row_of_nan_is_of_no_site():
    table, sites, *_ = planted()
    table[0] = np.nan
    sites = sites.copy()
    sites[0] = "Z"
    model = ComBat().fit(table, sites)
    assert model.sites_.tolist() == ["A", "B", "C"]
    assert np.isnan(model.transform(table, sites)[0]).all()


def test_unseen_site_fails_unless_told_what_to_do():
    table, sites, people, *_ = planted(400)
    old, new = sites != "C", sites == "C"
    parts = table[new], sites[new], people[new]
    model = ComBat().fit(table[old], sites[old], people[old])
    with pytest.raises(ValueError, match=r"sites must be those of training \(A, B\); got C\."):
        model.transform(*parts)
    model.set_params(unseen="as_is")
    np.testing.assert_allclose(model.transform(*parts), table[new])
    model.set_params(unseen="estimate")
    adjusted = model.transform(*parts)
    age = people["age"].to_numpy()[:, np.newaxis]
    known = model.transform(table[old], sites[old], people[old]) - 0.1 * age[old]
    assert np.mean(adjusted - 0.1 * age[new]) == pytest.approx(known.mean(), abs=0.1)
    assert np.mean(table[new] - 0.1 * age[new]) > known.mean() + 1
    assert (adjusted - 0.1 * age[new]).std() == pytest.approx(known.std(), rel=0.1)
    with pytest.raises(ValueError, match="at least 10 rows to estimate its effect"):
        model.transform(*(each[:4] for each in parts))


def test_estimate_uses_the_rows_given_together():
    table, sites, *_ = planted(400)
    old, new = sites != "C", np.flatnonzero(sites == "C")
    model = ComBat(unseen="estimate").fit(table[old], sites[old])
    many, few = (model.transform(table[rows], sites[rows])[0] for rows in (new, new[:12]))
    assert np.abs(many - few).max() > 0.01


def test_site_of_one_subject():
    table, sites, *_ = planted()
    sites = sites.copy()
    sites[0] = "D"
    with pytest.raises(ValueError, match=r"at least two training subjects .*; got one of D"):
        ComBat().fit(table, sites)
    model = ComBat(small="location").fit(table, sites)
    assert (model.scale_[3] == 1).all()
    assert (model.scale_[:3] != 1).all()
    assert np.isfinite(model.transform(table, sites)).all()
    ComBat(adjust="location").fit(table, sites)


def test_single_site_is_left_as_it_is():
    table, _, people, *_ = planted(60)
    sites = ["A"] * 60
    np.testing.assert_allclose(ComBat().fit_transform(table, sites, people), table)


def test_constant_columns_do_no_harm():
    table, sites, people, *_ = planted()
    more = np.column_stack([table, np.full(240, 0.3), np.where(sites == "A", 5.0, 2.0)])
    adjusted = ComBat().fit_transform(more, sites, people)
    np.testing.assert_allclose(adjusted[:, :-2], ComBat().fit_transform(table, sites, people))
    np.testing.assert_allclose(adjusted[:, -2], 0.3)
    np.testing.assert_allclose(adjusted[:, -1], 3.0)


def test_order_of_rows_and_units_of_columns_do_not_matter():
    table, sites, people, *_ = planted(60)
    order = np.random.default_rng(0).permutation(60)
    first = ComBat().fit_transform(table, sites, people)
    second = ComBat().fit_transform(1000 * table[order] + 7, sites[order], people.iloc[order])
    np.testing.assert_allclose(second, 1000 * first[order] + 7, rtol=1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t, s, c: (t[:, 0], s, c), "table must be .n_subjects, n_columns.; got shape"),
        (lambda t, s, c: (np.where(t > 2, np.inf, t), s, c), "infinite value. Clip"),
        (lambda t, s, c: (t * np.nan, s, c), "table must hold a value"),
        (lambda t, s, c: (t, s[:-1], c), "sites must name a site a row, 240; got 239"),
        (lambda t, s, c: (t, [None, *s[1:]], c), "1 are missing. Fill them in"),
        (lambda t, s, c: (t, s, c[:-1]), "covariates must have a row a subject, 240; got 239"),
        (lambda t, s, c: (t, s, c.assign(scanner=s)), "must vary within sites"),
        (lambda t, s, c: (t, s, c.assign(months=12 * c["age"])), "not repeat one another"),
        (lambda t, s, c: (t, s, c.assign(age=np.inf)), "covariate 'age' must be finite"),
    ],
)
def test_wrong_input_is_named(change, message):
    table, sites, people, *_ = planted()
    with pytest.raises(ValueError, match=message):
        ComBat().fit(*change(table, sites, people))


def test_wrong_options_and_other_tables_are_named():
    table, sites, people, *_ = planted()
    for option in ("adjust", "prior", "small", "unseen"):
        with pytest.raises(ValueError, match=f"{option} must be one of .*; got 'maybe'"):
            ComBat(**{option: "maybe"}).fit(table, sites)
    with pytest.raises(ValueError, match="min_unseen must be at least 2"):
        ComBat(min_unseen=1).fit(table, sites)
    model = ComBat().fit(table, sites, people)
    with pytest.raises(ValueError, match="the 40 columns of training; got 39"):
        model.transform(table[:, 1:], sites, people)
    with pytest.raises(ValueError, match="'sex' is missing"):
        model.transform(table, sites, people[["age"]])


def test_clones_pickles_and_numbers_as_sites():
    table, sites, people, *_ = planted(60)
    model = clone(ComBat(unseen="as_is", adjust="location"))
    assert model.get_params()["unseen"] == "as_is"
    first = model.fit_transform(table, sites, people)
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back.transform(table, sites, people), first)
    numbers = np.searchsorted(list("ABC"), sites)
    second = model.fit(table, numbers, people).transform(table, numbers.astype(float), people)
    np.testing.assert_array_equal(second, first)


def test_missing_and_unknown_covariates_are_at_the_mean():
    people = pd.DataFrame({"age": [60.0, 70.0, 80.0, np.nan], "sex": ["F", "M", "M", "n/a"]})
    design = Design().fit(people)
    coded = design.transform(pd.DataFrame({"age": [None, 70.0], "sex": ["X", "F"]}))
    np.testing.assert_allclose(coded[0], 0)
    assert coded[1, 1] < 0
    np.testing.assert_allclose(design.transform(people)[:3].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(design.transform(people)[:3].std(axis=0), 1)
    flags = Design().fit(pd.DataFrame({"smokes": [True, False]}))
    assert [each.level for each in flags.columns_] == ["True"]
    with pytest.raises(ValueError, match="must hold numbers, as in training"):
        design.transform(pd.DataFrame({"age": ["old"], "sex": ["F"]}))


@pytest.mark.slow
def test_sixty_thousand_edges_take_two_seconds():
    table, sites, people, *_ = planted(320, 60_000)
    start = time.process_time()
    ComBat().fit_transform(table, sites, people)
    assert time.process_time() - start < 3  # 0.6 s on a quiet core
