"""Matrices survive the file, and ANTs reads the file as we mean it."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.spatial.transform import Rotation

from brainnet import io
from brainnet.workflows.transforms import (
    load_affine,
    load_matrices,
    save_affine,
    save_matrices,
)


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


@pytest.mark.parametrize("suffix", [".mat", ".txt"])
def test_affine_survives_the_file_exactly(suffix: str, tmp_path: Path) -> None:
    matrix = _matrix(3)
    path = save_affine(matrix, tmp_path / f"0GenericAffine{suffix}")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    np.testing.assert_allclose(load_affine(path), matrix, rtol=0, atol=1e-14)


def test_binary_affine_is_what_ants_writes(tmp_path: Path) -> None:
    import ants

    path = save_affine(_matrix(4), tmp_path / "ours.mat")
    ants.write_transform(ants.read_transform(str(path)), str(tmp_path / "theirs.mat"))
    found = loadmat(tmp_path / "ours.mat")
    assert found["AffineTransform_double_3_3"].shape == (12, 1)
    assert found["fixed"].shape == (3, 1)
    # antspyx reads in single precision
    np.testing.assert_allclose(load_affine(tmp_path / "theirs.mat"), _matrix(4), atol=1e-5)
    flip = np.array([-1.0, -1.0, 1.0])
    transform, matrix = ants.read_transform(str(path)), _matrix(4)
    for point in np.random.default_rng(1).normal(scale=50, size=(10, 3)):
        there = flip * np.array(transform.apply_to_point(tuple(flip * point)))
        np.testing.assert_allclose(there, matrix[:3, :3] @ point + matrix[:3, 3], atol=1e-4)


@pytest.mark.parametrize("precision", ["float", "double"])
def test_centre_in_a_file_of_ants_is_undone(precision: str, tmp_path: Path) -> None:
    import ants

    turn = Rotation.from_rotvec([0.1, -0.2, 0.3]).as_matrix()
    transform = ants.create_ants_transform(
        transform_type="AffineTransform", precision=precision, matrix=turn,
        translation=(4.0, -5.0, 6.0), center=(10.0, 20.0, -30.0),
    )  # fmt: skip
    ants.write_transform(transform, str(tmp_path / "x.mat"))
    matrix = load_affine(tmp_path / "x.mat")
    flip = np.array([-1.0, -1.0, 1.0])
    for point in ([0.0, 0, 0], [10.0, 20, 30], [-40.0, 5, 60]):
        there = flip * np.array(transform.apply_to_point(tuple(flip * point)))
        np.testing.assert_allclose(matrix[:3, :3] @ point + matrix[:3, 3], there, atol=1e-4)


def test_a_matrix_that_is_none_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    with pytest.raises(ValueError, match=r"shape \(4, 4\); got \(2, 4, 4\)"):
        save_affine(np.stack([_matrix(0)] * 2), path)
    with pytest.raises(ValueError, match="finite affine"):
        save_affine(_matrix(0) * np.nan, path)
    with pytest.raises(ValueError, match="invertible"):
        save_affine(np.diag([1.0, 0, 1, 1]), path)
    with pytest.raises(ValueError, match=r"end in \.mat or \.txt; got x\.csv"):
        save_affine(_matrix(0), tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


def test_bad_affine_files_are_named(tmp_path: Path) -> None:
    whole = save_affine(_matrix(1), tmp_path / "good.mat").read_bytes()
    for length in (1, 30, 60, len(whole) - 1):
        (tmp_path / "cut.mat").write_bytes(whole[:length])
        with pytest.raises(io.DataError, match=r"cut\.mat: is no (whole )?ITK transform"):
            load_affine(tmp_path / "cut.mat")
    (tmp_path / "half.mat").write_bytes(whole[: -(20 + 6 + 24)])
    with pytest.raises(io.DataError, match=r"holds AffineTransform_double_3_3 \(12\), no affine"):
        load_affine(tmp_path / "half.mat")
    savemat(tmp_path / "new.mat", {"fixed": np.zeros((3, 1))})
    with pytest.raises(io.DataError, match=r"new\.mat: is no ITK transform"):
        load_affine(tmp_path / "new.mat")
    euler = {"Euler3DTransform_double_3_3": np.zeros((6, 1)), "fixed": np.zeros((4, 1))}
    savemat(tmp_path / "euler.mat", euler, format="4")
    with pytest.raises(io.DataError, match=r"holds Euler3DTransform_double_3_3 \(6\)"):
        load_affine(tmp_path / "euler.mat")
    odd = {"AffineTransform_double_3_3": np.ones((12, 1)), "fixed": np.zeros((4, 1))}
    savemat(tmp_path / "odd.mat", odd, format="4")
    with pytest.raises(io.DataError, match=r"odd\.mat: holds .* fixed \(4\), no affine"):
        load_affine(tmp_path / "odd.mat")
    for number in (0.0, np.nan):
        flat = {"AffineTransform_double_3_3": np.full((12, 1), number), "fixed": np.zeros((3, 1))}
        savemat(tmp_path / "flat.mat", flat, format="4")
        with pytest.raises(io.DataError, match="not finite or not invertible"):
            load_affine(tmp_path / "flat.mat")
    with pytest.raises(io.DataError, match="does not exist"):
        load_affine(tmp_path / "none.mat")
    save_matrices(np.stack([_matrix(0)] * 3), tmp_path / "three.txt")
    with pytest.raises(io.DataError, match="holds 3 transforms where one is expected"):
        load_affine(tmp_path / "three.txt")
    (tmp_path / "words.txt").write_text("Parameters: one two\nFixedParameters: 0 0 0\n")
    with pytest.raises(io.DataError, match=r"words\.txt: holds no numbers"):
        load_affine(tmp_path / "words.txt")
