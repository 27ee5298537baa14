"""Whether edges join regions that are alike in degree or strength."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._bits import count_ones, lowest_one
from brainnet.metrics._checks import check_adjacency, check_bits, check_weights
from brainnet.metrics._compile import kernel, over_networks

End = Literal["in", "out"]
"""Which degree or strength of a region counts at an end of a directed edge."""

EQUAL = 1e-12
"""Spread, as a share of the largest, up to which strengths are the same but for rounding."""


def assortativity_binary(adjacency: ArrayLike) -> NDArray[np.float64]:
    r"""Return the correlation of the degrees at the two ends of an edge.

    .. math:: r = \frac{\sum_{ij} a_{ij} (k_i - \bar k)(k_j - \bar k)}
              {\sum_{ij} a_{ij} (k_i - \bar k)^2}, \quad
              \bar k = \sum_{ij} a_{ij} k_i / \sum_{ij} a_{ij}

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.

    Returns
    -------
    (...) array
        From -1 to 1; NaN where all edges join regions of one degree, or there is no edge.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN.

    References
    ----------
    Newman (2002), Phys Rev Lett 89:208701.

    Examples
    --------
    >>> float(assortativity_binary([[0, 1, 1], [1, 0, 0], [1, 0, 0]]))
    -1.0
    """
    return over_networks(_degree_correlation, check_bits(adjacency))


def assortativity_binary_directed(
    adjacency: ArrayLike, *, source: End = "out", target: End = "in"
) -> NDArray[np.float64]:
    r"""Return the correlation of a degree of the source with one of the target of an edge.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, zero diagonal. Entry (i, j) is the edge from i to j.
    source, target : {"in", "out"}, optional
        Whether the in-degree or the out-degree counts at that end.

    Returns
    -------
    (...) array
        Pearson's correlation over the edges, from -1 to 1; NaN where either end does not vary.
        The Brain Connectivity Toolbox pools the means and variances of the two ends, which is
        another number where they differ.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean and square, or holds NaN, or an end is neither.

    References
    ----------
    Foster, Foster, Grassberger and Paczuski (2010), PNAS 107:10815-10820.

    Examples
    --------
    >>> float(assortativity_binary_directed([[0, 1, 1], [0, 0, 1], [0, 0, 0]]).round(4))
    -0.5
    """
    edges = check_adjacency(adjacency, directed=True).astype(np.float64)
    return _correlation(edges, _at(edges, source, "source"), _at(edges, target, "target"))


def assortativity_weighted(weights: ArrayLike) -> NDArray[np.float64]:
    r"""Return the correlation of the strengths at the two ends of an edge.

    The formula of ``assortativity_binary`` with the strengths in place of the degrees; each edge
    counts once, whatever its weight, as in the Brain Connectivity Toolbox. (Leung and Chau 2007
    instead correlate degrees, each edge counted by its weight.)

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal. The scale does not matter.

    Returns
    -------
    (...) array
        From -1 to 1; NaN where all edges join regions of one strength (to 12 digits), or there
        is no edge.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Newman (2002), Phys Rev Lett 89:208701.
    Foster, Foster, Grassberger and Paczuski (2010), PNAS 107:10815-10820.

    Examples
    --------
    >>> float(assortativity_weighted([[0, 2, 2], [2, 0, 0], [2, 0, 0]]))
    -1.0
    """
    checked = check_weights(weights)
    strengths = checked.sum(axis=-1)
    return _correlation((checked > 0).astype(np.float64), strengths, strengths)


def assortativity_weighted_directed(
    weights: ArrayLike, *, source: End = "out", target: End = "in"
) -> NDArray[np.float64]:
    r"""Return the correlation of a strength of the source with one of the target of an edge.

    Each edge counts once, whatever its weight.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal. Entry (i, j) is the edge from i to j.
    source, target : {"in", "out"}, optional
        Whether the in-strength or the out-strength counts at that end.

    Returns
    -------
    (...) array
        Pearson's correlation over the edges, from -1 to 1; NaN where either end does not vary.
        The Brain Connectivity Toolbox pools the means and variances of the two ends.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN, or an end is neither.

    References
    ----------
    Foster, Foster, Grassberger and Paczuski (2010), PNAS 107:10815-10820.

    Examples
    --------
    >>> float(assortativity_weighted_directed([[0, 2, 2], [0, 0, 2], [0, 0, 0]]).round(4))
    -0.5
    """
    checked = check_weights(weights, directed=True)
    ends = _at(checked, source, "source"), _at(checked, target, "target")
    return _correlation((checked > 0).astype(np.float64), *ends)


def local_assortativity_signed(
    weights: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return how far each region makes the network assortative: positive edges, negative edges.

    .. math:: r_i = \frac{r + 1}{n} - \frac{d_i}{\sum_j d_j}, \quad
              d_i = \frac{1}{s_i} \sum_{j: w_{ij} \ne 0} |s_i - s_j|

    where r is ``assortativity_weighted``, and r, s and n are of the edges of one sign and the
    regions that have any. With all weights 1 this is the local assortativity of Thedchanamoorthy
    et al.; weights and signs follow the Brain Connectivity Toolbox, whose negative part is always
    NaN because it looks for positive edges among the negative ones.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, signed, zero diagonal. The scale does not matter.

    Returns
    -------
    positive, negative : (..., n_regions) array
        Their sum over the regions is the assortativity of the edges of that sign. NaN for a
        region without such an edge, and for all where the assortativity is NaN.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, or holds NaN.

    References
    ----------
    Thedchanamoorthy et al. (2014), Procedia Comput Sci 29:2449-2461.

    Examples
    --------
    >>> positive, _ = local_assortativity_signed([[0, 1, 1], [1, 0, 0], [1, 0, 0]])
    >>> positive.round(4)
    array([-0.3333, -0.3333, -0.3333])
    """
    checked = check_weights(weights, signed=True)
    return _local(np.maximum(checked, 0.0)), _local(np.maximum(-checked, 0.0))


@kernel
def _degree_correlation(bits, out):  # type: ignore[no-untyped-def]
    """Write Pearson's correlation of the degrees at the two ends of an edge, NaN if all equal."""
    n, n_words = bits.shape
    degrees = np.zeros(n, dtype=np.int64)
    n_edges, square, fewest, most = 0, 0, n, 0
    for i in range(n):
        for w in range(n_words):
            degrees[i] += np.int64(count_ones(bits[i, w]))
        if degrees[i] > 0:
            fewest, most = min(fewest, degrees[i]), max(most, degrees[i])
        n_edges += degrees[i]
        square += degrees[i] ** 2
    if fewest >= most:
        out[0] = np.nan
        return
    centred = degrees - square / n_edges
    covariance, variance = 0.0, 0.0
    for i in range(n):
        near = 0.0
        for w in range(n_words):
            word = bits[i, w]
            while word != np.uint64(0):
                near += centred[np.int64(lowest_one(word)) + 64 * w]
                word &= word - np.uint64(1)
        covariance += near * centred[i]
        variance += degrees[i] * centred[i] ** 2
    out[0] = min(max(covariance / variance, -1.0), 1.0)


def _at(networks: NDArray[np.float64], end: str, name: str) -> NDArray[np.float64]:
    """Return the sums of rows (out) or columns (in)."""
    if end not in ("in", "out"):
        raise ValueError(f"{name} must be 'in' or 'out'; got {end!r}. Name one of the two.")
    return np.asarray(networks.sum(axis=-1 if end == "out" else -2))


def _correlation(
    edges: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Pearson's correlation over the edges of values at their sources and targets."""
    x, x_norm = _centred(first, edges.sum(axis=-1))
    y, y_norm = _centred(second, edges.sum(axis=-2))
    covariance = (x * (edges @ y[..., None])[..., 0]).sum(axis=-1)
    return np.asarray(np.clip(covariance / (x_norm * y_norm), -1.0, 1.0))


def _centred(
    values: NDArray[np.float64], counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scaled values less their weighted mean, and their norm: NaN if they do not vary."""
    n_edges = counts.sum(axis=-1, keepdims=True)
    largest = np.abs(values).max(axis=-1, keepdims=True)
    scaled = values / np.where(largest > 0, largest, 1.0)
    centred = scaled - (counts * scaled).sum(axis=-1, keepdims=True) / np.maximum(n_edges, 1.0)
    spread = np.where(counts > 0, np.abs(centred), 0.0).max(axis=-1)
    norm = np.sqrt((counts * centred**2).sum(axis=-1))
    return centred, np.where(spread > EQUAL, norm, np.nan)


def _local(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the local assortativity of non-negative networks."""
    edges = weights > 0
    strengths = weights.sum(axis=-1)
    r = _correlation(edges.astype(np.float64), strengths, strengths)[..., None]
    joined = edges.any(axis=-1)
    gaps = np.abs(strengths[..., :, None] - strengths[..., None, :])
    unlike = (edges * gaps).sum(axis=-1) / np.where(joined, strengths, 1.0)
    total = unlike.sum(axis=-1, keepdims=True)
    n_joined = np.maximum(joined.sum(axis=-1, keepdims=True), 1)
    local = (r + 1) / n_joined - unlike / np.where(total > 0, total, 1.0)
    return np.where(joined, local, np.nan)
