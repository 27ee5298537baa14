"""Kernels of graph attention: loops over the edges of each region, eight neighbours at once."""

# mypy: disallow-untyped-calls=False, check-untyped-defs=False
# (a kernel has no types of its own: numba infers them)

import numpy as np

from brainnet._compile import fast_kernel

_LANES = 8  # neighbours are worked on in whole vectors of so many
_LEAST_POWER = -126  # of two; below it float32 loses digits


@fast_kernel
def list_neighbours(adjacency, starts, near, weights):  # type: ignore[no-untyped-def]
    """Write down the neighbours of each region, itself last, and return how many there are."""
    place = 0
    for b in range(adjacency.shape[0]):
        for i in range(adjacency.shape[1]):
            starts[b, i] = place
            total = np.float32(0)
            for j in range(adjacency.shape[2]):
                weight = adjacency[b, i, j]
                near[place], weights[place] = j, weight  # the next one takes its place if 0
                if weight != 0 and j != i:
                    total += weight
                    place += 1
            near[place] = i
            weights[place] = total / np.float32(max(place - starts[b, i], 1))
            place += 1
        starts[b, -1] = place
    return place


@fast_kernel
def listen(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    starts, near, weights, source, target, edge, attention, slope, first, last, heard, log_sum
):
    """Fill in what each region hears, and the logarithm of the sum that its softmax divides by.

    Parameters
    ----------
    starts, near, weights : arrays
        What ``list_neighbours`` wrote.
    source, target : (n_subjects, n_regions, n_heads * n_channels) arrays
    edge, attention : (n_heads * n_channels,) arrays
    slope : float32
    first, last : int
        Which subjects.
    heard : array like ``source``
    log_sum : (n_subjects, n_regions, n_heads) array
    """
    n_regions, n_out = source.shape[1:]
    n_channels = n_out // log_sum.shape[2]
    columns = np.empty((n_out, n_regions + _LANES), dtype=np.float32)
    along, shares = np.empty_like(columns[0]), np.empty_like(columns[0])
    for b in range(first, last):
        for i in range(n_regions):
            start, stop, here = starts[b, i], starts[b, i + 1], target[b, i]
            n = _gather(near, weights, start, stop, source[b], columns, along)
            for h in range(log_sum.shape[2]):
                channels = (h * n_channels, (h + 1) * n_channels)
                _score(columns, n, along, here, edge, attention, slope, channels, shares)
                highest, total = shares[0], np.float32(0)
                for k in range(n):
                    highest = max(highest, shares[k])
                _exponentiate(shares, stop - start, n, highest)
                for k in range(n):
                    total += shares[k]
                log_sum[b, i, h] = highest + np.log(total)
                for c in range(*channels):
                    value, row = np.float32(0), columns[c]
                    for k in range(n):
                        value += shares[k] * row[k]
                    heard[b, i, c] = value / total


@fast_kernel
def listen_backward(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    starts, near, weights, source, target, edge, attention, slope, first, last, heard, log_sum,
    grad, d_adjacency, d_source, d_target, d_edge, d_attention
):  # fmt: skip
    """Add to the gradients of what went into ``listen``.

    Parameters
    ----------
    starts, ..., log_sum : arrays
        As ``listen`` took them and left them.
    grad : array like ``heard``
    d_adjacency : (n_subjects, n_regions, n_regions) or (n_subjects, 0, 0) array
        The latter where it is not wanted.
    d_source, d_target : arrays like ``source``
    d_edge, d_attention : (n_subjects, n_heads * n_channels) arrays
    """
    n_regions, n_out = source.shape[1:]
    n_channels = n_out // log_sum.shape[2]
    columns = np.empty((n_out, n_regions + _LANES), dtype=np.float32)
    along, shares = np.empty_like(columns[0]), np.empty_like(columns[0])
    d_scores, d_weights = np.empty_like(columns[0]), np.empty_like(columns[0])
    for b in range(first, last):
        of_edge, of_attention = d_edge[b], d_attention[b]
        for i in range(n_regions):
            start, stop, here = starts[b, i], starts[b, i + 1], target[b, i]
            mean, back, d_here = heard[b, i], grad[b, i], d_target[b, i]
            n = _gather(near, weights, start, stop, source[b], columns, along)
            for k in range(n):
                d_weights[k] = 0
            for h in range(log_sum.shape[2]):
                channels = (h * n_channels, (h + 1) * n_channels)
                _score(columns, n, along, here, edge, attention, slope, channels, shares)
                _exponentiate(shares, stop - start, n, log_sum[b, i, h])
                _score_backward(columns, n, shares, mean, back, channels, d_scores)
                _columns_backward(
                    columns, n, along, here, edge, attention, slope, channels, shares, d_scores,
                    back, d_weights, d_here, of_edge, of_attention,
                )  # fmt: skip
            for k in range(stop - start):
                j = near[start + k]
                for c in range(n_out):
                    d_source[b, j, c] += columns[c, k]
            if d_adjacency.size:
                _weights_backward(near, start, stop, d_weights, d_adjacency[b, i])


@fast_kernel
def _gather(near, weights, start, stop, source, columns, along):  # type: ignore[no-untyped-def]
    """Lay the neighbours of one region out in columns, the last again up to whole vectors.

    Returns how many columns there are.
    """
    n_columns = (stop - start + _LANES - 1) // _LANES * _LANES
    for k in range(n_columns):
        place = min(start + k, stop - 1)
        along[k] = weights[place]
        j = near[place]
        for c in range(source.shape[1]):
            columns[c, k] = source[j, c]
    return n_columns


@fast_kernel
def _score(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    columns, n, along, here, edge, attention, slope, channels, scores
):
    """Score the neighbours of one region in one head, from its first channel to its last."""
    for k in range(n):
        scores[k] = 0
    for c in range(*channels):
        row, mine, step, weight = columns[c], here[c], edge[c], attention[c]
        for k in range(n):
            pair = row[k] + (mine + step * along[k])
            scores[k] += weight * max(pair, slope * pair)


@fast_kernel
def _exponentiate(values, n_near, n, less):  # type: ignore[no-untyped-def]
    """Raise e to ``values - less``, 0 or below, in place, to 2e-7 of the result; 0 from ``n_near``.

    The whole part of the power of two goes into the exponent's bits; a polynomial of least
    greatest relative error makes the rest.
    """
    bits = values.view(np.int32)
    for k in range(n):
        power = max((values[k] - less) * np.float32(1.4426950408889634), np.float32(_LEAST_POWER))
        whole = np.floor(power)
        part = power - whole
        found = np.float32(1.8775767e-3)
        found = found * part + np.float32(8.9893397e-3)
        found = found * part + np.float32(5.5826318e-2)
        found = found * part + np.float32(2.4015361e-1)
        found = found * part + np.float32(6.9315308e-1)
        values[k] = found * part + np.float32(9.9999994e-1)
        bits[k] += np.int32(whole) << np.int32(23)
    for k in range(n_near, n):
        values[k] = 0


@fast_kernel
def _score_backward(columns, n, shares, heard, back, channels, d_scores):  # type: ignore[no-untyped-def]
    """Write the gradients of the scores: through the shares, and through what they divide by."""
    mean = np.float32(0)
    for c in range(*channels):
        mean += back[c] * heard[c]
    for k in range(n):
        d_scores[k] = -mean
    for c in range(*channels):
        slant, row = back[c], columns[c]
        for k in range(n):
            d_scores[k] += slant * row[k]
    for k in range(n):
        d_scores[k] *= shares[k]


@fast_kernel
def _columns_backward(  # type: ignore[no-untyped-def]  # noqa: PLR0913
    columns, n, along, here, edge, attention, slope, channels, shares, d_scores,
    back, d_weights, d_target, d_edge, d_attention
):  # fmt: skip
    """Put the gradients of one head's columns in their place, and add to the other gradients."""
    for c in range(*channels):
        row, mine, step, weight, slant = columns[c], here[c], edge[c], attention[c], back[c]
        of_target, of_edge, of_attention = np.float32(0), np.float32(0), np.float32(0)
        for k in range(n):
            pair = row[k] + (mine + step * along[k])
            bent = d_scores[k] * (np.float32(1) if pair > 0 else slope)
            of_attention += bent * pair
            of_pair = bent * weight
            of_target += of_pair
            of_edge += of_pair * along[k]
            d_weights[k] += of_pair * step
            row[k] = of_pair + shares[k] * slant
        d_target[c] = of_target
        d_edge[c] += of_edge
        d_attention[c] += of_attention


@fast_kernel
def _weights_backward(near, start, stop, d_weights, d_row):  # type: ignore[no-untyped-def]
    """Write the gradients of a region's edges; its loop to itself weighs their mean."""
    n_edges = stop - start - 1
    of_loop = d_weights[n_edges] / np.float32(max(n_edges, 1))
    for k in range(n_edges):
        d_row[near[start + k]] = d_weights[k] + of_loop
