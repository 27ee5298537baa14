"""How much of the network's influence or traffic reaches each region."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_weights
from brainnet.metrics._compile import over_networks
from brainnet.metrics._lanczos import clear_other_pieces, leading_vector
from brainnet.metrics.paths import distances_binary, distances_weighted

EIGENVALUE_TOLERANCE = 1e-9
"""Eigenvalues within this share of the largest are equal to it."""

NEARLY_NOTHING = 1e-6
"""An entry below it may be the rounding of a region outside the leading piece."""

LARGEST_EXPONENT = 709.0
"""Above it, the exponential is beyond the largest double."""


def eigenvector_centrality(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the leading eigenvector of each network.

    .. math:: W v = \lambda_{\max} v, \quad v_i \ge 0, \quad \sum_i v_i^2 = 1

    Where several eigenvectors share the largest eigenvalue (equal pieces of a disconnected
    network), the projection of the constant vector on them: what power iteration from equal
    values tends to. The result then still follows the regions when these are reordered.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal; zeros and ones for the binary centrality.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1. Regions outside the leading piece of a disconnected network are 0; a network
        without edges gives NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Bonacich (1972), J Math Sociol 2:113-120.

    Examples
    --------
    >>> eigenvector_centrality([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(4)
    array([0.5   , 0.7071, 0.5   ])
    """
    checked = check_weights(weights)
    vectors = over_networks(leading_vector, checked, shape=checked.shape[-1:])
    slow = vectors[..., 0] < 0
    if slow.any():
        vectors[slow] = _leading_projection(checked[slow])
    if vectors.min() < NEARLY_NOTHING:
        vectors = over_networks(clear_other_pieces, checked, vectors, shape=checked.shape[-1:])
        vectors[vectors < 1e-12] = 0.0
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(norm > 0, norm, np.nan))


def eigenvector_centrality_directed(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the leading left eigenvector of each directed network.

    .. math:: \sum_j w_{ji} v_j = \lambda_{\max} v_i, \quad v_i \ge 0, \quad \sum_i v_i^2 = 1

    A region is central if edges come to it from central regions. Pass the transpose for the
    centrality of the edges that leave.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal; entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1. Regions that the leading strongly connected piece does not lead to are 0. NaN
        where the vector is not unique or does not exist: several strongly connected pieces share
        the largest eigenvalue, or the network has no cycle. (``eigenvector_centrality`` settles
        the first case for symmetric networks.)

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN.

    References
    ----------
    Bonacich and Lloyd (2001), Soc Networks 23:191-201.

    Examples
    --------
    >>> eigenvector_centrality_directed([[0, 1, 1], [0, 0, 1], [1, 0, 0]]).round(4)
    array([0.5484, 0.414 , 0.7265])
    """
    checked = check_weights(weights, directed=True)
    largest = checked.max(axis=(-2, -1), keepdims=True)
    scaled = checked / np.where(largest > 0, largest, 1.0)
    values, vectors = np.linalg.eig(np.swapaxes(scaled, -1, -2))
    leading = values.real.argmax(axis=-1)[..., None]
    radius = np.take_along_axis(values.real, leading, axis=-1)
    # Equal eigenvalues of a matrix that is not symmetric are found to the root of the precision.
    alone = (np.abs(values - radius) < 1e-6 * radius).sum(axis=-1, keepdims=True) == 1
    vector = np.abs(np.take_along_axis(vectors, leading[..., None, :], axis=-1)[..., 0])
    vector[vector < 1e-12] = 0.0
    norm = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.asarray(vector / np.where(alone & (radius > 0), norm, np.nan))


def pagerank(
    weights: ArrayLike,
    *,
    damping: float = 0.85,
    restart: ArrayLike | None = None,
    directed: bool = False,
) -> NDArray[np.float64]:
    r"""Return the share of its time that a walker with restarts spends at each region.

    .. math:: r_i = (1 - d)\, p_i + d \sum_j r_j \frac{w_{ji}}{\sum_h w_{jh}},
              \quad \sum_i r_i = 1

    From a region without outgoing edges the walker restarts.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric unless ``directed``, non-negative, zero diagonal. Entry (i, j) is the edge from
        i to j: the walker goes from i to j. (The Brain Connectivity Toolbox's function reads a
        directed network the other way: it gives the result of the transpose.)
    damping : float, optional
        d, from 0 (restarts only) to below 1.
    restart : (n_regions,) or (..., n_regions) array, optional
        Non-negative, with a positive sum: p, where the walker restarts, in any unit. All regions
        alike if not given.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1; the sum over regions is 1. A network without edges gives p.

    Raises
    ------
    ValueError
        If ``weights`` is not such a network, ``damping`` is out of range, or ``restart`` does not
        fit, has a negative or infinite entry or holds NaN, or its sum is 0.

    References
    ----------
    Brin and Page (1998), Comput Netw 30:107-117.

    Examples
    --------
    >>> pagerank([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(4)
    array([0.2568, 0.4865, 0.2568])
    """
    checked = check_weights(weights, directed=directed)
    if not 0 <= damping < 1:
        raise ValueError(
            f"damping must be at least 0 and below 1; got {damping}. The usual value is 0.85."
        )
    share = _restart_shares(restart, checked)
    out = checked.sum(axis=-1, keepdims=True)
    steps = checked / np.where(out > 0, out, 1.0)
    system = np.eye(checked.shape[-1]) - damping * np.swapaxes(steps, -1, -2)
    visits = np.linalg.solve(system, share[..., None])[..., 0]  # up to how often it restarts
    return np.asarray(visits / visits.sum(axis=-1, keepdims=True))


def subgraph_centrality(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the number of closed walks from each region, those of k steps divided by k!.

    .. math:: C_i = \bigl(e^A\bigr)_{ii} = \sum_k v_{ki}^2\, e^{\lambda_k}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions) array
        At least 1, the value of an isolated region. NaN for networks whose largest eigenvalue is
        above ``LARGEST_EXPONENT``: the values are then too large for a double.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Estrada and Rodríguez-Velázquez (2005), Phys Rev E 71:056103.

    Examples
    --------
    >>> subgraph_centrality([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(4)
    array([1.5891, 2.1782, 1.5891])
    """
    values, vectors = np.linalg.eigh(check_adjacency(adjacency).astype(np.float64))
    values = np.where(values[..., -1:] < LARGEST_EXPONENT, values, np.nan)
    return np.asarray((vectors**2 @ np.exp(values)[..., None])[..., 0])


def closeness_binary(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the inverse of the mean number of edges to the regions that each region reaches.

    .. math:: C_i = \frac{r_i}{n-1} \cdot \frac{r_i}{\sum_{j \in R_i} d_{ij}}

    where the :math:`r_i` regions of :math:`R_i` are those other than i that i reaches. The first
    factor is 1 in a connected network; it keeps small pieces from looking central.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal.
    directed : bool, optional
        Accept networks that are not symmetric; the paths are those from i. Pass the transpose for
        the paths to i.

    Returns
    -------
    (..., n_regions) array
        From 0 (isolated) to 1 (joined to every other region). A single region gives NaN.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric (unless ``directed``), or holds NaN.

    References
    ----------
    Freeman (1979), Soc Networks 1:215-239; Wasserman and Faust (1994), Social Network Analysis,
    Cambridge University Press.

    Examples
    --------
    >>> closeness_binary([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).round(4)
    array([0.6667, 1.    , 0.6667])
    """
    return _closeness(distances_binary(adjacency, directed=directed))


def closeness_weighted(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return the inverse of the mean length of the paths to the regions that each region reaches.

    As ``closeness_binary``, with the length of an edge 1/weight.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric unless ``directed``, non-negative, zero diagonal.
    directed : bool, optional
        Accept networks that are not symmetric; the paths are those from i.

    Returns
    -------
    (..., n_regions) array
        In units of ``weights``; an isolated region is 0. A single region gives NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric (unless ``directed``), has a negative entry or
        holds NaN.

    References
    ----------
    Freeman (1979), Soc Networks 1:215-239; Wasserman and Faust (1994), Social Network Analysis,
    Cambridge University Press.

    Examples
    --------
    >>> closeness_weighted([[0, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0]]).round(4)
    array([0.3333, 0.5   , 0.3333])
    """
    return _closeness(distances_weighted(weights, directed=directed))


def _closeness(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of regions reached over the mean distance to them."""
    reached = np.isfinite(distances)
    n_reached = reached.sum(axis=-1) - 1.0
    total = np.where(reached, distances, 0.0).sum(axis=-1)
    n_others = distances.shape[-1] - 1 or np.nan
    return np.asarray(n_reached**2 / (n_others * np.where(total > 0, total, 1.0)))


def _restart_shares(
    restart: ArrayLike | None, networks: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return with which probability the walker restarts in each region of each network."""
    if restart is None:
        return np.full(networks.shape[:-1], 1.0 / networks.shape[-1])
    given = np.asarray(restart, dtype=np.float64)
    fits = given.shape in (networks.shape[:-1], networks.shape[-1:])
    if not fits or not np.isfinite(given).all() or (given < 0).any() or not given.any(-1).all():
        raise ValueError(
            f"restart must be finite, non-negative, not all 0, of shape {networks.shape[:-1]} or "
            f"{networks.shape[-1:]}; got shape {given.shape}, minimum {given.min(initial=0):.6g}. "
            "Leave it out to restart anywhere."
        )
    share = given / given.sum(axis=-1, keepdims=True)
    return np.asarray(np.broadcast_to(share, networks.shape[:-1]))


def _leading_projection(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the projection of the constant vector on all leading eigenvectors, in any unit."""
    values, vectors = np.linalg.eigh(weights / weights.max(axis=(-2, -1), keepdims=True))
    leading = values >= values[..., -1:] * (1 - EIGENVALUE_TOLERANCE)
    weight = np.where(leading, vectors.sum(axis=-2), 0.0)
    return np.asarray(np.maximum((vectors @ weight[..., None])[..., 0], 0.0))
