"""Random networks in which every region keeps its degree."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency
from brainnet.metrics._compile import kernel
from brainnet.metrics._random import Rng
from brainnet.metrics.nulls._edges import list_edges, randomise, write_edges
from brainnet.metrics.nulls._run import check_edges, check_swaps, over_nulls

NOTHING = np.zeros((0, 0), dtype=bool)


def rewire(
    networks: ArrayLike, *, n_nulls: int = 1, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[Any]:
    r"""Return random networks with the degree of every region, by swapping ends of edges.

    A swap makes the edges a-b and c-d into a-d and c-b, unless one of these exists or would lead
    from a region to itself. Two edges and their directions are drawn evenly for each attempt. The
    attempts are counted until a tenth of ``swaps_per_edge`` times the number of edges succeeded;
    then as many more are made as promise the rest. Their number being fixed beforehand, a failed
    attempt counts as a step of the chain, and all networks with these degrees become equally
    likely; stopping at a number of successes, as the Brain Connectivity Toolbox does, favours
    networks in which many swaps are possible.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) array
        Boolean adjacency, or weights of any sign, which the edges carry along; symmetric, zero
        diagonal.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Successful swaps over edges, to within chance; each moves two edges. 0.1 randomises a
        little, 10 completely. Up to 1000 attempts are made per swap.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        Boolean for booleans, float64 for weights, with the weights of the network. A network to
        which no other has the same degrees (complete, empty, a star, one edge) is returned.

    Raises
    ------
    ValueError
        If ``networks`` is not square and symmetric with a zero diagonal, or holds NaN; if
        ``n_nulls`` is below 1 or ``swaps_per_edge`` negative.

    References
    ----------
    Maslov and Sneppen (2002), Science 296:910-913. Fosdick, Larremore, Nishimura and Ugander
    (2018), SIAM Rev 60:315-355, for the failed attempts.

    Examples
    --------
    >>> path = [[0, 0.1, 0, 0], [0.1, 0, 0.2, 0], [0, 0.2, 0, 0.3], [0, 0, 0.3, 0]]
    >>> nulls = rewire(path, n_nulls=5)
    >>> nulls.shape
    (5, 4, 4)
    >>> (nulls > 0).sum(axis=-1)[0]
    array([1, 2, 2, 1])
    """
    checked = check_edges(networks)
    constants = (NOTHING, False, check_swaps(swaps_per_edge))
    return over_nulls(_rewire, checked, n_nulls=n_nulls, rng=rng, constants=constants)


def rewire_directed(
    networks: ArrayLike, *, n_nulls: int = 1, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[Any]:
    r"""Return random directed networks with the in- and out-degree of every region.

    As ``rewire``, where a swap makes the edges from a to b and from c to d into a to d and c to
    b. Swaps alone do not reach every network with the same degrees: now and then a triangle of
    three edges in a circle is turned round too, which the Brain Connectivity Toolbox leaves out.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) array
        Boolean adjacency, or weights of any sign, which the edges carry along; zero diagonal.
        Entry (i, j) is the edge from i to j.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Successful swaps over edges, to within chance.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        Boolean for booleans, float64 for weights, with the weights of the network. A network to
        which no other has the same degrees is returned.

    Raises
    ------
    ValueError
        If ``networks`` is not square with a zero diagonal, or holds NaN; if ``n_nulls`` is below
        1 or ``swaps_per_edge`` negative.

    References
    ----------
    Maslov and Sneppen (2002), Science 296:910-913. Berger and Müller-Hannemann (2010), Lect Notes
    Comput Sci 6410:220-231, for the triangles.

    Examples
    --------
    >>> circle = [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    >>> nulls = rewire_directed(circle, n_nulls=3)
    >>> nulls.sum(axis=-1)[0], nulls.sum(axis=-2)[0]
    (array([1., 1., 1., 1.]), array([1., 1., 1., 1.]))
    """
    checked = check_edges(networks, directed=True)
    constants = (NOTHING, True, check_swaps(swaps_per_edge))
    return over_nulls(_rewire, checked, n_nulls=n_nulls, rng=rng, constants=constants)


def rewire_partial(
    networks: ArrayLike,
    fixed: ArrayLike,
    *,
    n_nulls: int = 1,
    swaps_per_edge: float = 10,
    rng: Rng = 0,
) -> NDArray[Any]:
    r"""Return random networks with the degree of every region, some pairs being left as they are.

    As ``rewire``; edges at fixed pairs stay, and no edge is moved to a fixed pair. Where many
    pairs are fixed, swaps may not reach every network that the rules allow.

    Parameters
    ----------
    networks : (..., n_regions, n_regions) array
        Boolean adjacency, or weights of any sign, which the edges carry along; symmetric, zero
        diagonal.
    fixed : (..., n_regions, n_regions) or (n_regions, n_regions) boolean array
        True where a pair stays as it is, edge or none; symmetric, zero diagonal.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Successful swaps over edges that are not fixed, to within chance.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        Boolean for booleans, float64 for weights. A network without a legal swap is returned.

    Raises
    ------
    ValueError
        If an array is not square and symmetric with a zero diagonal, or holds NaN; if ``fixed``
        is not boolean or of another shape; if ``n_nulls`` is below 1 or ``swaps_per_edge``
        negative.

    References
    ----------
    Maslov and Sneppen (2002), Science 296:910-913.

    Examples
    --------
    >>> ring = np.roll(np.eye(6), 1, axis=1) + np.roll(np.eye(6), -1, axis=1)
    >>> fixed = np.zeros((6, 6), dtype=bool)
    >>> fixed[0, 1] = fixed[1, 0] = True
    >>> bool((rewire_partial(ring, fixed, n_nulls=9)[:, 0, 1] == 1).all())
    True
    """
    checked = check_edges(networks)
    mask = check_adjacency(fixed, name="fixed")
    if mask.shape not in (checked.shape, checked.shape[-2:]):
        raise ValueError(
            f"fixed must be of shape {checked.shape} or {checked.shape[-2:]}; got {mask.shape}. "
            "Pass one mask for all networks, or one each."
        )
    masks = np.broadcast_to(mask, checked.shape)
    constants = (False, check_swaps(swaps_per_edge))
    return over_nulls(_rewire, checked, masks, n_nulls=n_nulls, rng=rng, constants=constants)


@kernel
def _rewire(network, taken, directed, swaps_per_edge, state, out):  # type: ignore[no-untyped-def]
    """Write a rewired network; pairs ``taken`` stay as they are."""
    ends, values = list_edges(network, taken, directed)
    randomise(ends, taken, len(network), directed, swaps_per_edge, state)
    write_edges(ends, values, directed, out)
    for i in range(len(taken)):
        for j in range(len(taken)):
            if taken[i, j]:
                out[i, j] = network[i, j]
