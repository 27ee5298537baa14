"""How well regions communicate by what spreads along all walks, without knowing the way."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

from brainnet.metrics._checks import check_adjacency, check_weights
from brainnet.metrics.efficiency import inverse, mean_inverse

TAYLOR_TERMS = 16
"""Terms of the exponential of a matrix of norm at most one half: to the precision of a double."""


def stationary_distribution(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the share of its time that a random walker spends at each region in the long run.

    .. math:: \pi_j = \sum_i \pi_i \frac{w_{ij}}{\sum_h w_{ih}}, \quad \sum_i \pi_i = 1

    In a symmetric network it follows the strength of the regions.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric unless ``directed``, non-negative, zero diagonal. The walker goes from i to j
        with a probability in proportion to the edge (i, j); from a region without outgoing edges
        it does not leave.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1; the sum over regions is 1. Regions that the walker leaves for good are 0. NaN
        where it depends on the start: there are several pieces that the walker does not leave.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric (unless ``directed``), has a negative entry or
        holds NaN.

    References
    ----------
    Grinstead and Snell (1997), Introduction to Probability, American Mathematical Society.

    Examples
    --------
    >>> stationary_distribution([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    array([0.25, 0.5 , 0.25])
    """
    checked = check_weights(weights, directed=directed)
    flat = checked.reshape(-1, *checked.shape[-2:])
    return np.array([_stationary(_steps(each)) for each in flat]).reshape(checked.shape[:-1])


def mean_first_passage_time(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the mean number of steps that a random walker takes from each region to each other.

    .. math:: T_{ij} = \frac{z_{jj} - z_{ij}}{\pi_j}, \quad
              Z = (I - P + \mathbf{1} \pi^\top)^{-1}, \quad P_{ij} = \frac{w_{ij}}{\sum_h w_{ih}}

    with the stationary distribution :math:`\pi`.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric unless ``directed``, non-negative, zero diagonal. Entry (i, j) is the edge from
        i to j.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions, n_regions) array
        From row to column, in steps; 0 on the diagonal. Not symmetric. Infinity where the walker
        may never arrive: no path leads there, or a path leads away for good. (The Brain
        Connectivity Toolbox's function is for strongly connected networks only.)

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric (unless ``directed``), has a negative entry or
        holds NaN.

    References
    ----------
    Grinstead and Snell (1997), Introduction to Probability, American Mathematical Society; Goñi
    et al. (2013), PLoS ONE 8:e58070.

    Examples
    --------
    >>> mean_first_passage_time([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(12)
    array([[0., 1., 4.],
           [3., 0., 3.],
           [4., 1., 0.]])
    """
    checked = check_weights(weights, directed=directed)
    flat = checked.reshape(-1, *checked.shape[-2:])
    return np.array([_passage(_steps(each)) for each in flat]).reshape(checked.shape)


def diffusion_efficiency(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the mean inverse of the mean first passage time over pairs of regions.

    .. math:: E = \frac{1}{n(n-1)} \sum_{i \ne j} T_{ij}^{-1}

    Parameters
    ----------
    weights, directed
        As ``mean_first_passage_time`` takes them.

    Returns
    -------
    (...) array
        From 0 (no edge) to 1/(n - 1), that of the complete network. Pairs without passage
        contribute 0; a single region gives NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not as ``mean_first_passage_time`` takes it.

    References
    ----------
    Goñi et al. (2013), PLoS ONE 8:e58070.

    Examples
    --------
    >>> float(diffusion_efficiency([[0, 1, 1], [1, 0, 1], [1, 1, 0]]).round(4))
    0.5
    """
    return mean_inverse(mean_first_passage_time(weights, directed=directed))


def diffusion_efficiency_pairwise(
    weights: ArrayLike, *, directed: bool = False
) -> NDArray[np.float64]:
    """Return the inverse of the mean first passage time between each pair of regions.

    Parameters
    ----------
    weights, directed
        As ``mean_first_passage_time`` takes them.

    Returns
    -------
    (..., n_regions, n_regions) array
        From row to column, from 0 to 1; 0 where there is no passage and on the diagonal. Not
        symmetric.

    Raises
    ------
    ValueError
        If ``weights`` is not as ``mean_first_passage_time`` takes it.

    References
    ----------
    Goñi et al. (2013), PLoS ONE 8:e58070.

    Examples
    --------
    >>> diffusion_efficiency_pairwise([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(4)
    array([[0.    , 1.    , 0.25  ],
           [0.3333, 0.    , 0.3333],
           [0.25  , 1.    , 0.    ]])
    """
    return inverse(mean_first_passage_time(weights, directed=directed))


def communicability_binary(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the number of walks between each pair of regions, those of k steps divided by k!.

    .. math:: G = e^A = \sum_{k=0}^\infty \frac{A^k}{k!}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions, n_regions) array
        From row to column; 0 between regions without a path. On the diagonal, the subgraph
        centrality. NaN for networks whose values are too large for a double (from a largest
        eigenvalue of about 709). Each entry is accurate to its own size, however small.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric (unless ``directed``), or holds NaN.

    References
    ----------
    Estrada and Hatano (2008), Phys Rev E 77:036111.

    Examples
    --------
    >>> communicability_binary([[0, 1], [1, 0]]).round(4)
    array([[1.5431, 1.1752],
           [1.1752, 1.5431]])
    """
    checked = check_adjacency(adjacency, directed=directed).astype(np.float64)
    flat = checked.reshape(-1, *checked.shape[-2:])
    return np.array([_exponential(each) for each in flat]).reshape(checked.shape)


def communicability_weighted(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the communicability of the weights divided by the strengths at both ends.

    .. math:: G = e^{S^{-1/2} W S^{-1/2}}, \quad S = \operatorname{diag}(s_1, \dots, s_n),
              \quad s_i = \sum_j w_{ij}

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.

    Returns
    -------
    (..., n_regions, n_regions) array
        Symmetric, from 0 to e; 0 between regions without a path, 1 on the diagonal of an isolated
        region.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Crofts and Higham (2009), J R Soc Interface 6:411-414.

    Examples
    --------
    >>> communicability_weighted([[0, 3], [3, 0]]).round(4)
    array([[1.5431, 1.1752],
           [1.1752, 1.5431]])
    """
    checked = check_weights(weights)
    strength = checked.sum(axis=-1)
    scale = 1.0 / np.sqrt(np.where(strength > 0, strength, 1.0))
    flat = (checked * scale[..., :, None] * scale[..., None, :]).reshape(-1, *checked.shape[-2:])
    return np.array([_exponential(each) for each in flat]).reshape(checked.shape)


def _steps(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of a random walker's steps in one network."""
    out = weights.sum(axis=1, keepdims=True)
    steps = weights / np.where(out > 0, out, 1.0)
    dead_end = np.flatnonzero(out[:, 0] == 0)
    steps[dead_end, dead_end] = 1.0
    return np.asarray(steps)


def _stationary(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the stationary distribution of one walker, NaN if there are several."""
    n = len(steps)
    n_pieces, piece = connected_components(steps, directed=True, connection="strong")
    left = np.zeros(n_pieces, dtype=bool)
    start, end = np.nonzero(steps)
    left[piece[start[piece[start] != piece[end]]]] = True
    if (~left).sum() != 1:
        return np.full(n, np.nan)
    stays = np.flatnonzero(~left[piece])
    inner = steps[np.ix_(stays, stays)]
    share = np.zeros(n)
    share[stays] = np.linalg.solve(np.eye(len(stays)) - inner.T + 1.0, np.ones(len(stays)))
    return share


def _passage(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean first passage times of one walker."""
    n = len(steps)
    n_pieces, piece = connected_components(steps, directed=True, connection="strong")
    if n_pieces == 1:
        return _passage_within(steps)
    times = np.where(np.eye(n, dtype=bool), 0.0, np.inf)
    stays = piece[:, None] == piece
    if not steps[~stays].any():  # pieces without an edge between them
        for k in range(n_pieces):
            inside = np.ix_(piece == k, piece == k)
            times[inside] = _passage_within(steps[inside])
        return times
    for target in range(n):
        sure = np.flatnonzero(_surely_arrives(steps, target))
        system = np.eye(len(sure)) - steps[np.ix_(sure, sure)]
        times[sure, target] = np.linalg.solve(system, np.ones(len(sure)))
    return times


def _passage_within(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean first passage times in a network of one strongly connected piece."""
    n = len(steps)
    share = np.linalg.solve(np.eye(n) - steps.T + 1.0, np.ones(n))
    fundamental = np.linalg.inv(np.eye(n) - steps + share)
    times = (np.diagonal(fundamental) - fundamental) / share
    np.fill_diagonal(times, 0.0)
    return np.asarray(times)


def _surely_arrives(steps: NDArray[np.float64], target: int) -> NDArray[np.bool_]:
    """Return from which other regions the walker reaches the target with certainty."""
    edges = steps > 0
    edges[target] = False
    reaches = _leads_to(edges, np.arange(len(steps)) == target)
    sure = ~_leads_to(edges, ~reaches)
    sure[target] = False
    return sure


def _leads_to(edges: NDArray[np.bool_], goal: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the regions from which some path leads to a goal, goals included."""
    reached = goal
    while True:
        further = reached | edges[:, reached].any(axis=1)
        if (further == reached).all():
            return further
        reached = further


def _exponential(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the exponential of a non-negative matrix, NaN if it is beyond doubles.

    Taylor's series of the matrix over a power of 2, squared as often: all terms are positive, so
    that small entries are as accurate as large ones.
    """
    norm = float(matrix.sum(axis=1).max())
    squarings = max(0, int(np.ceil(np.log2(2 * norm)))) if norm > 0 else 0
    first = matrix / 2.0**squarings
    second = first @ first
    powers = [np.eye(len(matrix)), first, second, second @ first]
    fourth = second @ second
    result = fourth / math.factorial(TAYLOR_TERMS)
    for low in range(TAYLOR_TERMS - 4, -1, -4):
        result += sum(power / math.factorial(low + k) for k, power in enumerate(powers))
        if low > 0:
            result = result @ fourth
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(squarings):
            result = result @ result
    return result if np.isfinite(result).all() else np.full(matrix.shape, np.nan)
