"""All measures of one network in one long table."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from brainnet._network import check_weights, measured_regions, strongest_edges
from brainnet.metrics import centrality, clustering, degree, efficiency, modules, paths

DENSITIES = (0.10, 0.15, 0.20, 0.25)
"""Densities at which networks are measured unless others are asked for."""

AVERAGED = (
    "degree",
    "strength",
    "clustering_binary",
    "clustering_weighted",
    "local_efficiency_binary",
    "local_efficiency_weighted",
    "participation_coefficient",
)
"""Regional measures whose mean over measured regions is a global measure of the same name."""

WHOLE = "global"
"""What stands in the column ``region`` for a measure of the whole network."""


def measure_table(
    weights: ArrayLike,
    names: Sequence[str],
    *,
    densities: Sequence[float] = DENSITIES,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Return the measures of one network at several densities as a long table.

    At each density the strongest positive edges stay (``connectome.threshold.proportional``);
    measures named ``_binary``, ``degree``, ``density`` and ``n_components`` are of the edges, all
    others of their weights. The area under the curve of each measure over the densities,
    by the trapezoidal rule, is a row of its own: ``<measure>_auc``.

    Parameters
    ----------
    weights : (n_regions, n_regions) array
        Symmetric, signed, zero diagonal. Unmeasured regions are NaN in their row and column.
    names : sequence of n_regions str
        The regions' names, each different, none of them 'global'.
    densities : sequence of float, optional
        Increasing, above 0 and at most 1.
    seed : int, optional
        Seed of the modules.

    Returns
    -------
    DataFrame
        Columns ``measure``, ``density`` (NaN where none applies: areas under the curve and
        measures of the network before thresholding), ``region`` ('global' or a name), ``value``.

        *Before thresholding*: ``n_regions_measured``, and ``mean_weight`` of the whole network
        and of each region. *Global, per density*: ``density`` (as reached), ``n_components``,
        ``global_efficiency_*``, ``characteristic_path_length_*``, ``transitivity_*`` (each
        binary and weighted), ``modularity``, ``n_modules``, and the means named in ``AVERAGED``.
        *Regional, per density*: ``degree``, ``strength``, ``clustering_*``,
        ``local_efficiency_*``, ``betweenness_*``, ``eigenvector_centrality``,
        ``participation_coefficient``, ``within_module_z``, ``module`` (a label: no area).

        *Unmeasured regions*: the network of the measured regions is what is measured, and
        densities are shares of its pairs; each unmeasured region has its rows, with the value
        NaN. Compare participants with different ``n_regions_measured`` with care.

    Raises
    ------
    ValueError
        If ``weights`` is not one square, symmetric network with a zero diagonal, fewer than
        three regions were measured, ``names`` does not fit, or ``densities`` are out of range or
        order.

    References
    ----------
    Rubinov and Sporns (2010), NeuroImage 52:1059-1069.

    Examples
    --------
    >>> weights = np.ones((4, 4)) - np.eye(4)
    >>> table = measure_table(weights, ["a", "b", "c", "d"], densities=(0.5, 1.0))
    >>> row = table.query("measure == 'global_efficiency_binary' and density == 1")
    >>> row.value.tolist()
    [1.0]
    """
    network = check_weights(weights, signed=True, nan_regions=True)
    if network.ndim != 2:
        raise ValueError(
            f"weights must be one network (n_regions, n_regions); got shape {network.shape}. "
            "Call measure_table once per participant."
        )
    _check_names(names, len(network))
    _check_densities(densities)
    measured = measured_regions(network)
    if measured.sum() < 3:
        raise ValueError(
            f"weights must hold at least 3 measured regions; got {int(measured.sum())} of "
            f"{len(network)}. Check the coverage of the regions before measuring the network."
        )
    inner = network[np.ix_(measured, measured)]
    kept_names = [str(name) for name, use in zip(names, measured, strict=True) if use]
    table = _measured_table(inner, kept_names, densities, seed)
    return _with_unmeasured(table, [str(name) for name in names], measured)


def _measured_table(
    weights: NDArray[np.float64], names: list[str], densities: Sequence[float], seed: int
) -> pd.DataFrame:
    """Return the table of a network whose regions are all measured."""
    curves: dict[str, list[float | NDArray[np.float64]]] = {}
    for density in densities:
        for measure, value in _measures(strongest_edges(weights, density), seed).items():
            curves.setdefault(measure, []).append(value)
    n_others = len(weights) - 1
    frames = [
        _rows("n_regions_measured", np.nan, np.array([float(len(weights))]), names),
        _rows("mean_weight", np.nan, _with_mean(weights.sum(axis=-1) / n_others), names),
    ]
    for measure, values in curves.items():
        curve = np.array([np.atleast_1d(value) for value in values], dtype=np.float64)
        frames += [
            _rows(measure, density, value, names)
            for density, value in zip(densities, curve, strict=True)
        ]
        if len(densities) > 1 and measure != "module":
            area = np.trapezoid(curve, x=np.asarray(densities), axis=0)
            frames.append(_rows(f"{measure}_auc", np.nan, area, names))
    return pd.concat(frames, ignore_index=True)


def _measures(weights: NDArray[np.float64], seed: int) -> Mapping[str, float | NDArray[np.float64]]:
    """Return each measure: one number, one per region, or the mean and then one per region."""
    adjacency = weights > 0
    hops = paths.distances_binary(adjacency)
    lengths = paths.distances_weighted(weights)
    partition = modules.louvain(weights, seed=seed)
    values: dict[str, float | NDArray[np.float64]] = {
        "density": float(degree.density(adjacency)),
        "n_components": float(paths.n_components(hops)),
        "global_efficiency_binary": float(efficiency.mean_inverse(hops)),
        "global_efficiency_weighted": float(efficiency.mean_inverse(lengths)),
        "characteristic_path_length_binary": float(paths.characteristic_path_length(hops)),
        "characteristic_path_length_weighted": float(paths.characteristic_path_length(lengths)),
        "transitivity_binary": float(clustering.transitivity_binary(adjacency)),
        "transitivity_weighted": float(clustering.transitivity_weighted(weights)),
        "modularity": float(modules.modularity(weights, partition)),
        "n_modules": float(partition.max() + 1),
        "degree": degree.degree(adjacency),
        "strength": degree.strength(weights),
        "clustering_binary": clustering.clustering_binary(adjacency),
        "clustering_weighted": clustering.clustering_weighted(weights),
        "local_efficiency_binary": efficiency.local_efficiency_binary(adjacency),
        "local_efficiency_weighted": efficiency.local_efficiency_weighted(weights),
        "betweenness_binary": centrality.betweenness_binary(adjacency),
        "betweenness_weighted": centrality.betweenness_weighted(weights),
        "eigenvector_centrality": centrality.eigenvector_centrality(weights),
        "participation_coefficient": modules.participation_coefficient(weights, partition),
        "within_module_z": modules.within_module_z(weights, partition),
        "module": partition.astype(np.float64),
    }
    return values | {measure: _with_mean(np.asarray(values[measure])) for measure in AVERAGED}


def _with_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean, then the values."""
    return np.concatenate([[values.mean()], values])


def _rows(
    measure: str, density: float, values: NDArray[np.float64], names: list[str]
) -> pd.DataFrame:
    """Return one measure's rows: 'global' unless there is exactly one value per region."""
    regions = ([] if len(values) == len(names) else [WHOLE]) + (names if len(values) > 1 else [])
    return pd.DataFrame(
        {"measure": measure, "density": float(density), "region": regions, "value": values}
    )


def _with_unmeasured(
    table: pd.DataFrame, names: list[str], measured: NDArray[np.bool_]
) -> pd.DataFrame:
    """Return the table with NaN rows for unmeasured regions, regions in the atlas's order."""
    if measured.all():
        return table
    place = {name: i for i, name in enumerate([WHOLE, *names])}
    keys = table[["measure", "density"]].drop_duplicates().reset_index(drop=True)
    keys["block"] = keys.index
    regional = set(table.loc[table["region"] != WHOLE, "measure"])
    absent = [name for name, use in zip(names, measured, strict=True) if not use]
    extra = keys[keys["measure"].isin(regional)].merge(
        pd.DataFrame({"region": absent, "value": np.nan}), how="cross"
    )
    full = pd.concat([table.merge(keys, on=["measure", "density"]), extra], ignore_index=True)
    full["place"] = full["region"].map(place)
    full = full.sort_values(["block", "place"], kind="stable", ignore_index=True)
    return full[["measure", "density", "region", "value"]]


def _check_names(names: Sequence[str], n_regions: int) -> None:
    """Refuse names that do not tell the regions apart."""
    if len(names) != n_regions or len({WHOLE, *names}) != n_regions + 1:
        raise ValueError(
            f"names must be {n_regions} different names, none of them '{WHOLE}'; got {len(names)} "
            f"names, {len(set(names))} different. Pass the atlas's names in its order."
        )


def _check_densities(densities: Sequence[float]) -> None:
    """Refuse densities out of range or order."""
    values = np.asarray(densities, dtype=np.float64)
    inside = values.ndim == 1 and len(values) > 0 and bool(((values > 0) & (values <= 1)).all())
    if not inside or (np.diff(values) <= 0).any():
        raise ValueError(
            f"densities must increase within (0, 1]; got {tuple(densities)}. "
            f"The default is {DENSITIES}."
        )
