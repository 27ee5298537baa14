"""The few edges that hold a network together, or that stand out at their regions.

How many of the strongest edges stay, by share or by weight, is for ``connectome.threshold``.
Where edges are equally strong, the one that comes first in row-major order of the upper triangle
does: the result is always the same, but may depend on the order of regions.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet._network import edge_ranks
from brainnet.metrics._checks import check_weights
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics.efficiency import mean_inverse
from brainnet.metrics.paths import edge_lengths, floyd_warshall


def maximum_spanning_tree(weights: ArrayLike) -> NDArray[np.float64]:
    """Return the tree of the strongest edges that joins all regions.

    The same edges are the minimum spanning tree of the lengths 1/weight. A disconnected network
    gives one tree for each piece.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.

    Returns
    -------
    (..., n_regions, n_regions) array
        The weights of the tree's ``n_regions - n_pieces`` edges, 0 elsewhere. Unique if no two
        weights are equal.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Prim (1957), Bell Syst Tech J 36:1389-1401; Stam et al. (2014), Int J Psychophysiol
    92:129-138.

    Examples
    --------
    >>> maximum_spanning_tree([[0, 0.9, 0.4], [0.9, 0, 0.5], [0.4, 0.5, 0]])
    array([[0. , 0.9, 0. ],
           [0.9, 0. , 0.5],
           [0. , 0.5, 0. ]])
    """
    checked = check_weights(weights)
    return over_networks(_grow_tree, checked, shape=checked.shape[-2:])


def minimum_spanning_tree(lengths: ArrayLike) -> NDArray[np.float64]:
    """Return the tree of the shortest edges that joins all regions.

    For networks whose entries are lengths or distances; for those of strengths, see
    ``maximum_spanning_tree``.

    Parameters
    ----------
    lengths : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal; 0 where there is no edge.

    Returns
    -------
    (..., n_regions, n_regions) array
        The lengths of the tree's ``n_regions - n_pieces`` edges, 0 elsewhere. Unique if no two
        lengths are equal.

    Raises
    ------
    ValueError
        If ``lengths`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Prim (1957), Bell Syst Tech J 36:1389-1401.

    Examples
    --------
    >>> minimum_spanning_tree([[0, 9, 4], [9, 0, 5], [4, 5, 0]])
    array([[0., 0., 4.],
           [0., 0., 5.],
           [4., 5., 0.]])
    """
    checked = check_weights(lengths, name="lengths")
    edges = checked > 0
    place = edge_ranks(np.where(edges, -checked, -np.inf))
    strength = np.where(edges, checked.shape[-1] ** 2.0 - place, 0.0)
    tree = over_networks(_grow_tree, strength, shape=checked.shape[-2:])
    return np.where(tree > 0, checked, 0.0)


def backbone(weights: ArrayLike, *, average_degree: float) -> NDArray[np.float64]:
    """Return the maximum spanning tree and the strongest other edges, up to an average degree.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    average_degree : float
        Edges are added until the mean degree over all regions reaches it: none to the tree alone
        if it is below 2, all if the network has no more.

    Returns
    -------
    (..., n_regions, n_regions) array
        The weights of ``ceil(average_degree * n_regions / 2)`` edges, 0 elsewhere. (The Brain
        Connectivity Toolbox adds all of several equal edges; here, as many as are needed.)

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, or
        ``average_degree`` is negative or NaN.

    References
    ----------
    Hagmann et al. (2008), PLoS Biol 6:e159.

    Examples
    --------
    >>> weights = [[0, 9, 8, 0], [9, 0, 7, 1], [8, 7, 0, 2], [0, 1, 2, 0]]
    >>> backbone(weights, average_degree=2)
    array([[0., 9., 8., 0.],
           [9., 0., 7., 0.],
           [8., 7., 0., 2.],
           [0., 0., 2., 0.]])
    """
    checked = check_weights(weights)
    if not average_degree >= 0:
        raise ValueError(
            f"average_degree must be at least 0; got {average_degree}. "
            "The backbone of Hagmann et al. (2008) has an average degree of 4."
        )
    tree = over_networks(_grow_tree, checked, shape=checked.shape[-2:])
    in_tree = tree > 0
    n_edges = np.ceil(average_degree * checked.shape[-1] / 2 - 1e-9)
    n_wanted = np.maximum(n_edges - in_tree.sum(axis=(-2, -1), keepdims=True) / 2, 0)
    added = edge_ranks(np.where(in_tree, 0.0, checked)) < n_wanted
    return np.where(in_tree | added, checked, 0.0)


def disparity_significance(weights: ArrayLike, *, directed: bool = False) -> NDArray[np.float64]:
    r"""Return how likely a share of its region's strength as large as each edge's is by chance.

    .. math:: \alpha_{ij} = \Bigl(1 - \frac{w_{ij}}{s_i}\Bigr)^{k_i - 1}

    for strengths that are divided among the :math:`k_i` edges of a region at random; of the two
    ends of an edge, the smaller value counts.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric unless ``directed``, non-negative, zero diagonal. The scale does not matter.
    directed : bool, optional
        Accept networks that are not symmetric: an edge (i, j) is compared with the other edges
        from i and with the other edges to j.

    Returns
    -------
    (..., n_regions, n_regions) array
        From 0 to 1; 1 where there is no edge, and for the only edge of both its regions. Not
        corrected for the number of edges.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric (unless ``directed``), has a negative entry or
        holds NaN.

    References
    ----------
    Serrano et al. (2009), PNAS 106:6483-6488.

    Examples
    --------
    >>> disparity_significance([[0, 8, 1, 1], [8, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]).round(2)
    array([[1.  , 0.04, 0.81, 0.81],
           [0.04, 1.  , 1.  , 1.  ],
           [0.81, 1.  , 1.  , 1.  ],
           [0.81, 1.  , 1.  , 1.  ]])
    """
    return _significance(check_weights(weights, directed=directed))


def disparity_filter(
    weights: ArrayLike, *, alpha: float = 0.05, directed: bool = False
) -> NDArray[np.float64]:
    """Return the edges that hold a larger share of a region's strength than chance would give.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric unless ``directed``, non-negative, zero diagonal.
    alpha : float, optional
        Edges whose ``disparity_significance`` is below it stay. Above 0 and at most 1.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions, n_regions) array
        The weights of the edges that stay, 0 elsewhere. It may be in more pieces than before.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric (unless ``directed``), has a negative entry or
        holds NaN, or ``alpha`` is out of range.

    References
    ----------
    Serrano et al. (2009), PNAS 106:6483-6488.

    Examples
    --------
    >>> disparity_filter([[0, 8, 1, 1], [8, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])
    array([[0., 8., 0., 0.],
           [8., 0., 0., 0.],
           [0., 0., 0., 0.],
           [0., 0., 0., 0.]])
    """
    checked = check_weights(weights, directed=directed)
    if not 0 < alpha <= 1:
        raise ValueError(
            f"alpha must be above 0 and at most 1; got {alpha}. Pass a level of significance, "
            "for example 0.05."
        )
    return np.where(_significance(checked) < alpha, checked, 0.0)


def orthogonal_spanning_trees(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the first few spanning trees, without common edges, of the best cost efficiency.

    The maximum spanning tree is taken out of the network, then that of what remains, and so on.
    Of the networks of the first m trees, the one with the largest

    .. math:: J = \frac{E(\text{trees})}{E(W)} - \frac{\sum \text{weights of the trees}}{\sum W}

    with the global efficiency E is returned (of equal ones, that of the fewest trees).

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal; dense, as a rule. The scale does not matter.

    Returns
    -------
    (..., n_regions, n_regions) array
        The weights of the trees' edges, 0 elsewhere. The network without edges gives itself.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Dimitriadis et al. (2017), Front Neuroinform 11:28.

    Examples
    --------
    >>> orthogonal_spanning_trees([[0, 9, 5], [9, 0, 9], [5, 9, 0]])
    array([[0., 9., 0.],
           [9., 0., 9.],
           [0., 9., 0.]])
    """
    checked = check_weights(weights)
    flat = checked.reshape(-1, *checked.shape[-2:])
    return np.array([_most_efficient_trees(each) for each in flat]).reshape(checked.shape)


def _significance(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the disparity of each edge, from the end where it stands out more."""
    ends = []
    for axis in (-1, -2):
        strength = weights.sum(axis=axis, keepdims=True)
        n_others = np.maximum((weights > 0).sum(axis=axis, keepdims=True) - 1, 0)
        share = weights / np.where(strength > 0, strength, 1.0)
        ends.append(np.maximum(1.0 - share, 0.0) ** n_others)
    return np.where(weights > 0, np.minimum(*ends), 1.0)


def _most_efficient_trees(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the trees of one network whose cost efficiency is the largest."""
    remaining = weights.copy()
    unions = []
    while remaining.any():
        tree = np.zeros(weights.shape)
        _grow_tree(remaining, tree)
        remaining[tree > 0] = 0.0
        unions.append(weights - remaining)
    if not unions:
        return weights.copy()
    efficiency = [mean_inverse(floyd_warshall(edge_lengths(union))) for union in unions]
    cost = [union.sum() / weights.sum() for union in unions]
    gain = np.array(efficiency) / efficiency[-1] - np.array(cost)
    return unions[int((gain >= gain.max() - 1e-12).argmax())]


@kernel
def _grow_tree(weights, tree):  # type: ignore[no-untyped-def]
    """Write the maximum spanning tree of each piece; of equal edges, the first is stronger."""
    n = len(weights)
    strongest = np.full(n, -1.0)  # edge from the tree to each region outside
    near = np.zeros(n, dtype=np.int64)  # and its other end
    outside = np.ones(n, dtype=np.bool_)
    at = 0
    for _ in range(n):
        outside[at] = False
        row = weights[at]
        following = -1
        for j in range(n):
            if not outside[j]:
                continue
            if row[j] > strongest[j] or (
                row[j] == strongest[j] and _comes_first(at, j, near[j], j)
            ):
                strongest[j] = row[j]
                near[j] = at
            if (
                following < 0
                or strongest[j] > strongest[following]
                or (
                    strongest[j] == strongest[following]
                    and _comes_first(near[j], j, near[following], following)
                )
            ):
                following = j
        if following < 0:
            return
        if strongest[following] > 0.0:
            tree[following, near[following]] = strongest[following]
            tree[near[following], following] = strongest[following]
        at = following


@kernel
def _comes_first(i, j, g, h):  # type: ignore[no-untyped-def]
    """Return whether edge (i, j) comes before (g, h) in row-major order of the upper triangle."""
    return min(i, j) < min(g, h) or (min(i, j) == min(g, h) and max(i, j) < max(g, h))
