"""Louvain's search for modules through the layers of a network.

A node is a region in a layer, linked to its neighbours there and to itself in coupled layers; a
merged node has a strength in each layer. Mucha et al. (2010), Science 328:876-878.
"""

import numpy as np

from brainnet.metrics._checks import number_modules
from brainnet.metrics._compile import kernel
from brainnet.metrics._louvain import (
    GAIN_TOLERANCE,
    merge_nodes,
    number_in_place,
    wake_neighbours,
)
from brainnet.metrics._random import shuffle


@kernel
def _link_layers(weights, coupling, ordinal):  # type: ignore[no-untyped-def]
    """Return lists of the neighbours of each region in each layer, itself elsewhere included."""
    n_nodes, n = weights.shape
    n_layers = n_nodes // n
    starts = np.zeros(n_nodes + 1, dtype=np.uint32)
    capacity = (weights != 0).sum() + n_nodes * (2 if ordinal else n_layers) + 1
    near = np.empty(capacity, dtype=np.uint32)
    weight = np.empty(capacity)
    n_edges = 0
    for node in range(n_nodes):
        layer, i = node // n, node % n
        for j in range(n):
            if weights[node, j] != 0:
                near[n_edges] = layer * n + j
                weight[n_edges] = weights[node, j]
                n_edges += 1
        for other in range(n_layers):
            coupled = abs(other - layer) == 1 or (other != layer and not ordinal)
            if coupled and coupling > 0:
                near[n_edges] = other * n + i
                weight[n_edges] = coupling
                n_edges += 1
        starts[node + 1] = n_edges
    return starts, near[:n_edges], weight[:n_edges]


@kernel
def modularity_of_layers(  # type: ignore[no-untyped-def]
    weights, labels, resolution, coupling, ordinal, out
):
    """Write the modularity of one partition."""
    n_nodes, n = weights.shape
    starts, near, weight = _link_layers(weights, coupling, ordinal)
    quality, total = 0.0, 0.0
    for node in range(n_nodes):
        for k in range(starts[node], starts[node + 1]):
            total += weight[k]
            quality += weight[k] * np.float64(labels[near[k]] == labels[node])
    module_strength = np.zeros(n_nodes)
    for layer in range(n_nodes // n):
        module_strength[:] = 0.0
        for node in range(layer * n, (layer + 1) * n):
            module_strength[labels[node]] += weights[node].sum()
        sum_of_layer = module_strength.sum()
        if sum_of_layer > 0:
            quality -= resolution * (module_strength**2).sum() / sum_of_layer
    out[0] = quality / total if total > 0 else np.nan


@kernel
def best_of_layers(  # type: ignore[no-untyped-def]
    weights, resolution, coupling, ordinal, n_runs, seed, out
):
    """Write the best partition of one network in layers of n_runs."""
    n_nodes, n = weights.shape
    links = _link_layers(weights, coupling, ordinal)
    strength = np.empty(n_nodes)
    share = np.zeros(n_nodes)  # strength * resolution / sum of its layer
    for first in range(0, n_nodes, n):
        for node in range(first, first + n):
            strength[node] = weights[node].sum()
        total = strength[first : first + n].sum()
        if total > 0:
            share[first : first + n] = strength[first : first + n] * (resolution / total)
    nodes = np.arange(n_nodes + 1).astype(np.uint32)
    parts = nodes, nodes[:n_nodes] // np.uint32(n), strength, share
    tolerance = GAIN_TOLERANCE * links[2].sum()
    state = np.array([seed], dtype=np.uint64)
    best = -np.inf
    quality = np.zeros(1)
    for _ in range(n_runs):
        labels = nodes[:n_nodes].copy()
        _run_through_layers(links, parts, n_nodes // n, tolerance, labels, state)
        numbered = number_modules(labels.astype(np.int64))
        modularity_of_layers(weights, numbered, resolution, coupling, ordinal, quality)
        if quality[0] > best + GAIN_TOLERANCE or best == -np.inf:
            best = quality[0]
            out[:] = numbered.reshape(n_nodes // n, n)


@kernel
def _run_through_layers(  # type: ignore[no-untyped-def]
    links, parts, n_layers, tolerance, labels, state
):
    """Improve labels until no move of a node and no merging of modules gains."""
    first = True
    while _move_in_layers(links, parts, n_layers, tolerance, labels, state) or first:
        first = False
        level, level_parts = links, parts
        group = labels
        while True:
            n_groups = number_in_place(group)
            if group is not labels:
                for i in range(len(labels)):
                    labels[i] = group[labels[i]]
            n_nodes = len(group)
            merged = merge_nodes(level[0], level[1], level[2], np.zeros(n_nodes), group, n_groups)
            level = merged[0], merged[1], merged[2]
            level_parts = _merge_parts(level_parts, n_layers, group, n_groups)
            group = np.arange(n_groups).astype(np.uint32)
            if not _move_in_layers(level, level_parts, n_layers, tolerance, group, state):
                break


@kernel
def _merge_parts(parts, n_layers, labels, n_groups):  # type: ignore[no-untyped-def]
    """Return the strength of each module in each layer, as lists."""
    starts, layer, strength, share = parts
    sums = np.zeros((n_groups, n_layers, 2))
    for node in range(len(labels)):
        for p in range(starts[node], starts[node + 1]):
            sums[labels[node], layer[p], 0] += strength[p]
            sums[labels[node], layer[p], 1] += share[p]
    merged_starts = np.zeros(n_groups + 1, dtype=np.uint32)
    merged_layer = np.empty(len(layer), dtype=np.uint32)
    merged_strength, merged_share = np.empty(len(layer)), np.empty(len(layer))
    n_parts = 0
    for c in range(n_groups):
        for at in range(n_layers):
            if sums[c, at, 0] > 0:
                merged_layer[n_parts] = at
                merged_strength[n_parts] = sums[c, at, 0]
                merged_share[n_parts] = sums[c, at, 1]
                n_parts += 1
        merged_starts[c + 1] = n_parts
    return merged_starts, merged_layer, merged_strength, merged_share


@kernel
def _move_in_layers(links, parts, n_layers, tolerance, labels, state):  # type: ignore[no-untyped-def]
    """Move nodes to the module that gains most until none gains; return whether any moved."""
    starts, near, weight = links
    part_starts, layer, strength, share = parts
    n = len(labels)
    module_strength, size = _strength_and_size(parts, n_layers, labels)
    empty = np.argsort(size > 0)  # those without members first
    n_empty = (size == 0).sum()
    empty = np.append(empty[:n_empty], np.zeros(n - n_empty, dtype=np.int64))
    queue = np.arange(n)
    shuffle(state, queue)
    waiting = np.ones(n, dtype=np.bool_)
    head, n_waiting = 0, n
    to_module = np.zeros(n)
    met = np.empty(n + 1, dtype=np.uint32)
    moved = False
    while n_waiting > 0:
        i = queue[head]
        head = head + 1 if head + 1 < n else 0
        n_waiting -= 1
        waiting[i] = False
        n_met = 0
        for k in range(starts[i], starts[i + 1]):
            c = labels[near[k]]
            met[n_met] = c
            n_met += np.int64(to_module[c] == 0.0)
            to_module[c] += weight[k]
        old = np.int64(labels[i])
        mine = slice(part_starts[i], part_starts[i + 1])
        gain = to_module[old] - _expected(module_strength[old], layer[mine], share[mine])
        gain += (share[mine] * strength[mine]).sum() + tolerance
        to_module[old] = 0.0
        new = old
        for m in range(n_met):
            c = np.int64(met[m])
            other = to_module[c] - _expected(module_strength[c], layer[mine], share[mine])
            to_module[c] = 0.0
            if other > gain:
                gain = other
                new = c
        if gain < 0.0:  # alone is better than any company
            new = empty[n_empty - 1]
        if new == old:
            continue
        moved = True
        n_empty -= np.int64(size[new] == 0)
        size[old] -= 1
        size[new] += 1
        if size[old] == 0:
            empty[n_empty] = old
            n_empty += 1
        for p in range(part_starts[i], part_starts[i + 1]):
            module_strength[old, layer[p]] -= strength[p]
            module_strength[new, layer[p]] += strength[p]
        labels[i] = new
        neighbours = near[starts[i] : starts[i + 1]]
        n_waiting = wake_neighbours(neighbours, new, labels, waiting, queue, head, n_waiting)
    return moved


@kernel
def _strength_and_size(parts, n_layers, labels):  # type: ignore[no-untyped-def]
    """Return the strength of each module in each layer, and its number of nodes."""
    starts, layer, strength, _ = parts
    module_strength = np.zeros((len(labels), n_layers))
    size = np.zeros(len(labels), dtype=np.int64)
    for i in range(len(labels)):
        size[labels[i]] += 1
        for p in range(starts[i], starts[i + 1]):
            module_strength[labels[i], layer[p]] += strength[p]
    return module_strength, size


@kernel
def _expected(module_strength, layer, share):  # type: ignore[no-untyped-def]
    """Return the weight between a node and a module that their strengths would give."""
    total = 0.0
    for p in range(len(layer)):
        total += share[p] * module_strength[layer[p]]
    return total
