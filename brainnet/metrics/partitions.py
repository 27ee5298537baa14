"""What many partitions of the same regions into modules have in common, and how two differ."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_count, check_weights, number_modules
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics._louvain import best_of_runs
from brainnet.metrics._random import Rng, draw_seeds, random_bits
from brainnet.metrics.modules import check_resolution

MOST_ROUNDS = 100
"""Rounds after which ``consensus`` gives up on partitions that still differ."""


def agreement(partitions: ArrayLike) -> NDArray[np.int64]:
    """Return in how many partitions each pair of regions shares a module.

    Parameters
    ----------
    partitions : (..., n_partitions, n_regions) integer array
        Each region's module in each partition; any whole numbers.

    Returns
    -------
    (..., n_regions, n_regions) integer array
        From 0 to ``n_partitions``; the diagonal is 0.

    Raises
    ------
    ValueError
        If ``partitions`` has fewer than two axes or holds other than whole numbers.

    References
    ----------
    Lancichinetti and Fortunato (2012), Sci Rep 2:336.

    Examples
    --------
    >>> agreement([[0, 0, 1], [2, 2, 2]])
    array([[0, 2, 1],
           [2, 0, 1],
           [1, 1, 0]])
    """
    labels = check_partitions(partitions)
    counts = _shared(labels, np.ones(labels.shape[-2]))
    return np.rint(counts).astype(np.int64)


def agreement_weighted(partitions: ArrayLike, importance: ArrayLike) -> NDArray[np.float64]:
    r"""Return the weighted share of partitions in which each pair of regions shares a module.

    .. math:: D_{ij} = \frac{\sum_p a_p \delta(c_{pi}, c_{pj})}{\sum_p a_p}

    Parameters
    ----------
    partitions : (..., n_partitions, n_regions) integer array
        Each region's module in each partition; any whole numbers.
    importance : (n_partitions,) array
        :math:`a_p`, not negative and not all 0: such as the modularity of each partition.

    Returns
    -------
    (..., n_regions, n_regions) array
        From 0 to 1; the diagonal is 0.

    Raises
    ------
    ValueError
        If ``partitions`` has fewer than two axes or holds other than whole numbers, or
        ``importance`` does not fit it.

    References
    ----------
    Lancichinetti and Fortunato (2012), Sci Rep 2:336.

    Examples
    --------
    >>> agreement_weighted([[0, 0, 1], [2, 2, 2]], [3, 1])
    array([[0.  , 1.  , 0.25],
           [1.  , 0.  , 0.25],
           [0.25, 0.25, 0.  ]])
    """
    labels = check_partitions(partitions)
    each = np.asarray(importance, dtype=np.float64)
    if each.shape != labels.shape[-2:-1] or not (each >= 0).all() or not 0 < each.sum() < np.inf:
        raise ValueError(
            f"importance must be one number a partition ({labels.shape[-2]} of them), none "
            f"negative and not all 0; got shape {each.shape}. Pass ones to weigh all the same."
        )
    return _shared(labels, each / each.sum())


def allegiance(partitions: ArrayLike) -> NDArray[np.float64]:
    """Return the share of partitions in which each pair of regions shares a module.

    Parameters
    ----------
    partitions : (..., n_partitions, n_regions) integer array
        Each region's module in each partition, such as in each layer of a multilayer network, in
        each run or of each participant; any whole numbers.

    Returns
    -------
    (..., n_regions, n_regions) array
        From 0 to 1. The diagonal is 0, so that it is a network to other measures.

    Raises
    ------
    ValueError
        If ``partitions`` has fewer than two axes or holds other than whole numbers.

    References
    ----------
    Bassett et al. (2015), Nat Neurosci 18:744-751.

    Examples
    --------
    >>> allegiance([[0, 0, 1], [2, 2, 2]])
    array([[0. , 1. , 0.5],
           [1. , 0. , 0.5],
           [0.5, 0.5, 0. ]])
    """
    labels = check_partitions(partitions)
    n_partitions = labels.shape[-2]
    return np.asarray(_shared(labels, np.ones(n_partitions)) / n_partitions)


def consensus(
    shares: ArrayLike,
    *,
    threshold: float = 0.5,
    resolution: float = 1.0,
    n_runs: int = 100,
    rng: Rng = 0,
) -> NDArray[np.int64]:
    """Return the modules on which many partitions agree.

    Pairs that agree less than ``threshold`` are cut, Louvain runs ``n_runs`` times on what is
    left, and the shares in which these runs agree are the network of the next round, until all
    runs find the same modules.

    Parameters
    ----------
    shares : (..., n_regions, n_regions) array
        As ``allegiance`` or ``agreement_weighted`` returns: symmetric, from 0 to 1, zero diagonal.
    threshold : float, optional
        From 0 to 1.
    resolution : float, optional
        Of ``modules.louvain``, above 0.
    n_runs : int, optional
        Partitions a round, at least 1.
    rng : int or numpy Generator, optional
        Of the runs; every network of a call starts from the same seed.

    Returns
    -------
    (..., n_regions) integer array
        Modules from 0, numbered by their first region. A region that agrees with no other one
        is a module of its own. If runs still differ after ``MOST_ROUNDS`` rounds, the first one.

    Raises
    ------
    ValueError
        If ``shares`` is not such a network or an option is out of range.

    References
    ----------
    Lancichinetti and Fortunato (2012), Sci Rep 2:336.

    Examples
    --------
    >>> consensus(allegiance([[0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 1]]))
    array([0, 0, 1, 1])
    """
    checked = check_weights(shares, name="shares")
    if checked.max() > 1:
        raise ValueError(
            f"shares must be from 0 to 1; got maximum {checked.max()}. "
            "Pass what allegiance returns, or divide agreement by the number of partitions."
        )
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be from 0 to 1; got {threshold}. The default is 0.5.")
    check_resolution(resolution)
    n_runs = check_count(n_runs, "n_runs")
    constants = (float(threshold), float(resolution), n_runs, draw_seeds(rng, (1,))[0])
    return over_networks(
        _consensus, checked, shape=checked.shape[-1:], dtype=np.int64, constants=constants
    )


def variation_of_information(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    r"""Return the information that two partitions do not share, over the most there can be.

    .. math:: \mathrm{VI} = \frac{2 H(x, y) - H(x) - H(y)}{\log n}

    with the entropies H of the modules of a region picked at random.

    Parameters
    ----------
    first, second : (..., n_regions) integer arrays
        Partitions of the same regions; their leading axes broadcast.

    Returns
    -------
    (...) array
        From 0 (the same modules) to 1; 0 for a single region. A metric.

    Raises
    ------
    ValueError
        If the partitions do not fit one another or hold other than whole numbers.

    References
    ----------
    Meilă (2007), J Multivar Anal 98:873-895.

    Examples
    --------
    >>> float(variation_of_information([0, 0, 1, 1], [0, 1, 0, 1]).round(4))
    1.0
    """
    x, y, both, *_ = _compare(first, second)
    n_regions = np.shape(first)[-1]
    return np.asarray(np.maximum(2 * both - x - y, 0.0) / np.log(max(n_regions, 2)))


def mutual_information(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    r"""Return the information that two partitions share, over the mean of what each holds.

    .. math:: \mathrm{NMI} = 2 \frac{H(x) + H(y) - H(x, y)}{H(x) + H(y)}

    with the entropies H of the modules of a region picked at random.

    Parameters
    ----------
    first, second : (..., n_regions) integer arrays
        Partitions of the same regions; their leading axes broadcast.

    Returns
    -------
    (...) array
        From 0 (independent) to 1 (the same modules; so if each is a single module).

    Raises
    ------
    ValueError
        If the partitions do not fit one another or hold other than whole numbers.

    References
    ----------
    Danon et al. (2005), J Stat Mech P09008; Meilă (2007), J Multivar Anal 98:873-895.

    Examples
    --------
    >>> float(mutual_information([0, 0, 1, 1], [5, 5, 2, 2]))
    1.0
    """
    x, y, both, *_ = _compare(first, second)
    mean = (x + y) / 2
    shared = np.maximum(x + y - both, 0.0) / np.where(mean > 0, mean, 1.0)
    return np.where(mean > 0, shared, 1.0)


def rand_index(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return the share of pairs of regions on which two partitions agree.

    Parameters
    ----------
    first, second : (..., n_regions) integer arrays
        Partitions of the same regions; their leading axes broadcast.

    Returns
    -------
    (...) array
        From 0 to 1 (the same modules; so for a single region).

    Raises
    ------
    ValueError
        If the partitions do not fit one another or hold other than whole numbers.

    References
    ----------
    Rand (1971), J Am Stat Assoc 66:846-850.

    Examples
    --------
    >>> float(rand_index([0, 0, 1], [0, 1, 1]).round(4))
    0.3333
    """
    *_, in_x, in_y, in_both = _compare(first, second)
    n_pairs = _n_pairs(first)
    return np.asarray(1 - (in_x + in_y - 2 * in_both) / max(n_pairs, 1.0))


def adjusted_rand_index(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return the Rand index above that of random partitions with the same sizes of modules.

    Parameters
    ----------
    first, second : (..., n_regions) integer arrays
        Partitions of the same regions; their leading axes broadcast.

    Returns
    -------
    (...) array
        At most 1 (the same modules), 0 on average by chance, at times below 0.

    Raises
    ------
    ValueError
        If the partitions do not fit one another or hold other than whole numbers.

    References
    ----------
    Hubert and Arabie (1985), J Classif 2:193-218.

    Examples
    --------
    >>> float(adjusted_rand_index([0, 0, 1, 1], [0, 1, 0, 1]).round(4))
    -0.5
    """
    *_, in_x, in_y, in_both = _compare(first, second)
    expected = in_x * in_y / max(_n_pairs(first), 1.0)
    most = (in_x + in_y) / 2 - expected
    return np.where(most > 0, (in_both - expected) / np.where(most > 0, most, 1.0), 1.0)


def _n_pairs(labels: ArrayLike) -> float:
    """Return the number of pairs of regions."""
    n_regions = int(np.shape(labels)[-1])
    return n_regions * (n_regions - 1) / 2


def check_partitions(
    partitions: ArrayLike,
    *,
    name: str = "partitions",
    axes: tuple[str, ...] = ("n_partitions", "n_regions"),
) -> NDArray[np.int64]:
    """Return partitions, with at least the axes named, as contiguous whole numbers."""
    labels = np.asarray(partitions)
    whole = labels.dtype.kind in "iub" or (labels.dtype.kind == "f" and not (labels % 1).any())
    if labels.ndim < len(axes) or labels.size == 0 or not whole:
        raise ValueError(
            f"{name} must be whole numbers of shape (..., {', '.join(axes)}); got shape "
            f"{labels.shape} of {labels.dtype}. Pass modules as metrics.modules.louvain and "
            "metrics.multilayer.multilayer_louvain return them."
        )
    return np.ascontiguousarray(labels, dtype=np.int64)


def _shared(labels: NDArray[np.int64], importance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the importance of all partitions in which pairs share a module, together."""
    n_regions = labels.shape[-1]
    shape = (n_regions, n_regions)
    return over_networks(_share_of_pairs, labels, shape=shape, constants=(importance,))


def _compare(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Return three entropies and three counts of pairs: of one, of the other, of both together."""
    one = check_partitions(first, name="first", axes=("n_regions",))
    other = check_partitions(second, name="second", axes=("n_regions",))
    if one.shape[-1] != other.shape[-1]:
        raise ValueError(
            f"second must have as many regions as first ({one.shape[-1]}); got {other.shape[-1]}. "
            "Compare partitions of the same regions in the same order."
        )
    one, other = np.broadcast_arrays(one, other)
    pairs = np.stack([one, other], axis=-2)
    return tuple(np.moveaxis(over_networks(_contingency, pairs, shape=(6,)), -1, 0))


@kernel
def _share_of_pairs(labels, importance, out):  # type: ignore[no-untyped-def]
    """Add the importance of each partition to the pairs that share a module in it."""
    for p in range(len(labels)):
        modules, weight = labels[p], importance[p]
        for i in range(len(modules)):
            row, module = out[i], modules[i]
            for j in range(len(modules)):
                row[j] += weight * np.float64(modules[j] == module)
    for i in range(len(out)):
        out[i, i] = 0.0


@kernel
def _contingency(pair, out):  # type: ignore[no-untyped-def]
    """Write the entropies and the pairs in one module, of one partition, of the other, of both."""
    n = pair.shape[1]
    x, y = number_modules(pair[0]), number_modules(pair[1])
    both = number_modules(x * n + y)
    labels = (x, y, both)
    for k in range(3):
        size = np.zeros(n)
        for i in range(n):
            size[labels[k][i]] += 1
        for s in size:
            if s > 0:
                out[k] -= s / n * np.log(s / n)
                out[3 + k] += s * (s - 1) / 2


@kernel
def _consensus(shares, threshold, resolution, n_runs, seed, out):  # type: ignore[no-untyped-def]
    """Write the modules on which repeated runs on their own agreement end up."""
    n = len(shares)
    current = shares
    state = np.array([seed], dtype=np.uint64)
    runs = np.empty((n_runs, n), dtype=np.int64)
    importance = np.ones(n_runs)
    start = np.arange(n)
    for _ in range(MOST_ROUNDS):
        cut = np.where(current >= threshold, current, 0.0)
        for r in range(n_runs):
            best_of_runs(cut, start, resolution, 1, random_bits(state), runs[r])
        if (runs == runs[0]).all():
            break
        current = np.zeros((n, n))
        _share_of_pairs(runs, importance, current)
        current /= n_runs  # of whole counts: 1 where all agree
    out[:] = runs[0]
