"""Brain mosaics: contours, atlas and uptake overlays, as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet.report._canvas import (
    BRIGHT,
    DIM,
    Box,
    annotate_rows,
    as_3d,
    box_of,
    draw_contour,
    draw_grey,
    flatten,
    foreground_box,
    mosaic_axes,
    panel_extent,
    place_panels,
    sample_planes,
    styled,
    three_plane_rows,
    to_png,
    write_header,
)

__all__ = [
    "atlas_overlay",
    "overlay_contours",
    "suvr_map",
]


@styled
def overlay_contours(
    background_img: Nifti1Image,
    overlays: Nifti1Image | Mapping[str, Nifti1Image],
    *,
    title: str = "",
    n_slices: int = 7,
    level: float = 0.5,
) -> bytes:
    """Draw contours of masks or probability maps over grey slices in three planes.

    Parameters
    ----------
    background_img : Nifti1Image
        3-D image, any units; shown between its 1st and 99.7th percentile.
    overlays : Nifti1Image or mapping of name to Nifti1Image
        Masks (0/1) or probabilities (0..1); at most six. The grids may differ from the
        background's: all are sampled on the same world-aligned slices (linear). An empty mask
        draws nothing and is marked 'empty' in the legend.
    title : str
        Written at the top left.
    n_slices : int
        Axial and coronal slices; the sagittal row gets as many as fit.
    level : float
        Value at which the contour is drawn.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide, without metadata: the same images give the same bytes. Left of
        the brain is on the left.

    Raises
    ------
    ValueError
        If an image is not 3-D, has no finite voxel, or there are more than six overlays.

    Examples
    --------
    >>> img = Nifti1Image(np.ones((6, 6, 6), dtype=np.float32), np.eye(4))
    >>> overlay_contours(img, img, n_slices=2)[1:4]
    b'PNG'
    """
    named = overlays if isinstance(overlays, Mapping) else {"mask": overlays}
    if len(named) > len(BRIGHT):
        raise ValueError(
            f"overlays must be at most {len(BRIGHT)}; got {len(named)}. "
            "Use atlas_overlay for a label image."
        )
    arrays = {name: as_3d(img, f"overlays[{name!r}]") for name, img in named.items()}
    box = _contour_box(background_img, named, arrays, level)
    rows, width, height = place_panels(three_plane_rows(box, n_slices), box)
    fig, ax = mosaic_axes(width, height)
    panels = flatten(rows)
    background = as_3d(background_img, "background_img")
    draw_grey(ax, sample_planes(background, background_img, panels, box), panels, box)
    entries = []
    for (name, img), color in zip(named.items(), BRIGHT, strict=False):
        for plane, panel in zip(sample_planes(arrays[name], img, panels, box), panels, strict=True):
            draw_contour(ax, plane, panel, box, color=color, level=level)
        empty = "" if (arrays[name] > level).any() else " (empty)"
        entries.append((f"\u2014 {name}{empty}", color))
    annotate_rows(ax, rows, box)
    write_header(fig, title, entries)
    return to_png(fig)


def _contour_box(
    background_img: Nifti1Image,
    named: Mapping[str, Nifti1Image],
    arrays: Mapping[str, NDArray[np.float32]],
    level: float,
) -> Box:
    """Return a box around all overlays (with room to see leaks), or the background's."""
    boxes = [
        box_of(arrays[name] > level, np.asarray(img.affine, dtype=np.float64), margin=10.0)
        for name, img in named.items()
        if (arrays[name] > level).any()
    ]
    whole = foreground_box(background_img, "background_img")
    if not boxes:
        return whole
    low = np.min([b.low for b in boxes], axis=0)
    high = np.max([b.high for b in boxes], axis=0)
    return Box(low, high)


def _label_colors(indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (n, 3) colours: golden-ratio hues with alternating lightness, fixed by rank."""
    from matplotlib.colors import hsv_to_rgb

    rank = np.arange(indices.size)
    hue = (rank * 0.61803398875) % 1.0
    saturation = np.where(rank % 2 == 0, 0.85, 0.60)
    value = np.where(rank % 3 == 0, 0.85, 1.0)
    return np.asarray(hsv_to_rgb(np.column_stack([hue, saturation, value])))


def _colorize(
    plane: NDArray[np.float32], indices: NDArray[np.int64], colors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return an RGBA picture of a label slice, opaque on the borders between labels."""
    labels = np.nan_to_num(plane, nan=0.0).round().astype(np.int64)
    place = np.searchsorted(indices, labels).clip(0, max(indices.size - 1, 0))
    known = (labels != 0) & (indices[place] == labels)
    rgba = np.zeros((*labels.shape, 4))
    rgba[known, :3] = colors[place[known]]
    rgba[known, 3] = 0.45
    border = np.zeros(labels.shape, dtype=bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    rgba[border & known, 3] = 0.95
    return rgba


@styled
def atlas_overlay(
    t1w_img: Nifti1Image,
    labels_img: Nifti1Image,
    *,
    title: str = "",
    n_slices: int = 7,
) -> bytes:
    """Draw a label image in colour over grey slices in three planes.

    Parameters
    ----------
    t1w_img : Nifti1Image
        3-D background, any units.
    labels_img : Nifti1Image
        3-D integer labels, 0 for background; the grid may differ (nearest voxel is shown).
    title : str
        Written at the top left; the number of labels stands at the right.
    n_slices : int
        Axial and coronal slices.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide, without metadata. A label has the same colour in every slice.

    Raises
    ------
    ValueError
        If an image is not 3-D or ``labels_img`` has no label.

    Examples
    --------
    >>> img = Nifti1Image(np.ones((6, 6, 6), dtype=np.float32), np.eye(4))
    >>> atlas_overlay(img, img, n_slices=2)[1:4]
    b'PNG'
    """
    labels = as_3d(labels_img, "labels_img")
    indices = np.unique(np.nan_to_num(labels, nan=0.0).astype(np.int64))
    indices = indices[indices != 0]
    if indices.size == 0:
        raise ValueError(
            "labels_img must hold at least one label; got none but 0. Check the atlas."
        )
    colors = _label_colors(indices)
    box = box_of(labels != 0, np.asarray(labels_img.affine, dtype=np.float64), margin=8.0)
    rows, width, height = place_panels(three_plane_rows(box, n_slices), box)
    fig, ax = mosaic_axes(width, height)
    panels = flatten(rows)
    draw_grey(ax, sample_planes(as_3d(t1w_img, "t1w_img"), t1w_img, panels, box), panels, box)
    sampled = sample_planes(labels, labels_img, panels, box, order=0)
    for plane, panel in zip(sampled, panels, strict=True):
        picture = _colorize(plane, indices, colors)
        ax.imshow(
            picture, origin="lower", extent=panel_extent(panel, box), aspect="auto",
            interpolation="nearest",
        )  # fmt: skip
    annotate_rows(ax, rows, box)
    write_header(fig, title, [(f"{indices.size} labels", DIM)])
    return to_png(fig)


@styled
def suvr_map(
    pet_img: Nifti1Image,
    t1w_img: Nifti1Image,
    *,
    title: str = "",
    limits: tuple[float, float] | None = None,
    label: str = "SUVR",
    n_slices: int = 7,
) -> bytes:
    """Draw an uptake image in colour over the T1w with a colour bar.

    Parameters
    ----------
    pet_img : Nifti1Image
        3-D uptake ratio, in units of the reference region's mean; NaN where not measured.
    t1w_img : Nifti1Image
        3-D background in the same world space; the grid may differ.
    title : str
        Written at the top left.
    limits : pair of float, optional
        Colour limits; by default 0 and the 99.5th percentile of the positive values.
    label : str
        Name and unit of the colour bar.
    n_slices : int
        Axial and coronal slices.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide, without metadata. Below a fifth of the upper limit the grey
        background shows through.

    Raises
    ------
    ValueError
        If an image is not 3-D or has no finite voxel.

    Examples
    --------
    >>> img = Nifti1Image(np.ones((6, 6, 6), dtype=np.float32), np.eye(4))
    >>> suvr_map(img, img, n_slices=2)[1:4]
    b'PNG'
    """
    pet = as_3d(pet_img, "pet_img")
    positive = pet[np.isfinite(pet) & (pet > 0)]
    upper = float(np.percentile(positive, 99.5)) if positive.size else 1.0
    low, high = limits if limits is not None else (0.0, upper)
    box = foreground_box(t1w_img, "t1w_img")
    rows, width, height = place_panels(three_plane_rows(box, n_slices), box)
    fig, ax = mosaic_axes(width, height, right=0.75)
    panels = flatten(rows)
    draw_grey(ax, sample_planes(as_3d(t1w_img, "t1w_img"), t1w_img, panels, box), panels, box)
    for plane, panel in zip(sample_planes(pet, pet_img, panels, box), panels, strict=True):
        share = (np.nan_to_num(plane, nan=low) - low) / max(high - low, 1e-12)
        alpha = np.clip((share - 0.15) / 0.15, 0.0, 1.0) * 0.85
        picture = ax.imshow(
            plane, cmap="inferno", vmin=low, vmax=high, alpha=alpha, origin="lower",
            extent=panel_extent(panel, box), aspect="auto",
        )  # fmt: skip
    annotate_rows(ax, rows, box)
    _color_bar(fig, picture, label)
    write_header(fig, title, [])
    return to_png(fig)


def _color_bar(fig: Any, picture: Any, label: str) -> None:
    """Draw a colour bar on the dark right margin."""
    from matplotlib.cm import ScalarMappable

    mappable = ScalarMappable(norm=picture.norm, cmap=picture.cmap)
    bar = fig.colorbar(mappable, cax=fig.add_axes((0.938, 0.2, 0.013, 0.6)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=DIM, labelsize=8, length=2)
    bar.ax.set_title(label, color="white", fontsize=8.5, loc="left", pad=8)
