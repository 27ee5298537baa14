"""Displacement fields: applied as scipy does, chained and inverted, and read by ANTs as we mean."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from brainnet import io
from brainnet.imaging import _ants, _fields
from brainnet.imaging.resample import resample
from brainnet.imaging.transforms import apply_displacement, compose, invert, jacobian
from brainnet.workflows.transforms import load_affine, save_affine

Array = NDArray[Any]
LPS = np.array([-1.0, -1.0, 1.0])


def _grid(
    shape: tuple[int, ...], zooms: tuple[float, ...], turn: tuple[float, ...] = (0, 0, 0)
) -> Nifti1Image:
    """An empty grid centred near the origin; negative zooms flip axes."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() @ np.diag(zooms)
    affine[:3, 3] = [3, -2, 1] - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return nib.Nifti1Image(np.zeros(shape, np.uint8), affine)


#: Right-handed and straight; oblique, anisotropic and left-handed; one axis reversed.
GRIDS = {
    "straight": _grid((40, 44, 36), (3, 3, 3)),
    "oblique": _grid((42, 40, 28), (-3.0, 2.8, 4.2), (12, -7, 20)),
    "reversed": _grid((40, 44, 26), (3.1, -2.9, 4.5), (-5, 9, 3)),
}
MATRIX = np.eye(4)
MATRIX[:3, :3] = Rotation.from_euler("xyz", (6, -4, 9), degrees=True).as_matrix()
MATRIX[:3, :3] *= [1.06, 0.95, 1.03]
MATRIX[:3, 3] = (4, -6, 3)


def _points(grid_img: Nifti1Image) -> Array:
    """World points of a grid, (x, y, z, 3)."""
    return apply_affine(grid_img.affine, np.moveaxis(np.indices(grid_img.shape[:3]), 0, -1))


def _bent(points: Array) -> Array:
    """A smooth one-to-one bend by up to 5 mm."""
    return points + np.stack([5 * np.sin(points[..., k - 1] / 18 + k) for k in range(3)], -1)


def _field(grid_img: Nifti1Image, transform: Any = _bent) -> Nifti1Image:
    """``transform`` minus identity as ITK vector image."""
    points = _points(grid_img)
    field = ((transform(points) - points) * LPS).astype(np.float32)
    img = nib.Nifti1Image(field[:, :, :, None], grid_img.affine)
    img.header.set_intent("vector")  # without it ITK reads another image
    return img


def _head(grid_img: Nifti1Image, seed: int = 0) -> Nifti1Image:
    """A textured ball, 0 around it."""
    points = _points(grid_img)
    noise = np.random.default_rng(seed).normal(size=grid_img.shape)
    data = 100 + 60 * ndimage.gaussian_filter(noise, 1.2)
    data[np.linalg.norm(points / (45, 50, 42), axis=-1) > 1] = 0
    return nib.Nifti1Image(data.astype(np.float32), grid_img.affine)


def _by_scipy(img: Nifti1Image, field_img: Nifti1Image, order: int) -> Array:
    """What `apply_displacement` must give."""
    points = _points(field_img) + np.asarray(field_img.dataobj, np.float64)[:, :, :, 0] * LPS
    voxels = np.moveaxis(apply_affine(np.linalg.inv(img.affine), points), -1, 0).round(4)
    return np.asarray(ndimage.map_coordinates(np.asarray(img.dataobj), voxels, order=order))


@pytest.mark.parametrize("order, tolerance", [(0, 0), (1, 1e-6), (3, 1e-6)])
@pytest.mark.parametrize("layout", ["CC", "CF", "FC", "FF"])
def test_values_are_those_of_scipy(order: Any, tolerance: float, layout: Any) -> None:
    field_img = _field(GRIDS["oblique"])
    stored = np.array(field_img.dataobj, order=layout[0])  # "F": as from a file
    img = _head(GRIDS["straight"])
    img = nib.Nifti1Image(np.array(img.dataobj, order=layout[1]), img.affine)
    if order == 0:
        img = nib.Nifti1Image((np.asarray(img.dataobj) * 1e4).astype(np.int32), img.affine)
    out = apply_displacement(img, nib.Nifti1Image(stored, field_img.affine), order=order)
    expected = _by_scipy(img, field_img, order)
    assert out.get_data_dtype() == img.get_data_dtype()
    assert np.abs(expected).max() > 50
    np.testing.assert_allclose(
        np.asarray(out.dataobj), expected, rtol=0, atol=tolerance * expected.max()
    )


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 9), (2, 3, 1)])
@pytest.mark.parametrize("order", [0, 1, 3])
def test_thin_images_are_read_as_scipy_reads_them(shape: tuple[int, ...], order: Any) -> None:
    data = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    img = nib.Nifti1Image(data, np.eye(4))
    fine = nib.Nifti1Image(np.zeros((9, 9, 21), np.uint8), np.diag([0.25, 0.25, 0.5, 1]))
    field_img = _field(fine, lambda points: points - 0.125)
    out = np.asarray(apply_displacement(img, field_img, order=order).dataobj)
    np.testing.assert_allclose(out, _by_scipy(img, field_img, order), atol=1e-5)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", ">i2", "i4", "f8"])
def test_labels_keep_their_type(dtype: str) -> None:
    labels = np.random.default_rng(0).integers(0, 250, (8, 9, 7)).astype(dtype)
    affine = GRIDS["oblique"].affine
    matrix = np.eye(4)
    matrix[:3, 3] = affine[:3, 0] * 2 - affine[:3, 2]
    field_img = compose(matrix, grid_img=nib.Nifti1Image(labels, affine))
    out = apply_displacement(nib.Nifti1Image(labels, affine), field_img, order=0)
    data = np.asarray(out.dataobj)
    assert data.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.array_equal(data[:-2, :, 1:], labels[2:, :, :-1])
    assert not data[-2:].any()
    assert not data[:, :, 0].any()


@pytest.mark.parametrize("layout", ["C", "F"])
def test_jacobian_is_the_determinant_of_the_gradient(layout: Any) -> None:
    field_img = _field(GRIDS["oblique"])
    field = np.asarray(field_img.dataobj, np.float64)[:, :, :, 0] * LPS
    by_voxel = np.stack([np.gradient(field, axis=k) for k in range(3)], axis=-1)
    gradient = by_voxel @ np.linalg.inv(field_img.affine[:3, :3]) + np.eye(3)
    stored = np.array(field_img.dataobj, order=layout)
    found = jacobian(nib.Nifti1Image(stored, field_img.affine))
    assert found.get_data_dtype() == np.float32
    np.testing.assert_allclose(found.get_fdata(), np.linalg.det(gradient), rtol=1e-5)


def test_jacobian_of_a_matrix_is_its_determinant() -> None:
    field_img = compose(MATRIX, grid_img=GRIDS["oblique"])
    expected = np.linalg.det(MATRIX[:3, :3])
    np.testing.assert_allclose(jacobian(field_img).get_fdata(), expected, rtol=1e-4)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    field_img, img = _field(GRIDS["oblique"]), _head(GRIDS["straight"])

    def everything() -> list[bytes]:
        outs = [apply_displacement(img, field_img, order=order) for order in (0, 1, 3)]
        outs += [jacobian(field_img), invert(field_img, GRIDS["straight"])]
        outs += [compose(field_img, MATRIX, grid_img=GRIDS["reversed"])]
        return [np.asarray(out.dataobj).tobytes() for out in outs]

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one = everything()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert everything() == one


def test_matrices_compose_in_the_order_a_point_travels() -> None:
    shift = np.eye(4)
    shift[:3, 3] = (10, 0, -5)
    grid_img = GRIDS["oblique"]
    found = _fields.check_field(compose(shift, MATRIX, np.linalg.inv(shift), grid_img=grid_img))
    points = _points(grid_img)
    expected = apply_affine(np.linalg.inv(shift) @ MATRIX @ shift, points) - points
    np.testing.assert_allclose(found, expected, atol=1e-4)
    other = _fields.check_field(compose(MATRIX, shift, np.linalg.inv(shift), grid_img=grid_img))
    assert np.abs(other - expected).max() > 1


def test_fields_and_matrices_compose() -> None:
    field_img = _field(_grid((80, 84, 82), (2, 2, 2), (3, 4, 5)))
    grid_img = GRIDS["oblique"]
    out = compose(MATRIX, field_img, np.linalg.inv(MATRIX), field_img, grid_img=grid_img)
    points = _points(grid_img)
    expected = _bent(apply_affine(np.linalg.inv(MATRIX), _bent(apply_affine(MATRIX, points))))
    inner = np.linalg.norm(points, axis=-1) < 50
    error = np.abs(_fields.check_field(out) - (expected - points))[inner]
    assert error.max() < 0.05  # linear between voxels of 2 mm: 5 / 18**2 * 2**2 / 8 a field
    assert out.shape == (*grid_img.shape, 1, 3)
    assert out.get_data_dtype() == np.float32
    assert out.header.get_intent()[0] == "vector"


def test_a_field_on_its_own_grid_is_returned_and_moves_nothing_outside() -> None:
    field_img = _field(GRIDS["oblique"])
    same = compose(field_img, grid_img=field_img)
    np.testing.assert_allclose(np.asarray(same.dataobj), np.asarray(field_img.dataobj), atol=1e-5)
    far = field_img.affine.copy()
    far[:3, 3] += 500
    away = nib.Nifti1Image(np.zeros((5, 5, 5), np.uint8), far)
    assert not np.asarray(compose(field_img, grid_img=away).dataobj).any()


@pytest.mark.parametrize("layout", ["C", "F"])
def test_inverse_of_a_bend(layout: Any) -> None:
    grid_img = _grid((60, 64, 58), (2, 2, 2.2), (3, 4, 5))
    field_img = _field(grid_img, lambda points: apply_affine(MATRIX, _bent(points)))
    stored = nib.Nifti1Image(np.array(field_img.dataobj, order=layout), grid_img.affine)
    fine = _grid((70, 74, 60), (-2, 2, 2.5))
    back = invert(stored, fine)
    assert back.shape == (*fine.shape, 1, 3)
    assert back.header.get_intent()[0] == "vector"
    assert b"residual" in bytes(back.header["descrip"])
    inner = np.linalg.norm(_points(grid_img), axis=-1) < 45
    both = np.linalg.norm(_fields.check_field(compose(stored, back, grid_img=grid_img)), axis=-1)
    assert both[inner].mean() < 0.03
    assert both[inner].max() < 0.1
    inner = np.linalg.norm(_points(fine), axis=-1) < 45
    both = np.linalg.norm(_fields.check_field(compose(back, stored, grid_img=fine)), axis=-1)
    assert both[inner].max() < 0.01  # at the voxels the inverse is solved for, not interpolated


def test_inverse_finds_its_way_through_uneven_steps() -> None:
    """One-to-one, but tens of times steeper in one voxel than in the next.

    Newton's full steps jump to and fro there; some voxels need the affine part's steps (with this
    seed 37), some the affine part's start (1).
    """
    rng, size = np.random.default_rng(2), 24
    nodes = [np.cumsum(rng.lognormal(0, 1.2, size)) for _ in range(3)]
    nodes = [size * (each - each[0]) / each[-1] for each in nodes]
    mix = np.array([[1.1, 0.3, -0.25], [-0.32, 0.95, 0.28], [0.23, -0.3, 1.05]])
    field = np.stack(np.meshgrid(*nodes, indexing="ij"), -1) @ mix.T
    field -= np.moveaxis(np.indices((size,) * 3), 0, -1)
    field_img = nib.Nifti1Image((field * LPS)[:, :, :, None].astype(np.float32), np.eye(4))
    affine = nib.affines.from_matvec(np.eye(3), [-6, -6, -6])
    grid_img = nib.Nifti1Image(np.zeros((40, 40, 40), np.uint8), affine)
    goals = _points(grid_img)
    found = _fields.check_field(invert(field_img, grid_img)) + goals
    inner = ((found > 0) & (found < size - 1)).all(axis=-1)
    assert inner.mean() > 0.15
    there = [np.interp(found[inner][:, k], np.arange(size), nodes[k]) for k in range(3)]
    np.testing.assert_allclose(np.stack(there, -1) @ mix.T, goals[inner], rtol=0, atol=0.01)


def test_inverse_of_a_matrix_holds_beyond_the_field() -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (80, -100, 30), degrees=True).as_matrix()
    matrix[:3, :3] *= [1.5, 0.6, 1]
    matrix[:3, 3] = (30, 10, -20)
    field_img = compose(matrix, grid_img=_grid((12, 10, 11), (3, -3, 4), (5, 5, 5)))
    wide = _grid((30, 30, 30), (8, 8, 8))
    points = _points(wide)
    expected = apply_affine(np.linalg.inv(matrix), points) - points
    np.testing.assert_allclose(
        _fields.check_field(invert(field_img, wide)), expected, rtol=0, atol=2e-3
    )


def test_a_fold_has_no_inverse() -> None:
    grid_img = GRIDS["straight"]
    flat = _field(grid_img, lambda points: points * (1, 1, 0))
    with pytest.raises(ValueError, match="one-to-one; it maps space onto a plane"):
        invert(flat, grid_img)
    gap = np.array(_field(grid_img, lambda points: points).dataobj)
    gap[20:, ..., 0] = 0.0
    gap[:20, ..., 0] = -200.0  # the left half is thrown over the right one
    assert jacobian(nib.Nifti1Image(gap, grid_img.affine)).get_fdata().min() < 0
    with pytest.raises(ValueError, match=r"one-to-one; \d+ of 63360 voxels"):
        invert(nib.Nifti1Image(gap, grid_img.affine), grid_img)


def _through_ants(
    fixed: Nifti1Image, moving: Nifti1Image, files: list[Path], compose_to: Path | None = None
) -> Any:
    """Apply transform files with ANTs, linearly."""
    images = [_ants.to_ants(np.asarray(img.dataobj), img.affine) for img in (fixed, moving)]
    prefix = None if compose_to is None else str(compose_to)
    return _ants.ants_module().apply_transforms(
        *images, [str(file) for file in files], interpolator="linear", compose=prefix
    )


@pytest.mark.parametrize("fixed_name", list(GRIDS))
@pytest.mark.parametrize("moving_name", list(GRIDS))
def test_ants_applies_our_files_as_we_do(fixed_name: str, moving_name: str, tmp_path: Path) -> None:
    fixed, moving = GRIDS[fixed_name], _head(GRIDS[moving_name])
    field_img = _field(_grid((62, 66, 54), (-2.2, 2.3, 2.6), (4, -8, 6)))
    files = [io.save_img(field_img, tmp_path / "1Warp.nii.gz")]
    files += [save_affine(MATRIX, tmp_path / "0GenericAffine.mat")]
    chain = compose(field_img, MATRIX, grid_img=fixed)

    theirs = _through_ants(fixed, moving, files).numpy()
    assert (theirs > 0).mean() > 0.2
    tolerance = 2e-4 * theirs.max()  # ours reads at ten-thousandths of a voxel: 8e-5 was seen
    ours = resample(moving, fixed, MATRIX, displacement_img=field_img, order=1).get_fdata()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)
    ours = np.asarray(apply_displacement(moving, chain).dataobj)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)
    # ANTs joins the same files to the same field (mm), and reads ours.
    joined = nib.load(_through_ants(fixed, moving, files, tmp_path / "x_"))
    np.testing.assert_allclose(
        np.asarray(joined.dataobj), np.asarray(chain.dataobj), rtol=0, atol=2e-5
    )
    theirs = _through_ants(fixed, moving, [io.save_img(chain, tmp_path / "chain.nii.gz")]).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def test_files_of_ants_are_applied_as_ants_does(tmp_path: Path) -> None:
    fixed, moving = _head(GRIDS["straight"]), _head(GRIDS["straight"])
    bend = compose(np.linalg.inv(MATRIX), grid_img=fixed)
    moving = resample(fixed, GRIDS["oblique"], displacement_img=bend, order=1)
    images = [_ants.to_ants(np.asarray(img.dataobj), img.affine) for img in (fixed, moving)]
    found = _ants.ants_module().registration(
        *images, "SyN", reg_iterations=(4,), outprefix=f"{tmp_path}/x_", random_seed=1
    )
    warp, affine = (Path(each) for each in found["fwdtransforms"])
    chain = compose(io.load_img(warp, ndim=5), load_affine(affine), grid_img=fixed)
    ours = np.asarray(apply_displacement(moving, chain).dataobj)
    theirs = found["warpedmovout"].numpy()
    away = ndimage.binary_erosion(theirs > 0, iterations=3)  # beyond the image's outermost centres
    assert away.mean() > 0.1
    np.testing.assert_allclose(ours[away], theirs[away], rtol=0, atol=2e-4 * theirs.max())


def test_bad_input_is_named() -> None:
    grid_img = GRIDS["straight"]
    field_img, img = _field(grid_img), _head(grid_img)
    broken = np.array(field_img.dataobj)
    broken[3, 4, 5, 0, 1] = broken[7, 7, 7, 0, :] = np.nan
    broken_img = nib.Nifti1Image(broken, grid_img.affine)
    thin = compose(MATRIX, grid_img=_grid((4, 4, 1), (1, 1, 1)))
    flat = np.diag([1.0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"img must be three-dimensional; got shape \(2, 2, 2, 2"):
        apply_displacement(nib.Nifti1Image(np.zeros((2, 2, 2, 2), np.uint8), np.eye(4)), field_img)
    with pytest.raises(ValueError, match="order must be 0"):
        apply_displacement(img, field_img, order=2)
    with pytest.raises(ValueError, match="real numbers of 64 bits or fewer; got complex64"):
        apply_displacement(nib.Nifti1Image(img.get_fdata().astype("c8"), np.eye(4)), field_img)
    holed = img.get_fdata(dtype=np.float32)
    holed[2, 2, 2] = np.inf
    with pytest.raises(ValueError, match="img must be finite for order 3; 1 voxels"):
        apply_displacement(nib.Nifti1Image(holed, grid_img.affine), field_img, order=3)
    for each in (jacobian, lambda bad: apply_displacement(img, bad), lambda bad: invert(bad, img)):
        with pytest.raises(ValueError, match=r"ITK vector image of shape \(x, y, z, 1, 3\); got"):
            each(img)
        with pytest.raises(ValueError, match="displacement_img must be finite; 2 voxels"):
            each(broken_img)
    for alone in (jacobian, lambda bad: invert(bad, img)):
        with pytest.raises(ValueError, match=r"at least 2 voxels a side; got \(4, 4, 1\)"):
            alone(thin)
    with pytest.raises(ValueError, match="at least one matrix or displacement image; got none"):
        compose(grid_img=grid_img)
    with pytest.raises(ValueError, match=r"grid_img must have three dimensions; got shape \(5, 5"):
        compose(MATRIX, grid_img=nib.Nifti1Image(np.zeros((5, 5), np.uint8), np.eye(4)))
    with pytest.raises(ValueError, match=r"transforms\[1\] must be a \(4, 4\) matrix or a disp"):
        compose(MATRIX, MATRIX[None], grid_img=grid_img)
    with pytest.raises(ValueError, match=r"transforms\[0\] must be a finite affine matrix"):
        compose(MATRIX * np.nan, grid_img=grid_img)
    with pytest.raises(ValueError, match=r"transforms\[0\] must be invertible"):
        compose(flat, grid_img=grid_img)
    with pytest.raises(ValueError, match="displacement_img must be finite"):
        compose(MATRIX, broken_img, grid_img=grid_img)
