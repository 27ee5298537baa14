"""Slices of a head CT in the brain window, with what was found outlined, as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.funcs import as_closest_canonical
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from brainnet.report._canvas import BLACK, as_3d, new_figure, styled, to_png, write_header

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLORS", "KINDS", "chosen_slices", "haemorrhage_mosaic"]

#: numbers of the label image and what they are
KINDS: Final[dict[int, str]] = {
    11: "intraparenchymal",
    12: "intraventricular",
    13: "subarachnoid",
    14: "subdural",
    15: "epidural",
    16: "oedema",
}
#: colour of each outline, on every page the same
COLORS: Final[dict[str, str]] = {
    "intraparenchymal": "#ff5f6d",
    "intraventricular": "#35c8ff",
    "subarachnoid": "#ffd23f",
    "subdural": "#7dff6b",
    "epidural": "#d08bff",
    "oedema": "#ffffff",
}
_BLOOD: Final = (11, 12, 13, 14, 15)
_WINDOW: Final = (0.0, 80.0)  # Hounsfield units: width 80, level 40
_MARGIN: Final = 12.0  # mm around what is labelled: scalp and skull
_HEADER: Final = 0.34  # inches
_WIDTH: Final = 10.4
_STEADY: Final = 0.1  # share of the largest area under which a slice does not count


@dataclass(frozen=True)
class _Head:
    """An image and its labels with axes as near to right, front and up as can be."""

    units: NDArray[np.float32]
    labels: NDArray[np.int16]
    affine: NDArray[np.float64]
    sizes: NDArray[np.float64]

    def height(self, number: int) -> float:
        """Return the world height, mm, of the middle of a slice."""
        middle = [(n - 1) / 2 for n in self.units.shape[:2]]
        return float(apply_affine(self.affine, [*middle, number])[2])


def _head(img: Nifti1Image, labels_img: Nifti1Image) -> _Head:
    """Return both images upright, or say that they are not on one grid."""
    if img.shape[:3] != labels_img.shape[:3] or not np.allclose(
        img.affine, labels_img.affine, atol=1e-3
    ):
        raise ValueError(
            f"labels_img must be on the grid of img; got {labels_img.shape} and {img.shape}. "
            "Give the label image that was made of this image."
        )
    upright, labels = (as_closest_canonical(each) for each in (img, labels_img))
    return _Head(
        as_3d(upright, "img"),
        np.asarray(as_3d(labels, "labels_img"), dtype=np.int16),
        np.asarray(upright.affine, dtype=np.float64),
        np.asarray(voxel_sizes(upright.affine), dtype=np.float64),
    )


def chosen_slices(labels: NDArray[Any], count: int, *, first: Sequence[int] = ()) -> list[int]:
    """Choose slices that show what was found, spread over it, and over the head where it is small.

    Parameters
    ----------
    labels : (nx, ny, nz) integer array
        Numbers as in `KINDS`, others for anatomy; the third axis goes from below to above.
    count : int
        How many; fewer where there are fewer slices.
    first : sequence of int
        Slices that must be among them.

    Returns
    -------
    list of int
        From below to above. The slice with most of each kind of haemorrhage is among them, as
        far as ``count`` allows.

    Examples
    --------
    >>> labels = np.zeros((4, 4, 20), dtype=int)
    >>> labels[:, :, 2:18] = 1
    >>> chosen_slices(labels, 3)
    [3, 9, 16]
    >>> labels[1, 1, 12:15] = 14
    >>> chosen_slices(labels, 3)
    [12, 13, 14]
    """
    areas = {kind: np.count_nonzero(labels == kind, axis=(0, 1)) for kind in _BLOOD}
    blood = np.sum(list(areas.values()), axis=0)
    inside = np.count_nonzero(labels, axis=(0, 1))
    peaks = sorted((-area.max(), int(area.argmax())) for area in areas.values() if area.any())
    chosen = list(dict.fromkeys([*first, *(number for _, number in peaks)]))[:count]
    if blood.any():
        _spread(chosen, np.flatnonzero(blood > _STEADY * blood.max()), count)
    there = np.flatnonzero(inside > 0.15 * inside.max()) if inside.any() else np.arange(len(inside))
    if not chosen:
        inner = there[int(0.07 * len(there)) : int(np.ceil(0.93 * len(there)))]
        places = np.linspace(0, len(inner) - 1, min(count, len(inner)))
        chosen = [int(inner[place]) for place in np.rint(places).astype(int)]
    _spread(chosen, there, count)
    return sorted(chosen)


def _spread(chosen: list[int], there: NDArray[np.intp], count: int) -> None:
    """Add slices, each as far from those chosen as can be, until there are enough."""
    while len(chosen) < count and len(rest := np.setdiff1d(there, chosen)):
        if not chosen:
            chosen.append(int(rest[len(rest) // 2]))
            continue
        apart = np.abs(rest[:, None] - np.array(chosen)[None]).min(axis=1)
        chosen.append(int(rest[apart.argmax()]))


@styled
def haemorrhage_mosaic(
    img: Nifti1Image,
    labels_img: Nifti1Image,
    *,
    lesions: Sequence[Mapping[str, Any]] = (),
    first: Sequence[Sequence[float]] = (),
    outlines: bool = True,
    grid: tuple[int, int] = (2, 5),
) -> bytes:
    """Draw axial slices in the brain window, seen from below, with outlines by kind.

    Parameters
    ----------
    img : Nifti1Image
        3-D head CT in Hounsfield units, any orientation and spacing; shown from 0 to 80.
    labels_img : Nifti1Image
        On the same grid, numbers as in `KINDS`.
    lesions : sequence of mapping
        ``number`` and ``centre_mm`` (RAS): the number is written in the slice next to the centre.
    first : sequence of points
        World points ``(x, y, z)``, mm: their slices are shown whatever else is.
    outlines : bool
        False leaves outlines and numbers out, for a look at the bare image.
    grid : (int, int)
        Rows and columns.

    Returns
    -------
    bytes
        PNG, 1560 pixels wide, without metadata: the same images give the same bytes. The slices
        are the image's own, nearest to axial, not resampled. Radiological convention: the right
        of the patient is on the left.

    Raises
    ------
    ValueError
        If an image is not 3-D, or the grids differ.

    Examples
    --------
    >>> img = Nifti1Image(np.full((8, 8, 8), 30, dtype=np.float32), np.eye(4))
    >>> labels_img = Nifti1Image(np.ones((8, 8, 8), dtype=np.int16), np.eye(4))
    >>> haemorrhage_mosaic(img, labels_img, grid=(1, 2))[1:4]
    b'PNG'
    """
    head = _head(img, labels_img)
    numbers = chosen_slices(head.labels, grid[0] * grid[1], first=_slices_at(head, first))
    n_rows = -(-len(numbers) // grid[1])
    low, high = _box(head)
    tall = _WIDTH / grid[1] * (high[1] - low[1]) / (high[0] - low[0])
    total = n_rows * tall + _HEADER
    fig = new_figure(_WIDTH, total, facecolor=BLACK)
    marks = _marks(head, lesions, numbers) if outlines else {}
    for place, number in enumerate(numbers):
        row, column = divmod(place, grid[1])
        bottom = (n_rows - 1 - row) * tall / total
        ax = fig.add_axes((column / grid[1], bottom, 1 / grid[1], tall / total))
        _draw(ax, head, number, outlines=outlines)
        for text, (x, y) in marks.get(number, ()):
            _point_at(ax, (x, y), text)
        ax.set_xlim(high[0], low[0])  # the right of the patient on the left
        ax.set_ylim(low[1], high[1])
        _annotate(ax, head, number)
    write_header(fig, "Window 80, level 40 HU", _legend(head.labels) if outlines else ())
    return to_png(fig)


def _slices_at(head: _Head, points: Sequence[Any]) -> list[int]:
    """Return the slice of each world point that lies in the image."""
    if not len(points):
        return []
    places = apply_affine(np.linalg.inv(head.affine), np.atleast_2d(points))[:, 2]
    numbers = np.rint(places).astype(int)
    return [int(each) for each in numbers if 0 <= each < head.units.shape[2]]


def _box(head: _Head) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the least and the greatest corner, mm in the plane, of what is shown."""
    shown = np.asarray((head.labels > 0).any(axis=2))
    if not shown.any():
        shown = np.asarray((head.units > -200).any(axis=2))
    if not shown.any():
        shown = np.ones_like(shown)
    ends = [np.flatnonzero(shown.any(axis=1 - axis))[[0, -1]] for axis in (0, 1)]
    low, high = np.array(ends, dtype=np.float64).T * head.sizes[:2]
    return low - _MARGIN, high + _MARGIN


def _marks(
    head: _Head, lesions: Sequence[Mapping[str, Any]], numbers: Sequence[int]
) -> dict[int, list[tuple[str, tuple[float, float]]]]:
    """Return by slice the number of each lesion and its place in the plane, mm."""
    marks: dict[int, list[tuple[str, tuple[float, float]]]] = {}
    for lesion in lesions:
        centre = lesion.get("centre_mm")
        if centre is None:
            continue
        x, y, z = apply_affine(np.linalg.inv(head.affine), centre)
        nearest = min(numbers, key=lambda number: abs(number - z))
        extent = lesion.get("slices") or (nearest, nearest)
        if extent[0] <= nearest <= extent[1]:
            place = (x * head.sizes[0], y * head.sizes[1])
            marks.setdefault(nearest, []).append((str(lesion["number"]), place))
    return marks


def _draw(ax: Axes, head: _Head, number: int, *, outlines: bool) -> None:
    """Draw one slice and the outlines on it, in mm."""
    (n_x, n_y), (size_x, size_y) = head.units.shape[:2], head.sizes[:2]
    ax.set_axis_off()
    ax.imshow(
        np.nan_to_num(head.units[:, :, number].T, nan=-1000.0), cmap="gray", vmin=_WINDOW[0],
        vmax=_WINDOW[1], origin="lower", aspect="auto", interpolation="bilinear",
        extent=(-0.5 * size_x, (n_x - 0.5) * size_x, -0.5 * size_y, (n_y - 0.5) * size_y),
    )  # fmt: skip
    if not outlines:
        return
    plane = np.pad(head.labels[:, :, number], 1).T
    x, y = (np.arange(-1, n + 1) * size for n, size in ((n_x, size_x), (n_y, size_y)))
    for kind, name in KINDS.items():
        if (plane == kind).any():
            dashes = "dotted" if name == "oedema" else "solid"
            ax.contour(x, y, plane == kind, levels=[0.5], colors=[COLORS[name]], linewidths=1.0,
                       linestyles=[dashes])  # fmt: skip


def _annotate(ax: Axes, head: _Head, number: int) -> None:
    """Write the side, the number of the slice and its height on one panel."""
    _write(ax, (0.02, 0.98), "R", size=8, top=True)
    _write(ax, (0.02, 0.015), f"{number + 1}   z {head.height(number):.0f}", size=6.5, top=False)


def _write(ax: Axes, place: tuple[float, float], text: str, *, size: float, top: bool) -> None:
    """Write at a place given as shares of the panel."""
    ax.text(*place, text, color="white", fontsize=size, ha="left", va="top" if top else "bottom",
            transform=ax.transAxes, path_effects=_edged())  # fmt: skip


def _point_at(ax: Axes, place: tuple[float, float], text: str) -> None:
    """Write the number of a haemorrhage beside it, with a line to its centre."""
    ax.annotate(
        text, place, (14, 14), textcoords="offset points", color="white", fontsize=8,
        weight="bold", ha="center", va="center", path_effects=_edged(), annotation_clip=True,
        arrowprops={"arrowstyle": "-", "color": "white", "linewidth": 0.6, "shrinkB": 3},
    )  # fmt: skip


def _edged() -> list[Any]:
    """Return what makes writing readable on grey."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.0, foreground="black")]


def _legend(labels: NDArray[np.int16]) -> list[tuple[str, str]]:
    """Return each kind with its colour; those that are not there, dim."""
    found = set(np.unique(labels).tolist())
    return [
        (f"— {name}", COLORS[name]) if kind in found else (f"no {name}", "#5d6670")
        for kind, name in KINDS.items()
    ]
