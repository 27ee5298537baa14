"""The part of the gate that turns the bytes of a NIfTI file into an image that can be trusted.

Nothing here opens a file: `brainnet.io` reads the bytes and hands them over. Header fields are
read and judged one by one, because the readers in use disagree on damaged files: some fill what is
missing with zeros, some ignore units, some take a missing affine for the identity.
"""

from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
from nibabel.nifti1 import Nifti1Header, Nifti1Image
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from brainnet.io.files import COPY_AGAIN, DataError, gunzip, too_large, warn
from brainnet.io.grid import affine_of

#: The most that an image may hold, as stored and as returned: the largest series in use (7 T, 900
#: volumes) takes 6 GiB in float32, a brain at 0.1 mm takes 15.
MAX_IMAGE_BYTES = 1 << 34
#: Beyond `MAX_FREE_BYTES`, the most bytes that one byte of gzip may unpack to. Scanner noise gives
#: 1 to 5, a sparse label map 100; what gives more is a bomb, or small enough to be harmless.
MAX_RATIO = 200
MAX_FREE_BYTES = 1 << 30
MIN_FINITE_SHARE = 0.01
MAX_T_R = 86_400.0  # s; a day between two volumes is no series
MIN_LEVELS = 256  # steps of float32 between the smallest and the largest voxel
_DEFLATE_RATIO = 1032  # what deflate can reach: 258 bytes in two bits
_HEAD = 544  # bytes up to the end of the longest header and its extension flag
_MAX_DIM = 32767  # of one axis in NIfTI-1, in which every image is stored
_WHOLE = 2.0**53  # beyond, every float64 is a whole number
_EXACT = 2.0**24  # whole numbers up to here are exact in float32

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
_TIME_UNITS = {0: 1.0, 8: 1.0, 16: 1e-3, 24: 1e-6}
_VECTOR_INTENTS = (1006, 1007)  # NIFTI_INTENT_DISPVECT, NIFTI_INTENT_VECTOR
LABEL_INTENT = 1002  # NIFTI_INTENT_LABEL


def decode(raw: bytearray, path: Path) -> Nifti1Image:
    """Return the image in the bytes of a ``.nii`` or ``.nii.gz`` file, every part checked.

    An unscaled image keeps `raw`, or what it unpacks to, as the memory of its array.
    """
    packed = path.name.endswith(".gz")
    header = _header(_head(raw, path) if packed else raw[:_HEAD], path)
    dtype, shape, offset = _layout(header, path)
    n_voxels = int(np.prod([int(n) for n in shape], dtype=object))
    n_bytes = offset + dtype.itemsize * n_voxels
    _check_size(path, n_bytes, len(raw), packed=packed)
    if 4 * n_voxels > MAX_IMAGE_BYTES:
        raise too_large(path, f"the image has {4 * n_voxels} bytes in float32", MAX_IMAGE_BYTES)
    if packed:
        raw = gunzip(raw, path, limit=n_bytes)
    if len(raw) != n_bytes:
        _wrong_size(path, n_bytes, f"more than {n_bytes}" if len(raw) > n_bytes else str(len(raw)))
    affine, code = affine_of(header, path, shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    stored = np.ndarray(shape, dtype, buffer=raw, offset=offset, order="F")
    data = _scaled(stored, header, path)
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
    if intent in (*_VECTOR_INTENTS, LABEL_INTENT):
        img.header.set_intent(intent)
    return img


def storable(data: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return the array in the type in which it is stored; refuse what is not an image."""
    if data.dtype.kind not in "biuf" or not 3 <= data.ndim <= 7 or data.size == 0:
        what = f"an array of type {data.dtype} and shape {data.shape} is not an image"
        raise DataError(path, what, "Store real numbers of 3 to 7 dimensions, none of length 0")
    if max(data.shape) > _MAX_DIM or 4 * data.size > MAX_IMAGE_BYTES:
        what = f"an array of shape {data.shape} is too large for an image"
        remedy = f"At most {_MAX_DIM} voxels along an axis and {MAX_IMAGE_BYTES} bytes in all"
        raise DataError(path, what, remedy)
    if data.dtype.kind == "b":
        return data.astype(np.uint8)
    if data.dtype.kind in "iu":
        return _native_integers(data, path)
    return _as_float32(data, path)


def check_values(data: NDArray[Any], path: Path, *, intent: int = 0) -> None:
    """Raise or warn where the voxels cannot be a measurement.

    Refused: fewer than 1 % finite voxels; one single value everywhere. Allowed: a zero
    displacement field, a mask (uint8) that is 1 everywhere, and an image of labels (by its intent)
    that has none. Warned about: any other voxel
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
    no_label = intent == LABEL_INTENT and low == 0
    if low == high and not no_label and not (data.dtype == np.uint8 and low == 1):
        raise DataError(path, f"every voxel is {low:g}", "Recompute or export the image again")
    step = float(np.spacing(np.float32(max(abs(low), abs(high)))))
    if data.dtype.kind == "f" and high - low < MIN_LEVELS * step and high > low:
        what = f"the voxels lie between {low:.9g} and {high:.9g}, which float32 hardly tells apart"
        warn(path, what, "Contrast may be lost; check scl_inter, or subtract the common part")
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
        finite = np.isfinite(data)
        low = data.min(where=finite, initial=np.inf)
        high = data.max(where=finite, initial=-np.inf)
    return float(low), float(high)


def _finite_extent(volume: NDArray[Any]) -> tuple[float, float]:
    """Return the extent of one volume; one without a finite voxel has none."""
    if volume.dtype.kind == "f" and not np.isfinite(volume).any():
        return 0.0, 0.0
    return _extent(volume)


def _head(raw: bytearray, path: Path) -> bytearray:
    """Return the first bytes of a gzip stream."""
    if raw[:2] != b"\x1f\x8b":
        what = "the name ends in .gz but the content is not gzip"
        raise DataError(path, what, "Rename the file to .nii, or compress it with gzip")
    return gunzip(raw, path, limit=_HEAD - 1)


def _header(head: bytearray, path: Path) -> Any:
    """Return the header, NIfTI-1 or NIfTI-2, in the byte order of the file."""
    first = head[:4].ljust(4, b"\0")
    for order in _ORDERS:
        size = int.from_bytes(first, order)
        if size not in _KINDS or len(head) < size:
            continue
        kind, where, magic = _KINDS[size]
        if head[where] != magic:
            what = (
                f"the header's magic is {bytes(head[where])!r}, not {magic!r} (NIfTI in one file)"
            )
            raise DataError(path, what, "Convert the image to a single .nii.gz file")
        return kind(bytes(head[:size]), endianness=order, check=False)
    if first[:2] == b"\x1f\x8b":
        packed = "packed twice" if path.name.endswith(".gz") else "packed by gzip"
        remedy = "Unpack it once" if packed == "packed twice" else "Rename it to .nii.gz"
        raise DataError(path, f"the content is {packed}", remedy)
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
    if not shape or min(shape) < 1 or max(shape) > _MAX_DIM:
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


def _check_size(path: Path, n_bytes: int, n_file: int, *, packed: bool) -> None:
    """Raise where the file cannot hold what its header declares, before anything is unpacked."""
    if not packed and n_bytes != n_file:
        _wrong_size(path, n_bytes, str(n_file))
    if packed and n_bytes > _DEFLATE_RATIO * n_file:
        _wrong_size(path, n_bytes, f"{n_file} of gzip, which cannot unpack to that")
    if n_bytes > MAX_IMAGE_BYTES:
        raise too_large(path, f"the header declares {n_bytes} bytes", MAX_IMAGE_BYTES)
    if packed and n_bytes > max(MAX_RATIO * n_file, MAX_FREE_BYTES):
        what = f"the header declares {n_bytes} bytes, over {MAX_RATIO} times the {n_file} of gzip"
        remedy = "If the image is meant to be nearly empty, unpack it to .nii"
        raise DataError(path, what, remedy)


def _wrong_size(path: Path, expected: int, found: str) -> NoReturn:
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
    return _as_float32(stored, path, slope=slope, inter=inter)


def _as_float32(
    stored: NDArray[Any], path: Path, *, slope: float = 1.0, inter: float = 0.0
) -> NDArray[np.float32]:
    """Return an array, scaled, as float32; refuse whole numbers (labels) that would be rounded."""
    plain = (slope, inter) == (1.0, 0.0)
    if plain and stored.dtype == np.float32:
        return np.require(stored, np.float32, ["F", "A"])
    out = np.empty(stored.shape, np.float32, order="F")
    whole, rounded, wide = True, False, stored.dtype.itemsize > 2
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 is infinite: counted later
        for index in range(stored.shape[-1]):
            slab = stored[..., index]
            if not plain:
                slab = slab.astype(np.float64) * slope + inter
            out[..., index] = slab
            if wide and whole:
                whole, changed = _compare_whole(slab, out[..., index])
                rounded = rounded or changed
    if whole and rounded:
        what = f"whole numbers beyond {_EXACT:.0f} that float32 would have to round"
        raise DataError(path, what, "Store labels as int32; divide measurements by a constant")
    return out


def _compare_whole(wide: NDArray[Any], single: NDArray[np.float32]) -> tuple[bool, bool]:
    """Return whether all finite values are whole numbers, and whether float32 changed any."""
    finite = np.isfinite(single)
    whole = bool(((np.rint(wide) == wide) & (np.abs(wide) <= _WHOLE))[finite].all())
    return whole, whole and bool((single != wide)[finite].any())


def _native_integers(stored: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return integers in native byte order, 64-bit ones as int32."""
    if stored.dtype.itemsize < 8:
        return np.require(stored, stored.dtype.newbyteorder("="), ["F", "A"])
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
    if 0 <= t_r <= MAX_T_R:
        return t_r
    warn(path, f"the header's time between volumes is {t_r:g}", "It is taken as unknown")
    return 0.0
