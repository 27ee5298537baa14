"""Networks made as regular as their degrees allow, the opposite end of random ones."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._compile import kernel
from brainnet.metrics._random import Rng, shuffle
from brainnet.metrics.nulls._constrained import bit_rows, constrained_swaps
from brainnet.metrics.nulls._edges import list_edges, write_edges
from brainnet.metrics.nulls._run import check_distances, check_edges, check_swaps, over_nulls
from brainnet.metrics.nulls.connected import check_connected


def latticize(
    networks: ArrayLike,
    *,
    distances: ArrayLike | None = None,
    n_nulls: int = 1,
    swaps_per_edge: float = 10,
    rng: Rng = 0,
) -> NDArray[Any]:
    r"""Return lattice-like networks with the degree of every region.

    Ends of edges are swapped as in ``rewire``, but only where the edges become no longer in sum,

    .. math:: w_{ab} d_{ad} + w_{cd} d_{cb} \le w_{ab} d_{ab} + w_{cd} d_{cd}

    The regions stand on a ring in an order that is drawn anew for each null, and distances go
    along the ring.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) array
        Boolean adjacency, or non-negative weights, which the edges carry along; symmetric, zero
        diagonal.
    distances : (n_regions, n_regions) array, optional
        Symmetric, non-negative, zero diagonal: used in place of distances along the ring, for
        example those between centroids.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Swaps are attempted until so many per edge succeeded, at most the mean degree + 1 times as
        often.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        Boolean for booleans, float64 for weights, regions in the order of ``networks``.

    Raises
    ------
    ValueError
        If ``networks`` is not square and symmetric with a zero diagonal, is negative or holds NaN;
        if ``distances`` does not fit; if ``n_nulls`` is below 1 or ``swaps_per_edge`` negative.

    References
    ----------
    Sporns and Zwi (2004), Neuroinformatics 2:145-162.

    Examples
    --------
    >>> adjacency = np.random.default_rng(0).random((30, 30)) < 0.1
    >>> adjacency = np.triu(adjacency, 1) | np.triu(adjacency, 1).T
    >>> place = np.arange(30)
    >>> apart = np.abs(place[:, None] - place)
    >>> (null,) = latticize(adjacency, distances=apart)
    >>> float(apart[adjacency].mean().round(1)), float(apart[null].mean().round(1))
    (11.6, 2.7)
    """
    return _latticize(networks, distances, n_nulls, swaps_per_edge, rng)


def latticize_directed(
    networks: ArrayLike,
    *,
    distances: ArrayLike | None = None,
    n_nulls: int = 1,
    swaps_per_edge: float = 10,
    rng: Rng = 0,
) -> NDArray[Any]:
    r"""Return lattice-like directed networks with the in- and out-degree of every region.

    As ``latticize``.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) array
        Boolean adjacency, or non-negative weights, which the edges carry along; zero diagonal.
        Entry (i, j) is the edge from i to j.
    distances : (n_regions, n_regions) array, optional
        As in ``latticize``.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        As in ``latticize``.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        Boolean for booleans, float64 for weights.

    Raises
    ------
    ValueError
        As in ``latticize``, except that ``networks`` need not be symmetric.

    References
    ----------
    Sporns and Zwi (2004), Neuroinformatics 2:145-162.

    Examples
    --------
    >>> network = np.random.default_rng(0).random((9, 9)) < 0.3
    >>> np.fill_diagonal(network, False)
    >>> (null,) = latticize_directed(network)
    >>> bool((null.sum(axis=0) == network.sum(axis=0)).all())
    True
    """
    return _latticize(networks, distances, n_nulls, swaps_per_edge, rng, directed=True)


def latticize_connected(
    networks: ArrayLike,
    *,
    distances: ArrayLike | None = None,
    n_nulls: int = 1,
    swaps_per_edge: float = 10,
    rng: Rng = 0,
) -> NDArray[Any]:
    r"""Return connected lattice-like networks with the degree of every region.

    As ``latticize``, without the swaps that would cut a network in two.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) array
        Boolean adjacency, or non-negative weights, which the edges carry along; symmetric, zero
        diagonal, a path between any two regions.
    distances : (n_regions, n_regions) array, optional
        As in ``latticize``.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        As in ``latticize``.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        Boolean for booleans, float64 for weights.

    Raises
    ------
    ValueError
        As in ``latticize``, and if a network is in pieces.

    References
    ----------
    Sporns and Zwi (2004), Neuroinformatics 2:145-162.

    Examples
    --------
    >>> path = np.eye(5, k=1) + np.eye(5, k=-1)
    >>> nulls = latticize_connected(path, n_nulls=50)
    >>> bool((np.linalg.matrix_power(np.eye(5) + nulls, 4) > 0).all())
    True
    """
    return _latticize(networks, distances, n_nulls, swaps_per_edge, rng, connected=True)


def latticize_connected_directed(
    networks: ArrayLike,
    *,
    distances: ArrayLike | None = None,
    n_nulls: int = 1,
    swaps_per_edge: float = 10,
    rng: Rng = 0,
) -> NDArray[Any]:
    r"""Return strongly connected lattice-like networks with all in- and out-degrees.

    As ``latticize_directed``, without the swaps after which some region could not reach another.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) array
        Boolean adjacency, or non-negative weights, which the edges carry along; zero diagonal, a
        directed path from every region to every other. Entry (i, j) is the edge from i to j.
    distances : (n_regions, n_regions) array, optional
        As in ``latticize``.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        As in ``latticize``.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        Boolean for booleans, float64 for weights.

    Raises
    ------
    ValueError
        As in ``latticize_directed``, and if a network is not strongly connected.

    References
    ----------
    Sporns and Zwi (2004), Neuroinformatics 2:145-162.

    Examples
    --------
    >>> circle = np.roll(np.eye(5), 1, axis=1)
    >>> nulls = latticize_connected_directed(circle, n_nulls=50)
    >>> bool((np.linalg.matrix_power(np.eye(5) + nulls, 4) > 0).all())
    True
    """
    return _latticize(
        networks, distances, n_nulls, swaps_per_edge, rng, directed=True, connected=True
    )


def _latticize(
    networks: ArrayLike,
    distances: ArrayLike | None,
    n_nulls: int,
    swaps_per_edge: float,
    rng: Rng,
    *,
    directed: bool = False,
    connected: bool = False,
) -> NDArray[Any]:
    """Return lattice-like networks of one of the four kinds."""
    checked = check_edges(networks, directed=directed)
    n_regions = checked.shape[-1]
    if checked.dtype != bool and checked.min() < 0:
        raise ValueError(
            f"networks must be non-negative; got minimum {checked.min():.6g}. "
            "Use connectome.threshold.positive(weights) first."
        )
    if connected:
        check_connected(checked, "latticize" + "_directed" * directed, directed=directed)
    place = np.arange(n_regions)
    apart = np.abs(place[:, None] - place)
    ring = np.minimum(apart, n_regions - apart).astype(np.float64)
    given = ring if distances is None else check_distances(distances, n_regions)
    constants = (given, distances is None, connected, directed, check_swaps(swaps_per_edge))
    return over_nulls(_lattice, checked, n_nulls=n_nulls, rng=rng, constants=constants)


@kernel
def _lattice(  # type: ignore[no-untyped-def]
    network, distances, in_random_order, connected, directed, swaps_per_edge, state, out
):
    """Write a lattice-like network."""
    n = len(network)
    ends, values = list_edges(network, np.zeros((0, 0), dtype=np.bool_), directed)
    order = np.arange(n)
    if in_random_order:
        shuffle(state, order)
    placed = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            placed[i, j] = distances[order[i], order[j]]
    n_wanted = np.int64(np.ceil(swaps_per_edge * len(values)))
    per_swap = 1 + len(values) * (1 if directed else 2) // n
    full = len(values) == n * (n - 1) // (1 if directed else 2)
    if len(values) > 1 and n_wanted > 0 and not full:
        rows = bit_rows(ends, n, directed)
        limits = (n_wanted * per_swap, n_wanted)
        constrained_swaps(ends, values, rows, placed, connected, directed, limits, state)
    write_edges(ends, values, directed, out)
