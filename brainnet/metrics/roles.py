"""The part that each region plays in and between given modules."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_modules, check_weights
from brainnet.metrics.betweenness import betweenness_weighted


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
    return _participation(checked, check_modules(modules, checked))


def participation_coefficient_out(weights: ArrayLike, modules: ArrayLike) -> NDArray[np.float64]:
    """Return how evenly the edges from each region are spread over the modules they lead to.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal; entry (i, j) is the edge from i to j.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.

    Returns
    -------
    (..., n_regions) array
        As ``participation_coefficient``; a region without edges from it is 0.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN, or ``modules`` does not
        fit it.

    References
    ----------
    Guimerà and Amaral (2005), Nature 433:895-900.

    Examples
    --------
    >>> participation_coefficient_out([[0, 1, 1], [0, 0, 1], [0, 0, 0]], [0, 0, 1])
    array([0.5, 0. , 0. ])
    """
    checked = check_weights(weights, directed=True)
    return _participation(checked, check_modules(modules, checked))


def participation_coefficient_in(weights: ArrayLike, modules: ArrayLike) -> NDArray[np.float64]:
    """Return how evenly the edges to each region are spread over the modules they come from.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal; entry (i, j) is the edge from i to j.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.

    Returns
    -------
    (..., n_regions) array
        As ``participation_coefficient``; a region without edges to it is 0.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN, or ``modules`` does not
        fit it.

    References
    ----------
    Guimerà and Amaral (2005), Nature 433:895-900.

    Examples
    --------
    >>> participation_coefficient_in([[0, 0, 1], [0, 0, 1], [0, 0, 0]], [0, 1, 1])
    array([0. , 0. , 0.5])
    """
    checked = check_weights(weights, directed=True)
    return _participation(np.swapaxes(checked, -1, -2), check_modules(modules, checked))


def participation_coefficient_signed(
    weights: ArrayLike, modules: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the participation coefficients of the positive and of the negative weights.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. The scale does not matter.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.

    Returns
    -------
    two (..., n_regions) arrays
        ``participation_coefficient`` of the positive weights, and of the sizes of the negative
        ones; a region without such weights is 0.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric or holds NaN, or ``modules`` does not fit it.

    References
    ----------
    Guimerà and Amaral (2005), Nature 433:895-900; Rubinov and Sporns (2011), NeuroImage
    56:2068-2079.

    Examples
    --------
    >>> star = [[0, 1, 1, -1], [1, 0, 0, 0], [1, 0, 0, 0], [-1, 0, 0, 0]]
    >>> positive, negative = participation_coefficient_signed(star, [0, 0, 1, 1])
    >>> positive
    array([0.5, 0. , 0. , 0. ])
    >>> negative
    array([0., 0., 0., 0.])
    """
    checked = check_weights(weights, signed=True)
    labels = check_modules(modules, checked)
    positive, negative = _parts(checked)
    return _participation(positive, labels), _participation(negative, labels)


def diversity_coefficient(weights: ArrayLike, modules: ArrayLike) -> NDArray[np.float64]:
    r"""Return the entropy of each region's edges over the modules, in units of the largest.

    .. math:: h_i = -\frac{1}{\log m} \sum_{c=1}^{m} p_{ic} \log p_{ic},
              \quad p_{ic} = \frac{s_{ic}}{s_i}

    where :math:`s_{ic}` is the weight between region i and module c, of m modules.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.

    Returns
    -------
    (..., n_regions) array
        From 0 (all edges in one module) to 1 (the same weight to each); 0 for an isolated region
        and where there is only one module.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, or
        ``modules`` does not fit it.

    References
    ----------
    Shannon (1948), Bell Syst Tech J 27:379-423; Rubinov and Sporns (2011), NeuroImage
    56:2068-2079.

    Examples
    --------
    >>> star = [[0, 1, 1], [1, 0, 0], [1, 0, 0]]
    >>> diversity_coefficient(star, [0, 0, 1])
    array([1., 0., 0.])
    """
    checked = check_weights(weights)
    return _diversity(checked, check_modules(modules, checked))


def diversity_coefficient_signed(
    weights: ArrayLike, modules: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the diversity coefficients of the positive and of the negative weights.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. The scale does not matter.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.

    Returns
    -------
    two (..., n_regions) arrays
        ``diversity_coefficient`` of the positive weights, and of the sizes of the negative ones.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric or holds NaN, or ``modules`` does not fit it.

    References
    ----------
    Rubinov and Sporns (2011), NeuroImage 56:2068-2079.

    Examples
    --------
    >>> star = [[0, 1, 1, -1], [1, 0, 0, 0], [1, 0, 0, 0], [-1, 0, 0, 0]]
    >>> positive, negative = diversity_coefficient_signed(star, [0, 0, 1, 1])
    >>> positive
    array([1., 0., 0., 0.])
    """
    checked = check_weights(weights, signed=True)
    labels = check_modules(modules, checked)
    positive, negative = _parts(checked)
    return _diversity(positive, labels), _diversity(negative, labels)


def gateway_coefficient_strength(weights: ArrayLike, modules: ArrayLike) -> NDArray[np.float64]:
    r"""Return how much each region is the way between its module and others, by strength.

    .. math:: G_i = 1 - \sum_c \Bigl(\frac{s_{ic}}{s_i}\Bigr)^2 g_{ic}^2, \quad
              g_{ic} = 1 - \frac{s_{ic}}{S_{c_i c}}
              \frac{\sum_{j \in c \cap N_i} z_j}{\max_d \sum_{j \in d} z_j}

    where :math:`s_{ic}` is the weight between region i and module c, :math:`S_{dc}` that of all
    edges between modules d and c (each once), :math:`N_i` the neighbours of i, and :math:`z_j`
    the centrality of j, here its strength.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.

    Returns
    -------
    (..., n_regions) array
        From ``participation_coefficient`` to 1; an isolated region is 0. The Brain Connectivity
        Toolbox takes g as 1 for a region that is a module of its own, although all edges of its
        module are its own; the formula is followed here.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, or
        ``modules`` does not fit it.

    References
    ----------
    Vargas and Wahl (2014), Eur Phys J B 87:161.

    Examples
    --------
    >>> path = [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    >>> gateway_coefficient_strength(path, [0, 0, 1, 1]).round(4)
    array([0.8889, 0.8611, 0.8611, 0.8889])
    """
    checked = check_weights(weights)
    return _gateway(checked, check_modules(modules, checked), checked.sum(axis=-1))


def gateway_coefficient_betweenness(weights: ArrayLike, modules: ArrayLike) -> NDArray[np.float64]:
    """Return how much each region is the way between its module and others, by betweenness.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.

    Returns
    -------
    (..., n_regions) array
        As ``gateway_coefficient_strength``, with ``betweenness.betweenness_weighted`` for the
        strength; where no region lies between others, ``participation_coefficient``.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, or
        ``modules`` does not fit it.

    References
    ----------
    Vargas and Wahl (2014), Eur Phys J B 87:161.

    Examples
    --------
    >>> path = [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    >>> gateway_coefficient_betweenness(path, [0, 0, 1, 1])
    array([1.  , 0.75, 0.75, 1.  ])
    """
    checked = check_weights(weights)
    between = np.nan_to_num(betweenness_weighted(checked))  # NaN in networks of one or two
    return _gateway(checked, check_modules(modules, checked), between)


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
        In standard deviations (of the module itself: divided by its size; the MATLAB toolbox
        divides by one less). 0 in a module whose regions all have the same strength, so in a
        module of one or two.

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
    return _within_module(checked, check_modules(modules, checked))


def within_module_z_out(weights: ArrayLike, modules: ArrayLike) -> NDArray[np.float64]:
    """Return ``within_module_z`` of the edges from each region.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal; entry (i, j) is the edge from i to j.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.

    Returns
    -------
    (..., n_regions) array
        In standard deviations; 0 in a module whose regions all have the same strength.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN, or ``modules`` does not
        fit it.

    References
    ----------
    Guimerà and Amaral (2005), Nature 433:895-900.

    Examples
    --------
    >>> within_module_z_out([[0, 1, 1], [0, 0, 0], [0, 0, 0]], [0, 0, 0]).round(4)
    array([ 1.4142, -0.7071, -0.7071])
    """
    checked = check_weights(weights, directed=True)
    return _within_module(checked, check_modules(modules, checked))


def within_module_z_in(weights: ArrayLike, modules: ArrayLike) -> NDArray[np.float64]:
    """Return ``within_module_z`` of the edges to each region.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal; entry (i, j) is the edge from i to j.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.

    Returns
    -------
    (..., n_regions) array
        In standard deviations; 0 in a module whose regions all have the same strength.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN, or ``modules`` does not
        fit it.

    References
    ----------
    Guimerà and Amaral (2005), Nature 433:895-900.

    Examples
    --------
    >>> within_module_z_in([[0, 0, 0], [1, 0, 0], [1, 0, 0]], [0, 0, 0]).round(4)
    array([ 1.4142, -0.7071, -0.7071])
    """
    checked = check_weights(weights, directed=True)
    return _within_module(np.swapaxes(checked, -1, -2), check_modules(modules, checked))


def within_module_z_directed(weights: ArrayLike, modules: ArrayLike) -> NDArray[np.float64]:
    """Return ``within_module_z`` of the edges from and to each region together.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal; entry (i, j) is the edge from i to j.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.

    Returns
    -------
    (..., n_regions) array
        In standard deviations; 0 in a module whose regions all have the same strength.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN, or ``modules`` does not
        fit it.

    References
    ----------
    Guimerà and Amaral (2005), Nature 433:895-900.

    Examples
    --------
    >>> within_module_z_directed([[0, 1, 0], [0, 0, 0], [1, 0, 0]], [0, 0, 0]).round(4)
    array([ 1.4142, -0.7071, -0.7071])
    """
    checked = check_weights(weights, directed=True)
    both = checked + np.swapaxes(checked, -1, -2)
    return _within_module(both, check_modules(modules, checked))


def _parts(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the positive weights, and the sizes of the negative ones."""
    return np.maximum(weights, 0.0), np.maximum(-weights, 0.0)


def _members(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1.0 where region i is in module c, (..., n_regions, n_modules), else 0.0."""
    every = np.arange(labels.max(initial=0) + 1)
    return np.asarray(labels[..., None] == every, dtype=np.float64)


def _shares(weights: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of each region's strength that goes to each module; 0 if isolated."""
    to_module = weights @ _members(labels)
    total = to_module.sum(axis=-1, keepdims=True)
    return np.asarray(to_module / np.where(total > 0, total, 1.0))


def _participation(weights: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 - the sum of squared shares; 0 for regions without edges."""
    shares = _shares(weights, labels)
    value = np.maximum(1 - (shares**2).sum(axis=-1), 0.0)
    return np.where(shares.any(axis=-1), value, 0.0)


def _diversity(weights: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the entropy of the shares over that of equal shares; 0 for regions without edges."""
    shares = _shares(weights, labels)
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=-1)
    n_modules = labels.max(axis=-1, keepdims=True) + 1
    return np.asarray(np.maximum(entropy, 0.0) / np.log(np.maximum(n_modules, 2)))


def _gateway(
    weights: NDArray[np.float64], labels: NDArray[np.int64], centrality: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the gateway coefficients; 0 for regions without edges."""
    members = _members(labels)
    to_module = weights @ members
    between = np.swapaxes(members, -1, -2) @ to_module
    between *= 1 - np.eye(between.shape[-1]) / 2  # edges inside a module were counted twice
    of_module = members @ between  # all edges between i's module and module c
    most = (centrality[..., None, :] @ members).max(axis=-1, keepdims=True)
    reached = (weights > 0) @ (members * centrality[..., None])
    carried = to_module / np.where(of_module > 0, of_module, 1.0)
    through = 1 - carried * reached / np.where(most > 0, most, 1.0)
    shares = _shares(weights, labels)
    value = np.clip(1 - ((shares * through) ** 2).sum(axis=-1), 0.0, 1.0)
    return np.where(shares.any(axis=-1), value, 0.0)


def _within_module(weights: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the z-scores, within modules, of the row sums within modules."""
    members = _members(labels)
    inside = ((weights @ members) * members).sum(axis=-1)
    size = (members @ members.sum(axis=-2)[..., None])[..., 0]
    deviation = inside - _module_sum(inside, members) / size
    spread = np.sqrt(_module_sum(deviation**2, members) / size)
    varies = spread > 1e-12 * inside.max(axis=-1, keepdims=True)
    return np.asarray(np.where(varies, deviation, 0.0) / np.where(varies, spread, 1.0))


def _module_sum(values: NDArray[np.float64], members: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for each region, the sum of values in its module."""
    return np.asarray((members @ (values[..., None, :] @ members)[..., 0, :, None])[..., 0])
