import numpy as np
import pandas as pd
import pytest

from brainnet.connectome.threshold import binarize, proportional
from brainnet.metrics import centrality, clustering, degree, efficiency, modules
from brainnet.metrics.table import AVERAGED, DENSITIES, measure_table

NAMES = [f"region-{i:02d}" for i in range(24)]
REGIONAL = {
    "mean_weight",
    "degree",
    "strength",
    "clustering_binary",
    "clustering_weighted",
    "local_efficiency_binary",
    "local_efficiency_weighted",
    "betweenness_binary",
    "betweenness_weighted",
    "eigenvector_centrality",
    "participation_coefficient",
    "within_module_z",
    "module",
}
GLOBAL = {
    "density",
    "n_components",
    "global_efficiency_binary",
    "global_efficiency_weighted",
    "characteristic_path_length_binary",
    "characteristic_path_length_weighted",
    "transitivity_binary",
    "transitivity_weighted",
    "modularity",
    "n_modules",
}


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    common = rng.standard_normal((80, 3))[:, np.arange(24) % 3]
    correlation = np.corrcoef((common + rng.standard_normal((80, 24))).T)
    np.fill_diagonal(correlation, 0)
    return (correlation + correlation.T) / 2


@pytest.fixture(scope="module")
def table(network):
    return measure_table(network, NAMES)


def values(table, measure, density=None):
    rows = table[table["measure"] == measure]
    rows = rows[rows["density"].isna() if density is None else rows["density"] == density]
    return rows.set_index("region")["value"]


def test_columns_and_types(table):
    assert list(table.columns) == ["measure", "density", "region", "value"]
    assert table["density"].dtype == np.float64
    assert table["value"].dtype == np.float64
    assert pd.api.types.is_string_dtype(table["measure"])
    assert not table.duplicated(["measure", "density", "region"]).any()
    assert table.index.tolist() == list(range(len(table)))


def test_each_measure_has_its_rows(table):
    curves = {m for m in table["measure"] if not m.endswith("_auc")}
    assert curves == GLOBAL | REGIONAL | {"n_regions_measured"}
    for measure in GLOBAL | REGIONAL - {"mean_weight"}:
        for density in DENSITIES:
            regions = values(table, measure, density).index.tolist()
            whole = ["global"] if measure in GLOBAL | set(AVERAGED) else []
            assert regions == whole + (NAMES if measure in REGIONAL else [])
    assert values(table, "mean_weight").index.tolist() == ["global", *NAMES]


def test_values_are_those_of_the_measures(network, table):
    for density in DENSITIES:
        kept = proportional(network, density)
        edges = binarize(kept)
        partition = modules.louvain(kept, seed=0)
        for measure, expected in {
            "degree": degree.degree(edges),
            "strength": degree.strength(kept),
            "clustering_weighted": clustering.clustering_weighted(kept),
            "local_efficiency_binary": efficiency.local_efficiency_binary(edges),
            "betweenness_weighted": centrality.betweenness_weighted(kept),
            "module": partition,
            "within_module_z": modules.within_module_z(kept, partition),
        }.items():
            found = values(table, measure, density)
            np.testing.assert_array_equal(found[NAMES], expected)
            if measure in AVERAGED:
                assert found["global"] == pytest.approx(expected.mean(), rel=1e-14)
        assert values(table, "global_efficiency_weighted", density)["global"] == pytest.approx(
            float(efficiency.global_efficiency(kept)), rel=1e-14
        )
        assert values(table, "modularity", density)["global"] == pytest.approx(
            float(modules.modularity(kept, partition)), rel=1e-14
        )


def test_before_thresholding(network, table):
    assert values(table, "n_regions_measured")["global"] == 24
    np.testing.assert_allclose(
        values(table, "mean_weight")[NAMES], network.sum(axis=0) / 23, rtol=1e-12
    )
    assert values(table, "mean_weight")["global"] == pytest.approx(network.sum() / (24 * 23))


def test_area_under_the_curve(table):
    degrees = np.array([values(table, "degree", d)["region-03"] for d in DENSITIES])
    expected = 0.05 * (degrees[1:] + degrees[:-1]).sum() / 2
    assert values(table, "degree_auc")["region-03"] == pytest.approx(expected, rel=1e-12)
    assert "module_auc" not in set(table["measure"])
    reached = [values(table, "density", d)["global"] for d in DENSITIES]
    np.testing.assert_allclose(reached, DENSITIES, atol=0.5 / 276)


def test_one_density_has_no_area(network):
    table = measure_table(network, NAMES, densities=(0.2,))
    assert not table["measure"].str.endswith("_auc").any()


def test_unmeasured_regions_have_their_rows_and_change_nothing_else(network, table):
    absent = ["unmeasured-a", "unmeasured-b"]
    names = [absent[0], *NAMES[:10], absent[1], *NAMES[10:]]
    padded = np.full((26, 26), np.nan)
    inside = np.array([name in NAMES for name in names])
    padded[np.ix_(inside, inside)] = network
    result = measure_table(padded, names)
    assert values(result, "n_regions_measured")["global"] == 24
    assert values(result, "degree", 0.1).index.tolist() == ["global", *names]
    assert result.loc[result["region"].isin(absent), "value"].isna().all()
    n_curves = len(table[table["region"] == NAMES[0]])
    assert len(result) == len(table) + 2 * n_curves
    rest = result[~result["region"].isin(absent)].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, table)


def test_same_input_same_table(network, table):
    pd.testing.assert_frame_equal(measure_table(network.copy(), NAMES), table, check_exact=True)


def test_order_of_regions_does_not_matter(network, table):
    order = np.random.default_rng(1).permutation(24)
    result = measure_table(network[np.ix_(order, order)], [NAMES[i] for i in order])
    labels = ["module", "n_modules", "modularity", "participation", "within_module_z"]
    for measure in (GLOBAL | REGIONAL) - set(labels):
        if measure.startswith(tuple(labels)) or measure == "mean_weight":
            continue
        for density in DENSITIES:
            expected = values(table, measure, density)
            np.testing.assert_allclose(
                values(result, measure, density)[expected.index], expected, rtol=1e-10, atol=1e-12
            )


def test_few_positive_edges_warn_and_report_the_density_reached(network):
    scarce = np.minimum(network, 0)
    scarce[0, 1] = scarce[1, 0] = scarce[1, 2] = scarce[2, 1] = 0.5
    with pytest.warns(UserWarning, match="only 2 are positive"):
        table = measure_table(scarce, NAMES)
    assert values(table, "density", 0.1)["global"] == pytest.approx(2 / 276)


def test_a_network_without_positive_edges_is_measured():
    with pytest.warns(UserWarning, match="only 0 are positive"):
        table = measure_table(-(np.ones((4, 4)) - np.eye(4)), list("abcd"), densities=(0.2, 0.5))
    assert values(table, "global_efficiency_weighted", 0.5)["global"] == 0
    assert np.isnan(values(table, "characteristic_path_length_binary", 0.5)["global"])
    assert np.isnan(values(table, "modularity", 0.5)["global"])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"weights": np.zeros((2, 24, 24))}, "one network"),
        ({"weights": np.full((24, 24), np.nan)}, "at least 3 measured regions; got 0 of 24"),
        ({"names": NAMES[:-1]}, "names must be 24 different"),
        ({"names": [NAMES[0]] * 24}, "24 names, 1 different"),
        ({"names": ["global", *NAMES[1:]]}, "none of them 'global'"),
        ({"densities": ()}, "densities must increase"),
        ({"densities": (0.2, 0.1)}, "densities must increase"),
        ({"densities": (0.1, 1.5)}, r"within \(0, 1\]"),
    ],
)
def test_errors(network, change, message):
    arguments = {"weights": network, "names": NAMES, "densities": DENSITIES} | change
    with pytest.raises(ValueError, match=message):
        measure_table(arguments.pop("weights"), arguments.pop("names"), **arguments)
