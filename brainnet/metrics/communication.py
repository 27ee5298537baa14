"""What it takes to find the shortest paths between regions, and what lies along them.

Where several shortest paths join two regions, all of them count: the results follow the regions
when these are reordered.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics.paths import edge_lengths, floyd_warshall
from brainnet.metrics.routing import check_lengths

TIE_TOLERANCE = 1e-10
"""Two path lengths that differ by a smaller share of their length are tied."""


def shortest_path_probability(
    weights: ArrayLike, *, lengths: ArrayLike | None = None, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return how likely a random walker takes a shortest path between each pair of regions.

    .. math:: P_{ij} = \sum_{\pi \in \Pi_{ij}} \prod_{(a, b) \in \pi} \frac{w_{ab}}{s_a}

    over the shortest paths :math:`\Pi_{ij}` from i to j, with
    :math:`s_a = \sum_b w_{ab}`. Path lengths that differ by less than ``TIE_TOLERANCE`` of
    themselves are tied.

    Parameters
    ----------
    weights, lengths, directed
        As ``routing.routing_efficiency`` takes them. The walker follows the weights; which path
        is the shortest depends on the lengths.

    Returns
    -------
    (..., n_regions, n_regions) array
        From row to column, from 0 (unreachable) to 1; 1 on the diagonal. Not symmetric.

    Raises
    ------
    ValueError
        If ``weights`` or ``lengths`` is not as ``routing.routing_efficiency`` takes it.

    References
    ----------
    Goñi et al. (2013), PLoS ONE 8:e58070.

    Examples
    --------
    >>> shortest_path_probability([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    array([[1. , 1. , 0.5],
           [0.5, 1. , 0.5],
           [0.5, 1. , 1. ]])
    """
    return _probability(*check_lengths(weights, lengths, directed=directed), memory=False)


def search_information(
    weights: ArrayLike, *, lengths: ArrayLike | None = None, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the bits of information that a random walker needs to take a shortest path.

    .. math:: S_{ij} = -\log_2 P_{ij}

    with the probability P of ``shortest_path_probability``: that of all shortest paths together,
    as in Rosvall et al. (The Brain Connectivity Toolbox takes one of several shortest paths,
    depending on the order of regions.)

    Parameters
    ----------
    weights, lengths, directed
        As ``routing.routing_efficiency`` takes them.

    Returns
    -------
    (..., n_regions, n_regions) array
        From row to column, in bits; infinity where no path leads, 0 on the diagonal. Not
        symmetric.

    Raises
    ------
    ValueError
        If ``weights`` or ``lengths`` is not as ``routing.routing_efficiency`` takes it.

    References
    ----------
    Rosvall et al. (2005), Phys Rev Lett 94:028701; Goñi et al. (2014), PNAS 111:833-838.

    Examples
    --------
    >>> search_information([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    array([[0., 0., 1.],
           [1., 0., 1.],
           [1., 0., 0.]])
    """
    return _bits(_probability(*check_lengths(weights, lengths, directed=directed), memory=False))


def search_information_with_memory(
    weights: ArrayLike, *, lengths: ArrayLike | None = None, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the bits that a random walker needs who does not go back where it just came from.

    As ``search_information``; the probability of the step from a to b, coming from z, is
    :math:`w_{ab} / (s_a - w_{az})`. (The Brain Connectivity Toolbox takes
    :math:`w_{za} / s_z` for the share of the way back, :math:`w_{az} / s_a`.)

    Parameters
    ----------
    weights, lengths, directed
        As ``routing.routing_efficiency`` takes them.

    Returns
    -------
    (..., n_regions, n_regions) array
        From row to column, in bits, at most those without memory; infinity where no path leads,
        0 on the diagonal. Not symmetric.

    Raises
    ------
    ValueError
        If ``weights`` or ``lengths`` is not as ``routing.routing_efficiency`` takes it.

    References
    ----------
    Rosvall et al. (2005), Phys Rev Lett 94:028701; Goñi et al. (2014), PNAS 111:833-838.

    Examples
    --------
    >>> search_information_with_memory([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    array([[0., 0., 0.],
           [1., 0., 1.],
           [0., 0., 0.]])
    """
    return _bits(_probability(*check_lengths(weights, lengths, directed=directed), memory=True))


def path_transitivity(
    weights: ArrayLike, *, lengths: ArrayLike | None = None
) -> NDArray[np.float64]:
    r"""Return the density of local detours along the shortest path between each pair of regions.

    .. math:: M_{st} = \frac{2}{|\Omega|(|\Omega|-1)} \sum_{i < j \in \Omega} m_{ij}, \quad
              m_{ij} = \frac{\sum_{k \ne i, j} (w_{ik} + w_{jk})\, a_{ik} a_{jk}}
                            {\sum_{k \ne j} w_{ik} + \sum_{k \ne i} w_{jk}}

    where :math:`\Omega` holds the regions of the path, both ends included, and a is 1 where there
    is an edge. Where shortest paths are tied (to ``TIE_TOLERANCE``), the mean over those of the
    fewest edges. (The Brain Connectivity Toolbox takes one of them, depending on the order of
    regions.)

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    lengths : (..., n_regions, n_regions) array, optional
        Length of each edge, above 0 wherever ``weights`` is; 1/weight if not given.

    Returns
    -------
    (..., n_regions, n_regions) array
        Symmetric, from 0 to 1. NaN on the diagonal and where no path leads.

    Raises
    ------
    ValueError
        If ``weights`` or ``lengths`` is not as above.

    References
    ----------
    Goñi et al. (2014), PNAS 111:833-838.

    Examples
    --------
    >>> path_transitivity([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    array([[nan,  1.,  1.],
           [ 1., nan,  1.],
           [ 1.,  1., nan]])
    """
    checked, steps = check_lengths(weights, lengths, directed=False)
    edges = (checked > 0).astype(np.float64)
    shared = checked @ edges
    shared += np.swapaxes(shared, -1, -2)
    strength = checked.sum(axis=-1)
    total = strength[..., :, None] + strength[..., None, :] - 2 * checked
    matching = np.divide(shared, total, out=np.zeros(checked.shape), where=shared > 0)
    return over_networks(
        _transitivity, steps, floyd_warshall(steps), matching, shape=checked.shape[-2:]
    )


def resource_efficiency_binary(
    adjacency: ArrayLike, *, arrival: float = 0.5, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the inverse number of walkers of which one likely takes a shortest path.

    .. math:: E_{ij} = \frac{\log(1 - P_{ij})}{\log(1 - \lambda)}

    With as many random walkers starting from i, the probability is :math:`\lambda` that at least
    one arrives at j in the fewest steps; P is the ``shortest_path_probability``.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal.
    arrival : float, optional
        :math:`\lambda`, above 0 and below 1.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions, n_regions) array
        From row to column; 0 for unreachable pairs and on the diagonal. Above 1 where a single
        walker arrives with a higher probability than asked for, and, by definition, 1 where it
        is certain to arrive.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric (unless ``directed``), or holds NaN,
        or ``arrival`` is out of range.

    References
    ----------
    Goñi et al. (2013), PLoS ONE 8:e58070.

    Examples
    --------
    >>> resource_efficiency_binary([[0, 1, 0], [1, 0, 1], [0, 1, 0]], arrival=0.75)
    array([[0. , 1. , 0.5],
           [0.5, 0. , 0.5],
           [0.5, 1. , 0. ]])
    """
    edges = check_adjacency(adjacency, directed=directed).astype(np.float64)
    if not 0 < arrival < 1:
        raise ValueError(
            f"arrival must be above 0 and below 1; got {arrival}. It is the probability that one "
            "of the walkers arrives."
        )
    probability = _probability(edges, edge_lengths(edges, directed=True), memory=False)
    certain = probability > 1 - TIE_TOLERANCE
    walkers = np.log1p(-np.where(certain, 0.0, probability)) / np.log1p(-arrival)
    result = np.where(certain, 1.0, walkers)
    result[..., np.arange(edges.shape[-1]), np.arange(edges.shape[-1])] = 0.0
    return np.asarray(result + 0.0)


def _probability(
    weights: NDArray[np.float64], lengths: NDArray[np.float64], *, memory: bool
) -> NDArray[np.float64]:
    """Return the probability of the shortest paths of a walker with or without memory."""
    strength = weights.sum(axis=-1, keepdims=True)
    steps = weights / np.where(strength > 0, strength, 1.0)
    return over_networks(
        _walk_shortest_paths,
        np.ascontiguousarray(np.swapaxes(lengths, -1, -2)),
        floyd_warshall(lengths),
        steps,
        shape=weights.shape[-2:],
        constants=(memory,),
    )


def _bits(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the information of each probability, infinite for 0."""
    bits = np.full(probability.shape, np.inf)
    np.log2(np.minimum(probability, 1.0), out=bits, where=probability > 0)
    return np.asarray(np.abs(bits))


@kernel
def _walk_shortest_paths(to_lengths, distances, steps, memory, out):  # type: ignore[no-untyped-def]
    """Write the probability of walking along a shortest path from each region to each other.

    ``onward[h]`` is the probability of being at h by a shortest path, each way of it divided by
    the share of the steps from h that do not lead back.
    """
    n = len(steps)
    onward = np.empty(n)
    first, near = _neighbours(to_lengths)
    for source in range(n):
        onward[source] = out[source, source] = 1.0
        for j in _from_near_to_far(distances[source]):
            arrived, go_on = 0.0, 0.0
            for h in _last_stops(
                distances[source], to_lengths[j], j, near[first[j] : first[j + 1]]
            ):
                ways = onward[h] * steps[h, j]
                arrived += ways
                go_on += ways / (1.0 - steps[j, h] if memory else 1.0)
            onward[j] = go_on  # infinite for a dead end, which leads nowhere
            out[source, j] = arrived


@kernel
def _transitivity(lengths, distances, matching, out):  # type: ignore[no-untyped-def]
    """Write the mean over tied shortest paths of the mean matching of their pairs of regions.

    Per region j that is reached from one source: how many of the shortest paths to it pass each
    region (``passing[j]``), how many there are, their edges, and their sum of matching.
    """
    n = len(lengths)
    first, near = _neighbours(lengths)
    passing = np.empty((n, n))
    n_paths, n_edges, total = np.empty(n), np.empty(n), np.empty(n)
    for source in range(n):
        passing[source] = 0.0
        passing[source, source] = n_paths[source] = 1.0
        n_edges[source] = total[source] = 0.0
        out[source] = np.nan
        for j in _from_near_to_far(distances[source]):
            stops = _last_stops(distances[source], lengths[j], j, near[first[j] : first[j + 1]])
            fewest = n_edges[stops].min()
            through = passing[j]
            through[:] = 0.0
            n_paths[j] = total[j] = 0.0
            for h in stops[n_edges[stops] == fewest]:
                through += passing[h]
                n_paths[j] += n_paths[h]
                total[j] += total[h]
            total[j] += (through * matching[j]).sum()
            through[j] = n_paths[j]
            n_edges[j] = fewest + 1.0
            out[source, j] = 2.0 * total[j] / (n_paths[j] * (fewest + 2.0) * (fewest + 1.0))
    for i in range(n):
        out[i, :i] = out[:i, i]


@kernel
def _from_near_to_far(distance):  # type: ignore[no-untyped-def]
    """Return the regions that are reached from a source, itself left out."""
    order = np.argsort(distance)
    return order[(distance[order] > 0.0) & (distance[order] < np.inf)]


@kernel
def _neighbours(lengths):  # type: ignore[no-untyped-def]
    """Return where the neighbours of each region begin, and all neighbours, each region its own."""
    first = np.zeros(len(lengths) + 1, dtype=np.int64)
    for i in range(len(lengths)):
        first[i + 1] = first[i] + (lengths[i] < np.inf).sum()
    return first, np.nonzero(lengths < np.inf)[1]


@kernel
def _last_stops(distance, lengths, target, near):  # type: ignore[no-untyped-def]
    """Return the neighbours of a target that are the last before it on paths from a source."""
    reach = distance[target]
    tied = distance[near] + lengths[near] <= reach * (1.0 + TIE_TOLERANCE)
    return near[tied & (distance[near] < reach)]
