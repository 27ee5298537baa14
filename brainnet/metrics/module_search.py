"""Other ways to modules than Louvain's: from given ones, by eigenvectors, and by Leiden."""

import random
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_count, check_modules, check_weights, number_modules
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics._louvain import GAIN_TOLERANCE, tune_at_random
from brainnet.metrics._random import Rng, draw_seeds
from brainnet.metrics.modules import (
    best_partition,
    check_resolution,
    gains_directed,
    gains_signed,
    modularity,
)


def finetune(
    weights: ArrayLike, modules: ArrayLike, *, resolution: float = 1.0, rng: Rng = 0
) -> NDArray[np.int64]:
    """Return given modules after moving single regions until no move gains modularity.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module to begin with; any whole numbers.
    resolution : float, optional
        Of ``modules.modularity``, above 0.
    rng : int or numpy Generator, optional
        Of the order in which regions move; every network of a call starts from the same seed.

    Returns
    -------
    (..., n_regions) integer array
        Modules from 0, numbered by their first region; of no lower modularity than those given.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, ``modules``
        does not fit it, or ``resolution`` is not above 0.

    References
    ----------
    Sun et al. (2009), Europhys Lett 86:28004; Rubinov and Sporns (2011), NeuroImage 56:2068-2079.

    Examples
    --------
    >>> pair = np.array([[0, 1], [1, 0]])
    >>> finetune(np.kron(np.eye(2), pair), [0, 0, 1, 2])
    array([0, 0, 1, 1])
    """
    checked = check_weights(weights)
    check_resolution(resolution)
    gains = gains_directed(checked, resolution)
    return _finetuned(gains, check_modules(modules, checked), rng)


def finetune_directed(
    weights: ArrayLike, modules: ArrayLike, *, resolution: float = 1.0, rng: Rng = 0
) -> NDArray[np.int64]:
    """Return given modules after moving single regions until no move gains directed modularity.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal; entry (i, j) is the edge from i to j.
    modules, resolution, rng
        As in ``finetune``.

    Returns
    -------
    (..., n_regions) integer array
        As of ``finetune``, of no lower ``modules.modularity_directed``.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN, ``modules`` does not fit
        it, or ``resolution`` is not above 0.

    References
    ----------
    Leicht and Newman (2008), Phys Rev Lett 100:118703; Sun et al. (2009), Europhys Lett 86:28004.

    Examples
    --------
    >>> pair = np.array([[0, 1], [0, 0]])
    >>> finetune_directed(np.kron(np.eye(2), pair), [0, 0, 1, 2])
    array([0, 0, 1, 1])
    """
    checked = check_weights(weights, directed=True)
    check_resolution(resolution)
    gains = gains_directed(checked, resolution)
    return _finetuned(gains, check_modules(modules, checked), rng)


def finetune_signed(
    weights: ArrayLike,
    modules: ArrayLike,
    *,
    resolution: float = 1.0,
    null_model: str = "asymmetric",
    rng: Rng = 0,
) -> NDArray[np.int64]:
    """Return given modules after moving single regions until no move gains signed modularity.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. The scale does not matter.
    modules, resolution, rng
        As in ``finetune``.
    null_model : str, optional
        As in ``modules.modularity_signed``.

    Returns
    -------
    (..., n_regions) integer array
        As of ``finetune``, of no lower ``modules.modularity_signed``.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric or holds NaN, ``modules`` does not fit it, or an
        option is out of range.

    References
    ----------
    Sun et al. (2009), Europhys Lett 86:28004; Rubinov and Sporns (2011), NeuroImage 56:2068-2079.

    Examples
    --------
    >>> finetune_signed([[0, 1, -1], [1, 0, -1], [-1, -1, 0]], [0, 1, 1])
    array([0, 0, 1])
    """
    checked = check_weights(weights, signed=True)
    check_resolution(resolution)
    gains = gains_signed(checked, resolution, null_model)
    return _finetuned(gains, check_modules(modules, checked), rng)


def tune_randomly_signed(
    weights: ArrayLike,
    modules: ArrayLike,
    *,
    probability: float,
    resolution: float = 1.0,
    null_model: str = "asymmetric",
    rng: Rng = 0,
) -> NDArray[np.int64]:
    """Return given modules after one round of moves, some of them to anywhere.

    In random order, each region moves once: with the probability given to any of the modules, at
    random, else to the one that gains the most modularity. Rounds of less and less chance, and
    ``finetune_signed`` at the end, leave modules that are best only among their neighbours.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. The scale does not matter.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module to begin with; any whole numbers.
    probability : float
        From 0 to 1.
    resolution, null_model
        As in ``modules.modularity_signed``.
    rng : int or numpy Generator, optional
        Every network of a call starts from the same seed.

    Returns
    -------
    (..., n_regions) integer array
        Modules from 0, numbered by their first region; no more of them than there were.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric or holds NaN, ``modules`` does not fit it, or an
        option is out of range.

    References
    ----------
    Sun et al. (2009), Europhys Lett 86:28004; Rubinov and Sporns (2011), NeuroImage 56:2068-2079.

    Examples
    --------
    >>> pair = np.array([[0, 1], [1, 0]])
    >>> tune_randomly_signed(np.kron(np.eye(2), pair), [0, 0, 1, 2], probability=0)
    array([0, 0, 1, 1])
    """
    checked = check_weights(weights, signed=True)
    check_resolution(resolution)
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must be from 0 to 1; got {probability}. 0.1 is a start.")
    return over_networks(
        tune_at_random,
        gains_signed(checked, resolution, null_model),
        check_modules(modules, checked),
        shape=checked.shape[-1:],
        dtype=np.int64,
        constants=(float(probability), draw_seeds(rng, (1,))[0]),
    )


def spectral_modules(
    weights: ArrayLike, *, resolution: float = 1.0, directed: bool = False
) -> NDArray[np.int64]:
    r"""Return modules found by splitting the network in two as long as modularity gains.

    Each split follows the signs of the eigenvector with the largest eigenvalue of

    .. math:: b^{(g)}_{ij} = b_{ij} - \delta_{ij} \sum_{k \in g} b_{ik}, \quad
              b_{ij} = w_{ij} - \gamma \frac{s_i s_j}{2m}

    over the regions of the group g, and is then improved: regions change sides one at a time,
    each once, those that gain most (or lose least) first, and the best sides on the way are kept,
    as often as they gain. No chance is involved.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal; symmetric unless ``directed``. The scale does not matter.
    resolution : float, optional
        :math:`\gamma` of ``modules.modularity``, above 0.
    directed : bool, optional
        Permit networks that are not symmetric, with ``modules.modularity_directed``; b is then
        the mean of its two directions.

    Returns
    -------
    (..., n_regions) integer array
        Modules from 0, numbered by their first region. An isolated region is a module of its own.

    Raises
    ------
    ValueError
        If ``weights`` is not such a network or ``resolution`` is not above 0.

    References
    ----------
    Newman (2006), Proc Natl Acad Sci USA 103:8577-8582; Leicht and Newman (2008), Phys Rev Lett
    100:118703.

    Examples
    --------
    >>> pair = np.array([[0, 1], [1, 0]])
    >>> spectral_modules(np.kron(np.eye(2), pair))
    array([0, 0, 1, 1])
    """
    checked = check_weights(weights, directed=directed)
    check_resolution(resolution)
    gains = gains_directed(checked, resolution).reshape(-1, *checked.shape[-2:])
    flat = checked.reshape(gains.shape)
    found = [_split_up(each, network) for each, network in zip(gains, flat, strict=True)]
    return np.array(found).reshape(checked.shape[:-1])


def leiden(
    weights: ArrayLike, *, resolution: float = 1.0, n_runs: int = 10, rng: Rng = 0
) -> NDArray[np.int64]:
    """Return modules of high modularity by the Leiden algorithm of the library igraph.

    Modules that it finds are connected.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.
    resolution : float, optional
        Of ``modules.modularity``, above 0.
    n_runs : int, optional
        Runs, of which the one with the highest modularity is returned; at least 1. Each is
        repeated until it gains nothing.
    rng : int or numpy Generator, optional
        Of igraph, whose generator is reset to Python's ``random`` afterwards; every network of a
        call starts from the same seed.

    Returns
    -------
    (..., n_regions) integer array
        Modules from 0, numbered by their first region. An isolated region is a module of its own.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN, or an option
        is out of range.
    ImportError
        If igraph is not installed.

    References
    ----------
    Traag et al. (2019), Sci Rep 9:5233.

    Examples
    --------
    >>> pair = np.array([[0, 1], [1, 0]])
    >>> leiden(np.kron(np.eye(2), pair))
    array([0, 0, 1, 1])
    """
    checked = check_weights(weights)
    check_resolution(resolution)
    n_runs = check_count(n_runs, "n_runs")
    igraph = _igraph()
    seed = int(draw_seeds(rng, (1,))[0])
    flat = checked.reshape(-1, *checked.shape[-2:])
    try:
        found = [_best_leiden(igraph, each, resolution, n_runs, seed) for each in flat]
    finally:
        igraph.set_random_number_generator(random)
    return np.array(found).reshape(checked.shape[:-1])


def _finetuned(
    gains: NDArray[np.float64], labels: NDArray[np.int64], rng: Rng
) -> NDArray[np.int64]:
    """Return labels after single moves only."""
    return best_partition(gains, n_runs=1, rng=rng, start=labels, merging=False)


def _igraph() -> Any:
    """Return the library igraph, or say how to install it."""
    try:
        import igraph
    except ImportError as error:
        raise ImportError(
            "leiden needs igraph, which is not installed: pip install brainnet[leiden]. "
            "modules.louvain needs nothing more and finds modules of the same modularity."
        ) from error
    return igraph


def _best_leiden(
    igraph: Any, weights: NDArray[np.float64], resolution: float, n_runs: int, seed: int
) -> NDArray[np.int64]:
    """Return the best of n_runs partitions of one network by igraph."""
    igraph.set_random_number_generator(random.Random(seed))
    first, second = np.nonzero(np.triu(weights))
    if len(first) == 0:
        return np.arange(len(weights))
    graph = igraph.Graph(n=len(weights), edges=np.stack([first, second], axis=1).tolist())
    sizes = (weights[first, second] / weights.max()).tolist()
    runs = [
        graph.community_leiden("modularity", weights=sizes, resolution=resolution, n_iterations=-1)
        for _ in range(n_runs)
    ]
    labels = np.array([number_modules(np.array(run.membership)) for run in runs])
    batch = np.broadcast_to(weights, (n_runs, *weights.shape))
    return np.asarray(labels[modularity(batch, labels, resolution=resolution).argmax()])


def _split_up(gains: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the modules that repeated splits of one network end in."""
    linked = weights.any(axis=0) | weights.any(axis=1)
    labels = np.where(linked, 0, np.arange(1, len(gains) + 1))
    groups, n_labels = [np.flatnonzero(linked)], len(gains) + 1
    while groups:
        group = groups.pop()
        side = _split(gains[np.ix_(group, group)])
        if side.any() and not side.all():
            labels[group[side]] = n_labels
            n_labels += 1
            groups += [group[side], group[~side]]
    return np.asarray(number_modules(labels))


def _split(gains: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which regions of a group are on one of two sides; all on one if nothing gains."""
    if len(gains) < 2:
        return np.zeros(len(gains), dtype=bool)
    inner = gains - np.diag(gains.sum(axis=1))
    vector = np.linalg.eigh(inner)[1][:, -1]
    side = np.where(vector * np.sign(vector[np.abs(vector).argmax()]) > 0, 1.0, -1.0)
    _improve_split(np.ascontiguousarray(inner), side)
    gain = side @ inner @ side / 2
    return np.asarray((side > 0) & (gain > GAIN_TOLERANCE))


@kernel
def _improve_split(inner, side):  # type: ignore[no-untyped-def]
    """Let regions change sides, each once a round, as long as a round gains; in place."""
    n = len(side)
    while True:
        field = np.zeros(n)  # what each region gains by the others' sides
        for i in range(n):
            for j in range(n):
                field[i] += inner[i, j] * side[j] * np.float64(i != j)
        order = np.empty(n, dtype=np.int64)
        left = np.ones(n, dtype=np.bool_)
        gain, best, n_kept = 0.0, GAIN_TOLERANCE, 0
        for step in range(n):
            pick = _best_change(side, field, left)
            left[pick] = False
            gain -= 2 * side[pick] * field[pick]
            order[step] = pick
            side[pick] = -side[pick]
            for j in range(n):
                field[j] += 2 * inner[pick, j] * side[pick] * np.float64(j != pick)
            if gain > best:
                best, n_kept = gain, step + 1
        for step in range(n_kept, n):
            side[order[step]] = -side[order[step]]
        if n_kept == 0:
            return


@kernel
def _best_change(side, field, left):  # type: ignore[no-untyped-def]
    """Return which of the regions left gains most by changing sides."""
    pick, most = -1, -np.inf
    for i in range(len(side)):
        if left[i] and -side[i] * field[i] > most:
            pick, most = i, -side[i] * field[i]
    return pick
