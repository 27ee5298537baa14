"""Networks as matrices and as curves of their measures, as PNG bytes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainnet.report._canvas import (
    INK,
    MODALITY_COLORS,
    NOT_MEASURED,
    PALETTE,
    new_figure,
    plural,
    styled,
    to_png,
)

__all__ = ["check_weights", "color_limits", "draw_matrix", "matrix_plot", "measures_plot"]

_NAMED_LIMIT = 130


def check_weights(weights: pd.DataFrame) -> NDArray[np.float64]:
    """Return the values of a square labelled matrix, or say what is wrong with it."""
    values = weights.to_numpy(dtype=np.float64, copy=True)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.shape[0] == 0:
        raise ValueError(
            f"weights must be square with one row and column a region; got {values.shape}."
        )
    if [str(n) for n in weights.index] != [str(n) for n in weights.columns]:
        raise ValueError(
            "weights must name its rows and columns alike, in one order; they differ. "
            "Use io.load_matrix to read a relmat table."
        )
    return values


def color_limits(values: NDArray[np.float64]) -> tuple[str, float, float]:
    """Return colour map and limits: diverging for signed edges, else light to dark."""
    n_regions = values.shape[0]
    off = values[~np.eye(n_regions, dtype=bool)]
    off = off[np.isfinite(off)]
    if off.size == 0:
        return "YlGnBu", 0.0, 1.0
    high = float(np.percentile(np.abs(off), 99)) or 1.0
    if off.min() < -0.02 * high:
        return "RdBu_r", -high, high
    low = float(max(0.0, np.percentile(off, 1)))
    return "YlGnBu", (low if low > 0.3 * high else 0.0), high


def _hatch(ax: Any, rows: NDArray[np.intp], size: int) -> None:
    """Hatch whole rows and columns of regions that were not measured."""
    from matplotlib.patches import Rectangle

    edges = np.flatnonzero(np.diff(np.concatenate([[-2], rows, [size + 5]])) > 1)
    for first, last in pairwise(edges):
        start, stop = int(rows[first]), int(rows[last - 1]) + 1
        for corner, width, height in (
            ((-0.5, start - 0.5), size, stop - start),
            ((start - 0.5, -0.5), stop - start, size),
        ):
            ax.add_patch(
                Rectangle(corner, width, height, facecolor=NOT_MEASURED, hatch="////",
                          edgecolor="#a3acb5", linewidth=0)
            )  # fmt: skip


def _group_runs(groups: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return (name, first, past the last) of each run of equal neighbours."""
    runs: list[tuple[str, int, int]] = []
    for place, name in enumerate(groups):
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1], place + 1)
        else:
            runs.append((name, place, place + 1))
    return runs


def draw_matrix(
    ax: Any, values: NDArray[np.float64], limits: tuple[str, float, float]
) -> tuple[Any, int]:
    """Draw one matrix with hatched missing regions; return the picture and their number."""
    shown = values.copy()
    np.fill_diagonal(shown, np.nan)
    cmap, low, high = limits
    size = values.shape[0]
    off = shown[~np.eye(size, dtype=bool)].reshape(size, -1) if size > 1 else shown
    missing = np.flatnonzero(~np.isfinite(off).any(axis=1))
    ax.set_facecolor(NOT_MEASURED)
    picture = ax.imshow(shown, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
    if missing.size:
        _hatch(ax, missing, size)
    ax.set_xlim(-0.5, size - 0.5)
    ax.set_ylim(size - 0.5, -0.5)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return picture, int(missing.size)


@styled
def matrix_plot(
    weights: pd.DataFrame,
    *,
    groups: Sequence[str] | None = None,
    title: str = "",
    label: str = "weight",
    limits: tuple[float, float] | None = None,
) -> bytes:
    """Draw a network as a matrix, with lines between groups and missing regions hatched.

    Parameters
    ----------
    weights : (n_regions, n_regions) DataFrame
        Rows and columns named alike; any sign; NaN where not measured. The diagonal is not
        shown.
    groups : sequence of str, optional
        Hemisphere or network of each region. Regions are brought together by group, in order
        of first appearance and keeping the atlas's order within; a line parts the groups.
    title : str
        Written at the top left.
    label : str
        Quantity and unit of the colour bar.
    limits : pair of float, optional
        Colour limits; by default the 99th percentile of the absolute weights, symmetric about
        0 where there are negative ones.

    Returns
    -------
    bytes
        PNG. Up to 130 regions every row bears its name; above, only the groups do. A region
        without any finite weight is hatched grey through row and column, and counted.

    Raises
    ------
    ValueError
        If ``weights`` is not square and labelled alike, or ``groups`` has another length.

    Examples
    --------
    >>> frame = pd.DataFrame(np.eye(3), index=list("abc"), columns=list("abc"))
    >>> matrix_plot(frame)[1:4]
    b'PNG'
    """
    values = check_weights(weights)
    size = values.shape[0]
    names = [str(name) for name in weights.index]
    if groups is not None and len(groups) != size:
        raise ValueError(f"groups must name each of the {size} regions; got {len(groups)} names.")
    if groups is not None:
        rank = {name: place for place, name in enumerate(dict.fromkeys(groups))}
        order = np.argsort([rank[name] for name in groups], kind="stable")
        values, names = values[np.ix_(order, order)], [names[k] for k in order]
        groups = [groups[k] for k in order]
    named = size <= _NAMED_LIMIT
    fig, ax, font = _matrix_axes(names if named else [], groups)
    cmap, low, high = color_limits(values)
    low, high = limits if limits is not None else (low, high)
    picture, n_missing = draw_matrix(ax, values, (cmap, low, high))
    if named:
        ax.set_yticks(range(size), names, fontsize=font)
        side = ax.get_position().width * fig.get_size_inches()[0]
        ax.tick_params(length=0, pad=2 + (1.1 * side if groups is not None else 0.0))
    if groups is not None:
        _draw_groups(ax, groups, named=named)
    _matrix_legend(fig, picture, (title, label), n_missing, ax.get_position().x1)
    return to_png(fig)


def _matrix_axes(names: Sequence[str], groups: Sequence[str] | None) -> tuple[Any, Any, float]:
    """Return figure, square axes and the font size at which all names fit beside them."""
    pitch = max(7.3 / max(len(names), 1), 0.085) if names else 0.0
    side = max(7.3, pitch * len(names))
    font = float(np.clip(60.0 * pitch, 4.0, 9.0))
    widest = max((len(name) for name in names), default=0) * 0.62 * font / 72
    if groups is not None and not names:
        widest = max(len(name) for name in groups) * 0.092
    left = 0.45 + widest
    head = 0.45 if groups is None else 0.75 + 0.35 * _any_turned(groups)
    width, height = left + side + 1.45, side + head + 0.2
    fig = new_figure(width, height)
    ax = fig.add_axes((left / width, 0.2 / height, side / width, side / height))
    return fig, ax, font


def _fits(name: str, share: float) -> bool:
    """Return whether a group's name fits above its columns."""
    return share > 0.0145 * len(name)


def _any_turned(groups: Sequence[str]) -> bool:
    """Return whether some group's name must be turned."""
    return any(not _fits(n, (past - at) / len(groups)) for n, at, past in _group_runs(groups))


def _draw_groups(ax: Any, groups: Sequence[str], *, named: bool) -> None:
    """Draw lines between groups, and a strip with their names above and at the left."""
    from matplotlib.patches import Rectangle

    size = len(groups)
    for number, (name, first, past) in enumerate(_group_runs(groups)):
        color = PALETTE[number % len(PALETTE)]
        if past < size:
            ax.axhline(past - 0.5, color=INK, linewidth=0.8)
            ax.axvline(past - 0.5, color=INK, linewidth=0.8)
        top, side = ax.get_xaxis_transform(), ax.get_yaxis_transform()
        span = past - first
        ax.add_patch(Rectangle((first - 0.5, 1.006), span, 0.009, transform=top, fc=color,
                               clip_on=False))  # fmt: skip
        ax.add_patch(Rectangle((-0.015, first - 0.5), 0.009, span, transform=side, fc=color,
                               clip_on=False))  # fmt: skip
        middle = (first + past) / 2 - 0.5
        wide = _fits(name, span / size)
        turn: dict[str, Any] = {} if wide else {"rotation": 30, "rotation_mode": "anchor"}
        ax.text(
            middle, 1.022, name, transform=top, color=color, fontsize=8.5, weight="bold",
            ha="center" if wide else "left", va="bottom", **turn,
        )  # fmt: skip
        if not named:
            ax.text(-0.022, middle, name, transform=side, color=color, fontsize=8.5,
                    weight="bold", ha="right", va="center")  # fmt: skip


def _matrix_legend(
    fig: Any, picture: Any, texts: tuple[str, str], n_missing: int, left: float
) -> None:
    """Draw title, colour bar and, where needed, the key of the hatching."""
    from matplotlib.patches import Rectangle

    width, height = fig.get_size_inches()
    left += 0.25 / width
    bar = fig.colorbar(picture, cax=fig.add_axes((left, 3.0 / height, 0.17 / width, 2.6 / height)))
    bar.outline.set_visible(False)
    bar.ax.set_title(texts[1], fontsize=9, loc="left", pad=8, weight="normal")
    fig.text(0.12 / width, 1 - 0.12 / height, texts[0], weight="bold", fontsize=11, va="top")
    if n_missing:
        y = 2.0 / height
        fig.patches.append(
            Rectangle((left, y), 0.22 / width, 0.2 / height, transform=fig.transFigure,
                      facecolor=NOT_MEASURED, hatch="////", edgecolor="#a3acb5", linewidth=0)
        )  # fmt: skip
        fig.text(left, y - 0.06 / height, f"{plural(n_missing, 'region')}\nnot measured",
                 fontsize=8, va="top")  # fmt: skip


@styled
def measures_plot(
    table: pd.DataFrame, *, measures: Sequence[str] | None = None, title: str = ""
) -> bytes:
    """Draw global network measures against density, one small panel a measure.

    Parameters
    ----------
    table : DataFrame
        Long table with columns ``measure``, ``density``, ``region``, ``value`` and, if there
        is more than one network, ``modality``. Only rows with region ``global`` are drawn; a
        measure without density (NaN) becomes a dashed level.
    measures : sequence of str, optional
        Which ones, in this order; those that the table lacks are left out. By default all
        that were taken at some density, but for ``density`` itself.
    title : str
        Written at the top left.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide; one colour a modality, the same in every figure.

    Raises
    ------
    ValueError
        If a column is missing or there is no global row.

    Examples
    --------
    >>> row = {"measure": "efficiency", "density": 0.1, "region": "global", "value": 0.5}
    >>> measures_plot(pd.DataFrame([row]))[1:4]
    b'PNG'
    """
    from textwrap import fill

    needed = {"measure", "density", "region", "value"}
    if not needed <= set(table.columns):
        raise ValueError(f"table must have columns {sorted(needed)}; got {list(table.columns)}.")
    rows = table[table["region"] == "global"]
    if rows.empty:
        raise ValueError("table must hold rows whose region is 'global'; got none.")
    swept = rows.loc[rows["density"].notna() & (rows["measure"] != "density"), "measure"]
    present = list(dict.fromkeys(rows["measure"]))
    measures = [m for m in measures if m in present] if measures else list(dict.fromkeys(swept))
    measures = measures or present
    modality = rows["modality"] if "modality" in rows else pd.Series("network", index=rows.index)
    kinds = list(dict.fromkeys(modality))
    n_columns = 4 if len(measures) % 4 in (0, 3) else 3
    n_rows = -(-len(measures) // n_columns)
    height = 0.95 + 2.15 * n_rows
    fig = new_figure(10.4, height)
    grid = fig.subplots(n_rows, n_columns, squeeze=False)
    for ax, measure in zip(grid.flat, measures, strict=False):
        for number, kind in enumerate(kinds):
            part = rows[(rows["measure"] == measure) & (modality == kind)]
            color = MODALITY_COLORS.get(str(kind), PALETTE[(number + 3) % len(PALETTE)])
            _draw_measure(ax, part, color, str(kind))
        ax.set_title(fill(str(measure).replace("_", " ").capitalize(), 26), fontsize=9)
    for ax in grid.flat[len(measures) :]:
        ax.set_axis_off()
    _finish_measures(fig, grid, (title, height), len(measures))
    return to_png(fig)


def _draw_measure(ax: Any, part: pd.DataFrame, color: str, label: str) -> None:
    """Draw one measure of one network."""
    swept = part[part["density"].notna()].sort_values("density", kind="stable")
    if len(swept):
        ax.plot(100 * swept["density"], swept["value"], color=color, marker="o", markersize=3.5,
                linewidth=1.4, label=label)  # fmt: skip
    for value in part.loc[part["density"].isna(), "value"]:
        ax.axhline(value, color=color, linestyle="--", linewidth=1.2, label=label)
    ax.grid(axis="y")
    ax.margins(y=0.15)


def _finish_measures(fig: Any, grid: Any, texts: tuple[str, float], count: int) -> None:
    """Write title, axis labels and one legend for all panels."""
    title, height = texts
    handles: dict[str, Any] = {}
    for number, ax in enumerate(grid.flat[:count]):
        if number + grid.shape[1] >= count:
            ax.set_xlabel("density (%)")
        found, names = ax.get_legend_handles_labels()
        handles.update(zip(names, found, strict=True))
    fig.subplots_adjust(left=0.06, right=0.985, top=1 - 0.78 / height, bottom=0.5 / height,
                        hspace=0.62, wspace=0.32)  # fmt: skip
    fig.text(0.012, 1 - 0.2 / height, title, weight="bold", fontsize=11, va="center")
    if handles:
        fig.legend(handles.values(), handles.keys(), loc="upper right", ncols=len(handles),
                   bbox_to_anchor=(0.99, 1.0))  # fmt: skip
