"""A network drawn on the outline of the brain, as PNG bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from brainnet.report._canvas import (
    MUTED,
    PALETTE,
    new_figure,
    plural,
    standard_brain,
    styled,
    to_png,
)
from brainnet.report.figures_network import check_weights

__all__ = ["brain_network"]

_EDGE, _NEGATIVE = "#55606b", "#2b6cb0"

_VIEWS = ((1, 2, "left side", -1), (0, 1, "from above", 0), (0, 2, "from behind", 0),
          (1, 2, "right side", 1))  # fmt: skip


def _strongest(values: NDArray[np.float64], density: float) -> list[tuple[int, int, float]]:
    """Return the strongest edges (row, column, weight) of the measured pairs, weakest first."""
    rows, columns = np.triu_indices(values.shape[0], k=1)
    weights = values[rows, columns]
    finite = np.isfinite(weights) & (weights != 0)
    rows, columns, weights = rows[finite], columns[finite], weights[finite]
    measured = np.isfinite(values).any(axis=1).sum()
    count = min(max(1, round(density * measured * (measured - 1) / 2)), weights.size)
    order = np.argsort(-np.abs(weights), kind="stable")[:count][::-1]
    return [(int(rows[k]), int(columns[k]), float(weights[k])) for k in order]


@styled
def brain_network(
    weights: pd.DataFrame,
    coords: ArrayLike,
    *,
    density: float = 0.05,
    groups: Sequence[str] | None = None,
    title: str = "",
) -> bytes:
    """Draw the strongest edges on the outline of the brain, from four sides.

    Parameters
    ----------
    weights : (n_regions, n_regions) DataFrame
        Rows and columns named alike; NaN where not measured.
    coords : (n_regions, 3) array
        Centroids in mm, MNI space (RAS). NaN leaves the region out.
    density : float
        Share of the pairs of measured regions whose edges are drawn, by absolute weight.
    groups : sequence of str, optional
        Hemisphere or network of each region: colours the nodes.
    title : str
        Written at the top left.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide. Node area grows with strength (sum of absolute weights over the
        edges drawn), line width with absolute weight; negative edges are blue. Side views show
        the edges within and to their own hemisphere.

    Raises
    ------
    ValueError
        If shapes disagree or ``density`` is not in (0, 1].

    Examples
    --------
    >>> frame = pd.DataFrame([[0.0, 1.0], [1.0, 0.0]], index=list("ab"), columns=list("ab"))
    >>> brain_network(frame, [[-30, 0, 0], [30, 0, 0]], density=1.0)[1:4]
    b'PNG'
    """
    values = check_weights(weights)
    places = np.asarray(coords, dtype=np.float64)
    if places.shape != (values.shape[0], 3):
        raise ValueError(f"coords must be ({values.shape[0]}, 3) in mm; got {places.shape}.")
    if groups is not None and len(groups) != values.shape[0]:
        raise ValueError(f"groups must name each of the {values.shape[0]} regions.")
    if not 0 < density <= 1:
        raise ValueError(f"density must be in (0, 1]; got {density}.")
    edges = [e for e in _strongest(values, density) if np.isfinite(places[[e[0], e[1]]]).all()]
    strength = np.zeros(values.shape[0])
    for i, j, weight in edges:
        strength[[i, j]] += abs(weight)
    fig = new_figure(10.4, 3.35)
    for axis, view in zip(_view_axes(fig), _VIEWS, strict=True):
        _draw_view(axis, view, (places, edges, strength), _node_colors(groups, len(strength)))
    fig.text(0.012, 0.955, title, weight="bold", fontsize=11, va="center")
    _network_legend(fig, groups, edges, density)
    return to_png(fig)


def _view_axes(fig: Any) -> list[Any]:
    """Return four axes whose millimetres are equally long."""
    extents = [(190, 160), (160, 190), (160, 160), (190, 160)]
    inches = 10.2 / sum(width for width, _ in extents)
    left, axes = 0.1, []
    for width, height in extents:
        size = (width * inches / 10.4, height * inches / 3.35)
        ax = fig.add_axes((left / 10.4, 0.47 - size[1] / 2, *size))
        left += width * inches
        ax.set_axis_off()
        axes.append(ax)
    return axes


def _node_colors(groups: Sequence[str] | None, size: int) -> list[str]:
    """Return one colour a region, by group."""
    if groups is None:
        return [PALETTE[0]] * size
    rank = {name: k for k, name in enumerate(dict.fromkeys(groups))}
    return [PALETTE[rank[name] % len(PALETTE)] for name in groups]


def _draw_view(
    ax: Any,
    view: tuple[int, int, str, int],
    network: tuple[NDArray[np.float64], list[tuple[int, int, float]], NDArray[np.float64]],
    colors: Sequence[str],
) -> None:
    """Draw outline, edges and nodes seen along one axis; side views show one hemisphere."""
    from matplotlib.collections import LineCollection

    across, up, name, side = view
    places, edges, strength = network
    flip = -1.0 if side == -1 else 1.0
    _draw_outline(ax, across, up, flip)
    seen = np.isfinite(places).all(axis=1) & ((side == 0) | (places[:, 0] * side >= -3.0))
    shown = [(i, j, w) for i, j, w in edges if seen[i] and seen[j]]
    flat = np.column_stack([flip * places[:, across], places[:, up]])
    top = max((abs(w) for _, _, w in edges), default=1.0)
    share = np.array([abs(w) / top for _, _, w in shown], dtype=np.float64)
    crowd = float(np.clip(120.0 / max(len(edges), 1), 0.35, 1.0))
    if shown:
        lines = LineCollection(
            [flat[[i, j]] for i, j, _ in shown],
            colors=[_EDGE if w > 0 else _NEGATIVE for _, _, w in shown],
            alpha=0.25 + 0.5 * crowd * share,
            linewidths=(0.4 + 1.8 * share) * (0.5 + 0.5 * crowd),
        )
        ax.add_collection(lines)
    used = np.flatnonzero(seen)
    area = 4 + 70 * strength[used] / max(float(strength.max()), 1e-12)
    ax.scatter(
        flat[used, 0], flat[used, 1], s=area, c=[colors[k] for k in used], edgecolors="white",
        linewidths=0.5, zorder=3,
    )  # fmt: skip
    ax.set_title(name, fontsize=8.5, color=MUTED, weight="normal", loc="center", pad=1)


def _draw_outline(ax: Any, across: int, up: int, flip: float) -> None:
    """Draw the silhouette of the standard brain and fix the limits of the view."""
    from scipy.ndimage import gaussian_filter

    mask, affine = standard_brain()
    normal = ({0, 1, 2} - {across, up}).pop()
    shadow = mask.sum(axis=normal).astype(np.float64)
    shadow = gaussian_filter(np.minimum(shadow, 4.0), 1.0)
    shadow = shadow.T if across < up else shadow
    x = flip * (affine[across, 3] + affine[across, across] * np.arange(mask.shape[across]))
    y = affine[up, 3] + affine[up, up] * np.arange(mask.shape[up])
    ax.contourf(x, y, shadow, levels=[1.5, np.inf], colors=["#f1f3f5"])
    ax.contour(x, y, shadow, levels=[1.5], colors=["#aab4bd"], linewidths=1.0)
    centre = {0: 0.0, 1: -18.0, 2: 4.0}
    half = {0: 80.0, 1: 95.0, 2: 80.0}
    ax.set_xlim(flip * centre[across] - half[across], flip * centre[across] + half[across])
    ax.set_ylim(centre[up] - half[up], centre[up] + half[up])
    if across == 0:
        ax.text(-76, centre[up], "L", color=MUTED, fontsize=8, va="center")
        ax.text(76, centre[up], "R", color=MUTED, fontsize=8, va="center", ha="right")


def _network_legend(
    fig: Any, groups: Sequence[str] | None, edges: Sequence[Any], density: float
) -> None:
    """Write what is drawn, and the colour of each group."""
    x = 0.988
    entries = [(f"strongest {100 * density:.2g} %: {plural(len(edges), 'edge')}", MUTED)]
    if any(weight < 0 for _, _, weight in edges):
        entries.append(("\u2014 negative", _NEGATIVE))
    if groups is not None:
        rank = {name: k for k, name in enumerate(dict.fromkeys(groups))}
        entries = [(f"\u25cf {n}", PALETTE[k % len(PALETTE)]) for n, k in rank.items()] + entries
    for text, color in reversed(entries):
        shown = fig.text(x, 0.035, text, color=color, fontsize=8, ha="right", va="center")
        x -= shown.get_window_extent().width / (10.4 * fig.dpi) + 0.012
