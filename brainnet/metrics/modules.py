"""How the network falls into modules: the quality of a partition, and Louvain's search for one."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_count, check_modules, check_weights
from brainnet.metrics._compile import fast_kernel, over_networks
from brainnet.metrics._louvain import best_in_matrix, best_of_runs
from brainnet.metrics._random import Rng, draw_seeds

NULL_MODELS = ("asymmetric", "symmetric", "gja", "positive", "negative")
"""How ``modularity_signed`` weighs positive and negative weights."""


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
    check_resolution(resolution)
    return _of_partition(checked, check_modules(modules, checked), resolution)


def modularity_directed(
    weights: ArrayLike, modules: ArrayLike, *, resolution: float = 1.0
) -> NDArray[np.float64]:
    r"""Return how much more weight lies within modules than in- and out-strengths would give.

    .. math:: Q = \frac{1}{m} \sum_{ij}
              \Bigl(w_{ij} - \gamma \frac{s^{out}_i s^{in}_j}{m}\Bigr) \delta(c_i, c_j),
              \quad m = \sum_{ij} w_{ij}

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal; entry (i, j) is the edge from i to j.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.
    resolution : float, optional
        :math:`\gamma` above 0: larger values favour smaller modules.

    Returns
    -------
    (...) array
        Below 1; ``modularity`` of a symmetric network. A network without edges gives NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN, ``modules`` does not fit
        it, or ``resolution`` is not above 0.

    References
    ----------
    Leicht and Newman (2008), Phys Rev Lett 100:118703.

    Examples
    --------
    >>> pair = np.array([[0, 1], [0, 0]])
    >>> float(modularity_directed(np.kron(np.eye(2), pair), [0, 0, 1, 1]))
    0.5
    """
    checked = check_weights(weights, directed=True)
    check_resolution(resolution)
    return _of_partition(checked, check_modules(modules, checked), resolution)


def modularity_signed(
    weights: ArrayLike,
    modules: ArrayLike,
    *,
    resolution: float = 1.0,
    null_model: str = "asymmetric",
) -> NDArray[np.float64]:
    r"""Return how much positive weight lies within modules, and negative weight between them.

    .. math:: Q = a^+ Q^+ - a^- Q^-

    where :math:`Q^\pm` is ``modularity`` of the positive weights and of the sizes of the negative
    ones (0 where there are none), and :math:`v^\pm` is their sum:

    - ``asymmetric``: :math:`a^+ = 1, a^- = v^- / (v^+ + v^-)`, the Q* of Rubinov and Sporns, as
      positive weights bind regions more plainly than negative ones part them (BCT's ``sta``, and
      ``negative_asym`` of its ``community_louvain``).
    - ``symmetric``: :math:`a^+ = a^- = 1` (``smp``).
    - ``gja``: :math:`a^\pm = v^\pm / (v^+ + v^-)`, of Gomez, Jensen and Arenas (``gja``, and
      ``negative_sym`` of ``community_louvain``).
    - ``positive``, ``negative``: of the positive weights alone (``pos``), of the negative ones
      alone (:math:`a^+ = 0, a^- = 1`; ``neg``).

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. The scale does not matter.
    modules : (..., n_regions) or (n_regions,) integer array
        Each region's module; any whole numbers.
    resolution : float, optional
        :math:`\gamma` of ``modularity``, above 0.
    null_model : str, optional
        One of ``NULL_MODELS``.

    Returns
    -------
    (...) array
        NaN where the weights that the null model looks at are all 0.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric or holds NaN, ``modules`` does not fit it, or an
        option is out of range.

    References
    ----------
    Rubinov and Sporns (2011), NeuroImage 56:2068-2079; Gomez et al. (2009), Phys Rev E 80:016114.

    Examples
    --------
    >>> pair = np.array([[0, 1], [1, 0]])
    >>> split = np.kron(np.eye(2), pair) - np.kron(pair, np.ones((2, 2)))
    >>> float(modularity_signed(split, [0, 0, 1, 1]).round(4))
    0.8333
    """
    checked = check_weights(weights, signed=True)
    labels = check_modules(modules, checked)
    check_resolution(resolution)
    quality = np.zeros(checked.shape[:-2])
    shares = _null_model_shares(checked, null_model)
    for part, share in zip((checked, -checked), shares, strict=True):
        value = _of_partition(np.maximum(part, 0.0), labels, resolution)
        quality += np.where(share == 0, 0.0, share * np.where(np.isnan(value), 0.0, value))
    return np.where(_nothing_counts(checked, null_model), np.nan, quality)


def louvain(
    weights: ArrayLike, *, resolution: float = 1.0, n_runs: int = 10, rng: Rng = 0
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
    rng : int or numpy Generator, optional
        Of the random orders; every network of a call starts from the same seed, so that its
        modules do not depend on which other networks are in the call.

    Returns
    -------
    (..., n_regions) integer array
        Modules from 0, numbered by their first region. An isolated region is a module of its own.
        It is a heuristic: a partition of higher modularity may exist, and many different ones of
        nearly the same modularity usually do (see ``partitions.consensus``).

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
    check_resolution(resolution)
    n_runs = check_count(n_runs, "n_runs")
    constants = (float(resolution), n_runs, draw_seeds(rng, (1,))[0])
    return over_networks(
        best_of_runs,
        checked,
        single_regions(checked),
        shape=checked.shape[-1:],
        dtype=np.int64,
        constants=constants,
    )


def louvain_directed(
    weights: ArrayLike, *, resolution: float = 1.0, n_runs: int = 10, rng: Rng = 0
) -> NDArray[np.int64]:
    """Return modules of high ``modularity_directed``, found as by ``louvain``.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal; entry (i, j) is the edge from i to j.
    resolution, n_runs, rng
        As in ``louvain``.

    Returns
    -------
    (..., n_regions) integer array
        Modules from 0, numbered by their first region. An isolated region is a module of its own.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN, or an option is out of
        range.

    References
    ----------
    Leicht and Newman (2008), Phys Rev Lett 100:118703; Blondel et al. (2008), J Stat Mech P10008.

    Examples
    --------
    >>> ring = np.roll(np.eye(3), 1, axis=1)
    >>> louvain_directed(np.kron(np.eye(2), ring))
    array([0, 0, 0, 1, 1, 1])
    """
    checked = check_weights(weights, directed=True)
    check_resolution(resolution)
    return best_partition(gains_directed(checked, resolution), n_runs=n_runs, rng=rng)


def louvain_signed(
    weights: ArrayLike,
    *,
    resolution: float = 1.0,
    null_model: str = "asymmetric",
    n_runs: int = 10,
    rng: Rng = 0,
) -> NDArray[np.int64]:
    """Return modules of high ``modularity_signed``, found as by ``louvain``.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. The scale does not matter.
    resolution, null_model
        As in ``modularity_signed``.
    n_runs, rng
        As in ``louvain``.

    Returns
    -------
    (..., n_regions) integer array
        Modules from 0, numbered by their first region. An isolated region is a module of its own.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric or holds NaN, or an option is out of range.

    References
    ----------
    Rubinov and Sporns (2011), NeuroImage 56:2068-2079; Gomez et al. (2009), Phys Rev E 80:016114.

    Examples
    --------
    >>> pair = np.array([[0, 1], [1, 0]])
    >>> louvain_signed(np.kron(np.eye(2), pair) - np.kron(pair, np.ones((2, 2))))
    array([0, 0, 1, 1])
    """
    checked = check_weights(weights, signed=True)
    check_resolution(resolution)
    gains = gains_signed(checked, resolution, null_model)
    return best_partition(gains, n_runs=n_runs, rng=rng)


def louvain_matrix(gains: ArrayLike, *, n_runs: int = 10, rng: Rng = 0) -> NDArray[np.int64]:
    r"""Return modules with a high sum of any matrix within them, for null models of one's own.

    .. math:: \sum_{ij} b_{ij} \delta(c_i, c_j)

    For the Potts model of Reichardt and Bornholdt (2006), as an example, b is
    ``adjacency - resolution * (adjacency == 0)``.

    Parameters
    ----------
    gains : (..., n_regions, n_regions) array
        What the pair (i, j) gains by sharing a module; finite. The diagonal does not matter, and
        only the mean of (i, j) and (j, i) does.
    n_runs, rng
        As in ``louvain``.

    Returns
    -------
    (..., n_regions) integer array
        Modules from 0, numbered by their first region. Regions that gain nothing by each other
        stay apart.

    Raises
    ------
    ValueError
        If ``gains`` is not square, is empty or is not finite, or ``n_runs`` is not at least 1.

    References
    ----------
    Blondel et al. (2008), J Stat Mech P10008; Reichardt and Bornholdt (2006), Phys Rev E
    74:016110.

    Examples
    --------
    >>> louvain_matrix([[0, 1, -1], [1, 0, -1], [-1, -1, 0]])
    array([0, 0, 1])
    """
    array = np.asarray(gains, dtype=np.float64)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or array.shape[-1] == 0:
        raise ValueError(
            f"gains must be square, (..., n_regions, n_regions); got shape {array.shape}. "
            "Pass one gain for each pair of regions."
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"gains must be finite; got {int((~np.isfinite(array)).sum())} entries that are not. "
            "Leave out the regions that were not measured."
        )
    return best_partition((array + np.swapaxes(array, -1, -2)) / 2, n_runs=n_runs, rng=rng)


def gains_directed(weights: NDArray[np.float64], resolution: float) -> NDArray[np.float64]:
    """Return what each pair adds to ``modularity_directed`` by sharing a module, symmetric."""
    shares = np.broadcast_to([1.0, 0.0], (*weights.shape[:-2], 2))
    return _gains(weights, shares, resolution)


def gains_signed(
    weights: NDArray[np.float64], resolution: float, null_model: str
) -> NDArray[np.float64]:
    """Return what each pair adds to ``modularity_signed`` by sharing a module."""
    shares = np.stack(_null_model_shares(weights, null_model), axis=-1)
    return _gains(weights, shares, resolution)


def best_partition(
    gains: NDArray[np.float64],
    *,
    n_runs: int,
    rng: Rng,
    start: NDArray[np.int64] | None = None,
    merging: bool = True,
) -> NDArray[np.int64]:
    """Return the partition with the highest sum of symmetric gains within modules."""
    n_runs = check_count(n_runs, "n_runs")
    return over_networks(
        best_in_matrix,
        np.ascontiguousarray(gains),
        single_regions(gains) if start is None else start,
        shape=gains.shape[-1:],
        dtype=np.int64,
        constants=(n_runs, merging, draw_seeds(rng, (1,))[0]),
    )


def single_regions(networks: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the partition of each network into single regions."""
    return np.broadcast_to(np.arange(networks.shape[-1]), networks.shape[:-1])


def check_resolution(resolution: float) -> None:
    """Refuse a resolution that is not above 0."""
    if not (np.isfinite(resolution) and resolution > 0):
        raise ValueError(f"resolution must be above 0; got {resolution}. The default is 1.")


def _gains(
    weights: NDArray[np.float64], shares: NDArray[np.float64], resolution: float
) -> NDArray[np.float64]:
    """Return gains, given the factors of positive and negative weights."""
    shape, constants = weights.shape[-2:], (float(resolution),)
    return over_networks(_gains_of_pairs, weights, shares, shape=shape, constants=constants)


def _null_model_shares(
    weights: NDArray[np.float64], null_model: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the factors of the positive and of the negative part, the second one negative."""
    if null_model not in NULL_MODELS:
        raise ValueError(
            f"null_model must be one of {', '.join(NULL_MODELS)}; got {null_model!r}. "
            "The default is asymmetric."
        )
    positive, negative = _sums_by_sign(weights)
    total = positive + negative
    total = np.where(total > 0, total, 1.0)
    one, none = np.ones(positive.shape), np.zeros(positive.shape)
    return {
        "asymmetric": (one, -negative / total),
        "symmetric": (one, -one),
        "gja": (positive / total, -negative / total),
        "positive": (one, none),
        "negative": (none, -one),
    }[null_model]


def _sums_by_sign(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sum of positive weights and of the sizes of negative ones."""
    axes = (-2, -1)
    return np.maximum(weights, 0.0).sum(axis=axes), np.maximum(-weights, 0.0).sum(axis=axes)


def _nothing_counts(weights: NDArray[np.float64], null_model: str) -> NDArray[np.bool_]:
    """Return whether a network has none of the weights that the null model looks at."""
    positive, negative = _sums_by_sign(weights)
    counted = {"positive": positive, "negative": negative}.get(null_model, positive + negative)
    return np.asarray(counted == 0)


def _of_partition(
    weights: NDArray[np.float64], labels: NDArray[np.int64], resolution: float
) -> NDArray[np.float64]:
    """Return the modularity of non-negative networks, symmetric or not; NaN without edges."""
    return over_networks(_modularity, weights, labels, constants=(float(resolution),))


@fast_kernel
def _modularity(weights, labels, resolution, out):  # type: ignore[no-untyped-def]
    """Write the modularity of one partition."""
    n = len(weights)
    sent, received = np.zeros(n), np.zeros(n)  # per module
    inside, total = 0.0, 0.0
    column_sums = np.zeros(n)
    for i in range(n):
        row = weights[i]
        row_sum = 0.0
        for j in range(n):
            row_sum += row[j]
            column_sums[j] += row[j]
            inside += row[j] if labels[j] == labels[i] else 0.0
        sent[labels[i]] += row_sum
        total += row_sum
    for j in range(n):
        received[labels[j]] += column_sums[j]
    out[0] = np.nan
    if total > 0:
        out[0] = inside / total - resolution * (sent / total * (received / total)).sum()


@fast_kernel
def _gains_of_pairs(weights, shares, resolution, out):  # type: ignore[no-untyped-def]
    """Write what each pair adds to modularity, of positive and of negative weights."""
    n = len(weights)
    for part in range(2):
        sign = 1.0 - 2.0 * part
        sent, received = np.zeros(n), np.zeros(n)
        for i in range(n):
            row = weights[i]
            for j in range(n):
                weight = max(sign * row[j], 0.0)
                sent[i] += weight
                received[j] += weight
        total = sent.sum()
        if total == 0.0 or shares[part] == 0.0:
            continue
        for i in range(n):
            row, target = weights[i], out[i]
            expected = resolution * sent[i] / total
            for j in range(n):
                weight = max(sign * row[j], 0.0)
                target[j] += shares[part] / total * (weight - expected * received[j])
    for i in range(n):
        for j in range(i):
            out[i, j] = out[j, i] = (out[i, j] + out[j, i]) / 2
