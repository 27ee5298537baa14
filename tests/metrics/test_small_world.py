"""Small worlds: lattices and random networks, and each ratio by networkx and by hand."""

import networkx
import numpy as np
import pytest

from brainnet.metrics import normalized, nulls, small_world

EMPTY = np.zeros((5, 5))
COMPLETE = np.ones((12, 12)) - np.eye(12)
RING = networkx.to_numpy_array(networkx.cycle_graph(12))
BINARY = [
    small_world.small_world_sigma_binary,
    small_world.small_world_omega_binary,
    small_world.small_world_propensity_binary,
]
WEIGHTED = [
    small_world.small_world_sigma_weighted,
    small_world.small_world_omega_weighted,
    small_world.small_world_propensity_weighted,
]


def world(rewired, *, n=60, k=6, seed=1):
    return networkx.to_numpy_array(
        networkx.connected_watts_strogatz_graph(n, k, rewired, 100, seed)
    )


def weighted(adjacency, seed=0):
    drawn = np.triu(np.random.default_rng(seed).uniform(0.2, 1, adjacency.shape), 1)
    return adjacency * (drawn + drawn.T)


def lengths(network):
    graph = networkx.from_numpy_array(network)
    for *_, edge in graph.edges(data=True):
        edge["length"] = 1 / edge["weight"]
    return networkx.average_shortest_path_length(graph, weight="length")


def clustering(network):
    return networkx.average_clustering(networkx.from_numpy_array(network), weight="weight")


@pytest.mark.parametrize(
    "measure, options",
    [
        (normalized.normalized_clustering_binary, {"binary": True}),
        (normalized.normalized_path_length_binary, {"binary": True}),
        (normalized.normalized_clustering_weighted, {}),
        (normalized.normalized_path_length_weighted, {}),
    ],
)
def test_contract_of_normalized_measures(contract, measure, options):
    def measured(network):  # two chosen networks stand for random ones
        chosen = np.array([RING, COMPLETE])
        return measure(network, np.broadcast_to(chosen, (*np.shape(network)[:-2], 2, 12, 12)))

    contract(measured, rank=0, **options)


@pytest.mark.parametrize("measure", [*BINARY, *WEIGHTED])
def test_batches_seeds_and_refusals(measure, all_kinds):
    batch = all_kinds(binary=measure in BINARY)
    given = batch.copy()
    given.flags.writeable = False
    result = measure(given, n_nulls=3, rng=4)
    assert result.shape == (3, 2)
    np.testing.assert_array_equal(measure(given, n_nulls=3, rng=4), result)
    assert (measure(given, n_nulls=3, rng=5) != result)[0, 0]
    alone = measure(np.asfortranarray(batch[0, 0]), n_nulls=3, rng=np.random.default_rng(4))
    assert alone.shape == ()
    assert np.isnan(measure(EMPTY))
    assert np.isnan(measure([[0.0]]))
    assert np.isnan(measure([[0, 1.0], [1.0, 0]]))
    good = batch[0, 0]
    holed = good.copy()
    holed[3] = holed[:, 3] = np.nan
    for wrong, word in [(good[:-1], "square"), (np.triu(good), "symmetric"), (holed, "NaN")]:
        with pytest.raises(ValueError, match=word):
            measure(wrong)
    with pytest.raises(ValueError, match="n_nulls"):
        measure(good, n_nulls=0)


@pytest.mark.parametrize("measure", WEIGHTED)
def test_scale_does_not_matter(measure):
    network = weighted(world(0.1))
    values = [measure(scale * network, n_nulls=4) for scale in (1e-6, 1.0, 1e6)]
    np.testing.assert_allclose(values, values[0], rtol=1e-9)


def test_normalized_measures_against_networkx():
    network = weighted(world(0.2, n=40))
    random = nulls.rewire_connected(network, n_nulls=5)
    gamma = clustering(network) / np.mean([clustering(each) for each in random])
    assert normalized.normalized_clustering_weighted(network, random) == pytest.approx(gamma)
    shorter = lengths(network) / np.mean([lengths(each) for each in random])
    assert normalized.normalized_path_length_weighted(network, random) == pytest.approx(shorter)
    edges, without = (network > 0) * 1.0, (random > 0) * 1.0
    gamma = clustering(edges) / np.mean([clustering(each) for each in without])
    assert normalized.normalized_clustering_binary(edges, without) == pytest.approx(gamma)
    shorter = lengths(edges) / np.mean([lengths(each) for each in without])
    assert normalized.normalized_path_length_binary(edges, without) == pytest.approx(shorter)


def test_sigma_and_omega_are_what_they_are_made_of():
    edges = world(0.2, n=40) > 0
    random = nulls.rewire(edges, n_nulls=6, rng=3)
    gamma = normalized.normalized_clustering_binary(edges, random)
    length = normalized.normalized_path_length_binary(edges, random)
    sigma = small_world.small_world_sigma_binary(edges, n_nulls=6, rng=3)
    assert sigma == pytest.approx(gamma / length)
    first, second = np.random.default_rng(3).spawn(2)
    random = nulls.rewire(edges, n_nulls=6, rng=first)
    lattice = nulls.latticize(edges, n_nulls=6, rng=second)
    omega = 1 / normalized.normalized_path_length_binary(
        edges, random
    ) - normalized.normalized_clustering_binary(edges, lattice)
    found = small_world.small_world_omega_binary(edges, n_nulls=6, rng=3)
    assert found == pytest.approx(omega)


@pytest.mark.parametrize("as_weights", [False, True])
def test_from_lattice_to_random(as_weights):
    networks = np.array([world(p, n=100) for p in (0, 0.1, 1)])
    if as_weights:
        networks = 0.3 * networks
    sigma, omega, propensity = (
        measure(networks, n_nulls=5) for measure in (WEIGHTED if as_weights else BINARY)
    )
    assert sigma[1] > max(1.5, sigma[2])
    assert sigma[2] == pytest.approx(1, abs=0.3)
    assert omega[0] < omega[1] - 0.1 < 0 < 0.4 < omega[2]
    assert omega[0] < -0.4
    assert propensity[1] > 0.7
    assert propensity[0] == pytest.approx(1 - 0.5**0.5, abs=1e-6)  # clustered, but as long
    assert propensity[2] == pytest.approx(1 - 0.5**0.5, abs=0.1)  # short, but not clustered


def test_nulls_of_the_propensity():
    network = weighted(world(0.3, n=30))
    random, lattice = small_world._shuffled_and_lattice(network, 7, np.uint64(1))
    apart = np.abs(np.subtract.outer(np.arange(30), np.arange(30)))
    around = np.minimum(apart, 30 - apart)
    for each in (*random, *lattice):
        np.testing.assert_array_equal(each, each.T)
        np.testing.assert_array_equal(np.sort(each, axis=None), np.sort(network, axis=None))
    for each in lattice:  # never a stronger edge farther away
        weakest = [each[around == d].min() for d in range(1, 16)]
        strongest = [each[around == d].max() for d in range(1, 16)]
        assert all(w >= s for w, s in zip(weakest, strongest[1:], strict=False))
        assert (each[around <= 3][np.newaxis] > 0).sum() == (network > 0).sum()
    assert len({each.tobytes() for each in (*random, *lattice)}) == 14


def test_propensity_against_the_formula():
    adjacency = world(0.15, n=50, k=4)  # as many edges as the lattice has to distance 2
    apart = np.abs(np.subtract.outer(np.arange(50), np.arange(50)))
    lattice = np.isin(np.minimum(apart, 50 - apart), [1, 2]) * 1.0
    rng = np.random.default_rng(8)
    rows, columns = np.triu_indices(50, 1)
    random_c, random_l = [], []
    for _ in range(300):
        graph = np.zeros((50, 50))
        graph[rows, columns] = rng.permutation(adjacency[rows, columns])
        made = networkx.from_numpy_array(graph + graph.T)
        random_c.append(networkx.average_clustering(made))
        reached = [
            d
            for _, row in networkx.all_pairs_shortest_path_length(made)
            for d in row.values()
            if d > 0
        ]
        random_l.append(np.mean(reached))
    by_c = (clustering(lattice) - clustering(adjacency)) / (clustering(lattice) - np.mean(random_c))
    by_l = (lengths(adjacency) - np.mean(random_l)) / (lengths(lattice) - np.mean(random_l))
    assert 0 < by_c < 1
    assert 0 < by_l < 1
    expected = 1 - np.sqrt((by_c**2 + by_l**2) / 2)
    found = small_world.small_world_propensity_binary(adjacency, n_nulls=300)
    assert found == pytest.approx(expected, abs=0.004)  # of 300 draws each; sd 0.02 of one
    same = small_world.small_world_propensity_weighted(adjacency, n_nulls=300)
    assert same == pytest.approx(found, abs=1e-9)


def test_deviations_stay_within_0_and_1():
    assert small_world._deviation(-1.0, 2.0, 1.0) == 0
    assert small_world._deviation(1.0, 2.0, 1.0) == 0.5
    assert small_world._deviation(3.0, 2.0, 1.0) == 1
    assert np.isnan(small_world._deviation(0.0, 0.0, 1.0))
    caves = networkx.to_numpy_array(networkx.connected_caveman_graph(8, 6))
    assert 0 < small_world.small_world_propensity_binary(caves) < 1


def test_propensity_is_nan_where_lattice_and_random_do_not_differ():
    assert np.isnan(small_world.small_world_propensity_binary(COMPLETE))
    assert np.isnan(small_world.small_world_propensity_weighted(0.4 * COMPLETE))


@pytest.mark.parametrize("wrong", [COMPLETE, COMPLETE[None, :4, :4], COMPLETE[None, None]])
def test_nulls_must_fit(wrong):
    with pytest.raises(ValueError, match=r"nulls must have one axis more .* got shape"):
        normalized.normalized_clustering_binary(COMPLETE, wrong)
