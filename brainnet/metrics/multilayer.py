"""Modules of networks in layers (times, tasks, modalities), and how regions change theirs."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_count, check_modules, check_weights, number_modules
from brainnet.metrics._compile import kernel, over_networks
from brainnet.metrics._layers import best_of_layers, modularity_of_layers
from brainnet.metrics._random import Rng, draw_seeds
from brainnet.metrics.modules import check_resolution
from brainnet.metrics.partitions import allegiance, check_partitions

ORDERS = ("ordinal", "categorical")
"""Which layers are coupled: neighbouring ones, or all."""

LAYERS = ("n_layers", "n_regions")
"""Axes of modules in layers."""


def multilayer_modularity(
    weights: ArrayLike,
    modules: ArrayLike,
    *,
    resolution: float = 1.0,
    coupling: float = 1.0,
    order: str = "ordinal",
) -> NDArray[np.float64]:
    r"""Return the modularity of modules that reach through the layers of a network.

    .. math:: Q = \frac{1}{2\mu} \sum_{ijlr} \Bigl[ \Bigl(w_{ijl} - \gamma
              \frac{s_{il} s_{jl}}{2m_l}\Bigr) \delta_{lr} + \delta_{ij} \omega_{lr} \Bigr]
              \delta(c_{il}, c_{jr})

    where :math:`s_{il}` is the strength of region i in layer l, :math:`2m_l` the sum of layer l,
    :math:`\omega_{lr}` the coupling of each region with itself in another layer, and
    :math:`2\mu` the sum of all weights and couplings, in both directions.

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Each layer symmetric, non-negative, zero diagonal. Unlike for one layer, the scale matters
        beside ``coupling``.
    modules : (..., n_layers, n_regions) or (n_layers, n_regions) integer array
        Each region's module in each layer; the same number is the same module in all layers.
    resolution : float, optional
        :math:`\gamma` above 0: larger values favour smaller modules.
    coupling : float, optional
        :math:`\omega`, 0 or more: larger values favour modules that stay the same.
    order : str, optional
        ``ordinal`` couples neighbouring layers (times), ``categorical`` all (tasks, modalities).

    Returns
    -------
    (...) array
        At most 1. NaN without edges and couplings.

    Raises
    ------
    ValueError
        If ``weights`` are not such layers, ``modules`` does not fit them, or an option is out of
        range.

    References
    ----------
    Mucha et al. (2010), Science 328:876-878.

    Examples
    --------
    >>> pair = np.kron(np.eye(2), [[0, 1], [1, 0]])
    >>> float(multilayer_modularity([pair, pair], [[0, 0, 1, 1], [0, 0, 1, 1]]).round(4))
    0.75
    """
    layers, constants = _check_layers(weights, resolution, coupling, order)
    labels = _check_labels(modules, layers)
    networks = layers.reshape(*layers.shape[:-3], -1, layers.shape[-1])
    return over_networks(modularity_of_layers, networks, labels, constants=constants)


def multilayer_louvain(
    weights: ArrayLike,
    *,
    resolution: float = 1.0,
    coupling: float = 1.0,
    order: str = "ordinal",
    n_runs: int = 10,
    rng: Rng = 0,
) -> NDArray[np.int64]:
    """Return modules of high ``multilayer_modularity``, found as by ``modules.louvain``.

    Parameters
    ----------
    weights : (..., n_layers, n_regions, n_regions) array
        Each layer symmetric, non-negative, zero diagonal.
    resolution, coupling, order
        As in ``multilayer_modularity``.
    n_runs : int, optional
        Random orders tried, of which the best is returned; at least 1.
    rng : int or numpy Generator, optional
        Of the random orders; every network of a call starts from the same seed.

    Returns
    -------
    (..., n_layers, n_regions) integer array
        Modules from 0, numbered by their first region, layer after layer; the same number is the
        same module in all layers.

    Raises
    ------
    ValueError
        If ``weights`` are not such layers or an option is out of range.

    References
    ----------
    Mucha et al. (2010), Science 328:876-878; Blondel et al. (2008), J Stat Mech P10008.

    Examples
    --------
    >>> pair = np.kron(np.eye(2), [[0, 1], [1, 0]])
    >>> multilayer_louvain([pair, pair])
    array([[0, 0, 1, 1],
           [0, 0, 1, 1]])
    """
    layers, constants = _check_layers(weights, resolution, coupling, order)
    n_runs = check_count(n_runs, "n_runs")
    shape = layers.shape[-3:-1]
    networks = layers.reshape(*layers.shape[:-3], -1, layers.shape[-1])
    constants += (n_runs, draw_seeds(rng, (1,))[0])
    return over_networks(best_of_layers, networks, shape=shape, dtype=np.int64, constants=constants)


def flexibility(modules: ArrayLike) -> NDArray[np.float64]:
    """Return how often each region changes its module from one layer to the next.

    Parameters
    ----------
    modules : (..., n_layers, n_regions) integer array
        As ``multilayer_louvain`` returns: the same number is the same module in all layers.

    Returns
    -------
    (..., n_regions) array
        Changes over the ``n_layers - 1`` possible ones, from 0 to 1; NaN for one layer.

    Raises
    ------
    ValueError
        If ``modules`` has fewer than two axes or holds other than whole numbers.

    References
    ----------
    Bassett et al. (2011), Proc Natl Acad Sci USA 108:7641-7646.

    Examples
    --------
    >>> flexibility([[0, 0, 1], [0, 1, 1], [0, 0, 0]])
    array([0. , 1. , 0.5])
    """
    labels = check_partitions(modules, name="modules", axes=LAYERS)
    changes = (labels[..., 1:, :] != labels[..., :-1, :]).sum(axis=-2)
    return np.asarray(changes / (labels.shape[-2] - 1 or np.nan))


def persistence(modules: ArrayLike) -> NDArray[np.float64]:
    """Return the share of regions that keep their module from one layer to the next.

    Parameters
    ----------
    modules : (..., n_layers, n_regions) integer array
        As ``multilayer_louvain`` returns: the same number is the same module in all layers.

    Returns
    -------
    (...) array
        From 0 to 1, 1 less the mean ``flexibility``; NaN for one layer. Bazzi et al. give the
        number of regions that keep theirs, n_regions (n_layers - 1) times this.

    Raises
    ------
    ValueError
        If ``modules`` has fewer than two axes or holds other than whole numbers.

    References
    ----------
    Bazzi et al. (2016), Multiscale Model Simul 14:1-41.

    Examples
    --------
    >>> float(persistence([[0, 0, 1], [0, 1, 1], [0, 0, 0]]))
    0.5
    """
    return np.asarray(1 - flexibility(modules).mean(axis=-1))


def promiscuity(modules: ArrayLike) -> NDArray[np.float64]:
    """Return the share of all modules of which each region is part in at least one layer.

    Parameters
    ----------
    modules : (..., n_layers, n_regions) integer array
        As ``multilayer_louvain`` returns: the same number is the same module in all layers.

    Returns
    -------
    (..., n_regions) array
        Above 0, at most 1.

    Raises
    ------
    ValueError
        If ``modules`` has fewer than two axes or holds other than whole numbers.

    References
    ----------
    Papadopoulos et al. (2016), Phys Rev E 94:032908.

    Examples
    --------
    >>> promiscuity([[0, 0, 1], [0, 1, 1], [0, 0, 1]])
    array([0.5, 1. , 0.5])
    """
    labels = check_partitions(modules, name="modules", axes=LAYERS)
    return over_networks(_promiscuity, labels, shape=labels.shape[-1:])


def recruitment(modules: ArrayLike, systems: ArrayLike) -> NDArray[np.float64]:
    r"""Return how often each region shares its module with the other regions of its system.

    .. math:: R_i = \frac{1}{n_{S_i} - 1} \sum_{j \in S_i, j \ne i} P_{ij}

    where P is ``partitions.allegiance`` over the layers and :math:`S_i` the system of region i.

    Parameters
    ----------
    modules : (..., n_layers, n_regions) integer array
        As ``multilayer_louvain`` returns.
    systems : (n_regions,) integer array
        The system (such as visual or motor) of each region; any whole numbers.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1; NaN for a region that is a system of its own.

    Raises
    ------
    ValueError
        If ``modules`` has fewer than two axes, ``systems`` does not fit it, or either holds other
        than whole numbers.

    References
    ----------
    Bassett et al. (2015), Nat Neurosci 18:744-751; Mattar et al. (2015), PLoS Comput Biol
    11:e1004533.

    Examples
    --------
    >>> recruitment([[0, 0, 1, 1], [0, 0, 0, 1]], [0, 0, 1, 1])
    array([1. , 1. , 0.5, 0.5])
    """
    shares, same = _allegiance_and_systems(modules, systems)
    return _mean_over(shares, same & ~np.eye(len(same), dtype=bool))


def integration(modules: ArrayLike, systems: ArrayLike) -> NDArray[np.float64]:
    r"""Return how often each region shares its module with regions of other systems.

    .. math:: I_i = \frac{1}{n - n_{S_i}} \sum_{j \notin S_i} P_{ij}

    where P is ``partitions.allegiance`` over the layers and :math:`S_i` the system of region i.

    Parameters
    ----------
    modules : (..., n_layers, n_regions) integer array
        As ``multilayer_louvain`` returns.
    systems : (n_regions,) integer array
        The system (such as visual or motor) of each region; any whole numbers.

    Returns
    -------
    (..., n_regions) array
        From 0 to 1; NaN if there is only one system.

    Raises
    ------
    ValueError
        If ``modules`` has fewer than two axes, ``systems`` does not fit it, or either holds other
        than whole numbers.

    References
    ----------
    Bassett et al. (2015), Nat Neurosci 18:744-751; Mattar et al. (2015), PLoS Comput Biol
    11:e1004533.

    Examples
    --------
    >>> integration([[0, 0, 1, 1], [0, 0, 0, 1]], [0, 0, 1, 1])
    array([0.25, 0.25, 0.5 , 0.  ])
    """
    shares, same = _allegiance_and_systems(modules, systems)
    return _mean_over(shares, ~same)


def _check_layers(
    weights: ArrayLike, resolution: float, coupling: float, order: str
) -> tuple[NDArray[np.float64], tuple[float | bool, ...]]:
    """Return the layers, and the options as kernels take them."""
    layers = check_weights(weights)
    if layers.ndim < 3:
        raise ValueError(
            f"weights must have layers, (..., n_layers, n_regions, n_regions); got shape "
            f"{layers.shape}. Stack the networks of one participant: numpy.stack(layers)."
        )
    check_resolution(resolution)
    if not 0 <= coupling < np.inf:
        raise ValueError(f"coupling must be 0 or more; got {coupling}. The default is 1.")
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}; got {order!r}.")
    return layers, (float(resolution), float(coupling), order == "ordinal")


def _check_labels(modules: ArrayLike, layers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return modules numbered from 0 through all layers, in one row."""
    labels = np.asarray(modules)
    if labels.shape not in (layers.shape[:-1], layers.shape[-3:-1]):
        raise ValueError(
            f"modules must have shape {layers.shape[:-1]} or {layers.shape[-3:-1]}; got "
            f"{labels.shape}. Pass one module per layer and region."
        )
    n_nodes = layers.shape[-3] * layers.shape[-2]
    nodes = np.broadcast_to(0.0, (*layers.shape[:-3], n_nodes, n_nodes))  # only their shape counts
    return check_modules(labels.reshape(*labels.shape[:-2], n_nodes), nodes)


def _allegiance_and_systems(
    modules: ArrayLike, systems: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the allegiance of the layers, and which pairs of regions are of one system."""
    shares = allegiance(check_partitions(modules, name="modules", axes=LAYERS))
    nodes = np.broadcast_to(0.0, shares.shape[-2:])
    labels = check_modules(systems, nodes, name="systems")
    return shares, np.asarray(labels[:, None] == labels)


def _mean_over(values: NDArray[np.float64], pairs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean of each row over given pairs; NaN where there are none."""
    count = pairs.sum(axis=-1)
    return np.asarray((values * pairs).sum(axis=-1) / np.where(count > 0, count, np.nan))


@kernel
def _promiscuity(labels, out):  # type: ignore[no-untyped-def]
    """Write the share of all modules that each region is part of."""
    n_layers, n = labels.shape
    numbered = number_modules(labels.copy().reshape(-1)).reshape(n_layers, n)
    n_modules = numbered.max() + 1
    for i in range(n):
        seen = np.zeros(n_modules, dtype=np.bool_)
        for layer in range(n_layers):
            seen[numbered[layer, i]] = True
        out[i] = seen.sum() / n_modules
