"""GNNExplainer on dense graphs: planted edges are kept, and PyG's own agrees where it can run."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.exceptions import NotFittedError
from torch import nn
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.explain.config import ModelConfig
from torch_geometric.nn import DenseGraphConv, GraphConv

from brainnet.explain.masks import MaskSettings, gnn_explainer
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.linear import majority


class OneEdge(nn.Module):
    """Logits that look at a single edge of the first modality."""

    def __init__(self, n_features, *, n_modalities, n_regions, n_context, n_outputs, n_hidden):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(n_outputs, dtype=torch.float32))

    def forward(self, brains):
        return brains.edges[:, 0, 1, 4, None] * self.weight


def off_diagonal(networks):
    return networks[..., ~np.eye(networks.shape[-1], dtype=bool)]


@pytest.mark.parametrize("share", ["cohort", "subject"])
def test_the_one_edge_that_matters_is_kept_and_all_others_go(cohort, share):
    subjects, stages = cohort
    model = GraphClassifier(network=OneEdge, n_epochs=1).fit(subjects, stages)
    found = gnn_explainer(model, subjects[:6], share=share, settings=MaskSettings(n_epochs=80))
    assert len(found.edges) == (1 if share == "cohort" else 6)
    np.testing.assert_array_equal(found.edges, found.edges.swapaxes(2, 3))
    masks = found.edges.mean(axis=0)
    one = np.zeros(masks.shape, dtype=bool)
    one[0, 1, 4] = one[0, 4, 1] = True
    assert masks[one].min() > 0.5
    assert off_diagonal(np.where(one, 0, masks)).max() < 0.2
    assert np.argsort(-found.regions.mean(axis=0)[0])[:2].tolist() in ([1, 4], [4, 1])


def test_the_planted_regions_are_kept(cohort, graph):
    found = gnn_explainer(graph, cohort[0][45:])
    assert found.regions[0].argmax(axis=1).tolist() == [2, 5]
    # what is masked is not looked at, yet the answer stays
    assert found.edges.mean() < 0.5
    answers = graph.predict_proba(cohort[0][45:])
    assert found.error < 0.3 * np.log(answers[:, 2] / answers[:, 0]).std()


class Dense(nn.Module):
    """One modality, values alone as node features, so that edges count in the graph only."""

    def __init__(self, n_features, *, n_modalities, n_regions, n_context, n_outputs, n_hidden):
        super().__init__()
        self.one = DenseGraphConv(n_features, n_hidden, aggr="add")
        self.two = DenseGraphConv(n_hidden, n_outputs, aggr="add")

    def forward(self, brains):
        x, adjacency = brains.nodes[:, 1], brains.adjacency[:, 1]
        return self.two(self.one(x, adjacency).relu(), adjacency).sum(dim=1)


class Sparse(nn.Module):
    """The same two convolutions over a list of edges, and what the classifier is asked about."""

    def __init__(self, dense):
        super().__init__()
        self.one, self.two = (
            GraphConv(each.in_channels, each.out_channels) for each in (dense.one, dense.two)
        )
        self.load_state_dict(dense.state_dict())

    def forward(self, x, edge_index, edge_weight):
        x = self.one(x, edge_index, edge_weight).relu()
        outputs = self.two(x, edge_index, edge_weight).sum(dim=0, keepdim=True)
        return outputs[:, 2] - outputs[:, 0]


ASKED = {
    "explanation_type": "model",
    "edge_mask_type": "object",
    "model_config": ModelConfig(mode="regression", task_level="graph"),
}


@pytest.fixture
def small(cohort):
    """A classifier with that network, and one subject's nodes, graph and list of edges."""
    subjects, stages = cohort
    model = GraphClassifier(network=Dense, features=("values",), density=0.4, n_hidden=6,
                            n_epochs=1, seed=1)  # fmt: skip
    model.fit(subjects, stages)
    with torch.no_grad():
        for weight in model.model_.parameters():
            weight *= 3
    # two regions far from the mean, so that some edges matter more than others
    values = subjects.values.copy()
    values[2, 1] = model.inputs_.feature_centre_[1, :, 0]
    values[2, 1, [3, 7]] += 5 * model.inputs_.feature_spread_[1, [3, 7], 0]
    subject = replace(subjects, values=values)[2:3]
    brains = model.inputs_.transform(subject)
    graph = brains.adjacency[0, 1]
    return model, subject, brains.nodes[0, 1], graph, graph.nonzero().T


def test_pyg_agrees_on_the_same_network_over_a_list_of_edges(small):
    model, subject, x, graph, edge_index = small
    weight, sparse = graph[tuple(edge_index)], Sparse(model.model_).eval()
    outputs = model.outputs(subject)
    with torch.no_grad():
        np.testing.assert_allclose(
            sparse(x, edge_index, weight), outputs[:, 2] - outputs[:, 0], rtol=1e-4
        )
    n_pairs = graph.shape[0] * (graph.shape[0] - 1) / 2
    price = 0.1  # of a directed edge, here and there
    algorithm = GNNExplainer(epochs=200, lr=0.05, edge_size=price, edge_ent=0.0,
                             node_feat_size=2 * price * n_pairs, node_feat_ent=0.0)  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        explainer = Explainer(sparse, algorithm, node_mask_type="object", **ASKED)
        found = explainer(x, edge_index, edge_weight=weight)
    theirs = torch.zeros_like(graph)
    theirs[tuple(edge_index)] = found.edge_mask
    theirs = (theirs + theirs.T)[tuple(edge_index)] / 2  # ours has one mask for both ways
    settings = MaskSettings(2 * price * n_pairs, 0.0, "nothing", 200)
    ours = gnn_explainer(model, subject, settings=settings).edges[0, 1][tuple(edge_index)]
    assert spearmanr(ours, theirs).statistic > 0.5


def test_pyg_itself_cannot_explain_a_dense_network(small):
    model, _, x, graph, edge_index = small

    class AsPyG(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = model.model_.one

        def forward(self, x, edge_index):
            return self.layer(x, graph).sum(dim=(1, 2))

    explainer = Explainer(AsPyG(), GNNExplainer(epochs=2), **ASKED)
    with pytest.raises(ValueError, match="Could not compute gradients for edges"):
        explainer(x, edge_index)


def test_same_seed_same_masks_and_no_trace(cohort, graph):
    state = torch.random.get_rng_state()
    one, two, other = (
        gnn_explainer(graph, cohort[0][45:], settings=MaskSettings(n_epochs=5), seed=seed)
        for seed in (0, 0, 1)
    )
    assert one.edges.tobytes() == two.edges.tobytes()
    assert not np.array_equal(one.edges, other.edges)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(each.grad is None or not each.grad.any() for each in graph.model_.parameters())


def test_a_higher_price_leaves_less(cohort, graph):
    sizes = [
        gnn_explainer(graph, cohort[0][45:], settings=MaskSettings(size, n_epochs=40)).edges.mean()
        for size in (0.0, 1.0, 10.0)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_what_was_not_measured_has_no_mask(cohort, graph, without):
    subjects = without(cohort[0][45:])
    found = gnn_explainer(graph, subjects, share="subject", settings=MaskSettings(n_epochs=2))
    assert np.isnan(found.regions[0, 1]).all()
    assert np.isnan(found.regions[1, 0]).tolist() == [number == 3 for number in range(10)]
    together = gnn_explainer(graph, subjects, settings=MaskSettings(n_epochs=2))
    assert np.isfinite(together.regions).all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"share": "group"}, "share must be"),
        ({"target": "MCI"}, "target must be"),
    ],
)
def test_bad_options(cohort, graph, change, message):
    with pytest.raises(ValueError, match=message):
        gnn_explainer(graph, cohort[0], **change)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"size": -1}, "size must be 0 or more"),
        ({"instead": "zero"}, "instead must be"),
        ({"n_epochs": 0}, "n_epochs must be at least 1"),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        MaskSettings(**change)


def test_bad_estimators(cohort):
    with pytest.raises(ValueError, match="must be a GraphClassifier"):
        gnn_explainer(majority().fit(np.zeros((4, 1)), list("abab")), cohort[0])
    with pytest.raises(NotFittedError):
        gnn_explainer(GraphClassifier(), cohort[0])
