"""How far a message gets that always moves on to the neighbour closest to its target.

Where the message moves on is decided by the distance between regions in space, for example

>>> from scipy.spatial.distance import cdist
>>> centroids = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [30.0, 0.0, 0.0]])  # mm
>>> cdist(centroids, centroids)
array([[ 0., 10., 30.],
       [10.,  0., 20.],
       [30., 20.,  0.]])

Of neighbours equally close to the target, the target itself comes first, then the one that comes
first in the order of regions.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_weights
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics.paths import edge_lengths


def navigation_success(
    adjacency: ArrayLike, distances: ArrayLike, *, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the share of pairs of regions between which messages arrive.

    .. math:: S = \frac{1}{n(n-1)} \bigl|\{(i, j) : i \ne j,\ \Lambda_{ij} < \infty\}\bigr|

    with the ``navigation_hops`` :math:`\Lambda`.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal.
    distances : (n_regions, n_regions) or (..., n_regions, n_regions) array
        Distance between regions in space, symmetric, non-negative, zero diagonal, in any unit.
    directed : bool, optional
        Accept networks that are not symmetric; messages move from row to column.

    Returns
    -------
    (...) array
        From 0 to 1. A single region gives NaN.

    Raises
    ------
    ValueError
        If ``adjacency`` or ``distances`` is not as above.

    References
    ----------
    Kleinberg (2000), Nature 406:845; Seguin et al. (2018), PNAS 115:6297-6302.

    Examples
    --------
    >>> line = abs(np.subtract.outer([0, 1, 3], [0, 1, 3]))
    >>> float(navigation_success([[0, 1, 0], [1, 0, 0], [0, 0, 0]], line).round(4))
    0.3333
    """
    checked = check_adjacency(adjacency, directed=directed)
    n_regions = checked.shape[-1]
    hops = _navigate(checked, distances, checked.astype(np.float64))
    n_arrived = np.isfinite(hops).sum(axis=(-2, -1)) - n_regions
    return np.asarray(n_arrived / (n_regions * (n_regions - 1) or np.nan))


def navigation_hops(
    adjacency: ArrayLike, distances: ArrayLike, *, directed: bool = False
) -> NDArray[np.float64]:
    """Return how many edges a message takes between each pair of regions.

    The message moves on, from each region, to the neighbour closest to the target, even where
    that is farther from it than the region itself. It is lost when it comes by a region again,
    as it would then go round for ever.

    Parameters
    ----------
    adjacency, distances, directed
        As ``navigation_success`` takes them.

    Returns
    -------
    (..., n_regions, n_regions) array
        From row to column, whole numbers; infinity where the message is lost, 0 on the diagonal.
        Not symmetric. (The Brain Connectivity Toolbox has infinity on the diagonal, and does not
        return where neighbours are equally close and messages go round over three regions.)

    Raises
    ------
    ValueError
        If ``adjacency`` or ``distances`` is not as ``navigation_success`` takes it.

    References
    ----------
    Seguin et al. (2018), PNAS 115:6297-6302.

    Examples
    --------
    >>> line = abs(np.subtract.outer([0, 1, 3], [0, 1, 3]))
    >>> navigation_hops([[0, 1, 0], [1, 0, 1], [0, 1, 0]], line)
    array([[0., 1., 2.],
           [1., 0., 1.],
           [2., 1., 0.]])
    """
    checked = check_adjacency(adjacency, directed=directed)
    return _navigate(checked, distances, checked.astype(np.float64))


def navigation_lengths(
    weights: ArrayLike, distances: ArrayLike, *, directed: bool = False
) -> NDArray[np.float64]:
    """Return how long a message's path is between each pair of regions, an edge being 1/weight.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric unless ``directed``, non-negative, zero diagonal. They do not decide where the
        message moves on.
    distances, directed
        As ``navigation_success`` takes them.

    Returns
    -------
    (..., n_regions, n_regions) array
        From row to column, in units of 1/``weights``; infinity where the message is lost, 0 on
        the diagonal. At least ``paths.distances_weighted``. Not symmetric.

    Raises
    ------
    ValueError
        If ``weights`` or ``distances`` is not as above.

    References
    ----------
    Seguin et al. (2018), PNAS 115:6297-6302.

    Examples
    --------
    >>> line = abs(np.subtract.outer([0, 1, 3], [0, 1, 3]))
    >>> navigation_lengths([[0, 0.5, 0], [0.5, 0, 0.25], [0, 0.25, 0]], line)
    array([[0., 2., 6.],
           [2., 0., 4.],
           [6., 4., 0.]])
    """
    checked = check_weights(weights, directed=directed)
    return _navigate(checked > 0, distances, edge_lengths(checked, directed=True))


def navigation_distances(
    adjacency: ArrayLike, distances: ArrayLike, *, directed: bool = False
) -> NDArray[np.float64]:
    """Return how far in space a message goes between each pair of regions.

    Parameters
    ----------
    adjacency, distances, directed
        As ``navigation_success`` takes them.

    Returns
    -------
    (..., n_regions, n_regions) array
        From row to column, in units of ``distances``; infinity where the message is lost, 0 on
        the diagonal. Not symmetric.

    Raises
    ------
    ValueError
        If ``adjacency`` or ``distances`` is not as ``navigation_success`` takes it.

    References
    ----------
    Seguin et al. (2018), PNAS 115:6297-6302.

    Examples
    --------
    >>> corner = np.array([[0, 3, 4], [3, 0, 5], [4, 5, 0]])
    >>> navigation_distances([[0, 1, 1], [1, 0, 0], [1, 0, 0]], corner)
    array([[0., 3., 4.],
           [3., 0., 7.],
           [4., 7., 0.]])
    """
    checked = check_adjacency(adjacency, directed=directed)
    return _navigate(checked, distances, _check_distances(distances, checked))


def _navigate(
    adjacency: NDArray[np.bool_], distances: ArrayLike, lengths: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sum of the edges' lengths on each message's path."""
    apart = _check_distances(distances, adjacency)
    return over_networks(_send, adjacency, apart, lengths, shape=adjacency.shape[-2:])


def _check_distances(distances: ArrayLike, networks: NDArray[Any]) -> NDArray[np.float64]:
    """Return one contiguous matrix of distances for each network."""
    checked = check_weights(distances, name="distances")
    if checked.shape not in (networks.shape, networks.shape[-2:]):
        raise ValueError(
            f"distances must be of shape {networks.shape} or {networks.shape[-2:]}; got "
            f"{checked.shape}. Pass the distances between the regions of the network."
        )
    return np.ascontiguousarray(np.broadcast_to(checked, networks.shape))


@kernel
def _send(adjacency, distances, lengths, out):  # type: ignore[no-untyped-def]
    """Write the length of each message's path, by following the way to each target just once."""
    n = len(adjacency)
    way = np.empty(n, dtype=np.int64)
    total = np.empty(n)
    first = np.zeros(n + 1, dtype=np.int64)  # where each region's neighbours begin
    for i in range(n):
        first[i + 1] = first[i] + adjacency[i].sum()
    neighbours = np.nonzero(adjacency)[1]
    for target in range(n):
        following = _next_stops(first, neighbours, distances[target], target)
        total[:] = -1.0  # not yet known
        total[target] = 0.0
        for source in range(n):
            n_steps = 0
            at = source
            while total[at] == -1.0:
                total[at] = np.inf  # until it has arrived: here again, it is lost
                way[n_steps] = at
                n_steps += 1
                at = following[at]
            ahead = total[at]
            for i in way[:n_steps][::-1]:
                if ahead < np.inf:
                    ahead += lengths[i, following[i]]
                total[i] = ahead
            out[source, target] = total[source]


@kernel
def _next_stops(first, neighbours, apart, target):  # type: ignore[no-untyped-def]
    """Return each region's neighbour closest to the target, itself if it has none."""
    following = np.arange(len(apart))
    for i in range(len(apart)):
        best = np.inf
        for k in neighbours[first[i] : first[i + 1]]:
            if k == target:
                following[i] = k
                break
            if apart[k] < best:
                best = apart[k]
                following[i] = k
    return following
