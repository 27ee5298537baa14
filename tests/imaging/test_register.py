"""Planted matrices and deformations, found again; and the bridge to ITK."""

import hashlib
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from brainnet.imaging import _ants, _fields, register


def _rotation(*degrees: float) -> np.ndarray:
    out = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        i, j = (k for k in range(3) if k != axis)
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        out = out @ step
    return out


#: Oblique, anisotropic, left-handed.
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = _rotation(12, -7, 20) @ np.diag([-3.0, 2.8, 3.3])
OBLIQUE[:3, 3] = (95, -130, -60)


@pytest.fixture(scope="module")
def brain() -> Nifti1Image:
    """The MNI brain that nilearn carries, 2 mm, 0 outside."""
    from nilearn.datasets import load_mni152_template

    img = load_mni152_template(resolution=2)
    data = np.asarray(img.dataobj, dtype=np.float32)
    return nib.Nifti1Image(np.where(data > 0.1 * data.max(), data, 0), img.affine)


def _moved(img: Nifti1Image, shape: tuple[int, ...], affine: np.ndarray, matrix: np.ndarray):
    """Sample ``img`` so that ``matrix`` pulls the result back: moving = matrix @ fixed."""
    voxel = np.linalg.inv(img.affine) @ np.linalg.inv(matrix) @ affine
    data = ndimage.affine_transform(
        np.asarray(img.dataobj), voxel[:3, :3], voxel[:3, 3], output_shape=shape, order=1
    )
    return data


def _error(found: np.ndarray, planted: np.ndarray, img: Nifti1Image) -> tuple[float, float]:
    """Return the largest displacement error in the brain (mm) and the angle (degrees)."""
    points = apply_affine(img.affine, np.argwhere(np.asarray(img.dataobj) > 0)[::50])
    distance = np.linalg.norm(apply_affine(found, points) - apply_affine(planted, points), axis=1)
    turn = np.linalg.inv(planted)[:3, :3] @ found[:3, :3]
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    return float(distance.max()), float(angle)


def test_bridge_keeps_physical_coordinates() -> None:
    data = np.random.default_rng(0).normal(size=(7, 8, 9)).astype(np.float32)
    image = _ants.to_ants(data, OBLIQUE)
    ants = _ants.ants_module()
    for index in ((0, 0, 0), (6, 0, 3), (2, 7, 8)):
        lps = ants.transform_index_to_physical_point(image, index)
        assert np.allclose(np.array(lps) * (-1, -1, 1), apply_affine(OBLIQUE, index), atol=1e-4)
        assert image[index] == data[index]
    back = _ants.from_ants(image)
    assert np.allclose(back.affine, OBLIQUE, atol=1e-5)
    assert np.array_equal(np.asarray(back.dataobj), data)


def test_bridge_refuses_shear() -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.1
    with pytest.raises(ValueError, match="right angles"):
        _ants.to_ants(np.zeros((3, 3, 3)), sheared)


def test_matrix_file_round_trip(tmp_path: Path) -> None:
    _ants.write_matrix(OBLIQUE, tmp_path / "a.txt")
    assert np.allclose(_ants.read_matrix(tmp_path / "a.txt"), OBLIQUE, atol=1e-9)


@pytest.mark.parametrize(
    "angles, shift", [((4, -3, 5), (6, -8, 5)), ((0, 0, 0), (0, 0, 0)), ((-15, 5, 8), (3, 40, -25))]
)
def test_planted_rigid_across_contrasts(
    brain: Nifti1Image, angles: tuple[float, ...], shift: tuple[float, ...]
) -> None:
    planted = np.eye(4)
    planted[:3, :3], planted[:3, 3] = _rotation(*angles), shift
    rng = np.random.default_rng(0)
    data = np.asarray(brain.dataobj)
    other = nib.Nifti1Image(np.where(data > 0, 1.3 * data.max() - data, 0), brain.affine)
    grid = OBLIQUE.copy()
    grid[:3, 3] += shift
    moving = ndimage.gaussian_filter(_moved(other, (64, 76, 44), grid, planted), 0.5)
    moving = 300 * (moving + rng.normal(0, 0.03 * data.max(), moving.shape))
    mask_img = nib.Nifti1Image((data > 0).astype(np.uint8), brain.affine)
    found = register.register_affine(
        brain, nib.Nifti1Image(moving.astype(np.float32), grid), fixed_mask_img=mask_img
    )
    distance, angle = _error(found, planted, brain)
    assert distance < 0.5
    assert angle < 0.5
    assert np.allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-6)


def test_slab_registers_to_the_whole(brain: Nifti1Image) -> None:
    planted = np.eye(4)
    planted[:3, :3], planted[:3, 3] = _rotation(3, 2, -4), (2, -5, 4)
    grid = OBLIQUE.copy()
    grid[:3, 3] = apply_affine(OBLIQUE, (0, 0, 14))
    moving = nib.Nifti1Image(_moved(brain, (64, 76, 18), grid, planted), grid)
    found = register.register_affine(brain, moving)
    assert _error(found, planted, brain)[0] < 1


def test_planted_affine(brain: Nifti1Image) -> None:
    planted = np.eye(4)
    planted[:3, :3] = _rotation(3, -2, 4) @ np.diag([1.08, 0.94, 1.05])
    planted[:3, 3] = (5, -3, 8)
    moving = nib.Nifti1Image(_moved(brain, (70, 85, 60), OBLIQUE, planted), OBLIQUE)
    found = register.register_affine(brain, moving, kind="affine")
    assert _error(found, planted, brain)[0] < 1


def test_image_registers_to_itself(brain: Nifti1Image) -> None:
    small = brain.slicer[::2, ::2, ::2]
    assert _error(register.register_affine(small, small), np.eye(4), small)[0] < 0.1


def test_bad_input_is_refused(brain: Nifti1Image) -> None:
    flat = nib.Nifti1Image(np.zeros((9, 9, 9), np.float32), np.eye(4))
    with pytest.raises(ValueError, match="moving_img must not be constant"):
        register.register_affine(brain, flat)
    with pytest.raises(ValueError, match="kind must be"):
        register.register_affine(brain, brain, kind="similarity")
    with pytest.raises(ValueError, match="quality must be one of standard, draft"):
        register.register_deformable(brain, brain, quality="best")
    with pytest.raises(ValueError, match="fixed_mask_img must lie on the grid"):
        register.register_affine(brain, brain, fixed_mask_img=flat)
    with pytest.raises(ValueError, match="displacement_img must be an ITK vector image"):
        register.jacobian(brain)
    with pytest.raises(ValueError, match="order must be"):
        register.apply_displacement(brain, brain, order=2)


def _linear_field(shape: tuple[int, ...], affine: np.ndarray, matrix: np.ndarray) -> Nifti1Image:
    grid = nib.Nifti1Image(np.zeros(shape, np.uint8), affine)
    return _fields.total_field(grid, lambda points: apply_affine(matrix, points))


def test_jacobian_of_a_matrix_is_its_determinant() -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = _rotation(5, 10, -8) @ np.diag([1.2, 0.9, 1.1])
    field = _linear_field((6, 7, 8), OBLIQUE, matrix)
    assert np.allclose(np.asarray(register.jacobian(field).dataobj), 1.2 * 0.9 * 1.1, atol=1e-4)


def test_displacement_by_whole_voxels_keeps_labels() -> None:
    labels = np.random.default_rng(0).integers(0, 2000, (8, 9, 7)).astype(np.int32)
    matrix = np.eye(4)
    matrix[:3, 3] = OBLIQUE[:3, 0] * 2 - OBLIQUE[:3, 2]
    field = _linear_field(labels.shape, OBLIQUE, matrix)
    out = register.apply_displacement(nib.Nifti1Image(labels, OBLIQUE), field, order=0)
    data = np.asarray(out.dataobj)
    assert data.dtype == np.int32
    assert np.array_equal(data[:-2, :, 1:], labels[2:, :, :-1])
    assert not data[-2:].any()
    assert not data[:, :, 0].any()


@pytest.fixture(scope="module")
def deformed(brain: Nifti1Image) -> tuple[Nifti1Image, np.ndarray, register.Deformation]:
    """A brain bent by a known smooth field and moved, on another grid, and its registration."""
    shape = (62, 76, 64)
    affine = np.diag([3.0, 3, 3, 1])
    affine[:3, 3] = (-90, -130, -80)
    grid = np.moveaxis(np.indices(shape), 0, -1)
    points = apply_affine(affine, grid)
    bend = np.stack([4 * np.sin(points[..., k - 1] / 22) for k in range(3)], -1)
    voxels = np.moveaxis(
        apply_affine(np.linalg.inv(brain.affine), points + bend - (4, -6, 3)), -1, 0
    )
    data = ndimage.map_coordinates(np.asarray(brain.dataobj), voxels, order=1)
    moving = nib.Nifti1Image(data.astype(np.float32), affine)
    return moving, bend - (4, -6, 3), register.register_deformable(brain, moving, quality="draft")


def test_planted_deformation_is_found(brain, deformed) -> None:
    moving, planted, deformation = deformed
    inside = ndimage.binary_erosion(np.asarray(moving.dataobj) > 0, iterations=2)
    found = _fields.check_field(deformation.inverse_img)
    error = np.linalg.norm(found - planted, axis=-1)[inside]
    assert np.linalg.norm(planted - planted[inside].mean(axis=0), axis=-1)[inside].mean() > 3
    assert np.median(error) < 1.3
    assert np.percentile(error, 95) < 3.5
    warped = register.apply_displacement(moving, deformation.forward_img)
    both = np.asarray(brain.dataobj) > 0
    match = np.corrcoef(np.asarray(warped.dataobj)[both], np.asarray(brain.dataobj)[both])[0, 1]
    # The best affine reaches 0.68; sampling the template on this 3-mm grid and back, 0.93.
    assert match > 0.88


def test_fields_undo_one_another_and_do_not_fold(brain, deformed) -> None:
    moving, _, deformation = deformed
    index = np.argwhere(np.asarray(brain.dataobj) > 0)[::100]
    points = apply_affine(brain.affine, index)
    there = points + _fields.check_field(deformation.forward_img)[tuple(index.T)]
    inverse = _fields.Volume(_fields.check_field(deformation.inverse_img), moving.affine)
    error = np.linalg.norm(there + _fields.interpolate(inverse, there) - points, axis=1)
    assert error.mean() < 0.3
    determinant = np.asarray(register.jacobian(deformation.forward_img).dataobj)
    assert determinant[np.asarray(brain.dataobj) > 0].min() > 0


def test_ants_reads_the_fields(brain, deformed, tmp_path: Path) -> None:
    moving, _, deformation = deformed
    ants = _ants.ants_module()
    pairs = ((moving, brain, deformation.forward_img), (brain, moving, deformation.inverse_img))
    for source, target, field in pairs:
        assert field.shape == (*target.shape, 1, 3)
        assert field.header.get_intent()[0] == "vector"
        assert np.array_equal(field.affine, target.affine)
        nib.save(field, tmp_path / "field.nii.gz")
        images = [_ants.to_ants(np.asarray(each.dataobj), each.affine) for each in (target, source)]
        theirs = ants.apply_transforms(*images, [str(tmp_path / "field.nii.gz")]).numpy()
        ours = np.asarray(register.apply_displacement(source, field).dataobj)
        # ITK and scipy round coordinates differently at steep edges.
        difference = np.abs(ours - theirs)[2:-2, 2:-2, 2:-2] / theirs.max()
        assert difference.max() < 0.02
        assert np.percentile(difference, 99.9) < 1e-3


SCRIPT = """
import hashlib, sys, numpy as np, nibabel as nib
from brainnet.imaging import intensity, register
axes = np.meshgrid(*[np.linspace(-1, 1, 40)] * 3, indexing="ij")
data = np.random.default_rng(0).normal(1, 0.05, (40, 40, 40)) + np.cos(4 * axes[0] * axes[1]) ** 2
data *= (axes[0] ** 2 + axes[1] ** 2 + 1.5 * axes[2] ** 2 < 0.7)
one = nib.Nifti1Image(data.astype(np.float32), np.diag([4.0, 4, 4, 1]))
two = nib.Nifti1Image(np.roll(data, 1, 1).astype(np.float32), np.diag([4.0, 4, 4, 1]))
if sys.argv[1] == "deformable":
    parts = [register.register_deformable(one, two, quality="draft").forward_img.dataobj]
else:
    parts = [intensity.correct_bias(one).dataobj, register.register_affine(one, two)]
print(hashlib.sha256(b"".join(np.asarray(each).tobytes() for each in parts)).hexdigest())
"""


@pytest.mark.parametrize("what", ["linear", pytest.param("deformable", marks=pytest.mark.slow)])
def test_two_processes_give_the_same_bytes(what: str) -> None:
    command = [sys.executable, "-c", SCRIPT, what]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2)]
    one, two = (run.stdout.strip().splitlines()[-1] for run in runs)
    assert len(one) == hashlib.sha256().digest_size * 2
    assert one == two


def test_foreign_import_of_ants_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _ants.ants_module()
    monkeypatch.delenv(_ants.THREADS)
    with pytest.warns(UserWarning, match="imported before brainnet"):
        _ants.ants_module()


@pytest.mark.slow
@pytest.mark.parametrize("subject, task", [("sub-01", "oneback"), ("sub-02", "rest")])
def test_real_bold_follows_the_header(shared_data: Path, subject: str, task: str) -> None:
    """One session's headers share a world: the matrix must be a small correction of it."""
    from brainnet.imaging import mask

    folder = shared_data / "bids" / subject
    t1w = nib.load(folder / "anat" / f"{subject}_T1w.nii.gz")
    bold = nib.load(folder / "func" / f"{subject}_task-{task}_bold.nii.gz")
    mean = bold.get_fdata(dtype=np.float32)[..., :8].mean(axis=-1)
    reference = nib.Nifti1Image(mean, bold.affine)
    brain_img = mask.brain_mask(t1w)
    found = register.register_affine(t1w, reference, fixed_mask_img=brain_img)
    data = np.asarray(brain_img.dataobj)
    masked = nib.Nifti1Image(data * t1w.get_fdata(dtype=np.float32), t1w.affine)
    assert _error(found, np.eye(4), masked)[0] < 25
    # The mask carried to the BOLD grid covers the bright voxels there.
    pull = np.linalg.inv(t1w.affine) @ np.linalg.inv(found) @ bold.affine
    carried = ndimage.affine_transform(
        data, pull[:3, :3], pull[:3, 3], output_shape=mean.shape, order=0
    )
    bright = mean > 0.5 * np.percentile(mean, 98)
    assert np.sum(bright & (carried > 0)) / bright.sum() > 0.9
