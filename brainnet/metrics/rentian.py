"""How the edges that leave a piece of space grow with the regions in it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_count
from brainnet.metrics._random import Rng

CUBES_AT_ONCE = 1024


def rentian_scaling(
    adjacency: ArrayLike, coordinates: ArrayLike, *, n_cubes: int = 5000, rng: Rng = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    r"""Return the regions in random cubes of space, and the edges that cross their surfaces.

    Sides are uniform up to the longest extent of the coordinates, and the places uniform among
    those that touch the box around the coordinates, so that each region may be inside; empty
    cubes are drawn again. (The first version in the Brain Connectivity Toolbox draws cubes along
    one diagonal of the box only.)

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    coordinates : (n_regions, n_dimensions) array
        Where the regions are, in any unit; the same for all networks, as are the cubes.
    n_cubes : int, optional
        How many cubes; the paper takes 5000.
    rng : int or Generator, optional
        Seed of the cubes.

    Returns
    -------
    n_inside : (n_cubes,) integer array
        Regions in each cube, at least 1.
    n_crossing : (..., n_cubes) integer array
        Edges between a region in the cube and one outside.

    Raises
    ------
    ValueError
        If ``adjacency`` is not boolean, square and symmetric, or holds NaN; if the coordinates
        are not finite, do not fit or are all the same; if there is no cube.

    References
    ----------
    Bassett et al. (2010), PLoS Comput Biol 6:e1000748.

    Examples
    --------
    >>> path = np.eye(4, k=1) + np.eye(4, k=-1)
    >>> inside, crossing = rentian_scaling(path, [[0], [1], [2], [3]], n_cubes=100)
    >>> int(crossing.max())
    2
    """
    edges = check_adjacency(adjacency).astype(np.float32)
    places = _check_coordinates(coordinates, edges.shape[-1])
    n_cubes = check_count(n_cubes, "n_cubes")
    inside = _inside_cubes(places, n_cubes, np.random.default_rng(rng)).astype(np.float32)
    flat = edges.reshape(-1, *edges.shape[-2:])
    crossing = np.array([((inside @ each) * (1 - inside)).sum(axis=-1) for each in flat])
    counts = crossing.reshape(*edges.shape[:-2], n_cubes).astype(np.int64)
    return inside.sum(axis=-1).astype(np.int64), counts


def rent_exponent(
    adjacency: ArrayLike, coordinates: ArrayLike, *, n_cubes: int = 5000, rng: Rng = 0
) -> NDArray[np.float64]:
    r"""Return the physical Rent exponent of each network.

    The slope p of :math:`\log E = p \log N + c`, by least squares over the cubes of
    ``rentian_scaling`` with fewer than half of the regions (others are bound by the surface of the
    brain) and an edge that leaves.

    Parameters
    ----------
    adjacency : (..., n_regions, n_regions) array
        Boolean or 0 and 1, symmetric, zero diagonal.
    coordinates : (n_regions, n_dimensions) array
        Where the regions are, in any unit; the same for all networks, as are the cubes.
    n_cubes : int, optional
        How many cubes; the paper takes 5000.
    rng : int or Generator, optional
        Seed of the cubes.

    Returns
    -------
    (...) array
        NaN where the cubes hold fewer than two different numbers of regions.

    Raises
    ------
    ValueError
        As ``rentian_scaling``.

    References
    ----------
    Bassett et al. (2010), PLoS Comput Biol 6:e1000748.

    Examples
    --------
    >>> grid = [[i, j] for i in range(12) for j in range(12)]
    >>> steps = np.abs(np.subtract.outer(grid, grid)).trace(axis1=1, axis2=3) == 1
    >>> bool(0.4 < rent_exponent(steps, grid) < 0.6)  # a boundary in the plane: 1/2
    True
    """
    inside, crossing = rentian_scaling(adjacency, coordinates, n_cubes=n_cubes, rng=rng)
    use = (2 * inside < np.asarray(coordinates).shape[0]) & (crossing > 0)
    n_used = np.maximum(use.sum(axis=-1, keepdims=True), 1)
    x = np.broadcast_to(np.log(inside), use.shape)
    y = np.log(np.maximum(crossing, 1))
    x = np.where(use, x - np.where(use, x, 0.0).sum(axis=-1, keepdims=True) / n_used, 0.0)
    variance = (x * x).sum(axis=-1)
    return np.asarray((x * y).sum(axis=-1) / np.where(variance > 1e-12, variance, np.nan))


def _inside_cubes(
    places: NDArray[np.float64], n_cubes: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which regions are in each of so many cubes that are not empty."""
    low, high = places.min(axis=0), places.max(axis=0)
    found: list[NDArray[np.bool_]] = []
    n_found = 0
    while n_found < n_cubes:
        side = generator.uniform(0, (high - low).max(), (CUBES_AT_ONCE, 1))
        start = generator.uniform(low - side, high)
        inside = (places >= start[:, None]) & (places <= (start + side)[:, None])
        whole = inside.all(axis=-1)
        found.append(whole[whole.any(axis=-1)])
        n_found += len(found[-1])
    return np.concatenate(found)[:n_cubes]


def _check_coordinates(coordinates: ArrayLike, n_regions: int) -> NDArray[np.float64]:
    """Return the coordinates, or say what is wrong with them."""
    places = np.asarray(coordinates, dtype=np.float64)
    if places.ndim != 2 or len(places) != n_regions or not np.isfinite(places).all():
        raise ValueError(
            f"coordinates must be finite, of shape ({n_regions}, n_dimensions); got shape "
            f"{places.shape}. Pass the centroids of the atlas in its order."
        )
    if not (places != places[:1]).any():
        raise ValueError(
            "coordinates must differ; got the same place for all regions. "
            "Pass the centroids of the atlas in its order."
        )
    return places
