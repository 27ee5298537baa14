"""Measures of several layers beside their formulas, written out, and values given by others."""

from itertools import combinations, permutations

import bct
import networkx
import numpy as np
import pytest
import scipy.stats

from brainnet.metrics import multiplex
from brainnet.metrics.centrality import eigenvector_centrality

TIGHT = {"rtol": 1e-12, "atol": 1e-13}  # sums in another order

STAR = np.array([[0.0, 1, 1], [1, 0, 0], [1, 0, 0]])
PATH = np.array([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])
TRIANGLE = 1 - np.eye(3)


def random_layers(n=9, n_layers=4, *, density=0.4, seed=0, ties=False, directed=False):
    rng = np.random.default_rng(seed)
    shape = (n_layers, n, n)
    weights = rng.integers(1, 3, shape) * 0.5 if ties else rng.uniform(0.05, 1, shape)
    weights = weights * (rng.random(shape) < density) * (1 - np.eye(n))
    weights[:, n - 1] = weights[:, :, n - 1] = 0  # a region without edges
    return weights if directed else np.triu(weights) + np.triu(weights).swapaxes(1, 2)


@pytest.fixture(params=["no ties", "ties", "sparse"])
def layers(request):
    return {
        "no ties": random_layers(),
        "ties": random_layers(seed=1, ties=True),
        "sparse": random_layers(density=0.15, seed=2),
    }[request.param]


# overlap


def test_overlap_from_the_formulas(layers):
    n_layers, n, _ = layers.shape
    strength = [[sum(layer[i]) for i in range(n)] for layer in layers]
    overlap = [sum(strength[a][i] for a in range(n_layers)) for i in range(n)]
    np.testing.assert_allclose(multiplex.overlapping_strength(layers), overlap, **TIGHT)
    degree = [sum(np.count_nonzero(layer[i]) for layer in layers) for i in range(n)]
    np.testing.assert_array_equal(multiplex.overlapping_degree(layers > 0), degree)
    spread = [
        n_layers / (n_layers - 1) * (1 - sum((s[i] / overlap[i]) ** 2 for s in strength))
        if overlap[i]
        else 0
        for i in range(n)
    ]
    np.testing.assert_allclose(multiplex.multiplex_participation(layers), spread, **TIGHT)
    entropy = [scipy.stats.entropy([s[i] for s in strength]) if overlap[i] else 0 for i in range(n)]
    np.testing.assert_allclose(multiplex.multiplex_entropy(layers), entropy, **TIGHT)
    z = scipy.stats.zscore(overlap)
    np.testing.assert_allclose(multiplex.overlapping_strength_z(layers), z, rtol=1e-11)
    share = [[np.mean([layer[i, j] > 0 for layer in layers]) for j in range(n)] for i in range(n)]
    np.testing.assert_allclose(multiplex.edge_overlap(layers > 0), share, **TIGHT)
    np.testing.assert_allclose(
        multiplex.edge_overlap_weighted(layers), layers.mean(axis=0), **TIGHT
    )
    present = [
        (layers[:, i, j] > 0).mean() for i in range(n) for j in range(i) if layers[:, i, j].any()
    ]
    assert multiplex.mean_edge_overlap(layers > 0) == pytest.approx(np.mean(present), rel=1e-12)


def test_participation_closed_forms():
    same = np.array([TRIANGLE, TRIANGLE, TRIANGLE])
    np.testing.assert_allclose(multiplex.multiplex_participation(same), 1)
    np.testing.assert_allclose(multiplex.multiplex_entropy(same), np.log(3))
    one = np.array([TRIANGLE, 0 * TRIANGLE])
    np.testing.assert_array_equal(multiplex.multiplex_participation(one), 0)
    np.testing.assert_array_equal(multiplex.multiplex_entropy(one), 0)
    assert np.isnan(multiplex.multiplex_participation(STAR[None])).all()
    tiny, huge = 1e-200 * random_layers(), 1e200 * random_layers()
    plain = multiplex.multiplex_participation(random_layers())
    for scaled in (tiny, huge):
        np.testing.assert_allclose(multiplex.multiplex_participation(scaled), plain, **TIGHT)


def test_directed_layers_use_the_edges_that_leave():
    layers = random_layers(directed=True)
    np.testing.assert_allclose(
        multiplex.overlapping_strength(layers, directed=True), layers.sum(axis=(0, 2)), **TIGHT
    )
    np.testing.assert_array_equal(
        multiplex.overlapping_degree(layers > 0, directed=True), (layers > 0).sum(axis=(0, 2))
    )
    arriving = multiplex.multiplex_participation(layers.swapaxes(1, 2), directed=True)
    share = layers.sum(axis=1) / np.where(layers.any(axis=(0, 1)), layers.sum(axis=(0, 1)), np.inf)
    expected = np.where(layers.any(axis=(0, 1)), 4 / 3 * (1 - (share**2).sum(axis=0)), 0)
    np.testing.assert_allclose(arriving, expected, **TIGHT)
    overlap = multiplex.edge_overlap(layers > 0, directed=True)
    np.testing.assert_array_equal(overlap, (layers > 0).mean(axis=0))


# layers beside layers


def test_layers_from_the_formulas(layers):
    present = layers > 0
    edges = [set(map(tuple, np.argwhere(layer))) for layer in present]
    for a, b in permutations(range(len(layers)), 2):
        jaccard = len(edges[a] & edges[b]) / len(edges[a] | edges[b])
        assert multiplex.layer_overlap(present)[a, b] == pytest.approx(jaccard, rel=1e-14)
        given = len(edges[a] & edges[b]) / len(edges[b])
        assert multiplex.edge_reinforcement(present)[a, b] == pytest.approx(given, rel=1e-14)
        active = [{i for i, _ in edges[k]} for k in (a, b)]
        both = len(active[0] & active[1]) / present.shape[-1]
        assert multiplex.layer_coactivity(present)[a, b] == pytest.approx(both, rel=1e-14)
    activity = [sum(any(layer[i]) for layer in present) for i in range(present.shape[-1])]
    np.testing.assert_array_equal(multiplex.node_activity(present), activity)


def test_correlation_of_layers_against_scipy(layers):
    strength = layers.sum(axis=2)
    pearson, spearman = np.corrcoef(strength), scipy.stats.spearmanr(strength, axis=1).statistic
    np.testing.assert_allclose(multiplex.layer_correlation(layers), pearson, atol=1e-12)
    found = multiplex.layer_correlation(layers, method="spearman")
    np.testing.assert_allclose(found, spearman, atol=1e-12)


def test_layers_alike_and_empty():
    layers = np.array([STAR, STAR, 0 * STAR, TRIANGLE])
    overlap = multiplex.layer_overlap(layers)
    assert overlap[0, 1] == 1
    assert overlap[0, 2] == 0
    assert np.isnan(overlap[2, 2])
    assert np.isnan(multiplex.edge_reinforcement(layers)[:, 2]).all()
    for method in ("pearson", "spearman"):
        correlation = multiplex.layer_correlation(layers, method=method)
        np.testing.assert_allclose(correlation[:2, :2], 1)
        assert np.isnan(correlation[2:]).all()  # all regions equal


def test_equal_strengths_to_rounding_are_equal():
    parts = np.array([0.1, 0.2, 0.3, 0.7, 0.6])
    layer = np.zeros((10, 10))
    layer[0, 5:], layer[1, 5:] = parts, parts[[3, 0, 4, 2, 1]]  # two sums of the same numbers
    layer += layer.T
    strength = layer.sum(axis=1)
    assert strength[0] == pytest.approx(strength[1], rel=1e-15)
    layer[0, 1] = layer[1, 0] = 0.5
    richer = multiplex.richness_weighted(layer[None])[0]
    assert richer[0] == richer[1] == 0


# richness and cores


def by_hand_richness(layers, strength):
    n_layers, n, _ = layers.shape
    return [
        [
            sum(layers[a, i, j] for j in range(n) if strength[a][j] > strength[a][i])
            for i in range(n)
        ]
        for a in range(n_layers)
    ]


def test_richness_from_the_formulas(layers):
    present = (layers > 0).astype(float)
    np.testing.assert_array_equal(
        multiplex.richness(present), by_hand_richness(present, present.sum(axis=2))
    )
    by_hand = np.array(by_hand_richness(layers, layers.sum(axis=2).round(12)))
    np.testing.assert_allclose(multiplex.richness_weighted(layers), by_hand, **TIGHT)
    factors = [0.5, 0, 2, 1]
    np.testing.assert_allclose(
        multiplex.multirichness_weighted(layers, coefficients=factors), factors @ by_hand, **TIGHT
    )
    np.testing.assert_allclose(
        multiplex.multirichness_weighted(layers), by_hand.mean(axis=0), **TIGHT
    )


def test_core_from_its_definition():
    layers = random_layers(12, seed=3)  # without ties, the order of regions is one
    factors = np.array([1, 0.5, 2, 1])
    poor_to_rich = factors @ multiplex.richness_weighted(layers)
    order = np.argsort(-(factors @ layers.sum(axis=2)))
    core = order[: np.argmax(poor_to_rich[order]) + 1]
    found = multiplex.multiplex_core(layers, coefficients=factors)
    assert set(np.flatnonzero(found)) == set(core)
    assert 0 < found.sum() < 12


B1 = np.array([[0.0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 0]])
B2 = np.array([[0.0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]])
D1 = np.array([[0.0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 0]])
D2 = np.array([[0.0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1, 0]])


def test_values_of_braph():
    """The values that BRAPH 2 states in its own tests, for small layers."""
    np.testing.assert_allclose(multiplex.multirichness([B1, B2]), [0.5, 0, 1.5, 1.5])
    assert multiplex.multiplex_core([B1, B2]).tolist() == [True, True, True, False]
    np.testing.assert_allclose(multiplex.richness([D1, D2], directed=True)[0], [1, 0, 2, 1.5])
    np.testing.assert_allclose(multiplex.richness([D1, D2], directed=True)[1], [1, 0, 1, 2])
    factors = [2 / 3, 1 / 3]
    found = multiplex.multirichness([D1, D2], coefficients=factors, directed=True)
    np.testing.assert_allclose(found, [1, 0, 5 / 3, 5 / 3])
    core = multiplex.multiplex_core([D1, D2], coefficients=factors, directed=True)
    assert core.tolist() == [True, True, True, False]
    first = [[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    second = [[0, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    third = [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1], [1, 1, 1, 0]]
    layers = [first, second, third]
    np.testing.assert_allclose(2 * multiplex.triangles_two_layers(layers), [10, 2, 2, 10])
    clustering = np.array([5, 1, 1, 5]) / [12, 2, 2, 6]
    np.testing.assert_allclose(multiplex.clustering_two_layers(layers), clustering)
    edge = [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    spread = multiplex.multiplex_participation([STAR, PATH])
    np.testing.assert_allclose(spread, [8 / 9, 8 / 9, 1])
    spread = multiplex.multiplex_participation([STAR, PATH, edge])
    np.testing.assert_allclose(spread, [15 / 16, 15 / 16, 3 / 4])
    overlap = multiplex.edge_overlap([STAR, PATH, edge])
    np.testing.assert_allclose(overlap, [[0, 1, 1 / 3], [1, 0, 1 / 3], [1 / 3, 1 / 3, 0]])


def test_core_does_not_depend_on_the_order_of_equal_regions():
    star = np.zeros((2, 5, 5))
    star[:, 0, 1:] = star[:, 1:, 0] = 1
    assert multiplex.multiplex_core(star).all()  # the leaves are equal
    assert multiplex.multiplex_core(1 - np.eye(4)[None]).all()
    assert not multiplex.multiplex_core(np.zeros((2, 4, 4))).any()


def largest_set(n, holds):
    """The largest set of regions of which ``holds`` is true, from all sets."""
    for size in range(n, 0, -1):
        for members in combinations(range(n), size):
            if holds(list(members)):
                return set(members)
    return set()


def test_coreness_from_all_sets(layers):
    overlap = layers.sum(axis=0)
    found = multiplex.multiplex_coreness_weighted(layers)
    for s in np.unique(found)[1:]:
        expected = largest_set(
            9, lambda m, s=s: (overlap[np.ix_(m, m)].sum(axis=1) >= s * (1 - 1e-12)).all()
        )
        assert set(np.flatnonzero(found >= s)) == expected
        larger = largest_set(
            9, lambda m, s=s: (overlap[np.ix_(m, m)].sum(axis=1) > s * (1 + 1e-9)).all()
        )
        assert larger == set(np.flatnonzero(found > s))


@pytest.mark.parametrize("s", [0.5, 1.7, 2.5, 4.0])
def test_coreness_against_bctpy(layers, s):
    core, _ = bct.score_wu(layers.sum(axis=0), s)
    found = multiplex.multiplex_coreness_weighted(layers) >= s
    assert set(np.flatnonzero(core.any(axis=0))) == set(np.flatnonzero(found))


def test_coreness_of_one_layer_against_networkx(modular):
    adjacency = (modular(40, density=0.2) > 0).astype(float)
    theirs = networkx.core_number(networkx.from_numpy_array(adjacency))
    expected = np.array([theirs[i] for i in range(40)])
    np.testing.assert_array_equal(multiplex.multiplex_coreness(adjacency[None]), expected)
    np.testing.assert_array_equal(multiplex.multiplex_coreness([adjacency] * 3), 3 * expected)
    directed = multiplex.multiplex_coreness(np.triu(adjacency)[None], directed=True)
    np.testing.assert_array_equal(directed, expected)


@pytest.mark.parametrize("thresholds", [[1, 1, 1, 1], [2, 1, 0, 1], [3, 0, 0, 0], [2, 2, 2, 2]])
def test_vector_core_from_all_sets(layers, thresholds):
    present = (layers > 0).astype(float)

    def holds(members):
        degree = present[np.ix_(range(4), members, members)].sum(axis=2)
        return (degree >= np.array(thresholds)[:, None]).all()

    found = multiplex.multiplex_vector_core(present, thresholds)
    assert set(np.flatnonzero(found)) == largest_set(9, holds)


# triangles


def by_hand_triangles(layers):
    """Sums over layers and regions as in the source: in two layers, in three, and the pairs."""
    n_layers, n, _ = layers.shape
    present = layers > 0
    two, three, pairs1, pairs2 = np.zeros((4, n))
    for i in range(n):
        for j, h in permutations([k for k in range(n) if k != i], 2):
            for a, b, c in np.ndindex(n_layers, n_layers, n_layers):
                intensity = np.cbrt(layers[a, i, j] * layers[b, j, h] * layers[c, h, i])
                two[i] += intensity * (a == c != b)
                three[i] += intensity * (len({a, b, c}) == 3)
            for a, c in np.ndindex(n_layers, n_layers):
                pair = present[a, i, j] and present[c, h, i]
                pairs1[i] += pair * (a == c)
                pairs2[i] += pair * (a != c)
    return two, three, pairs1 * (n_layers - 1), pairs2 * (n_layers - 2)


@pytest.mark.parametrize("kind", ["weighted", "binary"])
def test_triangles_from_the_formulas(layers, kind):
    layers = layers[:, 2:, 2:]
    layers = (layers > 0).astype(float) if kind == "binary" else layers
    two, three, pairs1, pairs2 = by_hand_triangles(layers)
    np.testing.assert_allclose(multiplex.triangles_two_layers(layers), two / 2, **TIGHT)
    np.testing.assert_allclose(multiplex.triangles_three_layers(layers), three / 2, **TIGHT)
    ratio1 = two / np.where(pairs1 > 0, pairs1, np.inf)
    np.testing.assert_allclose(multiplex.clustering_two_layers(layers), ratio1, **TIGHT)
    ratio2 = three / np.where(pairs2 > 0, pairs2, np.inf)
    np.testing.assert_allclose(multiplex.clustering_three_layers(layers), ratio2, **TIGHT)
    total1 = two.sum() / pairs1.sum()
    assert multiplex.transitivity_two_layers(layers) == pytest.approx(total1, rel=1e-12)
    total2 = three.sum() / pairs2.sum()
    assert multiplex.transitivity_three_layers(layers) == pytest.approx(total2, rel=1e-12)


def test_triangles_of_equal_layers():
    same = np.array([TRIANGLE] * 4)
    np.testing.assert_array_equal(multiplex.triangles_two_layers(same), 12)
    np.testing.assert_array_equal(multiplex.triangles_three_layers(same), 24)
    for measure in (multiplex.clustering_two_layers, multiplex.clustering_three_layers):
        np.testing.assert_allclose(measure(same), 1)
    assert multiplex.transitivity_two_layers(same) == pytest.approx(1)
    assert multiplex.transitivity_three_layers(same) == pytest.approx(1)


def test_too_few_layers_for_triangles():
    assert np.isnan(multiplex.clustering_two_layers(TRIANGLE[None])).all()
    assert np.isnan(multiplex.transitivity_two_layers(TRIANGLE[None]))
    pair = np.array([TRIANGLE, STAR])
    assert np.isnan(multiplex.clustering_three_layers(pair)).all()
    assert np.isnan(multiplex.transitivity_three_layers(pair))
    np.testing.assert_array_equal(multiplex.triangles_three_layers(pair), 0)
    empty = np.zeros((3, 4, 4))
    np.testing.assert_array_equal(multiplex.clustering_two_layers(empty), 0)
    assert multiplex.transitivity_three_layers(empty) == 0


# versatility


@pytest.mark.parametrize("coupling", [0.1, 1.0, 10.0])
def test_versatility_against_numpy(layers, coupling):
    layers = layers[:, :-1, :-1]
    n_layers, n, _ = layers.shape
    blocks = [
        [layers[a] if a == b else coupling * np.eye(n) for b in range(n_layers)]
        for a in range(n_layers)
    ]
    _, vectors = np.linalg.eigh(np.block(blocks))
    expected = np.abs(vectors[:, -1]).reshape(n_layers, n).sum(axis=0)
    found = multiplex.eigenvector_versatility(layers, coupling=coupling)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_versatility_of_one_layer():
    weights = random_layers(seed=4)[0]
    np.testing.assert_allclose(
        multiplex.eigenvector_versatility(weights[None]), eigenvector_centrality(weights)
    )
    assert np.isnan(multiplex.eigenvector_versatility(np.zeros((1, 3, 3)))).all()


# what every measure owes

BINARY = {
    "overlapping_degree": 1,
    "edge_overlap": 2,
    "mean_edge_overlap": 0,
    "node_activity": 1,
    "multirichness": 1,
    "multiplex_coreness": 1,
}
WEIGHTED = {
    "overlapping_strength": 1,
    "overlapping_strength_z": 1,
    "multiplex_participation": 1,
    "multiplex_entropy": 1,
    "edge_overlap_weighted": 2,
    "multirichness_weighted": 1,
    "multiplex_core": 1,
    "multiplex_coreness_weighted": 1,
}
UNDIRECTED = {
    "triangles_two_layers": 1,
    "triangles_three_layers": 1,
    "clustering_two_layers": 1,
    "clustering_three_layers": 1,
    "transitivity_two_layers": 0,
    "transitivity_three_layers": 0,
    "eigenvector_versatility": 1,
}


def thrice(measure, **options):
    """The measure of three layers that are made from one network: its square, itself, its root."""
    function = getattr(multiplex, measure)

    def of_one(network):
        network = np.asarray(network)
        if network.dtype == bool:
            return function(np.stack([network] * 3, axis=-3), **options)
        layers = [network**2, network, np.sign(network) * np.sqrt(np.abs(network))]
        return function(np.stack(layers, axis=-3), **options)

    return of_one


@pytest.mark.parametrize("measure", BINARY)
def test_contract_binary(contract, measure):
    contract(thrice(measure), rank=BINARY[measure], binary=True)
    directed = thrice(measure, directed=True)
    contract(directed, rank=BINARY[measure], binary=True, directed=True)


@pytest.mark.parametrize("measure", WEIGHTED)
def test_contract_weighted(contract, measure):
    contract(thrice(measure), rank=WEIGHTED[measure])
    contract(thrice(measure, directed=True), rank=WEIGHTED[measure], directed=True)


@pytest.mark.parametrize("measure", UNDIRECTED)
def test_contract_undirected(contract, measure):
    contract(thrice(measure), rank=UNDIRECTED[measure])


@pytest.mark.parametrize(
    "measure", ["layer_overlap", "edge_reinforcement", "layer_coactivity", "richness"]
)
def test_contract_of_layers(contract, measure):
    last = thrice(measure)
    contract(
        lambda a: last(a)[..., 0, 0] if measure != "richness" else last(a)[..., 1, :],
        rank=measure == "richness",
        binary=True,
    )


def test_contract_other(contract):
    contract(lambda w: thrice("layer_correlation")(w)[..., 0, 1], rank=0)
    contract(lambda w: thrice("richness_weighted")(w)[..., 2, :], rank=1)
    contract(thrice("multiplex_vector_core", thresholds=[1, 2, 0.5]), rank=1)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("measure", [*BINARY, *WEIGHTED, *UNDIRECTED])
def test_small(measure, n):
    rank = (BINARY | WEIGHTED | UNDIRECTED)[measure]
    for layers in (np.zeros((3, n, n)), np.array([1 - np.eye(n)] * 3)):
        found = getattr(multiplex, measure)(layers)
        assert found.shape == (n,) * rank
        expected_nan = measure == "mean_edge_overlap" and not layers.any()
        assert np.isnan(found).any() == expected_nan


def test_refused():
    with pytest.raises(ValueError, match=r"weights must have an axis of layers .*stack"):
        multiplex.overlapping_strength(STAR)
    with pytest.raises(ValueError, match="adjacency must have an axis of layers"):
        multiplex.overlapping_degree(STAR)
    with pytest.raises(ValueError, match="coefficients must be one finite number a layer"):
        multiplex.multirichness([STAR, PATH], coefficients=[1])
    with pytest.raises(ValueError, match="coefficients must be non-negative; got minimum -1"):
        multiplex.multirichness_weighted([STAR, PATH], coefficients=[1, -1])
    with pytest.raises(ValueError, match="thresholds must be one finite number a layer"):
        multiplex.multiplex_vector_core([STAR, PATH], [1, np.nan])
    with pytest.raises(ValueError, match="method must be 'pearson' or 'spearman'; got 'kendall'"):
        multiplex.layer_correlation([STAR, PATH], method="kendall")
    for coupling in (-1, np.inf):
        with pytest.raises(ValueError, match="coupling must be non-negative and finite"):
            multiplex.eigenvector_versatility([STAR, PATH], coupling=coupling)
    with pytest.raises(ValueError, match="weights"):
        multiplex.overlapping_strength(np.zeros((0, 3, 3)))
