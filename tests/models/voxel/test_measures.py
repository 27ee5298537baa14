"""Overlap and surface distances against closed forms."""

import numpy as np
import pytest

from brainnet.models.voxel.labels import load_labels
from brainnet.models.voxel.measures import compare_labels

TABLE = load_labels("brain")


def _cube(index, start, edge=10, size=30):
    labels = np.zeros((size,) * 3, np.int16)
    labels[tuple(slice(each, each + edge) for each in start)] = index
    return labels


def _of(table, index):
    return table.set_index("index").loc[index]


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2, 2, 2), (3, 1, 1)])
def test_a_shifted_cube(spacing):
    truth, found = _cube(17, (5, 8, 8)), _cube(17, (8, 8, 8))
    row = _of(compare_labels(found, truth, TABLE, spacing=spacing), 17)
    assert row["dice"] == pytest.approx(0.7)
    # the faces across the shift are three voxels apart; those along it meet for most of it
    assert row["hd95"] == pytest.approx(3 * spacing[0])
    assert 0 < row["asd"] < 1.5 * spacing[0]


def test_the_same_is_at_no_distance():
    truth = _cube(17, (5, 5, 5)) + _cube(53, (18, 18, 18))
    table = compare_labels(truth, truth, TABLE)
    for index in (17, 53):
        assert _of(table, index)[["dice", "hd95", "asd"]].tolist() == [1, 0, 0]
    assert table["dice"].isna().sum() == len(TABLE.regions) - 2


def test_what_was_not_found_has_no_distance():
    row = _of(compare_labels(_cube(53, (5, 5, 5)), _cube(17, (5, 5, 5)), TABLE), 17)
    assert row["dice"] == 0
    assert np.isnan(row["hd95"])
    assert np.isnan(row["asd"])


def test_one_is_larger_all_around():
    truth, found = _cube(17, (8, 8, 8), 10), _cube(17, (6, 6, 6), 14)
    row = _of(compare_labels(found, truth, TABLE, spacing=(2, 2, 2)), 17)
    assert row["dice"] == pytest.approx(2 * 1000 / (1000 + 2744))
    assert 4 <= row["hd95"] <= 4 * 3**0.5
    assert 4 <= row["asd"] <= 4 * 2**0.5


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="found must have the shape of truth"):
        compare_labels(np.zeros((3, 3, 3), int), np.zeros((3, 3, 4), int), TABLE)
