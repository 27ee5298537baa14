"""Network measures of subjects as features."""

from dataclasses import replace

import numpy as np
import pytest

from brainnet._network import strongest_edges
from brainnet.cohort.subjects import as_subjects
from brainnet.metrics import degree, efficiency
from brainnet.models.measures import GRAPH_MEASURES, REGIONAL_MEASURES, with_measures


@pytest.fixture
def subjects(planted_networks):
    return as_subjects(planted_networks(6)[0])


def test_measures_are_those_of_the_strongest_edges(subjects):
    measured = with_measures(subjects, density=0.3)
    assert measured.measures.shape == (6, 2, 12, len(REGIONAL_MEASURES))
    assert measured.graph_measure_names == ("mean_weight", *GRAPH_MEASURES)
    kept = strongest_edges(subjects.edges, 0.3)
    strength = measured.measures[..., measured.measure_names.index("strength")]
    np.testing.assert_allclose(strength, degree.strength(kept))
    whole = measured.graph_measures[
        ..., measured.graph_measure_names.index("global_efficiency_weighted")
    ]
    np.testing.assert_allclose(whole, efficiency.global_efficiency(kept))
    rows, columns = np.triu_indices(12, k=1)
    mean = subjects.edges[..., rows, columns].mean(axis=-1)
    np.testing.assert_allclose(measured.graph_measures[..., 0], mean)


def test_a_subject_is_measured_alone(subjects):
    together = with_measures(subjects)
    alone = with_measures(subjects[[2]])
    np.testing.assert_array_equal(alone.measures[0], together.measures[2])
    np.testing.assert_array_equal(alone.graph_measures[0], together.graph_measures[2])


def test_what_was_not_measured_is_nan_and_the_rest_is_as_without_it(subjects):
    networks = subjects.edges.copy()
    networks[1, 0, 4, :] = networks[1, 0, :, 4] = np.nan
    networks[2, 1] = np.nan
    found = with_measures(as_subjects(networks))
    assert np.isnan(found.measures[1, 0, 4]).all()
    assert np.isnan(found.measures[2, 1]).all()
    assert np.isnan(found.graph_measures[2, 1]).all()
    rest = np.delete(np.arange(12), 4)
    smaller = with_measures(as_subjects(networks[1:2, :1][..., rest, :][..., rest]))
    np.testing.assert_array_equal(found.measures[1, 0, rest], smaller.measures[0, 0])


def test_one_unmeasured_edge_is_no_edge(subjects):
    holes, zeros = subjects.edges.copy(), subjects.edges.copy()
    holes[0, 0, 3, 5] = holes[0, 0, 5, 3] = np.nan
    zeros[0, 0, 3, 5] = zeros[0, 0, 5, 3] = 0
    found, expected = with_measures(as_subjects(holes)), with_measures(as_subjects(zeros))
    np.testing.assert_array_equal(found.measures, expected.measures)
    n_edges = 12 * 11 / 2
    mean = expected.graph_measures[0, 0, 0] * n_edges / (n_edges - 1)
    assert found.graph_measures[0, 0, 0] == pytest.approx(mean)


def test_rounding_of_single_precision_is_no_directed_network(subjects):
    rounded = subjects.edges * (1 + 1e-7 * np.triu(np.ones((12, 12)), 1))
    found = with_measures(as_subjects(rounded))
    np.testing.assert_allclose(found.measures, with_measures(subjects).measures, atol=1e-5)


def test_measures_that_are_there_stay(subjects):
    given = replace(
        subjects, measures=np.zeros((6, 2, 12, 1)), graph_measures=np.ones((6, 2, 1)),
        measure_names=("mine",), graph_measure_names=("too",),
    )  # fmt: skip
    assert with_measures(given) is given


@pytest.mark.parametrize(
    "wrong, word",
    [({"density": 0.0}, "density"), ({"density": 1.5}, "density"), ({"graph": ["x"]}, "x")],
)
def test_wrong_options_are_named(subjects, wrong, word):
    with pytest.raises(ValueError, match=word):
        with_measures(subjects, **wrong)
