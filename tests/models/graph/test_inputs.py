"""Subjects as tensors: what is scaled, and over whom."""

import dataclasses

import numpy as np
import pytest

from brainnet.cohort.subjects import as_subjects
from brainnet.models.graph.inputs import GraphInputs


def placed(networks, place):
    """Subjects whose regions lie at `place`."""
    return dataclasses.replace(as_subjects(networks), coordinates=place)


def test_coordinates_are_scaled_over_regions(planted_networks):
    networks, _ = planted_networks(6)
    place = np.random.default_rng(0).normal([10, -30, 20], [40, 50, 30], (12, 3))
    features = ("profile", "values", "coordinates", "measures")
    nodes = GraphInputs(features=features).fit_transform(placed(networks, place)).nodes.numpy()
    found = nodes[..., 12 + 1 : 12 + 4]
    expected = (place - place.mean(axis=0)) / place.std(axis=0)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-5)


def test_other_features_are_scaled_over_subjects(planted_networks):
    networks, _ = planted_networks(6)
    place = np.arange(36.0).reshape(12, 3)
    both = GraphInputs(features=("coordinates", "measures")).fit_transform(placed(networks, place))
    alone = GraphInputs(features=("measures",)).fit_transform(networks)
    np.testing.assert_array_equal(both.nodes[..., 3:], alone.nodes)


def test_coordinates_that_are_not_known_are_refused(planted_networks):
    networks, _ = planted_networks(6)
    with pytest.raises(ValueError, match="coordinates must be known of every region"):
        GraphInputs(features=("coordinates",)).fit(networks)
