"""The gate: nothing is read or written but through here.

Reading checks the whole file before anything is believed, and raises one error that names the
file, what is wrong and what to do. Writing goes to a temporary file in the same folder, is flushed
to the disk, read back, compared and renamed: a final name holds a whole file or none. The same
content gives the same bytes.
"""

from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Image

from brainnet.io import grid, nifti
from brainnet.io.files import (
    DataError,
    DataWarning,
    enough_memory,
    load_json,
    load_text,
    read_buffer,
    sha256,
)
from brainnet.io.nifti import MAX_IMAGE_BYTES
from brainnet.io.tables import load_matrix, load_table, save_matrix, save_table
from brainnet.io.writing import NO_LOCKS, remove_leftovers, save_bytes, save_json, save_text

__all__ = [
    "MAX_IMAGE_BYTES",
    "NO_LOCKS",
    "DataError",
    "DataWarning",
    "load_img",
    "load_json",
    "load_matrix",
    "load_table",
    "load_text",
    "remove_leftovers",
    "save_bytes",
    "save_img",
    "save_json",
    "save_matrix",
    "save_table",
    "save_text",
    "sha256",
]


def load_img(path: Path | str, *, ndim: int | tuple[int, ...] | None = None) -> Nifti1Image:
    """Return a NIfTI image, in memory, after checking the whole file.

    Parameters
    ----------
    path : path
        A ``.nii`` or ``.nii.gz`` file, NIfTI-1 or NIfTI-2, either byte order.
    ndim : int or tuple of int, optional
        The numbers of dimensions allowed, after trailing axes of length 1 beyond the third are
        dropped. Any of 3 or more by default.

    Returns
    -------
    Nifti1Image
        Scaled and floating data as float32; unscaled integers as stored (64-bit ones as int32).
        The affine maps voxels to RAS mm, whatever the unit in the header, and stands in both
        forms; the fourth zoom is in seconds (0: unknown). The sform wins over the qform.

    Raises
    ------
    DataError
        Missing, empty or unreadable file, or not a regular one; gzip stream cut, damaged or
        followed by anything but zeros; header damaged or not of the file's size; complex or
        colour voxels; no affine, or one that is not finite, not invertible, sheared, over 10 m
        from the origin, or with voxels outside 0.1 to 20 mm; sform and qform of one code more
        than a voxel apart; under 1 % finite voxels; one single value everywhere (but for a full
        uint8 mask, a zero displacement field and labels, by their intent, of which there are
        none); whole numbers that float32 would have to round.
        An image of over 16 GiB (`MAX_IMAGE_BYTES`), or of over 1 GiB and 200 times its gzip file,
        or one that does not fit into the memory.

    Warns
    -----
    DataWarning
        Header in metres or microns (converted); sform and qform, or sform and pixdim where there
        is no qform, over 0.1 voxel apart at a corner of the image; some voxels not finite (kept);
        volumes without contrast; values so close together that float32 hardly tells them apart.

    Notes
    -----
    The header is judged before anything is unpacked. At no time is more memory taken than for the
    file, its unpacked bytes (and an eighth), the image returned, one byte a voxel and 4 MiB. The
    array of an unscaled image is the unpacked bytes themselves: that makes the file and 1.4 times
    the image, and for scaled int16 the file and 1.9 times the image, which is float32.

    Examples
    --------
    >>> import tempfile
    >>> img = Nifti1Image(np.arange(8, dtype=np.int16).reshape(2, 2, 2), np.diag([2.0, 2, 2, 1]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_img(save_img(img, Path(folder) / "a.nii.gz"), ndim=3).shape
    (2, 2, 2)
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise DataError(path, "not a .nii or .nii.gz file", "Convert the image to .nii.gz")
    with enough_memory(path):
        img = nifti.decode(read_buffer(path, limit=MAX_IMAGE_BYTES), path)
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if allowed is not None and img.ndim not in allowed:
        wanted = " or ".join(map(str, allowed))
        what = f"the image has {img.ndim} dimensions {img.shape}, expected {wanted}"
        raise DataError(path, what, "Give another file; a series has 4 dimensions, a volume 3")
    return img


def save_img(img: Nifti1Image, path: Path | str) -> Path:
    """Write a NIfTI-1 image whole or not at all, and return its path.

    The header is the minimal one: one affine in both forms (code 3, 4 or 5 of the image's sform,
    else 1), mm and seconds, the intent of vectors or labels if there is one. Floating data are
    stored as float32 with slope 1, booleans as uint8, 64-bit integers as int32, other integers as
    they are.

    Parameters
    ----------
    img : Nifti1Image
        What `load_img` would accept: the same rules hold for affine and voxels.
    path : path
        Ends in ``.nii`` or ``.nii.gz``; its folder is made where it is missing.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    DataError
        If the image breaks a rule of `load_img` or the disk refuses it. No file is left then, and
        an older file of that name stays as it was.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise DataError(path, "an image is stored as .nii or .nii.gz", "Change the file name")
    if img.affine is None:
        raise DataError(path, "the image has no affine", "Give it the affine of its grid")
    affine = np.array(img.affine, dtype=np.float64)
    grid.check_grid(affine, path)
    data = nifti.storable(np.asanyarray(img.dataobj), path)
    intent = int(img.header["intent_code"])
    nifti.check_values(data, path, intent=intent)
    zooms = img.header.get_zooms()
    t_r = float(zooms[3]) if data.ndim > 3 and len(zooms) > 3 else 0.0
    t_r = t_r if 0 <= t_r <= nifti.MAX_T_R else 0.0
    code = max(int(img.header["sform_code"]), 1)
    code = code if code > 2 else 1  # 2 is what nibabel gives to any affine
    plain = nifti.build(data, affine, code=code, t_r=t_r, intent=intent)
    return save_bytes(plain.to_bytes(), path)
