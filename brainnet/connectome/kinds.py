"""The kinds of edges that a network of one person can have, each in one row.

The signal of a modality decides which of them it can have: time series are correlated, voxel
samples are compared as distributions.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from brainnet.connectome import correlation, partial, similarity

Signal = Literal["timeseries", "samples"]
SIGNALS: tuple[Signal, ...] = ("timeseries", "samples")
"""Signals that one person's network can be made from."""


@dataclass(frozen=True)
class Kind:
    """Describe one kind of edges.

    Attributes
    ----------
    name : str
        As ``--connectome`` takes it.
    signal : {"timeseries", "samples"}
        What of each region it is made from.
    stat : str
        The entity ``stat`` of its files.
    words : str
        What an edge is, in words.
    method : str
        Its name for ``report.methods``.
    measure : callable
        From ``(n_timepoints, n_regions)`` time series, or n_regions samples, to
        ``(n_regions, n_regions)`` edges.
    """

    name: str
    signal: Signal
    stat: str
    words: str
    method: str
    measure: Callable[[Any], NDArray[np.float64]]


_ROWS = (
    Kind(
        "pearson",
        "timeseries",
        "pearsoncorrelation",
        "Pearson correlation of cleaned regional time series",
        "pearson",
        correlation.pearson,
    ),
    Kind(
        "spearman",
        "timeseries",
        "spearmancorrelation",
        "Spearman rank correlation of cleaned regional time series",
        "spearman",
        correlation.spearman,
    ),
    Kind(
        "partial",
        "timeseries",
        "partialcorrelation",
        "partial correlation of cleaned regional time series (Ledoit-Wolf shrinkage)",
        "partial",
        partial.partial,
    ),
    Kind(
        "js",
        "samples",
        "jssimilarity",
        "1 - Jensen-Shannon distance",
        "js_similarity",
        similarity.js_similarity,
    ),
    Kind(
        "kl",
        "samples",
        "klsimilarity",
        "exp(-symmetric Kullback-Leibler divergence)",
        "kl_similarity",
        similarity.kl_similarity,
    ),
)

KINDS: Mapping[str, Kind] = MappingProxyType({row.name: row for row in _ROWS})
"""Every kind by its name; the first of each signal is what a network has unless others are asked
for."""

_REFUSED = {
    "tangent": "it needs a reference of a group, which learns from everybody, test subjects too: "
    "fit it within the folds of a cross-validation",
    "covariance": "it is in the scanner's arbitrary units, which differ from run to run",
    "precision": "it is in the scanner's arbitrary units, which differ from run to run; "
    "partial is the same without them",
}


def kinds_of(signal: str, names: Iterable[str] = ()) -> tuple[Kind, ...]:
    """Return the kinds that are asked for of one signal, or its first.

    Parameters
    ----------
    signal : {"timeseries", "samples"}
        What the modality has of each region.
    names : iterable of str
        Names in ``KINDS``; those of another signal are passed over.

    Returns
    -------
    tuple of Kind
        In the order asked for, each once.

    Raises
    ------
    ValueError
        If a name is unknown or cannot be had of one person.

    Examples
    --------
    >>> [kind.stat for kind in kinds_of("timeseries", ["kl", "partial", "pearson"])]
    ['partialcorrelation', 'pearsoncorrelation']
    >>> [kind.stat for kind in kinds_of("samples")]
    ['jssimilarity']
    """
    asked = [KINDS[name] for name in check_kinds(names)]
    chosen = tuple(kind for kind in asked if kind.signal == signal)
    return chosen or tuple(kind for kind in _ROWS if kind.signal == signal)[:1]


def first_kinds(names: Iterable[str] = ()) -> dict[Signal, Kind]:
    """Return the first kind of each signal, which is the one that is shown and learned from.

    Examples
    --------
    >>> {signal: kind.name for signal, kind in first_kinds(["kl", "js"]).items()}
    {'timeseries': 'pearson', 'samples': 'kl'}
    """
    asked = check_kinds(names)
    return {signal: kinds_of(signal, asked)[0] for signal in SIGNALS}


def check_kinds(names: Iterable[str]) -> list[str]:
    """Return names of kinds, each once, or say which is none.

    Raises
    ------
    ValueError
        If a name is unknown (the message tells the closest) or cannot be had of one person
        (the message tells why).

    Examples
    --------
    >>> check_kinds(["js", "pearson", "js"])
    ['js', 'pearson']
    """
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name in _REFUSED:
            raise ValueError(f"connectome (--connectome) cannot be {name}: {_REFUSED[name]}.")
        if name not in KINDS:
            close = difflib.get_close_matches(str(name), KINDS, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            known = ", ".join(KINDS)
            raise ValueError(f"connectome (--connectome) must be of {known}; got {name!r}.{hint}")
    return list(dict.fromkeys(names))
