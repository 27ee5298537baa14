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
# # Staging Alzheimer's disease, and knowing whether to believe it
#
# From networks of a cohort to stages, with baselines beside every graph network and nothing learned
# from the subjects it is tested on. **The cohort is simulated**: what the disease does, and where,
# is known, so that we can see whether a model finds it. No score here says anything of patients.
#
# For research: not a medical device, and no diagnosis.

# %%

import numpy as np
import pandas as pd

from brainnet.cohort.subjects import Subjects
from brainnet.evaluate import LeaveSiteOut, cross_validate_stages
from brainnet.evaluate.verdict import verdict
from brainnet.models.catalogue import CATALOGUE, estimators
from brainnet.models.graph.estimator import GraphClassifier
from brainnet.models.harmonised import Harmonised
from brainnet.models.linear import edge_logistic
from brainnet.simulate.cohort import Missing, Sites, parcellation, simulate_cohort

# %% [markdown]
# ## A cohort
#
# A hundred and twenty subjects from two scanners, three modalities, 40 regions. A fifth of the PET
# scans are missing, as in life. Your own comes from
# `brainnet.cohort.gather("OUT", "participants.tsv")`; names of stages as ADNI, OASIS and AIBL
# write them are read by `brainnet.cohort.stages`.

# %%
cohort = simulate_cohort(
    120, stages=("CN", "EMCI", "AD"), atlas=parcellation(40),
    sites=Sites(confounded=0.3), missing=Missing({"metabolic": 0.2}), seed=1,
)  # fmt: skip
there = np.isfinite(cohort.edges).any(["region", "region_to"])
table = pd.DataFrame(there.values, columns=cohort.modality.values).groupby(cohort.stage.values)
table.agg(["sum"]).reindex(["CN", "EMCI", "AD"])

# %% [markdown]
# ## What can be compared
#
# Baselines first: a graph network that does not beat logistic regression on the edges has shown
# nothing. All are scikit-learn estimators.

# %%
pd.DataFrame([(each.name, each.title, each.kind) for each in CATALOGUE.values()],
             columns=["name", "what it is", "kind"])  # fmt: skip

# %%
some = estimators(["majority", "covariates", "linear", "forest"], seed=0)
some["gcn"] = GraphClassifier(n_epochs=30, seed=0)
evaluation = cross_validate_stages(cohort, some, n_splits=3, seed=0)
scores = evaluation.table.query("metric == 'balanced_accuracy'")
scores.sort_values("estimate", ascending=False).round(2)

# %% [markdown]
# Folds are stratified by stage and split by participant; medians, scales, penalties and early
# stopping are learned in each fold from its training subjects. What the numbers show, in words:

# %%
for finding in verdict(evaluation, graph=["gcn"]):
    print("!" if finding.caution else " ", finding)

# %% [markdown]
# ## How a score is made too good
#
# Shuffle the stages, and nothing can be learned. Choose the best edges on *all* subjects before the
# split, and a score appears out of nothing; chosen inside the fold, it does not.

# %%
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from brainnet.models.edges import EdgeImputer, EdgeTable

shuffled = np.random.default_rng(0).permutation(cohort.stage.values)
edges = EdgeTable().fit_transform(EdgeImputer().fit_transform(cohort.edges.values))
folds = StratifiedKFold(3, shuffle=True, random_state=0)
logistic = LogisticRegression(max_iter=2000)
before = SelectKBest(f_classif, k=30).fit_transform(edges, shuffled)
leaked = cross_val_score(logistic, before, shuffled, cv=folds, scoring="balanced_accuracy")
inside = make_pipeline(SelectKBest(f_classif, k=30), logistic)
honest = cross_val_score(inside, edges, shuffled, cv=folds, scoring="balanced_accuracy")
print(f"chance 0.33, chosen before the split {leaked.mean():.2f}, inside {honest.mean():.2f}")

# %% [markdown]
# ## Another scanner
#
# Leave a whole site out, with and without harmonisation by ComBat. It is learned on the training
# sites; what to do with a site that it has never seen is for you to say: `unseen`. It is no gift:
# here the sites differ in their share of patients, and with the scanner it takes some of the
# disease. Look at both scores.

# %%
subjects = Subjects.from_cohort(cohort)
by_site = cross_validate_stages(
    (subjects, cohort.stage.values),
    {"linear": edge_logistic(), "harmonised": Harmonised(edge_logistic(), unseen="estimate")},
    folds=LeaveSiteOut(),
)
by_site.table.query("metric == 'balanced_accuracy'").round(2)

# %% [markdown]
# ## What the network goes by
#
# Integrated gradients on the subjects of each fold, by networks that never saw them. In a
# simulation we can ask whether the regions are the damaged ones.

# %%
from sklearn.metrics import roc_auc_score

from brainnet.explain import explain, fit_folds

network = GraphClassifier(n_epochs=30, seed=0)
labels = cohort.stage.values
fitted = fit_folds(network, subjects, labels, n_splits=3)
explanation = explain(fitted, subjects, labels)
explanation.regions().head(8)

# %%
found = explanation.across_modalities()
planted = cohort.planted.max("modality").to_series().reindex(found["region"])
area = roc_auc_score(planted, found["attribution"])
print(f"planted against other regions: area under the curve {area:.2f}")

# %% [markdown]
# ## When, not whether
#
# For mild impairment the question is who will convert, and when; many leave the study before. The
# network gives the chance of converting in each year, and those who left count for as long as they
# were seen.

# %%
from brainnet.models.graph.survival import ConversionNetwork, follow_up

impaired = simulate_cohort(120, stages=("EMCI", "LMCI"), atlas=parcellation(40), seed=2)
people = Subjects.from_cohort(impaired)
when = follow_up(impaired.converted.values == 1, impaired.conversion_years.values)
conversion = ConversionNetwork(GraphClassifier(n_epochs=30), breaks=(1, 2, 3, 4))
conversion.fit(people[:80], when[:80])
print(f"concordance on new subjects {conversion.score(people[80:], when[80:]):.2f} (chance 0.5)")
years = ["0 y", "1 y", "2 y", "3 y", "4 y"]
pd.DataFrame(conversion.predict_survival(people[80:85]), columns=years).round(2)

# %% [markdown]
# ## On a whole dataset
#
# `brainnet BIDS OUT group --target stage` does all of this on the participants of a study, writes a
# page with the verdict at its top, and saves the model. `brainnet stage MODEL NEW_OUT` then stages
# new participants, and refuses networks of another atlas, order of regions or preprocessing.
