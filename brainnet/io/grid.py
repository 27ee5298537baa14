"""The part of the gate that judges where an image lies: its affine in RAS mm, or an error."""

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from brainnet.io.files import COPY_AGAIN, DataError, warn

VOXEL_SIZE_RANGE = (0.1, 20.0)  # mm; a mouse in vivo to a thick clinical slice
MAX_DISTANCE = 10_000.0  # mm, along an axis; the longest scanner table has 2,500
SHEAR_TOLERANCE = 1e-3  # cosine of the angle between two voxel axes: 0.25 mm over a head
FORM_TOLERANCE = 0.1  # voxels between sform and qform at the farthest corner: not worth a word
FORM_LIMIT = 1.0  # voxels: beyond this, two readers place the head differently
_LENGTH_UNITS = {0: (1.0, "mm"), 1: (1000.0, "metres"), 2: (1.0, "mm"), 3: (0.001, "microns")}


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is refused in words
def affine_of(header: Any, path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], int]:
    """Return the affine in RAS mm and the code of its space."""
    codes = {"sform": int(header["sform_code"]), "qform": int(header["qform_code"])}
    for name, code in codes.items():
        if not 0 <= code <= 5:
            raise DataError(path, f"the header is damaged: {name}_code is {code}", COPY_AGAIN)
    if not any(codes.values()):
        what = "neither sform nor qform is set: where the head lies is unknown"
        raise DataError(path, what, "Convert the original DICOM again, or set a form code")
    scale = _length_scale(header, path)
    forms = {name: _form(header, name, scale, path) for name in codes if codes[name]}
    for affine in forms.values():
        check_grid(affine, path)
    if len(forms) == 2:
        _compare_forms(forms, codes, shape, path)
    elif "sform" in forms:
        pixdim = np.asarray(header["pixdim"][1:4], np.float64) * scale
        _compare_sizes(forms["sform"], pixdim, shape, path)
    name = "sform" if "sform" in forms else "qform"
    return forms[name], codes[name]


def check_grid(affine: NDArray[np.float64], path: Path) -> None:
    """Raise unless the affine is finite, invertible, orthogonal and plausible in size and place."""
    if not np.isfinite(affine).all():
        raise DataError(path, "the affine has entries that are not finite", COPY_AGAIN)
    if not np.allclose(affine[3], (0, 0, 0, 1)):
        raise DataError(path, f"the last row of the affine is {affine[3].tolist()}", COPY_AGAIN)
    sizes = np.hypot.reduce(affine[:3, :3], axis=0)
    low, high = VOXEL_SIZE_RANGE
    if (sizes < low).any() or (sizes > high).any():
        shown = " x ".join(f"{size:.6g}" for size in sizes)
        what = f"the voxel size is {shown} mm, outside {low} to {high} mm"
        raise DataError(path, what, "Correct the affine and the spatial unit in the header")
    if (np.abs(affine[:3, 3]) > MAX_DISTANCE).any():
        shown = ", ".join(f"{place:.6g}" for place in affine[:3, 3])
        what = f"the first voxel lies at {shown} mm, over {MAX_DISTANCE:g} mm from the origin"
        raise DataError(path, what, "Correct the affine in the header")
    axes = affine[:3, :3] / sizes
    cosine = np.abs(axes.T @ axes - np.eye(3)).max()
    if abs(np.linalg.det(axes)) < 1e-6:
        raise DataError(path, "the affine cannot be inverted", COPY_AGAIN)
    if cosine > SHEAR_TOLERANCE:
        what = f"the voxel axes are not at right angles (off by {np.degrees(cosine):.2f} degrees)"
        raise DataError(path, what, "Resample the image to a grid without shear, then run again")


def _length_scale(header: Any, path: Path) -> float:
    """Return the factor from the header's unit of length to mm."""
    unit = int(header["xyzt_units"]) & 7
    if unit not in _LENGTH_UNITS:
        what = f"the header is damaged: spatial unit {unit} does not exist"
        raise DataError(path, what, COPY_AGAIN)
    scale, name = _LENGTH_UNITS[unit]
    if scale != 1:
        warn(path, f"the header is in {name}", "The affine was converted to mm")
    return scale


def _form(header: Any, name: str, scale: float, path: Path) -> NDArray[np.float64]:
    """Return one of the two affines of a header, in mm."""
    if name == "sform":
        affine = np.vstack([header["srow_x"], header["srow_y"], header["srow_z"], (0, 0, 0, 1)])
    else:
        sizes = np.asarray(header["pixdim"][1:4], dtype=np.float64)
        if not (np.isfinite(sizes).all() and (sizes > 0).all()):
            what = f"the qform's voxel size is {sizes.tolist()}"
            raise DataError(path, f"the header is damaged: {what}", COPY_AGAIN)
        quaternion = [float(header[f"quatern_{axis}"]) for axis in "bcd"]
        if not np.isfinite(quaternion).all():
            what = f"the qform's quaternion is {quaternion}"
            raise DataError(path, f"the header is damaged: {what}", COPY_AGAIN)
        if header["pixdim"][0] == 0:
            header["pixdim"][0] = 1  # as the standard has it
        try:
            affine = header.get_qform()
        except (HeaderDataError, ValueError) as error:
            raise DataError(path, f"the qform is invalid ({error})", COPY_AGAIN) from error
    affine = np.array(affine, dtype=np.float64)
    affine[:3] *= scale
    return affine


def _compare_forms(
    forms: dict[str, NDArray[np.float64]], codes: dict[str, int], shape: tuple[int, ...], path: Path
) -> None:
    """Warn or raise where sform and qform place the image differently."""
    corners = np.array([(i, j, k, 1) for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float)
    corners[:, :3] *= [n - 1 for n in (*shape[:3], 1, 1)[:3]]
    apart = np.sqrt((((forms["sform"] - forms["qform"]) @ corners.T)[:3] ** 2).sum(axis=0)).max()
    voxels = apart / np.sqrt((forms["sform"][:3, :3] ** 2).sum(axis=0)).max()
    if voxels <= FORM_TOLERANCE:
        return
    what = (
        f"sform (code {codes['sform']}) and qform (code {codes['qform']}) are {apart:.2f} mm apart"
    )
    if voxels > FORM_LIMIT and codes["sform"] == codes["qform"]:
        raise DataError(path, what, "Decide which one is right and set both to it")
    warn(path, what, "The sform is used; a program that reads the qform will place it elsewhere")


def _compare_sizes(
    affine: NDArray[np.float64], pixdim: NDArray[np.float64], shape: tuple[int, ...], path: Path
) -> None:
    """Warn where pixdim, which some programs read, is not the voxel size of the sform."""
    sizes = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    apart = np.abs(pixdim - sizes) * np.array(shape[:3]) / sizes
    if not (apart <= FORM_TOLERANCE).all():
        shown = [" x ".join(f"{size:.6g}" for size in each) for each in (sizes, pixdim)]
        what = f"the voxel size of the sform is {shown[0]} mm, that of pixdim {shown[1]}"
        warn(path, what, "The sform is used; a program that reads pixdim will take another size")
