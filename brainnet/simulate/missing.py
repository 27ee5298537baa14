"""What a simulated cohort lacks: whole modalities of subjects, and regions without signal."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainnet.simulate.options import Missing

__all__ = ["lose_signal", "missing_modalities"]

Floats = NDArray[np.float64]

_SIGNAL_LOSS: Final = ("frontalpole", "temporalpole", "orbitofrontal", "Cerebellum", "entorhinal")


def missing_modalities(
    people: pd.DataFrame,
    modalities: Sequence[str],
    missing: Missing,
    order: Sequence[str],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Return which modalities each visit lacks: the shares asked for, and never all of one.

    Parameters
    ----------
    people : DataFrame
        One row a visit, columns ``stage`` and ``site``.
    modalities : sequence of str
    missing : Missing
    order : sequence of str
        Stages from first to last.
    rng : Generator

    Returns
    -------
    (n_rows, n_modalities) array of bool

    Raises
    ------
    ValueError
        If a share is given for a modality that is not there, or the shares leave too few
        modalities for every subject to have one.
    """
    shares = _shares(missing.share, modalities)
    absent = np.zeros((len(people), len(modalities)), dtype=bool)
    for rows, factor in _groups(people, missing.by, order):
        absent[rows] = _absent(len(rows), factor * shares, rng)
    return absent


def lose_signal(
    edges: Floats,
    coverage: Floats,
    names: Sequence[str],
    share: float,
    rng: np.random.Generator,
) -> None:
    """Leave regions at the edge of the field of view unmeasured in a share of the runs.

    Parameters
    ----------
    edges : (n_rows, n_regions, n_regions) array
        Functional; NaN is written into it.
    coverage : (n_rows, n_regions) array
        Below 0.5 is written into it.
    names : sequence of str
        Of the regions.
    share : float
        Of the rows.
    rng : Generator
    """
    likely = [row for row, name in enumerate(names) if any(each in name for each in _SIGNAL_LOSS)]
    pool = likely or list(range(len(names)))
    for row in np.flatnonzero(rng.random(len(edges)) < share):
        lost = rng.choice(pool, size=min(int(rng.integers(1, 4)), len(pool)), replace=False)
        coverage[row, lost] = rng.uniform(0.0, 0.45, len(lost))
        edges[row, lost, :] = np.nan
        edges[row, :, lost] = np.nan


def _groups(
    people: pd.DataFrame, by: str | None, order: Sequence[str]
) -> list[tuple[NDArray[np.int64], float]]:
    """Rows of each stage or site with their factor on the share, from 0 to 2."""
    everybody = np.arange(len(people))
    if by is None:
        return [(everybody, 1.0)]
    column = people[by].to_numpy()
    there = sorted(set(column.tolist()))
    if by == "stage":
        there = [name for name in order if name in there]
    factors = np.linspace(0.0, 2.0, len(there)) if len(there) > 1 else np.ones(1)
    return [
        (everybody[column == name], float(factor))
        for name, factor in zip(there, factors, strict=True)
    ]


def _shares(share: float | Mapping[str, float], modalities: Sequence[str]) -> Floats:
    """Share of each modality, in order."""
    if not isinstance(share, Mapping):
        return np.full(len(modalities), float(share))
    unknown = [name for name in share if name not in modalities]
    if unknown:
        raise ValueError(
            f"share must name modalities of {', '.join(modalities)}; got {', '.join(unknown)}."
        )
    return np.array([float(share.get(name, 0.0)) for name in modalities])


def _absent(n_rows: int, shares: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(n_rows, n_modalities): the number asked for of each, mended where a row would lack all."""
    counts = np.rint(shares * n_rows).astype(int)
    if (shares > 1.0).any() or counts.sum() > n_rows * (len(shares) - 1):
        raise ValueError(
            f"share must leave every subject a modality; got shares of {shares.round(2).tolist()} "
            "in one group. Lower share, or give by=None."
        )
    absent = np.zeros((n_rows, len(shares)), dtype=bool)
    for column, count in enumerate(counts):
        absent[rng.permutation(n_rows)[:count], column] = True
    for row in np.flatnonzero(absent.all(axis=1)):
        for column in rng.permutation(len(shares)):
            taker = np.flatnonzero(~absent[:, column] & ((~absent).sum(axis=1) > 1))
            if taker.size:
                absent[row, column], absent[rng.choice(taker), column] = False, True
                break
    return absent
