"""How alike the neighbours of two regions are, and how alike two networks."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_weights


def matching_index(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of the edges of each two regions that lead to common neighbours.

    .. math:: M_{ij} = \frac{2 \sum_h a_{ih} a_{jh}}{k_i + k_j - 2 a_{ij}}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (..., n_regions, n_regions) array
        From 0 to 1, symmetric; the edge between the two is left out. 0 on the diagonal and where
        neither region has another edge. bctpy's ``matching_ind_und`` divides by another number.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Hilgetag et al. (2000), Phil Trans R Soc B 355:91-110.
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> matching_index([[0, 1, 1], [1, 0, 0], [1, 0, 0]])
    array([[0., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]])
    """
    edges = check_adjacency(adjacency).astype(np.float32)
    return _matching(edges @ edges, edges.sum(axis=-1), 2 * edges)


def matching_index_in(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of the incoming edges of each two regions that have common sources.

    .. math:: M_{ij} = \frac{2 \sum_h a_{hi} a_{hj}}{k^{in}_i + k^{in}_j - a_{ij} - a_{ji}}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions, n_regions) array
        From 0 to 1, symmetric; edges between the two are left out. 0 on the diagonal and where
        neither region has another incoming edge.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Hilgetag et al. (2000), Phil Trans R Soc B 355:91-110.

    Examples
    --------
    >>> matching_index_in([[0, 1, 1], [0, 0, 0], [0, 0, 0]])[1, 2]
    np.float64(1.0)
    """
    edges = check_adjacency(adjacency, directed=True).astype(np.float32)
    turned = np.swapaxes(edges, -1, -2)
    return _matching(turned @ edges, edges.sum(axis=-2), edges + turned)


def matching_index_out(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of the outgoing edges of each two regions that have common targets.

    .. math:: M_{ij} = \frac{2 \sum_h a_{ih} a_{jh}}{k^{out}_i + k^{out}_j - a_{ij} - a_{ji}}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions, n_regions) array
        From 0 to 1, symmetric; edges between the two are left out. 0 on the diagonal and where
        neither region has another outgoing edge.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Hilgetag et al. (2000), Phil Trans R Soc B 355:91-110.

    Examples
    --------
    >>> matching_index_out([[0, 0, 1], [0, 0, 1], [0, 0, 0]])[0, 1]
    np.float64(1.0)
    """
    edges = check_adjacency(adjacency, directed=True).astype(np.float32)
    turned = np.swapaxes(edges, -1, -2)
    return _matching(edges @ turned, edges.sum(axis=-1), edges + turned)


def matching_index_directed(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the share of all edges of each two regions that match.

    Numerator and denominator are the sums of those of ``matching_index_in`` and
    ``matching_index_out``.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    (..., n_regions, n_regions) array
        From 0 to 1, symmetric; edges between the two are left out. 0 on the diagonal and where
        neither region has another edge. Of a symmetric network it equals ``matching_index``.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN.

    References
    ----------
    Hilgetag et al. (2000), Phil Trans R Soc B 355:91-110.

    Examples
    --------
    >>> matching_index_directed([[0, 0, 1], [0, 0, 1], [1, 0, 0]])[0, 1].round(4)
    np.float64(0.6667)
    """
    edges = check_adjacency(adjacency, directed=True).astype(np.float32)
    turned = np.swapaxes(edges, -1, -2)
    n_edges = edges.sum(axis=-1) + edges.sum(axis=-2)
    return _matching(edges @ turned + turned @ edges, n_edges, 2 * (edges + turned))


def topological_overlap(adjacency: ArrayLike, *, n_steps: int = 1) -> NDArray[np.float64]:
    r"""Return the generalised topological overlap of each two regions.

    .. math:: t_{ij} = \frac{|N_m(i) \cap N_m(j)| + a_{ij}}
              {\min(|N_m(i)|, |N_m(j)|) + 1 - a_{ij}}, \quad t_{ii} = 1

    where :math:`N_m(i)` are the other regions that a path of at most m edges joins to i.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    n_steps : int, optional
        m, at least 1.

    Returns
    -------
    (..., n_regions, n_regions) array
        From 0 to 1, symmetric, 1 on the diagonal. bctpy's ``gtom`` takes the larger neighbourhood
        in place of the smaller and one step too few.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN; if ``n_steps`` is
        below 1.

    References
    ----------
    Ravasz et al. (2002), Science 297:1551-1555.
    Yip and Horvath (2007), BMC Bioinformatics 8:22.

    Examples
    --------
    >>> topological_overlap([[0, 1, 1], [1, 0, 0], [1, 0, 0]])
    array([[1. , 1. , 1. ],
           [1. , 1. , 0.5],
           [1. , 0.5, 1. ]])
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1; got {n_steps}. 1 compares neighbours.")
    edges = check_adjacency(adjacency).astype(np.float32)
    n_regions = edges.shape[-1]
    within = edges
    others = ~np.eye(n_regions, dtype=bool)
    for _ in range(min(n_steps, n_regions) - 1):
        farther = (((within @ edges + within) > 0) & others).astype(np.float32)
        if np.array_equal(farther, within):
            break
        within = farther
    size = within.sum(axis=-1)
    smaller = np.minimum(size[..., :, None], size[..., None, :])
    shared = within @ within + edges + np.eye(n_regions, dtype=np.float32)
    return np.asarray(shared / (smaller + 1 - edges).astype(np.float64))


def edge_neighbourhood_overlap(
    adjacency: ArrayLike, *, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the share of the neighbours of the two ends of each edge that they have in common.

    .. math:: O_{ij} = \frac{|N(i) \cap N(j)|}{|N(i) \cup N(j) \setminus \{i, j\}|}

    An edge of overlap 0 is a local bridge.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric unless ``directed``, zero diagonal.
    directed : bool, optional
        Accept networks that are not symmetric; neighbours are joined in either direction.

    Returns
    -------
    (..., n_regions, n_regions) array
        From 0 to 1 for the edges; NaN where there is no edge (the Brain Connectivity Toolbox:
        infinity), and for an edge whose ends have no other neighbour.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or not symmetric, or holds NaN.

    References
    ----------
    Easley and Kleinberg (2010), Networks, Crowds, and Markets, chapter 3.

    Examples
    --------
    >>> edge_neighbourhood_overlap([[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 0]])[0]
    array([nan, 1. , 0.5, nan])
    """
    checked = check_adjacency(adjacency, directed=directed)
    joined = (checked | np.swapaxes(checked, -1, -2)).astype(np.float32)
    size = joined.sum(axis=-1)
    shared = (joined @ joined).astype(np.float64)
    either = size[..., :, None] + size[..., None, :] - shared - 2 * joined
    return np.asarray(shared / np.where(checked & (either > 0), either, np.nan))


def dice_similarity(adjacency: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    r"""Return how alike the neighbours of each region are in two networks.

    .. math:: D_i = \frac{2 \sum_j a_{ij} b_{ij}}{\sum_j a_{ij} + \sum_j b_{ij}}

    Parameters
    ----------
    adjacency, other : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal; the leading axes broadcast.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1; NaN for a region that is isolated in both.

    Raises
    ------
    ValueError
        If a network is not boolean, square and symmetric, or holds NaN; if the shapes do not fit.

    References
    ----------
    Dice (1945), Ecology 26:297-302.

    Examples
    --------
    >>> dice_similarity([[0, 1, 1], [1, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    array([0.66666667, 1.        , 0.        ])
    """
    first, second = check_adjacency(adjacency), check_adjacency(other, name="other")
    _check_fit(first.shape, second.shape)
    shared = (first & second).sum(axis=-1)
    n_edges = first.sum(axis=-1) + second.sum(axis=-1)
    return np.asarray(2 * shared / np.where(n_edges > 0, n_edges, np.nan))


def network_correlation(
    weights: ArrayLike, other: ArrayLike, *, directed: bool = False
) -> NDArray[np.float64]:
    r"""Return the correlation of the weights of two networks over their pairs of regions.

    Parameters
    ----------
    weights, other : (..., n_regions, n_regions) array
        Signed, symmetric unless ``directed``, zero diagonal; the leading axes broadcast.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (...) array
        Pearson's correlation over the entries off the diagonal (absent edges are 0), from -1 to
        1; NaN where all weights of a network are equal (to 12 digits).

    Raises
    ------
    ValueError
        If a network is not square or symmetric, or holds NaN; if the shapes do not fit.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> first, second = np.zeros((2, 3, 3))
    >>> first[0, 1] = first[1, 0] = second[0, 1] = second[1, 0] = 2
    >>> second[0, 2] = second[2, 0] = 2
    >>> float(network_correlation(first, second).round(4))
    0.5
    """
    first = check_weights(weights, signed=True, directed=directed)
    second = check_weights(other, name="other", signed=True, directed=directed)
    _check_fit(first.shape, second.shape)
    correlation = (_standardised(first) * _standardised(second)).sum(axis=-1)
    if first.shape[-1] == 1:
        correlation = np.full_like(correlation, np.nan)
    return np.asarray(np.clip(correlation, -1.0, 1.0))


def _matching(
    shared: NDArray[np.float32], n_edges: NDArray[np.float32], between: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return twice the shared edges over those of both regions, without those between them."""
    both = n_edges[..., :, None] + n_edges[..., None, :] - between
    index = 2 * shared.astype(np.float64) / np.where(both > 0, both, 1)
    n_regions = index.shape[-1]
    index[..., np.arange(n_regions), np.arange(n_regions)] = 0.0
    return np.asarray(index)


def _standardised(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entries off the diagonal, of mean 0 and norm 1; NaN if they do not vary."""
    entries = weights[..., ~np.eye(weights.shape[-1], dtype=bool)]
    largest = np.abs(entries).max(axis=-1, keepdims=True, initial=0.0)
    scaled = entries / np.where(largest > 0, largest, 1.0)
    centred = scaled - scaled.sum(axis=-1, keepdims=True) / max(entries.shape[-1], 1)
    norm = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    varies = np.abs(centred).max(axis=-1, keepdims=True, initial=0.0) > 1e-12
    return np.asarray(centred / np.where(varies, norm, np.nan))


def _check_fit(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    """Refuse two shapes that do not broadcast or have different regions."""
    try:
        np.broadcast_shapes(first, second)
        fits = first[-1] == second[-1]
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"other must have the regions and leading axes of the first; got shapes {first} "
            f"and {second}. Pass two networks of the same regions."
        )
