"""Head CTs small enough for a test, with a bleed that was put there."""

import nibabel as nib
import numpy as np

from brainnet import io

SIZES = (3.0, 3.0, 5.0)
SHAPE = (56, 68, 36)
BLEED = (24.0, 10.0, 12.0)  # mm from the middle
BLOOD = 66.0


def places(shape=SHAPE, sizes=SIZES):
    """Return x, y and z of each voxel from the middle, mm."""
    return np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * size for n, size in zip(shape, sizes, strict=True)),
        indexing="ij",
    )


def affine(shape=SHAPE, sizes=SIZES):
    """Return what puts the middle of the grid at 0."""
    middle = [-(n - 1) / 2 * size for n, size in zip(shape, sizes, strict=True)]
    return nib.affines.from_matvec(np.diag(sizes), middle)


def ball(at, radius):
    """Return a ball, a bool array."""
    x, y, z = places()
    return (x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2 <= radius**2


def units(bleeds=(BLEED,), radius=14.0, seed=0):
    """Return a head in Hounsfield units: skin, skull, brain with some grain, balls of blood."""
    x, y, z = places()

    def inside(a, b, c):
        return (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 <= 1

    data = np.full(SHAPE, -1000.0)
    data[inside(78, 94, 82)] = 40
    data[inside(74, 90, 78)] = 1100
    data[inside(68, 84, 72)] = 33
    for at in bleeds:
        data[ball(at, radius)] = BLOOD
    grain = np.random.default_rng(seed).normal(0, 2, SHAPE)
    return np.rint(data + grain).astype(np.int16)


def image(**options):
    """Return :func:`units` as an image."""
    return nib.Nifti1Image(units(**options), affine())


def mask(value=1, at=BLEED, radius=14.0):
    """Return the mask of a ball as an image."""
    return nib.Nifti1Image((value * ball(at, radius)).astype(np.uint8), affine())


def save(path, img):
    """Save an image and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    io.save_img(img, path)
    return path
