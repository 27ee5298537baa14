r"""Random networks in which every region keeps its degree and nearly its strength."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_weights
from brainnet.metrics._compile import kernel
from brainnet.metrics._random import Rng, random_below, random_unit, shuffle
from brainnet.metrics.nulls._edges import list_edges, randomise, write_edges
from brainnet.metrics.nulls._run import check_swaps, over_nulls
from brainnet.metrics.nulls.signed import randomise_signed

N_STAGES = 100
"""Temperatures of the annealing, each half the one before."""


def rewire_strength_ranked(
    weights: ArrayLike, *, n_nulls: int = 1, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[np.float64]:
    r"""Return random networks whose strengths are matched by dealing weights out by rank.

    The network is rewired as by ``rewire_signed``. Then, for either sign, an edge is drawn among
    those without a weight, and gets that of the remaining weights whose rank is the edge's by

    .. math:: e_{ij} = (s_i - s'_i)(s_j - s'_j)

    where :math:`s` is the strength in the network and :math:`s'` that dealt out so far, until
    all weights are dealt. The ranks are taken anew after every weight, as
    with ``wei_freq=1`` in the Brain Connectivity Toolbox.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, of any sign, zero diagonal.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Successful swaps over edges before the weights are dealt; 0 keeps the edges.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        With the weights and the positive and negative degrees of the network, strengths nearly:
        see ``strength_correlation``.

    Raises
    ------
    ValueError
        If ``weights`` is not square and symmetric with a zero diagonal, or holds NaN; if
        ``n_nulls`` is below 1 or ``swaps_per_edge`` negative.

    References
    ----------
    Rubinov and Sporns (2011), NeuroImage 56:2068-2079.

    Examples
    --------
    >>> weights = np.triu(np.random.default_rng(0).random((20, 20)), 1)
    >>> weights += weights.T
    >>> nulls = rewire_strength_ranked(weights)
    >>> bool(strength_correlation(weights, nulls)[0] > 0.7)
    True
    """
    checked = check_weights(weights, signed=True)
    constants = (False, check_swaps(swaps_per_edge))
    return over_nulls(_rank, checked, n_nulls=n_nulls, rng=rng, constants=constants)


def rewire_strength_ranked_directed(
    weights: ArrayLike, *, n_nulls: int = 1, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[np.float64]:
    r"""Return random directed networks, in- and out-strengths matched by dealing weights by rank.

    As ``rewire_strength_ranked``, with the out-strength of i and the in-strength of j.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Of any sign, zero diagonal. Entry (i, j) is the edge from i to j.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Successful swaps over edges before the weights are dealt; 0 keeps the edges.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        With the weights and all degrees of the network, strengths nearly.

    Raises
    ------
    ValueError
        If ``weights`` is not square with a zero diagonal, or holds NaN; if ``n_nulls`` is below 1
        or ``swaps_per_edge`` negative.

    References
    ----------
    Rubinov and Sporns (2011), NeuroImage 56:2068-2079.

    Examples
    --------
    >>> weights = np.random.default_rng(0).random((20, 20)) * (1 - np.eye(20))
    >>> nulls = rewire_strength_ranked_directed(weights)
    >>> bool(strength_correlation(weights, nulls)[0] > 0.7)
    True
    """
    checked = check_weights(weights, signed=True, directed=True)
    constants = (True, check_swaps(swaps_per_edge))
    return over_nulls(_rank, checked, n_nulls=n_nulls, rng=rng, constants=constants)


def rewire_strength_annealed(
    weights: ArrayLike,
    *,
    n_nulls: int = 1,
    swaps_per_edge: float = 10,
    exchanges_per_edge: float = 1000,
    rng: Rng = 0,
) -> NDArray[np.float64]:
    r"""Return random networks whose strengths are matched by simulated annealing.

    The network is rewired as by ``rewire``. Then the weights of two random edges are exchanged
    again and again, always where that lowers, and with probability :math:`\exp(-\Delta E / T)`
    where it raises

    .. math:: E = \sum_i (s_i - s'_i)^2

    for the strengths :math:`s` of the network and :math:`s'` of the null. T falls by half at each
    of 100 equal stages from 1000 times the variance of the weights, so that the scale of the
    weights does not matter; the paper starts at 1000 whatever the scale.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, of any sign, zero diagonal.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Successful swaps over edges before the annealing; 0 keeps the edges.
    exchanges_per_edge : float, optional
        Attempted exchanges of weights over edges; more match the strengths better.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        With the weights and the degrees of the network, strengths very nearly.

    Raises
    ------
    ValueError
        If ``weights`` is not square and symmetric with a zero diagonal, or holds NaN; if a number
        is negative or ``n_nulls`` below 1.

    References
    ----------
    Milisav, Bazinet, Betzel and Misic (2025), Nat Comput Sci 5:48-64.

    Examples
    --------
    >>> weights = np.triu(np.random.default_rng(0).random((20, 20)), 1)
    >>> weights += weights.T
    >>> nulls = rewire_strength_annealed(weights)
    >>> bool(strength_correlation(weights, nulls)[0] > 0.999)
    True
    """
    checked = check_weights(weights, signed=True)
    constants = (False, check_swaps(swaps_per_edge), _check_exchanges(exchanges_per_edge))
    return over_nulls(_anneal, checked, n_nulls=n_nulls, rng=rng, constants=constants)


def rewire_strength_annealed_directed(
    weights: ArrayLike,
    *,
    n_nulls: int = 1,
    swaps_per_edge: float = 10,
    exchanges_per_edge: float = 1000,
    rng: Rng = 0,
) -> NDArray[np.float64]:
    r"""Return random directed networks, in- and out-strengths matched by simulated annealing.

    As ``rewire_strength_annealed``, from ``rewire_directed``, with the squared errors of in- and
    out-strengths together.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Of any sign, zero diagonal. Entry (i, j) is the edge from i to j.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Successful swaps over edges before the annealing; 0 keeps the edges.
    exchanges_per_edge : float, optional
        Attempted exchanges of weights over edges.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        With the weights and the in- and out-degrees of the network, strengths very nearly.

    Raises
    ------
    ValueError
        If ``weights`` is not square with a zero diagonal, or holds NaN; if a number is negative
        or ``n_nulls`` below 1.

    References
    ----------
    Milisav, Bazinet, Betzel and Misic (2025), Nat Comput Sci 5:48-64.

    Examples
    --------
    >>> weights = np.random.default_rng(0).random((20, 20)) * (1 - np.eye(20))
    >>> nulls = rewire_strength_annealed_directed(weights)
    >>> bool(strength_correlation(weights, nulls)[0] > 0.999)
    True
    """
    checked = check_weights(weights, signed=True, directed=True)
    constants = (True, check_swaps(swaps_per_edge), _check_exchanges(exchanges_per_edge))
    return over_nulls(_anneal, checked, n_nulls=n_nulls, rng=rng, constants=constants)


def strength_correlation(weights: ArrayLike, nulls: ArrayLike) -> NDArray[np.float64]:
    r"""Return the correlation of the strengths of networks with those of their nulls.

    Pearson's, over the out-strengths and in-strengths of all regions together, which for
    symmetric networks is that of the strengths.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Of any sign, zero diagonal.
    nulls : (..., n_nulls, n_regions, n_regions) array
        As any function of this package returns them.

    Returns
    -------
    (..., n_nulls) array
        From -1 to 1; NaN where all strengths are equal in one of the two.

    Raises
    ------
    ValueError
        If an array is not square with a zero diagonal, holds NaN, or the shapes do not fit.

    Examples
    --------
    >>> weights = np.array([[0, 0.1, 0.4], [0.1, 0, 0.5], [0.4, 0.5, 0]])
    >>> strength_correlation(weights, weights[None]).round(12)
    array([1.])
    """
    one = check_weights(weights, signed=True, directed=True)
    many = check_weights(nulls, name="nulls", signed=True, directed=True)
    if many.ndim != one.ndim + 1 or many.shape[:-3] + many.shape[-2:] != one.shape:
        raise ValueError(
            f"nulls must have one axis more than weights, the third from the end; got {many.shape} "
            f"for weights of {one.shape}. Pass the array that a function of nulls returned."
        )
    x = np.concatenate([one.sum(-1), one.sum(-2)], axis=-1)[..., None, :]
    y = np.concatenate([many.sum(-1), many.sum(-2)], axis=-1)
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    scale = np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    size = np.abs(one).sum((-1, -2))[..., None] ** 2
    flat = scale <= 1e-12 * size
    return np.asarray((x * y).sum(-1) / np.where(flat, np.nan, scale))


def _check_exchanges(exchanges_per_edge: float) -> float:
    """Return a finite number of exchanges that is not negative."""
    if not 0 <= exchanges_per_edge < np.inf:
        raise ValueError(
            f"exchanges_per_edge must be finite and not negative; got {exchanges_per_edge}. "
            "Pass 1000 to match strengths closely."
        )
    return float(exchanges_per_edge)


@kernel
def _rank(network, directed, swaps_per_edge, state, out):  # type: ignore[no-untyped-def]
    """Write a rewired network whose weights of either sign are dealt out by rank."""
    ends, values = list_edges(network, np.zeros((0, 0), dtype=np.bool_), directed)
    randomise_signed(ends, values, len(network), directed, swaps_per_edge, state)
    for sign in (1.0, -1.0):
        chosen = np.flatnonzero(sign * values > 0)
        left_out, left_in = _both_ends(len(network), directed)
        for i in range(len(network)):
            for j in range(len(network)):
                w = max(sign * network[i, j], 0.0)
                left_out[i] += w
                if directed:
                    left_in[j] += w
        dealt = _deal(ends, chosen, np.sort(np.abs(values[chosen])), left_out, left_in, state)
        for k in range(len(chosen)):
            values[chosen[k]] = sign * dealt[k]
    write_edges(ends, values, directed, out)


@kernel
def _deal(ends, chosen, weights, left_out, left_in, state):  # type: ignore[no-untyped-def]
    """Return a weight for each chosen edge; ``weights`` in ascending order, used up."""
    m = len(chosen)
    order = np.arange(m)
    shuffle(state, order)  # the edges in the order in which they are drawn
    starts, stops = ends[2 * chosen][order], ends[2 * chosen + 1][order]
    dealt = np.empty(m)
    for k in range(m):
        expected = max(left_out[starts[k]], 0.0) * max(left_in[stops[k]], 0.0)
        below, ties = 0, 0
        for q in range(k + 1, m):
            other = max(left_out[starts[q]], 0.0) * max(left_in[stops[q]], 0.0)
            below += np.int64(other < expected)
            ties += np.int64(other == expected)
        rank = below + random_below(state, ties + 1)
        w = weights[rank]
        weights[rank : m - k - 1] = weights[rank + 1 : m - k].copy()
        dealt[order[k]] = w
        left_out[starts[k]] -= w
        left_in[stops[k]] -= w
    return dealt


@kernel
def _anneal(network, directed, swaps_per_edge, exchanges_per_edge, state, out):  # type: ignore[no-untyped-def]
    """Write a rewired network whose weights are exchanged until the strengths match."""
    ends, values = list_edges(network, np.zeros((0, 0), dtype=np.bool_), directed)
    error_out, error_in = _both_ends(len(network), directed)
    _add_strengths(ends, values, -1.0, error_out, error_in)
    taken = np.zeros((0, 0), dtype=np.bool_)
    randomise(ends, taken, len(network), directed, swaps_per_edge, state)
    _add_strengths(ends, values, 1.0, error_out, error_in)
    if len(values) > 1:
        temperature = 1000 * np.var(values)
        per_stage = np.int64(np.ceil(exchanges_per_edge * len(values) / N_STAGES))
        for _ in range(N_STAGES):
            _exchange(ends, values, (error_out, error_in), directed, temperature, per_stage, state)
            temperature /= 2
    write_edges(ends, values, directed, out)


@kernel
def _exchange(ends, values, errors, directed, temperature, n_attempts, state):  # type: ignore[no-untyped-def]
    """Attempt to exchange the weights of two edges at one temperature."""
    error_out, error_in = errors
    for _ in range(n_attempts):
        e, f = random_below(state, len(values)), random_below(state, len(values))
        a, b, c, d = ends[2 * e], ends[2 * e + 1], ends[2 * f], ends[2 * f + 1]
        change = values[f] - values[e]  # of the strengths of a and b; of c and d, the opposite
        shared = np.int64(a == c) + np.int64(b == d)
        if not directed:
            shared += np.int64(a == d) + np.int64(b == c)
        slope = error_out[a] + error_in[b] - error_out[c] - error_in[d]
        rise = 2 * change * slope + (4 - 2 * shared) * change * change
        if rise > 0 and (
            rise > 40 * temperature or random_unit(state) >= np.exp(-rise / temperature)
        ):
            continue
        values[e], values[f] = values[f], values[e]
        error_out[a] += change
        error_in[b] += change
        error_out[c] -= change
        error_in[d] -= change


@kernel
def _both_ends(n, directed):  # type: ignore[no-untyped-def]
    """Return zeros for where edges start and stop: one array, where that is the same."""
    first = np.zeros(n)
    second = np.zeros(n) if directed else first
    return first, second


@kernel
def _add_strengths(ends, values, factor, strength_out, strength_in):  # type: ignore[no-untyped-def]
    """Add the weight of every edge, times a factor, at both of its ends."""
    for e in range(len(values)):
        strength_out[ends[2 * e]] += factor * values[e]
        strength_in[ends[2 * e + 1]] += factor * values[e]
