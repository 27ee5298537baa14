"""Head motion and carpet plots of a BOLD run, as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from numpy.typing import ArrayLike, NDArray

from brainnet.report._canvas import ACCENT, INK, MUTED, PALETTE, RULE, new_figure, styled, to_png

__all__ = ["carpet_plot", "carpet_samples", "motion_plot"]

TRANSLATIONS = ("trans_x", "trans_y", "trans_z")
ROTATIONS = ("rot_x", "rot_y", "rot_z")
FD = "framewise_displacement"
_SCARLET = "#b3261e"


@styled
def motion_plot(confounds: pd.DataFrame, t_r: float) -> bytes:
    """Draw head motion over time: translations, rotations, framewise displacement, DVARS.

    Parameters
    ----------
    confounds : DataFrame
        One row a volume, fMRIPrep's column names: ``trans_x/y/z`` (mm), ``rot_x/y/z`` (rad),
        ``framewise_displacement`` (mm), ``std_dvars`` or ``dvars``. A missing column leaves
        its panel out; NaN leaves a gap.
    t_r : float
        Repetition time in seconds.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide. Rotations are drawn in degrees. FD has lines at 0.2 and 0.5 mm;
        volumes above 0.5 mm are shaded through all panels.

    Raises
    ------
    ValueError
        If no known column is there, the table is empty, or ``t_r`` is not positive.

    References
    ----------
    Power et al. (2012), NeuroImage 59:2142.

    Examples
    --------
    >>> motion_plot(pd.DataFrame({"framewise_displacement": [0.0, 0.1, 0.7]}), 2.0)[1:4]
    b'PNG'
    """
    if not (np.isfinite(t_r) and t_r > 0):
        raise ValueError(f"t_r must be a positive number of seconds; got {t_r}.")
    panels = _motion_panels(confounds)
    if not panels or len(confounds) == 0:
        raise ValueError(
            "confounds must hold volumes and at least one of trans_*, rot_*, "
            f"{FD}, dvars; got columns {list(confounds.columns)}. Pass the confounds table."
        )
    seconds = np.arange(len(confounds), dtype=np.float64) * t_r
    fig = new_figure(10.4, 0.55 + 1.35 * len(panels))
    axes = fig.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (title, unit, columns, factor) in zip(axes, panels, strict=True):
        _draw_panel(ax, seconds, confounds[columns] * factor, (title, unit))
    _shade_censored(list(axes), seconds, confounds, t_r)
    axes[-1].set_xlabel("time (s)")
    fig.subplots_adjust(left=0.075, right=0.86, top=0.955, bottom=0.09, hspace=0.42)
    fig.align_ylabels(list(axes))
    return to_png(fig)


def _motion_panels(confounds: pd.DataFrame) -> list[tuple[str, str, list[str], float]]:
    """Return (title, unit, columns, factor) of the panels for which there are columns."""
    dvars = "std_dvars" if "std_dvars" in confounds else "dvars"
    candidates = [
        ("Translations", "mm", list(TRANSLATIONS), 1.0),
        ("Rotations", "degrees", list(ROTATIONS), 180.0 / np.pi),
        ("Framewise displacement", "mm", [FD], 1.0),
        ("Standardised DVARS" if dvars == "std_dvars" else "DVARS", "", [dvars], 1.0),
    ]
    return [c for c in candidates if set(c[2]) <= set(confounds.columns)]


def _draw_panel(
    ax: Any, seconds: NDArray[np.float64], columns: pd.DataFrame, texts: tuple[str, str]
) -> None:
    """Draw one panel with its summary at the right."""
    marker = "o" if seconds.size <= 30 else ""
    single = columns.shape[1] == 1
    for name, color in zip(columns.columns, PALETTE, strict=False):
        shade = INK if single else color
        ax.plot(
            seconds, columns[name], color=shade, linewidth=1.1, marker=marker, markersize=3,
            label=str(name)[-1],
        )  # fmt: skip
    ax.set_title(texts[0])
    ax.set_ylabel(texts[1])
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    ax.margins(x=0.005)
    if single:
        _summarise(ax, columns.iloc[:, 0].to_numpy(dtype=np.float64), str(columns.columns[0]))
    else:
        ax.legend(loc="center left", bbox_to_anchor=(1.005, 0.5))


def _summarise(ax: Any, values: NDArray[np.float64], name: str) -> None:
    """Write mean and maximum, and for FD the share of volumes above 0.2 and 0.5 mm."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return
    lines = [f"mean {finite.mean():.2f}", f"max {finite.max():.2f}"]
    if name == FD:
        lines += [f"> 0.2: {100 * (finite > 0.2).mean():.0f} %"]
        lines += [f"> 0.5: {100 * (finite > 0.5).mean():.0f} %"]
        for limit, style in ((0.2, ":"), (0.5, "--")):
            ax.axhline(limit, color=_SCARLET, linewidth=0.9, linestyle=style)
        ax.set_ylim(0, max(0.6, 1.08 * float(finite.max())))
    ax.text(1.012, 0.5, "\n".join(lines), transform=ax.transAxes, va="center", fontsize=8.5)


def _shade_censored(
    axes: Sequence[Any], seconds: NDArray[np.float64], confounds: pd.DataFrame, t_r: float
) -> None:
    """Shade the volumes above 0.5 mm in every panel."""
    if FD not in confounds:
        return
    for start in seconds[np.nan_to_num(confounds[FD].to_numpy(dtype=np.float64)) > 0.5]:
        for ax in axes:
            ax.axvspan(start - t_r / 2, start + t_r / 2, color=_SCARLET, alpha=0.10, linewidth=0)


def carpet_samples(
    img: Nifti1Image,
    dseg_img: Nifti1Image,
    *,
    names: Mapping[int, str] | None = None,
    max_voxels: int = 6000,
) -> tuple[NDArray[np.float32], list[str]]:
    """Return voxel time series and the tissue of each, evenly thinned, for `carpet_plot`.

    Parameters
    ----------
    img : Nifti1Image
        4-D BOLD image, any units.
    dseg_img : Nifti1Image
        3-D integer segmentation in the same world space; the grid may differ (the nearest
        label is taken). 0 is outside.
    names : mapping of int to str, optional
        Name of each label that is to be shown, in the order of display; BIDS's
        ``{1: "GM", 2: "WM", 3: "CSF"}`` by default. Split by hemisphere by giving more labels.
    max_voxels : int
        Most voxels returned; every k-th of a label is taken.

    Returns
    -------
    voxels : (n_voxels, n_timepoints) array
        In the image's units; voxels that are constant or not finite are left out.
    groups : list of str
        Name of each voxel's label.

    Raises
    ------
    ValueError
        If ``img`` is not 4-D, or none of the labels covers it.

    Examples
    --------
    >>> data = np.arange(32, dtype=np.float32).reshape(2, 2, 2, 4) ** 1.5
    >>> dseg = Nifti1Image(np.ones((2, 2, 2), dtype=np.int16), np.eye(4))
    >>> voxels, groups = carpet_samples(Nifti1Image(data, np.eye(4)), dseg)
    >>> voxels.shape, set(groups)
    ((8, 4), {'GM'})
    """
    from scipy.ndimage import map_coordinates

    data = np.asanyarray(img.dataobj)
    if data.ndim != 4:
        raise ValueError(f"img must be a 4-D image; got shape {data.shape}. Pass the BOLD series.")
    names = {1: "GM", 2: "WM", 3: "CSF"} if names is None else names
    to_voxel = np.linalg.inv(dseg_img.affine) @ img.affine
    index = np.indices(data.shape[:3]).reshape(3, -1)
    place = to_voxel[:3, :3] @ index + to_voxel[:3, 3:]
    labels = map_coordinates(np.asanyarray(dseg_img.dataobj), place, order=0, cval=0)
    series = data.reshape(-1, data.shape[3])
    usable = np.isfinite(series).all(axis=1) & (series.max(axis=1) > series.min(axis=1))
    chosen = {name: np.flatnonzero((labels == label) & usable) for label, name in names.items()}
    total = sum(rows.size for rows in chosen.values())
    if total == 0:
        raise ValueError(
            f"dseg_img must cover img with at least one of the labels {sorted(names)}; got none. "
            "Check that both are in the same space and what the labels are called."
        )
    step = -(-total // max_voxels)
    kept = {name: rows[::step] for name, rows in chosen.items()}
    voxels = series[np.concatenate(list(kept.values()))].astype(np.float32)
    return voxels, [name for name, rows in kept.items() for _ in rows]


def _zscored(voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows with a straight line removed, in standard deviations; constant rows are 0."""
    from scipy.signal import detrend

    if voxels.shape[1] > 2:
        voxels = detrend(voxels, axis=1)
    centred = voxels - voxels.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1, keepdims=True)
    return np.asarray(centred / np.where(spread > 1e-12, spread, np.inf))


def _ordered(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rows of one group sorted by their agreement with the group's mean."""
    agreement = scores @ scores.mean(axis=0)
    return scores[np.argsort(-agreement, kind="stable")]


@styled
def carpet_plot(
    voxels: ArrayLike,
    groups: Sequence[str],
    *,
    confounds: pd.DataFrame | None = None,
    t_r: float = 1.0,
    title: str = "",
) -> bytes:
    """Draw the time series of all voxels as one grey picture, grouped by tissue.

    Parameters
    ----------
    voxels : (n_voxels, n_timepoints) array
        Any units, finite; each row is detrended and shown in standard deviations (-2 to 2).
    groups : sequence of str
        Tissue or hemisphere of each row; groups are shown in order of first appearance, the
        rows of one sorted by their agreement with its mean.
    confounds : DataFrame, optional
        With ``framewise_displacement`` (mm) as its column: drawn above on the same time axis.
    t_r : float
        Repetition time in seconds.
    title : str
        Written at the top left.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide.

    Raises
    ------
    ValueError
        If ``voxels`` is not 2-D and finite, or ``groups`` does not name each row.

    References
    ----------
    Power (2017), NeuroImage 154:150.

    Examples
    --------
    >>> carpet_plot([[1.0, 2.0, 1.0], [3.0, 1.0, 2.0]], ["GM", "WM"])[1:4]
    b'PNG'
    """
    data = np.asarray(voxels, dtype=np.float64)
    if data.ndim != 2 or data.size == 0 or not np.isfinite(data).all():
        raise ValueError(
            f"voxels must be a finite (n_voxels, n_timepoints) array; got shape {data.shape}. "
            "Use carpet_samples to draw them from an image."
        )
    if len(groups) != data.shape[0]:
        raise ValueError(
            f"groups must name each of the {data.shape[0]} rows of voxels; got {len(groups)} names."
        )
    scores, names = _zscored(data), list(dict.fromkeys(groups))
    member = np.asarray(groups)
    blocks = [_ordered(scores[member == name]) for name in names]
    with_fd = confounds is not None and FD in confounds
    fig = new_figure(10.4, 4.9 if with_fd else 3.9)
    bottom, top = 0.11, (0.76 if with_fd else 0.92)
    ax = fig.add_axes((0.075, bottom, 0.785, top - bottom))
    picture = _draw_carpet(ax, blocks, names, data.shape[1] * t_r, t_r)
    if with_fd and confounds is not None:
        above = fig.add_axes((0.075, 0.81, 0.785, 0.13), sharex=ax)
        _draw_fd(above, confounds, t_r)
    bar = fig.colorbar(picture, cax=fig.add_axes((0.885, bottom + 0.1, 0.012, 0.35)))
    bar.set_label("z score")
    bar.outline.set_visible(False)
    fig.text(0.075, 0.965, title, weight="bold", fontsize=10, va="center")
    return to_png(fig)


def _draw_carpet(
    ax: Any, blocks: Sequence[NDArray[np.float64]], names: Sequence[str], end: float, t_r: float
) -> Any:
    """Draw the grey picture with a coloured strip and name for each group."""
    stacked = np.concatenate(list(blocks))
    picture = ax.imshow(
        stacked, cmap="gray", vmin=-2, vmax=2, aspect="auto", interpolation="nearest",
        extent=(-t_r / 2, end - t_r / 2, stacked.shape[0], 0),
    )  # fmt: skip
    edges = np.concatenate([[0], np.cumsum([len(block) for block in blocks])])
    for name, color, low, high in zip(names, PALETTE, edges[:-1], edges[1:], strict=False):
        ax.axhline(high, color="white", linewidth=1.2)
        ax.add_patch(_strip(ax, (low, high), color))
        ax.text(
            -0.022, (low + high) / 2, name, transform=ax.get_yaxis_transform(), rotation=90,
            ha="right", va="center", color=color, weight="bold", fontsize=9,
        )  # fmt: skip
    ax.set_yticks([])
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_xlabel("time (s)")
    return picture


def _strip(ax: Any, rows: tuple[float, float], color: str) -> Any:
    """Return the coloured strip left of the rows of a group."""
    from matplotlib.patches import Rectangle

    return Rectangle(
        (-0.014, rows[0]), 0.009, rows[1] - rows[0], transform=ax.get_yaxis_transform(),
        facecolor=color, clip_on=False,
    )  # fmt: skip


def _draw_fd(ax: Any, confounds: pd.DataFrame, t_r: float) -> None:
    """Draw framewise displacement above the carpet."""
    values = confounds[FD].to_numpy(dtype=np.float64)
    seconds = np.arange(values.size) * t_r
    ax.fill_between(seconds, 0, np.nan_to_num(values), color=ACCENT, alpha=0.25, linewidth=0)
    ax.plot(seconds, values, color=ACCENT, linewidth=1.1)
    ax.axhline(0.2, color=_SCARLET, linewidth=0.8, linestyle=":")
    ax.axhline(0.5, color=_SCARLET, linewidth=0.8, linestyle="--")
    ax.set_ylim(0, max(0.6, 1.08 * float(np.nan_to_num(values).max(initial=0.0))))
    ax.set_ylabel("FD (mm)")
    ax.tick_params(labelbottom=False, colors=MUTED)
    ax.spines["bottom"].set_color(RULE)
