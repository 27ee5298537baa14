"""The kernel of graphs."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import expm

from brainnet.cohort.subjects import as_subjects
from brainnet.models.kernel import DiffusionKernel, graph_kernel, heat


def test_heat_is_the_exponential_of_the_laplacian():
    rng = np.random.default_rng(0)
    weights = np.triu(rng.uniform(size=(7, 7)), 1)
    weights = weights + weights.T
    root = np.diag(weights.sum(axis=1) ** -0.5)
    laplacian = np.eye(7) - root @ weights @ root
    found = heat(weights, density=1, times=(0.3, 2.0))
    np.testing.assert_allclose(found[0], expm(-0.3 * laplacian), atol=1e-12)
    np.testing.assert_allclose(found[1], expm(-2.0 * laplacian), atol=1e-12)


def test_two_regions_share_their_heat():
    """In time t, (1 - exp(-2t)) / 2 goes over."""
    found = heat(np.array([[7.0, 0.2], [0.2, 7.0]]), density=1, times=(0.4,))[0]
    assert found[0, 1] == pytest.approx((1 - np.exp(-0.8)) / 2)
    assert found[0, 0] == pytest.approx((1 + np.exp(-0.8)) / 2)


def test_only_the_strongest_positive_edges_lead_heat():
    weights = np.zeros((5, 5))
    weights[0, 1], weights[2, 3], weights[0, 4] = 0.9, 0.1, -0.8
    weights = weights + weights.T
    found = heat(weights, density=0.1, times=(1.0,))[0]
    assert found[0, 1] > 0
    np.testing.assert_allclose(found[2:, 2:], np.eye(3), atol=1e-12)
    tied = np.ones((4, 4))
    np.testing.assert_array_equal(
        heat(tied, density=0.1, times=(1.0,)), heat(tied, density=1, times=(1.0,))
    )


def test_unmeasured_regions_are_nan_and_the_rest_is_as_without_them():
    weights = np.random.default_rng(0).uniform(size=(6, 6))
    weights = weights + weights.T
    expected = heat(weights[1:, 1:], density=0.5, times=(1.0,))[0]
    weights[0], weights[:, 0] = np.nan, np.nan
    found = heat(weights, density=0.5, times=(1.0,))[0]
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:, 1:], expected, atol=1e-12)
    assert np.isnan(heat(np.full((3, 3), np.nan), density=0.5, times=(1.0,))).all()


def test_the_kernel_is_its_formula(planted_networks):
    networks, _ = planted_networks(7)
    kernel = DiffusionKernel(density=0.3, times=(0.5, 2.0))
    found = kernel.fit_transform(networks[:5])
    spread = np.stack(
        [[heat(each, density=0.3, times=(0.5, 2.0)) for each in both] for both in networks]
    )  # fmt: skip  (n_subjects, n_modalities, n_times, n_regions, n_regions)
    apart = ((spread[:, None, :] - spread[None, :5]) ** 2).sum(axis=(3, 4, 5))
    pairs = np.triu_indices(5, k=1)
    width = np.median(apart[:5][pairs], axis=0)
    expected = np.exp(-apart / width).mean(axis=2)
    np.testing.assert_allclose(found, expected[:5], atol=1e-5)
    np.testing.assert_allclose(kernel.transform(networks), expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_positive_semidefinite_whatever_is_missing(planted_networks, seed):
    networks, _ = planted_networks(40, seed=seed)
    rng = np.random.default_rng(seed)
    for row in range(0, 40, 3):
        region, modality = rng.integers(12), rng.integers(2)
        networks[row, modality, region] = networks[row, modality, :, region] = np.nan
        networks[row + 1 if row < 39 else row, modality] = np.nan
    kernel = DiffusionKernel()
    found = kernel.fit_transform(networks)
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-6)
    assert np.linalg.eigvalsh(found).min() > -1e-6
    np.testing.assert_allclose(kernel.transform(networks), found, atol=1e-6)


def test_renumbering_everybodys_regions_changes_nothing(planted_networks):
    networks, _ = planted_networks(12)
    order = np.random.default_rng(3).permutation(12)
    mixed = networks[:, :, order][..., order]
    one, other = DiffusionKernel().fit(networks[:8]), DiffusionKernel().fit(mixed[:8])
    np.testing.assert_allclose(one.transform(networks), other.transform(mixed), atol=1e-6)


def test_renumbering_one_subjects_regions_does(planted_networks):
    networks, _ = planted_networks(12)
    before = DiffusionKernel().fit_transform(networks)
    networks[0] = networks[0][:, ::-1][..., ::-1]
    assert np.abs(DiffusionKernel().fit_transform(networks)[0, 1:] - before[0, 1:]).max() > 0.05


def test_the_unit_of_the_weights_does_not_matter(planted_networks):
    networks, _ = planted_networks(8)
    one, other = (DiffusionKernel().fit_transform(unit * networks) for unit in (1, 50))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_what_training_subjects_never_had_separates_nobody(planted_networks):
    networks, _ = planted_networks(10)
    train = networks.copy()
    train[:, 1] = np.nan
    kernel = DiffusionKernel().fit(train)
    np.testing.assert_array_equal(kernel.transform(networks), kernel.transform(train))


def test_the_more_is_lost_the_further_apart(planted_networks):
    networks, _ = planted_networks(3, effect=0.0)
    base = networks[0, :1]
    damaged = np.stack([base] * 4)
    for row, kept in enumerate((1.0, 0.7, 0.4, 0.1)):
        damaged[row, 0, 0] *= kept
        damaged[row, 0, :, 0] *= kept
    alike = DiffusionKernel(density=0.6).fit_transform(damaged)[0]
    assert all(near > far for near, far in pairwise(alike))


def test_learns_what_was_planted(planted_networks):
    networks, stages = planted_networks(75)
    model = graph_kernel().fit(networks[:60], stages[:60])
    assert np.mean(model.predict(networks[60:]) == stages[60:]) > 0.7


@pytest.mark.parametrize(
    "wrong", [{"density": 0.0}, {"density": 1.1}, {"times": ()}, {"times": (1.0, 0.0)}]
)
def test_wrong_options_are_refused(planted_networks, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DiffusionKernel(**wrong).fit(planted_networks(4)[0])


def test_regions_in_another_order_are_refused(planted_networks):
    from dataclasses import replace

    subjects = as_subjects(planted_networks(6)[0])
    model = DiffusionKernel().fit(subjects)
    with pytest.raises(ValueError, match="regions must be"):
        model.transform(replace(subjects, regions=subjects.regions[::-1]))
