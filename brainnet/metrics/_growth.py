"""The kernel of networks that grow edge by edge."""

import numpy as np

from brainnet.metrics._compile import kernel
from brainnet.metrics._random import random_unit

RULES = (
    "spatial",
    "neighbours",
    "matching",
    "clustering_average",
    "clustering_minimum",
    "clustering_maximum",
    "clustering_difference",
    "clustering_product",
    "degree_average",
    "degree_minimum",
    "degree_maximum",
    "degree_difference",
    "degree_product",
)
"""What makes two regions alike: nothing, their neighbours, or two numbers of theirs, combined."""

SPATIAL, NEIGHBOURS, MATCHING, FIRST_OF_CLUSTERING, FIRST_OF_DEGREE = 0, 1, 2, 3, 8
EPSILON = 1e-6


@kernel
def grow_edges(initial, exponents, state, distances, n_edges, rule, out):  # type: ignore[no-untyped-def]
    """Write a network grown from the initial one."""
    n = len(initial)
    eta, gamma = exponents
    near = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                near[i, j] = distances[i, j] ** eta
    now = (np.zeros(n), np.zeros(n), np.zeros((n, n)))  # degrees, triangles, common neighbours
    count = _connect_all(initial, out, now)
    chance, sums = np.zeros((n, n)), np.empty(n)
    for i in range(n):
        _update_chances(out, now, near, gamma, rule, chance, i)
    for _ in range(n_edges - count):
        i, j = _draw_pair(chance, sums, state)
        if i < 0:
            return
        _connect(out, now, i, j)
        _update_chances(out, now, near, gamma, rule, chance, i)
        _update_chances(out, now, near, gamma, rule, chance, j)
        if FIRST_OF_CLUSTERING <= rule < FIRST_OF_DEGREE:
            for h in range(n):
                if out[i, h] and out[j, h]:
                    _update_chances(out, now, near, gamma, rule, chance, h)


@kernel
def _connect_all(initial, network, now):  # type: ignore[no-untyped-def]
    """Add the initial edges; return how many there are."""
    count = 0
    for i in range(len(initial)):
        for j in range(i + 1, len(initial)):
            if initial[i, j]:
                _connect(network, now, i, j)
                count += 1
    return count


@kernel
def _connect(network, now, i, j):  # type: ignore[no-untyped-def]
    """Add an edge, and count anew degrees, triangles around regions and common neighbours."""
    degree, triangles, common = now
    triangles[i] += common[i, j]
    triangles[j] += common[i, j]
    for h in range(len(network)):
        if network[i, h] and network[j, h]:
            triangles[h] += 1
        if network[j, h]:
            common[i, h] += 1
            common[h, i] += 1
        if network[i, h]:
            common[j, h] += 1
            common[h, j] += 1
    network[i, j] = network[j, i] = True
    degree[i] += 1
    degree[j] += 1


@kernel
def _update_chances(network, now, near, gamma, rule, chance, i):  # type: ignore[no-untyped-def]
    """Take the chances of all pairs with region i anew."""
    for j in range(len(network)):
        if i != j and not network[i, j]:
            p = near[i, j]
            if rule != SPATIAL:
                p *= (_likeness(now, rule, i, j) + EPSILON) ** gamma
            chance[i, j] = chance[j, i] = p
        else:
            chance[i, j] = chance[j, i] = 0.0


@kernel
def _likeness(now, rule, i, j):  # type: ignore[no-untyped-def]
    """Return how alike two regions without an edge between them are."""
    degree, triangles, common = now
    if rule == NEIGHBOURS:
        return common[i, j]
    if rule == MATCHING:
        either = degree[i] + degree[j]
        return 2 * common[i, j] / either if either > 0 else 0.0
    if rule >= FIRST_OF_DEGREE:
        return _combined(degree[i], degree[j], rule - FIRST_OF_DEGREE)
    x = 2 * triangles[i] / (degree[i] * (degree[i] - 1)) if degree[i] > 1 else 0.0
    y = 2 * triangles[j] / (degree[j] * (degree[j] - 1)) if degree[j] > 1 else 0.0
    return _combined(x, y, rule - FIRST_OF_CLUSTERING)


@kernel
def _combined(x, y, how):  # type: ignore[no-untyped-def]
    """Return the average, minimum, maximum, absolute difference or product."""
    if how == 0:
        return (x + y) / 2
    if how == 1:
        return min(x, y)
    if how == 2:
        return max(x, y)
    return abs(x - y) if how == 3 else x * y


@kernel
def _draw_pair(chance, sums, state):  # type: ignore[no-untyped-def]
    """Return a pair drawn by its chance, or -1 where chances are 0 or not finite."""
    total = 0.0
    for i in range(len(chance)):
        sums[i] = _sum(chance[i])
        total += sums[i]
    if not 0 < total < np.inf:
        return -1, -1
    at = random_unit(state) * total
    first, at = _place(sums, at)
    last, _ = _place(chance[first], at)
    return first, last


@kernel
def _sum(row):  # type: ignore[no-untyped-def]
    """Return the sum of a row, four entries at a time."""
    n = len(row)
    a = b = c = d = 0.0
    for j in range(0, n - 3, 4):
        a += row[j]
        b += row[j + 1]
        c += row[j + 2]
        d += row[j + 3]
    for j in range(n - n % 4, n):
        a += row[j]
    return a + b + c + d


@kernel
def _place(parts, at):  # type: ignore[no-untyped-def]
    """Return which part a point falls into, and how far; beyond all by rounding, the last."""
    last = -1
    for i in range(len(parts)):
        if parts[i] > 0:
            last = i
            if at < parts[i]:
                break
            at -= parts[i]
    return last, at
