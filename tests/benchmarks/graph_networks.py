"""Seconds an epoch of the graph networks: dense, and as lists of edges with torch-geometric.

Both sides train the same network, with the same weights, on the same 500 graphs of 200 regions at
a density of 10 %: forward, backward and a step of AdamW, in shuffled batches of 32. The dense side
takes its batches as GraphClassifier does (``Brains.rows``); the other is what a user of PyG would
write: ``GCNConv``, ``GATv2Conv`` and a weighted ``GINConv`` (PyG has none: a ``MessagePassing`` of
six lines), global pooling, and a DataLoader over Data made beforehand. Rounds alternate; medians.

Then all six networks, dense, on 320 subjects with three modalities at the classifier's own density
of 20 %. Run it alone on a quiet machine, about three minutes::

    python tests/benchmarks/graph_networks.py [--rounds 3] [--threads 1 2] [--hidden 32]

The last line is JSON: seconds, ratios with the threads they were measured on, the largest
difference between the outputs, and whether the targets hold: GCN 10 times and GATv2 3 times as
fast as the list of edges on any number of threads, outputs within 1e-5, and at most 3 s of
processor time an epoch on one thread.
"""

import argparse
import copy
import json
import os
import platform
import time
from importlib.metadata import version
from statistics import median

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import (
    GATv2Conv,
    GCNConv,
    MessagePassing,
    global_max_pool,
    global_mean_pool,
)
from torch_geometric.utils import dense_to_sparse

from brainnet.models.core.fit import fork_seed, threads
from brainnet.models.core.networks import build_network
from brainnet.models.graph.brains import Brains, strongest

BATCH_SIZE, N_STAGES = 32, 4
TARGETS = {"GCN": 10.0, "GATv2": 3.0}
MOST_SECONDS = 3.0  # an epoch of 320 subjects and three modalities, on one thread
NETWORKS = ("GCN", "GIN", "GATv2", "BrainNetCNN", "BrainGNN", "BrainNetworkTransformer")


def simulate(n_subjects, n_modalities, n_regions, *, density):
    """Return networks of noise: what is measured is time."""
    with fork_seed(0):
        weights = torch.randn(n_subjects, n_modalities, n_regions, n_regions)
        weights = ((weights + weights.mT) / 2 + 0.3) * (1 - torch.eye(n_regions))
        stages = torch.randint(N_STAGES, (n_subjects,))
    present = torch.ones(n_subjects, n_modalities, dtype=torch.bool)
    adjacency = strongest(weights, density=density)
    return Brains(weights, weights, adjacency, torch.zeros(n_subjects, 0), present), stages


def build(name, brains, n_hidden=32):
    """Return a network, else with its own defaults."""
    n_modalities, n_regions = brains.nodes.shape[1:3]
    sizes = {"n_features": n_regions, "n_modalities": n_modalities, "n_regions": n_regions}
    with fork_seed(0):
        return build_network(
            name, sizes | {"n_context": 0, "n_outputs": N_STAGES, "n_hidden": n_hidden}
        )


class WeightedGIN(MessagePassing):
    """``GINConv`` with edge weights."""

    def __init__(self, network, epsilon):
        super().__init__(aggr="add")
        self.nn, self.eps = network, epsilon

    def forward(self, x, edge_index, edge_weight):
        return self.nn((1 + self.eps) * x + self.propagate(edge_index, x=x, weight=edge_weight))

    def message(self, x_j, weight):
        return weight.view(-1, 1) * x_j


class Sparse(nn.Module):
    """The twin of a dense network of one modality, with a copy of its weights."""

    def __init__(self, name, dense):
        super().__init__()
        encoder, dense = copy.deepcopy((dense.encoders[0], dense))
        self.layers = nn.ModuleList(
            getattr(self, f"_{name.lower()}")(each) for each in encoder.layers
        )
        self.norms = getattr(encoder, "norms", [nn.Identity()] * len(self.layers))
        self.dropout, self.head = dense.dropout, dense.head
        self.reads_all = name == "GIN"

    def forward(self, data):
        x, means = data.x, [global_mean_pool(data.x, data.batch)]
        for number, (convolve, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = self.dropout(x) if number else x
            x = norm(convolve(x, data.edge_index, data.edge_attr)).relu()
            means.append(global_mean_pool(x, data.batch))
        if not self.reads_all:
            means = [means[-1], global_max_pool(x, data.batch)]
        return self.head(self.dropout(torch.cat(means, dim=1)))

    @staticmethod
    def _gcn(layer):
        convolve = GCNConv(layer.in_channels, layer.out_channels)
        convolve.load_state_dict(layer.state_dict())
        return convolve

    @staticmethod
    def _gatv2(layer):
        _, n_heads, n_channels = layer.att.shape
        convolve = GATv2Conv(layer.lin_l.in_features, n_channels, heads=n_heads, edge_dim=1)
        convolve.load_state_dict(layer.state_dict())
        return convolve

    @staticmethod
    def _gin(layer):
        network = nn.Sequential(layer.first, layer.norm, nn.ReLU(), layer.second)
        return WeightedGIN(network, layer.epsilon)


def epoch(model, optimizer, batches):
    """Train on every batch once; return wall and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    for inputs, stages in batches:
        nn.functional.cross_entropy(model(inputs), stages).backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - wall, time.process_time() - cpu


def dense_batches(brains, stages):
    """Yield batches as ``GraphClassifier`` makes them."""
    for rows in torch.randperm(len(stages)).split(BATCH_SIZE):
        yield brains.rows(rows), stages[rows]


def sparse_batches(loader):
    """Yield batches as PyG makes them."""
    for data in loader:
        yield data, data.y


def data_list(brains, stages):
    """Return the graphs as PyG's Data."""
    found = []
    for nodes, adjacency, stage in zip(brains.nodes, brains.adjacency, stages, strict=True):
        index, weight = dense_to_sparse(adjacency[0])
        found.append(Data(x=nodes[0], edge_index=index, edge_attr=weight, y=stage.view(1)))
    return found


def difference(dense, sparse, brains, loader):
    """Return the largest difference between what the two give for the same subjects."""
    dense.eval(), sparse.eval()
    with torch.no_grad():
        expected = torch.cat([sparse(data) for data in loader])
        rows = torch.arange(len(expected)).split(BATCH_SIZE)
        found = torch.cat([dense(brains.rows(chosen)) for chosen in rows])
    dense.train(), sparse.train()
    return float((found - expected).abs().max())


def compare(name, brains, stages, data, *, rounds, n_threads, n_hidden=32):
    """Return seconds of either side by round, interleaved, after one to warm up."""
    dense = build(name, brains, n_hidden)
    sparse = Sparse(name, dense)
    apart = difference(dense, sparse, brains, DataLoader(data, BATCH_SIZE))
    loader = DataLoader(data, BATCH_SIZE, shuffle=True)
    sides = {
        "dense": (dense, lambda: dense_batches(brains, stages)),
        "sparse": (sparse, lambda: sparse_batches(loader)),
    }
    steps = {side: torch.optim.AdamW(model.parameters()) for side, (model, _) in sides.items()}
    spent = {side: [] for side in sides}
    with threads(n_threads):
        for _ in range(rounds + 1):
            for side, (model, batches) in sides.items():
                spent[side].append(epoch(model, steps[side], batches()))
    wall, cpu = ({side: median(s[k] for s in spent[side][1:]) for side in sides} for k in (0, 1))
    return {
        "network": name,
        "threads": n_threads,
        "dense_seconds": round(wall["dense"], 3),
        "sparse_seconds": round(wall["sparse"], 3),
        "ratio": round(wall["sparse"] / wall["dense"], 2),
        "ratio_of_processor_seconds": round(cpu["sparse"] / cpu["dense"], 2),
        "max_difference": apart,
    }


def time_all(brains, stages, *, rounds):
    """Return wall and processor seconds an epoch of every network, on one thread."""
    found = {}
    for name in NETWORKS:
        model = build(name, brains)
        optimizer = torch.optim.AdamW(model.parameters())
        with threads(1):
            spent = [
                epoch(model, optimizer, dense_batches(brains, stages)) for _ in range(rounds + 1)
            ]
        found[name] = [round(median(each[k] for each in spent[1:]), 2) for k in (0, 1)]
        print(f"{name:24s} {found[name][0]:6.2f} s an epoch ({found[name][1]:.2f} s of processor)")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--hidden", type=int, default=32, help="channels, against lists of edges")
    parser.add_argument("--subjects", type=int, default=500)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    torch.manual_seed(0)
    brains, stages = simulate(options.subjects, 1, 200, density=0.1)
    data = data_list(brains, stages)
    rows = []
    for n_threads in options.threads:
        for name in ("GCN", "GIN", "GATv2"):
            row = compare(
                name, brains, stages, data,
                rounds=options.rounds, n_threads=n_threads, n_hidden=options.hidden,
            )  # fmt: skip
            rows.append(row)
            print(
                f"{name:6s} {n_threads} thread(s): dense {row['dense_seconds']:.3f} s, edges "
                f"{row['sparse_seconds']:.3f} s an epoch: {row['ratio']:.1f} times (processor "
                f"{row['ratio_of_processor_seconds']:.1f}); differ by {row['max_difference']:.1e}"
            )
    del data
    seconds = time_all(*simulate(320, 3, 200, density=0.2), rounds=options.rounds)
    least = {name: min(row["ratio"] for row in rows if row["network"] == name) for name in TARGETS}
    summary = {
        "against_edges": rows,
        "seconds_an_epoch_320x3x200": seconds,
        "ok": {name: least[name] >= target for name, target in TARGETS.items()}
        | {
            "same_outputs": all(row["max_difference"] < 1e-5 for row in rows),
            "at_most_3_seconds": all(cpu <= MOST_SECONDS for _, cpu in seconds.values()),
        },
        "load_before": round(load, 1),
        "n_hidden": options.hidden,
        "torch": version("torch"),
        "torch_geometric": version("torch-geometric"),
        "python": platform.python_version(),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
