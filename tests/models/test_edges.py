"""Edges as a table, and what fills the gaps."""

import numpy as np
import pytest
from sklearn.base import clone

from brainnet.cohort.subjects import check_networks
from brainnet.models.edges import EdgeImputer, EdgeTable


def _symmetric(shape, seed=0):
    networks = np.random.default_rng(seed).normal(size=shape)
    networks = networks + networks.swapaxes(2, 3)
    networks[..., np.arange(shape[-1]), np.arange(shape[-1])] = 0
    return networks


def test_table_is_the_upper_triangle_of_each_modality_in_order():
    networks = _symmetric((2, 2, 4, 4))
    table = EdgeTable().fit(networks)
    expected = [networks[1, m, i, j] for m in range(2) for i in range(4) for j in range(i + 1, 4)]
    np.testing.assert_array_equal(table.transform(networks)[1], expected)
    np.testing.assert_array_equal(table.inverse_transform(table.transform(networks)), networks)


@pytest.mark.parametrize("n_missing", [0, 1, 2, 3, 4])
def test_medians_are_those_of_numpy(n_missing):
    networks = _symmetric((5, 1, 4, 4))
    networks[:n_missing, :, 2, :] = networks[:n_missing, :, :, 2] = np.nan
    expected = np.nanmedian(networks, axis=0)
    expected[:, np.arange(4), np.arange(4)] = 0
    np.testing.assert_allclose(EdgeImputer().fit(networks).medians_, expected)


def test_only_gaps_are_filled_and_diagonal_is_zero():
    networks = _symmetric((3, 2, 4, 4))
    holes = networks.copy()
    holes[0, 1, 3, :] = holes[0, 1, :, 3] = np.nan
    filled = EdgeImputer().fit(networks).transform(holes)
    known = ~np.isnan(holes)
    np.testing.assert_array_equal(filled[known], holes[known])
    assert filled[0, 1, 3, 0] == pytest.approx(np.median(networks[:, 1, 3, 0]))
    assert filled[0, 1, 3, 3] == 0
    assert np.isnan(holes).any(), "the input must stay as it was"


def test_never_measured_takes_the_typical_edge_and_an_absent_modality_is_zero():
    networks = _symmetric((4, 2, 4, 4))
    networks[:, 0, 1, :] = networks[:, 0, :, 1] = np.nan
    networks[:, 1] = np.nan
    imputer = EdgeImputer().fit(networks)
    rest = [np.median(networks[:, 0, i, j]) for i, j in ((0, 2), (0, 3), (2, 3))]
    assert imputer.medians_[0, 1, 0] == pytest.approx(np.median(rest))
    assert not imputer.transform(networks)[:, 1].any()


def test_transformed_subjects_teach_nothing():
    networks = _symmetric((6, 1, 4, 4))
    imputer = EdgeImputer().fit(networks[:4])
    before = imputer.medians_.copy()
    imputer.transform(networks[4:] * 100)
    np.testing.assert_array_equal(imputer.medians_, before)
    assert clone(imputer).get_params() == imputer.get_params()


@pytest.mark.parametrize(
    "wrong, word",
    [
        (np.zeros((3, 4, 4)), "n_modalities"),
        (np.zeros((1, 1, 3, 4)), "shape"),
        (np.zeros((1, 1, 1, 1)), "two regions"),
        (np.full((1, 1, 2, 2), np.inf), "infinite"),
        (np.arange(4.0).reshape(1, 1, 2, 2), "symmetric"),
    ],
)
def test_wrong_networks_are_refused(wrong, word):
    with pytest.raises(ValueError, match=word):
        check_networks(wrong)


@pytest.mark.parametrize("step", [EdgeTable(), EdgeImputer()])
def test_another_atlas_is_refused(step):
    fitted = step.fit(_symmetric((2, 1, 4, 4)))
    with pytest.raises(ValueError, match="training subjects"):
        fitted.transform(_symmetric((2, 1, 5, 5)))
