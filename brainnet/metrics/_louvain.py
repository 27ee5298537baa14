"""Louvain's search for modules, on lists of neighbours and on matrices of gains.

Blondel et al. (2008), J Stat Mech P10008. Nodes wait in a queue and come back to it when a
neighbour has moved: Traag et al. (2019), Sci Rep 9:5233.
"""

import numpy as np

from brainnet.metrics._checks import number_modules
from brainnet.metrics._compile import kernel
from brainnet.metrics._random import random_below, random_unit, shuffle

GAIN_TOLERANCE = 1e-10
"""Smallest gain of modularity that moves a region or prefers a partition."""


@kernel
def best_of_runs(weights, start, resolution, n_runs, seed, out):  # type: ignore[no-untyped-def]
    """Write the best partition of one undirected network of n_runs, each from ``start``."""
    n = len(weights)
    starts, near, weight = list_neighbours(weights)
    strength = np.zeros(n)
    for i in range(n):
        for k in range(starts[i], starts[i + 1]):
            strength[i] += weight[k]
    total = strength.sum()
    out[:] = start
    if total == 0:
        return
    state = np.array([seed], dtype=np.uint64)
    best = -np.inf
    for _ in range(n_runs):
        labels = start.astype(np.uint32)
        _run(starts, near, weight, strength, resolution / total, labels, state)
        quality = _quality(starts, near, weight, strength, resolution / total, labels) / total
        if quality > best + GAIN_TOLERANCE:
            best = quality
            out[:] = labels
    out[:] = number_modules(out)


@kernel
def list_neighbours(weights):  # type: ignore[no-untyped-def]
    """Return where each node's list starts, the neighbours, and the weights of the edges."""
    n = len(weights)
    starts = np.zeros(n + 1, dtype=np.uint32)
    n_edges = 0
    for i in range(n):
        row = weights[i]
        count = 0
        for j in range(n):
            count += np.int64(row[j] != 0)
        n_edges += count
        starts[i + 1] = n_edges
    near = np.empty(n_edges + 1, dtype=np.uint32)
    weight = np.empty(n_edges + 1)
    k = 0
    for i in range(n):
        row = weights[i]
        for j in range(n):
            near[k] = j
            weight[k] = row[j]
            k += np.int64(row[j] != 0)
    return starts, near, weight


@kernel
def _run(starts, near, weight, strength, scale, labels, state):  # type: ignore[no-untyped-def]
    """Improve labels until no move of a node and no merging of modules gains."""
    first = True
    while _move_nodes(starts, near, weight, strength, scale, labels, state) or first:
        first = False
        level = starts, near, weight, strength
        group = labels
        while True:
            n_groups = number_in_place(group)
            if group is not labels:
                for i in range(len(labels)):
                    labels[i] = group[labels[i]]
            level = merge_nodes(level[0], level[1], level[2], level[3], group, n_groups)
            group = np.arange(n_groups).astype(np.uint32)
            if not _move_nodes(level[0], level[1], level[2], level[3], scale, group, state):
                break


@kernel
def _move_nodes(starts, near, weight, strength, scale, labels, state):  # type: ignore[no-untyped-def]
    """Move nodes to the module that gains most until none gains; return whether any moved."""
    n = len(strength)
    tolerance = GAIN_TOLERANCE / scale
    module_strength = np.zeros(n)
    size = np.zeros(n, dtype=np.uint32)
    for i in range(n):
        module_strength[labels[i]] += strength[i]
        size[labels[i]] += 1
    empty = np.empty(n, dtype=np.uint32)
    n_empty = 0
    for c in range(n):
        empty[n_empty] = c
        n_empty += np.int64(size[c] == 0)
    queue = np.arange(n).astype(np.uint32)
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
        old = labels[i]
        factor = scale * strength[i]
        gain = to_module[old] - factor * (module_strength[old] - strength[i]) + tolerance
        to_module[old] = 0.0
        new = old
        for m in range(n_met):
            c = met[m]
            other = to_module[c] - factor * module_strength[c]
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
        empty[n_empty] = old
        n_empty += np.int64(size[old] == 0)
        module_strength[old] -= strength[i]
        module_strength[new] += strength[i]
        labels[i] = new
        neighbours = near[starts[i] : starts[i + 1]]
        n_waiting = wake_neighbours(neighbours, new, labels, waiting, queue, head, n_waiting)
    return moved


@kernel
def wake_neighbours(  # type: ignore[no-untyped-def]
    neighbours, module, labels, waiting, queue, head, n_waiting
):
    """Queue the neighbours in other modules that do not wait yet; return how many nodes wait."""
    n = len(queue)
    for j in neighbours:
        if labels[j] != module and not waiting[j]:
            waiting[j] = True
            tail = head + n_waiting
            queue[tail if tail < n else tail - n] = j
            n_waiting += 1
    return n_waiting


@kernel
def number_in_place(labels):  # type: ignore[no-untyped-def]
    """Number labels below the length from 0 by first appearance, in place; return how many."""
    rank = np.full(len(labels), len(labels), dtype=np.uint32)
    n_groups = 0
    for i in range(len(labels)):
        if rank[labels[i]] == len(labels):
            rank[labels[i]] = n_groups
            n_groups += 1
        labels[i] = rank[labels[i]]
    return n_groups


@kernel
def merge_nodes(starts, near, weight, strength, labels, n_groups):  # type: ignore[no-untyped-def]
    """Return the network of modules, without the edges inside them, as lists of neighbours."""
    n = len(strength)
    first = np.zeros(n_groups + 2, dtype=np.uint32)
    merged_strength = np.zeros(n_groups)
    for i in range(n):
        first[labels[i] + 2] += 1
        merged_strength[labels[i]] += strength[i]
    for c in range(n_groups):
        first[c + 2] += first[c + 1]
    member = np.empty(n, dtype=np.uint32)
    for i in range(n):
        member[first[labels[i] + 1]] = i
        first[labels[i] + 1] += 1
    merged_starts = np.zeros(n_groups + 1, dtype=np.uint32)
    merged_near = np.empty(len(near), dtype=np.uint32)
    merged_weight = np.empty(len(near))
    to_module = np.zeros(n_groups)
    met = np.empty(n_groups + 1, dtype=np.uint32)
    n_edges = 0
    for c in range(n_groups):
        n_met = 0
        for m in range(first[c], first[c + 1]):
            i = member[m]
            for k in range(starts[i], starts[i + 1]):
                d = labels[near[k]]
                met[n_met] = d
                n_met += np.int64(to_module[d] == 0.0)
                to_module[d] += weight[k]
        for m in range(n_met):
            d = met[m]
            merged_near[n_edges] = d
            merged_weight[n_edges] = to_module[d]
            to_module[d] = 0.0
            n_edges += np.int64(d != c)
        merged_starts[c + 1] = n_edges
    return merged_starts, merged_near, merged_weight, merged_strength


@kernel
def _quality(starts, near, weight, strength, scale, labels):  # type: ignore[no-untyped-def]
    """Return the modularity times the total weight."""
    n = len(strength)
    module_strength = np.zeros(n)
    inside = 0.0
    for i in range(n):
        module_strength[labels[i]] += strength[i]
        for k in range(starts[i], starts[i + 1]):
            inside += weight[k] * np.float64(labels[near[k]] == labels[i])
    return inside - scale * (module_strength**2).sum()


@kernel
def best_in_matrix(gains, start, n_runs, merging, seed, out):  # type: ignore[no-untyped-def]
    """Write the partition with the highest sum of a symmetric matrix within modules.

    Of n_runs, each from ``start``. Without merging, only single nodes move.
    """
    tolerance = GAIN_TOLERANCE * np.abs(gains).sum()
    state = np.array([seed], dtype=np.uint64)
    best = -np.inf
    for _ in range(n_runs):
        labels = start.astype(np.uint32)
        first = True
        while _move_in_matrix(gains, labels, tolerance, state) or (merging and first):
            first = False
            if not merging:
                break
            _merge_in_matrix(gains, labels, tolerance, state)
        quality = 0.0
        for i in range(len(gains)):
            for j in range(len(gains)):
                quality += gains[i, j] * np.float64(labels[i] == labels[j])
        if quality > best + tolerance:
            best = quality
            out[:] = labels
    out[:] = number_modules(out)


@kernel
def _merge_in_matrix(gains, labels, tolerance, state):  # type: ignore[no-untyped-def]
    """Merge modules, level by level, until no merging gains."""
    group = labels
    while True:
        n_groups = number_in_place(group)
        if group is not labels:
            for i in range(len(labels)):
                labels[i] = group[labels[i]]
        rows = np.zeros((n_groups, len(gains)))
        _sum_rows(gains, group, rows)
        columns = np.zeros((n_groups, n_groups))
        _sum_rows(np.ascontiguousarray(rows.T), group, columns)
        gains = columns
        group = np.arange(n_groups).astype(np.uint32)
        if not _move_in_matrix(gains, group, tolerance, state):
            break


@kernel
def _sum_rows(matrix, labels, sums):  # type: ignore[no-untyped-def]
    """Add each row of a matrix to the row of its module."""
    for i in range(len(matrix)):
        row = matrix[i]
        target = sums[labels[i]]
        for j in range(len(row)):
            target[j] += row[j]


@kernel
def _move_in_matrix(gains, labels, tolerance, state):  # type: ignore[no-untyped-def]
    """Move nodes to the module that gains most until none gains; return whether any moved."""
    n = len(gains)
    to_module = np.zeros((n, n))
    _sum_rows(gains, labels, to_module)
    size = np.zeros(n, dtype=np.int64)
    for i in range(n):
        size[labels[i]] += 1
    used = np.argsort(size == 0)  # modules with members first; order within does not matter
    n_used = (size > 0).sum()
    order = np.arange(n)
    shuffle(state, order)
    place, n_idle = 0, 0
    moved = False
    while n_idle < n:
        i = order[place]
        place = place + 1 if place + 1 < n else 0
        n_idle += 1
        old = np.int64(labels[i])
        gain = to_module[old, i] - gains[i, i] + tolerance
        new = old
        for m in range(n_used):
            c = used[m]
            if to_module[c, i] > gain and c != old:
                gain = to_module[c, i]
                new = c
        if gain < 0.0:  # alone is better than any company
            new = used[n_used]
            n_used += 1
        if new == old:
            continue
        moved = True
        n_idle = 0
        labels[i] = new
        size[old] -= 1
        size[new] += 1
        row, left, joined = gains[i], to_module[old], to_module[new]
        for j in range(n):
            left[j] -= row[j]
            joined[j] += row[j]
        if size[old] == 0:
            left[:] = 0.0
            n_used = _drop(used, n_used, old)
    return moved


@kernel
def _drop(used, n_used, module):  # type: ignore[no-untyped-def]
    """Put a module behind those with members; return how many these are."""
    for m in range(n_used):
        if used[m] == module:
            used[m] = used[n_used - 1]
            used[n_used - 1] = module
            break
    return n_used - 1


@kernel
def tune_at_random(gains, start, probability, seed, out):  # type: ignore[no-untyped-def]
    """Move each node once: with a probability to any module, else to the one that gains most."""
    n = len(gains)
    tolerance = GAIN_TOLERANCE * np.abs(gains).sum()
    state = np.array([seed], dtype=np.uint64)
    n_modules = start.max() + 1
    to_module = np.zeros((n_modules, n))
    _sum_rows(gains, start, to_module)
    out[:] = start
    order = np.arange(n)
    shuffle(state, order)
    for i in order:
        old = out[i]
        to_module[old, i] += tolerance - gains[i, i]
        new = to_module[:, i].argmax()
        to_module[old, i] -= tolerance - gains[i, i]
        if random_unit(state) < probability:
            new = random_below(state, n_modules)
        out[i] = new
        to_module[old] -= gains[i]
        to_module[new] += gains[i]
    out[:] = number_modules(out)
