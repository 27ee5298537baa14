"""What is left of a network as its regions are removed one after the other.

An order of removal, and a curve over it:

>>> from brainnet.metrics.attack_order import attack_order, attack_order_random
>>> star = np.zeros((6, 6))
>>> star[0, 1:] = star[1:, 0] = 1
>>> by_degree = component_under_attack(star, attack_order(star.sum(axis=-1)))
>>> by_chance = component_under_attack(star, attack_order_random(star, n_orders=500))
>>> by_degree.round(3)
array([1.   , 0.167, 0.167, 0.167, 0.167, 0.167, 0.   ])
>>> float(area_under_attack(by_degree).round(1))
0.2
>>> float(area_under_attack(by_chance).mean().round(1))
0.4
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_weights
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics.paths import edge_lengths


def component_under_attack(adjacency: ArrayLike, order: ArrayLike) -> NDArray[np.float64]:
    """Return the share of all regions in the largest component, as regions are removed.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    order : (n_regions,) or (..., n_regions) integer array
        The regions in the order of removal: one order for all networks, or with the leading axes
        of ``adjacency``, and maybe further axes for several orders per network.

    Returns
    -------
    (..., n_regions + 1) array
        With the axes of ``order``; entry r is that after the first r regions are removed, from
        the whole network to 0.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN, or ``order`` does not
        hold each region once.

    References
    ----------
    Albert et al. (2000), Nature 406:378-382; Achard et al. (2006), J Neurosci 26:63-72.

    Examples
    --------
    >>> component_under_attack([[0, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]], range(4))
    array([1.  , 0.25, 0.25, 0.25, 0.  ])
    """
    return _curves(_join_components, check_adjacency(adjacency), order)


def efficiency_under_attack_binary(adjacency: ArrayLike, order: ArrayLike) -> NDArray[np.float64]:
    """Return the global efficiency of the network of the regions left, as regions are removed.

    Parameters
    ----------
    adjacency, order
        As ``component_under_attack`` takes them.

    Returns
    -------
    (..., n_regions + 1) array
        From 0 to 1, with the axes of ``order``; entry r is that after the first r regions are
        removed. 0 where fewer than two are left.

    Raises
    ------
    ValueError
        If ``adjacency`` or ``order`` is not as ``component_under_attack`` takes it.

    References
    ----------
    Crucitti et al. (2003), Physica A 320:622-642.

    Examples
    --------
    >>> star = [[0, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    >>> efficiency_under_attack_binary(star, [3, 2, 1, 0]).round(4)
    array([0.75  , 0.8333, 1.    , 0.    , 0.    ])
    """
    edges = check_adjacency(adjacency).astype(np.float64)
    return _curves(_add_regions, edge_lengths(edges), order)


def efficiency_under_attack_weighted(weights: ArrayLike, order: ArrayLike) -> NDArray[np.float64]:
    """Return the weighted global efficiency of the regions left, as regions are removed.

    As ``efficiency_under_attack_binary``; the length of an edge is 1/weight.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.
    order : (n_regions,) or (..., n_regions) integer array
        As ``component_under_attack`` takes it.

    Returns
    -------
    (..., n_regions + 1) array
        In units of ``weights``, with the axes of ``order``. 0 where fewer than two regions are
        left.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, or ``order``
        is not as ``component_under_attack`` takes it.

    References
    ----------
    Crucitti et al. (2003), Physica A 320:622-642.

    Examples
    --------
    >>> efficiency_under_attack_weighted([[0, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0]], [0, 1, 2])
    array([0.41666667, 0.5       , 0.        , 0.        ])
    """
    return _curves(_add_regions, edge_lengths(check_weights(weights)), order)


def area_under_attack(curve: ArrayLike) -> NDArray[np.float64]:
    r"""Return the mean of a curve over the share of regions removed, from none to all.

    .. math:: R = \int_0^1 f(q)\, dq

    by the trapezoidal rule.

    Parameters
    ----------
    curve : (..., n_regions + 1) array
        Of ``component_under_attack`` or ``efficiency_under_attack_binary`` or ``_weighted``.

    Returns
    -------
    (...) array
        In the unit of the curve. For the largest component, up to 0.5, which the complete network
        reaches.

    Raises
    ------
    ValueError
        If ``curve`` has fewer than two points.

    References
    ----------
    Schneider et al. (2011), PNAS 108:3838-3841.

    Examples
    --------
    >>> float(area_under_attack([1, 0.5, 0]))
    0.5
    """
    values = np.asarray(curve, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] < 2:
        raise ValueError(
            f"curve must be of shape (..., n_regions + 1); got {values.shape}. "
            "Use metrics.attack.component_under_attack(adjacency, order) first."
        )
    return np.asarray(np.trapezoid(values, dx=1 / (values.shape[-1] - 1), axis=-1))


def _curves(function: Any, networks: NDArray[Any], order: ArrayLike) -> NDArray[np.float64]:
    """Return one curve for each order of each network."""
    leading, n = networks.shape[:-2], networks.shape[-1]
    given = np.asarray(order)
    fits = given.shape == (n,) or given.shape[: len(leading)] + given.shape[-1:] == (*leading, n)
    if not fits or given.dtype.kind not in "iu" or (np.sort(given, axis=-1) != np.arange(n)).any():
        raise ValueError(
            f"order must hold each of the {n} regions once, in shape {(*leading, n)}; got shape "
            f"{given.shape} of {given.dtype}. Use metrics.attack_order.attack_order(scores)."
        )
    if given.ndim == 1:
        given = np.broadcast_to(given, (*leading, n))
    further = given.shape[len(leading) : -1]
    n_orders = int(np.prod(further))
    flat = np.ascontiguousarray(given, dtype=np.int64).reshape(*leading, n_orders, n)
    curves = over_networks(function, networks, flat, shape=(n_orders, n + 1))
    return curves.reshape(*leading, *further, n + 1)


@kernel
def _join_components(adjacency, orders, out):  # type: ignore[no-untyped-def]
    """Write the largest component's share of regions, adding them in reverse order."""
    n = len(adjacency)
    parent = np.empty(n, dtype=np.int64)
    size = np.empty(n, dtype=np.int64)
    for k in range(len(orders)):
        parent[:] = -1  # not there
        largest = 0
        for step in range(n - 1, -1, -1):
            i = orders[k, step]
            parent[i], size[i] = i, 1
            edges = adjacency[i]
            for j in range(n):
                if edges[j] and parent[j] >= 0:
                    _join(parent, size, i, j)
            largest = max(largest, size[_root(parent, i)])
            out[k, step] = largest / n


@kernel
def _root(parent, i):  # type: ignore[no-untyped-def]
    """Return the region that stands for the component of a region."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def _join(parent, size, i, j):  # type: ignore[no-untyped-def]
    """Make the components of two regions one."""
    a, b = _root(parent, i), _root(parent, j)
    if a != b:
        if size[a] < size[b]:
            a, b = b, a
        parent[b] = a
        size[a] += size[b]


@kernel
def _add_regions(lengths, orders, out):  # type: ignore[no-untyped-def]
    """Write the global efficiency of the regions left, adding them in reverse order.

    All distances are kept up to date as a region is added: n**3 steps for the whole curve.
    """
    n = len(lengths)
    for k in range(len(orders)):
        order = orders[k][::-1]
        edges = lengths[order][:, order]
        distances = np.full((n, n), np.inf)
        for m in range(1, n):
            row = np.full(m, np.inf)  # from the region added to the m that are there
            for i in range(m):
                if edges[m, i] < np.inf:
                    row = np.minimum(row, edges[m, i] + distances[i, :m])
                    row[i] = min(row[i], edges[m, i])
            out[k, n - 1 - m] = _include(distances, row, m) / (m * (m + 1))


@kernel
def _include(distances, row, m):  # type: ignore[no-untyped-def]
    """Add a region at given distances, and return the sum of all inverse distances."""
    total = 0.0
    for i in range(m):
        known = distances[i, :m]
        if row[i] < np.inf:
            for j in range(m):
                known[j] = min(known[j], row[i] + row[j])
            known[i] = np.inf
        for j in range(m):
            total += 1.0 / known[j]
        total += 2.0 / row[i]
        distances[i, m] = distances[m, i] = row[i]
    return total
