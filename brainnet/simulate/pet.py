"""A static FDG PET image over any T1w image and labels, with known uptake.

Uptake by region, blurred by the scanner's point spread, with noise and a small misalignment. It
takes a simulated brain or a real T1w with labels from registration: PET there is simulated, the
anatomy is not, and whoever shows such a picture has to say so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from brainnet.simulate.anatomy import image, smooth_field
from brainnet.simulate.disease import CSF_UPTAKE, WHITE_UPTAKE

Floats = NDArray[np.float64]

CEREBELLUM: Final = (8, 47)
_REFERENCE_ACTIVITY: Final = 12000.0  # Bq/mL in the cerebellar cortex
_SCALP: Final = 0.25  # uptake outside the brain where the T1w image has signal
_FWHM_TO_SIGMA: Final = 1.0 / np.sqrt(8.0 * np.log(2.0))
_NOISE_FWHM: Final = 5.0  # mm: reconstruction leaves correlated noise
_DETAIL: Final = 4.0  # mm: standard deviation of the kernel of uptake differences in a region


@dataclass(frozen=True, eq=False)
class PetTruth:
    """What is known of a simulated PET image.

    Attributes
    ----------
    activity_img : Nifti1Image
        Bq/mL on the T1w grid before any blur, float32.
    blurred_img : Nifti1Image
        The same after the point spread, without noise: what a perfect scanner's image would be.
    reference_activity : float
        Mean of ``activity_img`` in the reference labels, Bq/mL.
    pet_to_t1w : (4, 4) array
        Maps a point of the PET image's world to the T1w image's world, RAS mm.
    """

    activity_img: Nifti1Image
    blurred_img: Nifti1Image
    reference_activity: float
    pet_to_t1w: Floats


def simulate_pet(
    t1w_img: Nifti1Image,
    labels_img: Nifti1Image,
    uptake_by_region: Mapping[int, float],
    *,
    tissue_imgs: Mapping[str, Nifti1Image] | None = None,
    fwhm: float = 6.0,
    noise: float = 0.06,
    voxel_size: float = 2.0,
    seed: int = 0,
) -> tuple[Nifti1Image, PetTruth]:
    """Return a simulated static PET image and its truth.

    Parameters
    ----------
    t1w_img : 3-D image
        Simulated or real T1w, skull-stripped or not.
    labels_img : 3-D image of int
        Labels on the grid of ``t1w_img``, 0 for none.
    uptake_by_region : mapping
        Label number to uptake relative to the cerebellar cortex, such as
        `brainnet.simulate.disease.uptake_by_label`. Labels without a value count as unlabelled.
    tissue_imgs : mapping, optional
        ``"GM"``, ``"WM"``, ``"CSF"`` fractions on the same grid. Without them an unlabelled voxel
        of the brain is white matter where it is brighter than the labelled grey matter, fluid
        where it is darker, and mixed between.
    fwhm : float
        Full width at half maximum of the scanner's point spread in mm.
    noise : float
        Standard deviation over mean in a voxel of the reference activity; the variance is
        proportional to the activity, as of counts, and spatially correlated as reconstructions
        leave it.
    voxel_size : float
        Isotropic voxel size of the PET image in mm.
    seed : int
        Of the uptake differences within regions, the noise and the misalignment.

    Returns
    -------
    pet_img : Nifti1Image
        float32, Bq/mL, on its own grid.
    truth : PetTruth
        Noise-free images and the misalignment.

    Raises
    ------
    ValueError
        If the grids differ, no label has an uptake, an uptake is negative or ``fwhm`` is not
        above 0.
    """
    labels = _check(t1w_img, labels_img, uptake_by_region, fwhm)
    rng = np.random.default_rng([seed, 5])
    affine = np.asarray(t1w_img.affine, dtype=np.float64)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    t1w = np.asanyarray(t1w_img.dataobj).astype(np.float32)
    uptake = _uptake(labels, uptake_by_region, sizes, rng)
    fractions = _fractions(t1w, labels, uptake_by_region, tissue_imgs)
    ratio = fractions[0] * uptake + WHITE_UPTAKE * fractions[1] + CSF_UPTAKE * fractions[2]
    ratio += _SCALP * _outside(t1w, fractions)
    activity = (_REFERENCE_ACTIVITY * ratio).astype(np.float32)
    sigma = fwhm * _FWHM_TO_SIGMA / sizes
    blurred = ndimage.gaussian_filter(activity, sigma, mode="constant", truncate=5.0)
    reference = np.isin(labels, CEREBELLUM)
    truth = PetTruth(
        activity_img=image(activity, affine),
        blurred_img=image(blurred, affine),
        reference_activity=float(activity[reference].mean()) if reference.any() else np.nan,
        pet_to_t1w=_misalignment(affine, labels.shape, rng),
    )
    return _scan(truth, noise=noise, voxel_size=voxel_size, rng=rng), truth


def regional_suvr(
    truth: PetTruth,
    labels_img: Nifti1Image,
    indices: ArrayLike,
    *,
    reference_labels_img: Nifti1Image,
    reference: Sequence[int] = CEREBELLUM,
) -> tuple[Floats, Floats]:
    """Return the true SUVR by region, before and after the scanner's blur.

    Parameters
    ----------
    truth : PetTruth
        Of :func:`simulate_pet`.
    labels_img : 3-D image of int
        Any atlas's labels on the T1w grid.
    indices : (n_regions,) array of int
        Labels to average over.
    reference_labels_img : 3-D image of int
        Labels that hold the reference region, on the T1w grid.
    reference : sequence of int
        Labels of the reference region, by default the cerebellar cortex.

    Returns
    -------
    before, after : (n_regions,) arrays
        Mean activity of each region over that of the reference, NaN for a region without voxels.
    """
    labels = np.asanyarray(labels_img.dataobj)
    wanted = np.asarray(indices)
    inside = np.isin(np.asanyarray(reference_labels_img.dataobj), reference)
    found = []
    for img in (truth.activity_img, truth.blurred_img):
        data = np.asanyarray(img.dataobj, dtype=np.float64)
        count = ndimage.sum_labels(np.ones_like(data), labels, wanted)
        total = ndimage.sum_labels(data, labels, wanted)
        mean = np.divide(total, count, out=np.full(len(wanted), np.nan), where=count > 0)
        found.append(mean / data[inside].mean())
    return found[0], found[1]


def _check(
    t1w_img: Nifti1Image, labels_img: Nifti1Image, uptake: Mapping[int, float], fwhm: float
) -> NDArray[np.int64]:
    """Labels as an array, or an error."""
    if t1w_img.shape != labels_img.shape or not np.allclose(
        t1w_img.affine, labels_img.affine, atol=1e-3
    ):
        raise ValueError(
            f"labels_img must be on the grid of t1w_img; got shapes {labels_img.shape} and "
            f"{t1w_img.shape}. Resample the labels first."
        )
    if fwhm <= 0:
        raise ValueError(f"fwhm must be above 0 mm; got {fwhm}.")
    if min(uptake.values(), default=0.0) < 0:
        raise ValueError(f"uptake_by_region must be non-negative; got {min(uptake.values())}.")
    labels = np.asanyarray(labels_img.dataobj).astype(np.int64)
    if not np.isin(labels, list(uptake)).any():
        raise ValueError("uptake_by_region must name labels of labels_img; it names none of them.")
    return labels


def _uptake(
    labels: NDArray[np.int64], uptake: Mapping[int, float], sizes: Floats, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Uptake of grey matter near the brain: the nearest region's, smoothly uneven."""
    boxes = ndimage.find_objects((labels > 0).astype(np.int8))
    box = tuple(slice(max(0, each.start - 12), each.stop + 12) for each in boxes[0])
    inside = labels[box]
    nearest = ndimage.distance_transform_edt(
        ~np.isin(inside, list(uptake)),
        sampling=sizes,
        return_distances=False,
        return_indices=True,
    )
    names = np.array(sorted(uptake))
    means = np.array([uptake[int(name)] for name in names])
    # Regions differ in spread as well as in mean: that is what a similarity network compares.
    spreads = rng.uniform(0.04, 0.14, len(names))
    row = np.searchsorted(names, inside[tuple(nearest)])
    detail = smooth_field(inside.shape, float(sizes.mean()), _DETAIL, rng)
    out = np.zeros(labels.shape, dtype=np.float32)
    out[box] = means[row] * np.exp(spreads[row] * detail)
    return out


def _fractions(
    t1w: NDArray[np.float32],
    labels: NDArray[np.int64],
    uptake: Mapping[int, float],
    tissue_imgs: Mapping[str, Nifti1Image] | None,
) -> NDArray[np.float32]:
    """Grey, white and fluid fractions of each voxel, (3, x, y, z)."""
    if tissue_imgs is not None:
        data = [np.asanyarray(tissue_imgs[name].dataobj) for name in ("GM", "WM", "CSF")]
        return np.stack(data).astype(np.float32)
    known = np.isin(labels, list(uptake))
    brain = _fill(labels > 0)
    grey = float(np.median(t1w[known]))
    rest = brain & ~known
    white = float(np.percentile(t1w[rest], 75)) if rest.any() else 2 * grey
    span = max(white - grey, 1e-3 * abs(grey) + 1e-6)
    fractions = np.zeros((3, *labels.shape), dtype=np.float32)
    fractions[1] = np.clip((t1w - grey) / span, 0, 1) * rest
    fractions[2] = np.clip((grey - t1w) / span, 0, 1) * rest
    fractions[0] = brain - fractions[1] - fractions[2]
    return fractions


def _fill(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps between labels: the brain that they lie in."""
    pad = 6
    wide = np.pad(mask, pad)
    ball = ndimage.generate_binary_structure(3, 1)
    closed = ndimage.binary_closing(wide, ball, iterations=pad)
    filled = ndimage.binary_fill_holes(closed)
    return np.asarray(filled[pad:-pad, pad:-pad, pad:-pad])


def _outside(t1w: NDArray[np.float32], fractions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of scalp and muscle: where a T1w image that is not stripped has signal."""
    brain = fractions.sum(axis=0)
    level = 0.3 * float(np.percentile(t1w[brain > 0.5], 50))
    return np.where((t1w > level) & (brain == 0), np.float32(1.0), np.float32(0.0))


def _misalignment(affine: Floats, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Rigid displacement of the head between T1w and PET: a few mm and degrees."""
    centre = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]
    matrix = np.eye(4)
    turn = Rotation.from_euler("XYZ", rng.uniform(-3, 3, 3), degrees=True).as_matrix()
    matrix[:3, :3] = turn
    matrix[:3, 3] = centre - turn @ centre + rng.uniform(-4, 4, 3)
    return matrix


def _scan(
    truth: PetTruth, *, noise: float, voxel_size: float, rng: np.random.Generator
) -> Nifti1Image:
    """Sample the blurred activity on the scanner's grid and add noise."""
    source = truth.blurred_img
    grid, affine = _pet_grid(source, voxel_size)
    matrix = np.linalg.inv(np.asarray(source.affine)) @ truth.pet_to_t1w @ affine
    data = np.asanyarray(source.dataobj, dtype=np.float32)
    clean = ndimage.affine_transform(
        data, matrix[:3, :3], offset=matrix[:3, 3], output_shape=grid, order=3
    )
    clean = np.clip(clean, 0.0, None)
    grain = ndimage.gaussian_filter(
        rng.standard_normal(grid, dtype=np.float32), _NOISE_FWHM * _FWHM_TO_SIGMA / voxel_size
    )
    grain /= grain.std()
    noisy = clean + noise * grain * np.sqrt(clean * _REFERENCE_ACTIVITY)
    return image(np.clip(noisy, 0.0, None).astype(np.float32), affine)


def _pet_grid(img: Nifti1Image, voxel_size: float) -> tuple[tuple[int, ...], Floats]:
    """Axis-aligned grid that covers the image's field of view."""
    corners = np.array(np.meshgrid(*((-0.5, size - 0.5) for size in img.shape))).reshape(3, -1)
    world = np.asarray(img.affine)[:3, :3] @ corners + np.asarray(img.affine)[:3, 3:]
    low, high = world.min(axis=1), world.max(axis=1)
    grid = tuple(int(count) for count in np.ceil((high - low) / voxel_size))
    affine = np.diag([voxel_size, voxel_size, voxel_size, 1.0])
    affine[:3, 3] = (low + high - voxel_size * (np.array(grid) - 1)) / 2
    return grid, affine
