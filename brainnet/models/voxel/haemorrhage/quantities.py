"""What a physician reads off an outlined haemorrhage: volumes, shift, scores."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform

__all__ = [
    "ABC",
    "Shift",
    "abc_over_2",
    "evans_index",
    "graeb_score",
    "ich_score_imaging",
    "irregularity",
    "ivh_score",
    "lesions",
    "midline_shift",
    "volume_ml",
]

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: Of the largest section: what counts as a whole slice, and as half a one (Kothari et al. 1996).
_WHOLE, _HALF = 0.75, 0.25
_AROUND = 8  # voxels that a blurred mask may spread to
_ENDS, _OUTER = 0.1, 0.2  # shares of a midline at each end that say where it is fixed; not read
_INNER, _HEIGHTS = 0.4, (0.5, 0.65)  # what is read where nobody says: its middle, by height
_UPPER = (0.45, 0.95)  # heights in the skull at which those ends are looked for
_LEAST_BORDER = 60.0  # mm


class ABC(NamedTuple):
    """The bedside estimate of a volume.

    Attributes
    ----------
    a, b, c : float
        Longest diameter of the largest section, the longest across it, and the height by slices
        that count; mm.
    volume_ml : float
        :math:`ABC/2`.
    """

    a: float
    b: float
    c: float
    volume_ml: float


class Shift(NamedTuple):
    """How far the midline is pushed aside.

    Attributes
    ----------
    mm : float
        0 or more.
    to : str
        ``left``, ``right`` or ``none`` (below 1 mm).
    slice : int
        Where it was measured; -1 where it could not be.
    """

    mm: float
    to: str
    slice: int


def volume_ml(share: NDArray, spacing: tuple[float, float, float]) -> float:
    """Return a volume, of a mask or of shares of voxels.

    Parameters
    ----------
    share : (nx, ny, nz) array
        In [0, 1].
    spacing : three floats
        mm.

    Examples
    --------
    >>> volume_ml(np.ones((10, 10, 10)), (1.0, 1.0, 5.0))
    5.0
    """
    return float(np.sum(share, dtype=np.float64) * np.prod(spacing) / 1000)


def lesions(
    mask: Mask, spacing: tuple[float, float, float], *, least_ml: float = 0.1
) -> list[Mask]:
    """Return the pieces of a mask that touch by face, edge or corner, the largest first.

    Parameters
    ----------
    mask : (nx, ny, nz) bool array
    spacing : three floats
        mm.
    least_ml : float
        Smaller pieces are left out.
    """
    pieces, n_pieces = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=n_pieces + 1)[1:] * np.prod(spacing) / 1000
    order = np.argsort(-sizes, kind="stable")
    return [pieces == 1 + each for each in order if sizes[each] >= least_ml]


def abc_over_2(mask: Mask, spacing: tuple[float, float, float]) -> ABC:
    r"""Return ABC/2 of one haematoma, as a reader takes it.

    On the axial slice with the largest section, :math:`A` is its longest diameter and :math:`B`
    the longest at a right angle to it. :math:`C` is the thickness of the slices: one with more
    than 75 % of the largest section counts once, one with 25 to 75 % half, a smaller one not.

    Parameters
    ----------
    mask : (nx, ny, nz) bool array
        Third axis across the slices.
    spacing : three floats
        mm.

    References
    ----------
    Kothari et al. (1996), The ABCs of measuring intracerebral hemorrhage volumes, Stroke 27:1304.

    Examples
    --------
    >>> x, y, z = np.ogrid[-30:31, -30:31, -30:31]
    >>> ball = x**2 + y**2 + z**2 <= 20**2
    >>> found = abc_over_2(ball, (1.0, 1.0, 1.0))
    >>> round(found.a), round(found.b)
    (41, 41)
    """
    areas = mask.sum(axis=(0, 1))
    if not areas.any():
        return ABC(0.0, 0.0, 0.0, 0.0)
    largest = int(areas.argmax())
    share = areas / areas[largest]
    slices = np.sum(share > _WHOLE) + 0.5 * np.sum((share >= _HALF) & (share <= _WHOLE))
    a, b = _diameters(mask[..., largest], spacing[0], spacing[1])
    c = float(slices * spacing[2])
    return ABC(a, b, c, a * b * c / 2000)


def _diameters(section: Mask, dx: float, dy: float) -> tuple[float, float]:
    """Return the longest diameter of a section and the longest across it; whole voxels, mm."""
    voxels = np.argwhere(section)
    corners = np.unique(
        np.concatenate([voxels + each for each in ((0, 0), (0, 1), (1, 0), (1, 1))]), axis=0
    ) * (dx, dy)
    try:
        hull = corners[ConvexHull(corners).vertices]
    except QhullError:  # pragma: no cover  (corners of a voxel always span a plane)
        hull = corners
    apart = squareform(pdist(hull))
    first, second = np.unravel_index(apart.argmax(), apart.shape)
    along = (hull[second] - hull[first]) / apart[first, second]
    across = hull @ (-along[1], along[0])
    return float(apart[first, second]), float(across.max() - across.min())


def midline_shift(
    left: Mask, right: Mask, inside: Mask, spacing: tuple[float, float, float],
    *, rows: NDArray | None = None, slices: NDArray | None = None, scale: float = 1.0,
) -> Shift:  # fmt: skip
    """Return how far what parts left from right lies from where the skull says it should.

    On each axial slice the border of the halves is traced from front to back. Its ends, where the
    falx is fixed, together give the plane on which it should lie. The shift is the median distance
    from it of all places of the border that are read: one that is farther than the others, or
    where the halves are mistaken for one another, does not count.

    Parameters
    ----------
    left, right : (nx, ny, nz) bool arrays
        The halves of the brain, ventricles included; axes RAS.
    inside : (nx, ny, nz) bool array
        All that lies in the skull.
    spacing : three floats
        mm.
    rows, slices : array of int, optional
        Places along y and z where it is measured: those of the septum between the lateral
        ventricles. By default the middle fifth of the border, and the slices between the 50th and
        the 65th hundredth of the height.
    scale : float
        Shift over that distance: above 1 where what is taken for the ends goes along.

    Returns
    -------
    Shift
        ``slice`` is that whose border went farthest.
    """
    heights = np.flatnonzero(inside.any(axis=(0, 1)))
    if not heights.size:
        return Shift(0.0, "none", -1)
    low, high = np.quantile(heights, _UPPER).astype(int)
    if slices is None:
        slices = np.arange(*np.quantile(heights, _HEIGHTS).astype(int))
    every = np.union1d(slices, np.arange(low, high + 1))
    border = np.stack([_border(left[..., z], right[..., z], spacing) for z in every], axis=1)
    if np.isnan(border).all():
        return Shift(0.0, "none", -1)
    away = border - _plane_of_ends(border)
    away[~_between(border, _INNER if rows is None else _OUTER)] = np.nan
    if rows is not None:
        away[~np.isin(np.arange(len(away)), rows)] = np.nan
    away = away[:, np.isin(every, slices)]
    there = ~np.isnan(away).all(axis=0)
    if not there.any():  # halves only above or below the slices that are read
        return Shift(0.0, "none", -1)
    shift = scale * float(np.nanmedian(away))
    of_slice = np.nanmedian(away[:, there], axis=0) * (1 if shift >= 0 else -1)
    at = int(np.sort(slices)[there][int(of_slice.argmax())])
    if abs(shift) < 1.0:
        return Shift(abs(shift), "none", at)
    return Shift(abs(shift), "right" if shift > 0 else "left", at)


def _border(left: Mask, right: Mask, spacing: tuple[float, float, float]) -> Floats:
    """Return ``(ny,)`` places of the border of the halves in a slice, mm; NaN where it is none."""
    border = np.full(left.shape[1], np.nan)
    rows = np.flatnonzero(left.any(axis=0) & right.any(axis=0))
    if rows.size * spacing[1] < _LEAST_BORDER:
        return border
    n_left, n_right = (
        np.cumsum(left, axis=0)[:, rows],
        np.cumsum(right[::-1], axis=0)[::-1][:, rows],
    )
    # the place with the most left on its left and right on its right
    gain = np.pad(n_left, ((1, 0), (0, 0))) + np.pad(n_right, ((0, 1), (0, 0)))
    best = gain == gain.max(axis=0)
    places = np.arange(gain.shape[0])[:, None]
    border[rows] = (best * places).sum(axis=0) / best.sum(axis=0) * spacing[0]
    return border


def _between(border: Floats, ends: float) -> Mask:
    """Return where in ``(ny, n_slices)`` a border is not within a share of its ends."""
    there = ~np.isnan(border)
    at = np.cumsum(there, axis=0) / np.maximum(there.sum(axis=0), 1)
    return np.asarray(there & (at > ends) & (at <= 1 - ends))


def _plane_of_ends(border: Floats) -> Floats:
    """Return the plane through the ends of a border ``(ny, n_slices)``, by least deviations."""
    ends = ~np.isnan(border) & ~_between(border, _ENDS)
    design = np.stack([np.ones(border.shape), *np.indices(border.shape)], axis=-1)
    here, x = design[ends], border[ends]
    weight: Floats = np.ones(len(x))
    plane: Floats = np.zeros(3)
    for _ in range(20):  # least squares, weighted again and again
        scaled = here * weight[:, None]
        plane = np.asarray(np.linalg.lstsq(scaled, x * weight, rcond=None)[0], float)
        weight = 1 / np.sqrt(np.maximum(np.abs(x - here @ plane), 0.1))
    return np.asarray(design @ plane)


def evans_index(lateral: Mask, inside: Mask, spacing: tuple[float, float, float]) -> float:
    """Return the widest part of the frontal horns over the widest inside of the skull there.

    Above 0.3 the ventricles are enlarged. NaN where no lateral ventricle was found.

    Parameters
    ----------
    lateral : (nx, ny, nz) bool array
        Both lateral ventricles, with the blood in them; axes RAS.
    inside : (nx, ny, nz) bool array
        All that lies in the skull.
    spacing : three floats
        mm.

    References
    ----------
    Evans (1942), An encephalographic ratio for estimating ventricular enlargement, Arch Neurol
    Psychiatry 47:931.
    """
    if not lateral.any():
        return float("nan")
    y = np.flatnonzero(lateral.any(axis=(0, 2)))
    front = np.arange(lateral.shape[1]) >= np.quantile(y, 0.6)
    horns = lateral & front[None, :, None]
    widths = np.array([_width(horns[..., each]) for each in range(lateral.shape[2])])
    at = int(widths.argmax())
    whole = _width(inside[..., at])
    return float(widths[at] / whole) if whole else float("nan")


def _width(section: Mask) -> int:
    """Return voxels from the leftmost to the rightmost of a section."""
    x = np.flatnonzero(section.any(axis=1))
    return int(x[-1] - x[0] + 1) if x.size else 0


def graeb_score(filled: dict[str, float], *, expanded: dict[str, bool] | None = None) -> int:
    """Return the Graeb score of blood in the ventricles, 0 to 12.

    A lateral ventricle counts 1 for a trace (up to a tenth), 2 below half, 3 above, 4 if filled
    and expanded; the third and fourth 1 for blood, 2 if filled and expanded.

    Parameters
    ----------
    filled : dict
        Share of ``left``, ``right``, ``third`` and ``fourth`` that is blood.
    expanded : dict, optional
        Which are larger than they should be.

    References
    ----------
    Graeb et al. (1982), Computed tomographic diagnosis of intraventricular hemorrhage, Radiology
    143:91.

    Examples
    --------
    >>> graeb_score({"left": 0.05, "right": 0.7, "third": 1.0, "fourth": 0.0})
    5
    """
    wide = expanded or {}
    score = 0
    for name in ("left", "right"):
        share = filled.get(name, 0.0)
        if share > 0:
            score += 1 if share <= 0.1 else 2 if share < 0.5 else 3
            score += share > 0.9 and wide.get(name, False)
    for name in ("third", "fourth"):
        share = filled.get(name, 0.0)
        score += (share > 0) + (share > 0.9 and wide.get(name, False))
    return int(score)


def ivh_score(filled: dict[str, float], *, hydrocephalus: bool) -> tuple[int, float]:
    """Return the IVH score, 0 to 23, and the volume in ml that it stands for.

    :math:`3 (L + R) + III + IV + 3 H`, with 1 to 3 for thirds of a lateral ventricle.

    Parameters
    ----------
    filled : dict
        As in :func:`graeb_score`.
    hydrocephalus : bool

    References
    ----------
    Hallevi et al. (2009), The IVH score, Crit Care Med 37:969.

    Examples
    --------
    >>> ivh_score({"left": 0.5, "third": 1.0}, hydrocephalus=True)
    (10, 7.38905609893065)
    """
    lateral = sum(min(3, int(np.ceil(3 * filled.get(name, 0.0)))) for name in ("left", "right"))
    below = sum(filled.get(name, 0.0) > 0 for name in ("third", "fourth"))
    score = 3 * lateral + below + 3 * hydrocephalus
    return int(score), float(np.exp(score / 5)) if score else 0.0


def ich_score_imaging(volume: float, *, intraventricular: bool, infratentorial: bool) -> int:
    """Return the part of the ICH score that a scan gives, 0 to 3; coma and age add up to 3 more.

    One each for 30 ml or more, blood in a ventricle, and an origin below the tentorium.

    References
    ----------
    Hemphill et al. (2001), The ICH score, Stroke 32:891.

    Examples
    --------
    >>> ich_score_imaging(42.0, intraventricular=True, infratentorial=False)
    2
    """
    return int(volume >= 30) + int(intraventricular) + int(infratentorial)


def irregularity(mask: Mask, spacing: tuple[float, float, float]) -> float:
    r"""Return how far a shape is from a ball: 0 for a ball, towards 1 the more surface it has.

    :math:`1 - \pi^{1/3} (6V)^{2/3} / S`, with the surface :math:`S = \int |\nabla m|` of the mask,
    blurred by 1.5 mm (co-area formula).

    Raises
    ------
    ValueError
        The mask is empty.
    """
    if not mask.any():
        raise ValueError("mask must not be empty. Ask only for lesions that there are.")
    blurred = [1.5 / each for each in spacing]  # mm; finer detail is the grid's own
    soft = ndimage.gaussian_filter(np.pad(mask, _AROUND).astype(np.float64), blurred)
    surface = float(np.linalg.norm(np.gradient(soft, *spacing), axis=0).sum() * np.prod(spacing))
    volume = float(mask.sum() * np.prod(spacing))
    return float(max(0.0, 1 - np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface))
