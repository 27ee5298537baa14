"""Matrices survive the file, and ANTs reads the file as we mean it."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from brainnet import io
from brainnet.workflows.transforms import load_matrices, save_matrices


def _matrix(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(rng.normal(scale=0.2, size=3)).as_matrix()
    matrix[:3, 3] = rng.normal(scale=10, size=3)
    return matrix


def test_matrices_survive_the_file_exactly(tmp_path: Path) -> None:
    matrices = np.stack([_matrix(seed) for seed in range(5)])
    found = load_matrices(save_matrices(matrices, tmp_path / "motion_xfm.txt"))
    np.testing.assert_allclose(found, matrices, rtol=0, atol=1e-14)


def test_ants_maps_points_as_we_do(tmp_path: Path) -> None:
    import ants

    matrix = _matrix(7)
    path = save_matrices(matrix, tmp_path / "x_xfm.txt")
    transform = ants.read_transform(str(path))
    flip = np.array([-1.0, -1.0, 1.0])
    for point in np.random.default_rng(1).normal(scale=50, size=(10, 3)):
        found = flip * np.array(transform.apply_to_point(tuple(flip * point)))
        np.testing.assert_allclose(found, matrix[:3, :3] @ point + matrix[:3, 3], atol=1e-4)


def test_centre_of_rotation_is_undone(tmp_path: Path) -> None:
    path = tmp_path / "centre_xfm.txt"
    path.write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        "Parameters: 0 -1 0 1 0 0 0 0 1 0 0 0\nFixedParameters: 10 0 0\n"
    )
    point = np.array([-10.0, 0.0, 0.0, 1.0])  # the centre, in RAS: stays where it is
    np.testing.assert_allclose(load_matrices(path)[0] @ point, point, atol=1e-12)


def test_a_file_without_matrices_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad_xfm.txt"
    path.write_text("#Insight Transform File V1.0\n")
    with pytest.raises(io.DataError, match=r"bad_xfm\.txt"):
        load_matrices(path)
