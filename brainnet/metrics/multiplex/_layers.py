"""What a multiplex network must be before it is measured."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from brainnet.metrics._checks import check_adjacency, check_weights


def check_layers(
    weights: ArrayLike, *, name: str = "weights", directed: bool = False
) -> NDArray[np.float64]:
    """Return the layers of multiplex networks, (..., n_layers, n_regions, n_regions)."""
    _check_axis(weights, name)
    return check_weights(weights, name=name, directed=directed)


def check_binary_layers(
    adjacency: ArrayLike, *, name: str = "adjacency", directed: bool = False
) -> NDArray[np.float64]:
    """Return the boolean layers of multiplex networks, as 0 and 1."""
    _check_axis(adjacency, name)
    return check_adjacency(adjacency, name=name, directed=directed).astype(np.float64)


def divide(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ratio, 0 where the whole is 0."""
    result = np.zeros(np.broadcast_shapes(part.shape, whole.shape))
    return np.divide(part, whole, out=result, where=whole != 0)


def levels(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return values numbered by size along the last axis; those equal to rounding are equal."""
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    step = np.diff(ordered, axis=-1) > 1e-12 * np.abs(ordered).max(axis=-1, keepdims=True)
    number = np.zeros(values.shape, dtype=np.int64)
    np.cumsum(step, axis=-1, out=number[..., 1:])
    result = np.empty_like(number)
    np.put_along_axis(result, order, number, axis=-1)
    return result


def check_vector(given: ArrayLike, n_layers: int, name: str) -> NDArray[np.float64]:
    """Return one finite number a layer."""
    vector = np.asarray(given, dtype=np.float64)
    if vector.shape != (n_layers,) or not np.isfinite(vector).all():
        raise ValueError(
            f"{name} must be one finite number a layer, of shape ({n_layers},); got "
            f"{np.array2string(vector, threshold=8)}. Pass one for each layer, in their order."
        )
    return vector


def _check_axis(layers: ArrayLike, name: str) -> None:
    """Refuse a single network."""
    shape = np.shape(layers)
    if len(shape) < 3:
        raise ValueError(
            f"{name} must have an axis of layers before those of regions; got shape {shape}. "
            "Stack the layers first: numpy.stack(layers, axis=-3)."
        )
