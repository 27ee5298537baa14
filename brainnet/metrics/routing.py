"""How efficiently regions are joined by shortest paths, for any lengths of edges."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_weights
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics._shortest import lower_directed
from brainnet.metrics.efficiency import inverse, mean_inverse
from brainnet.metrics.paths import edge_lengths, floyd_warshall


def routing_efficiency(
    weights: ArrayLike, *, lengths: ArrayLike | None = None, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the mean inverse length of the shortest path over pairs of regions.

    .. math:: E = \frac{1}{n(n-1)} \sum_{i \ne j} d_{ij}^{-1}

    ``global_efficiency``, for any lengths of edges.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric unless ``directed``, non-negative, zero diagonal.
    lengths : (..., n_regions, n_regions) array, optional
        Length of each edge, above 0 wherever ``weights`` is, for example the length of its
        streamlines or ``-log(weights)``; 1/weight if not given.
    directed : bool, optional
        Accept networks that are not symmetric; the paths are those from row to column.

    Returns
    -------
    (...) array
        In units of 1/``lengths``. Unreachable pairs contribute 0; a single region gives NaN.

    Raises
    ------
    ValueError
        If ``weights`` or ``lengths`` is not as above.

    References
    ----------
    Latora and Marchiori (2001), Phys Rev Lett 87:198701; Goñi et al. (2013), PLoS ONE 8:e58070.

    Examples
    --------
    >>> float(routing_efficiency([[0, 2, 0], [2, 0, 2], [0, 2, 0]]).round(4))
    1.6667
    """
    return mean_inverse(floyd_warshall(check_lengths(weights, lengths, directed=directed)[1]))


def routing_efficiency_pairwise(
    weights: ArrayLike, *, lengths: ArrayLike | None = None, directed: bool = False
) -> NDArray[np.float64]:
    """Return the inverse length of the shortest path between each pair of regions.

    Parameters
    ----------
    weights, lengths, directed
        As ``routing_efficiency`` takes them.

    Returns
    -------
    (..., n_regions, n_regions) array
        In units of 1/``lengths``; 0 for unreachable pairs and on the diagonal.

    Raises
    ------
    ValueError
        If ``weights`` or ``lengths`` is not as ``routing_efficiency`` takes it.

    References
    ----------
    Goñi et al. (2013), PLoS ONE 8:e58070.

    Examples
    --------
    >>> routing_efficiency_pairwise([[0, 2, 0], [2, 0, 2], [0, 2, 0]])
    array([[0., 2., 1.],
           [2., 0., 2.],
           [1., 2., 0.]])
    """
    return inverse(floyd_warshall(check_lengths(weights, lengths, directed=directed)[1]))


def routing_efficiency_local(
    weights: ArrayLike, *, lengths: ArrayLike | None = None, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the routing efficiency of the neighbours of each region.

    .. math:: E_i = \frac{1}{k_i(k_i-1)} \sum_{j \ne h \in N_i} d_{jh}^{-1}(N_i)

    where :math:`d_{jh}(N_i)` is the length of the shortest path from j to h by way of neighbours
    of i only, i itself left out. Of a binary network it is ``local_efficiency_binary``; the
    weighted local efficiency of Rubinov and Sporns, ``local_efficiency_weighted``, also takes in
    the weights of the edges to i. (The Brain Connectivity Toolbox divides by the number of
    neighbours and not by that of their pairs.)

    Parameters
    ----------
    weights, lengths, directed
        As ``routing_efficiency`` takes them; in a directed network, the regions at the other end
        of edges to and from i are its neighbours.

    Returns
    -------
    (..., n_regions) array
        In units of 1/``lengths``; a region with fewer than two neighbours is 0.

    Raises
    ------
    ValueError
        If ``weights`` or ``lengths`` is not as ``routing_efficiency`` takes it.

    References
    ----------
    Latora and Marchiori (2001), Phys Rev Lett 87:198701; Goñi et al. (2013), PLoS ONE 8:e58070.

    Examples
    --------
    >>> routing_efficiency_local([[0, 2, 1], [2, 0, 3], [1, 3, 0]])
    array([3., 1., 2.])
    """
    checked, steps = check_lengths(weights, lengths, directed=directed)
    return over_networks(_local_routing, steps, shape=checked.shape[-1:])


def check_lengths(
    weights: ArrayLike, lengths: ArrayLike | None, *, directed: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return checked weights, and the lengths of their edges.

    Parameters
    ----------
    weights, lengths, directed
        As ``routing_efficiency`` takes them.

    Returns
    -------
    two (..., n_regions, n_regions) arrays
        The lengths are infinite where there is no edge, and 0 on the diagonal.

    Raises
    ------
    ValueError
        If ``weights`` or ``lengths`` is not as ``routing_efficiency`` takes it.

    Examples
    --------
    >>> check_lengths([[0, 0.5], [0.5, 0]], None, directed=False)[1]
    array([[0., 2.],
           [2., 0.]])
    """
    checked = check_weights(weights, directed=directed)
    if lengths is None:
        return checked, edge_lengths(checked, directed=True)
    given = check_weights(lengths, name="lengths", directed=directed)
    if given.shape != checked.shape or (given[checked > 0] == 0).any():
        raise ValueError(
            f"lengths must be above 0 for every edge of weights, of shape {checked.shape}; got "
            f"shape {given.shape}, minimum {given.min():.6g}. Leave them out for 1/weights."
        )
    diagonal = np.eye(checked.shape[-1], dtype=bool)
    return checked, np.where((checked > 0) | diagonal, given, np.inf)


@kernel
def _local_routing(lengths, out):  # type: ignore[no-untyped-def]
    """Write the mean inverse distance of each region's neighbours by way of these only."""
    for i in range(len(lengths)):
        joined = (lengths[i] < np.inf) | (lengths[:, i] < np.inf)
        joined[i] = False
        near = np.flatnonzero(joined)
        if len(near) > 1:
            distances = lengths[near][:, near]
            lower_directed(distances)
            for a in range(len(near)):
                distances[a, a] = np.inf
            out[i] = (1.0 / distances).sum() / (len(near) * (len(near) - 1))
