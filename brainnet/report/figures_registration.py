"""Registration checks: edges of one image over another, and pictures to flick between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet.report._canvas import (
    BRIGHT,
    Box,
    Panel,
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
    positions,
    sample_planes,
    styled,
    three_plane_rows,
    to_png,
    write_header,
)

__all__ = ["registration_check", "registration_flicker"]

_EDGE_SIGMA = 3.2


def _common_box(
    fixed_img: Nifti1Image, moving_img: Nifti1Image, contour_img: Nifti1Image | None
) -> Box:
    """Return the box around the contour, else around what both images show."""
    if contour_img is not None:
        mask = as_3d(contour_img, "contour_img") > 0.5
        return box_of(mask, np.asarray(contour_img.affine, dtype=np.float64), margin=10.0)
    fixed, moving = foreground_box(fixed_img, "fixed_img"), foreground_box(moving_img, "moving_img")
    low, high = np.maximum(fixed.low, moving.low), np.minimum(fixed.high, moving.high)
    return Box(low, high) if (high - low > 20.0).all() else fixed


def _registration_rows(box: Box, n_slices: int) -> list[list[tuple[int, float]]]:
    """Return one row of axial, coronal and sagittal slices."""
    share = max(1, n_slices // 3)
    counts = (n_slices - 2 * share, share, share)
    row = [p for axis, n in zip((2, 1, 0), counts, strict=True) for p in positions(box, axis, n)]
    return [row]


def _edges(plane: NDArray[np.float32], limit: float) -> Any:
    """Return a Laplacian of Gaussian whose zero line is kept only on strong edges."""
    from scipy.ndimage import gaussian_gradient_magnitude, gaussian_laplace

    values = np.nan_to_num(plane, nan=0.0).astype(np.float64)
    laplacian = gaussian_laplace(values, _EDGE_SIGMA)
    weak = gaussian_gradient_magnitude(values, _EDGE_SIGMA) < limit
    return np.ma.array(laplacian, mask=weak)  # type: ignore[no-untyped-call]


def _edge_limit(planes: Sequence[NDArray[np.float32]]) -> float:
    """Return the gradient above which a line is drawn: the upper quarter of the foreground."""
    from scipy.ndimage import gaussian_gradient_magnitude

    strengths = []
    for plane in planes:
        values = np.nan_to_num(plane, nan=0.0).astype(np.float64)
        magnitude = gaussian_gradient_magnitude(values, _EDGE_SIGMA)
        strengths.append(magnitude[values > 0.1 * max(float(values.max()), 1e-12)])
    shown = np.concatenate(strengths)
    return float(np.percentile(shown, 72)) if shown.size else np.inf


def _draw_edges(
    ax: Any,
    planes: Sequence[NDArray[np.float32]],
    panels: Sequence[Panel],
    box: Box,
    *,
    color: str,
) -> None:
    """Draw the edge lines of grey slices."""
    limit = _edge_limit(planes)
    for plane, panel in zip(planes, panels, strict=True):
        edges = _edges(plane, limit)
        if edges.count() < 2 or not (edges.min() < 0 < edges.max()):
            continue
        left, right, bottom, top = panel_extent(panel, box)
        rows, columns = edges.shape
        x = left + (np.arange(columns) + 0.5) * (right - left) / columns
        y = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
        ax.contour(x, y, edges, levels=[0.0], colors=[color], linewidths=0.8)


def _draw_reference(
    ax: Any, fixed_img: Nifti1Image, contour_img: Nifti1Image | None, panels: list[Panel], box: Box
) -> None:
    """Draw the fixed image's outline: a given mask's contour, or the image's own edges."""
    if contour_img is None:
        data = as_3d(fixed_img, "fixed_img")
        _draw_edges(ax, sample_planes(data, fixed_img, panels, box), panels, box, color=BRIGHT[0])
        return
    mask = as_3d(contour_img, "contour_img")
    for plane, panel in zip(sample_planes(mask, contour_img, panels, box), panels, strict=True):
        draw_contour(ax, plane, panel, box, color=BRIGHT[0])


@styled
def registration_check(
    fixed_img: Nifti1Image,
    moving_img: Nifti1Image,
    *,
    contour_img: Nifti1Image | None = None,
    names: tuple[str, str] = ("fixed", "moving"),
    title: str = "",
    n_slices: int = 6,
) -> bytes:
    """Draw two rows of the same slices, both under the edges of the fixed image.

    Parameters
    ----------
    fixed_img, moving_img : Nifti1Image
        3-D images in the same world space, any units; their grids may differ.
    contour_img : Nifti1Image, optional
        Mask or probability (0..1) in the fixed space whose 0.5 contour is drawn in place of
        intensity edges, for example the white matter.
    names : pair of str
        What the upper and the lower row are called.
    title : str
        Written at the top left.
    n_slices : int
        Slices in a row, shared by the three planes.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide, without metadata.

    Raises
    ------
    ValueError
        If an image is not 3-D or has no finite voxel.

    Examples
    --------
    >>> img = Nifti1Image(np.ones((6, 6, 6), dtype=np.float32), np.eye(4))
    >>> registration_check(img, img, n_slices=3)[1:4]
    b'PNG'
    """
    box = _common_box(fixed_img, moving_img, contour_img)
    rows, width, height = place_panels(_registration_rows(box, n_slices) * 2, box, gap=4.0)
    fig, ax = mosaic_axes(width, height)
    for img, row, name in zip((fixed_img, moving_img), rows, names, strict=True):
        data = as_3d(img, name)
        draw_grey(ax, sample_planes(data, img, row, box), row, box)
        _draw_reference(ax, fixed_img, contour_img, row, box)
        left, _, _, top = panel_extent(row[0], box)
        ax.text(left + 2, top - 2, name, color="white", fontsize=8.5, va="top", weight="bold")
    annotate_rows(ax, rows, box)
    line = f"\u2014 edges of {names[0]}" if contour_img is None else f"\u2014 contour of {names[0]}"
    write_header(fig, title, [(line, BRIGHT[0])])
    return to_png(fig)


def registration_flicker(
    fixed_img: Nifti1Image,
    moving_img: Nifti1Image,
    *,
    names: tuple[str, str] = ("fixed", "moving"),
    title: str = "",
    n_slices: int = 6,
) -> tuple[bytes, bytes]:
    """Draw two pictures of the same geometry to be flicked between on the page.

    Parameters
    ----------
    fixed_img, moving_img : Nifti1Image
        3-D images in the same world space; their grids may differ.
    names : pair of str
        Written on each picture.
    title : str
        Written at the top left of both.
    n_slices : int
        Axial and coronal slices; the sagittal row gets as many as fit.

    Returns
    -------
    (bytes, bytes)
        PNGs of equal size for ``Figure(png=..., after=...)``: fixed, then moving.

    Raises
    ------
    ValueError
        If an image is not 3-D or has no finite voxel.

    Examples
    --------
    >>> img = Nifti1Image(np.ones((6, 6, 6), dtype=np.float32), np.eye(4))
    >>> [png[1:4] for png in registration_flicker(img, img, n_slices=2)]
    [b'PNG', b'PNG']
    """
    box = foreground_box(fixed_img, "fixed_img")
    before = _plain_mosaic(fixed_img, box, n_slices, (title, names[0]))
    after = _plain_mosaic(moving_img, box, n_slices, (title, names[1]))
    return before, after


@styled
def _plain_mosaic(img: Nifti1Image, box: Box, n_slices: int, texts: tuple[str, str]) -> bytes:
    """Draw grey slices in three planes of a given box."""
    rows, width, height = place_panels(three_plane_rows(box, n_slices), box)
    fig, ax = mosaic_axes(width, height)
    panels = flatten(rows)
    draw_grey(ax, sample_planes(as_3d(img, texts[1]), img, panels, box), panels, box)
    annotate_rows(ax, rows, box)
    write_header(fig, texts[0], [(texts[1], "white")])
    return to_png(fig)
