"""Attacks: graphs by hand, and each step of removal measured on its own."""

import networkx
import numpy as np
import pytest

from brainnet.metrics import attack, attack_order, efficiency

STAR = networkx.to_numpy_array(networkx.star_graph(4))
COMPLETE = np.ones((5, 5)) - np.eye(5)
KINDS = range(6)
CURVES = [
    (attack.component_under_attack, {"binary": True}),
    (attack.efficiency_under_attack_binary, {"binary": True}),
    (attack.efficiency_under_attack_weighted, {}),
]
ORDERS = [
    (attack_order.attack_order_degree_recomputed, {"binary": True}),
    (attack_order.attack_order_betweenness_recomputed_binary, {"binary": True}),
    (attack_order.attack_order_strength_recomputed, {}),
    (attack_order.attack_order_betweenness_recomputed_weighted, {}),
]


@pytest.mark.parametrize("measure, options", CURVES)
def test_contract_of_curves(contract, measure, options):
    order = np.random.default_rng(0).permutation(12)
    contract(
        lambda a: measure(a, order)[..., 1:], rank=1, reorder=False, **options
    )  # 12 of 13 points


@pytest.mark.parametrize("measure, options", ORDERS)
def test_contract_of_orders(contract, measure, options):
    contract(measure, rank=1, reorder=False, **options)


@pytest.mark.parametrize("measure, options", CURVES)
def test_order_of_regions_does_not_matter(all_kinds, measure, options):
    rng = np.random.default_rng(1)
    order, places = rng.permutation(12), rng.permutation(12)
    renamed = np.argsort(places)[order]
    for network in all_kinds(**options).reshape(6, 12, 12):
        expected = measure(network, order)
        mixed = measure(network[np.ix_(places, places)], renamed)
        np.testing.assert_allclose(mixed, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_curves_step_by_step(all_kinds, kind):
    network = all_kinds().reshape(6, 12, 12)[kind]
    orders = np.array([np.random.default_rng(seed).permutation(12) for seed in range(3)])
    component = attack.component_under_attack(network > 0, orders)
    binary = attack.efficiency_under_attack_binary(network > 0, orders)
    weighted = attack.efficiency_under_attack_weighted(network, orders)
    assert component.shape == binary.shape == weighted.shape == (3, 13)
    for k in range(3):
        for r in range(13):
            rest = orders[k, r:]
            left = network[np.ix_(rest, rest)]
            graph = networkx.from_numpy_array(left)
            sizes = [len(each) for each in networkx.connected_components(graph)]
            assert component[k, r] == max(sizes, default=0) / 12
            expected = networkx.global_efficiency(graph) if r < 11 else 0
            assert binary[k, r] == pytest.approx(expected, rel=1e-12)
            expected = efficiency.global_efficiency(left) if r < 11 else 0
            assert weighted[k, r] == pytest.approx(expected, rel=1e-12)


def test_batches_of_networks_and_orders(all_kinds):
    batch = all_kinds()
    orders = attack_order.attack_order_random(batch, n_orders=4, rng=2)
    assert orders.shape == (3, 2, 4, 12)
    np.testing.assert_array_equal(
        np.sort(orders, axis=-1), np.broadcast_to(np.arange(12), orders.shape)
    )
    np.testing.assert_array_equal(
        orders, attack_order.attack_order_random(batch, n_orders=4, rng=2)
    )
    assert (orders != attack_order.attack_order_random(batch, n_orders=4, rng=3)).any()
    assert len({each.tobytes() for each in orders.reshape(-1, 12)}) == 24
    curves = attack.efficiency_under_attack_weighted(batch, orders)
    assert curves.shape == (3, 2, 4, 13)
    for i in np.ndindex(3, 2):
        np.testing.assert_array_equal(
            curves[i], attack.efficiency_under_attack_weighted(batch[i], orders[i])
        )
    shared = attack.efficiency_under_attack_weighted(batch, orders[0, 0, 0])
    np.testing.assert_array_equal(shared[0, 0], curves[0, 0, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_recomputed_orders_step_by_step(all_kinds, kind):
    network = all_kinds().reshape(6, 12, 12)[kind]
    graph = networkx.from_numpy_array(network)
    for *_, edge in graph.edges(data=True):
        edge["length"] = 1 / edge["weight"]
    scores = {
        attack_order.attack_order_degree_recomputed: lambda g: dict(g.degree()),
        attack_order.attack_order_strength_recomputed: lambda g: dict(g.degree(weight="weight")),
        attack_order.attack_order_betweenness_recomputed_binary: networkx.betweenness_centrality,
        attack_order.attack_order_betweenness_recomputed_weighted: lambda g: (
            networkx.betweenness_centrality(g, weight="length")
        ),
    }
    for measure, score in scores.items():
        weighted = "strength" in measure.__name__ or "weighted" in measure.__name__
        order = measure(network if weighted else network > 0)
        rest = graph.copy()
        for i in order:
            values = score(rest)
            best = max(values.values())
            assert values[i] == pytest.approx(best, abs=1e-9)
            if not weighted:  # of equal ones, the first
                assert i == min(j for j in values if values[j] > best - 1e-9)
            rest.remove_node(i)


def test_attack_order():
    np.testing.assert_array_equal(attack_order.attack_order([2, 5, np.nan, 5]), [1, 3, 0, 2])
    assert attack_order.attack_order(np.zeros((2, 3, 4))).shape == (2, 3, 4)
    assert attack_order.attack_order([True, False]).dtype == np.int64
    for wrong in (1.0, []):
        with pytest.raises(ValueError, match=r"scores must be .* got"):
            attack_order.attack_order(wrong)


def test_by_hand():
    by_degree = attack.component_under_attack(STAR, attack_order.attack_order(STAR.sum(axis=0)))
    np.testing.assert_allclose(by_degree, [1, 0.2, 0.2, 0.2, 0.2, 0])
    assert attack.area_under_attack(by_degree) == pytest.approx((0.5 + 0.8) / 5)
    last = attack.component_under_attack(STAR, [1, 2, 3, 4, 0])
    np.testing.assert_allclose(last, [1, 0.8, 0.6, 0.4, 0.2, 0])
    assert attack.area_under_attack(last) == pytest.approx(0.5)
    complete = attack.efficiency_under_attack_binary(COMPLETE, range(5))
    np.testing.assert_allclose(complete, [1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(attack.component_under_attack([[0]], [0]), [1, 0])
    np.testing.assert_array_equal(attack.efficiency_under_attack_weighted([[0.0]], [0]), [0, 0])
    empty = attack.component_under_attack(np.zeros((4, 4)), [3, 2, 1, 0])
    np.testing.assert_allclose(empty, [0.25] * 4 + [0])
    np.testing.assert_array_equal(attack_order.attack_order_degree_recomputed(STAR), range(5))
    for measure, _ in ORDERS:
        np.testing.assert_array_equal(measure([[0]]), [0])
        np.testing.assert_array_equal(measure(np.zeros((3, 3))), [0, 1, 2])


@pytest.mark.parametrize(
    "order", [[0, 1, 2, 3], [0, 1, 2, 3, 3], [0.0, 1, 2, 3, 4], [1, 2, 3, 4, 5], 3]
)
def test_orders_are_checked(order):
    for measure, _ in CURVES:
        with pytest.raises(ValueError, match=r"order must hold .* got shape"):
            measure(STAR, order)


def test_orders_must_fit_the_networks():
    with pytest.raises(ValueError, match="order must hold"):
        attack.component_under_attack([STAR, STAR], [[0, 1, 2, 3, 4]] * 3)
    with pytest.raises(ValueError, match=r"n_orders must be .* got 0"):
        attack_order.attack_order_random(STAR, n_orders=0)
    for wrong in (1.0, [1.0], np.zeros((3, 1))):
        with pytest.raises(ValueError, match=r"curve must be .* got"):
            attack.area_under_attack(wrong)
