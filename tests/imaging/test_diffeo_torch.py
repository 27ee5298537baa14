"""The torch engine of the deformable registration does what the loops over voxels do."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from brainnet.imaging import _diffeo, _diffeo_torch_total, _diffeo_total
from brainnet.imaging._diffeo_kernels import EDGE, FLAT
from brainnet.imaging._diffeo_numba import NumbaEngine
from brainnet.imaging._diffeo_torch import TorchEngine
from brainnet.imaging._diffeo_total import CLOSE
from brainnet.imaging._fields import Volume

SHAPES = [(13, 10, 8), (9, 12, 15), (4, 3, 5)]
CUDA = pytest.param(
    "cuda",
    marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
)


@pytest.fixture(params=["cpu", CUDA])
def engine(request: pytest.FixtureRequest) -> Iterator[TorchEngine]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    opened = TorchEngine(request.param)
    yield opened
    opened.close()
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def loops() -> Iterator[NumbaEngine]:
    opened = NumbaEngine()
    yield opened
    opened.close()


def _noise(shape: tuple[int, ...], *, width: float = 0.0, largest: float = 1.0, seed: int = 0):
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    if width:
        noise = np.stack([ndimage.gaussian_filter(part, width) for part in noise])
    return (noise * (largest / np.abs(noise).max())).astype(np.float32)


def _images(n_channels: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return positive images with nothing in a corner."""
    images = np.abs(_noise((n_channels, *shape), width=0.7, largest=3, seed=seed))
    images[:, : shape[0] // 2, : shape[1] // 3] = 0
    return images


def _agree(engine: TorchEngine, ours: Any, theirs: np.ndarray, relative: float = 1e-5) -> None:
    """Compare with what the loops give, by the largest of their values."""
    data = engine.download(ours)
    assert data.shape == theirs.shape
    assert data.dtype == np.float32
    assert np.abs(data - theirs).max() <= relative * np.abs(theirs).max()


def _oblique(shape: tuple[int, ...], zoom: float = 0.8) -> np.ndarray:
    """Return a matrix that turns, zooms, shears and flips about the middle of a grid."""
    matrix = np.eye(4)
    matrix[:3, :3] = zoom * np.array([[1.0, 0.2, -0.1], [-0.15, -0.9, 0.3], [0.05, 0.1, 1.2]])
    middle = (np.array(shape) - 1) / 2
    matrix[:3, 3] = middle - matrix[:3, :3] @ middle + 0.3141
    return matrix


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_warp_agrees_and_holds_points_inside(engine, loops, shape, n_channels) -> None:
    images = _images(n_channels, shape, 1)
    for largest in (2.5, 40):  # voxels: the second sends most points out of the image
        field = _noise((3, *shape), largest=largest, seed=2)
        ours = engine.warp(engine.upload(images), engine.upload(field))
        _agree(engine, ours, loops.warp(images, field))


def test_warp_stops_short_of_the_last_voxel(engine) -> None:
    ramp = np.arange(9, dtype=np.float32)[None, :, None, None] * np.ones((1, 9, 4, 5), np.float32)
    out = engine.download(engine.warp(engine.upload(ramp), engine.still((9, 4, 5)) + 30))
    assert np.allclose(out, 8 - EDGE, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_compose_agrees(engine, loops, shape) -> None:
    field = _noise((3, *shape), width=2, largest=3, seed=3)
    update = _noise((3, *shape), largest=4, seed=4)
    ours = engine.compose(engine.upload(field), engine.upload(update), 0.37)
    _agree(engine, ours, loops.compose(field, update, 0.37))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [1.2, 0.6])
def test_smooth_agrees(engine, loops, shape, width) -> None:
    field, weights = _noise((3, *shape), largest=2, seed=5), _diffeo.bell(width)
    ours, largest = engine.smooth(engine.upload(field), weights)
    theirs, expected = loops.smooth(field, weights)
    _agree(engine, ours, theirs, 2e-6)
    assert largest == pytest.approx(expected, rel=2e-6)
    assert largest == pytest.approx(engine.smooth(engine.upload(-field), weights)[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_resolutions_agree(engine, loops, shape) -> None:
    field = _noise((3, *shape), largest=2, seed=6)
    _agree(engine, engine.halve(engine.upload(field)), loops.halve(field), 1e-6)
    fine = tuple(2 * n - 1 for n in shape)
    for size in (fine, tuple(n + 1 for n in fine)):
        _agree(engine, engine.double(engine.upload(field), size), loops.double(field, size), 1e-6)


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_push_agrees(engine, loops, shape, n_channels) -> None:
    pair = _images(n_channels, shape, 7), _images(n_channels, shape, 8)
    before = _noise((2, 3, *shape), seed=9)
    weight = (_noise((1, *shape), seed=10) > 0).astype(np.float32)
    loaded = engine.upload(pair[0]), engine.upload(pair[1])
    for counts in (None, weight):
        for forces in (None, before):
            expected, _ = loops.push(pair, counts, None if forces is None else forces.copy(), 0.5)
            ours, _ = engine.push(
                loaded,
                None if counts is None else engine.upload(counts),
                None if forces is None else engine.upload(forces),
                0.5,
            )
            _agree(engine, ours, expected)


def test_likeness_is_the_mean_squared_correlation(engine) -> None:
    pair = _images(2, (9, 12, 15), 19), _images(2, (9, 12, 15), 20)
    squares = []
    for a, b in zip(*(images.astype(np.float64) for images in pair), strict=True):
        means = [ndimage.uniform_filter(v, 5, mode="constant") for v in (a, b, a * a, b * b, a * b)]
        aa, bb = means[2] - means[0] ** 2, means[3] - means[1] ** 2
        squares.append((means[4] - means[0] * means[1]) ** 2 / (aa * bb + FLAT))
    _, likeness = engine.push((engine.upload(pair[0]), engine.upload(pair[1])), None, None, 0.5)
    assert likeness == pytest.approx(np.mean(squares), rel=1e-5)


def test_push_leaves_empty_images_alone(engine) -> None:
    nothing = engine.upload(np.zeros((1, 6, 7, 8), np.float32))
    forces, likeness = engine.push((nothing, nothing), None, None, 0.5)
    assert likeness == 0
    assert not engine.download(forces).any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("zoom", [0.8, 1.9])
def test_pull_agrees(engine, loops, shape, zoom) -> None:
    data, matrix = _images(1, shape, 11)[0], _oblique(shape, zoom)
    grid = tuple(n + 2 for n in shape)
    expected = loops.pull(data, matrix, grid, 0.7)
    assert (expected == 0).any()
    _agree(engine, engine.pull(data, matrix, grid, 0.7), expected)


def test_pull_skips_cells_that_touch_nothing(engine, loops) -> None:
    data = np.zeros((9, 9, 9), np.float32)
    data[4, 4, 4] = 1
    matrix = np.eye(4)
    matrix[:3, 3] = 0.4
    ours = engine.download(engine.pull(data, matrix, data.shape, 1.0))
    assert np.count_nonzero(ours) == 8
    assert np.allclose(ours, loops.pull(data, matrix, data.shape, 1.0), atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_least_jacobian_agrees(engine, loops, shape) -> None:
    field = _noise((3, *shape), largest=1.5, seed=12)
    to_voxel = _oblique(shape)[:3, :3].copy()
    loaded = engine.upload(field)
    for unit in (None, to_voxel):
        expected = loops.least_jacobian(field, unit)
        assert engine.least_jacobian(loaded, unit) == pytest.approx(expected, rel=1e-6)


def _gentle(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return a field of some voxels that can be inverted: no slope above a quarter."""
    field = _noise((3, *shape), width=2, seed=seed)
    steepest = max(float(np.abs(np.diff(field, axis=axis)).max()) for axis in (1, 2, 3))
    return (field * (0.25 / steepest) + 0.8).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_total_agrees(engine, loops, shape) -> None:
    back, on = _gentle(shape, 13), _gentle(shape, 14)
    matrices = _oblique(shape), 2 * _oblique(shape, 1.1), _oblique(shape, 2)
    grid = tuple(n + 3 for n in shape)
    expected, _ = loops.total(back, on, matrices, grid)
    ours, worst = engine.total(engine.upload(back), engine.upload(on), matrices, grid)
    assert worst < CLOSE
    # Each engine stops within CLOSE of the goal, an inverse field makes at most 4 times of it,
    # and the way out at most 1.25 * 2.2 * 1.6 times of that.
    assert np.abs(engine.download(ours) - expected).max() < 2 * CLOSE * 4 * 4.4


def test_inversion_takes_few_steps(engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_diffeo_total, "TRIES", 3)
    shape = (9, 12, 15)
    field = engine.upload(_gentle(shape, 21))
    _, worst = engine.total(field, field, (np.eye(4), np.eye(4), np.eye(4)), shape)
    assert worst < CLOSE


def test_what_is_left_of_an_inversion_is_told(engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_diffeo_total, "TRIES", 0)
    stretch = np.zeros((3, 11, 4, 4), np.float32)
    stretch[0] = 0.2 * np.arange(11)[:, None, None]
    one = np.eye(4)
    field, worst = engine.total(
        engine.upload(stretch), engine.still((11, 4, 4)), (one, one, one), (11, 4, 4)
    )
    # The search begins at x - 0.2 x, which goes to 0.8 x * 1.2 = 0.96 x.
    assert worst == pytest.approx(0.04 * 10, rel=1e-5)
    assert np.allclose(engine.download(field)[0], stretch[0], atol=1e-5)


def test_slopes_are_what_differences_say(engine) -> None:
    field = engine.upload(_noise((3, 5, 6, 7), seed=22))
    inside = np.array([[2], [3], [4]]) + np.random.default_rng(23).uniform(0.05, 0.85, (3, 50))
    corner, part = _diffeo_torch_total.locate((5, 6, 7), torch.tensor(inside, device=field.device))
    slope = _diffeo_torch_total.slope_at(field, corner, part)
    value = _diffeo_torch_total.value_at(field, corner, part)
    for axis in range(3):
        moved = part.clone()
        moved[axis] += 0.1  # linear within a cell along an axis
        rise = (_diffeo_torch_total.value_at(field, corner, moved) - value) / 0.1
        assert torch.allclose(slope[:, axis], rise, atol=1e-5)


def test_solve_agrees_with_lapack() -> None:
    rng = np.random.default_rng(24)
    slope, error = rng.normal(size=(3, 3, 20)), rng.normal(size=(3, 20))
    step, determinant = _diffeo_torch_total._solve(torch.tensor(slope), torch.tensor(error))
    matrices = np.moveaxis(slope, -1, 0) + np.eye(3)
    assert np.allclose(determinant, np.linalg.det(matrices))
    assert np.allclose(step.T, np.linalg.solve(matrices, error.T[..., None])[..., 0])


def test_total_of_a_shift_is_exact(engine) -> None:
    back, on = engine.still((6, 7, 8)) + 1.25, engine.still((6, 7, 8)) + 0.5
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    field, worst = engine.total(back, on, (np.eye(4), affine, affine), (5, 6, 4))
    assert worst < 1e-6
    # From a voxel 1.25 back and 0.5 on, 2 mm each; LPS turns the first two axes round.
    expected = np.array([1.5, 1.5, -1.5])[:, None, None, None]
    assert np.allclose(engine.download(field), expected, atol=1e-5)


def test_slabs_make_no_difference(engine) -> None:
    shape = (9, 12, 15)
    back, on = engine.upload(_gentle(shape, 15)), engine.upload(_gentle(shape, 16))
    data, matrix = _images(1, shape, 17)[0], _oblique(shape)
    results = []
    for at_once in (1, 400, 10**6):
        engine._at_once = at_once
        field, worst = engine.total(back, on, (matrix, matrix, np.eye(4)), shape)
        pulled = engine.pull(data, matrix, shape, 1.3)
        results.append((field, pulled, worst, engine.least_jacobian(back)))
    for field, pulled, *numbers in results[:-1]:
        assert torch.equal(field, results[-1][0])
        assert torch.equal(pulled, results[-1][1])
        assert numbers == list(results[-1][2:])


def test_a_fold_is_reported(engine) -> None:
    field = np.zeros((3, 12, 8, 8), np.float32)
    field[0, 5], field[0, 6] = 3, -3
    loaded = engine.upload(field)
    assert engine.least_jacobian(loaded) < 0
    into = np.eye(4)
    into[0, 3] = 0.5
    _, worst = engine.total(loaded, loaded, (into, np.eye(4), np.eye(4)), (11, 8, 8))
    assert np.isfinite(worst)


@pytest.fixture(scope="module")
def brains() -> tuple[Volume, Volume]:
    """The MNI brain that nilearn carries, 4 mm, and the same bent by up to 8 mm."""
    from nilearn.datasets import load_mni152_template

    img = load_mni152_template(resolution=4)
    data = np.asarray(img.dataobj, dtype=np.float32)
    data = np.where(data > 0.1 * data.max(), data, 0).astype(np.float32)
    bend = _noise((3, *data.shape), width=5, largest=2, seed=18)
    bent = ndimage.map_coordinates(data, np.indices(data.shape) + bend, order=1)
    return Volume(data, img.affine), Volume(np.asarray(bent, np.float32), img.affine)


@pytest.mark.parametrize("contrast", ["same", "different"])
def test_whole_registration_agrees(engine, loops, brains, contrast) -> None:
    fixed, moving = brains
    mask = fixed.data > 0
    mask[: mask.shape[0] // 3] = False
    sides = (_diffeo.Side(fixed, mask), _diffeo.Side(moving))
    matrix = np.eye(4)
    matrix[:3, :3] = [[0.99, -0.1, 0], [0.1, 0.99, 0.02], [0, -0.02, 1.01]]
    schedule = _diffeo.Schedule(4.0, (6, 6))
    found = [_diffeo.fit(each, sides, matrix, schedule, contrast) for each in (loops, engine)]
    assert found[1].likeness == pytest.approx(found[0].likeness, rel=1e-4)
    for theirs, ours in (
        (found[0].to_fixed, found[1].to_fixed),
        (found[0].to_moving, found[1].to_moving),
    ):
        assert np.abs(theirs).max() * 4 > 2  # mm: something was found
        apart = 4 * np.linalg.norm(engine.download(ours) - theirs, axis=0)
        assert apart.mean() < 1e-3  # mm
        assert apart.max() < 0.05
    ways = [
        _diffeo.both_ways(each, fit, brains)
        for each, fit in zip((loops, engine), found, strict=True)
    ]
    for theirs, ours in zip(*ways, strict=True):
        apart = np.linalg.norm(engine.download(ours) - theirs, axis=0)
        assert apart.mean() < 4 * CLOSE  # mm: CLOSE is in voxels of 4 mm
        assert apart.max() < 0.1


def test_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"device must .*'cuda'.* 0 CUDA.*device='cpu'"):
        TorchEngine("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match=r"'cuda:1'.* 1 CUDA"):
        TorchEngine("cuda:1")
    for device in ("mps", "gpu"):
        with pytest.raises(ValueError, match=f"device must be 'cpu', 'cuda'.*got '{device}'"):
            TorchEngine(device)


def test_torch_is_imported_only_when_it_is_used() -> None:
    code = "import sys; import brainnet.imaging._diffeo_torch; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
