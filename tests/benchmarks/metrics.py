"""Measure the same networks in brainnet and in bctpy: do they agree, and how long does each take.

Modular weighted networks of 84 and 200 regions, made here from a seed (no real data), at the
densities of ``measure_table``. Each function runs ``--repeats`` times in each package (bctpy once
where it takes half a second); the least processor time counts, which other programs on the machine
disturb little. What only one package computes is not in the table. Run it in one thread::

    OMP_NUM_THREADS=1 python tests/benchmarks/metrics.py [--sizes 84 200] [--repeats 3]

The last line is JSON: per size and measure, seconds in brainnet, seconds in bctpy, their ratio and
the largest difference. The exit status is 1 if a difference is above 1e-8.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import bct
import numpy as np

from brainnet.metrics import centrality, clustering, degree, efficiency, modules, paths
from brainnet.metrics.table import DENSITIES, measure_table

TOLERANCE = 1e-8
Measure = Callable[[np.ndarray], np.ndarray]


def modular_network(n_regions: int, seed: int) -> np.ndarray:
    """Return correlations of series that share one of seven module signals."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((200, 7))[:, np.arange(n_regions) % 7]
    correlation = np.corrcoef((shared + rng.standard_normal((200, n_regions))).T)
    weights = np.abs(np.triu(correlation, 1))
    return weights + weights.T


def at_density(weights: np.ndarray, density: float) -> np.ndarray:
    """Return the network with its strongest edges, by bctpy: neutral to what is compared."""
    return bct.threshold_proportional(weights, density)


def lengths(weights: np.ndarray) -> np.ndarray:
    """Return 1/weight, and 0 for no edge, as bctpy wants it."""
    return np.divide(1, weights, out=np.zeros_like(weights), where=weights > 0)


def partition(weights: np.ndarray) -> np.ndarray:
    """Return a partition that both packages are given."""
    return np.arange(len(weights)) % 7


def pairs() -> dict[str, tuple[Measure, Measure]]:
    """Return what is compared: brainnet's function and bctpy's, on one scale."""
    return {
        "degree": (lambda w: degree.degree(w > 0), bct.degrees_und),
        "strength": (degree.strength, bct.strengths_und),
        "distances_binary": (
            lambda w: paths.distances_binary(w > 0),
            lambda w: bct.distance_bin(w),
        ),
        "distances_weighted": (paths.distances_weighted, lambda w: bct.distance_wei(lengths(w))[0]),
        "global_efficiency_binary": (
            lambda w: efficiency.global_efficiency_binary(w > 0),
            bct.efficiency_bin,
        ),
        "global_efficiency_weighted": (efficiency.global_efficiency, bct.efficiency_wei),
        "local_efficiency_binary": (
            lambda w: efficiency.local_efficiency_binary(w > 0),
            lambda w: bct.efficiency_bin(w, local=True),
        ),
        "local_efficiency_weighted": (
            efficiency.local_efficiency_weighted,
            lambda w: bct.efficiency_wei(w, local="original"),
        ),
        "clustering_binary": (
            lambda w: clustering.clustering_binary(w > 0),
            lambda w: bct.clustering_coef_bu((w > 0).astype(float)),
        ),
        "clustering_weighted": (
            clustering.clustering_weighted,
            lambda w: bct.clustering_coef_wu(w / w.max()),
        ),
        "transitivity_weighted": (
            clustering.transitivity_weighted,
            lambda w: bct.transitivity_wu(w / w.max()),
        ),
        "betweenness_binary": (
            lambda w: centrality.betweenness_binary(w > 0) * (len(w) - 1) * (len(w) - 2),
            lambda w: bct.betweenness_bin((w > 0).astype(float)),
        ),
        "betweenness_weighted": (
            lambda w: centrality.betweenness_weighted(w) * (len(w) - 1) * (len(w) - 2),
            lambda w: bct.betweenness_wei(lengths(w)),
        ),
        "eigenvector_centrality": (
            centrality.eigenvector_centrality,
            lambda w: np.ravel(bct.eigenvector_centrality_und(w)),
        ),
        "participation_coefficient": (
            lambda w: modules.participation_coefficient(w, partition(w)),
            lambda w: bct.participation_coef(w, partition(w) + 1),
        ),
        "within_module_z": (
            lambda w: modules.within_module_z(w, partition(w)),
            lambda w: bct.module_degree_zscore(w, partition(w) + 1),
        ),
    }


def timed(measure: Measure, network: np.ndarray, repeats: int) -> tuple[float, np.ndarray]:
    """Return the least of the times, and the result."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = measure(network.copy())
        times.append(time.process_time() - start)
    return min(times), np.asarray(result)


def compare(n_regions: int, n_networks: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return, per measure, the summed times over networks and densities and the difference."""
    networks = [
        at_density(modular_network(n_regions, seed), density)
        for seed in range(n_networks)
        for density in DENSITIES
    ]
    rows = {}
    for measure, (ours, theirs) in pairs().items():
        our_time = their_time = difference = 0.0
        for network in networks:
            seconds, result = timed(ours, network, repeats)
            our_time += seconds
            # slow and only a reference: one run is enough beyond half a second
            seconds, expected = timed(theirs, network, 1)
            if seconds < 0.5:
                seconds = min(seconds, timed(theirs, network, repeats)[0])
            their_time += seconds
            finite = np.isfinite(expected)
            same_finite = np.array_equal(finite, np.isfinite(result))
            gap = np.abs(result[finite] - expected[finite]).max() if finite.any() else 0.0
            difference = max(difference, float(gap) if same_finite else np.inf)
        rows[measure] = {
            "brainnet_s": our_time,
            "bctpy_s": their_time,
            "ratio": their_time / our_time,
            "difference": difference,
        }
    return rows


def show(n_regions: int, rows: dict[str, dict[str, float]]) -> None:
    """Print one size's table."""
    print(f"\n{n_regions} regions, densities {DENSITIES}, times summed over networks")
    print(
        f"{'measure':28s} {'brainnet ms':>12s} {'bctpy ms':>12s} {'times':>8s} {'difference':>11s}"
    )
    for measure, row in rows.items():
        print(
            f"{measure:28s} {1e3 * row['brainnet_s']:12.2f} {1e3 * row['bctpy_s']:12.2f} "
            f"{row['ratio']:8.1f} {row['difference']:11.1e}"
        )


def main() -> int:
    """Run the comparison and print it; return 1 if the packages disagree."""
    parser = argparse.ArgumentParser(description="brainnet's measures beside bctpy's")
    parser.add_argument("--sizes", type=int, nargs="+", default=[84, 200])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--networks", type=int, default=1)
    options = parser.parse_args()
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    print(f"{platform.machine()}, python {platform.python_version()}, OMP_NUM_THREADS {threads}")
    print(", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "bctpy")))
    summary: dict[str, object] = {"densities": DENSITIES, "tolerance": TOLERANCE}
    worst = 0.0
    for n_regions in options.sizes:
        rows = compare(n_regions, options.networks, options.repeats)
        show(n_regions, rows)
        names = [f"region-{i}" for i in range(n_regions)]
        table, _ = timed(lambda w, n=names: measure_table(w, n), modular_network(n_regions, 0), 1)
        print(f"measure_table, all measures at all densities: {table:.2f} s")
        summary[str(n_regions)] = {"measures": rows, "measure_table_s": table}
        worst = max([worst, *(row["difference"] for row in rows.values())])
    summary["agree"] = worst <= TOLERANCE
    print(f"\nlargest difference {worst:.1e}: {'agree' if summary['agree'] else 'DISAGREE'}")
    print(json.dumps(summary))
    return 0 if summary["agree"] else 1


if __name__ == "__main__":
    sys.exit(main())
