"""Figures of a cohort: scores with intervals, confusion, ROC curves, mean networks by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainnet.report._canvas import INK, MUTED, PALETTE, RULE, new_figure, styled, to_png
from brainnet.report.figures_network import check_weights, color_limits, draw_matrix

__all__ = ["confusion_plot", "roc_plot", "score_plot", "stage_matrices"]


def require(frame: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """Raise unless the frame has rows and those columns."""
    missing = [column for column in columns if column not in frame]
    if missing or frame.empty:
        raise ValueError(
            f"{name} must have rows and the columns {list(columns)}; got {len(frame)} rows of "
            f"{list(frame.columns)}. Pass the frame of evaluate.Evaluation."
        )


@styled
def score_plot(
    table: pd.DataFrame,
    *,
    metric: str = "balanced_accuracy",
    chance: float | None = None,
    title: str = "",
) -> bytes:
    """Draw one score of each estimator with its interval, beside chance.

    Parameters
    ----------
    table : DataFrame
        ``Evaluation.table``: ``estimator``, ``metric``, ``estimate``, ``low``, ``high`` (95 %
        interval). Estimators are drawn from the best to the worst.
    metric : str
        Which rows to draw.
    chance : float, optional
        Score of guessing, drawn as a dashed line: 1/number of stages for balanced accuracy, 0.5
        for an AUC. An interval that reaches it is drawn open.
    title : str
        Written at the top left.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide.

    Raises
    ------
    ValueError
        If a column is missing or no row has that metric.

    Examples
    --------
    >>> row = {"estimator": "linear", "metric": "auc", "estimate": 0.7, "low": 0.6, "high": 0.8}
    >>> score_plot(pd.DataFrame([row]), metric="auc", chance=0.5)[1:4]
    b'PNG'
    """
    require(table, ["estimator", "metric", "estimate", "low", "high"], "table")
    rows = table[table["metric"] == metric].sort_values("estimate", kind="stable")
    if rows.empty:
        raise ValueError(f"table must hold the metric {metric!r}; got {set(table['metric'])}.")
    height = 1.05 + 0.42 * len(rows)
    fig = new_figure(10.4, height)
    widest = max(len(str(name)) for name in rows["estimator"])
    left = min(0.4, 0.03 + 0.0085 * widest)
    ax = fig.add_axes((left, 0.52 / height, 0.80 - left, (height - 0.95) / height))
    for place, row in enumerate(rows.to_dict("records")):
        _draw_score(ax, place, row, chance)
    if chance is not None:
        ax.axvline(chance, color=MUTED, linestyle="--", linewidth=1)
        ax.text(chance, len(rows) - 0.45, f"chance {chance:.2f}", color=MUTED, fontsize=8,
                ha="center", va="bottom")  # fmt: skip
    ax.set_yticks(range(len(rows)), [str(name) for name in rows["estimator"]], fontsize=9.5)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")
    ax.set_axisbelow(True)
    ax.set_xlabel(metric.replace("_", " "))
    fig.text(0.012, 1 - 0.17 / height, title, weight="bold", fontsize=11, va="center")
    return to_png(fig)


def _draw_score(ax: Any, place: int, row: Mapping[Any, Any], chance: float | None) -> None:
    """Draw one estimate with its interval and numbers."""
    estimate, low, high = (float(row[key]) for key in ("estimate", "low", "high"))
    beats = chance is None or low > chance or high < chance
    ax.plot([low, high], [place, place], color=PALETTE[0], linewidth=2.2, solid_capstyle="butt")
    ax.plot(estimate, place, marker="o", markersize=7.5, color=PALETTE[0],
            markerfacecolor=PALETTE[0] if beats else "white", markeredgewidth=1.6)  # fmt: skip
    ax.text(1.02, place, f"{estimate:.2f}  ({low:.2f} to {high:.2f})", fontsize=9, va="center",
            transform=ax.get_yaxis_transform())  # fmt: skip


def _stages_of(predictions: pd.DataFrame, stages: Sequence[str] | None) -> list[str]:
    """Return the given order of stages, or that of first appearance among the truths."""
    return list(stages) if stages is not None else list(dict.fromkeys(predictions["truth"]))


@styled
def confusion_plot(
    predictions: pd.DataFrame, *, stages: Sequence[str] | None = None, title: str = ""
) -> bytes:
    """Draw one confusion matrix an estimator: rows true stage, columns predicted.

    Parameters
    ----------
    predictions : DataFrame
        ``Evaluation.predictions``: ``estimator``, ``truth``, ``predicted``; out-of-fold.
    stages : sequence of str, optional
        The classes in order; by default in order of appearance.
    title : str
        Written at the top left.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide. Cells show the count and are shaded by the share of the row;
        with repeats a subject counts once a repeat.

    Raises
    ------
    ValueError
        If a column is missing or there are no rows.

    Examples
    --------
    >>> rows = [{"estimator": "linear", "truth": "AD", "predicted": "AD"}]
    >>> confusion_plot(pd.DataFrame(rows))[1:4]
    b'PNG'
    """
    require(predictions, ["estimator", "truth", "predicted"], "predictions")
    order = _stages_of(predictions, stages)
    names = list(dict.fromkeys(predictions["estimator"]))
    n_columns = max(3, min(len(names), 4))
    n_rows = -(-len(names) // n_columns)
    side = 9.0 / n_columns - 0.45
    height = 0.2 + n_rows * (side + 1.0)
    fig = new_figure(10.4, height)
    for number, name in enumerate(names):
        part = predictions[predictions["estimator"] == name]
        counts = pd.crosstab(part["truth"], part["predicted"])
        counts = counts.reindex(index=order, columns=order, fill_value=0)
        left = 0.85 + (number % n_columns) * (9.45 / n_columns)
        bottom = height - 0.65 - side - (number // n_columns) * (side + 1.0)
        ax = fig.add_axes((left / 10.4, bottom / height, side / 10.4, side / height))
        _draw_confusion(ax, counts.to_numpy(), order, str(name), labelled=number % n_columns == 0)
    fig.text(0.012, 1 - 0.18 / height, title, weight="bold", fontsize=11, va="center")
    return to_png(fig)


def _draw_confusion(
    ax: Any, counts: NDArray[Any], order: Sequence[str], name: str, *, labelled: bool
) -> None:
    """Draw one confusion matrix with its counts."""
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    share = counts / total
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        ax.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=9,
                color="white" if share[row, column] > 0.55 else INK)  # fmt: skip
    ax.set_xticks(range(len(order)), order)
    ax.set_yticks(range(len(order)), order)
    ax.tick_params(length=0, labelcolor=INK)
    ax.spines[:].set_visible(False)
    ax.set_title(name)
    ax.set_xlabel("predicted")
    if labelled:
        ax.set_ylabel("true stage")


def _roc(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[Any, Any, float]:
    """Return false and true positive rates and the area under the curve."""
    order = np.argsort(-score, kind="stable")
    ranked, threshold = truth[order], score[order]
    last = np.r_[np.flatnonzero(np.diff(threshold)), ranked.size - 1]
    hits = np.r_[0, np.cumsum(ranked)[last]] / max(int(truth.sum()), 1)
    alarms = np.r_[0, np.cumsum(~ranked)[last]] / max(int((~truth).sum()), 1)
    return alarms, hits, float(np.trapezoid(hits, alarms))


@styled
def roc_plot(
    predictions: pd.DataFrame, *, stages: Sequence[str] | None = None, title: str = ""
) -> bytes:
    """Draw receiver operating curves: one panel a stage against the rest, one line an estimator.

    Parameters
    ----------
    predictions : DataFrame
        ``Evaluation.predictions``: ``estimator``, ``truth`` and ``p_<stage>``, out-of-fold.
    stages : sequence of str, optional
        The classes in order; by default in order of appearance.
    title : str
        Written at the top left.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide; the legend gives each area under the curve.

    Raises
    ------
    ValueError
        If a column is missing or there are no rows.

    Examples
    --------
    >>> rows = [{"estimator": "linear", "truth": s, "p_AD": p} for s, p in (("AD", 1), ("CN", 0))]
    >>> roc_plot(pd.DataFrame(rows), stages=["AD"])[1:4]
    b'PNG'
    """
    require(predictions, ["estimator", "truth"], "predictions")
    order = _stages_of(predictions, stages)
    require(predictions, [f"p_{stage}" for stage in order], "predictions")
    names = list(dict.fromkeys(predictions["estimator"]))
    n_columns = max(3, len(order))
    side = 9.6 / n_columns - 0.32
    height = side + 1.05 + 0.17 * len(names)
    fig = new_figure(10.4, height)
    bottom = 0.5 + 0.17 * len(names)
    for column, stage in enumerate(order):
        left = 0.6 + column * (9.7 / n_columns)
        ax = fig.add_axes((left / 10.4, bottom / height, side / 10.4, side / height))
        _draw_roc(ax, predictions, stage, names)
        if column == 0:
            ax.set_ylabel("true positive rate")
    fig.text(0.012, 1 - 0.17 / height, title, weight="bold", fontsize=11, va="center")
    return to_png(fig)


def _draw_roc(ax: Any, predictions: pd.DataFrame, stage: str, names: Sequence[str]) -> None:
    """Draw the curves of one stage and write the areas beneath."""
    ax.plot([0, 1], [0, 1], color=RULE, linewidth=1)
    for number, name in enumerate(names):
        part = predictions[predictions["estimator"] == name]
        truth = (part["truth"] == stage).to_numpy()
        alarms, hits, area = _roc(truth, part[f"p_{stage}"].to_numpy(dtype=np.float64))
        color = PALETTE[number % len(PALETTE)]
        ax.plot(alarms, hits, color=color, linewidth=1.5)
        ax.annotate(f"{name}  AUC {area:.2f}", (0, 0), xytext=(0, -34 - 12 * number),
                    xycoords="axes fraction", textcoords="offset points", color=color,
                    fontsize=8)  # fmt: skip
    ax.set_xlim(-0.01, 1.01)
    ax.set_ylim(-0.01, 1.01)
    ax.set_xticks([0, 0.5, 1])
    ax.set_yticks([0, 0.5, 1])
    ax.set_title(f"{stage} against the rest", fontsize=9.5)
    ax.set_xlabel("false positive rate", fontsize=8.5, labelpad=1)


@styled
def stage_matrices(
    matrices: Mapping[tuple[str, str], pd.DataFrame],
    *,
    counts: Mapping[tuple[str, str], int] | None = None,
    title: str = "",
) -> bytes:
    """Draw the mean network of each stage (columns) and modality (rows).

    Parameters
    ----------
    matrices : mapping of (modality, stage) to (n_regions, n_regions) DataFrame
        Means over subjects; NaN where nobody was measured. Rows and columns of the figure are
        in order of first appearance. A pair that is absent is marked 'no data'.
    counts : mapping of (modality, stage) to int, optional
        Subjects in each mean.
    title : str
        Written at the top left.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide. Within a modality all stages share one colour scale.

    Raises
    ------
    ValueError
        If there are no matrices or one is not square.

    Examples
    --------
    >>> frame = pd.DataFrame(np.eye(2), index=["a", "b"], columns=["a", "b"])
    >>> stage_matrices({("functional", "CN"): frame})[1:4]
    b'PNG'
    """
    if not matrices:
        raise ValueError("matrices must hold at least one mean network; got none.")
    modalities = list(dict.fromkeys(key[0] for key in matrices))
    stages = list(dict.fromkeys(key[1] for key in matrices))
    n_columns = max(3, len(stages))
    side = 9.1 / n_columns - 0.15
    height = 0.75 + len(modalities) * (side + 0.18)
    fig = new_figure(10.4, height)
    for row, modality in enumerate(modalities):
        values = [check_weights(matrices[k]) for k in matrices if k[0] == modality]
        cmap, low, high = _pooled_limits([color_limits(v) for v in values])
        bottom = height - 0.7 - side - row * (side + 0.18)
        picture: Any = None
        for column, stage in enumerate(stages):
            left = 0.45 + column * (side + 0.15)
            ax = fig.add_axes((left / 10.4, bottom / height, side / 10.4, side / height))
            frame = matrices.get((modality, stage))
            shown = _draw_cell(ax, frame, (cmap, low, high))
            picture = shown if shown is not None else picture
            _cell_texts(ax, (modality, stage), (row, column), counts)
        right = 0.45 + len(stages) * (side + 0.15)
        bar = fig.colorbar(
            picture,
            cax=fig.add_axes((right / 10.4, (bottom + 0.15 * side) / height, 0.011,
                              0.7 * side / height)),
        )  # fmt: skip
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=7.5, length=2)
    fig.text(0.012, 1 - 0.17 / height, title, weight="bold", fontsize=11, va="center")
    return to_png(fig)


def _pooled_limits(limits: Sequence[tuple[str, float, float]]) -> tuple[str, float, float]:
    """Return one colour scale for several matrices: signed if any is."""
    high = max(limit[2] for limit in limits)
    if any(limit[0] == "RdBu_r" for limit in limits):
        return "RdBu_r", -high, high
    return limits[0][0], min(limit[1] for limit in limits), high


def _draw_cell(ax: Any, frame: pd.DataFrame | None, limits: tuple[str, float, float]) -> Any:
    """Draw one mean network, or say that there is none."""
    if frame is None:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
        ax.set_facecolor("#f4f6f8")
        ax.text(0.5, 0.5, "no data", ha="center", va="center", color=MUTED,
                transform=ax.transAxes)  # fmt: skip
        return None
    return draw_matrix(ax, check_weights(frame), limits)[0]


def _cell_texts(
    ax: Any,
    key: tuple[str, str],
    place: tuple[int, int],
    counts: Mapping[tuple[str, str], int] | None,
) -> None:
    """Write the stage above the first row, the modality beside the first column."""
    note = "" if counts is None or key not in counts else f"n = {counts[key]}"
    if place[0] == 0:
        ax.set_title(f"{key[1]}", fontsize=10)
    if note:
        ax.text(1.0, 1.015, note, transform=ax.transAxes, ha="right", fontsize=7.5, color=MUTED)
    if place[1] == 0:
        ax.set_ylabel(key[0], fontsize=9.5, weight="bold")
