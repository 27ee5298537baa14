"""Integrated gradients: closed form, completeness, and where each input's share goes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from brainnet.explain.gradients import integrated_gradients
from brainnet.models.core.networks import NETWORKS
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.graph.multiplex_staging import multiplex_network
from brainnet.models.linear import majority

GRAPH_NETWORKS = [
    name
    for name, where in NETWORKS.items()
    if where.startswith("brainnet.models.graph.")
    and "Committee" not in name  # which is made of others
]


def test_of_a_linear_network_they_are_weight_times_input(cohort, linear):
    subjects = cohort[0][45:]
    found = integrated_gradients(linear, subjects, target="AD/CN", n_steps=2)
    brains, model = linear.inputs_.transform(subjects), linear.model_
    # classes_ are CN, EMCI, AD: the logarithm of p(AD) / p(CN) is the difference of two logits
    of_nodes, of_edges, of_context = (
        (weights[2] - weights[0]).detach().double()
        for weights in (model.of_nodes, model.of_edges, model.of_context)
    )
    nodes, edges = (brains.nodes * of_nodes).numpy(), (brains.edges * of_edges).numpy()
    n_regions = subjects.shape[2]
    profile, values, measures = np.split(nodes, [n_regions, n_regions + 1], axis=3)
    expected = profile.sum(axis=2) + (edges.sum(axis=2) + edges.sum(axis=3)) / 2
    np.testing.assert_allclose(found.parts["edges"], expected, atol=2e-4)
    np.testing.assert_allclose(found.parts["values"][:, 1], values[:, 1, :, 0], atol=1e-4)
    assert np.isnan(found.parts["values"][:, 0]).all()  # function has no values
    np.testing.assert_allclose(found.parts["measures"], measures.sum(axis=3), atol=2e-4)
    np.testing.assert_allclose(found.context, (brains.context * of_context).numpy(), atol=1e-4)
    whole = profile + profile.swapaxes(2, 3) + edges + edges.swapaxes(2, 3)
    np.testing.assert_allclose(found.edges, whole, atol=2e-4)
    np.testing.assert_allclose(found.gap, 0, atol=2e-3)


def test_the_graph_counts_where_the_baseline_has_another(cohort, linear):
    subjects = cohort[0][45:]
    own = integrated_gradients(linear, subjects, n_steps=2)
    mean = integrated_gradients(linear, subjects, n_steps=2, graph="mean")
    adjacency = linear.inputs_.transform(subjects).adjacency
    weights = (linear.model_.of_graph[2] - linear.model_.of_graph[0]).detach()
    baseline = adjacency[0] - torch.from_numpy(mean.edges - own.edges)[0] / (weights + weights.mT)
    kept = baseline.abs() > 1e-3
    # every subject is held against one graph, of the density that the classifier has
    pairs = subjects.shape[2] * (subjects.shape[2] - 1) / 2
    assert (kept.sum(dim=(1, 2)) / 2 == round(0.4 * pairs)).all()
    np.testing.assert_allclose(mean.gap, 0, atol=5e-3)


@pytest.mark.parametrize("name", GRAPH_NETWORKS)
def test_all_attributions_add_up_to_the_change_of_the_answer(cohort, name):
    subjects, stages = cohort
    model = GraphClassifier(
        network=name, features=("values", "profile"), density=0.4, n_hidden=16, n_epochs=3
    ).fit(subjects[:45], stages[:45])
    found = integrated_gradients(model, subjects[45:], n_steps=32)
    assert np.abs(found.gap).mean() < 0.03 * np.abs(found.change).mean()


def test_attributions_of_fused_readings_add_up(cohort):
    subjects, stages = cohort
    model = multiplex_network(n_epochs=3, n_members=2).fit(subjects[:45], stages[:45])
    found = integrated_gradients(model, subjects[45:], n_steps=64)
    assert np.abs(found.gap).mean() < 0.03 * np.abs(found.change).mean()


def test_more_steps_come_closer(cohort, graph):
    subjects = cohort[0][45:]
    found = [integrated_gradients(graph, subjects, n_steps=steps) for steps in (1, 8, 64)]
    gaps = [np.abs(each.gap).mean() / np.abs(each.change).mean() for each in found]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.01


def test_what_was_not_measured_is_nan_and_counts_nothing(cohort, graph, without):
    found = integrated_gradients(graph, without(cohort[0][45:]), graph="mean")
    assert np.isnan(found.regions[0, 1]).all()
    assert np.isnan(found.edges[0, 1][~np.eye(10, dtype=bool)]).all()
    assert np.isnan(found.regions[1, 0]).tolist() == [number == 3 for number in range(10)]
    assert np.isfinite(found.regions[2:]).all()
    assert np.abs(found.gap).max() < 0.05 * np.abs(found.change).max()


def test_nothing_is_owed_to_the_graph_where_it_was_filled_in(cohort, linear, without):
    found = integrated_gradients(linear, without(cohort[0][45:]), n_steps=2, graph="mean")
    np.testing.assert_allclose(found.gap, 0, atol=5e-3)


def test_the_planted_regions_stand_out(cohort, graph):
    subjects, stages = cohort
    found = integrated_gradients(graph, subjects[45:])
    tested = stages[45:]
    contrast = found.regions[tested == "AD"].mean(0) - found.regions[tested == "CN"].mean(0)
    assert contrast.argmax(axis=1).tolist() == [2, 5]


def test_same_bits_and_no_trace(cohort, graph):
    state = torch.random.get_rng_state()
    weights = [each.clone() for each in graph.model_.parameters()]
    one, two = (integrated_gradients(graph, cohort[0][45:]) for _ in range(2))
    assert one.regions.tobytes() == two.regions.tobytes()
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(map(torch.equal, weights, graph.model_.parameters()))
    assert all(each.grad is None or not each.grad.any() for each in graph.model_.parameters())


def test_a_subject_is_explained_by_itself(cohort, graph):
    together = integrated_gradients(graph, cohort[0][45:])
    alone = integrated_gradients(graph, cohort[0][50:51])
    np.testing.assert_allclose(alone.regions[0], together.regions[5], atol=1e-5)


def test_a_pipeline_that_ends_in_a_graph_classifier(cohort, graph):
    piped = integrated_gradients(Pipeline([("graph", graph)]), cohort[0][45:])
    assert np.array_equal(piped.regions, integrated_gradients(graph, cohort[0][45:]).regions)


def test_every_target(cohort, graph):
    subjects, stages = cohort[0][45:], cohort[1][45:]
    chances = graph.predict_proba(subjects)
    for target, number in (
        ("severity", chances @ [0, 1, 2]),
        ("AD", chances[:, 2]),
        ("AD/EMCI", np.log(chances[:, 2] / chances[:, 1])),
        ("own", chances[np.arange(15), [graph.classes_.tolist().index(s) for s in stages]]),
    ):
        found = integrated_gradients(graph, subjects, target=target, stages=stages, n_steps=1)
        baseline = number - found.change
        if target != "own":  # all have the same baseline but for their graph
            assert np.ptp(baseline) < np.ptp(number)
    with pytest.raises(ValueError, match="stages must be given"):
        integrated_gradients(graph, subjects, target="own")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"estimator": majority()}, "must be a GraphClassifier .* Use occlusion"),
        ({"n_steps": 0}, "n_steps must be at least 1"),
        ({"graph": "none"}, "graph must be 'own' or 'mean'"),
        ({"target": "MCI"}, "target must be"),
    ],
)
def test_bad_input(cohort, graph, change, message):
    arguments = {"estimator": graph, "networks": cohort[0][45:], **change}
    with pytest.raises(ValueError, match=message):
        integrated_gradients(arguments.pop("estimator"), arguments.pop("networks"), **arguments)


def test_an_unfitted_estimator_is_refused(cohort):
    with pytest.raises(NotFittedError, match="must be fitted"):
        integrated_gradients(GraphClassifier(), cohort[0])


def test_other_regions_are_refused(cohort, graph):
    subjects = cohort[0][45:]
    fewer = replace(subjects, edges=subjects.edges[:, :, :9, :9], values=subjects.values[..., :9],
                    regions=subjects.regions[:9], measures=subjects.measures[:, :, :9])  # fmt: skip
    with pytest.raises(ValueError, match="modalities and regions of the training subjects"):
        integrated_gradients(graph, fewer)
