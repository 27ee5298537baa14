"""What a model goes by, drawn on the brain beside the plain group difference; as PNG bytes."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from brainnet.explain.explanation import HARDLY, Explanation
from brainnet.explain.sanity import Sanity
from brainnet.report._canvas import (
    INK,
    MODALITY_COLORS,
    MUTED,
    NOT_MEASURED,
    PALETTE,
    RULE,
    new_figure,
    styled,
    to_png,
)
from brainnet.report.figures_brain import _draw_outline

__all__ = ["attribution_brain", "trust_plot"]

Floats = NDArray[np.float64]

_VIEWS = ((1, 2, -1), (0, 1, 0), (1, 2, 1))  # left side, from above, right side
_NAMES = ("left side", "above, left is left", "right side")
_EXTENT = ((190, 160), (160, 190), (190, 160))  # mm
_WIDTH, _ROW, _HEAD, _FOOT = 10.4, 1.28, 0.66, 0.52  # inches
_LEFT, _RIGHT = 0.58, 5.52  # inches, of the two blocks
_SCALE = 0.0058  # inches a mm
_LONGEST = 26  # letters of a region's name


@styled
def attribution_brain(
    explanation: Explanation, *, method: str | None = None, n_named: int = 5, title: str = ""
) -> bytes:
    """Draw each modality's map on the brain, beside the group difference of the same subjects.

    Parameters
    ----------
    explanation : Explanation
        With centroids of its regions.
    method : str, optional
        The first one by default.
    n_named : int
        Regions that are named in each map, the largest by absolute value.
    title : str
        Written at the top left.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide, a row a modality. The area of a region's disc grows with the
        absolute value, relative to the largest of its map. Discs are full where the region speaks
        for the more severe stage (the groups: where that stage is lower, as in most disease), and
        hollow for the reverse. Where the modality hardly counts the map is faded, and the row says
        so. The group difference is Welch's t of the regional value, or of the mean edge where
        there is none.

    Raises
    ------
    ValueError
        No centroid is known, or the method is not there.
    """
    own = explanation._of(method)
    places = np.stack([np.asarray(own[axis].values, dtype=np.float64) for axis in "xyz"], axis=1)
    if not np.isfinite(places).all(axis=1).any():
        raise ValueError(
            "explanation must have centroids of its regions; got none. Explain Subjects that were "
            "gathered with an atlas, not a bare array."
        )
    modalities = [str(each) for each in own["modality"].values]
    shares = explanation.modality_shares(method)
    fig = new_figure(_WIDTH, _HEAD + _FOOT + _ROW * len(modalities))
    _write_head(fig, own, title)
    for row, modality in enumerate(modalities):
        here = own.sel(modality=modality)
        map_ = np.asarray(here["attribution"].values, dtype=np.float64)
        used = float(shares[modality])
        unused = used < HARDLY and own["method"].item() != "gnn_explainer"
        note = f"{used:.0%} of the answer" + (": hardly used" if unused else "")
        bottom = _FOOT + _ROW * (len(modalities) - 1 - row)
        _write_row(fig, bottom, modality, note)
        names = [_short(str(each)) for each in own["region"].values]
        color = MUTED if unused else MODALITY_COLORS.get(modality, PALETTE[0])
        drawn = _Map(places, map_, names, color, n_named, "")
        _block(fig, bottom, _LEFT, drawn)
        difference, measure = _difference(here)
        if difference is not None:
            color = MODALITY_COLORS.get(modality, PALETTE[0])
            drawn = _Map(places, -difference, names, color, n_named, f"t of the {measure}")
            _block(fig, bottom, _RIGHT, drawn)
    _write_foot(fig, own)
    return to_png(fig)


def _inch(fig: Any, inches: float) -> float:
    """Return a height in inches as a share of the figure."""
    return inches / float(fig.get_size_inches()[1])


def _difference(here: xr.Dataset) -> tuple[Floats | None, str]:
    """Return the group difference that suits the modality: of the values where there are some."""
    if "group_t" not in here:
        return None, ""
    for measure, name in (("values", "regional value"), ("mean_edge", "mean edge")):
        found = np.asarray(here["group_t"].sel(group_measure=measure).values, dtype=np.float64)
        if np.isfinite(found).any():
            return found, name
    return None, ""


def _write_head(fig: Any, own: xr.Dataset, title: str) -> None:
    top = float(fig.get_size_inches()[1])
    fig.text(0.012, _inch(fig, top - 0.17), title, weight="bold", fontsize=11, va="center")
    heads = [(_LEFT, "What the model goes by")]
    if "group_t" in own:
        heads.append((_RIGHT, "How the groups differ"))
    for left, text in heads:
        fig.text(left / _WIDTH, _inch(fig, top - 0.5), text, weight="bold", fontsize=9.5,
                 va="center")  # fmt: skip


def _write_row(fig: Any, bottom: float, modality: str, note: str) -> None:
    color = MODALITY_COLORS.get(modality, INK)
    middle = _inch(fig, bottom + _ROW / 2)
    fig.text(0.16 / _WIDTH, middle, modality, rotation=90, va="center", ha="center", fontsize=9,
             weight="bold", color=color)  # fmt: skip
    fig.text(0.36 / _WIDTH, middle, note, rotation=90, va="center", ha="center", fontsize=7.5,
             color=MUTED)  # fmt: skip


class _Map(NamedTuple):
    """Values of regions, where they are and how they are drawn."""

    places: Floats
    values: Floats
    names: list[str]
    color: str
    n_named: int
    what: str

    @property
    def named(self) -> NDArray[np.intp]:
        """The regions that are named, largest first."""
        size = np.abs(np.nan_to_num(self.values))
        order = np.argsort(-size, kind="stable")[: self.n_named]
        return order[size[order] > 0]


def _block(fig: Any, bottom: float, left: float, drawn: _Map) -> None:
    """Draw one map from three sides with the names of its largest regions beside it."""
    start = left
    for view, extent, side in zip(_VIEWS, _EXTENT, _NAMES, strict=True):
        width, height = (each * _SCALE for each in extent)
        box = (start / _WIDTH, _inch(fig, bottom + (_ROW - height) / 2), width / _WIDTH,
               _inch(fig, height))  # fmt: skip
        ax = fig.add_axes(box)
        ax.set_axis_off()
        _draw_map(ax, view, drawn)
        if bottom == _FOOT:
            fig.text((start + width / 2) / _WIDTH, _inch(fig, bottom - 0.08), side, fontsize=7,
                     color=MUTED, ha="center", va="center")  # fmt: skip
        start += width
    lines = [f"{number}  {drawn.names[each]}" for number, each in enumerate(drawn.named, start=1)]
    x, y = (start + 0.06) / _WIDTH, bottom + _ROW / 2 + 0.1 * (len(lines) - 1)
    for line, text in enumerate(lines):
        fig.text(x, _inch(fig, y - 0.2 * line), text, fontsize=7.5, color=drawn.color, va="center")
    fig.text(x, _inch(fig, y + 0.22), drawn.what, fontsize=7, color=MUTED, va="center")


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _draw_map(ax: Any, view: tuple[int, int, int], drawn: _Map) -> None:
    """Draw outline and regions seen along one axis; side views show one hemisphere."""
    from matplotlib.patheffects import withStroke

    across, up, side = view
    flip = -1.0 if side == -1 else 1.0
    _draw_outline(ax, across, up, flip)
    for text in ax.texts:
        text.remove()  # L and R would lie on the views beside
    places, values = drawn.places, drawn.values
    seen = np.isfinite(places).all(axis=1) & ((side == 0) | (places[:, 0] * side >= -3.0))
    flat = np.column_stack([flip * places[:, across], places[:, up]])
    unknown = seen & ~np.isfinite(values)
    ax.scatter(flat[unknown, 0], flat[unknown, 1], s=6, c=NOT_MEASURED, edgecolors=RULE)
    shown = np.flatnonzero(seen & np.isfinite(values))
    shown = shown[np.argsort(-np.abs(values[shown]), kind="stable")]
    top = max(float(np.nanmax(np.abs(values), initial=0.0)), 1e-12)
    full = values[shown] > 0
    for some, face, edge in ((full, drawn.color, "white"), (~full, "white", drawn.color)):
        which = shown[some]
        ax.scatter(
            flat[which, 0], flat[which, 1], s=1.5 + 105 * np.abs(values[which]) / top, c=face,
            alpha=0.75, edgecolors=edge, linewidths=0.6, zorder=3,
        )  # fmt: skip
    for number, region in enumerate(drawn.named, start=1):
        if seen[region]:
            ax.text(*flat[region], str(number), fontsize=7, weight="bold", ha="center",
                    va="center", zorder=4, color=INK,
                    path_effects=[withStroke(linewidth=2.0, foreground="white")])  # fmt: skip


def _write_foot(fig: Any, own: xr.Dataset) -> None:
    """Say what size and filling mean."""
    target, summary = own.attrs["target"], own.attrs["summary"]
    towards, lower = "raises the target", "lower"
    if own["method"].item() == "gnn_explainer":
        said = "Model: what it needs to keep its answers."
    elif summary == "contrast" and "/" in target:
        high, low = target.split("/")
        said = f"Model: what sets {high} apart from {low} in its answer."
        towards, lower = f"model: for {high}", f"lower in {high}"
    else:
        said = f"Model: {summary} over subjects, target {target}."
    text = (
        f"{said}  Disc area: absolute value, relative to the largest of the map.  "
        f"● {towards}; groups: {lower}   ○ the reverse"
    )
    fig.text(0.012, _inch(fig, 0.16), text, fontsize=8, color=MUTED, va="center")


@styled
def trust_plot(
    explanation: Explanation, sanity: Sanity | None = None, *, method: str | None = None
) -> bytes:
    """Draw whether runs agree on a map, and whether it falls apart in spoiled models.

    Parameters
    ----------
    explanation : Explanation
        Of two runs or more.
    sanity : Sanity, optional
    method : str, optional
        The first one by default.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide. Left: mean rank correlation of the maps of all runs by modality,
        with the range that chance gives in grey. Right: rank correlation of the model's map with
        those of other trainings and of spoiled models. Below, the verdicts in words.

    Raises
    ------
    ValueError
        There is one run only, or the method is not there.
    """
    own = explanation._of(method)
    if "agreement" not in own:
        raise ValueError("explanation must be of two runs or more; got one. Use fit_folds.")
    sentences = explanation.words(method) + ([sanity.verdict] if sanity is not None else [])
    lines = [line for each in sentences for line in textwrap.wrap(each, 140)]
    height = 2.25 + 0.2 * len(lines)
    fig = new_figure(_WIDTH, height)
    box = (0.105, (height - 1.7) / height, 0.33, 1.35 / height)
    _draw_agreement(fig.add_axes(box), own)
    if sanity is not None:
        box = (0.64, (height - 1.7) / height, 0.33, 1.35 / height)
        _draw_sanity(fig.add_axes(box), sanity)
    for number, line in enumerate(lines):
        fig.text(0.012, (0.2 * (len(lines) - number) - 0.06) / height, line, fontsize=8.5,
                 va="center")  # fmt: skip
    return to_png(fig)


def _draw_agreement(ax: Any, own: xr.Dataset) -> None:
    modalities = [str(each) for each in own["modality"].values]
    table = own["agreement"].sel(over="all")
    for row, modality in enumerate(modalities):
        here = table.sel(modality=modality)
        chance = float(here.sel(statistic="rank_correlation_chance"))
        found = float(here.sel(statistic="rank_correlation"))
        ax.barh(row, 2 * chance, left=-chance, height=0.5, color=NOT_MEASURED)
        color = MODALITY_COLORS.get(modality, PALETTE[0])
        ax.scatter(found, row, s=40, color=color, zorder=3)
        ax.annotate(f"{found:.2f}", (found, row), (0, 7), textcoords="offset points", fontsize=7.5,
                    ha="center", color=color)  # fmt: skip
    ax.set_title("Do the runs agree?")
    _finish(ax, modalities, f"rank correlation of {own.attrs['n_runs']} runs (grey: chance)")


def _draw_sanity(ax: Any, sanity: Sanity) -> None:
    table = sanity.table
    rows = [("another training", table[table["test"] == "seed"])]
    rows += [("permuted stages", table[table["test"] == "labels"])]
    weights = table[table["test"] == "weights"].reset_index(drop=True)
    for number, (_, step) in enumerate(weights.iterrows(), start=1):
        part = "all" if number == len(weights) else f"{number}/{len(weights)}"
        rows.append((f"permuted weights, {part}", step.to_frame().T))
    for row, (_, some) in enumerate(rows):
        values = some["similarity"].astype(float).to_numpy()
        ax.scatter(values, np.full(len(values), row), s=28, zorder=3,
                   color=PALETTE[3] if row == 0 else PALETTE[4])  # fmt: skip
    ax.set_title("Does a spoiled model give another map?")
    _finish(ax, [name for name, _ in rows], "rank correlation with the model's map")


def _finish(ax: Any, names: list[str], label: str) -> None:
    ax.axvline(0, color=RULE, linewidth=1, zorder=0)
    ax.set_xlim(-0.5, 1.05)
    ax.set_ylim(len(names) - 0.4, -0.7)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(label, fontsize=8)
