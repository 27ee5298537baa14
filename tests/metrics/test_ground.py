"""What all measures stand on: checks, threads over networks, bits, random numbers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from brainnet.metrics import _checks, _compile, clustering, cores, degree, rich_club, unmeasured
from brainnet.metrics._bits import count_ones, lowest_one, pack
from brainnet.metrics._random import draw_seeds, random_below, random_unit, shuffle


@_compile.kernel
def add_up(network, scale, out):
    out[0] = network.sum() * scale


@_compile.kernel
def ones_and_lowest(words, out):
    for i in range(len(words)):
        out[i, 0] = count_ones(words[i])
        out[i, 1] = lowest_one(words[i])


def test_threads_over_networks_change_nothing(monkeypatch):
    networks = np.random.default_rng(0).random((3, 5, 40, 40))
    expected = 2.0 * networks.sum(axis=(-2, -1))
    monkeypatch.setattr(_compile, "WORTH_A_THREAD", 0)
    for threads in ("1", "2", "4"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        assert _compile.n_threads() == int(threads)
        found = _compile.over_networks(add_up, networks, constants=(2.0,))
        assert found.shape == (3, 5)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_all_processors_unless_told(monkeypatch):
    for said in ("", "many", "0"):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        assert _compile.n_threads() == len(os.sched_getaffinity(0))


def test_an_error_in_a_thread_is_raised(monkeypatch):
    monkeypatch.setattr(_compile, "WORTH_A_THREAD", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")

    def fails(network, out):
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        _compile.over_networks(fails, np.zeros((4, 2, 2)))


def test_where_nothing_can_be_cached_kernels_still_compile(tmp_path: Path):
    """A package that was read from an archive has no folder for the cache."""
    source = "def doubled(x):\n    return 2 * x\n"
    program = (
        "from brainnet.metrics._compile import kernel\n"
        f"place = {{}}; exec(compile({source!r}, '<no file>', 'exec'), place)\n"
        "assert kernel(place['doubled'])(21) == 42\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


@pytest.mark.parametrize("n", [1, 3, 63, 64, 65, 130])
def test_bits(n):
    adjacency = np.random.default_rng(n).random((n, n)) < 0.4
    bits = np.zeros((n, (n + 63) // 64), dtype=np.uint64)
    pack(adjacency, bits)
    unpacked = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")
    np.testing.assert_array_equal(unpacked[:, :n], adjacency)
    assert not unpacked[:, n:].any()


@pytest.mark.parametrize("n", [1, 5, 64, 65, 130])
def test_checked_bits(n):
    edges = np.triu(np.random.default_rng(n).random((3, n, n)) < 0.3, 1)
    edges |= np.swapaxes(edges, -1, -2)
    expected = np.zeros((3, n, (n + 63) // 64), dtype=np.uint64)
    for network, bits in zip(edges, expected, strict=True):
        pack(network, bits)
    for given in (edges, edges.astype(float), np.asfortranarray(edges)):
        np.testing.assert_array_equal(_checks.check_bits(given), expected)


@pytest.mark.parametrize("n", [2, 63, 64, 65, 130])
def test_one_edge_in_one_direction_is_found_wherever_it_is(n):
    for i, j in np.random.default_rng(n).integers(0, n, (40, 2)):
        edges = np.zeros((2, n, n), dtype=bool)
        edges[1, i, j] = True
        if i == j:
            with pytest.raises(ValueError, match="zero diagonal"):
                _checks.check_bits(edges, directed=True)
            continue
        with pytest.raises(ValueError, match="symmetric"):
            _checks.check_bits(edges)
        assert _checks.check_bits(edges, directed=True)[1, i, j // 64] == 1 << int(j % 64)


def test_bits_of_what_is_no_network():
    for wrong in (np.zeros((2, 3), bool), np.zeros(3, bool), np.zeros((0, 3, 3), bool)):
        with pytest.raises(ValueError, match="square"):
            _checks.check_bits(wrong)
    with pytest.raises(ValueError, match="boolean"):
        _checks.check_bits([[0, 2], [2, 0]])
    with pytest.raises(ValueError, match="NaN"):
        _checks.check_bits(np.full((2, 2), np.nan))


def test_words():
    words = np.array([1, 2**63, 12, 2**64 - 1], dtype=np.uint64)
    out = np.zeros((4, 2), dtype=np.int64)
    ones_and_lowest(words, out)
    assert out.tolist() == [[1, 0], [1, 63], [2, 2], [64, 0]]


def test_random_numbers():
    few, many = draw_seeds(5, (3,)), draw_seeds(5, (10,))
    np.testing.assert_array_equal(few, many[:3])
    assert len(set(many.tolist())) == 10
    state = many[:1].copy()
    drawn = np.array([random_below(state, 7) for _ in range(14_000)])
    counts = np.bincount(drawn, minlength=7)
    assert len(counts) == 7
    assert ((counts - 2000) ** 2 / 2000).sum() < 22.5  # chi-square, 6 degrees: p = 0.001
    units = np.array([random_unit(state) for _ in range(20_000)])
    assert units.min() >= 0
    assert units.max() < 1
    assert units.mean() == pytest.approx(0.5, abs=0.01)
    orders = []
    for _ in range(6000):
        items = np.arange(3)
        shuffle(state, items)
        orders.append(tuple(items.tolist()))
    counts = np.array([orders.count(each) for each in set(orders)])
    assert len(counts) == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5  # 5 degrees


def test_checked_networks_are_not_copied(weights):
    assert _checks.check_weights(weights) is weights
    edges = weights > 0
    assert _checks.check_adjacency(edges) is edges


def test_rounding_is_not_asymmetry(weights):
    skewed = weights.copy()
    skewed[0, 1] *= 1 + 1e-14
    checked = _checks.check_weights(skewed)
    np.testing.assert_array_equal(checked, checked.T)
    np.testing.assert_allclose(degree.strength(skewed), degree.strength(weights), rtol=1e-13)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda w: w[:-1], "square over its last two axes.*Pass networks as"),
        (lambda w: w[0], "square"),
        (lambda w: np.zeros((0, 3, 3)), "square"),
        (lambda w: np.where(w > 0, np.inf, w), "finite.*Find the region"),
        (lambda w: np.where(w > 0, np.nan, w), "NaN"),
        (lambda w: -w, "non-negative; got minimum.*threshold.positive"),
        (lambda w: np.triu(w), "symmetric.*directed"),
        (lambda w: w + np.eye(23), "zero diagonal.*Set the diagonal to 0"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(weights, change, message):
    with pytest.raises(ValueError, match=message):
        _checks.check_weights(change(weights))


def test_modules_are_numbered_by_first_appearance():
    networks = np.zeros((2, 5, 5))
    found = _checks.check_modules([[7, -1, 7, 3, -1], [0, 0, 1, 1, 2]], networks)
    assert found.tolist() == [[0, 1, 0, 2, 1], [0, 0, 1, 1, 2]]
    assert _checks.check_modules([True, False, True, True, False], networks).shape == (2, 5)
    for wrong in (
        [0, 1],
        [0.5] * 5,
        [np.nan] * 5,
        [np.inf] * 5,
        [1e300] * 5,
        np.zeros((3, 5), int),
        ["a"] * 5,
    ):
        with pytest.raises(ValueError, match="modules must be whole numbers of shape"):
            _checks.check_modules(wrong, networks)


def holed(weights):
    batch = np.array([[weights, weights], [2 * weights, weights]])
    batch[1, 0, 4] = batch[1, 0, :, 4] = np.nan
    batch[0, 1] = np.nan
    return batch


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_measure_of_the_rest(weights, rank):
    measure = {
        0: clustering.transitivity_weighted,
        1: clustering.clustering_weighted,
        2: lambda w: w * 3,
    }[rank]
    found = unmeasured.measure_rest(measure, holed(weights))
    assert found.shape == (2, 2) + (23,) * rank
    assert np.isnan(found[0, 1]).all()
    np.testing.assert_allclose(found[1, 1], measure(weights), rtol=1e-12)
    inside = np.delete(np.arange(23), 4)
    expected = measure(2 * weights[np.ix_(inside, inside)])
    np.testing.assert_allclose(found[1, 0][np.ix_(*[inside] * rank)], expected, rtol=1e-12)
    if rank:
        assert np.isnan(found[1, 0, 4]).all()


def test_measures_of_the_rest_refuse_what_they_cannot_place(weights):
    with pytest.raises(ValueError, match="one per region"):
        unmeasured.measure_rest(lambda w: np.zeros((len(w), 4)), weights)
    with pytest.raises(ValueError, match="at least one network"):
        unmeasured.measure_rest(degree.strength, np.full((3, 3), np.nan))
    half = weights.copy()
    half[2, 3] = half[3, 2] = np.nan
    with pytest.raises(ValueError, match="whole regions only"):
        unmeasured.measure_rest(degree.strength, half)


def test_what_is_not_of_regions_is_not_put_back_in_place(weights):
    for measure in (rich_club.rich_club_weighted, cores.k_core_sizes):
        with pytest.raises(ValueError, match=r"levels, or number the regions.*drop_everywhere"):
            unmeasured.measure_rest(measure, holed(weights))


def test_counts_are_whole_numbers():
    assert _checks.check_count(3.0, "n_runs") == 3
    for wrong in (0, 1.5, np.nan, np.inf, -1):
        with pytest.raises(ValueError, match=r"n_runs must be a whole number of at least 1"):
            _checks.check_count(wrong, "n_runs")


def test_every_module_of_measures_is_there():
    from brainnet import metrics

    files = {each.stem for each in Path(metrics.__file__).parent.iterdir() if each.stem[0] != "_"}
    assert files - {"BCT"} == set(metrics.__all__) == set(dir(metrics))
    for name in metrics.__all__:
        assert getattr(metrics, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'degrees'"):
        metrics.degrees  # noqa: B018


def test_regions_dropped_everywhere(weights):
    batch = holed(weights)[[1]]
    found, kept = unmeasured.drop_everywhere(batch)
    assert np.flatnonzero(~kept).tolist() == [4]
    np.testing.assert_array_equal(found[0, 1], np.delete(np.delete(weights, 4, 0), 4, 1))
    with pytest.raises(ValueError, match="measured in every network"):
        unmeasured.drop_everywhere(holed(weights))
