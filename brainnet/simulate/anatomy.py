"""A subject's brain: tissue maps, labels and a T1w image, with everything known.

The anatomy is the MNI152NLin2009aSym grey and white matter that nilearn carries, made sharper
with the atlas's own tissue labels, deformed, thinned where the simulated disease thins it and
imaged with partial volume, a bias field and Rician noise. There is no skull: the maps have none.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from brainnet import io
from brainnet.atlas import Atlas, load
from brainnet.atlas import template as mni_brain
from brainnet.imaging import register, transforms
from brainnet.simulate.disease import region_table, severity

Floats = NDArray[np.float32]

_CORTEX_AND_NUCLEI: Final = (8, 10, 11, 12, 13, 17, 18, 26, 28, 47, 49, 50, 51, 52, 53, 54, 58, 60)
_WHITE: Final = (2, 7, 16, 41, 46, 77, 251, 252, 253, 254, 255)
_FLUID: Final = (4, 5, 14, 15, 24, 31, 43, 44, 63)
_VENTRICLES: Final = (4, 5, 43, 44)
_LPS: Final = np.array([-1.0, -1.0, 1.0])  # ITK's axes in terms of ours
_T1W: Final = {"CSF": 0.24, "GM": 0.66, "WM": 1.0}  # relative intensity
_WHITE_INTENSITY: Final = 1000.0
_RETREAT: Final = 4.5  # loss in log-odds of grey matter where vulnerability and severity are 1
_WIDENING: Final = 3.0  # the same for tissue beside the ventricles


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A simulated brain on one native grid.

    Attributes
    ----------
    t1w_img : Nifti1Image
        int16, skull-stripped: exactly 0 outside the brain.
    tissue_imgs : dict
        ``"CSF"``, ``"GM"``, ``"WM"``: float32 fractions, summing to 1 in the brain, 0 outside.
    labels_img : Nifti1Image
        int32, the network atlas deformed into the subject.
    structures_img : Nifti1Image
        int32, the full Desikan-Killiany/FreeSurfer labels deformed into the subject.
    displacement_img : Nifti1Image
        (x, y, z, 1, 3) float32, LPS mm on the native grid: pulls the template into the subject.
    volumes : DataFrame
        ``index``, ``name``, ``volume``: grey matter of each region of the atlas in ml.
    """

    t1w_img: Nifti1Image
    tissue_imgs: dict[str, Nifti1Image]
    labels_img: Nifti1Image
    structures_img: Nifti1Image
    displacement_img: Nifti1Image
    volumes: pd.DataFrame


@dataclass(frozen=True, eq=False)
class _Template:
    """Tissue fractions and structures on the cropped 1 mm grid of the template."""

    tissue: Floats  # (3, x, y, z): CSF, GM, WM
    structures: NDArray[np.int32]
    vulnerability: Floats
    ventricles: Floats
    affine: NDArray[np.float64]
    to_atlas_img: Nifti1Image  # pulls images of atlas space onto this grid


def simulate_anatomy(
    atlas: Atlas,
    *,
    stage: str = "CN",
    resolution: float = 2.0,
    noise: float = 0.02,
    bias: float = 0.1,
    seed: int = 0,
) -> Anatomy:
    """Return a simulated subject's brain.

    Parameters
    ----------
    atlas : Atlas
        Network atlas in MNI space; its labels are carried into the subject.
    stage : str
        CN, SMC, EMCI, LMCI or AD. Grey matter retreats, and ventricles widen, with the stage;
        at the same seed every volume is monotonic in the stage.
    resolution : float
        Isotropic voxel size in mm.
    noise : float
        Standard deviation of the Rician noise as a share of the white-matter intensity.
    bias : float
        Standard deviation of the logarithm of the smooth bias field.
    seed : int
        Of the deformation, the bias field and the noise.

    Returns
    -------
    Anatomy
        Images on one axis-aligned native grid in RAS orientation.

    Raises
    ------
    ValueError
        If the stage is unknown or ``resolution`` is not within 0.8 to 4 mm.
    """
    if not 0.8 <= resolution <= 4.0:
        raise ValueError(f"resolution must be within 0.8 to 4 mm; got {resolution}.")
    template = _template()
    rng = np.random.default_rng([seed, 1])
    shape, affine = _native_grid(template, resolution)
    points = _template_points(template, shape, affine, rng)
    tissue = _native_tissue(template, _diseased(template, severity(stage)), points, resolution)
    structures = _nearest(template.structures, template.affine, points)
    brain = tissue.sum(axis=0) > 0
    atlas_points = _atlas_points(template, points)
    atlas_data = np.asanyarray(atlas.labels_img.dataobj).astype(np.int32)
    labels = _nearest(atlas_data, np.asarray(atlas.labels_img.affine), atlas_points) * brain
    displacement = (atlas_points - _world(shape, affine)) * _LPS
    return Anatomy(
        t1w_img=image(_t1w(tissue, resolution, noise=noise, bias=bias, rng=rng), affine),
        tissue_imgs={name: image(data, affine) for name, data in zip(_T1W, tissue, strict=True)},
        labels_img=image(labels.astype(np.int32), affine),
        structures_img=image((structures * brain).astype(np.int32), affine),
        displacement_img=_vector_image(displacement, affine),
        volumes=_volumes(atlas, labels, tissue[1], resolution),
    )


def image(data: NDArray[np.generic], affine: NDArray[np.float64]) -> Nifti1Image:
    """Return a NIfTI image of the array's own type, in mm, with both forms set and code 1."""
    img = Nifti1Image(data, affine, dtype=data.dtype)
    img.header.set_xyzt_units("mm", "sec")
    img.set_sform(affine, code=1)
    img.set_qform(affine, code=1)
    return img


def smooth_field(
    shape: tuple[int, ...], voxel_size: float, sigma: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return Gaussian noise smoothed by ``sigma`` mm, mean 0 and standard deviation 1.

    Parameters
    ----------
    shape : tuple of int
        Grid of the field, three axes.
    voxel_size : float
        Isotropic voxel size of the grid in mm.
    sigma : float
        Standard deviation of the smoothing kernel in mm. The noise is drawn on a lattice of
        half of it and interpolated, so a field hardly depends on the voxel size.
    rng : Generator
        Source of the noise.
    """
    step = max(voxel_size, sigma / 2)
    extent = [4.0 * np.ceil(size * voxel_size / 4.0) for size in shape]
    lattice = tuple(int(np.ceil(length / step)) + 3 for length in extent)
    field = ndimage.gaussian_filter(rng.standard_normal(lattice), sigma / step, mode="wrap")
    for axis, size in enumerate(shape):
        spline = CubicSpline(np.arange(lattice[axis]), field, axis=axis)
        field = spline(0.5 + np.arange(size) * voxel_size / step)
    field -= field.mean()
    return np.asarray(field / field.std())


def _mni_map(kind: str) -> Nifti1Image:
    """One of the MNI152NLin2009aSym maps in nilearn's package data, read whole."""
    spec = find_spec("nilearn")
    origin = None if spec is None else spec.origin
    folder = Path(origin or "nilearn").parent / "datasets" / "data"
    path = folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    if not path.exists():
        raise ValueError(f"{path.name} is not in the installed nilearn; install nilearn>=0.14.")
    return io.load_img(path, ndim=3)


@lru_cache(maxsize=1)
def _template() -> _Template:
    """Read, crop and sharpen the tissue maps once."""
    grey, white, t1w = (_mni_map(kind) for kind in ("gm", "wm", "t1"))
    brain = np.asanyarray(t1w.dataobj) > 0
    low = np.argwhere(brain).min(axis=0) - 2
    high = np.argwhere(brain).max(axis=0) + 3
    box = tuple(slice(max(0, a), b) for a, b in zip(low, high, strict=True))
    affine = np.asarray(grey.affine, dtype=np.float64).copy()
    affine[:3, 3] += affine[:3, :3] @ np.maximum(low, 0)
    to_atlas_img = _to_atlas(image(np.asarray(t1w.dataobj, np.float32)[box], affine))
    source = load("DesikanKilliany", node_only=False).labels_img
    carried = transforms.apply_displacement(source, to_atlas_img, order=0)
    structures = np.asanyarray(carried.dataobj).astype(np.int32) * brain[box]
    probability: list[Floats] = [
        np.asarray(img.dataobj)[box].astype(np.float32) / np.float32(255.0) for img in (grey, white)
    ]
    tissue = _sharpen(probability[0], probability[1], structures) * brain[box]
    table = region_table()["atrophy"]
    weights = np.zeros(int(structures.max()) + 1, dtype=np.float32)
    weights[table.index] = table.to_numpy()
    vulnerability = ndimage.maximum_filter(weights[structures], size=3)
    ventricles = np.isin(structures, _VENTRICLES).astype(np.float32)
    return _Template(
        tissue=tissue,
        structures=structures,
        vulnerability=ndimage.gaussian_filter(vulnerability, 1.0),
        ventricles=ndimage.gaussian_filter(ndimage.maximum_filter(ventricles, size=3), 1.5),
        affine=affine,
        to_atlas_img=to_atlas_img,
    )


def _to_atlas(brain_img: Nifti1Image) -> Nifti1Image:
    """Register the template's brain to the brain that atlases are given on.

    nilearn's template and the atlases' (MNI152NLin2009cAsym) are a millimetre or two apart: taken
    at the same coordinates, labels would lie beside the gyri that they name.
    """
    return register.register_deformable(brain_img, mni_brain(res=2), quality="draft").forward_img


def _sharpen(grey: Floats, white: Floats, structures: NDArray[np.int32]) -> Floats:
    """Square the population's tissue probabilities, with the labels as a second opinion."""
    fluid = np.clip(1.0 - grey - white, 0.0, 1.0)
    cortex = (structures % 1000 > 0) & (structures > 1000)
    opinions = (
        np.isin(structures, _FLUID) + 0.4 * (structures == 0),
        cortex | np.isin(structures, _CORTEX_AND_NUCLEI),
        np.isin(structures, _WHITE),
    )
    tissue = np.empty((3, *grey.shape), dtype=np.float32)
    for out, probability, opinion in zip(tissue, (fluid, grey, white), opinions, strict=True):
        weight = 0.15 + ndimage.gaussian_filter(opinion.astype(np.float32), 0.6)
        out[:] = (probability + 0.01) ** 2 * weight
    tissue /= tissue.sum(axis=0)
    return tissue


def _diseased(template: _Template, amount: float) -> Floats:
    """Tissue fractions after grey matter retreats and ventricles widen."""
    if amount == 0.0:
        return template.tissue
    tissue = template.tissue.copy()
    _lose(tissue, 1, _RETREAT * amount * template.vulnerability)
    for row in (1, 2):
        _lose(tissue, row, _WIDENING * amount * template.ventricles)
    return tissue


def _lose(tissue: Floats, row: int, log_odds: Floats) -> None:
    """Lower the odds of one tissue in place; the cerebrospinal fluid takes what it leaves."""
    touched = log_odds > 1e-3
    fraction = tissue[row][touched]
    factor = np.exp(-log_odds[touched])
    kept = fraction * factor / (1.0 - fraction + fraction * factor)
    tissue[row][touched] = kept
    tissue[0][touched] += fraction - kept


def _native_grid(
    template: _Template, resolution: float
) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Grid around the template's brain with a margin for the deformation."""
    size = np.array(template.structures.shape, dtype=float) + 2 * 16.0
    shape = tuple(int(count) for count in np.ceil(size / resolution))
    affine = np.diag([resolution, resolution, resolution, 1.0])
    affine[:3, 3] = template.affine[:3, 3] - 16.0
    return shape, affine


def _world(shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """World coordinates of every voxel, (x, y, z, 3) mm, of any grid."""
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return np.asarray(voxels @ affine[:3, :3].T + affine[:3, 3])


def _template_points(
    template: _Template,
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Template point of every native voxel: an affine and a smooth, invertible displacement."""
    middle = template.affine[:3, 3] + (np.array(template.structures.shape) - 1) / 2
    rotation = Rotation.from_euler("xyz", rng.uniform(-5, 5, 3), degrees=True).as_matrix()
    scale = rng.uniform(0.98, 1.08) * rng.uniform(0.98, 1.02, 3)
    shift = rng.uniform(-4, 4, 3)
    world = _world(shape, affine)
    points = (world - middle - shift) @ (rotation * scale).T + middle
    voxel = float(affine[0, 0])
    field = np.stack([smooth_field(shape, voxel, 18.0, rng) for _ in range(3)], axis=-1)
    amplitude = 2.5
    step = max(1, round(4.0 / voxel))  # the field is smooth: look every 4 mm
    coarse = field[::step, ::step, ::step] / (voxel * step)
    while _least_jacobian(amplitude * coarse) < 0.3:
        amplitude *= 0.8
    return np.asarray(points + amplitude * field)


def _atlas_points(template: _Template, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Point of the atlases' space at every template point."""
    field = np.asanyarray(template.to_atlas_img.dataobj)[:, :, :, 0]
    index = _index(template.affine, points)
    moved = [
        ndimage.map_coordinates(field[..., k], index, order=1, mode="nearest") for k in (0, 1, 2)
    ]
    return np.asarray(points + np.stack(moved, axis=-1) * _LPS)


def _least_jacobian(displacement: NDArray[np.float64]) -> float:
    """Smallest determinant of identity plus the displacement's gradient, in voxels."""
    gradient = np.stack(
        [np.stack(np.gradient(displacement[..., axis]), axis=-1) for axis in range(3)], axis=-2
    )
    return float(np.linalg.det(gradient + np.eye(3)).min())


def _native_tissue(
    template: _Template, tissue: Floats, points: NDArray[np.float64], resolution: float
) -> Floats:
    """Tissue fractions at the native voxels, averaged over about one voxel."""
    sigma = 0.35 * np.sqrt(max(resolution**2 - 1.0, 0.0))
    index = _index(template.affine, points)
    native = np.empty((3, *points.shape[:3]), dtype=np.float32)
    for row in range(3):
        source = ndimage.gaussian_filter(tissue[row], sigma) if sigma > 0 else tissue[row]
        ndimage.map_coordinates(source, index, output=native[row], order=1, cval=0.0)
    total = native.sum(axis=0)
    native /= np.where(total > 0.5, total, np.inf)
    return native


def _index(affine: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Voxel coordinates of world points, axis first for ``map_coordinates``."""
    inverse = np.linalg.inv(affine)
    return np.moveaxis(points @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)


def _nearest(
    labels: NDArray[np.int32], affine: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.int32]:
    """Label of the voxel nearest to each world point, 0 outside."""
    index = np.rint(_index(affine, points)).astype(np.int32)
    limits = np.array(labels.shape).reshape(3, *[1] * (index.ndim - 1))
    inside = np.all((index >= 0) & (index < limits), axis=0)
    found = labels[tuple(np.clip(index, 0, limits - 1))]
    return np.where(inside, found, 0).astype(np.int32)


def _t1w(
    tissue: Floats, resolution: float, *, noise: float, bias: float, rng: np.random.Generator
) -> NDArray[np.int16]:
    """T1-weighted intensities: partial volume, texture, bias field and Rician noise."""
    clean = np.tensordot(np.array(list(_T1W.values())), tissue, axes=1)
    shape = clean.shape
    clean *= 1.0 + 0.02 * smooth_field(shape, resolution, 3.0, rng)
    clean *= np.exp(bias * smooth_field(shape, resolution, 40.0, rng))
    real = clean + noise * rng.standard_normal(shape)
    magnitude = np.hypot(real, noise * rng.standard_normal(shape)) * _WHITE_INTENSITY
    brain = tissue.sum(axis=0) > 0
    # A voxel of the brain is never 0: 0 means outside, and is how stripping is recognised.
    return np.where(brain, np.maximum(np.rint(magnitude), 1.0), 0.0).astype(np.int16)


def _volumes(
    atlas: Atlas, labels: NDArray[np.int32], grey: Floats, resolution: float
) -> pd.DataFrame:
    """Grey matter of each region in ml."""
    sums = ndimage.sum_labels(grey, labels, atlas.indices) * resolution**3 / 1000.0
    return pd.DataFrame({"index": atlas.indices, "name": atlas.names, "volume": sums})


def _vector_image(displacement: NDArray[np.float64], affine: NDArray[np.float64]) -> Nifti1Image:
    """Displacements as the five-dimensional vector image that ITK reads."""
    img = image(displacement[:, :, :, np.newaxis, :].astype(np.float32), affine)
    img.header.set_intent("vector")
    return img
