"""Synthetic networks: random ones, lattices, modules, hierarchies."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._random import Rng, draw_seeds
from brainnet.metrics.nulls import rewire, rewire_directed

Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]


def random_network(
    n_regions: int, n_edges: int, *, directed: bool = False, n_networks: int = 1, rng: Rng = 0
) -> NDArray[np.bool_]:
    r"""Return networks whose edges are drawn evenly from all pairs.

    Parameters
    ----------
    n_regions, n_edges : int
        Of each network; every one has exactly so many edges.
    directed : bool, optional
        Draw from ordered pairs: entry (i, j) is the edge from i to j.
    n_networks : int, optional
        How many.
    rng : int or Generator, optional
        The first networks are the same however many are drawn.

    Returns
    -------
    (n_networks, n_regions, n_regions) boolean array
        Zero diagonal; symmetric unless directed.

    Raises
    ------
    ValueError
        If a number is not whole, or there are fewer pairs than edges.

    References
    ----------
    Erdős and Rényi (1959), Publ Math Debrecen 6:290-297.

    Examples
    --------
    >>> random_network(10, 15, n_networks=3).sum(axis=(1, 2)) // 2
    array([15, 15, 15])
    """
    pairs = _pairs(n_regions, directed)
    _check_edges(n_edges, len(pairs[0]))

    def draw(generator: np.random.Generator) -> NDArray[np.intp]:
        return generator.choice(len(pairs[0]), n_edges, replace=False)

    return _draw(draw, pairs, n_regions, directed, n_networks, rng)


def random_degrees(degrees: ArrayLike, *, n_networks: int = 1, rng: Rng = 0) -> NDArray[np.bool_]:
    r"""Return random networks with given degrees, all of them equally likely.

    One network is built from the degrees (Havel 1955, Hakimi 1962) and rewired by
    ``nulls.rewire`` with 20 swaps per edge.

    Parameters
    ----------
    degrees : (n_regions,) array of whole numbers
        Of every region.
    n_networks : int, optional
        How many.
    rng : int or Generator, optional
        The first networks are the same however many are drawn.

    Returns
    -------
    (n_networks, n_regions, n_regions) boolean array
        Symmetric, zero diagonal.

    Raises
    ------
    ValueError
        If no network has these degrees.

    References
    ----------
    Hakimi (1962), J SIAM 10:496-506.

    Examples
    --------
    >>> random_degrees([3, 2, 2, 2, 1]).sum(axis=-1)
    array([[3, 2, 2, 2, 1]])
    """
    wanted = _check_degrees(degrees, "degrees")
    left = wanted.copy()
    network = np.zeros((len(left), len(left)), dtype=bool)
    while left.any():
        i = int(left.argmax())
        k, left[i] = left[i], 0
        others = np.argsort(-left, kind="stable")[:k]
        if k > (left > 0).sum():
            raise ValueError(_no_such_network(wanted))
        left[others] -= 1
        network[i, others] = network[others, i] = True
    return np.asarray(rewire(network, n_nulls=n_networks, swaps_per_edge=20, rng=rng))


def random_degrees_directed(
    in_degrees: ArrayLike, out_degrees: ArrayLike, *, n_networks: int = 1, rng: Rng = 0
) -> NDArray[np.bool_]:
    r"""Return random directed networks with given in- and out-degrees, all equally likely.

    One network is built from the degrees (Kleitman and Wang 1973) and rewired by
    ``nulls.rewire_directed`` with 20 swaps per edge.

    Parameters
    ----------
    in_degrees, out_degrees : (n_regions,) arrays of whole numbers
        Of every region.
    n_networks : int, optional
        How many.
    rng : int or Generator, optional
        The first networks are the same however many are drawn.

    Returns
    -------
    (n_networks, n_regions, n_regions) boolean array
        Zero diagonal. Entry (i, j) is the edge from i to j.

    Raises
    ------
    ValueError
        If no network has these degrees.

    References
    ----------
    Kleitman and Wang (1973), Discrete Math 6:79-88.

    Examples
    --------
    >>> (network,) = random_degrees_directed([1, 1, 1], [2, 1, 0])
    >>> network.sum(axis=0), network.sum(axis=1)
    (array([1, 1, 1]), array([2, 1, 0]))
    """
    wanted_in, wanted_out = (
        _check_degrees(in_degrees, "in_degrees"),
        _check_degrees(out_degrees, "out_degrees"),
    )
    if wanted_in.shape != wanted_out.shape or wanted_in.sum() != wanted_out.sum():
        raise ValueError(
            "in_degrees and out_degrees must be of one length and one sum; got "
            f"{len(wanted_in)} with {wanted_in.sum()} and {len(wanted_out)} with "
            f"{wanted_out.sum()}. Every edge counts once in each."
        )
    left = wanted_in.copy()
    network = np.zeros((len(left), len(left)), dtype=bool)
    for i in np.argsort(-wanted_out, kind="stable"):
        # Those who want most first; among equals, those with most edges of their own to place.
        ranked = np.lexsort((-np.where(network.any(1), 0, wanted_out), -left))
        others = ranked[ranked != i][: wanted_out[i]]
        if (left[others] < 1).any() or len(others) < wanted_out[i]:
            raise ValueError(_no_such_network(np.array([wanted_in, wanted_out])))
        left[others] -= 1
        network[i, others] = True
    return np.asarray(rewire_directed(network, n_nulls=n_networks, swaps_per_edge=20, rng=rng))


def ring_lattice(
    n_regions: int, n_edges: int, *, directed: bool = False, n_networks: int = 1, rng: Rng = 0
) -> NDArray[np.bool_]:
    r"""Return networks whose regions stand on a ring and are connected to the nearest ones.

    The pairs at distance 1 along the ring are filled, then those at distance 2 and so on; of the
    last distance, edges are drawn evenly.

    Parameters
    ----------
    n_regions, n_edges : int
        Of each network.
    directed : bool, optional
        Fill ordered pairs.
    n_networks : int, optional
        How many; they differ only in the last distance.
    rng : int or Generator, optional
        The first networks are the same however many are drawn.

    Returns
    -------
    (n_networks, n_regions, n_regions) boolean array
        Zero diagonal; symmetric unless directed.

    Raises
    ------
    ValueError
        If a number is not whole, or there are fewer pairs than edges.

    References
    ----------
    Watts and Strogatz (1998), Nature 393:440-442.

    Examples
    --------
    >>> ring_lattice(5, 5).astype(int)[0]
    array([[0, 1, 0, 0, 1],
           [1, 0, 1, 0, 0],
           [0, 1, 0, 1, 0],
           [0, 0, 1, 0, 1],
           [1, 0, 0, 1, 0]])
    """
    pairs = _pairs(n_regions, directed)
    _check_edges(n_edges, len(pairs[0]))
    apart = np.abs(pairs[0] - pairs[1])
    around = np.minimum(apart, n_regions - apart)

    def draw(generator: np.random.Generator) -> NDArray[np.intp]:
        return np.asarray(np.lexsort((generator.random(len(around)), around))[:n_edges])

    return _draw(draw, pairs, n_regions, directed, n_networks, rng)


def toeplitz(
    n_regions: int,
    n_edges: int,
    width: float,
    *,
    directed: bool = False,
    n_networks: int = 1,
    rng: Rng = 0,
) -> NDArray[np.bool_]:
    r"""Return networks whose edges become rarer away from the diagonal, as a normal curve.

    Pairs are drawn one after another, without replacement, with probability in proportion to

    .. math:: p_{ij} \propto \exp\left(-\frac{(|i - j| - 1/2)^2}{2 \sigma^2}\right)

    The Brain Connectivity Toolbox draws all pairs at once until the number of edges fits, which
    for wide curves and few edges is much the same and for others may never end.

    Parameters
    ----------
    n_regions, n_edges : int
        Of each network.
    width : float
        :math:`\sigma`, positive, in regions.
    directed : bool, optional
        Draw from ordered pairs.
    n_networks : int, optional
        How many.
    rng : int or Generator, optional
        The first networks are the same however many are drawn.

    Returns
    -------
    (n_networks, n_regions, n_regions) boolean array
        Zero diagonal; symmetric unless directed.

    Raises
    ------
    ValueError
        If a number is not whole or positive, or there are fewer pairs than edges.

    References
    ----------
    Efraimidis and Spirakis (2006), Inf Process Lett 97:181-185, for the drawing.

    Examples
    --------
    >>> (network,) = toeplitz(50, 100, 2.0)
    >>> i, j = np.nonzero(network)
    >>> bool(np.abs(i - j).mean() < 4)
    True
    """
    if not 0 < width < np.inf:
        raise ValueError(f"width must be positive; got {width}. Pass, say, n_regions / 10.")
    pairs = _pairs(n_regions, directed)
    _check_edges(n_edges, len(pairs[0]))
    log_weight = -((np.abs(pairs[0] - pairs[1]) - 0.5) ** 2) / (2 * width**2)

    def draw(generator: np.random.Generator) -> NDArray[np.intp]:
        return np.argsort(-(log_weight + generator.gumbel(size=len(log_weight))))[:n_edges]

    return _draw(draw, pairs, n_regions, directed, n_networks, rng)


def modular_network(
    n_regions: int,
    n_edges: int,
    module_size: int,
    *,
    directed: bool = False,
    n_networks: int = 1,
    rng: Rng = 0,
) -> NDArray[np.bool_]:
    r"""Return networks of complete modules, with edges between them drawn evenly.

    Parameters
    ----------
    n_regions, n_edges : int
        Of each network.
    module_size : int
        Regions per module, in order; the last module holds the rest.
    directed : bool, optional
        Draw from ordered pairs.
    n_networks : int, optional
        How many.
    rng : int or Generator, optional
        The first networks are the same however many are drawn.

    Returns
    -------
    (n_networks, n_regions, n_regions) boolean array
        Zero diagonal; symmetric unless directed.

    Raises
    ------
    ValueError
        If a number is not whole, or there are fewer edges than the modules need or more than
        pairs.

    References
    ----------
    Sporns and Zwi (2004), Neuroinformatics 2:145-162.

    Examples
    --------
    >>> (network,) = modular_network(6, 7, 3)
    >>> int(network[:3, :3].sum()), int(network[:3, 3:].sum())
    (6, 1)
    """
    pairs = _pairs(n_regions, directed)
    _check_whole(module_size, "module_size", 1)
    apart = pairs[0] // module_size != pairs[1] // module_size
    _check_edges(n_edges, len(apart), least=int((~apart).sum()))

    def draw(generator: np.random.Generator) -> NDArray[np.intp]:
        return np.asarray(np.lexsort((generator.random(len(apart)), apart))[:n_edges])

    return _draw(draw, pairs, n_regions, directed, n_networks, rng)


def fractal(
    n_levels: int,
    module_level: int,
    decay: float,
    *,
    directed: bool = False,
    n_networks: int = 1,
    rng: Rng = 0,
) -> NDArray[np.bool_]:
    r"""Return hierarchical networks: complete modules, in modules, in modules.

    Of :math:`2^L` regions, two whose smallest common module has :math:`2^h` regions are
    connected with probability

    .. math:: p_{ij} = E^{-\max(h - m, 0)}

    Parameters
    ----------
    n_levels : int
        :math:`L`, up to 14.
    module_level : int
        :math:`m`: modules of :math:`2^m` regions are complete.
    decay : float
        :math:`E`, at least 1: how many times rarer edges are at each further level.
    directed : bool, optional
        Draw from ordered pairs, as the Brain Connectivity Toolbox does.
    n_networks : int, optional
        How many.
    rng : int or Generator, optional
        The first networks are the same however many are drawn.

    Returns
    -------
    (n_networks, n_regions, n_regions) boolean array
        Zero diagonal; symmetric unless directed.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Sporns (2006), BioSystems 85:55-64.

    Examples
    --------
    >>> fractal(3, 1, 1e9).sum(axis=-1)
    array([[1, 1, 1, 1, 1, 1, 1, 1]])
    """
    _check_whole(n_levels, "n_levels", 0, 14)
    _check_whole(module_level, "module_level", 0, n_levels)
    if not 1 <= decay < np.inf:
        raise ValueError(f"decay must be at least 1; got {decay}. Pass, say, 2.")
    pairs = _pairs(2**n_levels, directed)
    level = np.frexp((pairs[0] ^ pairs[1]).astype(np.float64))[1]
    chance = float(decay) ** -np.maximum(level - module_level, 0).astype(np.float64)

    def draw(generator: np.random.Generator) -> NDArray[np.intp]:
        return np.flatnonzero(generator.random(len(chance)) < chance)

    return _draw(draw, pairs, 2**n_levels, directed, n_networks, rng)


def _draw(
    draw: Callable[[np.random.Generator], NDArray[np.intp]],
    pairs: Pairs,
    n_regions: int,
    directed: bool,
    n_networks: int,
    rng: Rng,
) -> NDArray[np.bool_]:
    """Return networks with edges at the pairs whose numbers are drawn."""
    _check_whole(n_networks, "n_networks", 1)
    networks = np.zeros((n_networks, n_regions, n_regions), dtype=bool)
    for network, seed in zip(networks, draw_seeds(rng, (n_networks,)), strict=True):
        chosen = draw(np.random.default_rng(seed))
        network[pairs[0][chosen], pairs[1][chosen]] = True
        if not directed:
            network |= network.T
    return networks


def _pairs(n_regions: int, directed: bool) -> Pairs:
    """Return the first and the second region of every pair."""
    _check_whole(n_regions, "n_regions", 1)
    first, second = np.triu_indices(n_regions, 1)
    if directed:
        return np.concatenate([first, second]), np.concatenate([second, first])
    return first, second


def _check_whole(number: float, name: str, least: int, most: int | None = None) -> None:
    """Raise unless a number is whole and within bounds."""
    if int(number) != number or number < least or (most is not None and number > most):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number, {bounds}; got {number}. Pass another.")


def _check_edges(n_edges: int, n_pairs: int, least: int = 0) -> None:
    """Raise unless so many edges are possible."""
    _check_whole(n_edges, "n_edges", least, n_pairs)


def _check_degrees(degrees: ArrayLike, name: str) -> NDArray[np.int64]:
    """Return degrees as whole numbers from 0 to n_regions - 1."""
    array = np.asarray(degrees)
    whole = array.dtype.kind in "iub" or (array.dtype.kind == "f" and not (array % 1).any())
    if array.ndim != 1 or not whole or array.min(initial=0) < 0 or len(array) == 0:
        raise ValueError(
            f"{name} must be whole numbers, not negative, one a region; got {array}. "
            "Pass the degrees of a network, as metrics.degree.degree returns them."
        )
    return array.astype(np.int64)


def _no_such_network(degrees: NDArray[np.int64]) -> str:
    """Return the error message for degrees that no network has."""
    return (
        f"degrees must be those of some network; no network has {degrees.tolist()}. "
        "Check that their sum fits and none exceeds what the others can take."
    )
