import itertools

import bct
import numpy as np
import pytest
from sklearn import metrics as sk

from brainnet.metrics import partitions
from brainnet.metrics.modules import louvain

COMPARISONS = [
    partitions.variation_of_information,
    partitions.mutual_information,
    partitions.rand_index,
    partitions.adjusted_rand_index,
]
SAME = {partitions.variation_of_information: 0.0}


def some_partitions(n_partitions=7, n_regions=15, seed=0):
    return np.random.default_rng(seed).integers(-1, 3, (n_partitions, n_regions))


def agreement_by_definition(labels, importance):
    n = labels.shape[1]
    expected = np.zeros((n, n))
    for i, j in itertools.permutations(range(n), 2):
        expected[i, j] = sum(
            a for row, a in zip(labels, importance, strict=True) if row[i] == row[j]
        )
    return expected


def test_agreement_is_that_of_bctpy():
    labels = some_partitions()
    np.testing.assert_array_equal(partitions.agreement(labels), bct.agreement(labels.T + 2))
    assert partitions.agreement(labels).dtype == np.int64


def test_agreement_weighted_is_its_definition():
    """Bctpy's raises on every input."""
    labels = some_partitions()
    importance = np.arange(7) + 0.5
    expected = agreement_by_definition(labels, importance / importance.sum())
    found = partitions.agreement_weighted(labels, importance)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(
        partitions.agreement_weighted(labels, np.full(7, 3)), partitions.allegiance(labels)
    )


def test_allegiance_is_agreement_over_the_number_of_partitions():
    labels = some_partitions()
    np.testing.assert_allclose(partitions.allegiance(labels), partitions.agreement(labels) / 7)


@pytest.mark.parametrize("measure", [partitions.agreement, partitions.allegiance])
def test_batches_are_loops(measure):
    labels = np.random.default_rng(1).integers(0, 3, (2, 4, 5, 6))
    together = measure(labels)
    assert together.shape == (2, 4, 6, 6)
    for index in np.ndindex(2, 4):
        np.testing.assert_array_equal(measure(labels[index]), together[index])
    assert measure([[0]]).tolist() == [[0]]


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (partitions.mutual_information, sk.normalized_mutual_info_score),
        (partitions.rand_index, sk.rand_score),
        (partitions.adjusted_rand_index, sk.adjusted_rand_score),
    ],
)
def test_comparisons_are_those_of_scikit_learn(ours, theirs):
    labels = some_partitions(20, 12)
    labels[0], labels[1] = 0, np.arange(12)
    found = ours(labels[:, None], labels)
    for i, j in itertools.product(range(20), repeat=2):
        assert found[i, j] == pytest.approx(theirs(labels[i], labels[j]), abs=1e-12)


def test_distance_is_that_of_bctpy():
    one, other = some_partitions(2, 30)
    vi, mi = bct.partition_distance(one + 2, other + 2)
    assert partitions.variation_of_information(one, other) == pytest.approx(vi, abs=1e-12)
    assert partitions.mutual_information(one, other) == pytest.approx(mi, abs=1e-12)


def test_variation_of_information_is_a_metric():
    labels = some_partitions(12, 10)
    distance = partitions.variation_of_information(labels[:, None], labels)
    np.testing.assert_allclose(distance, distance.T)
    assert (distance[:, None, :] <= distance[:, :, None] + distance[None] + 1e-12).all()
    whole, single = np.zeros(10, int), np.arange(10)
    assert partitions.variation_of_information(whole, single) == pytest.approx(1)


@pytest.mark.parametrize("measure", COMPARISONS)
def test_names_of_modules_do_not_matter(measure):
    labels = some_partitions(1)[0]
    assert measure(labels, 7 - 3 * labels) == pytest.approx(SAME.get(measure, 1.0), abs=1e-12)
    for n in (1, 2, 3):
        for same in (np.zeros(n, int), np.arange(n)):
            assert measure(same, same) == SAME.get(measure, 1.0)


def test_consensus_recovers_modules_from_noise():
    planted = np.repeat(np.arange(4), 10)
    rng = np.random.default_rng(2)
    runs = np.where(rng.random((50, 40)) < 0.25, rng.integers(0, 4, (50, 40)), planted)
    found = partitions.consensus(partitions.allegiance(runs))
    assert found.tolist() == planted.tolist()
    theirs = bct.consensus_und(partitions.allegiance(runs), 0.5, reps=20, seed=1)
    assert partitions.rand_index(found, theirs) == 1


def test_consensus_is_a_fixed_point():
    rng = np.random.default_rng(4)
    weights = np.triu(rng.uniform(0, 1, (50, 50)) * (rng.uniform(0, 1, (50, 50)) < 0.1), 1)
    weights += weights.T
    runs = np.array([louvain(weights, n_runs=1, rng=s) for s in range(30)])
    assert len({tuple(run) for run in runs}) > 1
    found = partitions.consensus(partitions.allegiance(runs), threshold=0.3)
    again = partitions.consensus(partitions.allegiance(np.array([found] * 5)), threshold=0.3)
    assert again.tolist() == found.tolist()


def test_consensus_of_a_batch_is_a_loop():
    shares = partitions.allegiance(np.random.default_rng(3).integers(0, 3, (3, 9, 12)))
    together = partitions.consensus(shares, threshold=0.2, rng=4)
    for each, expected in zip(shares, together, strict=True):
        assert partitions.consensus(each, threshold=0.2, rng=4).tolist() == expected.tolist()
    assert partitions.consensus(np.zeros((3, 3))).tolist() == [0, 1, 2]
    assert partitions.consensus(shares[0], threshold=1).tolist() == list(range(12))


def test_consensus_keeps_pairs_at_the_threshold():
    pair = [[0, 0.5], [0.5, 0]]
    assert partitions.consensus(pair, threshold=0.5).tolist() == [0, 0]
    assert partitions.consensus(pair, threshold=0.51).tolist() == [0, 1]
    triangles = np.kron(np.eye(30), np.ones((3, 3))) - np.eye(90)
    ends = np.arange(2, 90, 3)
    triangles[ends, (ends + 1) % 90] = triangles[(ends + 1) % 90, ends] = 1  # in a ring
    assert len({louvain(triangles, n_runs=1, rng=s).tobytes() for s in range(5)}) > 1
    found = partitions.consensus(triangles, threshold=1, n_runs=97)
    assert (found.reshape(30, 3) == found[::3, None]).all()  # in which all runs agree


def test_consensus_contract(contract):
    contract(lambda w: partitions.consensus(np.where(w == 2, 1, w)), rank=1, reorder=False)


def test_what_does_not_fit_is_refused():
    for wrong in ([0, 1], [[0.5, 1]], np.zeros((0, 3)), [["a", "b"]]):
        with pytest.raises(ValueError, match="partitions must be whole numbers"):
            partitions.agreement(wrong)
    for wrong in ([1.0], [1, -1], [0, 0], [1, np.nan], [1, np.inf]):
        with pytest.raises(ValueError, match="importance must be one number a partition"):
            partitions.agreement_weighted([[0, 1], [0, 0]], wrong)
    for measure in COMPARISONS:
        with pytest.raises(ValueError, match="second must have as many regions"):
            measure([0, 1], [0, 1, 2])
        with pytest.raises(ValueError, match="second must be whole numbers"):
            measure([0, 1], [0, np.nan])
    shares = partitions.allegiance([[0, 0, 1]])
    with pytest.raises(ValueError, match="shares must be from 0 to 1"):
        partitions.consensus(2 * shares)
    with pytest.raises(ValueError, match="threshold must be from 0 to 1"):
        partitions.consensus(shares, threshold=1.5)
    with pytest.raises(ValueError, match="n_runs must be a whole number"):
        partitions.consensus(shares, n_runs=0)
