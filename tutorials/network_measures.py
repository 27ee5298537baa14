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
# # Measuring networks
#
# From a stack of networks to a table: measures at several densities, held against rewired nulls;
# then single functions, unmeasured regions, and several modalities at once.
#
# **The networks here are simulated**: a patient group whose long-range edges were weakened. Nothing
# below says anything about people.
#
# The first call of each function compiles it (seconds, once for a machine); after that a measure
# of one network takes microseconds to milliseconds.

# %%
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from brainnet.metrics import betweenness, clustering, modules, multiplex, nulls, paths, roles
from brainnet.metrics.sweep import Nulls, sweep
from brainnet.metrics.unmeasured import drop_everywhere, measure_rest

n_subjects, n_regions = 16, 60
rng = np.random.default_rng(0)
position = rng.random((n_regions, 3))
distance = np.linalg.norm(position[:, None] - position, axis=-1)
module = (position[:, 0] * 4).astype(int)
patient = np.arange(n_subjects) >= n_subjects // 2


def one_network(weakened: bool) -> np.ndarray:
    """Return stronger weights within a module and between near regions; noise on top."""
    weights = 0.4 * (module[:, None] == module) + 0.5 * np.exp(-3 * distance)
    weights = weights + 0.35 * (distance > 0.7) * (0.3 if weakened else 1.0)
    weights = weights + 0.12 * rng.standard_normal(weights.shape)
    weights = np.triu(weights, 1)
    return weights + weights.T


networks = xr.DataArray(
    np.array([one_network(each) for each in patient]),
    dims=("subject", "region", "region_to"),
    coords={
        "subject": [f"{'patient' if p else 'control'}-{i:02d}" for i, p in enumerate(patient)],
        "region": [f"region-{i:02d}" for i in range(n_regions)],
    },
)

# %% [markdown]
# ## One call
#
# `sweep` takes subjects, densities, nulls and measures, and gives one long table. A cohort's
# `dataset["edges"]` goes in as it is; so does a generator of (name, array) pairs that is larger
# than memory.

# %%
densities = np.linspace(0.06, 0.24, 7)
table = sweep(
    networks,
    ["clustering_binary", "global_efficiency_binary", "global_efficiency_weighted",
     "betweenness_weighted", "modularity"],
    densities=densities,
    nulls=Nulls(n=20, measures=("clustering_binary", "global_efficiency_binary")),
)  # fmt: skip
table.head()

# %% [markdown]
# `null_mean` and `null_std` stand beside each value that was taken of the nulls, so a normalised
# measure is a division. Clustering above that of rewired networks with the same degrees, at an
# efficiency that is hardly below theirs, is what is called a small world. (Path length would
# mislead here: at low density these networks fall into pieces, and it leaves out the pairs that no
# path joins. Efficiency counts them as 0.)

# %%
whole = table[(table["region"] == "global") & table["density"].notna()].copy()
whole["group"] = whole["subject"].astype(str).str.split("-").str[0]
whole["normalised"] = whole["value"] / whole["null_mean"]
panels = {
    "clustering_binary": ("normalised", "clustering / that of nulls"),
    "global_efficiency_binary": ("normalised", "efficiency / that of nulls"),
    "global_efficiency_weighted": ("value", "weighted efficiency"),
    "modularity": ("value", "modularity"),
}
figure, axes = plt.subplots(1, 4, figsize=(13, 3), layout="constrained")
for ax, (measure, (column, title)) in zip(axes, panels.items(), strict=True):
    for group, color in {"control": "#1b6ca8", "patient": "#c8553d"}.items():
        rows = whole[(whole["measure"] == measure) & (whole["group"] == group)]
        curve = rows.groupby("density")[column].agg(["mean", "std"])
        ax.plot(curve.index, curve["mean"], color=color, label=group)
        ax.fill_between(
            curve.index, curve["mean"] - curve["std"], curve["mean"] + curve["std"],
            color=color, alpha=0.2, lw=0,
        )  # fmt: skip
    ax.set(title=title, xlabel="density")
axes[0].legend(frameon=False)
plt.show()

# %% [markdown]
# The area under each curve is in the table too, so that no single density need be chosen.

# %%
areas = table[table["measure"] == "global_efficiency_weighted_auc"].set_index("subject")["value"]
areas.groupby(lambda name: name.split("-")[0]).agg(["mean", "std"]).round(4)

# %% [markdown]
# ## Single functions
#
# Every measure is a function of `(..., n_regions, n_regions)`: a network, a stack, a stack of
# stacks of nulls. Binary and weighted kinds say which they are; nothing is scaled, symmetrised or
# filled behind your back: a network that is not what a measure asks for is an error that says
# what to do.

# %%
from brainnet.connectome.threshold import proportional

weights = proportional(networks.values, 0.15)
found = modules.louvain(weights)
hubs = betweenness.betweenness_weighted(weights)
spread = roles.participation_coefficient(weights, found)
print("betweenness", hubs.shape, " participation", spread.shape)
try:
    clustering.clustering_weighted(networks.values[0])
except ValueError as error:
    print(error)

# %% [markdown]
# Nulls come in batches, from one seed, and any measure takes them.

# %%
drawn = nulls.rewire(weights[0] > 0, n_nulls=100, rng=0)
mine = paths.characteristic_path_length_binary(weights[0] > 0)
theirs = paths.characteristic_path_length_binary(drawn)
print(f"path length {mine:.3f}; of {len(theirs)} nulls {theirs.mean():.3f} ± {theirs.std():.3f}")

# %% [markdown]
# ## Regions that were not measured
#
# They are NaN, and measures refuse them: leaving a region out changes everyone else's paths. Say
# which you want: each network's measured regions, or the regions that all networks have. `sweep`
# takes the same choice as `unmeasured=`.

# %%
holed = weights.copy()
holed[3, 7] = holed[3, :, 7] = np.nan
each = measure_rest(clustering.clustering_weighted, holed)
common, kept = drop_everywhere(holed)
print("left out of subject 3 only:", int(np.isnan(each).sum()), "value is NaN")
print("dropped from everyone:", common.shape, "regions kept", int(kept.sum()))

# %% [markdown]
# ## Several layers
#
# Modalities of one person are the layers of a multiplex network, `(..., n_layers, n, n)`. Here
# the second layer is the first with its edges rewired, so hubs stay and edges move.

# %%
edges = weights[:, None] > 0
layers = np.concatenate([edges, nulls.rewire(edges[:, 0], n_nulls=1, rng=1)], axis=1)
degrees = multiplex.overlapping_degree(layers)
evenness = multiplex.multiplex_participation(layers)
shared = multiplex.layer_overlap(layers)[:, 0, 1]
print(f"degrees {degrees.shape}: spread over layers {evenness.mean():.2f} (1: evenly)")
print(f"edges that both layers have: {shared.mean():.2f} of those that one has")

# %% [markdown]
# Every name of the Brain Connectivity Toolbox and what it is called here:
# [BCT.md](../brainnet/metrics/BCT.md).
