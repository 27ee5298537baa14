"""How many ways lead from region to region: walks, paths and cycles.

A walk may visit a region more than once; a path may not, except that a cycle ends where it starts.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency
from brainnet.metrics._compile import over_networks
from brainnet.metrics._simple_paths import search
from brainnet.metrics.routes import check_region

TOO_MANY = 1e300
"""From here on, numbers of walks are infinite."""


def count_walks(
    adjacency: ArrayLike, *, length: int, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the number of walks of each length between each pair of regions.

    .. math:: W_q = A^q, \quad q = 1, \dots, \text{length}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal. Entry (i, j) is the edge
        from i to j.
    length : int
        Most edges of a walk, at least 1. The Brain Connectivity Toolbox takes ``n_regions``.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., length, n_regions, n_regions) array
        Entry (q - 1, i, j) counts the walks of q edges from i to j: exact up to 2**53, then
        rounded, infinity from 1e300. Its sums over the last two axes are the distribution of
        lengths.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric (unless ``directed``), or holds NaN;
        if ``length`` is less than 1.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> count_walks([[0, 1, 0], [1, 0, 1], [0, 1, 0]], length=2)[1]
    array([[1., 0., 1.],
           [0., 2., 0.],
           [1., 0., 1.]])
    """
    step = check_adjacency(adjacency, directed=directed).astype(np.float64)
    n_lengths = _check_length(length)
    walks = np.empty((*step.shape[:-2], n_lengths, *step.shape[-2:]))
    walks[..., 0, :, :] = step
    for q in range(1, n_lengths):
        longer = walks[..., q - 1, :, :] @ step
        walks[..., q, :, :] = np.minimum(longer, TOO_MANY)  # not infinity, whose 0-fold is NaN
    walks[walks >= TOO_MANY] = np.inf
    return walks


def count_simple_paths(
    adjacency: ArrayLike,
    *,
    length: int,
    sources: ArrayLike | None = None,
    directed: bool = False,
) -> NDArray[np.float64]:
    """Return the number of paths of each length between each pair of regions.

    A path visits no region twice; a cycle only its first one, where it ends. An edge of an
    undirected network is one edge each way: it makes a cycle of two edges, and each longer cycle
    counts once in each direction.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal. Entry (i, j) is the edge
        from i to j.
    length : int
        Most edges of a path, at least 1. The time grows with the number of paths that have two
        edges less.
    sources : array of int, optional
        The regions at which paths start; by default all. Other rows are 0.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., length, n_regions, n_regions) array
        Entry (q - 1, i, j) counts the paths of q edges from i to j; on the diagonal, cycles.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric (unless ``directed``), or holds NaN;
        if ``length`` is less than 1; if ``sources`` are not regions, each named once.

    References
    ----------
    Sporns (2002), in: Neuroscience Databases, Kluwer, 171-186.

    Examples
    --------
    >>> count_simple_paths([[0, 1, 1], [1, 0, 1], [1, 1, 0]], length=3)[1:].tolist()[0]
    [[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]
    """
    return _search(adjacency, length, sources, directed, 1)[..., 0, :, :, :]


def edge_path_counts(
    adjacency: ArrayLike,
    *,
    length: int,
    sources: ArrayLike | None = None,
    directed: bool = False,
) -> NDArray[np.float64]:
    """Return how many paths of each length run along each edge.

    Parameters
    ----------
    adjacency, length, sources, directed
        As ``count_simple_paths`` takes them.

    Returns
    -------
    (..., length, n_regions, n_regions) array
        Entry (q - 1, i, j) counts the paths and cycles of q edges of which the edge from i to j
        is one. Cycles count once for each region that they start from.

    Raises
    ------
    ValueError
        If an argument is not as ``count_simple_paths`` takes it.

    References
    ----------
    Sporns (2002), in: Neuroscience Databases, Kluwer, 171-186.

    Examples
    --------
    >>> edge_path_counts([[0, 1, 0], [1, 0, 1], [0, 1, 0]], length=2).sum(axis=-3)
    array([[0., 4., 0.],
           [4., 0., 4.],
           [0., 4., 0.]])
    """
    return _search(adjacency, length, sources, directed, 2)[..., 1, :, :, :]


def region_path_counts(
    adjacency: ArrayLike,
    *,
    length: int,
    sources: ArrayLike | None = None,
    directed: bool = False,
) -> NDArray[np.float64]:
    """Return how many paths of each length visit each region, their ends included.

    Parameters
    ----------
    adjacency, length, sources, directed
        As ``count_simple_paths`` takes them.

    Returns
    -------
    (..., length, n_regions) array
        Entry (q - 1, i) counts the paths and cycles of q edges that visit i; a cycle visits the
        region where it starts and ends once.

    Raises
    ------
    ValueError
        If an argument is not as ``count_simple_paths`` takes it.

    References
    ----------
    Sporns (2002), in: Neuroscience Databases, Kluwer, 171-186.

    Examples
    --------
    >>> region_path_counts([[0, 1, 0], [1, 0, 1], [0, 1, 0]], length=2)
    array([[2., 4., 2.],
           [4., 6., 4.]])
    """
    both = _search(adjacency, length, sources, directed, 2)
    counts, along = both[..., 0, :, :, :], both[..., 1, :, :, :]
    cycles = np.diagonal(counts, axis1=-2, axis2=-1)  # they enter the region that they start from
    return np.asarray(along.sum(axis=-2) + counts.sum(axis=-1) - cycles)


def cycle_fraction(counts: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of cycles among the paths of each length.

    .. math:: f_q = \frac{\sum_i P_q(i, i)}{\sum_{ij} P_q(i, j)}

    Parameters
    ----------
    counts : (..., length, n_regions, n_regions) array
        From ``count_simple_paths``.

    Returns
    -------
    (..., length) array
        From 0 to 1; NaN where no path has that length (0 in the Brain Connectivity Toolbox).

    Raises
    ------
    ValueError
        If ``counts`` are not numbers of paths.

    References
    ----------
    Sporns, Tononi and Edelman (2000), Cereb Cortex 10:127-141.

    Examples
    --------
    >>> cycle_fraction(count_simple_paths([[0, 1, 1], [1, 0, 1], [1, 1, 0]], length=4))
    array([0. , 0.5, 1. , nan])
    """
    cycles, paths = _cycles_and_paths(counts)
    return _share(cycles, paths)


def cycle_probability(counts: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of the paths with one edge less that an edge closes to a cycle.

    .. math:: p_q = \frac{\sum_i P_q(i, i)}{\sum_{i \ne j} P_{q-1}(i, j)}

    Parameters
    ----------
    counts : (..., length, n_regions, n_regions) array
        From ``count_simple_paths``.

    Returns
    -------
    (..., length) array
        From 0 to 1; entry q - 1 is that of cycles of q edges. The first one is NaN: no path has 0
        edges. So are those where no path has q - 1 edges (both 0 in the Brain Connectivity
        Toolbox). The second one is the share of edges that have a counterpart.

    Raises
    ------
    ValueError
        If ``counts`` are not numbers of paths.

    References
    ----------
    Sporns, Tononi and Edelman (2000), Cereb Cortex 10:127-141.

    Examples
    --------
    >>> cycle_probability(count_simple_paths([[0, 1, 1], [1, 0, 1], [1, 1, 0]], length=4))
    array([nan,  1.,  1., nan])
    """
    cycles, paths = _cycles_and_paths(counts)
    open_ended = np.zeros_like(paths)
    open_ended[..., 1:] = (paths - cycles)[..., :-1]
    return _share(cycles, open_ended)


def _search(
    adjacency: ArrayLike, length: int, sources: ArrayLike | None, directed: bool, parts: int
) -> NDArray[np.float64]:
    """Return (..., parts, length, n, n): paths by their ends, and by the edges that they use."""
    checked = check_adjacency(adjacency, directed=directed)
    n_regions = checked.shape[-1]
    starts = np.arange(n_regions) if sources is None else np.atleast_1d(np.asarray(sources))
    if starts.ndim > 1 or len(set(starts.tolist())) < starts.size:
        raise ValueError(
            f"sources must be regions, each named once; got {starts.tolist()}. "
            "Pass a list such as [0, 5]."
        )
    places = [check_region(each, n_regions, "sources") for each in starts.tolist()]
    shape = (parts, _check_length(length), n_regions, n_regions)
    return over_networks(
        search, checked, shape=shape, constants=(np.array(places, dtype=np.int64),)
    )


def _check_length(length: int) -> int:
    """Return the most edges, or say what is wrong with the number."""
    if not isinstance(length, int | np.integer) or length < 1:
        raise ValueError(
            f"length must be a whole number of at least 1; got {length!r}. "
            "Pass the most edges that a path may have."
        )
    return int(length)


def _cycles_and_paths(counts: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many of the paths of each length are cycles, and how many there are."""
    array = np.asarray(counts, dtype=np.float64)
    if array.ndim < 3 or array.shape[-1] != array.shape[-2] or not (array >= 0).all():
        raise ValueError(
            "counts must be numbers of paths of shape (..., length, n_regions, n_regions); got "
            f"shape {array.shape}, with {int((~(array >= 0)).sum())} negative or NaN. "
            "Use metrics.walks.count_simple_paths(adjacency, length=4) first."
        )
    return np.trace(array, axis1=-2, axis2=-1), array.sum(axis=(-2, -1))


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return part/whole, NaN where there is no whole."""
    return np.asarray(part / np.where(whole > 0, whole, np.nan))
