"""The rows of a sweep: labels once, values per network, a table at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainnet.metrics._subjects import WHOLE
from brainnet.metrics.measures import Measure


@dataclass(frozen=True)
class Rows:
    """The rows that each network has: labels, and where the block of a measure at a level starts.

    A block is the value of the whole network, if there is one, then one value a region.
    """

    measure: NDArray[np.int16]
    level: NDArray[np.float64]
    region: NDArray[np.int32]
    measures: list[str]
    regions: list[str]
    starts: Mapping[tuple[str, int], int]


def lay_out(chosen: Mapping[str, Measure], all_levels: Sequence[float], regions: list[str]) -> Rows:
    """Lay out the rows of one network, measure by measure and level by level."""
    measures: list[str] = []
    blocks: list[tuple[NDArray[np.int16], NDArray[np.float64], NDArray[np.int32]]] = []
    starts: dict[tuple[str, int], int] = {}
    length = 0

    def add(name: str, place: int, level: float, measure: Measure) -> None:
        nonlocal length
        size = len(regions) * measure.regional + (measure.averaged or not measure.regional)
        first = 0 if measure.averaged or not measure.regional else 1  # 0 is the whole network
        starts[name, place] = length
        length += size
        if name not in measures:
            measures.append(name)
        blocks.append(
            (
                np.full(size, measures.index(name), dtype=np.int16),
                np.full(size, level),
                np.arange(first, first + size, dtype=np.int32),
            )
        )

    add("n_regions_measured", -1, np.nan, Measure(lambda at: at.weights))
    add("mean_weight", -1, np.nan, Measure(lambda at: at.weights, regional=True, averaged=True))
    for name, measure in chosen.items():
        for place, level in enumerate(all_levels):
            add(name, place, level, measure)
        if measure.has_area and len(all_levels) > 1:
            add(f"{name}_auc", -1, np.nan, measure)
    measure_codes, levels, region_codes = (
        np.concatenate(each) for each in zip(*blocks, strict=True)
    )
    return Rows(measure_codes, levels, region_codes, measures, [WHOLE, *regions], starts)


@dataclass(frozen=True)
class Writer:
    """Puts what was measured of some networks into their rows."""

    out: NDArray[np.float64]  # (n_networks, n_columns, n_rows)
    rows: Rows
    places: NDArray[np.int_]  # of the measured regions
    n_modalities: int

    def put(
        self, key: tuple[str, int], values: NDArray[Any], measure: Measure, column: int = 0
    ) -> None:
        """Write what ``whole_and_regions`` gives of a measure."""
        start = self.rows.starts[key]
        n_whole = int(measure.averaged or not measure.regional)
        if n_whole:
            self.out[:, column, start] = values[:, 0]
        if measure.regional:
            self.out[:, column, start + n_whole + self.places] = values[:, n_whole:]


def whole_and_regions(values: NDArray[Any], measure: Measure) -> NDArray[np.float64]:
    """Return (..., n) values as they stand in a block: the whole network, if any, then regions."""
    found = np.asarray(values, dtype=np.float64)
    if not measure.regional:
        return found[..., None]
    if not measure.averaged:
        return found
    return np.concatenate([found.mean(axis=-1, keepdims=True), found], axis=-1)


def to_table(
    names: list[str],
    modalities: list[str],
    rows: Rows,
    blocks: list[NDArray[np.float64]],
    column: str,
) -> pd.DataFrame:
    """Return the long table of (n_subjects, n_modalities, n_columns, n_rows) blocks."""
    n_rows, n_columns = len(rows.measure), blocks[0].shape[2]
    values = np.empty((n_columns, len(names) * len(modalities), n_rows))
    done = 0
    for i, block in enumerate(blocks):
        flat = block.reshape(-1, n_columns, n_rows)
        values[:, done : done + len(flat)] = np.moveaxis(flat, 1, 0)
        done += len(flat)
        blocks[i] = np.empty(0)  # the table is the largest thing in memory: not twice

    def labelled(codes: NDArray[np.integer], categories: list[str]) -> Any:
        return pd.Categorical.from_codes(codes, categories=pd.Index(categories))

    network = np.arange(done, dtype=np.int32)
    columns: dict[str, Any] = {
        "subject": labelled(np.repeat(network // len(modalities), n_rows), names),
        "modality": labelled(np.repeat(network % len(modalities), n_rows), modalities),
        "measure": labelled(np.tile(rows.measure, done), rows.measures),
        column: np.tile(rows.level, done),
        "region": labelled(np.tile(rows.region, done), rows.regions),
    }
    for name, each in zip(("value", "null_mean", "null_std"), values, strict=False):
        columns[name] = each.reshape(-1)
    return pd.DataFrame(columns, copy=False)
