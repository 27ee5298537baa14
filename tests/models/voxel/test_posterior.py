"""From probabilities to labels, mask, tissues and back to the scan."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from brainnet.models.voxel.labels import LabelTable, load_labels
from brainnet.models.voxel.posterior import brain_of, brain_share, paint, tidy


@pytest.fixture(scope="module")
def table() -> LabelTable:
    return load_labels("brain")


def _number(table: LabelTable, index: int) -> int:
    return int(np.flatnonzero(table.indices == index)[0])


def _one_hot(labels: np.ndarray, table: LabelTable) -> torch.Tensor:
    """Return probabilities that are certain."""
    return torch.stack([torch.from_numpy((labels == i).astype(np.float32)) for i in table.indices])


def _head(size: int = 40) -> np.ndarray:
    """Return nested balls: outer fluid, cortex and white matter of both sides, a brain-stem."""
    x, y, z = np.meshgrid(*[np.arange(size) - (size - 1) / 2] * 3, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    labels = np.zeros((size,) * 3, np.int16)
    labels[radius < 0.42 * size] = 24
    labels[(radius < 0.36 * size) & (x < 0)] = 3
    labels[(radius < 0.36 * size) & (x > 0)] = 42
    labels[(radius < 0.28 * size) & (x < 0)] = 2
    labels[(radius < 0.28 * size) & (x > 0)] = 41
    labels[(np.hypot(x, y) < 0.08 * size) & (z < -0.2 * size) & (z > -0.38 * size)] = 16
    return labels


def test_strays_are_taken_and_given_to_others(table: LabelTable) -> None:
    labels = _head()
    probabilities = 0.9 * _one_hot(labels, table)
    probabilities += 0.1 * _one_hot(np.where(labels == 2, 3, labels), table)
    stray, far = (12, 20, 20), (2, 2, 2)
    probabilities[:, *stray] = 0
    probabilities[_number(table, 17), *stray] = 0.6  # a speck of hippocampus, far from it
    probabilities[_number(table, 2), *stray] = 0.4
    probabilities[:, 18:22, 28:31, 18:22] = 0
    probabilities[_number(table, 17), 18:22, 28:31, 18:22] = 1  # the hippocampus
    probabilities[:, *far] = 0
    probabilities[_number(table, 3), *far] = 1  # cortex may be in pieces, but not outside
    probabilities[:, :6, :6, 34:] = 0
    probabilities[_number(table, 17), :6, :6, 34:] = 1  # larger than the hippocampus, but outside
    found = tidy(probabilities, table)
    hard = table.indices[found.argmax(dim=0).numpy()]
    assert hard[stray] == 2
    assert found[_number(table, 2)][stray] == 1
    assert hard[far] == 0
    assert not hard[:6, :6, 34:].any()
    assert (hard[18:22, 28:31, 18:22] == 17).all()
    assert torch.allclose(found.sum(dim=0), torch.ones(()), atol=1e-5)


def test_two_large_pieces_are_kept(table: LabelTable) -> None:
    labels = _head()
    labels[18:22, 28:31, 18:22] = 2  # beyond the midline, apart: a fifth of the rest is not
    labels[10:16, 10:16, 10:16] = 12
    labels[10:16, 24:30, 10:14] = 12
    hard = table.indices[tidy(_one_hot(labels, table), table).argmax(dim=0).numpy()]
    assert np.array_equal(hard == 12, labels == 12)


def test_parts_of_a_brain_are_not_one_piece(table: LabelTable) -> None:
    rows = table.regions["structure"] == "hippocampus"
    hippocampi = LabelTable(table.regions[rows].reset_index(drop=True))
    labels = np.zeros((30, 20, 20), np.int16)
    labels[3:9, 5:15, 8:12], labels[21:26, 5:15, 8:12] = 17, 53
    found = tidy(_one_hot(labels, hippocampi), hippocampi)
    assert np.array_equal(hippocampi.indices[found.argmax(dim=0).numpy()], labels)
    painted = paint(found, np.eye(4), hippocampi, labels.shape, np.eye(4))
    assert np.array_equal(painted.mask > 0, labels > 0)


def test_empty_stays_empty(table: LabelTable) -> None:
    labels = np.zeros((16, 16, 16), np.int16)
    found = tidy(_one_hot(labels, table), table)
    assert bool((found[0] == 1).all())
    painted = paint(found, np.eye(4), table, (16, 16, 16), np.eye(4))
    assert not painted.labels.any()
    assert not painted.mask.any()
    assert not brain_of(labels, table).any()


def test_rule_of_the_mask_is_the_same_for_maps_and_probabilities(table: LabelTable) -> None:
    labels = _head()
    labels[20, 20, 25] = 0  # a hole
    labels[1, 1, 1] = 3  # a speck
    truth = brain_of(labels, table)
    lowest = np.flatnonzero((labels == 16).any(axis=(0, 1)))[0]
    ball = ndimage.binary_fill_holes(_head() > 0)
    ball[:, :, :lowest] = False
    assert np.array_equal(truth, ball)
    assert (_head() > 0)[:, :, :lowest].any()  # there was fluid below
    probabilities = tidy(_one_hot(labels, table), table)
    painted = paint(probabilities, np.eye(4), table, labels.shape, np.eye(4))
    assert np.array_equal(painted.mask > 0, truth)


def test_without_a_brain_stem_nothing_is_cut(table: LabelTable) -> None:
    labels = np.where(_head() == 16, 24, _head())
    assert np.array_equal(brain_of(labels, table), labels > 0)
    assert bool((brain_share(_one_hot(labels, table), table).numpy() == (labels > 0)).all())


SCANS = [
    (np.diag([1.0, 1, 1]), (80, 80, 80)),
    (np.diag([-1.0, 1, 1]), (80, 80, 80)),
    (np.array([[0.0, 0, 1.5], [-1, 0, 0], [0, 1, 0]]), (80, 80, 50)),
    (np.array([[0.9, -0.43, 0], [0.43, 0.9, 0], [0, 0, 1]]), (90, 90, 80)),
]


@pytest.mark.parametrize(("axes", "shape"), SCANS)
def test_painting_equals_interpolation_of_every_label_everywhere(
    table: LabelTable, axes: np.ndarray, shape: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(0)
    probabilities = _one_hot(_head(), table) + 0.02 * torch.from_numpy(
        rng.random((33, 40, 40, 40), np.float32)
    )
    probabilities[:, _head() == 0] = 0
    probabilities[0, _head() == 0] = 1
    probabilities /= probabilities.sum(dim=0)
    affine = np.diag([2.0, 2, 2, 1])
    scan = np.eye(4)
    scan[:3, :3] = axes
    scan[:3, 3] = 39 - axes @ ((np.array(shape) - 1) / 2)
    index = np.linalg.inv(affine) @ scan
    every = np.stack(
        [
            ndimage.affine_transform(
                each, index[:3, :3], index[:3, 3], shape, order=1, mode="constant", cval=cval
            )
            for each, cval in zip(probabilities.numpy(), [1.0] + [0.0] * 32, strict=True)
        ]
    )
    painted = paint(probabilities, affine, table, shape, scan)
    first, second = np.sort(every, axis=0)[[-1, -2]]
    clear = first - second > 1e-4
    assert np.array_equal(painted.labels[clear], table.indices[every.argmax(axis=0)][clear])
    white = every[[_number(table, i) for i in (2, 7, 16, 41, 46)]].sum(axis=0)
    assert np.abs(painted.tissues["WM"] - white).max() < 1e-4
    total = sum(painted.tissues.values())
    assert total.max() <= 1 + 1e-5
    assert painted.labels.dtype == np.int16
    assert painted.mask.dtype == np.uint8


def test_a_scan_elsewhere_gets_nothing(table: LabelTable) -> None:
    away = np.eye(4)
    away[:3, 3] = 500
    painted = paint(_one_hot(_head(), table), np.eye(4), table, (20, 20, 20), away)
    assert not painted.labels.any()
