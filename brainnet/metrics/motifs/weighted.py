"""How strong, and how even, the motifs around each region of a weighted network are."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_weights
from brainnet.metrics._compile import over_networks
from brainnet.metrics.motifs._weigh import weigh_fours, weigh_threes
from brainnet.metrics.motifs.binary import (
    motifs3_functional,
    motifs3_structural,
    motifs4_functional,
    motifs4_structural,
)
from brainnet.metrics.motifs.catalogue import NOT_CONNECTED, catalogue, parts_of, undirected


class WeightedMotifs(NamedTuple):
    """Sums over the occurrences of each class around each region, (..., n_classes, n_regions).

    Divide ``intensity`` or ``coherence`` by ``frequency`` for the mean of an occurrence.
    """

    intensity: NDArray[np.float64]
    coherence: NDArray[np.float64]
    frequency: NDArray[np.float64]


def motifs3_structural_weighted(weights: ArrayLike) -> WeightedMotifs:
    r"""Return intensity, coherence and frequency of the structural motifs of three regions.

    .. math:: I = \Bigl(\prod_{e \in g} w_e\Bigr)^{1/|g|}, \quad
              Q = \frac{I}{\frac{1}{|g|} \sum_{e \in g} w_e}

    of an occurrence with the set g of edges: the geometric mean of its weights, and its ratio to
    their arithmetic mean. Both are summed over the occurrences around each region.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal. Entry (i, j) is the edge from i to j. The Brain Connectivity
        Toolbox asks for weights up to 1; here any scale will do.

    Returns
    -------
    WeightedMotifs
        Each (..., 13, n_regions), with the classes of ``motif_matrices(3)``: intensity in units
        of ``weights``; coherence, from 0 to 1 an occurrence; frequency.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN.

    References
    ----------
    Onnela, Saramäki, Kertész and Kaski (2005), Phys Rev E 71:065103.

    Examples
    --------
    >>> found = motifs3_structural_weighted([[0, 0.1, 0], [0, 0, 0.8], [0.1, 0, 0]])  # a ring
    >>> found.intensity[6].round(4), found.coherence[6].round(4), found.frequency[6]
    (array([0.2, 0.2, 0.2]), array([0.6, 0.6, 0.6]), array([1., 1., 1.]))
    """
    checked = check_weights(weights, directed=True)
    return WeightedMotifs(*_weigh(checked, 3, "structural"), motifs3_structural(checked > 0))


def motifs4_structural_weighted(weights: ArrayLike) -> WeightedMotifs:
    """Return intensity, coherence and frequency of the structural motifs of four regions.

    As ``motifs3_structural_weighted``, with groups of four.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    WeightedMotifs
        Each (..., 199, n_regions), with the classes of ``motif_matrices(4)``.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN.

    References
    ----------
    Onnela, Saramäki, Kertész and Kaski (2005), Phys Rev E 71:065103.

    Examples
    --------
    >>> ring = 0.5 * np.roll(np.eye(4), 1, axis=1)
    >>> found = motifs4_structural_weighted(ring)
    >>> found.intensity[92].round(4)
    array([0.5, 0.5, 0.5, 0.5])
    """
    checked = check_weights(weights, directed=True)
    return WeightedMotifs(*_weigh(checked, 4, "structural"), motifs4_structural(checked > 0))


def motifs3_functional_weighted(weights: ArrayLike) -> WeightedMotifs:
    """Return intensity, coherence and frequency of the functional motifs of three regions.

    As ``motifs3_structural_weighted``, over every choice of the edges among three regions that
    connects them (``motifs3_functional``).

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    WeightedMotifs
        Each (..., 13, n_regions), with the classes of ``motif_matrices(3)``.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN.

    References
    ----------
    Sporns and Kötter (2004), PLoS Biol 2:e369.
    Onnela, Saramäki, Kertész and Kaski (2005), Phys Rev E 71:065103.

    Examples
    --------
    >>> found = motifs3_functional_weighted([[0, 0.5, 0], [0, 0, 0.5], [0.5, 0, 0]])
    >>> found.intensity[1].round(4)  # three chains
    array([1.5, 1.5, 1.5])
    """
    checked = check_weights(weights, directed=True)
    return WeightedMotifs(*_weigh(checked, 3, "functional"), motifs3_functional(checked > 0))


def motifs4_functional_weighted(weights: ArrayLike) -> WeightedMotifs:
    """Return intensity, coherence and frequency of the functional motifs of four regions.

    As ``motifs3_functional_weighted``, with groups of four. A group whose every edge runs both
    ways holds up to 3834 motifs: meant for directed networks, and slow on dense undirected ones.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Non-negative, zero diagonal. Entry (i, j) is the edge from i to j.

    Returns
    -------
    WeightedMotifs
        Each (..., 199, n_regions), with the classes of ``motif_matrices(4)``.

    Raises
    ------
    ValueError
        If ``weights`` is not square, has a negative entry or holds NaN.

    References
    ----------
    Sporns and Kötter (2004), PLoS Biol 2:e369.
    Onnela, Saramäki, Kertész and Kaski (2005), Phys Rev E 71:065103.

    Examples
    --------
    >>> ring = 0.5 * np.roll(np.eye(4), 1, axis=1)  # holds itself and four chains
    >>> motifs4_functional_weighted(ring).intensity.sum(axis=0).round(4)
    array([2.5, 2.5, 2.5, 2.5])
    """
    checked = check_weights(weights, directed=True)
    return WeightedMotifs(*_weigh(checked, 4, "functional"), motifs4_functional(checked > 0))


def motifs3_undirected_weighted(weights: ArrayLike) -> WeightedMotifs:
    """Return intensity, coherence and frequency of the paths and triangles around each region.

    As ``motifs3_structural_weighted``, each undirected edge counting once.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.

    Returns
    -------
    WeightedMotifs
        Each (..., 2, n_regions), with the classes of ``motifs3_undirected``.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Onnela, Saramäki, Kertész and Kaski (2005), Phys Rev E 71:065103.

    Examples
    --------
    >>> motifs3_undirected_weighted([[0, 0.4, 0], [0.4, 0, 0.9], [0, 0.9, 0]]).intensity.round(4)
    array([[0.6, 0.6, 0.6],
           [0. , 0. , 0. ]])
    """
    found = motifs3_structural_weighted(check_weights(weights))
    return WeightedMotifs(*[each[..., undirected(3), :] for each in found])


def motifs4_undirected_weighted(weights: ArrayLike) -> WeightedMotifs:
    """Return intensity, coherence and frequency of the six undirected classes of four regions.

    As ``motifs4_structural_weighted``, each undirected edge counting once.

    Parameters
    ----------
    weights : (..., n_regions, n_regions) array
        Symmetric, non-negative, zero diagonal.

    Returns
    -------
    WeightedMotifs
        Each (..., 6, n_regions), with the classes of ``motifs4_undirected``.

    Raises
    ------
    ValueError
        If ``weights`` is not square or symmetric, has a negative entry or holds NaN.

    References
    ----------
    Onnela, Saramäki, Kertész and Kaski (2005), Phys Rev E 71:065103.

    Examples
    --------
    >>> motifs4_undirected_weighted(0.3 * (1 - np.eye(4))).intensity[:, 0].round(4)
    array([0. , 0. , 0. , 0. , 0. , 0.3])
    """
    found = motifs4_structural_weighted(check_weights(weights))
    return WeightedMotifs(*[each[..., undirected(4), :] for each in found])


def _weigh(
    checked: NDArray[np.float64], n_nodes: int, kind: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of intensity and of coherence in checked networks."""
    sums = over_networks(
        weigh_threes if n_nodes == 3 else weigh_fours,
        checked,
        shape=(checked.shape[-1], len(catalogue(n_nodes).representatives), 2),
        constants=_tables(n_nodes, kind),
    )
    by_class = sums.swapaxes(-2, -3)
    return np.ascontiguousarray(by_class[..., 0]), np.ascontiguousarray(by_class[..., 1])


@lru_cache(maxsize=4)
def _tables(n_nodes: int, kind: str) -> tuple[NDArray[Any], ...]:
    """Return which codes to measure in each code, and the class and number of edges of each."""
    classes = catalogue(n_nodes).classes
    measured = []
    for code in range(len(classes)):
        parts = parts_of(code) if kind == "functional" else np.array([code])
        measured.append(parts[classes[parts] != NOT_CONNECTED])
    starts = np.cumsum([0] + [len(parts) for parts in measured])
    sizes = np.array([code.bit_count() for code in range(len(classes))], dtype=np.float64)
    return starts, np.concatenate(measured).astype(np.uint16), classes, sizes
