"""Controllability: graphs by hand, and the Gramians of scipy's Lyapunov solver."""

import numpy as np
import pytest
import scipy.linalg

from brainnet.metrics import controllability

STAR = np.zeros((5, 5))
STAR[0, 1:] = STAR[1:, 0] = 1
MEASURES = [controllability.average_controllability, controllability.modal_controllability]


@pytest.mark.parametrize("measure", MEASURES)
def test_contract(contract, measure):
    contract(measure, rank=1, signed=True)


def stable(network):
    return network / (1 + np.linalg.svd(network, compute_uv=False)[0])


@pytest.mark.parametrize("kind", range(6))
def test_gramians_and_modes(all_kinds, kind):
    network = all_kinds(signed=True).reshape(6, 12, 12)[kind]
    system = stable(network)
    average = controllability.average_controllability(network)
    for i in range(12):
        driven = np.zeros((12, 12))
        driven[i, i] = 1
        gramian = scipy.linalg.solve_discrete_lyapunov(system, driven)
        assert average[i] == pytest.approx(np.trace(gramian), rel=1e-11)
    values, vectors = np.linalg.eigh(system)
    expected = [(vectors[i] ** 2 * (1 - values**2)).sum() for i in range(12)]
    np.testing.assert_allclose(controllability.modal_controllability(network), expected, rtol=1e-12)


def test_by_hand():
    scale = 1 / 3  # the largest eigenvalue of the star is 2
    modal = controllability.modal_controllability(STAR)
    np.testing.assert_allclose(modal, [1 - 4 * scale**2] + [1 - scale**2] * 4, rtol=1e-13)
    average = controllability.average_controllability(STAR)
    centre = 1 / (1 - 4 * scale**2)
    np.testing.assert_allclose(average, [centre] + [0.75 + centre / 4] * 4, rtol=1e-13)
    assert average.argmax() == modal.argmin() == 0


@pytest.mark.parametrize("measure", MEASURES)
def test_without_edges(measure):
    np.testing.assert_array_equal(measure(np.zeros((3, 3))), 1)
    np.testing.assert_array_equal(measure([[0.0]]), 1)
