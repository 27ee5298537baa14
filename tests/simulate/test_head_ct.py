"""A simulated head CT is one, and holds what its truth says."""

import numpy as np
import pytest

from brainnet.imaging.hounsfield import check_ct
from brainnet.simulate.head_ct import head_label_map, simulate_ct


def test_the_head_has_a_skull_all_around_the_brain():
    labels = head_label_map()
    inside = (labels > 0) & (labels < 500)
    for axis in range(3):
        for step in (-1, 1):
            beside = np.roll(inside, step, axis=axis) & ~inside
            assert (labels[beside] == 515).all()
    brain = inside & (labels != 24)
    assert 1000 < brain.sum() / 1000 < 1800


def test_a_scan_is_a_head_ct_and_blood_is_bright():
    scan = simulate_ct(1, voxel_size=2.0)
    check = check_ct(scan.img)
    assert check.repairs == ()
    truth = np.asarray(scan.labels_img.dataobj)
    assert set(np.unique(truth)) <= {0, 11, 12, 13, 14, 15}
    assert (truth > 0).any()
    units = np.asarray(scan.img.dataobj)
    assert 35 < np.median(units[truth > 0]) < 90
    again = simulate_ct(1, voxel_size=2.0)
    np.testing.assert_array_equal(np.asarray(again.img.dataobj), units)


def test_a_healthy_scan_holds_no_blood():
    assert not np.asarray(simulate_ct(3, healthy=True, voxel_size=2.0).labels_img.dataobj).any()


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"voxel_size": 0.5}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="seed must be 0"):
        simulate_ct(**wrong)
