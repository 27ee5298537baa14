"""Random networks in which every region keeps its degree and can still reach every other."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

from brainnet.metrics._compile import kernel
from brainnet.metrics._random import Rng
from brainnet.metrics.nulls._constrained import randomise_connected
from brainnet.metrics.nulls._edges import list_edges, write_edges
from brainnet.metrics.nulls._run import check_edges, check_swaps, over_nulls


def rewire_connected(
    networks: ArrayLike, *, n_nulls: int = 1, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[Any]:
    r"""Return connected random networks with the degree of every region.

    As ``rewire``; a swap that would cut the network in two is undone and counts as a failed
    attempt, so that all connected networks with these degrees become equally likely. Most swaps
    are cleared by one look at common neighbours; a search is made for the others only.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) array
        Boolean adjacency, or weights of any sign, which the edges carry along; symmetric, zero
        diagonal, a path between any two regions.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Successful swaps over edges, to within chance; up to 1000 attempts are made per swap.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        Boolean for booleans, float64 for weights. A network without a legal swap is returned.

    Raises
    ------
    ValueError
        If ``networks`` is not square and symmetric with a zero diagonal, holds NaN or is in
        pieces; if ``n_nulls`` is below 1 or ``swaps_per_edge`` negative.

    References
    ----------
    Maslov and Sneppen (2002), Science 296:910-913. Taylor (1981), Lect Notes Math 884:314-336,
    that such swaps reach all connected networks.

    Examples
    --------
    >>> path = np.eye(5, k=1) + np.eye(5, k=-1)
    >>> nulls = rewire_connected(path, n_nulls=50)
    >>> bool((np.linalg.matrix_power(np.eye(5) + nulls, 4) > 0).all())
    True
    """
    checked = check_edges(networks)
    check_connected(checked, "rewire", directed=False)
    constants = (False, check_swaps(swaps_per_edge))
    return over_nulls(_rewire_connected, checked, n_nulls=n_nulls, rng=rng, constants=constants)


def rewire_connected_directed(
    networks: ArrayLike, *, n_nulls: int = 1, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[Any]:
    r"""Return strongly connected random networks with the in- and out-degree of every region.

    As ``rewire_connected``. Swaps do not reach every strongly connected network with the same
    degrees, in sparse networks above all; those within reach are equally likely.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) array
        Boolean adjacency, or weights of any sign, which the edges carry along; zero diagonal, a
        directed path from every region to every other. Entry (i, j) is the edge from i to j.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Successful swaps over edges, to within chance; up to 1000 attempts are made per swap.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        Boolean for booleans, float64 for weights. A network without a legal swap is returned.

    Raises
    ------
    ValueError
        If ``networks`` is not square with a zero diagonal, holds NaN or is not strongly
        connected; if ``n_nulls`` is below 1 or ``swaps_per_edge`` negative.

    References
    ----------
    Maslov and Sneppen (2002), Science 296:910-913.

    Examples
    --------
    >>> circle = np.roll(np.eye(5), 1, axis=1)
    >>> nulls = rewire_connected_directed(circle, n_nulls=50)
    >>> bool((np.linalg.matrix_power(np.eye(5) + nulls, 4) > 0).all())
    True
    """
    checked = check_edges(networks, directed=True)
    check_connected(checked, "rewire_directed", directed=True)
    constants = (True, check_swaps(swaps_per_edge))
    return over_nulls(_rewire_connected, checked, n_nulls=n_nulls, rng=rng, constants=constants)


def check_connected(networks: NDArray[Any], instead: str, *, directed: bool) -> None:
    """Raise unless every network is connected (strongly, if directed)."""
    for i, network in enumerate(networks.reshape(-1, *networks.shape[-2:])):
        kind = "strong" if directed else "weak"
        count, _ = connected_components(network != 0, directed=directed, connection=kind)
        if count > 1:
            strongly = "strongly " if directed else ""
            raise ValueError(
                f"networks must be {strongly}connected; network {i} is in {count} pieces. "
                f"Take its largest piece first, or use nulls.{instead}."
            )


@kernel
def _rewire_connected(network, directed, swaps_per_edge, state, out):  # type: ignore[no-untyped-def]
    """Write a rewired network that is still connected."""
    ends, values = list_edges(network, np.zeros((0, 0), dtype=np.bool_), directed)
    randomise_connected(ends, values, len(network), directed, swaps_per_edge, state)
    write_edges(ends, values, directed, out)
