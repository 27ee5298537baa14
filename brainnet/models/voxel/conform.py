"""Bring a head from any scanner to the grid that a network was trained on."""

from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
import torch
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from brainnet.models.voxel.normalise import normalise

__all__ = [
    "HU_WINDOW",
    "UNKNOWN_FORM",
    "VOXEL_SIZE_RANGE",
    "Conformed",
    "affine_of",
    "conform",
    "head_box",
    "to_grid",
]

_Box = tuple[tuple[int, int], ...]

#: mm. A finer image is not a head (or not in mm), a coarser one shows no structure.
VOXEL_SIZE_RANGE = (0.2, 10.0)
#: Least voxels along an axis.
MIN_VOXELS = 16
#: Where more than this share of an image lies below this it is in Hounsfield units: such is air.
_HU_AIR, _LEAST_AIR = -500.0, 0.01
#: Hounsfield units between which a brain shows; what lies outside is clipped.
HU_WINDOW = (-20.0, 100.0)
#: A head is shorter than this from its top to the foramen magnum, however it is tilted (mm).
_HEAD_HEIGHT = 230.0
#: Below the top by more than this there may be shoulders (mm).
_ABOVE_SHOULDERS = 160.0
#: A note of images without an affine of their own.
UNKNOWN_FORM = "the header does not say how the head lies: left and right may be swapped"
_FWHM_PER_SIGMA = 2.3548
_MARGIN = 8.0  # mm around what was found of the head


@dataclass(frozen=True)
class Conformed:
    """A head on a RAS grid of the network's voxel size.

    Parameters
    ----------
    data : (nx, ny, nz) float32 array
        Brightness in the image's own unit; Hounsfield units clipped to `HU_WINDOW`.
    measured : (nx, ny, nz) bool array
        Where the image was measured: inside its field of view, and a finite number.
    affine : (4, 4) array
        Indices of ``data`` to the image's world, RAS mm. Its axes are those of the world.
    fill : float
        What stands where nothing was measured.
    notes : tuple of str
        What was done to the image that is not done to every one.
    is_ct : bool
        Whether the image was read as CT.
    """

    data: NDArray[np.float32]
    measured: NDArray[np.bool_]
    affine: NDArray[np.float64]
    fill: float
    notes: tuple[str, ...] = ()
    is_ct: bool = False

    @property
    def voxel_size(self) -> float:
        """Edge of a voxel, mm."""
        return float(self.affine[0, 0])

    def crop(self, box: _Box) -> "Conformed":
        """Return what lies in a box; ``fill`` where the box goes beyond the data.

        Parameters
        ----------
        box : three pairs of int
            First index and the one after the last, along each axis; the first may be negative.

        Examples
        --------
        >>> img = Nifti1Image(np.arange(4096.0, dtype=np.float32).reshape(16, 16, 16), np.eye(4))
        >>> head = conform(img, voxel_size=1.0, crop=False).crop(((-2, 4), (0, 16), (8, 16)))
        >>> head.data.shape, head.affine[:3, 3].tolist(), int(head.measured.sum())
        ((6, 16, 8), [-2.0, 0.0, 8.0], 512)
        """
        sizes = self.data.shape
        inner = tuple(
            slice(max(0, a), max(0, min(b, n))) for (a, b), n in zip(box, sizes, strict=True)
        )
        margins = [
            (max(0, min(-a, b - a)), max(0, b - max(a, n)))
            for (a, b), n in zip(box, sizes, strict=True)
        ]
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ [float(a) for a, _ in box]
        data = np.pad(self.data[inner], margins, constant_values=self.fill)
        return replace(
            self, data=data, measured=np.pad(self.measured[inner], margins), affine=affine
        )

    def tensor(self) -> Tensor:
        """Return ``(1, 1, nx, ny, nz)`` float32 in [0, 1], as networks take it."""
        return normalise(torch.from_numpy(self.data))[None, None]


def conform(img: Nifti1Image, *, voxel_size: float = 2.0, crop: bool = True) -> Conformed:
    """Resample a head to RAS and one voxel size, and cut neck, shoulders and air off.

    Where voxels are finer than asked for they are averaged first, so that nothing is aliased;
    then values are interpolated linearly.

    Parameters
    ----------
    img : 3-D image
        Any orientation, oblique ones too, any contrast and unit. A fourth axis of length 1 goes.
    voxel_size : float
        mm.
    crop : bool
        Whether to keep only the box around the head (:func:`head_box`).

    Returns
    -------
    Conformed

    Raises
    ------
    ValueError
        A series of volumes; under 16 voxels along an axis; voxels outside 0.2 to 10 mm; an affine
        that cannot be inverted; numbers that are not real; none finite, or all the same.

    Examples
    --------
    >>> data = np.random.default_rng(0).random((40, 40, 20), np.float32)
    >>> conform(Nifti1Image(data, np.diag([-1.0, 1, 2, 1])), crop=False).data.shape
    (20, 20, 20)
    """
    data, affine = _checked(img)
    notes = []
    if not _has_form(img):
        notes.append(UNKNOWN_FORM)
    finite = np.isfinite(data)
    low = float(data.min(where=finite, initial=np.inf))
    high = float(data.max(where=finite, initial=-np.inf))
    air = np.count_nonzero(finite & (data < _HU_AIR)) / np.count_nonzero(finite)
    is_ct = bool(air > _LEAST_AIR and high > HU_WINDOW[1])
    if is_ct:
        notes.append(f"read as CT: Hounsfield units from {HU_WINDOW[0]:g} to {HU_WINDOW[1]:g}")
        low, high = HU_WINDOW
    background = low if is_ct else min(max(low, 0.0), high)
    data = np.clip(np.where(finite, data, background), low, high, dtype=np.float32)
    head = to_grid(data, finite, affine, voxel_size)
    head = replace(head, notes=tuple(notes), is_ct=is_ct)
    return head.crop(head_box(head.data, voxel_size)) if crop else head


def head_box(data: NDArray[np.float32], voxel_size: float) -> _Box:
    """Return the box around a head in a RAS volume: all that is not air, down to the neck.

    Parameters
    ----------
    data : (nx, ny, nz) array
    voxel_size : float
        mm.

    Returns
    -------
    three pairs of int
        First index and the one after the last, along each axis, inside the volume. All of it
        where nothing stands out.
    """
    body = _body(data)
    if not body.any():
        return tuple((0, n) for n in data.shape)
    top = int(np.flatnonzero(body.any((0, 1)))[-1]) + 1
    bottom = max(0, top - round(_HEAD_HEIGHT / voxel_size))
    slab = body[:, :, max(0, top - round(_ABOVE_SHOULDERS / voxel_size)) : top]
    ends = [np.flatnonzero(slab.any(axes))[[0, -1]] for axes in ((1, 2), (0, 2))]
    low = max(bottom, int(np.flatnonzero(body.any((0, 1)))[0]))
    found = [(int(a), int(b) + 1) for a, b in ends] + [(low, top)]
    margin = round(_MARGIN / voxel_size)
    return tuple(
        (max(0, a - margin), min(n, b + margin))
        for (a, b), n in zip(found, data.shape, strict=True)
    )


def _checked(img: Nifti1Image) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the volume and its affine after every check that a header and a shape allow."""
    shape = tuple(img.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3:
        what = "Take one volume, img.slicer[..., 0], or the mean over time."
        raise ValueError(f"img must be one volume with 3 dimensions; got shape {shape}. {what}")
    if min(shape) < MIN_VOXELS:
        raise ValueError(
            f"img must have {MIN_VOXELS} voxels or more along each axis; got shape {shape}. "
            "Give a whole head, not a slab."
        )
    affine = affine_of(img)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = VOXEL_SIZE_RANGE
    if not (np.isfinite(affine).all() and (sizes >= low).all() and (sizes <= high).all()):
        shown = " x ".join(f"{size:.6g}" for size in sizes)
        raise ValueError(
            f"img must have voxels of {low:g} to {high:g} mm; got {shown}. Is the header in mm? "
            "brainnet.io.load_img converts other units."
        )
    if abs(np.linalg.det(affine[:3, :3] / sizes)) < 0.1:
        raise ValueError("img must have an affine that can be inverted. Convert the image again.")
    data = np.asarray(img.dataobj).reshape(shape)
    if data.dtype.kind not in "biuf":
        raise ValueError(f"img must hold real numbers; got {data.dtype}. Take the magnitude.")
    with np.errstate(over="ignore"):  # what float32 cannot hold counts as not measured
        data = data.astype(np.float32)
    finite = np.isfinite(data)
    some = data[finite][:1]
    if not some.size or (data[finite] == some).all():
        what = f"{some[0]:g} in every finite voxel" if some.size else "no finite voxel"
        raise ValueError(f"img must show a head; got {what}. Look at the image.")
    return data, affine


def affine_of(img: Nifti1Image) -> NDArray[np.float64]:
    """Return the affine of an image; of one that has none, what its header's voxel size gives."""
    affine = img.header.get_base_affine() if img.affine is None else img.affine
    return np.asarray(affine, dtype=np.float64)


def _has_form(img: Nifti1Image) -> bool:
    header = img.header
    return bool(int(header["sform_code"]) or int(header["qform_code"]))


def to_grid(
    data: NDArray[np.float32],
    finite: NDArray[np.bool_],
    affine: NDArray[np.float64],
    voxel_size: float,
) -> Conformed:
    """Average and interpolate a volume on the RAS grid that covers its field of view.

    Parameters
    ----------
    data, finite : (nx, ny, nz) arrays
        Brightness, and where it was measured.
    affine : (4, 4) array
        Of them.
    voxel_size : float
        mm.
    """
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in data.shape])).reshape(3, -1)
    places = affine[:3, :3] @ corners + affine[:3, 3:]
    low, high = places.min(axis=1), places.max(axis=1)
    shape = tuple(int(n) for n in np.maximum(1, np.ceil((high - low) / voxel_size - 1e-3)))
    first = (low + high) / 2 - (np.array(shape) - 1) / 2 * voxel_size
    grid = nib.affines.from_matvec(np.diag([voxel_size] * 3), first)
    index = np.linalg.inv(affine) @ grid
    measured = ndimage.affine_transform(
        finite, index[:3, :3], index[:3, 3], shape, order=0, mode="grid-constant", cval=0
    )
    data, affine = _averaged(data, affine, voxel_size)
    index = np.linalg.inv(affine) @ grid
    out = ndimage.affine_transform(
        data, index[:3, :3], index[:3, 3], shape, order=1, mode="nearest", output=np.float32
    )
    fill = float(np.quantile(out[measured][::7], 0.005)) if measured.any() else 0.0
    out[~measured] = fill
    return Conformed(out, measured, grid, fill)


def _averaged(
    data: NDArray[np.float32], affine: NDArray[np.float64], voxel_size: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Blur along the axes whose voxels are finer than asked for, in blocks first if far finer.

    The blur is a Gaussian whose full width at half maximum makes the difference in quadrature.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    blocks = np.maximum(1, np.floor(voxel_size / 2 / sizes + 1e-3)).astype(int)
    if (blocks > 1).any():
        data = _block_means(data, blocks)
        affine = affine @ nib.affines.from_matvec(np.diag(blocks.astype(float)), (blocks - 1) / 2)
        sizes = sizes * blocks
    for axis, size in enumerate(sizes):
        sigma = np.sqrt(max(0.0, voxel_size**2 - size**2)) / _FWHM_PER_SIGMA / size
        if sigma > 0.2:
            data = ndimage.gaussian_filter1d(data, sigma, axis=axis, mode="nearest", truncate=2.5)
    return data, affine


def _block_means(data: NDArray[np.float32], blocks: NDArray[np.int_]) -> NDArray[np.float32]:
    for axis, block in enumerate(blocks):
        if block == 1:
            continue
        missing = -data.shape[axis] % block
        data = np.pad(data, [(0, missing if each == axis else 0) for each in range(3)], "edge")
        shape = (*data.shape[:axis], -1, block, *data.shape[axis + 1 :])
        data = data.reshape(shape).mean(axis=axis + 1, dtype=np.float32)
    return data


def _body(data: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the largest piece of what is brighter than air."""
    low, high = np.quantile(data.ravel()[::11], (0.005, 0.995))
    if not high > low:
        return np.zeros(data.shape, dtype=bool)
    scaled = ndimage.gaussian_filter(np.clip(data, low, high), 1.0, truncate=2.0)
    counts, edges = np.histogram(scaled, bins=256)
    bright = _otsu(counts, edges)
    dark = scaled[scaled <= bright]
    if not dark.size or dark.size == scaled.size:
        return np.zeros(data.shape, dtype=bool)
    air = float(np.median(dark))
    body = ndimage.binary_opening(scaled > air + 0.3 * (bright - air), iterations=2)
    pieces, n_pieces = ndimage.label(body)
    if n_pieces == 0:
        return np.asarray(body, dtype=bool)
    return np.asarray(pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]))


def _otsu(counts: NDArray[np.int_], edges: NDArray[np.floating]) -> float:
    """Return the threshold that leaves the least variance on its two sides (Otsu, 1979)."""
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1].astype(float)
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(edges[1 + int(np.nanargmax(apart))])
