"""Heads of any orientation, voxel size and unit on one grid."""

from itertools import permutations

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from brainnet.models.voxel.conform import HU_WINDOW, UNKNOWN_FORM, conform, head_box

PLACE = np.array([12.0, -7.0, 9.0])  # mm: the middle of the planted blob


def _affine(axes: np.ndarray, zooms: tuple[float, ...], shape: tuple[int, ...]) -> np.ndarray:
    """Return an affine with the field of view around the origin of the world."""
    affine = np.eye(4)
    affine[:3, :3] = axes @ np.diag(zooms)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def _blob(affine: np.ndarray, shape: tuple[int, ...]) -> Nifti1Image:
    """Draw a Gaussian of 9 mm at PLACE in the world."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    data = 1000 * np.exp(-0.5 * ((world - PLACE) ** 2).sum(axis=-1) / 9**2)
    return Nifti1Image(data.astype(np.float32), affine)


def _centroid(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in data.shape], indexing="ij"), axis=-1)
    weights = np.clip(data - 100, 0, None)
    middle = (index * weights[..., None]).sum(axis=(0, 1, 2)) / weights.sum()
    return affine[:3, :3] @ middle + affine[:3, 3]


def _turned(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, c, -s], [0, s, c]]
    )


ORIENTATIONS = [np.eye(3)[:, list(order)] for order in permutations(range(3))]
ORIENTATIONS += [np.diag(signs) for signs in ((-1, 1, 1), (-1, -1, 1), (1, -1, -1))]
ORIENTATIONS += [_turned(20), _turned(-35) @ np.diag([-1, 1, 1])]


@pytest.mark.parametrize("axes", ORIENTATIONS)
@pytest.mark.parametrize("zooms", [(1.0, 1.0, 1.0), (2.2, 0.8, 3.1), (0.5, 4.0, 2.0)])
def test_what_lies_somewhere_in_the_world_stays_there(
    axes: np.ndarray, zooms: tuple[float, ...]
) -> None:
    shape = tuple(int(np.ceil(100 / zoom)) for zoom in zooms)
    affine = _affine(axes, zooms, shape)
    head = conform(_blob(affine, shape), crop=False)
    assert np.array_equal(head.affine[:3, :3], 2 * np.eye(3))
    assert np.abs(_centroid(head.data, head.affine) - PLACE).max() < 0.1
    assert head.data.dtype == np.float32
    assert abs(head.data.max() / 1000 - 1) < 0.2
    cropped = conform(_blob(affine, shape))
    assert cropped.data.size < head.data.size
    assert np.abs(_centroid(cropped.data, cropped.affine) - PLACE).max() < 0.5


@pytest.mark.parametrize("zoom", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("odd", [0, 1])  # grids meet between voxels, or at their centres
def test_fine_stripes_are_averaged_not_aliased(zoom: float, odd: int) -> None:
    n = int(60 / zoom) + odd
    data = np.zeros((n, 20, 20), np.float32)
    data[::2] = 1  # as fine as a grid can be
    head = conform(Nifti1Image(data, np.diag([zoom, 2, 2, 1])), crop=False)
    inner = head.data[2:-2]
    assert 0.3 < inner.min() <= inner.max() < 0.7
    assert abs(inner.mean() - 0.5) < 0.08  # without the blur it would be 0 or 1


def test_same_grid_is_left_as_it_is() -> None:
    data = np.random.default_rng(0).random((20, 18, 16), np.float32)
    head = conform(Nifti1Image(data, np.diag([2.0, 2, 2, 1])), crop=False)
    assert np.abs(head.data - data).max() < 1e-5
    assert head.measured.all()
    assert head.notes == ()


def test_outside_the_field_nothing_was_measured() -> None:
    shape = (40, 40, 40)
    affine = _affine(_turned(30), (2.0, 2.0, 2.0), shape)
    head = conform(Nifti1Image(np.full(shape, 5.0) + np.arange(40), affine), crop=False)
    volume = head.measured.sum() * 8 / (np.prod(shape) * 8)
    assert abs(volume - 1) < 0.01
    assert (head.data[~head.measured] == head.fill).all()
    wide = head.crop(tuple((-3, n + 2) for n in head.data.shape))
    assert wide.measured.sum() == head.measured.sum()
    assert wide.data.shape == tuple(n + 5 for n in head.data.shape)
    away = head.crop(((-9, -4), (0, 8), (100, 108)))
    assert away.data.shape == (5, 8, 8)
    assert not away.measured.any()


def _person() -> np.ndarray:
    """Return head, neck and shoulders at 2 mm in a field of view of 512 x 256 x 400 mm."""
    x, y, z = np.meshgrid(*[np.arange(n) * 2.0 - n for n in (256, 128, 200)], indexing="ij")
    head = (x / 75) ** 2 + (y / 95) ** 2 + ((z - 80) / 100) ** 2 < 1
    neck = (np.hypot(x, y) < 55) & (z < 0)
    shoulders = (np.abs(x) < 220) & (np.abs(y) < 90) & (z < -80)
    rng = np.random.default_rng(0)
    body = (head | neck | shoulders) * rng.uniform(0.3, 1, x.shape)
    return np.hypot(body, 0.04 * rng.standard_normal(x.shape)).astype(np.float32)


def test_neck_and_shoulders_are_cut_off() -> None:
    box = head_box(_person(), 2.0)
    sizes = [2 * (b - a) for a, b in box]
    assert 150 <= sizes[0] <= 180
    assert 190 <= sizes[1] <= 220
    assert 200 <= sizes[2] <= 250
    assert box[2][1] * 2 - 200 >= 180  # the top of the head is in


def test_a_volume_in_which_nothing_stands_out_is_kept_whole() -> None:
    assert head_box(np.zeros((20, 20, 20), np.float32), 2.0) == ((0, 20),) * 3


def test_ct_is_windowed() -> None:
    data = np.full((40, 40, 40), -1024, np.int16)
    data[8:32, 8:32, 8:32] = 1500
    data[10:30, 10:30, 10:30] = 35
    head = conform(Nifti1Image(data, np.diag([2.0, 2, 2, 1])), crop=False)
    assert head.is_ct
    assert "CT" in head.notes[0]
    assert (head.data.min(), head.data.max()) == HU_WINDOW
    assert head.data[20, 20, 20] == 35
    assert not conform(Nifti1Image(np.clip(data, 0, None), np.eye(4)), crop=False).is_ct


def test_a_bad_voxel_does_not_make_an_image_a_ct() -> None:
    data = np.random.default_rng(0).integers(0, 900, (40, 40, 40)).astype(np.int16)
    data[20, 20, 20] = -32768
    head = conform(Nifti1Image(data, np.diag([2.0, 2, 2, 1])), crop=False)
    assert not head.is_ct
    assert head.notes == ()
    assert head.data.max() > 800


def test_voxels_that_are_not_finite_were_not_measured() -> None:
    data = np.random.default_rng(0).random((20, 20, 20), np.float32)
    data[:5] = np.nan
    data[5] = np.inf
    head = conform(Nifti1Image(data, np.diag([2.0, 2, 2, 1])), crop=False)
    assert np.isfinite(head.data).all()
    assert head.data.max() <= 1
    assert np.array_equal(head.measured.any(axis=(1, 2)), np.arange(20) >= 6)


def test_an_unknown_orientation_is_noted() -> None:
    img = Nifti1Image(np.random.default_rng(0).random((20, 20, 20)), None)
    assert img.header["sform_code"] == img.header["qform_code"] == 0
    assert conform(img).notes == (UNKNOWN_FORM,)


GOOD = np.random.default_rng(0).random((20, 20, 20))


@pytest.mark.parametrize(
    ("data", "affine", "message"),
    [
        (np.zeros((20, 20, 20, 7)), np.eye(4), r"one volume.*mean over time"),
        (np.zeros((20, 20)), np.eye(4), "3 dimensions"),
        (GOOD[:, :, :15], np.eye(4), "16 voxels or more"),
        (GOOD, np.diag([0.001, 0.001, 0.001, 1]), r"0\.2 to 10 mm.*in mm"),
        (GOOD, np.diag([1.0, 1, 12, 1]), r"1 x 1 x 12"),
        (GOOD, np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "inverted"),
        (np.zeros((20, 20, 20)), np.eye(4), "0 in every finite voxel"),
        (np.full((20, 20, 20), np.nan), np.eye(4), "no finite voxel"),
        (np.where(GOOD > 0.5, np.nan, 3.0), np.eye(4), "3 in every finite voxel"),
        (GOOD + 1j, np.eye(4), "real numbers"),
    ],
)
def test_bad_images_are_refused(data: np.ndarray, affine: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conform(Nifti1Image(data, affine))


def test_a_fourth_axis_of_one_volume_is_taken() -> None:
    one = conform(Nifti1Image(GOOD, np.eye(4)))
    assert np.array_equal(conform(Nifti1Image(GOOD[..., None], np.eye(4))).data, one.data)
