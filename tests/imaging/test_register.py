"""Planted matrices and deformations, found again by both engines; bad input; the bridge to ITK."""

import hashlib
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from brainnet.imaging import _ants, _fields, register, transforms


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


SLOW_ANTS = pytest.param("ants", marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def brain() -> Nifti1Image:
    """The MNI brain that nilearn carries, 4 mm, 0 outside."""
    from nilearn.datasets import load_mni152_template

    img = load_mni152_template(resolution=4)
    data = np.asarray(img.dataobj, dtype=np.float32)
    return nib.Nifti1Image(np.where(data > 0.1 * data.max(), data, 0), img.affine)


def _moved(img: Nifti1Image, shape: tuple[int, ...], affine: np.ndarray, matrix: np.ndarray):
    """Sample ``img`` so that ``matrix`` pulls the result back: moving = matrix @ fixed."""
    voxel = np.linalg.inv(img.affine) @ np.linalg.inv(matrix) @ affine
    data = ndimage.affine_transform(
        np.asarray(img.dataobj), voxel[:3, :3], voxel[:3, 3], output_shape=shape, order=1
    )
    return data.astype(np.float32)


def _like(img: Nifti1Image, data: np.ndarray) -> Nifti1Image:
    """Return an image of other data on the same grid."""
    return nib.Nifti1Image(np.ascontiguousarray(data), img.affine)


def _array(img: Nifti1Image) -> np.ndarray:
    return np.asarray(img.dataobj)


def _error(found: np.ndarray, planted: np.ndarray, img: Nifti1Image) -> tuple[float, float]:
    """Return the largest displacement error in the brain (mm) and the angle (degrees)."""
    points = apply_affine(img.affine, np.argwhere(np.asarray(img.dataobj) > 0)[::10])
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
    "engine, angles, shift",
    [
        ("fast", (4, -3, 5), (6, -8, 5)),
        ("fast", (0, 0, 0), (0, 0, 0)),
        # ANTs does not find its way here from voxels of 4 mm.
        ("fast", (-15, 5, 8), (3, 40, -25)),
        pytest.param("ants", (4, -3, 5), (6, -8, 5), marks=pytest.mark.slow),
        pytest.param("ants", (0, 0, 0), (0, 0, 0), marks=pytest.mark.slow),
    ],
)
def test_planted_rigid_across_contrasts(
    brain: Nifti1Image, engine: str, angles: tuple[float, ...], shift: tuple[float, ...]
) -> None:
    planted = np.eye(4)
    planted[:3, :3], planted[:3, 3] = _rotation(*angles), shift
    rng = np.random.default_rng(0)
    data = _array(brain)
    other = _like(brain, np.where(data > 0, 1.3 * data.max() - data, 0))
    grid = OBLIQUE.copy()
    grid[:3, 3] += shift
    moving = ndimage.gaussian_filter(_moved(other, (64, 76, 44), grid, planted), 0.5)
    moving = 300 * (moving + rng.normal(0, 0.03 * data.max(), moving.shape))
    found = register.register_affine(
        brain,
        nib.Nifti1Image(moving.astype(np.float32), grid),
        fixed_mask_img=_like(brain, (data > 0).astype(np.uint8)),
        engine=engine,
    )
    distance, angle = _error(found.matrix, planted, brain)
    assert distance < 0.7
    assert angle < 0.5
    assert np.allclose(found.matrix[:3, :3] @ found.matrix[:3, :3].T, np.eye(3), atol=1e-6)
    assert found.volume_ratio == pytest.approx(1)
    assert found.similarity > 0


@pytest.mark.parametrize("engine", ["fast", SLOW_ANTS])
def test_slab_registers_to_the_whole(brain: Nifti1Image, engine: str) -> None:
    planted = np.eye(4)
    planted[:3, :3], planted[:3, 3] = _rotation(3, 2, -4), (2, -5, 4)
    grid = OBLIQUE.copy()
    grid[:3, 3] = apply_affine(OBLIQUE, (0, 0, 14))
    moving = nib.Nifti1Image(_moved(brain, (64, 76, 18), grid, planted), grid)
    found = register.register_affine(brain, moving, engine=engine)
    assert _error(found.matrix, planted, brain)[0] < 1
    assert found.overlap < 0.7


@pytest.mark.parametrize("contrast", ["same", "different"])
@pytest.mark.parametrize("engine", ["fast", SLOW_ANTS])
def test_planted_affine(brain: Nifti1Image, engine: str, contrast: str) -> None:
    planted = np.eye(4)
    planted[:3, :3] = _rotation(3, -2, 4) @ np.diag([1.08, 0.94, 1.05])
    planted[:3, 3] = (5, -3, 8)
    moving = nib.Nifti1Image(_moved(brain, (70, 85, 60), OBLIQUE, planted), OBLIQUE)
    found = register.register_affine(brain, moving, kind="affine", engine=engine, contrast=contrast)
    assert _error(found.matrix, planted, brain)[0] < 1
    assert found.volume_ratio == pytest.approx(1.08 * 0.94 * 1.05, rel=0.01)


@pytest.mark.parametrize("engine", ["fast", "ants"])
def test_image_registers_to_itself(brain: Nifti1Image, engine: str) -> None:
    found = register.register_affine(brain, brain, engine=engine)
    assert _error(found.matrix, np.eye(4), brain)[0] < 0.1
    assert found.flags == ()


#: A grid of its own for what is bent.
BENT = np.diag([4.0, 4, 4, 1])
BENT[:3, 3] = (-90, -130, -78)
BENT_SHAPE = (46, 56, 47)


def _bend() -> np.ndarray:
    """Return the planted displacement, mm, from the bent image's grid to the brain."""
    points = apply_affine(BENT, np.moveaxis(np.indices(BENT_SHAPE), 0, -1))
    return np.stack([4 * np.sin(points[..., k - 1] / 22) for k in range(3)], -1) - (4, -6, 3)


def _bent(img: Nifti1Image, order: int = 1) -> Nifti1Image:
    points = apply_affine(BENT, np.moveaxis(np.indices(BENT_SHAPE), 0, -1)) + _bend()
    voxels = np.moveaxis(apply_affine(np.linalg.inv(img.affine), points), -1, 0)
    data = ndimage.map_coordinates(_array(img), voxels, order=order)
    return nib.Nifti1Image(data, BENT)


def _missed(deformation: register.Deformation) -> np.ndarray:
    """Return how far the inverse field is from the planted one, mm."""
    found = _fields.check_field(deformation.inverse_img)
    return np.asarray(np.linalg.norm(found - _bend(), axis=-1))


def _inside(img: Nifti1Image) -> np.ndarray:
    return np.asarray(ndimage.binary_erosion(_array(img) > 0))


def _missed_by_matrix(deformation: register.Deformation, inside: np.ndarray) -> float:
    """Return the median error of the affine part alone, mm."""
    points = apply_affine(BENT, np.argwhere(inside))
    back = apply_affine(np.linalg.inv(deformation.alignment.matrix), points) - points
    return float(np.median(np.linalg.norm(back - _bend()[inside], axis=1)))


@pytest.fixture(scope="module", params=["fast", "ants"])
def deformed(
    brain: Nifti1Image, request: pytest.FixtureRequest
) -> tuple[Nifti1Image, register.Deformation]:
    """A brain bent by a known smooth field and moved, on another grid, and its registration."""
    moving = _bent(brain)
    return moving, register.register_deformable(
        brain, moving, quality="draft", engine=request.param
    )


def test_planted_deformation_is_found(brain, deformed) -> None:
    moving, deformation = deformed
    inside, bend = _inside(moving), _bend()
    assert np.linalg.norm(bend - bend[inside].mean(axis=0), axis=-1)[inside].mean() > 3
    assert _missed_by_matrix(deformation, inside) > 2.5
    error = _missed(deformation)[inside]
    assert np.median(error) < 1.3
    assert np.percentile(error, 95) < 3.5
    warped = _array(transforms.apply_displacement(moving, deformation.forward_img))
    both = _array(brain) > 0
    # The best affine reaches 0.68; sampling the template on the other grid and back, 0.85.
    assert np.corrcoef(warped[both], _array(brain)[both])[0, 1] > 0.8


def _left(deformation: register.Deformation, fixed: Nifti1Image, moving: Nifti1Image) -> np.ndarray:
    """Return by how much points of the fixed brain miss themselves, there and back, mm."""
    index = np.argwhere(_array(fixed) > 0)[::10]
    points = apply_affine(fixed.affine, index)
    there = points + _fields.check_field(deformation.forward_img)[tuple(index.T)]
    # Cubic, since a linear look between voxels of 4 mm is itself off by some 0.2 mm.
    voxels = apply_affine(np.linalg.inv(moving.affine), there).T
    back = [
        ndimage.map_coordinates(part, voxels, order=3, mode="nearest")
        for part in np.moveaxis(_fields.check_field(deformation.inverse_img), -1, 0)
    ]
    return np.asarray(np.linalg.norm(there + np.stack(back, -1) - points, axis=1))


def test_fields_undo_one_another_and_do_not_fold(brain, deformed) -> None:
    moving, deformation = deformed
    assert _left(deformation, brain, moving).mean() < 0.2
    determinant = _array(transforms.jacobian(deformation.forward_img))
    assert determinant[_array(brain) > 0].min() > 0
    other = _array(transforms.jacobian(deformation.inverse_img))
    least = min(float(determinant.min()), float(other.min()))
    assert deformation.least_jacobian == pytest.approx(least, rel=1e-3)


def _seen(field: Nifti1Image, source: Nifti1Image) -> np.ndarray:
    """Return which voxels a field sends between voxels of an image: ITK goes on half a voxel."""
    points = apply_affine(field.affine, np.moveaxis(np.indices(field.shape[:3]), 0, -1))
    points += _fields.check_field(field)
    voxels = apply_affine(np.linalg.inv(source.affine), points)
    return np.asarray(((voxels > 0) & (voxels < np.array(source.shape) - 1)).all(axis=-1))


def test_ants_reads_the_fields(brain, deformed, tmp_path: Path) -> None:
    moving, deformation = deformed
    ants = _ants.ants_module()
    pairs = ((moving, brain, deformation.forward_img), (brain, moving, deformation.inverse_img))
    for source, target, field in pairs:
        assert field.shape == (*target.shape, 1, 3)
        assert field.header.get_intent()[0] == "vector"
        assert np.array_equal(field.affine, target.affine)
        nib.save(field, tmp_path / "field.nii.gz")
        images = [_ants.to_ants(_array(each), each.affine) for each in (target, source)]
        theirs = ants.apply_transforms(*images, [str(tmp_path / "field.nii.gz")]).numpy()
        ours = _array(transforms.apply_displacement(source, field))
        # ITK and scipy round coordinates differently at steep edges.
        difference = (np.abs(ours - theirs) / theirs.max())[_seen(field, source)]
        assert difference.max() < 0.02
        assert np.percentile(difference, 99.9) < 1e-3


def test_exchanging_the_images_exchanges_the_fields(brain) -> None:
    moving = _bent(brain)
    there = register.register_deformable(brain, moving, quality="draft")
    back = register.register_deformable(moving, brain, quality="draft")
    pairs = ((there.forward_img, back.inverse_img), (there.inverse_img, back.forward_img))
    for one, other in pairs:
        grid = brain if one.shape[:3] == brain.shape else moving
        apart = np.linalg.norm(_fields.check_field(one) - _fields.check_field(other), axis=-1)
        # The two matrices differ by some 0.1 mm: mutual information is taken from one image on.
        assert apart[_array(grid) > 0].mean() < 0.3
        assert np.percentile(apart[_array(grid) > 0], 99) < 1.5


def _ball(seed: int, axes: tuple[float, ...], width: float) -> Nifti1Image:
    """Return a brain-sized ellipsoid of smooth noise in shells, 4 mm."""
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = (-80, -88, -80)
    points = apply_affine(affine, np.moveaxis(np.indices((40, 44, 40)), 0, -1))
    radius = ((points / axes) ** 2).sum(axis=-1)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=radius.shape), width)
    data = np.where(radius < 1, 2 + 0.5 * noise / noise.std() + np.cos(6 * radius), 0).clip(0)
    return nib.Nifti1Image(data.astype(np.float32), affine)


@pytest.mark.parametrize("contrast", ["same", "different"])
def test_very_different_brains_do_not_fold(contrast: str) -> None:
    fixed, moving = _ball(1, (60, 70, 55), 1.5), _ball(2, (50, 78, 62), 1.0)
    found = register.register_deformable(fixed, moving, quality="draft", contrast=contrast)
    for img in (found.forward_img, found.inverse_img):
        assert _array(transforms.jacobian(img)).min() > 0
    assert found.least_jacobian > 0
    assert _left(found, fixed, moving).mean() < 0.4


def test_masked_lesion_does_not_pull(brain) -> None:
    points = apply_affine(brain.affine, np.moveaxis(np.indices(brain.shape), 0, -1))
    lesion = np.linalg.norm(points - (25, -30, 20), axis=-1) < 14
    hurt = _like(brain, np.where(lesion, 3, _array(brain)).astype(np.float32))
    keep = _like(brain, (~lesion).astype(np.uint8))
    moving = _bent(brain)
    carried = _array(_bent(_like(brain, lesion.astype(np.uint8)), order=0)) > 0
    places = {
        "in": carried,
        "near": ndimage.binary_dilation(carried, iterations=3) & ~carried & _inside(moving),
        "rest": _inside(moving) & ~ndimage.binary_dilation(carried, iterations=3),
    }
    masked = _missed(
        register.register_deformable(hurt, moving, quality="draft", fixed_mask_img=keep)
    )
    found = register.register_deformable(hurt, moving, quality="draft")
    plain = _missed(found)
    for place in ("in", "near"):
        assert masked[places[place]].mean() < 0.6 * plain[places[place]].mean()
    assert masked[places["rest"]].mean() < plain[places["rest"]].mean()
    assert masked[places["in"]].mean() < 3.5
    assert masked[places["near"]].mean() < 2
    assert masked[places["rest"]].mean() < 1.2
    turned = register.register_deformable(moving, hurt, quality="draft", moving_mask_img=keep)
    error = np.linalg.norm(_fields.check_field(turned.forward_img) - _bend(), axis=-1)
    assert error[places["near"]].mean() < 2


def test_inverted_contrast_needs_to_be_told(brain) -> None:
    moving = _bent(brain)
    data = _array(moving)
    inverted = _like(moving, np.where(data > 0, 1.3 * data.max() - data, 0).astype(np.float32))
    found = register.register_deformable(brain, inverted, quality="draft", contrast="different")
    error = _missed(found)[_inside(moving)]
    assert np.median(error) < 1.6
    assert np.median(error) < 0.6 * _missed_by_matrix(found, _inside(moving))


@pytest.mark.parametrize("contrast", ["same", pytest.param("different", marks=pytest.mark.slow)])
def test_torch_gives_the_same_deformation(contrast: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    fixed = _ball(1, (32, 36, 30), 1.5).slicer[8:30, 8:32, 8:30]
    bend = 1.2 * np.sin(np.indices(fixed.shape)[[1, 2, 0]] / 5)
    bent = ndimage.map_coordinates(_array(fixed), np.indices(fixed.shape) + bend, order=1)

    def field(device: str) -> tuple[np.ndarray, register.Alignment]:
        found = register.register_deformable(
            fixed, _like(fixed, bent), quality="draft", contrast=contrast, device=device
        )
        return _fields.check_field(found.forward_img)[_array(fixed) > 0], found.alignment

    on_cpu, alignment = field("cpu")
    moved = np.linalg.norm(on_cpu, axis=-1).mean()
    assert moved > 2
    on_torch, other = field("torch")
    # The affine parts stop some 0.01 mm apart, 0.3 mm with other versions of SciPy: the grid half
    # way may be a voxel larger, and what follows differs.
    places = np.argwhere(_array(fixed) > 0) @ fixed.affine[:3, :3].T + fixed.affine[:3, 3]
    drift = alignment.matrix - other.matrix
    assert np.linalg.norm(places @ drift[:3, :3].T + drift[:3, 3], axis=-1).mean() < 0.5
    assert np.linalg.norm(on_cpu - on_torch, axis=-1).mean() < 0.3 * moved
    monkeypatch.setattr(register, "_align", lambda *_, **__: alignment)
    apart = np.linalg.norm(on_cpu - field("torch")[0], axis=-1)
    torch.set_num_threads(n_threads)
    assert apart.mean() < 0.005
    assert np.percentile(apart, 99) < 0.05
    assert apart.max() < 0.2


SCRIPT = """
import hashlib, sys, numpy as np, nibabel as nib
from brainnet.imaging import intensity, register
engine, what = sys.argv[1:]
axes = np.meshgrid(*[np.linspace(-1, 1, 40)] * 3, indexing="ij")
data = np.random.default_rng(0).normal(1, 0.05, (40, 40, 40)) + np.cos(4 * axes[0] * axes[1]) ** 2
data *= (axes[0] ** 2 + axes[1] ** 2 + 1.5 * axes[2] ** 2 < 0.7)
one = nib.Nifti1Image(data.astype(np.float32), np.diag([4.0, 4, 4, 1]))
two = nib.Nifti1Image(np.roll(data, 1, 1).astype(np.float32), np.diag([4.0, 4, 4, 1]))
parts = [register.register_affine(one, two, engine=engine).matrix]
if what == "deformable":
    found = register.register_deformable(one, two, quality="draft", engine=engine)
    parts += [found.forward_img.dataobj, found.inverse_img.dataobj]
if engine == "ants":
    parts.append(intensity.correct_bias(one).dataobj)
print(hashlib.sha256(b"".join(np.asarray(each).tobytes() for each in parts)).hexdigest())
"""


@pytest.mark.parametrize(
    "engine, what",
    [
        ("fast", "deformable"),
        pytest.param("ants", "linear", marks=pytest.mark.slow),
        pytest.param("ants", "deformable", marks=pytest.mark.slow),
    ],
)
def test_two_processes_give_the_same_bytes(engine: str, what: str) -> None:
    command = [sys.executable, "-c", SCRIPT, engine, what]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2)]
    one, two = (run.stdout.strip().splitlines()[-1] for run in runs)
    assert len(one) == hashlib.sha256().digest_size * 2
    assert one == two


def _told(work: Callable[[], Any]) -> tuple[Any, str]:
    """Return a result and all that it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = work()
    assert all(issubclass(each.category, register.RegistrationWarning) for each in caught)
    return result, " ".join(str(each.message) for each in caught)


def _draft(fixed: Nifti1Image, moving: Nifti1Image, **options: Any) -> register.Deformation:
    return register.register_deformable(fixed, moving, quality="draft", **options)


def _sound(deformation: register.Deformation) -> None:
    """Assert that every displacement is finite and nothing folds."""
    for img in (deformation.forward_img, deformation.inverse_img):
        assert np.isfinite(_array(img)).all()
    assert deformation.least_jacobian > 0


BOTH = pytest.mark.parametrize("way", [register.register_affine, register.register_deformable])


@BOTH
def test_images_that_cannot_be_compared_are_refused(brain: Nifti1Image, way) -> None:
    flat = nib.Nifti1Image(np.zeros((9, 9, 9), np.float32), np.eye(4))
    holes = _array(brain).copy()
    holes[20, 20, 20] = np.nan
    series = nib.Nifti1Image(np.stack([_array(brain)] * 2, -1), brain.affine)
    with pytest.raises(ValueError, match="moving_img must not be constant; every voxel is 0"):
        way(brain, flat)
    with pytest.raises(ValueError, match="fixed_img must be finite; 1 voxels are NaN"):
        way(_like(brain, holes), brain)
    with pytest.raises(ValueError, match="moving_img must be three-dimensional"):
        way(brain, series)


@BOTH
def test_masks_that_do_not_fit_are_refused(brain: Nifti1Image, way) -> None:
    cut = nib.Nifti1Image(np.ones((9, 9, 9), np.uint8), brain.affine)
    shifted = nib.Nifti1Image(np.ones(brain.shape, np.uint8), brain.affine + np.eye(4, k=3))
    empty = _like(brain, np.zeros(brain.shape, np.uint8))
    for name in ("fixed_mask_img", "moving_mask_img"):
        for mask_img in (cut, shifted):
            with pytest.raises(ValueError, match=f"{name} must lie on the grid"):
                way(brain, brain, **{name: mask_img})
        with pytest.raises(ValueError, match=f"{name} must contain at least one voxel"):
            way(brain, brain, **{name: empty})


@BOTH
def test_unknown_options_are_refused(brain: Nifti1Image, way) -> None:
    with pytest.raises(ValueError, match="engine must be 'fast' or 'ants'; got 'elastix'"):
        way(brain, brain, engine="elastix")
    with pytest.raises(ValueError, match="contrast must be 'same' or 'different'; got 'other'"):
        way(brain, brain, contrast="other")
    with pytest.raises(ValueError, match="device must be"):
        way(brain, brain, device="gpu")
    with pytest.raises(ValueError, match="kind must be"):
        register.register_affine(brain, brain, kind="similarity")
    with pytest.raises(ValueError, match="quality must be one of standard, draft"):
        register.register_deformable(brain, brain, quality="best")


def test_thin_images_are_not_deformed(brain: Nifti1Image) -> None:
    for n_slices in (1, 2):
        thin = brain.slicer[:, :, 20 : 20 + n_slices]
        with pytest.raises(ValueError, match=r"moving_img must have at least 3 voxels along each"):
            register.register_deformable(brain, thin)
        with pytest.raises(ValueError, match=r"fixed_img must have at least 3 voxels along each"):
            register.register_deformable(thin, brain)


def test_far_apart_and_nothing_shared_is_told(brain: Nifti1Image) -> None:
    noise = np.random.default_rng(0).normal(size=brain.shape).astype(np.float32)
    far = nib.Nifti1Image(noise, brain.affine + 1000 * np.eye(4, k=3))
    found, told = _told(lambda: register.register_affine(brain, far))
    assert "next to nothing to align" in told
    assert found.similarity < 0.02
    assert all(flag in told for flag in found.flags)


def test_far_apart_but_alike_is_found(brain: Nifti1Image) -> None:
    far = nib.Nifti1Image(_array(brain), brain.affine + 1000 * np.eye(4, k=3))
    found, told = _told(lambda: register.register_affine(brain, far))
    planted = np.eye(4) + 1000 * np.eye(4, k=3) * (np.arange(4) < 3)[:, None]
    assert _error(found.matrix, planted, brain)[0] < 0.5
    assert not told


def test_other_species_is_told(brain: Nifti1Image) -> None:
    affine = brain.affine.copy()
    affine[:3] *= 0.6
    found, told = _told(lambda: _draft(brain, nib.Nifti1Image(_array(brain), affine)))
    assert found.alignment.volume_ratio == pytest.approx(0.6**3, rel=0.02)
    assert "0.22 times the volume" in told
    _sound(found)


def test_stretched_head_is_told(brain: Nifti1Image) -> None:
    affine = brain.affine.copy()
    affine[:3, 2] *= 0.6
    _, told = _told(
        lambda: register.register_affine(
            brain, nib.Nifti1Image(_array(brain), affine), kind="affine"
        )
    )
    assert "stretches one direction" in told
    assert "another 0.6" in told


def test_mirrored_head_is_told(brain: Nifti1Image) -> None:
    """The template alone is too symmetric: half of it is given a mark."""
    points = apply_affine(brain.affine, np.moveaxis(np.indices(brain.shape), 0, -1))
    mark = np.exp(-((np.linalg.norm(points - (35, 10, 25), axis=-1) / 18) ** 2))
    marked = _like(brain, (_array(brain) * (1 - 0.8 * mark)).astype(np.float32))
    moving = _bent(marked)
    mirrored = _like(moving, _array(moving)[::-1])
    right, told = _told(lambda: register.register_affine(marked, moving, kind="affine"))
    assert right.mirror_gain < 1
    assert not told
    wrong, told = _told(lambda: register.register_affine(marked, mirrored, kind="affine"))
    assert wrong.mirror_gain > 1.07
    assert "may be mirrored" in told


def test_large_turn_is_found(brain: Nifti1Image) -> None:
    planted = np.eye(4)
    planted[:3, :3] = _rotation(30, 0, 0)
    moving = nib.Nifti1Image(_moved(brain, (50, 62, 54), brain.affine, planted), brain.affine)
    found, _ = _told(lambda: _draft(brain, moving))
    assert _error(found.alignment.matrix, planted, brain)[0] < 1
    _sound(found)


def test_half_a_turn_is_found_and_told(brain: Nifti1Image) -> None:
    planted = np.diag([-1.0, -1, 1, 1])
    moving = nib.Nifti1Image(_moved(brain, (56, 66, 50), brain.affine, planted), brain.affine)
    found, told = _told(lambda: _draft(brain, moving))
    assert "turns by 180 degrees" in told
    assert _error(found.alignment.matrix, planted, brain)[0] < 2
    _sound(found)


def test_thick_slices_are_bent_as_well(brain: Nifti1Image) -> None:
    planted = np.eye(4)
    planted[:3, :3], planted[:3, 3] = _rotation(3, 0, 4), (4, 2, -3)
    grid = np.diag([1.0, 1, 10, 1])
    grid[:3, 3] = (-80, -118, -72)
    moving = nib.Nifti1Image(_moved(brain, (160, 190, 16), grid, planted), grid)
    found = _draft(brain, moving)
    assert _error(found.alignment.matrix, planted, brain)[0] < 2
    _sound(found)


def test_sheared_grid(brain: Nifti1Image) -> None:
    planted, grid = np.eye(4), brain.affine.copy()
    planted[:3, 3] = (4, 2, -3)
    grid[0, 1] = 0.8
    moving = nib.Nifti1Image(_moved(brain, (58, 60, 48), grid, planted), grid)
    found = _draft(brain, moving)
    assert _error(found.alignment.matrix, planted, brain)[0] < 1
    _sound(found)
    with pytest.raises(ValueError, match="right angles"):
        register.register_affine(brain, moving, engine="ants")


def test_content_may_touch_the_border(brain: Nifti1Image) -> None:
    cut = brain.slicer[8:-8, 8:-8, 6:-6]
    assert np.count_nonzero(_array(cut)[[0, -1]]) > 400
    found = _draft(cut, _bent(brain))
    assert np.median(_missed(found)[_array(_bent(cut)) > 0]) < 1.3
    _sound(found)


def test_unit_does_not_matter() -> None:
    fixed, moving = _ball(1, (60, 70, 55), 1.5), _ball(1, (56, 72, 57), 1.5)
    fields = [
        _array(_draft(fixed, _like(moving, _array(moving) * np.float32(unit))).forward_img)
        for unit in (1, 2.0**20, 2.0**-40)
    ]
    assert np.array_equal(fields[0], fields[1])
    assert np.array_equal(fields[0], fields[2])


def test_scaled_integers_are_read(brain: Nifti1Image) -> None:
    moving = _bent(brain)
    stored = nib.Nifti1Image(_array(moving), moving.affine)
    stored.header.set_data_dtype(np.int16)
    scaled = nib.Nifti1Image.from_bytes(stored.to_bytes())
    assert scaled.dataobj.slope < 1e-3
    whole = _like(moving, np.asarray(scaled.dataobj, np.float32))
    found = [register.register_affine(brain, each).matrix for each in (scaled, whole)]
    assert np.array_equal(*found)


def test_negative_background_is_told(brain: Nifti1Image) -> None:
    """Both images shall be 0 around the brain; if not, the outline at least is met."""
    pair = [
        _like(img, _array(img) - np.float32(2) * (_array(img) == 0))
        for img in (brain, _bent(brain))
    ]
    found, told = _told(lambda: _draft(*pair))
    assert "not 0 around the brain: its corners are -2 to -2" in told
    inside = _inside(_bent(brain))
    assert np.median(_missed(found)[inside]) < 3
    _sound(found)


def test_one_voxel_is_refused(brain: Nifti1Image) -> None:
    """The one voxel lies where a sparse look passes it by."""
    data = np.zeros(brain.shape, np.float32)
    data[21, 21, 21] = 5
    one = _like(brain, data)
    for pair in ((brain, one), (one, one)):
        with pytest.raises(ValueError, match="must hold at least 100 voxels of 2 mm"):
            register.register_affine(*pair)
        with pytest.raises(ValueError, match="must hold at least 100 voxels of 2 mm"):
            _draft(*pair)


def test_folds_are_told(brain: Nifti1Image, monkeypatch: pytest.MonkeyPatch) -> None:
    field = np.zeros((3, *brain.shape), np.float32)
    monkeypatch.setattr(register._diffeo, "deform", lambda *_, **__: ((field, field), -0.25))
    _, told = _told(lambda: _draft(brain, brain))
    assert "folds: its least Jacobian determinant is -0.25" in told


@BOTH
def test_tiny_images_are_refused_or_told(way) -> None:
    rng = np.random.default_rng(0)
    pair = [
        nib.Nifti1Image(1 + rng.random((4, 4, 4)).astype(np.float32), np.diag([2.0, 2, 2, 1]))
        for _ in range(2)
    ]
    try:
        _, told = _told(lambda: way(*pair))
    except ValueError as error:
        told = str(error)
    assert "align" in told or "must" in told


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
    found = register.register_affine(t1w, reference, fixed_mask_img=brain_img).matrix
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
