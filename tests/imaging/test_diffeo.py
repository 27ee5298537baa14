"""The loops of deformable registration against NumPy and SciPy, closed forms and a planted bend."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from brainnet.imaging import _diffeo, _diffeo_numba
from brainnet.imaging._diffeo_kernels import EDGE, FLAT
from brainnet.imaging._diffeo_numba import NumbaEngine
from brainnet.imaging._diffeo_total import CLOSE
from brainnet.imaging._fields import Volume

Floats = NDArray[np.float32]
#: Odd and even sides, and sides shorter than a filter is long.
SHAPES = [(13, 10, 8), (9, 12, 15), (3, 4, 5), (2, 2, 2)]


@pytest.fixture(scope="module")
def engine() -> Iterator[NumbaEngine]:
    opened = NumbaEngine()
    yield opened
    opened.close()


def _noise(
    shape: tuple[int, ...], *, width: float = 0.0, largest: float = 1.0, seed: int = 0
) -> Floats:
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    if width:
        noise = np.stack([ndimage.gaussian_filter(part, width) for part in noise])
    return np.asarray(noise * (largest / np.abs(noise).max()), np.float32)


def _at(images: Floats, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate images (C, X, Y, Z) linearly at places held inside, as SciPy does."""
    top = np.array(images.shape[1:])[:, None, None, None] - 1.0 - EDGE
    held = np.clip(places, 0, top)
    return np.stack([ndimage.map_coordinates(np.float64(each), held, order=1) for each in images])


@pytest.mark.parametrize("largest", [0.9, 40])
@pytest.mark.parametrize("shape", SHAPES)
def test_warp_interpolates_linearly_and_holds_points_inside(engine, shape, largest) -> None:
    images = _noise((2, *shape), largest=3, seed=1)
    field = _noise((3, *shape), largest=largest, seed=2)
    expected = _at(images, np.indices(shape) + np.float64(field))
    assert np.abs(engine.warp(images, field) - expected).max() < 3e-5


def test_warp_by_whole_voxels_moves_voxels(engine) -> None:
    image = _noise((1, 7, 8, 9), seed=3)
    field = np.zeros((3, 7, 8, 9), np.float32)
    field[0], field[2] = 2, -1
    out = engine.warp(image, field)
    assert np.array_equal(out[0, :4, :7, 1:], image[0, 2:6, :7, :-1])


@pytest.mark.parametrize("shape", SHAPES)
def test_compose_follows_the_update_then_the_field(engine, shape) -> None:
    field = _noise((3, *shape), largest=3, seed=4)
    update = _noise((3, *shape), largest=4, seed=5)
    step = 0.37 * np.float64(update)
    expected = step + _at(field, np.indices(shape) + step)
    assert np.abs(engine.compose(field, update, 0.37) - expected).max() < 3e-5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [0.5, 0.65, 1.0, 1.2])
def test_smooth_filters_along_each_axis(engine, shape, width) -> None:
    field, weights = _noise((3, *shape), largest=2, seed=6), _diffeo.bell(width)
    expected = np.float64(field)
    for axis in (1, 2, 3):
        expected = ndimage.correlate1d(expected, np.float64(weights), axis, mode="constant")
    ours, largest = engine.smooth(field, weights)
    assert np.abs(ours - expected).max() < 1e-6
    assert largest == np.abs(ours).max()
    assert engine.smooth(-field, weights)[1] == largest


@pytest.mark.parametrize("width, reach", [(0.5, 2), (0.65, 2), (1.0, 3), (1.2, 3)])
def test_bell_is_a_cut_gaussian(width: float, reach: int) -> None:
    weights = np.float64(_diffeo.bell(width))
    assert weights.sum() == pytest.approx(1, abs=1e-7)
    assert np.array_equal(weights, weights[::-1])
    assert np.count_nonzero(weights) == 2 * reach + 1
    ratios = weights[3 : 4 + reach] / weights[3]
    assert np.allclose(ratios, np.exp(-0.5 * (np.arange(reach + 1) / width) ** 2), rtol=1e-6)


def _local(a: Floats, b: Floats) -> tuple[NDArray[np.float64], ...]:
    """Return means, variances and covariance of windows of 5 voxels, 0 outside."""
    values = [
        np.float64(v) for v in (a, b, a * np.float64(a), b * np.float64(b), a * np.float64(b))
    ]
    m_a, m_b, aa, bb, ab = (ndimage.uniform_filter(v, 5, mode="constant") for v in values)
    aa, bb = np.maximum(aa - m_a**2, 0), np.maximum(bb - m_b**2, 0)
    return m_a, m_b, aa, bb, ab - m_a * m_b


def _squares(a: Floats, b: Floats) -> NDArray[np.float64]:
    """Return squared local correlations."""
    _, _, aa, bb, ab = _local(a, b)
    return np.asarray(ab**2 / (aa * bb + FLAT))


def _ascent(a: Floats, b: Floats) -> NDArray[np.float64]:
    """Return the force on ``a``: 2 ab / (aa bb) (b - m_b - ab / aa (a - m_a)) times its slope."""
    m_a, m_b, aa, bb, ab = _local(a, b)
    by_value = ab / (aa * bb + FLAT) * (b - m_b - ab / (aa + FLAT) * (a - m_a))
    slopes = []
    for axis in range(3):
        padded = np.pad(np.float64(a), [(int(k == axis),) * 2 for k in range(3)], mode="edge")
        slopes.append(np.take(padded, np.arange(2, padded.shape[axis]), axis))
        slopes[-1] -= np.take(padded, np.arange(padded.shape[axis] - 2), axis)
    # Nothing pulls at the first and last voxel of a row: what is near 0 there is the margin.
    slopes[2][:, :, [0, -1]] = 0
    return np.stack([by_value * slope for slope in slopes])


@pytest.mark.parametrize("shape", [(13, 10, 8), (9, 12, 15), (4, 3, 5)])
def test_force_is_the_ascent_of_local_correlation(engine, shape) -> None:
    a, b = 1 + _noise(shape, seed=7), 1 + _noise(shape, seed=8)
    forces, _ = engine.push((a[None], b[None]), None, None, 0.5)
    for ours, expected in zip(forces, (_ascent(a, b), _ascent(b, a)), strict=True):
        assert np.abs(ours - expected).max() < 1e-4 * np.abs(expected).max()


def test_force_is_weighted_and_keeps_its_momentum(engine) -> None:
    shape = (9, 10, 11)
    a, b = 1 + _noise(shape, seed=9), 1 + _noise(shape, seed=10)
    before = _noise((2, 3, *shape), seed=11)
    weight = (_noise((1, *shape), seed=12) > 0).astype(np.float32)
    forces, _ = engine.push((a[None], b[None]), weight, before.copy(), 0.3)
    for k, expected in enumerate((_ascent(a, b), _ascent(b, a))):
        whole = 0.3 * before[k] + weight * expected
        inner = (slice(None), slice(None), slice(None), slice(1, -1))
        assert np.abs(forces[k] - whole)[inner].max() < 1e-4 * np.abs(expected).max()


def test_forces_of_channels_add_up(engine) -> None:
    shape = (9, 10, 11)
    a, b = 1 + _noise((2, *shape), seed=13), 1 + _noise((2, *shape), seed=14)
    forces, likeness = engine.push((a, b), None, None, 0.5)
    alone = [engine.push((a[c : c + 1], b[c : c + 1]), None, None, 0.5) for c in range(2)]
    assert np.allclose(forces, alone[0][0] + alone[1][0], atol=1e-5 * np.abs(forces).max())
    assert likeness == pytest.approx((alone[0][1] + alone[1][1]) / 2)


def test_a_step_along_the_force_raises_likeness(engine) -> None:
    shape = (24, 26, 28)
    bowl = np.exp(
        -sum(((x - n / 2) / 7) ** 2 for x, n in zip(np.indices(shape), shape, strict=True))
    )
    bowl[bowl < 0.3] = 0  # nothing near the border: sums of likeness reach 2 voxels beyond it
    a = (bowl * (2 + 3 * _noise((1, *shape), width=2, seed=15)[0])).astype(np.float32)
    bend = _noise((3, *shape), width=4, largest=1.5, seed=16)
    b = engine.warp(a[None], bend)[0]
    forces, likeness = engine.push((a[None], b[None]), None, None, 0.5)
    assert likeness == pytest.approx(_squares(a, b).mean(), rel=1e-3)
    values = {}
    for step in (-0.2, 0.2):  # voxels
        fields = [np.asarray(f * (step / np.abs(f).max()), np.float32) for f in forces]
        pair = [engine.warp(image[None], f)[0] for image, f in zip((a, b), fields, strict=True)]
        values[step] = _squares(*pair).mean()
    assert values[0.2] > likeness > values[-0.2]


@pytest.mark.parametrize("shape", SHAPES)
def test_halve_averages_blocks(engine, shape) -> None:
    images = _noise((2, *shape), seed=17)
    even = np.pad(images, [(0, 0), *((0, n % 2) for n in shape)], mode="edge")
    n_x, n_y, n_z = (n // 2 for n in even.shape[1:])
    expected = even.reshape(2, n_x, 2, n_y, 2, n_z, 2).mean(axis=(2, 4, 6))
    assert np.allclose(engine.halve(images), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(13, 10, 8), (8, 13, 15)])
def test_double_interpolates_between_centres(engine, shape) -> None:
    coarse = tuple(-(-n // 2) for n in shape)
    field = _noise((3, *coarse), largest=2, seed=18)
    places = (np.indices(shape) - 0.5) / 2
    expected = [
        2 * ndimage.map_coordinates(np.float64(part), places, order=1, mode="nearest")
        for part in field
    ]
    assert np.allclose(engine.double(field, shape), expected, atol=1e-5)


def test_double_keeps_a_linear_field(engine) -> None:
    slope, shape = _noise((3, 3), seed=19), (12, 14, 10)
    coarse = np.tensordot(slope, np.indices((6, 7, 5)), 1).astype(np.float32)
    # Centre 2c + 0.5 of the fine grid is coarse voxel c; a voxel is two.
    fine = 2 * np.tensordot(slope, (np.indices(shape) - 0.5) / 2, 1)
    inner = (slice(None), *(slice(1, n - 1) for n in shape))
    assert np.allclose(engine.double(coarse, shape)[inner], fine[inner], atol=1e-5)


def test_pull_is_exact_on_voxel_centres(engine) -> None:
    data, matrix = _noise((7, 8, 9), seed=20), np.eye(4)
    matrix[:3, 3] = (2, -1, 3)
    out = engine.pull(data, matrix, (9, 9, 9), 0.5)[0]
    expected = np.zeros((9, 9, 9), np.float32)
    expected[:5, 1:, :6] = 0.5 * data[2:, :, 3:]
    assert np.array_equal(out[:5, 1:, :6], expected[:5, 1:, :6])
    assert not out[6:].any()
    assert not out[:, :, 7:].any()


def test_pull_reproduces_quadratics_inside(engine) -> None:
    """Cubic convolution is exact to the second order (Keys 1981)."""

    def curve(p: NDArray[np.float64]) -> NDArray[np.float64]:
        u, v, w = (p - 5) / 5
        return np.asarray(1 + u - 0.5 * v + 0.7 * u * u + 0.4 * v * w - w * w + 0.3 * u * w)

    data = curve(np.indices((12, 12, 12)).astype(float)).astype(np.float32)
    matrix = np.eye(4)
    matrix[:3, :3] = 0.5 * np.array([[1.0, 0.2, -0.1], [-0.15, 0.9, 0.3], [0.05, 0.1, 1.2]])
    matrix[:3, 3] = (2.3, 1.9, 1.6)
    places = (
        np.tensordot(matrix[:3, :3], np.indices((9, 9, 9)), 1) + matrix[:3, 3, None, None, None]
    )
    inside = ((places >= 1) & (places < 10)).all(axis=0)
    out = engine.pull(data, matrix, (9, 9, 9), 1.0)[0]
    assert inside.sum() > 500
    assert np.abs(out - curve(places))[inside].max() < 1e-5


def test_pull_weighs_by_cubic_convolution(engine) -> None:
    """Keys' kernel with a = -1/2, one voxel seen from everywhere around it."""
    data = np.zeros((9, 9, 9), np.float32)
    data[4, 4, 4] = 1
    data += np.float32(1e-30)  # so that no cell counts as empty
    matrix = np.diag([0.25, 1.0, 1.0, 1.0])
    line = engine.pull(data, matrix, (33, 5, 5), 1.0)[0, :, 4, 4]
    t = np.abs(np.arange(33) / 4 - 4)
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    assert np.allclose(line, np.where(t < 1, near, np.where(t < 2, far, 0)), atol=1e-6)


def test_pull_leaves_empty_cells_empty(engine) -> None:
    data = np.zeros((9, 9, 9), np.float32)
    data[4, 4, 4] = 1
    out = engine.pull(data, np.diag([0.25, 0.25, 0.25, 1.0]), (33, 33, 33), 1.0)[0]
    x = np.nonzero(out)[0]
    assert (x.min(), x.max()) == (13, 19)  # between the neighbours at 12 and 20
    assert np.array_equal(out, out.transpose(2, 1, 0))


def _curl(shape: tuple[int, ...], seed: int, size: float = 0.8) -> Floats:
    """Return a field of no slope above a quarter: it can be inverted."""
    field = _noise((3, *shape), width=2, seed=seed)
    steepest = max(float(np.abs(np.diff(field, axis=axis)).max()) for axis in (1, 2, 3))
    return np.asarray(field * (0.25 / steepest) * size, np.float32)


SIGN = np.array([-1.0, -1, 1])[:, None, None, None]


def test_total_of_still_fields_is_the_matrix(engine) -> None:
    shape, affine = (6, 7, 8), np.diag([2.0, -3.0, 4.0, 1.0])
    affine[:3, 3] = (10, 20, 30)
    pull = np.eye(4)
    pull[:3, :3] = [[1.1, 0.1, 0], [-0.1, 0.9, 0.05], [0, 0.02, 1.2]]
    pull[:3, 3] = (3, -2, 1)
    still = engine.still((20, 20, 20))
    field, worst = engine.total(still, still, (np.eye(4), pull @ affine, affine), shape)
    points = np.tensordot(affine[:3, :3], np.indices(shape), 1) + affine[:3, 3, None, None, None]
    moved = np.tensordot(pull[:3, :3], points, 1) + pull[:3, 3, None, None, None]
    assert worst == 0
    assert np.allclose(field, SIGN * (moved - points), atol=1e-4)


def test_total_inverts_the_way_back(engine) -> None:
    shape, one = (14, 15, 16), np.eye(4)
    back = _curl(shape, 21) + np.float32(0.6)
    field, worst = engine.total(back, engine.still(shape), (one, one, one), shape)
    assert worst < CLOSE
    origin = np.indices(shape) + SIGN * field
    top = np.array(shape)[:, None, None, None] - 1
    inside = ((origin >= 0) & (origin <= top)).all(axis=0)
    arrived = origin + np.stack([ndimage.map_coordinates(part, origin, order=1) for part in back])
    assert inside.mean() > 0.6
    assert np.abs(arrived - np.indices(shape))[:, inside].max() < 2 * CLOSE


def test_total_goes_back_and_on_again(engine) -> None:
    shape, one = (14, 15, 16), np.eye(4)
    field = _curl(shape, 22)
    home, worst = engine.total(field, field, (one, one, one), shape)
    assert worst < CLOSE
    assert np.abs(home).max() < 2 * CLOSE


def test_total_of_linear_fields_has_a_closed_form(engine) -> None:
    """(into x - b) / (1 + B) is where the way back begins; from there it goes on."""
    shape, middle = (8, 9, 10), (20, 20, 20)
    rng = np.random.default_rng(23)
    ways = [(0.1 * rng.uniform(-1, 1, (3, 3)), rng.uniform(-1, 1, 3)) for _ in range(2)]
    grid = np.indices(middle)
    fields = [
        (np.tensordot(slope, grid - 10, 1) + shift[:, None, None, None]).astype(np.float32)
        for slope, shift in ways
    ]
    into, out_of, affine = (
        np.diag([1.1, 0.9, 1.0, 1]),
        np.diag([2.0, 2, 2, 1]),
        np.diag([2, 2, 2, 1.0]),
    )
    into[:3, 3] = (5, 6, 5)
    ours, worst = engine.total(*fields, (into, out_of, affine), shape)
    at = np.moveaxis(np.indices(shape), 0, -1) @ into[:3, :3].T + into[:3, 3]
    (b_slope, b_shift), (o_slope, o_shift) = ways
    begin = (at - b_shift - 10) @ np.linalg.inv(np.eye(3) + b_slope).T + 10
    end = begin + (begin - 10) @ o_slope.T + o_shift
    expected = 2 * end - 2 * np.moveaxis(np.indices(shape), 0, -1)
    assert worst < CLOSE
    assert np.abs(ours - SIGN * np.moveaxis(expected, -1, 0)).max() < 6 * CLOSE


def test_least_jacobian_of_a_linear_field_is_its_determinant(engine) -> None:
    slope = 0.3 * _noise((3, 3), seed=24).astype(np.float64)
    field = np.tensordot(slope, np.indices((5, 6, 7)), 1).astype(np.float32)
    expected = np.linalg.det(np.eye(3) + slope)
    assert engine.least_jacobian(field) == pytest.approx(expected, rel=1e-5)
    to_voxel = np.diag([0.5, -0.4, 0.3]) + 0.1
    expected = np.linalg.det(np.eye(3) + slope @ to_voxel)
    assert engine.least_jacobian(field, to_voxel) == pytest.approx(expected, rel=1e-5)


def test_least_jacobian_finds_the_one_fold(engine) -> None:
    field = np.zeros((3, 9, 8, 7), np.float32)
    assert engine.least_jacobian(field) == 1
    field[1, 4, 5, 3], field[1, 4, 3, 3] = -2, 1
    # At the voxel between them y' = y + (-2 - 1) / 2: determinant 1 - 1.5.
    assert engine.least_jacobian(field) == pytest.approx(-0.5)
    left = _diffeo._unfold(engine, field)
    assert engine.least_jacobian(left) > 0


def test_description_does_not_mind_which_tissue_is_brighter() -> None:
    image = np.abs(_noise((1, 14, 15, 16), width=1, largest=2, seed=25))[0]
    ours, turned = _diffeo.describe(image), _diffeo.describe(np.float32(3) - image)
    assert ours.shape == (4, 14, 15, 16)
    assert np.abs(ours[:3] - turned[:3]).max() < 1e-4
    assert np.abs(ours[:3] - _diffeo.describe(7 * image)[:3]).max() < 1e-4
    assert np.array_equal(ours[3], image)


def test_description_is_what_it_says() -> None:
    image = np.abs(_noise((1, 10, 11, 12), width=1, largest=2, seed=26))[0]
    squares = []
    for axis in range(3):
        ends = [(int(a == axis),) * 2 for a in range(3)]
        steps = np.diff(np.pad(np.float64(image), ends, mode="edge"), axis=axis) ** 2
        n = image.shape[axis]
        both = np.take(steps, np.arange(n), axis) + np.take(steps, np.arange(1, n + 1), axis)
        squares.append(ndimage.gaussian_filter(both, 0.7))
    mean = np.mean(squares, axis=0)
    kept = mean > 0.1 * mean.mean()
    ours = _diffeo.describe(image)
    for axis in range(3):
        expected = np.exp(-squares[axis] / (mean + 1e-3 * mean.mean()))
        assert np.abs(ours[axis] - expected)[kept].max() < 1e-4


def _turn(degrees: float) -> NDArray[np.float64]:
    out, angle = np.eye(4), np.radians(degrees)
    out[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return out


def _lumps(shape: tuple[int, ...]) -> Floats:
    """Return a lumpy ball on 0."""
    ball = sum(((x - n / 2) / 9) ** 2 for x, n in zip(np.indices(shape), shape, strict=True)) < 1
    lumps = 1 + 2 * np.abs(_noise((1, *shape), width=1.5, seed=27)[0])
    return np.where(ball, lumps, 0).astype(np.float32)


BEND = _noise((3, 26, 28, 24), width=5, largest=2, seed=28)


@pytest.fixture(scope="module")
def pair() -> tuple[Volume, Volume]:
    """A lumpy ball, 4 mm, and a bend of it on a grid of its own."""
    shape, affine = BEND.shape[1:], np.diag([4.0, 4, 4, 1])
    data = _lumps(shape)
    bent = np.pad(ndimage.map_coordinates(data, np.indices(shape) + BEND, order=1), 2)
    affine[:3, 3] = (-50, -55, -48)
    wider = affine.copy()
    wider[:3, 3] -= 8
    return Volume(data, affine), Volume(bent.astype(np.float32), wider)


def test_half_the_matrix_twice_is_the_matrix(pair) -> None:
    matrix = _turn(40) @ np.diag([1.2, 0.9, 1.05, 1])
    matrix[:3, 3] = (5, -8, 3)
    middle = _diffeo.half_way(*pair, matrix, 4.0)
    assert np.allclose(middle.half @ middle.half, matrix, atol=1e-8)
    assert np.allclose(middle.rest @ middle.half, matrix, atol=1e-8)
    turned = _diffeo.half_way(pair[1], pair[0], np.linalg.inv(matrix), 4.0)
    assert turned.shape == middle.shape
    assert np.allclose(turned.affine, middle.affine)
    assert np.allclose(turned.half @ middle.half, np.eye(4))


def test_half_a_turn_stays_with_the_fixed_image(pair) -> None:
    middle = _diffeo.half_way(*pair, _turn(180), 4.0)
    assert np.allclose(middle.rest @ middle.half, _turn(180), atol=1e-6)
    assert np.isrealobj(middle.half)


@pytest.mark.parametrize("order", ["C", "F"])
def test_middle_holds_all_content(order) -> None:
    """A single voxel in a far corner of a large image counts."""
    data = np.zeros((60, 61, 62), np.float32, order=order)
    data[3, 5, 7] = data[57, 55, 53] = 1
    volume = Volume(data, np.eye(4))
    middle = _diffeo.half_way(volume, volume, np.eye(4), 1.0)
    voxels = np.array([[3, 5, 7], [57, 55, 53]]) - middle.affine[:3, 3]
    assert voxels.min() == _diffeo._MARGIN
    assert np.array_equal(voxels[1], np.array(middle.shape) - 1 - _diffeo._MARGIN)


def test_scale_of_an_image_is_bounded() -> None:
    data = np.zeros((9, 9, 9), np.float32)
    data[1, 1, 1] = 5  # beside every second voxel
    assert _diffeo._unit(data) * 5 <= 1000 * (1 + 1e-6)
    data[2:7] = 1e12
    assert _diffeo._unit(data) == pytest.approx(0.7e-12, rel=1e-5)


def test_exchanging_the_images_exchanges_the_fields(engine, pair) -> None:
    matrix = _turn(6) @ np.diag([1.03, 0.98, 1.0, 1])
    schedule = _diffeo.Schedule(4.0, (8, 8))
    sides = _diffeo.Side(pair[0]), _diffeo.Side(pair[1])
    there = _diffeo.fit(engine, sides, matrix, schedule)
    back = _diffeo.fit(engine, sides[::-1], np.linalg.inv(matrix), schedule)
    assert np.abs(there.to_fixed).max() > 0.3  # voxels: something was found
    assert np.abs(there.to_fixed - back.to_moving).max() < 1e-3
    assert np.abs(there.to_moving - back.to_fixed).max() < 1e-3
    assert there.likeness == pytest.approx(back.likeness, rel=1e-4)


@pytest.mark.parametrize("contrast", ["same", "different"])
def test_fit_finds_the_bend(engine, pair, contrast) -> None:
    schedule = _diffeo.Schedule(4.0, (20, 15))
    sides = _diffeo.Side(pair[0]), _diffeo.Side(pair[1])
    found = _diffeo.fit(engine, sides, np.eye(4), schedule, contrast)
    back = SIGN * _diffeo.both_ways(engine, found, pair)[1] / 4
    inside = ndimage.binary_erosion(pair[1].data > 0)[2:-2, 2:-2, 2:-2]
    error = np.linalg.norm(back[:, 2:-2, 2:-2, 2:-2] - BEND, axis=0)[inside]
    planted = np.linalg.norm(BEND, axis=0)[inside]
    assert np.median(planted) > 0.6  # voxels
    assert np.median(error) < 0.5 * np.median(planted)


def test_threads_do_not_change_a_byte(pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_diffeo_numba, "_WORTH_A_THREAD", 0)
    monkeypatch.setitem(_diffeo.SCHEDULES, "draft", _diffeo.Schedule(4.0, (4, 4)))
    mask = pair[0].data > 0
    mask[:8] = False
    sides = _diffeo.Side(pair[0], mask), _diffeo.Side(pair[1])
    results = []
    for n_threads in ("1", "2", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", n_threads)
        fields, least = _diffeo.deform(
            sides, _turn(3), quality="draft", contrast="different", device="cpu"
        )
        results.append((fields[0].tobytes(), fields[1].tobytes(), least))
    assert results[0] == results[1] == results[2]
    assert results[0][2] > 0
