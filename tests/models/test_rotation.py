"""Wide tables on their rows' axes: nothing is lost."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from brainnet.models.rotation import rotate


@pytest.mark.parametrize("shape", [(6, 200), (30, 4), (5, 5)])
def test_inner_products_and_predictions_stay(shape):
    rng = np.random.default_rng(0)
    table, other = rng.normal(size=shape), rng.normal(size=(3, shape[1]))
    turned = rotate(table)
    gram = table @ table.T
    np.testing.assert_allclose(turned.rows @ turned.rows.T * turned.length**2, gram, atol=1e-9)
    assert np.mean(np.sum(turned.rows**2, axis=1)) == pytest.approx(1)
    target = rng.normal(size=shape[0])
    model = Ridge(alpha=0.7, fit_intercept=False).fit(turned.rows * turned.length, target)
    weights = turned.to_columns(table, model.coef_[:, None] * turned.length)[:, 0]
    direct = Ridge(alpha=0.7, fit_intercept=False).fit(table, target)
    np.testing.assert_allclose(other @ weights, direct.predict(other), atol=1e-8)


def test_rows_on_one_line_have_one_axis():
    table = np.outer([1.0, 2.0, 3.0], np.ones(50))
    turned = rotate(table)
    assert turned.rows.shape == (3, 1)
    np.testing.assert_allclose(table @ turned.to_columns(table, np.ones((1, 1))), turned.rows)


@pytest.mark.parametrize("n_columns", [2, 9])
def test_a_table_of_zeros_is_zeros(n_columns):
    turned = rotate(np.zeros((4, n_columns)))
    assert not turned.rows.any()
    assert np.isfinite(
        turned.to_columns(np.zeros((4, n_columns)), np.ones((turned.rows.shape[1], 2)))
    ).all()


def test_a_column_that_dwarfs_the_rest_does_not_drown_it():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(8, 100))
    table[:, 0] *= 1e5
    assert rotate(table).rows.shape == (8, 8)
