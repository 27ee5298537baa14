"""Planted rigid and affine matrices found again, and doubtful pairs told."""

import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from brainnet.imaging import _affine, _affine_fit, _affine_grids, _affine_starts, _affine_torch
from brainnet.imaging._affine import align, judge
from brainnet.imaging._fields import Volume

GRID = np.diag([2.5, 2.5, 2.5, 1.0])
GRID[:3, 3] = (-80, -110, -70)
#: Oblique, anisotropic, left-handed.
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("XYZ", (12, -7, 20), degrees=True).as_matrix() @ np.diag(
    [-3.0, 2.8, 3.3]
)


@pytest.fixture(scope="module")
def brain() -> Volume:
    """The MNI brain that nilearn carries, 2.5 mm, 0 outside, one side made unlike the other."""
    from nilearn.datasets import load_mni152_template

    img = load_mni152_template(resolution=2)
    data = np.asarray(img.dataobj, dtype=np.float32)
    data = np.where(data > 0.1 * data.max(), data, 0) * (100 / data.max())
    pull = np.linalg.inv(img.affine) @ GRID
    data = ndimage.affine_transform(data, pull[:3, :3], pull[:3, 3], (66, 82, 70), order=1)
    left = np.mean(apply_affine(GRID, np.argwhere(data > 0)), axis=0)
    bump = np.exp(
        -np.sum((_points(data.shape, GRID) - (left + np.array([30, 10, 20]))) ** 2, -1) / 300
    )
    return Volume((data * (1 - 0.5 * bump)).astype(np.float32), GRID)


def _points(shape: tuple[int, ...], grid: np.ndarray) -> np.ndarray:
    return apply_affine(grid, np.moveaxis(np.indices(shape), 0, -1))


def _planted(brain: Volume, angles=(0, 0, 0), shift=(0, 0, 0), stretch: float = 0) -> np.ndarray:
    """Turn about the brain's centre, stretch and shift."""
    centre = apply_affine(brain.affine, np.argwhere(brain.data > 0)).mean(axis=0)
    out = np.eye(4)
    strain = stretch * np.random.default_rng(1).uniform(-1, 1, (3, 3))
    out[:3, :3] = Rotation.from_euler("XYZ", angles, degrees=True).as_matrix() @ expm(strain)
    out[:3, 3] = centre - out[:3, :3] @ centre + shift
    return out


def _moved(brain: Volume, planted: np.ndarray, *, inverted: bool, shape=(64, 76, 58)) -> Volume:
    """Scan a brain with a planted matrix on the oblique grid, with noise."""
    source = np.where(brain.data > 0, 130 - brain.data, 0) if inverted else brain.data
    centre = apply_affine(planted, apply_affine(brain.affine, np.argwhere(brain.data > 0)).mean(0))
    grid = OBLIQUE.copy()
    grid[:3, 3] = centre - grid[:3, :3] @ ((np.array(shape) - 1) / 2)
    pull = np.linalg.inv(brain.affine) @ np.linalg.inv(planted) @ grid
    data = ndimage.affine_transform(source, pull[:3, :3], pull[:3, 3], shape, order=1)
    noise = np.random.default_rng(0).normal(0, 2, shape)
    return Volume((7 * (data + noise)).astype(np.float32), grid)


def _error(found: np.ndarray, planted: np.ndarray, brain: Volume) -> float:
    points = apply_affine(brain.affine, np.argwhere(brain.data > 0)[::50])
    return float(
        np.linalg.norm(apply_affine(found, points) - apply_affine(planted, points), axis=1).mean()
    )


@pytest.mark.parametrize("kind", ["rigid", "affine"])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(
    "angles, shift",
    [((0, 0, 0), (0, 0, 0)), ((9, -7, 8), (8, 10, -6)), ((17, -17, 17), (25, 25, 20))],
)
def test_planted_matrix_is_found(brain, kind, inverted, angles, shift) -> None:
    planted = _planted(brain, angles, shift, 0.08 if kind == "affine" else 0)
    found = align(brain, _moved(brain, planted, inverted=inverted), kind=kind)
    assert _error(found.matrix, planted, brain) < (0.1 if kind == "rigid" else 0.3)
    assert found.volume_ratio == pytest.approx(np.linalg.det(planted), abs=0.015)
    assert found.overlap > 0.9
    if kind == "rigid":
        assert np.allclose(found.matrix[:3, :3] @ found.matrix[:3, :3].T, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -2, 1.5)])
@pytest.mark.parametrize("degrees", [-30, 30])
def test_start_far_away_is_found(brain, axis, degrees) -> None:
    angles = Rotation.from_rotvec(np.radians(degrees) * np.array(axis) / np.linalg.norm(axis))
    planted = _planted(brain, angles.as_euler("XYZ", degrees=True), (25, -25, 19))
    found = align(brain, _moved(brain, planted, inverted=True), kind="rigid")
    assert _error(found.matrix, planted, brain) < 0.1


def test_misled_search_does_not_lose_the_headers(brain, monkeypatch: pytest.MonkeyPatch) -> None:
    """The coarsest grid may rank a wrong pose first; the finest alone does not reach so far."""
    planted = _planted(brain, (15, 5, 8), (3, 20, -15), 0.05)
    moving = _moved(brain, planted, inverted=True)
    wrong = _planted(brain, (0, 70, 0), (3, 20, -15))

    def misled(ways, *_, **__):
        return [_affine.Start("wrong", _affine.assess(ways, wrong))]

    monkeypatch.setattr(_affine, "search", misled)
    found = _affine.align(brain, moving, kind="affine")
    assert found.start == "header"
    assert _error(found.matrix, planted, brain) < 0.3


def test_starts_cover_the_turns_of_heads() -> None:
    """No rotation of up to 40 degrees is farther than 20 degrees from one that is tried."""
    tried = Rotation.from_matrix([turn for _, turn in _affine_starts._turns(1.0)])
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(300, 3))
    axes *= np.radians(rng.uniform(0, 40, (300, 1))) / np.linalg.norm(axes, axis=1, keepdims=True)
    nearest = [(tried * Rotation.from_rotvec(-axis)).magnitude().min() for axis in axes]
    assert np.degrees(max(nearest)) < 20


def test_same_contrast_bears_a_bias_field(brain) -> None:
    planted = _planted(brain, (5, -3, 4), (4, -6, 3), 0.05)
    moving = _moved(brain, planted, inverted=False)
    ramp = np.exp(np.linspace(-0.8, 0.8, moving.data.shape[1]))[:, None].astype(np.float32)
    moving = Volume(moving.data * ramp, moving.affine)
    errors = [
        _error(align(brain, moving, kind="affine", contrast=each).matrix, planted, brain)
        for each in ("same", "different")
    ]
    assert errors[0] < 0.1
    assert errors[0] < errors[1]


def test_image_aligns_with_itself(brain) -> None:
    for contrast in ("same", "different"):
        found = align(brain, brain, kind="affine", contrast=contrast)
        assert _error(found.matrix, np.eye(4), brain) < 0.03
        assert found.flags == ()
        assert found.start == "header"


def test_slab_stays_in_the_head_and_masks_count(brain) -> None:
    planted = _planted(brain, (3, 2, -4), (2, -5, 4))
    whole = _moved(brain, planted, inverted=True)
    slab = Volume(np.ascontiguousarray(whole.data[:, :, 25:40]), whole.affine.copy())
    slab.affine[:3, 3] = apply_affine(whole.affine, (0, 0, 25))
    found = align(brain, slab, kind="rigid")
    assert _error(found.matrix, planted, brain) < 0.3
    assert 0.2 < found.overlap < 0.6
    mask = ndimage.binary_dilation(brain.data > 0, iterations=3)
    assert _error(align(brain, slab, kind="rigid", fixed_mask=mask).matrix, planted, brain) < 0.3
    # Whatever stands in the hole of a mask, and wherever, nothing changes.
    lesion, hole = brain.data.copy(), mask.copy()
    lesion[34:46, 40:60, 30:48] = 400
    hole[32:48, 38:62, 28:50] = False
    one, two = (
        align(Volume(data, brain.affine), whole, kind="rigid", fixed_mask=hole)
        for data in (lesion, brain.data)
    )
    assert _error(one.matrix, two.matrix, brain) < 0.02
    # A bright thing that only one image has does not count once it is masked out.
    data, hole = whole.data.copy(), np.ones(whole.data.shape, bool)
    data[20:45, 40:70, 25:50] = 4000
    hole[18:47, 38:72, 23:52] = False
    found = align(brain, Volume(data, whole.affine), kind="affine", moving_mask=hole)
    assert _error(found.matrix, planted, brain) < 0.3


def test_slice_aligns_rigidly_with_a_head(brain) -> None:
    planted = _planted(brain, (3, -2, 4), (3, -4, 2))
    moving = _moved(brain, planted, inverted=False)
    grid = moving.affine.copy()
    grid[:3, 3] = apply_affine(grid, (0, 0, 30))
    one = Volume(np.ascontiguousarray(moving.data[:, :, 30:31]), grid)
    there, back = align(brain, one, kind="rigid"), align(one, brain, kind="rigid")
    seen = np.argwhere(brain.data > 0)
    depth = apply_affine(np.linalg.inv(grid) @ planted @ brain.affine, seen)[:, 2]
    points = apply_affine(brain.affine, seen[np.abs(depth) < 0.5])
    for found in (there.matrix, np.linalg.inv(back.matrix)):
        away = apply_affine(found, points) - apply_affine(planted, points)
        assert np.linalg.norm(away, axis=1).mean() < 0.3
    with pytest.raises(ValueError, match="at least 3 voxels"):
        align(brain, one, kind="affine")
    with pytest.raises(ValueError, match="at least 3 voxels"):
        align(one, one, kind="rigid")


def test_mirrored_head_is_told_and_not_turned(brain) -> None:
    planted = _planted(brain, (3, 2, -4), (2, -5, 4))
    moving = _moved(brain, planted, inverted=True)
    right = align(brain, moving, kind="rigid")
    assert right.mirror_gain < 1
    assert right.flags == ()
    flipped = Volume(brain.data[::-1].copy(), brain.affine)
    wrong = align(flipped, moving, kind="rigid")
    assert wrong.mirror_gain > 1.05
    assert np.linalg.det(wrong.matrix) > 0
    assert "mirrored" in wrong.flags[-1]


def test_doubtful_pairs_are_flagged(brain) -> None:
    small = brain.affine.copy()
    small[:3] *= 0.4
    found = align(brain, Volume(brain.data, small), kind="affine")
    assert found.volume_ratio == pytest.approx(0.064, rel=0.05)
    assert "0.06 times the volume" in " ".join(found.flags)
    noise = np.random.default_rng(0).normal(size=brain.data.shape)
    noise = ndimage.gaussian_filter(noise, 3).astype(np.float32)
    found = align(brain, Volume(noise, brain.affine), kind="rigid")
    assert "nothing to align" in " ".join(found.flags)


def test_images_without_shared_structure_are_refused(brain) -> None:
    corner = np.zeros(brain.data.shape, bool)
    corner[:5, :5, :5] = True
    with pytest.raises(ValueError, match="must overlap and share structure"):
        align(brain, brain, kind="rigid", fixed_mask=corner)
    with pytest.raises(ValueError, match="fixed_mask must lie on the grid"):
        align(brain, brain, kind="rigid", fixed_mask=corner[1:])
    with pytest.raises(ValueError, match="moving_mask must contain"):
        align(brain, brain, kind="rigid", moving_mask=np.zeros_like(corner))
    with pytest.raises(ValueError, match="kind must be"):
        align(brain, brain, kind="similarity")
    with pytest.raises(ValueError, match="contrast must be"):
        align(brain, brain, kind="rigid", contrast="other")


def test_given_matrix_is_measured_and_kept(brain) -> None:
    planted = _planted(brain, (3, 2, -4), (2, -5, 4))
    moving = _moved(brain, planted, inverted=True)
    found = align(brain, moving, kind="rigid")
    same = judge(found.matrix, brain, moving)
    assert np.array_equal(same.matrix, found.matrix)
    assert same.similarity == pytest.approx(found.similarity, abs=1e-9)
    assert (same.start, same.flags) == ("given", ())
    wrong = judge(_planted(brain, (60, 0, 0)), brain, moving)
    assert wrong.similarity < 0.6 * found.similarity


def test_threads_do_not_change_the_result(brain, monkeypatch: pytest.MonkeyPatch) -> None:
    moving = _moved(brain, _planted(brain, (3, 2, -4), (2, -5, 4)), inverted=True)
    for contrast in ("different", "same"):
        found = []
        for threads in ("1", "3"):
            monkeypatch.setenv("OMP_NUM_THREADS", threads)
            found.append(align(brain, moving, kind="affine", contrast=contrast).matrix)
        assert np.array_equal(*found)


@pytest.mark.parametrize("kind, contrast", [("rigid", "different"), ("affine", "same")])
def test_torch_gives_the_same_matrix(brain, kind, contrast) -> None:
    mask = ndimage.binary_dilation(brain.data > 0, iterations=3)
    moving = _moved(brain, _planted(brain, (3, 2, -4), (2, -5, 4)), inverted=False)
    ours, theirs = (
        align(brain, moving, kind=kind, contrast=contrast, fixed_mask=mask, device=device)
        for device in ("cpu", "torch")
    )
    assert _error(ours.matrix, theirs.matrix, brain) < 1e-3
    assert ours.similarity == pytest.approx(theirs.similarity, abs=1e-4)


def _sides(brain: Volume) -> list[_affine_fit.Side]:
    """Return each comparison with a mask, its points reaching over the edge of the image."""
    grid = _affine_grids.pyramid(brain, None, (4.0,))[0]
    data = ndimage.gaussian_filter(grid.data, 1)
    waves = [np.cos(np.arange(n) / 3)[:, None] for n in data.shape]
    mask = (0.5 + 0.5 * waves[0][:, None] * waves[1] * waves[2].T).astype(np.float32)
    points = _affine_grids.sample_points(grid, data * 31, np.ones(data.shape, bool), 15_000)
    scaled = _affine_fit.Points(points.index, points.values / 10, points.grid)
    return [
        _affine_fit.InformationSide(points, data * 31, mask, 32),
        _affine_fit.AgreementSide(scaled, data * 3.1, mask, 1.0),
        _affine_torch.InformationSide(points, data * 31, mask, 32, "cpu"),
        _affine_torch.AgreementSide(scaled, data * 3.1, mask, 1.0, "cpu"),
    ]


@pytest.mark.parametrize("which", range(4))
def test_gradient_is_the_derivative(brain, which) -> None:
    side = _sides(brain)[which]
    matrix = np.eye(3, 4)
    matrix[:, 3] = (24, 27, 15)
    matrix[:, :3] += 0.05 * np.random.default_rng(0).normal(size=(3, 3))
    side.compare(matrix)
    gradient, curvature = side.gradient(), side.curvature()
    steps = np.tile((5e-4, 5e-4, 5e-4, 0.01), 3)
    numeric = np.zeros(12)
    for k in range(12):
        change = np.zeros(12)
        change[k] = steps[k]
        more, less = (side.compare(matrix + s * change.reshape(3, 4))[0] for s in (1, -1))
        numeric[k] = (more - less) / (2 * steps[k])
    assert np.abs((gradient - numeric) * steps).max() < 0.03 * np.abs(numeric * steps).max()
    assert np.linalg.eigvalsh(curvature).min() > -1e-6 * np.trace(curvature)


def test_information_of_a_known_table() -> None:
    """Two images whose joint histogram is known: bins 0 and 8 that agree in 3 of 4 points."""
    own = np.repeat([0.0, 8.0], 32).reshape(1, 1, 64).astype(np.float32)
    other = np.tile([0, 0, 0, 1.0], 16) * 8
    other = np.where(own.ravel() > 0, 8 - other, other).reshape(1, 1, 64).astype(np.float32)
    index = np.zeros((64, 3), np.float32)
    index[:, 2] = np.arange(64)
    side = _affine_fit.InformationSide(
        _affine_fit.Points(index, own.ravel(), np.eye(4)),
        np.ascontiguousarray(np.broadcast_to(other, (5, 5, 64))),
        _affine_grids.EVERYWHERE,
        9,
    )
    matrix = np.eye(3, 4)
    matrix[:2, 3] = 2
    value, overlap = side.compare(matrix)
    # A B-spline spreads each value over the same bins, so the table stays two by two in effect.
    expected = np.log(2) + 0.75 * np.log(0.75) + 0.25 * np.log(0.25)
    assert value == pytest.approx(expected, abs=0.01)
    assert overlap == pytest.approx(63 / 64)
