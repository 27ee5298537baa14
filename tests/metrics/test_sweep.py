import numpy as np
import pandas as pd
import pytest
import xarray as xr

from brainnet.connectome.threshold import absolute, binarize, proportional
from brainnet.metrics import betweenness, clustering, degree, efficiency, modules, nulls, paths
from brainnet.metrics.measures import MEASURES, STANDARD, Measure
from brainnet.metrics.sweep import DENSITIES, Nulls, sweep

CLOSE = {"rtol": 1e-11, "atol": 1e-13}  # sums of a batch may be taken in another order
NAMES = [f"region-{i:02d}" for i in range(24)]


def correlation(seed):
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((80, 3))[:, np.arange(24) % 3]
    found = np.corrcoef((common + rng.standard_normal((80, 24))).T)
    np.fill_diagonal(found, 0)
    return (found + found.T) / 2


@pytest.fixture(scope="module")
def networks():
    """(3 subjects, 2 modalities, 24, 24)."""
    return np.array([[correlation(2 * s + m) for m in range(2)] for s in range(3)])


@pytest.fixture(scope="module")
def labelled(networks):
    return xr.DataArray(
        networks,
        dims=("subject", "modality", "region", "region_to"),
        coords={
            "subject": ["a", "b", "c"],
            "modality": ["functional", "metabolic"],
            "region": NAMES,
            "region_to": NAMES,
        },
    )


@pytest.fixture(scope="module")
def table(labelled):
    return sweep(labelled)


def values(table, measure, level=None, *, subject="a", modality="functional", column="value"):
    rows = table[
        (table["measure"] == measure)
        & (table["subject"] == subject)
        & (table["modality"] == modality)
    ]
    rows = rows[rows["density"].isna() if level is None else rows["density"] == level]
    return rows.set_index(rows["region"].astype(str))[column]


def test_columns_types_and_rows(table):
    assert list(table.columns) == ["subject", "modality", "measure", "density", "region", "value"]
    assert (table.dtypes[["subject", "modality", "measure", "region"]] == "category").all()
    assert not table.duplicated(["subject", "modality", "measure", "density", "region"]).any()
    curves = {m for m in table["measure"].cat.categories if not m.endswith("_auc")}
    assert curves == {*STANDARD, "n_regions_measured", "mean_weight"}
    for name in STANDARD:
        measure = MEASURES[name]
        whole = ["global"] if measure.averaged or not measure.regional else []
        expected = whole + (NAMES if measure.regional else [])
        for density in DENSITIES:
            assert values(table, name, density).index.tolist() == expected
        assert (f"{name}_auc" in set(table["measure"])) == measure.has_area


def test_values_are_those_of_the_measures(networks, table):
    for density in DENSITIES:
        kept = proportional(networks[1, 1], density)
        edges = binarize(kept)
        partition = modules.louvain(kept)
        where = {"subject": "b", "modality": "metabolic"}
        for name, expected in {
            "degree": degree.degree(edges),
            "strength": degree.strength(kept),
            "clustering_weighted": clustering.clustering_weighted(kept),
            "local_efficiency_binary": efficiency.local_efficiency_binary(edges),
            "betweenness_weighted": betweenness.betweenness_weighted(kept),
            "module": partition,
        }.items():
            found = values(table, name, density, **where)
            np.testing.assert_allclose(found[NAMES], expected, rtol=1e-12)
            if MEASURES[name].averaged:
                assert found["global"] == pytest.approx(expected.mean(), rel=1e-12)
        assert values(table, "global_efficiency_weighted", density, **where)["global"] == (
            pytest.approx(float(efficiency.global_efficiency(kept)), rel=1e-12)
        )
        assert values(table, "modularity", density, **where)["global"] == pytest.approx(
            float(modules.modularity(kept, partition)), rel=1e-12
        )


def test_every_known_measure_can_be_swept(networks):
    table = sweep(networks[:1, :1], list(MEASURES), densities=(0.3, 0.4))
    assert not table["value"].isna().any()


def test_before_thresholding(networks, table):
    assert values(table, "n_regions_measured")["global"] == 24
    mean = networks[0, 0].sum(axis=0) / 23
    np.testing.assert_allclose(values(table, "mean_weight")[NAMES], mean, rtol=1e-12)
    assert values(table, "mean_weight")["global"] == pytest.approx(mean.mean(), rel=1e-12)


def test_area_under_the_curve(table):
    degrees = np.array([values(table, "degree", d)["region-03"] for d in DENSITIES])
    expected = 0.05 * (degrees[1:] + degrees[:-1]).sum() / 2
    assert values(table, "degree_auc")["region-03"] == pytest.approx(expected, rel=1e-12)
    reached = [values(table, "density", d)["global"] for d in DENSITIES]
    np.testing.assert_allclose(reached, DENSITIES, atol=0.5 / 276)


def test_one_level_has_no_area(networks):
    table = sweep(networks, ["degree"], densities=(0.2,))
    assert set(table["measure"]) == {"n_regions_measured", "mean_weight", "degree"}


def test_thresholds_keep_weights_of_at_least_that(networks):
    table = sweep(networks[:, 0], ["strength", "degree"], thresholds=(0.0, 0.3))
    assert "threshold" in table
    assert "density" not in table
    for level in (0.0, 0.3):
        kept = np.where(networks[1, 0] >= level, networks[1, 0], 0)
        rows = table[(table["subject"] == "1") & (table["threshold"] == level)]
        found = rows[(rows["measure"] == "strength") & (rows["region"] != "global")]["value"]
        np.testing.assert_allclose(found, kept.sum(axis=0), rtol=1e-12)
        edges = rows[(rows["measure"] == "degree") & (rows["region"] != "global")]["value"]
        np.testing.assert_array_equal(edges, (kept > 0).sum(axis=0))
    np.testing.assert_array_equal(absolute(networks[1, 0], 0.3), kept)


def test_rows_of_a_network_do_not_depend_on_the_others(labelled, table):
    many = sweep([("a", labelled[0])], nulls=Nulls(n=3))
    mine = table[table["subject"] == "a"].reset_index(drop=True)
    np.testing.assert_allclose(many["value"], mine["value"], **CLOSE)
    assert many["measure"].astype(str).equals(mine["measure"].astype(str))
    all_nulls = sweep(labelled, nulls=Nulls(n=3))
    np.testing.assert_array_equal(
        all_nulls.loc[all_nulls["subject"] == "a", "null_mean"], many["null_mean"]
    )


def test_an_iterable_is_streamed(networks, table, monkeypatch):
    alive = []

    def subjects():
        for i in range(3):
            alive.append(i)
            yield "abc"[i], networks[i]

    monkeypatch.setattr("brainnet.metrics._subjects.CHUNK_BYTES", 1)  # one subject at a time
    streamed = sweep(subjects(), regions=NAMES)
    assert alive == [0, 1, 2]
    np.testing.assert_allclose(streamed["value"], table["value"], **CLOSE)


def test_a_mapping_names_its_subjects(networks, table):
    named = sweep({"abc"[i]: networks[i] for i in range(3)}, regions=NAMES)
    np.testing.assert_allclose(named["value"], table["value"], **CLOSE)
    assert named["subject"].cat.categories.tolist() == ["a", "b", "c"]


def test_nulls_are_those_of_the_model(networks):
    names = ["clustering_binary", "characteristic_path_length_binary", "transitivity_weighted"]
    table = sweep(
        networks[:1], names, densities=(0.2, 0.3), nulls=Nulls(n=5, measures=names), seed=3
    )
    for m in range(2):
        kept = proportional(networks[0, m], 0.3)
        drawn = nulls.rewire(kept, n_nulls=5, rng=np.random.default_rng([3, 1]))
        for name, samples in {
            "clustering_binary": clustering.clustering_binary(drawn > 0).mean(axis=-1),
            "characteristic_path_length_binary": paths.characteristic_path_length_binary(drawn > 0),
            "transitivity_weighted": clustering.transitivity_weighted(drawn),
        }.items():
            row = table[
                (table["measure"] == name)
                & (table["density"] == 0.3)
                & (table["region"] == "global")
                & (table["modality"] == str(m))
            ].iloc[0]
            assert row["null_mean"] == pytest.approx(samples.mean(), rel=1e-12)
            assert row["null_std"] == pytest.approx(samples.std(ddof=1), rel=1e-9)
    before = table["measure"].isin(["mean_weight", "n_regions_measured"])
    assert table.loc[before, "null_mean"].isna().all()


def test_a_planted_structure_stands_out_from_its_nulls():
    ring = sum(np.roll(np.eye(60), s, axis=1) for s in (1, 2, 3))
    table = sweep(
        (ring + ring.T)[None], ["clustering_binary"], thresholds=(0.5,),
        nulls=Nulls(n=30, measures=["clustering_binary"]),
    )  # fmt: skip
    row = table[(table["measure"] == "clustering_binary") & (table["region"] == "global")].iloc[0]
    assert row["value"] == pytest.approx(0.6)  # 3 (k - 2) / (4 (k - 1)), k = 6
    assert row["null_mean"] == pytest.approx(5 / 60, abs=0.05)
    assert (row["value"] - row["null_mean"]) / row["null_std"] > 10


def test_own_measure(networks):
    own = {"heaviest": Measure(lambda at: at.weights.max(axis=-1), regional=True)}
    table = sweep(networks[:, 0], own, densities=(0.1, 0.2))
    assert set(table["measure"]) == {
        "n_regions_measured", "mean_weight", "heaviest", "heaviest_auc",
    }  # fmt: skip


def holed(networks):
    """Subject 1 lacks regions 0 and 11 in its first modality, and all of its second."""
    result = networks.copy()
    for region in (0, 11):
        result[1, 0, region] = result[1, 0, :, region] = np.nan
    result[1, 1] = np.nan
    return result


def test_unmeasured_regions_fail_by_default(networks):
    with pytest.raises(ValueError, match=r"Subject 1: networks must not hold NaN.*Choose"):
        sweep(holed(networks))


def test_unmeasured_regions_left_out(networks):
    with pytest.warns(UserWarning, match="Subject 1 has 1 networks with fewer than 3"):
        table = sweep(holed(networks), unmeasured="leave_out", nulls=Nulls(n=2))
    inside = np.setdiff1d(np.arange(24), [0, 11])
    alone = sweep(
        networks[1:2, :1][..., inside[:, None], inside],
        regions=[str(i) for i in inside],
        nulls=Nulls(n=2),
    )
    rows = table[(table["subject"] == "1") & (table["modality"] == "0")]
    absent = rows["region"].isin(["0", "11"])
    assert rows.loc[absent, "value"].isna().all()
    np.testing.assert_allclose(rows.loc[~absent, "value"], alone["value"], **CLOSE)
    np.testing.assert_array_equal(rows.loc[~absent, "null_mean"], alone["null_mean"])
    empty = table[(table["subject"] == "1") & (table["modality"] == "1")]
    counted = empty["measure"] == "n_regions_measured"
    assert empty.loc[counted, "value"].tolist() == [0]
    assert empty.loc[~counted, "value"].isna().all()
    others = table[table["subject"] != "1"].reset_index(drop=True)
    whole = sweep(networks[[0, 2]], nulls=Nulls(n=2))
    np.testing.assert_allclose(others["value"], whole["value"], **CLOSE)


def test_unmeasured_regions_dropped_everywhere(networks):
    some = holed(networks)[:, :1]
    table = sweep(some, unmeasured="drop", regions=NAMES)
    inside = np.setdiff1d(np.arange(24), [0, 11])
    expected = sweep(networks[:, :1][..., inside[:, None], inside])
    np.testing.assert_allclose(table["value"], expected["value"], **CLOSE)
    assert table["region"].cat.categories.tolist() == ["global", *[NAMES[i] for i in inside]]


def test_few_positive_edges_warn_and_report_the_density_reached(networks):
    scarce = np.minimum(networks[0, 0], 0)
    scarce[0, 1] = scarce[1, 0] = scarce[1, 2] = scarce[2, 1] = 0.5
    with pytest.warns(UserWarning, match="only 2 are positive"):
        table = sweep(scarce[None], ["density"], densities=(0.1,))
    assert table.loc[table["measure"] == "density", "value"].tolist() == [2 / 276]


def test_a_network_without_positive_edges_is_measured():
    with pytest.warns(UserWarning, match="only 0 are positive"):
        table = sweep(-(np.ones((1, 4, 4)) - np.eye(4)), densities=(0.2, 0.5))
    rows = table[(table["region"] == "global") & (table["density"] == 0.5)].set_index("measure")
    assert rows.loc["global_efficiency_weighted", "value"] == 0
    assert np.isnan(rows.loc["characteristic_path_length_binary", "value"])
    assert np.isnan(rows.loc["modularity", "value"])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"networks": np.zeros((24, 24))}, r"for the first subject. Pass weights\[None\]"),
        ({"networks": []}, "networks"),
        ({"networks": iter([])}, "networks"),
        ({"networks": tuple(np.zeros((3, 2, 4, 4)))}, "pairs of a subject's name"),
        ({"networks": (np.zeros((4, 4)) for _ in range(2))}, "got ndarray. Pass np.stack"),
        ({"networks": [("a", np.zeros((3, 3))), ("a", np.zeros((3, 3)))]}, "'a' again"),
        ({"densities": 0.5}, "densities must increase"),
        ({"networks": [("a", np.zeros((3, 3))), ("b", np.zeros((4, 4)))]}, "subject b has"),
        ({"networks": iter([("a", np.zeros((3, 3)))]), "unmeasured": "drop"}, "all networks"),
        ({"regions": NAMES[:-1]}, "regions must be 24 different"),
        ({"regions": [NAMES[0]] * 24}, "24 names, 1 different"),
        ({"regions": ["global", *NAMES[1:]]}, "none of them 'global'"),
        ({"densities": ()}, "densities must increase"),
        ({"densities": (0.2, 0.1)}, "densities must increase"),
        ({"densities": (0.1, 1.5)}, r"within \(0, 1\]"),
        ({"thresholds": (-0.1, 0.1)}, "thresholds must increase from 0"),
        ({"thresholds": (0.1,), "densities": (0.1,)}, "must not both be given"),
        ({"measures": ["degre"]}, "got degre. Pass a mapping"),
        ({"unmeasured": "zero"}, "unmeasured must be one of"),
        ({"nulls": Nulls(n=0)}, "nulls must be at least 1"),
        ({"measures": ["degree"], "nulls": Nulls()}, "Name them in measures too"),
    ],
)
def test_errors(networks, change, message):
    arguments = {"networks": networks} | change
    with pytest.raises(ValueError, match=message):
        sweep(arguments.pop("networks"), **arguments)


def test_the_type_of_the_table_does_not_change_with_the_input(table):
    assert isinstance(table, pd.DataFrame)
