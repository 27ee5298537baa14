"""Small synthetic brains and networks for the report's tests."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.nifti1 import Nifti1Image


@pytest.fixture(scope="session")
def brain() -> Nifti1Image:
    """A bright ball of 60 mm in a dark box, 4 mm voxels, oblique grid."""
    shape = (44, 52, 44)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    angle = np.deg2rad(5)
    affine[:2, :2] = 4 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) / 2)
    grid = np.indices(shape).reshape(3, -1)
    world = (affine[:3, :3] @ grid + affine[:3, 3:]).reshape(3, *shape)
    radius = np.linalg.norm(world, axis=0)
    data = np.where(radius < 60, 100 + world[2] / 2, 0) + np.where(radius < 30, 40, 0)
    return nib.Nifti1Image(data.astype(np.float32), affine)


@pytest.fixture(scope="session")
def mask(brain: Nifti1Image) -> Nifti1Image:
    """The ball as a mask."""
    return nib.Nifti1Image((brain.get_fdata() > 0).astype(np.uint8), brain.affine)


@pytest.fixture
def network() -> pd.DataFrame:
    """Eighty-four regions, three of which were not measured."""
    rng = np.random.default_rng(0)
    weights = rng.random((84, 84))
    weights = (weights + weights.T) / 2
    np.fill_diagonal(weights, 0)
    weights[[3, 50, 51]] = np.nan
    weights[:, [3, 50, 51]] = np.nan
    names = [f"region {k}" for k in range(84)]
    return pd.DataFrame(weights, index=names, columns=names)
