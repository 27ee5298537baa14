"""Nulls of networks of several layers on the same regions."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._compile import kernel
from brainnet.metrics._random import Rng, shuffle
from brainnet.metrics.nulls._run import check_edges, over_nulls
from brainnet.metrics.nulls.rewire import rewire


def rewire_layers(
    layers: ArrayLike, *, n_nulls: int = 1, swaps_per_edge: float = 10, rng: Rng = 0
) -> NDArray[Any]:
    r"""Return layered networks each layer of which is rewired on its own.

    Every region keeps its degree in every layer, and so which layers it is a hub of; which edges
    the layers share is left to chance.

    Parameters
    ----------
    layers : (..., n_layers, n_regions, n_regions) array
        Boolean adjacency, or weights of any sign, which the edges carry along; symmetric, zero
        diagonal.
    n_nulls : int, optional
        Nulls per layered network.
    swaps_per_edge : float, optional
        As in ``rewire``.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_layers, n_regions, n_regions) array
        Boolean for booleans, float64 for weights.

    Raises
    ------
    ValueError
        As in ``rewire``, or if there is no axis of layers.

    References
    ----------
    Battiston, Nicosia and Latora (2014), Phys Rev E 89:032804.

    Examples
    --------
    >>> path = np.eye(6, k=1) + np.eye(6, k=-1)
    >>> rewire_layers([path, path], n_nulls=3).shape
    (3, 2, 6, 6)
    """
    nulls = rewire(_with_layers(layers), n_nulls=n_nulls, swaps_per_edge=swaps_per_edge, rng=rng)
    return np.ascontiguousarray(np.moveaxis(nulls, -3, -4))


def permute_layers(layers: ArrayLike, *, n_nulls: int = 1, rng: Rng = 0) -> NDArray[Any]:
    r"""Return layered networks the regions of which are put in another order in each layer.

    Every layer stays the network that it is, down to its paths and modules; only which region of
    one layer is which of another is left to chance: correlations of degrees between layers and
    shared edges are broken. All orders are equally likely.

    Parameters
    ----------
    layers : (..., n_layers, n_regions, n_regions) array
        Boolean adjacency, or weights of any sign; zero diagonal, may be directed.
    n_nulls : int, optional
        Nulls per layered network.
    rng : int or Generator, optional
        The first nulls are the same however many are drawn.

    Returns
    -------
    (..., n_nulls, n_layers, n_regions, n_regions) array
        Boolean for booleans, float64 for weights.

    Raises
    ------
    ValueError
        If ``layers`` is not square with a zero diagonal, holds NaN or has no axis of layers; if
        ``n_nulls`` is below 1.

    References
    ----------
    Nicosia and Latora (2015), Phys Rev E 92:032805.

    Examples
    --------
    >>> path = np.eye(6, k=1) + np.eye(6, k=-1)
    >>> nulls = permute_layers([path, path], n_nulls=3)
    >>> np.sort(nulls.sum(axis=-1), axis=-1)[0, 0]
    array([1., 1., 2., 2., 2., 2.])
    """
    checked = check_edges(_with_layers(layers), directed=True)
    nulls = over_nulls(_permute, checked, n_nulls=n_nulls, rng=rng)
    return np.ascontiguousarray(np.moveaxis(nulls, -3, -4))


def _with_layers(layers: ArrayLike) -> NDArray[Any]:
    """Return an array that has an axis of layers."""
    array = np.asarray(layers)
    if array.ndim < 3:
        raise ValueError(
            "layers must be of shape (..., n_layers, n_regions, n_regions); "
            f"got {array.shape}. Stack the layers with numpy.stack first."
        )
    return array


@kernel
def _permute(network, state, out):  # type: ignore[no-untyped-def]
    """Write a network with its regions in random order."""
    order = np.arange(len(network))
    shuffle(state, order)
    for i in range(len(network)):
        for j in range(len(network)):
            out[i, j] = network[order[i], order[j]]
