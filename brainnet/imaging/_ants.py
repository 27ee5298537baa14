"""Bridge to antspyx: arrays instead of paths, fixed seeds and threads, RAS instead of LPS."""

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import ArrayLike, NDArray

THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"
#: ITK's world is LPS (x to the left, y to the back), NIfTI's is RAS: x and y change sign.
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Largest tolerated deviation of a grid's axes from right angles, as a cosine.
_SHEAR = 1e-3


def ants_module() -> ModuleType:
    """Return antspyx, bound to one thread unless the environment says otherwise.

    ITK reads the number of threads once, at its first use. Sums over several threads differ in
    their last bits, so only one thread gives the same bytes on every machine.
    """
    if THREADS not in os.environ:
        if "ants" in sys.modules:
            message = (
                f"antspyx was imported before brainnet and without {THREADS}; registration and "
                "bias correction may then differ in the last digits from run to run. Set "
                f"{THREADS}=1 before Python starts for the same bytes every time."
            )
            warnings.warn(message, UserWarning, stacklevel=3)
        os.environ[THREADS] = "1"
    import ants

    return ants  # type: ignore[no-any-return]


def check_volume(img: Nifti1Image, name: str) -> NDArray[np.float32]:
    """Return the data of a 3-D image as finite float32, or raise naming the argument."""
    if img.ndim != 3:
        raise ValueError(
            f"{name} must be three-dimensional; got shape {img.shape}. "
            "Pass one volume, for example the mean over time."
        )
    data = np.asarray(img.dataobj, dtype=np.float32)
    n_bad = int(data.size - np.isfinite(data).sum())
    if n_bad:
        raise ValueError(
            f"{name} must be finite; {n_bad} voxels are NaN or infinite. "
            "Replace them, for example with numpy.nan_to_num, or mask them out first."
        )
    if data.min() == data.max():
        raise ValueError(f"{name} must not be constant; every voxel is {data.flat[0]:g}.")
    return data


def check_mask(mask_img: Nifti1Image, img: Nifti1Image, name: str) -> NDArray[np.bool_]:
    """Return a mask on the grid of ``img`` as booleans, or raise naming the argument."""
    if mask_img.shape != img.shape or not np.allclose(mask_img.affine, img.affine, atol=1e-3):
        raise ValueError(
            f"{name} must lie on the grid of the image; got shape {mask_img.shape} against "
            f"{img.shape} or another affine. Resample it with order 0 first."
        )
    mask: NDArray[np.bool_] = np.asarray(mask_img.dataobj) > 0
    if not mask.any():
        raise ValueError(f"{name} must contain at least one voxel above 0; it is empty.")
    return mask


def image_like(data: NDArray[Any], img: Nifti1Image) -> Nifti1Image:
    """Return an image of ``data`` on the grid of ``img`` with a minimal header."""
    return grid_image(data, np.asarray(img.affine), code=int(img.header["sform_code"]) or 1)


def grid_image(data: NDArray[Any], affine: NDArray[np.float64], *, code: int = 1) -> Nifti1Image:
    """Return an image with qform and sform both set to ``affine``."""
    out = Nifti1Image(data, affine)
    out.header.set_xyzt_units("mm")
    out.set_sform(affine, code)
    out.set_qform(affine, code)
    return out


def to_ants(data: ArrayLike, affine: NDArray[np.float64]) -> Any:
    """Return an array on a RAS grid as float32 ITK image."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3] / spacing
    shear = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if shear > _SHEAR:
        raise ValueError(
            f"the axes of an image must be at right angles; a cosine between them is {shear:.2g}. "
            "Resample it to a grid without shear first."
        )
    left, _, right = np.linalg.svd(axes)
    lps = FLIP[:3, :3]
    return ants_module().from_numpy(
        np.asarray(data, dtype=np.float32),
        origin=tuple(float(x) for x in lps @ affine[:3, 3]),
        spacing=tuple(float(x) for x in spacing),
        direction=lps @ (left @ right),
    )


def from_ants(image: Any) -> Nifti1Image:
    """Return an ITK image as float32 NIfTI image in RAS."""
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(image.direction) * np.asarray(image.spacing)
    affine[:3, 3] = image.origin
    return grid_image(image.numpy().astype(np.float32), FLIP @ affine)


def write_matrix(matrix: NDArray[np.float64], path: Path) -> None:
    """Write a RAS pull matrix as ITK text transform."""
    lps = FLIP @ matrix @ FLIP
    numbers = [*lps[:3, :3].ravel(), *lps[:3, 3]]
    path.write_text(
        "#Insight Transform File V1.0\n#Transform 0\n"
        "Transform: AffineTransform_double_3_3\n"
        f"Parameters: {' '.join(repr(float(x)) for x in numbers)}\n"
        "FixedParameters: 0 0 0\n"
    )


def read_matrix(path: Path) -> NDArray[np.float64]:
    """Read an ITK affine transform file as RAS pull matrix."""
    transform = ants_module().read_transform(str(path))
    numbers = np.asarray(transform.parameters, dtype=np.float64)
    centre = np.asarray(transform.fixed_parameters, dtype=np.float64)
    lps = np.eye(4)
    lps[:3, :3] = numbers[:9].reshape(3, 3)
    lps[:3, 3] = numbers[9:] + centre - lps[:3, :3] @ centre
    return np.asarray(FLIP @ lps @ FLIP)


def run_registration(
    fixed: Any,
    moving: Any,
    stages: Sequence[Sequence[str]],
    *,
    folder: Path,
    initial: NDArray[np.float64],
    mask: Any | None = None,
    seed: int = 0,
) -> Path:
    """Run antsRegistration in ``folder`` and return the prefix of the transforms it left there.

    In ``stages``, ``FIXED`` and ``MOVING`` stand for the two images.
    """
    from ants.internal import get_pointer_string

    # ITK takes the pixel type of every pointer on trust: double for images (as "--float 0" says),
    # unsigned char for masks. Any other is read as garbage, without an error.
    fixed, moving = fixed.clone("double"), moving.clone("double")
    binary = None if mask is None else mask.clone("unsigned char")
    names = {"FIXED": get_pointer_string(fixed), "MOVING": get_pointer_string(moving)}
    start, prefix = folder / "start.txt", folder / "out"
    write_matrix(initial, start)
    arguments = ["--dimensionality", "3", "--output", str(prefix), "-r", str(start)]
    for stage in stages:
        for word in stage:
            for name, pointer in names.items():
                word = word.replace(name, pointer)
            arguments.append(word)
    masks = "NA" if binary is None else get_pointer_string(binary)
    # A seed of 0 means "from the clock" to ITK.
    arguments += ["-x", f"[{masks},NA]", "--float", "0", "--random-seed", str(seed + 1)]
    arguments += ["--collapse-output-transforms", "1", "--write-composite-transform", "0"]
    ants_module().registration(arguments, None)
    return prefix
