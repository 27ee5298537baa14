"""How the network falls into modules, and the part of each region in them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet._network import check_weights

GAIN_TOLERANCE = 1e-10
"""Smallest gain of modularity that moves a region or prefers a partition."""


def modularity(
    weights: ArrayLike, modules: ArrayLike, *, resolution: float = 1.0
) -> NDArray[np.float64]:
    r"""Return how much more weight lies within modules than strengths alone would give.

    .. math:: Q = \frac{1}{2m} \sum_{ij} \Bigl(w_{ij} - \gamma \frac{s_i s_j}{2m}\Bigr)
              \delta(c_i, c_j), \quad 2m = \sum_{ij} w_{ij}

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.
    resolution : float, optional
        :math:`\gamma` above 0: larger values favour smaller modules.

    Returns
    -------
    (...) array
        Below 1, and from -1/2 if ``resolution`` is 1. A network without edges gives NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, ``modules``
        does not fit it, or ``resolution`` is not above 0.

    References
    ----------
    Newman (2004), Phys Rev E 70:056131; Reichardt and Bornholdt (2006), Phys Rev E 74:016110.

    Examples
    --------
    >>> pair = np.array([[0, 1], [1, 0]])
    >>> float(modularity(np.kron(np.eye(2), pair), [0, 0, 1, 1]))
    0.5
    """
    checked = check_weights(weights)
    _check_resolution(resolution)
    return _modularity(checked, _same_module(modules, checked), resolution)


def louvain(
    weights: ArrayLike, *, resolution: float = 1.0, n_runs: int = 10, seed: int = 0
) -> NDArray[np.int64]:
    r"""Return modules of high modularity, found by moving regions and merging modules.

    Each run starts from single regions, moves regions in random order to the module that gains
    the most modularity, merges each module to one node and repeats, then moves single regions
    again until nothing gains. The run with the highest modularity is returned.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    resolution : float, optional
        :math:`\gamma` of ``modularity``, above 0.
    n_runs : int, optional
        Random orders tried, at least 1.
    seed : int, optional
        Seed of the random orders; every network starts from the same one, so that its modules
        do not depend on which other networks are in the call.

    Returns
    -------
    (..., n_regions) integer array
        Modules from 0, numbered by their first region. An isolated region is a module of its own.
        It is a heuristic: a partition of higher modularity may exist, and many different ones of
        nearly the same modularity usually do.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, or an option
        is out of range.

    References
    ----------
    Blondel et al. (2008), J Stat Mech P10008; Good et al. (2010), Phys Rev E 81:046106.

    Examples
    --------
    >>> pair = np.array([[0, 1], [1, 0]])
    >>> louvain(np.kron(np.eye(2), pair))
    array([0, 0, 1, 1])
    """
    checked = check_weights(weights)
    _check_resolution(resolution)
    if n_runs < 1:
        raise ValueError(f"n_runs must be at least 1; got {n_runs}. The default is 10.")
    flat = checked.reshape(-1, *checked.shape[-2:])
    best = [_best_partition(each, resolution, n_runs, seed) for each in flat]
    return np.array(best, dtype=np.int64).reshape(checked.shape[:-1])


def participation_coefficient(weights: ArrayLike, modules: ArrayLike) -> NDArray[np.float64]:
    r"""Return how evenly each region's edges are spread over the modules.

    .. math:: P_i = 1 - \sum_c \Bigl(\frac{s_{ic}}{s_i}\Bigr)^2

    where :math:`s_{ic}` is the weight between region i and module c.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.

    Returns
    -------
    (..., n_regions) array
        From 0 (all edges in one module) to below 1; an isolated region is 0.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, or
        ``modules`` does not fit it.

    References
    ----------
    Guimerà and Amaral (2005), Nature 433:895-900.

    Examples
    --------
    >>> star = [[0, 1, 1], [1, 0, 0], [1, 0, 0]]
    >>> participation_coefficient(star, [0, 0, 1])
    array([0.5, 0. , 0. ])
    """
    checked = check_weights(weights)
    same = _same_module(modules, checked)
    total = checked.sum(axis=-1)
    to_module = checked @ same  # i to the module of j
    squares = (to_module**2 / same.sum(axis=-2, keepdims=True)).sum(axis=-1)
    share = squares / np.where(total > 0, total, 1.0) ** 2
    return np.where(total > 0, np.maximum(1 - share, 0.0), 0.0)


def within_module_z(weights: ArrayLike, modules: ArrayLike) -> NDArray[np.float64]:
    r"""Return how far each region's strength within its module stands out from the module's.

    .. math:: z_i = \frac{s_{i c_i} - \operatorname{mean}_{j \in c_i} s_{j c_i}}
              {\operatorname{sd}_{j \in c_i} s_{j c_i}}

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.

    Returns
    -------
    (..., n_regions) array
        In standard deviations (of the module itself: divided by its size). 0 in a module whose
        regions all have the same strength, so in a module of one or two.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, or
        ``modules`` does not fit it.

    References
    ----------
    Guimerà and Amaral (2005), Nature 433:895-900.

    Examples
    --------
    >>> star = [[0, 1, 1], [1, 0, 0], [1, 0, 0]]
    >>> within_module_z(star, [0, 0, 0]).round(4)
    array([ 1.4142, -0.7071, -0.7071])
    """
    checked = check_weights(weights)
    same = _same_module(modules, checked)
    size = same.sum(axis=-1)
    inside = (checked * same).sum(axis=-1)
    deviation = inside - (same @ inside[..., None])[..., 0] / size
    spread = np.sqrt((same @ (deviation**2)[..., None])[..., 0] / size)
    varies = spread > 1e-12 * inside.max(axis=-1, keepdims=True)
    return np.asarray(np.where(varies, deviation, 0.0) / np.where(varies, spread, 1.0))


def _check_resolution(resolution: float) -> None:
    """Refuse a resolution that is not above 0."""
    if not (np.isfinite(resolution) and resolution > 0):
        raise ValueError(f"resolution must be above 0; got {resolution}. The default is 1.")


def _same_module(modules: ArrayLike, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1.0 for pairs of regions in one module (each region with itself), else 0.0."""
    labels = np.asarray(modules)
    whole = labels.dtype.kind in "iub" or (labels.dtype.kind == "f" and not (labels % 1).any())
    if labels.shape not in (weights.shape[:-1], weights.shape[-1:]) or not whole:
        raise ValueError(
            f"modules must be whole numbers of shape {weights.shape[:-1]} or "
            f"{weights.shape[-1:]}; got shape {labels.shape} of {labels.dtype}. "
            "Pass one module per region, as metrics.modules.louvain(weights) returns them."
        )
    return np.asarray(labels[..., :, None] == labels[..., None, :], dtype=np.float64)


def _modularity(
    weights: NDArray[np.float64], same: NDArray[np.float64], resolution: float
) -> NDArray[np.float64]:
    """Return the modularity given which pairs of regions share a module."""
    strength = weights.sum(axis=-1)
    total = strength.sum(axis=-1)
    total = np.where(total > 0, total, np.nan)
    inside = (weights * same).sum(axis=(-2, -1)) / total
    expected = ((same @ strength[..., None])[..., 0] * strength).sum(axis=-1) / total**2
    return np.asarray(inside - resolution * expected)


def _best_partition(
    weights: NDArray[np.float64], resolution: float, n_runs: int, seed: int
) -> NDArray[np.int64]:
    """Return the best of n_runs partitions of one network."""
    rng = np.random.default_rng(seed)
    best, best_quality = np.arange(len(weights)), -np.inf
    if not weights.any():
        return best
    for _ in range(n_runs):
        labels = _louvain_run(weights, resolution, rng)
        same = (labels[:, None] == labels).astype(np.float64)
        quality = float(_modularity(weights, same, resolution))
        if quality > best_quality + GAIN_TOLERANCE:
            best, best_quality = labels, quality
    return best


def _louvain_run(
    weights: NDArray[np.float64], resolution: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the partition of one run, from single regions until nothing gains."""
    labels = np.arange(len(weights))
    while True:
        moved = _move_nodes(weights, labels, resolution, rng)
        merged = _merge_modules(weights, moved, resolution, rng)
        if np.array_equal(merged, labels):
            return merged
        labels = merged


def _merge_modules(
    weights: NDArray[np.float64],
    labels: NDArray[np.int64],
    resolution: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return labels after merging whole modules, level by level, as long as it gains."""
    while True:
        member = np.eye(labels.max() + 1)[labels]
        between = member.T @ weights @ member  # the diagonal counts each inner edge twice
        coarse = _move_nodes(between, np.arange(len(between)), resolution, rng)
        if coarse.max() + 1 == len(between):
            return labels
        labels = _number_modules(coarse[labels])


def _move_nodes(
    weights: NDArray[np.float64],
    labels: NDArray[np.int64],
    resolution: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return labels after moving single nodes to the module that gains most, until none gains."""
    labels = labels.copy()
    strength = weights.sum(axis=-1)
    total = strength.sum()
    member = np.eye(len(weights))[labels]
    to_module = weights @ member  # node i to module c
    module_strength = strength @ member
    moving = True
    while moving:
        moving = False
        for i in rng.permutation(len(weights)):
            old = labels[i]
            gain = to_module[i] - resolution * strength[i] / total * module_strength
            gain[old] += resolution * strength[i] ** 2 / total - weights[i, i]
            new = gain.argmax()
            if gain[new] > gain[old] + GAIN_TOLERANCE * total:
                to_module[:, old] -= weights[:, i]
                to_module[:, new] += weights[:, i]
                module_strength[old] -= strength[i]
                module_strength[new] += strength[i]
                labels[i] = new
                moving = True
    return _number_modules(labels)


def _number_modules(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return labels numbered from 0 by first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[inverse], dtype=np.int64)
