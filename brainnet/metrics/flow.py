"""What flows through each region between its neighbours."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._bits import count_ones, pack
from brainnet.metrics._checks import check_adjacency
from brainnet.metrics._compile import kernel, over_networks


def flow_coefficient(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the share of the pairs of neighbours of each region that it joins and no edge does.

    .. math:: f_i = \frac{1}{k_i (k_i - 1)} \sum_{j \ne h \in N_i} a_{ji} a_{ih} (1 - a_{jh})

    where :math:`N_i` are the :math:`k_i` regions with an edge from or to i. Paths by way of other
    regions do not matter.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal. Entry (i, j) is the edge
        from i to j.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1; a region with fewer than two neighbours is 0. The mean over regions is the
        average flow coefficient. In an undirected network, of regions with more neighbours, it is
        1 less the clustering coefficient.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric (unless ``directed``), or holds NaN.

    References
    ----------
    Honey et al. (2007), Proc Natl Acad Sci USA 104:10240-10245.

    Examples
    --------
    >>> flow_coefficient([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]).round(4)
    array([0.6667, 0.    , 0.    , 0.    ])
    """
    flow, possible = _flow(adjacency, directed)
    return np.asarray(flow / np.maximum(possible, 1))


def total_flow(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the number of paths of two edges through each region whose ends no edge joins.

    .. math:: F_i = \sum_{j \ne h} a_{ji} a_{ih} (1 - a_{jh})

    Parameters
    ----------
    adjacency, directed
        As ``flow_coefficient`` takes them.

    Returns
    -------
    (..., n_regions) array
        Whole numbers. Each pair counts in both directions.

    Raises
    ------
    ValueError
        If ``adjacency`` is not as ``flow_coefficient`` takes it.

    References
    ----------
    Honey et al. (2007), Proc Natl Acad Sci USA 104:10240-10245.

    Examples
    --------
    >>> total_flow([[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]])
    array([4., 0., 0., 0.])
    """
    return _flow(adjacency, directed)[0]


def _flow(adjacency: ArrayLike, directed: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the flow through each region, and the number of ordered pairs of its neighbours."""
    checked = check_adjacency(adjacency, directed=directed)
    both = over_networks(_flow_through, checked, shape=(2, checked.shape[-1]))
    return both[..., 0, :], both[..., 1, :]


@kernel
def _flow_through(adjacency, out):  # type: ignore[no-untyped-def]
    """Write the flow through each region, and the number of ordered pairs of its neighbours."""
    n = len(adjacency)
    n_words = (n + 63) // 64
    leave = np.empty((n, n_words), dtype=np.uint64)
    enter = np.empty((n, n_words), dtype=np.uint64)
    pack(adjacency, leave)
    pack(np.ascontiguousarray(adjacency.T), enter)
    for i in range(n):
        n_in, n_out, n_both, joined = 0, 0, 0, 0
        for w in range(n_words):
            n_in += np.int64(count_ones(enter[i, w]))
            n_out += np.int64(count_ones(leave[i, w]))
            n_both += np.int64(count_ones(enter[i, w] & leave[i, w]))
        for h in range(n):
            if adjacency[i, h]:
                for w in range(n_words):
                    joined += np.int64(count_ones(enter[i, w] & enter[h, w]))
        n_near = n_in + n_out - n_both
        out[0, i] = n_in * n_out - n_both - joined
        out[1, i] = n_near * (n_near - 1)
