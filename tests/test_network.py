"""What a network array must be (``brainnet/_network.py``)."""

import numpy as np
import pytest

from brainnet._network import check_adjacency, check_weights, measured_regions


def triangle(value: float = 0.5) -> np.ndarray:
    return value * (np.ones((3, 3)) - np.eye(3))


def with_entry(row: int, column: int, value: float) -> np.ndarray:
    weights = triangle()
    weights[row, column] = value
    return weights


@pytest.mark.parametrize(
    "weights, message",
    [
        (np.zeros(3), "square"),
        (np.zeros((3, 2)), "square"),
        (np.zeros((0, 0)), "at least one region"),
        (np.zeros((0, 4, 4)), "at least one region and network; got shape"),
        (with_entry(0, 1, 0.6), "symmetric; got a largest difference of 0.1"),
        (with_entry(1, 1, 1.0), "zero diagonal; got 1"),
        (-triangle(), "non-negative; got minimum -0.5. Use connectome.threshold.positive"),
        (with_entry(0, 1, np.inf), "finite"),
        (with_entry(0, 1, np.nan), "NaN"),
    ],
)
def test_error_names_the_rule_the_value_and_the_remedy(weights, message):
    with pytest.raises(ValueError, match=message):
        check_weights(weights)


def test_error_carries_the_argument_name():
    with pytest.raises(ValueError, match=r"^edges must be square"):
        check_weights(np.zeros((3, 2)), name="edges")


def test_rounding_asymmetry_is_accepted_and_removed():
    weights = with_entry(0, 1, 0.5 + 1e-13)
    checked = check_weights(weights)
    assert np.array_equal(checked, checked.T)
    assert checked[0, 1] == pytest.approx(0.5, abs=1e-12)


def test_symmetry_tolerance_follows_the_scale():
    tiny = 1e-20 * with_entry(0, 1, 0.6)
    with pytest.raises(ValueError, match="symmetric"):
        check_weights(tiny)


def test_input_is_not_changed():
    weights = triangle()
    check_weights(weights)[0, 1] = 9
    assert weights[0, 1] == 0.5


def test_unmeasured_region_becomes_nan_in_its_whole_row_and_column():
    weights = with_entry(0, 1, np.nan)
    weights[1, 0] = weights[0, 2] = weights[2, 0] = np.nan  # the diagonal says 0
    checked = check_weights(weights, nan_regions=True)
    assert np.isnan(checked[0]).all()
    assert np.isnan(checked[:, 0]).all()
    assert checked[1, 2] == 0.5
    assert measured_regions(checked).tolist() == [False, True, True]


def test_nan_between_measured_regions_is_refused():
    weights = np.ones((4, 4)) - np.eye(4)
    weights[1, 2] = weights[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"whole regions only.*\(1, 2\)"):
        check_weights(weights, nan_regions=True)


def test_batch_with_different_unmeasured_regions():
    batch = np.stack([triangle(), triangle()])
    batch[1, 2] = batch[1, :, 2] = np.nan
    checked = check_weights(batch, nan_regions=True)
    assert not np.isnan(checked[0]).any()
    assert measured_regions(checked)[1].tolist() == [True, True, False]


def test_adjacency_is_boolean_or_zero_and_one():
    assert check_adjacency(triangle() > 0).dtype == np.float64
    with pytest.raises(ValueError, match=r"only 0 and 1; got 0.5. Use .*binarize"):
        check_adjacency(triangle())
    with pytest.raises(ValueError, match="adjacency must be boolean"):
        check_adjacency(triangle(-1.0))
