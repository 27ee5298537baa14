"""Measure the same networks in brainnet, in bctpy and in the fastest other library per measure.

The workload of one subject: a modular weighted network of 200 regions, made here from a seed, at
densities of 5 to 24 % in 20 steps; at each density all subject-level measures, and 100 rewired
nulls (10 swaps an edge) with the clustering and path length of each. One thread, processor time,
the least of several runs. Results must agree (tolerances below) or the exit status is 1.

- bctpy is run on ``--bct-nulls`` nulls a density and multiplied; the output says so.
- The peers (igraph, networkit, rustworkx, scipy, numpy; extra ``bench``) are given graphs that are
  already built: only brainnet and bctpy pay for taking a matrix, and brainnet for checking it.
- 'best peers' adds up, over measures that a peer has, the fastest peer of each; measures that no
  peer has count on neither side.

::

    pip install -e '.[bench]'
    python tests/benchmarks/metrics.py [--n-regions 200] [--n-densities 20] [--n-nulls 100]

The last line is JSON: ``{"bench": "metrics", "vs_bctpy": x, "vs_best_peers": y, ...}``.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any

import bct
import igraph
import networkit
import numpy as np
import rustworkx
from scipy.sparse import csgraph, csr_array

from brainnet.metrics import (
    assortativity,
    betweenness,
    centrality,
    clustering,
    cores,
    degree,
    efficiency,
    modules,
    nulls,
    paths,
    roles,
)

warnings.filterwarnings("ignore")
networkit.setNumberOfThreads(1)

N_RUNS = 10
"""Louvain runs, in every package."""


def modular_network(n_regions: int, seed: int) -> np.ndarray:
    """Return correlations of series that share one of seven module signals."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((200, 7))[:, np.arange(n_regions) % 7]
    correlation = np.corrcoef((shared + rng.standard_normal((200, n_regions))).T)
    weights = np.abs(np.triu(correlation, 1))
    return weights + weights.T


class Case:
    """One network in every form that a package wants; forms are made outside the timing."""

    def __init__(self, weights: np.ndarray, density: float) -> None:
        self.density = density
        self.weights = bct.threshold_proportional(weights, density)
        self.adjacency = self.weights > 0
        self.binary = self.adjacency.astype(float)
        self.n = len(weights)
        self.lengths = np.divide(
            1, self.weights, out=np.zeros_like(self.weights), where=self.adjacency
        )
        self.rows, self.columns = np.nonzero(np.triu(self.adjacency))
        self.edge_weights = self.weights[self.rows, self.columns]
        self.edge_lengths = 1 / self.edge_weights
        self.neighbours = [np.flatnonzero(row) for row in self.adjacency]

    @cached_property
    def modules(self) -> np.ndarray:
        return modules.louvain(self.weights)

    @cached_property
    def sparse_lengths(self) -> csr_array:
        return csr_array(self.lengths)

    @cached_property
    def igraph(self) -> igraph.Graph:
        return igraph.Graph(self.n, np.column_stack([self.rows, self.columns]).tolist())

    @cached_property
    def networkit(self) -> networkit.Graph:
        return self._networkit(np.ones(len(self.rows)), weighted=False)

    @cached_property
    def networkit_weights(self) -> networkit.Graph:
        return self._networkit(self.edge_weights, weighted=True)

    @cached_property
    def networkit_lengths(self) -> networkit.Graph:
        return self._networkit(self.edge_lengths, weighted=True)

    @cached_property
    def networkit_order(self) -> np.ndarray:
        graph = self.networkit
        pairs = zip(self.rows.tolist(), self.columns.tolist(), strict=True)
        return np.array([graph.edgeId(i, j) for i, j in pairs])

    def _networkit(self, values: np.ndarray, *, weighted: bool) -> networkit.Graph:
        graph = networkit.Graph(self.n, weighted=weighted)
        for i, j, value in zip(self.rows, self.columns, values, strict=True):
            graph.addEdge(int(i), int(j), float(value))
        graph.indexEdges()
        return graph

    @cached_property
    def rustworkx(self) -> rustworkx.PyGraph:
        return self._rustworkx(np.arange(self.n), np.ones(len(self.rows)))

    @cached_property
    def rustworkx_lengths(self) -> rustworkx.PyGraph:
        return self._rustworkx(np.arange(self.n), self.edge_lengths)

    def _rustworkx(self, nodes: np.ndarray, values: np.ndarray) -> rustworkx.PyGraph:
        graph = rustworkx.PyGraph(multigraph=False)
        graph.add_nodes_from(nodes.tolist())
        graph.add_edges_from(
            list(zip(self.rows.tolist(), self.columns.tolist(), values.tolist(), strict=True))
        )
        return graph


Call = Callable[[Case], Any]


@dataclass(frozen=True)
class Row:
    """One measure in every package that has it."""

    ours: Call
    bctpy: Call | None = None
    peers: Mapping[str, Call] = field(default_factory=dict)
    tolerance: float | None = 1e-9  # relative to the largest value; None: checked elsewhere


def edge_values(case: Case, matrix: np.ndarray) -> np.ndarray:
    """Return the values of the edges in the order of the upper triangle."""
    return matrix[case.rows, case.columns]


def mean_inverse(distances: np.ndarray) -> float:
    """Return the global efficiency of distances."""
    with np.errstate(divide="ignore"):
        inverse = 1 / np.asarray(distances, dtype=float)
    np.fill_diagonal(inverse, 0)
    return float(inverse.sum() / (len(inverse) * (len(inverse) - 1)))


def scipy_local_efficiency(case: Case) -> np.ndarray:
    """Return the weighted local efficiency with scipy's Floyd-Warshall on each neighbourhood."""
    result = np.zeros(case.n)
    for i, near in enumerate(case.neighbours):
        if len(near) > 1:
            lengths = case.lengths[np.ix_(near, near)]
            distances = csgraph.floyd_warshall(lengths, directed=False)
            np.fill_diagonal(distances, np.inf)
            ties = np.cbrt(case.weights[i, near])
            result[i] = ties @ np.cbrt(1 / distances) @ ties / (len(near) * (len(near) - 1))
    return result


def rustworkx_local_efficiency(case: Case) -> np.ndarray:
    """Return the binary local efficiency with rustworkx's distances on each subgraph."""
    graph, result = case.rustworkx, np.zeros(case.n)
    for i, near in enumerate(case.neighbours):
        if len(near) > 1:
            part = graph.subgraph(near.tolist())
            distances = rustworkx.distance_matrix(part, null_value=np.inf)
            np.fill_diagonal(distances, np.inf)
            result[i] = (1 / distances).sum() / (len(near) * (len(near) - 1))
    return result


def numpy_clustering_weighted(case: Case) -> np.ndarray:
    """Return Onnela's clustering with two matrix products."""
    roots = np.cbrt(case.weights / case.weights.max())
    triangles = np.einsum("ij,ij->i", roots @ roots, roots)
    pairs = (case.weights > 0).sum(axis=1)
    pairs = pairs * (pairs - 1)
    return np.divide(triangles, pairs, out=np.zeros(case.n), where=pairs > 0)


def numpy_clustering_binary(case: Case) -> np.ndarray:
    """Return the binary clustering with a matrix product."""
    triangles = np.einsum("ij,ij->i", case.binary @ case.binary, case.binary)
    pairs = case.binary.sum(axis=1)
    pairs = pairs * (pairs - 1)
    return np.divide(triangles, pairs, out=np.zeros(case.n), where=pairs > 0)


def networkit_betweenness(case: Case, graph: networkit.Graph) -> tuple[np.ndarray, np.ndarray]:
    """Return networkit's: nodes over ordered pairs, edges over pairs."""
    found = networkit.centrality.Betweenness(graph, False, True).run()
    return np.array(found.scores()), np.array(found.edgeScores())[case.networkit_order] / 2


def networkit_distances(graph: networkit.Graph) -> np.ndarray:
    """Return all distances, unreachable ones infinite."""
    found = np.asarray(networkit.distance.APSP(graph).run().getDistances())
    return np.where(found > 1e300, np.inf, found)


def our_betweenness(case: Case, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return brainnet's betweenness of nodes (ordered pairs) and edges (pairs), as in bctpy."""
    if kind == "binary":
        nodes, edges = betweenness.node_and_edge_betweenness_binary(case.adjacency)
    else:
        nodes, edges = betweenness.node_and_edge_betweenness_weighted(case.weights)
    n = case.n
    return nodes * (n - 1) * (n - 2), edge_values(case, edges) * n * (n - 1) / 2


def bct_betweenness_binary(case: Case) -> tuple[np.ndarray, np.ndarray | None]:
    """Return bctpy's; of edges it fails on some networks, which then cost it nothing."""
    nodes = bct.betweenness_bin(case.binary)
    try:
        return nodes, edge_values(case, bct.edge_betweenness_bin(case.binary)[0])
    except ValueError:
        return nodes, None


def bct_betweenness_weighted(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return bctpy's: one call gives both."""
    edges, nodes = bct.edge_betweenness_wei(case.lengths)
    return nodes, edge_values(case, edges)


def igraph_betweenness(case: Case, lengths: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return igraph's: nodes over ordered pairs, edges over pairs."""
    nodes = case.igraph.betweenness(directed=False, weights=lengths)
    edges = case.igraph.edge_betweenness(directed=False, weights=lengths)
    return 2 * np.array(nodes), np.array(edges)


def best_of_runs(run: Callable[[int], tuple[np.ndarray, float]]) -> float:
    """Return the highest modularity of the runs."""
    return max(run(seed)[1] for seed in range(N_RUNS))


def igraph_louvain(case: Case) -> float:
    """Return the highest modularity of igraph's runs."""
    weights = case.edge_weights.tolist()
    return max(case.igraph.community_multilevel(weights=weights).modularity for _ in range(N_RUNS))


def networkit_louvain(case: Case) -> float:
    """Return the highest modularity of networkit's runs, with refinement."""
    graph, best = case.networkit_weights, -1.0
    for seed in range(N_RUNS):
        networkit.setSeed(seed, False)
        part = networkit.community.PLM(graph, True).run().getPartition()
        best = max(best, networkit.community.Modularity().getQuality(part, graph))
    return best


def our_louvain(case: Case) -> float:
    """Return the modularity of brainnet's partition."""
    found = modules.louvain(case.weights, n_runs=N_RUNS)
    return float(modules.modularity(case.weights, found))


ROWS: Mapping[str, Row] = {
    "degree": Row(
        lambda c: degree.degree(c.adjacency),
        lambda c: bct.degrees_und(c.weights),
        {"igraph": lambda c: c.igraph.degree()},
    ),
    "strength": Row(
        lambda c: degree.strength(c.weights),
        lambda c: bct.strengths_und(c.weights),
        {"igraph": lambda c: c.igraph.strength(weights=c.edge_weights)},
    ),
    "assortativity_binary": Row(
        lambda c: assortativity.assortativity_binary(c.adjacency),
        lambda c: bct.assortativity_bin(c.binary),
        {"igraph": lambda c: c.igraph.assortativity_degree(directed=False)},
    ),
    "coreness": Row(
        lambda c: cores.coreness(c.adjacency),
        lambda c: bct.kcoreness_centrality_bu(c.binary)[0],
        {"igraph": lambda c: c.igraph.coreness()},
    ),
    "eigenvector_centrality": Row(
        lambda c: centrality.eigenvector_centrality(c.weights),
        lambda c: np.ravel(bct.eigenvector_centrality_und(c.weights)),
        {"igraph": lambda c: unit(c.igraph.eigenvector_centrality(weights=c.edge_weights))},
        tolerance=1e-6,
    ),
    "distances_binary": Row(
        lambda c: paths.distances_binary(c.adjacency),
        lambda c: bct.distance_bin(c.binary),
        {
            "igraph": lambda c: np.array(c.igraph.distances(), dtype=float),
            "networkit": lambda c: networkit_distances(c.networkit),
            "rustworkx": lambda c: rustworkx.distance_matrix(c.rustworkx, null_value=np.inf),
            "scipy": lambda c: csgraph.shortest_path(c.sparse_lengths, "D", unweighted=True),
        },
    ),
    "distances_weighted": Row(
        lambda c: paths.distances_weighted(c.weights),
        lambda c: bct.distance_wei(c.lengths)[0],
        {
            "igraph": lambda c: np.array(c.igraph.distances(weights=c.edge_lengths)),
            "networkit": lambda c: networkit_distances(c.networkit_lengths),
            "scipy FW": lambda c: csgraph.floyd_warshall(c.lengths, directed=False),
            "scipy Dijkstra": lambda c: csgraph.dijkstra(c.sparse_lengths, directed=False),
        },
    ),
    "path_length_binary": Row(
        lambda c: paths.characteristic_path_length_binary(c.adjacency),
        lambda c: bct.charpath(bct.distance_bin(c.binary), include_infinite=False)[0],
        {"igraph": lambda c: c.igraph.average_path_length(directed=False, unconn=True)},
    ),
    "global_efficiency_binary": Row(
        lambda c: efficiency.global_efficiency_binary(c.adjacency),
        lambda c: bct.efficiency_bin(c.binary),
        {
            "rustworkx": lambda c: mean_inverse(
                rustworkx.distance_matrix(c.rustworkx, null_value=np.inf)
            ),
            "networkit": lambda c: mean_inverse(networkit_distances(c.networkit)),
            "igraph": lambda c: mean_inverse(c.igraph.distances()),
        },
    ),
    "global_efficiency_weighted": Row(
        lambda c: efficiency.global_efficiency(c.weights),
        lambda c: bct.efficiency_wei(c.weights),
        {
            "scipy FW": lambda c: mean_inverse(csgraph.floyd_warshall(c.lengths, directed=False)),
            "networkit": lambda c: mean_inverse(networkit_distances(c.networkit_lengths)),
            "scipy Dijkstra": lambda c: mean_inverse(
                csgraph.dijkstra(c.sparse_lengths, directed=False)
            ),
        },
    ),
    "local_efficiency_binary": Row(
        lambda c: efficiency.local_efficiency_binary(c.adjacency),
        lambda c: bct.efficiency_bin(c.binary, local=True),
        {"rustworkx": rustworkx_local_efficiency},
    ),
    "local_efficiency_weighted": Row(
        lambda c: efficiency.local_efficiency_weighted(c.weights),
        lambda c: bct.efficiency_wei(c.weights, local="original"),
        {"scipy": scipy_local_efficiency},
        tolerance=2e-6,
    ),
    "clustering_binary": Row(
        lambda c: clustering.clustering_binary(c.adjacency),
        lambda c: bct.clustering_coef_bu(c.binary),
        {
            "igraph": lambda c: c.igraph.transitivity_local_undirected(mode="zero"),
            "networkit": lambda c: (
                networkit.centrality.LocalClusteringCoefficient(c.networkit, True).run().scores()
            ),
            "numpy": numpy_clustering_binary,
        },
    ),
    "clustering_weighted": Row(
        lambda c: clustering.clustering_weighted(c.weights),
        lambda c: bct.clustering_coef_wu(c.weights / c.weights.max()),
        {"numpy": numpy_clustering_weighted},
    ),
    "transitivity_weighted": Row(
        lambda c: clustering.transitivity_weighted(c.weights),
        lambda c: bct.transitivity_wu(c.weights / c.weights.max()),
    ),
    "betweenness_binary": Row(
        lambda c: our_betweenness(c, "binary"),
        bct_betweenness_binary,
        {
            "igraph": lambda c: igraph_betweenness(c, None),
            "networkit": lambda c: networkit_betweenness(c, c.networkit),
        },
    ),
    "betweenness_weighted": Row(
        lambda c: our_betweenness(c, "weighted"),
        bct_betweenness_weighted,
        {
            "igraph": lambda c: igraph_betweenness(c, c.edge_lengths),
            "networkit": lambda c: networkit_betweenness(c, c.networkit_lengths),
        },
    ),
    "participation_coefficient": Row(
        lambda c: roles.participation_coefficient(c.weights, c.modules),
        lambda c: bct.participation_coef(c.weights, c.modules + 1),
    ),
    "within_module_z": Row(
        lambda c: roles.within_module_z(c.weights, c.modules),
        lambda c: bct.module_degree_zscore(c.weights, c.modules + 1),
        tolerance=None,  # bctpy: rounding over rounding in modules of equal strength
    ),
    "louvain": Row(
        our_louvain,
        lambda c: best_of_runs(lambda seed: bct.community_louvain(c.weights, seed=seed)),
        {"igraph": igraph_louvain, "networkit": networkit_louvain},
        tolerance=None,  # a heuristic: the modularities are compared
    ),
}
"""The subject-level measures."""


def unit(vector: Any) -> np.ndarray:
    """Return a vector of length 1."""
    array = np.asarray(vector, dtype=float)
    return array / np.linalg.norm(array)


def timed(call: Call, case: Case, repeats: int) -> tuple[float, Any]:
    """Return the least processor time, and the result; once only beyond half a second."""
    best, result = np.inf, None
    for _ in range(repeats):
        start = time.process_time()
        result = call(case)
        best = min(best, time.process_time() - start)
        if best > 0.5:
            break
    return best, result


def gap(result: Any, expected: Any) -> float:
    """Return the largest difference, as a share of the largest value."""
    if isinstance(result, tuple):
        pairs = zip(result, expected, strict=True)
        return max(gap(a, b) for a, b in pairs if b is not None)
    a, b = np.asarray(result, dtype=float), np.asarray(expected, dtype=float)
    finite = np.isfinite(b)
    if a.shape != b.shape or not np.array_equal(finite, np.isfinite(a)):
        return np.inf
    scale = float(np.abs(b[finite]).max()) if finite.any() else 0.0
    return float(np.abs(a[finite] - b[finite]).max() / scale) if scale > 0 else 0.0


def compare(cases: list[Case], repeats: int, log: Callable[[str], None]) -> dict[str, Any]:
    """Return, per measure, times summed over the cases, ratios and the largest difference."""
    found = {}
    for name, row in ROWS.items():
        ours = 0.0
        others: dict[str, float] = {}
        worst = 0.0
        quality: dict[str, float] = {}
        for case in cases:
            row.ours(case)
            seconds, result = timed(row.ours, case, max(repeats, 5))
            ours += seconds
            calls = ({"bctpy": row.bctpy} if row.bctpy else {}) | dict(row.peers)
            for peer, call in calls.items():
                warm = repeats if peer != "bctpy" else 1
                seconds, expected = timed(call, case, warm)
                others[peer] = others.get(peer, 0.0) + seconds
                if row.tolerance is not None:
                    worst = max(worst, gap(result, expected))
                if name == "louvain":
                    quality[peer] = min(quality.get(peer, 1.0), float(result) - float(expected))
        bctpy = others.pop("bctpy", None)
        best = min(others, key=others.__getitem__) if others else None
        found[name] = {
            "brainnet_s": ours,
            "bctpy_s": bctpy,
            "vs_bctpy": bctpy / ours if bctpy else None,
            "peers_s": others,
            "best_peer": best,
            "vs_best_peer": others[best] / ours if best else None,
            "difference": worst,
            "agree": row.tolerance is None or worst <= row.tolerance,
        }
        if quality:
            found[name]["modularity_above"] = quality
            found[name]["agree"] = quality["igraph"] >= -1e-3
        log(line(name, found[name]))
    return found


def line(name: str, row: Mapping[str, Any]) -> str:
    """Return one row of the table."""
    bctpy = f"{1e3 * row['bctpy_s']:10.1f} {row['vs_bctpy']:8.1f}x" if row["bctpy_s"] else " " * 20
    peer = (
        f"{row['best_peer']:>14s} {1e3 * row['peers_s'][row['best_peer']]:9.1f} "
        f"{row['vs_best_peer']:7.1f}x"
        if row["best_peer"]
        else " " * 33
    )
    mark = "" if row["agree"] else "  DISAGREE"
    return (
        f"{name:27s} {1e3 * row['brainnet_s']:10.2f} {bctpy} {peer} {row['difference']:9.1e}{mark}"
    )


def igraph_rewired(case: Case, n: int) -> list[igraph.Graph]:
    """Return igraph's nulls: 10 trials an edge, of which it makes those that are possible."""
    drawn = [case.igraph.copy() for _ in range(n)]
    for graph in drawn:
        graph.rewire(n=10 * len(case.rows))
    return drawn


def networkit_rewired(case: Case, n: int) -> list[networkit.Graph]:
    """Return networkit's nulls: 10 trials an edge."""
    drawn = [networkit.Graph(case.networkit) for _ in range(n)]
    for graph in drawn:
        networkit.randomization.EdgeSwitchingInPlace(graph, 10).run()
    return drawn


def bct_measures(drawn: list[np.ndarray]) -> tuple[list[float], list[float]]:
    """Return clustering and path length of bctpy's nulls."""
    clustered = [bct.clustering_coef_bu(each).mean() for each in drawn]
    lengths = [bct.charpath(bct.distance_bin(each), include_infinite=False)[0] for each in drawn]
    return clustered, lengths


NULLS: Mapping[str, tuple[Callable[[Case, int], Any], Callable[[Any], Any] | None]] = {
    "brainnet": (
        lambda c, n: nulls.rewire(c.adjacency, n_nulls=n),
        lambda drawn: (
            clustering.clustering_binary(drawn).mean(axis=-1),
            paths.characteristic_path_length_binary(drawn),
        ),
    ),
    "bctpy": (
        lambda c, n: [bct.randmio_und(c.binary, 10, seed=k)[0] for k in range(n)],
        bct_measures,
    ),
    "igraph": (
        igraph_rewired,
        lambda drawn: (
            [each.transitivity_avglocal_undirected(mode="zero") for each in drawn],
            [each.average_path_length(directed=False, unconn=True) for each in drawn],
        ),
    ),
    "networkit": (networkit_rewired, None),
}
"""How each package makes nulls, and takes their clustering and path length."""


def compare_nulls(cases: list[Case], options: argparse.Namespace) -> dict[str, Any]:
    """Return the times of rewiring alone and of the measures of the nulls."""
    seconds = {part: dict.fromkeys(NULLS, 0.0) for part in ("rewire", "measures")}
    few = {"brainnet": options.n_nulls, "bctpy": options.bct_nulls}
    worst = 0.0
    for case in cases:
        ours = nulls.rewire(case.adjacency, n_nulls=1)  # compiles, and is checked below
        for package, (draw, measure) in NULLS.items():
            n = few.get(package, min(10, options.n_nulls))
            repeats = options.repeats if package == "brainnet" else 1
            spent, drawn = timed(lambda c, d=draw, n=n: d(c, n), case, repeats)
            seconds["rewire"][package] += spent * options.n_nulls / n
            if measure is not None:
                spent, _ = timed(lambda _, m=measure, d=drawn: m(d), case, repeats)
                seconds["measures"][package] += spent * options.n_nulls / n
        expected = bct_measures([ours[0].astype(float)])
        worst = max(worst, gap(NULLS["brainnet"][1](ours), expected))
        worst = max(worst, float((ours.sum(axis=-1) != case.adjacency.sum(axis=-1)).sum()))
    return {f"nulls_{part}": null_row(spent, worst) for part, spent in seconds.items()}


def null_row(seconds: dict[str, float], worst: float) -> dict[str, Any]:
    """Return the times of nulls in the form of the other measures."""
    spent = {package: each for package, each in seconds.items() if each > 0}
    ours, bctpy = spent.pop("brainnet"), spent.pop("bctpy")
    best = min(spent, key=spent.__getitem__)
    return {
        "brainnet_s": ours,
        "bctpy_s": bctpy,
        "vs_bctpy": bctpy / ours,
        "peers_s": spent,
        "best_peer": best,
        "vs_best_peer": spent[best] / ours,
        "difference": worst,
        "agree": worst <= 1e-9,
    }


def main() -> int:
    """Run the comparison and print it; return 1 if the packages disagree."""
    parser = argparse.ArgumentParser(description="brainnet's measures beside bctpy's and others'")
    parser.add_argument("--n-regions", type=int, default=200)
    parser.add_argument("--n-densities", type=int, default=20)
    parser.add_argument("--n-nulls", type=int, default=100)
    parser.add_argument("--bct-nulls", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{platform.machine()}, python {platform.python_version()}, one thread")
    packages = ("numpy", "scipy", "numba", "bctpy", "igraph", "networkit", "rustworkx")
    print(", ".join(f"{name} {version(name)}" for name in packages))
    densities = np.linspace(0.05, 0.24, options.n_densities)
    weights = modular_network(options.n_regions, 0)
    cases = [Case(weights, density) for density in densities]
    print(
        f"{options.n_regions} regions, {len(cases)} densities from {densities[0]:.2f} to "
        f"{densities[-1]:.2f}; {options.n_nulls} nulls a density; times summed over densities.\n"
        f"bctpy's nulls: {options.bct_nulls} a density, multiplied; igraph's and networkit's: "
        f"{min(10, options.n_nulls)}, multiplied.\n"
    )
    print(
        f"{'measure':27s} {'brainnet ms':>10s} {'bctpy ms':>10s} {'ratio':>9s} "
        f"{'best peer':>14s} {'ms':>9s} {'ratio':>8s} {'differ':>9s}"
    )
    rows = compare(cases, options.repeats, print) | compare_nulls(cases, options)
    for name in ("nulls_rewire", "nulls_measures"):
        print(line(name, rows[name]))
    ours = sum(row["brainnet_s"] for row in rows.values() if row["bctpy_s"])
    bctpy = sum(row["bctpy_s"] or 0.0 for row in rows.values())
    with_peer = [row for row in rows.values() if row["best_peer"]]
    ours_beside = sum(row["brainnet_s"] for row in with_peer)
    peers = sum(row["peers_s"][row["best_peer"]] for row in with_peer)
    agree = all(row["agree"] for row in rows.values())
    print(
        f"\nthe whole: brainnet {ours:.2f} s, bctpy {bctpy:.1f} s: {bctpy / ours:.0f}x; where a "
        f"peer has the measure: brainnet {ours_beside:.2f} s, best peers {peers:.2f} s: "
        f"{peers / ours_beside:.1f}x; {'all agree' if agree else 'DISAGREE'}"
    )
    summary = {
        "bench": "metrics",
        "vs_bctpy": round(bctpy / ours, 1),
        "vs_best_peers": round(peers / ours_beside, 1),
        "agree": agree,
        "brainnet_s": round(ours, 4),
        "bctpy_nulls_measured": options.bct_nulls,
        "measures": {
            name: {
                "vs_bctpy": row["vs_bctpy"] and round(row["vs_bctpy"], 1),
                "best_peer": row["best_peer"],
                "vs_best_peer": row["vs_best_peer"] and round(row["vs_best_peer"], 1),
                "vs_peers": {
                    peer: round(seconds / row["brainnet_s"], 1)
                    for peer, seconds in row["peers_s"].items()
                },
                "brainnet_ms": round(1e3 * row["brainnet_s"] / len(cases), 4),
                "difference": row["difference"],
                **({"modularity_above": row["modularity_above"]} if name == "louvain" else {}),
            }
            for name, row in rows.items()
        },
    }
    print(json.dumps(summary))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
