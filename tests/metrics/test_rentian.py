"""Rentian scaling: lattices whose exponents are known, counts by hand, contracts."""

import networkx
import numpy as np
import pytest

from brainnet.metrics import rentian

LINE = networkx.to_numpy_array(networkx.path_graph(6))
PLACES = np.arange(6.0)[:, None]


def lattice(*sides):
    """Neighbours on a grid without borders, and where they are."""
    graph = networkx.grid_graph(sides, periodic=True)
    return networkx.to_numpy_array(graph), np.array(graph.nodes, dtype=float)


def test_a_line_is_cut_at_its_ends():
    inside, crossing = rentian.rentian_scaling(LINE, PLACES, n_cubes=3000)
    assert inside.shape == crossing.shape == (3000,)
    assert set(inside) == {1, 2, 3, 4, 5}  # all six only with a side of the whole extent
    assert set(crossing) == {1, 2}
    assert (crossing[inside == 5] == 1).all()
    whole = np.ones((6, 6)) - np.eye(6)
    inside, crossing = rentian.rentian_scaling(whole, PLACES, n_cubes=500)
    np.testing.assert_array_equal(crossing, inside * (6 - inside))
    _, crossing = rentian.rentian_scaling(0 * whole, PLACES, n_cubes=500)
    np.testing.assert_array_equal(crossing, 0)


@pytest.mark.parametrize(
    "sides, exponent, tolerance", [((32, 32), 1 / 2, 0.05), ((11,) * 3, 2 / 3, 0.05)]
)
def test_lattices_scale_as_their_surface(sides, exponent, tolerance):
    # surface to volume of a cube in d dimensions: 1 - 1/d, but for cubes that hang over
    adjacency, places = lattice(*sides)
    found = rentian.rent_exponent(adjacency, places, n_cubes=1000)
    assert found == pytest.approx(exponent, abs=tolerance)


def test_exponent_by_least_squares():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(60, 3))
    adjacency = np.triu(rng.random((60, 60)) < 0.1, 1)
    adjacency |= adjacency.T
    inside, crossing = rentian.rentian_scaling(adjacency, places, n_cubes=400, rng=5)
    use = (inside < 30) & (crossing > 0)
    slope, _ = np.polyfit(np.log(inside[use]), np.log(crossing[use]), 1)
    found = rentian.rent_exponent(adjacency, places, n_cubes=400, rng=5)
    assert found == pytest.approx(slope, rel=1e-10)
    scaled = rentian.rent_exponent(adjacency, 64 * places, n_cubes=400, rng=5)
    assert scaled == pytest.approx(found, rel=1e-10)


def test_the_seed_decides():
    first = rentian.rentian_scaling(LINE, PLACES, n_cubes=50, rng=1)
    np.testing.assert_array_equal(first, rentian.rentian_scaling(LINE, PLACES, n_cubes=50, rng=1))
    other, _ = rentian.rentian_scaling(LINE, PLACES, n_cubes=50, rng=2)
    assert (other != first[0]).any()
    generator = np.random.default_rng(1)
    drawn = rentian.rentian_scaling(LINE, PLACES, n_cubes=50, rng=generator)
    np.testing.assert_array_equal(drawn, first)
    more, _ = rentian.rentian_scaling(LINE, PLACES, n_cubes=5000, rng=1)
    np.testing.assert_array_equal(more[:50], first[0])


def test_undefined():
    assert np.isnan(rentian.rent_exponent(0 * LINE, PLACES, n_cubes=50))
    pair = np.array([[0, 1], [1, 0]])
    assert np.isnan(rentian.rent_exponent(pair, [[0], [1]], n_cubes=50))
    inside, crossing = rentian.rentian_scaling(pair, [[0], [1]], n_cubes=50)
    np.testing.assert_array_equal(inside, 1)
    np.testing.assert_array_equal(crossing, 1)


@pytest.mark.parametrize(
    "places, message",
    [
        (PLACES[:5], "of shape"),
        (np.arange(6.0), "of shape"),
        (np.full((6, 3), np.nan), "finite"),
        (np.ones((6, 3)), "must differ"),
    ],
)
def test_coordinates_are_checked(places, message):
    with pytest.raises(ValueError, match=f"coordinates must.*{message}|coordinates {message}"):
        rentian.rentian_scaling(LINE, places)
    with pytest.raises(ValueError, match="n_cubes must be a whole number"):
        rentian.rentian_scaling(LINE, PLACES, n_cubes=0)


def test_contracts(contract):
    places = np.random.default_rng(0).normal(size=(12, 3))
    contract(
        lambda a: rentian.rentian_scaling(a, places, n_cubes=12)[1],
        rank=1,
        binary=True,
        reorder=False,
    )
    contract(
        lambda a: rentian.rent_exponent(a, places, n_cubes=200),
        rank=0,
        binary=True,
        reorder=False,
    )
