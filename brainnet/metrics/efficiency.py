"""How efficiently each network, and the neighbourhood of each region, is joined by short paths."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._bits import lowest_one
from brainnet.metrics._checks import check_adjacency, check_bits, check_weights
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics._shortest import add_hops, add_hops_word, lower_directed
from brainnet.metrics._strips import (
    FAR,
    LANES,
    PIVOTS,
    aligned,
    invert,
    lower_strips,
    sum_closeness,
)
from brainnet.metrics.paths import distances_weighted, hop_counts


def global_efficiency(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the mean inverse shortest-path length of each network.

    .. math:: E = \frac{1}{n(n-1)} \sum_{i \ne j} d_{ij}^{-1}

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The length of an edge is 1/weight.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j.

    Returns
    -------
    (...) array
        In units of ``weights``. Unreachable pairs contribute 0; a single region gives NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Latora and Marchiori (2001), Phys Rev Lett 87:198701.

    Examples
    --------
    >>> float(global_efficiency([[0, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0]]).round(4))
    0.4167
    """
    return mean_inverse(distances_weighted(weights, directed=directed))


def global_efficiency_binary(
    adjacency: ArrayLike, *, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the mean inverse number of edges on shortest paths of each network.

    .. math:: E = \frac{1}{n(n-1)} \sum_{i \ne j} d_{ij}^{-1}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    directed : bool, optional
        Accept networks that are not symmetric: entry (i, j) is the edge from i to j.

    Returns
    -------
    (...) array
        From 0 (no edge) to 1 (complete). Unreachable pairs contribute 0; a single region gives
        NaN.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Latora and Marchiori (2001), Phys Rev Lett 87:198701.

    Examples
    --------
    >>> float(global_efficiency_binary([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(4))
    0.8333
    """
    counts = hop_counts(check_bits(adjacency, directed=directed))
    n_regions = counts.shape[-1]
    total = counts[..., 1:] @ (1.0 / np.arange(1, n_regions))
    return np.asarray(total / (n_regions * (n_regions - 1) or np.nan))


def local_efficiency_binary(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the global efficiency of the neighbours of each region.

    .. math:: E_i = \frac{1}{k_i(k_i-1)} \sum_{j \ne h \in N_i} d_{jh}^{-1}(N_i)

    where :math:`d_{jh}(N_i)` counts the edges between j and h by way of neighbours of i only,
    i itself left out.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1; a region with fewer than two neighbours is 0.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Latora and Marchiori (2001), Phys Rev Lett 87:198701.

    Examples
    --------
    >>> local_efficiency_binary([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    array([1., 1., 1.])
    """
    bits = check_bits(adjacency)
    return over_networks(_local_binary, bits, shape=bits.shape[-2:-1])


def local_efficiency_weighted(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the weighted efficiency of the neighbours of each region.

    .. math:: E_i = \frac{1}{k_i(k_i-1)}
              \sum_{j \ne h \in N_i} \bigl(w_{ij} w_{ih} d_{jh}^{-1}(N_i)\bigr)^{1/3}

    where :math:`d_{jh}(N_i)` is the length of the shortest path from j to h by way of neighbours
    of i only, and the length of an edge is 1/weight. This is the definition of Rubinov and
    Sporns (2010), with their sum over ordered pairs; the Brain Connectivity Toolbox calls it
    ``original``. With weights of 0 and 1 only, it differs from the binary one: the cube root acts
    on paths longer than one edge.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``; a region with fewer than two neighbours is 0.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> local_efficiency_weighted([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    array([0.5, 0.5, 0.5])
    """
    checked = check_weights(weights)
    return over_networks(_local_weighted, checked, shape=checked.shape[-1:], constants=(False,))


def local_efficiency_modified(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the weighted efficiency of the neighbours of each region, by cube roots of lengths.

    .. math:: E_i = \frac{1}{k_i(k_i-1)}
              \sum_{j \ne h \in N_i} (w_{ij} w_{ih})^{1/3} \, d_{jh}^{-1}(N_i)

    where :math:`d_{jh}(N_i)` is the length of the shortest path from j to h by way of neighbours
    of i only, and the length of an edge is weight to the power -1/3. Unlike
    ``local_efficiency_weighted``, it equals the binary one if all weights are 1. The Brain
    Connectivity Toolbox calls it ``modified`` (``local=2``).

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``; a region with fewer than two neighbours is 0.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Wang, Ghumare, Vandenberghe and Dupont (2017), Neural Comput 29:313-331.

    Examples
    --------
    >>> local_efficiency_modified([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    array([1., 1., 1.])
    """
    checked = check_weights(weights)
    return over_networks(_local_weighted, checked, shape=checked.shape[-1:], constants=(True,))


def local_efficiency_binary_directed(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the efficiency of the neighbours of each region of directed networks.

    .. math:: E_i = \frac{\sum_{j \ne h \in N_i} (a_{ij} + a_{ji})(a_{ih} + a_{hi})
              \bigl(d_{jh}^{-1}(N_i) + d_{hj}^{-1}(N_i)\bigr)}
              {2 \bigl(k_i (k_i - 1) - 2 \sum_j a_{ij} a_{ji}\bigr)}

    where :math:`k_i` is the number of edges to and from i, and neighbours are joined to i in
    either direction. For a symmetric network it is ``local_efficiency_binary``.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1; a region with fewer than two neighbours is 0.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> local_efficiency_binary_directed([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    array([0.5, 0.5, 0.5])
    """
    checked = check_adjacency(adjacency, directed=True)
    return over_networks(
        _local_directed, checked.astype(np.float64), shape=checked.shape[-1:], constants=(1.0,)
    )


def local_efficiency_weighted_directed(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the weighted efficiency of the neighbours of each region of directed networks.

    .. math:: E_i = \frac{\sum_{j \ne h \in N_i}
              (w_{ij}^{1/3} + w_{ji}^{1/3})(w_{ih}^{1/3} + w_{hi}^{1/3})
              \bigl(d_{jh}^{-1/3}(N_i) + d_{hj}^{-1/3}(N_i)\bigr)}
              {2 \bigl(k_i (k_i - 1) - 2 \sum_j a_{ij} a_{ji}\bigr)}

    where :math:`k_i` is the number of edges to and from i. For a symmetric network it is
    ``local_efficiency_weighted``.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``; a region with fewer than two neighbours is 0.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> local_efficiency_weighted_directed([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    array([0.5, 0.5, 0.5])
    """
    checked = check_weights(weights, directed=True)
    return over_networks(_local_directed, checked, shape=checked.shape[-1:], constants=(1 / 3,))


def mean_inverse(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of 1/distance over pairs of different regions.

    Parameters
    ----------
    distances : (..., n_regions, n_regions) array
        Zero diagonal, infinity where no path leads.

    Returns
    -------
    (...) array
        In units of 1/``distances``; a single region gives NaN.

    Examples
    --------
    >>> float(mean_inverse(np.array([[0, 2.0], [2.0, 0]])))
    0.5
    """
    n_regions = distances.shape[-1]
    return np.asarray(
        inverse(distances).sum(axis=(-2, -1)) / (n_regions * (n_regions - 1) or np.nan)
    )


def inverse(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1/distance, 0 on the diagonal and where no path leads.

    Parameters
    ----------
    distances : (..., n_regions, n_regions) array
        Zero diagonal, infinity where no path leads.

    Returns
    -------
    (..., n_regions, n_regions) array
        In units of 1/``distances``.

    Examples
    --------
    >>> inverse(np.array([[0, 2.0], [2.0, 0]]))
    array([[0. , 0.5],
           [0.5, 0. ]])
    """
    result = np.zeros(distances.shape)
    np.divide(1.0, distances, out=result, where=distances > 0)
    return result


@kernel
def _local_binary(bits, out):  # type: ignore[no-untyped-def]
    """Write the local efficiency of one boolean network."""
    n, n_words = bits.shape
    near = np.empty(n, dtype=np.int64)
    rank = np.empty(n, dtype=np.uint64)
    inner = np.empty(n * n_words, dtype=np.uint64)
    counts = np.empty(n + 1)
    for i in range(n):
        k = 0
        for w in range(n_words):
            word = bits[i, w]
            while word != 0:
                near[k] = 64 * w + np.int64(lowest_one(word))
                rank[near[k]] = np.uint64(k)
                word &= word - np.uint64(1)
                k += 1
        if k > 1:
            among = inner[: k * ((k + 63) // 64)].reshape(k, (k + 63) // 64)
            _induce(bits, bits[i], near, rank, among)
            counts[:] = 0.0
            if k <= 64:
                add_hops_word(among[:, 0], k, counts)
            else:
                add_hops(among, k, counts)
            total = 0.0
            hops = 1
            while counts[hops] > 0:
                total += counts[hops] / hops
                hops += 1
            out[i] = total / (k * (k - 1))


@kernel
def _induce(bits, mask, near, rank, among):  # type: ignore[no-untyped-def]
    """Write the edges among the regions of a mask, numbered by their rank, as bits."""
    for a in range(len(among)):
        row, source = among[a], bits[near[a]]
        row[:] = np.uint64(0)
        for w in range(len(mask)):
            word = source[w] & mask[w]
            while word != 0:
                b = rank[64 * w + np.int64(lowest_one(word))]
                row[np.int64(b >> np.uint64(6))] |= np.uint64(1) << (b & np.uint64(63))
                word &= word - np.uint64(1)


@kernel
def _local_weighted(weights, modified, out):  # type: ignore[no-untyped-def]
    """Write the local efficiency of one weighted network, in the units of its largest weight."""
    n = len(weights)
    largest = _largest(weights)
    if largest == 0.0:
        return
    lengths = _unit_lengths(weights, largest, modified)
    padded = (n + LANES - 1) // LANES * LANES
    strips = aligned(padded * padded)
    pivots = aligned(PIVOTS * padded).reshape(PIVOTS, padded)
    ties, near_lengths = np.empty(padded), np.empty(padded + 1)
    near = np.empty(padded + 1, dtype=np.uint64)
    for i in range(n):
        k = _list_near(weights[i], lengths[i], near, near_lengths)
        if k > 1:
            to_strip = (k + LANES - 1) // LANES * LANES
            near_lengths[k:to_strip] = FAR
            near[k:to_strip] = np.uint64(n)
            invert(near_lengths, to_strip, ties, modified)
            _gather(lengths, near, k, strips)
            lower_strips(strips, pivots, k)
            out[i] = largest * _sum_strips(strips, ties, k, modified) / (k * (k - 1))


@kernel
def _list_near(weights, lengths, near, near_lengths):  # type: ignore[no-untyped-def]
    """Write the neighbours of a region and how far they are, without branches; return how many."""
    k = np.uint64(0)  # unsigned, as a negative place would be looked for from the end
    for j in range(len(weights)):
        near[k] = np.uint64(j)
        near_lengths[k] = lengths[j]
        k += np.uint64(weights[j] > 0)
    return np.int64(k)


@kernel
def _largest(weights):  # type: ignore[no-untyped-def]
    """Return the largest weight, or 0."""
    tops = np.zeros(len(weights))  # of columns: the loop vectorises, that of one number does not
    for i in range(len(weights)):
        row = weights[i]
        for j in range(len(weights)):
            tops[j] = max(tops[j], row[j])
    return tops.max()


@kernel
def _unit_lengths(weights, largest, modified):  # type: ignore[no-untyped-def]
    """Return lengths from 1, the heaviest edge's; their cube roots if ``modified``.

    ``FAR`` where there is no edge, as in a last column: the lengths to no region.
    """
    n = len(weights)
    lengths = np.empty((n, n + 1))
    for i in range(n):
        row, to = weights[i], lengths[i]
        for j in range(n):
            to[j] = min(largest / abs(row[j]), FAR)
        if modified:
            for j in range(n):
                to[j] = np.cbrt(to[j]) if to[j] < FAR else FAR
        to[i] = 0.0
        to[n] = FAR
    return lengths


@kernel
def _gather(lengths, near, k, strips):  # type: ignore[no-untyped-def]
    """Write the lengths among neighbours in strips of columns, from the diagonal down."""
    n_strips = (k + LANES - 1) // LANES
    size = n_strips * LANES * LANES
    for b in range(n_strips):
        columns = near[b * LANES : (b + 1) * LANES]
        at = np.uint64(b * size + b * LANES * LANES)
        for a in range(b * LANES, k):
            row = lengths[near[a]]
            for j in range(LANES):
                strips[at + np.uint64(j)] = row[columns[j]]
            at += np.uint64(LANES)
        strips[b * size + k * LANES : (b + 1) * size] = FAR


@kernel
def _sum_strips(strips, ties, k, rooted):  # type: ignore[no-untyped-def]
    """Return the sum of ties times closeness over ordered pairs, from half of them in strips."""
    n_strips = (k + LANES - 1) // LANES
    total = 0.0
    for b in range(n_strips):
        start, first, beyond = b * n_strips * LANES * LANES, b * LANES, min((b + 1) * LANES, k)
        total += sum_closeness(strips, start, first, beyond, ties, first, rooted)
        total += 2.0 * sum_closeness(strips, start, beyond, k, ties, first, rooted)
    return total


@kernel
def _local_directed(weights, power, out):  # type: ignore[no-untyped-def]
    """Write the local efficiency of one directed network; ``power`` is 1 (binary) or 1/3."""
    n = len(weights)
    largest = weights.max()
    near = np.empty(n, dtype=np.int64)
    ties, links = np.empty(n), np.empty(n)
    for i in range(n):
        k = 0
        for j in range(n):
            there, back = weights[i, j], weights[j, i]
            if there > 0 or back > 0:
                near[k] = j
                ties[k] = (there / largest) ** power + (back / largest) ** power
                links[k] = (there > 0) * 1.0 + (back > 0) * 1.0
                k += 1
        if k > 1:
            among = np.empty((k, k))
            for a in range(k):
                for b in range(k):
                    among[a, b] = largest / abs(weights[near[a], near[b]])
                among[a, a] = 0.0
            lower_directed(among)
            total = 0.0
            for a in range(k):
                for b in range(k):
                    if among[a, b] > 0:  # the sum of both directions, over 2
                        total += ties[a] * ties[b] * (1.0 / among[a, b]) ** power
            n_links = links[:k].sum()
            scale = largest if power < 1 else 1.0
            out[i] = scale * total / (n_links**2 - (links[:k] ** 2).sum())
