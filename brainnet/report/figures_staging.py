"""Figures of probabilities: whether they mean what they say, and those of single subjects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brainnet.report._canvas import INK, MUTED, PALETTE, new_figure, styled, to_png
from brainnet.report.figures_group import require

__all__ = ["reliability_plot", "stage_bars"]


@styled
def reliability_plot(curves: pd.DataFrame, *, title: str = "") -> bytes:
    """Draw how often a prediction was right against how sure the model was, a panel an estimator.

    Parameters
    ----------
    curves : DataFrame
        ``estimator``, ``confidence`` (mean probability of the predicted stage in a bin),
        ``observed`` (share that was right), ``low``, ``high`` (its 95 % interval; NaN for none)
        and ``n_subjects``, as :func:`brainnet.evaluate.calibration.reliability_curve` gives them.
    title : str
        Written at the top left.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide. The size of a point is the number of subjects in its bin.

    Raises
    ------
    ValueError
        If a column is missing or there are no rows.

    Examples
    --------
    >>> row = {"estimator": "linear", "confidence": 0.8, "observed": 0.7, "low": 0.6, "high": 0.8,
    ...        "n_subjects": 40}
    >>> reliability_plot(pd.DataFrame([row]))[1:4]
    b'PNG'
    """
    needed = ["estimator", "confidence", "observed", "low", "high", "n_subjects"]
    require(curves, needed, "curves")
    names = list(dict.fromkeys(curves["estimator"]))
    n_columns = max(3, min(len(names), 4))
    n_rows = -(-len(names) // n_columns)
    side = 9.4 / n_columns - 0.4
    height = 0.2 + n_rows * (side + 0.95)
    fig = new_figure(10.4, height)
    for number, name in enumerate(names):
        left = 0.7 + (number % n_columns) * (9.6 / n_columns)
        bottom = height - 0.5 - side - (number // n_columns) * (side + 0.95)
        ax = fig.add_axes((left / 10.4, bottom / height, side / 10.4, side / height))
        _draw_reliability(ax, curves[curves["estimator"] == name])
        ax.set_title(str(name), fontsize=9.5)
        if number % n_columns == 0:
            ax.set_ylabel("share that was right")
    fig.text(0.012, 1 - 0.17 / height, title, weight="bold", fontsize=11, va="center")
    return to_png(fig)


def _draw_reliability(ax: Any, curve: pd.DataFrame) -> None:
    """Draw one curve beside the line where words and deeds agree."""
    ax.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1)
    sure, right = (curve[name].to_numpy(dtype=np.float64) for name in ("confidence", "observed"))
    ax.vlines(sure, curve["low"], curve["high"], color=PALETTE[0], linewidth=1.4, alpha=0.6)
    share = curve["n_subjects"].to_numpy(dtype=np.float64)
    ax.plot(sure, right, color=PALETTE[0], linewidth=1.2)
    ax.scatter(sure, right, s=14 + 110 * share / share.sum(), color=PALETTE[0], zorder=3)
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xticks([0, 0.5, 1])
    ax.set_yticks([0, 0.5, 1])
    ax.set_xlabel("probability of the predicted stage", fontsize=8.5, labelpad=1)


@styled
def stage_bars(
    probabilities: NDArray[np.float64],
    names: Sequence[str],
    stages: Sequence[str],
    *,
    title: str = "",
) -> bytes:
    """Draw the probabilities of the stages, one bar a subject.

    Parameters
    ----------
    probabilities : (n_subjects, n_stages) array
        In 0..1, each row of sum 1.
    names : sequence of str
        Of the subjects, from the top.
    stages : sequence of str
        From healthy (light) to ill (dark).
    title : str
        Written at the top left.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide.

    Raises
    ------
    ValueError
        If there is nobody, or names and stages are not as many as rows and columns.

    Examples
    --------
    >>> stage_bars(np.array([[0.2, 0.8]]), ["sub-01"], ["CN", "AD"])[1:4]
    b'PNG'
    """
    if probabilities.shape != (len(names), len(stages)) or not len(names):
        raise ValueError(
            f"probabilities must be a row for each of one or more names and a column for each of "
            f"{len(stages)} stages; got shape {probabilities.shape} and {len(names)} names."
        )
    height = 0.95 + 0.26 * len(names)
    fig = new_figure(10.4, height)
    left = min(0.4, 0.03 + 0.0085 * max(len(str(name)) for name in names))
    ax = fig.add_axes((left, 0.42 / height, 0.97 - left, (height - 0.95) / height))
    starts = np.cumsum(probabilities, axis=1) - probabilities
    rows = np.arange(len(names))[::-1]
    for column, stage in enumerate(stages):
        own = probabilities[:, column]
        color = _shade(column, len(stages))
        ax.barh(rows, own, left=starts[:, column], height=0.78, color=color, label=stage)
        for row, start, share in zip(rows, starts[:, column], own, strict=True):
            if share >= 0.08:
                ink = "white" if column >= len(stages) / 2 else INK
                ax.text(start + share / 2, row, f"{share:.2f}", ha="center", va="center",
                        fontsize=7.5, color=ink)  # fmt: skip
    ax.set_yticks(rows, [str(name) for name in names])
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.set_xlim(0, 1)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("probability")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(stages), borderaxespad=0.2)
    fig.text(0.012, 1 - 0.17 / height, title, weight="bold", fontsize=11, va="center")
    return to_png(fig)


def _shade(place: int, n_stages: int) -> tuple[float, ...]:
    """Return the colour of a stage: the darker, the further on."""
    from matplotlib import colormaps

    return tuple(colormaps["Blues"](0.2 + 0.7 * place / max(1, n_stages - 1)))
