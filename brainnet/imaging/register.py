"""Align two images: rigid and affine matrices, and deformations that carry the affine along.

Two engines do the same: ``"fast"``, which is brainnet's own, and ``"ants"``.
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage

from brainnet.imaging import _affine, _ants, _diffeo, _fields, _register_ants, transforms
from brainnet.imaging._affine import Alignment

__all__ = [
    "Alignment",
    "Deformation",
    "Engine",
    "RegistrationWarning",
    "register_affine",
    "register_deformable",
]

Engine = Literal["fast", "ants"]

#: How far a mask is widened (mm): the rim holds the edge of the brain.
_RIM_MM = 8.0


class RegistrationWarning(UserWarning):
    """A registration ended, but a person must look at its result."""


@dataclass(frozen=True)
class Deformation:
    """Two total displacement fields of one registration, affine part included.

    Both are ITK vector images: shape (x, y, z, 1, 3), float32, millimetres in LPS, so that
    ``antsApplyTransforms -t`` takes them as they are.

    Attributes
    ----------
    forward_img : Nifti1Image
        On the fixed grid: carries the moving image into fixed space.
    inverse_img : Nifti1Image
        On the moving grid: carries the fixed image into moving space.
    alignment : Alignment
        The affine part, and what was measured on it.
    least_jacobian : float
        Smallest Jacobian determinant of both fields; above 0, nothing folds.
    """

    forward_img: Nifti1Image
    inverse_img: Nifti1Image
    alignment: Alignment
    least_jacobian: float


def register_affine(
    fixed_img: Nifti1Image,
    moving_img: Nifti1Image,
    *,
    kind: Literal["rigid", "affine"] = "rigid",
    contrast: Literal["different", "same"] = "different",
    fixed_mask_img: Nifti1Image | None = None,
    moving_mask_img: Nifti1Image | None = None,
    engine: Engine = "fast",
    device: str = "cpu",
) -> Alignment:
    """Find the rigid or affine matrix that aligns two images.

    Mutual information is maximised from coarse to fine, down to 2 mm. The search starts from the
    two headers as they are and from matched centres at many turns; the headers' pose is kept
    unless another is 5 % better. Voxels outside the moving image's field of view are left out, so
    a slab registers to a whole head.

    Parameters
    ----------
    fixed_img, moving_img : Nifti1Image
        Three-dimensional, finite, any grid and unit.
    kind : {"rigid", "affine"}
        6 parameters (one person, one session) or 12.
    contrast : {"different", "same"}
        Whether one tissue may look different in the two. With "same", the fast engine ends by
        comparing intensities, locally normalised.
    fixed_mask_img, moving_mask_img : Nifti1Image, optional
        On the images' grids: only these voxels and a rim of 8 mm around them are compared. Give
        the brain, without a lesion: a hole stays a hole.
    engine : {"fast", "ants"}
        ANTs takes no moving mask and knows one contrast metric, Mattes mutual information.
    device : str
        For the fast engine: "cpu", or a torch device such as "cuda".

    Returns
    -------
    Alignment
        The pull matrix and what was measured on it. What a person must look at is also told as
        `RegistrationWarning`: a mirrored head, a volume that no adult of one species has, little
        overlap.

    Raises
    ------
    ValueError
        If an image is not three-dimensional, finite and varying, a mask is on another grid or
        empty, the images share no structure, or an option is unknown.

    References
    ----------
    Mattes et al. (2003), IEEE Trans Med Imaging 22:120. Thevenaz and Unser (2000), IEEE Trans
    Image Process 9:2083. Avants et al. (2011), NeuroImage 54:2033.

    Examples
    --------
    >>> x, y, z = np.meshgrid(*[np.linspace(-1, 1, 40)] * 3, indexing="ij")
    >>> head = (x**2 + 1.3 * y**2 + 1.6 * z**2 < 0.6) * (2 + np.sin(6 * x + 4 * y * z))
    >>> affine = np.diag([4.0, 4, 4, 1])
    >>> fixed_img = Nifti1Image(head.astype(np.float32), affine)
    >>> affine[:3, 3] = (5, -3, 2)
    >>> moving_img = Nifti1Image(10 - head.astype(np.float32), affine)
    >>> register_affine(fixed_img, moving_img).matrix[:3, 3].round(1).tolist()
    [5.0, -3.0, 2.0]
    """
    if kind not in ("rigid", "affine"):
        raise ValueError(f"kind must be 'rigid' or 'affine'; got {kind!r}.")
    _check_engine(engine, device)
    fixed, fixed_mask = _load(fixed_img, fixed_mask_img, "fixed")
    moving, moving_mask = _load(moving_img, moving_mask_img, "moving")
    found = _align(
        fixed, moving, fixed_mask, moving_mask,
        kind=kind, contrast=contrast, engine=engine, device=device,
    )  # fmt: skip
    _tell(found.flags)
    return found


def register_deformable(
    fixed_img: Nifti1Image,
    moving_img: Nifti1Image,
    *,
    quality: Literal["standard", "draft"] = "standard",
    contrast: Literal["same", "different"] = "same",
    fixed_mask_img: Nifti1Image | None = None,
    moving_mask_img: Nifti1Image | None = None,
    engine: Engine = "fast",
    device: str = "cpu",
) -> Deformation:
    """Find the diffeomorphism that carries one brain onto another, affine part included.

    Both images show the brain only, 0 around it. The metric is local correlation within 5 voxels.
    The fast engine is symmetric: two fields grow from a space half way between the images, and
    exchanging the images exchanges the results. Where a field were to fold, it is smoothed.

    Parameters
    ----------
    fixed_img, moving_img : Nifti1Image
        Three-dimensional, finite; template and T1-weighted brain, say.
    quality : {"standard", "draft"}
        Down to voxels of 1 mm, or of 2 mm (ANTs: to 2 mm in both, in draft with few iterations).
    contrast : {"same", "different"}
        With "different", local correlation is taken between descriptors of structure instead of
        intensities. ANTs has one way only.
    fixed_mask_img, moving_mask_img : Nifti1Image, optional
        On the images' grids: voxels further than 8 mm outside, or in a hole, pull at nothing and
        are carried by their neighbours. Give the brain without its lesion. ANTs takes the fixed
        one only.
    engine : {"fast", "ants"}
        brainnet's own or SyN.
    device : str
        For the fast engine: "cpu", or a torch device such as "cuda".

    Returns
    -------
    Deformation
        Displacement fields on the fixed and on the moving grid.

    Raises
    ------
    ValueError
        If an image is not three-dimensional, finite and varying, thinner than 3 voxels, a mask is
        on another grid or empty, or an option is unknown.

    References
    ----------
    Avants et al. (2008), Med Image Anal 12:26. Yushkevich et al. (2016), Alzheimers Dement
    12(7S):P126 (greedy updates). Heinrich et al. (2012), Med Image Anal 16:1423 (descriptor).
    """
    if quality not in _register_ants.SCHEDULES:
        known = ", ".join(_register_ants.SCHEDULES)
        raise ValueError(f"quality must be one of {known}; got {quality!r}.")
    if contrast not in ("same", "different"):
        raise ValueError(f"contrast must be 'same' or 'different'; got {contrast!r}.")
    _check_engine(engine, device)
    fixed, fixed_mask = _load(fixed_img, fixed_mask_img, "fixed")
    moving, moving_mask = _load(moving_img, moving_mask_img, "moving")
    for volume, name in ((fixed, "fixed_img"), (moving, "moving_img")):
        _check_thick(volume, name)
    seen = _rim(fixed.data != 0, fixed.affine)
    if fixed_mask is not None:
        seen &= fixed_mask
    found = _align(
        fixed, moving, seen, moving_mask,
        kind="affine", contrast=contrast, engine=engine, device=device,
    )  # fmt: skip
    if engine == "ants":
        ways = _register_ants.deform(fixed, moving, found.matrix, fixed_mask, quality=quality)
        images = [
            _fields.total_field(img, way)
            for img, way in zip((fixed_img, moving_img), ways, strict=True)
        ]
        least = min(_least_jacobian(img) for img in images)
    else:
        sides = (_diffeo.Side(fixed, fixed_mask), _diffeo.Side(moving, moving_mask))
        fields, least = _diffeo.deform(
            sides, found.matrix, quality=quality, contrast=contrast, device=device
        )
        images = [
            _fields.field_image(field, img)
            for field, img in zip(fields, (fixed_img, moving_img), strict=True)
        ]
    told = [*found.flags, *_folds(least)]
    for volume, name in ((fixed, "fixed_img"), (moving, "moving_img")):
        told += _surroundings(volume, name)
    _tell(tuple(told))
    return Deformation(images[0], images[1], found, least)


def _folds(least: float) -> tuple[str, ...]:
    """Return a sentence about folds, if there are any."""
    if least > 0:
        return ()
    return (
        f"The deformation folds: its least Jacobian determinant is {least:.2g} (not above 0). "
        "Look at both images, their masks and the affine part.",
    )


def _surroundings(volume: _fields.Volume, name: str) -> tuple[str, ...]:
    """Return a sentence about an image that does not end in 0 at any of its corners."""
    corners = volume.data[:: volume.data.shape[0] - 1, :: volume.data.shape[1] - 1]
    corners = corners[:, :, :: volume.data.shape[2] - 1]
    if not corners.all():
        return ()
    return (
        f"{name} is not 0 around the brain: its corners are {corners.min():g} to "
        f"{corners.max():g}. Mask the brain first, or the surroundings are aligned too.",
    )


def _least_jacobian(displacement_img: Nifti1Image) -> float:
    """Return the smallest Jacobian determinant of a field."""
    return float(np.asarray(transforms.jacobian(displacement_img).dataobj).min())


def _align(
    fixed: _fields.Volume,
    moving: _fields.Volume,
    fixed_mask: NDArray[np.bool_] | None,
    moving_mask: NDArray[np.bool_] | None,
    *,
    kind: Literal["rigid", "affine"],
    contrast: Literal["same", "different"],
    engine: Engine,
    device: str,
) -> Alignment:
    """Run the engine that finds the matrix."""
    if engine == "fast":
        return _affine.align(
            fixed, moving, kind=kind, contrast=contrast,
            fixed_mask=fixed_mask, moving_mask=moving_mask, device=device,
        )  # fmt: skip
    matrix = _register_ants.align(fixed, moving, fixed_mask, kind=kind)
    return _affine.judge(matrix, fixed, moving, fixed_mask=fixed_mask, moving_mask=moving_mask)


def _load(
    img: Nifti1Image, mask_img: Nifti1Image | None, name: str
) -> tuple[_fields.Volume, NDArray[np.bool_] | None]:
    """Return an image's checked data, and its mask, widened, if there is one."""
    data = _ants.check_volume(img, f"{name}_img")
    mask = None if mask_img is None else _ants.check_mask(mask_img, img, f"{name}_mask_img")
    volume = _fields.Volume(data, np.asarray(img.affine, dtype=np.float64))
    return volume, None if mask is None else _widen(mask, volume.affine)


def _check_engine(engine: str, device: str) -> None:
    """Raise if there is no such engine, or the fast one has no such device."""
    if engine not in ("fast", "ants"):
        raise ValueError(f"engine must be 'fast' or 'ants'; got {engine!r}.")
    if engine == "fast" and device not in ("cpu", "torch"):
        from brainnet.imaging import _diffeo_torch

        _diffeo_torch.check_device(device)


def _check_thick(volume: _fields.Volume, name: str) -> None:
    """Raise if an image has too few slices to be deformed."""
    if min(volume.data.shape) < 3:
        raise ValueError(
            f"{name} must have at least 3 voxels along each axis; got shape {volume.data.shape}. "
            "Register a slice rigidly, with register_affine."
        )


def _widen(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return a mask grown by a rim around its outline; its holes stay."""
    return np.asarray(_rim(mask, affine) & ~(ndimage.binary_fill_holes(mask) & ~mask))


def _rim(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return a mask grown by a rim, in blocks of about half its width."""
    voxel = np.linalg.norm(affine[:3, :3], axis=0)
    block = np.maximum(1, np.round(_RIM_MM / 2 / voxel)).astype(int)
    coarse = mask
    for axis, n in enumerate(block):
        coarse = np.logical_or.reduceat(coarse, np.arange(0, mask.shape[axis], n), axis=axis)
    reach = [2 * max(1, round(_RIM_MM / (n * v))) + 1 for n, v in zip(block, voxel, strict=True)]
    grown = ndimage.maximum_filter(coarse.view(np.uint8), reach).view(bool)
    for axis, n in enumerate(block):
        grown = np.repeat(grown, n, axis=axis)
    x, y, z = mask.shape
    return np.asarray(grown[:x, :y, :z])


def _tell(flags: tuple[str, ...]) -> None:
    """Warn of what a person must look at."""
    for flag in flags:
        warnings.warn(flag, RegistrationWarning, stacklevel=3)
