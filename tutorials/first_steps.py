# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From images to networks to stages
#
# This notebook walks the path of `brainnet demo` from Python: a simulated BIDS dataset, the
# participant level on it, the networks it gives, and a cohort staged under cross-validation.
#
# **Everything here is simulated.** Where images are simulated their truth is known, so each
# result can be held against what was planted.

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from brainnet import io
from brainnet.report import figures
from brainnet.simulate.cohort import simulate_cohort
from brainnet.simulate.dataset import simulate_dataset
from brainnet.workflows import participant, recovery
from brainnet.workflows.settings import Settings


def show(png: bytes) -> None:
    """Show a picture of the report."""
    from IPython.display import Image, display

    display(Image(png))


# %% [markdown]
# ## A dataset
#
# One subject with a T1w image, a resting BOLD run and a static FDG PET. If `brainnet demo` has
# run, its dataset and results are used, and nothing is computed twice: a step is skipped when
# its inputs, parameters and versions are those on record.

# %%
demo = os.environ.get("BRAINNET_DEMO")
folder = Path(demo) if demo else Path(tempfile.mkdtemp())
bids_dir = folder / "bids"
if not bids_dir.exists():
    simulate_dataset(bids_dir, stages=["CN"], seed=0)
print(*sorted(p.relative_to(bids_dir) for p in bids_dir.glob("sub-*/*/*")), sep="\n")

# %% [markdown]
# ## The participant level
#
# `draft` registers on the 2 mm template, which is enough for a look.

# %%
outcomes = participant.run(
    bids_dir, folder / "derivatives", participant_label=["01"], settings=Settings(quality="draft")
)
outcomes

# %% [markdown]
# Three networks on the same 84 regions. A region that was not measured would be NaN, in its place.

# %%
subject = folder / "derivatives" / "sub-01"
functional = io.load_matrix(
    next(subject.glob("func/*_seg-DesikanKilliany_stat-pearsoncorrelation_relmat.tsv"))
)
metabolic = io.load_matrix(next(subject.glob("pet/*_relmat.tsv")))
morphological = io.load_matrix(next(subject.glob("anat/*_relmat.tsv")))
for network in (functional, metabolic, morphological):
    assert list(network.columns) == list(functional.columns)
show(figures.matrix_plot(functional, title="Functional network (simulated)", label="Pearson r"))

# %% [markdown]
# ## Against the truth
#
# The simulation wrote down what it planted: head motion, coregistration, network, uptake.

# %%
truth = recovery.compare(bids_dir, folder / "derivatives", "DesikanKilliany", ["sub-01"])
truth.T

# %%
planted = io.load_matrix(bids_dir / "sourcedata/truth/sub-01_desc-planted_relmat.tsv")
upper = np.triu_indices(len(planted), k=1)
plt.figure(figsize=(4, 4))
plt.plot(planted.to_numpy()[upper], functional.to_numpy()[upper], ".", ms=2, alpha=0.5)
plt.xlabel("planted correlation")
plt.ylabel("found correlation")
plt.title("sub-01, simulated")
plt.show()

# %% [markdown]
# ## Measures
#
# One long table: modality, measure, density, region, value.

# %%
measures = io.load_table(next(subject.glob("*_measures.tsv")))
measures[measures["measure"] == "global_efficiency_binary"].head()

# %% [markdown]
# ## Stages
#
# A cohort simulated at network level, with damage to hubs and modules that grows with the stage.
# Each estimator learns everything (imputation, scaling, penalties, early stopping) on the
# training subjects of each fold, and no subject stands on both sides.

# %%
from brainnet.evaluate import cross_validate_stages
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.linear import edge_logistic, majority

cohort = simulate_cohort(60, stages=("CN", "AD"), seed=0)
evaluation = cross_validate_stages(
    cohort,
    {"majority": majority(), "linear": edge_logistic(), "graph": GraphClassifier(seed=0)},
    n_splits=3,
)
evaluation.table.query("metric == 'balanced_accuracy'")

# %%
show(figures.score_plot(evaluation.table, chance=0.5, title="CN against AD (simulated)"))
