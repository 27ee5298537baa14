"""What a network must be before it is measured: one pass where it is right, one error if not."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet import _network
from brainnet.metrics._bits import differs_from_transpose, pack
from brainnet.metrics._compile import kernel

NOT_FINITE, NEGATIVE, ASYMMETRIC, DIAGONAL, NOT_BINARY = 1, 2, 4, 8, 16


def check_weights(
    weights: ArrayLike, *, name: str = "weights", signed: bool = False, directed: bool = False
) -> NDArray[np.float64]:
    """Return networks as contiguous float64, exactly symmetric unless directed; not a copy.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Zero diagonal, finite. Entry (i, j) is the edge from i to j.
    name : str, optional
        The argument's name in the error messages.
    signed, directed : bool, optional
        Accept negative weights; accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions, n_regions) array
        May be the argument itself: never write into it.

    Raises
    ------
    ValueError
        If a rule above does not hold; the message names the rule, the value and the remedy.
    """
    array = np.ascontiguousarray(weights, dtype=np.float64)
    wrong = 0 if signed else NEGATIVE
    wrong |= NOT_FINITE | DIAGONAL | (0 if directed else ASYMMETRIC)
    if _faults(array) & wrong:
        checked = _network.check_weights(weights, name=name, signed=signed, directed=directed)
        return np.ascontiguousarray(checked)  # symmetric only to rounding: averaged there
    return array


def check_adjacency(
    adjacency: ArrayLike, *, name: str = "adjacency", directed: bool = False
) -> NDArray[np.bool_]:
    """Return boolean networks as contiguous booleans; not a copy.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean, or holding only 0 and 1. Zero diagonal. Entry (i, j) is the edge from i to j.
    name : str, optional
        The argument's name in the error messages.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions, n_regions) boolean array
        May be the argument itself: never write into it.

    Raises
    ------
    ValueError
        If a rule above does not hold; the message names the rule, the value and the remedy.
    """
    given = np.asarray(adjacency)
    array = np.ascontiguousarray(given, dtype=bool if given.dtype == bool else np.float64)
    wrong = NOT_FINITE | NEGATIVE | DIAGONAL | NOT_BINARY | (0 if directed else ASYMMETRIC)
    if _faults(array) & wrong:
        array = _network.check_adjacency(adjacency, name=name, directed=directed)
    return array if array.dtype == bool else np.asarray(array != 0)


def check_bits(adjacency: ArrayLike, *, directed: bool = False) -> NDArray[np.uint64]:
    """Return boolean networks as rows of bits: ``check_adjacency`` and packing in one.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean, or holding only 0 and 1. Zero diagonal. Entry (i, j) is the edge from i to j.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions, (n_regions + 63) // 64) array
        Bit j % 64 of word j // 64 of row i is the edge from i to j.

    Raises
    ------
    ValueError
        If a rule above does not hold; the message names the rule, the value and the remedy.
    """
    array = np.asarray(adjacency)
    boolean = array.dtype == bool and array.ndim > 1 and array.shape[-1] == array.shape[-2] > 0
    if not boolean:
        array = check_adjacency(adjacency, directed=directed)
    array = np.ascontiguousarray(array)
    n_regions = array.shape[-1]
    bits = np.empty((*array.shape[:-1], (n_regions + 63) // 64), dtype=np.uint64)
    networks = array.reshape(-1, n_regions, n_regions)
    wrong = _pack_all(networks, directed, bits.reshape(-1, n_regions, bits.shape[-1]))
    if boolean and (wrong or array.size == 0):
        check_adjacency(adjacency, directed=directed)  # says what is wrong
    return bits


def check_count(count: float, name: str, *, least: int = 1) -> int:
    """Return a whole number that is not below the least, or say what is wrong with it."""
    if not (np.isfinite(count) and int(count) == count and count >= least):
        raise ValueError(
            f"{name} must be a whole number of at least {least}; got {count}. Pass, say, "
            f"{name}={least + 9}."
        )
    return int(count)


def check_modules(
    modules: ArrayLike, networks: NDArray[np.float64] | NDArray[np.bool_], name: str = "modules"
) -> NDArray[np.int64]:
    """Return modules numbered from 0 in order of first appearance, one row a network.

    Parameters
    ----------
    modules : (..., n_regions) or (n_regions,) array of whole numbers
        Each region's module.
    networks : (..., n_regions, n_regions) array
        The checked networks that they belong to.
    name : str, optional
        The argument's name in the error messages.

    Returns
    -------
    (..., n_regions) integer array
        Contiguous; with the leading axes of ``networks``.

    Raises
    ------
    ValueError
        If the shape does not fit or a module is not a whole number.
    """
    labels = np.asarray(modules)
    whole = labels.dtype.kind in "iub"
    if labels.dtype.kind == "f":
        whole = bool((np.abs(labels) < 2**53).all()) and not (labels % 1).any()
    if labels.shape not in (networks.shape[:-1], networks.shape[-1:]) or not whole:
        raise ValueError(
            f"{name} must be whole numbers of shape {networks.shape[:-1]} or "
            f"{networks.shape[-1:]}; got shape {labels.shape} of {labels.dtype}. "
            "Pass one module per region, as metrics.modules.louvain(weights) returns them."
        )
    flat = labels.astype(np.int64).reshape(-1, labels.shape[-1])
    numbered = np.array([number_modules(each) for each in flat]).reshape(labels.shape)
    return np.ascontiguousarray(np.broadcast_to(numbered, networks.shape[:-1]))


@kernel
def number_modules(labels):  # type: ignore[no-untyped-def]
    """Return the labels of one network numbered from 0 in order of first appearance."""
    n = len(labels)
    order = np.argsort(labels)
    first = np.full(n, n)  # per distinct value in ascending order: where it first appears
    group = np.empty(n, dtype=np.int64)
    n_groups = 0
    for k in range(n):
        if k > 0 and labels[order[k]] != labels[order[k - 1]]:
            n_groups += 1
        group[order[k]] = n_groups
        first[n_groups] = min(first[n_groups], order[k])
    rank = np.empty(n, dtype=np.int64)
    rank[np.argsort(first[: n_groups + 1])] = np.arange(n_groups + 1)
    return rank[group]


def _faults(array: NDArray[np.float64] | NDArray[np.bool_]) -> int:
    """Return which rules do not hold, as bits."""
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or array.size == 0:
        return NOT_FINITE
    return int(_scan(array.reshape(-1, *array.shape[-2:])))


@kernel
def _pack_all(networks, directed, bits):  # type: ignore[no-untyped-def]
    """Write networks as bits; return whether one has a diagonal, or is not symmetric."""
    wrong = False
    for m in range(len(networks)):
        pack(networks[m], bits[m])
        for i in range(networks.shape[1]):
            wrong |= networks[m, i, i]
        if not directed:
            wrong |= differs_from_transpose(bits[m])
    return wrong


@kernel
def _scan(networks):  # type: ignore[no-untyped-def]
    """Return the faults of all networks as bits, in two passes over each."""
    n = networks.shape[1]
    faults = 0
    for m in range(networks.shape[0]):
        network = networks[m]
        for i in range(n):
            row = network[i]
            finite, negative, odd = 1, 0, 0
            for j in range(n):
                a = row[j] * 1.0
                finite &= np.int64(a * 0.0 == 0.0)
                negative |= np.int64(a < 0.0)
                odd |= np.int64(a != a * a)
            faults |= (1 - finite) * 1 | negative * 2 | odd * 16
            faults |= np.int64(row[i] != 0) * 8
        faults |= _unlike_transpose(network) * 4
    return faults


@kernel
def _unlike_transpose(network):  # type: ignore[no-untyped-def]
    """Return 1 if a network differs from its transpose, which is read block by block."""
    n = len(network)
    block = 16
    unlike = 0
    for first in range(0, n, block):
        last = min(first + block, n)
        for second in range(first, n, block):
            end = min(second + block, n)
            for i in range(first, last):
                for j in range(second, end):
                    unlike |= np.int64(network[i, j] != network[j, i])
    return unlike
