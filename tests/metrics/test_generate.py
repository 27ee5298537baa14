"""Synthetic networks: exact numbers of edges, their places, their probabilities."""

import networkx as nx
import numpy as np
import pytest
from scipy import stats

from brainnet.metrics import generate

MAKERS = [
    lambda **k: generate.random_network(16, 50, **k),
    lambda **k: generate.ring_lattice(16, 50, **k),
    lambda **k: generate.toeplitz(16, 50, 2.0, **k),
    lambda **k: generate.modular_network(16, 50, 4, **k),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("directed", [False, True])
def test_exact_edges_batches_and_seeds(make, directed):
    drawn = make(directed=directed, n_networks=5, rng=1)
    assert drawn.shape == (5, 16, 16)
    assert drawn.dtype == bool
    assert (drawn.sum(axis=(1, 2)) == (50 if directed else 100)).all()
    assert not drawn.diagonal(axis1=1, axis2=2).any()
    assert directed or (drawn == drawn.swapaxes(1, 2)).all()
    assert len(np.unique(drawn.reshape(5, -1), axis=0)) == 5
    np.testing.assert_array_equal(make(directed=directed, n_networks=2, rng=1), drawn[:2])


def test_all_pairs_are_equally_likely():
    drawn = generate.random_network(6, 4, n_networks=3000)
    found = drawn.sum(axis=0)[np.triu_indices(6, 1)]
    assert found.sum() == 12000
    # each network draws without replacement: the variance is 11/15 of a binomial's
    assert stats.chi2.sf(((found - 800) ** 2 / 800).sum() / (11 / 14), 14) > 1e-3


@pytest.mark.parametrize(
    "degrees", [[3, 2, 2, 2, 1], [0, 0, 0], [0], [5] * 6, [1, 1], [4, 1, 1, 1, 1], [3] * 8]
)
def test_degrees_are_those_wanted(degrees):
    drawn = generate.random_degrees(degrees, n_networks=4)
    np.testing.assert_array_equal(drawn.sum(-1), [degrees] * 4)
    np.testing.assert_array_equal(drawn, drawn.swapaxes(1, 2))
    assert not drawn.diagonal(axis1=1, axis2=2).any()


def test_every_sequence_that_is_graphical_and_no_other():
    for degrees in np.ndindex(5, 5, 5, 5, 5):
        if nx.is_graphical(degrees):
            np.testing.assert_array_equal(generate.random_degrees(degrees)[0].sum(0), degrees)
        else:
            with pytest.raises(ValueError, match="no network has"):
                generate.random_degrees(degrees)


def test_every_directed_sequence_that_is_digraphical_and_no_other():
    for into in np.ndindex(4, 4, 4, 4):
        for out in [(2, 1, 1, 0), (3, 3, 0, 0), (1, 1, 1, 1), (3, 2, 1, 0), (2, 2, 2, 2)]:
            if nx.is_digraphical(into, out):
                (network,) = generate.random_degrees_directed(into, out)
                np.testing.assert_array_equal(network.sum(0), into)
                np.testing.assert_array_equal(network.sum(1), out)
                assert not network.diagonal().any()
            else:
                with pytest.raises(ValueError, match=r"no network has|one sum"):
                    generate.random_degrees_directed(into, out)


def test_ring_lattice_is_the_circulant():
    for n, k in ((9, 1), (9, 2), (10, 3)):
        expected = nx.to_numpy_array(nx.circulant_graph(n, range(1, k + 1))) > 0
        np.testing.assert_array_equal(generate.ring_lattice(n, n * k)[0], expected)
        np.testing.assert_array_equal(
            generate.ring_lattice(n, 2 * n * k, directed=True)[0], expected
        )
    (more,) = generate.ring_lattice(10, 14)
    assert (more & ~generate.ring_lattice(10, 10)[0]).sum() == 8
    assert not (more & ~generate.ring_lattice(10, 20)[0]).any()
    assert generate.ring_lattice(4, 6)[0].sum() == 12


def test_toeplitz_follows_the_curve():
    drawn = generate.toeplitz(40, 1, 1.2, n_networks=4000)
    i, j = np.nonzero(np.triu(drawn.sum(axis=0)))
    distance = np.repeat(j - i, np.triu(drawn.sum(axis=0))[i, j])
    share = np.bincount(distance, minlength=40)[1:8] / len(distance)
    lag = np.arange(1, 40)
    expected = (40 - lag) * np.exp(-((lag - 0.5) ** 2) / 2.88)
    expected = (expected / expected.sum())[:7]
    np.testing.assert_allclose(share, expected, atol=4 * np.sqrt(0.25 / 4000))


def test_modules_are_complete():
    (network,) = generate.modular_network(10, 20, 4)
    module = np.arange(10) // 4
    inside = module[:, None] == module
    assert network[inside & ~np.eye(10, dtype=bool)].all()
    assert network[~inside].sum() == 2 * (20 - 6 - 6 - 1)
    with pytest.raises(ValueError, match="n_edges must be a whole number, from 13 to 45"):
        generate.modular_network(10, 12, 4)


@pytest.mark.parametrize("directed", [False, True])
def test_fractal_densities(directed):
    drawn = generate.fractal(5, 2, 3.0, directed=directed, n_networks=400).mean(axis=0)
    block = np.arange(32)
    for h, share in ((2, 1), (3, 1 / 3), (4, 1 / 9), (5, 1 / 27)):
        common = (block[:, None] >> h) == (block >> h)
        inner = (block[:, None] >> (h - 1)) == (block >> (h - 1))
        assert drawn[common & ~inner].mean() == pytest.approx(share, abs=0.005)
    assert generate.fractal(0, 0, 2.0).shape == (1, 1, 1)


@pytest.mark.parametrize(
    "wrong, word",
    [
        (lambda: generate.random_network(4, 7), "n_edges"),
        (lambda: generate.random_network(0, 0), "n_regions"),
        (lambda: generate.random_network(4, 2.5), "n_edges"),
        (lambda: generate.random_network(4, 2, n_networks=0), "n_networks"),
        (lambda: generate.toeplitz(4, 2, 0), "width"),
        (lambda: generate.fractal(3, 4, 2), "module_level"),
        (lambda: generate.fractal(3, 1, 0.5), "decay"),
        (lambda: generate.random_degrees([1.5, 1]), "degrees"),
        (lambda: generate.random_degrees([-1, 1]), "degrees"),
        (lambda: generate.random_degrees_directed([1, 0], [1]), "one length"),
    ],
)
def test_what_users_do_wrong(wrong, word):
    with pytest.raises(ValueError, match=word):
        wrong()


def test_smallest_networks():
    assert generate.random_network(1, 0).shape == (1, 1, 1)
    assert generate.ring_lattice(2, 1)[0].tolist() == [[False, True], [True, False]]
    assert generate.toeplitz(1, 0, 1.0).sum() == 0
