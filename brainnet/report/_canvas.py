"""Common ground of the report's figures: one style, one deterministic PNG writer, brain mosaics."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

INK, MUTED, RULE, ACCENT = "#1d2733", "#5b6876", "#d5dbe1", "#1f6f8b"
BLACK, DIM = "#0b0d10", "#aeb8c2"
MODALITY_COLORS = {"functional": "#1f6f8b", "morphological": "#b5541c", "metabolic": "#6b4fa0"}
PALETTE = (
    "#1f6f8b", "#b5541c", "#6b4fa0", "#3d7f3a", "#b03060",
    "#8a6d00", "#4b5f9e", "#00796b", "#8c4a2f", "#5f6b2d",
)  # fmt: skip
BRIGHT = ("#ffb000", "#35c8ff", "#ff5fa2", "#7dff6b", "#c79bff", "#ffffff")
NOT_MEASURED = "#e3e6ea"
DPI = 150
PLANES = ("x", "y", "z")

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "hatch.linewidth": 0.5,
    "hatch.color": "#9aa4ae",
}


def styled(function: Callable[P, bytes]) -> Callable[P, bytes]:
    """Run a figure function under the report's style, whatever the user's matplotlibrc says."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> bytes:
        import matplotlib.style

        with matplotlib.style.context(["default", _STYLE]):
            return function(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float, *, facecolor: str = "white") -> Figure:
    """Return an Agg figure of that size in inches; pyplot and its state are never touched."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), dpi=DPI, facecolor=facecolor)
    FigureCanvasAgg(fig)
    return fig


def to_png(fig: Figure) -> bytes:
    """Return the figure as a PNG with no metadata: same figure, same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = fig.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="PNG", compress_level=6)
    return stream.getvalue()


@dataclass(frozen=True)
class Box:
    """Region of world space to show: lower and upper corner in mm (RAS)."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One slice of a mosaic: world axis of its normal, position in mm, place on the page."""

    axis: int
    position: float
    left: float
    bottom: float
    scale: float


def as_3d(img: Nifti1Image, name: str) -> NDArray[np.float32]:
    """Return the data of a 3-D image as float32, or say which argument is not one."""
    data = np.asanyarray(img.dataobj)
    if data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise ValueError(
            f"{name} must be a 3-D image; got shape {data.shape}. "
            "Pass one volume, for example the mean over time."
        )
    return np.asarray(data, dtype=np.float32)


def foreground(img: Nifti1Image, name: str = "image") -> NDArray[np.bool_]:
    """Return the voxels that are not background: above a tenth of the bright end."""
    data = as_3d(img, name)
    finite = np.isfinite(data)
    if not finite.any():
        raise ValueError(f"{name} has no finite voxel. Check the step that made it.")
    positive = data[finite & (data > 0)]
    if positive.size == 0:
        return np.asarray(finite & (data != 0))
    return np.asarray(finite & (data > 0.1 * np.percentile(positive, 99)))


def box_of(mask: NDArray[np.bool_], affine: NDArray[np.float64], margin: float = 4.0) -> Box:
    """Return the world box around a mask; the whole grid where the mask is empty."""
    if not mask.any():
        mask = np.ones(mask.shape, dtype=bool)
    edges = []
    for axis in range(3):
        profile = mask.sum(axis=tuple(a for a in range(3) if a != axis))
        index = np.flatnonzero(profile > 0.002 * profile.max())
        edges.append((index[0] - 0.5, index[-1] + 0.5))
    corners = np.array([[i, j, k] for i in edges[0] for j in edges[1] for k in edges[2]])
    world = corners @ affine[:3, :3].T + affine[:3, 3]
    return Box(world.min(axis=0) - margin, world.max(axis=0) + margin)


def plane_axes(axis: int) -> tuple[int, int]:
    """Return the horizontal and vertical world axis of a slice with that normal."""
    return {0: (1, 2), 1: (0, 2), 2: (0, 1)}[axis]


def sample_plane(
    data: NDArray[Any], affine: NDArray[np.float64], panel: Panel, box: Box, *, order: int = 1
) -> NDArray[np.float32]:
    """Return the image on a world-aligned slice (rows upward), NaN outside the image."""
    from scipy.ndimage import map_coordinates

    step = 0.75
    across, up = plane_axes(panel.axis)
    horizontal = np.arange(box.low[across], box.high[across], step) + step / 2
    vertical = np.arange(box.low[up], box.high[up], step) + step / 2
    world = np.empty((3, vertical.size, horizontal.size))
    world[panel.axis] = panel.position
    world[across], world[up] = np.meshgrid(horizontal, vertical)
    inverse = np.linalg.inv(affine)
    voxel = np.tensordot(inverse[:3, :3], world, axes=1) + inverse[:3, 3][:, None, None]
    values = map_coordinates(
        data, voxel, order=order, mode="constant", cval=np.nan, prefilter=False
    )
    return np.asarray(values, dtype=np.float32)


def place_panels(
    rows: Sequence[Sequence[tuple[int, float]]], box: Box, *, gap: float = 3.0
) -> tuple[list[list[Panel]], float, float]:
    """Lay rows of (axis, position) out as justified rows; return them, width and height."""
    extent = box.high - box.low
    total = max(sum(extent[plane_axes(axis)[0]] + gap for axis, _ in row) for row in rows) - gap
    placed: list[list[Panel]] = []
    bottom = 0.0
    for row in reversed(rows):
        shapes = [extent[list(plane_axes(axis))] for axis, _ in row]
        ratio = sum(width / height for width, height in shapes)
        tall = (total - gap * (len(row) - 1)) / ratio
        widths = [width * tall / height for width, height in shapes]
        lefts = np.concatenate([[0.0], np.cumsum(np.array(widths) + gap)])
        placed.append(
            [
                Panel(axis, mm, float(left), bottom, float(tall / shape[1]))
                for (axis, mm), left, shape in zip(row, lefts[:-1], shapes, strict=True)
            ]
        )
        bottom += float(tall) + gap
    return placed[::-1], float(total), bottom - gap


def positions(box: Box, axis: int, count: int) -> list[tuple[int, float]]:
    """Return ``count`` slices of one axis, spread over the inner part of the box."""
    margin = min(0.5, max(0.14, 0.5 / count + 0.07))
    share = np.linspace(margin, 1 - margin, count)
    low, high = box.low[axis], box.high[axis]
    return [(axis, float(np.round(low + s * (high - low), 1))) for s in share]


def three_plane_rows(box: Box, n_slices: int) -> list[list[tuple[int, float]]]:
    """Return an axial, a coronal and a sagittal row of about the same width."""
    extent = box.high - box.low
    n_sagittal = max(2, round(n_slices * extent[0] / extent[1]))
    return [positions(box, 2, n_slices), positions(box, 1, n_slices), positions(box, 0, n_sagittal)]


def mosaic_axes(
    width: float, height: float, *, header: float = 0.34, right: float = 0.0
) -> tuple[Figure, Axes]:
    """Return a dark figure 10.4 inches wide whose axes span the mosaic in its own units."""
    inches = 10.4 - right
    panel_height = inches * height / width
    total = panel_height + header
    fig = new_figure(10.4, total, facecolor=BLACK)
    ax = fig.add_axes((0, 0, inches / 10.4, panel_height / total))
    ax.set_xlim(0, width)
    ax.set_ylim(0, height)
    ax.set_axis_off()
    return fig, ax


def panel_extent(panel: Panel, box: Box) -> tuple[float, float, float, float]:
    """Return matplotlib's extent of one panel."""
    across, up = plane_axes(panel.axis)
    size = (box.high - box.low) * panel.scale
    return (panel.left, panel.left + size[across], panel.bottom, panel.bottom + size[up])


def annotate_panel(ax: Axes, panel: Panel, box: Box, *, first: bool) -> None:
    """Write the slice's coordinate, and which side is which on the first one of a row."""
    from matplotlib.patheffects import withStroke

    left, right, bottom, top = panel_extent(panel, box)
    ax.text(
        left + 2, bottom + 2, f"{PLANES[panel.axis]} = {panel.position:.0f}",
        color=DIM, fontsize=6.5, ha="left", va="bottom",
        path_effects=[withStroke(linewidth=2.0, foreground="black")],
    )  # fmt: skip
    if first:
        sides = ("P", "A") if panel.axis == 0 else ("L", "R")
        middle = (bottom + top) / 2
        ax.text(left + 1.5, middle, sides[0], color="white", fontsize=7.5, ha="left", va="center")
        ax.text(right - 1.5, middle, sides[1], color="white", fontsize=7.5, ha="right", va="center")


def write_header(
    fig: Figure, title: str, entries: Sequence[tuple[str, str]], *, header: float = 0.34
) -> None:
    """Write the title at the left and a legend of (text, colour) at the right of a mosaic."""
    y = 1 - 0.5 * header / fig.get_size_inches()[1]
    fig.text(0.008, y, title, color="white", fontsize=9.5, va="center", weight="bold")
    x = 0.992
    for text, color in reversed(entries):
        shown = fig.text(x, y, text, color=color, fontsize=8.5, ha="right", va="center")
        box = shown.get_window_extent()
        x -= box.width / (fig.get_size_inches()[0] * DPI) + 0.014


def sample_planes(
    data: NDArray[Any], img: Nifti1Image, panels: Sequence[Panel], box: Box, *, order: int = 1
) -> list[NDArray[np.float32]]:
    """Sample one image on every panel."""
    affine = np.asarray(img.affine, dtype=np.float64)
    return [sample_plane(data, affine, panel, box, order=order) for panel in panels]


def flatten(rows: Sequence[Sequence[Panel]]) -> list[Panel]:
    """Return the panels of all rows in reading order."""
    return [panel for row in rows for panel in row]


def annotate_rows(ax: Axes, rows: Sequence[Sequence[Panel]], box: Box) -> None:
    """Write coordinates on all panels and sides on the first of each row."""
    for row in rows:
        for number, panel in enumerate(row):
            annotate_panel(ax, panel, box, first=number == 0)


def foreground_box(img: Nifti1Image, name: str) -> Box:
    """Return the world box around what an image shows."""
    return box_of(foreground(img, name), np.asarray(img.affine, dtype=np.float64))


def grey_range(planes: Sequence[NDArray[np.float32]]) -> tuple[float, float]:
    """Return display limits: the 1st and 99.5th percentile of what is shown."""
    shown = np.concatenate([p[np.isfinite(p)].ravel() for p in planes])
    if shown.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(shown, [1.0, 99.7])
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)


def draw_grey(
    ax: Axes, planes: Sequence[NDArray[np.float32]], panels: Sequence[Panel], box: Box
) -> None:
    """Draw grey slices with common limits; what lies outside the image stays black."""
    low, high = grey_range(planes)
    for plane, panel in zip(planes, panels, strict=True):
        ax.imshow(
            np.nan_to_num(plane, nan=low), cmap="gray", vmin=low, vmax=high, origin="lower",
            extent=panel_extent(panel, box), aspect="auto",
        )  # fmt: skip
    ax.set_xlim(0, ax.get_xlim()[1])


def draw_contour(
    ax: Axes, plane: NDArray[np.float32], panel: Panel, box: Box, *, color: str, level: float = 0.5
) -> None:
    """Draw one contour line of a slice, if the level is crossed there."""
    values = np.nan_to_num(plane, nan=0.0)
    if not (values.min() < level < values.max()):
        return
    left, right, bottom, top = panel_extent(panel, box)
    rows, columns = values.shape
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    ax.contour(x, y, values, levels=[level], colors=[color], linewidths=0.9)


def plural(count: int, word: str) -> str:
    """Return the count with its word: 1 region, 2 regions."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


@lru_cache(maxsize=1)
def standard_brain() -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the mask and affine of the MNI brain that nilearn carries (2009, 1 or 2 mm)."""
    from importlib.metadata import distribution

    import nibabel as nib

    folder = "nilearn/datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
    package = distribution("nilearn")
    mask: NDArray[np.bool_] | None = None
    for tissue in ("gm", "wm"):
        img: Any = nib.load(str(package.locate_file(folder.format(tissue))))
        data = np.asanyarray(img.dataobj)
        inside = data > 0.4 * data.max()
        mask = inside if mask is None else mask | inside
    assert mask is not None
    return mask, np.asarray(img.affine, dtype=np.float64)
