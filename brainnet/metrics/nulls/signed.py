"""Random networks in which every region keeps its positive and its negative degree."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_weights
from brainnet.metrics._compile import kernel
from brainnet.metrics._random import Rng, random_below
from brainnet.metrics.nulls._edges import (
    MOST_ATTEMPTS,
    PILOT_LEAST,
    PILOT_SHARE,
    list_edges,
    write_edges,
)
from brainnet.metrics.nulls._run import check_swaps, over_nulls


def rewire_signed(
    weights: ArrayLike, *, n_nulls: int = 1, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[np.float64]:
    r"""Return random networks with the positive and the negative degree of every region.

    A swap takes two edges a-b and c-d of one sign, where a-d and c-b are alike, too, but not of
    that sign: both missing, or both of the other sign. It exchanges a-b with a-d and c-d with
    c-b. So a complete network of both signs is rewired as well. Attempts are counted as in
    ``rewire``, and all networks within reach become equally likely.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, of both signs, zero diagonal. The edges carry their weights along.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Successful swaps over edges, to within chance; up to 1000 attempts are made per swap.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        With the weights of the network. A network without a legal swap is returned.

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
    >>> sign = np.triu(np.random.default_rng(0).choice([-1.0, 1.0], (8, 8)), 1)
    >>> (null,) = rewire_signed(sign + sign.T)
    >>> bool((null.sum(axis=0) == (sign + sign.T).sum(axis=0)).all())
    True
    """
    checked = check_weights(weights, signed=True)
    constants = (False, check_swaps(swaps_per_edge))
    return over_nulls(_rewire_signed, checked, n_nulls=n_nulls, rng=rng, constants=constants)


def rewire_signed_directed(
    weights: ArrayLike, *, n_nulls: int = 1, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[np.float64]:
    r"""Return random directed networks with all positive and negative in- and out-degrees.

    As ``rewire_signed``.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Of both signs, zero diagonal. Entry (i, j) is the edge from i to j.
    n_nulls : int, optional
        Nulls per network.
    swaps_per_edge : float, optional
        Successful swaps over edges, to within chance.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_regions, n_regions) array
        With the weights of the network. A network without a legal swap is returned.

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
    >>> sign = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (8, 8)) * (1 - np.eye(8))
    >>> (null,) = rewire_signed_directed(sign)
    >>> bool((null.sum(axis=0) == sign.sum(axis=0)).all())
    True
    """
    checked = check_weights(weights, signed=True, directed=True)
    constants = (True, check_swaps(swaps_per_edge))
    return over_nulls(_rewire_signed, checked, n_nulls=n_nulls, rng=rng, constants=constants)


@kernel
def _rewire_signed(network, directed, swaps_per_edge, state, out):  # type: ignore[no-untyped-def]
    """Write a rewired network."""
    ends, values = list_edges(network, np.zeros((0, 0), dtype=np.bool_), directed)
    randomise_signed(ends, values, len(network), directed, swaps_per_edge, state)
    write_edges(ends, values, directed, out)


@kernel
def randomise_signed(ends, values, n, directed, swaps_per_edge, state):  # type: ignore[no-untyped-def]
    """Rewire a list of signed edges: first until a tenth is made, then by attempts."""
    n_edges = len(values)
    n_wanted = np.int64(np.ceil(swaps_per_edge * n_edges))
    full = n_edges == (n * (n - 1) if directed else n * (n - 1) // 2)
    one_sign = np.all(values > 0) or np.all(values < 0)
    if n_edges < 2 or n_wanted == 0 or (full and one_sign):
        return
    numbers = np.zeros((n, n), dtype=np.int32)
    for e in range(n_edges):
        _number(numbers, ends, values, e, directed)
    n_pilot = min(max(np.int64(PILOT_SHARE * n_wanted), PILOT_LEAST), n_wanted)
    n_made, n_attempts = 0, 0
    while n_made < n_pilot and n_attempts < MOST_ATTEMPTS * n_pilot:
        n_made += _attempt_signed(ends, values, numbers, directed, n_pilot, state)
        n_attempts += n_pilot
    n_left = MOST_ATTEMPTS * n_wanted - n_attempts
    if n_made > 0:
        n_left = min(n_left, (n_wanted - n_made) * n_attempts // n_made)
    _attempt_signed(ends, values, numbers, directed, n_left, state)


@kernel
def _attempt_signed(ends, values, numbers, directed, n_attempts, state):  # type: ignore[no-untyped-def]
    """Attempt signed swaps; return how many succeeded."""
    n_made = 0
    for _ in range(n_attempts):
        x, y = random_below(state, len(ends)), random_below(state, len(ends))
        if directed:
            x, y = x & ~1, y & ~1
        e, f = x >> 1, y >> 1
        a, b, c, d = ends[x], ends[x ^ 1], ends[y], ends[y ^ 1]
        if a == d or c == b or (values[e] > 0) != (values[f] > 0):
            continue
        g, h = numbers[a, d], numbers[c, b]
        sign = 1 if values[e] > 0 else -1
        if np.sign(g) != np.sign(h) or np.sign(g) == sign:
            continue
        numbers[a, b], numbers[c, d] = 0, 0
        if not directed:
            numbers[b, a], numbers[d, c] = 0, 0
        if g != 0:  # a-d becomes a-b, c-b becomes c-d
            _set_ends(ends, abs(g) - 1, a, b)
            _set_ends(ends, abs(h) - 1, c, d)
            _number(numbers, ends, values, abs(g) - 1, directed)
            _number(numbers, ends, values, abs(h) - 1, directed)
        ends[x ^ 1], ends[y ^ 1] = d, b
        _number(numbers, ends, values, e, directed)
        _number(numbers, ends, values, f, directed)
        n_made += 1
    return n_made


@kernel
def _set_ends(ends, e, i, j):  # type: ignore[no-untyped-def]
    """Let edge e lead from i to j."""
    ends[2 * e], ends[2 * e + 1] = i, j


@kernel
def _number(numbers, ends, values, e, directed):  # type: ignore[no-untyped-def]
    """Write the number of edge e, from 1 and with its sign, at its place."""
    i, j = ends[2 * e], ends[2 * e + 1]
    number = np.int32(e + 1 if values[e] > 0 else -e - 1)
    numbers[i, j] = number
    if not directed:
        numbers[j, i] = number
