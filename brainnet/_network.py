"""What a network array must be, and which of its edges are the strongest.

The lowest ground of the two rooms that handle networks, ``connectome`` and ``metrics``, which do
not import one another.
"""

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

SYMMETRY_TOLERANCE = 1e-10
"""Largest difference between the two halves, as a share of the largest absolute weight."""


def check_weights(
    weights: ArrayLike,
    *,
    name: str = "weights",
    signed: bool = False,
    directed: bool = False,
    nan_regions: bool = False,
) -> NDArray[np.float64]:
    """Return networks as exactly symmetric float64 arrays, or say what is wrong with them.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric to ``SYMMETRY_TOLERANCE``, zero diagonal.
    name : str, optional
        The argument's name in the error messages.
    signed : bool, optional
        Accept negative weights.
    directed : bool, optional
        Accept networks that are not symmetric, and leave them so.
    nan_regions : bool, optional
        Accept unmeasured regions, whose whole row and column is NaN.

    Returns
    -------
    (..., n_regions, n_regions) array
        A new array. Unmeasured regions are NaN in their whole row and column.

    Raises
    ------
    ValueError
        If a rule above does not hold; the message names the rule, the value and the remedy.

    Examples
    --------
    >>> check_weights([[0, 1], [1, 0]])
    array([[0., 1.],
           [1., 0.]])
    """
    array = np.array(weights, dtype=np.float64)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or array.size == 0:
        raise ValueError(
            f"{name} must be square over its last two axes, with at least one region and network; "
            f"got shape {array.shape}. Pass networks as (..., n_regions, n_regions)."
        )
    measured = _check_finite(array, name, nan_regions)
    checked = np.where(measured[..., :, None] & measured[..., None, :], array, 0.0)
    _check_diagonal(checked, name)
    if not directed:
        _check_symmetry(checked, name)
    if not signed and checked.min() < 0:
        raise ValueError(
            f"{name} must be non-negative; got minimum {checked.min():.6g}. "
            "Use connectome.threshold.positive(weights) first."
        )
    symmetric: NDArray[np.float64] = checked
    if not directed:
        symmetric = (checked + np.swapaxes(checked, -1, -2)) / 2
    symmetric[~measured] = np.nan
    np.swapaxes(symmetric, -1, -2)[~measured] = np.nan
    return symmetric


def check_adjacency(
    adjacency: ArrayLike, *, name: str = "adjacency", directed: bool = False
) -> NDArray[np.float64]:
    """Return boolean networks as 0.0 and 1.0, or say what is wrong with them.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean, or holding only 0 and 1. Symmetric, zero diagonal.
    name : str, optional
        The argument's name in the error messages.
    directed : bool, optional
        Accept networks that are not symmetric.

    Returns
    -------
    (..., n_regions, n_regions) array
        Zeros and ones as float64.

    Raises
    ------
    ValueError
        If ``adjacency`` is not square and symmetric with a zero diagonal, or holds anything but
        0 and 1.

    Examples
    --------
    >>> check_adjacency([[False, True], [True, False]])
    array([[0., 1.],
           [1., 0.]])
    """
    checked = check_weights(adjacency, name=name, signed=True, directed=directed)
    other = (checked != 0) & (checked != 1)
    if other.any():
        raise ValueError(
            f"{name} must be boolean or hold only 0 and 1; got {checked[other][0]:.6g}. "
            "Use connectome.threshold.binarize(weights) first."
        )
    return checked


def measured_regions(weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which regions hold a finite weight to another region, for each network.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Unmeasured regions are NaN off the diagonal; what stands on the diagonal is not looked at.

    Returns
    -------
    (..., n_regions) boolean array
        A region alone in its network is measured if its diagonal is not NaN.

    Examples
    --------
    >>> nan = np.nan
    >>> measured_regions(np.array([[0, 1, nan], [1, 0, nan], [nan, nan, nan]]))
    array([ True,  True, False])
    """
    others = ~np.eye(weights.shape[-1], dtype=bool)
    if weights.shape[-1] == 1:
        others = ~others
    return np.asarray(((~np.isnan(weights)) & others).any(axis=-1))


def strongest_edges(weights: NDArray[np.float64], density: float) -> NDArray[np.float64]:
    """Return checked networks with only their strongest positive edges.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        As ``check_weights`` returns it; unmeasured regions are NaN.
    density : float
        Share of the pairs of measured regions that stay connected, above 0 and at most 1.

    Returns
    -------
    (..., n_regions, n_regions) array
        The weights of the ``round(density * pairs)`` strongest edges, 0 elsewhere; unmeasured
        regions stay NaN. Among equal weights the edge earlier in row-major order of the upper
        triangle stays. Too few positive edges: all of them stay, with a warning.

    Raises
    ------
    ValueError
        If ``density`` is not in (0, 1].

    Examples
    --------
    >>> strongest_edges(np.array([[0, 0.5, 0.2], [0.5, 0, 0.9], [0.2, 0.9, 0]]), 1 / 3)
    array([[0. , 0. , 0. ],
           [0. , 0. , 0.9],
           [0. , 0.9, 0. ]])
    """
    if not 0 < density <= 1:
        raise ValueError(
            f"density must be above 0 and at most 1; got {density}. "
            "Pass the share of edges to keep, for example 0.15 for 15 %."
        )
    return keep_strongest(weights, edge_ranks(weights), density)


def edge_ranks(weights: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return the place of each edge among those of its network, from 0 for the strongest.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        As ``check_weights`` returns it; unmeasured regions are NaN.

    Returns
    -------
    (..., n_regions, n_regions) array
        Symmetric. Among equal weights the edge earlier in row-major order of the upper triangle
        comes first; the edges of unmeasured regions and the diagonal come last.

    Examples
    --------
    >>> edge_ranks(np.array([[0, 0.5, 0.2], [0.5, 0, 0.9], [0.2, 0.9, 0]]))
    array([[3, 1, 2],
           [1, 3, 0],
           [2, 0, 3]], dtype=int32)
    """
    rows, columns = np.triu_indices(weights.shape[-1], k=1)
    edges = weights[..., rows, columns]
    order = np.argsort(-edges, axis=-1, kind="stable")  # NaN last
    places = np.arange(len(rows), dtype=np.int32)
    rank = np.empty(order.shape, dtype=np.int32)
    np.put_along_axis(rank, order, np.broadcast_to(places, order.shape), axis=-1)
    result = np.full(weights.shape, len(rows), dtype=np.int32)
    result[..., rows, columns] = rank
    result[..., columns, rows] = rank
    return result


def keep_strongest(
    weights: NDArray[np.float64], ranks: NDArray[np.int32], density: float
) -> NDArray[np.float64]:
    """Return the networks of ``strongest_edges``, given the ranks of their edges.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        As ``check_weights`` returns it; unmeasured regions are NaN.
    ranks : (..., n_regions, n_regions) array
        Of ``edge_ranks``: one sorting serves many densities.
    density : float
        Share of the pairs of measured regions, above 0 and at most 1.

    Returns
    -------
    (..., n_regions, n_regions) array
        As ``strongest_edges`` returns it, with its warning.

    Examples
    --------
    >>> weights = np.array([[0, 0.5, 0.2], [0.5, 0, 0.9], [0.2, 0.9, 0]])
    >>> keep_strongest(weights, edge_ranks(weights), 2 / 3)
    array([[0. , 0.5, 0. ],
           [0.5, 0. , 0.9],
           [0. , 0.9, 0. ]])
    """
    n_measured = measured_regions(weights).sum(axis=-1)
    n_wanted = np.round(density * n_measured * (n_measured - 1) / 2).astype(int)
    n_kept = np.minimum(n_wanted, (weights > 0).sum(axis=(-2, -1)) // 2)
    _warn_too_few(n_wanted.reshape(-1), n_kept.reshape(-1), density)
    dropped = (ranks >= n_kept[..., None, None]) & ~np.isnan(weights)
    return np.where(dropped, 0.0, weights)


def _check_finite(array: NDArray[np.float64], name: str, nan_regions: bool) -> NDArray[np.bool_]:
    """Return the measured regions; refuse infinities, and NaN that is not a whole region."""
    if np.isinf(array).any():
        raise ValueError(
            f"{name} must be finite; got {int(np.isinf(array).sum())} infinite entries. "
            "Find the region they come from before measuring the network."
        )
    measured = measured_regions(array)
    n_missing = int((~measured).any(axis=tuple(range(measured.ndim - 1))).sum())
    if not nan_regions and np.isnan(array).any():
        raise ValueError(
            f"{name} must not hold NaN; got {int(np.isnan(array).sum())} NaN entries "
            f"({n_missing} regions wholly unmeasured). Choose what to do about unmeasured "
            "regions first: leave them out, or impute them."
        )
    between = np.isnan(array) & measured[..., :, None] & measured[..., None, :]
    if between.any():
        pair = tuple(int(i) for i in np.argwhere(between)[0][-2:])
        raise ValueError(
            f"{name} must be NaN in whole regions only; got NaN between the measured regions "
            f"{pair}. Set the rows and columns of an unmeasured region to NaN."
        )
    return measured


def _check_diagonal(array: NDArray[np.float64], name: str) -> None:
    """Refuse a non-zero diagonal."""
    diagonal = np.diagonal(array, axis1=-2, axis2=-1)
    if diagonal.any():
        worst = diagonal.ravel()[np.abs(diagonal).argmax()]
        raise ValueError(
            f"{name} must have a zero diagonal; got {worst:.6g}. "
            "Set the diagonal to 0: a region has no edge to itself."
        )


def _check_symmetry(array: NDArray[np.float64], name: str) -> None:
    """Refuse a network whose halves differ by more than rounding."""
    difference = float(np.abs(array - np.swapaxes(array, -1, -2)).max())
    if difference > SYMMETRY_TOLERANCE * float(np.abs(array).max()):
        raise ValueError(
            f"{name} must be symmetric; got a largest difference of {difference:.6g} from its "
            "transpose. Average it with its transpose, check how it was built, or use a function "
            "for directed networks."
        )


def _warn_too_few(wanted: NDArray[np.int_], kept: NDArray[np.int_], density: float) -> None:
    """Warn if a network has fewer positive edges than the density asks for."""
    short = wanted > kept
    if short.any():
        worst = int((wanted - kept).argmax())
        warnings.warn(
            f"density {density:g} asks for {wanted[worst]} edges but only {kept[worst]} are "
            f"positive ({int(short.sum())} of {short.size} networks fall short): all positive "
            "edges stay and the network is sparser than asked. Use a lower density.",
            UserWarning,
            stacklevel=4,
        )
