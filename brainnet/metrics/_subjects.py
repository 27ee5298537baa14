"""Many networks in, in whatever form they come: checked, with labels, a few at a time."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from brainnet._network import check_weights, measured_regions
from brainnet.metrics.unmeasured import drop_everywhere

WHOLE = "global"
"""What stands for a region where a measure is of the whole network."""

UNMEASURED = ("fail", "leave_out", "drop")
"""What may be done about unmeasured regions."""

FEWEST = 3
"""Fewest measured regions of a network that is measured."""

CHUNK_BYTES = 32_000_000
"""Networks that are measured together."""

Networks = xr.DataArray | ArrayLike | Iterable[tuple[str, ArrayLike]]


@dataclass(frozen=True)
class Subjects:
    """Where the networks come from, and the labels that all of them share."""

    stream: Iterator[tuple[str, NDArray[np.float64]]]
    modalities: list[str]
    regions: list[str]
    total: int | None


def open_subjects(networks: Networks, regions: Sequence[str] | None, unmeasured: str) -> Subjects:
    """Return the stream of subjects; the first of an iterable is looked at for the labels."""
    if unmeasured not in UNMEASURED:
        raise ValueError(f"unmeasured must be one of {', '.join(UNMEASURED)}; got {unmeasured!r}.")
    pairs: Iterator[tuple[str, Any]]
    if isinstance(networks, np.ndarray | list | xr.DataArray) and not _is_pairs(networks):
        array = networks if isinstance(networks, xr.DataArray) else np.asarray(networks, float)
        names = _coordinate(networks, "region") or regions
        if unmeasured == "drop":
            array, names = _drop(array, names)
        labels = _coordinate(networks, "subject") or [str(i) for i in range(len(array))]
        total: int | None = len(labels)
        pairs = ((label, array[i]) for i, label in enumerate(labels))
    else:
        if unmeasured == "drop":
            raise ValueError(
                "unmeasured='drop' needs all networks at once; got an iterable. Pass an array, "
                "or use 'leave_out'."
            )
        total = len(networks) if isinstance(networks, Sized) else None
        pairs = _pairs(cast("Iterable[Any]", networks))
        names = regions
    label, first = next(pairs, ("", np.empty((0, 0))))
    shape = np.shape(first)
    if len(shape) not in (2, 3) or shape[-1] != shape[-2] or 0 in shape:
        raise ValueError(
            "networks must be (n_subjects, n_regions, n_regions) or (n_subjects, n_modalities, "
            f"n_regions, n_regions); got {shape} for the first subject. Pass weights[None] for "
            "one network."
        )
    modalities = _coordinate(networks, "modality") or _coordinate(first, "modality")
    modalities = modalities or [str(i) for i in range(shape[0] if len(shape) == 3 else 1)]
    names = _check_names(names or _coordinate(first, "region"), shape[-1])
    expected = (len(modalities), len(names), len(names))
    stream = (
        (str(each), _checked(array, str(each), expected, unmeasured))
        for each, array in chain([(label, first)], pairs)
    )
    return Subjects(stream, modalities, names, total)


def _pairs(networks: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield a name and networks, each name once."""
    seen: set[str] = set()
    for each in networks.items() if isinstance(networks, Mapping) else networks:
        if not (isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], str)):
            raise ValueError(
                "networks as an iterable must give pairs of a subject's name and its networks; got "
                f"{type(each).__name__}. Pass np.stack(list(networks)) if all fit into memory."
            )
        if each[0] in seen:
            raise ValueError(f"networks must name each subject once; got {each[0]!r} again.")
        seen.add(each[0])
        yield each


def _is_pairs(networks: Any) -> bool:
    """Return whether these are pairs of a name and networks."""
    return isinstance(networks, list) and bool(networks) and isinstance(networks[0], tuple)


def _coordinate(array: Any, name: str) -> list[str]:
    """Return the labels along an axis of a DataArray, none for anything else."""
    if isinstance(array, xr.DataArray) and name in array.coords and array[name].ndim == 1:
        return [str(each) for each in array[name].values]
    return []


def _drop(array: Any, names: Sequence[str] | None) -> tuple[NDArray[np.float64], list[str]]:
    """Return the networks of the regions that all of them measured, and these regions' names."""
    every = names if names is not None else [str(i) for i in range(np.shape(array)[-1])]
    weights, kept = drop_everywhere(np.asarray(array, dtype=np.float64))
    return weights, [str(name) for name, keep in zip(every, kept, strict=True) if keep]


def _check_names(names: Sequence[str] | None, n_regions: int) -> list[str]:
    """Return the regions' names, or refuse those that do not tell the regions apart."""
    found = [str(i) for i in range(n_regions)] if not names else [str(name) for name in names]
    if len(found) != n_regions or len({WHOLE, *found}) != n_regions + 1:
        raise ValueError(
            f"regions must be {n_regions} different names, none of them '{WHOLE}'; got "
            f"{len(found)} names, {len(set(found))} different. Pass the atlas's names in its order."
        )
    return found


def _checked(
    networks: Any, subject: str, expected: tuple[int, int, int], unmeasured: str
) -> NDArray[np.float64]:
    """Return one subject's networks as (n_modalities, n_regions, n_regions)."""
    array = np.asarray(networks, dtype=np.float64)
    array = array[None] if array.ndim == 2 else array
    if array.shape != expected:
        raise ValueError(
            f"networks must have the same modalities and regions {expected} for every subject; "
            f"subject {subject} has {array.shape}. Fill what a subject lacks with NaN."
        )
    try:
        checked = check_weights(
            array, name="networks", signed=True, nan_regions=unmeasured == "leave_out"
        )
    except ValueError as error:
        raise ValueError(f"Subject {subject}: {error}") from error
    short = measured_regions(checked).sum(axis=-1) < FEWEST
    if short.any():
        warnings.warn(
            f"Subject {subject} has {int(short.sum())} networks with fewer than {FEWEST} measured "
            "regions: their measures are NaN.",
            UserWarning,
            stacklevel=4,
        )
    return checked


def chunks(subjects: Subjects) -> Iterator[tuple[list[str], NDArray[np.float64]]]:
    """Yield the names and networks of a few subjects at a time."""
    names: list[str] = []
    arrays: list[NDArray[np.float64]] = []
    for name, array in subjects.stream:
        names.append(name)
        arrays.append(array)
        if len(arrays) * array.nbytes >= CHUNK_BYTES:
            yield names, np.array(arrays)
            names, arrays = [], []
    if arrays:
        yield names, np.array(arrays)
