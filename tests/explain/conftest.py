"""A small cohort with planted damage, and graph classifiers fitted on it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from brainnet.cohort.subjects import Subjects
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.measures import with_measures

PLANTED = {"functional": 2, "metabolic": 5}  # the region that the disease hits


def make_subjects(n_subjects=60, n_regions=10, *, effect=1.0, seed=0):
    """Edges of region 2 fall in function, edges and values of region 5 in metabolism."""
    rng = np.random.default_rng(seed)
    stage = np.array(["CN", "EMCI", "AD"])[np.arange(n_subjects) % 3]
    loss = effect * np.array([0.0, 0.15, 0.3])[np.arange(n_subjects) % 3]
    edges = rng.normal(0.4, 0.1, (n_subjects, 2, n_regions, n_regions))
    edges = (edges + edges.mT) / 2
    for modality, region in enumerate(PLANTED.values()):
        edges[:, modality, region, :] -= loss[:, None]
        edges[:, modality, :, region] -= loss[:, None]
    edges[..., np.arange(n_regions), np.arange(n_regions)] = 0
    values = rng.normal(1.0, 0.1, (n_subjects, 2, n_regions))
    values[:, 1, 5] -= loss
    values[:, 0] = np.nan
    angle = np.linspace(0, 2 * np.pi, n_regions, endpoint=False)
    subjects = Subjects(
        edges=edges,
        values=values,
        covariates=pd.DataFrame(index=range(n_subjects)),
        participants=np.array([f"{row:02d}" for row in range(n_subjects)]),
        modalities=("functional", "metabolic"),
        regions=tuple(f"region {number}" for number in range(n_regions)),
        coordinates=np.column_stack([45 * np.cos(angle), 60 * np.sin(angle) - 15, 10 + 0 * angle]),
    )
    return with_measures(subjects), stage


@pytest.fixture(scope="session")
def cohort():
    """Subjects and stages."""
    return make_subjects()


@pytest.fixture
def make_cohort():
    """The generator above."""
    return make_subjects


@pytest.fixture(scope="session")
def graph(cohort):
    """A GCN that has learned the first 45 subjects."""
    subjects, stages = cohort
    model = GraphClassifier(
        features=("profile", "values"), density=0.4, n_hidden=8, n_epochs=25, learning_rate=0.02
    )
    return model.fit(subjects[:45], stages[:45])


class Linear(nn.Module):
    """Logits that are linear in all inputs: integrated gradients have a closed form."""

    def __init__(self, n_features, *, n_modalities, n_regions, n_context, n_outputs, n_hidden):
        super().__init__()
        shape = (n_modalities, n_regions)
        self.of_nodes = nn.Parameter(torch.randn(n_outputs, *shape, n_features))
        self.of_edges = nn.Parameter(torch.randn(n_outputs, *shape, n_regions))
        self.of_graph = nn.Parameter(torch.randn(n_outputs, *shape, n_regions))
        self.of_context = nn.Parameter(torch.randn(n_outputs, n_context))

    def forward(self, brains):
        return (
            torch.einsum("bmrf,omrf->bo", brains.nodes, self.of_nodes)
            + torch.einsum("bmrs,omrs->bo", brains.edges, self.of_edges)
            + torch.einsum("bmrs,omrs->bo", brains.adjacency, self.of_graph)
            + brains.context @ self.of_context.T
        )


@pytest.fixture(scope="session")
def linear(cohort):
    """A fitted linear network with everything among its inputs."""
    subjects, stages = cohort
    model = GraphClassifier(
        network=Linear,
        features=("values", "profile", "measures"),
        context=("graph_measures",),
        density=0.4,
        n_epochs=1,
    )
    return model.fit(subjects[:45], stages[:45])


@pytest.fixture
def without():
    """Return subjects of whom one lacks a modality and another a region."""

    def take(subjects):
        edges, values = subjects.edges.copy(), subjects.values.copy()
        edges[0, 1], values[0, 1] = np.nan, np.nan
        edges[1, 0, 3], edges[1, 0, :, 3] = np.nan, np.nan
        measures = subjects.measures.copy()
        measures[0, 1], measures[1, 0, 3] = np.nan, np.nan
        graph_measures = subjects.graph_measures.copy()
        graph_measures[0, 1] = np.nan
        return replace(
            subjects, edges=edges, values=values, measures=measures, graph_measures=graph_measures
        )

    return take
