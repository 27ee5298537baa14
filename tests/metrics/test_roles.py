import bct
import numpy as np
import pytest

from brainnet.metrics import betweenness, roles

LABELS = np.array([0, 0, 1, 1, 1, 2, 2, 5, 5, 5, -3, -3])
PLAIN = [
    roles.participation_coefficient,
    roles.diversity_coefficient,
    roles.gateway_coefficient_strength,
    roles.gateway_coefficient_betweenness,
    roles.within_module_z,
]
DIRECTED = [
    roles.participation_coefficient_out,
    roles.participation_coefficient_in,
    roles.within_module_z_out,
    roles.within_module_z_in,
    roles.within_module_z_directed,
]
SIGNED = [roles.participation_coefficient_signed, roles.diversity_coefficient_signed]
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def with_labels(measure):
    """The measure with fixed labels."""
    return lambda weights: measure(weights, LABELS)


@pytest.mark.parametrize("measure", PLAIN)
def test_contract(contract, measure):
    contract(with_labels(measure), rank=1, reorder=False)


@pytest.mark.parametrize("measure", DIRECTED)
def test_contract_directed(contract, measure):
    contract(with_labels(measure), rank=1, directed=True, reorder=False)


@pytest.mark.parametrize("measure", SIGNED)
@pytest.mark.parametrize("part", [0, 1])
def test_contract_signed(contract, measure, part):
    contract(lambda w: measure(w, LABELS)[part], rank=1, signed=True, reorder=False)


@pytest.mark.parametrize("measure", PLAIN + DIRECTED)
def test_order_of_regions_and_names_of_modules_do_not_matter(weights, measure):
    labels = np.random.default_rng(0).integers(0, 4, 23)
    order = np.random.default_rng(1).permutation(23)
    expected = measure(weights, labels)[order]
    found = measure(weights[np.ix_(order, order)], 10 - 3 * labels[order])
    np.testing.assert_allclose(found, expected, **CLOSE)


@pytest.mark.parametrize("measure", PLAIN + DIRECTED)
def test_scale_does_not_matter(weights, measure):
    labels = np.arange(23) % 4
    for scale in (1e-9, 1e9):
        np.testing.assert_allclose(measure(scale * weights, labels), measure(weights, labels))


@pytest.mark.parametrize("measure", PLAIN + DIRECTED)
def test_degenerate_networks_are_0(measure):
    for n in (1, 2, 3):
        assert measure(np.zeros((n, n)), np.arange(n)).tolist() == [0] * n
        assert measure(np.zeros((n, n)), np.zeros(n, int)).tolist() == [0] * n
    expected = 1.0 if measure is roles.gateway_coefficient_strength else 0.0
    pair = measure([[0, 3], [3, 0]], [0, 0])  # through a gate: all of the half of all centrality
    np.testing.assert_allclose(pair, [0.75 * expected] * 2, **CLOSE)


def test_closed_forms():
    wheel = np.zeros((7, 7))
    wheel[0, 1:] = wheel[1:, 0] = 1
    labels = [0, 0, 0, 1, 1, 2, 2]
    assert roles.participation_coefficient(wheel, labels)[0] == pytest.approx(2 / 3)
    assert roles.diversity_coefficient(wheel, labels)[0] == pytest.approx(1)
    halves = roles.diversity_coefficient(wheel, [0, 0, 0, 0, 1, 1, 1])
    assert halves[0] == pytest.approx(1)
    assert roles.diversity_coefficient(wheel, [0, 1, 1, 1, 2, 2, 2])[0] == pytest.approx(
        np.log(2) / np.log(3)
    )
    assert roles.within_module_z(wheel, np.zeros(7, int))[0] == pytest.approx(np.sqrt(6))
    ring = np.roll(np.eye(4), 1, axis=1)  # 0 -> 1 -> 2 -> 3 -> 0
    ring[0, 2] = 1
    assert roles.participation_coefficient_out(ring, [0, 0, 1, 1]).tolist() == [0.5, 0, 0, 0]
    assert roles.participation_coefficient_in(ring, [0, 1, 1, 0]).tolist() == [0, 0, 0.5, 0]


def test_region_that_is_the_only_way_between_modules():
    """Two triangles joined by 2-3: 2 and 3 carry all that is between them."""
    weights = np.kron(np.eye(2), np.ones((3, 3))) - np.eye(6)
    weights[2, 3] = weights[3, 2] = 1
    found = roles.gateway_coefficient_strength(weights, [0, 0, 0, 1, 1, 1])
    # centralities 2, 2, 3 | 3, 2, 2: at most 7 in a module
    outer = 1 - (1 - 2 / 3 * 5 / 7) ** 2
    within, across = 1 - 2 / 3 * 4 / 7, 1 - 3 / 7
    gate = 1 - (2 / 3 * within) ** 2 - (1 / 3 * across) ** 2
    np.testing.assert_allclose(found, [outer, outer, gate, gate, outer, outer], **CLOSE)


def gateway_by_definition(weights, labels, z):
    groups = sorted(set(labels.tolist()))
    most = max(z[labels == c].sum() for c in groups)
    value = np.zeros(len(weights))
    for i, row in enumerate(weights):
        if not row.any():
            continue
        value[i] = 1.0
        for c in groups:
            mine = labels == labels[i]
            all_edges = weights[np.ix_(mine, labels == c)].sum() / (1 + (c == labels[i]))
            carried = row[labels == c].sum() / all_edges if all_edges else 0.0
            reached = z[(labels == c) & (row > 0)].sum() / most if most else 0.0
            value[i] -= (row[labels == c].sum() / row.sum() * (1 - carried * reached)) ** 2
    return value


@pytest.mark.parametrize("tied", [False, True])
def test_gateway_is_its_definition(weights, tied):
    """Bctpy sums over all modules at once and mixes up the neighbours' places; so do not ask it."""
    weights = np.ceil(3 * weights) if tied else weights
    labels = np.random.default_rng(2).integers(0, 5, 23)
    labels[4] = 9  # a module of its own
    expected = gateway_by_definition(weights, labels, weights.sum(axis=1))
    found = roles.gateway_coefficient_strength(weights, labels)
    np.testing.assert_allclose(found, expected, **CLOSE)
    expected = gateway_by_definition(weights, labels, betweenness.betweenness_weighted(weights))
    found = roles.gateway_coefficient_betweenness(weights, labels)
    np.testing.assert_allclose(found, expected, **CLOSE)
    assert (found >= roles.participation_coefficient(weights, labels) - 1e-12).all()


def test_betweenness_of_a_complete_network_leaves_participation():
    complete = 1.0 - np.eye(6)
    labels = [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(
        roles.gateway_coefficient_betweenness(complete, labels),
        roles.participation_coefficient(complete, labels),
        **CLOSE,
    )


def directed_network(tied):
    rng = np.random.default_rng(3)
    weights = rng.random((20, 20)) * (rng.random((20, 20)) < 0.4) * (1 - np.eye(20))
    weights[:, 4] = weights[7] = 0
    return np.ceil(2 * weights) if tied else weights


@pytest.mark.parametrize("tied", [False, True])
def test_directed_are_those_of_bctpy(tied):
    weights = directed_network(tied)
    labels = np.arange(20) % 3 + 1
    for measure, how in (("out", "out"), ("in", "in")):
        with np.errstate(invalid="ignore"):  # 0 / 0 for regions without edges
            theirs = bct.participation_coef(weights, labels, degree=how)
        ours = getattr(roles, f"participation_coefficient_{measure}")(weights, labels)
        np.testing.assert_allclose(ours, theirs, **CLOSE)
    for flag, name in ((1, "out"), (2, "in"), (3, "directed")):
        theirs = bct.module_degree_zscore(weights, labels, flag=flag)
        ours = getattr(roles, f"within_module_z_{name}")(weights, labels)
        np.testing.assert_allclose(ours, theirs, **CLOSE)


@pytest.mark.parametrize("tied", [False, True])
def test_signed_are_those_of_bctpy(tied):
    rng = np.random.default_rng(4)
    weights = np.triu(rng.normal(size=(20, 20)), 1)
    weights = np.round(weights) if tied else weights
    weights += weights.T
    labels = np.arange(20) % 4 + 1
    for ours, theirs in (
        (roles.participation_coefficient_signed, bct.participation_coef_sign),
        (roles.diversity_coefficient_signed, bct.diversity_coef_sign),
    ):
        for part, expected in zip(ours(weights, labels), theirs(weights, labels), strict=True):
            np.testing.assert_allclose(part, expected, **CLOSE)


def test_undirected_are_those_of_bctpy(weights):
    labels = np.arange(23) % 4 + 1
    with np.errstate(invalid="ignore"):  # 0 / 0 for regions without edges
        theirs = bct.participation_coef(weights, labels)
    np.testing.assert_allclose(roles.participation_coefficient(weights, labels), theirs, **CLOSE)
    np.testing.assert_allclose(
        roles.within_module_z(weights, labels), bct.module_degree_zscore(weights, labels), **CLOSE
    )


def test_one_module_has_no_diversity(weights):
    assert not roles.diversity_coefficient(weights, np.zeros(23, int)).any()


@pytest.mark.parametrize("measure", PLAIN + DIRECTED + SIGNED)
def test_modules_that_do_not_fit_are_refused(weights, measure):
    for wrong in (np.zeros(22, int), np.full(23, 0.5), np.array(["a"] * 23)):
        with pytest.raises(ValueError, match="modules must be whole numbers"):
            measure(weights, wrong)
