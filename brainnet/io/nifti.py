"""The part of the gate that turns the bytes of a NIfTI file into an image that can be trusted.

Nothing here opens a file: `brainnet.io` reads the bytes and hands them over. Header fields are
read and judged one by one, because the readers in use disagree on damaged files: some fill what is
missing with zeros, some ignore units, some take a missing affine for the identity.
"""

import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from nibabel.nifti1 import Nifti1Header, Nifti1Image
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from brainnet.io.files import COPY_AGAIN, DataError, gunzip, warn

VOXEL_SIZE_RANGE = (0.1, 20.0)  # mm; a mouse in vivo to a thick clinical slice
MIN_FINITE_SHARE = 0.01
SHEAR_TOLERANCE = 1e-3  # cosine of the angle between two voxel axes: 0.25 mm over a head
FORM_TOLERANCE = 0.1  # voxels between sform and qform at the farthest corner: not worth a word
FORM_LIMIT = 1.0  # voxels: beyond this, two readers place the head differently

_DTYPES = {
    2: np.uint8,
    4: np.int16,
    8: np.int32,
    16: np.float32,
    64: np.float64,
    256: np.int8,
    512: np.uint16,
    768: np.uint32,
    1024: np.int64,
    1280: np.uint64,
}
_REFUSED = {
    1: "1-bit",
    32: "complex",
    128: "RGB colour",
    1536: "128-bit float",
    1792: "complex",
    2048: "complex",
    2304: "RGBA colour",
}
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
_KINDS: dict[int, tuple[Any, slice, bytes]] = {  # by header size: class, place of the magic, magic
    348: (Nifti1Header, slice(344, 348), b"n+1\0"),
    540: (Nifti2Header, slice(4, 12), b"n+2\0\r\n\x1a\n"),
}
_LENGTH_UNITS = {0: (1.0, "mm"), 1: (1000.0, "metres"), 2: (1.0, "mm"), 3: (0.001, "microns")}
_TIME_UNITS = {0: 1.0, 8: 1.0, 16: 1e-3, 24: 1e-6}
_VECTOR_INTENTS = (1006, 1007)  # NIFTI_INTENT_DISPVECT, NIFTI_INTENT_VECTOR


def decode(raw: bytes, path: Path) -> Nifti1Image:
    """Return the image in the bytes of a ``.nii`` or ``.nii.gz`` file, every part checked."""
    packed = path.name.endswith(".gz")
    head = _head(raw, path) if packed else raw[:544]
    header = _header(head, path)
    dtype, shape, offset = _layout(header, path)
    n_bytes = offset + dtype.itemsize * int(np.prod([int(n) for n in shape], dtype=object))
    content = gunzip(raw, path, limit=n_bytes) if packed else raw
    if len(content) != n_bytes:
        more = packed and len(content) > n_bytes
        _wrong_size(path, n_bytes, f"more than {n_bytes}" if more else str(len(content)))
    affine, code = _affine(header, path, shape)
    stored = np.ndarray(shape, dtype, buffer=content, offset=offset, order="F")
    data = _scaled(stored, header, path)
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    intent = int(header["intent_code"])
    check_values(data, path, intent=intent)
    return build(data, affine, code=code, t_r=_t_r(header, path), intent=intent)


def build(
    data: NDArray[Any], affine: NDArray[np.float64], *, code: int, t_r: float, intent: int
) -> Nifti1Image:
    """Return an image with the minimal header: one affine in both forms, mm and seconds."""
    img = Nifti1Image(data, affine, dtype=data.dtype)
    img.set_sform(affine, code)
    img.set_qform(affine, code)
    img.header.set_xyzt_units("mm", "sec")
    if data.ndim >= 4:
        zooms = list(img.header.get_zooms())
        zooms[3] = t_r
        img.header.set_zooms(zooms)
    if intent in _VECTOR_INTENTS:
        img.header.set_intent(intent)
    return img


def storable(data: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return the array in the type in which it is stored; refuse what is not an image."""
    if data.dtype.kind not in "biuf" or not 3 <= data.ndim <= 7 or data.size == 0:
        what = f"an array of type {data.dtype} and shape {data.shape} is not an image"
        raise DataError(path, what, "Store real numbers of 3 to 7 dimensions, none of length 0")
    if data.dtype.kind == "b":
        return data.astype(np.uint8)
    if data.dtype.kind in "iu":
        return _native_integers(data, path)
    with np.errstate(over="ignore"):  # infinite then, and counted by check_values
        return data.astype(np.float32)


def check_grid(affine: NDArray[np.float64], path: Path) -> None:
    """Raise unless the affine is finite, invertible, orthogonal and of a plausible voxel size."""
    if not np.isfinite(affine).all():
        raise DataError(path, "the affine has entries that are not finite", COPY_AGAIN)
    if not np.allclose(affine[3], (0, 0, 0, 1)):
        raise DataError(path, f"the last row of the affine is {affine[3].tolist()}", COPY_AGAIN)
    sizes = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    low, high = VOXEL_SIZE_RANGE
    if (sizes < low).any() or (sizes > high).any():
        shown = " x ".join(f"{size:.6g}" for size in sizes)
        what = f"the voxel size is {shown} mm, outside {low} to {high} mm"
        raise DataError(path, what, "Correct the affine and the spatial unit in the header")
    axes = affine[:3, :3] / sizes
    cosine = np.abs(axes.T @ axes - np.eye(3)).max()
    if abs(np.linalg.det(axes)) < 1e-6:
        raise DataError(path, "the affine cannot be inverted", COPY_AGAIN)
    if cosine > SHEAR_TOLERANCE:
        what = f"the voxel axes are not at right angles (off by {np.degrees(cosine):.2f} degrees)"
        raise DataError(path, what, "Resample the image to a grid without shear, then run again")


def check_values(data: NDArray[Any], path: Path, *, intent: int = 0) -> None:
    """Raise or warn where the voxels cannot be a measurement.

    Refused: fewer than 1 % finite voxels; one single value everywhere. Allowed: a zero
    displacement field, and a mask (uint8) that is 1 everywhere. Warned about: any other voxel
    that is not finite; volumes of a series without any contrast.
    """
    share = 1.0
    if data.dtype.kind == "f":
        share = float(np.isfinite(data).mean())
    if share < MIN_FINITE_SHARE:
        what = f"only {share:.2%} of the voxels are finite" if share else "no voxel is finite"
        raise DataError(path, what, "Recompute or export the image again")
    if share < 1:
        what = f"{1 - share:.3%} of the voxels are not finite (NaN or infinite)"
        warn(path, what, "They are kept and count as not measured")
    if intent in _VECTOR_INTENTS:
        return
    low, high = _extent(data)
    if low == high and not (data.dtype == np.uint8 and low == 1):
        raise DataError(path, f"every voxel is {low:g}", "Recompute or export the image again")
    if data.ndim == 4:
        flat = [t for t in range(data.shape[-1]) if np.ptp(_finite_extent(data[..., t])) == 0]
        if flat:
            what = f"{len(flat)} of {data.shape[-1]} volumes hold one single value, first {flat[0]}"
            warn(path, what, "They carry no signal; check whether the series was cut")


def _extent(data: NDArray[Any]) -> tuple[float, float]:
    """Return the smallest and the largest finite voxel."""
    if data.dtype.kind != "f":
        return float(data.min()), float(data.max())
    low, high = data.min(), data.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = data[np.isfinite(data)]
        low, high = finite.min(), finite.max()
    return float(low), float(high)


def _finite_extent(volume: NDArray[Any]) -> tuple[float, float]:
    """Return the extent of one volume; one without a finite voxel has none."""
    if volume.dtype.kind == "f" and not np.isfinite(volume).any():
        return 0.0, 0.0
    return _extent(volume)


def _head(raw: bytes, path: Path) -> bytes:
    """Return the first bytes of a gzip stream."""
    if raw[:2] != b"\x1f\x8b":
        what = "the name ends in .gz but the content is not gzip"
        raise DataError(path, what, "Rename the file to .nii, or compress it with gzip")
    try:
        return zlib.decompressobj(wbits=31).decompress(raw[: 1 << 16], 544)
    except zlib.error as error:
        raise DataError(path, "the gzip stream is damaged at its start", COPY_AGAIN) from error


def _header(head: bytes, path: Path) -> Any:
    """Return the header, NIfTI-1 or NIfTI-2, in the byte order of the file."""
    first = head[:4].ljust(4, b"\0")
    for order in _ORDERS:
        size = int.from_bytes(first, order)
        if size not in _KINDS or len(head) < size:
            continue
        kind, where, magic = _KINDS[size]
        if head[where] != magic:
            what = f"the header's magic is {head[where]!r}, not {magic!r} (NIfTI in one file)"
            raise DataError(path, what, "Convert the image to a single .nii.gz file")
        return kind(head[:size], endianness=order, check=False)
    what = "the file is cut inside its header" if len(head) < 348 else "this is not a NIfTI file"
    raise DataError(path, what, "Convert the image to .nii.gz, for example with dcm2niix")


def _layout(header: Any, path: Path) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Return dtype, shape and offset of the voxels; refuse what cannot be."""
    code = int(header["datatype"])
    if code not in _DTYPES:
        kind = _REFUSED.get(code, "an unknown type")
        remedy = "Convert to real numbers, one a voxel (magnitude of complex, one colour channel)"
        raise DataError(path, f"the voxels are {kind} (NIfTI datatype {code})", remedy)
    dtype = np.dtype(_DTYPES[code]).newbyteorder(header.endianness)
    if int(header["bitpix"]) != 8 * dtype.itemsize:
        what = f"bitpix {int(header['bitpix'])} does not fit datatype {code}"
        raise DataError(path, f"the header is damaged: {what}", COPY_AGAIN)
    n_axes = int(header["dim"][0])
    shape = tuple(int(n) for n in header["dim"][1 : n_axes + 1]) if 1 <= n_axes <= 7 else ()
    if not shape or min(shape) < 1 or max(shape) > 32767:
        what = f"the header is damaged: dim is {header['dim'].tolist()}"
        raise DataError(path, what, COPY_AGAIN)
    if n_axes < 3:
        what = f"the image has {n_axes} dimensions"
        raise DataError(path, what, "Give a volume of 3 dimensions or a series of 4")
    offset, least = float(header["vox_offset"]), header.sizeof_hdr + 4
    if not (np.isfinite(offset) and offset == int(offset) and least <= offset < 2**31):
        what = f"the header is damaged: vox_offset is {offset:g}, must be a whole number >= {least}"
        raise DataError(path, what, COPY_AGAIN)
    return dtype, shape, int(offset)


def _wrong_size(path: Path, expected: int, found: str) -> None:
    """Raise for a file whose size is not what its header says."""
    what = f"the header declares {expected} bytes but the file holds {found}"
    raise DataError(path, f"{what}: cut, padded or damaged", COPY_AGAIN)


def _scaled(stored: NDArray[Any], header: Any, path: Path) -> NDArray[Any]:
    """Return the voxels in physical units: float32, or the stored integers where unscaled."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if np.isnan(slope) or slope == 0:
        slope, inter = 1.0, 0.0
    if not (np.isfinite(slope) and np.isfinite(inter)):
        what = f"the scaling is not finite (scl_slope {slope:g}, scl_inter {inter:g})"
        raise DataError(path, what, COPY_AGAIN)
    if stored.dtype.kind in "iu" and (slope, inter) == (1.0, 0.0):
        return _native_integers(stored, path)
    out = np.empty(stored.shape, np.float32, order="F")
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 is infinite: counted later
        for index in range(stored.shape[-1]):
            slab = stored[..., index]
            if (slope, inter) != (1.0, 0.0):
                slab = slab.astype(np.float64) * slope + inter
            out[..., index] = slab
    return out


def _native_integers(stored: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return integers in native byte order, 64-bit ones as int32."""
    if stored.dtype.itemsize < 8:
        return stored.astype(stored.dtype.newbyteorder("="), order="F")
    low, high = int(stored.min()), int(stored.max())
    if low < -(2**31) or high >= 2**31:
        what = f"64-bit integers from {low} to {high} do not fit 32 bits"
        raise DataError(path, what, "Store the image as float32, or renumber its labels")
    return stored.astype(np.int32, order="F")


def _t_r(header: Any, path: Path) -> float:
    """Return the time between volumes in seconds, 0 where unknown."""
    if int(header["dim"][0]) < 4:
        return 0.0
    t_r = float(header["pixdim"][4]) * _TIME_UNITS.get(int(header["xyzt_units"]) & 0x38, 0.0)
    if np.isfinite(t_r) and t_r >= 0:
        return t_r
    warn(path, f"the header's time between volumes is {t_r:g}", "It is taken as unknown")
    return 0.0


def _affine(header: Any, path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], int]:
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
    name = "sform" if "sform" in forms else "qform"
    return forms[name], codes[name]


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
