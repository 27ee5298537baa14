"""What every measure owes: batches, order of regions, scale, ranges, refusals."""

import numpy as np
import pytest

from brainnet.metrics import (
    betweenness,
    centrality,
    clustering,
    degree,
    efficiency,
    modules,
    paths,
    roles,
)

LABELS = np.array([i % 4 for i in range(20)] + [4, 4, 5])


def with_labels(measure):
    def measured(weights):
        return measure(weights, LABELS)

    measured.__name__ = measure.__name__
    return measured


# measure of weights, rank of the result per network, power of the scale that it follows
WEIGHTED = [
    (degree.strength, 1, 1),
    (paths.distances_weighted, 2, -1),
    (efficiency.global_efficiency, 0, 1),
    (efficiency.local_efficiency_weighted, 1, 1),
    (clustering.clustering_weighted, 1, 0),
    (clustering.transitivity_weighted, 0, 0),
    (betweenness.betweenness_weighted, 1, 0),
    (centrality.eigenvector_centrality, 1, 0),
]
BINARY = [
    (degree.degree, 1),
    (degree.density, 0),
    (paths.distances_binary, 2),
    (efficiency.global_efficiency_binary, 0),
    (efficiency.local_efficiency_binary, 1),
    (clustering.clustering_binary, 1),
    (clustering.transitivity_binary, 0),
    (betweenness.betweenness_binary, 1),
]
LENGTHS = [
    (paths.characteristic_path_length, 0),
    (paths.eccentricity, 1),
    (paths.radius, 0),
    (paths.diameter, 0),
    (paths.n_components, 0),
]
WITH_MODULES = [
    (modules.modularity, 0),
    (roles.participation_coefficient, 1),
    (roles.within_module_z, 1),
]


def name(case):
    return getattr(case, "__name__", None)


def of_weights(weights):
    """Each measure's name, rank, and its function of non-negative weights."""
    cases = [(measure, rank, measure) for measure, rank, _ in WEIGHTED]
    cases += [(m, rank, lambda w, m=m: m(w > 0)) for m, rank in BINARY]
    cases += [(m, rank, lambda w, m=m: m(paths.distances_weighted(w))) for m, rank in LENGTHS]
    cases += [(m, rank, lambda w, m=m: m(paths.distances_binary(w > 0))) for m, rank in LENGTHS]
    return cases


ALL = of_weights(None)


@pytest.mark.parametrize("measure, rank, function", ALL, ids=name)
def test_shape_in_shape_out_and_a_batch_is_a_loop(modular, measure, rank, function):
    batch = np.array(
        [[modular(12, density=d, seed=s) for s in range(3)] for d in (0.1, 0.4)]
    )  # the sparse ones are in pieces
    result = function(batch)
    assert result.shape == (2, 3) + (12,) * rank
    assert result.dtype == np.float64
    for i in range(2):
        for j in range(3):
            np.testing.assert_allclose(result[i, j], function(batch[i, j]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("measure, rank, function", ALL, ids=name)
def test_order_of_regions_does_not_matter(weights, measure, rank, function):
    order = np.random.default_rng(0).permutation(len(weights))
    expected = function(weights)
    for _ in range(rank):
        expected = np.moveaxis(expected[order], 0, -1)
    result = function(weights[np.ix_(order, order)])
    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("measure, rank, scaling", WEIGHTED, ids=name)
def test_scale(weights, measure, rank, scaling):
    for scale in (1e-6, 7.0, 1e6):
        np.testing.assert_allclose(
            measure(scale * weights), measure(weights) * scale**scaling, rtol=1e-10, atol=0
        )


@pytest.mark.parametrize("measure, rank", WITH_MODULES, ids=name)
def test_with_modules(weights, measure, rank):
    result = measure(weights, LABELS)
    assert result.shape == (23,) * rank
    np.testing.assert_allclose(measure(5e3 * weights, LABELS), result, atol=1e-12)
    np.testing.assert_allclose(measure(weights, -7 * LABELS + 2), result, atol=1e-12)
    order = np.random.default_rng(0).permutation(23)
    reordered = measure(weights[np.ix_(order, order)], LABELS[order])
    np.testing.assert_allclose(reordered, result[order] if rank else result, atol=1e-12)
    batch = measure(np.stack([weights, 2 * weights]), np.stack([LABELS, LABELS[::-1]]))
    np.testing.assert_allclose(batch[0], result, atol=1e-12)
    np.testing.assert_allclose(batch[1], measure(weights, LABELS[::-1]), atol=1e-12)
    np.testing.assert_allclose(measure(np.stack([weights] * 2), LABELS)[1], result, atol=1e-12)


def test_an_isolated_region_changes_no_other_region(weights):
    more = np.pad(weights, (0, 1))
    for measure, rank, function in ALL:
        if rank == 1 and measure not in (
            betweenness.betweenness_weighted,
            betweenness.betweenness_binary,
        ):
            np.testing.assert_allclose(
                function(more)[:-1],
                function(weights),
                rtol=1e-10,
                atol=1e-12,
                err_msg=name(measure),
            )


def test_betweenness_adds_up_to_the_inner_regions_of_all_paths(weights):
    n = len(weights)
    hops = paths.distances_binary(weights > 0)
    inner = (hops[np.isfinite(hops) & (hops > 0)] - 1).sum()
    total = betweenness.betweenness_binary(weights > 0).sum() * (n - 1) * (n - 2)
    assert total == pytest.approx(inner, rel=1e-12)


def test_eigenvector_centrality_is_an_eigenvector(weights):
    vector = centrality.eigenvector_centrality(weights)
    largest = np.linalg.eigvalsh(weights)[-1]
    np.testing.assert_allclose(weights @ vector, largest * vector, atol=1e-12)
    assert vector.min() >= 0
    assert np.linalg.norm(vector) == pytest.approx(1)


@pytest.mark.parametrize("measure", [m for m, *_ in WEIGHTED + WITH_MODULES] + [modules.louvain])
def test_weights_are_checked(weights, measure):
    function = with_labels(measure) if measure in [m for m, _ in WITH_MODULES] else measure
    holed = weights.copy()
    holed[3] = holed[:, 3] = np.nan
    with pytest.raises(ValueError, match=r"weights must not hold NaN.*Choose what to do"):
        function(holed)
    with pytest.raises(ValueError, match="symmetric"):
        function(weights + np.triu(weights))
    with pytest.raises(ValueError, match="zero diagonal"):
        function(weights + np.eye(len(weights)))
    if measure is not degree.strength:
        with pytest.raises(ValueError, match="non-negative; got minimum"):
            function(-weights)


@pytest.mark.parametrize("measure", [m for m, _ in BINARY])
def test_adjacency_is_checked(weights, measure):
    with pytest.raises(ValueError, match="must be boolean or hold only 0 and 1"):
        measure(weights)
    with pytest.raises(ValueError, match="NaN"):
        measure(np.full((3, 3), np.nan))


@pytest.mark.parametrize("measure", [m for m, _ in LENGTHS])
def test_distances_are_checked(weights, measure):
    distances = paths.distances_weighted(weights)
    for bad, message in [
        (distances[:-1], "square"),
        (distances + 1, "0 on the diagonal"),
        (-distances, "non-negative"),
        (np.full((2, 2), np.nan), "NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            measure(bad)


@pytest.mark.parametrize("labels", [LABELS[:-1], LABELS + 0.5, LABELS * np.nan, LABELS[None]])
def test_modules_are_checked(weights, labels):
    for measure, _ in WITH_MODULES:
        with pytest.raises(ValueError, match="modules must be whole numbers"):
            measure(weights, labels)


def test_strength_is_signed():
    np.testing.assert_allclose(degree.strength([[0, -2.0], [-2.0, 0]]), -2)
