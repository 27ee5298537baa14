"""A small cohort whose stages differ in a planted way, and an estimator that costs little."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from brainnet.cohort.subjects import as_subjects
from brainnet.models.edges import EdgeImputer, EdgeTable

STAGES = np.array(["CN", "EMCI", "AD"])


def _planted(n_subjects=30, *, effect=0.3, n_regions=6, n_modalities=2, seed=0, **covariates):
    """Subjects and stages; three hubs lose `effect` a stage."""
    rng = np.random.default_rng(seed)
    step = np.arange(n_subjects) % 3
    hubs = np.zeros((n_regions, n_regions))
    hubs[:3], hubs[:, :3] = 1, 1
    edges = 2 + rng.normal(0, 0.15, (n_subjects, n_modalities, n_regions, n_regions))
    edges -= effect * step[:, None, None, None] * hubs
    subjects = as_subjects((edges + edges.swapaxes(2, 3)) / 2)
    frame = pd.DataFrame(covariates, index=range(n_subjects))
    return dataclasses.replace(subjects, covariates=frame), STAGES[step]


@pytest.fixture
def planted():
    """The generator above."""
    return _planted


@pytest.fixture
def quick():
    """Logistic regression on edges, unfitted."""
    return make_pipeline(EdgeImputer(), EdgeTable(), LogisticRegression(C=0.1, max_iter=500))
